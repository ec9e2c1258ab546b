/* fault.c - what goes wrong, everywhere it can: the Nth allocation and the Nth storage operation of create, append and read fail, for
   every N; bits are flipped and objects cut.  Public API only: the memory store behind dreamdb_store_fault, and an allocator that fails.

   After each fault: the status is an error and the error struct says the same; nothing leaks; the Ref names the old state or the new one,
   never a third; that state verifies and reads right; the same call goes through when it is made again. */
#include "../dreamdb.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>
#include <inttypes.h>

static long trials, trials_failed, failures, failures_before;
static char place[200];                       /* which fault is being tried */
#define CHECK(condition) do { if (!(condition) && ++failures < 30) { printf("fault.c:%d: %s: %s\n", __LINE__, place, #condition); } } while (0)

/* Ends one trial and begins the next; each fault that is tried counts as one test. */
static void trial(const char *format, ...)
{
    va_list list;
    trials_failed += failures != failures_before;
    failures_before = failures;
    trials++;
    va_start(list, format);
    (void)vsnprintf(place, sizeof place, format, list);
    va_end(list);
}

static void give_up(const dreamdb_error *error)
{
    printf("fault: %s: %s\nfault: 0 passed, 1 failed\n", place, error->message);
    exit(1);
}

/* ---- An allocator that counts and fails ---- */
static size_t live; static long allocations, fail_allocation; static int sizes_wrong, fail_hit;
static void *resize(void *user, void *old, size_t old_size, size_t new_size)
{
    size_t *head = old ? (size_t *)old - 2 : NULL;
    (void)user;
    if ((head ? head[0] : 0) != old_size) { sizes_wrong = 1; }
    if (new_size == 0) {
        if (head) { live -= head[0]; free(head); }
        return NULL;
    }
    if (++allocations == fail_allocation) { fail_hit = 1; return NULL; }
    head = (size_t *)realloc(head, new_size + 2 * sizeof(size_t));
    if (!head) { return NULL; }
    live += new_size; live -= old_size;
    head[0] = new_size;
    return head + 2;
}

/* ---- The work: two appends of every raw kind ---- */
enum { ROWS = 24, DIM = 4, FIELDS = 7 };
static float vectors[2][ROWS * DIM], squares[2][ROWS * 3];
static uint64_t anchors[2][ROWS];
static int64_t numbers[2][ROWS];
static double reals[2][ROWS];
static dreamdb_slice words[2][ROWS], pictures[2][ROWS];
static char payload[3000];
static const char *const names[FIELDS] = { "emb", "l2", "chunked", "packed", "label", "n", "x" };
static uint64_t clock_ns;

static uint64_t now(void *user) { (void)user; return clock_ns += 1000; }
static int not_random(void *user, void *out, size_t size) { (void)user; memset(out, 0x5a, size); return 0; }

static void make_data(void)
{
    static const char *const labels[] = { "cat", "dog", "emu" };
    uint32_t state = 12345;
    size_t i, b;
    for (i = 0; i < sizeof payload; i++) { payload[i] = (char)(i * 7 % 251); }
    for (b = 0; b < 2; b++) {
        for (i = 0; i < ROWS * DIM; i++) { state = state * 1664525u + 1013904223u; vectors[b][i] = (float)(state >> 8) / 8388608.0f - 1.0f; }
        for (i = 0; i < ROWS * 3; i++) { state = state * 1664525u + 1013904223u; squares[b][i] = (float)(state >> 8) / 8388608.0f - 1.0f; }
        for (i = 0; i < ROWS; i++) {
            anchors[b][i] = 100 * b + i * 3;
            numbers[b][i] = (int64_t)(i * i) - 40;
            reals[b][i] = (double)i / 4.0;
            words[b][i].data = labels[i % 3]; words[b][i].size = 3;
            pictures[b][i].data = payload + i; pictures[b][i].size = i == 5 ? 2900 : i * 9;
        }
    }
}

static dreamdb_config config_of(const dreamdb_store *store, int counted, uint32_t threads)
{
    dreamdb_config config;
    memset(&config, 0, sizeof config);
    config.store = store;
    if (counted) { config.allocator.resize = resize; }
    config.threads = threads;
    config.now_ns = now;
    config.random = not_random;
    config.cache_bytes = 1 << 20;
    return config;
}

