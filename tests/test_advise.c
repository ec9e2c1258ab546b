/* Room advise: a dataset that needs something is told so, one that needs nothing is not, and what was recommended is silent once it is done. */
#include "test.h"

enum { DIM = 4, MOST = 40000 };
static dreamdb_store inner, store;
static dreamdb_fault plan;
static dreamdb_error error;
static uint64_t clock_now;
static uint64_t next_anchor;

static uint64_t now(void *user) { (void)user; return clock_now += 1000; }

typedef struct told { int counts[8]; char field[8][64]; char reason[8][200]; int urgent[8]; uint32_t threshold[8]; int stop; } told;

static int take(void *user, const dreamdb_advice *a)
{
    told *t = (told *)user;
    if (getenv("ADVISE_SHOW")) { printf("%d %s: %s\n", a->action, a->field ? a->field : "-", a->reason); }
    t->counts[a->action]++;
    (void)snprintf(t->field[a->action], 64, "%s", a->field ? a->field : "-");
    (void)snprintf(t->reason[a->action], 200, "%s", a->reason);
    t->urgent[a->action] = a->urgent;
    t->threshold[a->action] = a->threshold;
    return t->stop;
}

static told ask(dreamdb *db, int no_listing)
{
    dreamdb_snapshot *view = NULL;
    dreamdb_recommend_desc desc;
    told t;
    memset(&t, 0, sizeof t);
    memset(&desc, 0, sizeof desc);
    desc.no_listing = no_listing;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
    dreamdb_status status = dreamdb_recommend(view, &desc, take, &t, &error);
    if (status < 0) { printf("%s\n", error.message); }
    CHECK(status == DREAMDB_OK);
    dreamdb_snapshot_close(view);
    return t;
}

static int total(const told *t)
{
    int n = 0;
    for (int i = 0; i < 8; i++) { n += t->counts[i]; }
    return n;
}

static dreamdb *begin(dreamdb_index_kind index, uint32_t k, int label)
{
    static float sample[200 * DIM];
    dreamdb_config config;
    dreamdb_field fields[2];
    dreamdb_create_desc desc;
    dreamdb *db = NULL;
    memset(&plan, 0, sizeof plan);
    CHECK(dreamdb_store_memory(NULL, &inner, NULL) == DREAMDB_OK);
    CHECK(dreamdb_store_fault(&inner, &plan, NULL, &store, NULL) == DREAMDB_OK);
    config = test_config(&store);
    config.now_ns = now;
    clock_now = ddb_port_now_ns();                /* states have the times of the store */
    next_anchor = 0;
    memset(fields, 0, sizeof fields);
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < 200 * DIM; i++) { sample[i] = test_randf(); }
    fields[0].name = "e"; fields[0].kind = DREAMDB_EMBEDDING; fields[0].dim = DIM; fields[0].index = index;
    if (index == DREAMDB_INDEX_IVF) { fields[0].train = sample; fields[0].train_count = 200; fields[0].k = k; } else { fields[0].bits = k; }
    fields[1].name = "label"; fields[1].kind = DREAMDB_CATEGORICAL;
    desc.fields = fields; desc.field_count = label ? 2 : 1;
    CHECK(dreamdb_create(&config, "main", &desc, &db, &error) == DREAMDB_OK);
    if (!db) { printf("%s\n", error.message); exit(1); }
    return db;
}

static void end(dreamdb *db)
{
    dreamdb_close(db);
    dreamdb_store_close(&store);
    dreamdb_store_close(&inner);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* narrow: all near one direction. */
static void append(dreamdb *db, size_t count, int narrow, int label, int hot)
{
    static float vectors[MOST * DIM];
    static uint64_t anchors[MOST];
    static dreamdb_slice labels[MOST];
    dreamdb_column columns[2];
    dreamdb_append_desc desc;
    memset(columns, 0, sizeof columns);
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) {
        for (size_t d = 0; d < DIM; d++) { vectors[i * DIM + d] = narrow ? 1 + 0.05f * (float)d + 0.05f * test_randf() : test_randf(); }
        anchors[i] = next_anchor++;
        labels[i].data = i % 2 ? "odd" : "even"; labels[i].size = i % 2 ? 3 : 4;
    }
    columns[0].field = "e"; columns[0].data = vectors; columns[1].field = "label"; columns[1].values = labels;
    desc.columns = columns; desc.column_count = label ? 2 : 1; desc.count = count; desc.anchors = anchors; desc.hot = hot;
    desc.hot_seconds = hot ? 100000 : 0;
    CHECK(dreamdb_append(db, &desc, NULL, &error) == DREAMDB_OK);
}

