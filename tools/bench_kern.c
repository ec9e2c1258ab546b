/* bench_kern.c - speed of the numeric rooms alone: dispatch, k-means, choice of cells, raw IVF scan.
     cc -O3 tools/bench_kern.c -o build/bench_kern -lpthread && build/bench_kern [DATA] [ROUNDS]
   DATA is what tools/bench/bench_data.py wrote (DATA/glove/base.fvecs ...); without it only the synthetic part runs.  Figures are the
   least of ROUNDS (default 7).  With BENCH_CPU_TIME=1 they are processor time of the whole process (for a machine that is shared); BENCH_CPU
   masks instruction sets. */
#define DREAMDB_IMPLEMENTATION
#define DREAMDB_TEST
#include "../dreamdb.h"
#include <stdio.h>
#include <stdlib.h>

static ddb_ctx ctx;
static dreamdb_error error;
static uint64_t seed = 88172645463325252u;
static int rounds = 7;
static float random_float(void)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) {                /* nearly Gaussian */
        seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17;
        sum += (float)((double)(seed >> 11) / 4503599627370496.0 - 1.0);
    }
    return sum;
}
static clockid_t watch = CLOCK_MONOTONIC;
static double now(void) { struct timespec t; (void)clock_gettime(watch, &t); return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6; }
static void *need(void *p) { if (!p) { (void)fprintf(stderr, "no memory\n"); exit(1); } return p; }
static float *floats(size_t n) { return (float *)need(calloc(n + 16, sizeof(float))); }

typedef struct task { const ddb_bound_set *set; const float *queries; size_t dim, count, each; uint32_t *ids; } task;
static void run_task(void *user, uint32_t index)
{
    const task *t = (const task *)user;
    size_t from = index * t->each, count = t->count - from < t->each ? t->count - from : t->each;
    ddb_ctx mine = ctx;
    mine.error = NULL;
    (void)ddb_bound_argmax(&mine, t->set, t->queries + from * t->dim, t->dim, count, t->ids + from);
}

static void dispatch(size_t k, uint32_t dim, size_t n, int clustered, ddb_pool *pool)
{
    float *c = floats(k * dim), *q = floats(n * dim);
    uint32_t *ids[2] = { (uint32_t *)need(calloc(n, 4)), (uint32_t *)need(calloc(n, 4)) };
    for (size_t i = 0; i < k * dim; i++) { c[i] = random_float(); }
    for (size_t i = 0; i < n; i++) {
        const float *from = c + i * 7919 % k * dim;
        for (size_t d = 0; d < dim; d++) { q[i * dim + d] = random_float() * (clustered ? 0.3f : 1.0f) + (clustered ? from[d] : 0.0f); }
        (void)ddb_exact_unit(q + i * dim, dim, q + i * dim);
    }
    for (size_t j = 0; j < k; j++) { (void)ddb_exact_unit(c + j * dim, dim, c + j * dim); }
    for (uint32_t flags = DDB_BOUND_PLAIN; flags <= DDB_BOUND_CODED; flags++) {
        ddb_bound_set *set = NULL;
        double start = now(), build, least[2] = { 1e9, 1e9 };
        if (ddb_bound_build(&ctx, c, dim, k, dim, flags, &set) != DREAMDB_OK) { exit(1); }
        build = now() - start;
        for (int r = 0; r < rounds; r++) {
            for (uint32_t threads = 1; threads <= 2; threads++) {
                task t = { set, q, dim, n, (n + threads - 1) / threads, ids[flags - 1] };
                start = now();
                ddb_pool_run(threads > 1 ? pool : NULL, run_task, &t, threads);
                double took = now() - start;
                least[threads - 1] = took < least[threads - 1] ? took : least[threads - 1];
            }
        }
        printf("dispatch k %zu dim %u rows %zu %s, %s: 1 thread %.2f ms, 2 threads %.2f ms (set built in %.2f ms, %.1f MB)\n", k, (unsigned)dim, n,
               clustered ? "clustered" : "random", flags == DDB_BOUND_PLAIN ? "plain fold" : "int8 bound", least[0], least[1], build,
               (double)set->bytes / 1e6);
        ddb_bound_free(&ctx, set);
    }
    if (memcmp(ids[0], ids[1], n * 4) != 0) { printf("DISPATCH DIFFERS\n"); exit(1); }
    free(c); free(q); free(ids[0]); free(ids[1]);
}

