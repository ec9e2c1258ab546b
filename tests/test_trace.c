/* test_trace.c - room trace: what erase-report names, beside a search for the rows' bytes in every object of the store; refs, passes,
   arguments, damage, a stop at every allocation. */
#include "dataset.h"

static struct { char path[200]; uint64_t anchor; char refs[200]; } trace_told[4000];
static size_t trace_count;
static int trace_stop;

static int trace_note(void *user, const dreamdb_erase_holder *holder)
{
    (void)user;
    if (trace_count == 4000) { exit(1); }
    trace_told[trace_count].refs[0] = 0;
    for (size_t i = 0; i < holder->ref_count; i++) {
        size_t at = strlen(trace_told[trace_count].refs);
        (void)snprintf(trace_told[trace_count].refs + at, sizeof trace_told->refs - at, "%s ", holder->refs[i]);
    }
    CHECK(holder->ref_count > 0 && holder->path[0]);
    CHECK(trace_count == 0 || strcmp(trace_told[trace_count - 1].path, holder->path) < 0);
    (void)snprintf(trace_told[trace_count].path, sizeof trace_told->path, "%s", holder->path);
    trace_told[trace_count++].anchor = holder->anchor;
    return trace_stop;
}

static const char *trace_refs(const char *path)
{
    for (size_t i = 0; i < trace_count; i++) { if (strcmp(trace_told[i].path, path) == 0) { return trace_told[i].refs; } }
    return NULL;
}

static dreamdb_status trace_ask(dreamdb *db, const uint64_t *anchors, size_t count, dreamdb_erase_result *result)
{
    dreamdb_erase_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.anchors = anchors; desc.anchor_count = count; desc.each = trace_note;
    trace_count = 0;
    return dreamdb_erase_report(db, &desc, result, &data_error);
}

/* ---- The oracle: the bytes of a row's vector, picture and anchor in the objects themselves ---- */
typedef struct trace_search { const data_row *row; size_t missing, found; bool all; } trace_search;

static bool trace_in(const uint8_t *data, size_t size, const void *what, size_t length)
{
    for (size_t i = 0; i + length <= size; i++) { if (memcmp(data + i, what, length) == 0) { return true; } }
    return false;
}

static int trace_object(void *user, const char *path, const dreamdb_stat *stat)
{
    trace_search *search = (trace_search *)user;
    size_t size = 0;
    bool here = false;
    (void)stat;
    if (!strstr(path, "/embedding.") && !strstr(path, "/image.")) { return 0; }
    if (strstr(path, "/track/") || strstr(path, "/index/")) { return 0; }      /* places, not bytes */
    uint8_t *copy = data_take(path, &size);
    here = trace_in(copy, size, search->row->v, 4 * data_dim) || trace_in(copy, size, search->row->m, strlen(search->row->m));
    free(copy);
    search->found += here;
    if (here && search->all && !trace_refs(path)) { search->missing++; printf("not named: %s\n", path); }
    return 0;
}

static void trace_check(const data_row *row, bool all, size_t *found)
{
    trace_search search = { row, 0, 0, all };
    CHECK(data_inner.list(data_inner.user, "", trace_object, &search) == DREAMDB_OK && search.missing == 0);
    *found = search.found;
}

static dreamdb *trace_open(const dreamdb_store *on, const char *ref)
{
    dreamdb_config config = data_config(on);
    dreamdb *db = NULL;
    CHECK(dreamdb_open(&config, ref, &db, &data_error) == DREAMDB_OK);
    return db;
}

static dreamdb_status trace_gc(void)
{
    dreamdb_config config = data_config(&data_inner);
    dreamdb_gc_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.keep_manifests = 1; desc.keep_since_ns = DREAMDB_GC_NO_AGE; desc.writers_paused = 1;
    return dreamdb_gc(&config, &desc, NULL, &data_error);
}

