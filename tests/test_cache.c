/* test_cache.c - the cache on a disk: a model beside it, what the base is asked for, damaged and foreign files, eviction by two handles,
   processes at once, folders that cannot be written, faults of the base and of memory. */
#ifndef _GNU_SOURCE
  #define _GNU_SOURCE 1
#endif
#include "test.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char scratch[200];
static const char *folder(const char *name)
{
    static char out[4][300];
    static int turn;
    char *to = out[turn++ % 4];
    (void)snprintf(to, 300, "%s/%s", scratch, name);
    return to;
}
static void wipe(const char *path)
{
    char command[600];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", path);
    if (system(command) != 0) { printf("cannot remove %s\n", path); }
}
/* Where the cache keeps a path. */
static const char *file_of(const char *name, const char *path)
{
    static char out[600];
    (void)snprintf(out, sizeof out, "%s/%s/dreamdb-cache/%s", scratch, name, path);
    return out;
}
static int is_kept(const char *name, const char *path) { return access(file_of(name, path), F_OK) == 0; }
static void write_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    if (f) { CHECK(fwrite(data, 1, size, f) == size); (void)fclose(f); }
}
static void set_age(const char *path, time_t seconds)
{
    struct timespec times[2];
    memset(times, 0, sizeof times);
    times[0].tv_sec = times[1].tv_sec = time(NULL) - seconds;
    CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
}

/* ---- A base of objects that counts, and a cache in front ---- */

enum { THINGS = 40, THING_MOST = 3000 };
typedef struct thing { char path[160]; char data[THING_MOST]; size_t size; } thing;
static thing things[THINGS];
static void make_things(void)
{
    static const char *const folders[] = {"track", "bxx/embedding.f32.dim=8.bucketed/0000", "manifest"};
    for (size_t i = 0; i < THINGS; i++) {
        char text[DREAMDB_ADDRESS_TEXT];
        ddb_addr addr;
        thing *t = things + i;
        t->size = i == 0 ? 0 : 1 + (size_t)(test_rand() % THING_MOST);
        for (size_t j = 0; j < t->size; j++) { t->data[j] = (char)test_rand(); }
        ddb_addr_of(ddb_cpu_detect(), ddb_bytes_slice(t->data, t->size), &addr);
        ddb_addr_text(&addr, text);
        (void)snprintf(t->path, sizeof t->path, i % 5 == 4 ? "ddbx/%s%s" : "%s/%s", i % 5 == 4 ? text : folders[i % 3], i % 5 == 4 ? ".lineage" : text);
    }
}

typedef struct stack { dreamdb_store memory, base, cache; dreamdb_fault plan; } stack;
static void cache_open(stack *s, const char *name, uint64_t bytes)
{
    dreamdb_disk_cache desc;
    memset(&desc, 0, sizeof desc);
    desc.path = folder(name);
    desc.bytes = bytes;
    desc.allocator = test_allocator();
    CHECK(dreamdb_store_disk_cache(&s->base, &desc, &s->cache, NULL) == DREAMDB_OK);
}
static void stack_open(stack *s, const char *name, uint64_t bytes)
{
    dreamdb_allocator allocator = test_allocator();
    memset(s, 0, sizeof *s);
    CHECK(dreamdb_store_memory(&allocator, &s->memory, NULL) == DREAMDB_OK);
    CHECK(dreamdb_store_fault(&s->memory, &s->plan, &allocator, &s->base, NULL) == DREAMDB_OK);
    cache_open(s, name, bytes);
}
static void stack_close(stack *s)
{
    dreamdb_store_close(&s->cache);
    dreamdb_store_close(&s->base);
    dreamdb_store_close(&s->memory);
}
static dreamdb_disk_cache_stats stats_of(const stack *s)
{
    dreamdb_disk_cache_stats out;
    CHECK(dreamdb_disk_cache_stats_of(&s->cache, &out) == DREAMDB_OK);
    return out;
}
static int put(const dreamdb_store *s, const thing *t, dreamdb_condition_kind kind)
{
    dreamdb_condition condition;
    condition.kind = kind;
    condition.tag = NULL;
    return s->put(s->user, t->path, t->data, t->size, &condition);
}
static void fill(stack *s) { for (size_t i = 0; i < THINGS; i++) { CHECK(put(&s->memory, things + i, DREAMDB_PUT_IF_ABSENT) == DREAMDB_OK); } }
/* Reads a range and compares it with the model; 0 bytes = to the end. */
static int reads(const dreamdb_store *s, const thing *t, uint64_t offset, uint64_t size)
{
    dreamdb_blob blob;
    uint64_t from = offset < t->size ? offset : t->size, left = t->size - from;
    uint64_t want = size > 0 && size < left ? size : left;
    if (s->get(s->user, t->path, offset, size, &blob) != DREAMDB_OK) { return 0; }
    int same = blob.size == want && (want == 0 || memcmp(blob.data, t->data + from, (size_t)want) == 0);
    ddb_store_release(&blob);
    return same;
}

