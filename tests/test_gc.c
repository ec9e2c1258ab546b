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

static int gc_wild;                              /* the clock jumps: the order of a merge's walk is another one each time */
static uint64_t gc_now(void *user) { return gc_wild ? 1 + test_rand() % 1000000 : data_now(user); }

static dreamdb *gc_open(const dreamdb_store *on, const char *ref)
{
    dreamdb_config config = data_config(on);
    config.now_ns = gc_now;
    dreamdb *db = NULL;
    CHECK(dreamdb_open(&config, ref, &db, &data_error) == DREAMDB_OK);
    if (!db) { printf("%s: %s\n", ref, data_error.message); exit(1); }
    return db;
}

/* Rows 300 to 319, which no ref reaches any more. */
static void gc_garbage(dreamdb *db)
{
    dreamdb_config config = data_config(&data_inner);
    CHECK(dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
    dreamdb *side = gc_open(&data_inner, "side");
    CHECK(data_append(side, 300, 20, NULL) == DREAMDB_OK);
    dreamdb_close(side);
    CHECK(dreamdb_ref_delete(&config, "side", NULL) == DREAMDB_OK);
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
    for (int turn = 0; turn < 12 && test_ok; turn++) {
        size_t refs = turn % 2 ? 2 + test_rand() % (GC_REFS - 1) : 1;
        gc_wild = turn % 6 == 5;
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
    data_page_early = gc_wild = 0;
}

/* ---- Ages ---- */

/* Sets the age of every object that is there now. */
static void gc_age(uint64_t age_ns)
{
    ddb_store_memory *memory = (ddb_store_memory *)data_inner.user;
    for (ddb_store_item *item = memory->shelf.oldest; item; item = item->newer) { item->modified_ns = ddb_port_now_ns() - age_ns; }
}

static const uint64_t gc_hour = UINT64_C(3600000000000);

static size_t gc_objects(void)
{
    static gc_paths all;
    gc_list(&all);
    return all.count;
}

static dreamdb_status gc_with(uint64_t keep, uint64_t since, int paused, int dry, dreamdb_gc_report *report)
{
    dreamdb_config config = data_config(&data_inner);
    dreamdb_gc_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.keep_manifests = keep; desc.keep_since_ns = since; desc.writers_paused = paused; desc.dry_run = dry;
    return dreamdb_gc(&config, &desc, report, &data_error);
}

/* keep_manifests and keep_since both hold: the newest so many states, and all that are young; objects besides stay for their age alone. */
static void ages(void)
{
    dreamdb_gc_report report;
    uint8_t old[DREAMDB_ADDRESS_SIZE], middle[DREAMDB_ADDRESS_SIZE], tip[DREAMDB_ADDRESS_SIZE];
    gc_start(DREAMDB_INDEX_IVF, 1);
    dreamdb *db = gc_open(&data_inner, "main");
    for (size_t i = 0; i < 4; i++) { CHECK(data_append(db, 20 * (i + 1), 20, NULL) == DREAMDB_OK); }
    gc_manifest(db, old);
    gc_age(30 * gc_hour);
    for (size_t i = 0; i < 4; i++) { CHECK(data_append(db, 100 + 20 * i, 20, NULL) == DREAMDB_OK); }
    gc_manifest(db, middle);
    gc_age(0);                                   /* all are young: nothing goes, whatever the window */
    size_t all = gc_objects();
    CHECK(gc_with(1, 0, 0, 0, &report) == DREAMDB_OK && report.deleted == 0 && report.manifests == 10 && gc_objects() == all);
    CHECK(gc_with(2, DREAMDB_GC_NO_AGE, 0, 0, &report) == DREAMDB_ERR_ARGUMENT && gc_with(2, gc_hour - 1, 0, 0, &report) == DREAMDB_ERR_ARGUMENT);
    CHECK(gc_with(2, gc_hour - 1, 0, 1, &report) == DREAMDB_OK && gc_objects() == all);        /* a dry run may ask anything */
    gc_age(25 * gc_hour);
    CHECK(gc_with(0, 0, 0, 0, &report) == DREAMDB_OK && report.manifests == 10 && report.deleted == 0);      /* 100 states */
    CHECK(gc_with(1, 26 * gc_hour, 0, 0, &report) == DREAMDB_OK && report.manifests == 10 && report.deleted == 0);
    for (size_t i = 0; i < 2; i++) { CHECK(data_append(db, 200 + 20 * i, 20, NULL) == DREAMDB_OK); }
    gc_manifest(db, tip);
    CHECK(gc_with(1, 0, 0, 1, &report) == DREAMDB_OK && report.manifests == 2 && report.deleted > 20);       /* two are young */
    CHECK(gc_with(1, 0, 0, 0, &report) == DREAMDB_OK && report.manifests == 2 && report.deleted > 20 && report.young == 0);
    gc_verify("main", tip);
    all = gc_objects();
    CHECK(gc_with(1, gc_hour, 0, 0, &report) == DREAMDB_OK && report.deleted == 0 && gc_objects() == all);
    CHECK(gc_with(1, 1000, 1, 0, &report) == DREAMDB_OK && report.manifests == 1 && report.deleted > 0 && report.young == 0);
    gc_verify("main", tip);
    data_put("spatial-index/daaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "?", 1);
    all = gc_objects();
    CHECK(gc_with(1, gc_hour, 0, 0, &report) == DREAMDB_OK && report.young <= 1 && gc_objects() == all);      /* no name of an object, or young */
    dreamdb_close(db);
    data_close();
}

/* What is not whole ends the run with its name, and nothing is removed. */
static void gc_refuses(dreamdb_status want, const char *word)
{
    dreamdb_gc_report report;
    size_t before = gc_objects();
    for (int dry = 0; dry < 2; dry++) {
        dreamdb_status status = gc_with(1, DREAMDB_GC_NO_AGE, 1, dry, &report);
        CHECK(status == want && data_error.status == want && report.deleted == 0 && gc_objects() == before);
        if (status != want || !(strstr(data_error.message, word) || strstr(data_error.path, word))) {
            printf("%s %s: %s, not %s\n", dreamdb_status_name(status), data_error.path, data_error.message, word);
            test_ok = 0;
        }
    }
}

static int gc_holds(const uint8_t *bytes, size_t size, const char *word)
{
    for (size_t i = 0; i + strlen(word) <= size; i++) {
        if (memcmp(bytes + i, word, strlen(word)) == 0) { return 1; }
    }
    return 0;
}

static void damage(void)
{
    static const char *const classes[] = { "/track/", "tombstones/", "manifests/", "/items/", "/index/" };
    dreamdb_field more;
    uint8_t *copy = NULL;
    size_t size = 0;
    gc_start(DREAMDB_INDEX_IVF, 1);
    dreamdb *db = gc_open(&data_inner, "main");
    memset(&more, 0, sizeof more);
    more.name = "z"; more.kind = DREAMDB_AUDIO; more.chunk_size = 10;
    CHECK(dreamdb_add_field(db, &more, NULL, &data_error) == DREAMDB_OK);
    data_page_early = 1;
    for (size_t i = 0; i < 3; i++) { CHECK(data_append(db, 20 + 30 * i, 30, NULL) == DREAMDB_OK); }
    dreamdb_slice sound = { "sound that is cut in pieces", 27 };
    uint64_t anchor = 5;
    dreamdb_column column;
    dreamdb_append_desc desc;
    dreamdb_delete_desc gone;
    memset(&column, 0, sizeof column); memset(&desc, 0, sizeof desc); memset(&gone, 0, sizeof gone);
    (void)column; (void)desc; (void)sound;
    gone.anchors = &anchor; gone.anchor_count = 1;
    CHECK(dreamdb_delete(db, &gone, NULL, &data_error) == DREAMDB_OK);
    data_page_early = 0;
    dreamdb_close(db);
    dreamdb_gc_report report;
    CHECK(gc_with(1, DREAMDB_GC_NO_AGE, 1, 0, &report) == DREAMDB_OK && report.deleted > 0 && report.manifests == 1);
    for (size_t c = 0; c < 5; c++) {
        for (size_t n = 0; data_path(classes[c], n)[0] && n < 12; n++) {
            char path[300];
            (void)snprintf(path, sizeof path, "%s", data_path(classes[c], n));
            copy = data_take(path, &size);
            if (gc_holds(copy, size, "dreamdb.tombstone-page.v1")) {       /* a leaf: marked, not read */
                free(copy);
                continue;
            }
            copy[size / 2] ^= 4;
            data_put(path, copy, size);
            gc_refuses(DREAMDB_ERR_CORRUPT, strrchr(path, '/') + 1);
            copy[size / 2] ^= 4;
            CHECK(data_inner.remove(data_inner.user, path) == DREAMDB_OK);
            dreamdb_status want = DREAMDB_ERR_NOT_FOUND;
            gc_refuses(want, strrchr(path, '/') + 1);
            data_put(path, copy, size);
            free(copy);
        }
    }
    data_put("refs/other", "short", 5);
    gc_refuses(DREAMDB_ERR_CORRUPT, "refs/other");
    CHECK(data_inner.remove(data_inner.user, "refs/other") == DREAMDB_OK);
    data_put("refs/Upper.case", "short", 5);
    gc_refuses(DREAMDB_ERR_CORRUPT, "refs/Upper.case");
    CHECK(data_inner.remove(data_inner.user, "refs/Upper.case") == DREAMDB_OK);
    data_put(DDB_REF_OUTLINES, "\x81\x01", 2);
    gc_refuses(DREAMDB_ERR_CORRUPT, DDB_REF_OUTLINES);
    CHECK(data_inner.remove(data_inner.user, DDB_REF_OUTLINES) == DREAMDB_OK);
    copy = data_take("refs/main", &size);
    CHECK(data_inner.remove(data_inner.user, "refs/main") == DREAMDB_OK);
    gc_refuses(DREAMDB_ERR_NOT_FOUND, "no ref");
    copy[20] ^= 1;
    data_put("refs/main", copy, size);
    gc_refuses(DREAMDB_ERR_NOT_FOUND, "manifests/");
    free(copy);
    data_close();
}

/* A Manifest with one thing changed, published as main. */
static void gc_registry(const char *key, const void *value, size_t size)
{
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena = {NULL, 0};
    dreamdb *db = gc_open(&data_inner, "main");
    ddb_manifest m = db->tip->manifest;
    ddb_entry *entries = ddb_mem_arena_new(ctx, &arena, ddb_entry, m.registry_count + 1);
    ddb_puts *puts = NULL;
    ddb_buf buf;
    ddb_addr addr;
    size_t at = 0, n = 0;
    for (; at < m.registry_count && ddb_cbor_key_compare(m.registry[at].key, ddb_bytes_text(key)) < 0; at++) { entries[n++] = m.registry[at]; }
    entries[n].key = ddb_bytes_text(key);
    entries[n++].value = ddb_bytes_slice(value, size);
    for (; at < m.registry_count; at++) { entries[n++] = m.registry[at]; }
    m.registry = entries;
    m.registry_count = n;
    ddb_bytes_init(&buf, ctx);
    CHECK(ddb_manifest_encode(&buf, &m) == DREAMDB_OK && ddb_object_puts_open(ctx, db->env, &puts) == DREAMDB_OK);
    CHECK(ddb_object_put(ctx, puts, "manifests", ddb_bytes_of(&buf), 0, &addr) == DREAMDB_OK && ddb_object_flush(ctx, puts) == DREAMDB_OK);
    data_put("refs/main", addr.bytes, sizeof addr.bytes);
    ddb_object_puts_close(ctx, puts);
    ddb_bytes_free(&buf);
    ddb_mem_arena_free(ctx, &arena);
    dreamdb_close(db);
}

/* Registry keys: what names no object is let be, what is known is marked, what is unknown ends the run. */
static void unknown_kinds(void)
{
    uint8_t named[64];
    uint8_t *copy = NULL;
    size_t size = 0;
    dreamdb_gc_report report;
    gc_start(DREAMDB_INDEX_LSH, 1);
    copy = data_take("refs/main", &size);
    data_put("refs/old", copy, size);
    memset(named, 7, sizeof named);
    memcpy(named, "\xa1\x65shape\x58\x21\x1e", 10);
    gc_registry("dreamdb.future", "\x63" "abc", 4);
    CHECK(gc_with(9, DREAMDB_GC_NO_AGE, 1, 0, &report) == DREAMDB_OK);
    data_put("refs/main", copy, size);
    gc_registry("dreamdb.future", named, 42);
    gc_refuses(DREAMDB_ERR_UNSUPPORTED, "dreamdb.future");
    data_put("refs/main", copy, size);
    gc_registry("title.text", named, 42);
    gc_refuses(DREAMDB_ERR_UNSUPPORTED, "title.text");
    data_put("refs/main", copy, size);
    memcpy(named, "\xa1\x6atext_index\x58\x21\x1e", 15);
    memset(named + 15, 7, 32);
    gc_registry("text.utf8.bm25.field=c", named, 47);
    CHECK(gc_with(9, DREAMDB_GC_NO_AGE, 1, 0, &report) == DREAMDB_OK);
    free(copy);
    data_close();
}

/* ---- Stops: at every allocation and every storage operation ---- */

/* The same history for every turn of a sweep: two branches, a deletion, garbage of a train. */
static void stop_make(uint8_t tips[2][DREAMDB_ADDRESS_SIZE])
{
    test_state = 12345;
    data_clock = 1000000000;
    gc_start(DREAMDB_INDEX_IVF, 2);
    dreamdb *db = gc_open(&data_inner, "main"), *side = gc_open(&data_inner, "b1");
    dreamdb_train_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.field = "e"; desc.k = 3;
    CHECK(data_append(db, 20, 10, NULL) == DREAMDB_OK && data_append(side, 30, 10, NULL) == DREAMDB_OK);
    CHECK(data_append(side, 40, 10, NULL) == DREAMDB_OK && dreamdb_keep(side, "then", NULL) == DREAMDB_OK);
    CHECK(data_append(side, 50, 10, NULL) == DREAMDB_OK && data_append(db, 60, 10, NULL) == DREAMDB_OK);
    if (test_rand() % 2) { CHECK(dreamdb_train(db, &desc, NULL) == DREAMDB_OK); }
    gc_manifest(db, tips[0]);
    gc_manifest(side, tips[1]);
    dreamdb_close(db);
    dreamdb_close(side);
}

static dreamdb_status stop_run(const dreamdb_store *on, dreamdb_gc_report *report) { return gc_run(on, 1, 0, report); }

static void storage_stops(void)
{
    uint8_t tips[2][DREAMDB_ADDRESS_SIZE];
    static gc_paths want, left;
    dreamdb_gc_report report;
    stop_make(tips);
    CHECK(stop_run(&data_inner, &report) == DREAMDB_OK && report.deleted > 10 && report.links > 0 && report.bases == 1 && report.manifests == 3);
    gc_list(&want);
    data_close();
    for (int mode = 0; mode < 4 && test_ok; mode++) {            /* one fails, the machine dies, either after it was done */
        for (uint64_t n = 1; test_ok; n++) {
            stop_make(tips);
            data_plan.fail_at = n; data_plan.fail_forever = mode & 1; data_plan.fail_after = mode >> 1; data_plan.operations = 0;
            dreamdb_status status = stop_run(&data_store, &report);
            bool reached = data_plan.operations >= n;
            data_plan.fail_at = 0;
            CHECK(!reached ? status == DREAMDB_OK : status == DREAMDB_ERR_STORE || (mode == 2 && status == DREAMDB_OK));   /* an absent one stays absent */
            gc_verify("main", tips[0]);
            gc_verify("b1", tips[1]);
            CHECK(gc_run(&data_inner, 60, 1, &report) == DREAMDB_OK);         /* no Manifest with holes that is not in the list */
            status = stop_run(&data_inner, &report);
            CHECK(status == DREAMDB_OK);
            gc_list(&left);
            for (size_t i = 0; i < left.count; i++) {
                CHECK(gc_has(&want, left.list[i]) || strncmp(left.list[i], DDB_OBJECT_GC_FLAGS, 8) == 0);
            }
            CHECK(left.count >= want.count);
            dreamdb *db = gc_open(&data_inner, "main");
            dreamdb_merge_desc desc;
            memset(&desc, 0, sizeof desc);
            desc.other = "b1";
            dreamdb_merge_report merged;
            status = dreamdb_merge(db, &desc, &merged, &data_error);
            CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_DIVERGED);
            dreamdb_close(db);
            data_close();
            if (!test_ok) { printf("mode %d, operation %llu: %s\n", mode, (unsigned long long)n, data_error.message); }
            if (!reached) { break; }
        }
    }
}

static void allocation_stops(void)
{
    uint8_t tips[2][DREAMDB_ADDRESS_SIZE];
    dreamdb_gc_report report;
    dreamdb_status status = DREAMDB_ERR_MEMORY;
    for (long n = 1; status != DREAMDB_OK && test_ok; n += n < 60 ? 1 : 7) {
        stop_make(tips);
        test_fail_alloc_at(n);
        status = stop_run(&data_inner, &report);
        test_fail_alloc_at(0);
        CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_MEMORY);
        gc_verify("main", tips[0]);
        gc_verify("b1", tips[1]);
        CHECK(stop_run(&data_inner, &report) == DREAMDB_OK);
        gc_verify("main", tips[0]);
        data_close();
        if (!test_ok) { printf("allocation %ld: %s\n", n, data_error.message); }
    }
}

static uint64_t cancel_left;
static int cancel_later(void *user, const dreamdb_progress *progress)
{
    (void)user;
    CHECK(strcmp(progress->verb, "gc") == 0 && strcmp(progress->unit, "objects") == 0);
    return cancel_left-- == 0;
}
static uint64_t told_objects, told_bytes;
static int told(void *user, const dreamdb_gc_object *object)
{
    told_objects++;
    told_bytes += object->size;
    CHECK(object->path[0] && object->modified_ns > 0);
    return *(int *)user;
}

static void progress_and_callback(void)
{
    uint8_t tips[2][DREAMDB_ADDRESS_SIZE];
    dreamdb_gc_report report;
    dreamdb_gc_desc desc;
    dreamdb_status status = DREAMDB_ERR_CANCELLED;
    int stop = 0;
    stop_make(tips);
    dreamdb_config config = data_config(&data_inner);
    memset(&desc, 0, sizeof desc);
    desc.keep_manifests = 1; desc.keep_since_ns = DREAMDB_GC_NO_AGE; desc.writers_paused = 1; desc.each = told; desc.each_user = &stop;
    size_t before = gc_objects();
    desc.dry_run = 1;
    CHECK(dreamdb_gc(&config, &desc, &report, NULL) == DREAMDB_OK && told_objects == report.deleted && told_bytes == report.deleted_bytes);
    CHECK(gc_objects() == before && told_objects > 10);
    desc.dry_run = 0;
    stop = 1;
    CHECK(dreamdb_gc(&config, &desc, &report, &data_error) == DREAMDB_ERR_CANCELLED && report.deleted == 0);
    stop = 0;
    config.progress = cancel_later;
    for (uint64_t n = 0; status == DREAMDB_ERR_CANCELLED && test_ok; n++) {
        cancel_left = n;
        status = dreamdb_gc(&config, &desc, &report, &data_error);
        CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_CANCELLED);
        gc_verify("main", tips[0]);
        CHECK(!data_path("_gc/run-", 0)[0]);     /* a run that stops takes its flag along */
    }
    CHECK(gc_objects() < before && dreamdb_gc(NULL, &desc, &report, NULL) == DREAMDB_ERR_ARGUMENT);
    config.progress = NULL;
    CHECK(dreamdb_gc(&config, NULL, NULL, NULL) == DREAMDB_OK);
    data_close();
}

