/* test_write.c - room write: what a batch or a field may not be, two writers, a stop at every step of every verb (the old state or the new
   one), training that places records anew, fields added later, constants, drawn anchors, cancelling. */
#include "dataset.h"

/* The tip of main as its text, "" without a Ref; and it verifies. */
static void tip_of(char out[DREAMDB_ADDRESS_TEXT])
{
    dreamdb_config config = data_config(&data_inner);
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    const dreamdb_info *info = NULL;
    dreamdb_verify_report report;
    memset(&report, 0, sizeof report);
    out[0] = 0;
    if (dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK) {
        CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && dreamdb_snapshot_info(view, &info, NULL) == DREAMDB_OK);
        dreamdb_address_text(info->manifest, out);
        CHECK(dreamdb_verify(view, UINT64_MAX, NULL, NULL, &report, NULL) == DREAMDB_OK && report.faults == 0);
    }
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
}

static void two_writers(void)
{
    data_open();
    data_fill(30, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 10), *late = NULL, *other = NULL;
    dreamdb_config config = data_config(&data_inner);
    CHECK(dreamdb_open(&config, "main", &other, NULL) == DREAMDB_OK);
    config.store = data_rival_open(20);
    CHECK(dreamdb_open(&config, "main", &late, NULL) == DREAMDB_OK);
    CHECK(data_append(db, 10, 5, NULL) == DREAMDB_OK);
    CHECK(data_append(late, 15, 5, NULL) == DREAMDB_OK);     /* not at the same time: both go in */
    CHECK_EQ_U64(data_count(db), 20);
    data_rival = other;
    CHECK(data_append(late, 25, 5, NULL) == DREAMDB_ERR_CONFLICT && data_error.status == DREAMDB_ERR_CONFLICT);
    CHECK_EQ_U64(data_count(late), 25);                         /* the other's rows, none of ours; the handle has moved */
    CHECK(data_append(late, 25, 5, NULL) == DREAMDB_OK);
    CHECK_EQ_U64(data_count(db), 30);
    dreamdb_close(db); dreamdb_close(late); dreamdb_close(other);
    data_close();
}

/* Batches that break a rule: refused with words, and the tip stays. */
static void bad_batches(void)
{
    static const char *const words[] = { "none", "required", "two columns", "2^64-1", "NaN", "norm is zero", "norm", "row 1", "UTF-8", "" };
    char before[DREAMDB_ADDRESS_TEXT], after[DREAMDB_ADDRESS_TEXT];
    data_open();
    data_fill(10, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 10);
    tip_of(before);
    for (int bad = 0; bad < 10; bad++) {
        float v[12] = { 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0 };
        int64_t numbers[3] = { 1, 2, 3 };
        uint64_t anchors[3] = { 1000, 1001, 1002 };
        uint8_t present[3] = { 1, 0, 1 };
        dreamdb_slice texts[3] = { { "a", 1 }, { "\xff", 1 }, { "c", 1 } };
        dreamdb_column columns[3];
        dreamdb_append_desc desc;
        memset(columns, 0, sizeof columns); memset(&desc, 0, sizeof desc);
        columns[0].field = "e"; columns[0].data = v;
        columns[1].field = bad == 0 ? "none" : bad == 2 ? "e" : bad == 8 ? "s" : "n";
        columns[1].data = bad == 2 ? (void *)v : (void *)numbers;
        if (bad == 8) { columns[1].data = NULL; columns[1].values = texts; }
        if (bad == 3) { anchors[2] = UINT64_MAX; }
        if (bad == 4) { v[5] = ddb_exact_from_bits(0x7fc00000u); }
        if (bad == 5) { v[5] = 0; }
        if (bad == 6) { v[5] = 1e-30f; v[4] = 0; }           /* the norm underflows */
        if (bad == 7) { columns[0].present = present; }
        desc.columns = bad == 1 ? columns + 1 : columns; desc.column_count = bad == 1 ? 1 : 2;
        desc.count = 3; desc.anchors = anchors;
        if (bad == 9) { desc.columns = NULL; }
        dreamdb_status status = dreamdb_append(db, &desc, NULL, &data_error);
        CHECK(status == DREAMDB_ERR_ARGUMENT && data_error.status == status && data_error.message[0]);
        if (!strstr(data_error.message, words[bad])) { printf("bad %d: %s\n", bad, data_error.message); test_ok = 0; }
        tip_of(after);
        CHECK_STR(after, before);
    }
    dreamdb_append_desc none;
    dreamdb_append_report report;
    memset(&none, 0, sizeof none);
    CHECK(dreamdb_append(db, &none, &report, NULL) == DREAMDB_OK && report.rows == 0);       /* nothing: no new Manifest */
    CHECK(dreamdb_append(db, NULL, NULL, NULL) == DREAMDB_ERR_ARGUMENT && dreamdb_append(NULL, &none, NULL, NULL) == DREAMDB_ERR_ARGUMENT);
    tip_of(after);
    CHECK_STR(after, before);
    dreamdb_close(db);
    data_close();
}

