/* test_object.c - room object: what leaves it was hashed, whole or by ranges; damage is named by its path; the cache keeps its cap; puts go out in
   batches and mend what a crash cut short; no leak at any failed allocation. */
#include "test.h"

enum { DATA = 300000 };
static uint8_t data[DATA];

typedef struct world { dreamdb_store inner, store; dreamdb_fault plan; ddb_env *env; dreamdb_config config; } world;

static void world_open(world *w)
{
    dreamdb_allocator allocator = test_allocator();
    memset(&w->plan, 0, sizeof w->plan);
    CHECK(dreamdb_store_memory(&allocator, &w->inner, NULL) == DREAMDB_OK);
    CHECK(dreamdb_store_fault(&w->inner, &w->plan, &allocator, &w->store, NULL) == DREAMDB_OK);
    memset(&w->config, 0, sizeof w->config);
    w->config.threads = 3;
}
static void world_env(world *w)
{
    w->config.store = &w->store;
    CHECK(ddb_object_env_open(test_ctx(), &w->config, &w->env) == DREAMDB_OK);
}
static void world_close(world *w)
{
    ddb_object_env_close(test_ctx(), w->env);
    dreamdb_store_close(&w->store);
    dreamdb_store_close(&w->inner);
}
/* A fresh handle on the same store: nothing cached. */
static void world_again(world *w)
{
    ddb_object_env_close(test_ctx(), w->env);
    world_env(w);
    memset(&w->plan, 0, sizeof w->plan);
}
static const char *put_object(world *w, const char *folder, const void *bytes, size_t size, uint32_t flags, ddb_addr *addr)
{
    static char path[8][200];
    static int turn;
    char text[DREAMDB_ADDRESS_TEXT], *out = path[turn++ % 8];
    ddb_puts *puts = NULL;
    CHECK(ddb_object_puts_open(test_ctx(), w->env, &puts) == DREAMDB_OK);
    CHECK(ddb_object_put(test_ctx(), puts, folder, ddb_bytes_slice(bytes, size), flags, addr) == DREAMDB_OK);
    CHECK(ddb_object_flush(test_ctx(), puts) == DREAMDB_OK);
    ddb_object_puts_close(test_ctx(), puts);
    ddb_addr_text(addr, text);
    (void)snprintf(out, 200, "%s/%s", folder, text);
    return out;
}
static const char *outboard_path(const ddb_addr *addr)
{
    static char path[100];
    char text[DREAMDB_ADDRESS_TEXT];
    ddb_addr_text(addr, text);
    (void)snprintf(path, sizeof path, "bao-outboard/%s", text);
    return path;
}
static int inner_put(world *w, const char *path, const void *bytes, size_t size) { return w->inner.put(w->inner.user, path, bytes, size, NULL); }
static uint64_t inner_size(world *w, const char *path)
{
    dreamdb_stat stat;
    return w->inner.stat(w->inner.user, path, &stat) == DREAMDB_OK ? stat.size : UINT64_MAX;
}

/* ---- Whole objects ---- */

static void what_is_put_is_got(void)
{
    size_t before = test_live_bytes();
    world w;
    static const size_t sizes[] = { 0, 1, 33, 1023, 1024, 1025, 8192, 8193, 65536, 299999 };
    world_open(&w);
    world_env(&w);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ddb_addr addr, want;
        ddb_object object;
        const char *path = put_object(&w, "f", data, sizes[i], 0, &addr);
        ddb_addr_of(0, ddb_bytes_slice(data, sizes[i]), &want);
        CHECK(ddb_addr_equal(&addr, &want));
        CHECK_EQ_U64(inner_size(&w, path), sizes[i]);
        CHECK(ddb_object_get(test_ctx(), w.env, path, &addr, 0, &object) == DREAMDB_OK);
        CHECK(object.size == sizes[i] && object.data && memcmp(object.data, data, sizes[i]) == 0);
        uint64_t gets = w.plan.gets;
        ddb_object again;
        CHECK(ddb_object_get(test_ctx(), w.env, path, &addr, 0, &again) == DREAMDB_OK && again.data == object.data);
        CHECK_EQ_U64(w.plan.gets, gets);                     /* cached */
        ddb_object_release(w.env, &again);
        CHECK(ddb_object_get(test_ctx(), w.env, path, &addr, DDB_OBJECT_NO_CACHE, &again) == DREAMDB_OK);
        CHECK_EQ_U64(w.plan.gets, gets + 1);
        ddb_object_release(w.env, &again);
        ddb_object_release(w.env, &object);
    }
    CHECK_EQ_U64(w.env->puts, sizeof sizes / sizeof sizes[0]);
    world_close(&w);
    CHECK_EQ_U64(test_live_bytes(), before);
}

/* Every way that bytes come in, with a bit flipped, the end lost, the object gone. */
static void damage_is_named(void)
{
    static const size_t sizes[] = { 1, 100, 8000, 50000, 299999 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int kind = 0; kind < 3; kind++) {
            for (int way = 0; way < 4; way++) {              /* one, many, range, range without outboard */
                world w;
                ddb_addr addr, other;
                ddb_object object;
                ddb_object_want wants[2];
                char out[64], path[200];
                size_t size = sizes[i], part = size < 40 ? size : 40;
                dreamdb_status want = kind == 2 ? DREAMDB_ERR_NOT_FOUND : DREAMDB_ERR_CORRUPT, status = DREAMDB_OK;
                world_open(&w);
                world_env(&w);
                (void)snprintf(path, sizeof path, "%s", put_object(&w, "tl/mod", data, size, way == 2 ? (uint32_t)DDB_PUT_OUTBOARD : 0u, &addr));
                const char *good = put_object(&w, "tl/mod", "good", 4, 0, &other);
                if (kind == 0) { data[size / 2] ^= 16; CHECK(inner_put(&w, path, data, size) == 0); data[size / 2] ^= 16; }
                if (kind == 1) { CHECK(inner_put(&w, path, data, size - 1) == 0); }
                if (kind == 2) { CHECK(w.inner.remove(w.inner.user, path) == 0); }
                if (kind == 1 && way == 2 && size > 16384) { want = DREAMDB_OK; }       /* the range is whole and proved */
                memset(out, 7, sizeof out);
                if (way == 0) { status = ddb_object_get(test_ctx(), w.env, path, &addr, 0, &object); CHECK(!object.data && !object.hold); }
                if (way == 1) {
                    memset(wants, 0, sizeof wants);
                    wants[0].path = good;
                    wants[0].addr = other;
                    wants[1].path = path;
                    wants[1].addr = addr;
                    wants[1].size = size;
                    status = ddb_object_get_many(test_ctx(), w.env, wants, 2);
                    CHECK(!wants[0].object.hold && !wants[1].object.hold);
                    CHECK(ddb_object_get_each(test_ctx(), w.env, wants, 2) == DREAMDB_OK);
                    CHECK(wants[0].status == DREAMDB_OK && wants[0].object.size == 4 && wants[1].status == want);
                    ddb_object_release(w.env, &wants[0].object);
                }
                if (way >= 2) { status = ddb_object_range(test_ctx(), w.env, path, &addr, way == 2 ? size : 0, size / 2 < part ? 0 : size / 2, part, out); }
                CHECK(status == want);
                if (way != 1 && want < 0) { CHECK(test_error.status == want && strcmp(test_error.path, path) == 0 && strstr(test_error.message, path)); }
                world_close(&w);
            }
        }
    }
}

