/* test_pool.c - room pool: each index once, nested and concurrent runs, lazy start, the host's parallel_for, no leak. */
#include "test.h"

typedef struct work { uint64_t *hits; ddb_pool *pool; uint64_t sum; uint32_t inner; } work;

static void hit(void *user, uint32_t index)
{
    work *w = (work *)user;
    (void)ddb_port_atomic_add(&w->hits[index], 1);
}

static void hit_nested(void *user, uint32_t index)
{
    work *w = (work *)user;
    uint64_t inner[8];
    work below;
    memset(inner, 0, sizeof inner);
    memset(&below, 0, sizeof below);
    below.hits = inner;
    ddb_pool_run(w->pool, hit, &below, 8);
    for (int i = 0; i < 8; i++) { (void)ddb_port_atomic_add(&w->sum, inner[i]); }
    (void)ddb_port_atomic_add(&w->hits[index], 1);
}

static int once(const uint64_t *hits, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) { if (hits[i] != 1) { return 0; } }
    return hits[count] == 0;
}

static void every_index_once(void)
{
    static uint64_t hits[5001];
    static const uint32_t counts[] = { 0, 1, 2, 3, 64, 5000 };
    for (uint32_t width = 1; width <= 9; width++) {
        size_t before = test_live_bytes();
        ddb_ctx *ctx = test_ctx();
        ddb_pool *pool = NULL;
        CHECK(ddb_pool_open(ctx, width, NULL, NULL, &pool) == DREAMDB_OK);
        CHECK_EQ_U64(pool->started, 0);                     /* lazy */
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            work w;
            memset(&w, 0, sizeof w);
            memset(hits, 0, sizeof hits);
            w.hits = hits;
            ddb_pool_run(pool, hit, &w, counts[c]);
            CHECK(once(hits, counts[c]));
            if (counts[c] < 2) { CHECK_EQ_U64(pool->started, 0); }
        }
#ifndef DREAMDB_NO_THREADS
        CHECK_EQ_U64(pool->started, width - 1);
        CHECK_EQ_U64(ddb_pool_width(pool), width);
#else
        CHECK_EQ_U64(ddb_pool_width(pool), 1);
#endif
        ddb_pool_close(ctx, pool);
        CHECK_EQ_U64(test_live_bytes(), before);
    }
    work w;
    memset(&w, 0, sizeof w);
    memset(hits, 0, sizeof hits);
    w.hits = hits;
    ddb_pool_run(NULL, hit, &w, 100);
    CHECK(once(hits, 100));
    CHECK_EQ_U64(ddb_pool_width(NULL), 1);
    ddb_pool_close(test_ctx(), NULL);
}

static void many_short_runs(void)
{
    ddb_pool *pool = NULL;
    uint64_t hits[9];
    int good = 1;
    CHECK(ddb_pool_open(test_ctx(), 4, NULL, NULL, &pool) == DREAMDB_OK);
    for (int round = 0; round < 20000; round++) {
        uint32_t count = (uint32_t)(test_rand() % 8 + 1);
        work w;
        memset(&w, 0, sizeof w);
        memset(hits, 0, sizeof hits);
        w.hits = hits;
        ddb_pool_run(pool, hit, &w, count);
        good = good && once(hits, count);
    }
    CHECK(good);
    ddb_pool_close(test_ctx(), pool);
}

static void nested_runs_stay_on_their_thread(void)
{
    static uint64_t hits[501];
    work w;
    memset(&w, 0, sizeof w);
    memset(hits, 0, sizeof hits);
    w.hits = hits;
    CHECK(ddb_pool_open(test_ctx(), 3, NULL, NULL, &w.pool) == DREAMDB_OK);
    ddb_pool_run(w.pool, hit_nested, &w, 500);
    CHECK(once(hits, 500));
    CHECK_EQ_U64(w.sum, 4000);
    ddb_pool_close(test_ctx(), w.pool);
}

#ifndef DREAMDB_NO_THREADS
static void *runs(void *user)
{
    ddb_pool *pool = (ddb_pool *)user;
    uint64_t hits[33];
    for (int round = 0; round < 2000; round++) {
        work w;
        memset(&w, 0, sizeof w);
        memset(hits, 0, sizeof hits);
        w.hits = hits;
        ddb_pool_run(pool, hit, &w, 32);
        if (!once(hits, 32)) { return pool; }
    }
    return NULL;
}

static void concurrent_runs(void)
{
    pthread_t threads[4];
    ddb_pool *pool = NULL;
    CHECK(ddb_pool_open(test_ctx(), 3, NULL, NULL, &pool) == DREAMDB_OK);
    for (int i = 0; i < 4; i++) { CHECK(pthread_create(threads + i, NULL, runs, pool) == 0); }
    for (int i = 0; i < 4; i++) {
        void *bad = NULL;
        (void)pthread_join(threads[i], &bad);
        CHECK(!bad);
    }
    CHECK_EQ_U64(pool->owners, 0);
    ddb_pool_close(test_ctx(), pool);
}
#endif

static int host_calls;
static void host(void *user, void (*task)(void *task_user, uint32_t index), void *task_user, uint32_t count)
{
    (*(int *)user)++;
    for (uint32_t i = count; i-- > 0;) { task(task_user, i); }
}

static void host_jobs(void)
{
    static uint64_t hits[501];
    work w;
    memset(&w, 0, sizeof w);
    memset(hits, 0, sizeof hits);
    w.hits = hits;
    host_calls = 0;
    CHECK(ddb_pool_open(test_ctx(), 0, host, &host_calls, &w.pool) == DREAMDB_OK);
    ddb_pool_run(w.pool, hit, &w, 1);                       /* one task needs nobody */
    CHECK_EQ_U64(host_calls, 0);
    memset(hits, 0, sizeof hits);
    ddb_pool_run(w.pool, hit_nested, &w, 500);
    CHECK_EQ_U64(host_calls, 1);                            /* nested ones ran on their callers */
    CHECK(once(hits, 500));
    CHECK_EQ_U64(w.sum, 4000);
    CHECK_EQ_U64(w.pool->started, 0);
    ddb_pool_close(test_ctx(), w.pool);
    CHECK(ddb_pool_open(test_ctx(), 1, host, &host_calls, &w.pool) == DREAMDB_OK);   /* 1 = only the caller's thread */
    memset(hits, 0, sizeof hits);
    ddb_pool_run(w.pool, hit, &w, 500);
    CHECK_EQ_U64(host_calls, 1);
    CHECK(once(hits, 500));
    ddb_pool_close(test_ctx(), w.pool);
}

static void no_memory(void)
{
    size_t before = test_live_bytes();
    int good = 0;
    for (long n = 1; n < 50 && !good; n++) {
        ddb_pool *pool = NULL;
        ddb_ctx *ctx = test_ctx();
        test_fail_alloc_at(n);
        dreamdb_status status = ddb_pool_open(ctx, 4, NULL, NULL, &pool);
        test_fail_alloc_at(0);
        good = status == DREAMDB_OK;
        CHECK(good || (status == DREAMDB_ERR_MEMORY && !pool && test_error.status == DREAMDB_ERR_MEMORY));
        ddb_pool_close(ctx, pool);
        CHECK_EQ_U64(test_live_bytes(), before);
    }
    CHECK(good);
}

int main(void)
{
    RUN(every_index_once);
    RUN(many_short_runs);
    RUN(nested_runs_stay_on_their_thread);
#ifndef DREAMDB_NO_THREADS
    RUN(concurrent_runs);
#endif
    RUN(host_jobs);
    RUN(no_memory);
    return test_end("pool");
}
