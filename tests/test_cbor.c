/* Room cbor: bytes by hand, a stupid recursive model beside the reader, broken inputs, allocation failures. */
#include "test.h"

typedef struct { const uint8_t *p; size_t n, at; } model;

/* The rules written down as plainly as possible, recursively; 1 = good. */
static int model_item(model *m, unsigned depth);
static int model_head(model *m, unsigned *major, uint64_t *value)
{
    unsigned info;
    uint64_t v = 0;
    size_t more, i;
    if (m->at >= m->n) { return 0; }
    *major = m->p[m->at] >> 5;
    info = m->p[m->at++] & 31;
    if (*major == 7) { *value = info; return info == 20 || info == 21 || info == 22; }
    if (*major == 6 || info > 27) { return 0; }
    if (info < 24) { *value = info; return 1; }
    more = info == 24 ? 1 : info == 25 ? 2 : info == 26 ? 4 : 8;
    if (m->n - m->at < more) { return 0; }
    for (i = 0; i < more; i++) { v = v * 256 + m->p[m->at++]; }
    *value = v;
    return info == 24 ? v >= 24 : info == 25 ? v > 255 : info == 26 ? v > 65535 : v > 0xffffffffu;
}
static int model_utf8(const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint32_t c = p[i], more, k, low;
        if (c < 0x80) { i++; continue; }
        if (c >= 0xc0 && c < 0xe0) { more = 1; c &= 31; low = 0x80; }
        else if (c >= 0xe0 && c < 0xf0) { more = 2; c &= 15; low = 0x800; }
        else if (c >= 0xf0 && c < 0xf8) { more = 3; c &= 7; low = 0x10000; }
        else { return 0; }
        if (n - i <= more) { return 0; }
        for (k = 1; k <= more; k++) {
            if ((p[i + k] & 0xc0) != 0x80) { return 0; }
            c = c << 6 | (p[i + k] & 63);
        }
        if (c < low || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) { return 0; }
        i += more + 1;
    }
    return 1;
}
static int model_map(model *m, uint64_t n, unsigned depth)
{
    const uint8_t *last = NULL;
    size_t last_size = 0;
    uint64_t i;
    for (i = 0; i < n; i++) {
        unsigned major;
        uint64_t size;
        const uint8_t *key;
        if (!model_head(m, &major, &size) || major != 3 || size > m->n - m->at) { return 0; }
        key = m->p + m->at;
        m->at += (size_t)size;
        if (!model_utf8(key, (size_t)size)) { return 0; }
        if (i > 0 && (size < last_size || (size == last_size && memcmp(last, key, (size_t)size) >= 0))) { return 0; }
        last = key;
        last_size = (size_t)size;
        if (!model_item(m, depth)) { return 0; }
    }
    return 1;
}
static int model_item(model *m, unsigned depth)
{
    unsigned major;
    uint64_t v, i;
    if (!model_head(m, &major, &v)) { return 0; }
    if (major == 2 || major == 3) {
        const uint8_t *p = m->p + m->at;
        if (v > m->n - m->at) { return 0; }
        m->at += (size_t)v;
        return major == 2 || model_utf8(p, (size_t)v);
    }
    if (major == 4 || major == 5) {
        if (v > 0 && depth == 0) { return 0; }
        if (v > (m->n - m->at) / (major == 5 ? 2 : 1)) { return 0; }
        if (major == 5) { return model_map(m, v, depth - 1); }
        for (i = 0; i < v; i++) {
            if (!model_item(m, depth - 1)) { return 0; }
        }
    }
    return 1;
}
static int model_valid(const uint8_t *p, size_t n)
{
    model m;
    m.p = p;
    m.n = n;
    m.at = 0;
    return model_item(&m, DDB_CBOR_DEPTH) && m.at == n;
}

static void hex(const char *text, uint8_t *out, size_t *size)
{
    static const char digits[] = "0123456789abcdef";
    *size = 0;
    while (text[0] && text[1]) {
        out[(*size)++] = (uint8_t)((strchr(digits, text[0]) - digits) << 4 | (strchr(digits, text[1]) - digits));
        text += 2;
    }
}