static void one_failure_of_many(void)
{
    size_t before = test_live_bytes();
    world w;
    ddb_object_want wants[200];
    char paths[200][100];
    world_open(&w);
    world_env(&w);
    memset(wants, 0, sizeof wants);
    for (uint32_t i = 0; i < 200; i++) {
        size_t size = i % 50 == 7 ? 20000 + i : 10 + i;
        (void)snprintf(paths[i], sizeof paths[i], "%s", put_object(&w, "many", data + i * 100, size, 0, &wants[i].addr));
        wants[i].path = paths[i];
        wants[i].size = i % 2 ? size : 0;
    }
    world_again(&w);
    CHECK(ddb_object_get_many(test_ctx(), w.env, wants, 200) == DREAMDB_OK);
    CHECK_EQ_U64(w.plan.waves, 1);                           /* one batch */
    CHECK_EQ_U64(w.env->waves, 1);
    CHECK_EQ_U64(w.plan.gets, 200);
    CHECK_EQ_U64(w.env->gets, 200);
    CHECK_EQ_U64(w.env->get_bytes, w.plan.bytes_read);
    for (uint32_t i = 0; i < 200; i++) {
        CHECK(wants[i].status == DREAMDB_OK && memcmp(wants[i].object.data, data + i * 100, wants[i].object.size) == 0);
        ddb_object_release(w.env, &wants[i].object);
    }
    CHECK(ddb_object_get_many(test_ctx(), w.env, wants, 200) == DREAMDB_OK);
    CHECK_EQ_U64(w.plan.waves, 1);
    for (uint32_t i = 0; i < 200; i++) { ddb_object_release(w.env, &wants[i].object); }
    world_again(&w);
    w.plan.flip_at = 100;
    w.plan.cut_at = 58;
    CHECK(ddb_object_get_many(test_ctx(), w.env, wants, 200) == DREAMDB_ERR_CORRUPT);
    CHECK_STR(test_error.path, paths[57]);                   /* the first in order */
    for (uint32_t i = 0; i < 200; i++) { CHECK(!wants[i].object.hold); }
    world_again(&w);
    w.plan.flip_at = 100;
    CHECK(ddb_object_get_each(test_ctx(), w.env, wants, 200) == DREAMDB_OK);
    for (uint32_t i = 0; i < 200; i++) {
        CHECK(wants[i].status == (i == 99 ? DREAMDB_ERR_CORRUPT : DREAMDB_OK));
        ddb_object_release(w.env, &wants[i].object);
    }
    CHECK(ddb_object_get_many(test_ctx(), w.env, wants, 200) == DREAMDB_OK);   /* the damaged answer was not kept */
    CHECK_EQ_U64(w.plan.gets, 201);
    for (uint32_t i = 0; i < 200; i++) { ddb_object_release(w.env, &wants[i].object); }
    w.plan.fail_at = w.plan.operations + 1;
    wants[3].flags = DDB_OBJECT_NO_CACHE;
    CHECK(ddb_object_get_many(test_ctx(), w.env, wants, 200) == DREAMDB_ERR_STORE);
    CHECK(strcmp(test_error.path, paths[3]) == 0 && strstr(test_error.message, "as planned"));
    CHECK(ddb_object_get_many(test_ctx(), w.env, NULL, 0) == DREAMDB_OK);
    world_close(&w);
    CHECK_EQ_U64(test_live_bytes(), before);
}

static void sizes_and_limits(void)
{
    world w;
    ddb_addr addr;
    ddb_object_want want;
    ddb_object object;
    world_open(&w);
    w.config.limits.object_bytes = 1000;
    world_env(&w);
    char path[200];
    (void)snprintf(path, sizeof path, "%s", put_object(&w, "f", data, 1000, 0, &addr));
    memset(&want, 0, sizeof want);
    want.path = path;
    want.addr = addr;
    static const uint64_t wrong[] = { 1, 999, 1001, UINT64_MAX };
    for (int cached = 0; cached < 2; cached++) {
        for (int i = 0; i < 4; i++) {
            want.size = wrong[i];
            dreamdb_status status = ddb_object_get_many(test_ctx(), w.env, &want, 1);
            CHECK(status == (wrong[i] > 1000 ? DREAMDB_ERR_LIMIT : DREAMDB_ERR_CORRUPT) && strstr(test_error.message, path) && !want.object.hold);
        }
        want.size = 1000;
        CHECK(ddb_object_get_many(test_ctx(), w.env, &want, 1) == DREAMDB_OK);
        ddb_object_release(w.env, &want.object);
    }
    (void)snprintf(path, sizeof path, "%s", put_object(&w, "f", data, 1001, 0, &addr));
    CHECK(ddb_object_get(test_ctx(), w.env, path, &addr, 0, &object) == DREAMDB_ERR_LIMIT);
    CHECK(strstr(test_error.message, "limits.object_bytes") && strstr(test_error.message, path));
    CHECK(w.plan.bytes_read < 20 * 1002);                    /* asked for no more than it may have */
    uint8_t out[10];
    CHECK(ddb_object_range(test_ctx(), w.env, path, &addr, 1001, 995, 6, out) == DREAMDB_OK);   /* ranges of large objects are fine */
    CHECK_BYTES(out, data + 995, 6);
    CHECK(ddb_object_range(test_ctx(), w.env, path, &addr, 0, 995, 6, out) == DREAMDB_OK);
    CHECK_BYTES(out, data + 995, 6);
    world_close(&w);
}

