/* test_track.c - rooms page and track: golden addresses of the verified models and fixtures, a stupid model, hostile bytes, failing memory. */
#include "test.h"

/* ---- the generator of golden/track/make.py ---- */
typedef struct gen { uint64_t x; } gen;
static gen gen_seed(uint64_t seed) { gen g; g.x = seed * UINT64_C(0x9E3779B97F4A7C15) + 1; return g; }
static uint64_t gen_next(gen *g) { g->x ^= g->x << 13; g->x ^= g->x >> 7; g->x ^= g->x << 17; return g->x; }
static void gen_addr(gen *g, ddb_addr *out)
{
    out->bytes[0] = 0x1e;
    for (int i = 0; i < 4; i++) { ddb_bytes_set_le64(out->bytes + 1 + 8 * i, gen_next(g)); }
}
typedef struct plan { char name[64], kind[16]; unsigned bits, cells, side; uint64_t limit; } plan;

static ddb_arena keep;                                     /* keys and rows of a test */
static ddb_slice gen_key(unsigned bits, uint64_t i)
{
    gen g = gen_seed(1000 + i);
    char *out = (char *)ddb_mem_arena_alloc(test_ctx(), &keep, bits);
    for (unsigned b = 0; b < bits; b++) { out[b] = (char)('0' + (gen_next(&g) >> 40 & 1)); }
    return ddb_bytes_slice(out, bits);
}
static ddb_slice gen_bytes(const void *data, size_t size) { return ddb_bytes_slice(ddb_mem_arena_copy(test_ctx(), &keep, data, size), size); }
static ddb_slice gen_cbor_text(const char *text, size_t size)
{
    uint8_t buf[9000];
    uint8_t *at = ddb_page_string(buf, 0x60, text, size);
    return gen_bytes(buf, (size_t)(at - buf));
}
static ddb_slice gen_int(int64_t v)
{
    uint8_t buf[9];
    uint8_t *at = v >= 0 ? ddb_page_head(buf, 0, (uint64_t)v) : ddb_page_head(buf, 0x20, ~(uint64_t)v);
    return gen_bytes(buf, (size_t)(at - buf));
}
static ddb_slice gen_value(const char *kind, const char *mode, gen *g, uint64_t i)
{
    uint64_t x = gen_next(g);
    bool few = strcmp(mode, "few") == 0;
    if (strcmp(kind, "int") == 0) {
        return gen_int(few ? (int64_t)(x % 7) : strcmp(mode, "asc") == 0 ? (int64_t)i * 3 : strcmp(mode, "wide") == 0 ?
                       (int64_t)(x >> 1) - ((int64_t)1 << 62) : (int64_t)(x % 5000) - 2500);
    }
    if (strcmp(kind, "float") == 0) {
        static const char *const some[] = { "\xf9\x00\x00", "\xf9\x80\x00", "\xf9\x38\x00", "\xfb\x3f\xb9\x99\x99\x99\x99\x99\x9a", "\xf9\xb8\x00", "\xfa\x47\x80\x00\x00", "\xf9\x00\x01" };
        static const uint8_t sizes[] = { 3, 3, 3, 9, 3, 5, 3 };
        uint8_t b[9];
        if (few) { return gen_bytes(some[x % 7], sizes[x % 7]); }
        if (x % 3 == 0) {
            uint32_t v = (uint32_t)(x >> 8 & 0xffff) & 0xfbff;
            b[0] = 0xf9; b[1] = (uint8_t)(v >> 8); b[2] = (uint8_t)v;
            return gen_bytes(b, 3);
        }
        if (x % 3 == 1) { b[0] = 0xfa; ddb_bytes_set_be32(b + 1, (uint32_t)(x >> 8 & 0xffffffffu) & 0xff7fffffu); return gen_bytes(b, 5); }
        b[0] = 0xfb;
        ddb_bytes_set_be64(b + 1, gen_next(g) & UINT64_C(0xffefffffffffffff));
        return gen_bytes(b, 9);
    }
    if (few) {
        static const char *const words[] = { "", "a", "aa", "ab", "b", "ba", "\xc3\xa9", "zebra" };
        return gen_cbor_text(words[x % 8], strlen(words[x % 8]));
    }
    char text[8300];
    if (strcmp(mode, "long") == 0) {
        size_t n = (size_t)snprintf(text, 32, "k%u", (unsigned)(x % 1000)), y = (size_t)((x >> 40) % 4 == 0 ? x >> 20 & 8191 : x >> 20 & 63);
        memset(text + n, 'y', y);
        return gen_cbor_text(text, n + y);
    }
    size_t n = (size_t)snprintf(text, 32, "k%u", (unsigned)(x % 100000));
    return gen_cbor_text(text, n);
}

