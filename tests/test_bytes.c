/* test_bytes.c - room bytes: slices, the growing buffer and its sticky failure, endian loads at every alignment, UTF-8 against a model. */
#include "test.h"

static int sign(int n) { return n < 0 ? -1 : n > 0; }

static void slices_compare(void)
{
    for (int round = 0; round < 20000; round++) {
        uint8_t a[5], b[5];
        size_t na = (size_t)(test_rand() % 6), nb = (size_t)(test_rand() % 6), i = 0;
        for (size_t k = 0; k < 5; k++) { a[k] = (uint8_t)(test_rand() % 3 * 127); b[k] = (uint8_t)(test_rand() % 3 * 127); }
        while (i < na && i < nb && a[i] == b[i]) { i++; }
        int want = i < na && i < nb ? (a[i] < b[i] ? -1 : 1) : na == nb ? 0 : na < nb ? -1 : 1;
        CHECK(sign(ddb_bytes_compare(ddb_bytes_slice(a, na), ddb_bytes_slice(b, nb))) == want);
        CHECK(ddb_bytes_equal(ddb_bytes_slice(a, na), ddb_bytes_slice(b, nb)) == (want == 0));
    }
    CHECK(ddb_bytes_equal(ddb_bytes_slice(NULL, 0), ddb_bytes_text("")));
    CHECK(ddb_bytes_compare(ddb_bytes_slice(NULL, 0), ddb_bytes_slice(NULL, 0)) == 0);
    CHECK(ddb_bytes_is(ddb_bytes_text("abc"), "abc") && !ddb_bytes_is(ddb_bytes_text("abc"), "ab"));
    CHECK(!ddb_bytes_is(ddb_bytes_slice("a\0b", 3), "a"));
    CHECK(ddb_bytes_starts(ddb_bytes_text("abc"), "ab") && ddb_bytes_starts(ddb_bytes_text("abc"), ""));
    CHECK(!ddb_bytes_starts(ddb_bytes_text("ab"), "abc") && !ddb_bytes_starts(ddb_bytes_text("abc"), "b"));
}

