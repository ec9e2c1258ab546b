/* dreamdb_s3.h - object storage for dreamdb.h: S3 and plain HTTP servers as a dreamdb_store, in one C header.
   MIT licence, as dreamdb.h.  Uses the public half of dreamdb.h only.  C99 to C23, C++11 to C++20; POSIX sockets.

   HOW TO USE
     In ONE source file, before any other include:
         #define DREAMDB_S3_IMPLEMENTATION
         #include "dreamdb_s3.h"
     Elsewhere include it without the define.  dreamdb.h stands beside it; its implementation may be in the same file or another.
         dreamdb_store store; dreamdb_error error;
         dreamdb_s3_options options = { "s3://bucket/prefix" };       keys and region from the AWS_ environment
         dreamdb_store_s3(&options, &store, &error);
         dreamdb_config config = { &store };                          and on as with a directory

   WHAT IT DOES
     Every batch of the library goes out at once over kept connections (64 by default) of one thread: no thread a connection.
     Requests are signed with SigV4, payloads hashed.  Objects are put with If-None-Match, refs move by If-Match; an answer that was
     lost is resolved by reading the ref.  Failures of servers and networks are tried again with full jitter.
     Counts of requests, bytes and waves: dreamdb_s3_stats_of.

   CONFIGURATION (each before the include in the implementation file; none changes a public type)
     DREAMDB_S3_IMPLEMENTATION  compile the code here
     DREAMDB_S3_CURL            https by libcurl's multi interface: link with -lcurl.  Without it https needs options.transport
     DREAMDB_S3_NO_SOCKETS      no built-in sockets: DREAMDB_S3_CURL or options.transport carry the requests
     DREAMDB_NO_THREADS         no pthreads: the store is for one thread
     DREAMDB_NO_SIMD            no SHA instructions

   CONTENTS   (names only; tools/layers.py --toc dreamdb_s3.h prints the line numbers)
     ROOM 01 port       The compiler, threads, clocks, memory
     ROOM 02 text       A growing buffer, hex, base64, percent escapes, dates
     ROOM 03 sha        SHA-256 and HMAC
     ROOM 04 url        Where a bucket is: endpoint, bucket, prefix, style
     ROOM 05 sign       Signature version 4 of S3
     ROOM 06 xml        The few answers of S3 that are XML
     ROOM 07 http       Answers of HTTP/1.1
     ROOM 08 tcp        The built-in transport
     ROOM 09 curl       The transport by libcurl
     ROOM 10 retry      What an answer means, and how long to wait
     ROOM 11 core       The store's state, and the engine that carries many requests at once
     ROOM 12 verbs      The callbacks of dreamdb_store
     ROOM 13 api        The public functions
*/
#if defined(DREAMDB_S3_IMPLEMENTATION) && defined(__linux__) && !defined(_GNU_SOURCE)
  #define _GNU_SOURCE 1                       /* as dreamdb.h, which may be implemented in the same file */
#endif
#if defined(DREAMDB_S3_IMPLEMENTATION) && !defined(_POSIX_C_SOURCE)
  #define _POSIX_C_SOURCE 200809L
#endif
#ifndef DREAMDB_S3_H
#define DREAMDB_S3_H

#include "dreamdb.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Keys that a callback hands over; all NUL-terminated, session_token "" if there is none. */
typedef struct dreamdb_s3_credentials {
    char access_key[160], secret_key[160], session_token[4096];
} dreamdb_s3_credentials;

/* ---- The transport: how requests reach a server ---------------------------------------------------------------------- */

typedef enum dreamdb_s3_result {
    DREAMDB_S3_DONE = 0,                       /* a whole answer came; http_status says what it is */
    DREAMDB_S3_NO_CONNECTION,                  /* nothing of the request was sent */
    DREAMDB_S3_BROKEN,                         /* closed or reset before the answer was whole; the server may have acted */
    DREAMDB_S3_STALE,                          /* the same on a kept connection, before the first byte: the usual end of an idle one */
    DREAMDB_S3_TIMEOUT,                        /* no answer in time; the server may have acted */
    DREAMDB_S3_TLS,                            /* the certificate or the handshake was refused */
    DREAMDB_S3_MALFORMED,                      /* what came is not HTTP, or breaks its rules */
    DREAMDB_S3_TOO_LARGE,                      /* the answer is larger than asked for */
    DREAMDB_S3_MEMORY
} dreamdb_s3_result;

/* One request and its answer.  The first part is set before start and borrowed until the exchange is handed back. */
typedef struct dreamdb_s3_exchange {
    const char *url;                           /* absolute, escaped */
    const char *head; size_t head_size;        /* the request's head as HTTP/1.1 sends it: request line, header lines, empty line */
    const void *body; uint64_t body_size;
    int         is_head;                       /* 1: HEAD, so the answer has no body */
    uint32_t    limit_ms;                      /* the whole exchange may take so long */
    uint64_t    most;                          /* largest body to take */
    uint64_t    keep_offset, keep_size;        /* what to keep of an answer 200 to a ranged GET; size 0 = all */
    struct dreamdb_s3_exchange *next;          /* the transport's own, while it has the exchange */
    void       *slot;                          /* the same */
    dreamdb_allocator allocator;
    /* The answer: result and why by the transport, the rest by the three dreamdb_s3_take_ functions. */
    int      result;                           /* a dreamdb_s3_result */
    char     why[96];                          /* what the system said, if result is not DONE */
    int      http_status;
    int      enough;                           /* 1: all that is wanted has come: finish, and close the connection */
    char    *data; uint64_t size, cap, passed; /* the body kept so far; passed counts all that came */
    char     etag[DREAMDB_TAG_SIZE], request_id[72], region[40];
    uint64_t content_length, range_first;      /* UINT64_MAX = not told */
    uint64_t date_ns, modified_ns;             /* 0 = not told */
    uint32_t retry_after_s;
} dreamdb_s3_exchange;

/* A transport.  A session is used by one thread at a time and never has more exchanges at once than options.connections.
 * open    makes a session.
 * start   begins an exchange and returns at once (a simple transport may do it all here).
 * wait    hands back one exchange that is finished in *done, or NULL after timeout_ms.
 * close   ends a session; nothing is in flight then. */
typedef struct dreamdb_s3_transport {
    void *user;
    int  (*open) (void *user, void **session);
    void (*start)(void *session, dreamdb_s3_exchange *exchange);
    void (*wait) (void *session, uint32_t timeout_ms, dreamdb_s3_exchange **done);
    void (*close)(void *session);
} dreamdb_s3_transport;

/* For transports: the status line (forgets an earlier answer), one header, a piece of the body.
 * Returns 0 to go on, else a dreamdb_s3_result that ends the exchange (DONE with exchange->enough set: it has all it wants). */
DREAMDB_API void dreamdb_s3_take_status(dreamdb_s3_exchange *exchange, int http_status);
DREAMDB_API void dreamdb_s3_take_header(dreamdb_s3_exchange *exchange, const char *name, size_t name_size, const char *value,
                                        size_t value_size);
DREAMDB_API int  dreamdb_s3_take_body(dreamdb_s3_exchange *exchange, const void *data, size_t size);

/* ---- The store ------------------------------------------------------------------------------------------------------- */

/* url is required; the rest zero = default.  Texts are copied. */
typedef struct dreamdb_s3_options {
    const char *url;                           /* "s3://bucket/prefix", or "http://host:port/bucket/prefix" (the reference's form; a plain
                                                  server without keys does too), or the same with https */
    const char *endpoint;                      /* for s3://: "http://127.0.0.1:9000"; NULL = AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, then
                                                  https://s3.REGION.amazonaws.com */
    const char *region;                        /* NULL = AWS_REGION, AWS_DEFAULT_REGION, us-east-1 */
    const char *access_key, *secret_key, *session_token;      /* NULL = AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN */
    int (*credentials)(void *user, int again, dreamdb_s3_credentials *out);   /* instead of keys: called at the first request and, with
                                                  again 1, when the server says that they have expired; not 0 = there are none */
    void *credentials_user;
    int anonymous;                             /* 1: unsigned requests, whatever the environment has */
    int no_environment;                        /* 1: the AWS_ variables are not read */
    int virtual_host;                          /* 1: bucket.host/key, -1: host/bucket/key, 0: the first for AWS itself, else the second */
    int unsigned_payload;                      /* 1: bodies are not hashed for the signature (https checks them) */
    int read_only;
    const char *ca_file;                       /* https by libcurl: certificates to trust; NULL = AWS_CA_BUNDLE, then the system's */
    uint32_t connections;                      /* requests in flight of one call; 0 = 64 */
    uint32_t connect_ms, first_byte_ms, idle_ms;              /* 0 = 5,000, 30,000 and 15,000 */
    uint32_t tries, deadline_ms;               /* of one request: 0 = 8 tries, none begun later than 60,000 ms after the first */
    uint32_t backoff_ms, backoff_max_ms;       /* 0 = 50 and 5,000; five times as much after SlowDown */
    uint64_t part_bytes;                       /* larger puts go in parts of this size; 0 = 64 MiB, at least 5 MiB on AWS */
    uint64_t object_bytes;                     /* largest answer to a GET of unknown size; 0 = 2 GiB */
    const dreamdb_s3_transport *transport;     /* NULL = sockets for http, libcurl for https; copied */
    uint64_t (*now_ns)(void *user);            /* wall clock for signatures; NULL = the system's */
    void *now_user;
    dreamdb_allocator allocator;
} dreamdb_s3_options;

/* A store over a bucket, or part of one.  No request is made yet.
 *
 * out     filled in; close it with dreamdb_store_close after every handle that uses it.
 * Returns OK, ARGUMENT (the message says what of the url or options is wrong), MEMORY, UNSUPPORTED (https without a transport for it).
 * Owns    texts of options are copied, keys are wiped at close.
 * Threads the store is thread-safe (not with DREAMDB_NO_THREADS).  Each thread in a call has connections of its own.
 * Costs   nothing but memory.
 * Format  after a PUT that a batch carries, op->stat.tag is the new tag, if the server told it. */
DREAMDB_API dreamdb_status dreamdb_store_s3(const dreamdb_s3_options *options, dreamdb_store *out, dreamdb_error *error);

/* Counters since the store was opened; names as http_stats of the reference. */
typedef struct dreamdb_s3_stats {
    uint64_t attempts_started, attempts_completed, retries_internal;
    uint64_t status_2xx, status_3xx, status_4xx, status_5xx, status_412, transport_errors;
    uint64_t request_body_bytes, response_body_bytes, attempt_nanos_total;
    /* lists are gets too */
    uint64_t requests_get, requests_head, requests_put, requests_post, requests_delete, ranged_gets, requests_list;
    uint64_t waves;                            /* steps that waited for the one before: calls of batch, pages of a listing */
} dreamdb_s3_stats;

/* Returns OK, ARGUMENT (store is not one of dreamdb_store_s3). */
DREAMDB_API dreamdb_status dreamdb_s3_stats_of(const dreamdb_store *store, dreamdb_s3_stats *out);

/* Tries conditional puts on a scratch key under "_probe/" and removes it: a server that ignores If-None-Match or If-Match loses commits of
 * concurrent writers.
 * Returns OK, UNSUPPORTED (the server ignores conditions), ARGUMENT, STORE.  Costs 5 requests. */
DREAMDB_API dreamdb_status dreamdb_s3_probe(const dreamdb_store *store, dreamdb_error *error);

#ifdef __cplusplus
}
#endif
#endif /* DREAMDB_S3_H */

#if defined(DREAMDB_S3_IMPLEMENTATION) && !defined(DREAMDB_S3_IMPLEMENTED)
#define DREAMDB_S3_IMPLEMENTED

/* ==== ROOM 01 port | prefix ds3_port_ | uses ==== */
/* The compiler, threads, clocks, memory.  Must never know of HTTP. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if !defined(DREAMDB_NO_THREADS)
  #include <pthread.h>
#endif
#if defined(__GNUC__) || defined(__clang__)
  #define DS3_PORT_FN static __attribute__((unused))
#else
  #define DS3_PORT_FN static
#endif
#if defined(__x86_64__) && !defined(DREAMDB_NO_SIMD) && (defined(__GNUC__) || defined(__clang__))
  #define DS3_PORT_X86 1
  #include <cpuid.h>
  #include <immintrin.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if !defined(DREAMDB_NO_THREADS)
typedef pthread_mutex_t ds3_port_mutex;
DS3_PORT_FN bool ds3_port_mutex_init(ds3_port_mutex *m) { return pthread_mutex_init(m, NULL) == 0; }
DS3_PORT_FN void ds3_port_mutex_free(ds3_port_mutex *m) { (void)pthread_mutex_destroy(m); }
DS3_PORT_FN void ds3_port_lock(ds3_port_mutex *m) { (void)pthread_mutex_lock(m); }
DS3_PORT_FN void ds3_port_unlock(ds3_port_mutex *m) { (void)pthread_mutex_unlock(m); }
#else
typedef struct ds3_port_mutex { char none; } ds3_port_mutex;
DS3_PORT_FN bool ds3_port_mutex_init(ds3_port_mutex *m) { m->none = 0; return true; }
DS3_PORT_FN void ds3_port_mutex_free(ds3_port_mutex *m) { (void)m; }
DS3_PORT_FN void ds3_port_lock(ds3_port_mutex *m) { (void)m; }
DS3_PORT_FN void ds3_port_unlock(ds3_port_mutex *m) { (void)m; }
#endif

DS3_PORT_FN uint64_t ds3_port_clock(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

DS3_PORT_FN uint64_t ds3_port_wall_ns(void) { return ds3_port_clock(CLOCK_REALTIME); }
DS3_PORT_FN uint64_t ds3_port_ns(void) { return ds3_port_clock(CLOCK_MONOTONIC); }

DS3_PORT_FN void ds3_port_sleep_ms(uint32_t ms)
{
    struct timespec t;
    t.tv_sec = (time_t)(ms / 1000);
    t.tv_nsec = (long)(ms % 1000) * 1000000;
    (void)nanosleep(&t, NULL);
}

#if !defined(DREAMDB_NO_LIBC_ALLOC)
DS3_PORT_FN void *ds3_port_libc(void *user, void *old, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    if (new_size > 0) {
        return realloc(old, new_size);
    }
    free(old);
    return NULL;
}
#endif

/* size zeroed bytes, or NULL. */
DS3_PORT_FN void *ds3_port_new(const dreamdb_allocator *allocator, size_t size)
{
    void *out = allocator->resize(allocator->user, NULL, 0, size);
    if (out) {
        memset(out, 0, size);
    }
    return out;
}

DS3_PORT_FN void ds3_port_drop(const dreamdb_allocator *allocator, void *data, size_t size)
{
    if (data) {
        (void)allocator->resize(allocator->user, data, size, 0);
    }
}

/* Clears what was secret; the compiler may not leave it out. */
DS3_PORT_FN void ds3_port_wipe(void *data, size_t size)
{
    volatile unsigned char *at = (volatile unsigned char *)data;
    while (size-- > 0) {
        *at++ = 0;
    }
}

/* ==== ROOM 02 text | prefix ds3_text_ | uses port ==== */
/* A growing buffer with a sticky failure, hex, base64, percent escapes, dates.  Must never allocate but through the buffer's allocator. */

typedef struct ds3_text_buf {
    dreamdb_allocator allocator;
    char  *data;                               /* NUL-terminated once something was added */
    size_t size, cap;
    bool   failed;
} ds3_text_buf;

DS3_PORT_FN void ds3_text_init(ds3_text_buf *text, const dreamdb_allocator *allocator)
{
    memset(text, 0, sizeof *text);
    text->allocator = *allocator;
}

DS3_PORT_FN void ds3_text_free(ds3_text_buf *text)
{
    ds3_port_drop(&text->allocator, text->data, text->cap);
    text->data = NULL;
    text->size = text->cap = 0;
    text->failed = false;
}

DS3_PORT_FN void ds3_text_add(ds3_text_buf *text, const void *data, size_t size)
{
    if (!text->failed && text->cap - text->size <= size) {
        size_t cap = text->cap < 256 ? 256 : text->cap;
        while (cap - text->size <= size && cap <= SIZE_MAX / 4) {
            cap *= 2;
        }
        char *grown = cap - text->size > size ? (char *)text->allocator.resize(text->allocator.user, text->data, text->cap, cap) : NULL;
        text->failed = !grown;
        text->data = grown ? grown : text->data;
        text->cap = grown ? cap : text->cap;
        text->size = grown ? text->size : 0;   /* a failed text is an empty one */
    }
    if (!text->failed) {
        if (size > 0) {
            memcpy(text->data + text->size, data, size);
        }
        text->size += size;
        text->data[text->size] = 0;
    }
}

DS3_PORT_FN void ds3_text_put(ds3_text_buf *text, const char *s) { ds3_text_add(text, s, strlen(s)); }

DS3_PORT_FN void ds3_text_u64(ds3_text_buf *text, uint64_t n)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    ds3_text_put(text, digits);
}

/* The text, never NULL. */
DS3_PORT_FN const char *ds3_text_get(const ds3_text_buf *text) { return text->data && !text->failed ? text->data : ""; }

/* Copies at most cap - 1 bytes; what cannot be printed becomes '?'. */
DS3_PORT_FN void ds3_text_copy(char *out, size_t cap, const char *from, size_t size)
{
    size_t n = size < cap - 1 ? size : cap - 1;
    for (size_t i = 0; i < n; i++) {
        out[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    }
    out[n] = 0;
}

DS3_PORT_FN char ds3_text_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

DS3_PORT_FN bool ds3_text_same(const char *a, size_t a_size, const char *b)
{
    size_t i = 0;
    while (i < a_size && b[i] && ds3_text_lower(a[i]) == ds3_text_lower(b[i])) {
        i++;
    }
    return i == a_size && !b[i];
}

/* Decimal digits only; false if there are none or too many. */
DS3_PORT_FN bool ds3_text_number(const char *at, size_t size, uint64_t *out)
{
    uint64_t n = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned)(unsigned char)at[i] - '0';
        if (digit > 9 || n > (UINT64_MAX - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    *out = n;
    return size > 0;
}

DS3_PORT_FN void ds3_text_hex(char *out, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = "0123456789abcdef"[data[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[data[i] & 15];
    }
    out[2 * size] = 0;
}

DS3_PORT_FN int ds3_text_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* out: 4 characters for each 3 bytes or part of them, and the terminator. */
DS3_PORT_FN void ds3_text_base64(char *out, const uint8_t *data, size_t size)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3, out += 4) {
        unsigned v = (unsigned)data[i] << 16 | (i + 1 < size ? (unsigned)data[i + 1] << 8 : 0u) | (i + 2 < size ? data[i + 2] : 0u);
        out[0] = set[v >> 18];
        out[1] = set[v >> 12 & 63];
        out[2] = i + 1 < size ? set[v >> 6 & 63] : '=';
        out[3] = i + 2 < size ? set[v & 63] : '=';
    }
    *out = 0;
}

/* S3's one encoding: every byte but letters, digits and -._~ (and '/' in a path). */
DS3_PORT_FN void ds3_text_escape(ds3_text_buf *text, const char *raw, bool is_path)
{
    for (; *raw; raw++) {
        unsigned char c = (unsigned char)*raw;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'
                  || c == '~' || (is_path && c == '/');
        char coded[3] = {'%', "0123456789ABCDEF"[c >> 4], "0123456789ABCDEF"[c & 15]};
        ds3_text_add(text, plain ? raw : coded, plain ? 1 : 3);
    }
}

/* Undoes percent escapes, and '+' for a space if the answer is a form's; what is no escape stays.  In place; the new size. */
DS3_PORT_FN size_t ds3_text_unescape(char *text, size_t size, bool plus)
{
    size_t to = 0;
    for (size_t at = 0; at < size; at++) {
        int high = text[at] == '%' && at + 2 < size + 0 ? ds3_text_digit(text[at + 1]) : -1;
        int low = high >= 0 ? ds3_text_digit(text[at + 2]) : -1;
        text[to++] = low >= 0 ? (char)(high * 16 + low) : plus && text[at] == '+' ? ' ' : text[at];
        at += low >= 0 ? 2 : 0;
    }
    return to;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
DS3_PORT_FN int64_t ds3_text_days(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400, of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* "20130524T000000Z" of seconds since 1970. */
DS3_PORT_FN void ds3_text_stamp(uint64_t seconds, char out[17])
{
    int64_t days = (int64_t)(seconds / 86400) + 719468, era = days / 146097, of_era = days - era * 146097;
    int64_t year_of = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of + year_of / 4 - year_of / 100), m = (5 * of_year + 2) / 153;
    unsigned day = (unsigned)(of_year - (153 * m + 2) / 5 + 1), month = (unsigned)(m < 10 ? m + 3 : m - 9);
    unsigned year = (unsigned)(year_of + era * 400 + (month <= 2)) % 10000u, rest = (unsigned)(seconds % 86400);
    char text[48];
    (void)snprintf(text, sizeof text, "%04u%02u%02uT%02u%02u%02uZ", year, month, day, rest / 3600, rest / 60 % 60, rest % 60);
    memcpy(out, text, 16);
    out[16] = 0;
}

DS3_PORT_FN uint64_t ds3_text_moment(uint64_t year, unsigned month, uint64_t day, uint64_t hour, uint64_t minute, uint64_t second)
{
    bool good = year >= 1970 && year < 2500 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 && minute < 60
        && second <= 60;
    uint64_t days = good ? (uint64_t)ds3_text_days((int64_t)year, month, (unsigned)day) : 0;
    return good ? (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000000000u : 0;
}

/* "Fri, 24 May 2013 00:00:00 GMT" to nanoseconds since 1970; 0 if it is no such date. */
DS3_PORT_FN uint64_t ds3_text_http_date(const char *at, size_t size)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint64_t day, year, hour, minute, second;
    unsigned month = 0;
    if (size < 29 || !ds3_text_number(at + 5, 2, &day) || !ds3_text_number(at + 12, 4, &year) || !ds3_text_number(at + 17, 2, &hour)
        || !ds3_text_number(at + 20, 2, &minute) || !ds3_text_number(at + 23, 2, &second)) {
        return 0;
    }
    while (month < 12 && memcmp(months + (size_t)3 * month, at + 8, 3) != 0) {
        month++;
    }
    return ds3_text_moment(year, month + 1, day, hour, minute, second);
}

/* "2026-01-02T03:04:05.678Z" likewise, to the second. */
DS3_PORT_FN uint64_t ds3_text_iso_date(const char *at, size_t size)
{
    uint64_t part[6];
    static const uint8_t from[6] = {0, 5, 8, 11, 14, 17};
    for (size_t i = 0; i < 6; i++) {
        if (size < 19 || !ds3_text_number(at + from[i], i == 0 ? 4 : 2, part + i)) {
            return 0;
        }
    }
    return ds3_text_moment(part[0], part[1] < 13 ? (unsigned)part[1] : 13, part[2], part[3], part[4], part[5]);
}

/* ==== ROOM 03 sha | prefix ds3_sha_ | uses port ==== */
/* SHA-256 (FIPS 180-4) and HMAC (RFC 2104), with the processor's SHA instructions where it has them. */

typedef struct ds3_sha_run { uint32_t state[8]; uint64_t size; uint8_t block[64]; } ds3_sha_run;

static const uint32_t ds3_sha_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

DS3_PORT_FN uint32_t ds3_sha_turn(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }

DS3_PORT_FN void ds3_sha_blocks_portable(uint32_t state[8], const uint8_t *data, size_t count)
{
    for (; count > 0; count--, data += 64) {
        uint32_t w[64], s[8];
        for (size_t i = 0; i < 16; i++) {
            w[i] = (uint32_t)data[4 * i] << 24 | (uint32_t)data[4 * i + 1] << 16 | (uint32_t)data[4 * i + 2] << 8 | data[4 * i + 3];
        }
        for (size_t i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + w[i - 7] + (ds3_sha_turn(a, 7) ^ ds3_sha_turn(a, 18) ^ a >> 3)
                 + (ds3_sha_turn(b, 17) ^ ds3_sha_turn(b, 19) ^ b >> 10);
        }
        memcpy(s, state, sizeof s);
        for (size_t i = 0; i < 64; i++) {
            uint32_t e = s[4], a = s[0];
            uint32_t t1 = s[7] + (ds3_sha_turn(e, 6) ^ ds3_sha_turn(e, 11) ^ ds3_sha_turn(e, 25)) + ((e & s[5]) ^ (~e & s[6]))
                        + ds3_sha_k[i] + w[i];
            uint32_t t2 = (ds3_sha_turn(a, 2) ^ ds3_sha_turn(a, 13) ^ ds3_sha_turn(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
            memmove(s + 1, s, 7 * sizeof s[0]);
            s[4] += t1;
            s[0] = t1 + t2;
        }
        for (size_t i = 0; i < 8; i++) {
            state[i] += s[i];
        }
    }
}

#if defined(DS3_PORT_X86)
__attribute__((target("sha,sse4.1,ssse3")))
DS3_PORT_FN void ds3_sha_blocks_x86(uint32_t state[8], const uint8_t *data, size_t count)
{
    const __m128i swap = _mm_set_epi64x((long long)0x0c0d0e0f08090a0bLL, (long long)0x0405060700010203LL);
    __m128i ab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xb1);
    __m128i ef = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(ab, ef, 8), cdgh = _mm_blend_epi16(ef, ab, 0xf0);
    for (; count > 0; count--, data += 64) {
        __m128i m[4], keep_abef = abef, keep_cdgh = cdgh;
        for (size_t i = 0; i < 16; i++) {
            __m128i *w = m + (i & 3);
            if (i < 4) {
                *w = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(data + 16 * i)), swap);
            } else {
                __m128i far = _mm_add_epi32(_mm_sha256msg1_epu32(*w, m[(i + 1) & 3]), _mm_alignr_epi8(m[(i + 3) & 3], m[(i + 2) & 3], 4));
                *w = _mm_sha256msg2_epu32(far, m[(i + 3) & 3]);
            }
            __m128i wk = _mm_add_epi32(*w, _mm_loadu_si128((const __m128i *)(const void *)(ds3_sha_k + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0e));
        }
        abef = _mm_add_epi32(abef, keep_abef);
        cdgh = _mm_add_epi32(cdgh, keep_cdgh);
    }
    ab = _mm_shuffle_epi32(abef, 0x1b);
    ef = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(ab, ef, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(ef, ab, 8));
}

DS3_PORT_FN bool ds3_sha_has_x86(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    bool sse = __get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 19) && (c & 1u << 9);
    return sse && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29);
}
#endif

