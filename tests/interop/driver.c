/* driver.c - runs the public API from lines on standard input; the golden, interop and cross tests speak to it.

   A line is a verb and tokens, parted by single blanks; the answer is any number of lines and then one that begins with
   "ok" or "err".  Values are tokens, so that no byte needs quoting:
     xHEX bytes or text   vHEX floats, little-endian f32   iN integer   fHEX double, 16 hex digits of its bits   bN bool   - absent
     mSIZE:ADDRESS[:HEX] media (answers only)
   Verbs (F a field name as xHEX, W a predicate):
     store PATHx | store memory          opens a store (durability none, made if missing); closes what was open
     set KEY VALUE                       identical, now, first (the clock's next answer, once), threads, cache, simd_off, verify_off, outboards_all: numbers; writer: xHEX or -
     field F KIND [required] [key=value ...]      dim index bits width k k_sub iterations seed key_bits rerank cap chunk pack bpd
                                         factors pq_m pq_k: numbers (width fHEX); compressor=rabitq|pq cseed=xHEX caddress=TEXT
                                         train=vHEX mime=xHEX modality=xHEX value=xHEX address=TEXT
     create REFx [nonce xHEX]            uses the fields        open REFx        close
     batch A A ...   col F [@read] [@pad] V V ...               columns of the next append or layer
     append [early] [tombstoned] [layer] [hot items=N seconds=N bytes=N]     flush (hot shards)     addfield [layer F]     train F k iterations seed key_bits [vHEX|-] [ivf|imi]
     snap [STATEx]   info   log [N]   refs   branch N  keep N  refdelete N  setmeta Kx Vx
     delete REASONx|- A A ...
     scan FIELDS START END ORDER MEDIA LIMIT [W]                FIELDS: * or F,F; ORDER 0 1 2
     get FIELDS MEDIA A A ...
     query F vHEX COUNT TOPK NPROBE[:POOL:MODE] EXACT FIELDS|- [W]          NPROBE a number or auto; MODE 0 1 2 as dreamdb_rerank
     count F|* START END [W]   estimate F   select [W]   media F A OFFSET SIZE   constant F
     verify DEPTH    stats   put PATH xHEX (an object of another writer)   load FILE   match FILE [SKIP]      a pack: lines "PATH SIZE", the bytes, a newline
   W: eq|ne|lt|le|gt|ge F V   in F N V..   and|or N W.. */
#include "../../dreamdb.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <inttypes.h>

/* ---- Memory of one round: everything since the last verb that used it up ---- */
typedef struct hold { struct hold *next; } hold;
static hold *holds;
static void *take(size_t size)
{
    hold *h = (hold *)calloc(1, sizeof(hold) + (size ? size : 1));
    if (!h) { fprintf(stderr, "driver: out of memory\n"); exit(3); }
    h->next = holds; holds = h;
    return h + 1;
}
static void drop_all(void)
{
    while (holds) { hold *next = holds->next; free(holds); holds = next; }
}

/* ---- State ---- */
enum { MAX_FIELDS = 256 };
static dreamdb_store store; static int store_open;
static dreamdb_config config;
static dreamdb *db; static dreamdb_snapshot *view;
static dreamdb_error error;
static uint64_t now_value; static char *writer_text;
static dreamdb_field fields[MAX_FIELDS]; static size_t field_count;
static dreamdb_column columns[MAX_FIELDS]; static size_t column_count;
static uint64_t *anchors; static size_t anchor_count;
static uint8_t *field_address[MAX_FIELDS];

static uint64_t first_value;                   /* the clock's next answer, once; 0 = none */
static uint64_t now_hook(void *user)
{
    uint64_t now = first_value ? first_value : now_value;
    (void)user;
    first_value = 0;
    return now;
}

/* ---- Line reading and tokens ---- */
static char *line; static size_t line_room;
static char **tokens; static size_t token_count, token_room;

static int read_line(void)
{
    size_t size = 0;
    for (;;) {
        int c = getchar();
        if (c == EOF && size == 0) { return 0; }
        if (size + 1 >= line_room) {
            line_room = line_room ? line_room * 2 : 65536;
            line = (char *)realloc(line, line_room);
            if (!line) { exit(3); }
        }
        if (c == EOF || c == '\n') { break; }
        line[size++] = (char)c;
    }
    line[size] = 0;
    return 1;
}

static void split_line(void)
{
    char *at = line;
    token_count = 0;
    while (*at) {
        if (token_count == token_room) {
            token_room = token_room ? token_room * 2 : 1024;
            tokens = (char **)realloc(tokens, token_room * sizeof *tokens);
            if (!tokens) { exit(3); }
        }
        tokens[token_count++] = at;
        while (*at && *at != ' ') { at++; }
        if (*at) { *at++ = 0; }
    }
}

static void bad(const char *what)
{
    printf("err usage %s\n", what);
    fflush(stdout);
    exit(2);
}
static char *token(size_t at)
{
    if (at >= token_count) { bad("a token is missing"); }
    return tokens[at];
}
static uint64_t number(const char *text) { return strtoull(text, NULL, 10); }

static unsigned nibble(char c)
{
    return c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 0u;
}
/* The bytes of hex text, NUL-terminated beyond the end. */
static uint8_t *unhex(const char *hex, size_t *size)
{
    size_t n = strlen(hex) / 2, i;
    uint8_t *out = (uint8_t *)take(n + 1);
    for (i = 0; i < n; i++) { out[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1])); }
    if (size) { *size = n; }
    return out;
}
static const char *text(const char *t)
{
    if (t[0] != 'x') { bad("xHEX expected"); }
    return (const char *)unhex(t + 1, NULL);
}
static float *floats(const char *t, size_t *count)
{
    size_t size, i;
    uint8_t *raw;
    float *out;
    if (t[0] != 'v') { bad("vHEX expected"); }
    raw = unhex(t + 1, &size);
    out = (float *)take(size);
    for (i = 0; i < size / 4; i++) {
        uint32_t bits = (uint32_t)raw[4 * i] | (uint32_t)raw[4 * i + 1] << 8 | (uint32_t)raw[4 * i + 2] << 16 | (uint32_t)raw[4 * i + 3] << 24;
        memcpy(&out[i], &bits, 4);
    }
    *count = size / 4;
    return out;
}
static double real(const char *t)
{
    uint64_t bits = strtoull(t + 1, NULL, 16);
    double out;
    memcpy(&out, &bits, 8);
    return out;
}

