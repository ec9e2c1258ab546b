/* fake_s3.h - an S3 server in memory as a transport of dreamdb_s3.h, with faults by plan: what the tests of its engine run against.  It
   knows conditions, ranges, listings in pages, DeleteObjects and uploads in parts, and checks each body against its signed hash. */
#ifndef DREAMDB_FAKE_S3_H
#define DREAMDB_FAKE_S3_H
#define DREAMDB_S3_IMPLEMENTATION
#include "../dreamdb_s3.h"

enum { FAKE_OBJECTS = 4096, FAKE_KEY = 400 };
typedef enum fake_fault { FAKE_NONE = 0, FAKE_DROP, FAKE_LOSE, FAKE_LATE, FAKE_500, FAKE_SLOW, FAKE_429, FAKE_REFUSE, FAKE_STALE, FAKE_STALE_DONE,
                          FAKE_BUSY, FAKE_CLOCK, FAKE_EXPIRED, FAKE_REGION, FAKE_FLIP, FAKE_CUT, FAKE_DENY, FAKE_GARBLE, FAKE_502, FAKE_503, FAKE_504,
                          FAKE_408, FAKE_TIMEOUT, FAKE_CONFLICT, FAKE_500_DONE, FAKE_504_DONE, FAKE_WAIT, FAKE_FAULTS } fake_fault;
typedef struct fake_object { char key[FAKE_KEY]; char *data; size_t size; uint64_t version; } fake_object;
static struct {
    fake_object objects[FAKE_OBJECTS];
    size_t count, page;                        /* page: keys of a listing's answer */
    uint64_t versions, requests, fault_at, fault_count;
    uint64_t meanwhile_at; const char *meanwhile;      /* before this request another writer puts these bytes to refs/r; "" removes it */
    uint64_t moved, doubled;                   /* refs that moved; puts of an object that was there with other bytes */
    fake_fault fault;
    bool no_many, no_conditions, loop, odd_xml, unsigned_seen;
    char region[32], token[64];                /* wanted of a signature; "" = any */
    dreamdb_s3_exchange *done, **end;
    char uploads[16][FAKE_KEY]; size_t upload_count;
    uint64_t flying, most_flying;
} fake;

static void fake_reset(void)
{
    for (size_t i = 0; i < fake.count; i++) { free(fake.objects[i].data); }
    memset(&fake, 0, sizeof fake);
    fake.page = 1000;
}

static fake_object *fake_find(const char *key)
{
    for (size_t i = 0; i < fake.count; i++) { if (strcmp(fake.objects[i].key, key) == 0) { return fake.objects + i; } }
    return NULL;
}

static void fake_store(const char *key, const void *data, size_t size)
{
    fake_object *object = fake_find(key);
    if (!object) { object = fake.objects + fake.count++; memset(object, 0, sizeof *object); (void)snprintf(object->key, FAKE_KEY, "%s", key); }
    else if (!strstr(key, "refs/") && !strchr(key, '_') && (object->size != size || memcmp(object->data, data, size) != 0)) { fake.doubled++; }
    fake.moved += strstr(key, "refs/") != NULL;
    free(object->data);
    object->data = (char *)malloc(size + 1);
    if (size) { memcpy(object->data, data, size); }
    object->size = size;
    object->version = ++fake.versions;
}

static void fake_erase(const char *key)
{
    fake_object *object = fake_find(key);
    if (object) { free(object->data); *object = fake.objects[--fake.count]; }
}

static void fake_say(dreamdb_s3_exchange *x, int status) { dreamdb_s3_take_status(x, status); x->result = DREAMDB_S3_DONE; }
static void fake_error(dreamdb_s3_exchange *x, int status, const char *code, const char *more)
{
    char text[512];
    fake_say(x, status);
    dreamdb_s3_take_header(x, "X-Amz-Request-Id", 16, "REQ7", 4);
    if (!x->is_head) {
        (void)snprintf(text, sizeof text, "<?xml version=\"1.0\"?>\n<Error><Code>%s</Code><Message>m</Message>%s</Error>", code, more);
        (void)dreamdb_s3_take_body(x, text, strlen(text));
    }
}

