/* Spatial index objects: decoded or refused; what decodes can give a key or say why not. */
#include "fuzz.h"

FUZZ(index)(const uint8_t *data, size_t size)
{
    ddb_ctx ctx = fuzz_ctx();
    ddb_index *index = NULL;
    dreamdb_status status;
    if (size > 1 << 16) { return 0; }
    status = ddb_index_decode(&ctx, ddb_bytes_slice(data, size), "spatial-index/fuzz", &index);
    fuzz_status(status);
    if (status == DREAMDB_OK) {
        size_t dim = (size_t)ddb_index_dim(index), width = ddb_index_key_size(index), i;
        if (dim < 4096 && width < 4096) {
            float *row = (float *)calloc(dim, sizeof *row);
            uint8_t *key = (uint8_t *)calloc(width + 1, 1);
            for (i = 0; row && i < dim; i++) { row[i] = (float)i - 1.5f; }
            if (row && key) {
                status = ddb_index_keys(&ctx, NULL, index, row, dim, 1, key);
                FUZZ_WANT(status == DREAMDB_OK || fuzz_error.message[0] != 0);
            }
            free(row); free(key);
        }
        ddb_index_free(&ctx, index);
    }
    FUZZ_WANT(fuzz_live == 0);
    return 0;
}
