/* Room shard, rebuilds.  Beside each job a plain dreamdb_rebuild runs on a store of its own with the same rows, at the time of the job's plan:
   both must end in the same Manifest, whatever the number of shares, the order they run in, or how often. */
#include "embedding.h"

enum { DIM = 6, MOST = 3000 };
static float vectors[MOST][DIM];
static size_t row_count, live_count;
static dreamdb_rebuild_job_report last;

static dreamdb *open_on(const char *ref)
{
    dreamdb *db = NULL;
    dreamdb_config config = config_of(&store);
    CHECK(dreamdb_open(&config, ref, &db, &error) == DREAMDB_OK);
    if (!db) { printf("%s\n", error.message); exit(1); }
    return db;
}

/* count rows, `again` of them under anchors that are there already. */
static void append(dreamdb *db, size_t count, size_t again)
{
    static uint64_t anchors[MOST];
    dreamdb_column column;
    dreamdb_append_desc desc;
    memset(&column, 0, sizeof column);
    memset(&desc, 0, sizeof desc);
    CHECK(count <= MOST);
    for (size_t i = 0; i < count; i++) {
        uint32_t cluster = (uint32_t)(test_rand() % 9);
        anchors[i] = i < again ? i * 3 : row_count++ * 3;
        for (uint32_t d = 0; d < DIM; d++) {
            uint32_t h = (cluster * 2654435761u + d * 40503u) * 2246822519u;
            vectors[i][d] = (float)((int32_t)h >> 8) / 8388608.0f + 0.4f * test_randf();
        }
    }
    column.field = "e"; column.data = vectors;
    desc.columns = &column; desc.column_count = 1; desc.count = count; desc.anchors = anchors; desc.page_early = 1;
    CHECK(dreamdb_append(db, &desc, NULL, &error) == DREAMDB_OK);
    live_count = row_count;
}

static void make(kind what, size_t rows)
{
    static float sample[300][DIM];
    uint64_t gone[40];
    dreamdb_delete_desc erase;
    test_state = 88172645463325252u;
    clock_now = 1000000;
    clock_step = 0;                            /* the job and the rebuild beside it are of one time */
    row_count = 0;
    memset(&erase, 0, sizeof erase);
    for (size_t i = 0; i < 300 * DIM; i++) { sample[i / DIM][i % DIM] = test_randf(); }
    dreamdb *db = create_field(&store, what, DIM, sample[0], what == IMI ? 4 : 30, 3);
    append(db, rows, 0);
    append(db, rows / 2, 25);
    for (size_t i = 0; i < 40; i++) { gone[i] = i * 12; }
    erase.anchors = gone; erase.anchor_count = 40;
    CHECK(dreamdb_delete(db, &erase, NULL, &error) == DREAMDB_OK);
    live_count -= 40;
    dreamdb_close(db);
}

static dreamdb_rebuild_desc rebuild_of(kind what, int way)
{
    dreamdb_rebuild_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.k = what == IMI ? 5 : 23;
    desc.iterations = 3;
    desc.seed = 7;
    desc.allow_lossy = what == LOSSY;
    desc.compressor = what == PQ;
    desc.sample = 150;
    desc.memory_bytes = way == 1 ? 600000 : 0;
    return desc;
}

/* What one machine makes of the same rows. */
static dreamdb_rebuild_report alone(kind what, size_t rows, const dreamdb_rebuild_desc *desc)
{
    dreamdb_rebuild_report report;
    memset(&report, 0, sizeof report);
    open_store();
    make(what, rows);
    dreamdb *db = open_on("main");
    CHECK(dreamdb_rebuild(db, desc, &report, &error) == DREAMDB_OK);
    if (error.message[0]) { printf("%s\n", error.message); }
    dreamdb_close(db);
    close_store();
    return report;
}

