/* test_query.c - room query: searches of random datasets against brute force over the rows (cells, predicates, deleted rows, repeated
   anchors, ties, batches, threads), bad queries, a damaged cell, memory and storage that fail. */
#include "dataset.h"

typedef struct model_hit { uint64_t anchor; float score; } model_hit;
static int best_first(const void *a, const void *b)
{
    const model_hit *x = (const model_hit *)a, *y = (const model_hit *)b;
    return x->score > y->score ? -1 : x->score < y->score ? 1 : x->anchor < y->anchor ? -1 : x->anchor > y->anchor;
}
static int nearest_first(const void *a, const void *b)
{
    const model_hit *x = (const model_hit *)a, *y = (const model_hit *)b;
    return x->score < y->score ? -1 : x->score > y->score ? 1 : x->anchor < y->anchor ? -1 : x->anchor > y->anchor;
}

static uint64_t deleted[20];
static size_t deleted_count;
static bool is_deleted(uint64_t anchor)
{
    for (size_t i = 0; i < deleted_count; i++) { if (deleted[i] == anchor) { return true; } }
    return false;
}

/* Every row whose cell is among the probed ones, each vector of an anchor once. */
static size_t model(dreamdb_snapshot *view, const dreamdb_query *query, const float *vector, size_t rows, model_hit *out)
{
    static uint8_t keys[DATA_MOST * 32];
    ddb_view_field *field = NULL;
    ddb_arena arena = { NULL, 0 };
    uint8_t *probed = NULL;
    size_t probes = 0, count = 0;
    float q[DATA_DIM], unit[DATA_DIM];
    ddb_ctx *ctx = test_ctx();
    CHECK(ddb_view_field_named(ctx, view, "e", &field) == DREAMDB_OK && ddb_view_need(ctx, view, &field, 1, DDB_VIEW_INDEX) == DREAMDB_OK);
    size_t size = ddb_index_key_size(field->index);
    bool l2 = ddb_index_metric_l2(field->index);
    CHECK(ddb_index_keys(ctx, NULL, field->index, data_rows[0].v, sizeof(data_row) / sizeof(float), rows, keys) == DREAMDB_OK);
    CHECK(ddb_index_prepare_query(ctx, field->index, vector, q) == DREAMDB_OK);
    CHECK(ddb_index_probe(ctx, field->index, q, query->nprobe > 0 ? query->nprobe : 32, &arena, &probed, &probes) == DREAMDB_OK);
    for (size_t i = 0; i < rows; i++) {
        bool in = query->exact != 0, again = false;
        for (size_t p = 0; p < probes && !in; p++) { in = memcmp(probed + p * size, keys + i * size, size) == 0; }
        for (size_t r = 0; r < i && !again; r++) {
            again = data_rows[r].anchor == data_rows[i].anchor && memcmp(data_rows[r].v, data_rows[i].v, sizeof unit) == 0;
        }
        if (!in || again || is_deleted(data_rows[i].anchor) || !data_meets(query->where, i, rows)) { continue; }
        ddb_exact_env env;
        ddb_exact_enter(&env);
        if (!l2) { CHECK(ddb_exact_unit(data_rows[i].v, data_dim, unit) == DDB_EXACT_GOOD); }
        out[count].anchor = data_rows[i].anchor;
        out[count++].score = l2 ? ddb_exact_dist2_wide(data_rows[i].v, q, data_dim) : ddb_exact_fold(unit, q, data_dim);
        ddb_exact_leave(&env);
    }
    qsort(out, count, sizeof *out, l2 ? nearest_first : best_first);
    ddb_mem_arena_free(ctx, &arena);
    return count;
}

static uint32_t bits(float x) { return ddb_exact_bits(x); }

/* The scores are the model's, one by one; within a tie the anchors are some of the model's, each once. */
static void check_hits(const dreamdb_hit *hits, size_t count, const model_hit *want, size_t want_count, uint32_t top_k)
{
    CHECK_EQ_U64(count, want_count < top_k ? want_count : top_k);
    for (size_t i = 0; i < count && i < want_count; i++) {
        size_t found = 0, given = 0;
        CHECK(bits(hits[i].score) == bits(want[i].score));
        for (size_t k = 0; k < want_count; k++) { found += want[k].anchor == hits[i].anchor && bits(want[k].score) == bits(hits[i].score); }
        for (size_t k = 0; k < count; k++) { given += hits[k].anchor == hits[i].anchor && bits(hits[k].score) == bits(hits[i].score); }
        CHECK(found > 0 && given <= found);
    }
}

