/* race.c - what one process does to a bucket, for tests/s3/s3_test.py; on the public headers only.
     race URL races            20 threads for each of 10 keys, both conditions: one winner each
     race URL store            the contract of a store: puts, ranges, listings, batches, deletes, an object in parts
     race URL append REF N     N appends of one row each to a Ref that others move too, tried again after a CONFLICT
     race URL bare N SIZE      N puts of SIZE bytes in batches of 1,000, for bench-s3; prints the seconds
     race URL phases           the workload of bench-s3: a line of requests, waves and seconds each
     race URL ingest N DIM PER vectors in appends of PER rows each, then puts of as many objects of the same sizes; prints both seconds,
                               the count, and the processor's seconds of both
   The last line is "N passed, N failed". */
#define _POSIX_C_SOURCE 200809L
#include "../../dreamdb_s3.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 20, KEYS = 10 };
static dreamdb_store store;
static dreamdb_error error;
static unsigned passed, failed;
static void check(int good, const char *what) { if (good) { passed++; } else { failed++; printf("failed: %s: %s\n", what, error.message); } }

typedef struct runner { pthread_t thread; int id, round; int wins[KEYS]; char tag[KEYS][DREAMDB_TAG_SIZE]; int broken; } runner;
static runner runners[THREADS];
static char run_name[40];

static void *runs(void *user)
{
    runner *r = (runner *)user;
    for (int k = 0; k < KEYS; k++) {
        char path[80], body[40];
        dreamdb_condition condition;
        (void)snprintf(path, sizeof path, "refs/%s/k%d", run_name, k);
        (void)snprintf(body, sizeof body, "thread %d round %d", r->id, r->round);
        condition.kind = r->round == 0 ? DREAMDB_PUT_IF_ABSENT : DREAMDB_PUT_IF_TAG;
        condition.tag = r->tag[k];
        int status = store.put(store.user, path, body, strlen(body), &condition);
        r->wins[k] = status == DREAMDB_OK;
        r->broken += status != DREAMDB_OK && status != DREAMDB_ERR_EXISTS && status != DREAMDB_ERR_CONFLICT;
    }
    return NULL;
}

static void races(void)
{
    (void)snprintf(run_name, sizeof run_name, "race%ld", (long)getpid());
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < THREADS; i++) {
            runners[i].id = i;
            runners[i].round = round;
            if (pthread_create(&runners[i].thread, NULL, runs, &runners[i]) != 0) { exit(1); }
        }
        for (int i = 0; i < THREADS; i++) { (void)pthread_join(runners[i].thread, NULL); check(runners[i].broken == 0, "a thread met another error"); }
        for (int k = 0; k < KEYS; k++) {
            int wins = 0, last = -1;
            char path[80], wanted[40];
            dreamdb_blob blob;
            for (int i = 0; i < THREADS; i++) { wins += runners[i].wins[k]; last = runners[i].wins[k] ? i : last; }
            check(wins == 1, round == 0 ? "If-None-Match has one winner" : "If-Match has one winner");
            (void)snprintf(path, sizeof path, "refs/%s/k%d", run_name, k);
            (void)snprintf(wanted, sizeof wanted, "thread %d round %d", last, round);
            check(store.get(store.user, path, 0, 0, &blob) == DREAMDB_OK && blob.size == strlen(wanted) && memcmp(blob.data, wanted, strlen(wanted)) == 0, "the winner's bytes");
            for (int i = 0; i < THREADS; i++) { memcpy(runners[i].tag[k], blob.tag, DREAMDB_TAG_SIZE); }
            if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
        }
    }
}

static int counted;
static int count_one(void *user, const char *path, const dreamdb_stat *stat) { (void)user; (void)path; counted += stat->size == 3; return 0; }