/* 0 plan, 1 work, 2 finish; each in a process of its own. */
static dreamdb_status stage(int which, const char *job, const dreamdb_rebuild_desc *rebuild, uint32_t shard, uint32_t of)
{
    dreamdb_rebuild_job_desc desc;
    dreamdb *db = open_on("main");
    memset(&desc, 0, sizeof desc);
    desc.job = job; desc.rebuild = rebuild; desc.shard = shard; desc.of = of;
    dreamdb_status status = which == 0 ? dreamdb_rebuild_plan(db, &desc, &last, &error)
        : which == 1 ? dreamdb_rebuild_work(db, &desc, &last, &error) : dreamdb_rebuild_finish(db, &desc, &last, &error);
    CHECK((status == DREAMDB_OK) == (error.message[0] == 0) && status == error.status);
    dreamdb_close(db);
    return status;
}

static void good(int which, const char *job, const dreamdb_rebuild_desc *rebuild, uint32_t shard, uint32_t of)
{
    dreamdb_status status = stage(which, job, rebuild, shard, of);
    CHECK_EQ_U64(status, DREAMDB_OK);
    if (status < 0) { printf("stage %d, share %u of %u: %s (%s)\n", which, (unsigned)shard, (unsigned)of, error.message, error.path); }
}

/* The tip verifies and has all its rows. */
static void check_rows(void)
{
    dreamdb *db = open_on("main");
    dreamdb_snapshot *view = NULL;
    dreamdb_verify_report report;
    dreamdb_scan scan;
    dreamdb_cursor *cursor = NULL;
    dreamdb_row got;
    size_t seen = 0;
    memset(&scan, 0, sizeof scan);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
    CHECK(dreamdb_verify(view, 0, NULL, NULL, &report, &error) == DREAMDB_OK);
    CHECK_EQ_U64(report.faults, 0);
    CHECK(dreamdb_scan_open(view, &scan, &cursor, &error) == DREAMDB_OK);
    while (cursor && dreamdb_cursor_next(cursor, &got, &error) == DREAMDB_OK) { seen++; }
    CHECK_EQ_U64(seen, live_count);
    dreamdb_cursor_close(cursor);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
}

typedef struct files { char paths[200][160]; size_t count, runs; } files;
static files listed;
static int note_file(void *user, const char *path, const dreamdb_stat *stat)
{
    files *f = (files *)user;
    (void)stat;
    CHECK(f->count < 200 && strlen(path) < 160);
    f->runs += strstr(path, ".run") != NULL;
    if (f->count < 200) { (void)snprintf(f->paths[f->count++], 160, "%s", path); }
    return 0;
}

static size_t job_files(void)
{
    listed.count = listed.runs = 0;
    CHECK(inner.list(inner.user, "_ada_ivf/", note_file, &listed) == DREAMDB_OK);
    return listed.count;
}

static size_t file_of(const char *part)
{
    size_t at = 0;
    (void)job_files();
    while (at < listed.count && !strstr(listed.paths[at], part)) { at++; }
    CHECK(at < listed.count);
    return at;
}

static void put_file(const char *path, const uint8_t *data, size_t size)
{
    CHECK(inner.put(inner.user, path, data, size, NULL) == DREAMDB_OK);
}

static uint8_t *read_file(const char *path, size_t *size)
{
    dreamdb_blob blob;
    CHECK(inner.get(inner.user, path, 0, 0, &blob) == DREAMDB_OK);
    uint8_t *copy = (uint8_t *)malloc((size_t)blob.size + 1);
    if (!copy) { exit(1); }
    memcpy(copy, blob.data, (size_t)blob.size);
    *size = (size_t)blob.size;
    if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
    return copy;
}

/* ---- The cases ---- */

