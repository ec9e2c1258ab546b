/* test_merge.c - room merge: random histories of two to five branches (with compactions and training) beside a plain model of row sets and of the graph, conflicts, what one
   side alone changed, layers, arguments, a stop at every allocation and storage operation, how many waves a merge takes. */
#include "dataset.h"

enum { MERGE_REFS = 5, MERGE_NODES = 400 };
static const char *const merge_refs[MERGE_REFS] = { "main", "b1", "b2", "b3", "b4" };
static uint64_t merge_placed, merge_cells;       /* over all merges */

/* ---- The model: which rows a branch has, which are deleted; and the graph of its states ---- */
typedef struct merge_model { uint8_t has[DATA_MOST], deleted[DATA_MOST]; size_t tip; } merge_model;
typedef struct merge_state { uint8_t address[DREAMDB_ADDRESS_SIZE]; size_t parents[2], parent_count; } merge_state;
static merge_model merge_models[MERGE_REFS];
static merge_state merge_states[MERGE_NODES];
static size_t merge_state_count;
static int merge_wild;                           /* the clock jumps */
static int merge_long;                           /* strings are long and each row's own: their tree has many pages */
static char merge_texts[DATA_MOST][3100];

static uint64_t merge_now(void *user)
{
    (void)user;
    data_clock += 1000;
    return merge_wild ? 1 + test_rand() % 1000000 : data_clock;
}

static dreamdb *merge_open(const dreamdb_store *on, const char *ref)
{
    dreamdb_config config = data_config(on);
    dreamdb *db = NULL;
    config.now_ns = merge_now;
    CHECK(dreamdb_open(&config, ref, &db, &data_error) == DREAMDB_OK);
    return db;
}

static const char *merge_text(size_t at)
{
    if (!merge_long || !data_rows[at].s[0]) { return data_rows[at].s; }
    memset(merge_texts[at], 'x', 3000);
    (void)snprintf(merge_texts[at] + 3000, 100, "%u %s", (unsigned)(at * 7919 % 1009), data_rows[at].s);
    memcpy(merge_texts[at], merge_texts[at] + 3000, 3);
    return merge_texts[at];
}

/* Rows [first, first + count) of data_rows: fields e, c, n, s (some rows have none), m. */
static dreamdb_status merge_append(dreamdb *db, size_t first, size_t count, int early, uint8_t *manifest)
{
    static dreamdb_slice c[DATA_MOST], s[DATA_MOST], m[DATA_MOST];
    static uint8_t has_c[DATA_MOST], has_s[DATA_MOST];
    static uint64_t anchors[DATA_MOST];
    dreamdb_column columns[5];
    dreamdb_append_desc desc;
    dreamdb_append_report report;
    memset(columns, 0, sizeof columns); memset(&desc, 0, sizeof desc); memset(&report, 0, sizeof report);
    for (size_t i = 0; i < count; i++) {
        const data_row *row = data_rows + first + i;
        anchors[i] = row->anchor;
        c[i].data = row->c; c[i].size = strlen(row->c); has_c[i] = row->c[0] != 0;
        s[i].data = merge_text(first + i); s[i].size = strlen((const char *)s[i].data); has_s[i] = row->s[0] != 0;
        m[i].data = row->m; m[i].size = strlen(row->m);
    }
    columns[0].field = "e"; columns[0].data = data_rows[first].v; columns[0].stride = sizeof(data_row);
    columns[1].field = "n"; columns[1].data = &data_rows[first].n; columns[1].stride = sizeof(data_row);
    columns[2].field = "c"; columns[2].values = c; columns[2].present = has_c;
    columns[3].field = "s"; columns[3].values = s; columns[3].present = has_s;
    columns[4].field = "m"; columns[4].values = m;
    desc.columns = columns; desc.column_count = 5; desc.count = count; desc.anchors = anchors;
    desc.page_early = early; desc.allow_tombstoned = 1;
    dreamdb_status status = dreamdb_append(db, &desc, &report, &data_error);
    if (manifest) { memcpy(manifest, report.manifest, DREAMDB_ADDRESS_SIZE); }
    return status;
}

static dreamdb_status merge_with(dreamdb *db, const char *other, int strategy, dreamdb_merge_report *report)
{
    dreamdb_merge_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.other = other;
    desc.strategy = (dreamdb_merge_strategy)strategy;
    return dreamdb_merge(db, &desc, report, &data_error);
}

static size_t merge_note(const uint8_t *address, size_t a, size_t b)
{
    merge_state *state = merge_states + merge_state_count;
    CHECK(merge_state_count < MERGE_NODES);
    memcpy(state->address, address, DREAMDB_ADDRESS_SIZE);
    state->parents[0] = a; state->parents[1] = b;
    state->parent_count = a == SIZE_MAX ? 0 : b == SIZE_MAX ? 1 : 2;
    return merge_state_count++;
}

/* Everything that the tip of a ref shows is what the model says. */
static void merge_check(const char *ref, const merge_model *model)
{
    static const char *const fields[] = { "c", "e", "m", "n", "s" };
    dreamdb *db = merge_open(&data_inner, ref);
    dreamdb_snapshot *view = NULL;
    dreamdb_cursor *cursor = NULL;
    dreamdb_scan scan;
    dreamdb_row row;
    dreamdb_verify_report verified;
    size_t i = 0;
    memset(&scan, 0, sizeof scan); memset(&verified, 0, sizeof verified);
    scan.fields = fields; scan.field_count = 5; scan.load_media = 1;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && dreamdb_scan_open(view, &scan, &cursor, NULL) == DREAMDB_OK);
    while (dreamdb_cursor_next(cursor, &row, &data_error) == DREAMDB_OK) {
        while (i < DATA_MOST && (!model->has[i] || model->deleted[i])) { i++; }
        CHECK(i < DATA_MOST);
        if (i == DATA_MOST) { break; }
        const data_row *want = data_rows + i++;
        const dreamdb_value *v = row.values;
        CHECK_EQ_U64(row.anchor, want->anchor);
        CHECK(v[0].present == (want->c[0] != 0) && (!v[0].present || (v[0].size == strlen(want->c) && memcmp(v[0].data, want->c, v[0].size) == 0)));
        CHECK(v[1].present && memcmp(v[1].data, want->v, data_dim * sizeof(float)) == 0);
        CHECK(v[2].present && v[2].size == strlen(want->m) && memcmp(v[2].data, want->m, (size_t)v[2].size) == 0);
        CHECK(v[3].present && v[3].integer == want->n);
        const char *text = merge_text((size_t)(want - data_rows));
        CHECK(v[4].present == (want->s[0] != 0) && (!v[4].present || (v[4].size == strlen(text) && memcmp(v[4].data, text, (size_t)v[4].size) == 0)));
        if (!test_ok) { break; }
    }
    while (i < DATA_MOST && (!model->has[i] || model->deleted[i])) { i++; }
    CHECK(i == DATA_MOST);                                   /* no row is lost */
    CHECK(dreamdb_verify(view, 0, NULL, NULL, &verified, &data_error) == DREAMDB_OK && verified.faults == 0);
    dreamdb_cursor_close(cursor);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
}

/* ---- The graph: bases beside a stupid search ---- */
static void merge_reach(size_t at, uint8_t *seen)
{
    if (seen[at]) { return; }
    seen[at] = 1;
    for (size_t i = 0; i < merge_states[at].parent_count; i++) { merge_reach(merge_states[at].parents[i], seen); }
}

static void merge_check_bases(size_t a, size_t b)
{
    static uint8_t from_a[MERGE_NODES], from_b[MERGE_NODES], from_c[MERGE_NODES];
    ddb_history history;
    ddb_arena arena;
    ddb_addr *bases = NULL, address;
    size_t ours = 0, theirs = 0, count = 0, want = 0;
    dreamdb *db = merge_open(&data_inner, "main");
    memset(&history, 0, sizeof history); memset(&arena, 0, sizeof arena);
    memset(from_a, 0, sizeof from_a); memset(from_b, 0, sizeof from_b);
    history.env = db->env;
    history.places.key_size = sizeof(ddb_addr);
    memcpy(address.bytes, merge_states[a].address, sizeof address.bytes);
    CHECK(ddb_history_meet(test_ctx(), &history, &address, &ours) == DREAMDB_OK);
    memcpy(address.bytes, merge_states[b].address, sizeof address.bytes);
    CHECK(ddb_history_meet(test_ctx(), &history, &address, &theirs) == DREAMDB_OK);
    CHECK(ddb_history_load(test_ctx(), &history, &ours, 1) == DREAMDB_OK && ddb_history_load(test_ctx(), &history, &theirs, 1) == DREAMDB_OK);
    CHECK(ddb_history_bases(test_ctx(), &arena, &history, ours, theirs, &bases, &count) == DREAMDB_OK);
    merge_reach(a, from_a);
    merge_reach(b, from_b);
    for (size_t c = 0; c < merge_state_count; c++) {         /* a best one: common, and below no other common one */
        bool best = from_a[c] && from_b[c], found = false;
        for (size_t d = 0; d < merge_state_count && best; d++) {
            memset(from_c, 0, sizeof from_c);
            if (d != c && from_a[d] && from_b[d]) { merge_reach(d, from_c); }
            best = !from_c[c];
        }
        for (size_t i = 0; i < count; i++) { found = found || memcmp(bases[i].bytes, merge_states[c].address, DREAMDB_ADDRESS_SIZE) == 0; }
        CHECK(found == best);
        want += best;
    }
    CHECK_EQ_U64(count, want);
    ddb_history_free(test_ctx(), &history);
    ddb_mem_arena_free(test_ctx(), &arena);
    dreamdb_close(db);
}

