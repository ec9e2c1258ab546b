/* bench_memory.c - what searches allocate: bench_memory STORE queries.f32 COUNT DIM NPROBE CACHE_BYTES...  A counting allocator; Track and
   index are loaded first, then COUNT queries look at NPROBE cells each, and one at all of them; for each cache_bytes the high-water mark
   beside the bytes of the layouts that a search of everything would keep.  One thread. */
#include "../../dreamdb.h"
#include "bench_alloc.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ask(dreamdb_snapshot *view, const float *vector, uint32_t nprobe, int exact)
{
    dreamdb_query query;
    dreamdb_result *result = NULL;
    memset(&query, 0, sizeof query);
    query.field = "emb";
    query.vectors = vector;
    query.nprobe = nprobe;
    query.exact = exact;
    int bad = dreamdb_search(view, &query, &result, NULL) < 0;
    dreamdb_result_free(result);
    return bad;
}

static int measure(const char *path, const float *vectors, size_t count, size_t dim, uint32_t nprobe, uint64_t cache, size_t *layouts)
{
    dreamdb_store store;
    dreamdb_directory dir;
    dreamdb_config config;
    dreamdb_allocator allocator;
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    int bad = 0;
    memset(&dir, 0, sizeof dir);
    memset(&config, 0, sizeof config);
    memset(&allocator, 0, sizeof allocator);
    allocator.resize = counted;
    dir.path = path;
    dir.allocator = allocator;
    config.store = &store;
    config.allocator = allocator;
    config.threads = 1;
    config.cache_bytes = cache;
    live = peak = 0;
    if (dreamdb_store_directory(&dir, &store, NULL) < 0 || dreamdb_open(&config, "main", &db, NULL) < 0
        || dreamdb_snapshot_open(db, NULL, &view, NULL) < 0) {
        return 1;
    }
    bad += ask(view, vectors, 1, 0);
    size_t held = live;
    peak = live;
    for (size_t i = 0; i < count; i++) {
        bad += ask(view, vectors + i * dim, nprobe, 0);
    }
    size_t some = peak - held;
    bad += ask(view, vectors, 0, 1);
    *layouts = *layouts > 0 ? *layouts : live - held;
    printf("cache %9.1f MB: peak %8.2f MB beside what was held (%.2f MB) before, %.2f of cache_bytes, %.2f of the layouts of all cells (%.1f MB), at rest %.2f; before the "
           "search of all %.2f MB\n", (double)cache * 1e-6, (double)(peak - held) * 1e-6, (double)held * 1e-6, (double)(peak - held) / (double)cache,
           (double)(peak - held) / (double)*layouts, (double)*layouts * 1e-6, (double)(live - held) / (double)*layouts, (double)some * 1e-6);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    dreamdb_store_close(&store);
    return bad;
}

int main(int argc, char **argv)
{
    size_t count = argc > 6 ? strtoul(argv[3], NULL, 10) : 0, dim = argc > 6 ? strtoul(argv[4], NULL, 10) : 0, layouts = 0;
    float *vectors = (float *)malloc(count * dim * sizeof *vectors + 1);
    FILE *f = argc > 6 ? fopen(argv[2], "rb") : NULL;
    int bad = 0;
    if (!vectors || !f || fread(vectors, dim * sizeof *vectors, count, f) != count) {
        (void)fprintf(stderr, "usage: see the top of bench_memory.c\n");
        return 2;
    }
    for (int i = 6; i < argc; i++) {
        bad += measure(argv[1], vectors, count, dim, (uint32_t)strtoul(argv[5], NULL, 10), strtoull(argv[i], NULL, 10), &layouts);
    }
    (void)fclose(f);
    free(vectors);
    return bad;
}
