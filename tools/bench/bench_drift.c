/* bench_drift.c - Ada-IVF under drifting data: real rows in the order of a principal direction, appended and deleted, a step every batch.
     bench_drift BASE.f32 DIM ROWS FOLDER|memory [BATCH [NEIGHBOURS [exact]]]     (make bench BENCH="--only drift")
   Prints at every tenth of the way: cells, their spread, lag, recall@10 at a fixed nprobe beside that of an index trained anew on what is
   stored (same k), and the CPU time of steps beside that of appends and deletions; then what was asked and what was measured.  In a folder
   (an empty one) everything is synced as by default; in memory only CPU time is measured, as nothing else differs. */
#include "../../dreamdb.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { QUERIES = 1000, NPROBE = 16, TOP = 10 };
static dreamdb_error error;
static float *base;
static size_t dim, rows;
typedef struct place { float at; size_t row; } place;
static place *order;

static void stop(const char *what) { printf("%s: %s\n", what, error.message); exit(1); }
static double cpu(void) { return (double)clock() / CLOCKS_PER_SEC; }
static int compare(const void *a, const void *b) { float x = ((const place *)a)->at, y = ((const place *)b)->at; return x < y ? -1 : x > y; }
static uint64_t state = 88172645463325252u;
static uint64_t draw(void) { state ^= state << 13; state ^= state >> 7; state ^= state << 17; return state; }

/* Rows in the order of their projection on the first principal direction (power iteration on a sample). */
static void sort_rows(void)
{
    float *v = (float *)calloc(dim, sizeof *v), *next = (float *)calloc(dim, sizeof *v), *mean = (float *)calloc(dim, sizeof *v);
    size_t some = rows < 20000 ? rows : 20000;
    order = (place *)calloc(rows, sizeof *order);
    if (!v || !next || !mean || !order) { exit(1); }
    for (size_t i = 0; i < some; i++) { for (size_t d = 0; d < dim; d++) { mean[d] += base[i * dim + d] / (float)some; } }
    for (size_t d = 0; d < dim; d++) { v[d] = (float)(d + 1); }
    for (int turn = 0; turn < 20; turn++) {
        float norm = 0;
        memset(next, 0, dim * sizeof *next);
        for (size_t i = 0; i < some; i++) {
            float dot = 0;
            for (size_t d = 0; d < dim; d++) { dot += (base[i * dim + d] - mean[d]) * v[d]; }
            for (size_t d = 0; d < dim; d++) { next[d] += dot * (base[i * dim + d] - mean[d]); }
        }
        for (size_t d = 0; d < dim; d++) { norm += next[d] * next[d]; }
        for (size_t d = 0; d < dim; d++) { v[d] = next[d] / sqrtf(norm); }
    }
    for (size_t i = 0; i < rows; i++) {
        order[i].row = i;
        for (size_t d = 0; d < dim; d++) { order[i].at += base[i * dim + d] * v[d]; }
    }
    qsort(order, rows, sizeof *order, compare);
    free(v); free(next); free(mean);
}

/* The share of the ten nearest rows that a search of NPROBE cells finds. */
static double recall(dreamdb *db, const float *queries)
{
    dreamdb_snapshot *view = NULL;
    dreamdb_query q;
    dreamdb_result *all = NULL, *some = NULL;
    size_t found = 0, wanted = 0;
    memset(&q, 0, sizeof q);
    q.field = "e"; q.vectors = queries; q.count = QUERIES; q.top_k = TOP;
    if (dreamdb_snapshot_open(db, NULL, &view, &error)) { stop("open"); }
    q.exact = 1;
    if (dreamdb_search(view, &q, &all, &error)) { stop("exact"); }
    q.exact = 0; q.nprobe = NPROBE;
    if (dreamdb_search(view, &q, &some, &error)) { stop("search"); }
    for (size_t i = 0; i < QUERIES; i++) {
        for (size_t a = i > 0 ? all->ends[i - 1] : 0; a < all->ends[i]; a++, wanted++) {
            for (size_t b = i > 0 ? some->ends[i - 1] : 0; b < some->ends[i]; b++) { found += all->hits[a].anchor == some->hits[b].anchor; }
        }
    }
    dreamdb_result_free(all); dreamdb_result_free(some);
    dreamdb_snapshot_close(view);
    return (double)found / (double)wanted;
}