static void writes_shortest_heads(void)
{
    static const struct { uint64_t value; const char *bytes; } rows[] = {
        { 0, "00" }, { 23, "17" }, { 24, "1818" }, { 255, "18ff" }, { 256, "190100" }, { 65535, "19ffff" }, { 65536, "1a00010000" },
        { 0xffffffffu, "1affffffff" }, { 0x100000000u, "1b0000000100000000" }, { UINT64_MAX, "1bffffffffffffffff" } };
    ddb_buf buf;
    uint8_t want[16];
    size_t i, size;
    ddb_bytes_init(&buf, test_ctx());
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t back = 1;
        ddb_cbor r;
        hex(rows[i].bytes, want, &size);
        ddb_bytes_clear(&buf);
        ddb_cbor_uint(&buf, rows[i].value);
        CHECK_EQ_U64(buf.size, size);
        CHECK_EQ_U64(ddb_cbor_head_size(rows[i].value), size);
        CHECK_BYTES(buf.data, want, size);
        ddb_cbor_open(&r, ddb_bytes_of(&buf));
        CHECK(ddb_cbor_read_uint(&r, &back) && ddb_cbor_end(&r));
        CHECK_EQ_U64(back, rows[i].value);
    }
    ddb_bytes_free(&buf);
}

static void ints_go_both_ways(void)
{
    static const int64_t rows[] = { 0, 1, -1, -24, -25, -256, -257, INT64_MAX, INT64_MIN, 1000000, -1000000 };
    static const struct { int64_t value; const char *bytes; } gold[] = { { -1, "20" }, { -24, "37" }, { -25, "3818" }, { INT64_MIN, "3b7fffffffffffffff" } };
    ddb_buf buf;
    ddb_cbor r;
    uint8_t want[16];
    size_t i, size;
    int64_t back = 5;
    ddb_bytes_init(&buf, test_ctx());
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ddb_bytes_clear(&buf);
        ddb_cbor_int(&buf, rows[i]);
        ddb_cbor_open(&r, ddb_bytes_of(&buf));
        CHECK(ddb_cbor_read_int(&r, &back) && ddb_cbor_end(&r));
        CHECK(back == rows[i]);
    }
    for (i = 0; i < sizeof gold / sizeof gold[0]; i++) {
        hex(gold[i].bytes, want, &size);
        ddb_bytes_clear(&buf);
        ddb_cbor_int(&buf, gold[i].value);
        CHECK(buf.size == size && memcmp(buf.data, want, size) == 0);
    }
    hex("3b8000000000000000", want, &size);               /* -2^63 - 1 */
    ddb_cbor_open(&r, ddb_bytes_slice(want, size));
    CHECK(!ddb_cbor_read_int(&r, &back) && r.failed && r.at == 0);
    hex("1b8000000000000000", want, &size);               /* 2^63 */
    ddb_cbor_open(&r, ddb_bytes_slice(want, size));
    CHECK(!ddb_cbor_read_int(&r, &back));
    ddb_bytes_free(&buf);
}

static void refuses_what_is_not_canonical(void)
{
    static const char *const bad[] = {
        "", "1817", "190017", "1900ff", "1a0000ffff", "1b00000000ffffffff", "5817" /* long head of bytes */, "18", "1901", "1c", "1d", "1e", "1f", "5f", "7f", "9f",
        "bf", "9fff", "c0", "c100", "d818", "e0", "f0", "f3", "f7", "f8", "f814", "f818", "f90000", "fa00000000", "fb0000000000000000", "ff", "41", "4200",
        "61ff", "62c080", "63eda080", "64f4908080", "81", "8200", "a1", "a161", "a10000" /* key not a text */, "a2616200616100" /* order */,
        "a2616100616100" /* twice */, "a262616100616200" /* longer first */, "0000", "9bffffffffffffffff", "bbffffffffffffffff", "5bffffffffffffffff",
        "9a7fffffff00", "a2616100" };
    static const char *const good[] = { "00", "20", "40", "60", "80", "a0", "f4", "f5", "f6", "a2616100616200", "a261620062616100", "8100", "62c3a9", "a16000",
        "82a0a0", "a1616181a1616200" };
    uint8_t bytes[64];
    size_t i, size;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        hex(bad[i], bytes, &size);
        CHECK(!model_valid(bytes, size));
        if (ddb_cbor_valid(ddb_bytes_slice(bytes, size))) { printf("bad %s taken\n", bad[i]); test_ok = 0; }
    }
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        hex(good[i], bytes, &size);
        CHECK(model_valid(bytes, size));
        if (!ddb_cbor_valid(ddb_bytes_slice(bytes, size))) { printf("good %s refused\n", good[i]); test_ok = 0; }
    }
}