static ddb_row *gen_rows(const plan *p, uint64_t seed, size_t count, const char *mode)
{
    gen r = gen_seed(seed);
    ddb_row *rows = ddb_mem_arena_new(test_ctx(), &keep, ddb_row, count);
    for (size_t i = 0; i < count; i++) {
        ddb_row *row = rows + i;
        uint64_t t = strcmp(mode, "asc") == 0 ? seed * 1000000 + i * 7 : strcmp(mode, "same") == 0 ? 12345 : strcmp(mode, "big") == 0 ? gen_next(&r) >> 1 : gen_next(&r) % 100000;
        row->t_start = t;
        row->t_end = t + 1;
        if (gen_next(&r) % 4 == 0) { row->t_end += gen_next(&r) % 300; }
        if (strcmp(p->kind, "time") == 0) {
            uint64_t f = gen_next(&r) % 8;
            row->size = gen_next(&r);
            row->size = row->size >> (gen_next(&r) % 64) & ((UINT64_C(1) << 40) - 1);
            gen_addr(&r, &row->addr);
            row->flags = f == 0 ? (uint32_t)DDB_ROW_CHUNKED : f == 1 ? (uint32_t)DDB_ROW_PACKED : 0u;
            if (f == 1) { row->offset = gen_next(&r) % 100000; }
        } else if (strcmp(p->kind, "spatial") == 0) {
            row->key = gen_key(p->bits, gen_next(&r) % p->cells);
            row->size = 160 + gen_next(&r) % 5000;
            gen_addr(&r, &row->addr);
            if (p->side) { row->flags = DDB_ROW_SIDECAR; gen_addr(&r, &row->sidecar); }
        } else {
            row->key = gen_value(p->kind, mode, &r, seed * 1000 + i);
            row->size = 31 + gen_next(&r) % 1000;
            row->offset = gen_next(&r) % 100000;
            gen_addr(&r, &row->addr);
        }
    }
    return rows;
}

/* ---- a dataset of one Track in a memory store ---- */
typedef struct bench { dreamdb_store store; ddb_env *env; ddb_puts *puts; ddb_arena arena; ddb_buf bytes; ddb_track track; ddb_addr addr; ddb_track_class cls; } bench;

