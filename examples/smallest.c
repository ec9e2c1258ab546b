/* smallest.c - four colours in memory, and the two nearest to orange.
   Build: cc -c dreamdb.c && cc smallest.c dreamdb.o -lpthread */
#include "../dreamdb.h"
#include <stdio.h>

/* Ends the program with the library's own words. */
#define MUST(call) do { if ((call) != DREAMDB_OK) { fprintf(stderr, "smallest: %s\n", error.message); return 1; } } while (0)

int main(void)
{
    static const char *const names[] = { "red", "green", "blue", "yellow" };
    static const float colours[] = { 1, 0, 0,   0, 1, 0,   0, 0, 1,   1, 1, 0 };
    static const float orange[] = { 1, 0.6f, 0 };
    static const uint64_t anchors[] = { 0, 1, 2, 3 };
    dreamdb_error error;
    dreamdb_store store;
    dreamdb *db;
    dreamdb_snapshot *view;
    dreamdb_result *found;

    MUST(dreamdb_store_memory(NULL, &store, &error));
    dreamdb_config config = { .store = &store };
    dreamdb_field field = { .name = "colour", .kind = DREAMDB_EMBEDDING, .dim = 3, .index = DREAMDB_INDEX_LSH, .bits = 2 };
    dreamdb_create_desc desc = { .fields = &field, .field_count = 1 };
    MUST(dreamdb_create(&config, "main", &desc, &db, &error));

    dreamdb_column column = { .field = "colour", .data = colours };
    dreamdb_append_desc batch = { .columns = &column, .column_count = 1, .count = 4, .anchors = anchors };
    MUST(dreamdb_append(db, &batch, NULL, &error));

    dreamdb_query query = { .field = "colour", .vectors = orange, .top_k = 2, .exact = 1 };
    MUST(dreamdb_snapshot_open(db, NULL, &view, &error));
    MUST(dreamdb_search(view, &query, &found, &error));
    for (size_t i = 0; i < found->count; i++) {
        printf("%-8s %.3f\n", names[found->hits[i].anchor], (double)found->hits[i].score);
    }
    int right = found->count == 2 && found->hits[0].anchor == 3 && found->hits[1].anchor == 0;

    dreamdb_result_free(found);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    dreamdb_store_close(&store);
    return right ? 0 : 1;
}