static void names_every_object(void)
{
    for (int turn = 0; turn < 4 && test_ok; turn++) {
        dreamdb_erase_result result;
        dreamdb_delete_desc desc;
        uint64_t gone[12];
        size_t found = 0, rows[12];
        data_open();
        data_fill(200, 0);
        for (size_t i = 0; i < 200; i++) { (void)snprintf(data_rows[i].m, sizeof data_rows[i].m, "face of person %u.", (unsigned)i); }
        for (size_t i = 0; i < 200; i++) { for (uint32_t d = 0; d < data_dim; d++) { data_rows[i].v[d] = test_randf(); } }
        data_page_early = turn & 1;
        dreamdb *db = data_make(&data_inner, turn < 2 ? DREAMDB_INDEX_IVF : DREAMDB_INDEX_LSH, 4, 180);
        CHECK(trace_ask(db, NULL, 0, &result) == DREAMDB_OK && result.anchors == 0 && result.objects == 0 && trace_count == 0);
        CHECK(dreamdb_branch(db, NULL, "side", NULL) == DREAMDB_OK && dreamdb_keep(db, "then", NULL) == DREAMDB_OK);
        for (size_t i = 0; i < 12; i++) { rows[i] = test_rand() % 180; gone[i] = data_rows[rows[i]].anchor; }
        memset(&desc, 0, sizeof desc);
        desc.anchors = gone; desc.anchor_count = 12;
        CHECK(dreamdb_delete(db, &desc, NULL, NULL) == DREAMDB_OK && data_append(db, 180, 20, NULL) == DREAMDB_OK);
        CHECK(trace_ask(db, NULL, 0, &result) == DREAMDB_OK && result.objects == trace_count && trace_count > 20 && result.unread == 0);
        CHECK(result.refs == 3 && result.anchors > 6 && result.anchors <= 12);
        for (size_t i = 0; i < 12; i++) { trace_check(data_rows + rows[i], true, &found); CHECK(found >= 2); }
        for (size_t i = 0; i < trace_count; i++) {               /* every object named holds one of them: the anchor told is asked for */
            bool asked = false;
            for (size_t j = 0; j < 12; j++) { asked = asked || gone[j] == trace_told[i].anchor; }
            CHECK(asked);
            if (!strstr(trace_told[i].path, "/track/") && !strstr(trace_told[i].path, "/index/")) { CHECK_STR(trace_told[i].refs, "main main@then side "); }
        }
        size_t all = trace_count;
        CHECK(trace_ask(db, gone, 12, &result) == DREAMDB_OK && trace_count == all);             /* asked for by name: the same */
        CHECK(trace_ask(db, gone, 1, &result) == DREAMDB_OK && result.anchors == 1 && trace_count < all && trace_count >= 6);
        CHECK(trace_ask(db, &data_rows[199].anchor, 1, &result) == DREAMDB_OK && trace_count >= 6);                /* not deleted */
        for (size_t i = 0; i < trace_count; i++) { CHECK_STR(trace_told[i].refs, "main "); }      /* appended after the branch */
        data_page_early = 0;
        /* the way out: vectors placed anew without them, the other refs deleted, gc */
        dreamdb_train_desc train;
        memset(&train, 0, sizeof train);
        train.field = "e"; train.k = 3;
        dreamdb_config config = data_config(&data_inner);
        if (turn < 2) { CHECK(dreamdb_train(db, &train, NULL) == DREAMDB_OK); }
        CHECK(dreamdb_ref_delete(&config, "side", NULL) == DREAMDB_OK && dreamdb_ref_delete(&config, "main@then", NULL) == DREAMDB_OK);
        CHECK(trace_gc() == DREAMDB_OK);
        dreamdb_close(db);
        db = trace_open(&data_inner, "main");
        CHECK(trace_ask(db, NULL, 0, &result) == DREAMDB_OK && result.states == 1 && result.refs == 1);
        for (size_t i = 0; i < trace_count; i++) { CHECK(turn >= 2 || !strstr(trace_told[i].path, "/embedding.")); }
        for (size_t i = 0; i < 12; i++) { trace_check(data_rows + rows[i], true, &found); CHECK(turn >= 2 || found == 1); }
        if (!test_ok) { printf("turn %d\n", turn); }
        dreamdb_close(db);
        data_close();
    }
}

