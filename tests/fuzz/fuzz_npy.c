/* The command's reader of .npy files: any bytes give rows that the file really holds, or a message. */
#include "fuzz.h"
#define main tool_main
#include "../../tools/dreamdb.c"
#undef main
#include <unistd.h>

FUZZ(npy)(const uint8_t *data, size_t size)
{
    static char path[64];
    static int null = -1, messages = -1;
    float *vectors = NULL;
    size_t count = 0;
    uint64_t cols = 0, lines = 0, anchors[8];
    source s;
    FILE *f;
    if (null < 0) {                                          /* the command's messages go to stderr: kept for what aborts */
        null = open("/dev/null", O_WRONLY);
        messages = dup(2);
        (void)snprintf(path, sizeof path, "/tmp/fuzz-npy-%ld.npy", (long)getpid());
    }
    f = fopen(path, "wb");
    if (!f) { return 0; }
    (void)fwrite(data, 1, size, f);
    (void)fclose(f);
    (void)dup2(null, 2);
    if (load_vectors(path, 0, 1 << 16, 1, &vectors, &count, &cols) != 0) { count = 0; }
    free(vectors);
    if (open_anchors(&s, path) == 0 && s.rows > 0) {
        lines = s.rows;
        (void)source_anchors(&s, 0, s.rows < 8 ? (size_t)s.rows : 8, anchors);
    }
    source_close(&s);
    (void)dup2(messages, 2);
    (void)remove(path);
    FUZZ_WANT((uint64_t)count * cols <= size && lines <= size);             /* at least one byte a number */
    return 0;
}
