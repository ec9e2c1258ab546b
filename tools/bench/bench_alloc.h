/* bench_alloc.h - an allocator hook that counts what is held, and the most that was. */
#include <stdlib.h>

static size_t live, peak;

static void *counted(void *user, void *p, size_t old_size, size_t new_size)
{
    void *out = NULL;
    (void)user;
    if (new_size == 0) {
        free(p);
        live -= old_size;
        return NULL;
    }
    out = realloc(p, new_size);
    if (out) {
        live += new_size;
        live -= old_size;
        peak = live > peak ? live : peak;
    }
    return out;
}