/* Rows that wait in hot shards, of vectors and of scalars; under identical the overlays in between stay reachable, and so do their shards. */
static void hot_shards(void)
{
    for (int turn = 0; turn < 2 && test_ok; turn++) {
        static data_batch batch;
        dreamdb_erase_result result;
        dreamdb_delete_desc gone;
        size_t found = 0, shards = 0, ends[3] = { 40, 46, 52 };
        data_open();
        data_fill(60, 0);
        for (size_t i = 0; i < 60; i++) { memcpy(data_rows[i].c, "cat", 4); for (uint32_t d = 0; d < data_dim; d++) { data_rows[i].v[d] = test_randf(); } }
        dreamdb_close(data_make(&data_inner, DREAMDB_INDEX_IVF, 3, 40));
        dreamdb_config config = data_config(&data_inner);
        dreamdb *db = NULL;
        config.identical = turn;
        CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_OK);
        for (size_t part = 0; part < 2; part++) {
            dreamdb_append_desc desc = data_batch_of(&batch, ends[part], ends[part + 1] - ends[part]);
            batch.columns[0] = batch.columns[1];                     /* c, e, n: no media may wait */
            batch.columns[1] = batch.columns[2];
            batch.columns[2] = batch.columns[5];
            desc.column_count = 3; desc.hot = 1;
            CHECK(dreamdb_append(db, &desc, NULL, &data_error) == DREAMDB_OK);
        }
        memset(&gone, 0, sizeof gone);
        gone.anchors = &data_rows[42].anchor; gone.anchor_count = 1;
        CHECK(dreamdb_delete(db, &gone, NULL, &data_error) == DREAMDB_OK);
        CHECK(trace_ask(db, NULL, 0, &result) == DREAMDB_OK && result.anchors == 1 && result.unread == 0);
        for (size_t i = 0; i < trace_count; i++) { shards += strstr(trace_told[i].path, "/hot-shard/") != NULL; }
        CHECK_EQ_U64(shards, 6);                                     /* three fields, both states of each shard */
        trace_check(data_rows + 42, true, &found);
        CHECK_EQ_U64(found, 2);
        CHECK(trace_ask(db, &data_rows[50].anchor, 1, &result) == DREAMDB_OK && result.objects == 3);
        CHECK(trace_ask(db, &data_rows[7].anchor, 1, &result) == DREAMDB_OK && trace_count >= 6);
        for (size_t i = 0; i < trace_count; i++) { CHECK(!strstr(trace_told[i].path, "/hot-shard/")); }
        if (!test_ok) { printf("turn %d: %s\n", turn, data_error.message); }
        dreamdb_close(db);
        data_close();
    }
}

static void arguments_and_damage(void)
{
    dreamdb_erase_desc desc;
    dreamdb_erase_result result;
    dreamdb_where where;
    dreamdb_operand operand;
    uint64_t anchor = 0, n = 0, *met = NULL;
    size_t count = 0;
    dreamdb_snapshot *view = NULL;
    data_open();
    data_fill(60, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_IVF, 3, 60);
    memset(&desc, 0, sizeof desc); memset(&where, 0, sizeof where); memset(&operand, 0, sizeof operand);
    CHECK(dreamdb_erase_report(NULL, &desc, &result, NULL) == DREAMDB_ERR_ARGUMENT && dreamdb_erase_report(db, NULL, &result, NULL) == DREAMDB_ERR_ARGUMENT);
    CHECK(dreamdb_erase_report(db, &desc, NULL, NULL) == DREAMDB_ERR_ARGUMENT);
    where.op = DREAMDB_LT; where.field = "n"; where.operands = &operand; where.operand_count = 1;
    desc.where = &where; desc.anchors = &anchor; desc.anchor_count = 1;
    CHECK(dreamdb_erase_report(db, &desc, &result, NULL) == DREAMDB_ERR_ARGUMENT);
    desc.anchor_count = 0;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && dreamdb_select(view, &where, &met, &count, NULL) == DREAMDB_OK);
    dreamdb_anchors_free(view, met, count);
    dreamdb_snapshot_close(view);
    CHECK(dreamdb_erase_report(db, &desc, &result, NULL) == DREAMDB_OK && result.anchors == count && result.objects > count);
    trace_count = 0; trace_stop = 1; desc.each = trace_note;
    CHECK(dreamdb_erase_report(db, &desc, &result, NULL) == DREAMDB_ERR_CANCELLED && trace_count == 1);
    trace_stop = 0;
    where.field = "nothing";
    CHECK(dreamdb_erase_report(db, &desc, &result, NULL) < 0);
    desc.where = NULL;
    anchor = UINT64_MAX;
    desc.anchor_count = 1;
    CHECK(dreamdb_erase_report(db, &desc, &result, NULL) == DREAMDB_OK && result.objects == 0);
    anchor = data_rows[7].anchor;
    for (n = 1; n < 400; n++) {                  /* without memory it says so, and loses none */
        dreamdb *own = trace_open(&data_inner, "main");
        test_fail_alloc_at((long)n);
        trace_count = 0;
        dreamdb_status status = dreamdb_erase_report(own, &desc, &result, NULL);
        test_fail_alloc_at(0);
        CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_MEMORY);
        dreamdb_close(own);
    }
    for (size_t i = 0; i < 3; i++) {
        static const char *const classes[] = { "/track/", "manifests/", "/bucket/" };
        for (size_t at = 0; at < 3; at++) {
            size_t size = 0;
            char path[300];
            (void)snprintf(path, sizeof path, "%s", data_path(classes[i], at));
            uint8_t *copy = data_take(path, &size);
            copy[size / 2] ^= 1;
            data_put(path, copy, size);
            dreamdb *own = NULL;
            dreamdb_config config = data_config(&data_inner);
            dreamdb_status status = dreamdb_open(&config, "main", &own, &data_error);
            status = status < 0 ? status : dreamdb_erase_report(own, &desc, &result, &data_error);
            CHECK(status == DREAMDB_ERR_CORRUPT || (status == DREAMDB_OK && i == 2));      /* a pack that is not looked into */
            dreamdb_close(own);
            copy[size / 2] ^= 1;
            data_put(path, copy, size);
            free(copy);
        }
    }
    desc.each = NULL;
    data_put("_ada_ivf/night.run/plan", "x", 1);
    data_put("_ada_ivf/night.run/d2xrgsnz6x42djvaibg6unw4zfezxszfzgw4cevxzsnjhsxed4zge.part-0-of-1", "x", 1);
    CHECK(dreamdb_erase_report(db, &desc, &result, &data_error) == DREAMDB_OK && result.job_files == 0);
    data_put("_ada_ivf/night.run/d2xrgsnz6x42djvaibg6unw4zfezxszfzgw4cevxzsnjhsxed4zge.moved", "x", 1);
    data_put("_ada_ivf/rebuild-0123456789abcdef/d2xrgsnz6x42djvaibg6unw4zfezxszfzgw4cevxzsnjhsxed4zge.run", "x", 1);
    CHECK(dreamdb_erase_report(db, &desc, &result, &data_error) == DREAMDB_OK && result.job_files == 2);
    data_put("refs/odd", "odd", 3);
    CHECK(dreamdb_erase_report(db, &desc, &result, &data_error) == DREAMDB_ERR_CORRUPT && strstr(data_error.message, "refs/odd"));
    dreamdb_close(db);
    data_close();
}

