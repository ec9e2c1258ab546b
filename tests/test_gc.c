/* test_gc.c - room gc: random histories beside a plain model of which states must stay, and an oracle of what they read; ages, dry runs,
   damage that must end a run, a stop at every allocation and storage operation, writers at work, the filter of leaves, memory. */
#include "dataset.h"

enum { GC_REFS = 4, GC_STATES = 600 };
static const char *const gc_names[GC_REFS] = { "main", "b1", "b2", "b3" };

/* ---- An oracle of what a state reads: every path that verify asks for ---- */
typedef struct gc_paths { char (*list)[200]; size_t count, cap; } gc_paths;
static gc_paths gc_read;
static dreamdb_store gc_log;

static void gc_note(gc_paths *paths, const char *path)
{
    if (paths->count == paths->cap) {
        paths->cap = paths->cap > 0 ? paths->cap * 2 : 1024;
        paths->list = (char (*)[200])realloc(paths->list, paths->cap * sizeof *paths->list);
        if (!paths->list) { exit(1); }
    }
    (void)snprintf(paths->list[paths->count++], sizeof *paths->list, "%s", path);
}

static int gc_log_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    (void)user;
    int status = data_inner.get(data_inner.user, path, offset, size, out);
    if (status == DREAMDB_OK && strncmp(path, "refs/", 5) != 0) { gc_note(&gc_read, path); }
    return status;
}

static int gc_compare(const void *a, const void *b) { return strcmp((const char *)a, (const char *)b); }

static void gc_sort(gc_paths *paths)
{
    size_t kept = 0;
    if (paths->count == 0) { return; }
    qsort(paths->list, paths->count, sizeof *paths->list, gc_compare);
    for (size_t i = 0; i < paths->count; i++) {
        if (i == 0 || strcmp(paths->list[kept - 1], paths->list[i]) != 0) { memmove(paths->list[kept++], paths->list[i], sizeof *paths->list); }
    }
    paths->count = kept;
}

static bool gc_has(const gc_paths *paths, const char *path)
{
    return paths->count > 0 && bsearch(path, paths->list, paths->count, sizeof *paths->list, gc_compare) != NULL;
}

static int gc_list_one(void *user, const char *path, const dreamdb_stat *stat)
{
    (void)stat;
    if (strncmp(path, "refs/", 5) != 0) { gc_note((gc_paths *)user, path); }
    return 0;
}

static void gc_list(gc_paths *out)
{
    out->count = 0;
    CHECK(data_inner.list(data_inner.user, "", gc_list_one, out) == DREAMDB_OK);
    gc_sort(out);
}

/* A state must be whole: verify finds no fault; what it read is noted. */
static void gc_verify(const char *ref, const uint8_t *manifest)
{
    char text[DREAMDB_ADDRESS_TEXT];
    dreamdb_snapshot *view = NULL;
    dreamdb_verify_report report;
    dreamdb *db = NULL;
    gc_log = data_inner;
    gc_log.get = gc_log_get;
    gc_log.batch = NULL;
    dreamdb_config config = data_config(&gc_log);
    memset(&report, 0, sizeof report);
    dreamdb_address_text(manifest, text);
    CHECK(dreamdb_open(&config, ref, &db, &data_error) == DREAMDB_OK);
    CHECK(db && dreamdb_snapshot_open(db, text, &view, &data_error) == DREAMDB_OK);
    CHECK(view && dreamdb_verify(view, 0, NULL, NULL, &report, &data_error) == DREAMDB_OK && report.faults == 0);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
}

/* ---- The model: a graph of states, the refs, and which states a run must keep ---- */
typedef struct gc_state { uint8_t address[DREAMDB_ADDRESS_SIZE]; size_t parents[2], parent_count, rows; bool kept, gone; } gc_state;
static gc_state gc_states[GC_STATES];
static bool gc_trains;
static size_t gc_state_count, gc_tips[GC_REFS], gc_snaps[64], gc_snap_count;

static size_t gc_add(const uint8_t *address, size_t a, size_t b)
{
    gc_state *state = gc_states + gc_state_count;
    if (gc_state_count == GC_STATES) { exit(1); }
    memset(state, 0, sizeof *state);
    memcpy(state->address, address, DREAMDB_ADDRESS_SIZE);
    state->parents[0] = a; state->parents[1] = b;
    state->parent_count = a == SIZE_MAX ? 0 : b == SIZE_MAX ? 1 : 2;
    return gc_state_count++;
}