static dreamdb_status create(const dreamdb_config *config, dreamdb **db, dreamdb_error *error)
{
    static const dreamdb_kind kinds[FIELDS] = { DREAMDB_EMBEDDING, DREAMDB_EMBEDDING, DREAMDB_IMAGE, DREAMDB_AUDIO, DREAMDB_CATEGORICAL, DREAMDB_INT, DREAMDB_FLOAT };
    dreamdb_field fields[FIELDS];
    dreamdb_create_desc desc;
    size_t i;
    memset(fields, 0, sizeof fields);
    memset(&desc, 0, sizeof desc);
    for (i = 0; i < FIELDS; i++) { fields[i].name = names[i]; fields[i].kind = kinds[i]; }
    fields[0].dim = DIM; fields[0].train = vectors[0]; fields[0].train_count = ROWS; fields[0].k = 3; fields[0].iterations = 2; fields[0].rerank = 1;
    fields[1].dim = 3; fields[1].index = DREAMDB_INDEX_LSH_L2;
    fields[2].chunk_size = 1000; fields[3].pack_items = 5;
    desc.fields = fields; desc.field_count = FIELDS;
    return dreamdb_create(config, "main", &desc, db, error);
}

static dreamdb_status append(dreamdb *db, size_t b, dreamdb_error *error)
{
    dreamdb_column columns[FIELDS];
    dreamdb_append_desc desc;
    size_t i;
    memset(columns, 0, sizeof columns);
    memset(&desc, 0, sizeof desc);
    for (i = 0; i < FIELDS; i++) { columns[i].field = names[i]; }
    columns[0].data = vectors[b]; columns[1].data = squares[b]; columns[2].values = pictures[b]; columns[3].values = pictures[b];
    columns[4].values = words[b]; columns[5].data = numbers[b]; columns[6].data = reals[b];
    desc.columns = columns; desc.column_count = FIELDS; desc.count = ROWS; desc.anchors = anchors[b];
    return dreamdb_append(db, &desc, NULL, error);
}

/* ---- Reading: a checksum of everything a reader is told ---- */
static uint64_t mix(uint64_t sum, const void *data, size_t size)
{
    const uint8_t *p = (const uint8_t *)data;
    size_t i;
    for (i = 0; i < size; i++) { sum = (sum ^ p[i]) * UINT64_C(1099511628211); }
    return sum;
}
static uint64_t mix_value(uint64_t sum, const dreamdb_value *v)
{
    sum = mix(sum, &v->present, sizeof v->present);
    if (!v->present) { return sum; }
    sum = mix(sum, &v->integer, 8); sum = mix(sum, &v->real, 8); sum = mix(sum, &v->size, 8);
    return v->data ? mix(sum, v->data, (size_t)v->size) : sum;
}

static dreamdb_status read_scan(dreamdb_snapshot *view, uint64_t *sum, dreamdb_error *error)
{
    dreamdb_scan scan;
    dreamdb_cursor *cursor = NULL;
    dreamdb_row row;
    size_t i;
    dreamdb_status status;
    memset(&scan, 0, sizeof scan);
    scan.fields = names; scan.field_count = FIELDS; scan.load_media = 1;
    status = dreamdb_scan_open(view, &scan, &cursor, error);
    while (status == DREAMDB_OK) {
        status = dreamdb_cursor_next(cursor, &row, error);
        if (status == DREAMDB_OK) {
            *sum = mix(*sum, &row.anchor, 8);
            for (i = 0; i < FIELDS; i++) { *sum = mix_value(*sum, &row.values[i]); }
        }
    }
    if (cursor && status < 0) { CHECK(dreamdb_cursor_next(cursor, &row, NULL) < 0); }     /* a failed cursor stays failed */
    dreamdb_cursor_close(cursor);
    return status == DREAMDB_DONE ? DREAMDB_OK : status;
}

