/* Room bound: every cpu mask gives what plain loops of exact folds give; ties, near-ties, subnormals, huge and bad values,
   failing memory. */
#include "test.h"

static const uint32_t masks[] = { 0xffffffffu, 0, DDB_CPU_SSE41 | DDB_CPU_AVX2, DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA,
    DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA | DDB_CPU_AVX512, DDB_CPU_NEON };
enum { MASKS = sizeof masks / sizeof *masks };

static float *some_floats(size_t n) { float *out = (float *)calloc(n + 1, sizeof *out); if (!out) { exit(1); } return out; }
static size_t below(size_t n) { return (size_t)(test_rand() % n); }

/* How rows and queries are made. */
enum { PLAIN_RANDOM, UNIT, CLUSTERED, DUPLICATES, ULPS, TINY, SUBNORMAL, HUGE_VALUES, OFF_CENTRE, LATTICE, SPIKES, BAD, KINDS };
static const char *const kind_names[] = { "random", "unit", "clustered", "duplicates", "ulps", "tiny", "subnormal", "huge", "off-centre", "lattice", "spikes", "bad" };

static void make_row(int kind, float *x, size_t dim, const float *centre)
{
    for (size_t i = 0; i < dim; i++) { x[i] = test_randf(); }
    for (size_t i = 0; i < dim && (kind == CLUSTERED || kind == OFF_CENTRE); i++) { x[i] = centre[i] + 0.05f * x[i]; }
    if (kind == OFF_CENTRE) { for (size_t i = 0; i < dim; i++) { x[i] += 20.0f; } }
    if (kind == UNIT || kind == CLUSTERED || kind == OFF_CENTRE) { (void)ddb_exact_unit(x, dim, x); }
    for (size_t i = 0; i < dim; i++) {
        if (kind == TINY) { x[i] *= 1e-20f; }
        if (kind == SUBNORMAL) { x[i] *= 1e-39f; }
        if (kind == HUGE_VALUES) { x[i] *= 1e18f; }
        if (kind == LATTICE) { x[i] = x[i] > 0.3f ? 1.0f : x[i] < -0.3f ? -1.0f : ddb_exact_from_bits(0x80000000u); }
        if (kind == SPIKES && below(dim) > 1) { x[i] *= 1e-3f; }
    }
    if (kind == BAD && below(3) == 0) { x[below(dim)] = ddb_exact_from_bits(below(2) ? 0x7fc00000u : 0xff800000u); }
}

static void make_rows(int kind, float *rows, size_t count, size_t dim, const float *centre)
{
    for (size_t r = 0; r < count; r++) {
        float *x = rows + r * dim;
        make_row(kind, x, dim, centre);
        if (r > 0 && (kind == DUPLICATES || kind == ULPS) && below(3) > 0) {
            memcpy(x, rows + below(r) * dim, dim * sizeof *x);
            if (kind == ULPS) { x[below(dim)] = ddb_exact_from_bits(ddb_exact_bits(x[0]) + 1); }
        }
    }
}

/* The stupid model. */
typedef struct hit { uint32_t key; uint32_t row; float score; } hit;
static int hit_order(const void *a, const void *b)
{
    const hit *x = (const hit *)a, *y = (const hit *)b;
    return x->key != y->key ? (x->key > y->key ? -1 : 1) : x->row < y->row ? -1 : 1;
}
static void model(const float *rows, size_t count, size_t dim, const float *q, hit *hits)
{
    for (size_t r = 0; r < count; r++) {
        hits[r].score = ddb_exact_fold(rows + r * dim, q, dim);
        hits[r].key = ddb_bound_key(hits[r].score);
        hits[r].row = (uint32_t)r;
    }
    qsort(hits, count, sizeof *hits, hit_order);
}

static bool score_equal(float a, float b) { return ddb_exact_bits(a) == ddb_exact_bits(b) || (a != a && b != b); }

static bool check_argmax(ddb_ctx *ctx, const ddb_bound_set *set, const float *queries, size_t nq, size_t dim, const hit *want, size_t count, int kind)
{
    uint32_t *got = (uint32_t *)calloc(nq + 1, sizeof *got);
    bool good = got && ddb_bound_argmax(ctx, set, queries, dim, nq, got) == DREAMDB_OK;
    for (size_t q = 0; good && q < nq && kind != BAD && kind != HUGE_VALUES; q++) { good = got[q] == want[q * count].row; }
    free(got);
    return good;
}