/* fast: the instructions are there. */
DS3_PORT_FN void ds3_sha_blocks(bool fast, uint32_t state[8], const uint8_t *data, size_t count)
{
#if defined(DS3_PORT_X86)
    if (fast) {
        ds3_sha_blocks_x86(state, data, count);
        return;
    }
#endif
    (void)fast;
    ds3_sha_blocks_portable(state, data, count);
}

DS3_PORT_FN bool ds3_sha_fast(void)
{
#if defined(DS3_PORT_X86)
    return ds3_sha_has_x86();
#else
    return false;
#endif
}

DS3_PORT_FN void ds3_sha_open(ds3_sha_run *sha)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(sha->state, start, sizeof start);
    sha->size = 0;
}

DS3_PORT_FN void ds3_sha_add(ds3_sha_run *sha, bool fast, const void *data, size_t size)
{
    const uint8_t *at = (const uint8_t *)data;
    size_t held = (size_t)(sha->size % 64);
    sha->size += size;
    if (held > 0) {
        size_t n = size < 64 - held ? size : 64 - held;
        if (n > 0) {
            memcpy(sha->block + held, at, n);
        }
        at += n;
        size -= n;
        if (held + n < 64) {
            return;
        }
        ds3_sha_blocks(fast, sha->state, sha->block, 1);
    }
    ds3_sha_blocks(fast, sha->state, at, size / 64);
    if (size % 64 > 0) {
        memcpy(sha->block, at + size / 64 * 64, size % 64);
    }
}

DS3_PORT_FN void ds3_sha_end(ds3_sha_run *sha, bool fast, uint8_t out[32])
{
    static const uint8_t pad[64] = {0x80};
    uint64_t bits = sha->size * 8;
    uint8_t tail[8];
    for (size_t i = 0; i < 8; i++) {
        tail[i] = (uint8_t)(bits >> (56 - 8 * i));
    }
    ds3_sha_add(sha, fast, pad, 1 + (size_t)((119 - sha->size % 64) % 64));
    ds3_sha_add(sha, fast, tail, 8);
    for (size_t i = 0; i < 32; i++) {
        out[i] = (uint8_t)(sha->state[i / 4] >> (24 - 8 * (i % 4)));
    }
}

DS3_PORT_FN void ds3_sha_of(bool fast, const void *data, size_t size, uint8_t out[32])
{
    ds3_sha_run sha;
    ds3_sha_open(&sha);
    ds3_sha_add(&sha, fast, data, size);
    ds3_sha_end(&sha, fast, out);
}

DS3_PORT_FN void ds3_sha_hmac(bool fast, const void *key, size_t key_size, const void *data, size_t size, uint8_t out[32])
{
    uint8_t pad[64];
    ds3_sha_run sha;
    memset(pad, 0, sizeof pad);
    if (key_size > 64) {
        ds3_sha_of(fast, key, key_size, pad);
    } else if (key_size > 0) {
        memcpy(pad, key, key_size);
    }
    for (size_t i = 0; i < 64; i++) {
        pad[i] ^= 0x36;
    }
    ds3_sha_open(&sha);
    ds3_sha_add(&sha, fast, pad, 64);
    ds3_sha_add(&sha, fast, data, size);
    ds3_sha_end(&sha, fast, out);
    for (size_t i = 0; i < 64; i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }
    ds3_sha_open(&sha);
    ds3_sha_add(&sha, fast, pad, 64);
    ds3_sha_add(&sha, fast, out, 32);
    ds3_sha_end(&sha, fast, out);
    ds3_port_wipe(pad, sizeof pad);
    ds3_port_wipe(&sha, sizeof sha);
}

/* ==== ROOM 04 url | prefix ds3_url_ | uses port text ==== */
/* Where a bucket is: endpoint, bucket, prefix, style; and the keys in it.  Must never look into the environment. */

enum { DS3_URL_KEY_MAX = 1024 };               /* bytes of a key: the limit of S3 */

typedef struct ds3_url_place {
    bool is_s3, tls, virtual_host, amazon;     /* amazon: the host follows the region */
    char scheme[8], host[264], bucket[128];    /* host: with the port unless it is the scheme's own */
    char prefix[768];                          /* raw; "" or without slashes at its ends */
} ds3_url_place;

DS3_PORT_FN bool ds3_url_host_valid(const char *host, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = host[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_'
            || c == ':'
                 || c == '[' || c == ']';
        if (!good) {
            return false;
        }
    }
    return size > 0;
}

DS3_PORT_FN bool ds3_url_bucket_valid(const char *name, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_')) {
            return false;
        }
    }
    return size > 0 && !(size == 1 && name[0] == '.') && !(size == 2 && memcmp(name, "..", 2) == 0);
}

/* "http://host:port" and what follows in *rest; NULL, or what is wrong. */
DS3_PORT_FN const char *ds3_url_origin(const char *text, ds3_url_place *out, const char **rest)
{
    size_t scheme = strncmp(text, "https://", 8) == 0 ? 8 : strncmp(text, "http://", 7) == 0 ? 7 : 0;
    const char *host = text + scheme;
    size_t size = strcspn(host, "/?#");
    uint64_t port = 0;
    if (scheme == 0) {
        return "it must begin with http:// or https://";
    }
    if (memchr(host, '@', size)) {
        return "keys do not belong in a URL: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    }
    const char *colon = size > 0 && host[0] == '[' ? (const char *)memchr(host, ']', size) : host;
    colon = colon ? (const char *)memchr(colon, ':', size - (size_t)(colon - host)) : NULL;
    size_t name = colon ? (size_t)(colon - host) : size;
    bool has_port = colon && ds3_text_number(colon + 1, size - name - 1, &port);
    if (!ds3_url_host_valid(host, name) || size >= sizeof out->host - 132 || (colon && (!has_port || port == 0 || port > 65535))) {
        return "its host or port is not valid";
    }
    out->tls = scheme == 8;
    (void)snprintf(out->scheme, sizeof out->scheme, "%s", out->tls ? "https" : "http");
    bool usual = !has_port || port == (out->tls ? 443u : 80u);
    (void)snprintf(out->host, sizeof out->host, "%.*s", (int)(usual ? name : size), host);
    *rest = host + size;
    return NULL;
}

/* The prefix without slashes at its ends; escapes of an http URL undone. */
DS3_PORT_FN const char *ds3_url_prefix(const char *text, bool escaped, ds3_url_place *out)
{
    size_t size = strlen(text);
    while (size > 0 && text[0] == '/') {
        text++;
        size--;
    }
    while (size > 0 && text[size - 1] == '/') {
        size--;
    }
    if (size >= sizeof out->prefix) {
        return "its prefix is longer than 767 bytes";
    }
    memcpy(out->prefix, text, size);
    size = escaped ? ds3_text_unescape(out->prefix, size, false) : size;
    out->prefix[size] = 0;
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)out->prefix[i] < ' ' || out->prefix[i] == 0x7f) {
            return "its prefix holds a control character";
        }
    }
    return NULL;
}

/* The host of AWS itself in a region. */
DS3_PORT_FN void ds3_url_amazon(ds3_url_place *out, const char *region)
{
    (void)snprintf(out->host, sizeof out->host, "s3.%.40s.amazonaws.com", region);
}

/* Takes options.url and the endpoint for s3:// (NULL = AWS in region).  NULL, or what is wrong. */
DS3_PORT_FN const char *ds3_url_parse(const char *text, const char *endpoint, const char *region, int virtual_host, ds3_url_place *out)
{
    const char *rest = text, *wrong = NULL;
    memset(out, 0, sizeof *out);
    out->is_s3 = strncmp(text, "s3://", 5) == 0;
    if (out->is_s3 && endpoint) {
        wrong = ds3_url_origin(endpoint, out, &rest);
        wrong = !wrong && rest[strspn(rest, "/")] ? "the endpoint must be a host without a path" : wrong;
    } else if (out->is_s3) {
        out->tls = out->amazon = true;
        (void)snprintf(out->scheme, sizeof out->scheme, "https");
        ds3_url_amazon(out, region);
    } else {
        wrong = ds3_url_origin(text, out, &rest);
    }
    rest = out->is_s3 ? text + 5 : rest;
    rest += !out->is_s3 && *rest == '/';
    if (wrong) {
        return wrong;
    }
    if (!out->is_s3 && strpbrk(rest, "?#")) {
        return "it must have no query and no fragment";
    }
    size_t size = strcspn(rest, "/");
    if (size >= sizeof out->bucket || (size > 0 && !ds3_url_bucket_valid(rest, size))) {
        return "its bucket has a name that no bucket has";
    }
    if (size == 0 && (out->is_s3 || virtual_host > 0)) {
        return "it names no bucket: s3://BUCKET/PREFIX";
    }
    memcpy(out->bucket, rest, size);
    out->virtual_host = virtual_host > 0 || (virtual_host == 0 && out->amazon && !strchr(out->bucket, '.'));
    return ds3_url_prefix(rest + size, !out->is_s3, out);
}

/* The value of the Host header. */
DS3_PORT_FN void ds3_url_host(const ds3_url_place *url, ds3_text_buf *out)
{
    if (url->virtual_host) {
        ds3_text_put(out, url->bucket);
        ds3_text_put(out, ".");
    }
    ds3_text_put(out, url->host);
}

/* The escaped path of a key below the prefix; key NULL: of the bucket itself. */
DS3_PORT_FN void ds3_url_path(const ds3_url_place *url, const char *key, ds3_text_buf *out)
{
    ds3_text_put(out, "/");
    if (!url->virtual_host && url->bucket[0]) {
        ds3_text_escape(out, url->bucket, true);
        ds3_text_put(out, key ? "/" : "");
    }
    if (key && url->prefix[0]) {
        ds3_text_escape(out, url->prefix, true);
        ds3_text_put(out, "/");
    }
    if (key) {
        ds3_text_escape(out, key, true);
    }
}

/* Segments of printable ASCII, none empty, "." or "..": what every server and proxy leaves alone. */
DS3_PORT_FN bool ds3_url_key_valid(const ds3_url_place *url, const char *key)
{
    size_t size = key ? strlen(key) : 0, start = 0;
    if (size == 0 || size + strlen(url->prefix) + 1 > (size_t)DS3_URL_KEY_MAX) {
        return false;
    }
    for (size_t i = 0; i <= size; i++) {
        if (i < size && key[i] != '/') {
            if (key[i] < ' ' || key[i] > '~') {
                return false;
            }
            continue;
        }
        size_t run = i - start;
        if (run == 0 || (run == 1 && key[start] == '.') || (run == 2 && key[start] == '.' && key[start + 1] == '.')) {
            return false;
        }
        start = i + 1;
    }
    return true;
}

/* ==== ROOM 05 sign | prefix ds3_sign_ | uses port text sha ==== */
/* AWS Signature Version 4 for S3, header form, one chunk: the path is escaped once and never normalised.
   Must never keep a secret beyond the derived key that its caller holds. */

enum { DS3_SIGN_HEADERS = 12 };

typedef struct ds3_sign_header { const char *name, *value; } ds3_sign_header;

typedef struct ds3_sign_request {              /* names lower case, values without spaces at their ends */
    const char *method, *path, *query;         /* path and query escaped; the query's pairs sorted */
    ds3_sign_header headers[DS3_SIGN_HEADERS];
    size_t count;
} ds3_sign_request;

DS3_PORT_FN void ds3_sign_add(ds3_sign_request *request, const char *name, const char *value)
{
    size_t at = request->count;
    if (!value || at == (size_t)DS3_SIGN_HEADERS) {
        return;
    }
    for (; at > 0 && strcmp(request->headers[at - 1].name, name) > 0; at--) {
        request->headers[at] = request->headers[at - 1];
    }
    request->headers[at].name = name;
    request->headers[at].value = value;
    request->count++;
}

/* The key of a day and a region. */
DS3_PORT_FN void ds3_sign_key(bool fast, const char *secret, const char *date8, const char *region, uint8_t out[32])
{
    uint8_t first[4 + 160];
    size_t size = strlen(secret) < 160 ? strlen(secret) : 160;
    memcpy(first, "AWS4", 4);
    memcpy(first + 4, secret, size);
    ds3_sha_hmac(fast, first, 4 + size, date8, 8, out);
    ds3_sha_hmac(fast, out, 32, region, strlen(region), out);
    ds3_sha_hmac(fast, out, 32, "s3", 2, out);
    ds3_sha_hmac(fast, out, 32, "aws4_request", 12, out);
    ds3_port_wipe(first, sizeof first);
}

/* The names of the signed headers. */
DS3_PORT_FN void ds3_sign_names(const ds3_sign_request *request, ds3_text_buf *out)
{
    for (size_t i = 0; i < request->count; i++) {
        ds3_text_put(out, i > 0 ? ";" : "");
        ds3_text_put(out, request->headers[i].name);
    }
}

DS3_PORT_FN void ds3_sign_canonical(const ds3_sign_request *request, const char *payload, ds3_text_buf *out)
{
    ds3_text_put(out, request->method);
    ds3_text_put(out, "\n");
    ds3_text_put(out, request->path);
    ds3_text_put(out, "\n");
    ds3_text_put(out, request->query);
    ds3_text_put(out, "\n");
    for (size_t i = 0; i < request->count; i++) {
        ds3_text_put(out, request->headers[i].name);
        ds3_text_put(out, ":");
        ds3_text_put(out, request->headers[i].value);
        ds3_text_put(out, "\n");
    }
    ds3_text_put(out, "\n");
    ds3_sign_names(request, out);
    ds3_text_put(out, "\n");
    ds3_text_put(out, payload);
}

/* Appends the value of the Authorization header.  stamp: "20130524T000000Z"; payload: the hash in hex, or UNSIGNED-PAYLOAD. */
DS3_PORT_FN void ds3_sign_authorize(bool fast, const ds3_sign_request *request, const uint8_t key[32], const char *access_key,
                               const char *region, const char *stamp, const char *payload, ds3_text_buf *out)
{
    char scope[80], hex[65];
    uint8_t hash[32];
    ds3_text_buf text;
    ds3_text_init(&text, &out->allocator);
    ds3_sign_canonical(request, payload, &text);
    ds3_sha_of(fast, ds3_text_get(&text), text.size, hash);
    ds3_text_hex(hex, hash, 32);
    (void)snprintf(scope, sizeof scope, "%.8s/%.40s/s3/aws4_request", stamp, region);
    out->failed = out->failed || text.failed;
    text.size = 0;
    ds3_text_put(&text, "AWS4-HMAC-SHA256\n");
    ds3_text_put(&text, stamp);
    ds3_text_put(&text, "\n");
    ds3_text_put(&text, scope);
    ds3_text_put(&text, "\n");
    ds3_text_put(&text, hex);
    ds3_sha_hmac(fast, key, 32, ds3_text_get(&text), text.failed ? 0 : text.size, hash);
    ds3_text_hex(hex, hash, 32);
    out->failed = out->failed || text.failed;
    ds3_text_free(&text);
    ds3_text_put(out, "AWS4-HMAC-SHA256 Credential=");
    ds3_text_put(out, access_key);
    ds3_text_put(out, "/");
    ds3_text_put(out, scope);
    ds3_text_put(out, ", SignedHeaders=");
    ds3_sign_names(request, out);
    ds3_text_put(out, ", Signature=");
    ds3_text_put(out, hex);
}

/* ==== ROOM 06 xml | prefix ds3_xml_ | uses port text ==== */
/* The few answers of S3 that are XML: a pull parser that gives the end of each element with the text directly in it.  No DTD, no
   entities but the five and numbers.  Must never recurse, nor read past its bytes. */

enum { DS3_XML_DEPTH = 16, DS3_XML_NAME = 48 };
typedef enum ds3_xml_event { DS3_XML_END = 0, DS3_XML_OPEN, DS3_XML_CLOSE, DS3_XML_BAD } ds3_xml_event;

typedef struct ds3_xml_in {
    const char *at, *end;
    char names[DS3_XML_DEPTH][DS3_XML_NAME];   /* of the elements that are open, without a name space */
    size_t depth;
    bool empty, had_root;                      /* empty: <a/> gave OPEN, CLOSE comes next */
    ds3_text_buf text;                             /* decoded; of the element just closed */
} ds3_xml_in;

DS3_PORT_FN void ds3_xml_start(ds3_xml_in *xml, const dreamdb_allocator *allocator, const char *data, size_t size)
{
    memset(xml, 0, sizeof *xml);
    ds3_text_init(&xml->text, allocator);
    xml->at = data ? data : "";
    xml->end = xml->at + size;
}

DS3_PORT_FN void ds3_xml_stop(ds3_xml_in *xml) { ds3_text_free(&xml->text); }

/* The name of the element n levels above the one just closed or opened; "" above the root. */
DS3_PORT_FN const char *ds3_xml_name(const ds3_xml_in *xml, size_t n) { return n < xml->depth ? xml->names[xml->depth - 1 - n] : ""; }

/* Finds a text from at on; NULL if it is not there. */
DS3_PORT_FN const char *ds3_xml_find(const ds3_xml_in *xml, const char *at, const char *what)
{
    size_t size = strlen(what);
    for (; at < xml->end && (size_t)(xml->end - at) >= size; at++) {
        if (memcmp(at, what, size) == 0) {
            return at;
        }
    }
    return NULL;
}

DS3_PORT_FN void ds3_xml_utf8(ds3_text_buf *out, uint32_t c)
{
    unsigned char b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char first[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6) {
        b[i] = (unsigned char)(0x80 | (c & 63));
    }
    b[0] = (unsigned char)(first[n] | c);
    ds3_text_add(out, b, n);
}

/* One entity, at the '&'. */
DS3_PORT_FN bool ds3_xml_entity(ds3_xml_in *xml)
{
    static const struct { const char *name; char c; } known[] = {{"amp;", '&'}, {"lt;", '<'}, {"gt;", '>'}, {"quot;", '"'},
        {"apos;", '\''}};
    const char *at = xml->at + 1;
    size_t left = (size_t)(xml->end - at);
    for (size_t i = 0; i < 5; i++) {
        size_t size = strlen(known[i].name);
        if (left >= size && memcmp(at, known[i].name, size) == 0) {
            ds3_text_add(&xml->text, &known[i].c, 1);
            xml->at = at + size;
            return true;
        }
    }
    bool hex = left > 1 && at[0] == '#' && at[1] == 'x';
    uint32_t c = 0;
    size_t digits = 0;
    if (left == 0 || at[0] != '#') {
        return false;
    }
    for (at += hex ? 2 : 1; at < xml->end && *at != ';'; at++, digits++) {
        int d = ds3_text_digit(*at);
        if (d < 0 || (!hex && d > 9) || digits >= 7) {
            return false;
        }
        c = c * (hex ? 16 : 10) + (uint32_t)d;
    }
    if (at == xml->end || digits == 0 || c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return false;
    }
    ds3_xml_utf8(&xml->text, c);
    xml->at = at + 1;
    return true;
}

