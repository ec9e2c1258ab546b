/* Room exact: golden folds, units, words; the caller's rounding mode and flush-to-zero; soft square roots. */
#include "test.h"
#include "golden_numeric.h"

static bool same_float(float a, float b) { return ddb_exact_bits(a) == ddb_exact_bits(b); }

static void golden_folds(void)
{
    golden g = golden_open("exact");
    ddb_slice seed = golden_next(&g), words = golden_next(&g);
    ddb_chacha c;
    ddb_exact_env env;
    ddb_exact_enter(&env);
    ddb_exact_chacha_init(&c, seed.data);
    for (size_t i = 0; i < 100; i++) { CHECK_EQ_U64(ddb_exact_chacha_word(&c), ddb_bytes_le32(words.data + 4 * i)); }
    free(golden_floats(&g, NULL));               /* planes: test_index */
    (void)golden_next(&g);
    size_t cases = (size_t)golden_u64(golden_next(&g), 0);
    for (size_t i = 0; i < cases; i++) {
        size_t n = 0;
        float *a = golden_floats(&g, &n), *b = golden_floats(&g, NULL), *want = golden_floats(&g, NULL), *unit = golden_floats(&g, NULL), out[128];
        float fold = ddb_exact_fold(a, b, n), dist = ddb_exact_dist2(a, b, n), norm = ddb_exact_sqrt(ddb_exact_fold(a, a, n));
        const float *rows[1] = { a };
        float pack[128 * 16], got[64];
        CHECK(same_float(fold, want[0]));
        CHECK(same_float(dist, want[1]));
        CHECK(same_float(norm, want[2]));
        ddb_exact_fault fault = ddb_exact_unit(a, n, out);
        if (fault == DDB_EXACT_GOOD) { CHECK_BYTES(out, unit, n * 4); }
        CHECK(fault == (!ddb_exact_finite(norm) ? DDB_EXACT_OVERFLOW : ddb_exact_zero(norm) ? DDB_EXACT_ZERO : DDB_EXACT_GOOD));
        ddb_kern_rows(test_ctx()->cpu, rows, 1, b, n, DDB_KERN_TERM_DOT, got);
        CHECK(same_float(got[0], want[0]));
        ddb_kern_rows(test_ctx()->cpu, rows, 1, b, n, DDB_KERN_TERM_FAR, got);
        CHECK(same_float(got[0], want[1]));
        ddb_kern_pack(a, 0, 1, n, pack);
        ddb_kern_one(test_ctx()->cpu, pack, 1, n, b, got);
        CHECK(same_float(got[0], want[0]));
        if (!test_ok) { printf("case %zu\n", i); break; }
        free(a); free(b); free(want); free(unit);
    }
    ddb_exact_leave(&env);
    free(g.data);
}

#if defined(DDB_EXACT_X86)
static uint32_t control(void) { uint32_t v = 0; __asm__ volatile("stmxcsr %0" : "=m"(v)); return v & 0xffc0u; }
static void set_control(uint32_t v) { __asm__ volatile("ldmxcsr %0" : : "m"(v) : "memory"); }
static const uint32_t controls[] = { 0x1f80, 0x9fc0, 0x3f80, 0x5f80, 0x7f80, 0xffc0 };     /* usual; FTZ+DAZ; down; up; towards zero; all of it */
#elif defined(__aarch64__)
static uint64_t control(void) { uint64_t v = 0; __asm__ volatile("mrs %0, fpcr" : "=r"(v)); return v; }
static void set_control(uint64_t v) { __asm__ volatile("msr fpcr, %0" : : "r"(v) : "memory"); }
static const uint64_t controls[] = { 0, 1u << 24, 1u << 22, 2u << 22, 3u << 22, 7u << 22 };
#endif

static void any_environment(void)
{
#if defined(DDB_EXACT_X86) || defined(__aarch64__)
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
        set_control(controls[i]);
        golden_folds();
        CHECK(control() == (controls[i] & (sizeof controls[0] == 4 ? 0xffc0u : 0xffffffffu)));
        set_control(controls[0]);
    }
#endif
}

static void soft_roots(void)
{
    for (int i = 0; i < 200000; i++) {
        uint32_t bits = (uint32_t)test_rand() & 0x7fffffffu;
        uint64_t wide = test_rand() & INT64_MAX;
        double d = 0;
        if (i % 4 == 0) { bits &= 0x7fffffu; wide &= 0xfffffffffffffu; }
        if (i % 4 == 1) { bits &= 0xff800000u; wide &= (uint64_t)0x7ff << 52; }
        if (bits >= 0x7f800000u || wide >> 52 == 0x7ff) { continue; }
        float f = ddb_exact_from_bits(bits);
        memcpy(&d, &wide, 8);
        CHECK(same_float(ddb_exact_sqrt_soft(f), ddb_exact_sqrt(f)));
        CHECK(ddb_exact_bits64(ddb_exact_sqrt64_soft(d)) == ddb_exact_bits64(ddb_exact_sqrt64(d)));
        if (!test_ok) { printf("root of %08x or %016llx\n", (unsigned)bits, (unsigned long long)wide); return; }
    }
}

static void faults(void)
{
    float x[5] = { 1, 2, 3, 4, 5 }, out[5] = { 9, 9, 9, 9, 9 };
    CHECK(ddb_exact_unit(x, 5, out) == DDB_EXACT_GOOD);
    x[2] = ddb_exact_from_bits(0x7fc00000u);
    out[0] = 9;
    CHECK(ddb_exact_unit(x, 5, out) == DDB_EXACT_NOT_FINITE && out[0] == 9);
    CHECK_STR(ddb_exact_fault_text(DDB_EXACT_NOT_FINITE, true), "input vector contains NaN or infinity");
    x[2] = ddb_exact_from_bits(0xff800000u);
    CHECK(ddb_exact_unit(x, 5, out) == DDB_EXACT_NOT_FINITE);
    x[2] = 1e20f;
    CHECK(ddb_exact_unit(x, 5, out) == DDB_EXACT_OVERFLOW);
    CHECK_STR(ddb_exact_fault_text(DDB_EXACT_OVERFLOW, true), "intermediate f32 computation produced NaN/inf (overflow on huge magnitudes)");
    CHECK_STR(ddb_exact_fault_text(DDB_EXACT_OVERFLOW, false), "intermediate f32 computation produced NaN/inf");
    for (int i = 0; i < 5; i++) { x[i] = 1e-24f; }
    CHECK(ddb_exact_unit(x, 5, out) == DDB_EXACT_ZERO);
    CHECK_STR(ddb_exact_fault_text(DDB_EXACT_ZERO, false), "vector norm is zero (cannot normalize)");
    memset(x, 0, sizeof x);
    x[0] = ddb_exact_from_bits(0x80000000u);
    CHECK(ddb_exact_unit(x, 5, out) == DDB_EXACT_ZERO);
}

int main(void)
{
    RUN(golden_folds);
    RUN(any_environment);
    RUN(soft_roots);
    RUN(faults);
    return test_end("exact");
}
