/* store_sqlite.c - your own storage: a dataset inside an SQLite file, by five callbacks over one table.
   Build: cc -c dreamdb.c && cc store_sqlite.c dreamdb.o -lsqlite3 -lpthread */
#include "../dreamdb.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One statement for each callback.  The version of a row is its tag. */
typedef struct box { sqlite3 *db; sqlite3_stmt *get, *insert, *update, *replace, *stat, *list, *remove; } box;

static int prepare(box *b, const char *path)
{
    static const char *const sql[] = {
        "SELECT substr(data, ?2 + 1, ?3), version FROM objects WHERE path = ?1",
        "INSERT OR IGNORE INTO objects VALUES (?1, ?2, 1)",
        "UPDATE objects SET data = ?2, version = version + 1 WHERE path = ?1 AND version = ?3",
        "INSERT INTO objects VALUES (?1, ?2, 1) ON CONFLICT (path) DO UPDATE SET data = ?2, version = version + 1",
        "SELECT length(data), version FROM objects WHERE path = ?1",
        "SELECT path, length(data), version FROM objects WHERE substr(path, 1, length(?1)) = ?1",
        "DELETE FROM objects WHERE path = ?1" };
    sqlite3_stmt **out[] = { &b->get, &b->insert, &b->update, &b->replace, &b->stat, &b->list, &b->remove };
    if (sqlite3_open(path, &b->db) != SQLITE_OK) { return 1; }
    if (sqlite3_exec(b->db, "CREATE TABLE IF NOT EXISTS objects (path TEXT PRIMARY KEY, data BLOB NOT NULL, version INTEGER NOT NULL)", NULL, NULL, NULL)) { return 1; }
    for (size_t i = 0; i < 7; i++) {
        if (sqlite3_prepare_v2(b->db, sql[i], -1, out[i], NULL) != SQLITE_OK) { return 1; }
    }
    return 0;
}

static void finish(box *b)
{
    sqlite3_stmt *all[] = { b->get, b->insert, b->update, b->replace, b->stat, b->list, b->remove };
    for (size_t i = 0; i < 7; i++) { (void)sqlite3_finalize(all[i]); }
    (void)sqlite3_close(b->db);
}

static void path_in(sqlite3_stmt *s, const char *path)
{
    (void)sqlite3_reset(s);
    (void)sqlite3_bind_text(s, 1, path, -1, SQLITE_TRANSIENT);
}

static void release(void *user, const void *data, uint64_t size) { (void)user; (void)size; free((void *)(uintptr_t)data); }

static int box_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    sqlite3_stmt *s = ((box *)user)->get;
    int status = DREAMDB_ERR_STORE;
    path_in(s, path);
    (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)offset);
    (void)sqlite3_bind_int64(s, 3, size > 0 && size < INT32_MAX ? (sqlite3_int64)size : INT32_MAX);   /* substr counts in int */
    int row = sqlite3_step(s);
    if (row == SQLITE_DONE) { status = DREAMDB_ERR_NOT_FOUND; }
    if (row == SQLITE_ROW) {
        size_t n = (size_t)sqlite3_column_bytes(s, 0);
        void *copy = malloc(n ? n : 1);
        status = copy ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
        if (copy) {
            if (n > 0) { memcpy(copy, sqlite3_column_blob(s, 0), n); }
            out->data = copy;
            out->size = n;
            out->release = release;
            out->release_user = NULL;
            (void)snprintf(out->tag, sizeof out->tag, "%lld", (long long)sqlite3_column_int64(s, 1));
        }
    }
    (void)sqlite3_reset(s);
    return status;
}

static int box_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    box *b = (box *)user;
    sqlite3_stmt *s = condition->kind == DREAMDB_PUT_IF_ABSENT ? b->insert : condition->kind == DREAMDB_PUT_IF_TAG ? b->update : b->replace;
    path_in(s, path);
    (void)sqlite3_bind_blob64(s, 2, size ? data : "", size, SQLITE_STATIC);
    if (condition->kind == DREAMDB_PUT_IF_TAG) { (void)sqlite3_bind_int64(s, 3, atoll(condition->tag)); }
    int good = sqlite3_step(s) == SQLITE_DONE, changed = sqlite3_changes(b->db);
    (void)sqlite3_reset(s);
    (void)sqlite3_clear_bindings(s);
    if (!good) { return DREAMDB_ERR_STORE; }
    return changed ? DREAMDB_OK : condition->kind == DREAMDB_PUT_IF_ABSENT ? DREAMDB_ERR_EXISTS : DREAMDB_ERR_CONFLICT;
}

static void stat_from(sqlite3_stmt *s, int column, dreamdb_stat *out)
{
    memset(out, 0, sizeof *out);
    out->size = (uint64_t)sqlite3_column_int64(s, column);
    (void)snprintf(out->tag, sizeof out->tag, "%lld", (long long)sqlite3_column_int64(s, column + 1));
}

