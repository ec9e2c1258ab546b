/* year.h - rows that follow from their number, states as one bit a row, the verbs on a dataset and on the model at once, and the comparison of
   the two: what year.c and soak.c share.  Public API only. */
#ifndef DREAMDB_TEST_YEAR_H
#define DREAMDB_TEST_YEAR_H
#include "../dreamdb.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>

enum { DIM = 64, CELLS = 48, WRITERS = 3, BRANCHES = WRITERS + 1, FIELDS = 7, MONTH = 30, MOST_KEPT = 400, SAMPLE = 2000, APPENDS = 2 };
enum { EMB, LABEL, NAME, NUMBER, OK, PIC, SCORE };
static const char *const names[FIELDS] = { "emb", "label", "name", "day", "ok", "pic", "score" };

/* What a row holds follows from its number. */
typedef struct row { uint64_t anchor; float v[DIM]; char label[12], name[16], pic[400]; size_t pic_size; int64_t day; double score; uint8_t ok; } row;
/* One state of the model: bit i of added, gone = row i. */
typedef struct state { uint8_t *added, *gone; } state;
/* Bytes of a store by what they are: rows first, then what a state needs to name its rows. */
enum { K_VECTORS, K_MEDIA, K_POSTINGS, K_INDEXES, K_OUTBOARDS, K_TRACKS, K_TOMBSTONES, K_MANIFESTS, KINDS };
static const char *const kind_names[KINDS] = { "vectors", "media", "postings", "indexes", "outboards", "Tracks", "tombstones", "Manifests" };
typedef struct shares { uint64_t bytes[KINDS]; } shares;
typedef struct kept { char label[24]; state rows; shares meta; } kept;   /* meta: of a fresh copy of it */
typedef struct branch { char name[8]; dreamdb *db; state rows; } branch;
typedef struct month { double gets, puts, read, written; uint64_t live; } month;

static struct {
    uint64_t days, rows, steady, keep, seed, commits, big, dead, ratio;
    int growth, quiet, no_step, lazy, verbs, kinds;
    const char *store, *dump;
} option = { 365, 50, 60, 10, 1, 0, 4096, 95, 0, 0, 0, 0, 0, 0, 0, NULL, NULL };

static branch branches[BRANCHES];                /* the trunk first */
static kept snapshots[MOST_KEPT];
static size_t kept_count;
static uint16_t *day_of;                         /* [most] */
static uint64_t most, next_id, today, clock_ns = UINT64_C(1735689600000000000), random_state;
static dreamdb_store base, store;                /* the store itself, and the counters in front of it */
static dreamdb_fault count;
static dreamdb_error error;
static long checks_passed, checks_failed;
static uint32_t threads = 1;

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}
static uint64_t draw(uint64_t below) { random_state = mix(random_state); return random_state % below; }
static float unit(uint64_t x) { return (float)(mix(x) >> 40) / 8388608.0f - 1.0f; }

static void check(int good, const char *format, ...)
{
    va_list list;
    if (good) { checks_passed++; return; }
    if (++checks_failed > 40) { return; }
    printf("year: day %llu: ", (unsigned long long)today);
    va_start(list, format);
    (void)vprintf(format, list);
    va_end(list);
    printf("%s%s\n", error.message[0] ? ": " : "", error.message);
}

/* For calls that the rest needs. */
static void must(dreamdb_status status, const char *what)
{
    if (status == DREAMDB_OK) { return; }
    printf("year: day %llu: %s: %s: %s\nyear: %ld passed, %ld failed\n", (unsigned long long)today, what, dreamdb_status_name(status), error.message,
           checks_passed, checks_failed + 1);
    exit(1);
}
static void *memory(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p) { printf("year: out of memory\n"); exit(1); }
    return p;
}

/* ---- Rows and states ---- */
static int bit(const uint8_t *bits, uint64_t i) { return bits[i / 8] >> (i % 8) & 1; }
static void set(uint8_t *bits, uint64_t i) { bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8)); }
static int is_live(const state *s, uint64_t i) { return bit(s->added, i) && !bit(s->gone, i); }
static state state_new(void) { state s; s.added = (uint8_t *)memory((size_t)most / 8 + 1, 1); s.gone = (uint8_t *)memory((size_t)most / 8 + 1, 1); return s; }
static void state_copy(state *to, const state *from) { memcpy(to->added, from->added, (size_t)most / 8 + 1); memcpy(to->gone, from->gone, (size_t)most / 8 + 1); }
static void state_merge(state *to, const state *from)
{
    for (size_t i = 0; i <= most / 8; i++) { to->added[i] = (uint8_t)(to->added[i] | from->added[i]); to->gone[i] = (uint8_t)(to->gone[i] | from->gone[i]); }
}
static uint64_t live_rows(const state *s)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < next_id; i++) { n += (uint64_t)is_live(s, i); }
    return n;
}

