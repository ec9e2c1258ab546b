/* Rooms lsh, ivf, index: objects, keys and probes of the fixtures (tests/golden/numeric), every cpu mask, threads, environments, bad vectors,
   hostile objects, failing memory. */
#include "test.h"
#include "golden_numeric.h"

/* As a query does it: the vector is made ready once, then the cells are chosen. */
static dreamdb_status probe_raw(ddb_ctx *ctx, const ddb_index *ix, const float *q, uint64_t nprobe, ddb_arena *arena, uint8_t **keys, size_t *count)
{
    float unit[2048];
    *keys = NULL;
    *count = 0;
    dreamdb_status status = ddb_index_prepare_query(ctx, ix, q, unit);
    return status == DREAMDB_OK ? ddb_index_probe(ctx, ix, unit, nprobe, arena, keys, count) : status;
}

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
            CHECK(probe_raw(ctx, ix, q + i * dim, p == 3 && ddb_index_metric_l2(ix) ? 33 : nprobe[p], &arena, &probes, &count) == DREAMDB_OK);
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

/* Ties of the probe order (golden/make_numeric.py). */
static void check_probes(const ddb_index *ix, const float *q, ddb_slice want, uint64_t nprobe)
{
    ddb_arena arena = { NULL, 0 };
    uint8_t *keys = NULL;
    size_t count = 0, bits = ddb_index_bits(ix), size = ddb_index_key_size(ix);
    char text[300];
    CHECK(probe_raw(test_ctx(), ix, q, nprobe, &arena, &keys, &count) == DREAMDB_OK && count * bits == want.size);
    for (size_t j = 0; j < count && (j + 1) * bits <= want.size; j++) {
        ddb_index_key_text(ix, keys + j * size, text);
        if (memcmp(text, want.data + j * bits, bits) != 0) { printf("probe %zu is %s\n", j, text); test_ok = 0; return; }
    }
    ddb_mem_arena_free(test_ctx(), &arena);
}

static void golden_ties(void)
{
    golden g = golden_open("ties");
    ddb_index *ix = NULL;
    size_t floats = 0;
    CHECK(ddb_index_decode(test_ctx(), golden_next(&g), "x", &ix) == DREAMDB_OK);
    float *q = golden_floats(&g, &floats);
    for (size_t i = 0; ix && i < floats / 24; i++) { check_probes(ix, q + i * 24, golden_next(&g), UINT64_MAX); }
    ddb_index_free(test_ctx(), ix);
    free(q);
    size_t count = (size_t)golden_u64(golden_next(&g), 0);
    for (size_t i = 0; i < count; i++) {
        ix = NULL;
        CHECK(ddb_index_decode(test_ctx(), golden_next(&g), "x", &ix) == DREAMDB_OK);
        q = golden_floats(&g, NULL);
        if (ix) { check_probes(ix, q, golden_next(&g), 5); }
        ddb_index_free(test_ctx(), ix);
        free(q);
    }
    free(g.data);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* The caller's rounding mode and flush-to-zero change nothing and are still there afterwards. */
static void any_environment(void)
{
#if defined(DDB_EXACT_X86)
    static const uint32_t controls[] = { 0x9fc0, 0x3f80, 0x5f80, 0x7f80, 0xffc0 };
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
        uint32_t now = 0, usual = 0x1f80;
        __asm__ volatile("ldmxcsr %0" : : "m"(controls[i]) : "memory");
        golden_fixtures();
        golden_objects();
        golden_ties();
        __asm__ volatile("stmxcsr %0" : "=m"(now) : : "memory");
        CHECK_EQ_U64(now & 0xffc0u, controls[i] & 0xffc0u);
        __asm__ volatile("ldmxcsr %0" : : "m"(usual) : "memory");
    }
#endif
}

/* ---- Objects made by hand ---- */

static void put_head(ddb_buf *b, uint64_t members, uint64_t dim, uint64_t bits, const char *metric)
{
    ddb_cbor_map(b, members);
    ddb_cbor_str(b, "dim"); ddb_cbor_uint(b, dim);
    ddb_cbor_str(b, "bits"); ddb_cbor_uint(b, bits);
    ddb_cbor_str(b, "metric"); ddb_cbor_str(b, metric);
    ddb_cbor_str(b, "params");
}
static void put_tail(ddb_buf *b, const char *algorithm) { ddb_cbor_str(b, "algorithm"); ddb_cbor_str(b, algorithm); }
static const uint8_t zeros[4096] = { 0 };

