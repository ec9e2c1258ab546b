/* bench.c - one measured job a process, for tools/bench/bench.py: writing, scanning, opening.  Uses the public header only, so it measures
   what a user gets.  Prints "name value unit" lines.
     bench ingest STORE base.f32 ROWS DIM K BATCH DURABILITY     create with training on 40*K rows, then append in batches
     bench tagged ...                                            the same with an int field "tag" = row number, trained on 256*K rows, evenly spread
     bench coded CODE ...                                        the same with codes: CODE is the bits of RaBitQ, or the m of PQ with a minus
     bench append STORE base.f32 ROWS DIM COUNT DURABILITY       COUNT appends of 100 rows each, time of each
     bench small  STORE base.f32 ROWS DIM COUNT                  COUNT appends of 20 rows to one Ref with page_early
     bench writer STORE WRITER COUNT                             COUNT appends of one row with retry, beside other writers
     bench commits STORE base.f32 ROWS DIM COUNT                 as small, 10 rows each with two embeddings and a label, which is compacted when due
     bench compact STORE base.f32 ROWS DIM K BATCHES THREADS     ROWS in so many appends, then all folded: bytes of the fragments a second
     bench verbs  STORE base.f32 ROWS DIM K MANY                 so many rows: what a delete of 1% takes, which operations branch and merge ask for
     bench space  STORE base.f32 ROWS DIM K BATCHES              as compact with a tenth deleted, then gc: the share of the superseded bytes freed
     bench scan   STORE                                          every vector through the cursor
     bench first  STORE base.f32 ROWS DIM NPROBE                     open to the first answer
   base.f32 is raw float32, row by row. */
#if !defined(_POSIX_C_SOURCE)
  #define _POSIX_C_SOURCE 200809L
#endif
#include "../../dreamdb.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The kernel's high-water mark of this process alone: ru_maxrss would start from the size of the process that forked us. */
static long peak_kb(void)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kb = strtol(line + 6, NULL, 10);
        }
    }
    if (f) {
        (void)fclose(f);
    }
    return kb;
}

static void must(dreamdb_status status, const dreamdb_error *error, const char *what)
{
    if (status < 0) {
        (void)fprintf(stderr, "bench: %s: %s %s\n", what, error->message, error->path);
        exit(1);
    }
}

static float *read_rows(FILE *f, size_t rows, size_t dim, size_t *got)
{
    float *data = (float *)malloc(rows * dim * sizeof *data);
    if (!data) {
        exit(1);
    }
    *got = fread(data, dim * sizeof *data, rows, f);
    return data;
}

typedef struct job { dreamdb_store store; dreamdb_config config; dreamdb_error error; dreamdb *db; } job;

static void job_open(job *j, const char *path, int durability)
{
    dreamdb_directory dir;
    memset(&dir, 0, sizeof dir);
    memset(j, 0, sizeof *j);
    dir.path = path;
    dir.create = 1;
    dir.durability = (dreamdb_durability)durability;
    must(dreamdb_store_directory(&dir, &j->store, &j->error), &j->error, "store");
    j->config.store = &j->store;
}

static int tagged = 0;                         /* 1: a second field, int64 "tag" = row number */
static int labelled = 0;                       /* 1: a second embedding "also", the same rows, and one of ten labels */
static int code = 0;                           /* > 0: bits of RaBitQ; < 0: -m of PQ */

static void append(job *j, const float *rows, size_t count, uint64_t first, int early, dreamdb_append_report *report)
{
    dreamdb_column columns[3];
    dreamdb_append_desc desc;
    uint64_t *anchors = (uint64_t *)malloc(count * sizeof *anchors);
    dreamdb_slice *labels = (dreamdb_slice *)malloc(count * sizeof *labels);
    memset(columns, 0, sizeof columns);
    memset(&desc, 0, sizeof desc);
    if (!anchors || !labels) {
        exit(1);
    }
    for (size_t i = 0; i < count; i++) {
        anchors[i] = first + i;
        labels[i].data = &"0123456789"[(first + i) * 7 / 3 % 10];
        labels[i].size = 1;
    }
    columns[0].field = "emb";
    columns[0].data = rows;
    columns[1].field = labelled ? "also" : "tag";
    columns[1].data = labelled ? (const void *)rows : (const void *)anchors;
    columns[2].field = "label";
    columns[2].values = labels;
    desc.columns = columns;
    desc.column_count = labelled ? 3 : tagged ? 2 : 1;
    desc.count = count;
    desc.anchors = anchors;
    desc.page_early = early;
    must(dreamdb_append(j->db, &desc, report, &j->error), &j->error, "append");
    free(anchors);
    free(labels);
}

