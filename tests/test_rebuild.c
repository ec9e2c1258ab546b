/* Room rebuild.  The model: before, the last record of every live anchor in the order of the Track; after, each of them once, bit for bit, in
   the cell that a fold over all centroids names, with the code that a fresh encode gives.  And a rebuild whose sample is everything makes the
   very bytes of `train`. */
#include "embedding.h"

enum { MOST = 8000, DIM_MOST = 16, CODE_MOST = 64 };
typedef struct record { uint64_t anchor; float v[DIM_MOST]; uint8_t code[CODE_MOST]; } record;
static record before[MOST], after[MOST];
static size_t before_count, after_count;
static uint32_t dim;
static uint64_t next_anchor;

static void make_vector(float *out, uint32_t clusters)
{
    uint32_t cluster = (uint32_t)(test_rand() % clusters);
    for (uint32_t d = 0; d < dim; d++) {
        uint32_t h = (cluster * 2654435761u + d * 40503u) * 2246822519u;
        out[d] = (float)((int32_t)h >> 8) / 8388608.0f + 0.3f * test_randf();
    }
}

static dreamdb *begin(uint32_t dimensions, kind what, uint32_t k)
{
    static float sample[300 * DIM_MOST];
    dim = dimensions;
    next_anchor = 0;
    open_store();
    for (size_t i = 0; i < 300; i++) { make_vector(sample + i * dim, 9); }
    return create_field(&store, what, dim, sample, k, 4);
}

static void end(dreamdb *db) { dreamdb_close(db); close_store(); }

/* count rows; `again` of them under anchors that are there already. */
static void append(dreamdb *db, size_t count, uint32_t clusters, size_t again, int early)
{
    static uint64_t anchors[MOST];
    static float vectors[MOST * DIM_MOST];
    dreamdb_column column;
    dreamdb_append_desc desc;
    memset(&column, 0, sizeof column);
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) {
        anchors[i] = i < again ? i * 3 : next_anchor;
        next_anchor += i < again ? 0 : 3;
        make_vector(vectors + i * dim, clusters);
    }
    column.field = "e"; column.data = vectors; column.stride = dim * sizeof(float);
    desc.columns = &column; desc.column_count = 1; desc.count = count; desc.anchors = anchors; desc.page_early = early;
    CHECK(dreamdb_append(db, &desc, NULL, &error) == DREAMDB_OK);
}

static void delete_some(dreamdb *db, uint64_t from, size_t count)
{
    static uint64_t anchors[MOST];
    dreamdb_delete_desc desc;
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) { anchors[i] = from + i * 6; }
    desc.anchors = anchors; desc.anchor_count = count;
    CHECK(dreamdb_delete(db, &desc, NULL, &error) == DREAMDB_OK);
}

/* ---- The model ---- */

/* The cell of a vector by brute force: fold by fold, the lowest of equal ones. */
static uint32_t brute_cell(const ddb_index *index, const float *v)
{
    float unit[DIM_MOST], row[DIM_MOST], best = -9;
    uint32_t at = 0;
    ddb_exact_env env;
    ddb_exact_enter(&env);
    CHECK(ddb_exact_unit(v, dim, unit) == DDB_EXACT_GOOD);
    for (uint32_t c = 0; c < index->k; c++) {
        ddb_bound_row(index->ivf->set, c, row);
        float score = ddb_exact_fold(unit, row, dim);
        if (score > best) { best = score; at = c; }
    }
    ddb_exact_leave(&env);
    return at;
}

typedef struct reading { ddb_view_field *field; record *out; size_t *count; int fresh; uint64_t rows, all, largest; } reading;