/* ---- Cases ---- */

static void second_process_asks_for_nothing(void)
{
    size_t before = test_live_bytes();
    stack s;
    stack_open(&s, "second", 0);
    fill(&s);
    for (size_t i = 0; i < THINGS; i++) { CHECK(reads(&s.cache, things + i, 0, 0)); }
    CHECK_EQ_U64(s.plan.gets, THINGS);
    CHECK_EQ_U64(stats_of(&s).kept, THINGS);
    dreamdb_store_close(&s.cache);
    cache_open(&s, "second", 0);               /* a handle anew is a process anew */
    for (size_t i = 0; i < THINGS; i++) {
        CHECK(reads(&s.cache, things + i, 1, 0) && reads(&s.cache, things + i, 0, 0) && reads(&s.cache, things + i, 7, 100));
        CHECK(reads(&s.cache, things + i, 0, 10) && reads(&s.cache, things + i, 5000, 10) && reads(&s.cache, things + i, UINT64_MAX, 0));
    }
    CHECK_EQ_U64(s.plan.gets, THINGS);
    CHECK_EQ_U64(stats_of(&s).hits, THINGS * 6);
    CHECK_EQ_U64(stats_of(&s).misses, 0);
    stack_close(&s);
    CHECK_EQ_U64(test_live_bytes(), before);
}

static void puts_fill_and_removes_empty(void)
{
    stack s;
    stack_open(&s, "puts", 0);
    CHECK(put(&s.cache, things + 1, DREAMDB_PUT_IF_ABSENT) == DREAMDB_OK && put(&s.cache, things + 2, DREAMDB_PUT_ALWAYS) == DREAMDB_OK);
    CHECK(put(&s.cache, things + 1, DREAMDB_PUT_IF_ABSENT) == DREAMDB_ERR_EXISTS);
    CHECK_EQ_U64(s.plan.operations, 3);        /* all went through */
    CHECK(reads(&s.cache, things + 1, 0, 0) && reads(&s.cache, things + 2, 0, 0) && s.plan.gets == 0);
    CHECK(s.cache.remove(s.cache.user, things[1].path) == DREAMDB_OK && !is_kept("puts", things[1].path) && !reads(&s.cache, things + 1, 0, 0));
    s.plan.fail_at = s.plan.operations + 1;    /* a put that fails is not kept */
    CHECK(put(&s.cache, things + 3, DREAMDB_PUT_IF_ABSENT) == DREAMDB_ERR_STORE && !is_kept("puts", things[3].path));
    stack_close(&s);
}

/* Refs, flags, names that no hash proves, and bytes that are not their name's: passed through. */
static void what_is_never_kept(void)
{
    static const char *const paths[] = {"refs/main", "_gc/run-1", ".lock", "manifest/notes.txt", "track/short"};
    stack s;
    thing wrong = things[5];
    stack_open(&s, "never", 0);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        dreamdb_blob blob;
        CHECK(s.cache.put(s.cache.user, paths[i], "abc", 3, NULL) == DREAMDB_OK);
        CHECK(s.cache.get(s.cache.user, paths[i], 0, 0, &blob) == DREAMDB_OK && blob.size == 3);
        ddb_store_release(&blob);
        CHECK(!is_kept("never", paths[i]));
    }
    (void)snprintf(wrong.path, sizeof wrong.path, "refs/%.100s", strrchr(things[5].path, '/') + 1);
    CHECK(put(&s.cache, &wrong, DREAMDB_PUT_ALWAYS) == DREAMDB_OK && reads(&s.cache, &wrong, 0, 0) && !is_kept("never", wrong.path));
    wrong = things[6];
    wrong.data[0] ^= 1;
    CHECK(put(&s.cache, &wrong, DREAMDB_PUT_ALWAYS) == DREAMDB_OK && reads(&s.cache, &wrong, 0, 0) && !is_kept("never", wrong.path));
    CHECK(put(&s.memory, things + 7, DREAMDB_PUT_ALWAYS) == DREAMDB_OK && reads(&s.cache, things + 7, 1, 20) && !is_kept("never", things[7].path));
    CHECK(reads(&s.cache, things + 7, 0, 1) && !is_kept("never", things[7].path));           /* a part from the start is no object */
    CHECK_EQ_U64(stats_of(&s).kept, 0);
    s.plan.flip_at = s.plan.gets + 1;          /* an answer that is damaged on the way is passed on, not kept */
    CHECK(!reads(&s.cache, things + 7, 0, 0) && !is_kept("never", things[7].path) && reads(&s.cache, things + 7, 0, 0));
    CHECK(is_kept("never", things[7].path));
    stack_close(&s);
}