static dreamdb_status read_searches(dreamdb_snapshot *view, uint64_t *sum, dreamdb_error *error)
{
    static const char *const columns[] = { "label", "packed" };
    dreamdb_query query;
    dreamdb_operand operand;
    dreamdb_where where;
    dreamdb_status status = DREAMDB_OK;
    size_t f, i, k;
    memset(&operand, 0, sizeof operand); memset(&where, 0, sizeof where);
    operand.integer = 10;
    where.op = DREAMDB_GT; where.field = "n"; where.operands = &operand; where.operand_count = 1;
    for (f = 0; f < 2 && status == DREAMDB_OK; f++) {
        dreamdb_result *found = NULL;
        memset(&query, 0, sizeof query);
        query.field = names[f]; query.vectors = f ? squares[1] : vectors[1]; query.count = 2; query.top_k = 5; query.exact = 1;
        query.where = f ? NULL : &where;
        query.fields = columns; query.field_count = 2; query.load_media = 1;
        status = dreamdb_search(view, &query, &found, error);
        if (status != DREAMDB_OK) { break; }
        for (i = 0; i < found->count; i++) {
            *sum = mix(*sum, &found->hits[i].anchor, 8);
            *sum = mix(*sum, &found->hits[i].score, 4);
            for (k = 0; k < 2; k++) { *sum = mix_value(*sum, &found->hits[i].values[k]); }
        }
        dreamdb_result_free(found);
    }
    return status;
}

static dreamdb_status read_all(dreamdb *db, uint64_t *sum, dreamdb_error *error)
{
    dreamdb_snapshot *view = NULL;
    uint64_t count = 0;
    dreamdb_status status = dreamdb_snapshot_open(db, NULL, &view, error);
    *sum = UINT64_C(14695981039346656037);
    if (status != DREAMDB_OK) { return status; }
    status = read_searches(view, sum, error);
    if (status == DREAMDB_OK) { status = read_scan(view, sum, error); }
    if (status == DREAMDB_OK) { status = dreamdb_count(view, NULL, NULL, 0, 0, &count, error); }
    *sum = mix(*sum, &count, 8);
    dreamdb_snapshot_close(view);
    return status;
}

/* ---- What must hold ---- */
static uint64_t good_sums[3];                 /* of the empty dataset, after one append, after two */

static int fault_seen; static char fault_path[256];
static int on_fault(void *user, const dreamdb_fault_report *fault)
{
    const char *wanted = (const char *)user;
    if (wanted && strstr(fault->path, wanted)) { fault_seen = 1; }
    (void)snprintf(fault_path, sizeof fault_path, "%s", fault->path);
    return 0;
}

static uint64_t faults_of(dreamdb *db, const char *wanted, dreamdb_status *status)
{
    dreamdb_snapshot *view = NULL;
    dreamdb_verify_report report;
    dreamdb_error error;
    memset(&report, 0, sizeof report);
    fault_seen = 0; fault_path[0] = 0;
    *status = dreamdb_snapshot_open(db, NULL, &view, &error);
    if (*status == DREAMDB_OK) {
        *status = dreamdb_verify(view, UINT64_MAX, on_fault, (void *)(uintptr_t)wanted, &report, &error);
        dreamdb_snapshot_close(view);
    }
    if (*status != DREAMDB_OK && wanted && strstr(error.path, wanted)) { fault_seen = 1; }
    return report.faults;
}

/* Reads the store without faults: how many appends are visible (-1: no dataset), and that all of it is whole. */
static int state_of(const dreamdb_store *store)
{
    dreamdb_config config = config_of(store, 0, 1);
    dreamdb *db = NULL;
    dreamdb_error error;
    dreamdb_status status = dreamdb_open(&config, "main", &db, &error);
    uint64_t sum = 0;
    int i, state = -2;
    if (status == DREAMDB_ERR_NOT_FOUND) { return -1; }
    CHECK(status == DREAMDB_OK);
    if (status != DREAMDB_OK) { return -2; }
    CHECK(read_all(db, &sum, &error) == DREAMDB_OK);
    for (i = 0; i < 3; i++) { if (sum == good_sums[i]) { state = i; } }
    CHECK(state >= 0);
    CHECK(faults_of(db, NULL, &status) == 0 && status == DREAMDB_OK);
    dreamdb_close(db);
    return state;
}

static void check_error(dreamdb_status status, const dreamdb_error *error)
{
    CHECK(status < 0);
    CHECK(error->status == status);
    CHECK(error->message[0] != 0 && strchr(error->message, '\n') == NULL);
}