static void bad_fields(void)
{
    static const float sample[8] = { 1, 0, 0, 0, 0, 1, 0, 0 };
    data_open();
    dreamdb_config config = data_config(&data_inner);
    for (int bad = 0; bad < 12; bad++) {
        static char longest[400];
        dreamdb_field fields[2];
        dreamdb_create_desc desc;
        dreamdb *db = NULL;
        char tip[DREAMDB_ADDRESS_TEXT];
        memset(fields, 0, sizeof fields); memset(&desc, 0, sizeof desc); memset(longest, 'x', sizeof longest - 1);
        fields[0].name = "a"; fields[0].kind = DREAMDB_INT;
        fields[1].name = "e"; fields[1].kind = DREAMDB_EMBEDDING; fields[1].dim = 4;
        desc.fields = fields; desc.field_count = 2;
        switch (bad) {
        case 0: fields[0].name = NULL; break;
        case 1: fields[0].name = ""; break;
        case 2: fields[0].name = "e"; break;                 /* twice */
        case 3: fields[0].name = longest; break;
        case 4: fields[0].name = "\xff\xfe"; break;
        case 5: fields[0].kind = (dreamdb_kind)99; break;
        case 6: fields[1].dim = 0; break;
        case 7: fields[1].index = DREAMDB_INDEX_IVF; break;  /* no sample */
        case 8: fields[1].train = sample; fields[1].train_count = 2; fields[1].k = 3; break;
        case 9: fields[1].train = sample; fields[1].train_count = 2; fields[1].k = 2; fields[1].key_bits = 300; break;
        case 10: fields[1].bits = 100000; break;
        case 11: fields[1].index = DREAMDB_INDEX_LSH_L2; fields[1].width = -1; break;
        default: fields[0].kind = DREAMDB_CONSTANT; break;   /* no modality */
        }
        dreamdb_status status = dreamdb_create(&config, "main", &desc, &db, &data_error);
        if (status >= 0) { printf("bad field %d is taken\n", bad); test_ok = 0; }
        CHECK(status == data_error.status && data_error.message[0] && !db);
        tip_of(tip);
        CHECK_STR(tip, "");
    }
    static const char *const refs[] = { "", "Main", "a//b", "/a", "a/", "a b", "..", "a.b" };
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
        dreamdb *db = NULL;
        CHECK(dreamdb_open(&config, refs[i], &db, &data_error) == DREAMDB_ERR_ARGUMENT && !db);
    }
    data_close();
}

/* ---- Every verb, stopped at every step ---- */
enum { APPEND, TRAIN, ADD_FIELD, ADD_CONSTANT, SET_META, DELETE, VERBS };

