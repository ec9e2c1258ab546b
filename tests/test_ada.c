/* Rooms lineage and ada.  The model is a plain list of rows; after each step every record is looked up in it bit for bit, and the cell of
   every record under the newest index is told again by folding all centroids. */
#include "embedding.h"

enum { MOST = 4000, DIM_MOST = 16, CODE_MOST = 64 };
typedef struct model_row { uint64_t anchor; float v[DIM_MOST]; int deleted, seen; } model_row;
static model_row model[MOST];
static size_t model_count;
static uint32_t dim;

/* A vector near one of `clusters` directions, which turn with `drift`. */
static void make_vector(float *out, uint32_t clusters, double drift)
{
    uint32_t cluster = (uint32_t)(test_rand() % clusters);
    for (uint32_t d = 0; d < dim; d++) {
        uint32_t h = (cluster * 2654435761u + d * 40503u + (uint32_t)(drift * 7) * 97u) * 2246822519u;
        out[d] = (float)((int32_t)h >> 8) / 8388608.0f + 0.3f * test_randf();
    }
}

static dreamdb *make_dataset(const dreamdb_store *on, kind what, uint32_t k, uint32_t clusters)
{
    static float sample[300 * DIM_MOST];
    model_count = 0;
    for (size_t i = 0; i < 300; i++) { make_vector(sample + i * dim, clusters, 0); }
    return create_field(on, what, dim, sample, k, 4);
}

/* A store with a dataset of so many dimensions, and the end of both. */
static dreamdb *begin(uint32_t dimensions, kind what, uint32_t k, uint32_t clusters)
{
    dim = dimensions;
    open_store();
    return make_dataset(&store, what, k, clusters);
}

static void end(dreamdb *db)
{
    dreamdb_close(db);
    close_store();
}

static void append(dreamdb *db, size_t count, uint32_t clusters, double drift, int early)
{
    static uint64_t anchors[MOST];
    dreamdb_column column;
    dreamdb_append_desc desc;
    model_row *first = model + model_count;
    memset(&column, 0, sizeof column);
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) {
        memset(first + i, 0, sizeof *first);
        anchors[i] = first[i].anchor = (model_count + i) * 7 + test_rand() % 7;
        make_vector(first[i].v, clusters, drift);
    }
    column.field = "e"; column.data = first->v; column.stride = sizeof *first;
    desc.columns = &column; desc.column_count = 1; desc.count = count; desc.anchors = anchors; desc.page_early = early;
    CHECK(dreamdb_append(db, &desc, NULL, &error) == DREAMDB_OK);
    model_count += count;
}

static void delete_some(dreamdb *db, size_t count)
{
    uint64_t anchors[64];
    dreamdb_delete_desc desc;
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) {
        model_row *row = model + test_rand() % model_count;
        row->deleted = 1;
        anchors[i] = row->anchor;
    }
    desc.anchors = anchors; desc.anchor_count = count;
    CHECK(dreamdb_delete(db, &desc, NULL, &error) == DREAMDB_OK);
}

static model_row *model_find(uint64_t anchor)
{
    size_t low = 0, high = model_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (model[middle].anchor < anchor) { low = middle + 1; } else { high = middle; }
    }
    return low < model_count && model[low].anchor == anchor ? model + low : NULL;
}

/* ---- The plain check of everything that a dataset says ---- */

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

typedef struct seen { ddb_view_field *field; uint64_t records, fresh, dead; uint64_t counts[MOST]; int all; } seen;

static dreamdb_status see_bucket(ddb_ctx *ctx, void *user, const ddb_ada_fetched *got)
{
    seen *s = (seen *)user;
    static float vectors[MOST * DIM_MOST];
    uint8_t code[CODE_MOST];
    uint32_t cell = 0;
    bool newest = ddb_addr_equal(&got->bucket.index, &s->field->registry.index);
    CHECK(ddb_lineage_cell_of(got->row->key, s->field->index->k, &cell));
    CHECK(ddb_ada_vectors(ctx, s->field, got, vectors) == DREAMDB_OK);
    for (size_t i = 0; i < got->bucket.count; i++) {
        model_row *row = model_find(ddb_bucket_anchor(&got->bucket, i));
        CHECK(row != NULL);
        if (!row) { continue; }
        CHECK(!row->seen);
        row->seen = 1;
        s->records++;
        s->dead += (uint64_t)row->deleted;
        s->fresh += newest;
        s->counts[cell]++;
        if (got->side || !s->field->codec) { CHECK_BYTES(vectors + i * dim, row->v, dim * sizeof(float)); }
        if (s->field->codec) {
            CHECK(ddb_index_codes(ctx, NULL, s->field->codec, row->v, dim, 1, code) == DREAMDB_OK);
            CHECK_BYTES(code, got->bucket.records + i * got->bucket.record_size + 8, s->field->codec->code_bytes);
        }
        if (newest || s->all) { CHECK_EQ_U64(cell, brute_cell(s->field->index, vectors + i * dim)); }
    }
    return DREAMDB_OK;
}

static int print_fault(void *user, const dreamdb_fault_report *fault)
{
    (void)user;
    printf("fault: %s: %s\n", fault->path, fault->message);
    return 0;
}

/* Every search over all cells gives what a plain pass over the model gives. */
static void check_search(dreamdb_snapshot *view, kind what)
{
    enum { TOP = 5 };
    for (int turn = 0; turn < 2; turn++) {
        float q[DIM_MOST];
        dreamdb_query query;
        dreamdb_result *found = NULL;
        memset(&query, 0, sizeof query);
        make_vector(q, 7, 1);
        query.field = "e"; query.vectors = q; query.top_k = TOP; query.exact = 1;
        CHECK(dreamdb_search(view, &query, &found, &error) == DREAMDB_OK);
        if (!found) { printf("%s\n", error.message); return; }
        float unit[DIM_MOST], other[DIM_MOST];
        (void)ddb_exact_unit(q, dim, unit);
        for (size_t i = 0; i < found->count && what != LOSSY; i++) {
            size_t better = 0;
            model_row *hit = model_find(found->hits[i].anchor);
            CHECK(hit && !hit->deleted);
            for (size_t m = 0; m < model_count; m++) {
                (void)ddb_exact_unit(model[m].v, dim, other);
                better += !model[m].deleted && ddb_exact_fold(other, unit, dim) > found->hits[i].score;
            }
            CHECK(better <= i);
        }
        dreamdb_result_free(found);
    }
}