/* A header of the request, copied; "" if it has none. */
static const char *fake_header(const dreamdb_s3_exchange *x, const char *name, char *out, size_t cap)
{
    char pattern[64];
    out[0] = 0;
    (void)snprintf(pattern, sizeof pattern, "\r\n%s: ", name);
    const char *at = strstr(x->head, pattern);
    if (at) {
        at += strlen(pattern);
        size_t n = strcspn(at, "\r");
        if (n >= cap) { n = cap - 1; }
        memcpy(out, at, n); out[n] = 0;
    }
    return out;
}

static void fake_etag(const fake_object *object, char out[40]) { (void)snprintf(out, 40, "\"v%llu\"", (unsigned long long)object->version); }

static void fake_get(dreamdb_s3_exchange *x, const char *key)
{
    fake_object *object = fake_find(key);
    char range[80], etag[40], text[80];
    unsigned long long from = 0, to = 0;
    if (!object) { fake_error(x, 404, "NoSuchKey", ""); return; }
    fake_etag(object, etag);
    bool ranged = sscanf(fake_header(x, "range", range, sizeof range), "bytes=%llu-%llu", &from, &to) >= 1;
    to = strchr(range, '-') && strchr(range, '-')[1] && to < object->size ? to : object->size - 1;
    if (ranged && from >= object->size) { fake_error(x, 416, "InvalidRange", ""); return; }
    fake_say(x, ranged ? 206 : 200);
    dreamdb_s3_take_header(x, "ETag", 4, etag, strlen(etag));
    dreamdb_s3_take_header(x, "Last-Modified", 13, "Fri, 24 May 2013 00:00:00 GMT", 29);
    if (x->is_head) { (void)snprintf(text, sizeof text, "%zu", object->size); dreamdb_s3_take_header(x, "Content-Length", 14, text, strlen(text)); return; }
    if (ranged) { (void)snprintf(text, sizeof text, "bytes %llu-%llu/%zu", from, to, object->size); dreamdb_s3_take_header(x, "Content-Range", 13, text, strlen(text)); }
    size_t size = ranged ? (size_t)(to - from + 1) : object->size;
    if (size > 0) { x->result = dreamdb_s3_take_body(x, object->data + from, size); }
}

static void fake_put(dreamdb_s3_exchange *x, const char *key)
{
    fake_object *object = fake_find(key);
    char match[80], etag[40];
    if (!fake.no_conditions && fake_header(x, "if-none-match", match, sizeof match)[0] && object) { fake_error(x, 412, "PreconditionFailed", ""); return; }
    if (!fake.no_conditions && fake_header(x, "if-match", match, sizeof match)[0]) {
        if (!object) { fake_error(x, 404, "NoSuchKey", ""); return; }
        fake_etag(object, etag);
        if (strcmp(match, etag) != 0) { fake_error(x, 412, "PreconditionFailed", ""); return; }
    }
    fake_store(key, x->body, (size_t)x->body_size);
    fake_say(x, 200);
    fake_etag(fake_find(key), etag);
    dreamdb_s3_take_header(x, "ETag", 4, etag, strlen(etag));
}

static int fake_by_key(const void *a, const void *b) { return strcmp((*(fake_object *const *)a)->key, (*(fake_object *const *)b)->key); }

