/* test_erase.c - room erase: random deletions by anchors and by predicate beside a plain set; what every read, older states and append
   make of them; bad calls; damage that verify must name. */
#include "dataset.h"

static bool gone[DATA_MOST * 4];              /* by anchor; data_fill with anchors 0 gives i * 3 + 1 */

/* Every read of a view against the rows that are not in the list. */
static void check_reads(dreamdb_snapshot *view, const bool *list, size_t rows)
{
    static data_tree tree;
    uint64_t n = 0, *anchors = NULL;
    size_t count = 0, live = 0, met = 0;
    dreamdb_query query;
    dreamdb_result *found = NULL;
    dreamdb_cursor *cursor = NULL;
    dreamdb_scan scan;
    dreamdb_row row;
    memset(&query, 0, sizeof query); memset(&scan, 0, sizeof scan);
    for (size_t i = 0; i < rows; i++) { live += !list[data_rows[i].anchor]; }
    CHECK(dreamdb_count(view, NULL, NULL, 0, 0, &n, &data_error) == DREAMDB_OK);
    CHECK_EQ_U64(n, live);
    tree.node_count = 1; tree.operand_count = 0;
    const dreamdb_where *where = data_where(&tree, 0, 2);
    for (size_t i = 0; i < rows; i++) { met += !list[data_rows[i].anchor] && data_meets(where, i, rows); }
    CHECK(dreamdb_select(view, where, &anchors, &count, &data_error) == DREAMDB_OK);
    CHECK_EQ_U64(count, met);
    for (size_t i = 0; i < count; i++) { CHECK(!list[anchors[i]]); }
    dreamdb_anchors_free(view, anchors, count);
    query.field = "e"; query.vectors = data_rows[0].v; query.top_k = (uint32_t)rows; query.exact = 1;
    CHECK(dreamdb_search(view, &query, &found, &data_error) == DREAMDB_OK);
    CHECK_EQ_U64(found ? found->count : 0, live);
    for (size_t i = 0; found && i < found->count; i++) { CHECK(!list[found->hits[i].anchor]); }
    dreamdb_result_free(found);
    CHECK(dreamdb_scan_open(view, &scan, &cursor, &data_error) == DREAMDB_OK);
    for (count = 0; cursor && dreamdb_cursor_next(cursor, &row, &data_error) == DREAMDB_OK; count++) { CHECK(!list[row.anchor]); }
    CHECK_EQ_U64(count, live);
    dreamdb_cursor_close(cursor);
}

static size_t pick(uint64_t *anchors, size_t rows, size_t most)
{
    size_t count = 1 + test_rand() % most;
    for (size_t i = 0; i < count; i++) { anchors[i] = test_rand() % 5 ? data_rows[test_rand() % rows].anchor : test_rand() % (DATA_MOST * 4); }
    return count;
}

