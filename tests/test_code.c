/* Room code and its kernels: every cpu mask gives the same bits, the proven bound holds row by row, a proven search is the plain fold, a search by
   margins gives one answer at every mask; filters, ties, near-ties, tiny dimensions, failing memory. */
#include "test.h"

static const uint32_t masks[] = { 0xffffffffu, 0, DDB_CPU_SSE41 | DDB_CPU_AVX2, DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA,
    DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA | DDB_CPU_AVX512, DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA | DDB_CPU_AVX512 | DDB_CPU_VNNI, DDB_CPU_NEON };
enum { MASKS = sizeof masks / sizeof *masks };

static float *some_floats(size_t n) { float *out = (float *)calloc(n + 64, sizeof *out); if (!out) { exit(1); } return out; }
static size_t below(size_t n) { return (size_t)(test_rand() % n); }
static void fill(float *x, size_t n) { for (size_t i = 0; i < n; i++) { x[i] = test_randf(); } }

static void kernels_agree(void)
{
    for (int round = 0; round < 300; round++) {
        size_t dim = round == 299 ? 9000 : 1 + below(round < 200 ? 90 : 900), n = (dim + 15) & ~(size_t)15, p = 1, words = (n + 63) / 64, blocks = 1 + below(4), lines = (dim + 127) / 128;
        float *x = some_floats(n), *y = some_floats(n), *f = some_floats(n), *a = some_floats(n), *b = some_floats(n), scale[64], xa[64], xb[64], xs[64];
        uint32_t factors[64];
        uint8_t *ca = (uint8_t *)calloc(n, 1), *cb = (uint8_t *)calloc(n, 1), *codes = (uint8_t *)calloc(64 * lines, 128);
        int8_t *q = (int8_t *)calloc(lines + 1, 128), *qb = (int8_t *)calloc(lines + 1, 128);
        uint8_t *bits = (uint8_t *)calloc(n * 8 + 48, 1), *tables = (uint8_t *)calloc(n, 4);
        ddb_kern_nib_sums sa, sb;
        if (!ca || !cb || !codes || !q || !qb || !bits || !tables) { exit(1); }
        while (p * 2 <= dim) { p *= 2; }
        fill(x, dim); fill(y, dim); fill(f, n);
        for (size_t i = 0; i < 64; i++) { factors[i] = (ddb_exact_bits(test_randf()) & 0xffff0000u) | ddb_exact_bits(test_randf()) >> 16; scale[i] = ddb_kern_scale(factors[i]); }
        if (below(4) == 0) { for (size_t i = 0; i < dim; i++) { x[i] = (float)((int)below(33) - 16) * 0.5f; } }
        for (size_t i = 0; i < 64 * lines * 128; i++) { codes[i] = (uint8_t)test_rand(); }
        for (size_t i = 0; i < n * 8 + 48; i++) { bits[i] = (uint8_t)test_rand(); }
        float inverse = 0.5f + 10.0f * (float)below(100) / 100, product = ddb_kern_product_any(x, y, n), sum, signs;
        memcpy(a, x, n * 4);
        ddb_kern_mix_any(a, f, p);
        ddb_kern_nib_any(x, n, inverse, 8.5f, 16.0f, ca, &sa);
        sum = ddb_kern_byte_any(x, n, 15.0f, q);
        ddb_kern_tables(ca, n, tables);
        ddb_kern_tile_in in = { codes, q, factors, blocks, (dim + 7) / 8, -15 * (int32_t)sum, 0.7f, 0.3f * test_randf(), codes };
        ddb_kern_bits_in signed_in = { bits, tables, factors, blocks, n / 8, 7, 0.7f, 3.0f * test_randf(), bits };
        uint64_t tile = ddb_kern_tile_any(&in, xa), passed = ddb_kern_bits_any(&signed_in, xs), ones[160];
        for (size_t r = 0; r < blocks * 16; r++) {             /* the sum that the tables stand for */
            int32_t total = 0;
            for (size_t i = 0; i < n; i++) { total += (bits[i / 8 * blocks * 16 + r] >> i % 8 & 1) * (ca[i] - 8); }
            CHECK(xs[r] - ddb_exact_mul((float)(2 * total + 7), scale[r]) == 0);
        }
        memset(ones, 0, sizeof ones);
        signs = ddb_kern_signs_any(x, n, ones);
        for (size_t m = 0; m < MASKS; m++) {
            uint32_t cpu = ddb_cpu_detect() & masks[m];
            uint64_t words_now[160], want = test_rand() ^ test_rand() << 32;
            float picked[64];
            memset(words_now, 0, sizeof words_now);
            memcpy(b, x, n * 4);
            ddb_kern_mix(cpu, b, f, p);
            CHECK_BYTES(a, b, n * 4);
            float again = ddb_kern_product(cpu, x, y, n);
            CHECK_BYTES(&again, &product, 4);
            ddb_kern_nib(cpu, x, n, inverse, 8.5f, 16.0f, cb, &sb);
            CHECK_BYTES(ca, cb, n);
            CHECK_BYTES(&sa, &sb, sizeof sa);
            CHECK(ddb_kern_byte(cpu, x, n, 15.0f, qb) - sum == 0);
            CHECK_BYTES(q, qb, n);
            again = ddb_kern_signs(cpu, x, n, words_now);
            CHECK_BYTES(&again, &signs, 4);
            CHECK_BYTES(words_now, ones, words * 8);
            CHECK(ddb_kern_tile(cpu, &in, xb) == tile);
            CHECK_BYTES(xa, xb, blocks * 64);
            CHECK(ddb_kern_bits(cpu, &signed_in, xb) == passed);
            CHECK_BYTES(xs, xb, blocks * 64);
            ddb_kern_tile_in rows = in;
            rows.pairs = lines;
            uint64_t got = ddb_kern_pick(cpu, &rows, want, picked);
            CHECK((got & ~want) == 0);
            for (uint32_t r = 0; r < 64; r++) {
                float x_r = ddb_kern_tile_x(ddb_kern_line_any(codes + r * lines * 64, q, lines), 0, in.bias, scale[r]);
                CHECK((want >> r & 1) == 0 || (picked[r] - x_r == 0 && (got >> r & 1) == (uint64_t)(x_r + ddb_exact_mul(ddb_kern_error(factors[r]), 0.7f) >= in.least)));
            }
        }
        free(x); free(y); free(f); free(a); free(b); free(ca); free(cb); free(codes); free(q); free(qb); free(bits); free(tables);
    }
}