/* A random canonical item: keys k0, k1 ... are short and ascending. */
static void random_item(ddb_buf *buf, unsigned depth)
{
    static const char *const texts[] = { "", "a", "\xc3\xa9", "\xf0\x9f\x90\xb8", "hello world, this is longer than twenty-three bytes" };
    unsigned type = (unsigned)(test_rand() % (depth > 0 ? 8 : 6));
    uint64_t n, i;
    char key[16];
    switch (type) {
    case 0: ddb_cbor_uint(buf, test_rand() >> (test_rand() & 63)); break;
    case 1: ddb_cbor_int(buf, -(int64_t)(test_rand() >> (1 + test_rand() % 62))); break;
    case 2: n = test_rand() % 40; ddb_cbor_bytes(buf, "0123456789012345678901234567890123456789", (size_t)n); break;
    case 3: ddb_cbor_str(buf, texts[test_rand() % 5]); break;
    case 4: ddb_cbor_bool(buf, test_rand() & 1); break;
    case 5: ddb_bytes_put_u8(buf, 0xf6); break;
    case 6:
        n = test_rand() % 6;
        ddb_cbor_array(buf, n);
        for (i = 0; i < n; i++) { random_item(buf, depth - 1); }
        break;
    default:
        n = test_rand() % 30;
        ddb_cbor_map(buf, n);
        for (i = 0; i < n; i++) {
            (void)snprintf(key, sizeof key, "k%u", (unsigned)i);
            ddb_cbor_str(buf, key);
            random_item(buf, depth > 1 ? 1 : 0);
        }
        break;
    }
}

static void agrees_with_the_model(void)
{
    ddb_buf buf;
    int round, k;
    size_t bad = 0, good = 0;
    ddb_bytes_init(&buf, test_ctx());
    for (round = 0; round < 3000; round++) {
        ddb_slice raw = { NULL, 0 };
        ddb_cbor r;
        ddb_bytes_clear(&buf);
        random_item(&buf, 4);
        CHECK(ddb_cbor_valid(ddb_bytes_of(&buf)));
        CHECK(model_valid(buf.data, buf.size));
        ddb_cbor_open(&r, ddb_bytes_of(&buf));
        CHECK(ddb_cbor_skip(&r, &raw) && raw.data == buf.data && raw.size == buf.size);
        for (k = 0; k < 40; k++) {
            size_t at = (size_t)(test_rand() % buf.size);
            uint8_t old = buf.data[at];
            int want, got;
            buf.data[at] = (uint8_t)(k & 1 ? old ^ (1u << (test_rand() & 7)) : test_rand());
            want = model_valid(buf.data, buf.size);
            got = ddb_cbor_valid(ddb_bytes_of(&buf));
            CHECK(want == got);
            good += (size_t)got;
            bad += (size_t)!got;
            buf.data[at] = old;
        }
        for (k = 0; k < 10; k++) {
            size_t cut = (size_t)(test_rand() % buf.size);
            CHECK(!ddb_cbor_valid(ddb_bytes_slice(buf.data, cut)));
        }
    }
    CHECK(good > 10000 && bad > 10000);          /* the test tests something */
    ddb_bytes_free(&buf);
}

static void noise_never_breaks_it(void)
{
    uint8_t noise[48];
    int round;
    for (round = 0; round < 200000; round++) {
        size_t size = (size_t)(test_rand() % sizeof noise), i;
        for (i = 0; i < size; i++) { noise[i] = (uint8_t)(test_rand() & 1 ? test_rand() : (test_rand() % 3 == 0 ? 0x80 : 0xa0) + test_rand() % 4); }
        CHECK(model_valid(noise, size) == ddb_cbor_valid(ddb_bytes_slice(noise, size)));
    }
}