/* Text up to the next '<'. */
DS3_PORT_FN bool ds3_xml_chars(ds3_xml_in *xml)
{
    while (xml->at < xml->end && *xml->at != '<') {
        const char *from = xml->at;
        while (xml->at < xml->end && *xml->at != '<' && *xml->at != '&') {
            xml->at++;
        }
        ds3_text_add(&xml->text, from, (size_t)(xml->at - from));
        if (xml->at < xml->end && *xml->at == '&' && !ds3_xml_entity(xml)) {
            return false;
        }
    }
    return !xml->text.failed;
}

/* A tag's name from at on, without its name space: its size, and the end in *after; 0 = none, or too long. */
DS3_PORT_FN size_t ds3_xml_tag(const ds3_xml_in *xml, const char *at, const char **name, const char **after)
{
    const char *start = at;
    for (; at < xml->end && !strchr(" \t\r\n/><=\"'&", *at) && *at; at++) {
        start = *at == ':' ? at + 1 : start;
    }
    *name = start;
    *after = at;
    return (size_t)(at - start) < (size_t)DS3_XML_NAME ? (size_t)(at - start) : 0;
}

DS3_PORT_FN ds3_xml_event ds3_xml_open(ds3_xml_in *xml)
{
    const char *name, *at;
    size_t size = ds3_xml_tag(xml, xml->at + 1, &name, &at);
    char quote = 0;
    if (size == 0 || xml->depth == (size_t)DS3_XML_DEPTH || (xml->depth == 0 && xml->had_root)) {
        return DS3_XML_BAD;
    }
    memcpy(xml->names[xml->depth], name, size);
    xml->names[xml->depth++][size] = 0;
    for (; at < xml->end && (quote || *at != '>'); at++) {       /* attributes are passed over */
        quote = quote ? (*at == quote ? 0 : quote) : *at == '"' || *at == '\'' ? *at : 0;
    }
    if (at == xml->end) {
        return DS3_XML_BAD;
    }
    xml->empty = at[-1] == '/';
    xml->had_root = true;
    xml->at = at + 1;
    xml->text.size = 0;
    return DS3_XML_OPEN;
}

DS3_PORT_FN ds3_xml_event ds3_xml_close(ds3_xml_in *xml)
{
    const char *name, *at;
    size_t size = ds3_xml_tag(xml, xml->at + 2, &name, &at);
    while (at < xml->end && strchr(" \t\r\n", *at) && *at) {
        at++;
    }
    bool same = size > 0 && xml->depth > 0 && strlen(ds3_xml_name(xml, 0)) == size && memcmp(ds3_xml_name(xml, 0), name, size) == 0;
    if (!same || at == xml->end || *at != '>') {
        return DS3_XML_BAD;
    }
    xml->at = at + 1;                          /* the depth goes down at the next call, so that names can be asked for */
    return DS3_XML_CLOSE;
}

/* The next event.  After CLOSE, text holds what stood directly in the element since its last child. */
DS3_PORT_FN ds3_xml_event ds3_xml_next(ds3_xml_in *xml, bool *closed)
{
    if (*closed && xml->depth > 0) {
        xml->depth--;
        xml->text.size = 0;
        *closed = false;
    } else if (xml->empty && xml->depth > 0) {
        xml->empty = false;
        *closed = true;
        return DS3_XML_CLOSE;
    }
    xml->empty = false;
    while (xml->at < xml->end) {
        const char *skip = NULL;
        if (!ds3_xml_chars(xml)) {
            return DS3_XML_BAD;
        }
        size_t left = (size_t)(xml->end - xml->at);
        if (left < 2) {
            break;
        }
        if (xml->at[1] == '?') {
            skip = ds3_xml_find(xml, xml->at, "?>");
            xml->at = skip ? skip + 2 : xml->end;
        } else if (left > 3 && memcmp(xml->at, "<!--", 4) == 0) {
            skip = ds3_xml_find(xml, xml->at + 4, "-->");
            xml->at = skip ? skip + 3 : xml->end;
        } else if (left > 8 && memcmp(xml->at, "<![CDATA[", 9) == 0 && xml->depth > 0) {
            skip = ds3_xml_find(xml, xml->at + 9, "]]>");
            ds3_text_add(&xml->text, xml->at + 9, skip ? (size_t)(skip - xml->at - 9) : 0);
            xml->at = skip ? skip + 3 : xml->end;
        } else if (xml->at[1] == '/') {
            ds3_xml_event event = ds3_xml_close(xml);
            *closed = event == DS3_XML_CLOSE;
            return event;
        } else {
            return xml->at[1] == '!' ? DS3_XML_BAD : ds3_xml_open(xml);
        }
        if (!skip) {
            return DS3_XML_BAD;
        }
    }
    return xml->depth == 0 && xml->had_root && xml->at == xml->end ? DS3_XML_END : DS3_XML_BAD;
}

/* The text of the first element of this name below the root ("Error/Code" and the like); false if it is not there or the XML is bad. */
DS3_PORT_FN bool ds3_xml_value(const dreamdb_allocator *allocator, const char *data, size_t size, const char *root, const char *name,
                               char *out,
                          size_t cap)
{
    ds3_xml_in xml;
    bool closed = false, found = false;
    ds3_xml_event event;
    out[0] = 0;
    ds3_xml_start(&xml, allocator, data, size);
    while (!found && (event = ds3_xml_next(&xml, &closed)) != DS3_XML_END && event != DS3_XML_BAD) {
        if (event == DS3_XML_CLOSE && xml.depth == 2 && strcmp(xml.names[0], root) == 0 && strcmp(xml.names[1], name) == 0) {
            ds3_text_copy(out, cap, ds3_text_get(&xml.text), xml.text.size);
            found = true;
        }
    }
    ds3_xml_stop(&xml);
    return found;
}

/* ==== ROOM 07 http | prefix ds3_http_ | uses port text ==== */
/* Answers of HTTP/1.1, byte by byte as they come: status, headers, a body by length, in chunks, or up to the end of the connection.
   Must never keep more than asked for, and never trusts a length for more than the memory it has reason to take. */

enum { DS3_HTTP_HEAD_MAX = 64 << 10, DS3_HTTP_LINE_MAX = 1 << 10, DS3_HTTP_ERROR_MAX = 64 << 10, DS3_HTTP_AHEAD = 32 << 20,
       DS3_HTTP_BLOCK = 32,                    /* in front of a body: the allocator and the size of the block, for its release */
       DS3_HTTP_INTERIM = 8 };                 /* answers 1xx before the final one */

DREAMDB_API void dreamdb_s3_take_status(dreamdb_s3_exchange *exchange, int http_status)
{
    exchange->http_status = http_status;
    exchange->size = exchange->passed = 0;
    exchange->enough = 0;
    exchange->etag[0] = exchange->request_id[0] = exchange->region[0] = 0;
    exchange->content_length = exchange->range_first = UINT64_MAX;
    exchange->date_ns = exchange->modified_ns = 0;
    exchange->retry_after_s = 0;
}

/* "bytes 5-9/20" */
DS3_PORT_FN uint64_t ds3_http_range(const char *value, size_t size)
{
    uint64_t first = UINT64_MAX;
    if (size > 6 && ds3_text_same(value, 6, "bytes ")) {
        const char *dash = (const char *)memchr(value, '-', size);
        if (!dash || !ds3_text_number(value + 6, (size_t)(dash - value) - 6, &first)) {
            first = UINT64_MAX;
        }
    }
    return first;
}

DREAMDB_API void dreamdb_s3_take_header(dreamdb_s3_exchange *exchange, const char *name, size_t name_size, const char *value,
                                        size_t value_size)
{
    uint64_t n = 0;
    if (ds3_text_same(name, name_size, "etag")) {
        bool weak = value_size > 2 && memcmp(value, "W/", 2) == 0;
        size_t size = value_size - (weak ? 2 : 0);
        if (size < sizeof exchange->etag) {    /* a longer one is of no use: it could not be given back */
            ds3_text_copy(exchange->etag, sizeof exchange->etag, value + (weak ? 2 : 0), size);
        }
    } else if (ds3_text_same(name, name_size, "content-length")) {
        exchange->content_length = ds3_text_number(value, value_size, &n) ? n : UINT64_MAX;
    } else if (ds3_text_same(name, name_size, "content-range")) {
        exchange->range_first = ds3_http_range(value, value_size);
    } else if (ds3_text_same(name, name_size, "last-modified")) {
        exchange->modified_ns = ds3_text_http_date(value, value_size);
    } else if (ds3_text_same(name, name_size, "date")) {
        exchange->date_ns = ds3_text_http_date(value, value_size);
    } else if (ds3_text_same(name, name_size, "retry-after")) {
        exchange->retry_after_s = ds3_text_number(value, value_size, &n) ? (uint32_t)(n < 3600 ? n : 3600) : 0;
    } else if (ds3_text_same(name, name_size, "x-amz-request-id")) {
        ds3_text_copy(exchange->request_id, sizeof exchange->request_id, value, value_size);
    } else if (ds3_text_same(name, name_size, "x-amz-bucket-region")) {
        ds3_text_copy(exchange->region, sizeof exchange->region, value, value_size);
    }
}

/* Room for size bytes of body in all.  What a length promises is taken ahead only up to 32 MiB. */
DS3_PORT_FN bool ds3_http_room(dreamdb_s3_exchange *exchange, uint64_t size)
{
    uint64_t promised = exchange->content_length != UINT64_MAX && exchange->content_length <= exchange->most ? exchange->content_length : 0;
    uint64_t cap = exchange->cap * 2 < 4096 ? 4096 : exchange->cap * 2;
    if (size <= exchange->cap && exchange->data) {
        return true;
    }
    cap = promised >= size && (promised <= (uint64_t)DS3_HTTP_AHEAD || promised <= cap) ? promised : cap;
    cap = cap < size ? size : cap;
    if (cap > SIZE_MAX - DS3_HTTP_BLOCK) {
        return false;
    }
    char *block = exchange->data ? exchange->data - DS3_HTTP_BLOCK : NULL;
    block = (char *)exchange->allocator.resize(exchange->allocator.user, block, block ? (size_t)exchange->cap + DS3_HTTP_BLOCK : 0,
                                               (size_t)cap + DS3_HTTP_BLOCK);
    if (!block) {
        return false;
    }
    memcpy(block, &exchange->allocator, sizeof exchange->allocator);
    memcpy(block + sizeof exchange->allocator, &cap, sizeof cap);
    exchange->data = block + DS3_HTTP_BLOCK;
    exchange->cap = cap;
    return true;
}

/* Frees a body by what stands in front of it: the release of blobs. */
DS3_PORT_FN void ds3_http_release(void *user, const void *data, uint64_t size)
{
    char *block = (char *)user - DS3_HTTP_BLOCK;
    dreamdb_allocator allocator;
    uint64_t cap;
    (void)data;
    (void)size;
    memcpy(&allocator, block, sizeof allocator);
    memcpy(&cap, block + sizeof allocator, sizeof cap);
    ds3_port_drop(&allocator, block, (size_t)cap + DS3_HTTP_BLOCK);
}

DS3_PORT_FN void ds3_http_drop(dreamdb_s3_exchange *exchange)
{
    if (exchange->data) {
        ds3_http_release(exchange->data, NULL, 0);
    }
    exchange->data = NULL;
    exchange->size = exchange->cap = 0;
}

DREAMDB_API int dreamdb_s3_take_body(dreamdb_s3_exchange *exchange, const void *data, size_t size)
{
    bool error = exchange->http_status >= 300, cut = exchange->http_status == 200 && (exchange->keep_offset > 0 || exchange->keep_size > 0);
    uint64_t from = exchange->passed, most = error ? (uint64_t)DS3_HTTP_ERROR_MAX : exchange->most;
    const char *bytes = (const char *)data;
    uint64_t skip = cut && exchange->keep_offset > from ? exchange->keep_offset - from : 0, n = size;
    exchange->passed += size;
    skip = skip < n ? skip : n;
    n -= skip;
    if (cut && exchange->keep_size > 0 && n >= exchange->keep_size - exchange->size) {
        n = exchange->keep_size - exchange->size;
        exchange->enough = 1;
    }
    if (error && n > most - exchange->size) {  /* the rest of a long page of an error is of no use */
        n = most - exchange->size;
        exchange->enough = 1;
    }
    if (n > most - exchange->size) {
        return DREAMDB_S3_TOO_LARGE;
    }
    if (n > 0) {
        if (!ds3_http_room(exchange, exchange->size + n)) {
            return DREAMDB_S3_MEMORY;
        }
        memcpy(exchange->data + exchange->size, bytes + skip, (size_t)n);
        exchange->size += n;
    }
    return DREAMDB_S3_DONE;
}

typedef enum ds3_http_stage { DS3_HTTP_HEAD = 0, DS3_HTTP_LENGTH, DS3_HTTP_TO_END, DS3_HTTP_CHUNK_SIZE, DS3_HTTP_CHUNK, DS3_HTTP_CHUNK_END,
                              DS3_HTTP_TRAILER, DS3_HTTP_WHOLE } ds3_http_stage;

typedef struct ds3_http_in {
    ds3_text_buf head;                             /* the head, later a line between chunks */
    ds3_http_stage stage;
    uint64_t left;                             /* of the body, or the chunk */
    bool     close;                            /* the connection ends with this answer */
    unsigned interim, trailers;
} ds3_http_in;

DS3_PORT_FN void ds3_http_start(ds3_http_in *http, const dreamdb_allocator *allocator)
{
    memset(http, 0, sizeof *http);
    ds3_text_init(&http->head, allocator);
}

DS3_PORT_FN void ds3_http_stop(ds3_http_in *http) { ds3_text_free(&http->head); }

/* One header line without its end. */
DS3_PORT_FN bool ds3_http_header(ds3_http_in *http, dreamdb_s3_exchange *exchange, const char *line, size_t size, bool *chunked,
                                 bool *sized)
{
    const char *colon = (const char *)memchr(line, ':', size);
    size_t name = colon ? (size_t)(colon - line) : 0, at = name + 1;
    if (name == 0 || memchr(line, ' ', name) || memchr(line, '\t', name)) {     /* also a line that goes on from the last */
        return false;
    }
    for (; at < size && (line[at] == ' ' || line[at] == '\t'); at++) {}
    for (; size > at && (line[size - 1] == ' ' || line[size - 1] == '\t'); size--) {}
    const char *value = line + at;
    size -= at < size ? at : size;
    if (ds3_text_same(line, name, "content-length")) {
        uint64_t n = 0;
        if (!ds3_text_number(value, size, &n) || (*sized && n != exchange->content_length)) {
            return false;
        }
        *sized = true;
    } else if (ds3_text_same(line, name, "transfer-encoding")) {
        *chunked = ds3_text_same(value, size, "chunked");
        if (!*chunked && !ds3_text_same(value, size, "identity")) {
            return false;
        }
    } else if (ds3_text_same(line, name, "connection")) {
        http->close = http->close || ds3_text_same(value, size, "close");
    } else if (ds3_text_same(line, name, "content-encoding") && !ds3_text_same(value, size, "identity")
               && !ds3_text_same(value, size, "aws-chunked")
               && size > 0) {
        return false;                          /* we asked for none */
    }
    dreamdb_s3_take_header(exchange, line, name, value, size);
    return true;
}

/* The head is there: where the body goes.  0, or a result. */
DS3_PORT_FN int ds3_http_headers(ds3_http_in *http, dreamdb_s3_exchange *exchange)
{
    const char *at = http->head.data, *end = at + http->head.size - 2;     /* before the empty line */
    uint64_t status = 0;
    bool chunked = false, sized = false;
    if (http->head.size < 16 || memcmp(at, "HTTP/1.", 7) != 0 || (at[7] != '0' && at[7] != '1') || at[8] != ' '
        || !ds3_text_number(at + 9, 3, &status) || status < 100 || status > 599 || (at[12] != ' ' && at[12] != '\r')) {
        return DREAMDB_S3_MALFORMED;
    }
    dreamdb_s3_take_status(exchange, (int)status);
    http->close = at[7] == '0';
    const char *line = strstr(at, "\r\n");
    for (line = line ? line + 2 : end; line < end;) {
        const char *stop = strstr(line, "\r\n");
        if (!stop || !ds3_http_header(http, exchange, line, (size_t)(stop - line), &chunked, &sized)) {
            return DREAMDB_S3_MALFORMED;
        }
        line = stop + 2;
    }
    http->head.size = 0;
    if (status < 200) {
        return ++http->interim > (unsigned)DS3_HTTP_INTERIM || status == 101 ? DREAMDB_S3_MALFORMED : DREAMDB_S3_DONE;
    }
    http->left = sized ? exchange->content_length : 0;
    http->close = http->close || (chunked && sized);
    exchange->content_length = chunked ? UINT64_MAX : exchange->content_length;
    bool none = exchange->is_head || status == 204 || status == 304;
    http->stage = none ? DS3_HTTP_WHOLE : chunked ? DS3_HTTP_CHUNK_SIZE : !sized ? DS3_HTTP_TO_END : http->left > 0 ? DS3_HTTP_LENGTH
        : DS3_HTTP_WHOLE;
    http->close = http->close || http->stage == DS3_HTTP_TO_END;
    return DREAMDB_S3_DONE;
}

/* Takes bytes up to and with a line's end, or the empty line after the head; true if it is there.  *result if it never will be. */
DS3_PORT_FN bool ds3_http_gather(ds3_http_in *http, const char *data, size_t size, size_t *used, int *result)
{
    bool head = http->stage == DS3_HTTP_HEAD;
    size_t most = head ? (size_t)DS3_HTTP_HEAD_MAX : (size_t)DS3_HTTP_LINE_MAX;
    while (*used < size) {
        const char *line = (const char *)memchr(data + *used, '\n', size - *used);
        size_t n = line ? (size_t)(line - data) + 1 - *used : size - *used;
        if (n > most - http->head.size || memchr(data + *used, 0, n)) {
            *result = DREAMDB_S3_MALFORMED;
            return false;
        }
        ds3_text_add(&http->head, data + *used, n);
        *used += n;
        if (http->head.failed) {
            *result = DREAMDB_S3_MEMORY;
            return false;
        }
        size_t have = http->head.size;
        const char *text = http->head.data;
        if (head && have >= 5 && memcmp(text, "HTTP/", 5) != 0) {
            *result = DREAMDB_S3_MALFORMED;
            return false;
        }
        bool ended = have >= 2 && memcmp(text + have - 2, "\r\n", 2) == 0;
        if (ended && (!head || (have >= 4 && memcmp(text + have - 4, "\r\n\r\n", 4) == 0))) {
            return true;
        }
    }
    return false;
}

/* A line between chunks. */
DS3_PORT_FN int ds3_http_chunk_line(ds3_http_in *http)
{
    const char *text = http->head.data;
    size_t size = http->head.size - 2, digits = 0;
    http->head.size = 0;
    if (http->stage == DS3_HTTP_CHUNK_END) {
        http->stage = DS3_HTTP_CHUNK_SIZE;
        return size == 0 ? DREAMDB_S3_DONE : DREAMDB_S3_MALFORMED;
    }
    if (http->stage == DS3_HTTP_TRAILER) {
        http->stage = size == 0 ? DS3_HTTP_WHOLE : DS3_HTTP_TRAILER;
        return ++http->trailers <= 64 ? DREAMDB_S3_DONE : DREAMDB_S3_MALFORMED;
    }
    for (http->left = 0; digits < size && digits < 15 && ds3_text_digit(text[digits]) >= 0; digits++) {
        http->left = http->left * 16 + (uint64_t)ds3_text_digit(text[digits]);
    }
    if (digits == 0 || (digits < size && text[digits] != ';' && text[digits] != ' ')) {
        return DREAMDB_S3_MALFORMED;
    }
    http->stage = http->left > 0 ? DS3_HTTP_CHUNK : DS3_HTTP_TRAILER;
    return DREAMDB_S3_DONE;
}

/* Feeds what came.  DONE: look at stage (WHOLE = the answer is there) and at *used; else how the exchange failed. */
DS3_PORT_FN int ds3_http_feed(ds3_http_in *http, dreamdb_s3_exchange *exchange, const char *data, size_t size, size_t *used)
{
    int result = DREAMDB_S3_DONE;
    *used = 0;
    while (*used < size && http->stage != DS3_HTTP_WHOLE && result == DREAMDB_S3_DONE) {
        bool body = http->stage == DS3_HTTP_LENGTH || http->stage == DS3_HTTP_CHUNK || http->stage == DS3_HTTP_TO_END;
        if (!body) {
            if (ds3_http_gather(http, data, size, used, &result)) {
                result = http->stage == DS3_HTTP_HEAD ? ds3_http_headers(http, exchange) : ds3_http_chunk_line(http);
            }
            continue;
        }
        size_t n = size - *used;
        n = http->stage != DS3_HTTP_TO_END && http->left < n ? (size_t)http->left : n;
        result = dreamdb_s3_take_body(exchange, data + *used, n);
        *used += n;
        http->left -= http->stage != DS3_HTTP_TO_END ? n : 0;
        if (http->stage != DS3_HTTP_TO_END && http->left == 0) {
            http->stage = http->stage == DS3_HTTP_LENGTH ? DS3_HTTP_WHOLE : DS3_HTTP_CHUNK_END;
        }
        if (exchange->enough && http->stage != DS3_HTTP_WHOLE) {
            http->stage = DS3_HTTP_WHOLE;
            http->close = true;
        }
    }
    return result;
}

/* The connection ended: is the answer whole? */
DS3_PORT_FN int ds3_http_end(ds3_http_in *http)
{
    bool whole = http->stage == DS3_HTTP_WHOLE || http->stage == DS3_HTTP_TO_END;
    http->stage = whole ? DS3_HTTP_WHOLE : http->stage;
    return whole ? DREAMDB_S3_DONE : DREAMDB_S3_BROKEN;
}

