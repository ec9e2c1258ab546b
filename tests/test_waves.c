/* test_waves.c - rounds of requests that a remote store sees, one verb after the other, and what becomes of writers who do not read the Ref
   because they know it: overtaken, stopped at every step, on a store that tells no tag. */
#include "dataset.h"

/* The memory store behind the counting one, as a store far away: it tells the tag of what was put, once waves_tells is set. */
static dreamdb_store waves_store;
static int waves_tells;
static int waves_batch(void *user, dreamdb_io *ops, size_t count)
{
    int status = data_store.batch(user, ops, count);
    for (size_t i = 0; i < count && waves_tells; i++) {
        if (ops[i].kind == DREAMDB_IO_PUT && ops[i].status == DREAMDB_OK) { (void)data_inner.stat(data_inner.user, ops[i].path, &ops[i].stat); }
    }
    return status;
}

static void waves_open(void)
{
    data_open();
    waves_store = data_store;
    waves_store.batch = waves_batch;
    waves_store.flags |= DREAMDB_STORE_REMOTE;
    waves_tells = 1;
}

static dreamdb *waves_handle(const dreamdb_store *on, const char *ref)
{
    dreamdb_config config = data_config(on);
    dreamdb *db = NULL;
    CHECK(dreamdb_open(&config, ref, &db, &data_error) == DREAMDB_OK);
    if (!db) { printf("%s\n", data_error.message); exit(1); }
    return db;
}

static void begin(void) { data_plan.gets = data_plan.puts = data_plan.waves = 0; }

static void creates(void)
{
    dreamdb *db = NULL, *again = NULL;
    waves_open();
    dreamdb_config config = data_config(&waves_store);
    begin();
    CHECK(data_create(&config, DREAMDB_INDEX_LSH, 3, &db) == DREAMDB_OK);
    CHECK_EQ_U64(data_plan.waves, 2);                        /* all objects, the Ref */
    CHECK_EQ_U64(data_plan.gets, 0);
    CHECK(data_create(&config, DREAMDB_INDEX_LSH, 3, &again) == DREAMDB_ERR_EXISTS && !again && strstr(data_error.message, "already"));
    begin();
    CHECK(data_create(&config, DREAMDB_INDEX_IVF, 3, &again) == DREAMDB_ERR_EXISTS && !again);
    CHECK(data_plan.waves == 1 && data_plan.puts == 0);      /* asked before it trains */
    data_fill(10, 0);
    begin();
    CHECK(data_append(db, 0, 10, NULL) == DREAMDB_OK && data_count(db) == 10);
    dreamdb_close(db);
    data_close();
}

static void appends(void)
{
    for (int tells = 0; tells < 2; tells++) {
        dreamdb *db = NULL;
        waves_open();
        waves_tells = tells;
        data_fill(60, 0);
        db = data_make(&waves_store, DREAMDB_INDEX_LSH, 3, 30);
        for (size_t i = 0; i < 3; i++) {
            begin();
            CHECK(data_append(db, 30 + 10 * i, i < 2 ? 10 : 1, NULL) == DREAMDB_OK);
            CHECK_EQ_U64(data_plan.waves, tells ? 2 : 3);    /* the Ref where its tag is not known; objects, Tracks and Manifest; the Ref */
            CHECK_EQ_U64(data_plan.gets, tells ? 0 : 1);
        }
        db->known.at = 1;                                    /* what is known is old */
        begin();
        CHECK(data_append(db, 51, 1, NULL) == DREAMDB_OK && data_plan.waves == 3 && data_plan.gets == 1);
        CHECK_EQ_U64(data_count(db), 52);
        dreamdb_close(db);
        db = waves_handle(&waves_store, "main");
        begin();
        CHECK(data_append(db, 52, 1, NULL) == DREAMDB_OK); CHECK_EQ_U64(data_plan.waves, 4);                    /* Tracks and indexes, roots of trees, objects, the Ref */
        dreamdb_close(db);
        data_close();
    }
}