/* The recall of an index trained anew, with as many cells, on a branch of its own. */
static double fresh_recall(const dreamdb_config *config, dreamdb *db, uint64_t k, size_t stored, const float *queries)
{
    static int number;
    char name[32];
    dreamdb *other = NULL;
    dreamdb_train_desc train;
    size_t some = stored < 20000 ? stored : 20000;
    float *sample = (float *)malloc(some * dim * sizeof *sample);
    if (!sample) { exit(1); }
    (void)snprintf(name, sizeof name, "fresh%d", number++);
    for (size_t i = 0; i < some; i++) { memcpy(sample + i * dim, base + order[i * stored / some].row * dim, dim * sizeof *sample); }
    memset(&train, 0, sizeof train);
    train.field = "e"; train.k = (uint32_t)k; train.sample = sample; train.sample_count = some;
    if (dreamdb_branch(db, NULL, name, &error) || dreamdb_open(config, name, &other, &error)) { stop("branch"); }
    if (dreamdb_train(other, &train, &error)) { stop("train"); }
    double share = recall(other, queries);
    dreamdb_close(other);
    free(sample);
    return share;
}

/* What was seen on the way. */
static struct { double appends, deletes, steps, cv, lag, below; uint64_t over, acted, all, rows_read, cells_written, buckets_read, buckets_written; } seen;

/* A tenth of the way: one line. */
static void look(const dreamdb_config *config, dreamdb *db, size_t stored, float *queries)
{
    dreamdb_snapshot *view = NULL;
    dreamdb_ada_status_desc desc;
    dreamdb_ada_balance b;
    memset(&desc, 0, sizeof desc);
    desc.sample = 5000;
    if (dreamdb_snapshot_open(db, NULL, &view, &error) || dreamdb_ada_status(view, &desc, &b, &error)) { stop("status"); }
    dreamdb_snapshot_close(view);
    for (size_t i = 0; i < QUERIES; i++) {
        const float *row = base + order[draw() % stored].row * dim;
        for (size_t d = 0; d < dim; d++) { queries[i * dim + d] = row[d] + 0.1f * ((float)(draw() % 2001) / 1000.0f - 1.0f); }
    }
    double ours = recall(db, queries), fresh = fresh_recall(config, db, b.k, stored, queries), lag = 100.0 * (double)b.moved / (double)b.sampled;
    double ingest = seen.appends + seen.deletes;
    printf("%8zu %6llu %6llu %6.2f %6.2f %6llu %8.3f %8.3f %8.2f %8.2f %8.1f\n", stored, (unsigned long long)b.k, (unsigned long long)b.k_cap,
           b.cv, lag, (unsigned long long)b.fragments_max, ours, fresh, ingest, seen.steps, 100 * seen.steps / ingest);
    (void)fflush(stdout);
    seen.cv = b.cv > seen.cv ? b.cv : seen.cv;
    seen.lag = lag > seen.lag ? lag : seen.lag;
    seen.below = fresh - ours > seen.below ? fresh - ours : seen.below;
    seen.over += b.k > b.k_cap;
}

static void batch_of(dreamdb *db, size_t at, size_t batch, float *data, uint64_t *anchors, const dreamdb_ada_step_desc *step)
{
    dreamdb_column column;
    dreamdb_append_desc append;
    dreamdb_delete_desc del;
    dreamdb_ada_step_report report;
    uint64_t gone[100];
    memset(&column, 0, sizeof column); memset(&append, 0, sizeof append); memset(&del, 0, sizeof del);
    for (size_t i = 0; i < batch; i++) { memcpy(data + i * dim, base + order[at + i].row * dim, dim * sizeof *data); anchors[i] = at + i; }
    for (size_t i = 0; i < 100; i++) { gone[i] = draw() % (at + batch); }
    column.field = "e"; column.data = data;
    append.columns = &column; append.column_count = 1; append.count = batch; append.anchors = anchors;
    del.anchors = gone; del.anchor_count = 100;
    double start = cpu();
    if (dreamdb_append(db, &append, NULL, &error)) { stop("append"); }
    seen.appends += cpu() - start;
    start = cpu();
    if (dreamdb_delete(db, &del, NULL, &error)) { stop("delete"); }
    seen.deletes += cpu() - start;
    start = cpu();
    if (dreamdb_ada_step(db, step, &report, &error)) { stop("step"); }
    seen.steps += cpu() - start;
    seen.all++;
    seen.acted += report.outcome == DREAMDB_ADA_MADE;
    seen.rows_read += report.records_read; seen.cells_written += report.cells_written;
    seen.buckets_read += report.buckets_read; seen.buckets_written += report.buckets_written;
}

