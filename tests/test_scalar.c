/* Scalars: encodings against arithmetic, packs and selects of the reference, random columns against a model that compares every row with
   every value, damage, no memory. */
#include "records.h"
#include <math.h>

static const dreamdb_kind kinds[] = { DREAMDB_CATEGORICAL, DREAMDB_BOOL, DREAMDB_INT, DREAMDB_TIMESTAMP, DREAMDB_FLOAT, DREAMDB_STRING };
static const char letters[] = "cbitfs";
static const char *const modalities[] = { "scalar.cat.field=c", "scalar.bool.field=b", "scalar.i64.field=i", "scalar.ts.field=t", "scalar.f64.field=f", "scalar.str.field=s" };

static ddb_scalar_value real_value(double x)
{
    ddb_scalar_value v;
    memset(&v, 0, sizeof v);
    v.kind = DREAMDB_FLOAT;
    v.real = x;
    return v;
}

static size_t encode(const ddb_scalar_value *v, uint8_t *out)
{
    ddb_buf buf;
    ddb_bytes_init(&buf, test_ctx());
    ddb_scalar_encode(&buf, v);
    memcpy(out, buf.data, buf.size);
    size_t n = buf.size;
    ddb_bytes_free(&buf);
    return n;
}

/* ---- Values ---- */

static double two_to(int n)                                          /* no libm in the tests */
{
    double x = 1;
    for (; n > 0; n--) { x *= 2; }
    for (; n < 0; n++) { x /= 2; }
    return x;
}

static double half_value(uint32_t bits)
{
    int e = (int)(bits >> 10 & 31);
    double m = bits & 1023, x = e > 0 ? (1024 + m) * two_to(e - 25) : m * two_to(-24);
    return bits >> 15 ? -x : x;
}

static void check_real(double x, size_t want)
{
    uint8_t out[16];
    ddb_scalar_value v = real_value(x), back;
    size_t n = encode(&v, out);
    CHECK_EQ_U64(n, want);
    CHECK(ddb_scalar_read(ddb_bytes_slice(out, n), DREAMDB_FLOAT, &back) && memcmp(&back.real, &x, 8) == 0);
}

static void floats_are_shortest(void)
{
    uint8_t out[16];
    for (uint32_t bits = 0; bits < 65536; bits++) {
        if ((bits >> 10 & 31) == 31) { continue; }
        double x = half_value(bits);
        ddb_scalar_value v = real_value(x);
        CHECK(encode(&v, out) == 3 && out[0] == 0xf9 && out[1] == bits >> 8 && out[2] == (bits & 255));
        check_real(x, 3);
    }
    for (int i = 0; i < 300000; i++) {
        uint32_t bits = (uint32_t)test_rand() & (i % 3 == 0 ? 0xffffe000u : i % 3 == 1 ? 0x807fffffu : 0xffffffffu);
        float f = 0;
        memcpy(&f, &bits, 4);
        if ((bits >> 23 & 255) == 255) { continue; }
        double x = f, plus = x < 0 ? -x : x, scaled = plus <= 65504 ? plus * two_to(24) : 0.5;
        bool half = x == 0 || (scaled == (double)(int64_t)scaled && (plus < two_to(-14) || (bits & 0x1fff) == 0));
        check_real(x, half ? 3 : 5);
    }
    for (int i = 0; i < 300000; i++) {
        uint64_t bits = test_rand() & (i % 2 ? ~(uint64_t)0 : (uint64_t)0xfffffffff0000000u);
        double x = 0;
        memcpy(&x, &bits, 8);
        if (!ddb_scalar_finite(x)) { continue; }
        float f = x <= 3.4028234663852886e38 && x >= -3.4028234663852886e38 ? (float)x : 0;
        if ((double)f != x) { check_real(x, 9); }
    }
    check_real(1e-45, 9); check_real(1.401298464324817e-45, 5); check_real(5e-324, 9); check_real(65504, 3); check_real(65505, 5); check_real(65536, 5);
    check_real(3.4028234663852886e38, 5); check_real(3.402823466385289e38, 9); check_real(two_to(128), 9); check_real(two_to(-25), 5); check_real(-0.0, 3);
}

