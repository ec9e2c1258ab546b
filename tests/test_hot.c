/* test_hot.c - rooms hot and fold: the bytes of shards and each way to break them; random hot and cold appends, flushes, deletions and
   searches beside plain arrays; when a shard is folded; what is refused; two writers; each allocation and each storage operation failing. */
#include "dataset.h"

enum { HOT_DIM = 4, HOT_MOST = 900 };
typedef struct hot_row { uint64_t anchor; float v[HOT_DIM]; int64_t n; char c[4]; bool has_v, has_n, gone; } hot_row;   /* c "": none */
static hot_row rows[HOT_MOST];
static size_t row_count;
static int identical, page_early;

static dreamdb_config hot_config(const dreamdb_store *on)
{
    dreamdb_config config = data_config(on);
    config.identical = identical;
    return config;
}

static dreamdb *hot_make(const dreamdb_store *on, dreamdb_index_kind index, dreamdb_compressor compressor)
{
    static const uint8_t nonce[16];
    static float sample[40 * HOT_DIM];
    dreamdb_config config = hot_config(on);
    dreamdb_field fields[4];
    dreamdb_create_desc desc;
    dreamdb *db = NULL;
    memset(fields, 0, sizeof fields); memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < 40 * HOT_DIM; i++) { sample[i] = test_randf(); }
    fields[0].name = "c"; fields[0].kind = DREAMDB_CATEGORICAL;
    fields[1].name = "e"; fields[1].kind = DREAMDB_EMBEDDING; fields[1].dim = HOT_DIM; fields[1].index = index; fields[1].bits = 3;
    fields[1].compressor = compressor; fields[1].rerank = compressor != DREAMDB_COMPRESSOR_NONE;
    if (index == DREAMDB_INDEX_IVF) { fields[1].train = sample; fields[1].train_count = 40; fields[1].k = 4; fields[1].bits = 0; }
    fields[2].name = "n"; fields[2].kind = DREAMDB_INT;
    fields[3].name = "m"; fields[3].kind = DREAMDB_IMAGE;
    desc.fields = fields; desc.field_count = 4; desc.nonce = nonce;
    row_count = 0;
    CHECK(dreamdb_create(&config, "main", &desc, &db, &data_error) == DREAMDB_OK);
    if (!db) { printf("%s\n", data_error.message); exit(1); }
    return db;
}

/* So many new rows; anchors go on above all others, now and then a gap. */
static void hot_rows(size_t count)
{
    static const char words[4][4] = { "", "ant", "bee", "cat" };
    for (size_t i = 0; i < count && row_count < HOT_MOST; i++, row_count++) {
        hot_row *row = rows + row_count;
        memset(row, 0, sizeof *row);
        row->anchor = (row_count > 0 ? rows[row_count - 1].anchor : 5) + 1 + test_rand() % 9;
        for (size_t d = 0; d < HOT_DIM; d++) { row->v[d] = test_randf(); }
        row->has_v = true;
        row->has_n = test_rand() % 4 > 0;
        row->n = (int64_t)(test_rand() % 9) - 4;
        memcpy(row->c, words[test_rand() % 4], 4);
    }
}

/* Appends rows [first, first + count), in reverse order. */
static dreamdb_status hot_append(dreamdb *db, size_t first, size_t count, bool hot, uint64_t items, dreamdb_append_report *report)
{
    static uint64_t anchors[HOT_MOST];
    static float v[HOT_MOST][HOT_DIM];
    static int64_t n[HOT_MOST];
    static dreamdb_slice c[HOT_MOST];
    static uint8_t has_v[HOT_MOST], has_n[HOT_MOST], has_c[HOT_MOST];
    dreamdb_column columns[3];
    dreamdb_append_desc desc;
    memset(columns, 0, sizeof columns); memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) {
        const hot_row *row = rows + first + count - 1 - i;
        anchors[i] = row->anchor; memcpy(v[i], row->v, sizeof v[i]); n[i] = row->n;
        c[i].data = row->c; c[i].size = strlen(row->c);
        has_v[i] = row->has_v; has_n[i] = row->has_n; has_c[i] = row->c[0] != 0;
    }
    columns[0].field = "e"; columns[0].data = v; columns[0].present = has_v;
    columns[1].field = "n"; columns[1].data = n; columns[1].present = has_n;
    columns[2].field = "c"; columns[2].values = c; columns[2].present = has_c;
    desc.columns = columns; desc.column_count = 3; desc.anchors = anchors; desc.count = count;
    desc.hot = hot; desc.hot_items = items; desc.page_early = page_early;
    return dreamdb_append(db, &desc, report, &data_error);
}

/* ---- The model: every read of a view against the arrays ---- */
static const hot_row *row_of(uint64_t anchor)
{
    for (size_t i = 0; i < row_count; i++) { if (rows[i].anchor == anchor) { return rows + i; } }
    return NULL;
}

