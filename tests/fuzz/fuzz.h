/* fuzz.h - what the fuzz targets share: the implementation, a context whose allocator counts and has a lid, and the list of all.c
   that replay.c runs over the committed corpus where there is no libFuzzer. */
#ifndef DREAMDB_FUZZ_H
#define DREAMDB_FUZZ_H
#define DREAMDB_IMPLEMENTATION
#define DREAMDB_TEST
#ifdef TEST_WHITE
  #include <dreamdb_white.h>
#else
  #define DREAMDB_STATIC
  #include "../../dreamdb.h"
#endif
#define DREAMDB_S3_IMPLEMENTATION
#include "../../dreamdb_s3.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The head of target `name`: libFuzzer's one function, or in all.c one function of many. */
#if defined(FUZZ_ALL)
  #define FUZZ(name) static int fuzz_ ## name
#else
  #define FUZZ(name) int LLVMFuzzerTestOneInput
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif
typedef struct fuzz_target { const char *name; int (*run)(const uint8_t *data, size_t size); } fuzz_target;
extern const fuzz_target fuzz_targets[];         /* all.c; ends with a NULL name */

#define FUZZ_LID ((size_t)512 << 20)             /* more memory than this is refused, as on a machine that has no more */
#define FUZZ_WANT(condition) do { if (!(condition)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); abort(); } } while (0)

static size_t fuzz_live;
static void *fuzz_resize(void *user, void *old, size_t old_size, size_t new_size)
{
    size_t *head = old ? (size_t *)old - 2 : NULL;
    (void)user;
    FUZZ_WANT((head ? head[0] : 0) == old_size);
    if (new_size == 0) {
        fuzz_live -= old_size;
        free(head);
        return NULL;
    }
    if (new_size > FUZZ_LID || fuzz_live - old_size + new_size > FUZZ_LID) { return NULL; }
    head = (size_t *)realloc(head, new_size + 2 * sizeof(size_t));
    if (!head) { return NULL; }
    fuzz_live += new_size;
    fuzz_live -= old_size;
    head[0] = new_size;
    return head + 2;
}

static dreamdb_error fuzz_error;
DDB_FN ddb_ctx fuzz_ctx(void)
{
    ddb_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    memset(&fuzz_error, 0, sizeof fuzz_error);
    fuzz_live = 0;
    ctx.allocator.resize = fuzz_resize;
    ctx.error = &fuzz_error;
    ctx.cpu = ddb_cpu_detect();
    return ctx;
}

/* A decoder gives a value, or one of the errors that foreign bytes may give, and says why in one line. */
DDB_FN void fuzz_status(dreamdb_status status)
{
    FUZZ_WANT(status == DREAMDB_OK || status == DREAMDB_ERR_CORRUPT || status == DREAMDB_ERR_FORMAT || status == DREAMDB_ERR_UNSUPPORTED ||
              status == DREAMDB_ERR_LIMIT || status == DREAMDB_ERR_MEMORY || status == DREAMDB_ERR_NOT_FOUND);
    if (status != DREAMDB_OK) { FUZZ_WANT(fuzz_error.status == status && fuzz_error.message[0] != 0); }
}
#endif