static dreamdb_status take(ddb_ctx *ctx, void *user, const ddb_ada_fetched *got)
{
    reading *r = (reading *)user;
    static float vectors[MOST * DIM_MOST];
    uint8_t code[CODE_MOST];
    uint32_t cell = 0;
    uint64_t last = 0;
    size_t bytes = r->field->codec ? r->field->codec->code_bytes : 0;
    CHECK(ddb_ada_vectors(ctx, r->field, got, vectors) == DREAMDB_OK);
    r->largest = got->bucket.count > r->largest ? got->bucket.count : r->largest;
    for (size_t i = 0; i < got->bucket.count; i++) {
        uint64_t anchor = ddb_bucket_anchor(&got->bucket, i);
        size_t at = 0;
        while (at < *r->count && r->out[at].anchor != anchor) { at++; }
        CHECK(!r->fresh || at == *r->count);
        *r->count += at == *r->count;
        memset(r->out + at, 0, sizeof *r->out);
        r->out[at].anchor = anchor;
        memcpy(r->out[at].v, vectors + i * dim, dim * sizeof(float));
        memcpy(r->out[at].code, got->bucket.records + i * got->bucket.record_size + 8, bytes);
        r->all++;
        if (!r->fresh) { continue; }
        CHECK(ddb_addr_equal(&got->bucket.index, &r->field->registry.index));
        CHECK(i == 0 || anchor > last);
        last = anchor;
        if (ddb_index_is_ivf(r->field->index)) {
            CHECK(ddb_lineage_cell_of(got->row->key, r->field->index->k, &cell));
            CHECK_EQ_U64(cell, brute_cell(r->field->index, vectors + i * dim));
        }
        if (r->field->codec && got->side) {
            CHECK(ddb_index_codes(ctx, NULL, r->field->codec, vectors + i * dim, dim, 1, code) == DREAMDB_OK);
            CHECK_BYTES(code, r->out[at].code, bytes);
        }
    }
    return DREAMDB_OK;
}

/* Live records of the tip.  fresh: after a rebuild, each is there once and where it belongs. */
static reading collect(dreamdb *db, record *out, size_t *count, int fresh)
{
    dreamdb_snapshot *view = NULL;
    reading r;
    ddb_ctx *ctx = test_ctx();
    ddb_row *rows = NULL;
    size_t row_count = 0, kept = 0;
    ddb_tomb *tomb = NULL;
    ddb_arena arena = { NULL, 0 };
    memset(&r, 0, sizeof r);
    *count = 0;
    r.out = out; r.count = count; r.fresh = fresh;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
    if (!view) { printf("%s\n", error.message); return r; }
    r.field = view->fields;
    CHECK(ddb_view_need(ctx, view, &r.field, 1, DDB_VIEW_TRACK | DDB_VIEW_INDEX | DDB_VIEW_CODEC) == DREAMDB_OK);
    CHECK(ddb_track_collect(ctx, db->env, &arena, &r.field->track, NULL, &rows, &row_count) == DREAMDB_OK);
    dreamdb_status status = ddb_ada_fetch(ctx, db->env, r.field, rows, row_count, take, &r);
    if (status < 0) { printf("%s (%s)\n", test_error.message, test_error.path); }
    CHECK(status == DREAMDB_OK);
    r.rows = row_count;
    CHECK(ddb_view_tomb(ctx, view, &tomb) == DREAMDB_OK);
    for (size_t i = 0; i < *count; i++) {
        uint8_t gone = 0;
        CHECK(ddb_tomb_test(ctx, tomb, &out[i].anchor, 1, &gone) == DREAMDB_OK);
        CHECK(!fresh || !gone);
        out[kept] = out[i];
        kept += !gone;
    }
    *count = kept;
    ddb_mem_arena_free(ctx, &arena);
    dreamdb_snapshot_close(view);
    return r;
}

static int by_anchor(const void *a, const void *b)
{
    const record *x = (const record *)a, *y = (const record *)b;
    return x->anchor < y->anchor ? -1 : x->anchor > y->anchor;
}

static int print_fault(void *user, const dreamdb_fault_report *fault)
{
    (void)user;
    printf("fault: %s: %s\n", fault->path, fault->message);
    return 0;
}

static void check_same(dreamdb *db, int codes)
{
    dreamdb_snapshot *view = NULL;
    dreamdb_verify_report report;
    (void)collect(db, after, &after_count, 1);
    qsort(before, before_count, sizeof *before, by_anchor);
    qsort(after, after_count, sizeof *after, by_anchor);
    CHECK_EQ_U64(after_count, before_count);
    for (size_t i = 0; i < after_count && test_ok; i++) {
        CHECK_EQ_U64(after[i].anchor, before[i].anchor);
        CHECK_BYTES(after[i].v, before[i].v, dim * sizeof(float));
        if (codes) { CHECK_BYTES(after[i].code, before[i].code, CODE_MOST); }
    }
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
    CHECK(dreamdb_verify(view, 0, print_fault, NULL, &report, &error) == DREAMDB_OK);
    CHECK_EQ_U64(report.faults, 0);
    dreamdb_snapshot_close(view);
}

