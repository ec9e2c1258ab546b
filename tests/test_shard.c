/* Room shard.  Beside each job runs a plain dreamdb_ada_step on a store of its own with the same rows: both must end in the same Manifest,
   whatever the number of shares, the order they run in, or how often.  A store of its own, because a shared one would hide lost puts. */
#include "embedding.h"

enum { DIM = 6, MOST = 3000, CODE = 64 };
static float vectors[MOST][DIM];
static uint8_t deleted[MOST];
static size_t row_count;

/* A process of its own: a handle with nothing in memory. */
static dreamdb *open_on(const dreamdb_store *on, const char *ref)
{
    dreamdb *db = NULL;
    dreamdb_config config = config_of(on);
    CHECK(dreamdb_open(&config, ref, &db, &error) == DREAMDB_OK);
    if (!db) { printf("%s\n", error.message); exit(1); }
    return db;
}

static void append(dreamdb *db, size_t count, uint32_t clusters, uint32_t drift)
{
    static uint64_t anchors[MOST];
    dreamdb_column column;
    dreamdb_append_desc desc;
    memset(&column, 0, sizeof column);
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) {
        uint32_t cluster = (uint32_t)(test_rand() % clusters);
        anchors[i] = (row_count + i) * 3;
        deleted[row_count + i] = 0;
        for (uint32_t d = 0; d < DIM; d++) {
            uint32_t h = (cluster * 2654435761u + d * 40503u + drift * 97u) * 2246822519u;
            vectors[row_count + i][d] = (float)((int32_t)h >> 8) / 8388608.0f + 0.4f * test_randf();
        }
    }
    column.field = "e"; column.data = vectors[row_count];
    desc.columns = &column; desc.column_count = 1; desc.count = count; desc.anchors = anchors; desc.page_early = 1;
    CHECK(dreamdb_append(db, &desc, NULL, &error) == DREAMDB_OK);
    row_count += count;
}

static void delete_some(dreamdb *db, size_t count)
{
    dreamdb_delete_desc desc;
    uint64_t anchors[100];
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < count; i++) {
        size_t row = test_rand() % row_count;
        deleted[row] = 1;
        anchors[i] = row * 3;
    }
    desc.anchors = anchors; desc.anchor_count = count;
    CHECK(dreamdb_delete(db, &desc, NULL, &error) == DREAMDB_OK);
}

/* 12 cells, one of which gets far too many rows; the same on each call. */
static void make(kind what, size_t more)
{
    static float sample[300][DIM];
    dreamdb *db = NULL;
    test_state = 88172645463325252u;
    row_count = 0;
    for (size_t i = 0; i < 300 * DIM; i++) { sample[i / DIM][i % DIM] = test_randf(); }
    db = create_field(&store, what, DIM, sample[0], 30, 3);
    append(db, 300, 12, 0);
    append(db, 120 + more, 2, 2);
    delete_some(db, 20);
    dreamdb_close(db);
}

static dreamdb_ada_step_desc step_of(kind what, int way)
{
    dreamdb_ada_step_desc step;
    memset(&step, 0, sizeof step);
    step.allow_lossy = what == LOSSY;
    step.neighbours = way == 1 ? 3 : 0;
    step.exact = way == 2;
    step.relineage = way == 3;
    step.k_max = way == 4 ? 9 : 0;             /* only merges */
    return step;
}

/* ---- Stages, each in a process of its own ---- */

static dreamdb_shard_report last;

static dreamdb_status stage(int which, const char *job, const dreamdb_ada_step_desc *step, uint32_t shard, uint32_t of)
{
    dreamdb_shard_desc desc;
    dreamdb *db = open_on(&store, "main");
    memset(&desc, 0, sizeof desc);
    desc.job = job; desc.step = step; desc.shard = shard; desc.of = of;
    desc.propose = which == 3;
    dreamdb_status status = which == 0 || which == 3 ? dreamdb_shard_plan(db, &desc, &last, &error)
        : which == 1 ? dreamdb_shard_work(db, &desc, &last, &error) : dreamdb_shard_finish(db, &desc, &last, &error);
    CHECK((status == DREAMDB_OK) == (error.message[0] == 0) && status == error.status);
    dreamdb_close(db);
    return status;
}

static void good(int which, const char *job, const dreamdb_ada_step_desc *step, uint32_t shard, uint32_t of)
{
    dreamdb_status status = stage(which, job, step, shard, of);
    CHECK_EQ_U64(status, DREAMDB_OK);
    if (status < 0) { printf("stage %d, share %u of %u: %s\n", which, (unsigned)shard, (unsigned)of, error.message); }
}

