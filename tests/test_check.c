/* test_check.c - room check: every class of object damaged in every way is named by verify, and by nothing else; stats count what the store
   has; info and log tell what was made; memory and storage that fail. */
#include "dataset.h"

enum { ROWS = 220, PARTS = 4 };
static float vectors[ROWS * 4];
static int64_t numbers[ROWS];
static dreamdb_slice words[ROWS], media[3][ROWS];        /* of chunks, items and packs */
static char payload[3][ROWS + 300];

/* Every class that this version writes: sidecars, chunks, packs, pages, a constant.  alike: the media fields hold the same bytes. */
static void rich(bool alike)
{
    static const char *const texts[] = { "red", "green", "blue" };
    dreamdb_field fields[7];
    dreamdb_column columns[6];
    dreamdb_create_desc create;
    dreamdb_config config;
    dreamdb *db = NULL;
    data_open();
    config = data_config(&data_inner);
    config.outboards_all = 1;
    memset(fields, 0, sizeof fields); memset(columns, 0, sizeof columns); memset(&create, 0, sizeof create);
    for (size_t m = 0; m < 3; m++) {
        for (size_t i = 0; i < sizeof payload[m]; i++) { payload[m][i] = (char)((i * i + (alike ? 0 : m) * i) % 251); }
    }
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t d = 0; d < 4; d++) { vectors[i * 4 + d] = test_randf(); }
        numbers[i] = (int64_t)i / 3;
        words[i].data = texts[i % 3]; words[i].size = strlen(texts[i % 3]);
        for (size_t m = 0; m < 3; m++) { media[m][i].data = payload[m] + i; media[m][i].size = 10 + i; }
    }
    fields[0].name = "chunks"; fields[0].kind = DREAMDB_AUDIO; fields[0].chunk_size = 100;
    fields[1].name = "color"; fields[1].kind = DREAMDB_CATEGORICAL;
    fields[2].name = "e"; fields[2].kind = DREAMDB_EMBEDDING; fields[2].dim = 4; fields[2].rerank = 1; fields[2].required = 1;
    fields[2].train = vectors; fields[2].train_count = ROWS; fields[2].k = 3;
    fields[3].name = "items"; fields[3].kind = DREAMDB_IMAGE;
    fields[4].name = "n"; fields[4].kind = DREAMDB_INT;
    fields[5].name = "packs"; fields[5].kind = DREAMDB_IMAGE; fields[5].mime = "png"; fields[5].pack_items = 8;
    fields[6].name = "title"; fields[6].kind = DREAMDB_CONSTANT; fields[6].modality = "title.text";
    fields[6].value = "t"; fields[6].value_size = 1;
    create.fields = fields; create.field_count = 7;
    CHECK(dreamdb_create(&config, "main", &create, &db, &data_error) == DREAMDB_OK);
    if (!db) { printf("%s\n", data_error.message); exit(1); }
    for (size_t part = 0, first = 0; part < PARTS; part++) {
        size_t count = part == 0 ? 190 : 10;
        uint64_t anchors[ROWS];
        dreamdb_append_desc append;
        memset(&append, 0, sizeof append);
        for (size_t i = 0; i < count; i++) { anchors[i] = (first + i) * 5; }
        for (size_t f = 0; f < 6; f++) {
            columns[f].field = fields[f].name; columns[f].data = NULL; columns[f].values = media[f / 2] + first;
        }
        columns[1].values = words + first;
        columns[2].data = vectors + first * 4;
        columns[4].data = numbers + first;
        append.columns = columns; append.column_count = 6; append.count = count; append.anchors = anchors; append.page_early = 1;
        CHECK(dreamdb_append(db, &append, NULL, &data_error) == DREAMDB_OK);
        first += count;
    }
    dreamdb_close(db);
}