/* The turn keeps lengths and angles, and undoes nothing to zero. */
static void turn_keeps_dots(void)
{
    for (uint32_t dim = 1; dim < 300; dim += dim < 40 ? 1 : 37) {
        ddb_ctx *ctx = test_ctx();
        ddb_code_turn *turn = NULL;
        float *x = some_floats(dim), *y = some_floats(dim);
        double before = 0, after = 0, size = 0;
        CHECK(ddb_code_turn_open(ctx, dim, &turn) == DREAMDB_OK);
        fill(x, dim); fill(y, dim);
        for (size_t i = 0; i < dim; i++) { before += (double)x[i] * (double)y[i]; size += (double)x[i] * (double)x[i] + (double)y[i] * (double)y[i]; }
        ddb_code_turn_apply(ctx->cpu, turn, x);
        ddb_code_turn_apply(0, turn, y);
        for (size_t i = 0; i < dim; i++) { after += (double)x[i] * (double)y[i]; }
        CHECK(before - after < 4e-6 * size && after - before < 4e-6 * size);
        ddb_code_turn_close(ctx, turn);
        free(x); free(y);
    }
}

/* How rows are made. */
enum { PLAIN_RANDOM, UNIT, CLUSTERED, DUPLICATES, ULPS, TINY, SUBNORMAL, LATTICE, SPIKES, ZERO, KINDS };
static const char *const kind_names[] = { "random", "unit", "clustered", "duplicates", "ulps", "tiny", "subnormal", "lattice", "spikes", "zero" };

