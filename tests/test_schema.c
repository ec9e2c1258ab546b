/* Room schema: every schema of the fixtures, all kinds and names, versions, broken bytes, allocation failures. */
#include "test.h"

static ddb_slice T(const char *text) { return ddb_bytes_text(text); }

static ddb_field *find_field(const ddb_schema *schema, ddb_slice name)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (ddb_bytes_equal(schema->fields[i].name, name)) { return schema->fields + i; }
    }
    return NULL;
}

/* The manifests named in golden/manifest/list.txt. */
static char names[64][54];
static size_t name_count;
static void golden_names(void)
{
    size_t size, at = 0;
    char *list = (char *)test_file("tests/golden/manifest/list.txt", &size);
    while (list && at < size) {
        memcpy(names[name_count], list + at, 53);
        names[name_count++][53] = 0;
        while (at < size && list[at++] != '\n') { }
    }
    free(list);
}
static uint8_t *golden(size_t i, size_t *size)
{
    char path[128];
    (void)snprintf(path, sizeof path, "tests/golden/manifest/%s", names[i]);
    return test_file(path, size);
}
static bool schema_of(uint8_t *bytes, size_t size, ddb_slice *raw)
{
    ddb_slice registry = { NULL, 0 };
    return ddb_cbor_map_find(ddb_bytes_slice(bytes, size), "registry", &registry) && ddb_cbor_map_find(registry, "dreamdb.schema", raw);
}

static void golden_schemas_are_written_again(void)
{
    size_t i, f, size, known = 0, other = 0;
    ddb_ctx *ctx = test_ctx();
    CHECK(name_count > 20);
    for (i = 0; i < name_count; i++) {
        uint8_t *bytes = golden(i, &size);
        ddb_slice raw = { NULL, 0 };
        ddb_schema schema;
        ddb_arena arena;
        ddb_buf out;
        memset(&arena, 0, sizeof arena);
        ddb_bytes_init(&out, ctx);
        CHECK(bytes && schema_of(bytes, size, &raw));
        CHECK(ddb_schema_decode(ctx, &arena, raw, NULL, &schema) == DREAMDB_OK);
        schema.raw = ddb_bytes_slice(NULL, 0);
        for (f = 0; f < schema.count; f++) {     /* from the members, not from what was read */
            ddb_field *field = schema.fields + f;
            CHECK(find_field(&schema, field->name) == field);
            if (field->kind != DREAMDB_KIND_OTHER) { field->raw = ddb_bytes_slice(NULL, 0); known++; } else { other++; }
        }
        CHECK(ddb_schema_encode(&out, &schema) == DREAMDB_OK);
        CHECK(out.size == raw.size && memcmp(out.data, raw.data, raw.size) == 0);
        CHECK(!find_field(&schema, T("no such field")));
        ddb_bytes_free(&out);
        ddb_mem_arena_free(ctx, &arena);
        free(bytes);
    }
    CHECK(known > 60 && other >= 2);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void scalar_indexes_have_the_references_addresses(void)
{
    size_t i, f, size, seen = 0;
    ddb_ctx *ctx = test_ctx();
    for (i = 0; i < name_count; i++) {
        uint8_t *bytes = golden(i, &size);
        ddb_slice raw = { NULL, 0 }, registry = { NULL, 0 }, entry = { NULL, 0 }, value = { NULL, 0 };
        ddb_schema schema;
        ddb_arena arena;
        memset(&arena, 0, sizeof arena);
        CHECK(schema_of(bytes, size, &raw) && ddb_cbor_map_find(ddb_bytes_slice(bytes, size), "registry", &registry));
        CHECK(ddb_schema_decode(ctx, &arena, raw, NULL, &schema) == DREAMDB_OK);
        for (f = 0; f < schema.count; f++) {
            const ddb_field *field = schema.fields + f;
            char key[80];
            ddb_addr want, got;
            ddb_buf out;
            ddb_cbor r;
            if (!ddb_schema_is_scalar(field->kind)) { continue; }
            (void)snprintf(key, sizeof key, "%.*s", (int)field->modality.size, (const char *)field->modality.data);
            CHECK(ddb_cbor_map_find(registry, key, &entry) && ddb_cbor_map_find(entry, "scalar_index_hash", &value));
            ddb_cbor_open(&r, value);
            CHECK(ddb_addr_read(&r, &want));
            ddb_bytes_init(&out, ctx);
            ddb_schema_scalar_index(&out, field);
            ddb_addr_of(ctx->cpu, ddb_bytes_of(&out), &got);
            CHECK(ddb_addr_equal(&want, &got));
            seen |= (size_t)1 << field->kind;
            ddb_bytes_free(&out);
        }
        ddb_mem_arena_free(ctx, &arena);
        free(bytes);
    }
    for (f = DREAMDB_CATEGORICAL; f <= DREAMDB_TIMESTAMP; f++) { CHECK(seen >> f & 1); }
}

/* Makes a public field; modality "" when it is refused. */
static dreamdb_status make(const dreamdb_field *in, char *modality, char *json, size_t json_size)
{
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_field field;
    ddb_buf out;
    memset(&arena, 0, sizeof arena);
    modality[0] = json[0] = 0;
    dreamdb_status status = ddb_schema_from_public(ctx, &arena, in, &field);
    if (status == DREAMDB_OK) {
        (void)snprintf(modality, 300, "%.*s", (int)field.modality.size, (const char *)field.modality.data);
        ddb_bytes_init(&out, ctx);
        ddb_schema_write_field(&out, &field);
        CHECK(ddb_cbor_valid(ddb_bytes_of(&out)));
        memset(json, 0, json_size);
        memcpy(json, out.data, out.size < json_size ? out.size : json_size - 1);
        ddb_bytes_free(&out);
    } else {
        CHECK(test_error.message[0] && test_error.status == status && !strchr(test_error.message, '\n'));
    }
    ddb_mem_arena_free(ctx, &arena);
    return status;
}
static dreamdb_field plain(const char *name, dreamdb_kind kind)
{
    dreamdb_field f;
    memset(&f, 0, sizeof f);
    f.name = name;
    f.kind = kind;
    return f;
}
#define JSON(text) (memcmp(json, text, sizeof(text) - 1) == 0 && json[sizeof(text) - 1] == 0)
#define MAKES(f, want) do { CHECK(make(&(f), modality, json, sizeof json) == DREAMDB_OK); CHECK_STR(modality, want); } while (0)
#define REFUSES(f, want, part) do { CHECK(make(&(f), modality, json, sizeof json) == (want)); \
    if (!strstr(test_error.message, part)) { printf("message \"%s\" lacks \"%s\"\n", test_error.message, part); test_ok = 0; } } while (0)

