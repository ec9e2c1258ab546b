/* records.h - a store in memory with an env over it, for the tests of items and scalars. */
#ifndef DREAMDB_TEST_RECORDS_H
#define DREAMDB_TEST_RECORDS_H
#include "test.h"

static dreamdb_store world_inner, world_store;
static dreamdb_fault world_plan;
static ddb_env *world_env;

static void world_env_open(uint64_t cache_bytes)
{
    dreamdb_config config;
    memset(&config, 0, sizeof config);
    config.store = &world_store;
    config.threads = 1;
    config.cache_bytes = cache_bytes;
    CHECK(ddb_object_env_open(test_ctx(), &config, &world_env) == DREAMDB_OK);
}

/* The store's own memory comes from libc: test_live_bytes counts only what the rooms hold. */
static void world_open(uint64_t cache_bytes)
{
    memset(&world_plan, 0, sizeof world_plan);
    CHECK(dreamdb_store_memory(NULL, &world_inner, NULL) == DREAMDB_OK);
    CHECK(dreamdb_store_fault(&world_inner, &world_plan, NULL, &world_store, NULL) == DREAMDB_OK);
    world_env_open(cache_bytes);
}

static void world_env_again(uint64_t cache_bytes)
{
    ddb_object_env_close(test_ctx(), world_env);
    world_env_open(cache_bytes);
}

static void world_close(void)
{
    ddb_object_env_close(test_ctx(), world_env);
    dreamdb_store_close(&world_store);
    dreamdb_store_close(&world_inner);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void world_put(const char *path, const void *data, size_t size)
{
    dreamdb_condition always = { DREAMDB_PUT_ALWAYS, NULL };
    CHECK(world_inner.put(world_inner.user, path, data, size, &always) == DREAMDB_OK);
}

/* Puts a changed copy of an object: one bit, or one byte less. */
static void world_damage(const char *path, size_t at, int cut)
{
    dreamdb_blob blob;
    memset(&blob, 0, sizeof blob);
    CHECK(world_inner.get(world_inner.user, path, 0, 0, &blob) == DREAMDB_OK);
    size_t size = (size_t)blob.size;
    uint8_t *copy = (uint8_t *)malloc(size + 1);
    if (copy) {
        memcpy(copy, blob.data, size);
        if (size > 0) { copy[at % size] = (uint8_t)(copy[at % size] ^ 1); }
        if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
        world_put(path, copy, cut ? size - 1 : size);
        free(copy);
    }
}

/* One object of a fixture pack: lines "PATH SIZE", the bytes, a newline. */
typedef void (*world_pack_fn)(const char *path, const void *data, size_t size);
static void world_pack(const char *file, world_pack_fn each)
{
    size_t size = 0;
    uint8_t *data = test_file(file, &size), *at = data;
    while (at && at < data + size) {
        char path[512];
        unsigned long long n = 0;
        int used = 0;
        if (sscanf((const char *)at, "%511s %llu%n", path, &n, &used) != 2) { test_ok = 0; break; }
        at += used + 1;
        each(path, at, (size_t)n);
        at += n + 1;
    }
    free(data);
}

static size_t unhex(const char *text, uint8_t *out)
{
    size_t n = 0;
    unsigned x = 0;
    while (text[2 * n] > ' ' && sscanf(text + 2 * n, "%2x", &x) == 1) { out[n++] = (uint8_t)x; }
    return n;
}
#endif
