/* bench_shard.c - a step of Ada-IVF by one share and by four: the CPU time of each share, of plan and end, and of the same step by one call.
     bench_shard BASE.f32 DIM ROWS        (make bench BENCH="--only shard")
   Half of the rows lie in the cells that they trained, then the other half comes, in the order of the first dimension. */
#include "../../dreamdb.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static dreamdb_error error;
static float *base;
static size_t dim, rows;

static void stop(const char *what) { printf("%s: %s\n", what, error.message); exit(1); }
static double cpu(void) { return (double)clock() / CLOCKS_PER_SEC; }
static uint64_t same_time(void *user) { (void)user; return 1000000000; }
static int compare(const void *a, const void *b)
{
    float x = base[*(const size_t *)a * dim], y = base[*(const size_t *)b * dim];
    return x < y ? -1 : x > y;
}

static dreamdb *open_main(const dreamdb_config *config)
{
    dreamdb *db = NULL;
    if (dreamdb_open(config, "main", &db, &error)) { stop("open"); }
    return db;
}

/* The dataset before the step, in a store of its own. */
static void make(dreamdb_store *store, dreamdb_config *config)
{
    static const size_t batch = 5000;
    dreamdb *db = NULL;
    dreamdb_field field;
    dreamdb_create_desc create;
    size_t *order = (size_t *)malloc(rows * sizeof *order);
    float *data = (float *)malloc(batch * dim * sizeof *data);
    uint64_t *anchors = (uint64_t *)malloc(batch * sizeof *anchors);
    if (!order || !data || !anchors) { exit(1); }
    memset(config, 0, sizeof *config); memset(&field, 0, sizeof field); memset(&create, 0, sizeof create);
    if (dreamdb_store_memory(NULL, store, &error)) { stop("store"); }
    config->store = store; config->threads = 1; config->now_ns = same_time; config->cache_bytes = 64 << 20;
    for (size_t i = 0; i < rows; i++) { order[i] = i; }
    qsort(order + rows / 2, rows - rows / 2, sizeof *order, compare);
    field.name = "e"; field.kind = DREAMDB_EMBEDDING; field.dim = (uint32_t)dim; field.train = base; field.train_count = rows / 2; field.k = 100;
    create.fields = &field; create.field_count = 1; create.nonce = (const uint8_t *)"0123456789abcdef";
    if (dreamdb_create(config, "main", &create, &db, &error)) { stop("create"); }
    for (size_t at = 0; at < rows; at += batch) {
        dreamdb_column column;
        dreamdb_append_desc append;
        size_t n = rows - at < batch ? rows - at : batch;
        memset(&column, 0, sizeof column); memset(&append, 0, sizeof append);
        for (size_t i = 0; i < n; i++) { memcpy(data + i * dim, base + order[at + i] * dim, dim * sizeof *data); anchors[i] = at + i; }
        column.field = "e"; column.data = data;
        append.columns = &column; append.column_count = 1; append.count = n; append.anchors = anchors;
        if (dreamdb_append(db, &append, NULL, &error)) { stop("append"); }
    }
    dreamdb_close(db);
    free(order); free(data); free(anchors);
}

/* One job by so many shares: CPU seconds of opening and plan, of the slowest share's placing, of the end, of the slowest share's splitting. */
static void job(uint32_t of, double seconds[4], uint8_t manifest[DREAMDB_ADDRESS_SIZE], uint64_t *cells)
{
    dreamdb_store store;
    dreamdb_config config;
    dreamdb_shard_desc desc;
    dreamdb_shard_report report;
    make(&store, &config);
    memset(&desc, 0, sizeof desc);
    desc.job = "bench"; desc.of = of; desc.propose = 1;
    memset(seconds, 0, 4 * sizeof *seconds);
    for (uint32_t stage = 0; stage < 2 * of + 3; stage++) {  /* each in a handle of its own, as another process has it: open, split, plan, place, end */
        size_t kind = stage == 0 || stage == of + 1 ? 0 : stage <= of ? 3 : stage < 2 * of + 2 ? 1 : 2;
        desc.shard = (stage - 1) % (of + 1);
        double start = cpu();
        dreamdb *db = open_main(&config);
        dreamdb_status status = kind == 0 ? dreamdb_shard_plan(db, &desc, &report, &error) : kind % 2 == 1 ? dreamdb_shard_work(db, &desc, &report, &error)
            : dreamdb_shard_finish(db, &desc, &report, &error);
        if (status) { stop("stage"); }
        dreamdb_close(db);
        double took = cpu() - start;
        seconds[kind] = kind == 0 ? seconds[kind] + took : took > seconds[kind] ? took : seconds[kind];
    }
    memcpy(manifest, report.step.manifest, DREAMDB_ADDRESS_SIZE);
    *cells = report.cells;
    dreamdb_store_close(&store);
}

int main(int argc, char **argv)
{
    uint8_t manifests[3][DREAMDB_ADDRESS_SIZE];
    dreamdb_store store;
    dreamdb_config config;
    dreamdb_ada_step_report report;
    double one[4], four[4];
    uint64_t cells = 0;
    if (argc < 4) { printf("usage: bench_shard BASE.f32 DIM ROWS\n"); return 2; }
    dim = (size_t)atol(argv[2]); rows = (size_t)atol(argv[3]);
    FILE *f = fopen(argv[1], "rb");
    base = (float *)malloc(rows * dim * sizeof *base);
    if (!f || !base || fread(base, dim * sizeof *base, rows, f) != rows) { printf("cannot read %s\n", argv[1]); return 1; }
    (void)fclose(f);
    make(&store, &config);
    double start = cpu();
    dreamdb *db = open_main(&config);
    if (dreamdb_ada_step(db, NULL, &report, &error)) { stop("step"); }
    dreamdb_close(db);
    double whole = cpu() - start;
    memcpy(manifests[0], report.manifest, sizeof manifests[0]);
    dreamdb_store_close(&store);
    job(1, one, manifests[1], &cells);
    job(4, four, manifests[2], &cells);
    int same = memcmp(manifests[0], manifests[1], sizeof manifests[0]) == 0 && memcmp(manifests[0], manifests[2], sizeof manifests[0]) == 0;
    printf("cells %llu step %.3f plan %.3f split1 %.3f split4 %.3f split_ratio %.3f share1 %.3f share4 %.3f ratio %.3f end %.3f same %d\n",
           (unsigned long long)cells, whole, four[0], one[3], four[3], four[3] / one[3], one[1], four[1], four[1] / one[1], four[2], same);
    free(base);
    return !same;
}
