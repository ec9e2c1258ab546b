/* Room imi and its row in room index's table: training, objects, cells and probes of golden/make_codec.py at every cpu mask; a stupid model
   of the probe order with many ties; hostile objects; failing memory. */
#include "test.h"
#include "golden_numeric.h"

static const uint32_t masks[] = { 0xffffffffu, 0, DDB_CPU_SSE41 | DDB_CPU_AVX2, DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA,
    DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA | DDB_CPU_AVX512, DDB_CPU_NEON };
enum { MASKS = sizeof masks / sizeof *masks };

static void check_probes(ddb_ctx *ctx, const ddb_index *ix, const float *q, ddb_slice want, uint64_t nprobe)
{
    ddb_arena arena = { NULL, 0 };
    uint8_t *keys = NULL;
    size_t count = 0, bits = ddb_index_bits(ix), size = ddb_index_key_size(ix), all = want.size / bits;
    char text[300];
    float unit[2048];
    CHECK(ddb_index_prepare_query(ctx, ix, q, unit) == DREAMDB_OK);
    CHECK(ddb_index_probe(ctx, ix, unit, nprobe, &arena, &keys, &count) == DREAMDB_OK);
    CHECK_EQ_U64(count, nprobe < all ? nprobe : all);
    for (size_t j = 0; j < count && j < all; j++) {
        ddb_index_key_text(ix, keys + j * size, text);
        if (memcmp(text, want.data + j * bits, bits) != 0) { printf("probe %zu of %zu is %s\n", j, count, text); test_ok = 0; break; }
    }
    ddb_mem_arena_free(ctx, &arena);
}

static void one_case(golden *g, uint32_t mask, ddb_pool *pool)
{
    ddb_slice object = golden_next(g), head = golden_next(g);
    uint32_t dim = (uint32_t)golden_u64(head, 0), k = (uint32_t)golden_u64(head, 1), bits = (uint32_t)golden_u64(head, 2);
    size_t n = (size_t)golden_u64(head, 4), queries = (size_t)golden_u64(head, 5), floats = 0;
    ddb_ctx *ctx = test_ctx();
    ddb_index *ix = NULL;
    ddb_buf buf;
    ddb_index_training t;
    char text[300];
    ctx->cpu &= mask;
    memset(&t, 0, sizeof t);
    float *sample = golden_floats(g, &floats), *x = golden_floats(g, NULL);
    t.sample = sample;
    t.count = floats / dim;
    t.dim = dim;
    t.k = k;
    t.iterations = (uint32_t)golden_u64(head, 3);
    t.bits = bits;
    t.seed = golden_u64(head, 6);
    ddb_bytes_init(&buf, ctx);
    CHECK_EQ_U64(ddb_index_bits_least(DREAMDB_INDEX_IMI, k), bits);
    CHECK(ddb_index_train(ctx, pool, DREAMDB_INDEX_IMI, &t, &buf) == DREAMDB_OK);
    CHECK(buf.size == object.size && memcmp(buf.data, object.data, buf.size) == 0);
    ddb_bytes_free(&buf);
    CHECK(ddb_index_decode(ctx, object, "x", &ix) == DREAMDB_OK);
    if (!ix) { printf("%s\n", test_error.message); exit(1); }
    CHECK_EQ_U64(ddb_index_k(ix), (uint64_t)k * k);
    ddb_slice texts = golden_next(g);
    size_t size = ddb_index_key_size(ix);
    uint8_t *keys = (uint8_t *)malloc(n * size);
    CHECK(keys && ddb_index_keys(ctx, pool, ix, x, dim, n, keys) == DREAMDB_OK);
    for (size_t i = 0; i < n; i++) {
        ddb_index_key_text(ix, keys + i * size, text);
        if (memcmp(text, texts.data + i * bits, bits) != 0) { printf("dim %u, k_sub %u: key %zu is %s\n", dim, k, i, text); test_ok = 0; }
    }
    float *q = golden_floats(g, NULL);
    for (size_t i = 0; i < queries; i++) {
        static const uint64_t nprobe[] = { 1, 2, 3, 7, 32, 60, UINT64_MAX };
        ddb_slice want = golden_next(g);
        for (size_t p = 0; p < sizeof nprobe / sizeof *nprobe; p++) { check_probes(ctx, ix, q + i * dim, want, nprobe[p]); }
    }
    free(keys); free(q); free(x); free(sample);
    ddb_index_free(ctx, ix);
}

