/* Room ref: a memory and a directory store; names, compare-and-swap, snapshot tags, listing, failures. */
#include "test.h"
#include <unistd.h>

static dreamdb_store store;
static ddb_env *env;

static void env_open(ddb_ctx *ctx, const dreamdb_store *use)
{
    dreamdb_config config = test_config(use);
    CHECK(ddb_object_env_open(ctx, &config, &env) == DREAMDB_OK);
}
static ddb_ctx *start(void)
{
    ddb_ctx *ctx = test_ctx();
    dreamdb_allocator allocator = test_allocator();
    CHECK(dreamdb_store_memory(&allocator, &store, &test_error) == DREAMDB_OK);
    env_open(ctx, &store);
    return ctx;
}
static void stop(ddb_ctx *ctx)
{
    ddb_object_env_close(ctx, env);
    dreamdb_store_close(&store);
    CHECK_EQ_U64(test_live_bytes(), 0);
}
static void put(const char *path, const void *data, size_t size)
{
    dreamdb_condition always;
    memset(&always, 0, sizeof always);
    CHECK(store.put(store.user, path, data, size, &always) == DREAMDB_OK);
}
static ddb_addr numbered(unsigned n)
{
    ddb_addr a;
    memset(&a, 0, sizeof a);
    a.bytes[0] = 0x1e;
    a.bytes[32] = (uint8_t)n;
    return a;
}
static size_t tag_body(uint8_t *out, const char *kind, const ddb_addr *addr)
{
    ddb_buf buf;
    size_t size;
    ddb_bytes_init(&buf, &test_context);
    ddb_cbor_map(&buf, 2);
    ddb_cbor_str(&buf, "kind");
    ddb_cbor_str(&buf, kind);
    ddb_cbor_str(&buf, "manifest");
    ddb_addr_write(&buf, addr);
    memcpy(out, buf.data, buf.size);
    size = buf.size;
    ddb_bytes_free(&buf);
    return size;
}

static void a_ref_is_made_moved_and_removed(void)
{
    ddb_ctx *ctx = start();
    ddb_addr a = numbered(1), b = numbered(2), c = numbered(3), got;
    char tag[DREAMDB_TAG_SIZE], old[DREAMDB_TAG_SIZE];
    dreamdb_blob blob;
    CHECK(ddb_ref_read(ctx, env, "main", &got, tag) == DREAMDB_ERR_NOT_FOUND);
    CHECK_STR(test_error.path, "refs/main");
    CHECK(strstr(test_error.message, "'main'"));
    CHECK(ddb_ref_create(ctx, env, "main", &a, NULL) == DREAMDB_OK);
    CHECK(ddb_ref_create(ctx, env, "main", &b, NULL) == DREAMDB_ERR_EXISTS);
    CHECK_STR(test_error.message, "there is a ref 'main' already");
    CHECK(ddb_ref_read(ctx, env, "main", &got, old) == DREAMDB_OK && ddb_addr_equal(&got, &a) && old[0]);
    CHECK(ddb_ref_swap(ctx, env, "main", old, &b, NULL) == DREAMDB_OK);
    CHECK(ddb_ref_swap(ctx, env, "main", old, &c, NULL) == DREAMDB_ERR_CONFLICT);
    CHECK(strstr(test_error.message, "main"));
    CHECK(ddb_ref_read(ctx, env, "main", &got, tag) == DREAMDB_OK && ddb_addr_equal(&got, &b) && strcmp(tag, old) != 0);
    CHECK(ddb_ref_swap(ctx, env, "main", tag, &c, NULL) == DREAMDB_OK);
    CHECK(ddb_ref_read(ctx, env, "main", &got, NULL) == DREAMDB_OK && ddb_addr_equal(&got, &c));
    CHECK(ddb_ref_swap(ctx, env, "other", tag, &c, NULL) == DREAMDB_ERR_CONFLICT);
    memset(&blob, 0, sizeof blob);
    CHECK(store.get(store.user, "refs/main", 0, 0, &blob) == DREAMDB_OK && blob.size == 33 && memcmp(blob.data, c.bytes, 33) == 0);
    ddb_store_release(&blob);
    CHECK(ddb_ref_delete(ctx, env, "main") == DREAMDB_OK && ddb_ref_delete(ctx, env, "main") == DREAMDB_ERR_NOT_FOUND);
    CHECK(ddb_ref_read(ctx, env, "main", &got, tag) == DREAMDB_ERR_NOT_FOUND);
    stop(ctx);
}