static int box_stat(void *user, const char *path, dreamdb_stat *out)
{
    sqlite3_stmt *s = ((box *)user)->stat;
    path_in(s, path);
    int row = sqlite3_step(s);
    if (row == SQLITE_ROW) { stat_from(s, 0, out); }
    (void)sqlite3_reset(s);
    return row == SQLITE_ROW ? DREAMDB_OK : row == SQLITE_DONE ? DREAMDB_ERR_NOT_FOUND : DREAMDB_ERR_STORE;
}

static int box_list(void *user, const char *prefix, dreamdb_list_fn each, void *each_user)
{
    sqlite3_stmt *s = ((box *)user)->list;
    dreamdb_stat stat;
    int stop = 0, row;
    path_in(s, prefix);
    while (stop == 0 && (row = sqlite3_step(s)) == SQLITE_ROW) {
        stat_from(s, 1, &stat);
        stop = each(each_user, (const char *)sqlite3_column_text(s, 0), &stat);
    }
    (void)sqlite3_reset(s);
    return stop;
}

static int box_remove(void *user, const char *path)
{
    sqlite3_stmt *s = ((box *)user)->remove;
    path_in(s, path);
    int good = sqlite3_step(s) == SQLITE_DONE;
    (void)sqlite3_reset(s);
    return good ? DREAMDB_OK : DREAMDB_ERR_STORE;
}

/* Everything of a batch in one transaction: the optional sixth callback, worth it here. */
static int box_batch(void *user, dreamdb_io *ops, size_t count)
{
    box *b = (box *)user;
    (void)sqlite3_exec(b->db, "BEGIN", NULL, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        dreamdb_io *op = &ops[i];
        op->status = op->kind == DREAMDB_IO_GET ? box_get(user, op->path, op->offset, op->size, &op->blob) :
                     op->kind == DREAMDB_IO_PUT ? box_put(user, op->path, op->data, op->size, &op->condition) :
                     op->kind == DREAMDB_IO_STAT ? box_stat(user, op->path, &op->stat) : box_remove(user, op->path);
    }
    return sqlite3_exec(b->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK ? DREAMDB_OK : DREAMDB_ERR_STORE;
}

#define MUST(call) do { if ((call) != DREAMDB_OK) { fprintf(stderr, "store_sqlite: %s\n", error.message); return 1; } } while (0)

enum { ROWS = 200, DIM = 6 };

int main(int argc, char **argv)
{
    static float places[ROWS * DIM];
    static int64_t heights[ROWS];
    static uint64_t anchors[ROWS];
    box b = { 0 };
    dreamdb_error error;
    dreamdb *db;
    dreamdb_snapshot *view;
    dreamdb_result *found;

    if (prepare(&b, argc > 1 ? argv[1] : ":memory:") != 0) { fprintf(stderr, "store_sqlite: %s\n", sqlite3_errmsg(b.db)); return 1; }
    dreamdb_store store = { .user = &b, .get = box_get, .put = box_put, .stat = box_stat, .list = box_list, .remove = box_remove, .batch = box_batch,
                            .flags = DREAMDB_STORE_HAS_TAGS };
    dreamdb_config config = { .store = &store, .threads = 1 };
    for (int i = 0; i < ROWS; i++) {
        for (int d = 0; d < DIM; d++) { places[i * DIM + d] = (float)((i * 37 + d * 101) % 97) - 48.0f; }
        heights[i] = i % 50;
        anchors[i] = (uint64_t)i;
    }
    dreamdb_field fields[] = { { .name = "place", .kind = DREAMDB_EMBEDDING, .dim = DIM, .train = places, .train_count = ROWS },
                               { .name = "height", .kind = DREAMDB_INT } };
    dreamdb_create_desc desc = { .fields = fields, .field_count = 2 };
    dreamdb_column columns[] = { { .field = "place", .data = places }, { .field = "height", .data = heights } };
    dreamdb_append_desc append = { .columns = columns, .column_count = 2, .count = ROWS, .anchors = anchors };
    MUST(dreamdb_create(&config, "places", &desc, &db, &error));
    MUST(dreamdb_append(db, &append, NULL, &error));

    dreamdb_operand forty = { .integer = 40 };
    dreamdb_where high = { .op = DREAMDB_GE, .field = "height", .operands = &forty, .operand_count = 1 };
    dreamdb_query query = { .field = "place", .vectors = places + 45 * DIM, .top_k = 3, .exact = 1, .where = &high };
    dreamdb_verify_report report;
    MUST(dreamdb_snapshot_open(db, NULL, &view, &error));
    MUST(dreamdb_search(view, &query, &found, &error));
    MUST(dreamdb_verify(view, 0, NULL, NULL, &report, &error));
    for (size_t i = 0; i < found->count; i++) {
        printf("place %-4llu height %-3lld score %.3f\n", (unsigned long long)found->hits[i].anchor, (long long)heights[found->hits[i].anchor], (double)found->hits[i].score);
    }
    int right = found->count == 3 && found->hits[0].anchor == 45 && heights[found->hits[1].anchor] >= 40 && report.faults == 0;
    printf("%llu objects in the table, all verified\n", (unsigned long long)report.objects);

    dreamdb_result_free(found);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    finish(&b);
    return right ? 0 : 1;
}