/* all: every record lies in its nearest cell, not only those under the newest index. */
static void check_all(dreamdb *db, kind what, int all)
{
    dreamdb_snapshot *view = NULL;
    dreamdb_verify_report report;
    dreamdb_ada_balance balance;
    dreamdb_ada_status_desc look;
    static seen s;
    ddb_ctx *ctx = test_ctx();
    ddb_row *rows = NULL;
    size_t count = 0, live = 0, dead = 0;
    uint64_t largest = 0, populated = 0;
    ddb_arena arena = { NULL, 0 };
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
    if (!view) { printf("%s\n", error.message); return; }
    memset(&s, 0, sizeof s);
    s.field = view->fields;
    s.all = all;
    CHECK(ddb_view_need(ctx, view, &s.field, 1, DDB_VIEW_TRACK | DDB_VIEW_INDEX | DDB_VIEW_CODEC) == DREAMDB_OK);
    CHECK(ddb_track_collect(ctx, db->env, &arena, &s.field->track, NULL, &rows, &count) == DREAMDB_OK);
    for (size_t i = 0; i < model_count; i++) { model[i].seen = 0; }
    dreamdb_status status = ddb_ada_fetch(ctx, db->env, s.field, rows, count, see_bucket, &s);
    if (status < 0) { printf("%s (%s)\n", test_error.message, test_error.path); }
    CHECK(status == DREAMDB_OK);
    for (size_t i = 0; i < model_count; i++) {
        CHECK(model[i].seen || model[i].deleted);
        live += !model[i].deleted;
        dead += model[i].deleted && model[i].seen;
    }
    CHECK_EQ_U64(s.records, live + dead);
    for (uint32_t c = 0; c < s.field->index->k; c++) {
        largest = s.counts[c] > largest ? s.counts[c] : largest;
        populated += s.counts[c] > 0;
    }
    memset(&look, 0, sizeof look);
    look.deep = 1; look.sample = all ? 1000000 : 20;
    CHECK(dreamdb_ada_status(view, &look, &balance, &error) == DREAMDB_OK);
    CHECK_EQ_U64(balance.records, s.records);
    CHECK_EQ_U64(balance.k, s.field->index->k);
    CHECK_EQ_U64(balance.buckets, count);
    CHECK_EQ_U64(balance.largest, largest);
    CHECK_EQ_U64(balance.populated, populated);
    CHECK_EQ_U64(balance.deleted, dead);
    if (all) { CHECK_EQ_U64(balance.sampled, s.records); CHECK_EQ_U64(balance.moved, 0); }
    CHECK(dreamdb_verify(view, 0, print_fault, NULL, &report, &error) == DREAMDB_OK);
    CHECK_EQ_U64(report.faults, 0);
    check_search(view, what);
    ddb_mem_arena_free(ctx, &arena);
    dreamdb_snapshot_close(view);
}

static dreamdb_ada_step_report step(dreamdb *db, const dreamdb_ada_step_desc *desc)
{
    dreamdb_ada_step_report report;
    memset(&report, 0, sizeof report);
    dreamdb_status status = dreamdb_ada_step(db, desc, &report, &error);
    if (status < 0) { printf("%s: %s (%s)\n", test_name, error.message, error.path); }
    CHECK(status == DREAMDB_OK);
    CHECK((desc && desc->dry_run) || report.k_after == report.k_before + report.created - report.merges);
    return report;
}

static void show(const dreamdb_ada_step_report *r)
{
    printf("outcome %d k %d>%d cap %d splits %d merges %d marked %d renamed %d read %d written %d moved %d cv %g>%g gen %d\n", r->outcome, (int)r->k_before,
           (int)r->k_after, (int)r->k_cap, (int)r->splits, (int)r->merges, (int)r->marked, (int)r->renamed, (int)r->cells_read, (int)r->cells_written,
           (int)r->records_moved, r->cv_before, r->cv_after, (int)r->generations);
}

/* ---- Tests ---- */

static void steps_of_every_kind(void)
{
    for (int what = 0; what < KINDS; what++) {
        for (int early = 0; early < 2; early++) {
            dreamdb_ada_step_desc desc;
            size_t made = 0, split = 0, merged = 0;
            memset(&desc, 0, sizeof desc);
            desc.allow_lossy = what == LOSSY;
            desc.max_cells = 12;
            desc.force = 1;
            dim = 8;
            open_store();
            dreamdb *db = make_dataset(&store, (kind)what, 20, 9);
            for (int turn = 0; turn < 6 && test_ok; turn++) {
                append(db, 100 + test_rand() % 100, 3, turn, early);
                if (turn % 2) { delete_some(db, 20); }
                desc.exact = turn == 5;
                desc.relineage = turn == 4;
                dreamdb_ada_step_report report = step(db, &desc);
                if (getenv("ADA_SHOW")) { show(&report); }
                made += report.outcome == DREAMDB_ADA_MADE; split += report.splits; merged += report.merges;
                CHECK(report.k_after <= report.k_cap || report.k_after < report.k_before);
                if (report.outcome == DREAMDB_ADA_MADE && turn == 4) { CHECK_EQ_U64(report.generations, 1); }
                check_all(db, (kind)what, turn == 5);
            }
            CHECK(made > 3 && split > 3 && merged > 3);
            if (!test_ok) { printf("kind %s, early %d\n", kind_names[what], early); }
            dreamdb_close(db);
            close_store();
        }
    }
}