static bool check_top(ddb_ctx *ctx, const ddb_bound_set *set, const float *query, const hit *want, size_t count, size_t n)
{
    uint32_t *ids = (uint32_t *)calloc(n + 1, sizeof *ids);
    float *scores = some_floats(n);
    size_t got = 0;
    bool good = ddb_bound_top(ctx, set, query, n, ids, scores, &got) == DREAMDB_OK && got == (n < count ? n : count);
    for (size_t i = 0; good && i < got; i++) { good = ids[i] == want[i].row && score_equal(scores[i], want[i].score); }
    free(ids); free(scores);
    return good;
}

/* The rows cut into three sets, scanned out of order, some left out. */
static bool check_scan(ddb_ctx *ctx, const float *rows, size_t count, size_t dim, const float *query, const hit *want, size_t k, uint32_t flags)
{
    size_t cuts[4] = { 0, count / 5, count / 5 * 3, count }, got = 0, at = 0;
    static const int order[3] = { 1, 2, 0 };
    uint8_t *keep = (uint8_t *)calloc(count + 1, 1);
    uint64_t *ordinals = (uint64_t *)calloc(k + 1, sizeof *ordinals);
    float *scores = some_floats(k);
    ddb_bound_query *q = NULL;
    bool good = keep && ordinals && ddb_bound_query_init(ctx, query, (uint32_t)dim, k, &q) == DREAMDB_OK;
    for (size_t r = 0; keep && r < count; r++) { keep[r] = below(7) > 0; }
    for (size_t s = 0; good && s < 3; s++) {
        size_t from = cuts[order[s]], to = cuts[order[s] + 1];
        ddb_bound_set *set = NULL;
        good = ddb_bound_build(ctx, rows + from * dim, dim, to - from, (uint32_t)dim, flags, &set) == DREAMDB_OK;
        good = good && ddb_bound_query_scan(ctx, q, set, 1000 + from, keep + from) == DREAMDB_OK;
        ddb_bound_free(ctx, set);
    }
    if (good) { got = ddb_bound_query_end(q, ordinals, scores); }
    for (size_t i = 0; good && i < count && at < k; i++) {
        if (keep[want[i].row]) {
            good = at < got && ordinals[at] == 1000 + want[i].row && score_equal(scores[at], want[i].score);
            at++;
        }
    }
    good = good && at == got;
    ddb_bound_query_free(ctx, q);
    free(keep); free(ordinals); free(scores);
    return good;
}

static void one_set(int kind, size_t count, size_t dim, size_t nq)
{
    float *rows = some_floats(count * dim), *queries = some_floats(nq * dim), *centre = some_floats(dim);
    hit *want = (hit *)calloc(nq * count + 1, sizeof *want);
    ddb_exact_env env;
    ddb_exact_enter(&env);
    for (size_t i = 0; i < dim; i++) { centre[i] = test_randf(); }
    make_rows(kind, rows, count, dim, centre);
    for (size_t q = 0; q < nq; q++) {
        make_row(kind, queries + q * dim, dim, centre);
        if (below(3) == 0) { memcpy(queries + q * dim, rows + below(count) * dim, dim * sizeof *queries); }
        if (below(20) == 0) { memset(queries + q * dim, 0, dim * sizeof *queries); }
        model(rows, count, dim, queries + q * dim, want + q * count);
    }
    ddb_exact_leave(&env);
    for (size_t m = 0; m < MASKS; m++) {
        for (uint32_t flags = 0; flags <= DDB_BOUND_CODED; flags++) {
            ddb_ctx *ctx = test_ctx();
            ddb_bound_set *set = NULL;
            size_t q = below(nq), k = 1 + below(count < 40 ? count + 3 : 40);
            bool good = true;
            ctx->cpu &= masks[m];
            CHECK(ddb_bound_build(ctx, rows, dim, count, (uint32_t)dim, flags, &set) == DREAMDB_OK && set->bytes >= count * dim * 4);
            if (!set) { return; }
            good = check_argmax(ctx, set, queries, nq, dim, want, count, kind);
            good = good && check_top(ctx, set, queries + q * dim, want + q * count, count, k);
            good = good && check_scan(ctx, rows, count, dim, queries + q * dim, want + q * count, k, flags);
            if (!good) { test_ok = 0; printf("%s: %zu rows of %zu, mask %zu, flags %u, k %zu\n", kind_names[kind], count, dim, m, (unsigned)flags, k); }
            ddb_bound_free(ctx, set);
        }
    }
    free(rows); free(queries); free(want); free(centre);
}

