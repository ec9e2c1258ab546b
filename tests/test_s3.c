/* test_s3.c - dreamdb_s3.h, room by room: published vectors of SHA-256, HMAC and SigV4; URLs, dates, XML and HTTP good and hostile, whole
   and byte by byte; the retry table; then the engine over a server in memory: conditions, lists, deletes, parts, and every fault at every
   request of a dataset's life. */
#include "dataset.h"
#include "fake_s3.h"

static dreamdb_allocator counting(void) { return test_allocator(); }

static void hex_is(const uint8_t *hash, const char *wanted)
{
    char hex[65];
    ds3_text_hex(hex, hash, 32);
    CHECK_STR(hex, wanted);
}

static void sha_vectors(void)
{
    static uint8_t data[100000];
    uint8_t a[32], b[32];
    for (int fast = 0; fast <= (ds3_sha_fast() ? 1 : 0); fast++) {
        ds3_sha_of(fast != 0, "", 0, a);
        hex_is(a, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        ds3_sha_of(fast != 0, "abc", 3, a);
        hex_is(a, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        ds3_sha_of(fast != 0, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, a);
        hex_is(a, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        ds3_sha_hmac(fast != 0, "Jefe", 4, "what do ya want for nothing?", 28, a);                     /* RFC 4231, case 2 */
        hex_is(a, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        memset(data, 0xaa, 131);
        ds3_sha_hmac(fast != 0, data, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54, a);   /* case 6 */
        hex_is(a, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }
    for (size_t i = 0; i < sizeof data; i++) { data[i] = (uint8_t)test_rand(); }
    for (size_t i = 0; i < 400; i++) {         /* both paths, in one piece and in three */
        size_t n = i < 200 ? i : (size_t)(test_rand() % sizeof data), c1 = n ? (size_t)(test_rand() % n) : 0;
        ds3_sha_run sha;
        ds3_sha_of(false, data, n, a);
        ds3_sha_open(&sha);
        ds3_sha_add(&sha, ds3_sha_fast(), data, c1 / 2);
        ds3_sha_add(&sha, ds3_sha_fast(), data + c1 / 2, c1 - c1 / 2);
        ds3_sha_add(&sha, ds3_sha_fast(), data + c1, n - c1);
        ds3_sha_end(&sha, ds3_sha_fast(), b);
        CHECK_BYTES(a, b, 32);
    }
}

static void signs(const char *method, const char *path, const char *query, const char *body, ds3_sign_header more1, ds3_sign_header more2,
                  const char *wanted)
{
    ds3_sign_request request;
    ds3_text_buf out;
    uint8_t key[32], hash[32];
    char payload[65];
    dreamdb_allocator allocator = counting();
    memset(&request, 0, sizeof request);
    ds3_text_init(&out, &allocator);
    ds3_sha_of(ds3_sha_fast(), body, strlen(body), hash);
    ds3_text_hex(payload, hash, 32);
    request.method = method; request.path = path; request.query = query;
    ds3_sign_add(&request, "x-amz-date", "20130524T000000Z");
    ds3_sign_add(&request, "host", "examplebucket.s3.amazonaws.com");
    ds3_sign_add(&request, "x-amz-content-sha256", payload);
    if (more1.name) { ds3_sign_add(&request, more1.name, more1.value); }
    if (more2.name) { ds3_sign_add(&request, more2.name, more2.value); }
    ds3_sign_key(ds3_sha_fast(), "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", key);
    ds3_sign_authorize(ds3_sha_fast(), &request, key, "AKIAIOSFODNN7EXAMPLE", "us-east-1", "20130524T000000Z", payload, &out);
    const char *got = strstr(ds3_text_get(&out), "Signature=");
    CHECK_STR(got ? got + 10 : "", wanted);
    CHECK(strncmp(ds3_text_get(&out), "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=", 97) == 0);
    ds3_text_free(&out);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void sigv4_examples(void)               /* the four of the documentation of S3 */
{
    ds3_sign_header none = {NULL, NULL}, range = {"range", "bytes=0-9"}, date = {"date", "Fri, 24 May 2013 00:00:00 GMT"},
                    class_ = {"x-amz-storage-class", "REDUCED_REDUNDANCY"};
    signs("GET", "/test.txt", "", "", range, none, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    signs("PUT", "/test%24file.text", "", "Welcome to Amazon S3.", date, class_, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    signs("GET", "/", "lifecycle=", "", none, none, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    signs("GET", "/", "max-keys=2&prefix=J", "", none, none, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void urls(void)
{
    ds3_url_place u;
    static const char *const bad[] = {"", "s3://", "s3:///x", "s3://bu cket/x", "s3://..", "ftp://h/b", "http://", "http:///b", "http://u:p@h/b", "http://h:0/b",
                                      "http://h:70000/b", "http://h:x/b", "http://h/b?x", "http://h/b#x", "http://h/b/%01", "HTTP://h/b", "http://h h/b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (!ds3_url_parse(bad[i], NULL, "us-east-1", 0, &u)) { test_ok = 0; printf("%s: accepted %s\n", test_name, bad[i]); }
    }
    CHECK(!ds3_url_parse("s3://my-bucket/a/b/", NULL, "eu-west-1", 0, &u));
    CHECK(u.tls && u.virtual_host && u.amazon);
    CHECK_STR(u.host, "s3.eu-west-1.amazonaws.com"); CHECK_STR(u.bucket, "my-bucket"); CHECK_STR(u.prefix, "a/b");
    CHECK(!ds3_url_parse("s3://my.bucket", NULL, "eu-west-1", 0, &u)); CHECK(!u.virtual_host);      /* a dot breaks TLS names */
    CHECK(!ds3_url_parse("s3://b/p", "http://127.0.0.1:9000/", "r", 0, &u)); CHECK(!u.virtual_host && !u.tls); CHECK_STR(u.host, "127.0.0.1:9000");
    CHECK(!ds3_url_parse("s3://b/p", "https://minio.example:443", "r", 1, &u)); CHECK(u.virtual_host && u.tls); CHECK_STR(u.host, "minio.example");
    CHECK(!ds3_url_parse("http://[::1]:8080/b/c%20d/e", NULL, "r", 0, &u)); CHECK_STR(u.host, "[::1]:8080"); CHECK_STR(u.prefix, "c d/e");
    CHECK(!ds3_url_parse("http://h:80", NULL, "r", 0, &u)); CHECK_STR(u.host, "h"); CHECK_STR(u.bucket, "");
    CHECK(ds3_url_parse("s3://b", "http://h/path", "r", 0, &u) != NULL);
    dreamdb_allocator allocator = counting();
    ds3_text_buf path;
    ds3_text_init(&path, &allocator);
    CHECK(!ds3_url_parse("http://h/b/c d", NULL, "r", 0, &u));
    ds3_url_path(&u, "refs/a=b@c+d", &path);
    CHECK_STR(ds3_text_get(&path), "/b/c%20d/refs/a%3Db%40c%2Bd");
    ds3_text_free(&path);
    CHECK(ds3_url_key_valid(&u, "refs/main") && !ds3_url_key_valid(&u, "") && !ds3_url_key_valid(&u, "a//b") && !ds3_url_key_valid(&u, "a/../b"));
    CHECK(!ds3_url_key_valid(&u, "/a") && !ds3_url_key_valid(&u, "a/") && !ds3_url_key_valid(&u, "a\nb") && !ds3_url_key_valid(&u, "a\xc3\xa4"));
}

static void dates(void)
{
    char stamp[17];
    CHECK_EQ_U64(ds3_text_http_date("Fri, 24 May 2013 00:00:00 GMT", 29), UINT64_C(1369353600) * 1000000000u);
    CHECK_EQ_U64(ds3_text_iso_date("2013-05-24T00:00:00.000Z", 24), UINT64_C(1369353600) * 1000000000u);
    CHECK_EQ_U64(ds3_text_http_date("Fri, 24 Foo 2013 00:00:00 GMT", 29), 0);
    CHECK_EQ_U64(ds3_text_http_date("Fri, 24 May 2013", 16), 0);
    ds3_text_stamp(1369353600, stamp);
    CHECK_STR(stamp, "20130524T000000Z");
    for (uint64_t t = 0; t < UINT64_C(4102444800); t += 86400 * 7 + 12345) {       /* there and back */
        char iso[40];
        ds3_text_stamp(t, stamp);
        (void)snprintf(iso, sizeof iso, "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", stamp, stamp + 4, stamp + 6, stamp + 9, stamp + 11, stamp + 13);
        CHECK_EQ_U64(ds3_text_iso_date(iso, 20), t * 1000000000u);
    }
}

static void xml_events(void)
{
    dreamdb_allocator allocator = counting();
    char out[32];
    static const char good[] = "<?xml version='1.0'?><!-- c --><a:Error x=\"1>2\"><Code>A&amp;B&#x41;&#66;&lt;</Code><Empty/><M><![CDATA[<x>]]></M></a:Error> \n";
    CHECK(ds3_xml_value(&allocator, good, sizeof good - 1, "Error", "Code", out, sizeof out)); CHECK_STR(out, "A&BAB<");
    CHECK(ds3_xml_value(&allocator, good, sizeof good - 1, "Error", "Empty", out, sizeof out)); CHECK_STR(out, "");
    CHECK(ds3_xml_value(&allocator, good, sizeof good - 1, "Error", "M", out, sizeof out)); CHECK_STR(out, "<x>");
    CHECK(!ds3_xml_value(&allocator, good, sizeof good - 1, "Error", "x", out, sizeof out));
    static const char *const bad[] = {"<a>", "<a></b>", "</a>", "<a><b></a></b>", "<a>&bad;</a>", "<a>&#0;</a>", "<a>&#xd800;</a>", "<a>&#99999999;</a>",
                                      "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "<a", "<", "a", "", "<a/><b/>", "<a x=\"></a>", "<a>&#;</a>", "<a><!-- </a>",
                                      "<1234567890123456789012345678901234567890123456789012345/>",
                                      "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ds3_xml_in xml;
        bool closed = false;
        ds3_xml_event event;
        ds3_xml_start(&xml, &allocator, bad[i], strlen(bad[i]));
        do { event = ds3_xml_next(&xml, &closed); } while (event != DS3_XML_END && event != DS3_XML_BAD);
        if (event != DS3_XML_BAD) { test_ok = 0; printf("%s: accepted %s\n", test_name, bad[i]); }
        ds3_xml_stop(&xml);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Feeds an answer in pieces of so many bytes; the result, or -1 if it is not over. */
static int feed(dreamdb_s3_exchange *x, const char *text, size_t size, size_t piece, bool *close)
{
    ds3_http_in http;
    dreamdb_allocator allocator = counting();
    int result = DREAMDB_S3_DONE;
    x->allocator = allocator;
    ds3_http_start(&http, &allocator);
    for (size_t at = 0; at < size && result == DREAMDB_S3_DONE && http.stage != DS3_HTTP_WHOLE;) {
        size_t used = 0, n = size - at < piece ? size - at : piece;
        result = ds3_http_feed(&http, x, text + at, n, &used);
        at += used;
        if (used < n && result == DREAMDB_S3_DONE) { break; }
    }
    *close = http.close;
    int out = result != DREAMDB_S3_DONE ? result : http.stage == DS3_HTTP_WHOLE ? (int)DREAMDB_S3_DONE : http.stage == DS3_HTTP_TO_END ? -2 : -1;
    ds3_http_stop(&http);
    return out;
}

static void http_answers(void)
{
    static const struct { const char *text; int result, status; const char *body; int close; } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\nhello", 0, 200, "hello", 0},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:5\r\nConnection: Close\r\n\r\nhello", 0, 200, "hello", 1},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: x\r\n\r\n", 0, 200, "hello", 0},
        {"HTTP/1.0 200 OK\r\n\r\nhello", -2, 200, "hello", 1},
        {"HTTP/1.1 204 No Content\r\n\r\n", 0, 204, "", 0},
        {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 0, 200, "", 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", -1, 200, "hel", 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", DREAMDB_S3_MALFORMED, 200, NULL, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", DREAMDB_S3_MALFORMED, 200, NULL, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", DREAMDB_S3_MALFORMED, 200, NULL, 0},
        {"HTTP/1.1 200 OK\r\n Folded: x\r\n\r\n", DREAMDB_S3_MALFORMED, 200, NULL, 0},
        {"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", DREAMDB_S3_MALFORMED, 200, NULL, 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", DREAMDB_S3_MALFORMED, 200, NULL, 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", DREAMDB_S3_MALFORMED, 200, NULL, 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhelx\r\n", DREAMDB_S3_MALFORMED, 200, NULL, 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", DREAMDB_S3_MALFORMED, 200, NULL, 0},
        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", DREAMDB_S3_MALFORMED, 200, NULL, 0},
        {"HTTP/2 200\r\n\r\n", DREAMDB_S3_MALFORMED, 0, NULL, 0},
        {"HTTP/1.1 99 x\r\n\r\n", DREAMDB_S3_MALFORMED, 0, NULL, 0},
        {"SSH-2.0-x\r\n", DREAMDB_S3_MALFORMED, 0, NULL, 0},
        {"\x15\x03\x01 \x02\x02\x16", DREAMDB_S3_MALFORMED, 0, NULL, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", -1, 200, "", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size = strlen(cases[i].text);
        for (size_t piece = 1; piece <= size; piece++) {
            dreamdb_s3_exchange x;
            bool close = false;
            memset(&x, 0, sizeof x);
            x.most = 1000;
            int result = feed(&x, cases[i].text, size, piece, &close);
            bool good = result == cases[i].result && (!cases[i].body || (x.size == strlen(cases[i].body) && x.http_status == cases[i].status
                        && (x.size == 0 || memcmp(x.data, cases[i].body, (size_t)x.size) == 0) && close == (cases[i].close != 0)));
            if (!good) { test_ok = 0; printf("%s: case %zu in pieces of %zu: result %d status %d\n", test_name, i, piece, result, x.http_status); }
            ds3_http_drop(&x);
        }
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void http_bounds(void)
{
    static char head[200000];
    dreamdb_s3_exchange x;
    bool close = false;
    memset(&x, 0, sizeof x);
    x.most = 4;
    CHECK_EQ_U64(feed(&x, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 43, 7, &close), DREAMDB_S3_TOO_LARGE);
    ds3_http_drop(&x);
    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nX: ");        /* a head without an end */
    memset(head + 20, 'a', sizeof head - 20);
    CHECK_EQ_U64(feed(&x, head, sizeof head, 5000, &close), DREAMDB_S3_MALFORMED);
    memset(&x, 0, sizeof x);
    x.most = UINT64_MAX;                       /* a length that promises much takes no memory before its bytes come */
    static const char big[] = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx";
    CHECK(feed(&x, big, sizeof big - 1, sizeof big, &close) == -1);
    CHECK(test_live_bytes() < (size_t)64 << 20);
    ds3_http_drop(&x);
    memset(&x, 0, sizeof x);                   /* 200 to a ranged GET: the range is cut out, the rest is not waited for */
    x.most = 3; x.keep_offset = 1; x.keep_size = 3;
    CHECK_EQ_U64(feed(&x, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nhello world", 57, 3, &close), DREAMDB_S3_DONE);
    CHECK(x.size == 3 && memcmp(x.data, "ell", 3) == 0 && close);
    ds3_http_drop(&x);
    memset(&x, 0, sizeof x);
    dreamdb_s3_take_header(&x, "ETag", 4, "W/\"abc\"", 7);
    CHECK_STR(x.etag, "\"abc\"");
    memset(head, 'e', 100); x.etag[0] = 0;
    dreamdb_s3_take_header(&x, "ETag", 4, head, 100);
    CHECK_STR(x.etag, "");
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void retry_table(void)
{
    static const struct { ds3_retry_verb verb; bool if_tag; int result, status; const char *code; ds3_retry_action action; } rows[] = {
        {DS3_RETRY_GET, false, 0, 200, "", DS3_RETRY_GOOD}, {DS3_RETRY_GET, false, 0, 404, "NoSuchKey", DS3_RETRY_NOT_FOUND},
        {DS3_RETRY_GET, false, 0, 404, "NoSuchBucket", DS3_RETRY_FAIL}, {DS3_RETRY_HEAD, false, 0, 404, "", DS3_RETRY_NOT_FOUND},
        {DS3_RETRY_GET, false, 0, 416, "InvalidRange", DS3_RETRY_EMPTY}, {DS3_RETRY_GET, false, 0, 500, "", DS3_RETRY_AGAIN},
        {DS3_RETRY_GET, false, 0, 503, "SlowDown", DS3_RETRY_SLOWER}, {DS3_RETRY_GET, false, 0, 403, "AccessDenied", DS3_RETRY_FAIL},
        {DS3_RETRY_PUT, false, 0, 412, "", DS3_RETRY_EXISTS}, {DS3_RETRY_PUT, false, 0, 409, "ConditionalRequestConflict", DS3_RETRY_AGAIN},
        {DS3_RETRY_PUT, false, DREAMDB_S3_BROKEN, 0, "", DS3_RETRY_AGAIN}, {DS3_RETRY_PUT, false, 0, 404, "NoSuchBucket", DS3_RETRY_FAIL},
        {DS3_RETRY_SWAP, true, DREAMDB_S3_BROKEN, 0, "", DS3_RETRY_RESOLVE}, {DS3_RETRY_SWAP, true, DREAMDB_S3_TIMEOUT, 0, "", DS3_RETRY_RESOLVE},
        {DS3_RETRY_SWAP, true, DREAMDB_S3_STALE, 0, "", DS3_RETRY_RESOLVE}, {DS3_RETRY_SWAP, true, DREAMDB_S3_NO_CONNECTION, 0, "", DS3_RETRY_AGAIN},
        {DS3_RETRY_SWAP, true, 0, 500, "", DS3_RETRY_RESOLVE}, {DS3_RETRY_SWAP, true, 0, 503, "SlowDown", DS3_RETRY_RESOLVE},
        {DS3_RETRY_SWAP, true, 0, 412, "", DS3_RETRY_CONFLICT}, {DS3_RETRY_SWAP, false, 0, 412, "", DS3_RETRY_EXISTS},
        {DS3_RETRY_SWAP, true, 0, 404, "NoSuchKey", DS3_RETRY_CONFLICT}, {DS3_RETRY_SWAP, true, 0, 409, "ConditionalRequestConflict", DS3_RETRY_RESOLVE},
        {DS3_RETRY_SWAP, true, 0, 429, "", DS3_RETRY_SLOWER}, {DS3_RETRY_REMOVE, false, 0, 404, "NoSuchKey", DS3_RETRY_GOOD},
        {DS3_RETRY_GET, false, 0, 403, "RequestTimeTooSkewed", DS3_RETRY_CLOCK}, {DS3_RETRY_PUT, false, 0, 400, "ExpiredToken", DS3_RETRY_TOKEN},
        {DS3_RETRY_GET, false, 0, 400, "AuthorizationHeaderMalformed", DS3_RETRY_REGION}, {DS3_RETRY_GET, false, 0, 301, "PermanentRedirect", DS3_RETRY_REGION},
        {DS3_RETRY_PUT, false, 0, 400, "RequestTimeout", DS3_RETRY_AGAIN}, {DS3_RETRY_PUT, false, 0, 501, "NotImplemented", DS3_RETRY_FAIL},
        {DS3_RETRY_GET, false, DREAMDB_S3_TLS, 0, "", DS3_RETRY_FAIL}, {DS3_RETRY_GET, false, DREAMDB_S3_TOO_LARGE, 0, "", DS3_RETRY_FAIL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int got = (int)ds3_retry_decide(rows[i].verb, rows[i].if_tag, rows[i].result, rows[i].status, rows[i].code);
        if (got != (int)rows[i].action) { test_ok = 0; printf("%s: row %zu gives %d, not %d\n", test_name, i, got, (int)rows[i].action); }
    }
    uint32_t most = 0;
    for (uint64_t r = 0; r < 4000; r++) { uint32_t d = ds3_retry_delay_ms(50, 5000, 4, 0, r * 7919); most = d > most ? d : most; CHECK(d <= 400); }
    CHECK(most > 300);
    CHECK_EQ_U64(ds3_retry_delay_ms(50, 5000, 40, 0, 5000), 5000);
    CHECK_EQ_U64(ds3_retry_delay_ms(50, 5000, 1, 7, 3), 7000);
    CHECK_EQ_U64(ds3_retry_delay_ms(50, 5000, 1, 7000, 3), 20000);
}

/* Every answer a server is known to give, for every kind of request: a row an answer, a column a kind. */
static void retry_table_whole(void)
{
    enum { G = DS3_RETRY_GOOD, N = DS3_RETRY_NOT_FOUND, E = DS3_RETRY_EXISTS, C = DS3_RETRY_CONFLICT, Z = DS3_RETRY_EMPTY, A = DS3_RETRY_AGAIN,
           S = DS3_RETRY_SLOWER, R = DS3_RETRY_RESOLVE, F = DS3_RETRY_FAIL, K = DS3_RETRY_CLOCK, T = DS3_RETRY_TOKEN, W = DS3_RETRY_REGION };
    static const ds3_retry_verb verbs[8] = {DS3_RETRY_GET, DS3_RETRY_HEAD, DS3_RETRY_LIST, DS3_RETRY_PUT, DS3_RETRY_SWAP, DS3_RETRY_SWAP, DS3_RETRY_REMOVE, DS3_RETRY_POST};
    static const struct { int result, status; const char *code; int wanted[8]; } rows[] = {      /* the first SWAP if absent, the second by tag */
        {0, 200, "", {G, G, G, G, G, G, G, G}}, {0, 204, "", {G, G, G, G, G, G, G, G}}, {0, 206, "", {G, G, G, G, G, G, G, G}},
        {0, 500, "InternalError", {A, A, A, A, R, R, A, A}}, {0, 502, "", {A, A, A, A, R, R, A, A}}, {0, 504, "", {A, A, A, A, R, R, A, A}},
        {0, 503, "SlowDown", {S, S, S, S, R, R, S, S}}, {0, 503, "ServiceUnavailable", {S, S, S, S, R, R, S, S}}, {0, 503, "", {S, S, S, S, R, R, S, S}},
        {0, 429, "TooManyRequests", {S, S, S, S, S, S, S, S}}, {0, 429, "", {S, S, S, S, S, S, S, S}},
        {0, 400, "RequestTimeout", {A, A, A, A, A, A, A, A}}, {0, 408, "", {A, A, A, A, A, A, A, A}}, {0, 408, "RequestTimeout", {A, A, A, A, A, A, A, A}},
        {0, 409, "ConditionalRequestConflict", {A, A, A, A, R, R, A, A}}, {0, 409, "OperationAborted", {A, A, A, A, R, R, A, A}},
        {0, 409, "BlobAlreadyExists", {F, F, F, E, E, F, F, F}}, {0, 409, "ObjectParentIsFile", {F, F, F, F, F, F, F, F}},
        {0, 412, "PreconditionFailed", {F, F, F, E, E, C, F, E}}, {0, 412, "", {F, F, F, E, E, C, F, E}},
        {0, 404, "NoSuchKey", {N, N, F, F, F, C, G, F}}, {0, 404, "", {N, N, F, F, F, C, G, F}},
        {0, 404, "NoSuchBucket", {F, F, F, F, F, F, F, F}}, {0, 404, "NoSuchUpload", {F, F, F, F, F, F, F, F}},
        {0, 416, "InvalidRange", {Z, F, F, F, F, F, F, F}},
        {0, 403, "RequestTimeTooSkewed", {K, K, K, K, K, K, K, K}}, {0, 400, "ExpiredToken", {T, T, T, T, T, T, T, T}}, {0, 403, "ExpiredToken", {T, T, T, T, T, T, T, T}},
        {0, 400, "ExpiredTokenException", {T, T, T, T, T, T, T, T}}, {0, 400, "TokenRefreshRequired", {T, T, T, T, T, T, T, T}},
        {0, 400, "AuthorizationHeaderMalformed", {W, W, W, W, W, W, W, W}}, {0, 301, "PermanentRedirect", {W, W, W, W, W, W, W, W}}, {0, 301, "", {W, W, W, W, W, W, W, W}},
        {0, 400, "", {F, F, F, F, F, F, F, F}}, {0, 400, "BadDigest", {F, F, F, F, F, F, F, F}}, {0, 401, "", {F, F, F, F, F, F, F, F}},
        {0, 403, "AccessDenied", {F, F, F, F, F, F, F, F}}, {0, 403, "SignatureDoesNotMatch", {F, F, F, F, F, F, F, F}}, {0, 403, "", {F, F, F, F, F, F, F, F}},
        {0, 405, "MethodNotAllowed", {F, F, F, F, F, F, F, F}}, {0, 411, "MissingContentLength", {F, F, F, F, F, F, F, F}}, {0, 501, "NotImplemented", {F, F, F, F, F, F, F, F}},
        {0, 304, "", {F, F, F, F, F, F, F, F}}, {0, 307, "TemporaryRedirect", {F, F, F, F, F, F, F, F}}, {0, 100, "", {F, F, F, F, F, F, F, F}},
        {DREAMDB_S3_NO_CONNECTION, 0, "", {A, A, A, A, A, A, A, A}}, {DREAMDB_S3_BROKEN, 0, "", {A, A, A, A, R, R, A, A}},
        {DREAMDB_S3_STALE, 0, "", {A, A, A, A, R, R, A, A}}, {DREAMDB_S3_TIMEOUT, 0, "", {A, A, A, A, R, R, A, A}},
        {DREAMDB_S3_MALFORMED, 0, "", {F, F, F, F, R, R, F, F}}, {DREAMDB_S3_TLS, 0, "", {F, F, F, F, F, F, F, F}},
        {DREAMDB_S3_TOO_LARGE, 0, "", {F, F, F, F, F, F, F, F}}, {DREAMDB_S3_MEMORY, 0, "", {F, F, F, F, F, F, F, F}}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t v = 0; v < 8; v++) {
            int got = (int)ds3_retry_decide(verbs[v], v == 5, rows[i].result, rows[i].status, rows[i].code);
            if (got != rows[i].wanted[v]) {
                test_ok = 0;
                printf("%s: %d %d %s, column %zu gives %d, not %d\n", test_name, rows[i].result, rows[i].status, rows[i].code, v, got, rows[i].wanted[v]);
            }
        }
    }
}

/* ---- The engine over a server in memory ---- */

static dreamdb_store s3;
static dreamdb_s3_options s3_options;
static void s3_open(void)
{
    fake_reset();
    memset(&s3_options, 0, sizeof s3_options);
    s3_options.allocator = counting();
    s3 = fake_s3_store(&s3_options, &data_error);
    if (!s3.user) { printf("%s\n", data_error.message); exit(1); }
}

static void s3_close(void) { dreamdb_store_close(&s3); fake_reset(); CHECK_EQ_U64(test_live_bytes(), 0); CHECK(!test_size_wrong); }
static int put(const char *path, const char *text, dreamdb_condition_kind kind, const char *tag)
{
    dreamdb_condition condition;
    condition.kind = kind; condition.tag = tag;
    return s3.put(s3.user, path, text, strlen(text), &condition);
}

static int get(const char *path, uint64_t offset, uint64_t size, char *out, char *tag)
{
    dreamdb_blob blob;
    int status = s3.get(s3.user, path, offset, size, &blob);
    out[0] = 0;
    if (status == DREAMDB_OK) {
        if (blob.size) { memcpy(out, blob.data, (size_t)blob.size); }
        out[blob.size] = 0;
        if (tag) { memcpy(tag, blob.tag, sizeof blob.tag); }
        if (blob.release) { blob.release(blob.release_user, blob.data, blob.size); }
    }
    return status;
}

static void contract(void)
{
    char out[64], tag[DREAMDB_TAG_SIZE], reason[300];
    dreamdb_stat stat;
    s3_open();
    CHECK_EQ_U64(put("refs/a=b@c", "one", DREAMDB_PUT_IF_ABSENT, NULL), DREAMDB_OK);
    CHECK(put("refs/a=b@c", "two", DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_EXISTS);
    CHECK(get("refs/a=b@c", 0, 0, out, tag) == DREAMDB_OK); CHECK_STR(out, "one");
    CHECK(get("refs/a=b@c", 1, 1, out, NULL) == DREAMDB_OK); CHECK_STR(out, "n");
    CHECK(get("refs/a=b@c", 1, 100, out, NULL) == DREAMDB_OK); CHECK_STR(out, "ne");
    CHECK(get("refs/a=b@c", 2, 0, out, NULL) == DREAMDB_OK); CHECK_STR(out, "e");
    CHECK(get("refs/a=b@c", 3, 5, out, NULL) == DREAMDB_OK); CHECK_STR(out, "");
    CHECK(get("refs/none", 0, 0, out, NULL) == DREAMDB_ERR_NOT_FOUND);
    CHECK(put("refs/a=b@c", "two", DREAMDB_PUT_IF_TAG, tag) == DREAMDB_OK);
    CHECK(put("refs/a=b@c", "three", DREAMDB_PUT_IF_TAG, tag) == DREAMDB_ERR_CONFLICT);
    CHECK(put("refs/none", "x", DREAMDB_PUT_IF_TAG, tag) == DREAMDB_ERR_CONFLICT);
    CHECK(put("x//y", "x", DREAMDB_PUT_ALWAYS, NULL) == DREAMDB_ERR_ARGUMENT && put("../y", "x", DREAMDB_PUT_ALWAYS, NULL) == DREAMDB_ERR_ARGUMENT);
    CHECK(put("empty", "", DREAMDB_PUT_ALWAYS, NULL) == DREAMDB_OK && get("empty", 0, 0, out, NULL) == DREAMDB_OK && !out[0]);
    CHECK(get("empty", 0, 10, out, NULL) == DREAMDB_OK && !out[0]);
    CHECK(s3.stat(s3.user, "refs/a=b@c", &stat) == DREAMDB_OK && stat.size == 3 && stat.modified_ns == UINT64_C(1369353600) * 1000000000u);
    CHECK(s3.stat(s3.user, "nothing", &stat) == DREAMDB_ERR_NOT_FOUND);
    CHECK(s3.remove(s3.user, "empty") == DREAMDB_OK && s3.remove(s3.user, "empty") == DREAMDB_OK);
    fake.fault = FAKE_DENY; fake.fault_at = fake.requests + 1; fake.fault_count = 1;
    CHECK(get("refs/a=b@c", 0, 0, out, NULL) == DREAMDB_ERR_STORE);
    s3.reason(s3.user, reason, sizeof reason);
    CHECK(strstr(reason, "403 AccessDenied") && strstr(reason, "REQ7") && strstr(reason, "fake") && strstr(reason, "'b'") && !strstr(reason, "SECRET"));
    CHECK(!fake.unsigned_seen && dreamdb_s3_probe(&s3, &data_error) == DREAMDB_OK);
    fake.no_conditions = true;
    CHECK(dreamdb_s3_probe(&s3, &data_error) == DREAMDB_ERR_UNSUPPORTED);
    fake.fault = FAKE_NONE;
    s3_close();
}

/* A put whose answer is lost, in every way, for each condition, with and without another writer in between. */
static void lost_answers(void)
{
    static const fake_fault faults[] = {FAKE_DROP, FAKE_LOSE, FAKE_LATE, FAKE_500, FAKE_SLOW, FAKE_429, FAKE_REFUSE, FAKE_STALE, FAKE_STALE_DONE, FAKE_BUSY, FAKE_CONFLICT,
                                        FAKE_502, FAKE_503, FAKE_504, FAKE_408, FAKE_TIMEOUT, FAKE_500_DONE, FAKE_504_DONE, FAKE_GARBLE};
    char out[64], tag[DREAMDB_TAG_SIZE];
    s3_open();
    for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++) {
        for (uint64_t times = 1; times <= 3; times++) {
            CHECK(put("refs/r", "old", DREAMDB_PUT_ALWAYS, NULL) == DREAMDB_OK && get("refs/r", 0, 0, out, tag) == DREAMDB_OK);
            fake.moved = 0;
            fake.fault = faults[f]; fake.fault_at = fake.requests + 1; fake.fault_count = times;
            int status = put("refs/r", "new", DREAMDB_PUT_IF_TAG, tag);
            fake.fault = FAKE_NONE;
            CHECK(get("refs/r", 0, 0, out, NULL) == DREAMDB_OK);
            bool garbled = faults[f] == FAKE_GARBLE && times > 1;                   /* its read is garbled too: the end is not known, and told */
            if (garbled) { CHECK(status == DREAMDB_ERR_STORE); }
            else { CHECK(status == DREAMDB_OK && fake.moved == 1); CHECK_STR(out, "new"); }
            if (faults[f] == FAKE_GARBLE) { continue; }
            fake.fault = faults[f]; fake.fault_at = fake.requests + 1; fake.fault_count = times;
            CHECK(put("refs/r", "late", DREAMDB_PUT_IF_TAG, tag) == DREAMDB_ERR_CONFLICT);      /* a stale tag stays a conflict */
            fake.fault_at = fake.requests + 1;
            CHECK(put("refs/r", "late", DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_EXISTS);
            (void)s3.remove(s3.user, "refs/made");
            fake.fault_at = fake.requests + 1;
            CHECK(put("refs/made", "made", DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK);
            (void)s3.remove(s3.user, "d0/object");
            fake.fault_at = fake.requests + 1;
            status = put("d0/object", "bytes", DREAMDB_PUT_IF_ABSENT, NULL);        /* named by its bytes: being there is as good */
            CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_EXISTS);
            fake.fault = FAKE_NONE;
            CHECK(get("d0/object", 0, 0, out, NULL) == DREAMDB_OK); CHECK_STR(out, "bytes");
        }
    }
    s3_close();
}

static int any(void *user, const char *path, const dreamdb_stat *stat) { (void)path; (void)stat; (*(int *)user)++; return 0; }
/* Reads, stats, listings and removals get through each passing fault. */
static void reads_go_on(void)
{
    static const fake_fault faults[] = {FAKE_DROP, FAKE_LOSE, FAKE_LATE, FAKE_500, FAKE_SLOW, FAKE_429, FAKE_REFUSE, FAKE_STALE, FAKE_STALE_DONE, FAKE_BUSY, FAKE_CONFLICT,
                                        FAKE_502, FAKE_503, FAKE_504, FAKE_408, FAKE_TIMEOUT, FAKE_500_DONE, FAKE_504_DONE};
    char out[64];
    dreamdb_stat stat;
    s3_open();
    CHECK(put("d0/object", "bytes", DREAMDB_PUT_ALWAYS, NULL) == DREAMDB_OK);
    for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++) {
        for (uint64_t times = 1; times <= 3; times++) {
            int count = 0;
            fake.fault = faults[f]; fake.fault_at = fake.requests + 1; fake.fault_count = times;
            CHECK(get("d0/object", 1, 2, out, NULL) == DREAMDB_OK); CHECK_STR(out, "yt");
            fake.fault_at = fake.requests + 1;
            CHECK(get("d0/none", 0, 0, out, NULL) == DREAMDB_ERR_NOT_FOUND);
            fake.fault_at = fake.requests + 1;
            bool told = faults[f] == FAKE_BUSY || faults[f] == FAKE_CONFLICT || faults[f] == FAKE_TIMEOUT;     /* by the body, which a HEAD has not */
            CHECK(told ? s3.stat(s3.user, "d0/object", &stat) == DREAMDB_ERR_STORE : s3.stat(s3.user, "d0/object", &stat) == DREAMDB_OK && stat.size == 5);
            fake.fault_at = fake.requests + 1;
            CHECK(s3.list(s3.user, "d0/", any, &count) == DREAMDB_OK && count == 1);
            CHECK(put("d0/gone", "x", DREAMDB_PUT_ALWAYS, NULL) == DREAMDB_OK);
            fake.fault_at = fake.requests + 1;
            CHECK(s3.remove(s3.user, "d0/gone") == DREAMDB_OK && !fake_find("b/pre fix/d0/gone"));
            fake.fault = FAKE_NONE;
        }
    }
    s3_close();
}

/* While the answer to our swap is lost, another writer moves the ref, or removes it: told as a conflict, whether ours had landed or not. */
static void lost_to_another(void)
{
    static const fake_fault faults[] = {FAKE_DROP, FAKE_LOSE, FAKE_LATE, FAKE_500, FAKE_500_DONE, FAKE_503, FAKE_504_DONE, FAKE_CONFLICT, FAKE_BUSY};
    for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++) {
        for (int gone = 0; gone < 2; gone++) {
            char out[64], tag[DREAMDB_TAG_SIZE];
            s3_open();
            CHECK(put("refs/r", "old", DREAMDB_PUT_ALWAYS, NULL) == DREAMDB_OK && get("refs/r", 0, 0, out, tag) == DREAMDB_OK);
            fake.fault = faults[f]; fake.fault_at = fake.requests + 1; fake.fault_count = 1;
            fake.meanwhile_at = fake.requests + 2; fake.meanwhile = gone ? "" : "theirs";
            CHECK(put("refs/r", "ours", DREAMDB_PUT_IF_TAG, tag) == DREAMDB_ERR_CONFLICT);
            fake.fault = FAKE_NONE;
            CHECK(get("refs/r", 0, 0, out, NULL) == (gone ? (int)DREAMDB_ERR_NOT_FOUND : (int)DREAMDB_OK)); CHECK_STR(out, gone ? "" : "theirs");
            s3_close();
        }
    }
}

/* What the server asks for in Retry-After is waited for. */
static void retry_after(void)
{
    char out[64];
    s3_open();
    CHECK(put("k", "v", DREAMDB_PUT_ALWAYS, NULL) == DREAMDB_OK);
    fake.fault = FAKE_WAIT; fake.fault_at = fake.requests + 1; fake.fault_count = 1;
    uint64_t start = ds3_port_ns();
    CHECK(get("k", 0, 0, out, NULL) == DREAMDB_OK && ds3_port_ns() - start >= UINT64_C(1000000000));
    CHECK_STR(out, "v");
    s3_close();
}

static int credentials_calls, credentials_again;
static int credentials(void *user, int again, dreamdb_s3_credentials *out)
{
    (void)user;
    credentials_calls++;
    credentials_again += again;
    (void)snprintf(out->access_key, sizeof out->access_key, "AK%d", credentials_calls);
    (void)snprintf(out->secret_key, sizeof out->secret_key, "S");
    (void)snprintf(out->session_token, sizeof out->session_token, "T%d", credentials_calls);
    return credentials_calls > 3;
}

static void mended(void)
{
    static const fake_fault faults[] = {FAKE_CLOCK, FAKE_EXPIRED, FAKE_REGION};
    char out[64];
    for (size_t f = 0; f < 3; f++) {
        s3_open();
        dreamdb_store_close(&s3);
        credentials_calls = credentials_again = 0;
        s3_options.credentials = credentials;
        s3 = fake_s3_store(&s3_options, &data_error);
        fake_store("b/pre fix/k", "v", 1);
        fake.fault = faults[f]; fake.fault_at = 1; fake.fault_count = 1;
        CHECK(get("k", 0, 0, out, NULL) == DREAMDB_OK); CHECK_STR(out, "v");
        CHECK_EQ_U64(fake.requests, 2);
        CHECK_EQ_U64(credentials_again, faults[f] == FAKE_EXPIRED);
        fake.fault_at = 3; fake.fault_count = 100;                                  /* once only: then it is an error */
        CHECK(get("k", 0, 0, out, NULL) == DREAMDB_ERR_STORE);
        CHECK_EQ_U64(fake.requests, 4);
        if (faults[f] == FAKE_REGION) { CHECK_STR(((ds3_core_state *)s3.user)->region, "mars-1"); }
        if (faults[f] == FAKE_CLOCK) { CHECK(((ds3_core_state *)s3.user)->skew_s < -100000); }
        s3_close();
    }
}

static void tries_end(void)
{
    char out[64], reason[300];
    dreamdb_s3_stats stats;
    s3_open();
    fake.fault = FAKE_500; fake.fault_at = 1; fake.fault_count = 1000;
    CHECK(get("k", 0, 0, out, NULL) == DREAMDB_ERR_STORE);
    CHECK_EQ_U64(fake.requests, 8);
    s3.reason(s3.user, reason, sizeof reason);
    CHECK(strstr(reason, "500 InternalError") && strstr(reason, "in vain"));
    CHECK(put("refs/r", "x", DREAMDB_PUT_IF_TAG, "\"v1\"") == DREAMDB_ERR_STORE);
    s3.reason(s3.user, reason, sizeof reason);
    CHECK(strstr(reason, "not known"));
    CHECK(dreamdb_s3_stats_of(&s3, &stats) == DREAMDB_OK && stats.status_5xx == fake.requests && stats.retries_internal == 14 && stats.waves == 2);
    CHECK(dreamdb_s3_stats_of(&data_store, &stats) == DREAMDB_ERR_ARGUMENT);
    s3_close();
}

typedef struct listed { size_t count; uint64_t bytes; char last[128]; size_t stop; } listed;
static int note(void *user, const char *path, const dreamdb_stat *stat)
{
    listed *l = (listed *)user;
    l->count++;
    l->bytes += stat->size;
    CHECK(stat->tag[0] == '"' && stat->modified_ns > 0);
    (void)snprintf(l->last, sizeof l->last, "%s", path);
    return l->stop && l->count == l->stop ? 7 : 0;
}

static void lists_and_deletes(void)
{
    static dreamdb_io ops[2600];
    static char names[2600][40];
    for (int mode = 0; mode < 3; mode++) {
        listed l;
        s3_open();
        fake.page = mode == 0 ? 1000 : 7;
        for (size_t i = 0; i < 2600; i++) {
            (void)snprintf(names[i], sizeof names[i], i == 77 && mode == 1 ? "d/locked" : "d/k%zu&x", i);
            char key[80];
            (void)snprintf(key, sizeof key, "b/pre fix/%s", names[i]);
            if (strchr(key, '&')) { *strchr(key, '&') = '='; *strchr(names[i], '&') = '='; }
            fake_store(key, "12", 2);
        }
        fake_store("b/pre fix/e", "x", 1); fake_store("b/pre fix2/d/k", "x", 1); fake_store("b/pre fix/d/", "folder", 6);
        memset(&l, 0, sizeof l);
        CHECK(s3.list(s3.user, "d/", note, &l) == DREAMDB_OK);
        CHECK(l.count == 2600 && l.bytes == 5200);
        memset(&l, 0, sizeof l); l.stop = 12;
        CHECK(s3.list(s3.user, "d/", note, &l) == 7);
        CHECK_EQ_U64(l.count, 12);
        fake.no_many = mode == 2;
        memset(ops, 0, sizeof ops);
        for (size_t i = 0; i < 2600; i++) { ops[i].kind = DREAMDB_IO_REMOVE; ops[i].path = names[i]; }
        uint64_t before = fake.requests;
        CHECK(s3.batch(s3.user, ops, 2600) == DREAMDB_OK);
        for (size_t i = 0; i < 2600; i++) { CHECK(ops[i].status == (i == 77 && mode == 1 ? (int)DREAMDB_ERR_STORE : (int)DREAMDB_OK)); }
        CHECK_EQ_U64(fake.requests - before, mode == 2 ? 2603 : 3);
        CHECK_EQ_U64(fake.count, mode == 1 ? 4 : 3);
        CHECK(mode != 2 || fake.most_flying == 64);
        fake.loop = true; fake.page = 1;
        fake_store("b/pre fix/f", "x", 1); fake_store("b/pre fix/g", "x", 1);
        memset(&l, 0, sizeof l);
        CHECK(s3.list(s3.user, "", note, &l) == DREAMDB_ERR_STORE);                 /* a server that gives the same page for ever */
        s3_close();
    }
}

static void parts(void)
{
    static char big[1000], out[1100];
    for (int mode = 0; mode < 3; mode++) {
        s3_open();
        dreamdb_store_close(&s3);
        s3_options.part_bytes = 100;
        s3 = fake_s3_store(&s3_options, &data_error);
        for (size_t i = 0; i < sizeof big - 1; i++) { big[i] = (char)('a' + i % 26); }
        if (mode == 1) { fake.fault = FAKE_500; fake.fault_at = 4; fake.fault_count = 2; }
        if (mode == 2) { fake.fault = FAKE_DENY; fake.fault_at = 5; fake.fault_count = 1; }
        int status = put("d9/big", big, DREAMDB_PUT_IF_ABSENT, NULL);
        fake.fault = FAKE_NONE;
        if (mode == 2) {                       /* it fails, and its parts are given back */
            CHECK(status == DREAMDB_ERR_STORE);
            CHECK_EQ_U64(fake.count, 0);
        } else {
            CHECK(status == DREAMDB_OK && get("d9/big", 0, 0, out, NULL) == DREAMDB_OK);
            CHECK_STR(out, big);
            CHECK(put("d9/big", big, DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_EXISTS);
            CHECK_EQ_U64(fake.count, 1);
        }
        s3_close();
    }
}

static void no_keys_no_signature(void)
{
    char out[8];
    s3_open();
    dreamdb_store_close(&s3);
    memset(&s3_options, 0, sizeof s3_options);
    s3_options.url = "http://fake:81/b"; s3_options.transport = &fake_transport; s3_options.no_environment = 1; s3_options.allocator = counting();
    CHECK(dreamdb_store_s3(&s3_options, &s3, &data_error) == DREAMDB_OK);
    CHECK(put("x", "y", DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_OK && get("x", 0, 0, out, NULL) == DREAMDB_OK && fake.unsigned_seen);
    dreamdb_store_close(&s3);
    s3_options.read_only = 1;
    CHECK(dreamdb_store_s3(&s3_options, &s3, &data_error) == DREAMDB_OK && (s3.flags & (uint32_t)DREAMDB_STORE_READ_ONLY));
    CHECK(put("z", "y", DREAMDB_PUT_IF_ABSENT, NULL) == DREAMDB_ERR_STORE && get("x", 0, 0, out, NULL) == DREAMDB_OK);
    dreamdb_store_close(&s3);
    s3_options.url = "https://fake/b"; s3_options.transport = NULL;
    CHECK(dreamdb_store_s3(&s3_options, &s3, &data_error) == DREAMDB_ERR_UNSUPPORTED && strstr(data_error.message, "-lcurl"));
    s3_options.url = "s3://";
    CHECK(dreamdb_store_s3(&s3_options, &s3, &data_error) == DREAMDB_ERR_ARGUMENT);
    s3_options.url = NULL;
    CHECK(dreamdb_store_s3(&s3_options, &s3, &data_error) == DREAMDB_ERR_ARGUMENT);
    s3_close();
}

static void without_memory(void)
{
    static char text[3000];
    bool good = false;
    memset(text, 'x', sizeof text - 1);
    for (long n = 1; n < 500 && !good; n++) {
        char out[3100];
        fake_reset();
        memset(&s3_options, 0, sizeof s3_options);
        s3_options.allocator = counting();
        s3_options.part_bytes = 1000;
        test_fail_alloc_at(n);
        s3 = fake_s3_store(&s3_options, &data_error);
        good = s3.user != NULL;
        if (s3.user) {
            listed l;
            memset(&l, 0, sizeof l);
            int a = put("refs/x", "y", DREAMDB_PUT_IF_ABSENT, NULL), b = put("d0/big", text, DREAMDB_PUT_IF_ABSENT, NULL);
            int c = get("d0/big", 0, 0, out, NULL), d = s3.list(s3.user, "", note, &l);
            dreamdb_io ops[2];
            memset(ops, 0, sizeof ops);
            ops[0].kind = ops[1].kind = DREAMDB_IO_REMOVE; ops[0].path = "refs/x"; ops[1].path = "d0/big";
            int e = s3.batch(s3.user, ops, 2);
            CHECK(c != DREAMDB_OK || strcmp(out, text) == 0);
            good = a == DREAMDB_OK && b == DREAMDB_OK && c == DREAMDB_OK && d == DREAMDB_OK && e == DREAMDB_OK && !ops[0].status && !ops[1].status;
        }
        if (s3.user) { dreamdb_store_close(&s3); }
        test_fail_alloc_at(0);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
    CHECK(good);
    fake_reset();
}

/* A dataset's life; false if a step failed.  What it found must be the truth. */
static bool life(void)
{
    dreamdb_config config = data_config(&s3);
    dreamdb *db = NULL;
    uint64_t n = 0;
    dreamdb_snapshot *view = NULL;
    bool good = data_create(&config, DREAMDB_INDEX_LSH, 2, &db) == DREAMDB_OK;
    good = good && data_append(db, 0, 12, NULL) == DREAMDB_OK && data_append(db, 12, 8, NULL) == DREAMDB_OK;
    dreamdb_close(db);
    db = NULL;
    good = good && dreamdb_open(&config, "main", &db, &data_error) == DREAMDB_OK && dreamdb_snapshot_open(db, NULL, &view, &data_error) == DREAMDB_OK;
    good = good && dreamdb_count(view, NULL, NULL, 0, 0, &n, &data_error) == DREAMDB_OK;
    CHECK(!good || n == 20);
    if (good) {
        dreamdb_query query;
        dreamdb_result *found = NULL;
        memset(&query, 0, sizeof query);
        query.field = "e"; query.vectors = data_rows[3].v; query.top_k = 1; query.exact = 1;
        good = dreamdb_search(view, &query, &found, &data_error) == DREAMDB_OK;
        CHECK(!good || (found->count == 1 && found->hits[0].score > 0.999f));
        dreamdb_result_free(found);
    }
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    return good;
}

static void every_fault_everywhere(void)
{
    static const fake_fault mend[] = {FAKE_DROP, FAKE_LOSE, FAKE_LATE, FAKE_500, FAKE_SLOW, FAKE_429, FAKE_REFUSE, FAKE_STALE, FAKE_STALE_DONE, FAKE_BUSY};
    static const fake_fault lies[] = {FAKE_FLIP, FAKE_CUT, FAKE_DENY, FAKE_GARBLE};
    data_dim = 4;
    data_fill(20, 0);
    s3_open();
    CHECK(life());
    uint64_t total = fake.requests, moved = fake.moved;
    size_t objects = fake.count;
    s3_close();
    CHECK(total > 20 && moved == 3);
    for (size_t f = 0; f < sizeof mend / sizeof mend[0] + sizeof lies / sizeof lies[0]; f++) {
        bool lie = f >= sizeof mend / sizeof mend[0];
        for (uint64_t at = 1; at <= total; at++) {
            s3_open();
            fake.fault = lie ? lies[f - sizeof mend / sizeof mend[0]] : mend[f];
            fake.fault_at = at; fake.fault_count = 1 + at % 3;
            bool good = life();
            if (!lie && !good) { test_ok = 0; printf("%s: fault %d at %llu: %s\n", test_name, (int)fake.fault, (unsigned long long)at, data_error.message); }
            if (good && !lie) { CHECK(fake.moved == moved && fake.count == objects); }
            CHECK_EQ_U64(fake.doubled, 0);
            s3_close();
        }
    }
}

int main(void)
{
    RUN(sha_vectors);
    RUN(sigv4_examples);
    RUN(urls);
    RUN(dates);
    RUN(xml_events);
    RUN(http_answers);
    RUN(http_bounds);
    RUN(retry_table);
    RUN(retry_table_whole);
    RUN(contract);
    RUN(lost_answers);
    RUN(lost_to_another);
    RUN(reads_go_on);
    RUN(retry_after);
    RUN(mended);
    RUN(tries_end);
    RUN(lists_and_deletes);
    RUN(parts);
    RUN(no_keys_no_signature);
    RUN(without_memory);
    RUN(every_fault_everywhere);
    data_unused();
    return test_end("s3");
}