/* ==== ROOM 08 tcp | prefix ds3_tcp_ | uses port http ==== */
/* The built-in transport: plain HTTP/1.1 over sockets that never block, one request a connection at a time, kept open between requests.
   Names are looked up by getaddrinfo, which blocks; what it said holds for a minute.  Must never know of S3. */
#if !defined(DREAMDB_S3_NO_SOCKETS)
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#if defined(MSG_NOSIGNAL)
  #define DS3_TCP_QUIET MSG_NOSIGNAL
#else
  #define DS3_TCP_QUIET 0
#endif

enum { DS3_TCP_BUFFER = 256 << 10, DS3_TCP_KEEP_MS = 10000, DS3_TCP_NAMES_MS = 60000, DS3_TCP_RETIRED = 8 };

typedef struct ds3_tcp_options { dreamdb_allocator allocator; uint32_t connections, connect_ms, first_byte_ms, idle_ms; } ds3_tcp_options;

typedef struct ds3_tcp_conn {
    struct ds3_tcp_conn *next;
    int      fd;
    dreamdb_s3_exchange *exchange;
    struct addrinfo *address;                  /* while connecting */
    uint64_t sent, began_ms, moved_ms;         /* moved: when a byte last went either way */
    bool     connecting, kept, heard;          /* kept: from an earlier request; heard: a byte of the answer came */
    ds3_http_in http;
} ds3_tcp_conn;

typedef struct ds3_tcp_net {
    ds3_tcp_options  options;
    char             origin[300];              /* the server of the connections and addresses below */
    struct addrinfo *addresses, *retired[DS3_TCP_RETIRED];     /* retired: connections under way may still point into them */
    size_t           retired_count;
    uint64_t         looked_up_ms;
    ds3_tcp_conn    *busy, *idle;
    dreamdb_s3_exchange *done, **done_end;
    struct pollfd   *polls;
    char            *buffer;
} ds3_tcp_net;

DS3_PORT_FN uint64_t ds3_tcp_ms(void) { return ds3_port_ns() / 1000000; }

DS3_PORT_FN void ds3_tcp_why(dreamdb_s3_exchange *exchange, const char *what, const char *more)
{
    (void)snprintf(exchange->why, sizeof exchange->why, "%s%s%s", what, more[0] ? ": " : "", more);
}

DS3_PORT_FN void ds3_tcp_hand_back(ds3_tcp_net *tcp, dreamdb_s3_exchange *exchange, int result)
{
    exchange->result = result;
    exchange->next = NULL;
    *tcp->done_end = exchange;
    tcp->done_end = &exchange->next;
}

DS3_PORT_FN void ds3_tcp_hang_up(ds3_tcp_net *tcp, ds3_tcp_conn *conn)
{
    if (conn->fd >= 0) {
        (void)close(conn->fd);
    }
    ds3_http_stop(&conn->http);
    ds3_port_drop(&tcp->options.allocator, conn, sizeof *conn);
}

DS3_PORT_FN void ds3_tcp_forget_idle(ds3_tcp_net *tcp)
{
    while (tcp->idle) {
        ds3_tcp_conn *conn = tcp->idle;
        tcp->idle = conn->next;
        ds3_tcp_hang_up(tcp, conn);
    }
}

/* Ends the exchange of a connection; keeps the connection if it is clean. */
DS3_PORT_FN void ds3_tcp_finish(ds3_tcp_net *tcp, ds3_tcp_conn *conn, int result, bool clean)
{
    dreamdb_s3_exchange *exchange = conn->exchange;
    ds3_tcp_conn **at = &tcp->busy;
    while (*at != conn) {
        at = &(*at)->next;
    }
    *at = conn->next;
    bool all_sent = conn->sent == exchange->head_size + exchange->body_size;
    if (result == DREAMDB_S3_NO_CONNECTION) {
        tcp->looked_up_ms = 0;
    }
    if (result == DREAMDB_S3_DONE && clean && all_sent && !conn->http.close) {
        conn->exchange = NULL;
        conn->moved_ms = ds3_tcp_ms();
        ds3_http_stop(&conn->http);
        conn->next = tcp->idle;
        tcp->idle = conn;
    } else {
        ds3_tcp_hang_up(tcp, conn);
    }
    ds3_tcp_hand_back(tcp, exchange, result);
}

/* The connection failed: what that means depends on how far the exchange was. */
DS3_PORT_FN void ds3_tcp_broke(ds3_tcp_net *tcp, ds3_tcp_conn *conn, const char *what, int code)
{
    int result = conn->connecting ? DREAMDB_S3_NO_CONNECTION : conn->kept && !conn->heard ? DREAMDB_S3_STALE : DREAMDB_S3_BROKEN;
    ds3_tcp_why(conn->exchange, what, code ? strerror(code) : "");
    ds3_tcp_finish(tcp, conn, result, false);
}

/* Lets go of the addresses; those that connections under way point into are freed when none is left. */
DS3_PORT_FN void ds3_tcp_retire(ds3_tcp_net *tcp)
{
    if (tcp->addresses && tcp->retired_count < (size_t)DS3_TCP_RETIRED) {
        tcp->retired[tcp->retired_count++] = tcp->addresses;
        tcp->addresses = NULL;
    }
    while (!tcp->busy && tcp->retired_count > 0) {
        freeaddrinfo(tcp->retired[--tcp->retired_count]);
    }
}

/* "host:port" of the url; looked up again after a minute or a failure. */
DS3_PORT_FN const char *ds3_tcp_look_up(ds3_tcp_net *tcp, const char *url)
{
    const char *host = strncmp(url, "http://", 7) == 0 ? url + 7 : NULL;
    size_t size = host ? strcspn(host, "/?") : 0;
    char name[sizeof tcp->origin];
    const char *port = "80";
    struct addrinfo hints;
    if (!host || size >= sizeof name) {
        return "the built-in transport speaks http only";
    }
    bool same = strlen(tcp->origin) == size && memcmp(tcp->origin, host, size) == 0;
    if (same && tcp->addresses && ds3_tcp_ms() - tcp->looked_up_ms < (uint64_t)DS3_TCP_NAMES_MS) {
        return NULL;
    }
    if (!same) {
        ds3_tcp_forget_idle(tcp);
    }
    memcpy(tcp->origin, host, size);
    tcp->origin[size] = 0;
    memcpy(name, tcp->origin, size + 1);
    char *colon = strrchr(name, ':'), *bracket = strrchr(name, ']');
    if (colon && (!bracket || colon > bracket)) {
        *colon = 0;
        port = colon + 1;
    }
    if (bracket) {
        *bracket = 0;
    }
    ds3_tcp_retire(tcp);
    if (tcp->addresses) {                      /* too many at once: only if names change and change while requests are under way */
        return same ? NULL : "too many servers at once";
    }
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    int code = getaddrinfo(name + (bracket != NULL), port, &hints, &tcp->addresses);
    tcp->addresses = code == 0 ? tcp->addresses : NULL;
    tcp->looked_up_ms = ds3_tcp_ms();
    return code == 0 ? NULL : gai_strerror(code);
}

/* Begins to connect to conn->address or one after it; false if none is left. */
DS3_PORT_FN bool ds3_tcp_dial(ds3_tcp_conn *conn, int *code)
{
    for (; conn->address; conn->address = conn->address->ai_next) {
        int one = 1;
        conn->fd = socket(conn->address->ai_family, SOCK_STREAM, 0);
        if (conn->fd >= 0) {
            int flags = fcntl(conn->fd, F_GETFL, 0);
            bool set = flags >= 0 && fcntl(conn->fd, F_SETFL, flags | O_NONBLOCK) == 0 && fcntl(conn->fd, F_SETFD, FD_CLOEXEC) == 0;
            (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
#if defined(SO_NOSIGPIPE)
            (void)setsockopt(conn->fd, SOL_SOCKET, SO_NOSIGPIPE, &one, sizeof one);
#endif
            int given = set ? connect(conn->fd, conn->address->ai_addr, conn->address->ai_addrlen) : -1;
            if (given == 0 || (set && errno == EINPROGRESS)) {
                conn->connecting = given != 0;
                return true;
            }
        }
        *code = errno;
        if (conn->fd >= 0) {
            (void)close(conn->fd);
            conn->fd = -1;
        }
    }
    return false;
}

/* Sends what can be sent now; false if the connection broke (and the exchange is over). */
DS3_PORT_FN bool ds3_tcp_send(ds3_tcp_net *tcp, ds3_tcp_conn *conn)
{
    dreamdb_s3_exchange *exchange = conn->exchange;
    uint64_t total = exchange->head_size + exchange->body_size;
    while (conn->sent < total) {
        struct iovec parts[2];
        struct msghdr message;
        size_t count = 0;
        uint64_t in_body = conn->sent > exchange->head_size ? conn->sent - exchange->head_size : 0;
        if (conn->sent < exchange->head_size) {
            parts[count].iov_base = (void *)(uintptr_t)(exchange->head + conn->sent);
            parts[count++].iov_len = exchange->head_size - (size_t)conn->sent;
        }
        if (exchange->body_size > in_body) {
            parts[count].iov_base = (void *)(uintptr_t)((const char *)exchange->body + in_body);
            parts[count++].iov_len = (size_t)(exchange->body_size - in_body);
        }
        memset(&message, 0, sizeof message);
        message.msg_iov = parts;
        message.msg_iovlen = count;
        ssize_t n = sendmsg(conn->fd, &message, DS3_TCP_QUIET);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return true;
        }
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET) && conn->sent > 0 && !conn->kept) {
            conn->sent = total;                /* an answer may stand in the socket, though the server takes no more: read it */
            conn->http.close = true;
            return true;
        }
        if (n < 0) {
            ds3_tcp_broke(tcp, conn, "sending", errno);
            return false;
        }
        conn->sent += (uint64_t)n;
        conn->moved_ms = ds3_tcp_ms();
    }
    return true;
}

/* Takes what came. */
DS3_PORT_FN void ds3_tcp_receive(ds3_tcp_net *tcp, ds3_tcp_conn *conn)
{
    for (;;) {
        size_t used = 0;
        ssize_t n = recv(conn->fd, tcp->buffer, DS3_TCP_BUFFER, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (n < 0) {
            ds3_tcp_broke(tcp, conn, "reading", errno);
            return;
        }
        if (n == 0) {
            if (ds3_http_end(&conn->http) == DREAMDB_S3_DONE) {
                ds3_tcp_finish(tcp, conn, DREAMDB_S3_DONE, false);
            } else {
                ds3_tcp_broke(tcp, conn, conn->heard ? "the server closed the connection in the middle of an answer"
                                                     : "the server closed the connection without an answer", 0);
            }
            return;
        }
        bool alert = !conn->heard && (tcp->buffer[0] == 0x15 || tcp->buffer[0] == 0x16);
        conn->heard = true;
        conn->moved_ms = ds3_tcp_ms();
        int result = ds3_http_feed(&conn->http, conn->exchange, tcp->buffer, (size_t)n, &used);
        if (result != DREAMDB_S3_DONE) {
            ds3_tcp_why(conn->exchange, alert ? "the server speaks TLS: use https" : "the answer is not good HTTP", "");
            ds3_tcp_finish(tcp, conn, result, false);
            return;
        }
        if (conn->http.stage == DS3_HTTP_WHOLE) {
            ds3_tcp_finish(tcp, conn, DREAMDB_S3_DONE, used == (size_t)n);
            return;
        }
    }
}

/* A connection that the server has not closed meanwhile, or NULL. */
DS3_PORT_FN ds3_tcp_conn *ds3_tcp_reuse(ds3_tcp_net *tcp)
{
    while (tcp->idle) {
        ds3_tcp_conn *conn = tcp->idle;
        char byte;
        tcp->idle = conn->next;
        bool fresh = ds3_tcp_ms() - conn->moved_ms < (uint64_t)DS3_TCP_KEEP_MS;
        if (fresh && recv(conn->fd, &byte, 1, MSG_PEEK) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            conn->kept = true;
            return conn;
        }
        ds3_tcp_hang_up(tcp, conn);
    }
    return NULL;
}

DS3_PORT_FN void ds3_tcp_start(void *session, dreamdb_s3_exchange *exchange)
{
    ds3_tcp_net *tcp = (ds3_tcp_net *)session;
    const char *wrong = ds3_tcp_look_up(tcp, exchange->url);
    int code = 0;
    ds3_tcp_conn *conn = wrong ? NULL : ds3_tcp_reuse(tcp);
    exchange->why[0] = 0;
    if (!wrong && !conn) {
        conn = (ds3_tcp_conn *)ds3_port_new(&tcp->options.allocator, sizeof *conn);
        if (!conn) {
            ds3_tcp_hand_back(tcp, exchange, DREAMDB_S3_MEMORY);
            return;
        }
        conn->fd = -1;
        conn->address = tcp->addresses;
        if (!ds3_tcp_dial(conn, &code)) {
            ds3_tcp_hang_up(tcp, conn);
            conn = NULL;
            tcp->looked_up_ms = 0;
        }
    }
    if (!conn) {
        ds3_tcp_why(exchange, "connecting", wrong ? wrong : strerror(code));
        ds3_tcp_hand_back(tcp, exchange, DREAMDB_S3_NO_CONNECTION);
        return;
    }
    conn->exchange = exchange;
    conn->sent = 0;
    conn->heard = false;
    conn->began_ms = conn->moved_ms = ds3_tcp_ms();
    ds3_http_start(&conn->http, &tcp->options.allocator);
    conn->next = tcp->busy;
    tcp->busy = conn;
    if (!conn->connecting) {
        (void)ds3_tcp_send(tcp, conn);
    }
}

/* When this connection runs out of time if nothing more happens. */
DS3_PORT_FN uint64_t ds3_tcp_limit(const ds3_tcp_net *tcp, const ds3_tcp_conn *conn, const char **what)
{
    const dreamdb_s3_exchange *exchange = conn->exchange;
    bool waits = conn->sent == exchange->head_size + exchange->body_size && !conn->heard;
    uint64_t limit = conn->moved_ms + (conn->connecting ? tcp->options.connect_ms : waits ? tcp->options.first_byte_ms
                                       : tcp->options.idle_ms);
    *what = conn->connecting ? "no connection in time" : waits ? "no answer in time" : "the transfer stood still";
    if (exchange->limit_ms > 0 && conn->began_ms + exchange->limit_ms < limit) {
        limit = conn->began_ms + exchange->limit_ms;
        *what = "the transfer is too slow";
    }
    return limit;
}

DS3_PORT_FN void ds3_tcp_connected(ds3_tcp_net *tcp, ds3_tcp_conn *conn)
{
    int code = 0;
    socklen_t size = sizeof code;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0) {
        code = errno;
    }
    if (code == 0) {
        conn->connecting = false;
        conn->moved_ms = ds3_tcp_ms();
        return;
    }
    (void)close(conn->fd);
    conn->fd = -1;
    conn->address = conn->address->ai_next;
    if (!ds3_tcp_dial(conn, &code)) {
        conn->connecting = true;
        ds3_tcp_broke(tcp, conn, "connecting", code);
    }
}

/* What poll said of one connection. */
DS3_PORT_FN void ds3_tcp_step(ds3_tcp_net *tcp, ds3_tcp_conn *conn, short events)
{
    const char *what;
    if (events != 0) {
        if (conn->connecting) {
            ds3_tcp_connected(tcp, conn);
            return;                            /* what is next, the next poll tells at once */
        }
        if ((events & POLLOUT) && !ds3_tcp_send(tcp, conn)) {
            return;
        }
        if (events & (POLLIN | POLLERR | POLLHUP)) {
            ds3_tcp_receive(tcp, conn);
        }
    } else if (ds3_tcp_ms() >= ds3_tcp_limit(tcp, conn, &what)) {
        ds3_tcp_why(conn->exchange, what, "");
        ds3_tcp_finish(tcp, conn, conn->connecting ? DREAMDB_S3_NO_CONNECTION : DREAMDB_S3_TIMEOUT, false);
    }
}

/* One round of poll over all that is in flight; at most so long. */
DS3_PORT_FN void ds3_tcp_round(ds3_tcp_net *tcp, uint64_t until)
{
    nfds_t count = 0;
    const char *what;
    uint64_t now = ds3_tcp_ms();
    for (ds3_tcp_conn *conn = tcp->busy; conn; conn = conn->next) {
        uint64_t limit = ds3_tcp_limit(tcp, conn, &what);
        bool sends = conn->connecting || conn->sent < conn->exchange->head_size + conn->exchange->body_size;
        until = limit < until ? limit : until;
        tcp->polls[count].fd = conn->fd;
        tcp->polls[count].events = (short)((sends ? POLLOUT : 0) | (conn->connecting ? 0 : POLLIN));
        tcp->polls[count++].revents = 0;
    }
    int wait_ms = until > now ? (until - now < 60000 ? (int)(until - now) : 60000) : 0;
    if (poll(tcp->polls, count, wait_ms) < 0) {
        for (nfds_t i = 0; i < count; i++) {   /* EINTR: nothing is known to be ready */
            tcp->polls[i].revents = 0;
        }
    }
    nfds_t at = 0;
    for (ds3_tcp_conn *conn = tcp->busy, *next; conn && at < count; conn = next, at++) {
        next = conn->next;
        ds3_tcp_step(tcp, conn, tcp->polls[at].revents);
    }
}

DS3_PORT_FN void ds3_tcp_wait(void *session, uint32_t timeout_ms, dreamdb_s3_exchange **done)
{
    ds3_tcp_net *tcp = (ds3_tcp_net *)session;
    uint64_t until = ds3_tcp_ms() + timeout_ms;
    *done = NULL;
    do {
        if (!tcp->done) {
            ds3_tcp_round(tcp, until);
        }
        if (tcp->done) {
            *done = tcp->done;
            tcp->done = tcp->done->next;
            tcp->done_end = tcp->done ? tcp->done_end : &tcp->done;
        }
    } while (!*done && ds3_tcp_ms() < until);
}

DS3_PORT_FN void ds3_tcp_close(void *session)
{
    ds3_tcp_net *tcp = (ds3_tcp_net *)session;
    ds3_tcp_options options = tcp->options;
    ds3_tcp_forget_idle(tcp);
    ds3_tcp_retire(tcp);
    ds3_port_drop(&options.allocator, tcp->polls, options.connections * sizeof *tcp->polls);
    ds3_port_drop(&options.allocator, tcp->buffer, DS3_TCP_BUFFER);
    ds3_port_drop(&options.allocator, tcp, sizeof *tcp);
}

/* user: ds3_tcp_options. */
DS3_PORT_FN int ds3_tcp_open(void *user, void **session)
{
    const ds3_tcp_options *options = (const ds3_tcp_options *)user;
    ds3_tcp_net *tcp = (ds3_tcp_net *)ds3_port_new(&options->allocator, sizeof *tcp);
    if (!tcp) {
        return DREAMDB_ERR_MEMORY;
    }
    tcp->options = *options;
    tcp->done_end = &tcp->done;
    tcp->polls = (struct pollfd *)ds3_port_new(&options->allocator, options->connections * sizeof *tcp->polls);
    tcp->buffer = (char *)ds3_port_new(&options->allocator, DS3_TCP_BUFFER);
    if (!tcp->polls || !tcp->buffer) {
        ds3_tcp_close(tcp);
        return DREAMDB_ERR_MEMORY;
    }
    *session = tcp;
    return DREAMDB_OK;
}
#endif

/* ==== ROOM 09 curl | prefix ds3_curl_ | uses port text http ==== */
/* The transport by libcurl's multi interface, for https.  Each session has a multi handle and keeps its easy handles. */
#if defined(DREAMDB_S3_CURL)
#include <curl/curl.h>

typedef struct ds3_curl_options { dreamdb_allocator allocator; uint32_t connections, connect_ms, first_byte_ms, idle_ms;
    char ca_file[512]; } ds3_curl_options;

typedef struct ds3_curl_easy { struct ds3_curl_easy *next; CURL *handle; struct curl_slist *headers; int result; uint64_t sent;
    } ds3_curl_easy;

typedef struct ds3_curl_net {
    ds3_curl_options options;
    CURLM           *multi;
    ds3_curl_easy   *idle;
    dreamdb_s3_exchange *failed;               /* that could not be started */
} ds3_curl_net;

DS3_PORT_FN size_t ds3_curl_on_header(char *data, size_t one, size_t count, void *user)
{
    dreamdb_s3_exchange *exchange = (dreamdb_s3_exchange *)user;
    size_t size = one * count;
    uint64_t status = 0;
    if (size > 12 && memcmp(data, "HTTP/", 5) == 0) {
        const char *space = (const char *)memchr(data, ' ', size);
        bool good = space && (size_t)(data + size - space) > 4 && ds3_text_number(space + 1, 3, &status);
        dreamdb_s3_take_status(exchange, good ? (int)status : 0);
        return size;
    }
    const char *colon = (const char *)memchr(data, ':', size);
    if (colon) {
        const char *value = colon + 1, *end = data + size;
        for (; value < end && (*value == ' ' || *value == '\t'); value++) {}
        for (; end > value && strchr(" \t\r\n", end[-1]) && end[-1]; end--) {}
        dreamdb_s3_take_header(exchange, data, (size_t)(colon - data), value, (size_t)(end - value));
    }
    return size;
}

DS3_PORT_FN size_t ds3_curl_on_body(char *data, size_t one, size_t count, void *user)
{
    dreamdb_s3_exchange *exchange = (dreamdb_s3_exchange *)user;
    ds3_curl_easy *easy = (ds3_curl_easy *)exchange->slot;
    easy->result = dreamdb_s3_take_body(exchange, data, one * count);
    return easy->result == DREAMDB_S3_DONE && !exchange->enough ? one * count : 0;
}

DS3_PORT_FN size_t ds3_curl_on_send(char *out, size_t one, size_t count, void *user)
{
    dreamdb_s3_exchange *exchange = (dreamdb_s3_exchange *)user;
    ds3_curl_easy *easy = (ds3_curl_easy *)exchange->slot;
    uint64_t left = exchange->body_size - easy->sent;
    size_t n = left < one * count ? (size_t)left : one * count;
    if (n > 0) {
        memcpy(out, (const char *)exchange->body + easy->sent, n);
    }
    easy->sent += n;
    return n;
}

/* curl rewinds when a kept connection broke.  Only before it took anything: else a conditional put might be made twice behind our back, and
   be told as lost to itself; the room that retries knows how to look. */