static dreamdb_rebuild_report rebuild(dreamdb *db, const dreamdb_rebuild_desc *desc)
{
    dreamdb_rebuild_report report;
    memset(&report, 0, sizeof report);
    dreamdb_status status = dreamdb_rebuild(db, desc, &report, &error);
    if (status < 0) { printf("%s: %s (%s)\n", test_name, error.message, error.path); }
    CHECK(status == DREAMDB_OK);
    if (getenv("REBUILD_SHOW")) {
        printf("k %d>%d records %d live %d placed %d dropped %d losing %d sampled %d buckets %d>%d readings %d runs %d (%d) cv %g>%g\n",
               (int)report.k_before, (int)report.k_after, (int)report.records, (int)report.live, (int)report.records_placed,
               (int)report.records_dropped, (int)report.records_losing, (int)report.sampled, (int)report.buckets_read,
               (int)report.buckets_written, (int)report.readings, (int)report.runs, (int)report.run_bytes, report.cv_before, report.cv_after);
    }
    return report;
}

/* The addresses of Track, index and compressor of the tip. */
static void addresses(dreamdb *db, ddb_addr out[3])
{
    dreamdb_snapshot *view = NULL;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
    memset(out, 0, 3 * sizeof *out);
    out[0] = view->fields[0].binding->address;
    out[1] = view->fields[0].registry.index;
    out[2] = view->fields[0].registry.compressor;
    dreamdb_snapshot_close(view);
}

static int count_path(void *user, const char *path, const dreamdb_stat *stat) { (void)path; (void)stat; ++*(size_t *)user; return 0; }
static size_t runs_left(void)
{
    size_t n = 0;
    CHECK(inner.list(inner.user, "_ada_ivf/", count_path, &n) == DREAMDB_OK);
    return n;
}

/* ---- Tests ---- */

/* With a sample of everything the bytes are those of train; with any memory and any number of threads the bytes are the same. */
static void same_bytes(void)
{
    for (int what = 0; what < ALL_KINDS; what++) {
        for (int early = 0; early < 2 && test_ok; early++) {
            static const uint64_t memory[] = { 0, 235000, 131072 };
            ddb_addr want[3], first[3], got[3];
            dreamdb_train_desc train;
            dreamdb *db = begin(what == IMI ? 6 : 8, (kind)what, what == IMI ? 4 : 11), *side = NULL;
            uint32_t k = what == IMI ? 5 : 23;
            for (int turn = 0; turn < 4; turn++) { append(db, 300, 3 + (uint32_t)turn, turn == 2 ? 60 : 0, early); }
            delete_some(db, 3, 90);
            (void)collect(db, before, &before_count, 0);
            memset(&train, 0, sizeof train);
            train.field = "e"; train.k = k; train.seed = 9; train.iterations = 3; train.compressor = what == PQ;
            CHECK(dreamdb_branch(db, NULL, "trained", &error) == DREAMDB_OK);
            dreamdb_config config = config_of(&store);
            CHECK(dreamdb_open(&config, "trained", &side, &error) == DREAMDB_OK);
            CHECK(dreamdb_train(side, &train, &error) == DREAMDB_OK);
            addresses(side, want);
            dreamdb_close(side);
            for (int way = 0; way < 5 && test_ok; way++) {
                char name[16];
                dreamdb_rebuild_desc desc;
                (void)snprintf(name, sizeof name, "way%d", way);
                CHECK(dreamdb_branch(db, NULL, name, &error) == DREAMDB_OK);
                config.threads = way == 4 ? 3 : 1;
                CHECK(dreamdb_open(&config, name, &side, &error) == DREAMDB_OK);
                memset(&desc, 0, sizeof desc);
                desc.k = k; desc.seed = 9; desc.iterations = 3; desc.allow_lossy = what == LOSSY; desc.compressor = what == PQ;
                desc.memory_bytes = memory[way % 3];
                desc.sample = way == 0 ? 100000 : way == 1 ? 1200 : 200;
                dreamdb_rebuild_report report = rebuild(side, &desc);
                addresses(side, got);
                CHECK(way != 1 || what == LOSSY || report.runs > 1);
                CHECK(way != 2 || report.runs > 1);
                CHECK(way != 3 || report.runs == 0);
                CHECK(way < 2 ? report.sampled == before_count : report.sampled <= 200 && report.sampled > 180);
                CHECK_EQ_U64(report.records_placed, before_count);
                CHECK_EQ_U64(report.live, report.records - report.records_dropped);
                CHECK_EQ_U64(report.records_placed, report.live - report.records_losing);
                CHECK_EQ_U64(report.records_losing, 60 - 15 - 15);
                CHECK(ddb_addr_equal((const ddb_addr *)(const void *)report.index, got + 1));
                if (way == 2) { memcpy(first, got, sizeof first); }
                CHECK_BYTES(got, way < 2 ? want : first, sizeof got);
                check_same(side, what != PQ);
                CHECK_EQ_U64(runs_left(), 0);
                dreamdb_close(side);
            }
            if (!test_ok) { printf("kind %s, early %d\n", kind_names[what], early); }
            end(db);
        }
    }
}