static void create(job *j, const float *sample, size_t count, size_t dim, size_t k)
{
    dreamdb_field fields[3], *field = fields;
    dreamdb_create_desc desc;
    memset(fields, 0, sizeof fields);
    fields[1].name = "tag";
    fields[1].kind = DREAMDB_INT;
    fields[2].name = "label";
    fields[2].kind = DREAMDB_CATEGORICAL;
    memset(&desc, 0, sizeof desc);
    field->name = "emb";
    field->kind = DREAMDB_EMBEDDING;
    field->required = 1;
    field->dim = (uint32_t)dim;
    field->index = DREAMDB_INDEX_IVF;
    field->train = sample;
    field->train_count = count;
    field->k = (uint32_t)k;
    if (code != 0) {
        field->compressor = code > 0 ? DREAMDB_COMPRESSOR_RABITQ : DREAMDB_COMPRESSOR_PQ;
        field->bits_per_dim = code > 0 ? (uint32_t)code : 0;
        field->pq_m = code < 0 ? (uint32_t)-code : 0;
    }
    if (labelled) {
        fields[1] = *field;
        fields[1].name = "also";
    }
    desc.fields = fields;
    desc.field_count = labelled ? 3 : tagged ? 2 : 1;
    must(dreamdb_create(&j->config, "main", &desc, &j->db, &j->error), &j->error, "create");
}

static int run_ingest(char **a)
{
    job j;
    size_t rows = strtoul(a[2], NULL, 10), dim = strtoul(a[3], NULL, 10), k = strtoul(a[4], NULL, 10), batch = strtoul(a[5], NULL, 10), got = 0, done = 0;
    FILE *f = fopen(a[1], "rb");
    double t = now(), c = cpu(), trained = 0;
    if (!f) {
        return 1;
    }
    job_open(&j, a[0], atoi(a[6]));
    size_t most = (tagged ? 256 : 40) * k;
    float *sample = read_rows(f, most < rows && !tagged ? most : rows, dim, &got);
    for (size_t i = 0; i < most && most < got; i++) {           /* of all rows, evenly */
        memmove(sample + i * dim, sample + i * got / most * dim, dim * sizeof *sample);
    }
    got = most < got ? most : got;
    create(&j, sample, got, dim, k);
    free(sample);
    trained = cpu() - c;
    rewind(f);
    while (done < rows) {
        size_t want = rows - done < batch ? rows - done : batch;
        float *data = read_rows(f, want, dim, &got);
        if (got == 0) {
            break;
        }
        append(&j, data, got, done, 0, NULL);
        done += got;
        free(data);
    }
    printf("wall %.4f s\ncpu %.4f s\ntrain_cpu %.4f s\npeak %ld kB\nrows %zu rows\n", now() - t, cpu() - c, trained, peak_kb(), done);
    dreamdb_close(j.db);
    dreamdb_store_close(&j.store);
    (void)fclose(f);
    return 0;
}

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* What an append advises: the label's Track, which each append writes whole, folded. */
static void compact_label(job *j, dreamdb_append_report *report)
{
    dreamdb_compact_desc desc;
    dreamdb_compact_report done;
    memset(&desc, 0, sizeof desc);
    desc.field = "label";
    must(dreamdb_compact(j->db, &desc, &done, &j->error), &j->error, "compact");
    report->objects += done.objects;
    report->bytes += done.bytes;
}