static dreamdb_config bench_config(const dreamdb_store *store)
{
    dreamdb_config config;
    memset(&config, 0, sizeof config);
    config.store = store;
    config.allocator = test_allocator();
    config.threads = 1;
    return config;
}
static void bench_load(bench *b)
{
    ddb_mem_arena_free(test_ctx(), &b->arena);
    CHECK(ddb_track_decode(test_ctx(), &b->arena, b->cls, ddb_bytes_of(&b->bytes), "track", &b->track) == DREAMDB_OK);
}
/* Takes a new Track (in whatever arena) as the tip: puts it, decodes it again. */
static void bench_take(bench *b, const ddb_track *track, ddb_arena *arena)
{
    ddb_buf bytes;
    ddb_bytes_init(&bytes, test_ctx());
    CHECK(ddb_track_encode(&bytes, track) == DREAMDB_OK);
    CHECK(ddb_track_put(test_ctx(), b->puts, arena, track, &b->addr) == DREAMDB_OK);
    CHECK(ddb_object_flush(test_ctx(), b->puts) == DREAMDB_OK);
    ddb_mem_arena_free(test_ctx(), arena);
    ddb_bytes_free(&b->bytes);
    b->bytes = bytes;
    bench_load(b);
}
static void bench_open(bench *b, ddb_track_class cls, const char *modality, const ddb_addr *timeline)
{
    ddb_track track;
    ddb_arena arena = { NULL, 0 };
    dreamdb_allocator allocator = test_allocator();
    memset(b, 0, sizeof *b);
    memset(&track, 0, sizeof track);
    b->cls = cls;
    CHECK(dreamdb_store_memory(&allocator, &b->store, NULL) == DREAMDB_OK);
    dreamdb_config config = bench_config(&b->store);
    CHECK(ddb_object_env_open(test_ctx(), &config, &b->env) == DREAMDB_OK);
    CHECK(ddb_object_puts_open(test_ctx(), b->env, &b->puts) == DREAMDB_OK);
    ddb_bytes_init(&b->bytes, test_ctx());
    track.cls = cls;
    track.form = DDB_TRACK_INLINE;
    track.modality = ddb_bytes_text(modality);
    track.timeline = *timeline;
    track.t_max = 1;
    bench_take(b, &track, &arena);
}
static void bench_close(bench *b)
{
    ddb_mem_arena_free(test_ctx(), &b->arena);
    ddb_bytes_free(&b->bytes);
    ddb_object_puts_close(test_ctx(), b->puts);
    ddb_object_env_close(test_ctx(), b->env);
    dreamdb_store_close(&b->store);
}
static dreamdb_status bench_append(bench *b, const ddb_row *rows, size_t count, uint64_t limit)
{
    ddb_track out;
    ddb_arena arena = { NULL, 0 };
    dreamdb_status status = ddb_track_insert(test_ctx(), b->env, &arena, &b->track, rows, count, limit, b->puts, &out);
    if (status == DREAMDB_OK) { bench_take(b, &out, &arena); }
    ddb_mem_arena_free(test_ctx(), &arena);
    return status;
}
static dreamdb_status bench_replace(bench *b, const ddb_slice *cells, size_t cell_count, const ddb_row *rows, size_t count)
{
    ddb_track out;
    ddb_arena arena = { NULL, 0 };
    dreamdb_status status = ddb_track_replace(test_ctx(), b->env, &arena, &b->track, cells, cell_count, rows, count, b->puts, &out);
    if (status == DREAMDB_OK) { bench_take(b, &out, &arena); }
    ddb_mem_arena_free(test_ctx(), &arena);
    return status;
}
static void bench_is(const bench *b, const char *text)
{
    char have[DREAMDB_ADDRESS_TEXT];
    ddb_addr_text(&b->addr, have);
    CHECK_STR(have, text);
}
static const char *modality_of(const char *kind)
{
    return strcmp(kind, "time") == 0 ? "image.jpeg" : strcmp(kind, "spatial") == 0 ? "embedding.f32.dim=8.bucketed" : strcmp(kind, "int") == 0 ? "scalar.i64.field=n" :
           strcmp(kind, "float") == 0 ? "scalar.f64.field=n" : strcmp(kind, "str") == 0 ? "scalar.str.field=n" : "scalar.cat.field=n";
}
static ddb_track_class class_of(const char *kind)
{
    return strcmp(kind, "time") == 0 ? DDB_TRACK_ITEM : strcmp(kind, "spatial") == 0 ? DDB_TRACK_SPATIAL : strcmp(kind, "cat") == 0 ? DDB_TRACK_BITMAP : DDB_TRACK_BTREE;
}
static void bench_plan(bench *b, const plan *p)
{
    ddb_addr timeline;
    ddb_addr_of(0, ddb_bytes_text("timeline"), &timeline);
    bench_open(b, class_of(p->kind), modality_of(p->kind), &timeline);
}

