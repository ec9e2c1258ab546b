/* test_kern.c - room kern: at every cpu mask the folds are the scalar left folds bit for bit, the dots the same integers, and what is only
   near keeps the bound it promises; odd sizes, subnormals, huge values, NaN. */
#include "test.h"

static const uint32_t masks[] = { 0xffffffffu, 0, DDB_CPU_SSE41 | DDB_CPU_AVX2, DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA,
    DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA | DDB_CPU_AVX512, DDB_CPU_NEON, DDB_CPU_AVX512, DDB_CPU_FMA | DDB_CPU_SSE41 };
enum { MASKS = sizeof masks / sizeof *masks, DIM = 75, ROWS = 70 };
static float rows[ROWS * DIM], other[16 * DIM], pack[80 * DIM], pack16[16 * DIM];

static size_t below(size_t n) { return (size_t)(test_rand() % n); }

/* Numbers of a kind: 0 plain, 1 subnormal, 2 huge, 3 few values with both zeros, 4 with a NaN or infinity now and then. */
static float number(int kind)
{
    float x = test_randf();
    if (kind == 1) { return x * 1e-39f; }
    if (kind == 2) { return x * 1e19f; }
    if (kind == 3) { return x > 0.4f ? 1.0f : x < -0.4f ? -1.0f : ddb_exact_from_bits(x > 0 ? 0u : 0x80000000u); }
    if (kind == 4 && below(60) == 0) { return ddb_exact_from_bits(below(2) ? 0x7fc00000u : below(2) ? 0x7f800000u : 0xff800000u); }
    return x;
}
static void fill(float *x, size_t n, int kind) { for (size_t i = 0; i < n; i++) { x[i] = number(kind); } }
static bool is_nan(float x) { return (ddb_exact_bits(x) & 0x7fffffffu) > 0x7f800000u; }
static bool same(float a, float b) { return ddb_exact_bits(a) == ddb_exact_bits(b) || (is_nan(a) && is_nan(b)); }

static void packs(void)
{
    for (size_t count = 0; count <= 40; count++) {
        size_t dim = 1 + below(9), stride = dim + below(3);
        float out[48 * 9 + 1];
        fill(rows, count * stride, 0);
        for (size_t i = 0; i < sizeof out / sizeof *out; i++) { out[i] = 77.0f; }
        ddb_kern_pack(rows, stride, count, dim, out);
        size_t blocks = ddb_kern_blocks(count);
        for (size_t r = 0; r < blocks * 16; r++) {
            for (size_t i = 0; i < dim; i++) {
                CHECK(same(out[(r / 16 * dim + i) * 16 + r % 16], r < count ? rows[r * stride + i] : 0.0f));
            }
        }
        CHECK(out[blocks * 16 * dim] == 77.0f);
    }
    for (uint32_t bit = 0; bit < 64; bit++) { CHECK_EQ_U64(ddb_kern_low_bit(test_rand() << bit << 1 | (uint64_t)1 << bit), bit); }
    CHECK(ddb_kern_low_bit((uint64_t)1 << 63) == 63 && ddb_kern_least_of(3, 4) == 3 && ddb_kern_least_of(4, 3) == 3);
    CHECK(ddb_kern_blocks(0) == 0 && ddb_kern_blocks(16) == 1 && ddb_kern_blocks(17) == 2);
    CHECK(ddb_kern_groups(1) == 1 && ddb_kern_groups(8) == 2);
}

