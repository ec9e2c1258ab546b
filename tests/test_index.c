/* Rooms lsh, ivf, index: objects, keys and probes of the fixtures (tests/golden/numeric), every cpu mask, threads, environments, bad vectors,
   hostile objects, failing memory. */
#include "test.h"
#include "golden_numeric.h"

static const uint32_t masks[] = { 0xffffffffu, 0, DDB_CPU_SSE41 | DDB_CPU_AVX2, DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA,
    DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA | DDB_CPU_AVX512, DDB_CPU_NEON };
enum { MASKS = sizeof masks / sizeof *masks };
static const char *const fixtures[] = { "spatial-ivf", "spatial-lsh", "spatial-lsh20", "spatial-l2", "spatial-raw-rerank" };

static void one_fixture(const char *name, uint32_t mask, ddb_pool *pool)
{
    golden g = golden_open(name);
    ddb_slice object = golden_next(&g), head = golden_next(&g), texts;
    size_t dim = (size_t)golden_u64(head, 0), bits = (size_t)golden_u64(head, 1), n = (size_t)golden_u64(head, 2), queries = (size_t)golden_u64(head, 3);
    float *x = golden_floats(&g, NULL);
    ddb_index *ix = NULL;
    ddb_ctx *ctx = test_ctx();
    char text[300];
    ctx->cpu &= mask;
    texts = golden_next(&g);
    CHECK(ddb_index_decode(ctx, object, "x", &ix) == DREAMDB_OK);
    if (!ix) { printf("%s: %s\n", name, test_error.message); return; }
    CHECK_EQ_U64(ddb_index_dim(ix), dim);
    CHECK_EQ_U64(ddb_index_bits(ix), bits);
    size_t size = ddb_index_key_size(ix);
    uint8_t *keys = (uint8_t *)malloc(n * size);
    CHECK(keys && ddb_index_keys(ctx, pool, ix, x, dim, n, keys) == DREAMDB_OK);
    for (size_t i = 0; i < n; i++) {
        uint8_t back[40];
        ddb_index_key_text(ix, keys + i * size, text);
        if (memcmp(text, texts.data + i * bits, bits) != 0) { printf("%s: key %zu is %s\n", name, i, text); test_ok = 0; }
        CHECK(ddb_index_key_parse(ix, ddb_bytes_slice(text, bits), back) && memcmp(back, keys + i * size, size) == 0);
    }
    float *q = golden_floats(&g, NULL);
    static const uint64_t nprobe[4] = { 1, 5, 32, 1000 };
    for (size_t p = 0; p < 4; p++) {
        for (size_t i = 0; i < queries; i++) {
            ddb_slice want = golden_next(&g);
            ddb_arena arena = { NULL, 0 };
            uint8_t *probes = NULL;
            size_t count = 0;
            CHECK(ddb_index_probe(ctx, ix, q + i * dim, p == 3 && ddb_index_metric_l2(ix) ? 33 : nprobe[p], &arena, &probes, &count) == DREAMDB_OK);
            CHECK_EQ_U64(count, want.size / bits);
            for (size_t j = 0; j < count && j < want.size / bits; j++) {
                ddb_index_key_text(ix, probes + j * size, text);
                if (memcmp(text, want.data + j * bits, bits) != 0) { printf("%s: probe %zu of query %zu is %s\n", name, j, i, text); test_ok = 0; }
            }
            ddb_mem_arena_free(ctx, &arena);
        }
    }
    free(keys); free(q); free(x);
    ddb_index_free(ctx, ix);
    free(g.data);
}

static void golden_fixtures(void)
{
    ddb_pool *pool = NULL;
    CHECK(ddb_pool_open(test_ctx(), 2, NULL, NULL, &pool) == DREAMDB_OK);
    for (size_t f = 0; f < sizeof fixtures / sizeof *fixtures; f++) {
        for (size_t m = 0; m < MASKS; m++) { one_fixture(fixtures[f], masks[m], m % 2 ? pool : NULL); }
    }
    ddb_pool_close(test_ctx(), pool);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Encoding a fixture's parts gives its bytes; training gives its centroids. */
static void golden_objects(void)
{
    for (size_t f = 0; f < sizeof fixtures / sizeof *fixtures; f++) {
        golden g = golden_open(fixtures[f]);
        ddb_slice object = golden_next(&g), head = golden_next(&g), seed = object;
        uint32_t dim = (uint32_t)golden_u64(head, 0), bits = (uint32_t)golden_u64(head, 1), k = (uint32_t)golden_u64(head, 5);
        float *x = golden_floats(&g, NULL);
        ddb_ctx *ctx = test_ctx();
        ddb_index *ix = NULL;
        ddb_buf buf;
        while (g.at < g.size) { seed = golden_next(&g); }
        ddb_bytes_init(&buf, ctx);
        CHECK(ddb_index_decode(ctx, object, "x", &ix) == DREAMDB_OK);
        if (!ix) { return; }
        ddb_index_parts parts;
        ddb_index_params params;
        CHECK(ddb_index_read_parts(ctx, object, "x", &parts) == DREAMDB_OK && ddb_index_read_params(ctx, ix, parts.params, "x", &params) == DREAMDB_OK);
        if (ix->kind == DREAMDB_INDEX_LSH) { ddb_index_encode_lsh(&buf, bits, dim, params.seed.data); }
        if (ix->kind == DREAMDB_INDEX_LSH_L2) { ddb_index_encode_lsh_l2(&buf, dim, 1.0, params.seed.data); }
        if (ix->kind == DREAMDB_INDEX_IVF) {
            float *c = (float *)calloc((size_t)k * dim, sizeof *c);
            CHECK(c && ddb_kmeans_train(ctx, NULL, x, (size_t)golden_u64(head, 4), dim, k, (uint32_t)golden_u64(head, 6), ddb_bytes_le64(seed.data), NULL, NULL, c) == DREAMDB_OK);
            CHECK_EQ_U64(bits, ddb_index_bits_of(k));
            ddb_index_encode_ivf(&buf, bits, dim, k, c, NULL, 0);
            free(c);
        }
        CHECK_EQ_U64(buf.size, object.size);
        if (buf.size == object.size) { CHECK_BYTES(buf.data, object.data, buf.size); }
        ddb_bytes_free(&buf);
        ddb_index_free(ctx, ix);
        free(x); free(g.data);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

int main(void)
{
    RUN(golden_fixtures);
    RUN(golden_objects);
    return test_end("index");
}
