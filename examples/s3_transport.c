/* s3_transport.c - your own transport under dreamdb_s3.h: how requests reach a server is yours to say (an HTTP library you have already, a
   proxy, a browser's fetch, a test).  This one has no network at all: it is the server too, a bucket of 300 objects in memory, and writes a
   line for each request.  It answers in the order of a queue, so that many requests are in flight at once, as on a real line. */
#define DREAMDB_S3_IMPLEMENTATION
#define DREAMDB_S3_NO_SOCKETS                  /* nothing of the built-in transport is compiled */
#include "../dreamdb_s3.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The bucket ---- */
enum { OBJECTS = 300 };
typedef struct object { char path[256]; void *data; size_t size; unsigned version; } object;
typedef struct bucket { object objects[OBJECTS]; size_t count; unsigned versions, requests, in_flight, most; } bucket;

static object *find(bucket *b, const char *path)
{
    for (size_t i = 0; i < b->count; i++) { if (strcmp(b->objects[i].path, path) == 0) { return b->objects + i; } }
    return NULL;
}

static void header(dreamdb_s3_exchange *x, const char *name, const char *value) { dreamdb_s3_take_header(x, name, strlen(name), value, strlen(value)); }

/* A request header; exchange->head is HTTP/1.1 as text, so that a transport may send it as it is. */
static const char *asked(const dreamdb_s3_exchange *x, const char *name, char out[80])
{
    char line[64];
    (void)snprintf(line, sizeof line, "\r\n%s: ", name);
    const char *at = strstr(x->head, line);
    at = at ? at + strlen(line) : "";
    (void)snprintf(out, 80, "%.*s", (int)strcspn(at, "\r"), at);
    return out;
}

static void answer(dreamdb_s3_exchange *x, int status, const object *o)
{
    char tag[32];
    dreamdb_s3_take_status(x, status);         /* first: it forgets an earlier answer */
    if (o) {
        (void)snprintf(tag, sizeof tag, "\"%u\"", o->version);
        header(x, "ETag", tag);                /* refs move by compare-and-swap on it */
    }
}

static void get(dreamdb_s3_exchange *x, const object *o)
{
    char text[80];
    unsigned long long from = 0, to = 0;
    if (!o) { answer(x, 404, NULL); return; }
    to = o->size;
    int ranged = sscanf(asked(x, "range", text), "bytes=%llu-%llu", &from, &to) >= 1;
    if (ranged && from >= o->size) { answer(x, 416, NULL); return; }
    to = to < o->size ? to : o->size - 1;
    answer(x, ranged ? 206 : 200, o);
    if (ranged) {
        (void)snprintf(text, sizeof text, "bytes %llu-%llu/%zu", from, to, o->size);
        header(x, "Content-Range", text);
    }
    if (x->is_head) {
        (void)snprintf(text, sizeof text, "%zu", o->size);
        header(x, "Content-Length", text);
    } else if (o->size > 0) {                  /* in as many pieces as they come; what it returns ends the exchange */
        x->result = dreamdb_s3_take_body(x, (const char *)o->data + (ranged ? from : 0), (size_t)(ranged ? to - from + 1 : o->size));
    }
}

static void put(bucket *b, dreamdb_s3_exchange *x, object *o, const char *path)
{
    char tag[32], wanted[80];
    (void)snprintf(tag, sizeof tag, "\"%u\"", o ? o->version : 0);
    int stale = asked(x, "if-match", wanted)[0] && (!o || strcmp(wanted, tag) != 0);
    if (stale || (o && asked(x, "if-none-match", wanted)[0])) { answer(x, 412, NULL); return; }
    void *copy = malloc((size_t)x->body_size + 1);
    if (!copy || (!o && b->count == OBJECTS)) { free(copy); answer(x, 507, NULL); return; }
    if (!o) {
        o = b->objects + b->count++;
        memset(o, 0, sizeof *o);
        (void)snprintf(o->path, sizeof o->path, "%s", path);
    }
    if (x->body_size > 0) { memcpy(copy, x->body, (size_t)x->body_size); }
    free(o->data);
    o->data = copy;
    o->size = (size_t)x->body_size;
    o->version = ++b->versions;
    answer(x, 200, o);
}

static void serve(bucket *b, dreamdb_s3_exchange *x)
{
    char method[8], path[256];
    int has = sscanf(x->head, "%7s %255s", method, path) == 2;
    x->result = DREAMDB_S3_DONE;               /* an answer came; where none did, the result says why, and the store decides what to do */
    if (!has) { x->result = DREAMDB_S3_MALFORMED; return; }
    object *o = find(b, path);
    if (strcmp(method, "PUT") == 0) { put(b, x, o, path); }
    else if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) { get(x, o); }
    else { answer(x, 501, NULL); }             /* listing and deleting are left out here */
    printf("%-4s %-40.40s... %d\n", method, path, x->http_status);
}