/* An outboard is proved by its tree; one of 8 bytes cannot be. */
static void outboards(void)
{
    static uint8_t data[70000], board[8 + 64 * 68];
    static const size_t sizes[] = {1025, 2048, 3000, 70000};
    uint32_t cpu = ddb_cpu_detect();
    for (size_t i = 0; i < sizeof data; i++) { data[i] = (uint8_t)test_rand(); }
    for (size_t i = 0; i < 4; i++) {
        uint8_t root[32];
        size_t size = ddb_hash_outboard_size(sizes[i]);
        CHECK(size <= sizeof board);
        ddb_hash_outboard(cpu, data, sizes[i], board, root);
        CHECK(ddb_hash_outboard_fits(cpu, board, size, root) && !ddb_hash_outboard_fits(cpu, board, size - 1, root));
        CHECK(!ddb_hash_outboard_fits(cpu, board, size - 64, root));
        for (size_t at = 8; at < size; at += 1 + at % 7) {
            board[at] ^= 4;
            CHECK(!ddb_hash_outboard_fits(cpu, board, size, root));
            board[at] ^= 4;
        }
        board[7] = 0xff;
        CHECK(!ddb_hash_outboard_fits(cpu, board, size, root));
    }
    stack s;
    char path[100], text[DREAMDB_ADDRESS_TEXT];
    ddb_addr addr;
    dreamdb_blob blob;
    stack_open(&s, "boards", 0);
    ddb_addr_of(cpu, ddb_bytes_slice(data, 5000), &addr);
    ddb_addr_text(&addr, text);
    (void)snprintf(path, sizeof path, "bao-outboard/%s", text);
    ddb_hash_outboard(cpu, data, 5000, board, addr.bytes + 1);
    size_t size = ddb_hash_outboard_size(5000);
    CHECK(s.cache.put(s.cache.user, path, board, size, NULL) == DREAMDB_OK && is_kept("boards", path));
    CHECK(s.cache.get(s.cache.user, path, 8, 64, &blob) == DREAMDB_OK && blob.size == 64 && memcmp(blob.data, board + 8, 64) == 0);
    ddb_store_release(&blob);
    CHECK_EQ_U64(s.plan.gets, 0);
    CHECK(truncate(file_of("boards", path), (off_t)size - 64) == 0);
    CHECK(s.cache.get(s.cache.user, path, 0, 0, &blob) == DREAMDB_OK && blob.size == size && stats_of(&s).damaged == 1);
    ddb_store_release(&blob);
    CHECK(s.cache.put(s.cache.user, path, board, 8, NULL) == DREAMDB_OK && !is_kept("boards", path));
    stack_close(&s);
}

/* Each kind of damage, seen by whole reads and by ranges: the base answers, and the file is right again. */
static void damage_is_thrown_away(void)
{
    for (int how = 0; how < 5; how++) {
        for (int ranged = 0; ranged < 2; ranged++) {
            stack s;
            thing *t = things + 8, other = things[9];
            stack_open(&s, "damage", 0);
            fill(&s);
            CHECK(reads(&s.cache, t, 0, 0) && is_kept("damage", t->path));
            dreamdb_store_close(&s.cache);
            other = *t;
            if (how == 0) { other.data[t->size / 2] ^= 16; }
            if (how == 1) { other.size--; }
            if (how == 2) { other.size = 0; }
            if (how == 3) { other = things[9]; }
            if (how == 4) { other.data[other.size++] = 0; }
            write_file(file_of("damage", t->path), other.data, other.size);
            cache_open(&s, "damage", 0);
            uint64_t gets = s.plan.gets;
            CHECK(ranged ? reads(&s.cache, t, 1, 5) : reads(&s.cache, t, 0, 0));
            CHECK_EQ_U64(s.plan.gets, gets + 1);
            CHECK_EQ_U64(stats_of(&s).damaged, 1);
            CHECK(is_kept("damage", t->path) == !ranged && reads(&s.cache, t, 0, 0) && reads(&s.cache, t, 3, 5));
            CHECK_EQ_U64(s.plan.gets, gets + 1 + (uint64_t)ranged);
            stack_close(&s);
            wipe(folder("damage"));
        }
    }
}

