/* ItemManifests: the chunks of what decodes add up to its size, one after the other. */
#include "fuzz.h"

FUZZ(item)(const uint8_t *data, size_t size)
{
    static const uint64_t totals[] = { 0, 5, 16, 17, 32, 1000, UINT64_MAX };
    ddb_ctx ctx = fuzz_ctx();
    size_t t, i;
    for (t = 0; t < sizeof totals / sizeof *totals; t++) {
        ddb_arena arena;
        ddb_item_chunk *chunks = NULL;
        size_t count = 0;
        uint64_t sum = 0;
        dreamdb_status status;
        memset(&arena, 0, sizeof arena);
        status = ddb_item_manifest_decode(&ctx, &arena, ddb_bytes_slice(data, size), "items/fuzz", totals[t], &chunks, &count);
        fuzz_status(status);
        if (status == DREAMDB_OK) {
            for (i = 0; i < count; i++) { FUZZ_WANT(chunks[i].offset == sum); sum += chunks[i].size; }
            FUZZ_WANT(sum == totals[t]);
        }
        ddb_mem_arena_free(&ctx, &arena);
    }
    FUZZ_WANT(fuzz_live == 0);
    return 0;
}