/* bucket: "b"; the token is the last key of the page before. */
static void fake_list(dreamdb_s3_exchange *x, const char *query)
{
    static char out[1 << 20];
    char prefix[FAKE_KEY] = "", token[FAKE_KEY] = "", entry[1024];
    fake_object **sorted = (fake_object **)malloc(sizeof *sorted * (fake.count + 1));
    size_t n = 0, shown = 0;
    const char *at = strstr(query, "prefix="), *from = strstr(query, "continuation-token=");
    if (at) { (void)snprintf(prefix, sizeof prefix, "%.*s", (int)strcspn(at + 7, "&"), at + 7); prefix[ds3_text_unescape(prefix, strlen(prefix), false)] = 0; }
    if (from) { (void)snprintf(token, sizeof token, "%.*s", (int)strcspn(from + 19, "&"), from + 19); token[ds3_text_unescape(token, strlen(token), false)] = 0; }
    for (size_t i = 0; i < fake.count; i++) { if (strncmp(fake.objects[i].key + 2, prefix, strlen(prefix)) == 0) { sorted[n++] = fake.objects + i; } }
    qsort(sorted, n, sizeof *sorted, fake_by_key);
    (void)snprintf(out, sizeof out, "<?xml version=\"1.0\"?><s:ListBucketResult xmlns:s=\"u\"><StartAfter/>");
    const char *last = "";
    for (size_t i = 0; i < n && shown < fake.page; i++) {
        if (!fake.loop && strcmp(sorted[i]->key + 2, token) <= 0) { continue; }
        (void)snprintf(entry, sizeof entry, "<s:Contents><s:Size>%zu</s:Size><s:ETag>&#34;v%llu&#x22;</s:ETag><s:LastModified>2013-05-24T00:00:00.000Z</s:LastModified>"
                       "<s:Key>%s</s:Key><Owner><ID>x</ID></Owner></s:Contents>", sorted[i]->size, (unsigned long long)sorted[i]->version, sorted[i]->key + 2);
        strcat(out, entry);
        last = sorted[i]->key + 2;
        shown++;
    }
    bool more = n > 0 && strcmp(sorted[n - 1]->key + 2, last) > 0 && shown > 0;
    (void)snprintf(entry, sizeof entry, "<s:IsTruncated>%s</s:IsTruncated>%s%s%s</s:ListBucketResult>", more ? "true" : "false", more ? "<s:NextContinuationToken>" : "",
                   more ? last : "", more ? "</s:NextContinuationToken>" : "");
    strcat(out, entry);
    fake_say(x, 200);
    x->result = dreamdb_s3_take_body(x, out, strlen(out));
    free(sorted);
}

static void fake_many(dreamdb_s3_exchange *x)
{
    char sum[64], wanted[64], key[FAKE_KEY], *text = (char *)malloc((size_t)x->body_size + 1);
    uint8_t hash[32];
    static char out[1 << 16];
    ds3_sha_of(true, x->body, (size_t)x->body_size, hash);
    ds3_text_base64(wanted, hash, 32);
    if (fake.no_many) { fake_error(x, 501, "NotImplemented", ""); free(text); return; }
    if (strcmp(fake_header(x, "x-amz-checksum-sha256", sum, sizeof sum), wanted) != 0) { fake_error(x, 400, "BadDigest", ""); free(text); return; }
    memcpy(text, x->body, (size_t)x->body_size); text[x->body_size] = 0;
    (void)snprintf(out, sizeof out, "<DeleteResult>");
    for (char *at = text; (at = strstr(at, "<Key>")) != NULL; at += 5) {
        (void)snprintf(key, sizeof key, "b/%.*s", (int)strcspn(at + 5, "<"), at + 5);
        if (strstr(key, "locked")) { strcat(out, "<Error><Key>"); strcat(out, key + 2); strcat(out, "</Key><Code>AccessDenied</Code></Error>"); continue; }
        fake_erase(key);
    }
    strcat(out, "</DeleteResult>");
    fake_say(x, 200);
    x->result = dreamdb_s3_take_body(x, out, strlen(out));
    free(text);
}

