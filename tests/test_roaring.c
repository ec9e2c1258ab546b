/* Postings: against a model that knows only FORMAT.md 12, golden bytes of the reference, and every way to be malformed. */
#include "test.h"

/* The stupid model: groups, containers, bytes, one after the other, bit by bit. */
static size_t model(uint8_t *out, const uint64_t *a, size_t n)
{
    size_t at = 9, groups = 0, i, j, k;
    for (i = 0; i < n; i = j) {
        size_t start = at, containers = 0, head;
        for (j = i; j < n && a[j] >> 32 == a[i] >> 32; j++) { containers += j == i || a[j] >> 16 != a[j - 1] >> 16; }
        groups++;
        for (k = 0; k < 4; k++) { out[at++] = (uint8_t)(a[i] >> (32 + 8 * k)); }
        out[at++] = 0x3a; out[at++] = 0x30; out[at++] = 0; out[at++] = 0;
        for (k = 0; k < 4; k++) { out[at++] = (uint8_t)(containers >> 8 * k); }
        head = at;
        at += containers * 8;
        for (size_t c = 0, x = i, y; c < containers; c++, x = y) {
            size_t offset = at - start - 4;
            for (y = x; y < n && a[y] >> 16 == a[x] >> 16; y++) { }
            out[head + 4 * c] = (uint8_t)(a[x] >> 16); out[head + 4 * c + 1] = (uint8_t)(a[x] >> 24);
            out[head + 4 * c + 2] = (uint8_t)(y - x - 1); out[head + 4 * c + 3] = (uint8_t)((y - x - 1) >> 8);
            for (k = 0; k < 4; k++) { out[head + 4 * containers + 4 * c + k] = (uint8_t)(offset >> 8 * k); }
            if (y - x <= 4096) {
                for (k = x; k < y; k++) { out[at++] = (uint8_t)a[k]; out[at++] = (uint8_t)(a[k] >> 8); }
            } else {
                memset(out + at, 0, 8192);
                for (k = x; k < y; k++) { out[at + (a[k] >> 3 & 0x1fff)] = (uint8_t)(out[at + (a[k] >> 3 & 0x1fff)] | 1 << (a[k] & 7)); }
                at += 8192;
            }
        }
    }
    out[0] = 1;
    for (k = 0; k < 8; k++) { out[1 + k] = (uint8_t)(groups >> 8 * k); }
    return at;
}

static uint64_t list[200000], back[200000];
static uint8_t bytes[4 << 20];

static size_t make(size_t n, int shape)
{
    uint64_t at = shape == 4 ? DREAMDB_ANCHOR_MAX - 3 * n : test_rand() >> (shape * 9);
    for (size_t i = 0; i < n; i++) {
        list[i] = at;
        at += shape == 0 ? 1 + test_rand() % 3 : shape == 1 ? 1 : shape == 2 ? 1 + test_rand() % 100000 : shape == 3 ? 1 + test_rand() % ((uint64_t)1 << 33) : 1 + test_rand() % 3;
    }
    return n;
}

static void check_one(size_t n)
{
    ddb_ctx *ctx = test_ctx();
    ddb_buf buf;
    uint64_t *out = NULL;
    size_t count = 0, size = model(bytes, list, n);
    ddb_bytes_init(&buf, ctx);
    ddb_roaring_encode(&buf, list, n);
    CHECK_EQ_U64(buf.size, size);
    CHECK(buf.size == size && memcmp(buf.data, bytes, size) == 0);
    CHECK(ddb_roaring_decode(ctx, ddb_bytes_of(&buf), "p", &out, &count) == DREAMDB_OK);
    CHECK_EQ_U64(count, n);
    CHECK(count == n && memcmp(out, list, n * 8) == 0);
    for (int i = 0; i < 50 && n > 0; i++) {
        uint64_t x = list[test_rand() % n] + test_rand() % 3 - 1;
        size_t at = ddb_coll_lower_u64(list, n, x);
        CHECK(ddb_roaring_contains(ddb_bytes_of(&buf), x) == (at < n && list[at] == x));
    }
    ddb_mem_drop(ctx, out, uint64_t, count);
    ddb_bytes_free(&buf);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void equals_the_model(void)
{
    static const size_t sizes[] = { 0, 1, 2, 3, 4095, 4096, 4097, 4098, 5000, 65535, 65536, 65537, 150000 };
    for (int shape = 0; shape < 5; shape++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) { check_one(make(sizes[i], shape)); }
        for (int i = 0; i < 60; i++) { check_one(make(test_rand() % 300, shape)); }
    }
}

