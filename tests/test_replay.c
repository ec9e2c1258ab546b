/* test_replay.c - changes on a tip that somebody else moves: appends, deletions and merges with retry, answers of the store that are lost,
   many writers on one Ref, nothing put or landed twice, a stop at every allocation and storage operation; tokens; all states newest first. */
#include "dataset.h"

/* ---- A store between: something happens when the Ref is put ---- */
enum { RIVAL_NONE = 0, RIVAL_APPENDS, RIVAL_TRAINS, RIVAL_DELETES, RIVAL_TOKENS };
enum { ANSWER_GOOD = 0, ANSWER_LOST, ANSWER_NEVER_SENT, ANSWER_CONFLICT };      /* LOST: done, then told as failed; CONFLICT: done, refused */
static struct {
    dreamdb_store on, store;                   /* passes all to on */
    dreamdb *other;                            /* the rival's handle */
    int rival, answer, after;                  /* after: the rival comes when our put is done */
    int times, answers;                        /* how often the rival comes, and the answer is bad */
    size_t next;                               /* rows that the rival appends */
    size_t put_data, put_tracks, put_manifests, put_refs, put_twice;
    char seen[4000][160]; size_t seen_count;
} spy;

static void rival(void)
{
    dreamdb_delete_desc gone;
    if (spy.times <= 0) { return; }
    spy.times--;
    memset(&gone, 0, sizeof gone);
    if (spy.rival == RIVAL_APPENDS) { CHECK(data_append(spy.other, spy.next++, 1, NULL) == DREAMDB_OK); }
    if (spy.rival == RIVAL_TRAINS) {
        dreamdb_train_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.field = "e"; desc.k = 5;
        CHECK(dreamdb_train(spy.other, &desc, NULL) == DREAMDB_OK);
    }
    if (spy.rival == RIVAL_DELETES) {
        gone.anchors = &data_rows[40].anchor; gone.anchor_count = 1;
        CHECK(dreamdb_delete(spy.other, &gone, NULL, NULL) == DREAMDB_OK);
    }
}

static void spy_note(const char *path)
{
    spy.put_refs += strncmp(path, "refs/", 5) == 0;
    spy.put_manifests += strncmp(path, "manifests/", 10) == 0;
    spy.put_tracks += strstr(path, "/track/") != NULL || strstr(path, "/index/") != NULL;
    spy.put_data += strncmp(path, "refs/", 5) != 0 && strncmp(path, "manifests/", 10) != 0 && !strstr(path, "/track/") && !strstr(path, "/index/");
    for (size_t i = 0; i < spy.seen_count && strncmp(path, "refs/", 5) != 0; i++) { spy.put_twice += strcmp(spy.seen[i], path) == 0; }
    if (spy.seen_count < 4000) { (void)snprintf(spy.seen[spy.seen_count++], sizeof spy.seen[0], "%s", path); }
}

static int spy_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    bool ref = strncmp(path, "refs/", 5) == 0;
    int bad = ref && spy.answers > 0 ? spy.answer : ANSWER_GOOD;
    spy.answers -= bad != ANSWER_GOOD;
    spy_note(path);
    if (ref && !spy.after) { rival(); }
    if (bad == ANSWER_NEVER_SENT) { return DREAMDB_ERR_STORE; }
    int status = spy.on.put(user, path, data, size, condition);
    if (ref && spy.after) { rival(); }
    return bad == ANSWER_LOST ? DREAMDB_ERR_STORE : bad == ANSWER_CONFLICT ? DREAMDB_ERR_CONFLICT : status;
}

/* A dataset of 40 rows; *db writes through the spy, spy.other beside it. */
static dreamdb *world(const dreamdb_store *on, int who, int times)
{
    dreamdb *db = NULL;
    dreamdb_config config;
    memset(&spy, 0, sizeof spy);
    dreamdb_close(data_make(&data_inner, DREAMDB_INDEX_IVF, 4, 40));
    spy.on = *on;
    spy.store = *on;
    spy.store.put = spy_put;
    spy.store.batch = NULL;
    spy.rival = who;
    spy.times = times;
    spy.next = 200;
    config = data_config(&data_inner);
    CHECK(dreamdb_open(&config, "main", &spy.other, NULL) == DREAMDB_OK);
    config = data_config(&spy.store);
    CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK);
    return db;
}