/* Runs create (step 0), the appends (1, 2), reading (3) on a store; stops at the first error.  Returns how far it came. */
static int run_steps(const dreamdb_config *config, dreamdb_status *status, dreamdb_error *error, uint64_t *sum)
{
    dreamdb *db = NULL;
    int step = 0;
    memset(error, 0, sizeof *error);
    *status = create(config, &db, error);
    if (*status == DREAMDB_OK) { step = 1; *status = append(db, 0, error); }
    if (*status == DREAMDB_OK) { step = 2; *status = append(db, 1, error); }
    if (*status == DREAMDB_OK) { step = 3; *status = read_all(db, sum, error); }
    if (*status == DREAMDB_OK) { step = 4; }
    dreamdb_close(db);
    return step;
}

/* After a fault in step: the old state or the new one; then the rest of the work goes through. */
static void check_after(const dreamdb_store *store, int step)
{
    dreamdb_config config = config_of(store, 0, 1);
    dreamdb_error error;
    dreamdb *db = NULL;
    int state = state_of(store), b;
    CHECK(step >= 3 ? state == 2 : state == step - 1 || state == step);
    if (state < -1) { return; }
    CHECK((state < 0 ? create(&config, &db, &error) : dreamdb_open(&config, "main", &db, &error)) == DREAMDB_OK);
    if (!db) { printf("%s: %s\n", place, error.message); return; }
    for (b = state < 0 ? 0 : state; b < 2; b++) { CHECK(append(db, (size_t)b, &error) == DREAMDB_OK); }
    dreamdb_close(db);
    CHECK(state_of(store) == 2);
}

/* ---- The sweeps ---- */
static void make_good_sums(void)
{
    dreamdb_store store;
    dreamdb_error error;
    dreamdb *db = NULL;
    dreamdb_config config;
    trial("without faults");
    CHECK(dreamdb_store_memory(NULL, &store, &error) == DREAMDB_OK);
    config = config_of(&store, 0, 1);
    CHECK(create(&config, &db, &error) == DREAMDB_OK);
    if (!db) { printf("create: %s\n", error.message); exit(1); }
    CHECK(read_all(db, &good_sums[0], &error) == DREAMDB_OK);
    CHECK(append(db, 0, &error) == DREAMDB_OK);
    CHECK(read_all(db, &good_sums[1], &error) == DREAMDB_OK);
    CHECK(append(db, 1, &error) == DREAMDB_OK);
    CHECK(read_all(db, &good_sums[2], &error) == DREAMDB_OK);
    if (failures) { printf("%s\n", error.message); }
    CHECK(good_sums[0] != good_sums[1] && good_sums[1] != good_sums[2]);
    dreamdb_close(db);
    CHECK(state_of(&store) == 2);
    dreamdb_store_close(&store);
}

static long sweep_allocations(uint32_t threads, long stride)
{
    long n;
    for (n = 1; ; n += stride) {
        dreamdb_store store;
        dreamdb_error error;
        dreamdb_config config;
        dreamdb_status status;
        uint64_t sum = 0;
        int step;
        trial("allocation %ld fails, %u threads", n, (unsigned)threads);
        if (dreamdb_store_memory(NULL, &store, &error) != DREAMDB_OK) { give_up(&error); }
        config = config_of(&store, 1, threads);
        allocations = 0; fail_allocation = n; fail_hit = 0;
        step = run_steps(&config, &status, &error, &sum);
        fail_allocation = 0;
        CHECK(live == 0);
        if (!fail_hit) { CHECK(step == 4 && sum == good_sums[2]); dreamdb_store_close(&store); return n; }
        if (step == 4) { CHECK(sum == good_sums[2]); }                    /* a failure that may be lived with, as of a cache */
        else { check_error(status, &error); CHECK(status == DREAMDB_ERR_MEMORY); check_after(&store, step); }
        dreamdb_store_close(&store);
        if (failures > 200) { return n; }
    }
}