DS3_PORT_FN int ds3_curl_on_seek(void *user, curl_off_t offset, int origin)
{
    dreamdb_s3_exchange *exchange = (dreamdb_s3_exchange *)user;
    ds3_curl_easy *easy = (ds3_curl_easy *)exchange->slot;
    bool good = origin == SEEK_SET && easy->sent == 0 && offset >= 0 && (uint64_t)offset <= exchange->body_size;
    easy->sent = good ? (uint64_t)offset : easy->sent;
    return good ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

/* The header lines of the head, but those that curl writes itself. */
DS3_PORT_FN bool ds3_curl_headers(ds3_curl_net *curl, ds3_curl_easy *easy, const dreamdb_s3_exchange *exchange)
{
    const char *end = exchange->head + exchange->head_size;
    ds3_text_buf line;
    bool good = true;
    ds3_text_init(&line, &curl->options.allocator);
    const char *at = strstr(exchange->head, "\r\n");
    for (at = at ? at + 2 : end; at < end && good;) {
        const char *stop = strstr(at, "\r\n");
        size_t size = stop ? (size_t)(stop - at) : 0;
        line.size = 0;
        ds3_text_add(&line, at, size);
        if (size > 0 && strncmp(ds3_text_get(&line), "content-length:", 15) != 0) {
            struct curl_slist *grown = curl_slist_append(easy->headers, ds3_text_get(&line));
            good = grown && !line.failed;
            easy->headers = grown ? grown : easy->headers;
        }
        at = stop ? stop + 2 : end;
    }
    struct curl_slist *grown = curl_slist_append(easy->headers, "Expect:");
    easy->headers = grown ? grown : easy->headers;
    ds3_text_free(&line);
    return good && grown;
}

DS3_PORT_FN bool ds3_curl_method(ds3_curl_easy *easy, dreamdb_s3_exchange *exchange)
{
    char method[8];
    size_t size = strcspn(exchange->head, " ");
    CURL *h = easy->handle;
    CURLcode code = CURLE_OK;
    ds3_text_copy(method, sizeof method, exchange->head, size);
    if (exchange->is_head) {
        return curl_easy_setopt(h, CURLOPT_NOBODY, 1L) == CURLE_OK;
    }
    if (strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0) {
        code = curl_easy_setopt(h, CURLOPT_UPLOAD, 1L);
        code = code ? code : curl_easy_setopt(h, CURLOPT_INFILESIZE_LARGE, (curl_off_t)exchange->body_size);
        code = code ? code : curl_easy_setopt(h, CURLOPT_READFUNCTION, ds3_curl_on_send);
        code = code ? code : curl_easy_setopt(h, CURLOPT_READDATA, (void *)exchange);
        code = code ? code : curl_easy_setopt(h, CURLOPT_SEEKFUNCTION, ds3_curl_on_seek);
        code = code ? code : curl_easy_setopt(h, CURLOPT_SEEKDATA, (void *)exchange);
    }
    return !code && curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK;
}

DS3_PORT_FN bool ds3_curl_setup(ds3_curl_net *curl, ds3_curl_easy *easy, dreamdb_s3_exchange *exchange)
{
    const ds3_curl_options *o = &curl->options;
    CURL *h = easy->handle;
    long idle = (long)(o->idle_ms > o->first_byte_ms ? o->idle_ms : o->first_byte_ms);
    curl_easy_reset(h);
    bool good = ds3_curl_headers(curl, easy, exchange) && ds3_curl_method(easy, exchange);
    good = good && curl_easy_setopt(h, CURLOPT_URL, exchange->url) == CURLE_OK;
    good = good && curl_easy_setopt(h, CURLOPT_HTTPHEADER, easy->headers) == CURLE_OK;
    good = good && curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, ds3_curl_on_header) == CURLE_OK;
    good = good && curl_easy_setopt(h, CURLOPT_HEADERDATA, (void *)exchange) == CURLE_OK;
    good = good && curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, ds3_curl_on_body) == CURLE_OK;
    good = good && curl_easy_setopt(h, CURLOPT_WRITEDATA, (void *)exchange) == CURLE_OK;
    good = good && curl_easy_setopt(h, CURLOPT_PRIVATE, (void *)exchange) == CURLE_OK;
    if (!good) {
        return false;
    }
    (void)curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(h, CURLOPT_TCP_NODELAY, 1L);
    (void)curl_easy_setopt(h, CURLOPT_BUFFERSIZE, 262144L);
    (void)curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_ms);
    (void)curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (idle + 999) / 1000);
    (void)curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)exchange->limit_ms);
    return o->ca_file[0] == 0 || curl_easy_setopt(h, CURLOPT_CAINFO, o->ca_file) == CURLE_OK;
}

DS3_PORT_FN void ds3_curl_put_away(ds3_curl_net *curl, ds3_curl_easy *easy)
{
    curl_slist_free_all(easy->headers);
    easy->headers = NULL;
    easy->next = curl->idle;
    curl->idle = easy;
}

DS3_PORT_FN void ds3_curl_start(void *session, dreamdb_s3_exchange *exchange)
{
    ds3_curl_net *curl = (ds3_curl_net *)session;
    ds3_curl_easy *easy = curl->idle;
    exchange->why[0] = 0;
    if (easy) {
        curl->idle = easy->next;
    } else {
        easy = (ds3_curl_easy *)ds3_port_new(&curl->options.allocator, sizeof *easy);
        if (easy && !(easy->handle = curl_easy_init())) {
            ds3_port_drop(&curl->options.allocator, easy, sizeof *easy);
            easy = NULL;
        }
    }
    if (easy) {
        exchange->slot = easy;
        easy->result = DREAMDB_S3_DONE;
        easy->sent = 0;
        if (ds3_curl_setup(curl, easy, exchange) && curl_multi_add_handle(curl->multi, easy->handle) == CURLM_OK) {
            return;
        }
        ds3_curl_put_away(curl, easy);
    }
    exchange->result = DREAMDB_S3_MEMORY;
    exchange->next = curl->failed;
    curl->failed = exchange;
}

DS3_PORT_FN int ds3_curl_result(const dreamdb_s3_exchange *exchange, const ds3_curl_easy *easy, CURLcode code)
{
    long sent = 0;
    (void)curl_easy_getinfo(easy->handle, CURLINFO_REQUEST_SIZE, &sent);
    switch ((int)code) {
    case CURLE_OK: return DREAMDB_S3_DONE;
    case CURLE_WRITE_ERROR: return exchange->enough ? (int)DREAMDB_S3_DONE : easy->result ? easy->result : (int)DREAMDB_S3_BROKEN;
    case CURLE_COULDNT_RESOLVE_HOST: case CURLE_COULDNT_RESOLVE_PROXY: case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR: return DREAMDB_S3_NO_CONNECTION;             /* a reset while hands are shaken, too */
    case CURLE_OPERATION_TIMEDOUT: return sent == 0 ? DREAMDB_S3_NO_CONNECTION : DREAMDB_S3_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION: case CURLE_SSL_CERTPROBLEM: case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE: case CURLE_USE_SSL_FAILED: return DREAMDB_S3_TLS;
    case CURLE_OUT_OF_MEMORY: return DREAMDB_S3_MEMORY;
    case CURLE_WEIRD_SERVER_REPLY: case CURLE_UNSUPPORTED_PROTOCOL: case CURLE_BAD_CONTENT_ENCODING: return DREAMDB_S3_MALFORMED;
    default: return sent == 0 ? DREAMDB_S3_NO_CONNECTION : DREAMDB_S3_BROKEN;
    }
}

DS3_PORT_FN dreamdb_s3_exchange *ds3_curl_take(ds3_curl_net *curl)
{
    int left = 0;
    CURLMsg *message;
    dreamdb_s3_exchange *exchange = curl->failed;
    if (exchange) {
        curl->failed = exchange->next;
        return exchange;
    }
    while ((message = curl_multi_info_read(curl->multi, &left)) != NULL) {
        char *user = NULL;
        if (message->msg != CURLMSG_DONE || curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &user) != CURLE_OK || !user) {
            continue;
        }
        exchange = (dreamdb_s3_exchange *)(void *)user;
        ds3_curl_easy *easy = (ds3_curl_easy *)exchange->slot;
        CURLcode code = message->data.result;
        exchange->result = ds3_curl_result(exchange, easy, code);
        (void)snprintf(exchange->why, sizeof exchange->why, "%s", code ? curl_easy_strerror(code) : "");
        (void)curl_multi_remove_handle(curl->multi, easy->handle);
        ds3_curl_put_away(curl, easy);
        return exchange;
    }
    return NULL;
}

DS3_PORT_FN void ds3_curl_wait(void *session, uint32_t timeout_ms, dreamdb_s3_exchange **done)
{
    ds3_curl_net *curl = (ds3_curl_net *)session;
    uint64_t until = ds3_port_ns() / 1000000 + timeout_ms;
    for (;;) {
        int running = 0;
        *done = ds3_curl_take(curl);
        if (!*done) {
            (void)curl_multi_perform(curl->multi, &running);
            *done = ds3_curl_take(curl);
        }
        uint64_t now = ds3_port_ns() / 1000000;
        if (*done || now >= until) {
            return;
        }
        (void)curl_multi_poll(curl->multi, NULL, 0, (int)(until - now < 1000 ? until - now : 1000), NULL);
    }
}

DS3_PORT_FN void ds3_curl_close(void *session)
{
    ds3_curl_net *curl = (ds3_curl_net *)session;
    dreamdb_allocator allocator = curl->options.allocator;
    while (curl->idle) {
        ds3_curl_easy *easy = curl->idle;
        curl->idle = easy->next;
        curl_easy_cleanup(easy->handle);
        ds3_port_drop(&allocator, easy, sizeof *easy);
    }
    if (curl->multi) {
        (void)curl_multi_cleanup(curl->multi);
    }
    ds3_port_drop(&allocator, curl, sizeof *curl);
}

/* user: ds3_curl_options. */
DS3_PORT_FN int ds3_curl_open(void *user, void **session)
{
    const ds3_curl_options *options = (const ds3_curl_options *)user;
    ds3_curl_net *curl = (ds3_curl_net *)ds3_port_new(&options->allocator, sizeof *curl);
    if (!curl) {
        return DREAMDB_ERR_MEMORY;
    }
    curl->options = *options;
    curl->multi = curl_multi_init();
    if (!curl->multi) {
        ds3_curl_close(curl);
        return DREAMDB_ERR_MEMORY;
    }
    (void)curl_multi_setopt(curl->multi, CURLMOPT_MAXCONNECTS, (long)options->connections);
    *session = curl;
    return DREAMDB_OK;
}
#endif

/* ==== ROOM 10 retry | prefix ds3_retry_ | uses port ==== */
/* What an answer means for a request, and how long to wait before the next try.  Pure functions: the table of what servers are known to
   say.  Must never send anything. */

typedef enum ds3_retry_verb {
    DS3_RETRY_GET = 0, DS3_RETRY_HEAD, DS3_RETRY_PUT,      /* PUT: may be sent twice (always,
                                                                                      or if absent with a name that fixes the bytes) */
    DS3_RETRY_SWAP,                                        /* conditional put of bytes that change: what a lost answer meant must be read */
    DS3_RETRY_REMOVE, DS3_RETRY_LIST, DS3_RETRY_POST
} ds3_retry_verb;

typedef enum ds3_retry_action {
    DS3_RETRY_GOOD = 0, DS3_RETRY_NOT_FOUND, DS3_RETRY_EXISTS, DS3_RETRY_CONFLICT, DS3_RETRY_EMPTY,     /* EMPTY: a range past the end */
    DS3_RETRY_AGAIN, DS3_RETRY_SLOWER, DS3_RETRY_RESOLVE, DS3_RETRY_CLOCK, DS3_RETRY_TOKEN, DS3_RETRY_REGION, DS3_RETRY_FAIL
} ds3_retry_action;

DS3_PORT_FN bool ds3_retry_is(const char *code, const char *what) { return strcmp(code, what) == 0; }

/* No answer came. */
DS3_PORT_FN ds3_retry_action ds3_retry_lost(ds3_retry_verb verb, int result)
{
    if (result == DREAMDB_S3_NO_CONNECTION) {
        return DS3_RETRY_AGAIN;
    }
    bool lost = result == DREAMDB_S3_BROKEN || result == DREAMDB_S3_STALE || result == DREAMDB_S3_TIMEOUT;
    if (verb == DS3_RETRY_SWAP && (lost || result == DREAMDB_S3_MALFORMED)) {
        return DS3_RETRY_RESOLVE;
    }
    return lost ? DS3_RETRY_AGAIN : DS3_RETRY_FAIL;
}

DS3_PORT_FN ds3_retry_action ds3_retry_missing(ds3_retry_verb verb, bool if_tag, const char *code)
{
    bool plain = code[0] == 0 || ds3_retry_is(code, "NoSuchKey");
    if (!plain) {
        return DS3_RETRY_FAIL;
    }
    if (verb == DS3_RETRY_GET || verb == DS3_RETRY_HEAD) {
        return DS3_RETRY_NOT_FOUND;
    }
    return verb == DS3_RETRY_REMOVE ? DS3_RETRY_GOOD : verb == DS3_RETRY_SWAP && if_tag ? DS3_RETRY_CONFLICT : DS3_RETRY_FAIL;
}

/* if_tag: a put with If-Match.  code: of the error body, "" if there is none. */
DS3_PORT_FN ds3_retry_action ds3_retry_decide(ds3_retry_verb verb, bool if_tag, int result, int status, const char *code)
{
    bool is_put = verb == DS3_RETRY_PUT || verb == DS3_RETRY_SWAP;
    if (result != DREAMDB_S3_DONE) {
        return ds3_retry_lost(verb, result);
    }
    if (status >= 200 && status < 300) {
        return DS3_RETRY_GOOD;
    }
    if (ds3_retry_is(code, "RequestTimeTooSkewed")) {
        return DS3_RETRY_CLOCK;
    }
    if (ds3_retry_is(code, "ExpiredToken") || ds3_retry_is(code, "ExpiredTokenException") || ds3_retry_is(code, "TokenRefreshRequired")) {
        return DS3_RETRY_TOKEN;
    }
    if (ds3_retry_is(code, "AuthorizationHeaderMalformed") || status == 301) {
        return DS3_RETRY_REGION;
    }
    switch (status) {
    case 404: return ds3_retry_missing(verb, if_tag, code);
    case 412: return !is_put && verb != DS3_RETRY_POST ? DS3_RETRY_FAIL : if_tag ? DS3_RETRY_CONFLICT : DS3_RETRY_EXISTS;
    case 416: return verb == DS3_RETRY_GET ? DS3_RETRY_EMPTY : DS3_RETRY_FAIL;
    case 409:
        if (ds3_retry_is(code, "ConditionalRequestConflict") || ds3_retry_is(code, "OperationAborted")) {
            return verb == DS3_RETRY_SWAP ? DS3_RETRY_RESOLVE : DS3_RETRY_AGAIN;
        }
        return is_put && !if_tag && ds3_retry_is(code, "BlobAlreadyExists") ? DS3_RETRY_EXISTS : DS3_RETRY_FAIL;
    case 408: return DS3_RETRY_AGAIN;
    case 429: return DS3_RETRY_SLOWER;
    case 400: return ds3_retry_is(code, "RequestTimeout") ? DS3_RETRY_AGAIN : DS3_RETRY_FAIL;
    case 503: return verb == DS3_RETRY_SWAP ? DS3_RETRY_RESOLVE : DS3_RETRY_SLOWER;
    case 500: case 502: case 504: return verb == DS3_RETRY_SWAP ? DS3_RETRY_RESOLVE : DS3_RETRY_AGAIN;
    default: return DS3_RETRY_FAIL;
    }
}

/* Full jitter: anywhere from nothing to base * 2^(tries - 1), at most cap; never sooner than the server asked (at most 20 s). */
DS3_PORT_FN uint32_t ds3_retry_delay_ms(uint32_t base, uint32_t cap, uint32_t tries, uint32_t after_s, uint64_t random)
{
    uint64_t most = base;
    for (uint32_t i = 1; i < tries && most < cap; i++) {
        most *= 2;
    }
    most = most < cap ? most : cap;
    uint64_t delay = random % (most + 1), asked = (uint64_t)(after_s < 20 ? after_s : 20) * 1000;
    return (uint32_t)(delay > asked ? delay : asked);
}