static void put_hex(const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = (const uint8_t *)data;
    size_t i;
    for (i = 0; i < size; i++) { putchar(digits[p[i] >> 4]); putchar(digits[p[i] & 15]); }
}
static void put_text(const char *t) { putchar('x'); put_hex(t, strlen(t)); }
static void put_floats(const void *data, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        uint32_t bits; uint8_t le[4];
        memcpy(&bits, (const char *)data + 4 * i, 4);
        le[0] = (uint8_t)bits; le[1] = (uint8_t)(bits >> 8); le[2] = (uint8_t)(bits >> 16); le[3] = (uint8_t)(bits >> 24);
        put_hex(le, 4);
    }
}
static void put_address(const uint8_t *address)
{
    char out[DREAMDB_ADDRESS_TEXT];
    dreamdb_address_text(address, out);
    fputs(out, stdout);
}
static void put_value(const dreamdb_value *value)
{
    uint64_t bits;
    if (!value->present) { putchar('-'); return; }
    switch (value->kind) {
    case DREAMDB_EMBEDDING: putchar('v'); put_floats(value->data, (size_t)value->size / 4); break;
    case DREAMDB_INT: case DREAMDB_TIMESTAMP: printf("i%" PRId64, value->integer); break;
    case DREAMDB_BOOL: printf("b%" PRId64, value->integer); break;
    case DREAMDB_FLOAT: memcpy(&bits, &value->real, 8); printf("f%016" PRIx64, bits); break;
    case DREAMDB_CATEGORICAL: case DREAMDB_STRING: putchar('x'); put_hex(value->data, (size_t)value->size); break;
    default:
        printf("m%" PRIu64 ":", value->size);
        put_address(value->address);
        if (value->data) { putchar(':'); put_hex(value->data, (size_t)value->size); }
        break;
    }
}

static void done(const char *rest) { printf("ok%s%s\n", *rest ? " " : "", rest); }
static void failed(dreamdb_status status)
{
    char *c;
    for (c = error.message; *c; c++) { if (*c == '\n') { *c = ' '; } }
    printf("err %s ", dreamdb_status_name(status));
    put_text(error.path);
    printf(" %s\n", error.message);
    if (error.status != status) { printf("(the error struct says %s)\n", dreamdb_status_name(error.status)); }
}
static int answer(dreamdb_status status)
{
    if (status == DREAMDB_OK) { done(""); return 1; }
    failed(status);
    return 0;
}

/* ---- Opening ---- */
static void close_view(void) { if (view) { dreamdb_snapshot_close(view); view = NULL; } }
static void close_db(void) { close_view(); if (db) { dreamdb_close(db); db = NULL; } }
static void close_all(void) { close_db(); if (store_open) { dreamdb_store_close(&store); store_open = 0; } }
static dreamdb_status need_view(void)
{
    if (view) { return DREAMDB_OK; }
    if (!db) { bad("nothing is open"); }
    return dreamdb_snapshot_open(db, NULL, &view, &error);
}

static void verb_store(void)
{
    dreamdb_directory dir;
    dreamdb_status status;
    memset(&dir, 0, sizeof dir);
    close_all();
    if (strcmp(token(1), "memory") == 0) {
        status = dreamdb_store_memory(NULL, &store, &error);
    } else {
        dir.path = text(token(1)); dir.create = 1; dir.durability = DREAMDB_DURABILITY_NONE;
        dir.read_only = token_count > 2 && strcmp(token(2), "readonly") == 0;
        if (dir.read_only) { dir.create = 0; }
        status = dreamdb_store_directory(&dir, &store, &error);
    }
    store_open = status == DREAMDB_OK;
    config.store = &store;
    (void)answer(status);
}

static void verb_set(void)
{
    const char *key = token(1), *value = token(2);
    if (strcmp(key, "identical") == 0) { config.identical = atoi(value); }
    else if (strcmp(key, "now") == 0) { now_value = number(value); config.now_ns = now_value ? now_hook : NULL; }
    else if (strcmp(key, "first") == 0) { first_value = number(value); }
    else if (strcmp(key, "threads") == 0) { config.threads = (uint32_t)number(value); }
    else if (strcmp(key, "cache") == 0) { config.cache_bytes = number(value); }
    else if (strcmp(key, "simd_off") == 0) { config.simd_off = (uint32_t)number(value); }
    else if (strcmp(key, "verify_off") == 0) { config.verify_off = atoi(value); }
    else if (strcmp(key, "outboards_all") == 0) { config.outboards_all = atoi(value); }
    else if (strcmp(key, "writer") == 0) {
        free(writer_text);
        writer_text = NULL;
        if (value[0] == 'x') {
            const char *t = text(value);
            writer_text = (char *)malloc(strlen(t) + 1);
            if (writer_text) { memcpy(writer_text, t, strlen(t) + 1); }
        }
        config.writer = writer_text;
    } else { bad("unknown key"); }
    done("");
}

static dreamdb_kind kind_of(const char *word)
{
    static const char *const words[] = { "other", "embedding", "image", "audio", "video", "categorical", "string", "int", "float", "bool", "timestamp", "constant" };
    size_t i;
    for (i = 0; i < sizeof words / sizeof *words; i++) { if (strcmp(words[i], word) == 0) { return (dreamdb_kind)i; } }
    bad("unknown kind");
    return DREAMDB_KIND_OTHER;
}

/* 1 when the token is key=..., its value in *value. */
static int is_key(char *t, const char *key, char **value)
{
    size_t n = strlen(key);
    if (strncmp(t, key, n) != 0 || t[n] != '=') { return 0; }
    *value = t + n + 1;
    return 1;
}