/* Any number of shares, in any order, each as often as one likes, gives the bytes of one machine. */
static void same_bytes(void)
{
    static const uint32_t numbers[] = { 1, 2, 3, 8 };
    for (int what = 0; what < ALL_KINDS; what++) {
        for (int way = 0; way < 2 && test_ok; way++) {
            dreamdb_rebuild_desc desc = rebuild_of((kind)what, way);
            size_t rows = way == 1 ? 2400 : 600;                   /* runs of several chunks each */
            dreamdb_rebuild_report one = alone((kind)what, rows, &desc);
            for (size_t n = 0; n < sizeof numbers / sizeof *numbers && test_ok; n++) {
                uint32_t of = numbers[n];
                open_store();
                make((kind)what, rows);
                good(0, "night-1", &desc, 0, 0);
                CHECK(!last.again && last.rebuild.live == one.live && last.rebuild.sampled == one.sampled);
                for (uint32_t i = 0; i < of; i++) {
                    good(1, "night-1", NULL, n % 2 ? of - 1 - i : i, of);
                    CHECK(!last.again && last.folded == (i + 1 == of));
                    if (i % 3 == 0) { good(1, "night-1", NULL, n % 2 ? of - 1 - i : i, of); CHECK(last.again); }
                }
                CHECK(of == 1 || (stage(2, "night-1", NULL, 0, 0) == DREAMDB_ERR_NOT_FOUND && strstr(error.message, "1 of ")));
                for (uint32_t i = 0; i < of; i++) {
                    good(1, "night-1", NULL, i, of);
                    CHECK(last.folded);
                }
                (void)job_files();
                CHECK(listed.runs > (way == 1 && what != LOSSY ? 4 : 0));
                good(2, "night-1", NULL, 0, 0);
                CHECK(!last.again && !last.rebased && last.parts == of);
                CHECK_BYTES(last.rebuild.manifest, one.manifest, sizeof one.manifest);
                CHECK_BYTES(last.rebuild.index, one.index, sizeof one.index);
                CHECK(last.rebuild.k_before == one.k_before && last.rebuild.k_after == one.k_after && last.rebuild.populated == one.populated);
                CHECK(last.rebuild.records == one.records && last.rebuild.live == one.live && last.rebuild.records_losing == one.records_losing);
                CHECK(last.rebuild.records_placed == one.records_placed && last.rebuild.records_dropped == one.records_dropped);
                CHECK(last.rebuild.buckets_written == one.buckets_written && last.rebuild.cv_after == one.cv_after && one.records_losing > 0);
                if (!test_ok) { printf("%s, way %d, %u shares\n", kind_names[what], way, (unsigned)of); }
                (void)job_files();
                CHECK_EQ_U64(listed.runs, 0);
                good(2, "night-1", NULL, 0, 0);
                CHECK(last.again);
                CHECK_BYTES(last.rebuild.manifest, one.manifest, sizeof one.manifest);
                check_rows();
                close_store();
            }
        }
    }
}