/* What the user may do about it; "" if the code says it all. */
DS3_PORT_FN const char *ds3_retry_advice(int status, const char *code, bool has_keys)
{
    static const struct { const char *code, *advice; } known[] = {
        {"NoSuchBucket", "there is no such bucket: make it first, or mend the URL"},
        {"SignatureDoesNotMatch", "the secret key is wrong"},
        {"InvalidAccessKeyId", "the server does not know this access key"},
        {"XAdminUserNotFound", "the server does not know this access key"},
        {"RequestTimeTooSkewed", "this machine's clock is wrong, and the server's Date did not mend it"},
        {"ExpiredToken", "the session token has expired: give fresh ones"},
        {"AuthorizationHeaderMalformed", "the region is wrong: give --region, or AWS_REGION"},
        {"PermanentRedirect", "the bucket is at another endpoint or region"},
        {"NotImplemented", "this server lacks what is needed here"},
        {"NoSuchUpload", "the upload was ended by somebody else"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (ds3_retry_is(code, known[i].code)) {
            return known[i].advice;
        }
    }
    if (status == 401 || status == 403) {
        return has_keys ? "these keys may not do this" : "no keys were given: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    }
    return status == 301 || status == 307 || status == 308 ? "the server sends us elsewhere: name the right endpoint and region" : "";
}

/* ==== ROOM 11 core | prefix ds3_core_ | uses port text sha url sign xml http tcp curl retry ==== */
/* The store's state, and the engine: it carries any number of requests at once, signs each when it leaves, looks at each answer, and
   tries again what may be tried again.  Invariant: of a put that must not happen twice, an answer that did not come is settled by
   reading.  Must never put a secret into a text that leaves this room. */

enum { DS3_CORE_REASON = 256, DS3_CORE_STALE = 3, DS3_CORE_PAGE_MAX = 16 << 20 };

typedef struct ds3_core_session { struct ds3_core_session *next; void *handle; } ds3_core_session;

typedef struct ds3_core_state {
    dreamdb_allocator allocator;
    ds3_port_mutex lock;                       /* from here on */
    ds3_url_place   url;
    char      region[48];
    bool      sign, fast, hash_payload, many_refused;
    dreamdb_s3_credentials keys;
    bool      keys_known;
    char      key_date[9], key_region[48];     /* of day_key, the derived key */
    uint8_t   day_key[32];
    int64_t   skew_s;                          /* the server's clock before ours */
    uint64_t  random;
    char      reason[DS3_CORE_REASON];
    dreamdb_s3_stats stats;
    ds3_core_session *sessions;                /* not in use */
    dreamdb_s3_options options;                /* with the defaults filled in; its texts are not kept */
    dreamdb_s3_transport transport;
    union { char none;
#if !defined(DREAMDB_S3_NO_SOCKETS)
        ds3_tcp_options tcp;
#endif
#if defined(DREAMDB_S3_CURL)
        ds3_curl_options curl;
#endif
    } carrier;
} ds3_core_state;

/* One request.  What the caller sets: verb to type; what it reads: status, exchange. */
typedef struct ds3_core_task {
    dreamdb_s3_exchange exchange;              /* first: an exchange is its task */
    struct ds3_core_task *next;
    ds3_retry_verb verb;
    const char *method, *path, *query, *type;  /* path: below the prefix, NULL = the bucket; query escaped, "" = none;
        type of a POST's body */
    uint64_t offset, size;                     /* the range of a GET; both 0 = whole */
    const void *body; uint64_t body_size;
    dreamdb_condition condition;
    bool sum;                                  /* x-amz-checksum-sha256, which DeleteObjects wants */
    int  status;                               /* a dreamdb_status */
    char code[64];                             /* of the error body */
    ds3_text_buf url, head;
    uint64_t due_ms, first_ms, sent_ns;
    uint32_t tries, stale;
    bool resolving, doubtful, clock_mended, token_mended, region_mended;
} ds3_core_task;

DS3_PORT_FN uint64_t ds3_core_ms(void) { return ds3_port_ns() / 1000000; }

DS3_PORT_FN void ds3_core_task_init(ds3_core_task *task, ds3_retry_verb verb, const char *method, const char *path)
{
    memset(task, 0, sizeof *task);
    task->verb = verb;
    task->method = method;
    task->path = path;
    task->query = "";
    task->status = DREAMDB_ERR_STORE;
}

DS3_PORT_FN void ds3_core_task_free(ds3_core_task *task)
{
    ds3_http_drop(&task->exchange);
    ds3_text_free(&task->url);
    ds3_text_free(&task->head);
}

/* Sets what reason will say. */
DS3_PORT_FN void ds3_core_tell(ds3_core_state *core, const char *text)
{
    ds3_port_lock(&core->lock);
    ds3_text_copy(core->reason, sizeof core->reason, text, strlen(text));
    ds3_port_unlock(&core->lock);
}

/* Where, what, how it ended, what to do: without keys and signatures, whatever the server's text holds. */
DS3_PORT_FN void ds3_core_tell_task(ds3_core_state *core, ds3_core_task *task)
{
    const dreamdb_s3_exchange *x = &task->exchange;
    char text[640], plain[64], host[160];                       /* cut to DS3_CORE_REASON at the end */
    const char *tail = task->doubtful ? " (whether it was done is not known: read it again)" : task->tries > 1
        ? " (tried again in vain)" : "";
    plain[0] = 0;
    ds3_port_lock(&core->lock);
    (void)snprintf(host, sizeof host, "%s of bucket '%.40s' at %.60s", task->method, core->url.bucket, core->url.host);
    const char *advice = x->result == DREAMDB_S3_DONE ? ds3_retry_advice(x->http_status, task->code, core->sign) : "";
    ds3_port_unlock(&core->lock);
    if (x->result == DREAMDB_S3_DONE && task->code[0] == 0 && x->data && x->size > 0 && x->http_status >= 300 && x->data[0] != '<') {
        ds3_text_copy(plain, sizeof plain, x->data, (size_t)x->size);
    }
    if (x->result == DREAMDB_S3_DONE && x->http_status > 0) {
        (void)snprintf(text, sizeof text, "%s: HTTP %d%s%s%s%s%s%s%s%s", host, x->http_status, task->code[0] || plain[0] ? " " : "",
                       task->code, plain,
                       x->request_id[0] ? ", request " : "", x->request_id, advice[0] ? ": " : "", advice, tail);
    } else {
        static const char *const names[] = {"no usable answer", "no connection", "the connection broke", "the connection broke",
            "timeout", "TLS failed",
                                            "no HTTP", "the answer is larger than asked for", "no memory"};
        int at = x->result >= 0 && x->result <= (int)DREAMDB_S3_MEMORY ? x->result : 0;
        (void)snprintf(text, sizeof text, "%s: %s%s%s%s", host, names[at], x->why[0] ? ": " : "", x->why, tail);
    }
    ds3_core_tell(core, text);
}

/* ---- Building a request ---- */

/* Keys from the callback, when they are not known yet or refused.  The lock is held. */
DS3_PORT_FN bool ds3_core_keys(ds3_core_state *core, bool again)
{
    if (core->options.credentials && (again || !core->keys_known)) {
        memset(&core->keys, 0, sizeof core->keys);
        core->key_date[0] = 0;
        core->keys_known = core->options.credentials(core->options.credentials_user, again ? 1 : 0, &core->keys) == 0;
        core->keys.access_key[sizeof core->keys.access_key - 1] = 0;
        core->keys.secret_key[sizeof core->keys.secret_key - 1] = 0;
        core->keys.session_token[sizeof core->keys.session_token - 1] = 0;
        core->keys_known = core->keys_known && core->keys.access_key[0] && !strpbrk(core->keys.access_key, "\r\n ,")
            && !strpbrk(core->keys.session_token, "\r\n");                     /* they become header lines */
        return core->keys_known;
    }
    return core->keys_known && !again;
}

/* The key of the day, derived when the day or the region changed.  The lock is held. */
DS3_PORT_FN const uint8_t *ds3_core_day_key(ds3_core_state *core, const char *stamp)
{
    if (memcmp(core->key_date, stamp, 8) != 0 || strcmp(core->key_region, core->region) != 0) {
        ds3_sign_key(core->fast, core->keys.secret_key, stamp, core->region, core->day_key);
        memcpy(core->key_date, stamp, 8);
        (void)snprintf(core->key_region, sizeof core->key_region, "%s", core->region);
    }
    return core->day_key;
}

typedef struct ds3_core_lines { char stamp[17], payload[80], sum[48], range[64]; ds3_text_buf host, path, authorization; } ds3_core_lines;

/* The headers of a request, in a table sorted by name. */
DS3_PORT_FN void ds3_core_headers(ds3_core_state *core, const ds3_core_task *task, ds3_core_lines *lines, ds3_sign_request *request)
{
    bool conditional = !task->resolving && (task->verb == DS3_RETRY_PUT || task->verb == DS3_RETRY_SWAP
                                            || task->condition.kind != DREAMDB_PUT_ALWAYS);
    bool plain_get = task->verb == DS3_RETRY_GET && !task->resolving;
    ds3_sign_add(request, "host", ds3_text_get(&lines->host));
    if (plain_get && (task->offset > 0 || task->size > 0)) {
        uint64_t end = task->size > UINT64_MAX - task->offset ? UINT64_MAX : task->offset + task->size;
        (void)snprintf(lines->range, sizeof lines->range, task->size > 0 ? "bytes=%llu-%llu" : "bytes=%llu-",
                       (unsigned long long)task->offset,
                       (unsigned long long)end - 1);
        ds3_sign_add(request, "range", lines->range);
    }
    if (conditional && task->condition.kind == DREAMDB_PUT_IF_ABSENT) {
        ds3_sign_add(request, "if-none-match", "*");
    } else if (conditional && task->condition.kind == DREAMDB_PUT_IF_TAG) {
        ds3_sign_add(request, "if-match", task->condition.tag);
    }
    ds3_sign_add(request, "content-type", task->resolving ? NULL : task->type);
    ds3_sign_add(request, "x-amz-checksum-sha256", lines->sum[0] ? lines->sum : NULL);
    if (core->sign) {
        ds3_sign_add(request, "x-amz-date", lines->stamp);
        ds3_sign_add(request, "x-amz-content-sha256", lines->payload);
        ds3_sign_add(request, "x-amz-security-token", core->keys.session_token[0] ? core->keys.session_token : NULL);
    }
}

/* Hash of the body, for the signature and for the server's own check. */
DS3_PORT_FN void ds3_core_payload(const ds3_core_state *core, const ds3_core_task *task, ds3_core_lines *lines)
{
    uint8_t hash[32];
    uint64_t size = task->resolving ? 0 : task->body_size;
    bool hashed = core->sign && (core->hash_payload || size == 0);
    if (hashed || (task->sum && !task->resolving)) {
        ds3_sha_of(core->fast, size > 0 ? task->body : "", (size_t)size, hash);
        ds3_text_hex(lines->payload, hash, 32);
    }
    if (task->sum && !task->resolving) {
        ds3_text_base64(lines->sum, hash, 32);
    }
    if (!hashed) {
        (void)snprintf(lines->payload, sizeof lines->payload, "UNSIGNED-PAYLOAD");
    }
}

DS3_PORT_FN void ds3_core_write_head(ds3_core_task *task, const ds3_core_lines *lines, const ds3_sign_request *request)
{
    ds3_text_buf *head = &task->head;
    uint64_t size = task->resolving ? 0 : task->body_size;
    ds3_text_put(head, request->method);
    ds3_text_put(head, " ");
    ds3_text_put(head, ds3_text_get(&lines->path));
    ds3_text_put(head, request->query[0] ? "?" : "");
    ds3_text_put(head, request->query);
    ds3_text_put(head, " HTTP/1.1\r\n");
    for (size_t i = 0; i < request->count; i++) {
        ds3_text_put(head, request->headers[i].name);
        ds3_text_put(head, ": ");
        ds3_text_put(head, request->headers[i].value);
        ds3_text_put(head, "\r\n");
    }
    if (lines->authorization.size > 0) {
        ds3_text_put(head, "authorization: ");
        ds3_text_put(head, ds3_text_get(&lines->authorization));
        ds3_text_put(head, "\r\n");
    }
    if (size > 0 || strcmp(request->method, "PUT") == 0 || strcmp(request->method, "POST") == 0) {
        ds3_text_put(head, "content-length: ");
        ds3_text_u64(head, size);
        ds3_text_put(head, "\r\n");
    }
    ds3_text_put(head, "accept: */*\r\nuser-agent: dreamdb_s3.h/" DREAMDB_VERSION "\r\n\r\n");
}

/* Fills in what the transport reads of an exchange. */
DS3_PORT_FN void ds3_core_fill(const ds3_core_state *core, ds3_core_task *task)
{
    dreamdb_s3_exchange *x = &task->exchange;
    bool ranged = task->verb == DS3_RETRY_GET && !task->resolving;
    ds3_http_drop(x);
    memset(x, 0, sizeof *x);
    dreamdb_s3_take_status(x, 0);
    x->allocator = core->allocator;
    x->url = ds3_text_get(&task->url);
    x->head = ds3_text_get(&task->head);
    x->head_size = task->head.size;
    x->body = task->resolving ? NULL : task->body;
    x->body_size = task->resolving ? 0 : task->body_size;
    x->is_head = task->verb == DS3_RETRY_HEAD;
    x->keep_offset = ranged ? task->offset : 0;
    x->keep_size = ranged ? task->size : 0;
    x->most = task->resolving ? task->body_size + 1024 : ranged ? (task->size > 0 ? task->size : core->options.object_bytes)
            : (uint64_t)DS3_CORE_PAGE_MAX;
    uint64_t bytes = task->body_size + (ranged ? x->most : 0), ms = 60000 + bytes / 16;    /* at least 16 KB a second */
    x->limit_ms = (uint32_t)(ms < 86400000 ? ms : 86400000) + core->options.first_byte_ms;
}

/* Builds and signs the request as it is to leave now. */
DS3_PORT_FN bool ds3_core_build(ds3_core_state *core, ds3_core_task *task)
{
    ds3_core_lines lines;
    ds3_sign_request request;
    memset(&lines, 0, sizeof lines);
    memset(&request, 0, sizeof request);
    ds3_text_free(&task->url);
    ds3_text_free(&task->head);
    ds3_text_init(&task->url, &core->allocator);
    ds3_text_init(&task->head, &core->allocator);
    ds3_text_init(&lines.host, &core->allocator);
    ds3_text_init(&lines.path, &core->allocator);
    ds3_text_init(&lines.authorization, &core->allocator);
    ds3_core_payload(core, task, &lines);
    request.method = task->resolving ? "GET" : task->method;
    request.query = task->resolving ? "" : task->query;
    ds3_port_lock(&core->lock);
    bool good = !core->sign || ds3_core_keys(core, false);
    uint64_t now = core->options.now_ns ? core->options.now_ns(core->options.now_user) : ds3_port_wall_ns();
    ds3_text_stamp((uint64_t)((int64_t)(now / 1000000000u) + core->skew_s), lines.stamp);
    ds3_url_host(&core->url, &lines.host);
    ds3_url_path(&core->url, task->path, &lines.path);
    request.path = ds3_text_get(&lines.path);
    ds3_core_headers(core, task, &lines, &request);
    if (core->sign && good) {
        ds3_sign_authorize(core->fast, &request, ds3_core_day_key(core, lines.stamp), core->keys.access_key, core->region, lines.stamp,
                           lines.payload,
                           &lines.authorization);
    }
    ds3_text_put(&task->url, core->url.scheme);
    ds3_text_put(&task->url, "://");
    ds3_text_put(&task->url, ds3_text_get(&lines.host));
    ds3_text_put(&task->url, request.path);
    ds3_text_put(&task->url, request.query[0] ? "?" : "");
    ds3_text_put(&task->url, request.query);
    ds3_core_write_head(task, &lines, &request);
    ds3_port_unlock(&core->lock);
    bool memory = !lines.host.failed && !lines.path.failed && !lines.authorization.failed && !task->url.failed && !task->head.failed;
    ds3_text_free(&lines.host);
    ds3_text_free(&lines.path);
    ds3_text_free(&lines.authorization);
    task->status = !memory ? DREAMDB_ERR_MEMORY : DREAMDB_ERR_STORE;
    if (!good) {
        ds3_core_tell(core, "the credentials callback gave no keys");
    }
    return good && memory;
}

/* ---- Counting ---- */

DS3_PORT_FN void ds3_core_count_start(ds3_core_state *core, const ds3_core_task *task)
{
    dreamdb_s3_stats *stats = &core->stats;
    const char *method = task->resolving ? "GET" : task->method;
    ds3_port_lock(&core->lock);
    stats->attempts_started++;
    stats->retries_internal += task->tries > 1 || task->stale > 0;
    stats->request_body_bytes += task->exchange.body_size;
    stats->requests_get += strcmp(method, "GET") == 0;
    stats->requests_head += strcmp(method, "HEAD") == 0;
    stats->requests_put += strcmp(method, "PUT") == 0;
    stats->requests_post += strcmp(method, "POST") == 0;
    stats->requests_delete += strcmp(method, "DELETE") == 0;
    stats->requests_list += task->verb == DS3_RETRY_LIST;
    stats->ranged_gets += task->verb == DS3_RETRY_GET && (task->offset > 0 || task->size > 0);
    ds3_port_unlock(&core->lock);
}

DS3_PORT_FN void ds3_core_count_end(ds3_core_state *core, const ds3_core_task *task)
{
    dreamdb_s3_stats *stats = &core->stats;
    const dreamdb_s3_exchange *x = &task->exchange;
    bool answered = x->result == DREAMDB_S3_DONE;
    ds3_port_lock(&core->lock);
    stats->attempts_completed++;
    stats->transport_errors += !answered;
    stats->status_2xx += answered && x->http_status / 100 == 2;
    stats->status_3xx += answered && x->http_status / 100 == 3;
    stats->status_4xx += answered && x->http_status / 100 == 4;
    stats->status_5xx += answered && x->http_status / 100 == 5;
    stats->status_412 += answered && x->http_status == 412;
    stats->response_body_bytes += x->passed;
    stats->attempt_nanos_total += ds3_port_ns() - task->sent_ns;
    ds3_port_unlock(&core->lock);
}

/* ---- The engine ---- */

typedef struct ds3_core_run { ds3_core_state *core; void *session; ds3_core_task *tasks, *waiting; size_t count, next, flying, over, window;
    } ds3_core_run;

DS3_PORT_FN void ds3_core_over(ds3_core_run *run, ds3_core_task *task, int status)
{
    task->status = status;
    ds3_text_free(&task->url);
    ds3_text_free(&task->head);
    run->over++;
}

DS3_PORT_FN uint64_t ds3_core_random(ds3_core_state *core)
{
    ds3_port_lock(&core->lock);
    core->random ^= core->random << 13;
    core->random ^= core->random >> 7;
    core->random ^= core->random << 17;
    uint64_t out = core->random;
    ds3_port_unlock(&core->lock);
    return out;
}

/* Puts a task among those that wait for their time; ends it if its tries or its time are used up. */
DS3_PORT_FN void ds3_core_again(ds3_core_run *run, ds3_core_task *task, uint32_t base_ms, bool at_once)
{
    const dreamdb_s3_options *o = &run->core->options;
    uint32_t delay = at_once ? 0 : ds3_retry_delay_ms(base_ms, o->backoff_max_ms, task->tries, task->exchange.retry_after_s,
                                                      ds3_core_random(run->core));
    uint64_t now = ds3_core_ms();
    if (task->tries >= o->tries || now + delay > task->first_ms + o->deadline_ms) {
        ds3_core_tell_task(run->core, task);
        ds3_core_over(run, task, DREAMDB_ERR_STORE);
        return;
    }
    task->due_ms = now + delay;
    task->next = run->waiting;
    run->waiting = task;
}

/* An error's code; the region that the server names comes too. */
DS3_PORT_FN void ds3_core_read_error(ds3_core_state *core, ds3_core_task *task)
{
    dreamdb_s3_exchange *x = &task->exchange;
    task->code[0] = 0;
    if (x->result == DREAMDB_S3_DONE && x->http_status >= 300 && x->size > 0) {
        (void)ds3_xml_value(&core->allocator, x->data, (size_t)x->size, "Error", "Code", task->code, sizeof task->code);
        if (!x->region[0]) {
            (void)ds3_xml_value(&core->allocator, x->data, (size_t)x->size, "Error", "Region", x->region, sizeof x->region);
        }
        if (!x->request_id[0]) {
            (void)ds3_xml_value(&core->allocator, x->data, (size_t)x->size, "Error", "RequestId", x->request_id, sizeof x->request_id);
        }
    }
}

/* Takes over what the server told about clock, keys or region; false if that does not help. */
DS3_PORT_FN bool ds3_core_mend(ds3_core_state *core, ds3_core_task *task, ds3_retry_action action)
{
    const dreamdb_s3_exchange *x = &task->exchange;
    bool *once = action == DS3_RETRY_CLOCK ? &task->clock_mended : action == DS3_RETRY_TOKEN ? &task->token_mended : &task->region_mended;
    bool good = false;
    if (*once || !core->sign) {
        return false;
    }
    *once = true;
    ds3_port_lock(&core->lock);
    if (action == DS3_RETRY_CLOCK && x->date_ns > 0) {
        uint64_t now = core->options.now_ns ? core->options.now_ns(core->options.now_user) : ds3_port_wall_ns();
        core->skew_s = (int64_t)(x->date_ns / 1000000000u) - (int64_t)(now / 1000000000u);
        good = true;
    } else if (action == DS3_RETRY_TOKEN) {
        good = core->options.credentials && ds3_core_keys(core, true);
    } else if (action == DS3_RETRY_REGION && x->region[0] && ds3_url_host_valid(x->region, strlen(x->region)) && !strchr(x->region, ':')) {
        good = true;
        (void)snprintf(core->region, sizeof core->region, "%s", x->region);
        if (core->url.amazon) {
            ds3_url_amazon(&core->url, core->region);
        }
    }
    ds3_port_unlock(&core->lock);
    return good;
}

/* The read that settles a put whose answer was lost or is in doubt. */
DS3_PORT_FN void ds3_core_resolved(ds3_core_run *run, ds3_core_task *task)
{
    dreamdb_s3_exchange *x = &task->exchange;
    bool if_tag = task->condition.kind == DREAMDB_PUT_IF_TAG;
    ds3_retry_action action = ds3_retry_decide(DS3_RETRY_GET, false, x->result, x->http_status, task->code);
    if (action == DS3_RETRY_AGAIN || action == DS3_RETRY_SLOWER) {
        ds3_core_again(run, task, run->core->options.backoff_ms, false);
        return;
    }
    bool ours = action == DS3_RETRY_GOOD && x->size == task->body_size
        && (x->size == 0 || memcmp(x->data, task->body, (size_t)x->size) == 0);
    bool before = (action == DS3_RETRY_NOT_FOUND && !if_tag) || (action == DS3_RETRY_GOOD && if_tag
                                                                 && strcmp(x->etag, task->condition.tag) == 0);
    if (ours && !(before && if_tag)) {
        ds3_core_over(run, task, DREAMDB_OK);
    } else if (before) {
        task->resolving = false;
        ds3_core_again(run, task, run->core->options.backoff_ms, false);
    } else if (action == DS3_RETRY_GOOD || action == DS3_RETRY_NOT_FOUND) {
        ds3_core_over(run, task, if_tag ? DREAMDB_ERR_CONFLICT : DREAMDB_ERR_EXISTS);
    } else {
        ds3_core_tell_task(run->core, task);
        ds3_core_over(run, task, DREAMDB_ERR_STORE);
    }
}

/* An action other than the plain ends. */
DS3_PORT_FN void ds3_core_act(ds3_core_run *run, ds3_core_task *task, ds3_retry_action action)
{
    const dreamdb_s3_options *o = &run->core->options;
    bool stale = task->exchange.result == DREAMDB_S3_STALE && task->stale < (uint32_t)DS3_CORE_STALE;
    switch (action) {
    case DS3_RETRY_RESOLVE:
        task->resolving = task->doubtful = true;
        ds3_core_again(run, task, 0, true);
        break;
    case DS3_RETRY_AGAIN:
        if (stale) {                           /* it does not count as a try: the server never looked at it */
            task->stale++;
            task->tries--;
        }
        ds3_core_again(run, task, o->backoff_ms, stale);
        break;
    case DS3_RETRY_SLOWER:
        run->window = run->window > 2 ? run->window / 2 : 1;
        ds3_core_again(run, task, 5 * o->backoff_ms, false);
        break;
    case DS3_RETRY_CLOCK: case DS3_RETRY_TOKEN: case DS3_RETRY_REGION:
        if (ds3_core_mend(run->core, task, action)) {
            ds3_core_again(run, task, 0, true);
            break;
        }
        ds3_core_tell_task(run->core, task);
        ds3_core_over(run, task, DREAMDB_ERR_STORE);
        break;
    default:
        ds3_core_tell_task(run->core, task);
        ds3_core_over(run, task, task->exchange.result == DREAMDB_S3_MEMORY ? DREAMDB_ERR_MEMORY : DREAMDB_ERR_STORE);
        break;
    }
}

/* An exchange came back. */
DS3_PORT_FN void ds3_core_landed(ds3_core_run *run, ds3_core_task *task)
{
    const dreamdb_s3_exchange *x = &task->exchange;
    bool if_tag = task->condition.kind == DREAMDB_PUT_IF_TAG;
    ds3_core_count_end(run->core, task);
    ds3_core_read_error(run->core, task);
    if (task->resolving) {
        ds3_core_resolved(run, task);
        return;
    }
    ds3_retry_action action = ds3_retry_decide(task->verb, if_tag, x->result, x->http_status, task->code);
    bool refused = action == DS3_RETRY_CONFLICT || action == DS3_RETRY_EXISTS;
    if (refused && task->doubtful && task->verb == DS3_RETRY_SWAP) {       /* perhaps our own earlier try is what stands there */
        action = DS3_RETRY_RESOLVE;
    }
    switch (action) {
    case DS3_RETRY_GOOD:
        run->window += run->window < run->core->options.connections;
        ds3_core_over(run, task, DREAMDB_OK);
        break;
    case DS3_RETRY_NOT_FOUND: ds3_core_over(run, task, DREAMDB_ERR_NOT_FOUND); break;
    case DS3_RETRY_EXISTS: ds3_core_over(run, task, DREAMDB_ERR_EXISTS); break;
    case DS3_RETRY_CONFLICT: ds3_core_over(run, task, DREAMDB_ERR_CONFLICT); break;
    case DS3_RETRY_EMPTY:
        ds3_http_drop(&task->exchange);
        ds3_core_over(run, task, DREAMDB_OK);
        break;
    default: ds3_core_act(run, task, action); break;
    }
}

DS3_PORT_FN void ds3_core_launch(ds3_core_run *run, ds3_core_task *task)
{
    if (task->first_ms == 0) {
        task->first_ms = ds3_core_ms();
    }
    if (!ds3_core_build(run->core, task)) {
        ds3_core_over(run, task, task->status);
        return;
    }
    ds3_core_fill(run->core, task);
    task->tries++;
    task->sent_ns = ds3_port_ns();
    ds3_core_count_start(run->core, task);
    run->flying++;
    run->core->transport.start(run->session, &task->exchange);
}

/* The waiting task that is due, out of the list; else NULL, and when the first will be. */
DS3_PORT_FN ds3_core_task *ds3_core_due(ds3_core_run *run, uint64_t *first_ms)
{
    uint64_t now = ds3_core_ms();
    *first_ms = UINT64_MAX;
    for (ds3_core_task **at = &run->waiting; *at; at = &(*at)->next) {
        ds3_core_task *task = *at;
        if (task->due_ms <= now) {
            *at = task->next;
            return task;
        }
        *first_ms = task->due_ms < *first_ms ? task->due_ms : *first_ms;
    }
    return NULL;
}

DS3_PORT_FN void ds3_core_turn(ds3_core_run *run)
{
    uint64_t first_ms = UINT64_MAX;
    ds3_core_task *task = NULL;
    while (run->flying < run->window && (task = ds3_core_due(run, &first_ms)) != NULL) {
        ds3_core_launch(run, task);
    }
    while (run->flying < run->window && run->next < run->count) {
        ds3_core_launch(run, run->tasks + run->next++);
    }
    uint64_t now = ds3_core_ms(), wait_ms = run->flying < run->window && first_ms != UINT64_MAX && first_ms > now ? first_ms - now : 1000;
    wait_ms = wait_ms < 1000 ? wait_ms : 1000;
    if (run->flying > 0) {
        dreamdb_s3_exchange *done = NULL;
        run->core->transport.wait(run->session, (uint32_t)wait_ms, &done);
        if (done) {
            run->flying--;
            ds3_core_landed(run, (ds3_core_task *)(void *)done);
        }
    } else if (run->over < run->count && first_ms != UINT64_MAX) {
        ds3_port_sleep_ms((uint32_t)wait_ms);
    }
}

/* A session of the transport that no other call uses. */
DS3_PORT_FN ds3_core_session *ds3_core_take_session(ds3_core_state *core)
{
    ds3_port_lock(&core->lock);
    ds3_core_session *session = core->sessions;
    core->sessions = session ? session->next : NULL;
    ds3_port_unlock(&core->lock);
    if (!session) {
        session = (ds3_core_session *)ds3_port_new(&core->allocator, sizeof *session);
        if (session && core->transport.open(core->transport.user, &session->handle) != DREAMDB_OK) {
            ds3_port_drop(&core->allocator, session, sizeof *session);
            session = NULL;
        }
    }
    return session;
}

/* Carries all tasks to their end, one wave; each has its status.  Fails only if nothing could be tried. */
DS3_PORT_FN int ds3_core_carry(ds3_core_state *core, ds3_core_task *tasks, size_t count)
{
    ds3_core_run run;
    if (count == 0) {
        return DREAMDB_OK;
    }
    ds3_core_session *session = ds3_core_take_session(core);
    if (!session) {
        ds3_core_tell(core, "no memory for a session");
        return DREAMDB_ERR_MEMORY;
    }
    memset(&run, 0, sizeof run);
    run.core = core;
    run.session = session->handle;
    run.tasks = tasks;
    run.count = count;
    run.window = core->options.connections;
    while (run.over < count) {
        ds3_core_turn(&run);
    }
    ds3_port_lock(&core->lock);
    core->stats.waves++;
    session->next = core->sessions;
    core->sessions = session;
    ds3_port_unlock(&core->lock);
    return DREAMDB_OK;
}

DS3_PORT_FN void ds3_core_close(ds3_core_state *core)
{
    dreamdb_allocator allocator = core->allocator;
    while (core->sessions) {
        ds3_core_session *session = core->sessions;
        core->sessions = session->next;
        core->transport.close(session->handle);
        ds3_port_drop(&allocator, session, sizeof *session);
    }
    ds3_port_mutex_free(&core->lock);
    ds3_port_wipe(&core->keys, sizeof core->keys);
    ds3_port_wipe(core->day_key, sizeof core->day_key);
    ds3_port_drop(&allocator, core, sizeof *core);
}

/* ==== ROOM 12 verbs | prefix ds3_verbs_ | uses port text url xml http retry core ==== */
/* The callbacks of dreamdb_store: batches, listings, deletes by the thousand, uploads in parts.  Paths are checked before they become
   keys, and keys before they become paths.  Must never touch a socket. */

enum { DS3_VERBS_MANY = 1000, DS3_VERBS_PARTS = 10000, DS3_VERBS_TOKEN = 4096 };

DS3_PORT_FN bool ds3_verbs_mutable(const char *path) { return strncmp(path, "refs/", 5) == 0 || path[0] == '_' || path[0] == '.'; }

/* The request of one operation. */
DS3_PORT_FN void ds3_verbs_task(ds3_core_task *task, const dreamdb_io *op)
{
    switch ((int)op->kind) {
    case DREAMDB_IO_GET:
        ds3_core_task_init(task, DS3_RETRY_GET, "GET", op->path);
        task->offset = op->offset;
        task->size = op->size;
        break;
    case DREAMDB_IO_PUT: {
        bool swap = op->condition.kind == DREAMDB_PUT_IF_TAG || (op->condition.kind == DREAMDB_PUT_IF_ABSENT
                                                                 && ds3_verbs_mutable(op->path));
        ds3_core_task_init(task, swap ? DS3_RETRY_SWAP : DS3_RETRY_PUT, "PUT", op->path);
        task->body = op->data;
        task->body_size = op->size;
        task->condition = op->condition;
        break;
    }
    case DREAMDB_IO_STAT: ds3_core_task_init(task, DS3_RETRY_HEAD, "HEAD", op->path); break;
    default: ds3_core_task_init(task, DS3_RETRY_REMOVE, "DELETE", op->path); break;
    }
}

/* What came, into the operation. */
DS3_PORT_FN void ds3_verbs_settle(ds3_core_state *core, ds3_core_task *task, dreamdb_io *op)
{
    dreamdb_s3_exchange *x = &task->exchange;
    op->status = task->status;
    if (task->status != DREAMDB_OK) {
        return;
    }
    if (op->kind == DREAMDB_IO_GET) {
        bool wrong = x->http_status == 206 && x->range_first != op->offset;
        if (wrong) {
            ds3_core_tell(core, "the server answered with another range than the one asked for");
            op->status = DREAMDB_ERR_STORE;
            return;
        }
        memset(&op->blob, 0, sizeof op->blob);
        memcpy(op->blob.tag, x->etag, sizeof op->blob.tag);
        if (x->data) {
            op->blob.data = x->data;
            op->blob.size = x->size;
            op->blob.release = ds3_http_release;
            op->blob.release_user = x->data;
            x->data = NULL;
            x->size = x->cap = 0;
        }
    } else if (op->kind == DREAMDB_IO_STAT || op->kind == DREAMDB_IO_PUT) {
        op->stat.size = op->kind == DREAMDB_IO_PUT ? op->size : x->content_length;
        op->stat.modified_ns = x->modified_ns;
        memcpy(op->stat.tag, x->etag, sizeof op->stat.tag);
        if (op->stat.size == UINT64_MAX) {
            ds3_core_tell(core, "the server told no Content-Length");
            op->status = DREAMDB_ERR_STORE;
        }
    }
}

/* ---- Many deletes in one request ---- */

DS3_PORT_FN void ds3_verbs_escape(ds3_text_buf *out, const char *key)
{
    for (; *key; key++) {
        const char *entity = *key == '&' ? "&amp;" : *key == '<' ? "&lt;" : *key == '>' ? "&gt;" : *key == '"' ? "&quot;" : NULL;
        if (entity) {
            ds3_text_put(out, entity);
        } else {
            ds3_text_add(out, key, 1);
        }
    }
}

DS3_PORT_FN void ds3_verbs_many_body(const ds3_core_state *core, dreamdb_io **ops, size_t count, ds3_text_buf *out)
{
    ds3_text_put(out, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < count; i++) {
        ds3_text_put(out, "<Object><Key>");
        ds3_verbs_escape(out, core->url.prefix);
        ds3_text_put(out, core->url.prefix[0] ? "/" : "");
        ds3_verbs_escape(out, ops[i]->path);
        ds3_text_put(out, "</Key></Object>");
    }
    ds3_text_put(out, "<Quiet>true</Quiet></Delete>");
}

/* Marks the operation whose key the server could not remove. */
DS3_PORT_FN void ds3_verbs_many_error(const ds3_core_state *core, dreamdb_io **ops, size_t count, const char *key)
{
    size_t skip = strlen(core->url.prefix);
    if (skip > 0 && (strncmp(key, core->url.prefix, skip) != 0 || key[skip++] != '/')) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(ops[i]->path, key + skip) == 0) {
            ops[i]->status = DREAMDB_ERR_STORE;
        }
    }
}