/* Anchors with several records, more than the memory has room for: they are looked for in parts of the anchors. */
static void windows(void)
{
    ddb_addr want[3], got[3];
    dreamdb_rebuild_desc desc;
    dreamdb *db = begin(4, RAW, 9), *side = NULL;
    dreamdb_config config = config_of(&store);
    for (int turn = 0; turn < 3; turn++) { append(db, 1600, 5, turn > 0 ? 1500 : 0, 1); }
    delete_some(db, 0, 200);
    (void)collect(db, before, &before_count, 0);
    CHECK(dreamdb_branch(db, NULL, "side", &error) == DREAMDB_OK);
    CHECK(dreamdb_open(&config, "side", &side, &error) == DREAMDB_OK);
    memset(&desc, 0, sizeof desc);
    desc.k = 12; desc.iterations = 2; desc.sample = 400;
    dreamdb_rebuild_report one = rebuild(side, &desc);
    CHECK_EQ_U64(one.readings, 2);
    addresses(side, want);
    desc.memory_bytes = 131072 + 50000;
    dreamdb_rebuild_report parts = rebuild(db, &desc);
    addresses(db, got);
    CHECK(parts.readings >= 9);
    CHECK_EQ_U64(parts.records_losing, one.records_losing);
    CHECK_EQ_U64(parts.records_dropped, one.records_dropped);
    CHECK_BYTES(got, want, sizeof got);
    check_same(db, 0);
    dreamdb_close(side);
    end(db);
}

/* A cell of more records than the memory holds, cut into buckets of 1 MiB: as train cuts it. */
static void one_cell(void)
{
    static float vectors[70000 * 4];
    ddb_addr want[3], got[3];
    dreamdb_rebuild_desc desc;
    dreamdb_train_desc train;
    dreamdb_column column;
    dreamdb_append_desc rows;
    dreamdb_field field;
    dreamdb_create_desc create;
    dreamdb *db = NULL, *side = NULL;
    dreamdb_config config;
    dim = 4;
    open_store();
    config = config_of(&store);
    memset(&desc, 0, sizeof desc); memset(&train, 0, sizeof train); memset(&column, 0, sizeof column);
    memset(&rows, 0, sizeof rows); memset(&field, 0, sizeof field); memset(&create, 0, sizeof create);
    for (size_t i = 0; i < 70000; i++) { make_vector(vectors + i * 4, 3); }
    field.name = "e"; field.kind = DREAMDB_EMBEDDING; field.dim = 4; field.bucket_max_bytes = 1 << 20;
    field.index = DREAMDB_INDEX_IVF; field.train = vectors; field.train_count = 100; field.k = 5;
    create.fields = &field; create.field_count = 1;
    CHECK(dreamdb_create(&config, "main", &create, &db, &error) == DREAMDB_OK);
    column.field = "e"; column.data = vectors; column.stride = 16;
    rows.columns = &column; rows.column_count = 1; rows.count = 70000;
    CHECK(dreamdb_append(db, &rows, NULL, &error) == DREAMDB_OK);
    CHECK(dreamdb_branch(db, NULL, "side", &error) == DREAMDB_OK && dreamdb_open(&config, "side", &side, &error) == DREAMDB_OK);
    train.field = "e"; train.k = 1; train.iterations = 1;
    CHECK(dreamdb_train(side, &train, &error) == DREAMDB_OK);
    addresses(side, want);
    desc.k = 1; desc.iterations = 1; desc.sample = 70000; desc.memory_bytes = 10500000;
    dreamdb_rebuild_report all = rebuild(db, &desc);
    addresses(db, got);
    CHECK_BYTES(got, want, sizeof got);
    CHECK_EQ_U64(all.buckets_written, 2);
    desc.sample = 300; desc.memory_bytes = 1000000;
    dreamdb_rebuild_report less = rebuild(db, &desc);
    CHECK(less.runs > 10);
    CHECK_EQ_U64(less.buckets_written, 2);
    CHECK_EQ_U64(less.records_placed, 70000);
    addresses(db, got);
    desc.memory_bytes = 0;
    (void)rebuild(side, &desc);
    addresses(side, want);
    CHECK_BYTES(got, want, sizeof got[0]);
    dreamdb_close(side);
    end(db);
}