static dreamdb_status run_verb(dreamdb *db, int verb)
{
    dreamdb_train_desc train;
    dreamdb_field field;
    memset(&train, 0, sizeof train); memset(&field, 0, sizeof field);
    if (verb == DELETE) {
        static const dreamdb_operand zero;
        static const dreamdb_where some = { DREAMDB_GE, "n", &zero, 1, NULL, 0 };
        dreamdb_delete_desc gone;
        memset(&gone, 0, sizeof gone);
        gone.where = &some; gone.reason = "a test";
        return dreamdb_delete(db, &gone, NULL, &data_error);
    }
    train.field = "e"; train.k = 3;
    field.name = "later"; field.kind = verb == ADD_FIELD ? DREAMDB_STRING : DREAMDB_CONSTANT;
    if (verb == ADD_CONSTANT) { field.modality = "title.text"; field.value = "a title"; field.value_size = 7; }
    return verb == APPEND ? data_append(db, 20, 10, NULL) : verb == TRAIN ? dreamdb_train(db, &train, &data_error)
         : verb == SET_META ? dreamdb_set_meta(db, "dreamdb.mood", "good", &data_error) : dreamdb_add_field(db, &field, NULL, &data_error);
}

/* way 0: allocation n fails; 1: operation n fails; 2: it is done and its answer lost; 3: that one and all later ones fail. */
static void stop_verb(int verb, int way)
{
    int good = 0, errors = 0;
    for (long n = 1; n < 5000 && good < 2; n += 1 + (way == 0 ? n / 6 : 0)) {
        char before[DREAMDB_ADDRESS_TEXT], after[DREAMDB_ADDRESS_TEXT], last[DREAMDB_ADDRESS_TEXT];
        dreamdb *db = NULL;
        data_open();
        dreamdb_close(data_make(&data_inner, DREAMDB_INDEX_IVF, 2, 20));
        tip_of(before);
        dreamdb_config config = data_config(&data_store);
        CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_OK);
        data_arm(way, n);
        dreamdb_status status = run_verb(db, verb);
        data_disarm(way, status);
        tip_of(after);                                       /* which verifies all of it */
        CHECK(status == DREAMDB_OK ? strcmp(after, before) != 0 : way == 2 || strcmp(after, before) == 0);
        if (status < 0 && strcmp(after, before) == 0) {
            CHECK(run_verb(db, verb) == DREAMDB_OK);         /* the same handle goes on */
            tip_of(last);
            CHECK(strcmp(last, before) != 0);
        }
        errors += status < 0;
        good = status < 0 ? 0 : good + 1;
        dreamdb_close(db);
        data_close();
        if (!test_ok) { printf("verb %d, way %d, n %ld: %s\n", verb, way, n, data_error.message); return; }
    }
    CHECK(good == 2 && errors > 2);
}

static void every_verb_stopped(void)
{
    data_fill(30, 0);
    for (int verb = 0; verb < VERBS; verb++) {
        for (int way = 0; way < 4; way++) { stop_verb(verb, way); }
    }
}