/* ---- The transport: four functions.  A session is one thread's; here they are all the same bucket. ---- */
typedef struct session { bucket *b; dreamdb_s3_exchange *first, **end; } session;

static int line_open(void *user, void **out)
{
    session *s = (session *)malloc(sizeof *s);
    if (!s) { return 1; }
    s->b = (bucket *)user;
    s->first = NULL;
    s->end = &s->first;
    *out = s;
    return 0;
}

/* A real transport sends here, without waiting for the answer. */
static void line_start(void *user, dreamdb_s3_exchange *x)
{
    session *s = (session *)user;
    s->b->requests++;
    s->b->in_flight++;
    s->b->most = s->b->in_flight > s->b->most ? s->b->in_flight : s->b->most;
    x->next = NULL;                            /* next and slot are the transport's own */
    *s->end = x;
    s->end = &x->next;
}

/* And polls here, for timeout_ms at most, until one answer is whole. */
static void line_wait(void *user, uint32_t timeout_ms, dreamdb_s3_exchange **done)
{
    session *s = (session *)user;
    (void)timeout_ms;
    *done = s->first;
    if (!s->first) { return; }
    s->first = s->first->next;
    s->end = s->first ? s->end : &s->first;
    s->b->in_flight--;
    serve(s->b, *done);
}

static void line_close(void *user) { free(user); }

/* ---- A dataset over it ---- */
static int failed(const dreamdb_error *error, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, error->message);
    return 1;
}

/* Twelve vectors in, one looked for; 0 = found. */
static int work(const dreamdb_store *store)
{
    static const float vectors[12][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}, {1, 1, 0, 0}, {1, 0, 1, 0},
                                         {1, 0, 0, 1}, {0, 1, 1, 0}, {0, 1, 0, 1}, {0, 0, 1, 1}, {1, 1, 1, 0}, {0, 1, 1, 1}};
    dreamdb *db = NULL;
    dreamdb_snapshot *view = NULL;
    dreamdb_result *found = NULL;
    dreamdb_error error;
    dreamdb_config config;
    dreamdb_field field;
    dreamdb_create_desc create;
    dreamdb_column column;
    dreamdb_append_desc batch;
    dreamdb_query query;
    memset(&config, 0, sizeof config);
    memset(&field, 0, sizeof field);
    memset(&create, 0, sizeof create);
    memset(&column, 0, sizeof column);
    memset(&batch, 0, sizeof batch);
    memset(&query, 0, sizeof query);
    config.store = store;
    field.name = column.field = query.field = "emb";
    field.kind = DREAMDB_EMBEDDING;
    field.dim = 4;
    field.bits = 2;
    create.fields = &field;
    create.field_count = 1;
    column.data = vectors;
    batch.columns = &column;
    batch.column_count = 1;
    batch.count = 12;
    query.vectors = vectors[7];
    query.exact = 1;
    query.top_k = 1;
    int bad = dreamdb_create(&config, "main", &create, &db, &error) || dreamdb_append(db, &batch, NULL, &error)
           || dreamdb_snapshot_open(db, NULL, &view, &error) || dreamdb_search(view, &query, &found, &error);
    if (bad) {
        bad = failed(&error, "dataset");
    } else {
        bad = found->count != 1 || found->hits[0].score < 0.999f;
        printf("best score %.3f\n", found->count ? (double)found->hits[0].score : -1.0);
    }
    dreamdb_result_free(found);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    return bad;
}

int main(void)
{
    static bucket b;
    dreamdb_s3_transport line = {&b, line_open, line_start, line_wait, line_close};
    dreamdb_s3_options options;
    dreamdb_s3_stats stats;
    dreamdb_store store;
    dreamdb_error error;
    memset(&options, 0, sizeof options);
    options.url = "http://anywhere/bucket";
    options.no_environment = 1;                /* no keys: requests are not signed */
    options.transport = &line;                 /* copied */
    if (dreamdb_store_s3(&options, &store, &error)) { return failed(&error, "store"); }
    int bad = work(&store) || dreamdb_s3_stats_of(&store, &stats);
    bad = bad || stats.attempts_started != b.requests || b.most < 2;
    printf("%u requests, at most %u at once, %zu objects: %s\n", b.requests, b.most, b.count, bad ? "wrong" : "good");
    dreamdb_store_close(&store);
    for (size_t i = 0; i < b.count; i++) { free(b.objects[i].data); }
    return bad;
}
