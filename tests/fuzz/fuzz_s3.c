/* What a server or a user can hand to dreamdb_s3.h.  The first byte says what: an HTTP answer (the second: in pieces of so many bytes), a
   page of a listing, an error, a URL. */
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

FUZZ(s3)(const uint8_t *data, size_t size)
{
    dreamdb_allocator allocator;
    fuzz_live = 0;
    allocator.user = NULL;
    allocator.resize = fuzz_resize;
    if (size == 0) { return 0; }
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