/* Uploads in parts: part n of upload U is the object "U/n"; 20 at most. */
static void fake_upload(dreamdb_s3_exchange *x, const char *key, const char *query, const char *method)
{
    char name[FAKE_KEY], text[200];
    unsigned number = 0;
    const char *id = strstr(query, "uploadId=");
    (void)snprintf(name, sizeof name, "%.20s", id ? id + 9 : "");
    if (strcmp(query, "uploads=") == 0) {
        (void)snprintf(fake.uploads[fake.upload_count++], FAKE_KEY, "%s", key);
        (void)snprintf(text, sizeof text, "<InitiateMultipartUploadResult><UploadId>U%zu</UploadId></InitiateMultipartUploadResult>", fake.upload_count);
        fake_say(x, 200);
        x->result = dreamdb_s3_take_body(x, text, strlen(text));
    } else if (sscanf(query, "partNumber=%u", &number) == 1) {
        (void)snprintf(text, sizeof text, "%.20s/%u_", name, number);
        fake_store(text, x->body, (size_t)x->body_size);
        fake_say(x, 200);
        dreamdb_s3_take_header(x, "ETag", 4, "\"part\"", 6);
    } else {
        char *all = NULL;
        size_t size = 0;
        for (unsigned i = 1; i < 20; i++) {
            (void)snprintf(text, sizeof text, "%.20s/%u_", name, i);
            fake_object *part = fake_find(text);
            if (!part) { continue; }
            all = (char *)realloc(all, size + part->size + 1);
            memcpy(all + size, part->data, part->size);
            size += part->size;
            fake_erase(text);
        }
        if (strcmp(method, "DELETE") == 0) { fake_say(x, 204); free(all); return; }
        x->body = all; x->body_size = size;    /* from here on it is a put */
        fake_put(x, key);
        x->body = NULL; x->body_size = 0;
        if (x->http_status == 200) { x->result = dreamdb_s3_take_body(x, "  <CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>", 85); }
        free(all);
    }
}

static void fake_serve(dreamdb_s3_exchange *x)
{
    char method[8], key[FAKE_KEY], hash[80], hex[65], authorization[600];
    uint8_t sum[32];
    const char *target = strchr(x->head, ' ') + 1, *query = "";
    size_t size = strcspn(target, " ");
    (void)snprintf(method, sizeof method, "%.*s", (int)strcspn(x->head, " "), x->head);
    (void)snprintf(key, sizeof key, "%.*s", (int)size - 1, target + 1);
    static char query_text[2048];
    if (strchr(key, '?')) { (void)snprintf(query_text, sizeof query_text, "%s", strchr(key, '?') + 1); query = query_text; *strchr(key, '?') = 0; }
    key[ds3_text_unescape(key, strlen(key), false)] = 0;
    (void)fake_header(x, "authorization", authorization, sizeof authorization);
    fake.unsigned_seen = fake.unsigned_seen || !authorization[0];
    if (fake_header(x, "x-amz-content-sha256", hash, sizeof hash)[0] && strcmp(hash, "UNSIGNED-PAYLOAD") != 0) {
        ds3_sha_of(false, x->body_size ? x->body : "", (size_t)x->body_size, sum);
        ds3_text_hex(hex, sum, 32);
        if (strcmp(hex, hash) != 0) { fake_error(x, 400, "XAmzContentSHA256Mismatch", ""); return; }
    }
    if (strncmp(key, "b/", 2) != 0 && strcmp(key, "b") != 0) { fake_error(x, 404, "NoSuchBucket", ""); return; }
    if (strstr(query, "uploads=") || strstr(query, "uploadId=")) { fake_upload(x, key, query, method); }
    else if (strstr(query, "list-type=2")) { fake_list(x, query); }
    else if (strcmp(query, "delete=") == 0) { fake_many(x); }
    else if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) { fake_get(x, key); }
    else if (strcmp(method, "PUT") == 0) { fake_put(x, key); }
    else { fake_erase(key); fake_say(x, 204); }
}

static void fake_break(dreamdb_s3_exchange *x, int result) { dreamdb_s3_take_status(x, 0); x->size = 0; x->result = result; }