static void writes_no_runs(void)
{
    for (size_t i = 0; i < 5000; i++) { list[i] = 70000 + i; }      /* 5000 neighbours in one container: 8192 bytes (FORMAT.md 12) */
    check_one(5000);
    CHECK_EQ_U64(model(bytes, list, 5000), 9 + 12 + 8 + 8192);
    list[0] = 7;
    CHECK_EQ_U64(model(bytes, list, 1), 31);
}

/* Postings that the reference wrote (fixtures/scalar-kinds, core-append): "HEX anchor anchor ..." a line. */
static size_t unhex(const char *text, uint8_t *out)
{
    size_t n = 0;
    unsigned x = 0;
    while (sscanf(text + 2 * n, "%2x", &x) == 1 && text[2 * n] > ' ') { out[n++] = (uint8_t)x; }
    return n;
}

static void reads_the_reference(void)
{
    size_t size = 0, lines = 0;
    char *text = (char *)test_file("tests/golden/records/postings.txt", &size), *at = text;
    while (at && *at) {
        size_t n = unhex(at, bytes + (2 << 20)), count = 0;
        at += 2 * n;
        while (*at == ' ') { list[count++] = strtoull(at + 1, &at, 10); }
        CHECK_EQ_U64(model(bytes, list, count), n);
        CHECK_BYTES(bytes, bytes + (2 << 20), n);
        check_one(count);
        lines++;
        at += *at == '\n';
    }
    CHECK(lines >= 20);
    free(text);
}