/* Reads DeleteResult: all are gone but those with an Error.  false if it is no such answer. */
DS3_PORT_FN bool ds3_verbs_many_read(ds3_core_state *core, const ds3_core_task *task, dreamdb_io **ops, size_t count)
{
    ds3_xml_in xml;
    bool closed = false, right = false, refused = false;
    char key[DS3_URL_KEY_MAX + 8], code[64], text[DS3_CORE_REASON];
    ds3_xml_event event;
    key[0] = code[0] = 0;
    ds3_xml_start(&xml, &core->allocator, task->exchange.data, (size_t)task->exchange.size);
    while ((event = ds3_xml_next(&xml, &closed)) != DS3_XML_END && event != DS3_XML_BAD) {
        const char *name = ds3_xml_name(&xml, 0), *above = ds3_xml_name(&xml, 1);
        right = right || (xml.depth == 1 && strcmp(name, "DeleteResult") == 0);
        if (event == DS3_XML_CLOSE && strcmp(above, "Error") == 0 && strcmp(name, "Key") == 0) {
            ds3_text_copy(key, sizeof key, ds3_text_get(&xml.text), xml.text.size);
        } else if (event == DS3_XML_CLOSE && strcmp(above, "Error") == 0 && strcmp(name, "Code") == 0) {
            ds3_text_copy(code, sizeof code, ds3_text_get(&xml.text), xml.text.size);
        } else if (event == DS3_XML_CLOSE && xml.depth == 2 && strcmp(name, "Error") == 0) {
            if (strcmp(code, "NoSuchKey") != 0) {
                ds3_verbs_many_error(core, ops, count, key);
                (void)snprintf(text, sizeof text, "DELETE of many in bucket '%.40s': %s: %.100s", core->url.bucket, code, key);
                refused = true;
            }
            key[0] = code[0] = 0;
        }
    }
    ds3_xml_stop(&xml);
    if (refused) {
        ds3_core_tell(core, text);
    }
    return event == DS3_XML_END && right;
}

/* ---- Uploads in parts ---- */

/* One request of its own. */
DS3_PORT_FN int ds3_verbs_one(ds3_core_state *core, ds3_core_task *task)
{
    int status = ds3_core_carry(core, task, 1);
    return status < 0 ? status : task->status;
}

DS3_PORT_FN int ds3_verbs_upload_begin(ds3_core_state *core, const dreamdb_io *op, ds3_text_buf *id)
{
    ds3_core_task task;
    char raw[1024];
    ds3_core_task_init(&task, DS3_RETRY_POST, "POST", op->path);
    task.query = "uploads=";
    int status = ds3_verbs_one(core, &task);
    if (status == DREAMDB_OK
        && (!ds3_xml_value(&core->allocator, task.exchange.data, (size_t)task.exchange.size, "InitiateMultipartUploadResult", "UploadId",
                           raw, sizeof raw)
            || !raw[0])) {
        ds3_core_tell(core, "the server gave no UploadId");
        status = DREAMDB_ERR_STORE;
    }
    if (status == DREAMDB_OK) {
        ds3_text_put(id, "uploadId=");
        ds3_text_escape(id, raw, false);
        status = id->failed ? (int)DREAMDB_ERR_MEMORY : status;
    }
    ds3_core_task_free(&task);
    return status;
}

/* Sends all parts at once (as many as there are connections), and writes the list of their tags. */
DS3_PORT_FN int ds3_verbs_upload_parts(ds3_core_state *core, const dreamdb_io *op, const char *id, ds3_text_buf *list)
{
    uint64_t part = core->options.part_bytes;
    part = op->size / DS3_VERBS_PARTS >= part ? op->size / DS3_VERBS_PARTS + 1 : part;
    size_t count = (size_t)((op->size + part - 1) / part), room = strlen(id) + 32;
    ds3_core_task *tasks = (ds3_core_task *)ds3_port_new(&core->allocator, count * sizeof *tasks);
    char *queries = (char *)ds3_port_new(&core->allocator, count * room);
    int status = tasks && queries ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        ds3_core_task_init(tasks + i, DS3_RETRY_PUT, "PUT", op->path);
        (void)snprintf(queries + i * room, room, "partNumber=%zu&%s", i + 1, id);
        tasks[i].query = queries + i * room;
        tasks[i].body = (const char *)op->data + i * part;
        tasks[i].body_size = op->size - i * part < part ? op->size - i * part : part;
    }
    status = status == DREAMDB_OK ? ds3_core_carry(core, tasks, count) : status;
    ds3_text_put(list, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        status = tasks[i].status;
        ds3_text_put(list, "<Part><PartNumber>");
        ds3_text_u64(list, i + 1);
        ds3_text_put(list, "</PartNumber><ETag>");
        ds3_verbs_escape(list, tasks[i].exchange.etag);
        ds3_text_put(list, "</ETag></Part>");
    }
    ds3_text_put(list, "</CompleteMultipartUpload>");
    for (size_t i = 0; tasks && i < count; i++) {
        ds3_core_task_free(tasks + i);
    }
    ds3_port_drop(&core->allocator, tasks, count * sizeof *tasks);
    ds3_port_drop(&core->allocator, queries, count * room);
    return status == DREAMDB_OK && list->failed ? (int)DREAMDB_ERR_MEMORY : status;
}

DS3_PORT_FN int ds3_verbs_upload_end(ds3_core_state *core, dreamdb_io *op, const char *id, const ds3_text_buf *list)
{
    ds3_core_task task;
    char code[64];
    ds3_core_task_init(&task, DS3_RETRY_POST, "POST", op->path);
    task.query = id;
    task.type = "application/xml";
    task.body = ds3_text_get(list);
    task.body_size = list->size;
    task.condition = op->condition;
    int status = ds3_verbs_one(core, &task);
    if (status == DREAMDB_OK                   /* 200 may come before the server knows: the error is in the body then */
        && ds3_xml_value(&core->allocator, task.exchange.data, (size_t)task.exchange.size, "Error", "Code", code, sizeof code)) {
        status = strcmp(code, "PreconditionFailed") == 0
               ? (op->condition.kind == DREAMDB_PUT_IF_TAG ? (int)DREAMDB_ERR_CONFLICT : (int)DREAMDB_ERR_EXISTS) : (int)DREAMDB_ERR_STORE;
        ds3_core_tell(core, code);
    } else if (status == DREAMDB_OK && !ds3_xml_value(&core->allocator, task.exchange.data, (size_t)task.exchange.size,
                                                      "CompleteMultipartUploadResult", "ETag", code, sizeof code)) {
        ds3_core_tell(core, "the server did not say that the upload is whole");
        status = DREAMDB_ERR_STORE;
    }
    ds3_core_task_free(&task);
    return status;
}

/* A put that is too large for one request.  If anything fails, the parts are given back. */
DS3_PORT_FN void ds3_verbs_upload(ds3_core_state *core, dreamdb_io *op)
{
    ds3_text_buf id, list;
    ds3_text_init(&id, &core->allocator);
    ds3_text_init(&list, &core->allocator);
    op->status = ds3_verbs_upload_begin(core, op, &id);
    bool begun = op->status == DREAMDB_OK;
    op->status = begun ? ds3_verbs_upload_parts(core, op, ds3_text_get(&id), &list) : op->status;
    op->status = op->status == DREAMDB_OK ? ds3_verbs_upload_end(core, op, ds3_text_get(&id), &list) : op->status;
    if (begun && op->status != DREAMDB_OK) {
        char kept[DS3_CORE_REASON];
        ds3_core_task task;
        ds3_port_lock(&core->lock);
        memcpy(kept, core->reason, sizeof kept);
        ds3_port_unlock(&core->lock);
        ds3_core_task_init(&task, DS3_RETRY_REMOVE, "DELETE", op->path);
        task.query = ds3_text_get(&id);
        (void)ds3_verbs_one(core, &task);
        ds3_core_task_free(&task);
        ds3_core_tell(core, kept);
    }
    ds3_text_free(&id);
    ds3_text_free(&list);
}

/* ---- Batches ---- */

/* One batch on its way: tasks of single operations first, then those that remove up to 1,000 each. */
typedef struct ds3_verbs_batch_run {
    ds3_core_state      *core;
    dreamdb_io    *ops;
    size_t         count, singles, removals, groups;
    ds3_core_task *tasks;                      /* [count + groups] */
    dreamdb_io   **of;                         /* [count] the operation of a single task, or the removals in a row at the end */
    ds3_text_buf      *bodies;                     /* [groups] */
} ds3_verbs_batch_run;

/* Refuses what cannot be tried; true if the operation takes part. */
DS3_PORT_FN bool ds3_verbs_admit(ds3_core_state *core, dreamdb_io *op)
{
    bool writes = op->kind == DREAMDB_IO_PUT || op->kind == DREAMDB_IO_REMOVE;
    bool known = writes || op->kind == DREAMDB_IO_GET || op->kind == DREAMDB_IO_STAT;
    memset(&op->blob, 0, sizeof op->blob);
    op->status = DREAMDB_ERR_STORE;
    if (!known || !ds3_url_key_valid(&core->url, op->path)
        || (op->kind == DREAMDB_IO_PUT && op->condition.kind == DREAMDB_PUT_IF_TAG && (!op->condition.tag || !op->condition.tag[0]))) {
        op->status = DREAMDB_ERR_ARGUMENT;
        return false;
    }
    if (writes && core->options.read_only) {
        ds3_core_tell(core, "the store was opened for reading only");
        return false;
    }
    return true;
}

DS3_PORT_FN bool ds3_verbs_is_large(const ds3_core_state *core, const dreamdb_io *op)
{
    return op->kind == DREAMDB_IO_PUT && op->size > core->options.part_bytes && core->url.bucket[0] && core->sign
        && !(op->condition.kind != DREAMDB_PUT_ALWAYS && ds3_verbs_mutable(op->path));
}

/* Sorts the operations into tasks. */
DS3_PORT_FN bool ds3_verbs_plan(ds3_verbs_batch_run *run)
{
    ds3_core_state *core = run->core;
    ds3_port_lock(&core->lock);
    bool one_by_one = core->many_refused || !core->sign || !core->url.bucket[0];
    ds3_port_unlock(&core->lock);
    for (size_t i = 0; i < run->count; i++) {
        dreamdb_io *op = run->ops + i;
        if (!ds3_verbs_admit(core, op) || ds3_verbs_is_large(core, op)) {
            continue;
        }
        if (op->kind == DREAMDB_IO_REMOVE && !one_by_one) {
            run->of[run->count - ++run->removals] = op;
        } else {
            ds3_verbs_task(run->tasks + run->singles, op);
            run->of[run->singles++] = op;
        }
    }
    if (run->removals == 1) {
        ds3_verbs_task(run->tasks + run->singles, run->of[run->count - 1]);
        run->of[run->singles++] = run->of[run->count - 1];
        run->removals = 0;
    }
    run->groups = (run->removals + DS3_VERBS_MANY - 1) / DS3_VERBS_MANY;
    bool good = true;
    for (size_t g = 0; g < run->groups; g++) {
        size_t from = g * DS3_VERBS_MANY, n = run->removals - from < (size_t)DS3_VERBS_MANY ? run->removals - from : (size_t)DS3_VERBS_MANY;
        ds3_core_task *task = run->tasks + run->singles + g;
        ds3_text_init(run->bodies + g, &core->allocator);
        ds3_verbs_many_body(core, run->of + run->count - run->removals + from, n, run->bodies + g);
        ds3_core_task_init(task, DS3_RETRY_POST, "POST", NULL);
        task->query = "delete=";
        task->type = "application/xml";
        task->sum = true;
        task->body = ds3_text_get(run->bodies + g);
        task->body_size = run->bodies[g].size;
        good = good && !run->bodies[g].failed;
    }
    return good;
}

/* The answers of the groups; operations of one that the server does not know are done one by one. */
DS3_PORT_FN int ds3_verbs_groups(ds3_verbs_batch_run *run)
{
    ds3_core_state *core = run->core;
    int status = DREAMDB_OK;
    for (size_t g = 0; g < run->groups && status == DREAMDB_OK; g++) {
        size_t from = g * DS3_VERBS_MANY, n = run->removals - from < (size_t)DS3_VERBS_MANY ? run->removals - from : (size_t)DS3_VERBS_MANY;
        dreamdb_io **ops = run->of + run->count - run->removals + from;
        ds3_core_task *task = run->tasks + run->singles + g;
        int code = task->exchange.http_status;
        for (size_t i = 0; i < n; i++) {
            ops[i]->status = task->status;
        }
        bool unknown = task->status != DREAMDB_OK && (code == 501 || code == 405 || code == 404 || code == 400)
            && strcmp(task->code, "NoSuchBucket") != 0;
        if (task->status == DREAMDB_OK) {
            unknown = !ds3_verbs_many_read(core, task, ops, n);
        }
        if (unknown) {
            ds3_core_task *singles = (ds3_core_task *)ds3_port_new(&core->allocator, n * sizeof *singles);
            ds3_port_lock(&core->lock);
            core->many_refused = true;
            ds3_port_unlock(&core->lock);
            for (size_t i = 0; i < n && singles; i++) {
                ds3_verbs_task(singles + i, ops[i]);
            }
            status = singles ? ds3_core_carry(core, singles, n) : (int)DREAMDB_ERR_MEMORY;
            for (size_t i = 0; i < n && singles; i++) {
                ops[i]->status = singles[i].status;
                ds3_core_task_free(singles + i);
            }
            ds3_port_drop(&core->allocator, singles, n * sizeof *singles);
        }
    }
    return status;
}

DS3_PORT_FN int ds3_verbs_batch(void *user, dreamdb_io *ops, size_t count)
{
    ds3_core_state *core = (ds3_core_state *)user;
    ds3_verbs_batch_run run;
    size_t most = count / DS3_VERBS_MANY + 1;
    if (count == 0) {
        return DREAMDB_OK;
    }
    memset(&run, 0, sizeof run);
    run.core = core;
    run.ops = ops;
    run.count = count;
    if (count > SIZE_MAX / 2 / sizeof *run.tasks) {
        return DREAMDB_ERR_MEMORY;
    }
    run.tasks = (ds3_core_task *)ds3_port_new(&core->allocator, (count + most) * sizeof *run.tasks);
    run.of = (dreamdb_io **)ds3_port_new(&core->allocator, count * sizeof *run.of);
    run.bodies = (ds3_text_buf *)ds3_port_new(&core->allocator, most * sizeof *run.bodies);
    bool good = run.tasks && run.of && run.bodies && ds3_verbs_plan(&run);
    int status = good ? ds3_core_carry(core, run.tasks, run.singles + run.groups) : (int)DREAMDB_ERR_MEMORY;
    for (size_t i = 0; i < run.singles; i++) {
        if (status == DREAMDB_OK) {
            ds3_verbs_settle(core, run.tasks + i, run.of[i]);
        }
        ds3_core_task_free(run.tasks + i);
    }
    status = status == DREAMDB_OK ? ds3_verbs_groups(&run) : status;
    for (size_t g = 0; g < run.groups; g++) {
        ds3_core_task_free(run.tasks + run.singles + g);
        ds3_text_free(run.bodies + g);
    }
    ds3_port_drop(&core->allocator, run.tasks, (count + most) * sizeof *run.tasks);
    ds3_port_drop(&core->allocator, (void *)run.of, count * sizeof *run.of);
    ds3_port_drop(&core->allocator, run.bodies, most * sizeof *run.bodies);
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        if (ops[i].status == DREAMDB_ERR_STORE && !core->options.read_only && ds3_verbs_is_large(core, ops + i)) {
            ds3_verbs_upload(core, ops + i);
        }
    }
    return status;
}