static uint64_t anchor_of(uint64_t id) { return UINT64_C(1700000000000000000) + id * 1000003u; }
static void row_make(uint64_t id, row *r)
{
    static const char *const labels[5] = { "cat", "dog", "emu", "fox", "gnu" };
    uint64_t h = mix(id ^ option.seed << 40), centre = h % 40;
    memset(r, 0, sizeof *r);
    r->anchor = anchor_of(id);
    r->day = day_of[id];
    for (uint64_t d = 0; d < DIM; d++) {          /* forty centres that drift with the days */
        float drift = (float)r->day / 365.0f;
        r->v[d] = unit(centre * 1000 + d) * (1 - drift) + unit(centre * 1000 + d + 500000) * drift + .4f * unit(h + d);
    }
    (void)snprintf(r->label, sizeof r->label, "%s", labels[h / 64 % 5]);
    if (h / 1024 % 4) { (void)snprintf(r->name, sizeof r->name, "n%llu", (unsigned long long)(h / 4096 % 100)); }
    r->score = (double)(int64_t)(h % 2001 - 1000) / 8.0;
    r->ok = (uint8_t)(h / 2048 % 2);
    if (id % 4 == 0) {
        r->pic_size = 200 + h % 200;
        for (size_t i = 0; i < r->pic_size; i++) { r->pic[i] = (char)mix(h + i); }
    }
}

/* ---- The verbs, each on the dataset and on the model; without a dataset (NULL) on the model alone ---- */
static uint64_t now(void *user) { (void)user; return clock_ns += 1000; }
static int not_random(void *user, void *out, size_t size)
{
    (void)user;
    for (size_t i = 0; i < size; i++) { ((uint8_t *)out)[i] = (uint8_t)draw(256); }
    return 0;
}
static dreamdb_config config_of(const dreamdb_store *on)
{
    dreamdb_config config;
    memset(&config, 0, sizeof config);
    config.store = on;
    config.threads = threads;
    config.now_ns = now;
    config.random = not_random;
    config.cache_bytes = 32u << 20;
    return config;
}

static dreamdb *create(const dreamdb_store *on)
{
    static const dreamdb_kind kinds[FIELDS] = { DREAMDB_EMBEDDING, DREAMDB_CATEGORICAL, DREAMDB_STRING, DREAMDB_INT, DREAMDB_BOOL, DREAMDB_IMAGE, DREAMDB_FLOAT };
    dreamdb_config config = config_of(on);
    dreamdb_field fields[FIELDS];
    dreamdb_create_desc desc;
    dreamdb *db = NULL;
    float *sample = (float *)memory(SAMPLE * DIM, sizeof *sample);
    row r;
    memset(fields, 0, sizeof fields);
    memset(&desc, 0, sizeof desc);
    for (uint64_t i = 0; i < SAMPLE; i++) {
        uint64_t id = i % most;
        row_make(id, &r);
        memcpy(sample + i * DIM, r.v, sizeof r.v);
    }
    for (size_t f = 0; f < FIELDS; f++) { fields[f].name = names[f]; fields[f].kind = kinds[f]; }
    fields[EMB].dim = DIM; fields[EMB].train = sample; fields[EMB].train_count = SAMPLE; fields[EMB].k = CELLS; fields[EMB].required = 1;
    desc.fields = fields;
    desc.field_count = FIELDS;
    must(dreamdb_create(&config, "main", &desc, &db, &error), "create");
    free(sample);
    return db;
}