static void depth_is_bounded(void)
{
    static uint8_t deep[1000001];
    ddb_cbor r;
    memset(deep, 0x81, sizeof deep);
    deep[DDB_CBOR_DEPTH] = 0;
    CHECK(ddb_cbor_valid(ddb_bytes_slice(deep, DDB_CBOR_DEPTH + 1)));
    deep[DDB_CBOR_DEPTH] = 0x81;
    deep[DDB_CBOR_DEPTH + 1] = 0;
    CHECK(!ddb_cbor_valid(ddb_bytes_slice(deep, DDB_CBOR_DEPTH + 2)));
    deep[DDB_CBOR_DEPTH + 1] = 0x81;
    CHECK(!ddb_cbor_valid(ddb_bytes_slice(deep, sizeof deep)));
    deep[2] = 0;
    ddb_cbor_open(&r, ddb_bytes_slice(deep, 3));
    r.depth = 1;
    CHECK(!ddb_cbor_skip(&r, NULL));
    ddb_cbor_open(&r, ddb_bytes_slice(deep, 3));
    r.depth = 2;
    CHECK(ddb_cbor_skip(&r, NULL) && ddb_cbor_end(&r));
}

static void failure_is_sticky(void)
{
    ddb_cbor r;
    ddb_slice text;
    uint64_t n = 7;
    bool b = true;
    size_t count;
    ddb_cbor_open(&r, ddb_bytes_slice("\x00\x61\x61", 3));
    CHECK(ddb_cbor_peek(&r) == DDB_CBOR_UINT);
    CHECK(!ddb_cbor_read_text(&r, &text));
    CHECK(r.failed && r.at == 0 && r.why);
    CHECK(ddb_cbor_peek(&r) == -1);
    CHECK(!ddb_cbor_read_uint(&r, &n) && n == 7);
    CHECK(!ddb_cbor_read_bool(&r, &b) && !ddb_cbor_read_null(&r) && !ddb_cbor_read_array(&r, &count) && !ddb_cbor_read_map(&r, &count));
    CHECK(!ddb_cbor_skip(&r, NULL) && !ddb_cbor_end(&r));
    CHECK(ddb_cbor_corrupt(test_ctx(), &r, "thing", "a/b") == DREAMDB_ERR_CORRUPT);
    CHECK_STR(test_error.message, "thing: a text is expected here (byte 0)");
    CHECK_STR(test_error.path, "a/b");
    ddb_cbor_open(&r, ddb_bytes_slice("\xf4\xf5\xf6\xf6", 4));
    CHECK(ddb_cbor_read_bool(&r, &b) && !b && ddb_cbor_read_bool(&r, &b) && b);
    CHECK(ddb_cbor_peek_null(&r) && ddb_cbor_read_null(&r) && !ddb_cbor_read_bool(&r, &b));
}

static void loose_allows_any_key_order(void)
{
    static const uint8_t map[] = { 0xa2, 0x61, 'b', 0x00, 0x61, 'a', 0x00 }, twice[] = { 0xa2, 0x61, 'b', 0x00, 0x61, 'b', 0x00 };
    ddb_cbor r;
    ddb_cbor_open(&r, ddb_bytes_slice(map, sizeof map));
    CHECK(!ddb_cbor_skip(&r, NULL));
    ddb_cbor_open(&r, ddb_bytes_slice(map, sizeof map));
    r.loose = true;
    CHECK(ddb_cbor_skip(&r, NULL) && ddb_cbor_end(&r));
    ddb_cbor_open(&r, ddb_bytes_slice(twice, sizeof twice));
    r.loose = true;
    CHECK(!ddb_cbor_skip(&r, NULL));
}