static void twice_in_one_call(void)
{
    world w;
    ddb_addr addr;
    ddb_object_want wants[4];
    char path[200], again[200];
    world_open(&w);
    world_env(&w);
    (void)snprintf(path, sizeof path, "%s", put_object(&w, "f", data, 5000, 0, &addr));
    (void)snprintf(again, sizeof again, "%s", put_object(&w, "g", data, 5000, 0, &addr));
    memset(wants, 0, sizeof wants);
    for (int i = 0; i < 4; i++) {
        wants[i].path = i == 2 ? again : path;
        wants[i].addr = addr;
    }
    wants[1].size = 5000;
    wants[3].size = 4999;
    CHECK(ddb_object_get_each(test_ctx(), w.env, wants, 4) == DREAMDB_OK);
    CHECK_EQ_U64(w.plan.gets, 1);
    for (int i = 0; i < 3; i++) {
        CHECK(wants[i].status == DREAMDB_OK && wants[i].object.size == 5000);
        ddb_object_release(w.env, &wants[i].object);
    }
    CHECK(wants[3].status == DREAMDB_ERR_CORRUPT && !wants[3].object.hold);
    CHECK(inner_put(&w, again, data, 4000) == 0);            /* verify looks at every copy */
    for (int i = 0; i < 4; i++) {
        wants[i].flags = DDB_OBJECT_NO_CACHE;
        wants[i].size = 0;
    }
    CHECK(ddb_object_get_each(test_ctx(), w.env, wants, 4) == DREAMDB_OK);
    CHECK_EQ_U64(w.plan.gets, 3);
    for (int i = 0; i < 4; i++) {
        CHECK(wants[i].status == (i == 2 ? DREAMDB_ERR_CORRUPT : DREAMDB_OK));
        ddb_object_release(w.env, &wants[i].object);
    }
    world_close(&w);
}

static void verify_off(void)
{
    world w;
    ddb_addr addr;
    ddb_object object;
    char path[200];
    uint8_t out[100];
    world_open(&w);
    w.config.verify_off = 1;
    world_env(&w);
    (void)snprintf(path, sizeof path, "%s", put_object(&w, "f", data, 50000, DDB_PUT_OUTBOARD, &addr));
    data[30000] ^= 1;
    CHECK(inner_put(&w, path, data, 50000) == 0);
    CHECK(ddb_object_get(test_ctx(), w.env, path, &addr, 0, &object) == DREAMDB_OK && memcmp(object.data, data, 50000) == 0);   /* nobody vouches */
    ddb_object_release(w.env, &object);
    CHECK(ddb_object_get(test_ctx(), w.env, path, &addr, DDB_OBJECT_METADATA, &object) == DREAMDB_ERR_CORRUPT);   /* not out of the cache either */
    world_again(&w);
    CHECK(ddb_object_range(test_ctx(), w.env, path, &addr, 50000, 29990, 100, out) == DREAMDB_OK);
    CHECK_BYTES(out, data + 29990, 100);
    CHECK_EQ_U64(w.plan.gets, 1);                            /* no outboard */
    CHECK_EQ_U64(w.plan.bytes_read, 100);
    CHECK(inner_put(&w, path, data, 30000) == 0);
    CHECK(ddb_object_range(test_ctx(), w.env, path, &addr, 50000, 29990, 100, out) == DREAMDB_ERR_CORRUPT);   /* a cut is seen all the same */
    data[30000] ^= 1;
    world_close(&w);
}

/* ---- Cache ---- */

static void cache_cap(void)
{
    size_t before = test_live_bytes();
    world w;
    ddb_addr addrs[60];
    char paths[60][100];
    ddb_object object, held;
    world_open(&w);
    w.config.cache_bytes = 100000;
    world_env(&w);
    for (int i = 0; i < 60; i++) { (void)snprintf(paths[i], sizeof paths[i], "%s", put_object(&w, "c", data + i, 5000, 0, addrs + i)); }
    CHECK(ddb_object_get(test_ctx(), w.env, paths[0], addrs, 0, &held) == DREAMDB_OK);
    for (int i = 0; i < 60; i++) {
        CHECK(ddb_object_get(test_ctx(), w.env, paths[i], addrs + i, 0, &object) == DREAMDB_OK && memcmp(object.data, data + i, 5000) == 0);
        ddb_object_release(w.env, &object);
        CHECK(w.env->cache->shelf.bytes <= 100000);
    }
    CHECK(w.env->cache->shelf.count >= 17 && w.env->cache->shelf.count <= 20);
    CHECK_BYTES(held.data, data, 5000);                      /* in use: it outlives its place in the cache */
    uint64_t gets = w.plan.gets;
    CHECK(ddb_object_get(test_ctx(), w.env, paths[0], addrs, 0, &object) == DREAMDB_OK);
    CHECK_EQ_U64(w.plan.gets, gets + 1);
    ddb_object_release(w.env, &object);
    ddb_object_release(w.env, &held);
    world_close(&w);
    CHECK_EQ_U64(test_live_bytes(), before);
}

#ifndef DREAMDB_NO_THREADS
typedef struct hammer { ddb_env *env; char (*paths)[100]; const ddb_addr *addrs; uint64_t seed; int bad; } hammer;
static void *hammer_run(void *user)
{
    hammer *h = (hammer *)user;
    dreamdb_error error;
    ddb_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    ctx.allocator = test_allocator();
    ctx.error = &error;
    for (int round = 0; round < 300; round++) {
        ddb_object_want wants[8];
        uint8_t out[64];
        memset(wants, 0, sizeof wants);
        for (int i = 0; i < 8; i++) {
            h->seed = h->seed * 6364136223846793005u + 1442695040888963407u;
            size_t which = (size_t)(h->seed >> 33) % 60;
            wants[i].path = h->paths[which];
            wants[i].addr = h->addrs[which];
        }
        h->bad += ddb_object_get_many(&ctx, h->env, wants, 8) != DREAMDB_OK;
        for (int i = 0; i < 8; i++) {
            ddb_addr is;
            ddb_addr_of(0, ddb_bytes_slice(wants[i].object.data, wants[i].object.size), &is);
            h->bad += !ddb_addr_equal(&is, &wants[i].addr);
            ddb_object_release(h->env, &wants[i].object);
        }
        h->bad += ddb_object_range(&ctx, h->env, wants[0].path, &wants[0].addr, 0, 77, 64, out) != DREAMDB_OK;
    }
    return NULL;
}