static void append_ids(dreamdb *db, const uint64_t *ids, size_t n)
{
    if (!db) { return; }
    row *rows = (row *)memory(n, sizeof *rows);
    dreamdb_slice *label = (dreamdb_slice *)memory(n, sizeof *label), *name = (dreamdb_slice *)memory(n, sizeof *name), *pic = (dreamdb_slice *)memory(n, sizeof *pic);
    uint8_t *has_name = (uint8_t *)memory(n, 1), *has_pic = (uint8_t *)memory(n, 1);
    uint64_t *anchors = (uint64_t *)memory(n, 8);
    dreamdb_column columns[FIELDS];
    dreamdb_append_desc desc;
    memset(columns, 0, sizeof columns);
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < n; i++) {
        row_make(ids[i], rows + i);
        anchors[i] = rows[i].anchor;
        label[i].data = rows[i].label; label[i].size = strlen(rows[i].label);
        name[i].data = rows[i].name; name[i].size = strlen(rows[i].name); has_name[i] = rows[i].name[0] != 0;
        pic[i].data = rows[i].pic; pic[i].size = rows[i].pic_size; has_pic[i] = rows[i].pic_size > 0;
    }
    for (size_t f = 0; f < FIELDS; f++) { columns[f].field = names[f]; columns[f].stride = sizeof *rows; }
    columns[EMB].data = rows->v; columns[NUMBER].data = &rows->day; columns[SCORE].data = &rows->score; columns[OK].data = &rows->ok;
    columns[LABEL].values = label; columns[NAME].values = name; columns[PIC].values = pic;
    columns[LABEL].stride = columns[NAME].stride = columns[PIC].stride = 0;
    columns[NAME].present = has_name; columns[PIC].present = has_pic;
    desc.columns = columns; desc.column_count = FIELDS; desc.count = n; desc.anchors = anchors; desc.page_early = 1;
    must(dreamdb_append(db, &desc, NULL, &error), "append");
    free(rows); free(label); free(name); free(pic); free(has_name); free(has_pic); free(anchors);
}

static void append(branch *b, size_t n)
{
    uint64_t *ids = (uint64_t *)memory(n, 8);
    for (size_t i = 0; i < n; i++) {
        ids[i] = next_id;
        day_of[next_id] = (uint16_t)today;
        set(b->rows.added, next_id++);
    }
    append_ids(b->db, ids, n);
    free(ids);
}

static void delete_ids(dreamdb *db, const uint64_t *ids, size_t n)
{
    uint64_t *anchors = (uint64_t *)memory(n, 8);
    dreamdb_delete_desc desc;
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < n; i++) { anchors[i] = anchor_of(ids[i]); }
    desc.anchors = anchors;
    desc.anchor_count = n;
    if (n > 0 && db) { must(dreamdb_delete(db, &desc, NULL, &error), "delete"); }
    free(anchors);
}

/* n live rows of the branch, drawn. */
static void delete_some(branch *b, uint64_t n)
{
    uint64_t live = live_rows(&b->rows), *all = (uint64_t *)memory((size_t)live, 8), m = 0;
    if (n > live) { n = live; }
    for (uint64_t i = 0; i < next_id; i++) { if (is_live(&b->rows, i)) { all[m++] = i; } }
    for (uint64_t i = 0; i < n; i++) {
        uint64_t j = i + draw(live - i), other = all[i];
        all[i] = all[j];
        all[j] = other;
        set(b->rows.gone, all[i]);
    }
    delete_ids(b->db, all, (size_t)n);
    free(all);
}

/* The oldest days of the branch, as many whole ones as n rows hold, by a predicate. */
static void delete_days(branch *b, uint64_t n)
{
    uint64_t *of_day = (uint64_t *)memory(65536, 8), sum = 0, last = 0;
    dreamdb_operand operand;
    dreamdb_where where;
    dreamdb_delete_desc desc;
    dreamdb_delete_report report;
    memset(&operand, 0, sizeof operand); memset(&where, 0, sizeof where); memset(&desc, 0, sizeof desc);
    for (uint64_t i = 0; i < next_id; i++) { of_day[day_of[i]] += (uint64_t)is_live(&b->rows, i); }
    while (last < today && sum + of_day[last] <= n) { sum += of_day[last++]; }
    free(of_day);
    if (last == 0 || sum == 0) { return; }
    for (uint64_t i = 0; i < next_id; i++) { if (day_of[i] < last && is_live(&b->rows, i)) { set(b->rows.gone, i); } }
    if (!b->db) { return; }
    operand.integer = (int64_t)last;
    where.op = DREAMDB_LT; where.field = "day"; where.operands = &operand; where.operand_count = 1;
    desc.where = &where;
    desc.reason = "too old";
    must(dreamdb_delete(b->db, &desc, &report, &error), "delete where");
    check(report.anchors == sum, "delete where took %llu rows, the model %llu", (unsigned long long)report.anchors, (unsigned long long)sum);
}

