/* test_compact.c - room compact: random histories of every kind of field, inline and paged, with repeated and deleted anchors, beside a plain
   model; reads and searches before and after; resuming; codes and sidecars; copy on write; hostile buckets; a lost race; a stop at every
   allocation and storage operation. */
#include "dataset.h"

static uint64_t keep_bytes; static uint32_t keep_dead;             /* of the next compactions */
static dreamdb_status compact(dreamdb *db, const char *field, uint32_t threshold, uint64_t most, dreamdb_compact_report *report)
{
    dreamdb_compact_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.field = field; desc.threshold = threshold; desc.max_cells = most; desc.keep_bytes = keep_bytes; desc.keep_dead = keep_dead;
    return dreamdb_compact(db, &desc, report, &data_error);
}

static dreamdb_snapshot *view_of(dreamdb *db)
{
    dreamdb_snapshot *view = NULL;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &data_error) == DREAMDB_OK);
    return view;
}

/* ---- Everything that reads say, as one text ---- */
typedef struct story { char *text; size_t size, cap; } story;

static void say(story *s, const void *data, size_t size)
{
    if (s->size + size + 1 > s->cap) {
        s->cap = (s->size + size + 1) * 2;
        s->text = (char *)realloc(s->text, s->cap);
        if (!s->text) { exit(1); }
    }
    if (size > 0) { memcpy(s->text + s->size, data, size); }
    s->size += size;
}

static void tell_rows(dreamdb_snapshot *view, const char *const *fields, size_t count, story *out)
{
    dreamdb_scan scan;
    dreamdb_cursor *cursor = NULL;
    dreamdb_row row;
    memset(&scan, 0, sizeof scan);
    scan.fields = fields; scan.field_count = count; scan.load_media = 1; scan.order = DREAMDB_ORDER_ANCHOR;
    CHECK(dreamdb_scan_open(view, &scan, &cursor, &data_error) == DREAMDB_OK);
    while (dreamdb_cursor_next(cursor, &row, &data_error) == DREAMDB_OK) {
        say(out, &row.anchor, 8);
        for (size_t f = 0; f < count; f++) {
            const dreamdb_value *v = row.values + f;
            say(out, &v->present, sizeof v->present);
            if (!v->present) { continue; }
            say(out, &v->integer, 8);
            say(out, &v->real, 8);
            say(out, &v->size, 8);
            if (v->data) { say(out, v->data, v->kind == DREAMDB_EMBEDDING ? (size_t)data_dim * 4 : (size_t)v->size); }
        }
    }
    CHECK(data_error.status == DREAMDB_OK);
    dreamdb_cursor_close(cursor);
}

typedef struct told_hit { float score; uint64_t anchor; } told_hit;
static int told_order(const void *a, const void *b)
{
    const told_hit *x = (const told_hit *)a, *y = (const told_hit *)b;
    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : (x->anchor > y->anchor) - (x->anchor < y->anchor);
}

/* Hits of anchors that have one row: of others a losing vector may be gone.  Ties stand by place in the Track, which moves. */
static void tell_hits(dreamdb_snapshot *view, const float *q, size_t rows, const uint8_t *once, story *out)
{
    static told_hit hits[DATA_MOST * 2];
    size_t n = 0;
    dreamdb_query query;
    dreamdb_result *result = NULL;
    memset(&query, 0, sizeof query);
    memset(hits, 0, sizeof hits);
    query.field = "e"; query.vectors = q; query.top_k = 2000; query.exact = 1;
    CHECK(dreamdb_search(view, &query, &result, &data_error) == DREAMDB_OK);
    for (size_t i = 0; result && i < result->count; i++) {
        bool single = true;
        for (size_t r = 0; r < rows; r++) { single = single && (data_rows[r].anchor != result->hits[i].anchor || once[r]); }
        if (single) {
            hits[n].anchor = result->hits[i].anchor;
            hits[n++].score = result->hits[i].score;
        }
    }
    qsort(hits, n, sizeof *hits, told_order);
    say(out, hits, n * sizeof *hits);
    dreamdb_result_free(result);
}

static story tell(dreamdb *db, size_t rows)
{
    static uint8_t once[DATA_MOST];
    story out = { NULL, 0, 0 };
    dreamdb_snapshot *view = view_of(db);
    tell_rows(view, data_names, DATA_FIELDS, &out);
    for (size_t i = 0; i < rows; i++) {
        size_t n = 0;
        for (size_t r = 0; r < rows; r++) { n += data_rows[r].anchor == data_rows[i].anchor; }
        once[i] = n == 1;
    }
    for (size_t i = 0; i < 3 && rows > 0; i++) { tell_hits(view, data_rows[i * 7 % rows].v, rows, once, &out); }
    dreamdb_snapshot_close(view);
    return out;
}

static void same_story(story *a, story *b)
{
    CHECK(a->size == b->size && (a->size == 0 || memcmp(a->text, b->text, a->size) == 0));
    free(a->text); free(b->text);
    memset(a, 0, sizeof *a); memset(b, 0, sizeof *b);
}

static const dreamdb_field_stats *stats_of(dreamdb_snapshot *view, const char *field)
{
    const dreamdb_stats *stats = NULL;
    CHECK(dreamdb_snapshot_stats(view, &stats, &data_error) == DREAMDB_OK);
    for (size_t i = 0; stats && i < stats->field_count; i++) {
        if (strcmp(stats->fields[i].field, field) == 0) { return stats->fields + i; }
    }
    CHECK(0);
    exit(1);
}

/* ---- The model: which records and rows are left ---- */

