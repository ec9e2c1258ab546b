/* Payloads: the objects and rows of the reference; random payloads in every form read back in ranges and as a whole; damage; no memory. */
#include "records.h"

enum { ITEMS = 24 };
static uint8_t *payload[ITEMS];
static dreamdb_slice values[ITEMS];
static uint64_t anchors[ITEMS];
static ddb_addr timeline;
static const char modality[] = "image.jpeg";

/* ---- Golden ---- */

static int golden_each(void *user, const char *path, const dreamdb_stat *stat)
{
    (void)stat;
    (*(size_t *)user)++;
    if (strncmp(path, "fixture/", 8) == 0) { (*(size_t *)user)--; return 0; }
    char other[600];
    dreamdb_blob a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    (void)snprintf(other, sizeof other, "fixture/%s", path);
    CHECK(world_inner.get(world_inner.user, path, 0, 0, &a) == DREAMDB_OK);
    CHECK(world_inner.get(world_inner.user, other, 0, 0, &b) == DREAMDB_OK);
    if (!a.data || !b.data) { printf("%s is not in the fixture\n", path); return 0; }
    CHECK_EQ_U64(a.size, b.size);
    CHECK(a.size == b.size && memcmp(a.data, b.data, (size_t)a.size) == 0);
    if (a.release) { a.release(a.release_user, a.data, a.size); }
    if (b.release) { b.release(b.release_user, b.data, b.size); }
    return 0;
}

static void golden_put(const char *path, const void *data, size_t size)
{
    char other[600];
    (void)snprintf(other, sizeof other, "fixture/%s", path);
    world_put(other, data, size);
}

static void equals_the_reference(void)
{
    size_t size = 0, batches = 0, found = 0;
    char *text = (char *)test_file("tests/golden/records/items.txt", &size), *at = text;
    world_open(0);
    world_pack("tests/fixtures/core-append.pack", golden_put);
    while (at && *at) {
        static uint8_t bytes[8192];
        dreamdb_slice in[64];
        uint64_t when[64];
        ddb_row rows[64];
        ddb_item_batch batch;
        ddb_puts *puts = NULL;
        char tl[64], mod[64];
        unsigned has = 0, chunk = 0, pack = 0;
        int used = 0;
        size_t n = 0, room = 0;
        CHECK(sscanf(at, "items %63s %63s %u %u %u\n%n", tl, mod, &has, &chunk, &pack, &used) == 5);
        at += used;
        while (strncmp(at, "in ", 3) == 0) {
            when[n] = strtoull(at + 3, &at, 10);
            in[n].data = bytes + room;
            in[n].size = unhex(at + 1, bytes + room);
            room += in[n].size;
            at += 2 + 2 * in[n++].size;
        }
        CHECK(ddb_addr_parse(ddb_bytes_text(tl), &timeline));
        memset(&batch, 0, sizeof batch);
        batch.timeline = &timeline;
        batch.modality = ddb_bytes_text(mod);
        batch.has_chunk = has != 0;
        batch.chunk_size = chunk;
        batch.pack_items = pack;
        batch.values = in;
        batch.anchors = when;
        batch.count = n;
        ddb_ctx *ctx = test_ctx();
        CHECK(ddb_object_puts_open(ctx, world_env, &puts) == DREAMDB_OK);
        CHECK(ddb_item_write(ctx, world_env, puts, &batch, rows) == DREAMDB_OK);
        CHECK(ddb_object_flush(ctx, puts) == DREAMDB_OK);
        ddb_object_puts_close(ctx, puts);
        for (size_t i = 0; i < n; i++) {
            char want[64], got[DREAMDB_ADDRESS_TEXT];
            unsigned long long a = 0, b = 0, c = 0, o = 0;
            unsigned flags = 0;
            CHECK(sscanf(at, "row %llu %llu %llu %u %llu %63s\n%n", &a, &b, &c, &flags, &o, want, &used) == 6);
            at += used;
            ddb_addr_text(&rows[i].addr, got);
            CHECK_STR(got, want);
            CHECK(rows[i].t_start == a && rows[i].t_end == b && rows[i].size == c && rows[i].flags == flags && rows[i].offset == o);
        }
        batches++;
    }
    CHECK(batches >= 6);
    CHECK(world_inner.list(world_inner.user, "", golden_each, &found) == DREAMDB_OK);
    CHECK(found > 60);
    free(text);
    world_close();
}

