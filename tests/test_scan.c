/* test_scan.c - room scan: cursors, counts and selects of random datasets against the plain rows, under caches that force many passes;
   deleted rows, repeated anchors, bad scans, parts of media, memory and storage that fail at every step of a cursor. */
#include "dataset.h"

static size_t row_count;
static uint64_t deleted[12];
static size_t deleted_count;

static bool is_deleted(uint64_t anchor)
{
    for (size_t i = 0; i < deleted_count; i++) { if (deleted[i] == anchor) { return true; } }
    return false;
}
static bool has_value(const data_row *row, char field) { return field == 'c' ? row->c[0] != 0 : field == 's' ? row->s[0] != 0 : true; }

/* Is v the value that the rows of one anchor give in one field?  Of scalars the greatest (the last in the Track), of media the newest. */
static bool right_value(const dreamdb_value *v, uint64_t anchor, char field, bool media)
{
    const data_row *best = NULL;
    bool vector = false;
    for (size_t r = 0; r < row_count; r++) {
        const data_row *row = data_rows + r;
        if (row->anchor != anchor || !has_value(row, field)) { continue; }
        vector = vector || (v->data && field == 'e' && memcmp(v->data, row->v, data_dim * 4) == 0);
        bool later = !best || field == 'm' || (field == 'n' && row->n > best->n) || (field == 't' && row->t > best->t);
        later = later || (field == 'f' && row->f > best->f) || (field == 'b' && row->b > best->b);
        later = later || (field == 'c' && strcmp(row->c, best->c) > 0) || (field == 's' && strcmp(row->s, best->s) > 0);
        best = later ? row : best;
    }
    if (!best || !v->present) { return !best && !v->present; }
    const char *text = field == 'c' ? best->c : field == 's' ? best->s : best->m;
    switch (field) {
    case 'e': return vector && v->size == data_dim * 4;
    case 'm': return v->size == strlen(text) && (v->data != NULL) == media && (!v->data || memcmp(v->data, text, v->size) == 0);
    case 'c': case 's': return v->size == strlen(text) && memcmp(v->data, text, v->size) == 0;
    case 'f': return v->real == best->f;
    default: return v->integer == (field == 'n' ? best->n : field == 't' ? best->t : best->b);
    }
}

/* The anchors a scan must give, ascending. */
static size_t model(const dreamdb_scan *scan, const char *fields, uint64_t *out)
{
    size_t count = 0;
    for (size_t r = 0; r < row_count; r++) {
        uint64_t a = data_rows[r].anchor;
        bool in = a >= scan->start && (scan->end == 0 || a < scan->end) && !is_deleted(a), listed = !scan->anchors, value = false;
        for (size_t i = 0; i < scan->anchor_count && !listed; i++) { listed = scan->anchors[i] == a; }
        for (const char *f = fields; *f; f++) { value = value || has_value(data_rows + r, *f); }
        if (in && listed && value && data_meets(scan->where, r, row_count)) { out[count++] = a; }
    }
    if (count > 0) { CHECK(ddb_coll_sort_u64(test_ctx(), out, count) == DREAMDB_OK); }
    return ddb_coll_unique_u64(out, count);
}

/* Reads a cursor to its end, by one or by many, and compares. */
static void read_and_compare(dreamdb_cursor *cursor, const dreamdb_scan *scan, const char *fields, const uint64_t *want, size_t count)
{
    static uint8_t seen[DATA_MOST];
    bool storage = strlen(fields) == 1 && fields[0] == 'e' && scan->order != DREAMDB_ORDER_ANCHOR && !scan->anchors;
    size_t limit = scan->limit > 0 && scan->limit < count ? (size_t)scan->limit : count, given = 0, max = 1 + test_rand() % 50;
    memset(seen, 0, sizeof seen);
    for (;;) {
        dreamdb_row rows[50];
        size_t got = 1;
        dreamdb_status status = test_rand() % 2 ? dreamdb_cursor_next(cursor, rows, &data_error)
            : dreamdb_cursor_rows(cursor, rows, max, &got, &data_error);
        if (status != DREAMDB_OK) {
            CHECK(status == DREAMDB_DONE);
            CHECK(dreamdb_cursor_next(cursor, rows, NULL) == DREAMDB_DONE);
            CHECK(dreamdb_cursor_rows(cursor, rows, 5, &got, NULL) == DREAMDB_DONE);
            CHECK(got == 0);
            break;
        }
        CHECK(got > 0 && got <= max);
        for (size_t i = 0; i < got; i++, given++) {
            size_t at = ddb_coll_lower_u64(want, count, rows[i].anchor);
            CHECK(at < count && want[at] == rows[i].anchor && !seen[at]);
            CHECK(storage || (given < count && want[given] == rows[i].anchor));
            if (at < count) { seen[at] = 1; }
            for (size_t f = 0; fields[f]; f++) { CHECK(right_value(rows[i].values + f, rows[i].anchor, fields[f], scan->load_media != 0)); }
        }
        if (!test_ok) { break; }
    }
    CHECK_EQ_U64(given, limit);
}