static void gc_keep(size_t at, uint64_t left)
{
    static uint64_t best[GC_STATES];
    if (left == 0 || gc_states[at].gone || (gc_states[at].kept && best[at] >= left)) { return; }
    gc_states[at].kept = true;
    best[at] = left;
    for (size_t i = 0; i < gc_states[at].parent_count; i++) { gc_keep(gc_states[at].parents[i], left - 1); }
}

static void gc_model(size_t refs, uint64_t keep)
{
    for (size_t i = 0; i < gc_state_count; i++) { gc_states[i].kept = false; }
    for (size_t i = 0; i < refs; i++) { if (gc_tips[i] != SIZE_MAX) { gc_keep(gc_tips[i], keep); } }
    for (size_t i = 0; i < gc_snap_count; i++) { gc_states[gc_snaps[i]].kept = true; }
}

static dreamdb_status gc_run(const dreamdb_store *on, uint64_t keep, int dry, dreamdb_gc_report *report)
{
    dreamdb_config config = data_config(on);
    dreamdb_gc_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.keep_manifests = keep; desc.keep_since_ns = DREAMDB_GC_NO_AGE; desc.writers_paused = 1; desc.dry_run = dry;
    return dreamdb_gc(&config, &desc, report, &data_error);
}

static void gc_manifest(dreamdb *db, uint8_t *out)
{
    dreamdb_snapshot *view = NULL;
    const dreamdb_info *info = NULL;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && dreamdb_snapshot_info(view, &info, NULL) == DREAMDB_OK);
    if (info) { memcpy(out, info->manifest, DREAMDB_ADDRESS_SIZE); }
    dreamdb_snapshot_close(view);
}

static dreamdb *gc_open(const dreamdb_store *on, const char *ref)
{
    dreamdb_config config = data_config(on);
    dreamdb *db = NULL;
    CHECK(dreamdb_open(&config, ref, &db, &data_error) == DREAMDB_OK);
    if (!db) { printf("%s: %s\n", ref, data_error.message); exit(1); }
    return db;
}

/* One random change to a branch. */
static void gc_step(size_t which, size_t refs)
{
    dreamdb *db = gc_open(&data_inner, gc_names[which]);
    uint64_t roll = test_rand() % 12;
    size_t other = SIZE_MAX;
    uint8_t address[DREAMDB_ADDRESS_SIZE];
    if (roll < 5) {
        CHECK(data_append(db, test_rand() % (DATA_MOST - 60), 1 + test_rand() % 30, NULL) == DREAMDB_OK);
    } else if (roll < 7) {
        uint64_t gone[3];
        dreamdb_delete_desc desc;
        memset(&desc, 0, sizeof desc);
        for (size_t i = 0; i < 3; i++) { gone[i] = data_rows[DATA_MOST - 30 + test_rand() % 30].anchor; }
        desc.anchors = gone; desc.anchor_count = 3;
        CHECK(dreamdb_delete(db, &desc, NULL, &data_error) == DREAMDB_OK);
    } else if (roll < 8 && refs == 1 && gc_trains) {
        dreamdb_train_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.field = "e"; desc.k = 2 + (uint32_t)(test_rand() % 5); desc.seed = test_rand();
        CHECK(dreamdb_train(db, &desc, &data_error) == DREAMDB_OK);
    } else if (roll < 9 && gc_snap_count < 64) {
        char label[24];
        (void)snprintf(label, sizeof label, "s%zu", gc_snap_count);
        CHECK(dreamdb_keep(db, label, &data_error) == DREAMDB_OK);
        gc_snaps[gc_snap_count++] = gc_tips[which];
        dreamdb_close(db);
        return;
    } else {
        dreamdb_merge_desc desc;
        dreamdb_merge_report report;
        other = test_rand() % refs;
        memset(&desc, 0, sizeof desc);
        desc.other = gc_names[other];
        if (gc_tips[other] == gc_tips[which]) { dreamdb_close(db); return; }
        dreamdb_status status = dreamdb_merge(db, &desc, &report, &data_error);
        CHECK(status == DREAMDB_OK);
        if (status < 0) { printf("merge: %s\n", data_error.message); }
    }
    gc_manifest(db, address);
    gc_tips[which] = gc_add(address, gc_tips[which], other == SIZE_MAX ? SIZE_MAX : gc_tips[other]);
    dreamdb_close(db);
}

