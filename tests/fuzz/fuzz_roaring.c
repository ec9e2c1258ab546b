/* Postings: what decodes is sorted, is counted right, and comes back from the writer. */
#include "fuzz.h"

FUZZ(roaring)(const uint8_t *data, size_t size)
{
    ddb_ctx ctx = fuzz_ctx();
    ddb_slice blob = ddb_bytes_slice(data, size);
    uint64_t *anchors = NULL, *again = NULL;
    size_t count = 0, more = 0, i;
    dreamdb_status status = ddb_roaring_count(&ctx, blob, "bucket/fuzz", &more);
    dreamdb_status decoded = ddb_roaring_decode(&ctx, blob, "bucket/fuzz", &anchors, &count);
    fuzz_status(decoded);
    FUZZ_WANT(decoded == DREAMDB_ERR_MEMORY || status == decoded);
    if (decoded == DREAMDB_OK) {
        ddb_buf out;
        FUZZ_WANT(more == count);
        for (i = 1; i < count; i++) { FUZZ_WANT(anchors[i - 1] < anchors[i]); }
        for (i = 0; i < count; i += 1 + count / 7) { FUZZ_WANT(ddb_roaring_contains(blob, anchors[i])); }
        if (count > 0) {
            ddb_bytes_init(&out, &ctx);
            ddb_roaring_encode(&out, anchors, count);
            FUZZ_WANT(ddb_roaring_decode(&ctx, ddb_bytes_slice(out.data, out.size), "bucket/again", &again, &more) == DREAMDB_OK);
            FUZZ_WANT(more == count && memcmp(again, anchors, count * sizeof *anchors) == 0);
            ddb_mem_drop(&ctx, again, uint64_t, more);
            ddb_bytes_free(&out);
        }
        ddb_mem_drop(&ctx, anchors, uint64_t, count);
    }
    FUZZ_WANT(fuzz_live == 0);
    return 0;
}