/* A training moves records to new cells: the same rows are found with the same scores, under an index that names its parent. */
static void training_places_anew(void)
{
    dreamdb_query query;
    data_open();
    data_fill(120, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 4, 120);
    memset(&query, 0, sizeof query);
    query.field = "e"; query.vectors = data_rows[2].v; query.top_k = 120; query.exact = 1;
    for (uint32_t k = 1; k < 10; k += 4) {
        dreamdb_snapshot *old = NULL, *view = NULL;
        dreamdb_result *a = NULL, *b = NULL;
        dreamdb_train_desc train;
        ddb_view_field *field = NULL, *was = NULL;
        size_t parents = 0;
        memset(&train, 0, sizeof train);
        train.field = "e"; train.k = k;
        CHECK(dreamdb_snapshot_open(db, NULL, &old, NULL) == DREAMDB_OK && dreamdb_search(old, &query, &a, NULL) == DREAMDB_OK);
        CHECK(dreamdb_train(db, &train, &data_error) == DREAMDB_OK);
        CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && dreamdb_search(view, &query, &b, NULL) == DREAMDB_OK);
        CHECK(a && b && a->count == 120 && b->count == 120);
        for (size_t i = 0; a && b && i < 120; i++) {
            CHECK(ddb_exact_bits(a->hits[i].score) == ddb_exact_bits(b->hits[i].score));
        }
        CHECK(ddb_view_field_named(test_ctx(), view, "e", &field) == DREAMDB_OK);
        CHECK(ddb_view_field_named(test_ctx(), old, "e", &was) == DREAMDB_OK);
        CHECK(field && field->index && ddb_index_k(field->index) == k);
        const ddb_addr *named = ddb_index_parents(field->index, &parents);
        CHECK(parents == 1 + k / 4 && ddb_addr_equal(named, &was->registry.index));     /* and its parents after it */
        dreamdb_result_free(a); dreamdb_result_free(b);
        dreamdb_snapshot_close(old); dreamdb_snapshot_close(view);
    }
    dreamdb_train_desc bad;
    memset(&bad, 0, sizeof bad);
    bad.field = "none";
    CHECK(dreamdb_train(db, &bad, &data_error) < 0);
    bad.field = "n";
    CHECK(dreamdb_train(db, &bad, &data_error) == DREAMDB_ERR_ARGUMENT);
    bad.field = "e"; bad.k = 1000;
    CHECK(dreamdb_train(db, &bad, &data_error) == DREAMDB_ERR_ARGUMENT);     /* more cells than rows */
    dreamdb_close(db);
    data_close();
}

static int twice_left;                            /* puts of refs that a store sends a second time, because it heard no answer */
static int twice_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    int status = data_inner.put(user, path, data, size, condition);
    if (strncmp(path, "refs/", 5) != 0 || twice_left == 0) { return status; }
    if (twice_left-- == 2) { return DREAMDB_ERR_STORE; }
    return data_inner.put(user, path, data, size, condition);
}

/* A create whose answer is lost has made the dataset, whether the store asks again (EXISTS) or not (STORE); a second create has not. */
static void a_lost_answer_of_a_create(void)
{
    for (int way = 0; way < 2; way++) {
        dreamdb *db = NULL, *again = NULL;
        data_open();
        data_fill(10, 0);
        dreamdb_store store = data_inner;
        store.batch = NULL;
        store.put = twice_put;
        dreamdb_config config = data_config(&store);
        twice_left = 1 + way;
        CHECK(data_create(&config, DREAMDB_INDEX_LSH, 3, &db) == DREAMDB_OK && db);
        twice_left = 0;
        CHECK(data_create(&config, DREAMDB_INDEX_LSH, 3, &again) == DREAMDB_ERR_EXISTS && !again);
        CHECK(db && data_append(db, 0, 10, NULL) == DREAMDB_OK && data_count(db) == 10);
        if (db && way == 1) {
            twice_left = 2;
            CHECK(dreamdb_branch(db, NULL, "side", &data_error) == DREAMDB_OK);
            twice_left = 0;
            CHECK(dreamdb_branch(db, NULL, "side", &data_error) == DREAMDB_ERR_EXISTS);
        }
        dreamdb_close(db);
        data_close();
    }
}

