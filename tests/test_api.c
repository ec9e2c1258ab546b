/* test_api.c - rooms view to api through the public functions: what a second reader broke once. */
#include "test.h"

static dreamdb_store store;
static dreamdb_error why;

static int count_ref(void *user, const char *ref, const uint8_t *address, int is_tag)
{
    (void)ref; (void)address; (void)is_tag;
    ++*(int *)user;
    return 0;
}

static int refs_in(dreamdb_store *on)
{
    int n = 0;
    dreamdb_config config = test_config(on);
    CHECK(dreamdb_refs(&config, count_ref, &n, NULL) == DREAMDB_OK);
    return n;
}

/* Centroids without a direction: refused before the Ref is made. */
static void bad_samples_make_no_dataset(void)
{
    static const float opposite[16] = { 1, 0, 0, 0, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0, 0, 0 };
    static const float zero[32] = { 0 };
    for (int i = 0; i < 2; i++) {
        dreamdb_field field;
        dreamdb_create_desc desc;
        dreamdb *db = NULL;
        dreamdb_allocator allocator = test_allocator();
        CHECK(dreamdb_store_memory(&allocator, &store, NULL) == DREAMDB_OK);
        dreamdb_config config = test_config(&store);
        memset(&field, 0, sizeof field);
        memset(&desc, 0, sizeof desc);
        field.name = "e";
        field.kind = DREAMDB_EMBEDDING;
        field.dim = 8;
        field.train = i ? zero : opposite;
        field.train_count = i ? 4 : 2;
        field.k = 1;
        desc.fields = &field;
        desc.field_count = 1;
        CHECK(dreamdb_create(&config, "main", &desc, &db, &why) == DREAMDB_ERR_ARGUMENT);
        CHECK(db == NULL && refs_in(&store) == 0);
        dreamdb_store_close(&store);
    }
}

/* A constant that cannot be added fails the create as a whole. */
static void bad_constants_make_no_dataset(void)
{
    dreamdb_field fields[2];
    dreamdb_create_desc desc;
    dreamdb *db = NULL;
    dreamdb_allocator allocator = test_allocator();
    CHECK(dreamdb_store_memory(&allocator, &store, NULL) == DREAMDB_OK);
    dreamdb_config config = test_config(&store);
    memset(fields, 0, sizeof fields);
    memset(&desc, 0, sizeof desc);
    fields[0].name = fields[1].name = "n";
    fields[0].kind = DREAMDB_INT;
    fields[1].kind = DREAMDB_CONSTANT;
    fields[1].modality = "title.text";
    fields[1].value = "x";
    fields[1].value_size = 1;
    desc.fields = fields;
    desc.field_count = 2;
    CHECK(dreamdb_create(&config, "main", &desc, &db, &why) == DREAMDB_ERR_EXISTS);
    CHECK(db == NULL && refs_in(&store) == 0);
    dreamdb_store_close(&store);
}

static dreamdb *hundred_rows(dreamdb_store *on)
{
    static float vectors[120 * 4];
    static int64_t numbers[120];
    uint64_t anchors[120];
    dreamdb_field fields[2];
    dreamdb_create_desc desc;
    dreamdb_column columns[2];
    dreamdb_append_desc append;
    dreamdb *db = NULL;
    dreamdb_config config = test_config(on);
    memset(fields, 0, sizeof fields);
    memset(&desc, 0, sizeof desc);
    memset(columns, 0, sizeof columns);
    memset(&append, 0, sizeof append);
    for (int i = 0; i < 120; i++) {
        anchors[i] = (uint64_t)i;
        numbers[i] = i / 8;
        for (int d = 0; d < 4; d++) { vectors[i * 4 + d] = test_randf(); }
    }
    fields[0].name = "e"; fields[0].kind = DREAMDB_EMBEDDING; fields[0].dim = 4; fields[0].bits = 3;
    fields[1].name = "n"; fields[1].kind = DREAMDB_INT;
    desc.fields = fields; desc.field_count = 2;
    CHECK(dreamdb_create(&config, "main", &desc, &db, &why) == DREAMDB_OK);
    columns[0].field = "e"; columns[0].data = vectors;
    columns[1].field = "n"; columns[1].data = numbers;
    append.columns = columns; append.column_count = 2; append.count = 120; append.anchors = anchors;
    CHECK(dreamdb_append(db, &append, NULL, &why) == DREAMDB_OK);
    return db;
}

/* Whatever read fails: the cursor says so once, and never gives a short or half filled answer afterwards. */
static void a_failed_cursor_stays_failed(void)
{
    dreamdb_allocator allocator = test_allocator();
    int failures = 0;
    for (uint64_t at = 1; at < 60; at++) {
        dreamdb_fault plan;
        dreamdb_store faulty;
        dreamdb *db = NULL;
        dreamdb_snapshot *view = NULL;
        dreamdb_cursor *cursor = NULL;
        dreamdb_scan scan;
        dreamdb_row row;
        memset(&plan, 0, sizeof plan);
        memset(&scan, 0, sizeof scan);
        CHECK(dreamdb_store_memory(&allocator, &store, NULL) == DREAMDB_OK);
        dreamdb_close(hundred_rows(&store));
        CHECK(dreamdb_store_fault(&store, &plan, &allocator, &faulty, NULL) == DREAMDB_OK);
        dreamdb_config config = test_config(&faulty);
        config.cache_bytes = 1;                              /* nothing is kept, so every pass reads */
        plan.fail_at = at;
        if (dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK
            && dreamdb_scan_open(view, &scan, &cursor, NULL) == DREAMDB_OK) {
            dreamdb_status status = DREAMDB_OK;
            uint64_t rows = 0;
            while ((status = dreamdb_cursor_next(cursor, &row, NULL)) == DREAMDB_OK) {
                CHECK(row.anchor == rows && row.values[0].present && row.values[1].present);
                rows++;
            }
            if (status < 0) {
                failures++;
                CHECK(dreamdb_cursor_next(cursor, &row, NULL) < 0);
            } else {
                CHECK_EQ_U64(rows, 120);
            }
        }
        dreamdb_cursor_close(cursor);
        dreamdb_snapshot_close(view);
        dreamdb_close(db);
        dreamdb_store_close(&faulty);
        dreamdb_store_close(&store);
    }
    CHECK(failures > 0);
}

/* A list longer than the data costs what the data costs, and gives every row once. */
static void a_huge_top_k_gives_what_there_is(void)
{
    dreamdb_allocator allocator = test_allocator();
    dreamdb_snapshot *view = NULL;
    dreamdb_result *result = NULL;
    dreamdb_query query;
    static const float q[4] = { 1, 0, 0, 0 };
    CHECK(dreamdb_store_memory(&allocator, &store, NULL) == DREAMDB_OK);
    dreamdb *db = hundred_rows(&store);
    memset(&query, 0, sizeof query);
    query.field = "e";
    query.vectors = q;
    query.top_k = 4000000000u;
    query.exact = 1;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    CHECK(dreamdb_search(view, &query, &result, &why) == DREAMDB_OK && result && result->count == 120);
    dreamdb_result_free(result);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    dreamdb_store_close(&store);
}

int main(void)
{
    RUN(bad_samples_make_no_dataset);
    RUN(bad_constants_make_no_dataset);
    RUN(a_failed_cursor_stays_failed);
    RUN(a_huge_top_k_gives_what_there_is);
    test_ok = 1;
    test_name = "leaks";
    CHECK_EQ_U64(test_live_bytes(), 0);
    test_passed += test_ok;
    test_failed += !test_ok;
    return test_end("api");
}