static void world_end(dreamdb *db)
{
    dreamdb_close(db);
    dreamdb_close(spy.other);
    data_close();
}

/* Rows [first, first + count) with retry; all of data_names. */
static dreamdb_status append(dreamdb *db, size_t first, size_t count, uint32_t retry, int drawn, dreamdb_append_report *report)
{
    data_batch batch;
    dreamdb_append_desc desc = data_batch_of(&batch, first, count);
    if (drawn) { desc.anchors = NULL; }
    desc.retry = retry;
    desc.token = spy.rival == RIVAL_TOKENS ? "job 7/é" : NULL;
    return dreamdb_append(db, &desc, report, &data_error);
}

/* The tip is whole, has so many live anchors and so many vectors stored (twice landed = twice stored). */
static void check_tip(const char *ref, uint64_t live, uint64_t stored)
{
    dreamdb_config config = data_config(&data_inner);
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    dreamdb_verify_report verified;
    uint64_t n = 0;
    memset(&verified, 0, sizeof verified);
    CHECK(dreamdb_open(&config, ref, &db, &data_error) == DREAMDB_OK);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    CHECK(dreamdb_count(view, NULL, NULL, 0, 0, &n, NULL) == DREAMDB_OK && n == live);
    if (n != live) { printf("live %llu, wanted %llu\n", (unsigned long long)n, (unsigned long long)live); }
    CHECK(dreamdb_count_estimate(view, "e", &n, NULL) == DREAMDB_OK && n == stored);
    if (n != stored) { printf("stored %llu, wanted %llu\n", (unsigned long long)n, (unsigned long long)stored); }
    CHECK(dreamdb_count_estimate(view, "m", &n, NULL) == DREAMDB_OK && n == stored);
    CHECK(dreamdb_verify(view, UINT64_MAX, NULL, NULL, &verified, &data_error) == DREAMDB_OK && verified.faults == 0);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
}

/* ---- A moved tip ---- */
static void appends(void)
{
    dreamdb_append_report report;
    dreamdb *db = NULL;
    data_fill(300, 0);
    data_open();
    db = world(&data_inner, RIVAL_APPENDS, 1);
    CHECK(append(db, 40, 20, 0, 0, &report) == DREAMDB_ERR_CONFLICT && data_error.status == DREAMDB_ERR_CONFLICT);
    check_tip("main", 41, 41);
    spy.times = 3;
    CHECK(append(db, 40, 20, 2, 0, &report) == DREAMDB_ERR_CONFLICT);               /* the rival is there three times */
    check_tip("main", 44, 44);
    spy.times = 3;
    CHECK(append(db, 40, 20, 3, 0, &report) == DREAMDB_OK && report.replays == 3 && data_error.status == DREAMDB_OK && !data_error.message[0]);
    check_tip("main", 67, 67);
    world_end(db);
}

/* A replay puts Tracks and the Manifest, and nothing of what was put before. */
static void puts_once(void)
{
    dreamdb_append_report plain, replayed;
    size_t data = 0, tracks = 0;
    for (int times = 0; times < 3; times++) {
        test_state = 4242;                                           /* the same rows and cells each time */
        data_fill(300, 0);
        data_clock = 0;
        data_open();
        dreamdb *db = world(&data_inner, RIVAL_APPENDS, times);
        CHECK(append(db, 40, 20, 5, 0, times ? &replayed : &plain) == DREAMDB_OK);
        CHECK(spy.put_twice == 0 && spy.put_manifests == 1 + (size_t)times && spy.put_refs == 1 + (size_t)times);
        if (times == 0) { data = spy.put_data; tracks = spy.put_tracks; }
        CHECK_EQ_U64(spy.put_data, data);
        CHECK(data > 30);
        CHECK(times == 0 || (spy.put_tracks > tracks && replayed.replays == (uint32_t)times));
        CHECK(times == 0 || replayed.objects <= plain.objects + (uint64_t)times * 2 * (tracks + 1));
        check_tip("main", 60 + (uint64_t)times, 60 + (uint64_t)times);
        world_end(db);
    }
}