static void one_scan(dreamdb_snapshot *view)
{
    static data_tree tree;
    static uint64_t want[DATA_MOST];
    const char *names[DATA_FIELDS];
    char fields[DATA_FIELDS + 1] = "";
    uint64_t list[9];
    dreamdb_scan scan;
    dreamdb_cursor *cursor = NULL;
    memset(&scan, 0, sizeof scan);
    for (size_t f = 0, one = test_rand() % 3; f < DATA_FIELDS; f++) {
        if (one == 0 ? f != 2 : test_rand() % 3 != 0) { continue; }
        names[scan.field_count] = data_names[f];
        fields[scan.field_count++] = data_names[f][0];
    }
    fields[scan.field_count] = 0;
    scan.fields = scan.field_count > 0 ? names : NULL;
    if (!scan.fields) { (void)snprintf(fields, sizeof fields, "bcefmnst"); }
    scan.start = test_rand() % 3 ? 0 : test_rand() % (row_count * 2);
    scan.end = test_rand() % 3 ? 0 : test_rand() % (row_count * 4);
    scan.limit = test_rand() % 4 ? 0 : 1 + test_rand() % 20;
    scan.order = test_rand() % 3 == 0 ? DREAMDB_ORDER_ANCHOR : DREAMDB_ORDER_DEFAULT;
    if (strlen(fields) == 1 && test_rand() % 3 == 0) { scan.order = DREAMDB_ORDER_STORAGE; }
    scan.load_media = (int)(test_rand() % 2);
    tree.node_count = 1; tree.operand_count = 0;
    scan.where = test_rand() % 2 ? data_where(&tree, 0, 2) : NULL;
    for (size_t i = 0; i < 9; i++) { list[i] = i % 3 ? data_rows[test_rand() % row_count].anchor : test_rand() % 2000; }
    if (test_rand() % 4 == 0) { scan.anchors = list; scan.anchor_count = test_rand() % 10; }
    size_t count = model(&scan, fields, want);
    CHECK(dreamdb_scan_open(view, &scan, &cursor, &data_error) == DREAMDB_OK);
    if (!cursor) { printf("%s\n", data_error.message); return; }
    read_and_compare(cursor, &scan, fields, want, count);
    if (!test_ok) { printf("fields %s, %zu wanted, order %d, limit %u\n", fields, count, (int)scan.order, (unsigned)scan.limit); }
    dreamdb_cursor_close(cursor);
    if (!scan.anchors) {
        uint64_t n = 0, *anchors = NULL;
        size_t selected = 0;
        const char *field = strlen(fields) == 1 ? names[0] : NULL;
        if (!field) { count = model(&scan, "n", want); }
        CHECK(dreamdb_count(view, field, scan.where, scan.start, scan.end, &n, NULL) == DREAMDB_OK);
        CHECK_EQ_U64(n, count);
        scan.start = scan.end = 0;
        count = model(&scan, "n", want);
        CHECK(dreamdb_select(view, scan.where, &anchors, &selected, NULL) == DREAMDB_OK && selected == count);
        if (selected == count && count > 0) { CHECK_BYTES(anchors, want, count * 8); }
        dreamdb_anchors_free(view, anchors, selected);
    }
}

