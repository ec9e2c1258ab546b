/* test_diff.c - room diff: random histories beside a plain comparison of all rows, what appends, deletions, training and new fields come to,
   equal pages skipped, a stop at every allocation and storage operation. */
#include "dataset.h"

typedef struct told { dreamdb_diff_field fields[16]; char names[16][20]; size_t count, stop; } told;
static int tell(void *user, const dreamdb_diff_field *field)
{
    told *t = (told *)user;
    CHECK(t->count < 16);
    (void)snprintf(t->names[t->count], sizeof t->names[0], "%s", field->field);
    t->fields[t->count++] = *field;
    return t->stop > 0 && t->count == t->stop;
}
static const dreamdb_diff_field *of(const told *t, const char *name)
{
    static const dreamdb_diff_field none;
    for (size_t i = 0; i < t->count; i++) { if (strcmp(t->names[i], name) == 0) { return t->fields + i; } }
    test_ok = 0;
    printf("field %s is not told\n", name);
    return &none;
}

static dreamdb_snapshot *view_at(dreamdb *db, const char *state)
{
    dreamdb_snapshot *view = NULL;
    CHECK(dreamdb_snapshot_open(db, state, &view, &data_error) == DREAMDB_OK);
    return view;
}

static dreamdb_diff_report differ(dreamdb_snapshot *from, dreamdb_snapshot *to, told *t)
{
    dreamdb_diff_report report;
    memset(t, 0, sizeof *t);
    memset(&report, 0, sizeof report);
    CHECK(dreamdb_diff(from, to, tell, t, &report, &data_error) == DREAMDB_OK);
    return report;
}

/* ---- The plain comparison: all rows of both, each with each ---- */
static bool same_row(const ddb_row *a, const ddb_row *b)
{
    return ddb_bytes_equal(a->key, b->key) && a->t_start == b->t_start && a->t_end == b->t_end && a->size == b->size && a->offset == b->offset
        && a->flags == b->flags && memcmp(a->addr.bytes, b->addr.bytes, sizeof a->addr.bytes) == 0;
}
typedef struct plain { ddb_row *rows; size_t count; uint8_t *met; } plain;
static uint64_t only(const plain *a, const plain *b, uint64_t *records, const ddb_view_field *field)
{
    uint64_t n = 0;
    memset(b->met, 0, b->count + 1);
    *records = 0;
    for (size_t i = 0; i < a->count; i++) {
        size_t j = 0;
        while (j < b->count && (b->met[j] || !same_row(a->rows + i, b->rows + j))) { j++; }
        if (j < b->count) { b->met[j] = 1; continue; }
        n++;
        uint64_t span = a->rows[i].t_end - a->rows[i].t_start, most = a->rows[i].size * 8;
        *records += field->cls == DDB_TRACK_ITEM ? 1 : field->cls == DDB_TRACK_SPATIAL ? (a->rows[i].size - DDB_BUCKET_RAW) / (8 + 4 * data_dim) : span < most ? span : most;
    }
    return n;
}

static void compare(dreamdb_snapshot *from, dreamdb_snapshot *to)
{
    told t;
    (void)differ(from, to, &t);
    for (size_t f = 0; f < from->schema.count; f++) {
        ddb_view_field *a = from->fields + f, *b = ddb_view_find(to, a->schema->name);
        ddb_arena arena = { NULL, 0 };
        plain x, y;
        uint64_t records = 0;
        const dreamdb_diff_field *said = of(&t, (const char *)ddb_mem_arena_copy(test_ctx(), &arena, a->schema->name.data, a->schema->name.size));
        CHECK(b && ddb_view_need(test_ctx(), from, &a, 1, DDB_VIEW_TRACK) == DREAMDB_OK && ddb_view_need(test_ctx(), to, &b, 1, DDB_VIEW_TRACK) == DREAMDB_OK);
        CHECK(ddb_track_collect(test_ctx(), from->db->env, &arena, &a->track, NULL, &x.rows, &x.count) == DREAMDB_OK);
        CHECK(ddb_track_collect(test_ctx(), from->db->env, &arena, &b->track, NULL, &y.rows, &y.count) == DREAMDB_OK);
        x.met = (uint8_t *)malloc(x.count + 1); y.met = (uint8_t *)malloc(y.count + 1);
        if (!x.met || !y.met) { exit(1); }
        CHECK_EQ_U64(said->removed.rows, only(&x, &y, &records, a));
        CHECK_EQ_U64(said->removed.records, records);
        CHECK_EQ_U64(said->added.rows, only(&y, &x, &records, a));
        CHECK_EQ_U64(said->added.records, records);
        CHECK(said->rows_known && (said->change == DREAMDB_DIFF_SAME) == (said->added.rows + said->removed.rows == 0));
        free(x.met); free(y.met);
        ddb_mem_arena_free(test_ctx(), &arena);
    }
}