static void field_number(dreamdb_field *f, char *t)
{
    char *v;
    if (is_key(t, "dim", &v)) { f->dim = (uint32_t)number(v); }
    else if (is_key(t, "index", &v)) {
        f->index = strcmp(v, "ivf") == 0 ? DREAMDB_INDEX_IVF : strcmp(v, "lsh") == 0 ? DREAMDB_INDEX_LSH :
                   strcmp(v, "lsh-l2") == 0 ? DREAMDB_INDEX_LSH_L2 : strcmp(v, "imi") == 0 ? DREAMDB_INDEX_IMI : DREAMDB_INDEX_DEFAULT;
    }
    else if (is_key(t, "bits", &v)) { f->bits = (uint32_t)number(v); }
    else if (is_key(t, "width", &v)) { f->width = real(v); }
    else if (is_key(t, "k", &v)) { f->k = (uint32_t)number(v); }
    else if (is_key(t, "k_sub", &v)) { f->k_sub = (uint32_t)number(v); }
    else if (is_key(t, "compressor", &v)) { f->compressor = strcmp(v, "pq") == 0 ? DREAMDB_COMPRESSOR_PQ : DREAMDB_COMPRESSOR_RABITQ; }
    else if (is_key(t, "bpd", &v)) { f->bits_per_dim = (uint32_t)number(v); }
    else if (is_key(t, "factors", &v)) { f->factors = atoi(v); }
    else if (is_key(t, "pq_m", &v)) { f->pq_m = (uint32_t)number(v); }
    else if (is_key(t, "pq_k", &v)) { f->pq_k = (uint32_t)number(v); }
    else if (is_key(t, "iterations", &v)) { f->iterations = (uint32_t)number(v); }
    else if (is_key(t, "seed", &v)) { f->seed = number(v); }
    else if (is_key(t, "key_bits", &v)) { f->key_bits = strcmp(v, "auto") == 0 ? DREAMDB_KEY_BITS_AUTO : (uint32_t)number(v); }
    else if (is_key(t, "rerank", &v)) { f->rerank = atoi(v); }
    else if (is_key(t, "cap", &v)) { f->bucket_max_bytes = number(v); }
    else if (is_key(t, "chunk", &v)) { f->chunk_size = number(v); }
    else if (is_key(t, "pack", &v)) { f->pack_items = number(v); }
    else { bad("unknown option of a field"); }
}

static void verb_field(void)
{
    dreamdb_field *f = &fields[field_count];
    size_t i, n;
    char *v;
    if (field_count == MAX_FIELDS) { bad("too many fields"); }
    memset(f, 0, sizeof *f);
    f->name = text(token(1));
    f->kind = kind_of(token(2));
    for (i = 3; i < token_count; i++) {
        char *t = tokens[i];
        if (strcmp(t, "required") == 0) { f->required = 1; }
        else if (is_key(t, "train", &v)) { f->train = floats(v, &n); f->train_count = n; }
        else if (is_key(t, "mime", &v)) { f->mime = text(v); }
        else if (is_key(t, "modality", &v)) { f->modality = text(v); }
        else if (is_key(t, "value", &v)) { f->value = unhex(v + 1, &f->value_size); }
        else if (is_key(t, "address", &v)) {
            field_address[field_count] = (uint8_t *)take(DREAMDB_ADDRESS_SIZE);
            if (dreamdb_address_parse(v, field_address[field_count]) != 0) { bad("not an address"); }
            f->index_address = field_address[field_count];
        }
        else if (is_key(t, "caddress", &v)) {
            uint8_t *address = (uint8_t *)take(DREAMDB_ADDRESS_SIZE);
            if (dreamdb_address_parse(v, address) != 0) { bad("not an address"); }
            f->compressor_address = address;
        }
        else if (is_key(t, "cseed", &v)) { f->compressor_seed = unhex(v + 1, NULL); }
        else { field_number(f, t); }
    }
    if (f->train) { f->train_count /= f->dim ? f->dim : 1; }
    field_count++;
    done("");
}

static void verb_create(void)
{
    dreamdb_create_desc desc;
    memset(&desc, 0, sizeof desc);
    close_db();
    desc.fields = fields; desc.field_count = field_count;
    if (token_count > 3) { desc.nonce = unhex(token(3) + 1, NULL); }
    (void)answer(dreamdb_create(&config, text(token(1)), &desc, &db, &error));
}

static void verb_open(void)
{
    close_db();
    (void)answer(dreamdb_open(&config, text(token(1)), &db, &error));
}

/* ---- Batches ---- */
static void verb_batch(void)
{
    size_t i;
    anchor_count = token_count - 1;
    anchors = (uint64_t *)take(anchor_count * sizeof *anchors);
    for (i = 0; i < anchor_count; i++) { anchors[i] = number(tokens[i + 1]); }
    done("");
}

/* A media column by callback: the slices of the column are kept in the user pointer. */
static int read_back(void *user, size_t row, uint64_t offset, void *out, size_t size)
{
    const dreamdb_slice *all = (const dreamdb_slice *)user;
    if (offset > all[row].size || size > all[row].size - offset) { return 1; }
    if (size) { memcpy(out, (const char *)all[row].data + offset, size); }
    return 0;
}

/* Places cells of one size, padded when asked so that strides are tried. */
static char *cells(dreamdb_column *c, size_t rows, size_t size, int pad)
{
    char *out;
    c->stride = pad ? size + 24 : 0;
    out = (char *)take(rows * (pad ? c->stride : size));
    c->data = out;
    return out;
}

static void fill_numbers(dreamdb_column *c, char **values, size_t rows, char form, int pad)
{
    size_t i, size = form == 'b' ? 1 : 8, step;
    char *at = cells(c, rows, size, pad);
    step = c->stride ? c->stride : size;
    for (i = 0; i < rows; i++, at += step) {
        int64_t integer; double value; uint8_t flag;
        if (values[i][0] == '-') { continue; }
        if (form == 'i') { integer = (int64_t)strtoll(values[i] + 1, NULL, 10); memcpy(at, &integer, 8); }
        else if (form == 'f') { value = real(values[i]); memcpy(at, &value, 8); }
        else { flag = (uint8_t)atoi(values[i] + 1); memcpy(at, &flag, 1); }
    }
}

static void fill_vectors(dreamdb_column *c, char **values, size_t rows, size_t size, int pad)
{
    size_t i, n, step;
    char *at = cells(c, rows, size, pad);
    step = c->stride ? c->stride : size;
    for (i = 0; i < rows; i++, at += step) {
        if (values[i][0] != '-') {
            float *v = floats(values[i], &n);
            memcpy(at, v, n * 4 < size ? n * 4 : size);
        }
    }
}