static void threads_share_a_handle(void)
{
    size_t before = test_live_bytes();
    world w;
    static ddb_addr addrs[60];
    static char paths[60][100];
    pthread_t threads[4];
    hammer h[4];
    world_open(&w);
    w.config.cache_bytes = 60000;
    w.store.close(w.store.user);
    w.store = w.inner;                                       /* the fault store is for one thread */
    world_env(&w);
    for (int i = 0; i < 60; i++) { (void)snprintf(paths[i], sizeof paths[i], "%s", put_object(&w, "c", data + i, 1000 + (size_t)i * 50, DDB_PUT_OUTBOARD, addrs + i)); }
    for (int i = 0; i < 4; i++) {
        h[i].env = w.env;
        h[i].paths = paths;
        h[i].addrs = addrs;
        h[i].seed = (uint64_t)i + 99;
        h[i].bad = 0;
        CHECK(pthread_create(threads + i, NULL, hammer_run, h + i) == 0);
    }
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
        CHECK_EQ_U64(h[i].bad, 0);
    }
    CHECK(w.env->cache->shelf.bytes <= 60000);
    ddb_object_env_close(test_ctx(), w.env);
    dreamdb_store_close(&w.inner);
    CHECK_EQ_U64(test_live_bytes(), before);
}
#endif

/* ---- Ranges ---- */

static void ranges_at_every_edge(void)
{
    size_t before = test_live_bytes();
    static const size_t sizes[] = { 1, 1023, 1024, 1025, 2048, 2049, 16384, 16385, 31744, 65537, 100000, 299999 };
    static uint8_t out[DATA + 1];
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        world w;
        ddb_addr addr;
        char path[200];
        size_t n = sizes[s];
        world_open(&w);
        w.config.cache_bytes = 1;                            /* nothing is kept: each range is proved anew */
        world_env(&w);
        (void)snprintf(path, sizeof path, "%s", put_object(&w, "r", data, n, DDB_PUT_OUTBOARD, &addr));
        CHECK_EQ_U64(inner_size(&w, outboard_path(&addr)), ddb_hash_outboard_size(n));
        for (int round = 0; round < 60; round++) {
            size_t edges[] = { 0, 1, 1023, 1024, 1025, 2047, 2048, n / 2, n - 1, n, n - n % 1024, test_rand() % (n + 1), test_rand() % (n + 1) };
            size_t a = edges[test_rand() % 13], b = edges[test_rand() % 13];
            a = a < n ? a : n;
            b = b < n ? b : n;
            size_t from = a < b ? a : b, size = a < b ? b - a : a - b;
            uint64_t waves = w.env->waves, bytes = w.env->get_bytes;
            memset(out, 0xee, size + 1);
            CHECK(ddb_object_range(test_ctx(), w.env, path, &addr, round % 2 ? n : 0, from, size, out) == DREAMDB_OK);
            CHECK(memcmp(out, data + from, size) == 0 && out[size] == 0xee);
            CHECK(w.env->waves - waves == (size > 0 ? 1u : 0u));                  /* the outboard comes in the same wave */
            CHECK(w.env->get_bytes - bytes <= (n <= 16384 || size >= n / 2 ? n : size + 2048) + ddb_hash_outboard_size(n));
        }
        CHECK(ddb_object_range(test_ctx(), w.env, path, &addr, n, n, 1, out) == DREAMDB_ERR_CORRUPT && strstr(test_error.message, path));
        CHECK(ddb_object_range(test_ctx(), w.env, path, &addr, 0, n, 1, out) == DREAMDB_ERR_CORRUPT);
        CHECK(ddb_object_range(test_ctx(), w.env, path, &addr, 0, n / 2, n + 1, out) == DREAMDB_ERR_CORRUPT);
        CHECK(ddb_object_range(test_ctx(), w.env, path, &addr, 0, UINT64_MAX, 5, out) == DREAMDB_ERR_CORRUPT);
        CHECK(ddb_object_range(test_ctx(), w.env, path, &addr, 0, UINT64_MAX - 10, 5, out) == DREAMDB_ERR_CORRUPT);
        CHECK(ddb_object_range(test_ctx(), w.env, path, &addr, n + 1, 0, 1, out) == DREAMDB_ERR_CORRUPT);
        world_close(&w);
    }
    CHECK_EQ_U64(test_live_bytes(), before);
}

/* A bit flipped anywhere in the chunks of the range is found; elsewhere it does not matter. */
static void flipped_bits_in_ranges(void)
{
    world w;
    ddb_addr addr;
    char path[200];
    uint8_t out[3000];
    size_t n = 100000;
    world_open(&w);
    world_env(&w);
    (void)snprintf(path, sizeof path, "%s", put_object(&w, "r", data, n, DDB_PUT_OUTBOARD, &addr));
    for (int round = 0; round < 100; round++) {
        size_t at = 30 * 1024 + test_rand() % (10 * 1024), from = 30 * 1024 + test_rand() % (7 * 1024);
        world_again(&w);
        data[at] ^= (uint8_t)(1u << round % 8);
        CHECK(inner_put(&w, path, data, n) == 0);
        data[at] ^= (uint8_t)(1u << round % 8);
        memset(out, 0, sizeof out);
        dreamdb_status status = ddb_object_range(test_ctx(), w.env, path, &addr, n, from, 3000, out);
        bool inside = at / 1024 >= from / 1024 && at / 1024 <= (from + 2999) / 1024;
        CHECK(status == (inside ? DREAMDB_ERR_CORRUPT : DREAMDB_OK));
        CHECK(inside || memcmp(out, data + from, 3000) == 0);
    }
    world_close(&w);
}

