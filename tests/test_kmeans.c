/* Room kmeans: centroids of the live reference, a stupid model, every cpu mask, threads, bad samples, failing memory. */
#include "test.h"
#include "golden_numeric.h"

static const uint32_t masks[] = { 0xffffffffu, 0, DDB_CPU_SSE41 | DDB_CPU_AVX2, DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA,
    DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA | DDB_CPU_AVX512, DDB_CPU_NEON };
enum { MASKS = sizeof masks / sizeof *masks };

static void golden_centroids(void)
{
    for (size_t mask = 0; mask < MASKS; mask++) {
        golden g = golden_open("kmeans");
        size_t sets = (size_t)golden_u64(golden_next(&g), 0);
        for (size_t i = 0; i < sets; i++) {
            ddb_slice head = golden_next(&g);
            size_t n = (size_t)golden_u64(head, 0);
            uint32_t dim = (uint32_t)golden_u64(head, 1), k = (uint32_t)golden_u64(head, 2), iterations = (uint32_t)golden_u64(head, 3);
            float *x = golden_floats(&g, NULL), *want = golden_floats(&g, NULL), *got = (float *)calloc((size_t)k * dim, sizeof *got);
            ddb_ctx *ctx = test_ctx();
            ctx->cpu &= masks[mask];
            CHECK(ddb_kmeans_train(ctx, NULL, x, n, dim, k, iterations, golden_u64(head, 4), NULL, NULL, got) == DREAMDB_OK);
            if (memcmp(got, want, (size_t)k * dim * 4) != 0) { printf("mask %zu, set %zu: centroids differ\n", mask, i); test_ok = 0; }
            free(x); free(want); free(got);
        }
        free(g.data);
    }
}

/* The rules again, as plainly as they can be written. */
static void model(const float *x, size_t n, uint32_t dim, uint32_t k, uint32_t iterations, uint64_t state, float *c)
{
    float *d = (float *)malloc(n * 4), *sums = (float *)calloc((size_t)k * dim, 4);
    uint32_t *ids = (uint32_t *)calloc(n, 4), *sizes = (uint32_t *)calloc(k, 4);
    if (!d || !sums || !ids || !sizes) { exit(1); }
    for (uint32_t j = 0; j < k; j++) {
        size_t pick = 0;
        if (j > 0) {
            float total = 0;
            for (size_t i = 0; i < n; i++) {
                float now = ddb_exact_dist2(x + i * dim, c + (size_t)(j - 1) * dim, dim);
                d[i] = j == 1 || now < d[i] ? now : d[i];
                total = ddb_exact_add(total, d[i]);
            }
            float left = ddb_exact_mul((float)state / 18446744073709551616.0f, total);
            for (size_t i = 0; i < n; i++) {
                left = ddb_exact_sub(left, d[i]);
                if (left <= 0) { pick = i; break; }
            }
            state ^= state << 13; state ^= state >> 7; state ^= state << 17;
        }
        memcpy(c + (size_t)j * dim, x + pick * dim, dim * 4);
    }
    for (uint32_t it = 0; it < iterations; it++) {
        memset(sums, 0, (size_t)k * dim * 4);
        memset(sizes, 0, k * 4);
        for (size_t i = 0; i < n; i++) {
            float best = 0;
            for (uint32_t j = 0; j < k; j++) {
                float now = ddb_exact_dist2(x + i * dim, c + (size_t)j * dim, dim);
                if (j == 0 || now < best) { best = now; ids[i] = j; }
            }
            for (uint32_t t = 0; t < dim; t++) { sums[ids[i] * dim + t] = ddb_exact_add(sums[ids[i] * dim + t], x[i * dim + t]); }
            sizes[ids[i]]++;
        }
        for (uint32_t j = 0; j < k; j++) {
            float *to = c + (size_t)j * dim;
            if (sizes[j] == 0) { memcpy(to, x + j % n * dim, dim * 4); continue; }
            for (uint32_t t = 0; t < dim; t++) { to[t] = ddb_exact_div(sums[j * dim + t], (float)sizes[j]); }
            float norm = ddb_exact_sqrt(ddb_exact_fold(to, to, dim));
            for (uint32_t t = 0; t < dim && norm > 0; t++) { to[t] = ddb_exact_div(to[t], norm); }
        }
    }
    free(d); free(sums); free(ids); free(sizes);
}