static void media_fields(void)
{
    char modality[300], json[400], longer[300];
    int strange = 77;
    dreamdb_field f = plain("i", DREAMDB_IMAGE);
    MAKES(f, "image.jpeg");
    f.required = 1;
    f.mime = "png";
    f.chunk_size = 16;
    f.pack_items = 3;
    MAKES(f, "image.png");
    CHECK(JSON("\xa6" "dkindeimage" "dmimecpng" "dnameai" "hrequired\xf5" "jchunk_size\x10" "jpack_items\x03"));
    f = plain("a", DREAMDB_AUDIO);
    MAKES(f, "audio.wav");
    f = plain("v", DREAMDB_VIDEO);
    MAKES(f, "video.mp4");
    f.mime = "a.b_2";
    MAKES(f, "video.a.b_2");
    f.mime = "PNG"; REFUSES(f, DREAMDB_ERR_ARGUMENT, "mime");
    f.mime = ""; REFUSES(f, DREAMDB_ERR_ARGUMENT, "mime");
    f.mime = "a..b"; REFUSES(f, DREAMDB_ERR_ARGUMENT, "mime");
    f.mime = "a."; REFUSES(f, DREAMDB_ERR_ARGUMENT, "mime");
    f.mime = ".a"; REFUSES(f, DREAMDB_ERR_ARGUMENT, "mime");
    f.mime = "a=b"; REFUSES(f, DREAMDB_ERR_ARGUMENT, "mime");
    f.mime = "a/b"; REFUSES(f, DREAMDB_ERR_ARGUMENT, "mime");
    memset(longer, 'x', sizeof longer);
    longer[299] = 0;
    f.mime = longer; REFUSES(f, DREAMDB_ERR_ARGUMENT, "255");
    f = plain("Any name / \xc3\xa9.", DREAMDB_IMAGE);
    MAKES(f, "image.jpeg");
    f.name = ""; REFUSES(f, DREAMDB_ERR_ARGUMENT, "name");
    f.name = NULL; REFUSES(f, DREAMDB_ERR_ARGUMENT, "name");
    f.name = "\xff"; REFUSES(f, DREAMDB_ERR_ARGUMENT, "UTF-8");
    f = plain("x", DREAMDB_KIND_OTHER); REFUSES(f, DREAMDB_ERR_ARGUMENT, "kind");
    f = plain("x", DREAMDB_IMAGE); memcpy(&f.kind, &strange, sizeof strange); REFUSES(f, DREAMDB_ERR_ARGUMENT, "kind");
}

