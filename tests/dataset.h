/* dataset.h - rows of every kind in plain arrays, a dataset made of them through the public functions, and predicates both ways: what the
   tests of rooms view to check compare with. */
#ifndef DREAMDB_TEST_DATASET_H
#define DREAMDB_TEST_DATASET_H
#include "test.h"

enum { DATA_MOST = 600, DATA_DIM = 70, DATA_FIELDS = 8 };
typedef struct data_row { uint64_t anchor; float v[DATA_DIM]; int64_t n, t; double f; uint8_t b; char c[4], s[8], m[40]; } data_row;
static data_row data_rows[DATA_MOST];           /* c and s: "" = the row has none */
static uint32_t data_dim = 4;
static dreamdb_store data_inner, data_store;     /* memory, and faults in front of it */
static dreamdb_fault data_plan;
static dreamdb_error data_error;
static uint64_t data_clock;
static int data_page_early;                      /* 1: Tracks in pages from the first row */
static const char *const data_names[DATA_FIELDS] = { "b", "c", "e", "f", "m", "n", "s", "t" };

static uint64_t data_now(void *user) { (void)user; return data_clock += 1000; }
static int data_random(void *user, void *out, size_t size) { (void)user; memset(out, 0x5a, size); return 0; }

static dreamdb_config data_config(const dreamdb_store *on)
{
    dreamdb_config config = test_config(on);
    config.now_ns = data_now;
    config.random = data_random;
    return config;
}

/* The stores' own memory comes from libc: test_live_bytes counts what handles hold. */
static void data_open(void)
{
    memset(&data_plan, 0, sizeof data_plan);
    CHECK(dreamdb_store_memory(NULL, &data_inner, NULL) == DREAMDB_OK);
    CHECK(dreamdb_store_fault(&data_inner, &data_plan, NULL, &data_store, NULL) == DREAMDB_OK);
}