static void make_row(int kind, float *x, size_t dim, const float *centre)
{
    fill(x, dim);
    for (size_t i = 0; i < dim; i++) {
        if (kind == CLUSTERED) { x[i] = centre[i] + 0.05f * x[i]; }
        if (kind == TINY) { x[i] *= 1e-20f; }
        if (kind == SUBNORMAL) { x[i] *= 1e-39f; }
        if (kind == LATTICE) { x[i] = x[i] > 0.3f ? 1.0f : x[i] < -0.3f ? -1.0f : ddb_exact_from_bits(0x80000000u); }
        if (kind == SPIKES && below(dim) > 1) { x[i] *= 1e-3f; }
        if (kind == ZERO && below(3) > 0) { x[i] = 0; }
    }
    if (kind != TINY && kind != SUBNORMAL && kind != LATTICE && kind != ZERO) { (void)ddb_exact_unit(x, dim, x); }
}

static ddb_code_set *make_set(ddb_ctx *ctx, const ddb_code_turn *turn, const float *rows, size_t count, uint32_t dim, bool signs)
{
    ddb_code_set *set = ddb_code_alloc(ctx, NULL, count, dim, signs);
    if (!set) { return NULL; }
    memcpy(set->rows, rows, count * dim * sizeof *rows);
    if (ddb_code_finish(ctx, turn, set) != DREAMDB_OK) { ddb_code_free(ctx, set); return NULL; }
    return set;
}

typedef struct hit { uint32_t key, row; float score; } hit;
static int hit_order(const void *a, const void *b)
{
    const hit *x = (const hit *)a, *y = (const hit *)b;
    return x->key != y->key ? (x->key > y->key ? -1 : 1) : x->row < y->row ? -1 : 1;
}

/* Three sets out of order, some rows left out. */
static size_t find_all(ddb_ctx *ctx, const ddb_code_turn *turn, const float *rows, size_t count, uint32_t dim, const float *query, size_t k, float margin,
                       const ddb_code_keep *keep, uint64_t *ordinals, float *scores)
{
    size_t cuts[4] = { 0, count / 5, count / 5 * 3, count }, got = 0;
    static const int order[3] = { 1, 2, 0 };
    ddb_code_find *find = NULL;
    ddb_code_set *sets[3] = { NULL, NULL, NULL };
    CHECK(ddb_code_find_open(ctx, turn, &find) == DREAMDB_OK);
    ddb_code_find_start(ctx, find, query);
    ddb_code_find_again(find, k, margin);
    for (int s = 0; s < 3; s++) {
        size_t from = cuts[order[s]], to = cuts[order[s] + 1];
        ddb_code_keep mine = *keep;
        mine.anchors = keep->anchors ? keep->anchors + from : NULL;
        sets[s] = make_set(ctx, turn, rows + from * dim, to - from, dim, s != 1);
        CHECK(sets[s] && ddb_code_scan(ctx, find, sets[s], 1000 + from, keep->count > 0 ? &mine : NULL) == DREAMDB_OK);
        if (s == 1) { CHECK(ddb_code_settle(ctx, find) == DREAMDB_OK); }
    }
    CHECK(ddb_code_settle(ctx, find) == DREAMDB_OK);
    got = find->heap.hit_count;
    (void)ddb_bound_query_end(&find->heap, ordinals, scores);
    for (int s = 0; s < 3; s++) { ddb_code_free(ctx, sets[s]); }
    ddb_code_find_close(ctx, find);
    return got;
}