/* The cell of each row's vector. */
static void cells_of(dreamdb *db, size_t rows, uint8_t *keys, size_t *key_size)
{
    dreamdb_snapshot *view = view_of(db);
    ddb_view_field *field = ddb_view_find(view, ddb_bytes_text("e"));
    CHECK(ddb_view_need(test_ctx(), view, &field, 1, DDB_VIEW_INDEX) == DREAMDB_OK);
    *key_size = ddb_index_key_size(field->index);
    CHECK(ddb_index_keys(test_ctx(), db->env->pool, field->index, data_rows[0].v, sizeof(data_row) / sizeof(float), rows, keys) == DREAMDB_OK);
    dreamdb_snapshot_close(view);
}

/* After everything was folded (and what is deleted thrown out): one bucket a cell with a record for each live anchor of it, one row a value. */
static void check_folded(dreamdb *db, size_t rows, const uint8_t *deleted, const dreamdb_compact_report *r)
{
    static uint8_t keys[DATA_MOST * 32];
    size_t key_size = 0, records = 0, words = 0, numbers = 0, pictures = 0;
    dreamdb_snapshot *view = NULL;
    cells_of(db, rows, keys, &key_size);
    for (size_t i = 0; i < rows; i++) {
        bool first = !deleted[i], word = first && data_rows[i].c[0], number = first, picture = first;
        for (size_t j = 0; j < i; j++) {
            if (deleted[j]) { continue; }
            first = first && !(data_rows[j].anchor == data_rows[i].anchor && memcmp(keys + j * key_size, keys + i * key_size, key_size) == 0);
            word = word && strcmp(data_rows[j].c, data_rows[i].c) != 0;
            number = number && data_rows[j].n != data_rows[i].n;
            picture = picture && data_rows[j].anchor != data_rows[i].anchor;
        }
        pictures += picture;
        records += first; words += word; numbers += number;
    }
    view = view_of(db);
    const dreamdb_field_stats *e = stats_of(view, "e");
    CHECK_EQ_U64(e->records, records);
    CHECK(e->fragments_max <= 1 && e->rows == e->cells);
    CHECK_EQ_U64(stats_of(view, "c")->rows, words);
    CHECK_EQ_U64(stats_of(view, "n")->rows, numbers);
    CHECK_EQ_U64(stats_of(view, "m")->rows, pictures);
    CHECK(!r->more);
    dreamdb_snapshot_close(view);
}

static void check_verified(dreamdb *db)
{
    dreamdb_verify_report verified;
    dreamdb_snapshot *view = view_of(db);
    CHECK(dreamdb_verify(view, UINT64_MAX, NULL, NULL, &verified, &data_error) == DREAMDB_OK && verified.faults == 0);
    dreamdb_snapshot_close(view);
}

static void delete_some(dreamdb *db, size_t rows, uint8_t *deleted)
{
    uint64_t gone[8];
    dreamdb_delete_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.anchors = gone;
    desc.anchor_count = 1 + test_rand() % 8;
    for (size_t i = 0; i < desc.anchor_count; i++) { gone[i] = data_rows[test_rand() % rows].anchor; }
    CHECK(dreamdb_delete(db, &desc, NULL, &data_error) == DREAMDB_OK);
    for (size_t i = 0; i < DATA_MOST; i++) {
        for (size_t j = 0; j < desc.anchor_count; j++) { deleted[i] |= (uint8_t)(data_rows[i].anchor == gone[j]); }
    }
}

/* Appends the rows in small batches with deletions and compactions between them. */
static void one_history(dreamdb_index_kind index, uint32_t cells, size_t rows, uint64_t anchors, uint64_t cache)
{
    static const char *const fields[] = { NULL, NULL, "e", "c", "n", "s", "m" };
    static uint8_t deleted[DATA_MOST];
    dreamdb_config config;
    dreamdb_compact_report r;
    dreamdb *db = NULL;
    data_open();
    data_fill(DATA_MOST, anchors);
    memset(deleted, 0, sizeof deleted);
    config = data_config(&data_inner);
    config.cache_bytes = cache;
    config.threads = 1 + (uint32_t)(test_rand() % 2);
    CHECK(data_create(&config, index, cells, &db) == DREAMDB_OK);
    for (size_t done = 0; done < rows && test_ok;) {
        size_t n = 1 + test_rand() % (rows / 5), live = 0;
        n = n < rows - done ? n : rows - done;
        for (size_t i = 0; i < n; i++) { live += deleted[done + i]; }      /* an append refuses deleted anchors: give these rows another */
        for (size_t i = 0; i < n && live > 0; i++) { data_rows[done + i].anchor += deleted[done + i] ? 100000 + done + i : 0; deleted[done + i] = 0; }
        CHECK(data_append(db, done, n, NULL) == DREAMDB_OK);
        done += n;
        if (test_rand() % 3 == 0) { delete_some(db, done, deleted); }
        if (test_rand() % 2 == 0) {
            story before = tell(db, done), after;
            size_t bound = test_rand() % 3 == 0 ? 1 + test_rand() % 3 : 0;
            uint32_t threshold = (uint32_t)(test_rand() % 4);
            keep_bytes = test_rand() % 2 ? 200 + test_rand() % 2000 : 0;
            keep_dead = (uint32_t)(test_rand() % 101);
            CHECK(compact(db, fields[test_rand() % 7], threshold, bound, &r) == DREAMDB_OK);
            CHECK(bound == 0 || r.cells <= bound || threshold == 1);
            CHECK(bound > 0 || !r.more);
            after = tell(db, done);
            same_story(&before, &after);
        }
    }
    keep_bytes = keep_dead = 0;
    uint8_t tip[DREAMDB_ADDRESS_SIZE] = { 0 };
    for (int turn = 0; turn < 2 && test_ok; turn++) {           /* the second time there is nothing to do */
        story before = tell(db, rows), after;
        CHECK(compact(db, NULL, 1, 0, &r) == DREAMDB_OK);
        CHECK(turn == 0 || (r.cells == 0 && r.objects == 0 && memcmp(tip, r.manifest, sizeof tip) == 0));
        memcpy(tip, r.manifest, sizeof tip);
        after = tell(db, rows);
        same_story(&before, &after);
        check_folded(db, rows, deleted, &r);
    }
    check_verified(db);
    if (!test_ok) { printf("index %d, %zu rows, anchors below %llu: %s\n", (int)index, rows, (unsigned long long)anchors, data_error.message); }
    dreamdb_close(db);
    data_close();
}