static void random_deletions(void)
{
    enum { ROWS = 200 };
    static data_tree tree;
    static bool before[DATA_MOST * 4];
    for (int turn = 0; turn < 4 && test_ok; turn++) {
        data_open();
        data_fill(ROWS, 0);
        memset(gone, 0, sizeof gone);
        dreamdb *db = data_make(&data_store, turn % 2 ? DREAMDB_INDEX_IVF : DREAMDB_INDEX_LSH, 4, ROWS);
        for (int step = 0; step < 12 && test_ok; step++) {
            uint64_t anchors[40];
            dreamdb_delete_desc desc;
            dreamdb_delete_report report;
            dreamdb_snapshot *old = NULL, *view = NULL;
            size_t distinct = 0, again = 0;
            memset(&desc, 0, sizeof desc);
            memcpy(before, gone, sizeof gone);
            CHECK(dreamdb_snapshot_open(db, NULL, &old, &data_error) == DREAMDB_OK);
            tree.node_count = 1; tree.operand_count = 0;
            if (test_rand() % 2) { desc.where = data_where(&tree, 0, 1); }
            desc.reason = test_rand() % 2 ? NULL : "why";
            desc.anchors = desc.where ? NULL : anchors;
            desc.anchor_count = desc.where ? 0 : pick(anchors, ROWS, 40);
            for (size_t i = 0; i < desc.anchor_count; i++) {
                bool repeat = false;
                for (size_t j = 0; j < i; j++) { repeat = repeat || anchors[j] == anchors[i]; }
                distinct += !repeat;
                again += !repeat && before[anchors[i]];
                gone[anchors[i]] = true;
            }
            for (size_t i = 0; desc.where && i < ROWS; i++) {
                bool hit = !before[data_rows[i].anchor] && data_meets(desc.where, i, ROWS);
                distinct += hit;
                gone[data_rows[i].anchor] = before[data_rows[i].anchor] || hit;
            }
            CHECK(dreamdb_delete(db, &desc, &report, &data_error) == DREAMDB_OK);
            CHECK_EQ_U64(report.anchors, distinct);
            CHECK_EQ_U64(report.again, again);
            CHECK((report.objects > 0) == (distinct > 0));
            CHECK(dreamdb_snapshot_open(db, NULL, &view, &data_error) == DREAMDB_OK);
            check_reads(view, gone, ROWS);
            check_reads(old, before, ROWS);
            dreamdb_snapshot_close(old);
            dreamdb_snapshot_close(view);
        }
        dreamdb_close(db);
        data_close();
    }
}

/* A deleted anchor cannot be appended, unless it is asked for; then its row stays hidden. */
static void appends_after(void)
{
    dreamdb_delete_desc desc;
    uint64_t anchors[] = { 16, 7, 7, 5000 };
    dreamdb_snapshot *view = NULL;
    uint64_t n = 0;
    memset(&desc, 0, sizeof desc);
    data_open();
    data_fill(40, 0);
    dreamdb *db = data_make(&data_store, DREAMDB_INDEX_IVF, 3, 30);
    desc.anchors = anchors; desc.anchor_count = 4;
    CHECK(dreamdb_delete(db, &desc, NULL, &data_error) == DREAMDB_OK);
    data_rows[33].anchor = 5000;
    CHECK(data_append(db, 30, 10, NULL) == DREAMDB_ERR_ARGUMENT && strstr(data_error.message, "5000"));
    data_rows[33].anchor = 5001;
    CHECK(data_append(db, 30, 10, NULL) == DREAMDB_OK);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &data_error) == DREAMDB_OK);
    CHECK(dreamdb_count(view, NULL, NULL, 0, 0, &n, &data_error) == DREAMDB_OK && n == 38);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

static void bad_calls(void)
{
    static char reason[300];
    static const dreamdb_where none = { DREAMDB_EQ, "no such", NULL, 0, NULL, 0 };
    uint64_t anchors[] = { 1 };
    dreamdb_delete_desc desc;
    memset(reason, 'x', sizeof reason - 1);
    data_open();
    data_fill(20, 0);
    dreamdb *db = data_make(&data_store, DREAMDB_INDEX_IVF, 3, 20);
    CHECK(dreamdb_delete(db, NULL, NULL, &data_error) == DREAMDB_ERR_ARGUMENT);
    for (int way = 0; way < 6; way++) {
        memset(&desc, 0, sizeof desc);
        desc.anchors = way == 1 ? NULL : anchors;
        desc.anchor_count = way == 0 || way == 5 ? 0 : 1;
        desc.where = way == 2 || way == 5 ? &none : NULL;
        desc.reason = way == 3 ? reason : way == 4 ? "\xff" : NULL;
        dreamdb_status status = dreamdb_delete(db, &desc, NULL, &data_error);
        CHECK(status == (way == 5 ? DREAMDB_ERR_NOT_FOUND : DREAMDB_ERR_ARGUMENT) && data_error.message[0]);
    }
    reason[256] = 0;
    memset(&desc, 0, sizeof desc);
    desc.anchors = anchors; desc.anchor_count = 1; desc.reason = reason;
    CHECK(dreamdb_delete(db, &desc, NULL, &data_error) == DREAMDB_OK);
    dreamdb_close(db);
    data_close();
}