static void one_case(int kind, size_t count, uint32_t dim)
{
    float *rows = some_floats(count * dim), *query = some_floats(dim), *centre = some_floats(dim), scores[64], first_scores[64];
    hit *want = (hit *)calloc(count + 1, sizeof *want);
    uint64_t *anchors = (uint64_t *)calloc(count + 1, 8), *sorted = (uint64_t *)calloc(count + 1, 8), *bits = (uint64_t *)calloc(count * 3 / 64 + 2, 8);
    uint64_t ordinals[64], first[64];
    size_t kept = 0, total = 0, k = 1 + below(40), first_got = 0;
    ddb_exact_env env;
    ddb_code_turn *turn = NULL;
    ddb_code_keep keep;
    if (!want || !anchors || !sorted || !bits) { exit(1); }
    ddb_exact_enter(&env);
    fill(centre, dim);
    for (size_t r = 0; r < count; r++) {
        make_row(kind, rows + r * dim, dim, centre);
        if (r > 0 && (kind == DUPLICATES || kind == ULPS) && below(3) > 0) {
            memcpy(rows + r * dim, rows + below(r) * dim, dim * sizeof *rows);
            if (kind == ULPS) { rows[r * dim + below(dim)] *= 1.0000001f; }
        }
        anchors[r] = r * 3;
    }
    make_row(kind, query, dim, centre);
    if (below(3) == 0) { memcpy(query, rows + below(count) * dim, dim * sizeof *query); }
    if (below(20) == 0) { memset(query, 0, dim * sizeof *query); }
    int filter = (int)below(3);
    for (size_t r = 0; r < count; r++) {
        if (filter == 0 || below(4) > 0) {
            sorted[kept++] = anchors[r];
            bits[anchors[r] / 64] |= (uint64_t)1 << anchors[r] % 64;
            want[total].row = (uint32_t)r;
            want[total].score = ddb_exact_fold(rows + r * dim, query, dim);
            want[total].key = ddb_bound_key(want[total].score);
            total++;
        }
    }
    ddb_exact_leave(&env);
    qsort(want, total, sizeof *want, hit_order);
    memset(&keep, 0, sizeof keep);
    keep.anchors = anchors; keep.sorted = sorted; keep.count = filter == 0 ? 0 : kept;
    if (filter == 2) { keep.bits = bits; keep.range = count * 3; }
    CHECK(ddb_code_turn_open(test_ctx(), dim, &turn) == DREAMDB_OK);
    for (size_t m = 0; m < MASKS; m++) {
        ddb_ctx *ctx = test_ctx();
        ctx->cpu &= masks[m];
        size_t got = kept == 0 && filter ? 0 : find_all(ctx, turn, rows, count, dim, query, k, 0, &keep, ordinals, scores);
        bool good = got == (k < total ? k : total);
        for (size_t i = 0; i < got && good; i++) { good = ordinals[i] == 1000 + want[i].row && ddb_exact_bits(scores[i]) == ddb_exact_bits(want[i].score); }
        if (!good) { test_ok = 0; printf("%s: %zu rows of %u, mask %zu, k %zu: not the plain fold's\n", kind_names[kind], count, (unsigned)dim, m, k); }
        got = kept == 0 && filter ? 0 : find_all(ctx, turn, rows, count, dim, query, k, below(2) ? 1.0f : 1.0f, &keep, ordinals, scores);
        if (m == 0) { first_got = got; memcpy(first, ordinals, sizeof first); memcpy(first_scores, scores, sizeof first_scores); }
        CHECK_EQ_U64(got, first_got);
        CHECK_BYTES(ordinals, first, got * 8);
        CHECK_BYTES(scores, first_scores, got * 4);
    }
    ddb_code_turn_close(test_ctx(), turn);
    free(rows); free(query); free(centre); free(want); free(anchors); free(sorted); free(bits);
}