static void data_close(void)
{
    dreamdb_store_close(&data_store);
    dreamdb_store_close(&data_inner);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Lets one verb fail.  way 0: allocation n fails; 1: storage operation n fails; 2: it is done and its answer lost; 3: it and all later ones fail. */
static void data_arm(int way, long n)
{
    data_plan.operations = 0;
    data_plan.fail_at = way > 0 ? (uint64_t)n : 0;
    data_plan.fail_after = way == 2;
    data_plan.fail_forever = way == 3;
    test_fail_alloc_at(way == 0 ? n : 0);
}

/* No more faults; the verb said what it ran into. */
static void data_disarm(int way, dreamdb_status status)
{
    test_fail_alloc_at(0);
    memset(&data_plan, 0, sizeof data_plan);
    CHECK(status == DREAMDB_OK || (data_error.status == status && data_error.message[0]));
    CHECK(status == DREAMDB_OK || status == (way == 0 ? DREAMDB_ERR_MEMORY : DREAMDB_ERR_STORE));
}

/* Random rows; anchors are drawn below `anchors`, so a small number makes repeats.  Every fifth row repeats an older vector. */
static void data_fill(size_t count, uint64_t anchors)
{
    static const char words[6][4] = { "", "ant", "bee", "cat", "dog", "eel" };
    for (size_t i = 0; i < count; i++) {
        data_row *row = data_rows + i;
        memset(row, 0, sizeof *row);
        row->anchor = anchors > 0 ? test_rand() % anchors : i * 3 + 1;
        for (uint32_t d = 0; d < data_dim; d++) { row->v[d] = test_randf(); }
        if (i % 5 == 4) { memcpy(row->v, data_rows[test_rand() % i].v, sizeof row->v); }
        row->n = (int64_t)(test_rand() % 15) - 7;
        row->t = (int64_t)(test_rand() % 5) * 1000000;
        row->f = (double)(int64_t)(test_rand() % 9) / 4.0 - 1.0;
        row->b = (uint8_t)(test_rand() % 2);
        memcpy(row->c, words[test_rand() % 6], 4);
        if (test_rand() % 4) { (void)snprintf(row->s, sizeof row->s, "s%u", (unsigned)(test_rand() % 12)); }
        (void)snprintf(row->m, sizeof row->m, "picture %u of %u", (unsigned)i, (unsigned)(test_rand() % 7));
    }
}

static dreamdb_status data_create(const dreamdb_config *config, dreamdb_index_kind index, uint32_t cells, dreamdb **out)
{
    static const dreamdb_kind kinds[DATA_FIELDS] = { DREAMDB_BOOL, DREAMDB_CATEGORICAL, DREAMDB_EMBEDDING, DREAMDB_FLOAT, DREAMDB_IMAGE,
        DREAMDB_INT, DREAMDB_STRING, DREAMDB_TIMESTAMP };
    static float sample[40 * DATA_DIM];
    dreamdb_field fields[DATA_FIELDS];
    dreamdb_create_desc desc;
    memset(fields, 0, sizeof fields);
    memset(&desc, 0, sizeof desc);
    for (size_t f = 0; f < DATA_FIELDS; f++) { fields[f].name = data_names[f]; fields[f].kind = kinds[f]; }
    for (size_t i = 0; i < 40 * data_dim; i++) { sample[i] = test_randf(); }
    fields[2].dim = data_dim;
    fields[2].index = index;
    fields[2].required = 1;
    if (index == DREAMDB_INDEX_IVF) { fields[2].train = sample; fields[2].train_count = 40; fields[2].k = cells; }
    if (index == DREAMDB_INDEX_LSH) { fields[2].bits = cells; }
    if (index == DREAMDB_INDEX_LSH_L2) { fields[2].width = 0.4; }
    desc.fields = fields;
    desc.field_count = DATA_FIELDS;
    return dreamdb_create(config, "main", &desc, out, &data_error);
}

/* What a batch borrows while it is appended. */
typedef struct data_batch {
    dreamdb_slice c[DATA_MOST], s[DATA_MOST], m[DATA_MOST];
    uint8_t has_c[DATA_MOST], has_s[DATA_MOST];
    uint64_t anchors[DATA_MOST];
    dreamdb_column columns[DATA_FIELDS];
} data_batch;

/* Rows [first, first + count), in all fields. */
static dreamdb_append_desc data_batch_of(data_batch *b, size_t first, size_t count)
{
    const data_row *row = data_rows + first;
    dreamdb_append_desc desc;
    memset(b->columns, 0, sizeof b->columns);
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) {
        b->anchors[i] = row[i].anchor;
        b->c[i].data = row[i].c; b->c[i].size = strlen(row[i].c); b->has_c[i] = row[i].c[0] != 0;
        b->s[i].data = row[i].s; b->s[i].size = strlen(row[i].s); b->has_s[i] = row[i].s[0] != 0;
        b->m[i].data = row[i].m; b->m[i].size = strlen(row[i].m);
    }
    for (size_t f = 0; f < DATA_FIELDS; f++) { b->columns[f].field = data_names[f]; b->columns[f].stride = sizeof *row; }
    b->columns[0].data = &row->b; b->columns[2].data = row->v; b->columns[3].data = &row->f; b->columns[5].data = &row->n; b->columns[7].data = &row->t;
    b->columns[1].values = b->c; b->columns[1].present = b->has_c; b->columns[1].stride = 0;
    b->columns[4].values = b->m; b->columns[4].stride = 0;
    b->columns[6].values = b->s; b->columns[6].present = b->has_s; b->columns[6].stride = 0;
    desc.columns = b->columns; desc.column_count = DATA_FIELDS; desc.count = count; desc.anchors = b->anchors; desc.page_early = data_page_early;
    return desc;
}

static dreamdb_status data_append(dreamdb *db, size_t first, size_t count, dreamdb_append_report *report)
{
    static data_batch batch;
    dreamdb_append_desc desc = data_batch_of(&batch, first, count);
    return dreamdb_append(db, &desc, report, &data_error);
}