static void added_videos_default_to_h264(void)
{
    ddb_arena arena;
    ddb_field field;
    dreamdb_field f = plain("v", DREAMDB_VIDEO);
    ddb_ctx *ctx = test_ctx();
    memset(&arena, 0, sizeof arena);
    CHECK(ddb_schema_from_public_as(ctx, &arena, &f, "h264", &field) == DREAMDB_OK && ddb_bytes_is(field.modality, "video.h264"));
    f.kind = DREAMDB_IMAGE;
    CHECK(ddb_schema_from_public_as(ctx, &arena, &f, "h264", &field) == DREAMDB_OK && ddb_bytes_is(field.modality, "image.jpeg"));
    ddb_mem_arena_free(ctx, &arena);
}

static void scalar_fields(void)
{
    static const struct { dreamdb_kind kind; const char *modality; } rows[] = {
        { DREAMDB_CATEGORICAL, "scalar.cat.field=a_1" }, { DREAMDB_STRING, "scalar.str.field=a_1" }, { DREAMDB_INT, "scalar.i64.field=a_1" },
        { DREAMDB_FLOAT, "scalar.f64.field=a_1" }, { DREAMDB_BOOL, "scalar.bool.field=a_1" }, { DREAMDB_TIMESTAMP, "scalar.ts.field=a_1" } };
    static const char *const bad[] = { "A", "a.b", "a-b", "a b", "a/b", "\xc3\xa9", "a=b", "", "a\n" };
    char modality[300], json[400], name[300];
    size_t i;
    dreamdb_field f = plain("a_1", DREAMDB_INT);
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) { f.kind = rows[i].kind; MAKES(f, rows[i].modality); }
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) { f.name = bad[i]; REFUSES(f, DREAMDB_ERR_ARGUMENT, "name"); }
    memset(name, 'x', sizeof name);
    name[238] = 0;                               /* scalar.ts.field= is 16 characters */
    f.name = name;
    CHECK(make(&f, modality, json, sizeof json) == DREAMDB_OK);
    name[238] = 'x'; name[240] = 0;
    REFUSES(f, DREAMDB_ERR_ARGUMENT, "255");
}