static void searches_are_the_fold(void)
{
    for (uint32_t dim = 1; dim <= 70; dim++) { one_case((int)below(KINDS), 1 + below(200), dim); }
    for (int kind = 0; kind < KINDS; kind++) {
        one_case(kind, 1 + below(20), 1 + (uint32_t)below(40));
        one_case(kind, 300 + below(300), 30 + (uint32_t)below(90));
        one_case(kind, 300 + below(300), 128 + (uint32_t)below(400));
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* The inequality of the room's comment, row by row. */
static void bound_holds(void)
{
    for (int round = 0; round < 200; round++) {
        uint32_t dim = 1 + (uint32_t)below(200);
        size_t count = 1 + below(100);
        ddb_ctx *ctx = test_ctx();
        float *rows = some_floats(count * dim), *query = some_floats(dim), *centre = some_floats(dim), x[64];
        ddb_code_turn *turn = NULL;
        ddb_code_find *find = NULL;
        fill(centre, dim);
        for (size_t r = 0; r < count; r++) { make_row(round % KINDS, rows + r * dim, dim, centre); }
        make_row(round % KINDS, query, dim, centre);
        CHECK(ddb_code_turn_open(ctx, dim, &turn) == DREAMDB_OK && ddb_code_find_open(ctx, turn, &find) == DREAMDB_OK);
        ddb_code_set *set = make_set(ctx, turn, rows, count, dim, true);
        if (!set || !find) { test_ok = 0; return; }
        ddb_code_find_start(ctx, find, query);
        ddb_code_find_again(find, 10, 0);
        ddb_code_pass pass;
        memset(&pass, 0, sizeof pass);
        pass.set = set;
        ddb_code_pass_start(ctx->cpu, find, &pass);
        for (size_t block = 0; block < set->blocks; block += 4) {
            uint64_t mask = ddb_code_pass_at(&pass, block) & ddb_code_pass_look(ctx->cpu, &pass, x);
            mask = set->bits ? ddb_kern_pick(ctx->cpu, &pass.tile, mask, x) : mask;
            for (size_t r = block * 16; r < count && r < block * 16 + 64; r++) {
                double fold = (double)ddb_exact_fold(rows + r * dim, query, dim), half = ((double)ddb_kern_error(pass.tile.factors[r % 64]) * (double)pass.slack.weight + pass.slack.slack) * pass.slack.scale;
                double middle = pass.slack.base + pass.slack.scale * (double)x[r % 64];
                CHECK((mask >> r % 64 & 1) != 0 && middle - half <= fold && fold <= middle + half);
            }
        }
        ddb_code_free(ctx, set);
        ddb_code_find_close(ctx, find);
        ddb_code_turn_close(ctx, turn);
        free(rows); free(query); free(centre);
    }
}

/* Margins: how often a wide one errs on rows it is made for. */
static void margin_rarely_errs(void)
{
    enum { COUNT = 2000, DIM = 160, QUERIES = 40 };
    float *rows = some_floats((size_t)COUNT * DIM), *centre = some_floats(DIM), query[DIM];
    uint64_t sure[10], fast[10];
    float scores[10];
    int differ = 0;
    ddb_code_turn *turn = NULL;
    ddb_code_keep keep;
    memset(&keep, 0, sizeof keep);
    CHECK(ddb_code_turn_open(test_ctx(), DIM, &turn) == DREAMDB_OK);
    for (size_t r = 0; r < COUNT; r++) { make_row(UNIT, rows + r * DIM, DIM, centre); }
    for (int q = 0; q < QUERIES; q++) {
        make_row(UNIT, query, DIM, centre);
        CHECK_EQ_U64(find_all(test_ctx(), turn, rows, COUNT, DIM, query, 10, 0, &keep, sure, scores), 10);
        CHECK_EQ_U64(find_all(test_ctx(), turn, rows, COUNT, DIM, query, 10, 3.0f, &keep, fast, scores), 10);
        differ += memcmp(sure, fast, sizeof sure) != 0;
    }
    CHECK(differ <= 1);
    ddb_code_turn_close(test_ctx(), turn);
    free(rows); free(centre);
}

static void memory_fails(void)
{
    float *rows = some_floats(3000 * 20);
    fill(rows, 3000 * 20);
    for (long n = 1; n < 30; n++) {
        ddb_ctx *ctx = test_ctx();
        ddb_code_turn *turn = NULL;
        ddb_code_find *find = NULL;
        ddb_code_set *set = NULL;
        test_fail_alloc_at(n);
        dreamdb_status status = ddb_code_turn_open(ctx, 20, &turn);
        if (status == DREAMDB_OK) { status = ddb_code_find_open(ctx, turn, &find); }
        if (status == DREAMDB_OK) { set = make_set(ctx, turn, rows, 3000, 20, true); status = set ? DREAMDB_OK : DREAMDB_ERR_MEMORY; }
        if (status == DREAMDB_OK) {
            ddb_code_find_start(ctx, find, rows + 40);
            ddb_code_find_again(find, 2000, 0);
            status = ddb_code_scan(ctx, find, set, 0, NULL);
        }
        if (status == DREAMDB_OK) { status = ddb_code_settle(ctx, find); }
        test_fail_alloc_at(0);
        CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_MEMORY);
        CHECK(n > 15 ? status == DREAMDB_OK : n > 3 || status < 0);
        ddb_code_free(ctx, set);
        ddb_code_find_close(ctx, find);
        ddb_code_turn_close(ctx, turn);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
    free(rows);
}

int main(void)
{
    RUN(kernels_agree);
    RUN(turn_keeps_dots);
    RUN(bound_holds);
    RUN(searches_are_the_fold);
    RUN(margin_rarely_errs);
    RUN(memory_fails);
    return test_end("code");
}