/* A bucket of 100 records and three of 10, all of one cell: the first stays, the others are folded; then `dead` of its records are deleted,
   and it goes or stays. */
static void big_bucket(size_t dead, uint32_t percent, int goes)
{
    dreamdb_compact_report r;
    dreamdb_config config;
    dreamdb_delete_desc desc;
    uint64_t anchors[100];
    dreamdb *db = NULL;
    data_open();
    config = data_config(&data_store);
    data_fill(130, 0);
    CHECK(data_create(&config, DREAMDB_INDEX_IVF, 1, &db) == DREAMDB_OK && data_append(db, 0, 100, NULL) == DREAMDB_OK);
    for (size_t i = 100; i < 130; i += 10) { CHECK(data_append(db, i, 10, NULL) == DREAMDB_OK); }
    keep_bytes = 2000;                         /* a record has 24 bytes */
    keep_dead = percent;
    CHECK(compact(db, "e", 2, 0, &r) == DREAMDB_OK && r.cells == 1 && r.fragments == 3 && r.rows == 30 && r.deleted == 0);
    CHECK(compact(db, "e", 1, 0, &r) == DREAMDB_OK && r.cells == 0);
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < dead; i++) { anchors[i] = data_rows[i].anchor; }
    desc.anchors = anchors;
    desc.anchor_count = dead;
    CHECK(dreamdb_delete(db, &desc, NULL, &data_error) == DREAMDB_OK);
    story before = tell(db, 130), after;
    CHECK(compact(db, "e", 1, 0, &r) == DREAMDB_OK);
    CHECK(goes ? r.cells == 1 && r.deleted == dead && r.rows == 130 - dead : r.cells == 0);
    after = tell(db, 130);
    same_story(&before, &after);
    dreamdb_snapshot *view = view_of(db);
    CHECK_EQ_U64(stats_of(view, "e")->rows, goes ? 1 : 2);
    CHECK_EQ_U64(stats_of(view, "e")->records, goes ? 130 - dead : 130);
    dreamdb_snapshot_close(view);
    keep_bytes = keep_dead = 0;
    check_verified(db);
    dreamdb_close(db);
    data_close();
}
static void big_buckets_stay(void)
{
    dreamdb_compact_desc desc;
    big_bucket(50, 0, 0);
    big_bucket(51, 0, 1);
    big_bucket(75, 75, 0);
    big_bucket(76, 75, 1);
    big_bucket(99, 100, 0);
    big_bucket(100, 100, 1);                   /* nothing lives in it */
    memset(&desc, 0, sizeof desc);
    desc.keep_dead = 101;
    data_open();
    dreamdb_config config = data_config(&data_store);
    dreamdb *db = NULL;
    data_fill(1, 0);
    CHECK(data_create(&config, DREAMDB_INDEX_IVF, 1, &db) == DREAMDB_OK);
    CHECK(dreamdb_compact(db, &desc, NULL, &data_error) == DREAMDB_ERR_ARGUMENT && strstr(data_error.message, "at most 100"));
    dreamdb_close(db);
    data_close();
}

/* So does a pack of postings, unless it is small beside all of its field. */
static void big_packs_stay(void)
{
    for (int turn = 0; turn < 3; turn++) {      /* 200, 375 and 376 of 500 rows are deleted */
        static const size_t dead[3] = { 200, 375, 376 };
        dreamdb_compact_report r;
        dreamdb_delete_desc desc;
        uint64_t anchors[376];
        dreamdb *db = NULL;
        data_open();
        dreamdb_config config = data_config(&data_store);
        data_fill(509, 0);
        for (size_t i = 0; i < 509; i++) { data_rows[i].b = i % 2; }
        CHECK(data_create(&config, DREAMDB_INDEX_IVF, 1, &db) == DREAMDB_OK && data_append(db, 0, 500, NULL) == DREAMDB_OK);
        CHECK(compact(db, "b", 1, 0, &r) == DREAMDB_OK && data_append(db, 500, 4, NULL) == DREAMDB_OK);
        keep_bytes = 1;
        CHECK(compact(db, "b", 2, 0, &r) == DREAMDB_OK && r.cells == 0);
        CHECK(data_append(db, 504, 4, NULL) == DREAMDB_OK);
        CHECK(compact(db, "b", 2, 0, &r) == DREAMDB_OK && r.cells == 2 && r.fragments == 4 && r.rows == 8);
        keep_bytes = 1 << 20;                  /* none is so big */
        CHECK(data_append(db, 508, 1, NULL) == DREAMDB_OK && compact(db, "c", 2, 0, &r) == DREAMDB_OK && r.cells == 5);
        keep_bytes = 1;
        keep_dead = 75;
        memset(&desc, 0, sizeof desc);
        for (size_t i = 0; i < dead[turn]; i++) { anchors[i] = data_rows[i].anchor; }
        desc.anchors = anchors;
        desc.anchor_count = dead[turn];
        CHECK(dreamdb_delete(db, &desc, NULL, &data_error) == DREAMDB_OK);
        story before = tell(db, 509), after;
        CHECK(compact(db, "b", 1, 0, &r) == DREAMDB_OK && r.deleted == (turn < 2 ? 0 : dead[turn]));
        after = tell(db, 509);
        same_story(&before, &after);
        keep_bytes = keep_dead = 0;
        check_verified(db);
        dreamdb_close(db);
        data_close();
    }
}