/* A folder of that name, a pipe, a file nobody may read: misses, and no error. */
static void strange_files(void)
{
    stack s;
    stack_open(&s, "strange", 0);
    fill(&s);
    CHECK(reads(&s.cache, things + 1, 0, 0) && reads(&s.cache, things + 4, 0, 0));
    CHECK(unlink(file_of("strange", things[1].path)) == 0 && mkdir(file_of("strange", things[1].path), 0777) == 0);
    CHECK(unlink(file_of("strange", things[4].path)) == 0 && mkfifo(file_of("strange", things[4].path), 0666) == 0);
    for (int i = 0; i < 3; i++) { CHECK(reads(&s.cache, things + 1, 0, 0) && reads(&s.cache, things + 1, 2, 0) && reads(&s.cache, things + 4, 0, 0)); }
    CHECK(stats_of(&s).failures > 0);
    stack_close(&s);
}

/* The folder is a file, cannot be made, or is read-only: everything works, and what is there is served. */
static void folders_that_cannot_be_written(void)
{
    stack s;
    write_file(folder("file"), "x", 1);
    stack_open(&s, "file", 0);
    fill(&s);
    for (size_t i = 0; i < THINGS; i++) { CHECK(reads(&s.cache, things + i, 0, 0) && put(&s.cache, things + i, DREAMDB_PUT_ALWAYS) == DREAMDB_OK); }
    CHECK_EQ_U64(s.plan.gets, THINGS);
    stack_close(&s);
    stack_open(&s, "file/below", 0);
    fill(&s);
    for (size_t i = 0; i < THINGS; i++) { CHECK(reads(&s.cache, things + i, 0, 0)); }
    CHECK(stats_of(&s).kept == 0 && stats_of(&s).failures <= DDB_STORE_DISK_FAILURES);
    stack_close(&s);
    if (geteuid() != 0) {
        stack_open(&s, "locked", 0);
        fill(&s);
        CHECK(reads(&s.cache, things + 1, 0, 0));
        CHECK(chmod(folder("locked/dreamdb-cache"), 0555) == 0 && chmod(folder("locked/dreamdb-cache/track"), 0555) == 0);
        for (size_t i = 0; i < THINGS; i++) { CHECK(reads(&s.cache, things + i, 0, 0)); }
        CHECK(chmod(folder("locked/dreamdb-cache"), 0755) == 0 && chmod(folder("locked/dreamdb-cache/track"), 0755) == 0);
        stack_close(&s);
    }
}

/* What the folder holds, by its own store. */
static int add_size(void *user, const char *path, const dreamdb_stat *stat) { (void)path; *(uint64_t *)user += stat->size; return 0; }
static uint64_t bytes_in(const char *name)
{
    dreamdb_directory desc;
    dreamdb_store store;
    char path[400];
    uint64_t sum = 0;
    memset(&desc, 0, sizeof desc);
    (void)snprintf(path, sizeof path, "%s/dreamdb-cache", folder(name));
    desc.path = path;
    desc.allocator = test_allocator();
    if (dreamdb_store_directory(&desc, &store, NULL) != DREAMDB_OK) { return 0; }
    CHECK(store.list(store.user, "", add_size, &sum) == DREAMDB_OK);
    dreamdb_store_close(&store);
    return sum;
}