/* Writes all rows of one cell of `e` as one bucket, as a compaction does; deleted records are left out.  false: no cell has two rows. */
static bool merge_compact(dreamdb *db, uint64_t pick, uint8_t *manifest)
{
    ddb_ctx *ctx = test_ctx();
    ddb_merge merge;
    ddb_merge_field field;
    ddb_merge_side side;
    ddb_write_records sets[3];
    ddb_merge_pick *picks = NULL;
    ddb_track track;
    ddb_track_select select;
    ddb_tomb *tomb = NULL;
    ddb_buf made;
    ddb_addr put;
    ddb_row *rows = NULL;
    size_t count = 0, picked = 0, code_bytes = 0;
    memset(&merge, 0, sizeof merge); memset(&field, 0, sizeof field); memset(&side, 0, sizeof side); memset(&select, 0, sizeof select);
    CHECK(ddb_write_open(ctx, db, true, &merge.write) == DREAMDB_OK);
    dreamdb_snapshot *view = merge.write.view;
    ddb_view_field *e = ddb_view_find(view, ddb_bytes_text("e"));
    merge.states = &view;
    field.name = ddb_bytes_text("e");
    field.sides = &side;
    side.schema = e->schema;
    CHECK(ddb_view_need(ctx, view, &e, 1, DDB_VIEW_TRACK) == DREAMDB_OK && ddb_view_tomb(ctx, view, &tomb) == DREAMDB_OK);
    CHECK(ddb_merge_code_bytes(ctx, &merge, 0, &field, &code_bytes) == DREAMDB_OK);
    CHECK(ddb_track_collect(ctx, db->env, &merge.write.arena, &e->track, NULL, &rows, &count) == DREAMDB_OK);
    if (count == 0) { ddb_write_close(ctx, &merge.write); return false; }
    ddb_slice cell = rows[pick % 2 * (count - 1)].key;              /* the first or the last: two branches often take the same */
    select.keys = &cell; select.key_count = 1;
    CHECK(ddb_track_collect(ctx, db->env, &merge.write.arena, &e->track, &select, &rows, &count) == DREAMDB_OK);
    const ddb_row **list = ddb_mem_arena_new(ctx, &merge.write.arena, const ddb_row *, count);
    for (size_t i = 0; i < count; i++) { list[i] = rows + i; }
    for (size_t i = 0; i < 3; i++) { ddb_merge_records_init(&field, code_bytes, sets + i); }
    CHECK(ddb_merge_read(ctx, &merge, 0, &field, list, count, sets) == DREAMDB_OK);
    CHECK(sets[0].count == 0 || ddb_write_records_settle(ctx, &merge.write, sets) == DREAMDB_OK);
    CHECK(ddb_merge_cell_pick(ctx, &merge.write.arena, sets, &picks, &picked) == DREAMDB_OK);
    ddb_bytes_init(&made, ctx);
    CHECK(picked == 0 || ddb_merge_cell_put(ctx, &merge, e, cell, sets, picks, picked, &made) == DREAMDB_OK);
    CHECK(ddb_track_replace(ctx, db->env, &merge.write.arena, &e->track, &cell, 1, (ddb_row *)(void *)made.data, made.size / sizeof(ddb_row), merge.write.puts, &track) == DREAMDB_OK);
    CHECK(ddb_track_put(ctx, merge.write.puts, &merge.write.arena, &track, &put) == DREAMDB_OK);
    bool moved = !ddb_addr_equal(&put, &e->binding->address);
    if (moved) {
        CHECK(ddb_manifest_advance(ctx, &merge.write.arena, &merge.write.manifest, ddb_bytes_text("e"), &put, track.t_min, track.t_max, false) == DREAMDB_OK);
        CHECK(ddb_write_publish(ctx, &merge.write, "compact") == DREAMDB_OK);
        memcpy(manifest, merge.write.address.bytes, DREAMDB_ADDRESS_SIZE);
    }
    for (size_t i = 0; i < 3; i++) { ddb_write_records_free(ctx, sets + i); }
    ddb_bytes_free(&made);
    ddb_write_close(ctx, &merge.write);
    return moved;
}

static void merge_tip(dreamdb *db, uint8_t *manifest)
{
    dreamdb_snapshot *view = NULL;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    memcpy(manifest, view->address.bytes, DREAMDB_ADDRESS_SIZE);
    dreamdb_snapshot_close(view);
}

/* main alone is trained: so of two indexes one always descends from the other. */
static void merge_train(dreamdb *db, uint8_t *manifest)
{
    dreamdb_train_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.field = "e"; desc.k = 1 + (uint32_t)(test_rand() % 5); desc.seed = test_rand();
    CHECK(dreamdb_train(db, &desc, &data_error) == DREAMDB_OK);
    merge_tip(db, manifest);
}

static void merge_step(size_t which, size_t refs, int early, int wide)
{
    merge_model *model = merge_models + which;
    dreamdb *db = merge_open(&data_inner, merge_refs[which]);
    uint64_t roll = test_rand() % (wide ? 16 : 10);
    uint8_t manifest[DREAMDB_ADDRESS_SIZE];
    if (roll >= 10 && which == 0 && roll < 12) {
        merge_train(db, manifest);
        model->tip = merge_note(manifest, model->tip, SIZE_MAX);
    } else if (roll >= 10 && merge_long && roll % 2) {           /* the tree of the strings is built anew */
        dreamdb_compact_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.field = "s";
        CHECK(dreamdb_compact(db, &desc, NULL, &data_error) == DREAMDB_OK);
        merge_tip(db, manifest);
        if (memcmp(manifest, merge_states[model->tip].address, sizeof manifest) != 0) { model->tip = merge_note(manifest, model->tip, SIZE_MAX); }
    } else if (roll >= 10) {
        if (merge_compact(db, test_rand(), manifest)) { model->tip = merge_note(manifest, model->tip, SIZE_MAX); }
    } else if (roll < 5) {
        size_t first = test_rand() % (DATA_MOST - 60), count = 1 + test_rand() % 60;
        CHECK(merge_append(db, first, count, early, manifest) == DREAMDB_OK);
        memset(model->has + first, 1, count);
        model->tip = merge_note(manifest, model->tip, SIZE_MAX);
    } else if (roll < 7) {
        uint64_t gone[3];
        dreamdb_delete_desc desc;
        dreamdb_delete_report report;
        memset(&desc, 0, sizeof desc);
        for (size_t i = 0; i < 3; i++) {
            size_t row = test_rand() % DATA_MOST;
            gone[i] = data_rows[row].anchor;
            model->deleted[row] = 1;
        }
        desc.anchors = gone; desc.anchor_count = 3;
        CHECK(dreamdb_delete(db, &desc, &report, &data_error) == DREAMDB_OK);
        model->tip = merge_note(report.manifest, model->tip, SIZE_MAX);
    } else {
        size_t other = test_rand() % refs;
        dreamdb_merge_report report;
        bool same = merge_models[other].tip == model->tip;
        if (merge_state_count % 3 == 0 && !same) { merge_check_bases(model->tip, merge_models[other].tip); }
        dreamdb_status status = merge_with(db, merge_refs[other], DREAMDB_MERGE_UNION, &report);
        CHECK(status == DREAMDB_OK && report.outcome == (same ? DREAMDB_MERGE_NOTHING : DREAMDB_MERGE_MADE));
        merge_placed += report.placed;
        merge_cells += report.cells;
        if (status < 0) { printf("%s\n", data_error.message); }
        for (size_t i = 0; i < DATA_MOST; i++) {
            model->has[i] |= merge_models[other].has[i];
            model->deleted[i] |= merge_models[other].deleted[i];
        }
        model->tip = same ? model->tip : merge_note(report.manifest, model->tip, merge_models[other].tip);
        merge_check(merge_refs[which], model);
    }
    dreamdb_close(db);
}

/* Two to five branches, appends (also of the same rows on both), deletions, compactions, training, merges in any order: criss-cross comes
   by itself. */
static void random_histories(void)
{
    for (int turn = 0; turn < 28; turn++) {
        merge_long = turn >= 20;
        size_t refs = 2 + test_rand() % 4;
        uint8_t manifest[DREAMDB_ADDRESS_SIZE];
        dreamdb_config config = data_config(&data_inner);
        dreamdb *db = NULL;
        data_open();
        data_fill(DATA_MOST, 0);
        merge_wild = turn % 3 == 2;
        memset(merge_models, 0, sizeof merge_models);
        merge_state_count = 0;
        config.now_ns = merge_now;
        CHECK(data_create(&config, turn % 2 ? DREAMDB_INDEX_LSH : DREAMDB_INDEX_IVF, turn >= 8 ? 2 : turn % 2 ? 11 : 5, &db) == DREAMDB_OK);
        CHECK(merge_append(db, 0, 30 + test_rand() % 150, turn % 4 < 2, manifest) == DREAMDB_OK);
        for (size_t i = 0; i < DATA_MOST && db; i++) {       /* what the first append brought */
            dreamdb_snapshot *view = NULL;
            uint64_t n = 0;
            if (i == 0) {
                CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && dreamdb_count(view, NULL, NULL, 0, 0, &n, NULL) == DREAMDB_OK);
                memset(merge_models[0].has, 1, (size_t)n);
                dreamdb_snapshot_close(view);
            }
        }
        merge_models[0].tip = merge_note(manifest, SIZE_MAX, SIZE_MAX);
        for (size_t i = 1; i < refs; i++) {
            CHECK(dreamdb_branch(db, NULL, merge_refs[i], &data_error) == DREAMDB_OK);
            merge_models[i] = merge_models[0];
        }
        dreamdb_close(db);
        for (int step = 0; step < 40 && test_ok; step++) { merge_step(test_rand() % refs, refs, turn % 4 < 2, turn >= 8); }
        for (size_t i = 0; i < refs && test_ok; i++) { merge_check(merge_refs[i], merge_models + i); }
        if (!test_ok) { printf("turn %d\n", turn); }
        data_close();
        if (!test_ok) { return; }
    }
    merge_wild = merge_long = 0;
    if (!(merge_placed > 100 && merge_cells > 10)) { printf("placed %d, cells %d\n", (int)merge_placed, (int)merge_cells); }
    CHECK(merge_placed > 100 && merge_cells > 10);           /* both ways were gone */
}

