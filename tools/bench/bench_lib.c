/* bench_lib.c - a thin C door for bench.py: opens a dataset, keeps a view, and searches field "emb". */
#include "../../dreamdb.h"
#include <stdlib.h>
#include <string.h>

typedef struct bench { dreamdb_store store; dreamdb *db; dreamdb_snapshot *view; } bench;

void *bench_open(const char *path, uint32_t threads);
int bench_search(void *handle, const float *queries, size_t count, uint32_t top_k, uint32_t nprobe, int64_t *ids, float *scores);
int bench_find(void *handle, const float *queries, size_t count, uint32_t top_k, uint32_t nprobe, int mode, uint64_t keep_end, int64_t *ids,
               float *scores);

void *bench_open(const char *path, uint32_t threads)
{
    dreamdb_directory dir;
    dreamdb_config config;
    bench *b = (bench *)calloc(1, sizeof *b);
    memset(&dir, 0, sizeof dir);
    memset(&config, 0, sizeof config);
    dir.path = path;
    config.threads = threads;
    config.cache_bytes = (uint64_t)4 << 30;
    if (!b || dreamdb_store_directory(&dir, &b->store, NULL) < 0) {
        free(b);
        return NULL;
    }
    config.store = &b->store;
    if (dreamdb_open(&config, "main", &b->db, NULL) < 0 || dreamdb_snapshot_open(b->db, NULL, &b->view, NULL) < 0) {
        free(b);
        return NULL;
    }
    return b;
}

int bench_search(void *handle, const float *queries, size_t count, uint32_t top_k, uint32_t nprobe, int64_t *ids, float *scores)
{
    return bench_find(handle, queries, count, top_k, nprobe, 0, 0, ids, scores);
}

/* mode 1: every cell; 2: the proven bound.  keep_end > 0: a filter that keeps anchors below it. */
int bench_find(void *handle, const float *queries, size_t count, uint32_t top_k, uint32_t nprobe, int mode, uint64_t keep_end, int64_t *ids,
               float *scores)
{
    bench *b = (bench *)handle;
    dreamdb_query query;
    dreamdb_where where;
    dreamdb_operand operand;
    dreamdb_result *result = NULL;
    memset(&query, 0, sizeof query);
    query.field = "emb";
    query.vectors = queries;
    query.count = count;
    query.top_k = top_k;
    query.nprobe = nprobe;
    query.exact = mode == 1;
    query.proven = mode == 2;
    memset(&where, 0, sizeof where);
    memset(&operand, 0, sizeof operand);
    where.op = DREAMDB_LT;
    where.field = "tag";
    where.operands = &operand;
    where.operand_count = 1;
    operand.integer = (int64_t)keep_end;
    query.where = keep_end > 0 ? &where : NULL;
    if (dreamdb_search(b->view, &query, &result, NULL) < 0) {
        return 1;
    }
    for (size_t q = 0, at = 0; q < count; q++) {
        for (size_t i = 0; at < result->ends[q]; i++, at++) {
            ids[q * top_k + i] = (int64_t)result->hits[at].anchor;
            scores[q * top_k + i] = result->hits[at].score;
        }
    }
    dreamdb_result_free(result);
    return 0;
}