static void index_changed(void)
{
    dreamdb_append_report report;
    dreamdb_snapshot *view = NULL;
    dreamdb_result *found = NULL;
    dreamdb_query query;
    data_fill(300, 0);
    data_open();
    dreamdb *db = world(&data_inner, RIVAL_TRAINS, 1);
    size_t before = 0;
    CHECK(append(db, 40, 20, 1, 0, &report) == DREAMDB_OK && report.replays == 1);
    before = spy.put_data;
    CHECK(spy.put_twice == 0 && before > 60);                        /* the buckets of e under both indexes */
    check_tip("main", 60, 60);                                       /* verify asks each bucket for its index */
    memset(&query, 0, sizeof query);
    query.field = "e"; query.vectors = data_rows[45].v; query.top_k = 1; query.nprobe = 1;
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK && dreamdb_search(view, &query, &found, NULL) == DREAMDB_OK);
    CHECK(found && found->count == 1 && found->hits[0].score > 0.9999f);
    dreamdb_result_free(found);
    dreamdb_snapshot_close(view);
    spy.rival = RIVAL_DELETES; spy.times = 1;                        /* an anchor of the batch is deleted meanwhile: told, not hidden */
    CHECK(append(db, 40, 1, 1, 0, &report) == DREAMDB_ERR_ARGUMENT && strstr(data_error.message, "is deleted"));
    world_end(db);
}

/* Drawn anchors of two writers with one clock. */
static uint64_t same_now(void *user) { (void)user; return 77000000; }
static void drawn_anchors(void)
{
    dreamdb_append_report report, other;
    dreamdb_config config;
    data_fill(300, 0);
    data_open();
    dreamdb *db = world(&data_inner, RIVAL_NONE, 0), *twin = NULL;
    config = data_config(&data_inner);
    config.now_ns = same_now;
    CHECK(dreamdb_open(&config, "main", &twin, NULL) == DREAMDB_OK);
    dreamdb_close(db);
    config.store = &spy.store;
    CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK);
    dreamdb_close(spy.other);
    spy.other = twin;
    spy.rival = RIVAL_NONE;
    CHECK(append(db, 40, 20, 1, 1, &report) == DREAMDB_OK && report.anchor_first == 77000000 && report.replays == 0);
    uint64_t first = report.anchor_first + 20 * 1000;
    spy.rival = RIVAL_APPENDS; spy.times = 1; spy.next = 100;
    data_rows[100].anchor = 5;                                       /* below: what was drawn stays */
    CHECK(append(db, 60, 20, 1, 1, &report) == DREAMDB_OK && report.replays == 1);
    CHECK(report.anchor_first < first + 1000 && spy.put_twice == 0);
    first = report.anchor_first + 20 * 1000;
    spy.times = 1;
    data_rows[101].anchor = first + 3000 - 999;                      /* among them: drawn anew, above it */
    CHECK(append(db, 80, 20, 1, 1, &report) == DREAMDB_OK && report.replays == 1 && report.anchor_first > data_rows[101].anchor);
    CHECK(append(twin, 80, 5, 0, 1, &other) == DREAMDB_OK && other.anchor_first > report.anchor_first + 19 * 1000);
    check_tip("main", 40 + 60 + 2 + 5, 40 + 60 + 2 + 5);
    world_end(db);
}