/* What it refuses, and what a dry run leaves as it was. */
static void refusals(void)
{
    dreamdb_rebuild_desc desc;
    dreamdb_rebuild_report report;
    memset(&desc, 0, sizeof desc);
    dreamdb *db = begin(8, LOSSY, 9);
    CHECK(dreamdb_rebuild(db, NULL, NULL, &error) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "allow_lossy"));
    desc.allow_lossy = 1;
    CHECK(dreamdb_rebuild(db, &desc, NULL, &error) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "no live record"));
    append(db, 500, 3, 0, 0);
    desc.memory_bytes = 1000;
    CHECK(dreamdb_rebuild(db, &desc, NULL, &error) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "131072"));
    desc.memory_bytes = 0; desc.compressor = 1;
    CHECK(dreamdb_rebuild(db, &desc, NULL, &error) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "codebooks"));
    desc.compressor = 0; desc.field = "nothing";
    CHECK(dreamdb_rebuild(db, &desc, NULL, &error) == DREAMDB_ERR_NOT_FOUND);
    desc.field = "e"; desc.k = 600;
    CHECK(dreamdb_rebuild(db, &desc, NULL, &error) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "fewer than k"));
    desc.k = 0; desc.sample = 480; desc.memory_bytes = 131072;
    desc.sample = 2000;                            /* more than there are: all of them, and they fit */
    append(db, 700, 3, 0, 0);
    CHECK(dreamdb_rebuild(db, &desc, NULL, &error) == DREAMDB_ERR_LIMIT && strstr(error.message, "needs"));
    desc.memory_bytes = 0; desc.dry_run = 1;
    uint64_t puts = plan.puts, gets = plan.gets;
    CHECK(dreamdb_rebuild(db, &desc, &report, &error) == DREAMDB_OK);
    CHECK(plan.puts == puts && plan.gets - gets <= 4);
    CHECK(report.records == 1200 && report.sampled == 1200 && report.k_after == 34 && report.k_before == 9);
    desc.dry_run = 0;
    CHECK(rebuild(db, &desc).k_after == 34);
    CHECK(rebuild(db, &desc).k_before == 34);
    end(db);
}