static void check_scan(dreamdb_snapshot *view, size_t live)
{
    static const char *const names[] = { "c", "e", "n" };
    dreamdb_scan scan;
    dreamdb_cursor *cursor = NULL;
    dreamdb_row got;
    size_t count = 0;
    memset(&scan, 0, sizeof scan);
    scan.fields = names; scan.field_count = 3;
    CHECK(dreamdb_scan_open(view, &scan, &cursor, &data_error) == DREAMDB_OK);
    for (; cursor && dreamdb_cursor_next(cursor, &got, &data_error) == DREAMDB_OK; count++) {
        const hot_row *row = row_of(got.anchor);
        CHECK(row && !row->gone);
        if (!row) { break; }
        CHECK(got.values[0].present == (row->c[0] != 0) && got.values[1].present == row->has_v && got.values[2].present == row->has_n);
        CHECK(!row->c[0] || (got.values[0].size == strlen(row->c) && memcmp(got.values[0].data, row->c, strlen(row->c)) == 0));
        CHECK(!row->has_n || got.values[2].integer == row->n);
        CHECK(!row->has_v || view->fields[1].registry.has_compressor || memcmp(got.values[1].data, row->v, sizeof row->v) == 0);
    }
    CHECK_EQ_U64(count, live);
    dreamdb_cursor_close(cursor);
}

static void check_search(dreamdb_snapshot *view, size_t vectors)
{
    dreamdb_query query;
    dreamdb_result *found = NULL;
    const hot_row *want = row_count > 0 ? rows + test_rand() % row_count : NULL;
    memset(&query, 0, sizeof query);
    if (!want || !want->has_v) { return; }
    query.field = "e"; query.vectors = want->v; query.top_k = HOT_MOST; query.exact = 1;
    CHECK(dreamdb_search(view, &query, &found, &data_error) == DREAMDB_OK);
    CHECK_EQ_U64(found ? found->count : 0, vectors);
    CHECK(!found || want->gone || (found->count > 0 && found->hits[0].anchor == want->anchor));
    for (size_t i = 0; found && i < found->count; i++) { CHECK(row_of(found->hits[i].anchor) && !row_of(found->hits[i].anchor)->gone); }
    dreamdb_result_free(found);
    found = NULL;
    query.exact = 0; query.nprobe = 2; query.top_k = 1;                /* the cell of the vector itself comes first */
    CHECK(dreamdb_search(view, &query, &found, &data_error) == DREAMDB_OK);
    CHECK(!found || want->gone || view->fields[1].registry.has_compressor                            /* codes may lose it */
          || (found->count == 1 && found->hits[0].anchor == want->anchor));
    dreamdb_result_free(found);
}

static void check_view(dreamdb *db, bool whole)
{
    dreamdb_snapshot *view = NULL;
    size_t live = 0, vectors = 0, numbers = 0, bees = 0, count = 0;
    uint64_t n = 0, *anchors = NULL;
    static const dreamdb_operand bee = { 0, 0, { "bee", 3 } };
    static const dreamdb_where where = { DREAMDB_EQ, "c", &bee, 1, NULL, 0 };
    dreamdb_verify_report report;
    for (size_t i = 0; i < row_count; i++) {
        bool here = !rows[i].gone;
        live += here && (rows[i].has_v || rows[i].has_n || rows[i].c[0]);
        vectors += here && rows[i].has_v; numbers += here && rows[i].has_n; bees += here && strcmp(rows[i].c, "bee") == 0;
    }
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &data_error) == DREAMDB_OK);
    if (!view) { return; }
    if (test_rand() % 2) { check_search(view, vectors); }              /* now and then before, now and then after the rest */
    CHECK(dreamdb_count(view, NULL, NULL, 0, 0, &n, &data_error) == DREAMDB_OK && n == live);
    CHECK(dreamdb_count(view, "n", NULL, 0, 0, &n, &data_error) == DREAMDB_OK && n == numbers);
    CHECK(dreamdb_count_estimate(view, "e", &n, &data_error) == DREAMDB_OK && n >= vectors);
    CHECK(dreamdb_select(view, &where, &anchors, &count, &data_error) == DREAMDB_OK && count == bees);
    dreamdb_anchors_free(view, anchors, count);
    check_scan(view, live);
    check_search(view, vectors);
    if (whole) { CHECK(dreamdb_verify(view, 3, NULL, NULL, &report, &data_error) == DREAMDB_OK && report.faults == 0); }
    dreamdb_snapshot_close(view);
}

/* Rows that wait, of all fields; waiting[3]: of c, e, n. */
static uint64_t hot_waiting(dreamdb *db, uint64_t *waiting)
{
    dreamdb_snapshot *view = NULL;
    const dreamdb_stats *stats = NULL;
    uint64_t all = 0;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &data_error) == DREAMDB_OK && dreamdb_snapshot_stats(view, &stats, &data_error) == DREAMDB_OK);
    for (size_t i = 0; stats && i < stats->field_count; i++) {
        all += stats->fields[i].hot;
        size_t at = stats->fields[i].field[0] == 'c' ? 0 : stats->fields[i].field[0] == 'e' ? 1 : 2;
        if (waiting && stats->fields[i].field[0] != 'm') { waiting[at] = stats->fields[i].hot; }
    }
    dreamdb_snapshot_close(view);
    return all;
}

static dreamdb_status cold_step(dreamdb *db)
{
    size_t first = row_count;
    hot_rows(1 + test_rand() % 6);
    uint64_t waiting[3] = { 0, 0, 0 };
    (void)hot_waiting(db, waiting);
    bool words = false, numbers = false;
    for (size_t i = first; i < row_count; i++) { words = words || rows[i].c[0]; numbers = numbers || rows[i].has_n; }
    bool refused = identical ? waiting[0] + waiting[2] > 0 : (words && waiting[0] > 0) || (numbers && waiting[2] > 0);
    dreamdb_status status = hot_append(db, first, row_count - first, false, 0, NULL);
    CHECK(status == (refused ? DREAMDB_ERR_UNSUPPORTED : DREAMDB_OK) && (!refused || strstr(data_error.message, "flush-hot first")));
    row_count = status == DREAMDB_OK ? row_count : first;
    return status;
}