static void one_encoding_a_value(void)
{
    static const struct { const char *hex; int kind; bool good; } cases[] = {
        { "f93800", 4, true }, { "fa3f000000", 4, false }, { "fb3fe0000000000000", 4, false }, { "fa47800000", 4, true }, { "fb40f0000000000000", 4, false },
        { "f97c00", 4, false }, { "f97e00", 4, false }, { "fa7f800000", 4, false }, { "fb7ff0000000000000", 4, false }, { "fbfff8000000000001", 4, false },
        { "f98000", 4, true }, { "fa80000000", 4, false }, { "f938", 4, false }, { "f9380000", 4, false }, { "00", 4, false }, { "", 4, false },
        { "00", 2, true }, { "1800", 2, false }, { "1818", 2, true }, { "20", 2, true }, { "3b7fffffffffffffff", 3, true }, { "3b8000000000000000", 2, false },
        { "1b7fffffffffffffff", 2, true }, { "1b8000000000000000", 2, false }, { "f4", 1, true }, { "f5", 1, true }, { "f6", 1, false }, { "00", 1, false },
        { "6161", 0, true }, { "60", 5, true }, { "7801", 5, false }, { "780161", 5, false }, { "61ff", 5, false }, { "4161", 5, false }, { "616161", 5, false } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t raw[32], again[32];
        ddb_scalar_value v;
        size_t n = unhex(cases[i].hex, raw);
        dreamdb_status status = ddb_scalar_decode(test_ctx(), ddb_bytes_slice(raw, n), kinds[cases[i].kind], "p", &v);
        CHECK(status == (cases[i].good ? DREAMDB_OK : DREAMDB_ERR_CORRUPT));
        if ((status == DREAMDB_OK) != cases[i].good) { printf("%s\n", cases[i].hex); }
        CHECK(status < 0 || (encode(&v, again) == n && memcmp(raw, again, n) == 0));
    }
    for (int i = 0; i < 200000; i++) {                                /* whatever decodes encodes to the same bytes */
        uint8_t raw[12], again[32];
        ddb_scalar_value v;
        size_t n = test_rand() % 12;
        for (size_t j = 0; j < n; j++) { raw[j] = (uint8_t)test_rand(); }
        if (i % 2) { raw[0] = (uint8_t)(0xf9 + test_rand() % 3); n = raw[0] == 0xf9 ? 3 : raw[0] == 0xfa ? 5 : 9; }
        dreamdb_kind kind = kinds[test_rand() % 6];
        if (ddb_scalar_decode(test_ctx(), ddb_bytes_slice(raw, n), kind, "p", &v) == DREAMDB_OK) {
            CHECK(encode(&v, again) == n && memcmp(raw, again, n) == 0);
        }
    }
}

static void checks_values(void)
{
    static char text[9000];
    ddb_scalar_value v = real_value(NAN);
    ddb_slice name = ddb_bytes_text("temp");
    CHECK(ddb_scalar_check(test_ctx(), name, &v) == DREAMDB_ERR_ARGUMENT);
    CHECK(strstr(test_error.message, "`temp`") != NULL);
    v.real = INFINITY;
    CHECK(ddb_scalar_check(test_ctx(), name, &v) == DREAMDB_ERR_ARGUMENT);
    v.real = -1e308;
    CHECK(ddb_scalar_check(test_ctx(), name, &v) == DREAMDB_OK);
    memset(text, 'x', sizeof text);
    v.kind = DREAMDB_STRING;
    v.text = ddb_bytes_slice(text, 8192);
    CHECK(ddb_scalar_check(test_ctx(), name, &v) == DREAMDB_OK);
    v.text.size++;
    CHECK(ddb_scalar_check(test_ctx(), name, &v) == DREAMDB_ERR_ARGUMENT);
    v.kind = DREAMDB_CATEGORICAL;
    CHECK(ddb_scalar_check(test_ctx(), name, &v) == DREAMDB_OK);
    text[100] = (char)0xff;
    CHECK(ddb_scalar_check(test_ctx(), name, &v) == DREAMDB_ERR_ARGUMENT);
    v.text.data = NULL;
    CHECK(ddb_scalar_check(test_ctx(), name, &v) == DREAMDB_ERR_ARGUMENT);
}

/* ---- Packs ---- */

static char *parse(char *at, dreamdb_kind kind, ddb_scalar_value *v, uint8_t *room)
{
    memset(v, 0, sizeof *v);
    v->kind = kind;
    if (*at == 'i') {
        v->integer = strtoll(at + 1, &at, 10);
    } else if (*at == 'f') {
        uint64_t bits = strtoull(at + 1, &at, 16);
        memcpy(&v->real, &bits, 8);
    } else {
        size_t n = unhex(at + 1, room);
        v->text = ddb_bytes_slice(room, n);
        at += 1 + 2 * n;
    }
    return at;
}