/* ---- The filter: whatever it says, nothing live goes ---- */
/* What a merge of cells that both sides compacted, or of rows under a trained index, reads of the base is still there after gc. */
static void bases_serve_merges(void)
{
    for (int turn = 0; turn < 4; turn++) {
        dreamdb_gc_report report;
        dreamdb_compact_desc fold;
        dreamdb_train_desc train;
        dreamdb_merge_desc merge;
        dreamdb_merge_report merged;
        memset(&fold, 0, sizeof fold); memset(&train, 0, sizeof train); memset(&merge, 0, sizeof merge); memset(&merged, 0, sizeof merged);
        data_page_early = turn % 2;
        data_open();
        data_fill(120, 0);
        dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_IVF, 2, 60);
        CHECK(dreamdb_branch(db, NULL, "side", &data_error) == DREAMDB_OK);
        dreamdb *side = gc_open(&data_inner, "side");
        CHECK(data_append(db, 60, 10, NULL) == DREAMDB_OK && data_append(side, 70, 10, NULL) == DREAMDB_OK);
        fold.field = train.field = "e";
        train.k = 3;
        CHECK(dreamdb_compact(side, &fold, NULL, &data_error) == DREAMDB_OK);
        CHECK((turn < 2 ? dreamdb_compact(db, &fold, NULL, &data_error) : dreamdb_train(db, &train, &data_error)) == DREAMDB_OK);
        CHECK(gc_run(&data_inner, 1, 0, &report) == DREAMDB_OK && report.bases == 1);
        merge.other = "side";
        CHECK(dreamdb_merge(db, &merge, &merged, &data_error) == DREAMDB_OK);
        if (!merged.outcome) { printf("turn %d: %s\n", turn, data_error.message); }
        CHECK(turn < 2 ? merged.cells > 0 : merged.placed > 0);
        CHECK_EQ_U64(data_count(db), 80);
        dreamdb_close(side);
        dreamdb_close(db);
        data_close();
    }
    data_page_early = 0;
}