static void random_walk(void)
{
    for (int turn = 0; turn < 8 && test_ok; turn++) {
        identical = turn % 2; page_early = turn / 2 % 2;
        data_open();
        dreamdb *db = hot_make(&data_store, turn % 3 ? DREAMDB_INDEX_IVF : DREAMDB_INDEX_LSH, turn == 5 ? DREAMDB_COMPRESSOR_RABITQ
                               : DREAMDB_COMPRESSOR_NONE);
        for (int step = 0; step < 40 && test_ok; step++) {
            size_t first = row_count, roll = (size_t)(test_rand() % 20);
            uint64_t waiting = hot_waiting(db, NULL);
            if (roll < 12) {
                hot_rows(1 + test_rand() % 12);
                for (size_t i = first; i < row_count; i++) { rows[i].has_v = test_rand() % 5 > 0; }
                CHECK(hot_append(db, first, row_count - first, true, roll == 0 ? 20 : 0, NULL) == DREAMDB_OK);
            } else if (roll < 14) {
                dreamdb_flush_report report;
                CHECK(dreamdb_flush_hot(db, &report, &data_error) == DREAMDB_OK && report.rows == waiting && (report.objects > 0) == (waiting > 0));
                CHECK_EQ_U64(hot_waiting(db, NULL), 0);
            } else if (roll < 16) {
                (void)cold_step(db);
            } else if (roll < 18 && row_count > 0) {
                dreamdb_delete_desc desc;
                memset(&desc, 0, sizeof desc);
                hot_row *row = rows + test_rand() % row_count;
                desc.anchors = &row->anchor; desc.anchor_count = 1;
                row->gone = true;
                CHECK(dreamdb_delete(db, &desc, NULL, &data_error) == DREAMDB_OK);
            } else {
                dreamdb_config config = hot_config(&data_store);
                dreamdb_close(db);
                db = NULL;
                CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_OK);
            }
            check_view(db, step % 8 == 7);
        }
        dreamdb_close(db);
        data_close();
    }
    identical = page_early = 0;
}

/* ---- When a shard is folded ---- */
static uint64_t folds(dreamdb *db, size_t count, uint64_t items, uint64_t seconds, uint64_t bytes)
{
    static float v[HOT_MOST][HOT_DIM];
    static uint64_t anchors[HOT_MOST];
    dreamdb_column column;
    dreamdb_append_desc desc;
    dreamdb_append_report report;
    size_t first = row_count;
    memset(&column, 0, sizeof column); memset(&desc, 0, sizeof desc);
    hot_rows(count);
    for (size_t i = 0; i < count; i++) { rows[first + i].has_n = false; rows[first + i].c[0] = 0; }
    for (size_t i = 0; i < count; i++) { memcpy(v[i], rows[first + i].v, sizeof v[i]); anchors[i] = rows[first + i].anchor; }
    column.field = "e"; column.data = v;
    desc.columns = &column; desc.column_count = 1; desc.count = count; desc.anchors = anchors; desc.hot = 1;
    desc.hot_items = items; desc.hot_seconds = seconds; desc.hot_bytes = bytes;
    CHECK(dreamdb_append(db, &desc, &report, &data_error) == DREAMDB_OK);
    return report.folded;
}

static void folds_when_due(void)
{
    data_open();
    dreamdb *db = hot_make(&data_store, DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_NONE);
    CHECK(folds(db, 4, 6, 0, 0) == 0 && folds(db, 1, 6, 0, 0) == 0 && folds(db, 1, 6, 0, 0) == 1);           /* count */
    CHECK_EQ_U64(hot_waiting(db, NULL), 0);
    CHECK(folds(db, 3, 3, 0, 0) == 1 && folds(db, 3, 0, 0, 0) == 0);
    data_clock += UINT64_C(29) * 1000000000;
    CHECK(folds(db, 1, 0, 0, 0) == 0);
    data_clock += UINT64_C(1) * 1000000000;
    CHECK(folds(db, 1, 0, 0, 0) == 1 && folds(db, 1, 0, 5, 0) == 0);                                         /* age: 30 s, then 5 */
    data_clock += UINT64_C(6) * 1000000000;
    CHECK(folds(db, 1, 0, 5, 0) == 1);
    data_clock -= UINT64_C(60) * 1000000000;                                                                 /* a clock that was set back */
    CHECK(folds(db, 1, 0, 0, 0) == 0 && folds(db, 9, 0, 0, 300) == 1);                                       /* bytes */
    CHECK(folds(db, 1, 0, 0, 300) == 0);
    ddb_fold_policy policy = { 0, 1000, 1000, 0, false };
    ddb_hot_shard shard;
    memset(&shard, 0, sizeof shard);
    CHECK(!ddb_fold_due(&policy, &shard, 1048575, 100) && ddb_fold_due(&policy, &shard, 1048576, 100));
    CHECK(!ddb_fold_due(&policy, &shard, 3199999, 200000) && ddb_fold_due(&policy, &shard, 3200000, 200000));
    policy.identical = true;
    CHECK(!ddb_fold_due(&policy, &shard, UINT64_C(1) << 40, 100));
    check_view(db, true);
    dreamdb_close(db);
    data_close();
}

