/* test_port.c - room port: atomics and locks under threads, clocks, random bytes, and every file call on what is there and what is not. */
#include "test.h"

static char scratch[200];
static char path_buf[4][300];
static const char *in_scratch(int slot, const char *name)
{
    (void)snprintf(path_buf[slot], sizeof path_buf[slot], "%s/%s", scratch, name);
    return path_buf[slot];
}

#ifndef DREAMDB_NO_THREADS
typedef struct shared { ddb_port_mutex lock; ddb_port_cond moved; uint64_t atomic, locked; int turn; } shared;

static void *adds(void *user)
{
    shared *s = (shared *)user;
    for (int i = 0; i < 20000; i++) {
        (void)ddb_port_atomic_add(&s->atomic, 3);
        ddb_port_lock(&s->lock);
        s->locked += 5;
        ddb_port_unlock(&s->lock);
    }
    return NULL;
}

static void *answers(void *user)
{
    shared *s = (shared *)user;
    ddb_port_lock(&s->lock);
    for (int i = 0; i < 200; i++) {
        while (s->turn % 2 == 0) { ddb_port_wait(&s->moved, &s->lock); }
        s->turn++;
        ddb_port_wake_all(&s->moved);
    }
    ddb_port_unlock(&s->lock);
    return NULL;
}

static void threads_share_words(void)
{
    ddb_port_thread threads[4];
    shared s;
    memset(&s, 0, sizeof s);
    CHECK(ddb_port_mutex_init(&s.lock) && ddb_port_cond_init(&s.moved));
    for (int i = 0; i < 4; i++) { CHECK(ddb_port_thread_start(threads + i, adds, &s)); }
    for (int i = 0; i < 4; i++) { ddb_port_thread_join(threads[i]); }
    CHECK_EQ_U64(ddb_port_atomic_load(&s.atomic), 4 * 20000 * 3);
    CHECK_EQ_U64(s.locked, 4 * 20000 * 5);
    ddb_port_atomic_store(&s.atomic, UINT64_MAX);
    CHECK_EQ_U64(ddb_port_atomic_add(&s.atomic, 2), 1);      /* wraps, and gives the new value */
    CHECK(ddb_port_thread_start(threads, answers, &s));
    ddb_port_lock(&s.lock);
    for (int i = 0; i < 200; i++) {
        CHECK(s.turn == 2 * i);
        s.turn++;
        ddb_port_wake_all(&s.moved);
        while (s.turn % 2 == 1) { ddb_port_wait(&s.moved, &s.lock); }
    }
    ddb_port_unlock(&s.lock);
    ddb_port_thread_join(threads[0]);
    CHECK_EQ_U64(s.turn, 400);
    ddb_port_cond_free(&s.moved);
    ddb_port_mutex_free(&s.lock);
}
#endif

static void clocks_and_chance(void)
{
    uint8_t a[600], b[600];
    size_t same = 0;
    uint64_t before = ddb_port_now_ns();
    ddb_port_sleep_ns(3000000);
    CHECK(ddb_port_now_ns() >= before + 2000000);
    CHECK(before > UINT64_C(1700000000) * 1000000000);       /* nanoseconds since 1970, not since boot */
    CHECK(ddb_port_processors() >= 1);
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    CHECK(ddb_port_random(a, 599) && ddb_port_random(b, 599));   /* more than getentropy gives at once */
    CHECK(a[599] == 0 && b[599] == 0);
    for (size_t i = 0; i < 599; i++) { same += a[i] == b[i]; }
    CHECK(same < 40);
    for (size_t at = 0; at < 599; at += 100) { CHECK(memcmp(a + at, b + 599 - 100, 99) != 0); }
    CHECK(ddb_port_random(a, 0));
}

#ifndef DREAMDB_NO_STDIO
static void make_file(const char *path, const void *data, size_t size)
{
    int file = -1;
    CHECK(ddb_port_file_create(path, &file) == 0);
    CHECK(ddb_port_file_write(file, data, size) == 0);
    CHECK(ddb_port_file_sync(file) == 0);
    CHECK(ddb_port_file_close(file) == 0);
}