static void random_histories(void)
{
    for (int i = 0; i < 60 && test_ok; i++) {
        static const dreamdb_index_kind kinds[] = { DREAMDB_INDEX_IVF, DREAMDB_INDEX_LSH, DREAMDB_INDEX_LSH_L2 };
        data_page_early = i % 2;
        one_history(kinds[i % 3], i % 3 == 0 ? 2 + (uint32_t)(i % 9) : 1 + (uint32_t)(i % 6), 5 + test_rand() % 250, i % 4 == 0 ? 0 : 40 + test_rand() % 400,
                    i % 5 == 0 ? 1 << 12 : 0);
    }
    data_page_early = 0;
}

/* Predicates find what they found: a value of a live row stays, be it the one that get returns or not. */
static void predicates_stay(void)
{
    for (int turn = 0; turn < 6; turn++) {
        static uint8_t deleted[DATA_MOST];
        data_tree trees[12];
        size_t counts[12];
        uint64_t *found[12];
        dreamdb_snapshot *view = NULL;
        data_open();
        data_fill(200, turn % 2 ? 90 : 0);
        memset(deleted, 0, sizeof deleted);
        dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 3, 200);
        if (turn > 1) { delete_some(db, 200, deleted); }
        view = view_of(db);
        for (size_t i = 0; i < 12; i++) {
            memset(trees + i, 0, sizeof trees[i]);
            trees[i].node_count = 1;
            CHECK(dreamdb_select(view, data_where(trees + i, 0, 2), found + i, counts + i, &data_error) == DREAMDB_OK);
        }
        CHECK(compact(db, NULL, turn % 2 ? 1 : 0, 0, NULL) == DREAMDB_OK);
        dreamdb_snapshot *after = view_of(db);
        for (size_t i = 0; i < 12; i++) {
            uint64_t *again = NULL;
            size_t n = 0;
            CHECK(dreamdb_select(after, trees[i].nodes, &again, &n, &data_error) == DREAMDB_OK);
            CHECK(n == counts[i] && (n == 0 || memcmp(again, found[i], n * 8) == 0));
            dreamdb_anchors_free(after, again, n);
            dreamdb_anchors_free(view, found[i], counts[i]);
        }
        dreamdb_snapshot_close(view);
        dreamdb_snapshot_close(after);
        dreamdb_close(db);
        data_close();
    }
}

/* One cell or value a call, until nothing is left: the same Tracks as all at once. */
static void resumed(void)
{
    uint8_t whole[2][DREAMDB_ADDRESS_SIZE];
    for (int by_one = 0; by_one < 2; by_one++) {
        dreamdb_compact_report r;
        size_t calls = 0;
        test_state = 77;
        data_clock = 0;
        data_open();
        data_fill(150, 0);
        dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_IVF, 6, 150);
        do {
            CHECK(compact(db, "e", 0, (uint64_t)by_one, &r) == DREAMDB_OK && (!by_one || r.cells == 1));
            calls++;
        } while (r.more && calls < 100);
        CHECK(by_one ? calls > 3 : calls == 1);
        dreamdb_snapshot *view = view_of(db);
        memcpy(whole[by_one], ddb_view_find(view, ddb_bytes_text("e"))->binding->address.bytes, DREAMDB_ADDRESS_SIZE);
        dreamdb_snapshot_close(view);
        for (calls = 0; by_one && calls < 100; calls++) {
            CHECK(compact(db, NULL, 0, 1, &r) == DREAMDB_OK && (r.cells == 1 || !r.more));
            if (!r.more) { break; }
        }
        CHECK(compact(db, NULL, 0, 0, &r) == DREAMDB_OK);
        CHECK(compact(db, NULL, 0, 0, &r) == DREAMDB_OK && r.cells == 0 && !r.more);
        dreamdb_close(db);
        data_close();
    }
    CHECK(memcmp(whole[0], whole[1], sizeof whole[0]) == 0);
}

/* ---- Codes and sidecars ---- */
static dreamdb_status coded_append(dreamdb *db, size_t first, size_t count)
{
    static uint64_t anchors[DATA_MOST];
    dreamdb_column columns[2];
    dreamdb_append_desc desc;
    memset(columns, 0, sizeof columns); memset(&desc, 0, sizeof desc);
    columns[0].field = "a"; columns[1].field = "b";
    for (size_t i = 0; i < 2; i++) { columns[i].data = data_rows[first].v; columns[i].stride = sizeof(data_row); }
    for (size_t i = 0; i < count; i++) { anchors[i] = data_rows[first + i].anchor; }
    desc.columns = columns; desc.column_count = 2; desc.count = count; desc.anchors = anchors;
    return dreamdb_append(db, &desc, NULL, &data_error);
}

