/* smoke.c - one walk through the library that every configuration can run: memory store, the caller's allocator, one thread.
   The build defines DREAMDB_IMPLEMENTATION and any switches of the configuration. */
#include "../dreamdb.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t live;
static void *resize(void *user, void *old, size_t old_size, size_t new_size)
{
    void *out = NULL;
    (void)user;
    if (new_size == 0) { free(old); live -= old_size; return NULL; }
    out = realloc(old, new_size);
    if (out) { live += new_size; live -= old_size; }
    return out;
}

static int failed(const char *what, const dreamdb_error *error)
{
    printf("smoke: %s: %s\nsmoke: 0 passed, 1 failed\n", what, error->message);
    return 1;
}

static void fill(float *vectors, uint64_t *anchors, int64_t *numbers)
{
    size_t i;
    for (i = 0; i < 64 * 8; i++) { vectors[i] = (float)((i * 2654435761u) % 1000u) / 500.0f - 1.0f; }
    for (i = 0; i < 64; i++) { anchors[i] = 1000 + i; numbers[i] = (int64_t)(i % 7); }
}

static int run(const dreamdb_config *config, dreamdb_error *error)
{
    static float vectors[64 * 8];
    static uint64_t anchors[64];
    static int64_t numbers[64];
    dreamdb_field fields[2];
    dreamdb_create_desc create;
    dreamdb_column columns[2];
    dreamdb_append_desc append;
    dreamdb_query query;
    dreamdb_operand three;
    dreamdb_where where;
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    dreamdb_result *found = NULL;
    int good;

    memset(fields, 0, sizeof fields); memset(&create, 0, sizeof create); memset(columns, 0, sizeof columns);
    memset(&append, 0, sizeof append); memset(&query, 0, sizeof query); memset(&three, 0, sizeof three); memset(&where, 0, sizeof where);
    fill(vectors, anchors, numbers);
    fields[0].name = "emb"; fields[0].kind = DREAMDB_EMBEDDING; fields[0].dim = 8; fields[0].train = vectors; fields[0].train_count = 64; fields[0].k = 4;
    fields[1].name = "n"; fields[1].kind = DREAMDB_INT;
    create.fields = fields; create.field_count = 2;
    if (dreamdb_create(config, "main", &create, &db, error) != DREAMDB_OK) { return failed("create", error); }
    columns[0].field = "emb"; columns[0].data = vectors; columns[1].field = "n"; columns[1].data = numbers;
    append.columns = columns; append.column_count = 2; append.count = 64; append.anchors = anchors;
    if (dreamdb_append(db, &append, NULL, error) != DREAMDB_OK) { return failed("append", error); }
    if (dreamdb_snapshot_open(db, NULL, &view, error) != DREAMDB_OK) { return failed("snapshot", error); }
    three.integer = 3;
    where.op = DREAMDB_EQ; where.field = "n"; where.operands = &three; where.operand_count = 1;
    query.field = "emb"; query.vectors = vectors + 3 * 8; query.top_k = 3; query.exact = 1; query.where = &where;
    if (dreamdb_search(view, &query, &found, error) != DREAMDB_OK) { return failed("search", error); }
    good = found->count == 3 && found->hits[0].anchor == 1003 && found->hits[0].score > 0.999f;
    dreamdb_result_free(found);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    return good ? 0 : failed("the nearest row is another", error);
}

int main(void)
{
    dreamdb_store store;
    dreamdb_config config;
    dreamdb_error error;
    dreamdb_allocator allocator;
    memset(&config, 0, sizeof config); memset(&error, 0, sizeof error); memset(&allocator, 0, sizeof allocator);
    allocator.resize = resize;
    if (dreamdb_store_memory(&allocator, &store, &error) != DREAMDB_OK) { return failed("store", &error); }
    config.store = &store; config.allocator = allocator; config.threads = 1;
    if (run(&config, &error) != 0) { return 1; }
    dreamdb_store_close(&store);
    if (live != 0) { printf("smoke: %lu bytes are still allocated\nsmoke: 0 passed, 1 failed\n", (unsigned long)live); return 1; }
    printf("smoke: 1 passed, 0 failed\n");
    return 0;
}
