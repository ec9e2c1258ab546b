/* test.h - the small harness of the white-box tests: one file a room, which sees the private half of the header.  The Makefile compiles the
   implementation once for all of them and defines TEST_WHITE (tests/white.py); `cc tests/test_cbor.c` takes it in with the test.
     static void keeps_order(void) { CHECK(1 + 1 == 2); }
     int main(void) { RUN(keeps_order); return test_end("cbor"); } */
#ifndef DREAMDB_TEST_H
#define DREAMDB_TEST_H
#define DREAMDB_IMPLEMENTATION
#define DREAMDB_TEST
#ifdef TEST_WHITE
  #include <dreamdb_white.h>
#else
  #define DREAMDB_STATIC            /* what a test does not call is dropped early: it compiles in a third of the time */
  #include "../dreamdb.h"
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_passed, test_failed, test_ok;
static const char *test_name;
#define CHECK(condition) do { if (!(condition)) { test_ok = 0; printf("%s:%d: %s: %s\n", __FILE__, __LINE__, test_name, #condition); } } while (0)
#define CHECK_EQ_U64(a, b) do { unsigned long long test_a = (unsigned long long)(a), test_b = (unsigned long long)(b); \
    if (test_a != test_b) { test_ok = 0; printf("%s:%d: %s: %s is %llu, not %llu\n", __FILE__, __LINE__, test_name, #a, test_a, test_b); } } while (0)
#define CHECK_STR(a, b) do { const char *test_a = (a), *test_b = (b); \
    if (strcmp(test_a, test_b) != 0) { test_ok = 0; printf("%s:%d: %s: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, test_name, #a, test_a, test_b); } } while (0)
#define CHECK_BYTES(a, b, size) do { if (memcmp((a), (b), (size)) != 0) { test_ok = 0; \
    printf("%s:%d: %s: the %llu bytes of %s differ\n", __FILE__, __LINE__, test_name, (unsigned long long)(size), #a); } } while (0)
#define RUN(fn) do { test_ok = 1; test_name = #fn; fn(); if (test_ok) { test_passed++; } else { test_failed++; } } while (0)

/* Allocator that counts live bytes, checks old_size, and can fail the Nth growth. */
static size_t test_live; static long test_allocs, test_fail_at; static int test_size_wrong;
static ddb_port_mutex test_lock; static int test_lock_ready;
static void *test_resize(void *user, void *old, size_t old_size, size_t new_size)
{
    size_t *head = old ? (size_t *)old - 2 : NULL;
    void *out = NULL;
    (void)user;
    if (!test_lock_ready) { test_lock_ready = 1; (void)ddb_port_mutex_init(&test_lock); }
    ddb_port_lock(&test_lock);
    if (head && head[0] != old_size) { test_size_wrong = 1; }
    if (!head && old_size != 0) { test_size_wrong = 1; }
    if (new_size == 0) {
        if (head) { test_live -= head[0]; free(head); }
    } else if (!(test_fail_at > 0 && ++test_allocs == test_fail_at)) {
        size_t before = head ? head[0] : 0;
        size_t *now = (size_t *)realloc(head, new_size + 2 * sizeof(size_t));
        if (now) { now[0] = new_size; test_live += new_size; test_live -= before; out = now + 2; }
    }
    ddb_port_unlock(&test_lock);
    return out;
}
static dreamdb_allocator test_allocator(void) { dreamdb_allocator a; a.user = NULL; a.resize = test_resize; return a; }
static void test_fail_alloc_at(long n) { test_allocs = 0; test_fail_at = n; }   /* 0 = never */
static size_t test_live_bytes(void) { return test_live; }
static dreamdb_error test_error;
static ddb_ctx test_context;
/* A fresh context with every feature of this processor; its error is test_error. */
static ddb_ctx *test_ctx(void)
{
    memset(&test_error, 0, sizeof test_error);
    test_context.allocator = test_allocator();
    test_context.error = &test_error;
    test_context.cpu = ddb_cpu_detect();
    return &test_context;
}
static uint64_t test_state = 88172645463325252u;
static uint64_t test_rand(void) { test_state ^= test_state << 13; test_state ^= test_state >> 7; test_state ^= test_state << 17; return test_state; }
static float test_randf(void) { return (float)((double)(test_rand() >> 11) / 4503599627370496.0 - 1.0); }
/* A whole file (path from the tests/ folder's parent); *size out; caller frees. */
static uint8_t *test_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    *size = 0;
    if (!f) { printf("cannot open %s\n", path); test_ok = 0; return NULL; }
    if (fseek(f, 0, SEEK_END) == 0) {
        long n = ftell(f);
        rewind(f);
        data = (uint8_t *)malloc((size_t)n + 1);
        if (data) { *size = fread(data, 1, (size_t)n, f); data[*size] = 0; }
    }
    (void)fclose(f);
    return data;
}
/* A store, one thread, the allocator above; the rest is for the test to set. */
DDB_FN dreamdb_config test_config(const dreamdb_store *on)
{
    dreamdb_config config;
    memset(&config, 0, sizeof config);
    config.store = on;
    config.allocator = test_allocator();
    config.threads = 1;
    return config;
}
static int test_end(const char *room)
{
    if (test_size_wrong) { printf("%s: a size given to the allocator was wrong\n", room); test_failed++; }
    printf("%s: %d passed, %d failed\n", room, test_passed, test_failed);
    (void)test_fail_alloc_at; (void)test_live_bytes; (void)test_rand; (void)test_randf; (void)test_file; (void)test_ctx;
    return test_failed ? 1 : 0;
}
#endif