static uint64_t sweep_storage(int after, int forever)
{
    uint64_t n;
    for (n = 1; ; n++) {
        dreamdb_store inner, store;
        dreamdb_fault plan;
        dreamdb_error error;
        dreamdb_config config;
        dreamdb_status status;
        uint64_t sum = 0;
        int step;
        trial("storage operation %" PRIu64 " fails%s%s", n, after ? " after it is done" : "", forever ? ", and all later ones" : "");
        memset(&plan, 0, sizeof plan);
        if (dreamdb_store_memory(NULL, &inner, &error) != DREAMDB_OK || dreamdb_store_fault(&inner, &plan, NULL, &store, &error) != DREAMDB_OK) { give_up(&error); }
        config = config_of(&store, 1, 1);
        plan.fail_at = n; plan.fail_after = after; plan.fail_forever = forever;
        step = run_steps(&config, &status, &error, &sum);
        CHECK(live == 0);
        if (step == 4) { CHECK(sum == good_sums[2]); }
        else { check_error(status, &error); check_after(&inner, step); }
        dreamdb_store_close(&store);
        dreamdb_store_close(&inner);
        if (plan.operations < n || failures > 200) { return n; }
    }
}

/* Reading a good dataset while the Nth GET has a bit flipped, or is cut: an error that names an object, or the right answer. */
static uint64_t sweep_reads(int cut)
{
    dreamdb_store inner;
    dreamdb_error error;
    dreamdb_config config;
    dreamdb_status status;
    uint64_t n, sum = 0, gets = 0;
    long named = 0;
    if (dreamdb_store_memory(NULL, &inner, &error) != DREAMDB_OK) { give_up(&error); }
    config = config_of(&inner, 0, 1);
    CHECK(run_steps(&config, &status, &error, &sum) == 4);
    for (n = 0; n <= gets; n++) {                          /* 0: nothing is wrong, the reads are counted */
        dreamdb_store store;
        dreamdb_fault plan;
        dreamdb *db = NULL;
        trial("GET %" PRIu64 " is %s", n, cut ? "cut" : "flipped");
        memset(&plan, 0, sizeof plan);
        if (dreamdb_store_fault(&inner, &plan, NULL, &store, &error) != DREAMDB_OK) { give_up(&error); }
        config = config_of(&store, 1, 1);
        if (cut) { plan.cut_at = n; } else { plan.flip_at = n; }
        status = dreamdb_open(&config, "main", &db, &error);
        if (status == DREAMDB_OK) { status = read_all(db, &sum, &error); }
        if (status == DREAMDB_OK) { CHECK(sum == good_sums[2]); }
        else {
            check_error(status, &error);
            CHECK(status == DREAMDB_ERR_CORRUPT || (status == DREAMDB_ERR_NOT_FOUND && strncmp(error.path, "manifests/", 10) == 0));   /* a bent Ref */
            CHECK(error.path[0] != 0);
            named++;
        }
        dreamdb_close(db);
        CHECK(live == 0);
        gets = n == 0 ? plan.gets : gets;
        dreamdb_store_close(&store);
    }
    trial("%s GETs", cut ? "cut" : "flipped");
    CHECK(named > 10);
    dreamdb_store_close(&inner);
    return gets;
}

/* ---- Every object of the dataset, one bit at a time ---- */
typedef struct paths { char **all; size_t count, room; } paths;
static int gather(void *user, const char *path, const dreamdb_stat *stat)
{
    paths *p = (paths *)user;
    (void)stat;
    if (p->count == p->room) {
        p->room = p->room * 2 + 64;
        p->all = (char **)realloc(p->all, p->room * sizeof *p->all);
        if (!p->all) { exit(1); }
    }
    p->all[p->count] = (char *)malloc(strlen(path) + 1);
    if (!p->all[p->count]) { exit(1); }
    memcpy(p->all[p->count++], path, strlen(path) + 1);
    return 0;
}