static void verb_col(void)
{
    dreamdb_column *c = &columns[column_count];
    size_t at = 2, rows, i, missing = 0, dim_bytes = 0;
    int pad = 0, reads = 0;
    char form = '-';
    uint8_t *present;
    if (column_count == MAX_FIELDS) { bad("too many columns"); }
    memset(c, 0, sizeof *c);
    c->field = text(token(1));
    for (; at < token_count && tokens[at][0] == '@'; at++) {
        pad |= strcmp(tokens[at], "@pad") == 0; reads |= strcmp(tokens[at], "@read") == 0;
    }
    rows = token_count - at;
    if (rows != anchor_count) { bad("a column has another length than the batch"); }
    present = (uint8_t *)take(rows);
    for (i = 0; i < rows; i++) {
        present[i] = tokens[at + i][0] != '-';
        if (present[i]) { form = tokens[at + i][0]; dim_bytes = (strlen(tokens[at + i]) - 1) / 2; } else { missing++; }
    }
    if (missing) { c->present = present; }
    if (form == 'i' || form == 'f' || form == 'b') { fill_numbers(c, tokens + at, rows, form, pad); }
    else if (form == 'v') { fill_vectors(c, tokens + at, rows, dim_bytes, pad); }
    else {
        dreamdb_slice *all = (dreamdb_slice *)take((rows + 1) * sizeof *all);
        for (i = 0; i < rows; i++) {
            if (present[i]) { all[i].data = unhex(tokens[at + i] + 1, &all[i].size); }
        }
        c->values = all;
        if (reads) {
            dreamdb_slice *sizes = (dreamdb_slice *)take((rows + 1) * sizeof *sizes);
            for (i = 0; i < rows; i++) { sizes[i].size = all[i].size; }
            c->values = sizes; c->read = read_back; c->read_user = all;
        }
        c->data = form == '-' ? take(rows * 8) : NULL;      /* a column without a value may be of any kind */
    }
    column_count++;
    done("");
}

static void verb_append(void)
{
    dreamdb_append_desc desc;
    dreamdb_append_report report;
    dreamdb_status status;
    size_t i;
    memset(&desc, 0, sizeof desc);
    desc.columns = columns; desc.column_count = column_count; desc.count = anchor_count; desc.anchors = anchors;
    for (i = 1; i < token_count; i++) {
        desc.page_early |= strcmp(tokens[i], "early") == 0;
        desc.allow_tombstoned |= strcmp(tokens[i], "tombstoned") == 0;
        desc.into_layer |= strcmp(tokens[i], "layer") == 0;
        desc.hot |= strcmp(tokens[i], "hot") == 0;
        if (strncmp(tokens[i], "items=", 6) == 0) { desc.hot_items = strtoull(tokens[i] + 6, NULL, 10); }
        if (strncmp(tokens[i], "seconds=", 8) == 0) { desc.hot_seconds = strtoull(tokens[i] + 8, NULL, 10); }
        if (strncmp(tokens[i], "bytes=", 6) == 0) { desc.hot_bytes = strtoull(tokens[i] + 6, NULL, 10); }
    }
    close_view();
    status = dreamdb_append(db, &desc, &report, &error);
    if (status != DREAMDB_OK) { failed(status); return; }
    printf("ok rows=%" PRIu64 " objects=%" PRIu64 " bytes=%" PRIu64 " manifest=", report.rows, report.objects, report.bytes);
    put_address(report.manifest);
    putchar('\n');
}

static void verb_flush(void)
{
    dreamdb_flush_report report;
    close_view();
    dreamdb_status status = dreamdb_flush_hot(db, &report, &error);
    if (status != DREAMDB_OK) { failed(status); return; }
    printf("ok fields=%" PRIu64 " rows=%" PRIu64 " manifest=", report.fields, report.rows);
    put_address(report.manifest);
    putchar('\n');
}

static void verb_addfield(void)
{
    dreamdb_layer layer;
    const dreamdb_layer *given = NULL;
    if (field_count != 1) { bad("addfield takes one field"); }
    memset(&layer, 0, sizeof layer);
    if (token_count > 2) {
        layer.parent = text(token(2));
        layer.column = column_count ? &columns[0] : NULL;
        layer.anchors = anchors; layer.count = anchor_count;
        given = &layer;
    }
    close_view();
    (void)answer(dreamdb_add_field(db, &fields[0], given, &error));
}

static void verb_train(void)
{
    dreamdb_train_desc desc;
    size_t n, i;
    const dreamdb_info *info;
    dreamdb_status status;
    memset(&desc, 0, sizeof desc);
    desc.field = text(token(1));
    desc.k = (uint32_t)number(token(2)); desc.iterations = (uint32_t)number(token(3)); desc.seed = number(token(4));
    desc.key_bits = strcmp(token(5), "auto") == 0 ? DREAMDB_KEY_BITS_AUTO : (uint32_t)number(token(5));
    if (token_count > 7) { desc.index = strcmp(token(7), "imi") == 0 ? DREAMDB_INDEX_IMI : DREAMDB_INDEX_IVF; }
    if (token_count > 6 && token(6)[0] == 'v') {
        desc.sample = floats(token(6), &n);
        status = need_view();
        if (status == DREAMDB_OK) { status = dreamdb_snapshot_info(view, &info, &error); }
        if (status != DREAMDB_OK) { failed(status); return; }
        for (i = 0; i < info->field_count; i++) {
            if (strcmp(info->fields[i].name, desc.field) == 0 && info->fields[i].dim) { desc.sample_count = n / info->fields[i].dim; }
        }
    }
    close_view();
    (void)answer(dreamdb_train(db, &desc, &error));
}