static void embedding_fields(void)
{
    char modality[300], json[400];
    float sample[8] = { 0 };
    int strange = 9;
    uint8_t address[33] = { 0x1e };
    dreamdb_field f = plain("e", DREAMDB_EMBEDDING);
    REFUSES(f, DREAMDB_ERR_ARGUMENT, "dim");
    f.dim = 4;
    MAKES(f, "embedding.f32.dim=4.bucketed");
    CHECK(JSON("\xa5" "cdim\x04" "dkindiembedding" "dnameae" "hrequired\xf4" "ialgorithmrdreamdb.lsh-cosine"));
    f.bits = 6; f.rerank = 1;
    MAKES(f, "embedding.f32.dim=4.bucketed");
    CHECK(JSON("\xa7" "cdim\x04" "dkindiembedding" "dnameae" "frerank\xf5" "hlsh_bits\x06" "hrequired\xf4" "ialgorithmrdreamdb.lsh-cosine"));
    f.bits = 255; MAKES(f, "embedding.f32.dim=4.bucketed");
    f.bits = 256; REFUSES(f, DREAMDB_ERR_ARGUMENT, "bits");
    f.bits = 0; f.rerank = 0;
    f.bucket_max_bytes = 1048576; MAKES(f, "embedding.f32.dim=4.bucketed.bucket_max_bytes=1048576");
    f.bucket_max_bytes = 524288000; MAKES(f, "embedding.f32.dim=4.bucketed.bucket_max_bytes=524288000");
    f.bucket_max_bytes = 1048575; REFUSES(f, DREAMDB_ERR_ARGUMENT, "bucket_max_bytes");
    f.bucket_max_bytes = 524288001; REFUSES(f, DREAMDB_ERR_ARGUMENT, "bucket_max_bytes");
    f.bucket_max_bytes = 2000000; f.index = DREAMDB_INDEX_LSH_L2;
    MAKES(f, "embedding.f32.dim=4.metric=l2.bucketed.bucket_max_bytes=2000000");
    f.bucket_max_bytes = 0; f.bits = 64; MAKES(f, "embedding.f32.dim=4.metric=l2.bucketed");
    f.bits = 20; REFUSES(f, DREAMDB_ERR_ARGUMENT, "bits 0 or 64");
    f.bits = 0; f.rerank = 1; REFUSES(f, DREAMDB_ERR_ARGUMENT, "rerank");
    f.rerank = 0; f.compressor = DREAMDB_COMPRESSOR_RABITQ; REFUSES(f, DREAMDB_ERR_ARGUMENT, "without a compressor");
    f.compressor = DREAMDB_COMPRESSOR_NONE; f.index = DREAMDB_INDEX_IMI; REFUSES(f, DREAMDB_ERR_ARGUMENT, "IMI index needs a training sample");
    f.dim = 3; f.train = sample; f.train_count = 2; REFUSES(f, DREAMDB_ERR_ARGUMENT, "even dim");
    f.dim = 4; MAKES(f, "embedding.f32.dim=4.bucketed");
    f.compressor = DREAMDB_COMPRESSOR_PQ; REFUSES(f, DREAMDB_ERR_ARGUMENT, "divides dim");
    f.pq_m = 3; REFUSES(f, DREAMDB_ERR_ARGUMENT, "divides dim");
    f.pq_m = 2; f.pq_k = 257; REFUSES(f, DREAMDB_ERR_ARGUMENT, "1 to 256");
    f.pq_k = 2; MAKES(f, "embedding.f32.dim=4.bucketed");
    f.index = DREAMDB_INDEX_LSH; f.train_count = 0; REFUSES(f, DREAMDB_ERR_ARGUMENT, "PQ needs a training sample");
    f.compressor_address = address; MAKES(f, "embedding.f32.dim=4.bucketed");
    f.compressor_address = address + 1; REFUSES(f, DREAMDB_ERR_ARGUMENT, "compressor_address");
    f.compressor_address = NULL; f.compressor = DREAMDB_COMPRESSOR_RABITQ; MAKES(f, "embedding.f32.dim=4.bucketed");
    f.bits_per_dim = 3; REFUSES(f, DREAMDB_ERR_ARGUMENT, "use 1, 2, 4, or 8");
    f.bits_per_dim = 8; f.factors = 1; REFUSES(f, DREAMDB_ERR_ARGUMENT, "only for bits_per_dim=1");
    f.factors = 0; MAKES(f, "embedding.f32.dim=4.bucketed");
    f.bits_per_dim = 0; f.pq_m = f.pq_k = 0; f.compressor = DREAMDB_COMPRESSOR_NONE; f.train = NULL;
    memcpy(&f.index, &strange, sizeof strange); REFUSES(f, DREAMDB_ERR_ARGUMENT, "index");
    f.index = DREAMDB_INDEX_IVF; REFUSES(f, DREAMDB_ERR_ARGUMENT, "training");
    f.train = sample; f.train_count = 2; MAKES(f, "embedding.f32.dim=4.bucketed");
    f.train_count = 0; f.index = DREAMDB_INDEX_DEFAULT; f.index_address = address; MAKES(f, "embedding.f32.dim=4.bucketed");
    CHECK(strstr(json + 1, "ivf") != NULL);
    address[0] = 0x1f; REFUSES(f, DREAMDB_ERR_ARGUMENT, "address");
    f.index_address = NULL; f.dim = 1073741820; MAKES(f, "embedding.f32.dim=1073741820.bucketed");
    f.dim = 1073741821; REFUSES(f, DREAMDB_ERR_ARGUMENT, "dim");
}

static void constant_fields(void)
{
    static const char *const good[] = { "title.text", "author.json", "description.text.version=2", "license.spdx", "source.uri", "title.raw" };
    static const char *const bad[] = { "title", "", "foo.text", "image.jpeg", "scalar.i64.field=z", "text.utf8", "title.a-b", "title.a=b", "../x.y", "title.A", "title..x",
        "array.f32.kind=constant.storage=constant" };
    char modality[300], json[400];
    size_t i;
    dreamdb_field f = plain("c", DREAMDB_CONSTANT);
    REFUSES(f, DREAMDB_ERR_ARGUMENT, "modality");
    for (i = 0; i < sizeof good / sizeof good[0]; i++) { f.modality = good[i]; MAKES(f, good[i]); }
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) { f.modality = bad[i]; REFUSES(f, DREAMDB_ERR_ARGUMENT, "modality"); }
    f.modality = "title.text";
    f.required = 1; REFUSES(f, DREAMDB_ERR_ARGUMENT, "required");
    f.required = 0; f.value_size = 3; REFUSES(f, DREAMDB_ERR_ARGUMENT, "value");
    f.value = "abc"; MAKES(f, "title.text");
    CHECK(JSON("\xa4" "dkindhconstant" "dnameac" "hmodalityjtitle.text" "hrequired\xf4"));
}

