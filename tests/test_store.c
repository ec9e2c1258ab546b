/* test_store.c - room store: one set of rules for every store, then what each has of its own; faults of the system by wrapped calls,
   crashes and races by forked processes. */
#ifndef _GNU_SOURCE
  #define _GNU_SOURCE 1
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
  #include <sys/mount.h>
#endif

/* ---- System calls that can be watched and made to fail ---- */
enum { SYS_FSYNC, SYS_SYNCFS, SYS_LINK, SYS_RENAME, SYS_WRITE, SYS_MKDIR, SYS_UNLINK, SYS_COUNT };
static int sys_fail[SYS_COUNT];                /* errno to give; 0 = work */
static int sys_times[SYS_COUNT];               /* how often to fail; 0 = for ever */
static int sys_calls[SYS_COUNT];
static int sys_short;                          /* 1: write moves one byte, and is interrupted now and then */
static const char *sys_meanwhile;              /* a file that somebody else makes while we write ours */
static int sys_trace_on;
static char sys_trace[65536];
static int sys_hits(int kind, const char *what)
{
    (void)__atomic_add_fetch(&sys_calls[kind], 1, __ATOMIC_SEQ_CST);        /* threads come here too */
    if (sys_trace_on && strlen(sys_trace) + strlen(what) + 2 < sizeof sys_trace) { strcat(sys_trace, what); strcat(sys_trace, " "); }
    if (!sys_fail[kind]) { return 0; }
    errno = sys_fail[kind];
    if (sys_times[kind] > 0 && --sys_times[kind] == 0) { sys_fail[kind] = 0; }
    return 1;
}
static const char *sys_name(int file)
{
    static char out[4200];
    char link[64];
    ssize_t n;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    n = readlink(link, out, sizeof out - 1);
    out[n > 0 ? n : 0] = 0;
    return strrchr(out, '/') ? strrchr(out, '/') : out;
}
static int sys_fsync(int file)
{
    char what[300];
    if (sys_trace_on) { (void)snprintf(what, sizeof what, "fsync%.250s", sys_name(file)); } else { what[0] = 0; }
    return sys_hits(SYS_FSYNC, what) ? -1 : fsync(file);
}
static int sys_syncfs(int file) { return sys_hits(SYS_SYNCFS, "syncfs") ? -1 : syncfs(file); }
static int sys_link(const char *a, const char *b) { return sys_hits(SYS_LINK, "link") ? -1 : link(a, b); }
static int sys_rename(const char *a, const char *b) { return sys_hits(SYS_RENAME, "rename") ? -1 : rename(a, b); }
static int sys_mkdir(const char *a, mode_t m) { return sys_hits(SYS_MKDIR, "mkdir") ? -1 : mkdir(a, m); }
static int sys_unlink(const char *a) { return sys_hits(SYS_UNLINK, "unlink") ? -1 : unlink(a); }
static ssize_t sys_write(int file, const void *data, size_t size)
{
    if (sys_hits(SYS_WRITE, "write")) { return -1; }
    if (sys_short && __atomic_load_n(&sys_calls[SYS_WRITE], __ATOMIC_SEQ_CST) % 3 == 0) { errno = EINTR; return -1; }
    if (sys_meanwhile) {
        FILE *f = fopen(sys_meanwhile, "wb");
        if (f) { (void)fputs("theirs", f); (void)fclose(f); }
        sys_meanwhile = NULL;
    }
    return write(file, data, sys_short ? 1 : size);
}
static void sys_reset(void)
{
    memset(sys_fail, 0, sizeof sys_fail);
    memset(sys_times, 0, sizeof sys_times);
    memset(sys_calls, 0, sizeof sys_calls);
    sys_short = sys_trace_on = 0;
    sys_trace[0] = 0;
}
#define fsync(f) sys_fsync(f)
#define syncfs(f) sys_syncfs(f)
#define link(a, b) sys_link(a, b)
#define rename(a, b) sys_rename(a, b)
#define mkdir(a, m) sys_mkdir(a, m)
#define unlink(a) sys_unlink(a)
#define write(f, d, s) sys_write(f, d, s)
#include "test.h"
#undef fsync
#undef syncfs
#undef link
#undef rename
#undef mkdir
#undef unlink
#undef write

/* ---- Helpers ---- */

static char scratch[256];                      /* a folder of this run; removed at the end */
static void wipe(const char *path)
{
    char command[600];
    (void)snprintf(command, sizeof command, "chmod -R u+rwx '%s' 2>/dev/null; rm -rf '%s'", path, path);
    if (system(command) != 0) { printf("cannot remove %s\n", path); }
}
static const char *folder(const char *name)
{
    static char out[8][400];
    static int turn;
    char *path = out[turn++ % 8];
    (void)snprintf(path, 400, "%s/%s", scratch, name);
    return path;
}
static int exists(const char *path) { struct stat s; return lstat(path, &s) == 0; }
static uint64_t file_size(const char *path) { struct stat s; return stat(path, &s) == 0 ? (uint64_t)s.st_size : UINT64_MAX; }
static void write_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (f) { (void)fwrite(data, 1, size, f); (void)fclose(f); } else { printf("cannot write %s\n", path); test_ok = 0; }
}

static dreamdb_store directory(const char *path, dreamdb_durability durability)
{
    dreamdb_store store;
    dreamdb_directory desc;
    dreamdb_error error;
    memset(&desc, 0, sizeof desc);
    desc.path = path;
    desc.durability = durability;
    desc.create = 1;
    desc.allocator = test_allocator();
    CHECK(dreamdb_store_directory(&desc, &store, &error) == DREAMDB_OK);
    return store;
}
static dreamdb_store memory(void)
{
    dreamdb_store store;
    dreamdb_allocator allocator = test_allocator();
    CHECK(dreamdb_store_memory(&allocator, &store, NULL) == DREAMDB_OK);
    return store;
}
static int put(const dreamdb_store *s, const char *path, const void *data, size_t size, dreamdb_condition_kind kind, const char *tag)
{
    dreamdb_condition condition;
    condition.kind = kind;
    condition.tag = tag;
    return s->put(s->user, path, data, size, &condition);
}
static int put_text(const dreamdb_store *s, const char *path, const char *text) { return s->put(s->user, path, text, strlen(text), NULL); }
/* The text of a path; "?N" for a status N. */
static const char *text_of(const dreamdb_store *s, const char *path)
{
    static char out[4][256];
    static int turn;
    char *to = out[turn++ % 4];
    dreamdb_blob blob;
    int status = s->get(s->user, path, 0, 0, &blob);
    if (status < 0) { (void)snprintf(to, 256, "?%d", -status); return to; }
    size_t n = blob.size < 255 ? (size_t)blob.size : 255;
    if (n > 0) { memcpy(to, blob.data, n); }
    to[n] = 0;
    ddb_store_release(&blob);
    return to;
}
static const char *tag_of(const dreamdb_store *s, const char *path)
{
    static char out[4][DREAMDB_TAG_SIZE];
    static int turn;
    char *to = out[turn++ % 4];
    dreamdb_blob blob;
    to[0] = 0;
    if (s->get(s->user, path, 0, 0, &blob) == DREAMDB_OK) { memcpy(to, blob.tag, DREAMDB_TAG_SIZE); ddb_store_release(&blob); }
    return to;
}
static const char *reason_of(const dreamdb_store *s)
{
    static char out[200];
    out[0] = 0;
    if (s->reason) { s->reason(s->user, out, sizeof out); }
    return out;
}
typedef struct listing { char names[8192]; int count, stop_after; uint64_t bytes; } listing;
static int add_name(void *user, const char *path, const dreamdb_stat *stat)
{
    listing *l = (listing *)user;
    l->count++;
    l->bytes += stat->size;
    if (strlen(l->names) + strlen(path) + 3 < sizeof l->names) { strcat(strcat(l->names, path), " "); }
    return l->stop_after > 0 && l->count == l->stop_after ? 7 : 0;
}
static int has_name(const listing *l, const char *path)
{
    char find[600];
    (void)snprintf(find, sizeof find, "%s ", path);
    const char *at = strstr(l->names, find);
    return at && (at == l->names || at[-1] == ' ');
}
static listing list(const dreamdb_store *s, const char *prefix, int stop_after, int *status)
{
    listing l;
    memset(&l, 0, sizeof l);
    l.stop_after = stop_after;
    *status = s->list(s->user, prefix, add_name, &l);
    return l;
}

/* ---- Rules that hold for every store ---- */

static void rules_of_get(const dreamdb_store *s)
{
    static const struct { uint64_t offset, size; const char *want; } ranges[] = {
        { 0, 0, "hello world" }, { 0, 5, "hello" }, { 6, 0, "world" }, { 6, 100, "world" }, { 10, 1, "d" }, { 11, 0, "" }, { 11, 5, "" }, { 99, 0, "" },
        { UINT64_MAX, 1, "" }, { 3, UINT64_MAX, "lo world" }
    };
    dreamdb_blob blob;
    CHECK(put_text(s, "a/b/hello", "hello world") == DREAMDB_OK);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        CHECK(s->get(s->user, "a/b/hello", ranges[i].offset, ranges[i].size, &blob) == DREAMDB_OK);
        CHECK_EQ_U64(blob.size, strlen(ranges[i].want));
        CHECK(blob.size == 0 || memcmp(blob.data, ranges[i].want, blob.size) == 0);
        ddb_store_release(&blob);
    }
    CHECK(s->get(s->user, "a/b/none", 0, 0, &blob) == DREAMDB_ERR_NOT_FOUND);
    CHECK(s->get(s->user, "a/b", 0, 0, &blob) == DREAMDB_ERR_NOT_FOUND);
    CHECK(s->get(s->user, "a/b/hello/more", 0, 0, &blob) == DREAMDB_ERR_NOT_FOUND);
    CHECK(put_text(s, "empty", "") == DREAMDB_OK);
    CHECK(s->get(s->user, "empty", 0, 0, &blob) == DREAMDB_OK && blob.size == 0);
    ddb_store_release(&blob);
    char *big = (char *)malloc(3000000);
    for (size_t i = 0; big && i < 3000000; i++) { big[i] = (char)(i * 7 / 3); }
    CHECK(s->put(s->user, "big", big, 3000000, NULL) == DREAMDB_OK);
    CHECK(s->get(s->user, "big", 1234567, 65536, &blob) == DREAMDB_OK && blob.size == 65536);
    CHECK_BYTES(blob.data, big + 1234567, 65536);
    ddb_store_release(&blob);
    CHECK(s->get(s->user, "big", 0, 0, &blob) == DREAMDB_OK && blob.size == 3000000);
    CHECK_BYTES(blob.data, big, 3000000);
    ddb_store_release(&blob);
    free(big);
}

