/* test_view.c - room view: snapshots stay as they were while the Ref moves; labels, ~n, addresses; Refs to nowhere; indexes that pile up;
   handles and views under failing memory and storage, and from many threads. */
#include "dataset.h"

static uint64_t rows_in(dreamdb_snapshot *view)
{
    uint64_t n = UINT64_MAX;
    CHECK(dreamdb_count(view, "e", NULL, 0, 0, &n, &data_error) == DREAMDB_OK);
    return n;
}
static void address_of(dreamdb_snapshot *view, char out[DREAMDB_ADDRESS_TEXT])
{
    const dreamdb_info *info = NULL;
    CHECK(dreamdb_snapshot_info(view, &info, NULL) == DREAMDB_OK);
    dreamdb_address_text(info->manifest, out);
}

/* Ten states; each is opened by every name it has, while the tip is elsewhere. */
static void states_have_names(void)
{
    enum { STATES = 8 };
    dreamdb_snapshot *views[STATES];
    char address[STATES][DREAMDB_ADDRESS_TEXT], state[80];
    dreamdb *db = NULL, *other = NULL;
    data_open();
    data_fill(STATES * 5, 0);
    dreamdb_config config = data_config(&data_inner);
    CHECK(data_create(&config, DREAMDB_INDEX_LSH, 3, &db) == DREAMDB_OK && dreamdb_open(&config, "main", &other, NULL) == DREAMDB_OK);
    for (size_t i = 0; i < STATES; i++) {
        CHECK(data_append(i % 2 ? db : other, i * 5, 5, NULL) == DREAMDB_OK);
        CHECK(dreamdb_snapshot_open(db, i % 3 ? NULL : "", views + i, NULL) == DREAMDB_OK);
        address_of(views[i], address[i]);
        (void)snprintf(state, sizeof state, "s%u", (unsigned)i);
        CHECK(dreamdb_keep(db, state, NULL) == DREAMDB_OK);
    }
    for (size_t i = 0; i < STATES; i++) {
        char label_name[80], back_name[80], back[DREAMDB_ADDRESS_TEXT];
        const char *names[3];
        CHECK_EQ_U64(rows_in(views[i]), (i + 1) * 5);        /* opened when it was the tip, asked when it is not */
        (void)snprintf(label_name, 80, "@s%u", (unsigned)i);
        (void)snprintf(back_name, 80, "~%u", (unsigned)(STATES - 1 - i));
        names[0] = label_name; names[1] = back_name; names[2] = address[i];
        for (int n = 0; n < 3; n++) {
            dreamdb_snapshot *view = NULL;
            CHECK(dreamdb_snapshot_open(other, names[n], &view, &data_error) == DREAMDB_OK);
            if (!view) { printf("%s: %s\n", names[n], data_error.message); continue; }
            CHECK_EQ_U64(rows_in(view), (i + 1) * 5);
            address_of(view, back);
            CHECK_STR(back, address[i]);
            dreamdb_snapshot_close(view);
        }
        (void)snprintf(state, sizeof state, "main@s%u", (unsigned)i);
        dreamdb *label = NULL;
        dreamdb_snapshot *view = NULL;
        CHECK(dreamdb_open(&config, state, &label, &data_error) == DREAMDB_OK);
        CHECK(dreamdb_snapshot_open(label, NULL, &view, NULL) == DREAMDB_OK);
        if (view) { CHECK_EQ_U64(rows_in(view), (i + 1) * 5); }
        dreamdb_snapshot_close(view);
        dreamdb_close(label);
    }
    static const char *const bad[] = { "@none", "~100", "~", "~-1", "~1x", "~99999999999999999999", "nonsense", "@", "@Bad Label", "~~1",
        "d3obm4nsvvabqiwmnnnukcjb6mqt3gijrt4u44z7aan3vbzuzsk74" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dreamdb_snapshot *view = NULL;
        dreamdb_status status = dreamdb_snapshot_open(db, bad[i], &view, &data_error);
        CHECK(status < 0 && !view && data_error.status == status && data_error.message[0]);
    }
    for (size_t i = 0; i < STATES; i++) { dreamdb_snapshot_close(views[i]); }
    dreamdb_close(db); dreamdb_close(other);
    data_close();
}