/* ---- What is refused ---- */
static dreamdb_status one_column(dreamdb *db, const char *field, const void *data, const dreamdb_slice *values, const uint64_t *anchors, size_t count,
                                 int layer)
{
    dreamdb_column column;
    dreamdb_append_desc desc;
    memset(&column, 0, sizeof column); memset(&desc, 0, sizeof desc);
    column.field = field; column.data = data; column.values = values;
    desc.columns = &column; desc.column_count = 1; desc.count = count; desc.anchors = anchors; desc.hot = 1; desc.into_layer = layer;
    return dreamdb_append(db, &desc, NULL, &data_error);
}

static int conflicts;
static int hot_conflict(void *user, const dreamdb_merge_conflict *conflict)
{
    (void)user;
    conflicts += strcmp(conflict->field, "n") == 0 && strstr(conflict->why, "hot shard") != NULL;
    return 0;
}

static void refusals(void)
{
    dreamdb *side = NULL;
    static const float zero[2][HOT_DIM] = { { 1, 0, 0, 0 }, { 0, 0, 0, 0 } };
    static const int64_t n[2] = { 1, 2 };
    static const dreamdb_slice picture[1] = { { "x", 1 } };
    uint64_t same[2] = { 900, 900 }, low[2] = { 1, 2 }, high[2] = { 9000, 9001 }, top[1] = { UINT64_MAX };
    dreamdb_train_desc train;
    dreamdb_merge_desc merge;
    dreamdb_snapshot *view = NULL;
    uint64_t last = 0;
    data_open();
    dreamdb *db = hot_make(&data_store, DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_NONE);
    hot_rows(20);
    CHECK(hot_append(db, 0, 20, false, 0, NULL) == DREAMDB_OK && dreamdb_branch(db, NULL, "side", &data_error) == DREAMDB_OK);
    CHECK(one_column(db, "e", zero, NULL, high, 2, 0) == DREAMDB_ERR_ARGUMENT && strstr(data_error.message, "`e`") && strstr(data_error.message, "row 1"));
    CHECK(one_column(db, "n", n, NULL, low, 2, 0) == DREAMDB_ERR_ARGUMENT && strstr(data_error.message, "above the Track"));
    CHECK(one_column(db, "n", n, NULL, same, 2, 0) == DREAMDB_ERR_ARGUMENT && strstr(data_error.message, "another value"));
    CHECK(one_column(db, "n", n, NULL, top, 1, 0) == DREAMDB_ERR_ARGUMENT);
    CHECK(one_column(db, "m", NULL, picture, high, 1, 0) == DREAMDB_ERR_ARGUMENT && strstr(data_error.message, "`m`"));
    CHECK(one_column(db, "n", n, NULL, high, 2, 1) == DREAMDB_ERR_ARGUMENT && strstr(data_error.message, "into_layer"));
    CHECK_EQ_U64(hot_waiting(db, NULL), 0);
    CHECK(one_column(db, "n", n, NULL, high, 2, 0) == DREAMDB_OK && one_column(db, "n", n, NULL, high, 2, 0) == DREAMDB_OK);   /* the same again */
    CHECK(one_column(db, "n", n + 1, NULL, high, 1, 0) == DREAMDB_ERR_ARGUMENT && strstr(data_error.message, "9000"));
    CHECK(one_column(db, "e", zero, NULL, low, 1, 0) == DREAMDB_OK);                            /* vectors may lie anywhere */
    CHECK_EQ_U64(hot_waiting(db, NULL), 3);
    memset(&train, 0, sizeof train); memset(&merge, 0, sizeof merge);
    train.field = "e";
    CHECK(dreamdb_train(db, &train, &data_error) == DREAMDB_ERR_UNSUPPORTED && strstr(data_error.message, "flush-hot first"));
    merge.other = "side"; merge.conflict = hot_conflict;
    dreamdb_config config = hot_config(&data_store);
    CHECK(dreamdb_open(&config, "side", &side, &data_error) == DREAMDB_OK && one_column(side, "c", NULL, picture, high, 1, 0) == DREAMDB_OK);
    CHECK(dreamdb_merge(db, &merge, NULL, &data_error) == DREAMDB_OK);                          /* each side waits with other fields: both go on waiting */
    CHECK_EQ_U64(hot_waiting(db, NULL), 4);
    CHECK(one_column(side, "n", n, NULL, high + 1, 1, 0) == DREAMDB_OK);
    CHECK(dreamdb_merge(db, &merge, NULL, &data_error) == DREAMDB_ERR_DIVERGED && conflicts == 1);
    dreamdb_close(side);
    data_clock = 0;                                                                              /* drawn anchors go above what waits */
    CHECK(one_column(db, "e", zero, NULL, NULL, 1, 0) == DREAMDB_OK && one_column(db, "n", n, NULL, NULL, 2, 0) == DREAMDB_OK);
    CHECK(dreamdb_flush_hot(db, NULL, &data_error) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, &data_error) == DREAMDB_OK);
    CHECK(dreamdb_count(view, NULL, NULL, 9002, 0, &last, &data_error) == DREAMDB_OK && last == 3);
    dreamdb_snapshot_close(view);
    CHECK(dreamdb_train(db, &train, &data_error) == DREAMDB_OK);
    dreamdb_close(db);
    data_close();
}