static void names_are_checked(void)
{
    static const char *const bad[] = { "", "A", "a b", "../x", "a//b", "a@b@c", "a@", "x.tmp-1", NULL };
    static const char *const reserved[] = { "tags", "tags/x" };
    ddb_ctx *ctx = start();
    ddb_addr a = numbered(1), got;
    char tag[DREAMDB_TAG_SIZE], name[140];
    size_t i;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(ddb_ref_read(ctx, env, bad[i], &got, tag) == DREAMDB_ERR_ARGUMENT);
        CHECK(ddb_ref_create(ctx, env, bad[i], &a, NULL) == DREAMDB_ERR_ARGUMENT);
        CHECK(ddb_ref_swap(ctx, env, bad[i], "t", &a, NULL) == DREAMDB_ERR_ARGUMENT);
        CHECK(ddb_ref_delete(ctx, env, bad[i]) == DREAMDB_ERR_ARGUMENT);
    }
    for (i = 0; i < 2; i++) {
        CHECK(ddb_ref_read(ctx, env, reserved[i], &got, tag) == DREAMDB_ERR_NOT_FOUND);
        CHECK(ddb_ref_create(ctx, env, reserved[i], &a, NULL) == DREAMDB_ERR_ARGUMENT && strstr(test_error.message, "tags/"));
        CHECK(ddb_ref_swap(ctx, env, reserved[i], "t", &a, NULL) == DREAMDB_ERR_ARGUMENT && ddb_ref_delete(ctx, env, reserved[i]) == DREAMDB_ERR_ARGUMENT);
    }
    memset(name, 'x', sizeof name);
    name[4] = '@';
    name[69] = 0;                                /* xxxx@ and 64 characters: can be read, not made */
    CHECK(ddb_ref_create(ctx, env, name, &a, NULL) == DREAMDB_ERR_ARGUMENT && ddb_ref_read(ctx, env, name, &got, tag) == DREAMDB_ERR_NOT_FOUND);
    name[64] = 0;
    CHECK(ddb_ref_create(ctx, env, name, &a, NULL) == DREAMDB_OK && ddb_ref_read(ctx, env, name, &got, tag) == DREAMDB_OK);
    CHECK(ddb_ref_create(ctx, env, "main@v1", &a, NULL) == DREAMDB_OK && ddb_ref_create(ctx, env, "main@v1", &a, NULL) == DREAMDB_ERR_EXISTS);
    stop(ctx);
}

static void bodies_of_refs_and_tags(void)
{
    ddb_ctx *ctx = start();
    ddb_addr a = numbered(1), got;
    uint8_t body[128], copy[128];
    size_t size, i, k, good = 0;
    size = tag_body(body, "dreamdb.snapshot-tag.v1", &a);
    CHECK_EQ_U64(size, 74);                      /* as the reference counted it */
    put("refs/tags/v1", body, size);
    CHECK(ddb_ref_read(ctx, env, "tags/v1", &got, NULL) == DREAMDB_OK && ddb_addr_equal(&got, &a));
    for (i = 0; i <= size; i++) {                /* cut anywhere, and one byte more */
        put("refs/x", body, i);
        CHECK(ddb_ref_read(ctx, env, "x", &got, NULL) == (i == size ? DREAMDB_OK : DREAMDB_ERR_CORRUPT));
        CHECK(i == size || (strcmp(test_error.path, "refs/x") == 0 && strstr(test_error.message, "malformed")));
    }
    body[size] = 0;
    put("refs/x", body, size + 1);
    CHECK(ddb_ref_read(ctx, env, "x", &got, NULL) == DREAMDB_ERR_CORRUPT);
    for (i = 0; i < size; i++) {
        for (k = 1; k < 256; k += 9) {
            memcpy(copy, body, size);
            copy[i] = (uint8_t)(copy[i] + k);
            dreamdb_status status = ddb_ref_body(ctx, ddb_bytes_slice(copy, size), "refs/x", &got);
            CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_CORRUPT);
            CHECK(status == DREAMDB_ERR_CORRUPT || i >= size - 32);      /* only the hash may differ */
            good += status == DREAMDB_OK;
        }
    }
    CHECK(good > 100);
    size = tag_body(body, "dreamdb.snapshot-tag.v2", &a);
    put("refs/x", body, size);
    CHECK(ddb_ref_read(ctx, env, "x", &got, NULL) == DREAMDB_ERR_CORRUPT);
    put("refs/x", a.bytes, 33);
    CHECK(ddb_ref_read(ctx, env, "x", &got, NULL) == DREAMDB_OK);
    a.bytes[0] = 0x1f;
    put("refs/x", a.bytes, 33);
    CHECK(ddb_ref_read(ctx, env, "x", &got, NULL) == DREAMDB_ERR_CORRUPT);
    {
        uint8_t *big = (uint8_t *)calloc(1, 1000000);       /* never read whole */
        put("refs/x", big, 1000000);
        CHECK(ddb_ref_read(ctx, env, "x", &got, NULL) == DREAMDB_ERR_CORRUPT);
        free(big);
    }
    stop(ctx);
}