static void oldest_use_goes_first(void)
{
    enum { CAP = 32000 };
    stack s;
    size_t biggest = 0, kept = 0;
    stack_open(&s, "lru", CAP);
    fill(&s);
    CHECK(mkdir(folder("lru"), 0777) == 0);
    write_file(folder("lru/mine"), "not the cache's", 15);
    for (size_t i = 1; i < 8; i++) {           /* seven files, the older the smaller their number; the first was used since */
        CHECK(reads(&s.cache, things + i, 0, 0));
        set_age(file_of("lru", things[i].path), (time_t)(1000 - (long)i * 100));
    }
    write_file(file_of("lru", "notes.txt"), things[8].data, 2000);
    set_age(file_of("lru", "notes.txt"), 100000);
    CHECK(reads(&s.cache, things + 1, 0, 0));
    for (size_t i = 8; i < THINGS; i++) {
        CHECK(reads(&s.cache, things + i, 0, 0) && reads(&s.cache, things + 1, 0, 0));
        biggest = bytes_in("lru") > biggest ? (size_t)bytes_in("lru") : biggest;
    }
    CHECK(is_kept("lru", things[1].path) && !is_kept("lru", things[2].path) && !is_kept("lru", things[3].path));
    CHECK(access(folder("lru/mine"), F_OK) == 0 && access(file_of("lru", "notes.txt"), F_OK) == 0);
    CHECK(biggest <= CAP + CAP / 16 + 2000 + THING_MOST && stats_of(&s).evicted > 0);
    for (size_t i = 0; i < THINGS; i++) { kept += (size_t)is_kept("lru", things[i].path); }
    CHECK_EQ_U64(kept, stats_of(&s).kept - stats_of(&s).evicted);
    stack_close(&s);
    stack_open(&s, "large", 8000);             /* a quarter of the cap at most */
    fill(&s);
    for (size_t i = 0; i < THINGS; i++) { CHECK(reads(&s.cache, things + i, 0, 0) && (things[i].size <= 2000 || !is_kept("large", things[i].path))); }
    stack_close(&s);
}

static void dead_writers_leave_nothing(void)
{
    stack s;
    stack_open(&s, "dead", 16000);
    fill(&s);
    CHECK(reads(&s.cache, things + 1, 0, 0));
    char old[700], fresh[700];
    (void)snprintf(old, sizeof old, "%s.tmp-12-34", file_of("dead", things[2].path));
    (void)snprintf(fresh, sizeof fresh, "%s.tmp-12-35", file_of("dead", things[2].path));
    for (char *at = strstr(old, "dreamdb-cache/"); (at = strchr(at + 1, '/')) != NULL;) { *at = 0; (void)mkdir(old, 0777); *at = '/'; }
    write_file(old, "half", 4);
    write_file(fresh, "half", 4);
    set_age(old, 2 * 3600);
    char other[400];                           /* a link to a folder of somebody else's is not entered */
    (void)snprintf(other, sizeof other, "%s/notes.tmp-1", folder("elsewhere"));
    CHECK(mkdir(folder("elsewhere"), 0777) == 0 && symlink(folder("elsewhere"), file_of("dead", "link")) == 0);
    write_file(other, "mine", 4);
    set_age(other, 2 * 3600);
    for (size_t i = 0; i < THINGS; i++) { CHECK(reads(&s.cache, things + i, 0, 0)); }
    CHECK(access(old, F_OK) != 0 && access(fresh, F_OK) == 0 && access(other, F_OK) == 0);
    stack_close(&s);
}

/* A file of a proper name that is larger than anything kept is not read, but thrown away. */
static void giants(void)
{
    stack s;
    struct stat info;
    stack_open(&s, "giant", 16000);
    fill(&s);
    CHECK(reads(&s.cache, things + 1, 0, 0) && is_kept("giant", things[1].path));
    CHECK(truncate(file_of("giant", things[1].path), (off_t)1 << 40) == 0);
    CHECK(reads(&s.cache, things + 1, 0, 0) && stat(file_of("giant", things[1].path), &info) == 0 && info.st_size == (off_t)things[1].size);
    stack_close(&s);
}

/* Random operations by two handles on one folder, beside a base that everybody can see. */
static void two_handles(void)
{
    stack s;
    dreamdb_store other;
    dreamdb_disk_cache desc;
    char there[THINGS];
    memset(there, 0, sizeof there);
    memset(&desc, 0, sizeof desc);
    stack_open(&s, "two", 20000);
    desc.path = folder("two");
    desc.bytes = 12000;
    desc.allocator = test_allocator();
    CHECK(dreamdb_store_disk_cache(&s.base, &desc, &other, NULL) == DREAMDB_OK);
    for (int step = 0; step < 4000; step++) {
        const dreamdb_store *by = test_rand() % 2 ? &other : &s.cache;
        size_t i = (size_t)(test_rand() % THINGS);
        uint64_t do_what = test_rand() % 10;
        if (do_what < 2) {
            int status = put(by, things + i, do_what ? DREAMDB_PUT_IF_ABSENT : DREAMDB_PUT_ALWAYS);
            CHECK(status == (there[i] && do_what ? (int)DREAMDB_ERR_EXISTS : (int)DREAMDB_OK));
            there[i] = 1;
        } else if (do_what == 2) {
            CHECK(by->remove(by->user, things[i].path) == DREAMDB_OK && !is_kept("two", things[i].path));
            there[i] = 0;
        } else if (do_what == 3) {
            (void)unlink(file_of("two", things[i].path));
        } else {
            CHECK(reads(by, things + i, test_rand() % 3 ? 0 : test_rand() % 4000, test_rand() % 3 ? 0 : test_rand() % 3000) == there[i]);
        }
    }
    CHECK(bytes_in("two") <= 20000 + 2 * 20000 / 16 + THING_MOST && stats_of(&s).hits > 100 && stats_of(&s).evicted > 0);
    dreamdb_store_close(&other);
    stack_close(&s);
}