static float *read_fvecs(const char *folder, const char *set, const char *name, size_t most, size_t *count, uint32_t *dim)
{
    char path[500];
    int32_t d = 0;
    (void)snprintf(path, sizeof path, "%s/%s/%s.fvecs", folder, set, name);
    FILE *f = fopen(path, "rb");
    *count = 0;
    if (!f || fread(&d, 4, 1, f) != 1) { printf("no %s\n", path); return NULL; }
    *dim = (uint32_t)d;
    float *out = floats(most * (size_t)d);
    do { if (fread(out + *count * (size_t)d, 4, (size_t)d, f) != (size_t)d) { break; } (*count)++; } while (*count < most && fread(&d, 4, 1, f) == 1);
    (void)fclose(f);
    return out;
}

/* k cells of unit rows; each cell a set.  Queries: choice of cells, then the scan, top 10. */
static void ivf(const char *folder, const char *name, size_t most, uint32_t k, size_t nprobe, size_t train)
{
    size_t n = 0, nq = 0;
    uint32_t dim = 0;
    float *x = read_fvecs(folder, name, "base", most, &n, &dim), *q = read_fvecs(folder, name, "query", 1000, &nq, &dim);
    if (!x || !q) { return; }
    train = train < n ? train : n;
    float *centroids = floats((size_t)k * dim), *member = floats(n * dim);
    double start, least = 1e9;
    for (int r = 0; r < (rounds < 3 ? rounds : 3); r++) {
        start = now();
        if (ddb_kmeans_train(&ctx, NULL, x, train, dim, k, 10, 12345, NULL, NULL, centroids) != DREAMDB_OK) { printf("%s\n", error.message); exit(1); }
        double took = now() - start;
        least = took < least ? took : least;
    }
    printf("%s: k-means %zu x %u, k %u, 10 iterations, 1 thread: %.1f ms\n", name, train, (unsigned)dim, (unsigned)k, least);
    for (size_t i = 0; i < n; i++) { (void)ddb_exact_unit(x + i * dim, dim, x + i * dim); }
    for (size_t i = 0; i < nq; i++) { (void)ddb_exact_unit(q + i * dim, dim, q + i * dim); }
    ddb_bound_set *cells = NULL, **sets = (ddb_bound_set **)need(calloc(k, sizeof *sets));
    uint32_t *ids = (uint32_t *)need(calloc(n, 4)), *size = (uint32_t *)need(calloc(k + 1, 4)), *order = (uint32_t *)need(calloc(n, 4));
    if (ddb_bound_build(&ctx, centroids, dim, k, dim, (size_t)k * dim < DDB_IVF_SMALL ? DDB_BOUND_PLAIN : 0, &cells) != DREAMDB_OK) { exit(1); }
    start = now();
    (void)ddb_bound_argmax(&ctx, cells, x, dim, n, ids);
    printf("%s: %zu rows dispatched in %.1f ms\n", name, n, now() - start);
    for (size_t i = 0; i < n; i++) { size[ids[i] + 1]++; }
    for (uint32_t j = 0; j < k; j++) { size[j + 1] += size[j]; }
    uint32_t *at = (uint32_t *)need(calloc(k, 4));
    memcpy(at, size, k * 4);
    for (size_t i = 0; i < n; i++) { uint32_t to = at[ids[i]]++; order[to] = (uint32_t)i; memcpy(member + (size_t)to * dim, x + i * dim, dim * 4); }
    start = now();
    size_t bytes = 0;
    for (uint32_t j = 0; j < k; j++) {
        if (ddb_bound_build(&ctx, member + (size_t)size[j] * dim, dim, size[j + 1] - size[j], dim, 0, sets + j) != DREAMDB_OK) { exit(1); }
        bytes += sets[j]->bytes;
    }
    printf("%s: %u sets built in %.1f ms, %.2f bytes a raw byte\n", name, (unsigned)k, now() - start, (double)bytes / ((double)n * dim * 4));
    uint32_t *top = (uint32_t *)need(calloc(k, 4));
    float *scores = floats(k), score[10];
    uint64_t hits[10];
    double choice = 1e9, all = 1e9;
    size_t found = 0, got = 0;
    for (int r = 0; r < rounds; r++) {
        start = now();
        for (size_t i = 0; i < nq; i++) { (void)ddb_bound_top(&ctx, cells, q + i * dim, nprobe, top, scores, &got); }
        double took = now() - start;
        choice = took < choice ? took : choice;
        start = now();
        for (size_t i = 0; i < nq; i++) {
            ddb_bound_query *query = NULL;
            (void)ddb_bound_top(&ctx, cells, q + i * dim, nprobe, top, scores, &got);
            if (ddb_bound_query_init(&ctx, q + i * dim, dim, 10, &query) != DREAMDB_OK) { exit(1); }
            for (size_t p = 0; p < got; p++) { (void)ddb_bound_query_scan(&ctx, query, sets[top[p]], size[top[p]], NULL); }
            (void)ddb_bound_query_end(query, hits, score);
            ddb_bound_query_free(&ctx, query);
        }
        took = now() - start;
        all = took < all ? took : all;
    }
    for (size_t i = 0; i < nq && i < 200; i++) {           /* recall: how many of the best 10 of all rows are found */
        ddb_bound_query *query = NULL, *exact = NULL;
        uint64_t truth[10];
        (void)ddb_bound_top(&ctx, cells, q + i * dim, nprobe, top, scores, &got);
        if (ddb_bound_query_init(&ctx, q + i * dim, dim, 10, &query) != DREAMDB_OK || ddb_bound_query_init(&ctx, q + i * dim, dim, 10, &exact) != DREAMDB_OK) { exit(1); }
        for (size_t p = 0; p < got; p++) { (void)ddb_bound_query_scan(&ctx, query, sets[top[p]], size[top[p]], NULL); }
        for (uint32_t j = 0; j < k; j++) { (void)ddb_bound_query_scan(&ctx, exact, sets[j], size[j], NULL); }
        (void)ddb_bound_query_end(query, hits, score);
        (void)ddb_bound_query_end(exact, truth, score);
        for (int a = 0; a < 10; a++) { for (int b = 0; b < 10; b++) { found += hits[a] == truth[b]; } }
        ddb_bound_query_free(&ctx, query); ddb_bound_query_free(&ctx, exact);
    }
    printf("%s: choice of %zu of %u cells %.2f us; query (choice, scan, top 10) %.2f us, recall@10 %.3f, %zu queries in a row\n", name, nprobe, (unsigned)k,
           choice * 1e3 / (double)nq, all * 1e3 / (double)nq, (double)found / (10.0 * (double)(nq < 200 ? nq : 200)), nq);
    for (uint32_t j = 0; j < k; j++) { ddb_bound_free(&ctx, sets[j]); }
    ddb_bound_free(&ctx, cells);
    free(x); free(q); free(centroids); free(member); free(sets); free(ids); free(size); free(order); free(at); free(top); free(scores);
}

int main(int count, char **words)
{
    ddb_pool *pool = NULL;
    ctx.allocator.resize = ddb_mem_libc;
    ctx.error = &error;
    ctx.cpu = ddb_cpu_detect();
    if (getenv("BENCH_CPU")) { ctx.cpu &= (uint32_t)strtoul(getenv("BENCH_CPU"), NULL, 0); }
    if (getenv("BENCH_CPU_TIME")) { watch = CLOCK_PROCESS_CPUTIME_ID; }
    rounds = count > 2 ? atoi(words[2]) : 7;
    printf("cpu mask %#x\n", (unsigned)ctx.cpu);
    if (ddb_pool_open(&ctx, 2, NULL, NULL, &pool) != DREAMDB_OK) { return 1; }
    dispatch(16733, 512, 256, 0, pool);
    dispatch(16733, 512, 256, 1, pool);
    dispatch(314, 50, 4096, 1, pool);
    dispatch(222, 384, 2048, 1, pool);
    if (count > 1) {
        ivf(words[1], "glove", 99000, 314, 16, 12560);
        ivf(words[1], "fashion", 60000, 244, 4, 9760);
    }
    ddb_pool_close(&ctx, pool);
    return 0;
}