/* ---- Random payloads ---- */

static size_t peak;
static int read_value(void *user, size_t row, uint64_t offset, void *out, size_t size)
{
    (void)user;
    CHECK(offset + size <= values[row].size);
    peak = test_live > peak ? test_live : peak;
    memcpy(out, payload[row] + offset, size);
    return 0;
}

static void make_values(size_t most)
{
    for (size_t i = 0; i < ITEMS; i++) {
        size_t size = i % 7 == 3 ? 0 : test_rand() % 5 == 0 ? test_rand() % most : test_rand() % 3000;
        payload[i] = (uint8_t *)malloc(size + 1);
        for (size_t j = 0; j < size; j++) { payload[i][j] = (uint8_t)test_rand(); }
        if (i == 5) { memcpy(payload[5], payload[4], size < values[4].size ? size : values[4].size); }
        values[i].data = payload[i];
        values[i].size = size;
        anchors[i] = 1000 - 3 * i;
    }
}

static void free_values(void)
{
    for (size_t i = 0; i < ITEMS; i++) { free(payload[i]); payload[i] = NULL; }
}

static dreamdb_status write_values(ddb_ctx *ctx, int64_t chunk, uint64_t pack, bool callback, ddb_row *rows)
{
    ddb_item_batch batch;
    ddb_puts *puts = NULL;
    memset(&batch, 0, sizeof batch);
    memset(timeline.bytes, 0x1e, sizeof timeline.bytes);
    batch.timeline = &timeline;
    batch.modality = ddb_bytes_text(modality);
    batch.has_chunk = chunk >= 0;
    batch.chunk_size = chunk > 0 ? (uint64_t)chunk : 0;
    batch.pack_items = pack;
    batch.values = values;
    batch.read = callback ? read_value : NULL;
    batch.anchors = anchors;
    batch.count = ITEMS;
    dreamdb_status status = ddb_object_puts_open(ctx, world_env, &puts);
    status = status == DREAMDB_OK ? ddb_item_write(ctx, world_env, puts, &batch, rows) : status;
    status = status == DREAMDB_OK ? ddb_object_flush(ctx, puts) : status;
    ddb_object_puts_close(ctx, puts);
    return status;
}

static dreamdb_status read_one(ddb_ctx *ctx, const ddb_row *row, uint64_t offset, uint8_t *out, size_t size, size_t *got)
{
    return ddb_item_read(ctx, world_env, &timeline, ddb_bytes_text(modality), row, offset, out, size, got);
}

static void check_reads(ddb_row *rows)
{
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena = { NULL, 0 };
    ddb_slice loaded[ITEMS];
    static uint8_t out[1 << 20];
    for (int i = 0; i < 200; i++) {
        size_t k = test_rand() % ITEMS, got = 77, have = values[k].size;
        uint64_t offset = test_rand() % (have + 10);
        size_t size = test_rand() % 3 ? test_rand() % 2000 : test_rand() % (have + 10), want = offset >= have ? 0 : have - offset < size ? (size_t)(have - offset) : size;
        CHECK(read_one(ctx, rows + k, offset, out, size, &got) == DREAMDB_OK);
        CHECK_EQ_U64(got, want);
        CHECK(got != want || memcmp(out, payload[k] + (want ? offset : 0), want) == 0);
    }
    CHECK(ddb_item_load(ctx, world_env, &arena, &timeline, ddb_bytes_text(modality), rows, ITEMS, loaded) == DREAMDB_OK);
    for (size_t k = 0; k < ITEMS; k++) {
        CHECK_EQ_U64(loaded[k].size, values[k].size);
        CHECK(loaded[k].data && loaded[k].size == values[k].size && memcmp(loaded[k].data, payload[k], values[k].size) == 0);
    }
    ddb_mem_arena_free(ctx, &arena);
}