/* main and side, each with rows of its own and common ones. */
static void diverged(dreamdb **main_db, dreamdb **side)
{
    *main_db = data_make(&data_inner, DREAMDB_INDEX_IVF, 2, 20);
    CHECK(dreamdb_branch(*main_db, NULL, "side", &data_error) == DREAMDB_OK);
    *side = merge_open(&data_inner, "side");
    CHECK(data_append(*main_db, 20, 10, NULL) == DREAMDB_OK && data_append(*side, 28, 12, NULL) == DREAMDB_OK);
}

static void tip_text(const char *ref, char out[DREAMDB_ADDRESS_TEXT])
{
    dreamdb *db = merge_open(&data_inner, ref);
    dreamdb_snapshot *view = NULL;
    const dreamdb_info *info = NULL;
    dreamdb_verify_report report;
    memset(&report, 0, sizeof report);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && dreamdb_snapshot_info(view, &info, NULL) == DREAMDB_OK);
    dreamdb_address_text(info->manifest, out);
    CHECK(dreamdb_verify(view, UINT64_MAX, NULL, NULL, &report, NULL) == DREAMDB_OK && report.faults == 0);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
}

static int told_count;
static char told_last[200];
static int told(void *user, const dreamdb_merge_conflict *conflict)
{
    told_count++;
    (void)snprintf(told_last, sizeof told_last, "%s|%s|%s|%d%d", conflict->field, conflict->key, conflict->why, conflict->ours != NULL,
                   conflict->theirs != NULL);
    return *(int *)user;
}

/* Refused: told so many times, the word in the last, nothing moved. */
static void refused(dreamdb *db, const char *other, int count, const char *word)
{
    dreamdb_merge_desc desc;
    dreamdb_merge_report report;
    char before[DREAMDB_ADDRESS_TEXT], after[DREAMDB_ADDRESS_TEXT];
    int stop = 0;
    memset(&desc, 0, sizeof desc);
    desc.other = other; desc.conflict = told; desc.conflict_user = &stop;
    tip_text("main", before);
    data_plan.puts = 0;
    for (desc.dry_run = 0; desc.dry_run < 2; desc.dry_run++) {
        told_count = 0;
        CHECK(dreamdb_merge(db, &desc, &report, &data_error) == DREAMDB_ERR_DIVERGED && data_error.status == DREAMDB_ERR_DIVERGED);
        CHECK(told_count == count && (int)report.conflicts == count && report.objects == 0);
        if (!strstr(told_last, word) || told_count != count) { printf("%d: %s, not %s\n", told_count, told_last, word); test_ok = 0; }
    }
    stop = 1;
    CHECK(dreamdb_merge(db, &desc, NULL, &data_error) == DREAMDB_ERR_CANCELLED);
    tip_text("main", after);
    CHECK_STR(after, before);
}

static void outcomes_and_arguments(void)
{
    dreamdb *db = NULL, *side = NULL;
    dreamdb_merge_desc desc;
    dreamdb_merge_report report;
    char a[DREAMDB_ADDRESS_TEXT], b[DREAMDB_ADDRESS_TEXT], path[80];
    data_open();
    data_fill(60, 0);
    diverged(&db, &side);
    memset(&desc, 0, sizeof desc);
    CHECK(dreamdb_merge(NULL, &desc, NULL, NULL) == DREAMDB_ERR_ARGUMENT && dreamdb_merge(db, NULL, NULL, NULL) == DREAMDB_ERR_ARGUMENT);
    CHECK(dreamdb_merge(db, &desc, NULL, NULL) == DREAMDB_ERR_ARGUMENT && merge_with(db, "", 0, NULL) == DREAMDB_ERR_ARGUMENT);
    CHECK(merge_with(db, "side", 7, NULL) == DREAMDB_ERR_ARGUMENT && merge_with(db, "none", 0, NULL) == DREAMDB_ERR_NOT_FOUND);
    CHECK(merge_with(db, "No", 0, NULL) == DREAMDB_ERR_ARGUMENT && merge_with(db, "side~x", 0, NULL) == DREAMDB_ERR_ARGUMENT);
    CHECK(merge_with(db, "side~99", 0, NULL) == DREAMDB_ERR_NOT_FOUND && merge_with(db, "@gone", 0, NULL) == DREAMDB_ERR_NOT_FOUND);
    CHECK(merge_with(db, "main", 0, &report) == DREAMDB_OK && report.outcome == DREAMDB_MERGE_NOTHING && report.objects == 0);
    CHECK(merge_with(db, "side~99", 0, &report) == DREAMDB_ERR_NOT_FOUND && strstr(data_error.message, "`side`"));
    memset(a, 0, sizeof a);
    tip_text("main", a);
    a[20] = a[20] == 'a' ? 'b' : 'a';                                 /* an address of nothing: gc is not to blame */
    CHECK(merge_with(db, a, 0, &report) == DREAMDB_ERR_NOT_FOUND && strstr(data_error.message, a) && !strstr(data_error.message, "gc"));
    CHECK(merge_with(db, "side", DREAMDB_MERGE_FAST_FORWARD, &report) == DREAMDB_ERR_DIVERGED && strstr(data_error.message, "fast-forward"));
    tip_text("main", a);
    desc.other = "side"; desc.dry_run = 1;
    CHECK(dreamdb_merge(db, &desc, &report, NULL) == DREAMDB_OK && report.outcome == DREAMDB_MERGE_MADE && report.fused == 8 && report.objects == 0);
    tip_text("main", b);
    CHECK_STR(a, b);
    CHECK(merge_with(db, "side", 0, &report) == DREAMDB_OK && report.fused == 8 && report.taken == 0 && report.bases == 1 && data_count(db) == 40);
    CHECK(merge_with(db, "side~1", 0, &report) == DREAMDB_OK && report.outcome == DREAMDB_MERGE_MADE && report.fused == 0 && report.objects == 1);
    CHECK(merge_with(db, "side", DREAMDB_MERGE_FAST_FORWARD, &report) == DREAMDB_ERR_DIVERGED);          /* it is older */
    desc.other = "main"; desc.strategy = DREAMDB_MERGE_FAST_FORWARD;
    CHECK(dreamdb_merge(side, &desc, &report, NULL) == DREAMDB_OK && report.outcome == DREAMDB_MERGE_MOVED && data_count(side) == 32);
    CHECK(merge_with(side, "main", DREAMDB_MERGE_FAST_FORWARD, &report) == DREAMDB_OK && data_count(side) == 40);
    tip_text("main", a);
    tip_text("side", b);
    CHECK_STR(a, b);
    CHECK(data_append(side, 40, 5, NULL) == DREAMDB_OK);
    tip_text("side", b);
    CHECK(merge_with(db, b, 0, &report) == DREAMDB_OK && report.taken == 8 && data_count(db) == 45);           /* by address; ahead: two parents */
    dreamdb_config small = data_config(&data_inner);
    dreamdb *bounded = NULL;
    small.limits.history = 2;
    CHECK(dreamdb_open(&small, "main", &bounded, NULL) == DREAMDB_OK);
    CHECK(data_append(side, 59, 1, NULL) == DREAMDB_OK && !dreamdb_set_meta(db, "dreamdb.x", "1", NULL));
    CHECK(merge_with(bounded, "side", 0, &report) == DREAMDB_ERR_LIMIT && strstr(data_error.message, "limits.history"));
    dreamdb_close(bounded);
    /* gc took a Manifest that the way to the base needs */
    CHECK(data_append(side, 45, 5, NULL) == DREAMDB_OK && data_append(side, 50, 5, NULL) == DREAMDB_OK && data_append(db, 55, 4, NULL) == DREAMDB_OK);
    dreamdb_close(side);
    side = merge_open(&data_inner, "side");
    dreamdb_snapshot *view = NULL;
    const dreamdb_info *info = NULL;
    CHECK(dreamdb_snapshot_open(side, NULL, &view, NULL) == DREAMDB_OK && dreamdb_snapshot_info(view, &info, NULL) == DREAMDB_OK);
    dreamdb_address_text(info->parents, b);
    dreamdb_snapshot_close(view);
    (void)snprintf(path, sizeof path, "manifests/%s", b);
    CHECK(data_inner.remove(data_inner.user, path) == DREAMDB_OK);
    dreamdb_close(db);
    db = merge_open(&data_inner, "main");
    CHECK(merge_with(db, "side", 0, &report) == DREAMDB_ERR_NOT_FOUND && strstr(data_error.message, b) && strstr(data_error.message, "gc"));
    CHECK(data_count(db) == 49);
    dreamdb_close(db); dreamdb_close(side);
    data_close();
}

