/* What a server or a user can hand to dreamdb_s3.h.  The first byte says what: an HTTP answer (the second: in pieces of so many bytes), a
   page of a listing, an error, a URL; from 64 on the answer to DeleteObjects; from 128 on answers to all that a store does, one after the
   other, each behind its size (two bytes); an odd byte: tried twice. */
#include "fuzz.h"

static int fuzz_s3_path(void *user, const char *path, const dreamdb_stat *stat)
{
    (void)user; (void)stat;
    FUZZ_WANT(path[0] && path[0] != '/' && !strstr(path, "//") && strcmp(path, "..") != 0);
    return 0;
}

static void fuzz_s3_http(const dreamdb_allocator *allocator, const uint8_t *data, size_t size)
{
    dreamdb_s3_exchange x;
    ds3_http_in http;
    size_t piece = size > 0 ? data[0] % 64 + 1u : 1, at = size > 0;
    int result = DREAMDB_S3_DONE;
    memset(&x, 0, sizeof x);
    x.allocator = *allocator;
    x.most = 5000; x.is_head = piece == 9; x.keep_offset = piece == 8; x.keep_size = piece == 7;
    ds3_http_start(&http, allocator);
    while (at < size && result == DREAMDB_S3_DONE && http.stage != DS3_HTTP_WHOLE) {
        size_t used = 0, n = size - at < piece ? size - at : piece;
        result = ds3_http_feed(&http, &x, (const char *)data + at, n, &used);
        FUZZ_WANT(used <= n && (used == n || result != DREAMDB_S3_DONE || http.stage == DS3_HTTP_WHOLE));
        at += used;
    }
    FUZZ_WANT(x.size <= 65536 && (x.http_status >= 300 || x.size <= 5000) && strlen(x.etag) < sizeof x.etag);
    (void)ds3_http_end(&http);
    ds3_http_stop(&http);
    ds3_http_drop(&x);
}

static void fuzz_s3_url(const dreamdb_allocator *allocator, const uint8_t *data, size_t size)
{
    char text[1200];
    ds3_url_place url;
    ds3_text_buf out;
    size_t n = size < sizeof text - 1 ? size : sizeof text - 1;
    memcpy(text, data, n);
    text[n] = 0;
    ds3_text_init(&out, allocator);
    if (!ds3_url_parse(text, NULL, "us-east-1", 0, &url)) {
        ds3_url_host(&url, &out);
        FUZZ_WANT(!strpbrk(ds3_text_get(&out), "\r\n /@"));
        out.size = 0;
        ds3_url_path(&url, "refs/main", &out);
        FUZZ_WANT(!strpbrk(ds3_text_get(&out), "\r\n ?#"));
    }
    ds3_text_free(&out);
}

static void fuzz_s3_many(const dreamdb_allocator *allocator, const uint8_t *data, size_t size)
{
    static ds3_core_state core;
    static const char *const paths[3] = {"a", "d/b", "x&y"};
    dreamdb_io ops[3], *list[3];
    ds3_core_task task;
    memset(&core, 0, sizeof core);
    memset(ops, 0, sizeof ops);
    core.allocator = *allocator;
    FUZZ_WANT(ds3_port_mutex_init(&core.lock));
    ds3_core_task_init(&task, DS3_RETRY_POST, "POST", NULL);
    task.exchange.allocator = *allocator;
    (void)dreamdb_s3_take_status(&task.exchange, 200);
    task.exchange.most = UINT64_MAX;
    (void)dreamdb_s3_take_body(&task.exchange, data, size);
    for (size_t i = 0; i < 3; i++) { ops[i].kind = DREAMDB_IO_REMOVE; ops[i].path = paths[i]; list[i] = ops + i; }
    bool good = ds3_verbs_many_read(&core, &task, list, 3);
    for (size_t i = 0; i < 3; i++) { FUZZ_WANT(ops[i].status == DREAMDB_OK || ops[i].status == DREAMDB_ERR_STORE); }
    FUZZ_WANT(good || size < 1000000);
    ds3_http_drop(&task.exchange);
    ds3_port_mutex_free(&core.lock);
}

/* A server whose answers are the input; when that is used up, it hangs up. */
static struct { const uint8_t *data; size_t size, at; dreamdb_s3_exchange *done; dreamdb_allocator allocator; } fuzz_server;
static int fuzz_server_open(void *user, void **session) { (void)user; *session = &fuzz_server; fuzz_server.done = NULL; return 0; }
static void fuzz_server_close(void *session) { (void)session; }
static void fuzz_server_start(void *session, dreamdb_s3_exchange *x)
{
    ds3_http_in http;
    size_t left = fuzz_server.size - fuzz_server.at, n = 0, used = 0;
    (void)session;
    if (left >= 2) {
        n = (size_t)fuzz_server.data[fuzz_server.at] << 8 | fuzz_server.data[fuzz_server.at + 1];
        fuzz_server.at += 2;
        n = n < left - 2 ? n : left - 2;
    }
    ds3_http_start(&http, &fuzz_server.allocator);
    int result = ds3_http_feed(&http, x, (const char *)fuzz_server.data + fuzz_server.at, n, &used);
    x->result = result != DREAMDB_S3_DONE ? result : http.stage == DS3_HTTP_WHOLE ? (int)DREAMDB_S3_DONE : ds3_http_end(&http);
    ds3_http_stop(&http);
    fuzz_server.at += n;
    x->next = fuzz_server.done;
    fuzz_server.done = x;
}
static void fuzz_server_wait(void *session, uint32_t ms, dreamdb_s3_exchange **done)
{
    (void)session; (void)ms;
    *done = fuzz_server.done;
    fuzz_server.done = *done ? (*done)->next : NULL;
}

