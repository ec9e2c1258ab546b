/* Room rabitq and its row in room index's table of compressors: objects, rotation, codes, decoded vectors and scores of
   golden/make_codec.py at every cpu mask; a stupid model of the rotation; other floating-point environments; hostile objects; failing memory. */
#include "test.h"
#include "golden_numeric.h"

static const uint32_t masks[] = { 0xffffffffu, 0, DDB_CPU_SSE41 | DDB_CPU_AVX2, DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA,
    DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA | DDB_CPU_AVX512, DDB_CPU_NEON };
enum { MASKS = sizeof masks / sizeof *masks };

static ddb_codec *opened(ddb_slice object, uint32_t mask)
{
    ddb_codec *codec = NULL;
    ddb_ctx *ctx = test_ctx();
    ctx->cpu &= mask;
    CHECK(ddb_index_codec_decode(ctx, object, "vector-compressor/x", &codec) == DREAMDB_OK);
    if (!codec) { printf("%s\n", test_error.message); exit(1); }
    return codec;
}

static void check_floats(const float *got, ddb_slice want, const char *what, size_t dim)
{
    float *w = (float *)malloc(want.size + 4);
    if (!w) { exit(1); }
    ddb_bytes_get_f32(w, want.data, want.size / 4);
    for (size_t i = 0; i < want.size / 4; i++) {
        if (ddb_exact_bits(got[i]) != ddb_exact_bits(w[i])) { printf("%s of dim %zu: float %zu is %a, not %a\n", what, dim, i, (double)got[i], (double)w[i]); test_ok = 0; break; }
    }
    free(w);
}

/* One case of the golden file. */
static void one_case(golden *g, uint32_t mask, ddb_pool *pool)
{
    ddb_slice object = golden_next(g), head = golden_next(g), seed = golden_next(g), rotation = golden_next(g);
    size_t dim = (size_t)golden_u64(head, 0), bits = (size_t)golden_u64(head, 1), n = (size_t)golden_u64(head, 3), queries = (size_t)golden_u64(head, 4);
    ddb_codec *codec = opened(object, mask);
    ddb_ctx *ctx = test_ctx();
    ctx->cpu &= mask;
    ddb_buf buf;
    ddb_bytes_init(&buf, ctx);
    ddb_index_encode_rabitq(&buf, (uint32_t)dim, (uint32_t)bits, golden_u64(head, 2) != 0, seed.data);
    CHECK(buf.size == object.size && memcmp(buf.data, object.data, buf.size) == 0);
    ddb_bytes_free(&buf);
    float *x = golden_floats(g, NULL), *q;
    ddb_slice codes = golden_next(g), decoded = golden_next(g);
    CHECK_EQ_U64(codec->code_bytes * n, codes.size);
    uint8_t *got = (uint8_t *)malloc(codes.size + 1);
    float *out = (float *)malloc(decoded.size + 4), *prepared = (float *)malloc(codec->query_floats * sizeof(float)), *unit = (float *)malloc(dim * sizeof(float) + 4);
    float *scores = (float *)malloc(n * sizeof(float));
    if (!got || !out || !prepared || !unit || !scores) { exit(1); }
    CHECK(ddb_index_codes(ctx, pool, codec, x, dim, n, got) == DREAMDB_OK);
    for (size_t i = 0; i < n; i++) {
        if (memcmp(got + i * codec->code_bytes, codes.data + i * codec->code_bytes, codec->code_bytes) != 0) { printf("dim %zu, %zu bits: code %zu differs\n", dim, bits, i); test_ok = 0; }
    }
    CHECK(ddb_index_codec_vectors(ctx, codec, codes.data, codec->code_bytes, n, out) == DREAMDB_OK);
    check_floats(out, decoded, "a decoded vector", dim);
    for (size_t j = 0; j < dim; j++) {                         /* the rotation itself, out of its packs */
        for (size_t t = 0; t < dim; t++) {
            uint32_t want = ddb_bytes_le32(rotation.data + (j * dim + t) * 4);
            size_t row = (j / 16 * dim + t) * 16 + j % 16, column = (t / 16 * dim + j) * 16 + t % 16;
            if (ddb_exact_bits(codec->rabitq->rows[row]) != want || ddb_exact_bits(codec->rabitq->columns[column]) != want) { printf("dim %zu: R[%zu][%zu]\n", dim, j, t); test_ok = 0; j = dim - 1; break; }
        }
    }
    q = golden_floats(g, NULL);
    for (size_t i = 0; i < queries; i++) {
        ddb_exact_env env;
        ddb_exact_enter(&env);
        CHECK(ddb_exact_unit(q + i * dim, dim, unit) == DDB_EXACT_GOOD);
        ddb_exact_leave(&env);
        CHECK(ddb_index_codec_query(ctx, codec, unit, prepared) == DREAMDB_OK);
        for (size_t some = n; some + 5 > n; some--) {          /* rows from different places: whole and part groups of whatever the kernel takes at once */
            ddb_index_codec_scores(ctx->cpu, codec, prepared, codes.data + (n - some) * codec->code_bytes, codec->code_bytes, some, scores + (n - some));
        }
        check_floats(scores, golden_next(g), "a score", dim);
    }
    free(got); free(out); free(prepared); free(unit); free(scores); free(x); free(q);
    ddb_index_codec_free(ctx, codec);
}