/* What a scheduler may get wrong, and what it is told. */
static void refusals(void)
{
    dreamdb_rebuild_desc desc = rebuild_of(RAW, 0), other = rebuild_of(RAW, 1);
    dreamdb_shard_desc step;
    memset(&step, 0, sizeof step);
    open_store();
    make(RAW, 300);
    CHECK(stage(0, "a/b", &desc, 0, 0) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "is no job id"));
    CHECK(stage(1, "j", NULL, 0, 1) == DREAMDB_ERR_NOT_FOUND && strstr(error.message, "no job `j`"));
    CHECK(stage(2, "j", NULL, 0, 0) == DREAMDB_ERR_NOT_FOUND);
    desc.dry_run = 1;
    good(0, "j", &desc, 0, 0);
    CHECK(last.rebuild.records > 0 && job_files() == 0);
    desc.dry_run = 0;
    good(0, "j", &desc, 0, 0);
    good(0, "j", &desc, 0, 0);
    CHECK(last.again && last.rebuild.live > 0);
    CHECK(stage(0, "j", &other, 0, 0) == DREAMDB_ERR_EXISTS && strstr(error.message, "other options"));
    CHECK(stage(1, "j", NULL, 0, 0) == DREAMDB_ERR_ARGUMENT && stage(1, "j", NULL, 3, 3) == DREAMDB_ERR_ARGUMENT);
    CHECK(stage(1, "j", NULL, 0, 4097) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "4096"));
    dreamdb *db = open_on("main");
    step.job = "j"; step.of = 1;
    CHECK(dreamdb_shard_work(db, &step, NULL, &error) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "rebuild, no step"));
    CHECK(dreamdb_shard_plan(db, &step, NULL, &error) == DREAMDB_ERR_ARGUMENT);
    step.job = "s";
    CHECK(dreamdb_shard_plan(db, &step, NULL, &error) == DREAMDB_OK);
    CHECK(dreamdb_rebuild_plan(db, NULL, NULL, &error) == DREAMDB_ERR_ARGUMENT && dreamdb_branch(db, NULL, "side", &error) == DREAMDB_OK);
    dreamdb_close(db);
    CHECK(stage(1, "s", NULL, 0, 1) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "step, no rebuild"));
    dreamdb_rebuild_job_desc job;
    memset(&job, 0, sizeof job);
    job.job = "j"; job.of = 1;
    db = open_on("side");
    CHECK(dreamdb_rebuild_work(db, &job, NULL, &error) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "planned for ref `main`"));
    dreamdb_close(db);
    good(1, "j", NULL, 1, 3);
    good(1, "j", NULL, 0, 2);                  /* another number: its file helps nobody */
    CHECK(!last.folded && stage(2, "j", NULL, 0, 0) == DREAMDB_ERR_NOT_FOUND);
    good(1, "j", NULL, 1, 2);
    good(1, "j", NULL, 0, 2);
    good(2, "j", NULL, 0, 0);
    CHECK(stage(0, "j", &desc, 0, 0) == DREAMDB_ERR_EXISTS && strstr(error.message, "ended"));
    good(1, "j", NULL, 5, 9);
    CHECK(last.again && last.folded);
    check_rows();
    close_store();
}

/* Rows that come and go between plan and end are kept; two ends make one state; somebody else's training makes the job void. */
static void rebased(void)
{
    for (int way = 0; way < 2; way++) {
        uint8_t tip[DREAMDB_ADDRESS_SIZE];
        dreamdb_rebuild_desc desc = rebuild_of(RABITQ, 0);
        open_store();
        make(RABITQ, 400);
        good(0, "r", &desc, 0, 0);
        good(1, "r", NULL, 0, 2);
        dreamdb *db = open_on("main");
        if (way == 0) {
            size_t live = live_count;
            size_t before = row_count;
            append(db, 60, 0);
            live_count = live + (row_count - before);
        } else {
            dreamdb_train_desc train;
            memset(&train, 0, sizeof train);
            train.field = "e"; train.k = 7;
            CHECK(dreamdb_train(db, &train, &error) == DREAMDB_OK);
        }
        dreamdb_close(db);
        good(1, "r", NULL, 1, 2);
        good(1, "r", NULL, 0, 2);
        if (way == 1) {
            CHECK(stage(2, "r", NULL, 0, 0) == DREAMDB_ERR_DIVERGED && strstr(error.message, "is void"));
        } else {
            good(2, "r", NULL, 0, 0);
            CHECK(last.rebased && !last.again);
            memcpy(tip, last.rebuild.manifest, sizeof tip);
            CHECK(inner.remove(inner.user, "_ada_ivf/r/done") == DREAMDB_OK);  /* it was killed before it said so */
            good(2, "r", NULL, 0, 0);
            CHECK(last.again && !last.rebased);
            CHECK_BYTES(last.rebuild.manifest, tip, sizeof tip);
        }
        check_rows();
        close_store();
    }
}

/* ---- Hostile bytes ---- */