/* ---- Predicates ---- */
static size_t where_at;
static dreamdb_op op_of(const char *word)
{
    static const char *const words[] = { "eq", "ne", "lt", "le", "gt", "ge", "in", "and", "or" };
    size_t i;
    for (i = 0; i < sizeof words / sizeof *words; i++) { if (strcmp(words[i], word) == 0) { return (dreamdb_op)(i + 1); } }
    bad("unknown operator");
    return DREAMDB_EQ;
}
static dreamdb_operand operand_of(const char *t)
{
    dreamdb_operand out;
    memset(&out, 0, sizeof out);
    if (t[0] == 'i' || t[0] == 'b') { out.integer = (int64_t)strtoll(t + 1, NULL, 10); }
    else if (t[0] == 'f') { out.real = real(t); }
    else { out.text.data = unhex(t + 1, &out.text.size); }
    return out;
}
static dreamdb_where where_of(void)
{
    dreamdb_where w;
    size_t i, n = 1;
    memset(&w, 0, sizeof w);
    w.op = op_of(token(where_at++));
    if (w.op == DREAMDB_AND || w.op == DREAMDB_OR) {
        dreamdb_where *children;
        n = (size_t)number(token(where_at++));
        children = (dreamdb_where *)take(n * sizeof *children);
        for (i = 0; i < n; i++) { children[i] = where_of(); }
        w.children = children; w.child_count = n;
        return w;
    }
    w.field = text(token(where_at++));
    if (w.op == DREAMDB_IN) { n = (size_t)number(token(where_at++)); }
    {
        dreamdb_operand *operands = (dreamdb_operand *)take(n * sizeof *operands);
        for (i = 0; i < n; i++) { operands[i] = operand_of(token(where_at++)); }
        w.operands = operands; w.operand_count = n;
    }
    return w;
}
static const dreamdb_where *where_from(size_t at)
{
    dreamdb_where *w;
    if (at >= token_count) { return NULL; }
    w = (dreamdb_where *)take(sizeof *w);
    where_at = at;
    *w = where_of();
    return w;
}
/* "*" gives NULL, "-" an empty list, else names parted by commas. */
static const char *const *names_of(char *t, size_t *count)
{
    const char **out;
    size_t n = 1;
    char *c;
    *count = 0;
    if (strcmp(t, "*") == 0 || strcmp(t, "-") == 0) { return NULL; }
    for (c = t; *c; c++) { n += *c == ','; }
    out = (const char **)take(n * sizeof *out);
    for (n = 0; ; ) {
        c = strchr(t, ',');
        if (c) { *c = 0; }
        out[n++] = text(t);
        if (!c) { break; }
        t = c + 1;
    }
    *count = n;
    return out;
}

/* ---- Reading ---- */
static void verb_snap(void)
{
    close_view();
    (void)answer(dreamdb_snapshot_open(db, token_count > 1 ? text(token(1)) : NULL, &view, &error));
}

static void run_scan(const dreamdb_scan *scan)
{
    dreamdb_cursor *cursor = NULL;
    dreamdb_row row;
    const dreamdb_info *info;
    size_t width = scan->field_count, i;
    dreamdb_status status = dreamdb_snapshot_info(view, &info, &error);
    if (status != DREAMDB_OK) { failed(status); return; }
    if (!scan->fields) {
        for (i = 0; i < info->field_count; i++) { width += info->fields[i].kind != DREAMDB_CONSTANT && info->fields[i].kind != DREAMDB_KIND_OTHER; }
    }
    status = dreamdb_scan_open(view, scan, &cursor, &error);
    while (status == DREAMDB_OK) {
        status = dreamdb_cursor_next(cursor, &row, &error);
        if (status == DREAMDB_OK) {
            printf("row %" PRIu64, row.anchor);
            for (i = 0; i < width; i++) { putchar(' '); put_value(&row.values[i]); }
            putchar('\n');
        }
    }
    dreamdb_cursor_close(cursor);
    (void)answer(status == DREAMDB_DONE ? DREAMDB_OK : status);
}

static void verb_scan(void)
{
    dreamdb_scan scan;
    dreamdb_status status = need_view();
    memset(&scan, 0, sizeof scan);
    if (status != DREAMDB_OK) { failed(status); return; }
    scan.fields = names_of(token(1), &scan.field_count);
    scan.start = number(token(2)); scan.end = number(token(3));
    scan.order = (dreamdb_order)atoi(token(4)); scan.load_media = atoi(token(5)); scan.limit = number(token(6));
    scan.where = where_from(7);
    run_scan(&scan);
}

static void verb_get(void)
{
    dreamdb_scan scan;
    uint64_t *wanted;
    size_t i;
    dreamdb_status status = need_view();
    memset(&scan, 0, sizeof scan);
    if (status != DREAMDB_OK) { failed(status); return; }
    scan.fields = names_of(token(1), &scan.field_count);
    scan.load_media = atoi(token(2));
    scan.order = DREAMDB_ORDER_ANCHOR;
    wanted = (uint64_t *)take((token_count - 3 + 1) * sizeof *wanted);
    for (i = 3; i < token_count; i++) { wanted[i - 3] = number(tokens[i]); }
    scan.anchors = wanted; scan.anchor_count = token_count - 3;
    run_scan(&scan);
}

static void put_result(const dreamdb_result *result)
{
    size_t q, h = 0, i;
    for (q = 0; q < result->query_count; q++) {
        printf("query %u\n", (unsigned)q);
        for (; h < result->ends[q]; h++) {
            uint32_t bits;
            memcpy(&bits, &result->hits[h].score, 4);
            printf("hit %" PRIu64 " %08" PRIx32, result->hits[h].anchor, bits);
            for (i = 0; i < result->field_count; i++) { putchar(' '); put_value(&result->hits[h].values[i]); }
            putchar('\n');
        }
    }
}

static void verb_query(void)
{
    dreamdb_query query;
    dreamdb_result *result = NULL;
    size_t n;
    dreamdb_status status = need_view();
    memset(&query, 0, sizeof query);
    if (status != DREAMDB_OK) { failed(status); return; }
    query.field = text(token(1)); query.vectors = floats(token(2), &n);
    query.count = (size_t)number(token(3)); query.top_k = (uint32_t)number(token(4));
    query.nprobe = strcmp(token(5), "auto") == 0 ? DREAMDB_NPROBE_AUTO : (uint32_t)number(token(5));
    if (strchr(token(5), ':')) {
        query.rerank_pool = (uint32_t)number(strchr(token(5), ':') + 1);
        query.rerank = (dreamdb_rerank)atoi(strrchr(token(5), ':') + 1);
    }
    query.exact = atoi(token(6));
    query.fields = names_of(token(7), &query.field_count);
    query.load_media = 1;
    query.where = where_from(8);
    status = dreamdb_search(view, &query, &result, &error);
    if (status == DREAMDB_OK) { put_result(result); dreamdb_result_free(result); }
    (void)answer(status);
}

