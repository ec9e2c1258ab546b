/* test_search.c - search through the public functions beside plain loops: exact, proven and by margins; every cpu mask, number of threads and cache
   size gives one answer; predicates; bad objects; many threads on one view while another appends. */
#include "test.h"

static dreamdb_error why;
enum { ROWS = 1000, MOST_DIM = 140, QUERIES = 8, TOP = 10, TAGS = 40 };
static float vectors[ROWS * MOST_DIM], units[ROWS * MOST_DIM], queries[QUERIES * MOST_DIM], asked[QUERIES * MOST_DIM];
static int64_t tags[ROWS];

static dreamdb_config config_of(dreamdb_store *on, uint32_t threads, uint64_t cache)
{
    dreamdb_config config;
    memset(&config, 0, sizeof config);
    config.store = on;
    config.allocator = test_allocator();
    config.threads = threads;
    config.cache_bytes = cache;
    return config;
}

static void append(dreamdb *db, size_t dim, size_t from, size_t count)
{
    static uint64_t anchors[ROWS];
    dreamdb_column columns[2];
    dreamdb_append_desc desc;
    memset(columns, 0, sizeof columns);
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) { anchors[i] = from + i; }
    columns[0].field = "e"; columns[0].data = vectors + from * dim;
    columns[1].field = "tag"; columns[1].data = tags + from;
    desc.columns = columns; desc.column_count = 2; desc.count = count; desc.anchors = anchors;
    CHECK(dreamdb_append(db, &desc, NULL, &why) == DREAMDB_OK);
}

/* Rows around some centres, with repeats and near repeats. */
static void make(dreamdb_store *store, size_t dim, size_t count)
{
    dreamdb_field fields[2];
    dreamdb_create_desc desc;
    dreamdb *db = NULL;
    dreamdb_allocator allocator = test_allocator();
    ddb_exact_env env;
    memset(fields, 0, sizeof fields);
    memset(&desc, 0, sizeof desc);
    for (size_t r = 0; r < ROWS; r++) {
        float *v = vectors + r * dim;
        size_t like = r > 20 && test_rand() % 4 == 0 ? test_rand() % r : r % 20;
        tags[r] = (int64_t)(test_rand() % TAGS);
        for (size_t i = 0; i < dim; i++) { v[i] = (r > 20 ? vectors[like * dim + i] : 0.0f) + (r > 20 && like >= 20 ? 0.0f : 0.4f * test_randf()); }
        if (r > 20 && like >= 20 && test_rand() % 2 == 0) { v[test_rand() % dim] *= 1.0000002f; }
    }
    ddb_exact_enter(&env);
    for (size_t r = 0; r < ROWS; r++) { CHECK(ddb_exact_unit(vectors + r * dim, dim, units + r * dim) == DDB_EXACT_GOOD); }
    for (size_t q = 0; q < QUERIES; q++) {
        for (size_t i = 0; i < dim; i++) { queries[q * dim + i] = vectors[(q * 37 + 3) * dim + i] + (q % 3 ? 0.1f * test_randf() : 0.0f); }
        CHECK(ddb_exact_unit(queries + q * dim, dim, asked + q * dim) == DDB_EXACT_GOOD);
    }
    ddb_exact_leave(&env);
    CHECK(dreamdb_store_memory(&allocator, store, NULL) == DREAMDB_OK);
    dreamdb_config config = config_of(store, 1, 0);
    fields[0].name = "e"; fields[0].kind = DREAMDB_EMBEDDING; fields[0].dim = (uint32_t)dim; fields[0].index = DREAMDB_INDEX_IVF;
    fields[0].train = vectors; fields[0].train_count = 800; fields[0].k = 30;
    fields[1].name = "tag"; fields[1].kind = DREAMDB_INT;
    desc.fields = fields; desc.field_count = 2;
    CHECK(dreamdb_create(&config, "main", &desc, &db, &why) == DREAMDB_OK);
    for (size_t at = 0; at < count; at += 500) { append(db, dim, at, 500); }
    dreamdb_close(db);
}

/* The anchors and scores of all queries, in one array. */
typedef struct answer { uint64_t anchors[QUERIES * TOP]; float scores[QUERIES * TOP]; size_t ends[QUERIES]; } answer;
static dreamdb_status ask(dreamdb_snapshot *view, uint32_t nprobe, int exact, int proven, int64_t tag, answer *out)
{
    dreamdb_query query;
    dreamdb_where where;
    dreamdb_operand operand;
    dreamdb_result *result = NULL;
    memset(&query, 0, sizeof query);
    memset(&where, 0, sizeof where);
    memset(&operand, 0, sizeof operand);
    memset(out, 0, sizeof *out);
    where.op = DREAMDB_LE; where.field = "tag"; where.operands = &operand; where.operand_count = 1; operand.integer = tag;
    query.field = "e"; query.vectors = queries; query.count = QUERIES; query.top_k = TOP; query.nprobe = nprobe; query.exact = exact; query.proven = proven;
    query.where = tag >= 0 ? &where : NULL;
    dreamdb_status status = dreamdb_search(view, &query, &result, &why);
    for (size_t i = 0; status == DREAMDB_OK && i < result->count; i++) { out->anchors[i] = result->hits[i].anchor; out->scores[i] = result->hits[i].score; }
    for (size_t q = 0; status == DREAMDB_OK && q < QUERIES; q++) { out->ends[q] = result->ends[q]; }
    dreamdb_result_free(result);
    return status;
}

