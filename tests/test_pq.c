/* Room pq and its row in room index's table of compressors: training, objects, codes, decoded vectors and scores of golden/make_codec.py at
   every cpu mask; a stupid model on random data with ties; hostile objects and codes; failing memory. */
#include "test.h"
#include "golden_numeric.h"

static const uint32_t masks[] = { 0xffffffffu, 0, DDB_CPU_SSE41 | DDB_CPU_AVX2, DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA,
    DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA | DDB_CPU_AVX512, DDB_CPU_NEON };
enum { MASKS = sizeof masks / sizeof *masks };

static int same_floats(const float *got, ddb_slice want)
{
    for (size_t i = 0; i < want.size / 4; i++) {
        if (ddb_exact_bits(got[i]) != ddb_bytes_le32(want.data + i * 4)) { printf("float %zu is %a\n", i, (double)got[i]); return 0; }
    }
    return 1;
}

static void one_case(golden *g, uint32_t mask, ddb_pool *pool)
{
    ddb_slice object = golden_next(g), head = golden_next(g), seed = golden_next(g);
    uint32_t dim = (uint32_t)golden_u64(head, 0), m = (uint32_t)golden_u64(head, 1), k = (uint32_t)golden_u64(head, 2);
    size_t n = (size_t)golden_u64(head, 4), queries = (size_t)golden_u64(head, 5);
    ddb_ctx *ctx = test_ctx();
    ddb_codec *codec = NULL;
    ddb_buf buf;
    ctx->cpu &= mask;
    float *x = golden_floats(g, NULL), *words = (float *)malloc((size_t)k * dim * sizeof(float));
    CHECK(words && ddb_pq_train(ctx, pool, x, n, dim, m, k, (uint32_t)golden_u64(head, 3), ddb_bytes_le64(seed.data), NULL, NULL, words) == DREAMDB_OK);
    ddb_bytes_init(&buf, ctx);
    ddb_index_encode_pq(&buf, dim, m, k, words, seed.data);
    CHECK(buf.size == object.size && memcmp(buf.data, object.data, buf.size) == 0);
    ddb_bytes_free(&buf);
    CHECK(ddb_index_codec_decode(ctx, object, "x", &codec) == DREAMDB_OK);
    if (!codec) { printf("%s\n", test_error.message); exit(1); }
    ddb_slice codes = golden_next(g), decoded = golden_next(g);
    uint8_t *got = (uint8_t *)malloc(codes.size + 1);
    float *out = (float *)malloc(decoded.size + 4), *prepared = (float *)malloc(codec->query_floats * sizeof(float)), *unit = (float *)malloc(dim * sizeof(float) + 4);
    float *scores = (float *)malloc(n * sizeof(float));
    if (!got || !out || !prepared || !unit || !scores) { exit(1); }
    CHECK(codec->code_bytes * n == codes.size && ddb_index_codes(ctx, pool, codec, x, dim, n, got) == DREAMDB_OK);
    CHECK_BYTES(got, codes.data, codes.size);
    CHECK(ddb_index_codec_valid(codec, got, m, n) && ddb_index_codec_vectors(ctx, codec, got, m, n, out) == DREAMDB_OK && same_floats(out, decoded));
    float *q = golden_floats(g, NULL);
    for (size_t i = 0; i < queries; i++) {
        ddb_exact_env env;
        ddb_exact_enter(&env);
        CHECK(ddb_exact_unit(q + i * dim, dim, unit) == DDB_EXACT_GOOD);
        ddb_exact_leave(&env);
        CHECK(ddb_index_codec_query(ctx, codec, unit, prepared) == DREAMDB_OK);
        for (size_t some = n; some + 5 > n; some--) {
            ddb_index_codec_scores(ctx->cpu, codec, prepared, got + (n - some) * m, m, some, scores + (n - some));
        }
        CHECK(same_floats(scores, golden_next(g)));
    }
    free(got); free(out); free(prepared); free(unit); free(scores); free(x); free(q); free(words);
    ddb_index_codec_free(ctx, codec);
}