static void deletions(void)
{
    dreamdb_delete_desc desc;
    dreamdb_delete_report report;
    dreamdb_operand operand;
    dreamdb_where where;
    uint64_t gone[3], n = 0;
    data_fill(300, 0);
    data_open();
    dreamdb *db = world(&data_inner, RIVAL_DELETES, 1);
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < 3; i++) { gone[i] = data_rows[i].anchor; }
    desc.anchors = gone; desc.anchor_count = 3; desc.reason = "why";
    CHECK(dreamdb_delete(db, &desc, &report, &data_error) == DREAMDB_ERR_CONFLICT);
    desc.retry = 2; spy.times = 2;
    CHECK(dreamdb_delete(db, &desc, &report, &data_error) == DREAMDB_OK && report.replays == 2 && report.anchors == 3 && report.again == 0);
    check_tip("main", 37, 40);
    memset(&operand, 0, sizeof operand); memset(&where, 0, sizeof where);
    where.op = DREAMDB_GE; where.field = "n"; where.operands = &operand; where.operand_count = 1;
    operand.integer = -100;                                          /* every row */
    memset(&desc, 0, sizeof desc);
    desc.where = &where;
    spy.rival = RIVAL_APPENDS; spy.times = 1;
    CHECK(dreamdb_delete(db, &desc, &report, &data_error) == DREAMDB_ERR_CONFLICT);
    desc.retry = 1; spy.times = 1;
    CHECK(dreamdb_delete(db, &desc, &report, &data_error) == DREAMDB_OK && report.replays == 1);
    n = report.anchors;
    CHECK_EQ_U64(n, 38);                                             /* 37 and the rival's first; its second row came after the look */
    CHECK(memcmp(report.evaluated, report.manifest, sizeof report.manifest) != 0);
    check_tip("main", 1, 42);
    world_end(db);
}

static dreamdb_status merge(dreamdb *db, const char *other, int forward, uint32_t retry, dreamdb_merge_report *report)
{
    dreamdb_merge_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.other = other; desc.retry = retry;
    desc.strategy = forward ? DREAMDB_MERGE_FAST_FORWARD : DREAMDB_MERGE_UNION;
    return dreamdb_merge(db, &desc, report, &data_error);
}

/* A branch "side" of world() with rows [first, first + count) more. */
static void branch(size_t first, size_t count)
{
    dreamdb_config config = data_config(&data_inner);
    dreamdb *side = NULL;
    CHECK(dreamdb_branch(spy.other, NULL, "side", NULL) == DREAMDB_OK && dreamdb_open(&config, "side", &side, NULL) == DREAMDB_OK);
    CHECK(data_append(side, first, count, NULL) == DREAMDB_OK);
    dreamdb_close(side);
}

static void merges(void)
{
    dreamdb_merge_report report;
    data_fill(300, 0);
    for (int way = 0; way < 4; way++) {
        data_open();
        dreamdb *db = world(&data_inner, RIVAL_APPENDS, 2);
        branch(60, 10);
        spy.after = way >= 2;
        spy.answer = way == 2 ? ANSWER_LOST : way == 3 ? ANSWER_CONFLICT : ANSWER_GOOD;
        spy.answers = way >= 2;
        dreamdb_status status = merge(db, "side", way == 0, 2, &report);
        if (way == 0) {                                              /* the tip moved: no fast-forward any more */
            CHECK(status == DREAMDB_ERR_DIVERGED && report.outcome == DREAMDB_MERGE_NOTHING);
            check_tip("main", 41, 41);
        } else {
            CHECK(status == DREAMDB_OK && report.outcome == DREAMDB_MERGE_MADE && report.replays == (way == 1 ? 2 : 0));
            check_tip("main", way == 1 ? 52 : 51, way == 1 ? 52 : 51);
        }
        world_end(db);
    }
    data_open();                                                     /* a fast-forward whose answer is lost, and then the rival */
    dreamdb *db = world(&data_inner, RIVAL_APPENDS, 1);
    branch(60, 10);
    spy.after = 1; spy.answer = ANSWER_LOST; spy.answers = 1;
    CHECK(merge(db, "side", 1, 0, &report) == DREAMDB_OK && report.outcome == DREAMDB_MERGE_MOVED);
    check_tip("main", 51, 51);
    world_end(db);
}