/* The Ref names a Manifest that is gone, or is no Ref at all. */
static void refs_to_nowhere(void)
{
    char path[100] = "manifests/";
    size_t size = 0;
    dreamdb_config config = data_config(&data_inner);
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    data_open();
    data_fill(5, 0);
    db = data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 5);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    address_of(view, path + 10);
    uint8_t *manifest = data_take(path, &size);
    CHECK(data_inner.remove(data_inner.user, path) == DREAMDB_OK);
    CHECK_EQ_U64(rows_in(view), 5);                          /* what is open stays open */
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_ERR_CORRUPT && !db && strstr(data_error.message, path + 10));
    CHECK_STR(data_error.path, "main");
    data_put(path, manifest, size / 2);
    CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_ERR_CORRUPT && !db && strstr(data_error.path, path));
    data_put(path, manifest, size);
    CHECK(dreamdb_open(&config, "none", &db, &data_error) == DREAMDB_ERR_NOT_FOUND && !db);
    uint8_t *ref = data_take("refs/main", &size);
    for (size_t cut = 0; cut < size; cut++) {
        data_put("refs/main", ref, cut);
        CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_ERR_CORRUPT && !db);
    }
    data_put("refs/main", ref, size);
    CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_OK);
    dreamdb_close(db);
    free(ref); free(manifest);
    data_close();
}

