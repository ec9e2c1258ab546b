/* test_ivf.c - room ivf: placing and probing against plain loops over unit centroids, keys as digits, centroids that have no direction. */
#include "test.h"

static const uint32_t masks[] = { 0xffffffffu, 0, DDB_CPU_SSE41 | DDB_CPU_AVX2,
    DDB_CPU_SSE41 | DDB_CPU_AVX2 | DDB_CPU_FMA | DDB_CPU_AVX512 };
enum { K = 700, DIM = 70 };
static float centroids[K * DIM], units[K * DIM], sums[K];
static uint8_t bytes[K * DIM * 4];

/* The id that a key of `bits` digits says; false if another digit is set. */
static bool id_of(const uint8_t *key, uint32_t bits, uint32_t *id)
{
    *id = 0;
    for (uint32_t b = 0; b < (bits + 7) / 8 * 8; b++) {
        bool one = (key[b / 8] >> (7 - b % 8) & 1) != 0;
        if (one && (b >= bits || bits - 1 - b >= 32)) { return false; }
        if (one) { *id |= (uint32_t)1 << (bits - 1 - b); }
    }
    return true;
}

static void keys_are_digits(void)
{
    for (int round = 0; round < 5000; round++) {
        uint32_t bits = 1 + (uint32_t)(test_rand() % 255), id = 0;
        uint32_t want = (uint32_t)test_rand() >> (bits < 32 ? 32 - bits : 0);
        uint8_t key[32];
        memset(key, 0, sizeof key);
        ddb_ivf_key(want, bits, key);
        CHECK(id_of(key, bits, &id) && id == want);
    }
}

/* k centroids: random, some the same, some opposite, some near to each other. */
static void make(uint32_t k, uint32_t dim)
{
    for (uint32_t c = 0; c < k; c++) {
        float *x = centroids + (size_t)c * dim;
        size_t like = c > 0 ? (size_t)(test_rand() % c) * dim : 0;
        uint64_t kind = c > 0 ? test_rand() % 8 : 7;
        for (uint32_t i = 0; i < dim; i++) {
            x[i] = kind == 0 ? centroids[like + i] : kind == 1 ? -centroids[like + i] : kind == 2 ? centroids[like + i] * 3.0f : test_randf();
        }
        if (kind == 3) { memcpy(x, centroids + like, dim * sizeof *x); x[test_rand() % dim] += 1e-6f; }
        CHECK(ddb_exact_unit(x, dim, units + (size_t)c * dim) == DDB_EXACT_GOOD);
    }
    ddb_bytes_set_f32(bytes, centroids, (size_t)k * dim);
}

/* One probe with a search of its own. */
static dreamdb_status probe(ddb_ctx *ctx, const ddb_ivf *ivf, uint32_t bits, const float *unit, uint64_t nprobe, ddb_arena *arena, uint8_t **keys,
                            size_t *count)
{
    ddb_code_find *find = NULL;
    dreamdb_status status = ddb_code_find_open(ctx, ivf->turn, &find);
    if (status == DREAMDB_OK) { ddb_code_find_start(ctx, find, unit); status = ddb_ivf_probe(ctx, ivf, bits, find, nprobe, 9.0f, arena, keys, count); }
    ddb_code_find_close(ctx, find);
    return status;
}

/* Probes stand by the sum of eight lanes, the lowest id on a tie. */
static void check_probe(ddb_ctx *ctx, const ddb_ivf *ivf, const float *unit, uint64_t nprobe, uint32_t bits)
{
    ddb_arena arena = { NULL, 0 };
    uint8_t *keys = NULL;
    size_t count = 0, size = (bits + 7) / 8;
    static bool used[K];
    memset(used, 0, sizeof used);
    for (uint32_t c = 0; c < ivf->k; c++) { sums[c] = ddb_ivf_lanes(unit, units + (size_t)c * ivf->dim, ivf->dim); }
    CHECK(probe(ctx, ivf, bits, unit, nprobe, &arena, &keys, &count) == DREAMDB_OK);
    CHECK(count == (nprobe < ivf->k ? nprobe : ivf->k));
    for (size_t p = 0; p < count; p++) {
        uint32_t id = 0, best = ivf->k;
        for (uint32_t c = 0; c < ivf->k; c++) { if (!used[c] && (best == ivf->k || sums[c] > sums[best])) { best = c; } }
        used[best] = true;
        if (!id_of(keys + p * size, bits, &id) || id != best) {
            test_ok = 0;
            printf("probe %zu of %zu is %u, not %u (k %u, dim %u)\n", p, count, id, best, ivf->k, ivf->dim);
            break;
        }
    }
    ddb_mem_arena_free(ctx, &arena);
}