/* Every range of a small file, against the bytes that were written. */
static void files_read_back(void)
{
    static uint8_t data[3000], got[3100];
    const char *path = in_scratch(0, "ranges");
    ddb_port_info info;
    size_t n = 0;
    int file = -1;
    for (size_t i = 0; i < sizeof data; i++) { data[i] = (uint8_t)test_rand(); }
    make_file(path, data, sizeof data);
    CHECK(ddb_port_file_create(path, &file) == EEXIST && ddb_port_is_there(EEXIST));
    CHECK(ddb_port_file_open_read(path, &file) == 0);
    for (int round = 0; round < 2000; round++) {
        size_t at = (size_t)(test_rand() % 3300), size = (size_t)(test_rand() % 3100);
        size_t want = at >= sizeof data ? 0 : size < sizeof data - at ? size : sizeof data - at;
        CHECK(ddb_port_file_read(file, got, size, at, &n) == 0 && n == want);
        if (n == want && want > 0) { CHECK_BYTES(got, data + at, want); }
    }
    CHECK(ddb_port_file_info(file, &info) == 0 && info.is_file && !info.is_folder && info.size == sizeof data);
    CHECK(ddb_port_now_ns() - info.modified_ns < UINT64_C(600) * 1000000000);
    CHECK(ddb_port_file_close(file) == 0);
    CHECK(ddb_port_file_close(file) == EBADF);
    CHECK(ddb_port_file_read(file, got, 1, 0, &n) == EBADF && ddb_port_file_write(file, data, 1) == EBADF);
    CHECK(ddb_port_file_info(file, &info) == EBADF && ddb_port_file_sync(file) != 0);
}

static void names_move(void)
{
    const char *a = in_scratch(0, "a"), *b = in_scratch(1, "b"), *none = in_scratch(2, "none"), *under = in_scratch(3, "a/under");
    ddb_port_info info;
    int file = -1;
    make_file(a, "first", 5);
    CHECK(ddb_port_file_link(a, b) == 0 && ddb_port_file_link(a, b) == EEXIST);
    CHECK(ddb_port_file_stat(b, &info) == 0 && info.size == 5);
    CHECK(ddb_port_file_unlink(a) == 0 && ddb_port_is_absent(ddb_port_file_unlink(a)));
    CHECK(ddb_port_file_stat(b, &info) == 0 && info.size == 5);
    CHECK(ddb_port_file_rename(b, a) == 0 && ddb_port_is_absent(ddb_port_file_stat(b, &info)));
    CHECK(!info.is_file && info.size == 0);                  /* cleared also on failure */
    CHECK(ddb_port_is_absent(ddb_port_file_rename(none, b)) && ddb_port_is_absent(ddb_port_file_link(none, b)));
    CHECK(ddb_port_is_absent(ddb_port_file_open_read(none, &file)) && file == -1);
    CHECK(ddb_port_is_absent(ddb_port_file_open_read(under, &file)));   /* a part of the path is a file: ENOTDIR */
    CHECK(ddb_port_is_absent(ddb_port_file_sync_path(none)) && ddb_port_file_sync_path(a) == 0 && ddb_port_file_sync_path(scratch) == 0);
    int all = ddb_port_file_sync_all(scratch);
    CHECK(all == 0 || ddb_port_is_missing_call(all));
    CHECK(ddb_port_file_mkdir(in_scratch(1, "folder")) == 0 && ddb_port_file_mkdir(in_scratch(1, "folder")) == EEXIST);
    CHECK(ddb_port_file_stat(in_scratch(1, "folder"), &info) == 0 && info.is_folder && !info.is_file);
    CHECK(ddb_port_file_unlink(in_scratch(1, "folder")) != 0);
    char here[600], tiny[2];
    CHECK(ddb_port_current_folder(here, sizeof here) && here[0] == '/' && !ddb_port_current_folder(tiny, 1));
    CHECK(ddb_port_process() > 0);
}

/* A pipe in the place of an object: opening it must not wait for a writer. */
static void a_pipe_does_not_hang(void)
{
    ddb_port_info info;
    int file = -1;
    CHECK(mkfifo(in_scratch(0, "pipe"), 0600) == 0);
    CHECK(ddb_port_file_open_read(in_scratch(0, "pipe"), &file) == 0);
    CHECK(ddb_port_file_info(file, &info) == 0 && !info.is_file && !info.is_folder);
    CHECK(ddb_port_file_close(file) == 0);
    CHECK(ddb_port_file_sync_path(in_scratch(0, "pipe")) != 0);
}