static void the_filter(void)
{
    enum { KEYS = 400000 };
    uint8_t tips[2][DREAMDB_ADDRESS_SIZE];
    ddb_ctx *ctx = test_ctx();
    ddb_gc_filter filter;
    ddb_addr addr;
    uint64_t wrong = 0;
    memset(&filter, 0, sizeof filter);
    filter.salt = 77;
    for (uint32_t i = 0; i < 2 * KEYS; i++) {
        ddb_addr_of(ctx->cpu, ddb_bytes_slice(&i, sizeof i), &addr);
        if (i < KEYS) { CHECK(ddb_gc_filter_add(ctx, &filter, &addr) == DREAMDB_OK && ddb_gc_filter_has(&filter, &addr)); }
        wrong += i >= KEYS && ddb_gc_filter_has(&filter, &addr);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        ddb_addr_of(ctx->cpu, ddb_bytes_slice(&i, sizeof i), &addr);
        CHECK(ddb_gc_filter_has(&filter, &addr));
    }
    CHECK(wrong < KEYS / 50);                    /* 2%: of what is garbage, for one run */
    size_t bytes = 0;
    for (size_t i = 0; i < filter.count; i++) { bytes += filter.layers[i].blocks * 64; }
    CHECK(bytes < KEYS * 4);
    ddb_gc_filter_free(ctx, &filter);
    stop_make(tips);
    dreamdb_config config = data_config(&data_inner);
    ddb_env *env = NULL;
    dreamdb_gc_report report;
    ddb_gc gc;
    memset(&report, 0, sizeof report);
    memset(&gc, 0, sizeof gc);
    CHECK(ddb_object_env_open(ctx, &config, &env) == DREAMDB_OK);
    gc.env = env;
    gc.report = &report;
    gc.desc.keep_manifests = 1; gc.desc.keep_since_ns = DREAMDB_GC_NO_AGE; gc.desc.writers_paused = 1;
    gc.leaves.all = true;
    ddb_bytes_init(&gc.queue, ctx); ddb_bytes_init(&gc.tips, ctx); ddb_bytes_init(&gc.bases, ctx);
    CHECK(ddb_gc_begin(ctx, &gc) == DREAMDB_OK && ddb_gc_mark(ctx, &gc) == DREAMDB_OK);
    size_t inner = gc.inner.count;
    gc.leaves.all = false;                       /* what was to be walked was walked: now without a filter only leaves would go */
    CHECK(gc.leaves.keys == 0 && ddb_gc_sweep(ctx, &gc) == DREAMDB_OK && ddb_gc_end(ctx, &gc, DREAMDB_OK) == DREAMDB_OK);
    CHECK(!data_path("/0000000000000000/", 0)[0] && data_path("/track/", 0)[0]);
    ddb_bytes_free(&gc.queue); ddb_bytes_free(&gc.tips); ddb_bytes_free(&gc.bases);
    ddb_coll_map_free(ctx, &gc.inner); ddb_coll_map_free(ctx, &gc.young); ddb_coll_map_free(ctx, &gc.items); ddb_coll_map_free(ctx, &gc.outlines);
    ddb_mem_arena_free(ctx, &gc.paths);
    ddb_object_env_close(ctx, env);
    data_close();
    stop_make(tips);
    CHECK(stop_run(&data_inner, &report) == DREAMDB_OK && report.marked > inner);
    data_close();
}