/* Every allocation, and every storage operation, fails once: the old state or the new, and no runs where they can be removed. */
static void faults(void)
{
    for (int way = 0; way < 6; way++) {                     /* 4 and 5: a bit of what is read is flipped, its last byte is missing */
        long n = 1, done = 0;
        for (; !done && test_ok; n += way == 0 ? 5 : 1) {
            dreamdb_config config;
            dreamdb_rebuild_desc desc;
            test_state = 88172645463325252u;
            clock_now = drawn = 0;
            dreamdb *db = begin(8, RABITQ, 9);
            append(db, 420, 9, 0, 1);
            append(db, 360, 2, 20, 1);
            delete_some(db, 0, 10);
            (void)collect(db, before, &before_count, 0);
            memset(&desc, 0, sizeof desc);
            desc.k = 7; desc.sample = 100; desc.iterations = 1; desc.memory_bytes = 131072;
            if (way == 0) { test_fail_alloc_at(n); }
            if (way > 0 && way < 4) { plan.fail_at = plan.operations + (uint64_t)n; plan.fail_after = way == 2; plan.fail_forever = way == 3; }
            uint64_t bad_at = plan.operations + (uint64_t)n;
            if (way >= 4) { *(way == 4 ? &plan.flip_at : &plan.cut_at) = bad_at; }
            dreamdb_rebuild_report report;
            dreamdb_status status = dreamdb_rebuild(db, &desc, &report, &error);
            done = way == 0 ? test_allocs < n : bad_at > plan.operations;
            test_fail_alloc_at(0);
            plan.fail_at = 0; plan.fail_forever = 0; plan.fail_after = 0; plan.flip_at = plan.cut_at = 0;
            CHECK(way < 4 || runs_left() == 0);
            CHECK(!done || (status == DREAMDB_OK && report.runs > 1));
            if (status < 0) { CHECK(error.message[0] != 0); }
            CHECK(way > 0 || runs_left() == 0 || status == DREAMDB_ERR_MEMORY || status == DREAMDB_OK);
            dreamdb_close(db);
            config = config_of(&inner);
            CHECK(dreamdb_open(&config, "main", &db, &error) == DREAMDB_OK);
            if (db) {
                (void)collect(db, after, &after_count, status == DREAMDB_OK);
                CHECK_EQ_U64(after_count, before_count);
                if (status == DREAMDB_OK) { check_same(db, 1); }
            }
            dreamdb_close(db);
            close_store();
        }
        CHECK(n > 10);
    }
}

/* ---- Beside others ---- */
static dreamdb *rival;
static int rival_at, rival_calls, rival_stop, rival_does;

static int meddle(void *user, const dreamdb_progress *progress)
{
    (void)user;
    if (strncmp(progress->verb, "rebuild-ivf", 11) != 0 || ++rival_calls != rival_at) { return 0; }
    if (rival && rival_does == 0) { append(rival, 50, 2, 0, 0); }
    if (rival && rival_does == 1) {
        dreamdb_compact_desc desc;
        memset(&desc, 0, sizeof desc);
        CHECK(dreamdb_compact(rival, &desc, NULL, &error) == DREAMDB_OK);
    }
    if (rival && rival_does == 2) {
        dreamdb_train_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.field = "e"; desc.k = 5;
        CHECK(dreamdb_train(rival, &desc, &error) == DREAMDB_OK);
    }
    return rival_stop;
}

/* Another writer was faster, with rows, a compaction, or another index; or the rebuild was stopped at each of its calls. */
static void lost_and_stopped(void)
{
    for (int way = 0; way < 30 && test_ok; way++) {
        dreamdb *db = begin(6, way % 2 ? RABITQ : RAW, 9), *two = NULL;
        dreamdb_config config = config_of(&store);
        dreamdb_rebuild_desc desc;
        dreamdb_rebuild_report report;
        memset(&desc, 0, sizeof desc);
        append(db, 500, 4, 0, way > 3);
        append(db, 300, 4, 0, way > 3);
        config.progress = meddle;
        CHECK(dreamdb_open(&config, "main", &two, &error) == DREAMDB_OK);
        rival = way < 8 ? db : NULL; rival_does = way < 4 ? 0 : way < 6 ? 1 : 2;
        rival_at = way < 8 ? 2 : way - 7; rival_calls = 0; rival_stop = way >= 8;
        desc.k = 20; desc.iterations = 2; desc.retry = way < 2 ? 0 : 3; desc.memory_bytes = way >= 8 ? 131072 : 0; desc.sample = 100;
        dreamdb_status status = dreamdb_rebuild(two, &desc, &report, &error);
        rival = NULL; rival_stop = 0;
        if (way == 6 || way == 7) { CHECK(status == DREAMDB_ERR_CONFLICT && strstr(error.message, "start anew")); }
        if (getenv("REBUILD_SHOW")) { printf("way %d: %d %s\n", way, status, error.message); }
        reading r = collect(two, before, &before_count, way > 1 && way < 6);
        CHECK_EQ_U64(r.all, before_count);
        if (way == 4 || way == 5) { CHECK(status == DREAMDB_OK && report.replays == 1); CHECK_EQ_U64(before_count, 800); }
        if (way < 2) { CHECK(status == DREAMDB_ERR_CONFLICT); }
        if (way == 2 || way == 3) {                    /* the rows of the other stand under the new index */
            CHECK(status == DREAMDB_OK && report.replays == 1);
            CHECK_EQ_U64(before_count, 850);
            check_same(two, 1);
        }
        if (way >= 8) { CHECK(rival_calls < rival_at ? status == DREAMDB_OK : status == DREAMDB_ERR_CANCELLED); }
        if (status < 0) { CHECK_EQ_U64(report.replays, way == 6 || way == 7); }
        CHECK_EQ_U64(runs_left(), 0);
        (void)rebuild(two, &desc);
        check_same(two, 1);
        dreamdb_close(two);
        end(db);
    }
}