/* The memory store, with another writer who appends five rows just before a Ref moves, once data_rival is set. */
static dreamdb_store data_rival_store;
static dreamdb *data_rival;
static size_t data_rival_first;                  /* its rows */
static int data_rival_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    if (data_rival && strncmp(path, "refs/", 5) == 0) {
        dreamdb *rival = data_rival;
        data_rival = NULL;
        CHECK(data_append(rival, data_rival_first, 5, NULL) == DREAMDB_OK);
    }
    return data_inner.put(user, path, data, size, condition);
}
static const dreamdb_store *data_rival_open(size_t first)
{
    data_rival_store = data_inner;
    data_rival_store.put = data_rival_put;
    data_rival_store.batch = NULL;
    data_rival_first = first;
    return &data_rival_store;
}

/* A dataset of data_rows[0..count) on a store, in three appends. */
static dreamdb *data_make(const dreamdb_store *on, dreamdb_index_kind index, uint32_t cells, size_t count)
{
    dreamdb_config config = data_config(on);
    dreamdb *db = NULL;
    size_t a = count / 2, b = count / 3;
    CHECK(data_create(&config, index, cells, &db) == DREAMDB_OK);
    if (!db) { printf("%s\n", data_error.message); exit(1); }
    if (count > 0) { CHECK(data_append(db, 0, a, NULL) == DREAMDB_OK && data_append(db, a, b, NULL) == DREAMDB_OK); }
    if (count > 0) { CHECK(data_append(db, a + b, count - a - b, NULL) == DREAMDB_OK); }
    return db;
}

/* Live anchors of the tip. */
static uint64_t data_count(dreamdb *db)
{
    dreamdb_snapshot *view = NULL;
    uint64_t n = UINT64_MAX;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && dreamdb_count(view, NULL, NULL, 0, 0, &n, NULL) == DREAMDB_OK);
    dreamdb_snapshot_close(view);
    return n;
}

/* Deletes sorted anchors of one view alone, which nobody has searched or scanned yet: no new state, and a legacy list. */
static void data_delete(dreamdb_snapshot *view, const uint64_t *anchors, size_t count)
{
    ddb_ctx *ctx = test_ctx();
    CHECK(ddb_tomb_open(ctx, view->db->env, NULL, &view->manifest.timelines[0], &view->tomb) == DREAMDB_OK);
    view->tomb->lists = ddb_mem_new(ctx, ddb_tomb_list, 1);
    view->tomb->list_cap = view->tomb->list_count = 1;
    view->tomb->lists[0].anchors = (const uint64_t *)(const void *)ddb_mem_arena_copy(ctx, &view->tomb->arena, anchors, count * 8);
    view->tomb->lists[0].count = count;
    view->tomb_loaded = true;
}

/* ---- Predicates: random trees, and the plain meaning of one ---- */
typedef struct data_tree { dreamdb_where nodes[16]; dreamdb_operand operands[60]; char texts[60][8]; size_t node_count, operand_count; } data_tree;

static dreamdb_where *data_where(data_tree *tree, size_t at, int depth)
{
    static const char *const fields[] = { "b", "c", "f", "n", "s", "t" };
    dreamdb_where *w = tree->nodes + at;
    memset(w, 0, sizeof *w);
    if (depth > 0 && tree->node_count + 3 < 16 && test_rand() % 2) {
        size_t first = tree->node_count, some = 1 + test_rand() % 3;
        w->op = test_rand() % 2 ? DREAMDB_AND : DREAMDB_OR;
        tree->node_count += some;
        for (size_t i = 0; i < some; i++) { (void)data_where(tree, first + i, depth - 1); }
        w->children = tree->nodes + first;
        w->child_count = some;
        return w;
    }
    w->op = (dreamdb_op)(1 + test_rand() % 7);
    w->field = fields[test_rand() % 6];
    w->operands = tree->operands + tree->operand_count;
    w->operand_count = w->op == DREAMDB_IN ? test_rand() % 4 : 1;
    for (size_t i = 0; i < w->operand_count; i++, tree->operand_count++) {
        dreamdb_operand *o = tree->operands + tree->operand_count;
        char *text = tree->texts[tree->operand_count];
        const data_row *like = data_rows + test_rand() % 40;
        memset(o, 0, sizeof *o);
        o->integer = w->field[0] == 'b' ? like->b : w->field[0] == 't' ? like->t : like->n + (int64_t)(test_rand() % 3) - 1;
        o->real = like->f + (test_rand() % 3 == 0 ? 0.1 : 0);
        (void)snprintf(text, 8, "%s", w->field[0] == 'c' ? like->c : like->s);
        o->text.data = text;
        o->text.size = strlen(text);
    }
    return w;
}

