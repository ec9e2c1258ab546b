/* Manifests: decoded or refused; what was decoded is written again byte for byte; the schema in it too. */
#include "fuzz.h"

FUZZ(manifest)(const uint8_t *data, size_t size)
{
    ddb_ctx ctx = fuzz_ctx();
    ddb_arena arena;
    ddb_manifest m;
    dreamdb_status status;
    memset(&arena, 0, sizeof arena);
    status = ddb_manifest_decode(&ctx, &arena, ddb_bytes_slice(data, size), "manifests/fuzz", &m);
    fuzz_status(status);
    if (status == DREAMDB_OK) {
        ddb_buf out;
        ddb_schema schema;
        ddb_bytes_init(&out, &ctx);
        FUZZ_WANT(ddb_manifest_encode(&out, &m) == DREAMDB_OK);
        FUZZ_WANT(out.size == size && memcmp(out.data, data, size) == 0);
        ddb_bytes_free(&out);
        status = ddb_manifest_schema(&ctx, &arena, &m, "manifests/fuzz", &schema);
        fuzz_status(status);
    }
    ddb_mem_arena_free(&ctx, &arena);
    FUZZ_WANT(fuzz_live == 0);
    return 0;
}