static void outboards_that_are_wrong(void)
{
    size_t n = 100000, size = ddb_hash_outboard_size(n);
    uint8_t *good = (uint8_t *)malloc(size + 64), root[32], out[100];
    for (int kind = 0; kind < 9; kind++) {
        for (int damaged = 0; damaged < 2; damaged++) {
            world w;
            ddb_addr addr;
            char path[200];
            world_open(&w);
            world_env(&w);
            (void)snprintf(path, sizeof path, "%s", put_object(&w, "r", data, n, DDB_PUT_OUTBOARD, &addr));
            ddb_hash_outboard(0, data, n, good, root);
            size_t have = size;
            switch (kind) {
            case 0: break;                                   /* right */
            case 1: have = 0; break;
            case 2: have = 7; break;
            case 3: have = 8; break;                         /* "outboard for a N-byte subject is 8 bytes" */
            case 4: have = size - 1; break;
            case 5: memset(good + size, 0, 64); have = size + 64; break;
            case 6: ddb_bytes_set_le64(good, n + 1); break;  /* wrong length, right size */
            case 7: ddb_bytes_set_le64(good, UINT64_MAX); break;
            default: good[8 + 5] ^= 1; break;                /* the root's parent node */
            }
            CHECK(inner_put(&w, outboard_path(&addr), good, have) == 0);
            if (kind == 1) { CHECK(w.inner.remove(w.inner.user, outboard_path(&addr)) == 0); }
            if (damaged) {
                data[50005] ^= 1;
                CHECK(inner_put(&w, path, data, n) == 0);
                data[50005] ^= 1;
            }
            for (int known = 0; known < 2; known++) {
                world_again(&w);
                dreamdb_status status = ddb_object_range(test_ctx(), w.env, path, &addr, known ? n : 0, 50000, 100, out);
                CHECK(status == (damaged ? DREAMDB_ERR_CORRUPT : DREAMDB_OK));
                CHECK(damaged || memcmp(out, data + 50000, 100) == 0);
                bool proved = !damaged && (kind == 0 || (kind == 6 && !known));   /* 6: the same tree, so its nodes prove the range all the same */
                CHECK_EQ_U64(w.env->waves, proved ? 1 : 2);  /* else the whole object and its hash decide */
                CHECK(!damaged || strcmp(test_error.path, path) == 0);
                w.plan.waves = 0;
                if (!damaged && kind == 0) {                 /* the proved outboard is kept */
                    CHECK(ddb_object_range(test_ctx(), w.env, path, &addr, n, 70000, 100, out) == DREAMDB_OK && memcmp(out, data + 70000, 100) == 0);
                    CHECK_EQ_U64(w.plan.gets, 3);
                }
            }
            world_close(&w);
        }
    }
    free(good);
}

static void many_ranges_one_wave(void)
{
    size_t before = test_live_bytes();
    world w;
    ddb_addr addrs[10];
    char paths[10][100];
    ddb_object_piece pieces[100];
    static uint8_t out[100][500];
    for (int missing = 0; missing < 3; missing++) {          /* all outboards, none, all but some objects damaged */
        world_open(&w);
        world_env(&w);
        for (int i = 0; i < 10; i++) {
            size_t n = i < 2 ? 4000 : 30000 + (size_t)i * 20000;
            (void)snprintf(paths[i], sizeof paths[i], "%s", put_object(&w, "m", data + i, n, missing == 1 ? 0u : (uint32_t)DDB_PUT_OUTBOARD, addrs + i));
        }
        memset(pieces, 0, sizeof pieces);
        for (int i = 0; i < 100; i++) {
            int which = i % 10;
            size_t n = which < 2 ? 4000 : 30000 + (size_t)which * 20000;
            pieces[i].path = paths[which];
            pieces[i].addr = addrs[which];
            pieces[i].total = i % 3 ? n : 0;
            pieces[i].size = 1 + (size_t)test_rand() % 500;
            pieces[i].offset = test_rand() % (n - pieces[i].size + 1);
            pieces[i].out = out[i];
        }
        world_again(&w);
        if (missing == 2) { CHECK(inner_put(&w, paths[7], data, 1000) == 0); }
        dreamdb_status status = ddb_object_range_many(test_ctx(), w.env, pieces, 100);
        CHECK(status == (missing == 2 ? DREAMDB_ERR_CORRUPT : DREAMDB_OK));
        CHECK(missing != 2 || strcmp(test_error.path, paths[7]) == 0);
        CHECK_EQ_U64(w.env->waves, missing == 0 ? 1 : 2);
        for (int i = 0; i < 100; i++) {
            bool bad = missing == 2 && i % 10 == 7;
            CHECK(pieces[i].status == (bad ? DREAMDB_ERR_CORRUPT : DREAMDB_OK));
            CHECK(bad || memcmp(out[i], data + i % 10 + pieces[i].offset, pieces[i].size) == 0);
        }
        CHECK(ddb_object_range_many(test_ctx(), w.env, NULL, 0) == DREAMDB_OK);
        world_close(&w);
    }
    CHECK_EQ_U64(test_live_bytes(), before);
}

/* Objects too large to be held, without an outboard: hashed piece by piece, once for all the ranges in them. */
static void large_objects_are_streamed(void)
{
    world w;
    ddb_addr addr;
    char path[200], text[DREAMDB_ADDRESS_TEXT];
    size_t n = 9u << 20;
    uint8_t *big = (uint8_t *)malloc(n);
    static uint8_t out[3][5000];
    ddb_object_piece pieces[3];
    for (size_t i = 0; i < n; i++) { big[i] = (uint8_t)(i * 31 ^ i >> 11); }
    world_open(&w);
    w.config.limits.object_bytes = 1 << 20;
    world_env(&w);
    ddb_addr_of(ddb_cpu_detect(), ddb_bytes_slice(big, n), &addr);
    ddb_addr_text(&addr, text);
    (void)snprintf(path, sizeof path, "big/%s", text);
    for (int kind = 0; kind < 4; kind++) {                   /* right; a bit flipped far from the ranges; cut; longer */
        if (kind == 1) { big[n - 5] ^= 1; }
        CHECK(inner_put(&w, path, big, kind == 2 ? n - 1 : n) == 0);
        if (kind == 1) { big[n - 5] ^= 1; }
        for (int known = 0; known < 2; known++) {
            memset(pieces, 0, sizeof pieces);
            for (int i = 0; i < 3; i++) {
                pieces[i].path = path;
                pieces[i].addr = addr;
                pieces[i].total = known ? (kind == 3 ? n + 1 : n) : 0;
                pieces[i].size = 5000;
                pieces[i].offset = (uint64_t)i * ((4u << 20) - 1000);             /* across the pieces too */
                pieces[i].out = out[i];
            }
            memset(out, 9, sizeof out);
            world_again(&w);
            dreamdb_status status = ddb_object_range_many(test_ctx(), w.env, pieces, 3);
            bool fine = kind == 0 || (kind == 3 && !known);
            CHECK(status == (fine ? DREAMDB_OK : DREAMDB_ERR_CORRUPT));
            for (int i = 0; i < 3; i++) {
                CHECK(pieces[i].status == status);
                CHECK(fine ? memcmp(out[i], big + pieces[i].offset, 5000) == 0 : out[i][0] == 0 && out[i][4999] == 0);
            }
            CHECK(w.env->get_bytes < n + (4u << 20));        /* once, not once a range */
        }
    }
    free(big);
    world_close(&w);
}

/* ---- Puts ---- */

