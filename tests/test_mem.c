/* test_mem.c - room mem: sizes that overflow, the hook's old sizes, arenas against a model, errors that say one thing in one line. */
#include "test.h"

static void sizes_that_overflow(void)
{
    static const uint64_t edges[] = { 0, 1, 2, 3, 0xffff, 0x10000, 0xffffffff, 0x100000000, 0x100000001, UINT64_MAX / 3, UINT64_MAX / 2,
        UINT64_MAX / 2 + 1, UINT64_MAX - 1, UINT64_MAX };
    enum { EDGES = sizeof edges / sizeof *edges };
    for (size_t i = 0; i < EDGES * EDGES + 3000; i++) {
        uint64_t a = i < EDGES * EDGES ? edges[i / EDGES] : test_rand() >> test_rand() % 64, got = 0;
        uint64_t b = i < EDGES * EDGES ? edges[i % EDGES] : test_rand() >> test_rand() % 64;
        size_t small = 0;
        bool fits = true;
        uint64_t product = 0, sum = 0;                       /* the stupid model: schoolbook bits with a carry watched */
        for (unsigned bit = 0; bit < 64; bit++) {
            if ((b >> bit & 1) == 0) { continue; }
            if (bit > 0 && a >> (64 - bit) != 0) { fits = false; }
            if (UINT64_MAX - product < a << bit) { fits = false; }
            product += a << bit;
        }
        CHECK(ddb_mem_mul_u64(a, b, &got) == fits && (!fits || got == product));
        bool adds = b <= UINT64_MAX - a;
        sum = a + b;
        CHECK(ddb_mem_add_u64(a, b, &got) == adds && (!adds || got == sum));
        if (sizeof(size_t) == 8) {
            CHECK(ddb_mem_mul((size_t)a, (size_t)b, &small) == fits && (!fits || small == product));
            CHECK(ddb_mem_add((size_t)a, (size_t)b, &small) == adds && (!adds || small == sum));
        }
    }
}