static char faults[20][320];
static size_t fault_count;
static int note_fault(void *user, const dreamdb_fault_report *fault)
{
    (void)user;
    if (fault_count < 20) { (void)snprintf(faults[fault_count], sizeof faults[0], "%s", fault->path); }
    fault_count++;
    return 0;
}

/* verify reads the pages of tombstones, all of them, and names each one that is damaged. */
static void verify_reads_the_pages(void)
{
    enum { MANY = 3000 };
    static uint64_t anchors[MANY];
    dreamdb_delete_desc desc;
    dreamdb_snapshot *view = NULL;
    dreamdb_verify_report before, report;
    const dreamdb_stats *stats = NULL;
    char paths[3][128];
    memset(&desc, 0, sizeof desc);
    data_open();
    data_fill(20, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_IVF, 3, 20);
    for (size_t i = 0; i < MANY; i++) { anchors[i] = 1000 + i * 7; }
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &data_error) == DREAMDB_OK);
    CHECK(dreamdb_verify(view, 0, note_fault, NULL, &before, &data_error) == DREAMDB_OK && before.faults == 0);
    dreamdb_snapshot_close(view);
    desc.anchors = anchors; desc.anchor_count = MANY;
    CHECK(dreamdb_delete(db, &desc, NULL, &data_error) == DREAMDB_OK);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &data_error) == DREAMDB_OK);
    CHECK(dreamdb_verify(view, 0, note_fault, NULL, &report, &data_error) == DREAMDB_OK && report.faults == 0);
    CHECK_EQ_U64(report.objects - before.objects, 26);        /* index, root, 24 leaves */
    CHECK(dreamdb_snapshot_stats(view, &stats, &data_error) == DREAMDB_OK && stats->tombstones == MANY);
    for (size_t i = 0; stats && i < stats->class_count; i++) {
        if (strcmp(stats->classes[i].name, "tombstone") == 0) { CHECK(stats->classes[i].objects == 26 && stats->classes[i].bytes > MANY * 20); }
    }
    ddb_tomb *tomb = NULL;
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena = { NULL, 0 };
    ddb_page page;
    CHECK(ddb_view_tomb(ctx, view, &tomb) == DREAMDB_OK && tomb->root_count == 1);
    (void)snprintf(paths[0], sizeof paths[0], "%s", ddb_addr_path(ctx, &arena, "tombstones", &tomb->roots[0].addr));
    size_t size = 0;
    uint8_t *bytes = data_take(paths[0], &size);
    CHECK(size > 0 && ddb_page_decode(ctx, &arena, &tomb->tree, ddb_bytes_slice(bytes, size), paths[0], tomb->roots, &page) == DREAMDB_OK);
    for (size_t i = 1; i < 3; i++) {
        size_t leaf_size = 0;
        (void)snprintf(paths[i], sizeof paths[i], "%s", ddb_addr_path(ctx, &arena, "tombstones", &page.children[i * 9].addr));
        uint8_t *leaf = data_take(paths[i], &leaf_size);
        leaf[leaf_size / 2] ^= 4;
        data_put(paths[i], leaf, leaf_size);
        free(leaf);
    }
    free(bytes);
    ddb_mem_arena_free(ctx, &arena);
    fault_count = 0;
    CHECK(dreamdb_verify(view, 0, note_fault, NULL, &report, &data_error) == DREAMDB_OK && report.faults == 2 && fault_count == 2);
    CHECK_STR(faults[0], paths[1]);
    CHECK_STR(faults[1], paths[2]);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