/* ---- Writers at work ---- */

/* A gc that stops between listing and removing while a writer takes up an object that is garbage: what the writer names is there. */
#ifndef DREAMDB_NO_THREADS
#include <pthread.h>
typedef struct race { dreamdb *db; dreamdb_status status; int started, wrote, waits; } race;
static race gc_race;
static pthread_t race_thread;

static void *race_append(void *user)
{
    race *r = (race *)user;
    r->status = data_append(r->db, 300, 20, NULL);
    __atomic_store_n(&r->wrote, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static int race_progress(void *user, const dreamdb_progress *progress)
{
    (void)user;
    if (strcmp(progress->verb, "wait for gc") == 0) { __atomic_add_fetch(&gc_race.waits, 1, __ATOMIC_SEQ_CST); }
    return 0;
}

/* Told of the first garbage, before it goes: the writer begins, and gets as far as it can. */
static int race_found(void *user, const dreamdb_gc_object *object)
{
    (void)user;
    if (!gc_race.started && strstr(object->path, "/0000000000000000/")) {
        gc_race.started = 1;
        CHECK(pthread_create(&race_thread, NULL, race_append, &gc_race) == 0);
        for (int i = 0; i < 5000 && !__atomic_load_n(&gc_race.waits, __ATOMIC_SEQ_CST) && !__atomic_load_n(&gc_race.wrote, __ATOMIC_SEQ_CST); i++) {
            ddb_port_sleep_ns(1000000);
        }
    }
    return 0;
}

static void writers_at_work(void)
{
    for (int turn = 0; turn < 2; turn++) {       /* garbage that is old, and garbage so young that gc lets it be */
        dreamdb_gc_desc desc;
        dreamdb_gc_report report;
        uint8_t tip[DREAMDB_ADDRESS_SIZE];
        gc_start(DREAMDB_INDEX_IVF, 1);
        dreamdb *db = gc_open(&data_inner, "main");
        gc_garbage(db);
        dreamdb_config config = data_config(&data_inner);
        dreamdb_close(db);
        gc_age(turn == 0 ? 50 * gc_hour : gc_hour / 10);
        memset(&gc_race, 0, sizeof gc_race);
        config.progress = race_progress;
        CHECK(dreamdb_open(&config, "main", &gc_race.db, NULL) == DREAMDB_OK);
        memset(&desc, 0, sizeof desc);
        desc.each = race_found;
        CHECK(dreamdb_gc(&config, &desc, &report, &data_error) == DREAMDB_OK);
        if (turn == 1) { (void)race_append(&gc_race); }
        if (gc_race.started) { CHECK(pthread_join(race_thread, NULL) == 0); }
        CHECK(turn == 0 ? gc_race.started && gc_race.waits > 0 && report.deleted > 20 : !gc_race.started && gc_race.waits == 0 && report.deleted == 0);
        CHECK(gc_race.status == DREAMDB_OK && data_count(gc_race.db) == 40);
        gc_manifest(gc_race.db, tip);
        gc_verify("main", tip);
        dreamdb_close(gc_race.db);
        data_close();
    }
}
#endif

/* ---- Refs that come while a run is at work ---- */
static struct { int refs_seen, manifests_seen, removed; int when; char name[40]; uint8_t state[DREAMDB_ADDRESS_SIZE]; int made; dreamdb *db; dreamdb_status status; char text[DREAMDB_ADDRESS_TEXT]; } come;

static void come_now(void)
{
    char path[64];
    dreamdb_condition absent;
    if (come.made++) { return; }
    memset(&absent, 0, sizeof absent);
    absent.kind = DREAMDB_PUT_IF_ABSENT;
    (void)snprintf(path, sizeof path, "refs/%s", come.name);
    if (come.db) { come.status = dreamdb_branch(come.db, come.text, come.name, &data_error); return; }
    CHECK(data_inner.put(data_inner.user, path, come.state, sizeof come.state, &absent) == DREAMDB_OK);
}

/* when 0: while the first refs are being marked; 1: behind the last look at the refs, before Manifests are listed; 2: when they are gone. */
static int come_list(void *user, const char *prefix, dreamdb_list_fn each, void *each_user)
{
    come.refs_seen += strcmp(prefix, "refs/") == 0;
    come.manifests_seen += strcmp(prefix, "manifests/") == 0;
    if (come.when == 0 && strcmp(prefix, "refs/") == 0 && come.refs_seen == 2) { come_now(); }
    if (come.when == 1 && strcmp(prefix, "manifests/") == 0 && come.manifests_seen == 2) { come_now(); }
    if (come.when == 2 && !prefix[0]) { come_now(); }
    return data_inner.list(user, prefix, each, each_user);
}

/* Branches at old states: what they name stays, with a window of its own, or the branch is not made. */
static void refs_that_come(void)
{
    for (int when = 0; when < 5; when++) {
        uint8_t states[13][DREAMDB_ADDRESS_SIZE];
        dreamdb_gc_report report;
        dreamdb_gc_desc desc;
        dreamdb *maker = NULL, *late = NULL;
        gc_start(DREAMDB_INDEX_LSH, 1);
        dreamdb *db = gc_open(&data_inner, "main");
        for (size_t i = 0; i < 13; i++) {
            if (i > 0) { CHECK(data_append(db, 20 + 5 * i, 5, NULL) == DREAMDB_OK); }
            gc_manifest(db, states[i]);
            if (when == 4 && i == 5) { CHECK(dreamdb_keep(db, "old", &data_error) == DREAMDB_OK); }
        }
        gc_age(50 * gc_hour);
        memset(&come, 0, sizeof come);
        come.when = when >= 3 ? 0 : when;
        memcpy(come.state, states[when == 3 ? 10 : 5], sizeof come.state);          /* beyond the window; turn 3: in it; 4: where a snapshot stands */
        (void)snprintf(come.name, sizeof come.name, "late");
        if (when == 2) {                           /* by the verb, whose handle still has the old state in its cache */
            ddb_addr old;
            maker = gc_open(&data_inner, "main");
            maker->env->gc_wait = 0;
            memcpy(old.bytes, states[5], sizeof old.bytes);
            ddb_addr_text(&old, come.text);
            dreamdb_snapshot *view = NULL;
            CHECK(dreamdb_snapshot_open(maker, come.text, &view, &data_error) == DREAMDB_OK);
            dreamdb_snapshot_close(view);
            come.db = maker;
        }
        dreamdb_store store = data_inner;
        store.list = come_list;
        dreamdb_config config = data_config(&store);
        memset(&desc, 0, sizeof desc);
        desc.keep_manifests = 4;
        CHECK(dreamdb_gc(&config, &desc, &report, &data_error) == DREAMDB_OK && come.made == 1 && report.deleted > 0);
        dreamdb_config plain = data_config(&data_inner);
        if (when == 2) {
            CHECK(come.status == DREAMDB_ERR_NOT_FOUND && dreamdb_open(&plain, "late", &late, NULL) == DREAMDB_ERR_NOT_FOUND);
        } else {
            size_t from = when == 3 ? 7 : 2, to = when == 3 ? 10 : 5;             /* four states of its own */
            for (size_t i = from; i <= to; i++) { gc_verify("late", states[i]); }
            late = gc_open(&data_inner, "late");
            CHECK(data_append(late, 200, 5, NULL) == DREAMDB_OK);
            dreamdb_close(late);
        }
        CHECK(dreamdb_gc(&plain, &desc, &report, &data_error) == DREAMDB_OK);       /* nothing is half there */
        if (!test_ok) { printf("when %d: %s\n", when, data_error.message); }
        dreamdb_close(maker); dreamdb_close(db);
        data_close();
    }
}

/* limits.history counts for each pair of branches, not for all together. */
static void many_branches(void)
{
    dreamdb_gc_report report;
    dreamdb_gc_desc desc;
    gc_start(DREAMDB_INDEX_LSH, 1);
    dreamdb *db = gc_open(&data_inner, "main");
    for (int b = 0; b < 6; b++) {
        char name[16];
        (void)snprintf(name, sizeof name, "w%d", b);
        CHECK(dreamdb_branch(db, NULL, name, &data_error) == DREAMDB_OK);
        dreamdb *own = gc_open(&data_inner, name);
        for (size_t i = 0; i < 12; i++) { CHECK(data_append(own, 30 + 2 * i, 2, NULL) == DREAMDB_OK); }
        dreamdb_close(own);
    }
    dreamdb_close(db);
    memset(&desc, 0, sizeof desc);
    desc.keep_manifests = 2;
    dreamdb_config config = data_config(&data_inner);
    config.limits.history = 40;                    /* a pair has 26 */
    CHECK(dreamdb_gc(&config, &desc, &report, &data_error) == DREAMDB_OK);
    if (!test_ok) { printf("%s\n", data_error.message); }
    config.limits.history = 8;                    /* and a pair that lies farther apart is told, nothing goes */
    CHECK(dreamdb_gc(&config, &desc, &report, &data_error) == DREAMDB_ERR_LIMIT && report.deleted == 0);
    data_close();
}

static uint64_t ticks_told;
static int ticks(void *user, const dreamdb_progress *progress)
{
    (void)user;
    ticks_told += strcmp(progress->verb, "gc") == 0;
    return 0;
}

/* A tree of deleted anchors costs its inner pages, whatever was deleted; a leaf of it lives on unread. */
static void tombs_unread(void)
{
    static uint64_t gone[20000];
    uint64_t gets[2];
    for (size_t i = 0; i < 20000; i++) { gone[i] = 1000000 + i; }
    for (int large = 0; large < 2; large++) {
        dreamdb_gc_report report;
        dreamdb_delete_desc desc;
        dreamdb_fault counts;
        dreamdb_store counted;
        dreamdb_gc_desc run;
        uint8_t tip[DREAMDB_ADDRESS_SIZE];
        gc_start(DREAMDB_INDEX_LSH, 2);
        dreamdb *db = gc_open(&data_inner, "main");
        memset(&desc, 0, sizeof desc); memset(&run, 0, sizeof run); memset(&counts, 0, sizeof counts);
        desc.anchors = gone; desc.anchor_count = large ? 20000 : 200;
        CHECK(dreamdb_delete(db, &desc, NULL, &data_error) == DREAMDB_OK);
        gc_manifest(db, tip);
        dreamdb_close(db);
        CHECK(dreamdb_store_fault(&data_inner, &counts, NULL, &counted, &data_error) == DREAMDB_OK);
        dreamdb_config config = data_config(&counted);
        run.keep_manifests = 1; run.keep_since_ns = DREAMDB_GC_NO_AGE; run.writers_paused = 1;
        CHECK(dreamdb_gc(&config, &run, &report, &data_error) == DREAMDB_OK);
        gets[large] = counts.gets;
        dreamdb_store_close(&counted);
        gc_verify("main", tip);
        data_close();
    }
    CHECK(gets[1] <= gets[0] + 2);                                   /* 157 leaves: two pages above them and a root */
    if (!test_ok) { printf("%llu %llu\n", (unsigned long long)gets[0], (unsigned long long)gets[1]); }
}

/* Long loops are told of: pages of tombstones, states between two branches. */
static void ticks_in_long_loops(void)
{
    static uint64_t gone[20000];
    uint64_t told_before[3];
    for (int what = 0; what < 3; what++) {
        dreamdb_gc_report report;
        dreamdb_delete_desc desc;
        gc_start(DREAMDB_INDEX_LSH, 2);
        dreamdb *db = gc_open(&data_inner, "main");
        memset(&desc, 0, sizeof desc);
        for (size_t i = 0; i < 20000; i++) { gone[i] = 1000000 + i; }
        desc.anchors = gone; desc.anchor_count = what == 1 ? 20000 : 1;
        CHECK(dreamdb_delete(db, &desc, NULL, &data_error) == DREAMDB_OK);
        for (size_t i = 0; i < 40 && what == 2; i++) { CHECK(data_append(db, 30 + 2 * i, 2, NULL) == DREAMDB_OK); }
        dreamdb_config config = data_config(&data_inner);
        dreamdb_gc_desc run;
        memset(&run, 0, sizeof run);
        run.keep_manifests = 1; run.dry_run = 1;
        config.progress = ticks;
        ticks_told = 0;
        CHECK(dreamdb_gc(&config, &run, &report, &data_error) == DREAMDB_OK);
        told_before[what] = ticks_told;
        dreamdb_close(db);
        data_close();
    }
    CHECK(told_before[1] >= told_before[0] + 2 && told_before[2] >= told_before[0] + 30);
    if (!test_ok) { printf("%u %u %u\n", (unsigned)told_before[0], (unsigned)told_before[1], (unsigned)told_before[2]); }
}

/* Old garbage that is taken up again is put anew, so that a run that begins later sees a young object; a flag of a run that died, or of none,
   holds nobody up, and the next run clears it away. */
static void taken_up_again(void)
{
    uint8_t tip[DREAMDB_ADDRESS_SIZE];
    dreamdb_gc_report report;
    dreamdb_stat stat;
    gc_start(DREAMDB_INDEX_IVF, 1);
    dreamdb *db = gc_open(&data_inner, "main");
    gc_garbage(db);
    data_put("_gc/run-00", "dead", 4);
    gc_age(50 * gc_hour);
    char path[300];
    (void)snprintf(path, sizeof path, "%s", data_path("/0000000000000000/", 25));
    dreamdb_append_report appended;
    CHECK(data_append(db, 300, 20, &appended) == DREAMDB_OK);
    CHECK(data_inner.stat(data_inner.user, path, &stat) == DREAMDB_OK && ddb_port_now_ns() - stat.modified_ns < gc_hour);
    gc_manifest(db, tip);
    CHECK(gc_with(1, 0, 0, 0, &report) == DREAMDB_OK && !data_path("_gc/", 0)[0]);
    gc_verify("main", tip);
    dreamdb_close(db);
    data_close();
}

/* ---- Memory: a store whose payloads are only names ---- */
static char up_folder[300];
static uint64_t up_count, up_removed;
static size_t up_peak;
static dreamdb_store up_store;

static bool up_payload(const char *path) { return strstr(path, "/0000000000000000/") != NULL; }
static int up_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    (void)user;
    if (!up_payload(path)) { return data_inner.put(data_inner.user, path, data, size, condition); }
    (void)snprintf(up_folder, sizeof up_folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    return DREAMDB_OK;
}
static int up_remove(void *user, const char *path)
{
    (void)user;
    up_removed += up_payload(path);
    return up_payload(path) ? (int)DREAMDB_OK : data_inner.remove(data_inner.user, path);
}
static int up_list(void *user, const char *prefix, dreamdb_list_fn each, void *each_user)
{
    int status = data_inner.list(data_inner.user, prefix, each, each_user);
    (void)user;
    for (uint64_t i = 0; i < up_count && status == 0 && !prefix[0]; i++) {
        char text[DREAMDB_ADDRESS_TEXT], path[400];
        dreamdb_stat stat;
        ddb_addr addr;
        memset(&stat, 0, sizeof stat);
        stat.modified_ns = 1;
        ddb_addr_of(ddb_cpu_detect(), ddb_bytes_slice(&i, sizeof i), &addr);
        ddb_addr_text(&addr, text);
        (void)snprintf(path, sizeof path, "%s/%s", up_folder, text);
        status = each(each_user, path, &stat);
    }
    return status;
}
static void *up_resize(void *user, void *old, size_t old_size, size_t new_size)
{
    void *out = test_resize(user, old, old_size, new_size);
    up_peak = test_live_bytes() > up_peak ? test_live_bytes() : up_peak;
    return out;
}

/* Four bytes an object and three megabytes: what ten million take is told by make bench BENCH="--only gc". */
static void memory_is_bounded(void)
{
    enum { ROWS = 400000, STEP = 20000 };
    static dreamdb_slice values[STEP];
    static uint64_t anchors[STEP];
    dreamdb_field field;
    dreamdb_create_desc desc;
    dreamdb_gc_report report;
    dreamdb *db = NULL;
    data_open();
    up_store = data_inner;
    up_store.batch = NULL;
    up_store.put = up_put; up_store.remove = up_remove; up_store.list = up_list;
    up_store.flags |= DREAMDB_STORE_REMOTE;
    up_store.flags &= ~(uint32_t)DREAMDB_STORE_THREAD_SAFE;
    dreamdb_config config = data_config(&up_store);
    memset(&field, 0, sizeof field); memset(&desc, 0, sizeof desc);
    field.name = "img"; field.kind = DREAMDB_IMAGE;
    desc.fields = &field; desc.field_count = 1;
    CHECK(dreamdb_create(&config, "main", &desc, &db, &data_error) == DREAMDB_OK);
    for (size_t at = 0; at < ROWS && db; at += STEP) {
        dreamdb_column column;
        dreamdb_append_desc append;
        memset(&column, 0, sizeof column); memset(&append, 0, sizeof append);
        for (size_t i = 0; i < STEP; i++) { anchors[i] = at + i; values[i].data = anchors + i; values[i].size = 8; }
        column.field = "img"; column.values = values;
        append.columns = &column; append.column_count = 1; append.count = STEP; append.anchors = anchors;
        CHECK(dreamdb_append(db, &append, NULL, &data_error) == DREAMDB_OK);
    }
    dreamdb_close(db);
    up_count = ROWS + ROWS / 10;
    up_removed = up_peak = 0;
    config.allocator.resize = up_resize;
    dreamdb_gc_desc gc;
    memset(&gc, 0, sizeof gc);
    gc.keep_manifests = 1; gc.keep_since_ns = DREAMDB_GC_NO_AGE; gc.writers_paused = 1;
    CHECK(dreamdb_gc(&config, &gc, &report, &data_error) == DREAMDB_OK);
    CHECK(up_removed <= ROWS / 10 && up_removed > ROWS / 10 - ROWS / 500 && report.listed > up_count);
    CHECK(up_peak < 3 * 1048576 + 4 * (size_t)ROWS);
    data_close();
}

int main(void)
{
    data_unused();
    RUN(random_histories);
    RUN(ages);
    RUN(damage);
    RUN(unknown_kinds);
    RUN(storage_stops);
    RUN(allocation_stops);
    RUN(progress_and_callback);
    RUN(bases_serve_merges);
    RUN(the_filter);
    RUN(taken_up_again);
    RUN(refs_that_come);
    RUN(many_branches);
    RUN(tombs_unread);
    RUN(ticks_in_long_loops);
    RUN(memory_is_bounded);
#ifndef DREAMDB_NO_THREADS
    RUN(writers_at_work);
#endif
    return test_end("gc");
}