static void golden_cases(void)
{
    ddb_pool *pool = NULL;
    CHECK(ddb_pool_open(test_ctx(), 2, NULL, NULL, &pool) == DREAMDB_OK);
    for (size_t m = 0; m < MASKS; m++) {
        golden g = golden_open("rabitq");
        size_t count = (size_t)golden_u64(golden_next(&g), 0);
        for (size_t i = 0; i < count; i++) { one_case(&g, masks[m], m % 2 ? pool : NULL); }
        free(g.data);
    }
    ddb_pool_close(test_ctx(), pool);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* The caller's rounding mode and flush-to-zero change nothing. */
static void any_environment(void)
{
#if defined(DDB_EXACT_X86)
    static const uint32_t controls[] = { 0x9fc0, 0x3f80, 0x5f80, 0xffc0 };
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
        uint32_t now = 0, usual = 0x1f80;
        __asm__ volatile("ldmxcsr %0" : : "m"(controls[i]) : "memory");
        golden g = golden_open("rabitq");
        size_t count = (size_t)golden_u64(golden_next(&g), 0);
        for (size_t c = 0; c < count; c++) { one_case(&g, 0xffffffffu, NULL); }
        __asm__ volatile("stmxcsr %0" : "=m"(now) : : "memory");
        __asm__ volatile("ldmxcsr %0" : : "m"(usual) : "memory");
        CHECK_EQ_U64(now & 0xffc0u, controls[i] & 0xffc0u);
        free(g.data);
    }
#endif
}