static void refs_are_listed_in_order(void)
{
    static const char *const names[] = { "z", "main", "main@v1", "a/b", "a-b", "tags/t", "m0", "m10", "m2" };
    static const char *const want[] = { "a-b", "a/b", "m0", "m10", "m2", "main", "main@v1", "tags/t", "z" };
    ddb_ctx *ctx = start();
    ddb_addr a = numbered(1);
    ddb_arena arena;
    ddb_ref_entry *list = NULL;
    uint8_t body[128];
    size_t count = 7, i, size = tag_body(body, "dreamdb.snapshot-tag.v1", &a);
    char path[64];
    memset(&arena, 0, sizeof arena);
    CHECK(ddb_ref_list(ctx, env, &arena, &list, &count, NULL) == DREAMDB_OK && count == 0);
    for (i = 0; i < 9; i++) {
        a = numbered((unsigned)names[i][0]);
        (void)snprintf(path, sizeof path, "refs/%s", names[i]);
        put(path, i == 5 ? body : a.bytes, i == 5 ? size : 33);
    }
    put("refs/x.half", "half", 4);
    put("refs/nfs.bak", "x", 1);
    put("manifests/x", "x", 1);
    CHECK(ddb_ref_list(ctx, env, &arena, &list, &count, NULL) == DREAMDB_OK);
    CHECK_EQ_U64(count, 9);
    for (i = 0; i < count && i < 9; i++) {
        CHECK_STR((const char *)list[i].name.data, want[i]);
        CHECK(list[i].address.bytes[32] == (strcmp(want[i], "tags/t") == 0 ? 1 : want[i][0]));
        CHECK(list[i].is_tag == (strcmp(want[i], "tags/t") == 0 || strcmp(want[i], "main@v1") == 0));
    }
    for (i = 0; i < 200; i++) {
        a = numbered((unsigned)i);
        (void)snprintf(path, sizeof path, "refs/n%03u", (unsigned)i);
        put(path, a.bytes, 33);
    }
    CHECK(ddb_ref_list(ctx, env, &arena, &list, &count, NULL) == DREAMDB_OK);
    CHECK_EQ_U64(count, 209);
    for (i = 1; i < count; i++) { CHECK(ddb_bytes_compare(list[i - 1].name, list[i].name) < 0); }
    put("refs/bad", "short", 5);
    CHECK(ddb_ref_list(ctx, env, &arena, &list, &count, NULL) == DREAMDB_OK);
    CHECK_EQ_U64(count, 210);
    for (i = 0; i < count; i++) { CHECK(list[i].bad == (strcmp((const char *)list[i].name.data, "bad") == 0)); }
    ddb_mem_arena_free(ctx, &arena);
    stop(ctx);
}

/* A listing that names a ref which is gone, and one that cannot be read. */
static int (*real_list)(void *, const char *, dreamdb_list_fn, void *);
static int (*real_get)(void *, const char *, uint64_t, uint64_t, dreamdb_blob *);
static int get_status;
static int odd_list(void *user, const char *prefix, dreamdb_list_fn each, void *each_user)
{
    dreamdb_stat stat;
    memset(&stat, 0, sizeof stat);
    (void)each(each_user, "refs/gone", &stat);
    (void)each(each_user, "refs/", &stat);
    (void)each(each_user, "objects/x", &stat);
    (void)each(each_user, "ref", &stat);
    (void)each(each_user, "refs/y.tmp-1-2", &stat);
    return real_list(user, prefix, each, each_user);
}
static int odd_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    return strcmp(path, "refs/gone") == 0 ? get_status : real_get(user, path, offset, size, out);
}