/* kinds: random; far from the unit sphere, so that the bound excludes nothing; copies a few ulps apart; clustered units; a lattice. */
static void random_sets(void)
{
    ddb_pool *pool = NULL;
    CHECK(ddb_pool_open(test_ctx(), 2, NULL, NULL, &pool) == DREAMDB_OK);
    for (int round = 0; round < 40; round++) {
        int kind = round % 5;
        uint32_t dim = 1 + (uint32_t)(test_rand() % (round % 7 == 0 ? 300 : 40)), k = 1 + (uint32_t)(test_rand() % 50), iterations = (uint32_t)(test_rand() % 4);
        if (kind == 1) { k += 40; iterations += 2; }
        size_t n = k + (size_t)(test_rand() % 400);
        float *x = (float *)malloc(n * dim * 4), *want = (float *)calloc((size_t)k * dim, 4), *got = (float *)calloc((size_t)k * dim, 4);
        uint64_t seed = test_rand();
        if (!x || !want || !got) { exit(1); }
        for (size_t i = 0; i < n * dim; i++) {
            x[i] = test_randf();
            if (kind == 1) { x[i] = x[i] * 100 + 3000; }
            if (kind == 2 && i >= 5 * dim) { x[i] = ddb_exact_from_bits(ddb_exact_bits(x[i % (5 * dim)]) + (uint32_t)(test_rand() % 3)); }
            if (kind == 3) { x[i] = x[i] * 0.1f + (float)(i / dim % 7 == i % dim % 7); }
            if (kind == 4) { x[i] = (float)(int)(x[i] * 2); }
        }
        model(x, n, dim, k, iterations, seed, want);
        for (size_t m = 0; m < MASKS; m++) {
            ddb_ctx *ctx = test_ctx();
            ctx->cpu &= masks[m];
            CHECK(ddb_kmeans_train(ctx, m % 2 ? pool : NULL, x, n, dim, k, iterations, seed, NULL, NULL, got) == DREAMDB_OK);
            if (memcmp(got, want, (size_t)k * dim * 4) != 0) { printf("round %d, kind %d, mask %zu: n %zu dim %u k %u differs\n", round, kind, m, n, (unsigned)dim, (unsigned)k); test_ok = 0; }
        }
        free(x); free(want); free(got);
    }
    ddb_pool_close(test_ctx(), pool);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void any_environment(void)
{
#if defined(DDB_EXACT_X86)
    uint32_t wild = 0xffc0, usual = 0x1f80;      /* FTZ, DAZ, towards zero */
    __asm__ volatile("ldmxcsr %0" : : "m"(wild) : "memory");
    golden_centroids();
    __asm__ volatile("ldmxcsr %0" : : "m"(usual) : "memory");
#endif
}

static int stop_at;
static int progress(void *user, uint64_t done, uint64_t total) { *(uint64_t *)user = done * 1000 + total; return stop_at > 0 && --stop_at == 0; }

static void bad_calls(void)
{
    float x[40], c[40];
    uint64_t seen = 0;
    for (int i = 0; i < 40; i++) { x[i] = test_randf(); }
    CHECK(ddb_kmeans_train(test_ctx(), NULL, x, 10, 4, 11, 3, 0, NULL, NULL, c) == DREAMDB_ERR_ARGUMENT);
    CHECK(ddb_kmeans_train(test_ctx(), NULL, x, 10, 4, 0, 3, 0, NULL, NULL, c) == DREAMDB_ERR_ARGUMENT);
    CHECK(ddb_kmeans_train(test_ctx(), NULL, x, 10, 4, 5, 3, 0, progress, &seen, c) == DREAMDB_OK && seen == 8008);
    stop_at = 2;
    CHECK(ddb_kmeans_train(test_ctx(), NULL, x, 10, 4, 5, 3, 0, progress, &seen, c) == DREAMDB_ERR_CANCELLED && seen == 7008);
    x[14] = ddb_exact_from_bits(0x7fc00001u);
    CHECK(ddb_kmeans_train(test_ctx(), NULL, x, 10, 4, 5, 3, 0, NULL, NULL, c) == DREAMDB_ERR_ARGUMENT);
    CHECK_STR(test_error.message, "sample row 3: input vector contains NaN or infinity");
    x[14] = 1;
    dreamdb_status status = DREAMDB_ERR_MEMORY;
    for (long n = 1; n < 40 && status < 0; n++) {
        test_fail_alloc_at(n);
        status = ddb_kmeans_train(test_ctx(), NULL, x, 10, 4, 5, 3, 0, NULL, NULL, c);
        test_fail_alloc_at(0);
        CHECK(status == DREAMDB_OK || (status == DREAMDB_ERR_MEMORY && test_error.status == DREAMDB_ERR_MEMORY));
        CHECK(n > 5 || status < 0);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
    CHECK(status == DREAMDB_OK);
}

int main(void)
{
    RUN(golden_centroids);
    RUN(random_sets);
    RUN(any_environment);
    RUN(bad_calls);
    return test_end("kmeans");
}