static int run_append(char **a, int small)
{
    job j;
    size_t rows = strtoul(a[2], NULL, 10), dim = strtoul(a[3], NULL, 10), count = strtoul(a[4], NULL, 10), got = 0;
    size_t each = labelled ? 10 : small ? 20 : 100;
    FILE *f = fopen(a[1], "rb");
    double *times = (double *)malloc(count * sizeof *times), third = 0, last = 0, third_cpu = 0, last_cpu = 0;
    uint64_t third_bytes = 0, last_bytes = 0, objects = 0, folds = 0;
    if (!f || !times) {
        return 1;
    }
    job_open(&j, a[0], small ? (int)DREAMDB_DURABILITY_NONE : atoi(a[5]));
    float *data = read_rows(f, rows, dim, &got);
    if (small) {
        create(&j, data, 12560 < got ? 12560 : got, dim, 314);
    } else {
        must(dreamdb_open(&j.config, "main", &j.db, &j.error), &j.error, "open");
    }
    for (size_t i = 0; i < count; i++) {
        dreamdb_append_report report;
        size_t at = (i * each) % (got - each);
        double t = now(), c = cpu();
        append(&j, data + at * dim, each, 10000000 + i * each, small, &report);
        if (report.compact_bytes > 0) {
            compact_label(&j, &report);
            folds++;
        }
        times[i] = now() - t;
        c = cpu() - c;
        objects += report.objects;
        if (i >= 2000 && i < 3000) {
            third += times[i];
            third_cpu += c;
            third_bytes += report.bytes;
        }
        if (i + 1000 >= count) {
            last += times[i];
            last_cpu += c;
            last_bytes += report.bytes;
        }
    }
    if (small && count >= 4000) {
        printf("third_1000 %.4f s\nlast_1000 %.4f s\nlast_cpu %.4f s\ncpu_ratio %.3f x\nfolds %llu\n", third, last, last_cpu, last_cpu / third_cpu,
               (unsigned long long)folds);
        printf("time_ratio %.3f x\nthird_bytes %llu B\nlast_bytes %llu B\nbytes_ratio %.3f x\n", last / third,
               (unsigned long long)third_bytes, (unsigned long long)last_bytes, (double)last_bytes / (double)third_bytes);
    }
    qsort(times, count, sizeof *times, by_double);
    printf("append_min %.3f ms\nappend_median %.3f ms\nobjects_each %.1f\n", times[0] * 1e3, times[count / 2] * 1e3, (double)objects / (double)count);
    dreamdb_close(j.db);
    dreamdb_store_close(&j.store);
    (void)fclose(f);
    free(times);
    free(data);
    return 0;
}

/* One of many writers on one Ref: rows of its own, every append tried until it lands. */
static int run_writer(char **a)
{
    job j;
    size_t writer = strtoul(a[1], NULL, 10), count = strtoul(a[2], NULL, 10);
    double *times = (double *)malloc((count + 1) * sizeof *times);
    uint64_t replays = 0, most = 0;
    if (!times || count == 0) {
        return 1;
    }
    job_open(&j, a[0], (int)DREAMDB_DURABILITY_NONE);
    must(dreamdb_open(&j.config, "main", &j.db, &j.error), &j.error, "open");
    for (size_t i = 0; i < count; i++) {
        dreamdb_append_report report;
        dreamdb_append_desc desc;
        dreamdb_column columns[2];
        uint64_t anchor = writer * 1000000 + i;
        float vector[8];
        double t = now();
        for (size_t d = 0; d < 8; d++) {
            vector[d] = (float)((anchor * 2654435761u >> d) % 1009) - 504.0f;
        }
        memset(columns, 0, sizeof columns);
        memset(&desc, 0, sizeof desc);
        columns[0].field = "emb";
        columns[0].data = vector;
        columns[1].field = "tag";
        columns[1].data = &anchor;
        desc.columns = columns;
        desc.column_count = 2;
        desc.count = 1;
        desc.anchors = &anchor;
        desc.page_early = 1;
        desc.retry = 100000;
        must(dreamdb_append(j.db, &desc, &report, &j.error), &j.error, "append");
        times[i] = now() - t;
        replays += report.replays;
        most = report.replays > most ? report.replays : most;
    }
    qsort(times, count, sizeof *times, by_double);
    printf("landed %zu\nreplays %llu\nmost %llu\nmedian %.1f ms\nlongest %.1f ms\n", count, (unsigned long long)replays, (unsigned long long)most,
           times[count / 2] * 1e3, times[count - 1] * 1e3);
    dreamdb_close(j.db);
    dreamdb_store_close(&j.store);
    free(times);
    return 0;
}

static int run_scan(char **a)
{
    job j;
    dreamdb_snapshot *view = NULL;
    static dreamdb_row rows[4096];
    const char *names[1] = {"emb"};
    job_open(&j, a[0], 2);
    for (int round = 0; round < 5; round++) {
        dreamdb_scan scan;
        dreamdb_cursor *cursor = NULL;
        uint64_t bytes = 0;
        size_t got = 0;
        float sum = 0;
        double t = now();
        memset(&scan, 0, sizeof scan);
        scan.fields = names;
        scan.field_count = 1;
        must(dreamdb_open(&j.config, "main", &j.db, &j.error), &j.error, "open");          /* a fresh handle: nothing is cached */
        must(dreamdb_snapshot_open(j.db, NULL, &view, &j.error), &j.error, "snapshot");
        must(dreamdb_scan_open(view, &scan, &cursor, &j.error), &j.error, "scan");
        for (;;) {
            dreamdb_status status = dreamdb_cursor_rows(cursor, rows, 4096, &got, &j.error);
            must(status, &j.error, "rows");
            if (got == 0) {
                break;
            }
            for (size_t i = 0; i < got; i++) {
                bytes += rows[i].values[0].size;
                sum += *(const float *)rows[i].values[0].data;
            }
        }
        double took = now() - t;
        printf("scan %.4f s %.3f GB/s (%g)\n", took, (double)bytes / took * 1e-9, (double)sum);
        dreamdb_cursor_close(cursor);
        dreamdb_snapshot_close(view);
        dreamdb_close(j.db);
    }
    dreamdb_store_close(&j.store);
    return 0;
}