/* The tip verifies, and reads back every row that is not deleted, bit for bit where floats are kept. */
static void check_rows(kind what)
{
    dreamdb *db = open_on(&store, "main");
    dreamdb_snapshot *view = NULL;
    dreamdb_verify_report report;
    dreamdb_scan scan;
    dreamdb_cursor *cursor = NULL;
    dreamdb_row got;
    size_t live = 0, seen = 0;
    for (size_t i = 0; i < row_count; i++) { live += !deleted[i]; }
    memset(&scan, 0, sizeof scan);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, &error) == DREAMDB_OK);
    CHECK(dreamdb_verify(view, 0, NULL, NULL, &report, &error) == DREAMDB_OK);
    CHECK_EQ_U64(report.faults, 0);
    CHECK(dreamdb_scan_open(view, &scan, &cursor, &error) == DREAMDB_OK);
    while (cursor && dreamdb_cursor_next(cursor, &got, &error) == DREAMDB_OK) {
        size_t row = (size_t)(got.anchor / 3);
        CHECK(row < row_count && !deleted[row] && got.values[0].data);
        if (row < row_count && got.values[0].data && what <= RAW_SIDE) { CHECK_BYTES(got.values[0].data, vectors[row], sizeof vectors[row]); }
        seen++;
    }
    CHECK_EQ_U64(seen, live);
    dreamdb_cursor_close(cursor);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
}

/* What one machine makes of the same rows: the Manifest, and the whole report. */
static dreamdb_ada_step_report alone(kind what, const dreamdb_ada_step_desc *step)
{
    dreamdb_ada_step_report report;
    open_store();
    make(what, 0);
    dreamdb *db = open_on(&store, "main");
    memset(&report, 0, sizeof report);
    CHECK(dreamdb_ada_step(db, step, &report, &error) == DREAMDB_OK);
    dreamdb_close(db);
    close_store();
    return report;
}

static void same_report(const dreamdb_ada_step_report *a, const dreamdb_ada_step_report *b)
{
    CHECK_BYTES(a->manifest, b->manifest, sizeof a->manifest);
    CHECK_BYTES(a->index, b->index, sizeof a->index);
    CHECK(a->outcome == b->outcome && a->k_before == b->k_before && a->k_after == b->k_after && a->k_cap == b->k_cap);
    CHECK(a->splits == b->splits && a->merges == b->merges && a->created == b->created && a->renamed == b->renamed);
    CHECK(a->cells_written == b->cells_written && a->buckets_written == b->buckets_written && a->generations == b->generations);
    CHECK(a->records == b->records && a->records_moved == b->records_moved && a->records_dropped == b->records_dropped);
    CHECK(a->marked == b->marked && a->relineaged == b->relineaged && a->centred == b->centred && a->cv_before == b->cv_before && a->cv_after == b->cv_after);
}

/* Opens a job, lets so many shares propose (some twice), and makes the plan of that; a job without a hot cell is planned at once. */
static void propose(const char *job, const dreamdb_ada_step_desc *step, uint32_t of)
{
    good(3, job, step, 0, 0);
    if (!last.opened) { return; }
    CHECK(last.cells > 0 && last.cells_done == 0);
    CHECK(stage(2, job, NULL, 0, 0) == DREAMDB_ERR_NOT_FOUND && strstr(error.message, "waits for proposals"));
    for (uint32_t i = 0; i < of; i++) {        /* shares beyond the number of hot cells have nothing to propose */
        if (i == 0) { good(3, job, step, 0, 0); CHECK(last.opened); }
        good(1, job, NULL, i, of);
        CHECK(last.opened && !last.again);
        if (i % 2 == 0) { good(1, job, NULL, i, of); CHECK(last.opened && last.again); }
    }
    good(3, job, step, 0, 0);
}

/* ---- The cases ---- */

/* Any number of shares, in any order, each once or twice, gives the bytes of one machine. */
static void same_bytes(void)
{
    static const uint32_t numbers[] = { 1, 2, 3, 8, 40 };
    for (int what = 0; what < KINDS; what++) {
        for (int way = 0; way < 5; way++) {
            dreamdb_ada_step_desc step = step_of((kind)what, way);
            dreamdb_ada_step_report one = alone((kind)what, &step);
            CHECK(one.outcome == DREAMDB_ADA_MADE && (way == 4 ? one.merges > 0 : one.splits > 0));
            for (size_t n = 0; n < sizeof numbers / sizeof *numbers && test_ok; n++) {
                uint32_t of = numbers[n];
                open_store();
                make((kind)what, 0);
                if (n % 2 == 0) {
                    good(0, "night-1", &step, 0, 0);
                } else {
                    propose("night-1", &step, of);
                }
                CHECK(!last.again && !last.opened && last.cells > 0);
                for (uint32_t i = 0; i < of; i++) {
                    good(1, "night-1", NULL, n % 2 ? of - 1 - i : i, of);
                    CHECK(!last.again);
                    if (i % 3 == 0) {
                        good(1, "night-1", NULL, n % 2 ? of - 1 - i : i, of);
                        CHECK(last.again);
                    }
                }
                good(2, "night-1", NULL, 0, 0);
                CHECK(!last.again && !last.rebased && last.parts == of && last.cells_done == last.cells);
                same_report(&last.step, &one);
                if (!test_ok) { printf("%s, way %d, %u shares\n", kind_names[what], way, (unsigned)of); }
                good(2, "night-1", NULL, 0, 0);
                CHECK(last.again);
                CHECK_BYTES(last.step.manifest, one.manifest, sizeof one.manifest);
                check_rows((kind)what);
                close_store();
            }
        }
    }
}