static void reads_back(void)
{
    static const int64_t chunks[] = { -1, 1000, 1, 4096, 1 << 20, -1, -1, -1, 0 };
    static const uint64_t packs[] = { 0, 0, 5, 0, 0, 1, 3, 100, 0 };
    for (size_t form = 0; form < 9; form++) {
        ddb_row rows[ITEMS], again[ITEMS];
        make_values(form == 2 || form == 8 ? 300 : 200000);
        world_open(form % 2 ? 1 : 0);                                /* with and without a cache worth the name */
        CHECK(write_values(test_ctx(), chunks[form], packs[form], false, rows) == DREAMDB_OK);
        CHECK(write_values(test_ctx(), chunks[form], packs[form], true, again) == DREAMDB_OK);
        CHECK(memcmp(rows, again, sizeof rows) == 0);
        check_reads(rows);
        world_env_again(0);
        check_reads(rows);
        world_close();
        free_values();
    }
}

static int fail_row(void *user, size_t row, uint64_t offset, void *out, size_t size)
{
    (void)out; (void)size;
    return row == *(size_t *)user && offset > 0;
}

static void rows_are_mapped(void)
{
    ddb_item_batch batch;
    ddb_row rows[3];
    ddb_puts *puts = NULL;
    size_t map[3] = { 7, 0, 2 }, got = 0, bad = 2;
    uint8_t out[4000];
    make_values(3000);
    world_open(0);
    memset(&batch, 0, sizeof batch);
    batch.timeline = &timeline;
    batch.modality = ddb_bytes_text(modality);
    batch.values = values;
    batch.rows = map;
    batch.anchors = anchors;
    batch.count = 3;
    ddb_ctx *ctx = test_ctx();
    CHECK(ddb_object_puts_open(ctx, world_env, &puts) == DREAMDB_OK);
    CHECK(ddb_item_write(ctx, world_env, puts, &batch, rows) == DREAMDB_OK);
    CHECK(ddb_object_flush(ctx, puts) == DREAMDB_OK);
    for (size_t i = 0; i < 3; i++) {
        CHECK(rows[i].t_start == anchors[i] && rows[i].size == values[map[i]].size);
        CHECK(read_one(ctx, rows + i, 0, out, sizeof out, &got) == DREAMDB_OK && got == values[map[i]].size);
        CHECK(memcmp(out, payload[map[i]], got) == 0);
    }
    batch.read = fail_row;
    batch.read_user = &bad;
    values[2].size = 5 << 20;
    batch.has_chunk = true;
    batch.chunk_size = 1 << 20;
    CHECK(ddb_item_write(ctx, world_env, puts, &batch, rows) == DREAMDB_ERR_STORE);
    CHECK(strstr(test_error.message, "row 2") != NULL);
    batch.read = NULL;
    values[2].data = NULL;
    CHECK(ddb_item_write(ctx, world_env, puts, &batch, rows) == DREAMDB_ERR_ARGUMENT);
    ddb_object_puts_close(ctx, puts);
    world_close();
    free_values();
}

static int read_big(void *user, size_t row, uint64_t offset, void *out, size_t size)
{
    (void)user; (void)row;
    peak = test_live > peak ? test_live : peak;
    for (size_t i = 0; i < size; i += 512) { ((uint8_t *)out)[i] = (uint8_t)((offset + i) >> 9 ^ (offset + i) >> 17); }
    return 0;
}

/* Writes one payload of so many bytes through the callback into a fresh store. */
static void write_big(ddb_ctx *ctx, size_t size, uint64_t chunk_size, ddb_row *row)
{
    dreamdb_slice big = { NULL, 0 };
    ddb_item_batch batch;
    ddb_puts *puts = NULL;
    uint64_t when = 4;
    big.size = size;
    memset(&batch, 0, sizeof batch);
    batch.timeline = &timeline;
    batch.modality = ddb_bytes_text(modality);
    batch.has_chunk = true;
    batch.chunk_size = chunk_size;
    batch.values = &big;
    batch.read = read_big;
    batch.anchors = &when;
    batch.count = 1;
    CHECK(ddb_object_puts_open(ctx, world_env, &puts) == DREAMDB_OK);
    CHECK(ddb_item_write(ctx, world_env, puts, &batch, row) == DREAMDB_OK);
    CHECK(ddb_object_flush(ctx, puts) == DREAMDB_OK);
    ddb_object_puts_close(ctx, puts);
}