static void sets_of_all_kinds(void)
{
    static const size_t dims[] = { 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 50, 64, 100, 257 };
    for (int kind = 0; kind < KINDS; kind++) {
        for (int i = 0; i < 12; i++) { one_set(kind, 1 + below(i < 6 ? 40 : 400), dims[below(sizeof dims / sizeof *dims)], 1 + below(9)); }
    }
    one_set(UNIT, 1000, 64, 70);
    one_set(CLUSTERED, 700, 384, 66);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* The inequality of the room's comment, row by row, also where all that the codes lose points along the query (Cauchy-Schwarz is tight). */
static void bound_holds(void)
{
    for (int round = 0; round < 400; round++) {
        int kind = round % (KINDS + 2);
        uint32_t dim = 1 + (uint32_t)below(120);
        size_t count = 1 + below(60);
        float *rows = some_floats(count * dim), *q = some_floats(dim), *centre = some_floats(dim);
        int8_t code[128];
        if (kind == BAD || kind == HUGE_VALUES) { kind = UNIT; }
        ddb_exact_env env;
        ddb_exact_enter(&env);
        for (size_t i = 0; i < dim; i++) { centre[i] = test_randf(); }
        make_rows(kind < KINDS ? kind : UNIT, rows, count, dim, centre);
        make_row(kind < KINDS ? kind : UNIT, q, dim, centre);
        for (size_t i = 0; i < dim && kind >= KINDS; i++) {
            float way = below(2) ? 1.0f : -1.0f;
            q[i] = way * (kind == KINDS ? 1.0f : 1.0f + 0.49f / 127);
            for (size_t r = 0; r < count; r++) { rows[r * dim + i] = i == 0 ? 127.0f : (float)(below(200)) - 100.0f + 0.49f * way * (r % 2 ? 1.0f : -1.0f); }
        }
        for (size_t m = 0; m < MASKS; m++) {
            ddb_ctx *ctx = test_ctx();
            ddb_bound_set *set = NULL;
            ddb_bound_code coded;
            ddb_bound_slack slack;
            ctx->cpu &= masks[m];
            CHECK(ddb_bound_build(ctx, rows, dim, count, dim, DDB_BOUND_CODED, &set) == DREAMDB_OK);
            if (!set || !set->coded) { test_ok = 0; return; }
            memset(code, 0, sizeof code);
            ddb_bound_code_query(ctx->cpu, q, dim, code, &coded);
            ddb_bound_slack_of(ctx->cpu, set, &coded, &slack);
            for (size_t r = 0; r < count; r++) {
                int32_t dots[64];
                ddb_kern_dots(ctx->cpu, set->codes + r / 16 * set->groups * 64, 1, set->groups, code, 0, 1, &coded.bias, dots);
                float x = (float)dots[r % 16] * set->scale[r], half = set->error[r] * slack.weight, fold = ddb_exact_fold(rows + r * dim, q, dim);
                double low = slack.base + slack.scale * ((double)x - half - slack.slack), high = slack.base + slack.scale * ((double)x + half + slack.slack);
                double dot = ddb_kern_dot(ctx->cpu, rows + r * dim, q, dim);
                if (!(low <= fold && fold <= high) || !(dot - slack.near <= fold && fold <= dot + slack.near)) {
                    test_ok = 0;
                    printf("%s, mask %zu, dim %u: fold %g is not in %g .. %g, or %g is too far\n", kind < KINDS ? kind_names[kind] : "aligned", m, (unsigned)dim, (double)fold, low, high, dot);
                }
            }
            ddb_bound_free(ctx, set);
        }
        ddb_exact_leave(&env);
        free(rows); free(q); free(centre);
    }
}

static void memory_fails(void)
{
    float *rows = some_floats(300 * 20);
    uint32_t ids[70];
    float scores[70];
    for (size_t i = 0; i < 300 * 20; i++) { rows[i] = test_randf(); }
    for (uint32_t flags = DDB_BOUND_PLAIN; flags <= DDB_BOUND_CODED; flags++) {
        for (long n = 1; n < 40; n++) {
            ddb_ctx *ctx = test_ctx();
            ddb_bound_set *set = NULL;
            size_t got = 0;
            test_fail_alloc_at(n);
            dreamdb_status status = ddb_bound_build(ctx, rows, 20, 300, 20, flags, &set);
            if (status == DREAMDB_OK) { status = ddb_bound_argmax(ctx, set, rows, 20, 70, ids); }
            if (status == DREAMDB_OK) { status = ddb_bound_top(ctx, set, rows, 70, ids, scores, &got); }
            test_fail_alloc_at(0);
            CHECK(status == DREAMDB_OK || (status == DREAMDB_ERR_MEMORY && test_error.status == DREAMDB_ERR_MEMORY));
            CHECK(n > 12 ? status == DREAMDB_OK : n > 3 || status < 0);
            ddb_bound_free(ctx, set);
            CHECK_EQ_U64(test_live_bytes(), 0);
        }
    }
    free(rows);
}

int main(void)
{
    RUN(bound_holds);
    RUN(sets_of_all_kinds);
    RUN(memory_fails);
    return test_end("bound");
}