/* Shares of different numbers, where one of them never came: whoever tells of a cell tells the same. */
static void mixed_numbers(void)
{
    dreamdb_ada_step_desc step = step_of(RAW, 0);
    dreamdb_ada_step_report one = alone(RAW, &step);
    open_store();
    make(RAW, 0);
    good(0, "m", &step, 0, 0);
    good(1, "m", NULL, 0, 3);
    good(1, "m", NULL, 2, 3);
    CHECK(stage(2, "m", NULL, 0, 0) == DREAMDB_ERR_NOT_FOUND && strstr(error.message, "missing shards: 1 of 3"));
    CHECK(last.cells_done > 0 && last.cells_done < last.cells);
    good(1, "m", NULL, 1, 2);
    good(1, "m", NULL, 0, 2);
    good(2, "m", NULL, 0, 0);
    same_report(&last.step, &one);
    check_rows(RAW);
    close_store();
}

/* What a scheduler may get wrong, and what it is told. */
static void refusals(void)
{
    dreamdb_ada_step_desc step = step_of(RAW, 0), other = step_of(RAW, 2);
    static const char *const names[] = { "", ".x", "x.", "a..b", "a/b", "a b", "../x",
                                         "0123456789012345678901234567890123456789012345678901234567890123X" };
    open_store();
    make(RAW, 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK(stage(0, names[i], &step, 0, 0) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "is no job id"));
    }
    CHECK(stage(1, "j", NULL, 0, 1) == DREAMDB_ERR_NOT_FOUND && strstr(error.message, "no job `j`"));
    CHECK(stage(2, "j", NULL, 0, 0) == DREAMDB_ERR_NOT_FOUND && strstr(error.message, "no job `j`"));
    step.dry_run = 1;
    good(0, "j", &step, 0, 0);
    CHECK(last.step.splits > 0 && stage(1, "j", NULL, 0, 1) == DREAMDB_ERR_NOT_FOUND);
    step.dry_run = 0;
    good(0, "j", &step, 0, 0);
    good(0, "j", &step, 0, 0);
    CHECK(last.again && last.step.splits > 0);
    CHECK(stage(0, "j", &other, 0, 0) == DREAMDB_ERR_EXISTS && strstr(error.message, "other options"));
    CHECK(stage(1, "j", NULL, 0, 0) == DREAMDB_ERR_ARGUMENT && stage(1, "j", NULL, 3, 3) == DREAMDB_ERR_ARGUMENT);
    CHECK(stage(1, "j", NULL, 0, 4097) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "4096"));
    CHECK(stage(2, "j", NULL, 0, 0) == DREAMDB_ERR_NOT_FOUND && strstr(error.message, "missing shards: all"));
    good(1, "j", NULL, 0, 1);
    good(2, "j", NULL, 0, 0);
    CHECK(stage(0, "j", &step, 0, 0) == DREAMDB_ERR_EXISTS && strstr(error.message, "ended"));
    good(1, "j", NULL, 5, 9);
    CHECK(last.again);
    dreamdb *db = open_on(&store, "main"), *side = NULL;
    dreamdb_shard_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.job = "k";
    CHECK(dreamdb_shard_plan(NULL, &desc, NULL, &error) == DREAMDB_ERR_ARGUMENT && dreamdb_shard_work(db, NULL, NULL, &error) == DREAMDB_ERR_ARGUMENT);
    CHECK(dreamdb_shard_plan(db, &desc, NULL, &error) == DREAMDB_OK && dreamdb_branch(db, NULL, "side", &error) == DREAMDB_OK);
    side = open_on(&store, "side");
    desc.of = 1;
    CHECK(dreamdb_shard_work(side, &desc, NULL, &error) == DREAMDB_ERR_ARGUMENT && strstr(error.message, "planned for ref `main`"));
    CHECK(dreamdb_shard_plan(side, &desc, NULL, &error) == DREAMDB_ERR_EXISTS);
    dreamdb_close(side);
    dreamdb_close(db);
    close_store();
}

/* Nothing to do is a job too, so that a scheduler needs no special case. */
static void nothing(void)
{
    dreamdb_ada_step_desc step = step_of(RAW, 0);
    uint8_t before[DREAMDB_ADDRESS_SIZE];
    open_store();
    make(RAW, 0);
    for (int i = 0; i < 20 && last.step.outcome != DREAMDB_ADA_NOTHING + 100; i++) {
        dreamdb_ada_step_report report;
        dreamdb *db = open_on(&store, "main");
        CHECK(dreamdb_ada_step(db, &step, &report, &error) == DREAMDB_OK);
        dreamdb_close(db);
        memcpy(before, report.manifest, sizeof before);
        if (report.outcome == DREAMDB_ADA_NOTHING) { break; }
        CHECK(i < 19);
    }
    good(0, "n", &step, 0, 0);
    CHECK_EQ_U64(last.cells, 0);
    good(1, "n", NULL, 0, 2);
    good(2, "n", NULL, 0, 0);                  /* nobody waits for shares that have nothing to do */
    CHECK(last.step.outcome == DREAMDB_ADA_NOTHING);
    CHECK_BYTES(last.step.manifest, before, sizeof before);
    good(2, "n", NULL, 0, 0);
    CHECK(last.again && last.step.outcome == DREAMDB_ADA_NOTHING);
    close_store();
}