/* Opens, verifies, reads; every right answer is fine, and verify must name the object. */
static void check_damaged(const dreamdb_store *store, const char *path)
{
    dreamdb_config config = config_of(store, 1, 1);
    dreamdb *db = NULL;
    dreamdb_error error;
    dreamdb_status status = dreamdb_open(&config, "main", &db, &error);
    uint64_t sum = 0;
    if (status != DREAMDB_OK) {
        check_error(status, &error);
        CHECK(status == DREAMDB_ERR_CORRUPT || status == DREAMDB_ERR_NOT_FOUND || status == DREAMDB_ERR_FORMAT);
        CHECK(strstr(error.path, strrchr(path, '/') + 1) != NULL || strncmp(path, "refs/", 5) == 0);
    } else {
        (void)faults_of(db, strrchr(path, '/') + 1, &status);
        CHECK(fault_seen);
        status = read_all(db, &sum, &error);
        if (status == DREAMDB_OK) { CHECK(sum == good_sums[2]); }
        else {
            check_error(status, &error);
            CHECK(status == DREAMDB_ERR_CORRUPT || status == DREAMDB_ERR_NOT_FOUND || status == DREAMDB_ERR_FORMAT);
            CHECK(error.path[0] != 0);
        }
    }
    dreamdb_close(db);
    CHECK(live == 0);
}

static size_t sweep_objects(void)
{
    dreamdb_store store;
    dreamdb_error error;
    dreamdb_config config;
    dreamdb_status status;
    dreamdb_condition always;
    paths found;
    uint64_t sum = 0;
    size_t i, way;
    memset(&found, 0, sizeof found); memset(&always, 0, sizeof always);
    if (dreamdb_store_memory(NULL, &store, &error) != DREAMDB_OK) { give_up(&error); }
    config = config_of(&store, 0, 1);
    CHECK(run_steps(&config, &status, &error, &sum) == 4);
    (void)store.list(store.user, "", gather, &found);
    for (i = 0; i < found.count; i++) {
        dreamdb_blob blob;
        char *copy;
        size_t size;
        memset(&blob, 0, sizeof blob);
        if (store.get(store.user, found.all[i], 0, 0, &blob) != DREAMDB_OK) { exit(1); }
        size = (size_t)blob.size;
        copy = (char *)malloc(size + 1);
        if (!copy) { exit(1); }
        memcpy(copy, blob.data, size);
        if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
        for (way = 0; way < 4; way++) {               /* first, middle and last byte; then one byte short */
            size_t at = way == 0 ? 0 : way == 1 ? size / 2 : size - 1;
            if (size == 0 || strncmp(found.all[i], "refs/", 5) == 0) { continue; }
            trial("%s: %s", way == 3 ? "cut" : way == 0 ? "first byte flipped" : way == 1 ? "middle byte flipped" : "last byte flipped", found.all[i]);
            copy[at] = (char)(copy[at] ^ (way == 3 ? 0 : 0x10));
            (void)store.put(store.user, found.all[i], copy, way == 3 ? size - 1 : size, &always);
            check_damaged(&store, found.all[i]);
            copy[at] = (char)(copy[at] ^ (way == 3 ? 0 : 0x10));
        }
        (void)store.put(store.user, found.all[i], copy, size, &always);
        free(copy);
    }
    for (i = 0; i < found.count; i++) { free(found.all[i]); }
    i = found.count;
    free(found.all);
    trial("all put right again");
    CHECK(state_of(&store) == 2);
    dreamdb_store_close(&store);
    return i;
}

/* ---- Maintenance: recommend, a rebuild, a rebuild by shares ---- */

static int count_advice(void *user, const dreamdb_advice *advice) { (void)advice; ++*(int *)user; return 0; }

/* Runs one verb, or the stages of one, on the dataset; each stage may have been done before. */
static dreamdb_status maintain(const dreamdb_config *config, int verb, dreamdb_error *error)
{
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    dreamdb_rebuild_desc rebuild;
    dreamdb_rebuild_job_desc job;
    dreamdb_rebuild_job_report told;
    int advices = 0;
    dreamdb_status status = dreamdb_open(config, "main", &db, error);
    memset(&rebuild, 0, sizeof rebuild); memset(&job, 0, sizeof job); memset(&told, 0, sizeof told);
    rebuild.field = "emb"; rebuild.k = 5; rebuild.memory_bytes = 1 << 20;
    job.job = "night"; job.rebuild = &rebuild; job.of = 2;
    if (status == DREAMDB_OK && verb == 0) {
        status = dreamdb_snapshot_open(db, NULL, &view, error);
        if (status == DREAMDB_OK) { status = dreamdb_recommend(view, NULL, count_advice, &advices, error); dreamdb_snapshot_close(view); }
    } else if (status == DREAMDB_OK && verb == 1) {
        status = dreamdb_rebuild(db, &rebuild, NULL, error);
    } else if (status == DREAMDB_OK) {
        uint32_t turn;
        status = dreamdb_rebuild_finish(db, &job, &told, error);              /* run again after a crash: it may have ended */
        if (status == DREAMDB_ERR_NOT_FOUND) {
            status = dreamdb_rebuild_plan(db, &job, &told, error);
            for (turn = 0; turn < 3 && status == DREAMDB_OK; turn++) { job.shard = turn % 2; status = dreamdb_rebuild_work(db, &job, &told, error); }
            if (status == DREAMDB_OK) { CHECK(told.folded); status = dreamdb_rebuild_finish(db, &job, &told, error); }
        }
    }
    dreamdb_close(db);
    return status;
}