static void against_plain_rows(void)
{
    static const uint64_t caches[] = { 0, 4000, 3000, 20000 };
    for (uint32_t i = 0; i < 8 && test_ok; i++) {
        dreamdb_config config = data_config(&data_inner);
        dreamdb_snapshot *view = NULL;
        dreamdb *db = NULL;
        data_dim = 1 + (uint32_t)(test_rand() % 20);
        row_count = 9 + test_rand() % 120;
        data_open();
        data_fill(row_count, i % 3 == 2 ? 30 : 0);
        dreamdb_close(data_make(&data_inner, i % 2 ? DREAMDB_INDEX_LSH : DREAMDB_INDEX_LSH_L2, 3, row_count));
        config.cache_bytes = caches[i % 4];
        CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
        deleted_count = 0;
        for (uint64_t a = 1; i % 2 && deleted_count < 12; a += 1 + test_rand() % 9) { deleted[deleted_count++] = a; }
        if (deleted_count > 0) { data_delete(view, deleted, deleted_count); }
        for (int round = 0; round < 5 && test_ok; round++) { one_scan(view); }
        uint64_t estimate = 0;
        CHECK(dreamdb_count_estimate(view, "e", &estimate, NULL) == DREAMDB_OK && estimate == row_count);
        dreamdb_snapshot_close(view);
        dreamdb_close(db);
        data_close();
    }
    deleted_count = 0;
    data_dim = 4;
}