static void fragments(void)
{
    dreamdb_compact_desc desc;
    dreamdb *db = begin(DREAMDB_INDEX_IVF, 9, 1);
    told t = ask(db, 0);
    CHECK(total(&t) == 0);                         /* empty */
    append(db, 80, 0, 1, 0);
    t = ask(db, 0);
    CHECK(total(&t) == 0);
    for (int i = 0; i < 40; i++) { append(db, 60, 0, 1, 0); }
    t = ask(db, 0);
    CHECK(t.counts[DREAMDB_ACTION_COMPACT] == 2 && total(&t) == 2 && t.urgent[DREAMDB_ACTION_COMPACT]);
    CHECK_STR(t.field[DREAMDB_ACTION_COMPACT], "label");
    CHECK_STR(t.reason[DREAMDB_ACTION_COMPACT], "82 rows for 2 values");
    CHECK(t.threshold[DREAMDB_ACTION_COMPACT] == 2);
    memset(&desc, 0, sizeof desc);
    desc.field = "e";
    CHECK(dreamdb_compact(db, &desc, NULL, &error) == DREAMDB_OK);
    t = ask(db, 0);
    CHECK(t.counts[DREAMDB_ACTION_COMPACT] == 1);
    desc.field = "label";
    CHECK(dreamdb_compact(db, &desc, NULL, &error) == DREAMDB_OK);
    t = ask(db, 0);
    CHECK(total(&t) == 0);
    end(db);
}

static void index_of_all_kinds(void)
{
    dreamdb_rebuild_desc rebuild;
    memset(&rebuild, 0, sizeof rebuild);
    dreamdb *db = begin(DREAMDB_INDEX_IVF, 40, 0);
    append(db, 300, 0, 0, 0);
    append(db, 2000, 1, 0, 0);                     /* some cells take it all */
    told t = ask(db, 0);
    CHECK(t.counts[DREAMDB_ACTION_ADA_STEP] == 1 && total(&t) == 1);
    for (int i = 0; i < 20 && t.counts[DREAMDB_ACTION_ADA_STEP]; i++) {
        CHECK(dreamdb_ada_step(db, NULL, NULL, &error) == DREAMDB_OK);
        t = ask(db, 0);
    }
    CHECK(total(&t) == 0);
    end(db);
    db = begin(DREAMDB_INDEX_IVF, 4, 0);
    append(db, 5000, 0, 0, 0);                     /* 4 cells, the square root is 70 */
    t = ask(db, 0);
    CHECK(t.counts[DREAMDB_ACTION_ADA_STEP] == 1 && total(&t) == 1);
    for (int i = 0; i < 20 && t.counts[DREAMDB_ACTION_ADA_STEP]; i++) {
        CHECK(dreamdb_ada_step(db, NULL, NULL, &error) == DREAMDB_OK);
        t = ask(db, 0);
    }
    CHECK(total(&t) == 0);
    rebuild.k = 4; rebuild.key_bits = DREAMDB_KEY_BITS_AUTO;
    CHECK(dreamdb_rebuild(db, &rebuild, NULL, &error) == DREAMDB_OK);
    append(db, 9000, 1, 0, 0);                     /* 4 cells of keys that can name no more, one takes nearly all */
    append(db, 9000, 1, 0, 0);
    t = ask(db, 0);
    CHECK(t.counts[DREAMDB_ACTION_REBUILD] == 1 && total(&t) == 1 && strstr(t.reason[DREAMDB_ACTION_REBUILD], "no more"));
    rebuild.k = 0; rebuild.key_bits = 0;
    CHECK(dreamdb_rebuild(db, &rebuild, NULL, &error) == DREAMDB_OK);
    t = ask(db, 0);
    CHECK(t.counts[DREAMDB_ACTION_REBUILD] == 0 && t.counts[DREAMDB_ACTION_COMPACT] == 0);
    end(db);
    db = begin(DREAMDB_INDEX_LSH, 3, 0);
    append(db, 15000, 0, 0, 0);
    t = ask(db, 0);
    CHECK(total(&t) == 0);                         /* too few to judge */
    append(db, 15000, 0, 0, 0);
    t = ask(db, 0);
    CHECK(t.counts[DREAMDB_ACTION_REBUILD] == 1);
    rebuild.iterations = 1; rebuild.sample = 3000;
    CHECK(dreamdb_rebuild(db, &rebuild, NULL, &error) == DREAMDB_OK);
    t = ask(db, 0);
    CHECK(total(&t) == 0);
    end(db);
}