/* Somebody else moved the Ref: the append finds out by the put of the Ref, and is made once more; then it asks for a while. */
static void overtaken(void)
{
    dreamdb_append_report report;
    dreamdb_field field;
    dreamdb_column column;
    dreamdb_append_desc desc;
    const uint8_t values[2] = { 1, 0 };
    const uint64_t anchors[2] = { 5000, 5001 }, gone = 9000;
    dreamdb_delete_desc removal;
    waves_open();
    data_fill(80, 0);
    dreamdb *db = data_make(&waves_store, DREAMDB_INDEX_LSH, 3, 30), *other = waves_handle(&data_inner, "main");
    CHECK(data_append(other, 30, 10, NULL) == DREAMDB_OK);
    CHECK(data_append(db, 40, 10, &report) == DREAMDB_OK && report.replays == 0);
    CHECK_EQ_U64(data_count(db), 50);
    CHECK(db->known.met == DDB_VIEW_MET);
    for (size_t i = 0; i <= DDB_VIEW_MET; i++) {
        begin();
        CHECK(data_append(db, 50 + i, 1, NULL) == DREAMDB_OK && data_plan.waves == (i < DDB_VIEW_MET ? 3u : 2u));
    }
    /* a field that this handle has not seen, an anchor that somebody deleted: what it refuses of its own it asks about first */
    memset(&field, 0, sizeof field); memset(&column, 0, sizeof column); memset(&desc, 0, sizeof desc); memset(&removal, 0, sizeof removal);
    field.name = "late"; field.kind = DREAMDB_BOOL;
    dreamdb_close(other);
    other = waves_handle(&data_inner, "main");
    CHECK(dreamdb_add_field(other, &field, NULL, &data_error) == DREAMDB_OK);
    column.field = "late"; column.data = values;
    desc.columns = &column; desc.column_count = 1; desc.count = 2; desc.anchors = anchors;
    CHECK(dreamdb_append(db, &desc, NULL, &data_error) == DREAMDB_ERR_ARGUMENT);            /* the required field is missing */
    db->known.met = 0;
    removal.anchors = &gone; removal.anchor_count = 1;
    CHECK(dreamdb_delete(other, &removal, NULL, &data_error) == DREAMDB_OK);
    data_rows[70].anchor = gone;
    CHECK(data_append(db, 70, 1, NULL) == DREAMDB_ERR_ARGUMENT && strstr(data_error.message, "deleted"));
    dreamdb_config config = data_config(&data_inner);
    CHECK(dreamdb_ref_delete(&config, "main", &data_error) == DREAMDB_OK);
    db->known.met = 0;
    CHECK(data_append(db, 71, 1, NULL) == DREAMDB_ERR_NOT_FOUND);
    dreamdb_close(db); dreamdb_close(other);
    data_close();
}

/* Stopped at every step, the Ref known and right (kind 0), or overtaken (1). */
static void stop_append(int way, int kind)
{
    int good = 0, errors = 0;
    for (long n = 1; good < 12 && n < 3000; n += way == 0 ? 4 : 1) {
        waves_open();
        dreamdb *db = data_make(&waves_store, DREAMDB_INDEX_LSH, 2, 20), *other = waves_handle(&data_inner, "main");
        CHECK(kind == 0 || data_append(other, 20, 5, NULL) == DREAMDB_OK);
        const uint64_t before = kind == 0 ? 20 : 25;
        data_arm(way, n);
        dreamdb_status status = data_append(db, 25, 10, NULL);
        data_disarm(way, status);
        const uint64_t there = data_count(other);
        CHECK(there == before + 10 || (status < 0 && there == before));
        if (there == before) { CHECK(data_append(db, 25, 10, NULL) == DREAMDB_OK); }
        CHECK_EQ_U64(data_count(other), before + 10);
        CHECK(data_append(db, 40, 2, NULL) == DREAMDB_OK && data_count(other) == before + 12);
        errors += status < 0;
        good = status < 0 ? 0 : good + 1;
        dreamdb_close(db); dreamdb_close(other);
        data_close();
        if (!test_ok) { printf("way %d, kind %d, n %ld: %d %s\n", way, kind, n, (int)status, data_error.message); return; }
    }
    CHECK(good == 12 && (errors > 2 || way == 2));            /* a lost answer is looked up */
}

static void every_step_stopped(void)
{
    data_fill(60, 0);
    for (int way = 0; way < 4; way++) {
        for (int kind = 0; kind < 2; kind++) { stop_append(way, kind); }
    }
}

/* The ten nearest with a text, a number and a picture each, on a handle just opened: as the store in memory gives them. */
static void read_rows(const dreamdb_store *on, const char *state, const dreamdb_where *where, uint64_t waves, char *out, size_t size)
{
    static const char *const names[3] = { "c", "m", "n" };
    dreamdb_snapshot *view = NULL;
    dreamdb_result *found = NULL;
    dreamdb_query query;
    size_t used = 0;
    memset(&query, 0, sizeof query);
    query.field = "e"; query.vectors = data_rows[7].v; query.fields = names; query.field_count = where ? 3 : 2; query.load_media = 1; query.where = where;
    begin();
    dreamdb *db = waves_handle(on, "main");
    CHECK(dreamdb_snapshot_open(db, state, &view, &data_error) == DREAMDB_OK && dreamdb_search(view, &query, &found, &data_error) == DREAMDB_OK);
    if (waves > 0) { CHECK_EQ_U64(data_plan.waves, waves); }
    for (size_t i = 0; found && i < found->count; i++) {
        const dreamdb_value *v = found->hits[i].values;
        used += (size_t)snprintf(out + used, size - used, "%llu %.*s %.*s %lld;", (unsigned long long)found->hits[i].anchor, (int)v[0].size,
                                 v[0].present ? (const char *)v[0].data : "", (int)v[1].size, (const char *)v[1].data, where ? (long long)v[2].integer : 0);
    }
    begin();
    dreamdb_result_free(found);
    found = NULL;
    CHECK(dreamdb_search(view, &query, &found, &data_error) == DREAMDB_OK && data_plan.waves == 0);
    dreamdb_result_free(found);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
}