static int run_first(char **a)
{
    job j;
    dreamdb_snapshot *view = NULL;
    dreamdb_query query;
    dreamdb_result *result = NULL;
    size_t dim = strtoul(a[3], NULL, 10), got = 0;
    FILE *f = fopen(a[1], "rb");
    if (!f) {
        return 1;
    }
    float *data = read_rows(f, 1, dim, &got);
    double t = now();
    memset(&query, 0, sizeof query);
    job_open(&j, a[0], 2);
    must(dreamdb_open(&j.config, "main", &j.db, &j.error), &j.error, "open");
    must(dreamdb_snapshot_open(j.db, NULL, &view, &j.error), &j.error, "snapshot");
    query.field = "emb";
    query.vectors = data;
    query.nprobe = (uint32_t)strtoul(a[4], NULL, 10);
    must(dreamdb_search(view, &query, &result, &j.error), &j.error, "search");
    printf("first %.3f ms\nhits %zu\nwaves %llu\nobjects %llu\n", (now() - t) * 1e3, result->count, (unsigned long long)result->waves, (unsigned long long)result->objects_read);
    dreamdb_result_free(result);
    dreamdb_snapshot_close(view);
    dreamdb_close(j.db);
    dreamdb_store_close(&j.store);
    (void)fclose(f);
    free(data);
    return 0;
}

/* A new store of `rows` rows in so many appends, those of the file over and over. */
static void fill(job *j, char **argv, size_t rows, size_t batches)
{
    FILE *f = fopen(argv[1], "rb");
    size_t in_file = (size_t)strtoull(argv[2], NULL, 10), dim = (size_t)strtoull(argv[3], NULL, 10), k = (size_t)strtoull(argv[4], NULL, 10), got = 0;
    if (!f || batches == 0 || rows / batches > in_file) {
        exit(1);
    }
    float *data = read_rows(f, in_file, dim, &got);
    (void)fclose(f);
    job_open(j, argv[0], DREAMDB_DURABILITY_NONE);
    create(j, data, got < 40 * k ? got : 40 * k, dim, k);
    for (size_t i = 0; i < batches; i++) {
        size_t first = rows * i / batches, count = rows * (i + 1) / batches - first, at = first % got;
        if (at + count > got) {
            at = got - count;
        }
        append(j, data + at * dim, count, first, 0, NULL);
    }
    free(data);
}

/* Fragments as appends leave them, folded in one call. */
static int run_compact(char **argv)
{
    job j;
    dreamdb_compact_desc desc;
    dreamdb_compact_report report;
    memset(&desc, 0, sizeof desc);
    fill(&j, argv, (size_t)strtoull(argv[2], NULL, 10), (size_t)strtoull(argv[5], NULL, 10));
    dreamdb_close(j.db);
    j.config.threads = (uint32_t)strtoul(argv[6], NULL, 10);
    must(dreamdb_open(&j.config, "main", &j.db, &j.error), &j.error, "open");
    double t = now(), c = cpu();
    must(dreamdb_compact(j.db, &desc, &report, &j.error), &j.error, "compact");
    t = now() - t;
    c = cpu() - c;
    printf("compact_s %.3f s\ncpu_s %.3f s\ncells %llu\nfragments %llu\nbytes %llu\nmb_s %.1f\nmb_cpu_s %.1f\npeak_kb %ld\n", t, c, (unsigned long long)report.cells,
           (unsigned long long)report.fragments, (unsigned long long)report.reclaimable, (double)report.reclaimable / t * 1e-6,
           (double)report.reclaimable / c * 1e-6, peak_kb());
    dreamdb_close(j.db);
    dreamdb_store_close(&j.store);
    return 0;
}