static dreamdb_store *batch_base;
static size_t batch_counts[8], batch_calls;
static int count_batch(void *user, dreamdb_io *ops, size_t count)
{
    (void)user;
    batch_counts[batch_calls++ % 8] = count;
    return batch_base->batch(batch_base->user, ops, count);
}
static void batches(void)
{
    stack s;
    dreamdb_io ops[6];
    stack_open(&s, "batch", 0);
    fill(&s);
    CHECK(reads(&s.cache, things + 1, 0, 0) && reads(&s.cache, things + 2, 0, 0));
    batch_base = &s.base;
    ((ddb_store_disk *)s.cache.user)->inner.batch = count_batch;
    memset(ops, 0, sizeof ops);
    for (size_t i = 0; i < 6; i++) { ops[i].kind = DREAMDB_IO_GET; ops[i].path = things[i + 1].path; }
    ops[3].kind = DREAMDB_IO_PUT;
    ops[3].data = things[4].data;
    ops[3].size = things[4].size;
    ops[3].condition.kind = DREAMDB_PUT_IF_ABSENT;
    ops[4].kind = DREAMDB_IO_REMOVE;
    ops[5].kind = DREAMDB_IO_STAT;
    CHECK(ddb_store_batch(test_ctx(), NULL, &s.cache, ops, 6) == DREAMDB_OK);
    CHECK(batch_calls == 1 && batch_counts[0] == 4);         /* two were hits */
    for (size_t i = 0; i < 3; i++) {
        CHECK(ops[i].status == DREAMDB_OK && ops[i].blob.size == things[i + 1].size && memcmp(ops[i].blob.data, things[i + 1].data, things[i + 1].size) == 0);
        ddb_store_release(&ops[i].blob);
    }
    CHECK(ops[3].status == DREAMDB_ERR_EXISTS && ops[4].status == DREAMDB_OK && ops[5].status == DREAMDB_OK && ops[5].stat.size == things[6].size);
    CHECK(is_kept("batch", things[3].path) && is_kept("batch", things[4].path) && !is_kept("batch", things[5].path));
    for (size_t i = 0; i < 4; i++) { ops[i].kind = DREAMDB_IO_GET; ops[i].size = 0; ops[i].path = things[i + 1].path; }
    CHECK(ddb_store_batch(test_ctx(), NULL, &s.cache, ops, 4) == DREAMDB_OK && batch_calls == 1);    /* all are: the base is not asked */
    for (size_t i = 0; i < 4; i++) { CHECK(ops[i].status == DREAMDB_OK); ddb_store_release(&ops[i].blob); }
    stack_close(&s);
}