static void outboards_as_asked(void)
{
    static const struct { size_t length; const char *address, *outboard; } golden[] = {    /* made by the reference */
        { 0, "d2xrgsnz6x42djvaibg6unw4zfezxszfzgw4cevxzsnjhsxed4zge", "dzy6bkmronlesmoaxcwmkljgqwuohhde3rjohubdsd62ykqswfk4w" },
        { 1, "dywtvxw76enwd4kmrbxdll5agzzw3tmhu5gspnobkebcluhvslrbg", "dyna2eqbngm6i5uj3lsxitjlrqmqh6xxziuinjsycuaigeao6leo4" },
        { 64, "dzho24kb5jffzvfxrbqgxur7i3rbfl44vtv2zxd5d5gg3r7skenzq", "d2l37w5tubuanfkxckgiorvy3ernnwulfrb2kr5bl5s3y5g3selw4" },
        { 1023, "dyibbclq53nd5ojsxkwbikghuildwdusjsnj4jntlo5hfmupoc6rc", "dyce5nqtiasu53bwyxtgx6h63etv73422geu7cxfkiq2tdk6exrfk" },
        { 1024, "dzbccrzz6ck2ibxt7sb55oejorfmadpyghaq3ksvdcnv2eq4qvnpo", "d3jh454kfobyzl3l4i6hkkhg6h335nv76beptt42r7nsoz6hiik3g" },
        { 1025, "d3iae6foi7vspm2pv3hwpnh6ey7yfvkbfelmd76zpsglp64bjocei", "dy3xeub63wb2czq7fwxellnask22cyrrkzzw4i6sls76yiwfobd7a" },
        { 2048, "d3txnnqcrr6neksnboqyfkf7miqf2lxvozdh5a4o23zffg4f7oreu", "dyydhukudvp5mbhcdrr5mms4qcjlwev6bbs3twr7pu3au5kuverwy" },
        { 2049, "dzpu24xubv5f7avrlsrlfzcldxr4f34gyqtmsxa26c3ipfjckyyda", "dzsfsur3izm34yhpfeibrybvqbixogumgwwjocbla2ew5jdgoaytg" },
        { 3072, "d24yzmh7gyr34azsnm3t3zvzbfjbquj6mty64lw5eus4pli6lt75e", "dzc4iedfaepm6m76lk64tpxg4m5ew5ezc42kwps3b2lvx7ex6ylja" },
        { 5000, "d3xhrwjaodpd34ofpq3qakv7bjvruzmjvtpo6tmp7ld46pm6r4udm", "dztnmkssya3lyqm2gdp7b32tu4e56cjgcnasg54ncusm27e2bkljy" },
        { 8193, "d25lnqe4xdhiz5czeyjzruxhv3zvoaf7jcarntvzji3nb5prw66dw", "d3w5sqsnqq3srnbvm4pdy63sr2ydjcrasnzs6dmegqqmhdjpfjcvo" },
        { 16385, "dyo2xyqwxysxraycmoyetxqwhhzz6bne3jqwxg3yy6s6jzawml6r6", "dykujmktgdugfp77c2yrlonocnr7drhpcehywxm6ciffsc27e2ils" },
        { 31744, "dzrlnfqodjclzqpldjqrvdlcgw3ljn4pglt2xrh3jrwnztuurfoeo", "dzjldnhsuexputx7gesuocam5oiwbygmvdrtggymlwulmspazqlk6" },
        { 65537, "dz6jt6mebjz57s3olp7e75wrkwfmvn7acvsapegcmqiydc634f7mu", "dyge4q4em6zgdcfuqe242yzkbarza534nywpj43xjnsbcoxjzvqsy" },
        { 100000, "d3mtyi7o3lywlj7ax2iixkdpdj5fedkwruwrhtphq7efqdc4olgfi", "d3d73pmag7wtzb3qyfueqac6ctgiewwcrajcdoaw4cymfjp7dfjnw" }
    };
    uint8_t *bytes = (uint8_t *)malloc(100000);
    for (size_t i = 0; i < 100000; i++) { bytes[i] = (uint8_t)(i % 251); }
    for (int remote = 0; remote < 3; remote++) {
        world w;
        world_open(&w);
        w.store.flags |= remote ? (uint32_t)DREAMDB_STORE_REMOTE : 0u;
        w.config.outboards_all = remote == 2;
        world_env(&w);
        for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
            ddb_addr addr, of;
            char text[DREAMDB_ADDRESS_TEXT];
            dreamdb_blob blob;
            (void)put_object(&w, "o", bytes, golden[i].length, DDB_PUT_OUTBOARD, &addr);
            ddb_addr_text(&addr, text);
            CHECK_STR(text, golden[i].address);
            int status = w.inner.get(w.inner.user, outboard_path(&addr), 0, 0, &blob);
            CHECK(status == (remote == 1 ? DREAMDB_ERR_NOT_FOUND : DREAMDB_OK));
            if (status == DREAMDB_OK) {
                ddb_addr_of(0, ddb_bytes_slice(blob.data, (size_t)blob.size), &of);
                ddb_addr_text(&of, text);
                CHECK_STR(text, golden[i].outboard);
                ddb_store_release(&blob);
            }
        }
        ddb_addr addr;
        (void)put_object(&w, "o", data, 256 * 1024, DDB_PUT_OUTBOARD, &addr);     /* worth it on a remote store too */
        CHECK(inner_size(&w, outboard_path(&addr)) == ddb_hash_outboard_size(256 * 1024));
        (void)put_object(&w, "o", data + 1, 256 * 1024, 0, &addr);
        CHECK(inner_size(&w, outboard_path(&addr)) == UINT64_MAX);
        world_close(&w);
    }
    free(bytes);
}