/* So many anchors all over a dataset of `rows`, other ones each round. */
static void delete_rows(job *j, dreamdb *db, size_t rows, size_t count, size_t round)
{
    uint64_t *anchors = (uint64_t *)malloc(count * sizeof *anchors);
    dreamdb_delete_desc desc;
    memset(&desc, 0, sizeof desc);
    if (!anchors) {
        exit(1);
    }
    for (size_t i = 0; i < count; i++) {
        anchors[i] = (round * count + i) * 61803 % rows;            /* no common divisor: each row once */
    }
    desc.anchors = anchors;
    desc.anchor_count = count;
    must(dreamdb_delete(db, &desc, NULL, &j->error), &j->error, "delete");
    free(anchors);
}

static void time_deletes(job *j, size_t rows)
{
    double first = 1e9, later = 1e9;
    for (size_t round = 0; round < 20; round++) {                  /* the first ten on branches without deletions, the others on one */
        char name[32];
        dreamdb *db = NULL;
        (void)snprintf(name, sizeof name, "gone%zu", round < 10 ? round : 10);
        if (round <= 10) {
            must(dreamdb_branch(j->db, NULL, name, &j->error), &j->error, "branch");
        }
        must(dreamdb_open(&j->config, name, &db, &j->error), &j->error, "open");
        double t = now();
        delete_rows(j, db, rows, rows / 100, round);
        t = now() - t;
        if (round < 10 && t < first) {
            first = t;
        }
        if (round > 10 && t < later) {
            later = t;
        }
        dreamdb_close(db);
    }
    printf("delete_ms %.3f ms\ndelete_later_ms %.3f ms\n", first * 1e3, later * 1e3);
}

/* Waves of a union of 2 x 100 rows; cold: by a handle that was opened for it, opening not counted. */
static void count_merge(job *j, const dreamdb_config *counted, dreamdb_fault *plan, const float *rows, uint64_t first, int cold)
{
    job other = *j;
    char name[16];
    dreamdb_merge_desc desc;
    dreamdb_merge_report report;
    memset(&desc, 0, sizeof desc);
    (void)snprintf(name, sizeof name, "side%d", cold);
    must(dreamdb_branch(j->db, NULL, name, &j->error), &j->error, "branch");
    must(dreamdb_open(&j->config, name, &other.db, &j->error), &j->error, "open");
    append(&other, rows, 100, first, 0, NULL);
    dreamdb_close(other.db);
    must(dreamdb_open(counted, "main", &other.db, &j->error), &j->error, "open");
    append(&other, rows, 100, first + 100, 0, NULL);
    if (cold) {
        dreamdb_close(other.db);
        must(dreamdb_open(counted, "main", &other.db, &j->error), &j->error, "open");
    }
    memset(plan, 0, sizeof *plan);
    desc.other = name;
    must(dreamdb_merge(other.db, &desc, &report, &j->error), &j->error, "merge");
    if (report.outcome != DREAMDB_MERGE_MADE || report.fused == 0) {
        exit(1);
    }
    const char *kind = cold ? "cold" : "warm";
    printf("merge_%s_waves %llu\nmerge_%s_gets %llu\n", kind, (unsigned long long)plan->waves, kind, (unsigned long long)plan->gets);
    printf("merge_%s_bytes %llu\n", kind, (unsigned long long)(plan->bytes_read + plan->bytes_written));
    dreamdb_close(other.db);
}

static int run_verbs(char **argv)
{
    job j;
    dreamdb_store store;
    dreamdb_fault plan;
    dreamdb_config counted;
    dreamdb *db = NULL;
    size_t dim = (size_t)strtoull(argv[3], NULL, 10), many = (size_t)strtoull(argv[5], NULL, 10);
    float *vectors = (float *)malloc(100 * dim * sizeof *vectors);
    if (!vectors) {
        return 1;
    }
    for (size_t i = 0; i < 100 * dim; i++) {
        vectors[i] = (float)(i * 2654435761u % 1009) - 504.0f;
    }
    tagged = 1;
    fill(&j, argv, many, 5);
    time_deletes(&j, many);
    memset(&plan, 0, sizeof plan);
    must(dreamdb_store_fault(&j.store, &plan, NULL, &store, &j.error), &j.error, "store");
    counted = j.config;
    counted.store = &store;
    counted.threads = 1;                                            /* the counting store is for one thread */
    must(dreamdb_open(&counted, "main", &db, &j.error), &j.error, "open");
    memset(&plan, 0, sizeof plan);
    must(dreamdb_branch(db, NULL, "branch", &j.error), &j.error, "branch");
    printf("branch_puts %llu\nbranch_operations %llu\n", (unsigned long long)plan.puts, (unsigned long long)plan.operations);
    dreamdb_close(db);
    count_merge(&j, &counted, &plan, vectors, 2 * many, 0);
    count_merge(&j, &counted, &plan, vectors, 3 * many, 1);
    dreamdb_store_close(&store);
    dreamdb_close(j.db);
    dreamdb_store_close(&j.store);
    free(vectors);
    return 0;
}