static void fuzz_s3_get(const dreamdb_store *store, const char *path, uint64_t offset, uint64_t size)
{
    dreamdb_blob blob;
    memset(&blob, 0, sizeof blob);
    int status = store->get(store->user, path, offset, size, &blob);
    FUZZ_WANT(status <= 0 && (status || ((size == 0 || blob.size <= size) && (blob.data || blob.size == 0) && strlen(blob.tag) < sizeof blob.tag)));
    if (status == DREAMDB_OK && blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
}

static void fuzz_s3_store(const dreamdb_allocator *allocator, uint8_t first, const uint8_t *data, size_t size)
{
    static const dreamdb_s3_transport transport = {NULL, fuzz_server_open, fuzz_server_start, fuzz_server_wait, fuzz_server_close};
    dreamdb_s3_options chosen;
    dreamdb_store store;
    dreamdb_stat stat;
    dreamdb_io ops[2];
    dreamdb_condition tagged;
    char reason[300];
    tagged.kind = DREAMDB_PUT_IF_TAG; tagged.tag = "\"v1\"";
    memset(&chosen, 0, sizeof chosen);
    memset(ops, 0, sizeof ops);
    fuzz_server.data = data; fuzz_server.size = size; fuzz_server.at = 0; fuzz_server.allocator = *allocator;
    chosen.url = "http://h/bucket/p"; chosen.no_environment = 1; chosen.transport = &transport; chosen.allocator = *allocator;
    chosen.access_key = "AK"; chosen.secret_key = "HIDDENHIDDEN";
    chosen.tries = first % 2 + 1u; chosen.deadline_ms = 1; chosen.backoff_ms = chosen.backoff_max_ms = 1; chosen.object_bytes = 5000; chosen.part_bytes = 10;
    FUZZ_WANT(dreamdb_store_s3(&chosen, &store, NULL) == DREAMDB_OK);
    fuzz_s3_get(&store, "refs/main", 0, 0);
    fuzz_s3_get(&store, "d/x", 3, 4);
    int status = store.put(store.user, "refs/main", "new", 3, &tagged);
    FUZZ_WANT(status == DREAMDB_OK || status == DREAMDB_ERR_CONFLICT || status == DREAMDB_ERR_STORE || status == DREAMDB_ERR_MEMORY);
    status = store.stat(store.user, "d/x", &stat);
    FUZZ_WANT(status <= 0 && (status || strlen(stat.tag) < sizeof stat.tag));
    FUZZ_WANT(store.list(store.user, "d/", fuzz_s3_path, NULL) <= 0);
    ops[0].kind = ops[1].kind = DREAMDB_IO_REMOVE; ops[0].path = "d/x"; ops[1].path = "d/y";
    FUZZ_WANT(store.batch(store.user, ops, 2) <= 0 && ops[0].status <= 0 && ops[1].status <= 0);
    FUZZ_WANT(store.put(store.user, "d/big", "0123456789012345", 16, NULL) <= 0);
    reason[0] = 0;
    store.reason(store.user, reason, sizeof reason);
    FUZZ_WANT(strlen(reason) < sizeof reason && !strstr(reason, "HIDDEN") && !strpbrk(reason, "\r\n"));
    dreamdb_store_close(&store);
}

FUZZ(s3)(const uint8_t *data, size_t size)
{
    dreamdb_allocator allocator;
    fuzz_live = 0;
    allocator.user = NULL;
    allocator.resize = fuzz_resize;
    if (size == 0) { return 0; }
    if (data[0] >= 64) {
        if (data[0] >= 128) { fuzz_s3_store(&allocator, data[0], data + 1, size - 1); } else { fuzz_s3_many(&allocator, data + 1, size - 1); }
        FUZZ_WANT(fuzz_live == 0);
        return 0;
    }
    if (data[0] % 4 == 0) { fuzz_s3_http(&allocator, data + 1, size - 1); }
    if (data[0] % 4 == 3) { fuzz_s3_url(&allocator, data + 1, size - 1); }
    if (data[0] % 4 == 1) {
        static ds3_core_state core;
        static ds3_verbs_listing listing;
        memset(&core, 0, sizeof core);
        memset(&listing, 0, sizeof listing);
        core.allocator = allocator;
        listing.core = &core;
        listing.each = fuzz_s3_path;
        (void)snprintf(core.url.prefix, sizeof core.url.prefix, "%s", data[0] & 4 ? "p" : "");
        (void)ds3_verbs_list_page(&listing, (const char *)data + 1, size - 1);
    }
    if (data[0] % 4 == 2) {
        char code[64];
        (void)ds3_xml_value(&allocator, (const char *)data + 1, size - 1, "Error", "Code", code, sizeof code);
        FUZZ_WANT(strlen(code) < sizeof code);
    }
    FUZZ_WANT(fuzz_live == 0);
    return 0;
}