static void fields_and_names_later(void)
{
    dreamdb_snapshot *view = NULL;
    dreamdb_field field;
    dreamdb_config config = data_config(&data_inner);
    dreamdb *copy = NULL;
    const void *value = NULL;
    size_t size = 0;
    data_open();
    data_fill(30, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 20);
    CHECK(run_verb(db, ADD_CONSTANT) == DREAMDB_OK && run_verb(db, ADD_CONSTANT) == DREAMDB_ERR_EXISTS);
    memset(&field, 0, sizeof field);
    field.name = "v"; field.kind = DREAMDB_EMBEDDING; field.dim = 4;
    CHECK(dreamdb_add_field(db, &field, NULL, &data_error) < 0 && data_error.message[0] != 0);          /* a layer needs samples and a compressor */
    field.name = "n"; field.kind = DREAMDB_INT;
    CHECK(dreamdb_add_field(db, &field, NULL, &data_error) == DREAMDB_ERR_EXISTS);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    CHECK(dreamdb_constant(view, "later", &value, &size, NULL) == DREAMDB_OK && size == 7 && memcmp(value, "a title", 7) == 0);
    dreamdb_snapshot_close(view);
    CHECK(dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK && dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_ERR_EXISTS);
    CHECK(dreamdb_keep(db, "v1", NULL) == DREAMDB_OK && dreamdb_keep(db, "v1", NULL) == DREAMDB_ERR_EXISTS);
    CHECK(dreamdb_open(&config, "side", &copy, NULL) == DREAMDB_OK && data_append(copy, 20, 10, NULL) == DREAMDB_OK);
    CHECK(data_count(copy) == 30 && data_count(db) == 20);         /* a branch of its own */
    CHECK(dreamdb_ref_delete(&config, "side", NULL) == DREAMDB_OK && dreamdb_ref_delete(&config, "side", NULL) == DREAMDB_ERR_NOT_FOUND);
    CHECK(dreamdb_set_meta(db, "mood", "x", NULL) == DREAMDB_ERR_ARGUMENT && dreamdb_set_meta(db, NULL, "x", NULL) == DREAMDB_ERR_ARGUMENT);
    dreamdb_close(copy);
    dreamdb_close(db);
    data_close();
}

static int no_more(void *user, const dreamdb_progress *progress) { CHECK(progress->verb[0]); return --*(int *)user < 0; }

/* Drawn anchors stand above all there are; a callback that says no leaves the old state. */
static void drawn_anchors_and_cancelling(void)
{
    int64_t numbers[4] = { 1, 2, 3, 4 };
    char before[DREAMDB_ADDRESS_TEXT], after[DREAMDB_ADDRESS_TEXT];
    dreamdb_column columns[2];
    dreamdb_append_desc desc;
    dreamdb_append_report report;
    uint64_t last = 0;
    data_open();
    data_fill(20, 0);
    data_rows[7].anchor = UINT64_C(1) << 62;                 /* beyond the clock */
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 20);
    memset(columns, 0, sizeof columns); memset(&desc, 0, sizeof desc);
    columns[0].field = "e"; columns[0].data = data_rows[0].v; columns[0].stride = sizeof(data_row);
    columns[1].field = "n"; columns[1].data = numbers;
    desc.columns = columns; desc.column_count = 2; desc.count = 4;
    for (int i = 0; i < 3; i++) {
        CHECK(dreamdb_append(db, &desc, &report, &data_error) == DREAMDB_OK && report.rows == 4 && report.anchor_first > last);
        CHECK(report.anchor_first > UINT64_C(1) << 62 && report.objects > 0);
        last = report.anchor_first + 3000;
    }
    CHECK_EQ_U64(data_count(db), 32);
    dreamdb_close(db);
    tip_of(before);
    for (int calls = 0; calls < 2; calls++) {
        dreamdb_config config = data_config(&data_inner);
        int left = calls;
        config.progress = no_more;
        config.progress_user = &left;
        CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK);
        CHECK(dreamdb_append(db, &desc, NULL, &data_error) == DREAMDB_ERR_CANCELLED && data_error.status == DREAMDB_ERR_CANCELLED);
        dreamdb_close(db);
        tip_of(after);
        CHECK_STR(after, before);
    }
    data_close();
}

int main(void)
{
    RUN(two_writers);
    RUN(bad_batches);
    RUN(bad_fields);
    RUN(every_verb_stopped);
    RUN(training_places_anew);
    RUN(fields_and_names_later);
    RUN(a_lost_answer_of_a_create);
    RUN(drawn_anchors_and_cancelling);
    data_unused();
    return test_end("write");
}