static story coded_tell(dreamdb *db)
{
    static const char *const names[] = { "a", "b" };
    static const dreamdb_rerank modes[] = { DREAMDB_RERANK_APPROXIMATE, DREAMDB_RERANK_EXACT };
    story out = { NULL, 0, 0 };
    dreamdb_snapshot *view = view_of(db);
    tell_rows(view, names, 2, &out);
    for (int i = 0; i < 4; i++) {
        dreamdb_query query;
        dreamdb_result *result = NULL;
        memset(&query, 0, sizeof query);
        query.field = names[i / 2]; query.vectors = data_rows[i * 11].v; query.top_k = 400; query.nprobe = 1000; query.rerank = modes[i % 2];
        query.rerank_pool = 400;
        CHECK(dreamdb_search(view, &query, &result, &data_error) == (i == 3 ? DREAMDB_ERR_ARGUMENT : DREAMDB_OK));
        for (size_t h = 0; result && h < result->count; h++) { say(&out, &result->hits[h].score, 4); }
        dreamdb_result_free(result);
    }
    dreamdb_snapshot_close(view);
    return out;
}

static void coded_fields(void)
{
    for (int kind = 0; kind < 3; kind++) {
        static float sample[60 * DATA_DIM];
        dreamdb_field fields[2];
        dreamdb_create_desc desc;
        dreamdb_config config;
        dreamdb_compact_report r;
        dreamdb *db = NULL;
        data_dim = 12;
        data_open();
        data_fill(240, 0);
        memset(fields, 0, sizeof fields); memset(&desc, 0, sizeof desc);
        for (size_t i = 0; i < 60 * data_dim; i++) { sample[i] = test_randf(); }
        for (size_t i = 0; i < 2; i++) {
            dreamdb_field *f = fields + i;
            f->name = i ? "b" : "a"; f->kind = DREAMDB_EMBEDDING; f->dim = data_dim; f->index = kind == 2 ? DREAMDB_INDEX_IMI : DREAMDB_INDEX_IVF; f->k = 5; f->k_sub = 2;
            f->train = sample; f->train_count = 60; f->iterations = 2; f->pq_m = 4; f->pq_k = 16; f->bits_per_dim = kind == 1 ? 4 : 1;
            f->compressor = i && kind == 0 ? DREAMDB_COMPRESSOR_PQ : DREAMDB_COMPRESSOR_RABITQ;
            f->rerank = i == 0;
        }
        desc.fields = fields; desc.field_count = 2;
        config = data_config(&data_inner);
        CHECK(dreamdb_create(&config, "main", &desc, &db, &data_error) == DREAMDB_OK);
        for (size_t at = 0; at < 240; at += 40) { CHECK(coded_append(db, at, 40) == DREAMDB_OK); }
        story before = coded_tell(db), after;
        CHECK(compact(db, NULL, 0, 0, &r) == DREAMDB_OK);
        CHECK_EQ_U64(r.rows, 480);
        CHECK(r.fragments >= 4 * r.cells && r.reclaimable > 0 && r.deleted == 0 && r.losing == 0 && !r.more);
        after = coded_tell(db);
        same_story(&before, &after);
        check_verified(db);
        dreamdb_close(db);
        data_close();
        data_dim = 4;
    }
}

/* What a deleted row was said to be is in no object that the tip still names, whether all is done at once or bit by bit. */
static void erased(void)
{
    for (uint64_t most = 0; most < 3; most++) {
        static const char *const fields[] = { "c", "n", "s", "b", "f", "t" };
        dreamdb_delete_desc gone;
        dreamdb_compact_report r;
        memset(&gone, 0, sizeof gone);
        data_open();
        data_fill(120, 0);
        dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 2, 120);
        CHECK(compact(db, NULL, 0, 0, NULL) == DREAMDB_OK);
        gone.anchors = &data_rows[60].anchor; gone.anchor_count = 1;
        CHECK(dreamdb_delete(db, &gone, NULL, &data_error) == DREAMDB_OK);
        do { CHECK(compact(db, NULL, 1, most, &r) == DREAMDB_OK); } while (r.more && test_ok);
        dreamdb_snapshot *view = view_of(db);
        for (size_t f = 0; f < 6; f++) {
            ddb_arena arena = { NULL, 0 };
            ddb_view_field *field = ddb_view_find(view, ddb_bytes_text(fields[f]));
            ddb_row *rows = NULL;
            size_t count = 0;
            CHECK(ddb_view_need(test_ctx(), view, &field, 1, DDB_VIEW_TRACK) == DREAMDB_OK);
            CHECK(ddb_track_collect(test_ctx(), db->env, &arena, &field->track, NULL, &rows, &count) == DREAMDB_OK && count > 0);
            for (size_t i = 0; i < count; i++) {                 /* no posting stands in a pack that no row names */
                size_t size = 0;
                uint8_t *bytes = data_take(ddb_addr_path(test_ctx(), &arena, ddb_view_folder(test_ctx(), &arena, field, "bucket"), &rows[i].addr), &size);
                uint64_t named = 0;
                for (size_t j = 0; j < count; j++) { named += ddb_addr_equal(&rows[j].addr, &rows[i].addr) ? rows[j].size : 0; }
                CHECK_EQ_U64(named, size);
                CHECK(!ddb_roaring_contains(ddb_bytes_slice(bytes + rows[i].offset, (size_t)rows[i].size), data_rows[60].anchor));
                free(bytes);
            }
            ddb_mem_arena_free(test_ctx(), &arena);
        }
        dreamdb_snapshot_close(view);
        check_verified(db);
        dreamdb_close(db);
        data_close();
    }
}