static dreamdb_status decode(const uint8_t *data, size_t size, size_t *count)
{
    ddb_ctx *ctx = test_ctx();
    uint64_t *out = NULL;
    uint8_t *copy = (uint8_t *)malloc(size + 1);                     /* its own block, so that a sanitizer sees the edge */
    if (!copy) { return DREAMDB_ERR_MEMORY; }
    uint8_t *data_at = size % 2 ? copy : copy + 1;                   /* ends flush with the block half of the time */
    memcpy(data_at, data, size);
    dreamdb_status status = ddb_roaring_decode(ctx, ddb_bytes_slice(data_at, size), "p", &out, count);
    if (status == DREAMDB_OK) {
        for (size_t i = 1; i < *count; i++) { CHECK(out[i - 1] < out[i]); }
        memcpy(back, out, *count < 200000 ? *count * 8 : 0);
        ddb_mem_drop(ctx, out, uint64_t, *count);
    } else {
        CHECK(test_error.status == status && test_error.message[0] && !strchr(test_error.message, '\n'));
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
    free(copy);
    return status;
}

static void takes_runs(void)
{
    /* two containers, no offsets below four: key 0 = runs {10..19, 21..21, 65535}, key 5 = array {3} */
    static const uint8_t blob[] = { 1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0x3b, 0x30, 1, 0, 1, 0, 0, 11, 0, 5, 0, 0, 0,
                                    3, 0, 10, 0, 9, 0, 21, 0, 0, 0, 255, 255, 0, 0, 3, 0 };
    uint8_t bad[sizeof blob];
    size_t count = 0;
    CHECK(decode(blob, sizeof blob, &count) == DREAMDB_OK);
    CHECK_EQ_U64(count, 13);
    CHECK(back[0] == ((uint64_t)2 << 32 | 10) && back[9] == ((uint64_t)2 << 32 | 19) && back[11] == ((uint64_t)2 << 32 | 65535));
    CHECK(back[12] == ((uint64_t)2 << 32 | 5 << 16 | 3));
    for (uint32_t x = 0; x < 65536; x++) {
        bool in = (x >= 10 && x < 20) || x == 21 || x == 65535;
        CHECK(ddb_roaring_contains(ddb_bytes_slice(blob, sizeof blob), (uint64_t)2 << 32 | x) == in);
    }
    memcpy(bad, blob, sizeof blob); bad[20] = 10;                    /* cardinality */
    CHECK(decode(bad, sizeof bad, &count) == DREAMDB_ERR_CORRUPT);
    memcpy(bad, blob, sizeof blob); bad[32] = 19;                    /* second run inside the first */
    CHECK(decode(bad, sizeof bad, &count) == DREAMDB_ERR_CORRUPT);
    memcpy(bad, blob, sizeof blob); bad[38] = 1; bad[20] = 12;       /* past 65535 */
    CHECK(decode(bad, sizeof bad, &count) == DREAMDB_ERR_CORRUPT);
    for (size_t n = 0; n < sizeof blob; n++) { CHECK(decode(blob, n, &count) < 0); }
}

/* Every third container a run, the others arrays or bitsets; from four on there are offsets. */
static void mix_runs(uint32_t many)
{
    size_t keys = 9 + 4 + 4 + (many + 7) / 8, offsets = keys + 4 * many, at = offsets + (many < 4 ? 0 : 4 * many), n = 0, count = 0;
    memset(bytes, 0, 1 << 20);
    bytes[0] = 1; bytes[1] = 1;
    ddb_bytes_set_le32(bytes + 13, 12347u | (many - 1) << 16);
    for (uint32_t i = 0; i < many; i++) {
        uint32_t card = i % 3 == 0 ? 500 : i % 3 == 1 ? 4096 : 4097;
        ddb_bytes_set_le16(bytes + keys + 4 * i, (uint16_t)(3 * i));
        ddb_bytes_set_le16(bytes + keys + 4 * i + 2, (uint16_t)(card - 1));
        if (many >= 4) { ddb_bytes_set_le32(bytes + offsets + 4 * i, (uint32_t)(at - 13)); }
        for (uint32_t x = 0; x < card; x++) { list[n++] = (uint64_t)(3 * i) << 16 | (i % 3 ? 2 * x : x + (x >= 250 ? 100u : 0u)); }
        if (i % 3 == 0) {
            bytes[17 + i / 8] = (uint8_t)(bytes[17 + i / 8] | 1 << i % 8);
            bytes[at] = 2; bytes[at + 4] = 249;
            ddb_bytes_set_le16(bytes + at + 6, 350); bytes[at + 8] = 249;
            at += 10;
        } else if (i % 3 == 1) {
            for (uint32_t x = 0; x < card; x++) { ddb_bytes_set_le16(bytes + at + 2 * x, (uint16_t)(2 * x)); }
            at += 2 * card;
        } else {
            for (uint32_t x = 0; x < card; x++) { bytes[at + x / 4] = (uint8_t)(bytes[at + x / 4] | 1 << (2 * x & 7)); }
            at += 8192;
        }
    }
    CHECK(decode(bytes, at, &count) == DREAMDB_OK);
    CHECK_EQ_U64(count, n);
    CHECK(count == n && memcmp(back, list, n * 8) == 0);
    for (size_t i = 0; i < n; i += 37) { CHECK(ddb_roaring_contains(ddb_bytes_slice(bytes, at), list[i])); }
    CHECK(!ddb_roaring_contains(ddb_bytes_slice(bytes, at), 260) && !ddb_roaring_contains(ddb_bytes_slice(bytes, at), 70000));
    CHECK(!ddb_roaring_contains(ddb_bytes_slice(bytes, at), UINT64_MAX));
    CHECK(decode(bytes, at - 1, &count) == DREAMDB_ERR_CORRUPT);
}

static void mixes_runs(void)
{
    for (uint32_t many = 1; many <= 20; many++) { mix_runs(many); }
}

static void runs_are_bounded(void)
{
    /* 65536 containers of one full run each in 6 bytes: 4 Gi anchors from 0.9 MB */
    size_t at = 9, count = 0;
    memset(bytes, 0, 9);
    bytes[0] = 1; bytes[1] = 1;
    memset(bytes + at, 0, 4); at += 4;
    ddb_bytes_set_le32(bytes + at, 12347u | 65535u << 16); at += 4;
    memset(bytes + at, 255, 8192); at += 8192;
    for (uint32_t i = 0; i < 65536; i++) { ddb_bytes_set_le16(bytes + at, (uint16_t)i); ddb_bytes_set_le16(bytes + at + 2, 65535); at += 4; }
    for (uint32_t i = 0; i < 65536; i++) { ddb_bytes_set_le32(bytes + at, 4 + 8192 + 65536 * 8 + 6 * i); at += 4; }
    for (uint32_t i = 0; i < 65536; i++) { ddb_bytes_set_le16(bytes + at, 1); ddb_bytes_set_le16(bytes + at + 2, 0); ddb_bytes_set_le16(bytes + at + 4, 65535); at += 6; }
    CHECK(decode(bytes, at, &count) == DREAMDB_ERR_LIMIT);
}

static void refuses_what_is_wrong(void)
{
    static const uint64_t two[] = { 5, 9 };
    size_t n = model(bytes, two, 2), count = 0;
    struct { size_t at; uint8_t value; dreamdb_status want; } cases[] = {
        { 0, 2, DREAMDB_ERR_FORMAT }, { 0, 0, DREAMDB_ERR_FORMAT }, { 1, 0, DREAMDB_ERR_CORRUPT }, { 1, 2, DREAMDB_ERR_CORRUPT }, { 8, 1, DREAMDB_ERR_CORRUPT },
        { 13, 0x39, DREAMDB_ERR_CORRUPT }, { 17, 0, DREAMDB_ERR_CORRUPT }, { 17, 2, DREAMDB_ERR_CORRUPT }, { 20, 255, DREAMDB_ERR_CORRUPT },
        { 23, 0, DREAMDB_ERR_CORRUPT }, { 23, 2, DREAMDB_ERR_CORRUPT }, { 24, 255, DREAMDB_ERR_CORRUPT }, { 25, 17, DREAMDB_ERR_CORRUPT }, { 28, 1, DREAMDB_ERR_CORRUPT },
        { 29, 9, DREAMDB_ERR_CORRUPT }, { 29, 10, DREAMDB_ERR_CORRUPT }, { 21, 7, DREAMDB_OK }, { 31, 200, DREAMDB_OK } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t copy[64];
        memcpy(copy, bytes, n);
        copy[cases[i].at] = cases[i].value;
        dreamdb_status status = decode(copy, n, &count);
        CHECK(status == cases[i].want);
        if (status != cases[i].want) { printf("case %zu: %d\n", i, (int)status); }
    }
    bytes[n] = 0;
    CHECK(decode(bytes, n + 1, &count) == DREAMDB_ERR_CORRUPT);
    CHECK(decode(bytes, n, &count) == DREAMDB_OK);
    bytes[17] = 0;
    CHECK(decode(bytes, 21, &count) == DREAMDB_ERR_CORRUPT);         /* a group of no container, and nothing else wrong */
    memset(bytes, 0, 9);
    bytes[0] = 1;
    CHECK(decode(bytes, 9, &count) == DREAMDB_OK && count == 0);
}

static void survives_mutations(void)
{
    for (int round = 0; round < 6; round++) {
        static uint8_t copy[60000];
        size_t n = model(bytes, list, make(round == 5 ? 5000 : 40, round % 4)), count = 0, step = n > 2000 ? 97 : 1;
        for (size_t cut = 0; cut < n; cut += step) { CHECK(decode(bytes, cut, &count) < 0); }
        for (int i = 0; i < 4000 && n <= sizeof copy; i++) {
            memcpy(copy, bytes, n);
            for (uint64_t k = 1 + test_rand() % 3; k > 0; k--) { copy[test_rand() % (i % 2 && n > 60 ? 60 : n)] = (uint8_t)(test_rand() % 3 ? test_rand() : test_rand() % 4); }
            (void)decode(copy, n, &count);
        }
    }
}

static void survives_no_memory(void)
{
    size_t n = make(9000, 0), size = model(bytes, list, n), count = 0;
    for (long fail = 1; fail < 40; fail++) {
        ddb_ctx *ctx = test_ctx();
        ddb_buf buf;
        uint64_t *out = NULL;
        test_fail_alloc_at(fail);
        ddb_bytes_init(&buf, ctx);
        ddb_roaring_encode(&buf, list, n);
        CHECK(buf.failed || buf.size == size);
        dreamdb_status status = ddb_roaring_decode(ctx, ddb_bytes_slice(bytes, size), "p", &out, &count);
        CHECK(status == DREAMDB_OK || (status == DREAMDB_ERR_MEMORY && !out));
        ddb_mem_drop(ctx, out, uint64_t, count);
        ddb_bytes_free(&buf);
        test_fail_alloc_at(0);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
}

int main(void)
{
    RUN(equals_the_model);
    RUN(writes_no_runs);
    RUN(reads_the_reference);
    RUN(takes_runs);
    RUN(mixes_runs);
    RUN(runs_are_bounded);
    RUN(refuses_what_is_wrong);
    RUN(survives_mutations);
    RUN(survives_no_memory);
    return test_end("roaring");
}