static void contract(void)
{
    enum { COUNT = 2300 };
    static dreamdb_io ops[COUNT];
    static char names[COUNT][64];
    dreamdb_stat stat;
    dreamdb_blob blob;
    check(dreamdb_s3_probe(&store, &error) == DREAMDB_OK, "probe");
    memset(ops, 0, sizeof ops);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof names[i], "t%ld/odd=@+~ (%d)&", (long)getpid(), i);
        ops[i].kind = DREAMDB_IO_PUT; ops[i].path = names[i]; ops[i].data = "abc"; ops[i].size = 3; ops[i].condition.kind = DREAMDB_PUT_IF_ABSENT;
    }
    check(store.batch(store.user, ops, COUNT) == DREAMDB_OK, "batch of puts");
    int good = 0, again = 0;
    for (int i = 0; i < COUNT; i++) { good += ops[i].status == DREAMDB_OK; }
    check(good == COUNT, "each put");
    (void)store.batch(store.user, ops, 50);
    for (int i = 0; i < 50; i++) { again += ops[i].status == DREAMDB_ERR_EXISTS; }
    check(again == 50, "each put again is EXISTS");
    char prefix[64];
    (void)snprintf(prefix, sizeof prefix, "t%ld/", (long)getpid());
    check(store.list(store.user, prefix, count_one, NULL) == DREAMDB_OK && counted == COUNT, "list in pages");
    check(store.get(store.user, names[7], 1, 5, &blob) == DREAMDB_OK && blob.size == 2 && memcmp(blob.data, "bc", 2) == 0, "range");
    if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
    check(store.get(store.user, names[7], 3, 5, &blob) == DREAMDB_OK && blob.size == 0, "range past the end");
    check(store.get(store.user, "not/there", 0, 0, &blob) == DREAMDB_ERR_NOT_FOUND, "missing");
    check(store.stat(store.user, names[9], &stat) == DREAMDB_OK && stat.size == 3 && stat.tag[0] && stat.modified_ns > UINT64_C(1700000000000000000), "stat");
    for (int i = 0; i < COUNT; i++) { ops[i].kind = DREAMDB_IO_REMOVE; ops[i].status = 0; }
    check(store.batch(store.user, ops, COUNT) == DREAMDB_OK, "batch of removals");
    for (good = 0, again = 0; again < COUNT; again++) { good += ops[again].status == DREAMDB_OK; }
    counted = 0;
    check(good == COUNT && store.list(store.user, prefix, count_one, NULL) == DREAMDB_OK && counted == 0, "all are gone");
}

static void parts(const char *url)
{
    size_t size = (size_t)13 << 20;
    char *bytes = (char *)malloc(size);
    dreamdb_s3_options options;
    dreamdb_condition absent = {DREAMDB_PUT_IF_ABSENT, NULL};
    dreamdb_blob blob;
    memset(&options, 0, sizeof options);
    options.url = url; options.part_bytes = (uint64_t)5 << 20;
    dreamdb_store parted;
    if (!bytes || dreamdb_store_s3(&options, &parted, &error) != DREAMDB_OK) { exit(1); }
    for (size_t i = 0; i < size; i++) { bytes[i] = (char)(i * 2654435761u >> 13); }
    check(parted.put(parted.user, "big/one", bytes, size, &absent) == DREAMDB_OK, "put in parts");
    check(parted.get(parted.user, "big/one", 0, 0, &blob) == DREAMDB_OK && blob.size == size && memcmp(blob.data, bytes, size) == 0, "read in one");
    if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
    check(parted.put(parted.user, "big/one", bytes, size, &absent) == DREAMDB_ERR_EXISTS, "parts again");
    check(parted.remove(parted.user, "big/one") == DREAMDB_OK, "remove");
    dreamdb_store_close(&parted);
    free(bytes);
}

static void append(const char *ref, int count)
{
    dreamdb_config config;
    dreamdb *db = NULL;
    memset(&config, 0, sizeof config);
    config.store = &store; config.threads = 1;
    if (dreamdb_open(&config, ref, &db, &error) != DREAMDB_OK) { printf("%s\n", error.message); exit(1); }
    for (int i = 0; i < count; i++) {
        float v[8];
        uint64_t anchor = (uint64_t)getpid() * 1000 + (uint64_t)i;
        dreamdb_column column;
        dreamdb_append_desc desc;
        dreamdb_status status = DREAMDB_ERR_CONFLICT;
        memset(&column, 0, sizeof column);
        memset(&desc, 0, sizeof desc);
        for (int d = 0; d < 8; d++) { v[d] = (float)(anchor % 97) + (float)d; }
        column.field = "emb"; column.data = v;
        desc.columns = &column; desc.column_count = 1; desc.count = 1; desc.anchors = &anchor;
        for (int tries = 0; status == DREAMDB_ERR_CONFLICT && tries < 200; tries++) { status = dreamdb_append(db, &desc, NULL, &error); }
        check(status == DREAMDB_OK, "append");
    }
    dreamdb_close(db);
}

