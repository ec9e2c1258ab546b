/* Coded fields and embedding layers through the public functions: every allocation of a whole life fails once, hostile buckets are refused,
   and the answers do not depend on threads, cache or instruction sets. */
#include "test.h"

enum { ROWS = 60, DIM = 6 };
static float rows[ROWS * DIM];
static dreamdb_error error;

static dreamdb_field embedding(const char *name, dreamdb_index_kind index, dreamdb_compressor compressor)
{
    dreamdb_field f;
    memset(&f, 0, sizeof f);
    f.name = name; f.kind = DREAMDB_EMBEDDING; f.dim = DIM; f.index = index; f.compressor = compressor;
    f.train = rows; f.train_count = ROWS; f.k = 3; f.k_sub = 2; f.iterations = 2; f.pq_m = 3; f.pq_k = 8; f.bits_per_dim = 4; f.rerank = compressor == DREAMDB_COMPRESSOR_RABITQ;
    return f;
}

/* What one life finds: anchors of a search of each field. */
typedef struct found { uint64_t anchors[3][5]; size_t counts[3]; uint64_t faults, scanned; float sum; } found;

static dreamdb_status read_all(dreamdb *db, found *out)
{
    static const char *const names[3] = { "a", "b", "layer" };
    dreamdb_snapshot *view = NULL;
    dreamdb_status status = dreamdb_snapshot_open(db, NULL, &view, &error);
    for (size_t f = 0; f < 3 && status == DREAMDB_OK; f++) {
        dreamdb_query query;
        dreamdb_result *result = NULL;
        const char *field = names[f];
        memset(&query, 0, sizeof query);
        query.field = field; query.vectors = rows + 5 * DIM; query.top_k = 5; query.fields = &field; query.field_count = 1; query.exact = f == 2;
        status = dreamdb_search(view, &query, &result, &error);
        if (status == DREAMDB_OK) {
            out->counts[f] = result->count;
            for (size_t i = 0; i < result->count; i++) { out->anchors[f][i] = result->hits[i].anchor; out->sum += result->hits[i].score + ((const float *)result->hits[i].values->data)[1]; }
            dreamdb_result_free(result);
        }
    }
    if (status == DREAMDB_OK) {
        dreamdb_scan scan;
        dreamdb_cursor *cursor = NULL;
        dreamdb_row row;
        memset(&scan, 0, sizeof scan);
        scan.fields = names; scan.field_count = 1; scan.order = DREAMDB_ORDER_STORAGE;
        status = dreamdb_scan_open(view, &scan, &cursor, &error);
        while (status == DREAMDB_OK && (status = dreamdb_cursor_next(cursor, &row, &error)) == DREAMDB_OK) { out->scanned++; out->sum += ((const float *)row.values->data)[0]; }
        status = status == DREAMDB_DONE ? DREAMDB_OK : status;
        dreamdb_cursor_close(cursor);
    }
    if (status == DREAMDB_OK) {
        dreamdb_verify_report report;
        const dreamdb_stats *stats = NULL;
        status = dreamdb_verify(view, 0, NULL, NULL, &report, &error);
        out->faults = status == DREAMDB_OK ? report.faults : 0;
        status = status < 0 ? status : dreamdb_snapshot_stats(view, &stats, &error);
        if (status == DREAMDB_OK) { CHECK_EQ_U64(stats->fields[0].records, ROWS); }
    }
    dreamdb_snapshot_close(view);
    return status;
}

/* Create, append, a layer, more of it, two trainings, and reads. */
static dreamdb_status life(uint32_t threads, uint32_t simd_off, uint64_t cache, found *out)
{
    dreamdb_store store;
    dreamdb_config config;
    dreamdb *db = NULL;
    dreamdb_field fields[2], more = embedding("layer", DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_RABITQ);
    dreamdb_create_desc create;
    dreamdb_column columns[2];
    dreamdb_append_desc append;
    dreamdb_layer layer;
    dreamdb_train_desc train;
    uint64_t anchors[ROWS];
    dreamdb_allocator allocator = test_allocator();
    for (size_t i = 0; i < ROWS; i++) { anchors[i] = i * 3; }
    memset(out, 0, sizeof *out); memset(&config, 0, sizeof config); memset(&create, 0, sizeof create); memset(columns, 0, sizeof columns);
    memset(&append, 0, sizeof append); memset(&layer, 0, sizeof layer); memset(&train, 0, sizeof train);
    fields[0] = embedding("a", DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_RABITQ);
    fields[1] = embedding("b", DREAMDB_INDEX_IMI, DREAMDB_COMPRESSOR_PQ);
    create.fields = fields; create.field_count = 2;
    config.store = &store; config.allocator = allocator; config.threads = threads; config.simd_off = simd_off; config.cache_bytes = cache;
    columns[0].field = "a"; columns[1].field = "b"; columns[0].data = columns[1].data = rows;
    append.columns = columns; append.column_count = 2; append.count = ROWS; append.anchors = anchors;
    layer.parent = "a"; layer.column = columns; layer.anchors = anchors; layer.count = 20;
    dreamdb_status status = dreamdb_store_memory(&allocator, &store, &error);
    if (status < 0) { return status; }
    status = dreamdb_create(&config, "main", &create, &db, &error);
    status = status < 0 ? status : dreamdb_append(db, &append, NULL, &error);
    columns[0].field = "layer";
    status = status < 0 ? status : dreamdb_add_field(db, &more, &layer, &error);
    append.column_count = 1; append.count = 7; append.into_layer = 1;
    status = status < 0 ? status : dreamdb_append(db, &append, NULL, &error);
    train.field = "b"; train.k = 3; train.iterations = 1;
    status = status < 0 ? status : dreamdb_train(db, &train, &error);
    train.field = "a";
    status = status < 0 ? status : dreamdb_train(db, &train, &error);
    status = status < 0 ? status : read_all(db, out);
    dreamdb_close(db);
    dreamdb_store_close(&store);
    return status;
}