static void probes_against_plain_loops(void)
{
    for (int round = 0; round < 60 && test_ok; round++) {
        uint32_t dim = 1 + (uint32_t)(test_rand() % DIM), k = 1 + (uint32_t)(test_rand() % (round % 10 == 0 ? K : 60));
        uint32_t bits = round % 3 == 0 ? ddb_index_bits_of(k) : round % 3 == 1 ? 24 : 255;
        ddb_ivf *ivf = NULL;
        ddb_ctx *ctx = test_ctx();
        ddb_exact_env env;
        ctx->cpu &= masks[round % 4];
        ddb_exact_enter(&env);
        make(k, dim);
        CHECK(ddb_ivf_open(ctx, "x", bytes, k, dim, &ivf) == DREAMDB_OK);
        for (int q = 0; ivf && q < 6; q++) {
            float unit[DIM];
            for (uint32_t i = 0; i < dim; i++) { unit[i] = test_randf(); }
            if (q == 0) { memcpy(unit, units + test_rand() % k * dim, dim * sizeof *unit); }
            (void)ddb_exact_unit(unit, dim, unit);
            check_probe(ctx, ivf, unit, q == 1 ? UINT64_MAX : q == 2 ? 0 : 1 + test_rand() % 12, bits);
        }
        ddb_ivf_close(ctx, ivf);
        ddb_exact_leave(&env);
    }
    ddb_ivf_close(test_ctx(), NULL);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* A vector belongs to the centroid with the largest left fold, the lowest on a tie: through the index object, as an append does. */
static void places_by_left_fold(void)
{
    for (int round = 0; round < 30 && test_ok; round++) {
        uint32_t dim = 1 + (uint32_t)(test_rand() % 40), k = 1 + (uint32_t)(test_rand() % 90), id = 0;
        float x[20 * 40], unit[40];
        uint8_t keys[20 * 3];
        ddb_index *ix = NULL;
        ddb_buf object;
        ddb_ctx *ctx = test_ctx();
        ctx->cpu &= masks[round % 4];
        ddb_bytes_init(&object, ctx);
        make(k, dim);
        ddb_index_encode_ivf(&object, 24, dim, k, centroids, NULL, 0);
        CHECK(ddb_index_decode(ctx, ddb_bytes_of(&object), "x", &ix) == DREAMDB_OK);
        for (size_t i = 0; i < 20 * dim; i++) { x[i] = test_randf(); }
        for (size_t r = 0; r < 10; r++) { memcpy(x + r * dim, centroids + test_rand() % k * dim, dim * sizeof *x); }
        CHECK(ix && ddb_index_keys(ctx, NULL, ix, x, dim, 20, keys) == DREAMDB_OK);
        for (size_t r = 0; r < 20; r++) {
            uint32_t best = 0;
            float most = -2;
            ddb_exact_env env;
            ddb_exact_enter(&env);
            (void)ddb_exact_unit(x + r * dim, dim, unit);
            for (uint32_t c = 0; c < k; c++) {
                float fold = ddb_exact_fold(unit, units + (size_t)c * dim, dim);
                if (fold > most) { most = fold; best = c; }
            }
            ddb_exact_leave(&env);
            CHECK(id_of(keys + r * 3, 24, &id) && id == best);
        }
        ddb_index_free(ctx, ix);
        ddb_bytes_free(&object);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void bad_centroids_and_no_memory(void)
{
    ddb_ivf *ivf = NULL;
    int good = 0;
    make(9, 5);
    for (int bad = 0; bad < 4; bad++) {
        static const uint32_t bits[] = { 0, 0x7fc00000u, 0x7f800000u, 0x7f000000u };
        memcpy(bytes, centroids, 9 * 5 * 4);
        for (size_t i = 0; i < 5; i++) { ddb_bytes_set_le32(bytes + (6 * 5 + i) * 4, bits[bad]); }
        CHECK(ddb_ivf_open(test_ctx(), "spatial-index/x", bytes, 9, 5, &ivf) == DREAMDB_ERR_CORRUPT && !ivf);
        CHECK(strstr(test_error.message, "centroid 6") != NULL && test_error.status == DREAMDB_ERR_CORRUPT);
        CHECK_STR(test_error.path, "spatial-index/x");
    }
    ddb_bytes_set_f32(bytes, centroids, 9 * 5);
    for (long n = 1; n < 40 && !good; n++) {
        ddb_arena arena = { NULL, 0 };
        uint8_t *keys = NULL;
        size_t count = 0;
        ddb_ctx *ctx = test_ctx();
        test_fail_alloc_at(n);
        dreamdb_status status = ddb_ivf_open(ctx, "x", bytes, 9, 5, &ivf);
        if (status == DREAMDB_OK) { status = probe(ctx, ivf, 24, units, 4, &arena, &keys, &count); }
        test_fail_alloc_at(0);
        good = status == DREAMDB_OK;
        CHECK(good || (status == DREAMDB_ERR_MEMORY && test_error.status == DREAMDB_ERR_MEMORY));
        ddb_mem_arena_free(ctx, &arena);
        ddb_ivf_close(ctx, ivf);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
    CHECK(good);
}

/* ---- Calibration ---- */
enum { SAMPLE = 700 };
static float sample[SAMPLE * DIM], sample_units[SAMPLE * DIM];
static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The same by plain loops: the ten nearest of each trial row, the distance of their cells' centroids below the best one. */
static void model_gaps(const ddb_ivf *ivf, uint32_t dim, float gaps[DDB_IVF_GAPS])
{
    static float all[DDB_IVF_TRIALS * (DDB_IVF_NEAR + 1)], apart[DDB_IVF_TRIALS * (DDB_IVF_NEAR + 1)];
    size_t ends[DDB_IVF_TRIALS];
    static const float recalls[] = { 0.8f, 0.9f, 0.95f, 0.99f, 0.999f };
    size_t count = 0;
    for (size_t t = 0; t < DDB_IVF_TRIALS; t++) {
        size_t at = t * SAMPLE / DDB_IVF_TRIALS;
        static float scores[SAMPLE];
        float best = -9;
        for (uint32_t c = 0; c < ivf->k; c++) {
            float x = ddb_exact_fold(sample_units + at * dim, units + (size_t)c * dim, dim);
            best = x > best ? x : best;
        }
        for (size_t i = 0; i < SAMPLE; i++) { scores[i] = ddb_exact_fold(sample_units + i * dim, sample_units + at * dim, dim); }
        for (int n = 0; n <= DDB_IVF_NEAR; n++) {
            size_t top = SAMPLE;
            float place = -9, own = 0;
            for (size_t i = 0; i < SAMPLE; i++) { if (scores[i] > -8 && (top == SAMPLE || scores[i] > scores[top])) { top = i; } }
            scores[top] = -9;
            if (top == at) { continue; }
            for (uint32_t c = 0; c < ivf->k; c++) {      /* its cell, and how that cell's centroid stands to the query */
                float x = ddb_exact_fold(sample_units + top * dim, units + (size_t)c * dim, dim);
                if (x > place) { place = x; own = ddb_exact_fold(sample_units + at * dim, units + (size_t)c * dim, dim); }
            }
            apart[count] = all[count] = best - own > 0 ? best - own : 0;
            count++;
        }
        ends[t] = count;
    }
    qsort(all, count, sizeof *all, ascending);
    for (size_t g = 0; g < DDB_IVF_GAPS; g++) {
        size_t at = (size_t)(recalls[g] * (float)count);
        for (at = at < count ? at : count - 1; at + 1 < count; at++) {       /* the mean less 1.65 standard errors */
            double mean = 0, spread = 0;
            for (int pass = 0; pass < 2; pass++) {
                for (size_t t = 0, i = 0; t < DDB_IVF_TRIALS; t++) {
                    size_t from = i, held = 0;
                    for (; i < ends[t]; i++) { held += apart[i] <= all[at]; }
                    double share = (double)held / (double)(i - from);
                    if (pass == 0) { mean += share / DDB_IVF_TRIALS; } else { spread += (share - mean) * (share - mean) / DDB_IVF_TRIALS; }
                }
            }
            double over = mean - (double)recalls[g];
            if (over >= 0 && over * over * DDB_IVF_TRIALS >= 1.65 * 1.65 * spread) { break; }
        }
        gaps[g] = all[at];
    }
}

static void calibration_against_plain_loops(void)
{
    static const uint32_t dims[] = { 3, 17, 64 };
    for (size_t d = 0; d < 3; d++) {
        uint32_t dim = dims[d];
        ddb_ivf *ivf = NULL;
        ddb_ctx *ctx = test_ctx();
        float gaps[DDB_IVF_GAPS], want[DDB_IVF_GAPS];
        bool made = false;
        make(20, dim);
        ddb_bytes_set_f32(bytes, centroids, (size_t)20 * dim);
        for (size_t i = 0; i < (size_t)SAMPLE * dim; i++) { sample[i] = test_randf(); }
        for (size_t i = 0; i < SAMPLE; i++) { CHECK(ddb_exact_unit(sample + i * dim, dim, sample_units + i * dim) == DDB_EXACT_GOOD); }
        CHECK(ddb_ivf_open(ctx, "x", bytes, 20, dim, &ivf) == DREAMDB_OK);
        CHECK(ddb_ivf_calibrate(ctx, ivf, sample, dim, DDB_IVF_TRIAL_LEAST - 1, gaps, &made) == DREAMDB_OK && !made);
        CHECK(ddb_ivf_calibrate(ctx, ivf, sample, dim, SAMPLE, gaps, &made) == DREAMDB_OK && made);
        model_gaps(ivf, dim, want);
        CHECK_BYTES(gaps, want, sizeof gaps);
        CHECK(gaps[0] <= gaps[1] && gaps[1] <= gaps[2] && gaps[2] <= gaps[3] && gaps[3] <= gaps[4] && gaps[4] > 0);
        CHECK(ddb_ivf_gap_for(gaps, 0.1f) - gaps[0] == 0 && ddb_ivf_gap_for(gaps, 0.95f) - gaps[2] == 0);
        CHECK(ddb_ivf_gap_for(gaps, 0.951f) - gaps[3] == 0 && ddb_ivf_gap_for(gaps, 1) - gaps[4] == 0);
        ddb_ivf_close(ctx, ivf);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* What is written is read again; anything else is as none. */
static void calibration_text(void)
{
    ddb_buf object, text;
    ddb_index *ix = NULL;
    ddb_addr address, other;
    ddb_ctx *ctx = test_ctx();
    float gap = 0;
    make(20, 17);
    for (size_t i = 0; i < (size_t)SAMPLE * 17; i++) { sample[i] = test_randf(); }
    ddb_bytes_init(&object, ctx);
    ddb_bytes_init(&text, ctx);
    ddb_index_encode_ivf(&object, 24, 17, 20, centroids, NULL, 0);
    CHECK(ddb_index_decode(ctx, ddb_bytes_of(&object), "x", &ix) == DREAMDB_OK);
    ddb_addr_of(0, ddb_bytes_of(&object), &address);
    ddb_addr_of(0, ddb_bytes_text("other"), &other);
    CHECK(ddb_index_calibrate(ctx, ix, &address, sample, 17, SAMPLE, &text) == DREAMDB_OK && text.size == 53 + 45);
    CHECK(ddb_index_gap(ddb_bytes_of(&text), &address, 0.9f, &gap) && gap > 0 && gap < 2);
    CHECK(!ddb_index_gap(ddb_bytes_of(&text), &other, 0.9f, &gap));
    for (size_t cut = 0; cut < text.size; cut++) { CHECK(!ddb_index_gap(ddb_bytes_slice(text.data, cut), &address, 0.9f, &gap)); }
    for (size_t at = 54; at < text.size; at++) {
        uint8_t was = text.data[at];
        text.data[at] = (uint8_t)test_rand();
        if (ddb_index_gap(ddb_bytes_of(&text), &address, 0.9f, &gap)) { CHECK(gap >= 0 && gap <= 4); }
        text.data[at] = 'g';
        CHECK((at - 53) % 9 == 0 || !ddb_index_gap(ddb_bytes_of(&text), &address, 0.9f, &gap));
        text.data[at] = was;
    }
    ddb_bytes_free(&object);
    ddb_bytes_free(&text);
    ddb_index_free(ctx, ix);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

int main(void)
{
    RUN(keys_are_digits);
    RUN(probes_against_plain_loops);
    RUN(places_by_left_fold);
    RUN(bad_centroids_and_no_memory);
    RUN(calibration_against_plain_loops);
    RUN(calibration_text);
    return test_end("ivf");
}