/* way 0: allocations; 1 to 3: storage operations: one fails, one is done and its answer lost, all from one on.  Whatever fails: all rows are there, and run again it goes through. */
static uint64_t sweep_maintenance(int verb, int way, long stride)
{
    uint64_t n, tried = 0;
    for (n = 1; ; n += way == 0 ? 11 : stride > 1 ? 3 : 1) {
        dreamdb_store inner, store;
        dreamdb_fault plan;
        dreamdb_error error;
        dreamdb_config config, clean;
        dreamdb_status status;
        uint64_t sum = 0;
        int over;
        trial("maintenance %d, way %d, fault %" PRIu64, verb, way, n);
        memset(&plan, 0, sizeof plan);
        if (dreamdb_store_memory(NULL, &inner, &error) != DREAMDB_OK || dreamdb_store_fault(&inner, &plan, NULL, &store, &error) != DREAMDB_OK) { give_up(&error); }
        clean = config_of(&inner, 0, 1);
        CHECK(run_steps(&clean, &status, &error, &sum) == 4);
        config = config_of(&store, 1, 1);
        allocations = 0; fail_hit = 0;
        if (way == 0) { fail_allocation = (long)n; } else { plan.fail_at = n; plan.fail_after = way == 2; plan.fail_forever = way == 3; }
        status = maintain(&config, verb, &error);
        fail_allocation = 0;
        over = way == 0 ? !fail_hit : plan.operations < n;
        plan.fail_at = 0; plan.fail_forever = 0;
        CHECK(live == 0);
        if (status != DREAMDB_OK) { check_error(status, &error); CHECK(!over); }
        CHECK(state_of(&inner) == 2);
        CHECK(maintain(&clean, verb, &error) == DREAMDB_OK);
        CHECK(state_of(&inner) == 2);
        dreamdb_store_close(&store);
        dreamdb_store_close(&inner);
        tried++;
        if (over || failures > 200) { return tried; }
    }
}

int main(int argc, char **argv)
{
    long stride = argc > 1 ? atol(argv[1]) : 1, n;
    make_data();
    make_good_sums();
    if (failures == 0) {
        n = sweep_allocations(1, stride > 0 ? stride : 1);
        printf("fault: %ld allocations\n", n);
        n = (long)sweep_storage(0, 0);
        printf("fault: %ld storage operations\n", n);
        (void)sweep_storage(1, 0);
        (void)sweep_storage(0, 1);
        (void)sweep_storage(1, 1);
        n = (long)sweep_reads(0);
        (void)sweep_reads(1);
        printf("fault: %ld reads flipped and cut\n", n);
        printf("fault: %lu objects damaged\n", (unsigned long)sweep_objects());
        for (n = 0; n < 3; n++) {
            int way;
            uint64_t all = 0;
            for (way = 0; way < 4; way++) { all += sweep_maintenance((int)n, way, stride); }
            printf("fault: %s: %" PRIu64 " faults\n", n == 0 ? "recommend" : n == 1 ? "rebuild" : "rebuild by shares", all);
        }
    }
    trial("sizes given to the allocator");
    CHECK(!sizes_wrong);
    trials_failed += failures != failures_before;
    printf("fault: %ld passed, %ld failed\n", trials - trials_failed, trials_failed);
    return failures ? 1 : 0;
}