/* All deleted anchors come in passes of bounded size: the same ones, each once, whatever the size of a tree. */
static void passes(void)
{
    enum { MANY = 1100000 };
    ddb_ctx *ctx = test_ctx();
    ddb_tomb tomb;
    ddb_tomb_list lists[2];
    ddb_tomb_all list = { NULL, 0, 0 };
    uint64_t *odd = (uint64_t *)malloc(1000 * sizeof *odd), from = 0, last = 0, n = 0, before = 0;
    static dreamdb_fault plan;
    data_open();
    data_fill(20, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 2, 20);
    uint64_t *many = (uint64_t *)malloc(MANY * sizeof *many);
    if (!many || !odd) { exit(1); }
    for (size_t i = 0; i < MANY; i++) { many[i] = i * 5; }
    for (size_t i = 0; i < 1000; i++) { odd[i] = i * 4000 + 1; }
    dreamdb_delete_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.anchors = many; desc.anchor_count = MANY;
    CHECK(dreamdb_delete(db, &desc, NULL, &data_error) == DREAMDB_OK);
    dreamdb_snapshot *view = NULL;
    ddb_tomb *real = NULL;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && ddb_view_tomb(ctx, view, &real) == DREAMDB_OK);
    tomb = *real;
    lists[0].anchors = odd; lists[0].count = 1000;
    tomb.lists = lists; tomb.list_count = 1;
    for (size_t pass = 0; last < UINT64_MAX && pass < 9; pass++, from = last + 1) {
        CHECK(ddb_trace_deleted(ctx, &tomb, from, &list, &last) == DREAMDB_OK);
        CHECK(list.count <= DDB_TRACE_PASS + 1000 + 128);
        for (size_t i = 0; i < list.count; i++) {
            CHECK(n == 0 || list.anchors[i] > before);
            before = list.anchors[i];
            n++;
        }
    }
    CHECK_EQ_U64(n, MANY + 1000);
    ddb_mem_drop(ctx, list.anchors, uint64_t, list.cap);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    free(many);
    free(odd);
    (void)plan;
    data_close();
}

int main(void)
{
    data_unused();
    RUN(names_every_object);
    RUN(hot_shards);
    RUN(arguments_and_damage);
    RUN(passes);
    return test_end("trace");
}