static void golden_cases(void)
{
    ddb_pool *pool = NULL;
    CHECK(ddb_pool_open(test_ctx(), 2, NULL, NULL, &pool) == DREAMDB_OK);
    for (size_t m = 0; m < MASKS; m++) {
        golden g = golden_open("imi");
        size_t count = (size_t)golden_u64(golden_next(&g), 0);
        for (size_t i = 0; i < count; i++) { one_case(&g, masks[m], m % 2 ? pool : NULL); }
        free(g.data);
    }
    ddb_pool_close(test_ctx(), pool);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* ---- The stupid order of probes: all sums, sorted; of equal ones the better high half first ---- */
typedef struct cell { float sum; uint32_t high, low, id; } cell;
static int before(const cell *a, const cell *b)
{
    return a->sum != b->sum ? a->sum > b->sum : a->high != b->high ? a->high < b->high : a->low < b->low;
}

static void probe_model(void)
{
    for (int round = 0; round < 80; round++) {
        uint32_t k = 1 + (uint32_t)(test_rand() % 40), half = 1 + (uint32_t)(test_rand() % 5), dim = 2 * half, bits = 2 * ddb_index_bits_of(k);
        float *c = (float *)malloc((size_t)k * dim * sizeof(float)), *u = (float *)malloc((size_t)k * dim * sizeof(float)), q[16], unit[16];
        cell *cells = (cell *)malloc((size_t)k * k * sizeof *cells), swap;
        float score[2][64];
        uint32_t order[2][64];
        char *want = (char *)malloc((size_t)k * k * bits + 1);
        ddb_index *ix = NULL;
        ddb_buf b;
        ddb_exact_env env;
        ddb_ctx *ctx = test_ctx();
        if (!c || !u || !cells || !want) { exit(1); }
        for (size_t i = 0; i < (size_t)k * dim; i++) { c[i] = round % 2 ? (float)(int)(test_rand() % 3) - 1 : test_randf(); }
        for (size_t i = 0; i < (size_t)k * 2; i++) { c[i * half] = c[i * half] < 0 ? -1.0f : 1.0f; }         /* no centroid without length */
        for (uint32_t i = 0; i < dim; i++) { q[i] = round % 4 == 1 ? 1.0f : round % 4 == 3 && i < half ? 0 : test_randf(); }
        q[dim - 1] = 1;
        ddb_bytes_init(&b, ctx);
        ddb_index_encode_imi(&b, bits, dim, k, c, NULL, 0);
        CHECK(ddb_index_decode(ctx, ddb_bytes_of(&b), "x", &ix) == DREAMDB_OK);
        ddb_bytes_free(&b);
        ddb_exact_enter(&env);
        CHECK(ddb_exact_unit(q, dim, unit) == DDB_EXACT_GOOD);
        for (uint32_t w = 0; w < 2; w++) {
            for (uint32_t j = 0; j < k; j++) {
                float *row = u + ((size_t)w * k + j) * half;
                CHECK(ddb_exact_unit(c + ((size_t)w * k + j) * half, half, row) == DDB_EXACT_GOOD);
                score[w][j] = ddb_exact_fold(row, unit + w * half, half);
                order[w][j] = j;
                for (uint32_t i = j; i > 0 && score[w][order[w][i - 1]] < score[w][order[w][i]]; i--) {
                    uint32_t t = order[w][i]; order[w][i] = order[w][i - 1]; order[w][i - 1] = t;
                }
            }
        }
        for (uint32_t h = 0; h < k; h++) {
            for (uint32_t l = 0; l < k; l++) {
                cell *at = cells + h * k + l;
                at->sum = ddb_exact_add(score[0][order[0][h]], score[1][order[1][l]]);
                at->high = h; at->low = l; at->id = order[0][h] * k + order[1][l];
            }
        }
        ddb_exact_leave(&env);
        for (uint32_t gap = k * k / 2; gap > 0; gap /= 2) {                   /* a sort that anybody believes */
            for (uint32_t i = gap; i < k * k; i++) {
                for (uint32_t j = i; j >= gap && before(cells + j, cells + j - gap); j -= gap) { swap = cells[j]; cells[j] = cells[j - gap]; cells[j - gap] = swap; }
            }
        }
        for (uint32_t i = 0; i < k * k; i++) {
            for (uint32_t d = 0; d < bits; d++) { want[i * bits + d] = (cells[i].id >> (bits - 1 - d) & 1) ? '1' : '0'; }
        }
        if (ix) {
            check_probes(ctx, ix, q, ddb_bytes_slice(want, (size_t)k * k * bits), 1 + test_rand() % 50);
            check_probes(ctx, ix, q, ddb_bytes_slice(want, (size_t)k * k * bits), UINT64_MAX);
        }
        ddb_index_free(ctx, ix);
        free(c); free(u); free(cells); free(want);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* ---- Objects ---- */
static dreamdb_status decode_bytes(const uint8_t *data, size_t size)
{
    ddb_index *ix = NULL;
    ddb_ctx *ctx = test_ctx();
    dreamdb_status status = ddb_index_decode(ctx, ddb_bytes_slice(data, size), "spatial-index/x", &ix);
    CHECK((status == DREAMDB_OK) == (ix != NULL));
    CHECK(status == DREAMDB_OK || (test_error.status == status && test_error.message[0] != 0));
    ddb_index_free(ctx, ix);
    return status;
}

static dreamdb_status made(uint64_t dim, uint64_t bits, uint64_t k, size_t high, size_t low, float first)
{
    float c[512];
    uint8_t bytes[2048];
    ddb_buf b;
    for (int i = 0; i < 512; i++) { c[i] = 1; }
    c[0] = c[1] = first;
    ddb_bytes_set_f32(bytes, c, 512);
    ddb_bytes_init(&b, test_ctx());
    ddb_cbor_map(&b, 5);
    ddb_cbor_str(&b, "dim"); ddb_cbor_uint(&b, dim);
    ddb_cbor_str(&b, "bits"); ddb_cbor_uint(&b, bits);
    ddb_cbor_str(&b, "metric"); ddb_cbor_str(&b, "cosine");
    ddb_cbor_str(&b, "params"); ddb_cbor_map(&b, 4);
    ddb_cbor_str(&b, "k_sub"); ddb_cbor_uint(&b, k);
    ddb_cbor_str(&b, "version"); ddb_cbor_uint(&b, 1);
    ddb_cbor_str(&b, "centroids_low"); ddb_cbor_bytes(&b, bytes, low * 4);
    ddb_cbor_str(&b, "centroids_high"); ddb_cbor_bytes(&b, bytes, high * 4);
    ddb_cbor_str(&b, "algorithm"); ddb_cbor_str(&b, "dreamdb.imi-cosine");
    dreamdb_status status = decode_bytes(b.data, b.size);
    ddb_bytes_free(&b);
    return status;
}

static void bad_objects(void)
{
    CHECK(made(4, 6, 5, 10, 10, 1) == DREAMDB_OK);
    CHECK(made(4, 24, 5, 10, 10, 1) == DREAMDB_OK);
    CHECK(made(4, 5, 5, 10, 10, 1) == DREAMDB_ERR_CORRUPT);
    CHECK_STR(test_error.message, "imi: bits=5 too narrow to encode k_sub^2=25 cells (need >= 6)");
    CHECK(made(5, 6, 5, 10, 10, 1) == DREAMDB_ERR_CORRUPT);
    CHECK_STR(test_error.message, "IMI requires even dim >= 2 (got 5)");
    CHECK(made(4, 6, 5, 9, 10, 1) == DREAMDB_ERR_CORRUPT);
    CHECK(made(4, 6, 5, 10, 11, 1) == DREAMDB_ERR_CORRUPT);
    CHECK(made(4, 6, 0, 0, 0, 1) == DREAMDB_ERR_CORRUPT);
    CHECK(made(2, 255, UINT64_MAX, 10, 10, 1) == DREAMDB_ERR_CORRUPT);
    CHECK(made(2, 255, (uint64_t)1 << 32, 10, 10, 1) == DREAMDB_ERR_CORRUPT);
    CHECK(made(4, 6, 5, 10, 10, 0) == DREAMDB_ERR_CORRUPT);
    CHECK_STR(test_error.message, "imi: high-half centroid 0 has zero norm");
    CHECK(made(4, 6, 5, 10, 10, 3e38f) == DREAMDB_ERR_CORRUPT);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void hostile_objects(void)
{
    golden g = golden_open("imi");
    (void)golden_next(&g);
    ddb_slice object = golden_next(&g);
    uint8_t *copy = (uint8_t *)malloc(object.size);
    if (!copy) { exit(1); }
    for (size_t cut = 0; cut < object.size; cut++) { CHECK(decode_bytes(object.data, cut) < 0); }
    for (size_t i = 0; i < object.size * 8; i++) {
        memcpy(copy, object.data, object.size);
        copy[i / 8] ^= (uint8_t)(1u << i % 8);
        (void)decode_bytes(copy, object.size);
    }
    free(copy); free(g.data);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void failing_memory(void)
{
    int done = 0;
    float x[24], q[4] = { 1, 2, -1, .5f };
    for (int i = 0; i < 24; i++) { x[i] = test_randf(); }
    for (long n = 1; n < 300 && !done; n++) {
        ddb_index *ix = NULL;
        ddb_buf b;
        ddb_arena arena = { NULL, 0 };
        ddb_index_training t;
        uint8_t keys[16], *probes = NULL;
        size_t count = 0;
        ddb_ctx *ctx = test_ctx();
        memset(&t, 0, sizeof t);
        t.sample = x; t.count = 6; t.dim = 4; t.k = 3; t.iterations = 2; t.bits = 4;
        ddb_bytes_init(&b, ctx);
        test_fail_alloc_at(n);
        dreamdb_status status = ddb_index_train(ctx, NULL, DREAMDB_INDEX_IMI, &t, &b);
        status = status < 0 ? status : ddb_index_decode(ctx, ddb_bytes_of(&b), "x", &ix);
        status = status < 0 ? status : ddb_index_keys(ctx, NULL, ix, x, 4, 6, keys);
        float unit[2048];
        status = status < 0 ? status : ddb_index_prepare_query(ctx, ix, q, unit);
        status = status < 0 ? status : ddb_index_probe(ctx, ix, unit, 5, &arena, &probes, &count);
        done = status == DREAMDB_OK && test_allocs < n;
        CHECK(done || status == DREAMDB_ERR_MEMORY);
        test_fail_alloc_at(0);
        ddb_mem_arena_free(ctx, &arena);
        ddb_bytes_free(&b);
        ddb_index_free(ctx, ix);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
    CHECK(done);
}

int main(void)
{
    RUN(golden_cases);
    RUN(probe_model);
    RUN(bad_objects);
    RUN(hostile_objects);
    RUN(failing_memory);
    return test_end("imi");
}