static void bare(int count, size_t size)
{
    char *bytes = (char *)calloc(1000, size);
    dreamdb_io *ops = (dreamdb_io *)calloc(1000, sizeof *ops);
    static char names[1000][64];
    struct timespec a, b;
    if (!bytes || !ops) { exit(1); }
    (void)clock_gettime(CLOCK_MONOTONIC, &a);
    for (int at = 0; at < count; at += 1000) {
        int n = count - at < 1000 ? count - at : 1000;
        for (int i = 0; i < n; i++) {
            (void)snprintf(names[i], sizeof names[i], "bare/%ld/%d", (long)getpid(), at + i);
            memcpy(bytes + (size_t)i * size, &at, size < sizeof at ? size : sizeof at);
            ops[i].kind = DREAMDB_IO_PUT; ops[i].path = names[i]; ops[i].data = bytes + (size_t)i * size; ops[i].size = size;
            ops[i].condition.kind = DREAMDB_PUT_IF_ABSENT;
        }
        check(store.batch(store.user, ops, (size_t)n) == DREAMDB_OK && ops[0].status == DREAMDB_OK, "bare puts");
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &b);
    printf("seconds %.4f\n", (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec));
    free(bytes); free(ops);
}

/* ---- The workload that the reference was measured with: images of 1,011 bytes, vectors of 64, labels; LSH of 4 bits ---- */

static dreamdb_s3_stats before;
static struct timespec since;
static void phase_begin(void) { (void)dreamdb_s3_stats_of(&store, &before); (void)clock_gettime(CLOCK_MONOTONIC, &since); }
static void phase_end(const char *name, int good)
{
    dreamdb_s3_stats now;
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    (void)dreamdb_s3_stats_of(&store, &now);
    check(good, name);
    printf("phase %s|%llu|%llu|%.3f|%llu|%llu|%llu|%llu\n", name, (unsigned long long)(now.attempts_started - before.attempts_started),
           (unsigned long long)(now.waves - before.waves), (double)(at.tv_sec - since.tv_sec) + 1e-9 * (double)(at.tv_nsec - since.tv_nsec),
           (unsigned long long)(now.requests_get - before.requests_get), (unsigned long long)(now.requests_put - before.requests_put),
           (unsigned long long)(now.request_body_bytes - before.request_body_bytes),
           (unsigned long long)(now.response_body_bytes - before.response_body_bytes));
}

static float phase_vectors[1000 * 64], phase_asked[64];
static dreamdb_status phase_append(dreamdb *db, uint64_t first, size_t count)
{
    static char images[1000][1011];
    static dreamdb_slice media[1000], labels[1000];
    static uint64_t anchors[1000];
    static uint64_t state = 7;
    dreamdb_column columns[3];
    dreamdb_append_desc desc;
    memset(columns, 0, sizeof columns);
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) {
        for (size_t d = 0; d < 64; d++) { state = state * 6364136223846793005u + 1442695040888963407u; phase_vectors[i * 64 + d] = (float)(int32_t)(state >> 32); }
        memset(images[i], 0, sizeof images[i]);
        (void)snprintf(images[i], sizeof images[i], "img%06llu", (unsigned long long)(first + i));
        anchors[i] = first + i;
        media[i].data = images[i]; media[i].size = sizeof images[i];
        labels[i].data = &"cat\0dog\0eel"[4 * (i % 3)]; labels[i].size = 3;
    }
    columns[0].field = "emb"; columns[0].data = phase_vectors;
    columns[1].field = "image"; columns[1].values = media;
    columns[2].field = "label"; columns[2].values = labels;
    desc.columns = columns; desc.column_count = 3; desc.count = count; desc.anchors = anchors;
    return dreamdb_append(db, &desc, NULL, &error);
}

static int phase_query(dreamdb *db, dreamdb_snapshot *given, const char *state, int media)
{
    static const char *const fields[] = {"image", "label"};
    dreamdb_snapshot *view = given;
    dreamdb_query query;
    dreamdb_result *found = NULL;
    memset(&query, 0, sizeof query);
    query.field = "emb"; query.vectors = phase_asked; query.fields = fields; query.field_count = media ? 2 : 0; query.load_media = media;
    int good = (given || dreamdb_snapshot_open(db, state, &view, &error) == DREAMDB_OK) && dreamdb_search(view, &query, &found, &error) == DREAMDB_OK && found->count == 10;
    dreamdb_result_free(found);
    if (!given) { dreamdb_snapshot_close(view); }
    return good;
}

/* ---- Ingest, and the same objects put bare: what the store could do at best ---- */

static dreamdb_store noted;
static uint64_t *sizes;
static size_t size_count, size_room;
static int note_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition) { return store.put(user, path, data, size, condition); }
static int note_batch(void *user, dreamdb_io *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind != DREAMDB_IO_PUT) { continue; }
        if (size_count == size_room) { size_room = size_room ? size_room * 2 : 4096; sizes = (uint64_t *)realloc(sizes, size_room * sizeof *sizes); }
        if (!sizes) { exit(1); }
        sizes[size_count++] = ops[i].size;
    }
    return store.batch(user, ops, count);
}