/* Rows that land, and rows that are deleted, between plan and end are kept; two ends make one state. */
static void rebased(void)
{
    for (int what = 0; what < KINDS; what++) {
        dreamdb_ada_step_desc step = step_of((kind)what, 0);
        uint8_t tip[DREAMDB_ADDRESS_SIZE];
        if (what == LOSSY) { continue; }       /* a merge does not place codes alone */
        open_store();
        make((kind)what, 0);
        good(0, "r", &step, 0, 0);
        good(1, "r", NULL, 0, 2);
        dreamdb *db = open_on(&store, "main");
        append(db, 60, 2, 2);
        delete_some(db, 7);
        append(db, 10, 12, 0);
        dreamdb_close(db);
        good(1, "r", NULL, 1, 2);
        good(2, "r", NULL, 0, 0);
        CHECK(last.rebased && !last.again && last.step.outcome == DREAMDB_ADA_MADE);
        memcpy(tip, last.step.manifest, sizeof tip);
        check_rows((kind)what);
        CHECK(inner.remove(inner.user, "_ada_ivf/r/done") == DREAMDB_OK);      /* it was killed before it said so */
        good(2, "r", NULL, 0, 0);
        CHECK(last.again && !last.rebased);
        CHECK_BYTES(last.step.manifest, tip, sizeof tip);
        CHECK(inner.remove(inner.user, "_ada_ivf/r/done") == DREAMDB_OK);
        db = open_on(&store, "main");
        append(db, 5, 12, 0);
        dreamdb_close(db);
        good(2, "r", NULL, 0, 0);              /* the tip has moved on; the job is below it */
        CHECK(last.again && !last.rebased);
        check_rows((kind)what);
        close_store();
    }
}

/* A step, or a training, of somebody else: the job is void, and nothing is lost. */
static void void_jobs(void)
{
    for (int way = 0; way < 2; way++) {
        dreamdb_ada_step_desc step = step_of(RAW, 1);
        open_store();
        make(RAW, 0);
        good(0, "v", &step, 0, 0);
        good(1, "v", NULL, 0, 1);
        dreamdb *db = open_on(&store, "main");
        if (way == 0) {
            dreamdb_ada_step_report report;
            step.exact = 1;
            CHECK(dreamdb_ada_step(db, &step, &report, &error) == DREAMDB_OK && report.outcome == DREAMDB_ADA_MADE);
            append(db, 5, 2, 2);
        } else {
            dreamdb_train_desc train;
            memset(&train, 0, sizeof train);
            train.field = "e"; train.k = 7;
            CHECK(dreamdb_train(db, &train, &error) == DREAMDB_OK);
        }
        dreamdb_close(db);
        dreamdb_status status = stage(2, "v", NULL, 0, 0);
        CHECK(status == DREAMDB_ERR_DIVERGED && strstr(error.message, "is void"));
        check_rows(RAW);
        close_store();
    }
}

/* ---- Hostile bytes ---- */

typedef struct files { char paths[64][160]; size_t count; } files;
static int note_file(void *user, const char *path, const dreamdb_stat *stat)
{
    files *f = (files *)user;
    (void)stat;
    CHECK(f->count < 64 && strlen(path) < 160);
    if (f->count < 64) { (void)snprintf(f->paths[f->count++], 160, "%s", path); }
    return 0;
}

static void put_file(const char *path, const uint8_t *data, size_t size)
{
    CHECK(inner.put(inner.user, path, data, size, NULL) == DREAMDB_OK);
}

/* Every byte of plan, parts and moved records is flipped, and the files are cut: told as corrupt by name, the ref stays. */
static void damaged(void)
{
    static files f;
    dreamdb_ada_step_desc step = step_of(RABITQ, 0);
    open_store();
    make(RABITQ, 0);
    good(0, "d", &step, 0, 0);
    good(1, "d", NULL, 0, 2);
    good(1, "d", NULL, 1, 2);
    f.count = 0;
    CHECK(inner.list(inner.user, "_ada_ivf/d/", note_file, &f) == DREAMDB_OK && f.count >= 5);
    for (size_t i = 0; i < f.count; i++) {
        dreamdb_blob blob;
        CHECK(inner.get(inner.user, f.paths[i], 0, 0, &blob) == DREAMDB_OK);
        size_t size = (size_t)blob.size;
        uint8_t *copy = (uint8_t *)malloc(size);
        if (!copy) { exit(1); }
        memcpy(copy, blob.data, size);
        if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
        for (size_t at = 0; at < size + 3; at += 1 + size / 40) {
            if (at < size) { copy[at] ^= 0x20; }
            put_file(f.paths[i], copy, at < size ? size : size - 1 - (at - size) * (size / 4));
            CHECK(stage(2, "d", NULL, 0, 0) == DREAMDB_ERR_CORRUPT && error.path[0]);
            if (at < size) { copy[at] ^= 0x20; }
        }
        put_file(f.paths[i], copy, size);
        free(copy);
    }
    put_file("_ada_ivf/d/zzz.part-0-of-1", (const uint8_t *)"x", 1);           /* no name of a part */
    good(2, "d", NULL, 0, 0);
    check_rows(RABITQ);
    close_store();
}

