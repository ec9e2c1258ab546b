/* Buckets and sidecars: sizes are proven before a record is read; every record of what opens can be read. */
#include "fuzz.h"

FUZZ(bucket)(const uint8_t *data, size_t size)
{
    static const uint64_t dims[] = { 0, 1, 4, 5, 8 };
    ddb_ctx ctx = fuzz_ctx();
    size_t d, i;
    for (d = 0; d < sizeof dims / sizeof *dims; d++) {
        ddb_bucket bucket;
        const uint8_t *vectors = NULL;
        dreamdb_status status = ddb_bucket_open(&ctx, ddb_bytes_slice(data, size), "bucket/fuzz", dims[d], ddb_bytes_text("embedding.f32.dim=4.bucketed"), &bucket);
        uint64_t sum = 0;
        float row[8];
        fuzz_status(status);
        for (i = 0; status == DREAMDB_OK && i < bucket.count; i++) {
            sum ^= ddb_bucket_anchor(&bucket, i);
            if (dims[d] > 0 && !bucket.coded) { ddb_bucket_vector(&bucket, i, dims[d], row); }
        }
        FUZZ_WANT(status != DREAMDB_OK || bucket.count <= size);
        if (dims[d] > 0) {
            for (i = 0; i < 70; i += 23) {
                status = ddb_bucket_sidecar_open(&ctx, ddb_bytes_slice(data, size), "vectors/fuzz", dims[d], i, &vectors);
                fuzz_status(status);
                if (status == DREAMDB_OK && i > 0) { sum ^= vectors[0] ^ vectors[i * 4 * dims[d] - 1]; }
            }
        }
        fuzz_error.status = (dreamdb_status)(sum & 0);     /* keep the reads */
    }
    FUZZ_WANT(fuzz_live == 0);
    return 0;
}
