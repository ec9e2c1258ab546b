/* bench_gc.c - what gc costs.
     bench_gc directory FOLDER COUNT   a dataset of pictures with COUNT objects, half of them garbage, in a fresh folder: seconds, peak of memory
     bench_gc memory COUNT             a store that makes up COUNT pictures: only their names exist; peak of memory by a counting allocator
   One thread; the folder is the caller's to delete. */
#define _POSIX_C_SOURCE 200809L
#include "../../dreamdb.h"
#include "bench_alloc.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 50000 };

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(dreamdb_status status, const dreamdb_error *error)
{
    if (status < 0) {
        (void)printf("%s: %s\n", dreamdb_status_name(status), error->message);
        exit(1);
    }
}

static void payload(uint64_t i, char out[40]) { (void)snprintf(out, 40, "picture %014llu", (unsigned long long)i); }

/* Pictures [first, first + count): each an object of its own. */
static void append(dreamdb *db, uint64_t first, uint64_t count)
{
    static char data[BATCH][40];
    static dreamdb_slice values[BATCH];
    static uint64_t anchors[BATCH];
    dreamdb_error error;
    dreamdb_column column;
    dreamdb_append_desc desc;
    for (uint64_t at = 0; at < count; at += BATCH) {
        size_t n = count - at < BATCH ? (size_t)(count - at) : (size_t)BATCH;
        memset(&column, 0, sizeof column);
        memset(&desc, 0, sizeof desc);
        for (size_t i = 0; i < n; i++) {
            anchors[i] = first + at + i;
            payload(anchors[i], data[i]);
            values[i].data = data[i];
            values[i].size = 22;
        }
        column.field = "img";
        column.values = values;
        desc.columns = &column;
        desc.column_count = 1;
        desc.count = n;
        desc.anchors = anchors;
        must(dreamdb_append(db, &desc, NULL, &error), &error);
    }
}

static dreamdb *create(const dreamdb_config *config)
{
    dreamdb_field field;
    dreamdb_create_desc desc;
    dreamdb_error error;
    dreamdb *db = NULL;
    memset(&field, 0, sizeof field);
    memset(&desc, 0, sizeof desc);
    field.name = "img";
    field.kind = DREAMDB_IMAGE;
    desc.fields = &field;
    desc.field_count = 1;
    must(dreamdb_create(config, "main", &desc, &db, &error), &error);
    return db;
}

static void collect(const dreamdb_config *config, uint64_t keep)
{
    dreamdb_gc_desc desc;
    dreamdb_gc_report report;
    dreamdb_error error;
    dreamdb_config own = *config;
    memset(&desc, 0, sizeof desc);
    desc.keep_manifests = keep;
    desc.keep_since_ns = DREAMDB_GC_NO_AGE;
    desc.writers_paused = 1;
    own.allocator.resize = counted;
    live = peak = 0;
    double start = now();
    must(dreamdb_gc(&own, &desc, &report, &error), &error);
    double took = now() - start;
    (void)printf("objects %llu\nmarked %llu\ndeleted %llu\nseconds %.2f\npeak_mb %.1f\n", (unsigned long long)report.listed,
                 (unsigned long long)report.marked, (unsigned long long)report.deleted, took, (double)peak / 1048576);
}

static int directory(const char *folder, uint64_t count)
{
    dreamdb_directory dir;
    dreamdb_store store;
    dreamdb_config config;
    dreamdb_error error;
    dreamdb *db, *side = NULL;
    memset(&dir, 0, sizeof dir);
    memset(&config, 0, sizeof config);
    dir.path = folder;
    dir.create = 1;
    dir.durability = DREAMDB_DURABILITY_NONE;
    must(dreamdb_store_directory(&dir, &store, &error), &error);
    config.store = &store;
    config.threads = 1;
    db = create(&config);
    must(dreamdb_branch(db, NULL, "side", &error), &error);
    must(dreamdb_open(&config, "side", &side, &error), &error);
    append(db, 0, count / 4);                   /* a picture is two files: itself and its outboard */
    append(side, count, count / 4);
    dreamdb_close(side);
    dreamdb_close(db);
    must(dreamdb_ref_delete(&config, "side", &error), &error);
    collect(&config, 1);
    dreamdb_store_close(&store);
    return 0;
}

/* A store of pictures that nobody keeps: puts of payloads are dropped, a listing makes up their names. */
typedef struct made_up { dreamdb_store inner; char folder[300]; uint64_t count, removed; } made_up;

static int is_payload(const char *path) { return strstr(path, "/0000000000000000/") != NULL; }
static int up_get(void *u, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    made_up *m = (made_up *)u;
    return m->inner.get(m->inner.user, path, offset, size, out);
}
static int up_put(void *u, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    made_up *m = (made_up *)u;
    if (!is_payload(path)) { return m->inner.put(m->inner.user, path, data, size, condition); }
    (void)snprintf(m->folder, sizeof m->folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    return DREAMDB_OK;
}
static int up_stat(void *u, const char *path, dreamdb_stat *out)
{
    made_up *m = (made_up *)u;
    return m->inner.stat(m->inner.user, path, out);
}
static int up_remove(void *u, const char *path)
{
    made_up *m = (made_up *)u;
    m->removed += (uint64_t)is_payload(path);
    return is_payload(path) ? (int)DREAMDB_OK : m->inner.remove(m->inner.user, path);
}
static int up_list(void *u, const char *prefix, dreamdb_list_fn each, void *user)
{
    made_up *m = (made_up *)u;
    int status = m->inner.list(m->inner.user, prefix, each, user);
    for (uint64_t i = 0; i < m->count && status == 0 && !prefix[0]; i++) {
        char data[40], path[400], text[DREAMDB_ADDRESS_TEXT];
        uint8_t address[DREAMDB_ADDRESS_SIZE];
        dreamdb_stat stat;
        memset(&stat, 0, sizeof stat);
        stat.size = 22;
        stat.modified_ns = 1;
        payload(i, data);
        address[0] = 0x1e;
        dreamdb_hash(data, 22, address + 1);
        dreamdb_address_text(address, text);
        (void)snprintf(path, sizeof path, "%s/%s", m->folder, text);
        status = each(user, path, &stat);
    }
    return status;
}

static int memory(uint64_t count)
{
    made_up m;
    dreamdb_store store;
    dreamdb_config config;
    dreamdb_error error;
    memset(&m, 0, sizeof m);
    memset(&store, 0, sizeof store);
    memset(&config, 0, sizeof config);
    must(dreamdb_store_memory(NULL, &m.inner, &error), &error);
    store.user = &m;
    store.get = up_get;
    store.put = up_put;
    store.stat = up_stat;
    store.list = up_list;
    store.remove = up_remove;
    store.flags = m.inner.flags | DREAMDB_STORE_REMOTE;          /* no small outboards: every object is a picture */
    config.store = &store;
    config.threads = 1;
    dreamdb *db = create(&config);
    append(db, 0, count);
    dreamdb_close(db);
    m.count = count + count / 10;                                /* and a tenth of garbage besides */
    collect(&config, 1);
    (void)printf("garbage_left %.4f\n", 1 - (double)m.removed / (double)(m.count - count));
    dreamdb_store_close(&m.inner);
    return m.removed > count / 10;                               /* no live one */
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "directory") == 0) { return directory(argv[2], strtoull(argv[3], NULL, 10)); }
    if (argc == 3 && strcmp(argv[1], "memory") == 0) { return memory(strtoull(argv[2], NULL, 10)); }
    (void)printf("bench_gc directory FOLDER COUNT | memory COUNT\n");
    return 2;
}