/* A verb that moves a Track without knowing of its shard must not come through: what it read of it is nowhere. */
static void unknowing_verbs(void)
{
    ddb_write write;
    dreamdb_snapshot *view = NULL;
    uint64_t n = 0;
    data_open();
    dreamdb *db = hot_make(&data_store, DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_NONE);
    hot_rows(10);
    CHECK(hot_append(db, 0, 10, true, 0, NULL) == DREAMDB_OK);
    for (size_t f = 0; f < 3; f++) {
        ddb_ctx *ctx = test_ctx();
        ddb_addr address;
        CHECK(ddb_write_open(ctx, db, true, &write) == DREAMDB_OK);
        ddb_view_field *field = ddb_view_find(write.view, ddb_bytes_text(f == 0 ? "c" : f == 1 ? "e" : "n"));
        CHECK(field && ddb_view_need(ctx, write.view, &field, 1, DDB_VIEW_TRACK) == DREAMDB_OK && field->folded);
        CHECK(ddb_track_put(ctx, write.puts, &write.arena, &field->track, &address) == DREAMDB_OK);
        CHECK(ddb_manifest_advance(ctx, &write.arena, &write.manifest, field->schema->name, &address, field->track.t_min, field->track.t_max,
                                   false) == DREAMDB_OK);
        CHECK(ddb_write_publish(ctx, &write, "unknowing") == DREAMDB_ERR_UNSUPPORTED && strstr(test_error.message, "flush-hot first"));
        ddb_write_close(ctx, &write);
    }
    CHECK(dreamdb_set_meta(db, "dreamdb.note", "x", &data_error) == DREAMDB_OK);                 /* other writes go on */
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &data_error) == DREAMDB_OK);
    CHECK(dreamdb_count(view, NULL, NULL, 0, 0, &n, &data_error) == DREAMDB_OK && n == 10);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

/* Compaction folds what waits first; a shard that another writer begins right after is left alone, with its field. */
static dreamdb *rival;
static int rival_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    static const int64_t n[1] = { 3 };
    static const uint64_t anchor[1] = { 5000 };
    int status = data_inner.put(user, path, data, size, condition);
    dreamdb *now = rival;
    rival = NULL;
    if (now && strncmp(path, "refs/", 5) == 0) { CHECK(one_column(now, "n", n, NULL, anchor, 1, 0) == DREAMDB_OK); } else { rival = now; }
    return status;
}

static void compaction(void)
{
    for (int way = 0; way < 3; way++) {             /* all fields; one that waits; all, and a rival */
        dreamdb_compact_desc desc;
        dreamdb_compact_report report;
        dreamdb *db = NULL, *other = NULL;
        data_open();
        dreamdb_close(hot_make(&data_inner, DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_NONE));
        dreamdb_store store = data_inner;
        store.batch = NULL; store.put = rival_put;
        dreamdb_config config = hot_config(&store);
        hot_rows(40);
        CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_OK);
        for (size_t i = 0; i < 4; i++) { CHECK(hot_append(db, i * 5, 5, false, 0, NULL) == DREAMDB_OK); }
        CHECK(hot_append(db, 20, 20, true, 0, NULL) == DREAMDB_OK && hot_waiting(db, NULL) > 0);
        memset(&desc, 0, sizeof desc); memset(&report, 0, sizeof report);
        desc.field = way == 1 ? "n" : NULL;
        db->env->identical = true;
        CHECK(dreamdb_compact(db, &desc, &report, &data_error) == DREAMDB_ERR_UNSUPPORTED && strstr(data_error.message, "flush-hot first"));
        db->env->identical = false;
        if (way == 2) {
            dreamdb_config plain = hot_config(&data_inner);
            CHECK(dreamdb_open(&plain, "main", &other, &data_error) == DREAMDB_OK);
            rival = other;
        }
        CHECK(dreamdb_compact(db, &desc, &report, &data_error) == DREAMDB_OK && report.flushed >= 3 && report.cells > 0);
        if (!test_ok) { printf("way %d: %s\n", way, data_error.message); }
        CHECK(report.waiting == (way == 2) && hot_waiting(db, NULL) == (way == 2) && !rival);
        if (way < 2) { check_view(db, true); }
        CHECK(dreamdb_compact(db, &desc, &report, &data_error) == DREAMDB_OK && report.waiting == 0 && report.flushed == (way == 2));
        dreamdb_close(other); dreamdb_close(db);
        data_close();
    }
}

/* Every allocation and storage operation of a compaction that folds first fails once. */
static void compaction_faults(void)
{
    for (int way = 0; way < 4 && test_ok; way++) {
        bool all = false;
        for (long n = 1; !all && test_ok; n += way == 0 ? 5 : 1) {
            dreamdb *db = NULL, *after = NULL;
            dreamdb_compact_desc desc;
            memset(&desc, 0, sizeof desc);
            test_state = 88172645463325252u;
            data_open();
            dreamdb_close(hot_make(&data_inner, DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_NONE));
            dreamdb_config config = hot_config(&data_store), plain = hot_config(&data_inner);
            hot_rows(20);
            CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_OK);
            CHECK(hot_append(db, 0, 6, false, 0, NULL) == DREAMDB_OK && hot_append(db, 6, 6, false, 0, NULL) == DREAMDB_OK);
            CHECK(hot_append(db, 12, 8, true, 0, NULL) == DREAMDB_OK && hot_waiting(db, NULL) > 0);
            memset(&data_error, 0, sizeof data_error);
            data_arm(way, n);
            dreamdb_status status = dreamdb_compact(db, &desc, NULL, &data_error);
            all = way == 0 ? test_allocs < n : data_plan.operations < (uint64_t)n;
            data_disarm(way, status);
            CHECK(!all || status == DREAMDB_OK);
            dreamdb_close(db);
            CHECK(dreamdb_open(&plain, "main", &after, &data_error) == DREAMDB_OK);
            check_view(after, true);
            dreamdb_close(after);
            data_close();
        }
    }
}