/* Forms that a hash does not catch: the bytes are decoded with one of them changed and the hash made anew. */
static void forged_plan(void)
{
    dreamdb_ada_step_desc step = step_of(RAW, 0);
    dreamdb_blob blob;
    ddb_ctx *ctx = test_ctx();
    size_t refused = 0, tried = 0;
    open_store();
    make(RAW, 0);
    good(0, "f", &step, 0, 0);
    CHECK(inner.get(inner.user, "_ada_ivf/f/plan", 0, 0, &blob) == DREAMDB_OK);
    size_t size = (size_t)blob.size;
    uint8_t *copy = (uint8_t *)malloc(size + 8);
    if (!copy) { exit(1); }
    for (size_t at = 33; at < size; at++) {
        static const uint8_t values[] = { 0, 1, 0x7f, 0xff };
        for (size_t v = 0; v < 4; v++) {
            ddb_arena arena = { NULL, 0 };
            ddb_shard_plan out;
            memcpy(copy, blob.data, size);
            if (copy[at] == values[v]) { continue; }
            copy[at] = values[v];
            ddb_addr name;
            ddb_addr_of(ctx->cpu, ddb_bytes_slice(copy + 33, size - 33), &name);
            memcpy(copy, name.bytes, 33);
            dreamdb_status status = ddb_shard_decode(ctx, &arena, ddb_bytes_slice(copy, size), "plan", &out);
            CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_CORRUPT || status == DREAMDB_ERR_FORMAT);
            refused += status < 0;
            tried++;
            ddb_mem_arena_free(ctx, &arena);
            if (at % 16 == 3 && v == 1) {      /* whatever it says, stages survive it, and the ref stays or verifies */
                put_file("_ada_ivf/f/plan", copy, size);
                (void)stage(1, "f", NULL, 0, 1);
                (void)stage(2, "f", NULL, 0, 0);
                (void)inner.remove(inner.user, "_ada_ivf/f/done");
            }
        }
    }
    CHECK(tried > 500 && refused * 3 > tried);
    for (size_t cut = 0; cut < size; cut++) {
        ddb_arena arena = { NULL, 0 };
        ddb_shard_plan out;
        ddb_addr name;
        memcpy(copy, blob.data, size);
        ddb_addr_of(ctx->cpu, ddb_bytes_slice(copy + 33, cut > 33 ? cut - 33 : 0), &name);
        memcpy(copy, name.bytes, 33);
        CHECK(ddb_shard_decode(ctx, &arena, ddb_bytes_slice(copy, cut), "plan", &out) == DREAMDB_ERR_CORRUPT);
        ddb_mem_arena_free(ctx, &arena);
    }
    free(copy);
    if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
    close_store();
}

/* A part that lies, under its right name: cells twice or missing, rows dropped, moved records counted wrong. */
static void forged_part(void)
{
    static files f;
    dreamdb_ada_step_desc step = step_of(RAW, 0);
    dreamdb_ada_step_report one = alone(RAW, &step);
    ddb_ctx *ctx = test_ctx();
    size_t refused = 0, tried = 0, landed = 0;
    open_store();
    make(RAW, 0);
    good(0, "p", &step, 0, 0);
    good(1, "p", NULL, 0, 1);
    f.count = 0;
    CHECK(inner.list(inner.user, "_ada_ivf/p/", note_file, &f) == DREAMDB_OK);
    size_t part = f.count;
    for (size_t i = 0; i < f.count; i++) { part = strstr(f.paths[i], ".part-0-of-1") ? i : part; }
    CHECK(part < f.count);
    dreamdb_blob blob;
    CHECK(inner.get(inner.user, f.paths[part], 0, 0, &blob) == DREAMDB_OK);
    size_t size = (size_t)blob.size;
    uint8_t *copy = (uint8_t *)malloc(size);
    if (!copy) { exit(1); }
    CHECK(inner.remove(inner.user, f.paths[part]) == DREAMDB_OK);
    for (size_t at = 8 + 33; at < size && test_ok; at += at < 700 ? 1 : 13) {
        char path[160], text[DREAMDB_ADDRESS_TEXT];
        ddb_addr name, tip;
        memcpy(copy, blob.data, size);
        copy[at] ^= (uint8_t)(1u << at % 8);
        ddb_addr_of(ctx->cpu, ddb_bytes_slice(copy, size), &name);
        ddb_addr_text(&name, text);
        (void)snprintf(path, sizeof path, "_ada_ivf/p/%s.part-0-of-1", text);
        put_file(path, copy, size);
        dreamdb_status status = stage(2, "p", NULL, 0, 0);
        tried++;
        refused += status < 0;
        if (status == DREAMDB_OK) {            /* counters, addresses and intervals of rows cannot be seen through here */
            dreamdb_blob ref;
            landed++;
            CHECK(inner.remove(inner.user, "_ada_ivf/p/done") == DREAMDB_OK);
            CHECK(inner.get(inner.user, "refs/main", 0, 0, &ref) == DREAMDB_OK);
            memcpy(tip.bytes, ref.data, 33);
            if (ref.release) { ref.release(ref.release_user, ref.data, ref.size); }
            put_file("refs/main", last.base, 33);
        }
        CHECK(inner.remove(inner.user, path) == DREAMDB_OK);
    }
    CHECK(tried > 300 && refused * 3 > tried && landed > 0);     /* half of a row are addresses */
    put_file(f.paths[part], (const uint8_t *)blob.data, size);
    good(2, "p", NULL, 0, 0);
    CHECK_BYTES(last.step.manifest, one.manifest, sizeof one.manifest);
    free(copy);
    if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
    close_store();
}