static int add_size(void *user, const char *path, const dreamdb_stat *stat)
{
    (void)path;
    *(uint64_t *)user += stat->size;
    return 0;
}

static uint64_t stored_bytes(job *j)
{
    uint64_t sum = 0;
    must((dreamdb_status)j->store.list(j->store.user, "", add_size, &sum), &j->error, "list");
    return sum;
}

/* A tenth deleted, everything folded, all old states let go.  Needed is what the tip reaches, by verify; superseded is all else. */
static int run_space(char **argv)
{
    job j;
    dreamdb_compact_desc compact;
    dreamdb_gc_desc gc;
    dreamdb_verify_report tip;
    dreamdb_snapshot *view = NULL;
    memset(&compact, 0, sizeof compact);
    memset(&gc, 0, sizeof gc);
    size_t rows = (size_t)strtoull(argv[2], NULL, 10);
    fill(&j, argv, rows, (size_t)strtoull(argv[5], NULL, 10));
    delete_rows(&j, j.db, rows, rows / 10, 0);
    compact.threshold = 1;
    must(dreamdb_compact(j.db, &compact, NULL, &j.error), &j.error, "compact");
    must(dreamdb_snapshot_open(j.db, NULL, &view, &j.error), &j.error, "snapshot");
    must(dreamdb_verify(view, 0, NULL, NULL, &tip, &j.error), &j.error, "verify");
    uint64_t before = stored_bytes(&j);
    gc.keep_manifests = 1;
    gc.keep_since_ns = DREAMDB_GC_NO_AGE;
    gc.writers_paused = 1;
    must(dreamdb_gc(&j.config, &gc, NULL, &j.error), &j.error, "gc");
    uint64_t after = stored_bytes(&j);
    printf("before %llu B\nafter %llu B\nneeded %llu B\nfaults %llu\nfreed %.2f %%\n", (unsigned long long)before, (unsigned long long)after,
           (unsigned long long)tip.bytes, (unsigned long long)tip.faults, 100.0 * (double)(before - after) / (double)(before - tip.bytes));
    must(dreamdb_verify(view, 0, NULL, NULL, &tip, &j.error), &j.error, "verify");
    dreamdb_snapshot_close(view);
    dreamdb_close(j.db);
    dreamdb_store_close(&j.store);
    return tip.faults != 0;
}

int main(int argc, char **argv)
{
    tagged = argc > 1 && strcmp(argv[1], "tagged") == 0;
    if (argc == 9 && (strcmp(argv[1], "ingest") == 0 || tagged)) {
        return run_ingest(argv + 2);
    }
    if (argc == 10 && strcmp(argv[1], "coded") == 0) {
        code = atoi(argv[2]);
        return run_ingest(argv + 3);
    }
    if (argc == 8 && strcmp(argv[1], "append") == 0) {
        return run_append(argv + 2, 0);
    }
    labelled = argc > 1 && strcmp(argv[1], "commits") == 0;
    if (argc == 7 && (strcmp(argv[1], "small") == 0 || labelled)) {
        return run_append(argv + 2, 1);
    }
    if (argc == 8 && strcmp(argv[1], "verbs") == 0) {
        return run_verbs(argv + 2);
    }
    if (argc == 8 && strcmp(argv[1], "space") == 0) {
        return run_space(argv + 2);
    }
    if (argc == 5 && strcmp(argv[1], "writer") == 0) {
        return run_writer(argv + 2);
    }
    if (argc == 9 && strcmp(argv[1], "compact") == 0) {
        return run_compact(argv + 2);
    }
    if (argc == 3 && strcmp(argv[1], "scan") == 0) {
        return run_scan(argv + 2);
    }
    if (argc == 7 && strcmp(argv[1], "first") == 0) {
        return run_first(argv + 2);
    }
    (void)fprintf(stderr, "usage: bench ingest|append|small|commits|compact|verbs|space|writer|scan|first ... (see the top of bench.c)\n");
    return 2;
}