static void verb_count(void)
{
    uint64_t out = 0;
    dreamdb_status status = need_view();
    if (status == DREAMDB_OK) {
        status = dreamdb_count(view, strcmp(token(1), "*") == 0 ? NULL : text(token(1)), where_from(4), number(token(2)), number(token(3)), &out, &error);
    }
    if (status == DREAMDB_OK) { printf("count %" PRIu64 "\n", out); }
    (void)answer(status);
}

static void verb_estimate(void)
{
    uint64_t out = 0;
    dreamdb_status status = need_view();
    if (status == DREAMDB_OK) { status = dreamdb_count_estimate(view, text(token(1)), &out, &error); }
    if (status == DREAMDB_OK) { printf("estimate %" PRIu64 "\n", out); }
    (void)answer(status);
}

static void verb_select(void)
{
    uint64_t *found = NULL;
    size_t count = 0, i;
    dreamdb_status status = need_view();
    if (status == DREAMDB_OK) { status = dreamdb_select(view, where_from(1), &found, &count, &error); }
    if (status == DREAMDB_OK) {
        printf("anchors");
        for (i = 0; i < count; i++) { printf(" %" PRIu64, found[i]); }
        putchar('\n');
        dreamdb_anchors_free(view, found, count);
    }
    (void)answer(status);
}

static void verb_media(void)
{
    size_t size = (size_t)number(token(4)), got = 0;
    void *out = take(size);
    dreamdb_status status = need_view();
    if (status == DREAMDB_OK) { status = dreamdb_media_read(view, text(token(1)), number(token(2)), number(token(3)), out, size, &got, &error); }
    if (status == DREAMDB_OK) { printf("bytes x"); put_hex(out, got); putchar('\n'); }
    (void)answer(status);
}

static void verb_constant(void)
{
    const void *data = NULL;
    size_t size = 0;
    dreamdb_status status = need_view();
    if (status == DREAMDB_OK) { status = dreamdb_constant(view, text(token(1)), &data, &size, &error); }
    if (status == DREAMDB_OK) { printf("bytes x"); put_hex(data, size); putchar('\n'); }
    (void)answer(status);
}

static void verb_info(void)
{
    const dreamdb_info *info = NULL;
    size_t i;
    dreamdb_status status = need_view();
    if (status == DREAMDB_OK) { status = dreamdb_snapshot_info(view, &info, &error); }
    if (status != DREAMDB_OK) { failed(status); return; }
    printf("manifest ");
    put_address(info->manifest);
    printf(" %" PRIu64 " ", info->ts_ns);
    put_text(info->writer);
    for (i = 0; i < info->parent_count; i++) { putchar(' '); put_address(info->parents + i * DREAMDB_ADDRESS_SIZE); }
    putchar('\n');
    for (i = 0; i < info->field_count; i++) {
        const dreamdb_field_info *f = &info->fields[i];
        printf("field ");
        put_text(f->name);
        printf(" %s %s required=%d dim=%u rerank=%d layer=%d k=%" PRIu64 " bits=%" PRIu64 " t=%" PRIu64 ",%" PRIu64 " track=", f->kind_text, f->modality,
               f->required, (unsigned)f->dim, f->rerank, f->is_layer, f->k, f->bits, f->t_min, f->t_max);
        put_address(f->track);
        putchar('\n');
    }
    for (i = 0; i < info->meta_count; i++) {
        printf("meta ");
        put_text(info->meta[i].key);
        putchar(' ');
        if (info->meta[i].text) { put_text(info->meta[i].text); } else { putchar('-'); }
        putchar('\n');
    }
    done("");
}

static int log_line(void *user, const dreamdb_log_entry *entry)
{
    size_t i;
    (void)user;
    printf("log ");
    put_address(entry->manifest);
    printf(" %" PRIu64 " ", entry->ts_ns);
    put_text(entry->writer);
    printf(" %u", (unsigned)entry->track_count);
    for (i = 0; i < entry->parent_count; i++) { putchar(' '); put_address(entry->parents + i * DREAMDB_ADDRESS_SIZE); }
    putchar('\n');
    return 0;
}
static void verb_log(void)
{
    dreamdb_status status = need_view();
    if (status == DREAMDB_OK) { status = dreamdb_log(view, token_count > 1 ? number(token(1)) : 0, log_line, NULL, &error); }
    (void)answer(status);
}

static int ref_line(void *user, const char *ref, const uint8_t address[DREAMDB_ADDRESS_SIZE], int is_tag)
{
    (void)user;
    printf("ref ");
    put_text(ref);
    putchar(' ');
    put_address(address);
    printf(" %d\n", is_tag);
    return 0;
}

static int fault_line(void *user, const dreamdb_fault_report *fault)
{
    (void)user;
    printf("fault %s ", dreamdb_status_name(fault->status));
    put_text(fault->path ? fault->path : "");
    printf(" %s\n", fault->message);
    return 0;
}
static void verb_verify(void)
{
    dreamdb_verify_report report;
    dreamdb_status status = need_view();
    memset(&report, 0, sizeof report);
    if (status == DREAMDB_OK) {
        status = dreamdb_verify(view, strcmp(token(1), "all") == 0 ? UINT64_MAX : number(token(1)), fault_line, NULL, &report, &error);
    }
    if (status == DREAMDB_OK) { printf("verify faults=%" PRIu64 " manifests=%" PRIu64 "\n", report.faults, report.manifests); }
    (void)answer(status);
}

static void verb_stats(void)
{
    const dreamdb_stats *stats = NULL;
    size_t i;
    dreamdb_status status = need_view();
    if (status == DREAMDB_OK) { status = dreamdb_snapshot_stats(view, &stats, &error); }
    if (status != DREAMDB_OK) { failed(status); return; }
    for (i = 0; i < stats->field_count; i++) {
        const dreamdb_field_stats *f = &stats->fields[i];
        printf("stats ");
        put_text(f->field);
        printf(" rows=%" PRIu64 " records=%" PRIu64 " cells=%" PRIu64 " paged=%d\n", f->rows, f->records, f->cells, f->paged);
    }
    done("");
}