/* After a run: every state to be kept is whole, and nothing else is left but what merges need and what the filter mistook. */
static void gc_check(size_t refs, const dreamdb_gc_report *report)
{
    static gc_paths left;
    size_t states = 0, extra = 0;
    gc_read.count = 0;
    for (size_t i = 0; i < gc_state_count; i++) {
        if (gc_states[i].kept) { gc_verify("main", gc_states[i].address); }
        states += gc_states[i].kept;
    }
    CHECK_EQ_U64(report->manifests, states);
    gc_sort(&gc_read);
    gc_list(&left);
    for (size_t i = 0; i < left.count; i++) {
        const char *path = left.list[i];
        bool link = strncmp(path, "manifests/", 10) == 0 || strstr(path, "/track/") || strstr(path, "/index/");
        CHECK(strncmp(path, "_gc/run-", 8) != 0);
        if (strcmp(path, DDB_REF_OUTLINES) == 0) { continue; }
        extra += !gc_has(&gc_read, path) && !(refs > 1 && link);
        if (extra == 1 && !gc_has(&gc_read, path) && !(refs > 1 && link)) { printf("kept besides: %s\n", path); }
    }
    CHECK(extra == 0);
}

static void gc_start(dreamdb_index_kind index, size_t refs)
{
    uint8_t address[DREAMDB_ADDRESS_SIZE];
    data_open();
    data_fill(DATA_MOST, 0);
    gc_state_count = gc_snap_count = 0;
    dreamdb_config config = data_config(&data_inner);
    dreamdb *db = NULL;
    CHECK(data_create(&config, index, 4, &db) == DREAMDB_OK);
    gc_manifest(db, address);
    gc_trains = index == DREAMDB_INDEX_IVF;
    CHECK(data_append(db, 0, 20, NULL) == DREAMDB_OK);
    gc_tips[0] = gc_add(address, SIZE_MAX, SIZE_MAX);
    gc_manifest(db, address);
    gc_tips[0] = gc_add(address, gc_tips[0], SIZE_MAX);
    for (size_t i = 1; i < refs; i++) {
        CHECK(dreamdb_branch(db, NULL, gc_names[i], &data_error) == DREAMDB_OK);
        gc_tips[i] = gc_tips[0];
    }
    dreamdb_close(db);
}

static void random_histories(void)
{
    for (int turn = 0; turn < 8 && test_ok; turn++) {
        size_t refs = turn % 2 ? 1 + test_rand() % GC_REFS : 1;
        data_page_early = turn % 4 >= 2;
        gc_start(turn % 3 ? DREAMDB_INDEX_IVF : DREAMDB_INDEX_LSH, refs);
        for (int step = 0; step < 60 && test_ok; step++) {
            gc_step(test_rand() % refs, refs);
            if (test_rand() % 8 == 0) {
                dreamdb_gc_report dry, report;
                uint64_t keep = 1 + test_rand() % 6;
                gc_model(refs, keep);
                CHECK(gc_run(&data_inner, keep, 1, &dry) == DREAMDB_OK);
                dreamdb_status status = gc_run(&data_inner, keep, 0, &report);
                CHECK(status == DREAMDB_OK);
                if (status < 0) { printf("gc: %s\n", data_error.message); }
                CHECK_EQ_U64(dry.deleted, report.deleted);
                CHECK_EQ_U64(dry.deleted_bytes, report.deleted_bytes);
                CHECK_EQ_U64(dry.listed, report.listed - report.others + dry.others);
                CHECK(report.marked == dry.marked && report.refs == refs + gc_snap_count && report.young == 0 && report.late == 0);
                gc_check(refs, &report);
                CHECK(gc_run(&data_inner, keep, 0, &report) == DREAMDB_OK && report.deleted == 0);
                for (size_t i = 0; i < gc_state_count; i++) { gc_states[i].gone = !gc_states[i].kept; }     /* a boundary from now on */
            }
        }
        if (!test_ok) { printf("turn %d, %zu refs\n", turn, refs); }
        data_close();
    }
    data_page_early = 0;
}

int main(void)
{
    data_unused();
    RUN(random_histories);
    return test_end("gc");
}