static ddb_field quick(const char *name, dreamdb_kind kind, const char *modality)
{
    ddb_field f;
    memset(&f, 0, sizeof f);
    f.kind = kind;
    f.name = T(name);
    f.kind_text = T(kind == DREAMDB_EMBEDDING ? "embedding" : kind == DREAMDB_CONSTANT ? "constant" : "image");
    f.mime = kind == DREAMDB_IMAGE ? T("jpeg") : ddb_bytes_slice(NULL, 0);
    f.algorithm = kind == DREAMDB_EMBEDDING ? T("dreamdb.lsh-cosine") : ddb_bytes_slice(NULL, 0);
    f.dim = kind == DREAMDB_EMBEDDING ? 4 : 0;
    f.modality = modality ? T(modality) : ddb_bytes_slice(NULL, 0);
    return f;
}

static void versions_of_a_family(void)
{
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_schema schema;
    ddb_field f, have[4];
    memset(&arena, 0, sizeof arena);
    memset(&schema, 0, sizeof schema);
    schema.fields = have;
#define NEXT(want) do { f = quick("n", DREAMDB_EMBEDDING, NULL); CHECK(ddb_schema_embedding_modality(ctx, &arena, &schema, &f) == DREAMDB_OK); \
    CHECK(ddb_bytes_is(f.modality, want)); } while (0)
    NEXT("embedding.f32.dim=4.bucketed");
    have[0] = quick("a", DREAMDB_EMBEDDING, "embedding.f32.dim=4.bucketed.version=5");
    schema.count = 1;
    NEXT("embedding.f32.dim=4.bucketed");        /* the plain name is free */
    have[1] = quick("b", DREAMDB_EMBEDDING, "embedding.f32.dim=4.bucketed");
    schema.count = 2;
    NEXT("embedding.f32.dim=4.bucketed.version=6");   /* gaps are not filled */
    have[0].modality = T("embedding.f32.dim=4.bucketed.bucket_max_bytes=2000000");
    NEXT("embedding.f32.dim=4.bucketed.version=2");   /* another family */
    have[0].modality = T("embedding.f32.dim=4.bucketed.version=0");
    NEXT("embedding.f32.dim=4.bucketed.version=2");
    have[0].modality = T("embedding.f32.dim=4.bucketed.version=4294967294");
    NEXT("embedding.f32.dim=4.bucketed.version=4294967295");
    have[0].modality = T("embedding.f32.dim=4.bucketed.version=4294967295");
    f = quick("n", DREAMDB_EMBEDDING, NULL);
    CHECK(ddb_schema_embedding_modality(ctx, &arena, &schema, &f) == DREAMDB_ERR_LIMIT);
    have[0].modality = T("embedding.f32.dim=4.bucketed.version=99999999999999999999");
    NEXT("embedding.f32.dim=4.bucketed.version=2");   /* no u32: another family */
    have[0].modality = T("embedding.f32.dim=4.bucketed.version=10");
    NEXT("embedding.f32.dim=4.bucketed.version=11");
    have[0].modality = T("embedding.f32.dim=4.bucketed.version=19");
    NEXT("embedding.f32.dim=4.bucketed.version=20");
    have[0].modality = T("embedding.f32.dim=4.bucketed.version=7x");
    NEXT("embedding.f32.dim=4.bucketed.version=2");
    have[0].modality = T("embedding.f32.dim=4.bucketed.version=");
    NEXT("embedding.f32.dim=4.bucketed.version=2");
    have[0].modality = T("embedding.f32.dim=44.bucketed");
    schema.count = 1;
    NEXT("embedding.f32.dim=4.bucketed");
    ddb_mem_arena_free(ctx, &arena);
}