/* Serves an exchange, or spoils it as the plan says. */
static void fake_fault_or_serve(dreamdb_s3_exchange *x, fake_fault fault)
{
    switch (fault) {
    case FAKE_DROP: fake_break(x, DREAMDB_S3_BROKEN); break;
    case FAKE_LOSE: fake_serve(x); fake_break(x, DREAMDB_S3_BROKEN); break;
    case FAKE_LATE: fake_serve(x); fake_break(x, DREAMDB_S3_TIMEOUT); break;
    case FAKE_STALE: fake_break(x, DREAMDB_S3_STALE); break;
    case FAKE_STALE_DONE: fake_serve(x); fake_break(x, DREAMDB_S3_STALE); break;
    case FAKE_REFUSE: fake_break(x, DREAMDB_S3_NO_CONNECTION); break;
    case FAKE_500: fake_error(x, 500, "InternalError", ""); break;
    case FAKE_SLOW: fake_error(x, 503, "SlowDown", ""); break;
    case FAKE_429: fake_error(x, 429, "TooManyRequests", ""); break;
    case FAKE_502: fake_error(x, 502, "", ""); break;
    case FAKE_503: fake_error(x, 503, "ServiceUnavailable", ""); break;
    case FAKE_504: fake_error(x, 504, "", ""); break;
    case FAKE_408: fake_error(x, 408, "", ""); break;
    case FAKE_TIMEOUT: fake_error(x, 400, "RequestTimeout", ""); break;
    case FAKE_CONFLICT: fake_error(x, 409, "ConditionalRequestConflict", ""); break;
    case FAKE_500_DONE: fake_serve(x); fake_error(x, 500, "InternalError", ""); break;
    case FAKE_504_DONE: fake_serve(x); fake_error(x, 504, "", ""); break;
    case FAKE_WAIT: fake_error(x, 503, "SlowDown", ""); dreamdb_s3_take_header(x, "Retry-After", 11, "1", 1); break;
    case FAKE_BUSY: fake_error(x, 409, "OperationAborted", ""); break;
    case FAKE_CLOCK: fake_error(x, 403, "RequestTimeTooSkewed", ""); dreamdb_s3_take_header(x, "Date", 4, "Fri, 24 May 2013 00:00:00 GMT", 29); break;
    case FAKE_EXPIRED: fake_error(x, 400, "ExpiredToken", ""); break;
    case FAKE_REGION: fake_error(x, 400, "AuthorizationHeaderMalformed", "<Region>mars-1</Region>"); break;
    case FAKE_DENY: fake_error(x, 403, "AccessDenied", ""); break;
    case FAKE_GARBLE: fake_serve(x); fake_break(x, DREAMDB_S3_MALFORMED); break;
    case FAKE_FLIP: fake_serve(x); if (x->size > 0) { x->data[x->size / 2] ^= 4; } break;
    case FAKE_CUT: fake_serve(x); if (x->size > 0) { x->size--; } break;
    default: fake_serve(x); break;
    }
}

static int fake_open(void *user, void **session) { (void)user; *session = &fake; fake.end = &fake.done; return 0; }
static void fake_close(void *session) { (void)session; }
static void fake_start(void *session, dreamdb_s3_exchange *x)
{
    (void)session;
    fake.requests++;
    fake.flying++;
    fake.most_flying = fake.flying > fake.most_flying ? fake.flying : fake.most_flying;
    if (fake.meanwhile && fake.requests == fake.meanwhile_at) {
        if (fake.meanwhile[0]) { fake_store("b/pre fix/refs/r", fake.meanwhile, strlen(fake.meanwhile)); } else { fake_erase("b/pre fix/refs/r"); }
    }
    bool hit = fake.fault && fake.requests >= fake.fault_at && fake.requests < fake.fault_at + fake.fault_count;
    fake_fault_or_serve(x, hit ? fake.fault : FAKE_NONE);
    x->next = NULL;
    if (!fake.done) { fake.end = &fake.done; }
    *fake.end = x;
    fake.end = &x->next;
}
static void fake_wait(void *session, uint32_t ms, dreamdb_s3_exchange **done)
{
    (void)session; (void)ms;
    *done = fake.done;
    if (fake.done) { fake.done = fake.done->next; fake.flying--; }
}

static const dreamdb_s3_transport fake_transport = {NULL, fake_open, fake_start, fake_wait, fake_close};

/* A store over it; more than the defaults by the caller. */
static dreamdb_store fake_s3_store(dreamdb_s3_options *options, dreamdb_error *error)
{
    dreamdb_store store;
    options->url = options->url ? options->url : "s3://b/pre fix";
    options->endpoint = "http://fake";
    options->access_key = "AKID"; options->secret_key = "SECRETSECRET";
    options->no_environment = 1;
    options->transport = &fake_transport;
    options->backoff_ms = 1; options->backoff_max_ms = 2;
    (void)dreamdb_store_s3(options, &store, error);
    return store;
}
#endif