static void packs_equal_the_reference(void)
{
    size_t size = 0, packs = 0;
    char *text = (char *)test_file("tests/golden/records/packs.txt", &size), *at = text;
    while (at && *at) {
        static uint8_t want[8192], room[8192];
        ddb_scalar_value v[64];
        uint64_t anchors[64];
        size_t n = 0, used = 0, row_count = 0;
        ddb_arena arena = { NULL, 0 };
        ddb_row *rows = NULL;
        ddb_buf pack;
        ddb_ctx *ctx = test_ctx();
        dreamdb_kind kind = kinds[strchr(letters, at[5]) - letters];
        size_t bytes = unhex(at + 7, want);
        at += 7 + 2 * bytes + 1;
        while (strncmp(at, "in ", 3) == 0) {
            anchors[n] = strtoull(at + 3, &at, 10);
            at = parse(at + 1, kind, v + n, room + used) + 1;
            used += v[n++].text.size;
        }
        ddb_bytes_init(&pack, ctx);
        CHECK(ddb_scalar_pack(ctx, &arena, kind, v, anchors, n, &pack, &rows, &row_count) == DREAMDB_OK);
        CHECK_EQ_U64(pack.size, bytes);
        CHECK(pack.size == bytes && memcmp(pack.data, want, bytes) == 0);
        for (size_t i = 0; strncmp(at, "row ", 4) == 0; i++) {
            uint8_t key[256];
            size_t k = unhex(at + 4, key);
            at += 4 + 2 * k;
            uint64_t a = strtoull(at, &at, 10), b = strtoull(at, &at, 10), o = strtoull(at, &at, 10), s = strtoull(at, &at, 10);
            CHECK(i < row_count && rows[i].key.size == k && memcmp(rows[i].key.data, key, k) == 0);
            CHECK(i < row_count && rows[i].t_start == a && rows[i].t_end == b && rows[i].offset == o && rows[i].size == s);
            at++;
        }
        ddb_mem_arena_free(ctx, &arena);
        ddb_bytes_free(&pack);
        packs++;
    }
    CHECK(packs >= 10);
    free(text);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

enum { ROWS = 3000 };
static ddb_scalar_value column[ROWS];
static uint64_t when[ROWS];
static char texts[ROWS][24];

static void random_value(size_t i, dreamdb_kind kind, uint64_t distinct)
{
    uint64_t x = test_rand() % distinct;
    memset(column + i, 0, sizeof *column);
    column[i].kind = kind;
    if (kind == DREAMDB_BOOL) {
        column[i].integer = x & 1;
    } else if (kind == DREAMDB_FLOAT) {
        static const double odd[] = { 0.0, -0.0, 0.5, -0.1, 1e300, -1e300, 5e-324, 65504, 65536, 1e-7 };
        column[i].real = x < 10 ? odd[x] : ((double)x - (double)distinct / 2) / 8;
    } else if (kind == DREAMDB_INT || kind == DREAMDB_TIMESTAMP) {
        column[i].integer = x == 0 ? INT64_MIN : x == 1 ? INT64_MAX : (int64_t)x * (x % 2 ? 1 : -1) * (x % 5 ? 1 : 1000003);
    } else {
        int n = x == 0 ? 0 : snprintf(texts[i], sizeof texts[i], x % 3 ? "%llu" : "\xc3\xa9%llu", (unsigned long long)x * 7919 % 100000);
        column[i].text = ddb_bytes_slice(texts[i], (size_t)n);
    }
}

static void random_column(dreamdb_kind kind, size_t count, uint64_t distinct, int order)
{
    for (size_t i = 0; i < count; i++) {
        random_value(i, kind, distinct);
        when[i] = order == 0 ? 1000 + i : order == 1 ? test_rand() % (count + 1) : test_rand() >> (test_rand() % 40 + 1);
    }
}

static void packs_equal_the_model(void)
{
    for (int round = 0; round < 120; round++) {
        dreamdb_kind kind = kinds[round % 6];
        size_t count = round < 100 ? test_rand() % 200 : ROWS, row_count = 0, rows_seen = 0, anchors_seen = 0;
        ddb_arena arena = { NULL, 0 };
        ddb_row *rows = NULL;
        ddb_buf pack;
        random_column(kind, count, round % 4 == 0 ? 3 : round % 4 == 1 ? 50 : 100000, round % 3);
        ddb_ctx *ctx = test_ctx();
        ddb_bytes_init(&pack, ctx);
        CHECK(ddb_scalar_pack(ctx, &arena, kind, column, when, count, &pack, &rows, &row_count) == DREAMDB_OK);
        for (size_t i = 0; i < row_count; i++, rows_seen++) {
            uint64_t *list = NULL;
            size_t n = 0;
            CHECK(i == 0 || ddb_bytes_compare(rows[i - 1].key, rows[i].key) < 0);
            CHECK(rows[i].offset == (i ? rows[i - 1].offset + rows[i - 1].size : 0));
            CHECK(ddb_roaring_decode(ctx, ddb_bytes_slice(pack.data + rows[i].offset, (size_t)rows[i].size), "p", &list, &n) == DREAMDB_OK);
            CHECK(n > 0 && rows[i].t_start == list[0] && rows[i].t_end == list[n - 1] + 1);
            anchors_seen += n;
            ddb_mem_drop(ctx, list, uint64_t, n);
        }
        size_t inside = 0, pairs = 0;
        for (size_t j = 0; j < count && (count < 500 || j < 100); j++) {
            uint8_t key[64];
            size_t k = encode(column + j, key), low = 0;
            while (low < row_count && ddb_bytes_compare(rows[low].key, ddb_bytes_slice(key, k)) != 0) { low++; }
            inside += low < row_count && ddb_roaring_contains(ddb_bytes_slice(pack.data + rows[low].offset, (size_t)rows[low].size), when[j]);
            bool first = true;
            for (size_t i = 0; i < j && count < 500; i++) {
                uint8_t other[64];
                first = first && !(when[i] == when[j] && encode(column + i, other) == k && memcmp(other, key, k) == 0);
            }
            pairs += first;
        }
        CHECK_EQ_U64(inside, count < 500 ? count : 100);
        CHECK(count >= 500 || anchors_seen == pairs);
        CHECK(row_count == 0 ? pack.size == 0 : rows[row_count - 1].offset + rows[row_count - 1].size == pack.size);
        ddb_mem_arena_free(ctx, &arena);
        ddb_bytes_free(&pack);
    }
    when[0] = UINT64_MAX;
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena = { NULL, 0 };
    ddb_row *rows = NULL;
    size_t n = 0;
    ddb_buf pack;
    ddb_bytes_init(&pack, ctx);
    CHECK(ddb_scalar_pack(ctx, &arena, DREAMDB_INT, column, when, 1, &pack, &rows, &n) == DREAMDB_ERR_ARGUMENT);
    ddb_mem_arena_free(ctx, &arena);
    ddb_bytes_free(&pack);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* ---- Selects ---- */

static dreamdb_op op_of(const char *text)
{
    static const char *const names[] = { "==", "!=", "<", "<=", ">", ">=", "in" };
    for (int i = 0; i < 7; i++) {
        if (strcmp(text, names[i]) == 0) { return (dreamdb_op)(DREAMDB_EQ + i); }
    }
    return DREAMDB_AND;
}

static void operand_of(dreamdb_operand *out, const ddb_scalar_value *v)
{
    memset(out, 0, sizeof *out);
    out->integer = v->integer;
    out->real = v->real;
    out->text.data = v->text.data;
    out->text.size = v->text.size;
}

static void selects_equal_the_reference(void)
{
    size_t size = 0, selects = 0;
    char *text = (char *)test_file("tests/golden/records/selects.txt", &size), *at = text;
    ddb_track tracks[6];
    ddb_arena arena = { NULL, 0 };
    static uint8_t room[4096];
    world_open(0);
    world_pack("tests/fixtures/scalar-kinds.pack", world_put);
    ddb_ctx *ctx = test_ctx();
    while (at && strncmp(at, "track ", 6) == 0) {
        char path[300];
        size_t f = (size_t)(strchr(letters, at[6]) - letters);
        dreamdb_blob blob;
        memset(&blob, 0, sizeof blob);
        CHECK(sscanf(at + 8, "%299s", path) == 1);
        at = strchr(at, '\n') + 1;
        CHECK(world_inner.get(world_inner.user, path, 0, 0, &blob) == DREAMDB_OK);
        char *copy = ddb_mem_arena_copy(ctx, &arena, blob.data, (size_t)blob.size);
        CHECK(ddb_track_decode(ctx, &arena, ddb_track_class_of(kinds[f]), ddb_bytes_slice(copy, (size_t)blob.size), "track", tracks + f) == DREAMDB_OK);
        if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
    }
    while (at && *at) {
        size_t f = (size_t)(strchr(letters, at[0]) - letters), n = 0, used = 0, count = 0, want = 0;
        char op[4];
        dreamdb_operand operands[8];
        dreamdb_where where;
        uint64_t *anchors = NULL;
        int skip = 0;
        CHECK(sscanf(at + 1, " %3s %n", op, &skip) == 1);
        at += 1 + skip;
        while (*at != '=') {
            ddb_scalar_value v;
            at = parse(at, kinds[f], &v, room + used) + 1;
            used += v.text.size;
            operand_of(operands + n++, &v);
        }
        at++;
        memset(&where, 0, sizeof where);
        where.op = op_of(op);
        where.field = "f";
        where.operands = operands;
        where.operand_count = n;
        CHECK(ddb_scalar_select(test_ctx(), world_env, tracks + f, kinds[f], &where, &anchors, &count) == DREAMDB_OK);
        while (*at == ' ') {
            uint64_t x = strtoull(at, &at, 10);
            CHECK(want < count && anchors[want] == x);
            want++;
        }
        CHECK_EQ_U64(count, want);
        ddb_mem_drop(ctx, anchors, uint64_t, count);
        selects++;
        at++;
    }
    CHECK_EQ_U64(selects, 15);
    free(text);
    ddb_mem_arena_free(ctx, &arena);
    world_close();
}

/* A field of its own, appended to in batches; the column of all batches stays in column[] and when[]. */
static ddb_track field_track;
static ddb_arena field_arena;
static size_t field_rows;

static dreamdb_status field_append(ddb_ctx *ctx, dreamdb_kind kind, size_t count, bool whole)
{
    ddb_puts *puts = NULL;
    ddb_row *rows = NULL;
    size_t n = 0;
    ddb_buf pack;
    ddb_addr addr;
    ddb_bytes_init(&pack, ctx);
    dreamdb_status status = ddb_object_puts_open(ctx, world_env, &puts);
    char *folder = ddb_addr_folder(ctx, &field_arena, &field_track.timeline, field_track.modality, "bucket");
    status = status < 0 || folder ? status : DREAMDB_ERR_MEMORY;
    status = status < 0 ? status : ddb_scalar_pack(ctx, &field_arena, kind, column + field_rows, when + field_rows, count, &pack, &rows, &n);
    if (status == DREAMDB_OK && !whole) {
        status = ddb_object_put(ctx, puts, folder, ddb_bytes_of(&pack), DDB_PUT_OUTBOARD, &addr);
    }
    for (size_t i = 0; i < n && status == DREAMDB_OK; i++) {
        rows[i].addr = addr;
        if (whole) {                                                  /* a scalar layer: one object a posting (FORMAT.md 12) */
            status = ddb_object_put(ctx, puts, folder, ddb_bytes_slice(pack.data + rows[i].offset, (size_t)rows[i].size), DDB_PUT_OUTBOARD, &rows[i].addr);
            rows[i].flags |= DDB_ROW_WHOLE;
            rows[i].size = rows[i].offset = 0;
        }
    }
    ddb_track next;
    status = status < 0 ? status : ddb_track_insert(ctx, world_env, &field_arena, &field_track, rows, n, DDB_TRACK_PAGE_LIMIT, puts, &next);
    status = status < 0 ? status : ddb_object_flush(ctx, puts);
    if (status == DREAMDB_OK) {
        field_track = next;
        field_rows += count;
    }
    ddb_object_puts_close(ctx, puts);
    ddb_bytes_free(&pack);
    return status;
}

static void field_open(size_t k)
{
    memset(&field_track, 0, sizeof field_track);
    memset(&field_arena, 0, sizeof field_arena);
    field_track.cls = ddb_track_class_of(kinds[k]);
    field_track.form = DDB_TRACK_INLINE;
    field_track.modality = ddb_bytes_text(modalities[k]);
    memset(field_track.timeline.bytes, 0x1e, sizeof field_track.timeline.bytes);
    field_track.t_max = 1;
    field_track.path = "track";
    field_rows = 0;
}

static int compare_values(dreamdb_kind kind, const ddb_scalar_value *a, const ddb_scalar_value *b)
{
    if (kind == DREAMDB_FLOAT) { return a->real < b->real ? -1 : a->real > b->real; }
    if (kind == DREAMDB_CATEGORICAL || kind == DREAMDB_STRING) {
        size_t n = a->text.size < b->text.size ? a->text.size : b->text.size;
        int order = n ? memcmp(a->text.data, b->text.data, n) : 0;
        return order ? order : a->text.size < b->text.size ? -1 : a->text.size > b->text.size;
    }
    return a->integer < b->integer ? -1 : a->integer > b->integer;
}

static bool model_meets(dreamdb_kind kind, dreamdb_op op, const ddb_scalar_value *v, const ddb_scalar_value *of, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int c = compare_values(kind, v, of + i);
        if (op == DREAMDB_EQ || op == DREAMDB_IN ? c == 0 : op == DREAMDB_NE ? c != 0 : op == DREAMDB_LT ? c < 0 : op == DREAMDB_LE ? c <= 0 : op == DREAMDB_GT ? c > 0 : c >= 0) { return true; }
    }
    return false;
}

static void check_select(size_t k, dreamdb_op op, size_t n)
{
    ddb_scalar_value of[40];
    dreamdb_operand operands[40];
    dreamdb_where where;
    uint64_t *anchors = NULL, *want = (uint64_t *)malloc(sizeof *want * (field_rows + 1));
    size_t count = 0, m = 0;
    for (size_t i = 0; i < n; i++) {
        of[i] = column[test_rand() % field_rows];
        if (test_rand() % 4 == 0) {                                   /* a value that may not be there */
            of[i].integer += of[i].integer < INT64_MAX;
            of[i].real *= 1.5;
            of[i].text.size -= of[i].text.size > 0;
            while (!ddb_bytes_utf8(of[i].text)) { of[i].text.size--; }
            if (kinds[k] == DREAMDB_BOOL) { of[i].integer = of[i].integer == 1; }
        }
        if (kinds[k] == DREAMDB_FLOAT && !isfinite(of[i].real)) { of[i].real = 1; }
        operand_of(operands + i, of + i);
    }
    memset(&where, 0, sizeof where);
    where.op = op;
    where.field = "f";
    where.operands = operands;
    where.operand_count = n;
    CHECK(ddb_scalar_select(test_ctx(), world_env, &field_track, kinds[k], &where, &anchors, &count) == DREAMDB_OK);
    for (size_t i = 0; i < field_rows; i++) {
        if (model_meets(kinds[k], op, column + i, of, n)) { want[m++] = when[i]; }
    }
    CHECK(ddb_coll_sort_u64(test_ctx(), want, m) == DREAMDB_OK);
    m = ddb_coll_unique_u64(want, m);
    CHECK_EQ_U64(count, m);
    CHECK(count == m && (m == 0 || memcmp(anchors, want, m * 8) == 0));
    ddb_mem_drop(test_ctx(), anchors, uint64_t, count);
    free(want);
}

static void selects_equal_the_model(void)
{
    for (size_t round = 0; round < 24; round++) {
        size_t k = round % 6;
        uint64_t distinct = round < 6 ? 4 : round < 12 ? 60 : round < 18 ? 3000 : 1000000;
        world_open(round % 2 ? 0 : 1);
        field_open(k);
        random_column(kinds[k], ROWS, distinct, (int)round % 3);
        while (field_rows < ROWS) {
            size_t n = 1 + test_rand() % 900;
            CHECK(field_append(test_ctx(), kinds[k], n < ROWS - field_rows ? n : ROWS - field_rows, test_rand() % 4 == 0) == DREAMDB_OK);
            if (!test_ok) { break; }
        }
        CHECK(kinds[k] == DREAMDB_BOOL || round < 12 || field_track.form == (field_track.cls == DDB_TRACK_BTREE ? DDB_TRACK_SCALAR_TREE : DDB_TRACK_INLINE));
        world_env_again(0);
        for (int i = 0; i < 40; i++) {
            dreamdb_op op = (dreamdb_op)(DREAMDB_EQ + i % 7);
            check_select(k, op, op == DREAMDB_IN ? (size_t)(test_rand() % 30) : 1);
        }
        ddb_mem_arena_free(test_ctx(), &field_arena);
        world_close();
    }
}

static void bad_clauses_are_refused(void)
{
    dreamdb_operand operand;
    dreamdb_where where;
    uint64_t *anchors = NULL;
    size_t count = 0;
    memset(&operand, 0, sizeof operand);
    memset(&where, 0, sizeof where);
    world_open(0);
    field_open(4);
    random_column(DREAMDB_FLOAT, 10, 5, 0);
    CHECK(field_append(test_ctx(), DREAMDB_FLOAT, 10, false) == DREAMDB_OK);
    where.field = "f";
    where.operands = &operand;
    where.operand_count = 1;
    where.op = DREAMDB_AND;
    CHECK(ddb_scalar_select(test_ctx(), world_env, &field_track, DREAMDB_FLOAT, &where, &anchors, &count) == DREAMDB_ERR_ARGUMENT);
    where.op = DREAMDB_GT;
    operand.real = NAN;
    CHECK(ddb_scalar_select(test_ctx(), world_env, &field_track, DREAMDB_FLOAT, &where, &anchors, &count) == DREAMDB_ERR_ARGUMENT);
    operand.real = 0;
    where.operand_count = 0;
    CHECK(ddb_scalar_select(test_ctx(), world_env, &field_track, DREAMDB_FLOAT, &where, &anchors, &count) == DREAMDB_ERR_ARGUMENT);
    where.operands = NULL;
    where.operand_count = 1;
    CHECK(ddb_scalar_select(test_ctx(), world_env, &field_track, DREAMDB_FLOAT, &where, &anchors, &count) == DREAMDB_ERR_ARGUMENT);
    where.op = DREAMDB_IN;
    where.operand_count = 0;
    CHECK(ddb_scalar_select(test_ctx(), world_env, &field_track, DREAMDB_FLOAT, &where, &anchors, &count) == DREAMDB_OK && count == 0);
    ddb_mem_arena_free(test_ctx(), &field_arena);
    world_close();
}

/* One value out of a pack of 1.5 MB: a range and its outboard, not the pack. */
static void big_packs_are_read_by_range(void)
{
    enum { MANY = 50000 };
    ddb_scalar_value *v = (ddb_scalar_value *)calloc(MANY, sizeof *v);
    uint64_t *a = (uint64_t *)calloc(MANY, sizeof *a), *anchors = NULL;
    ddb_row *rows = NULL;
    ddb_puts *puts = NULL;
    ddb_addr addr;
    size_t n = 0, count = 0;
    dreamdb_operand operand;
    dreamdb_where where;
    ddb_buf pack;
    ddb_track next;
    for (size_t i = 0; i < MANY; i++) { v[i].kind = DREAMDB_INT; v[i].integer = (int64_t)i; a[i] = 7 * i; }
    world_open(0);
    field_open(2);
    ddb_ctx *ctx = test_ctx();
    ddb_bytes_init(&pack, ctx);
    CHECK(ddb_scalar_pack(ctx, &field_arena, DREAMDB_INT, v, a, MANY, &pack, &rows, &n) == DREAMDB_OK && n == MANY);
    CHECK(ddb_object_puts_open(ctx, world_env, &puts) == DREAMDB_OK);
    CHECK(ddb_object_put(ctx, puts, ddb_addr_folder(ctx, &field_arena, &field_track.timeline, field_track.modality, "bucket"), ddb_bytes_of(&pack), DDB_PUT_OUTBOARD, &addr) == DREAMDB_OK);
    for (size_t i = 0; i < n; i++) { rows[i].addr = addr; }
    CHECK(ddb_track_insert(ctx, world_env, &field_arena, &field_track, rows, n, DDB_TRACK_PAGE_LIMIT, puts, &next) == DREAMDB_OK);
    CHECK(ddb_object_flush(ctx, puts) == DREAMDB_OK);
    ddb_object_puts_close(ctx, puts);
    ddb_bytes_free(&pack);
    field_track = next;
    world_env_again(0);
    world_plan.bytes_read = world_plan.waves = 0;
    memset(&operand, 0, sizeof operand);
    memset(&where, 0, sizeof where);
    operand.integer = 40000;
    where.op = DREAMDB_EQ;
    where.field = "f";
    where.operands = &operand;
    where.operand_count = 1;
    CHECK(ddb_scalar_select(ctx, world_env, &field_track, DREAMDB_INT, &where, &anchors, &count) == DREAMDB_OK);
    CHECK(count == 1 && anchors[0] == 280000);
    CHECK(world_plan.bytes_read < 400000);                            /* of 1.5 MB of pack, 4 MB of pages */
    CHECK(world_plan.waves <= 4);
    ddb_mem_drop(ctx, anchors, uint64_t, count);
    where.op = DREAMDB_GE;
    CHECK(ddb_scalar_select(ctx, world_env, &field_track, DREAMDB_INT, &where, &anchors, &count) == DREAMDB_OK);
    CHECK(count == 10000 && anchors[0] == 280000 && anchors[9999] == 7 * 49999);
    ddb_mem_drop(ctx, anchors, uint64_t, count);
    ddb_mem_arena_free(ctx, &field_arena);
    world_close();
    free(v);
    free(a);
}

/* ---- Damage ---- */

static char paths[2000][300];
static size_t path_count;
static int keep_path(void *user, const char *path, const dreamdb_stat *stat)
{
    (void)user; (void)stat;
    if (path_count < 2000 && strstr(path, "/bucket/")) { (void)snprintf(paths[path_count++], 300, "%s", path); }
    return 0;
}

static void damage_is_seen(void)
{
    for (int cut = 0; cut < 2; cut++) {
        dreamdb_operand operand;
        dreamdb_where where;
        uint64_t *anchors = NULL;
        size_t count = 0;
        memset(&operand, 0, sizeof operand);
        memset(&where, 0, sizeof where);
        world_open(0);
        field_open(0);
        random_column(DREAMDB_CATEGORICAL, 500, 20, 1);
        CHECK(field_append(test_ctx(), DREAMDB_CATEGORICAL, 500, cut) == DREAMDB_OK);
        world_env_again(0);
        path_count = 0;
        CHECK(world_inner.list(world_inner.user, "", keep_path, NULL) == DREAMDB_OK);
        for (size_t i = 0; i < path_count; i++) { world_damage(paths[i], (size_t)test_rand(), cut); }
        where.op = DREAMDB_GE;
        where.field = "f";
        where.operands = &operand;
        where.operand_count = 1;
        CHECK(ddb_scalar_select(test_ctx(), world_env, &field_track, DREAMDB_CATEGORICAL, &where, &anchors, &count) == DREAMDB_ERR_CORRUPT);
        CHECK(!anchors && strstr(test_error.path, "/bucket/"));
        ddb_mem_arena_free(test_ctx(), &field_arena);
        world_close();
    }
}

/* Rows that name wrong bytes of a sound pack, wrong times, or keys of another kind. */
static void rows_may_lie(void)
{
    static const uint64_t lies[] = { 0, 1, 30, 31, 32, 100000, (uint64_t)1 << 31, (uint64_t)1 << 40, INT64_MAX };
    dreamdb_operand operand;
    dreamdb_where where;
    memset(&operand, 0, sizeof operand);
    memset(&where, 0, sizeof where);
    where.op = DREAMDB_NE;
    where.field = "f";
    where.operands = &operand;
    where.operand_count = 1;
    operand.text.data = "nope";
    operand.text.size = 4;
    world_open(0);
    field_open(0);
    random_column(DREAMDB_CATEGORICAL, 300, 20, 0);
    CHECK(field_append(test_ctx(), DREAMDB_CATEGORICAL, 300, false) == DREAMDB_OK);
    for (size_t i = 0; i < 9 * 9 * 5; i++) {
        ddb_row *row = field_track.rows + test_rand() % field_track.row_count, old = *row;
        uint64_t *anchors = NULL;
        size_t count = 0;
        int which = (int)(i % 5);
        if (which == 0) { row->offset = lies[i / 5 % 9]; row->size = lies[i / 45]; }
        if (which == 1) { row->t_start++; }
        if (which == 2) { row->t_end--; }
        if (which == 3) { row->flags |= DDB_ROW_WHOLE; }
        if (which == 4) { row->key = ddb_bytes_slice("\x01", 1); }
        dreamdb_status status = ddb_scalar_select(test_ctx(), world_env, &field_track, DREAMDB_CATEGORICAL, &where, &anchors, &count);
        CHECK(status == DREAMDB_ERR_CORRUPT || (which == 0 && (status == DREAMDB_ERR_FORMAT || status == DREAMDB_ERR_MEMORY || row->offset == old.offset)));
        CHECK(status < 0 ? !anchors : true);
        ddb_mem_drop(test_ctx(), anchors, uint64_t, count);
        *row = old;
    }
    ddb_mem_arena_free(test_ctx(), &field_arena);
    world_close();
}

static void survives_no_memory(void)
{
    for (size_t k = 0; k < 6; k += 4) {
        bool done = false;
        for (long fail = 1; !done && fail < 4000; fail++) {
            dreamdb_operand operands[3];
            dreamdb_where where;
            uint64_t *anchors = NULL;
            size_t count = 0;
            world_open(0);
            field_open(k);
            random_column(kinds[k], 300, 90, 1);
            for (size_t i = 0; i < 3; i++) { operand_of(operands + i, column + i); }
            memset(&where, 0, sizeof where);
            where.op = DREAMDB_IN;
            where.field = "f";
            where.operands = operands;
            where.operand_count = 3;
            test_fail_alloc_at(fail);
            dreamdb_status status = field_append(test_ctx(), kinds[k], 150, false);
            status = status < 0 ? status : field_append(test_ctx(), kinds[k], 150, true);
            status = status < 0 ? status : ddb_scalar_select(test_ctx(), world_env, &field_track, kinds[k], &where, &anchors, &count);
            CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_MEMORY);
            CHECK(status == DREAMDB_OK ? count > 0 : !anchors);
            done = test_allocs < fail;
            test_fail_alloc_at(0);
            ddb_mem_drop(test_ctx(), anchors, uint64_t, count);
            ddb_mem_arena_free(test_ctx(), &field_arena);
            world_close();
        }
        CHECK(done);
    }
}

int main(void)
{
    RUN(floats_are_shortest);
    RUN(one_encoding_a_value);
    RUN(checks_values);
    RUN(packs_equal_the_reference);
    RUN(packs_equal_the_model);
    RUN(selects_equal_the_reference);
    RUN(selects_equal_the_model);
    RUN(bad_clauses_are_refused);
    RUN(big_packs_are_read_by_range);
    RUN(damage_is_seen);
    RUN(rows_may_lie);
    RUN(survives_no_memory);
    return test_end("scalar");
}
