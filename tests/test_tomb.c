/* test_tomb.c - room tomb: the effective set of heads written by the reference and by the verified model, legacy lists, few pages read, hostile heads. */
#include "test.h"

typedef struct bench { dreamdb_store store; ddb_env *env; ddb_puts *puts; } bench;
static void bench_open(bench *b, uint64_t cache_bytes)
{
    dreamdb_config config;
    dreamdb_allocator allocator = test_allocator();
    memset(&config, 0, sizeof config);
    CHECK(dreamdb_store_memory(&allocator, &b->store, NULL) == DREAMDB_OK);
    config.store = &b->store;
    config.allocator = allocator;
    config.threads = 1;
    config.cache_bytes = cache_bytes;
    CHECK(ddb_object_env_open(test_ctx(), &config, &b->env) == DREAMDB_OK);
    CHECK(ddb_object_puts_open(test_ctx(), b->env, &b->puts) == DREAMDB_OK);
}
static void bench_close(bench *b)
{
    ddb_object_puts_close(test_ctx(), b->puts);
    ddb_object_env_close(test_ctx(), b->env);
    dreamdb_store_close(&b->store);
}
static void bench_put(bench *b, ddb_slice bytes, ddb_addr *out)
{
    CHECK(ddb_object_put(test_ctx(), b->puts, "tombstones", bytes, 0, out) == DREAMDB_OK && ddb_object_flush(test_ctx(), b->puts) == DREAMDB_OK);
}
static char *word(char **at)
{
    char *start = *at, *end = start;
    while (*end && *end != ' ' && *end != '\n') { end++; }
    *at = *end == ' ' ? end + 1 : end;
    if (*end == '\n') { *at = end; }
    *end = 0;
    return start;
}
static int compare_u64(const void *a, const void *b) { uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b; return x < y ? -1 : x > y; }
static bool in_list(const uint64_t *list, size_t count, uint64_t x) { return count > 0 && bsearch(&x, list, count, sizeof x, compare_u64) != NULL; }

