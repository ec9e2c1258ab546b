/* bench_step.c - what steps of Ada-IVF cost over time, and what an append costs beside them.
     bench_step BASE.f32 DIM ROWS        (make bench BENCH="--only step")
   The first half: 400 small steps (a cell split, a cell merged) on 2,000 rows.  The second: appends of 20 rows, alone and beside a thread that
   steps on and on over the rest of the rows. */
#include "../../dreamdb.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STEPS = 400, APPENDS = 200, BATCH = 20 };
static dreamdb_error error;
static float *base;
static size_t dim, rows;
static dreamdb_store store;
static volatile int over;
static uint64_t steps, lost;

static void stop(const char *what) { printf("%s: %s\n", what, error.message); exit(1); }
static int compare(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return x < y ? -1 : x > y; }
static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static dreamdb_config config_of(void)
{
    dreamdb_config config;
    memset(&config, 0, sizeof config);
    config.store = &store; config.threads = 1; config.cache_bytes = 64 << 20;
    return config;
}

static dreamdb *open_main(void)
{
    dreamdb *db = NULL;
    dreamdb_config config = config_of();
    if (dreamdb_open(&config, "main", &db, &error)) { stop("open"); }
    return db;
}

static void append(dreamdb *db, size_t at, size_t count)
{
    static uint64_t anchors[100000];
    dreamdb_column column;
    dreamdb_append_desc desc;
    memset(&column, 0, sizeof column); memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) { anchors[i] = at + i; }
    column.field = "e"; column.data = base + at % rows * dim;
    desc.columns = &column; desc.column_count = 1; desc.count = count; desc.anchors = anchors; desc.page_early = 1; desc.retry = 1000;
    if (dreamdb_append(db, &desc, NULL, &error)) { stop("append"); }
}

static dreamdb *make(size_t count, uint32_t k)
{
    dreamdb *db = NULL;
    dreamdb_field field;
    dreamdb_create_desc create;
    dreamdb_config config;
    if (dreamdb_store_memory(NULL, &store, &error)) { stop("store"); }
    config = config_of();
    memset(&field, 0, sizeof field); memset(&create, 0, sizeof create);
    field.name = "e"; field.kind = DREAMDB_EMBEDDING; field.dim = (uint32_t)dim; field.train = base; field.train_count = count; field.k = k;
    create.fields = &field; create.field_count = 1;
    if (dreamdb_create(&config, "main", &create, &db, &error)) { stop("create"); }
    append(db, 0, count);
    return db;
}

static double sum(const double *list, size_t count)
{
    double all = 0;
    for (size_t i = 0; i < count; i++) { all += list[i]; }
    return all;
}

/* CPU time of the steps around the 50th and of the last ones. */
static void over_time(void)
{
    static double times[STEPS], read[STEPS];
    dreamdb *db = make(2000, 40);
    for (int turn = 0; turn < STEPS; turn++) {
        dreamdb_ada_step_desc desc;
        dreamdb_ada_step_report report;
        double began = (double)clock() / CLOCKS_PER_SEC;       /* CPU: nothing waits here */
        memset(&desc, 0, sizeof desc);
        desc.force = 1; desc.max_cells = 2; desc.neighbours = 2; desc.k_max = turn % 2 ? 20 : 80;
        if (dreamdb_ada_step(db, &desc, &report, &error)) { stop("step"); }
        read[turn] = (double)report.records_read;
        times[turn] = (double)clock() / CLOCKS_PER_SEC - began;
    }
    double early = sum(times + 40, 20), late = sum(times + STEPS - 20, 20);
    printf("early %.6f late %.6f ratio %.3f read %.3f ", early / 20, late / 20, late / early, sum(read + STEPS - 20, 20) / sum(read + 40, 20));
    dreamdb_close(db);
    dreamdb_store_close(&store);
}

static void *step_on(void *user)
{
    dreamdb *db = (dreamdb *)user;
    for (uint64_t turn = 0; !over; turn++) {
        dreamdb_ada_step_desc desc;
        dreamdb_ada_step_report report;
        dreamdb_error own;
        memset(&desc, 0, sizeof desc);
        desc.exact = 1; desc.force = 1;        /* every record is placed anew: there is always something to do */
        desc.max_cells = 16; desc.retry = 1000; desc.k_max = turn % 2 ? 150 : 400;
        if (dreamdb_ada_step(db, &desc, &report, &own)) { lost++; } else { steps += report.outcome == DREAMDB_ADA_MADE; }
    }
    return NULL;
}

/* The time that 99 of 100 appends keep. */
static double appends(size_t at)
{
    static double times[APPENDS];
    dreamdb *db = open_main();
    for (size_t i = 0; i < APPENDS; i++) {
        struct timespec nap = { 0, 40000000 };
        double began = now();
        append(db, at + i * BATCH, BATCH);
        times[i] = now() - began;
        (void)nanosleep(&nap, NULL);
    }
    dreamdb_close(db);
    qsort(times, APPENDS, sizeof *times, compare);
    return times[APPENDS * 99 / 100];
}

static void beside(void)
{
    size_t count = rows < 40000 ? rows : 40000;
    pthread_t thread;
    dreamdb *db = make(count, 200);
    double alone = appends(rows * 4), with = 0;
    if (pthread_create(&thread, NULL, step_on, db)) { exit(1); }
    with = appends(rows * 8);
    over = 1;
    (void)pthread_join(thread, NULL);
    printf("alone %.6f beside %.6f slower %.3f steps %llu lost %llu\n", alone, with, with / alone, (unsigned long long)steps, (unsigned long long)lost);
    dreamdb_close(db);
    dreamdb_store_close(&store);
}

int main(int argc, char **argv)
{
    FILE *f = argc > 3 ? fopen(argv[1], "rb") : NULL;
    dim = argc > 3 ? (size_t)atol(argv[2]) : 0;
    rows = argc > 3 ? (size_t)atol(argv[3]) : 0;
    base = (float *)malloc(rows * dim * sizeof *base + 1);
    if (!f || rows < 8000 || !base || fread(base, sizeof *base * dim, rows, f) != rows) { printf("bench_step BASE.f32 DIM ROWS (8000 or more)\n"); return 2; }
    fclose(f);
    over_time();
    beside();
    free(base);
    return 0;
}