/* ---- Answers that are lost ---- */
static void lost_answers(void)
{
    data_fill(300, 0);
    for (int answer = ANSWER_LOST; answer <= ANSWER_CONFLICT; answer++) {
        for (int way = 0; way < 6; way++) {                          /* rivals before, after or none; with and without retry */
            uint32_t retry = way % 2 ? 4 : 0;
            int who = way / 2;                                       /* 0: nobody, 1: before our put, 2: after it */
            dreamdb_append_report report;
            data_open();
            dreamdb *db = world(&data_inner, RIVAL_APPENDS, who ? 1 : 0);
            spy.after = who == 2;
            spy.answer = answer;
            spy.answers = 1;
            dreamdb_status status = append(db, 40, 20, retry, 0, &report);
            bool first = answer != ANSWER_NEVER_SENT && who != 1;    /* our first put landed */
            bool lands = first || retry > 0;
            CHECK(lands ? status == DREAMDB_OK : status < 0 && data_error.status == status);
            CHECK(!lands || data_error.status == DREAMDB_OK);
            if (!lands && who == 0) { CHECK(status == DREAMDB_ERR_STORE); }
            if (!lands && who == 1) { CHECK(status == DREAMDB_ERR_CONFLICT); }
            if (!first && who == 0 && retry) { CHECK_EQ_U64(spy.put_manifests, 1); }      /* the same put again, not another state */
            if (first) { CHECK(report.replays == 0); }
            uint64_t rows = 40 + (uint64_t)(who && spy.times == 0) + (lands ? 20u : 0u);
            check_tip("main", rows, rows);
            if (!test_ok) { printf("answer %d, way %d: %d %s\n", answer, way, (int)status, data_error.message); }
            world_end(db);
        }
    }
}

/* What the store's list says twice must be: three lost answers one after the other, and a Ref that cannot be read. */
static void lost_for_long(void)
{
    dreamdb_append_report report;
    data_fill(300, 0);
    data_open();
    dreamdb *db = world(&data_inner, RIVAL_NONE, 0);
    spy.answer = ANSWER_NEVER_SENT;
    spy.answers = 3;
    CHECK(append(db, 40, 20, 2, 0, &report) == DREAMDB_ERR_STORE);
    check_tip("main", 40, 40);
    spy.answers = 3;
    CHECK(append(db, 40, 20, 3, 0, &report) == DREAMDB_OK && report.replays == 3);
    check_tip("main", 60, 60);
    world_end(db);
    data_open();
    db = world(&data_store, RIVAL_NONE, 0);
    memset(&data_plan, 0, sizeof data_plan);
    CHECK(append(db, 40, 20, 0, 0, &report) == DREAMDB_OK);
    uint64_t operations = data_plan.operations;
    world_end(db);
    data_open();
    db = world(&data_store, RIVAL_NONE, 0);
    memset(&data_plan, 0, sizeof data_plan);
    data_plan.fail_at = operations; data_plan.fail_after = 1; data_plan.fail_forever = 1;      /* it landed, and the machine is gone */
    CHECK(append(db, 40, 20, 1, 0, &report) == DREAMDB_ERR_STORE && strstr(data_error.message, "not known"));
    memset(&data_plan, 0, sizeof data_plan);
    check_tip("main", 60, 60);
    world_end(db);
}

/* ---- Every step stopped, on the way through a replay ---- */
static dreamdb_status one_call(dreamdb *db, int verb)
{
    dreamdb_delete_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.anchors = &data_rows[3].anchor; desc.anchor_count = 1; desc.retry = 2;
    return verb == 0 ? append(db, 40, 10, 2, 0, NULL) : verb == 1 ? dreamdb_delete(db, &desc, NULL, &data_error) : merge(db, "side", 0, 2, NULL);
}