static dreamdb_status gone(dreamdb *db, const uint64_t *anchors, size_t count)
{
    dreamdb_delete_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.anchors = anchors; desc.anchor_count = count;
    return dreamdb_delete(db, &desc, NULL, &data_error);
}

static void random_histories(void)
{
    for (int round = 0; round < 12; round++) {
        dreamdb *db = NULL, *side = NULL;
        dreamdb_config config;
        data_fill(600, round % 2 ? 400 : 0);
        data_page_early = round % 3 != 0;
        data_open();
        db = data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 150);
        config = data_config(&data_inner);
        CHECK(dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK && dreamdb_open(&config, "side", &side, NULL) == DREAMDB_OK);
        for (int i = 0; i < 6; i++) {
            CHECK(data_append(test_rand() % 2 ? db : side, test_rand() % 500, 1 + test_rand() % 90, NULL) == DREAMDB_OK);
        }
        dreamdb_snapshot *states[4] = { view_at(db, NULL), view_at(db, "~1"), view_at(db, "~2"), NULL };
        const dreamdb_info *info = NULL;
        char address[DREAMDB_ADDRESS_TEXT];
        dreamdb_snapshot *other = view_at(side, NULL);
        CHECK(dreamdb_snapshot_info(other, &info, NULL) == DREAMDB_OK);
        dreamdb_address_text(info->manifest, address);
        states[3] = view_at(db, address);
        for (size_t a = 0; a < 4; a++) { for (size_t b = 0; b < 4; b++) { compare(states[a], states[b]); } }
        told t;
        CHECK(dreamdb_diff(states[0], other, tell, &t, NULL, &data_error) == DREAMDB_ERR_ARGUMENT);           /* of two handles */
        dreamdb_snapshot_close(other);
        for (size_t a = 0; a < 4; a++) { dreamdb_snapshot_close(states[a]); }
        dreamdb_close(db); dreamdb_close(side);
        data_close();
        if (!test_ok) { printf("round %d\n", round); return; }
    }
    data_page_early = 0;
}

static void what_is_told(void)
{
    told t;
    dreamdb_diff_report report;
    dreamdb_train_desc train;
    dreamdb_field field;
    uint64_t anchors[400];
    data_fill(600, 0);
    data_open();
    dreamdb *db = data_make(&data_store, DREAMDB_INDEX_IVF, 4, 100);
    dreamdb_snapshot *a = view_at(db, NULL), *b = NULL;
    uint64_t before = data_plan.operations;
    report = differ(a, a, &t);
    CHECK(data_plan.operations == before && t.count == DATA_FIELDS && report.same == DATA_FIELDS && report.fields == DATA_FIELDS);
    CHECK(data_append(db, 100, 20, NULL) == DREAMDB_OK);
    b = view_at(db, NULL);
    report = differ(a, b, &t);
    const dreamdb_diff_field *e = of(&t, "e"), *m = of(&t, "m"), *n = of(&t, "n");
    CHECK(e->change == DREAMDB_DIFF_ROWS && e->exact && e->added.records == 20 && e->removed.rows == 0 && e->added.objects == e->added.rows);
    CHECK(e->added.cells <= 4 && e->added.cells > 0 && e->added.bytes == e->added.rows * DDB_BUCKET_RAW + 20 * (8 + 4 * data_dim));
    CHECK(m->added.records == 20 && m->exact && m->added.rows == 20 && n->added.rows > 1 && n->added.objects == 1 && n->added.bytes > 0);
    CHECK(report.tombstones_added == 0 && report.keys == 0 && report.same == 0);
    report = differ(b, a, &t);
    CHECK(of(&t, "e")->removed.records == 20 && of(&t, "e")->added.rows == 0);
    dreamdb_snapshot_close(a);
    a = b;
    for (size_t i = 0; i < 400; i++) { anchors[i] = i * 7; }
    CHECK(gone(db, anchors, 400) == DREAMDB_OK);
    b = view_at(db, NULL);
    report = differ(a, b, &t);
    CHECK(report.tombstones_added == 400 && report.tombstones_removed == 0 && report.same == DATA_FIELDS);
    dreamdb_snapshot_close(a);
    a = b;
    anchors[0] = 701; anchors[1] = 7;                                /* one more, and one again */
    CHECK(gone(db, anchors, 2) == DREAMDB_OK && dreamdb_set_meta(db, "dreamdb.x", "1", NULL) == DREAMDB_OK);
    memset(&field, 0, sizeof field);
    field.name = "late"; field.kind = DREAMDB_CONSTANT; field.modality = "title.text"; field.value = "hi"; field.value_size = 2;
    CHECK(dreamdb_add_field(db, &field, NULL, &data_error) == DREAMDB_OK);
    memset(&train, 0, sizeof train);
    train.field = "e"; train.k = 3;
    CHECK(dreamdb_train(db, &train, &data_error) == DREAMDB_OK);
    b = view_at(db, NULL);
    report = differ(a, b, &t);
    CHECK(report.tombstones_added == 1 && report.tombstones_removed == 0 && report.pages_read > 0);
    CHECK(report.keys >= 1 && report.keys <= 2);                     /* x, and a calibration where the sample was enough for one */
    CHECK(of(&t, "late")->change == DREAMDB_DIFF_ADDED && of(&t, "late")->added.objects == 1 && of(&t, "e")->change == DREAMDB_DIFF_DEFINITION);
    CHECK(of(&t, "e")->removed.records == 120 && of(&t, "e")->added.records <= 120 && of(&t, "n")->change == DREAMDB_DIFF_SAME);
    report = differ(b, a, &t);
    CHECK(of(&t, "late")->change == DREAMDB_DIFF_REMOVED && of(&t, "late")->removed.rows == 1 && report.tombstones_removed == 1);
    memset(&t, 0, sizeof t);
    t.stop = 2;
    CHECK(dreamdb_diff(a, b, tell, &t, NULL, &data_error) == DREAMDB_ERR_CANCELLED && t.count == 2);
    CHECK(dreamdb_diff(a, b, NULL, NULL, NULL, &data_error) == DREAMDB_ERR_ARGUMENT && dreamdb_diff(a, NULL, tell, &t, NULL, NULL) == DREAMDB_ERR_ARGUMENT);
    dreamdb_snapshot_close(a); dreamdb_snapshot_close(b);
    dreamdb_close(db);
    data_close();
}

