/* Room ada, what a step may touch and what it may not: of many cells only the few, and of a record nothing but its place. */
#include "test.h"

enum { DIM = 6, MOST = 13000, CELLS = 12000, CODE = 64 };
static float vectors[MOST][DIM];
static uint8_t seen[MOST];
static size_t row_count;
static dreamdb_store store;
static dreamdb_error error;
static uint64_t clock_now;

static uint64_t now(void *user) { (void)user; return clock_now += 1000; }
static int draw(void *user, void *out, size_t size) { (void)user; memset(out, 0x5a, size); return 0; }

static dreamdb *begin(dreamdb_field *field)
{
    dreamdb *db = NULL;
    dreamdb_create_desc desc;
    dreamdb_config config = test_config(&store);
    config.now_ns = now;
    config.random = draw;
    memset(&desc, 0, sizeof desc);
    field->name = "e"; field->kind = DREAMDB_EMBEDDING; field->dim = DIM; field->required = 1;
    desc.fields = field; desc.field_count = 1;
    CHECK(dreamdb_create(&config, "main", &desc, &db, &error) == DREAMDB_OK);
    if (!db) { printf("%s\n", error.message); exit(1); }
    row_count = 0;
    return db;
}

static void end(dreamdb *db)
{
    dreamdb_close(db);
    dreamdb_store_close(&store);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Appends the next count rows of vectors. */
static void append(dreamdb *db, size_t count)
{
    static uint64_t anchors[MOST];
    dreamdb_column column;
    dreamdb_append_desc desc;
    memset(&column, 0, sizeof column);
    memset(&desc, 0, sizeof desc);
    CHECK(row_count + count <= MOST);
    for (size_t i = 0; i < count; i++) { anchors[i] = row_count + i; }
    column.field = "e"; column.data = vectors[row_count];
    desc.columns = &column; desc.column_count = 1; desc.count = count; desc.anchors = anchors; desc.page_early = 1;
    CHECK(dreamdb_append(db, &desc, NULL, &error) == DREAMDB_OK);
    row_count += count;
}

static void make_near(const float *centre, float spread, float *out)
{
    for (uint32_t d = 0; d < DIM; d++) { out[d] = centre[d] + spread * test_randf(); }
}

/* ---- Bits ---- */

typedef struct reading { ddb_view_field *field; size_t count; } reading;

static dreamdb_status take(ddb_ctx *ctx, void *user, const ddb_ada_fetched *got)
{
    reading *r = (reading *)user;
    static float exact[MOST * DIM];
    uint8_t code[CODE];
    size_t bytes = r->field->codec->code_bytes;
    CHECK(got->side && bytes <= sizeof code && got->bucket.count <= MOST);
    CHECK(ddb_ada_vectors(ctx, r->field, got, exact) == DREAMDB_OK);
    for (size_t i = 0; i < got->bucket.count; i++) {
        uint64_t anchor = ddb_bucket_anchor(&got->bucket, i);
        CHECK(anchor < row_count && !seen[anchor]);
        if (anchor >= row_count) { continue; }
        seen[anchor] = 1;
        r->count++;
        CHECK_BYTES(exact + i * DIM, vectors[anchor], sizeof vectors[anchor]);
        CHECK(ddb_index_codes(ctx, NULL, r->field->codec, vectors[anchor], DIM, 1, code) == DREAMDB_OK);
        CHECK_BYTES(got->bucket.records + i * got->bucket.record_size + 8, code, bytes);
    }
    return DREAMDB_OK;
}

/* Every record is there once, its vector and its code those of a fresh encode. */
static void check_bits(dreamdb *db)
{
    dreamdb_snapshot *view = NULL;
    ddb_arena arena = { NULL, 0 };
    ddb_ctx *ctx = test_ctx();
    ddb_row *rows = NULL;
    size_t count = 0;
    reading r;
    memset(&r, 0, sizeof r);
    memset(seen, 0, sizeof seen);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
    if (!view) { return; }
    r.field = view->fields;
    CHECK(ddb_view_need(ctx, view, &r.field, 1, DDB_VIEW_TRACK | DDB_VIEW_INDEX | DDB_VIEW_CODEC) == DREAMDB_OK);
    CHECK(ddb_track_collect(ctx, db->env, &arena, &r.field->track, NULL, &rows, &count) == DREAMDB_OK);
    CHECK(ddb_ada_fetch(ctx, db->env, r.field, rows, count, take, &r) == DREAMDB_OK);
    CHECK_EQ_U64(r.count, row_count);
    ddb_mem_arena_free(ctx, &arena);
    dreamdb_snapshot_close(view);
}

/* A hundred steps, each with something to do, carry every float and every code as they are. */
static void hundred_steps(void)
{
    for (int what = 0; what < 2; what++) {
        dreamdb_field field;
        size_t made = 0;
        test_state = 88172645463325252u;
        CHECK(dreamdb_store_memory(NULL, &store, NULL) == DREAMDB_OK);
        memset(&field, 0, sizeof field);
        for (size_t i = 0; i < MOST; i++) { for (uint32_t d = 0; d < DIM; d++) { vectors[i][d] = test_randf(); } }
        field.train = vectors[0]; field.train_count = 300; field.k = 12; field.rerank = 1;
        field.compressor = what ? DREAMDB_COMPRESSOR_PQ : DREAMDB_COMPRESSOR_RABITQ;
        field.bits_per_dim = what ? 0 : 4;
        field.pq_m = what ? 3 : 0; field.pq_k = what ? 16 : 0;
        dreamdb *db = begin(&field);
        append(db, 400);
        for (int turn = 0; turn < 100 && test_ok; turn++) {
            dreamdb_ada_step_desc desc;
            dreamdb_ada_step_report report;
            memset(&desc, 0, sizeof desc);
            desc.force = 1; desc.neighbours = 3; desc.max_cells = 2;
            desc.k_max = turn % 2 ? 6 : 60;                /* merges, and splits */
            desc.exact = turn % 25 == 24;
            CHECK(dreamdb_ada_step(db, &desc, &report, &error) == DREAMDB_OK);
            made += report.outcome == DREAMDB_ADA_MADE;
            if (turn % 10 == 3) { append(db, 7); }
            if (turn % 20 == 19) { check_bits(db); }
        }
        CHECK(made > 80);
        if (made <= 80) { printf("%d of 100 steps made something\n", (int)made); }
        end(db);
    }
}

/* ---- Cost ---- */

/* Of 12,000 cells a step touches a thousandth: it reads and writes the buckets of those, and of the Track the leaves that hold them. */
static void few_of_many(void)
{
    static float centres[CELLS][DIM];
    ddb_ctx *ctx = test_ctx();
    ddb_buf bytes;
    ddb_addr addr;
    char text[DREAMDB_ADDRESS_TEXT], path[100];
    dreamdb_field field;
    dreamdb_ada_step_desc desc;
    dreamdb_ada_step_report report;
    test_state = 88172645463325252u;
    CHECK(dreamdb_store_memory(NULL, &store, NULL) == DREAMDB_OK);
    for (size_t i = 0; i < CELLS; i++) { for (uint32_t d = 0; d < DIM; d++) { centres[i][d] = test_randf(); } }
    ddb_bytes_init(&bytes, ctx);
    ddb_index_encode_ivf(&bytes, 24, DIM, CELLS, centres[0], NULL, 0);
    ddb_addr_of(ctx->cpu, ddb_bytes_of(&bytes), &addr);
    ddb_addr_text(&addr, text);
    (void)snprintf(path, sizeof path, "spatial-index/%s", text);
    CHECK(store.put(store.user, path, bytes.data, bytes.size, NULL) == DREAMDB_OK);
    ddb_bytes_free(&bytes);
    memset(&field, 0, sizeof field);
    field.index = DREAMDB_INDEX_IVF;
    field.index_address = addr.bytes;
    dreamdb *db = begin(&field);
    for (size_t i = 0; i < CELLS; i++) { memcpy(vectors[i], centres[i], sizeof centres[i]); }
    for (size_t i = CELLS; i < CELLS + 60; i++) { make_near(centres[i % 2], 0.001f, vectors[i]); }
    append(db, CELLS);
    append(db, 60);
    memset(&desc, 0, sizeof desc);
    memset(&report, 0, sizeof report);
    desc.force = 1; desc.max_cells = 2; desc.neighbours = 3; desc.k_max = CELLS + 100;
    CHECK(dreamdb_ada_step(db, &desc, &report, &error) == DREAMDB_OK);
    CHECK(report.outcome == DREAMDB_ADA_MADE && report.splits >= 1);
    CHECK(report.cells_read > 0 && report.cells_read <= CELLS / 1000);
    CHECK(report.buckets_read <= CELLS / 500 && report.buckets_written <= CELLS / 500);
    /* besides buckets: a leaf, its parent and half a split for each, index, lineage, Track, Manifest */
    CHECK(report.objects <= report.buckets_written + 3 * (report.cells_written + report.splits) + 4);
    if (getenv("STEPS_SHOW") || !test_ok) {
        printf("%d cells: read %d, written %d; buckets %d, %d; objects %d\n", CELLS, (int)report.cells_read, (int)report.cells_written,
               (int)report.buckets_read, (int)report.buckets_written, (int)report.objects);
    }
    end(db);
}

int main(void)
{
    RUN(hundred_steps);
    RUN(few_of_many);
    return test_end("steps");
}