static void deleted(void)
{
    static uint64_t anchors[2000];
    dreamdb_delete_desc gone;
    dreamdb_compact_desc compact;
    dreamdb *db = begin(DREAMDB_INDEX_IVF, 20, 1);
    append(db, 2000, 0, 1, 0);
    memset(&gone, 0, sizeof gone);
    memset(&compact, 0, sizeof compact);
    for (size_t i = 0; i < 400; i++) { anchors[i] = i * 5; }
    gone.anchors = anchors; gone.anchor_count = 60;
    CHECK(dreamdb_delete(db, &gone, NULL, &error) == DREAMDB_OK);
    uint64_t gets = plan.gets;
    told t = ask(db, 0);
    CHECK(total(&t) == 0 && plan.gets - gets < 12);    /* 3 %: not looked for */
    gone.anchor_count = 400;
    CHECK(dreamdb_delete(db, &gone, NULL, &error) == DREAMDB_OK);
    gets = plan.gets;
    t = ask(db, 0);
    CHECK(t.counts[DREAMDB_ACTION_COMPACT] == 1 && total(&t) == 1 && t.threshold[DREAMDB_ACTION_COMPACT] == 1);
    CHECK_STR(t.field[DREAMDB_ACTION_COMPACT], "-");
    CHECK(plan.gets - gets <= 12 + DDB_ADVISE_LOOKS);
    compact.threshold = 1;
    CHECK(dreamdb_compact(db, &compact, NULL, &error) == DREAMDB_OK);
    t = ask(db, 0);
    CHECK(total(&t) == 0);                         /* the tombstones stay, the records are gone */
    end(db);
}

static void hot(void)
{
    dreamdb *db = begin(DREAMDB_INDEX_IVF, 9, 0);
    append(db, 100, 0, 0, 1);
    told t = ask(db, 0);
    CHECK(total(&t) == 0);
    clock_now += UINT64_C(700000000000);
    t = ask(db, 0);
    CHECK(t.counts[DREAMDB_ACTION_FLUSH_HOT] == 1 && total(&t) == 1 && strstr(t.reason[DREAMDB_ACTION_FLUSH_HOT], "100 rows"));
    CHECK(dreamdb_flush_hot(db, NULL, &error) == DREAMDB_OK);
    t = ask(db, 0);
    CHECK(total(&t) == 0);
    append(db, 1200, 0, 0, 1);
    t = ask(db, 0);
    CHECK(t.counts[DREAMDB_ACTION_FLUSH_HOT] == 1);
    end(db);
}