/* Old states keep their shards; a label too. */
static void time_travel(void)
{
    static const uint64_t want[] = { 0, 10, 15, 15, 18 };
    data_open();
    dreamdb *db = hot_make(&data_store, DREAMDB_INDEX_LSH, DREAMDB_COMPRESSOR_NONE);
    hot_rows(18);
    CHECK(hot_append(db, 0, 10, true, 0, NULL) == DREAMDB_OK && hot_append(db, 10, 5, true, 0, NULL) == DREAMDB_OK);
    CHECK(dreamdb_keep(db, "wait", &data_error) == DREAMDB_OK);
    CHECK(dreamdb_flush_hot(db, NULL, &data_error) == DREAMDB_OK && hot_append(db, 15, 3, true, 0, NULL) == DREAMDB_OK);
    for (int back = 0; back < 5; back++) {
        char state[16];
        uint64_t n = 99;
        dreamdb_snapshot *view = NULL;
        (void)snprintf(state, sizeof state, "~%d", back);
        CHECK(dreamdb_snapshot_open(db, state, &view, &data_error) == DREAMDB_OK);
        CHECK(dreamdb_count(view, "e", NULL, 0, 0, &n, &data_error) == DREAMDB_OK);
        CHECK_EQ_U64(n, want[4 - back]);
        dreamdb_snapshot_close(view);
    }
    dreamdb_close(db);
    data_close();
}

/* One side folds, or goes on beside, what waited on both. */
static void merges(void)
{
    for (int way = 0; way < 4; way++) {
        dreamdb *side = NULL;
        dreamdb_merge_desc merge;
        memset(&merge, 0, sizeof merge);
        data_open();
        dreamdb *db = hot_make(&data_store, DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_NONE);
        dreamdb_config config = hot_config(&data_store);
        hot_rows(20);
        CHECK(hot_append(db, 0, 6, false, 0, NULL) == DREAMDB_OK && hot_append(db, 6, 6, true, 0, NULL) == DREAMDB_OK);
        CHECK(dreamdb_branch(db, NULL, "side", &data_error) == DREAMDB_OK && dreamdb_open(&config, "side", &side, &data_error) == DREAMDB_OK);
        if (way == 0) { CHECK(dreamdb_flush_hot(side, NULL, &data_error) == DREAMDB_OK); }
        if (way > 0) { for (size_t i = 12; i < 20; i++) { rows[i].has_n = false; rows[i].c[0] = 0; } }     /* vectors alone */
        if (way > 0) { CHECK(hot_append(side, 12, 8, way > 1, 0, NULL) == DREAMDB_OK); }
        if (way == 0) { row_count = 12; }
        if (way == 3) { CHECK(dreamdb_set_meta(db, "dreamdb.note", "x", &data_error) == DREAMDB_OK); }
        merge.other = "side";
        CHECK(dreamdb_merge(db, &merge, NULL, &data_error) == DREAMDB_OK);
        check_view(db, true);
        CHECK((hot_waiting(db, NULL) == 0) == (way == 0));
        CHECK(dreamdb_flush_hot(db, NULL, &data_error) == DREAMDB_OK);
        check_view(db, true);
        dreamdb_close(side);
        dreamdb_close(db);
        data_close();
    }
}

static void two_writers(void)
{
    data_open();
    dreamdb *a = hot_make(&data_inner, DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_NONE), *b = NULL;
    dreamdb_config config = hot_config(&data_inner);
    CHECK(dreamdb_open(&config, "main", &b, &data_error) == DREAMDB_OK);
    for (int step = 0; step < 12; step++) {
        size_t first = row_count;
        ddb_ctx *ctx = test_ctx();
        ddb_write write;
        hot_rows(4);
        CHECK(ddb_write_open(ctx, a, true, &write) == DREAMDB_OK);                               /* a has looked at the tip */
        write.cold = true;
        CHECK(hot_append(b, first, 2, true, step % 3 == 2 ? 5 : 0, NULL) == DREAMDB_OK);
        ddb_view_field *field = ddb_view_find(write.view, ddb_bytes_text("e"));
        CHECK(ddb_view_need(ctx, write.view, &field, 1, DDB_VIEW_COLD | DDB_VIEW_INDEX) == DREAMDB_OK);
        if (field->has_hot) {
            CHECK(ddb_fold_field(ctx, &write, field, &field->hot) == DREAMDB_OK);
        } else {
            CHECK(ddb_manifest_set_meta(ctx, &write.arena, &write.manifest, ddb_bytes_text("dreamdb.x"), ddb_bytes_text("y")) == DREAMDB_OK);
        }
        CHECK(ddb_write_publish(ctx, &write, "flush_hot") == DREAMDB_ERR_CONFLICT);              /* and comes too late */
        ddb_write_close(ctx, &write);
        CHECK(hot_append(a, first + 2, 2, true, 0, NULL) == DREAMDB_OK);
        check_view(step % 2 ? a : b, false);
    }
    dreamdb_close(a);
    dreamdb_close(b);
    data_close();
}