/* ---- Packs: a whole store in one file ---- */
static int match_faults; static size_t match_seen;
static char **match_paths; static const char *match_skip;

static char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    long n;
    char *out;
    if (!f) { return NULL; }
    (void)fseek(f, 0, SEEK_END); n = ftell(f); rewind(f);
    out = (char *)take((size_t)n + 1);
    *size = fread(out, 1, (size_t)n, f);
    (void)fclose(f);
    return out;
}

static void match_one(const char *path, const char *data, size_t size)
{
    dreamdb_blob blob;
    int status;
    memset(&blob, 0, sizeof blob);
    if (match_skip && strncmp(path, match_skip, strlen(match_skip)) == 0) { return; }
    status = store.get(store.user, path, 0, 0, &blob);
    if (status != DREAMDB_OK) { printf("missing %s\n", path); match_faults++; return; }
    if (blob.size != size || (size && memcmp(blob.data, data, size) != 0)) { printf("differs %s\n", path); match_faults++; }
    if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
}

static int match_extra(void *user, const char *path, const dreamdb_stat *stat)
{
    size_t i;
    (void)user; (void)stat;
    if (path[0] == '.' || (match_skip && strncmp(path, match_skip, strlen(match_skip)) == 0)) { return 0; }
    for (i = 0; i < match_seen; i++) { if (strcmp(match_paths[i], path) == 0) { return 0; } }
    printf("extra %s\n", path);
    match_faults++;
    return 0;
}

static void verb_pack(int load)
{
    size_t size = 0, at = 0, room = 0;
    char *data = read_file(token(1), &size);
    if (!data) { bad("cannot read the pack"); }
    match_faults = 0; match_seen = 0; match_paths = NULL;
    match_skip = !load && token_count > 2 ? token(2) : NULL;
    while (at < size) {
        char *path = data + at, *end = (char *)memchr(path, '\n', size - at), *blank;
        size_t bytes;
        if (!end) { bad("the pack is cut"); }
        *end = 0;
        blank = strrchr(path, ' ');
        if (!blank) { bad("a line of the pack"); }
        *blank = 0;
        bytes = (size_t)number(blank + 1);
        at = (size_t)(end + 1 - data);
        if (bytes > size - at) { bad("the pack is cut"); }
        if (load) {
            dreamdb_condition always;
            memset(&always, 0, sizeof always);
            match_faults += store.put(store.user, path, data + at, bytes, &always) != DREAMDB_OK;
        } else { match_one(path, data + at, bytes); }
        if (match_seen == room) {
            char **more = (char **)take((room * 2 + 64) * sizeof *more);
            if (room) { memcpy(more, match_paths, room * sizeof *more); }
            match_paths = more; room = room * 2 + 64;
        }
        match_paths[match_seen++] = path;
        at += bytes + 1;
    }
    if (!load) { (void)store.list(store.user, "", match_extra, NULL); }
    if (match_faults) { printf("err corrupt x %d paths\n", match_faults); } else { done(""); }
}

static void verb_put(void)
{
    dreamdb_condition always;
    size_t size;
    uint8_t *data = unhex(token(2) + 1, &size);
    memset(&always, 0, sizeof always);
    if (store.put(store.user, token(1), data, size, &always) == DREAMDB_OK) { done(""); } else { printf("err store x cannot put\n"); }
}

/* ---- The verbs ---- */
static int run_reader(const char *verb)
{
    if (strcmp(verb, "snap") == 0) { verb_snap(); }
    else if (strcmp(verb, "info") == 0) { verb_info(); }
    else if (strcmp(verb, "log") == 0) { verb_log(); }
    else if (strcmp(verb, "refs") == 0) { (void)answer(dreamdb_refs(&config, ref_line, NULL, &error)); }
    else if (strcmp(verb, "scan") == 0) { verb_scan(); }
    else if (strcmp(verb, "get") == 0) { verb_get(); }
    else if (strcmp(verb, "query") == 0) { verb_query(); }
    else if (strcmp(verb, "count") == 0) { verb_count(); }
    else if (strcmp(verb, "estimate") == 0) { verb_estimate(); }
    else if (strcmp(verb, "select") == 0) { verb_select(); }
    else if (strcmp(verb, "media") == 0) { verb_media(); }
    else if (strcmp(verb, "constant") == 0) { verb_constant(); }
    else if (strcmp(verb, "verify") == 0) { verb_verify(); }
    else if (strcmp(verb, "stats") == 0) { verb_stats(); }
    else if (strcmp(verb, "put") == 0) { verb_put(); }
    else if (strcmp(verb, "load") == 0) { verb_pack(1); }
    else if (strcmp(verb, "match") == 0) { verb_pack(0); }
    else { return 0; }
    return 1;
}

static int told(void *user, const dreamdb_merge_conflict *c)
{
    (void)user;
    printf("conflict %s | %s | %s\n", c->field, c->key, c->why);
    return 0;
}

/* merge xOTHER [ff] [dry]: a line for each conflict, "more PLACED CELLS" if there were any, then
   "merged OUTCOME CONFLICTS TAKEN FUSED BASES MANIFEST". */
static void verb_merge(void)
{
    dreamdb_merge_desc desc;
    dreamdb_merge_report report;
    char manifest[DREAMDB_ADDRESS_TEXT];
    memset(&desc, 0, sizeof desc);
    desc.other = text(token(1));
    desc.conflict = told;
    for (size_t i = 2; i < token_count; i++) {
        desc.strategy = strcmp(token(i), "ff") == 0 ? DREAMDB_MERGE_FAST_FORWARD : desc.strategy;
        desc.dry_run = desc.dry_run || strcmp(token(i), "dry") == 0;
    }
    close_view();
    dreamdb_status status = dreamdb_merge(db, &desc, &report, &error);
    dreamdb_address_text(report.manifest, manifest);
    if (report.placed + report.cells > 0) {
        printf("more %" PRIu64 " %" PRIu64 "\n", report.placed, report.cells);
    }
    printf("merged %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n", (int)report.outcome, report.conflicts, report.taken, report.fused,
           report.bases, manifest);
    (void)answer(status);
}