/* Proposals that lie or are cut: told, or of no harm. */
static void forged_proposals(void)
{
    static files f;
    dreamdb_ada_step_desc step = step_of(RAW, 0);
    dreamdb_ada_step_report one = alone(RAW, &step);
    ddb_ctx *ctx = test_ctx();
    size_t refused = 0, tried = 0;
    open_store();
    make(RAW, 0);
    good(3, "p", &step, 0, 0);
    good(1, "p", NULL, 0, 1);
    f.count = 0;
    CHECK(inner.list(inner.user, "_ada_ivf/p/", note_file, &f) == DREAMDB_OK && f.count == 2);
    size_t at_file = strstr(f.paths[0], ".proposal-") ? 0 : 1;
    dreamdb_blob blob;
    CHECK(inner.get(inner.user, f.paths[at_file], 0, 0, &blob) == DREAMDB_OK);
    size_t size = (size_t)blob.size;
    uint8_t *copy = (uint8_t *)malloc(size);
    if (!copy) { exit(1); }
    CHECK(inner.remove(inner.user, f.paths[at_file]) == DREAMDB_OK);
    for (size_t at = 0; at < size + 3 && test_ok; at += at < 80 ? 1 : 7) {
        char path[160], text[DREAMDB_ADDRESS_TEXT];
        ddb_addr name;
        size_t less = at < size ? size : size - 1 - (at - size) * (size / 4);
        memcpy(copy, blob.data, size);
        if (at < size) { copy[at] ^= (uint8_t)(0x80u >> at % 8); }
        ddb_addr_of(ctx->cpu, ddb_bytes_slice(copy, less), &name);
        ddb_addr_text(&name, text);
        (void)snprintf(path, sizeof path, "_ada_ivf/p/%s.proposal-0-of-1", text);
        put_file(path, copy, less);
        dreamdb_status status = stage(3, "p", &step, 0, 0);
        tried++;
        refused += status < 0;
        CHECK(at < size || status == DREAMDB_ERR_CORRUPT);
        CHECK(inner.remove(inner.user, path) == DREAMDB_OK);
        if (status == DREAMDB_OK) { CHECK(inner.remove(inner.user, "_ada_ivf/p/plan") == DREAMDB_OK); }
    }
    CHECK(tried > 80 && refused > 40);
    put_file(f.paths[at_file], (const uint8_t *)blob.data, size);
    good(3, "p", &step, 0, 0);
    good(1, "p", NULL, 0, 1);
    good(2, "p", NULL, 0, 0);
    CHECK_BYTES(last.step.manifest, one.manifest, sizeof one.manifest);
    check_rows(RAW);
    free(copy);
    if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
    close_store();
}

/* What a job was opened with, and lies: other numbers of cells above all.  Stages tell, or it does no harm. */
static void forged_open(void)
{
    dreamdb_ada_step_desc step = step_of(RAW, 0);
    dreamdb_blob blob;
    ddb_ctx *ctx = test_ctx();
    open_store();
    make(RAW, 0);
    good(3, "o", &step, 0, 0);
    good(1, "o", NULL, 0, 1);
    CHECK(inner.get(inner.user, "_ada_ivf/o/open", 0, 0, &blob) == DREAMDB_OK);
    size_t size = (size_t)blob.size, k_at = 33 + 8 + 3 * 33 + 13 * 8 + 4;
    uint8_t *copy = (uint8_t *)malloc(size);
    if (!copy) { exit(1); }
    CHECK_EQ_U64(ddb_bytes_be32((const uint8_t *)blob.data + k_at), 30);
    for (size_t at = k_at; at < k_at + 8; at++) {
        ddb_addr name;
        memcpy(copy, blob.data, size);
        copy[at] = at % 4 == 0 ? 0 : (uint8_t)(copy[at] + 8);           /* a few cells more, and many */
        ddb_addr_of(ctx->cpu, ddb_bytes_slice(copy + 33, size - 33), &name);
        memcpy(copy, name.bytes, 33);
        put_file("_ada_ivf/o/open", copy, size);
        bool same = memcmp(copy, blob.data, size) == 0;
        dreamdb_status status = stage(1, "o", NULL, 1, 2);
        CHECK(status == DREAMDB_OK ? same : status == DREAMDB_ERR_CORRUPT);
        status = stage(3, "o", &step, 0, 0);
        CHECK(status == DREAMDB_OK ? same : status == DREAMDB_ERR_CORRUPT);
        (void)inner.remove(inner.user, "_ada_ivf/o/plan");
    }
    free(copy);
    if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
    close_store();
}

/* ---- Faults ---- */

/* Every allocation and every storage operation of each stage fails once (or is done and its answer lost, or the process dies there): run
   again, the stage ends well, and the job makes the same Manifest. */