static void golden_cases(void)
{
    ddb_pool *pool = NULL;
    CHECK(ddb_pool_open(test_ctx(), 2, NULL, NULL, &pool) == DREAMDB_OK);
    for (size_t m = 0; m < MASKS; m++) {
        golden g = golden_open("pq");
        size_t count = (size_t)golden_u64(golden_next(&g), 0);
        for (size_t i = 0; i < count; i++) { one_case(&g, masks[m], m % 2 ? pool : NULL); }
        free(g.data);
    }
    ddb_pool_close(test_ctx(), pool);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Codes beside the stupid argmax: repeated codewords, zero parts, huge values; strides. */
static void encode_model(void)
{
    for (int round = 0; round < 60; round++) {
        uint32_t m = 1 + (uint32_t)(test_rand() % 5), part = 1 + (uint32_t)(test_rand() % 9), k = 1 + (uint32_t)(test_rand() % 256), dim = m * part;
        size_t n = 1 + (size_t)(test_rand() % 70), stride = dim + (size_t)(test_rand() % 3);
        float *words = (float *)malloc((size_t)k * dim * sizeof(float)), *x = (float *)malloc(n * stride * sizeof(float));
        uint8_t *bytes = (uint8_t *)malloc((size_t)k * dim * 4), *codes = (uint8_t *)malloc(n * m);
        ddb_pq *pq = NULL;
        ddb_exact_env env;
        ddb_ctx *ctx = test_ctx();
        if (!words || !x || !bytes || !codes) { exit(1); }
        for (size_t i = 0; i < (size_t)k * dim; i++) { words[i] = round % 3 ? test_randf() : (float)(int)(test_rand() % 3) - 1; }
        for (size_t i = 0; i < n * stride; i++) { x[i] = round % 7 == 1 ? test_randf() * 1e18f : test_rand() % 9 ? test_randf() : 0; }
        ddb_bytes_set_f32(bytes, words, (size_t)k * dim);
        CHECK(ddb_pq_open(ctx, bytes, dim, m, k, &pq) == DREAMDB_OK);
        ddb_exact_enter(&env);
        CHECK(ddb_pq_encode(ctx, pq, x, stride, n, codes) == DREAMDB_OK);
        for (size_t i = 0; i < n; i++) {
            for (uint32_t s = 0; s < m; s++) {
                uint32_t best = 0;
                float most = 0;
                for (uint32_t j = 0; j < k; j++) {
                    float f = ddb_exact_fold(x + i * stride + s * part, words + ((size_t)s * k + j) * part, part);
                    if (j == 0 || f > most) { most = f; best = j; }
                }
                if (codes[i * m + s] != best) { printf("round %d: row %zu part %u is %u, not %u\n", round, i, s, codes[i * m + s], best); test_ok = 0; }
            }
        }
        ddb_exact_leave(&env);
        ddb_pq_close(ctx, pq);
        free(words); free(x); free(bytes); free(codes);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
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

static dreamdb_status made(uint64_t dim, uint64_t m, uint64_t k, size_t floats, size_t seed, uint64_t code_bytes)
{
    static const uint8_t zeros[8192] = { 0 };
    ddb_buf b;
    ddb_bytes_init(&b, test_ctx());
    ddb_cbor_map(&b, 6);
    ddb_cbor_str(&b, "dim"); ddb_cbor_uint(&b, dim);
    ddb_cbor_str(&b, "metric"); ddb_cbor_str(&b, "cosine");
    ddb_cbor_str(&b, "params"); ddb_cbor_map(&b, 5);
    ddb_cbor_str(&b, "k"); ddb_cbor_uint(&b, k);
    ddb_cbor_str(&b, "m"); ddb_cbor_uint(&b, m);
    ddb_cbor_str(&b, "version"); ddb_cbor_uint(&b, 1);
    ddb_cbor_str(&b, "codebooks"); ddb_cbor_bytes(&b, zeros, floats * 4);
    ddb_cbor_str(&b, "training_seed"); ddb_cbor_bytes(&b, zeros, seed);
    ddb_cbor_str(&b, "algorithm"); ddb_cbor_str(&b, "dreamdb.pq-cosine");
    ddb_cbor_str(&b, "code_bytes"); ddb_cbor_uint(&b, code_bytes);
    ddb_cbor_str(&b, "supports_decode"); ddb_cbor_bool(&b, true);
    dreamdb_status status = decode_bytes(b.data, b.size);
    ddb_bytes_free(&b);
    return status;
}

static void bad_objects(void)
{
    CHECK(made(8, 4, 3, 24, 32, 4) == DREAMDB_OK);
    CHECK(made(8, 8, 256, 2048, 32, 8) == DREAMDB_OK);
    CHECK(made(8, 3, 4, 32, 32, 3) == DREAMDB_ERR_CORRUPT);
    CHECK_STR(test_error.message, "invalid dreamdb.pq-cosine shape: dim=8 m=3 k=4 (require dim%m==0, m>0, 0<k<=256)");
    CHECK(made(8, 0, 4, 32, 32, 0) == DREAMDB_ERR_CORRUPT);
    CHECK(made(8, 16, 4, 32, 32, 16) == DREAMDB_ERR_CORRUPT);
    CHECK(made(8, 4, 0, 0, 32, 4) == DREAMDB_ERR_CORRUPT);
    CHECK(made(8, 4, 257, 2056, 32, 4) == DREAMDB_ERR_CORRUPT);
    CHECK(made(8, 4, 3, 23, 32, 4) == DREAMDB_ERR_CORRUPT);
    CHECK(made(8, 4, 3, 25, 32, 4) == DREAMDB_ERR_CORRUPT);
    CHECK(made(8, 4, 3, 24, 33, 4) == DREAMDB_ERR_CORRUPT);
    CHECK(made(8, 4, 3, 24, 32, 8) == DREAMDB_ERR_CORRUPT);
    CHECK(made(UINT64_MAX, UINT64_MAX, 3, 24, 32, 4) == DREAMDB_ERR_LIMIT);
    CHECK(made(8, UINT64_MAX, 3, 24, 32, 4) == DREAMDB_ERR_CORRUPT);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void hostile(void)
{
    golden g = golden_open("pq");
    (void)golden_next(&g);
    ddb_slice object = golden_next(&g);
    uint8_t *copy = (uint8_t *)malloc(object.size), codes[4] = { 0, 2, 3, 255 };
    ddb_codec *codec = NULL;
    if (!copy) { exit(1); }
    for (size_t cut = 0; cut < object.size; cut++) { CHECK(decode_bytes(object.data, cut) < 0); }
    for (size_t i = 0; i < object.size * 8; i++) {
        memcpy(copy, object.data, object.size);
        copy[i / 8] ^= (uint8_t)(1u << i % 8);
        (void)decode_bytes(copy, object.size);
    }
    CHECK(ddb_index_codec_decode(test_ctx(), object, "x", &codec) == DREAMDB_OK);      /* dim 1, m 1, k 3 */
    CHECK(codec && ddb_index_codec_valid(codec, codes, 1, 2) && !ddb_index_codec_valid(codec, codes, 1, 3) && !ddb_index_codec_valid(codec, codes + 3, 1, 1));
    ddb_index_codec_free(test_ctx(), codec);
    free(copy); free(g.data);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void bad_training(void)
{
    float x[32], out[32];
    for (int i = 0; i < 32; i++) { x[i] = test_randf(); }
    CHECK(ddb_pq_train(test_ctx(), NULL, x, 4, 8, 3, 2, 1, 0, NULL, NULL, out) == DREAMDB_ERR_ARGUMENT);
    CHECK(ddb_pq_train(test_ctx(), NULL, x, 4, 8, 2, 5, 1, 0, NULL, NULL, out) == DREAMDB_ERR_ARGUMENT);
    CHECK_STR(test_error.message, "invalid dreamdb.pq-cosine shape: sample size 4 must be >= k = 5");
    CHECK(ddb_pq_train(test_ctx(), NULL, x, 4, 8, 0, 4, 1, 0, NULL, NULL, out) == DREAMDB_ERR_ARGUMENT);
    CHECK(ddb_pq_train(test_ctx(), NULL, x, 4, 8, 2, 4, 1, 0, NULL, NULL, out) == DREAMDB_OK);
    x[5] = ddb_exact_from_bits(0x7fc00000u);
    CHECK(ddb_pq_train(test_ctx(), NULL, x, 4, 8, 2, 4, 1, 0, NULL, NULL, out) == DREAMDB_ERR_ARGUMENT);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void failing_memory(void)
{
    golden g = golden_open("pq");
    (void)golden_next(&g);
    ddb_slice object = golden_next(&g);
    float x[8] = { .5f, -.25f, 1, 2, 3, -1, -2, 4 }, out[8], prepared[16];
    uint8_t code[8];
    int done = 0;
    for (long n = 1; n < 200 && !done; n++) {
        ddb_codec *codec = NULL;
        ddb_ctx *ctx = test_ctx();
        test_fail_alloc_at(n);
        dreamdb_status status = ddb_index_codec_decode(ctx, object, "x", &codec);
        status = status < 0 ? status : ddb_index_codes(ctx, NULL, codec, x, 1, 1, code);
        status = status < 0 ? status : ddb_index_codec_query(ctx, codec, x, prepared);
        status = status < 0 ? status : ddb_pq_train(ctx, NULL, x, 4, 2, 2, 2, 2, 0, NULL, NULL, out);
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
    RUN(encode_model);
    RUN(bad_objects);
    RUN(hostile);
    RUN(bad_training);
    RUN(failing_memory);
    return test_end("pq");
}