/* fold_block, dist_block, one, dist and rows of one random set, against ddb_exact_fold and ddb_exact_dist2. */
static void folds_at(uint32_t cpu, size_t dim, size_t count, size_t lanes, int kind)
{
    float out[256], least[80], before[80];
    const float *at[ROWS];
    size_t blocks = ddb_kern_blocks(count);
    ddb_kern_fold_block(cpu, pack, pack16, dim, lanes, out);
    for (size_t b = 0; b < lanes; b++) {
        for (size_t l = 0; l < 16 && l < count; l++) { CHECK(same(out[b * 16 + l], ddb_exact_fold(rows + l * dim, other + b * dim, dim))); }
    }
    ddb_kern_dist_block(cpu, pack, pack16, dim, lanes, out);
    for (size_t b = 0; b < lanes; b++) {
        for (size_t l = 0; l < 16 && l < count; l++) {
            CHECK(same(out[b * 16 + l], ddb_exact_dist2(rows + l * dim, other + b * dim, dim)));
        }
    }
    ddb_kern_one(cpu, pack, blocks, dim, other, out);
    for (size_t r = 0; r < count; r++) { CHECK(same(out[r], ddb_exact_fold(rows + r * dim, other, dim))); }
    for (size_t r = 0; r < blocks * 16; r++) { least[r] = before[r] = below(2) ? 3.0e38f : (float)below(50) / 3.0f; }
    ddb_kern_dist(cpu, pack, blocks, dim, other, least);
    for (size_t r = 0; r < count && kind != 4; r++) {
        float d = ddb_exact_dist2(rows + r * dim, other, dim);
        CHECK(same(least[r], d < before[r] ? d : before[r]));
    }
    for (size_t r = 0; r < count; r++) { at[r] = rows + r * dim; }
    for (int term = 0; term < 3; term++) {
        ddb_kern_rows(cpu, at, count, other, dim, (ddb_kern_term)term, out);
        for (size_t r = 0; r < count; r++) {
            float want = term == DDB_KERN_TERM_DOT ? ddb_exact_fold(at[r], other, dim) : term == DDB_KERN_TERM_FAR
                ? ddb_exact_dist2(at[r], other, dim) : ddb_exact_fold(at[r], at[r], dim);
            CHECK(same(out[r], want));
        }
    }
}

static void folds_are_exact(void)
{
    for (int round = 0; round < 160 && test_ok; round++) {
        int kind = round % 5;
        size_t dim = 1 + below(DIM), count = 1 + below(ROWS), lanes = 1 + below(16);
        ddb_exact_env env;
        ddb_exact_enter(&env);
        fill(rows, count * dim, kind);
        fill(other, 16 * dim, kind);
        ddb_kern_pack(rows, dim, count, dim, pack);
        ddb_kern_pack(other, dim, 16, dim, pack16);
        for (size_t m = 0; m < MASKS; m++) {
            folds_at(ddb_cpu_detect() & masks[m], dim, count, lanes, kind);
            if (!test_ok) { printf("mask %zu, dim %zu, %zu rows, %zu lanes, kind %d\n", m, dim, count, lanes, kind); break; }
        }
        ddb_exact_leave(&env);
    }
}

/* The promise of ddb_kern_dot: |error| <= (n + 8) * 2^-24 * |a||b|, and 2^-149 a product.  near gives the same at every row. */
static void near_keeps_its_bound(void)
{
    static float out[4 * 80];
    for (int round = 0; round < 300 && test_ok; round++) {
        size_t dim = 1 + below(DIM), count = 1 + below(ROWS), queries = 1 + below(4), blocks = ddb_kern_blocks(count);
        fill(rows, count * dim, round % 4 == 2 ? 0 : round % 4);
        fill(other, queries * dim, round % 4 == 2 ? 0 : round % 4);
        ddb_kern_pack(rows, dim, count, dim, pack);
        for (size_t m = 0; m < MASKS; m++) {
            uint32_t cpu = ddb_cpu_detect() & masks[m];
            ddb_kern_near(cpu, pack, blocks, dim, other, dim, queries, out);
            for (size_t q = 0; q < queries; q++) {
                for (size_t r = 0; r < count; r++) {
                    double dot = 0, a = 0, b = 0;
                    for (size_t i = 0; i < dim; i++) {
                        double x = (double)rows[r * dim + i], y = (double)other[q * dim + i];
                        dot += x * y; a += x * x; b += y * y;
                    }
                    double most = (double)(dim + 8) * 5.9604645e-8 * ddb_exact_sqrt64(a) * ddb_exact_sqrt64(b) + (double)dim * 1.5e-45;
                    double one = (double)ddb_kern_dot(cpu, rows + r * dim, other + q * dim, dim) - dot;
                    double all = (double)out[(q * blocks) * 16 + r] - dot;
                    CHECK(one <= most && -one <= most && all <= most && -all <= most);
                }
            }
        }
    }
}