static int conflict(void *user, const dreamdb_merge_conflict *c)
{
    (void)user;
    printf("year: conflict in %s %s: %s\n", c->field, c->key, c->why);
    return 0;
}
static void merge(branch *into, branch *from, dreamdb_merge_strategy strategy)
{
    dreamdb_merge_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.other = from->name;
    desc.strategy = strategy;
    desc.index = DREAMDB_MERGE_INDEX_OURS;              /* where a step was made on both sides */
    desc.conflict = conflict;
    if (into->db) { must(dreamdb_merge(into->db, &desc, NULL, &error), "merge"); }
    state_merge(&into->rows, &from->rows);
}

/* Of the whole dataset: cells of one fragment too, where they hold deleted rows. */
static void compact(branch *b, const char *field)
{
    dreamdb_compact_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.field = field;
    desc.threshold = field ? 2 : 1;
    desc.keep_bytes = option.big;
    desc.keep_dead = (uint32_t)option.dead;
    if (b->db) { must(dreamdb_compact(b->db, &desc, NULL, &error), "compact"); }
}

static dreamdb_ada_step_report steps;            /* sums of a month, with --verbs */
static uint64_t steps_made;
/* One step of the index: little by little, as states are kept for ever that share what is not written anew. */
static void step(branch *b)
{
    dreamdb_ada_step_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.force = desc.no_centre = !option.lazy;
    desc.neighbours = option.lazy ? 0 : 4;
    dreamdb_ada_step_report r;
    if (!b->db) { return; }
    must(dreamdb_ada_step(b->db, &desc, &r, &error), "ada-ivf-step");
    steps_made += r.outcome == DREAMDB_ADA_MADE;
    steps.splits += r.splits; steps.merges += r.merges; steps.renamed += r.renamed; steps.relineaged += r.relineaged; steps.marked += r.marked;
    steps.cells_read += r.cells_read; steps.cells_written += r.cells_written; steps.buckets_read += r.buckets_read;
    steps.records_read += r.records_read; steps.records_moved += r.records_moved; steps.records_dropped += r.records_dropped;
    steps.k_after = r.k_after; steps.records = r.records; steps.generations = r.generations;
}

/* The days are not the machine's, so ages say nothing here, and nobody writes meanwhile. */
static void collect(uint64_t keep)
{
    dreamdb_config config = config_of(&store);
    dreamdb_gc_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.keep_manifests = keep;
    desc.keep_since_ns = DREAMDB_GC_NO_AGE;
    desc.writers_paused = 1;
    must(dreamdb_gc(&config, &desc, NULL, &error), "gc");
}

static void keep_month(void)
{
    kept *k = snapshots + kept_count++;
    (void)snprintf(k->label, sizeof k->label, "m%02u", (unsigned)kept_count);
    if (branches[0].db) { must(dreamdb_keep(branches[0].db, k->label, &error), "snapshot"); }
    k->rows = state_new();
    state_copy(&k->rows, &branches[0].rows);
}

/* ---- Looking ---- */
static int same_row(const row *want, const dreamdb_value *v)
{
    double dot = 0, a = 0, b = 0;
    if (!v[EMB].present || v[EMB].size != sizeof want->v) { return 0; }
    for (size_t d = 0; d < DIM; d++) {
        double x = want->v[d], y = ((const float *)v[EMB].data)[d];
        dot += x * y; a += x * x; b += y * y;
    }
    if (dot <= 0 || dot * dot < .99999 * a * b) { return 0; }
    if (v[NUMBER].integer != want->day || v[OK].integer != want->ok || v[SCORE].real != want->score) { return 0; }
    if (v[LABEL].size != strlen(want->label) || memcmp(v[LABEL].data, want->label, strlen(want->label)) != 0) { return 0; }
    if (v[NAME].present != (want->name[0] != 0) || (v[NAME].present && (v[NAME].size != strlen(want->name) || memcmp(v[NAME].data, want->name, strlen(want->name)) != 0))) { return 0; }
    return v[PIC].present == (want->pic_size > 0) && (!v[PIC].present || (v[PIC].size == want->pic_size && memcmp(v[PIC].data, want->pic, want->pic_size) == 0));
}