static double seconds(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

/* Puts objects of the noted sizes, all at once: as many in flight as there are connections, to the end. */
static double bare_again(void)
{
    dreamdb_io *ops = (dreamdb_io *)calloc(size_count, sizeof *ops);
    char (*names)[64] = (char (*)[64])calloc(size_count, sizeof *names);
    uint64_t all = 0, at = 0;
    for (size_t i = 0; i < size_count; i++) { all += sizes[i] + 8; }
    char *bytes = (char *)malloc((size_t)all);
    if (!ops || !names || !bytes) { exit(1); }
    for (size_t i = 0; i < (size_t)all; i++) { bytes[i] = (char)(i * 2654435761u >> 13); }
    for (size_t i = 0; i < size_count; i++) {
        (void)snprintf(names[i], sizeof names[i], "bare/%ld/%zu", (long)getpid(), i);
        ops[i].kind = DREAMDB_IO_PUT; ops[i].path = names[i]; ops[i].data = bytes + at; ops[i].size = sizes[i]; ops[i].condition.kind = DREAMDB_PUT_IF_ABSENT;
        at += sizes[i];
    }
    double began = seconds();
    check(store.batch(store.user, ops, size_count) == DREAMDB_OK, "bare puts");
    double took = seconds() - began;
    for (size_t i = 0; i < size_count; i++) { check(ops[i].status == DREAMDB_OK, "a bare put"); }
    free(bytes); free(ops); free(names);
    return took;
}

static void ingest(size_t rows, uint32_t dim, size_t per)
{
    dreamdb_config config;
    dreamdb_field field;
    dreamdb_create_desc create;
    dreamdb *db = NULL;
    char ref[40];
    uint64_t state = 11;
    double took = 0, cpu = 0;
    float *vectors = (float *)malloc(per * dim * sizeof *vectors);
    uint64_t *anchors = (uint64_t *)malloc(per * sizeof *anchors);
    if (!vectors || !anchors) { exit(1); }
    noted = store;
    noted.batch = note_batch; noted.put = note_put;
    memset(&config, 0, sizeof config); memset(&field, 0, sizeof field); memset(&create, 0, sizeof create);
    config.store = &noted;
    field.name = "emb"; field.kind = DREAMDB_EMBEDDING; field.dim = dim; field.index = DREAMDB_INDEX_LSH; field.bits = 10;
    create.fields = &field; create.field_count = 1;
    (void)snprintf(ref, sizeof ref, "ingest%ld-%zu", (long)getpid(), per);
    check(dreamdb_create(&config, ref, &create, &db, &error) == DREAMDB_OK, "create");
    size_count = 0;
    for (size_t at = 0; at < rows && db; at += per) {
        dreamdb_column column;
        dreamdb_append_desc desc;
        memset(&column, 0, sizeof column); memset(&desc, 0, sizeof desc);
        for (size_t i = 0; i < per * dim; i++) { state = state * 6364136223846793005u + 1442695040888963407u; vectors[i] = (float)(int32_t)(state >> 32); }
        for (size_t i = 0; i < per; i++) { anchors[i] = at + i + 1; }
        column.field = "emb"; column.data = vectors;
        desc.columns = &column; desc.column_count = 1; desc.count = per; desc.anchors = anchors;
        double began = seconds();
        clock_t work = clock();
        check(dreamdb_append(db, &desc, NULL, &error) == DREAMDB_OK, "append");
        took += seconds() - began;
        cpu += (double)(clock() - work) / CLOCKS_PER_SEC;
    }
    dreamdb_close(db);
    clock_t work = clock();
    double bare_took = bare_again();
    printf("ingest %.4f %.4f %zu %.4f %.4f\n", took, bare_took, size_count, cpu, (double)(clock() - work) / CLOCKS_PER_SEC);
    free(vectors); free(anchors); free(sizes);
}

/* Compaction, the query after it, and gc of what that left: at least the 16 objects that the reference removed. */
static void phase_maintain(const dreamdb_config *config, dreamdb *db, const char *ref, const char *branch)
{
    dreamdb_compact_desc compact;
    dreamdb_gc_desc gc;
    dreamdb_gc_report report;
    dreamdb *cold = NULL;
    memset(&compact, 0, sizeof compact); memset(&gc, 0, sizeof gc); memset(&report, 0, sizeof report);
    check(dreamdb_ref_delete(config, branch, &error) == DREAMDB_OK, "delete of the branch");
    phase_begin(); phase_end("compact", dreamdb_compact(db, &compact, NULL, &error) == DREAMDB_OK);
    phase_begin();
    int good = dreamdb_open(config, ref, &cold, &error) == DREAMDB_OK && phase_query(cold, NULL, ".", 1);
    phase_end("the same after compact", good);
    dreamdb_close(cold);
    gc.keep_manifests = 1; gc.keep_since_ns = DREAMDB_GC_NO_AGE; gc.writers_paused = 1;
    phase_begin(); phase_end("gc", dreamdb_gc(config, &gc, &report, &error) == DREAMDB_OK && report.deleted >= 16);
    printf("gc removed %llu of %llu\n", (unsigned long long)report.deleted, (unsigned long long)report.listed);
}

static void phases(void)
{
    dreamdb_config config;
    dreamdb_field fields[3];
    dreamdb_create_desc create;
    dreamdb_merge_desc merge;
    dreamdb *db = NULL, *other = NULL;
    dreamdb_snapshot *view = NULL;
    char ref[40], branch[40];
    memset(&config, 0, sizeof config); memset(fields, 0, sizeof fields); memset(&create, 0, sizeof create); memset(&merge, 0, sizeof merge);
    config.store = &store;
    fields[0].name = "emb"; fields[0].kind = DREAMDB_EMBEDDING; fields[0].dim = 64; fields[0].index = DREAMDB_INDEX_LSH; fields[0].bits = 4;
    fields[1].name = "image"; fields[1].kind = DREAMDB_IMAGE; fields[2].name = "label"; fields[2].kind = DREAMDB_CATEGORICAL;
    create.fields = fields; create.field_count = 3;
    (void)snprintf(ref, sizeof ref, "bench%ld", (long)getpid());
    (void)snprintf(branch, sizeof branch, "side%ld", (long)getpid());
    phase_begin(); phase_end("create", dreamdb_create(&config, ref, &create, &db, &error) == DREAMDB_OK);
    phase_begin(); phase_end("append 1,000 rows, first", phase_append(db, 1, 1000) == DREAMDB_OK);
    memcpy(phase_asked, phase_vectors + 5 * 64, sizeof phase_asked);         /* a row of the first batch, as the reference was asked */
    phase_begin(); phase_end("append 1,000 rows, warm handle", phase_append(db, 1001, 1000) == DREAMDB_OK);
    phase_begin(); phase_end("append 1 row, warm handle", phase_append(db, 2001, 1) == DREAMDB_OK);
    dreamdb_close(db);
    db = NULL;
    phase_begin();
    int good = dreamdb_open(&config, ref, &db, &error) == DREAMDB_OK && phase_query(db, NULL, ".", 1);
    phase_end("open, first query of top 10 with images", good);
    phase_begin(); phase_end("query again, images", phase_query(db, NULL, NULL, 1));
    check(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK, "snapshot");
    phase_begin(); phase_end("query again, handle, no images", phase_query(db, NULL, NULL, 0));
    phase_begin(); phase_end("query again, snapshot, no images", phase_query(db, view, NULL, 0));
    dreamdb_snapshot_close(view);
    good = dreamdb_branch(db, NULL, branch, &error) == DREAMDB_OK && dreamdb_open(&config, branch, &other, &error) == DREAMDB_OK
        && phase_append(db, 3001, 100) == DREAMDB_OK && phase_append(other, 4001, 100) == DREAMDB_OK;
    check(good, "branch");
    merge.other = branch;
    phase_begin(); phase_end("union merge 2 x 100", dreamdb_merge(db, &merge, NULL, &error) == DREAMDB_OK);
    dreamdb_close(other);
    phase_maintain(&config, db, ref, branch);
    dreamdb_close(db);
}

int main(int argc, char **argv)
{
    dreamdb_s3_options options;
    memset(&options, 0, sizeof options);
    if (argc < 3) { return 2; }
    options.url = argv[1];
    if (dreamdb_store_s3(&options, &store, &error) != DREAMDB_OK) { printf("%s\n0 passed, 1 failed\n", error.message); return 1; }
    if (strcmp(argv[2], "races") == 0) { races(); }
    if (strcmp(argv[2], "store") == 0) { contract(); parts(argv[1]); }
    if (strcmp(argv[2], "phases") == 0) { phases(); }
    if (strcmp(argv[2], "append") == 0 && argc == 5) { append(argv[3], atoi(argv[4])); }
    if (strcmp(argv[2], "ingest") == 0 && argc == 6) { ingest((size_t)atoi(argv[3]), (uint32_t)atoi(argv[4]), (size_t)atoi(argv[5])); }
    if (strcmp(argv[2], "bare") == 0 && argc == 5) { bare(atoi(argv[3]), (size_t)atoi(argv[4])); }
    dreamdb_store_close(&store);
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
