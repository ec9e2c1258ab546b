/* Room manifest: the fixtures' Manifests byte for byte, the reference's lineage step by step, every check of open, a model of lineage beside
   the clever code, broken bytes, allocation failures. */
#include "test.h"

static ddb_slice T(const char *text) { return ddb_bytes_text(text); }

typedef struct { char name[54], parent[54], op[32]; uint8_t *bytes; size_t size; } golden_row;
static golden_row rows[64];
static size_t row_count;
static void golden_read(void)
{
    size_t size;
    char path[128], *list = (char *)test_file("tests/golden/manifest/list.txt", &size), *line = list;
    while (line && *line && row_count < 64) {
        golden_row *row = rows + row_count++;
        if (sscanf(line, "%53s %53s %31s", row->name, row->parent, row->op) != 3) { test_failed++; break; }
        (void)snprintf(path, sizeof path, "tests/golden/manifest/%s", row->name);
        row->bytes = test_file(path, &row->size);
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    free(list);
}
static golden_row *golden(const char *name)
{
    size_t i;
    for (i = 0; i < row_count; i++) {
        if (strcmp(rows[i].name, name) == 0) { return rows + i; }
    }
    return NULL;
}
static golden_row *golden_op(const char *op, size_t least_edges)
{
    size_t i;
    for (i = 0; i < row_count; i++) {
        if (strcmp(rows[i].op, op) == 0 && rows[i].size > least_edges) { return rows + i; }
    }
    return NULL;
}
static dreamdb_status load(ddb_ctx *ctx, ddb_arena *arena, const golden_row *row, ddb_manifest *m)
{
    return ddb_manifest_decode(ctx, arena, ddb_bytes_slice(row->bytes, row->size), row->name, m);
}
static bool gives(const ddb_manifest *m, const void *bytes, size_t size)
{
    ddb_buf out;
    ddb_bytes_init(&out, &test_context);
    bool good = ddb_manifest_encode(&out, m) == DREAMDB_OK && out.size == size && memcmp(out.data, bytes, size) == 0;
    ddb_bytes_free(&out);
    return good;
}

static void golden_manifests_are_written_again(void)
{
    size_t i, f;
    ddb_ctx *ctx = test_ctx();
    CHECK(row_count > 20);
    for (i = 0; i < row_count; i++) {
        ddb_arena arena;
        ddb_manifest m;
        ddb_schema schema;
        ddb_addr addr;
        char text[DREAMDB_ADDRESS_TEXT];
        memset(&arena, 0, sizeof arena);
        ddb_addr_of(ctx->cpu, ddb_bytes_slice(rows[i].bytes, rows[i].size), &addr);
        ddb_addr_text(&addr, text);
        CHECK_STR(text, rows[i].name);
        CHECK(load(ctx, &arena, rows + i, &m) == DREAMDB_OK);
        CHECK(gives(&m, rows[i].bytes, rows[i].size));
        CHECK(ddb_manifest_schema(ctx, &arena, &m, rows[i].name, &schema) == DREAMDB_OK);
        CHECK(schema.count == m.active_count);
        for (f = 0; f < schema.count; f++) {
            const ddb_binding *b = ddb_manifest_active(&m, schema.fields[f].name);
            CHECK(b && ddb_bytes_equal(b->modality, schema.fields[f].modality));
            CHECK(ddb_schema_binding_kind(schema.fields + f) && ddb_bytes_is(b->kind, ddb_schema_binding_kind(schema.fields + f)));
            CHECK((schema.fields[f].kind == DREAMDB_KIND_OTHER) == (ddb_bytes_starts(b->modality, "array.") || ddb_bytes_starts(b->modality, "embedding.f32.dim=6.graph")));
        }
        ddb_mem_arena_free(ctx, &arena);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* What the reference published next, made from what it published before. */
static void advances_as_the_reference_did(void)
{
    size_t i, k, steps = 0, deletes = 0, entries = 0;
    ddb_ctx *ctx = test_ctx();
    for (i = 0; i < row_count; i++) {
        golden_row *old = golden(rows[i].parent);
        ddb_arena arena;
        ddb_manifest m, want;
        ddb_addr head;
        bool has = false;
        if (!old || strcmp(rows[i].op, "union-merge") == 0) { continue; }
        memset(&arena, 0, sizeof arena);
        CHECK(load(ctx, &arena, old, &m) == DREAMDB_OK && load(ctx, &arena, rows + i, &want) == DREAMDB_OK);
        for (k = 0; k < want.active_count; k++) {
            const ddb_binding *next = want.active + k, *was = ddb_manifest_active(&m, next->field);
            CHECK(was);
            steps += !ddb_addr_equal(&was->address, &next->address);
            CHECK(ddb_manifest_advance(ctx, &arena, &m, next->field, &next->address, next->t_min, next->t_max, true) == DREAMDB_OK);
        }
        CHECK(ddb_manifest_tombstones(ctx, &want, NULL, &has, &head) == DREAMDB_OK);
        if (has) { CHECK(ddb_manifest_set_tombstones(ctx, &arena, &m, &head) == DREAMDB_OK); deletes++; }
        for (k = 0; k < want.registry_count; k++) {
            if (!ddb_manifest_entry(&m, want.registry[k].key)) {
                CHECK(ddb_manifest_set_entry(ctx, &arena, &m, want.registry[k].key, want.registry[k].value) == DREAMDB_OK);
                entries++;
            }
        }
        m.ts = want.ts;
        m.writer = want.writer;
        m.parents = want.parents;
        m.parent_count = want.parent_count;
        CHECK(gives(&m, rows[i].bytes, rows[i].size));
        ddb_mem_arena_free(ctx, &arena);
    }
    CHECK(steps > 20 && deletes >= 3 && entries >= 1);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* ---- A small Manifest made by hand, written without any check ---- */

typedef struct { ddb_manifest m; ddb_addr timeline[1]; ddb_binding active[8], lineage[8]; ddb_edge edges[8]; int defect; } hand;
enum { NO_DEFECT, EXTRA_IN_BINDING, EXTRA_IN_EDGE, EXTRA_IN_TRACKS, EXTRA_IN_END, LONG_COVERAGE, NO_WRITER, TRAILING, KEYS_SWAPPED, SPACE_CONFIG_INT, SPACE_CONFIG_MAP,
       MORE_TOP, BAD_ROLE_TEXT };

static ddb_addr numbered(unsigned n)
{
    ddb_addr a;
    memset(&a, 0, sizeof a);
    a.bytes[0] = 0x1e;
    a.bytes[31] = (uint8_t)(n >> 8);
    a.bytes[32] = (uint8_t)n;
    return a;
}
static ddb_binding binding_of(const char *field, unsigned track)
{
    ddb_binding b;
    memset(&b, 0, sizeof b);
    b.kind = T("continuous");
    b.role = T("base");
    b.field = T(field);
    b.modality = T("image.jpeg");
    b.address = numbered(track);
    b.timeline = numbered(9999);
    b.t_max = 1;
    return b;
}
static ddb_edge edge_of(const ddb_binding *child, const ddb_binding *parent)
{
    ddb_edge e;
    e.child = ddb_manifest_end(child);
    e.parent = ddb_manifest_end(parent);
    return e;
}
static char role_text[4][80];
static ddb_slice role_of(int slot, unsigned track)
{
    ddb_addr a = numbered(track);
    strcpy(role_text[slot], "layer-of:");
    ddb_addr_text(&a, role_text[slot] + 9);
    return T(role_text[slot]);
}
/* Fields a, b, c; a has moved 11 -> 10; c is a layer of a's old Track 11. */
static void hand_make(hand *h)
{
    memset(h, 0, sizeof *h);
    h->timeline[0] = numbered(9999);
    h->m.writer = T("w");
    h->m.form = T("lineage-v1");
    h->m.timelines = h->timeline;
    h->m.timeline_count = 1;
    h->m.active = h->active;
    h->m.lineage = h->lineage;
    h->m.edges = h->edges;
    h->active[0] = binding_of("a", 10);
    h->active[1] = binding_of("b", 20);
    h->active[2] = binding_of("c", 30);
    h->active[2].role = role_of(0, 11);
    h->lineage[0] = binding_of("a", 11);
    h->edges[0] = edge_of(h->active, h->lineage);
    h->edges[1] = edge_of(h->active + 2, h->lineage);
    h->m.active_count = 3;
    h->m.lineage_count = 1;
    h->m.edge_count = 2;
}
static void raw_end(ddb_buf *buf, const ddb_end *e, bool more)
{
    ddb_buf one;
    ddb_bytes_init(&one, buf->ctx);
    ddb_manifest_put_end(&one, e);
    if (more) { one.data[0]++; }
    ddb_bytes_put(buf, one.data, one.size);
    if (more) { ddb_cbor_str(buf, "zzzzzzzzz"); ddb_cbor_uint(buf, 1); }
    ddb_bytes_free(&one);
}
static void raw_bindings(ddb_buf *buf, const char *key, const ddb_binding *list, size_t count, const hand *h)
{
    size_t i;
    ddb_cbor_str(buf, key);
    ddb_cbor_array(buf, count);
    for (i = 0; i < count; i++) {
        const ddb_binding *b = list + i;
        ddb_cbor_map(buf, h->defect == EXTRA_IN_BINDING ? 8 : 7);
        ddb_cbor_str(buf, "kind"); ddb_cbor_text(buf, b->kind.data, b->kind.size);
        ddb_cbor_str(buf, "role"); ddb_cbor_text(buf, b->role.data, b->role.size);
        ddb_cbor_str(buf, "field"); ddb_cbor_text(buf, b->field.data, b->field.size);
        ddb_cbor_str(buf, "address"); ddb_addr_write(buf, &b->address);
        ddb_cbor_str(buf, "coverage"); ddb_cbor_array(buf, h->defect == LONG_COVERAGE ? 3 : 2); ddb_cbor_uint(buf, b->t_min); ddb_cbor_uint(buf, b->t_max);
        if (h->defect == LONG_COVERAGE) { ddb_cbor_uint(buf, 9); }
        ddb_cbor_str(buf, "modality"); ddb_cbor_text(buf, b->modality.data, b->modality.size);
        ddb_cbor_str(buf, "timeline"); ddb_addr_write(buf, &b->timeline);
        if (h->defect == EXTRA_IN_BINDING) { ddb_cbor_str(buf, "zzzzzzzzz"); ddb_cbor_uint(buf, 1); }
    }
}
static void raw_tracks(ddb_buf *buf, const hand *h)
{
    const ddb_manifest *m = &h->m;
    size_t i;
    ddb_cbor_map(buf, h->defect == EXTRA_IN_TRACKS ? 5 : 4);
    ddb_cbor_str(buf, "form"); ddb_cbor_text(buf, m->form.data, m->form.size);
    ddb_cbor_str(buf, "edges"); ddb_cbor_array(buf, m->edge_count);
    for (i = 0; i < m->edge_count; i++) {
        ddb_cbor_map(buf, h->defect == EXTRA_IN_EDGE ? 3 : 2);
        ddb_cbor_str(buf, "child"); raw_end(buf, &m->edges[i].child, h->defect == EXTRA_IN_END);
        ddb_cbor_str(buf, "exact_parent"); raw_end(buf, &m->edges[i].parent, false);
        if (h->defect == EXTRA_IN_EDGE) { ddb_cbor_str(buf, "zzzzzzzzzzzzz"); ddb_cbor_uint(buf, 1); }
    }
    raw_bindings(buf, "active", m->active, m->active_count, h);
    raw_bindings(buf, "lineage", m->lineage, m->lineage_count, h);
    if (h->defect == EXTRA_IN_TRACKS) { ddb_cbor_str(buf, "zzzzzzzz"); ddb_cbor_uint(buf, 1); }
}
static void raw_write(ddb_buf *buf, const hand *h)
{
    const ddb_manifest *m = &h->m;
    size_t i, k;
    bool space = h->defect == SPACE_CONFIG_INT || h->defect == SPACE_CONFIG_MAP;
    ddb_cbor_map(buf, (uint64_t)6 + space + (h->defect == MORE_TOP ? 2 : 0) - (h->defect == NO_WRITER));
    if (h->defect == MORE_TOP) { ddb_cbor_str(buf, "x"); ddb_cbor_array(buf, 0); }
    ddb_cbor_str(buf, "ts"); ddb_cbor_uint(buf, m->ts);
    for (i = 0; i < 2; i++) {
        if ((i == 0) != (h->defect == KEYS_SWAPPED)) { ddb_cbor_str(buf, "tracks"); raw_tracks(buf, h); }
        else if (h->defect != NO_WRITER) { ddb_cbor_str(buf, "writer"); ddb_cbor_text(buf, m->writer.data, m->writer.size); }
    }
    ddb_cbor_str(buf, "parents"); ddb_manifest_put_addrs(buf, m->parents, m->parent_count);
    ddb_cbor_str(buf, "registry"); ddb_cbor_map(buf, m->registry_count);
    for (k = 0; k < m->registry_count; k++) { ddb_cbor_text(buf, m->registry[k].key.data, m->registry[k].key.size); ddb_cbor_raw(buf, m->registry[k].value); }
    ddb_cbor_str(buf, "timelines"); ddb_manifest_put_addrs(buf, m->timelines, m->timeline_count);
    if (h->defect == MORE_TOP) { ddb_cbor_str(buf, "zzzzzzzzzz"); ddb_bytes_put_u8(buf, 0xf6); }
    if (space) { ddb_cbor_str(buf, "space_config"); if (h->defect == SPACE_CONFIG_INT) { ddb_cbor_uint(buf, 5); } else { ddb_cbor_map(buf, 0); } }
    if (h->defect == TRAILING) { ddb_cbor_uint(buf, 0); }
}
/* Writes and reads it; when it is taken it must be written again the same. */
static dreamdb_status verdict(const hand *h)
{
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_manifest m;
    ddb_buf buf;
    memset(&arena, 0, sizeof arena);
    ddb_bytes_init(&buf, ctx);
    raw_write(&buf, h);
    dreamdb_status status = ddb_manifest_decode(ctx, &arena, ddb_bytes_of(&buf), "manifests/x", &m);
    if (status == DREAMDB_OK) { CHECK(gives(&m, buf.data, buf.size)); }
    else { CHECK(test_error.status == status); CHECK_STR(test_error.path, "manifests/x"); }
    ddb_bytes_free(&buf);
    ddb_mem_arena_free(ctx, &arena);
    return status;
}
#define WANTS(h, status, part) do { CHECK(verdict(h) == (status)); \
    if (!strstr(test_error.message, part)) { printf("%s:%d: \"%s\" lacks \"%s\"\n", __FILE__, __LINE__, test_error.message, part); test_ok = 0; } hand_make(h); } while (0)

static void checks_of_open(void)
{
    hand h;
    hand_make(&h);
    WANTS(&h, DREAMDB_OK, "");
    h.defect = EXTRA_IN_BINDING; WANTS(&h, DREAMDB_ERR_CORRUPT, "closed map");
    h.defect = EXTRA_IN_EDGE; WANTS(&h, DREAMDB_ERR_CORRUPT, "closed map");
    h.defect = EXTRA_IN_END; WANTS(&h, DREAMDB_ERR_CORRUPT, "closed map");
    h.defect = EXTRA_IN_TRACKS; WANTS(&h, DREAMDB_ERR_CORRUPT, "tracks container");
    h.defect = LONG_COVERAGE; WANTS(&h, DREAMDB_ERR_CORRUPT, "t_min, t_max");
    h.defect = NO_WRITER; WANTS(&h, DREAMDB_ERR_CORRUPT, "manifest is missing `writer`");
    h.defect = TRAILING; WANTS(&h, DREAMDB_ERR_CORRUPT, "behind the end");
    h.defect = KEYS_SWAPPED; WANTS(&h, DREAMDB_ERR_CORRUPT, "canonical order");
    h.defect = SPACE_CONFIG_INT; WANTS(&h, DREAMDB_ERR_CORRUPT, "space_config");
    h.defect = SPACE_CONFIG_MAP; WANTS(&h, DREAMDB_OK, "");
    h.defect = MORE_TOP; WANTS(&h, DREAMDB_OK, "");
    h.m.form = T("lineage-v2"); WANTS(&h, DREAMDB_ERR_UNSUPPORTED, "lineage-v2");
    h.m.form = T("lineage-v4"); WANTS(&h, DREAMDB_ERR_UNSUPPORTED, "entity keys");
    h.m.form = T("lineage-v5"); WANTS(&h, DREAMDB_ERR_UNSUPPORTED, "origins");
    h.m.form = T("lineage-v3"); WANTS(&h, DREAMDB_ERR_FORMAT, "lineage-v3");
    h.m.form = T("x\ny"); WANTS(&h, DREAMDB_ERR_FORMAT, "'x?y'");
    h.m.timeline_count = 0; WANTS(&h, DREAMDB_OK, "");            /* the reference does not check these */
    h.m.writer = T(""); WANTS(&h, DREAMDB_OK, "");
    h.active[1].t_min = 1; WANTS(&h, DREAMDB_ERR_CORRUPT, "half-open");
    h.lineage[0].t_min = 9; WANTS(&h, DREAMDB_ERR_CORRUPT, "half-open");
    h.active[1].kind = T("foo"); WANTS(&h, DREAMDB_ERR_CORRUPT, "kind");
    h.active[1].kind = T("event"); WANTS(&h, DREAMDB_ERR_CORRUPT, "class");
    h.lineage[0].kind = T("constant"); WANTS(&h, DREAMDB_ERR_CORRUPT, "class");
    h.active[1].modality = T("../x.y"); WANTS(&h, DREAMDB_ERR_CORRUPT, "modality");
    h.active[1].modality = T("image"); WANTS(&h, DREAMDB_ERR_CORRUPT, "modality");
    h.active[1].role = T("layer-of:xx"); WANTS(&h, DREAMDB_ERR_CORRUPT, "role");
    h.active[1].role = T("parent"); WANTS(&h, DREAMDB_ERR_CORRUPT, "role");
    h.active[1].address.bytes[0] = 0x1f; WANTS(&h, DREAMDB_ERR_CORRUPT, "address");
}

static void checks_of_the_graph(void)
{
    hand h;
    ddb_binding swap;
    ddb_edge edge;
    hand_make(&h);
    swap = h.active[0]; h.active[0] = h.active[1]; h.active[1] = swap; WANTS(&h, DREAMDB_ERR_CORRUPT, "ascend");
    edge = h.edges[0]; h.edges[0] = h.edges[1]; h.edges[1] = edge; WANTS(&h, DREAMDB_ERR_CORRUPT, "ascend");
    h.active[1] = h.active[0]; WANTS(&h, DREAMDB_ERR_CORRUPT, "ascend");
    h.active[1] = h.active[0]; h.active[1].modality = T("image.png"); WANTS(&h, DREAMDB_ERR_CORRUPT, "one field");
    h.active[3] = h.active[0]; h.active[3].timeline = numbered(10000); h.m.active_count = 4; WANTS(&h, DREAMDB_OK, "");    /* another timeline */
    h.lineage[0] = h.active[1]; h.edges[0].parent = h.edges[1].parent = ddb_manifest_end(h.lineage); h.active[2].role = T("base");
    WANTS(&h, DREAMDB_ERR_CORRUPT, "in active and in lineage");
    h.edges[1].parent.address = numbered(5); WANTS(&h, DREAMDB_ERR_CORRUPT, "edge's end");
    h.edges[1].child.address = numbered(5); WANTS(&h, DREAMDB_ERR_CORRUPT, "edge's end");
    h.m.lineage_count = 0; WANTS(&h, DREAMDB_ERR_CORRUPT, "edge's end");
    h.edges[1].parent = h.edges[1].child; WANTS(&h, DREAMDB_ERR_CORRUPT, "self-edge");
    h.m.edge_count = 1; WANTS(&h, DREAMDB_ERR_CORRUPT, "role");                       /* the layer without its edge */
    h.active[2].role = role_of(1, 10); WANTS(&h, DREAMDB_ERR_CORRUPT, "role");        /* 10 is no ancestor of it */
    h.active[2].role = T("base"); WANTS(&h, DREAMDB_OK, "");                          /* a base with an edge is fine */
    h.active[2].role = T("base"); h.m.edge_count = 1; h.edges[0] = h.edges[1]; h.m.lineage_count = 1; WANTS(&h, DREAMDB_OK, "");
    h.m.edge_count = 0; h.active[2].role = T("base"); WANTS(&h, DREAMDB_ERR_CORRUPT, "not reachable");
    h.m.edge_count = h.m.lineage_count = 0; h.active[2].role = T("base"); WANTS(&h, DREAMDB_OK, "");
    h.edges[1].parent = ddb_manifest_end(h.active); h.active[2].role = role_of(1, 11); WANTS(&h, DREAMDB_OK, "");   /* c -> a(10) -> a(11) */
    h.edges[2] = edge_of(h.active + 2, h.active + 1); h.m.edge_count = 3; WANTS(&h, DREAMDB_ERR_CORRUPT, "share a child");
    h.edges[2] = h.edges[1]; h.edges[1] = edge_of(h.lineage, h.active); h.m.edge_count = 3; WANTS(&h, DREAMDB_ERR_CORRUPT, "cycle");
}

/* The container may hold 1048576 bytes and not one more, on reading and on writing. */
static void containers_over_a_mebibyte_are_refused(void)
{
    enum { MANY = 5600 };
    static char fields[MANY][32], last[65536];
    hand h;
    size_t i, size = 300;
    ddb_buf out;
    ddb_binding *active = (ddb_binding *)malloc(MANY * sizeof *active);
    hand_make(&h);
    for (i = 0; i < MANY; i++) {
        (void)snprintf(fields[i], sizeof fields[i], "f%05u_and_some_more_bytes", (unsigned)i);
        active[i] = binding_of(fields[i], (unsigned)i);
    }
    memset(last, 'z', sizeof last);
    h.m.active = active;
    h.m.edge_count = h.m.lineage_count = 0;
    h.m.active_count = MANY;
    active[MANY - 1].field = ddb_bytes_slice(last, size);
    ddb_bytes_init(&out, test_ctx());
    raw_tracks(&out, &h);
    CHECK(out.size < DDB_MANIFEST_TRACKS_MAX && DDB_MANIFEST_TRACKS_MAX - out.size < 65000);
    size += DDB_MANIFEST_TRACKS_MAX - out.size;
    for (i = 0; i < 2; i++) {
        active[MANY - 1].field.size = size + i;
        CHECK(verdict(&h) == (i == 0 ? DREAMDB_OK : DREAMDB_ERR_LIMIT));
        ddb_bytes_clear(&out);
        CHECK(ddb_manifest_encode(&out, &h.m) == (i == 0 ? DREAMDB_OK : DREAMDB_ERR_LIMIT));
    }
    CHECK(strstr(test_error.message, "1048577 bytes") && strstr(test_error.message, "1048576 limit"));
    ddb_bytes_free(&out);
    free(active);
}

/* ---- Lineage: the rule of FORMAT.md 5, said plainly, beside the room ---- */

enum { FIELDS = 6, TRACKS = 400 };
/* track 0 is nobody; a layer's states keep their edges in every mode, a base field's only in the identical one */
typedef struct { int active[FIELDS], layer[FIELDS], up[TRACKS], field_of[TRACKS], count; } model;

static void model_check(const model *w, const ddb_manifest *m)
{
    bool reached[TRACKS];
    size_t lineage = 0, edges = 0, i;
    int f, t;
    memset(reached, 0, sizeof reached);
    for (f = 0; f < FIELDS; f++) {
        for (t = w->active[f]; t > 0; t = w->up[t]) { reached[t] = true; }
    }
    for (t = 1; t <= w->count; t++) {
        ddb_addr a = numbered((unsigned)t), p = numbered((unsigned)w->up[t]);
        bool found = false;
        if (!reached[t]) { continue; }
        lineage += w->active[w->field_of[t]] != t;
        if (w->active[w->field_of[t]] != t) {
            for (i = 0; i < m->lineage_count; i++) { found = found || ddb_addr_equal(&m->lineage[i].address, &a); }
            CHECK(found);
        }
        if (w->up[t] > 0) {
            edges++;
            for (i = 0, found = false; i < m->edge_count; i++) { found = found || (ddb_addr_equal(&m->edges[i].child.address, &a) && ddb_addr_equal(&m->edges[i].parent.address, &p)); }
            CHECK(found);
        }
    }
    CHECK_EQ_U64(m->lineage_count, lineage);
    CHECK_EQ_U64(m->edge_count, edges);
}
static void reads_back(const ddb_manifest *m)
{
    ddb_ctx *ctx = &test_context;
    ddb_arena arena;
    ddb_buf buf;
    ddb_manifest back;
    memset(&arena, 0, sizeof arena);
    ddb_bytes_init(&buf, ctx);
    CHECK(ddb_manifest_encode(&buf, m) == DREAMDB_OK);
    if (ddb_manifest_decode(ctx, &arena, ddb_bytes_of(&buf), NULL, &back) != DREAMDB_OK) { printf("%s\n", test_error.message); test_ok = 0; }
    ddb_bytes_free(&buf);
    ddb_mem_arena_free(ctx, &arena);
}
/* Each lineage binding is needed: without it (and the edges at it) the state is refused. */
static void nothing_is_left_over(const ddb_manifest *m)
{
    size_t i, e;
    for (i = 0; i < m->lineage_count; i++) {
        ddb_manifest less = *m;
        ddb_binding *lineage = (ddb_binding *)malloc(m->lineage_count * sizeof *lineage);
        ddb_edge *edges = (ddb_edge *)malloc((m->edge_count + 1) * sizeof *edges);
        ddb_end gone = ddb_manifest_end(m->lineage + i);
        less.lineage = lineage;
        less.edges = edges;
        less.lineage_count = less.edge_count = 0;
        for (e = 0; e < m->lineage_count; e++) { if (e != i) { lineage[less.lineage_count++] = m->lineage[e]; } }
        for (e = 0; e < m->edge_count; e++) {
            if (ddb_manifest_compare_end(&m->edges[e].child, &gone) != 0 && ddb_manifest_compare_end(&m->edges[e].parent, &gone) != 0) { edges[less.edge_count++] = m->edges[e]; }
        }
        CHECK(ddb_manifest_check(&test_context, &less, NULL) == DREAMDB_ERR_CORRUPT);
        free(lineage);
        free(edges);
    }
}

static void lineage_follows_the_rule(void)
{
    static const char *const fields[FIELDS] = { "a", "b", "c", "d", "e", "f" };
    int round, step;
    for (round = 0; round < 60; round++) {
        ddb_ctx *ctx = test_ctx();
        ddb_arena arena;
        hand h;
        model w;
        memset(&arena, 0, sizeof arena);
        memset(&w, 0, sizeof w);
        hand_make(&h);
        h.m.active_count = h.m.lineage_count = h.m.edge_count = 0;
        for (step = 0; step < 60; step++) {
            int f = (int)(test_rand() % FIELDS), t = ++w.count, other = (int)(test_rand() % FIELDS);
            ddb_addr a = numbered((unsigned)t);
            bool identical = round % 3 == 0 ? true : round % 3 == 1 ? false : (test_rand() & 1) != 0;
            w.field_of[t] = f;
            if (w.active[f] == 0) {
                ddb_binding b = binding_of(fields[f], (unsigned)t);
                const ddb_binding *parent = w.active[other] > 0 && (test_rand() & 1) ? ddb_manifest_active(&h.m, T(fields[other])) : NULL;
                w.layer[f] = parent != NULL;
                if (parent) { w.up[t] = w.active[other]; }
                CHECK(ddb_manifest_bind(ctx, &arena, &h.m, &b, parent) == DREAMDB_OK);
                CHECK(ddb_manifest_bind(ctx, &arena, &h.m, &b, NULL) == DREAMDB_ERR_EXISTS);
                CHECK(!parent || (ddb_bytes_starts(ddb_manifest_active(&h.m, T(fields[f]))->role, "layer-of:d")));
            } else {
                w.up[t] = identical || w.layer[f] ? w.active[f] : 0;
                CHECK(ddb_manifest_advance(ctx, &arena, &h.m, T(fields[f]), &a, 5, 50, identical) == DREAMDB_OK);
            }
            w.active[f] = t;
            reads_back(&h.m);
            CHECK(ddb_addr_equal(&ddb_manifest_active(&h.m, T(fields[f]))->address, &a));
            model_check(&w, &h.m);
        }
        CHECK(ddb_manifest_relax(ctx, &arena, &h.m) == DREAMDB_OK);
        reads_back(&h.m);
        nothing_is_left_over(&h.m);
        ddb_mem_arena_free(ctx, &arena);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
}

/* A base, a layer over it and a layer over that, moved 700 times each: the lineage stays small. */
static void lineage_is_bounded(void)
{
    static const char *const fields[] = { "a", "b", "c" };
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_buf buf;
    hand h;
    int i, f;
    size_t most = 0;
    memset(&arena, 0, sizeof arena);
    ddb_bytes_init(&buf, ctx);
    hand_make(&h);
    h.m.active_count = h.m.lineage_count = h.m.edge_count = 0;
    for (f = 0; f < 3; f++) {
        ddb_binding b = binding_of(fields[f], (unsigned)f + 1);
        CHECK(ddb_manifest_bind(ctx, &arena, &h.m, &b, f > 0 ? ddb_manifest_active(&h.m, T(fields[f - 1])) : NULL) == DREAMDB_OK);
    }
    for (i = 0; i < 700; i++) {
        for (f = 0; f < 3; f++) {
            ddb_addr a = numbered((unsigned)(10 + i * 3 + f));
            CHECK(ddb_manifest_advance(ctx, &arena, &h.m, T(fields[f]), &a, 0, 9, false) == DREAMDB_OK);
        }
        most = h.m.lineage_count > most ? h.m.lineage_count : most;
        if (i % 50 == 0 || (i > 60 && i < 70)) { reads_back(&h.m); }
    }
    CHECK(most > 2 * DDB_MANIFEST_RUN && most < 2 * DDB_MANIFEST_RUN + 8);
    CHECK(ddb_manifest_encode_fit(ctx, &arena, &buf, &h.m, false) == DREAMDB_OK && buf.size < 100000 && h.m.lineage_count > 3);
    CHECK(ddb_manifest_relax(ctx, &arena, &h.m) == DREAMDB_OK);
    CHECK_EQ_U64(h.m.lineage_count, 2);
    CHECK_EQ_U64(h.m.edge_count, 3);
    reads_back(&h.m);
    ddb_bytes_free(&buf);
    ddb_mem_arena_free(ctx, &arena);
}

/* A container that is full of history is written without it, unless it must be the reference's. */
static void a_full_container_is_relaxed(void)
{
    enum { MANY = 4000 };
    hand h;
    ddb_arena arena;
    ddb_buf buf;
    ddb_ctx *ctx = test_ctx();
    ddb_binding *lineage = (ddb_binding *)malloc(MANY * sizeof *lineage);
    ddb_edge *edges = (ddb_edge *)malloc((MANY + 1) * sizeof *edges);
    size_t i;
    memset(&arena, 0, sizeof arena);
    ddb_bytes_init(&buf, ctx);
    hand_make(&h);
    h.m.active_count = 1;
    h.active[0] = binding_of("a", 5000);
    for (i = 0; i < MANY; i++) {
        lineage[i] = binding_of("a", (unsigned)i);
        if (i > 0) { edges[i - 1] = edge_of(lineage + i, lineage + i - 1); }
    }
    edges[MANY - 1] = edge_of(h.active, lineage + MANY - 1);
    h.m.lineage = lineage;
    h.m.edges = edges;
    h.m.lineage_count = h.m.edge_count = MANY;
    CHECK(ddb_manifest_check(ctx, &h.m, NULL) == DREAMDB_OK);
    CHECK(ddb_manifest_encode_fit(ctx, &arena, &buf, &h.m, true) == DREAMDB_ERR_LIMIT);
    ddb_bytes_clear(&buf);
    ddb_bytes_put_u8(&buf, 7);                   /* what stood in the buffer stays */
    CHECK(ddb_manifest_encode_fit(ctx, &arena, &buf, &h.m, false) == DREAMDB_OK && buf.data[0] == 7 && buf.size < 600);
    CHECK(h.m.lineage_count == 0 && h.m.edge_count == 0);
    ddb_bytes_free(&buf);
    ddb_mem_arena_free(ctx, &arena);
    free(lineage);
    free(edges);
}

static void a_track_may_come_back(void)
{
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    hand h;
    int i;
    memset(&arena, 0, sizeof arena);
    hand_make(&h);
    for (i = 0; i < 6; i++) {
        ddb_addr a = numbered(i & 1 ? 10 : 11);
        CHECK(ddb_manifest_advance(ctx, &arena, &h.m, T("a"), &a, 0, 9, i < 4) == DREAMDB_OK);
        reads_back(&h.m);
    }
    CHECK(ddb_manifest_advance(ctx, &arena, &h.m, T("nobody"), &h.active[0].address, 0, 9, true) == DREAMDB_ERR_NOT_FOUND);
    ddb_mem_arena_free(ctx, &arena);
}

/* Relaxing what the reference wrote: layers keep the Track their role names, the rest goes. */
static void golden_manifests_relax(void)
{
    size_t i, k, layers = 0;
    ddb_ctx *ctx = test_ctx();
    for (i = 0; i < row_count; i++) {
        ddb_arena arena;
        ddb_manifest m;
        size_t here = 0;
        memset(&arena, 0, sizeof arena);
        CHECK(load(ctx, &arena, rows + i, &m) == DREAMDB_OK);
        CHECK(ddb_manifest_relax(ctx, &arena, &m) == DREAMDB_OK);
        reads_back(&m);
        nothing_is_left_over(&m);
        for (k = 0; k < m.active_count; k++) { ddb_addr a; here += ddb_manifest_layer_of(m.active + k, &a); }
        CHECK(here > 0 || (m.lineage_count == 0 && m.edge_count == 0));
        CHECK(m.edge_count >= here);
        layers += here;
        ddb_mem_arena_free(ctx, &arena);
    }
    CHECK(layers >= 8);
}

/* Advancing never touches the lists of the Manifest it started from. */
static void the_old_state_stays(void)
{
    golden_row *row = golden_op("add_embedding_layer", 0);
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_manifest old, m;
    ddb_addr a = numbered(77);
    size_t i;
    memset(&arena, 0, sizeof arena);
    CHECK(row && load(ctx, &arena, row, &old) == DREAMDB_OK);
    for (i = 0; i < 2; i++) {
        m = old;
        CHECK(ddb_manifest_advance(ctx, &arena, &m, old.active[1].field, &a, 1, 2, i == 0) == DREAMDB_OK);
        CHECK(ddb_manifest_set_meta(ctx, &arena, &m, T("dreamdb.x"), T("y")) == DREAMDB_OK);
        CHECK(!gives(&m, row->bytes, row->size));
        CHECK(gives(&old, row->bytes, row->size));
    }
    ddb_mem_arena_free(ctx, &arena);
}

/* ---- Registry ---- */

static void registry_entries(void)
{
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    hand h;
    int round, i, n, have[10];
    char key[16];
    memset(&arena, 0, sizeof arena);
    hand_make(&h);
    for (i = 0; i < 10; i++) { have[i] = -1; }
    for (round = 0; round < 300; round++) {
        int slot = (int)(test_rand() % 10), put = (int)(test_rand() % 3);
        uint8_t byte = (uint8_t)(test_rand() % 24);
        (void)snprintf(key, sizeof key, slot < 5 ? "k%d" : "longer%d", slot);
        CHECK(ddb_manifest_set_entry(ctx, &arena, &h.m, T(key), ddb_bytes_slice(&byte, put ? 1 : 0)) == DREAMDB_OK);
        have[slot] = put ? byte : -1;
        for (i = n = 0; i < 10; i++) {
            (void)snprintf(key, sizeof key, i < 5 ? "k%d" : "longer%d", i);
            const ddb_entry *entry = ddb_manifest_entry(&h.m, T(key));
            CHECK((entry != NULL) == (have[i] >= 0));
            CHECK(!entry || entry->value.data[0] == have[i]);
            n += have[i] >= 0;
        }
        CHECK_EQ_U64(h.m.registry_count, n);
        if (round % 20 == 0) { reads_back(&h.m); }
    }
    ddb_mem_arena_free(ctx, &arena);
}

static void meta_keys(void)
{
    static const char *const bad[] = { "dreamdb.schema", "dreamdb.tombstones", "dreamdb.entity_keys", "dreamdb", "x.y", "", "Dreamdb.x", "dreamdb.\xff" };
    static const char *const good[] = { "dreamdb.", "dreamdb.x", "dreamdb.schema.x", "dreamdb.X y", "dreamdb.\xc3\xa9" };
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_slice text;
    ddb_cbor r;
    hand h;
    size_t i;
    memset(&arena, 0, sizeof arena);
    hand_make(&h);
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) { CHECK(ddb_manifest_set_meta(ctx, &arena, &h.m, T(bad[i]), T("v")) == DREAMDB_ERR_ARGUMENT); }
    CHECK_EQ_U64(h.m.registry_count, 0);
    for (i = 0; i < sizeof good / sizeof good[0]; i++) { CHECK(ddb_manifest_set_meta(ctx, &arena, &h.m, T(good[i]), T("a value")) == DREAMDB_OK); }
    CHECK(ddb_manifest_set_meta(ctx, &arena, &h.m, T("dreamdb.x"), T("\xff")) == DREAMDB_ERR_ARGUMENT);
    CHECK_EQ_U64(h.m.registry_count, 5);
    ddb_cbor_open(&r, ddb_manifest_entry(&h.m, T("dreamdb.x"))->value);
    CHECK(ddb_cbor_read_text(&r, &text) && ddb_bytes_is(text, "a value") && ddb_cbor_end(&r));
    reads_back(&h.m);
    ddb_mem_arena_free(ctx, &arena);
}

static void embedding_entries_keep_unknown_keys(void)
{
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_registry_embedding e, back;
    ddb_slice value;
    ddb_addr a = numbered(5), b = numbered(6), got;
    hand h;
    memset(&arena, 0, sizeof arena);
    memset(&e, 0, sizeof e);
    hand_make(&h);
    e.algorithm = T("dreamdb.ivf-cosine");
    e.index = a;
    CHECK(ddb_manifest_embedding(ctx, &h.m, T("e.x"), "p", &back) == DREAMDB_ERR_CORRUPT);
    CHECK(ddb_manifest_set_entry(ctx, &arena, &h.m, T("e.x"), ddb_bytes_slice("\xa1" "ihot_shard\x01", 12)) == DREAMDB_OK);
    CHECK(ddb_manifest_embedding(ctx, &h.m, T("e.x"), "p", &back) == DREAMDB_ERR_CORRUPT);
    CHECK(ddb_manifest_set_embedding(ctx, &arena, &h.m, T("e.x"), &e) == DREAMDB_OK);
    CHECK(ddb_manifest_embedding(ctx, &h.m, T("e.x"), "p", &back) == DREAMDB_OK);
    CHECK(ddb_bytes_is(back.algorithm, "dreamdb.ivf-cosine") && back.index_count == 1 && ddb_addr_equal(&back.index, &a) && back.has_hot && !back.has_compressor && !back.has_graph);
    e.has_compressor = true;
    e.compressor = b;
    e.index = b;
    CHECK(ddb_manifest_set_embedding(ctx, &arena, &h.m, T("e.x"), &e) == DREAMDB_OK && ddb_manifest_embedding(ctx, &h.m, T("e.x"), "p", &back) == DREAMDB_OK);
    CHECK(back.has_compressor && ddb_addr_equal(&back.compressor, &b) && ddb_addr_equal(&back.index, &b) && back.has_hot);
    CHECK(ddb_cbor_map_find(ddb_manifest_entry(&h.m, T("e.x"))->value, "hot_shard", &value) && value.data[0] == 1);
    CHECK(ddb_manifest_set_entry(ctx, &arena, &h.m, T("e.y"), ddb_manifest_entry(&h.m, T("e.x"))->value) == DREAMDB_OK);
    CHECK(ddb_manifest_set_member(ctx, &arena, &h.m, T("e.y"), "algorithm", ddb_bytes_slice(NULL, 0)) == DREAMDB_OK);
    CHECK(ddb_manifest_embedding(ctx, &h.m, T("e.y"), "p", &back) == DREAMDB_ERR_CORRUPT);       /* an index without its algorithm */
    CHECK(ddb_manifest_set_scalar(ctx, &arena, &h.m, T("s.n"), &a) == DREAMDB_OK && ddb_manifest_scalar(ctx, &h.m, T("s.n"), "p", &got) == DREAMDB_OK && ddb_addr_equal(&got, &a));
    CHECK(ddb_manifest_scalar(ctx, &h.m, T("s.m"), "p", &got) == DREAMDB_ERR_CORRUPT && ddb_manifest_scalar(ctx, &h.m, T("e.x"), "p", &got) == DREAMDB_ERR_CORRUPT);
    CHECK(ddb_manifest_set_entry(ctx, &arena, &h.m, T("s.n"), ddb_bytes_slice("\x05", 1)) == DREAMDB_OK);
    CHECK(ddb_manifest_set_scalar(ctx, &arena, &h.m, T("s.n"), &a) == DREAMDB_ERR_CORRUPT);
    reads_back(&h.m);
    ddb_mem_arena_free(ctx, &arena);
}

static void tombstone_heads(void)
{
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_addr a = numbered(5), got;
    bool has = true;
    hand h;
    memset(&arena, 0, sizeof arena);
    hand_make(&h);
    CHECK(ddb_manifest_tombstones(ctx, &h.m, "p", &has, &got) == DREAMDB_OK && !has);
    CHECK(ddb_manifest_set_tombstones(ctx, &arena, &h.m, &a) == DREAMDB_OK);
    CHECK(ddb_manifest_tombstones(ctx, &h.m, "p", &has, &got) == DREAMDB_OK && has && ddb_addr_equal(&got, &a));
#define TOMB(text, want) do { CHECK(ddb_manifest_set_entry(ctx, &arena, &h.m, T("dreamdb.tombstones"), ddb_bytes_slice(text, sizeof(text) - 1)) == DREAMDB_OK); \
    CHECK(ddb_manifest_tombstones(ctx, &h.m, "p", &has, &got) == (want)); } while (0)
    TOMB("\x05", DREAMDB_ERR_CORRUPT);
    TOMB("\xa0", DREAMDB_ERR_CORRUPT);
    TOMB("\xa1" "dhead\x05", DREAMDB_ERR_CORRUPT);
    TOMB("\xa1" "dhead\x41\x1e", DREAMDB_ERR_CORRUPT);
    TOMB("\xa2" "az\x01" "dhead\x58\x21\x1e" "12345678901234567890123456789012", DREAMDB_OK);      /* other keys are tolerated */
    CHECK(has && got.bytes[1] == '1');
    ddb_mem_arena_free(ctx, &arena);
}

/* Schema against bindings and registry. */
static void schemas_are_bound(void)
{
    golden_row *row = golden_op("commit", 4000);
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_manifest m, broken;
    ddb_schema schema;
    ddb_binding list[16];
    size_t i, k;
    memset(&arena, 0, sizeof arena);
    CHECK(row && load(ctx, &arena, row, &m) == DREAMDB_OK && m.active_count <= 16);
    CHECK(ddb_manifest_schema(ctx, &arena, &m, "p", &schema) == DREAMDB_OK);
    for (i = 0; i < m.active_count; i++) {
        broken = m;
        broken.active = list;
        for (k = broken.active_count = 0; k < m.active_count; k++) { if (k != i) { list[broken.active_count++] = m.active[k]; } }
        CHECK(ddb_manifest_schema(ctx, &arena, &broken, "p", &schema) == DREAMDB_ERR_CORRUPT && strstr(test_error.message, "no active binding"));
        broken.active_count = m.active_count;
        memcpy(list, m.active, m.active_count * sizeof *list);
        list[i].kind = T(ddb_bytes_is(list[i].kind, "event") ? "continuous" : "event");
        CHECK(ddb_manifest_schema(ctx, &arena, &broken, "p", &schema) == DREAMDB_ERR_CORRUPT && strstr(test_error.message, "bound as"));
    }
    for (i = 0; i < m.registry_count; i++) {
        broken = m;
        CHECK(ddb_manifest_set_entry(ctx, &arena, &broken, m.registry[i].key, ddb_bytes_slice(NULL, 0)) == DREAMDB_OK);
        CHECK(ddb_manifest_schema(ctx, &arena, &broken, "p", &schema) == (ddb_bytes_is(m.registry[i].key, "dreamdb.schema") ? DREAMDB_ERR_FORMAT : DREAMDB_ERR_CORRUPT));
        broken = m;
        if (ddb_bytes_starts(m.registry[i].key, "embedding.")) {
            CHECK(ddb_manifest_set_member(ctx, &arena, &broken, m.registry[i].key, "algorithm", ddb_bytes_slice("\x63" "foo", 4)) == DREAMDB_OK);
            CHECK(ddb_manifest_schema(ctx, &arena, &broken, "p", &schema) == DREAMDB_ERR_CORRUPT && strstr(test_error.message, "algorithms"));
        }
    }
    CHECK(ddb_manifest_schema(ctx, &arena, &m, "p", &schema) == DREAMDB_OK);
    CHECK(ddb_manifest_set_schema(ctx, &arena, &m, &schema) == DREAMDB_OK && gives(&m, row->bytes, row->size));
    ddb_mem_arena_free(ctx, &arena);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* ---- Hostile bytes and no memory ---- */

static void any_bytes_give_a_value_or_an_error(void)
{
    golden_row *small = golden_op("create", 0);
    golden_row *all[3];
    size_t w, at, good = 0, bad = 0;
    size_t i;
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    memset(&arena, 0, sizeof arena);
    for (i = 0; i < row_count; i++) { if (rows[i].size < small->size) { small = rows + i; } }
    all[0] = small;
    all[1] = golden_op("union-merge", 0);
    all[2] = golden_op("graph-index", 0);
    for (w = 0; w < 3; w++) {
        uint8_t *copy = (uint8_t *)malloc(all[w]->size);
        for (at = 0; at < all[w]->size; at++) {
            int k, step = w == 0 ? 1 : 37;
            ddb_manifest m;
            ddb_schema schema;
            uint8_t *tight = (uint8_t *)malloc(at > 0 ? at : 1);
            memcpy(tight, all[w]->bytes, at);
            CHECK(ddb_manifest_decode(ctx, &arena, ddb_bytes_slice(tight, at), NULL, &m) == DREAMDB_ERR_CORRUPT);
            ddb_mem_arena_free(ctx, &arena);
            free(tight);
            for (k = 1; k < 256; k += step) {
                memcpy(copy, all[w]->bytes, all[w]->size);
                copy[at] = (uint8_t)(copy[at] + k);
                dreamdb_status status = ddb_manifest_decode(ctx, &arena, ddb_bytes_slice(copy, all[w]->size), NULL, &m);
                CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_CORRUPT || status == DREAMDB_ERR_FORMAT || status == DREAMDB_ERR_UNSUPPORTED);
                if (status == DREAMDB_OK) {
                    CHECK(gives(&m, copy, all[w]->size));          /* one state has one encoding */
                    status = ddb_manifest_schema(ctx, &arena, &m, NULL, &schema);
                    CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_CORRUPT || status == DREAMDB_ERR_FORMAT);
                    good++;
                } else {
                    bad++;
                }
                ddb_mem_arena_free(ctx, &arena);
            }
        }
        free(copy);
    }
    CHECK(good > 1000 && bad > 10000);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void every_allocation_may_fail(void)
{
    golden_row *row = golden_op("add_embedding_layer", 0);
    long n, worked = 0;
    for (n = 1; n < 400 && worked < 3; n++) {
        ddb_ctx *ctx = test_ctx();
        ddb_arena arena;
        ddb_manifest m;
        ddb_schema schema;
        ddb_buf out;
        ddb_addr a = numbered(5), b = numbered(6);
        ddb_binding fresh = binding_of("zz", 4);
        memset(&arena, 0, sizeof arena);
        ddb_bytes_init(&out, ctx);
        test_fail_alloc_at(n);
        dreamdb_status status = load(ctx, &arena, row, &m);
        if (status == DREAMDB_OK) { status = ddb_manifest_schema(ctx, &arena, &m, NULL, &schema); }
        if (status == DREAMDB_OK) { status = ddb_manifest_bind(ctx, &arena, &m, &fresh, m.active + 2); }
        if (status == DREAMDB_OK) { status = ddb_manifest_advance(ctx, &arena, &m, schema.fields[3].name, &a, 1, 2, true); }
        if (status == DREAMDB_OK) { status = ddb_manifest_advance(ctx, &arena, &m, schema.fields[5].name, &b, 1, 2, false); }
        if (status == DREAMDB_OK) { status = ddb_manifest_set_meta(ctx, &arena, &m, T("dreamdb.k"), T("v")); }
        if (status == DREAMDB_OK) { status = ddb_manifest_set_tombstones(ctx, &arena, &m, &a); }
        if (status == DREAMDB_OK) { status = ddb_manifest_encode(&out, &m); }
        test_fail_alloc_at(0);
        CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_MEMORY);
        CHECK(status == DREAMDB_OK || test_error.status == DREAMDB_ERR_MEMORY);
        worked += status == DREAMDB_OK;
        ddb_bytes_free(&out);
        ddb_mem_arena_free(ctx, &arena);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
    CHECK(worked == 3 && n > 20);
}

int main(void)
{
    golden_read();
    RUN(golden_manifests_are_written_again);
    RUN(advances_as_the_reference_did);
    RUN(checks_of_open);
    RUN(checks_of_the_graph);
    RUN(containers_over_a_mebibyte_are_refused);
    RUN(lineage_follows_the_rule);
    RUN(lineage_is_bounded);
    RUN(a_full_container_is_relaxed);
    RUN(a_track_may_come_back);
    RUN(golden_manifests_relax);
    RUN(the_old_state_stays);
    RUN(registry_entries);
    RUN(meta_keys);
    RUN(embedding_entries_keep_unknown_keys);
    RUN(tombstone_heads);
    RUN(schemas_are_bound);
    RUN(any_bytes_give_a_value_or_an_error);
    RUN(every_allocation_may_fail);
    return test_end("manifest");
}