/* Two heads tell different things of one page: no read can open that, and verify must say so. */
static void verify_compares_each_claim(void)
{
    uint64_t anchors[] = { 3, 4, 5 }, ms = 1, n = 0;
    dreamdb_delete_desc desc;
    dreamdb_snapshot *view = NULL;
    dreamdb_verify_report report;
    ddb_ctx *ctx = test_ctx();
    ddb_tomb *tomb = NULL;
    ddb_addr heads[2], head;
    ddb_write write;
    memset(&desc, 0, sizeof desc);
    data_open();
    data_fill(20, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_IVF, 3, 20);
    desc.anchors = anchors; desc.anchor_count = 3;
    CHECK(dreamdb_delete(db, &desc, NULL, &data_error) == DREAMDB_OK);
    CHECK(ddb_write_open(ctx, db, true, &write) == DREAMDB_OK && ddb_view_tomb(ctx, write.view, &tomb) == DREAMDB_OK);
    ddb_page_child lie = tomb->roots[0];
    lie.rows++;
    heads[0] = tomb->heads[0];
    do {
        CHECK(ddb_tomb_index_put(ctx, write.puts, tomb, &lie, NULL, 0, ms++, heads + 1) == DREAMDB_OK);
    } while (ddb_addr_compare(heads, heads + 1) > 0);
    CHECK(ddb_tomb_index_put(ctx, write.puts, tomb, NULL, heads, 2, ms, &head) == DREAMDB_OK);
    CHECK(ddb_manifest_set_tombstones(ctx, &write.arena, &write.manifest, &head) == DREAMDB_OK);
    CHECK(ddb_write_publish(ctx, &write, "delete") == DREAMDB_OK);
    ddb_write_close(ctx, &write);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &data_error) == DREAMDB_OK);
    CHECK(dreamdb_count(view, NULL, NULL, 0, 0, &n, &data_error) == DREAMDB_ERR_CORRUPT);
    fault_count = 0;
    CHECK(dreamdb_verify(view, 0, note_fault, NULL, &report, &data_error) == DREAMDB_OK && report.faults == 1);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

/* A store whose first read of a posting lets another writer append. */
static dreamdb_store meddled;
static dreamdb *meddler;
static int meddle(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    if (meddler && strstr(path, "bucket") && strstr(path, "scalar")) {
        dreamdb *other = meddler;
        meddler = NULL;
        CHECK(data_append(other, 20, 5, NULL) == DREAMDB_OK);
    }
    return data_inner.get(user, path, offset, size, out);
}

/* The tip moved between the look for the rows and the write: nothing is deleted, and the next call sees them all. */
static void tip_moves_under_a_predicate(void)
{
    static const dreamdb_operand low = { -100, 0, { NULL, 0 } };
    static const dreamdb_where all = { DREAMDB_GE, "n", &low, 1, NULL, 0 };
    dreamdb_delete_desc desc;
    dreamdb_delete_report report;
    dreamdb *db = NULL, *other = NULL;
    memset(&desc, 0, sizeof desc);
    data_open();
    data_fill(25, 0);
    dreamdb_close(data_make(&data_inner, DREAMDB_INDEX_IVF, 3, 20));
    meddled = data_inner;
    meddled.get = meddle;
    meddled.batch = NULL;
    dreamdb_config config = data_config(&meddled), plain = data_config(&data_inner);
    CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_OK && dreamdb_open(&plain, "main", &other, &data_error) == DREAMDB_OK);
    desc.where = &all;
    meddler = other;
    CHECK(dreamdb_delete(db, &desc, &report, &data_error) == DREAMDB_ERR_CONFLICT && !meddler && report.anchors == 0);
    CHECK(dreamdb_delete(db, &desc, &report, &data_error) == DREAMDB_OK);
    CHECK_EQ_U64(report.anchors, 25);
    dreamdb_close(db);
    dreamdb_close(other);
    data_close();
}

int main(void)
{
    data_unused();
    RUN(random_deletions);
    RUN(appends_after);
    RUN(bad_calls);
    RUN(verify_reads_the_pages);
    RUN(verify_compares_each_claim);
    RUN(tip_moves_under_a_predicate);
    return test_end("erase");
}