static void puts_in_batches(void)
{
    size_t before = test_live_bytes();
    world w;
    ddb_puts *puts = NULL;
    static ddb_addr addrs[1000];
    static const char *folders[1000];
    static ddb_slice slices[1000];
    world_open(&w);
    world_env(&w);
    CHECK(ddb_object_puts_open(test_ctx(), w.env, &puts) == DREAMDB_OK);
    for (uint32_t i = 0; i < 1000; i++) {
        folders[i] = i % 2 ? "a" : "b";
        slices[i] = ddb_bytes_slice(data + i % 500, i % 100 == 3 ? 20000 : 100 + i % 500);
    }
    CHECK(ddb_object_put_many(test_ctx(), puts, folders, slices, 1000, 0, addrs) == DREAMDB_OK);
    CHECK_EQ_U64(w.plan.waves, 0);
    CHECK_EQ_U64(puts->count, 500);                          /* once a path: i and i + 500 are the same */
    memset(data, 0, 100);                                    /* copied: the caller's bytes may change */
    CHECK(ddb_object_flush(test_ctx(), puts) == DREAMDB_OK);
    for (uint32_t i = 0; i < 100; i++) { data[i] = (uint8_t)(i * 37 + 11); }
    CHECK_EQ_U64(w.plan.waves, 1);
    CHECK_EQ_U64(w.plan.puts, puts->objects);
    CHECK_EQ_U64(w.env->puts, puts->objects);
    CHECK_EQ_U64(w.env->put_bytes, w.plan.bytes_written);
    CHECK_EQ_U64(puts->bytes, w.plan.bytes_written);
    for (uint32_t i = 0; i < 1000; i++) {
        ddb_addr want;
        char text[DREAMDB_ADDRESS_TEXT], path[100];
        ddb_addr_of(0, slices[i], &want);
        CHECK(ddb_addr_equal(&want, addrs + i));
        ddb_addr_text(addrs + i, text);
        (void)snprintf(path, sizeof path, "%s/%s", folders[i], text);
        dreamdb_blob blob;
        CHECK(w.inner.get(w.inner.user, path, 0, 0, &blob) == DREAMDB_OK && blob.size == slices[i].size);
        CHECK(blob.data && memcmp(blob.data, slices[i].data, slices[i].size) == 0);
        ddb_store_release(&blob);
    }
    CHECK(ddb_object_put_many(test_ctx(), puts, folders, slices, 1000, 0, addrs) == DREAMDB_OK && ddb_object_flush(test_ctx(), puts) == DREAMDB_OK);
    CHECK_EQ_U64(w.plan.waves, 1);                           /* remembered: nothing to do */
    puts->flush_bytes = 50000;                               /* goes out by itself */
    uint64_t objects = puts->objects;
    for (uint32_t i = 0; i < 20; i++) {
        CHECK(ddb_object_put(test_ctx(), puts, "c", ddb_bytes_slice(data + i * 3, 10000), 0, addrs) == DREAMDB_OK);
        CHECK(puts->waiting < 50000);
    }
    CHECK_EQ_U64(w.plan.waves, 5);
    CHECK_EQ_U64(puts->objects, objects + 20);
    CHECK(ddb_object_flush(test_ctx(), puts) == DREAMDB_OK);
    CHECK_EQ_U64(w.plan.waves, 5);
    ddb_object_puts_close(test_ctx(), puts);
    CHECK(ddb_object_puts_open(test_ctx(), w.env, &puts) == DREAMDB_OK);          /* another one finds them there */
    CHECK(ddb_object_put_many(test_ctx(), puts, folders, slices, 1000, 0, addrs) == DREAMDB_OK && ddb_object_flush(test_ctx(), puts) == DREAMDB_OK);
    CHECK(puts->objects == 0 && puts->bytes == 0);
    CHECK_EQ_U64(w.plan.waves, 7);                           /* the puts, the stats */
    ddb_object_puts_close(test_ctx(), puts);
    ddb_object_puts_close(test_ctx(), NULL);
    world_close(&w);
    CHECK_EQ_U64(test_live_bytes(), before);
}

static void cut_objects_are_mended(void)
{
    world w;
    ddb_addr a, b, c;
    char path[200];
    ddb_object object;
    world_open(&w);
    world_env(&w);
    (void)snprintf(path, sizeof path, "%s", put_object(&w, "m", data, 5000, DDB_PUT_OUTBOARD, &a));
    (void)put_object(&w, "m", data + 1, 5000, 0, &b);
    CHECK(inner_put(&w, path, data, 0) == 0);                /* what a power cut leaves */
    CHECK(inner_put(&w, outboard_path(&a), data, 8) == 0);
    CHECK(ddb_object_get(test_ctx(), w.env, path, &a, 0, &object) == DREAMDB_ERR_CORRUPT);
    memset(&w.plan, 0, sizeof w.plan);
    (void)put_object(&w, "m", data, 5000, DDB_PUT_OUTBOARD, &c);
    CHECK(ddb_addr_equal(&a, &c));
    CHECK_EQ_U64(w.plan.puts, 2);
    CHECK_EQ_U64(inner_size(&w, path), 5000);
    CHECK_EQ_U64(inner_size(&w, outboard_path(&a)), ddb_hash_outboard_size(5000));
    CHECK(ddb_object_get(test_ctx(), w.env, path, &a, 0, &object) == DREAMDB_OK);
    ddb_object_release(w.env, &object);
    world_close(&w);
}

static void failed_puts_stay_failed(void)
{
    for (uint64_t at = 1; at <= 3; at++) {
        world w;
        ddb_puts *puts = NULL;
        ddb_addr addr;
        world_open(&w);
        world_env(&w);
        w.plan.fail_at = at;
        CHECK(ddb_object_puts_open(test_ctx(), w.env, &puts) == DREAMDB_OK);
        for (uint32_t i = 0; i < 3; i++) { CHECK(ddb_object_put(test_ctx(), puts, "p", ddb_bytes_slice(data + i, 100), 0, &addr) == DREAMDB_OK); }
        CHECK(ddb_object_flush(test_ctx(), puts) == DREAMDB_ERR_STORE);
        CHECK(strstr(test_error.message, "as planned") && strncmp(test_error.path, "p/", 2) == 0);
        CHECK(puts->objects == 2);
        CHECK(ddb_object_flush(test_ctx(), puts) == DREAMDB_ERR_STORE && test_error.message[0]);
        CHECK(ddb_object_put(test_ctx(), puts, "p", ddb_bytes_slice(data, 50), 0, &addr) == DREAMDB_ERR_STORE);
        ddb_object_puts_close(test_ctx(), puts);
        world_close(&w);
    }
}

/* ---- Hooks, configuration ---- */

static uint64_t hook_now(void *user) { return *(uint64_t *)user; }
static int hook_random(void *user, void *out, size_t size) { (void)user; memset(out, 5, size); return size > 100; }
static int hook_progress(void *user, const dreamdb_progress *progress) { (void)user; return progress->done > 5; }