/* Packs of media: small ones of many appends become full ones; one that holds a deleted row is written without it. */
static void packs(void)
{
    for (int paged = 0; paged < 2; paged++) {
        enum { PICTURES = 420 };
        static char texts[PICTURES][16];
        dreamdb_slice values[PICTURES];
        uint64_t anchors[PICTURES], gone[2] = { 4, 41 };
        dreamdb_field field;
        dreamdb_create_desc desc;
        dreamdb_column column;
        dreamdb_append_desc append;
        dreamdb_delete_desc erase;
        dreamdb_config config;
        dreamdb_compact_report r;
        dreamdb *db = NULL;
        data_open();
        memset(&field, 0, sizeof field); memset(&desc, 0, sizeof desc); memset(&column, 0, sizeof column); memset(&append, 0, sizeof append); memset(&erase, 0, sizeof erase);
        field.name = "p"; field.kind = DREAMDB_IMAGE; field.pack_items = 20;
        desc.fields = &field; desc.field_count = 1;
        config = data_config(&data_inner);
        CHECK(dreamdb_create(&config, "main", &desc, &db, &data_error) == DREAMDB_OK);
        for (size_t i = 0; i < PICTURES; i++) {
            (void)snprintf(texts[i], sizeof texts[i], "picture %u", (unsigned)i);
            values[i].data = texts[i]; values[i].size = strlen(texts[i]); anchors[i] = i;
        }
        column.field = "p"; append.columns = &column; append.column_count = 1; append.count = 3; append.page_early = paged;
        for (size_t i = 0; i < PICTURES; i += 3) {
            column.values = values + i; append.anchors = anchors + i;
            CHECK(dreamdb_append(db, &append, NULL, &data_error) == DREAMDB_OK);
        }
        for (int turn = 0; turn < 3; turn++) {
            story before = { NULL, 0, 0 }, after = { NULL, 0, 0 };
            dreamdb_snapshot *view = view_of(db);
            tell_rows(view, &field.name, 1, &before);
            dreamdb_snapshot_close(view);
            CHECK(compact(db, NULL, turn == 1 ? 1 : 0, 0, &r) == DREAMDB_OK);
            CHECK_EQ_U64(r.rows, turn == 0 ? PICTURES : turn == 1 ? 38 : 0);     /* two packs of 20 lose one each */
            CHECK(turn != 1 || (r.deleted == 2 && r.reclaimable > 0));
            view = view_of(db);
            const dreamdb_field_stats *p = stats_of(view, "p");
            CHECK(p->paged == paged);
            CHECK_EQ_U64(p->objects, PICTURES / 20 + 1 + p->pages);
            tell_rows(view, &field.name, 1, &after);
            dreamdb_snapshot_close(view);
            same_story(&before, &after);
            erase.anchors = gone; erase.anchor_count = 2;
            if (turn == 0) { CHECK(dreamdb_delete(db, &erase, NULL, &data_error) == DREAMDB_OK); }
        }
        check_verified(db);
        dreamdb_close(db);
        data_close();
    }
}

/* The payload cap holds: as few buckets as can be, and no more work once they are there. */
static void capped_cells(void)
{
    enum { WIDE = 600, DIM = 1100 };
    static float rows[WIDE * DIM];
    static uint64_t anchors[WIDE];
    dreamdb_field field;
    dreamdb_create_desc desc;
    dreamdb_column column;
    dreamdb_append_desc append;
    dreamdb_config config;
    dreamdb_compact_report r;
    dreamdb *db = NULL;
    data_open();
    memset(&field, 0, sizeof field); memset(&desc, 0, sizeof desc); memset(&column, 0, sizeof column); memset(&append, 0, sizeof append);
    field.name = "w"; field.kind = DREAMDB_EMBEDDING; field.dim = DIM; field.index = DREAMDB_INDEX_LSH; field.bits = 1; field.bucket_max_bytes = 1 << 20;
    desc.fields = &field; desc.field_count = 1;
    for (size_t i = 0; i < WIDE; i++) { anchors[i] = i * 37 % WIDE; for (size_t d = 0; d < DIM; d++) { rows[i * DIM + d] = 1.0f + 0.1f * test_randf(); } }
    config = data_config(&data_inner);
    CHECK(dreamdb_create(&config, "main", &desc, &db, &data_error) == DREAMDB_OK);
    column.field = "w"; append.columns = &column; append.column_count = 1; append.count = WIDE / 6;
    for (size_t i = 0; i < 6; i++) {
        column.data = rows + i * (WIDE / 6) * DIM; append.anchors = anchors + i * (WIDE / 6);
        CHECK(dreamdb_append(db, &append, NULL, &data_error) == DREAMDB_OK);
    }
    CHECK(compact(db, "w", 0, 0, &r) == DREAMDB_OK && r.cells == 1 && r.fragments == 6 && r.rows == WIDE);
    dreamdb_snapshot *view = view_of(db);
    CHECK_EQ_U64(stats_of(view, "w")->rows, 3);              /* 238 records of 4,408 bytes a MiB */
    dreamdb_snapshot_close(view);
    CHECK(compact(db, "w", 0, 0, &r) == DREAMDB_OK && r.cells == 0 && r.objects == 0);
    check_verified(db);
    dreamdb_close(db);
    data_close();
}