/* A year of trainings: unused indexes go, those in use stay; old views still search. */
static void indexes_do_not_pile_up(void)
{
    dreamdb_snapshot *old = NULL;
    dreamdb_query query;
    data_open();
    data_fill(30, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 30);
    memset(&query, 0, sizeof query);
    query.field = "e"; query.vectors = data_rows[0].v; query.top_k = 30; query.exact = 1;
    for (uint32_t i = 0; i < 40; i++) {
        dreamdb_snapshot *view = NULL;
        dreamdb_result *found = NULL;
        dreamdb_train_desc train;
        memset(&train, 0, sizeof train);
        train.field = "e"; train.k = 2; train.seed = i;
        if (i == 3) { CHECK(dreamdb_snapshot_open(db, NULL, &old, NULL) == DREAMDB_OK); }
        if (i == 3) { CHECK(dreamdb_search(old, &query, &found, NULL) == DREAMDB_OK); }
        dreamdb_result_free(found);
        found = NULL;
        CHECK(dreamdb_train(db, &train, &data_error) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
        CHECK(dreamdb_search(view, &query, &found, &data_error) == DREAMDB_OK && found && found->count == 30);
        dreamdb_result_free(found);
        dreamdb_snapshot_close(view);
        CHECK(db->index_count <= DDB_VIEW_INDEXES + 2);
    }
    dreamdb_result *found = NULL;
    CHECK(dreamdb_search(old, &query, &found, NULL) == DREAMDB_OK && found && found->count == 30);
    dreamdb_result_free(found);
    dreamdb_snapshot_close(old);
    dreamdb_close(db);
    data_close();
}

/* What other programs put into the registry goes through our appends untouched. */
static void meta_is_kept(void)
{
    const dreamdb_info *info = NULL;
    dreamdb_snapshot *view = NULL;
    int found = 0;
    data_open();
    data_fill(20, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 10);
    CHECK(dreamdb_set_meta(db, "dreamdb.note", "kept", &data_error) == DREAMDB_OK && data_append(db, 10, 10, NULL) == DREAMDB_OK);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && dreamdb_snapshot_info(view, &info, NULL) == DREAMDB_OK);
    for (size_t i = 0; i < info->meta_count; i++) {
        found += strcmp(info->meta[i].key, "dreamdb.note") == 0 && info->meta[i].text && strcmp(info->meta[i].text, "kept") == 0;
    }
    CHECK(found == 1);
    for (size_t i = 1; i < info->field_count; i++) { CHECK(strcmp(info->fields[i - 1].name, info->fields[i].name) < 0); }
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

/* Opening and describing a view while the Nth allocation or storage operation fails. */
static void failures_at_every_step(void)
{
    data_open();
    data_fill(12, 0);
    dreamdb_close(data_make(&data_inner, DREAMDB_INDEX_IVF, 2, 12));
    for (int storage = 0; storage < 2; storage++) {
        int good = 0, errors = 0;
        for (long n = 1; n < 900 && good < 3; n++) {
            static const char *const states[] = { NULL, "~1" };
            dreamdb_config config = data_config(&data_store);
            dreamdb *db = NULL;
            dreamdb_snapshot *view = NULL;
            const dreamdb_info *info = NULL;
            data_plan.operations = 0;
            data_plan.fail_at = storage ? (uint64_t)n : 0;
            test_fail_alloc_at(storage ? 0 : n);
            dreamdb_status status = dreamdb_open(&config, "main", &db, &data_error);
            for (int i = 0; i < 2 && status == DREAMDB_OK; i++) {
                status = dreamdb_snapshot_open(db, states[i], &view, &data_error);
                if (status == DREAMDB_OK) { status = dreamdb_snapshot_info(view, &info, &data_error); }
                dreamdb_snapshot_close(view);
                view = NULL;
            }
            test_fail_alloc_at(0);
            CHECK(status == DREAMDB_OK || (status == data_error.status && status == (storage ? DREAMDB_ERR_STORE : DREAMDB_ERR_MEMORY)));
            errors += status < 0;
            good = status < 0 ? 0 : good + 1;
            dreamdb_close(db);
            CHECK_EQ_U64(test_live_bytes(), 0);
        }
        CHECK(good == 3 && errors > 3);
    }
    data_plan.fail_at = 0;
    data_close();
}

#ifndef DREAMDB_NO_THREADS
static uint64_t wrong;
static void *opens(void *user)
{
    for (int i = 0; i < 60; i++) {
        dreamdb_snapshot *view = NULL;
        uint64_t n = 0;
        bool good = dreamdb_snapshot_open((dreamdb *)user, NULL, &view, NULL) == DREAMDB_OK
            && dreamdb_count(view, "e", NULL, 0, 0, &n, NULL) == DREAMDB_OK && n >= 10 && n % 10 == 0;
        (void)ddb_port_atomic_add(&wrong, !good);
        dreamdb_snapshot_close(view);
    }
    return NULL;
}

/* Readers open views of one handle while its writer appends: each sees whole batches. */
static void readers_beside_a_writer(void)
{
    pthread_t threads[3];
    data_open();
    data_fill(200, 0);
    dreamdb *db = NULL;
    dreamdb_config config = data_config(&data_inner);
    CHECK(data_create(&config, DREAMDB_INDEX_LSH, 3, &db) == DREAMDB_OK && data_append(db, 0, 10, NULL) == DREAMDB_OK);
    for (int i = 0; i < 3; i++) { CHECK(pthread_create(threads + i, NULL, opens, db) == 0); }
    for (size_t i = 1; i < 20; i++) { CHECK(data_append(db, i * 10, 10, NULL) == DREAMDB_OK); }
    for (int i = 0; i < 3; i++) { (void)pthread_join(threads[i], NULL); }
    CHECK_EQ_U64(wrong, 0);
    dreamdb_close(db);
    data_close();
}
#endif

int main(void)
{
    RUN(states_have_names);
    RUN(refs_to_nowhere);
    RUN(indexes_do_not_pile_up);
    RUN(meta_is_kept);
    RUN(failures_at_every_step);
#ifndef DREAMDB_NO_THREADS
    RUN(readers_beside_a_writer);
#endif
    data_unused();
    return test_end("view");
}