/* ---- What both sides changed, and what only one did ---- */
static dreamdb_status add(dreamdb *db, const char *name, dreamdb_kind kind, const char *value)
{
    dreamdb_field field;
    memset(&field, 0, sizeof field);
    field.name = name; field.kind = kind;
    if (kind == DREAMDB_CONSTANT) { field.modality = name[0] == 't' ? "title.text" : "other.text"; field.value = value; field.value_size = strlen(value); }
    return dreamdb_add_field(db, &field, NULL, &data_error);
}

static dreamdb_status train(dreamdb *db, uint32_t k)
{
    dreamdb_train_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.field = "e"; desc.k = k;
    return dreamdb_train(db, &desc, &data_error);
}

/* Puts a member into the registry entry of a key (member NULL: the entry itself), as a writer of another version might. */
static void put_entry(dreamdb *db, const char *key, const char *member)
{
    static const uint8_t value[3] = { 0x62, 'h', 'i' }, address[35] = { 0x58, 33, DDB_ADDR_TAG };
    ddb_write write;
    ddb_slice name = ddb_bytes_text(key), text = member ? ddb_bytes_slice(address, sizeof address) : ddb_bytes_slice(value, sizeof value);
    CHECK(ddb_write_open(test_ctx(), db, true, &write) == DREAMDB_OK);
    CHECK((member ? ddb_manifest_set_member(test_ctx(), &write.arena, &write.manifest, name, member, text)
                  : ddb_manifest_set_entry(test_ctx(), &write.arena, &write.manifest, name, text)) == DREAMDB_OK);
    CHECK(ddb_write_publish(test_ctx(), &write, "test") == DREAMDB_OK);
    ddb_write_close(test_ctx(), &write);
}

static void conflicts(void)
{
    static const char *const words[] = { "tt|", "dreamdb.a", "e|index", "e|index", "late|", "modality", "hot shard", "entity keys" };
    for (int which = 0; which < 8; which++) {
        dreamdb *db = NULL, *side = NULL;
        data_open();
        data_fill(60, 0);
        diverged(&db, &side);
        switch (which) {
        case 0: CHECK(!add(db, "tt", DREAMDB_CONSTANT, "one") && !add(side, "tt", DREAMDB_CONSTANT, "two")); break;
        case 1: CHECK(!dreamdb_set_meta(db, "dreamdb.a", "1", NULL) && !dreamdb_set_meta(side, "dreamdb.a", "2", NULL)); break;
        case 2: CHECK(!train(db, 3) && !train(side, 4)); break;
        case 3: CHECK(!train(side, 3)); db->env->identical = true; break;                /* it descends, but both sides have new rows */
        case 4: CHECK(!add(db, "late", DREAMDB_STRING, "") && !add(side, "late", DREAMDB_INT, "")); break;
        case 6: put_entry(side, "embedding.f32.dim=4.bucketed", "hot_shard"); break;
        case 7: put_entry(side, "dreamdb.entity_keys", NULL); break;
        default: CHECK(!add(db, "t1", DREAMDB_CONSTANT, "one") && !add(side, "t2", DREAMDB_CONSTANT, "one")); break;
        }
        refused(db, "side", 1, words[which]);
        if (which == 3) { CHECK(strstr(told_last, "descends") && strstr(told_last, "|11")); }
        dreamdb_close(db); dreamdb_close(side);
        data_close();
    }
}

static void one_sided(void)
{
    dreamdb *db = NULL, *side = NULL;
    dreamdb_merge_report report;
    dreamdb_snapshot *view = NULL;
    const void *value = NULL;
    size_t size = 0;
    data_open();
    data_fill(60, 0);
    diverged(&db, &side);
    CHECK(!add(db, "mine", DREAMDB_STRING, "") && !add(side, "theirs", DREAMDB_INT, "") && !add(side, "tt", DREAMDB_CONSTANT, "a title"));
    CHECK(!add(db, "both", DREAMDB_INT, "") && !add(side, "both", DREAMDB_INT, ""));
    CHECK(!dreamdb_set_meta(db, "dreamdb.a", "1", NULL) && !dreamdb_set_meta(side, "dreamdb.b", "2", NULL));
    CHECK(!dreamdb_set_meta(db, "dreamdb.c", "3", NULL) && !dreamdb_set_meta(side, "dreamdb.c", "3", NULL));
    CHECK(merge_with(db, "side", 0, &report) == DREAMDB_OK && report.taken == 2 && report.fused == 8 && data_count(db) == 40);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    CHECK(view->schema.count == DATA_FIELDS + 4);
    CHECK(dreamdb_constant(view, "tt", &value, &size, NULL) == DREAMDB_OK && size == 7 && memcmp(value, "a title", 7) == 0);
    CHECK(ddb_manifest_entry(&view->manifest, ddb_bytes_text("dreamdb.a")) && ddb_manifest_entry(&view->manifest, ddb_bytes_text("dreamdb.b")));
    CHECK(ddb_manifest_entry(&view->manifest, ddb_bytes_text("dreamdb.c")) != NULL);
    dreamdb_snapshot_close(view);
    CHECK(train(side, 3) == DREAMDB_OK);                             /* a new index of one side, no row of the other: taken with its rows */
    CHECK(merge_with(side, "main", 0, &report) == DREAMDB_OK && report.placed == 10 && data_count(side) == 40);
    dreamdb_close(side);
    CHECK(dreamdb_branch(db, NULL, "fresh", NULL) == DREAMDB_OK);
    side = merge_open(&data_inner, "fresh");
    CHECK(train(side, 3) == DREAMDB_OK && !dreamdb_set_meta(db, "dreamdb.d", "4", NULL));
    CHECK(merge_with(db, "fresh", 0, &report) == DREAMDB_OK && report.taken == 1 && report.fused == 0 && data_count(db) == 40);
    char tip[DREAMDB_ADDRESS_TEXT];
    tip_text("main", tip);
    dreamdb_close(db); dreamdb_close(side);
    data_close();
}

/* ---- One side's index descends from the other's; both sides compacted a cell ---- */
static uint64_t stored(dreamdb *db)
{
    dreamdb_snapshot *view = NULL;
    uint64_t n = 0;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && dreamdb_count_estimate(view, "e", &n, &data_error) == DREAMDB_OK);
    dreamdb_snapshot_close(view);
    return n;
}

/* A dataset of vectors alone: kind 0 raw, 1 RaBitQ without exact vectors, 2 PQ with them, 3 raw with sidecars. */
static dreamdb *coded_make(int kind)
{
    dreamdb_config config = data_config(&data_inner);
    static float sample[60 * DATA_DIM];
    dreamdb_field field;
    dreamdb_create_desc desc;
    dreamdb *db = NULL;
    memset(&field, 0, sizeof field); memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < 60 * data_dim; i++) { sample[i] = test_randf(); }
    field.name = "e"; field.kind = DREAMDB_EMBEDDING; field.dim = data_dim; field.train = sample; field.train_count = 60; field.k = 3;
    field.rerank = kind >= 2;
    field.compressor = kind == 1 ? DREAMDB_COMPRESSOR_RABITQ : kind == 2 ? DREAMDB_COMPRESSOR_PQ : DREAMDB_COMPRESSOR_NONE;
    field.bits_per_dim = kind == 1 ? 8 : 0;
    field.pq_m = kind == 2 ? 2 : 0; field.pq_k = kind == 2 ? 16 : 0;
    desc.fields = &field; desc.field_count = 1;
    CHECK(dreamdb_create(&config, "main", &desc, &db, &data_error) == DREAMDB_OK);
    return db;
}

static dreamdb_status coded_append(dreamdb *db, size_t first, size_t count)
{
    static uint64_t anchors[DATA_MOST];
    dreamdb_column column;
    dreamdb_append_desc desc;
    memset(&column, 0, sizeof column); memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) { anchors[i] = data_rows[first + i].anchor; }
    column.field = "e"; column.data = data_rows[first].v; column.stride = sizeof(data_row);
    desc.columns = &column; desc.column_count = 1; desc.count = count; desc.anchors = anchors;
    desc.page_early = data_page_early;
    return dreamdb_append(db, &desc, NULL, &data_error);
}

/* Rows [first, first + count) are found, each by its own vector: among the best three in its nearest cell, or (exact) as the best of
   all cells; nothing is at fault, in the state or, unless exact, in those before it. */
static void rows_found(dreamdb *db, size_t first, size_t count, bool exact)
{
    dreamdb_snapshot *view = NULL;
    dreamdb_verify_report report;
    memset(&report, 0, sizeof report);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    for (size_t i = first; i < first + count; i++) {
        dreamdb_query query;
        dreamdb_result *found = NULL;
        memset(&query, 0, sizeof query);
        query.field = "e"; query.vectors = data_rows[i].v; query.top_k = exact ? 1 : 3; query.nprobe = exact ? 0 : 1; query.exact = exact;
        CHECK(dreamdb_search(view, &query, &found, &data_error) == DREAMDB_OK && found->count > 0);
        bool there = false;
        for (size_t h = 0; found && h < found->count; h++) { there = there || found->hits[h].anchor == data_rows[i].anchor; }
        CHECK(there);
        dreamdb_result_free(found);
    }
    CHECK(dreamdb_verify(view, exact ? 0 : UINT64_MAX, NULL, NULL, &report, &data_error) == DREAMDB_OK && report.faults == 0);
    dreamdb_snapshot_close(view);
}