static void refs_that_vanish_are_left_out(void)
{
    ddb_ctx *ctx = start();
    ddb_addr a = numbered(1);
    ddb_arena arena;
    ddb_ref_entry *list = NULL;
    size_t count = 0;
    memset(&arena, 0, sizeof arena);
    put("refs/main", a.bytes, 33);
    put("refs/a", a.bytes, 33);
    real_list = env->store.list;
    real_get = env->store.get;
    env->store.list = odd_list;
    env->store.get = odd_get;
    env->store.batch = NULL;
    get_status = DREAMDB_ERR_NOT_FOUND;
    CHECK(ddb_ref_list(ctx, env, &arena, &list, &count, NULL) == DREAMDB_OK);
    CHECK(count == 2 && ddb_bytes_is(list[0].name, "a") && ddb_bytes_is(list[1].name, "main"));
    get_status = DREAMDB_ERR_STORE;
    CHECK(ddb_ref_list(ctx, env, &arena, &list, &count, NULL) == DREAMDB_ERR_STORE);
    CHECK_STR(test_error.path, "refs/gone");
    ddb_mem_arena_free(ctx, &arena);
    stop(ctx);
}

static void a_store_without_tags_cannot_move_refs(void)
{
    ddb_ctx *ctx = start();
    ddb_addr a = numbered(1), got;
    char tag[DREAMDB_TAG_SIZE];
    CHECK(ddb_ref_create(ctx, env, "main", &a, NULL) == DREAMDB_OK && ddb_ref_read(ctx, env, "main", &got, tag) == DREAMDB_OK);
    CHECK(ddb_ref_swap(ctx, env, "main", "", &a, NULL) == DREAMDB_ERR_UNSUPPORTED);
    env->store.flags &= ~(uint32_t)DREAMDB_STORE_HAS_TAGS;
    CHECK(ddb_ref_swap(ctx, env, "main", tag, &a, NULL) == DREAMDB_ERR_UNSUPPORTED && strstr(test_error.message, "HAS_TAGS"));
    stop(ctx);
}

static void a_directory_keeps_refs_too(void)
{
    char folder[] = "/tmp/ddb-test-ref-XXXXXX", path[64];
    ddb_ctx *ctx = test_ctx();
    dreamdb_directory dir;
    ddb_addr a = numbered(1), b = numbered(2), got;
    char tag[DREAMDB_TAG_SIZE], old[DREAMDB_TAG_SIZE];
    ddb_arena arena;
    ddb_ref_entry *list = NULL;
    size_t count = 0;
    memset(&arena, 0, sizeof arena);
    memset(&dir, 0, sizeof dir);
    CHECK(mkdtemp(folder) != NULL);
    dir.path = folder;
    dir.durability = DREAMDB_DURABILITY_NONE;
    dir.allocator = ctx->allocator;
    CHECK(dreamdb_store_directory(&dir, &store, &test_error) == DREAMDB_OK);
    env_open(ctx, &store);
    CHECK(ddb_ref_list(ctx, env, &arena, &list, &count, NULL) == DREAMDB_OK && count == 0);
    CHECK(ddb_ref_create(ctx, env, "team/set", &a, NULL) == DREAMDB_OK && ddb_ref_create(ctx, env, "team/set", &a, NULL) == DREAMDB_ERR_EXISTS);
    CHECK(ddb_ref_read(ctx, env, "team/set", &got, old) == DREAMDB_OK && ddb_addr_equal(&got, &a));
    CHECK(ddb_ref_swap(ctx, env, "team/set", old, &b, NULL) == DREAMDB_OK && ddb_ref_swap(ctx, env, "team/set", old, &a, NULL) == DREAMDB_ERR_CONFLICT);
    CHECK(ddb_ref_read(ctx, env, "team/set", &got, tag) == DREAMDB_OK && ddb_addr_equal(&got, &b));
    CHECK(ddb_ref_create(ctx, env, "main", &a, NULL) == DREAMDB_OK);
    CHECK(ddb_ref_list(ctx, env, &arena, &list, &count, NULL) == DREAMDB_OK && count == 2 && ddb_bytes_is(list[0].name, "main") && ddb_bytes_is(list[1].name, "team/set"));
    CHECK(ddb_ref_read(ctx, env, "team", &got, tag) < 0);        /* a folder is no ref */
    CHECK(ddb_ref_delete(ctx, env, "main") == DREAMDB_OK && ddb_ref_delete(ctx, env, "team/set") == DREAMDB_OK);
    ddb_mem_arena_free(ctx, &arena);
    stop(ctx);
    (void)snprintf(path, sizeof path, "rm -rf %s", folder);
    CHECK(system(path) == 0);
}

