/* Buckets and sidecars: every byte of what the reference wrote, each check of FORMAT.md 10 broken one at a time, truncations, mutations. */
#include "test.h"

static uint8_t bytes[1 << 16];

static size_t unhex(const char *text, uint8_t *out)
{
    size_t n = 0;
    unsigned x = 0;
    while (text[2 * n] > ' ' && sscanf(text + 2 * n, "%2x", &x) == 1) { out[n++] = (uint8_t)x; }
    return n;
}

/* The lines "record ANCHOR HEX-OF-FLOATS" behind a bucket, written again by our calls, give the same object. */
static void same_bucket(const uint8_t *data, size_t size, uint64_t dim, ddb_slice modality, char **at)
{
    ddb_ctx *ctx = test_ctx();
    ddb_bucket bucket;
    ddb_buf buf;
    bool coded = ddb_bytes_be32(data + 16) == 200;
    CHECK(ddb_bucket_open(ctx, ddb_bytes_slice(data, size), "p", coded ? 0 : dim, modality, &bucket) == DREAMDB_OK);
    CHECK(ddb_bucket_open(ctx, ddb_bytes_slice(data, size), "p", dim, modality, &bucket) == (coded ? DREAMDB_ERR_UNSUPPORTED : DREAMDB_OK));
    CHECK(ddb_bucket_open(ctx, ddb_bytes_slice(data, size), "p", 0, modality, &bucket) == DREAMDB_OK);
    CHECK(bucket.coded == coded);
    ddb_bytes_init(&buf, ctx);
    ddb_bucket_header(&buf, bucket.record_size, bucket.count, &bucket.index, modality, coded ? &bucket.compressor : NULL);
    for (size_t i = 0; i < bucket.count; i++) {
        uint8_t raw[4096], record[4104];
        float floats[1024], again[1024];
        uint64_t anchor = strtoull(*at + 7, at, 10);
        size_t n = unhex(*at + 1, raw);
        *at += 1 + 2 * n + 1;
        CHECK_EQ_U64(ddb_bucket_anchor(&bucket, i), anchor);
        ddb_bytes_set_be64(record, anchor);
        if (coded) {
            memcpy(record + 8, bucket.records + i * bucket.record_size + 8, bucket.record_size - 8);
        } else {
            CHECK_EQ_U64(n, dim * 4);
            ddb_bucket_vector(&bucket, i, dim, floats);
            ddb_bucket_vectors(&bucket, i, 1, dim, again);
            CHECK(memcmp(floats, again, n) == 0);
            ddb_bytes_set_f32(record + 8, floats, (size_t)dim);
            CHECK_BYTES(record + 8, raw, n);
        }
        ddb_bytes_put(&buf, record, bucket.record_size);
    }
    CHECK_EQ_U64(buf.size, size);
    CHECK(buf.size == size && memcmp(buf.data, data, size) == 0);
    ddb_bytes_free(&buf);
}

static void same_sidecar(const uint8_t *data, size_t size, uint64_t dim, ddb_slice modality)
{
    ddb_ctx *ctx = test_ctx();
    const uint8_t *vectors = NULL;
    size_t count = (size - 128) / (4 * (size_t)dim);
    ddb_buf buf;
    CHECK(ddb_bucket_sidecar_open(ctx, ddb_bytes_slice(data, size), "p", dim, count, &vectors) == DREAMDB_OK);
    CHECK(ddb_bucket_sidecar_open(ctx, ddb_bytes_slice(data, size), "p", dim, count + 1, &vectors) == DREAMDB_ERR_CORRUPT);
    CHECK(ddb_bucket_sidecar_open(ctx, ddb_bytes_slice(data, size), "p", dim, SIZE_MAX, &vectors) == DREAMDB_OK);
    CHECK(ddb_bucket_sidecar_open(ctx, ddb_bytes_slice(data, size), "p", dim + 1, count, &vectors) == DREAMDB_ERR_CORRUPT);
    CHECK(ddb_bucket_sidecar_open(ctx, ddb_bytes_slice(data, size), "p", (uint64_t)1 << 62 | dim, count, &vectors) == DREAMDB_ERR_CORRUPT);
    ddb_bytes_init(&buf, ctx);
    ddb_bucket_sidecar_header(&buf, 4 * (size_t)dim, count, modality);
    CHECK_EQ_U64(buf.size, 128);
    CHECK(buf.size == 128 && memcmp(buf.data, data, 128) == 0);
    ddb_bytes_free(&buf);
}

