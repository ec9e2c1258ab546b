/* VectorCompressor objects: decoded or refused; what decodes can score and decode any code that it calls valid. */
#include "fuzz.h"

FUZZ(codec)(const uint8_t *data, size_t size)
{
    ddb_ctx ctx = fuzz_ctx();
    ddb_codec *codec = NULL;
    dreamdb_status status;
    if (size > 1 << 16) { return 0; }
    status = ddb_index_codec_decode(&ctx, ddb_bytes_slice(data, size), "vector-compressor/fuzz", &codec);
    fuzz_status(status);
    if (status == DREAMDB_OK && codec->dim <= 64) {            /* a rotation costs the cube of the dimensions */
        enum { CODES = 9 };
        size_t dim = codec->dim, i;
        float *unit = (float *)calloc(dim, sizeof *unit), *query = (float *)calloc(codec->query_floats + 1, sizeof *query), scores[CODES];
        float *vectors = (float *)calloc(dim * CODES, sizeof *vectors);
        uint8_t *codes = (uint8_t *)calloc(codec->code_bytes * CODES + 1, 1);
        FUZZ_WANT(unit && query && vectors && codes);
        unit[0] = 1;
        for (i = 0; i < codec->code_bytes * CODES; i++) { codes[i] = data[i % size]; }
        FUZZ_WANT(ddb_index_codec_query(&ctx, codec, unit, query) == DREAMDB_OK);
        if (ddb_index_codec_valid(codec, codes, codec->code_bytes, CODES)) {
            ddb_index_codec_scores(ctx.cpu, codec, query, codes, codec->code_bytes, CODES, scores);
            FUZZ_WANT(ddb_index_codec_vectors(&ctx, codec, codes, codec->code_bytes, CODES, vectors) == DREAMDB_OK);
        }
        FUZZ_WANT(ddb_index_codes(&ctx, NULL, codec, vectors, dim, 1, codes) == DREAMDB_OK);
        free(unit); free(query); free(vectors); free(codes);
    }
    ddb_index_codec_free(&ctx, codec);
    FUZZ_WANT(fuzz_live == 0);
    return 0;
}