static void maps_are_edited(void)
{
    ddb_buf map, out, want;
    ddb_slice value;
    char key[4] = "k0";
    int have[10], round, i, n;
    ddb_ctx *ctx = test_ctx();
    ddb_bytes_init(&map, ctx);
    ddb_bytes_init(&out, ctx);
    ddb_bytes_init(&want, ctx);
    ddb_cbor_map(&map, 0);
    for (i = 0; i < 10; i++) { have[i] = -1; }
    for (round = 0; round < 500; round++) {      /* a model of ten slots */
        int slot = (int)(test_rand() % 10), put = (int)(test_rand() % 3);
        uint8_t byte = (uint8_t)(test_rand() % 24);
        key[1] = (char)('0' + slot);
        ddb_bytes_clear(&out);
        CHECK(ddb_cbor_map_edit(&out, ddb_bytes_of(&map), key, ddb_bytes_slice(&byte, put ? 1 : 0)));
        have[slot] = put ? byte : -1;
        for (i = n = 0; i < 10; i++) { n += have[i] >= 0; }
        ddb_bytes_clear(&want);
        ddb_cbor_map(&want, (uint64_t)n);
        for (i = 0; i < 10; i++) {
            key[1] = (char)('0' + i);
            if (have[i] >= 0) { ddb_cbor_str(&want, key); ddb_cbor_uint(&want, (uint64_t)have[i]); }
            CHECK(ddb_cbor_map_find(ddb_bytes_of(&out), key, &value) == (have[i] >= 0));
            CHECK(have[i] < 0 || (value.size == 1 && value.data[0] == have[i]));
        }
        CHECK(out.size == want.size && memcmp(out.data, want.data, want.size) == 0);
        ddb_bytes_clear(&map);
        ddb_bytes_put(&map, out.data, out.size);
    }
    ddb_bytes_clear(&out);
    CHECK(!ddb_cbor_map_edit(&out, ddb_bytes_slice("\x80", 1), "k", ddb_bytes_slice("\x00", 1)) && out.size == 0);
    CHECK(!ddb_cbor_map_edit(&out, ddb_bytes_slice("\xa1", 1), "k", ddb_bytes_slice("\x00", 1)) && out.size == 0);
    CHECK(ddb_cbor_map_edit(&out, ddb_bytes_slice(NULL, 0), "k", ddb_bytes_slice("\x05", 1)));
    CHECK(out.size == 4 && memcmp(out.data, "\xa1\x61k\x05", 4) == 0);
    CHECK(!ddb_cbor_map_find(ddb_bytes_slice("\x80", 1), "k", &value) && !ddb_cbor_map_find(ddb_bytes_slice(NULL, 0), "k", &value));
    ddb_bytes_free(&map);
    ddb_bytes_free(&out);
    ddb_bytes_free(&want);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void writer_survives_no_memory(void)
{
    long n;
    for (n = 1; n < 20; n++) {
        ddb_buf buf;
        int i;
        ddb_bytes_init(&buf, test_ctx());
        test_fail_alloc_at(n);
        for (i = 0; i < 5000; i++) { ddb_cbor_uint(&buf, (uint64_t)i * 1000); }
        test_fail_alloc_at(0);
        CHECK(n > 9 || (buf.failed && ddb_bytes_status(&buf) == DREAMDB_ERR_MEMORY && test_error.status == DREAMDB_ERR_MEMORY));
        ddb_bytes_free(&buf);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
}

static void keys_order_by_length_first(void)
{
    CHECK(ddb_cbor_key_compare(ddb_bytes_text("b"), ddb_bytes_text("aa")) < 0);
    CHECK(ddb_cbor_key_compare(ddb_bytes_text("ab"), ddb_bytes_text("aa")) > 0);
    CHECK(ddb_cbor_key_compare(ddb_bytes_text(""), ddb_bytes_text("")) == 0);
}

int main(void)
{
    RUN(writes_shortest_heads);
    RUN(ints_go_both_ways);
    RUN(refuses_what_is_not_canonical);
    RUN(agrees_with_the_model);
    RUN(noise_never_breaks_it);
    RUN(depth_is_bounded);
    RUN(failure_is_sticky);
    RUN(loose_allows_any_key_order);
    RUN(maps_are_edited);
    RUN(writer_survives_no_memory);
    RUN(keys_order_by_length_first);
    return test_end("cbor");
}