static void whole_life(void)
{
    found first, other;
    CHECK(life(1, 0, 0, &first) == DREAMDB_OK);
    CHECK(first.counts[0] == 5 && first.counts[1] == 5 && first.counts[2] == 5 && first.faults == 0 && first.scanned == ROWS);
    CHECK(first.anchors[0][0] == 15 && first.anchors[2][0] == 15);           /* reranked: row 5 finds itself */
    for (uint32_t t = 1; t < 4; t++) {
        for (uint32_t off = 0; off < 2; off++) {
            CHECK(life(t, off, t == 2 ? 1 : 0, &other) == DREAMDB_OK && memcmp(&first, &other, sizeof first) == 0);
        }
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void failing_memory(void)
{
    int done = 0;
    for (long n = 1; n < 20000 && !done; n += 1 + n / 60) {      /* each of the first, then ever fewer of the many */
        found out;
        test_fail_alloc_at(n);
        dreamdb_status status = life(1, 0, 0, &out);
        done = test_allocs < n;
        CHECK(status == DREAMDB_ERR_MEMORY || status == DREAMDB_OK);
        test_fail_alloc_at(0);
        if (test_live_bytes() != 0) { printf("allocation %ld: %zu bytes are left\n", n, test_live_bytes()); test_ok = 0; break; }
    }
    CHECK(done);
}

/* ---- Hostile buckets: each byte of a header and a code changed must never crash a reader that does not check hashes ---- */
static dreamdb_store inner; static uint64_t flips; static size_t flip_at; static const char *flip_in;
static int hostile_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    static uint8_t copy[1 << 16];
    int status = inner.get(inner.user, path, offset, size, out);
    (void)user;
    if (status == 0 && strstr(path, flip_in) && out->size < sizeof copy && flip_at < out->size) {
        memcpy(copy, out->data, (size_t)out->size);
        copy[flip_at] ^= 0x81;
        if (out->release) { out->release(out->release_user, out->data, out->size); }
        out->data = copy;
        out->release = NULL;
        flips++;
    }
    return status;
}

static void hostile_buckets(void)
{
    static const char *const places[] = { "embedding.f32.dim=6.bucketed/", "vectors/", "vector-compressor/", "spatial-index/" };
    dreamdb_config config;
    dreamdb *db = NULL;
    dreamdb_field field = embedding("a", DREAMDB_INDEX_IMI, DREAMDB_COMPRESSOR_PQ);
    dreamdb_create_desc create;
    dreamdb_column column;
    dreamdb_append_desc append;
    dreamdb_store store;
    CHECK(dreamdb_store_memory(NULL, &inner, &error) == DREAMDB_OK);
    memset(&config, 0, sizeof config); memset(&create, 0, sizeof create); memset(&column, 0, sizeof column); memset(&append, 0, sizeof append);
    field.rerank = 1;
    create.fields = &field; create.field_count = 1;
    column.field = "a"; column.data = rows;
    append.columns = &column; append.column_count = 1; append.count = ROWS;
    config.store = &inner; config.threads = 1;
    CHECK(dreamdb_create(&config, "main", &create, &db, &error) == DREAMDB_OK && dreamdb_append(db, &append, NULL, &error) == DREAMDB_OK);
    dreamdb_close(db);
    store = inner;
    store.get = hostile_get;
    store.batch = NULL;
    config.store = &store; config.verify_off = 1;
    for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
        flip_in = places[p];
        for (flip_at = 0; flip_at < 420; flip_at++) {
            dreamdb_snapshot *view = NULL;
            dreamdb_status status = dreamdb_open(&config, "main", &db, &error);
            status = status < 0 ? status : dreamdb_snapshot_open(db, NULL, &view, &error);
            if (status == DREAMDB_OK) {
                dreamdb_query query;
                dreamdb_result *result = NULL;
                const char *name = "a";
                memset(&query, 0, sizeof query);
                query.field = "a"; query.vectors = rows; query.fields = &name; query.field_count = 1;
                status = dreamdb_search(view, &query, &result, &error);
                CHECK(status == DREAMDB_OK || error.message[0] != 0);
                dreamdb_result_free(result);
            }
            dreamdb_snapshot_close(view);
            dreamdb_close(db);
        }
    }
    CHECK(flips > 1000);
    dreamdb_store_close(&inner);
}

int main(void)
{
    for (size_t i = 0; i < ROWS * DIM; i++) { rows[i] = test_randf(); }
    RUN(whole_life);
    RUN(failing_memory);
    RUN(hostile_buckets);
    return test_end("coded");
}