static void old_states(void)
{
    dreamdb *db = begin(DREAMDB_INDEX_IVF, 9, 0);
    for (int i = 0; i < 230; i++) { CHECK(dreamdb_set_meta(db, "dreamdb.note", i % 2 ? "a" : "b", &error) == DREAMDB_OK); }
    told t = ask(db, 0);
    CHECK(total(&t) == 0);
    clock_now += UINT64_C(2) * DDB_ADVISE_DAY;
    t = ask(db, 0);
    CHECK(t.counts[DREAMDB_ACTION_GC] == 1 && total(&t) == 1);
    t = ask(db, 1);
    CHECK(total(&t) == 0);
    ddb_buf list;                              /* a gc has kept most of them in part, for merges: the next one would do no more */
    char path[100];
    uint64_t at = 0;
    dreamdb_snapshot *view = NULL;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
    ddb_bytes_init(&list, test_ctx());
    ddb_cbor_array(&list, 60);
    for (; at < 60; at++) {
        ddb_addr parent = view->manifest.parents[0];
        char text[DREAMDB_ADDRESS_TEXT];
        ddb_cbor_bytes(&list, parent.bytes, sizeof parent.bytes);
        dreamdb_snapshot_close(view);
        view = NULL;
        ddb_addr_text(&parent, text);
        CHECK(dreamdb_snapshot_open(db, text, &view, &error) == DREAMDB_OK);
        if (!view) { break; }
    }
    dreamdb_snapshot_close(view);
    (void)snprintf(path, sizeof path, "%s", DDB_REF_OUTLINES);
    CHECK(inner.put(inner.user, path, list.data, list.size, NULL) == DREAMDB_OK);
    ddb_bytes_free(&list);
    t = ask(db, 0);
    CHECK(total(&t) == 0);
    CHECK(inner.remove(inner.user, path) == DREAMDB_OK);
    t = ask(db, 0);
    CHECK(total(&t) == 1);
    CHECK(dreamdb_branch(db, NULL, "other", &error) == DREAMDB_OK);
    t = ask(db, 0);
    CHECK(total(&t) == 0);
    end(db);
}

/* Faults of memory and store come out as such; each may stop. */
static void faults(void)
{
    dreamdb *db = begin(DREAMDB_INDEX_IVF, 9, 1);
    static uint64_t anchors[40];
    dreamdb_delete_desc gone;
    memset(&gone, 0, sizeof gone);
    for (int i = 0; i < 30; i++) { append(db, 6, 0, 1, 0); }
    for (size_t i = 0; i < 40; i++) { anchors[i] = i; }
    gone.anchors = anchors; gone.anchor_count = 40;
    CHECK(dreamdb_delete(db, &gone, NULL, &error) == DREAMDB_OK);
    dreamdb_close(db);
    for (int way = 0; way < 2; way++) {
        int done = 0;
        for (long n = 1; !done && test_ok; n++) {
            dreamdb_config config = test_config(&store);
            dreamdb_snapshot *view = NULL;
            told t;
            memset(&t, 0, sizeof t);
            CHECK(dreamdb_open(&config, "main", &db, &error) == DREAMDB_OK);
            CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
            if (way == 0) { test_fail_alloc_at(n); } else { plan.fail_at = plan.operations + (uint64_t)n; }
            dreamdb_status status = dreamdb_recommend(view, NULL, take, &t, &error);
            done = way == 0 ? test_allocs < n : plan.fail_at > plan.operations;
            test_fail_alloc_at(0);
            plan.fail_at = 0;
            CHECK(done ? status == DREAMDB_OK && t.counts[DREAMDB_ACTION_COMPACT] == 2 : status == (way ? DREAMDB_ERR_STORE : DREAMDB_ERR_MEMORY) || status == DREAMDB_OK);
            t.stop = 1;
            if (done) { CHECK(dreamdb_recommend(view, NULL, take, &t, &error) == DREAMDB_ERR_CANCELLED); }
            dreamdb_snapshot_close(view);
            dreamdb_close(db);
        }
    }
    CHECK(dreamdb_recommend(NULL, NULL, take, NULL, &error) == DREAMDB_ERR_ARGUMENT);
    end(NULL);
}

int main(void)
{
    RUN(fragments);
    RUN(index_of_all_kinds);
    RUN(deleted);
    RUN(hot);
    RUN(old_states);
    RUN(faults);
    return test_end("advise");
}