/* Every file of the job is damaged in many places, and cut: told as corrupt, the ref stays. */
static void damaged(void)
{
    static files f;
    dreamdb_rebuild_desc desc = rebuild_of(RABITQ, 0);
    open_store();
    make(RABITQ, 400);
    good(0, "d", &desc, 0, 0);
    good(1, "d", NULL, 0, 2);
    good(1, "d", NULL, 1, 2);
    CHECK(last.folded && job_files() >= 6);
    f = listed;
    for (size_t i = 0; i < f.count; i++) {
        size_t size = 0;
        uint8_t *copy = read_file(f.paths[i], &size);
        if (strstr(f.paths[i], ".folded-")) { free(copy); continue; }
        for (size_t at = 0; at < size + 3; at += 1 + size / 40) {
            if (at < size) { copy[at] ^= 0x20; }
            put_file(f.paths[i], copy, at < size ? size : size - 1 - (at - size) * (size / 4));
            dreamdb_status status = stage(1, "d", NULL, 0, 2);
            CHECK(status == DREAMDB_ERR_CORRUPT && error.path[0]);
            if (at < size) { copy[at] ^= 0x20; }
        }
        put_file(f.paths[i], copy, size);
        free(copy);
    }
    good(1, "d", NULL, 0, 2);
    size_t at_file = file_of(".folded-0"), size = 0;
    char path[160];
    memcpy(path, listed.paths[at_file], sizeof path);
    uint8_t *copy = read_file(path, &size);
    for (size_t at = 0; at < size; at += 1 + size / 40) {
        copy[at] ^= 0x20;
        put_file(path, copy, size);
        CHECK(stage(2, "d", NULL, 0, 0) == DREAMDB_ERR_CORRUPT);
        copy[at] ^= 0x20;
    }
    put_file(path, copy, size);
    free(copy);
    good(2, "d", NULL, 0, 0);
    check_rows();
    close_store();
}

/* Forms that a hash does not catch: one byte is changed and the name made anew.  part: of the file; which: the stage that reads it.  Never a
   crash, and never a state with other records: what a share tells is counted against what the planned state has. */
static void forge(const char *part, int which, size_t least)
{
    dreamdb_rebuild_desc desc = rebuild_of(RAW, 0);
    ddb_ctx *ctx = test_ctx();
    size_t tried = 0, refused = 0, size = 0;
    open_store();
    make(RAW, 300);
    good(0, "f", &desc, 0, 0);
    good(1, "f", NULL, 0, 2);
    good(1, "f", NULL, 1, 2);
    good(1, "f", NULL, 0, 2);
    char path[160], fresh[160];
    memcpy(path, listed.paths[file_of(part)], sizeof path);
    uint8_t *whole = read_file(path, &size), *copy = (uint8_t *)malloc(size);
    if (!copy) { exit(1); }
    CHECK(inner.remove(inner.user, path) == DREAMDB_OK);
    if (which == 1) {
        (void)file_of(".folded-0");
        for (size_t i = 0; i < listed.count; i++) {
            if (strstr(listed.paths[i], ".folded-")) { CHECK(inner.remove(inner.user, listed.paths[i]) == DREAMDB_OK); }
        }
    }
    for (size_t at = 0; at < size && test_ok; at += at < 200 ? 1 : 13) {
        char text[DREAMDB_ADDRESS_TEXT];
        ddb_addr name;
        memcpy(copy, whole, size);
        copy[at] ^= (uint8_t)(1u << at % 8);
        ddb_addr_of(ctx->cpu, ddb_bytes_slice(copy, size), &name);
        ddb_addr_text(&name, text);
        (void)snprintf(fresh, sizeof fresh, "_ada_ivf/f/%s%s", text, strstr(path, part));
        put_file(fresh, copy, size);
        dreamdb_status status = stage(which, "f", NULL, 0, 2);
        tried++;
        bool failed = status < 0 || (which == 1 && !last.folded);
        refused += failed;
        if (status == DREAMDB_OK && which == 1 && last.folded) {
            size_t at_file = file_of(".folded-0");
            CHECK(inner.remove(inner.user, listed.paths[at_file]) == DREAMDB_OK);
        } else if (status == DREAMDB_OK && which == 2) {
            CHECK(inner.remove(inner.user, "_ada_ivf/f/done") == DREAMDB_OK);
            put_file("refs/main", last.base, 33);
        }
        CHECK(inner.remove(inner.user, fresh) == DREAMDB_OK);
    }
    CHECK(tried > 80 && refused > least);
    if (refused <= least) { printf("%s: %d of %d refused\n", part, (int)refused, (int)tried); }
    put_file(path, whole, size);
    good(1, "f", NULL, 0, 2);
    good(1, "f", NULL, 1, 2);
    good(1, "f", NULL, 0, 2);
    good(2, "f", NULL, 0, 0);
    check_rows();
    free(copy);
    free(whole);
    close_store();
}