static void stop_at(int verb, int way)
{
    int good = 0, errors = 0;
    for (long n = 1; n < 20000 && good < 2; n += 1 + (way == 0 ? n / 8 : 0)) {
        data_open();
        dreamdb *db = world(&data_store, RIVAL_APPENDS, 1);
        if (verb == 2) { branch(60, 10); }
        int rival_first = way == 0;                                  /* the rival shares the allocator: it must not be the one that fails */
        if (rival_first) { spy.times = 0; }
        data_arm(way, n);
        if (rival_first) { spy.answer = ANSWER_NEVER_SENT; spy.answers = 1; }
        dreamdb_status status = one_call(db, verb);
        data_disarm(way, status);
        uint64_t rival_rows = rival_first || spy.times == 1 ? 0u : 1u, rows = verb == 1 ? 0u : 10u;
        uint64_t live = data_count(spy.other), base = 40 + rival_rows;
        bool landed = verb == 1 ? live == base - 1 : live == base + rows;
        CHECK(landed || live == base);
        CHECK(status == DREAMDB_OK ? landed : way == 2 || way == 3 || !landed);
        spy.times = 0; spy.answers = 0;
        if (!landed) { CHECK(one_call(db, verb) == DREAMDB_OK); }
        check_tip("main", verb == 1 ? base - 1 : base + rows, base + rows);
        errors += status < 0;
        good = status < 0 ? 0 : good + 1;
        world_end(db);
        if (!test_ok) { printf("verb %d, way %d, n %ld: %d %s\n", verb, way, n, (int)status, data_error.message); return; }
    }
    CHECK(good == 2 && errors > 2);
}

static void every_step_stopped(void)
{
    data_fill(300, 0);
    for (int verb = 0; verb < 3; verb++) {
        for (int way = 0; way < 4; way++) { stop_at(verb, way); }
    }
}

/* ---- Many writers on one Ref ---- */
enum { WRITERS = 8, TIMES = 20 };
static const dreamdb_store *writers_store;
static int writers_drawn;
static uint64_t writers_replays[WRITERS];
static dreamdb_status writers_status[WRITERS];

static void *writer(void *user)
{
    size_t me = *(const size_t *)user;
    dreamdb_config config;
    dreamdb *db = NULL;
    dreamdb_error error;
    memset(&config, 0, sizeof config);
    config.store = writers_store;
    config.threads = 1;
    writers_status[me] = dreamdb_open(&config, "main", &db, &error);
    for (size_t i = 0; i < TIMES && writers_status[me] == DREAMDB_OK; i++) {
        size_t row = 40 + me * TIMES + i;
        dreamdb_column columns[2];
        dreamdb_append_desc desc;
        dreamdb_append_report report;
        dreamdb_slice text;
        memset(columns, 0, sizeof columns); memset(&desc, 0, sizeof desc);
        text.data = data_rows[row].m; text.size = strlen(data_rows[row].m);
        columns[0].field = "e"; columns[0].data = data_rows[row].v;
        columns[1].field = "m"; columns[1].values = &text;
        desc.columns = columns; desc.column_count = 2; desc.count = 1; desc.retry = 1000;
        desc.anchors = writers_drawn ? NULL : &data_rows[row].anchor;
        writers_status[me] = dreamdb_append(db, &desc, &report, &error);
        writers_replays[me] += report.replays;
    }
    dreamdb_close(db);
    return NULL;
}

static void many_writers(void)
{
    data_fill(300, 0);
    for (writers_drawn = 0; writers_drawn < 2; writers_drawn++) {
        ddb_port_thread threads[WRITERS];
        size_t ids[WRITERS], started = 0;
        uint64_t replays = 0;
        data_open();
        dreamdb_close(data_make(&data_inner, DREAMDB_INDEX_IVF, 4, 40));
        writers_store = &data_inner;
        memset(writers_replays, 0, sizeof writers_replays);
        for (size_t i = 0; i < WRITERS; i++) {
            ids[i] = i;
            if (ddb_port_thread_start(&threads[started], writer, &ids[i])) { started++; } else { (void)writer(&ids[i]); }
        }
        for (size_t i = 0; i < started; i++) { ddb_port_thread_join(threads[i]); }
        for (size_t i = 0; i < WRITERS; i++) {
            CHECK(writers_status[i] == DREAMDB_OK);
            replays += writers_replays[i];
        }
        check_tip("main", 40 + WRITERS * TIMES, 40 + WRITERS * TIMES);
        (void)replays;                                               /* how many depends on the machine */
        data_close();
    }
}