static void bad_scans(void)
{
    static const char *const two[] = { "e", "n" }, *const none[] = { "none" }, *const twice[] = { "n", "n" };
    dreamdb_snapshot *view = NULL;
    dreamdb_cursor *cursor = NULL;
    dreamdb_row row;
    dreamdb_scan scan;
    uint64_t n = 0;
    size_t got = 0;
    data_open();
    data_fill(20, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 20);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    memset(&scan, 0, sizeof scan);
    scan.fields = two; scan.field_count = 2; scan.order = DREAMDB_ORDER_STORAGE;
    CHECK(dreamdb_scan_open(view, &scan, &cursor, &data_error) == DREAMDB_ERR_ARGUMENT && !cursor);
    CHECK(strstr(data_error.message, "one field"));
    scan.fields = none; scan.field_count = 1;
    dreamdb_status status = dreamdb_scan_open(view, &scan, &cursor, &data_error);
    CHECK((status == DREAMDB_ERR_NOT_FOUND || status == DREAMDB_ERR_ARGUMENT) && !cursor && strstr(data_error.message, "none"));
    CHECK(dreamdb_scan_open(view, NULL, &cursor, NULL) == DREAMDB_ERR_ARGUMENT);
    CHECK(dreamdb_scan_open(NULL, &scan, &cursor, NULL) == DREAMDB_ERR_ARGUMENT);
    memset(&scan, 0, sizeof scan);                           /* a window of nothing, and a list of nothing */
    scan.start = 10; scan.end = 5;
    CHECK(dreamdb_scan_open(view, &scan, &cursor, NULL) == DREAMDB_OK && dreamdb_cursor_next(cursor, &row, NULL) == DREAMDB_DONE);
    dreamdb_cursor_close(cursor);
    memset(&scan, 0, sizeof scan);
    scan.anchors = &n;
    CHECK(dreamdb_scan_open(view, &scan, &cursor, NULL) == DREAMDB_OK);
    CHECK(dreamdb_cursor_rows(cursor, &row, 1, &got, NULL) == DREAMDB_DONE && got == 0);
    dreamdb_cursor_close(cursor);
    memset(&scan, 0, sizeof scan);                           /* one field twice: both columns are filled, or it is refused by name */
    scan.fields = twice; scan.field_count = 2;
    status = dreamdb_scan_open(view, &scan, &cursor, &data_error);
    CHECK(status == DREAMDB_ERR_ARGUMENT || (status == DREAMDB_OK && dreamdb_cursor_next(cursor, &row, NULL) == DREAMDB_OK
        && row.values[0].present && row.values[1].present && row.values[0].integer == row.values[1].integer));
    dreamdb_cursor_close(cursor);
    dreamdb_cursor_close(NULL);
    CHECK(dreamdb_count(view, "none", NULL, 0, 0, &n, NULL) < 0 && dreamdb_count(view, "n", NULL, 9, 9, &n, NULL) == DREAMDB_OK && n == 0);
    CHECK(dreamdb_count_estimate(view, "none", &n, NULL) < 0);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

/* Every range of one payload; rows that are not there. */
static void parts_of_media(void)
{
    dreamdb_snapshot *view = NULL;
    uint8_t part[60];
    size_t got = 0, size = 0;
    const void *constant = NULL;
    data_open();
    data_fill(20, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 20);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    for (size_t at = 0; at < 25; at++) {
        for (size_t n = 0; n < 30; n++) {
            size_t all = strlen(data_rows[7].m), want = at >= all ? 0 : n < all - at ? n : all - at;
            memset(part, 0xee, sizeof part);
            CHECK(dreamdb_media_read(view, "m", data_rows[7].anchor, at, part, n, &got, &data_error) == DREAMDB_OK && got == want);
            CHECK(part[want] == 0xee && (want == 0 || memcmp(part, data_rows[7].m + at, want) == 0));
        }
    }
    CHECK(dreamdb_media_read(view, "m", 2, 0, part, 9, &got, &data_error) == DREAMDB_ERR_NOT_FOUND);
    CHECK(dreamdb_media_read(view, "n", 1, 0, part, 9, &got, NULL) == DREAMDB_ERR_ARGUMENT);
    CHECK(dreamdb_media_read(view, "none", 1, 0, part, 9, &got, NULL) < 0);
    CHECK(dreamdb_constant(view, "none", &constant, &size, NULL) < 0 && dreamdb_constant(view, "n", &constant, &size, NULL) < 0);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

/* One cursor under a fault.  What it gave before is right; after an error it gives nothing more; nothing leaks. */
static dreamdb_status scan_once(const dreamdb_config *config, int shape, size_t *given)
{
    static const char *const vectors[] = { "e" };
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    dreamdb_cursor *cursor = NULL;
    dreamdb_row row;
    dreamdb_scan scan;
    dreamdb_operand operand;
    dreamdb_where where;
    memset(&scan, 0, sizeof scan); memset(&operand, 0, sizeof operand); memset(&where, 0, sizeof where);
    operand.integer = 100;
    where.op = DREAMDB_LT; where.field = "n"; where.operands = &operand; where.operand_count = 1;
    scan.fields = shape == 0 ? vectors : NULL;
    scan.field_count = shape == 0;
    scan.where = shape == 2 ? &where : NULL;
    scan.load_media = shape == 2;
    *given = 0;
    dreamdb_status status = dreamdb_open(config, "main", &db, &data_error);
    if (status == DREAMDB_OK) { status = dreamdb_snapshot_open(db, NULL, &view, &data_error); }
    if (status == DREAMDB_OK) { status = dreamdb_scan_open(view, &scan, &cursor, &data_error); }
    while (status == DREAMDB_OK && (status = dreamdb_cursor_next(cursor, &row, &data_error)) == DREAMDB_OK) {
        for (size_t f = 0; f < (shape ? strlen("bcefmnst") : 1); f++) {
            CHECK(right_value(row.values + f, row.anchor, shape ? "bcefmnst"[f] : 'e', shape == 2));
        }
        ++*given;
    }
    CHECK(status < 0 ? data_error.status == status && data_error.message[0] : status == DREAMDB_DONE && data_error.status == DREAMDB_OK);
    if (cursor && status < 0) {
        data_plan.fail_at = 0;
        test_fail_alloc_at(0);
        size_t got = 9;
        CHECK(dreamdb_cursor_next(cursor, &row, NULL) < 0);
        CHECK(dreamdb_cursor_rows(cursor, &row, 1, &got, NULL) < 0 && got == 0);
    }
    dreamdb_cursor_close(cursor);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    CHECK_EQ_U64(test_live_bytes(), 0);
    return status;
}

static void failures_at_every_step(void)
{
    row_count = 17;
    data_open();
    data_fill(row_count, 0);
    dreamdb_close(data_make(&data_inner, DREAMDB_INDEX_LSH, 2, row_count));
    for (int way = 0; way < 6; way++) {
        int good = 0, errors = 0;
        for (long n = 1; n < 6000 && good < 3; n += 1 + (way % 2 ? n / 5 : n / 30)) {
            dreamdb_config config = data_config(&data_store);
            size_t given = 0;
            config.cache_bytes = 1;                          /* nothing is kept, so every pass reads */
            data_plan.operations = 0;
            data_plan.fail_at = way % 2 ? 0 : (uint64_t)n;
            test_fail_alloc_at(way % 2 ? n : 0);
            dreamdb_status status = scan_once(&config, way / 2, &given);
            test_fail_alloc_at(0);
            CHECK(status == DREAMDB_DONE ? given == row_count : status == (way % 2 ? DREAMDB_ERR_MEMORY : DREAMDB_ERR_STORE));
            errors += status < 0;
            good = status < 0 ? 0 : good + 1;
        }
        CHECK(good == 3 && errors > 5);
    }
    data_plan.fail_at = 0;
    data_close();
}

int main(void)
{
    RUN(against_plain_rows);
    RUN(bad_scans);
    RUN(parts_of_media);
    RUN(failures_at_every_step);
    data_unused();
    return test_end("scan");
}