/* Every operation of the base fails once, and every allocation: what is read is right or an error, nothing is lost, no byte leaks. */
static int scenario(stack *s)
{
    int good = 1;
    for (size_t i = 0; i < 6; i++) { good &= put(&s->cache, things + i, DREAMDB_PUT_IF_ABSENT) == DREAMDB_OK; }
    for (size_t i = 0; i < 6; i++) { good &= reads(&s->cache, things + i, 0, 0) && reads(&s->cache, things + i, 1, 3); }
    for (size_t i = 6; i < 9; i++) { good &= reads(&s->cache, things + i, 0, 0) && reads(&s->cache, things + i, 0, 0); }
    return good;
}
static void faults(void)
{
    size_t before = test_live_bytes();
    uint64_t operations = 1;
    for (uint64_t at = 0; at <= operations; at++) {
        stack s;
        stack_open(&s, "faults", 0);
        for (size_t i = 6; i < 9; i++) { CHECK(put(&s.memory, things + i, DREAMDB_PUT_ALWAYS) == DREAMDB_OK); }
        s.plan.fail_at = at;
        CHECK(scenario(&s) == (at == 0));
        operations = at == 0 ? s.plan.operations : operations;
        s.plan.fail_at = 0;
        for (size_t i = 0; i < 6; i++) { (void)put(&s.cache, things + i, DREAMDB_PUT_IF_ABSENT); }
        for (size_t i = 0; i < 9; i++) { CHECK(reads(&s.cache, things + i, 0, 0)); }
        stack_close(&s);
        wipe(folder("faults"));
    }
    CHECK_EQ_U64(operations, 9);
    for (long at = 1; at < 100000; at++) {
        stack s;
        dreamdb_disk_cache desc;
        stack_open(&s, "faults", 0);
        dreamdb_store_close(&s.cache);
        fill(&s);
        memset(&desc, 0, sizeof desc);
        desc.path = folder("faults");
        desc.allocator = test_allocator();
        test_fail_alloc_at(at);
        int status = dreamdb_store_disk_cache(&s.base, &desc, &s.cache, NULL);
        CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_MEMORY);
        for (size_t i = 0; i < THINGS && status == DREAMDB_OK; i++) {
            dreamdb_blob blob;
            int got = s.cache.get(s.cache.user, things[i].path, 0, 0, &blob);
            CHECK(got == DREAMDB_OK || got == DREAMDB_ERR_MEMORY);
            CHECK(got != DREAMDB_OK || (blob.size == things[i].size && memcmp(blob.data, things[i].data, things[i].size) == 0));
            if (got == DREAMDB_OK) { ddb_store_release(&blob); }
            (void)reads(&s.cache, things + i, 2, 9);
        }
        int over = test_allocs < at;
        test_fail_alloc_at(0);
        stack_close(&s);
        if (over) { break; }
    }
    wipe(folder("faults"));
    CHECK_EQ_U64(test_live_bytes(), before);
}