/* A payload of 96 MB through the callback in 1 MB chunks: the rooms never hold more than the put window and a chunk or two. */
static void callback_is_bounded(void)
{
    ddb_row rows[1];
    uint8_t out[1000], want[1000];
    size_t got = 0;
    world_open(1);
    ddb_ctx *ctx = test_ctx();
    peak = 0;
    write_big(ctx, (size_t)96 << 20, 1 << 20, rows);
    CHECK(peak < (size_t)24 << 20);
    memset(out, 0, sizeof out);
    world_plan.gets = 0;
    CHECK(read_one(ctx, rows, ((uint64_t)50 << 20) - 512, out, 1000, &got) == DREAMDB_OK && got == 1000);
    CHECK_EQ_U64(world_plan.gets, 3);                                /* ItemManifest and the two chunks that meet the range */
    (void)read_big(NULL, 0, ((uint64_t)50 << 20) - 512, want, 1000);
    CHECK(out[0] == want[0] && out[512] == want[512]);
    world_close();
}

/* A chunk of 70 MB without an outboard is hashed piece by piece when a range of it is read. */
static void giant_chunks_are_streamed(void)
{
    ddb_row rows[1];
    uint8_t out[1024], want[1024];
    size_t got = 0;
    world_open(1);
    ddb_ctx *ctx = test_ctx();
    write_big(ctx, (size_t)70 << 20, (uint64_t)1 << 40, rows);
    world_plan.waves = 0;
    CHECK(read_one(ctx, rows, (uint64_t)50 << 20, out, 1024, &got) == DREAMDB_OK && got == 1024);
    (void)read_big(NULL, 0, (uint64_t)50 << 20, want, 1024);
    CHECK(out[0] == want[0] && out[512] == want[512]);
    CHECK(world_plan.waves >= 18);                                   /* pieces of 4 MB, not one read of all */
    world_close();
}

static void loads_in_few_waves(void)
{
    ddb_row rows[ITEMS];
    ddb_slice loaded[ITEMS];
    ddb_arena arena = { NULL, 0 };
    for (int form = 0; form < 2; form++) {
        make_values(100000);
        world_open(0);
        CHECK(write_values(test_ctx(), -1, form ? 4 : 0, false, rows) == DREAMDB_OK);
        world_env_again(0);
        world_plan.waves = 0;
        CHECK(ddb_item_load(test_ctx(), world_env, &arena, &timeline, ddb_bytes_text(modality), rows, ITEMS, loaded) == DREAMDB_OK);
        CHECK_EQ_U64(world_plan.waves, 1);
        ddb_mem_arena_free(test_ctx(), &arena);
        world_close();
        free_values();
    }
}

/* ---- Damage ---- */

static char paths[400][300];
static size_t path_count;
static int keep_path(void *user, const char *path, const dreamdb_stat *stat)
{
    (void)user; (void)stat;
    if (path_count < 400 && strncmp(path, "bao-outboard/", 13) != 0) { (void)snprintf(paths[path_count++], 300, "%s", path); }
    return 0;
}

