/* dreamdb.c - the command "dreamdb", written from the public header alone.  MIT licence, see dreamdb.h.
   `dreamdb help` tells the verbs.  examples/dreamdb.c holds the library's code; the Makefile links the two.

   PLAN  output and errors | command line (one table of verbs, one of options) | store and dataset | numbers, .npy and other
         files | columns and rows in | predicates | values out | the verbs | main
   Every verb is `static int verb_x(app *)`; it gives the exit code.  A failure is one line on stderr: what, where, what to do. */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64

#include "../dreamdb.h"
#include "../dreamdb_s3.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CONFLICT = 3, EXIT_NOT_FOUND = 4, EXIT_CORRUPT = 5, EXIT_CANCELLED = 130 };

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))
#define OUT_BUFFER      ((size_t)4 << 20)     /* one write in 4 MiB: calls and hand-overs to the writing thread are lost in the copy */
#define ROWS_AT_ONCE    2048                  /* rows asked of a cursor in one call */
#define BATCH_ROWS      20000                 /* rows a commit: the reference's habit, and about 4 MB of 50-float vectors */
#define BATCH_BYTES     ((uint64_t)256 << 20) /* media and text of one batch held in memory */
#define MEDIA_IN_MEMORY ((uint64_t)64 << 20)  /* a bigger file is read by the library piece by piece */
#define PIECE_BYTES     ((size_t)4 << 20)     /* media are exported in pieces of so many bytes */

typedef struct app app;

/* ---- Errors ------------------------------------------------------------------------------------------------------ */

#if defined(__GNUC__)
  #define PRINTF_LIKE(a, b) __attribute__((format(printf, a, b)))
#else
  #define PRINTF_LIKE(a, b)
#endif

static volatile sig_atomic_t interrupted;     /* Ctrl-C came: the verb stops at its next step; a second one kills */
static int progress_shown;                    /* a progress line stands on the terminal: wipe it before the next message */

/* The option --json was given: errors and notes are JSON objects too, one a line. */
static int say_json;

/* Length of the UTF-8 sequence that starts at data, 0 if it is not one. */
static size_t utf8_size(const unsigned char *data, size_t size)
{
    unsigned char lead = data[0];
    size_t want = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : (lead & 0xf0) == 0xe0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
    if (want == 0 || want > size) {
        return 0;
    }
    for (size_t i = 1; i < want; i++) {
        if ((data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((lead == 0xe0 && data[1] < 0xa0) || (lead == 0xed && data[1] >= 0xa0) || (lead == 0xf0 && data[1] < 0x90) ||
        (lead == 0xf4 && data[1] >= 0x90)) {
        return 0;
    }
    return want;
}

/* The text as the inside of a JSON string. */
static void say_quoted(const char *text)
{
    size_t left = strlen(text);
    for (const unsigned char *at = (const unsigned char *)text; left > 0;) {
        size_t size = utf8_size(at, left);
        if (*at == '"' || *at == '\\') {
            (void)fputc('\\', stderr);
        }
        (void)fprintf(stderr, "%.*s", size > 0 ? (int)size : 1, size > 0 ? (const char *)at : "?");
        at += size > 0 ? size : 1;
        left -= size > 0 ? size : 1;
    }
}

/* Prints one line on stderr.  Bytes of foreign origin never steer the terminal.  code: of an error; 0 = a note. */
PRINTF_LIKE(2, 0) static void say(int code, const char *format, va_list list)
{
    char text[1024];
    (void)vsnprintf(text, sizeof text, format, list);
    for (char *at = text; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            *at = '?';
        }
    }
    if (progress_shown) {
        (void)fputs("\r\033[K", stderr);
        progress_shown = 0;
    }
    if (say_json) {
        (void)fputs(code ? "{\"error\":\"" : "{\"note\":\"", stderr);
        say_quoted(text);
        if (code) {
            (void)fprintf(stderr, "\",\"exit\":%d}\n", code);
        } else {
            (void)fputs("\"}\n", stderr);
        }
    } else {
        (void)fprintf(stderr, "dreamdb: %s%s\n", code ? "" : "note: ", text);
    }
}

/* Prints the reason and gives the exit code back. */
PRINTF_LIKE(2, 3) static int fail(int code, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say(code, format, list);
    va_end(list);
    return code;
}

PRINTF_LIKE(1, 2) static void note(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say(EXIT_DONE, format, list);
    va_end(list);
}

static int exit_of(dreamdb_status status)
{
    switch (status) {
    case DREAMDB_OK:
    case DREAMDB_DONE:          return EXIT_DONE;
    case DREAMDB_ERR_CONFLICT:  return EXIT_CONFLICT;
    case DREAMDB_ERR_NOT_FOUND: return EXIT_NOT_FOUND;
    case DREAMDB_ERR_CORRUPT:   return EXIT_CORRUPT;
    case DREAMDB_ERR_CANCELLED: return EXIT_CANCELLED;
    default:                    return EXIT_FAILED;
    }
}

/* Prints what the library said, in the command's words. */
static int fail_status(dreamdb_status status, const dreamdb_error *error)
{
    static const char word[] = "(allow_tombstoned ";
    const char *message = error->message[0] ? error->message : dreamdb_status_name(status);
    const char *found = strstr(message, word);
    char own[sizeof error->message + 16];
    if (found) {
        (void)snprintf(own, sizeof own, "%.*s(--allow-tombstoned %s", (int)(found - message), message, found + sizeof word - 1);
        message = own;
    }
    if (status == DREAMDB_ERR_CANCELLED || interrupted) {
        return fail(EXIT_CANCELLED, "stopped: nothing of the unfinished step is visible");
    }
    if (error->path[0] && !strstr(message, error->path)) {
        return fail(exit_of(status), "%s (%s)", message, error->path);
    }
    return fail(exit_of(status), "%s", message);
}

/* As fail_status, where the arguments came from the command line itself: a broken rule is a usage error. */
static int fail_usage(dreamdb_status status, const dreamdb_error *error)
{
    int code = fail_status(status, error);
    return status == DREAMDB_ERR_ARGUMENT ? EXIT_USAGE : code;
}

/* ---- Memory: the end of it ends the program ------------------------------------------------------------------------ */

static void *grow(void *old, size_t size)
{
    void *data = realloc(old, size > 0 ? size : 1);
    if (!data) {
        exit(fail(EXIT_FAILED, "out of memory (%zu bytes wanted): use a smaller --batch or --cache-bytes", size));
    }
    return data;
}

static size_t times(size_t a, size_t b)
{
    if (b > 0 && a > SIZE_MAX / b) {
        exit(fail(EXIT_FAILED, "out of memory: %zu x %zu bytes are more than this machine can address", a, b));
    }
    return a * b;
}

static void *grow_array(void *old, size_t count, size_t size)
{
    return grow(old, times(count, size));
}

static void *zeroed(size_t count, size_t size)
{
    size_t bytes = times(count, size);
    void *data = grow(NULL, bytes);
    memset(data, 0, bytes > 0 ? bytes : 1);
    return data;
}

static char *copy_text(const char *text, size_t size)
{
    char *copy = (char *)grow(NULL, size + 1);
    memcpy(copy, text, size);
    copy[size] = 0;
    return copy;
}

/* A growing piece of memory. */
typedef struct buffer { char *data; size_t used, size; } buffer;

static char *buffer_room(buffer *b, size_t more)
{
    if (more > b->size - b->used) {
        size_t size = b->size < 256 ? 256 : b->size;
        while (size - b->used < more) {
            size = times(size, 2);
        }
        b->data = (char *)grow(b->data, size);
        b->size = size;
    }
    return b->data + b->used;
}

static void buffer_add(buffer *b, const void *data, size_t size)
{
    if (size > 0) {
        memcpy(buffer_room(b, size), data, size);
        b->used += size;
    }
}

static void buffer_byte(buffer *b, int value)
{
    *buffer_room(b, 1) = (char)value;
    b->used++;
}

static void buffer_free(buffer *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}

/* ---- Output: one buffered writer for stdout and for files --------------------------------------------------------- */

/* A thread that writes one buffer while the next is filled: big exports cost the slower of the two, not the sum. */
typedef struct background {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t  change;
    int     fd, error, stop;
    char   *data;                             /* the buffer at work; NULL = idle */
    size_t  size;
    char   *spare;                            /* the buffer that was written last */
} background;

typedef struct output { int fd; int error; size_t used; char *data; const char *path; background *back; } output;

/* Writes it all; gives errno, or 0. */
static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size < ((size_t)1 << 30) ? size : ((size_t)1 << 30));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? errno : EIO;
        }
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static void *background_run(void *user)
{
    background *b = (background *)user;
    (void)pthread_mutex_lock(&b->lock);
    while (!b->stop || b->data) {
        if (!b->data) {
            (void)pthread_cond_wait(&b->change, &b->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&b->lock);
        int error = b->error ? b->error : write_all(b->fd, b->data, b->size);
        (void)pthread_mutex_lock(&b->lock);
        b->error = error;
        b->spare = b->data;
        b->data = NULL;
        (void)pthread_mutex_unlock(&b->lock);
        (void)pthread_cond_signal(&b->change);      /* after the unlock: the woken side would only run into the lock */
        (void)pthread_mutex_lock(&b->lock);
    }
    (void)pthread_mutex_unlock(&b->lock);
    return NULL;
}

static void out_open(output *o, int fd, const char *path)
{
    memset(o, 0, sizeof *o);
    o->fd = fd;
    o->path = path;
    o->data = (char *)grow(NULL, OUT_BUFFER);
}

/* From now on the writing is done beside the caller; without a thread it goes on as before. */
static void out_background(output *o)
{
    background *b = (background *)zeroed(1, sizeof *b);
    b->fd = o->fd;
    b->spare = (char *)grow(NULL, OUT_BUFFER);
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_cond_init(&b->change, NULL);
    if (pthread_create(&b->thread, NULL, background_run, b) == 0) {
        o->back = b;
    } else {
        free(b->spare);
        free(b);
    }
}

/* Hands the full buffer over and takes the one written before; with_data 0: only waits until all is written. */
static void out_hand_over(output *o, int with_data)
{
    background *b = o->back;
    (void)pthread_mutex_lock(&b->lock);
    while (b->data) {
        (void)pthread_cond_wait(&b->change, &b->lock);
    }
    o->error = b->error;
    if (with_data) {
        b->data = o->data;
        b->size = o->used;
        o->data = b->spare;
        b->spare = NULL;
    }
    (void)pthread_mutex_unlock(&b->lock);
    (void)pthread_cond_signal(&b->change);
}

/* Everything is written when it returns. */
static void out_flush(output *o)
{
    if (o->back) {
        out_hand_over(o, 0);
    }
    if (!o->error) {
        o->error = write_all(o->fd, o->data, o->used);
    }
    o->used = 0;
}

static void out_bytes(output *o, const void *data, size_t size)
{
    if (size == 0) {
        return;
    }
    if (size > OUT_BUFFER - o->used && o->back) {
        out_hand_over(o, 1);
        o->used = 0;
    } else if (size > OUT_BUFFER - o->used) {
        out_flush(o);
    }
    if (size > OUT_BUFFER) {
        out_flush(o);
        o->error = o->error ? o->error : write_all(o->fd, (const char *)data, size);
        return;
    }
    memcpy(o->data + o->used, data, size);
    o->used += size;
}

static void out_text(output *o, const char *text)
{
    out_bytes(o, text, strlen(text));
}

PRINTF_LIKE(2, 3) static void out_format(output *o, const char *format, ...)
{
    char text[512];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    out_bytes(o, text, size < 0 ? 0 : (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

static void out_close(output *o)
{
    background *b = o->back;
    if (b) {
        (void)pthread_mutex_lock(&b->lock);
        b->stop = 1;
        (void)pthread_cond_signal(&b->change);
        (void)pthread_mutex_unlock(&b->lock);
        (void)pthread_join(b->thread, NULL);
        (void)pthread_cond_destroy(&b->change);
        (void)pthread_mutex_destroy(&b->lock);
        free(b->spare);
        free(b);
    }
    free(o->data);
    memset(o, 0, sizeof *o);
}

/* Reports a failed writer; a reader that went away (EPIPE) is no failure. */
static int out_end(output *o)
{
    out_flush(o);
    if (!o->error || o->error == EPIPE) {
        return EXIT_DONE;
    }
    return fail(EXIT_FAILED, "%s: %s: the output is not complete", o->path, strerror(o->error));
}

/* A JSON string; bytes that are not UTF-8 become U+FFFD. */
static void json_text(output *o, const void *data, size_t size)
{
    const unsigned char *at = (const unsigned char *)data;
    out_text(o, "\"");
    for (size_t i = 0; i < size;) {
        size_t n = utf8_size(at + i, size - i);
        if (n == 0) {
            out_text(o, "\\ufffd");
            i++;
            continue;
        }
        if (at[i] == '"' || at[i] == '\\') {
            out_format(o, "\\%c", at[i]);
        } else if (at[i] < 0x20) {
            out_format(o, "\\u%04x", (unsigned)at[i]);
        } else {
            out_bytes(o, at + i, n);
        }
        i += n;
    }
    out_text(o, "\"");
}

static void json_string(output *o, const char *text)
{
    json_text(o, text, strlen(text));
}

/* "name": with a comma before it unless it is the first of its object. */
static void json_name(output *o, const char *name, int first)
{
    if (!first) {
        out_text(o, ",");
    }
    json_string(o, name);
    out_text(o, ":");
}

static void json_u64(output *o, const char *name, uint64_t value, int first)
{
    json_name(o, name, first);
    out_format(o, "%" PRIu64, value);
}

static void json_flag(output *o, const char *name, int value)
{
    json_name(o, name, 0);
    out_text(o, value ? "true" : "false");
}

static void json_address(output *o, const char *name, const uint8_t *address, int first)
{
    char text[DREAMDB_ADDRESS_TEXT];
    dreamdb_address_text(address, text);
    json_name(o, name, first);
    json_string(o, text);
}

/* The shortest decimal that reads back as the same number. */
static const char *real_text(double value, int is_float, char text[40])
{
    if (value - value != 0) {
        return value != value ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
    }
    for (int digits = is_float ? 6 : 15; digits <= 17; digits++) {
        (void)snprintf(text, 40, "%.*g", digits, value);
        if (is_float ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value) {
            break;
        }
    }
    return text;
}

static void json_real(output *o, double value, int is_float)
{
    char text[40];
    out_text(o, value - value != 0 ? "null" : real_text(value, is_float, text));
}

/* Text for a terminal: control characters and what is no UTF-8 become '?'. */
static void clean_text(buffer *to, const void *data, size_t size)
{
    const unsigned char *from = (const unsigned char *)data;
    for (size_t i = 0; i < size;) {
        size_t n = utf8_size(from + i, size - i);
        int control = n == 1 && (from[i] < 0x20 || from[i] == 0x7f);
        if (n == 0 || control || (n == 2 && from[i] == 0xc2 && from[i + 1] < 0xa0)) {
            buffer_byte(to, '?');
            n = n > 0 ? n : 1;
        } else {
            buffer_add(to, from + i, n);
        }
        i += n;
    }
}

/* The text and what follows it on its line. */
static void out_clean(output *o, const char *lead, const char *text, const char *tail)
{
    buffer clean = {NULL, 0, 0};
    clean_text(&clean, text, strlen(text));
    out_text(o, lead);
    out_bytes(o, clean.data, clean.used);
    out_text(o, tail);
    buffer_free(&clean);
}

/* ---- Tables for people --------------------------------------------------------------------------------------------- */

#define TABLE_COLUMNS 64
#define TABLE_ROWS    256                     /* rows are held back so many at a time to find the widths */

typedef struct table {
    output    *o;
    size_t  columns, rows, at;
    size_t  width[TABLE_COLUMNS];
    int     right[TABLE_COLUMNS];             /* numbers stand on the right */
    buffer   text;                             /* the cells, each ended by 0 */
} table;

/* Cells in the terminal's columns: one a code point. */
static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static void table_flush(table *t)
{
    const char *at = t->text.data;
    for (size_t r = 0; r < t->rows; r++) {
        for (size_t c = 0; c < t->columns; c++) {
            size_t size = strlen(at), width = text_width(at), pad = t->width[c] > width ? t->width[c] - width : 0;
            if (c > 0) {
                out_text(t->o, "  ");
            }
            for (size_t i = 0; i < pad && t->right[c]; i++) {
                out_text(t->o, " ");
            }
            out_bytes(t->o, at, size);
            for (size_t i = 0; i < pad && !t->right[c] && c + 1 < t->columns; i++) {
                out_text(t->o, " ");
            }
            at += size + 1;
        }
        out_text(t->o, "\n");
    }
    t->rows = 0;
    t->text.used = 0;
}

/* One more cell. */
static void table_cell(table *t, const void *data, size_t size)
{
    size_t start = t->text.used;
    clean_text(&t->text, data, size);
    buffer_byte(&t->text, 0);
    size_t width = text_width(t->text.data + start);
    t->width[t->at] = width > t->width[t->at] ? width : t->width[t->at];
    if (++t->at == t->columns) {
        t->at = 0;
        if (++t->rows == TABLE_ROWS) {
            table_flush(t);
        }
    }
}

static void table_text(table *t, const char *text)
{
    table_cell(t, text, strlen(text));
}

PRINTF_LIKE(2, 3) static void table_format(table *t, const char *format, ...)
{
    char text[256];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    table_text(t, text);
}

/* heads: names separated by '|'; a leading '>' puts the column on the right. */
static void table_open(table *t, output *o, const char *heads)
{
    memset(t, 0, sizeof *t);
    t->o = o;
    t->columns = 1;
    for (const char *at = heads; *at; at++) {
        t->columns += *at == '|' && t->columns < TABLE_COLUMNS;
    }
    for (size_t c = 0; c < t->columns; c++) {
        t->right[c] = *heads == '>';
        heads += t->right[c];
        size_t size = strcspn(heads, "|");
        table_cell(t, heads, size);
        heads += size + (heads[size] == '|');
    }
}

static void table_end(table *t)
{
    table_flush(t);
    buffer_free(&t->text);
}

/* 1234567 as 1,234,567. */
static const char *grouped(uint64_t value, char text[32])
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%" PRIu64, value), at = 0;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) {
            text[at++] = ',';
        }
        text[at++] = digits[i];
    }
    text[at] = 0;
    return text;
}

static const char *size_text(uint64_t size, char text[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)size;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < COUNT_OF(units)) {
        value /= 1000;
        unit++;
    }
    (void)snprintf(text, 32, unit == 0 || value >= 99.5 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

/* ns since 1970 as 2026-05-04T03:02:01Z. */
static const char *time_text(uint64_t ns, char text[40])
{
    time_t seconds = (time_t)(ns / UINT64_C(1000000000));
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || strftime(text, 40, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        (void)snprintf(text, 40, "%" PRIu64, ns);
    }
    return text;
}

/* ---- The command line: one table of verbs, one of options ----------------------------------------------------------- */

enum {
    OPT_STORE = 1, OPT_JSON, OPT_PROGRESS, OPT_SEED, OPT_NOW, OPT_NONCE, OPT_WRITER, OPT_DURABILITY, OPT_IDENTICAL, OPT_CACHE,
    OPT_CACHE_DIR,
    OPT_THREADS, OPT_HELP, OPT_VERSION, OPT_FIELD, OPT_LAYER_OF, OPT_COLUMN, OPT_ROWS, OPT_ANCHORS, OPT_ANCHOR_START, OPT_BATCH,
    OPT_INTO, OPT_PAGE_EARLY, OPT_ALLOW_TOMBSTONED, OPT_SAMPLE, OPT_K, OPT_ITERATIONS, OPT_KEY_BITS, OPT_VECTOR, OPT_ANCHOR,
    OPT_TOP_K, OPT_NPROBE, OPT_RECALL, OPT_PROVEN, OPT_WHERE, OPT_RERANK_POOL, OPT_RERANK_MODE, OPT_INDEX, OPT_COMPRESSOR,
    OPT_FIELDS, OPT_EXACT, OPT_EXPLAIN, OPT_START, OPT_END, OPT_LIMIT, OPT_ORDER,
    OPT_ESTIMATE, OPT_HISTORY, OPT_REASON, OPT_STRATEGY, OPT_KEEP_INDEX, OPT_DRY_RUN, OPT_DEEP, OPT_K_MAX, OPT_HOT, OPT_HOT_ITEMS,
    OPT_HOT_SECONDS,
    OPT_HOT_BYTES, OPT_THRESHOLD, OPT_MAX_CELLS, OPT_KEEP_BYTES, OPT_MAX_READ, OPT_NEIGHBOURS, OPT_RELINEAGE, OPT_ALLOW_LOSSY,
    OPT_KEEP_DEAD, OPT_FORCE, OPT_NO_CENTRE,
    OPT_RETRY, OPT_TOKEN, OPT_RESUME, OPT_GRAPH, OPT_KEEP_MANIFESTS, OPT_KEEP_SINCE, OPT_WRITERS_PAUSED, OPT_LIST,
    OPT_ENDPOINT, OPT_REGION, OPT_SHARD, OPT_OF, OPT_JOB_ID, OPT_ORCHESTRATE, OPT_FINISH, OPT_WAIT, OPT_EXPIRES,
    OPT_IF_ABSENT, OPT_PROPOSE,
    OPT_MEMORY, OPT_ONCE, OPT_INTERVAL, OPT_ONLY
};

typedef struct option_row { const char *name; int id; const char *value; const char *verbs; const char *help; } option_row;

/* value NULL: a switch; "[X]": may follow after '=' only.  verbs NULL: every verb. */
static const option_row options[] = {
    {"--store", OPT_STORE, "URL", NULL, "a directory, s3://BUCKET/PREFIX, http(s)://HOST/BASE, file:, memory: (else $DREAMDB_STORE)"},
    {"--endpoint", OPT_ENDPOINT, "URL", NULL, "of s3://: http(s)://HOST[:PORT] (default: AWS_ENDPOINT_URL, then AWS itself)"},
    {"--region", OPT_REGION, "NAME", NULL, "of s3:// and signed http: (default: AWS_REGION, AWS_DEFAULT_REGION, then us-east-1)"},
    {"--json", OPT_JSON, NULL, NULL, "one JSON object, or one a line, instead of tables; errors too (on stderr)"},
    {"--progress", OPT_PROGRESS, "[always|never|auto]", NULL, "the progress line on stderr (auto: when it is a terminal)"},
    {"--seed", OPT_SEED, "N", NULL, "seed of the training and of what else is drawn at random"},
    {"--now-ns", OPT_NOW, "N", NULL, "the clock: nanoseconds since 1970"},
    {"--nonce", OPT_NONCE, "HEX32", NULL, "the 16 random bytes of a new dataset"},
    {"--writer", OPT_WRITER, "TEXT", NULL, "the whole writer text of the Manifests written"},
    {"--durability", OPT_DURABILITY, "full|ref-only|none", NULL, "what is on the disk when a verb is done (default full)"},
    {"--identical", OPT_IDENTICAL, NULL, NULL, "Manifests exactly as the reference writes them"},
    {"--cache", OPT_CACHE_DIR, "DIR", NULL, "keeps objects on this machine: the next call asks the store for the Ref only (not verify)"},
    {"--cache-bytes", OPT_CACHE, "N", NULL, "memory for verified objects, such as 64M (default 256M); with --cache: of DIR (default 10G)"},
    {"--threads", OPT_THREADS, "N", NULL, "worker threads (default: one a processor, at most 8)"},
    {"--help", OPT_HELP, NULL, NULL, "this help, or the verb's"},
    {"--version", OPT_VERSION, NULL, NULL, "as the verb version"},
    {"--field", OPT_FIELD, "NAME:KIND[,key=value...]", "create add-field", "a field; may be repeated"},
    {"--layer-of", OPT_LAYER_OF, "FIELD", "add-field", "makes the new field a layer of FIELD"},
    {"--column", OPT_COLUMN, "FIELD=FILE", "append add-field export", "a column; may be repeated"},
    {"--rows", OPT_ROWS, "FILE", "append export", "rows as .csv, .tsv or .jsonl, columns by name; column _anchor holds anchors"},
    {"--anchors", OPT_ANCHORS, "FILE.npy", "append add-field", "the rows' anchors (u64)"},
    {"--anchors", OPT_ANCHORS, "FILE.npy|N,N", "get scan", "these anchors only"},
    {"--anchors", OPT_ANCHORS, "FILE.npy|N,N", "delete", "the anchors to delete"},
    {"--anchors", OPT_ANCHORS, "FILE.npy|N,N", "erase-report", "these rows, deleted or not (default: all deleted ones)"},
    {"--reason", OPT_REASON, "TEXT", "delete", "kept with each anchor (at most 256 bytes)"},
    {"--anchors", OPT_ANCHORS, "FILE.npy", "export", "writes the rows' anchors (u64)"},
    {"--anchor-start", OPT_ANCHOR_START, "N", "append add-field", "anchors N, N+1, ..."},
    {"--batch", OPT_BATCH, "N", "append", "rows a commit (default 20000)"},
    {"--into", OPT_INTO, "FIELD", "append", "the columns go into this layer"},
    {"--retry", OPT_RETRY, "N", "rebuild-ivf", "merges what was built with the tip of a faster writer, up to N times (default 0: exit 3)"},
    {"--retry", OPT_RETRY, "N", "append delete merge merge-many",
     "up to N tries more when another writer has moved the ref, after random waits that grow (default 0)"},
    {"--token", OPT_TOKEN, "TEXT", "append", "named in every commit's writer text, with the rows that are in by then"},
    {"--resume", OPT_RESUME, NULL, "append", "looks for --token among all older states and goes on behind the last batch that landed"},
    {"--page-early", OPT_PAGE_EARLY, NULL, "append", "Tracks page from 16 KiB on: small appends stay small for ever"},
    {"--allow-tombstoned", OPT_ALLOW_TOMBSTONED, NULL, "append", "rows of deleted anchors are accepted (they stay hidden)"},
    {"--hot", OPT_HOT, NULL, "append", "rows wait in a small object that each --hot append rewrites; not for media, see below"},
    {"--hot-items", OPT_HOT_ITEMS, "N", "append", "with --hot: so many waiting rows go into the Track (default 10000)"},
    {"--hot-seconds", OPT_HOT_SECONDS, "N", "append", "with --hot: rows that have waited so long do (default 30)"},
    {"--hot-bytes", OPT_HOT_BYTES, "SIZE", "append", "with --hot: so many bytes of them do (default 1M, or 16 times a batch)"},
    {"--sample", OPT_SAMPLE, "FILE", "train", ".npy or .fvecs to train on (default: the stored vectors)"},
    {"--k", OPT_K, "N", "train", "cells; of imi k_sub (default: the square root of the sample's rows; imi: the fourth root)"},
    {"--index", OPT_INDEX, "ivf|imi", "train", "kind of the new index (default: imi where the field has it, else ivf)"},
    {"--compressor", OPT_COMPRESSOR, NULL, "train", "of a pq field with rerank: new codebooks too (of --sample, or its exact vectors)"},
    {"--iterations", OPT_ITERATIONS, "N", "train", "rounds of k-means (default 10)"},
    {"--key-bits", OPT_KEY_BITS, "24|auto", "train", "width of cell keys (auto: as narrow as the reference's)"},
    {"--vector", OPT_VECTOR, "FILE|[x,...]", "query", ".npy or .fvecs with one or many query vectors, or the numbers themselves"},
    {"--anchor", OPT_ANCHOR, "N[,N...]", "query", "the vectors stored under these anchors (they find themselves too)"},
    {"--top-k", OPT_TOP_K, "N", "query", "hits a query (default 10)"},
    {"--nprobe", OPT_NPROBE, "N|auto", "query", "cells to look into (default 32; auto: what a recall of 0.95 takes)"},
    {"--recall", OPT_RECALL, "SHARE", "query", "nprobe auto for that share of the ten nearest rows, such as 0.99"},
    {"--proven", OPT_PROVEN, NULL, "query", "hits by a bound that always holds (slower; default: 3 standard deviations)"},
    {"--where", OPT_WHERE, "TEXT", "query scan count export delete erase-report",
     "a predicate, such as 'label=cat and (n>=3 or kind in (a,b))'; repeated: all hold"},
    {"--rerank-pool", OPT_RERANK_POOL, "N", "query", "codes whose exact vectors are scored (default 5 x top-k)"},
    {"--rerank-mode", OPT_RERANK_MODE, "inherit|approximate|exact", "query", "whether that is done (default: as the field was made)"},
    {"--fields", OPT_FIELDS, "A,B", "query get scan export", "fields to show"},
    {"--exact", OPT_EXACT, NULL, "query", "looks into every cell"},
    {"--explain", OPT_EXPLAIN, NULL, "query", "tells what was read"},
    {"--start", OPT_START, "N", "scan count export", "anchors from N on"},
    {"--end", OPT_END, "N", "scan count export", "anchors below N"},
    {"--limit", OPT_LIMIT, "N", "scan log", "at most N rows"},
    {"--graph", OPT_GRAPH, NULL, "log", "all states over all parents, newest first, with the lines between them"},
    {"--order", OPT_ORDER, "anchor|storage", "scan export", "rows by anchor, or as they are stored (one field only; faster)"},
    {"--estimate", OPT_ESTIMATE, NULL, "count", "rows of the Track at once, duplicates and deleted ones included"},
    {"--strategy", OPT_STRATEGY, "union|fast-forward", "merge merge-many", "how (default union: a Manifest with both as parents)"},
    {"--keep-index", OPT_KEEP_INDEX, "ours|theirs", "merge merge-many",
     "whose index holds where both sides were trained; the vectors that the other side added are placed under it"},
    {"--dry-run", OPT_DRY_RUN, NULL, "merge", "tells what would be done and every conflict; writes nothing"},
    {"--dry-run", OPT_DRY_RUN, NULL, "gc", "tells what would go; removes nothing"},
    {"--keep-manifests", OPT_KEEP_MANIFESTS, "N", "gc", "newest states kept of each branch (default 100)"},
    {"--keep-since", OPT_KEEP_SINCE, "DURATION", "gc", "what is younger stays too: 90s, 12h, 7d (default 24h; 0: of any age)"},
    {"--writers-paused", OPT_WRITERS_PAUSED, NULL, "gc", "nobody writes meanwhile: needed for --keep-since under 1h"},
    {"--list", OPT_LIST, NULL, "gc", "names each object that goes"},
    {"--field", OPT_FIELD, "FIELD", "compact", "this field only (default: all)"},
    {"--threshold", OPT_THRESHOLD, "N", "compact",
     "takes cells and values of N fragments or more (default 2); 1: also those of one that may hold a deleted row"},
    {"--max-cells", OPT_MAX_CELLS, "N", "compact", "stops after N cells and values; the next call goes on"},
    {"--keep-bytes", OPT_KEEP_BYTES, "SIZE", "compact",
     "leaves buckets of this size on alone while few of their records are deleted, so that snapshots go on sharing them (as 256k)"},
    {"--keep-dead", OPT_KEEP_DEAD, "PERCENT", "compact",
     "with --keep-bytes: how many of a bucket's records may be deleted before it goes (default 50)"},
    {"--field", OPT_FIELD, "FIELD", "ada-ivf-status ada-ivf-step", "the embedding field (default: the only one)"},
    {"--deep", OPT_DEEP, NULL, "ada-ivf-status", "reads every bucket: how many deleted records they hold"},
    {"--sample", OPT_SAMPLE, "N", "ada-ivf-status", "places N stored records anew and tells how many are nearer to another cell"},
    {"--k-max", OPT_K_MAX, "N", "ada-ivf-step", "cells afterwards (default: twice the square root of the records)"},
    {"--max-cells", OPT_MAX_CELLS, "N", "ada-ivf-step", "new and merged cells of the step (default 1024)"},
    {"--max-read-bytes", OPT_MAX_READ, "SIZE", "ada-ivf-step", "of the cells it splits or merges (default 1G; held in memory)"},
    {"--neighbours", OPT_NEIGHBOURS, "N", "ada-ivf-step", "cells beside a split that are placed anew; half get new centroids (default 48)"},
    {"--force", OPT_FORCE, NULL, "ada-ivf-step", "splits and merges also where only a few cells need it"},
    {"--no-centre", OPT_NO_CENTRE, NULL, "ada-ivf-step",
     "cells beside a split keep their centroids: writes less, so that snapshots share more; recall under drift is lower"},
    {"--iterations", OPT_ITERATIONS, "N", "ada-ivf-step", "rounds of the local 2-means (default 10)"},
    {"--exact", OPT_EXACT, NULL, "ada-ivf-step", "places every record anew: none lags behind a new centroid"},
    {"--relineage", OPT_RELINEAGE, NULL, "ada-ivf-step", "writes every cell under the new index, so that the reference can search it"},
    {"--allow-lossy", OPT_ALLOW_LOSSY, NULL, "ada-ivf-step", "fields of codes alone: places records by what the codes decode to"},
    {"--if-absent", OPT_IF_ABSENT, NULL, "branch", "a branch of that name that is there stays as it is: exit 0"},
    {"--job-id", OPT_JOB_ID, "JOB", "ada-ivf-step", "a step by many machines: letters, digits, _ - and dots; with one of the next three"},
    {"--orchestrate", OPT_ORCHESTRATE, NULL, "ada-ivf-step", "plans the job; with --finish ends it"},
    {"--propose", OPT_PROPOSE, NULL, "ada-ivf-step", "with --orchestrate: the shares split the hot cells, too; the plan follows from it"},
    {"--shard", OPT_SHARD, "N", "ada-ivf-step", "does share N of the job, from 0 to M-1"},
    {"--of", OPT_OF, "M", "ada-ivf-step append", "the number of shares"},
    {"--shard", OPT_SHARD, "N", "append", "the N-th (from 0) of M even parts of the rows: for M writers, each on a branch of its own"},
    {"--finish", OPT_FINISH, NULL, "ada-ivf-step", "with --orchestrate: puts the shares together and moves the ref"},
    {"--wait", OPT_WAIT, "DURATION", "ada-ivf-step", "for the plan, the proposals, the shares: whatever comes first (default: not at all)"},
    {"--expires", OPT_EXPIRES, "DURATION", "ada-ivf-step", "--orchestrate: gc forgets the job so long after its last sign of life (7d)"},
    {"--dry-run", OPT_DRY_RUN, NULL, "ada-ivf-step", "tells how many cells it would split and merge; writes nothing"},
    {"--k", OPT_K, "N|auto", "rebuild-ivf", "cells; of imi k_sub (default auto: the square root of the records; imi: the fourth root)"},
    {"--index", OPT_INDEX, "ivf|imi", "rebuild-ivf", "kind of the new index (default: imi where the field has it, else ivf)"},
    {"--sample", OPT_SAMPLE, "N", "rebuild-ivf", "records to train on (default 256 a cell, 65536 at least, in a third of --memory)"},
    {"--memory", OPT_MEMORY, "SIZE", "rebuild-ivf", "what it may hold (default 1G); what is more passes through sorted runs in the store"},
    {"--iterations", OPT_ITERATIONS, "N", "rebuild-ivf", "rounds of k-means (default 10)"},
    {"--key-bits", OPT_KEY_BITS, "24|auto", "rebuild-ivf", "width of cell keys (auto: as narrow as the reference's)"},
    {"--compressor", OPT_COMPRESSOR, NULL, "rebuild-ivf", "of a pq field with rerank: new codebooks too; older branches do not merge then"},
    {"--allow-lossy", OPT_ALLOW_LOSSY, NULL, "rebuild-ivf", "fields of codes alone: places records by what the codes decode to"},
    {"--dry-run", OPT_DRY_RUN, NULL, "rebuild-ivf", "tells how many cells and records; writes nothing"},
    {"--once", OPT_ONCE, NULL, "watch", "looks once, does what is needed, and ends: for cron"},
    {"--interval", OPT_INTERVAL, "DURATION", "watch", "pause between two looks (default 5m)"},
    {"--only", OPT_ONLY, "ACTION,...", "watch", "of flush-hot, compact, ada-ivf-step, rebuild-ivf, gc (default: all but rebuild-ivf)"},
    {"--dry-run", OPT_DRY_RUN, NULL, "watch", "tells what it would do; writes nothing"},
    {"--history", OPT_HISTORY, "N|all", "verify", "older Manifests too (default 0: this state)"},
};

/* What a later version brings; named so that nobody looks for a typing error. */
static const char *const later_options[] = {
    "--pack", "--recommend"};

typedef struct verb_row {
    const char *name;
    int (*run)(app *);
    size_t least, most;                       /* operands */
    const char *operands, *summary, *details;
} verb_row;

typedef struct given { int id; const char *value; } given;

struct app {
    const verb_row *verb;
    const char **operands; size_t operand_count;
    given *given; size_t given_count;
    int json, progress;                       /* progress: 1 when the line is to be shown */
    output o;                                    /* stdout */
    dreamdb_error error;
    dreamdb_store store; int store_is_open;
    dreamdb_store base; int is_cached;        /* --cache: what store stands in front of */
    uint64_t cache_bytes;
    dreamdb_config config;
    dreamdb *db;
    dreamdb_snapshot *view;
    const dreamdb_info *info;                 /* of view */
    uint64_t now_ns, random_state;            /* --now-ns, --seed */
    uint8_t nonce[16]; int has_nonce;
    struct timespec shown;                    /* when the progress line was last written */
    int own_progress;                         /* the verb reports for itself: the library's lines are not shown */
    pthread_mutex_t lock;                     /* of the progress line: workers may report */
    size_t conflicts;                         /* of a merge, printed so far */
};

static const char *option_value(const app *a, int id)
{
    for (size_t i = a->given_count; i > 0; i--) {
        if (a->given[i - 1].id == id) {
            return a->given[i - 1].value;
        }
    }
    return NULL;
}

static int option_is(const app *a, int id)
{
    for (size_t i = 0; i < a->given_count; i++) {
        if (a->given[i].id == id) {
            return 1;
        }
    }
    return 0;
}

static size_t option_count(const app *a, int id)
{
    size_t count = 0;
    for (size_t i = 0; i < a->given_count; i++) {
        count += a->given[i].id == id;
    }
    return count;
}

/* The n-th value of a repeated option; n < option_count. */
static const char *option_at(const app *a, int id, size_t n)
{
    size_t at = 0;
    while (a->given[at].id != id || n-- > 0) {
        at++;
    }
    return a->given[at].value;
}

static int list_has(const char *const *list, size_t count, const char *name, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(list[i]) == size && memcmp(list[i], name, size) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Is word one of the words of list, separated by blanks? */
static int words_have(const char *list, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = list; at && (at = strstr(at, word)) != NULL; at += size) {
        if ((at == list || at[-1] == ' ') && (at[size] == 0 || at[size] == ' ')) {
            return 1;
        }
    }
    return 0;
}

/* The row of an option for a verb (NULL = any). */
static const option_row *option_find(const char *name, size_t size, const char *verb)
{
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        const option_row *row = &options[i];
        if (strlen(row->name) == size && memcmp(row->name, name, size) == 0 && (!verb || !row->verbs || words_have(row->verbs, verb))) {
            return row;
        }
    }
    return NULL;
}

/* Edits (insert, drop, change, swap neighbours) from a to b, for "did you mean". */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 40 };
    size_t rows[3][LONGEST + 1], m = strlen(a), n = strlen(b);
    if (m > LONGEST || n > LONGEST) {
        return LONGEST;
    }
    for (size_t j = 0; j <= n; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= m; i++) {
        size_t *now = rows[i % 3], *last = rows[(i - 1) % 3], *older = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && older[j - 2] + 1 < best) {
                best = older[j - 2] + 1;
            }
            now[j] = best;
        }
    }
    return rows[m % 3][n];
}

/* Keeps the nearer of two names; near enough is at most a third of the letters, and two. */
static void nearer(const char *typed, const char *name, const char **best, size_t *least)
{
    size_t far = distance(typed, name), most = strlen(name) < 6 ? 1 : 2;
    if (far <= most && far < *least) {
        *least = far;
        *best = name;
    }
}

static int unknown_option(const char *text, size_t size, const char *verb)
{
    char *name = copy_text(text, size);
    const char *best = NULL;
    size_t least = SIZE_MAX;
    int code;
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        if (!options[i].verbs || !verb || words_have(options[i].verbs, verb)) {
            nearer(name, options[i].name, &best, &least);
        }
    }
    if (list_has(later_options, COUNT_OF(later_options), name, size)) {
        code = fail(EXIT_USAGE, "option %s: not in this version", name);
    } else if (best) {
        code = fail(EXIT_USAGE, "unknown option %s: did you mean %s?", name, best);
    } else {
        code = fail(EXIT_USAGE, "unknown option %s%s%s: see `dreamdb help%s%s`", name, verb ? " for " : "", verb ? verb : "",
                    verb ? " " : "", verb ? verb : "");
    }
    free(name);
    return code;
}

/* Takes one argument that starts with '-'; moves *at past what it used. */
static int parse_option(app *a, int argc, char **argv, int *at)
{
    const char *text = argv[*at], *value = strchr(text, '='), *next = *at + 1 < argc ? argv[*at + 1] : NULL;
    size_t size = value ? (size_t)(value - text) : strlen(text);
    const option_row *row = option_find(strcmp(text, "-h") == 0 ? "--help" : text, strcmp(text, "-h") == 0 ? 6 : size, NULL);
    if (!row) {
        return unknown_option(text, size, NULL);
    }
    if (!row->value && value) {
        return fail(EXIT_USAGE, "option %s takes no value", row->name);
    }
    value = value ? value + 1 : NULL;
    if (row->value && row->value[0] != '[' && !value) {
        if (!next) {
            return fail(EXIT_USAGE, "option %s needs a value: %s %s", row->name, row->name, row->value);
        }
        value = next;
        (*at)++;
    }
    a->given[a->given_count].id = row->id;
    a->given[a->given_count++].value = value;
    return EXIT_DONE;
}

/* ---- Numbers of the command line and of text files --------------------------------------------------------------- */

static int parse_u64(const char *text, size_t size, uint64_t *value)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9 || sum > (UINT64_MAX - digit) / 10) {
            return 0;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return size > 0;
}

static int parse_i64(const char *text, size_t size, int64_t *value)
{
    uint64_t sum;
    int minus = size > 0 && text[0] == '-', sign = minus || (size > 0 && text[0] == '+');
    if (!parse_u64(text + sign, size - (size_t)sign, &sum) || sum > (uint64_t)INT64_MAX + (uint64_t)minus) {
        return 0;
    }
    *value = minus ? (int64_t)(0 - sum) : (int64_t)sum;
    return 1;
}

/* A decimal number; what strtod takes besides (hex, blanks before it) is refused. */
static int parse_real(const char *text, size_t size, double *value)
{
    char copy[128], *end;
    if (size == 0 || size >= sizeof copy) {
        return 0;
    }
    memcpy(copy, text, size);
    copy[size] = 0;
    *value = strtod(copy, &end);
    return end == copy + size && strcspn(copy, "xXpP \t\n\v\f\r") == size;
}

static int digits_of(const char *text, size_t count, int64_t *value)
{
    uint64_t sum;
    int good = parse_u64(text, count, &sum);
    *value = good ? (int64_t)sum : 0;
    return good;
}

/* Nanoseconds since 1970: an integer, or YYYY-MM-DD[THH:MM:SS[.fraction]][Z] (UTC). */
static int parse_time(const char *text, size_t size, int64_t *value)
{
    int64_t year, month, day, hour = 0, minute = 0, second = 0, fraction = 0;
    if (parse_i64(text, size, value)) {
        return 1;
    }
    if (size < 10 || text[4] != '-' || text[7] != '-' || !digits_of(text, 4, &year) || !digits_of(text + 5, 2, &month) ||
        !digits_of(text + 8, 2, &day) || month < 1 || month > 12 || day < 1 || day > 31) {
        return 0;
    }
    size_t at = 10;
    if (at + 9 <= size && (text[at] == 'T' || text[at] == ' ')) {
        if (text[at + 3] != ':' || text[at + 6] != ':' || !digits_of(text + at + 1, 2, &hour) || !digits_of(text + at + 4, 2, &minute) ||
            !digits_of(text + at + 7, 2, &second) || hour > 23 || minute > 59 || second > 60) {
            return 0;
        }
        at += 9;
        if (at < size && text[at] == '.') {
            int64_t unit = 100000000;
            for (at++; at < size && text[at] >= '0' && text[at] <= '9'; at++, unit /= 10) {
                fraction += unit * (text[at] - '0');
            }
        }
    }
    at += at < size && text[at] == 'Z';
    int64_t y = month <= 2 ? year - 1 : year, era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;     /* days from the civil date */
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t days = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
    int64_t seconds = days * 86400 + hour * 3600 + minute * 60 + second;
    if (at != size || seconds > INT64_MAX / 1000000000 - 1 || seconds < INT64_MIN / 1000000000 + 1) {
        return 0;
    }
    *value = seconds * 1000000000 + fraction;
    return 1;
}

static int parse_bool(const char *text, size_t size, int64_t *value)
{
    static const char *const words[] = {"0", "1", "false", "true", "False", "True", "FALSE", "TRUE"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strlen(words[i]) == size && memcmp(words[i], text, size) == 0) {
            *value = (int64_t)(i & 1);
            return 1;
        }
    }
    return 0;
}

/* The option's number in [least, most]; leaves *value alone if the option is not given. */
static int option_u64(const app *a, int id, uint64_t least, uint64_t most, uint64_t *value)
{
    const char *text = option_value(a, id);
    if (!text) {
        return EXIT_DONE;
    }
    if (!parse_u64(text, strlen(text), value) || *value < least || *value > most) {
        size_t i = 0;
        while (options[i].id != id) {
            i++;
        }
        return fail(EXIT_USAGE, "option %s: '%s' is no number from %" PRIu64 " to %" PRIu64, options[i].name, text, least, most);
    }
    return EXIT_DONE;
}

static int option_u32(const app *a, int id, uint32_t least, uint32_t *value)
{
    uint64_t wide = *value;
    int code = option_u64(a, id, least, UINT32_MAX - 1, &wide);
    *value = (uint32_t)wide;
    return code;
}

/* Bytes: 1048576, 64k, 64M, 2G (powers of 1024). */
static int parse_size(const char *text, uint64_t *value)
{
    static const char units[] = "kmgt";
    size_t size = strlen(text);
    unsigned shift = 0;
    if (size > 0) {
        int last = text[size - 1] | 0x20;
        const char *unit = last >= 'a' && last <= 'z' ? strchr(units, last) : NULL;
        shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
        size -= unit != NULL;
    }
    if (!parse_u64(text, size, value) || *value > UINT64_MAX >> shift) {
        return 0;
    }
    *value <<= shift;
    return 1;
}

/* Nanoseconds: 90s, 30m, 24h, 7d; 0 needs no unit. */
static int parse_duration(const char *text, uint64_t *value)
{
    static const struct { char letter; uint64_t seconds; } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    size_t size = strlen(text);
    if (strcmp(text, "0") == 0) {
        *value = 0;
        return 1;
    }
    for (size_t i = 0; i < COUNT_OF(units) && size > 1; i++) {
        uint64_t unit = units[i].seconds * UINT64_C(1000000000);
        if (text[size - 1] == units[i].letter && parse_u64(text, size - 1, value) && *value <= UINT64_MAX / 2 / unit) {
            *value *= unit;
            return 1;
        }
    }
    return 0;
}

/* ---- The handle: hooks, store, dataset ----------------------------------------------------------------------------- */

static uint64_t hook_now(void *user)
{
    return ((const app *)user)->now_ns;
}

/* splitmix64 from --seed: every draw is repeatable. */
static int hook_random(void *user, void *data, size_t size)
{
    app *a = (app *)user;
    uint8_t *bytes = (uint8_t *)data;
    for (size_t i = 0; i < size; i++) {
        a->random_state += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = a->random_state;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        bytes[i] = (uint8_t)(z >> 56);
    }
    return 0;
}

static void progress_line(const dreamdb_progress *p)
{
    char done[32], total[32];
    if (p->total > 0) {
        uint64_t percent = p->done >= p->total ? 100 : (uint64_t)((double)p->done * 100 / (double)p->total);
        (void)fprintf(stderr, "\r%s: %s of %s %s, %" PRIu64 "%%\033[K", p->verb, grouped(p->done, done), grouped(p->total, total),
                      p->unit, percent);
    } else {
        (void)fprintf(stderr, "\r%s: %s %s\033[K", p->verb, grouped(p->done, done), p->unit);
    }
    (void)fflush(stderr);
    progress_shown = 1;
}

/* Shows at most ten lines a second. */
static void show_progress(app *a, const dreamdb_progress *p)
{
    if (a->progress && pthread_mutex_trylock(&a->lock) == 0) {
        struct timespec now;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t since = (int64_t)(now.tv_sec - a->shown.tv_sec) * 1000 + (int64_t)(now.tv_nsec - a->shown.tv_nsec) / 1000000;
        if (since >= 100) {
            a->shown = now;
            progress_line(p);
        }
        (void)pthread_mutex_unlock(&a->lock);
    }
}

/* The library's progress callback: not 0 stops the verb, after Ctrl-C. */
static int hook_progress(void *user, const dreamdb_progress *p)
{
    app *a = (app *)user;
    if (!a->own_progress) {
        show_progress(a, p);
    }
    return interrupted != 0;
}

/* The tool's own loops report the same way; not 0 = stop. */
static int report(app *a, const char *verb, uint64_t done, uint64_t total, const char *unit)
{
    dreamdb_progress p;
    p.verb = verb;
    p.done = done;
    p.total = total;
    p.unit = unit;
    show_progress(a, &p);
    return interrupted != 0;
}

static int stopped(void)
{
    return fail(EXIT_CANCELLED, "stopped by Ctrl-C");
}

static int hex_digit(int c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int setup_nonce(app *a, const char *text)
{
    for (size_t i = 0; i < 16; i++) {
        int high = strlen(text) == 32 ? hex_digit(text[2 * i]) : -1, low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0) {
            return fail(EXIT_USAGE, "option --nonce: '%s' is not 32 hex digits", text);
        }
        a->nonce[i] = (uint8_t)(high * 16 + low);
    }
    a->has_nonce = 1;
    return EXIT_DONE;
}

static int setup_progress(app *a)
{
    const char *text = option_value(a, OPT_PROGRESS);
    int is_auto = !option_is(a, OPT_PROGRESS) || (text && strcmp(text, "auto") == 0);
    if (text && !is_auto && strcmp(text, "always") != 0 && strcmp(text, "never") != 0) {
        return fail(EXIT_USAGE, "option --progress: '%s' is none of always, never, auto", text);
    }
    a->progress = is_auto ? isatty(2) : !text || strcmp(text, "always") == 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &a->shown);
    return EXIT_DONE;
}

/* Fills the config from the global options. */
static int setup_config(app *a)
{
    const char *cache = option_value(a, OPT_CACHE), *nonce = option_value(a, OPT_NONCE);
    uint64_t threads = 0;
    int code = option_u64(a, OPT_SEED, 0, UINT64_MAX, &a->random_state);
    code = code ? code : option_u64(a, OPT_NOW, 0, DREAMDB_ANCHOR_MAX, &a->now_ns);
    code = code ? code : option_u64(a, OPT_THREADS, 1, 1024, &threads);
    code = code ? code : nonce ? setup_nonce(a, nonce) : EXIT_DONE;
    code = code ? code : setup_progress(a);
    if (!code && cache && !parse_size(cache, option_is(a, OPT_CACHE_DIR) ? &a->cache_bytes : &a->config.cache_bytes)) {
        code = fail(EXIT_USAGE, "option --cache-bytes: '%s' is no size such as 64M", cache);
    }
    a->json = option_is(a, OPT_JSON);
    a->config.threads = (uint32_t)threads;
    a->config.identical = option_is(a, OPT_IDENTICAL);
    a->config.writer = option_value(a, OPT_WRITER);
    a->config.now_ns = option_is(a, OPT_NOW) ? hook_now : NULL;
    a->config.random = option_is(a, OPT_SEED) ? hook_random : NULL;
    a->config.hook_user = a;
    a->config.progress = hook_progress;
    a->config.progress_user = a;
    return code;
}

/* file:///a%20b to "/a b"; the caller frees. */
static char *url_path(const char *url)
{
    const char *at = strncmp(url, "file://", 7) == 0 ? url + 7 : url;
    int is_url = at != url;
    if (is_url && strncmp(at, "localhost/", 10) == 0) {
        at += 9;
    }
    char *path = copy_text(at, strlen(at)), *to = path;
    for (const char *from = path; is_url && *from; from++) {
        int high = *from == '%' ? hex_digit(from[1]) : -1, low = high < 0 ? -1 : hex_digit(from[2]);
        *to++ = low < 0 ? *from : (char)(high * 16 + low);
        from += low < 0 ? 0 : 2;
    }
    if (is_url) {
        *to = 0;
    }
    return path;
}

static int parse_durability(const char *text, dreamdb_durability *durability)
{
    static const char *const names[] = {"full", "ref-only", "none"};
    for (size_t i = 0; text && i < COUNT_OF(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *durability = (dreamdb_durability)i;
            return EXIT_DONE;
        }
    }
    return text ? fail(EXIT_USAGE, "option --durability: '%s' is none of full, ref-only, none", text) : EXIT_DONE;
}

enum { READ, BRANCH, WRITE, CREATE };         /* what a verb does with the store; BRANCH writes, but not to its own REF */

static int url_is_remote(const char *url)
{
    return strncmp(url, "s3:", 3) == 0 || strncmp(url, "http:", 5) == 0 || strncmp(url, "https:", 6) == 0;
}

/* A bucket, or a plain HTTP server; keys, region and endpoint from the AWS_ environment where no option tells them. */
static dreamdb_status open_remote(app *a, const char *url, int mode)
{
    dreamdb_s3_options s3;
    memset(&s3, 0, sizeof s3);
    s3.url = url;
    s3.endpoint = option_value(a, OPT_ENDPOINT);
    s3.region = option_value(a, OPT_REGION);
    s3.read_only = mode == READ;
    return dreamdb_store_s3(&s3, &a->store, &a->error);
}

/* --cache DIR stands in front of the store; verify looks at the store itself. */
static int open_cache(app *a)
{
    dreamdb_disk_cache desc;
    memset(&desc, 0, sizeof desc);
    desc.path = option_value(a, OPT_CACHE_DIR);
    desc.bytes = a->cache_bytes;
    if (!desc.path || strcmp(a->verb->name, "verify") == 0) {
        return EXIT_DONE;
    }
    if (!desc.path[0]) {
        return fail(EXIT_USAGE, "option --cache: name a folder");
    }
    a->base = a->store;
    dreamdb_status status = dreamdb_store_disk_cache(&a->base, &desc, &a->store, &a->error);
    if (status) {
        a->store = a->base;
        return fail_status(status, &a->error);
    }
    a->is_cached = 1;
    return EXIT_DONE;
}

static int open_store(app *a, int mode)
{
    const char *url = option_value(a, OPT_STORE) ? option_value(a, OPT_STORE) : getenv("DREAMDB_STORE");
    dreamdb_directory directory;
    dreamdb_status status;
    memset(&directory, 0, sizeof directory);
    if (!url || !url[0]) {
        return fail(EXIT_USAGE, "no store is named: give --store DIRECTORY, or set DREAMDB_STORE");
    }
    if (parse_durability(option_value(a, OPT_DURABILITY), &directory.durability)) {
        return EXIT_USAGE;
    }
    if (strcmp(url, "memory:") == 0) {
        status = dreamdb_store_memory(NULL, &a->store, &a->error);
    } else if (url_is_remote(url)) {
        status = open_remote(a, url, mode);
    } else {
        char *path = url_path(url);
        directory.path = path;
        directory.read_only = mode == READ;
        directory.create = mode == CREATE;
        status = dreamdb_store_directory(&directory, &a->store, &a->error);
        free(path);
    }
    if (status == DREAMDB_ERR_ARGUMENT && url_is_remote(url)) {
        return fail(EXIT_USAGE, "%s", a->error.message);
    }
    if (status) {
        return fail_status(status, &a->error);
    }
    a->store_is_open = 1;
    a->config.store = &a->store;
    return open_cache(a);
}

/* "main~2" to "main" and "~2"; a Manifest address to "" and itself.  ref has room for the text. */
static int split_ref(const char *text, char *ref, const char **state)
{
    uint8_t address[DREAMDB_ADDRESS_SIZE];
    const char *back = strchr(text, '~');
    uint64_t steps;
    *state = NULL;
    if (strlen(text) == DREAMDB_ADDRESS_TEXT - 1 && dreamdb_address_parse(text, address) == 0) {
        ref[0] = 0;
        *state = text;
        return EXIT_DONE;
    }
    if (back && (back == text || !parse_u64(back + 1, strlen(back + 1), &steps))) {
        return fail(EXIT_USAGE, "'%s' is no state: write REF, REF@label, REF~3 or a Manifest address", text);
    }
    size_t size = back ? (size_t)(back - text) : strlen(text);
    memcpy(ref, text, size);
    ref[size] = 0;
    *state = back;
    return EXIT_DONE;
}

static int take_ref(void *user, const char *ref, const uint8_t *address, int is_tag)
{
    buffer *names = (buffer *)user;
    (void)is_tag;
    if (address) {
        buffer_add(names, ref, strlen(ref) + 1);
    }
    return 0;
}

/* A bare address: through any Ref of the store that opens. */
static dreamdb_status open_by_address(app *a, const char *address)
{
    buffer names = {NULL, 0, 0};
    dreamdb_status status = dreamdb_refs(&a->config, take_ref, &names, &a->error);
    status = status == DREAMDB_ERR_CORRUPT ? DREAMDB_OK : status;                  /* one broken Ref does not hide the others */
    for (size_t at = 0; !status && !a->view && at < names.used; at += strlen(names.data + at) + 1) {
        if (dreamdb_open(&a->config, names.data + at, &a->db, &a->error) == DREAMDB_OK) {
            status = dreamdb_snapshot_open(a->db, address, &a->view, &a->error);
            if (status) {
                dreamdb_close(a->db);
                a->db = NULL;
                status = status == DREAMDB_ERR_NOT_FOUND ? DREAMDB_OK : status;
            }
        }
    }
    buffer_free(&names);
    if (!status && !a->view) {
        a->error.path[0] = 0;
        (void)snprintf(a->error.message, sizeof a->error.message, "Manifest %s is not in this store", address);
        status = DREAMDB_ERR_NOT_FOUND;
    }
    return status;
}

/* Opens store, dataset and view for the verb's REF. */
static int open_view(app *a, int mode)
{
    const char *text = a->operands[0], *state;
    char *ref = copy_text(text, strlen(text));
    dreamdb_status status = DREAMDB_OK;
    int code = split_ref(text, ref, &state);
    if (!code && mode == WRITE && (state || strchr(ref, '@'))) {
        code = fail(EXIT_USAGE, "%s: '%s' is a kept state, which does not change: name a branch", a->verb->name, text);
    }
    code = code ? code : open_store(a, mode);
    if (!code && ref[0]) {
        status = dreamdb_open(&a->config, ref, &a->db, &a->error);
        status = status ? status : dreamdb_snapshot_open(a->db, state, &a->view, &a->error);
    } else if (!code) {
        status = open_by_address(a, state);
    }
    free(ref);
    if (!code && !status) {
        status = dreamdb_snapshot_info(a->view, &a->info, &a->error);
    }
    return code ? code : status ? fail_status(status, &a->error) : EXIT_DONE;
}

static void close_all(app *a)
{
    dreamdb_snapshot_close(a->view);
    dreamdb_close(a->db);
    if (a->store_is_open) {
        dreamdb_store_close(&a->store);
    }
    if (a->is_cached) {
        dreamdb_store_close(&a->base);
    }
    out_close(&a->o);
    free(a->given);
    free(a->operands);
}

static const dreamdb_field_info *find_field(const app *a, const char *name, size_t size)
{
    for (size_t i = 0; i < a->info->field_count; i++) {
        const dreamdb_field_info *field = &a->info->fields[i];
        if (strlen(field->name) == size && memcmp(field->name, name, size) == 0) {
            return field;
        }
    }
    return NULL;
}

/* The field of that name, or a failure that lists what there is. */
static int need_field(const app *a, const char *name, size_t size, const dreamdb_field_info **field)
{
    char list[400] = "";
    size_t used = 0;
    *field = find_field(a, name, size);
    for (size_t i = 0; !*field && i < a->info->field_count; i++) {
        int n = snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", a->info->fields[i].name);
        used += n > 0 && (size_t)n < sizeof list - used ? (size_t)n : 0;
    }
    return *field ? EXIT_DONE : fail(EXIT_NOT_FOUND, "no field '%.*s' in %s: its fields are %s", (int)(size < 200 ? size : 200), name,
                                     a->operands[0], list);
}

/* ---- Files of numbers: .npy and .fvecs ------------------------------------------------------------------------------- */

typedef enum source_form { SOURCE_NPY, SOURCE_FVECS, SOURCE_FOLDER, SOURCE_LINES } source_form;

/* A file (or folder) that holds one column, read from the first row to the last. */
typedef struct source {
    const char *path;
    source_form form;
    int         fd;
    uint64_t    rows, cols;                   /* cols: 0 = one value a row (1-D) */
    char        type;                         /* npy: f i u b U S M */
    int         swap;                         /* bytes stand in the other order than this machine's */
    size_t      item;                         /* bytes of one number, or of one fixed-size text */
    uint64_t    data_at, row_bytes;
    int64_t     tick_ns;                      /* M: nanoseconds a tick */
    char      **names; uint64_t *sizes;       /* FOLDER: [rows], sorted */
    FILE       *lines; uint64_t line;         /* LINES */
    char       *text; size_t text_size;       /* LINES: getline's */
    unsigned char *raw; size_t raw_size;      /* rows as they stand in the file */
} source;

static int big_endian_machine(void)
{
    const uint16_t one = 1;
    uint8_t first;
    memcpy(&first, &one, 1);
    return first == 0;
}

static void source_close(source *s)
{
    if (s->fd >= 0) {
        (void)close(s->fd);
    }
    if (s->lines) {
        (void)fclose(s->lines);
    }
    for (uint64_t i = 0; s->names && i < s->rows; i++) {
        free(s->names[i]);
    }
    free(s->names);
    free(s->sizes);
    free(s->text);
    free(s->raw);
    memset(s, 0, sizeof *s);
    s->fd = -1;
}

static int fail_errno(const char *path)
{
    int code = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED;
    return fail(code, "%s: %s", path, strerror(errno));
}

/* Reads size bytes at an offset, all of them. */
static int read_at(int fd, const char *path, uint64_t offset, void *data, size_t size)
{
    char *to = (char *)data;
    while (size > 0) {
        ssize_t n = pread(fd, to, size, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail_errno(path);
        }
        if (n == 0) {
            return fail(EXIT_FAILED, "%s: the file became shorter while it was read", path);
        }
        to += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return EXIT_DONE;
}

/* A reader over the dict of an .npy header: a Python literal with three keys. */
typedef struct literal { const char *at, *end; } literal;

static void literal_blank(literal *l)
{
    while (l->at < l->end && (*l->at == ' ' || *l->at == '\n' || *l->at == '\t' || *l->at == '\r')) {
        l->at++;
    }
}

static int literal_is(literal *l, const char *word)
{
    size_t size = strlen(word);
    literal_blank(l);
    if ((size_t)(l->end - l->at) < size || memcmp(l->at, word, size) != 0) {
        return 0;
    }
    l->at += size;
    return 1;
}

/* A quoted text without escapes. */
static int literal_text(literal *l, char *text, size_t room)
{
    size_t size = 0;
    literal_blank(l);
    if (l->at >= l->end || (*l->at != '\'' && *l->at != '"')) {
        return 0;
    }
    char quote = *l->at++;
    while (l->at < l->end && *l->at != quote && size + 1 < room) {
        text[size++] = *l->at++;
    }
    text[size] = 0;
    return l->at < l->end && *l->at++ == quote;
}

/* (), (n,), (n, m): the first two sizes, and how many there are. */
static int literal_shape(literal *l, uint64_t shape[2], size_t *dims)
{
    *dims = 0;
    if (!literal_is(l, "(")) {
        return 0;
    }
    while (!literal_is(l, ")")) {
        uint64_t value;
        const char *start;
        literal_blank(l);
        for (start = l->at; l->at < l->end && *l->at >= '0' && *l->at <= '9';) {
            l->at++;
        }
        if (!parse_u64(start, (size_t)(l->at - start), &value) || ++*dims > 32) {
            return 0;
        }
        if (*dims <= 2) {
            shape[*dims - 1] = value;
        }
        if (!literal_is(l, ",") && l->at < l->end && *l->at != ')') {
            return 0;
        }
    }
    return 1;
}

/* <M8[us]: nanoseconds a tick. */
static int npy_tick(const char *unit, int64_t *tick)
{
    static const struct { const char *unit; int64_t ns; } units[] = {
        {"[ns]", 1}, {"[us]", 1000}, {"[ms]", 1000000}, {"[s]", 1000000000}, {"[m]", INT64_C(60000000000)},
        {"[h]", INT64_C(3600000000000)}, {"[D]", INT64_C(86400000000000)}};
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (strcmp(unit, units[i].unit) == 0) {
            *tick = units[i].ns;
            return 1;
        }
    }
    return 0;
}

/* "<f4", "|b1", "<U12", "<M8[ns]". */
static int npy_type(source *s, const char *text)
{
    uint64_t size;
    char order = text[0], type = order ? text[1] : 0;
    size_t digits = type ? strspn(text + 2, "0123456789") : 0;
    if (!type || !strchr("<>|=", order) || !strchr("fiubUSM", type) || !parse_u64(text + 2, digits, &size) || size > UINT32_MAX / 4) {
        return 0;
    }
    const char *rest = text + 2 + digits;
    s->type = type;
    s->swap = order == '<' ? big_endian_machine() : order == '>' ? !big_endian_machine() : 0;
    s->item = type == 'U' ? (size_t)size * 4 : (size_t)size;
    if (type == 'M') {
        return size == 8 && npy_tick(rest, &s->tick_ns);
    }
    int number = type == 'f' ? size == 2 || size == 4 || size == 8
                 : type == 'b' ? size == 1 : type == 'i' || type == 'u' ? size == 1 || size == 2 || size == 4 || size == 8 : 1;
    return number && *rest == 0;
}

/* Takes the header's dict apart; sizes are checked against the file later. */
static int npy_dict(source *s, const char *text, size_t size)
{
    literal l;
    char key[32], type[32] = "";
    uint64_t shape[2] = {1, 0};
    size_t dims = 0;
    int fortran = 0, good, seen = 0;
    l.at = text;
    l.end = text + size;
    for (good = literal_is(&l, "{"); good && !literal_is(&l, "}");) {
        good = literal_text(&l, key, sizeof key) && literal_is(&l, ":");
        if (good && strcmp(key, "descr") == 0) {
            good = literal_text(&l, type, sizeof type);
            seen |= 1;
            if (!good) {
                return fail(EXIT_FAILED, "%s: holds records or Python objects: save one plain array a file", s->path);
            }
        } else if (good && strcmp(key, "fortran_order") == 0) {
            fortran = literal_is(&l, "True");
            good = fortran || literal_is(&l, "False");
            seen |= 2;
        } else {
            good = good && strcmp(key, "shape") == 0 && literal_shape(&l, shape, &dims);
            seen |= 4;
        }
        good = good && (literal_is(&l, ",") || (l.at < l.end && *l.at == '}'));
    }
    if (!good || seen != 7) {
        return fail(EXIT_FAILED, "%s: its .npy header is malformed", s->path);
    }
    if (!npy_type(s, type)) {
        return fail(EXIT_FAILED, "%s: holds '%s': wanted are floats, integers, bool, datetime64, or texts <U or |S", s->path, type);
    }
    if (dims > 2) {
        return fail(EXIT_FAILED, "%s: has %zu dimensions: reshape it to [rows] or [rows][dim]", s->path, dims);
    }
    if (fortran && dims == 2 && shape[0] > 1 && shape[1] > 1) {
        return fail(EXIT_FAILED, "%s: is in Fortran order: save numpy.ascontiguousarray(x)", s->path);
    }
    s->rows = shape[0];
    s->cols = dims == 2 ? shape[1] : 0;
    if (dims == 2 && shape[1] == 0) {
        return fail(EXIT_FAILED, "%s: has rows of no numbers", s->path);
    }
    return EXIT_DONE;
}

/* The file's length must be what its head promises. */
static int check_length(const source *s, uint64_t size)
{
    uint64_t most = UINT64_MAX - s->data_at;
    if (s->row_bytes > 0 && s->rows > most / s->row_bytes) {
        return fail(EXIT_FAILED, "%s: its header claims more bytes than a file can hold", s->path);
    }
    uint64_t want = s->data_at + s->rows * s->row_bytes;
    if (want != size) {
        return fail(EXIT_FAILED, "%s: is %s: %" PRIu64 " bytes where its header promises %" PRIu64, s->path,
                    size < want ? "cut short" : "longer than its header says", size, want);
    }
    return EXIT_DONE;
}

static int open_npy(source *s, uint64_t size)
{
    unsigned char head[12];
    if (size < 12) {
        return fail(EXIT_FAILED, "%s: is cut short: no .npy header", s->path);
    }
    int code = read_at(s->fd, s->path, 0, head, 12);
    if (code) {
        return code;
    }
    if (memcmp(head, "\x93NUMPY", 6) != 0 || head[6] < 1 || head[6] > 3) {
        return fail(EXIT_FAILED, "%s: is no .npy file of version 1 to 3", s->path);
    }
    uint64_t start = head[6] == 1 ? 10 : 12, length = (uint64_t)head[8] | (uint64_t)head[9] << 8;
    length |= head[6] == 1 ? 0 : (uint64_t)head[10] << 16 | (uint64_t)head[11] << 24;
    if (length > size - start || length > (1 << 20)) {
        return fail(EXIT_FAILED, "%s: is cut short inside its header", s->path);
    }
    char *text = (char *)grow(NULL, (size_t)length);
    code = read_at(s->fd, s->path, start, text, (size_t)length);
    code = code ? code : npy_dict(s, text, (size_t)length);
    free(text);
    uint64_t cols = s->cols > 0 ? s->cols : 1;
    if (!code && s->item > 0 && cols > UINT32_MAX / s->item) {
        code = fail(EXIT_FAILED, "%s: its rows are longer than 4 GB", s->path);
    }
    s->data_at = start + length;
    s->row_bytes = cols * s->item;
    return code ? code : check_length(s, size);
}

static int open_fvecs(source *s, uint64_t size)
{
    unsigned char head[4];
    if (size == 0) {
        return EXIT_DONE;
    }
    int code = size < 4 ? fail(EXIT_FAILED, "%s: is cut short", s->path) : read_at(s->fd, s->path, 0, head, 4);
    if (code) {
        return code;
    }
    s->cols = (uint64_t)head[0] | (uint64_t)head[1] << 8 | (uint64_t)head[2] << 16 | (uint64_t)head[3] << 24;
    if (s->cols < 1 || s->cols > (1 << 24)) {
        return fail(EXIT_FAILED, "%s: is no .fvecs file: it would start with %" PRIu64 " dimensions", s->path, s->cols);
    }
    s->type = 'f';
    s->item = 4;
    s->swap = big_endian_machine();
    s->row_bytes = 4 + 4 * s->cols;
    s->rows = size / s->row_bytes;
    if (s->rows * s->row_bytes != size) {
        return fail(EXIT_FAILED, "%s: is cut short: %" PRIu64 " bytes are no whole number of %" PRIu64 "-byte rows", s->path, size,
                    s->row_bytes);
    }
    return EXIT_DONE;
}

/* ---- Folders of files, and files of lines --------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every file of the folder, sorted by name; hidden ones are left out. */
static int open_folder(source *s)
{
    DIR *folder = opendir(s->path);
    size_t room = 0, base = strlen(s->path);
    int code = folder ? EXIT_DONE : fail_errno(s->path);
    for (struct dirent *entry; !code && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (s->rows == room) {
            room = room < 64 ? 64 : times(room, 2);
            s->names = (char **)grow_array(s->names, room, sizeof *s->names);
        }
        size_t size = strlen(entry->d_name);
        char *name = (char *)grow(NULL, base + size + 2);
        (void)snprintf(name, base + size + 2, "%s/%s", s->path, entry->d_name);
        s->names[s->rows++] = name;
    }
    if (folder) {
        (void)closedir(folder);
    }
    if (s->rows > 1) {
        qsort(s->names, (size_t)s->rows, sizeof *s->names, by_name);
    }
    s->sizes = (uint64_t *)grow_array(NULL, (size_t)s->rows, sizeof *s->sizes);
    for (uint64_t i = 0; !code && i < s->rows; i++) {
        struct stat st;
        if (stat(s->names[i], &st) != 0) {
            code = fail_errno(s->names[i]);
        } else if (!S_ISREG(st.st_mode)) {
            code = fail(EXIT_FAILED, "%s: is no file: a media folder holds files only", s->names[i]);
        } else {
            s->sizes[i] = (uint64_t)st.st_size;
        }
    }
    return code;
}

/* The next line without its end; *size -1 after the last. */
static const char *next_line(source *s, ssize_t *size)
{
    *size = getline(&s->text, &s->text_size, s->lines);
    if (*size > 0 && s->text[*size - 1] == '\n') {
        --*size;
    }
    if (*size > 0 && s->text[*size - 1] == '\r') {
        --*size;
    }
    s->line += *size >= 0;
    return s->text;
}

static int open_lines(source *s)
{
    ssize_t size;
    s->lines = fopen(s->path, "r");
    if (!s->lines) {
        return fail_errno(s->path);
    }
    for (next_line(s, &size); size >= 0; next_line(s, &size)) {
        s->rows++;
    }
    if (ferror(s->lines)) {
        return fail_errno(s->path);
    }
    rewind(s->lines);
    s->line = 0;
    return EXIT_DONE;
}

static int ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), tail = strlen(end);
    return size >= tail && strcmp(text + size - tail, end) == 0;
}

/* Opens a column's file by its name: FOLDER/, .npy, .fvecs, .txt. */
static int source_open(source *s, const char *path)
{
    struct stat st;
    memset(s, 0, sizeof *s);
    s->path = path;
    s->fd = -1;
    if (stat(path, &st) != 0) {
        return fail_errno(path);
    }
    if (S_ISDIR(st.st_mode)) {
        s->form = SOURCE_FOLDER;
        return open_folder(s);
    }
    if (ends_with(path, ".txt")) {
        s->form = SOURCE_LINES;
        return open_lines(s);
    }
    s->form = ends_with(path, ".fvecs") ? SOURCE_FVECS : SOURCE_NPY;
    if (s->form == SOURCE_NPY && !ends_with(path, ".npy")) {
        return fail(EXIT_USAGE, "%s: a column is read from .npy, .fvecs, .txt, or a folder of files (rows of .csv and .jsonl: --rows)",
                    path);
    }
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0 || fstat(s->fd, &st) != 0) {
        return fail_errno(path);
    }
    if (!S_ISREG(st.st_mode)) {
        return fail(EXIT_FAILED, "%s: is no regular file", path);
    }
    return s->form == SOURCE_NPY ? open_npy(s, (uint64_t)st.st_size) : open_fvecs(s, (uint64_t)st.st_size);
}

/* Rows [first, first + count) as they stand in the file. */
static int source_raw(source *s, uint64_t first, size_t count)
{
    size_t bytes = times((size_t)s->row_bytes, count);
    if (bytes > s->raw_size) {
        s->raw = (unsigned char *)grow(s->raw, bytes);
        s->raw_size = bytes;
    }
    return read_at(s->fd, s->path, s->data_at + first * s->row_bytes, s->raw, bytes);
}

/* One number of at most 8 bytes as an unsigned one, in this machine's order. */
static uint64_t raw_word(const unsigned char *at, size_t size, int big)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)at[i] << (8 * (big ? size - 1 - i : i));
    }
    return value;
}

static double half_real(uint64_t bits)
{
    uint64_t exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 31 ? 0 : exponent == 0 ? (double)fraction / 16777216 : (double)(fraction + 1024) / 33554432;
    for (uint64_t i = 0; i < exponent && exponent < 31; i++) {
        value *= 2;
    }
    if (exponent == 31) {
        value = strtod(fraction ? "nan" : "inf", NULL);
    }
    return bits >> 15 ? -value : value;
}

/* A float of 2, 4 or 8 bytes. */
static double raw_real(const unsigned char *at, size_t size, int big)
{
    uint64_t word = raw_word(at, size, big);
    uint32_t half = (uint32_t)word;
    double value;
    float narrow;
    if (size == 2) {
        return half_real(word);
    }
    if (size == 4) {
        memcpy(&narrow, &half, 4);
        return (double)narrow;
    }
    memcpy(&value, &word, 8);
    return value;
}

static int source_big(const source *s)
{
    return s->swap != big_endian_machine();
}

/* Vectors [first, first + count) as floats; s is of type f. */
static int source_floats(source *s, uint64_t first, size_t count, float *to)
{
    size_t cols = (size_t)(s->cols > 0 ? s->cols : 1), lead = s->form == SOURCE_FVECS ? 4 : 0;
    int big = source_big(s);
    if (s->form == SOURCE_NPY && s->item == 4 && !s->swap) {
        return read_at(s->fd, s->path, s->data_at + first * s->row_bytes, to, times(times(count, cols), 4));
    }
    int code = source_raw(s, first, count);
    for (size_t r = 0; !code && r < count; r++) {
        const unsigned char *row = s->raw + r * (size_t)s->row_bytes;
        if (lead && raw_word(row, 4, 0) != s->cols) {
            return fail(EXIT_FAILED, "%s: row %" PRIu64 " has another dimension than the first", s->path, first + r);
        }
        for (size_t i = 0; i < cols; i++) {
            double value = raw_real(row + lead + i * s->item, s->item, big);
            to[r * cols + i] = (float)value;
        }
    }
    return code;
}

/* Reads all rows (or the first most) of a file of vectors; dim 0 = any. */
static int load_vectors(const char *path, uint64_t dim, uint64_t most, int single, float **vectors, size_t *count, uint64_t *found)
{
    source s;
    int code = source_open(&s, path);
    *vectors = NULL;
    *count = 0;
    int flat = !code && s.form == SOURCE_NPY && s.cols == 0 && s.rows > 0;
    if (flat && !single) {
        code = fail(EXIT_FAILED, "%s: has one dimension, a sample is [rows][dim]: reshape it", path);
    } else if (flat) {
        s.cols = s.rows;
        s.rows = 1;
        s.row_bytes = s.cols * s.item;
    }
    if (!code && ((s.form != SOURCE_NPY && s.form != SOURCE_FVECS) || s.type != 'f')) {
        code = fail(EXIT_FAILED, "%s: holds no vectors: wanted is .npy of floats [rows][dim], or .fvecs", path);
    }
    if (!code && dim > 0 && s.cols != dim && s.rows > 0) {
        code = fail(EXIT_FAILED, "%s: has vectors of %" PRIu64 " dimensions, the field has %" PRIu64, path, s.cols, dim);
    }
    if (!code && s.rows == 0) {
        code = fail(EXIT_FAILED, "%s: holds no vectors: it has no rows", path);
    }
    if (!code) {
        uint64_t rows = s.rows < most ? s.rows : most;
        *vectors = (float *)grow_array(NULL, times((size_t)rows, (size_t)(s.cols > 0 ? s.cols : 1)), sizeof(float));
        *count = (size_t)rows;
        *found = s.cols;
        code = source_floats(&s, 0, *count, *vectors);
    }
    source_close(&s);
    if (code) {
        free(*vectors);
        *vectors = NULL;
    }
    return code;
}

/* Anchors from an .npy of u64 (or of i64 that are not negative). */
static int source_anchors(source *s, uint64_t first, size_t count, uint64_t *to)
{
    int code = source_raw(s, first, count);
    for (size_t r = 0; !code && r < count; r++) {
        uint64_t value = raw_word(s->raw + r * s->item, s->item, source_big(s));
        uint64_t sign = UINT64_C(1) << (8 * s->item - 1);
        if ((s->type == 'i' && (value & sign)) || value > DREAMDB_ANCHOR_MAX) {
            return fail(EXIT_FAILED, "%s: row %" PRIu64 ": anchors are 0 to 2^64-2", s->path, first + r);
        }
        to[r] = value;
    }
    return code;
}

static int open_anchors(source *s, const char *path)
{
    int code = source_open(s, path);
    if (!code && (s->form != SOURCE_NPY || s->cols != 0 || !strchr("iu", s->type))) {
        code = fail(EXIT_FAILED, "%s: holds no anchors: wanted is .npy of u64 [rows]", path);
    }
    return code;
}

/* ---- Columns: the rows of one batch of one field ------------------------------------------------------------------- */

typedef struct column {
    const dreamdb_field_info *field;
    source         from; int has_source;
    size_t         room;                      /* rows that fit */
    size_t         given;                     /* rows of this batch that have a value */
    unsigned char *present;                   /* [room] */
    void          *numbers;                   /* float [room][dim], int64_t, double or uint8_t [room] */
    dreamdb_slice *values;                    /* [room], texts and media */
    size_t        *starts;                    /* [room]: where the value starts in text, until the batch is complete */
    buffer          text;
    char         **files;                     /* media too big for memory: the batch's paths (part of from.names) */
    int            noted;                     /* the note on converted floats was printed */
} column;

static int is_media(dreamdb_kind kind)
{
    return kind == DREAMDB_IMAGE || kind == DREAMDB_AUDIO || kind == DREAMDB_VIDEO;
}

static int is_text(dreamdb_kind kind)
{
    return kind == DREAMDB_CATEGORICAL || kind == DREAMDB_STRING;
}

/* Bytes of one row in numbers; 0 for slices. */
static size_t number_size(const dreamdb_field_info *field)
{
    switch (field->kind) {
    case DREAMDB_EMBEDDING: return times(field->dim, sizeof(float));
    case DREAMDB_INT:
    case DREAMDB_TIMESTAMP: return sizeof(int64_t);
    case DREAMDB_FLOAT:     return sizeof(double);
    case DREAMDB_BOOL:      return sizeof(uint8_t);
    default:                return 0;
    }
}

static void column_free(column *c)
{
    if (c->has_source) {
        source_close(&c->from);
    }
    free(c->present);
    free(c->numbers);
    free(c->values);
    free(c->starts);
    buffer_free(&c->text);
    memset(c, 0, sizeof *c);
}

/* Makes room for a batch of count rows, none of which has a value yet. */
static void column_start(column *c, size_t count)
{
    if (count > c->room) {
        c->present = (unsigned char *)grow_array(c->present, count, 1);
        free(c->numbers);
        c->numbers = NULL;
        if (number_size(c->field) == 0) {
            c->values = (dreamdb_slice *)grow_array(c->values, count, sizeof *c->values);
            c->starts = (size_t *)grow_array(c->starts, count, sizeof *c->starts);
        }
        c->room = count;
    }
    if (count > 0) {
        memset(c->present, 0, count);
    }
    c->given = 0;
    c->text.used = 0;
    c->files = NULL;
}

/* The batch's numbers, made when the first one comes: a field that no row names costs nothing. */
static void *column_numbers(column *c)
{
    size_t size = number_size(c->field);
    if (!c->numbers && size > 0) {
        c->numbers = zeroed(c->room, size);
    }
    return c->numbers;
}

static void column_mark(column *c, size_t row)
{
    c->given += !c->present[row];
    c->present[row] = 1;
}

static void column_value(column *c, size_t row, size_t start, size_t size)
{
    c->starts[row] = start;
    c->values[row].size = size;
    column_mark(c, row);
}

/* Turns starts into pointers once text does not move any more. */
static void column_finish(column *c, size_t count)
{
    for (size_t r = 0; c->values && r < count; r++) {
        if (!c->present[r]) {
            c->values[r].size = 0;
        }
        if (!c->files) {
            c->values[r].data = c->present[r] && c->text.data ? c->text.data + c->starts[r] : "";
        }
    }
}

/* Appends a file's bytes. */
static int load_file(const char *path, buffer *to)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC), code = EXIT_DONE;
    size_t size = 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        code = fail_errno(path);
    } else if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > SIZE_MAX / 2) {
        code = fail(EXIT_FAILED, "%s: is no file that can be read", path);
    } else {
        size = (size_t)st.st_size;
        code = read_at(fd, path, 0, buffer_room(to, size), size);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    to->used += code ? 0 : size;
    return code;
}

/* A media payload that is a file. */
static int column_file(column *c, size_t row, const char *path)
{
    size_t start = c->text.used;
    int code = load_file(path, &c->text);
    if (!code) {
        column_value(c, row, start, c->text.used - start);
    }
    return code;
}

/* dreamdb_column.read: a piece of a file too big for memory; may run on several threads. */
static int read_piece(void *user, size_t row, uint64_t offset, void *data, size_t size)
{
    const column *c = (const column *)user;
    int fd = open(c->files[row], O_RDONLY | O_CLOEXEC);
    int code = fd < 0 ? fail_errno(c->files[row]) : read_at(fd, c->files[row], offset, data, size);
    if (fd >= 0) {
        (void)close(fd);
    }
    return code;
}

static const char *kind_name(dreamdb_kind kind)
{
    static const char *const names[] = {"other", "embedding", "image", "audio", "video", "categorical", "string", "int", "float", "bool",
                                        "timestamp", "constant"};
    return (size_t)kind < COUNT_OF(names) ? names[kind] : "other";
}

/* "[0.5, -1]", "0.5 -1" or "0.5;-1": exactly dim numbers. */
static int parse_vector(const char *text, size_t size, float *to, size_t dim)
{
    static const char between[] = "[], ;\t\n\r";
    size_t at = 0, count = 0;
    for (;;) {
        while (at < size && strchr(between, text[at]) && text[at]) {
            at++;
        }
        size_t start = at;
        while (at < size && text[at] && !strchr(between, text[at])) {
            at++;
        }
        if (at == start) {
            return at == size && count == dim;
        }
        double value;
        if (count == dim || !parse_real(text + start, at - start, &value)) {
            return 0;
        }
        to[count++] = (float)value;
    }
}

/* Where a text value came from, for messages. */
typedef struct place { const char *path; uint64_t line; } place;

static int fail_value(const column *c, const char *text, size_t size, const place *where)
{
    int shown = (int)(size < 60 ? size : 60);
    if (c->field->kind == DREAMDB_EMBEDDING) {
        return fail(EXIT_FAILED, "%s line %" PRIu64 ": field %s wants %" PRIu32 " numbers, and gets '%.*s'", where->path, where->line,
                    c->field->name, c->field->dim, shown, text);
    }
    return fail(EXIT_FAILED, "%s line %" PRIu64 ": field %s: '%.*s' is no %s", where->path, where->line, c->field->name, shown, text,
                kind_name(c->field->kind));
}

/* A media cell names a file, relative to the rows' own folder. */
static int cell_file(column *c, size_t row, const char *text, size_t size, const place *where)
{
    const char *slash = size > 0 && text[0] == '/' ? NULL : strrchr(where->path, '/');
    size_t base = slash ? (size_t)(slash - where->path) + 1 : 0;
    char *path = (char *)grow(NULL, base + size + 1);
    memcpy(path, where->path, base);
    memcpy(path + base, text, size);
    path[base + size] = 0;
    int code = column_file(c, row, path);
    free(path);
    return code;
}

/* One value from text, by the field's kind. */
static int cell_set(column *c, size_t row, const char *text, size_t size, const place *where)
{
    int64_t *integers = (int64_t *)column_numbers(c), flag = 0;
    int good = 1;
    switch (c->field->kind) {
    case DREAMDB_INT:       good = parse_i64(text, size, &integers[row]); break;
    case DREAMDB_TIMESTAMP: good = parse_time(text, size, &integers[row]); break;
    case DREAMDB_FLOAT:     good = parse_real(text, size, &((double *)c->numbers)[row]); break;
    case DREAMDB_EMBEDDING: good = parse_vector(text, size, (float *)c->numbers + row * c->field->dim, c->field->dim); break;
    case DREAMDB_BOOL:
        good = parse_bool(text, size, &flag);
        ((uint8_t *)c->numbers)[row] = (uint8_t)flag;
        break;
    case DREAMDB_CATEGORICAL:
    case DREAMDB_STRING:
        column_value(c, row, c->text.used, size);
        buffer_add(&c->text, text, size);
        return EXIT_DONE;
    default:
        return cell_file(c, row, text, size, where);
    }
    if (!good) {
        return fail_value(c, text, size, where);
    }
    column_mark(c, row);
    return EXIT_DONE;
}

/* What a scalar field wants of an .npy, or NULL if this type is that. */
static const char *npy_wanted(dreamdb_kind kind, char type)
{
    static const struct { dreamdb_kind kind; const char *types, *wanted; } fits[] = {
        {DREAMDB_CATEGORICAL, "US", ".npy of texts <U or |S, or .txt"}, {DREAMDB_STRING, "US", ".npy of texts <U or |S, or .txt"},
        {DREAMDB_INT, "iu", ".npy of integers"}, {DREAMDB_FLOAT, "fiu", ".npy of numbers"}, {DREAMDB_BOOL, "biu", ".npy of bool"},
        {DREAMDB_TIMESTAMP, "iuM", ".npy of integers or datetime64"}};
    for (size_t i = 0; i < COUNT_OF(fits); i++) {
        if (fits[i].kind == kind) {
            return type && strchr(fits[i].types, type) ? NULL : fits[i].wanted;
        }
    }
    return "another kind";
}

/* Does the file's type go with the field's kind? */
static int source_fits(column *c)
{
    const source *s = &c->from;
    dreamdb_kind kind = c->field->kind;
    const char *wanted = NULL;
    if (s->form == SOURCE_FOLDER) {
        return is_media(kind) ? EXIT_DONE : fail(EXIT_FAILED, "%s: a folder of files is for media, field %s is of kind %s", s->path,
                                                 c->field->name, kind_name(kind));
    }
    if (kind == DREAMDB_EMBEDDING) {
        wanted = s->form != SOURCE_LINES && (s->type == 'f' || s->rows == 0) ? NULL : ".npy of floats [rows][dim], or .fvecs";
        if (!wanted && s->cols == 0 && s->rows > 0) {
            return fail(EXIT_FAILED, "%s: has one dimension, field %s wants [rows][%" PRIu32 "]: reshape it", s->path, c->field->name,
                        c->field->dim);
        }
        if (!wanted && s->cols != c->field->dim && s->rows > 0) {
            return fail(EXIT_FAILED, "%s: has rows of %" PRIu64 " numbers, field %s has %" PRIu32 " dimensions", s->path, s->cols,
                        c->field->name, c->field->dim);
        }
    } else if (is_media(kind)) {
        wanted = "a folder of files";
    } else if (s->form != SOURCE_LINES) {
        wanted = s->form == SOURCE_NPY && s->cols != 0 ? "one value a row: .npy of shape [rows]" : npy_wanted(kind, s->type);
    }
    if (wanted) {
        return fail(EXIT_FAILED, "%s: does not go with field %s (%s): wanted is %s", s->path, c->field->name, kind_name(kind), wanted);
    }
    if (kind == DREAMDB_EMBEDDING && s->item != 4 && s->rows > 0 && !c->noted) {
        note("%s: f%zu numbers are stored as f32", s->path, 8 * s->item);
        c->noted = 1;
    }
    return EXIT_DONE;
}

/* UTF-32 to UTF-8; what is no character becomes U+FFFD. */
static void add_character(buffer *b, uint64_t c)
{
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        c = 0xfffd;
    }
    if (c < 0x80) {
        buffer_byte(b, (int)c);
        return;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const int lead[] = {0, 0xc0, 0xe0, 0xf0};
    buffer_byte(b, lead[more] | (int)(c >> (6 * more)));
    while (more-- > 0) {
        buffer_byte(b, 0x80 | (int)(c >> (6 * more) & 63));
    }
}

/* One fixed-size text of an .npy: zeros at its end do not belong to it. */
static void npy_text(column *c, size_t row, const unsigned char *raw)
{
    size_t unit = c->from.type == 'U' ? 4 : 1, size = c->from.item, start = c->text.used;
    while (size >= unit && raw_word(raw + size - unit, unit, 0) == 0) {
        size -= unit;
    }
    for (size_t i = 0; i + unit <= size; i += unit) {
        if (unit == 4) {
            add_character(&c->text, raw_word(raw + i, 4, source_big(&c->from)));
        } else {
            buffer_byte(&c->text, raw[i]);
        }
    }
    column_value(c, row, start, c->text.used - start);
}

/* One number of an .npy for a scalar field. */
static int npy_number(column *c, size_t row, uint64_t place_row, const unsigned char *raw)
{
    const source *s = &c->from;
    (void)column_numbers(c);
    uint64_t word = s->type == 'f' ? 0 : raw_word(raw, s->item, source_big(s)), sign = UINT64_C(1) << (8 * s->item - 1);
    int minus = s->type != 'u' && s->type != 'b' && s->type != 'f' && (word & sign);
    int64_t value = (int64_t)(minus && s->item < 8 ? word | ~(sign * 2 - 1) : word);
    int good = s->type != 'u' || word <= (uint64_t)INT64_MAX;
    if (c->field->kind == DREAMDB_FLOAT) {
        double real = s->type == 'f' ? raw_real(raw, s->item, source_big(s)) : (double)value;
        good = good && (s->type == 'f' || (value < INT64_C(1) << 53 && value > -(INT64_C(1) << 53)));
        ((double *)c->numbers)[row] = real;
    } else if (c->field->kind == DREAMDB_BOOL) {
        good = good && (value == 0 || value == 1);
        ((uint8_t *)c->numbers)[row] = (uint8_t)value;
    } else if (s->type == 'M') {
        if (value == INT64_MIN) {             /* NaT */
            return EXIT_DONE;
        }
        good = value <= INT64_MAX / s->tick_ns && value >= INT64_MIN / s->tick_ns;
        ((int64_t *)c->numbers)[row] = good ? value * s->tick_ns : 0;
    } else {
        ((int64_t *)c->numbers)[row] = value;
    }
    column_mark(c, row);
    return good ? EXIT_DONE : fail(EXIT_FAILED, "%s: row %" PRIu64 " does not fit into field %s (%s)", s->path, place_row, c->field->name,
                                   kind_name(c->field->kind));
}

static int fill_npy(column *c, uint64_t first, size_t count)
{
    int code;
    if (c->field->kind == DREAMDB_EMBEDDING) {
        code = source_floats(&c->from, first, count, (float *)column_numbers(c));
        memset(c->present, 1, count);
        c->given = count;
        return code;
    }
    code = source_raw(&c->from, first, count);
    for (size_t r = 0; !code && r < count; r++) {
        const unsigned char *raw = c->from.raw + r * c->from.item;
        if (is_text(c->field->kind)) {
            npy_text(c, r, raw);
        } else {
            code = npy_number(c, r, first + r, raw);
        }
    }
    return code;
}

static int fill_lines(column *c, size_t count)
{
    for (size_t r = 0; r < count; r++) {
        ssize_t size;
        const char *text = next_line(&c->from, &size);
        place where;
        where.path = c->from.path;
        where.line = c->from.line;
        if (size < 0) {
            return fail(EXIT_FAILED, "%s: the file became shorter while it was read", c->from.path);
        }
        int code = size > 0 ? cell_set(c, r, text, (size_t)size, &where) : EXIT_DONE;
        if (code) {
            return code;
        }
    }
    return EXIT_DONE;
}

static int fill_folder(column *c, uint64_t first, size_t count)
{
    int big = 0;
    for (size_t r = 0; r < count; r++) {
        big |= c->from.sizes[first + r] > MEDIA_IN_MEMORY;
    }
    for (size_t r = 0; r < count; r++) {
        if (!big) {
            int code = column_file(c, r, c->from.names[first + r]);
            if (code) {
                return code;
            }
            continue;
        }
        if (c->from.sizes[first + r] > SIZE_MAX) {
            return fail(EXIT_FAILED, "%s: is too big for this machine", c->from.names[first + r]);
        }
        c->values[r].data = NULL;
        c->values[r].size = (size_t)c->from.sizes[first + r];
        column_mark(c, r);
    }
    c->files = big ? c->from.names + first : NULL;
    return EXIT_DONE;
}

/* Rows [first, first + count) of the column's file. */
static int column_fill(column *c, uint64_t first, size_t count)
{
    column_start(c, count);
    switch (c->from.form) {
    case SOURCE_FOLDER: return fill_folder(c, first, count);
    case SOURCE_LINES:  return fill_lines(c, count);
    default:            return count > 0 ? fill_npy(c, first, count) : EXIT_DONE;
    }
}

/* What dreamdb_append takes. */
static void column_lend(column *c, size_t count, dreamdb_column *to)
{
    column_finish(c, count);
    memset(to, 0, sizeof *to);
    to->field = c->field->name;
    to->data = c->numbers;
    to->values = c->values;
    to->present = c->given == count ? NULL : c->present;
    to->read = c->files ? read_piece : NULL;
    to->read_user = c;
}

/* "emb=vectors.npy": the field and its file; the last '=' that leaves a known field before it. */
static int column_open(app *a, column *c, const char *text)
{
    const char *equals = strchr(text, '=');
    memset(c, 0, sizeof *c);
    while (equals && !find_field(a, text, (size_t)(equals - text)) && strchr(equals + 1, '=')) {
        equals = strchr(equals + 1, '=');
    }
    if (!equals || !equals[1]) {
        return fail(EXIT_USAGE, "option --column: '%s' is not FIELD=FILE", text);
    }
    if (!find_field(a, text, (size_t)(equals - text))) {
        equals = strchr(text, '=');
    }
    int code = need_field(a, text, (size_t)(equals - text), &c->field);
    if (!code && (c->field->kind == DREAMDB_KIND_OTHER || c->field->kind == DREAMDB_CONSTANT)) {
        return fail(EXIT_FAILED, "field %s is of kind %s: this version %s", c->field->name, c->field->kind_text,
                    c->field->kind == DREAMDB_KIND_OTHER ? "keeps it, but does not write it" : "writes a constant once, when it is made");
    }
    if (!code) {
        c->has_source = 1;
        code = source_open(&c->from, equals + 1);
    }
    return code ? code : source_fits(c);
}

/* ---- Rows of .csv, .tsv and .jsonl --------------------------------------------------------------------------------- */

/* A reader of rows: each row is a list of cells; a cell is a name's text or nothing. */
typedef struct rows {
    const char *path;
    FILE     *file;
    int       is_json, comma;
    uint64_t  line, record_line;              /* where the reader stands; where the last record began */
    buffer     text;                           /* the record's cells (csv), or its line and its unescaped values (json) */
    size_t   *starts, *sizes; int *quoted;    /* csv: [cells] */
    size_t    cells, room;
    char    **names; int *owners; size_t name_count;   /* csv: the header; owners: column, -1 = _anchor */
    char     *raw; size_t raw_size;           /* json: getline's */
} rows;

enum { OWNER_ANCHOR = -1 };

static void rows_close(rows *f)
{
    if (f->file) {
        (void)fclose(f->file);
    }
    for (size_t i = 0; i < f->name_count; i++) {
        free(f->names[i]);
    }
    free(f->names);
    free(f->owners);
    free(f->starts);
    free(f->sizes);
    free(f->quoted);
    free(f->raw);
    buffer_free(&f->text);
    memset(f, 0, sizeof *f);
}

static int fail_row(const rows *f, const char *what)
{
    return fail(EXIT_FAILED, "%s line %" PRIu64 ": %s", f->path, f->record_line, what);
}

static void csv_cell_begin(rows *f)
{
    if (f->cells == f->room) {
        f->room = f->room < 16 ? 16 : times(f->room, 2);
        f->starts = (size_t *)grow_array(f->starts, f->room, sizeof *f->starts);
        f->sizes = (size_t *)grow_array(f->sizes, f->room, sizeof *f->sizes);
        f->quoted = (int *)grow_array(f->quoted, f->room, sizeof *f->quoted);
    }
    f->starts[f->cells] = f->text.used;
    f->quoted[f->cells] = 0;
}

static void csv_cell_end(rows *f)
{
    f->sizes[f->cells] = f->text.used - f->starts[f->cells];
    f->cells++;
}

/* The inside of a quoted cell, up to the quote that ends it. */
static int csv_quoted(rows *f)
{
    for (;;) {
        int c = getc(f->file);
        if (c == EOF) {
            return fail_row(f, "a quoted cell does not end");
        }
        if (c == '"') {
            c = getc(f->file);
            if (c != '"') {
                (void)ungetc(c, f->file);
                return EXIT_DONE;
            }
        }
        f->line += c == '\n';
        buffer_byte(&f->text, c);
    }
}

/* The next record into cells; *got 0 at the end of the file. */
static int csv_record(rows *f, int *got)
{
    int c = getc(f->file);
    f->record_line = f->line + 1;
    f->cells = 0;
    f->text.used = 0;
    *got = c != EOF;
    if (c == EOF) {
        return EXIT_DONE;
    }
    for (csv_cell_begin(f);; c = getc(f->file)) {
        if (c == '"' && f->text.used == f->starts[f->cells] && !f->quoted[f->cells]) {
            f->quoted[f->cells] = 1;
            int code = csv_quoted(f);
            if (code) {
                return code;
            }
        } else if (c == f->comma) {
            csv_cell_end(f);
            csv_cell_begin(f);
        } else if (c == '\n' || c == EOF) {
            break;
        } else if (c == '\r') {
            c = getc(f->file);
            (void)ungetc(c, f->file);
            if (c != '\n') {
                buffer_byte(&f->text, '\r');
            }
        } else if (f->quoted[f->cells]) {
            return fail_row(f, "text stands after a quoted cell");
        } else {
            buffer_byte(&f->text, c);
        }
    }
    csv_cell_end(f);
    f->line++;
    return ferror(f->file) ? fail_errno(f->path) : EXIT_DONE;
}

/* What takes a row's cells: called with a name's column or OWNER_ANCHOR. */
typedef struct batch {
    app      *a;
    column   *columns; size_t count;          /* the columns that have a file first, then those that rows may fill */
    size_t    fixed;                          /* how many have a file */
    uint64_t *anchors;                        /* [room] */
    size_t    room, anchored;                 /* anchored: rows that brought an anchor */
} batch;

/* Room for the anchors of count rows. */
static void batch_room(batch *b, size_t count)
{
    if (count > b->room) {
        b->anchors = (uint64_t *)grow_array(b->anchors, count, sizeof *b->anchors);
        b->room = count;
    }
}

static int batch_owner(batch *b, const char *name, size_t size, const char *path, int *owner)
{
    *owner = OWNER_ANCHOR;
    if (size == 7 && memcmp(name, "_anchor", 7) == 0) {
        return EXIT_DONE;
    }
    for (size_t i = 0; i < b->count; i++) {
        if (strlen(b->columns[i].field->name) == size && memcmp(b->columns[i].field->name, name, size) == 0) {
            *owner = (int)i;
            return i >= b->fixed ? EXIT_DONE : fail(EXIT_USAGE, "%s: field %s has a --column too: give one of them", path,
                                                    b->columns[i].field->name);
        }
    }
    const dreamdb_field_info *field;
    int code = need_field(b->a, name, size, &field);
    return code ? code : fail(EXIT_FAILED, "%s: field %s (%s) cannot be appended", path, field->name, field->kind_text);
}

static int batch_cell(batch *b, int owner, size_t row, const char *text, size_t size, const place *where)
{
    if (owner != OWNER_ANCHOR) {
        return cell_set(&b->columns[owner], row, text, size, where);
    }
    if (!parse_u64(text, size, &b->anchors[row]) || b->anchors[row] > DREAMDB_ANCHOR_MAX) {
        return fail(EXIT_FAILED, "%s line %" PRIu64 ": _anchor '%.*s' is no number from 0 to 2^64-2", where->path, where->line,
                    (int)(size < 60 ? size : 60), text);
    }
    b->anchored++;
    return EXIT_DONE;
}

/* The header names the columns. */
static int csv_header(rows *f, batch *b)
{
    int got, code = csv_record(f, &got);
    if (!code && !got) {
        code = fail(EXIT_FAILED, "%s: is empty: the first line names the columns", f->path);
    }
    if (!code && f->sizes[0] >= 3 && memcmp(f->text.data, "\xef\xbb\xbf", 3) == 0) {     /* byte order mark */
        f->starts[0] += 3;
        f->sizes[0] -= 3;
    }
    f->names = code ? NULL : (char **)zeroed(f->cells, sizeof *f->names);
    f->owners = code ? NULL : (int *)zeroed(f->cells, sizeof *f->owners);
    for (size_t i = 0; !code && i < f->cells; i++) {
        f->names[f->name_count++] = copy_text(f->text.data + f->starts[i], f->sizes[i]);
        code = batch_owner(b, f->names[i], f->sizes[i], f->path, &f->owners[i]);
        for (size_t k = 0; !code && k < i; k++) {
            if (f->owners[k] == f->owners[i]) {
                code = fail(EXIT_FAILED, "%s: column %s stands there twice", f->path, f->names[i]);
            }
        }
    }
    return code;
}

static int csv_row(rows *f, batch *b, size_t row, int *got)
{
    place where;
    int code = csv_record(f, got);
    while (!code && *got && f->cells == 1 && f->name_count > 1 && f->sizes[0] == 0) {     /* an empty line */
        code = csv_record(f, got);
    }
    if (code || !*got) {
        return code;
    }
    where.path = f->path;
    where.line = f->record_line;
    if (f->cells != f->name_count) {
        return fail(EXIT_FAILED, "%s line %" PRIu64 ": has %zu cells, the header has %zu%s", f->path, f->record_line, f->cells,
                    f->name_count, f->cells > f->name_count ? " (a cell with commas wants quotes: \"[1,2]\")" : "");
    }
    for (size_t i = 0; !code && i < f->cells; i++) {
        int is_empty_text = f->quoted[i] && f->owners[i] >= 0 && is_text(b->columns[f->owners[i]].field->kind);
        if (f->sizes[i] > 0 || is_empty_text) {
            code = batch_cell(b, f->owners[i], row, f->text.data + f->starts[i], f->sizes[i], &where);
        }
    }
    return code;
}

/* ---- JSON lines: one flat object a line -------------------------------------------------------------------------- */

typedef struct json { const char *at, *end; } json;

static void json_blank(json *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\r' || *j->at == '\n')) {
        j->at++;
    }
}

static int json_is(json *j, char c)
{
    json_blank(j);
    if (j->at < j->end && *j->at == c) {
        j->at++;
        return 1;
    }
    return 0;
}

static int json_hex4(json *j, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = j->at < j->end ? hex_digit(*j->at++) : -1;
        if (digit < 0) {
            return 0;
        }
        *value = *value * 16 + (uint64_t)digit;
    }
    return 1;
}

/* What follows a backslash. */
static int json_escape(json *j, buffer *to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    uint64_t c, low;
    char kind = j->at < j->end ? *j->at++ : 0;
    const char *known = kind ? strchr(from, kind) : NULL;
    if (known) {
        buffer_byte(to, into[known - from]);
        return 1;
    }
    if (kind != 'u' || !json_hex4(j, &c)) {
        return 0;
    }
    if (c >= 0xd800 && c < 0xdc00 && j->end - j->at >= 6 && j->at[0] == '\\' && j->at[1] == 'u') {
        j->at += 2;
        if (!json_hex4(j, &low) || low < 0xdc00 || low > 0xdfff) {
            return 0;
        }
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    add_character(to, c);
    return 1;
}

/* A string into to (which keeps what it holds). */
static int json_read_text(json *j, buffer *to)
{
    if (!json_is(j, '"')) {
        return 0;
    }
    while (j->at < j->end && *j->at != '"') {
        char c = *j->at++;
        if (c == '\\') {
            if (!json_escape(j, to)) {
                return 0;
            }
        } else if ((unsigned char)c < 0x20) {
            return 0;
        } else {
            buffer_byte(to, c);
        }
    }
    return json_is(j, '"');
}

/* A value as text: strings unescaped, numbers and true, false as they stand, [numbers] as they stand; *is_null. */
static int json_read_value(json *j, buffer *to, int *is_null)
{
    json_blank(j);
    const char *start = j->at;
    *is_null = 0;
    if (j->at < j->end && *j->at == '"') {
        return json_read_text(j, to);
    }
    if (j->at < j->end && *j->at == '[') {
        while (j->at < j->end && *j->at != ']') {
            j->at++;
            if (j->at < j->end && (*j->at == '[' || *j->at == '{' || *j->at == '"')) {
                return 0;
            }
        }
        if (j->at == j->end) {
            return 0;
        }
        j->at++;
    } else {
        while (j->at < j->end && *j->at > ' ' && !strchr(",:{}[]\"", *j->at)) {
            j->at++;
        }
        *is_null = j->at - start == 4 && memcmp(start, "null", 4) == 0;
    }
    buffer_add(to, start, (size_t)(j->at - start));
    return j->at > start;
}

/* "name": value, into the batch. */
static int json_pair(rows *f, json *j, batch *b, size_t row)
{
    size_t name = f->text.used, value, size;
    int is_null, owner;
    place where;
    if (!json_read_text(j, &f->text) || !json_is(j, ':')) {
        return fail_row(f, "is no JSON object of \"name\": value pairs");
    }
    value = f->text.used;
    if (!json_read_value(j, &f->text, &is_null)) {
        return fail_row(f, "a value is none of string, number, true, false, null, [numbers]");
    }
    size = f->text.used - value;
    where.path = f->path;
    where.line = f->record_line;
    int code = batch_owner(b, f->text.data + name, value - name, f->path, &owner);
    if (!code && !is_null && owner >= 0 && b->columns[owner].present[row]) {
        return fail_row(f, "names a field twice");
    }
    return code || is_null ? code : batch_cell(b, owner, row, f->text.data + value, size, &where);
}

static int json_row(rows *f, batch *b, size_t row, int *got)
{
    ssize_t size;
    json j;
    int code = EXIT_DONE;
    do {
        size = getline(&f->raw, &f->raw_size, f->file);
        f->line += size >= 0;
    } while (size > 0 && strspn(f->raw, " \t\r\n") == (size_t)size);     /* empty lines */
    *got = size > 0;
    if (size <= 0) {
        return ferror(f->file) ? fail_errno(f->path) : EXIT_DONE;
    }
    f->record_line = f->line;
    f->text.used = 0;
    j.at = f->raw;
    j.end = f->raw + size;
    if (!json_is(&j, '{')) {
        return fail_row(f, "is no JSON object");
    }
    if (!json_is(&j, '}')) {
        do {
            code = json_pair(f, &j, b, row);
        } while (!code && json_is(&j, ','));
        if (!code && !json_is(&j, '}')) {
            code = fail_row(f, "the JSON object does not end");
        }
    }
    json_blank(&j);
    return code ? code : j.at == j.end ? EXIT_DONE : fail_row(f, "something stands after the JSON object");
}

/* At most count rows, fewer when they hold much text or media; *got 0 at the end. */
static int rows_fill(rows *f, batch *b, size_t count, size_t *got)
{
    int code = EXIT_DONE, more = 1;
    uint64_t held = 0;
    *got = 0;
    b->anchored = 0;
    batch_room(b, count);
    for (size_t i = b->fixed; i < b->count; i++) {
        column_start(&b->columns[i], count);
    }
    while (!code && more && *got < count && held < BATCH_BYTES) {
        code = f->is_json ? json_row(f, b, *got, &more) : csv_row(f, b, *got, &more);
        *got += !code && more;
        held = 0;
        for (size_t i = b->fixed; i < b->count; i++) {
            held += b->columns[i].text.used;
        }
    }
    return code;
}

static int rows_rewind(rows *f)
{
    int got;
    rewind(f->file);
    f->line = 0;
    return f->is_json ? EXIT_DONE : csv_record(f, &got);
}

/* Opens the file and reads it once to the end, so that nothing is written when a value is malformed. */
static int rows_open(rows *f, batch *b, const char *path, size_t batch_rows, uint64_t *total)
{
    size_t got = 1, anchored = 0;
    memset(f, 0, sizeof *f);
    f->path = path;
    f->comma = ends_with(path, ".tsv") ? '\t' : ',';
    f->is_json = ends_with(path, ".jsonl") || ends_with(path, ".ndjson");
    if (!f->is_json && !ends_with(path, ".csv") && !ends_with(path, ".tsv")) {
        return fail(EXIT_USAGE, "option --rows: %s: wanted is a .csv, .tsv or .jsonl file", path);
    }
    f->file = fopen(path, "r");
    int code = f->file ? EXIT_DONE : fail_errno(path);
    code = code || f->is_json ? code : csv_header(f, b);
    for (*total = 0; !code && got > 0; *total += got) {
        code = rows_fill(f, b, batch_rows, &got);
        anchored += b->anchored;
    }
    if (!code && anchored != 0 && anchored != *total) {
        code = fail(EXIT_FAILED, "%s: %zu of %" PRIu64 " rows have an _anchor: give all or none", path, anchored, *total);
    }
    b->anchored = anchored;
    return code ? code : rows_rewind(f);
}

/* ---- Predicates: label=cat and (n>=3 or kind in (a,'b c')) ---------------------------------------------------------- */

/* One node and what it owns. */
typedef struct where_node {
    dreamdb_where  self;
    dreamdb_where *children;                  /* = self.children */
    dreamdb_operand *operands;                /* = self.operands; texts point into texts */
    char         **texts;
    size_t         room;                      /* of children, operands and texts */
} where_node;

typedef struct where_parser {
    app        *a;
    const char *text, *at;
    int         code;                         /* not 0 once something failed */
    int         depth;
    buffer       owned;                        /* pointers to free: void *[] */
} where_parser;

enum { WHERE_DEPTH = 100 };                   /* parentheses within parentheses */

static void *where_keep(where_parser *p, void *data)
{
    buffer_add(&p->owned, &data, sizeof data);
    return data;
}

static void where_free(where_parser *p)
{
    for (size_t at = 0; at < p->owned.used; at += sizeof(void *)) {
        void *data;
        memcpy(&data, p->owned.data + at, sizeof data);
        free(data);
    }
    buffer_free(&p->owned);
}

static void where_fail(where_parser *p, const char *what)
{
    if (!p->code) {
        p->code = fail(EXIT_USAGE, "option --where: '%.80s%s': %s at character %zu", p->text, strlen(p->text) > 80 ? "..." : "", what,
                       (size_t)(p->at - p->text) + 1);
    }
}

static void where_blank(where_parser *p)
{
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n') {
        p->at++;
    }
}

static int is_word_end(char c)
{
    return c == 0 || strchr(" \t\n=!<>(),'\"", c) != NULL;
}

/* A keyword (and, or, in) in either case, as a whole word. */
static int where_word(where_parser *p, const char *word)
{
    where_blank(p);
    size_t size = strlen(word);
    for (size_t i = 0; i < size; i++) {
        if ((p->at[i] | 0x20) != word[i]) {
            return 0;
        }
    }
    if (!is_word_end(p->at[size])) {
        return 0;
    }
    p->at += size;
    return 1;
}

static int where_sign(where_parser *p, const char *sign)
{
    where_blank(p);
    size_t size = strlen(sign);
    if (strncmp(p->at, sign, size) != 0) {
        return 0;
    }
    p->at += size;
    return 1;
}

/* A bare word or a quoted text (a backslash takes the next character as it is); kept until where_free. */
static char *where_text(where_parser *p, const char *what)
{
    where_blank(p);
    char quote = *p->at == '\'' || *p->at == '"' ? *p->at : 0, *text = (char *)where_keep(p, grow(NULL, strlen(p->at) + 1));
    const char *start = p->at;
    size_t size = 0;
    p->at += quote != 0;
    while (*p->at && (quote ? *p->at != quote : !is_word_end(*p->at))) {
        p->at += quote && *p->at == '\\' && p->at[1];
        text[size++] = *p->at++;
    }
    text[size] = 0;
    if (quote ? *p->at != quote : size == 0) {
        p->at = start;
        where_fail(p, quote ? "a quoted text does not end" : what);
        return text;
    }
    p->at += quote != 0;
    return text;
}

/* A value of the field's kind. */
static dreamdb_operand where_operand(where_parser *p, const dreamdb_field_info *field)
{
    dreamdb_operand operand;
    memset(&operand, 0, sizeof operand);
    where_blank(p);
    const char *start = p->at, *text = where_text(p, "a value is wanted");
    size_t size = strlen(text);
    int good = 1;
    operand.text.data = text;
    operand.text.size = size;
    switch (field->kind) {
    case DREAMDB_INT:       good = parse_i64(text, size, &operand.integer); break;
    case DREAMDB_TIMESTAMP: good = parse_time(text, size, &operand.integer); break;
    case DREAMDB_BOOL:      good = parse_bool(text, size, &operand.integer); break;
    case DREAMDB_FLOAT:     good = parse_real(text, size, &operand.real); break;
    default: break;
    }
    if (!good && !p->code) {
        p->at = start;
        p->code = fail(EXIT_USAGE, "option --where: '%s': field %s is of kind %s, '%s' is none", p->text, field->name,
                       kind_name(field->kind), text);
    }
    return operand;
}

/* FIELD op VALUE, or FIELD in (VALUE, ...). */
static dreamdb_where where_clause(where_parser *p)
{
    static const struct { const char *sign; dreamdb_op op; } signs[] = {
        {"==", DREAMDB_EQ}, {"=", DREAMDB_EQ}, {"!=", DREAMDB_NE}, {"<>", DREAMDB_NE}, {"<=", DREAMDB_LE}, {"<", DREAMDB_LT},
        {">=", DREAMDB_GE}, {">", DREAMDB_GT}};
    dreamdb_where w;
    dreamdb_operand *list = NULL;
    const dreamdb_field_info *field = NULL;
    size_t i = 0;
    memset(&w, 0, sizeof w);
    const char *name = where_text(p, "a field is wanted");
    if (!p->code) {
        p->code = need_field(p->a, name, strlen(name), &field);
    }
    if (!p->code && (field->kind < DREAMDB_CATEGORICAL || field->kind > DREAMDB_TIMESTAMP)) {
        p->code = fail(EXIT_USAGE, "option --where: field %s is of kind %s: only scalars can be compared", name, field->kind_text);
    }
    if (p->code) {
        return w;
    }
    w.field = field->name;
    if (where_word(p, "in")) {
        w.op = DREAMDB_IN;
        if (!where_sign(p, "(")) {
            where_fail(p, "'(' is wanted after in");
        }
        while (!p->code && !where_sign(p, ")")) {
            if (w.operand_count > 0 && !where_sign(p, ",")) {
                where_fail(p, "',' or ')' is wanted");
                break;
            }
            list = (dreamdb_operand *)grow_array(list, w.operand_count + 1, sizeof *list);
            list[w.operand_count++] = where_operand(p, field);
        }
    } else {
        while (i < COUNT_OF(signs) && !where_sign(p, signs[i].sign)) {
            i++;
        }
        if (i == COUNT_OF(signs)) {
            where_fail(p, "one of = != < <= > >= in is wanted");
            return w;
        }
        w.op = signs[i].op;
        list = (dreamdb_operand *)grow(NULL, sizeof *list);
        list[w.operand_count++] = where_operand(p, field);
    }
    w.operands = (dreamdb_operand *)where_keep(p, list);
    return w;
}

static dreamdb_where where_any(where_parser *p);

static dreamdb_where where_factor(where_parser *p)
{
    dreamdb_where w;
    if (!where_sign(p, "(")) {
        return where_clause(p);
    }
    memset(&w, 0, sizeof w);
    if (++p->depth > WHERE_DEPTH) {
        where_fail(p, "too many parentheses");
        return w;
    }
    w = where_any(p);
    p->depth--;
    if (!p->code && !where_sign(p, ")")) {
        where_fail(p, "')' is wanted");
    }
    return w;
}

/* part (word part)*: one part alone stays itself. */
static dreamdb_where where_list(where_parser *p, dreamdb_op op, const char *word, dreamdb_where (*part)(where_parser *))
{
    dreamdb_where first = part(p), w;
    dreamdb_where *list = NULL;
    size_t count = 1;
    if (p->code || !where_word(p, word)) {
        return first;
    }
    list = (dreamdb_where *)grow(NULL, sizeof *list);
    list[0] = first;
    do {
        list = (dreamdb_where *)grow_array(list, count + 1, sizeof *list);
        list[count++] = part(p);
    } while (!p->code && where_word(p, word));
    memset(&w, 0, sizeof w);
    w.op = op;
    w.children = (dreamdb_where *)where_keep(p, list);
    w.child_count = count;
    return w;
}

static dreamdb_where where_all(where_parser *p)
{
    return where_list(p, DREAMDB_AND, "and", where_factor);
}

static dreamdb_where where_any(where_parser *p)
{
    return where_list(p, DREAMDB_OR, "or", where_all);
}

/* All --where options, ANDed; *found NULL when there is none.  where_free in any case. */
static int where_options(app *a, where_parser *p, const dreamdb_where **found)
{
    size_t count = option_count(a, OPT_WHERE);
    memset(p, 0, sizeof *p);
    *found = NULL;
    if (count == 0) {
        return EXIT_DONE;
    }
    dreamdb_where *list = (dreamdb_where *)where_keep(p, zeroed(count + 1, sizeof *list));
    for (size_t i = 0; i < count && !p->code; i++) {
        p->a = a;
        p->text = p->at = option_at(a, OPT_WHERE, i);
        list[i + 1] = where_any(p);
        where_blank(p);
        if (!p->code && *p->at) {
            where_fail(p, "and, or, or the end is wanted");
        }
    }
    list[0].op = DREAMDB_AND;
    list[0].children = list + 1;
    list[0].child_count = count;
    *found = count == 1 ? &list[1] : &list[0];
    return p->code;
}

/* ---- Values out ------------------------------------------------------------------------------------------------------ */

static void json_value(output *o, const dreamdb_value *v, const dreamdb_field_info *field)
{
    if (!v->present) {
        out_text(o, "null");
        return;
    }
    switch (field->kind) {
    case DREAMDB_EMBEDDING:
        for (uint32_t i = 0; i < field->dim; i++) {
            out_text(o, i > 0 ? "," : "[");
            json_real(o, (double)((const float *)v->data)[i], 1);
        }
        out_text(o, "]");
        break;
    case DREAMDB_CATEGORICAL:
    case DREAMDB_STRING:    json_text(o, v->data, (size_t)v->size); break;
    case DREAMDB_INT:
    case DREAMDB_TIMESTAMP: out_format(o, "%" PRId64, v->integer); break;
    case DREAMDB_FLOAT:     json_real(o, v->real, 0); break;
    case DREAMDB_BOOL:      out_text(o, v->integer ? "true" : "false"); break;
    default:
        out_text(o, "{");
        json_u64(o, "size", v->size, 1);
        json_address(o, "address", v->address, 0);
        out_text(o, "}");
        break;
    }
}

static void table_value(table *t, const dreamdb_value *v, const dreamdb_field_info *field)
{
    char text[160], number[40];
    size_t used = 0;
    if (!v->present) {
        table_text(t, "-");
        return;
    }
    switch (field->kind) {
    case DREAMDB_EMBEDDING:
        for (uint32_t i = 0; i < field->dim && i < 3; i++) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%.4g", i > 0 ? ", " : "[", (double)((const float *)v->data)[i]);
        }
        table_format(t, field->dim > 3 ? "%s, ... %" PRIu32 "]" : "%s]", text, field->dim);
        break;
    case DREAMDB_CATEGORICAL:
    case DREAMDB_STRING:    table_cell(t, v->data, (size_t)(v->size < 120 ? v->size : 120)); break;
    case DREAMDB_INT:
    case DREAMDB_TIMESTAMP: table_format(t, "%" PRId64, v->integer); break;
    case DREAMDB_FLOAT:     table_text(t, real_text(v->real, 0, number)); break;
    case DREAMDB_BOOL:      table_text(t, v->integer ? "true" : "false"); break;
    default:                table_text(t, size_text(v->size, text)); break;
    }
}

/* A list of fields by name: --fields A,B or all that have rows. */
typedef struct field_list {
    const char **names; const dreamdb_field_info **fields; size_t count;
    int          given;
} field_list;

static void fields_add(field_list *list, const dreamdb_field_info *field)
{
    list->names = (const char **)grow_array(list->names, list->count + 1, sizeof *list->names);
    list->fields = (const dreamdb_field_info **)grow_array(list->fields, list->count + 1, sizeof *list->fields);
    list->names[list->count] = field->name;
    list->fields[list->count++] = field;
}

static void fields_free(field_list *list)
{
    free(list->names);
    free(list->fields);
    memset(list, 0, sizeof *list);
}

static int has_rows(const dreamdb_field_info *field)
{
    return field->kind != DREAMDB_KIND_OTHER && field->kind != DREAMDB_CONSTANT;
}

/* This version does not decode compressed vectors. */
static int is_readable(const dreamdb_field_info *field)
{
    return has_rows(field) && !field->compressed;
}

/* One line that names what a read of all fields does not show. */
static void note_left_out(const app *a)
{
    char list[600] = "";
    size_t used = 0;
    for (size_t i = 0; i < a->info->field_count; i++) {
        const dreamdb_field_info *field = &a->info->fields[i];
        if (!is_readable(field) && field->kind != DREAMDB_CONSTANT && used < sizeof list) {
            int n = snprintf(list + used, sizeof list - used, "%s%s (%s)", used > 0 ? ", " : "", field->name,
                             field->compressed ? "compressed vectors" : field->kind_text);
            used += n > 0 ? (size_t)n : 0;
        }
    }
    if (used > 0) {
        note("this version keeps, but does not read: %s", list);
    }
}

/* with_all: without --fields every field that can be read. */
static int fields_option(app *a, field_list *list, int with_all)
{
    const char *at = option_value(a, OPT_FIELDS);
    memset(list, 0, sizeof *list);
    list->given = at != NULL;
    for (size_t i = 0; !at && with_all && i < a->info->field_count; i++) {
        const dreamdb_field_info *field = &a->info->fields[i];
        if (is_readable(field)) {
            fields_add(list, field);
        }
    }
    if (!at && with_all) {
        note_left_out(a);
    }
    while (at && *at) {
        const dreamdb_field_info *field;
        size_t size = find_field(a, at, strlen(at)) ? strlen(at) : strcspn(at, ",");     /* a name may hold a comma */
        int code = need_field(a, at, size, &field);
        if (!code && !has_rows(field)) {
            code = fail(EXIT_USAGE, "field %s is of kind %s and has no rows: see `dreamdb inspect`", field->name, field->kind_text);
        }
        if (code) {
            return code;
        }
        fields_add(list, field);
        at += size;
        at += *at == ',';
    }
    return EXIT_DONE;
}

static void json_fields(output *o, const field_list *list, const dreamdb_value *values)
{
    json_name(o, "fields", 0);
    out_text(o, "{");
    for (size_t i = 0; i < list->count; i++) {
        json_name(o, list->names[i], i == 0);
        json_value(o, &values[i], list->fields[i]);
    }
    out_text(o, "}");
}

enum { SHOWN_FIELDS = TABLE_COLUMNS - 4 };    /* a table shows so many; --json shows all */

/* "lead|>number|text": heads for these fields after the lead. */
static void table_fields(table *t, output *o, const char *lead, const field_list *list)
{
    buffer heads = {NULL, 0, 0};
    buffer_add(&heads, lead, strlen(lead));
    for (size_t i = 0; i < list->count && i < SHOWN_FIELDS; i++) {
        dreamdb_kind kind = list->fields[i]->kind;
        buffer_byte(&heads, '|');
        if (kind == DREAMDB_INT || kind == DREAMDB_FLOAT || kind == DREAMDB_TIMESTAMP || is_media(kind)) {
            buffer_byte(&heads, '>');
        }
        for (const char *at = list->names[i]; *at; at++) {
            buffer_byte(&heads, *at == '|' ? '/' : *at);
        }
    }
    buffer_byte(&heads, 0);
    table_open(t, o, heads.data);
    buffer_free(&heads);
}

static void table_values(table *t, const field_list *list, const dreamdb_value *values)
{
    for (size_t i = 0; i < list->count && i < SHOWN_FIELDS; i++) {
        table_value(t, &values[i], list->fields[i]);
    }
}

/* The anchors that --anchors FILE.npy|N,N and more operands name. */
static int anchors_list(const app *a, size_t from_operand, uint64_t **anchors, size_t *count)
{
    const char *text = option_value(a, OPT_ANCHORS);
    int code = EXIT_DONE;
    *anchors = NULL;
    *count = 0;
    if (text && ends_with(text, ".npy")) {
        source s;
        code = open_anchors(&s, text);
        if (!code) {
            *count = (size_t)s.rows;
            *anchors = (uint64_t *)grow_array(NULL, *count, sizeof **anchors);
            code = source_anchors(&s, 0, *count, *anchors);
        }
        source_close(&s);
        text = NULL;
    }
    for (size_t i = from_operand; !code && (text || i < a->operand_count);) {
        const char *at = text ? text : a->operands[i++];
        text = NULL;
        for (;;) {
            size_t size = strcspn(at, ",");
            *anchors = (uint64_t *)grow_array(*anchors, *count + 1, sizeof **anchors);
            if (!parse_u64(at, size, &(*anchors)[*count]) || (*anchors)[*count] > DREAMDB_ANCHOR_MAX) {
                return fail(EXIT_USAGE, "'%s' is no anchor: a number from 0 to 2^64-2", at);
            }
            ++*count;
            at += size;
            if (*at++ != ',') {
                break;
            }
        }
    }
    return code;
}

/* ---- Fields of the command line: NAME:KIND[,key=value...] ------------------------------------------------------------ */

static const struct kind_row { const char *name; dreamdb_kind kind; } kinds[] = {
    {"embedding", DREAMDB_EMBEDDING}, {"image", DREAMDB_IMAGE}, {"audio", DREAMDB_AUDIO}, {"video", DREAMDB_VIDEO},
    {"categorical", DREAMDB_CATEGORICAL}, {"string", DREAMDB_STRING}, {"int", DREAMDB_INT}, {"float", DREAMDB_FLOAT},
    {"bool", DREAMDB_BOOL}, {"timestamp", DREAMDB_TIMESTAMP}, {"constant", DREAMDB_CONSTANT}};

typedef enum key_id {
    KEY_DIM, KEY_INDEX, KEY_BITS, KEY_K, KEY_WIDTH, KEY_KEY_BITS, KEY_ITERATIONS, KEY_RERANK, KEY_BUCKET, KEY_TRAIN, KEY_TRAIN_ROWS,
    KEY_EXPECT, KEY_K_SUB, KEY_COMPRESSOR, KEY_BITS_PER_DIM, KEY_FACTORS, KEY_M, KEY_PQ_K, KEY_COMPRESSOR_SEED,
    KEY_MIME, KEY_CHUNK, KEY_PACK, KEY_MODALITY, KEY_VALUE, KEY_FILE, KEY_OPTIONAL, KEY_REQUIRED
} key_id;

/* form: t text, u u32, z size in bytes, w word without a value, s switch (with no value, or 0 or 1).
   kinds: e embedding, m media, s scalar, c constant. */
static const struct key_row { const char *name; key_id id; char form; const char *kinds; } keys[] = {
    {"dim", KEY_DIM, 'u', "e"}, {"index", KEY_INDEX, 't', "e"}, {"bits", KEY_BITS, 'u', "e"}, {"k", KEY_K, 'u', "e"},
    {"width", KEY_WIDTH, 't', "e"}, {"key_bits", KEY_KEY_BITS, 't', "e"}, {"iterations", KEY_ITERATIONS, 'u', "e"},
    {"rerank", KEY_RERANK, 'w', "e"}, {"bucket_max_bytes", KEY_BUCKET, 'z', "e"}, {"train", KEY_TRAIN, 't', "e"},
    {"train_rows", KEY_TRAIN_ROWS, 'u', "e"}, {"rows", KEY_EXPECT, 'u', "e"}, {"k_sub", KEY_K_SUB, 'u', "e"},
    {"compressor", KEY_COMPRESSOR, 't', "e"}, {"bits_per_dim", KEY_BITS_PER_DIM, 'u', "e"}, {"factors", KEY_FACTORS, 's', "e"},
    {"m", KEY_M, 'u', "e"}, {"pq_k", KEY_PQ_K, 'u', "e"}, {"compressor_seed", KEY_COMPRESSOR_SEED, 't', "e"},
    {"mime", KEY_MIME, 't', "m"}, {"chunk", KEY_CHUNK, 'z', "m"},
    {"pack", KEY_PACK, 'u', "m"}, {"modality", KEY_MODALITY, 't', "c"}, {"value", KEY_VALUE, 't', "c"}, {"file", KEY_FILE, 't', "c"},
    {"optional", KEY_OPTIONAL, 'w', "ems"}, {"required", KEY_REQUIRED, 'w', "ems"}};

/* A field and the memory that it points to. */
typedef struct spec {
    dreamdb_field field;
    char  *text;                              /* a copy of the option, cut into pieces */
    float *train_data;
    const char *train; uint32_t train_rows, expect;
    int     advise;                           /* no sample: the index is LSH */
    uint8_t compressor_seed[32];
    buffer  file;                              /* a constant's value */
} spec;

static void spec_free(spec *s)
{
    free(s->text);
    free(s->train_data);
    buffer_free(&s->file);
    memset(s, 0, sizeof *s);
}

static int parse_key_bits(const char *text, uint32_t *bits)
{
    uint64_t value;
    if (strcmp(text, "auto") == 0) {
        *bits = DREAMDB_KEY_BITS_AUTO;
        return 1;
    }
    *bits = parse_u64(text, strlen(text), &value) && value >= 1 && value <= 64 ? (uint32_t)value : 0;
    return *bits > 0;
}

static int parse_index(const char *text, dreamdb_index_kind *index)
{
    static const struct { const char *name; dreamdb_index_kind kind; } rows_of[] = {
        {"ivf", DREAMDB_INDEX_IVF}, {"lsh", DREAMDB_INDEX_LSH}, {"lsh-l2", DREAMDB_INDEX_LSH_L2}, {"imi", DREAMDB_INDEX_IMI}};
    for (size_t i = 0; i < COUNT_OF(rows_of); i++) {
        if (strcmp(text, rows_of[i].name) == 0) {
            *index = rows_of[i].kind;
            return EXIT_DONE;
        }
    }
    return fail(EXIT_USAGE, "index=%s: is none of ivf, imi, lsh, lsh-l2", text);
}

/* 64 hex digits, or a number that goes into the first 8 bytes, lowest first. */
static int parse_compressor_seed(const char *text, uint8_t seed[32])
{
    uint64_t number;
    memset(seed, 0, 32);
    if (strlen(text) == 64) {
        for (size_t i = 0; i < 64; i++) {
            const char *digits = "0123456789abcdef", *at = strchr(digits, text[i]);
            if (!at) {
                return 0;
            }
            seed[i / 2] = (uint8_t)(seed[i / 2] << 4 | (at - digits));
        }
        return 1;
    }
    if (!parse_u64(text, strlen(text), &number)) {
        return 0;
    }
    for (size_t i = 0; i < 8; i++) {
        seed[i] = (uint8_t)(number >> 8 * i);
    }
    return 1;
}

/* The keys of compressors. */
static int spec_compressor_key(spec *s, const struct key_row *row, const char *value, uint32_t number)
{
    dreamdb_field *f = &s->field;
    if (row->id == KEY_COMPRESSOR) {
        f->compressor = strcmp(value, "rabitq") == 0 ? DREAMDB_COMPRESSOR_RABITQ : strcmp(value, "pq") == 0 ? DREAMDB_COMPRESSOR_PQ
            : DREAMDB_COMPRESSOR_NONE;
        return f->compressor ? EXIT_DONE : fail(EXIT_USAGE, "compressor=%s: is none of rabitq, pq", value);
    }
    if (row->id == KEY_COMPRESSOR_SEED) {
        f->compressor_seed = s->compressor_seed;
        return parse_compressor_seed(value, s->compressor_seed) ? EXIT_DONE
            : fail(EXIT_USAGE, "compressor_seed=%s: is neither a number nor 64 hex digits", value);
    }
    *(row->id == KEY_BITS_PER_DIM ? &f->bits_per_dim : row->id == KEY_M ? &f->pq_m : &f->pq_k) = number;
    return EXIT_DONE;
}

/* One key and its value; number holds the value of the forms u and z. */
static int spec_key(spec *s, const struct key_row *row, const char *value, uint64_t number)
{
    dreamdb_field *f = &s->field;
    uint32_t small = (uint32_t)number;
    switch (row->id) {
    case KEY_DIM:        f->dim = small; break;
    case KEY_INDEX:      return parse_index(value, &f->index);
    case KEY_BITS:       f->bits = small; break;
    case KEY_K:          f->k = small; break;
    case KEY_WIDTH:
        if (!parse_real(value, strlen(value), &f->width) || !(f->width > 0)) {
            return fail(EXIT_USAGE, "width=%s: is no number above 0", value);
        }
        break;
    case KEY_KEY_BITS:
        if (!parse_key_bits(value, &f->key_bits)) {
            return fail(EXIT_USAGE, "key_bits=%s: is neither a number from 1 to 64 nor auto", value);
        }
        break;
    case KEY_ITERATIONS: f->iterations = small; break;
    case KEY_K_SUB:      f->k_sub = small; break;
    case KEY_FACTORS:    f->factors = strcmp(value, "0") == 0 ? -1 : 1; break;
    case KEY_COMPRESSOR: case KEY_BITS_PER_DIM: case KEY_M: case KEY_PQ_K: case KEY_COMPRESSOR_SEED:
        return spec_compressor_key(s, row, value, small);
    case KEY_RERANK:     f->rerank = 1; break;
    case KEY_BUCKET:     f->bucket_max_bytes = number; break;
    case KEY_TRAIN:      s->train = value; break;
    case KEY_TRAIN_ROWS: s->train_rows = small; break;
    case KEY_EXPECT:     s->expect = small; break;
    case KEY_MIME:       f->mime = value; break;
    case KEY_CHUNK:      f->chunk_size = number; break;
    case KEY_PACK:       f->pack_items = small; break;
    case KEY_MODALITY:   f->modality = value; break;
    case KEY_VALUE:
        f->value = value;
        f->value_size = strlen(value);
        break;
    case KEY_FILE:
        s->file.used = 0;
        if (load_file(value, &s->file)) {
            return EXIT_FAILED;
        }
        f->value = s->file.data ? s->file.data : "";
        f->value_size = s->file.used;
        break;
    case KEY_OPTIONAL:   f->required = 0; break;
    case KEY_REQUIRED:   f->required = 1; break;
    }
    return EXIT_DONE;
}

static char kind_letter(dreamdb_kind kind)
{
    return kind == DREAMDB_EMBEDDING ? 'e' : is_media(kind) ? 'm' : kind == DREAMDB_CONSTANT ? 'c' : 's';
}

/* "key=value" or "word", ended by 0. */
static int spec_pair(spec *s, char *pair)
{
    char *equals = strchr(pair, '=');
    const struct key_row *row = NULL;
    uint64_t number = 0;
    size_t size = equals ? (size_t)(equals - pair) : strlen(pair);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        row = strlen(keys[i].name) == size && memcmp(keys[i].name, pair, size) == 0 ? &keys[i] : row;
    }
    if (!row) {
        return fail(EXIT_USAGE, "field %s: unknown key '%.*s': see `dreamdb help create`", s->field.name, (int)size, pair);
    }
    if (!strchr(row->kinds, kind_letter(s->field.kind))) {
        return fail(EXIT_USAGE, "field %s: %s does not go with kind %s", s->field.name, row->name, kind_name(s->field.kind));
    }
    if (row->form == 's' && equals && strcmp(equals, "=0") != 0 && strcmp(equals, "=1") != 0) {
        return fail(EXIT_USAGE, "field %s: %s%s: is no switch: 1 or 0", s->field.name, row->name, equals);
    }
    if (row->form != 's' && (row->form == 'w') != !equals && !(row->form == 'w' && equals && strcmp(equals, "=true") == 0)) {
        return fail(EXIT_USAGE, row->form == 'w' ? "field %s: %s takes no value" : "field %s: %s wants a value: %s=...", s->field.name,
                    row->name, row->name);
    }
    const char *value = equals ? equals + 1 : "";
    if (row->form == 'u' && (!parse_u64(value, strlen(value), &number) || number < 1 || number > UINT32_MAX - 1)) {
        return fail(EXIT_USAGE, "field %s: %s=%s: is no number from 1 to %" PRIu32, s->field.name, row->name, value,
                    UINT32_MAX - 1);
    }
    if (row->form == 'z' && !parse_size(value, &number)) {
        return fail(EXIT_USAGE, "field %s: %s=%s: is no size such as 64k", s->field.name, row->name, value);
    }
    return spec_key(s, row, value, number);
}

/* Half the bits of the expected row count: as many cells as rows a cell. */
static uint32_t expected_bits(uint32_t rows_expected)
{
    uint32_t bits = 0;
    while (rows_expected >> bits > 1) {
        bits++;
    }
    return bits / 2 > 0 ? bits / 2 : 1;
}

/* Keys that go together. */
static int spec_pairs(const spec *s)
{
    const dreamdb_field *f = &s->field;
    int pq = f->compressor == DREAMDB_COMPRESSOR_PQ, imi = f->index == DREAMDB_INDEX_IMI;
    if ((f->index == DREAMDB_INDEX_IVF || imi) && !s->train) {
        return fail(EXIT_USAGE, "field %s: index=%s has to be trained: add train=FILE.npy, a sample (the file about to be appended "
                                "will do; %s)", f->name, imi ? "imi" : "ivf", imi ? "k_sub=N, or the fourth root of its rows"
                                : "k=N, or the square root of its rows");
    }
    if (pq && (!s->train || f->pq_m == 0)) {
        return fail(EXIT_USAGE, "field %s: compressor=pq wants m=N (bytes of a code, which divide dim) and train=FILE.npy, a sample",
                    f->name);
    }
    if (s->train && !pq && (f->index == DREAMDB_INDEX_LSH || f->index == DREAMDB_INDEX_LSH_L2)) {
        return fail(EXIT_USAGE, "field %s: train= goes with index=ivf, index=imi and compressor=pq", f->name);
    }
    if ((f->bits_per_dim > 0 || f->factors != 0) && f->compressor != DREAMDB_COMPRESSOR_RABITQ) {
        return fail(EXIT_USAGE, "field %s: bits_per_dim and factors go with compressor=rabitq", f->name);
    }
    if ((f->pq_m > 0 || f->pq_k > 0) && !pq) {
        return fail(EXIT_USAGE, "field %s: m and pq_k go with compressor=pq", f->name);
    }
    return f->k_sub > 0 && !imi ? fail(EXIT_USAGE, "field %s: k_sub goes with index=imi", f->name)
        : f->k > 0 && imi ? fail(EXIT_USAGE, "field %s: index=imi takes k_sub=N (k_sub times k_sub cells), not k", f->name) : EXIT_DONE;
}

/* Training sample, default index, advice. */
static int spec_index(const app *a, spec *s)
{
    dreamdb_field *f = &s->field;
    int wrong = spec_pairs(s);
    if (wrong) {
        return wrong;
    }
    if (s->train) {
        uint64_t dim = f->dim;
        int code = load_vectors(s->train, f->dim, s->train_rows > 0 ? s->train_rows : UINT64_MAX, 0, &s->train_data, &f->train_count, &dim);
        if (code) {
            return code;
        }
        f->train = s->train_data;
        f->index = f->index == DREAMDB_INDEX_DEFAULT ? DREAMDB_INDEX_IVF : f->index;
        f->dim = (uint32_t)dim;
        f->seed = option_is(a, OPT_SEED) ? a->random_state : 0;
    } else if (f->index == DREAMDB_INDEX_DEFAULT) {
        s->advise = 1;
    }
    if (s->expect > 0 && f->bits == 0) {
        f->bits = expected_bits(s->expect);
    }
    return f->dim > 0 ? EXIT_DONE : fail(EXIT_USAGE, "field %s: dim=N is wanted", f->name);
}

/* The ':' before the kind: names may hold colons. */
static char *spec_colon(spec *s)
{
    for (char *at = strchr(s->text, ':'); at; at = strchr(at + 1, ':')) {
        for (size_t i = 0; i < COUNT_OF(kinds); i++) {
            size_t size = strlen(kinds[i].name);
            if (strncmp(at + 1, kinds[i].name, size) == 0 && (at[1 + size] == ',' || at[1 + size] == 0)) {
                s->field.kind = kinds[i].kind;
                return at;
            }
        }
    }
    return NULL;
}

static int spec_parse(const app *a, spec *s, const char *text)
{
    memset(s, 0, sizeof *s);
    s->text = copy_text(text, strlen(text));
    char *colon = spec_colon(s);
    if (!colon) {
        return fail(EXIT_USAGE, "option --field: '%s' is not NAME:KIND[,key=value...]; KIND is one of embedding, image, audio, video, "
                                "categorical, string, int, float, bool, timestamp, constant", text);
    }
    *colon = 0;
    s->field.name = s->text;
    s->field.required = s->field.kind != DREAMDB_CONSTANT;
    int code = EXIT_DONE;
    for (char *at = strchr(colon + 1, ','); at && !code;) {
        char *pair = at + 1;
        at = strncmp(pair, "value=", 6) == 0 ? NULL : strchr(pair, ',');     /* a constant's value goes to the end */
        if (at) {
            *at = 0;
        }
        code = spec_pair(s, pair);
    }
    if (!code && s->field.kind == DREAMDB_CONSTANT && (!s->field.modality || !s->field.value)) {
        code = fail(EXIT_USAGE, "field %s: a constant wants modality=NAME.FORM (such as title.text) and value=TEXT or file=FILE",
                    s->field.name);
    }
    return code || s->field.kind != DREAMDB_EMBEDDING ? code : spec_index(a, s);
}

/* What a field might have been made better with: said when it is made. */
static void specs_advise(const spec *specs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const dreamdb_field *f = &specs[i].field;
        if (specs[i].advise) {
            note("field %s has an LSH index%s; a trained one finds more in less time: add train=FILE.npy", f->name,
                 f->bits > 0 ? "" : " of 20 bits (rows=N chooses bits for N rows)");
        }
    }
}

/* All --field options. */
static int specs_parse(const app *a, spec **specs, size_t *count)
{
    size_t wanted = option_count(a, OPT_FIELD);
    *count = 0;
    *specs = NULL;
    if (wanted == 0) {
        return fail(EXIT_USAGE, "%s: no field: add --field NAME:KIND[,key=value...], such as --field emb:embedding,dim=50,train=FILE.npy",
                    a->verb->name);
    }
    *specs = (spec *)zeroed(wanted, sizeof **specs);
    for (size_t i = 0; i < wanted; i++) {
        int code = spec_parse(a, &(*specs)[(*count)++], option_at(a, OPT_FIELD, i));
        if (code) {
            return code;
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp((*specs)[k].field.name, (*specs)[i].field.name) == 0) {
                return fail(EXIT_USAGE, "option --field: field %s is given twice", (*specs)[i].field.name);
            }
        }
    }
    return EXIT_DONE;
}

static void specs_free(spec *specs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        spec_free(&specs[i]);
    }
    free(specs);
}

/* ---- Verbs: inspect and what create prints -------------------------------------------------------------------------- */

static const char *address_text(const uint8_t *address, char text[DREAMDB_ADDRESS_TEXT])
{
    dreamdb_address_text(address, text);
    return text;
}

static int is_zero_address(const uint8_t *address)
{
    return address[0] == 0;                   /* every address starts with 0x1e */
}

/* ", rabitq of 4 bits", ", pq of 8 bytes, k 256" ... */
static void compressor_detail(const dreamdb_field_info *f, char *text, size_t room)
{
    text[0] = 0;
    if (f->compressor == DREAMDB_COMPRESSOR_RABITQ) {
        (void)snprintf(text, room, ", rabitq of %" PRIu32 " bit%s%s", f->bits_per_dim, f->bits_per_dim > 1 ? "s" : "",
                       f->factors ? " with factors" : "");
    } else if (f->compressor == DREAMDB_COMPRESSOR_PQ) {
        (void)snprintf(text, room, ", pq of %" PRIu32 " byte%s, k %" PRIu32, f->pq_m, f->pq_m > 1 ? "s" : "", f->pq_k);
    } else if (f->compressed) {
        (void)snprintf(text, room, ", compressed (kept, not read)");
    }
}

/* "ivf, k 63, 24-bit keys", "jpeg", "title.text" ... */
static void field_detail(const dreamdb_field_info *f, char *text, size_t room)
{
    static const char *const names[] = {"", "ivf", "lsh", "lsh-l2", "imi"};
    size_t index = (size_t)f->index;
    text[0] = 0;
    if (f->kind == DREAMDB_EMBEDDING) {
        const char *name = index > 0 && index < COUNT_OF(names) ? names[index] : f->algorithm ? f->algorithm : "?";
        int used = snprintf(text, room, "dim %" PRIu32 ", %.80s", f->dim, name);
        if (f->k > 0) {
            used += snprintf(text + used, room - (size_t)used, ", k %" PRIu64, f->k);
        }
        char coded[80];
        compressor_detail(f, coded, sizeof coded);
        (void)snprintf(text + used, room - (size_t)used, ", %" PRIu64 "-bit keys%s%s", f->bits, coded, f->rerank ? ", rerank" : "");
    } else if (is_media(f->kind)) {
        int used = snprintf(text, room, "%.80s", f->mime ? f->mime : "");
        if (f->chunk_size > 0) {
            used += snprintf(text + used, room - (size_t)used, ", chunks of %" PRIu64 " bytes", f->chunk_size);
        }
        if (f->pack_items > 1) {
            (void)snprintf(text + used, room - (size_t)used, ", packs of %" PRIu64, f->pack_items);
        }
    } else if (f->kind == DREAMDB_CONSTANT) {
        (void)snprintf(text, room, "%.120s", f->modality ? f->modality : "");
    } else if (f->kind == DREAMDB_KIND_OTHER) {
        (void)snprintf(text, room, "kept, not read by this version");
    }
}

/* Vectors or media of the Track, which knows them without a read.  Of scalars it knows an upper bound only: `count` counts them. */
static int field_rows(app *a, const dreamdb_field_info *f, int *known, uint64_t *found)
{
    *found = 0;
    *known = (f->kind == DREAMDB_EMBEDDING && (!f->compressed || f->compressor)) || is_media(f->kind);
    dreamdb_status status = *known ? dreamdb_count_estimate(a->view, f->name, found, &a->error) : DREAMDB_OK;
    return status ? fail_status(status, &a->error) : EXIT_DONE;
}

static void json_constant(app *a, const dreamdb_field_info *f)
{
    const void *data;
    size_t size;
    if (f->kind == DREAMDB_CONSTANT && dreamdb_constant(a->view, f->name, &data, &size, &a->error) == DREAMDB_OK) {
        json_name(&a->o, "value", 0);
        json_text(&a->o, data, size < 4096 ? size : 4096);
    }
}

static void json_compressor(output *o, const dreamdb_field_info *f)
{
    json_name(o, "compressor", 0);
    out_text(o, "{");
    json_name(o, "kind", 1);
    json_string(o, f->compressor == DREAMDB_COMPRESSOR_RABITQ ? "rabitq" : f->compressor == DREAMDB_COMPRESSOR_PQ ? "pq" : "unknown");
    if (f->compressor == DREAMDB_COMPRESSOR_RABITQ) {
        json_u64(o, "bits_per_dim", f->bits_per_dim, 0);
        json_flag(o, "factors", f->factors);
    } else if (f->compressor == DREAMDB_COMPRESSOR_PQ) {
        json_u64(o, "m", f->pq_m, 0);
        json_u64(o, "k", f->pq_k, 0);
    }
    if (f->compressor) {
        json_u64(o, "code_bytes", f->code_bytes, 0);
    }
    json_address(o, "address", f->compressor_address, 0);
    out_text(o, "}");
}

static int json_field(app *a, const dreamdb_field_info *f, int first)
{
    output *o = &a->o;
    uint64_t count;
    int known, code = field_rows(a, f, &known, &count);
    out_text(o, first ? "{" : ",{");
    json_name(o, "field", 1);
    json_string(o, f->name);
    json_name(o, "kind", 0);
    json_string(o, f->kind_text ? f->kind_text : kind_name(f->kind));
    json_name(o, "modality", 0);
    json_string(o, f->modality ? f->modality : "");
    json_flag(o, "required", f->required);
    json_flag(o, "known", f->kind != DREAMDB_KIND_OTHER);
    json_flag(o, "layer", f->is_layer);
    if (f->kind == DREAMDB_EMBEDDING) {
        json_u64(o, "dim", f->dim, 0);
        json_name(o, "algorithm", 0);
        json_string(o, f->algorithm ? f->algorithm : "");
        json_u64(o, "k", f->k, 0);
        json_u64(o, "bits", f->bits, 0);
        json_flag(o, "rerank", f->rerank);
        json_flag(o, "compressed", f->compressed);
        if (f->compressed) {
            json_compressor(o, f);
        }
        if (!is_zero_address(f->index_address)) {
            json_address(o, "index", f->index_address, 0);
        }
    }
    if (is_media(f->kind)) {
        json_name(o, "mime", 0);
        json_string(o, f->mime ? f->mime : "");
        json_u64(o, "chunk", f->chunk_size, 0);
        json_u64(o, "pack", f->pack_items, 0);
    }
    json_constant(a, f);
    if (known) {
        json_u64(o, "rows", count, 0);
    }
    out_format(o, ",\"coverage\":[%" PRIu64 ",%" PRIu64 "]", f->t_min, f->t_max);
    if (f->hot) {
        json_flag(o, "hot", 1);
    }
    json_address(o, "track", f->track, 0);
    out_text(o, "}");
    return code;
}

static int print_fields(app *a)
{
    table t;
    table_open(&t, &a->o, "field|kind||>rows|anchors");
    for (size_t i = 0; i < a->info->field_count; i++) {
        const dreamdb_field_info *f = &a->info->fields[i];
        uint64_t count;
        char text[200], number[32];
        int known, code = field_rows(a, f, &known, &count);
        if (code) {
            table_end(&t);
            return code;
        }
        table_text(&t, f->name);
        const char *kind = f->kind_text ? f->kind_text : kind_name(f->kind);
        table_format(&t, "%s%s%s%s", kind, f->required ? "" : ", optional", f->is_layer ? ", layer" : "", f->hot ? ", hot rows" : "");
        field_detail(f, text, sizeof text);
        table_text(&t, text);
        table_text(&t, known ? grouped(count, number) : "-");
        if (has_rows(f) && (f->t_min > 0 || f->t_max > 1 || count > 0)) {     /* an empty Track covers [0, 1) */
            table_format(&t, "%" PRIu64 " to %" PRIu64, f->t_min, f->t_max > f->t_min ? f->t_max - 1 : f->t_max);
        } else {
            table_text(&t, "-");
        }
    }
    table_end(&t);
    return EXIT_DONE;
}

/* A registry key that is no text: one that this version reads, or one that it only keeps? */
static int meta_is_known(const app *a, const char *key)
{
    static const char *const known[] = {"dreamdb.schema", "dreamdb.tombstones"};
    for (size_t i = 0; i < a->info->field_count; i++) {
        const dreamdb_field_info *f = &a->info->fields[i];
        if (f->kind != DREAMDB_KIND_OTHER && f->modality && strcmp(f->modality, key) == 0) {
            return 1;
        }
    }
    return list_has(known, COUNT_OF(known), key, strlen(key));
}

static void print_meta(app *a)
{
    int lines = 0;
    for (size_t i = 0; i < a->info->meta_count; i++) {
        const dreamdb_meta *m = &a->info->meta[i];
        if (m->text || !meta_is_known(a, m->key)) {
            out_text(&a->o, lines++ == 0 ? "\n" : "");
        }
        if (m->text) {
            out_clean(&a->o, "", m->key, " = ");
            out_clean(&a->o, "", m->text, "\n");
        } else if (!meta_is_known(a, m->key)) {
            int ours = strncmp(m->key, "dreamdb.lineage.", 16) == 0;
            out_clean(&a->o, "", m->key, ours ? ": see ada-ivf-status\n" : " (kept, not read by this version)\n");
        }
    }
}

/* "meta": the texts; "unknown": keys that are kept and not read.  Ends the object. */
static void json_meta(app *a)
{
    output *o = &a->o;
    for (int texts = 1; texts >= 0; texts--) {
        int first = 1;
        out_text(o, texts ? "],\"meta\":{" : "},\"unknown\":[");
        for (size_t i = 0; i < a->info->meta_count; i++) {
            const dreamdb_meta *m = &a->info->meta[i];
            if (texts && m->text) {
                json_name(o, m->key, first);
                json_string(o, m->text);
                first = 0;
            } else if (!texts && !m->text && !meta_is_known(a, m->key)) {
                out_text(o, first ? "" : ",");
                json_string(o, m->key);
                first = 0;
            }
        }
    }
    out_text(o, "]}\n");
}

/* What create and inspect print. */
static int print_state(app *a)
{
    output *o = &a->o;
    const dreamdb_info *info = a->info;
    char text[DREAMDB_ADDRESS_TEXT], number[40];
    if (!a->json) {
        out_format(o, "ref       %.200s\nmanifest  %s\ntime      %s\n", a->operands[0], address_text(info->manifest, text),
                   time_text(info->ts_ns, number));
        out_clean(o, "writer    ", info->writer ? info->writer : "", "\n");
        for (size_t i = 0; i < info->parent_count; i++) {
            out_format(o, "parent    %s\n", address_text(info->parents + i * DREAMDB_ADDRESS_SIZE, text));
        }
        out_format(o, "timeline  %s\n\n", address_text(info->timeline, text));
        int code = print_fields(a);
        print_meta(a);
        return code;
    }
    out_text(o, "{");
    json_name(o, "ref", 1);
    json_string(o, a->operands[0]);
    json_address(o, "manifest", info->manifest, 0);
    json_u64(o, "ts_ns", info->ts_ns, 0);
    json_name(o, "writer", 0);
    json_string(o, info->writer ? info->writer : "");
    out_text(o, ",\"parents\":[");
    for (size_t i = 0; i < info->parent_count; i++) {
        out_text(o, i > 0 ? "," : "");
        json_string(o, address_text(info->parents + i * DREAMDB_ADDRESS_SIZE, text));
    }
    out_text(o, "]");
    json_address(o, "timeline", info->timeline, 0);
    out_text(o, ",\"fields\":[");
    int code = EXIT_DONE;
    for (size_t i = 0; i < info->field_count && !code; i++) {
        code = json_field(a, &info->fields[i], i == 0);
    }
    json_meta(a);
    return code;
}

static int verb_inspect(app *a)
{
    int code = open_view(a, READ);
    return code ? code : print_state(a);
}

/* The line that every writing verb ends with. */
static void print_done(app *a, const char *what, const uint8_t *manifest)
{
    char text[DREAMDB_ADDRESS_TEXT];
    if (a->json) {
        out_text(&a->o, "{");
        json_name(&a->o, "ref", 1);
        json_string(&a->o, a->operands[0]);
        json_address(&a->o, "manifest", manifest, 0);
        out_text(&a->o, "}\n");
    } else {
        out_format(&a->o, "%s %.200s: Manifest %s\n", what, a->operands[0], address_text(manifest, text));
    }
}

/* The view of the handle's tip, in place of the one before. */
static int renew_view(app *a)
{
    dreamdb_snapshot_close(a->view);
    a->view = NULL;
    dreamdb_status status = dreamdb_snapshot_open(a->db, NULL, &a->view, &a->error);
    status = status ? status : dreamdb_snapshot_info(a->view, &a->info, &a->error);
    return status ? fail_status(status, &a->error) : EXIT_DONE;
}

/* ---- Verbs that write ------------------------------------------------------------------------------------------------ */

static int verb_create(app *a)
{
    spec *specs;
    size_t count;
    dreamdb_create_desc desc;
    dreamdb_field *list = NULL;
    memset(&desc, 0, sizeof desc);
    int code = specs_parse(a, &specs, &count);
    code = code ? code : open_store(a, CREATE);
    if (!code) {
        list = (dreamdb_field *)grow_array(NULL, count, sizeof *list);
        for (size_t i = 0; i < count; i++) {
            list[i] = specs[i].field;
        }
        desc.fields = list;
        desc.field_count = count;
        desc.nonce = a->has_nonce ? a->nonce : NULL;
        dreamdb_status status = dreamdb_create(&a->config, a->operands[0], &desc, &a->db, &a->error);
        code = status ? fail_usage(status, &a->error) : renew_view(a);
    }
    if (!code) {
        specs_advise(specs, count);
    }
    free(list);
    specs_free(specs, count);
    return code ? code : print_state(a);
}

/* What an append reads from: columns with files, rows of a .csv or .jsonl, anchors. */
typedef struct job {
    batch    b;
    rows     f; int has_rows;
    source   anchors; int has_anchors;
    uint64_t start; int has_start;
    uint64_t batch_rows, total, done, batches;
    uint64_t objects, bytes_put, compact_bytes, anchor_first, folded, replays;
    uint64_t first;                           /* row that --shard begins with; total is where it ends */
    uint64_t resumed; int has_token;          /* resumed: rows of the files that --resume found in, first among them */
    uint32_t retry;
    uint8_t  manifest[DREAMDB_ADDRESS_SIZE];
    dreamdb_column *lent;
} job;

static void job_close(job *j)
{
    for (size_t i = 0; i < j->b.count; i++) {
        column_free(&j->b.columns[i]);
    }
    free(j->b.columns);
    free(j->b.anchors);
    free(j->lent);
    if (j->has_rows) {
        rows_close(&j->f);
    }
    if (j->has_anchors) {
        source_close(&j->anchors);
    }
}

static int fail_rows(const char *path, uint64_t found, const job *j)
{
    return fail(EXIT_FAILED, "%s has %" PRIu64 " rows, %s has %" PRIu64 ": a batch wants as many of each", path, found,
                j->b.columns[0].from.path, j->total);
}

/* The columns of --column; all must have as many rows. */
static int job_columns(app *a, job *j)
{
    size_t count = option_count(a, OPT_COLUMN);
    j->b.a = a;
    j->b.columns = (column *)zeroed(count + a->info->field_count, sizeof *j->b.columns);
    for (size_t i = 0; i < count; i++) {
        column *c = &j->b.columns[j->b.count++];
        int code = column_open(a, c, option_at(a, OPT_COLUMN, i));
        if (code) {
            return code;
        }
        for (size_t k = 0; k < i; k++) {
            if (j->b.columns[k].field == c->field) {
                return fail(EXIT_USAGE, "field %s has two --column options: give one", c->field->name);
            }
        }
        if (i > 0 && c->from.rows != j->total) {
            return fail_rows(c->from.path, c->from.rows, j);
        }
        j->total = c->from.rows;
    }
    j->b.fixed = count;
    return EXIT_DONE;
}

/* --rows: every field without a --column may get values from it. */
static int job_rows(app *a, job *j)
{
    const char *path = option_value(a, OPT_ROWS), *into = option_value(a, OPT_INTO);
    uint64_t found = 0;
    for (size_t i = 0; i < a->info->field_count; i++) {
        const dreamdb_field_info *field = &a->info->fields[i];
        int taken = field->kind == DREAMDB_KIND_OTHER || field->kind == DREAMDB_CONSTANT || (into && strcmp(into, field->name) != 0);
        for (size_t k = 0; k < j->b.fixed; k++) {
            taken |= j->b.columns[k].field == field;
        }
        if (!taken) {
            j->b.columns[j->b.count++].field = field;
        }
    }
    j->has_rows = 1;
    int code = rows_open(&j->f, &j->b, path, (size_t)j->batch_rows, &found);
    if (!code && j->b.fixed > 0 && found != j->total) {
        code = fail_rows(path, found, j);
    }
    j->total = found;
    return code;
}

static int job_anchors(app *a, job *j)
{
    const char *path = option_value(a, OPT_ANCHORS);
    int brought = j->has_rows && j->b.anchored > 0;
    j->has_start = option_is(a, OPT_ANCHOR_START);
    int code = option_u64(a, OPT_ANCHOR_START, 0, DREAMDB_ANCHOR_MAX, &j->start);
    if (!code && (path != NULL) + j->has_start + brought > 1) {
        code = fail(EXIT_USAGE, "anchors come from --anchors, --anchor-start or the column _anchor: give one of them");
    }
    if (!code && j->has_start && j->total > 0 && j->start > DREAMDB_ANCHOR_MAX - (j->total - 1)) {
        code = fail(EXIT_USAGE, "option --anchor-start: %" PRIu64 " more rows would pass 2^64-2", j->total);
    }
    if (!code && path) {
        j->has_anchors = 1;
        code = open_anchors(&j->anchors, path);
        if (!code && j->anchors.rows != j->total) {
            code = fail(EXIT_FAILED, "%s has %" PRIu64 " anchors for %" PRIu64 " rows", path, j->anchors.rows, j->total);
        }
    }
    return code;
}

/* --into FIELD: the columns are that layer's. */
static int job_into(const app *a, const job *j)
{
    const char *into = option_value(a, OPT_INTO);
    const dreamdb_field_info *field;
    int code = into ? need_field(a, into, strlen(into), &field) : EXIT_DONE;
    for (size_t i = 0; into && !code && i < j->b.fixed; i++) {
        if (j->b.columns[i].field != field) {
            code = fail(EXIT_USAGE, "option --into %s: --column %s is another field", into, j->b.columns[i].field->name);
        }
    }
    return code;
}

/* The rows that ";token=T#N" of a writer text says are in; 0 if it is another token's, or none. */
static uint64_t token_rows(const char *writer, const char *token)
{
    static const char word[] = ";token=";
    size_t size = strlen(token);
    for (const char *at = writer ? strstr(writer, word) : NULL; at; at = strstr(at, word)) {
        uint64_t rows_in = 0;
        at += sizeof word - 1;
        if (strncmp(at, token, size) == 0 && at[size] == '#' && parse_u64(at + size + 1, strcspn(at + size + 1, ";"), &rows_in)) {
            return rows_in;
        }
    }
    return 0;
}

typedef struct token_search { const app *a; job *j; uint64_t looked; } token_search;

static int find_token(void *user, const dreamdb_log_entry *e)
{
    token_search *t = (token_search *)user;
    t->j->resumed = token_rows(e->writer, option_value(t->a, OPT_TOKEN));
    t->looked++;
    return t->j->resumed > 0 || interrupted;
}

/* --resume: leaves out the rows that older states have under the token. */
static int job_resume(app *a, job *j)
{
    token_search t = {a, j, 0};
    dreamdb_status status = dreamdb_history(a->view, 0, find_token, &t, &a->error);
    if (status || interrupted) {
        return interrupted ? stopped() : fail_status(status, &a->error);
    }
    if (j->resumed > j->total) {
        return fail(EXIT_FAILED, "--resume: token '%s' has %" PRIu64 " rows in, and here are %" PRIu64 ": these are not the same files",
                    option_value(a, OPT_TOKEN), j->resumed, j->total);
    }
    return EXIT_DONE;
}

/* Leaves out the rows before the share, and those that are in. */
static int job_skip(job *j)
{
    int code = EXIT_DONE;
    j->resumed = j->resumed > j->first ? j->resumed : j->first;
    while (j->has_rows && j->done < j->resumed && !code) {
        size_t got = 0;
        uint64_t left = j->resumed - j->done;
        code = rows_fill(&j->f, &j->b, (size_t)(left < j->batch_rows ? left : j->batch_rows), &got);
        j->done += got;
        if (!code && got == 0) {
            code = fail(EXIT_FAILED, "%s: the file became shorter while it was read", j->f.path);
        }
    }
    j->done = j->resumed;
    return code;
}

/* --shard N --of M: the N-th of M parts of the rows, which are as even as can be. */
static int job_share(app *a, job *j)
{
    uint64_t shard = 0, of = 0, whole, rest;
    if (!option_is(a, OPT_SHARD) && !option_is(a, OPT_OF)) {
        return EXIT_DONE;
    }
    int code = option_u64(a, OPT_SHARD, 0, UINT32_MAX, &shard);
    code = code ? code : option_u64(a, OPT_OF, 1, UINT32_MAX, &of);
    if (code) {
        return code;
    }
    if (!option_is(a, OPT_SHARD) || !option_is(a, OPT_OF) || shard >= of) {
        return fail(EXIT_USAGE, "append: --shard N --of M: both, and N from 0 to M-1");
    }
    if (!j->has_start && !j->has_anchors && !(j->has_rows && j->b.anchored > 0)) {
        return fail(EXIT_USAGE, "append --shard: writers that draw anchors each for itself would draw the same: give --anchor-start, "
                    "--anchors or a column _anchor");
    }
    whole = j->total / of;
    rest = j->total % of;
    j->first = whole * shard + (shard < rest ? shard : rest);
    j->total = j->first + whole + (shard < rest);
    return EXIT_DONE;
}

/* --retry, --token, --resume. */
static int job_tries(app *a, job *j)
{
    const char *token = option_value(a, OPT_TOKEN);
    int code = option_u32(a, OPT_RETRY, 0, &j->retry);
    j->has_token = token != NULL;
    if (!code && token && (!*token || strlen(token) > 100 || strchr(token, ';'))) {
        code = fail(EXIT_USAGE, "option --token: at most 100 bytes, without ';'");
    }
    if (!code && option_is(a, OPT_RESUME)) {
        code = token ? job_resume(a, j) : fail(EXIT_USAGE, "option --resume needs the --token of the append that was stopped");
    }
    return code;
}

static int job_open(app *a, job *j)
{
    memset(j, 0, sizeof *j);
    j->batch_rows = BATCH_ROWS;
    int code = option_u64(a, OPT_BATCH, 1, UINT32_MAX, &j->batch_rows);
    code = code ? code : job_columns(a, j);
    code = code ? code : option_is(a, OPT_ROWS) ? job_rows(a, j) : EXIT_DONE;
    code = code ? code : job_into(a, j);
    code = code ? code : job_anchors(a, j);
    if (!code && j->b.count == 0) {
        code = fail(EXIT_USAGE, "append: no rows: add --column FIELD=FILE or --rows FILE");
    }
    code = code ? code : job_share(a, j);
    if (j->batch_rows > j->total) {
        j->batch_rows = j->total;
    }
    if (!code) {
        j->lent = (dreamdb_column *)grow_array(NULL, j->b.count, sizeof *j->lent);
        memcpy(j->manifest, a->info->manifest, sizeof j->manifest);
    }
    code = code ? code : job_tries(a, j);
    return code ? code : job_skip(j);
}

/* How many rows the next batch takes: media held in memory count. */
static size_t job_next(const job *j)
{
    uint64_t rows_left = j->total - j->done, count = rows_left < j->batch_rows ? rows_left : j->batch_rows;
    for (size_t i = 0; i < j->b.fixed; i++) {
        const source *s = &j->b.columns[i].from;
        uint64_t held = 0, n = 0;
        while (s->form == SOURCE_FOLDER && n < count && (n == 0 || held + s->sizes[j->done + n] <= BATCH_BYTES)) {
            held += s->sizes[j->done + n++];
        }
        count = s->form == SOURCE_FOLDER ? n : count;
    }
    return (size_t)count;
}

/* Reads the next batch: *count rows in columns and, if they are given, anchors. */
static int job_fill(job *j, size_t *count)
{
    int code = EXIT_DONE;
    *count = job_next(j);
    batch_room(&j->b, *count);
    if (j->has_rows) {
        size_t wanted = *count;
        code = rows_fill(&j->f, &j->b, wanted, count);
        if (!code && *count == 0) {
            code = fail(EXIT_FAILED, "%s: the file became shorter while it was read", j->f.path);
        }
    }
    for (size_t i = 0; i < j->b.fixed && !code; i++) {
        code = column_fill(&j->b.columns[i], j->done, *count);
    }
    if (!code && j->has_anchors) {
        code = source_anchors(&j->anchors, j->done, *count, j->b.anchors);
    }
    for (size_t r = 0; r < *count && j->has_start; r++) {
        j->b.anchors[r] = j->start + j->done + r;
    }
    return code;
}

static int hot_options(const app *a, dreamdb_append_desc *desc)
{
    const char *bytes = option_value(a, OPT_HOT_BYTES);
    desc->hot = option_is(a, OPT_HOT);
    if (!desc->hot && (bytes || option_is(a, OPT_HOT_ITEMS) || option_is(a, OPT_HOT_SECONDS))) {
        return fail(EXIT_USAGE, "append: --hot-items, --hot-seconds and --hot-bytes go with --hot");
    }
    if (bytes && (!parse_size(bytes, &desc->hot_bytes) || desc->hot_bytes == 0)) {
        return fail(EXIT_USAGE, "option --hot-bytes: '%s' is no size, as in 64k or 4M", bytes);
    }
    int code = option_u64(a, OPT_HOT_ITEMS, 1, UINT64_MAX, &desc->hot_items);
    return code ? code : option_u64(a, OPT_HOT_SECONDS, 1, UINT64_MAX / 1000000000u, &desc->hot_seconds);
}

static int job_append(app *a, job *j)
{
    dreamdb_append_desc desc;
    dreamdb_append_report done;
    size_t count;
    char token[160];
    memset(&desc, 0, sizeof desc);
    memset(&done, 0, sizeof done);
    int code = job_fill(j, &count);
    if (code) {
        return code;
    }
    for (size_t i = 0; i < j->b.count; i++) {
        if (j->b.columns[i].given > 0) {
            column_lend(&j->b.columns[i], count, &j->lent[desc.column_count++]);
        }
    }
    desc.columns = j->lent;
    desc.count = count;
    desc.anchors = j->has_start || j->has_anchors || (j->has_rows && j->b.anchored > 0) ? j->b.anchors : NULL;
    desc.page_early = option_is(a, OPT_PAGE_EARLY);
    desc.allow_tombstoned = option_is(a, OPT_ALLOW_TOMBSTONED);
    desc.into_layer = option_is(a, OPT_INTO);
    desc.retry = j->retry;
    if (j->has_token) {
        (void)snprintf(token, sizeof token, "%s#%" PRIu64, option_value(a, OPT_TOKEN), j->done + count);
        desc.token = token;
    }
    code = hot_options(a, &desc);
    if (code) {
        return code;
    }
    dreamdb_status status = dreamdb_append(a->db, &desc, &done, &a->error);
    if (status) {
        return fail_status(status, &a->error);
    }
    j->anchor_first = j->batches++ == 0 ? desc.anchors ? desc.anchors[0] : done.anchor_first : j->anchor_first;
    j->done += count;
    j->objects += done.objects;
    j->bytes_put += done.bytes;
    j->replays += done.replays;
    j->folded += done.folded;
    j->compact_bytes = done.compact_bytes;
    memcpy(j->manifest, done.manifest, sizeof j->manifest);
    a->now_ns += (uint64_t)1000 * count;      /* --now-ns: anchors drawn from the clock stay apart from batch to batch */
    return EXIT_DONE;
}

/* "; replayed 3 times" behind what was done. */
static void print_replays(app *a, uint64_t replays)
{
    if (replays > 0) {
        out_format(&a->o, "the ref had moved: tried %" PRIu64 " time%s more\n", replays, replays == 1 ? "" : "s");
    }
}

static void job_print(app *a, const job *j)
{
    char number[32], many[32], size[32], text[DREAMDB_ADDRESS_TEXT];
    uint64_t rows_in = j->done - j->resumed;
    if (!a->json) {
        if (j->resumed > j->first) {
            out_format(&a->o, "%s rows were in already\n", grouped(j->resumed - j->first, number));
        }
        out_format(&a->o, "appended %s rows to %.200s in %" PRIu64 " commit%s: %s objects, %s\nmanifest  %s\n", grouped(rows_in, number),
                   a->operands[0], j->batches, j->batches == 1 ? "" : "s", grouped(j->objects, many), size_text(j->bytes_put, size),
                   address_text(j->manifest, text));
        print_replays(a, j->replays);
        if (j->folded > 0) {
            out_format(&a->o, "%" PRIu64 " hot shard%s had waited long enough and went into the Track\n", j->folded,
                       j->folded == 1 ? "" : "s");
        }
        if (j->compact_bytes > 0) {
            out_format(&a->o, "a Track of labels has %s, written by every append: `dreamdb compact %.200s` makes it short\n",
                       size_text(j->compact_bytes, size), a->operands[0]);
        }
        return;
    }
    out_text(&a->o, "{");
    json_u64(&a->o, "rows", rows_in, 1);
    json_u64(&a->o, "batches", j->batches, 0);
    if (rows_in > 0) {
        json_u64(&a->o, "anchor_first", j->anchor_first, 0);
    }
    if (option_is(a, OPT_RESUME)) {
        json_u64(&a->o, "resumed", j->resumed - j->first, 0);
    }
    json_u64(&a->o, "replays", j->replays, 0);
    json_u64(&a->o, "objects", j->objects, 0);
    json_u64(&a->o, "bytes", j->bytes_put, 0);
    if (option_is(a, OPT_HOT)) {
        json_u64(&a->o, "folded", j->folded, 0);
    }
    if (j->compact_bytes > 0) {
        json_u64(&a->o, "compact_bytes", j->compact_bytes, 0);
    }
    json_address(&a->o, "manifest", j->manifest, 0);
    out_text(&a->o, "}\n");
}

static int verb_append(app *a)
{
    job j;
    int code = open_view(a, WRITE);
    if (code) {
        return code;
    }
    code = job_open(a, &j);
    a->own_progress = 1;
    while (!code && j.done < j.total) {
        code = report(a, "append", j.done - j.first, j.total - j.first, "rows") ? stopped() : job_append(a, &j);
    }
    if (!code) {
        job_print(a, &j);
    } else if (j.done > j.resumed) {
        char text[DREAMDB_ADDRESS_TEXT];
        note("the first %" PRIu64 " of %" PRIu64 " rows are in (Manifest %s); go on with the rest%s", j.done, j.total,
             address_text(j.manifest, text), j.has_token ? ": the same call with --resume" : "");
    }
    job_close(&j);
    return code;
}

/* add-field --layer-of FIELD --column NEW=FILE: the layer's first samples, whole. */
static int layer_rows(app *a, const dreamdb_field *field, dreamdb_field_info *like, job *j)
{
    const char *text = option_value(a, OPT_COLUMN);
    size_t size = strlen(field->name);
    memset(j, 0, sizeof *j);
    memset(like, 0, sizeof *like);
    like->name = field->name;
    like->kind = field->kind;
    like->dim = field->dim;
    if (option_count(a, OPT_COLUMN) != 1 || strncmp(text, field->name, size) != 0 || text[size] != '=') {
        return fail(EXIT_USAGE, "add-field: --column %s=FILE is wanted, once", field->name);
    }
    j->b.columns = (column *)zeroed(1, sizeof *j->b.columns);
    j->b.count = j->b.fixed = 1;
    j->b.columns[0].field = like;
    j->b.columns[0].has_source = 1;
    int code = source_open(&j->b.columns[0].from, text + size + 1);
    code = code ? code : source_fits(&j->b.columns[0]);
    j->total = j->batch_rows = j->b.columns[0].from.rows;
    code = code ? code : job_anchors(a, j);
    if (!code && !j->has_anchors && !j->has_start) {
        code = fail(EXIT_USAGE, "add-field: the layer's rows need --anchors FILE.npy or --anchor-start N");
    }
    size_t count = 0;
    code = code ? code : job_fill(j, &count);
    if (!code && count < j->total) {
        code = fail(EXIT_FAILED, "%s: too much for one Manifest: add the layer without --column, then `append --into %s`",
                    text + size + 1, field->name);
    }
    return code;
}

static int verb_add_field(app *a)
{
    spec *specs = NULL;
    size_t count = 0;
    job j;
    dreamdb_field_info like;
    dreamdb_column lent;
    dreamdb_layer layer;
    dreamdb_status status = DREAMDB_OK;
    memset(&j, 0, sizeof j);
    memset(&layer, 0, sizeof layer);
    layer.parent = option_value(a, OPT_LAYER_OF);
    int code = specs_parse(a, &specs, &count);
    code = code ? code : open_view(a, WRITE);
    if (!code && option_is(a, OPT_COLUMN)) {
        code = count != 1 || !layer.parent ? fail(EXIT_USAGE, "add-field: --column goes with one --field and --layer-of")
                                           : layer_rows(a, &specs[0].field, &like, &j);
        if (!code) {
            column_lend(&j.b.columns[0], (size_t)j.total, &lent);
            layer.column = &lent;
            layer.anchors = j.b.anchors;
            layer.count = (size_t)j.total;
        }
    }
    for (size_t i = 0; i < count && !code && !status; i++) {
        specs[i].field.required = 0;          /* rows that are there have no value in it */
        status = dreamdb_add_field(a->db, &specs[i].field, layer.parent ? &layer : NULL, &a->error);
    }
    code = code ? code : status ? fail_usage(status, &a->error) : renew_view(a);
    if (!code) {
        specs_advise(specs, count);
    }
    specs_free(specs, count);
    job_close(&j);
    return code ? code : print_state(a);
}

static int verb_train(app *a)
{
    dreamdb_train_desc desc;
    const dreamdb_field_info *field;
    const char *sample = option_value(a, OPT_SAMPLE), *bits = option_value(a, OPT_KEY_BITS);
    float *vectors = NULL;
    uint64_t dim;
    memset(&desc, 0, sizeof desc);
    int code = open_view(a, WRITE);
    code = code ? code : need_field(a, a->operands[1], strlen(a->operands[1]), &field);
    code = code ? code : option_u32(a, OPT_K, 1, &desc.k);
    code = code ? code : option_u32(a, OPT_ITERATIONS, 1, &desc.iterations);
    if (!code && bits && !parse_key_bits(bits, &desc.key_bits)) {
        code = fail(EXIT_USAGE, "option --key-bits: '%s' is neither a number from 1 to 64 nor auto", bits);
    }
    const char *index = option_value(a, OPT_INDEX);
    if (!code && index) {
        desc.index = strcmp(index, "imi") == 0 ? DREAMDB_INDEX_IMI : DREAMDB_INDEX_IVF;
        code = strcmp(index, "imi") != 0 && strcmp(index, "ivf") != 0
            ? fail(EXIT_USAGE, "option --index: '%s' is neither ivf nor imi", index) : EXIT_DONE;
    }
    if (!code && field->kind != DREAMDB_EMBEDDING) {
        code = fail(EXIT_USAGE, "train: field %s is of kind %s: only embeddings have a trained index", field->name, field->kind_text);
    }
    if (!code && sample) {
        code = load_vectors(sample, field->dim, UINT64_MAX, 0, &vectors, &desc.sample_count, &dim);
    }
    if (!code) {
        desc.field = field->name;
        desc.sample = vectors;
        desc.seed = option_is(a, OPT_SEED) ? a->random_state : 0;
        desc.compressor = option_is(a, OPT_COMPRESSOR);
        dreamdb_status status = dreamdb_train(a->db, &desc, &a->error);
        code = status ? fail_status(status, &a->error) : renew_view(a);
    }
    free(vectors);
    return code ? code : print_state(a);
}

static int verb_branch(app *a)
{
    int code = open_view(a, BRANCH);
    if (code) {
        return code;
    }
    char from[DREAMDB_ADDRESS_TEXT];
    dreamdb_status status = dreamdb_branch(a->db, address_text(a->info->manifest, from), a->operands[1], &a->error);
    if (status == DREAMDB_ERR_EXISTS && option_is(a, OPT_IF_ABSENT)) {
        if (!a->json) {
            out_format(&a->o, "there is a branch %.200s already: it stays where it is\n", a->operands[1]);
        } else {
            out_text(&a->o, "{\"exists\":true}\n");
        }
        return EXIT_DONE;
    }
    if (status) {
        return fail_usage(status, &a->error);
    }
    a->operands[0] = a->operands[1];
    print_done(a, "made branch", a->info->manifest);
    return EXIT_DONE;
}

/* One conflict, as a line or as an element of the JSON array that print_merge ends. */
static int print_conflict(void *user, const dreamdb_merge_conflict *c)
{
    app *a = (app *)user;
    char ours[DREAMDB_ADDRESS_TEXT], theirs[DREAMDB_ADDRESS_TEXT];
    ours[0] = theirs[0] = 0;
    if (c->ours) {
        dreamdb_address_text(c->ours, ours);
    }
    if (c->theirs) {
        dreamdb_address_text(c->theirs, theirs);
    }
    if (!a->json) {
        out_format(&a->o, "conflict: %s%s%s%s: %s", c->field[0] ? "field " : "", c->field, c->field[0] && c->key[0] ? ", " : "",
                   c->key, c->why);
        if (ours[0] || theirs[0]) {
            out_format(&a->o, " (ours %s, theirs %s)", ours[0] ? ours : "none", theirs[0] ? theirs : "none");
        }
        out_text(&a->o, "\n");
        return 0;
    }
    out_text(&a->o, a->conflicts++ > 0 ? ",{\"field\":" : "{\"conflicts\":[{\"field\":");
    json_string(&a->o, c->field);
    out_text(&a->o, ",\"key\":");
    json_string(&a->o, c->key);
    out_text(&a->o, ",\"why\":");
    json_string(&a->o, c->why);
    out_format(&a->o, ",\"ours\":%s%s%s,\"theirs\":%s%s%s}", ours[0] ? "\"" : "", ours[0] ? ours : "null", ours[0] ? "\"" : "",
               theirs[0] ? "\"" : "", theirs[0] ? theirs : "null", theirs[0] ? "\"" : "");
    return 0;
}

/* What a merge did, or would do. */
static void print_merge(app *a, const char *other, const dreamdb_merge_report *r, int refused, int dry)
{
    static const char *const outcomes[] = {"nothing", "moved", "merged"};
    char manifest[DREAMDB_ADDRESS_TEXT], theirs[DREAMDB_ADDRESS_TEXT], base[DREAMDB_ADDRESS_TEXT];
    dreamdb_address_text(r->manifest, manifest);
    dreamdb_address_text(r->theirs, theirs);
    dreamdb_address_text(r->base, base);
    if (a->json) {
        out_text(&a->o, a->conflicts > 0 ? "],\"other\":" : "{\"conflicts\":[],\"other\":");
        json_string(&a->o, other);
        out_format(&a->o, ",\"outcome\":\"%s\",\"dry_run\":%s,\"theirs\":\"%s\"", refused ? "refused" : outcomes[r->outcome],
                   dry ? "true" : "false", theirs);
        if (r->bases > 0) {
            out_format(&a->o, ",\"bases\":%" PRIu64 ",\"base\":\"%s\"", r->bases, base);
        }
        out_format(&a->o, ",\"taken\":%" PRIu64 ",\"fused\":%" PRIu64, r->taken, r->fused);
        out_format(&a->o, ",\"placed\":%" PRIu64 ",\"cells\":%" PRIu64, r->placed, r->cells);
        out_format(&a->o, ",\"replays\":%u,\"objects\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"manifest\":\"%s\"}\n",
                   (unsigned)r->replays, r->objects, r->bytes, manifest);
        a->conflicts = 0;
    } else if (refused) {
        return;
    } else if (r->outcome == DREAMDB_MERGE_NOTHING) {
        out_format(&a->o, "%s and %s are one state already: nothing to do\n", a->operands[0], other);
    } else if (r->outcome == DREAMDB_MERGE_MOVED) {
        out_format(&a->o, "%s %s to %s\n", a->operands[0], dry ? "would move" : "moved", manifest);
    } else {
        out_format(&a->o, "%s %s into %s (%" PRIu64 " field%s taken, %" PRIu64 " with the rows of both)", dry ? "would merge" : "merged",
                   other, a->operands[0], r->taken, r->taken == 1 ? "" : "s", r->fused);
        out_format(&a->o, "%s%s\n", dry ? ": no conflict" : ": Manifest ", dry ? "" : manifest);
    }
    if (!a->json && r->placed > 0) {
        out_format(&a->o, "placed %" PRIu64 " vector%s of one side under the newer index of the other\n", r->placed,
                   r->placed == 1 ? "" : "s");
    }
    if (!a->json && r->cells > 0) {
        out_format(&a->o, "merged the records of %" PRIu64 " cell%s that both sides had compacted\n", r->cells, r->cells == 1 ? "" : "s");
    }
    if (!a->json) {
        print_replays(a, r->replays);
    }
}

/* One merge; EXIT_FAILED for conflicts, EXIT_CONFLICT when another writer moved the ref. */
static int merge_one(app *a, const char *other)
{
    dreamdb_merge_desc desc;
    dreamdb_merge_report report;
    const char *strategy = option_value(a, OPT_STRATEGY), *keep = option_value(a, OPT_KEEP_INDEX);
    memset(&desc, 0, sizeof desc);
    memset(&report, 0, sizeof report);
    desc.other = other;
    desc.dry_run = option_is(a, OPT_DRY_RUN);
    desc.conflict = print_conflict;
    desc.conflict_user = a;
    int code = option_u32(a, OPT_RETRY, 0, &desc.retry);
    if (code) {
        return code;
    }
    if (strategy && strcmp(strategy, "union") && strcmp(strategy, "fast-forward") && strcmp(strategy, "ff")) {
        return fail(EXIT_USAGE, "%s: --strategy '%s': union or fast-forward", a->verb->name, strategy);
    }
    desc.strategy = strategy && strategy[0] == 'f' ? DREAMDB_MERGE_FAST_FORWARD : DREAMDB_MERGE_UNION;
    if (keep && strcmp(keep, "ours") && strcmp(keep, "theirs")) {
        return fail(EXIT_USAGE, "%s: --keep-index '%s': ours or theirs", a->verb->name, keep);
    }
    desc.index = !keep ? DREAMDB_MERGE_INDEX_NONE : keep[0] == 'o' ? DREAMDB_MERGE_INDEX_OURS : DREAMDB_MERGE_INDEX_THEIRS;
    dreamdb_status status = dreamdb_merge(a->db, &desc, &report, &a->error);
    if (!status || status == DREAMDB_ERR_DIVERGED || a->conflicts > 0) {
        print_merge(a, other, &report, status != DREAMDB_OK, desc.dry_run);
    }
    return status ? fail_usage(status, &a->error) : EXIT_DONE;
}

static int verb_merge(app *a)
{
    int code = open_view(a, WRITE);
    return code ? code : merge_one(a, a->operands[1]);
}

static int verb_compact(app *a)
{
    dreamdb_compact_desc desc;
    dreamdb_compact_report r;
    char n[5][32], size[2][32], text[DREAMDB_ADDRESS_TEXT];
    memset(&desc, 0, sizeof desc);
    desc.field = option_value(a, OPT_FIELD);
    const char *keep = option_value(a, OPT_KEEP_BYTES);
    int code = open_view(a, WRITE);
    code = code ? code : option_u32(a, OPT_THRESHOLD, 1, &desc.threshold);
    code = code ? code : option_u64(a, OPT_MAX_CELLS, 1, UINT64_MAX, &desc.max_cells);
    if (!code && keep && !parse_size(keep, &desc.keep_bytes)) {
        return fail(EXIT_USAGE, "option --keep-bytes: '%s' is no size, as in 256k or 4M", keep);
    }
    code = code ? code : option_u32(a, OPT_KEEP_DEAD, 1, &desc.keep_dead);
    if (!code && desc.keep_dead > 0 && (desc.keep_bytes == 0 || desc.keep_dead > 100)) {
        return fail(EXIT_USAGE, "option --keep-dead: %s", desc.keep_bytes == 0 ? "needs --keep-bytes" : "at most 100 percent");
    }
    dreamdb_status status = code ? DREAMDB_OK : dreamdb_compact(a->db, &desc, &r, &a->error);
    if (code || status) {
        return code ? code : fail_usage(status, &a->error);
    }
    if (a->json) {
        out_text(&a->o, "{");
        json_u64(&a->o, "examined", r.examined, 1);
        json_u64(&a->o, "cells", r.cells, 0);
        json_u64(&a->o, "fragments", r.fragments, 0);
        json_u64(&a->o, "rows", r.rows, 0);
        json_u64(&a->o, "deleted", r.deleted, 0);
        json_u64(&a->o, "losing", r.losing, 0);
        json_u64(&a->o, "objects", r.objects, 0);
        json_u64(&a->o, "bytes", r.bytes, 0);
        json_u64(&a->o, "reclaimable", r.reclaimable, 0);
        json_u64(&a->o, "flushed", r.flushed, 0);
        json_u64(&a->o, "waiting", r.waiting, 0);
        out_format(&a->o, ",\"more\":%s", r.more ? "true" : "false");
        json_address(&a->o, "manifest", r.manifest, 0);
        out_text(&a->o, "}\n");
        return EXIT_DONE;
    }
    if (r.flushed > 0) {
        out_format(&a->o, "folded the hot shards of %" PRIu64 " field%s first\n", r.flushed, r.flushed == 1 ? "" : "s");
    }
    if (r.waiting > 0) {
        out_format(&a->o, "left %" PRIu64 " field%s alone, where a writer has begun a hot shard since: call again\n", r.waiting,
                   r.waiting == 1 ? "" : "s");
    }
    if (r.cells == 0) {
        out_format(&a->o, "%s has nothing to fold (%s cells and values)\n", a->operands[0], grouped(r.examined, n[0]));
        return EXIT_DONE;
    }
    out_format(&a->o, "compacted %s of %s cells and values: %s fragments, %s rows", grouped(r.cells, n[0]), grouped(r.examined, n[1]),
               grouped(r.fragments, n[2]), grouped(r.rows, n[3]));
    if (r.deleted + r.losing > 0) {
        out_format(&a->o, "; left out: %" PRIu64 " deleted, %" PRIu64 " replaced by a later row of the anchor", r.deleted, r.losing);
    }
    out_format(&a->o, "\nwrote %s objects, %s; gc can free %s once no kept state holds them%s\nmanifest  %s\n", grouped(r.objects, n[4]),
               size_text(r.bytes, size[0]), size_text(r.reclaimable, size[1]), r.more ? "\nmore are left: call again" : "",
               address_text(r.manifest, text));
    return EXIT_DONE;
}

static int verb_merge_many(app *a)
{
    int code = open_view(a, WRITE);
    for (size_t i = 1; i < a->operand_count && !code; i++) {
        code = merge_one(a, a->operands[i]);
        if (code && i > 1) {
            out_flush(&a->o);
            (void)fprintf(stderr, "merge-many: %zu of %zu are merged and published: go on from %s\n", i - 1, a->operand_count - 1,
                          a->operands[i]);
        }
    }
    return code;
}

static int verb_snapshot(app *a)
{
    int code = open_view(a, WRITE);
    if (code) {
        return code;
    }
    dreamdb_status status = dreamdb_keep(a->db, a->operands[1], &a->error);
    if (status) {
        return fail_usage(status, &a->error);
    }
    size_t size = strlen(a->operands[0]) + strlen(a->operands[1]) + 2;
    char *ref = (char *)grow(NULL, size);
    (void)snprintf(ref, size, "%s@%s", a->operands[0], a->operands[1]);
    a->operands[0] = ref;
    print_done(a, "kept", a->info->manifest);
    a->operands[0] = NULL;
    free(ref);
    return EXIT_DONE;
}

static int verb_delete_ref(app *a)
{
    int code = open_store(a, WRITE);
    if (code) {
        return code;
    }
    dreamdb_status status = dreamdb_ref_delete(&a->config, a->operands[0], &a->error);
    if (status) {
        return fail_usage(status, &a->error);
    }
    if (a->json) {
        out_text(&a->o, "{");
        json_name(&a->o, "deleted", 1);
        json_string(&a->o, a->operands[0]);
        out_text(&a->o, "}\n");
    } else {
        out_format(&a->o, "deleted ref %.200s; its objects stay until gc\n", a->operands[0]);
    }
    return EXIT_DONE;
}

/* One object that goes. */
static int print_garbage(void *user, const dreamdb_gc_object *object)
{
    app *a = (app *)user;
    if (a->json) {
        out_text(&a->o, "{");
        json_name(&a->o, "object", 1);
        json_string(&a->o, object->path);
        out_format(&a->o, ",\"bytes\":%" PRIu64 "}\n", object->size);
    } else {
        out_format(&a->o, "%s\n", object->path);
    }
    return a->o.error != 0;
}

static void print_gc(app *a, const dreamdb_gc_report *r, int dry)
{
    output *o = &a->o;
    char n[32], bytes[32];
    if (a->json) {
        out_format(o, "{\"dry_run\":%s,\"refs\":%" PRIu64 ",\"manifests\":%" PRIu64 ",\"links\":%" PRIu64 ",\"bases\":%" PRIu64,
                   dry ? "true" : "false", r->refs, r->manifests, r->links, r->bases);
        out_format(o, ",\"marked\":%" PRIu64 ",\"listed\":%" PRIu64 ",\"deleted\":%" PRIu64 ",\"deleted_bytes\":%" PRIu64,
                   r->marked, r->listed, r->deleted, r->deleted_bytes);
        out_format(o, ",\"young\":%" PRIu64 ",\"young_bytes\":%" PRIu64 ",\"others\":%" PRIu64 ",\"late\":%" PRIu64
                   ",\"jobs\":%" PRIu64 "}\n", r->young, r->young_bytes, r->others, r->late, r->jobs);
        return;
    }
    out_format(o, "%s %s object%s", dry ? "would remove" : "removed", grouped(r->deleted, n), r->deleted == 1 ? "" : "s");
    out_format(o, " of %s (%s)\n", grouped(r->listed, n), size_text(r->deleted_bytes, bytes));
    out_format(o, "kept %s state%s", grouped(r->manifests, n), r->manifests == 1 ? "" : "s");
    out_format(o, " of %s ref%s", grouped(r->refs, n), r->refs == 1 ? "" : "s");
    if (r->links + r->bases > 0) {
        out_format(o, ", and for later merges %s older Manifest%s in part", grouped(r->links, n), r->links == 1 ? "" : "s");
    }
    if (r->young > 0) {
        out_format(o, "; %s that nothing reaches %s young", grouped(r->young, n), r->young == 1 ? "is" : "are");
        out_format(o, " (%s)", size_text(r->young_bytes, bytes));
    }
    out_text(o, "\n");
    if (r->jobs > 0) {
        out_format(o, "%s job%s of many machines under way: what %s may need is kept\n", grouped(r->jobs, n), r->jobs == 1 ? "" : "s",
                   r->jobs == 1 ? "it" : "they");
    }
    if (r->late > 0) {
        out_format(o, "the store was slow: %s more can go, run it again\n", grouped(r->late, n));
    }
}

static int verb_gc(app *a)
{
    dreamdb_gc_desc desc;
    dreamdb_gc_report report;
    const char *since = option_value(a, OPT_KEEP_SINCE);
    memset(&desc, 0, sizeof desc);
    memset(&report, 0, sizeof report);
    desc.dry_run = option_is(a, OPT_DRY_RUN);
    desc.writers_paused = option_is(a, OPT_WRITERS_PAUSED);
    int code = option_u64(a, OPT_KEEP_MANIFESTS, 1, UINT64_MAX, &desc.keep_manifests);
    if (!code && since && !parse_duration(since, &desc.keep_since_ns)) {
        code = fail(EXIT_USAGE, "option --keep-since: '%s' is no duration such as 90s, 30m, 24h or 7d", since);
    }
    if (!code && since && desc.keep_since_ns < UINT64_C(3600000000000) && !desc.writers_paused && !desc.dry_run) {
        code = fail(EXIT_USAGE, "gc: --keep-since under 1h would take objects of writers at work: pause them and say --writers-paused");
    }
    code = code ? code : open_store(a, desc.dry_run ? READ : WRITE);
    if (code) {
        return code;
    }
    desc.keep_since_ns = since && desc.keep_since_ns == 0 ? DREAMDB_GC_NO_AGE : desc.keep_since_ns;
    desc.each = option_is(a, OPT_LIST) ? print_garbage : NULL;
    desc.each_user = a;
    dreamdb_status status = dreamdb_gc(&a->config, &desc, &report, &a->error);
    if (status) {
        return a->o.error ? EXIT_DONE : fail_usage(status, &a->error);
    }
    print_gc(a, &report, desc.dry_run);
    return EXIT_DONE;
}

static int verb_set_meta(app *a)
{
    const char *equals = strchr(a->operands[1], '='), *value = a->operand_count > 2 ? a->operands[2] : equals ? equals + 1 : NULL;
    if (!value) {
        return fail(EXIT_USAGE, "set-meta: write REF KEY VALUE, or REF KEY=VALUE");
    }
    size_t size = a->operand_count > 2 || !equals ? strlen(a->operands[1]) : (size_t)(equals - a->operands[1]);
    int code = open_view(a, WRITE);
    if (!code) {
        char *key = copy_text(a->operands[1], size);
        dreamdb_status status = dreamdb_set_meta(a->db, key, value, &a->error);
        code = status ? fail_usage(status, &a->error) : renew_view(a);
        free(key);
    }
    if (!code) {
        print_done(a, "set meta of", a->info->manifest);
    }
    return code;
}

/* ---- Verbs that read rows -------------------------------------------------------------------------------------------- */

/* Prints rows as they come; *next moves over wanted (sorted) anchors and *missing takes the first that did not come. */
typedef struct printer {
    app   *a;
    const field_list *list;
    table  t;
    const uint64_t *wanted; size_t wanted_count, next;
    uint64_t missing; size_t missing_count;
    uint64_t rows;
} printer;

static void printer_missing(printer *p, uint64_t below, int to_end)
{
    while (p->next < p->wanted_count && (to_end || p->wanted[p->next] < below)) {
        p->missing = p->missing_count++ == 0 ? p->wanted[p->next] : p->missing;
        p->next++;
    }
}

static void printer_row(printer *p, const dreamdb_row *row)
{
    output *o = &p->a->o;
    if (p->wanted) {
        printer_missing(p, row->anchor, 0);
        p->next += p->next < p->wanted_count && p->wanted[p->next] == row->anchor;
    }
    p->rows++;
    if (!p->a->json) {
        table_format(&p->t, "%" PRIu64, row->anchor);
        table_values(&p->t, p->list, row->values);
        return;
    }
    out_text(o, "{");
    json_u64(o, "anchor", row->anchor, 1);
    json_fields(o, p->list, row->values);
    out_text(o, "}\n");
}

/* Runs a cursor to its end, a page of rows at a time. */
static int each_page(app *a, const dreamdb_scan *scan, int (*page)(void *user, const dreamdb_row *rows, size_t count), void *user)
{
    dreamdb_cursor *cursor = NULL;
    dreamdb_row *list = (dreamdb_row *)grow_array(NULL, ROWS_AT_ONCE, sizeof *list);
    uint64_t done = 0;
    int code = EXIT_DONE;
    dreamdb_status status = dreamdb_scan_open(a->view, scan, &cursor, &a->error);
    while (!status && !code && !a->o.error) {
        size_t got = 0;
        status = dreamdb_cursor_rows(cursor, list, ROWS_AT_ONCE, &got, &a->error);
        if (status >= 0 && got > 0) {
            code = page(user, list, got);
            done += got;
        }
        if (!code && report(a, a->verb->name, done, 0, "rows")) {
            code = stopped();
        }
    }
    if (cursor) {
        dreamdb_cursor_close(cursor);
    }
    free(list);
    return code ? code : status < 0 ? fail_status(status, &a->error) : EXIT_DONE;
}

static int print_page(void *user, const dreamdb_row *list, size_t count)
{
    printer *p = (printer *)user;
    for (size_t i = 0; i < count && !p->a->o.error; i++) {
        printer_row(p, &list[i]);
    }
    return EXIT_DONE;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Window, predicate and order of the options into scan; where_free(parser) at the end. */
static int scan_options(app *a, dreamdb_scan *scan, where_parser *parser)
{
    const char *order = option_value(a, OPT_ORDER);
    int code = where_options(a, parser, &scan->where);
    code = code ? code : option_u64(a, OPT_START, 0, DREAMDB_ANCHOR_MAX, &scan->start);
    code = code ? code : option_u64(a, OPT_END, 1, UINT64_MAX, &scan->end);
    code = code ? code : option_u64(a, OPT_LIMIT, 1, UINT64_MAX, &scan->limit);
    if (!code && order && strcmp(order, "anchor") == 0) {
        scan->order = DREAMDB_ORDER_ANCHOR;
    } else if (!code && order && strcmp(order, "storage") == 0) {
        scan->order = DREAMDB_ORDER_STORAGE;
    } else if (!code && order) {
        code = fail(EXIT_USAGE, "option --order: '%s' is neither anchor nor storage", order);
    }
    return code;
}

static int print_scan(app *a, dreamdb_scan *scan, printer *p)
{
    scan->fields = p->list->names;
    scan->field_count = p->list->count;
    p->a = a;
    if (!a->json) {
        table_fields(&p->t, &a->o, ">anchor", p->list);
    }
    int code = p->list->count > 0 ? each_page(a, scan, print_page, p) : EXIT_DONE;
    if (!a->json) {
        table_end(&p->t);
    }
    return code;
}

static int verb_scan(app *a)
{
    field_list list;
    where_parser parser;
    dreamdb_scan scan;
    printer p;
    uint64_t *anchors = NULL;
    size_t count = 0;
    memset(&list, 0, sizeof list);
    memset(&parser, 0, sizeof parser);
    memset(&scan, 0, sizeof scan);
    memset(&p, 0, sizeof p);
    p.list = &list;
    int code = open_view(a, READ);
    code = code ? code : fields_option(a, &list, 1);
    code = code ? code : scan_options(a, &scan, &parser);
    code = code ? code : anchors_list(a, 1, &anchors, &count);
    if (!code) {
        scan.anchors = anchors;
        scan.anchor_count = count;
        code = option_is(a, OPT_ANCHORS) && count == 0 ? EXIT_DONE : print_scan(a, &scan, &p);
    }
    free(anchors);
    where_free(&parser);
    fields_free(&list);
    return code;
}

static int verb_get(app *a)
{
    field_list list;
    dreamdb_scan scan;
    printer p;
    uint64_t *anchors = NULL;
    size_t count = 0, unique = 0;
    memset(&list, 0, sizeof list);
    memset(&scan, 0, sizeof scan);
    memset(&p, 0, sizeof p);
    p.list = &list;
    int code = open_view(a, READ);
    code = code ? code : fields_option(a, &list, 1);
    code = code ? code : anchors_list(a, 1, &anchors, &count);
    if (!code && count == 0) {
        code = fail(EXIT_USAGE, "get: no anchor: write `get REF ANCHOR...` or --anchors FILE.npy");
    }
    if (!code) {
        qsort(anchors, count, sizeof *anchors, by_number);
        for (size_t i = 0; i < count; i++) {
            if (unique == 0 || anchors[unique - 1] != anchors[i]) {
                anchors[unique++] = anchors[i];
            }
        }
        scan.anchors = p.wanted = anchors;
        scan.anchor_count = p.wanted_count = unique;
        scan.order = DREAMDB_ORDER_ANCHOR;
        code = print_scan(a, &scan, &p);
        printer_missing(&p, 0, 1);
        if (!code && p.missing_count > 0 && !a->o.error) {
            out_flush(&a->o);
            code = fail(EXIT_NOT_FOUND, "anchor %" PRIu64 "%s not in %s", p.missing, p.missing_count > 1 ? " (and others) are" : " is",
                        a->operands[0]);
        }
    }
    free(anchors);
    fields_free(&list);
    return code;
}

static int verb_delete(app *a)
{
    where_parser parser;
    dreamdb_delete_desc desc;
    dreamdb_delete_report report;
    uint64_t *anchors = NULL;
    char some[32], again[32], address[DREAMDB_ADDRESS_TEXT];
    memset(&parser, 0, sizeof parser);
    memset(&desc, 0, sizeof desc);
    int code = open_view(a, WRITE);
    code = code ? code : anchors_list(a, 1, &anchors, &desc.anchor_count);
    code = code ? code : where_options(a, &parser, &desc.where);
    desc.anchors = anchors;
    desc.reason = option_value(a, OPT_REASON);
    code = code ? code : option_u32(a, OPT_RETRY, 0, &desc.retry);
    int named = option_is(a, OPT_ANCHORS) || a->operand_count > 1;
    if (!code && (named && desc.where)) {
        code = fail(EXIT_USAGE, "delete: give anchors or --where, not both");
    } else if (!code && desc.anchor_count == 0 && !desc.where) {
        code = fail(EXIT_USAGE, "delete: no anchor: write `delete REF ANCHOR...`, --anchors FILE.npy or --where TEXT");
    }
    if (!code) {
        dreamdb_status status = dreamdb_delete(a->db, &desc, &report, &a->error);
        code = status ? fail_usage(status, &a->error) : EXIT_DONE;
    }
    free(anchors);
    where_free(&parser);
    if (code) {
        return code;
    }
    dreamdb_address_text(report.manifest, address);
    if (a->json) {
        out_format(&a->o, "{\"deleted\":%" PRIu64 ",\"again\":%" PRIu64 ",\"objects\":%" PRIu64 ",\"bytes\":%" PRIu64,
                   report.anchors - report.again, report.again, report.objects, report.bytes);
        out_format(&a->o, ",\"replays\":%u,\"manifest\":\"%s\"}\n", (unsigned)report.replays, address);
    } else if (report.anchors == 0) {
        out_text(&a->o, "no row meets the predicate: nothing is deleted\n");
    } else {
        uint64_t fresh = report.anchors - report.again;
        out_format(&a->o, "deleted %s anchor%s of %s", grouped(fresh, some), fresh == 1 ? "" : "s", a->operands[0]);
        if (report.again > 0) {
            out_format(&a->o, " (%s more had been deleted before)", grouped(report.again, again));
        }
        out_format(&a->o, ": Manifest %s\n", address);
        print_replays(a, report.replays);
    }
    if (desc.where && report.replays > 0) {
        dreamdb_address_text(report.evaluated, address);
        note("the rows are those that met the predicate in Manifest %s; what landed after it was not looked at", address);
    }
    return EXIT_DONE;
}

typedef struct eraser { app *a; table t; } eraser;

/* One object that still holds bytes of the rows. */
static int print_holder(void *user, const dreamdb_erase_holder *holder)
{
    eraser *e = (eraser *)user;
    output *o = &e->a->o;
    if (!e->a->json) {
        char *names = copy_text("", 0);
        for (size_t i = 0; i < holder->ref_count; i++) {
            size_t had = strlen(names), more = strlen(holder->refs[i]);
            names = (char *)grow(names, had + more + 3);
            (void)snprintf(names + had, more + 3, "%s%s", i > 0 ? ", " : "", holder->refs[i]);
        }
        table_text(&e->t, holder->path);
        table_format(&e->t, "%" PRIu64, holder->anchor);
        table_text(&e->t, names);
        free(names);
        return o->error != 0;
    }
    out_text(o, "{");
    json_name(o, "object", 1);
    json_string(o, holder->path);
    out_format(o, ",\"anchor\":%" PRIu64 ",\"refs\":[", holder->anchor);
    for (size_t i = 0; i < holder->ref_count; i++) {
        out_text(o, i > 0 ? "," : "");
        json_string(o, holder->refs[i]);
    }
    out_text(o, "]}\n");
    return o->error != 0;
}

static void print_erased(app *a, const dreamdb_erase_result *r)
{
    char n[32], m[32];
    if (a->json) {
        out_format(&a->o, "{\"anchors\":%" PRIu64 ",\"objects\":%" PRIu64 ",\"refs\":%" PRIu64, r->anchors, r->objects, r->refs);
        out_format(&a->o, ",\"states\":%" PRIu64 ",\"unread\":%" PRIu64 "}\n", r->states, r->unread);
        return;
    }
    if (r->anchors == 0) {
        out_text(&a->o, "no row is asked for: nothing is deleted there\n");
    } else if (r->objects == 0) {
        out_format(&a->o, "no ref reaches bytes of these %s rows; what else is in the store goes with gc\n", grouped(r->anchors, n));
    } else {
        out_format(&a->o, "%s objects hold bytes of these %s rows", grouped(r->objects, n), grouped(r->anchors, m));
        out_text(&a->o, "; they go when the refs named are rewritten (flush-hot, train, compact) or deleted, and gc --keep-manifests 1 "
                        "has run\n");
    }
    if (r->unread > 0) {
        out_format(&a->o, "%s Tracks are of kinds that this version cannot look into: they may hold some, too\n", grouped(r->unread, n));
    }
}

static int verb_erase_report(app *a)
{
    where_parser parser;
    dreamdb_erase_desc desc;
    dreamdb_erase_result result;
    eraser e;
    uint64_t *anchors = NULL;
    memset(&parser, 0, sizeof parser);
    memset(&desc, 0, sizeof desc);
    memset(&e, 0, sizeof e);
    e.a = a;
    int code = open_view(a, READ);
    code = code ? code : anchors_list(a, 1, &anchors, &desc.anchor_count);
    code = code ? code : where_options(a, &parser, &desc.where);
    int named = option_is(a, OPT_ANCHORS) || a->operand_count > 1;
    if (!code && named && desc.where) {
        code = fail(EXIT_USAGE, "erase-report: give anchors or --where, not both");
    } else if (!code && named && desc.anchor_count == 0) {
        code = fail(EXIT_USAGE, "erase-report: the list of anchors is empty");
    }
    if (!code) {
        desc.anchors = anchors;
        desc.each = print_holder;
        desc.each_user = &e;
        if (!a->json) {
            table_open(&e.t, &a->o, "object|>anchor|refs");
        }
        dreamdb_status status = dreamdb_erase_report(a->db, &desc, &result, &a->error);
        if (!a->json) {
            table_end(&e.t);
        }
        code = status && !a->o.error ? fail_usage(status, &a->error) : EXIT_DONE;
        if (!status) {
            print_erased(a, &result);
        }
    }
    free(anchors);
    where_free(&parser);
    return code;
}

static int verb_flush_hot(app *a)
{
    dreamdb_flush_report report;
    char count[32], address[DREAMDB_ADDRESS_TEXT];
    int code = open_view(a, WRITE);
    dreamdb_status status = code ? DREAMDB_OK : dreamdb_flush_hot(a->db, &report, &a->error);
    if (code || status) {
        return code ? code : fail_status(status, &a->error);
    }
    dreamdb_address_text(report.manifest, address);
    if (a->json) {
        out_format(&a->o, "{\"fields\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"objects\":%" PRIu64, report.fields, report.rows,
                   report.objects);
        out_format(&a->o, ",\"bytes\":%" PRIu64 ",\"manifest\":\"%s\"}\n", report.bytes, address);
    } else if (report.fields == 0) {
        out_format(&a->o, "%.200s has no hot rows: nothing is written\n", a->operands[0]);
    } else {
        out_format(&a->o, "flushed %s hot value%s of %" PRIu64 " field%s of %.200s: Manifest %s\n", grouped(report.rows, count),
                   report.rows == 1 ? "" : "s", report.fields, report.fields == 1 ? "" : "s", a->operands[0], address);
    }
    return EXIT_DONE;
}

static int verb_count(app *a)
{
    where_parser parser;
    dreamdb_scan window;
    const dreamdb_field_info *field = NULL;
    uint64_t count = 0;
    char text[32];
    memset(&window, 0, sizeof window);
    memset(&parser, 0, sizeof parser);
    int code = open_view(a, READ);
    if (!code && a->operand_count > 1) {
        code = need_field(a, a->operands[1], strlen(a->operands[1]), &field);
    }
    code = code ? code : scan_options(a, &window, &parser);
    if (!code && option_is(a, OPT_ESTIMATE) && (!field || window.where || window.start || window.end)) {
        code = fail(EXIT_USAGE, "count: --estimate is for one whole FIELD");
    }
    if (!code) {
        dreamdb_status status = option_is(a, OPT_ESTIMATE)
            ? dreamdb_count_estimate(a->view, field->name, &count, &a->error)
            : dreamdb_count(a->view, field ? field->name : NULL, window.where, window.start, window.end, &count, &a->error);
        code = status ? fail_status(status, &a->error) : EXIT_DONE;
    }
    where_free(&parser);
    if (!code && a->json) {
        out_format(&a->o, "{\"count\":%" PRIu64 "}\n", count);
    } else if (!code) {
        out_format(&a->o, "%s\n", grouped(count, text));
    }
    return code;
}

/* ---- query ----------------------------------------------------------------------------------------------------------- */

/* Takes vectors out of a scan, each to its place in the list of wanted anchors. */
typedef struct taker { const uint64_t *wanted; size_t count, dim; float *vectors; unsigned char *found; } taker;

static int take_vectors(void *user, const dreamdb_row *list, size_t count)
{
    taker *t = (taker *)user;
    for (size_t r = 0; r < count; r++) {
        for (size_t i = 0; i < t->count && list[r].values[0].present; i++) {
            if (t->wanted[i] == list[r].anchor) {
                memcpy(t->vectors + i * t->dim, list[r].values[0].data, t->dim * sizeof(float));
                t->found[i] = 1;
            }
        }
    }
    return EXIT_DONE;
}

/* The vectors stored under --anchor N,N. */
static int stored_vectors(app *a, const dreamdb_field_info *field, float **vectors, size_t *count)
{
    dreamdb_scan scan;
    taker t;
    uint64_t *anchors = NULL;
    const char *at = option_value(a, OPT_ANCHOR);
    memset(&scan, 0, sizeof scan);
    for (*count = 0;; at++) {
        size_t size = strcspn(at, ",");
        anchors = (uint64_t *)grow_array(anchors, *count + 1, sizeof *anchors);
        if (!parse_u64(at, size, &anchors[*count]) || anchors[*count] > DREAMDB_ANCHOR_MAX) {
            free(anchors);
            return fail(EXIT_USAGE, "option --anchor: '%s' is no anchor: a number from 0 to 2^64-2", at);
        }
        ++*count;
        at += size;
        if (!*at) {
            break;
        }
    }
    t.wanted = anchors;
    t.count = *count;
    t.dim = field->dim;
    t.vectors = *vectors = (float *)grow_array(NULL, times(t.count, t.dim), sizeof(float));
    t.found = (unsigned char *)zeroed(t.count, 1);
    scan.fields = &field->name;
    scan.field_count = 1;
    scan.anchors = anchors;
    scan.anchor_count = t.count;
    int code = each_page(a, &scan, take_vectors, &t);
    for (size_t i = 0; i < t.count && !code; i++) {
        if (!t.found[i]) {
            code = fail(EXIT_NOT_FOUND, "anchor %" PRIu64 " has no vector in field %s of %s", anchors[i], field->name, a->operands[0]);
        }
    }
    free(t.found);
    free(anchors);
    return code;
}

/* --recall: a share of 0 to 1; it asks for nprobe auto. */
static int query_recall(const app *a, dreamdb_query *query)
{
    const char *text = option_value(a, OPT_RECALL);
    double share = 0;
    if (!text) {
        return EXIT_DONE;
    }
    if (!parse_real(text, strlen(text), &share) || !(share > 0 && share <= 1)) {
        return fail(EXIT_USAGE, "option --recall: '%s' is no share above 0, up to 1", text);
    }
    if (option_is(a, OPT_NPROBE) && query->nprobe != DREAMDB_NPROBE_AUTO) {
        return fail(EXIT_USAGE, "options --recall and --nprobe N: give one of them");
    }
    query->nprobe = DREAMDB_NPROBE_AUTO;
    query->recall = (float)share;
    return EXIT_DONE;
}

/* --vector FILE, --vector [0.1,...] or --anchor N. */
static int query_vectors(app *a, const dreamdb_field_info *field, float **vectors, size_t *count)
{
    const char *text = option_value(a, OPT_VECTOR);
    uint64_t dim;
    if ((text != NULL) + option_is(a, OPT_ANCHOR) != 1) {
        return fail(EXIT_USAGE, "query: give --vector FILE.npy or --anchor N");
    }
    if (!text) {
        return stored_vectors(a, field, vectors, count);
    }
    if (text[0] != '[') {
        return load_vectors(text, field->dim, UINT64_MAX, 1, vectors, count, &dim);
    }
    *count = 1;
    *vectors = (float *)grow_array(NULL, field->dim, sizeof(float));
    return parse_vector(text, strlen(text), *vectors, field->dim)
        ? EXIT_DONE : fail(EXIT_USAGE, "option --vector: wanted are %" PRIu32 " numbers, as [0.1, 0.2, ...]", field->dim);
}

static int query_options(app *a, dreamdb_query *query)
{
    const char *nprobe = option_value(a, OPT_NPROBE);
    int code = option_u32(a, OPT_TOP_K, 1, &query->top_k);
    const char *modes[] = {"inherit", "approximate", "exact"}, *mode = option_value(a, OPT_RERANK_MODE);
    code = code ? code : option_u32(a, OPT_RERANK_POOL, 1, &query->rerank_pool);
    for (size_t i = 0; i < COUNT_OF(modes) && mode; i++) {
        if (strcmp(mode, modes[i]) == 0) {
            query->rerank = (dreamdb_rerank)i;
            mode = NULL;
        }
    }
    if (mode && !code) {
        code = fail(EXIT_USAGE, "option --rerank-mode: '%s' is none of inherit, approximate, exact", mode);
    }
    if (nprobe && strcmp(nprobe, "auto") == 0) {
        query->nprobe = DREAMDB_NPROBE_AUTO;
    } else {
        code = code ? code : option_u32(a, OPT_NPROBE, 1, &query->nprobe);
    }
    query->exact = option_is(a, OPT_EXACT);
    query->proven = option_is(a, OPT_PROVEN);
    return code ? code : query_recall(a, query);
}

/* One query's hits. */
static void print_hits(app *a, const dreamdb_result *found, size_t q, uint64_t number, const field_list *list, table *t)
{
    output *o = &a->o;
    size_t first = q == 0 ? 0 : found->ends[q - 1];
    if (a->json) {
        out_text(o, "{");
        json_u64(o, "query", number, 1);
        json_name(o, "hits", 0);
        out_text(o, "[");
    }
    for (size_t i = first; i < found->ends[q]; i++) {
        const dreamdb_hit *hit = &found->hits[i];
        if (a->json) {
            out_text(o, i > first ? ",{" : "{");
            json_u64(o, "anchor", hit->anchor, 1);
            json_name(o, "score", 0);
            json_real(o, (double)hit->score, 1);
            if (list->count > 0) {
                json_fields(o, list, hit->values);
            }
            out_text(o, "}");
        } else {
            table_format(t, "%" PRIu64, number);
            table_format(t, "%zu", i - first + 1);
            table_format(t, "%.5f", (double)hit->score);
            table_format(t, "%" PRIu64, hit->anchor);
            table_values(t, list, hit->values);
        }
    }
    out_text(o, a->json ? "]}\n" : "");
}

static void add_explain(dreamdb_result *sum, const dreamdb_result *found)
{
    sum->cells_probed += found->cells_probed;
    sum->cells_read += found->cells_read;
    sum->candidates += found->candidates;
    sum->reranked += found->reranked;
    sum->objects_read += found->objects_read;
    sum->bytes_read += found->bytes_read;
    sum->waves += found->waves;
}

static void print_explain(app *a, const dreamdb_result *sum)
{
    static const char *const names[] = {"cells_probed", "cells_read", "candidates", "reranked", "objects_read", "bytes_read", "waves",
                                        "cache_hits", "cache_misses"};
    dreamdb_disk_cache_stats cache;
    size_t count = dreamdb_disk_cache_stats_of(&a->store, &cache) == DREAMDB_OK ? COUNT_OF(names) : COUNT_OF(names) - 2;
    const uint64_t values[] = {sum->cells_probed, sum->cells_read, sum->candidates, sum->reranked, sum->objects_read, sum->bytes_read,
                               sum->waves, cache.hits, cache.misses};
    char number[32];
    out_text(&a->o, a->json ? "{\"explain\":{" : "\n");
    for (size_t i = 0; i < count; i++) {
        if (a->json) {
            json_u64(&a->o, names[i], values[i], i == 0);
        } else {
            out_format(&a->o, "%-12s  %s\n", names[i], grouped(values[i], number));
        }
    }
    out_text(&a->o, a->json ? "}}\n" : "");
}

/* Asks in groups, so that Ctrl-C and a closed pipe are seen between them. */
static int query_run(app *a, dreamdb_query *query, const float *vectors, size_t count, size_t dim, const field_list *list)
{
    enum { GROUP = 1024 };
    dreamdb_result sum, *found = NULL;
    table t;
    int code = EXIT_DONE, heads = 0;          /* heads: the table has its first line */
    memset(&sum, 0, sizeof sum);
    for (size_t done = 0; done < count && !code && !a->o.error; done += query->count) {
        query->vectors = vectors + done * dim;
        query->count = count - done < GROUP ? count - done : GROUP;
        (void)signal(SIGINT, SIG_DFL);        /* a search changes nothing and has no step to stop at: Ctrl-C ends it at once */
        (void)signal(SIGTERM, SIG_DFL);
        dreamdb_status status = dreamdb_search(a->view, query, &found, &a->error);
        if (status) {
            code = fail_status(status, &a->error);
            break;
        }
        if (!a->json && done == 0) {
            table_fields(&t, &a->o, ">query|>rank|>score|>anchor", list);
        }
        heads = 1;
        for (size_t q = 0; q < found->query_count; q++) {
            print_hits(a, found, q, done + q, list, &t);
        }
        add_explain(&sum, found);
        dreamdb_result_free(found);
        code = report(a, "query", done + query->count, count, "queries") ? stopped() : EXIT_DONE;
    }
    if (!a->json && heads) {
        table_end(&t);
    }
    if (!code && option_is(a, OPT_EXPLAIN)) {
        print_explain(a, &sum);
    }
    return code;
}

static int verb_query(app *a)
{
    dreamdb_query query;
    field_list list;
    where_parser parser;
    const dreamdb_field_info *field;
    float *vectors = NULL;
    size_t count = 0;
    memset(&query, 0, sizeof query);
    memset(&list, 0, sizeof list);
    memset(&parser, 0, sizeof parser);
    int code = open_view(a, READ);
    code = code ? code : need_field(a, a->operands[1], strlen(a->operands[1]), &field);
    if (!code && field->kind != DREAMDB_EMBEDDING) {
        code = fail(EXIT_USAGE, "query: field %s is of kind %s: only embeddings are searched (scan --where finds scalars)", field->name,
                    field->kind_text);
    }
    code = code ? code : query_options(a, &query);
    code = code ? code : fields_option(a, &list, 0);
    code = code ? code : where_options(a, &parser, &query.where);
    code = code ? code : query_vectors(a, field, &vectors, &count);
    if (!code) {
        query.field = field->name;
        query.fields = list.names;
        query.field_count = list.count;
        code = query_run(a, &query, vectors, count, field->dim, &list);
    }
    free(vectors);
    where_free(&parser);
    fields_free(&list);
    return code;
}

/* ---- export ---------------------------------------------------------------------------------------------------------- */

typedef enum sink_form { SINK_NPY, SINK_TXT, SINK_CSV, SINK_JSONL, SINK_FOLDER, SINK_ANCHORS, SINK_CONSTANT } sink_form;

/* One file (or folder) that rows go to. */
typedef struct sink {
    sink_form  form;
    char      *path, *temporary;              /* written under a name of its own, renamed when it is complete */
    output        o; int is_open;
    const dreamdb_field_info *field;          /* of the one-field forms */
    size_t     at;                            /* its place in the scan's values */
    const field_list *list;                   /* CSV, JSONL: fields, and their places */
    const size_t *places;
    uint64_t   rows, missing;
} sink;

typedef struct export_job {
    app       *a;
    field_list list;                          /* the scan's fields */
    field_list row_list; size_t *row_places;  /* of --rows */
    field_list *single; size_t *single_places;   /* [sinks], for --column F=FILE.csv */
    sink      *sinks; size_t count;
} export_job;

enum { NPY_HEAD = 128 };                      /* the whole header: room for any row count */

/* The header of an .npy of so many rows; every row count takes the same bytes. */
static void npy_head(char head[NPY_HEAD], const char *type, uint64_t rows_written, uint32_t dim)
{
    char dict[NPY_HEAD - 10 + 1];
    char more[16] = "";
    if (dim > 0) {
        (void)snprintf(more, sizeof more, " %" PRIu32, dim);
    }
    int used = snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRIu64 ",%s), }", type, rows_written,
                        more);
    memcpy(head, "\x93NUMPY\x01\x00", 8);
    head[8] = NPY_HEAD - 10;
    head[9] = 0;
    memset(head + 10, ' ', NPY_HEAD - 10);
    memcpy(head + 10, dict, (size_t)used);
    head[NPY_HEAD - 1] = '\n';
}

static const char *npy_descr(const sink *s)
{
    if (s->form == SINK_ANCHORS) {
        return "<u8";
    }
    switch (s->field->kind) {
    case DREAMDB_EMBEDDING: return "<f4";
    case DREAMDB_FLOAT:     return "<f8";
    case DREAMDB_BOOL:      return "|b1";
    default:                return "<i8";
    }
}

static uint32_t npy_dim(const sink *s)
{
    return s->form == SINK_NPY && s->field->kind == DREAMDB_EMBEDDING ? s->field->dim : 0;
}

/* Opens the file under a temporary name beside its own; a device (/dev/stdout) is written as it is. */
static int sink_open(sink *s)
{
    struct stat st;
    if (s->form == SINK_FOLDER) {
        return mkdir(s->path, 0777) == 0 || errno == EEXIST ? EXIT_DONE : fail_errno(s->path);
    }
    int direct = stat(s->path, &st) == 0 && !S_ISREG(st.st_mode);
    size_t size = strlen(s->path) + 32;
    s->temporary = direct ? NULL : (char *)grow(NULL, size);
    if (s->temporary) {
        (void)snprintf(s->temporary, size, "%s.tmp-%ld", s->path, (long)getpid());
    }
    int fd = open(direct ? s->path : s->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        return fail_errno(s->path);
    }
    out_open(&s->o, fd, s->path);
    s->is_open = 1;
    if (s->form == SINK_NPY || s->form == SINK_ANCHORS) {
        char head[NPY_HEAD];
        npy_head(head, npy_descr(s), 0, npy_dim(s));
        out_bytes(&s->o, head, NPY_HEAD);
        out_background(&s->o);
    }
    return EXIT_DONE;
}

/* Completes the file and gives it its name; after a failure (good 0) it goes. */
static int sink_close(sink *s, int good)
{
    int code = EXIT_DONE;
    if (s->is_open) {
        out_flush(&s->o);
        if (good && !s->o.error && (s->form == SINK_NPY || s->form == SINK_ANCHORS)) {
            char head[NPY_HEAD];
            npy_head(head, npy_descr(s), s->rows, npy_dim(s));
            if (pwrite(s->o.fd, head, NPY_HEAD, 0) != NPY_HEAD && s->temporary) {
                s->o.error = errno ? errno : EIO;
            }
        }
        if (close(s->o.fd) != 0 && !s->o.error) {
            s->o.error = errno;
        }
        if (good && s->o.error) {
            code = fail(EXIT_FAILED, "%s: %s", s->path, strerror(s->o.error));
        }
        if (s->temporary && good && !code && rename(s->temporary, s->path) != 0) {
            code = fail_errno(s->path);
        }
        if (s->temporary && (!good || code)) {
            (void)unlink(s->temporary);
        }
        out_close(&s->o);
    }
    free(s->temporary);
    s->temporary = NULL;
    return code;
}

static void put_le(output *o, uint64_t value, size_t size)
{
    unsigned char raw[8];
    for (size_t i = 0; i < size; i++) {
        raw[i] = (unsigned char)(value >> (8 * i));
    }
    out_bytes(o, raw, size);
}

static void put_floats(output *o, const float *from, size_t count)
{
    if (!big_endian_machine()) {
        out_bytes(o, from, count * sizeof *from);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, &from[i], 4);
        put_le(o, word, 4);
    }
}

static int npy_value(sink *s, const dreamdb_row *row)
{
    const dreamdb_value *v = &row->values[s->at];
    dreamdb_kind kind = s->field->kind;
    uint64_t word;
    double real = v->real;
    if (!v->present && kind != DREAMDB_EMBEDDING && kind != DREAMDB_FLOAT) {
        return fail(EXIT_FAILED, "%s: anchor %" PRIu64 " has no %s: .npy has no empty cells, export to .csv or .jsonl", s->path,
                    row->anchor, s->field->name);
    }
    s->missing += !v->present;
    if (kind == DREAMDB_EMBEDDING) {
        for (uint32_t i = 0; !v->present && i < s->field->dim; i++) {
            put_le(&s->o, 0x7fc00000, 4);     /* NaN */
        }
        if (v->present) {
            put_floats(&s->o, (const float *)v->data, s->field->dim);
        }
    } else if (kind == DREAMDB_FLOAT) {
        memcpy(&word, &real, 8);
        put_le(&s->o, v->present ? word : UINT64_C(0x7ff8000000000000), 8);
    } else {
        put_le(&s->o, (uint64_t)v->integer, kind == DREAMDB_BOOL ? 1 : 8);
    }
    return EXIT_DONE;
}

/* A value as plain text: what --rows and .txt take back. */
static void plain_value(output *o, const dreamdb_value *v, const dreamdb_field_info *field)
{
    char text[40];
    if (field->kind == DREAMDB_FLOAT) {
        out_text(o, real_text(v->real, 0, text));
    } else {
        json_value(o, v, field);
    }
}

static void csv_value(output *o, const dreamdb_value *v, const dreamdb_field_info *field)
{
    if (!v->present) {
        return;
    }
    if (field->kind == DREAMDB_EMBEDDING) {
        out_text(o, "\"");
        json_value(o, v, field);
        out_text(o, "\"");
        return;
    }
    if (!is_text(field->kind)) {
        plain_value(o, v, field);
        return;
    }
    const char *data = (const char *)v->data;
    int quote = v->size == 0;
    for (uint64_t i = 0; i < v->size && !quote; i++) {
        quote = data[i] == ',' || data[i] == '"' || data[i] == '\n' || data[i] == '\r';
    }
    out_text(o, quote ? "\"" : "");
    for (uint64_t i = 0; i < v->size && quote; i++) {
        out_bytes(o, data + i, 1);
        out_bytes(o, "\"", data[i] == '"');
    }
    out_bytes(o, data, quote ? 0 : (size_t)v->size);
    out_text(o, quote ? "\"" : "");
}

static int txt_value(sink *s, const dreamdb_row *row)
{
    const dreamdb_value *v = &row->values[s->at];
    if (!v->present) {
        s->missing++;
    } else if (!is_text(s->field->kind)) {
        plain_value(&s->o, v, s->field);
    } else if (v->size > 0 && (memchr(v->data, '\n', (size_t)v->size) || memchr(v->data, '\r', (size_t)v->size))) {
        return fail(EXIT_FAILED, "%s: anchor %" PRIu64 ": %s holds a line break: export to .csv or .jsonl", s->path, row->anchor,
                    s->field->name);
    } else {
        out_bytes(&s->o, v->data, (size_t)v->size);
    }
    out_text(&s->o, "\n");
    return EXIT_DONE;
}

static void csv_names(sink *s)
{
    dreamdb_value name;
    dreamdb_field_info as_text;
    memset(&name, 0, sizeof name);
    memset(&as_text, 0, sizeof as_text);
    as_text.kind = DREAMDB_STRING;
    name.present = 1;
    out_text(&s->o, "_anchor");
    for (size_t i = 0; i < s->list->count; i++) {
        name.data = s->list->names[i];
        name.size = strlen(s->list->names[i]);
        out_text(&s->o, ",");
        csv_value(&s->o, &name, &as_text);
    }
    out_text(&s->o, "\n");
}

static void rows_value(sink *s, const dreamdb_row *row)
{
    int is_json = s->form == SINK_JSONL;
    out_format(&s->o, is_json ? "{\"_anchor\":%" PRIu64 : "%" PRIu64, row->anchor);
    for (size_t i = 0; i < s->list->count; i++) {
        const dreamdb_value *v = &row->values[s->places[i]];
        if (!is_json) {
            out_text(&s->o, ",");
            csv_value(&s->o, v, s->list->fields[i]);
        } else if (v->present) {
            json_name(&s->o, s->list->names[i], 0);
            json_value(&s->o, v, s->list->fields[i]);
        }
    }
    out_text(&s->o, is_json ? "}\n" : "\n");
}

/* FOLDER/00000000000000000042.jpg: names sort as anchors do. */
static int media_value(app *a, sink *s, const dreamdb_row *row)
{
    const dreamdb_value *v = &row->values[s->at];
    const char *mime = s->field->mime ? s->field->mime : "bin", *end = strcmp(mime, "jpeg") == 0 ? "jpg" : strchr(mime, '/') ? "bin" : mime;
    uint64_t offset = 0;
    int code = EXIT_DONE;
    if (!v->present) {
        s->missing++;
        return EXIT_DONE;
    }
    size_t room = strlen(s->path) + strlen(end) + 32;
    char *path = (char *)grow(NULL, room), *piece = (char *)grow(NULL, PIECE_BYTES);
    (void)snprintf(path, room, "%s/%020" PRIu64 ".%s", s->path, row->anchor, end);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        code = fail_errno(path);
    }
    while (!code && offset < v->size && !interrupted) {
        size_t got = 0;
        dreamdb_status status = dreamdb_media_read(a->view, s->field->name, row->anchor, offset, piece, PIECE_BYTES, &got, &a->error);
        if (status || got == 0) {
            code = status ? fail_status(status, &a->error) : fail(EXIT_CORRUPT, "%s: the payload ends early", path);
        } else {
            int error = write_all(fd, piece, got);
            code = error ? fail(EXIT_FAILED, "%s: %s", path, strerror(error)) : EXIT_DONE;
        }
        offset += got;
    }
    if (fd >= 0 && close(fd) != 0 && !code) {
        code = fail_errno(path);
    }
    free(piece);
    free(path);
    return code ? code : interrupted ? stopped() : EXIT_DONE;
}

static int sink_row(app *a, sink *s, const dreamdb_row *row)
{
    s->rows++;
    switch (s->form) {
    case SINK_NPY:     return npy_value(s, row);
    case SINK_TXT:     return txt_value(s, row);
    case SINK_FOLDER:  return media_value(a, s, row);
    case SINK_ANCHORS: put_le(&s->o, row->anchor, 8); return EXIT_DONE;
    case SINK_CSV:
    case SINK_JSONL:   rows_value(s, row); return EXIT_DONE;
    default:           return EXIT_DONE;
    }
}

static int export_page(void *user, const dreamdb_row *list, size_t count)
{
    export_job *j = (export_job *)user;
    for (size_t i = 0; i < j->count; i++) {
        sink *s = &j->sinks[i];
        int code = EXIT_DONE;
        for (size_t r = 0; r < count && !code; r++) {
            code = sink_row(j->a, s, &list[r]);
        }
        if (!code && s->is_open && s->o.error) {
            code = fail(EXIT_FAILED, "%s: %s", s->path, strerror(s->o.error));
        }
        if (code) {
            return code;
        }
    }
    return EXIT_DONE;
}

/* The place of a field in the scan, which gets it if it is new. */
static size_t export_place(export_job *j, const dreamdb_field_info *field)
{
    for (size_t i = 0; i < j->list.count; i++) {
        if (j->list.fields[i] == field) {
            return i;
        }
    }
    fields_add(&j->list, field);
    return j->list.count - 1;
}

static int sink_choose(sink *s, const char *path)
{
    static const struct { const char *end; sink_form form; } forms[] = {
        {".npy", SINK_NPY}, {".txt", SINK_TXT}, {".csv", SINK_CSV}, {".jsonl", SINK_JSONL}};
    const dreamdb_field_info *f = s->field;
    size_t i = 0;
    if (f->kind == DREAMDB_CONSTANT || is_media(f->kind)) {
        s->form = is_media(f->kind) ? SINK_FOLDER : SINK_CONSTANT;
        return EXIT_DONE;
    }
    while (i < COUNT_OF(forms) && !ends_with(path, forms[i].end)) {
        i++;
    }
    if (f->kind == DREAMDB_KIND_OTHER) {
        return fail(EXIT_FAILED, "export: field %s is of kind %s: this version keeps it, but does not read it", f->name, f->kind_text);
    }
    if (i == COUNT_OF(forms) || (is_text(f->kind) && forms[i].form == SINK_NPY)) {
        return fail(EXIT_USAGE, "export: field %s (%s) does not go into %s: wanted is %s.txt, .csv or .jsonl", f->name, f->kind_text, path,
                    is_text(f->kind) ? "" : ".npy, ");
    }
    s->form = forms[i].form;
    return EXIT_DONE;
}

/* --column FIELD=FILE */
static int export_column(app *a, export_job *j, const char *text)
{
    size_t n = j->count;
    sink *s = &j->sinks[j->count++];
    const char *equals = strchr(text, '=');
    while (equals && !find_field(a, text, (size_t)(equals - text)) && strchr(equals + 1, '=')) {
        equals = strchr(equals + 1, '=');
    }
    if (!equals || !equals[1]) {
        return fail(EXIT_USAGE, "option --column: '%s' is not FIELD=FILE", text);
    }
    int code = need_field(a, text, (size_t)(equals - text), &s->field);
    if (code) {
        return code;
    }
    s->path = copy_text(equals + 1, strlen(equals + 1));
    code = sink_choose(s, s->path);
    if (!code && s->form != SINK_CONSTANT) {
        s->at = export_place(j, s->field);
        fields_add(&j->single[n], s->field);
        j->single_places[n] = s->at;
        s->list = &j->single[n];
        s->places = &j->single_places[n];
    }
    return code;
}

/* --rows FILE.csv|.jsonl: --fields, or every field that is no media. */
static int export_rows(app *a, export_job *j, const char *path)
{
    sink *s = &j->sinks[j->count++];
    field_list wanted;
    int code = fields_option(a, &wanted, 1);
    s->path = copy_text(path, strlen(path));
    s->form = ends_with(path, ".jsonl") ? SINK_JSONL : SINK_CSV;
    if (!code && s->form == SINK_CSV && !ends_with(path, ".csv")) {
        code = fail(EXIT_USAGE, "option --rows: %s: wanted is a .csv or .jsonl file", path);
    }
    for (size_t i = 0; i < wanted.count && !code; i++) {
        if (is_media(wanted.fields[i]->kind) && wanted.given) {
            code = fail(EXIT_USAGE, "export: media go into a folder: --column %s=FOLDER", wanted.names[i]);
        } else if (!is_media(wanted.fields[i]->kind)) {
            fields_add(&j->row_list, wanted.fields[i]);
        }
    }
    j->row_places = (size_t *)grow_array(NULL, j->row_list.count, sizeof *j->row_places);
    for (size_t i = 0; i < j->row_list.count; i++) {
        j->row_places[i] = export_place(j, j->row_list.fields[i]);
    }
    s->list = &j->row_list;
    s->places = j->row_places;
    fields_free(&wanted);
    return code;
}

/* Makes the list of sinks. */
static int export_sinks(app *a, export_job *j)
{
    const char *anchors = option_value(a, OPT_ANCHORS), *path = option_value(a, OPT_ROWS);
    size_t columns = option_count(a, OPT_COLUMN);
    int code = EXIT_DONE;
    j->a = a;
    j->sinks = (sink *)zeroed(columns + 2, sizeof *j->sinks);
    j->single = (field_list *)zeroed(columns + 2, sizeof *j->single);
    j->single_places = (size_t *)zeroed(columns + 2, sizeof *j->single_places);
    for (size_t i = 0; i < columns && !code; i++) {
        code = export_column(a, j, option_at(a, OPT_COLUMN, i));
    }
    code = code || !path ? code : export_rows(a, j, path);
    if (!code && anchors) {
        sink *s = &j->sinks[j->count++];
        s->path = copy_text(anchors, strlen(anchors));
        s->form = SINK_ANCHORS;
        if (!ends_with(anchors, ".npy")) {
            code = fail(EXIT_USAGE, "option --anchors: %s: wanted is a .npy file", anchors);
        }
    }
    if (!code && j->count == 0) {
        code = fail(EXIT_USAGE, "export: no file: add --column FIELD=FILE, --rows FILE or --anchors FILE.npy");
    }
    for (size_t i = 0; i < a->info->field_count && j->list.count == 0 && anchors; i++) {     /* anchors alone: of all fields */
        if (is_readable(&a->info->fields[i])) {
            (void)export_place(j, &a->info->fields[i]);
        }
    }
    return code;
}

static int export_constant(app *a, sink *s)
{
    const void *data;
    size_t size;
    dreamdb_status status = dreamdb_constant(a->view, s->field->name, &data, &size, &a->error);
    if (status) {
        return fail_status(status, &a->error);
    }
    out_bytes(&s->o, data, size);
    return EXIT_DONE;
}

static int export_run(app *a, export_job *j, dreamdb_scan *scan)
{
    int code = EXIT_DONE;
    for (size_t i = 0; i < j->count && !code; i++) {
        sink *s = &j->sinks[i];
        code = sink_open(s);
        if (!code && s->form == SINK_CSV) {
            csv_names(s);
        }
        if (!code && s->form == SINK_CONSTANT) {
            code = export_constant(a, s);
        }
    }
    scan->fields = j->list.names;
    scan->field_count = j->list.count;
    return code || j->list.count == 0 ? code : each_page(a, scan, export_page, j);
}

static void export_print(app *a, const export_job *j)
{
    char text[32];
    for (size_t i = 0; i < j->count; i++) {
        const sink *s = &j->sinks[i];
        if (s->missing > 0 && s->form != SINK_TXT) {
            note("%s: %" PRIu64 " of %" PRIu64 " rows have no %s (%s)", s->path, s->missing, s->rows, s->field->name,
                 s->form == SINK_FOLDER ? "no file" : "NaN");
        }
        if (!a->json) {
            out_format(&a->o, "%s rows to %.300s\n", grouped(s->rows - (s->form == SINK_FOLDER ? s->missing : 0), text), s->path);
            continue;
        }
        out_text(&a->o, "{");
        json_name(&a->o, "file", 1);
        json_string(&a->o, s->path);
        json_u64(&a->o, "rows", s->rows, 0);
        json_u64(&a->o, "missing", s->missing, 0);
        out_text(&a->o, "}\n");
    }
}

static int verb_export(app *a)
{
    export_job j;
    dreamdb_scan scan;
    where_parser parser;
    memset(&j, 0, sizeof j);
    memset(&scan, 0, sizeof scan);
    memset(&parser, 0, sizeof parser);
    int code = open_view(a, READ);
    code = code ? code : scan_options(a, &scan, &parser);
    code = code ? code : export_sinks(a, &j);
    code = code ? code : export_run(a, &j, &scan);
    for (size_t i = 0; i < j.count; i++) {
        int closed = sink_close(&j.sinks[i], !code);
        code = code ? code : closed;
    }
    if (!code) {                                  /* only what is on the disk is called written */
        export_print(a, &j);
    }
    for (size_t i = 0; i < j.count; i++) {
        fields_free(&j.single[i]);
        free(j.sinks[i].path);
    }
    where_free(&parser);
    fields_free(&j.list);
    fields_free(&j.row_list);
    free(j.row_places);
    free(j.single);
    free(j.single_places);
    free(j.sinks);
    return code;
}

/* ---- Verbs about history and health ---------------------------------------------------------------------------------- */

/* "...;operation=append;..." of a writer text. */
static void operation_of(const char *writer, char *text, size_t room)
{
    const char *at = writer ? strstr(writer, "operation=") : NULL;
    size_t size = at ? strcspn(at + 10, ";") : 0;
    (void)snprintf(text, room, "%.*s", (int)(size < room ? size : room - 1), at ? at + 10 : "");
}

typedef struct logger { app *a; table t; uint64_t back, bad; } logger;

static int log_entry(void *user, const dreamdb_log_entry *e)
{
    logger *l = (logger *)user;
    output *o = &l->a->o;
    char text[DREAMDB_ADDRESS_TEXT], when[40], operation[60];
    if (!l->a->json) {
        operation_of(e->writer, operation, sizeof operation);
        table_format(&l->t, "~%" PRIu64, l->back++);
        table_text(&l->t, time_text(e->ts_ns, when));
        table_text(&l->t, operation[0] ? operation : e->writer ? e->writer : "");
        table_format(&l->t, "%zu", e->parent_count);
        table_text(&l->t, address_text(e->manifest, text));
        return interrupted || o->error;
    }
    out_text(o, "{");
    json_address(o, "manifest", e->manifest, 1);
    json_u64(o, "ts_ns", e->ts_ns, 0);
    json_name(o, "writer", 0);
    json_string(o, e->writer ? e->writer : "");
    out_text(o, ",\"parents\":[");
    for (size_t i = 0; i < e->parent_count; i++) {
        out_text(o, i > 0 ? "," : "");
        json_string(o, address_text(e->parents + i * DREAMDB_ADDRESS_SIZE, text));
    }
    out_text(o, "]}\n");
    return interrupted || o->error;
}

/* ---- log --graph: a lane for each state that a line waits for; a cell of two characters each ---- */

typedef struct lane_name { uint8_t manifest[DREAMDB_ADDRESS_SIZE]; char *ref; } lane_name;
typedef struct lanes {
    app *a;
    uint8_t (*wait)[DREAMDB_ADDRESS_SIZE]; size_t count;
    lane_name *names; size_t name_count;
} lanes;

static int take_name(void *user, const char *ref, const uint8_t *address, int is_tag)
{
    lanes *l = (lanes *)user;
    (void)is_tag;
    if (address) {
        l->names = (lane_name *)grow_array(l->names, l->name_count + 1, sizeof *l->names);
        memcpy(l->names[l->name_count].manifest, address, DREAMDB_ADDRESS_SIZE);
        l->names[l->name_count++].ref = copy_text(ref, strlen(ref));
    }
    return 0;
}

/* The first lane at or behind `from` that waits for a state; count if there is none. */
static size_t lane_of(const lanes *l, size_t from, const uint8_t *manifest)
{
    while (from < l->count && memcmp(l->wait[from], manifest, DREAMDB_ADDRESS_SIZE) != 0) {
        from++;
    }
    return from;
}

static void lane_insert(lanes *l, size_t at, const uint8_t *manifest)
{
    l->wait = (uint8_t (*)[DREAMDB_ADDRESS_SIZE])grow_array(l->wait, l->count + 1, sizeof *l->wait);
    memmove(l->wait + at + 1, l->wait + at, (l->count++ - at) * sizeof *l->wait);
    memcpy(l->wait[at], manifest, DREAMDB_ADDRESS_SIZE);
}

static void lane_remove(lanes *l, size_t at)
{
    memmove(l->wait + at, l->wait + at + 1, (--l->count - at) * sizeof *l->wait);
}

/* A line between two states: cell `at` opens a lane to its right, or (close) the lane `close` bends to it. */
static void lane_line(lanes *l, size_t at, size_t close)
{
    output *o = &l->a->o;
    for (size_t i = 0; i < l->count; i++) {
        if (close == 0) {
            out_text(o, i < at ? "| " : i == at ? "|\\" : " \\");
        } else if (i != close) {
            out_text(o, i < at ? "| " : i > close ? " /" : i + 1 == close ? "|/" : "|_");
        }
    }
    out_text(o, "\n");
}

/* Two lanes that wait for one state become one. */
static void lanes_join(lanes *l)
{
    for (size_t i = 0; i < l->count; i++) {
        for (size_t k = lane_of(l, i + 1, l->wait[i]); k < l->count; k = lane_of(l, i + 1, l->wait[i])) {
            lane_line(l, i, k);
            lane_remove(l, k);
        }
    }
}

static void lane_entry(lanes *l, size_t at, const dreamdb_log_entry *e)
{
    output *o = &l->a->o;
    char text[DREAMDB_ADDRESS_TEXT], when[40], operation[60];
    size_t shown = 0;
    for (size_t i = 0; i < l->count; i++) {
        out_text(o, i == at ? "* " : "| ");
    }
    operation_of(e->writer, operation, sizeof operation);
    out_format(o, "%s  %s  ", address_text(e->manifest, text), time_text(e->ts_ns, when));
    out_clean(o, "", operation[0] ? operation : e->writer ? e->writer : "", "");
    for (size_t i = 0; i < l->name_count; i++) {
        if (memcmp(l->names[i].manifest, e->manifest, DREAMDB_ADDRESS_SIZE) == 0) {
            out_format(o, "%s%s", shown++ > 0 ? ", " : "  (", l->names[i].ref);
        }
    }
    out_text(o, shown > 0 ? ")\n" : "\n");
}

static int graph_entry(void *user, const dreamdb_log_entry *e)
{
    lanes *l = (lanes *)user;
    size_t at = lane_of(l, 0, e->manifest);
    if (at == l->count) {
        lane_insert(l, at, e->manifest);
    }
    lane_entry(l, at, e);
    for (size_t p = e->parent_count; p > 1; p--) {           /* the last one farthest to the right */
        lane_line(l, at, 0);
        lane_insert(l, at + 1, e->parents + (p - 1) * DREAMDB_ADDRESS_SIZE);
    }
    if (e->parent_count > 0) {
        memcpy(l->wait[at], e->parents, DREAMDB_ADDRESS_SIZE);
    } else {
        lane_remove(l, at);
    }
    lanes_join(l);
    return interrupted || l->a->o.error;
}

static dreamdb_status print_graph(app *a, uint64_t limit)
{
    lanes l;
    dreamdb_error quiet;
    memset(&l, 0, sizeof l);
    l.a = a;
    (void)dreamdb_refs(&a->config, take_name, &l, &quiet);   /* names are a help: without them the states still stand */
    dreamdb_status status = dreamdb_history(a->view, limit, graph_entry, &l, &a->error);
    for (size_t i = 0; i < l.name_count; i++) {
        free(l.names[i].ref);
    }
    free(l.names);
    free(l.wait);
    return status;
}

static int verb_log(app *a)
{
    logger l;
    uint64_t limit = 0;
    int graph = option_is(a, OPT_GRAPH);
    memset(&l, 0, sizeof l);
    l.a = a;
    int code = open_view(a, READ);
    code = code ? code : option_u64(a, OPT_LIMIT, 1, UINT64_MAX, &limit);
    if (code) {
        return code;
    }
    if (!a->json && !graph) {
        table_open(&l.t, &a->o, ">back|time|operation|>parents|manifest");
    }
    dreamdb_status status = !graph ? dreamdb_log(a->view, limit, log_entry, &l, &a->error)
        : a->json ? dreamdb_history(a->view, limit, log_entry, &l, &a->error) : print_graph(a, limit);
    if (!a->json && !graph) {
        table_end(&l.t);
    }
    if (interrupted) {
        return stopped();
    }
    return !status || (status == DREAMDB_ERR_CANCELLED && a->o.error) ? EXIT_DONE : fail_status(status, &a->error);
}

/* ---- diff ---- */

typedef struct differ { app *a; table t; uint64_t told; } differ;

static void json_diff_count(output *o, const char *name, const dreamdb_diff_count *c)
{
    out_format(o, ",\"%s\":{\"rows\":%" PRIu64 ",\"records\":%" PRIu64 ",\"cells\":%" PRIu64, name, c->rows, c->records, c->cells);
    out_format(o, ",\"objects\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", c->objects, c->bytes);
}

/* "+20 -3", "" where nothing is. */
static void table_change(table *t, const char *mark, uint64_t added, uint64_t removed)
{
    char plus[32] = "", minus[32] = "";
    if (added > 0) {
        (void)snprintf(plus, sizeof plus, "+%s%" PRIu64, mark, added);
    }
    if (removed > 0) {
        (void)snprintf(minus, sizeof minus, "%s-%s%" PRIu64, added > 0 ? " " : "", mark, removed);
    }
    table_format(t, "%s%s", plus, minus);
}

static int print_diff_field(void *user, const dreamdb_diff_field *f)
{
    static const char *const changes[] = {"same", "rows", "definition", "added", "removed"};
    differ *d = (differ *)user;
    output *o = &d->a->o;
    if (d->a->json) {
        out_text(o, d->told++ > 0 ? ",{\"field\":" : "{\"field\":");
        json_string(o, f->field);
        out_format(o, ",\"kind\":\"%s\",\"change\":\"%s\"", kind_name(f->kind), changes[f->change]);
        json_flag(o, "exact", f->exact);
        json_flag(o, "rows_known", f->rows_known);
        json_diff_count(o, "added", &f->added);
        json_diff_count(o, "removed", &f->removed);
        out_text(o, "}");
    } else if (f->change != DREAMDB_DIFF_SAME) {
        d->told++;
        table_text(&d->t, f->field);
        table_text(&d->t, changes[f->change]);
        if (f->rows_known) {
            table_change(&d->t, f->exact ? "" : "~", f->added.records, f->removed.records);
            table_change(&d->t, "", f->added.cells, f->removed.cells);
            table_change(&d->t, "", f->added.objects, f->removed.objects);
            table_change(&d->t, "", f->added.bytes, f->removed.bytes);
        } else {
            for (int i = 0; i < 4; i++) {
                table_text(&d->t, "?");
            }
        }
    }
    return interrupted || o->error;
}

/* Opens the second state of a diff on the handle of the first. */
static int open_other(app *a, const char *text, dreamdb_snapshot **other)
{
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    const dreamdb_info *info = NULL;
    const char *state = NULL;
    char *ref = copy_text(text, strlen(text)), address[DREAMDB_ADDRESS_TEXT];
    int code = text[0] == '@' || text[0] == '~' ? EXIT_DONE : split_ref(text, ref, &state);
    dreamdb_status status = DREAMDB_OK;
    if (!code && (text[0] == '@' || text[0] == '~' || !ref[0])) {
        status = dreamdb_snapshot_open(a->db, ref[0] ? text : state, other, &a->error);
    } else if (!code) {
        status = dreamdb_open(&a->config, ref, &db, &a->error);
        status = status ? status : dreamdb_snapshot_open(db, state, &view, &a->error);
        status = status ? status : dreamdb_snapshot_info(view, &info, &a->error);
        status = status ? status : dreamdb_snapshot_open(a->db, address_text(info->manifest, address), other, &a->error);
    }
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    free(ref);
    return code ? code : status ? fail_status(status, &a->error) : EXIT_DONE;
}

static void print_diff_end(app *a, differ *d, const dreamdb_diff_report *r)
{
    char many[32];
    if (a->json) {
        out_format(&a->o, "],\"tombstones_added\":%" PRIu64 ",\"tombstones_removed\":%" PRIu64 ",\"keys\":%" PRIu64, r->tombstones_added,
                   r->tombstones_removed, r->keys);
        out_format(&a->o, ",\"pages_read\":%" PRIu64 ",\"pages_skipped\":%" PRIu64 "}\n", r->pages_read, r->pages_skipped);
        return;
    }
    if (d->told > 0) {
        table_end(&d->t);
    }
    if (r->tombstones_added > 0) {
        out_format(&a->o, "%s more anchor%s deleted\n", grouped(r->tombstones_added, many), r->tombstones_added == 1 ? "" : "s");
    }
    if (r->tombstones_removed > 0) {
        out_format(&a->o, "%s fewer anchor%s deleted\n", grouped(r->tombstones_removed, many), r->tombstones_removed == 1 ? "" : "s");
    }
    if (r->keys > 0) {
        out_format(&a->o, "%s registry key%s differ%s\n", grouped(r->keys, many), r->keys == 1 ? "" : "s", r->keys == 1 ? "s" : "");
    }
    if (d->told == 0 && r->tombstones_added + r->tombstones_removed + r->keys == 0) {
        out_text(&a->o, "the same rows, fields and keys\n");
    }
}

static int verb_diff(app *a)
{
    differ d;
    dreamdb_diff_report report;
    dreamdb_snapshot *other = NULL;
    const dreamdb_info *info = NULL;
    memset(&d, 0, sizeof d);
    d.a = a;
    int code = open_view(a, READ);
    code = code ? code : open_other(a, a->operands[1], &other);
    if (code) {
        return code;
    }
    dreamdb_status status = dreamdb_snapshot_info(other, &info, &a->error);
    if (!status && a->json) {
        out_text(&a->o, "{");
        json_address(&a->o, "from", a->info->manifest, 1);
        json_address(&a->o, "to", info->manifest, 0);
        out_text(&a->o, ",\"fields\":[");
    } else if (!status) {
        table_open(&d.t, &a->o, "field|change|>records|>cells|>objects|>bytes");
    }
    status = status ? status : dreamdb_diff(a->view, other, print_diff_field, &d, &report, &a->error);
    if (!status) {
        print_diff_end(a, &d, &report);
    }
    dreamdb_snapshot_close(other);
    buffer_free(&d.t.text);
    return status && !a->o.error ? fail_status(status, &a->error) : EXIT_DONE;
}

static int print_ref(void *user, const char *ref, const uint8_t *address, int is_tag)
{
    logger *l = (logger *)user;
    output *o = &l->a->o;
    char text[DREAMDB_ADDRESS_TEXT];
    if (!address) {
        (void)fail(EXIT_CORRUPT, "refs/%s is malformed, neither an address nor a snapshot tag: `dreamdb delete-ref '%s'` removes it",
                   ref, ref);
        l->bad++;
        return o->error != 0;
    }
    if (!l->a->json) {
        table_text(&l->t, ref);
        table_text(&l->t, is_tag ? "tag" : strchr(ref, '@') ? "snapshot" : "branch");
        table_text(&l->t, address_text(address, text));
        return o->error != 0;
    }
    out_text(o, "{");
    json_name(o, "ref", 1);
    json_string(o, ref);
    json_address(o, "manifest", address, 0);
    out_format(o, ",\"tag\":%s}\n", is_tag ? "true" : "false");
    return o->error != 0;
}

static int verb_refs(app *a)
{
    logger l;
    memset(&l, 0, sizeof l);
    l.a = a;
    int code = open_store(a, READ);
    if (code) {
        return code;
    }
    if (!a->json) {
        table_open(&l.t, &a->o, "ref|kind|manifest");
    }
    dreamdb_status status = dreamdb_refs(&a->config, print_ref, &l, &a->error);
    if (!a->json) {
        table_end(&l.t);
    }
    return !status || a->o.error ? EXIT_DONE : l.bad > 0 && status == DREAMDB_ERR_CORRUPT ? EXIT_CORRUPT : fail_status(status, &a->error);
}

typedef struct faults { app *a; buffer json; uint64_t count; } faults;

/* A fault: printed at once for people, kept for the JSON object. */
static int take_fault(void *user, const dreamdb_fault_report *fault)
{
    faults *f = (faults *)user;
    output o;
    if (!f->a->json) {
        table t;
        table_open(&t, &f->a->o, "FAULT");
        t.columns = 4;
        t.at = 1;
        t.rows = 0;
        table_text(&t, dreamdb_status_name(fault->status));
        table_text(&t, fault->path ? fault->path : "");
        table_text(&t, fault->message ? fault->message : "");
        table_end(&t);
        return interrupted != 0;
    }
    out_open(&o, -1, "");
    out_text(&o, f->count++ > 0 ? ",{" : "{");
    json_name(&o, "status", 1);
    json_string(&o, dreamdb_status_name(fault->status));
    json_name(&o, "path", 0);
    json_string(&o, fault->path ? fault->path : "");
    json_name(&o, "message", 0);
    json_string(&o, fault->message ? fault->message : "");
    out_text(&o, "}");
    buffer_add(&f->json, o.data, o.used);
    out_close(&o);
    return interrupted != 0;
}

static int verb_verify(app *a)
{
    faults f;
    dreamdb_verify_report done;
    const char *history = option_value(a, OPT_HISTORY);
    uint64_t depth = 0;
    char objects[32], size[32];
    memset(&f, 0, sizeof f);
    memset(&done, 0, sizeof done);
    f.a = a;
    int code = open_view(a, READ);
    if (history && strcmp(history, "all") == 0) {
        depth = UINT64_MAX;
    } else {
        code = code ? code : option_u64(a, OPT_HISTORY, 0, UINT64_MAX, &depth);
    }
    dreamdb_status status = code ? DREAMDB_OK : dreamdb_verify(a->view, depth, take_fault, &f, &done, &a->error);
    if (!code && status) {
        code = fail_status(status, &a->error);
    } else if (!code && a->json) {
        out_format(&a->o, "{\"objects\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"manifests\":%" PRIu64 ",\"ancestors_gone\":%" PRIu64
                   ",\"faults\":[", done.objects, done.bytes, done.manifests, done.ancestors_gone);
        out_bytes(&a->o, f.json.data, f.json.used);
        out_text(&a->o, "]}\n");
    } else if (!code) {
        out_format(&a->o, "verified %s objects, %s, ", grouped(done.objects, objects), size_text(done.bytes, size));
        out_format(&a->o, "of %" PRIu64 " Manifest%s: ", done.manifests, done.manifests == 1 ? "" : "s");
        if (done.ancestors_gone > 0) {
            out_format(&a->o, "%" PRIu64 " older indexes are gone (no fault); ", done.ancestors_gone);
        }
        out_format(&a->o, done.faults == 0 ? "no fault\n" : "%" PRIu64 " fault%s\n", done.faults, done.faults == 1 ? "" : "s");
    }
    buffer_free(&f.json);
    if (!code && done.faults > 0) {
        out_flush(&a->o);
        code = fail(EXIT_CORRUPT, "%s: %" PRIu64 " fault%s: restore the objects named from a copy", a->operands[0], done.faults,
                    done.faults == 1 ? "" : "s");
    }
    return code;
}

static void stats_json(app *a, const dreamdb_stats *s)
{
    output *o = &a->o;
    out_text(o, "{\"fields\":[");
    for (size_t i = 0; i < s->field_count; i++) {
        const dreamdb_field_stats *f = &s->fields[i];
        out_text(o, i > 0 ? ",{" : "{");
        json_name(o, "field", 1);
        json_string(o, f->field);
        json_u64(o, "rows", f->rows, 0);
        json_u64(o, "records", f->records, 0);
        json_u64(o, "objects", f->objects, 0);
        json_u64(o, "bytes", f->bytes, 0);
        json_u64(o, "cells", f->cells, 0);
        json_u64(o, "fragments_max", f->fragments_max, 0);
        json_flag(o, "paged", f->paged);
        json_u64(o, "pages", f->pages, 0);
        if (f->hot > 0) {
            json_u64(o, "hot", f->hot, 0);
        }
        out_text(o, "}");
    }
    out_text(o, "],\"classes\":[");
    for (size_t i = 0; i < s->class_count; i++) {
        out_text(o, i > 0 ? ",{" : "{");
        json_name(o, "class", 1);
        json_string(o, s->classes[i].name);
        json_u64(o, "objects", s->classes[i].objects, 0);
        json_u64(o, "bytes", s->classes[i].bytes, 0);
        out_text(o, "}");
    }
    out_text(o, "]");
    json_u64(o, "tombstones", s->tombstones, 0);
    json_u64(o, "manifests", s->manifests, 0);
    out_text(o, "}\n");
}

static int verb_stats(app *a)
{
    const dreamdb_stats *s = NULL;
    table t;
    char text[32];
    int code = open_view(a, READ);
    dreamdb_status status = code ? DREAMDB_OK : dreamdb_snapshot_stats(a->view, &s, &a->error);
    if (code || status) {
        return code ? code : fail_status(status, &a->error);
    }
    if (a->json) {
        stats_json(a, s);
        return EXIT_DONE;
    }
    table_open(&t, &a->o, "field|>records|>rows|>objects|>size|>cells|>fragments|track");
    for (size_t i = 0; i < s->field_count; i++) {
        const dreamdb_field_stats *f = &s->fields[i];
        table_text(&t, f->field);
        table_text(&t, grouped(f->records, text));
        table_text(&t, grouped(f->rows, text));
        table_text(&t, grouped(f->objects, text));
        table_text(&t, size_text(f->bytes, text));
        table_format(&t, f->cells > 0 ? "%" PRIu64 : "-", f->cells);
        table_format(&t, f->fragments_max > 0 ? "%" PRIu64 : "-", f->fragments_max);
        char hot[64] = "", waiting[32];
        if (f->hot > 0) {
            (void)snprintf(hot, sizeof hot, ", and %s hot", grouped(f->hot, waiting));
        }
        if (f->paged) {
            table_format(&t, "paged, %s%s", grouped(f->pages, text), hot);
        } else {
            table_format(&t, "inline%s", hot);
        }
    }
    table_end(&t);
    out_text(&a->o, "\n");
    table_open(&t, &a->o, "objects of|>count|>size");
    for (size_t i = 0; i < s->class_count; i++) {
        if (s->classes[i].objects == 0) {
            continue;
        }
        table_text(&t, s->classes[i].name);
        table_text(&t, grouped(s->classes[i].objects, text));
        table_text(&t, size_text(s->classes[i].bytes, text));
    }
    table_end(&t);
    out_format(&a->o, "\n%s deleted anchors\n", grouped(s->tombstones, text));
    return EXIT_DONE;
}

/* ---- Ada-IVF --------------------------------------------------------------------------------------------------------- */

static void json_number(output *o, const char *name, double value)
{
    json_name(o, name, 0);
    json_real(o, value, 0);
}

static const char *index_name(dreamdb_index_kind kind)
{
    return kind == DREAMDB_INDEX_IVF ? "ivf" : kind == DREAMDB_INDEX_IMI ? "imi" : kind == DREAMDB_INDEX_LSH_L2 ? "lsh-l2" : "lsh";
}

static void balance_json(output *o, const dreamdb_ada_balance *b)
{
    out_text(o, "{");
    json_name(o, "index", 1);
    json_string(o, index_name(b->index));
    json_u64(o, "k", b->k, 0);
    json_u64(o, "k_cap", b->k_cap, 0);
    json_u64(o, "records", b->records, 0);
    json_u64(o, "buckets", b->buckets, 0);
    json_u64(o, "populated", b->populated, 0);
    json_u64(o, "largest", b->largest, 0);
    json_u64(o, "overpopulated", b->hot, 0);
    json_u64(o, "underpopulated", b->cold, 0);
    json_u64(o, "fragmented", b->fragmented, 0);
    json_u64(o, "fragments_max", b->fragments_max, 0);
    json_number(o, "mean", b->mean);
    json_number(o, "cv", b->cv);
    json_flag(o, "balanced", b->balanced);
    out_text(o, ",\"unsplittable\":[");
    for (size_t i = 0; i < b->unsplittable_count; i++) {
        out_format(o, "%s%" PRIu32, i > 0 ? "," : "", b->unsplittable[i]);
    }
    out_text(o, "]");
    json_u64(o, "splits", b->splits, 0);
    json_u64(o, "merges", b->merges, 0);
    json_u64(o, "generations", b->generations, 0);
    json_u64(o, "tombstones", b->tombstones, 0);
    json_u64(o, "reclaimable_max", b->reclaimable_max, 0);
    if (b->deep) {
        json_u64(o, "deleted", b->deleted, 0);
        json_u64(o, "reclaimable", b->reclaimable, 0);
    }
    if (b->sampled > 0) {
        json_u64(o, "sampled", b->sampled, 0);
        json_u64(o, "moved", b->moved, 0);
    }
    out_text(o, "}\n");
}

static void print_balance(output *o, const dreamdb_ada_balance *b)
{
    char text[32];
    out_format(o, "%s records in ", grouped(b->records, text));
    out_format(o, "%s cells (%s): ", grouped(b->k, text), index_name(b->index));
    out_format(o, "mean %.1f, largest %" PRIu64 ", cv %.2f; the cap is %" PRIu64 " cells\n", b->mean, b->largest, b->cv, b->k_cap);
    out_format(o, "%" PRIu64 " populated, %" PRIu64 " overpopulated, %" PRIu64 " underpopulated; ", b->populated, b->hot, b->cold);
    out_format(o, "%s buckets, %" PRIu64 " cells with several, at most %" PRIu64 "\n", grouped(b->buckets, text), b->fragmented,
               b->fragments_max);
    for (size_t i = 0; i < b->unsplittable_count; i++) {
        out_format(o, "%s%" PRIu32 "%s", i == 0 ? "unsplittable (nearly equal vectors), left out of the cv: " : ", ", b->unsplittable[i],
                   i + 1 == b->unsplittable_count ? "\n" : "");
    }
    out_format(o, "%s deleted anchors, ", grouped(b->tombstones, text));
    if (b->deep) {
        out_format(o, "%" PRIu64 " of their records here, %s\n", b->deleted, size_text(b->reclaimable, text));
    } else {
        out_format(o, "at most %s of their records here (--deep counts)\n", size_text(b->reclaimable_max, text));
    }
    if (b->sampled > 0) {
        out_format(o, "%" PRIu64 " of %" PRIu64 " sampled records (%.2f%%) are nearer to another cell\n", b->moved, b->sampled,
                   100.0 * (double)b->moved / (double)b->sampled);
    }
    if (b->generations > 1) {
        out_format(o, "buckets under %" PRIu64 " generations of the index: the reference can search it after ada-ivf-step --relineage\n",
                   b->generations);
    }
    if (b->splits + b->merges > 0) {
        out_format(o, "a step would split %" PRIu64 " and merge %" PRIu64 " cells: %s\n", b->splits, b->merges,
                   b->balanced ? "not urgent, they are balanced" : "run ada-ivf-step");
    } else {
        out_text(o, b->index == DREAMDB_INDEX_IVF ? "nothing to do\n"
                 : "cells of this index are not split: rebuild-ivf trains it anew when it is slow\n");
    }
}

static int verb_ada_status(app *a)
{
    dreamdb_ada_status_desc desc;
    dreamdb_ada_balance balance;
    memset(&desc, 0, sizeof desc);
    desc.field = option_value(a, OPT_FIELD);
    desc.deep = option_is(a, OPT_DEEP);
    int code = option_u64(a, OPT_SAMPLE, 1, UINT64_MAX, &desc.sample);
    code = code ? code : open_view(a, READ);
    dreamdb_status status = code ? DREAMDB_OK : dreamdb_ada_status(a->view, &desc, &balance, &a->error);
    if (code || status) {
        return code ? code : fail_usage(status, &a->error);
    }
    if (a->json) {
        balance_json(&a->o, &balance);
    } else {
        print_balance(&a->o, &balance);
    }
    return EXIT_DONE;
}

/* The members of a step, after what stands there already. */
static void step_members(output *o, const dreamdb_ada_step_report *r, int dry, int first)
{
    static const char *const outcomes[] = {"nothing", "marked", "made"};
    json_name(o, "outcome", first);
    json_string(o, outcomes[r->outcome]);
    json_flag(o, "dry_run", dry);
    json_u64(o, "k_before", r->k_before, 0);
    json_u64(o, "k_after", r->k_after, 0);
    json_u64(o, "k_cap", r->k_cap, 0);
    json_u64(o, "records", r->records, 0);
    json_u64(o, "splits", r->splits, 0);
    json_u64(o, "merges", r->merges, 0);
    json_u64(o, "created", r->created, 0);
    json_u64(o, "renamed", r->renamed, 0);
    json_u64(o, "centred", r->centred, 0);
    json_u64(o, "marked", r->marked, 0);
    json_u64(o, "relineaged", r->relineaged, 0);
    json_u64(o, "cells_read", r->cells_read, 0);
    json_u64(o, "cells_written", r->cells_written, 0);
    json_u64(o, "records_read", r->records_read, 0);
    json_u64(o, "records_moved", r->records_moved, 0);
    json_u64(o, "records_dropped", r->records_dropped, 0);
    json_u64(o, "buckets_read", r->buckets_read, 0);
    json_u64(o, "buckets_written", r->buckets_written, 0);
    json_number(o, "cv_before", r->cv_before);
    json_number(o, "cv_after", r->cv_after);
    json_u64(o, "generations", r->generations, 0);
    json_u64(o, "replays", r->replays, 0);
    json_u64(o, "records_carried", r->records_carried, 0);
    json_u64(o, "objects", r->objects, 0);
    json_u64(o, "bytes", r->bytes, 0);
    json_address(o, "index", r->index, 0);
    json_address(o, "manifest", r->manifest, 0);
}

static void step_json(app *a, const dreamdb_ada_step_report *r, int dry)
{
    out_text(&a->o, "{");
    step_members(&a->o, r, dry, 1);
    out_text(&a->o, "}\n");
}

static void print_step(app *a, const dreamdb_ada_step_report *r, int dry)
{
    char text[DREAMDB_ADDRESS_TEXT], size[32];
    if (dry) {
        out_format(&a->o, "would split %" PRIu64 " and merge %" PRIu64 " of %" PRIu64 " cells (the cap is %" PRIu64 "); cv %.2f\n",
                   r->splits, r->merges, r->k_before, r->k_cap, r->cv_before);
        return;
    }
    if (r->outcome == DREAMDB_ADA_NOTHING) {
        out_format(&a->o, "%.200s is balanced: %" PRIu64 " cells, cv %.2f; nothing to do\n", a->operands[0], r->k_before, r->cv_before);
        return;
    }
    out_format(&a->o, "split %" PRIu64 " and merged %" PRIu64 " cells: %" PRIu64 " became %" PRIu64 " (the cap is %" PRIu64 ")", r->splits,
               r->merges, r->k_before, r->k_after, r->k_cap);
    out_format(&a->o, ", cv %.2f became %.2f\n", r->cv_before, r->cv_after);
    if (r->marked > 0) {
        out_format(&a->o, "%" PRIu64 " cell%s of nearly equal vectors cannot be split\n", r->marked, r->marked == 1 ? "" : "s");
    }
    out_format(&a->o, "read %" PRIu64 " cells, wrote %" PRIu64 "; %" PRIu64 " records moved, ", r->cells_read, r->cells_written,
               r->records_moved);
    out_format(&a->o, "%" PRIu64 " deleted ones dropped; %" PRIu64 " objects, %s\n", r->records_dropped, r->objects,
               size_text(r->bytes, size));
    if (r->generations > 1) {
        out_format(&a->o, "buckets lie under %" PRIu64 " generations of the index: the reference can search it after --relineage\n",
                   r->generations);
    }
    out_format(&a->o, "stepped %.200s: Manifest %s\n", a->operands[0], address_text(r->manifest, text));
}

/* ---- A step by many machines ---- */

typedef enum job_stage { JOB_NONE, JOB_PLAN, JOB_WORK, JOB_FINISH } job_stage;

/* Which stage the options name. */
static int job_of(app *a, job_stage *stage, dreamdb_shard_desc *desc)
{
    int shard = option_value(a, OPT_SHARD) != NULL, of = option_value(a, OPT_OF) != NULL;
    desc->propose = option_is(a, OPT_PROPOSE);
    int plan = option_is(a, OPT_ORCHESTRATE), finish = option_is(a, OPT_FINISH);
    const char *wait = option_value(a, OPT_WAIT), *expires = option_value(a, OPT_EXPIRES);
    desc->job = option_value(a, OPT_JOB_ID);
    if (!desc->job) {
        return shard || of || plan || finish || wait || expires || desc->propose
            ? fail(EXIT_USAGE, "ada-ivf-step: a step by many machines needs --job-id JOB, the same for all of them") : EXIT_DONE;
    }
    if (shard + plan != 1 || shard != of || (finish && !plan)) {
        return fail(EXIT_USAGE, "ada-ivf-step --job-id: say --orchestrate (first), --shard N --of M (each N once), or "
                    "--orchestrate --finish");
    }
    if (wait && !parse_duration(wait, &desc->wait_ns)) {
        return fail(EXIT_USAGE, "option --wait: '%s' is no duration such as 90s, 30m or 2h", wait);
    }
    if (expires && (!parse_duration(expires, &desc->expires_ns) || desc->expires_ns == 0)) {
        return fail(EXIT_USAGE, "option --expires: '%s' is no duration such as 12h or 7d", expires);
    }
    *stage = shard ? JOB_WORK : finish ? JOB_FINISH : JOB_PLAN;
    int code = shard ? option_u32(a, OPT_OF, 1, &desc->of) : EXIT_DONE;
    code = code || !shard ? code : option_u32(a, OPT_SHARD, 0, &desc->shard);
    return !code && shard && desc->shard >= desc->of
        ? fail(EXIT_USAGE, "--shard %" PRIu32 " --of %" PRIu32 ": shares count from 0 to %" PRIu32, desc->shard, desc->of, desc->of - 1)
        : code;
}

/* --exact and the like are said once, to the plan: a share that said them too might say others. */
static int job_options(app *a, job_stage stage)
{
    static const struct { int id; const char *name; } ones[] = {
        {OPT_K_MAX, "--k-max"}, {OPT_MAX_CELLS, "--max-cells"}, {OPT_MAX_READ, "--max-read-bytes"}, {OPT_NEIGHBOURS, "--neighbours"},
        {OPT_ITERATIONS, "--iterations"}, {OPT_EXACT, "--exact"}, {OPT_RELINEAGE, "--relineage"}, {OPT_ALLOW_LOSSY, "--allow-lossy"},
        {OPT_FORCE, "--force"}, {OPT_NO_CENTRE, "--no-centre"}, {OPT_DRY_RUN, "--dry-run"}, {OPT_PROPOSE, "--propose"},
        {OPT_FIELD, "--field"}, {OPT_EXPIRES, "--expires"}};
    for (size_t i = 0; i < COUNT_OF(ones); i++) {
        if (stage != JOB_PLAN && (option_value(a, ones[i].id) || option_is(a, ones[i].id))) {
            return fail(EXIT_USAGE, "ada-ivf-step: %s belongs to the plan (--orchestrate without --finish)", ones[i].name);
        }
    }
    return EXIT_DONE;
}

static void job_json(app *a, job_stage stage, const dreamdb_shard_desc *desc, const dreamdb_shard_report *r, int dry)
{
    static const char *const names[] = {"", "planned", "worked", "finished"};
    output *o = &a->o;
    out_text(o, "{");
    json_name(o, "job", 1);
    json_string(o, desc->job);
    json_name(o, "stage", 0);
    json_string(o, r->opened ? stage == JOB_PLAN ? "opened" : "proposed" : names[stage]);
    json_flag(o, "again", r->again);
    json_address(o, "base", r->base, 0);
    json_u64(o, "cells", r->cells, 0);
    json_u64(o, "cells_done", r->cells_done, 0);
    json_u64(o, "cell_bytes", r->bytes, 0);
    if (stage == JOB_WORK) {
        json_u64(o, "shard", desc->shard, 0);
        json_u64(o, "of", desc->of, 0);
    }
    if (stage == JOB_FINISH) {
        json_flag(o, "rebased", r->rebased);
        json_u64(o, "parts", r->parts, 0);
    }
    step_members(o, &r->step, dry, 0);
    out_text(o, "}\n");
}

static void print_job(app *a, job_stage stage, const dreamdb_shard_desc *desc, const dreamdb_shard_report *r, int dry)
{
    output *o = &a->o;
    char size[32];
    if (stage == JOB_FINISH && !r->again) {
        print_step(a, &r->step, 0);
        if (r->rebased) {
            out_format(o, "%.200s had moved meanwhile: both are merged\n", a->operands[0]);
        }
    } else if (stage == JOB_FINISH) {
        out_format(o, "job %s had ended already\n", desc->job);
    } else if (r->opened && stage == JOB_PLAN) {
        out_format(o, "job %s opened: %" PRIu64 " of %" PRIu64 " hot cells have a proposal; run the shares, then this again\n", desc->job,
                   r->cells_done, r->cells);
    } else if (r->opened) {
        out_format(o, "job %s: share %" PRIu32 " of %" PRIu32 " has proposed how %" PRIu64 " hot cells are split; the plan comes next\n",
                   desc->job, desc->shard, desc->of, r->cells_done);
    } else if (stage == JOB_WORK && r->again) {
        out_format(o, "job %s: share %" PRIu32 " of %" PRIu32 " was there already\n", desc->job, desc->shard, desc->of);
    } else if (stage == JOB_WORK) {
        out_format(o, "job %s: share %" PRIu32 " of %" PRIu32 ": %" PRIu64 " of %" PRIu64 " cells, %s read", desc->job, desc->shard,
                   desc->of, r->cells_done, r->cells, size_text(r->bytes, size));
        out_format(o, "; wrote %" PRIu64 " objects, %s\n", r->step.objects, size_text(r->step.bytes, size));
    } else if (dry) {
        print_step(a, &r->step, 1);
    } else {
        out_format(o, "job %s %s: splits %" PRIu64 " and merges %" PRIu64 " cells; ", desc->job,
                   r->again ? "is there" : "planned", r->step.splits, r->step.merges);
        out_format(o, "%" PRIu64 " cells are placed anew%s%s\n", r->cells, r->again ? "" : ", ", r->again ? "" : size_text(r->bytes, size));
    }
}

static int run_job(app *a, job_stage stage, dreamdb_shard_desc *desc, const dreamdb_ada_step_desc *step)
{
    dreamdb_shard_report report;
    memset(&report, 0, sizeof report);
    desc->step = step;
    int code = job_options(a, stage);
    code = code ? code : open_view(a, WRITE);
    if (code) {
        return code;
    }
    dreamdb_status status = stage == JOB_PLAN ? dreamdb_shard_plan(a->db, desc, &report, &a->error)
        : stage == JOB_WORK ? dreamdb_shard_work(a->db, desc, &report, &a->error) : dreamdb_shard_finish(a->db, desc, &report, &a->error);
    if (status) {
        return fail_usage(status, &a->error);
    }
    if (a->json) {
        job_json(a, stage, desc, &report, step->dry_run);
    } else {
        print_job(a, stage, desc, &report, step->dry_run);
    }
    return EXIT_DONE;
}

static int verb_ada_step(app *a)
{
    dreamdb_ada_step_desc desc;
    dreamdb_ada_step_report report;
    dreamdb_shard_desc shard;
    job_stage stage = JOB_NONE;
    const char *bytes = option_value(a, OPT_MAX_READ);
    memset(&desc, 0, sizeof desc);
    memset(&shard, 0, sizeof shard);
    desc.field = option_value(a, OPT_FIELD);
    desc.exact = option_is(a, OPT_EXACT);
    desc.relineage = option_is(a, OPT_RELINEAGE);
    desc.allow_lossy = option_is(a, OPT_ALLOW_LOSSY);
    desc.dry_run = option_is(a, OPT_DRY_RUN);
    desc.force = option_is(a, OPT_FORCE);
    desc.no_centre = option_is(a, OPT_NO_CENTRE);
    int code = option_u64(a, OPT_K_MAX, 1, UINT32_MAX - 1, &desc.k_max);
    code = code ? code : option_u64(a, OPT_MAX_CELLS, 1, UINT32_MAX - 1, &desc.max_cells);
    code = code ? code : option_u32(a, OPT_ITERATIONS, 1, &desc.iterations);
    code = code ? code : option_u32(a, OPT_NEIGHBOURS, 1, &desc.neighbours);
    if (!code && bytes && !parse_size(bytes, &desc.max_read_bytes)) {
        code = fail(EXIT_USAGE, "option --max-read-bytes: '%s' is no size, such as 64M", bytes);
    }
    code = code ? code : job_of(a, &stage, &shard);
    if (!code && stage != JOB_NONE) {
        return run_job(a, stage, &shard, &desc);
    }
    code = code ? code : open_view(a, WRITE);
    dreamdb_status status = code ? DREAMDB_OK : dreamdb_ada_step(a->db, &desc, &report, &a->error);
    if (code || status) {
        return code ? code : fail_usage(status, &a->error);
    }
    if (a->json) {
        step_json(a, &report, desc.dry_run);
    } else {
        print_step(a, &report, desc.dry_run);
    }
    return EXIT_DONE;
}

static void rebuild_json(app *a, const dreamdb_rebuild_report *r, int dry)
{
    output *o = &a->o;
    out_text(o, "{");
    json_name(o, "outcome", 1);
    json_string(o, dry ? "planned" : r->replays > 0 ? "merged" : "made");
    json_u64(o, "k_before", r->k_before, 0);
    json_u64(o, "k_after", r->k_after, 0);
    json_u64(o, "records", r->records, 0);
    json_u64(o, "live", r->live, 0);
    json_u64(o, "sampled", r->sampled, 0);
    json_u64(o, "records_placed", r->records_placed, 0);
    json_u64(o, "records_dropped", r->records_dropped, 0);
    json_u64(o, "records_losing", r->records_losing, 0);
    json_u64(o, "buckets_read", r->buckets_read, 0);
    json_u64(o, "buckets_written", r->buckets_written, 0);
    json_u64(o, "populated", r->populated, 0);
    json_u64(o, "readings", r->readings, 0);
    json_u64(o, "runs", r->runs, 0);
    json_u64(o, "run_bytes", r->run_bytes, 0);
    json_number(o, "cv_before", r->cv_before);
    json_number(o, "cv_after", r->cv_after);
    json_u64(o, "objects", r->objects, 0);
    json_u64(o, "bytes", r->bytes, 0);
    json_u64(o, "replays", r->replays, 0);
    json_address(o, "index", r->index, 0);
    json_address(o, "manifest", r->manifest, 0);
    out_text(o, "}\n");
}

static void print_rebuild(app *a, const dreamdb_rebuild_report *r, int dry)
{
    char n[3][32], size[32], text[DREAMDB_ADDRESS_TEXT];
    if (dry) {
        out_format(&a->o, "would train about %s cells on %s of %s records", grouped(r->k_after, n[0]), grouped(r->sampled, n[1]),
                   grouped(r->records, n[2]));
        out_format(&a->o, " and place them all; now %s cells, cv %.2f\n", grouped(r->k_before, n[0]), r->cv_before);
        return;
    }
    out_format(&a->o, "%s cells became %s, trained on %s records; ", grouped(r->k_before, n[0]), grouped(r->k_after, n[1]),
               grouped(r->sampled, n[2]));
    out_format(&a->o, "cv %.2f became %.2f\n", r->cv_before, r->cv_after);
    out_format(&a->o, "placed %s records in %s buckets; left out: %s deleted, ", grouped(r->records_placed, n[0]),
               grouped(r->buckets_written, n[1]), grouped(r->records_dropped, n[2]));
    out_format(&a->o, "%s replaced by a later one of the anchor\n", grouped(r->records_losing, n[0]));
    out_format(&a->o, "wrote %s objects, %s", grouped(r->objects, n[0]), size_text(r->bytes, size));
    if (r->runs > 0) {
        out_format(&a->o, "; sorted through %s runs, %s, which are gone again", grouped(r->runs, n[0]), size_text(r->run_bytes, size));
    }
    out_format(&a->o, "%s\nrebuilt %.200s: Manifest %s\n", r->replays > 0 ? "; others had written meanwhile: merged" : "", a->operands[0],
               address_text(r->manifest, text));
}

static int verb_rebuild(app *a)
{
    dreamdb_rebuild_desc desc;
    dreamdb_rebuild_report report;
    const char *memory = option_value(a, OPT_MEMORY), *bits = option_value(a, OPT_KEY_BITS), *index = option_value(a, OPT_INDEX);
    const char *k = option_value(a, OPT_K);
    memset(&desc, 0, sizeof desc);
    desc.field = a->operand_count > 1 ? a->operands[1] : NULL;
    desc.compressor = option_is(a, OPT_COMPRESSOR);
    desc.allow_lossy = option_is(a, OPT_ALLOW_LOSSY);
    desc.dry_run = option_is(a, OPT_DRY_RUN);
    desc.seed = option_is(a, OPT_SEED) ? a->random_state : 0;
    int code = k && strcmp(k, "auto") == 0 ? EXIT_DONE : option_u32(a, OPT_K, 1, &desc.k);
    code = code ? code : option_u32(a, OPT_ITERATIONS, 1, &desc.iterations);
    code = code ? code : option_u32(a, OPT_RETRY, 0, &desc.retry);
    code = code ? code : option_u64(a, OPT_SAMPLE, 1, UINT64_MAX, &desc.sample);
    if (!code && memory && !parse_size(memory, &desc.memory_bytes)) {
        code = fail(EXIT_USAGE, "option --memory: '%s' is no size, such as 512M or 4G", memory);
    }
    if (!code && bits && !parse_key_bits(bits, &desc.key_bits)) {
        code = fail(EXIT_USAGE, "option --key-bits: '%s' is neither a number from 1 to 64 nor auto", bits);
    }
    if (!code && index) {
        desc.index = strcmp(index, "imi") == 0 ? DREAMDB_INDEX_IMI : DREAMDB_INDEX_IVF;
        code = strcmp(index, "imi") != 0 && strcmp(index, "ivf") != 0
            ? fail(EXIT_USAGE, "option --index: '%s' is neither ivf nor imi", index) : EXIT_DONE;
    }
    code = code ? code : open_view(a, WRITE);
    dreamdb_status status = code ? DREAMDB_OK : dreamdb_rebuild(a->db, &desc, &report, &a->error);
    if (code || status) {
        return code ? code : fail_usage(status, &a->error);
    }
    if (a->json) {
        rebuild_json(a, &report, desc.dry_run);
    } else {
        print_rebuild(a, &report, desc.dry_run);
    }
    return EXIT_DONE;
}

/* ---- What should be done now, and doing it --------------------------------------------------------------------------- */

static const char *const action_names[] = {"", "flush-hot", "compact", "ada-ivf-step", "rebuild-ivf", "gc"};

typedef struct advice { dreamdb_action action; int whole, urgent; uint32_t threshold; char field[256], reason[256]; } advice;
typedef struct advices { advice *list; size_t count; } advices;

static int take_advice(void *user, const dreamdb_advice *told)
{
    advices *all = (advices *)user;
    all->list = (advice *)grow_array(all->list, all->count + 1, sizeof *all->list);
    advice *one = &all->list[all->count++];
    memset(one, 0, sizeof *one);
    one->action = told->action;
    one->whole = !told->field;
    one->urgent = told->urgent;
    one->threshold = told->threshold;
    (void)snprintf(one->field, sizeof one->field, "%s", told->field ? told->field : "");
    (void)snprintf(one->reason, sizeof one->reason, "%s", told->reason);
    return 0;
}

/* One line of a recommendation; outcome NULL: it is only told. */
static void print_advice(app *a, const char *ref, const advice *one, const char *outcome, double seconds, const char *message)
{
    output *o = &a->o;
    if (!a->json) {
        out_format(o, "%.200s: %s%s%s%s: %s", ref, action_names[one->action], one->whole ? "" : " ", one->field,
                   one->threshold == 1 ? " --threshold 1" : "", one->reason);
        out_format(o, "%s", one->urgent ? " (urgent)" : "");
        if (outcome) {
            out_format(o, ": %s (%.1f s)%s%s", outcome, seconds, message[0] ? ": " : "", message);
        }
        out_text(o, "\n");
        return;
    }
    out_text(o, "{");
    json_name(o, "ref", 1);
    json_string(o, ref);
    json_name(o, "action", 0);
    json_string(o, action_names[one->action]);
    json_name(o, "field", 0);
    if (one->whole) {
        out_text(o, "null");
    } else {
        json_string(o, one->field);
    }
    if (one->threshold > 0) {
        json_u64(o, "threshold", one->threshold, 0);
    }
    json_flag(o, "urgent", one->urgent);
    json_name(o, "reason", 0);
    json_string(o, one->reason);
    if (outcome) {
        json_name(o, "outcome", 0);
        json_string(o, outcome);
        json_number(o, "seconds", seconds);
        json_name(o, "message", 0);
        json_string(o, message);
    }
    out_text(o, "}\n");
}

static int verb_recommendations(app *a)
{
    advices all = {NULL, 0};
    int code = open_view(a, READ);
    dreamdb_status status = code ? DREAMDB_OK : dreamdb_recommend(a->view, NULL, take_advice, &all, &a->error);
    for (size_t i = 0; i < all.count && !code && !status; i++) {
        print_advice(a, a->operands[0], &all.list[i], NULL, 0, "");
    }
    if (!code && !status && all.count == 0 && !a->json) {
        out_format(&a->o, "%.200s: nothing to do\n", a->operands[0]);
    }
    free(all.list);
    return code ? code : status ? fail_status(status, &a->error) : EXIT_DONE;
}

typedef struct watch {
    app *a;
    dreamdb **dbs;                             /* one a REF */
    uint64_t interval;                         /* ns */
    unsigned actions;                          /* bits of those that are done */
    int once, dry, cut;                        /* cut: a verb was stopped in its middle */
    int code;                                  /* of the last one that failed */
} watch;

enum { WATCH_TRIES = 3 };                      /* of an action whose ref another writer moved */

/* --only flush-hot,compact,...; by default all but rebuild-ivf. */
static int watch_actions(const app *a, unsigned *actions)
{
    const char *text = option_value(a, OPT_ONLY);
    *actions = text ? 0 : 0x3fu & ~(1u << DREAMDB_ACTION_REBUILD);
    while (text && *text) {
        size_t size = strcspn(text, ","), found = 0;
        for (size_t i = 1; i < COUNT_OF(action_names); i++) {
            found = strlen(action_names[i]) == size && memcmp(action_names[i], text, size) == 0 ? i : found;
        }
        if (found == 0) {
            return fail(EXIT_USAGE, "option --only: '%.*s' is none of flush-hot, compact, ada-ivf-step, rebuild-ivf, gc", (int)size, text);
        }
        *actions |= 1u << found;
        text += size + (text[size] == ',');
    }
    return EXIT_DONE;
}

static uint64_t watch_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Waits, and ends at once when a signal comes. */
static void watch_sleep(uint64_t ns)
{
    uint64_t end = watch_now() + ns, now;
    while (!interrupted && (now = watch_now()) < end) {
        uint64_t rest = end - now < UINT64_C(200000000) ? end - now : UINT64_C(200000000);
        struct timespec part = {0, (long)rest};
        (void)nanosleep(&part, NULL);
    }
}

/* What is recommended for a ref now. */
static dreamdb_status watch_look(watch *w, size_t at, advices *all)
{
    app *a = w->a;
    dreamdb_snapshot *view = NULL;
    dreamdb_recommend_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.no_listing = !(w->actions & 1u << DREAMDB_ACTION_GC) || at > 0;       /* gc is of the whole store: asked for once a round */
    all->count = 0;
    dreamdb_status status = w->dbs[at] ? DREAMDB_OK : dreamdb_open(&a->config, a->operands[at], &w->dbs[at], &a->error);
    status = status ? status : dreamdb_snapshot_open(w->dbs[at], NULL, &view, &a->error);
    status = status ? status : dreamdb_recommend(view, &desc, take_advice, all, &a->error);
    dreamdb_snapshot_close(view);
    return status;
}

static dreamdb_status watch_do(watch *w, size_t at, const advice *one)
{
    app *a = w->a;
    dreamdb_compact_desc compact;
    dreamdb_ada_step_desc step;
    dreamdb_rebuild_desc rebuild;
    const char *field = one->whole ? NULL : one->field;
    memset(&compact, 0, sizeof compact);
    memset(&step, 0, sizeof step);
    memset(&rebuild, 0, sizeof rebuild);
    compact.field = step.field = rebuild.field = field;
    compact.threshold = one->threshold;
    rebuild.retry = WATCH_TRIES;
    switch (one->action) {
    case DREAMDB_ACTION_FLUSH_HOT: return dreamdb_flush_hot(w->dbs[at], NULL, &a->error);
    case DREAMDB_ACTION_COMPACT:   return dreamdb_compact(w->dbs[at], &compact, NULL, &a->error);
    case DREAMDB_ACTION_ADA_STEP:  return dreamdb_ada_step(w->dbs[at], &step, NULL, &a->error);
    case DREAMDB_ACTION_REBUILD:   return dreamdb_rebuild(w->dbs[at], &rebuild, NULL, &a->error);
    case DREAMDB_ACTION_GC:        return dreamdb_gc(&a->config, NULL, NULL, &a->error);
    default:                       return DREAMDB_OK;
    }
}

/* Does one action, and tells what came of it. */
static dreamdb_status watch_act(watch *w, size_t at, const advice *one)
{
    app *a = w->a;
    uint64_t began = watch_now();
    memset(&a->error, 0, sizeof a->error);
    dreamdb_status status = watch_do(w, at, one);
    const char *outcome = status == DREAMDB_OK ? "done" : status == DREAMDB_ERR_CONFLICT ? "conflict"
        : status == DREAMDB_ERR_CANCELLED ? "stopped" : "failed";
    print_advice(a, a->operands[at], one, outcome, (double)(watch_now() - began) / 1e9, status ? a->error.message : "");
    out_flush(&a->o);
    w->cut = w->cut || status == DREAMDB_ERR_CANCELLED;
    return status;
}

/* The first recommendation that is to be done and was not tried in this round; NULL: none. */
static const advice *watch_next(const watch *w, const advices *all, const advices *tried)
{
    for (size_t i = 0; i < all->count; i++) {
        const advice *one = &all->list[i];
        int fresh = (w->actions >> one->action & 1u) != 0;
        for (size_t k = 0; k < tried->count && fresh; k++) {
            fresh = tried->list[k].action != one->action || strcmp(tried->list[k].field, one->field) != 0
                || tried->list[k].threshold != one->threshold;
        }
        if (fresh) {
            return one;
        }
    }
    return NULL;
}

/* One ref: looks, waits a random while so that two watchers do not meet, looks again, acts; until nothing is left to try. */
static void watch_ref(watch *w, size_t at)
{
    app *a = w->a;
    advices all = {NULL, 0}, tried = {NULL, 0};
    int waited = w->once || w->dry, conflicts = 0;
    const advice *one = NULL;
    do {
        dreamdb_status status = watch_look(w, at, &all);
        if (status) {
            w->code = interrupted ? w->code : fail_status(status, &a->error);
            break;
        }
        one = watch_next(w, &all, &tried);
        if (one && !waited) {
            uint64_t most = w->interval / 4 < UINT64_C(30000000000) ? w->interval / 4 : UINT64_C(30000000000);
            watch_sleep(watch_now() * UINT64_C(0x9e3779b97f4a7c15) % (most + 1));
            waited = 1;
            continue;
        }
        advice doing;
        if (one) {
            doing = *one;
            if (w->dry) {
                print_advice(a, a->operands[at], one, NULL, 0, "");
            } else {
                status = watch_act(w, at, one);
            }
            if (status != DREAMDB_ERR_CONFLICT || ++conflicts >= WATCH_TRIES) {
                /* a lost race that the next try wins is no failure */
                w->code = status ? exit_of(status) : w->code;
                tried.list = (advice *)grow_array(tried.list, tried.count + 1, sizeof *tried.list);
                tried.list[tried.count++] = doing;
            }
        }
    } while (one && !interrupted);
    free(all.list);
    free(tried.list);
}

static int verb_watch(app *a)
{
    watch w;
    const char *interval = option_value(a, OPT_INTERVAL);
    memset(&w, 0, sizeof w);
    w.a = a;
    w.once = option_is(a, OPT_ONCE);
    w.dry = option_is(a, OPT_DRY_RUN);
    w.interval = UINT64_C(300000000000);
    int code = watch_actions(a, &w.actions);
    if (!code && interval && (!parse_duration(interval, &w.interval) || w.interval < UINT64_C(1000000000))) {
        code = fail(EXIT_USAGE, "option --interval: '%s' is no duration of a second or more, such as 90s, 30m or 24h", interval);
    }
    if (!code && w.once && interval) {
        code = fail(EXIT_USAGE, "watch: --once looks once; --interval is for going on");
    }
    code = code ? code : open_store(a, w.dry ? READ : WRITE);
    if (code) {
        return code;
    }
    w.dbs = (dreamdb **)grow_array(NULL, a->operand_count, sizeof *w.dbs);
    for (size_t i = 0; i < a->operand_count; i++) {
        w.dbs[i] = NULL;
    }
    do {
        w.code = EXIT_DONE;
        for (size_t i = 0; i < a->operand_count && !interrupted; i++) {
            watch_ref(&w, i);
        }
        out_flush(&a->o);
        if (!w.once && !interrupted) {
            watch_sleep(w.interval);
        }
    } while (!w.once && !interrupted && !a->o.error);
    for (size_t i = 0; i < a->operand_count; i++) {
        dreamdb_close(w.dbs[i]);
    }
    free(w.dbs);
    return w.cut ? stopped() : w.once ? w.code : EXIT_DONE;
}

/* ---- version, help, main --------------------------------------------------------------------------------------------- */

static int verb_version(app *a)
{
    char features[200];
    const char *text = dreamdb_features(features, sizeof features);
    if (!a->json) {
        out_format(&a->o, "dreamdb %s (%s)\n", DREAMDB_VERSION, text);
        return EXIT_DONE;
    }
    out_text(&a->o, "{");
    json_name(&a->o, "version", 1);
    json_string(&a->o, DREAMDB_VERSION);
    out_text(&a->o, ",\"features\":[");
    for (int first = 1; *text; first = 0) {
        size_t size = strcspn(text, " ");
        out_text(&a->o, first ? "" : ",");
        json_text(&a->o, text, size);
        text += size;
        text += strspn(text, " ");
    }
    out_text(&a->o, "]}\n");
    return EXIT_DONE;
}

static int verb_help(app *a);

static const verb_row verbs[] = {
    {"create", verb_create, 1, 1, "REF", "makes a dataset",
     "KIND and its keys:\n"
     "  embedding    dim=N, index=ivf|imi|lsh|lsh-l2, train=FILE.npy|.fvecs (makes it ivf), train_rows=N, k=N, iterations=N,\n"
     "               k_sub=N (imi), key_bits=24|auto, bits=N (lsh), rows=N (lsh: bits for N rows), width=X (lsh-l2),\n"
     "               rerank, bucket_max_bytes=SIZE\n"
     "               compressor=rabitq, bits_per_dim=1|2|4|8, factors=0|1; compressor=pq, m=N, pq_k=N (256); compressor_seed=N|HEX64\n"
     "  image audio video    mime=jpeg, chunk=SIZE, pack=N\n"
     "  categorical string int float bool timestamp\n"
     "  constant     modality=title.text, value=TEXT (the rest of the option) or file=FILE\n"
     "A field is required in every row unless it says optional.\n\n"
     "  dreamdb --store my.ddb create main --field emb:embedding,train=vectors.npy --field label:categorical,optional\n"},
    {"add-field", verb_add_field, 1, 1, "REF", "adds fields to a dataset that exists",
     "The new field is optional: older rows have no value in it.  --layer-of FIELD ties it to a field; --column with --anchors or\n"
     "--anchor-start gives the layer's first rows, more come by `append --into`.  An embedding can only be added as a layer, and a layer\n"
     "of vectors is always compressed.\n\n"
     "  dreamdb --store my.ddb add-field main --field small:embedding,train=b.npy,compressor=rabitq,bits_per_dim=4 --layer-of emb \\\n"
     "          --column small=b.npy --anchor-start 0\n"},
    {"append", verb_append, 1, 1, "REF", "appends rows",
     "FILE of --column: .npy, .fvecs, .txt (one value a line, an empty line is none), or a folder of files for media (sorted by name).\n"
     "--rows: columns by name; an empty cell of a .csv is no value (\"\" is an empty text); media cells name files; vectors are [x,...].\n"
     "Every --batch is one commit.  Without anchors the rows get the clock's nanoseconds.  With --token an append that was stopped goes\n"
     "on by the same call with --resume: nothing lands twice.  M writers with --shard N --of M, each on a branch of its own, take one\n"
     "file together; merge-many brings them in (examples/scheduler/ingest.sh).\n\n"
     "--hot is for a few rows at a time: they wait in one small object a field, and every read shows them at once.  It refuses media,\n"
     "constants and layers by --into, and scalar values whose anchors do not lie above those of their field.  While rows wait, flush-hot\n"
     "must come first for train and ada-ivf-step of the field, for a merge in which both sides changed it, and for an append without\n"
     "--hot to a scalar field; compact does it by itself.\n\n"
     "  dreamdb --store my.ddb append main --column emb=vectors.npy --column label=labels.txt --anchor-start 0\n"},
    {"train", verb_train, 2, 2, "REF FIELD", "trains a new ivf or imi index and places every stored vector anew",
     "Codes of a compressed field stay as they are, and so does its compressor; --compressor trains the codebooks of pq anew and codes\n"
     "every row again.  That wants exact vectors (a field with rerank): codes are never made from codes.\n"},
    {"query", verb_query, 2, 2, "REF FIELD", "finds the nearest rows",
     "score: the cosine (high is near), or the squared distance for lsh-l2 (low is near).\n\n"
     "  dreamdb --store my.ddb query main emb --vector q.npy --top-k 5 --fields label --where 'label=cat or label=dog'\n"},
    {"get", verb_get, 1, SIZE_MAX, "REF ANCHOR...", "prints the rows of these anchors", ""},
    {"scan", verb_scan, 1, 1, "REF", "prints rows", ""},
    {"count", verb_count, 1, 2, "REF [FIELD]", "counts live anchors", ""},
    {"delete", verb_delete, 1, SIZE_MAX, "REF [ANCHOR...]", "deletes rows, in all fields",
     "Older states keep them; their bytes stay until no kept state holds them.  There is no undelete: a row that is appended later\n"
     "under a deleted anchor stays hidden, so append refuses it.  Anchors that have no row yet are deleted all the same.\n\n"
     "  dreamdb --store my.ddb delete main 17 18 --reason 'asked by the owner'\n"
     "  dreamdb --store my.ddb delete main --where 'label=cat'\n"},
    {"erase-report", verb_erase_report, 1, SIZE_MAX, "REF [ANCHOR...]", "names the objects that still hold bytes of deleted rows",
     "And the branches and snapshots that reach each of them.  Without anchors: of all rows that are deleted in REF.  --where asks for\n"
     "the rows of REF that meet it, before they are deleted.\n\n"
     "  dreamdb --store my.ddb erase-report main\n"},
    {"flush-hot", verb_flush_hot, 1, 1, "REF", "puts the rows that wait since append --hot into the Tracks",
     "One commit, as an ordinary append of these rows.  Without such rows nothing is written.\n"},
    {"export", verb_export, 1, 1, "REF", "writes columns to files",
     "FILE of --column: .npy (numbers), .txt, .csv, .jsonl, or a folder for media.  All files have the same rows in the same order.\n"
     "--rows with --fields writes one file that `append --rows` takes back.\n"},
    {"log", verb_log, 1, 1, "REF", "lists the Manifests, newest first", "REF~3 names the third one back.\n"},
    {"refs", verb_refs, 0, 0, "", "lists branches, snapshots and tags", ""},
    {"branch", verb_branch, 2, 2, "REF NAME", "makes a branch", ""},
    {"snapshot", verb_snapshot, 2, 2, "REF LABEL", "keeps the present state as REF@LABEL", ""},
    {"merge", verb_merge, 2, 2, "REF OTHER", "merges another branch or state into REF",
     "Three-way: what one side changed since the newest common state is taken, Tracks that both changed get the rows of both,\n"
     "deletions of either side hold.  OTHER stays.  What cannot be decided is listed (field, cell or key, both objects), nothing is\n"
     "written, exit 1.\n\n"
     "  dreamdb --store my.ddb merge main nightly --dry-run\n"
     "  dreamdb --store my.ddb merge main nightly\n"},
    {"merge-many", verb_merge_many, 2, SIZE_MAX, "REF OTHER...", "merges several, one after the other",
     "Stops at the first that fails; those before it are merged and published: go on from the one it names.\n"},
    {"diff", verb_diff, 2, 2, "REF OTHER", "tells what OTHER has more and less than REF",
     "OTHER is a ref, a state of REF (@label, ~3) or a Manifest address.  Records of scalars are upper bounds (~); bytes are of the\n"
     "objects that the rows of one side alone name.\n\n"
     "  dreamdb --store my.ddb diff main~1 main\n"
     "  dreamdb --store my.ddb diff main nightly --json\n"},
    {"delete-ref", verb_delete_ref, 1, 1, "REF", "removes a branch or a snapshot", "Its objects stay until gc.\n"},
    {"compact", verb_compact, 1, 1, "REF", "folds the fragments that appends left",
     "Every append adds a bucket to each cell that it meets, and a row to each label.  This makes one of them again: searches read less.\n"
     "Packs of media that are less than half full are put together.\n"
     "Deleted rows of what it takes are left out; what reads return stays the same.  The old objects stay until no kept state holds them.\n"
     "--identical keeps deleted rows and refuses two vectors of one anchor in a cell, as the reference does.\n\n"
     "  dreamdb --store my.ddb compact main\n"
     "  dreamdb --store my.ddb compact main --threshold 1          # deleted rows out of every cell\n"},
    {"gc", verb_gc, 0, 0, "", "removes objects that no state to be kept reaches",
     "Kept of each branch: its newest states and those younger than --keep-since; of each snapshot and tag: its own state; of each two\n"
     "branches: what a merge of them reads.  Writers of this program may go on meanwhile, those of the Python package must pause.  What\n"
     "cannot be read or is of an unknown kind ends the run by its name, and nothing is removed.\n\n"
     "  dreamdb --store my.ddb gc --dry-run\n"
     "  dreamdb --store my.ddb gc --keep-manifests 10 --keep-since 7d\n"},
    {"set-meta", verb_set_meta, 2, 3, "REF KEY VALUE", "sets a text in the registry", ""},
    {"inspect", verb_inspect, 1, 1, "REF", "shows fields, indexes and registry", ""},
    {"verify", verb_verify, 1, 1, "REF", "reads everything and names each fault", ""},
    {"stats", verb_stats, 1, 1, "REF", "shows rows, objects and bytes", ""},
    {"ada-ivf-status", verb_ada_status, 1, 1, "REF", "tells how balanced the cells of an embedding are",
     "From Ref, Manifest and Track alone: the same before and after gc.  --deep and --sample read buckets.\n"},
    {"ada-ivf-step", verb_ada_step, 1, 1, "REF", "splits overfull cells and merges nearly empty ones",
     "Writes the cells it changes, an index and a table of generations (FORMAT.md); all other buckets stay.  It does nothing until cells\n"
     "that hold a quarter of the records are overfull, or cv is above 1: many splits at once cost little more than one.  --force,\n"
     "--k-max, --exact and --relineage do not wait.  Run it from cron, or when\n"
     "ada-ivf-status says so.  Appends and deletions meanwhile are carried over; exit 3 means that another step was faster.\n\n"
     "With --job-id many machines share one step: a scheduler runs the plan, then the shares, then the end.  Each may be run again at any\n"
     "time; the result is the same, bit for bit, for every number of shares.  A share or end that comes too early exits 4, or waits\n"
     "(--wait); with --propose the shares split the hot cells as well, and the plan waits for that, or is called twice.  A\n"
     "job that another step or a training made void exits 1.  examples/scheduler has it for Kubernetes, Slurm and a shell.\n\n"
     "  dreamdb --store my.ddb ada-ivf-step main --dry-run\n"
     "  dreamdb --store my.ddb ada-ivf-step main --max-cells 256\n"
     "  dreamdb --store my.ddb ada-ivf-step main --job-id night-7 --orchestrate       # or with --propose, before the shares and after\n"
     "  dreamdb --store my.ddb ada-ivf-step main --job-id night-7 --shard 0 --of 2     # and --shard 1 --of 2, anywhere\n"
     "  dreamdb --store my.ddb ada-ivf-step main --job-id night-7 --orchestrate --finish --wait 1h\n"},
    {"rebuild-ivf", verb_rebuild, 1, 2, "REF [FIELD]", "trains an index anew and places every record, in bounded memory",
     "Where ada-ivf-step mends cells, this makes all of them: after years of drift, for another number of cells or kind of index (lsh\n"
     "becomes ivf).  Reads every record twice and writes it once; deleted ones are left out.  Readers and writers go on meanwhile, and\n"
     "--retry N brings what they appended under the new index.\n\n"
     "  dreamdb --store my.ddb rebuild-ivf main emb --dry-run\n"
     "  dreamdb --store my.ddb rebuild-ivf main emb --memory 4G --retry 5\n"},
    {"recommendations", verb_recommendations, 1, 1, "REF", "tells what maintenance a dataset needs now, and why",
     "From Tracks and their pages, a few buckets, and one listing of states; what was done is recommended no more.\n"},
    {"watch", verb_watch, 1, SIZE_MAX, "REF...", "does what recommendations says, once or again and again",
     "One line for each action: what, why, what came of it.  With --once the exit code is that of the last action that failed (3: another\n"
     "writer was faster, the next run does it).  Without, it goes on after failures, and ends with 0 at SIGTERM or Ctrl-C, or with 130\n"
     "when that stopped an action, of which then nothing is visible.  Two watchers do no harm: each looks again before it acts.\n\n"
     "  dreamdb --store my.ddb watch main --once --only compact,gc\n"
     "  dreamdb --store s3://bucket/data watch main other --interval 10m --json\n"},
    {"version", verb_version, 0, 0, "", "prints version and features", ""},
    {"help", verb_help, 0, 1, "[VERB]", "prints this, or the help of a verb", ""},
};

static const verb_row *find_verb(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

static int unknown_verb(const char *name)
{
    const char *best = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        nearer(name, verbs[i].name, &best, &least);
    }
    return best ? fail(EXIT_USAGE, "unknown verb '%s': did you mean %s?", name, best)
                : fail(EXIT_USAGE, "unknown verb '%s': see `dreamdb help`", name);
}

/* The options of a verb, or of every verb (NULL): how many there are. */
static size_t print_options(output *o, const char *verb)
{
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        const option_row *row = &options[i];
        if (verb ? row->verbs && words_have(row->verbs, verb) : !row->verbs) {
            char left[80];
            if (row->value && row->value[0] == '[') {
                (void)snprintf(left, sizeof left, "%s[=%s", row->name, row->value + 1);
            } else {
                (void)snprintf(left, sizeof left, "%s %s", row->name, row->value ? row->value : "");
            }
            if (strlen(left) > 34) {                 /* a long one has a line of its own */
                out_format(o, "  %s\n", left);
                left[0] = 0;
            }
            out_format(o, "  %-34s %s\n", left, row->help);
            count++;
        }
    }
    return count;
}

static int help_verb(app *a, const char *name)
{
    const verb_row *row = find_verb(name);
    if (!row) {
        return unknown_verb(name);
    }
    out_format(&a->o, "dreamdb [--store URL] %s%s%s [options]: %s\n\n", row->name, row->operands[0] ? " " : "", row->operands,
               row->summary);
    size_t shown = print_options(&a->o, row->name);
    out_text(&a->o, shown > 0 && row->details[0] ? "\n" : "");
    out_text(&a->o, row->details);
    out_text(&a->o, shown > 0 || row->details[0] ? "\n" : "");
    out_text(&a->o, strstr(row->operands, "REF") ? "REF: NAME, NAME@label, NAME~3 (the third state back), or a Manifest address.\n" : "");
    out_text(&a->o, "`dreamdb help` has the options of every verb.\n");
    return EXIT_DONE;
}

static int help_all(app *a)
{
    output *o = &a->o;
    out_text(o, "dreamdb: a versioned, content-addressed store of vectors, media and scalars, with search\n\n"
                "dreamdb [--store URL] VERB [REF] [options]\n\n");
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        char left[60];
        (void)snprintf(left, sizeof left, "%s %s", verbs[i].name, verbs[i].operands);
        out_format(o, "  %-24s %s\n", left, verbs[i].summary);
    }
    out_text(o, "\nOptions of every verb:\n");
    print_options(o, NULL);
    out_text(o, "\nExit codes: 0 done, 1 failed, 2 usage, 3 conflict (try again), 4 not found, 5 corrupt, 130 stopped by Ctrl-C.\n"
                "`dreamdb help VERB` tells a verb's options.\n");
    return EXIT_DONE;
}

static int verb_help(app *a)
{
    return a->operand_count > 0 ? help_verb(a, a->operands[0]) : help_all(a);
}

/* Options may stand anywhere; the first other word is the verb. */
static int parse_line(app *a, int argc, char **argv)
{
    const char *verb = NULL;
    int only_operands = 0;
    a->given = (given *)grow_array(NULL, (size_t)argc, sizeof *a->given);
    a->operands = (const char **)grow_array(NULL, (size_t)argc, sizeof *a->operands);
    for (int at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {
        say_json = say_json || strcmp(argv[at], "--json") == 0;              /* also for what is wrong before it */
    }
    for (int at = 1; at < argc; at++) {
        if (!only_operands && strcmp(argv[at], "--") == 0) {
            only_operands = 1;
        } else if (!only_operands && argv[at][0] == '-' && argv[at][1]) {
            int code = parse_option(a, argc, argv, &at);
            if (code) {
                return code;
            }
        } else if (!verb) {
            verb = argv[at];
        } else {
            a->operands[a->operand_count++] = argv[at];
        }
    }
    if (!verb) {
        verb = option_is(a, OPT_VERSION) ? "version" : "help";
    }
    a->verb = find_verb(verb);
    return a->verb ? EXIT_DONE : unknown_verb(verb);
}

/* Does every option go with the verb, and are there as many operands as it wants? */
static int check_line(const app *a)
{
    const verb_row *verb = a->verb;
    for (size_t i = 0; i < a->given_count; i++) {
        const option_row *row = NULL;
        for (size_t k = 0; k < COUNT_OF(options) && !row; k++) {
            if (options[k].id == a->given[i].id) {
                row = option_find(options[k].name, strlen(options[k].name), verb->name);
                if (!row) {
                    return unknown_option(options[k].name, strlen(options[k].name), verb->name);
                }
            }
        }
    }
    if (a->operand_count < verb->least) {
        return fail(EXIT_USAGE, "%s: wanted is: dreamdb %s %s [options]", verb->name, verb->name, verb->operands);
    }
    if (a->operand_count > verb->most) {
        return fail(EXIT_USAGE, "%s: '%s' is one word too many: wanted is: dreamdb %s %s [options]", verb->name,
                    a->operands[verb->most], verb->name, verb->operands);
    }
    return EXIT_DONE;
}

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* The first Ctrl-C asks the verb to stop, a second one kills; a closed pipe is an error of write, not a signal. */
static void set_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    (void)sigemptyset(&action.sa_mask);
    action.sa_handler = on_interrupt;
    action.sa_flags = (int)SA_RESETHAND;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    action.sa_flags = 0;
    (void)sigaction(SIGPIPE, &action, NULL);
}

int main(int argc, char **argv)
{
    app a;
    memset(&a, 0, sizeof a);
    set_signals();
    (void)pthread_mutex_init(&a.lock, NULL);
    out_open(&a.o, 1, "standard output");
    int code = parse_line(&a, argc, argv);
    if (!code && option_is(&a, OPT_HELP)) {
        code = a.operand_count == 0 && strcmp(a.verb->name, "help") == 0 ? help_all(&a) : help_verb(&a, a.verb->name);
    } else if (!code) {
        code = check_line(&a);
        code = code ? code : setup_config(&a);
        code = code ? code : a.verb->run(&a);
    }
    if (progress_shown) {
        (void)fputs("\r\033[K", stderr);
    }
    int ended = out_end(&a.o);
    code = code ? code : ended;
    if (argc == 1) {
        code = EXIT_USAGE;
    }
    close_all(&a);
    return code;
}