/* A branch made before the rebuild merges afterwards, its new rows under the new index. */
static void branches(void)
{
    for (int what = 0; what < LSH; what++) {
        dreamdb *db = begin(8, (kind)what, 9), *side = NULL;
        dreamdb_config config = config_of(&store);
        dreamdb_rebuild_desc desc;
        dreamdb_merge_desc merge;
        dreamdb_merge_report report;
        memset(&desc, 0, sizeof desc); memset(&merge, 0, sizeof merge);
        append(db, 500, 4, 0, 0);
        CHECK(dreamdb_branch(db, NULL, "side", &error) == DREAMDB_OK && dreamdb_open(&config, "side", &side, &error) == DREAMDB_OK);
        desc.k = 20; desc.allow_lossy = what == LOSSY;
        (void)rebuild(db, &desc);
        append(side, 70, 2, 0, 0);
        append(db, 30, 2, 0, 0);
        delete_some(side, 0, 20);
        merge.other = "side";
        CHECK(dreamdb_merge(db, &merge, &report, &error) == DREAMDB_OK);
        CHECK_EQ_U64(report.placed, 70);
        (void)collect(db, before, &before_count, 0);
        CHECK_EQ_U64(before_count, 580);
        (void)rebuild(db, &desc);
        check_same(db, 1);
        dreamdb_close(side);
        end(db);
    }
}

/* A rebuild after steps: no table is left, and all rows lie under one index; gc takes what a killed one left. */
static void after_steps(void)
{
    dreamdb_rebuild_desc desc;
    dreamdb_ada_step_desc step;
    dreamdb_ada_balance balance;
    dreamdb_gc_desc sweep;
    dreamdb_snapshot *view = NULL;
    memset(&desc, 0, sizeof desc); memset(&step, 0, sizeof step); memset(&sweep, 0, sizeof sweep);
    dreamdb *db = begin(8, RAW, 12);
    append(db, 400, 9, 0, 1);
    for (int turn = 0; turn < 3; turn++) {
        append(db, 150, 1, 0, 1);
        CHECK(dreamdb_ada_step(db, &step, NULL, &error) == DREAMDB_OK);
    }
    (void)collect(db, before, &before_count, 0);
    desc.k = 25;
    (void)rebuild(db, &desc);
    check_same(db, 0);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
    CHECK(dreamdb_ada_status(view, NULL, &balance, &error) == DREAMDB_OK);
    CHECK(balance.generations == 1 && balance.k == 25);
    dreamdb_snapshot_close(view);
    char text[DREAMDB_ADDRESS_TEXT], path[128];
    uint8_t address[33] = { 0x1e, 7 };
    dreamdb_address_text(address, text);
    (void)snprintf(path, sizeof path, "_ada_ivf/rebuild-0123456789abcdef/%s.run", text);
    CHECK(inner.put(inner.user, path, "DRUN", 4, NULL) == DREAMDB_OK);
    CHECK(inner.put(inner.user, "_ada_ivf/other/list", "x", 1, NULL) == DREAMDB_OK);
    sweep.keep_manifests = 1; sweep.keep_since_ns = DREAMDB_GC_NO_AGE; sweep.writers_paused = 1;
    dreamdb_config config = config_of(&store);
    CHECK(dreamdb_gc(&config, &sweep, NULL, &error) == DREAMDB_OK);
    CHECK_EQ_U64(runs_left(), 1);
    check_same(db, 0);
    end(db);
}

int main(void)
{
    draw_step = 1;                             /* each rebuild names its runs by a draw */
    RUN(same_bytes);
    RUN(windows);
    RUN(one_cell);
    RUN(refusals);
    RUN(faults);
    RUN(lost_and_stopped);
    RUN(branches);
    RUN(after_steps);
    return test_end("rebuild");
}