static void damage_is_seen(void)
{
    for (int form = 0; form < 3; form++) {
        for (int cut = 0; cut < 2; cut++) {
            ddb_row rows[ITEMS];
            ddb_slice loaded[ITEMS];
            ddb_arena arena = { NULL, 0 };
            uint8_t *out = (uint8_t *)malloc(200000);
            size_t bad = 0, got = 0;
            make_values(100000);
            for (size_t i = 0; i < ITEMS; i++) { values[i].size += values[i].size == 0; payload[i][0] = (uint8_t)i; }
            world_open(0);
            CHECK(write_values(test_ctx(), form == 1 ? 5000 : -1, form == 2 ? 4 : 0, false, rows) == DREAMDB_OK);
            world_env_again(0);
            path_count = 0;
            CHECK(world_inner.list(world_inner.user, "", keep_path, NULL) == DREAMDB_OK);
            for (size_t i = 0; i < path_count; i++) { world_damage(paths[i], (size_t)test_rand(), cut); }
            for (size_t i = 0; i < ITEMS; i++) {
                memset(out, 0x55, 200000);
                dreamdb_status status = read_one(test_ctx(), rows + i, 0, out, values[i].size, &got);
                bad += status == DREAMDB_ERR_CORRUPT;
                CHECK(status != DREAMDB_OK || memcmp(out, payload[i], values[i].size) == 0);     /* a range beside the damage may be proved */
                CHECK(status == DREAMDB_OK || (got == 0 && test_error.message[0]));
            }
            CHECK(form == 2 ? bad > 0 : bad == ITEMS);
            CHECK(ddb_item_load(test_ctx(), world_env, &arena, &timeline, ddb_bytes_text(modality), rows, ITEMS, loaded) == DREAMDB_ERR_CORRUPT);
            ddb_mem_arena_free(test_ctx(), &arena);
            world_close();
            free_values();
            free(out);
        }
    }
}

static void outboards_may_go(void)
{
    ddb_row rows[ITEMS];
    make_values(100000);
    world_open(0);
    CHECK(write_values(test_ctx(), -1, 4, false, rows) == DREAMDB_OK);
    for (size_t i = 0; i < ITEMS; i++) {
        char path[100] = "bao-outboard/";
        ddb_addr_text(&rows[i].addr, path + 13);
        CHECK(world_inner.remove(world_inner.user, path) == DREAMDB_OK);
    }
    world_env_again(0);
    check_reads(rows);
    world_close();
    free_values();
}

/* Rows of a hostile Track: sizes and offsets that no object has. */
static void rows_may_lie(void)
{
    ddb_row rows[ITEMS], row;
    ddb_slice loaded[1];
    uint8_t out[64];
    size_t got = 0;
    static const uint64_t lies[] = { 0, 1, 63, 64, 65, 100000, (uint64_t)1 << 31, (uint64_t)1 << 40, INT64_MAX, UINT64_MAX };
    make_values(3000);
    world_open(0);
    for (int form = 0; form < 3; form++) {
        CHECK(write_values(test_ctx(), form == 1 ? 500 : -1, form == 2 ? 4 : 0, false, rows) == DREAMDB_OK);
        for (size_t i = 0; i < 100; i++) {
            ddb_arena arena = { NULL, 0 };
            row = rows[8];
            row.size = lies[i % 10];
            row.offset = lies[i / 10];
            dreamdb_status status = read_one(test_ctx(), &row, row.size > 64 ? row.size - 64 : 0, out, 64, &got);
            CHECK(status <= DREAMDB_OK && (status < 0 || got <= 64));
            row.flags = (uint32_t)(i % 4);
            status = read_one(test_ctx(), &row, 0, out, 64, &got);
            CHECK(status <= DREAMDB_OK);
            if (row.size < (uint64_t)1 << 30 || row.size > (uint64_t)1 << 33) {
                status = ddb_item_load(test_ctx(), world_env, &arena, &timeline, ddb_bytes_text(modality), &row, 1, loaded);
                CHECK(status <= DREAMDB_OK && (row.size <= (uint64_t)1 << 33 || status == DREAMDB_ERR_LIMIT));
            }
            ddb_mem_arena_free(test_ctx(), &arena);
        }
    }
    world_close();
    free_values();
}

static dreamdb_status decode(const uint8_t *data, size_t size, uint64_t total, size_t *count)
{
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena = { NULL, 0 };
    ddb_item_chunk *chunks = NULL;
    uint8_t *copy = (uint8_t *)malloc(size + 1);
    if (!copy) { return DREAMDB_ERR_MEMORY; }
    memcpy(copy, data, size);
    dreamdb_status status = ddb_item_manifest_decode(ctx, &arena, ddb_bytes_slice(copy, size), "p", total, &chunks, count);
    uint64_t sum = 0;
    for (size_t i = 0; i < *count && status == DREAMDB_OK; i++) {
        CHECK_EQ_U64(chunks[i].offset, sum);
        sum += chunks[i].size;
    }
    CHECK(status < 0 || sum == total);
    ddb_mem_arena_free(ctx, &arena);
    free(copy);
    CHECK_EQ_U64(test_live_bytes(), 0);
    return status;
}