static void faults(void)
{
    dreamdb_ada_step_desc step = step_of(RABITQ, 1);
    dreamdb_ada_step_report one = alone(RABITQ, &step);
    for (int which = 0; which < 6; which++) {         /* plan, work, finish; open, propose, the plan of proposals */
        for (int way = 0; way < 4; way++) {
            long n = 1, tried = 0;
            for (int done = 0; !done && test_ok; n += way == 0 ? 11 : 1, tried++) {
                open_store();
                make(RABITQ, 0);
                if (which == 1 || which == 2) { good(0, "x", &step, 0, 0); }
                if (which == 4 || which == 5) { good(3, "x", &step, 0, 0); }
                if (which == 2 || which == 5) { good(1, "x", NULL, 0, 2); good(1, "x", NULL, 1, 2); }
                if (way == 0) { test_fail_alloc_at(n); }
                if (way > 0) { plan.fail_at = plan.operations + (uint64_t)n; plan.fail_after = way == 2; plan.fail_forever = way == 3; }
                dreamdb *db = NULL;
                dreamdb_shard_desc desc;
                dreamdb_config config = config_of(&store);
                memset(&desc, 0, sizeof desc);
                desc.job = "x"; desc.step = &step; desc.shard = 1; desc.of = 2; desc.propose = which == 3 || which == 5;
                dreamdb_status status = dreamdb_open(&config, "main", &db, &error);
                if (status == DREAMDB_OK) {
                    status = which == 0 || desc.propose ? dreamdb_shard_plan(db, &desc, &last, &error)
                        : which == 1 || which == 4 ? dreamdb_shard_work(db, &desc, &last, &error) : dreamdb_shard_finish(db, &desc, &last, &error);
                }
                done = way == 0 ? test_fail_at == 0 || test_allocs < n : plan.fail_at > plan.operations;
                test_fail_alloc_at(0);
                plan.fail_at = 0; plan.fail_forever = 0; plan.fail_after = 0;
                CHECK(!done || status == DREAMDB_OK);
                CHECK(status == DREAMDB_OK || (error.message[0] && error.status == status));
                dreamdb_close(db);
                if (which == 0) { good(0, "x", &step, 0, 0); }
                if (which == 3) { good(3, "x", &step, 0, 0); }
                if (which == 3 || which == 4) { good(1, "x", NULL, 1, 2); good(1, "x", NULL, 0, 2); }
                if (which >= 3) { good(3, "x", &step, 0, 0); }
                if (which != 2) { good(1, "x", NULL, 1, 2); good(1, "x", NULL, 0, 2); }
                good(2, "x", NULL, 0, 0);
                CHECK_BYTES(last.step.manifest, one.manifest, sizeof one.manifest);
                if (done || tried % 16 == 0) { check_rows(RABITQ); }
                if (!test_ok) { printf("stage %d, way %d, fault %ld\n", which, way, n); }
                close_store();
            }
            CHECK(tried > (which == 2 ? 8 : 4));
        }
    }
}

/* ---- gc ---- */

/* Sets the age of every file that is there now; only: NULL, or the start of its path. */
static void set_age(const char *only, uint64_t age_ns)
{
    ddb_store_memory *memory = (ddb_store_memory *)inner.user;
    for (ddb_store_item *item = memory->shelf.oldest; item; item = item->newer) {
        if (!only || strncmp((const char *)(item + 1), only, strlen(only)) == 0) { item->modified_ns = ddb_port_now_ns() - age_ns; }
    }
}

static dreamdb_gc_report collect(int dry)
{
    dreamdb_gc_desc desc;
    dreamdb_gc_report report;
    dreamdb_config config = test_config(&store);
    memset(&desc, 0, sizeof desc);
    memset(&report, 0, sizeof report);
    desc.keep_manifests = 1; desc.keep_since_ns = DREAMDB_GC_NO_AGE; desc.writers_paused = 1; desc.dry_run = dry;
    config.random = draw;
    dreamdb_status status = dreamdb_gc(&config, &desc, &report, &error);
    CHECK(status == DREAMDB_OK);
    if (status < 0) { printf("%s\n", error.message); }
    return report;
}

static size_t job_files(void)
{
    static files f;
    f.count = 0;
    CHECK(inner.list(inner.user, "_ada_ivf/", note_file, &f) == DREAMDB_OK);
    return f.count;
}

/* The strictest gc between all stages, with the planned state out of every window, takes nothing that the job needs; of an expired one it
   takes all. */