static void folders_list(void)
{
    ddb_port_folder folder;
    const char *name = NULL;
    int seen[30], others = 0;
    memset(seen, 0, sizeof seen);
    CHECK(ddb_port_file_mkdir(in_scratch(0, "list")) == 0);
    for (int i = 0; i < 30; i++) {
        char text[40];
        (void)snprintf(text, sizeof text, "list/f%d", i);
        make_file(in_scratch(1, text), "0123456789", (size_t)i % 11);
    }
    CHECK(ddb_port_folder_open(in_scratch(0, "list"), &folder) == 0);
    while (ddb_port_folder_next(&folder, &name) == 0 && name) {
        int i = -1;
        ddb_port_info info;
        if (sscanf(name, "f%d", &i) == 1 && i >= 0 && i < 30) { seen[i]++; } else { others++; continue; }
        CHECK(ddb_port_folder_stat(&folder, name, i % 2 == 0, &info) == 0 && info.is_file && info.size == (uint64_t)(i % 11));
    }
    for (int i = 0; i < 30; i++) { CHECK(seen[i] == 1); }
    CHECK(others == 0);                                      /* "." and ".." are left out */
    ddb_port_info info;
    CHECK(ddb_port_is_absent(ddb_port_folder_stat(&folder, "none", true, &info)));
    ddb_port_folder_close(&folder);
    ddb_port_folder_close(&folder);                          /* twice is fine */
    CHECK(ddb_port_is_absent(ddb_port_folder_open(in_scratch(0, "nowhere"), &folder)));
    CHECK(ddb_port_is_absent(ddb_port_folder_open(in_scratch(0, "list/f1"), &folder)));
}

#ifndef DREAMDB_NO_THREADS
static uint64_t lock_holders, lock_most;
static void *locks(void *user)
{
    for (int i = 0; i < 200; i++) {
        int file = -1;
        if (ddb_port_file_lock((const char *)user, &file) != 0) { return user; }
        uint64_t now = ddb_port_atomic_add(&lock_holders, 1);
        if (now > ddb_port_atomic_load(&lock_most)) { ddb_port_atomic_store(&lock_most, now); }
        (void)ddb_port_atomic_add(&lock_holders, UINT64_MAX);
        (void)ddb_port_file_close(file);
    }
    return NULL;
}

static void one_holds_the_lock(void)
{
    pthread_t threads[3];
    char *path = path_buf[0];
    int file = -1;
    (void)in_scratch(0, "lock");
    for (int i = 0; i < 3; i++) { CHECK(pthread_create(threads + i, NULL, locks, path) == 0); }
    for (int i = 0; i < 3; i++) {
        void *bad = NULL;
        (void)pthread_join(threads[i], &bad);
        CHECK(!bad);
    }
    CHECK_EQ_U64(lock_most, 1);
    CHECK(ddb_port_is_absent(ddb_port_file_lock(in_scratch(1, "nowhere/lock"), &file)));
}
#endif

static void every_error_has_words(void)
{
    for (int error = 0; error < 200; error++) {
        const char *text = ddb_port_file_reason(error);
        CHECK(text && strlen(text) > 10 && strlen(text) < 100 && !strchr(text, '\n'));
    }
    CHECK(strstr(ddb_port_file_reason(ENOSPC), "no space"));
    CHECK(strstr(ddb_port_file_reason(EMFILE), "ulimit"));
    CHECK_STR(ddb_port_file_reason(-5), ddb_port_file_reason(0));
    CHECK(ddb_port_is_absent(ENOENT) && ddb_port_is_absent(ENOTDIR) && !ddb_port_is_absent(EACCES) && !ddb_port_is_absent(0));
    CHECK(ddb_port_is_memory(ENOMEM) && !ddb_port_is_memory(ENOSPC) && !ddb_port_is_there(ENOENT));
    CHECK(ddb_port_file_no_link(EPERM) && ddb_port_file_no_link(EMLINK));
    CHECK(!ddb_port_file_no_link(EEXIST) && !ddb_port_file_no_link(ENOSPC));
}
#endif

int main(void)
{
    const char *base = getenv("TMPDIR");
    char command[240];
    (void)snprintf(scratch, sizeof scratch, "%.150s/ddb-port-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(scratch)) { printf("port: no scratch folder\n"); return 1; }
#ifndef DREAMDB_NO_THREADS
    RUN(threads_share_words);
#endif
    RUN(clocks_and_chance);
#ifndef DREAMDB_NO_STDIO
    RUN(files_read_back);
    RUN(names_move);
    RUN(a_pipe_does_not_hang);
    RUN(folders_list);
#ifndef DREAMDB_NO_THREADS
    RUN(one_holds_the_lock);
#endif
    RUN(every_error_has_words);
#endif
    (void)snprintf(command, sizeof command, "rm -rf '%s'", scratch);
    if (system(command) != 0) { printf("port: %s is left\n", scratch); }
    return test_end("port");
}