/* The stupid rotation: one row after the other, as FORMAT.md 11 tells it. */
static void rotation_model(void)
{
    static const uint32_t dims[] = { 3, 15, 17, 127, 128, 129, 145, 257 };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        uint32_t dim = dims[d];
        uint8_t seed[32];
        float *q = (float *)malloc((size_t)dim * dim * sizeof(float)), *v = (float *)malloc(dim * sizeof(float));
        ddb_rabitq *r = NULL;
        ddb_chacha words;
        ddb_ctx *ctx = test_ctx();
        for (size_t i = 0; i < 32; i++) { seed[i] = (uint8_t)test_rand(); }
        if (!q || !v) { exit(1); }
        CHECK(ddb_rabitq_open(ctx, dim, 1, false, seed, &r) == DREAMDB_OK && ddb_rabitq_ready(ctx, r) == DREAMDB_OK);
        ddb_exact_chacha_init(&words, seed);
        for (uint32_t i = 0; i < dim; i++) {
            for (uint32_t t = 0; t < dim; t++) { v[t] = ddb_exact_uniform(ddb_exact_chacha_word(&words)); }
            for (uint32_t j = 0; j < i; j++) {
                float c = ddb_exact_fold(v, q + (size_t)j * dim, dim);
                for (uint32_t t = 0; t < dim; t++) { v[t] = ddb_exact_sub(v[t], ddb_exact_mul(c, q[(size_t)j * dim + t])); }
            }
            float inverse = ddb_exact_div(1.0f, ddb_exact_sqrt(ddb_exact_fold(v, v, dim)));
            for (uint32_t t = 0; t < dim; t++) {
                q[(size_t)i * dim + t] = ddb_exact_mul(v[t], inverse);
                CHECK(ddb_exact_bits(q[(size_t)i * dim + t]) == ddb_exact_bits(r->rows[((size_t)(i / 16) * dim + t) * 16 + i % 16]));
            }
        }
        ddb_rabitq_close(ctx, r);
        free(q); free(v);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* A seed whose stream begins with zero words for dim 1 cannot be found by chance, but extreme values can: clipping at both ends, no step outside. */
static void levels_clip(void)
{
    static const float nasty[] = { 0, 1e30f, -1e30f, 3.4e38f, -3.4e38f, 1e-45f, 1, -1, 4, -4, 3.9999998f };
    static const uint32_t bits[] = { 1, 2, 4, 8 };
    uint8_t seed[32] = { 3 };
    for (size_t b = 0; b < 4; b++) {
        for (size_t i = 0; i < sizeof nasty / sizeof *nasty; i++) {
            ddb_rabitq *r = NULL;
            uint8_t code[8] = { 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa };
            float x = nasty[i], back = 0;
            ddb_ctx *ctx = test_ctx();
            CHECK(ddb_rabitq_open(ctx, 1, bits[b], b == 0, seed, &r) == DREAMDB_OK && ddb_rabitq_encode(ctx, r, &x, 1, 1, code) == DREAMDB_OK);
            CHECK(code[ddb_rabitq_code_bytes(r)] == 0xaa && code[0] < 1u << bits[b]);
            CHECK(ddb_rabitq_decode(ctx, r, code, 8, 1, &back) == DREAMDB_OK);
            if (bits[b] == 8 && x > -3.9f && x < 3.9f) { CHECK(back - x < .02f && x - back < .02f); }
            ddb_rabitq_close(ctx, r);
        }
    }
}

/* ---- Objects ---- */
static dreamdb_status decode_bytes(const uint8_t *data, size_t size)
{
    ddb_codec *codec = NULL;
    ddb_ctx *ctx = test_ctx();
    dreamdb_status status = ddb_index_codec_decode(ctx, ddb_bytes_slice(data, size), "vector-compressor/x", &codec);
    CHECK((status == DREAMDB_OK) == (codec != NULL));
    CHECK(status == DREAMDB_OK || (test_error.status == status && test_error.message[0] != 0));
    ddb_index_codec_free(ctx, codec);
    return status;
}

static dreamdb_status made(uint64_t dim, uint64_t bits, int factors, uint64_t version, uint64_t code_bytes, const char *algorithm, size_t seed, int more)
{
    static const uint8_t zeros[64] = { 0 };
    ddb_buf b;
    ddb_bytes_init(&b, test_ctx());
    ddb_cbor_map(&b, more == 1 ? 7 : 6);
    ddb_cbor_str(&b, "dim"); ddb_cbor_uint(&b, dim);
    ddb_cbor_str(&b, "metric"); ddb_cbor_str(&b, more == 2 ? "l2" : "cosine");
    ddb_cbor_str(&b, "params"); ddb_cbor_map(&b, (uint64_t)(3 + (factors >= 0) + (more == 3)));
    if (more == 3) { ddb_cbor_str(&b, "m"); ddb_cbor_uint(&b, 1); }
    ddb_cbor_str(&b, "version"); ddb_cbor_uint(&b, version);
    ddb_cbor_str(&b, "bits_per_dim"); ddb_cbor_uint(&b, bits);
    ddb_cbor_str(&b, "rotation_seed"); ddb_cbor_bytes(&b, zeros, seed);
    if (factors >= 0) { ddb_cbor_str(&b, "with_correction_factors"); ddb_cbor_bool(&b, factors > 0); }
    ddb_cbor_str(&b, "algorithm"); ddb_cbor_str(&b, algorithm);
    ddb_cbor_str(&b, "code_bytes"); ddb_cbor_uint(&b, code_bytes);
    ddb_cbor_str(&b, "supports_decode"); ddb_cbor_bool(&b, more != 4);
    if (more == 1) { ddb_cbor_str(&b, "unknown_member_x"); ddb_cbor_uint(&b, 1); }
    dreamdb_status status = decode_bytes(b.data, b.size);
    ddb_bytes_free(&b);
    return status;
}

static void bad_objects(void)
{
    static const char name[] = "dreamdb.rabitq-cosine";
    CHECK(made(8, 1, 1, 1, 5, name, 32, 0) == DREAMDB_OK);
    CHECK(made(8, 1, 0, 1, 1, name, 32, 0) == DREAMDB_OK);
    CHECK(made(9, 4, -1, 1, 5, name, 32, 0) == DREAMDB_OK);
    CHECK(made(8192, 8, -1, 1, 8192, name, 32, 0) == DREAMDB_OK);          /* opening makes no rotation */
    CHECK(made(8193, 8, -1, 1, 8193, name, 32, 0) == DREAMDB_ERR_LIMIT);
    CHECK(made(UINT64_MAX, 8, -1, 1, 5, name, 32, 0) == DREAMDB_ERR_LIMIT);
    CHECK(made(0, 1, -1, 1, 0, name, 32, 0) == DREAMDB_ERR_CORRUPT);
    CHECK(made(8, 3, -1, 1, 3, name, 32, 0) == DREAMDB_ERR_CORRUPT);
    CHECK_STR(test_error.message, "bits_per_dim=3 not supported (use 1, 2, 4, or 8)");
    CHECK(made(8, 4, 1, 1, 8, name, 32, 0) == DREAMDB_ERR_CORRUPT);
    CHECK(made(8, 1, 1, 1, 1, name, 32, 0) == DREAMDB_ERR_CORRUPT);
    CHECK(made(8, 1, 1, 1, 5, name, 31, 0) == DREAMDB_ERR_CORRUPT);
    CHECK(made(8, 1, 1, 2, 5, name, 32, 0) == DREAMDB_ERR_FORMAT);
    CHECK(made(8, 1, 1, 1, 5, name, 32, 1) == DREAMDB_ERR_FORMAT);
    CHECK(made(8, 1, 1, 1, 5, name, 32, 2) == DREAMDB_ERR_CORRUPT);
    CHECK(made(8, 1, 1, 1, 5, name, 32, 3) == DREAMDB_ERR_FORMAT);
    CHECK_STR(test_error.message, "VectorCompressor Object has unknown field: rabitq-cosine params: `m`");
    CHECK(made(8, 1, 1, 1, 5, name, 32, 4) == DREAMDB_ERR_CORRUPT);
    CHECK(made(8, 1, 1, 1, 5, "dreamdb.qinco-cosine", 32, 0) == DREAMDB_ERR_UNSUPPORTED);
    CHECK(made(8, 1, 1, 1, 5, "dreamdb.zip", 32, 0) == DREAMDB_ERR_FORMAT);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Every prefix and every flipped byte of a real object. */
static void hostile_objects(void)
{
    golden g = golden_open("rabitq");
    (void)golden_next(&g);
    ddb_slice object = golden_next(&g);
    uint8_t *copy = (uint8_t *)malloc(object.size);
    if (!copy) { exit(1); }
    for (size_t cut = 0; cut < object.size; cut++) { CHECK(decode_bytes(object.data, cut) < 0); }
    for (size_t i = 0; i < object.size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, object.data, object.size);
            copy[i] ^= (uint8_t)(1u << bit);
            (void)decode_bytes(copy, object.size);
        }
    }
    free(copy); free(g.data);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void failing_memory(void)
{
    golden g = golden_open("rabitq");
    (void)golden_next(&g);
    ddb_slice object = golden_next(&g);
    float x[2] = { .5f, -.25f }, out[2], prepared[16];
    uint8_t code[8];
    int done = 0;
    for (long n = 1; n < 100 && !done; n++) {
        ddb_codec *codec = NULL;
        ddb_ctx *ctx = test_ctx();
        test_fail_alloc_at(n);
        dreamdb_status status = ddb_index_codec_decode(ctx, object, "x", &codec);
        status = status < 0 ? status : ddb_index_codes(ctx, NULL, codec, x, 1, 1, code);
        status = status < 0 ? status : ddb_index_codec_vectors(ctx, codec, code, 1, 1, out);
        status = status < 0 ? status : ddb_index_codec_query(ctx, codec, x, prepared);
        done = status == DREAMDB_OK && test_allocs < n;
        CHECK(done || status == DREAMDB_ERR_MEMORY);
        test_fail_alloc_at(0);
        ddb_index_codec_free(ctx, codec);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
    CHECK(done);
    free(g.data);
}

int main(void)
{
    RUN(golden_cases);
    RUN(any_environment);
    RUN(rotation_model);
    RUN(levels_clip);
    RUN(bad_objects);
    RUN(hostile_objects);
    RUN(failing_memory);
    return test_end("rabitq");
}