/* Merges alone: k shrinks from the end, and what moves keeps its centroid. */
static void merges_only(void)
{
    dreamdb_ada_step_desc desc;
    memset(&desc, 0, sizeof desc);
    dreamdb *db = begin(6, RAW, 30, 20);
    append(db, 600, 20, 0, 1);
    for (uint64_t k = 30; k > 1 && test_ok; ) {
        desc.k_max = k > 9 ? k - 5 : k > 1 ? k - 1 : 1;
        dreamdb_ada_step_report report = step(db, &desc);
        CHECK_EQ_U64(report.k_before, k);
        CHECK_EQ_U64(report.k_after, desc.k_max);
        CHECK_EQ_U64(report.merges, k - desc.k_max);
        CHECK_EQ_U64(report.splits, 0);
        k = desc.k_max;
        check_all(db, RAW, k == 1);
    }
    end(db);
}

/* Splits alone, up to the cap. */
static void splits_only(void)
{
    dreamdb_ada_step_desc desc;
    uint64_t k = 6;
    memset(&desc, 0, sizeof desc);
    dreamdb *db = begin(6, RAW, 6, 20);
    append(db, 900, 20, 0, 0);
    append(db, 100, 1, 3, 0);
    for (int turn = 0; turn < 8 && test_ok; turn++) {
        desc.k_max = 24;
        dreamdb_ada_step_report report = step(db, &desc);
        CHECK(report.k_after <= 24);
        k = report.k_after;
        check_all(db, RAW, 0);
        append(db, 80, 1, turn, 0);
    }
    CHECK(k > 9);
    end(db);
}

/* Keys as narrow as the reference's leave no room: the step stays within what they can name. */
static void narrow_keys(void)
{
    dreamdb_train_desc desc;
    dreamdb_ada_step_desc more;
    memset(&desc, 0, sizeof desc);
    memset(&more, 0, sizeof more);
    dreamdb *db = begin(6, RAW, 9, 9);
    append(db, 200, 9, 0, 0);
    desc.field = "e"; desc.k = 6; desc.key_bits = DREAMDB_KEY_BITS_AUTO;
    CHECK(dreamdb_train(db, &desc, &error) == DREAMDB_OK);
    for (int turn = 0; turn < 5; turn++) {
        append(db, 150, 2, turn, 0);
        more.k_max = 100;
        dreamdb_ada_step_report report = step(db, &more);
        CHECK(report.k_cap == 8 && report.k_after <= 8);
        check_all(db, RAW, 0);
    }
    end(db);
}

/* A cell of equal vectors is marked, left alone, named; tried again when it has grown to twice as many. */
static void equal_vectors(void)
{
    dreamdb_ada_step_report report;
    dreamdb_snapshot *view = NULL;
    dreamdb_ada_balance balance;
    dreamdb *db = begin(4, RAW, 8, 8);
    append(db, 80, 8, 0, 0);
    uint64_t anchors[300];
    dreamdb_column column;
    dreamdb_append_desc desc;
    for (int round = 0; round < 2; round++) {
        model_row *first = model + model_count;
        memset(&column, 0, sizeof column);
        memset(&desc, 0, sizeof desc);
        for (size_t i = 0; i < 300; i++) {
            memset(first + i, 0, sizeof *first);
            anchors[i] = first[i].anchor = (model_count + i) * 7;
            for (uint32_t d = 0; d < dim; d++) { first[i].v[d] = 0.5f - (float)d; }
        }
        column.field = "e"; column.data = first->v; column.stride = sizeof *first;
        desc.columns = &column; desc.column_count = 1; desc.count = 300; desc.anchors = anchors;
        CHECK(dreamdb_append(db, &desc, NULL, &error) == DREAMDB_OK);
        model_count += 300;
        uint64_t marked = 0;
        for (int turn = 0; turn < 4; turn++) {
            report = step(db, NULL);
            marked += report.marked;
            if (getenv("ADA_SHOW")) { show(&report); }
            check_all(db, RAW, 0);
            if (report.outcome == DREAMDB_ADA_NOTHING) { break; }
        }
        CHECK(report.outcome == DREAMDB_ADA_NOTHING && report.cells_read == 0 && marked == 1);
        CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
        CHECK(dreamdb_ada_status(view, NULL, &balance, &error) == DREAMDB_OK);
        CHECK_EQ_U64(balance.unsplittable_count, 1);
        CHECK(balance.cv < DDB_ADA_CV && balance.largest >= 300);
        dreamdb_snapshot_close(view);
    }
    end(db);
}

/* What a step touches: a split of one cell among many reads and writes few. */
static void cost_follows_the_change(void)
{
    dreamdb_ada_step_desc desc;
    memset(&desc, 0, sizeof desc);
    dreamdb *db = begin(8, RAW, 200, 60);
    append(db, 2500, 60, 0, 1);
    desc.k_max = 400;
    for (int turn = 0; turn < 20 && step(db, &desc).outcome != DREAMDB_ADA_NOTHING; turn++) { }
    for (size_t i = 0; i < 60; i++) { append(db, 1, 1, 5, 1); }
    desc.neighbours = 3;
    dreamdb_ada_step_report report = step(db, &desc);
    CHECK(report.outcome == DREAMDB_ADA_MADE && report.splits >= 1);
    CHECK(report.cells_read <= 8 * (report.splits + report.merges));
    CHECK(report.generations > 1);
    check_all(db, RAW, 0);
    end(db);
}