static void opens_and_reads(void)
{
    static char here[4000], there[4000];
    for (int deleted = 0; deleted < 2; deleted++) {
        dreamdb_where where;
        dreamdb_operand operand;
        dreamdb_delete_desc removal;
        waves_open();
        data_fill(200, 0);
        dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 200);
        memset(&removal, 0, sizeof removal); memset(&where, 0, sizeof where); memset(&operand, 0, sizeof operand);
        removal.anchors = &data_rows[7].anchor; removal.anchor_count = 1;
        CHECK(!deleted || dreamdb_delete(db, &removal, NULL, &data_error) == DREAMDB_OK);
        dreamdb_close(db);
        where.op = DREAMDB_GE; where.field = "n"; where.operands = &operand; where.operand_count = 1;
        read_rows(&data_inner, ".", NULL, 0, here, sizeof here);
        read_rows(&waves_store, ".", NULL, deleted ? 6 : 5, there, sizeof there);     /* Ref, Manifest, Tracks and index, cells, a page of tombstones, what is shown */
        CHECK_STR(there, here);
        CHECK(strlen(here) > 200);
        read_rows(&waves_store, NULL, NULL, deleted ? 7 : 6, there, sizeof there);    /* the Ref again */
        read_rows(&data_inner, ".", &where, 0, here, sizeof here);
        read_rows(&waves_store, ".", &where, 0, there, sizeof there);
        CHECK_STR(there, here);
        data_close();
    }
}

/* "." is what the handle saw last or wrote, without a request. */
static void known_state(void)
{
    dreamdb_snapshot *view = NULL;
    dreamdb_append_report report;
    const dreamdb_info *info = NULL;
    waves_open();
    data_fill(60, 0);
    dreamdb *db = data_make(&waves_store, DREAMDB_INDEX_LSH, 3, 30), *other = waves_handle(&data_inner, "main");
    CHECK(data_append(other, 30, 10, NULL) == DREAMDB_OK);
    for (int round = 0; round < 2; round++) {
        begin();
        CHECK(dreamdb_snapshot_open(db, ".", &view, &data_error) == DREAMDB_OK && data_plan.waves == 0);
        CHECK(dreamdb_snapshot_info(view, &info, &data_error) == DREAMDB_OK);
        CHECK(round == 0 || memcmp(info->manifest, report.manifest, sizeof report.manifest) == 0);
        dreamdb_snapshot_close(view);
        CHECK(round == 1 || data_append(db, 40, 10, &report) == DREAMDB_OK);
    }
    CHECK_EQ_U64(data_count(db), 50);
    dreamdb_close(db); dreamdb_close(other);
    data_close();
}

/* Deletions by anchors do not ask either; one that was overtaken is made on the new tip. */
static void deletes(void)
{
    uint64_t anchors[2];
    dreamdb_delete_desc removal;
    waves_open();
    data_fill(60, 0);
    dreamdb *db = data_make(&waves_store, DREAMDB_INDEX_LSH, 3, 30), *other = waves_handle(&data_inner, "main");
    memset(&removal, 0, sizeof removal);
    removal.anchors = anchors; removal.anchor_count = 1;
    anchors[0] = data_rows[3].anchor;
    begin();
    CHECK(dreamdb_delete(db, &removal, NULL, &data_error) == DREAMDB_OK && data_plan.waves == 2 && data_plan.gets == 0);
    anchors[0] = data_rows[4].anchor;
    CHECK(dreamdb_delete(other, &removal, NULL, &data_error) == DREAMDB_OK && data_count(db) == 28);
    anchors[0] = data_rows[5].anchor;
    CHECK(dreamdb_delete(other, &removal, NULL, &data_error) == DREAMDB_OK);
    anchors[0] = data_rows[6].anchor;
    CHECK(dreamdb_delete(db, &removal, NULL, &data_error) == DREAMDB_OK && db->known.met == DDB_VIEW_MET);
    CHECK_EQ_U64(data_count(db), 26);
    dreamdb_close(db); dreamdb_close(other);
    data_close();
}

int main(void)
{
    RUN(deletes);
    RUN(creates);
    RUN(opens_and_reads);
    RUN(known_state);
    RUN(appends);
    RUN(overtaken);
    RUN(every_step_stopped);
    data_unused();
    return test_end("waves");
}