/* A paged Track: only the leaves of the touched cells and what is above them are written. */
static void copy_on_write(void)
{
    dreamdb_compact_report r;
    dreamdb_snapshot *view = NULL;
    data_open();
    data_page_early = 1;
    data_dim = 30;
    data_fill(DATA_MOST, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 24, DATA_MOST - 10);
    CHECK(compact(db, "e", 0, 0, NULL) == DREAMDB_OK);
    memcpy(data_rows[DATA_MOST - 1].v, data_rows[3].v, sizeof data_rows[3].v);
    CHECK(data_append(db, DATA_MOST - 1, 1, NULL) == DREAMDB_OK);
    view = view_of(db);
    uint64_t pages = stats_of(view, "e")->pages;
    CHECK(stats_of(view, "e")->paged && pages >= 3);
    dreamdb_snapshot_close(view);
    CHECK(compact(db, "e", 0, 0, &r) == DREAMDB_OK && r.cells == 1 && r.fragments == 2);
    CHECK_EQ_U64(r.objects, 6);                              /* bucket and its outboard, leaf, root, Track, Manifest */
    data_page_early = 0;
    data_dim = 4;
    dreamdb_close(db);
    data_close();
}

/* ---- As the reference does it, and what is refused ---- */
static void identical(void)
{
    dreamdb_compact_report r;
    dreamdb_config config;
    dreamdb_delete_desc gone;
    dreamdb *db = NULL;
    uint8_t tip[DREAMDB_ADDRESS_SIZE];
    memset(&gone, 0, sizeof gone);
    data_open();
    data_fill(60, 0);
    config = data_config(&data_inner);
    config.identical = 1;
    CHECK(data_create(&config, DREAMDB_INDEX_IVF, 3, &db) == DREAMDB_OK);
    CHECK(data_append(db, 0, 20, NULL) == DREAMDB_OK && data_append(db, 20, 20, NULL) == DREAMDB_OK && data_append(db, 0, 20, NULL) == DREAMDB_OK);
    gone.anchors = &data_rows[5].anchor; gone.anchor_count = 1;
    CHECK(dreamdb_delete(db, &gone, NULL, NULL) == DREAMDB_OK);
    CHECK(compact(db, NULL, 0, 0, &r) == DREAMDB_OK && r.deleted == 0);
    CHECK_EQ_U64(r.losing, 20);                              /* the repeats */
    dreamdb_snapshot *view = view_of(db);
    CHECK_EQ_U64(stats_of(view, "e")->records, 40);          /* the deleted row is still there */
    memcpy(tip, view->address.bytes, sizeof tip);
    dreamdb_snapshot_close(view);
    float moved = data_rows[7].v[0];
    data_rows[7].v[0] += 0.0001f;
    CHECK(data_append(db, 7, 1, NULL) == DREAMDB_OK);
    CHECK(compact(db, "e", 0, 0, &r) == DREAMDB_ERR_ARGUMENT && strstr(data_error.message, "different vectors"));
    data_rows[7].v[0] = moved;
    dreamdb_close(db);
    config.identical = 0;
    CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_OK);
    CHECK(compact(db, "e", 1, 0, &r) == DREAMDB_OK && r.deleted == 1 && r.losing == 1);
    dreamdb_close(db);
    data_close();
}

static void bad_calls(void)
{
    dreamdb_compact_desc desc;
    data_open();
    data_fill(20, 0);
    memset(&desc, 0, sizeof desc);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_IVF, 3, 20);
    CHECK(dreamdb_compact(db, NULL, NULL, &data_error) == DREAMDB_ERR_ARGUMENT && dreamdb_compact(NULL, &desc, NULL, NULL) == DREAMDB_ERR_ARGUMENT);
    CHECK(compact(db, "nothing", 0, 0, NULL) == DREAMDB_ERR_NOT_FOUND && strstr(data_error.message, "it has:"));
    dreamdb_config config = data_config(&data_inner);
    config.identical = 1;
    dreamdb *as_it = NULL;
    CHECK(dreamdb_open(&config, "main", &as_it, &data_error) == DREAMDB_OK && compact(as_it, "m", 0, 0, NULL) == DREAMDB_ERR_ARGUMENT);
    dreamdb_close(as_it);
    dreamdb_close(db);
    data_close();
}

/* A damaged bucket stops it by name; nothing is published. */
static void hostile_buckets(void)
{
    static uint8_t tip[DREAMDB_ADDRESS_SIZE];
    for (int way = 0; way < 4; way++) {
        char path[300];
        size_t size = 0;
        data_open();
        data_fill(40, 0);
        dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 1, 40);
        dreamdb_snapshot *view = view_of(db);
        ddb_view_field *field = ddb_view_find(view, ddb_bytes_text(way == 3 ? "c" : "e"));
        ddb_arena arena = { NULL, 0 };
        CHECK(ddb_view_need(test_ctx(), view, &field, 1, DDB_VIEW_TRACK) == DREAMDB_OK);
        const char *folder = ddb_view_folder(test_ctx(), &arena, field, way == 3 ? "bucket" : NULL);
        (void)snprintf(path, sizeof path, "%s", way == 3 ? ddb_addr_path(test_ctx(), &arena, folder, &field->track.rows[0].addr)
                       : ddb_bucket_path(test_ctx(), &arena, folder, field->track.rows));
        ddb_mem_arena_free(test_ctx(), &arena);
        memcpy(tip, view->address.bytes, sizeof tip);
        dreamdb_snapshot_close(view);
        uint8_t *bytes = data_take(path, &size);
        if (way == 0 || way == 3) { bytes[size - 1] ^= 1; }
        if (way == 2) { CHECK(data_inner.remove(data_inner.user, path) == DREAMDB_OK); } else { data_put(path, bytes, way == 1 ? size - 3 : size); }
        dreamdb_config config = data_config(&data_inner);
        dreamdb_close(db);
        CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_OK);
        dreamdb_status status = compact(db, NULL, 0, 0, NULL);
        CHECK(status == (way == 2 ? DREAMDB_ERR_NOT_FOUND : DREAMDB_ERR_CORRUPT) && strstr(data_error.path, "/"));
        view = view_of(db);
        CHECK(memcmp(tip, view->address.bytes, sizeof tip) == 0);
        dreamdb_snapshot_close(view);
        free(bytes);
        dreamdb_close(db);
        data_close();
    }
}