typedef struct seen { const char *path; size_t faults, named; dreamdb_status status; } seen;
static int on_fault(void *user, const dreamdb_fault_report *fault)
{
    seen *s = (seen *)user;
    const char *leaf = s->path ? strrchr(s->path, '/') + 1 : "\1";
    s->faults++;
    s->named += strstr(fault->path, leaf) != NULL || strstr(fault->message, leaf) != NULL;
    s->status = fault->status;
    CHECK(fault->status < 0 && fault->message[0] && fault->path[0]);
    return 0;
}

static dreamdb_status verify(seen *s, uint64_t depth, dreamdb_verify_report *report)
{
    dreamdb_config config = data_config(&data_inner);
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    memset(report, 0, sizeof *report);
    dreamdb_status status = dreamdb_open(&config, "main", &db, &data_error);
    if (status == DREAMDB_OK) { status = dreamdb_snapshot_open(db, NULL, &view, &data_error); }
    if (status == DREAMDB_OK) { status = dreamdb_verify(view, depth, on_fault, s, report, &data_error); }
    CHECK(status < 0 || report->faults == s->faults);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    return status;
}

/* Up to three objects of each folder. */
typedef struct chosen { char paths[200][240]; size_t count; } chosen;
static int choose(void *user, const char *path, const dreamdb_stat *stat)
{
    chosen *c = (chosen *)user;
    size_t folder = (size_t)(strrchr(path, '/') - path), same = 0;
    (void)stat;
    for (size_t i = 0; i < c->count; i++) {
        same += strncmp(c->paths[i], path, folder + 1) == 0 && !strchr(c->paths[i] + folder + 1, '/');
    }
    if (same < 3 && c->count < 200 && strncmp(path, "refs/", 5) != 0) { (void)snprintf(c->paths[c->count++], 240, "%s", path); }
    return 0;
}

static void every_class_is_named(void)
{
    static chosen c;
    dreamdb_verify_report report;
    seen s;
    size_t objects = 0;
    rich(false);
    memset(&s, 0, sizeof s);
    CHECK(verify(&s, UINT64_MAX, &report) == DREAMDB_OK && report.faults == 0 && report.manifests >= PARTS + 1);
    objects = (size_t)report.objects;
    CHECK(verify(&s, 0, &report) == DREAMDB_OK && report.faults == 0 && report.manifests == 1);
    CHECK(report.objects < objects && report.bytes > 0);
    c.count = 0;
    (void)data_inner.list(data_inner.user, "", choose, &c);
    CHECK(c.count > 40);
    for (size_t i = 0; i < c.count; i++) {
        size_t size = 0;
        uint8_t *bytes = data_take(c.paths[i], &size);
        for (int way = 0; way < 3; way++) {
            memset(&s, 0, sizeof s);
            s.path = c.paths[i];
            bytes[size / 2] ^= (uint8_t)(way == 0);
            if (way == 2) { CHECK(data_inner.remove(data_inner.user, c.paths[i]) == DREAMDB_OK); }
            else { data_put(c.paths[i], bytes, size - (way == 1)); }
            bytes[size / 2] ^= (uint8_t)(way == 0);
            dreamdb_status status = verify(&s, UINT64_MAX, &report);
            if (status < 0) {                                /* the tip itself cannot be opened: the error names it */
                CHECK(strstr(data_error.path, strrchr(c.paths[i], '/') + 1) || strstr(data_error.message, strrchr(c.paths[i], '/') + 1));
            } else if (way == 2 && s.faults == 0) {          /* an older Manifest may be gone (gc), a small outboard is not needed */
                CHECK(strncmp(c.paths[i], "manifests/", 10) == 0 || strncmp(c.paths[i], "bao-outboard/", 13) == 0);
            } else {
                CHECK(s.named > 0);
            }
            if (!test_ok) { printf("way %d: %s (%zu faults, status %d)\n", way, c.paths[i], s.faults, (int)status); break; }
        }
        data_put(c.paths[i], bytes, size);
        free(bytes);
        if (!test_ok) { break; }
    }
    memset(&s, 0, sizeof s);
    CHECK(verify(&s, UINT64_MAX, &report) == DREAMDB_OK && report.faults == 0 && report.objects == objects);
    data_close();
}

