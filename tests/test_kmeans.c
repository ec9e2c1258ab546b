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

int main(void)
{
    RUN(golden_centroids);
    return test_end("kmeans");
}