static void fields_are_added_in_order(void)
{
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_schema schema, next;
    ddb_field f;
    ddb_buf out;
    size_t i;
    static const char *const order[] = { "m", "a", "z", "b" };
    memset(&arena, 0, sizeof arena);
    memset(&schema, 0, sizeof schema);
    for (i = 0; i < 4; i++) {
        f = quick(order[i], DREAMDB_IMAGE, "image.jpeg");
        CHECK(ddb_schema_add(ctx, &arena, &schema, &f, &next) == DREAMDB_OK);
        schema = next;
    }
    CHECK(schema.count == 4 && ddb_bytes_is(schema.fields[0].name, "a") && ddb_bytes_is(schema.fields[1].name, "b") && ddb_bytes_is(schema.fields[3].name, "z"));
    CHECK(ddb_schema_add(ctx, &arena, &schema, &f, &next) == DREAMDB_ERR_EXISTS);
    f = quick("c1", DREAMDB_CONSTANT, "title.text");
    CHECK(ddb_schema_add(ctx, &arena, &schema, &f, &schema) == DREAMDB_OK);
    f = quick("c2", DREAMDB_CONSTANT, "title.text");
    CHECK(ddb_schema_add(ctx, &arena, &schema, &f, &next) == DREAMDB_ERR_EXISTS);
    CHECK(strstr(test_error.message, "c1"));
    f = quick("e", DREAMDB_EMBEDDING, NULL);
    CHECK(ddb_schema_add(ctx, &arena, &schema, &f, &schema) == DREAMDB_OK);
    f = quick("d", DREAMDB_EMBEDDING, NULL);
    CHECK(ddb_schema_add(ctx, &arena, &schema, &f, &schema) == DREAMDB_OK);
    CHECK(ddb_bytes_is(find_field(&schema, T("e"))->modality, "embedding.f32.dim=4.bucketed"));
    CHECK(ddb_bytes_is(find_field(&schema, T("d"))->modality, "embedding.f32.dim=4.bucketed.version=2"));
    ddb_bytes_init(&out, ctx);
    CHECK(ddb_schema_encode(&out, &schema) == DREAMDB_OK && ddb_cbor_valid(ddb_bytes_of(&out)));
    CHECK(ddb_schema_decode(ctx, &arena, ddb_bytes_of(&out), NULL, &next) == DREAMDB_OK && next.count == schema.count && next.version == 1);
    ddb_bytes_free(&out);
    ddb_mem_arena_free(ctx, &arena);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* {v, fields: [text of fields]} from CBOR in C strings; the heads are single bytes. */
static dreamdb_status decode(const char *cbor, size_t size)
{
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_schema schema;
    memset(&arena, 0, sizeof arena);
    dreamdb_status status = ddb_schema_decode(ctx, &arena, ddb_bytes_slice(cbor, size), NULL, &schema);
    ddb_mem_arena_free(ctx, &arena);
    return status;
}
#define DECODE(text) decode(text, sizeof(text) - 1)
#define IMG "\xa4" "dkindeimage" "dmimecpng" "dnameai" "hrequired\xf5"

static void forms_of_the_whole(void)
{
    CHECK(DECODE("\xa2" "av\x01" "ffields\x81" IMG) == DREAMDB_OK);
    CHECK(DECODE("\xa2" "av\x01" "ffields\x80") == DREAMDB_OK);
    CHECK(DECODE("\xa2" "av\x03" "ffields\x80") == DREAMDB_ERR_FORMAT);
    CHECK(DECODE("\xa2" "av\x02" "ffields\x80") == DREAMDB_ERR_FORMAT);
    CHECK(DECODE("\xa3" "av\x02" "ffields\x81" IMG "oembedding_specs\xa1" "ai\xa0") == DREAMDB_OK);
    CHECK(DECODE("\xa3" "av\x01" "ffields\x81" IMG "oembedding_specs\xa1" "ai\xa0") == DREAMDB_ERR_FORMAT);
    CHECK(DECODE("\xa3" "av\x01" "bzz\x01" "ffields\x80") == DREAMDB_ERR_FORMAT);
    CHECK(DECODE("\xa1" "av\x01") == DREAMDB_ERR_CORRUPT);
    CHECK(DECODE("\xa1" "ffields\x80") == DREAMDB_ERR_FORMAT);
    CHECK(DECODE("\x80") == DREAMDB_ERR_CORRUPT);
    CHECK(DECODE("\xa2" "av\x01" "ffields\x82" IMG IMG) == DREAMDB_ERR_CORRUPT);
    CHECK(strstr(test_error.message, "'i'"));
    CHECK(DECODE("\xa2" "av\x01" "ffields\x81" "\xa3" "dkindeimage" "dnameai" "hrequired\xf5") == DREAMDB_ERR_CORRUPT);
    CHECK(strstr(test_error.message, "mime"));
    CHECK(DECODE("\xa2" "av\x01" "ffields\x81" "\xa3" "dkindeimage" "dmimecpng" "hrequired\xf5") == DREAMDB_ERR_CORRUPT);
    CHECK(DECODE("\xa2" "av\x01" "ffields\x81" "\xa3" "cdim\x00" "dkindiembedding" "dnameae") == DREAMDB_ERR_CORRUPT);
    CHECK(DECODE("\xa2" "av\x01" "ffields\x81" "\xa4" "cdim\x04" "dkindiembedding" "dnameae" "ialgorithmax") == DREAMDB_OK);
    CHECK(DECODE("\xa2" "av\x01" "ffields\x81" "\xa4" "dkindeimage" "dmimecpng" "dnameai" "hrequired\x05") == DREAMDB_ERR_CORRUPT);
    CHECK(DECODE("\xa2" "av\x01" "ffields\x81" IMG "\x00") == DREAMDB_ERR_CORRUPT);
}

static void unknown_things_are_carried(void)
{
    static const char raw[] = "\xa2" "av\x01" "ffields\x83" "\xa3" "dkindhhologram" "dnameaz" "dsize\x05"
                              "\xa5" "dkindeimage" "dmimecpng" "dnameai" "drate\x18\x63" "hrequired\xf5"
                              "\xa3" "dkindfscalar" "dnameas" "jvalue_typeerange";
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_schema schema, next;
    ddb_field f = quick("b", DREAMDB_IMAGE, "image.jpeg");
    ddb_buf out;
    memset(&arena, 0, sizeof arena);
    ddb_bytes_init(&out, ctx);
    CHECK(ddb_schema_decode(ctx, &arena, ddb_bytes_slice(raw, sizeof raw - 1), NULL, &schema) == DREAMDB_OK);
    CHECK(schema.count == 3 && find_field(&schema, T("z"))->kind == DREAMDB_KIND_OTHER && find_field(&schema, T("s"))->kind == DREAMDB_KIND_OTHER);
    CHECK(!find_field(&schema, T("z"))->modality.data && !ddb_schema_binding_kind(find_field(&schema, T("z"))));
    CHECK(find_field(&schema, T("z"))->required);           /* absent means true */
    CHECK(ddb_schema_encode(&out, &schema) == DREAMDB_OK && out.size == sizeof raw - 1 && memcmp(out.data, raw, out.size) == 0);   /* unsorted as it was */
    CHECK(ddb_schema_add(ctx, &arena, &schema, &f, &next) == DREAMDB_OK);
    ddb_bytes_clear(&out);
    CHECK(ddb_schema_encode(&out, &next) == DREAMDB_OK && ddb_cbor_valid(ddb_bytes_of(&out)));
    CHECK(ddb_schema_decode(ctx, &arena, ddb_bytes_of(&out), NULL, &schema) == DREAMDB_OK && schema.count == 4);
    CHECK(find_field(&schema, T("i"))->raw.size == 45 && memcmp(find_field(&schema, T("i"))->raw.data, raw + 40, 45) == 0);
    ddb_bytes_free(&out);
    ddb_mem_arena_free(ctx, &arena);
}

static void index_of_a_field_is_replaced(void)
{
    static const char raw[] = "\xa2" "av\x01" "ffields\x81" "\xa5" "cdim\x04" "dkindiembedding" "dnameae" "dzzzz\x07" "ialgorithmrdreamdb.ivf-cosine";
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_schema schema, again;
    ddb_addr addr;
    ddb_buf out;
    int round;
    memset(&arena, 0, sizeof arena);
    ddb_bytes_init(&out, ctx);
    memset(&addr, 3, sizeof addr);
    addr.bytes[0] = 0x1e;
    CHECK(ddb_schema_decode(ctx, &arena, ddb_bytes_slice(raw, sizeof raw - 1), NULL, &schema) == DREAMDB_OK);
    for (round = 0; round < 2; round++) {
        addr.bytes[1] = (uint8_t)round;
        CHECK(ddb_schema_set_index(ctx, &arena, schema.fields, &addr) == DREAMDB_OK);
        schema.raw = ddb_bytes_slice(NULL, 0);
        ddb_bytes_clear(&out);
        CHECK(ddb_schema_encode(&out, &schema) == DREAMDB_OK && ddb_cbor_valid(ddb_bytes_of(&out)));
        CHECK(ddb_schema_decode(ctx, &arena, ddb_bytes_of(&out), NULL, &again) == DREAMDB_OK);
        CHECK(again.fields[0].has_index && ddb_addr_equal(&again.fields[0].index, &addr) && again.fields[0].raw.size == schema.fields[0].raw.size);
        CHECK(out.size == sizeof raw - 1 + 14 + 35);
    }
    ddb_bytes_free(&out);
    ddb_mem_arena_free(ctx, &arena);
}

static void classes_of_modalities(void)
{
    static const struct { const char *modality, *kind; } rows[] = {
        { "image.jpeg", "continuous" }, { "embedding.f32.dim=4.bucketed", "continuous" }, { "scalar.zz.field=n", "event" }, { "title.text", "constant" },
        { "array.u8.kind=continuous.storage=time_batch.shape=2", "continuous" }, { "array.f32.kind=constant.storage=constant", "constant" },
        { "array.f32.kind=event.x", "event" }, { "array.f32.kind=foo.x", NULL }, { "text.utf8.bm25.field=s", NULL }, { "ai.dreamlake.media.video_item.h264.version=1", NULL } };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *kind = ddb_schema_class(T(rows[i].modality));
        CHECK(rows[i].kind ? kind && strcmp(kind, rows[i].kind) == 0 : !kind);
    }
}