static dreamdb_snapshot *view_of(dreamdb_store *store, uint32_t threads, uint64_t cache, uint32_t mask, dreamdb **db)
{
    dreamdb_snapshot *view = NULL;
    dreamdb_config config = config_of(store, threads, cache);
    CHECK(dreamdb_open(&config, "main", db, &why) == DREAMDB_OK);
    (*db)->cpu &= mask;
    CHECK(dreamdb_snapshot_open(*db, NULL, &view, &why) == DREAMDB_OK);
    return view;
}

/* Scores of `got` must be the highest of the rows kept; equal scores may stand in any order of anchors here (ties go by place in the Track). */
static void check_model(const answer *got, size_t dim, int64_t tag)
{
    ddb_exact_env env;
    ddb_exact_enter(&env);
    for (size_t q = 0, at = 0; q < QUERIES; q++) {
        static float scores[ROWS];
        size_t kept = 0;
        for (size_t r = 0; r < ROWS; r++) {
            if (tag >= 0 && tags[r] > tag) { continue; }
            float score = ddb_exact_fold(units + r * dim, asked + q * dim, dim);
            size_t place = kept++;
            for (; place > 0 && scores[place - 1] < score; place--) { scores[place] = scores[place - 1]; }
            scores[place] = score;
        }
        CHECK_EQ_U64(got->ends[q] - at, kept < TOP ? kept : TOP);
        for (size_t i = 0; at < got->ends[q]; i++, at++) {
            CHECK(got->scores[at] - scores[i] == 0);
            CHECK(ddb_exact_fold(units + got->anchors[at] * dim, asked + q * dim, dim) - got->scores[at] == 0);
            CHECK(tag < 0 || tags[got->anchors[at]] <= tag);
        }
    }
    ddb_exact_leave(&env);
}

static void one_answer_everywhere(void)
{
    static const uint32_t masks[] = { 0xffffffffu, 0, DDB_CPU_SSE41 | DDB_CPU_AVX2, DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA | DDB_CPU_AVX512 };
    static const uint64_t caches[] = { 0, 1, 20000, 200000, (uint64_t)1 << 30 };
    static const size_t dims[] = { 3, 70, MOST_DIM };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        dreamdb_store store;
        answer fast, sure, exact, some, now;
        dreamdb *db = NULL;
        make(&store, dims[d], ROWS);
        dreamdb_snapshot *view = view_of(&store, 1, 0, 0xffffffffu, &db);
        CHECK(ask(view, 4, 0, 0, -1, &fast) == DREAMDB_OK && ask(view, 4, 0, 1, -1, &sure) == DREAMDB_OK);
        CHECK(ask(view, 0, 1, 0, -1, &exact) == DREAMDB_OK && ask(view, 4, 0, 1, 9, &some) == DREAMDB_OK);
        check_model(&exact, dims[d], -1);
        CHECK_BYTES(fast.scores, sure.scores, sizeof fast.scores);       /* margins lose nothing here */
        CHECK(ask(view, 30, 0, 1, -1, &now) == DREAMDB_OK);
        CHECK_BYTES(&now, &exact, sizeof now);                           /* every cell, by probes */
        for (int64_t tag = 0; tag < TAGS; tag += 13) {
            CHECK(ask(view, 0, 1, 0, tag, &now) == DREAMDB_OK);
            check_model(&now, dims[d], tag);
            CHECK(ask(view, 0, 0, 0, 0, &now) == DREAMDB_OK);            /* few rows, no number of cells: the list is full all the same */
            CHECK_EQ_U64(now.ends[QUERIES - 1], QUERIES * TOP);
        }
        dreamdb_snapshot_close(view);
        dreamdb_close(db);
        for (size_t m = 0; m < sizeof masks / sizeof *masks; m++) {
            for (size_t c = 0; c < sizeof caches / sizeof *caches; c++) {
                db = NULL;
                view = view_of(&store, 1 + (uint32_t)(m + c) % 4, caches[c], masks[m], &db);
                db->slab_least = (m + c) % 2 != 0 ? (size_t)4096 << c : db->slab_least;     /* cells share memory */
                for (int again = 0; again < 2; again++) {
                    CHECK(ask(view, 4, 0, 0, -1, &now) == DREAMDB_OK);
                    CHECK_BYTES(&now, &fast, sizeof now);
                }
                CHECK(ask(view, 0, 1, 0, -1, &now) == DREAMDB_OK);
                CHECK_BYTES(&now, &exact, sizeof now);
                CHECK(ask(view, 4, 0, 1, 9, &now) == DREAMDB_OK);
                CHECK_BYTES(&now, &some, sizeof now);
                CHECK(caches[c] == 0 || ((ddb_query_cells *)view->cells)->bytes <= db->cells_cap);
                CHECK(c < 4 || dims[d] != 70 || (m + c) % 2 == 0 || !ddb_port_huge(NULL, 0) || ((ddb_query_cells *)view->cells)->slabs);
                CHECK_EQ_U64(((ddb_query_cells *)view->cells)->pinned, 0);
                dreamdb_snapshot_close(view);
                dreamdb_close(db);
            }
        }
        dreamdb_store_close(&store);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* An allocator that keeps the high-water mark, and a store that hands out copies made by it, as a directory does. */
static size_t peak;
static void *peak_resize(void *user, void *p, size_t old_size, size_t new_size)
{
    void *out = test_resize(user, p, old_size, new_size);
    peak = test_live_bytes() > peak ? test_live_bytes() : peak;
    return out;
}
static dreamdb_store whole;
static void copied_release(void *user, const void *data, uint64_t size) { (void)user; (void)test_resize(NULL, (void *)(uintptr_t)data, (size_t)size, 0); }
static int copied_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    dreamdb_blob lent;
    int status = whole.get(user, path, offset, size, &lent);
    if (status != DREAMDB_OK) { *out = lent; return status; }
    *out = lent;
    out->data = memcpy(peak_resize(NULL, NULL, 0, (size_t)lent.size > 0 ? (size_t)lent.size : 1), lent.data, (size_t)lent.size);
    out->release = copied_release;
    out->release_user = NULL;
    if (lent.release) { lent.release(lent.release_user, lent.data, lent.size); }
    return status;
}