static dreamdb_status decoded(ddb_buf *b, ddb_index **out)
{
    ddb_index *ix = NULL;
    dreamdb_status status = ddb_index_decode(test_ctx(), ddb_bytes_of(b), "spatial-index/x", &ix);
    CHECK((status == DREAMDB_OK) == (ix != NULL));
    CHECK(status == DREAMDB_OK || (test_error.status == status && test_error.message[0] != 0));
    if (out) { *out = ix; } else if (ix) { ddb_index_free(test_ctx(), ix); }
    b->size = 0;
    return status;
}

static dreamdb_status ivf_object(ddb_buf *b, uint64_t dim, uint64_t bits, uint64_t k, const float *c, size_t floats, uint64_t version, ddb_index **out)
{
    put_head(b, 5, dim, bits, "cosine");
    ddb_cbor_map(b, 3);
    ddb_cbor_str(b, "k"); ddb_cbor_uint(b, k);
    ddb_cbor_str(b, "version"); ddb_cbor_uint(b, version);
    uint8_t bytes[40 * 4];
    ddb_bytes_set_f32(bytes, c, floats < 40 ? floats : 40);
    ddb_cbor_str(b, "centroids"); ddb_cbor_bytes(b, bytes, floats * 4);
    put_tail(b, "dreamdb.ivf-cosine");
    return decoded(b, out);
}

static void bad_ivf_objects(void)
{
    ddb_buf b;
    float c[40];
    ddb_index *ix = NULL;
    for (int i = 0; i < 40; i++) { c[i] = test_randf(); }
    ddb_bytes_init(&b, test_ctx());
    CHECK(ivf_object(&b, 4, 3, 5, c, 20, 1, NULL) == DREAMDB_OK);
    CHECK(ivf_object(&b, 4, 24, 5, c, 20, 1, NULL) == DREAMDB_OK);
    CHECK(ivf_object(&b, 4, 255, 5, c, 20, 1, NULL) == DREAMDB_OK);
    CHECK(ivf_object(&b, 4, 2, 5, c, 20, 1, NULL) == DREAMDB_ERR_CORRUPT);
    CHECK_STR(test_error.message, "ivf: bits=2 too narrow to encode k=5 centroid ids");
    CHECK_STR(test_error.path, "spatial-index/x");
    CHECK(ivf_object(&b, 4, 256, 5, c, 20, 1, NULL) == DREAMDB_ERR_LIMIT);
    CHECK(ivf_object(&b, 4, 0, 5, c, 20, 1, NULL) == DREAMDB_ERR_CORRUPT);
    CHECK_STR(test_error.message, "SpatialIndex Object `bits` must be >= 1");
    CHECK(ivf_object(&b, 0, 3, 5, c, 0, 1, NULL) == DREAMDB_ERR_CORRUPT);
    CHECK(ivf_object(&b, 4, 3, 5, c, 19, 1, NULL) == DREAMDB_ERR_CORRUPT);
    CHECK(ivf_object(&b, 4, 3, 5, c, 21, 1, NULL) == DREAMDB_ERR_CORRUPT);
    CHECK(ivf_object(&b, 4, 3, 0, c, 0, 1, NULL) == DREAMDB_ERR_CORRUPT);
    CHECK(ivf_object(&b, UINT64_MAX, 3, 5, c, 20, 1, NULL) == DREAMDB_ERR_LIMIT);
    CHECK(ivf_object(&b, 4, 64, UINT64_MAX / 2 + 6, c, 20, 1, NULL) == DREAMDB_ERR_CORRUPT);
    CHECK(ivf_object(&b, 65536, 64, UINT32_MAX, c, 20, 1, NULL) == DREAMDB_ERR_CORRUPT);
    CHECK(ivf_object(&b, 4, 3, 5, c, 20, 2, NULL) == DREAMDB_ERR_CORRUPT);
    CHECK_STR(test_error.message, "SpatialIndex params v1 must omit embedding_spec_id and v2 must carry it");
    CHECK(ivf_object(&b, 4, 3, 5, c, 20, 3, NULL) == DREAMDB_ERR_FORMAT);
    memset(c + 8, 0, 16);
    CHECK(ivf_object(&b, 4, 3, 5, c, 20, 1, NULL) == DREAMDB_ERR_CORRUPT);
    CHECK_STR(test_error.message, "ivf: centroid 2 has zero norm");
    c[8] = ddb_exact_from_bits(0x7fc00000u);
    CHECK(ivf_object(&b, 4, 3, 5, c, 20, 1, NULL) == DREAMDB_ERR_CORRUPT);
    c[8] = 1e30f;
    CHECK(ivf_object(&b, 4, 3, 5, c, 20, 1, NULL) == DREAMDB_ERR_CORRUPT);
    c[8] = 1;
    memcpy(c + 16, c + 4, 16);                   /* centroid 4 = centroid 1: the tie goes to 1 */
    CHECK(ivf_object(&b, 4, 8, 5, c, 20, 1, &ix) == DREAMDB_OK);
    if (ix) {
        uint8_t key = 0, *keys = NULL;
        size_t count = 0;
        ddb_arena arena = { NULL, 0 };
        CHECK(ddb_index_keys(test_ctx(), NULL, ix, c + 4, 4, 1, &key) == DREAMDB_OK && key == 1);
        CHECK(probe_raw(test_ctx(), ix, c + 4, 2, &arena, &keys, &count) == DREAMDB_OK && count == 2 && keys[0] == 1 && keys[1] == 4);
        CHECK(probe_raw(test_ctx(), ix, c + 4, 0, &arena, &keys, &count) == DREAMDB_ERR_ARGUMENT);
        CHECK_STR(test_error.message, "probe_count must be >= 1");
        ddb_mem_arena_free(test_ctx(), &arena);
    }
    ddb_index_free(test_ctx(), ix);
    ddb_bytes_free(&b);
}