static void broken_bytes_and_no_memory(void)
{
    size_t size, cut;
    uint8_t *bytes = golden(15, &size);          /* scalar-kinds: every scalar kind */
    ddb_slice raw = { NULL, 0 };
    ddb_ctx *ctx = test_ctx();
    ddb_arena arena;
    ddb_schema schema;
    size_t good = 0, bad = 0;
    long n;
    memset(&arena, 0, sizeof arena);
    CHECK(bytes && schema_of(bytes, size, &raw));
    uint8_t *copy = (uint8_t *)malloc(raw.size);
    for (cut = 0; cut < raw.size; cut++) {
        int k;
        uint8_t *tight = (uint8_t *)malloc(cut > 0 ? cut : 1);       /* exact size, for the sanitizer */
        memcpy(tight, raw.data, cut);
        CHECK(ddb_schema_decode(ctx, &arena, ddb_bytes_slice(tight, cut), NULL, &schema) == DREAMDB_ERR_CORRUPT);
        ddb_mem_arena_free(ctx, &arena);
        free(tight);
        for (k = 0; k < 256; k += k < 16 ? 1 : 15) {
            memcpy(copy, raw.data, raw.size);
            copy[cut] = (uint8_t)k;
            dreamdb_status status = ddb_schema_decode(ctx, &arena, ddb_bytes_slice(copy, raw.size), NULL, &schema);
            CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_CORRUPT || status == DREAMDB_ERR_FORMAT);
            good += status == DREAMDB_OK;
            bad += status < 0;
            ddb_mem_arena_free(ctx, &arena);
        }
    }
    CHECK(good > 100 && bad > 1000);
    free(copy);
    for (n = 1; n < 40; n++) {
        dreamdb_field in = plain("x", DREAMDB_EMBEDDING);
        ddb_field field;
        ddb_schema next;
        in.dim = 4;
        ctx = test_ctx();
        test_fail_alloc_at(n);
        dreamdb_status status = ddb_schema_decode(ctx, &arena, raw, NULL, &schema);
        if (status == DREAMDB_OK) { status = ddb_schema_from_public(ctx, &arena, &in, &field); }
        if (status == DREAMDB_OK) { status = ddb_schema_add(ctx, &arena, &schema, &field, &next); }
        test_fail_alloc_at(0);
        CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_MEMORY);
        CHECK(n > 1 || status == DREAMDB_ERR_MEMORY);
        ddb_mem_arena_free(ctx, &arena);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
    free(bytes);
}

int main(void)
{
    golden_names();
    RUN(golden_schemas_are_written_again);
    RUN(scalar_indexes_have_the_references_addresses);
    RUN(media_fields);
    RUN(added_videos_default_to_h264);
    RUN(scalar_fields);
    RUN(embedding_fields);
    RUN(constant_fields);
    RUN(versions_of_a_family);
    RUN(fields_are_added_in_order);
    RUN(forms_of_the_whole);
    RUN(unknown_things_are_carried);
    RUN(index_of_a_field_is_replaced);
    RUN(classes_of_modalities);
    RUN(broken_bytes_and_no_memory);
    return test_end("schema");
}
