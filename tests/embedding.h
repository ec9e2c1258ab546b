/* embedding.h - a dataset of one embedding field, of each kind that a cell can have, on a store in memory with faults in front of it: what
   the tests of rooms ada, rebuild and shard begin with. */
#ifndef DREAMDB_TEST_EMBEDDING_H
#define DREAMDB_TEST_EMBEDDING_H
#include "test.h"

/* KINDS of fields on an IVF index, then those that have another one. */
typedef enum kind { RAW, RAW_SIDE, RABITQ, LOSSY, PQ, KINDS, LSH = KINDS, IMI, ALL_KINDS } kind;
static const char *const kind_names[ALL_KINDS] = { "raw", "raw with sidecars", "rabitq with sidecars", "rabitq alone", "pq with sidecars", "lsh", "imi" };
static dreamdb_store inner, store;               /* memory, and faults in front of it */
static dreamdb_fault plan;
static dreamdb_error error;
static uint64_t clock_now, clock_step = 1000;    /* ns; 0: the clock stands still */
static uint64_t drawn, draw_step;                /* 0: all draws are equal */

static uint64_t now(void *user) { (void)user; return clock_now += clock_step; }
static int draw(void *user, void *out, size_t size) { (void)user; drawn += draw_step; memset(out, (int)((0x5a + drawn) & 255), size); return 0; }

static dreamdb_config config_of(const dreamdb_store *on)
{
    dreamdb_config config = test_config(on);
    config.now_ns = now;
    config.random = draw;
    return config;
}

static void open_store(void)
{
    memset(&plan, 0, sizeof plan);
    CHECK(dreamdb_store_memory(NULL, &inner, NULL) == DREAMDB_OK);
    CHECK(dreamdb_store_fault(&inner, &plan, NULL, &store, NULL) == DREAMDB_OK);
}

static void close_store(void)
{
    dreamdb_store_close(&store);
    dreamdb_store_close(&inner);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Field "e" of that kind alone, trained on 300 vectors unless it is LSH; `parts` is a PQ field's m. */
static dreamdb *create_field(const dreamdb_store *on, kind what, uint32_t dimensions, const float *sample, uint32_t k, uint32_t parts)
{
    dreamdb_config config = config_of(on);
    dreamdb_field field;
    dreamdb_create_desc desc;
    dreamdb *db = NULL;
    memset(&field, 0, sizeof field);
    memset(&desc, 0, sizeof desc);
    field.name = "e"; field.kind = DREAMDB_EMBEDDING; field.dim = dimensions; field.required = 1;
    field.index = what == LSH ? DREAMDB_INDEX_LSH : what == IMI ? DREAMDB_INDEX_IMI : DREAMDB_INDEX_IVF;
    if (what != LSH) { field.train = sample; field.train_count = 300; field.k = k; field.k_sub = what == IMI ? k : 0; }
    field.bits = what == LSH ? 6 : 0;
    field.rerank = what == RAW_SIDE || what == RABITQ || what == PQ;
    field.compressor = what == PQ ? DREAMDB_COMPRESSOR_PQ : what == RABITQ || what == LOSSY ? DREAMDB_COMPRESSOR_RABITQ : DREAMDB_COMPRESSOR_NONE;
    field.bits_per_dim = what == RABITQ || what == LOSSY ? 4 : 0;
    field.pq_m = what == PQ ? parts : 0; field.pq_k = what == PQ ? 16 : 0;
    desc.fields = &field; desc.field_count = 1;
    CHECK(dreamdb_create(&config, "main", &desc, &db, &error) == DREAMDB_OK);
    if (!db) { printf("%s\n", error.message); exit(1); }
    return db;
}
#endif