/* Reads every row, in the order of anchors, which is that of ids; how many are not the model's, and in *rows how many there are. */
static uint64_t compare_rows(dreamdb_snapshot *view, const state *model, uint64_t *rows, dreamdb_status *status)
{
    dreamdb_scan scan;
    dreamdb_cursor *cursor = NULL;
    dreamdb_row got;
    uint64_t id = 0, wrong = 0;
    row want;
    memset(&scan, 0, sizeof scan);
    scan.fields = names; scan.field_count = FIELDS; scan.order = DREAMDB_ORDER_ANCHOR; scan.load_media = 1;
    must(dreamdb_scan_open(view, &scan, &cursor, &error), "scan");
    for (*rows = 0; (*status = dreamdb_cursor_next(cursor, &got, &error)) == DREAMDB_OK; ++*rows) {
        while (id < next_id && !is_live(model, id)) { id++; }
        if (id < next_id && got.anchor == anchor_of(id)) { row_make(id, &want); wrong += !same_row(&want, got.values); } else { wrong++; }
        id++;
    }
    dreamdb_cursor_close(cursor);
    return wrong;
}
static void check_rows(dreamdb_snapshot *view, const state *model, const char *what)
{
    dreamdb_status status;
    uint64_t rows, wrong = compare_rows(view, model, &rows, &status), want = live_rows(model);
    check(status == DREAMDB_DONE, "%s: scan ends with %s", what, dreamdb_status_name(status));
    check(wrong == 0 && rows == want, "%s: %llu rows, the model has %llu; %llu are wrong", what, (unsigned long long)rows, (unsigned long long)want, (unsigned long long)wrong);
}

static float cosine(const float *x, const float *y)
{
    double dot = 0, a = 0, b = 0;
    for (size_t d = 0; d < DIM; d++) { dot += (double)x[d] * y[d]; a += (double)x[d] * x[d]; b += (double)y[d] * y[d]; }
    double square = dot * dot / (a * b);
    return (float)(dot < 0 ? -square : square);      /* of one order with the cosine, and no square root */
}

/* The exact nearest of a drawn vector, and those with one label, beside a plain loop. */
static void check_search(dreamdb_snapshot *view, const state *model, const char *what)
{
    enum { TOP = 5 };
    static const char *const labels[2] = { NULL, "emu" };
    for (size_t t = 0; t < 2; t++) {
        float best[TOP], v[DIM];
        size_t n = 0;
        row r;
        dreamdb_query query;
        dreamdb_result *result = NULL;
        dreamdb_where where;
        dreamdb_operand operand;
        memset(&query, 0, sizeof query); memset(&where, 0, sizeof where); memset(&operand, 0, sizeof operand);
        for (uint64_t d = 0; d < DIM; d++) { v[d] = unit(draw(1u << 30)); }
        for (uint64_t id = 0; id < next_id; id++) {
            if (!is_live(model, id)) { continue; }
            row_make(id, &r);
            if (labels[t] && strcmp(r.label, labels[t]) != 0) { continue; }
            float score = cosine(v, r.v);
            if (n == TOP && score <= best[TOP - 1]) { continue; }
            size_t at = n < TOP ? n++ : TOP - 1;
            for (; at > 0 && best[at - 1] < score; at--) { best[at] = best[at - 1]; }
            best[at] = score;
        }
        operand.text.data = labels[t]; operand.text.size = 3;
        where.op = DREAMDB_EQ; where.field = "label"; where.operands = &operand; where.operand_count = 1;
        query.field = "emb"; query.vectors = v; query.top_k = TOP; query.exact = 1; query.where = labels[t] ? &where : NULL;
        must(dreamdb_search(view, &query, &result, &error), "search");
        int good = result->count == n;
        for (size_t i = 0; good && i < n; i++) {
            float s = result->hits[i].score, square = s < 0 ? -s * s : s * s, off = square - best[i];
            uint64_t id = (result->hits[i].anchor - anchor_of(0)) / 1000003u;
            good = off < 1e-5f && off > -1e-5f && id < next_id && is_live(model, id);
        }
        check(good, "%s: search%s gives %llu hits that are not the nearest %llu", what, t ? " by label" : "", (unsigned long long)result->count, (unsigned long long)n);
        dreamdb_result_free(result);
    }
}

static int fault_seen(void *user, const dreamdb_fault_report *fault)
{
    (void)user;
    printf("year: verify: %s: %s\n", fault->path, fault->message);
    return 0;
}
static void check_state(dreamdb *db, const char *name, const state *model, int verify)
{
    dreamdb_snapshot *view = NULL;
    dreamdb_verify_report report;
    char what[64];
    (void)snprintf(what, sizeof what, "%s", name ? name : "tip");
    must(dreamdb_snapshot_open(db, name, &view, &error), "open a state");
    check_rows(view, model, what);
    check_search(view, model, what);
    if (verify) {
        must(dreamdb_verify(view, 0, fault_seen, NULL, &report, &error), "verify");
        check(report.faults == 0, "%s: verify finds %llu faults", what, (unsigned long long)report.faults);
    }
    dreamdb_snapshot_close(view);
}

