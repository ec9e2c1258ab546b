/* test_lsh.c - room lsh: keys by plain folds, the order of probes by sorting every set of flips, bins by floor; at every cpu mask. */
#include "test.h"

static const uint32_t masks[] = { 0xffffffffu, 0, DDB_CPU_SSE41 | DDB_CPU_AVX2,
    DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA | DDB_CPU_AVX512 };
enum { LEAST = 0 };                              /* no caller asks for 0 probes, but nothing may break */
static float vectors[16 * 80], pack[16 * 80];

static void seed_of(uint8_t seed[32]) { for (int i = 0; i < 32; i++) { seed[i] = (uint8_t)test_rand(); } }
static float plane_at(const ddb_lsh *lsh, uint32_t j, size_t i) { return lsh->pack[(j / 16 * lsh->dim + i) * 16 + j % 16]; }

/* Planes are the words of the seed's stream, one plane after the other, made unit vectors. */
static void planes_and_keys(void)
{
    for (int round = 0; round < 120 && test_ok; round++) {
        uint32_t bits = 1 + (uint32_t)(test_rand() % 70), dim = 1 + (uint32_t)(test_rand() % 70);
        size_t count = 1 + test_rand() % 16, size = (bits + 7) / 8;
        uint8_t seed[32], keys[16 * 9], want[16 * 9];
        float plane[80];
        ddb_chacha stream;
        ddb_lsh *lsh = NULL;
        ddb_ctx *ctx = test_ctx();
        ddb_exact_env env;
        ddb_exact_enter(&env);
        seed_of(seed);
        CHECK(ddb_lsh_open(ctx, bits, dim, seed, &lsh) == DREAMDB_OK);
        ddb_exact_chacha_init(&stream, seed);
        for (size_t i = 0; i < count * dim; i++) { vectors[i] = test_rand() % 9 ? test_randf() : 0.0f; }
        if (round % 3 == 0) { memset(vectors, 0, dim * sizeof *vectors); }       /* every margin is 0: the digit is 1 */
        memset(want, 0, sizeof want);
        for (uint32_t j = 0; lsh && j < bits; j++) {
            for (size_t i = 0; i < dim; i++) { plane[i] = ddb_exact_uniform(ddb_exact_chacha_word(&stream)); }
            CHECK(ddb_exact_unit(plane, dim, plane) == DDB_EXACT_GOOD);
            for (size_t i = 0; i < dim; i++) { CHECK(ddb_exact_bits(plane[i]) == ddb_exact_bits(plane_at(lsh, j, i))); }
            for (size_t r = 0; r < count; r++) {
                if (ddb_exact_fold(plane, vectors + r * dim, dim) >= 0) { want[r * size + j / 8] |= (uint8_t)(0x80 >> j % 8); }
            }
        }
        ddb_kern_pack(vectors, dim, count, dim, pack);
        for (size_t m = 0; lsh && m < sizeof masks / sizeof *masks; m++) {
            memset(keys, 0, sizeof keys);
            ddb_lsh_keys(ddb_cpu_detect() & masks[m], lsh, pack, count, keys, size);
            CHECK_BYTES(keys, want, count * size);
        }
        ddb_lsh_close(ctx, lsh);
        ddb_exact_leave(&env);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
    ddb_lsh_close(test_ctx(), NULL);
}

/* Every set of at most two flips, sorted by cost, then none, 0, 0 1, 0 2 ... 1, 1 2 ... by plain insertion. */
typedef struct flips { float cost; uint32_t rank, first, second; } flips;
static size_t model_flips(const float *margins, uint32_t bits, flips *out)
{
    size_t n = 0;
    for (uint32_t a = 0; a <= bits; a++) {
        for (uint32_t b = a; b <= bits; b++) {               /* a = b = bits: none; b = bits: a alone */
            if (a == b && a != bits) { continue; }
            flips f;
            float ca = a < bits ? (margins[a] < 0 ? -margins[a] : margins[a]) : 0;
            float cb = b < bits ? (margins[b] < 0 ? -margins[b] : margins[b]) : 0;
            f.first = a; f.second = b;
            f.cost = a == bits ? 0 : b == bits ? ca : ca + cb;
            f.rank = a == bits ? 0 : 1 + a * (bits + 1) + (b == bits ? 0 : b + 1 - a);
            size_t at = n++;
            while (at > 0 && (out[at - 1].cost > f.cost || (!(out[at - 1].cost < f.cost) && out[at - 1].rank > f.rank))) {
                out[at] = out[at - 1];
                at--;
            }
            out[at] = f;
        }
    }
    return n;
}

static void probes_in_order(void)
{
    static flips want[600];
    for (int round = 0; round < 150 && test_ok; round++) {
        uint32_t bits = 1 + (uint32_t)(test_rand() % 24), dim = 1 + (uint32_t)(test_rand() % 20);
        uint64_t nprobe = round % 7 == 0 ? UINT64_MAX : LEAST + test_rand() % 60;
        uint8_t seed[32], own[4], *keys = NULL;
        float unit[20], margins[32];
        size_t count = 0, size = (bits + 7) / 8, most = 0;
        ddb_arena arena = { NULL, 0 };
        ddb_lsh *lsh = NULL;
        ddb_ctx *ctx = test_ctx();
        ddb_exact_env env;
        ctx->cpu &= masks[round % 4];
        ddb_exact_enter(&env);
        seed_of(seed);
        CHECK(ddb_lsh_open(ctx, bits, dim, seed, &lsh) == DREAMDB_OK);
        for (size_t i = 0; i < dim; i++) { unit[i] = test_randf(); }
        if (round % 5 == 0) { memset(unit, 0, sizeof unit); }                    /* all ties */
        for (uint32_t j = 0; lsh && j < bits; j++) {
            float plane[20];
            for (size_t i = 0; i < dim; i++) { plane[i] = plane_at(lsh, j, i); }
            margins[j] = ddb_exact_fold(plane, unit, dim);
        }
        most = model_flips(margins, bits, want);
        CHECK_EQ_U64(ddb_lsh_probe_most(lsh), most);
        CHECK(ddb_lsh_probe(ctx, lsh, unit, nprobe, &arena, &keys, &count) == DREAMDB_OK && count == (nprobe < most ? nprobe : most));
        for (size_t p = 0; p < count; p++) {
            memset(own, 0, sizeof own);
            for (uint32_t j = 0; j < bits; j++) {
                bool one = (margins[j] >= 0) != (j == want[p].first || j == want[p].second);
                own[j / 8] |= (uint8_t)(one ? 0x80 >> j % 8 : 0);
            }
            if (memcmp(own, keys + p * size, size) == 0) { continue; }
            test_ok = 0;
            printf("round %d: probe %zu of %zu, %u bits\n", round, p, count, bits);
            break;
        }
        ddb_mem_arena_free(ctx, &arena);
        ddb_lsh_close(ctx, lsh);
        ddb_exact_leave(&env);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void bins_and_their_order(void)
{
    for (int round = 0; round < 300 && test_ok; round++) {
        uint32_t dim = 1 + (uint32_t)(test_rand() % 40);
        uint8_t seed[32], a[8], b[8];
        double width = round % 4 ? 0.1 + (double)(test_rand() % 100) / 10 : 1.0, length = 0, part = 0;
        float x[40];
        int64_t bin = 0;
        ddb_lsh_l2 *lsh = NULL;
        ddb_ctx *ctx = test_ctx();
        seed_of(seed);
        CHECK(ddb_lsh_l2_open(ctx, dim, width, seed, &lsh) == DREAMDB_OK);
        if (!lsh) { return; }
        for (size_t i = 0; i < dim; i++) { length += lsh->axis[i] * lsh->axis[i]; x[i] = test_randf() * 20; }
        CHECK(length > 0.999999 && length < 1.000001 && lsh->offset >= 0 && lsh->offset < 1);
        double at = 0;
        for (size_t i = 0; i < dim; i++) { at += lsh->axis[i] * (double)x[i]; }
        CHECK(ddb_lsh_l2_bin(lsh, x, &bin, &part) && part >= 0 && part < 1);
        double off = (at + lsh->offset * width) / width - ((double)bin + part);
        CHECK(off < 1e-9 && off > -1e-9);
        for (size_t i = 0; i < dim; i++) { x[i] = 1e38f; }
        bool fits = ddb_lsh_l2_bin(lsh, x, &bin, &part);
        CHECK(!fits || dim > 1 || width > 1e18);
        int64_t one = (int64_t)test_rand(), two = round % 2 ? one + 1 : (int64_t)test_rand();
        if (one == INT64_MAX) { one--; }
        ddb_lsh_l2_key(one, a);
        ddb_lsh_l2_key(two, b);
        CHECK((memcmp(a, b, 8) < 0) == (one < two));         /* keys stand in the order of their bins */
        ddb_lsh_l2_close(ctx, lsh);
    }
    ddb_lsh_l2_close(test_ctx(), NULL);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Bins outwards by distance, the lower one on a tie; the ends of 64 bits are left out. */
static void bins_outwards(void)
{
    static const int64_t starts[] = { 0, -1, 5, INT64_MAX, INT64_MAX - 2, INT64_MIN, INT64_MIN + 3 };
    for (int round = 0; round < 400 && test_ok; round++) {
        int64_t bin = starts[round % 7];
        double part = round % 3 == 0 ? 0.5 : round % 3 == 1 ? 0 : (double)(test_rand() % 1000) / 1000;
        uint64_t nprobe = test_rand() % 40, down = 0, up = 0;
        ddb_arena arena = { NULL, 0 };
        uint8_t *keys = NULL, want[8];
        size_t count = 0;
        CHECK(ddb_lsh_l2_probe(test_ctx(), bin, part, nprobe, &arena, &keys, &count) == DREAMDB_OK && count == (nprobe > 0 ? nprobe : 1));
        for (size_t p = 0; p < count; p++) {
            double below = (double)down + part, above = (double)(up + 1) - part;         /* to the next bin on each side */
            bool has_below = (uint64_t)bin - (uint64_t)INT64_MIN >= down + 1, has_above = (uint64_t)INT64_MAX - (uint64_t)bin >= up + 1;
            int64_t next = bin;
            if (p > 0 && has_below && (below <= above || !has_above)) { next = (int64_t)((uint64_t)bin - ++down); }
            else if (p > 0) { next = (int64_t)((uint64_t)bin + ++up); }
            ddb_lsh_l2_key(next, want);
            CHECK_BYTES(keys + p * 8, want, 8);
        }
        ddb_mem_arena_free(test_ctx(), &arena);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void no_memory(void)
{
    uint8_t seed[32] = { 7 };
    float unit[5] = { 1, 0, 0, 0, 0 };
    int good = 0;
    for (long n = 1; n < 40 && !good; n++) {
        ddb_lsh *lsh = NULL;
        ddb_lsh_l2 *line = NULL;
        ddb_arena arena = { NULL, 0 };
        uint8_t *keys = NULL;
        size_t count = 0;
        ddb_ctx *ctx = test_ctx();
        test_fail_alloc_at(n);
        dreamdb_status status = ddb_lsh_open(ctx, 9, 5, seed, &lsh);
        if (status == DREAMDB_OK) { status = ddb_lsh_probe(ctx, lsh, unit, 8, &arena, &keys, &count); }
        if (status == DREAMDB_OK) { status = ddb_lsh_l2_open(ctx, 5, 1.0, seed, &line); }
        if (status == DREAMDB_OK) { status = ddb_lsh_l2_probe(ctx, 3, 0.2, 2000, &arena, &keys, &count); }
        test_fail_alloc_at(0);
        good = status == DREAMDB_OK;
        CHECK(good || (status == DREAMDB_ERR_MEMORY && test_error.status == DREAMDB_ERR_MEMORY));
        ddb_mem_arena_free(ctx, &arena);
        ddb_lsh_close(ctx, lsh);
        ddb_lsh_l2_close(ctx, line);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
    CHECK(good);
}

int main(void)
{
    RUN(planes_and_keys);
    RUN(probes_in_order);
    RUN(bins_and_their_order);
    RUN(bins_outwards);
    RUN(no_memory);
    return test_end("lsh");
}