/* ---- a stupid model: all rows in a list ---- */
typedef struct model { ddb_row *rows; size_t count, cap; } model;
static void model_add(model *m, const ddb_row *rows, size_t count)
{
    if (m->count + count > m->cap) {
        m->cap = (m->count + count) * 2;
        m->rows = (ddb_row *)realloc(m->rows, m->cap * sizeof *rows);
    }
    memcpy(m->rows + m->count, rows, count * sizeof *rows);
    m->count += count;
}
static int row_bytes_compare(const void *pa, const void *pb)
{
    const ddb_row *a = (const ddb_row *)pa, *b = (const ddb_row *)pb;
    int order = ddb_bytes_compare(a->key, b->key);
    order = order ? order : memcmp(a->addr.bytes, b->addr.bytes, 33);
    return order ? order : a->t_start < b->t_start ? -1 : a->t_start > b->t_start;
}
static bool row_same(const ddb_row *a, const ddb_row *b)
{
    return ddb_bytes_equal(a->key, b->key) && a->t_start == b->t_start && a->t_end == b->t_end && a->size == b->size && a->offset == b->offset && a->flags == b->flags &&
           ddb_addr_equal(&a->addr, &b->addr) && (!(a->flags & DDB_ROW_SIDECAR) || (a->table == b->table && ddb_addr_equal(&a->sidecar, &b->sidecar)));
}
/* Rows that a cursor and a collect give, and that the model gives, are the same set; both readers agree in order. */
static void model_check(const model *m, bench *b, const ddb_track_select *select, bool (*takes)(const ddb_row *, const ddb_track_select *))
{
    ddb_track_cursor *cursor = NULL;
    const ddb_row *row = NULL;
    ddb_arena arena = { NULL, 0 };
    ddb_row *found = NULL, *want = (ddb_row *)malloc((m->count + 1) * sizeof *want);
    size_t count = 0, n = 0, at = 0;
    dreamdb_status status;
    for (size_t i = 0; i < m->count; i++) { if (!select || takes(m->rows + i, select)) { want[n++] = m->rows[i]; } }
    CHECK(ddb_track_collect(test_ctx(), b->env, &arena, &b->track, select, &found, &count) == DREAMDB_OK);
    CHECK_EQ_U64(count, n);
    if (ddb_track_open(test_ctx(), b->env, &b->track, select, &cursor) != DREAMDB_OK) { printf("%s\n", test_error.message); CHECK(false); exit(1); }
    while ((status = ddb_track_next(test_ctx(), cursor, &row)) == DREAMDB_OK) {
        CHECK(at < count && row_same(row, found + at));
        at++;
    }
    CHECK(status == DREAMDB_DONE);
    CHECK_EQ_U64(at, count);
    ddb_track_close(test_ctx(), cursor);
    qsort(want, n, sizeof *want, row_bytes_compare);
    if (count > 0) { qsort(found, count, sizeof *found, row_bytes_compare); }
    for (size_t i = 0; i < n && i < count; i++) { if (!row_same(want + i, found + i)) { CHECK(row_same(want + i, found + i)); break; } }
    ddb_mem_arena_free(test_ctx(), &arena);
    free(want);
}
static bool takes_time(const ddb_row *row, const ddb_track_select *s) { return row->t_start < s->end && row->t_end > s->start; }
static bool takes_key(const ddb_row *row, const ddb_track_select *s)
{
    for (size_t i = 0; i < s->key_count; i++) { if (ddb_bytes_equal(s->keys[i], row->key)) { return true; } }
    return false;
}
static ddb_slice model_algorithm;
static bool takes_value(const ddb_row *row, const ddb_track_select *s)
{
    uint8_t number[8];
    ddb_slice key = row->key;
    if (model_algorithm.size > 0 && !ddb_page_order_bytes(model_algorithm, row->key, number, &key)) { return false; }
    int low = s->has_low ? ddb_bytes_compare(key, s->low) : 1, high = s->has_high ? ddb_bytes_compare(key, s->high) : -1;
    return (low > 0 || (low == 0 && !s->low_open)) && (high < 0 || (high == 0 && !s->high_open));
}
static int slice_compare(const void *a, const void *b) { return ddb_bytes_compare(*(const ddb_slice *)a, *(const ddb_slice *)b); }
static void model_selections(const model *m, bench *b)
{
    ddb_track_select s;
    uint8_t low[8], high[8];
    for (int turn = 0; turn < 4; turn++) {
        const ddb_row *some = m->rows + test_rand() % m->count, *other = m->rows + test_rand() % m->count;
        memset(&s, 0, sizeof s);
        s.by_time = true;
        s.start = some->t_start;
        s.end = some->t_start + (turn == 0 ? 1 : test_rand() % 5000);
        model_check(m, b, &s, takes_time);
        if (b->cls == DDB_TRACK_SPATIAL || b->cls == DDB_TRACK_BITMAP) {
            ddb_slice keys[9];
            memset(&s, 0, sizeof s);
            for (size_t i = 0; i < 9; i++) { keys[i] = m->rows[test_rand() % m->count].key; }
            keys[3] = ddb_bytes_text("0101");
            qsort(keys, 9, sizeof keys[0], slice_compare);
            s.keys = keys;
            s.key_count = turn == 0 ? 1 : turn == 1 ? 0 : 9;
            model_check(m, b, &s, takes_key);
        }
        if (b->cls >= DDB_TRACK_BITMAP) {
            memset(&s, 0, sizeof s);
            model_algorithm = b->track.algorithm;
            s.low = some->key;
            s.high = other->key;
            if (b->cls == DDB_TRACK_BTREE) {
                CHECK(ddb_page_order_bytes(model_algorithm, some->key, low, &s.low) && ddb_page_order_bytes(model_algorithm, other->key, high, &s.high));
            }
            s.by_value = true;
            s.has_low = turn != 1;
            s.has_high = turn != 2;
            s.low_open = turn == 3;
            s.high_open = turn != 0;
            model_check(m, b, &s, takes_value);
        }
    }
}