static void forged_placed(void) { forge(".placed-1-of-2", 1, 100); }
static void forged_folded(void) { forge(".folded-1-of-2", 2, 100); }

/* A plan with one byte changed and its hash made anew: told, or of no harm. */
static void forged_plan(void)
{
    dreamdb_rebuild_desc desc = rebuild_of(RAW, 0);
    ddb_ctx *ctx = test_ctx();
    size_t size = 0, refused = 0;
    open_store();
    make(RAW, 300);
    good(0, "p", &desc, 0, 0);
    uint8_t *whole = read_file("_ada_ivf/p/plan", &size), *copy = (uint8_t *)malloc(size);
    if (!copy) { exit(1); }
    for (size_t at = 33; at < size && test_ok; at += at < 400 ? 1 : 7) {
        ddb_addr name;
        memcpy(copy, whole, size);
        copy[at] ^= (uint8_t)(1u << at % 8);
        ddb_addr_of(ctx->cpu, ddb_bytes_slice(copy + 33, size - 33), &name);
        memcpy(copy, name.bytes, 33);
        put_file("_ada_ivf/p/plan", copy, size);
        dreamdb_status status = stage(1, "p", NULL, 0, 1);
        refused += status < 0;
        CHECK(status == DREAMDB_OK || error.message[0]);
    }
    CHECK(refused > 100);
    if (refused <= 100) { printf("%d refused\n", (int)refused); }
    put_file("_ada_ivf/p/plan", whole, size);
    good(1, "p", NULL, 0, 1);
    good(2, "p", NULL, 0, 0);
    check_rows();
    free(copy);
    free(whole);
    close_store();
}

/* ---- Faults ---- */

/* Every storage operation, and every few allocations, of each stage fails once, is done and its answer lost, or the process dies there: run
   again, the stage ends well, and the job makes the same Manifest. */
static void faults(void)
{
    dreamdb_rebuild_desc desc = rebuild_of(RABITQ, 0);
    dreamdb_rebuild_report one = alone(RABITQ, 200, &desc);
    for (int which = 0; which < 4; which++) {          /* plan, place, fold, finish */
        for (int way = 0; way < 4; way++) {
            long n = 1, tried = 0;
            for (int done = 0; !done && test_ok; n += way == 0 ? 17 : 1, tried++) {
                dreamdb *db = NULL;
                dreamdb_rebuild_job_desc job;
                open_store();
                make(RABITQ, 200);
                if (which > 0) { good(0, "x", &desc, 0, 0); }
                if (which > 1) { good(1, "x", NULL, 0, 2); good(1, "x", NULL, 1, 2); }
                if (which > 2) { good(1, "x", NULL, 0, 2); }
                if (way == 0) { test_fail_alloc_at(n); }
                if (way > 0) { plan.fail_at = plan.operations + (uint64_t)n; plan.fail_after = way == 2; plan.fail_forever = way == 3; }
                dreamdb_config config = test_config(&store);
                config.now_ns = now;
                config.random = draw;
                memset(&job, 0, sizeof job);
                job.job = "x"; job.rebuild = &desc; job.of = 2;
                dreamdb_status status = dreamdb_open(&config, "main", &db, &error);
                if (status == DREAMDB_OK) {
                    status = which == 0 ? dreamdb_rebuild_plan(db, &job, &last, &error)
                        : which < 3 ? dreamdb_rebuild_work(db, &job, &last, &error) : dreamdb_rebuild_finish(db, &job, &last, &error);
                }
                done = way == 0 ? test_fail_at == 0 || test_allocs < n : plan.fail_at > plan.operations;
                test_fail_alloc_at(0);
                plan.fail_at = 0; plan.fail_forever = 0; plan.fail_after = 0;
                CHECK(!done || status == DREAMDB_OK);
                CHECK(status == DREAMDB_OK || (error.message[0] && error.status == status));
                dreamdb_close(db);
                if (which == 0) { good(0, "x", &desc, 0, 0); }
                if (which < 3) { good(1, "x", NULL, 0, 2); good(1, "x", NULL, 1, 2); good(1, "x", NULL, 0, 2); }
                good(2, "x", NULL, 0, 0);
                CHECK_BYTES(last.rebuild.manifest, one.manifest, sizeof one.manifest);
                good(2, "x", NULL, 0, 0);
                (void)job_files();
                CHECK_EQ_U64(listed.runs, 0);
                if (done || tried % 16 == 0) { check_rows(); }
                if (!test_ok) { printf("stage %d, way %d, fault %ld\n", which, way, n); }
                close_store();
            }
            CHECK(tried > 8);
        }
    }
}

