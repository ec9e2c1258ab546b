/* store_table.c - your own storage: the five callbacks over a table in memory.  This is all that a port of the library to a new
   place (flash, a network protocol, a pack file of a game) has to write. */
#include "../dreamdb.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The storage: a table of paths, each with its bytes and a version ---- */
typedef struct entry { char *path; void *data; uint64_t size; unsigned version; } entry;
typedef struct table { entry *entries; size_t count; unsigned version; unsigned gets, puts; } table;

static entry *find(table *t, const char *path)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->entries[i].path, path) == 0) { return &t->entries[i]; }
    }
    return NULL;
}

/* A tag says which version of an object somebody has read: refs move by compare-and-swap on it. */
static void tag_of(const entry *e, char tag[DREAMDB_TAG_SIZE]) { (void)snprintf(tag, DREAMDB_TAG_SIZE, "%u", e->version); }

static void release(void *user, const void *data, uint64_t size) { (void)user; (void)size; free((void *)(uintptr_t)data); }

static int table_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    table *t = (table *)user;
    entry *e = find(t, path);
    if (!e) { return DREAMDB_ERR_NOT_FOUND; }
    t->gets++;
    if (offset > e->size) { offset = e->size; }
    if (size == 0 || size > e->size - offset) { size = e->size - offset; }
    void *copy = malloc(size ? (size_t)size : 1);                /* the table may change: hand out a copy, release frees it */
    if (!copy) { return DREAMDB_ERR_MEMORY; }
    if (size > 0) { memcpy(copy, (char *)e->data + offset, (size_t)size); }
    out->data = copy;
    out->size = size;
    out->release = release;
    out->release_user = NULL;
    tag_of(e, out->tag);
    return DREAMDB_OK;
}

static int table_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    table *t = (table *)user;
    entry *e = find(t, path);
    char tag[DREAMDB_TAG_SIZE];
    if (e && condition->kind == DREAMDB_PUT_IF_ABSENT) { return DREAMDB_ERR_EXISTS; }
    if (condition->kind == DREAMDB_PUT_IF_TAG) {
        if (!e) { return DREAMDB_ERR_CONFLICT; }
        tag_of(e, tag);
        if (strcmp(tag, condition->tag) != 0) { return DREAMDB_ERR_CONFLICT; }
    }
    void *copy = malloc(size ? (size_t)size : 1);
    if (!copy) { return DREAMDB_ERR_MEMORY; }
    if (size > 0) { memcpy(copy, data, (size_t)size); }
    if (!e) {
        entry *more = (entry *)realloc(t->entries, (t->count + 1) * sizeof *more);
        char *name = (char *)malloc(strlen(path) + 1);
        if (more) { t->entries = more; }
        if (!more || !name) { free(name); free(copy); return DREAMDB_ERR_MEMORY; }
        memcpy(name, path, strlen(path) + 1);
        e = &t->entries[t->count++];
        memset(e, 0, sizeof *e);
        e->path = name;
    }
    free(e->data);
    e->data = copy;
    e->size = size;
    e->version = ++t->version;
    t->puts++;
    return DREAMDB_OK;
}

static int table_stat(void *user, const char *path, dreamdb_stat *out)
{
    entry *e = find((table *)user, path);
    if (!e) { return DREAMDB_ERR_NOT_FOUND; }
    memset(out, 0, sizeof *out);
    out->size = e->size;
    tag_of(e, out->tag);
    return DREAMDB_OK;
}

static int table_list(void *user, const char *prefix, dreamdb_list_fn each, void *each_user)
{
    table *t = (table *)user;
    dreamdb_stat stat;
    for (size_t i = 0; i < t->count; i++) {
        if (strncmp(t->entries[i].path, prefix, strlen(prefix)) != 0) { continue; }
        (void)table_stat(user, t->entries[i].path, &stat);
        int stop = each(each_user, t->entries[i].path, &stat);
        if (stop != 0) { return stop; }
    }
    return DREAMDB_OK;
}

static int table_remove(void *user, const char *path)
{
    table *t = (table *)user;
    entry *e = find(t, path);
    if (e) {
        free(e->path);
        free(e->data);
        *e = t->entries[--t->count];
    }
    return DREAMDB_OK;                                           /* absent is fine */
}

/* ---- The program: songs by tempo and energy ---- */
#define MUST(call) do { if ((call) != DREAMDB_OK) { fprintf(stderr, "store_table: %s\n", error.message); return 1; } } while (0)

int main(void)
{
    static const float moods[] = { 0.9f, 0.1f, 0.8f,   0.1f, 0.9f, 0.2f,   0.8f, 0.2f, 0.7f,   0.2f, 0.7f, 0.1f };
    static const char *const titles[] = { "Sunrise Sprint", "Slow River", "City Lights", "Evening Fog" };
    static const uint64_t anchors[] = { 100, 101, 102, 103 };
    static const char *const columns[] = { "title" };
    dreamdb_slice title[4];
    table songs = { 0 };
    dreamdb_error error;
    dreamdb *db;
    dreamdb_snapshot *view;
    dreamdb_result *found;

    dreamdb_store store = { .user = &songs, .get = table_get, .put = table_put, .stat = table_stat, .list = table_list, .remove = table_remove,
                            .flags = DREAMDB_STORE_HAS_TAGS };
    dreamdb_config config = { .store = &store };
    dreamdb_field fields[] = { { .name = "mood", .kind = DREAMDB_EMBEDDING, .dim = 3, .train = moods, .train_count = 4, .k = 2 },
                               { .name = "title", .kind = DREAMDB_STRING, .required = 1 } };
    dreamdb_create_desc desc = { .fields = fields, .field_count = 2 };
    MUST(dreamdb_create(&config, "songs", &desc, &db, &error));

    for (size_t i = 0; i < 4; i++) { title[i].data = titles[i]; title[i].size = strlen(titles[i]); }
    dreamdb_column batch[] = { { .field = "mood", .data = moods }, { .field = "title", .values = title } };
    dreamdb_append_desc append = { .columns = batch, .column_count = 2, .count = 4, .anchors = anchors };
    MUST(dreamdb_append(db, &append, NULL, &error));

    dreamdb_query query = { .field = "mood", .vectors = moods, .top_k = 2, .nprobe = 2, .fields = columns, .field_count = 1 };
    MUST(dreamdb_snapshot_open(db, NULL, &view, &error));
    MUST(dreamdb_search(view, &query, &found, &error));
    for (size_t i = 0; i < found->count; i++) {
        printf("%.*s  %.3f\n", (int)found->hits[i].values[0].size, (const char *)found->hits[i].values[0].data, (double)found->hits[i].score);
    }
    int right = found->count == 2 && found->hits[0].anchor == 100 && found->hits[1].anchor == 102;
    printf("%lu objects in the table, %u gets, %u puts\n", (unsigned long)songs.count, songs.gets, songs.puts);

    dreamdb_result_free(found);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    while (songs.count > 0) { (void)table_remove(&songs, songs.entries[0].path); }
    free(songs.entries);
    return right ? 0 : 1;
}