static bool data_leaf(const dreamdb_where *w, const data_row *row)
{
    const char *text = w->field[0] == 'c' ? row->c : row->s;
    bool is_text = w->field[0] == 'c' || w->field[0] == 's', hit = false;
    for (size_t i = 0; i < w->operand_count; i++) {
        const dreamdb_operand *o = w->operands + i;
        int64_t x = w->field[0] == 'b' ? row->b : w->field[0] == 't' ? row->t : row->n;
        int order = is_text ? strcmp(text, (const char *)o->text.data) : w->field[0] == 'f' ? (row->f > o->real) - (row->f < o->real)
            : (x > o->integer) - (x < o->integer);
        if (is_text && !text[0]) { return false; }
        hit = hit || (w->op == DREAMDB_EQ || w->op == DREAMDB_IN ? order == 0 : w->op == DREAMDB_NE ? order != 0 : w->op == DREAMDB_LT
            ? order < 0 : w->op == DREAMDB_LE ? order <= 0 : w->op == DREAMDB_GT ? order > 0 : order >= 0);
    }
    return hit;
}

/* Does the anchor of row i meet the predicate under any value that any of its rows has? */
static bool data_meets(const dreamdb_where *w, size_t i, size_t count)
{
    bool all = true, any = false;
    if (!w) { return true; }
    for (size_t k = 0; k < w->child_count; k++) {
        bool one = data_meets(w->children + k, i, count);
        all = all && one;
        any = any || one;
    }
    if (w->op == DREAMDB_AND || w->op == DREAMDB_OR) { return w->op == DREAMDB_AND ? all : any; }
    for (size_t r = 0; r < count && !any; r++) { any = data_rows[r].anchor == data_rows[i].anchor && data_leaf(w, data_rows + r); }
    return any;
}

/* The path of the nth object whose path has the word; "" if there is none. */
typedef struct data_find { const char *word; size_t skip; char path[300]; } data_find;
static int data_found(void *user, const char *path, const dreamdb_stat *stat)
{
    data_find *find = (data_find *)user;
    (void)stat;
    if (!strstr(path, find->word) || find->skip-- > 0) { return 0; }
    (void)snprintf(find->path, sizeof find->path, "%s", path);
    return 1;
}
static const char *data_path(const char *word, size_t nth)
{
    static data_find find;
    memset(&find, 0, sizeof find);
    find.word = word;
    find.skip = nth;
    (void)data_inner.list(data_inner.user, "", data_found, &find);
    return find.path;
}

/* Takes an object out of the store (into a copy that the caller frees), or puts it back changed: one bit, cut, or as it was. */
static uint8_t *data_take(const char *path, size_t *size)
{
    dreamdb_blob blob;
    memset(&blob, 0, sizeof blob);
    CHECK(data_inner.get(data_inner.user, path, 0, 0, &blob) == DREAMDB_OK);
    uint8_t *copy = (uint8_t *)malloc((size_t)blob.size + 1);
    if (!copy) { exit(1); }
    *size = (size_t)blob.size;
    memcpy(copy, blob.data, *size);
    if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
    return copy;
}
static void data_put(const char *path, const void *data, size_t size)
{
    dreamdb_condition always = { DREAMDB_PUT_ALWAYS, NULL };
    CHECK(data_inner.put(data_inner.user, path, data, size, &always) == DREAMDB_OK);
}
static void data_unused(void)
{
    (void)data_make; (void)data_count; (void)data_delete; (void)data_where; (void)data_meets; (void)data_path; (void)data_take; (void)data_put; (void)data_fill; (void)data_append; (void)data_rival_open; (void)data_arm; (void)data_disarm;
    (void)data_open; (void)data_close; (void)data_unused;
}
#endif