static void equals_the_reference(void)
{
    size_t size = 0, buckets = 0, sidecars = 0;
    char *text = (char *)test_file("tests/golden/records/buckets.txt", &size), *at = text;
    while (at && *at) {
        char word[16], modality[256], key[256];
        unsigned dim = 0;
        int used = 0;
        CHECK(sscanf(at, "%15s %255s %u %255s %n", word, modality, &dim, key, &used) == 4);
        at += used;
        size_t n = unhex(at, bytes);
        at += 2 * n + 1;
        if (strcmp(word, "bucket") == 0) {
            same_bucket(bytes, n, dim, ddb_bytes_text(modality), &at);
            buckets++;
        } else {
            same_sidecar(bytes, n, dim, ddb_bytes_text(modality));
            sidecars++;
        }
        if (buckets > 100) { break; }
    }
    CHECK(buckets >= 5 && sidecars >= 1);
    free(text);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static size_t make(uint8_t *out, size_t count, size_t dim, bool coded)
{
    ddb_ctx *ctx = test_ctx();
    ddb_buf buf;
    ddb_addr index, compressor;
    memset(&index, 0x1e, sizeof index);
    memset(&compressor, 0x1e, sizeof compressor);
    ddb_bytes_init(&buf, ctx);
    ddb_bucket_header(&buf, 8 + 4 * dim, count, &index, ddb_bytes_text("embedding.f32.dim=3.bucketed.bucket_max_bytes=1048576"), coded ? &compressor : NULL);
    for (size_t i = 0; i < count * (8 + 4 * dim); i++) { ddb_bytes_put_u8(&buf, (uint8_t)test_rand()); }
    memcpy(out, buf.data, buf.size);
    size_t size = buf.size;
    ddb_bytes_free(&buf);
    return size;
}

static dreamdb_status open_at(const uint8_t *data, size_t size, uint64_t dim)
{
    ddb_bucket bucket;
    uint8_t *copy = (uint8_t *)malloc(size + 1);
    float out[16];
    if (!copy) { return DREAMDB_ERR_MEMORY; }
    if (size > 0) { memcpy(copy, data, size); }
    dreamdb_status status = ddb_bucket_open(test_ctx(), ddb_bytes_slice(copy, size), "p", dim, ddb_bytes_text("m"), &bucket);
    CHECK(status == DREAMDB_OK || (test_error.status == status && test_error.message[0] && strcmp(test_error.path, "p") == 0));
    for (size_t i = 0; i < bucket.count && status == DREAMDB_OK; i++) {
        (void)ddb_bucket_anchor(&bucket, i);
        if (dim > 0 && dim <= 16) { ddb_bucket_vector(&bucket, i, dim, out); }
    }
    free(copy);
    return status;
}

static void refuses_what_is_wrong(void)
{
    uint8_t copy[512];
    struct { size_t at; uint8_t value; dreamdb_status raw, coded; } cases[] = {
        { 0, 'X', DREAMDB_ERR_CORRUPT, DREAMDB_ERR_CORRUPT }, { 7, 2, DREAMDB_ERR_FORMAT, DREAMDB_ERR_FORMAT }, { 11, 21, DREAMDB_ERR_CORRUPT, DREAMDB_ERR_CORRUPT },
        { 15, 6, DREAMDB_ERR_CORRUPT, DREAMDB_ERR_CORRUPT }, { 12, 1, DREAMDB_ERR_CORRUPT, DREAMDB_ERR_CORRUPT }, { 19, 161, DREAMDB_ERR_CORRUPT, DREAMDB_ERR_CORRUPT },
        { 19, 0, DREAMDB_ERR_CORRUPT, DREAMDB_ERR_CORRUPT }, { 19, 200, DREAMDB_ERR_CORRUPT, DREAMDB_OK }, { 19, 160, DREAMDB_OK, DREAMDB_ERR_CORRUPT },
        { 20, 0x1f, DREAMDB_ERR_CORRUPT, DREAMDB_ERR_CORRUPT }, { 85, 1, DREAMDB_ERR_UNSUPPORTED, DREAMDB_ERR_UNSUPPORTED }, { 85, 2, DREAMDB_ERR_FORMAT, DREAMDB_ERR_FORMAT },
        { 86, 0, DREAMDB_OK, DREAMDB_ERR_CORRUPT }, { 60, 'x', DREAMDB_OK, DREAMDB_OK }, { 86, 9, DREAMDB_OK, DREAMDB_ERR_CORRUPT }, { 150, 1, DREAMDB_OK, DREAMDB_OK } };
    for (int coded = 0; coded < 2; coded++) {
        size_t n = make(bytes, 5, 3, coded);
        CHECK(memcmp(bytes + 53, "embedding.f32.dim=3.bucketed.buc\0", 33) == 0);      /* cut to 32 bytes; byte 85 is the mode */
        CHECK(open_at(bytes, n, coded ? 0 : 3) == DREAMDB_OK);
        CHECK(open_at(bytes, n, 4) == (coded ? DREAMDB_ERR_UNSUPPORTED : DREAMDB_ERR_CORRUPT));
        CHECK(open_at(bytes, n, ((uint64_t)1 << 62) + 3) < 0);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            memcpy(copy, bytes, n);
            copy[cases[i].at] = cases[i].value;
            dreamdb_status status = open_at(copy, n, coded ? 0 : 3), want = coded ? cases[i].coded : cases[i].raw;
            CHECK(status == want);
            if (status != want) { printf("case %zu coded %d: %d\n", i, coded, (int)status); }
        }
        bytes[n] = 0;
        CHECK(open_at(bytes, n + 1, coded ? 0 : 3) == DREAMDB_ERR_CORRUPT);
        for (size_t cut = 0; cut < n; cut++) { CHECK(open_at(bytes, cut, coded ? 0 : 3) == DREAMDB_ERR_CORRUPT); }
        CHECK(open_at(bytes, make(bytes, 0, 3, coded), coded ? 0 : 3) == DREAMDB_OK);
    }
    CHECK(open_at(bytes, make(bytes, 2, 0, false), 0) == DREAMDB_ERR_CORRUPT);       /* records without a payload */
}

