/* bench_merge.c ROWS [SPREAD] - a union merge of 2 x 100 rows into a dataset of ROWS rows with fields of all kinds: waves, gets and bytes, by the handle that
   appended last (warm) and by one opened for it (cold).  SPREAD: values that an int or float is drawn from (ROWS), so how many rows an append adds. */
#define DREAMDB_IMPLEMENTATION
#include "../../dreamdb.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 16, FIELDS = 7, BATCH = 10000 };
static const char *const names[FIELDS] = { "day", "emb", "label", "name", "ok", "pic", "score" };
static const dreamdb_kind kinds[FIELDS] = { DREAMDB_INT, DREAMDB_EMBEDDING, DREAMDB_CATEGORICAL, DREAMDB_STRING, DREAMDB_BOOL, DREAMDB_IMAGE, DREAMDB_FLOAT };
static dreamdb_error error;
static uint64_t spread;
static float vectors[BATCH][DIM];
static int64_t days[BATCH];
static double scores[BATCH];
static uint8_t oks[BATCH];
static char texts[3][BATCH][24];
static dreamdb_slice slices[3][BATCH];
static uint64_t anchors[BATCH];

static void must(dreamdb_status status, const char *what)
{
    if (status != DREAMDB_OK) {
        printf("%s: %s: %s\n", what, dreamdb_status_name(status), error.message);
        exit(1);
    }
}

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void append(dreamdb *db, uint64_t first, size_t count)
{
    dreamdb_column columns[FIELDS];
    dreamdb_append_desc desc;
    memset(columns, 0, sizeof columns);
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) {
        uint64_t x = mix(first + i);
        anchors[i] = first + i;
        for (size_t d = 0; d < DIM; d++) {
            vectors[i][d] = (float)(mix(x + d) >> 40) / 8388608.0f - 1.0f;
        }
        days[i] = (int64_t)(x % spread);
        scores[i] = (double)(mix(x) % spread) / 8;
        oks[i] = (uint8_t)(x >> 33 & 1);
        (void)snprintf(texts[0][i], 24, "label%u", (unsigned)(x >> 20) % 20);
        (void)snprintf(texts[1][i], 24, "name%u", (unsigned)(mix(x + 1) % spread));
        (void)snprintf(texts[2][i], 24, "picture %llu", (unsigned long long)(first + i));
        for (int t = 0; t < 3; t++) {
            slices[t][i].data = texts[t][i];
            slices[t][i].size = strlen(texts[t][i]);
        }
    }
    for (size_t f = 0; f < FIELDS; f++) {
        columns[f].field = names[f];
    }
    columns[0].data = days;
    columns[1].data = vectors;
    columns[2].values = slices[0];
    columns[3].values = slices[1];
    columns[4].data = oks;
    columns[5].values = slices[2];
    columns[6].data = scores;
    desc.columns = columns;
    desc.column_count = FIELDS;
    desc.count = count;
    desc.anchors = anchors;
    must(dreamdb_append(db, &desc, NULL, &error), "append");
}

int main(int argc, char **argv)
{
    uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    dreamdb_config config, counted;
    dreamdb_store inner, store;
    dreamdb_fault plan;
    dreamdb_field fields[FIELDS];
    dreamdb_create_desc desc;
    dreamdb *db = NULL, *side = NULL;
    spread = argc > 2 ? strtoull(argv[2], NULL, 10) : rows;
    memset(&plan, 0, sizeof plan);
    memset(fields, 0, sizeof fields);
    memset(&desc, 0, sizeof desc);
    memset(&config, 0, sizeof config);
    must(dreamdb_store_memory(NULL, &inner, &error), "memory");
    must(dreamdb_store_fault(&inner, &plan, NULL, &store, &error), "store");
    config.store = &inner;
    config.threads = 1;
    counted = config;
    counted.store = &store;
    for (size_t f = 0; f < FIELDS; f++) {
        fields[f].name = names[f];
        fields[f].kind = kinds[f];
    }
    fields[1].dim = DIM;
    fields[1].index = DREAMDB_INDEX_LSH;
    fields[1].bits = 8;
    desc.fields = fields;
    desc.field_count = FIELDS;
    must(dreamdb_create(&config, "main", &desc, &db, &error), "create");
    for (uint64_t i = 0; i < rows; i += BATCH) {
        append(db, i, rows - i < BATCH ? (size_t)(rows - i) : BATCH);
    }
    for (int cold = 0; cold < 2; cold++) {
        dreamdb_merge_desc merge;
        dreamdb_merge_report report;
        memset(&merge, 0, sizeof merge);
        merge.other = cold ? "cold" : "warm";
        must(dreamdb_branch(db, NULL, merge.other, &error), "branch");
        must(dreamdb_open(&config, merge.other, &side, &error), "open");
        append(side, rows + 1000 * (uint64_t)cold, 100);
        dreamdb_close(db);
        must(dreamdb_open(&counted, "main", &db, &error), "open");
        append(db, rows + 1000 * (uint64_t)cold + 500, 100);
        if (cold) {
            dreamdb_close(db);
            must(dreamdb_open(&counted, "main", &db, &error), "open");
        }
        memset(&plan, 0, sizeof plan);
        must(dreamdb_merge(db, &merge, &report, &error), "merge");
        printf("%llu rows, %s: %llu waves, %llu gets, %llu puts, %.1f kB read, %.1f kB written, %llu fields fused\n", (unsigned long long)rows,
               merge.other, (unsigned long long)plan.waves, (unsigned long long)plan.gets, (unsigned long long)plan.puts,
               (double)plan.bytes_read * 1e-3, (double)plan.bytes_written * 1e-3, (unsigned long long)report.fused);
        dreamdb_close(side);
    }
    dreamdb_close(db);
    dreamdb_store_close(&store);
    dreamdb_store_close(&inner);
    return 0;
}