/* ---- gc ---- */

static void set_age(const char *only, uint64_t age_ns)
{
    ddb_store_memory *memory = (ddb_store_memory *)inner.user;
    for (ddb_store_item *item = memory->shelf.oldest; item; item = item->newer) {
        if (!only || strncmp((const char *)(item + 1), only, strlen(only)) == 0) { item->modified_ns = ddb_port_now_ns() - age_ns; }
    }
}

static dreamdb_gc_report collect(void)
{
    dreamdb_gc_desc desc;
    dreamdb_gc_report report;
    dreamdb_config config = test_config(&store);
    memset(&desc, 0, sizeof desc);
    memset(&report, 0, sizeof report);
    desc.keep_manifests = 1; desc.keep_since_ns = DREAMDB_GC_NO_AGE; desc.writers_paused = 1;
    config.random = draw;
    dreamdb_status status = dreamdb_gc(&config, &desc, &report, &error);
    CHECK(status == DREAMDB_OK);
    if (status < 0) { printf("%s\n", error.message); }
    return report;
}

/* The strictest gc between all stages takes nothing that the job needs; runs that an end left behind, and all of an expired job, it takes. */
static void collected(void)
{
    for (int way = 0; way < 2; way++) {
        dreamdb_rebuild_desc desc = rebuild_of(RABITQ, 0);
        open_store();
        make(RABITQ, 300);
        set_age(NULL, UINT64_C(7200) * 1000000000);
        good(0, "g", &desc, 0, 0);
        CHECK_EQ_U64(collect().jobs, 1);
        good(1, "g", NULL, 0, 2);
        CHECK_EQ_U64(collect().jobs, 1);
        good(1, "g", NULL, 1, 2);
        CHECK_EQ_U64(collect().jobs, 1);
        good(1, "g", NULL, 0, 2);
        CHECK_EQ_U64(collect().jobs, 1);
        if (way == 0) {
            size_t size = 0;
            char path[160];
            memcpy(path, listed.paths[file_of(".run")], sizeof path);
            uint8_t *copy = read_file(path, &size);
            good(2, "g", NULL, 0, 0);
            put_file(path, copy, size);
            free(copy);
            CHECK(collect().jobs == 0);
            CHECK(job_files() == 6 && listed.runs == 0);           /* plan, done, two files of each share */
            check_rows();
        }
        set_age(NULL, UINT64_C(8) * 86400 * 1000000000);
        (void)collect();
        CHECK(job_files() == 0);
        CHECK(stage(1, "g", NULL, 0, 2) == DREAMDB_ERR_NOT_FOUND);
        check_rows();
        close_store();
    }
}

int main(void)
{
    RUN(same_bytes);
    RUN(refusals);
    RUN(rebased);
    RUN(damaged);
    RUN(forged_placed);
    RUN(forged_folded);
    RUN(forged_plan);
    RUN(collected);
    RUN(faults);
    return test_end("reshard");
}