/* Deleted rows that no cell of the step ever held cost it nothing: it asks for the anchors that it reads. */
static void cost_forgets_the_deleted(void)
{
    enum { GONE = 60000 };
    static uint64_t anchors[GONE];
    uint64_t gets[2] = { 0, 0 };
    for (size_t i = 0; i < (size_t)GONE; i++) { anchors[i] = (UINT64_C(1) << 40) + i * 5; }
    for (int turn = 0; turn < 2; turn++) {
        dreamdb_ada_step_desc desc;
        dreamdb_delete_desc gone;
        memset(&desc, 0, sizeof desc);
        memset(&gone, 0, sizeof gone);
        test_state = 77;
        dreamdb *db = begin(8, RAW, 10, 60);
        append(db, 900, 60, 0, 0);
        delete_some(db, 20);
        gone.anchors = anchors; gone.anchor_count = (size_t)GONE;
        CHECK(turn == 0 || dreamdb_delete(db, &gone, NULL, &error) == DREAMDB_OK);
        dreamdb_config config = config_of(&store);
        dreamdb_close(db);                     /* a handle that has seen nothing */
        CHECK(dreamdb_open(&config, "main", &db, &error) == DREAMDB_OK);
        uint64_t before = plan.gets;
        desc.force = 1;
        CHECK(step(db, &desc).splits > 0);
        gets[turn] = plan.gets - before;
        check_all(db, RAW, 0);
        end(db);
    }
    CHECK(gets[1] <= gets[0] + 3);             /* the root and one leaf more */
    if (!test_ok || getenv("ADA_SHOW")) { printf("gets %llu and %llu\n", (unsigned long long)gets[0], (unsigned long long)gets[1]); }
}

/* 400 steps beside a cell that nobody touches: always readable, at a cost that does not grow. */
static void untouched_cell(void)
{
    dreamdb_ada_step_desc desc;
    uint64_t written[2] = { 0, 0 }, relineaged = 0;
    memset(&desc, 0, sizeof desc);
    dreamdb *db = begin(4, RAW, 6, 6);
    append(db, 300, 6, 0, 0);
    for (int turn = 0; turn < 400 && test_ok; turn++) {
        dreamdb_snapshot *view = NULL;
        dreamdb_ada_balance balance;
        memset(&balance, 0, sizeof balance);
        CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
        CHECK(dreamdb_ada_status(view, NULL, &balance, &error) == DREAMDB_OK);
        dreamdb_snapshot_close(view);
        desc.max_cells = 1;
        desc.neighbours = 1;
        desc.k_max = turn % 2 ? 1 : 1000;       /* one cell merged, one split */
        dreamdb_ada_step_report report = step(db, &desc);
        if (turn >= 40 && turn < 60) { written[0] += report.cells_written; }
        if (turn >= 380) { written[1] += report.cells_written; }
        if (getenv("ADA_SHOW") && turn < 8) { show(&report); }
        relineaged += report.relineaged;
        CHECK(report.generations <= DDB_LINEAGE_MOST);
        if (turn % 20 == 19) { check_all(db, RAW, 0); }
        if (report.outcome == DREAMDB_ADA_NOTHING) { append(db, 3, 1, turn, 0); }
    }
    check_all(db, RAW, 0);
    printf("written in steps 40 to 59: %llu, 380 to 399: %llu; brought up to date: %llu\n", (unsigned long long)written[0],
           (unsigned long long)written[1], (unsigned long long)relineaged);
    end(db);
}

/* Ten thousand steps on counts alone: growing and drifting data come to an equilibrium, under the cap. */
static void equilibrium(void)
{
    enum { CELLS = 3000 };
    static uint64_t records[CELLS];
    static uint32_t hot[CELLS], cold[CELLS];
    ddb_ctx *ctx = test_ctx();
    uint64_t k = 10, worst = 0, over = 0;
    for (uint64_t c = 0; c < k; c++) { records[c] = 1; }
    for (int turn = 0; turn < 10000 && test_ok; turn++) {
        ddb_ada_plan p;
        uint64_t at = (uint64_t)turn * k / 3000 % k, n = 0;
        for (int i = 0; i < 50; i++) { records[(at + test_rand() % 3) % k]++; }       /* the stream looks at some cells, and moves on */
        for (int i = 0; i < 30; i++) { uint64_t c = test_rand() % k; records[c] -= records[c] > 0; }
        memset(&p, 0, sizeof p);
        p.k = k; p.hot = hot; p.cold = cold;
        CHECK(ddb_ada_decide(ctx, records, NULL, 0, 64, &p) == DREAMDB_OK);
        CHECK(p.hot_count <= p.extra && p.cold_count + p.extra <= 64 && (p.cold_count < k || k == 1));
        if (k <= p.cap) { CHECK(k + p.extra <= p.cap + p.cold_count); } else { CHECK(p.extra == 0 && p.cold_count > 0); }
        uint64_t fresh = 0;
        for (size_t i = 0; i < p.hot_count; i++, fresh++) {
            uint64_t half = records[hot[i]] * (30 + test_rand() % 40) / 100;
            records[hot[i]] -= half;
            records[k + fresh] = half;
        }
        for (size_t i = 0; i < p.cold_count; i++) {
            uint64_t left = records[cold[i]];
            records[cold[i]] = UINT64_MAX;
            for (uint64_t c; left > 0; left--) {
                do {
                    c = cold[i] + 1 + test_rand() % 3;              /* a call a statement: C does not say which of two comes first */
                    c = (c + test_rand() % k) % (k + fresh);
                } while (records[c] == UINT64_MAX);
                records[c]++;
            }
        }
        for (uint64_t c = 0; c < k + fresh; c++) { if (records[c] != UINT64_MAX) { records[n++] = records[c]; } }
        k = n;
        double sum = 0, squares = 0;
        for (uint64_t c = 0; c < k; c++) { sum += (double)records[c]; squares += (double)records[c] * (double)records[c]; }
        over += turn > 200 && ddb_ada_cv(sum, squares, k) > 1.0;
        worst += turn > 200 && k > p.cap + 1;
    }
    CHECK_EQ_U64(over, 0);
    CHECK_EQ_U64(worst, 0);
    if (getenv("ADA_SHOW")) { printf("equilibrium: k %d\n", (int)k); }
    CHECK(k > 100);
}

