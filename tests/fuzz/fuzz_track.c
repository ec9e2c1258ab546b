/* Tracks of every class: decoded or refused; what was decoded is written again byte for byte. */
#include "fuzz.h"

FUZZ(track)(const uint8_t *data, size_t size)
{
    ddb_ctx ctx = fuzz_ctx();
    int cls;
    for (cls = DDB_TRACK_ITEM; cls <= DDB_TRACK_OTHER; cls++) {
        ddb_arena arena;
        ddb_track track;
        dreamdb_status status;
        memset(&arena, 0, sizeof arena);
        status = ddb_track_decode(&ctx, &arena, (ddb_track_class)cls, ddb_bytes_slice(data, size), "track/fuzz", &track);
        fuzz_status(status);
        if (status == DREAMDB_OK) {
            ddb_buf out;
            ddb_bytes_init(&out, &ctx);
            FUZZ_WANT(ddb_track_encode(&out, &track) == DREAMDB_OK);
            FUZZ_WANT(out.size == size && memcmp(out.data, data, size) == 0);
            ddb_bytes_free(&out);
        }
        ddb_mem_arena_free(&ctx, &arena);
    }
    FUZZ_WANT(fuzz_live == 0);
    return 0;
}