/* The integers of dots are those of plain loops, at the largest codes too. */
static void dots_are_integers(void)
{
    for (int round = 0; round < 200 && test_ok; round++) {
        size_t dim = 1 + below(70), groups = ddb_kern_groups(dim), blocks = 1 + below(4), count = 1 + below(4);
        int8_t q[4 * 72], code[72];
        static uint8_t codes[4 * 18 * 64];
        int8_t plain[64][72];
        int32_t got[256];
        memset(plain, 0, sizeof plain);
        memset(codes, DDB_KERN_ZERO_CODE, sizeof codes);
        for (size_t r = 0; r < blocks * 16; r++) {
            memset(code, 0, sizeof code);
            for (size_t i = 0; i < dim; i++) { code[i] = (int8_t)(below(8) ? (int)below(255) - 127 : below(2) ? 127 : -127); }
            memcpy(plain[r], code, sizeof code);
            ddb_kern_code_store(code, groups, codes + r / 16 * groups * 64, r % 16);
        }
        for (size_t m = 0; m < MASKS; m++) {
            uint32_t cpu = ddb_cpu_detect() & masks[m];
            int32_t limit = ddb_kern_query_limit(cpu), bias[4] = { 0, 0, 0, 0 };
            memset(q, 0, sizeof q);
            for (size_t i = 0; i < count * groups * 4; i++) {
                int v = below(4) ? (int)below((size_t)limit * 2 + 1) - limit : below(2) ? limit : -limit;
                q[i] = (int8_t)(i % (groups * 4) < dim ? v : 0);
                bias[i / (groups * 4)] -= 128 * q[i];
            }
            ddb_kern_dots(cpu, codes, blocks, groups, q, groups * 4, count, bias, got);
            for (size_t k = 0; k < count; k++) {
                for (size_t r = 0; r < blocks * 16; r++) {
                    int32_t want = 0;
                    for (size_t i = 0; i < dim; i++) { want += plain[r][i] * q[k * groups * 4 + i]; }
                    if (got[k * blocks * 16 + r] != want) { test_ok = 0; }
                }
            }
            if (!test_ok) { printf("mask %zu, dim %zu, %zu blocks, %zu queries\n", m, dim, blocks, count); return; }
        }
    }
}

/* Codes: within the limit, the nearest to v / scale, padded with zero; their sums are told right. */
static void codes_round(void)
{
    for (int round = 0; round < 500 && test_ok; round++) {
        size_t dim = 1 + below(DIM);
        int32_t limit = below(2) ? 64 : 127;
        const float *mean = below(2) ? other : NULL;
        fill(rows, dim, round % 10 == 9 ? 3 : 0);
        fill(other, dim, 0);
        if (round % 17 == 0) { memset(rows, 0, dim * sizeof *rows); }
        for (size_t m = 0; m < MASKS; m++) {
            ddb_kern_coded coded;
            int8_t code[80];
            double squares = 0, errors = 0;
            float most = 0;
            int32_t sum = 0;
            memset(code, 99, sizeof code);
            ddb_kern_code(ddb_cpu_detect() & masks[m], rows, mean, dim, limit, code, &coded);
            for (size_t i = 0; i < dim; i++) {
                float v = mean ? rows[i] - mean[i] : rows[i], size = v < 0 ? -v : v;
                double left = (double)v - (double)code[i] * (double)coded.scale;
                most = size > most ? size : most;
                squares += (double)v * (double)v;
                errors += left * left;
                sum += code[i];
                CHECK(code[i] <= limit && code[i] >= -limit);
                CHECK((left < 0 ? -left : left) <= (double)coded.scale * 0.50001);
            }
            for (size_t i = dim; i < ddb_kern_groups(dim) * 4; i++) { CHECK(code[i] == 0); }
            CHECK(code[ddb_kern_groups(dim) * 4] == 99);
            CHECK(coded.most == most && coded.sum == sum && (most > 0 ? same(coded.scale, most / (float)limit) : coded.scale == 1.0f));
            CHECK((double)coded.squares >= squares * 0.99999 && (double)coded.squares <= squares * 1.00001);
            CHECK((double)coded.errors >= errors * 0.999 - 1e-9 && (double)coded.errors <= errors * 1.001 + 1e-9);
        }
    }
}