static void bad_lsh_objects(void)
{
    ddb_buf b;
    ddb_addr parents[2];
    ddb_bytes_init(&b, test_ctx());
    memset(parents, 7, sizeof parents);
    parents[0].bytes[0] = parents[1].bytes[0] = 0x1e;
    for (int i = 0; i < 9; i++) {
        put_head(&b, i == 5 || i == 6 || i == 8 ? 6 : 5, 4, 6, i == 1 ? "l2" : "cosine");
        ddb_cbor_map(&b, i == 2 ? 3 : i == 7 ? 1 : 2);
        if (i == 2) { ddb_cbor_str(&b, "k"); ddb_cbor_uint(&b, 4); }
        ddb_cbor_str(&b, "seed"); ddb_cbor_bytes(&b, zeros + 64, i == 3 ? 31 : 32);
        if (i != 7) { ddb_cbor_str(&b, "version"); ddb_cbor_uint(&b, i == 6 ? 2 : 1); }
        if (i == 8) { ddb_cbor_str(&b, "parents"); ddb_cbor_array(&b, 2); ddb_cbor_bytes(&b, parents, 33); ddb_cbor_bytes(&b, parents + 1, 33); }
        put_tail(&b, i == 4 ? "dreamdb.lsh-cosinus" : "dreamdb.lsh-cosine");
        if (i == 5) { ddb_cbor_str(&b, "unknown_member"); ddb_cbor_uint(&b, 1); }
        if (i == 6) { ddb_cbor_str(&b, "embedding_spec_id"); ddb_cbor_bytes(&b, parents, 33); }
        static const dreamdb_status want[9] = { DREAMDB_OK, DREAMDB_ERR_CORRUPT, DREAMDB_ERR_FORMAT, DREAMDB_ERR_CORRUPT, DREAMDB_ERR_FORMAT, DREAMDB_ERR_FORMAT,
                                                DREAMDB_OK, DREAMDB_ERR_CORRUPT, DREAMDB_OK };
        ddb_index *ix = NULL;
        dreamdb_status status = decoded(&b, &ix);
        if (status != want[i]) { printf("object %d: status %d, %s\n", i, (int)status, test_error.message); test_ok = 0; }
        if (i == 2) { CHECK_STR(test_error.message, "SpatialIndex Object has unknown field: lsh-cosine params: `k`"); }
        if (i == 6 && ix) { CHECK(ddb_index_spec(ix) && ddb_addr_equal(ddb_index_spec(ix), parents)); }
        if (i == 8 && ix) { size_t n = 0; CHECK(ddb_addr_equal(ddb_index_parents(ix, &n) + 1, parents + 1) && n == 2); }
        ddb_index_free(test_ctx(), ix);
    }
    put_head(&b, 5, 4, 6, "cosine");
    ddb_cbor_map(&b, 0);
    put_tail(&b, "dreamdb.imi-cosine");
    CHECK(decoded(&b, NULL) == DREAMDB_ERR_CORRUPT);
    CHECK_STR(test_error.message, "SpatialIndex: params.version is missing");
    ddb_bytes_free(&b);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void bad_l2_objects(void)
{
    static const uint64_t widths[] = { 0x3ff0000000000000u, 0, 0x7ff0000000000000u, 0x7ff8000000000000u, 0xbff0000000000000u, 0x8000000000000000u, 1, 0x7fefffffffffffffu };
    ddb_buf b;
    ddb_bytes_init(&b, test_ctx());
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        uint8_t width[8];
        ddb_index *ix = NULL;
        ddb_bytes_set_le64(width, widths[i]);
        put_head(&b, 5, 3, 64, "l2");
        ddb_cbor_map(&b, 3);
        ddb_cbor_str(&b, "seed"); ddb_cbor_bytes(&b, zeros + 64, 32);
        ddb_cbor_str(&b, "version"); ddb_cbor_uint(&b, 1);
        ddb_cbor_str(&b, "bucket_width_f64le"); ddb_cbor_bytes(&b, width, 8);
        put_tail(&b, "dreamdb.lsh-l2");
        dreamdb_status status = decoded(&b, &ix);
        CHECK(status == (i == 0 || i > 5 ? DREAMDB_OK : DREAMDB_ERR_CORRUPT));
        if (i == 0 && ix) {                      /* a zero vector is legal, a NaN is not, and a bin must fit 64 bits */
            float x[9] = { 0, 0, 0, 1e30f, -1e30f, 1e30f, 0, 0, 0 };
            uint8_t keys[24], *probes = NULL;
            ddb_arena arena = { NULL, 0 };
            size_t count = 0;
            CHECK(ddb_index_keys(test_ctx(), NULL, ix, x, 3, 1, keys) == DREAMDB_OK);
            CHECK(ddb_index_keys(test_ctx(), NULL, ix, x, 3, 3, keys) == DREAMDB_ERR_ARGUMENT);
            CHECK_STR(test_error.message, "row 1: L2 index: projected bin outside signed 64-bit range");
            CHECK(probe_raw(test_ctx(), ix, x + 3, 5, &arena, &probes, &count) == DREAMDB_ERR_ARGUMENT);
            x[7] = ddb_exact_from_bits(0x7fc00000u);
            CHECK(ddb_index_keys(test_ctx(), NULL, ix, x + 6, 3, 1, keys) == DREAMDB_ERR_ARGUMENT);
            CHECK_STR(test_error.message, "row 0: L2 index: vector dimension or nonfinite component");
            CHECK(probe_raw(test_ctx(), ix, x, UINT64_MAX, &arena, &probes, &count) == DREAMDB_OK && count == 1 << 20);
            CHECK(ddb_lsh_l2_probe(test_ctx(), INT64_MAX - 1, 0.9, 5, &arena, &probes, &count) == DREAMDB_OK && count == 5);
            CHECK(ddb_bytes_be64(probes) == UINT64_MAX - 1 && ddb_bytes_be64(probes + 8) == UINT64_MAX && ddb_bytes_be64(probes + 16) == UINT64_MAX - 2);
            CHECK(ddb_lsh_l2_probe(test_ctx(), INT64_MIN, 0.1, 3, &arena, &probes, &count) == DREAMDB_OK && count == 3);
            CHECK(ddb_bytes_be64(probes) == 0 && ddb_bytes_be64(probes + 8) == 1 && ddb_bytes_be64(probes + 16) == 2);
            ddb_mem_arena_free(test_ctx(), &arena);
        }
        ddb_index_free(test_ctx(), ix);
    }
    ddb_bytes_free(&b);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Any damage to an object gives a value or an error, and cut objects never a value. */
static void damaged_objects(void)
{
    for (size_t f = 0; f < sizeof fixtures / sizeof *fixtures; f++) {
        golden g = golden_open(fixtures[f]);
        ddb_slice object = golden_next(&g);
        for (size_t i = 0; i < object.size + 2000; i++) {
            size_t size = i < object.size ? i : object.size;
            uint8_t *copy = (uint8_t *)malloc(size + 1);     /* exact size: the sanitizer sees every byte too far */
            ddb_index *ix = NULL;
            memcpy(copy, object.data, size);
            if (i >= object.size) { copy[test_rand() % size] ^= (uint8_t)(1u << test_rand() % 8); }
            dreamdb_status status = ddb_index_decode(test_ctx(), ddb_bytes_slice(copy, size), "x", &ix);
            CHECK((status == DREAMDB_OK) == (ix != NULL) && (i >= object.size || status < 0));
            ddb_index_free(test_ctx(), ix);
            free(copy);
        }
        free(g.data);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void bad_vectors(void)
{
    static const char *const names[] = { "spatial-ivf", "spatial-lsh" };
    for (size_t f = 0; f < 2; f++) {
        golden g = golden_open(names[f]);
        ddb_index *ix = NULL;
        ddb_pool *pool = NULL;
        size_t n = 1000, dim = 8;
        float *x = (float *)calloc(n * dim, sizeof *x), q[8];
        uint8_t *keys = (uint8_t *)malloc(n * 32);
        CHECK(ddb_pool_open(test_ctx(), 2, NULL, NULL, &pool) == DREAMDB_OK);
        CHECK(ddb_index_decode(test_ctx(), golden_next(&g), "x", &ix) == DREAMDB_OK);
        if (!ix || !x || !keys) { return; }
        CHECK_EQ_U64(ddb_index_dim(ix), dim);
        for (size_t i = 0; i < n * dim; i++) { x[i] = test_randf(); }
        memset(x + 700 * dim, 0, dim * 4);
        CHECK(ddb_index_keys(test_ctx(), pool, ix, x, dim, n, keys) == DREAMDB_ERR_ARGUMENT);
        CHECK_STR(test_error.message, "row 700: vector norm is zero (cannot normalize)");
        x[17 * dim + 3] = ddb_exact_from_bits(0xff800000u);
        CHECK(ddb_index_keys(test_ctx(), pool, ix, x, dim, n, keys) == DREAMDB_ERR_ARGUMENT);
        CHECK_STR(test_error.message, "row 17: input vector contains NaN or infinity");
        x[3 * dim] = 1e20f;
        CHECK(ddb_index_keys(test_ctx(), pool, ix, x, dim, n, keys) == DREAMDB_ERR_ARGUMENT);
        CHECK_STR(test_error.message, f == 0 ? "row 3: intermediate f32 computation produced NaN/inf"
                                             : "row 3: intermediate f32 computation produced NaN/inf (overflow on huge magnitudes)");
        CHECK(ddb_index_prepare_query(test_ctx(), ix, x + 3 * dim, q) == DREAMDB_ERR_ARGUMENT);
        CHECK(ddb_index_prepare_query(test_ctx(), ix, x, q) == DREAMDB_OK);
        CHECK(ddb_index_keys(test_ctx(), pool, ix, x, dim, 0, keys) == DREAMDB_OK);
        ddb_pool_close(test_ctx(), pool);
        ddb_index_free(test_ctx(), ix);
        free(x); free(keys); free(g.data);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void memory_fails(void)
{
    for (size_t f = 0; f < sizeof fixtures / sizeof *fixtures; f++) {
        golden g = golden_open(fixtures[f]);
        ddb_slice object = golden_next(&g), head = golden_next(&g);
        float *x = golden_floats(&g, NULL);
        dreamdb_status status = DREAMDB_ERR_MEMORY;
        for (long n = 1; n < 60 && status < 0; n++) {
            ddb_ctx *ctx = test_ctx();
            ddb_index *ix = NULL;
            ddb_arena arena = { NULL, 0 };
            uint8_t keys[64 * 8], *probes = NULL;
            size_t count = 0;
            test_fail_alloc_at(n);
            status = ddb_index_decode(ctx, object, "x", &ix);
            if (status == DREAMDB_OK) { status = ddb_index_keys(ctx, NULL, ix, x, (size_t)golden_u64(head, 0), 10, keys); }
            if (status == DREAMDB_OK) { status = probe_raw(ctx, ix, x, 32, &arena, &probes, &count); }
            test_fail_alloc_at(0);
            CHECK(status == DREAMDB_OK || (status == DREAMDB_ERR_MEMORY && test_error.status == DREAMDB_ERR_MEMORY));
            CHECK(n > 5 || status < 0);
            ddb_mem_arena_free(ctx, &arena);
            ddb_index_free(ctx, ix);
            CHECK_EQ_U64(test_live_bytes(), 0);
        }
        CHECK(status == DREAMDB_OK);
        free(x); free(g.data);
    }
}

static void bits_of_counts(void)
{
    CHECK(ddb_index_bits_of(1) == 1 && ddb_index_bits_of(2) == 1 && ddb_index_bits_of(3) == 2 && ddb_index_bits_of(16733) == 15 && ddb_index_bits_of(65536) == 16);
}

int main(void)
{
    RUN(golden_fixtures);
    RUN(golden_objects);
    RUN(golden_ties);
    RUN(any_environment);
    RUN(bad_ivf_objects);
    RUN(bad_lsh_objects);
    RUN(bad_l2_objects);
    RUN(damaged_objects);
    RUN(bad_vectors);
    RUN(memory_fails);
    RUN(bits_of_counts);
    return test_end("index");
}