/* The set under a head is exactly the list. */
static void check_set(bench *b, const ddb_addr *head, const ddb_addr *timeline, const uint64_t *list, size_t count)
{
    ddb_tomb *tomb = NULL;
    uint64_t asked[400], n = 0, *all = NULL;
    uint8_t deleted[400];
    size_t all_count = 0, cap = 0;
    if (ddb_tomb_open(test_ctx(), b->env, head, timeline, &tomb) != DREAMDB_OK) { printf("%s\n", test_error.message); CHECK(false); return; }
    CHECK(ddb_tomb_count(test_ctx(), tomb, &n) == DREAMDB_OK);
    CHECK_EQ_U64(n, count);
    CHECK(ddb_tomb_empty(tomb) == (count == 0));
    CHECK(ddb_tomb_anchors(test_ctx(), tomb, &all, &all_count, &cap) == DREAMDB_OK);
    CHECK(all_count == count && (count == 0 || memcmp(all, list, count * sizeof *list) == 0));
    ddb_mem_drop(test_ctx(), all, uint64_t, cap);
    for (int turn = 0; turn < 30; turn++) {
        size_t some = turn == 0 ? 0 : turn < 5 ? 1 : 400;
        for (size_t i = 0; i < some; i++) {
            uint64_t r = test_rand() % 4;
            asked[i] = r == 0 ? test_rand() : r == 1 || count == 0 ? test_rand() % 1200 : list[test_rand() % count] + (r == 2 ? 0 : test_rand() % 3 - 1);
        }
        qsort(asked, some, sizeof asked[0], compare_u64);
        CHECK(ddb_tomb_test(test_ctx(), tomb, asked, some, deleted) == DREAMDB_OK);
        for (size_t i = 0; i < some; i++) { if (deleted[i] != in_list(list, count, asked[i])) { CHECK_EQ_U64(asked[i], 0); break; } }
    }
    CHECK(ddb_tomb_walk(test_ctx(), tomb, NULL, NULL) == DREAMDB_OK);
    ddb_tomb_close(test_ctx(), tomb);
}
/* Runs each head of the file: 0 = check sets, 1 = memory fails at each N, 2 = damaged objects. */
static void run_file(int mode)
{
    size_t size = 0;
    char *file = (char *)test_file("tests/golden/tomb/tomb.txt", &size), *line = file;
    uint64_t *list = (uint64_t *)malloc(20000 * sizeof *list);
    uint8_t *bytes = (uint8_t *)malloc(1 << 20);
    ddb_addr timeline, addr, want;
    bench b;
    unsigned heads = 0;
    memset(&timeline, 0, sizeof timeline);
    bench_open(&b, 1);
    while (file && *line) {
        char *next = strchr(line, '\n'), *verb = word(&line), *text = word(&line);
        if (strcmp(verb, "timeline") == 0) {
            CHECK(ddb_addr_parse(ddb_bytes_text(text), &timeline));
        } else if (strcmp(verb, "object") == 0) {
            char *hex = word(&line);
            size_t n = strlen(hex) / 2;
            for (size_t i = 0; i < n; i++) {
                unsigned hi = (unsigned)(hex[2 * i] <= '9' ? hex[2 * i] - '0' : hex[2 * i] - 'a' + 10), lo = (unsigned)(hex[2 * i + 1] <= '9' ? hex[2 * i + 1] - '0' : hex[2 * i + 1] - 'a' + 10);
                bytes[i] = (uint8_t)(hi << 4 | lo);
            }
            CHECK(ddb_addr_parse(ddb_bytes_text(text), &want));
            bench_put(&b, ddb_bytes_slice(bytes, n), &addr);
            CHECK(ddb_addr_equal(&addr, &want));
            for (int i = 0; mode == 2 && i < 400; i++) {          /* under its right hash, so that only the form can tell */
                ddb_tomb *tomb = NULL;
                uint8_t *bad = (uint8_t *)malloc(n + 1), deleted[3];
                uint64_t asked[3] = { 4, 7, 1000 };
                size_t cut = i % 4 == 0 ? (size_t)(test_rand() % n) : n;
                memcpy(bad, bytes, n);
                bad[test_rand() % n] = (uint8_t)(i % 2 ? test_rand() : (uint64_t)bad[test_rand() % n] ^ 1);
                bad = (uint8_t *)realloc(bad, cut + (cut == 0));
                bench_put(&b, ddb_bytes_slice(bad, cut), &addr);
                dreamdb_status status = ddb_tomb_open(test_ctx(), b.env, &addr, &timeline, &tomb);
                if (status == DREAMDB_OK) {
                    status = ddb_tomb_test(test_ctx(), tomb, asked, 3, deleted);
                    CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_CORRUPT || status == DREAMDB_ERR_NOT_FOUND);
                    ddb_tomb_close(test_ctx(), tomb);
                } else {
                    CHECK(status == DREAMDB_ERR_CORRUPT || status == DREAMDB_ERR_FORMAT || status == DREAMDB_ERR_NOT_FOUND);
                }
                free(bad);
            }
        } else {
            size_t count = 0;
            (void)ddb_addr_parse(ddb_bytes_text(word(&line)), &addr);
            while (*line && *line != '\n' && line < next) { list[count++] = strtoull(line, &line, 10); line += *line == ' '; }
            heads++;
            if (mode == 0) { check_set(&b, &addr, &timeline, list, count); }
            dreamdb_status status = DREAMDB_ERR_MEMORY;
            for (long n = 1; mode == 1 && status == DREAMDB_ERR_MEMORY; n++) {
                ddb_tomb *tomb = NULL;
                ddb_ctx *ctx = test_ctx();
                uint8_t deleted[4];
                uint64_t total = 0, asked[4] = { 4, 7, 1000, UINT64_MAX };
                test_fail_alloc_at(n);
                status = ddb_tomb_open(ctx, b.env, &addr, &timeline, &tomb);
                status = status < 0 ? status : ddb_tomb_test(ctx, tomb, asked, 4, deleted);
                status = status < 0 ? status : ddb_tomb_count(ctx, tomb, &total);
                test_fail_alloc_at(0);
                CHECK(status == DREAMDB_OK || (status == DREAMDB_ERR_MEMORY && test_error.status == status));
                CHECK(status != DREAMDB_OK || total == count);
                ddb_tomb_close(ctx, tomb);
            }
        }
        line = next ? next + 1 : file + size;
    }
    CHECK(heads > 10);
    bench_close(&b);
    free(file);
    free(list);
    free(bytes);
    CHECK_EQ_U64(test_live_bytes(), 0);
}
static void sets_of_heads(void) { run_file(0); }
static void memory_fails(void) { run_file(1); }
static void damaged_objects(void) { run_file(2); }