static void hooks(void)
{
    world w;
    uint64_t now = 12345;
    uint8_t out[400], again[400];
    memset(out, 0, sizeof out);
    memset(again, 0, sizeof again);
    world_open(&w);
    CHECK(ddb_object_env_open(test_ctx(), NULL, &w.env) == DREAMDB_ERR_ARGUMENT);
    CHECK(ddb_object_env_open(test_ctx(), &w.config, &w.env) == DREAMDB_ERR_ARGUMENT && !w.env);
    world_env(&w);
    CHECK(ddb_object_now(w.env) > UINT64_C(1600000000000000000));
    CHECK(ddb_object_random(test_ctx(), w.env, out, 400) == DREAMDB_OK && ddb_object_random(test_ctx(), w.env, again, 400) == DREAMDB_OK);
    CHECK(memcmp(out, again, 400) != 0 && memcmp(out + 300, again + 300, 100) != 0);
    CHECK(ddb_object_progress(test_ctx(), w.env, "append", 6, 7, "rows") == DREAMDB_OK);
    CHECK_EQ_U64(w.env->limits.object_bytes, UINT64_C(2) << 30);
    CHECK(w.env->verify && w.env->limits.depth == 64 && w.env->limits.history == 1000000 && w.env->cache_bytes == 256u << 20);
    ddb_object_env_close(test_ctx(), w.env);
    w.config.now_ns = hook_now;
    w.config.random = hook_random;
    w.config.hook_user = &now;
    w.config.progress = hook_progress;
    w.config.writer = "me";
    w.config.simd_off = 1;
    world_env(&w);
    CHECK_EQ_U64(ddb_object_now(w.env), 12345);
    CHECK(ddb_object_random(test_ctx(), w.env, out, 10) == DREAMDB_OK && out[9] == 5);
    CHECK(ddb_object_random(test_ctx(), w.env, out, 101) == DREAMDB_ERR_STORE);
    CHECK(ddb_object_progress(test_ctx(), w.env, "append", 5, 7, "rows") == DREAMDB_OK);
    CHECK(ddb_object_progress(test_ctx(), w.env, "append", 6, 7, "rows") == DREAMDB_ERR_CANCELLED && strstr(test_error.message, "append"));
    CHECK(w.env->cpu == 0 && strcmp(w.env->writer, "me") == 0);
    CHECK(ddb_object_sync(test_ctx(), w.env) == DREAMDB_OK);
    w.plan.fail_at = w.plan.operations + 1;
    CHECK(ddb_object_sync(test_ctx(), w.env) == DREAMDB_ERR_STORE && strstr(test_error.message, "as planned"));
    world_close(&w);
}

/* ---- Memory ---- */

static dreamdb_status scenario(ddb_ctx *ctx, world *w, const ddb_addr *addrs, char (*paths)[100])
{
    ddb_env *env = NULL;
    ddb_puts *puts = NULL;
    ddb_addr addr;
    ddb_object_want wants[6];
    ddb_object_piece pieces[6];
    uint8_t out[6][50];
    w->config.writer = "w";
    w->config.store = &w->inner;
    dreamdb_status status = ddb_object_env_open(ctx, &w->config, &env);
    if (status < 0) { return status; }
    memset(wants, 0, sizeof wants);
    memset(pieces, 0, sizeof pieces);
    for (int i = 0; i < 6; i++) {
        wants[i].path = pieces[i].path = paths[i];
        wants[i].addr = pieces[i].addr = addrs[i];
        pieces[i].size = 50;
        pieces[i].offset = 1000;
        pieces[i].out = out[i];
    }
    status = ddb_object_range_many(ctx, env, pieces, 6);
    for (int i = 0; i < 6 && status == DREAMDB_OK; i++) { CHECK(memcmp(out[i], data + i * 10 + 1000, 50) == 0); }
    dreamdb_status second = ddb_object_get_many(ctx, env, wants, 6);
    for (int i = 0; i < 6; i++) { ddb_object_release(env, &wants[i].object); }
    status = status < 0 ? status : second;
    second = ddb_object_puts_open(ctx, env, &puts);
    for (int i = 0; i < 4 && second == DREAMDB_OK; i++) {
        second = ddb_object_put(ctx, puts, "n", ddb_bytes_slice(data + i % 3, 3000), DDB_PUT_OUTBOARD, &addr);
    }
    second = second < 0 ? second : ddb_object_flush(ctx, puts);
    ddb_object_puts_close(ctx, puts);
    status = status < 0 ? status : second;
    ddb_object_env_close(ctx, env);
    return status;
}

static void no_memory(void)
{
    world w;
    ddb_addr addrs[6];
    char paths[6][100];
    int good = 0;
    world_open(&w);
    world_env(&w);
    for (int i = 0; i < 6; i++) {
        uint32_t flags = i % 2 ? (uint32_t)DDB_PUT_OUTBOARD : 0u;
        (void)snprintf(paths[i], sizeof paths[i], "%s", put_object(&w, "r", data + i * 10, 20000 + (size_t)i, flags, addrs + i));
    }
    ddb_object_env_close(test_ctx(), w.env);
    w.config.threads = 1;
    size_t before = test_live_bytes();
    for (long at = 1; at < 500 && !good; at++) {
        ddb_ctx *ctx = test_ctx();
        test_fail_alloc_at(at);
        dreamdb_status status = scenario(ctx, &w, addrs, paths);
        good = test_allocs < at;
        test_fail_alloc_at(0);
        CHECK(status == DREAMDB_OK || (status == DREAMDB_ERR_MEMORY && test_error.status == DREAMDB_ERR_MEMORY && test_error.message[0]));
        CHECK(!good || status == DREAMDB_OK);
        if (at < 3 || good) {                                /* what it put is gone again, so that each round does the same */
            for (int i = 0; i < 3; i++) {
                char text[DREAMDB_ADDRESS_TEXT], path[100];
                ddb_addr addr;
                ddb_addr_of(0, ddb_bytes_slice(data + i, 3000), &addr);
                ddb_addr_text(&addr, text);
                (void)snprintf(path, sizeof path, "n/%s", text);
                CHECK(w.inner.remove(w.inner.user, path) == 0 && w.inner.remove(w.inner.user, outboard_path(&addr)) == 0);
            }
        }
        if (good) { CHECK_EQ_U64(test_live_bytes(), before); }
    }
    CHECK(good);
    dreamdb_store_close(&w.store);
    dreamdb_store_close(&w.inner);
}

int main(void)
{
    for (size_t i = 0; i < DATA; i++) { data[i] = i < 100 ? (uint8_t)(i * 37 + 11) : (uint8_t)test_rand(); }
    RUN(what_is_put_is_got);
    RUN(damage_is_named);
    RUN(one_failure_of_many);
    RUN(sizes_and_limits);
    RUN(twice_in_one_call);
    RUN(verify_off);
    RUN(cache_cap);
#ifndef DREAMDB_NO_THREADS
    RUN(threads_share_a_handle);
#endif
    RUN(ranges_at_every_edge);
    RUN(flipped_bits_in_ranges);
    RUN(outboards_that_are_wrong);
    RUN(many_ranges_one_wave);
    RUN(large_objects_are_streamed);
    RUN(outboards_as_asked);
    RUN(puts_in_batches);
    RUN(cut_objects_are_mended);
    RUN(failed_puts_stay_failed);
    RUN(hooks);
    RUN(no_memory);
    return test_end("object");
}