/* Objects and bytes of the listing whose path has one word and lacks another. */
typedef struct tally { const char *word, *lacks; uint64_t objects, bytes; } tally;
static int count_path(void *user, const char *path, const dreamdb_stat *stat)
{
    tally *t = (tally *)user;
    if (strstr(path, t->word) && !strstr(path, t->lacks)) { t->objects++; t->bytes += stat->size; }
    return 0;
}
static const dreamdb_stats_class *class_of(const dreamdb_stats *stats, const char *name)
{
    for (size_t i = 0; i < stats->class_count; i++) { if (strcmp(stats->classes[i].name, name) == 0) { return stats->classes + i; } }
    CHECK(false);
    return stats->classes;
}

static void stats_count_the_store(void)
{
    dreamdb_config config;
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    const dreamdb_stats *stats = NULL, *again = NULL;
    const dreamdb_info *info = NULL;
    tally buckets = { ".bucketed/0", "/track/", 0, 0 }, sidecars = { "/vectors/", "/track/", 0, 0 };
    uint64_t records = 0;
    rich(false);
    config = data_config(&data_inner);
    CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    CHECK(dreamdb_snapshot_stats(view, &stats, &data_error) == DREAMDB_OK && stats);
    CHECK(dreamdb_snapshot_stats(view, &again, NULL) == DREAMDB_OK && again && again->field_count == 7);
    CHECK(stats->field_count == 7 && stats->tombstones == 0 && stats->manifests == 1);
    (void)data_inner.list(data_inner.user, "", count_path, &buckets);
    (void)data_inner.list(data_inner.user, "", count_path, &sidecars);
    const dreamdb_stats_class *bucket = class_of(stats, "bucket"), *sidecar = class_of(stats, "sidecar");
    CHECK_EQ_U64(bucket->objects, buckets.objects);
    CHECK_EQ_U64(bucket->bytes, buckets.bytes);
    CHECK_EQ_U64(sidecar->objects, sidecars.objects);
    CHECK_EQ_U64(sidecar->bytes, sidecars.bytes);
    CHECK_EQ_U64(class_of(stats, "track")->objects, 7);
    CHECK_EQ_U64(class_of(stats, "manifest")->objects, 1);
    CHECK(class_of(stats, "page")->objects > 0 && class_of(stats, "item manifest")->objects > 100);
    for (size_t f = 0; f < stats->field_count; f++) {
        const dreamdb_field_stats *s = stats->fields + f;
        CHECK(f == 0 || strcmp(stats->fields[f - 1].field, s->field) < 0);
        if (s->field[0] == 'e') {
            records = s->records;
            CHECK(s->cells <= 3 && s->cells > 0 && s->fragments_max <= PARTS && s->rows == bucket->objects);
        }
        if (strcmp(s->field, "items") == 0 || strcmp(s->field, "packs") == 0) { CHECK(s->records == ROWS && s->rows == ROWS); }
    }
    CHECK_EQ_U64(records, ROWS);
    CHECK(dreamdb_snapshot_info(view, &info, NULL) == DREAMDB_OK && info->field_count == 7 && info->parent_count == 1);
    CHECK_STR(info->ref, "main");
    CHECK(info->fields[2].dim == 4 && info->fields[2].k == 3 && info->fields[2].rerank && info->fields[2].index == DREAMDB_INDEX_IVF);
    CHECK(info->fields[2].required && info->fields[0].chunk_size == 100 && info->fields[6].kind == DREAMDB_CONSTANT);
    CHECK(info->fields[4].t_min == 0 && info->fields[4].t_max >= (ROWS - 1) * 5);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

typedef struct entries { uint8_t last_parent[33]; uint64_t count, stop_at; } entries;
static int on_entry(void *user, const dreamdb_log_entry *entry)
{
    entries *e = (entries *)user;
    CHECK(entry->depth == e->count);
    CHECK(e->count == 0 || memcmp(entry->manifest, e->last_parent, 33) == 0);
    CHECK(strncmp(entry->writer, "dreamdb.h/", 10) == 0 && entry->ts_ns > 0 && entry->track_count >= 6);
    if (entry->parent_count > 0) { memcpy(e->last_parent, entry->parents, 33); }
    return ++e->count == e->stop_at;
}

/* Newest first over first parents; a limit; a stop; a parent that gc took. */
static void log_walks_back(void)
{
    dreamdb_config config;
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    entries e;
    char path[100];
    uint8_t first_parent[33];
    rich(false);
    config = data_config(&data_inner);
    CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    memset(&e, 0, sizeof e);
    CHECK(dreamdb_log(view, 0, on_entry, &e, NULL) == DREAMDB_OK && e.count >= PARTS + 1);
    memset(&e, 0, sizeof e);
    CHECK(dreamdb_log(view, 2, on_entry, &e, NULL) == DREAMDB_OK && e.count == 2);
    memset(&e, 0, sizeof e);
    e.stop_at = 1;
    CHECK(dreamdb_log(view, 0, on_entry, &e, NULL) == DREAMDB_OK && e.count == 1);
    memcpy(first_parent, e.last_parent, 33);
    (void)snprintf(path, sizeof path, "manifests/");
    dreamdb_address_text(first_parent, path + 10);
    CHECK(data_inner.remove(data_inner.user, path) == DREAMDB_OK);
    memset(&e, 0, sizeof e);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    CHECK(dreamdb_log(view, 0, on_entry, &e, NULL) == DREAMDB_OK && e.count == 1);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

/* A fault of the store or of memory during verify and stats: an error or a fault, never a clean report of a walk that was cut short. */
static void failures_at_every_step(void)
{
    dreamdb_verify_report report;
    seen s;
    uint64_t whole = 0;
    data_open();
    data_fill(25, 0);
    dreamdb_close(data_make(&data_inner, DREAMDB_INDEX_LSH, 2, 25));
    memset(&s, 0, sizeof s);
    CHECK(verify(&s, 1, &report) == DREAMDB_OK && report.faults == 0);
    whole = report.objects;
    for (int storage = 0; storage < 2; storage++) {
        int good = 0, errors = 0;
        for (long n = 1; n < 3000 && good < 3; n += 1 + (storage ? 0 : n / 15)) {
            dreamdb_config config = data_config(&data_store);
            dreamdb *db = NULL;
            dreamdb_snapshot *view = NULL;
            const dreamdb_stats *stats = NULL;
            memset(&s, 0, sizeof s); memset(&report, 0, sizeof report);
            data_plan.operations = 0;
            data_plan.fail_at = storage ? (uint64_t)n : 0;
            test_fail_alloc_at(storage ? 0 : n);
            dreamdb_status status = dreamdb_open(&config, "main", &db, &data_error);
            if (status == DREAMDB_OK) { status = dreamdb_snapshot_open(db, NULL, &view, &data_error); }
            if (status == DREAMDB_OK) { status = dreamdb_snapshot_stats(view, &stats, &data_error); }
            if (status == DREAMDB_OK) { status = dreamdb_verify(view, 1, on_fault, &s, &report, &data_error); }
            test_fail_alloc_at(0);
            CHECK(status == DREAMDB_OK || (status == data_error.status && status == (storage ? DREAMDB_ERR_STORE : DREAMDB_ERR_MEMORY)));
            CHECK(status < 0 || report.faults > 0 || report.objects == whole);
            errors += status < 0 || report.faults > 0;
            good = status < 0 || report.faults > 0 ? 0 : good + 1;
            dreamdb_snapshot_close(view);
            dreamdb_close(db);
            CHECK_EQ_U64(test_live_bytes(), 0);
        }
        CHECK(good == 3 && errors > 10);
    }
    data_plan.fail_at = 0;
    data_close();
}

/* The same bytes in two fields are two objects of the store, in two folders: damage to either is found. */
static void copies_in_two_folders(void)
{
    static const char *const folders[] = { "image.jpeg/0000", "audio.wav/0000" };
    dreamdb_verify_report report;
    rich(true);
    for (size_t f = 0; f < 2; f++) {
        for (size_t nth = 0; nth < 200; nth += 20) {
            char path[300];
            size_t size = 0;
            seen s;
            memset(&s, 0, sizeof s);
            (void)snprintf(path, sizeof path, "%s", data_path(folders[f], nth));
            uint8_t *bytes = data_take(path, &size);
            s.path = path;
            bytes[0] ^= 1;
            data_put(path, bytes, size);
            bytes[0] ^= 1;
            CHECK(verify(&s, 0, &report) == DREAMDB_OK && s.named > 0);
            data_put(path, bytes, size);
            free(bytes);
        }
    }
    data_close();
}

/* verify reads the store, not what the handle remembers of it. */
static void a_warm_handle_reads_again(void)
{
    dreamdb_verify_report report;
    dreamdb_snapshot *view = NULL;
    seen s;
    size_t size = 0;
    data_open();
    data_fill(20, 0);
    dreamdb *db = data_make(&data_inner, DREAMDB_INDEX_LSH, 2, 20);
    memset(&s, 0, sizeof s);
    CHECK(dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    CHECK(dreamdb_verify(view, 0, on_fault, &s, &report, NULL) == DREAMDB_OK && report.faults == 0);
    s.path = data_path("bucketed/0", 0);
    uint8_t *bytes = data_take(s.path, &size);
    data_put(s.path, bytes, size - 1);
    CHECK(dreamdb_verify(view, 0, on_fault, &s, &report, NULL) == DREAMDB_OK && report.faults > 0 && s.named > 0);
    free(bytes);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    data_close();
}

/* Fields named so that the one an index was made for comes first, and vectors for all of them. */
static const char *const shared_names[] = { "a", "b", "c", "e" };
static dreamdb_status shared_append(dreamdb *db, uint64_t anchor)
{
    static const float rows[6] = { 1, 2, 3, 4, 5, 6 };
    dreamdb_column columns[4];
    dreamdb_append_desc append;
    memset(columns, 0, sizeof columns); memset(&append, 0, sizeof append);
    for (size_t f = 0; f < 4; f++) { columns[f].field = shared_names[f]; columns[f].data = rows; }
    append.columns = columns; append.column_count = 4; append.count = 1; append.anchors = &anchor;
    return dreamdb_append(db, &append, NULL, &data_error);
}

static void shared_make(bool with_rows)
{
    dreamdb_field fields[4];
    dreamdb_create_desc create;
    dreamdb_config config;
    dreamdb *db = NULL;
    data_open();
    config = data_config(&data_inner);
    memset(fields, 0, sizeof fields); memset(&create, 0, sizeof create);
    for (size_t f = 0; f < 4; f++) {
        fields[f].name = shared_names[f]; fields[f].kind = DREAMDB_EMBEDDING; fields[f].dim = f == 3 ? 6 : 4;
    }
    fields[1].index = DREAMDB_INDEX_LSH_L2;
    fields[2].compressor = DREAMDB_COMPRESSOR_RABITQ;
    create.fields = fields; create.field_count = 4;
    CHECK(dreamdb_create(&config, "main", &create, &db, &data_error) == DREAMDB_OK);
    if (!db) { printf("%s\n", data_error.message); exit(1); }
    CHECK(!with_rows || shared_append(db, 7) == DREAMDB_OK);
    dreamdb_close(db);
}

/* Writes the Manifest anew: the registry gives e (6 floats) the index of a (4), and c (with codes) the L2 index of b. */
static void shared_forge(void)
{
    dreamdb_config config = data_config(&data_inner);
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena = { NULL, 0 };
    ddb_buf bytes;
    ddb_addr address;
    char path[100] = "manifests/";
    CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
    ddb_manifest forged = view->manifest;
    for (size_t f = 2; f < 4; f++) {
        ddb_registry_embedding entry = view->fields[f].registry;
        entry.index = view->fields[f == 3 ? 0 : 1].registry.index;
        CHECK(ddb_manifest_set_embedding(ctx, &arena, &forged, view->schema.fields[f].modality, &entry) == DREAMDB_OK);
    }
    ddb_bytes_init(&bytes, ctx);
    CHECK(ddb_manifest_encode(&bytes, &forged) == DREAMDB_OK);
    ddb_addr_of(ctx->cpu, ddb_bytes_of(&bytes), &address);
    ddb_addr_text(&address, path + 10);
    data_put(path, bytes.data, bytes.size);
    data_put("refs/main", address.bytes, sizeof address.bytes);
    ddb_bytes_free(&bytes);
    ddb_mem_arena_free(ctx, &arena);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
}

typedef struct told { char text[8][600]; size_t count; } told;
static int on_told(void *user, const dreamdb_fault_report *fault)
{
    told *t = (told *)user;
    if (t->count < 8) { (void)snprintf(t->text[t->count++], sizeof t->text[0], "%s %s", fault->path, fault->message); }
    return 0;
}

/* An index that two fields share is asked for each of them whether it fits; search and append say the same. */
static void one_index_of_two_fields(void)
{
    static const char *const faults[2] = { "L2 requires raw vectors, field `c` has a compressor", "index has dim 4, field `e` has 6" };
    static const float query[6] = { 1, 2, 3, 4, 5, 6 };
    for (int with_rows = 0; with_rows < 2; with_rows++) {
        dreamdb_config config = data_config(&data_inner);
        dreamdb *db = NULL;
        dreamdb_snapshot *view = NULL;
        dreamdb_verify_report report;
        told t;
        shared_make(with_rows != 0);
        shared_forge();
        config = data_config(&data_inner);
        CHECK(dreamdb_open(&config, "main", &db, NULL) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, NULL) == DREAMDB_OK);
        memset(&t, 0, sizeof t);
        CHECK(dreamdb_verify(view, 0, on_told, &t, &report, &data_error) == DREAMDB_OK && report.faults == t.count && t.count >= 2);
        for (size_t f = 0; f < 2; f++) {
            dreamdb_query search;
            dreamdb_result *found = NULL;
            size_t named = 0;
            for (size_t i = 0; i < t.count; i++) { named += strstr(t.text[i], faults[f]) && strstr(t.text[i], "spatial-index/"); }
            CHECK_EQ_U64(named, 1);
            memset(&search, 0, sizeof search);
            search.field = shared_names[f + 2]; search.vectors = query; search.top_k = 1;
            CHECK(dreamdb_search(view, &search, &found, &data_error) == DREAMDB_ERR_CORRUPT && strstr(data_error.message, faults[f]));
        }
        CHECK(shared_append(db, 8) == DREAMDB_ERR_CORRUPT && (strstr(data_error.message, faults[0]) || strstr(data_error.message, faults[1])));
        dreamdb_snapshot_close(view);
        dreamdb_close(db);
        data_close();
    }
}

int main(void)
{
    RUN(every_class_is_named);
    RUN(stats_count_the_store);
    RUN(log_walks_back);
    RUN(failures_at_every_step);
    RUN(copies_in_two_folders);
    RUN(a_warm_handle_reads_again);
    RUN(one_index_of_two_fields);
    data_unused();
    return test_end("check");
}