static void rules_of_put(const dreamdb_store *s)
{
    char old[DREAMDB_TAG_SIZE], mine[DREAMDB_TAG_SIZE];
    dreamdb_stat stat;
    CHECK(put(s, "refs/team/x", "one", 3, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
    CHECK(put(s, "refs/team/x", "two", 3, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_EXISTS);
    CHECK_STR(text_of(s, "refs/team/x"), "one");
    (void)snprintf(old, sizeof old, "%s", tag_of(s, "refs/team/x"));
    CHECK(old[0] != 0);
    CHECK(s->stat(s->user, "refs/team/x", &stat) == DREAMDB_OK);
    CHECK_STR(stat.tag, old);
    CHECK_EQ_U64(stat.size, 3);
    uint64_t now = ddb_port_now_ns();
    CHECK(stat.modified_ns <= now + 2000000000u && stat.modified_ns + 60000000000u > now);
    CHECK(put(s, "refs/team/x", "three", 5, DREAMDB_PUT_IF_TAG, old) == DREAMDB_OK);
    CHECK(put(s, "refs/team/x", "four", 4, DREAMDB_PUT_IF_TAG, old) == DREAMDB_ERR_CONFLICT);
    CHECK_STR(text_of(s, "refs/team/x"), "three");
    CHECK(put(s, "refs/team/y", "four", 4, DREAMDB_PUT_IF_TAG, old) == DREAMDB_ERR_CONFLICT);
    CHECK(put(s, "refs/team/x", "four", 4, DREAMDB_PUT_IF_TAG, NULL) == DREAMDB_ERR_CONFLICT);
    CHECK_STR(text_of(s, "refs/team/y"), "?4");
    CHECK(put(s, "refs/team/x", "five", 4, DREAMDB_PUT_ALWAYS, NULL) == DREAMDB_OK);
    CHECK_STR(text_of(s, "refs/team/x"), "five");
    CHECK(s->put(s->user, "refs/team/x", "six", 3, NULL) == DREAMDB_OK);
    (void)snprintf(mine, sizeof mine, "%s", tag_of(s, "refs/team/x"));
    CHECK(strcmp(mine, old) != 0);
    CHECK(s->remove(s->user, "refs/team/x") == DREAMDB_OK);
    CHECK(s->remove(s->user, "refs/team/x") == DREAMDB_OK);     /* absent is fine */
    CHECK(s->remove(s->user, "no/such/thing") == DREAMDB_OK);
    CHECK_STR(text_of(s, "refs/team/x"), "?4");
    CHECK(s->stat(s->user, "refs/team/x", &stat) == DREAMDB_ERR_NOT_FOUND);
    CHECK(put(s, "refs/team/x", "six", 3, DREAMDB_PUT_IF_TAG, mine) == DREAMDB_ERR_CONFLICT);
    /* a long state file whose size and time stay: the tag still tells */
    char page[100];
    memset(page, 'a', sizeof page);
    CHECK(put(s, "_job/state", page, sizeof page, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
    (void)snprintf(old, sizeof old, "%s", tag_of(s, "_job/state"));
    page[50] = 'b';
    CHECK(put(s, "_job/state", page, sizeof page, DREAMDB_PUT_IF_TAG, old) == DREAMDB_OK);
    CHECK(put(s, "_job/state", page, sizeof page, DREAMDB_PUT_IF_TAG, old) == DREAMDB_ERR_CONFLICT);
}

static void rules_of_list(const dreamdb_store *s)
{
    int status = 0;
    CHECK(put_text(s, "l/refs/main", "1") == DREAMDB_OK);
    CHECK(put_text(s, "l/refs/main@v1", "22") == DREAMDB_OK);
    CHECK(put_text(s, "l/refs/mains/deep/one", "333") == DREAMDB_OK);
    CHECK(put_text(s, "l/refs/other", "4444") == DREAMDB_OK);
    CHECK(put_text(s, "l/z", "55555") == DREAMDB_OK);
    listing l = list(s, "l/", 0, &status);
    CHECK(status == DREAMDB_OK);
    CHECK_EQ_U64(l.count, 5);
    CHECK_EQ_U64(l.bytes, 15);
    CHECK(has_name(&l, "l/refs/main") && has_name(&l, "l/refs/main@v1") && has_name(&l, "l/refs/mains/deep/one") && has_name(&l, "l/z"));
    l = list(s, "l/refs/main", 0, &status);
    CHECK_EQ_U64(l.count, 3);
    l = list(s, "l/refs/main/", 0, &status);
    CHECK(status == DREAMDB_OK);
    CHECK_EQ_U64(l.count, 0);
    l = list(s, "l/refs/mains", 0, &status);
    CHECK_EQ_U64(l.count, 1);
    l = list(s, "l/refs/mains/deep/o", 0, &status);
    CHECK_EQ_U64(l.count, 1);
    l = list(s, "l/nothing/here/", 0, &status);
    CHECK(status == DREAMDB_OK);
    CHECK_EQ_U64(l.count, 0);
    l = list(s, "l/", 2, &status);
    CHECK(status == 7);
    CHECK_EQ_U64(l.count, 2);
    l = list(s, "", 0, &status);
    CHECK(status == DREAMDB_OK && l.count >= 5);
    CHECK(list(s, "../", 0, &status).count == 0 && status == DREAMDB_ERR_ARGUMENT);
}

static const char *const bad_paths[] = {
    "", "/", "/etc/passwd", "a/", "/a", "a//b", "..", "../a", "a/..", "a/../b", ".", "./a", "a/./b", "a/.", "a\nb", "a\tb", "caf\xc3\xa9", "a\x7f",
    ".dreamdb-cas-locks/x", ".dreamdb-cas-locks", "x.tmp-1", "a/x.tmp-y/z"
};

static void rules_of_paths(const dreamdb_store *s)
{
    dreamdb_blob blob;
    dreamdb_stat stat;
    char name[300], path[1200];
    for (size_t i = 0; i < sizeof bad_paths / sizeof bad_paths[0]; i++) {
        CHECK(!ddb_store_path_valid(bad_paths[i], false));
        CHECK(s->get(s->user, bad_paths[i], 0, 0, &blob) == DREAMDB_ERR_ARGUMENT);
        CHECK(s->put(s->user, bad_paths[i], "x", 1, NULL) == DREAMDB_ERR_ARGUMENT);
        CHECK(s->stat(s->user, bad_paths[i], &stat) == DREAMDB_ERR_ARGUMENT);
        CHECK(s->remove(s->user, bad_paths[i]) == DREAMDB_ERR_ARGUMENT);
    }
    memset(name, 'n', sizeof name);
    name[255] = 0;
    CHECK(put_text(s, name, "long") == DREAMDB_OK);
    CHECK_STR(text_of(s, name), "long");
    CHECK(put(s, name, "long", 4, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_EXISTS);
    (void)snprintf(path, sizeof path, "refs/%s", name);
    CHECK(put(s, path, "r", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
    name[255] = 'n';
    name[256] = 0;
    CHECK(put_text(s, name, "long") == DREAMDB_ERR_ARGUMENT);
    path[0] = 0;
    for (int i = 0; i < 512; i++) { strcat(path, i < 511 ? "d/" : "d"); }
    CHECK(strlen(path) == 1023);
    CHECK(put_text(s, path, "deep") == DREAMDB_OK);
    CHECK_STR(text_of(s, path), "deep");
    CHECK(s->remove(s->user, path) == DREAMDB_OK);
    strcat(path, "dd");
    CHECK(put_text(s, path, "deep") == DREAMDB_ERR_ARGUMENT);
    CHECK(put_text(s, "odd/... =;,$%&(){}[]'\"`~#@!^+|?*<>\\:", "odd") == DREAMDB_OK);
    CHECK_STR(text_of(s, "odd/... =;,$%&(){}[]'\"`~#@!^+|?*<>\\:"), "odd");
    CHECK(put_text(s, "odd/...", "dots") == DREAMDB_OK && put_text(s, "odd/-rf", "x") == DREAMDB_OK && put_text(s, ".hidden", "y") == DREAMDB_OK);
    CHECK_STR(text_of(s, "odd/..."), "dots");
}

static void rules(const dreamdb_store *s)
{
    rules_of_get(s);
    rules_of_put(s);
    rules_of_list(s);
    rules_of_paths(s);
}

static void every_store_keeps_the_rules(void)
{
    size_t before = test_live_bytes();
    dreamdb_allocator allocator = test_allocator();
    dreamdb_store inner = memory(), outer, outermost;
    dreamdb_fault plan;
    rules(&inner);
    dreamdb_store_close(&inner);
    CHECK(!inner.get);
    inner = memory();
    CHECK(dreamdb_store_cache(&inner, 4 << 20, &allocator, &outer, NULL) == DREAMDB_OK);
    rules(&outer);
    dreamdb_store_close(&outer);
    dreamdb_store_close(&inner);
    memset(&plan, 0, sizeof plan);
    inner = memory();
    CHECK(dreamdb_store_fault(&inner, &plan, &allocator, &outer, NULL) == DREAMDB_OK);
    CHECK(dreamdb_store_cache(&outer, 4 << 20, &allocator, &outermost, NULL) == DREAMDB_OK);
    rules(&outermost);
    CHECK(plan.operations > 100 && plan.bytes_written > 3000000);
    dreamdb_store_close(&outermost);
    dreamdb_store_close(&outer);
    dreamdb_store_close(&inner);
    for (int durability = 0; durability <= (int)DREAMDB_DURABILITY_NONE; durability++) {
        inner = directory(folder("rules"), (dreamdb_durability)durability);
        rules(&inner);
        CHECK(inner.sync(inner.user) == DREAMDB_OK);
        dreamdb_store_close(&inner);
        wipe(folder("rules"));
    }
    inner = directory(folder("rules"), DREAMDB_DURABILITY_NONE);
    ((ddb_store_dir *)inner.user)->no_link = 1;             /* a file system without hard links */
    rules(&inner);
    dreamdb_store_close(&inner);
    wipe(folder("rules"));
    inner = directory(folder("rules"), DREAMDB_DURABILITY_FULL);
    ((ddb_store_dir *)inner.user)->lists = 1;               /* a system without syncfs */
    rules(&inner);
    CHECK(inner.sync(inner.user) == DREAMDB_OK);
    dreamdb_store_close(&inner);
    wipe(folder("rules"));
    CHECK_EQ_U64(test_live_bytes(), before);
    dreamdb_store_close(NULL);
    memset(&inner, 0, sizeof inner);
    dreamdb_store_close(&inner);
}

/* ---- Memory ---- */

static void memory_lends_bytes_that_stay(void)
{
    size_t before = test_live_bytes();
    dreamdb_store s = memory();
    dreamdb_blob first, second, part;
    CHECK(put_text(&s, "k", "first value") == DREAMDB_OK);
    CHECK(s.get(s.user, "k", 0, 0, &first) == DREAMDB_OK);
    CHECK(s.get(s.user, "k", 6, 5, &part) == DREAMDB_OK);
    CHECK((const char *)part.data == (const char *)first.data + 6);        /* no copy */
    CHECK(put_text(&s, "k", "second value") == DREAMDB_OK);
    CHECK(s.get(s.user, "k", 0, 0, &second) == DREAMDB_OK);
    CHECK(s.remove(s.user, "k") == DREAMDB_OK);
    CHECK_BYTES(first.data, "first value", 11);
    CHECK_BYTES(part.data, "value", 5);
    CHECK_BYTES(second.data, "second value", 12);
    CHECK(strcmp(first.tag, second.tag) != 0);
    ddb_store_release(&first);
    CHECK_BYTES(part.data, "value", 5);
    ddb_store_release(&part);
    dreamdb_store_close(&s);
    ddb_store_release(&second);                              /* even after close */
    CHECK_EQ_U64(test_live_bytes(), before);
}

static int remove_each(void *user, const char *path, const dreamdb_stat *stat)
{
    const dreamdb_store *s = (const dreamdb_store *)user;
    (void)stat;
    return s->remove(s->user, path);
}

static void list_may_remove(void)
{
    int status = 0;
    for (int kind = 0; kind < 2; kind++) {
        dreamdb_store s = kind ? directory(folder("lr"), DREAMDB_DURABILITY_NONE) : memory();
        for (int i = 0; i < 300; i++) {
            char path[32];
            (void)snprintf(path, sizeof path, "d%d/x%d", i % 7, i);
            CHECK(put_text(&s, path, "v") == DREAMDB_OK);
        }
        CHECK(s.list(s.user, "d", remove_each, &s) == DREAMDB_OK);
        CHECK_EQ_U64(list(&s, "", 0, &status).count, 0);
        dreamdb_store_close(&s);
    }
    wipe(folder("lr"));
}

/* ---- Cache ---- */

static void cache_keeps_its_cap(void)
{
    size_t before = test_live_bytes();
    dreamdb_allocator allocator = test_allocator();
    dreamdb_store inner = memory(), fault, s;
    dreamdb_fault plan;
    char data[1000], path[64];
    dreamdb_blob blob;
    memset(&plan, 0, sizeof plan);
    memset(data, 'x', sizeof data);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(path, sizeof path, "o/%d", i);
        CHECK(inner.put(inner.user, path, data, sizeof data, NULL) == DREAMDB_OK);
    }
    CHECK(dreamdb_store_fault(&inner, &plan, &allocator, &fault, NULL) == DREAMDB_OK);
    CHECK(dreamdb_store_cache(&fault, 20000, &allocator, &s, NULL) == DREAMDB_OK);
    const ddb_store_cache *cache = (const ddb_store_cache *)s.user;
    for (int i = 0; i < 100; i++) {
        (void)snprintf(path, sizeof path, "o/%d", i);
        CHECK(s.get(s.user, path, 0, 0, &blob) == DREAMDB_OK && blob.size == 1000);
        ddb_store_release(&blob);
        CHECK(s.get(s.user, "o/0", 0, 0, &blob) == DREAMDB_OK);           /* kept alive by use */
        ddb_store_release(&blob);
        CHECK(cache->shelf.bytes <= 20000);
    }
    CHECK_EQ_U64(plan.gets, 100);
    CHECK(cache->shelf.count > 10 && cache->shelf.count < 20);
    CHECK(s.get(s.user, "o/99", 10, 20, &blob) == DREAMDB_OK && blob.size == 20);    /* a range of what is kept */
    ddb_store_release(&blob);
    CHECK_EQ_U64(plan.gets, 100);
    CHECK(s.get(s.user, "o/1", 0, 0, &blob) == DREAMDB_OK);               /* long gone */
    ddb_store_release(&blob);
    CHECK_EQ_U64(plan.gets, 101);
    CHECK(s.get(s.user, "o/2", 0, 500, &blob) == DREAMDB_OK);             /* a part is not kept */
    ddb_store_release(&blob);
    CHECK(s.get(s.user, "o/2", 0, 5000, &blob) == DREAMDB_OK);            /* more than there is: the whole */
    ddb_store_release(&blob);
    CHECK(s.get(s.user, "o/2", 0, 0, &blob) == DREAMDB_OK);
    ddb_store_release(&blob);
    CHECK_EQ_U64(plan.gets, 103);
    dreamdb_store_close(&s);
    dreamdb_store_close(&fault);
    dreamdb_store_close(&inner);
    CHECK_EQ_U64(test_live_bytes(), before);
}

static void cache_forgets_what_changes(void)
{
    size_t before = test_live_bytes();
    dreamdb_allocator allocator = test_allocator();
    dreamdb_store inner = memory(), s;
    CHECK(dreamdb_store_cache(&inner, 1 << 20, &allocator, &s, NULL) == DREAMDB_OK);
    static const char *const paths[] = { "refs/main", "_gc/run", ".state", "obj/a" };
    for (int i = 0; i < 4; i++) {
        CHECK(put_text(&s, paths[i], "old") == DREAMDB_OK);
        CHECK_STR(text_of(&s, paths[i]), "old");
        CHECK(put_text(&inner, paths[i], "new") == DREAMDB_OK);           /* behind its back */
        CHECK_STR(text_of(&s, paths[i]), i < 3 ? "new" : "old");
        CHECK(put_text(&s, paths[i], "newer") == DREAMDB_OK);
        CHECK_STR(text_of(&s, paths[i]), "newer");
        CHECK(s.remove(s.user, paths[i]) == DREAMDB_OK);
        CHECK_STR(text_of(&s, paths[i]), "?4");
    }
    dreamdb_store_close(&s);
    CHECK(dreamdb_store_cache(&inner, 0, &allocator, &s, NULL) == DREAMDB_OK);      /* no room: still right */
    CHECK(put_text(&s, "obj/b", "value") == DREAMDB_OK);
    CHECK_STR(text_of(&s, "obj/b"), "value");
    dreamdb_store_close(&s);
    dreamdb_store_close(&inner);
    CHECK_EQ_U64(test_live_bytes(), before);
}

/* An inner store whose GET is overtaken by a put through the cache: the old bytes must not be kept. */
static dreamdb_store late_inner, late_outer;
static int late_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    int status = late_inner.get(late_inner.user, path, offset, size, out);
    if (user && *(int *)user) {
        *(int *)user = 0;
        CHECK(put_text(&late_outer, path, "new") == DREAMDB_OK);
    }
    return status;
}
static int late_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    (void)user;
    return late_inner.put(late_inner.user, path, data, size, condition);
}

static void cache_is_not_overtaken(void)
{
    dreamdb_allocator allocator = test_allocator();
    dreamdb_store s;
    int once = 1;
    late_inner = memory();
    s = late_inner;
    s.user = &once;
    s.get = late_get;
    s.put = late_put;
    CHECK(put_text(&late_inner, "o/x", "old") == DREAMDB_OK);
    CHECK(dreamdb_store_cache(&s, 1 << 20, &allocator, &late_outer, NULL) == DREAMDB_OK);
    CHECK_STR(text_of(&late_outer, "o/x"), "old");
    CHECK_STR(text_of(&late_outer, "o/x"), "new");
    dreamdb_store_close(&late_outer);
    dreamdb_store_close(&late_inner);
}

static void cache_drops_damaged_answers(void)
{
    dreamdb_allocator allocator = test_allocator();
    dreamdb_store inner = memory(), fault, s;
    dreamdb_fault plan;
    ddb_addr addr;
    char text[DREAMDB_ADDRESS_TEXT], path[80];
    memset(&plan, 0, sizeof plan);
    plan.flip_at = 1;
    ddb_addr_of(0, ddb_bytes_text("content"), &addr);
    ddb_addr_text(&addr, text);
    (void)snprintf(path, sizeof path, "manifests/%s", text);
    CHECK(put_text(&inner, path, "content") == DREAMDB_OK);
    CHECK(dreamdb_store_fault(&inner, &plan, &allocator, &fault, NULL) == DREAMDB_OK);
    CHECK(dreamdb_store_cache(&fault, 1 << 20, &allocator, &s, NULL) == DREAMDB_OK);
    CHECK(strcmp(text_of(&s, path), "content") != 0);        /* passed on: the object room names it */
    CHECK_STR(text_of(&s, path), "content");                 /* not kept */
    CHECK_STR(text_of(&s, path), "content");
    CHECK_EQ_U64(plan.gets, 2);
    dreamdb_store_close(&s);
    dreamdb_store_close(&fault);
    dreamdb_store_close(&inner);
}

static void cache_batches(void)
{
    size_t before = test_live_bytes();
    dreamdb_allocator allocator = test_allocator();
    dreamdb_store inner = memory(), fault, s;
    dreamdb_fault plan;
    dreamdb_io ops[6];
    memset(&plan, 0, sizeof plan);
    CHECK(dreamdb_store_fault(&inner, &plan, &allocator, &fault, NULL) == DREAMDB_OK);
    CHECK(dreamdb_store_cache(&fault, 1 << 20, &allocator, &s, NULL) == DREAMDB_OK);
    CHECK(s.batch != NULL);
    CHECK(put_text(&s, "o/a", "aa") == DREAMDB_OK && put_text(&s, "o/b", "bb") == DREAMDB_OK);
    CHECK_STR(text_of(&s, "o/a"), "aa");
    memset(&plan, 0, sizeof plan);
    for (int round = 0; round < 2; round++) {
        memset(ops, 0, sizeof ops);
        for (int i = 0; i < 6; i++) { ops[i].kind = DREAMDB_IO_GET; }
        ops[0].path = "o/a";
        ops[1].path = "o/b";
        ops[2].path = "o/none";
        ops[3].kind = DREAMDB_IO_PUT;
        ops[3].path = "o/c";
        ops[3].data = "cc";
        ops[3].size = 2;
        ops[3].condition.kind = DREAMDB_PUT_IF_ABSENT;
        ops[4].kind = DREAMDB_IO_STAT;
        ops[4].path = "o/a";
        ops[5].path = "o/b";
        ops[5].offset = 1;
        CHECK(ddb_store_batch(test_ctx(), NULL, &s, ops, 6) == DREAMDB_OK);
        CHECK(ops[0].status == DREAMDB_OK && ops[0].blob.size == 2 && memcmp(ops[0].blob.data, "aa", 2) == 0);
        CHECK(ops[1].status == DREAMDB_OK && ops[1].blob.size == 2 && memcmp(ops[1].blob.data, "bb", 2) == 0);
        CHECK(ops[2].status == DREAMDB_ERR_NOT_FOUND);
        CHECK(ops[3].status == (round ? DREAMDB_ERR_EXISTS : DREAMDB_OK));
        CHECK(ops[4].status == DREAMDB_OK && ops[4].stat.size == 2);
        CHECK(ops[5].status == DREAMDB_OK && ops[5].blob.size == 1);
        for (int i = 0; i < 6; i++) { ddb_store_release(&ops[i].blob); }
        CHECK_EQ_U64(plan.waves, round + 1);
        CHECK_EQ_U64(plan.gets, 2);                          /* o/a from the start, o/b from its first whole read */
    }
    dreamdb_store_close(&s);
    dreamdb_store_close(&fault);
    dreamdb_store_close(&inner);
    CHECK_EQ_U64(test_live_bytes(), before);
}

/* ---- Faults ---- */

static void fault_plans(void)
{
    size_t before = test_live_bytes();
    dreamdb_allocator allocator = test_allocator();
    dreamdb_store inner = memory(), s;
    dreamdb_fault plan;
    int status = 0;
    memset(&plan, 0, sizeof plan);
    CHECK(dreamdb_store_fault(&inner, &plan, &allocator, &s, NULL) == DREAMDB_OK);
    CHECK(!(s.flags & DREAMDB_STORE_THREAD_SAFE) && (s.flags & DREAMDB_STORE_HAS_TAGS));
    plan.fail_at = 2;
    CHECK(put_text(&s, "a", "1") == DREAMDB_OK);
    CHECK(put_text(&s, "b", "2") == DREAMDB_ERR_STORE);
    CHECK(strstr(reason_of(&s), "operation 2") != NULL);
    CHECK(put_text(&s, "c", "3") == DREAMDB_OK);
    CHECK_STR(text_of(&inner, "b"), "?4");
    plan.fail_at = 5;
    plan.fail_after = 1;
    plan.fail_status = DREAMDB_ERR_CONFLICT;
    CHECK_STR(text_of(&s, "a"), "1");
    CHECK(put_text(&s, "b", "2") == DREAMDB_ERR_CONFLICT);    /* a lost answer: it is there */
    CHECK_STR(text_of(&inner, "b"), "2");
    plan.fail_at = 6;
    plan.fail_after = 0;
    plan.fail_forever = 1;
    plan.fail_status = 0;
    CHECK(put_text(&s, "d", "4") == DREAMDB_ERR_STORE);
    CHECK(put_text(&s, "d", "4") == DREAMDB_ERR_STORE);
    CHECK_STR(text_of(&s, "a"), "?3");
    CHECK(list(&s, "", 0, &status).count == 0 && status == DREAMDB_ERR_STORE);
    CHECK(s.sync(s.user) == DREAMDB_ERR_STORE);
    CHECK_EQ_U64(plan.operations, 10);
    CHECK_EQ_U64(plan.puts, 3);
    CHECK_EQ_U64(plan.bytes_written, 3);
    memset(&plan, 0, sizeof plan);
    plan.flip_at = 2;
    plan.cut_at = 3;
    CHECK_STR(text_of(&s, "a"), "1");
    CHECK(strcmp(text_of(&s, "a"), "1") != 0 && strlen(text_of(&s, "a")) == 0);
    CHECK_STR(text_of(&s, "a"), "1");
    CHECK_EQ_U64(plan.gets, 4);
    CHECK_EQ_U64(plan.waves, 4);
    CHECK_EQ_U64(plan.bytes_read, 3);
    CHECK_STR(text_of(&inner, "a"), "1");
    CHECK(s.sync(s.user) == DREAMDB_OK);
    dreamdb_store_close(&s);
    dreamdb_store_close(&inner);
    CHECK_EQ_U64(test_live_bytes(), before);
}

/* ---- A store that lies ---- */

static int odd_status;
static dreamdb_blob odd_blob;
static int odd_released;
static void odd_release(void *user, const void *data, uint64_t size) { (void)user; (void)data; (void)size; odd_released++; }
static int odd_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    (void)user; (void)path; (void)offset; (void)size;
    *out = odd_blob;
    return odd_status;
}
static int odd_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    (void)user; (void)path; (void)data; (void)size; (void)condition;
    return odd_status;
}
static int odd_stat(void *user, const char *path, dreamdb_stat *out)
{
    (void)user; (void)path;
    memset(out, 'x', sizeof *out);
    return odd_status;
}
static int odd_list(void *user, const char *prefix, dreamdb_list_fn each, void *each_user) { (void)user; (void)prefix; (void)each; (void)each_user; return 0; }
static int odd_remove(void *user, const char *path) { (void)user; (void)path; return odd_status; }
static int odd_batch(void *user, dreamdb_io *ops, size_t count) { (void)user; (void)ops; (void)count; return odd_status; }

static void lying_stores(void)
{
    dreamdb_store s;
    dreamdb_io op;
    memset(&s, 0, sizeof s);
    CHECK(ddb_store_check(test_ctx(), &s) == DREAMDB_ERR_ARGUMENT);
    CHECK(ddb_store_check(test_ctx(), NULL) == DREAMDB_ERR_ARGUMENT);
    s.get = odd_get;
    s.put = odd_put;
    s.stat = odd_stat;
    s.list = odd_list;
    s.remove = odd_remove;
    CHECK(ddb_store_check(test_ctx(), &s) == DREAMDB_OK);
    memset(&op, 0, sizeof op);
    op.kind = DREAMDB_IO_GET;
    op.path = "p";
    static const int bad[] = { 1, 5, 100, -12, -1000, INT32_MIN, INT32_MAX };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        odd_status = bad[i];
        CHECK(ddb_store_batch(test_ctx(), NULL, &s, &op, 1) == DREAMDB_OK && op.status == DREAMDB_ERR_STORE);
    }
    odd_status = 0;
    memset(&odd_blob, 0, sizeof odd_blob);
    odd_blob.size = 10;                                      /* bytes from nowhere */
    CHECK(ddb_store_batch(test_ctx(), NULL, &s, &op, 1) == DREAMDB_OK && op.status == DREAMDB_ERR_STORE);
    odd_blob.data = "0123456789";
    odd_blob.release = odd_release;
    op.size = 5;                                             /* more than asked for */
    CHECK(ddb_store_batch(test_ctx(), NULL, &s, &op, 1) == DREAMDB_OK && op.status == DREAMDB_ERR_STORE && odd_released == 1 && !op.blob.data);
    op.size = 10;
    memset(odd_blob.tag, 't', sizeof odd_blob.tag);          /* no end */
    CHECK(ddb_store_batch(test_ctx(), NULL, &s, &op, 1) == DREAMDB_OK && op.status == DREAMDB_OK && strlen(op.blob.tag) == DREAMDB_TAG_SIZE - 1);
    ddb_store_release(&op.blob);
    CHECK(odd_released == 2);
    op.kind = DREAMDB_IO_STAT;
    CHECK(ddb_store_batch(test_ctx(), NULL, &s, &op, 1) == DREAMDB_OK && strlen(op.stat.tag) == DREAMDB_TAG_SIZE - 1);
    s.batch = odd_batch;                                     /* says OK and does nothing */
    op.kind = DREAMDB_IO_GET;
    CHECK(ddb_store_batch(test_ctx(), NULL, &s, &op, 1) == DREAMDB_OK && op.status == DREAMDB_ERR_STORE);
    odd_status = DREAMDB_ERR_STORE;
    CHECK(ddb_store_batch(test_ctx(), NULL, &s, &op, 1) == DREAMDB_ERR_STORE && test_error.status == DREAMDB_ERR_STORE);
    CHECK(ddb_store_batch(test_ctx(), NULL, &s, NULL, 0) == DREAMDB_OK);
}

/* ---- Directory: opening, layout ---- */

static void opening_creates_nothing(void)
{
    dreamdb_store s;
    dreamdb_directory desc;
    dreamdb_error error;
    dreamdb_blob blob;
    int status = 0;
    memset(&desc, 0, sizeof desc);
    CHECK(dreamdb_store_directory(NULL, &s, &error) == DREAMDB_ERR_ARGUMENT && error.status == DREAMDB_ERR_ARGUMENT && error.message[0]);
    CHECK(dreamdb_store_directory(&desc, &s, NULL) == DREAMDB_ERR_ARGUMENT);
    desc.path = folder("new/deep");
    CHECK(dreamdb_store_directory(&desc, &s, &error) == DREAMDB_ERR_NOT_FOUND && !s.get);
    desc.create = 1;
    desc.read_only = 1;
    CHECK(dreamdb_store_directory(&desc, &s, &error) == DREAMDB_ERR_NOT_FOUND);
    desc.read_only = 0;
    CHECK(dreamdb_store_directory(&desc, &s, &error) == DREAMDB_OK && error.status == DREAMDB_OK);
    CHECK(s.get(s.user, "refs/main", 0, 0, &blob) == DREAMDB_ERR_NOT_FOUND);
    CHECK(list(&s, "", 0, &status).count == 0 && status == DREAMDB_OK);
    CHECK(s.remove(s.user, "refs/main") == DREAMDB_OK && s.sync(s.user) == DREAMDB_OK);
    CHECK(!exists(folder("new")));
    CHECK(put_text(&s, "a/b/c/d", "x") == DREAMDB_OK);
    CHECK_EQ_U64(file_size(folder("new/deep/a/b/c/d")), 1);
    dreamdb_store_close(&s);
    desc.create = 0;
    desc.path = folder("new/deep///");
    CHECK(dreamdb_store_directory(&desc, &s, &error) == DREAMDB_OK);
    CHECK_STR(text_of(&s, "a/b/c/d"), "x");
    wipe(folder("new"));                                     /* gone under its feet: create is 0, so it stays gone */
    CHECK(put_text(&s, "a/b", "x") == DREAMDB_ERR_STORE);
    CHECK(strstr(reason_of(&s), "folder is not there") != NULL);
    CHECK(!exists(folder("new")));
    dreamdb_store_close(&s);
    write_file(folder("afile"), "x", 1);
    desc.path = folder("afile");
    CHECK(dreamdb_store_directory(&desc, &s, &error) == DREAMDB_ERR_STORE && strstr(error.message, "not a folder"));
    desc.path = folder("afile/below");
    desc.create = 1;
    CHECK(dreamdb_store_directory(&desc, &s, &error) == DREAMDB_OK);
    CHECK(put_text(&s, "a/b", "x") == DREAMDB_ERR_STORE && strstr(reason_of(&s), "is a file"));
    dreamdb_store_close(&s);
    char *longer = (char *)malloc(6000), key[900];           /* too long only together with the base: said before the disk is asked */
    memset(longer, 0, 6000);
    (void)snprintf(longer, 6000, "%s", folder("long"));
    while (strlen(longer) < 3300) { strcat(longer, "/0123456789012345678901234567890123456789"); }
    s = directory(longer, DREAMDB_DURABILITY_NONE);
    memset(key, 'k', sizeof key);
    for (int i = 100; i < 899; i += 100) { key[i] = '/'; }
    key[899] = 0;
    CHECK(put_text(&s, key, "x") == DREAMDB_ERR_STORE && strstr(reason_of(&s), "longer than the system takes"));
    CHECK(put_text(&s, key + 401, "x") == DREAMDB_OK);
    dreamdb_store_close(&s);
    wipe(folder("long"));
    memset(longer, 'p', 6000);
    longer[5999] = 0;
    desc.path = longer;
    CHECK(dreamdb_store_directory(&desc, &s, &error) == DREAMDB_ERR_ARGUMENT);
    free(longer);
}

static void relative_base_stays(void)
{
    char before[4096];
    dreamdb_store s;
    CHECK(getcwd(before, sizeof before) != NULL);
    CHECK(chdir(scratch) == 0);
    s = directory("rel", DREAMDB_DURABILITY_NONE);
    CHECK(put_text(&s, "x", "1") == DREAMDB_OK);
    CHECK(chdir("/") == 0);
    CHECK(put_text(&s, "y", "2") == DREAMDB_OK);
    CHECK_STR(text_of(&s, "x"), "1");
    CHECK_EQ_U64(file_size(folder("rel/y")), 1);
    CHECK(chdir(before) == 0);
    dreamdb_store_close(&s);
    wipe(folder("rel"));
}

/* The lock file that 0.0.16 makes for refs/team/set, seen in its folder. */
static void locks_are_the_references(void)
{
    dreamdb_store s = directory(folder("locks"), DREAMDB_DURABILITY_NONE);
    int status = 0;
    CHECK(put(&s, "refs/team/set", "one", 3, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
    CHECK(!exists(folder("locks/.dreamdb-cas-locks")));      /* creation takes no lock */
    CHECK(put(&s, "refs/team/set", "two", 3, DREAMDB_PUT_IF_TAG, tag_of(&s, "refs/team/set")) == DREAMDB_OK);
    CHECK_EQ_U64(file_size(folder("locks/.dreamdb-cas-locks/dyo7kwv7c5qg2qn2otizzsrqwc6noql7vz5mdxx2fntysolhhqy3c.lock")), 0);
    write_file(folder("locks/refs/team/set.tmp-d-12-0"), "left over", 9);
    listing l = list(&s, "", 0, &status);
    CHECK(status == DREAMDB_OK);
    CHECK_STR(l.names, "refs/team/set ");
    CHECK_STR(tag_of(&s, "refs/team/set"), "74776f");
    write_file(folder("locks/objectx"), "0123456789012345678901234567890123", 34);
    char want[DREAMDB_TAG_SIZE];
    struct stat st;
    CHECK(stat(folder("locks/objectx"), &st) == 0);
    (void)snprintf(want, sizeof want, "34-%llu", (unsigned long long)st.st_mtim.tv_sec * 1000000000u + (unsigned long long)st.st_mtim.tv_nsec);
    CHECK_STR(tag_of(&s, "objectx"), want);
    dreamdb_store_close(&s);
    wipe(folder("locks"));
}

static void strange_files_do_no_harm(void)
{
    dreamdb_store s = directory(folder("strange"), DREAMDB_DURABILITY_NONE);
    char path[4200];
    int status = 0;
    CHECK(put_text(&s, "good/a", "x") == DREAMDB_OK);
    CHECK(mkfifo(folder("strange/fifo"), 0600) == 0);
    CHECK_STR(text_of(&s, "fifo"), "?4");                    /* and does not hang */
    CHECK(symlink("a", folder("strange/good/alias")) == 0);
    CHECK(symlink("nowhere", folder("strange/good/dangling")) == 0);
    write_file(folder("strange/good/caf\xc3\xa9"), "x", 1);
    listing l = list(&s, "", 0, &status);
    CHECK(status == DREAMDB_OK);
    CHECK(l.count == 2 && has_name(&l, "good/a") && has_name(&l, "good/alias"));
    CHECK_STR(text_of(&s, "good/alias"), "x");
    CHECK(put(&s, "good/dangling", "y", 1, DREAMDB_PUT_IF_ABSENT, NULL) < 0);
    CHECK(put(&s, "good", "y", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_STORE);
    CHECK(strstr(reason_of(&s), "a folder has that name") != NULL);
    CHECK(put(&s, "good", "y", 1, DREAMDB_PUT_ALWAYS, NULL) == DREAMDB_ERR_STORE);
    CHECK(put(&s, "good/a/below", "y", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_STORE);
    CHECK(strstr(reason_of(&s), "is a file") != NULL);
    CHECK(s.remove(s.user, "good") == DREAMDB_ERR_STORE);
    CHECK(symlink(".", folder("strange/loop")) == 0);
    (void)list(&s, "", 0, &status);
    CHECK(status == DREAMDB_ERR_LIMIT || status == DREAMDB_ERR_STORE);
    wipe(folder("strange/loop"));
    (void)snprintf(path, sizeof path, "deep");
    for (int i = 0; i < 70; i++) { strcat(path, "/d"); }
    CHECK(put_text(&s, path, "x") == DREAMDB_OK);
    (void)list(&s, "deep", 0, &status);
    CHECK(status == DREAMDB_ERR_LIMIT && strstr(reason_of(&s), "deeper than 64"));
    dreamdb_store_close(&s);
    wipe(folder("strange"));
}

static void read_only(void)
{
    dreamdb_store s = directory(folder("ro"), DREAMDB_DURABILITY_FULL);
    dreamdb_directory desc;
    CHECK(put(&s, "refs/a", "x", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
    dreamdb_store_close(&s);
    memset(&desc, 0, sizeof desc);
    desc.path = folder("ro");
    desc.read_only = 1;
    desc.allocator = test_allocator();
    CHECK(dreamdb_store_directory(&desc, &s, NULL) == DREAMDB_OK && (s.flags & DREAMDB_STORE_READ_ONLY));
    CHECK_STR(text_of(&s, "refs/a"), "x");
    CHECK(put_text(&s, "refs/b", "y") == DREAMDB_ERR_STORE && strstr(reason_of(&s), "read-only"));
    CHECK(put(&s, "refs/a", "y", 1, DREAMDB_PUT_IF_TAG, tag_of(&s, "refs/a")) == DREAMDB_ERR_STORE);
    CHECK(s.remove(s.user, "refs/a") == DREAMDB_ERR_STORE);
    CHECK(s.sync(s.user) == DREAMDB_OK);
    CHECK_STR(text_of(&s, "refs/a"), "x");
    CHECK(!exists(folder("ro/.dreamdb-cas-locks")));
    dreamdb_store_close(&s);
    /* a folder that the system protects: as another user, since root may do all */
    if (geteuid() == 0) {
        pid_t child = fork();
        if (child == 0) {
            int bad = 0;
            dreamdb_blob blob;
            if (chmod(scratch, 0755) != 0 || setuid(65534) != 0) { _exit(99); }
            s = directory(folder("ro"), DREAMDB_DURABILITY_FULL);
            bad |= s.get(s.user, "refs/a", 0, 0, &blob) != DREAMDB_OK;
            bad |= put(&s, "refs/c", "y", 1, DREAMDB_PUT_IF_ABSENT, NULL) != DREAMDB_ERR_STORE || !strstr(reason_of(&s), "permission denied");
            bad |= put(&s, "new/c", "y", 1, DREAMDB_PUT_IF_ABSENT, NULL) != DREAMDB_ERR_STORE;
            bad |= s.remove(s.user, "refs/a") != DREAMDB_ERR_STORE;
            _exit(bad);
        }
        int result = 0;
        (void)waitpid(child, &result, 0);
        if (WIFEXITED(result) && WEXITSTATUS(result) == 99) { printf("store: skipped the protected folder: no other user here\n"); }
        else { CHECK(WIFEXITED(result) && WEXITSTATUS(result) == 0); }
    } else {
        CHECK(chmod(folder("ro/refs"), 0555) == 0);
        s = directory(folder("ro"), DREAMDB_DURABILITY_FULL);
        CHECK(put_text(&s, "refs/c", "y") == DREAMDB_ERR_STORE && strstr(reason_of(&s), "permission denied"));
        dreamdb_store_close(&s);
    }
    wipe(folder("ro"));
}

/* ---- Directory: faults of the system ---- */

static void failing_calls(void)
{
    static const struct { int call, error; const char *why; } faults[] = {
        { SYS_WRITE, ENOSPC, "no space left" }, { SYS_WRITE, EDQUOT, "quota" }, { SYS_WRITE, EIO, "I/O error" }, { SYS_LINK, ENOSPC, "no space left" },
        { SYS_LINK, EACCES, "permission denied" }, { SYS_MKDIR, ENOSPC, "no space left" }, { SYS_MKDIR, EROFS, "read-only" }
    };
    int status = 0;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        dreamdb_store s = directory(folder("fails"), DREAMDB_DURABILITY_FULL);
        CHECK(put_text(&s, "there", "x") == DREAMDB_OK);
        sys_reset();
        sys_fail[faults[i].call] = faults[i].error;
        CHECK(put(&s, "f/obj", "content", 7, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_STORE);
        sys_reset();
        CHECK(strstr(reason_of(&s), faults[i].why) != NULL);
        CHECK_EQ_U64(list(&s, "", 0, &status).count, 1);
        char command[500];                                   /* nothing is left over, the temporary file neither */
        (void)snprintf(command, sizeof command, "test -z \"$(find '%s' -name '*tmp*')\"", folder("fails"));
        CHECK(system(command) == 0);
        CHECK(put(&s, "f/obj", "content", 7, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
        CHECK_STR(text_of(&s, "f/obj"), "content");
        dreamdb_store_close(&s);
        wipe(folder("fails"));
    }
    dreamdb_store s = directory(folder("fails"), DREAMDB_DURABILITY_FULL);
    sys_short = 1;                                           /* short writes and interruptions */
    CHECK(put(&s, "f/obj", "content of some length", 22, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
    sys_reset();
    CHECK_STR(text_of(&s, "f/obj"), "content of some length");
    sys_fail[SYS_FSYNC] = EINTR;
    sys_times[SYS_FSYNC] = 2;
    CHECK(put(&s, "refs/a", "x", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
    sys_reset();
    sys_fail[SYS_FSYNC] = EIO;
    CHECK(put(&s, "refs/b", "x", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_STORE);
    sys_reset();
    CHECK_STR(text_of(&s, "refs/b"), "?4");
    sys_fail[SYS_RENAME] = EIO;
    CHECK(put(&s, "refs/a", "y", 1, DREAMDB_PUT_IF_TAG, tag_of(&s, "refs/a")) == DREAMDB_ERR_STORE);
    sys_reset();
    CHECK_STR(text_of(&s, "refs/a"), "x");
    CHECK(put(&s, "refs/a", "y", 1, DREAMDB_PUT_IF_TAG, tag_of(&s, "refs/a")) == DREAMDB_OK);       /* the lock was given back */
    dreamdb_store_close(&s);
    wipe(folder("fails"));
}

/* Another writer is faster between our look and our name. */
static void overtaken_creations(void)
{
    static const char *const paths[] = { "refs/a", "o/a" };
    for (int i = 0; i < 4; i++) {
        char full[64];
        dreamdb_store s = directory(folder("taken"), DREAMDB_DURABILITY_NONE);
        ((ddb_store_dir *)s.user)->no_link = i >= 2;
        CHECK(put_text(&s, "refs/other", "x") == DREAMDB_OK && put_text(&s, "o/other", "x") == DREAMDB_OK);
        (void)snprintf(full, sizeof full, "taken/%s", paths[i % 2]);
        sys_meanwhile = folder(full);
        CHECK(put(&s, paths[i % 2], "ours", 4, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_EXISTS);
        CHECK(!sys_meanwhile);
        CHECK_STR(text_of(&s, paths[i % 2]), "theirs");
        dreamdb_store_close(&s);
        wipe(folder("taken"));
    }
}

static void without_hard_links(void)
{
    static const int errors[] = { EPERM, EOPNOTSUPP, ENOSYS };
    for (int i = 0; i < 3; i++) {
        sys_reset();
        dreamdb_store s = directory(folder("nolink"), DREAMDB_DURABILITY_NONE);
        sys_fail[SYS_LINK] = errors[i];
        CHECK(put(&s, "o/a", "1", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
        CHECK(put(&s, "o/a", "2", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_EXISTS);
        CHECK(put(&s, "o/b", "2", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
        CHECK(put(&s, "refs/a", "1", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
        CHECK(put(&s, "refs/a", "2", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_EXISTS);
        CHECK_EQ_U64(sys_calls[SYS_LINK], 1);                /* it remembers */
        sys_reset();
        CHECK_STR(text_of(&s, "o/a"), "1");
        CHECK_STR(text_of(&s, "refs/a"), "1");
        dreamdb_store_close(&s);
        wipe(folder("nolink"));
    }
}

/* The order of system calls is the promise. */
static void durable_before_the_ref(void)
{
    dreamdb_store s = directory(folder("dur"), DREAMDB_DURABILITY_FULL);
    CHECK(put_text(&s, "o/first", "x") == DREAMDB_OK);
    CHECK(put(&s, "refs/main", "0", 1, DREAMDB_PUT_ALWAYS, NULL) == DREAMDB_OK);
    sys_reset();
    sys_trace_on = 1;
    CHECK(put(&s, "o/a", "1", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK && put(&s, "o/b", "1", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
    CHECK_STR(sys_trace, "write link unlink write link unlink ");                  /* objects unsynced */
    CHECK(s.sync(s.user) == DREAMDB_OK && s.sync(s.user) == DREAMDB_OK);
    CHECK_EQ_U64(sys_calls[SYS_SYNCFS], 1);                                        /* nothing to do twice */
    CHECK(put(&s, "o/a", "1", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_EXISTS);
    CHECK(s.sync(s.user) == DREAMDB_OK);
    CHECK_EQ_U64(sys_calls[SYS_SYNCFS], 2);                                        /* another process may have written what is there */
    sys_trace[0] = 0;
    CHECK(put(&s, "o/c", "1", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
    CHECK(put(&s, "refs/main", "2", 1, DREAMDB_PUT_IF_TAG, tag_of(&s, "refs/main")) == DREAMDB_OK);
    const char *at = strstr(sys_trace, "syncfs write fsync/main.tmp-");            /* even if nobody called sync */
    CHECK(at != NULL && strstr(at, " rename fsync/refs ") != NULL && strstr(sys_trace, "syncfs") == at);
    sys_trace[0] = 0;
    CHECK(put(&s, "refs/new/one", "2", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);   /* new folders are synced up to the root */
    CHECK(strstr(sys_trace, "fsync/one.tmp-") != NULL && strstr(sys_trace, " link unlink fsync/new fsync/refs fsync/dur fsync/") != NULL);
    sys_reset();
    sys_fail[SYS_SYNCFS] = EIO;
    sys_times[SYS_SYNCFS] = 1;
    CHECK(put_text(&s, "o/d", "x") == DREAMDB_OK);
    CHECK(put(&s, "refs/main", "3", 1, DREAMDB_PUT_IF_TAG, tag_of(&s, "refs/main")) == DREAMDB_ERR_STORE);
    CHECK_STR(text_of(&s, "refs/main"), "2");
    CHECK(put(&s, "refs/main", "3", 1, DREAMDB_PUT_IF_TAG, tag_of(&s, "refs/main")) == DREAMDB_ERR_STORE);   /* a good second sync proves nothing */
    CHECK(strstr(reason_of(&s), "open the store anew") != NULL);
    dreamdb_store_close(&s);
    s = directory(folder("dur"), DREAMDB_DURABILITY_REF_ONLY);
    sys_reset();
    sys_trace_on = 1;
    CHECK(put_text(&s, "o/e", "x") == DREAMDB_OK && s.sync(s.user) == DREAMDB_OK);
    CHECK(put(&s, "refs/main", "3", 1, DREAMDB_PUT_IF_TAG, tag_of(&s, "refs/main")) == DREAMDB_OK);
    CHECK_EQ_U64(sys_calls[SYS_SYNCFS], 0);
    CHECK_EQ_U64(sys_calls[SYS_FSYNC], 2);
    dreamdb_store_close(&s);
    s = directory(folder("dur"), DREAMDB_DURABILITY_NONE);
    sys_reset();
    CHECK(put_text(&s, "o/f", "x") == DREAMDB_OK && s.sync(s.user) == DREAMDB_OK);
    CHECK(put(&s, "refs/main", "4", 1, DREAMDB_PUT_IF_TAG, tag_of(&s, "refs/main")) == DREAMDB_OK && s.remove(s.user, "refs/main") == DREAMDB_OK);
    CHECK_EQ_U64(sys_calls[SYS_SYNCFS] + sys_calls[SYS_FSYNC], 0);
    dreamdb_store_close(&s);
    sys_reset();
    wipe(folder("dur"));
}

static void durable_without_syncfs(void)
{
    dreamdb_store s = directory(folder("list"), DREAMDB_DURABILITY_FULL);
    char path[64];
    ((ddb_store_dir *)s.user)->lists = 1;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(path, sizeof path, "t/m%d/o%d", i % 2, i);
        CHECK(put(&s, path, "x", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
    }
    CHECK(put(&s, "t/m0/o0", "x", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_EXISTS);
    CHECK(s.remove(s.user, "t/m1/o1") == DREAMDB_OK);
    sys_reset();
    sys_trace_on = 1;
    CHECK(s.sync(s.user) == DREAMDB_OK);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(path, sizeof path, "fsync/o%d ", i);
        CHECK((strstr(sys_trace, path) != NULL) == (i != 1));
    }
    CHECK(strstr(sys_trace, "fsync/m0 ") && strstr(sys_trace, "fsync/m1 ") && strstr(sys_trace, "fsync/t ") && strstr(sys_trace, "fsync/list "));
    CHECK_EQ_U64(sys_calls[SYS_FSYNC], 19 + 1 + 5);          /* each file (o0 twice), each folder once up to the one that holds the base */
    CHECK_EQ_U64(sys_calls[SYS_SYNCFS], 0);
    sys_reset();
    CHECK(put_text(&s, "t/x", "y") == DREAMDB_OK);
    sys_fail[SYS_FSYNC] = EIO;
    sys_times[SYS_FSYNC] = 1;
    CHECK(s.sync(s.user) == DREAMDB_ERR_STORE);
    CHECK(s.sync(s.user) == DREAMDB_ERR_STORE);
    sys_reset();
    dreamdb_store_close(&s);
    wipe(folder("list"));
}

static void full_disk(void)
{
#ifdef __linux__
    char *data = (char *)malloc(40000), path[64];
    dreamdb_store s;
    int status = DREAMDB_OK, n = 0, list_status = 0;
    CHECK(mkdir(folder("disk"), 0777) == 0);
    if (mount("none", folder("disk"), "tmpfs", 0, "size=256k") != 0) {
        printf("store: skipped the full disk: no mount of a tmpfs here (%s)\n", geteuid() == 0 ? "no right" : "not root");
        free(data);
        return;
    }
    memset(data, 'd', 40000);
    s = directory(folder("disk/store"), DREAMDB_DURABILITY_FULL);
    CHECK(put(&s, "refs/main", "1", 1, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
    while (status == DREAMDB_OK && n < 100) {
        (void)snprintf(path, sizeof path, "o/%d", n++);
        status = put(&s, path, data, 40000, DREAMDB_PUT_IF_ABSENT, NULL);
    }
    CHECK(status == DREAMDB_ERR_STORE && strstr(reason_of(&s), "no space left"));
    listing l = list(&s, "o/", 0, &list_status);
    CHECK_EQ_U64(l.count, n - 1);
    CHECK_EQ_U64(l.bytes, (uint64_t)(n - 1) * 40000);        /* whole ones only */
    CHECK_STR(text_of(&s, "refs/main"), "1");
    CHECK(s.remove(s.user, "o/0") == DREAMDB_OK);
    CHECK(put(&s, path, data, 40000, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
    dreamdb_store_close(&s);
    CHECK(umount(folder("disk")) == 0);
    free(data);
    wipe(folder("disk"));
#else
    printf("store: skipped the full disk: no tmpfs here\n");
#endif
}

/* ---- Races and crashes ---- */

/* Adds one, times times, by compare-and-swap; returns how many landed. */
static int count_up(const dreamdb_store *s, int times)
{
    int landed = 0;
    while (landed < times) {
        uint8_t value[33];
        char tag[DREAMDB_TAG_SIZE];
        dreamdb_blob blob;
        if (s->get(s->user, "refs/counter", 0, 0, &blob) != DREAMDB_OK || blob.size != 33) { return -1; }
        memcpy(value, blob.data, 33);
        memcpy(tag, blob.tag, sizeof tag);
        ddb_store_release(&blob);
        ddb_bytes_set_le32(value, ddb_bytes_le32(value) + 1);
        int status = put(s, "refs/counter", value, 33, DREAMDB_PUT_IF_TAG, tag);
        if (status == DREAMDB_OK) { landed++; } else if (status != DREAMDB_ERR_CONFLICT) { return -1; }
    }
    return landed;
}

static void *count_up_thread(void *user) { return count_up((const dreamdb_store *)user, 100) == 100 ? NULL : user; }

static void swap_races(void)
{
    uint8_t zero[33];
    memset(zero, 0, sizeof zero);
#ifdef DREAMDB_NO_THREADS
    int first = 2;
#else
    int first = 0;
#endif
    for (int kind = first; kind < 3; kind++) {               /* threads on memory, threads on a directory, processes on a directory */
        dreamdb_store s = kind == 0 ? memory() : directory(folder("race"), DREAMDB_DURABILITY_NONE);
        dreamdb_blob blob;
        CHECK(put(&s, "refs/counter", zero, 33, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
        if (kind < 2) {
            pthread_t threads[4];
            for (int i = 0; i < 4; i++) { CHECK(pthread_create(threads + i, NULL, count_up_thread, &s) == 0); }
            for (int i = 0; i < 4; i++) {
                void *bad = NULL;
                (void)pthread_join(threads[i], &bad);
                CHECK(!bad);
            }
        } else {
            pid_t children[4];
            for (int i = 0; i < 4; i++) {
                children[i] = fork();
                if (children[i] == 0) {
                    dreamdb_store mine = directory(folder("race"), DREAMDB_DURABILITY_NONE);
                    _exit(count_up(&mine, 100) == 100 ? 0 : 1);
                }
            }
            for (int i = 0; i < 4; i++) {
                int result = 0;
                CHECK(waitpid(children[i], &result, 0) == children[i] && WIFEXITED(result) && WEXITSTATUS(result) == 0);
            }
        }
        CHECK(s.get(s.user, "refs/counter", 0, 0, &blob) == DREAMDB_OK && blob.size == 33);
        CHECK_EQ_U64(ddb_bytes_le32(blob.data), 400);        /* no step was lost, none counted twice */
        ddb_store_release(&blob);
        dreamdb_store_close(&s);
        wipe(folder("race"));
    }
}

static void create_races(void)
{
    for (int no_link = 0; no_link < 2; no_link++) {
        for (int round = 0; round < 10; round++) {
            pid_t children[6];
            char path[64];
            int won = 0;
            (void)snprintf(path, sizeof path, "refs/r%d/new", round);
            for (int i = 0; i < 6; i++) {
                children[i] = fork();
                if (children[i] == 0) {
                    dreamdb_store mine = directory(folder("create"), DREAMDB_DURABILITY_NONE);
                    ((ddb_store_dir *)mine.user)->no_link = (uint64_t)no_link;
                    int status = put(&mine, path, &i, sizeof i, DREAMDB_PUT_IF_ABSENT, NULL);
                    _exit(status == DREAMDB_OK ? 1 : status == DREAMDB_ERR_EXISTS ? 0 : 2);
                }
            }
            for (int i = 0; i < 6; i++) {
                int result = 0;
                CHECK(waitpid(children[i], &result, 0) == children[i] && WIFEXITED(result) && WEXITSTATUS(result) < 2);
                won += WEXITSTATUS(result);
            }
            CHECK_EQ_U64(won, 1);
        }
        wipe(folder("create"));
    }
}

static int whole_objects(void *user, const char *path, const dreamdb_stat *stat)
{
    const dreamdb_store *s = (const dreamdb_store *)user;
    dreamdb_blob blob;
    ddb_addr named, is;
    if (!ddb_addr_parse(ddb_bytes_text(path + 2), &named) || s->get(s->user, path, 0, 0, &blob) != DREAMDB_OK) { return 1; }
    ddb_addr_of(ddb_cpu_detect(), ddb_bytes_slice(blob.data, (size_t)blob.size), &is);
    int same = ddb_addr_equal(&named, &is) && blob.size == stat->size;
    ddb_store_release(&blob);
    return same ? 0 : 1;
}

/* A writer that is killed at any moment leaves whole objects under their names, or none. */
static void killed_writers(void)
{
    size_t size = 200000;
    uint8_t *data = (uint8_t *)malloc(size);
    dreamdb_store s = directory(folder("kill"), DREAMDB_DURABILITY_FULL);
    memset(data, 1, size);
    for (int round = 0; round < 25; round++) {
        pid_t child = fork();
        if (child == 0) {
            dreamdb_store mine = directory(folder("kill"), DREAMDB_DURABILITY_NONE);
            for (uint32_t i = 0;; i++) {
                ddb_addr addr;
                char path[64] = "o/";
                size_t part = 20000 + (i * 7919u) % 180000;
                ddb_bytes_set_le32(data, i % 40 + (uint32_t)round * 1000);
                ddb_addr_of(ddb_cpu_detect(), ddb_bytes_slice(data, part), &addr);
                ddb_addr_text(&addr, path + 2);
                int status = put(&mine, path, data, part, i % 3 ? DREAMDB_PUT_IF_ABSENT : DREAMDB_PUT_ALWAYS, NULL);
                if (status != DREAMDB_OK && status != DREAMDB_ERR_EXISTS) { _exit(1); }
            }
        }
        ddb_port_sleep_ns(2000000 + test_rand() % 8000000);
        CHECK(kill(child, SIGKILL) == 0);
        int result = 0;
        (void)waitpid(child, &result, 0);
        CHECK(WIFSIGNALED(result));
    }
    CHECK(s.list(s.user, "o/", whole_objects, &s) == 0);
    CHECK(put_text(&s, "o/after", "works") == DREAMDB_OK);
    dreamdb_store_close(&s);
    free(data);
    wipe(folder("kill"));
}

/* ---- Threads, memory ---- */

#ifndef DREAMDB_NO_THREADS
typedef struct hammer { const dreamdb_store *s; uint64_t seed; int bad; } hammer;
static void *hammer_run(void *user)
{
    hammer *h = (hammer *)user;
    const dreamdb_store *s = h->s;
    for (int i = 0; i < 1500; i++) {
        char path[64], want[64];
        dreamdb_blob blob;
        h->seed = h->seed * 6364136223846793005u + 1442695040888963407u;
        uint32_t r = (uint32_t)(h->seed >> 33);
        (void)snprintf(path, sizeof path, "k/%u/%u", r % 5, r % 37);
        (void)snprintf(want, sizeof want, "value of %u %u", r % 5, r % 37);
        int status = DREAMDB_OK;
        switch (r / 64 % 4) {
        case 0: status = s->put(s->user, path, want, strlen(want), NULL); break;
        case 1: status = put(s, path, want, strlen(want), DREAMDB_PUT_IF_ABSENT, NULL); break;
        case 2: status = r % 11 == 0 ? s->remove(s->user, path) : (int)DREAMDB_OK; break;
        default:
            status = s->get(s->user, path, 0, 0, &blob);
            if (status == DREAMDB_OK) {
                h->bad += blob.size != strlen(want) || memcmp(blob.data, want, strlen(want)) != 0;
                ddb_store_release(&blob);
            }
            break;
        }
        h->bad += status != DREAMDB_OK && status != DREAMDB_ERR_EXISTS && status != DREAMDB_ERR_NOT_FOUND;
    }
    return NULL;
}

static void thread_hammer(void)
{
    size_t before = test_live_bytes();
    dreamdb_allocator allocator = test_allocator();
    for (int kind = 0; kind < 3; kind++) {
        dreamdb_store inner = kind == 2 ? directory(folder("hammer"), DREAMDB_DURABILITY_NONE) : memory(), cache;
        memset(&cache, 0, sizeof cache);
        if (kind > 0) { CHECK(dreamdb_store_cache(&inner, 3000, &allocator, &cache, NULL) == DREAMDB_OK); }
        pthread_t threads[4];
        hammer h[4];
        for (int i = 0; i < 4; i++) {
            h[i].s = kind > 0 ? &cache : &inner;
            h[i].seed = (uint64_t)i * 77 + 5;
            h[i].bad = 0;
            CHECK(pthread_create(threads + i, NULL, hammer_run, h + i) == 0);
        }
        for (int i = 0; i < 4; i++) {
            (void)pthread_join(threads[i], NULL);
            CHECK_EQ_U64(h[i].bad, 0);
        }
        dreamdb_store_close(&cache);
        dreamdb_store_close(&inner);
    }
    wipe(folder("hammer"));
    CHECK_EQ_U64(test_live_bytes(), before);
}

#endif

/* One of everything; every answer is OK or MEMORY. */
static int scenario(dreamdb_store *s)
{
    dreamdb_blob blob;
    dreamdb_stat stat;
    dreamdb_io ops[3];
    listing l;
    int status[10], n = 0;
    memset(&l, 0, sizeof l);
    status[n++] = put(s, "a/b", "1", 1, DREAMDB_PUT_IF_ABSENT, NULL);
    status[n++] = put_text(s, "refs/r", "2");
    status[n++] = s->get(s->user, "a/b", 0, 0, &blob);
    if (status[n - 1] == DREAMDB_OK) { ddb_store_release(&blob); }
    if (status[1] == DREAMDB_OK) {
        status[n++] = s->stat(s->user, "refs/r", &stat);
        if (status[n - 1] == DREAMDB_OK) { status[n++] = put(s, "refs/r", "3", 1, DREAMDB_PUT_IF_TAG, stat.tag); }
    }
    status[n++] = s->list(s->user, "", add_name, &l);
    status[n++] = s->sync ? s->sync(s->user) : (int)DREAMDB_OK;
    memset(ops, 0, sizeof ops);
    for (int i = 0; i < 3; i++) {
        ops[i].kind = DREAMDB_IO_GET;
        ops[i].path = i ? "a/b" : "refs/r";
    }
    status[n++] = ddb_store_batch(test_ctx(), NULL, s, ops, 3);
    for (int i = 0; i < 3; i++) {
        int fine = status[n - 1] < 0 || ops[i].status == DREAMDB_OK || ops[i].status == DREAMDB_ERR_MEMORY || ops[i].status == DREAMDB_ERR_NOT_FOUND;
        if (!fine) { return DREAMDB_ERR_STORE; }
        if (ops[i].status == DREAMDB_ERR_MEMORY) { status[n - 1] = DREAMDB_ERR_MEMORY; }
        ddb_store_release(&ops[i].blob);
    }
    status[n++] = s->remove(s->user, "a/b");
    int out = DREAMDB_OK;
    for (int i = 0; i < n; i++) {
        if (status[i] == DREAMDB_ERR_NOT_FOUND && status[0] == DREAMDB_ERR_MEMORY) { continue; }
        out = status[i] != DREAMDB_OK && (out == DREAMDB_OK || status[i] != DREAMDB_ERR_MEMORY) ? status[i] : out;
    }
    return out;
}

static void no_memory(void)
{
    size_t before = test_live_bytes();
    dreamdb_allocator allocator = test_allocator();
    for (int kind = 0; kind < 4; kind++) {                   /* memory, cache over fault over memory, directory, directory without syncfs */
        int good = 0;
        for (long at = 1; at < 300 && !good; at++) {
            dreamdb_store inner, fault, s;
            dreamdb_fault plan;
            dreamdb_directory desc;
            memset(&plan, 0, sizeof plan);
            memset(&desc, 0, sizeof desc);
            memset(&inner, 0, sizeof inner);
            memset(&fault, 0, sizeof fault);
            desc.path = folder("nomem");
            desc.create = 1;
            desc.allocator = allocator;
            test_fail_alloc_at(at);
            int status = kind < 2 ? dreamdb_store_memory(&allocator, &inner, &test_error) : dreamdb_store_directory(&desc, &inner, &test_error);
            s = inner;
            if (kind == 3 && status == DREAMDB_OK) { ((ddb_store_dir *)inner.user)->lists = 1; }
            if (kind == 1 && status == DREAMDB_OK) {
                status = dreamdb_store_fault(&inner, &plan, &allocator, &fault, &test_error);
                status = status < 0 ? status : (int)dreamdb_store_cache(&fault, 100000, &allocator, &s, &test_error);
            }
            status = status < 0 ? status : scenario(&s);
            good = test_allocs < at;
            test_fail_alloc_at(0);
            CHECK(status == DREAMDB_OK || (!good && status == DREAMDB_ERR_MEMORY));
            if (kind == 1) {
                if (s.user != inner.user) { dreamdb_store_close(&s); }
                dreamdb_store_close(&fault);
            }
            dreamdb_store_close(&inner);
            CHECK_EQ_U64(test_live_bytes(), before);
            if (kind >= 2) { wipe(folder("nomem")); }
        }
        CHECK(good);
    }
}

int main(void)
{
    const char *base = getenv("TMPDIR");
    (void)setvbuf(stdout, NULL, _IOLBF, 0);                  /* children must not repeat what waits to be printed */
    (void)snprintf(scratch, sizeof scratch, "%s/ddb_store_XXXXXX", base && strlen(base) < 200 ? base : "/tmp");
    if (!mkdtemp(scratch)) { printf("store: no scratch folder\n"); return 1; }
    RUN(every_store_keeps_the_rules);
    RUN(memory_lends_bytes_that_stay);
    RUN(list_may_remove);
    RUN(cache_keeps_its_cap);
    RUN(cache_forgets_what_changes);
    RUN(cache_is_not_overtaken);
    RUN(cache_drops_damaged_answers);
    RUN(cache_batches);
    RUN(fault_plans);
    RUN(lying_stores);
    RUN(opening_creates_nothing);
    RUN(relative_base_stays);
    RUN(locks_are_the_references);
    RUN(strange_files_do_no_harm);
    RUN(read_only);
    RUN(failing_calls);
    RUN(overtaken_creations);
    RUN(without_hard_links);
    RUN(durable_before_the_ref);
    RUN(durable_without_syncfs);
    RUN(full_disk);
    RUN(swap_races);
    RUN(create_races);
    RUN(killed_writers);
#ifndef DREAMDB_NO_THREADS
    RUN(thread_hammer);
#endif
    RUN(no_memory);
    wipe(scratch);
    return test_end("store");
}