/* Random writes into a buffer and into a plain array. */
static void a_buffer_grows(void)
{
    static uint8_t model[40000];
    for (int round = 0; round < 60; round++) {
        size_t size = 0;
        ddb_buf buf;
        ddb_bytes_init(&buf, test_ctx());
        while (size < 30000) {
            size_t some = (size_t)(test_rand() % (round % 2 ? 30 : 3000));
            uint8_t piece[3000];
            for (size_t i = 0; i < some; i++) { piece[i] = (uint8_t)test_rand(); }
            if (test_rand() % 4 == 0) {
                ddb_bytes_put_u8(&buf, 0xab);
                model[size++] = 0xab;
            } else if (test_rand() % 4 == 0) {
                (void)ddb_bytes_reserve(&buf, some);
                if (!buf.failed) { memset(buf.data + buf.size, 0, some); buf.size += some; }
                memset(model + size, 0, some);
                size += some;
            } else {
                ddb_bytes_put(&buf, piece, some);
                memcpy(model + size, piece, some);
                size += some;
            }
            if (test_rand() % 50 == 0) { size_t before = buf.size; CHECK(ddb_bytes_reserve(&buf, 100) && buf.size == before); }
            if (test_rand() % 400 == 0) { ddb_bytes_clear(&buf); size = 0; }
            CHECK(buf.size == size && buf.cap >= size);
        }
        CHECK(ddb_bytes_status(&buf) == DREAMDB_OK && ddb_bytes_of(&buf).size == size);
        CHECK_BYTES(ddb_bytes_of(&buf).data, model, size);
        ddb_bytes_free(&buf);
        CHECK(buf.data == NULL && buf.size == 0 && buf.cap == 0);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
}

/* One growth fails: all later writes are dropped, what was there stays, clear makes it usable again. */
static void failure_sticks(void)
{
    for (long n = 1; n < 8; n++) {
        ddb_buf buf;
        size_t good = 0;
        ddb_bytes_init(&buf, test_ctx());
        test_fail_alloc_at(n);
        for (int i = 0; i < 100; i++) {
            uint8_t piece[40];
            memset(piece, i, sizeof piece);
            ddb_bytes_put(&buf, piece, sizeof piece);
            good += buf.failed ? 0 : sizeof piece;
        }
        test_fail_alloc_at(0);
        CHECK(buf.failed && ddb_bytes_status(&buf) == DREAMDB_ERR_MEMORY && test_error.status == DREAMDB_ERR_MEMORY);
        CHECK_EQ_U64(buf.size, good);
        for (size_t i = 0; i < good; i++) { CHECK(buf.data[i] == i / 40); }
        CHECK(ddb_bytes_reserve(&buf, 0) == NULL);
        ddb_bytes_put(&buf, "abc", 3);
        ddb_bytes_put_u8(&buf, 3);
        CHECK_EQ_U64(buf.size, good);
        ddb_bytes_clear(&buf);
        ddb_bytes_put(&buf, "again", 5);
        CHECK(ddb_bytes_status(&buf) == DREAMDB_OK && ddb_bytes_is(ddb_bytes_of(&buf), "again"));
        CHECK(ddb_bytes_reserve(&buf, SIZE_MAX - 2) == NULL && buf.failed && test_error.status == DREAMDB_ERR_LIMIT);
        ddb_bytes_free(&buf);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
    ddb_buf empty;
    ddb_bytes_init(&empty, test_ctx());
    ddb_bytes_put(&empty, NULL, 0);
    CHECK(!empty.failed && empty.data != NULL && empty.size == 0);     /* something to point at, though there is nothing in it */
    ddb_bytes_free(&empty);
    ddb_bytes_free(&empty);
}

/* Loads and stores at every alignment, against shifts. */
static void byte_order(void)
{
    uint8_t place[40];
    for (int round = 0; round < 2000; round++) {
        size_t at = (size_t)(test_rand() % 9);
        uint64_t v = test_rand(), little = 0, big = 0;
        memset(place, 0xee, sizeof place);
        ddb_bytes_set_le64(place + at, v);
        for (size_t i = 0; i < 8; i++) { little |= (uint64_t)place[at + i] << (8 * i); big = big << 8 | place[at + i]; }
        CHECK(little == v && ddb_bytes_le64(place + at) == v && ddb_bytes_be64(place + at) == big);
        CHECK(ddb_bytes_le32(place + at) == (uint32_t)v && ddb_bytes_be32(place + at) == (uint32_t)(big >> 32));
        CHECK(ddb_bytes_le16(place + at) == (uint16_t)v && place[at + 8] == 0xee && (at == 0 || place[at - 1] == 0xee));
        ddb_bytes_set_be64(place + at, v);
        CHECK(ddb_bytes_be64(place + at) == v && place[at] == (uint8_t)(v >> 56) && place[at + 8] == 0xee);
        memset(place, 0xee, sizeof place);
        ddb_bytes_set_le32(place + at, (uint32_t)v);
        CHECK(ddb_bytes_le32(place + at) == (uint32_t)v && place[at + 4] == 0xee);
        ddb_bytes_set_be32(place + at, (uint32_t)v);
        CHECK(ddb_bytes_be32(place + at) == (uint32_t)v && place[at + 3] == (uint8_t)v && place[at + 4] == 0xee);
        ddb_bytes_set_le16(place + at, (uint16_t)v);
        CHECK(ddb_bytes_le16(place + at) == (uint16_t)v && place[at + 1] == (uint8_t)(v >> 8));
    }
}

static void floats_any_address(void)
{
    static const uint32_t bits[] = { 0, 0x80000000u, 1, 0x7f800000u, 0x7fc00001u, 0xffabcdefu, 0x3f800000u, 0x00800000u };
    uint8_t bytes[8 * 4 + 3];
    float values[8], back[8];
    memcpy(values, bits, sizeof values);
    for (size_t at = 0; at < 4; at++) {
        memset(bytes, 0xee, sizeof bytes);
        ddb_bytes_set_f32(bytes + at, values, 8 - (at > 3));
        for (size_t i = 0; i < 8; i++) { CHECK(ddb_bytes_le32(bytes + at + 4 * i) == bits[i]); }
        ddb_bytes_get_f32(back, bytes + at, 8);
        CHECK_BYTES(back, bits, sizeof back);                /* NaN payloads and signs of zero too */
    }
    ddb_bytes_get_f32(back, bytes, 0);
}

/* The stupid model: decode by the lengths of RFC 3629, then ask whether the number may be written so. */
static bool model_utf8(const uint8_t *s, size_t size)
{
    size_t i = 0;
    while (i < size) {
        uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 }, c = s[i];
        size_t n = c < 0x80 ? 1 : (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : (c & 0xf8) == 0xf0 ? 4 : 0;
        if (n == 0 || i + n > size) { return false; }
        uint32_t value = n == 1 ? c : c & (0x7fu >> n);
        for (size_t k = 1; k < n; k++) {
            if ((s[i + k] & 0xc0) != 0x80) { return false; }
            value = value << 6 | (s[i + k] & 0x3fu);
        }
        if (value < least[n] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) { return false; }
        i += n;
    }
    return true;
}

static void utf8(void)
{
    static const uint8_t likely[] = { 0, 'a', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
        0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff };
    uint8_t s[4];
    size_t good = 0, n = sizeof likely;
    CHECK(ddb_bytes_utf8(ddb_bytes_slice(NULL, 0)));
    for (uint32_t a = 0; a < 65536; a++) {                   /* all pairs of bytes */
        s[0] = (uint8_t)(a >> 8); s[1] = (uint8_t)a;
        if (ddb_bytes_utf8(ddb_bytes_slice(s, 2)) != model_utf8(s, 2)) { test_ok = 0; }
    }
    for (size_t a = 0; a < n * n * n * n; a++) {             /* all fours of the bytes that matter */
        s[0] = likely[a % n]; s[1] = likely[a / n % n]; s[2] = likely[a / n / n % n]; s[3] = likely[a / n / n / n];
        for (size_t size = 3; size <= 4; size++) {
            bool want = model_utf8(s, size);
            good += want;
            if (ddb_bytes_utf8(ddb_bytes_slice(s, size)) == want) { continue; }
            test_ok = 0;
            printf("utf8 %02x %02x %02x %02x\n", s[0], s[1], s[2], s[3]);
        }
    }
    CHECK(good > 100);
}

int main(void)
{
    RUN(slices_compare);
    RUN(a_buffer_grows);
    RUN(failure_sticks);
    RUN(byte_order);
    RUN(floats_any_address);
    RUN(utf8);
    return test_end("bytes");
}