/* One page of a level; returns its summary. */
static void write_summary(ddb_buf *buf, const ddb_page_child *c)
{
    ddb_cbor_map(buf, 5);
    ddb_cbor_str(buf, "max"); ddb_cbor_uint(buf, c->high.number);
    ddb_cbor_str(buf, "min"); ddb_cbor_uint(buf, c->low.number);
    ddb_cbor_str(buf, "hash"); ddb_addr_write(buf, &c->addr);
    ddb_cbor_str(buf, "count"); ddb_cbor_uint(buf, c->rows);
    ddb_cbor_str(buf, "level"); ddb_cbor_uint(buf, c->level);
}
static void few_pages_are_read(void)
{
    enum { LEAVES = 400, IN_LEAF = 100 };
    static ddb_page_child nodes[LEAVES];
    static uint64_t asked[5000];
    static uint8_t deleted[5000];
    size_t count = LEAVES;
    ddb_addr timeline, head;
    ddb_tomb *tomb = NULL;
    ddb_buf buf;
    bench b;
    uint64_t total = 0;
    bench_open(&b, 1);
    ddb_bytes_init(&buf, test_ctx());
    memset(&timeline, 5, sizeof timeline);
    timeline.bytes[0] = 0x1e;
    for (uint64_t i = 0; i < LEAVES; i++) {
        ddb_bytes_clear(&buf);
        ddb_cbor_map(&buf, 3);
        ddb_cbor_str(&buf, "kind"); ddb_cbor_str(&buf, "dreamdb.tombstone-page.v1");
        ddb_cbor_str(&buf, "level"); ddb_cbor_uint(&buf, 0);
        ddb_cbor_str(&buf, "entries"); ddb_cbor_array(&buf, IN_LEAF);
        for (uint64_t j = 0; j < IN_LEAF; j++) {
            ddb_cbor_map(&buf, 2);
            ddb_cbor_str(&buf, "anchor"); ddb_cbor_uint(&buf, (i * IN_LEAF + j) * 10);
            ddb_cbor_str(&buf, "deleted_at"); ddb_cbor_uint(&buf, 1);
        }
        memset(nodes + i, 0, sizeof nodes[i]);
        nodes[i].low.number = i * IN_LEAF * 10;
        nodes[i].high.number = (i * IN_LEAF + IN_LEAF - 1) * 10;
        nodes[i].rows = IN_LEAF;
        bench_put(&b, ddb_bytes_of(&buf), &nodes[i].addr);
    }
    for (uint32_t level = 1; count > 1; level++) {
        size_t made = 0;
        for (size_t from = 0; from < count; from += 100, made++) {
            ddb_page_child c;
            size_t some = count - from < 100 ? count - from : 100;
            memset(&c, 0, sizeof c);
            ddb_bytes_clear(&buf);
            ddb_cbor_map(&buf, 3);
            ddb_cbor_str(&buf, "kind"); ddb_cbor_str(&buf, "dreamdb.tombstone-page.v1");
            ddb_cbor_str(&buf, "level"); ddb_cbor_uint(&buf, level);
            ddb_cbor_str(&buf, "children"); ddb_cbor_array(&buf, some);
            for (size_t i = 0; i < some; i++) { write_summary(&buf, nodes + from + i); c.rows += nodes[from + i].rows; }
            c.low = nodes[from].low;
            c.high = nodes[from + some - 1].high;
            c.level = level;
            bench_put(&b, ddb_bytes_of(&buf), &c.addr);
            nodes[made] = c;
        }
        count = made;
    }
    ddb_bytes_clear(&buf);
    ddb_cbor_map(&buf, 5);
    ddb_cbor_str(&buf, "kind"); ddb_cbor_str(&buf, "dreamdb.tombstone-index.v1");
    ddb_cbor_str(&buf, "root"); write_summary(&buf, nodes);
    ddb_cbor_str(&buf, "parents"); ddb_cbor_array(&buf, 0);
    ddb_cbor_str(&buf, "timeline"); ddb_addr_write(&buf, &timeline);
    ddb_cbor_str(&buf, "issued_at"); ddb_cbor_uint(&buf, 1);
    bench_put(&b, ddb_bytes_of(&buf), &head);
    CHECK(nodes[0].level == 2);
    CHECK(ddb_tomb_open(test_ctx(), b.env, &head, &timeline, &tomb) == DREAMDB_OK);
    CHECK(ddb_tomb_count(test_ctx(), tomb, &total) == DREAMDB_OK);
    CHECK_EQ_U64(total, (uint64_t)LEAVES * IN_LEAF);
    uint64_t gets = b.env->gets, waves = b.env->waves;
    asked[0] = 123450;
    CHECK(ddb_tomb_test(test_ctx(), tomb, asked, 1, deleted) == DREAMDB_OK && deleted[0] == 1);
    CHECK_EQ_U64(b.env->gets - gets, 3);
    CHECK_EQ_U64(b.env->waves - waves, 3);
    gets = b.env->gets;
    for (size_t i = 0; i < 5000; i++) { asked[i] = 200003 + i; }           /* 5 leaves, 1 or 2 inner pages, the root */
    CHECK(ddb_tomb_test(test_ctx(), tomb, asked, 5000, deleted) == DREAMDB_OK);
    CHECK(b.env->gets - gets <= 9);
    for (size_t i = 0; i < 5000; i++) { CHECK(deleted[i] == (asked[i] % 10 == 0)); }
    gets = b.env->gets;
    asked[0] = UINT64_MAX;
    CHECK(ddb_tomb_test(test_ctx(), tomb, asked, 1, deleted) == DREAMDB_OK && deleted[0] == 0);
    CHECK_EQ_U64(b.env->gets, gets);
    ddb_tomb_close(test_ctx(), tomb);
    CHECK(ddb_tomb_open(test_ctx(), b.env, NULL, &timeline, &tomb) == DREAMDB_OK && ddb_tomb_empty(tomb) && ddb_tomb_empty(NULL));
    CHECK(ddb_tomb_test(test_ctx(), tomb, asked, 5, deleted) == DREAMDB_OK && deleted[0] == 0);
    ddb_tomb_close(test_ctx(), tomb);
    ddb_bytes_free(&buf);
    bench_close(&b);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Heads that cannot be read are errors with the right status, never an empty set. */
static void refuses_heads(void)
{
    static const struct { const char *text; dreamdb_status status; const char *says; } bad[] = {
        { "\xa0", DREAMDB_ERR_CORRUPT, "empty map" },
        { "\x80", DREAMDB_ERR_CORRUPT, "map" },
        { "\xa1\x64" "kind\x63" "abc", DREAMDB_ERR_FORMAT, "abc" },
        { "\xa1\x64" "keyd\x63" "abc", DREAMDB_ERR_CORRUPT, "kind" },
        { "\xa1\x64" "kind\x78\x1a" "dreamdb.tombstone-index.v1", DREAMDB_ERR_CORRUPT, "missing key" },
        { "\xa1\x64" "kind\x78\x19" "dreamdb.tombstone-list.v1", DREAMDB_ERR_CORRUPT, "no anchors" },
        { "\xa2\x64" "kind\x78\x19" "dreamdb.tombstone-list.v2" "\x67" "anchors\x80", DREAMDB_ERR_CORRUPT, "timeline" },
        { "\xa2\x64" "kind\x78\x19" "dreamdb.tombstone-list.v1" "\x67" "anchors\x82\xa1\x66" "anchor\x05\xa1\x66" "anchor\x05", DREAMDB_ERR_CORRUPT, "order" },
        { "\xa2\x64" "kind\x78\x19" "dreamdb.tombstone-list.v1" "\x67" "anchors\x81\xa1\x66" "anchos\x05", DREAMDB_ERR_CORRUPT, "no anchor" },
        { "\xa2\x64" "kind\x78\x19" "dreamdb.tombstone-list.v1" "\x67" "anchors\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", DREAMDB_ERR_CORRUPT, "count" },
    };
    ddb_addr timeline, addr;
    ddb_tomb *tomb = NULL;
    bench b;
    bench_open(&b, 1);
    memset(&timeline, 0x1e, sizeof timeline);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bench_put(&b, ddb_bytes_text(bad[i].text), &addr);
        dreamdb_status status = ddb_tomb_open(test_ctx(), b.env, &addr, &timeline, &tomb);
        if (status != bad[i].status || !strstr(test_error.message, bad[i].says) || strncmp(test_error.path, "tombstones/d", 12) != 0) {
            printf("case %u: %d %s [%s]\n", (unsigned)i, (int)status, test_error.message, test_error.path);
            CHECK(false);
        }
        CHECK(tomb == NULL);
    }
    CHECK(ddb_tomb_open(test_ctx(), b.env, &timeline, &timeline, &tomb) == DREAMDB_ERR_NOT_FOUND && tomb == NULL);
    bench_close(&b);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static uint64_t splitmix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static size_t from_hex(const char *text, uint8_t *out, size_t room)
{
    size_t size = 0;
    for (; size < room && text[2 * size] && text[2 * size + 1]; size++) {
        char two[3] = { text[2 * size], text[2 * size + 1], 0 };
        out[size] = (uint8_t)strtoul(two, NULL, 16);
    }
    return size;
}

/* Deletions one after the other give the heads that the model (make_tomb.py) gives; the set is what was deleted. */
static void deletions(void)
{
    enum { MOST = 60000 };
    size_t size = 0, all_count = 0;
    char *file = (char *)test_file("tests/golden/tomb/deletes.txt", &size), *line = file;
    uint64_t *all = (uint64_t *)malloc(MOST * sizeof *all), *now = (uint64_t *)malloc(MOST * sizeof *now);
    ddb_addr timeline, head, want;
    unsigned steps = 0;
    bench b;
    for (size_t i = 1; i < sizeof timeline.bytes; i++) { timeline.bytes[i] = (uint8_t)(i - 1); }
    timeline.bytes[0] = 0x1e;
    bench_open(&b, 1 << 20);
    while (file && all && now && *line && test_ok) {
        char *next = strchr(line, '\n');
        uint64_t ms = strtoull(word(&line), NULL, 10);
        const char *shown = word(&line);
        uint8_t reason[256];
        size_t reason_size = shown[0] == '-' || shown[0] == '.' ? 0 : from_hex(shown, reason, sizeof reason), count, left;
        uint64_t seed = strtoull(word(&line), NULL, 10), shift = strtoull(word(&line), NULL, 10);
        ddb_tomb *tomb = NULL;
        count = (size_t)strtoull(word(&line), NULL, 10);
        CHECK(from_hex(word(&line), want.bytes, sizeof want.bytes) == sizeof want.bytes);
        for (size_t i = 0; i < count; i++) { all[all_count + i] = now[i] = splitmix(seed + i) >> shift; }
        qsort(now, count, sizeof *now, compare_u64);
        left = ddb_coll_unique_u64(now, count);
        CHECK(ddb_tomb_open(test_ctx(), b.env, steps > 0 ? &head : NULL, &timeline, &tomb) == DREAMDB_OK);
        CHECK(ddb_tomb_delete(test_ctx(), tomb, b.puts, now, left, ddb_bytes_slice(shown[0] == '-' ? NULL : reason, reason_size), ms, &head) == DREAMDB_OK);
        CHECK(ddb_object_flush(test_ctx(), b.puts) == DREAMDB_OK);
        CHECK_BYTES(head.bytes, want.bytes, sizeof head.bytes);
        ddb_tomb_close(test_ctx(), tomb);
        all_count += count;
        qsort(all, all_count, sizeof *all, compare_u64);
        all_count = ddb_coll_unique_u64(all, all_count);
        check_set(&b, &head, &timeline, all, all_count);
        line = next ? next + 1 : line;
        steps++;
    }
    CHECK(steps == 29);
    free(file); free(all); free(now);
    bench_close(&b);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Over a legacy list, and over an index of another Timeline: a fresh tree whose parent is the old head.  Over an index without a root:
   a fresh tree with that index's parents. */
static void deletes_over_other_heads(void)
{
    uint64_t first[] = { 5, 9 }, more[] = { 7 };
    ddb_addr timeline, other, heads[4];
    ddb_slice none = { NULL, 0 };
    ddb_tomb *tomb = NULL;
    ddb_buf buf;
    bench b;
    bench_open(&b, 1 << 20);
    memset(&timeline, 0x1e, sizeof timeline);
    memset(&other, 0x1e, sizeof other);
    other.bytes[5] = 1;
    bench_put(&b, ddb_bytes_text("\xa2\x64" "kind\x78\x19" "dreamdb.tombstone-list.v1" "\x67" "anchors\x81\xa1\x66" "anchor\x05"), &heads[0]);
    CHECK(ddb_tomb_open(test_ctx(), b.env, &heads[0], &timeline, &tomb) == DREAMDB_OK);
    CHECK(ddb_tomb_delete(test_ctx(), tomb, b.puts, more, 1, none, 1, &heads[1]) == DREAMDB_OK && ddb_object_flush(test_ctx(), b.puts) == DREAMDB_OK);
    ddb_tomb_close(test_ctx(), tomb);
    CHECK(ddb_tomb_open(test_ctx(), b.env, NULL, &other, &tomb) == DREAMDB_OK);
    CHECK(ddb_tomb_delete(test_ctx(), tomb, b.puts, first + 1, 1, none, 1, &heads[2]) == DREAMDB_OK && ddb_object_flush(test_ctx(), b.puts) == DREAMDB_OK);
    ddb_tomb_close(test_ctx(), tomb);
    uint64_t five_seven[] = { 5, 7 };
    check_set(&b, &heads[1], &timeline, five_seven, 2);
    check_set(&b, &heads[2], &timeline, NULL, 0);
    check_set(&b, &heads[2], &other, first + 1, 1);
    CHECK(ddb_tomb_open(test_ctx(), b.env, &heads[2], &timeline, &tomb) == DREAMDB_OK);
    CHECK(ddb_tomb_delete(test_ctx(), tomb, b.puts, more, 1, none, 1, &heads[3]) == DREAMDB_OK && ddb_object_flush(test_ctx(), b.puts) == DREAMDB_OK);
    CHECK(tomb->parent_count == 0 && !tomb->own);
    ddb_tomb_close(test_ctx(), tomb);
    check_set(&b, &heads[3], &timeline, more, 1);
    check_set(&b, &heads[3], &other, first + 1, 1);
    size_t low = ddb_addr_compare(&heads[1], &heads[3]) < 0 ? 1 : 3;
    ddb_bytes_init(&buf, test_ctx());
    ddb_cbor_map(&buf, 5);
    ddb_cbor_str(&buf, "kind"); ddb_cbor_str(&buf, "dreamdb.tombstone-index.v1");
    ddb_cbor_str(&buf, "root"); ddb_bytes_put(&buf, "\xf6", 1);
    ddb_cbor_str(&buf, "parents"); ddb_cbor_array(&buf, 2); ddb_addr_write(&buf, &heads[low]); ddb_addr_write(&buf, &heads[4 - low]);
    ddb_cbor_str(&buf, "timeline"); ddb_addr_write(&buf, &timeline);
    ddb_cbor_str(&buf, "issued_at"); ddb_cbor_uint(&buf, 1);
    bench_put(&b, ddb_bytes_of(&buf), &heads[0]);
    check_set(&b, &heads[0], &timeline, five_seven, 2);
    CHECK(ddb_tomb_open(test_ctx(), b.env, &heads[0], &timeline, &tomb) == DREAMDB_OK);
    CHECK(tomb->own && tomb->parent_count == 2 && !tomb->has_root);
    CHECK(ddb_tomb_delete(test_ctx(), tomb, b.puts, first, 2, none, 1, &heads[2]) == DREAMDB_OK && ddb_object_flush(test_ctx(), b.puts) == DREAMDB_OK);
    ddb_tomb_close(test_ctx(), tomb);
    uint64_t three[] = { 5, 7, 9 };
    check_set(&b, &heads[2], &timeline, three, 3);
    CHECK(ddb_tomb_open(test_ctx(), b.env, &heads[2], &timeline, &tomb) == DREAMDB_OK);
    CHECK(tomb->own && tomb->parent_count == 2 && tomb->has_root);
    ddb_tomb_close(test_ctx(), tomb);
    ddb_bytes_free(&buf);
    bench_close(&b);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

int main(void)
{
    RUN(deletions);
    RUN(deletes_over_other_heads);
    RUN(sets_of_heads);
    RUN(few_pages_are_read);
    RUN(refuses_heads);
    RUN(memory_fails);
    RUN(damaged_objects);
    return test_end("tomb");
}