static void choices(void)
{
    for (int round = 0; round < 600 && test_ok; round++) {
        size_t n = 16 * (1 + below(4));
        int32_t dots[64];
        float scale[64], error[64], values[64], squares[64], best[64], first[64], weight = test_randf(), least = test_randf() * 50;
        uint32_t where[64];
        fill(values, n, round % 5 == 1 ? 3 : round % 5);
        fill(squares, n, 0);
        fill(best, n, 3);
        for (size_t i = 0; i < n; i++) { dots[i] = (int32_t)below(2001) - 1000; scale[i] = 0.1f * test_randf(); error[i] = test_randf(); }
        memcpy(first, best, sizeof best);
        for (size_t m = 0; m < MASKS; m++) {
            uint32_t cpu = ddb_cpu_detect() & masks[m];
            uint64_t pass = ddb_kern_pass(cpu, dots, scale, error, weight, least, n), under = ddb_kern_below(cpu, values, 0.25f, n);
            float gaps[64], lowest = 3.0e38f;
            memcpy(gaps, values, sizeof gaps);
            memcpy(best, first, sizeof best);
            memset(where, 0xff, sizeof where);
            float gap = ddb_kern_gap(cpu, gaps, squares, n);
            ddb_kern_most(cpu, values, n, 7, best, where);
            for (size_t i = 0; i < n; i++) {
                double upper = (double)dots[i] * (double)scale[i] + (double)error[i] * (double)weight - (double)least;
                float g = squares[i] - 2.0f * values[i];
                bool more = values[i] > first[i];
                lowest = g < lowest ? g : lowest;
                CHECK((upper < 1e-4 && upper > -1e-4) || (pass >> i & 1) == (upper > 0));
                CHECK((under >> i & 1) == (values[i] <= 0.25f));
                CHECK(same(gaps[i], g));
                CHECK(same(best[i], more ? values[i] : first[i]) && where[i] == (more ? 7u : 0xffffffffu));
            }
            CHECK(n == 64 || (pass >> n == 0 && under >> n == 0));
            CHECK(round % 5 == 4 || same(gap, lowest));
        }
    }
}

static void sums_and_units(void)
{
    for (int round = 0; round < 300 && test_ok; round++) {
        size_t dim = 1 + below(DIM), count = 1 + below(40), bad = round % 3 == 0 ? below(count) : count, got = 0;
        float sum[DIM], want[DIM], one[DIM];
        static float out[40 * DIM];
        ddb_exact_fault fault = DDB_EXACT_GOOD;
        ddb_exact_env env;
        ddb_exact_enter(&env);
        fill(rows, count * dim, 0);
        fill(sum, dim, round % 3);
        for (size_t i = 0; i < dim; i++) { want[i] = ddb_exact_add(sum[i], rows[i]); }
        ddb_kern_sum(sum, rows, dim);
        CHECK_BYTES(sum, want, dim * sizeof *sum);
        for (size_t i = 0; i < dim && bad < count; i++) { rows[bad * dim + i] = round % 9 == 0 ? 0.0f : round % 9 == 3 ? 3e19f : 1.0f; }
        if (bad < count && round % 9 == 6) { rows[bad * dim + below(dim)] = ddb_exact_from_bits(0x7fc00000u); }
        for (size_t m = 0; m < MASKS; m++) {
            got = ddb_kern_units(ddb_cpu_detect() & masks[m], rows, dim, count, dim, out, &fault);
            CHECK(got == bad);
            CHECK(fault == (bad == count ? DDB_EXACT_GOOD
                : round % 9 == 0 ? DDB_EXACT_ZERO : round % 9 == 3 ? DDB_EXACT_OVERFLOW : DDB_EXACT_NOT_FINITE));
            for (size_t r = 0; r < got; r++) {
                CHECK(ddb_exact_unit(rows + r * dim, dim, one) == DDB_EXACT_GOOD);
                CHECK_BYTES(out + r * dim, one, dim * sizeof *one);
            }
        }
        ddb_exact_leave(&env);
    }
}

int main(void)
{
    RUN(packs);
    RUN(folds_are_exact);
    RUN(near_keeps_its_bound);
    RUN(dots_are_integers);
    RUN(codes_round);
    RUN(choices);
    RUN(sums_and_units);
    return test_end("kern");
}