/* ---- Two writers, and every step stopped ---- */
static void a_lost_race(void)
{
    dreamdb *db = NULL, *late = NULL;
    dreamdb_compact_report r;
    dreamdb_config config;
    data_open();
    data_fill(60, 0);
    db = data_make(&data_inner, DREAMDB_INDEX_IVF, 3, 50);
    config = data_config(data_rival_open(50));
    CHECK(dreamdb_open(&config, "main", &late, &data_error) == DREAMDB_OK);
    data_rival = db;
    CHECK(compact(late, NULL, 0, 0, &r) == DREAMDB_ERR_CONFLICT && data_count(db) == 55);
    CHECK(compact(late, NULL, 0, 0, &r) == DREAMDB_OK && r.cells > 0 && data_count(late) == 55 && data_count(db) == 55);
    dreamdb_close(db); dreamdb_close(late);
    data_close();
}

/* way 0: allocation n fails; 1: operation n fails; 2: it is done and its answer lost; 3: that one and all later ones fail. */
static void stop_compact(int way)
{
    int good = 0, errors = 0;
    for (long n = 1; n < 20000 && good < 2; n += 1 + (way == 0 ? n / 8 : 0)) {
        static uint8_t deleted[DATA_MOST];
        uint8_t before[DREAMDB_ADDRESS_SIZE];
        dreamdb_config config;
        data_open();
        test_state = 5;
        dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_IVF, 3, 40);
        delete_some(db, 40, deleted);
        story told = tell(db, 0), after;
        dreamdb_snapshot *view = view_of(db);
        memcpy(before, view->address.bytes, sizeof before);
        dreamdb_snapshot_close(view);
        dreamdb_close(db);
        config = data_config(&data_store);
        CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_OK);
        data_arm(way, n);
        dreamdb_status status = compact(db, NULL, 1, 0, NULL);
        data_disarm(way, status);
        view = view_of(db);
        bool moved = memcmp(before, view->address.bytes, sizeof before) != 0;
        dreamdb_snapshot_close(view);
        CHECK(status == DREAMDB_OK ? moved : way == 2 || !moved);
        CHECK(compact(db, NULL, 1, 0, NULL) == DREAMDB_OK);
        after = tell(db, 0);
        same_story(&told, &after);
        check_verified(db);
        errors += status < 0;
        good = status < 0 ? 0 : good + 1;
        dreamdb_close(db);
        data_close();
        if (!test_ok) { printf("way %d, n %ld: %d %s\n", way, n, (int)status, data_error.message); return; }
    }
    CHECK(good == 2 && errors > 2);
}

static void every_step_stopped(void)
{
    data_fill(60, 30);
    for (int way = 0; way < 4; way++) { stop_compact(way); }
}

static int stop_at;
static int stop_soon(void *user, const dreamdb_progress *p) { (void)user; CHECK_STR(p->verb, "compact"); return --stop_at <= 0; }

static void cancelled(void)
{
    dreamdb_config config;
    dreamdb *db = NULL;
    data_open();
    data_fill(60, 0);
    dreamdb_close(data_make(&data_inner, DREAMDB_INDEX_IVF, 3, 60));
    config = data_config(&data_inner);
    config.progress = stop_soon;
    CHECK(dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_OK);
    for (int n = 1; n < 4; n++) {
        stop_at = n;
        CHECK(compact(db, NULL, 0, 0, NULL) == DREAMDB_ERR_CANCELLED);
    }
    stop_at = 1000;
    CHECK(compact(db, NULL, 0, 0, NULL) == DREAMDB_OK && data_count(db) == 60);
    dreamdb_close(db);
    data_close();
}

/* A Track of labels that every append makes longer: past 64 KiB the append says so, and after a compaction no more. */
static void advice(void)
{
    dreamdb_append_report r;
    size_t told = 0, appends = 0;
    data_open();
    data_fill(DATA_MOST, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 1, 0);
    for (; appends < 400 && !told; appends++) {
        CHECK(data_append(db, appends % 500, 30, &r) == DREAMDB_OK);
        told = (size_t)r.compact_bytes;
    }
    CHECK(told > 65536 && told < 66000 && appends > 100);
    CHECK(compact(db, "c", 0, 0, NULL) == DREAMDB_OK && data_append(db, 0, 30, &r) == DREAMDB_OK && r.compact_bytes == 0);
    dreamdb_close(db);
    data_close();
}

int main(void)
{
    data_unused();
    RUN(big_buckets_stay);
    RUN(big_packs_stay);
    RUN(random_histories);
    RUN(predicates_stay);
    RUN(resumed);
    RUN(coded_fields);
    RUN(erased);
    RUN(packs);
    RUN(capped_cells);
    RUN(copy_on_write);
    RUN(identical);
    RUN(bad_calls);
    RUN(hostile_buckets);
    RUN(a_lost_race);
    RUN(every_step_stopped);
    RUN(cancelled);
    RUN(advice);
    return test_end("compact");
}