/* Six processes read, put and remove in one small folder at once; one is killed in the middle, again and again. */
static int hammer(uint64_t seed, const char *name, int steps)
{
    stack s;
    test_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    test_ok = 1;
    stack_open(&s, name, 20000);
    fill(&s);
    for (int i = 0; i < steps && test_ok; i++) {
        const thing *t = things + test_rand() % THINGS;
        uint64_t what = test_rand() % 8;
        CHECK(what == 0 ? put(&s.cache, t, DREAMDB_PUT_ALWAYS) == DREAMDB_OK : reads(&s.cache, t, what == 1 ? 3 : 0, what == 1 ? 50 : 0));
        if (what == 2) { CHECK(s.cache.remove(s.cache.user, t->path) == DREAMDB_OK && put(&s.memory, t, DREAMDB_PUT_ALWAYS) == DREAMDB_OK); }
    }
    CHECK(stats_of(&s).damaged == 0 && stats_of(&s).failures == 0);
    stack_close(&s);
    return test_ok;
}
static void processes_at_once(void)
{
    pid_t pids[6];
    for (size_t i = 0; i < 6; i++) {
        pids[i] = fork();
        if (pids[i] == 0) { _exit(hammer(i + 1, "many", i == 5 ? 1000000 : 700) ? 0 : 1); }
    }
    for (size_t i = 0; i < 5; i++) {
        int status = 1;
        CHECK(waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    CHECK(kill(pids[5], SIGKILL) == 0 && waitpid(pids[5], NULL, 0) == pids[5]);
    CHECK(bytes_in("many") <= 20000 + 6 * 20000 / 16 + 6 * THING_MOST);
    CHECK(hammer(77, "many", 500));            /* what the killed one left does no harm */
}

/* Threads share one handle: the base is the memory store itself, which they may. */
static stack threaded;
static void *thread_run(void *user)
{
    uint64_t x = (uint64_t)(size_t)user * UINT64_C(0x9e3779b97f4a7c15) + 1;
    size_t wrong = 0;
    for (int i = 0; i < 400; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        const thing *t = things + x % THINGS;
        wrong += x >> 40 & 7 ? !reads(&threaded.cache, t, x >> 32 & 1 ? 0 : 5, 0) : put(&threaded.cache, t, DREAMDB_PUT_ALWAYS) != DREAMDB_OK;
    }
    return wrong ? &threaded : NULL;
}
static void threads_share_a_handle(void)
{
    pthread_t threads[4];
    dreamdb_allocator allocator = test_allocator();
    memset(&threaded, 0, sizeof threaded);
    CHECK(dreamdb_store_memory(&allocator, &threaded.memory, NULL) == DREAMDB_OK);
    threaded.base = threaded.memory;
    threaded.base.close = NULL;
    fill(&threaded);
    cache_open(&threaded, "threads", 20000);
    for (size_t i = 0; i < 4; i++) { CHECK(pthread_create(threads + i, NULL, thread_run, (void *)(i + 1)) == 0); }
    for (size_t i = 0; i < 4; i++) {
        void *wrong = NULL;
        CHECK(pthread_join(threads[i], &wrong) == 0 && !wrong);
    }
    CHECK(stats_of(&threaded).hits > 0 && stats_of(&threaded).failures == 0 && stats_of(&threaded).damaged == 0);
    stack_close(&threaded);
}

/* A dataset: the second handle with nothing in memory asks for the Ref only. */
static void a_dataset_asks_for_the_ref_only(void)
{
    static float vectors[200 * 8];
    stack s;
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    dreamdb_result *found = NULL;
    dreamdb_field field;
    dreamdb_create_desc create;
    dreamdb_column column;
    dreamdb_append_desc batch;
    dreamdb_query query;
    uint64_t best[2] = {0, 1};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) { vectors[i] = test_randf(); }
    memset(&field, 0, sizeof field);
    memset(&create, 0, sizeof create);
    memset(&column, 0, sizeof column);
    memset(&batch, 0, sizeof batch);
    memset(&query, 0, sizeof query);
    field.name = column.field = query.field = "emb";
    field.kind = DREAMDB_EMBEDDING;
    field.dim = 8;
    field.train = vectors;
    field.train_count = 200;
    create.fields = &field;
    create.field_count = 1;
    column.data = vectors;
    batch.columns = &column;
    batch.column_count = 1;
    batch.count = 200;
    query.vectors = vectors + 8 * 17;
    query.exact = 1;
    stack_open(&s, "dataset", 0);
    dreamdb_config config = test_config(&s.base);
    CHECK(dreamdb_create(&config, "main", &create, &db, NULL) == DREAMDB_OK && dreamdb_append(db, &batch, NULL, NULL) == DREAMDB_OK);
    dreamdb_close(db);
    config.store = &s.cache;
    for (int round = 0; round < 2; round++) {
        uint64_t gets = s.plan.gets;
        CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
        CHECK(dreamdb_search(view, &query, &found, NULL) == DREAMDB_OK && found->count > 0);
        if (found) { best[round] = found->hits[0].anchor; }
        CHECK(round == 0 ? s.plan.gets > gets + 5 : s.plan.gets <= gets + 2 && s.plan.gets > gets);    /* the Ref, by open and by the view */
        dreamdb_result_free(found);
        dreamdb_snapshot_close(view);
        dreamdb_close(db);
        dreamdb_store_close(&s.cache);
        cache_open(&s, "dataset", 0);
    }
    CHECK_EQ_U64(best[0], best[1]);
    stack_close(&s);
}

static void wrong_arguments(void)
{
    stack s;
    dreamdb_store out;
    dreamdb_disk_cache desc;
    dreamdb_disk_cache_stats stats;
    dreamdb_error error;
    memset(&desc, 0, sizeof desc);
    stack_open(&s, "arguments", 0);
    CHECK(dreamdb_store_disk_cache(&s.base, NULL, &out, &error) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "path"));
    CHECK(dreamdb_store_disk_cache(&s.base, &desc, &out, &error) == DREAMDB_ERR_ARGUMENT && !out.get);
    desc.path = "x";
    CHECK(dreamdb_store_disk_cache(NULL, &desc, &out, &error) == DREAMDB_ERR_ARGUMENT);
    CHECK(dreamdb_disk_cache_stats_of(&s.base, &stats) == DREAMDB_ERR_ARGUMENT && dreamdb_disk_cache_stats_of(NULL, &stats) == DREAMDB_ERR_ARGUMENT);
    CHECK(s.cache.flags == s.base.flags);
    stack_close(&s);
}

int main(void)
{
    const char *base = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    (void)snprintf(scratch, sizeof scratch, "%s/dreamdb-cache-XXXXXX", base);
    if (!mkdtemp(scratch)) { printf("no scratch folder\n"); return 1; }
    make_things();
    RUN(second_process_asks_for_nothing);
    RUN(puts_fill_and_removes_empty);
    RUN(what_is_never_kept);
    RUN(outboards);
    RUN(damage_is_thrown_away);
    RUN(strange_files);
    RUN(folders_that_cannot_be_written);
    RUN(oldest_use_goes_first);
    RUN(dead_writers_leave_nothing);
    RUN(giants);
    RUN(two_handles);
    RUN(batches);
    RUN(faults);
    RUN(processes_at_once);
    RUN(threads_share_a_handle);
    RUN(a_dataset_asks_for_the_ref_only);
    RUN(wrong_arguments);
    wipe(scratch);
    return test_end("cache");
}