/* ---- Tokens, and all states newest first ---- */
typedef struct tale { uint8_t told[300][DREAMDB_ADDRESS_SIZE]; uint64_t depth[300], ts[300]; size_t count, stop, tokens; int order; } tale;
static int tell(void *user, const dreamdb_log_entry *entry)
{
    tale *t = (tale *)user;
    for (size_t i = 0; i < t->count; i++) {                          /* each once, and no parent before its child */
        CHECK(memcmp(t->told[i], entry->manifest, DREAMDB_ADDRESS_SIZE) != 0);
        for (size_t p = 0; p < entry->parent_count; p++) {
            t->order += memcmp(t->told[i], entry->parents + p * DREAMDB_ADDRESS_SIZE, DREAMDB_ADDRESS_SIZE) == 0;
        }
    }
    t->tokens += strstr(entry->writer, ";token=job 7/é") != NULL;
    if (t->count < 300) {
        memcpy(t->told[t->count], entry->manifest, DREAMDB_ADDRESS_SIZE);
        t->ts[t->count] = entry->ts_ns;
        t->depth[t->count++] = entry->depth;
    }
    return t->stop > 0 && t->count == t->stop;
}

static void told_states(void)
{
    static tale all, some, line;
    dreamdb_append_desc bad;
    dreamdb_snapshot *view = NULL;
    data_fill(300, 0);
    data_open();
    dreamdb *db = world(&data_inner, RIVAL_TOKENS, 0);
    memset(&all, 0, sizeof all); memset(&some, 0, sizeof some); memset(&line, 0, sizeof line);
    branch(60, 5);                                                   /* 4 states, the branch's, ours twice, the merge */
    CHECK(append(db, 80, 5, 0, 0, NULL) == DREAMDB_OK && append(db, 90, 5, 0, 0, NULL) == DREAMDB_OK && merge(db, "side", 0, 0, NULL) == DREAMDB_OK);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    CHECK(dreamdb_history(view, 0, tell, &all, &data_error) == DREAMDB_OK && dreamdb_log(view, 0, tell, &line, NULL) == DREAMDB_OK);
    CHECK_EQ_U64(all.count, 8);
    CHECK_EQ_U64(line.count, 7);
    CHECK(all.order == 0 && all.tokens == 2 && all.depth[0] == 0 && all.depth[1] == 1);
    for (size_t i = 1; i < all.count; i++) { CHECK(all.ts[i - 1] > all.ts[i]); }
    CHECK(dreamdb_history(view, 3, tell, &some, NULL) == DREAMDB_OK && some.count == 3);
    memset(&some, 0, sizeof some);
    some.stop = 2;
    CHECK(dreamdb_history(view, 0, tell, &some, NULL) == DREAMDB_OK && some.count == 2);
    char path[80], text[DREAMDB_ADDRESS_TEXT];
    dreamdb_address_text(all.told[all.count - 3], text);
    dreamdb_snapshot_close(view);
    (void)snprintf(path, sizeof path, "manifests/%s", text);
    CHECK(data_inner.remove(data_inner.user, path) == DREAMDB_OK);   /* gc took one: what is behind it is left out */
    dreamdb_close(db);
    dreamdb_config config = data_config(&spy.store);
    CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    memset(&some, 0, sizeof some);
    CHECK(dreamdb_history(view, 0, tell, &some, &data_error) == DREAMDB_OK && some.count == 5);
    dreamdb_snapshot_close(view);
    memset(&bad, 0, sizeof bad);
    char big[142];
    const char *tokens[] = { "a;b", "a\nb", "\xff", big };
    memset(big, '0', sizeof big - 1);
    big[sizeof big - 1] = 0;
    for (size_t i = 0; i < 4; i++) {
        bad.token = tokens[i];
        CHECK(dreamdb_append(db, &bad, NULL, &data_error) == DREAMDB_ERR_ARGUMENT && strstr(data_error.message, "token"));
    }
    world_end(db);
}

int main(void)
{
    RUN(appends);
    RUN(puts_once);
    RUN(index_changed);
    RUN(drawn_anchors);
    RUN(deletions);
    RUN(merges);
    RUN(lost_answers);
    RUN(lost_for_long);
    RUN(every_step_stopped);
    RUN(many_writers);
    RUN(told_states);
    data_unused();
    return test_end("replay");
}