/* Distinct vectors: each is its own nearest. */
static void distinct_rows(void)
{
    for (size_t i = 0; i < DATA_MOST; i++) {
        memset(data_rows + i, 0, sizeof data_rows[i]);
        data_rows[i].anchor = i * 3 + 1;
        for (uint32_t d = 0; d < data_dim; d++) { data_rows[i].v[d] = test_randf(); }
    }
}

static void descendants(void)
{
    uint8_t manifest[DREAMDB_ADDRESS_SIZE];
    for (int turn = 0; turn < 16; turn++) {                  /* four kinds; trained by the other side or by ours; Tracks in pages or not */
        int kind = turn % 4, ours = turn / 4 % 2;
        dreamdb_merge_report report;
        dreamdb_train_desc desc;
        dreamdb *db = NULL, *side = NULL;
        data_page_early = turn / 8;
        data_open();
        distinct_rows();
        db = coded_make(kind);
        CHECK(coded_append(db, 0, 200) == DREAMDB_OK && coded_append(db, 200, 100) == DREAMDB_OK);
        CHECK(dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
        side = merge_open(&data_inner, "side");
        dreamdb *grown = ours ? side : db, *trained = ours ? db : side;
        CHECK(coded_append(grown, 300, 20) == DREAMDB_OK && merge_compact(grown, 0, manifest) && coded_append(grown, 320, 10) == DREAMDB_OK);
        CHECK(coded_append(trained, 340, 30) == DREAMDB_OK);
        memset(&desc, 0, sizeof desc);
        desc.field = "e"; desc.k = 4; desc.compressor = kind == 2 && ours;
        CHECK(dreamdb_train(trained, &desc, &data_error) == DREAMDB_OK);
        CHECK(coded_append(trained, 370, 5) == DREAMDB_OK);
        CHECK(merge_with(db, "side", 0, &report) == DREAMDB_OK && report.fused == 1 && report.placed == 30);
        if (!test_ok) { printf("%s\n", data_error.message); }
        CHECK_EQ_U64(stored(db), 365);                       /* what was compacted did not come again */
        if (kind != 1) { rows_found(db, 295, 35, false); rows_found(db, 340, 35, false); }
        CHECK(coded_append(db, 380, 5) == DREAMDB_OK && merge_with(side, "main", 0, &report) == DREAMDB_OK);
        CHECK_EQ_U64(stored(side), 370);
        if (!test_ok) { printf("turn %d\n", turn); }
        dreamdb_close(db); dreamdb_close(side);
        data_close();
        if (!test_ok) { return; }
    }
    data_page_early = 0;
}

static void compacted_twice(void)
{
    uint8_t manifest[DREAMDB_ADDRESS_SIZE];
    for (int turn = 0; turn < 8; turn++) {
        dreamdb_merge_report report;
        dreamdb_delete_desc gone;
        dreamdb *db = NULL, *side = NULL;
        data_page_early = turn / 4;
        data_open();
        distinct_rows();
        db = coded_make(turn % 4);
        for (size_t i = 0; i < 6; i++) { CHECK(coded_append(db, i * 50, 50) == DREAMDB_OK); }
        CHECK(dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
        side = merge_open(&data_inner, "side");
        memset(&gone, 0, sizeof gone);
        gone.anchor_count = 1;
        CHECK(coded_append(db, 300, 20) == DREAMDB_OK && coded_append(side, 320, 30) == DREAMDB_OK);
        for (size_t i = 0; i < 300; i += 10) {                /* every tenth; of each cell some */
            gone.anchors = &data_rows[i].anchor;
            CHECK(dreamdb_delete(side, &gone, NULL, &data_error) == DREAMDB_OK);
        }
        for (size_t i = 0; i < 2; i++) { CHECK(merge_compact(db, i, manifest) && merge_compact(side, i, manifest)); }
        CHECK(coded_append(db, 350, 5) == DREAMDB_OK && coded_append(side, 350, 5) == DREAMDB_OK);          /* the same on both */
        uint64_t dropped = 305 + 30 - stored(side);           /* by the compactions of side */
        CHECK(dropped > 0 && dropped <= 30 && stored(db) == 325);
        db->env->identical = true;
        refused(db, "side", 2, "compacted it since");
        db->env->identical = false;
        CHECK(merge_with(db, "side", 0, &report) == DREAMDB_OK && report.cells == 2 && report.fused == 1);
        CHECK_EQ_U64(stored(db), 355 - dropped);
        CHECK_EQ_U64(data_count(db), 355 - 30);
        if (turn % 4 != 1) { rows_found(db, 301, 45, false); }
        CHECK(merge_with(side, "main", 0, &report) == DREAMDB_OK && stored(side) == 355 - dropped);
        if (!test_ok) { printf("turn %d: %s\n", turn, data_error.message); }
        dreamdb_close(db); dreamdb_close(side);
        data_close();
        if (!test_ok) { return; }
    }
    data_page_early = 0;
}

/* ---- Where no index descends from the other's, or a step left two tables of one index ---- */

/* A branch that only appended, while main's index moved more often than an index names ancestors. */
static void far_behind(void)
{
    for (int ours = 0; ours < 2; ours++) {
        dreamdb_merge_report report;
        dreamdb *db = NULL, *side = NULL;
        data_open();
        distinct_rows();
        db = data_make(&data_inner, DREAMDB_INDEX_IVF, 2, 40);
        CHECK(dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
        side = merge_open(&data_inner, "side");
        CHECK(data_append(side, 40, 20, NULL) == DREAMDB_OK);
        for (uint32_t i = 0; i < 104; i++) { CHECK(train(db, 2 + i % 3) == DREAMDB_OK); }
        CHECK(data_append(db, 60, 20, NULL) == DREAMDB_OK);
        CHECK(merge_with(ours ? side : db, ours ? "main" : "side", 0, &report) == DREAMDB_OK && report.placed == 20);
        if (!test_ok) { printf("%s\n", data_error.message); }
        CHECK_EQ_U64(stored(ours ? side : db), 80);
        rows_found(ours ? side : db, 0, 80, true);
        dreamdb_close(db); dreamdb_close(side);
        data_close();
    }
}

/* Both sides were trained: refused, until it is said whose index holds. */
static void both_trained(void)
{
    for (int theirs = 0; theirs < 2; theirs++) {
        dreamdb_merge_desc desc;
        dreamdb_merge_report report;
        dreamdb_snapshot *view = NULL;
        ddb_addr index[2];
        dreamdb *db = NULL, *side = NULL;
        data_open();
        distinct_rows();
        db = data_make(&data_inner, DREAMDB_INDEX_IVF, 2, 40);
        CHECK(dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
        side = merge_open(&data_inner, "side");
        CHECK(data_append(side, 40, 20, NULL) == DREAMDB_OK && data_append(db, 60, 20, NULL) == DREAMDB_OK && !train(db, 3) && !train(side, 4));
        refused(db, "side", 1, "--keep-index");
        for (int s = 0; s < 2; s++) {
            CHECK(dreamdb_snapshot_open(s ? side : db, NULL, &view, NULL) == DREAMDB_OK);
            index[s] = ddb_view_find(view, ddb_bytes_text("e"))->registry.index;
            dreamdb_snapshot_close(view);
        }
        memset(&desc, 0, sizeof desc);
        desc.other = "side"; desc.index = theirs ? DREAMDB_MERGE_INDEX_THEIRS : DREAMDB_MERGE_INDEX_OURS;
        CHECK(dreamdb_merge(db, &desc, &report, &data_error) == DREAMDB_OK && report.placed == 20);
        CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
        CHECK(ddb_addr_equal(&ddb_view_find(view, ddb_bytes_text("e"))->registry.index, index + theirs));
        dreamdb_snapshot_close(view);
        CHECK_EQ_U64(stored(db), 80);
        rows_found(db, 0, 80, true);
        desc.index = (dreamdb_merge_index)3;
        CHECK(dreamdb_merge(db, &desc, NULL, &data_error) == DREAMDB_ERR_ARGUMENT);
        dreamdb_close(db); dreamdb_close(side);
        data_close();
    }
}

/* Notes something in the lineage table, as a step does that finds a cell it cannot split; swap: generations that no list can have so. */
static void note_table(dreamdb *db, uint32_t cell, bool swap)
{
    ddb_ctx *ctx = test_ctx();
    ddb_write write;
    CHECK(ddb_write_open(ctx, db, true, &write) == DREAMDB_OK);
    ddb_view_field *e = ddb_view_find(write.view, ddb_bytes_text("e"));
    CHECK(ddb_view_need(ctx, write.view, &e, 1, DDB_VIEW_INDEX) == DREAMDB_OK && e->lineage && e->lineage->count > 2);
    ddb_lineage table = *e->lineage;
    table.cells = ddb_mem_arena_new(ctx, &write.arena, ddb_lineage_cell, table.k);
    table.list = ddb_mem_arena_new(ctx, &write.arena, ddb_addr, table.count);
    memcpy(table.cells, e->lineage->cells, table.k * sizeof *table.cells);
    memcpy(table.list, e->lineage->list, table.count * sizeof *table.list);
    table.cells[cell].stuck = 5;
    if (swap) {
        ddb_addr one = table.list[1];
        table.list[1] = table.list[2];
        table.list[2] = one;
        for (uint32_t c = 0; c < table.k; c++) { table.cells[c].changed = DDB_LINEAGE_LONG_AGO; table.cells[c].oldest = (uint16_t)(table.count - 1); }
    }
    CHECK(ddb_lineage_put(ctx, &write.arena, write.puts, &write.manifest, e->binding->modality, &table) == DREAMDB_OK);
    CHECK(ddb_write_publish(ctx, &write, "test") == DREAMDB_OK);
    ddb_write_close(ctx, &write);
}

static void two_tables(void)
{
    for (int swap = 0; swap < 2; swap++) {
        dreamdb_merge_report report;
        dreamdb_ada_step_desc desc;
        dreamdb_ada_step_report stepped;
        dreamdb_snapshot *view = NULL;
        dreamdb *db = NULL, *side = NULL;
        data_open();
        distinct_rows();
        db = data_make(&data_inner, DREAMDB_INDEX_IVF, 12, 60);
        memset(&desc, 0, sizeof desc);
        for (uint64_t k = 11; k >= 9; k--) {
            desc.k_max = k; desc.max_cells = 1;
            CHECK(dreamdb_ada_step(db, &desc, &stepped, &data_error) == DREAMDB_OK && stepped.outcome == DREAMDB_ADA_MADE);
            CHECK(data_append(db, 60 + (size_t)(11 - k) * 10, 10, NULL) == DREAMDB_OK);
        }
        CHECK(dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
        side = merge_open(&data_inner, "side");
        CHECK(data_append(db, 90, 20, NULL) == DREAMDB_OK && data_append(side, 110, 20, NULL) == DREAMDB_OK);
        note_table(db, 1, false);
        note_table(side, 2, swap);
        CHECK(merge_with(db, "side", 0, &report) == DREAMDB_OK && report.fused > 0 && report.placed == (swap ? 20u : 0u));
        if (!test_ok) { printf("%s\n", data_error.message); }
        CHECK_EQ_U64(stored(db), 130);
        rows_found(db, 0, 130, true);
        CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
        ddb_view_field *e = ddb_view_find(view, ddb_bytes_text("e"));
        CHECK(ddb_view_need(test_ctx(), view, &e, 1, DDB_VIEW_INDEX) == DREAMDB_OK && e->lineage && e->lineage->cells[1].stuck == 5
              && e->lineage->cells[2].stuck == (swap ? 0 : 5));
        dreamdb_snapshot_close(view);
        desc.k_max = 8;
        CHECK(dreamdb_ada_step(db, &desc, &stepped, &data_error) == DREAMDB_OK && stepped.outcome == DREAMDB_ADA_MADE);
        rows_found(db, 0, 130, true);
        dreamdb_close(db); dreamdb_close(side);
        data_close();
    }
}

/* Criss-cross over a training: one base has the old index, the other the new one; then both sides compact the same cells. */
static void bases_of_two_indexes(void)
{
    for (int kind = 0; kind < 4; kind++) {
        uint8_t manifest[DREAMDB_ADDRESS_SIZE];
        dreamdb_merge_report report;
        dreamdb_train_desc desc;
        char first[DREAMDB_ADDRESS_TEXT];
        dreamdb *db = NULL, *side = NULL;
        data_open();
        distinct_rows();
        db = coded_make(kind);
        CHECK(coded_append(db, 0, 200) == DREAMDB_OK && dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
        side = merge_open(&data_inner, "side");
        memset(&desc, 0, sizeof desc);
        desc.field = "e"; desc.k = 4;
        CHECK(dreamdb_train(db, &desc, &data_error) == DREAMDB_OK && coded_append(side, 200, 20) == DREAMDB_OK);
        tip_text("main", first);
        CHECK(merge_with(db, "side", 0, &report) == DREAMDB_OK && merge_with(side, first, 0, &report) == DREAMDB_OK);
        CHECK(coded_append(db, 220, 30) == DREAMDB_OK && coded_append(side, 250, 30) == DREAMDB_OK);
        for (size_t i = 0; i < 2; i++) { CHECK(merge_compact(db, i, manifest) && merge_compact(side, i, manifest)); }
        CHECK(merge_with(db, "side", 0, &report) == DREAMDB_OK && report.bases == 2 && report.cells >= 2);
        if (!test_ok) { printf("kind %d: %s\n", kind, data_error.message); }
        CHECK_EQ_U64(stored(db), 280);
        CHECK_EQ_U64(data_count(db), 280);
        if (kind != 1) { rows_found(db, 0, 280, false); }
        dreamdb_close(db); dreamdb_close(side);
        data_close();
    }
}

/* Each side deleted what the other kept, and compacted: nothing is left. */
static void compacted_away(void)
{
    for (int early = 0; early < 2; early++) {
        uint8_t manifest[DREAMDB_ADDRESS_SIZE];
        dreamdb_merge_report report;
        dreamdb_delete_desc gone;
        dreamdb *db = NULL, *side = NULL;
        data_page_early = early;
        data_open();
        distinct_rows();
        for (size_t i = 1; i < 4; i++) { memcpy(data_rows[i].v, data_rows[0].v, sizeof data_rows[0].v); }
        uint64_t others[3] = { data_rows[1].anchor, data_rows[2].anchor, data_rows[3].anchor };
        db = coded_make(0);
        CHECK(coded_append(db, 0, 3) == DREAMDB_OK && coded_append(db, 3, 1) == DREAMDB_OK && dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
        side = merge_open(&data_inner, "side");
        memset(&gone, 0, sizeof gone);
        gone.anchors = &data_rows[0].anchor; gone.anchor_count = 1;
        CHECK(dreamdb_delete(db, &gone, NULL, NULL) == DREAMDB_OK && merge_compact(db, 0, manifest));
        gone.anchors = others; gone.anchor_count = 3;
        CHECK(dreamdb_delete(side, &gone, NULL, NULL) == DREAMDB_OK && merge_compact(side, 0, manifest));
        CHECK(stored(db) == 3 && stored(side) == 1 && merge_with(db, "side", 0, &report) == DREAMDB_OK && report.cells == 1);
        CHECK(stored(db) == 0 && data_count(db) == 0);
        CHECK(coded_append(db, 10, 5) == DREAMDB_OK && stored(db) == 5);
        rows_found(db, 10, 5, false);
        dreamdb_close(db); dreamdb_close(side);
        data_close();
    }
    data_page_early = 0;
}

/* Deletions of both sides become one tree, whatever was there before; under identical a head over both. */
static void folded_tombs(void)
{
    for (int turn = 0; turn < 12; turn++) {
        static uint64_t anchors[DATA_MOST];
        static uint8_t deleted[DATA_MOST], want[DATA_MOST];
        dreamdb_delete_desc gone;
        dreamdb_merge_report report;
        dreamdb_snapshot *view = NULL;
        ddb_tomb *tomb = NULL;
        dreamdb *db = NULL, *side = NULL;
        memset(want, 0, sizeof want); memset(&gone, 0, sizeof gone);
        data_open();
        data_fill(DATA_MOST, 0);
        db = data_make(&data_inner, DREAMDB_INDEX_LSH, 2, 20);
        for (size_t i = 0; i < DATA_MOST; i++) { anchors[i] = i * 5; }
        gone.anchors = anchors; gone.anchor_count = 300; gone.reason = "old";
        if (turn % 3) { CHECK(dreamdb_delete(db, &gone, NULL, NULL) == DREAMDB_OK); memset(want, 1, 300); }
        CHECK(dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
        side = merge_open(&data_inner, "side");
        for (int round = 0; round < 3; round++) {
            for (int s = 0; s < 2; s++) {
                size_t first = test_rand() % 500, count = 1 + test_rand() % 100;
                gone.anchors = anchors + first; gone.anchor_count = count; gone.reason = s ? NULL : "ours";
                CHECK(dreamdb_delete(s ? side : db, &gone, NULL, NULL) == DREAMDB_OK);
                memset(want + first, 1, count);
            }
            db->env->identical = turn % 4 == 3 && round == 0;      /* a head over two heads comes under the next fold */
            CHECK(merge_with(db, "side", 0, &report) == DREAMDB_OK);
            db->env->identical = false;
            CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && ddb_view_tomb(test_ctx(), view, &tomb) == DREAMDB_OK);
            CHECK(ddb_tomb_test(test_ctx(), tomb, anchors, DATA_MOST, deleted) == DREAMDB_OK && memcmp(deleted, want, sizeof want) == 0);
            CHECK(turn % 4 == 3 || (tomb->root_count == 1 && tomb->parent_count == 0 && tomb->head_count == 1));
            CHECK(turn % 4 != 3 || round > 0 || (!tomb->has_root && tomb->parent_count == 2));
            dreamdb_snapshot_close(view);
        }
        char tip[DREAMDB_ADDRESS_TEXT];
        tip_text("main", tip);                                     /* verify */
        if (turn == 11) {                                          /* a dry run sees a head that cannot be read */
            gone.anchors = anchors; gone.anchor_count = 3; gone.reason = "again";
            CHECK(dreamdb_delete(side, &gone, NULL, NULL) == DREAMDB_OK && dreamdb_delete(db, &gone, NULL, NULL) == DREAMDB_OK);
            dreamdb_merge_desc desc;
            memset(&desc, 0, sizeof desc);
            desc.other = "side"; desc.dry_run = 1;
            dreamdb_close(side);
            side = merge_open(&data_inner, "side");
            CHECK(dreamdb_snapshot_open(side, NULL, &view, NULL) == DREAMDB_OK);
            ddb_addr head;
            bool has = false;
            char path[80], text[DREAMDB_ADDRESS_TEXT];
            CHECK(ddb_manifest_tombstones(test_ctx(), &view->manifest, view->path, &has, &head) == DREAMDB_OK && has);
            ddb_addr_text(&head, text);
            (void)snprintf(path, sizeof path, "tombstones/%s", text);
            dreamdb_snapshot_close(view);
            CHECK(data_inner.remove(data_inner.user, path) == DREAMDB_OK);
            dreamdb_close(db);
            db = merge_open(&data_inner, "main");
            dreamdb_status status = dreamdb_merge(db, &desc, &report, &data_error);
            CHECK(status < 0 && strstr(data_error.message, text));
            if (!test_ok) { printf("%d %s %s\n", (int)status, data_error.message, text); }
        }
        dreamdb_close(db); dreamdb_close(side);
        data_close();
        if (!test_ok) { printf("turn %d: %s\n", turn, data_error.message); return; }
    }
}

/* A head over heads whose parent is the very head of the other side, which a base of the two has too: nothing of it is lost. */
static void head_over_heads(void)
{
    enum { MOST = 300 };
    static uint64_t anchors[MOST + 2];
    static uint8_t deleted[MOST + 2];
    dreamdb_delete_desc gone;
    dreamdb_merge_report report;
    dreamdb_snapshot *view = NULL;
    ddb_tomb *tomb = NULL;
    char state[DREAMDB_ADDRESS_TEXT];
    for (size_t i = 0; i < MOST + 2; i++) { anchors[i] = 1000000 + i * 10; }
    memset(&gone, 0, sizeof gone);
    data_open();
    data_fill(40, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 2, 20);
    CHECK(dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
    dreamdb *side = merge_open(&data_inner, "side");
    CHECK(data_append(db, 20, 10, NULL) == DREAMDB_OK);
    tip_text("main", state);
    gone.anchors = anchors; gone.anchor_count = MOST;
    CHECK(dreamdb_delete(side, &gone, NULL, NULL) == DREAMDB_OK);
    CHECK(dreamdb_branch(side, NULL, "early", NULL) == DREAMDB_OK);
    CHECK(merge_with(side, state, 0, &report) == DREAMDB_OK);                      /* its head stays */
    gone.anchors = anchors + MOST; gone.anchor_count = 1;
    CHECK(dreamdb_delete(db, &gone, NULL, NULL) == DREAMDB_OK);
    db->env->identical = true;
    CHECK(merge_with(db, "early", 0, &report) == DREAMDB_OK);
    db->env->identical = false;
    gone.anchors = anchors + MOST + 1; gone.anchor_count = 1;
    CHECK(dreamdb_delete(db, &gone, NULL, NULL) == DREAMDB_OK);                    /* a tree of its own, over both heads */
    CHECK(merge_with(db, "side", 0, &report) == DREAMDB_OK);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && ddb_view_tomb(test_ctx(), view, &tomb) == DREAMDB_OK);
    CHECK(ddb_tomb_test(test_ctx(), tomb, anchors, MOST + 2, deleted) == DREAMDB_OK && !memchr(deleted, 0, MOST + 2));
    dreamdb_snapshot_close(view);
    CHECK(merge_with(db, "diwnotthere", 0, &report) == DREAMDB_ERR_NOT_FOUND);
    dreamdb_close(db); dreamdb_close(side);
    data_close();
}

/* A branch that lags behind many deletions of the other side: of the trees only what the branch deleted is read, and where it goes; a base
   whose tombstones gc took costs reading, nothing else. */
static void lagging_tombs(void)
{
    enum { MOST = 12800 };                                         /* a hundred leaves */
    static uint64_t anchors[MOST], ours[100], theirs[3];
    static uint8_t deleted[MOST];
    uint64_t gets[2];
    for (size_t i = 0; i < MOST; i++) { anchors[i] = 1000000 + i * 10; }
    for (size_t i = 0; i < 100; i++) { ours[i] = 1000003 + i * 1280; }             /* one in each leaf */
    for (size_t i = 0; i < 3; i++) { theirs[i] = 1000007 + i * 40000; }
    for (int taken = 0; taken < 2; taken++) {
        dreamdb_delete_desc gone;
        dreamdb_merge_report report;
        dreamdb_snapshot *view = NULL;
        dreamdb_fault counts;
        dreamdb_store counted;
        ddb_tomb *tomb = NULL;
        ddb_addr head;
        bool has = false;
        char path[80];
        memset(&gone, 0, sizeof gone); memset(&counts, 0, sizeof counts);
        data_open();
        data_fill(20, 0);
        dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 2, 20);
        gone.anchors = anchors; gone.anchor_count = MOST;
        CHECK(dreamdb_delete(db, &gone, NULL, NULL) == DREAMDB_OK);
        CHECK(dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
        CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
        CHECK(ddb_manifest_tombstones(test_ctx(), &view->manifest, view->path, &has, &head) == DREAMDB_OK && has);
        (void)snprintf(path, sizeof path, "tombstones/");
        ddb_addr_text(&head, path + 11);
        dreamdb_snapshot_close(view);
        dreamdb *side = merge_open(&data_inner, "side");
        gone.anchors = ours; gone.anchor_count = 100;
        CHECK(dreamdb_delete(db, &gone, NULL, NULL) == DREAMDB_OK);
        gone.anchors = theirs; gone.anchor_count = 3;
        CHECK(dreamdb_delete(side, &gone, NULL, NULL) == DREAMDB_OK);
        dreamdb_close(db); dreamdb_close(side);
        if (taken) { CHECK(data_inner.remove(data_inner.user, path) == DREAMDB_OK); }
        CHECK(dreamdb_store_fault(&data_inner, &counts, NULL, &counted, NULL) == DREAMDB_OK);
        db = merge_open(&counted, "main");
        uint64_t before = counts.gets;
        CHECK(merge_with(db, "side", 0, &report) == DREAMDB_OK);
        gets[taken] = counts.gets - before;
        CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && ddb_view_tomb(test_ctx(), view, &tomb) == DREAMDB_OK);
        CHECK(tomb->root_count == 1 && tomb->parent_count == 0 && tomb->roots[0].rows == MOST + 103);
        CHECK(ddb_tomb_test(test_ctx(), tomb, anchors, MOST, deleted) == DREAMDB_OK && !memchr(deleted, 0, MOST));
        CHECK(ddb_tomb_test(test_ctx(), tomb, ours, 100, deleted) == DREAMDB_OK && !memchr(deleted, 0, 100));
        CHECK(ddb_tomb_test(test_ctx(), tomb, theirs, 3, deleted) == DREAMDB_OK && !memchr(deleted, 0, 3));
        dreamdb_snapshot_close(view);
        dreamdb_close(db);
        dreamdb_store_close(&counted);
        data_close();
    }
    CHECK(gets[0] <= 30 && gets[1] >= gets[0] + 80);
    if (!test_ok) { printf("%llu gets, %llu without the base's\n", (unsigned long long)gets[0], (unsigned long long)gets[1]); }
}

static dreamdb_status layer_append(dreamdb *db, uint64_t anchor, const char *text)
{
    dreamdb_column column;
    dreamdb_append_desc desc;
    dreamdb_slice value;
    memset(&column, 0, sizeof column); memset(&desc, 0, sizeof desc);
    value.data = text; value.size = strlen(text);
    column.field = "lay"; column.values = &value;
    desc.columns = &column; desc.column_count = 1; desc.count = 1; desc.anchors = &anchor; desc.into_layer = 1;
    return dreamdb_append(db, &desc, NULL, &data_error);
}

/* A layer that both sides went on with keeps its edge, however often each did. */
static void layers(void)
{
    for (int times = 1; times < 4; times++) {
        dreamdb *db = NULL, *side = NULL;
        dreamdb_merge_report report;
        dreamdb_snapshot *view = NULL;
        dreamdb_field field;
        dreamdb_layer layer;
        uint64_t n = 0;
        char tip[DREAMDB_ADDRESS_TEXT];
        data_open();
        data_fill(60, 0);
        db = data_make(&data_inner, DREAMDB_INDEX_LSH, 2, 20);
        memset(&field, 0, sizeof field); memset(&layer, 0, sizeof layer);
        field.name = "lay"; field.kind = DREAMDB_STRING; layer.parent = "m";
        CHECK(dreamdb_add_field(db, &field, &layer, &data_error) == DREAMDB_OK && layer_append(db, 1, "root") == DREAMDB_OK);
        CHECK(dreamdb_branch(db, NULL, "side", &data_error) == DREAMDB_OK);
        side = merge_open(&data_inner, "side");
        for (int i = 0; i < times; i++) {
            CHECK(layer_append(db, 100 + (uint64_t)i, "ours") == DREAMDB_OK && data_append(db, 20 + (size_t)i, 1, NULL) == DREAMDB_OK);
            CHECK(layer_append(side, 200 + (uint64_t)i, i % 2 ? "theirs" : "root") == DREAMDB_OK);
        }
        CHECK(merge_with(db, "side", 0, &report) == DREAMDB_OK && report.fused == 1 && report.taken == 0);
        if (!test_ok) { printf("%s\n", data_error.message); }
        CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
        CHECK(dreamdb_count(view, "lay", NULL, 0, 0, &n, NULL) == DREAMDB_OK && n == 1 + 2 * (uint64_t)times);
        dreamdb_snapshot_close(view);
        tip_text("main", tip);
        CHECK(layer_append(db, 300, "after") == DREAMDB_OK && layer_append(side, 301, "after") == DREAMDB_OK);
        CHECK(merge_with(db, "side", 0, &report) == DREAMDB_OK && report.fused == 1);
        tip_text("main", tip);
        dreamdb_close(db); dreamdb_close(side);
        data_close();
    }
}

/* ---- Two writers, and every step stopped ---- */
static void a_lost_race(void)
{
    dreamdb *db = NULL, *side = NULL, *late = NULL;
    dreamdb_merge_report report;
    data_open();
    data_fill(60, 0);
    diverged(&db, &side);
    late = merge_open(data_rival_open(50), "main");
    data_rival = db;
    CHECK(merge_with(late, "side", 0, &report) == DREAMDB_ERR_CONFLICT && data_count(db) == 35);
    CHECK(report.outcome == DREAMDB_MERGE_NOTHING && memcmp(report.manifest, report.ours, sizeof report.ours) == 0);
    CHECK(merge_with(late, "side", 0, &report) == DREAMDB_OK && data_count(db) == 45);
    data_rival = side;
    CHECK(merge_with(late, "side", 0, &report) == DREAMDB_OK && data_count(late) == 45);          /* the other side may move */
    dreamdb_close(db); dreamdb_close(side); dreamdb_close(late);
    data_close();
}

/* way 0: allocation n fails; 1: operation n fails; 2: it is done and its answer lost; 3: that one and all later ones fail.
   kind 0: union; 1: fast-forward; 2: the other side has a newer index; 3: both sides compacted a cell. */
static void stop_merge(int way, int kind)
{
    int forward = kind == 1;
    uint8_t manifest[DREAMDB_ADDRESS_SIZE];
    int good = 0, errors = 0;
    for (long n = 1; n < 8000 && good < 2; n += 1 + (way == 0 ? n / 8 : 0)) {
        char before[DREAMDB_ADDRESS_TEXT], after[DREAMDB_ADDRESS_TEXT];
        dreamdb *db = NULL, *side = NULL;
        data_open();
        diverged(&db, &side);
        const uint64_t gone = data_rows[3].anchor;
        dreamdb_delete_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.anchors = &gone; desc.anchor_count = 1;
        CHECK(dreamdb_delete(side, &desc, NULL, NULL) == DREAMDB_OK && dreamdb_delete(db, &desc, NULL, NULL) == DREAMDB_OK);
        if (forward) { CHECK(merge_with(side, "main", 0, NULL) == DREAMDB_OK); }
        if (kind == 2) { CHECK(train(side, 3) == DREAMDB_OK); }
        if (kind == 3) { CHECK(merge_compact(db, 0, manifest) && merge_compact(side, 0, manifest)); }
        dreamdb_close(db); dreamdb_close(side);
        tip_text("main", before);
        db = merge_open(&data_store, "main");
        data_arm(way, n);
        dreamdb_status status = merge_with(db, "side", forward, NULL);
        data_disarm(way, status);
        tip_text("main", after);
        CHECK(status == DREAMDB_OK ? strcmp(after, before) != 0 : way == 2 || strcmp(after, before) == 0);
        if (status < 0 && strcmp(after, before) == 0) { CHECK(merge_with(db, "side", forward, NULL) == DREAMDB_OK); }
        CHECK_EQ_U64(data_count(db), 39);
        CHECK(stored(db) == (kind == 2 ? 41 : 42) || kind == 3);          /* training leaves the deleted row out */
        errors += status < 0;
        good = status < 0 ? 0 : good + 1;
        dreamdb_close(db);
        data_close();
        if (!test_ok) { printf("way %d, n %ld: %d %s\n", way, n, (int)status, data_error.message); return; }
    }
    CHECK(good == 2 && errors > 2);
}

static void every_step_stopped(void)
{
    data_fill(60, 0);
    for (int way = 0; way < 4; way++) {
        for (int kind = 0; kind < 4; kind++) { stop_merge(way, kind); }
    }
}

/* 2 x 100 rows: how many rounds a store sees, also where the base is not the first state. */
static void waves(void)
{
    for (int later = 0; later < 2; later++) {
        dreamdb *db = NULL, *side = NULL;
        data_open();
        data_fill(300, 0);
        db = data_make(&data_store, DREAMDB_INDEX_LSH, 3, 60);
        CHECK(!later || data_append(db, 60, 40, NULL) == DREAMDB_OK);
        dreamdb_close(db);
        db = merge_open(&data_store, "main");
        CHECK(dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
        side = merge_open(&data_inner, "side");
        CHECK(data_append(db, 100, 100, NULL) == DREAMDB_OK && data_append(side, 200, 100, NULL) == DREAMDB_OK);
        data_plan.waves = 0;
        CHECK(merge_with(db, "side", 0, NULL) == DREAMDB_OK && data_count(side) == (later ? 200u : 160u));
        CHECK_EQ_U64(data_plan.waves, 6);    /* both Refs, their Manifest, Tracks, roots of four scalar trees, puts, our Ref */
        dreamdb_close(db); dreamdb_close(side);
        data_close();
    }
}

/* What a merge of 2 x 4 rows reads does not grow with the rows that both sides have; trees of two levels cost one wave more than roots. */
static void reads_follow_the_change(void)
{
    uint64_t gets[2] = { 0, 0 }, rounds[2] = { 0, 0 };
    for (int large = 0; large < 2; large++) {
        dreamdb *db = NULL, *side = NULL;
        size_t base = large ? 580 : 290;
        data_open();
        data_fill(DATA_MOST, 0);
        merge_long = 1;
        for (size_t i = 0; i < DATA_MOST; i++) { memcpy(data_rows[i].s, "s", 2); }
        dreamdb_config config = data_config(&data_inner);
        CHECK(data_create(&config, DREAMDB_INDEX_LSH, 3, &db) == DREAMDB_OK);
        CHECK(merge_append(db, 0, base, 0, NULL) == DREAMDB_OK && dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
        side = merge_open(&data_inner, "side");
        CHECK(merge_append(db, base, 4, 0, NULL) == DREAMDB_OK && merge_append(side, base + 2, 4, 0, NULL) == DREAMDB_OK);
        dreamdb_close(db);
        db = merge_open(&data_store, "main");
        data_plan.gets = data_plan.waves = 0;
        CHECK(merge_with(db, "side", 0, NULL) == DREAMDB_OK);
        gets[large] = data_plan.gets;
        rounds[large] = data_plan.waves;
        memset(merge_models, 0, sizeof *merge_models);
        memset(merge_models[0].has, 1, base + 6);
        merge_check("main", merge_models);
        dreamdb_close(db); dreamdb_close(side);
        merge_long = 0;
        data_close();
    }
    CHECK(gets[1] <= gets[0] + 6 && rounds[1] == rounds[0] && rounds[1] <= 9);
    if (!test_ok) { printf("gets %u, %u; waves %u, %u\n", (unsigned)gets[0], (unsigned)gets[1], (unsigned)rounds[0], (unsigned)rounds[1]); }
}

static ddb_addr items_of(dreamdb *db)
{
    dreamdb_snapshot *view = NULL;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    ddb_addr address = ddb_view_find(view, ddb_bytes_text("m"))->binding->address;
    dreamdb_snapshot_close(view);
    return address;
}

/* Both sides cut the last page of the items at the same place, so that they share a page which the base has not: theirs still go into our
   tree as an append puts them, and the tree is not built anew. */
static void one_page_cut_twice(void)
{
    for (size_t base = 340; base <= 460; base += 60) {
        dreamdb *db = NULL, *side = NULL, *model = NULL;
        data_open();
        data_fill(DATA_MOST, 0);
        dreamdb_config config = data_config(&data_inner);
        CHECK(data_create(&config, DREAMDB_INDEX_LSH, 3, &db) == DREAMDB_OK);
        CHECK(merge_append(db, 0, base, 1, NULL) == DREAMDB_OK && dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK);
        side = merge_open(&data_inner, "side");
        CHECK(merge_append(db, base, 70, 1, NULL) == DREAMDB_OK && merge_append(side, base + 70, 70, 1, NULL) == DREAMDB_OK);
        CHECK(dreamdb_branch(db, NULL, "model", NULL) == DREAMDB_OK);
        model = merge_open(&data_inner, "model");
        CHECK(merge_append(model, base + 70, 70, 1, NULL) == DREAMDB_OK && merge_with(db, "side", 0, NULL) == DREAMDB_OK);
        const ddb_addr merged = items_of(db), wanted = items_of(model);
        CHECK(ddb_addr_equal(&merged, &wanted) && data_count(db) == base + 140);
        dreamdb_close(db); dreamdb_close(side); dreamdb_close(model);
        data_close();
    }
}

int main(void)
{
    RUN(outcomes_and_arguments);
    RUN(random_histories);
    RUN(conflicts);
    RUN(one_sided);
    RUN(descendants);
    RUN(compacted_twice);
    RUN(far_behind);
    RUN(both_trained);
    RUN(two_tables);
    RUN(bases_of_two_indexes);
    RUN(compacted_away);
    RUN(folded_tombs);
    RUN(head_over_heads);
    RUN(lagging_tombs);
    RUN(layers);
    RUN(a_lost_race);
    RUN(every_step_stopped);
    RUN(waves);
    RUN(reads_follow_the_change);
    RUN(one_page_cut_twice);
    data_unused();
    return test_end("merge");
}