/* ---- Bytes ---- */
static void broken_bytes(void)
{
    static const dreamdb_kind kinds[] = { DREAMDB_EMBEDDING, DREAMDB_INT, DREAMDB_FLOAT, DREAMDB_BOOL, DREAMDB_STRING, DREAMDB_CATEGORICAL,
        DREAMDB_TIMESTAMP };
    static const size_t sizes[] = { 8, 8, 8, 1, 5, 0, 8 };
    static const uint8_t value[8] = { 1, 0, 0, 0, 0, 0, 0, 0 };
    for (size_t k = 0; k < 7; k++) {
        ddb_ctx *ctx = test_ctx();
        ddb_arena arena = { NULL, 0 };
        ddb_field field;
        ddb_hot_item items[3];
        ddb_hot_shard shard, back;
        ddb_buf buf, again;
        size_t refused = 0, tried = 0;
        memset(&field, 0, sizeof field); memset(&shard, 0, sizeof shard);
        field.kind = kinds[k]; field.dim = 2;
        for (size_t i = 0; i < 3; i++) { items[i].anchor = i * 1000 + 7; items[i].value = ddb_bytes_slice(value, sizes[k]); }
        shard.items = items; shard.count = 3; shard.published_at = UINT64_C(1700000000000000000); shard.flush_threshold = 10000; shard.ttl_seconds = 30;
        shard.parent.bytes[0] = DDB_ADDR_TAG;
        ddb_bytes_init(&buf, ctx); ddb_bytes_init(&again, ctx);
        CHECK(ddb_hot_encode(&buf, field.kind, &shard) == DREAMDB_OK);
        CHECK(ddb_hot_decode(ctx, &arena, &field, ddb_bytes_of(&buf), "x", &back) == DREAMDB_OK && back.count == 3 && back.items[2].anchor == 2007);
        CHECK(ddb_hot_encode(&again, field.kind, &back) == DREAMDB_OK && again.size == buf.size && memcmp(again.data, buf.data, buf.size) == 0);
        for (size_t at = 0; at < buf.size; at++) {
            uint8_t *copy = (uint8_t *)malloc(buf.size);                  /* exact sizes: asan sees a step too far */
            if (!copy) { exit(1); }
            for (int bit = 0; bit < 8; bit++, tried++) {
                memcpy(copy, buf.data, buf.size);
                copy[at] = (uint8_t)(copy[at] ^ 1 << bit);
                dreamdb_status status = ddb_hot_decode(ctx, &arena, &field, ddb_bytes_slice(copy, buf.size), "x", &back);
                refused += status == DREAMDB_ERR_CORRUPT;
                if (status == DREAMDB_OK) {                               /* then it is another whole shard */
                    ddb_bytes_clear(&again);
                    CHECK(ddb_hot_encode(&again, field.kind, &back) == DREAMDB_OK && again.size == buf.size && memcmp(again.data, copy, buf.size) == 0);
                }
            }
            free(copy);
            copy = (uint8_t *)malloc(at + 1);
            if (!copy) { exit(1); }
            memcpy(copy, buf.data, at);
            CHECK(ddb_hot_decode(ctx, &arena, &field, ddb_bytes_slice(copy, at), "x", &back) == DREAMDB_ERR_CORRUPT);
            free(copy);
        }
        CHECK(refused > tried / 4);
        ddb_bytes_free(&buf); ddb_bytes_free(&again);
        ddb_mem_arena_free(ctx, &arena);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
}

/* Well hashed objects of a hostile writer: a shard that breaks one rule, named as it should be. */
static void hostile_shards(void)
{
    static const char *const why[] = { "no fault", "descending", "anchor 2^64-1", "wrong dim", "no items", "zero vector", "wrong kind", "twice",
        "below the Track", "another parent", "overlay of an overlay", "registry alone", "beyond its coverage" };
    for (int way = 0; way < 13 && test_ok; way++) {
        bool vector = way >= 1 && way <= 5;
        ddb_ctx *ctx = test_ctx();
        ddb_write write;
        ddb_hot_item items[2];
        ddb_hot_shard shard;
        ddb_buf bytes;
        ddb_addr address;
        dreamdb_snapshot *view = NULL;
        dreamdb_verify_report report;
        uint64_t n = 0;
        static const uint8_t blank[64];
        data_open();
        dreamdb *db = hot_make(&data_inner, DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_NONE);
        hot_rows(16);
        CHECK(hot_append(db, 0, 8, false, 0, NULL) == DREAMDB_OK && hot_append(db, 8, 8, true, 0, NULL) == DREAMDB_OK);
        CHECK(ddb_write_open(ctx, db, true, &write) == DREAMDB_OK);
        write.cold = true;
        ddb_view_field *field = ddb_view_find(write.view, ddb_bytes_text(vector ? "e" : "n"));
        CHECK(ddb_view_need(ctx, write.view, &field, 1, DDB_VIEW_COLD) == DREAMDB_OK);
        shard = field->hot;
        items[0] = shard.items[0]; items[1] = shard.items[1];
        shard.items = items; shard.count = 2;
        switch (way) {
        case 1: items[0] = shard.items[1]; items[1] = field->hot.items[0]; break;
        case 2: items[1].anchor = UINT64_MAX; break;
        case 3: items[1].value.size -= 4; break;
        case 4: shard.count = 0; break;
        case 5: items[1].value = ddb_bytes_slice(blank, HOT_DIM * 4); break;
        case 6: items[1].value.size = 1; break;
        case 7: items[1] = items[0]; break;
        case 8: items[0].anchor = 1; break;
        case 9: shard.parent = field->binding->address; break;
        case 12: items[1].anchor = UINT64_C(1) << 60; break;
        default: break;
        }
        ddb_bytes_init(&bytes, ctx);
        CHECK(ddb_hot_encode(&bytes, field->schema->kind, &shard) == DREAMDB_OK);
        if (way == 11) {
            CHECK(ddb_object_put(ctx, write.puts, ddb_view_folder(ctx, &write.arena, field, DDB_HOT_FOLDER), ddb_bytes_of(&bytes), 0, &address) == DREAMDB_OK);
            CHECK(ddb_manifest_set_member_addr(ctx, &write.arena, &write.manifest, field->schema->modality, DDB_HOT_KEY, &address) == DREAMDB_OK);
        } else {
            ddb_hot_shard last = shard;
            last.items = field->hot.items; last.count = field->hot.count;                   /* the coverage of the true one */
            last.parent = way == 10 ? field->binding->address : last.parent;
            shard.parent = last.parent;
            CHECK(ddb_fold_keep(ctx, &write, field, &last, ddb_bytes_of(&bytes)) == DREAMDB_OK);
        }
        CHECK(ddb_write_publish(ctx, &write, "hostile") == DREAMDB_OK);
        ddb_bytes_free(&bytes);
        ddb_write_close(ctx, &write);
        CHECK(dreamdb_snapshot_open(db, NULL, &view, &data_error) == DREAMDB_OK);
        dreamdb_status status = dreamdb_count(view, vector ? "e" : "n", NULL, 0, 0, &n, &data_error);
        if ((status == DREAMDB_OK) != (way == 0) || (way > 0 && (!data_error.path[0] || (status != DREAMDB_ERR_CORRUPT && status != DREAMDB_ERR_UNSUPPORTED)))) {
            test_ok = 0;
            printf("%s: status %d, %s [%s]\n", why[way], (int)status, data_error.message, data_error.path);
        }
        CHECK(dreamdb_count(view, "c", NULL, 0, 0, &n, &data_error) == DREAMDB_OK);                /* other fields go on */
        CHECK(dreamdb_verify(view, 0, NULL, NULL, &report, &data_error) == DREAMDB_OK && (report.faults > 0) == (way > 0));
        dreamdb_snapshot_close(view);
        status = dreamdb_flush_hot(db, NULL, &data_error);
        CHECK((status == DREAMDB_OK) == (way == 0));
        dreamdb_close(db);
        data_close();
    }
}

/* ---- Faults ---- */

/* Two hot appends, the second folds e; a flush; every read.  What is in the store is one of the states before and after each. */
static int hot_steps(dreamdb *db, dreamdb_status *status)
{
    dreamdb_snapshot *view = NULL;
    dreamdb_query query;
    dreamdb_result *found = NULL;
    uint64_t n = 0;
    int done = 0;
    memset(&query, 0, sizeof query);
    query.field = "e"; query.vectors = rows[0].v; query.top_k = 30; query.exact = 1;
    *status = hot_append(db, 6, 4, true, 0, NULL);
    done += *status == DREAMDB_OK;
    *status = *status < 0 ? *status : dreamdb_snapshot_open(db, NULL, &view, &data_error);
    *status = *status < 0 ? *status : dreamdb_count(view, NULL, NULL, 0, 0, &n, &data_error);
    *status = *status < 0 ? *status : dreamdb_search(view, &query, &found, &data_error);
    dreamdb_result_free(found);
    dreamdb_snapshot_close(view);
    *status = *status < 0 ? *status : hot_append(db, 10, 4, true, 7, NULL);
    done += *status == DREAMDB_OK;
    *status = *status < 0 ? *status : dreamdb_flush_hot(db, NULL, &data_error);
    done += *status == DREAMDB_OK;
    return done;
}

static void sweep(void)
{
    for (int way = 0; way < 3 && test_ok; way++) {               /* allocations; storage; storage whose answer is lost, and none after it */
        bool all = false;
        for (long n = 1; !all && test_ok; n++) {
            dreamdb_status status = DREAMDB_OK;
            dreamdb *db = NULL, *after = NULL;
            test_state = 88172645463325252u;
            data_open();
            dreamdb_close(hot_make(&data_inner, DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_NONE));
            dreamdb_config config = hot_config(&data_store), plain = hot_config(&data_inner);
            hot_rows(14);
            CHECK(dreamdb_open(&plain, "main", &db, &data_error) == DREAMDB_OK && hot_append(db, 0, 6, false, 0, NULL) == DREAMDB_OK);
            dreamdb_close(db);
            CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_OK);
            data_plan.operations = 0;
            data_plan.fail_at = way > 0 ? (uint64_t)n : 0;
            data_plan.fail_after = data_plan.fail_forever = way == 2;
            test_fail_alloc_at(way == 0 ? n : 0);
            int done = hot_steps(db, &status);
            all = way == 0 ? test_allocs < n : data_plan.operations < (uint64_t)n;
            test_fail_alloc_at(0);
            CHECK(all ? status == DREAMDB_OK : status == (way == 0 ? DREAMDB_ERR_MEMORY : DREAMDB_ERR_STORE) || status == DREAMDB_OK);
            dreamdb_close(db);
            CHECK(dreamdb_open(&plain, "main", &after, &data_error) == DREAMDB_OK);
            uint64_t count = data_count(after);
            CHECK(count == 6 || count == 10 || count == 14);
            CHECK(count >= (done > 1 ? 14u : done > 0 ? 10u : 6u));
            row_count = (size_t)count;
            check_view(after, true);
            dreamdb_close(after);
            data_close();
        }
    }
}

int main(void)
{
    data_unused();
    (void)data_append; (void)data_create;
    RUN(broken_bytes);
    RUN(folds_when_due);
    RUN(refusals);
    RUN(unknowing_verbs);
    RUN(compaction);
    RUN(compaction_faults);
    RUN(time_travel);
    RUN(merges);
    RUN(two_writers);
    RUN(hostile_shards);
    RUN(random_walk);
    RUN(sweep);
    return test_end("hot");
}