static void caps(void)
{
    for (uint64_t n = 0; n < 5000; n++) {
        uint64_t r = ddb_ada_cap(n);
        CHECK((r * r <= 4 * n || r == 1) && (r + 1) * (r + 1) > 4 * n);
    }
    CHECK_EQ_U64(ddb_ada_cap(UINT64_MAX), UINT32_MAX);      /* ids have 32 bits */
    CHECK_EQ_U64(ddb_ada_pick(UINT64_MAX, 3, 2), UINT64_MAX / 3 * 2);
    CHECK(ddb_ada_mark(0) == 0 && ddb_ada_mark(1) == 1 && ddb_ada_mark(UINT64_MAX) == 64);
}

/* The bytes of a table, and every way to damage it. */
static void table_bytes(void)
{
    static const uint8_t want[] = {
        'D', 'L', 'I', 'N', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3, 0, 0, 0, 2,
        0x1e, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        0x1e, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
        0, 0, 0, 0, 1, 5, 0, 1, 0xff, 0xff, 9 << 2, 0 };
    ddb_lineage_cell cells[3] = { { 0, 0, 0 }, { 261, 1, 0 }, { 65535, 0, 9 } };
    ddb_addr list[2], other;
    ddb_lineage table, *back = NULL;
    ddb_arena arena = { NULL, 0 };
    ddb_ctx *ctx = test_ctx();
    ddb_buf buf;
    memset(list, 7, sizeof list); memset(list + 1, 9, sizeof *list); memset(&other, 8, sizeof other);
    list[0].bytes[0] = list[1].bytes[0] = other.bytes[0] = 0x1e;
    table.newest = 258; table.k = 3; table.count = 2; table.list = list; table.cells = cells;
    ddb_bytes_init(&buf, ctx);
    CHECK(ddb_lineage_encode(&buf, &table) == DREAMDB_OK);
    CHECK_EQ_U64(buf.size, 24 + 32 * 2 + 2 + 12);
    CHECK(buf.size == sizeof want || buf.size == 24 + 66 + 12);
    CHECK_BYTES(buf.data, want, 24);
    CHECK_BYTES(buf.data + 24 + 66, want + sizeof want - 12, 12);
    CHECK_BYTES(buf.data + 24, list, 66);
    CHECK(ddb_lineage_decode(ctx, &arena, ddb_bytes_of(&buf), "t", list, &back) == DREAMDB_OK);
    CHECK(back->newest == 258 && back->k == 3 && back->count == 2 && back->cells[1].changed == 261 && back->cells[1].oldest == 1 && back->cells[1].stuck == 0
          && back->cells[2].changed == 65535 && back->cells[2].stuck == 9);
    CHECK(ddb_lineage_valid(back, list, ddb_bytes_text("0000")) && ddb_lineage_valid(back, list + 1, ddb_bytes_text("0001")));
    CHECK(!ddb_lineage_valid(back, list + 1, ddb_bytes_text("0000")) && !ddb_lineage_valid(back, &other, ddb_bytes_text("0001")));
    CHECK(!ddb_lineage_valid(back, list, ddb_bytes_text("0011")) && !ddb_lineage_valid(back, list, ddb_bytes_text("00x1")));
    CHECK(ddb_lineage_valid(back, list + 1, ddb_bytes_text("00000000000000000000000000000000000000000000000000000000000000000000010")));
    CHECK(ddb_lineage_decode(ctx, &arena, ddb_bytes_of(&buf), "t", list + 1, &back) == DREAMDB_ERR_CORRUPT);
    for (size_t size = 0; size < buf.size; size++) {
        CHECK(ddb_lineage_decode(ctx, &arena, ddb_bytes_slice(buf.data, size), "t", list, &back) == DREAMDB_ERR_CORRUPT);
    }
    for (size_t bit = 0; bit < buf.size * 8; bit++) {          /* never a crash; what is taken obeys the rules */
        buf.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (ddb_lineage_decode(ctx, &arena, ddb_bytes_of(&buf), "t", list, &back) == DREAMDB_OK) {
            for (uint32_t c = 0; c < back->k; c++) { CHECK(back->cells[c].oldest < back->count && back->cells[c].oldest <= back->cells[c].changed); }
        }
        buf.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ddb_bytes_free(&buf);
    ddb_mem_arena_free(ctx, &arena);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Publishes another table for the tip. */
static void put_table(dreamdb *db, int way)
{
    ddb_write write;
    ddb_ctx *ctx = test_ctx();
    CHECK(ddb_write_open(ctx, db, true, &write) == DREAMDB_OK);
    ddb_view_field *field = write.view->fields;
    CHECK(ddb_view_need(ctx, write.view, &field, 1, DDB_VIEW_INDEX) == DREAMDB_OK && field->lineage && field->lineage->count > 1);
    ddb_lineage table = *field->lineage;
    table.cells = ddb_mem_arena_new(ctx, &write.arena, ddb_lineage_cell, table.k);
    for (uint32_t c = 0; c < table.k; c++) {
        table.cells[c] = field->lineage->cells[c];
        if (way == 1) { table.cells[c].changed = 9; }                          /* cells that changed are said not to have */
        if (way == 2) { table.cells[c].oldest = 0; }                           /* rows are older than it says */
        if (way == 3) { table.cells[c].changed = table.cells[c].oldest = 0; }  /* rows are from before the last change */
    }
    CHECK(ddb_lineage_put(ctx, &write.arena, write.puts, &write.manifest, field->binding->modality, &table) == DREAMDB_OK);
    CHECK(ddb_write_publish(ctx, &write, "test") == DREAMDB_OK);
    ddb_write_close(ctx, &write);
}

/* A list of generations that is nearly full: each step brings cells that stayed behind up to date, so that it never overflows. */
static void nearly_full(void)
{
    static ddb_addr list[DDB_LINEAGE_MOST];
    dreamdb_ada_step_desc desc;
    ddb_write write;
    ddb_ctx *ctx = test_ctx();
    uint64_t behind = 0, relineaged = 0, most = 0;
    dreamdb *db = begin(6, RAW, 40, 40);
    append(db, 1200, 40, 0, 0);
    append(db, 100, 1, 2, 0);
    memset(&desc, 0, sizeof desc);
    desc.neighbours = 1; desc.max_cells = 2; desc.k_max = 1000;
    CHECK(step(db, &desc).generations == 2);
    CHECK(ddb_write_open(ctx, db, true, &write) == DREAMDB_OK);
    ddb_view_field *field = write.view->fields;
    CHECK(ddb_view_need(ctx, write.view, &field, 1, DDB_VIEW_INDEX) == DREAMDB_OK && field->lineage && field->lineage->count == 2);
    ddb_lineage table = *field->lineage;
    table.slots = NULL;
    memset(list, 7, sizeof list);
    memcpy(list, table.list, 2 * sizeof *list);
    for (size_t g = 2; g < 990; g++) { list[g].bytes[0] = 0x1e; list[g].bytes[1] = (uint8_t)g; list[g].bytes[2] = (uint8_t)(g >> 8); }
    table.list = list;
    table.count = 990;
    for (uint32_t c = 0; c < table.k; c++) {
        ddb_lineage_cell *cell = table.cells + c;
        if (cell->changed == 1 && cell->oldest == 1) {
            cell->changed = DDB_LINEAGE_LONG_AGO;
            cell->oldest = 989;
            behind++;
        }
    }
    CHECK(behind >= 30);
    CHECK(ddb_lineage_put(ctx, &write.arena, write.puts, &write.manifest, field->binding->modality, &table) == DREAMDB_OK);
    CHECK(ddb_write_publish(ctx, &write, "test") == DREAMDB_OK);
    ddb_write_close(ctx, &write);
    check_all(db, RAW, 0);
    for (int turn = 0; turn < 40 && test_ok; turn++) {
        desc.k_max = turn % 2 ? 1 : 1000;
        dreamdb_ada_step_report report = step(db, &desc);
        CHECK(report.generations <= DDB_LINEAGE_MOST);
        if (report.outcome == DREAMDB_ADA_NOTHING) { append(db, 3, 1, turn, 0); }
        most = report.relineaged > most ? report.relineaged : most;
        relineaged += report.relineaged;
        check_all(db, RAW, 0);
    }
    CHECK(relineaged > 10 && relineaged <= behind && most <= (behind + 9) / 10 + 1);
    if (!test_ok) { printf("%d behind, %d brought up to date, %d at once\n", (int)behind, (int)relineaged, (int)most); }
    end(db);
}

/* A table that lies is told by verify; a bucket under an index that is not in it is refused by search, and by a step. */
static void lies(void)
{
    dreamdb_snapshot *view = NULL;
    dreamdb_verify_report report;
    dreamdb_ada_step_desc desc;
    memset(&desc, 0, sizeof desc);
    for (int way = 0; way < 4 && test_ok; way++) {
        float q[DIM_MOST] = { 1, 1, 1, 1, 1, 1 };
        dreamdb_query query;
        dreamdb_result *found = NULL;
        dreamdb *db = begin(6, RAW, 12, 12);
        append(db, 300, 12, 0, 0);
        append(db, 100, 1, 2, 0);
        memset(&desc, 0, sizeof desc);
        desc.neighbours = 1; desc.max_cells = 4; desc.k_max = 100;
        CHECK(step(db, &desc).generations == 2);
        put_table(db, way);
        CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
        CHECK(dreamdb_verify(view, 0, NULL, NULL, &report, &error) == DREAMDB_OK);
        CHECK(way == 0 ? report.faults == 0 : report.faults > 0);
        CHECK_EQ_U64(report.ancestors_gone, 0);
        memset(&query, 0, sizeof query);
        query.field = "e"; query.vectors = q; query.exact = 1;
        CHECK(dreamdb_search(view, &query, &found, &error) == (way == 3 ? DREAMDB_ERR_CORRUPT : DREAMDB_OK));
        dreamdb_result_free(found);
        if (way == 3) {
            desc.exact = 1;
            CHECK(dreamdb_ada_step(db, &desc, NULL, &error) == DREAMDB_ERR_CORRUPT);
        }
        dreamdb_snapshot_close(view);
        dreamdb_close(db);
        close_store();
    }
}

/* Every allocation, and every storage operation, fails once: the old state or the new, never a third. */
static void faults(void)
{
    for (int way = 0; way < 4; way++) {
        long n = 1, done = 0;
        for (; !done && test_ok; n += way == 0 ? 7 : 1) {
            dreamdb *db = NULL;
            dreamdb_ada_step_report report;
            dreamdb_config config;
            dreamdb_ada_step_desc desc;
            test_state = 88172645463325252u;
            clock_now = 0;
            memset(&desc, 0, sizeof desc);
            desc.max_cells = 6;
            dim = 5;
            open_store();
            db = make_dataset(&store, RABITQ, 9, 9);
            append(db, 60, 9, 0, 1);
            append(db, 60, 1, 2, 1);
            delete_some(db, 10);
            if (way == 0) { test_fail_alloc_at(n); }
            if (way > 0) { plan.fail_at = plan.operations + (uint64_t)n; plan.fail_after = way == 2; plan.fail_forever = way == 3; }
            dreamdb_status status = dreamdb_ada_step(db, &desc, &report, &error);
            done = way == 0 ? test_fail_at == 0 || test_allocs < n : plan.fail_at > plan.operations;
            test_fail_alloc_at(0);
            plan.fail_at = 0; plan.fail_forever = 0; plan.fail_after = 0;
            CHECK(done ? status == DREAMDB_OK && report.outcome == DREAMDB_ADA_MADE && report.splits > 0 : 1);
            if (status < 0) { CHECK(error.message[0] != 0); }
            dreamdb_close(db);
            config = config_of(&inner);
            CHECK(dreamdb_open(&config, "main", &db, &error) == DREAMDB_OK);
            if (db) { check_all(db, RABITQ, 0); }
            dreamdb_close(db);
            close_store();
        }
        CHECK(n > 10);
    }
}

/* ---- Beside others ---- */
static int rival_at, rival_calls, rival_stop;

/* Called while a step is at work: at its nth call the step is asked to stop. */
static int meddle(void *user, const dreamdb_progress *progress)
{
    (void)user;
    if (strncmp(progress->verb, "ada-ivf-step", 12) != 0 || ++rival_calls != rival_at) { return 0; }
    return rival_stop;
}

/* A step that is asked to stop: nothing of it is visible; a second try lands. */
static void stopped(void)
{
    dreamdb *one = NULL, *two = NULL;
    dreamdb_ada_step_report report;
    dreamdb_config config;
    one = begin(6, RAW, 9, 9);
    append(one, 300, 2, 0, 0);
    config = config_of(&store);
    config.progress = meddle;
    CHECK(dreamdb_open(&config, "main", &two, &error) == DREAMDB_OK);
    rival_at = 2; rival_calls = 0; rival_stop = 1;
    CHECK(dreamdb_ada_step(two, NULL, &report, &error) == DREAMDB_ERR_CANCELLED);
    CHECK(report.outcome == DREAMDB_ADA_NOTHING && rival_calls >= 2);
    check_all(two, RAW, 1);
    rival_stop = 0;
    CHECK(step(two, NULL).outcome == DREAMDB_ADA_MADE);
    check_all(one, RAW, 0);
    dreamdb_close(two);
    end(one);
}

/* ---- A rival that comes whenever the step moves the Ref ---- */
enum { RIVAL_APPENDS, RIVAL_DELETES, RIVAL_COMPACTS, RIVAL_STEPS, RIVAL_TRAINS, RIVAL_WAYS };
static struct { dreamdb_store on, store; dreamdb *other; int way, times, early; } race;

static int race_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    if (strncmp(path, "refs/", 5) == 0 && race.times > 0 && race.other) {
        dreamdb_ada_step_desc again;
        dreamdb_compact_desc compact;
        dreamdb_train_desc train;
        memset(&again, 0, sizeof again); memset(&compact, 0, sizeof compact); memset(&train, 0, sizeof train);
        race.times--;
        again.force = 1;
        compact.threshold = 2;
        train.field = "e"; train.k = 8;
        if (race.way == RIVAL_APPENDS) { append(race.other, 40, 3, 2, race.early); }
        if (race.way == RIVAL_DELETES) { delete_some(race.other, 15); }
        if (race.way == RIVAL_COMPACTS) { CHECK(dreamdb_compact(race.other, &compact, NULL, &error) == DREAMDB_OK); }
        if (race.way == RIVAL_STEPS) { CHECK(dreamdb_ada_step(race.other, &again, NULL, &error) == DREAMDB_OK); }
        if (race.way == RIVAL_TRAINS) { CHECK(dreamdb_train(race.other, &train, &error) == DREAMDB_OK); }
    }
    return race.on.put(user, path, data, size, condition);
}

/* Rows that land meanwhile are carried over, to the cell that is nearest by the new index where theirs was taken apart; deletions stay; the
   loser against another step, a training, a compaction of its cells is told so.  Nothing of it is visible then. */
static void races(void)
{
    for (int turn = 0; turn < RIVAL_WAYS * 4 && test_ok; turn++) {
        dreamdb *db = NULL;
        dreamdb_ada_step_report report;
        dreamdb_ada_step_desc desc;
        dreamdb_config config;
        kind what = turn % 2 ? RABITQ : RAW;
        memset(&race, 0, sizeof race); memset(&desc, 0, sizeof desc); memset(&report, 0, sizeof report);
        race.way = turn / 4;
        race.early = turn / 2 % 2;
        race.other = begin(6, what, 14, 9);
        append(race.other, 150, 9, 0, race.early);
        for (int i = 0; i < 4; i++) { append(race.other, 60, 2, 2, race.early); }
        race.on = store;
        race.store = store;
        race.store.put = race_put;
        race.store.batch = NULL;
        config = config_of(&race.store);
        CHECK(dreamdb_open(&config, "main", &db, &error) == DREAMDB_OK);
        bool follows = race.way == RIVAL_APPENDS || race.way == RIVAL_DELETES;
        race.times = follows ? 3 : 1;
        desc.force = 1; desc.neighbours = 4; desc.max_cells = 8;
        dreamdb_status status = dreamdb_ada_step(db, &desc, &report, &error);
        CHECK(status == (follows ? DREAMDB_OK : DREAMDB_ERR_CONFLICT) && race.times == 0);
        CHECK(report.outcome == (follows ? DREAMDB_ADA_MADE : DREAMDB_ADA_NOTHING));
        if (follows) { CHECK(report.replays == 3 && report.splits > 0); }
        if (race.way == RIVAL_APPENDS) { CHECK(report.records_carried > 0 && report.records_carried <= 120); }
        check_all(race.other, what, 0);
        if (race.way == RIVAL_APPENDS) {                     /* as often as it is told to try */
            append(race.other, 150, 2, 5, race.early);
            race.times = 3;
            desc.retry = 2;
            CHECK(dreamdb_ada_step(db, &desc, &report, &error) == DREAMDB_ERR_CONFLICT && report.replays == 2);
            check_all(race.other, what, 0);
        }
        desc.exact = 1; desc.relineage = 1;
        CHECK(step(db, &desc).generations == 1);
        check_all(db, what, 1);
        dreamdb_close(db);
        end(race.other);
        race.other = NULL;
    }
}

/* A branch that was made before the step: merged back untouched, or moved on, or with new rows. */
static void merges(void)
{
    for (int way = 0; way < 3; way++) {
        dreamdb *main_db = NULL, *side = NULL;
        dreamdb_config config;
        dreamdb_merge_desc desc;
        dreamdb_merge_report report;
        memset(&desc, 0, sizeof desc);
        memset(&report, 0, sizeof report);
        open_store();
        dim = 6;
        main_db = make_dataset(&store, RAW, 12, 12);
        append(main_db, 300, 12, 0, 0);
        append(main_db, 100, 1, 2, 0);
        config = config_of(&store);
        CHECK(dreamdb_branch(main_db, NULL, "side", &error) == DREAMDB_OK && dreamdb_open(&config, "side", &side, &error) == DREAMDB_OK);
        dreamdb_ada_step_desc some;
        memset(&some, 0, sizeof some);
        some.max_cells = 4; some.neighbours = 1; some.force = 1;
        CHECK(step(side, &some).generations == 2);
        if (way == 1) { CHECK(dreamdb_set_meta(main_db, "dreamdb.note", "x", &error) == DREAMDB_OK); }
        if (way == 2) { append(main_db, 20, 3, 1, 0); }
        desc.other = "side";
        dreamdb_status status = dreamdb_merge(main_db, &desc, &report, &error);
        CHECK(status == DREAMDB_OK);
        if (way == 2) { CHECK(report.placed == 20); }      /* main's new rows, under the index of the step */
        check_all(main_db, RAW, 0);
        CHECK(step(main_db, &some).k_before > 0);
        check_all(main_db, RAW, 0);
        dreamdb_close(main_db);
        dreamdb_close(side);
        close_store();
    }
}

/* Training gives every row a place under a new index: no table is left. */
static void training_after(void)
{
    dreamdb_train_desc desc;
    dreamdb_snapshot *view = NULL;
    dreamdb_ada_balance balance;
    dreamdb_ada_step_desc some;
    memset(&desc, 0, sizeof desc);
    memset(&some, 0, sizeof some);
    open_store();
    dim = 6;
    dreamdb *db = make_dataset(&store, RABITQ, 12, 12);
    append(db, 300, 12, 0, 0);
    append(db, 100, 1, 2, 0);
    some.max_cells = 4; some.neighbours = 1; some.force = 1;
    CHECK(step(db, &some).generations == 2);
    desc.field = "e"; desc.k = 14;
    CHECK(dreamdb_train(db, &desc, &error) == DREAMDB_OK);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
    CHECK(dreamdb_ada_status(view, NULL, &balance, &error) == DREAMDB_OK && balance.generations == 1 && balance.k == 14);
    CHECK(!view->fields[0].has_lineage && ddb_manifest_entry(&view->manifest, ddb_bytes_text("dreamdb.lineage.embedding.f32.dim=6.bucketed")) == NULL);
    dreamdb_snapshot_close(view);
    check_all(db, RABITQ, 1);
    end(db);
}

static void bad_calls(void)
{
    dreamdb_ada_step_desc desc;
    dreamdb_ada_step_report report;
    dreamdb_ada_balance balance;
    dreamdb_snapshot *view = NULL;
    memset(&desc, 0, sizeof desc);
    dreamdb *db = begin(8, LOSSY, 9, 9);
    desc.allow_lossy = 1;
    report = step(db, &desc);                  /* no rows: nothing is hot or cold */
    desc.allow_lossy = 0;
    CHECK(report.outcome == DREAMDB_ADA_NOTHING && report.k_after == 9 && report.k_cap == 1);
    append(db, 300, 2, 0, 0);
    CHECK(dreamdb_ada_step(db, &desc, &report, &error) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "allow_lossy"));
    desc.field = "no";
    CHECK(dreamdb_ada_step(db, &desc, &report, &error) == DREAMDB_ERR_NOT_FOUND);
    CHECK(dreamdb_ada_step(NULL, &desc, &report, &error) == DREAMDB_ERR_ARGUMENT);
    desc.field = NULL; desc.allow_lossy = 1; desc.dry_run = 1;
    report = step(db, &desc);
    CHECK(report.outcome == DREAMDB_ADA_NOTHING && report.splits > 0 && report.objects == 0);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
    CHECK(dreamdb_ada_status(view, NULL, &balance, &error) == DREAMDB_OK);
    CHECK(balance.splits == report.splits && balance.merges == report.merges && balance.k_cap == report.k_cap);
    CHECK(dreamdb_ada_status(NULL, NULL, &balance, &error) == DREAMDB_ERR_ARGUMENT);
    CHECK(dreamdb_set_meta(db, "dreamdb.lineage.x", "1", &error) == DREAMDB_ERR_ARGUMENT);
    dreamdb_snapshot_close(view);
    end(db);
}

int main(int argc, char **argv)
{
    if (argc > 1) { test_state += (uint64_t)atol(argv[1]) << 20; }            /* another run of the random parts */
    RUN(caps);
    RUN(table_bytes);
    RUN(equilibrium);
    RUN(bad_calls);
    RUN(merges_only);
    RUN(splits_only);
    RUN(narrow_keys);
    RUN(equal_vectors);
    RUN(steps_of_every_kind);
    RUN(cost_follows_the_change);
    RUN(nearly_full);
    RUN(cost_forgets_the_deleted);
    RUN(lies);
    RUN(stopped);
    RUN(races);
    RUN(merges);
    RUN(training_after);
    RUN(faults);
    RUN(untouched_cell);
    return test_end("ada");
}