/* What searches allocate stays under the cap: half of cache_bytes for layouts, a quarter for objects, a quarter for the buckets on their
   way, and a constant: one cell as bucket and as layout (each search holds one whatever the cap says), and 64 KiB for lists and copies. */
static void memory_is_bounded(void)
{
    static const uint64_t caches[] = { 16 << 20, 2 << 20, 1 << 20, 500000, 200000, 50000, 1 };
    enum { DIM = MOST_DIM, CELL = 120 * (MOST_DIM * 4 + 8) };
    answer now, want;
    memset(&want, 0, sizeof want);
    make(&whole, DIM, ROWS);
    for (size_t c = 0; c < sizeof caches / sizeof *caches; c++) {
        dreamdb_store outer = whole;
        dreamdb_config config;
        dreamdb *db = NULL;
        dreamdb_snapshot *view = NULL;
        outer.get = copied_get;
        outer.batch = NULL;
        config = config_of(&outer, 1, caches[c]);
        config.allocator.resize = peak_resize;
        CHECK(dreamdb_open(&config, "main", &db, &why) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, &why) == DREAMDB_OK);
        db->slab_least = c % 2 == 0 ? (size_t)131072 : db->slab_least;
        CHECK(ask(view, 1, 0, 0, -1, &now) == DREAMDB_OK);              /* Track and index are here now; they stand in no cap */
        ddb_query_cells *cells = (ddb_query_cells *)view->cells;
        size_t before = test_live_bytes() - (size_t)cells->bytes;
        peak = test_live_bytes();
        for (int way = 0; way < 4; way++) {
            CHECK(ask(view, 30, way % 2, 1, -1, &now) == DREAMDB_OK);
            CHECK(cells->bytes <= db->cells_cap && cells->pinned == 0);
            if (way == 0 && c == 0) { want = now; }
            if (way == 0) { CHECK_BYTES(&now, &want, sizeof now); }
        }
        size_t most = caches[c] + 2 * CELL + 65536;
        if (peak - before > most) { printf("cache %llu: peak %zu over %zu\n", (unsigned long long)caches[c], peak - before, most); }
        CHECK(peak - before <= most);
        CHECK(ask(view, 30, 0, 0, -1, &now) == DREAMDB_OK);             /* copies of candidates of cells that had to go: many, of rows so alike */
        CHECK(peak - before <= most + 2 * ROWS * (DIM * 4 + 64));
        CHECK_BYTES(&now, &want, sizeof now);
        for (int64_t tag = 0; tag < 6; tag++) {                         /* a predicate takes up to 1 MiB for a moment (room scalar) */
            CHECK(ask(view, tag % 2 ? 30 : 0, 0, 1, tag, &now) == DREAMDB_OK);
            CHECK(cells->bytes <= db->cells_cap && peak - before <= most + 2 * ROWS * (DIM * 4 + 64) + 1200000);
        }
        if (c == 0) {                                                   /* served from memory: little but the layouts */
            CHECK(cells->bytes > (uint64_t)ROWS * DIM * 4 && test_live_bytes() - before < cells->bytes + cells->bytes / 10);
        }
        dreamdb_snapshot_close(view);
        dreamdb_close(db);
    }
    dreamdb_store_close(&whole);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* A store that bends a byte of one object on its way out. */
