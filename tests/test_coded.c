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
    dreamdb_field fields[3], more = embedding("layer", DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_RABITQ);
    dreamdb_create_desc create;
    dreamdb_column columns[3];
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
    fields[2] = embedding("c", DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_PQ);
    fields[2].rerank = 1;
    create.fields = fields; create.field_count = 3;
    config.store = &store; config.allocator = allocator; config.threads = threads; config.simd_off = simd_off; config.cache_bytes = cache;
    columns[0].field = "a"; columns[1].field = "b"; columns[0].data = columns[1].data = columns[2].data = rows;
    columns[2].field = "c";
    append.columns = columns; append.column_count = 3; append.count = ROWS; append.anchors = anchors;
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
    train.field = "c"; train.compressor = 1; train.seed = 5;
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

/* New codebooks: the schema and the registry name them, every code is a fresh encode of the exact vector, old states keep theirs; and what
   cannot be coded anew is refused by name. */
static void codebooks_anew(void)
{
    static const struct { const char *field, *says; } refused[] = {
        { "a", "RaBitQ compressor" }, { "b", "codes alone" }, { "e", "no compressor" } };
    dreamdb_config config;
    dreamdb *db = NULL;
    dreamdb_field fields[4];
    dreamdb_create_desc create;
    dreamdb_column columns[4];
    dreamdb_append_desc append;
    dreamdb_train_desc train;
    dreamdb_store store;
    dreamdb_snapshot *before = NULL, *after = NULL;
    const dreamdb_info *info[2];
    uint8_t codes[ROWS * 3];
    memset(&config, 0, sizeof config); memset(&create, 0, sizeof create); memset(columns, 0, sizeof columns);
    memset(&append, 0, sizeof append); memset(&train, 0, sizeof train); memset(fields, 0, sizeof fields);
    fields[0] = embedding("a", DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_RABITQ);
    fields[1] = embedding("b", DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_PQ);
    fields[2] = embedding("c", DREAMDB_INDEX_IVF, DREAMDB_COMPRESSOR_PQ);
    fields[2].rerank = 1;
    fields[3].name = "e"; fields[3].kind = DREAMDB_EMBEDDING; fields[3].dim = DIM;
    for (size_t f = 0; f < 4; f++) { columns[f].field = fields[f].name; columns[f].data = rows; }
    create.fields = fields; create.field_count = 4;
    append.columns = columns; append.column_count = 4; append.count = ROWS;
    config.store = &store; config.threads = 1;
    CHECK(dreamdb_store_memory(NULL, &store, &error) == DREAMDB_OK && dreamdb_create(&config, "main", &create, &db, &error) == DREAMDB_OK);
    CHECK(dreamdb_append(db, &append, NULL, &error) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &before, &error) == DREAMDB_OK);
    train.compressor = 1; train.k = 2;
    for (size_t i = 0; i < 3; i++) {
        train.field = refused[i].field;
        CHECK(dreamdb_train(db, &train, &error) == DREAMDB_ERR_ARGUMENT && strstr(error.message, refused[i].says));
    }
    train.field = "c"; train.sample = rows; train.sample_count = 4;
    CHECK(dreamdb_train(db, &train, &error) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "pq_k = 8"));
    train.sample_count = 20; train.seed = 9;
    CHECK(dreamdb_train(db, &train, &error) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &after, &error) == DREAMDB_OK);
    CHECK(dreamdb_snapshot_info(before, info, &error) == DREAMDB_OK && dreamdb_snapshot_info(after, info + 1, &error) == DREAMDB_OK);
    CHECK(memcmp(info[0]->fields[2].compressor_address, info[1]->fields[2].compressor_address, DREAMDB_ADDRESS_SIZE) != 0);
    CHECK(memcmp(info[0]->fields[1].compressor_address, info[1]->fields[1].compressor_address, DREAMDB_ADDRESS_SIZE) == 0);
    CHECK(ddb_addr_equal(&after->schema.fields[2].compressor, &after->fields[2].registry.compressor));
    CHECK(info[1]->fields[2].pq_k == 8 && info[1]->fields[2].pq_m == 3 && info[1]->fields[2].k == 2);
    const ddb_codec *codec = after->fields[2].codec;
    CHECK(ddb_index_codes(test_ctx(), db->env->pool, codec, rows, DIM, ROWS, codes) == DREAMDB_OK);
    float want[ROWS * DIM], got[2][ROWS * DIM];
    CHECK(ddb_index_codec_vectors(test_ctx(), codec, codes, 3, ROWS, want) == DREAMDB_OK);
    for (int s = 0; s < 2; s++) {
        dreamdb_cursor *cursor = NULL;
        dreamdb_scan scan;
        const char *name = "c";
        dreamdb_row row;
        size_t n = 0;
        memset(&scan, 0, sizeof scan);
        scan.fields = &name; scan.field_count = 1; scan.order = DREAMDB_ORDER_ANCHOR;
        CHECK(dreamdb_scan_open(s ? after : before, &scan, &cursor, &error) == DREAMDB_OK);
        while (cursor && dreamdb_cursor_next(cursor, &row, &error) == DREAMDB_OK && n < ROWS) {
            memcpy(got[s] + DIM * n++, row.values[0].data, DIM * sizeof(float));
        }
        CHECK_EQ_U64(n, ROWS);
        dreamdb_cursor_close(cursor);
    }
    CHECK(memcmp(got[1], want, sizeof want) == 0);
    CHECK(memcmp(got[0], want, sizeof want) != 0);
    dreamdb_snapshot_close(before);
    dreamdb_snapshot_close(after);
    dreamdb_close(db);
    dreamdb_store_close(&store);
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
    RUN(codebooks_anew);
    RUN(failing_memory);
    RUN(hostile_buckets);
    return test_end("coded");
}