/* ---- The single callbacks: batches of one ---- */

DS3_PORT_FN int ds3_verbs_single(ds3_core_state *core, dreamdb_io *op)
{
    int status = ds3_verbs_batch(core, op, 1);
    return status < 0 ? status : op->status;
}

DS3_PORT_FN int ds3_verbs_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    dreamdb_io op;
    memset(&op, 0, sizeof op);
    op.kind = DREAMDB_IO_GET;
    op.path = path;
    op.offset = offset;
    op.size = size;
    int status = ds3_verbs_single((ds3_core_state *)user, &op);
    *out = op.blob;
    return status;
}

DS3_PORT_FN int ds3_verbs_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    dreamdb_io op;
    memset(&op, 0, sizeof op);
    op.kind = DREAMDB_IO_PUT;
    op.path = path;
    op.data = data;
    op.size = size;
    if (condition) {
        op.condition = *condition;
    }
    return ds3_verbs_single((ds3_core_state *)user, &op);
}

DS3_PORT_FN int ds3_verbs_stat(void *user, const char *path, dreamdb_stat *out)
{
    dreamdb_io op;
    memset(&op, 0, sizeof op);
    op.kind = DREAMDB_IO_STAT;
    op.path = path;
    int status = ds3_verbs_single((ds3_core_state *)user, &op);
    *out = op.stat;
    return status;
}

DS3_PORT_FN int ds3_verbs_remove(void *user, const char *path)
{
    dreamdb_io op;
    memset(&op, 0, sizeof op);
    op.kind = DREAMDB_IO_REMOVE;
    op.path = path;
    return ds3_verbs_single((ds3_core_state *)user, &op);
}

/* ---- Listing ---- */

typedef struct ds3_verbs_listing {
    ds3_core_state       *core;
    dreamdb_list_fn each;
    void           *each_user;
    bool            escaped, truncated, right;
    char            token[DS3_VERBS_TOKEN];    /* of the next page; "" = none */
    char            key[DS3_URL_KEY_MAX + 8];
    dreamdb_stat    stat;
    int             stopped;                   /* what each returned, if not 0 */
} ds3_verbs_listing;

/* A key of the page, to the caller as a path.  Keys that no path of ours has (folders, other users' objects) are passed over. */
DS3_PORT_FN int ds3_verbs_list_key(ds3_verbs_listing *listing)
{
    const ds3_url_place *url = &listing->core->url;
    size_t size = strlen(listing->key), skip = strlen(url->prefix);
    if (listing->escaped) {
        listing->key[ds3_text_unescape(listing->key, size, true)] = 0;
    }
    if (skip > 0 && (strncmp(listing->key, url->prefix, skip) != 0 || listing->key[skip++] != '/')) {
        return 0;
    }
    return ds3_url_key_valid(url, listing->key + skip) ? listing->each(listing->each_user, listing->key + skip, &listing->stat) : 0;
}

/* An element of a page ended. */
DS3_PORT_FN int ds3_verbs_list_element(ds3_verbs_listing *listing, const ds3_xml_in *xml)
{
    const char *name = ds3_xml_name(xml, 0), *above = ds3_xml_name(xml, 1), *text = ds3_text_get(&xml->text);
    size_t size = xml->text.size;
    if (xml->depth == 3 && strcmp(above, "Contents") == 0) {
        if (strcmp(name, "Key") == 0 && size < sizeof listing->key && !memchr(text, 0, size)) {
            memcpy(listing->key, text, size);
            listing->key[size] = 0;
        } else if (strcmp(name, "Size") == 0) {
            (void)ds3_text_number(text, size, &listing->stat.size);
        } else if (strcmp(name, "LastModified") == 0) {
            listing->stat.modified_ns = ds3_text_iso_date(text, size);
        } else if (strcmp(name, "ETag") == 0 && size < sizeof listing->stat.tag) {
            ds3_text_copy(listing->stat.tag, sizeof listing->stat.tag, text, size);
        }
    } else if (xml->depth == 2 && strcmp(name, "Contents") == 0) {
        int stopped = listing->key[0] ? ds3_verbs_list_key(listing) : 0;
        listing->key[0] = 0;
        memset(&listing->stat, 0, sizeof listing->stat);
        return stopped;
    } else if (xml->depth == 2 && strcmp(name, "IsTruncated") == 0) {
        listing->truncated = size == 4 && memcmp(text, "true", 4) == 0;
    } else if (xml->depth == 2 && strcmp(name, "NextContinuationToken") == 0 && size < sizeof listing->token) {
        ds3_text_copy(listing->token, sizeof listing->token, text, size);
    }
    return 0;
}

/* Goes through a page; false if it is no whole list. */
DS3_PORT_FN bool ds3_verbs_list_page(ds3_verbs_listing *listing, const char *data, size_t size)
{
    ds3_xml_in xml;
    bool closed = false;
    char coding[8];
    ds3_xml_event event = DS3_XML_END;
    listing->escaped = ds3_xml_value(&listing->core->allocator, data, size, "ListBucketResult", "EncodingType", coding, sizeof coding)
                    && strcmp(coding, "url") == 0;
    listing->truncated = listing->right = false;
    listing->token[0] = listing->key[0] = 0;
    memset(&listing->stat, 0, sizeof listing->stat);
    ds3_xml_start(&xml, &listing->core->allocator, data, size);
    while (listing->stopped == 0 && (event = ds3_xml_next(&xml, &closed)) != DS3_XML_END && event != DS3_XML_BAD) {
        listing->right = listing->right || (xml.depth == 1 && strcmp(ds3_xml_name(&xml, 0), "ListBucketResult") == 0);
        if (event == DS3_XML_CLOSE && strcmp(xml.names[0], "ListBucketResult") == 0) {
            listing->stopped = ds3_verbs_list_element(listing, &xml);
        }
    }
    ds3_xml_stop(&xml);
    return event != DS3_XML_BAD && listing->right;
}

DS3_PORT_FN void ds3_verbs_list_query(const ds3_core_state *core, const char *prefix, const char *token, ds3_text_buf *out)
{
    out->size = 0;
    if (token[0]) {
        ds3_text_put(out, "continuation-token=");
        ds3_text_escape(out, token, false);
        ds3_text_put(out, "&");
    }
    ds3_text_put(out, "list-type=2&max-keys=1000&prefix=");
    if (core->url.prefix[0]) {
        ds3_text_escape(out, core->url.prefix, false);
        ds3_text_put(out, "%2F");
    }
    ds3_text_escape(out, prefix, false);
}

DS3_PORT_FN int ds3_verbs_list(void *user, const char *prefix, dreamdb_list_fn each, void *each_user)
{
    ds3_core_state *core = (ds3_core_state *)user;
    char before[DS3_VERBS_TOKEN];
    ds3_text_buf query;
    int status = DREAMDB_OK;
    ds3_verbs_listing *listing = (ds3_verbs_listing *)ds3_port_new(&core->allocator, sizeof *listing);
    if (!listing) {
        return DREAMDB_ERR_MEMORY;
    }
    listing->core = core;
    listing->each = each;
    listing->each_user = each_user;
    ds3_text_init(&query, &core->allocator);
    do {
        ds3_core_task task;
        memcpy(before, listing->token, sizeof before);
        ds3_verbs_list_query(core, prefix, before, &query);
        ds3_core_task_init(&task, DS3_RETRY_LIST, "GET", NULL);
        task.query = ds3_text_get(&query);
        status = query.failed ? (int)DREAMDB_ERR_MEMORY : ds3_verbs_one(core, &task);
        if (status == DREAMDB_OK && !ds3_verbs_list_page(listing, task.exchange.data ? task.exchange.data : "",
                                                         (size_t)task.exchange.size)) {
            ds3_core_tell(core, "the server's answer to a listing is no ListBucketResult");
            status = DREAMDB_ERR_STORE;
        }
        if (status == DREAMDB_OK && listing->stopped == 0 && listing->truncated
            && (!listing->token[0] || strcmp(listing->token, before) == 0)) {
            ds3_core_tell(core, "the server's listing goes on without a new token: it would never end");
            status = DREAMDB_ERR_STORE;
        }
        ds3_core_task_free(&task);
    } while (status == DREAMDB_OK && listing->stopped == 0 && listing->truncated);
    status = status == DREAMDB_OK ? listing->stopped : status;
    ds3_text_free(&query);
    ds3_port_drop(&core->allocator, listing, sizeof *listing);
    return status;
}

DS3_PORT_FN void ds3_verbs_reason(void *user, char *out, size_t size)
{
    ds3_core_state *core = (ds3_core_state *)user;
    ds3_port_lock(&core->lock);
    (void)snprintf(out, size, "%s", core->reason);
    ds3_port_unlock(&core->lock);
}

DS3_PORT_FN void ds3_verbs_close(void *user) { ds3_core_close((ds3_core_state *)user); }

/* ==== ROOM 13 api | prefix ds3_api_ | uses port sha url tcp curl core verbs ==== */
/* The public functions: arguments, environment, defaults. */

DS3_PORT_FN dreamdb_status ds3_api_fail(dreamdb_error *error, dreamdb_status status, const char *what, const char *more)
{
    if (error) {
        memset(error, 0, sizeof *error);
        error->status = status;
        (void)snprintf(error->message, sizeof error->message, "%.200s%s%.100s", what, more[0] ? ": " : "", more);
    }
    return status;
}

DS3_PORT_FN const char *ds3_api_environment(const dreamdb_s3_options *options, const char *name)
{
    const char *value = options->no_environment ? NULL : getenv(name);
    return value && value[0] ? value : NULL;
}

DS3_PORT_FN const char *ds3_api_first(const char *a, const char *b) { return a ? a : b; }

/* Keys: options, callback, environment; none = unsigned.  NULL, or what is wrong. */
DS3_PORT_FN const char *ds3_api_keys(ds3_core_state *core, const dreamdb_s3_options *o)
{
    bool given = o->access_key && o->secret_key;
    const char *access = given ? o->access_key : ds3_api_environment(o, "AWS_ACCESS_KEY_ID");
    const char *secret = given ? o->secret_key : ds3_api_environment(o, "AWS_SECRET_ACCESS_KEY");
    const char *token = given ? o->session_token : ds3_api_environment(o, "AWS_SESSION_TOKEN");
    if (o->anonymous) {
        return NULL;
    }
    if (o->credentials) {
        core->sign = true;
        return NULL;
    }
    if ((o->access_key != NULL) != (o->secret_key != NULL)) {
        return "access_key and secret_key go together";
    }
    if (!access || !secret) {
        return NULL;
    }
    if (strlen(access) >= sizeof core->keys.access_key || strlen(secret) >= sizeof core->keys.secret_key
        || (token && strlen(token) >= sizeof core->keys.session_token) || strpbrk(access, "\r\n ,") || (token && strpbrk(token, "\r\n"))) {
        return "the keys are longer than any key is, or hold a line's end";
    }
    (void)snprintf(core->keys.access_key, sizeof core->keys.access_key, "%s", access);
    (void)snprintf(core->keys.secret_key, sizeof core->keys.secret_key, "%s", secret);
    (void)snprintf(core->keys.session_token, sizeof core->keys.session_token, "%s", token ? token : "");
    core->sign = core->keys_known = true;
    return NULL;
}

DS3_PORT_FN const char *ds3_api_place(ds3_core_state *core, const dreamdb_s3_options *o)
{
    const char *region = ds3_api_first(ds3_api_first(o->region, ds3_api_environment(o, "AWS_REGION")),
                                       ds3_api_environment(o, "AWS_DEFAULT_REGION"));
    const char *endpoint = ds3_api_first(ds3_api_first(o->endpoint, ds3_api_environment(o, "AWS_ENDPOINT_URL_S3")),
                                         ds3_api_environment(o, "AWS_ENDPOINT_URL"));
    region = ds3_api_first(region, "us-east-1");
    if (!ds3_url_bucket_valid(region, strlen(region)) || strlen(region) > 40) {
        return "the region is not a name such as us-east-1";
    }
    (void)snprintf(core->region, sizeof core->region, "%s", region);
    return ds3_url_parse(o->url, endpoint, region, o->virtual_host, &core->url);
}

DS3_PORT_FN void ds3_api_defaults(ds3_core_state *core)
{
    dreamdb_s3_options *o = &core->options;
    o->connections = o->connections == 0 ? 64 : o->connections > 1024 ? 1024 : o->connections;
    o->connect_ms = o->connect_ms ? o->connect_ms : 5000;
    o->first_byte_ms = o->first_byte_ms ? o->first_byte_ms : 30000;
    o->idle_ms = o->idle_ms ? o->idle_ms : 15000;
    o->tries = o->tries ? o->tries : 8;
    o->deadline_ms = o->deadline_ms ? o->deadline_ms : 60000;
    o->backoff_ms = o->backoff_ms ? o->backoff_ms : 50;
    o->backoff_max_ms = o->backoff_max_ms ? o->backoff_max_ms : 5000;
    o->part_bytes = o->part_bytes ? o->part_bytes : (uint64_t)64 << 20;
    o->object_bytes = o->object_bytes ? o->object_bytes : (uint64_t)2 << 30;
    o->url = o->endpoint = o->region = o->access_key = o->secret_key = o->session_token = o->ca_file = NULL;
}

/* The transport: the caller's, libcurl for https, sockets for http. */
DS3_PORT_FN dreamdb_status ds3_api_transport(ds3_core_state *core, const dreamdb_s3_options *o, dreamdb_error *error)
{
    if (o->transport) {
        core->transport = *o->transport;
        return DREAMDB_OK;
    }
#if defined(DREAMDB_S3_CURL)
  #if defined(DREAMDB_S3_NO_SOCKETS)
    bool by_curl = true;
  #else
    bool by_curl = core->url.tls;
  #endif
    if (by_curl) {
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {        /* counted by libcurl; sessions then open on any thread */
            return ds3_api_fail(error, DREAMDB_ERR_STORE, "libcurl cannot be started", "");
        }
        const char *ca = ds3_api_first(o->ca_file, ds3_api_environment(o, "AWS_CA_BUNDLE"));
        core->carrier.curl.allocator = core->allocator;
        core->carrier.curl.connections = core->options.connections;
        core->carrier.curl.connect_ms = core->options.connect_ms;
        core->carrier.curl.first_byte_ms = core->options.first_byte_ms;
        core->carrier.curl.idle_ms = core->options.idle_ms;
        (void)snprintf(core->carrier.curl.ca_file, sizeof core->carrier.curl.ca_file, "%s", ca ? ca : "");
        core->transport.user = &core->carrier.curl;
        core->transport.open = ds3_curl_open;
        core->transport.start = ds3_curl_start;
        core->transport.wait = ds3_curl_wait;
        core->transport.close = ds3_curl_close;
        return DREAMDB_OK;
    }
#endif
    if (core->url.tls) {
        return ds3_api_fail(error, DREAMDB_ERR_UNSUPPORTED, "https needs TLS: build with -DDREAMDB_S3_CURL and -lcurl (make finds libcurl "
                            "by itself), or give options.transport", "");
    }
#if !defined(DREAMDB_S3_NO_SOCKETS)
    core->carrier.tcp.allocator = core->allocator;
    core->carrier.tcp.connections = core->options.connections;
    core->carrier.tcp.connect_ms = core->options.connect_ms;
    core->carrier.tcp.first_byte_ms = core->options.first_byte_ms;
    core->carrier.tcp.idle_ms = core->options.idle_ms;
    core->transport.user = &core->carrier.tcp;
    core->transport.open = ds3_tcp_open;
    core->transport.start = ds3_tcp_start;
    core->transport.wait = ds3_tcp_wait;
    core->transport.close = ds3_tcp_close;
    return DREAMDB_OK;
#else
    return ds3_api_fail(error, DREAMDB_ERR_UNSUPPORTED, "built with DREAMDB_S3_NO_SOCKETS: give options.transport", "");
#endif
}

DS3_PORT_FN void ds3_api_export(ds3_core_state *core, dreamdb_store *out)
{
    out->user = core;
    out->get = ds3_verbs_get;
    out->put = ds3_verbs_put;
    out->stat = ds3_verbs_stat;
    out->list = ds3_verbs_list;
    out->remove = ds3_verbs_remove;
    out->batch = ds3_verbs_batch;
    out->close = ds3_verbs_close;
    out->reason = ds3_verbs_reason;
    out->flags = (uint32_t)DREAMDB_STORE_HAS_TAGS | (uint32_t)DREAMDB_STORE_REMOTE | (core->options.read_only
                                                                                      ? (uint32_t)DREAMDB_STORE_READ_ONLY : 0u);
#if !defined(DREAMDB_NO_THREADS)
    out->flags |= (uint32_t)DREAMDB_STORE_THREAD_SAFE;
#endif
}

DREAMDB_API dreamdb_status dreamdb_store_s3(const dreamdb_s3_options *options, dreamdb_store *out, dreamdb_error *error)
{
    dreamdb_allocator allocator;
    memset(out, 0, sizeof *out);
    if (error) {
        memset(error, 0, sizeof *error);
    }
    if (!options || !options->url) {
        return ds3_api_fail(error, DREAMDB_ERR_ARGUMENT, "dreamdb_store_s3: options.url is required", "");
    }
    allocator = options->allocator;
#if !defined(DREAMDB_NO_LIBC_ALLOC)
    allocator.resize = allocator.resize ? allocator.resize : ds3_port_libc;
#endif
    ds3_core_state *core = allocator.resize ? (ds3_core_state *)ds3_port_new(&allocator, sizeof *core) : NULL;
    if (!core || !ds3_port_mutex_init(&core->lock)) {
        ds3_port_drop(&allocator, core, sizeof *core);
        return ds3_api_fail(error, DREAMDB_ERR_MEMORY, "no memory for a store", "");
    }
    core->allocator = allocator;
    core->options = *options;
    core->fast = ds3_sha_fast();
    core->hash_payload = !options->unsigned_payload;
    core->random = (ds3_port_ns() ^ (uint64_t)(uintptr_t)core ^ ds3_port_wall_ns() << 20) | 1;
    ds3_api_defaults(core);
    const char *wrong = ds3_api_place(core, options);
    dreamdb_status status = wrong ? ds3_api_fail(error, DREAMDB_ERR_ARGUMENT, "store URL", wrong) : DREAMDB_OK;
    wrong = wrong ? wrong : ds3_api_keys(core, options);
    status = wrong && status == DREAMDB_OK ? ds3_api_fail(error, DREAMDB_ERR_ARGUMENT, wrong, "") : status;
    status = status == DREAMDB_OK ? ds3_api_transport(core, options, error) : status;
    if (status != DREAMDB_OK) {
        ds3_core_close(core);
        return status;
    }
    ds3_api_export(core, out);
    return DREAMDB_OK;
}

DREAMDB_API dreamdb_status dreamdb_s3_stats_of(const dreamdb_store *store, dreamdb_s3_stats *out)
{
    memset(out, 0, sizeof *out);
    if (!store || store->batch != ds3_verbs_batch) {
        return DREAMDB_ERR_ARGUMENT;
    }
    ds3_core_state *core = (ds3_core_state *)store->user;
    ds3_port_lock(&core->lock);
    *out = core->stats;
    ds3_port_unlock(&core->lock);
    return DREAMDB_OK;
}

/* The five puts of the probe; NULL if all went as they must. */
DS3_PORT_FN const char *ds3_api_probe_puts(const dreamdb_store *store, const char *path, int *status)
{
    dreamdb_condition absent = {DREAMDB_PUT_IF_ABSENT, NULL}, match = {DREAMDB_PUT_IF_TAG, NULL};
    dreamdb_blob blob;
    char tag[DREAMDB_TAG_SIZE];
    *status = store->put(store->user, path, "a", 1, &absent);
    if (*status != DREAMDB_OK) {
        return "the scratch key cannot be written";
    }
    *status = store->put(store->user, path, "b", 1, &absent);
    if (*status != DREAMDB_ERR_EXISTS) {
        return "the server ignores If-None-Match";
    }
    *status = store->get(store->user, path, 0, 0, &blob);
    if (*status != DREAMDB_OK) {
        return "the scratch key cannot be read";
    }
    memcpy(tag, blob.tag, sizeof tag);
    if (blob.release) {
        blob.release(blob.release_user, blob.data, blob.size);
    }
    match.tag = tag;
    *status = tag[0] ? store->put(store->user, path, "c", 1, &match) : (int)DREAMDB_ERR_UNSUPPORTED;
    if (*status != DREAMDB_OK) {
        return "the server knows no ETag or no If-Match";
    }
    *status = store->put(store->user, path, "d", 1, &match);
    return *status == DREAMDB_ERR_CONFLICT ? NULL : "the server ignores If-Match";
}

DREAMDB_API dreamdb_status dreamdb_s3_probe(const dreamdb_store *store, dreamdb_error *error)
{
    char path[40], reason[DS3_CORE_REASON];
    int status = DREAMDB_OK;
    if (!store || store->batch != ds3_verbs_batch) {
        return ds3_api_fail(error, DREAMDB_ERR_ARGUMENT, "dreamdb_s3_probe: this is no store of dreamdb_store_s3", "");
    }
    (void)snprintf(path, sizeof path, "_probe/%016llx", (unsigned long long)ds3_core_random((ds3_core_state *)store->user));
    const char *wrong = ds3_api_probe_puts(store, path, &status);
    ds3_verbs_reason(store->user, reason, sizeof reason);
    (void)store->remove(store->user, path);
    if (!wrong) {
        return ds3_api_fail(error, DREAMDB_OK, "", "");
    }
    bool failed = status == DREAMDB_ERR_STORE || status == DREAMDB_ERR_MEMORY;
    return ds3_api_fail(error, failed ? (dreamdb_status)status : DREAMDB_ERR_UNSUPPORTED, wrong, failed ? reason
                        : "commits of concurrent writers would be lost");
}

#ifdef __cplusplus
}
#endif
#endif /* DREAMDB_S3_IMPLEMENTATION */