static void tell(const char *what, const char *asked, double measured, const char *unit, int good)
{
    printf("%-44s asked %-12s measured %8.2f %s%s\n", what, asked, measured, unit, good ? "" : "   MISSED");
}

int main(int argc, char **argv)
{
    dreamdb_store store;
    dreamdb_directory folder;
    dreamdb_config config;
    dreamdb *db = NULL;
    dreamdb_field field;
    dreamdb_create_desc create;
    dreamdb_ada_step_desc step;
    if (argc < 5) { printf("usage: bench_drift BASE.f32 DIM ROWS FOLDER|memory [BATCH [NEIGHBOURS [exact]]]\n"); return 2; }
    dim = (size_t)atol(argv[2]); rows = (size_t)atol(argv[3]);
    int memory = strcmp(argv[4], "memory") == 0;
    size_t batch = argc > 5 ? (size_t)atol(argv[5]) : 2000, tenth = rows / 10 / batch;
    FILE *f = fopen(argv[1], "rb");
    base = (float *)malloc(rows * dim * sizeof *base);
    float *data = (float *)malloc(batch * dim * sizeof *data), *queries = (float *)malloc(QUERIES * dim * sizeof *data);
    uint64_t *anchors = (uint64_t *)malloc(batch * sizeof *anchors);
    if (!f || !base || !data || !queries || !anchors || fread(base, dim * sizeof *base, rows, f) != rows) { printf("cannot read %s\n", argv[1]); return 1; }
    (void)fclose(f);
    sort_rows();
    memset(&config, 0, sizeof config); memset(&field, 0, sizeof field); memset(&create, 0, sizeof create); memset(&folder, 0, sizeof folder);
    memset(&step, 0, sizeof step);
    folder.path = argv[4]; folder.create = 1;
    if (memory ? dreamdb_store_memory(NULL, &store, &error) : dreamdb_store_directory(&folder, &store, &error)) { stop("store"); }
    config.store = &store; config.threads = 1; config.cache_bytes = UINT64_C(1) << 30;
    for (size_t i = 0; i < batch; i++) { memcpy(data + i * dim, base + order[i].row * dim, dim * sizeof *data); }
    field.name = "e"; field.kind = DREAMDB_EMBEDDING; field.dim = (uint32_t)dim; field.train = data; field.train_count = batch;
    create.fields = &field; create.field_count = 1;
    if (dreamdb_create(&config, "main", &create, &db, &error)) { stop("create"); }
    step.neighbours = argc > 6 ? (uint32_t)atol(argv[6]) : 0;
    step.exact = argc > 7 && argv[7][0] == 'e';
    if (!memory) { printf("%8s %6s %6s %6s %6s %6s %8s %8s %8s %8s %8s\n", "rows", "k", "cap", "cv", "lag%", "frag", "recall", "fresh", "ingest s", "steps s", "share%"); }
    for (size_t at = 0; at + batch <= rows; at += batch) {
        batch_of(db, at, batch, data, anchors, &step);
        if (!memory && (at / batch + 1) % tenth == 0) { look(&config, db, at + batch, queries); }
    }
    if (!memory) {
        tell("cv, worst tenth", "<= 1.5", seen.cv, "", seen.cv <= 1.5);
        tell("tenths with k above the cap", "0", (double)seen.over, "", seen.over == 0);
        tell("lag, worst tenth", "<= 2", seen.lag, "%", seen.lag <= 2);
        tell("recall@10 below a fresh index, worst tenth", "<= 1", 100 * seen.below, "points", seen.below <= 0.01);
    }
    double share = 100 * seen.steps / (seen.appends + seen.deletes);
    tell(memory ? "CPU of steps / ingest, store in memory" : "CPU of steps / ingest, folder, synced", "<= 25", share, "%", share <= 25);
    printf("%llu steps, %llu of them acted: %.2f rows read a row stored, %llu cells written, buckets %llu read and %llu written; a row took %.2f us of "
           "append, %.2f of deletion, %.2f of steps\n", (unsigned long long)seen.all, (unsigned long long)seen.acted, (double)seen.rows_read / (double)rows,
           (unsigned long long)seen.cells_written, (unsigned long long)seen.buckets_read, (unsigned long long)seen.buckets_written,
           1e6 * seen.appends / (double)rows, 1e6 * seen.deletes / (double)rows, 1e6 * seen.steps / (double)rows);
    dreamdb_close(db);
    dreamdb_store_close(&store);
    free(base); free(data); free(queries); free(anchors); free(order);
    return 0;
}