/* Of long Tracks in pages only the pages that differ are read. */
static void equal_pages(void)
{
    told t;
    data_page_early = 1;
    data_fill(600, 0);
    data_open();
    dreamdb *db = data_make(&data_store, DREAMDB_INDEX_LSH, 6, 500);
    for (size_t round = 1; round < 6; round++) {
        for (size_t i = 0; i < 500; i++) { data_rows[i].anchor += 10000; data_rows[i].n += 1000; }
        CHECK(data_append(db, 0, 500, NULL) == DREAMDB_OK);
    }
    CHECK(data_append(db, 599, 1, NULL) == DREAMDB_OK);
    dreamdb_snapshot *b = view_at(db, NULL), *a = view_at(db, "~1");
    dreamdb_diff_report report = differ(a, b, &t);
    CHECK(of(&t, "e")->added.records == 1 && of(&t, "m")->added.records == 1 && of(&t, "e")->added.cells == 1);
    CHECK(report.pages_skipped > 2 * report.pages_read / 3 && report.pages_read > 0);
    if (!test_ok) { printf("read %d skipped %d\n", (int)report.pages_read, (int)report.pages_skipped); }
    dreamdb_snapshot_close(a); dreamdb_snapshot_close(b);
    dreamdb_close(db);
    data_close();
    data_page_early = 0;
}

static void stopped(int way)
{
    int good = 0, errors = 0;
    for (long n = 1; n < 6000 && good < 2; n++) {
        told t;
        dreamdb_config config;
        dreamdb *db = NULL;
        dreamdb_snapshot *a = NULL, *b = NULL;
        const uint64_t anchor = 4;
        data_open();
        db = data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 60);
        CHECK(gone(db, &anchor, 1) == DREAMDB_OK);
        dreamdb_close(db);
        config = data_config(&data_store);
        CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK);
        a = view_at(db, "~2"); b = view_at(db, NULL);
        memset(&t, 0, sizeof t);
        data_plan.operations = 0;
        data_plan.fail_at = way ? (uint64_t)n : 0;
        test_fail_alloc_at(way ? 0 : n);
        dreamdb_status status = dreamdb_diff(a, b, tell, &t, NULL, &data_error);
        test_fail_alloc_at(0);
        memset(&data_plan, 0, sizeof data_plan);
        CHECK(status == DREAMDB_OK || (data_error.status == status && status == (way ? DREAMDB_ERR_STORE : DREAMDB_ERR_MEMORY)));
        CHECK(status < 0 || (t.count == DATA_FIELDS && of(&t, "e")->added.records == 10));
        errors += status < 0;
        good = status < 0 ? 0 : good + 1;
        dreamdb_snapshot_close(a); dreamdb_snapshot_close(b);
        dreamdb_close(db);
        data_close();
        if (!test_ok) { printf("way %d, n %ld: %d %s\n", way, n, (int)status, data_error.message); return; }
    }
    CHECK(good == 2 && errors > 2);
}

static void every_step_stopped(void)
{
    data_page_early = 1;
    data_fill(60, 0);
    stopped(0);
    stopped(1);
    data_page_early = 0;
}

int main(void)
{
    RUN(what_is_told);
    RUN(random_histories);
    RUN(equal_pages);
    RUN(every_step_stopped);
    data_unused();
    return test_end("diff");
}