static void sizes_of_nothing(void)
{
    ddb_ctx *ctx = test_ctx();
    uint8_t *none = (uint8_t *)ddb_mem_alloc(ctx, 0);
    CHECK(none != NULL && test_live_bytes() == 1);
    ddb_mem_free(ctx, none, 0);
    uint64_t *zero = ddb_mem_new(ctx, uint64_t, 0);
    CHECK(zero != NULL);
    ddb_mem_drop(ctx, zero, uint64_t, 0);
    ddb_mem_free(ctx, NULL, 12345);                          /* nothing */
    uint32_t *some = ddb_mem_new(ctx, uint32_t, 1000);
    for (size_t i = 0; some && i < 1000; i++) { CHECK(some[i] == 0); }
    some = (uint32_t *)ddb_mem_resize(ctx, some, 4000, 8000);
    CHECK(some != NULL && some[999] == 0 && test_live_bytes() == 8000);
    ddb_mem_free(ctx, some, 8000);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void too_many_and_no_memory(void)
{
    ddb_arena arena = { NULL, 0 };
    ddb_ctx *ctx = test_ctx();
    CHECK(ddb_mem_array(ctx, SIZE_MAX / 4, 8) == NULL && test_error.status == DREAMDB_ERR_LIMIT);
    CHECK(strstr(test_error.message, "too many") != NULL && test_error.path[0] == 0);
    CHECK(ddb_mem_arena_array(test_ctx(), &arena, SIZE_MAX / 2, 3) == NULL && test_error.status == DREAMDB_ERR_LIMIT);
    CHECK(ddb_mem_arena_alloc(test_ctx(), &arena, SIZE_MAX - 3) == NULL && test_error.status == DREAMDB_ERR_LIMIT);
    CHECK(ddb_mem_arena_alloc(test_ctx(), &arena, (SIZE_MAX & ~(size_t)15) - 16) == NULL && test_error.status == DREAMDB_ERR_LIMIT);
    CHECK(ddb_mem_arena_copy(test_ctx(), &arena, "x", SIZE_MAX) == NULL && test_error.status == DREAMDB_ERR_LIMIT);
    CHECK(arena.head == NULL && arena.total == 0);
    test_fail_alloc_at(1);
    CHECK(ddb_mem_alloc(test_ctx(), 77) == NULL && test_error.status == DREAMDB_ERR_MEMORY && strstr(test_error.message, "77"));
    test_fail_alloc_at(1);
    CHECK(ddb_mem_arena_copy(test_ctx(), &arena, "abc", 3) == NULL && test_error.status == DREAMDB_ERR_MEMORY && arena.head == NULL);
    test_fail_alloc_at(1);
    ctx = test_ctx();
    ctx->error = NULL;                                       /* nobody listens: still no crash */
    CHECK(ddb_mem_new(ctx, uint64_t, 9) == NULL && ddb_mem_array(ctx, SIZE_MAX, 2) == NULL);
    test_fail_alloc_at(0);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Random allocations: aligned, none overlaps another, all of it freed at once; and the Nth growth fails without harm. */
static void arenas_keep_apart(void)
{
    enum { MANY = 3000 };
    static uint8_t *at[MANY];
    static size_t sizes[MANY];
    for (long fail = 0; fail < 12; fail++) {
        ddb_arena arena = { NULL, 0 };
        ddb_ctx *ctx = test_ctx();
        size_t failures = 0;
        test_fail_alloc_at(fail);
        for (size_t i = 0; i < MANY; i++) {
            sizes[i] = (size_t)(test_rand() % (i % 100 == 0 ? 20000 : 90));
            at[i] = (uint8_t *)ddb_mem_arena_array(ctx, &arena, sizes[i], 1);
            if (!at[i]) { failures++; sizes[i] = 0; continue; }
            CHECK(((uintptr_t)at[i] & 15) == 0);
            for (size_t b = 0; b < sizes[i]; b++) { if (at[i][b] != 0) { test_ok = 0; } }
            memset(at[i], (int)(i % 251), sizes[i]);
        }
        CHECK(failures == (size_t)(fail > 0 && test_allocs >= fail) && (fail == 0 || fail > 4 || failures == 1));
        test_fail_alloc_at(0);
        for (size_t i = 0; i < MANY; i++) {
            for (size_t b = 0; b < sizes[i]; b++) { if (at[i][b] != i % 251) { test_ok = 0; } }
        }
        ddb_mem_arena_free(ctx, &arena);
        ddb_mem_arena_free(ctx, &arena);                     /* empty again: nothing */
        CHECK(arena.head == NULL && arena.total == 0);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
}

static void copies_end_with_zero(void)
{
    ddb_arena arena = { NULL, 0 };
    ddb_ctx *ctx = test_ctx();
    char *text = ddb_mem_arena_copy(ctx, &arena, "a\0bc", 4), *empty = ddb_mem_arena_copy(ctx, &arena, NULL, 0);
    CHECK(text && memcmp(text, "a\0bc", 5) == 0);
    CHECK(empty && empty[0] == 0);
    for (size_t size = 0; size < 100; size++) {
        char long_text[100];
        memset(long_text, 'x', sizeof long_text);
        char *copy = ddb_mem_arena_copy(ctx, &arena, long_text, size);
        CHECK(copy && strlen(copy) == size);
    }
    ddb_mem_arena_free(ctx, &arena);
}

static void errors_are_cut_and_adopted(void)
{
    static char longest[1000];
    dreamdb_error own;
    ddb_ctx *ctx = test_ctx();
    memset(longest, 'p', sizeof longest - 1);
    CHECK(ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, longest, "%s is too long: %d", longest, 5) == DREAMDB_ERR_CORRUPT);
    CHECK(strlen(test_error.path) == sizeof test_error.path - 1 && strlen(test_error.message) == sizeof test_error.message - 1);
    CHECK(ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "no more than %u", 3u) == DREAMDB_ERR_LIMIT);
    CHECK_STR(test_error.message, "no more than 3");
    CHECK_STR(test_error.path, "");                          /* the path of an older error does not stay */
    ddb_ctx fork = ddb_mem_fork(ctx, &own);
    CHECK(own.status == DREAMDB_OK && fork.error == &own && fork.allocator.resize == ctx->allocator.resize && fork.cpu == ctx->cpu);
    CHECK(ddb_mem_adopt(ctx, &own) == DREAMDB_OK && test_error.status == DREAMDB_ERR_LIMIT);   /* a good worker leaves the error alone */
    (void)ddb_mem_fail_at(&fork, DREAMDB_ERR_STORE, "refs/main", "worker %d", 2);
    CHECK(test_error.status == DREAMDB_ERR_LIMIT);
    CHECK(ddb_mem_adopt(ctx, &own) == DREAMDB_ERR_STORE && test_error.status == DREAMDB_ERR_STORE);
    CHECK_STR(test_error.message, "worker 2");
    CHECK_STR(test_error.path, "refs/main");
    ctx->error = NULL;
    CHECK(ddb_mem_adopt(ctx, &own) == DREAMDB_ERR_STORE);
    CHECK(ddb_mem_fail(ctx, DREAMDB_ERR_MEMORY, "%s", "unheard") == DREAMDB_ERR_MEMORY);
}

#ifndef DREAMDB_NO_LIBC_ALLOC
static void libc_is_the_default(void)
{
    uint8_t *p = (uint8_t *)ddb_mem_libc(NULL, NULL, 0, 10);
    CHECK(p != NULL);
    if (p) { memset(p, 7, 10); }
    p = (uint8_t *)ddb_mem_libc(NULL, p, 10, 100000);
    CHECK(p != NULL && p[9] == 7);
    CHECK(ddb_mem_libc(NULL, p, 100000, 0) == NULL);
    CHECK(ddb_mem_libc(NULL, NULL, 0, 0) == NULL);
}
#endif

int main(void)
{
    RUN(sizes_that_overflow);
    RUN(sizes_of_nothing);
    RUN(too_many_and_no_memory);
    RUN(arenas_keep_apart);
    RUN(copies_end_with_zero);
    RUN(errors_are_cut_and_adopted);
#ifndef DREAMDB_NO_LIBC_ALLOC
    RUN(libc_is_the_default);
#endif
    return test_end("mem");
}