static void one_dataset(dreamdb_index_kind index, uint32_t cells, size_t rows, uint64_t anchors)
{
    static model_hit want[DATA_MOST];
    dreamdb_snapshot *view = NULL;
    data_open();
    data_fill(rows, anchors);
    dreamdb *db = data_make(&data_inner, index, cells, rows);
    db->few_rows = test_rand() % 2 * 4096;                 /* predicates by copies of what they keep, or by scans */
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    deleted_count = 0;
    for (uint64_t a = 2; test_rand() % 2 && deleted_count < 20; a += 1 + test_rand() % 9) { deleted[deleted_count++] = a; }
    if (deleted_count > 0) { data_delete(view, deleted, deleted_count); }
    for (int round = 0; round < 12 && test_ok; round++) {
        static data_tree tree;
        float vectors[3 * DATA_DIM];
        dreamdb_query query;
        dreamdb_result *found = NULL;
        memset(&query, 0, sizeof query);
        for (size_t i = 0; i < 3 * data_dim; i++) { vectors[i] = test_randf(); }
        memcpy(vectors + data_dim, data_rows[test_rand() % rows].v, data_dim * sizeof *vectors);
        query.field = "e"; query.vectors = vectors; query.count = 3;
        query.top_k = (uint32_t)(round % 4 == 0 ? 0 : round % 4 == 1 ? 5000 : 1 + test_rand() % 40);
        query.nprobe = (uint32_t)(round % 3 == 0 ? 0 : 1 + test_rand() % 5);
        query.exact = round % 5 == 4;
        tree.node_count = 1; tree.operand_count = 0;
        query.where = round % 2 ? data_where(&tree, 0, 2) : NULL;
        bool widens = query.where && query.nprobe == 0;        /* no number of cells is asked for: the list is filled from all of them */
        query.top_k = widens ? (uint32_t)rows : query.top_k;
        CHECK(dreamdb_search(view, &query, &found, &data_error) == DREAMDB_OK && data_error.status == DREAMDB_OK);
        if (!found) { printf("%s\n", data_error.message); break; }
        CHECK(found->query_count == 3 && found->ends[2] == found->count && found->field_count == 0);
        for (size_t q = 0; q < 3; q++) {
            query.exact = query.exact || widens;
            size_t from = q > 0 ? found->ends[q - 1] : 0, n = model(view, &query, vectors + q * data_dim, rows, want);
            check_hits(found->hits + from, found->ends[q] - from, want, n, query.top_k ? query.top_k : 10);
        }
        if (!test_ok) { printf("index %d, dim %u, %zu rows, round %d\n", (int)index, data_dim, rows, round); }
        dreamdb_result_free(found);
    }
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

static void against_brute_force(void)
{
    for (uint32_t i = 0; i < 36 && test_ok; i++) {
        data_dim = i < 6 ? i + 1 : 1 + (uint32_t)(test_rand() % DATA_DIM);
        size_t rows = 6 + test_rand() % (i % 6 == 0 ? 300 : 60);
        dreamdb_index_kind index = i % 3 == 0 ? DREAMDB_INDEX_IVF : i % 3 == 1 ? DREAMDB_INDEX_LSH : DREAMDB_INDEX_LSH_L2;
        one_dataset(index, 1 + i % 7, rows, i % 4 == 3 ? 25 : 0);
    }
    data_dim = 4;
}

/* A predicate that keeps few rows: their copies give what a scan of every cell gives, bit for bit, whatever the cache holds; one
   predicate of two fields has two answers; a map that the cache has no room for is done without. */
static void few_rows_kept(void)
{
    static data_tree tree;
    for (int trial = 0; trial < 40 && test_ok; trial++) {
        dreamdb_index_kind index = trial % 3 == 0 ? DREAMDB_INDEX_IVF : trial % 3 == 1 ? DREAMDB_INDEX_LSH : DREAMDB_INDEX_LSH_L2;
        size_t rows = 20 + test_rand() % 400;
        dreamdb_query query;
        data_dim = 1 + (uint32_t)(test_rand() % DATA_DIM);
        data_open();
        data_fill(rows, trial % 4 == 3 ? 60 : 0);
        dreamdb_close(data_make(&data_inner, index, 1 + (uint32_t)trial % 7, rows));
        memset(&query, 0, sizeof query);
        query.field = "e"; query.vectors = data_rows[0].v; query.count = 2; query.top_k = 1 + (uint32_t)(test_rand() % 30);
        for (int round = 0; round < 4; round++) {
            dreamdb_result *found[4] = { NULL, NULL, NULL, NULL };
            dreamdb *db[4];
            dreamdb_snapshot *view[4];
            float vectors[2 * DATA_DIM];
            for (size_t i = 0; i < 2 * data_dim; i++) { vectors[i] = test_randf(); }
            query.vectors = vectors;
            tree.node_count = 1; tree.operand_count = 0;
            query.where = data_where(&tree, 0, 2);
            for (int way = 0; way < 4; way++) {              /* scans; copies by a map; by a walk, nothing being kept; again, few cells asked */
                dreamdb_config config = data_config(&data_inner);
                config.cache_bytes = way == 2 ? 2000 : 0;
                CHECK(dreamdb_open(&config, "main", db + way, NULL) == DREAMDB_OK);
                db[way]->few_rows = way > 0 ? 4096 : 0;
                CHECK(dreamdb_snapshot_open(db[way], NULL, view + way, NULL) == DREAMDB_OK);
                query.exact = way < 3 && round % 2 == 0;
                query.proven = 1;
                query.nprobe = query.exact || way == 0 ? 0 : way == 1 ? DREAMDB_NPROBE_AUTO : 0;
                if (way == 0) { query.exact = 1; }
                CHECK(dreamdb_search(view[way], &query, &found[way], &data_error) == DREAMDB_OK && found[way]);
                if (way > 0 && found[0] && found[way]) {
                    const ddb_query_cells *cells = (const ddb_query_cells *)view[way]->cells;
                    CHECK_EQ_U64(found[way]->count, found[0]->count);
                    CHECK(found[way]->ends[0] == found[0]->ends[0]);
                    for (size_t i = 0; i < found[0]->count && i < found[way]->count; i++) {
                        CHECK(found[way]->hits[i].anchor == found[0]->hits[i].anchor);
                        CHECK(bits(found[way]->hits[i].score) == bits(found[0]->hits[i].score));
                    }
                    CHECK(way == 2 ? cells->bytes <= db[way]->cells_cap : found[0]->count == 0 || cells->fields[2].map != NULL);
                }
            }
            for (int way = 0; way < 4; way++) { dreamdb_result_free(found[way]); dreamdb_snapshot_close(view[way]); dreamdb_close(db[way]); }
        }
        data_close();
    }
    data_dim = 4;
}

/* Equal scores stand by their place in the Track, then in the bucket: of one cell and one append, in the order of the batch. */
static void ties_by_place(void)
{
    float v[4] = { 1, 2, 0, 0 };
    dreamdb_snapshot *view = NULL;
    dreamdb_query query;
    dreamdb_result *found = NULL;
    data_open();
    data_fill(60, 0);
    for (size_t i = 0; i < 60; i++) { memcpy(data_rows[i].v, v, sizeof v); data_rows[i].anchor = 500 - i * 7; }
    dreamdb_config config = data_config(&data_inner);
    dreamdb *db = NULL;
    CHECK(data_create(&config, DREAMDB_INDEX_LSH, 3, &db) == DREAMDB_OK && data_append(db, 0, 60, NULL) == DREAMDB_OK);
    CHECK(dreamdb_snapshot_open(db, "", &view, NULL) == DREAMDB_OK);
    memset(&query, 0, sizeof query);
    query.field = "e"; query.vectors = v; query.top_k = 20;
    CHECK(dreamdb_search(view, &query, &found, NULL) == DREAMDB_OK && found && found->count == 20);
    for (size_t i = 0; found && i < found->count; i++) { CHECK_EQ_U64(found->hits[i].anchor, 500 - i * 7); }
    dreamdb_result_free(found);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

/* Columns of the hits are those of the rows. */
static void columns_of_hits(void)
{
    static const char *const fields[] = { "n", "c", "m", "e", "f", "b", "t", "s" };
    dreamdb_snapshot *view = NULL;
    dreamdb_query query;
    dreamdb_result *found = NULL;
    data_open();
    data_fill(80, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 4, 80);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    memset(&query, 0, sizeof query);
    query.field = "e"; query.vectors = data_rows[3].v; query.top_k = 80; query.exact = 1; query.fields = fields; query.field_count = 8;
    for (int media = 0; media < 2; media++) {
        query.load_media = media;
        CHECK(dreamdb_search(view, &query, &found, &data_error) == DREAMDB_OK && found && found->count == 80 && found->field_count == 8);
        for (size_t i = 0; found && i < found->count; i++) {
            const data_row *row = data_rows + (found->hits[i].anchor - 1) / 3;
            const dreamdb_value *v = found->hits[i].values;
            CHECK(v[0].present && v[0].integer == row->n && v[1].present == (row->c[0] != 0));
            CHECK(!v[1].present || (v[1].size == strlen(row->c) && memcmp(v[1].data, row->c, v[1].size) == 0));
            CHECK(v[2].present && v[2].size == strlen(row->m) && (v[2].data != NULL) == (media != 0));
            CHECK(!v[2].data || memcmp(v[2].data, row->m, v[2].size) == 0);
            CHECK(v[3].size == data_dim * 4 && memcmp(v[3].data, row->v, data_dim * 4) == 0 && v[4].real == row->f);
            CHECK(v[5].integer == row->b && v[6].integer == row->t && v[7].present == (row->s[0] != 0));
        }
        dreamdb_result_free(found);
    }
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

static void bad_queries(void)
{
    static const float zero[4] = { 0, 0, 0, 0 }, good[4] = { 1, 0, 0, 0 };
    float nan[8] = { 1, 0, 0, 0, 0, 0, 0, 0 };
    dreamdb_operand operand;
    dreamdb_where where, deep[80];
    dreamdb_snapshot *view = NULL;
    dreamdb_query query;
    dreamdb_result *found = NULL;
    const char *none = "none";
    nan[6] = ddb_exact_from_bits(0x7fc00000u);
    data_open();
    data_fill(20, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 4, 20);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    for (int bad = 0; bad < 13; bad++) {
        memset(&query, 0, sizeof query); memset(&operand, 0, sizeof operand); memset(&where, 0, sizeof where);
        query.field = bad == 0 ? "none" : bad == 1 ? "n" : bad == 2 ? NULL : "e";
        query.vectors = bad == 3 ? zero : bad == 4 ? nan : bad == 5 ? NULL : good;
        query.count = bad == 4 ? 2 : 1;
        query.where = bad >= 6 && bad <= 11 ? &where : NULL;
        where.op = bad == 8 ? (dreamdb_op)77 : bad == 9 ? DREAMDB_AND : DREAMDB_EQ;
        where.field = bad == 6 ? "none" : bad == 7 ? "e" : "n";
        where.operands = &operand; where.operand_count = bad == 10 ? 0 : 1;
        for (size_t i = 0; bad == 11 && i < 80; i++) {
            deep[i] = where;
            deep[i].op = i < 79 ? DREAMDB_OR : DREAMDB_EQ;
            deep[i].children = i < 79 ? deep + i + 1 : NULL;
            deep[i].child_count = i < 79;
        }
        if (bad == 11) { query.where = deep; }
        if (bad == 12) { query.fields = &none; query.field_count = 1; }
        dreamdb_status status = dreamdb_search(view, &query, &found, &data_error);
        CHECK(status < 0 && data_error.status == status && data_error.message[0] && !found);
        CHECK(bad == 11 ? status == DREAMDB_ERR_LIMIT : status == DREAMDB_ERR_ARGUMENT || status == DREAMDB_ERR_NOT_FOUND);
        if (bad == 4) { CHECK(strstr(data_error.message, "NaN") != NULL); }
    }
    CHECK(dreamdb_search(view, NULL, &found, NULL) == DREAMDB_ERR_ARGUMENT);
    CHECK(dreamdb_search(NULL, &query, &found, NULL) == DREAMDB_ERR_ARGUMENT);
    dreamdb_result_free(NULL);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

/* A bit of one bucket, or its end, or all of it is gone: the search says which object, and works again when it is back. */
static void a_damaged_cell_is_named(void)
{
    data_open();
    data_fill(50, 0);
    dreamdb_close(data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 50));
    dreamdb_config config = data_config(&data_inner);
    for (size_t way = 0; way < 4; way++) {
        char path[300];
        size_t size = 0;
        dreamdb *db = NULL;
        dreamdb_snapshot *view = NULL;
        dreamdb_query query;
        dreamdb_result *found = NULL;
        (void)snprintf(path, sizeof path, "%s", data_path("bucketed/0", way));
        uint8_t *bytes = data_take(path, &size);
        bytes[size / 2] ^= way == 0;
        if (way == 2) { CHECK(data_inner.remove(data_inner.user, path) == DREAMDB_OK); } else { data_put(path, bytes, size - (way == 1)); }
        bytes[size / 2] ^= way == 0;
        memset(&query, 0, sizeof query);
        query.field = "e"; query.vectors = data_rows[1].v; query.exact = 1;
        CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
        dreamdb_status status = dreamdb_search(view, &query, &found, &data_error);
        CHECK(way == 3 ? status == DREAMDB_OK : status == DREAMDB_ERR_CORRUPT || (way == 2 && status == DREAMDB_ERR_NOT_FOUND));
        if (way < 3) { CHECK_STR(data_error.path, path); CHECK(!found); }
        data_put(path, bytes, size);
        dreamdb_result_free(found);
        found = NULL;
        CHECK(dreamdb_search(view, &query, &found, &data_error) == DREAMDB_OK && found && found->count == 10);
        dreamdb_result_free(found);
        dreamdb_snapshot_close(view);
        dreamdb_close(db);
        free(bytes);
    }
    data_close();
}

/* The Nth allocation or storage operation of open and search fails: an error and no leak, or the right answer. */
static void failures_at_every_step(void)
{
    uint64_t best = 0;
    data_open();
    data_fill(60, 0);
    dreamdb_close(data_make(&data_inner, DREAMDB_INDEX_IVF, 4, 60));
    for (int storage = 0; storage < 2; storage++) {
        int errors = 0, good = 0;
        for (long n = 0; n < 900 && good < 3; n++) {
            dreamdb_config config = data_config(&data_store);
            dreamdb *db = NULL;
            dreamdb_snapshot *view = NULL;
            dreamdb_query query;
            dreamdb_result *found = NULL;
            static data_tree tree;
            memset(&query, 0, sizeof query);
            memset(&tree, 0, sizeof tree);
            tree.node_count = 1;
            tree.nodes[0].op = DREAMDB_GE; tree.nodes[0].field = "n";
            tree.nodes[0].operands = tree.operands; tree.nodes[0].operand_count = 1;
            tree.operands[0].integer = -3;
            query.field = "e"; query.vectors = data_rows[1].v; query.fields = data_names; query.field_count = DATA_FIELDS;
            query.where = tree.nodes; query.exact = 1;
            data_plan.operations = 0;
            data_plan.fail_at = storage ? (uint64_t)n : 0;
            test_fail_alloc_at(storage ? 0 : n);
            dreamdb_status status = dreamdb_open(&config, "main", &db, &data_error);
            if (status == DREAMDB_OK) { status = dreamdb_snapshot_open(db, NULL, &view, &data_error); }
            if (status == DREAMDB_OK) { status = dreamdb_search(view, &query, &found, &data_error); }
            test_fail_alloc_at(0);
            CHECK(status == data_error.status && (status == DREAMDB_OK) == (found != NULL));
            CHECK(status == DREAMDB_OK || status == (storage ? DREAMDB_ERR_STORE : DREAMDB_ERR_MEMORY));
            if (n == 0 && found) { best = found->hits[0].anchor; }
            if (found) { CHECK(found->count == 10 && found->hits[0].anchor == best && found->hits[9].values[5].integer >= -3); }
            errors += status < 0;
            good = n == 0 || status < 0 ? 0 : good + 1;
            dreamdb_result_free(found);
            dreamdb_snapshot_close(view);
            dreamdb_close(db);
            CHECK_EQ_U64(test_live_bytes(), 0);
        }
        CHECK(errors > (storage ? 10 : 50) && good == 3);
    }
    data_plan.fail_at = 0;
    data_close();
}

/* A paged Track that tells a wrong number of rows is refused by name where its pages are read; nobody works longer for it. */
static void a_track_that_lies(void)
{
    static const uint64_t lies[] = { 0, 1, 5000, (uint64_t)1 << 40, UINT64_MAX };
    data_dim = 12;
    data_open();
    data_fill(DATA_MOST, 0);
    data_page_early = 1;
    dreamdb_close(data_make(&data_inner, DREAMDB_INDEX_LSH, 12, DATA_MOST));
    data_page_early = 0;
    for (size_t lie = 0; lie < 5; lie++) {
        static data_tree tree;
        dreamdb_config config = data_config(&data_inner);
        dreamdb *db = NULL;
        dreamdb_snapshot *view = NULL;
        dreamdb_query query;
        dreamdb_result *want = NULL, *found = NULL;
        memset(&query, 0, sizeof query); memset(&tree, 0, sizeof tree);
        tree.nodes[0].op = DREAMDB_EQ; tree.nodes[0].field = "n";
        tree.nodes[0].operands = tree.operands; tree.nodes[0].operand_count = 1;
        query.field = "e"; query.vectors = data_rows[7].v; query.exact = 1; query.top_k = 50;
        CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
        db->few_rows = 0;
        CHECK(dreamdb_search(view, &query, &want, &data_error) == DREAMDB_OK);
        CHECK(view->fields[2].track.form == DDB_TRACK_PAGED);
        CHECK(view->fields[2].track.total > 20);
        view->fields[2].track.total = lies[lie];
        query.exact = 0;
        for (int way = 0; way < 4; way++) {
            query.nprobe = way % 2 ? DREAMDB_NPROBE_AUTO : 0;
            query.where = way / 2 ? tree.nodes : NULL;
            dreamdb_status status = dreamdb_search(view, &query, &found, &data_error);
            CHECK(status == DREAMDB_OK || (status == DREAMDB_ERR_CORRUPT && strstr(data_error.message, "rows")));
            CHECK(found || status < 0);
            for (size_t i = 0; found && i < found->count; i++) { CHECK(found->hits[i].score <= want->hits[0].score); }
            dreamdb_result_free(found);
            found = NULL;
        }
        dreamdb_result_free(want);
        dreamdb_snapshot_close(view);
        dreamdb_close(db);
    }
    data_close();
    data_dim = 4;
}

#ifndef DREAMDB_NO_THREADS
/* A proven search in parts: what one thread finds, ties and few cells at a time included. */
static void parts_agree(void)
{
    for (int trial = 0; trial < 12; trial++) {
        dreamdb_result *want = NULL, *found[4] = { NULL, NULL, NULL, NULL };
        dreamdb_query query;
        dreamdb *db[4];
        dreamdb_snapshot *view[4];
        float vector[DATA_DIM];
        data_dim = 1 + (uint32_t)(test_rand() % DATA_DIM);
        data_open();
        data_fill(400, trial % 3 == 2 ? 90 : 0);
        dreamdb_close(data_make(&data_inner, trial % 2 ? DREAMDB_INDEX_IVF : DREAMDB_INDEX_LSH, 9, 400));
        for (size_t i = 0; i < data_dim; i++) { vector[i] = trial % 4 == 3 ? data_rows[9].v[i] : test_randf(); }
        memset(&query, 0, sizeof query);
        query.field = "e"; query.vectors = vector; query.top_k = 1 + (uint32_t)trial * 40; query.exact = trial % 2; query.proven = 1; query.nprobe = 400;
        for (uint32_t i = 0; i < 4; i++) {
            dreamdb_config config = data_config(&data_inner);
            config.threads = i == 0 ? 1 : 1 + i;
            config.cache_bytes = i == 3 ? 20000 : 0;
            CHECK(dreamdb_open(&config, "main", db + i, NULL) == DREAMDB_OK && dreamdb_snapshot_open(db[i], NULL, view + i, NULL) == DREAMDB_OK);
            db[i]->part_work = 1;
            CHECK(dreamdb_search(view[i], &query, found + i, &data_error) == DREAMDB_OK && found[i]);
            want = found[0];
            CHECK_EQ_U64(found[i]->count, want->count);
            for (size_t h = 0; h < want->count; h++) {
                CHECK(found[i]->hits[h].anchor == want->hits[h].anchor && bits(found[i]->hits[h].score) == bits(want->hits[h].score));
            }
        }
        for (int i = 0; i < 4; i++) { dreamdb_result_free(found[i]); dreamdb_snapshot_close(view[i]); dreamdb_close(db[i]); }
        data_close();
    }
    data_dim = 4;
}

typedef struct job { dreamdb_snapshot *view; const dreamdb_query *query; const dreamdb_result *want; int bad; } job;
static void *searches(void *user)
{
    job *j = (job *)user;
    for (int i = 0; i < 15; i++) {
        dreamdb_result *found = NULL;
        if (dreamdb_search(j->view, j->query, &found, NULL) != DREAMDB_OK || found->count != j->want->count) { j->bad++; continue; }
        for (size_t h = 0; h < found->count; h++) {
            const dreamdb_hit *a = found->hits + h, *b = j->want->hits + h;
            j->bad += a->anchor != b->anchor || bits(a->score) != bits(b->score);
        }
        dreamdb_result_free(found);
    }
    return NULL;
}

/* Pools of any width, a cache too small for anything, and many callers at once: the same hits. */
static void threads_agree(void)
{
    static float vectors[9 * 4];
    dreamdb_result *want = NULL;
    dreamdb_query query;
    dreamdb *db[3];
    dreamdb_snapshot *view[3];
    data_open();
    data_fill(400, 0);
    dreamdb_close(data_make(&data_inner, DREAMDB_INDEX_IVF, 9, 400));
    for (size_t i = 0; i < 36; i++) { vectors[i] = test_randf(); }
    memset(&query, 0, sizeof query);
    query.field = "e"; query.vectors = vectors; query.count = 9; query.top_k = 30; query.nprobe = 3;
    for (uint32_t i = 0; i < 3; i++) {
        dreamdb_config config = data_config(&data_inner);
        config.threads = 1 + 2 * i;
        config.cache_bytes = i == 2 ? 1 : 0;
        CHECK(dreamdb_open(&config, "main", db + i, NULL) == DREAMDB_OK);
        CHECK(dreamdb_snapshot_open(db[i], NULL, view + i, NULL) == DREAMDB_OK);
    }
    CHECK(dreamdb_search(view[0], &query, &want, NULL) == DREAMDB_OK && want);
    for (uint32_t i = 0; i < 3; i++) {
        pthread_t threads[3];
        job jobs[3];
        for (int t = 0; t < 3; t++) {
            jobs[t].view = view[i]; jobs[t].query = &query; jobs[t].want = want; jobs[t].bad = 0;
            CHECK(pthread_create(threads + t, NULL, searches, jobs + t) == 0);
        }
        for (int t = 0; t < 3; t++) { (void)pthread_join(threads[t], NULL); CHECK(jobs[t].bad == 0); }
    }
    dreamdb_result_free(want);
    for (int i = 0; i < 3; i++) { dreamdb_snapshot_close(view[i]); dreamdb_close(db[i]); }
    data_close();
}
#endif

int main(void)
{
    RUN(against_brute_force);
    RUN(few_rows_kept);
    RUN(ties_by_place);
    RUN(columns_of_hits);
    RUN(bad_queries);
    RUN(a_damaged_cell_is_named);
    RUN(failures_at_every_step);
    RUN(a_track_that_lies);
#ifndef DREAMDB_NO_THREADS
    RUN(parts_agree);
    RUN(threads_agree);
#endif
    data_unused();
    return test_end("query");
}