static void collected(void)
{
    dreamdb_ada_step_desc step = step_of(RABITQ, 0);
    for (int way = 0; way < 3; way++) {
        open_store();
        make(RABITQ, 0);
        set_age(NULL, UINT64_C(7200) * 1000000000);
        good(0, "g", &step, 0, 0);
        good(1, "g", NULL, 0, 3);
        dreamdb *db = open_on(&store, "main");
        append(db, 30, 2, 2);
        append(db, 10, 12, 0);
        dreamdb_compact_desc fold;
        memset(&fold, 0, sizeof fold);
        if (way == 0) { CHECK(dreamdb_compact(db, &fold, NULL, &error) == DREAMDB_OK); }       /* buckets of the planned state are in no tip */
        dreamdb_close(db);
        CHECK_EQ_U64(collect(0).jobs, 1);
        good(1, "g", NULL, 2, 3);
        good(1, "g", NULL, 1, 3);
        CHECK_EQ_U64(collect(0).jobs, 1);
        if (way < 2) {
            dreamdb_status status = stage(2, "g", NULL, 0, 0);         /* a compaction of the same cells may be no merge; what matters is that all is there */
            CHECK(status == DREAMDB_OK || (way == 0 && status == DREAMDB_ERR_DIVERGED));
            if (status < 0) { printf("compacted meanwhile: %s\n", error.message); }
            CHECK_EQ_U64(collect(0).jobs, status < 0);
            check_rows(RABITQ);
            CHECK(job_files() > 4);
        }
        set_age(NULL, UINT64_C(8) * 86400 * 1000000000);
        set_age("_ada_ivf/g/plan", UINT64_C(6) * 86400 * 1000000000);      /* its last sign of life counts */
        put_file("_ada_ivf/g/else", (const uint8_t *)"?", 1);
        set_age("_ada_ivf/g/else", UINT64_C(6) * 86400 * 1000000000);
        size_t before = job_files();
        (void)collect(0);
        CHECK_EQ_U64(job_files(), before);
        set_age(NULL, UINT64_C(8) * 86400 * 1000000000);
        uint64_t others = collect(1).deleted;
        CHECK(others >= before - 1 && job_files() == before);
        CHECK(collect(0).deleted >= before - 1 && job_files() == 1);       /* what is not ours by name stays */
        CHECK(stage(1, "g", NULL, 0, 3) == DREAMDB_ERR_NOT_FOUND);
        check_rows(RABITQ);
        close_store();
    }
}

/* A job that waits for proposals is under way, too: the state that it was opened on stays, and it lives as long as it was told to. */
static void opened(void)
{
    dreamdb_ada_step_desc step = step_of(RABITQ, 0);
    dreamdb_compact_desc fold;
    memset(&fold, 0, sizeof fold);
    open_store();
    make(RABITQ, 0);
    set_age(NULL, UINT64_C(7200) * 1000000000);
    good(3, "o", &step, 0, 0);
    CHECK(last.opened);
    dreamdb *db = open_on(&store, "main");
    append(db, 30, 2, 2);
    CHECK(dreamdb_compact(db, &fold, NULL, &error) == DREAMDB_OK);
    dreamdb_close(db);
    CHECK_EQ_U64(collect(0).jobs, 1);
    good(1, "o", NULL, 1, 2);
    CHECK_EQ_U64(collect(0).jobs, 1);
    good(1, "o", NULL, 0, 2);
    good(3, "o", &step, 0, 0);
    CHECK(!last.opened);
    good(1, "o", NULL, 0, 1);
    check_rows(RABITQ);
    close_store();
    open_store();
    make(RABITQ, 0);
    dreamdb_shard_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.job = "o"; desc.step = &step; desc.propose = 1; desc.expires_ns = UINT64_C(3600) * 1000000000;
    db = open_on(&store, "main");
    CHECK(dreamdb_shard_plan(db, &desc, &last, &error) == DREAMDB_OK && last.opened);
    dreamdb_close(db);
    set_age("_ada_ivf/", UINT64_C(7200) * 1000000000);
    CHECK(collect(0).jobs == 0 && job_files() == 0);
    close_store();
}

/* gc stops at a plan that it cannot read, until that is old; buckets that somebody took all the same are missed before the Manifest is made. */
static void robbed(void)
{
    dreamdb_ada_step_desc step = step_of(RAW, 0);
    dreamdb_gc_desc desc;
    dreamdb_config config = test_config(&store);
    memset(&desc, 0, sizeof desc);
    open_store();
    make(RAW, 0);
    put_file("_ada_ivf/q/plan", (const uint8_t *)"nonsense", 8);
    config = test_config(&store);
    CHECK(dreamdb_gc(&config, &desc, NULL, &error) == DREAMDB_ERR_CORRUPT && strstr(error.path, "_ada_ivf/q/plan"));
    set_age("_ada_ivf/q/plan", UINT64_C(8) * 86400 * 1000000000);
    CHECK(collect(0).jobs == 0 && job_files() == 0);
    good(0, "q", &step, 0, 0);
    good(1, "q", NULL, 0, 1);
    CHECK(inner.remove(inner.user, "_ada_ivf/q/plan") == DREAMDB_OK);          /* a gc that knows of no job */
    (void)collect(0);
    good(0, "q", &step, 0, 0);
    CHECK(stage(2, "q", NULL, 0, 0) == DREAMDB_ERR_DIVERGED && strstr(error.message, "is gone"));
    check_rows(RAW);
    close_store();
}

int main(void)
{
    clock_now = 1000000;
    clock_step = 0;                            /* two jobs beside each other make one Manifest only at one time */
    RUN(same_bytes);
    RUN(mixed_numbers);
    RUN(refusals);
    RUN(nothing);
    RUN(rebased);
    RUN(void_jobs);
    RUN(damaged);
    RUN(forged_plan);
    RUN(forged_part);
    RUN(forged_proposals);
    RUN(forged_open);
    RUN(collected);
    RUN(opened);
    RUN(robbed);
    RUN(faults);
    return test_end("shard");
}