/* ---- golden addresses of the models ---- */
static char *line_word(char **at)
{
    char *start = *at;
    while (*start == ' ') { start++; }
    char *end = start;
    while (*end && *end != ' ' && *end != '\n') { end++; }
    *at = *end ? end + 1 : end;
    *end = 0;
    return start;
}
static uint64_t line_number(char **at) { return strtoull(line_word(at), NULL, 10); }
static char *line_next(char **text)
{
    char *line = *text, *end = strchr(line, '\n');
    if (!*line) { return NULL; }
    *text = end ? end + 1 : line + strlen(line);
    if (end) { *end = 0; }
    return line;
}
static void golden_replace(const plan *p, bench *b, model *m, uint64_t seed, uint64_t draws, uint64_t count)
{
    gen r = gen_seed(seed + 500);
    ddb_slice *cells = ddb_mem_arena_new(test_ctx(), &keep, ddb_slice, draws);
    ddb_row *rows = gen_rows(p, seed, count, "mix");
    ddb_track_select s;
    size_t n = 0, left = 0;
    memset(&s, 0, sizeof s);
    for (size_t i = 0; i < draws; i++) { cells[i] = gen_key(p->bits, gen_next(&r) % p->cells); }
    s.keys = cells;
    s.key_count = draws;
    for (size_t i = 0; i < count; i++) { if (takes_key(rows + i, &s)) { rows[n++] = rows[i]; } }
    for (size_t i = 0; i < m->count; i++) { if (!takes_key(m->rows + i, &s)) { m->rows[left++] = m->rows[i]; } }
    m->count = left;
    model_add(m, rows, n);
    CHECK(bench_replace(b, cells, draws, rows, n) == DREAMDB_OK);
}
static void golden_models(void)
{
    size_t size = 0;
    char *file = (char *)test_file("tests/golden/track/cases.txt", &size), *text = file;
    plan p;
    bench b;
    model m;
    bool open = false;
    memset(&p, 0, sizeof p);
    memset(&m, 0, sizeof m);
    for (char *line = file ? line_next(&text) : NULL; ; line = line_next(&text)) {
        char *verb = line ? line_word(&line) : NULL;
        if (!verb || strcmp(verb, "case") == 0) {
            if (open) {
                model_check(&m, &b, NULL, NULL);
                model_selections(&m, &b);
                CHECK(ddb_track_walk_pages(test_ctx(), b.env, &b.track, NULL, NULL) == DREAMDB_OK);
                bench_close(&b);
                free(m.rows);
                memset(&m, 0, sizeof m);
                ddb_mem_arena_free(test_ctx(), &keep);
            }
            if (!verb) { break; }
            (void)snprintf(p.name, sizeof p.name, "%s", line_word(&line));
            (void)snprintf(p.kind, sizeof p.kind, "%s", line_word(&line));
            p.bits = (unsigned)line_number(&line);
            p.cells = (unsigned)line_number(&line);
            p.side = (unsigned)line_number(&line);
            p.limit = line_number(&line);
            bench_plan(&b, &p);
            open = true;
            continue;
        }
        uint64_t seed = line_number(&line), count = line_number(&line);
        if (strcmp(verb, "append") == 0) {
            char *mode = line_word(&line);
            ddb_row *rows = gen_rows(&p, seed, count, mode);
            model_add(&m, rows, count);
            if (bench_append(&b, rows, count, p.limit) != DREAMDB_OK) { printf("%s: %s\n", p.name, test_error.message); CHECK(false); }
        } else {
            golden_replace(&p, &b, &m, seed, count, line_number(&line));
        }
        int before = test_ok;
        test_ok = 1;
        bench_is(&b, line_word(&line));
        if (!test_ok && before) { printf("%s differs after %s %llu\n", p.name, verb, (unsigned long long)seed); }
        test_ok = test_ok && before;
    }
    free(file);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* ---- fixtures of the reference ---- */
static void fixture_core(bench *b, char *line, char **text)
{
    ddb_addr blob, root;
    uint64_t first = line_number(&line), count = line_number(&line);
    CHECK(ddb_addr_parse(ddb_bytes_text(line_word(&line)), &blob));
    ddb_row *rows = ddb_mem_arena_new(test_ctx(), &keep, ddb_row, 100000);
    for (size_t i = 0; i < count; i++) { rows[i].t_start = first + i; rows[i].t_end = first + i + 1; rows[i].size = 1; rows[i].addr = blob; }
    CHECK(bench_append(b, rows, count, DDB_TRACK_PAGE_LIMIT) == DREAMDB_OK);
    CHECK(b->track.form == DDB_TRACK_INLINE);
    while (strncmp(*text, "coreappend", 10) == 0) {
        size_t n = 0;
        line = line_next(text);
        (void)line_word(&line);
        CHECK(ddb_addr_parse(ddb_bytes_text(line_word(&line)), &root));
        uint64_t fanout = line_number(&line), pages = line_number(&line), total = line_number(&line), height = line_number(&line);
        while (*line) {
            char *run = line_word(&line);
            long long start = 0, some = 0, step = 0;
            if (sscanf(run, "%lld:%lld:%lld", &start, &some, &step) != 3) { break; }
            for (long long i = 0; i < some; i++, n++) {
                rows[n].t_start = (uint64_t)(start + i * step);
                rows[n].t_end = rows[n].t_start + 1;
                rows[n].size = 1;
                rows[n].addr = blob;
            }
        }
        CHECK(bench_append(b, rows, n, DDB_TRACK_PAGE_LIMIT) == DREAMDB_OK);
        CHECK(b->track.form == DDB_TRACK_PAGED && ddb_addr_equal(&b->track.root, &root));
        CHECK_EQ_U64(b->track.fanout, fanout);
        CHECK_EQ_U64(b->track.page_count, pages);
        CHECK_EQ_U64(b->track.total, total);
        CHECK_EQ_U64(b->track.height, height);
    }
}
typedef struct evo { uint8_t vectors[64][32]; ddb_slice keys[64]; size_t items; ddb_addr index; } evo;
static uint64_t evo_anchor(uint64_t k, uint64_t i) { return (UINT64_C(1) << 40) + (k * 7919 + i * 104729) % 1000003; }
/* The row of a bucket that holds the records k:i,k:i,... */
static void evo_row(const evo *e, const char *records, ddb_row *row)
{
    static uint8_t bucket[160 + 200 * 40];
    size_t count = 0;
    unsigned k = 0, i = 0;
    memset(row, 0, sizeof *row);
    memset(bucket, 0, sizeof bucket);
    row->t_start = UINT64_MAX;
    for (const char *at = records; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL, count++) {
        if (sscanf(at, "%u:%u", &k, &i) != 2) { CHECK(false); return; }
        uint64_t a = evo_anchor(k, i);
        ddb_bytes_set_be64(bucket + 160 + 40 * count, a);
        memcpy(bucket + 168 + 40 * count, e->vectors[i], 32);
        row->t_start = a < row->t_start ? a : row->t_start;
        row->t_end = a + 1 > row->t_end ? a + 1 : row->t_end;
    }
    memcpy(bucket, "VBUU", 4);
    ddb_bytes_set_be32(bucket + 4, 1);
    ddb_bytes_set_be32(bucket + 8, 40);
    ddb_bytes_set_be32(bucket + 12, (uint32_t)count);
    ddb_bytes_set_be32(bucket + 16, 160);
    memcpy(bucket + 20, e->index.bytes, 33);
    memcpy(bucket + 53, "embedding.f32.dim=8.bucketed", 28);
    row->size = 160 + 40 * count;
    ddb_addr_of(0, ddb_bytes_slice(bucket, (size_t)row->size), &row->addr);
    row->key = e->keys[i];
}
static void fixture_evo(bench *b, evo *e, char **text)
{
    static ddb_row rows[4000];
    static ddb_slice cells[4000];
    while (strncmp(*text, "item", 4) == 0) {
        char *line = line_next(text);
        (void)line_word(&line);
        char *hex = line_word(&line);
        for (int j = 0; j < 32; j++) { unsigned v = 0; (void)sscanf(hex + 2 * j, "%2x", &v); e->vectors[e->items][j] = (uint8_t)v; }
        char *key = line_word(&line);
        e->keys[e->items++] = gen_bytes(key, strlen(key));
    }
    while (strncmp(*text, "evo", 3) == 0) {
        size_t n = 0, made = 0;
        char *line = line_next(text), *verb = line_word(&line), *expect = line_word(&line), record[64];
        bool append = strcmp(verb, "evoappend") == 0;
        uint64_t k = append ? line_number(&line) : 0;
        while (*line && n < 4000) {
            char *word = line_word(&line);
            if (!*word) { break; }
            if (append) { (void)snprintf(record, sizeof record, "%llu:%s", (unsigned long long)k, word); }
            evo_row(e, append ? record : word, rows + n);
            cells[made++] = rows[n++].key;
        }
        CHECK((append ? bench_append(b, rows, n, DDB_TRACK_PAGE_LIMIT) : bench_replace(b, cells, made, rows, n)) == DREAMDB_OK);
        bench_is(b, expect);
    }
}
static void fixture_scalar(bench *b, char **text)
{
    while (strncmp(*text, "scalarappend", 12) == 0) {
        char *line = line_next(text);
        (void)line_word(&line);
        char *expect = line_word(&line), *bucket = line_word(&line);
        uint64_t anchor = line_number(&line), value = line_number(&line), count = line_number(&line), step = line_number(&line);
        ddb_row *rows = ddb_mem_arena_new(test_ctx(), &keep, ddb_row, count);
        for (size_t i = 0; i < count; i++) {
            rows[i].key = gen_int((int64_t)(value + i * step));
            rows[i].t_start = anchor + i;
            rows[i].t_end = anchor + i + 1;
            rows[i].size = 31;
            rows[i].offset = 31 * i;
            CHECK(ddb_addr_parse(ddb_bytes_text(bucket), &rows[i].addr));
        }
        CHECK(bench_append(b, rows, count, DDB_TRACK_PAGE_LIMIT) == DREAMDB_OK);
        bench_is(b, expect);
    }
}
static void fixtures(void)
{
    size_t size = 0;
    char *file = (char *)test_file("tests/golden/track/fixtures.txt", &size), *text = file;
    while (file && *text) {
        char *line = line_next(&text), *verb = line_word(&line);
        ddb_addr timeline;
        bench b;
        memset(&timeline, 0, sizeof timeline);
        timeline.bytes[0] = 0x1e;
        if (strcmp(verb, "core") == 0) {
            bench_open(&b, DDB_TRACK_ITEM, "image.jpeg", &timeline);
            fixture_core(&b, line, &text);
        } else if (strcmp(verb, "evo") == 0) {
            evo *e = (evo *)calloc(1, sizeof *e);
            CHECK(ddb_addr_parse(ddb_bytes_text(line_word(&line)), &timeline) && ddb_addr_parse(ddb_bytes_text(line_word(&line)), &e->index));
            bench_open(&b, DDB_TRACK_SPATIAL, "embedding.f32.dim=8.bucketed", &timeline);
            fixture_evo(&b, e, &text);
            free(e);
        } else {
            CHECK(ddb_addr_parse(ddb_bytes_text(line_word(&line)), &timeline));
            bench_open(&b, DDB_TRACK_BTREE, "scalar.i64.field=i", &timeline);
            fixture_scalar(&b, &text);
        }
        bench_close(&b);
        ddb_mem_arena_free(test_ctx(), &keep);
    }
    free(file);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

int main(void)
{
    RUN(fixtures);
    RUN(golden_models);
    return test_end("track");
}