/* compact xFIELD|- THRESHOLD MAX: "compacted EXAMINED CELLS FRAGMENTS ROWS DELETED LOSING MORE OBJECTS". */
static void verb_compact(void)
{
    dreamdb_compact_desc desc;
    dreamdb_compact_report r;
    close_view();
    memset(&desc, 0, sizeof desc);
    memset(&r, 0, sizeof r);
    desc.field = tokens[1][0] == '-' ? NULL : text(token(1));
    desc.threshold = (uint32_t)number(token(2));
    desc.max_cells = number(token(3));
    dreamdb_status status = dreamdb_compact(db, &desc, &r, &error);
    printf("compacted %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %" PRIu64 "\n", r.examined, r.cells, r.fragments, r.rows,
           r.deleted, r.losing, r.more, r.objects);
    (void)answer(status);
}

/* step xFIELD [relineage] [exact] [lossy]: "stepped OUTCOME K GENERATIONS". */
/* rebuild FIELD K SAMPLE SEED MEMORY auto|BITS */
static void verb_rebuild(void)
{
    dreamdb_rebuild_desc desc;
    close_view();
    memset(&desc, 0, sizeof desc);
    desc.field = text(token(1));
    desc.k = (uint32_t)number(token(2));
    desc.sample = number(token(3));
    desc.seed = number(token(4));
    desc.memory_bytes = number(token(5));
    desc.key_bits = strcmp(token(6), "auto") == 0 ? DREAMDB_KEY_BITS_AUTO : (uint32_t)number(token(6));
    desc.allow_lossy = 1;
    (void)answer(dreamdb_rebuild(db, &desc, NULL, &error));
}

static void verb_step(void)
{
    dreamdb_ada_step_desc desc;
    dreamdb_ada_step_report report;
    memset(&desc, 0, sizeof desc);
    memset(&report, 0, sizeof report);
    desc.field = text(token(1));
    for (size_t i = 2; i < token_count; i++) {
        desc.relineage = desc.relineage || strcmp(token(i), "relineage") == 0;
        desc.exact = desc.exact || strcmp(token(i), "exact") == 0;
        desc.allow_lossy = desc.allow_lossy || strcmp(token(i), "lossy") == 0;
    }
    close_view();
    dreamdb_status status = dreamdb_ada_step(db, &desc, &report, &error);
    printf("stepped %d %" PRIu64 " %" PRIu64 "\n", (int)report.outcome, report.k_after, report.generations);
    (void)answer(status);
}

static void verb_delete(void)
{
    dreamdb_delete_desc desc;
    dreamdb_delete_report report;
    uint64_t *list = (uint64_t *)take(token_count * sizeof *list);
    size_t i;
    close_view();
    memset(&desc, 0, sizeof desc);
    for (i = 2; i < token_count; i++) { list[i - 2] = number(tokens[i]); }
    desc.anchors = list;
    desc.anchor_count = token_count - 2;
    desc.reason = tokens[1][0] == '-' ? NULL : text(token(1));
    (void)answer(dreamdb_delete(db, &desc, &report, &error));
}

/* gc KEEP: of any age; nobody writes. */
static void verb_gc(void)
{
    dreamdb_gc_desc desc;
    dreamdb_gc_report report;
    memset(&desc, 0, sizeof desc);
    desc.keep_manifests = number(tokens[1]);
    desc.keep_since_ns = DREAMDB_GC_NO_AGE;
    desc.writers_paused = 1;
    close_view();
    (void)answer(dreamdb_gc(&config, &desc, &report, &error));
}

static int run_writer(const char *verb)
{
    if (strcmp(verb, "store") == 0) { verb_store(); }
    else if (strcmp(verb, "create") == 0) { verb_create(); }
    else if (strcmp(verb, "open") == 0) { verb_open(); }
    else if (strcmp(verb, "close") == 0) { close_db(); done(""); }
    else if (!db && strcmp(verb, "refdelete") != 0) { return 0; }
    else if (strcmp(verb, "append") == 0) { verb_append(); }
    else if (strcmp(verb, "flush") == 0) { verb_flush(); }
    else if (strcmp(verb, "addfield") == 0) { verb_addfield(); }
    else if (strcmp(verb, "train") == 0) { verb_train(); }
    else if (strcmp(verb, "rebuild") == 0) { verb_rebuild(); }
    else if (strcmp(verb, "branch") == 0) { (void)answer(dreamdb_branch(db, NULL, text(token(1)), &error)); }
    else if (strcmp(verb, "merge") == 0) { verb_merge(); }
    else if (strcmp(verb, "compact") == 0) { verb_compact(); }
    else if (strcmp(verb, "step") == 0) { verb_step(); }
    else if (strcmp(verb, "keep") == 0) { (void)answer(dreamdb_keep(db, text(token(1)), &error)); }
    else if (strcmp(verb, "refdelete") == 0) { (void)answer(dreamdb_ref_delete(&config, text(token(1)), &error)); }
    else if (strcmp(verb, "delete") == 0) { verb_delete(); }
    else if (strcmp(verb, "gc") == 0) { verb_gc(); }
    else if (strcmp(verb, "setmeta") == 0) { close_view(); (void)answer(dreamdb_set_meta(db, text(token(1)), text(token(2)), &error)); }
    else { return 0; }
    return 1;
}

int main(void)
{
    static char out_room[1 << 16];
    (void)setvbuf(stdout, out_room, _IOFBF, sizeof out_room);
    while (read_line()) {
        split_line();
        if (token_count == 0 || tokens[0][0] == '#') { continue; }
        if (strcmp(tokens[0], "field") == 0) { verb_field(); }
        else if (strcmp(tokens[0], "batch") == 0) { verb_batch(); }
        else if (strcmp(tokens[0], "col") == 0) { verb_col(); }
        else if (strcmp(tokens[0], "set") == 0) { verb_set(); }
        else {
            if (!run_reader(tokens[0]) && !run_writer(tokens[0])) { printf("err usage x %s: unknown here, or nothing is open\n", tokens[0]); }
            field_count = 0; column_count = 0; anchor_count = 0; anchors = NULL;
            drop_all();
        }
        fflush(stdout);
    }
    close_all();
    drop_all();
    free(writer_text); free(line); free(tokens);
    return 0;
}