static size_t make_manifest(uint8_t *out, uint64_t a, uint64_t b, uint64_t c, uint64_t total)
{
    ddb_buf buf;
    ddb_addr addr;
    memset(addr.bytes, 0x1e, sizeof addr.bytes);
    ddb_bytes_init(&buf, test_ctx());
    ddb_cbor_map(&buf, 2);
    ddb_cbor_str(&buf, "chunks");
    ddb_cbor_array(&buf, 3);
    for (int i = 0; i < 3; i++) {
        ddb_cbor_map(&buf, 2);
        ddb_cbor_str(&buf, "hash");
        ddb_addr_write(&buf, &addr);
        ddb_cbor_str(&buf, "size");
        ddb_cbor_uint(&buf, i == 0 ? a : i == 1 ? b : c);
    }
    ddb_cbor_str(&buf, "total_size");
    ddb_cbor_uint(&buf, total);
    size_t n = buf.size;
    memcpy(out, buf.data, n);
    ddb_bytes_free(&buf);
    return n;
}

static void manifests_are_checked(void)
{
    static uint8_t good[300], bad[301];
    size_t count = 0, n = make_manifest(bad, (uint64_t)1 << 63, (uint64_t)1 << 63, 9, 9);
    CHECK(decode(bad, n, 9, &count) == DREAMDB_ERR_CORRUPT);          /* sizes that add up only modulo 2^64 */
    n = make_manifest(good, 300, 300, 7, 607);
    CHECK(decode(good, n, 607, &count) == DREAMDB_OK && count == 3);
    CHECK(decode(good, n, 608, &count) == DREAMDB_ERR_CORRUPT);
    for (size_t cut = 0; cut < n; cut++) { CHECK(decode(good, cut, 607, &count) == DREAMDB_ERR_CORRUPT); }
    memcpy(bad, good, n);
    bad[n] = 0;
    CHECK(decode(bad, n + 1, 607, &count) == DREAMDB_ERR_CORRUPT);
    for (int i = 0; i < 20000; i++) {
        memcpy(bad, good, n);
        for (uint64_t k = 1 + test_rand() % 2; k > 0; k--) { bad[test_rand() % n] = (uint8_t)test_rand(); }
        (void)decode(bad, n, 607, &count);
    }
}

static void survives_no_memory(void)
{
    make_values(20000);
    for (int form = 0; form < 3; form++) {
        bool done = false;
        for (long fail = 1; !done && fail < 4000; fail += form == 1 ? 7 : 1) {
            ddb_row rows[ITEMS];
            ddb_slice loaded[ITEMS];
            ddb_arena arena = { NULL, 0 };
            static uint8_t out[20000];
            size_t got = 0;
            world_open(0);
            test_fail_alloc_at(fail);
            dreamdb_status status = write_values(test_ctx(), form == 1 ? 900 : -1, form == 2 ? 4 : 0, fail % 2, rows);
            for (size_t i = 0; i < ITEMS && status == DREAMDB_OK; i++) { status = read_one(test_ctx(), rows + i, 100, out, sizeof out, &got); }
            status = status < 0 ? status : ddb_item_load(test_ctx(), world_env, &arena, &timeline, ddb_bytes_text(modality), rows, ITEMS, loaded);
            CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_MEMORY);
            done = test_allocs < fail;
            test_fail_alloc_at(0);
            ddb_mem_arena_free(test_ctx(), &arena);
            world_close();
        }
        CHECK(done);
    }
    free_values();
}

int main(void)
{
    RUN(equals_the_reference);
    RUN(reads_back);
    RUN(rows_are_mapped);
    RUN(callback_is_bounded);
    RUN(giant_chunks_are_streamed);
    RUN(loads_in_few_waves);
    RUN(damage_is_seen);
    RUN(outboards_may_go);
    RUN(rows_may_lie);
    RUN(manifests_are_checked);
    RUN(survives_no_memory);
    return test_end("item");
}