static void survives_mutations(void)
{
    static uint8_t copy[1024];
    for (int i = 0; i < 30000; i++) {
        size_t n = make(copy, test_rand() % 4, 1 + test_rand() % 5, i % 2);
        for (uint64_t k = 1 + test_rand() % 3; k > 0; k--) { copy[test_rand() % 128] = (uint8_t)(test_rand() % 2 ? test_rand() : test_rand() % 3); }
        (void)open_at(copy, n, i % 3 ? 0 : 3);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void survives_sidecar_mutations(void)
{
    const uint8_t *vectors = NULL;
    for (int i = 0; i < 5000; i++) {
        ddb_ctx *ctx = test_ctx();
        ddb_buf buf;
        ddb_bytes_init(&buf, ctx);
        ddb_bucket_sidecar_header(&buf, 12, 4, ddb_bytes_text("m"));
        for (int n = 0; n < 48; n++) { ddb_bytes_put_u8(&buf, 0); }
        if (i > 0) { buf.data[test_rand() % 20] = (uint8_t)test_rand(); }
        size_t size = i % 3 == 2 ? (size_t)(test_rand() % buf.size) : buf.size;
        dreamdb_status status = ddb_bucket_sidecar_open(ctx, ddb_bytes_slice(buf.data, size), "p", 3, 4, &vectors);
        CHECK(i > 0 || status == DREAMDB_OK);
        CHECK(status < 0 || (size == 176 && memcmp(buf.data, "VSTU", 4) == 0 && vectors == buf.data + 128));
        ddb_bytes_free(&buf);
    }
}

static void paths(void)
{
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena = { NULL, 0 };
    ddb_row row;
    memset(&row, 0, sizeof row);
    memset(row.addr.bytes, 0x1e, sizeof row.addr.bytes);
    memset(row.sidecar.bytes, 0x1e, sizeof row.sidecar.bytes);
    row.key = ddb_bytes_text("0101");
    CHECK_STR(ddb_bucket_path(ctx, &arena, "tl/mod", &row), "tl/mod/0101/dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4");
    CHECK_STR(ddb_bucket_sidecar_path(ctx, &arena, "tl/mod", &row), "tl/mod/vectors/dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4");
    row.key = ddb_bytes_text("../x");
    CHECK(!ddb_bucket_path(ctx, &arena, "tl/mod", &row) && test_error.status == DREAMDB_ERR_CORRUPT);
    row.key = ddb_bytes_slice("", 0);
    CHECK(!ddb_bucket_path(ctx, &arena, "tl/mod", &row));
    ddb_mem_arena_free(ctx, &arena);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void counts_records(void)
{
    ddb_field field;
    memset(&field, 0, sizeof field);
    field.dim = 3;
    CHECK_EQ_U64(ddb_bucket_records(160 + 20 * 7, &field, 0), 7);
    CHECK_EQ_U64(ddb_bucket_records(160, &field, 0), 0);
    CHECK_EQ_U64(ddb_bucket_records(0, &field, 0), 0);
    field.has_compressor = true;
    CHECK_EQ_U64(ddb_bucket_records(200 + 9 * 7, &field, 0), 7);
    CHECK_EQ_U64(ddb_bucket_records(200 + 13 * 7, &field, 5), 7);
}

static void reads_many_vectors(void)
{
    ddb_bucket bucket;
    float all[15], one[3];
    size_t n = make(bytes, 6, 3, false);
    CHECK(ddb_bucket_open(test_ctx(), ddb_bytes_slice(bytes, n), "p", 3, ddb_bytes_text("m"), &bucket) == DREAMDB_OK);
    all[12] = 77;
    ddb_bucket_vectors(&bucket, 2, 4, 3, all);
    for (size_t i = 0; i < 4; i++) {
        ddb_bucket_vector(&bucket, 2 + i, 3, one);
        CHECK_BYTES(all + 3 * i, one, sizeof one);
        CHECK(DDB_PORT_BIG_ENDIAN || memcmp(one, bytes + 160 + 20 * (2 + i) + 8, sizeof one) == 0);
    }
    CHECK(all[12] == 77);
}

static void survives_no_memory(void)
{
    for (long fail = 1; fail < 5; fail++) {
        ddb_ctx *ctx = test_ctx();
        ddb_buf buf;
        ddb_addr index;
        memset(&index, 0x1e, sizeof index);
        test_fail_alloc_at(fail);
        ddb_bytes_init(&buf, ctx);
        ddb_bucket_header(&buf, 20, 1, &index, ddb_bytes_text("m"), NULL);
        ddb_bucket_sidecar_header(&buf, 12, 1, ddb_bytes_text("m"));
        CHECK(buf.failed || buf.size == 288);
        ddb_bytes_free(&buf);
        test_fail_alloc_at(0);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
}

int main(void)
{
    RUN(equals_the_reference);
    RUN(refuses_what_is_wrong);
    RUN(survives_mutations);
    RUN(survives_sidecar_mutations);
    RUN(paths);
    RUN(counts_records);
    RUN(reads_many_vectors);
    RUN(survives_no_memory);
    return test_end("bucket");
}