static struct bent { int (*get)(void *, const char *, uint64_t, uint64_t, dreamdb_blob *); int armed; char path[512]; } bent;
static int bent_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    static uint8_t copy[1 << 20];
    int status = bent.get(user, path, offset, size, out);
    if (status == DREAMDB_OK && bent.armed && out->size > 200 && out->size < sizeof copy && !strstr(path, "outboard")) {
        bent.armed = 0;
        memcpy(copy, out->data, (size_t)out->size);
        copy[out->size - 3] ^= 16;
        (void)snprintf(bent.path, sizeof bent.path, "%s", path);
        if (out->release) { out->release(out->release_user, out->data, out->size); }
        out->data = copy;
        out->release = NULL;
    }
    return status;
}

static void a_bad_cell_is_named(void)
{
    dreamdb_store store, outer;
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    answer now, want;
    make(&store, 24, ROWS);
    view = view_of(&store, 1, 0, 0xffffffffu, &db);
    CHECK(ask(view, 30, 0, 0, -1, &want) == DREAMDB_OK);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    db = NULL;
    memset(&bent, 0, sizeof bent);
    bent.get = store.get;
    outer = store;
    outer.get = bent_get;
    outer.batch = NULL;
    view = view_of(&outer, 1, 0, 0xffffffffu, &db);
    CHECK(ask(view, 1, 0, 0, -1, &now) == DREAMDB_OK);                   /* Track and index are here; what comes now are buckets */
    bent.armed = 1;
    CHECK(ask(view, 30, 0, 0, -1, &now) == DREAMDB_ERR_CORRUPT);
    CHECK(bent.path[0] != 0);
    CHECK_STR(why.path, bent.path);
    CHECK(ask(view, 30, 0, 0, -1, &now) == DREAMDB_OK);                  /* nothing of it was kept */
    CHECK_BYTES(&now, &want, sizeof now);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    dreamdb_store_close(&store);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Eight threads search one view, and a ninth appends. */
#if !defined(DREAMDB_NO_THREADS)
typedef struct worker { dreamdb_snapshot *view; const answer *want; int good; } worker;
static void *search_on(void *user)
{
    worker *w = (worker *)user;
    dreamdb_query query;
    dreamdb_error error;
    w->good = 1;
    for (int round = 0; round < 12; round++) {
        dreamdb_result *result = NULL;
        memset(&query, 0, sizeof query);
        query.field = "e"; query.vectors = queries; query.count = QUERIES; query.top_k = TOP; query.nprobe = 4;
        if (dreamdb_search(w->view, &query, &result, &error) != DREAMDB_OK) { w->good = 0; return NULL; }
        for (size_t i = 0; i < result->count; i++) { w->good = w->good && result->hits[i].anchor == w->want->anchors[i]; }
        dreamdb_result_free(result);
    }
    return NULL;
}

static void threads_share_a_view(void)
{
    dreamdb_store store;
    dreamdb *db = NULL;
    answer want;
    worker workers[8];
    ddb_port_thread threads[8];
    make(&store, 70, 500);
    dreamdb_snapshot *view = view_of(&store, 1, 0, 0xffffffffu, &db);
    CHECK(ask(view, 4, 0, 0, -1, &want) == DREAMDB_OK);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    db = NULL;
    view = view_of(&store, 2, 300000, 0xffffffffu, &db);
    for (int t = 0; t < 8; t++) {
        workers[t].view = view; workers[t].want = &want; workers[t].good = 0;
        CHECK(ddb_port_thread_start(&threads[t], search_on, workers + t));
    }
    append(db, 70, 500, 500);
    for (int t = 0; t < 8; t++) { ddb_port_thread_join(threads[t]); CHECK(workers[t].good); }
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    dreamdb_store_close(&store);
    CHECK_EQ_U64(test_live_bytes(), 0);
}
#endif

int main(void)
{
    RUN(one_answer_everywhere);
    RUN(memory_is_bounded);
    RUN(a_bad_cell_is_named);
#if !defined(DREAMDB_NO_THREADS)
    RUN(threads_share_a_view);
#endif
    return test_end("search");
}