static int add_size(void *user, const char *path, const dreamdb_stat *stat) { (void)path; ((uint64_t *)user)[0] += stat->size; ((uint64_t *)user)[1]++; return 0; }
static void measure(const dreamdb_store *on, uint64_t size[2]) { size[0] = size[1] = 0; (void)on->list(on->user, "", add_size, size); }

static int add_kind(void *user, const char *path, const dreamdb_stat *stat)
{
    int kind = strncmp(path, "tombstones/", 11) == 0 ? K_TOMBSTONES : strncmp(path, "manifests/", 10) == 0 ? K_MANIFESTS
        : strncmp(path, "bao-outboard/", 13) == 0 ? K_OUTBOARDS : strstr(path, "/track/") || strstr(path, "/index/") ? K_TRACKS
        : strstr(path, "/embedding") ? K_VECTORS : strstr(path, "/image") ? K_MEDIA : strstr(path, "/scalar") ? K_POSTINGS : K_INDEXES;
    ((shares *)user)->bytes[kind] += stat->size;
    return 0;
}
static shares kinds_of(const dreamdb_store *on)
{
    shares k;
    memset(&k, 0, sizeof k);
    (void)on->list(on->user, "", add_kind, &k);
    return k;
}
static uint64_t sum(const shares *k, int from, int to)
{
    uint64_t n = 0;
    for (int i = from; i < to; i++) { n += k->bytes[i]; }
    return n;
}

/* A new dataset with the rows in one append, and the deletions. */
static shares fresh_of(const uint8_t *rows, const uint8_t *gone)
{
    dreamdb_store inside;
    must(dreamdb_store_memory(NULL, &inside, &error), "memory store");
    dreamdb *db = create(&inside);
    uint64_t *ids = (uint64_t *)memory((size_t)next_id, 8), *dead = (uint64_t *)memory((size_t)next_id, 8);
    size_t n = 0, m = 0;
    for (uint64_t i = 0; i < next_id; i++) {
        if (bit(rows, i) && !bit(gone, i)) { ids[n++] = i; }
        if (bit(gone, i)) { dead[m++] = i; }
    }
    append_ids(db, ids, n);
    delete_ids(db, dead, m);
    shares k = kinds_of(&inside);
    dreamdb_close(db);
    dreamdb_store_close(&inside);
    free(ids); free(dead);
    return k;
}
/* The Tracks and so on of a state, added to others. */
static void add_meta(shares *to, const shares *state_kinds) { for (int i = K_TRACKS; i < KINDS; i++) { to->bytes[i] += state_kinds->bytes[i]; } }

/* Bytes of a fresh copy of what must be kept: every row of a branch or snapshot once, and for each of these states the Tracks, pages and
   tombstones of its own that it has when it is written anew. */
static shares fresh_copy(void)
{
    state held = state_new();
    for (uint64_t i = 0; i < next_id; i++) {
        int is = 0;
        for (size_t b = 0; b < BRANCHES; b++) { is |= is_live(&branches[b].rows, i); }
        for (size_t k = 0; k < kept_count; k++) { is |= is_live(&snapshots[k].rows, i); }
        if (is) { set(held.added, i); }
    }
    shares total = fresh_of(held.added, held.gone);
    free(held.added); free(held.gone);
    for (int i = K_TRACKS; i < KINDS; i++) { total.bytes[i] = 0; }
    for (size_t k = 0; k < kept_count; k++) {
        if (sum(&snapshots[k].meta, K_TRACKS, KINDS) == 0) { snapshots[k].meta = fresh_of(snapshots[k].rows.added, snapshots[k].rows.gone); }
        add_meta(&total, &snapshots[k].meta);
    }
    for (size_t b = 0; b < BRANCHES; b++) {
        int same = b > 0 && memcmp(branches[b].rows.added, branches[0].rows.added, (size_t)most / 8 + 1) == 0
            && memcmp(branches[b].rows.gone, branches[0].rows.gone, (size_t)most / 8 + 1) == 0;
        shares own;
        if (!same) { own = fresh_of(branches[b].rows.added, branches[b].rows.gone); add_meta(&total, &own); }
    }
    return total;
}

static void unused(void)                         /* what one of the two programs does not call */
{
    (void)unused; (void)append; (void)delete_days; (void)delete_some; (void)merge; (void)compact; (void)step; (void)collect; (void)keep_month; (void)check_state;
    (void)measure; (void)fresh_copy; (void)count;
}
#endif
