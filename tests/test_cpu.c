/* test_cpu.c - room cpu: what is detected is what the processor says, and any set can be switched off without another answer. */
#include "test.h"

static bool has_word(const char *text, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) {
        if ((at == text || at[-1] == ' ' || at[-1] == '\t') && (at[size] == ' ' || at[size] == '\n' || at[size] == 0)) { return true; }
    }
    return false;
}

static void detects_what_there_is(void)
{
    uint32_t cpu = ddb_cpu_detect();
    CHECK_EQ_U64(ddb_cpu_detect(), cpu);
    CHECK(!(cpu & DDB_CPU_VNNI) || (cpu & DDB_CPU_AVX512));
    CHECK((cpu & 1u) == 0);                                  /* bit 0 of simd_off means all: never a set */
#if !defined(DDB_PORT_X86) && !defined(DDB_PORT_NEON)
    CHECK_EQ_U64(cpu, 0);
#endif
#if defined(DDB_PORT_NEON)
    CHECK((cpu & DDB_CPU_NEON) != 0 && (cpu & DDB_CPU_AVX2) == 0);
#endif
#if defined(DDB_PORT_X86) && defined(__linux__)
    static char line[20000];
    FILE *f = fopen("/proc/cpuinfo", "r");
    CHECK((cpu & DDB_CPU_NEON) == 0);
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "flags", 5) != 0) { continue; }
        bool wide = has_word(line, "avx512f") && has_word(line, "avx512bw") && has_word(line, "avx512vl") && has_word(line, "avx512dq");
        CHECK(has_word(line, "sse4_1") == ((cpu & DDB_CPU_SSE41) != 0));
        CHECK((has_word(line, "avx2") && has_word(line, "bmi2")) == ((cpu & DDB_CPU_AVX2) != 0));
        CHECK(has_word(line, "fma") == ((cpu & DDB_CPU_FMA) != 0));
        CHECK(wide == ((cpu & DDB_CPU_AVX512) != 0));
        CHECK((wide && has_word(line, "avx512_vnni")) == ((cpu & DDB_CPU_VNNI) != 0));
        break;
    }
    if (f) { (void)fclose(f); }
#endif
}

static void features_in_words(void)
{
    uint32_t cpu = ddb_cpu_detect();
    char text[100], small[8];
    CHECK(dreamdb_features(text, sizeof text) == text);
    CHECK(has_word(text, "avx512") == ((cpu & DDB_CPU_AVX512) != 0) && has_word(text, "avx2") == ((cpu & DDB_CPU_AVX2) != 0));
    CHECK(has_word(text, "sse41") == ((cpu & DDB_CPU_SSE41) != 0) && has_word(text, "neon") == ((cpu & DDB_CPU_NEON) != 0));
    CHECK(has_word(text, "memory"));
    for (size_t size = 0; size < sizeof small; size++) {     /* cut, never past the end */
        memset(small, 'x', sizeof small);
        (void)dreamdb_features(small, size);
        CHECK(small[size] == 'x' && (size == 0 || strlen(small) == size - 1));
        CHECK(size == 0 || memcmp(small, text, size - 1) == 0);
    }
}

enum { ROWS = 300, DIM = 37 };
static float vectors[ROWS * DIM];

/* A dataset made and searched under simd_off: the anchors and scores, and the address of the Track. */
static void answers_of(uint32_t off, uint64_t anchors[20], float scores[20], uint8_t track[33])
{
    static const uint8_t nonce[16] = { 1, 2, 3 };
    dreamdb_store store;
    dreamdb_config config;
    dreamdb_field field;
    dreamdb_create_desc create;
    dreamdb_column column;
    dreamdb_append_desc append;
    dreamdb_append_report report;
    dreamdb_query query;
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    dreamdb_result *found = NULL;
    uint64_t ids[ROWS];
    for (uint64_t i = 0; i < ROWS; i++) { ids[i] = i; }
    memset(&config, 0, sizeof config); memset(&field, 0, sizeof field); memset(&create, 0, sizeof create); memset(&query, 0, sizeof query);
    memset(&column, 0, sizeof column); memset(&append, 0, sizeof append);
    CHECK(dreamdb_store_memory(NULL, &store, NULL) == DREAMDB_OK);
    config.store = &store; config.threads = 1; config.simd_off = off; config.allocator = test_allocator();
    field.name = "e"; field.kind = DREAMDB_EMBEDDING; field.dim = DIM; field.train = vectors; field.train_count = ROWS; field.k = 9;
    create.fields = &field; create.field_count = 1; create.nonce = nonce;
    CHECK(dreamdb_create(&config, "main", &create, &db, NULL) == DREAMDB_OK);
    CHECK(db && db->cpu == (off & 1 ? 0 : ddb_cpu_detect() & ~off) && db->env->cpu == db->cpu);
    column.field = "e"; column.data = vectors;
    append.columns = &column; append.column_count = 1; append.count = ROWS; append.anchors = ids;
    CHECK(dreamdb_append(db, &append, &report, NULL) == DREAMDB_OK);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    ddb_view_field *e = NULL;
    CHECK(ddb_view_field_named(test_ctx(), view, "e", &e) == DREAMDB_OK);
    if (e) { memcpy(track, e->binding->address.bytes, 33); }            /* the Track: it names every bucket by its bytes */
    query.field = "e"; query.vectors = vectors + 5 * DIM; query.top_k = 20; query.nprobe = 4;
    CHECK(dreamdb_search(view, &query, &found, NULL) == DREAMDB_OK && found && found->count == 20);
    for (size_t i = 0; found && i < 20; i++) { anchors[i] = found->hits[i].anchor; scores[i] = found->hits[i].score; }
    dreamdb_result_free(found);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    dreamdb_store_close(&store);
}

static void any_set_can_be_off(void)
{
    static const uint32_t offs[] = { 1, 0xffffffffu, DDB_CPU_AVX512, DDB_CPU_AVX512 | DDB_CPU_VNNI, DDB_CPU_VNNI, DDB_CPU_FMA, DDB_CPU_AVX2,
        DDB_CPU_AVX512 | DDB_CPU_VNNI | DDB_CPU_FMA, DDB_CPU_AVX512 | DDB_CPU_VNNI | DDB_CPU_AVX2, DDB_CPU_SSE41, DDB_CPU_NEON };
    uint64_t anchors[2][20];
    float scores[2][20];
    uint8_t tracks[2][33];
    for (size_t i = 0; i < ROWS * DIM; i++) { vectors[i] = test_randf(); }
    memset(tracks, 0, sizeof tracks);
    answers_of(0, anchors[0], scores[0], tracks[0]);
    CHECK(anchors[0][0] == 5);
    for (size_t i = 0; i < sizeof offs / sizeof *offs; i++) {
        answers_of(offs[i], anchors[1], scores[1], tracks[1]);
        CHECK_BYTES(anchors[1], anchors[0], sizeof anchors[0]);
        CHECK_BYTES(scores[1], scores[0], sizeof scores[0]);
        CHECK_BYTES(tracks[1], tracks[0], sizeof tracks[0]);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

int main(void)
{
    RUN(detects_what_there_is);
    RUN(features_in_words);
    RUN(any_set_can_be_off);
    return test_end("cpu");
}