static void every_store_failure_is_reported(void)
{
    uint64_t n;
    for (n = 1; n < 12; n++) {
        ddb_ctx *ctx = test_ctx();
        dreamdb_allocator allocator = test_allocator();
        dreamdb_store inner;
        dreamdb_fault plan;
        ddb_addr a = numbered(1), got;
        ddb_arena arena;
        ddb_ref_entry *list = NULL;
        size_t count = 0;
        char tag[DREAMDB_TAG_SIZE];
        memset(&arena, 0, sizeof arena);
        memset(&plan, 0, sizeof plan);
        CHECK(dreamdb_store_memory(&allocator, &inner, &test_error) == DREAMDB_OK);
        CHECK(dreamdb_store_fault(&inner, &plan, &allocator, &store, &test_error) == DREAMDB_OK);
        env_open(ctx, &store);
        plan.fail_at = plan.operations + n;
        plan.fail_forever = 1;
        dreamdb_status status = ddb_ref_create(ctx, env, "main", &a, NULL);
        if (status == DREAMDB_OK) { status = ddb_ref_read(ctx, env, "main", &got, tag); }
        if (status == DREAMDB_OK) { status = ddb_ref_swap(ctx, env, "main", tag, &a, NULL); }
        if (status == DREAMDB_OK) { status = ddb_ref_list(ctx, env, &arena, &list, &count, NULL); }
        if (status == DREAMDB_OK) { status = ddb_ref_delete(ctx, env, "main"); }
        CHECK(n > 7 ? status == DREAMDB_OK : status == DREAMDB_ERR_STORE && test_error.message[0]);
        ddb_mem_arena_free(ctx, &arena);
        ddb_object_env_close(ctx, env);
        dreamdb_store_close(&store);
        dreamdb_store_close(&inner);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
}

static void every_allocation_may_fail(void)
{
    long n;
    int worked = 0;
    for (n = 1; n < 100 && worked < 2; n++) {
        ddb_ctx *ctx = start();
        ddb_addr a = numbered(1), got;
        ddb_arena arena;
        ddb_ref_entry *list = NULL;
        size_t count = 0;
        char tag[DREAMDB_TAG_SIZE];
        memset(&arena, 0, sizeof arena);
        test_fail_alloc_at(n);
        dreamdb_status status = ddb_ref_create(ctx, env, "main", &a, NULL);
        if (status == DREAMDB_OK) { status = ddb_ref_read(ctx, env, "main", &got, tag); }
        if (status == DREAMDB_OK) { status = ddb_ref_swap(ctx, env, "main", tag, &a, NULL); }
        if (status == DREAMDB_OK) { status = ddb_ref_list(ctx, env, &arena, &list, &count, NULL); }
        if (status == DREAMDB_OK) { status = ddb_ref_delete(ctx, env, "main"); }
        test_fail_alloc_at(0);
        CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_MEMORY);
        worked += status == DREAMDB_OK;
        ddb_mem_arena_free(ctx, &arena);
        stop(ctx);
    }
    CHECK(worked == 2 && n > 6);
}

int main(void)
{
    RUN(a_ref_is_made_moved_and_removed);
    RUN(names_are_checked);
    RUN(bodies_of_refs_and_tags);
    RUN(refs_are_listed_in_order);
    RUN(refs_that_vanish_are_left_out);
    RUN(a_store_without_tags_cannot_move_refs);
    RUN(a_directory_keeps_refs_too);
    RUN(every_store_failure_is_reported);
    RUN(every_allocation_may_fail);
    return test_end("ref");
}
