/* dreamdb.h - a versioned, content-addressed store of vectors, media and scalars, with search, in one C header.
   MIT licence, see the end of the file.  No dependency but libc and pthreads.  C99 to C23, C++11 to C++20.

   HOW TO USE
     In ONE source file, before any other include:
         #define DREAMDB_IMPLEMENTATION
         #include "dreamdb.h"
     Elsewhere include it without the define.  Link with -lpthread (nothing else; no -lm).

   IN TEN LINES
         dreamdb_store store; dreamdb *db; dreamdb_snapshot *view; dreamdb_result *found; dreamdb_error error;
         dreamdb_directory dir = { "my.ddb" };
         dreamdb_store_directory(&dir, &store, &error);
         dreamdb_config config = { &store };
         dreamdb_open(&config, "main", &db, &error);
         dreamdb_snapshot_open(db, NULL, &view, &error);
         dreamdb_query query = { "emb", vector };
         dreamdb_search(view, &query, &found, &error);
         for (size_t i = 0; i < found->count; i++) use(found->hits[i].anchor, found->hits[i].score);

   WHAT IT KEEPS
     A dataset is a Ref (33 bytes, moved by compare-and-swap) that names a Manifest; a Manifest names one Track a field;
     a Track lists items or buckets in time.  Every object is immutable and named by its BLAKE3 hash.  An anchor, a u64
     (nanoseconds by habit), names a row.  FORMAT.md tells the bytes.

   RULES THAT HOLD EVERYWHERE
     - A desc struct set to zero means every default; required members say so.
     - Every function gives a dreamdb_status: 0 is good, DREAMDB_DONE (1) ends a cursor, negative is an error.
       The last argument, dreamdb_error *, may be NULL; it is set on success too.
     - What the caller hands over is borrowed until the call returns, unless a comment says otherwise.
     - A dreamdb and a dreamdb_snapshot may be used from many threads at once; a cursor and a result from one at a time.
     - Callbacks may run on worker threads (config.threads > 1) and must not call dreamdb_ functions of the same handle.
     - Bytes read from a store are hostile until their hash and form are checked.  Nothing is printed, nothing is global.

   CONFIGURATION (each before the include in the implementation file; none changes a public type)
     DREAMDB_IMPLEMENTATION   compile the code here (one file of the program)
     DREAMDB_STATIC           all functions static: a private copy for one file
     DREAMDB_API              linkage of public functions (default extern), for dllexport or visibility
     DREAMDB_ASSERT(c)        default assert(c)
     DREAMDB_NO_THREADS       no pthreads: everything runs on the calling thread (or on config.parallel_for)
     DREAMDB_NO_STDIO         no directory store, no file calls at all
     DREAMDB_NO_SIMD          portable code paths only: smaller, 4 to 20 times slower
     DREAMDB_NO_LIBC_ALLOC    no malloc: config.allocator is required
     DREAMDB_TEST             opens a few doors for the project's own tests

   CONTENTS   (names only; tools/layers.py --toc dreamdb.h prints the line numbers)
     ROOM 01 port       The compiler, the processor family, threads, clocks, files
     ROOM 02 mem        The call context, the allocator hook, the arena, checked size arithmetic, and the one way to report 
     ROOM 03 bytes      Slices, a growing buffer with a sticky failure, endian loads and stores, hex, UTF-8
     ROOM 04 coll       Stable sort, sort of u64, hash map from fixed-size keys to u64
     ROOM 05 cpu        Which instruction sets may be used
     ROOM 06 exact      Floats that define bytes (spatial.md 0)
     ROOM 07 kern       Loops over many vectors at once
     ROOM 08 bound      The largest left folds of a query with a set of rows
     ROOM 09 hash       BLAKE3 and its 1,024-byte-chunk outboards (placeholder
     ROOM 10 cbor       The format's CBOR (core.md 0)
     ROOM 11 addr       Addresses and the names that become paths (core.md 0, 1)
     ROOM 12 pool       Worker threads, or the host's parallel_for
     ROOM 13 store      The storage callbacks seen from inside (batches, statuses, reasons), and the stores that come with t
     ROOM 14 object     The only way to an object
     ROOM 15 schema     Fields, their maps in the Manifest (core.md 4), their modalities and the names they may have (evolut
     ROOM 16 roaring    Sets of anchors as postings (scalar.md 3)
     ROOM 17 page       The one copy-on-write B-tree
     ROOM 18 track      Track objects (core.md 5)
     ROOM 19 manifest   The Manifest
     ROOM 20 ref        Refs
     ROOM 21 tomb       Reading tombstones (versioning.md 1)
     ROOM 22 kmeans     k-means with a k-means++ start, bit for bit as the reference trains IVF (spatial.md 4)
     ROOM 23 lsh        The two hashing indexes that need no training
     ROOM 24 ivf        Cells around trained centroids (spatial.md 4)
     ROOM 25 index      SpatialIndex objects (spatial.md 1)
     ROOM 26 bucket     Spatial buckets and their sidecars of exact vectors (core.md 7, spatial.md 7)
     ROOM 27 item       Payloads
     ROOM 28 scalar     Scalar values as row keys (scalar.md 2), a column of a batch as a pack of postings (scalar.md 3, cor
     ROOM 29 view       The handle, and one immutable state of a dataset
     ROOM 30 write      Every verb that makes a new Manifest
     ROOM 31 scan       Rows out of Tracks
     ROOM 32 query      Vector search over the cells of one view
     ROOM 33 check      What a view is made of, and whether it is whole
     ROOM 34 api        The public functions
*/
#if defined(DREAMDB_IMPLEMENTATION) && defined(__linux__) && !defined(_GNU_SOURCE)
  #define _GNU_SOURCE 1                       /* syncfs; room port alone uses it */
#endif
#if defined(DREAMDB_IMPLEMENTATION) && !defined(_POSIX_C_SOURCE)
  #define _POSIX_C_SOURCE 200809L
#endif
#ifndef DREAMDB_H
#define DREAMDB_H

#include <stddef.h>
#include <stdint.h>

#define DREAMDB_VERSION_MAJOR 0
#define DREAMDB_VERSION_MINOR 1
#define DREAMDB_VERSION_PATCH 0
#define DREAMDB_VERSION "0.1.0"
#define DREAMDB_ADDRESS_SIZE 33               /* 0x1e and the 32-byte BLAKE3 hash of the object */
#define DREAMDB_ADDRESS_TEXT 54               /* 53 characters of base32, and the terminator */
#define DREAMDB_ANCHOR_MAX UINT64_C(0xfffffffffffffffe)   /* 2^64-1 cannot be stored */

/* Linkage.  No configuration macro changes a public type. */
#ifndef DREAMDB_API
  #if defined(DREAMDB_STATIC) && (defined(__GNUC__) || defined(__clang__))
    #define DREAMDB_API static __attribute__((unused))
  #elif defined(DREAMDB_STATIC)
    #define DREAMDB_API static
  #else
    #define DREAMDB_API extern
  #endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status and error ------------------------------------------------------------------------------------------- */

typedef enum dreamdb_status {
    DREAMDB_OK              =   0,
    DREAMDB_DONE            =   1,   /* a cursor has no further row; not an error */
    DREAMDB_ERR_ARGUMENT    =  -1,   /* the caller broke a precondition: mend the call */
    DREAMDB_ERR_MEMORY      =  -2,   /* the allocator returned NULL */
    DREAMDB_ERR_STORE       =  -3,   /* a storage callback failed: disk full, no permission, network */
    DREAMDB_ERR_NOT_FOUND   =  -4,   /* no such ref, object, field or anchor */
    DREAMDB_ERR_EXISTS      =  -5,   /* there is one of that name already */
    DREAMDB_ERR_CONFLICT    =  -6,   /* somebody else moved the ref: nothing of yours is visible; retry */
    DREAMDB_ERR_CORRUPT     =  -7,   /* bytes do not match their hash or the format; error.path names the object */
    DREAMDB_ERR_FORMAT      =  -8,   /* valid bytes of a version or form this library does not know */
    DREAMDB_ERR_UNSUPPORTED =  -9,   /* a known feature that this version does not have yet */
    DREAMDB_ERR_LIMIT       = -10,   /* a limit of the config or of the format was reached */
    DREAMDB_ERR_CANCELLED   = -11    /* the progress callback asked to stop */
} dreamdb_status;

/* What went wrong, in the caller's memory.  message is one line of UTF-8: what, where, what to do. */
typedef struct dreamdb_error {
    dreamdb_status status;
    char message[320];
    char path[256];                            /* the object or ref concerned, "" if none; cut if longer */
} dreamdb_error;

/* Memory hook: grows, shrinks, frees (new_size 0).  old_size is what was asked for before (0 with old NULL).
   Must be safe from several threads when config.threads is not 1.  All zero: realloc and free. */
typedef struct dreamdb_allocator {
    void *user;
    void *(*resize)(void *user, void *old, size_t old_size, size_t new_size);
} dreamdb_allocator;

/* ---- Storage: implement these five functions and the library runs on your storage --------------------------------- */

#define DREAMDB_TAG_SIZE 72
/* Bytes that a store hands over.  release (may be NULL) is called once when the library has finished with data. */
typedef struct dreamdb_blob {
    const void *data;
    uint64_t    size;                          /* bytes in data */
    void      (*release)(void *release_user, const void *data, uint64_t size);
    void       *release_user;
    char        tag[DREAMDB_TAG_SIZE];         /* version of the whole object for dreamdb_condition, NUL-terminated; may be "" for
                                                  objects, required for paths under refs/ if HAS_TAGS */
} dreamdb_blob;

typedef enum dreamdb_condition_kind {
    DREAMDB_PUT_ALWAYS = 0, DREAMDB_PUT_IF_ABSENT, DREAMDB_PUT_IF_TAG
} dreamdb_condition_kind;
typedef struct dreamdb_condition { dreamdb_condition_kind kind; const char *tag; } dreamdb_condition;

typedef struct dreamdb_stat { uint64_t size; uint64_t modified_ns; char tag[DREAMDB_TAG_SIZE]; } dreamdb_stat;

typedef enum dreamdb_io_kind { DREAMDB_IO_GET = 1, DREAMDB_IO_PUT, DREAMDB_IO_STAT, DREAMDB_IO_REMOVE } dreamdb_io_kind;
/* One storage operation of a batch. */
typedef struct dreamdb_io {
    dreamdb_io_kind   kind;
    const char       *path;                    /* '/'-separated, printable ASCII; borrowed until the batch returns */
    uint64_t          offset, size;            /* GET: the range; size 0 = to the end.  PUT: size of data */
    const void       *data;                    /* PUT */
    dreamdb_condition condition;               /* PUT */
    dreamdb_blob      blob;                    /* GET: out */
    dreamdb_stat      stat;                    /* STAT: out */
    int               status;                  /* out: a dreamdb_status */
} dreamdb_io;

/* Called by list for each path under the prefix; not 0 stops the listing and is returned by list. */
typedef int (*dreamdb_list_fn)(void *each_user, const char *path, const dreamdb_stat *stat);

enum {
    DREAMDB_STORE_THREAD_SAFE = 1,             /* the callbacks may run on several threads at once */
    DREAMDB_STORE_HAS_TAGS    = 2,             /* IF_TAG puts are atomic: refs move by compare-and-swap */
    DREAMDB_STORE_REMOTE      = 4,             /* latency counts: small outboards are not written */
    DREAMDB_STORE_READ_ONLY   = 8
};

/* A store.  Callbacks return DREAMDB_OK or a negative dreamdb_status:
 * get     NOT_FOUND if absent; a range past the end gives what there is.
 * put     EXISTS (IF_ABSENT and present), CONFLICT (IF_TAG and another version, or absent).  Atomic: a reader sees all or nothing.
 * stat    size, time by the store's own clock, tag.
 * list    every path that starts with prefix (a string prefix), any order, streaming.
 * remove  absent is fine.
 * batch   optional: runs all ops, each with its own status; returns OK unless nothing could be tried.
 * sync    optional: all earlier puts are durable when it returns.
 * close   optional: the end of the store's own resources; called by dreamdb_store_close, never by a dreamdb handle. */
typedef struct dreamdb_store {
    void *user;
    int (*get)   (void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out);
    int (*put)   (void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition);
    int (*stat)  (void *user, const char *path, dreamdb_stat *out);
    int (*list)  (void *user, const char *prefix, dreamdb_list_fn each, void *each_user);
    int (*remove)(void *user, const char *path);
    int (*batch) (void *user, dreamdb_io *ops, size_t count);
    int (*sync)  (void *user);
    void (*close)(void *user);
    uint32_t flags;                            /* DREAMDB_STORE_ flags */
    void (*reason)(void *user, char *out, size_t size);   /* optional: one line on why the last operation failed, NUL-terminated;
                                                  best effort: with several threads it may tell of another one */
} dreamdb_store;

typedef enum dreamdb_durability {
    DREAMDB_DURABILITY_FULL = 0,               /* everything is on the disk before the ref moves, then the ref */
    DREAMDB_DURABILITY_REF_ONLY,               /* only the ref file is synced */
    DREAMDB_DURABILITY_NONE                    /* no sync: a power cut may lose the newest commits */
} dreamdb_durability;

/* A directory store.  path is required; the rest zero = default. */
typedef struct dreamdb_directory {
    const char        *path;
    dreamdb_durability durability;
    int                read_only;              /* 1: never creates or changes a file */
    int                create;                 /* 1: makes the folder (and parents) at the first put if it is missing */
    dreamdb_allocator  allocator;
} dreamdb_directory;

/* Opens a store over a directory of files; nothing is created until the first put.
 *
 * out     filled in; close it with dreamdb_store_close after every handle that uses it.
 * Returns OK, ARGUMENT (no path), MEMORY, NOT_FOUND (no such folder and create is 0), STORE.
 * Threads the store is thread-safe.  Several processes may use one folder.
 * Costs   one stat. */
DREAMDB_API dreamdb_status dreamdb_store_directory(const dreamdb_directory *desc, dreamdb_store *out, dreamdb_error *error);

/* A store in memory, for tests and trials; thread-safe; lends its bytes without a copy.
 * Returns OK, MEMORY.  Costs memory for all that is put. */
DREAMDB_API dreamdb_status dreamdb_store_memory(const dreamdb_allocator *allocator, dreamdb_store *out, dreamdb_error *error);

/* A cache in front of another store: whole objects of immutable paths (not refs/ or keys that start with "_"), oldest use first out.
 *
 * inner       copied; must stay open while the cache is; closing the cache does not close it.
 * size_bytes  the cap on cached bytes.
 * Returns OK, ARGUMENT, MEMORY.  Threads as the inner store. */
DREAMDB_API dreamdb_status dreamdb_store_cache(const dreamdb_store *inner, uint64_t size_bytes, const dreamdb_allocator *allocator,
                                               dreamdb_store *out, dreamdb_error *error);

/* Faults for tests: passes everything to inner, and fails as told.  Counts every operation from 1. */
typedef struct dreamdb_fault {
    uint64_t fail_at;                          /* this operation fails with fail_status; 0 = never */
    int      fail_status;                      /* 0 = DREAMDB_ERR_STORE */
    int      fail_after;                       /* 1: the operation is done, then reported as failed (a lost answer) */
    int      fail_forever;                     /* 1: all later ones fail too (the machine died) */
    uint64_t flip_at;                          /* this GET has one bit flipped; 0 = never */
    uint64_t cut_at;                           /* this GET loses its last byte; 0 = never */
    uint64_t operations;                       /* out: how many operations were asked for */
    uint64_t gets, puts, waves;                /* out: objects read, written, and batches (a single call is a batch of one) */
    uint64_t bytes_read, bytes_written;        /* out */
} dreamdb_fault;
/* plan is the caller's and is read and written by the store while it is open.  Not thread-safe: its flags say so. */
DREAMDB_API dreamdb_status dreamdb_store_fault(const dreamdb_store *inner, dreamdb_fault *plan, const dreamdb_allocator *allocator,
                                               dreamdb_store *out, dreamdb_error *error);

DREAMDB_API void dreamdb_store_close(dreamdb_store *store);

/* ---- Configuration of a handle -------------------------------------------------------------------------------------- */

typedef struct dreamdb_limits {                /* each loop over foreign bytes is bounded by these; zero = default */
    uint64_t object_bytes;                     /* largest object read whole; default 2 GiB */
    uint32_t depth;                            /* levels of a tree, nesting of CBOR; default 64 */
    uint32_t history;                          /* Manifests walked by log and ~n; default 1,000,000 */
} dreamdb_limits;

typedef struct dreamdb_progress {              /* what a long verb tells its callback */
    const char *verb;                          /* "append", "train", "verify", ... */
    uint64_t done, total;                      /* rows, objects or bytes, as unit says; total 0 = not known */
    const char *unit;
} dreamdb_progress;

/* Zero = default everywhere; store is required. */
typedef struct dreamdb_config {
    const dreamdb_store *store;                /* copied; its resources must outlive the handle */
    dreamdb_allocator allocator;
    uint32_t threads;                          /* worker threads in all; 0 = one a processor (at most 8); 1 = only the caller's */
    void (*parallel_for)(void *user, void (*task)(void *task_user, uint32_t index), void *task_user, uint32_t count);
                                               /* the host's job system: runs task for 0..count-1, returns when all are done;
                                                  replaces the library's own threads */
    void *parallel_user;
    uint64_t (*now_ns)(void *user);            /* wall clock, ns since 1970; NULL = the system's */
    int (*random)(void *user, void *out, size_t size);   /* 0 = good; NULL = the system's */
    void *hook_user;                           /* for now_ns and random */
    int (*progress)(void *user, const dreamdb_progress *progress);   /* not 0 cancels the verb */
    void *progress_user;
    uint64_t cache_bytes;                      /* verified objects and search layouts kept in memory; 0 = 256 MiB */
    dreamdb_limits limits;
    int verify_off;                            /* 1: payload hashes are not checked (buckets, media); metadata always is */
    int identical;                             /* 1: Manifests as the reference writes them (lineage, edges); see FORMAT.md */
    int outboards_all;                         /* 1: small outboards on remote stores too */
    const char *writer;                        /* the whole writer text; NULL = "dreamdb.h/VERSION;operation=VERB" */
    uint32_t simd_off;                         /* bits of instruction sets not to use (1 = all but portable); for tests */
} dreamdb_config;

typedef struct dreamdb          dreamdb;
typedef struct dreamdb_snapshot dreamdb_snapshot;
typedef struct dreamdb_cursor   dreamdb_cursor;

/* ---- Schema --------------------------------------------------------------------------------------------------------- */

typedef enum dreamdb_kind {
    DREAMDB_KIND_OTHER = 0,                    /* a kind of the reference that this library keeps but does not read */
    DREAMDB_EMBEDDING, DREAMDB_IMAGE, DREAMDB_AUDIO, DREAMDB_VIDEO,
    DREAMDB_CATEGORICAL, DREAMDB_STRING, DREAMDB_INT, DREAMDB_FLOAT, DREAMDB_BOOL, DREAMDB_TIMESTAMP,
    DREAMDB_CONSTANT
} dreamdb_kind;

typedef enum dreamdb_index_kind { DREAMDB_INDEX_DEFAULT = 0, DREAMDB_INDEX_IVF, DREAMDB_INDEX_LSH, DREAMDB_INDEX_LSH_L2, DREAMDB_INDEX_IMI } dreamdb_index_kind;

/* One field.  name and kind are required; the rest zero = default. */
typedef struct dreamdb_field {
    const char  *name;
    dreamdb_kind kind;
    int          required;                     /* 1: every appended row must carry it */
    /* EMBEDDING */
    uint32_t     dim;                          /* floats in a vector; required */
    dreamdb_index_kind index;                  /* DEFAULT = IVF when there is a training sample or an index address, else LSH */
    uint32_t     bits;                         /* LSH: planes; 0 = the format's default of 20 */
    double       width;                        /* LSH_L2: bucket width; 0 = 1.0 */
    const float *train; size_t train_count;    /* IVF: sample [train_count][dim]; borrowed */
    uint32_t     k;                            /* IVF: cells; 0 = sqrt(train_count) */
    uint32_t     iterations;                   /* IVF: 0 = 10 */
    uint64_t     seed;                         /* IVF: k-means++; 0 is the reference's default */
    uint32_t     key_bits;                     /* IVF: width of cell keys; 0 = 24 (ceil(log2 k) when config.identical), DREAMDB_KEY_BITS_AUTO = ceil(log2 k) */
    const uint8_t *index_address;              /* [33], an index object that the store holds already; NULL = train or make one */
    int          rerank;                       /* 1: exact vectors in sidecars too */
    uint64_t     bucket_max_bytes;             /* 0 = 100 MiB and no mark in the modality */
    /* IMAGE, AUDIO, VIDEO */
    const char  *mime;                         /* NULL = jpeg, wav, mp4 */
    uint64_t     chunk_size;                   /* cut payloads into chunks of so many bytes; 0 = whole blobs */
    uint64_t     pack_items;                   /* so many payloads of a batch in one object; 0 or 1 = one each */
    /* CONSTANT */
    const char  *modality;                     /* "title.text", "author.json", ... */
    const void  *value; size_t value_size;
} dreamdb_field;
#define DREAMDB_KEY_BITS_AUTO 0xffffffffu

/* Opens a dataset that exists, at a Ref.
 *
 * config  borrowed for the call; its store and hooks are used until dreamdb_close.
 * ref     "main", "team/set", "main@label" ...
 * Returns OK, ARGUMENT, MEMORY, STORE, NOT_FOUND (no such ref), CORRUPT, FORMAT, UNSUPPORTED.
 * Owns    the caller owns *out: dreamdb_close.  Threads: share the handle as you like.
 * Costs   2 reads (Ref, Manifest); Tracks and indexes are read when they are needed. */
DREAMDB_API dreamdb_status dreamdb_open(const dreamdb_config *config, const char *ref, dreamdb **out, dreamdb_error *error);

/* Desc of dreamdb_create. */
typedef struct dreamdb_create_desc {
    const dreamdb_field *fields; size_t field_count;
    const uint8_t *nonce;                      /* [16] for reproducible bytes; NULL = random */
} dreamdb_create_desc;

/* Creates a dataset: trains what needs training, writes Genesis, indexes, empty Tracks, a Manifest, and the Ref last.
 * Returns as dreamdb_open, and EXISTS (the ref is there), ARGUMENT (a field breaks a rule; the message says which). */
DREAMDB_API dreamdb_status dreamdb_create(const dreamdb_config *config, const char *ref, const dreamdb_create_desc *desc,
                                          dreamdb **out, dreamdb_error *error);
DREAMDB_API void dreamdb_close(dreamdb *db);

/* Adds fields to a dataset that exists: one Manifest a field.  EMBEDDING fields are refused here (UNSUPPORTED: embedding
 * layers are always compressed and come with the search issue). */
typedef struct dreamdb_layer {                 /* makes the new field a layer of another */
    const char *parent;                        /* field whose active Track the layer points to */
    const struct dreamdb_column *column;       /* the layer's first samples; NULL = none */
    const uint64_t *anchors; size_t count;
} dreamdb_layer;
DREAMDB_API dreamdb_status dreamdb_add_field(dreamdb *db, const dreamdb_field *field, const dreamdb_layer *layer, dreamdb_error *error);

/* ---- Writing -------------------------------------------------------------------------------------------------------- */

typedef struct dreamdb_slice { const void *data; size_t size; } dreamdb_slice;

/* One field of a batch.  Row r of the column belongs to anchor r of the batch. */
typedef struct dreamdb_column {
    const char *field;
    const void *data;                          /* EMBEDDING float [count][dim]; INT, TIMESTAMP int64_t; FLOAT double; BOOL uint8_t */
    size_t      stride;                        /* bytes from row to row; 0 = packed */
    const dreamdb_slice *values;               /* CATEGORICAL, STRING (UTF-8), IMAGE, AUDIO, VIDEO: one slice a row */
    const uint8_t *present;                    /* [count] 0 or 1; NULL = all present */
    int (*read)(void *user, size_t row, uint64_t offset, void *out, size_t size);   /* media too big for memory: values[row].size
                                                  says how many bytes; called for each chunk; not 0 = failed */
    void       *read_user;
} dreamdb_column;

typedef struct dreamdb_append_desc {
    const dreamdb_column *columns; size_t column_count;
    size_t          count;                     /* rows */
    const uint64_t *anchors;                   /* [count], any order; NULL = drawn by the library: now + 1000 a row */
    int             page_early;                /* 1: Tracks page from 16 KiB instead of 1 MiB: small appends stay small for ever */
    int             allow_tombstoned;          /* 1: appends rows whose anchor is deleted (they stay hidden) */
    int             into_layer;                /* 1: operation name of a layer append, for identical Manifests */
} dreamdb_append_desc;

typedef struct dreamdb_append_report {
    uint64_t rows; uint64_t anchor_first;      /* anchor_first: of drawn anchors */
    uint64_t objects, bytes;                   /* put, outboards included, already-there ones not */
    uint8_t  manifest[DREAMDB_ADDRESS_SIZE];
} dreamdb_append_report;

/* Appends a batch: all or nothing.  Readers see it once the Ref has moved.
 *
 * report  out, may be NULL.
 * Returns OK; ARGUMENT (unknown field, missing required one, NaN, zero vector, anchor 2^64-1, tombstoned anchor ...: the
 *         message names field and row); CONFLICT (another writer moved the Ref; nothing of this batch is visible; open again
 *         or call once more: the handle has moved to the new tip); STORE, MEMORY, CORRUPT, LIMIT, CANCELLED.
 * Threads one writer at a time a handle (an internal lock); readers go on.
 * Costs   puts only: no bucket is read.  A Track that is inline is written whole (to 1 MiB), a paged one by its touched
 *         leaves.  Memory: about one copy of the batch.
 * Format  FORMAT.md, "Append". */
DREAMDB_API dreamdb_status dreamdb_append(dreamdb *db, const dreamdb_append_desc *desc, dreamdb_append_report *report, dreamdb_error *error);

typedef struct dreamdb_train_desc {
    const char  *field;                        /* required: a raw embedding field */
    const float *sample; size_t sample_count;  /* [sample_count][dim]; NULL = the stored vectors */
    uint32_t k, iterations, key_bits;          /* as in dreamdb_field */
    uint64_t seed;
} dreamdb_train_desc;

/* Trains a new IVF index for a field and places every stored record anew; one Manifest.  The new index names the old one as parent.
 * Returns as dreamdb_append.  Costs: reads and writes every bucket of the field; memory: the vectors of the sample and one
 * group of cells at a time. */
DREAMDB_API dreamdb_status dreamdb_train(dreamdb *db, const dreamdb_train_desc *desc, dreamdb_error *error);

/* Trains IVF centroids alone: writes the index object, returns its address (for dreamdb_field.index_address). */
DREAMDB_API dreamdb_status dreamdb_index_train(const dreamdb_config *config, const dreamdb_field *field, uint8_t address[DREAMDB_ADDRESS_SIZE],
                                               dreamdb_error *error);

/* Sets registry key "dreamdb.NAME" to a text.  Returns ARGUMENT for structural keys. */
DREAMDB_API dreamdb_status dreamdb_set_meta(dreamdb *db, const char *key, const char *value, dreamdb_error *error);
/* Makes ref `name` at the handle's tip: one put.  EXISTS if there is one. */
DREAMDB_API dreamdb_status dreamdb_branch(dreamdb *db, const char *name, dreamdb_error *error);
/* Keeps the tip under REF@label.  EXISTS if the label is taken. */
DREAMDB_API dreamdb_status dreamdb_keep(dreamdb *db, const char *label, dreamdb_error *error);
/* Removes a ref (a branch or REF@label) of the store; its objects stay until gc.  NOT_FOUND if there is none. */
DREAMDB_API dreamdb_status dreamdb_ref_delete(const dreamdb_config *config, const char *ref, dreamdb_error *error);
typedef int (*dreamdb_ref_fn)(void *user, const char *ref, const uint8_t address[DREAMDB_ADDRESS_SIZE], int is_tag);
/* Calls each for every Ref of the store, sorted by name; not 0 from each stops with CANCELLED. */
DREAMDB_API dreamdb_status dreamdb_refs(const dreamdb_config *config, dreamdb_ref_fn each, void *user, dreamdb_error *error);

/* ---- Reading -------------------------------------------------------------------------------------------------------- */

/* Opens an immutable view.
 *
 * state   NULL or "" = the tip now (one conditional read of the Ref); "@label", "~3" (third Manifest back over first parents),
 *         or a Manifest address (53 characters).
 * Owns    dreamdb_snapshot_close, before dreamdb_close.  Threads: many may read one view.
 * Costs   nothing is read again that this handle has verified, under config.cache_bytes. */
DREAMDB_API dreamdb_status dreamdb_snapshot_open(dreamdb *db, const char *state, dreamdb_snapshot **out, dreamdb_error *error);
DREAMDB_API void dreamdb_snapshot_close(dreamdb_snapshot *snapshot);

typedef struct dreamdb_field_info {
    const char *name; const char *modality; dreamdb_kind kind; const char *kind_text;   /* kind_text: the format's word */
    int required; uint32_t dim; int rerank; int compressed; int is_layer;
    dreamdb_index_kind index; const char *algorithm; uint64_t k, bits;   /* EMBEDDING; k 0 for LSH; known after the index was read */
    const char *mime; uint64_t chunk_size, pack_items;
    uint64_t t_min, t_max;                     /* coverage of the Track */
    uint8_t track[DREAMDB_ADDRESS_SIZE];
    uint8_t index_address[DREAMDB_ADDRESS_SIZE];
} dreamdb_field_info;
typedef struct dreamdb_meta { const char *key; const char *text; } dreamdb_meta;   /* text NULL: not a text value */
typedef struct dreamdb_info {                  /* memory lives as long as the snapshot */
    const char *ref; uint8_t manifest[DREAMDB_ADDRESS_SIZE]; uint64_t ts_ns; const char *writer;
    const uint8_t *parents; size_t parent_count;          /* [parent_count][33] */
    const dreamdb_field_info *fields; size_t field_count; /* sorted by name */
    const dreamdb_meta *meta; size_t meta_count;          /* registry keys */
    uint8_t timeline[DREAMDB_ADDRESS_SIZE];
} dreamdb_info;
/* Schema and meta of a view.  No read but, once, the indexes of embedding fields. */
DREAMDB_API dreamdb_status dreamdb_snapshot_info(dreamdb_snapshot *snapshot, const dreamdb_info **out, dreamdb_error *error);

/* A predicate: a tree of clauses.  value by the field's kind. */
typedef enum dreamdb_op { DREAMDB_EQ = 1, DREAMDB_NE, DREAMDB_LT, DREAMDB_LE, DREAMDB_GT, DREAMDB_GE, DREAMDB_IN, DREAMDB_AND, DREAMDB_OR } dreamdb_op;
typedef struct dreamdb_operand { int64_t integer; double real; dreamdb_slice text; } dreamdb_operand;   /* BOOL in integer */
typedef struct dreamdb_where {
    dreamdb_op op;
    const char *field;                         /* EQ to IN */
    const dreamdb_operand *operands; size_t operand_count;   /* one; IN: any number */
    const struct dreamdb_where *children; size_t child_count;   /* AND, OR */
} dreamdb_where;

typedef struct dreamdb_value {
    dreamdb_kind kind;
    int          present;                      /* 0: the row has no value in this field */
    int64_t      integer;                      /* INT, TIMESTAMP, BOOL */
    double       real;                         /* FLOAT */
    const void  *data; uint64_t size;          /* EMBEDDING: float[dim]; texts: UTF-8; media: payload (data NULL unless load_media), size always */
    uint8_t      address[DREAMDB_ADDRESS_SIZE];   /* media: of the blob, ItemManifest or pack */
} dreamdb_value;
typedef struct dreamdb_row { uint64_t anchor; const dreamdb_value *values; } dreamdb_row;   /* values[field_count] in the order asked */

/* Search. */
#define DREAMDB_NPROBE_AUTO 0xffffffffu
typedef struct dreamdb_query {
    const char  *field;                        /* required */
    const float *vectors;                      /* required: [count][dim] */
    size_t       count;                        /* 0 = 1 */
    uint32_t     top_k;                        /* 0 = 10 */
    uint32_t     nprobe;                       /* cells; 0 = 32; DREAMDB_NPROBE_AUTO = until there are enough candidates */
    const dreamdb_where *where;                /* NULL = all rows */
    const char *const *fields; size_t field_count;   /* columns to load with the hits */
    int          load_media;                   /* 1: payloads of media columns too */
    int          exact;                        /* 1: every cell */
    uint32_t     rerank_pool;                  /* 0 = 5 * top_k; used where codes are stored */
} dreamdb_query;
typedef struct dreamdb_hit { uint64_t anchor; float score; const dreamdb_value *values; } dreamdb_hit;   /* score: cosine (high is near), or squared L2 (low is near) */
typedef struct dreamdb_result {
    const dreamdb_hit *hits;                   /* all queries' hits, one after the other */
    size_t count;
    const size_t *ends;                        /* [query_count]: hits of query q are ends[q-1] (0 for the first) .. ends[q] */
    size_t query_count;
    const char *const *fields; size_t field_count;
    uint64_t cells_probed, cells_read, candidates, reranked, objects_read, bytes_read, waves;   /* what was done (--explain) */
} dreamdb_result;

/* Nearest rows to one or many vectors, best first; ties by place in the Track.  Deleted rows and rows that the predicate leaves
 * out are removed before the top k are taken.
 *
 * Returns OK (also with no hit), ARGUMENT (unknown field, NaN, zero vector under cosine, bad predicate), UNSUPPORTED (a
 *         compressor this version does not know), CORRUPT (names the object), STORE, MEMORY.
 * Owns    *out: dreamdb_result_free, before the snapshot is closed.
 * Threads many at once on one snapshot.
 * Costs   warm: no read.  Cold: Track, index; then the probed cells in one batch. */
DREAMDB_API dreamdb_status dreamdb_search(dreamdb_snapshot *snapshot, const dreamdb_query *query, dreamdb_result **out, dreamdb_error *error);
DREAMDB_API void dreamdb_result_free(dreamdb_result *result);

typedef enum dreamdb_order { DREAMDB_ORDER_DEFAULT = 0, DREAMDB_ORDER_STORAGE, DREAMDB_ORDER_ANCHOR } dreamdb_order;
typedef struct dreamdb_scan {
    const char *const *fields; size_t field_count;   /* NULL = every field of the schema that has rows (constants not) */
    uint64_t start, end;                       /* anchors in [start, end); end 0 = no upper bound */
    const uint64_t *anchors; size_t anchor_count;   /* these anchors only (dreamdb get); result ascending */
    const dreamdb_where *where;
    dreamdb_order order;                       /* DEFAULT: STORAGE with one field, else ANCHOR */
    int load_media;
    uint64_t limit;                            /* rows; 0 = all */
} dreamdb_scan;
/* Opens a cursor over rows: one row for each live anchor that has a value in at least one of the fields.  An anchor with several
 * rows in a field gives the last in Track order.  STORAGE order is for one field.
 * Costs   works in passes of anchors under config.cache_bytes; each pass reads the buckets that meet it. */
DREAMDB_API dreamdb_status dreamdb_scan_open(dreamdb_snapshot *snapshot, const dreamdb_scan *scan, dreamdb_cursor **out, dreamdb_error *error);
/* Next row: OK, DONE at the end, or an error.  Its memory lives until the next call. */
DREAMDB_API dreamdb_status dreamdb_cursor_next(dreamdb_cursor *cursor, dreamdb_row *row, dreamdb_error *error);
/* Next rows, at most max: for speed.  *got 0 and DONE at the end.  rows is the caller's array; values live until the next call. */
DREAMDB_API dreamdb_status dreamdb_cursor_rows(dreamdb_cursor *cursor, dreamdb_row *rows, size_t max, size_t *got, dreamdb_error *error);
DREAMDB_API void dreamdb_cursor_close(dreamdb_cursor *cursor);

/* Distinct live anchors in [start, end) (end 0 = no bound) that meet the predicate; exact: it reads.  field NULL = any field. */
DREAMDB_API dreamdb_status dreamdb_count(dreamdb_snapshot *snapshot, const char *field, const dreamdb_where *where,
                                         uint64_t start, uint64_t end, uint64_t *out, dreamdb_error *error);
/* Rows that the Track claims, at once and without reads; duplicates and deleted rows are counted. */
DREAMDB_API dreamdb_status dreamdb_count_estimate(dreamdb_snapshot *snapshot, const char *field, uint64_t *out, dreamdb_error *error);
/* Ascending live anchors that meet the predicate (NULL = all).  *anchors is freed with dreamdb_anchors_free. */
DREAMDB_API dreamdb_status dreamdb_select(dreamdb_snapshot *snapshot, const dreamdb_where *where, uint64_t **anchors, size_t *count, dreamdb_error *error);
DREAMDB_API void dreamdb_anchors_free(dreamdb_snapshot *snapshot, uint64_t *anchors, size_t count);
/* The payload bytes [offset, offset + size) of one media row, verified; *got may be less at the end. */
DREAMDB_API dreamdb_status dreamdb_media_read(dreamdb_snapshot *snapshot, const char *field, uint64_t anchor, uint64_t offset,
                                              void *out, size_t size, size_t *got, dreamdb_error *error);
/* The value of a constant.  *data lives as long as the snapshot. */
DREAMDB_API dreamdb_status dreamdb_constant(dreamdb_snapshot *snapshot, const char *field, const void **data, size_t *size, dreamdb_error *error);

typedef struct dreamdb_log_entry {
    uint8_t manifest[DREAMDB_ADDRESS_SIZE]; uint64_t ts_ns; const char *writer;
    const uint8_t *parents; size_t parent_count; size_t track_count; uint64_t depth;
} dreamdb_log_entry;
typedef int (*dreamdb_log_fn)(void *user, const dreamdb_log_entry *entry);
/* The view's Manifest and its first parents, newest first; a missing parent ends the walk (gc). limit 0 = all. */
DREAMDB_API dreamdb_status dreamdb_log(dreamdb_snapshot *snapshot, uint64_t limit, dreamdb_log_fn each, void *user, dreamdb_error *error);

typedef struct dreamdb_fault_report { dreamdb_status status; const char *path; const char *message; } dreamdb_fault_report;
typedef int (*dreamdb_fault_fn)(void *user, const dreamdb_fault_report *fault);
typedef struct dreamdb_verify_report { uint64_t objects, bytes, faults, manifests; } dreamdb_verify_report;
/* Walks everything that the view reaches (history_depth Manifests back; 0 = this one only, UINT64_MAX = all), hashes every object
 * and outboard, checks every form and every rule, and names each fault.  Returns OK also with faults: see the report. */
DREAMDB_API dreamdb_status dreamdb_verify(dreamdb_snapshot *snapshot, uint64_t history_depth, dreamdb_fault_fn each, void *user,
                                          dreamdb_verify_report *report, dreamdb_error *error);

typedef struct dreamdb_stats_class { const char *name; uint64_t objects, bytes; } dreamdb_stats_class;
typedef struct dreamdb_field_stats {
    const char *field; uint64_t rows, records, objects, bytes, cells, fragments_max; int paged; uint64_t pages;
} dreamdb_field_stats;                         /* rows: of the Track; records: vectors, items or postings' rows */
typedef struct dreamdb_stats {
    const dreamdb_field_stats *fields; size_t field_count;
    const dreamdb_stats_class *classes; size_t class_count;   /* manifest, track, page, bucket, sidecar, item, posting, index ... */
    uint64_t tombstones, manifests;
} dreamdb_stats;
/* What the view is made of: from Tracks, no payload is read.  Memory lives as long as the snapshot. */
DREAMDB_API dreamdb_status dreamdb_snapshot_stats(dreamdb_snapshot *snapshot, const dreamdb_stats **out, dreamdb_error *error);

/* ---- Small helpers -------------------------------------------------------------------------------------------------- */

DREAMDB_API const char *dreamdb_status_name(dreamdb_status status);          /* "ok", "conflict", ... */
DREAMDB_API void dreamdb_address_text(const uint8_t address[DREAMDB_ADDRESS_SIZE], char out[DREAMDB_ADDRESS_TEXT]);
DREAMDB_API int  dreamdb_address_parse(const char *text, uint8_t address[DREAMDB_ADDRESS_SIZE]);   /* 0 = good */
DREAMDB_API void dreamdb_hash(const void *data, size_t size, uint8_t out[32]);   /* BLAKE3, fastest path of this processor */
DREAMDB_API const char *dreamdb_features(char *out, size_t size);            /* "avx512 avx2 sse41 threads directory" */

#ifdef __cplusplus
}
#endif
#endif /* DREAMDB_H */

#if defined(DREAMDB_IMPLEMENTATION) && !defined(DREAMDB_IMPLEMENTED)
#define DREAMDB_IMPLEMENTED

/* ==== ROOM 01 port | prefix ddb_port_ | uses ==== */
/* The compiler, the processor family, threads, clocks, files.  Every POSIX or GNU call of the library is in this room, behind a name
   that can have a second body.  Must never allocate through libc nor know a format. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#ifndef DREAMDB_NO_LIBC_ALLOC
  #include <stdlib.h>
#endif
#ifndef DREAMDB_ASSERT
  #include <assert.h>
  #define DREAMDB_ASSERT(condition) assert(condition)
#endif
#include <time.h>
#if !defined(DREAMDB_NO_THREADS)
  #include <pthread.h>
#endif
#if !defined(DREAMDB_NO_STDIO)
  #include <dirent.h>
  #include <errno.h>
  #include <fcntl.h>
  #include <sys/file.h>
  #include <sys/stat.h>
#endif
#include <unistd.h>

#if defined(__GNUC__) || defined(__clang__)
  #define DDB_FN static __attribute__((unused))
  #define DDB_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
  #define DDB_INLINE static inline __attribute__((unused))
  #define DDB_NOINLINE __attribute__((noinline))
  #define DDB_LIKELY(c)   __builtin_expect(!!(c), 1)
  #define DDB_UNLIKELY(c) __builtin_expect(!!(c), 0)
#else
  #define DDB_FN static
  #define DDB_PRINTF(format_at, first_at)
  #define DDB_INLINE static inline
  #define DDB_NOINLINE
  #define DDB_LIKELY(c)   (c)
  #define DDB_UNLIKELY(c) (c)
#endif

#if defined(__x86_64__) && !defined(DREAMDB_NO_SIMD) && (defined(__GNUC__) || defined(__clang__))
  #define DDB_PORT_X86 1
#endif
#if defined(__aarch64__) && !defined(DREAMDB_NO_SIMD) && !defined(__AARCH64EB__) && (defined(__GNUC__) || defined(__clang__))
  #define DDB_PORT_NEON 1
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  #define DDB_PORT_BIG_ENDIAN 1
#else
  #define DDB_PORT_BIG_ENDIAN 0
#endif

#if defined(DDB_PORT_X86)
  #include <immintrin.h>
#endif
#if defined(DDB_PORT_NEON)
  #include <arm_neon.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Atomics: the few that are needed, sequentially consistent. */
DDB_INLINE uint64_t ddb_port_atomic_add(uint64_t *at, uint64_t n)
{
#if defined(__GNUC__) || defined(__clang__)
    return __atomic_add_fetch(at, n, __ATOMIC_SEQ_CST);
#else
    return *at += n;
#endif
}

DDB_INLINE uint64_t ddb_port_atomic_load(const uint64_t *at)
{
#if defined(__GNUC__) || defined(__clang__)
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);
#else
    return *at;
#endif
}

DDB_INLINE void ddb_port_atomic_store(uint64_t *at, uint64_t value)
{
#if defined(__GNUC__) || defined(__clang__)
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);
#else
    *at = value;
#endif
}

/* Mutex, condition, thread: nothing at all with DREAMDB_NO_THREADS. */
#if !defined(DREAMDB_NO_THREADS)
typedef pthread_mutex_t ddb_port_mutex;
typedef pthread_cond_t  ddb_port_cond;
typedef pthread_t       ddb_port_thread;
DDB_FN bool ddb_port_mutex_init(ddb_port_mutex *m) { return pthread_mutex_init(m, NULL) == 0; }
DDB_FN void ddb_port_mutex_free(ddb_port_mutex *m) { (void)pthread_mutex_destroy(m); }
DDB_FN void ddb_port_lock(ddb_port_mutex *m) { (void)pthread_mutex_lock(m); }
DDB_FN void ddb_port_unlock(ddb_port_mutex *m) { (void)pthread_mutex_unlock(m); }
DDB_FN bool ddb_port_cond_init(ddb_port_cond *c) { return pthread_cond_init(c, NULL) == 0; }
DDB_FN void ddb_port_cond_free(ddb_port_cond *c) { (void)pthread_cond_destroy(c); }
DDB_FN void ddb_port_wait(ddb_port_cond *c, ddb_port_mutex *m) { (void)pthread_cond_wait(c, m); }
DDB_FN void ddb_port_wake_all(ddb_port_cond *c) { (void)pthread_cond_broadcast(c); }
DDB_FN bool ddb_port_thread_start(ddb_port_thread *t, void *(*run)(void *), void *user) { return pthread_create(t, NULL, run, user) == 0; }
DDB_FN void ddb_port_thread_join(ddb_port_thread t) { (void)pthread_join(t, NULL); }
#else
typedef struct ddb_port_mutex { char none; } ddb_port_mutex;
typedef struct ddb_port_cond { char none; } ddb_port_cond;
typedef struct ddb_port_thread { char none; } ddb_port_thread;
DDB_FN bool ddb_port_mutex_init(ddb_port_mutex *m) { m->none = 0; return true; }
DDB_FN void ddb_port_mutex_free(ddb_port_mutex *m) { (void)m; }
DDB_FN void ddb_port_lock(ddb_port_mutex *m) { (void)m; }
DDB_FN void ddb_port_unlock(ddb_port_mutex *m) { (void)m; }
DDB_FN bool ddb_port_cond_init(ddb_port_cond *c) { c->none = 0; return true; }
DDB_FN void ddb_port_cond_free(ddb_port_cond *c) { (void)c; }
DDB_FN void ddb_port_wait(ddb_port_cond *c, ddb_port_mutex *m) { (void)c; (void)m; }
DDB_FN void ddb_port_wake_all(ddb_port_cond *c) { (void)c; }
DDB_FN bool ddb_port_thread_start(ddb_port_thread *t, void *(*run)(void *), void *user) { (void)t; (void)run; (void)user; return false; }
DDB_FN void ddb_port_thread_join(ddb_port_thread t) { (void)t; }
#endif

/* Processors that may run threads of ours; at least 1. */
DDB_FN uint32_t ddb_port_processors(void)
{
#if defined(_SC_NPROCESSORS_ONLN)
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1u;
#else
    return 1;
#endif
}

DDB_FN uint64_t ddb_port_now_ns(void)
{
    struct timespec t;
    memset(&t, 0, sizeof t);
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

DDB_FN void ddb_port_sleep_ns(uint64_t ns)
{
    struct timespec t;
    t.tv_sec = (time_t)(ns / 1000000000u);
    t.tv_nsec = (long)(ns % 1000000000u);
    (void)nanosleep(&t, NULL);
}

/* Random bytes of the system; false if it has none for us (then config.random is needed). */
DDB_FN bool ddb_port_random(void *out, size_t size)
{
    uint8_t *to = (uint8_t *)out;
    size_t done = 0;
#if defined(__linux__) && ((defined(__GLIBC__) && defined(__USE_MISC) && __GLIBC_PREREQ(2, 25)) || (!defined(__GLIBC__) && defined(_GNU_SOURCE)))
    while (done < size) {
        size_t part = size - done < 256 ? size - done : 256;        /* the most that getentropy gives at once */
        if (getentropy(to + done, part) != 0) {
            break;
        }
        done += part;
    }
#endif
#if !defined(DREAMDB_NO_STDIO)
    int file = done < size ? open("/dev/urandom", O_RDONLY | O_CLOEXEC) : -1;
    while (file >= 0 && done < size) {
        ssize_t got = read(file, to + done, size - done);
        if (got <= 0 && !(got < 0 && errno == EINTR)) {
            break;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    if (file >= 0) {
        (void)close(file);
    }
#endif
    return done == size;
}

#if !defined(DREAMDB_NO_STDIO)
/* Files.  Every call gives 0 or an errno value; EINTR never comes out. */
typedef struct ddb_port_info { uint64_t size, modified_ns; bool is_file, is_folder; } ddb_port_info;
typedef struct ddb_port_folder { DIR *dir; } ddb_port_folder;

DDB_FN int ddb_port_file_open(const char *path, int flags, int *out)
{
    int file = -1;
    do {
        file = open(path, flags | O_CLOEXEC, 0666);          /* 0666: the umask decides, as with the reference (core.md 1) */
    } while (file < 0 && errno == EINTR);
    *out = file;
    return file < 0 ? errno : 0;
}

/* O_NONBLOCK: a pipe that somebody put there must not hang us; it means nothing for files. */
DDB_FN int ddb_port_file_open_read(const char *path, int *out) { return ddb_port_file_open(path, O_RDONLY | O_NONBLOCK, out); }
DDB_FN int ddb_port_file_create(const char *path, int *out) { return ddb_port_file_open(path, O_WRONLY | O_CREAT | O_EXCL, out); }
DDB_FN int ddb_port_file_close(int file) { return close(file) == 0 || errno == EINTR ? 0 : errno; }

DDB_FN void ddb_port_file_fill(const struct stat *from, ddb_port_info *out)
{
#if defined(__APPLE__)
    struct timespec time = from->st_mtimespec;
#else
    struct timespec time = from->st_mtim;
#endif
    out->is_file = S_ISREG(from->st_mode);
    out->is_folder = S_ISDIR(from->st_mode);
    out->size = from->st_size > 0 ? (uint64_t)from->st_size : 0;
    out->modified_ns = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

DDB_FN int ddb_port_file_info(int file, ddb_port_info *out)
{
    struct stat found;
    memset(out, 0, sizeof *out);
    if (fstat(file, &found) != 0) {
        return errno;
    }
    ddb_port_file_fill(&found, out);
    return 0;
}

DDB_FN int ddb_port_file_stat(const char *path, ddb_port_info *out)
{
    struct stat found;
    memset(out, 0, sizeof *out);
    if (stat(path, &found) != 0) {
        return errno;
    }
    ddb_port_file_fill(&found, out);
    return 0;
}

/* Reads until size bytes or the end of the file. */
DDB_FN int ddb_port_file_read(int file, void *out, size_t size, uint64_t offset, size_t *got)
{
    size_t done = 0;
    while (done < size) {
        size_t part = size - done < ((size_t)1 << 30) ? size - done : (size_t)1 << 30;      /* Linux moves less than 2 GiB a call */
        ssize_t n = pread(file, (uint8_t *)out + done, part, (off_t)(offset + done));
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n == 0) {
            break;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    *got = done;
    return 0;
}

DDB_FN int ddb_port_file_write(int file, const void *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        size_t part = size - done < ((size_t)1 << 30) ? size - done : (size_t)1 << 30;
        ssize_t n = write(file, (const uint8_t *)data + done, part);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n == 0) {
            return ENOSPC;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

DDB_FN int ddb_port_file_sync(int file)
{
    int failed = 0;
    do {
        failed = fsync(file);
    } while (failed != 0 && errno == EINTR);
    return failed == 0 ? 0 : errno;
}

/* Syncs one file or folder by its path. */
DDB_FN int ddb_port_file_sync_path(const char *path)
{
    int file = -1;
    int error = ddb_port_file_open(path, O_RDONLY | O_NONBLOCK, &file);
    if (error == 0) {
        error = ddb_port_file_sync(file);
        (void)ddb_port_file_close(file);
    }
    return error;
}

/* Everything of the file system that holds path is on the disk when it returns.  ENOSYS where there is no such call. */
DDB_FN int ddb_port_file_sync_all(const char *path)
{
#if defined(__linux__) && (defined(__USE_GNU) || (!defined(__GLIBC__) && defined(_GNU_SOURCE)))
    int file = -1;
    int error = ddb_port_file_open(path, O_RDONLY, &file);
    if (error == 0) {
        error = syncfs(file) == 0 ? 0 : errno;
        if (error == ENOSYS) {                 /* a kernel without it: sync waits too on Linux */
            sync();
            error = 0;
        }
        (void)ddb_port_file_close(file);
    }
    return error;
#else
    (void)path;
    return ENOSYS;
#endif
}

DDB_FN int ddb_port_file_link(const char *from, const char *to) { return link(from, to) == 0 ? 0 : errno; }
DDB_FN int ddb_port_file_rename(const char *from, const char *to) { return rename(from, to) == 0 ? 0 : errno; }
DDB_FN int ddb_port_file_unlink(const char *path) { return unlink(path) == 0 ? 0 : errno; }
DDB_FN int ddb_port_file_mkdir(const char *path) { return mkdir(path, 0777) == 0 ? 0 : errno; }
DDB_FN uint64_t ddb_port_process(void) { return (uint64_t)getpid(); }
DDB_FN bool ddb_port_current_folder(char *out, size_t size) { return getcwd(out, size) != NULL; }

/* The answers of link that mean "this file system has no hard links". */
DDB_FN bool ddb_port_file_no_link(int error)
{
    return error == EPERM || error == ENOTSUP || error == EOPNOTSUPP || error == ENOSYS || error == EMLINK;
}

/* Opens (makes) a lock file and waits until it is ours alone, among threads too; ddb_port_file_close gives it back. */
DDB_FN int ddb_port_file_lock(const char *path, int *out)
{
    int failed = 0;
    int error = ddb_port_file_open(path, O_RDWR | O_CREAT, out);
    if (error != 0) {
        return error;
    }
    do {
        failed = flock(*out, LOCK_EX);
    } while (failed != 0 && errno == EINTR);
    error = failed == 0 ? 0 : errno;
    if (error != 0) {
        (void)ddb_port_file_close(*out);
    }
    return error;
}

DDB_FN int ddb_port_folder_open(const char *path, ddb_port_folder *out)
{
    out->dir = opendir(path);
    return out->dir ? 0 : errno;
}

/* The next name, or NULL at the end; "." and ".." are left out.  The name lives until the next call. */
DDB_FN int ddb_port_folder_next(ddb_port_folder *folder, const char **name)
{
    struct dirent *entry = NULL;
    do {
        errno = 0;
        entry = readdir(folder->dir);
    } while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    *name = entry ? entry->d_name : NULL;
    return entry ? 0 : errno;
}

DDB_FN int ddb_port_folder_stat(ddb_port_folder *folder, const char *name, ddb_port_info *out)
{
    struct stat found;
    memset(out, 0, sizeof *out);
    if (fstatat(dirfd(folder->dir), name, &found, 0) != 0) {
        return errno;
    }
    ddb_port_file_fill(&found, out);
    return 0;
}

DDB_FN void ddb_port_folder_close(ddb_port_folder *folder)
{
    if (folder->dir) {
        (void)closedir(folder->dir);
        folder->dir = NULL;
    }
}

DDB_FN bool ddb_port_is_absent(int error) { return error == ENOENT || error == ENOTDIR; }
DDB_FN bool ddb_port_is_memory(int error) { return error == ENOMEM; }
DDB_FN bool ddb_port_is_there(int error) { return error == EEXIST; }
DDB_FN bool ddb_port_is_missing_call(int error) { return error == ENOSYS; }

/* What an errno value means and what to do: our own words, since strerror is not safe with threads. */
DDB_FN const char *ddb_port_file_reason(int error)
{
    static const struct { int error; const char *text; } words[] = {
        { ENOSPC, "no space left on the disk: make room and try again" },
        { EDQUOT, "the disk quota is used up: make room and try again" },
        { EROFS, "the file system is read-only" },
        { EACCES, "permission denied: check owner and mode of the folder" },
        { EPERM, "the system does not permit it" },
        { ENAMETOOLONG, "the name is too long for this file system" },
        { EMFILE, "this process has too many open files: raise ulimit -n" },
        { ENFILE, "the system has too many open files" },
        { EIO, "the disk failed (I/O error)" },
        { ENOENT, "the folder is not there" },
        { ENOTDIR, "a part of the path is a file, not a folder" },
        { EISDIR, "there is a folder of that name" },
        { ELOOP, "too many symbolic links" },
        { ENOLCK, "no file locks here: mount the file system with locks" },
        { ENOTSUP, "the file system does not support it" },
        { EFBIG, "the file is too big for this file system" },
        { ESTALE, "the network file system lost the file: try again" },
        { ENOMEM, "the system has no memory left" },
        { EAGAIN, "the system asks to try again" },
        { ETIMEDOUT, "the network file system did not answer in time" },
        { EMLINK, "too many links in one folder" },
        { ENODEV, "the disk is gone" },
        { ENXIO, "the disk is gone" }
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (words[i].error == error) {
            return words[i].text;
        }
    }
    return "the system call failed";
}
#endif

/* ==== ROOM 02 mem | prefix ddb_mem_ | uses port ==== */
/* The call context, the allocator hook, the arena, checked size arithmetic, and the one way to report an error.
   Invariant: every allocation of the library passes ddb_mem_resize, every failure passes ddb_mem_fail. */

/* What every internal function that can fail takes first.  One thread uses one ctx at a time; workers get a copy of their own
   (ddb_mem_fork) and hand their error back with ddb_mem_adopt. */
typedef struct ddb_ctx {
    dreamdb_allocator allocator;
    dreamdb_error    *error;         /* may be NULL */
    uint32_t          cpu;           /* feature mask of room cpu */
} ddb_ctx;

#ifndef DREAMDB_NO_LIBC_ALLOC
DDB_FN void *ddb_mem_libc(void *user, void *old, size_t old_size, size_t new_size)
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

/* Fills in the error of the context and returns its status.  path may be NULL. */
DDB_FN DDB_PRINTF(4, 0) dreamdb_status ddb_mem_fail_va(ddb_ctx *ctx, dreamdb_status status, const char *path, const char *format, va_list list)
{
    DREAMDB_ASSERT(status < 0);
    if (ctx->error) {
        dreamdb_error *error = ctx->error;
        error->status = status;
        (void)vsnprintf(error->message, sizeof error->message, format, list);
        error->path[0] = 0;
        if (path) {
            size_t size = strlen(path);
            size = size < sizeof error->path - 1 ? size : sizeof error->path - 1;
            memcpy(error->path, path, size);
            error->path[size] = 0;
        }
    }
    return status;
}

DDB_FN DDB_PRINTF(3, 4) dreamdb_status ddb_mem_fail(ddb_ctx *ctx, dreamdb_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)ddb_mem_fail_va(ctx, status, NULL, format, list);
    va_end(list);
    return status;
}

/* As ddb_mem_fail, and names the object or ref. */
DDB_FN DDB_PRINTF(4, 5) dreamdb_status ddb_mem_fail_at(ddb_ctx *ctx, dreamdb_status status, const char *path, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)ddb_mem_fail_va(ctx, status, path, format, list);
    va_end(list);
    return status;
}

/* A context for a worker: same allocator, its own error. */
DDB_FN ddb_ctx ddb_mem_fork(const ddb_ctx *ctx, dreamdb_error *error)
{
    ddb_ctx fork = *ctx;
    memset(error, 0, sizeof *error);
    fork.error = error;
    return fork;
}

DDB_FN dreamdb_status ddb_mem_adopt(ddb_ctx *ctx, const dreamdb_error *error)
{
    if (ctx->error && error->status < 0) {
        *ctx->error = *error;
    }
    return error->status;
}

DDB_FN bool ddb_mem_mul(size_t a, size_t b, size_t *out)
{
    if (a != 0 && b > SIZE_MAX / a) {
        return false;
    }
    *out = a * b;
    return true;
}

DDB_FN bool ddb_mem_add(size_t a, size_t b, size_t *out)
{
    *out = a + b;
    return *out >= a;
}

DDB_FN bool ddb_mem_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    *out = a + b;
    return *out >= a;
}

DDB_FN bool ddb_mem_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a != 0 && b > UINT64_MAX / a) {
        return false;
    }
    *out = a * b;
    return true;
}

/* NULL and an error when there is no memory (new_size > 0). */
DDB_FN void *ddb_mem_resize(ddb_ctx *ctx, void *old, size_t old_size, size_t new_size)
{
    void *out = ctx->allocator.resize(ctx->allocator.user, old, old_size, new_size);
    if (!out && new_size > 0) {
        (void)ddb_mem_fail(ctx, DREAMDB_ERR_MEMORY, "no memory for %zu bytes", new_size);
    }
    return out;
}

/* size bytes, not cleared; size 0 gives one byte. */
DDB_FN void *ddb_mem_alloc(ddb_ctx *ctx, size_t size)
{
    return ddb_mem_resize(ctx, NULL, 0, size > 0 ? size : 1);
}

DDB_FN void ddb_mem_free(ddb_ctx *ctx, void *p, size_t size)
{
    if (p) {
        (void)ctx->allocator.resize(ctx->allocator.user, p, size > 0 ? size : 1, 0);
    }
}

/* count items of size bytes, cleared; NULL and an error on overflow or without memory. */
DDB_FN void *ddb_mem_array(ddb_ctx *ctx, size_t count, size_t size)
{
    size_t total = 0;
    if (!ddb_mem_mul(count, size, &total)) {
        (void)ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "%zu items of %zu bytes are too many", count, size);
        return NULL;
    }
    void *out = ddb_mem_alloc(ctx, total);
    if (out) {
        memset(out, 0, total > 0 ? total : 1);
    }
    return out;
}

#define ddb_mem_new(ctx, type, count) ((type *)ddb_mem_array((ctx), (count), sizeof(type)))
#define ddb_mem_drop(ctx, p, type, count) ddb_mem_free((ctx), (p), (count) * sizeof(type))

/* Arena: many small allocations freed at once.  Zero = empty.  Memory is 16-byte aligned. */
typedef struct ddb_mem_block { struct ddb_mem_block *next; size_t size, used; uint64_t pad; } ddb_mem_block;
typedef struct ddb_arena { ddb_mem_block *head; size_t total; } ddb_arena;

DDB_FN void *ddb_mem_arena_alloc(ddb_ctx *ctx, ddb_arena *arena, size_t size)
{
    size_t need = 0;
    if (!ddb_mem_add(size > 0 ? size : 1, 15, &need)) {
        (void)ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "%zu bytes are too many", size);
        return NULL;
    }
    need &= ~(size_t)15;
    if (!arena->head || arena->head->size - arena->head->used < need) {
        size_t room = arena->total < 4096 ? 4096 : arena->total < 1048576 ? arena->total : 1048576;
        size_t all = 0;
        room = room > need ? room : need;
        if (!ddb_mem_add(room, sizeof(ddb_mem_block), &all)) {
            (void)ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "%zu bytes are too many", size);
            return NULL;
        }
        ddb_mem_block *block = (ddb_mem_block *)ddb_mem_alloc(ctx, all);
        if (!block) {
            return NULL;
        }
        block->next = arena->head;
        block->size = room;
        block->used = 0;
        arena->head = block;
        arena->total += room;
    }
    void *out = (uint8_t *)(arena->head + 1) + arena->head->used;
    arena->head->used += need;
    return out;
}

DDB_FN void *ddb_mem_arena_array(ddb_ctx *ctx, ddb_arena *arena, size_t count, size_t size)
{
    size_t total = 0;
    if (!ddb_mem_mul(count, size, &total)) {
        (void)ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "%zu items of %zu bytes are too many", count, size);
        return NULL;
    }
    void *out = ddb_mem_arena_alloc(ctx, arena, total);
    if (out) {
        memset(out, 0, total);
    }
    return out;
}

#define ddb_mem_arena_new(ctx, arena, type, count) ((type *)ddb_mem_arena_array((ctx), (arena), (count), sizeof(type)))

/* A copy with a zero byte behind it. */
DDB_FN char *ddb_mem_arena_copy(ddb_ctx *ctx, ddb_arena *arena, const void *data, size_t size)
{
    size_t all = 0;
    if (!ddb_mem_add(size, 1, &all)) {
        (void)ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "%zu bytes are too many", size);
        return NULL;
    }
    char *out = (char *)ddb_mem_arena_alloc(ctx, arena, all);
    if (out) {
        if (size > 0) {
            memcpy(out, data, size);
        }
        out[size] = 0;
    }
    return out;
}

DDB_FN void ddb_mem_arena_free(ddb_ctx *ctx, ddb_arena *arena)
{
    while (arena->head) {
        ddb_mem_block *next = arena->head->next;
        ddb_mem_free(ctx, arena->head, arena->head->size + sizeof(ddb_mem_block));
        arena->head = next;
    }
    arena->total = 0;
}

/* ==== ROOM 03 bytes | prefix ddb_bytes_ | uses port mem ==== */
/* Slices, a growing buffer with a sticky failure, endian loads and stores, hex, UTF-8. */

typedef struct ddb_slice { const uint8_t *data; size_t size; } ddb_slice;      /* a view; owns nothing */

DDB_INLINE ddb_slice ddb_bytes_slice(const void *data, size_t size)
{
    ddb_slice out;
    out.data = (const uint8_t *)data;
    out.size = size;
    return out;
}

DDB_INLINE ddb_slice ddb_bytes_text(const char *text)
{
    return ddb_bytes_slice(text, strlen(text));
}

DDB_FN int ddb_bytes_compare(ddb_slice a, ddb_slice b)
{
    size_t both = a.size < b.size ? a.size : b.size;
    int order = both > 0 ? memcmp(a.data, b.data, both) : 0;
    return order != 0 ? order : a.size < b.size ? -1 : a.size > b.size ? 1 : 0;
}

DDB_FN bool ddb_bytes_equal(ddb_slice a, ddb_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

DDB_FN bool ddb_bytes_is(ddb_slice a, const char *text)
{
    return ddb_bytes_equal(a, ddb_bytes_text(text));
}

DDB_FN bool ddb_bytes_starts(ddb_slice a, const char *text)
{
    size_t size = strlen(text);
    return a.size >= size && memcmp(a.data, text, size) == 0;
}

/* A growing buffer.  A failed growth sets failed and drops all later writes: check once, at the end (ddb_bytes_status). */
typedef struct ddb_buf { ddb_ctx *ctx; uint8_t *data; size_t size, cap; bool failed; } ddb_buf;

DDB_FN void ddb_bytes_init(ddb_buf *buf, ddb_ctx *ctx)
{
    memset(buf, 0, sizeof *buf);
    buf->ctx = ctx;
}

/* Room for `more` bytes at the end, or NULL; does not change size. */
DDB_FN uint8_t *ddb_bytes_reserve(ddb_buf *buf, size_t more)
{
    size_t need = 0;
    if (buf->failed) {
        return NULL;
    }
    if (!ddb_mem_add(buf->size, more, &need)) {
        (void)ddb_mem_fail(buf->ctx, DREAMDB_ERR_LIMIT, "a buffer would pass the address space");
        buf->failed = true;
        return NULL;
    }
    if (need > buf->cap || !buf->data) {
        size_t cap = buf->cap > SIZE_MAX / 2 ? need : buf->cap * 2;
        cap = cap > need ? cap : need;
        cap = cap > 64 ? cap : 64;
        uint8_t *data = (uint8_t *)ddb_mem_resize(buf->ctx, buf->data, buf->cap, cap);
        if (!data) {
            buf->failed = true;
            return NULL;
        }
        buf->data = data;
        buf->cap = cap;
    }
    return buf->data + buf->size;
}

DDB_FN void ddb_bytes_put(ddb_buf *buf, const void *data, size_t size)
{
    uint8_t *at = ddb_bytes_reserve(buf, size);
    if (at) {
        if (size > 0) {
            memcpy(at, data, size);
        }
        buf->size += size;
    }
}

DDB_FN void ddb_bytes_put_u8(ddb_buf *buf, uint8_t value)
{
    ddb_bytes_put(buf, &value, 1);
}

DDB_FN void ddb_bytes_put_zero(ddb_buf *buf, size_t size)
{
    uint8_t *at = ddb_bytes_reserve(buf, size);
    if (at) {
        memset(at, 0, size);
        buf->size += size;
    }
}

DDB_FN ddb_slice ddb_bytes_of(const ddb_buf *buf)
{
    return ddb_bytes_slice(buf->data, buf->size);
}

DDB_FN dreamdb_status ddb_bytes_status(const ddb_buf *buf)
{
    return buf->failed ? DREAMDB_ERR_MEMORY : DREAMDB_OK;
}

DDB_FN void ddb_bytes_clear(ddb_buf *buf)            /* keeps the memory */
{
    buf->size = 0;
    buf->failed = false;
}

DDB_FN void ddb_bytes_free(ddb_buf *buf)
{
    if (buf->data) {
        ddb_mem_free(buf->ctx, buf->data, buf->cap);
    }
    buf->data = NULL;
    buf->size = buf->cap = 0;
}

DDB_INLINE uint16_t ddb_bytes_le16(const void *p) { const uint8_t *b = (const uint8_t *)p; return (uint16_t)(b[0] | (uint16_t)(b[1] << 8)); }
DDB_INLINE uint32_t ddb_bytes_le32(const void *p) { const uint8_t *b = (const uint8_t *)p; return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24; }
DDB_INLINE uint64_t ddb_bytes_le64(const void *p) { return (uint64_t)ddb_bytes_le32(p) | (uint64_t)ddb_bytes_le32((const uint8_t *)p + 4) << 32; }
DDB_INLINE uint32_t ddb_bytes_be32(const void *p) { const uint8_t *b = (const uint8_t *)p; return (uint32_t)b[3] | (uint32_t)b[2] << 8 | (uint32_t)b[1] << 16 | (uint32_t)b[0] << 24; }
DDB_INLINE uint64_t ddb_bytes_be64(const void *p) { return (uint64_t)ddb_bytes_be32(p) << 32 | (uint64_t)ddb_bytes_be32((const uint8_t *)p + 4); }
DDB_INLINE void ddb_bytes_set_le16(void *p, uint16_t v) { uint8_t *b = (uint8_t *)p; b[0] = (uint8_t)v; b[1] = (uint8_t)(v >> 8); }
DDB_INLINE void ddb_bytes_set_le32(void *p, uint32_t v) { uint8_t *b = (uint8_t *)p; b[0] = (uint8_t)v; b[1] = (uint8_t)(v >> 8); b[2] = (uint8_t)(v >> 16); b[3] = (uint8_t)(v >> 24); }
DDB_INLINE void ddb_bytes_set_le64(void *p, uint64_t v) { ddb_bytes_set_le32(p, (uint32_t)v); ddb_bytes_set_le32((uint8_t *)p + 4, (uint32_t)(v >> 32)); }
DDB_INLINE void ddb_bytes_set_be32(void *p, uint32_t v) { uint8_t *b = (uint8_t *)p; b[3] = (uint8_t)v; b[2] = (uint8_t)(v >> 8); b[1] = (uint8_t)(v >> 16); b[0] = (uint8_t)(v >> 24); }
DDB_INLINE void ddb_bytes_set_be64(void *p, uint64_t v) { ddb_bytes_set_be32(p, (uint32_t)(v >> 32)); ddb_bytes_set_be32((uint8_t *)p + 4, (uint32_t)v); }

/* count little-endian f32 at any address to native floats, and back. */
DDB_FN void ddb_bytes_get_f32(float *out, const void *bytes, size_t count)
{
    if (!DDB_PORT_BIG_ENDIAN) {
        memcpy(out, bytes, count * 4);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = ddb_bytes_le32((const uint8_t *)bytes + i * 4);
        memcpy(out + i, &bits, 4);
    }
}

DDB_FN void ddb_bytes_set_f32(void *bytes, const float *values, size_t count)
{
    if (!DDB_PORT_BIG_ENDIAN) {
        memcpy(bytes, values, count * 4);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = 0;
        memcpy(&bits, values + i, 4);
        ddb_bytes_set_le32((uint8_t *)bytes + i * 4, bits);
    }
}

/* Valid UTF-8: no overlong form, no surrogate, nothing past U+10FFFF. */
DDB_FN bool ddb_bytes_utf8(ddb_slice text)
{
    size_t i = 0;
    while (i < text.size) {
        uint8_t a = text.data[i];
        size_t more = a < 0x80 ? 0 : a >= 0xc2 && a < 0xe0 ? 1 : a >= 0xe0 && a < 0xf0 ? 2 : a >= 0xf0 && a < 0xf5 ? 3 : 4;
        if (more == 4 || text.size - i <= more) {
            return false;
        }
        for (size_t j = 1; j <= more; j++) {
            uint8_t b = text.data[i + j];
            uint8_t low = j == 1 && a == 0xe0 ? 0xa0 : j == 1 && a == 0xf0 ? 0x90 : 0x80;
            uint8_t high = j == 1 && a == 0xed ? 0x9f : j == 1 && a == 0xf4 ? 0x8f : 0xbf;
            if (b < low || b > high) {
                return false;
            }
        }
        i += more + 1;
    }
    return true;
}

/* ==== ROOM 04 coll | prefix ddb_coll_ | uses port mem ==== */
/* Stable sort, sort of u64, hash map from fixed-size keys to u64. */

typedef int (*ddb_coll_compare)(const void *a, const void *b, void *user);

/* Stable merge sort (bottom-up, one scratch copy).  O(n log n), no recursion. */
DDB_FN dreamdb_status ddb_coll_sort(ddb_ctx *ctx, void *base, size_t count, size_t size, ddb_coll_compare compare, void *user)
{
    bool sorted = true;
    for (size_t i = 1; i < count && sorted; i++) {
        sorted = compare((uint8_t *)base + (i - 1) * size, (uint8_t *)base + i * size, user) <= 0;
    }
    if (sorted) {
        return DREAMDB_OK;
    }
    uint8_t *scratch = (uint8_t *)ddb_mem_array(ctx, count, size);
    if (!scratch) {
        return DREAMDB_ERR_MEMORY;
    }
    uint8_t *from = (uint8_t *)base;
    uint8_t *to = scratch;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t left = 0; left < count; left += 2 * width) {
            size_t middle = count - left < width ? count : left + width;
            size_t right = count - left < 2 * width ? count : left + 2 * width;
            size_t a = left, b = middle, out = left;
            while (a < middle && b < right) {
                bool take_b = compare(from + b * size, from + a * size, user) < 0;
                memcpy(to + out * size, from + (take_b ? b : a) * size, size);
                b += take_b;
                a += !take_b;
                out++;
            }
            memcpy(to + out * size, from + a * size, (middle - a) * size);
            out += middle - a;
            memcpy(to + out * size, from + b * size, (right - b) * size);
        }
        uint8_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != (uint8_t *)base) {
        memcpy(base, from, count * size);
    }
    ddb_mem_free(ctx, scratch, count * size);
    return DREAMDB_OK;
}

/* Ascending sort of u64 by radix 2^16 digits that differ; out of place in scratch [count]. */
DDB_FN void ddb_coll_sort_u64_in(uint64_t *values, uint64_t *scratch, size_t count)
{
    uint64_t *from = values, *to = scratch;
    uint64_t every = UINT64_MAX, any = 0;
    for (size_t i = 0; i < count; i++) {
        every &= values[i];
        any |= values[i];
    }
    for (unsigned shift = 0; shift < 64; shift += 8) {
        size_t start[257];
        if (((every ^ any) >> shift & 0xff) == 0) {
            continue;
        }
        memset(start, 0, sizeof start);
        for (size_t i = 0; i < count; i++) {
            start[(from[i] >> shift & 0xff) + 1]++;
        }
        for (size_t d = 0; d < 256; d++) {
            start[d + 1] += start[d];
        }
        for (size_t i = 0; i < count; i++) {
            to[start[from[i] >> shift & 0xff]++] = from[i];
        }
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != values) {
        memcpy(values, from, count * sizeof *values);
    }
}

DDB_FN dreamdb_status ddb_coll_sort_u64(ddb_ctx *ctx, uint64_t *values, size_t count)
{
    size_t i = 1;
    while (i < count && values[i - 1] <= values[i]) {
        i++;
    }
    if (i >= count) {
        return DREAMDB_OK;
    }
    uint64_t *scratch = ddb_mem_new(ctx, uint64_t, count);
    if (!scratch) {
        return DREAMDB_ERR_MEMORY;
    }
    ddb_coll_sort_u64_in(values, scratch, count);
    ddb_mem_drop(ctx, scratch, uint64_t, count);
    return DREAMDB_OK;
}

/* Drops equal neighbours of a sorted list; returns the new count. */
DDB_FN size_t ddb_coll_unique_u64(uint64_t *values, size_t count)
{
    size_t out = 0;
    for (size_t i = 0; i < count; i++) {
        if (out == 0 || values[out - 1] != values[i]) {
            values[out++] = values[i];
        }
    }
    return out;
}

/* First index in a sorted list whose value is >= x. */
DDB_FN size_t ddb_coll_lower_u64(const uint64_t *values, size_t count, uint64_t x)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (values[middle] < x) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Hash map from keys of one fixed size to u64; open addressing, at most half full.  Zero the struct, then set key_size. */
typedef struct ddb_map { size_t key_size, count, cap; uint8_t *keys; uint64_t *values; uint8_t *used; } ddb_map;

DDB_FN size_t ddb_coll_map_find(const ddb_map *map, const void *key)
{
    uint64_t hash = 0x9e3779b97f4a7c15u;
    const uint8_t *bytes = (const uint8_t *)key;
    size_t i = 0;
    for (; i + 8 <= map->key_size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, 8);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    for (; i < map->key_size; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    }
    hash ^= hash >> 29;
    size_t at = (size_t)hash & (map->cap - 1);
    while (map->used[at] && memcmp(map->keys + at * map->key_size, key, map->key_size) != 0) {
        at = (at + 1) & (map->cap - 1);
    }
    return at;
}

DDB_FN uint64_t *ddb_coll_map_get(const ddb_map *map, const void *key)
{
    if (map->cap == 0) {
        return NULL;
    }
    size_t at = ddb_coll_map_find(map, key);
    return map->used[at] ? map->values + at : NULL;
}

DDB_FN void ddb_coll_map_free(ddb_ctx *ctx, ddb_map *map)
{
    if (map->cap > 0) {
        ddb_mem_free(ctx, map->keys, map->cap * map->key_size);
        ddb_mem_drop(ctx, map->values, uint64_t, map->cap);
        ddb_mem_free(ctx, map->used, map->cap);
    }
    map->cap = map->count = 0;
    map->keys = NULL;
    map->values = NULL;
    map->used = NULL;
}

DDB_FN dreamdb_status ddb_coll_map_grow(ddb_ctx *ctx, ddb_map *map)
{
    ddb_map more = *map;
    more.cap = map->cap > 0 ? map->cap * 2 : 64;
    more.count = map->count;
    more.keys = (uint8_t *)ddb_mem_array(ctx, more.cap, map->key_size);
    more.values = ddb_mem_new(ctx, uint64_t, more.cap);
    more.used = ddb_mem_new(ctx, uint8_t, more.cap);
    if (!more.keys || !more.values || !more.used) {
        ddb_mem_free(ctx, more.keys, more.cap * map->key_size);
        ddb_mem_drop(ctx, more.values, uint64_t, more.cap);
        ddb_mem_free(ctx, more.used, more.cap);
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < map->cap; i++) {
        if (map->used[i]) {
            size_t at = ddb_coll_map_find(&more, map->keys + i * map->key_size);
            memcpy(more.keys + at * map->key_size, map->keys + i * map->key_size, map->key_size);
            more.values[at] = map->values[i];
            more.used[at] = 1;
        }
    }
    ddb_coll_map_free(ctx, map);
    *map = more;
    return DREAMDB_OK;
}

/* Puts key with value if it is new; *slot (may be NULL) points to the value; *is_new tells. */
DDB_FN dreamdb_status ddb_coll_map_put(ddb_ctx *ctx, ddb_map *map, const void *key, uint64_t value, uint64_t **slot, bool *is_new)
{
    if (map->count * 2 >= map->cap) {
        dreamdb_status status = ddb_coll_map_grow(ctx, map);
        if (status < 0) {
            return status;
        }
    }
    size_t at = ddb_coll_map_find(map, key);
    bool fresh = !map->used[at];
    if (fresh) {
        memcpy(map->keys + at * map->key_size, key, map->key_size);
        map->values[at] = value;
        map->used[at] = 1;
        map->count++;
    }
    if (slot) {
        *slot = map->values + at;
    }
    if (is_new) {
        *is_new = fresh;
    }
    return DREAMDB_OK;
}

/* ==== ROOM 05 cpu | prefix ddb_cpu_ | uses port ==== */
/* Which instruction sets may be used: read once when a handle opens, kept in ddb_ctx.cpu, passed down; never a global. */
enum {
    DDB_CPU_SSE41 = 1 << 1, DDB_CPU_AVX2 = 1 << 2,     /* AVX2 and BMI2 */
    DDB_CPU_AVX512 = 1 << 3,                           /* F, BW, VL, DQ */
    DDB_CPU_VNNI = 1 << 4,                             /* AVX512-VNNI, with DDB_CPU_AVX512 */
    DDB_CPU_AVXVNNI = 1 << 5,                          /* 256-bit AVX-VNNI, with DDB_CPU_AVX2 */
    DDB_CPU_FMA = 1 << 6,
    DDB_CPU_NEON = 1 << 8, DDB_CPU_NEON_DOT = 1 << 9
};

DDB_FN uint32_t ddb_cpu_detect(void)
{
    uint32_t mask = 0;
#if defined(DDB_PORT_X86)
    __builtin_cpu_init();
    mask |= __builtin_cpu_supports("sse4.1") ? (uint32_t)DDB_CPU_SSE41 : 0u;
    mask |= __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") ? (uint32_t)DDB_CPU_AVX2 : 0u;
    mask |= __builtin_cpu_supports("fma") ? (uint32_t)DDB_CPU_FMA : 0u;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        mask |= DDB_CPU_AVX512;
        mask |= __builtin_cpu_supports("avx512vnni") ? (uint32_t)DDB_CPU_VNNI : 0u;
    }
#endif
#if defined(DDB_PORT_NEON)
    mask |= DDB_CPU_NEON;
  #if defined(__ARM_FEATURE_DOTPROD)
    mask |= DDB_CPU_NEON_DOT;
  #endif
#endif
    return mask;
}

/* ==== ROOM 06 exact | prefix ddb_exact_ | uses port bytes ==== */
/* Floats that define bytes (spatial.md 0): IEEE binary32, round to nearest even, left folds, each product rounded before the sum.
   Invariant: the same bits whatever the user's compiler flags (-ffast-math, -mfma with gnu modes, -O0) and floating-point environment (another
   rounding mode, flush to zero).  Three means: DDB_EXACT_HOLD makes a value opaque to the optimiser after each product and each sum, so nothing
   is fused or reordered; division and square root are single instructions by name, so no reciprocal estimate takes their place; NaN, infinity
   and zero are told by their bits.  Every batch stands between ddb_exact_enter and ddb_exact_leave, on worker threads too.
   Must never use x87: its sums are wider than 32 bits. */
#if defined(__FLT_EVAL_METHOD__) && (__FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2)
  #error "dreamdb.h needs floats that are computed as floats: build for SSE2 (-msse2 -mfpmath=sse), not for x87"
#endif

#if defined(__x86_64__) || defined(__SSE2_MATH__)
  #define DDB_EXACT_X86 1
#endif
#if defined(DDB_EXACT_X86)
  #define DDB_EXACT_HOLD(v)  __asm__("" : "+x"(v))
  #define DDB_EXACT_FENCE(v) __asm__ volatile("" : "+x"(v) : : "memory")
#elif defined(__aarch64__)
  #define DDB_EXACT_HOLD(v)  __asm__("" : "+w"(v))
  #define DDB_EXACT_FENCE(v) __asm__ volatile("" : "+w"(v) : : "memory")
#else                                            /* any other processor: through memory */
  #define DDB_EXACT_HOLD(v)  __asm__("" : "+m"(v))
  #define DDB_EXACT_FENCE(v) __asm__ volatile("" : "+m"(v) : : "memory")
#endif

/* The caller's floating-point control word, kept while ours holds. */
typedef struct ddb_exact_env { uint64_t kept; } ddb_exact_env;

enum {
    DDB_EXACT_MXCSR = 0x1f80                     /* all exceptions masked, round to nearest, no FTZ, no DAZ: the state after power-on */
};

/* The memory clobbers keep loads, and so the arithmetic on what is loaded, from moving over the switch. */
DDB_FN void ddb_exact_enter(ddb_exact_env *env)
{
#if defined(DDB_EXACT_X86)
    uint32_t kept = 0, ours = DDB_EXACT_MXCSR;
    __asm__ volatile("stmxcsr %0" : "=m"(kept) : : "memory");
    __asm__ volatile("ldmxcsr %0" : : "m"(ours) : "memory");
    env->kept = kept;
#elif defined(__aarch64__)
    uint64_t kept = 0, ours = 0;                 /* FPCR 0: nearest, no FZ, no default NaN, no traps */
    __asm__ volatile("mrs %0, fpcr" : "=r"(kept) : : "memory");
    __asm__ volatile("msr fpcr, %0" : : "r"(ours) : "memory");
    env->kept = kept;
#else
    env->kept = 0;                               /* elsewhere the environment is the caller's business: C's default is right */
#endif
}

DDB_FN void ddb_exact_leave(const ddb_exact_env *env)
{
#if defined(DDB_EXACT_X86)
    uint32_t kept = (uint32_t)env->kept;
    __asm__ volatile("ldmxcsr %0" : : "m"(kept) : "memory");
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(env->kept) : "memory");
#else
    (void)env;
#endif
}

DDB_INLINE uint32_t ddb_exact_bits(float x)
{
    uint32_t bits = 0;
    memcpy(&bits, &x, 4);
    return bits;
}

DDB_INLINE float ddb_exact_from_bits(uint32_t bits)
{
    float x = 0;
    memcpy(&x, &bits, 4);
    return x;
}

DDB_INLINE uint64_t ddb_exact_bits64(double x)
{
    uint64_t bits = 0;
    memcpy(&bits, &x, 8);
    return bits;
}

DDB_INLINE bool ddb_exact_finite(float x) { return (ddb_exact_bits(x) & 0x7f800000u) != 0x7f800000u; }
DDB_INLINE bool ddb_exact_zero(float x) { return (ddb_exact_bits(x) & 0x7fffffffu) == 0; }
DDB_INLINE bool ddb_exact_finite64(double x) { return (ddb_exact_bits64(x) >> 52 & 0x7ff) != 0x7ff; }

/* Is each of n floats finite? */
DDB_FN bool ddb_exact_all_finite(const float *x, size_t n)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        bad |= (uint32_t)!ddb_exact_finite(x[i]);
    }
    return bad == 0;
}

DDB_INLINE float ddb_exact_mul(float a, float b) { float p = a * b; DDB_EXACT_HOLD(p); return p; }
DDB_INLINE float ddb_exact_add(float a, float b) { float s = a + b; DDB_EXACT_HOLD(s); return s; }
DDB_INLINE float ddb_exact_sub(float a, float b) { float s = a - b; DDB_EXACT_HOLD(s); return s; }
DDB_INLINE double ddb_exact_mul64(double a, double b) { double p = a * b; DDB_EXACT_HOLD(p); return p; }
DDB_INLINE double ddb_exact_add64(double a, double b) { double s = a + b; DDB_EXACT_HOLD(s); return s; }
DDB_INLINE double ddb_exact_sub64(double a, double b) { double s = a - b; DDB_EXACT_HOLD(s); return s; }

/* a / b as one rounded division. */
DDB_INLINE float ddb_exact_div(float a, float b)
{
#if defined(DDB_EXACT_X86) && defined(__AVX__)
    __asm__("vdivss {%1, %0, %0|%0, %0, %1}" : "+x"(a) : "x"(b));
#elif defined(DDB_EXACT_X86)
    __asm__("divss {%1, %0|%0, %1}" : "+x"(a) : "x"(b));
#elif defined(__aarch64__)
    __asm__("fdiv %s0, %s0, %s1" : "+w"(a) : "w"(b));
#else
    DDB_EXACT_HOLD(b);
    a = a / b;
    DDB_EXACT_HOLD(a);
#endif
    return a;
}

DDB_INLINE double ddb_exact_div64(double a, double b)
{
#if defined(DDB_EXACT_X86) && defined(__AVX__)
    __asm__("vdivsd {%1, %0, %0|%0, %0, %1}" : "+x"(a) : "x"(b));
#elif defined(DDB_EXACT_X86)
    __asm__("divsd {%1, %0|%0, %1}" : "+x"(a) : "x"(b));
#elif defined(__aarch64__)
    __asm__("fdiv %d0, %d0, %d1" : "+w"(a) : "w"(b));
#else
    DDB_EXACT_HOLD(b);
    a = a / b;
    DDB_EXACT_HOLD(a);
#endif
    return a;
}

/* x[i] = x[i] / by, four at a time where that is one instruction. */
DDB_FN void ddb_exact_div_all(float *x, size_t n, float by)
{
    size_t i = 0;
#if defined(DDB_EXACT_X86) && defined(DDB_PORT_X86)
    __m128 divisor = _mm_set1_ps(by);
    for (; i + 4 <= n; i += 4) {
        __m128 a = _mm_loadu_ps(x + i);
  #if defined(__AVX__)
        __asm__("vdivps {%1, %0, %0|%0, %0, %1}" : "+x"(a) : "x"(divisor));
  #else
        __asm__("divps {%1, %0|%0, %1}" : "+x"(a) : "x"(divisor));
  #endif
        _mm_storeu_ps(x + i, a);
    }
#elif defined(DDB_PORT_NEON)
    float32x4_t divisor = vdupq_n_f32(by);
    for (; i + 4 <= n; i += 4) {
        float32x4_t a = vld1q_f32(x + i);
        __asm__("fdiv %0.4s, %0.4s, %1.4s" : "+w"(a) : "w"(divisor));
        vst1q_f32(x + i, a);
    }
#endif
    for (; i < n; i++) {
        x[i] = ddb_exact_div(x[i], by);
    }
}

/* Square root of m * 2^e (m > 0, e even) to `digits` binary digits and rounded to nearest even: digit by digit, for processors
   whose root instruction we do not know by name.  The value is the returned number * 2^*exponent. */
DDB_FN uint64_t ddb_exact_root(uint64_t m, int e, int digits, int *exponent)
{
    uint64_t root = 0, rest = 0;
    while (m >> 62 == 0) {
        m <<= 2;
        e -= 2;
    }
    for (int i = 0; i <= digits; i++) {          /* one digit more, to round by; the first digit is 1 */
        uint64_t trial = root << 2 | 1;
        rest = rest << 2 | m >> 62;
        m <<= 2;
        root <<= 1;
        if (rest >= trial) {
            rest -= trial;
            root |= 1;
        }
    }
    rest |= m;
    *exponent = (e + 62) / 2 - digits + 1;
    return (root >> 1) + ((root & 1) != 0 && (rest != 0 || (root & 2) != 0));
}

/* sqrtf without a processor's help: x >= 0 and finite. */
DDB_FN float ddb_exact_sqrt_soft(float x)
{
    uint32_t bits = ddb_exact_bits(x), high = bits >> 23;
    uint64_t m = (bits & 0x7fffffu) | (high > 0 ? 0x800000u : 0);
    int e = (high > 0 ? (int)high : 1) - 150, exponent = 0;
    if (m == 0) {
        return x;
    }
    if (e & 1) {
        m <<= 1;
        e--;
    }
    uint64_t root = ddb_exact_root(m, e, 24, &exponent);     /* a root is never subnormal and never rounds up to 2^24 */
    return ddb_exact_from_bits((uint32_t)(exponent + 150) << 23 | ((uint32_t)root & 0x7fffffu));
}

DDB_FN double ddb_exact_sqrt64_soft(double x)
{
    uint64_t bits = ddb_exact_bits64(x), high = bits >> 52, m = (bits & 0xfffffffffffffu) | (high > 0 ? (uint64_t)1 << 52 : 0);
    int e = (high > 0 ? (int)high : 1) - 1075, exponent = 0;
    double out = x;
    if (m == 0) {
        return x;
    }
    if (e & 1) {
        m <<= 1;
        e--;
    }
    uint64_t root = ddb_exact_root(m, e, 53, &exponent);
    bits = (uint64_t)(exponent + 1075) << 52 | (root & 0xfffffffffffffu);
    memcpy(&out, &bits, 8);
    return out;
}

/* Square root, rounded to nearest even; x >= 0, infinity gives infinity. */
DDB_INLINE float ddb_exact_sqrt(float x)
{
    float root = x;
#if defined(DDB_EXACT_X86) && defined(__AVX__)
    __asm__ volatile("vsqrtss {%1, %1, %0|%0, %1, %1}" : "=x"(root) : "x"(x));
#elif defined(DDB_EXACT_X86)
    __asm__ volatile("sqrtss {%1, %0|%0, %1}" : "=x"(root) : "x"(x));
#elif defined(__aarch64__)
    __asm__ volatile("fsqrt %s0, %s1" : "=w"(root) : "w"(x));
#else
    root = ddb_exact_finite(x) ? ddb_exact_sqrt_soft(x) : x;
#endif
    return root;
}

DDB_INLINE double ddb_exact_sqrt64(double x)
{
    double root = x;
#if defined(DDB_EXACT_X86) && defined(__AVX__)
    __asm__ volatile("vsqrtsd {%1, %1, %0|%0, %1, %1}" : "=x"(root) : "x"(x));
#elif defined(DDB_EXACT_X86)
    __asm__ volatile("sqrtsd {%1, %0|%0, %1}" : "=x"(root) : "x"(x));
#elif defined(__aarch64__)
    __asm__ volatile("fsqrt %d0, %d1" : "=w"(root) : "w"(x));
#else
    root = ddb_exact_finite64(x) ? ddb_exact_sqrt64_soft(x) : x;
#endif
    return root;
}

/* The left fold: 0 + a0*b0 + a1*b1 ... */
DDB_FN DDB_NOINLINE float ddb_exact_fold(const float *a, const float *b, size_t n)
{
    float sum = 0;
    DDB_EXACT_FENCE(sum);
    for (size_t i = 0; i < n; i++) {
        sum = ddb_exact_add(sum, ddb_exact_mul(a[i], b[i]));
    }
    DDB_EXACT_FENCE(sum);
    return sum;
}

/* The left fold of (x[i] - c[i])^2. */
DDB_FN DDB_NOINLINE float ddb_exact_dist2(const float *x, const float *c, size_t n)
{
    float sum = 0;
    DDB_EXACT_FENCE(sum);
    for (size_t i = 0; i < n; i++) {
        float t = ddb_exact_sub(x[i], c[i]);
        sum = ddb_exact_add(sum, ddb_exact_mul(t, t));
    }
    DDB_EXACT_FENCE(sum);
    return sum;
}

/* The left fold of a[i]*x[i] in doubles (lsh-l2, spatial.md 3). */
DDB_FN DDB_NOINLINE double ddb_exact_fold64(const double *a, const float *x, size_t n)
{
    double sum = 0;
    DDB_EXACT_FENCE(sum);
    for (size_t i = 0; i < n; i++) {
        sum = ddb_exact_add64(sum, ddb_exact_mul64(a[i], (double)x[i]));
    }
    DDB_EXACT_FENCE(sum);
    return sum;
}

/* The score of an l2 field: the sum of (x[i] - q[i])^2 in doubles, then rounded to a float (spatial.md 3). */
DDB_FN DDB_NOINLINE float ddb_exact_dist2_wide(const float *x, const float *q, size_t n)
{
    double sum = 0;
    DDB_EXACT_FENCE(sum);
    for (size_t i = 0; i < n; i++) {
        double t = ddb_exact_sub64((double)x[i], (double)q[i]);
        sum = ddb_exact_add64(sum, ddb_exact_mul64(t, t));
    }
    float out = (float)sum;
    DDB_EXACT_FENCE(out);
    return out;
}

typedef enum ddb_exact_fault {
    DDB_EXACT_GOOD = 0,
    DDB_EXACT_NOT_FINITE,                        /* a NaN or an infinity in x */
    DDB_EXACT_OVERFLOW,                          /* the sum of squares is past the largest float */
    DDB_EXACT_ZERO                               /* the norm is zero, perhaps by underflow */
} ddb_exact_fault;

/* out = x / sqrt(fold(x, x)); out may be x.  On a fault out is not written. */
DDB_FN ddb_exact_fault ddb_exact_unit(const float *x, size_t n, float *out)
{
    if (!ddb_exact_all_finite(x, n)) {
        return DDB_EXACT_NOT_FINITE;
    }
    float norm = ddb_exact_sqrt(ddb_exact_fold(x, x, n));
    if (!ddb_exact_finite(norm)) {
        return DDB_EXACT_OVERFLOW;
    }
    if (ddb_exact_zero(norm)) {
        return DDB_EXACT_ZERO;
    }
    if (out != x) {
        memcpy(out, x, n * sizeof *out);
    }
    ddb_exact_div_all(out, n, norm);
    return DDB_EXACT_GOOD;
}

/* The reference's words for a fault (spatial.md 2.4).  lsh says more about an overflow than ivf and imi do. */
DDB_FN const char *ddb_exact_fault_text(ddb_exact_fault fault, bool lsh)
{
    switch (fault) {
    case DDB_EXACT_NOT_FINITE: return "input vector contains NaN or infinity";
    case DDB_EXACT_OVERFLOW:
        return lsh ? "intermediate f32 computation produced NaN/inf (overflow on huge magnitudes)" : "intermediate f32 computation produced NaN/inf";
    case DDB_EXACT_ZERO: return "vector norm is zero (cannot normalize)";
    case DDB_EXACT_GOOD: break;
    }
    return "no fault";
}

/* ChaCha20 key stream (RFC 8439 block, zero nonce) as 32-bit words: all random numbers of the format. */
typedef struct ddb_chacha { uint32_t key[8]; uint64_t counter; uint32_t words[16]; uint32_t used; } ddb_chacha;

DDB_FN void ddb_exact_chacha_init(ddb_chacha *c, const uint8_t seed[32])
{
    for (size_t i = 0; i < 8; i++) {
        c->key[i] = ddb_bytes_le32(seed + 4 * i);
    }
    c->counter = 0;
    c->used = 16;
}

DDB_INLINE uint32_t ddb_exact_rotate(uint32_t v, unsigned n) { return v << n | v >> (32 - n); }

DDB_FN void ddb_exact_chacha_quarter(uint32_t *w, size_t a, size_t b, size_t c, size_t d)
{
    w[a] += w[b]; w[d] = ddb_exact_rotate(w[d] ^ w[a], 16);
    w[c] += w[d]; w[b] = ddb_exact_rotate(w[b] ^ w[c], 12);
    w[a] += w[b]; w[d] = ddb_exact_rotate(w[d] ^ w[a], 8);
    w[c] += w[d]; w[b] = ddb_exact_rotate(w[b] ^ w[c], 7);
}

DDB_FN void ddb_exact_chacha_block(ddb_chacha *c)
{
    uint32_t start[16] = { 0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };   /* "expand 32-byte k" */
    uint32_t *w = c->words;
    memcpy(start + 4, c->key, sizeof c->key);
    start[12] = (uint32_t)c->counter;
    start[13] = (uint32_t)(c->counter >> 32);
    memcpy(w, start, sizeof start);
    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < 4; i++) {
            ddb_exact_chacha_quarter(w, i, 4 + i, 8 + i, 12 + i);
        }
        for (size_t i = 0; i < 4; i++) {
            ddb_exact_chacha_quarter(w, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
        }
    }
    for (size_t i = 0; i < 16; i++) {
        w[i] += start[i];
    }
    c->counter++;
    c->used = 0;
}

DDB_FN uint32_t ddb_exact_chacha_word(ddb_chacha *c)
{
    if (c->used == 16) {
        ddb_exact_chacha_block(c);
    }
    return c->words[c->used++];
}

/* (int32)word / 2^31, in [-1, 1]: rounded to a float first, then an exact division. */
DDB_FN float ddb_exact_uniform(uint32_t word)
{
    float x = (float)(int32_t)word;
    DDB_EXACT_HOLD(x);
    return ddb_exact_mul(x, 4.656612873077392578125e-10f);        /* 2^-31 */
}

/* ==== ROOM 07 kern | prefix ddb_kern_ | uses port cpu exact ==== */
/* Loops over many vectors at once: exact left folds with one lane a row (never inside a fold), and fast estimates where bits do not matter.
   Layouts: a *pack* is blocks of 16 rows, transposed: [block][dim][16] floats; *codes* are blocks of 16 rows of bytes, four dimensions together:
   [block][group of 4 dims][16 rows][4], code + 128, padded with 128.  Each function looks at the cpu mask and takes the best body.
   Invariant: fold, dist and rows give the same bits at every mask; dots the same integers; dot and near only promise the error bounds that room
   bound and room kmeans add.  The caller stands between ddb_exact_enter and ddb_exact_leave.  Must never allocate. */

enum {
    DDB_KERN_LANES = 16,                         /* rows of a block: one AVX-512 register of floats, one 64-byte line of codes */
    DDB_KERN_TILE = 4,                           /* blocks, and queries, that dots takes at once */
    DDB_KERN_ZERO_CODE = 128                     /* the stored byte of code 0 */
};

DDB_INLINE size_t ddb_kern_least_of(size_t a, size_t b) { return a < b ? a : b; }
DDB_INLINE size_t ddb_kern_blocks(size_t rows) { return (rows + DDB_KERN_LANES - 1) / DDB_KERN_LANES; }
DDB_INLINE size_t ddb_kern_groups(size_t dim) { return (dim + 3) / 4; }

/* Rows to a pack; lanes past the end are zero. */
DDB_FN void ddb_kern_pack(const float *rows, size_t stride, size_t count, size_t dim, float *out)
{
    for (size_t base = 0; base < count; base += DDB_KERN_LANES) {
        for (size_t lane = 0; lane < DDB_KERN_LANES; lane++) {
            const float *row = rows + (base + lane) * stride;
            for (size_t i = 0; i < dim; i++) {
                out[i * DDB_KERN_LANES + lane] = base + lane < count ? row[i] : 0.0f;
            }
        }
        out += dim * DDB_KERN_LANES;
    }
}

/* ---- Exact folds ---- */

/* out[a * 16 + b] = fold(row a, row b) for one block of each pack. */
DDB_FN void ddb_kern_fold_block_any(const float *a, const float *b, size_t dim, size_t b_count, float *out)
{
    for (size_t lane = 0; lane < b_count; lane++) {
        float sum[DDB_KERN_LANES];
        memset(sum, 0, sizeof sum);
        for (size_t i = 0; i < dim; i++) {
            for (size_t l = 0; l < DDB_KERN_LANES; l++) {
                sum[l] = ddb_exact_add(sum[l], ddb_exact_mul(a[i * DDB_KERN_LANES + l], b[i * DDB_KERN_LANES + lane]));
            }
        }
        memcpy(out + lane * DDB_KERN_LANES, sum, sizeof sum);
    }
}

/* Scores of the 16 rows of block a against b_count (1 to 16) rows of block b: out[b * 16 + a]. */
DDB_FN void ddb_kern_fold_block(uint32_t cpu, const float *a, const float *b, size_t dim, size_t b_count, float *out)
{
    (void)cpu;
    ddb_kern_fold_block_any(a, b, dim, b_count, out);
}

/* out[blocks * 16] = fold(row, q) for every row of a pack. */
DDB_FN void ddb_kern_fold_one(uint32_t cpu, const float *pack, size_t blocks, size_t dim, const float *q, float *out)
{
    (void)cpu;
    for (size_t block = 0; block < blocks; block++) {
        float sum[DDB_KERN_LANES];
        memset(sum, 0, sizeof sum);
        for (size_t i = 0; i < dim; i++) {
            for (size_t l = 0; l < DDB_KERN_LANES; l++) {
                sum[l] = ddb_exact_add(sum[l], ddb_exact_mul(pack[i * DDB_KERN_LANES + l], q[i]));
            }
        }
        memcpy(out + block * DDB_KERN_LANES, sum, sizeof sum);
        pack += dim * DDB_KERN_LANES;
    }
}

/* least[blocks * 16] = min(least, dist2(row, c)); no value is NaN or negative, so bits order as floats do. */
DDB_FN void ddb_kern_dist(uint32_t cpu, const float *pack, size_t blocks, size_t dim, const float *c, float *least)
{
    (void)cpu;
    for (size_t block = 0; block < blocks; block++) {
        float sum[DDB_KERN_LANES];
        memset(sum, 0, sizeof sum);
        for (size_t i = 0; i < dim; i++) {
            for (size_t l = 0; l < DDB_KERN_LANES; l++) {
                float t = ddb_exact_sub(pack[i * DDB_KERN_LANES + l], c[i]);
                sum[l] = ddb_exact_add(sum[l], ddb_exact_mul(t, t));
            }
        }
        for (size_t l = 0; l < DDB_KERN_LANES; l++) {
            least[l] = ddb_exact_bits(sum[l]) < ddb_exact_bits(least[l]) ? sum[l] : least[l];
        }
        least += DDB_KERN_LANES;
        pack += dim * DDB_KERN_LANES;
    }
}

/* out[i] = fold(rows[i], q) for count <= 16 plain rows, side by side. */
DDB_FN void ddb_kern_rows(uint32_t cpu, const float *const *rows, size_t count, const float *q, size_t dim, float *out)
{
    (void)cpu;
    for (size_t at = 0; at < count; at += 4) {
        const float *r[4];
        float sum[4] = { 0, 0, 0, 0 };
        for (size_t l = 0; l < 4; l++) {
            r[l] = rows[at + l < count ? at + l : at];
        }
        for (size_t i = 0; i < dim; i++) {
            for (size_t l = 0; l < 4; l++) {
                sum[l] = ddb_exact_add(sum[l], ddb_exact_mul(r[l][i], q[i]));
            }
        }
        memcpy(out + at, sum, (count - at < 4 ? count - at : 4) * sizeof *sum);
    }
}

/* ---- Estimates ---- */

/* A dot product in any order, products perhaps fused: |error| <= (n + 8) * 2^-24 * |a||b| (and 2^-149 a product). */
DDB_FN float ddb_kern_dot(uint32_t cpu, const float *a, const float *b, size_t n)
{
    float sum[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };
    (void)cpu;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (size_t l = 0; l < 8; l++) {
            sum[l] += a[i + l] * b[i + l];
        }
    }
    for (; i < n; i++) {
        sum[i & 7] += a[i] * b[i];
    }
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

/* out[q * blocks * 16 + row] = dot(row, query q) in any order, for count queries and a whole pack; error as ddb_kern_dot. */
DDB_FN void ddb_kern_near(uint32_t cpu, const float *pack, size_t blocks, size_t dim, const float *queries, size_t stride, size_t count, float *out)
{
    (void)cpu;
    for (size_t q = 0; q < count; q++) {
        for (size_t block = 0; block < blocks; block++) {
            float sum[DDB_KERN_LANES];
            const float *at = pack + block * dim * DDB_KERN_LANES;
            memset(sum, 0, sizeof sum);
            for (size_t i = 0; i < dim; i++) {
                for (size_t l = 0; l < DDB_KERN_LANES; l++) {
                    sum[l] += at[i * DDB_KERN_LANES + l] * queries[q * stride + i];
                }
            }
            memcpy(out + (q * blocks + block) * DDB_KERN_LANES, sum, sizeof sum);
        }
    }
}

/* The largest magnitude of a query's code: AVX2 adds two products in 16 bits, and 2 * 255 * 64 < 2^15. */
DDB_INLINE int32_t ddb_kern_query_limit(uint32_t cpu)
{
    return (cpu & DDB_CPU_AVX2) != 0 && (cpu & (DDB_CPU_VNNI | DDB_CPU_AVXVNNI)) == 0 ? 64 : 127;
}

/* What coding a vector tells: step between codes, largest magnitude, float sums of squares of the vector and of what the code leaves. */
typedef struct ddb_kern_coded { float scale, most, squares, errors; } ddb_kern_coded;

/* Codes of v = x - mean (mean may be NULL): code[i] = v[i] / scale rounded, |code| <= limit; padded with 0 to whole groups.
   All magnitudes below 2^41. */
DDB_FN void ddb_kern_code(uint32_t cpu, const float *x, const float *mean, size_t dim, int32_t limit, int8_t *code, ddb_kern_coded *out)
{
    float most = 0, squares = 0, errors = 0;
    (void)cpu;
    for (size_t i = 0; i < dim; i++) {
        float v = mean ? x[i] - mean[i] : x[i];
        float size = v < 0 ? -v : v;
        most = size > most ? size : most;
        squares += v * v;
    }
    bool any = most > 1e-30f;                    /* below this the code is all zero and the whole row is error */
    float step = any ? most / (float)limit : 1.0f, inverse = any ? (float)limit / most : 0.0f;
    for (size_t i = 0; i < dim; i++) {
        float v = mean ? x[i] - mean[i] : x[i];
        float ratio = v * inverse;
        int32_t c = (int32_t)(ratio < 0 ? ratio - 0.5f : ratio + 0.5f);
        c = c > limit ? limit : c < -limit ? -limit : c;
        code[i] = (int8_t)c;
        float e = v - (float)c * step;
        errors += e * e;
    }
    for (size_t i = dim; i < ddb_kern_groups(dim) * 4; i++) {
        code[i] = 0;
    }
    out->scale = step;
    out->most = most;
    out->squares = squares;
    out->errors = errors;
}

/* Puts a row's code into lane `lane` of its block. */
DDB_FN void ddb_kern_code_store(const int8_t *code, size_t groups, uint8_t *block, size_t lane)
{
    block += lane * 4;
    for (size_t g = 0; g < groups; g++) {
        for (size_t i = 0; i < 4; i++) {
            block[g * 64 + i] = (uint8_t)(code[g * 4 + i] + DDB_KERN_ZERO_CODE);
        }
    }
}

/* What dots gives too much for a query, negated: stored codes are 128 too high. */
DDB_FN int32_t ddb_kern_bias(const int8_t *code, size_t groups)
{
    int32_t sum = 0;
    for (size_t i = 0; i < groups * 4; i++) {
        sum += code[i];
    }
    return -DDB_KERN_ZERO_CODE * sum;
}

/* out[q * 16 * blocks + row] = the integer sum of stored code * query code, for up to 4 blocks and 4 queries.  Padding gives 128 * 0. */
DDB_FN void ddb_kern_dots(uint32_t cpu, const uint8_t *codes, size_t blocks, size_t groups, const int8_t *queries, size_t stride, size_t count, int32_t *out)
{
    (void)cpu;
    for (size_t q = 0; q < count; q++) {
        for (size_t block = 0; block < blocks; block++) {
            const uint8_t *at = codes + block * groups * 64;
            const int8_t *query = queries + q * stride;
            int32_t sum[DDB_KERN_LANES];
            memset(sum, 0, sizeof sum);
            for (size_t g = 0; g < groups; g++) {
                for (size_t l = 0; l < DDB_KERN_LANES; l++) {
                    const uint8_t *c = at + g * 64 + l * 4;
                    sum[l] += c[0] * query[g * 4] + c[1] * query[g * 4 + 1] + c[2] * query[g * 4 + 2] + c[3] * query[g * 4 + 3];
                }
            }
            memcpy(out + (q * blocks + block) * DDB_KERN_LANES, sum, sizeof sum);
        }
    }
}

/* Bit r is set where (dots[r] + bias) * scale[r] + error[r] * weight >= least, for up to 64 rows. */
DDB_FN uint64_t ddb_kern_pass(uint32_t cpu, const int32_t *dots, int32_t bias, const float *scale, const float *error, float weight, float least, size_t rows)
{
    uint64_t mask = 0;
    (void)cpu;
    for (size_t r = 0; r < rows; r++) {
        float upper = (float)(dots[r] + bias) * scale[r] + error[r] * weight;
        mask |= (uint64_t)(upper >= least) << r;
    }
    return mask;
}

/* Turns dots of a sample into g = square - 2 * dot, in place; returns the least.  n is a multiple of 16. */
DDB_FN float ddb_kern_gap(uint32_t cpu, float *dots, const float *squares, size_t n)
{
    float least = 3.0e38f;
    (void)cpu;
    for (size_t i = 0; i < n; i++) {
        float g = squares[i] - 2.0f * dots[i];
        dots[i] = g;
        least = g < least ? g : least;
    }
    return least;
}

/* Bit i is set where values[i] <= most, for n <= 64. */
DDB_FN uint64_t ddb_kern_below(uint32_t cpu, const float *values, float most, size_t n)
{
    uint64_t mask = 0;
    (void)cpu;
    for (size_t i = 0; i < n; i++) {
        mask |= (uint64_t)(values[i] <= most) << i;
    }
    return mask;
}

/* sum[i] = sum[i] + x[i], each rounded: exact in the sense of this format. */
DDB_FN void ddb_kern_sum(float *sum, const float *x, size_t n)
{
    size_t i = 0;
#if defined(DDB_PORT_X86)
    for (; i + 4 <= n; i += 4) {
        __m128 s = _mm_add_ps(_mm_loadu_ps(sum + i), _mm_loadu_ps(x + i));
        DDB_EXACT_HOLD(s);
        _mm_storeu_ps(sum + i, s);
    }
#elif defined(DDB_PORT_NEON)
    for (; i + 4 <= n; i += 4) {
        float32x4_t s = vaddq_f32(vld1q_f32(sum + i), vld1q_f32(x + i));
        DDB_EXACT_HOLD(s);
        vst1q_f32(sum + i, s);
    }
#endif
    for (; i < n; i++) {
        sum[i] = ddb_exact_add(sum[i], x[i]);
    }
}

/* ==== ROOM 08 bound | prefix ddb_bound_ | uses mem cpu exact kern ==== */
/* The largest left folds of a query with a set of rows: dispatch to cells, choice of cells, search, the oracle (kernels.md 1, 2, 8).
   A *coded* set holds each row rounded to 8 bits; an integer dot product with an equally rounded query gives an estimate with a hard bound, and
   only rows that the bound cannot exclude get the exact fold.  A *plain* set (few rows, or magnitudes the bound does not cover) folds them all.
   Invariant: ids and scores are those of the exact fold, ties to the lowest index, the same at every cpu mask; the bound only saves work.

   The bound.  u = 2^-24; all norms are kept rounded up.  Row r, mean m of the set (any vector will do), row' = r - m = s*c + e with integers
   c, |e| <= E; query q = z*k + h with integers k, |h| <= H, |q| <= Q.  Then
       <r,q> = <m,q> + <s*c, z*k> + <s*c, h> + <e, q>,      so   |<r,q> - <m,q> - s*z*I| <= A*H + E*Q     (Cauchy-Schwarz twice)
   where I = sum c*k is exact in integers and A >= |s*c| (A <= |row'| + E).  The fold f of r and q is off by at most d*u/(1-d*u) * |r||q| and
   2^-150 for each product that underflows; the computed b of <m,q> by (d+8)*u * |m|Q the same way; X = s*I in floats by 2.1*u*|s*I|, and
   |s*I*z| <= A*(Q+H).  With w = Q/z and slack c = (A*H + (|r|+|m|)*Q*(2d+32)*u + 8*u*(A*(Q+H) + E*Q) + tiny)/z, widened by 2^-18 of itself,
       b + z*(X - E*w - c)  <=  f  <=  b + z*(X + E*w + c)
   holds with the float roundings of X + E*w covered too.  A row is dropped only when its upper end is below a value that enough other rows
   are known to reach.  d <= 65,536 keeps I within 32 bits and d*u below 2^-8. */

enum {
    DDB_BOUND_PLAIN = 1,                         /* flags of ddb_bound_build: no codes */
    DDB_BOUND_CODED = 2,                         /* codes even for a small set */
    DDB_BOUND_DIM_MOST = 65536,                  /* 255 * 127 * d must stay below 2^31 */
    DDB_BOUND_TILE = 64,                         /* rows that are estimated at once */
    DDB_BOUND_WAIT = 48,                         /* rows a query of argmax keeps before it folds them */
    DDB_BOUND_SMALL = 16384                      /* floats: below, folding all is as fast as a filter (kernels.md 1: k 200, d 64) */
};
#define DDB_BOUND_HUGE 1.0e38f                   /* stands for infinity: -ffast-math may think there is none */

typedef struct ddb_bound_set {
    size_t   bytes, count, blocks, groups;       /* bytes: of the one allocation; groups: of 4 dimensions */
    uint32_t dim;
    bool     coded, centred;
    float   *pack;                               /* plain: room kern's pack */
    float   *rows;                               /* coded: [count][dim] */
    uint8_t *codes;                              /* coded: room kern's codes of row - mean */
    float   *scale, *error;                      /* coded: s and E of each row, padded to whole blocks */
    float   *mean;                               /* coded and centred: [dim] */
    float    mean_norm, code_most, row_most, error_most;     /* |m|, largest A, |r| and E */
} ddb_bound_set;

/* Order of scores as integers: NaN below everything, -0 equal to 0. */
DDB_INLINE uint32_t ddb_bound_key(float score)
{
    uint32_t bits = ddb_exact_bits(score);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return 0;
    }
    if (bits == 0x80000000u) {
        bits = 0;
    }
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

/* a little more than x >= 0, and a little less than x. */
DDB_INLINE float ddb_bound_up(double x) { return (float)(x * 1.0000002384185791); }                     /* 1 + 2^-22 */
DDB_INLINE float ddb_bound_down(double x) { return (float)(x - (x < 0 ? -x : x) * 2.384185791015625e-7 - 1e-37); }

/* Upper bounds of the norm and of the rounding error from the float sums of squares that room kern gives: each sum is of positive terms, so off by
   (d+1)*u of itself at most, and each difference by 3*u*most; squares below 2^-149 are lost. */
DDB_FN void ddb_bound_norms(uint32_t dim, const ddb_kern_coded *coded, float *norm, float *error)
{
    double wide = 1.0 + ((double)dim + 16) * 2.384185791015625e-7;
    double root = (double)ddb_exact_sqrt((float)dim) * 1.000001;
    double lost = root * 1e-22;
    *norm = ddb_bound_up((double)ddb_exact_sqrt(coded->squares) * wide + lost);
    *error = ddb_bound_up((double)ddb_exact_sqrt(coded->errors) * wide + root * (double)coded->most * 4.76837158203125e-7 + lost);
}

/* ---- Building a set ---- */

/* Are all finite and small enough for the bound? */
DDB_FN bool ddb_bound_tame(const float *x, size_t n)
{
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = ddb_exact_bits(x[i]) & 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    return most < 0x53800000u;                   /* 2^40: sums of squares of all rows stay floats; infinity and NaN are larger integers */
}

DDB_FN size_t ddb_bound_take(size_t *at, size_t size)
{
    size_t start = *at;
    *at = (start + size + 63) & ~(size_t)63;     /* each array on a cache line of its own */
    return start;
}

/* Allocates the set and lays its arrays out; sizes cannot overflow where rows of that many floats exist in memory. */
DDB_FN ddb_bound_set *ddb_bound_alloc(ddb_ctx *ctx, size_t count, uint32_t dim, bool coded)
{
    size_t blocks = ddb_kern_blocks(count), groups = ddb_kern_groups(dim), lanes = blocks * DDB_KERN_LANES;
    size_t at = 0, rows = 0, codes = 0, scale = 0, error = 0, mean = 0;
    (void)ddb_bound_take(&at, sizeof(ddb_bound_set));
    if (lanes > SIZE_MAX / 16 / ((size_t)dim + 16)) {
        (void)ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "%zu rows of %lu floats are too many", count, (unsigned long)dim);
        return NULL;
    }
    rows = ddb_bound_take(&at, (coded ? count : lanes) * dim * sizeof(float));
    if (coded) {
        codes = ddb_bound_take(&at, lanes * groups * 4);
        scale = ddb_bound_take(&at, lanes * sizeof(float));
        error = ddb_bound_take(&at, lanes * sizeof(float));
        mean = ddb_bound_take(&at, dim * sizeof(float));
    }
    size_t bytes = at + 64 + sizeof(void *);
    uint8_t *memory = (uint8_t *)ddb_mem_alloc(ctx, bytes);
    if (!memory) {
        return NULL;
    }
    uint8_t *base = memory + 64 - ((uintptr_t)memory & 63);   /* 1 to 64 bytes on; allocators give 16, so there is room for a pointer */
    ddb_bound_set *set = (ddb_bound_set *)(void *)base;
    memset(set, 0, sizeof *set);
    memcpy(base - sizeof memory, &memory, sizeof memory);
    set->bytes = bytes;
    set->count = count;
    set->blocks = blocks;
    set->groups = groups;
    set->dim = dim;
    set->coded = coded;
    set->pack = coded ? NULL : (float *)(void *)(base + rows);
    if (coded) {
        set->rows = (float *)(void *)(base + rows);
        set->codes = base + codes;
        set->scale = (float *)(void *)(base + scale);
        set->error = (float *)(void *)(base + error);
        set->mean = (float *)(void *)(base + mean);
    }
    return set;
}

DDB_FN void ddb_bound_free(ddb_ctx *ctx, ddb_bound_set *set)
{
    if (set) {
        void *memory = NULL;
        memcpy(&memory, (uint8_t *)set - sizeof memory, sizeof memory);
        ddb_mem_free(ctx, memory, set->bytes);
    }
}

DDB_FN size_t ddb_bound_bytes(const ddb_bound_set *set) { return set->bytes; }

/* The mean of the rows, if taking it off makes them clearly shorter. */
DDB_FN void ddb_bound_centre(ddb_ctx *ctx, ddb_bound_set *set)
{
    float part = 1.0f / (float)set->count, squares = 0;
    memset(set->mean, 0, set->dim * sizeof(float));
    for (size_t r = 0; r < set->count; r++) {
        for (size_t i = 0; i < set->dim; i++) {
            set->mean[i] += set->rows[r * set->dim + i];
        }
        squares += ddb_kern_dot(ctx->cpu, set->rows + r * set->dim, set->rows + r * set->dim, set->dim);
    }
    for (size_t i = 0; i < set->dim; i++) {
        set->mean[i] *= part;
    }
    float mean = ddb_kern_dot(ctx->cpu, set->mean, set->mean, set->dim);
    set->centred = mean > squares * part * 0.2f;  /* the mean square of row' is that of row less |m|^2 */
    set->mean_norm = set->centred ? ddb_bound_up((double)ddb_exact_sqrt(mean) * (1.0 + ((double)set->dim + 16) * 2.384185791015625e-7) + 1e-20) : 0.0f;
}

DDB_FN dreamdb_status ddb_bound_code_rows(ddb_ctx *ctx, ddb_bound_set *set)
{
    size_t wide = set->groups * 4;
    int8_t *code = (int8_t *)ddb_mem_alloc(ctx, wide);
    if (!code) {
        return DREAMDB_ERR_MEMORY;
    }
    memset(set->codes, DDB_KERN_ZERO_CODE, set->blocks * set->groups * 64);
    memset(set->scale, 0, set->blocks * DDB_KERN_LANES * sizeof(float));
    memset(set->error, 0, set->blocks * DDB_KERN_LANES * sizeof(float));
    ddb_bound_centre(ctx, set);
    for (size_t r = 0; r < set->count; r++) {
        ddb_kern_coded coded;
        float norm = 0;
        ddb_kern_code(ctx->cpu, set->rows + r * set->dim, set->centred ? set->mean : NULL, set->dim, 127, code, &coded);
        ddb_bound_norms(set->dim, &coded, &norm, set->error + r);
        set->scale[r] = coded.scale;
        set->row_most = norm > set->row_most ? norm : set->row_most;
        set->error_most = set->error[r] > set->error_most ? set->error[r] : set->error_most;
        ddb_kern_code_store(code, set->groups, set->codes + r / DDB_KERN_LANES * set->groups * 64, r % DDB_KERN_LANES);
    }
    set->code_most = ddb_bound_up((double)set->row_most + (double)set->error_most);
    set->row_most = ddb_bound_up((double)set->row_most + (double)set->mean_norm);
    ddb_mem_free(ctx, code, wide);
    return DREAMDB_OK;
}

/* A set of count rows, copied as they are (unit vectors where the score is the cosine).  flags: DDB_BOUND_ or 0. */
DDB_FN dreamdb_status ddb_bound_build(ddb_ctx *ctx, const float *rows, size_t stride_floats, size_t count, uint32_t dim, uint32_t flags, ddb_bound_set **out)
{
    bool coded = (flags & DDB_BOUND_PLAIN) == 0 && dim <= DDB_BOUND_DIM_MOST && count > 0;
    dreamdb_status status = DREAMDB_OK;
    ddb_exact_env env;
    *out = NULL;
    if ((flags & DDB_BOUND_CODED) == 0 && count < DDB_BOUND_SMALL / ((size_t)dim + 1) + 1) {
        coded = false;
    }
    for (size_t r = 0; coded && r < count; r++) {
        coded = ddb_bound_tame(rows + r * stride_floats, dim);
    }
    ddb_bound_set *set = ddb_bound_alloc(ctx, count, dim, coded);
    if (!set) {
        return ctx->error ? ctx->error->status : DREAMDB_ERR_MEMORY;
    }
    ddb_exact_enter(&env);
    if (coded) {
        for (size_t r = 0; r < count; r++) {
            memcpy(set->rows + r * dim, rows + r * stride_floats, dim * sizeof(float));
        }
        status = ddb_bound_code_rows(ctx, set);
    } else {
        ddb_kern_pack(rows, stride_floats, count, dim, set->pack);
    }
    ddb_exact_leave(&env);
    if (status < 0) {
        ddb_bound_free(ctx, set);
        return status;
    }
    *out = set;
    return DREAMDB_OK;
}

/* Row r as it was given. */
DDB_FN void ddb_bound_row(const ddb_bound_set *set, size_t r, float *out)
{
    for (size_t i = 0; i < set->dim; i++) {
        out[i] = set->coded ? set->rows[r * set->dim + i] : set->pack[(r / DDB_KERN_LANES * set->dim + i) * DDB_KERN_LANES + r % DDB_KERN_LANES];
    }
}

/* ---- A query's code, and its bound against one set ---- */

typedef struct ddb_bound_code { const float *query; const int8_t *code; float scale, norm, error; bool wild; } ddb_bound_code;

/* code has room for groups * 4 bytes. */
DDB_FN void ddb_bound_code_query(uint32_t cpu, const float *query, uint32_t dim, int8_t *code, ddb_bound_code *out)
{
    ddb_kern_coded coded;
    out->query = query;
    out->code = code;
    out->wild = !ddb_bound_tame(query, dim);
    if (out->wild) {
        memset(code, 0, ddb_kern_groups(dim) * 4);
        out->scale = 1.0f;
        out->norm = out->error = 0.0f;
        return;
    }
    ddb_kern_code(cpu, query, NULL, dim, ddb_kern_query_limit(cpu), code, &coded);
    ddb_bound_norms(dim, &coded, &out->norm, &out->error);
    out->scale = coded.scale;
}

/* w, c and b of the proof; near: how far a float dot product may be from the fold. */
typedef struct ddb_bound_slack { float weight, slack, near; double base, scale; } ddb_bound_slack;

DDB_FN void ddb_bound_slack_of(uint32_t cpu, const ddb_bound_set *set, const ddb_bound_code *code, ddb_bound_slack *out)
{
    const double u = 5.9604644775390625e-8, wide = 1.0 + 3.814697265625e-6;      /* 2^-24, 1 + 2^-18 */
    double q = (double)code->norm, h = (double)code->error, a = (double)set->code_most, dim = (double)set->dim;
    double tiny = (dim + 8) * 1e-44;
    out->scale = (double)code->scale;
    out->base = 0;
    if (code->wild) {
        out->weight = 0;
        out->slack = out->near = DDB_BOUND_HUGE;
        return;
    }
    if (set->centred) {
        out->base = (double)ddb_kern_dot(cpu, set->mean, code->query, set->dim);
    }
    double slack = a * h + ((double)set->row_most + (double)set->mean_norm) * q * (2 * dim + 32) * u + 8 * u * (a * (q + h) + (double)set->error_most * q) + tiny;
    out->slack = ddb_bound_up(slack * wide / out->scale + 1e-30);
    out->weight = ddb_bound_up(q / out->scale);
    out->near = ddb_bound_up(((double)set->row_most * q * (2 * dim + 32) * u + tiny) * wide);
}

/* The least upper end (X + E*w) of a row whose fold may reach `score`. */
DDB_INLINE float ddb_bound_least(const ddb_bound_slack *s, double score)
{
    double least = (score - s->base) / s->scale - (double)s->slack;
    return least < -(double)DDB_BOUND_HUGE ? -DDB_BOUND_HUGE : ddb_bound_down(least);
}

/* Exact folds of some rows, by number, of a coded set. */
DDB_FN void ddb_bound_fold(uint32_t cpu, const ddb_bound_set *set, const float *query, const uint32_t *rows, size_t count, float *scores)
{
    const float *at[DDB_KERN_LANES];
    for (size_t i = 0; i < count; i += DDB_KERN_LANES) {
        size_t some = ddb_kern_least_of(count - i, DDB_KERN_LANES);
        for (size_t l = 0; l < some; l++) {
            at[l] = set->rows + (size_t)rows[i + l] * set->dim;
        }
        ddb_kern_rows(cpu, at, some, query, set->dim, scores + i);
    }
}

/* ---- The nearest row, for many queries ---- */

/* One query of argmax: the rows that may still win. */
typedef struct ddb_bound_seek {
    ddb_bound_code  code;
    ddb_bound_slack slack;
    float    low, least;                         /* highest lower end X - E*w seen; rows with an upper end below least are out */
    uint32_t best, best_key, used;
    bool     folded;                             /* best is a row with an exact score */
    uint32_t rows[DDB_BOUND_WAIT];
    float    upper[DDB_BOUND_WAIT];
} ddb_bound_seek;

/* Drops the waiting rows that are out by now. */
DDB_FN void ddb_bound_seek_drop(ddb_bound_seek *s)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->used; i++) {
        if (s->upper[i] >= s->least) {
            s->rows[kept] = s->rows[i];
            s->upper[kept++] = s->upper[i];
        }
    }
    s->used = kept;
}

/* Folds the waiting rows and keeps the best. */
DDB_FN void ddb_bound_seek_fold(uint32_t cpu, const ddb_bound_set *set, ddb_bound_seek *s)
{
    float scores[DDB_BOUND_WAIT];
    ddb_bound_fold(cpu, set, s->code.query, s->rows, s->used, scores);
    for (uint32_t i = 0; i < s->used; i++) {
        uint32_t key = ddb_bound_key(scores[i]);
        if (!s->folded || key > s->best_key || (key == s->best_key && s->rows[i] < s->best)) {
            s->folded = true;
            s->best_key = key;
            s->best = s->rows[i];
            if (!s->code.wild) {
                float least = ddb_bound_least(&s->slack, (double)scores[i]);
                s->least = least > s->least ? least : s->least;
            }
        }
    }
    s->used = 0;
}

/* Takes in the rows of a tile that are set in mask. */
DDB_FN void ddb_bound_seek_take(uint32_t cpu, const ddb_bound_set *set, ddb_bound_seek *s, const int32_t *dots, int32_t bias, size_t first, uint64_t mask)
{
    for (uint32_t l = 0; l < 64 && mask >> l != 0; l++) {
        if ((mask >> l & 1) == 0) {
            continue;
        }
        size_t row = first + l;
        float x = (float)(dots[l] + bias) * set->scale[row], half = set->error[row] * s->slack.weight;
        if (x + half < s->least) {
            continue;
        }
        if (x - half > s->low) {
            float least = ddb_bound_down((double)(x - half) - 2 * (double)s->slack.slack);
            s->low = x - half;
            s->least = least > s->least ? least : s->least;
        }
        if (s->used == DDB_BOUND_WAIT) {
            ddb_bound_seek_drop(s);
            if (s->used > DDB_BOUND_WAIT / 2) {
                ddb_bound_seek_fold(cpu, set, s);
            }
        }
        s->rows[s->used] = (uint32_t)row;
        s->upper[s->used++] = x + half;
    }
}

DDB_FN uint32_t ddb_bound_seek_end(uint32_t cpu, const ddb_bound_set *set, ddb_bound_seek *s)
{
    ddb_bound_seek_drop(s);
    if (!s->folded && s->used == 1) {
        return s->rows[0];                       /* nobody else can reach it */
    }
    ddb_bound_seek_fold(cpu, set, s);
    return s->best;
}

/* count <= DDB_BOUND_GROUP coded queries against a coded set. */
enum { DDB_BOUND_GROUP = 64 };                   /* queries that pass over the set together: a tile of codes is read once for all */

DDB_FN void ddb_bound_argmax_coded(uint32_t cpu, const ddb_bound_set *set, ddb_bound_seek *seeks, const int8_t *codes, const int32_t *bias, size_t count)
{
    int32_t dots[DDB_KERN_TILE * DDB_BOUND_TILE];
    size_t wide = set->groups * 4;
    for (size_t block = 0; block < set->blocks; block += DDB_KERN_TILE) {
        size_t blocks = ddb_kern_least_of(set->blocks - block, DDB_KERN_TILE);
        size_t first = block * DDB_KERN_LANES, rows = ddb_kern_least_of(set->count - first, DDB_BOUND_TILE);
        for (size_t q = 0; q < count; q += DDB_KERN_TILE) {
            size_t some = ddb_kern_least_of(count - q, DDB_KERN_TILE);
            ddb_kern_dots(cpu, set->codes + block * set->groups * 64, blocks, set->groups, codes + q * wide, wide, some, dots);
            for (size_t i = 0; i < some; i++) {
                ddb_bound_seek *s = seeks + q + i;
                const int32_t *mine = dots + i * blocks * DDB_KERN_LANES;
                uint64_t mask = ddb_kern_pass(cpu, mine, bias[q + i], set->scale + first, set->error + first, s->slack.weight, s->least, rows);
                if (mask != 0) {
                    ddb_bound_seek_take(cpu, set, s, mine, bias[q + i], first, mask);
                }
            }
        }
    }
}

DDB_FN void ddb_bound_seek_start(uint32_t cpu, const ddb_bound_set *set, const float *query, int8_t *code, ddb_bound_seek *s, int32_t *bias)
{
    ddb_bound_code_query(cpu, query, set->dim, code, &s->code);
    ddb_bound_slack_of(cpu, set, &s->code, &s->slack);
    s->low = s->least = -DDB_BOUND_HUGE;
    s->best = s->best_key = s->used = 0;
    s->folded = false;
    *bias = ddb_kern_bias(code, set->groups);
}

/* Every row of a plain set: 16 queries at a time. */
DDB_FN dreamdb_status ddb_bound_argmax_plain(ddb_ctx *ctx, const ddb_bound_set *set, const float *queries, size_t stride, size_t count, uint32_t *out)
{
    float scores[DDB_KERN_LANES * DDB_KERN_LANES];
    size_t size = (size_t)set->dim * DDB_KERN_LANES;
    float *pack = ddb_mem_new(ctx, float, size);
    if (!pack) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t q = 0; q < count; q += DDB_KERN_LANES) {
        size_t some = ddb_kern_least_of(count - q, DDB_KERN_LANES);
        uint32_t best[DDB_KERN_LANES];
        memset(best, 0, sizeof best);
        ddb_kern_pack(queries + q * stride, stride, some, set->dim, pack);
        for (size_t block = 0; block < set->blocks; block++) {
            size_t first = block * DDB_KERN_LANES, rows = ddb_kern_least_of(set->count - first, DDB_KERN_LANES);
            ddb_kern_fold_block(ctx->cpu, set->pack + block * size, pack, set->dim, some, scores);
            for (size_t i = 0; i < some; i++) {
                for (size_t l = 0; l < rows; l++) {
                    uint32_t key = ddb_bound_key(scores[i * DDB_KERN_LANES + l]);
                    if (first + l == 0 || key > best[i]) {
                        best[i] = key;
                        out[q + i] = (uint32_t)(first + l);
                    }
                }
            }
        }
    }
    ddb_mem_drop(ctx, pack, float, size);
    return DREAMDB_OK;
}

/* out[q] = the row whose fold with query q is largest, the lowest on a tie.  The set is not empty. */
DDB_FN dreamdb_status ddb_bound_argmax(ddb_ctx *ctx, const ddb_bound_set *set, const float *queries, size_t stride, size_t count, uint32_t *out)
{
    dreamdb_status status = DREAMDB_OK;
    ddb_exact_env env;
    size_t wide = set->groups * 4;
    if (!set->coded) {
        ddb_exact_enter(&env);
        status = ddb_bound_argmax_plain(ctx, set, queries, stride, count, out);
        ddb_exact_leave(&env);
        return status;
    }
    ddb_bound_seek *seeks = ddb_mem_new(ctx, ddb_bound_seek, DDB_BOUND_GROUP);
    int8_t *codes = ddb_mem_new(ctx, int8_t, DDB_BOUND_GROUP * wide);
    int32_t bias[DDB_BOUND_GROUP];
    if (!seeks || !codes) {
        status = DREAMDB_ERR_MEMORY;
        count = 0;
    }
    ddb_exact_enter(&env);
    for (size_t q = 0; q < count; q += DDB_BOUND_GROUP) {
        size_t some = ddb_kern_least_of(count - q, DDB_BOUND_GROUP);
        for (size_t i = 0; i < some; i++) {
            ddb_bound_seek_start(ctx->cpu, set, queries + (q + i) * stride, codes + i * wide, seeks + i, bias + i);
        }
        ddb_bound_argmax_coded(ctx->cpu, set, seeks, codes, bias, some);
        for (size_t i = 0; i < some; i++) {
            out[q + i] = ddb_bound_seek_end(ctx->cpu, set, seeks + i);
        }
    }
    ddb_exact_leave(&env);
    ddb_mem_drop(ctx, seeks, ddb_bound_seek, DDB_BOUND_GROUP);
    ddb_mem_drop(ctx, codes, int8_t, DDB_BOUND_GROUP * wide);
    return status;
}

/* ---- The best k over several sets ---- */

typedef struct ddb_bound_hit { uint64_t ordinal; uint32_t key; float score; } ddb_bound_hit;
typedef struct ddb_bound_wait { uint32_t row; float low, high; } ddb_bound_wait;   /* a row that may enter, and the ends of its score */

typedef struct ddb_bound_query {
    ddb_bound_code  code;
    int32_t         bias;
    uint32_t        dim;
    size_t          top_k;
    ddb_bound_hit  *hits;  size_t hit_count, hit_cap;      /* a heap: the worst first */
    ddb_bound_wait *waits; size_t wait_count, wait_cap;
    float          *lows;  size_t low_count, low_cap;      /* heap of the top_k largest scores that are known to be reached */
    size_t          bytes;
} ddb_bound_query;

DDB_FN dreamdb_status ddb_bound_query_init(ddb_ctx *ctx, const float *query, uint32_t dim, size_t top_k, ddb_bound_query **out)
{
    size_t floats = (sizeof(ddb_bound_query) + 63) & ~(size_t)63, codes = floats + (size_t)dim * sizeof(float);
    size_t bytes = codes + ddb_kern_groups(dim) * 4;
    ddb_exact_env env;
    *out = NULL;
    uint8_t *memory = (uint8_t *)ddb_mem_alloc(ctx, bytes);
    if (!memory) {
        return DREAMDB_ERR_MEMORY;
    }
    ddb_bound_query *q = (ddb_bound_query *)(void *)memory;
    memset(q, 0, sizeof *q);
    q->bytes = bytes;
    q->dim = dim;
    q->top_k = top_k;
    memcpy(memory + floats, query, (size_t)dim * sizeof(float));
    ddb_exact_enter(&env);
    ddb_bound_code_query(ctx->cpu, (const float *)(const void *)(memory + floats), dim, (int8_t *)(memory + codes), &q->code);
    ddb_exact_leave(&env);
    q->bias = ddb_kern_bias(q->code.code, ddb_kern_groups(dim));
    *out = q;
    return DREAMDB_OK;
}

DDB_FN void ddb_bound_query_free(ddb_ctx *ctx, ddb_bound_query *q)
{
    if (q) {
        ddb_mem_drop(ctx, q->hits, ddb_bound_hit, q->hit_cap);
        ddb_mem_drop(ctx, q->waits, ddb_bound_wait, q->wait_cap);
        ddb_mem_drop(ctx, q->lows, float, q->low_cap);
        ddb_mem_free(ctx, q, q->bytes);
    }
}

/* Room for `count` more hits and waits, so that the scan itself cannot fail. */
DDB_FN dreamdb_status ddb_bound_query_room(ddb_ctx *ctx, ddb_bound_query *q, size_t count)
{
    size_t hits = count < q->top_k - q->hit_count ? q->hit_count + count : q->top_k;
    if (hits > q->hit_cap) {
        size_t cap = q->hit_cap * 2 > hits ? (q->hit_cap * 2 < q->top_k ? q->hit_cap * 2 : q->top_k) : hits;
        ddb_bound_hit *more = (ddb_bound_hit *)ddb_mem_resize(ctx, q->hits, q->hit_cap * sizeof *more, cap * sizeof *more);
        if (!more) {
            return DREAMDB_ERR_MEMORY;
        }
        q->hits = more;
        q->hit_cap = cap;
    }
    if (hits > q->low_cap) {
        float *more = (float *)ddb_mem_resize(ctx, q->lows, q->low_cap * sizeof *more, q->hit_cap * sizeof *more);
        if (!more) {
            return DREAMDB_ERR_MEMORY;
        }
        q->lows = more;
        q->low_cap = q->hit_cap;
    }
    if (count > q->wait_cap) {
        ddb_mem_drop(ctx, q->waits, ddb_bound_wait, q->wait_cap);
        q->wait_cap = 0;
        q->waits = (ddb_bound_wait *)ddb_mem_alloc(ctx, count * sizeof *q->waits);
        if (!q->waits) {
            return DREAMDB_ERR_MEMORY;
        }
        q->wait_cap = count;
    }
    return DREAMDB_OK;
}

/* Is a a worse hit than b? */
DDB_INLINE bool ddb_bound_worse(const ddb_bound_hit *a, const ddb_bound_hit *b)
{
    return a->key != b->key ? a->key < b->key : a->ordinal > b->ordinal;
}

DDB_FN void ddb_bound_sink(ddb_bound_hit *hits, size_t count, size_t at)
{
    ddb_bound_hit hit = hits[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            break;
        }
        child += child + 1 < count && ddb_bound_worse(hits + child + 1, hits + child);
        if (!ddb_bound_worse(hits + child, &hit)) {
            break;
        }
        hits[at] = hits[child];
        at = child;
    }
    hits[at] = hit;
}

/* Offers one exact score. */
DDB_FN void ddb_bound_offer(ddb_bound_query *q, uint64_t ordinal, float score)
{
    ddb_bound_hit hit;
    hit.ordinal = ordinal;
    hit.key = ddb_bound_key(score);
    hit.score = score;
    if (q->hit_count == q->top_k) {
        if (ddb_bound_worse(q->hits, &hit)) {
            q->hits[0] = hit;
            ddb_bound_sink(q->hits, q->hit_count, 0);
        }
        return;
    }
    size_t at = q->hit_count++;
    while (at > 0 && ddb_bound_worse(&hit, q->hits + (at - 1) / 2)) {
        q->hits[at] = q->hits[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    q->hits[at] = hit;
}

/* Takes a score that some row is known to reach into the heap of the top_k largest such. */
DDB_FN void ddb_bound_reach(ddb_bound_query *q, float low)
{
    float *heap = q->lows;
    size_t at = 0, count = q->low_count;
    if (count < q->top_k) {
        at = q->low_count++;
        while (at > 0 && low < heap[(at - 1) / 2]) {
            heap[at] = heap[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        heap[at] = low;
        return;
    }
    if (!(low > heap[0])) {
        return;
    }
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            break;
        }
        child += child + 1 < count && heap[child + 1] < heap[child];
        if (!(heap[child] < low)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = low;
}

/* The score that the top_k-th row is known to reach by now. */
DDB_INLINE double ddb_bound_floor(const ddb_bound_query *q)
{
    return q->low_count == q->top_k ? (double)q->lows[0] : -4.0 * (double)DDB_BOUND_HUGE;
}

/* Starts the heap of reached scores from the hits that stand; a score that is not a number reaches nothing. */
DDB_FN void ddb_bound_floor_start(ddb_bound_query *q)
{
    q->low_count = 0;
    for (size_t i = 0; i < q->hit_count; i++) {
        float score = q->hits[i].score;
        ddb_bound_reach(q, ddb_exact_finite(score) && score > -DDB_BOUND_HUGE ? score : -DDB_BOUND_HUGE);
    }
}

DDB_FN void ddb_bound_scan_plain(ddb_ctx *ctx, ddb_bound_query *q, const ddb_bound_set *set, uint64_t base, const uint8_t *keep)
{
    float scores[DDB_BOUND_TILE];
    for (size_t block = 0; block < set->blocks; block += DDB_KERN_TILE) {
        size_t blocks = ddb_kern_least_of(set->blocks - block, DDB_KERN_TILE);
        size_t first = block * DDB_KERN_LANES, rows = ddb_kern_least_of(set->count - first, DDB_BOUND_TILE);
        ddb_kern_fold_one(ctx->cpu, set->pack + first * set->dim, blocks, set->dim, q->code.query, scores);
        for (size_t l = 0; l < rows; l++) {
            if (!keep || keep[first + l]) {
                ddb_bound_offer(q, base + first + l, scores[l]);
            }
        }
    }
}

/* First pass over a coded set: the rows whose upper end may reach the floor wait. */
DDB_FN void ddb_bound_scan_codes(ddb_ctx *ctx, ddb_bound_query *q, const ddb_bound_set *set, const ddb_bound_slack *slack, const uint8_t *keep)
{
    int32_t dots[DDB_BOUND_TILE];
    float least = ddb_bound_least(slack, ddb_bound_floor(q));
    for (size_t block = 0; block < set->blocks; block += DDB_KERN_TILE) {
        size_t blocks = ddb_kern_least_of(set->blocks - block, DDB_KERN_TILE);
        size_t first = block * DDB_KERN_LANES, rows = ddb_kern_least_of(set->count - first, DDB_BOUND_TILE);
        ddb_kern_dots(ctx->cpu, set->codes + first * set->groups * 4, blocks, set->groups, q->code.code, 0, 1, dots);
        uint64_t mask = ddb_kern_pass(ctx->cpu, dots, q->bias, set->scale + first, set->error + first, slack->weight, least, rows);
        for (uint32_t l = 0; l < 64 && mask >> l != 0; l++) {
            if ((mask >> l & 1) == 0 || (keep && !keep[first + l])) {
                continue;
            }
            double x = (double)((float)(dots[l] + q->bias) * set->scale[first + l]);
            double half = (double)set->error[first + l] * (double)slack->weight + (double)slack->slack;
            ddb_bound_wait *wait = q->waits + q->wait_count++;
            wait->row = (uint32_t)(first + l);
            wait->low = ddb_bound_down(slack->base + slack->scale * (x - half));
            wait->high = -ddb_bound_down(-(slack->base + slack->scale * (x + half)));
            ddb_bound_reach(q, wait->low);
        }
        if (mask != 0) {
            least = ddb_bound_least(slack, ddb_bound_floor(q));
        }
    }
}

/* Drops the waiting rows that cannot reach the floor. */
DDB_FN void ddb_bound_scan_drop(ddb_bound_query *q)
{
    double floor_now = ddb_bound_floor(q);
    size_t kept = 0;
    for (size_t i = 0; i < q->wait_count; i++) {
        if ((double)q->waits[i].high >= floor_now) {
            q->waits[kept++] = q->waits[i];
        }
    }
    q->wait_count = kept;
}

/* Second pass: float dot products of the waiting rows narrow their ends to rounding errors. */
DDB_FN void ddb_bound_scan_near(ddb_ctx *ctx, ddb_bound_query *q, const ddb_bound_set *set, const ddb_bound_slack *slack)
{
    ddb_bound_floor_start(q);
    for (size_t i = 0; i < q->wait_count; i++) {
        ddb_bound_wait *wait = q->waits + i;
        double dot = (double)ddb_kern_dot(ctx->cpu, set->rows + (size_t)wait->row * set->dim, q->code.query, set->dim);
        wait->low = ddb_bound_down(dot - (double)slack->near);
        wait->high = -ddb_bound_down(-dot - (double)slack->near);
        ddb_bound_reach(q, wait->low);
    }
}

DDB_FN void ddb_bound_scan_coded(ddb_ctx *ctx, ddb_bound_query *q, const ddb_bound_set *set, uint64_t base, const uint8_t *keep)
{
    ddb_bound_slack slack;
    uint32_t rows[DDB_KERN_LANES];
    float scores[DDB_KERN_LANES];
    ddb_bound_slack_of(ctx->cpu, set, &q->code, &slack);
    ddb_bound_floor_start(q);
    q->wait_count = 0;
    ddb_bound_scan_codes(ctx, q, set, &slack, keep);
    ddb_bound_scan_drop(q);
    if (!q->code.wild && q->wait_count > DDB_KERN_LANES) {
        ddb_bound_scan_near(ctx, q, set, &slack);
        ddb_bound_scan_drop(q);
    }
    for (size_t i = 0; i < q->wait_count; i += DDB_KERN_LANES) {
        size_t some = ddb_kern_least_of(q->wait_count - i, DDB_KERN_LANES);
        for (size_t l = 0; l < some; l++) {
            rows[l] = q->waits[i + l].row;
        }
        ddb_bound_fold(ctx->cpu, set, q->code.query, rows, some, scores);
        for (size_t l = 0; l < some; l++) {
            ddb_bound_offer(q, base + rows[l], scores[l]);
        }
    }
}

/* Offers every row of a set (those with keep[row] != 0) under the ordinals ordinal_base + row.  The set may be freed afterwards. */
DDB_FN dreamdb_status ddb_bound_query_scan(ddb_ctx *ctx, ddb_bound_query *q, const ddb_bound_set *set, uint64_t ordinal_base, const uint8_t *keep)
{
    ddb_exact_env env;
    if (set->count == 0 || q->top_k == 0) {
        return DREAMDB_OK;
    }
    dreamdb_status status = ddb_bound_query_room(ctx, q, set->count);
    if (status < 0) {
        return status;
    }
    ddb_exact_enter(&env);
    if (set->coded) {
        ddb_bound_scan_coded(ctx, q, set, ordinal_base, keep);
    } else {
        ddb_bound_scan_plain(ctx, q, set, ordinal_base, keep);
    }
    ddb_exact_leave(&env);
    return DREAMDB_OK;
}

/* Hands the hits out, best first (score descending, then ordinal ascending); the collector is empty afterwards. */
DDB_FN size_t ddb_bound_query_end(ddb_bound_query *q, uint64_t *ordinals, float *scores)
{
    size_t count = q->hit_count;
    while (q->hit_count > 0) {
        ddb_bound_hit worst = q->hits[0];
        q->hits[0] = q->hits[--q->hit_count];
        if (q->hit_count > 0) {
            ddb_bound_sink(q->hits, q->hit_count, 0);
        }
        ordinals[q->hit_count] = worst.ordinal;
        scores[q->hit_count] = worst.score;
    }
    return count;
}

/* The n best rows of one set in order; *got = min(n, rows). */
DDB_FN dreamdb_status ddb_bound_top(ddb_ctx *ctx, const ddb_bound_set *set, const float *query, size_t n, uint32_t *ids, float *scores, size_t *got)
{
    ddb_bound_query *q = NULL;
    *got = 0;
    n = n < set->count ? n : set->count;
    dreamdb_status status = ddb_bound_query_init(ctx, query, set->dim, n, &q);
    if (status < 0) {
        return status;
    }
    status = ddb_bound_query_scan(ctx, q, set, 0, NULL);
    while (status == DREAMDB_OK && q->hit_count > 0) {
        size_t at = --q->hit_count;
        ids[at] = (uint32_t)q->hits[0].ordinal;
        scores[at] = q->hits[0].score;
        q->hits[0] = q->hits[at];
        if (at > 0) {
            ddb_bound_sink(q->hits, at, 0);
        }
        (*got)++;
    }
    ddb_bound_query_free(ctx, q);
    return status;
}

/* ==== ROOM 09 hash | prefix ddb_hash_ | uses port bytes ==== */
/* BLAKE3 and its 1,024-byte-chunk outboards (placeholder: portable only). */
#define DDB_HASH_CHUNK 1024u
typedef struct ddb_hash_chunk { uint32_t cv[8]; uint64_t counter; uint8_t block[64]; uint32_t fill, blocks; } ddb_hash_chunk;
typedef struct ddb_hash_state { ddb_hash_chunk chunk; uint8_t stack[56][32]; uint32_t depth; } ddb_hash_state;
static const uint32_t ddb_hash_iv[8] = {0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au, 0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u};
#define DDB_HASH_G(a, b, c, d, x, y) \
    s[a] = s[a] + s[b] + (x); s[d] ^= s[a]; s[d] = s[d] >> 16 | s[d] << 16; s[c] += s[d]; s[b] ^= s[c]; s[b] = s[b] >> 12 | s[b] << 20; \
    s[a] = s[a] + s[b] + (y); s[d] ^= s[a]; s[d] = s[d] >> 8 | s[d] << 24;  s[c] += s[d]; s[b] ^= s[c]; s[b] = s[b] >> 7 | s[b] << 25
DDB_FN void ddb_hash_compress(uint32_t cv[8], const uint8_t block[64], uint64_t counter, uint32_t size, uint32_t flags)
{
    static const uint8_t perm[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
    uint32_t s[16], m[16], t[16];
    for (int i = 0; i < 16; i++) m[i] = ddb_bytes_le32(block + 4 * i);
    for (int i = 0; i < 8; i++) s[i] = cv[i];
    for (int i = 0; i < 4; i++) s[8 + i] = ddb_hash_iv[i];
    s[12] = (uint32_t)counter; s[13] = (uint32_t)(counter >> 32); s[14] = size; s[15] = flags;
    for (int r = 0; r < 7; r++) {
        DDB_HASH_G(0, 4, 8, 12, m[0], m[1]); DDB_HASH_G(1, 5, 9, 13, m[2], m[3]); DDB_HASH_G(2, 6, 10, 14, m[4], m[5]); DDB_HASH_G(3, 7, 11, 15, m[6], m[7]);
        DDB_HASH_G(0, 5, 10, 15, m[8], m[9]); DDB_HASH_G(1, 6, 11, 12, m[10], m[11]); DDB_HASH_G(2, 7, 8, 13, m[12], m[13]); DDB_HASH_G(3, 4, 9, 14, m[14], m[15]);
        for (int i = 0; i < 16; i++) t[i] = m[perm[i]];
        memcpy(m, t, sizeof m);
    }
    for (int i = 0; i < 8; i++) cv[i] = s[i] ^ s[i + 8];
}
DDB_FN void ddb_hash_chunk_init(ddb_hash_chunk *c, uint64_t counter) { memcpy(c->cv, ddb_hash_iv, 32); c->counter = counter; c->fill = 0; c->blocks = 0; memset(c->block, 0, 64); }
DDB_FN void ddb_hash_chunk_update(ddb_hash_chunk *c, const uint8_t *data, size_t size)
{
    while (size > 0) {
        if (c->fill == 64) { ddb_hash_compress(c->cv, c->block, c->counter, 64, c->blocks == 0 ? 1u : 0u); c->blocks++; c->fill = 0; memset(c->block, 0, 64); }
        size_t n = 64 - c->fill < size ? 64 - c->fill : size;
        memcpy(c->block + c->fill, data, n); c->fill += (uint32_t)n; data += n; size -= n;
    }
}
DDB_FN void ddb_hash_chunk_end(const ddb_hash_chunk *c, uint32_t root, uint8_t out[32])
{
    uint32_t cv[8];
    memcpy(cv, c->cv, 32);
    ddb_hash_compress(cv, c->block, c->counter, c->fill, (c->blocks == 0 ? 1u : 0u) | 2u | root);
    for (int i = 0; i < 8; i++) ddb_bytes_set_le32(out + 4 * i, cv[i]);
}
DDB_FN void ddb_hash_parent(const uint8_t left[32], const uint8_t right[32], uint32_t root, uint8_t out[32])
{
    uint8_t block[64]; uint32_t cv[8];
    memcpy(block, left, 32); memcpy(block + 32, right, 32); memcpy(cv, ddb_hash_iv, 32);
    ddb_hash_compress(cv, block, 0, 64, 4u | root);
    for (int i = 0; i < 8; i++) ddb_bytes_set_le32(out + 4 * i, cv[i]);
}
DDB_FN void ddb_hash_init(ddb_hash_state *h, uint32_t cpu) { (void)cpu; h->depth = 0; ddb_hash_chunk_init(&h->chunk, 0); }
DDB_FN void ddb_hash_update(ddb_hash_state *h, const void *data, size_t size)
{
    const uint8_t *p = (const uint8_t *)data;
    while (size > 0) {
        size_t have = h->chunk.blocks * 64u + h->chunk.fill;
        if (have == DDB_HASH_CHUNK) {
            uint8_t cv[32]; uint64_t total = h->chunk.counter + 1;
            ddb_hash_chunk_end(&h->chunk, 0, cv);
            for (uint64_t t = total; (t & 1) == 0; t >>= 1) { ddb_hash_parent(h->stack[h->depth - 1], cv, 0, cv); h->depth--; }
            memcpy(h->stack[h->depth++], cv, 32);
            ddb_hash_chunk_init(&h->chunk, total);
            have = 0;
        }
        size_t n = DDB_HASH_CHUNK - have < size ? DDB_HASH_CHUNK - have : size;
        ddb_hash_chunk_update(&h->chunk, p, n); p += n; size -= n;
    }
}
DDB_FN void ddb_hash_final(const ddb_hash_state *h, uint8_t out[32])
{
    uint8_t cv[32];
    ddb_hash_chunk_end(&h->chunk, h->depth == 0 ? 8u : 0u, cv);
    for (uint32_t d = h->depth; d > 0; d--) ddb_hash_parent(h->stack[d - 1], cv, d == 1 ? 8u : 0u, cv);
    memcpy(out, cv, 32);
}
DDB_FN void ddb_hash_one(uint32_t cpu, const void *data, size_t size, uint8_t out[32]) { ddb_hash_state h; ddb_hash_init(&h, cpu); ddb_hash_update(&h, data, size); ddb_hash_final(&h, out); }
DDB_FN void ddb_hash_many(uint32_t cpu, const ddb_slice *inputs, size_t count, uint8_t (*out)[32]) { for (size_t i = 0; i < count; i++) ddb_hash_one(cpu, inputs[i].data, inputs[i].size, out[i]); }
DDB_FN size_t ddb_hash_outboard_size(size_t size) { size_t n = size / 1024 + (size % 1024 != 0); return 8 + 64 * ((n > 0 ? n : 1) - 1); }
DDB_FN uint64_t ddb_hash_left(uint64_t size) { uint64_t full = (size - 1) / 1024, p = 1; while (p * 2 <= full) p *= 2; return p * 1024; }
DDB_FN void ddb_hash_tree(const uint8_t *data, uint64_t size, uint64_t chunk, uint32_t root, uint8_t **out, uint8_t cv[32])
{
    if (size <= 1024) { ddb_hash_chunk c; ddb_hash_chunk_init(&c, chunk); ddb_hash_chunk_update(&c, data, (size_t)size); ddb_hash_chunk_end(&c, root, cv); return; }
    uint64_t left = ddb_hash_left(size); uint8_t *node = *out;
    *out += 64;
    ddb_hash_tree(data, left, chunk, 0, out, node);
    ddb_hash_tree(data + left, size - left, chunk + left / 1024, 0, out, node + 32);
    ddb_hash_parent(node, node + 32, root, cv);
}
DDB_FN void ddb_hash_outboard(uint32_t cpu, const void *data, size_t size, uint8_t *out, uint8_t root[32])
{
    uint8_t *at = out + 8;
    (void)cpu;
    ddb_bytes_set_le64(out, size);
    ddb_hash_tree((const uint8_t *)data, size, 0, 8, &at, root);
}
DDB_FN bool ddb_hash_verify_node(const uint8_t *tree, uint64_t size, uint64_t chunk, const uint8_t want[32], uint32_t root, uint64_t first, const uint8_t *data, uint64_t have)
{
    uint8_t cv[32];
    uint64_t chunks = size <= 1024 ? 1 : (size + 1023) / 1024, last = first + (have == 0 ? 1 : (have + 1023) / 1024);
    if (chunk + chunks <= first || chunk >= last) return true;
    if (size <= 1024) {
        ddb_hash_chunk c; uint64_t off = (chunk - first) * 1024;
        if (off + size > have) return false;
        ddb_hash_chunk_init(&c, chunk); ddb_hash_chunk_update(&c, data + off, (size_t)size); ddb_hash_chunk_end(&c, root, cv);
        return memcmp(cv, want, 32) == 0;
    }
    ddb_hash_parent(tree, tree + 32, root, cv);
    if (memcmp(cv, want, 32) != 0) return false;
    uint64_t left = ddb_hash_left(size), nodes = left / 1024 - 1;
    return ddb_hash_verify_node(tree + 64, left, chunk, tree, 0, first, data, have)
        && ddb_hash_verify_node(tree + 64 + nodes * 64, size - left, chunk + left / 1024, tree + 32, 0, first, data, have);
}
DDB_FN bool ddb_hash_verify_range(uint32_t cpu, const uint8_t *outboard, size_t outboard_size, const uint8_t root[32], uint64_t subject, uint64_t first, const void *bytes, size_t size)
{
    (void)cpu;
    if (outboard_size < 8 || ddb_bytes_le64(outboard) != subject || outboard_size != ddb_hash_outboard_size((size_t)subject)) return false;
    if (first * 1024 > subject || size > subject - first * 1024 || (size % 1024 != 0 && first * 1024 + size != subject)) return false;
    return ddb_hash_verify_node(outboard + 8, subject, 0, root, 8, first, (const uint8_t *)bytes, size);
}

/* ==== ROOM 10 cbor | prefix ddb_cbor_ | uses port mem bytes ==== */
/* The format's CBOR (core.md 0): definite lengths, shortest heads, text keys ordered by length then bytes and unique, valid UTF-8, only
   unsigned, negative, bytes, text, array, map, false, true, null.  Floats, tags, undefined and indefinite lengths are refused.
   Invariant: a reader that has not failed has read exactly the bytes a canonical writer would write for the same values.
   A reader fails once and for all (failed, why, at stays at the bad item); check at the end with ddb_cbor_end.
   Must never recurse nor allocate: any bytes give values or a failure in time linear in the bytes. */

enum {
    DDB_CBOR_UINT = 0, DDB_CBOR_NEGATIVE = 1, DDB_CBOR_BYTES = 2, DDB_CBOR_TEXT = 3, DDB_CBOR_ARRAY = 4, DDB_CBOR_MAP = 5, DDB_CBOR_TAG = 6,
    DDB_CBOR_SIMPLE = 7,
    DDB_CBOR_DEPTH = 64                      /* nesting that skip follows: dreamdb_limits.depth's default */
};

/* ---- Writer: keys in canonical order are the caller's job ---- */

/* Bytes of the head of a length or an unsigned number. */
DDB_FN size_t ddb_cbor_head_size(uint64_t value)
{
    return value < 24 ? 1 : value <= 0xff ? 2 : value <= 0xffff ? 3 : value <= 0xffffffffu ? 5 : 9;
}

DDB_FN void ddb_cbor_head(ddb_buf *buf, uint32_t major, uint64_t value)
{
    uint8_t head[9];
    size_t size = ddb_cbor_head_size(value);
    uint32_t info = size == 1 ? (uint32_t)value : size == 2 ? 24 : size == 3 ? 25 : size == 5 ? 26 : 27;
    head[0] = (uint8_t)(major << 5 | info);
    for (size_t i = 1; i < size; i++) {
        head[i] = (uint8_t)(value >> 8 * (size - 1 - i));
    }
    ddb_bytes_put(buf, head, size);
}

DDB_FN void ddb_cbor_uint(ddb_buf *buf, uint64_t value) { ddb_cbor_head(buf, DDB_CBOR_UINT, value); }
DDB_FN void ddb_cbor_array(ddb_buf *buf, uint64_t count) { ddb_cbor_head(buf, DDB_CBOR_ARRAY, count); }
DDB_FN void ddb_cbor_map(ddb_buf *buf, uint64_t count) { ddb_cbor_head(buf, DDB_CBOR_MAP, count); }
DDB_FN void ddb_cbor_bool(ddb_buf *buf, bool value) { ddb_bytes_put_u8(buf, value ? 0xf5 : 0xf4); }
DDB_FN void ddb_cbor_null(ddb_buf *buf) { ddb_bytes_put_u8(buf, 0xf6); }
DDB_FN void ddb_cbor_raw(ddb_buf *buf, ddb_slice item) { ddb_bytes_put(buf, item.data, item.size); }

DDB_FN void ddb_cbor_int(ddb_buf *buf, int64_t value)
{
    if (value >= 0) {
        ddb_cbor_head(buf, DDB_CBOR_UINT, (uint64_t)value);
    } else {
        ddb_cbor_head(buf, DDB_CBOR_NEGATIVE, ~(uint64_t)value);     /* -1 - value */
    }
}

DDB_FN void ddb_cbor_bytes(ddb_buf *buf, const void *data, size_t size)
{
    ddb_cbor_head(buf, DDB_CBOR_BYTES, size);
    ddb_bytes_put(buf, data, size);
}

DDB_FN void ddb_cbor_text(ddb_buf *buf, const void *data, size_t size)
{
    ddb_cbor_head(buf, DDB_CBOR_TEXT, size);
    ddb_bytes_put(buf, data, size);
}

DDB_FN void ddb_cbor_str(ddb_buf *buf, const char *text)
{
    ddb_cbor_text(buf, text, strlen(text));
}

/* Canonical order of two key texts: by length, then bytes. */
DDB_FN int ddb_cbor_key_compare(ddb_slice a, ddb_slice b)
{
    return a.size < b.size ? -1 : a.size > b.size ? 1 : ddb_bytes_compare(a, b);
}

/* ---- Reader ---- */

/* loose: keys may stand in any order (neighbours still differ); everything else stays strict.  depth: levels that skip follows. */
typedef struct ddb_cbor { const uint8_t *data; size_t size, at; uint32_t depth; bool failed, loose; const char *why; } ddb_cbor;

DDB_FN void ddb_cbor_open(ddb_cbor *r, ddb_slice bytes)
{
    memset(r, 0, sizeof *r);
    r->data = bytes.data;
    r->size = bytes.size;
    r->depth = DDB_CBOR_DEPTH;
}

/* Fails the reader at byte `at`; the first reason stays. */
DDB_FN bool ddb_cbor_bad(ddb_cbor *r, size_t at, const char *why)
{
    if (!r->failed) {
        r->failed = true;
        r->why = why;
        r->at = at;
    }
    return false;
}

/* Major type of the next item, or -1 at the end or after a failure. */
DDB_FN int ddb_cbor_peek(const ddb_cbor *r)
{
    return r->failed || r->at >= r->size ? -1 : r->data[r->at] >> 5;
}

/* Is the next item null?  Reads nothing. */
DDB_FN bool ddb_cbor_peek_null(const ddb_cbor *r)
{
    return !r->failed && r->at < r->size && r->data[r->at] == 0xf6;
}

/* Reads one head.  For SIMPLE value is 20 (false), 21 (true) or 22 (null). */
DDB_FN bool ddb_cbor_head_read(ddb_cbor *r, uint32_t *major, uint64_t *value)
{
    size_t start = r->at;
    if (r->failed || start >= r->size) {
        return ddb_cbor_bad(r, start, "the bytes end too early");
    }
    uint32_t first = r->data[start], info = first & 31;
    *major = first >> 5;
    *value = info;
    if (*major == DDB_CBOR_TAG) {
        return ddb_cbor_bad(r, start, "tags are not allowed");
    }
    if (*major == DDB_CBOR_SIMPLE) {
        r->at += info >= 20 && info <= 22;
        return info >= 20 && info <= 22 ? true : ddb_cbor_bad(r, start, "floats, undefined and break are not allowed");
    }
    if (info < 24) {
        r->at++;
        return true;
    }
    if (info > 27) {
        return ddb_cbor_bad(r, start, "indefinite and reserved lengths are not allowed");
    }
    size_t more = (size_t)1 << (info - 24);
    if (r->size - start - 1 < more) {
        return ddb_cbor_bad(r, start, "the bytes end too early");
    }
    uint64_t number = 0;
    for (size_t i = 0; i < more; i++) {
        number = number << 8 | r->data[start + 1 + i];
    }
    *value = number;
    if (ddb_cbor_head_size(number) != more + 1) {
        return ddb_cbor_bad(r, start, "a number or length is not in its shortest form");
    }
    r->at += more + 1;
    return true;
}

/* A head of the wanted type; the reader stays at the item when it fails. */
DDB_FN bool ddb_cbor_want(ddb_cbor *r, uint32_t want, uint64_t *value, const char *why)
{
    uint32_t major = 0;
    size_t start = r->at;
    return ddb_cbor_head_read(r, &major, value) && (major == want || ddb_cbor_bad(r, start, why));
}

DDB_FN bool ddb_cbor_read_uint(ddb_cbor *r, uint64_t *out)
{
    return ddb_cbor_want(r, DDB_CBOR_UINT, out, "an unsigned number is expected here");
}

DDB_FN bool ddb_cbor_read_int(ddb_cbor *r, int64_t *out)
{
    uint32_t major = 0;
    uint64_t value = 0;
    size_t start = r->at;
    if (!ddb_cbor_head_read(r, &major, &value)) {
        return false;
    }
    if (major > DDB_CBOR_NEGATIVE || value > INT64_MAX) {
        return ddb_cbor_bad(r, start, "a 64-bit signed number is expected here");
    }
    *out = major == DDB_CBOR_UINT ? (int64_t)value : -1 - (int64_t)value;
    return true;
}

DDB_FN bool ddb_cbor_string(ddb_cbor *r, uint32_t want, ddb_slice *out, const char *why)
{
    uint64_t size = 0;
    size_t start = r->at;
    if (!ddb_cbor_want(r, want, &size, why)) {
        return false;
    }
    if (size > r->size - r->at) {
        return ddb_cbor_bad(r, start, "the bytes end too early");
    }
    *out = ddb_bytes_slice(r->data + r->at, (size_t)size);
    if (want == DDB_CBOR_TEXT && !ddb_bytes_utf8(*out)) {
        return ddb_cbor_bad(r, start, "a text is not UTF-8");
    }
    r->at += (size_t)size;
    return true;
}

DDB_FN bool ddb_cbor_read_bytes(ddb_cbor *r, ddb_slice *out)
{
    return ddb_cbor_string(r, DDB_CBOR_BYTES, out, "a byte string is expected here");
}

DDB_FN bool ddb_cbor_read_text(ddb_cbor *r, ddb_slice *out)
{
    return ddb_cbor_string(r, DDB_CBOR_TEXT, out, "a text is expected here");
}

/* each: the least bytes of one member, so a count can be trusted for an allocation. */
DDB_FN bool ddb_cbor_count(ddb_cbor *r, uint32_t want, size_t each, size_t *out, const char *why)
{
    uint64_t count = 0;
    size_t start = r->at;
    if (!ddb_cbor_want(r, want, &count, why)) {
        return false;
    }
    if (count > (r->size - r->at) / each) {
        return ddb_cbor_bad(r, start, "a count is larger than the bytes that are left");
    }
    *out = (size_t)count;
    return true;
}

DDB_FN bool ddb_cbor_read_array(ddb_cbor *r, size_t *count)
{
    return ddb_cbor_count(r, DDB_CBOR_ARRAY, 1, count, "an array is expected here");
}

DDB_FN bool ddb_cbor_read_map(ddb_cbor *r, size_t *count)
{
    return ddb_cbor_count(r, DDB_CBOR_MAP, 2, count, "a map is expected here");
}

DDB_FN bool ddb_cbor_read_bool(ddb_cbor *r, bool *out)
{
    uint64_t value = 0;
    size_t start = r->at;
    if (!ddb_cbor_want(r, DDB_CBOR_SIMPLE, &value, "false or true is expected here")) {
        return false;
    }
    *out = value == 21;
    return value != 22 || ddb_cbor_bad(r, start, "false or true is expected here");
}

DDB_FN bool ddb_cbor_read_null(ddb_cbor *r)
{
    uint64_t value = 0;
    size_t start = r->at;
    return ddb_cbor_want(r, DDB_CBOR_SIMPLE, &value, "null is expected here")
        && (value == 22 || ddb_cbor_bad(r, start, "null is expected here"));
}

/* The next key of a map.  *previous starts as {NULL, 0} and is kept by the caller from key to key. */
DDB_FN bool ddb_cbor_next_key(ddb_cbor *r, ddb_slice *key, ddb_slice *previous)
{
    size_t start = r->at;
    if (!ddb_cbor_string(r, DDB_CBOR_TEXT, key, "a map key must be a text")) {
        return false;
    }
    if (previous->data) {
        int order = ddb_cbor_key_compare(*previous, *key);
        if (order == 0 || (order > 0 && !r->loose)) {
            return ddb_cbor_bad(r, start, order == 0 ? "a map key stands twice" : "map keys are not in canonical order");
        }
    }
    *previous = *key;
    return true;
}

/* One open array or map of a skip. */
typedef struct ddb_cbor_level { uint64_t left; bool map; ddb_slice previous; } ddb_cbor_level;

/* One head inside a skip: strings are stepped over, a container opens a level. */
DDB_FN bool ddb_cbor_skip_one(ddb_cbor *r, ddb_cbor_level *levels, uint32_t *used)
{
    ddb_slice text;
    size_t count = 0, start = r->at;
    uint32_t major = 0;
    uint64_t value = 0;
    int type = ddb_cbor_peek(r);
    if (type == DDB_CBOR_BYTES || type == DDB_CBOR_TEXT) {
        return ddb_cbor_string(r, (uint32_t)type, &text, "");
    }
    if (type != DDB_CBOR_ARRAY && type != DDB_CBOR_MAP) {
        return ddb_cbor_head_read(r, &major, &value);
    }
    if (!ddb_cbor_count(r, (uint32_t)type, type == DDB_CBOR_MAP ? 2 : 1, &count, "")) {
        return false;
    }
    if (count > 0) {
        if (*used >= r->depth || *used >= DDB_CBOR_DEPTH) {
            return ddb_cbor_bad(r, start, "arrays and maps are nested too deep");
        }
        ddb_cbor_level *level = levels + (*used)++;
        memset(level, 0, sizeof *level);
        level->left = count;
        level->map = type == DDB_CBOR_MAP;
    }
    return true;
}

/* Steps over one whole item of any type, checking its form; raw (may be NULL) gets its bytes. */
DDB_FN bool ddb_cbor_skip(ddb_cbor *r, ddb_slice *raw)
{
    ddb_cbor_level levels[DDB_CBOR_DEPTH];
    ddb_slice key;
    uint32_t used = 0;
    size_t start = r->at;
    bool good = ddb_cbor_skip_one(r, levels, &used);
    while (good && used > 0) {
        ddb_cbor_level *level = levels + used - 1;
        if (level->left == 0) {
            used--;
            continue;
        }
        if (level->map) {
            good = ddb_cbor_next_key(r, &key, &level->previous);
        }
        level->left--;
        good = good && ddb_cbor_skip_one(r, levels, &used);
    }
    if (good && raw) {
        *raw = ddb_bytes_slice(r->data + start, r->at - start);
    }
    return good;
}

/* Good so far and nothing behind the last item. */
DDB_FN bool ddb_cbor_end(ddb_cbor *r)
{
    return !r->failed && (r->at == r->size || ddb_cbor_bad(r, r->at, "there are bytes behind the end"));
}

/* Is this exactly one canonical item? */
DDB_FN bool ddb_cbor_valid(ddb_slice bytes)
{
    ddb_cbor r;
    ddb_cbor_open(&r, bytes);
    return ddb_cbor_skip(&r, NULL) && ddb_cbor_end(&r);
}

/* Reports a failed reader: "manifest: a text is not UTF-8 (byte 17)". */
DDB_FN dreamdb_status ddb_cbor_corrupt(ddb_ctx *ctx, const ddb_cbor *r, const char *what, const char *path)
{
    return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "%s: %s (byte %zu)", what, r->why ? r->why : "the form is wrong", r->at);
}

/* ---- Maps kept as bytes: how entries with unknown keys are read and changed ---- */

/* The value under key in a map of a canonical item; false when there is none or the bytes are no map. */
DDB_FN bool ddb_cbor_map_find(ddb_slice map, const char *key, ddb_slice *value)
{
    ddb_cbor r;
    ddb_slice name, previous = { NULL, 0 };
    size_t count = 0;
    ddb_cbor_open(&r, map);
    if (ddb_cbor_peek(&r) != DDB_CBOR_MAP || !ddb_cbor_read_map(&r, &count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!ddb_cbor_next_key(&r, &name, &previous) || !ddb_cbor_skip(&r, value)) {
            return false;
        }
        if (ddb_bytes_is(name, key)) {
            return true;
        }
    }
    return false;
}

/* Writes map with key set to the encoded value (size 0: without key) and every other entry as it was; an empty map counts as {}.
   False, with nothing written, when map is no canonical map. */
DDB_FN bool ddb_cbor_map_edit(ddb_buf *out, ddb_slice map, const char *key, ddb_slice value)
{
    ddb_slice name, item, old, previous = { NULL, 0 }, want = ddb_bytes_text(key);
    size_t count = 0;
    ddb_cbor r;
    if (map.size == 0) {
        map = ddb_bytes_slice("\xa0", 1);
    }
    if (!ddb_cbor_valid(map) || map.data[0] >> 5 != DDB_CBOR_MAP) {
        return false;
    }
    bool had = ddb_cbor_map_find(map, key, &old), put = value.size > 0;
    ddb_cbor_open(&r, map);
    (void)ddb_cbor_read_map(&r, &count);
    ddb_cbor_map(out, count - had + put);
    for (size_t i = 0; i < count; i++) {
        size_t start = r.at;
        (void)ddb_cbor_next_key(&r, &name, &previous);
        (void)ddb_cbor_skip(&r, &item);
        int order = ddb_cbor_key_compare(want, name);
        if (put && order <= 0) {
            ddb_cbor_text(out, want.data, want.size);
            ddb_cbor_raw(out, value);
            put = false;
        }
        if (order != 0) {
            ddb_bytes_put(out, map.data + start, r.at - start);
        }
    }
    if (put) {
        ddb_cbor_text(out, want.data, want.size);
        ddb_cbor_raw(out, value);
    }
    return true;
}

/* ==== ROOM 11 addr | prefix ddb_addr_ | uses port mem bytes hash cbor ==== */
/* Addresses and the names that become paths (core.md 0, 1).  An address is 0x1e and the BLAKE3 hash of the object; its text is 53
   characters of lowercase base32 without padding.
   Invariant: names of refs, labels and modalities come from users and from foreign Manifests; the checks here keep every path inside its
   store.  Must never touch the store. */

typedef struct ddb_addr { uint8_t bytes[DREAMDB_ADDRESS_SIZE]; } ddb_addr;

enum { DDB_ADDR_TAG = 0x1e, DDB_ADDR_CHARS = DREAMDB_ADDRESS_TEXT - 1,
       DDB_ADDR_SEGMENT = 64,                  /* characters in a segment of a ref name (core.md 1, Names) */
       DDB_ADDR_FILE = 255 };                  /* characters in a segment of a path: NAME_MAX everywhere */

DDB_FN void ddb_addr_of(uint32_t cpu, ddb_slice bytes, ddb_addr *out)
{
    out->bytes[0] = DDB_ADDR_TAG;
    ddb_hash_one(cpu, bytes.data, bytes.size, out->bytes + 1);
}

DDB_FN int ddb_addr_compare(const ddb_addr *a, const ddb_addr *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

DDB_FN bool ddb_addr_equal(const ddb_addr *a, const ddb_addr *b)
{
    return ddb_addr_compare(a, b) == 0;
}

/* 33 bytes with the right tag. */
DDB_FN bool ddb_addr_take(ddb_slice bytes, ddb_addr *out)
{
    if (bytes.size != sizeof out->bytes || bytes.data[0] != DDB_ADDR_TAG) {
        return false;
    }
    memcpy(out->bytes, bytes.data, sizeof out->bytes);
    return true;
}

DDB_FN void ddb_addr_text(const ddb_addr *addr, char out[DREAMDB_ADDRESS_TEXT])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint32_t bits = 0, have = 0;
    size_t at = 0;
    for (size_t i = 0; i < sizeof addr->bytes; i++) {
        bits = bits << 8 | addr->bytes[i];
        have += 8;
        while (have >= 5) {
            have -= 5;
            out[at++] = digits[bits >> have & 31];
        }
        bits &= (1u << have) - 1;
    }
    out[at++] = digits[bits << (5 - have) & 31];       /* 264 bits: 52 whole digits, 4 bits and a zero */
    out[at] = 0;
}

/* Exactly 53 lowercase characters of a right address: each address has one text. */
DDB_FN bool ddb_addr_parse(ddb_slice text, ddb_addr *out)
{
    uint32_t bits = 0, have = 0;
    size_t at = 0;
    if (text.size != DDB_ADDR_CHARS) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint32_t c = text.data[i];
        uint32_t digit = c >= 'a' && c <= 'z' ? c - 'a' : c >= '2' && c <= '7' ? c - '2' + 26 : 32;
        if (digit == 32) {
            return false;
        }
        bits = (bits << 5 | digit) & 0xffff;
        have += 5;
        if (have >= 8) {
            have -= 8;
            out->bytes[at++] = (uint8_t)(bits >> have);
        }
    }
    return (bits & 1) == 0 && out->bytes[0] == DDB_ADDR_TAG;
}

DDB_FN void ddb_addr_write(ddb_buf *buf, const ddb_addr *addr)
{
    ddb_cbor_bytes(buf, addr->bytes, sizeof addr->bytes);
}

DDB_FN bool ddb_addr_read(ddb_cbor *r, ddb_addr *out)
{
    ddb_slice bytes;
    size_t start = r->at;
    return ddb_cbor_read_bytes(r, &bytes) && (ddb_addr_take(bytes, out)
                                              || ddb_cbor_bad(r, start, "an address is not 33 bytes that start with 0x1e"));
}

/* ---- Names ---- */

/* '/'-separated segments of 1 to 64 lowercase letters, digits, '_', '-'; with marks, one '@' may part the whole in two such names. */
DDB_FN bool ddb_addr_segments(ddb_slice name, size_t marks)
{
    size_t run = 0;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        bool mark = c == '@' && marks > 0, part = c == '/' || mark;
        if (part ? run == 0 : !good || run == DDB_ADDR_SEGMENT) {
            return false;
        }
        run = part ? 0 : run + 1;
        marks -= mark;
    }
    return run > 0;
}

/* "main", "team/set", "main@label": what may be read. */
DDB_FN bool ddb_addr_ref_valid(ddb_slice name)
{
    return ddb_addr_segments(name, 1);
}

/* "tags" and "tags/..." belong to snapshot tags: they can be read, not made, moved or removed as refs. */
DDB_FN bool ddb_addr_ref_reserved(ddb_slice name)
{
    return ddb_bytes_is(name, "tags") || ddb_bytes_starts(name, "tags/");
}

/* What may be made: a valid name whose segments keep 64 characters with their '@' too, else the reference could not open it. */
DDB_FN bool ddb_addr_ref_new(ddb_slice name)
{
    size_t run = 0;
    for (size_t i = 0; i < name.size; i++) {
        run = name.data[i] == '/' ? 0 : run + 1;
        if (run > DDB_ADDR_SEGMENT) {
            return false;
        }
    }
    return ddb_addr_ref_valid(name) && !ddb_addr_ref_reserved(name);
}

DDB_FN bool ddb_addr_label_valid(ddb_slice label)
{
    return ddb_addr_segments(label, 0);
}

/* A path that every store takes: segments of 1 to 255 characters of printable ASCII without blanks, upper case and backslash; none is "."
   or "..". */
DDB_FN bool ddb_addr_path_valid(ddb_slice path)
{
    size_t run = 0, dots = 0;
    for (size_t i = 0; i < path.size; i++) {
        uint8_t c = path.data[i];
        if (c == '/' ? run == 0 || (run == dots && run <= 2) : c <= ' ' || c > '~' || (c >= 'A' && c <= 'Z') || c == '\\'
            || run == DDB_ADDR_FILE) {
            return false;
        }
        dots = c == '/' ? 0 : dots + (c == '.');
        run = c == '/' ? 0 : run + 1;
    }
    return run > 0 && !(run == dots && run <= 2);
}

/* A modality is one segment of a path: at least two parts between dots, of [a-z0-9_]; from the third on also key=value (value may be
   empty).  Tried on the reference, which takes upper case in values too and then fails at the path. */
DDB_FN bool ddb_addr_modality_valid(ddb_slice modality)
{
    size_t run = 0, parts = 1;
    bool value = false;
    for (size_t i = 0; i < modality.size; i++) {
        uint8_t c = modality.data[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
        if (c == '.') {
            if (run == 0 && !value) {
                return false;
            }
            parts++;
            run = 0;
            value = false;
        } else if (c == '=') {
            if (run == 0 || value || parts < 3) {
                return false;
            }
            run = 0;
            value = true;
        } else if (!word) {
            return false;
        } else {
            run++;
        }
    }
    return parts >= 2 && (run > 0 || value) && modality.size <= DDB_ADDR_FILE;
}

/* A foreign text made fit for an error message: one line, at most 60 bytes. */
typedef struct ddb_addr_shown { char text[64]; } ddb_addr_shown;

DDB_FN const char *ddb_addr_show(ddb_slice text, ddb_addr_shown *out)
{
    size_t size = text.size < 60 ? text.size : 60;
    while (size < text.size && size > 0 && (text.data[size] & 0xc0) == 0x80) {
        size--;                                /* not inside a character */
    }
    for (size_t i = 0; i < size; i++) {
        uint8_t c = text.data[i];
        out->text[i] = (char)(c < ' ' || c == 0x7f ? '?' : c);
    }
    out->text[size] = 0;
    if (size < text.size) {
        memcpy(out->text + size, "...", 4);
    }
    return out->text;
}

/* ---- Paths ---- */

/* "folder/text" */
DDB_FN char *ddb_addr_path(ddb_ctx *ctx, ddb_arena *arena, const char *folder, const ddb_addr *addr)
{
    size_t size = strlen(folder), all = 0;
    if (!ddb_mem_add(size, 1 + DREAMDB_ADDRESS_TEXT, &all)) {
        (void)ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "a path is too long");
        return NULL;
    }
    char *out = (char *)ddb_mem_arena_alloc(ctx, arena, all);
    if (out) {
        memcpy(out, folder, size);
        out[size] = '/';
        ddb_addr_text(addr, out + size + 1);
    }
    return out;
}

/* "TIMELINE/MODALITY/sub"; sub NULL: "TIMELINE/MODALITY". */
DDB_FN char *ddb_addr_folder(ddb_ctx *ctx, ddb_arena *arena, const ddb_addr *timeline, ddb_slice modality, const char *sub)
{
    size_t tail = sub ? strlen(sub) : 0, all = 0;
    if (!ddb_mem_add(modality.size, DREAMDB_ADDRESS_TEXT + 2, &all) || !ddb_mem_add(all, tail, &all)) {
        (void)ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "a path is too long");
        return NULL;
    }
    char *out = (char *)ddb_mem_arena_alloc(ctx, arena, all);
    if (out) {
        char *at = out + DDB_ADDR_CHARS;
        ddb_addr_text(timeline, out);
        *at++ = '/';
        memcpy(at, modality.data, modality.size);
        at += modality.size;
        if (sub) {
            *at++ = '/';
            memcpy(at, sub, tail);
            at += tail;
        }
        *at = 0;
    }
    return out;
}

/* ==== ROOM 12 pool | prefix ddb_pool_ | uses port mem ==== */
/* Worker threads, or the host's parallel_for.  A run calls fn(user, 0..count-1), each index once, in any order, and returns when all are
   done; the caller works too.  Threads start at the first run that needs them and end at close.  Invariant: one run at a time owns the
   threads; a nested or a concurrent run works on its caller alone, so that nothing can wait for itself.  Must never decide a result: every
   index is independent of the others and of the number of threads. */

typedef void (*ddb_pool_fn)(void *user, uint32_t index);
typedef void (*ddb_pool_host)(void *user, void (*task)(void *task_user, uint32_t index), void *task_user, uint32_t count);

enum { DDB_POOL_AUTO_MAX = 8,                  /* threads at most when the caller leaves the choice (00_top.h, config.threads) */
       DDB_POOL_MAX = 256 };

typedef struct ddb_pool {
    uint32_t         width;                    /* threads that work in a run, the caller's included */
    ddb_pool_host    host;
    void            *host_user;
    uint64_t         owners;                   /* runs that asked for the threads: the one that makes it 1 has them */
    ddb_port_mutex   lock;                     /* all below */
    ddb_port_cond    work, idle;
    ddb_port_thread *threads;
    uint32_t         started;
    bool             tried, stop, open;        /* open: workers may join the job */
    uint64_t         job;                      /* number of the job */
    uint32_t         busy;                     /* workers inside the job */
    ddb_pool_fn      fn;
    void            *user;
    uint64_t         next, count;              /* next: atomic */
} ddb_pool;

/* Takes indexes of the open job until there are none. */
DDB_FN void ddb_pool_take(ddb_pool *pool, ddb_pool_fn fn, void *user, uint64_t count)
{
    uint64_t index = ddb_port_atomic_add(&pool->next, 1) - 1;
    while (index < count) {
        fn(user, (uint32_t)index);
        index = ddb_port_atomic_add(&pool->next, 1) - 1;
    }
}

DDB_FN void *ddb_pool_worker(void *user)
{
    ddb_pool *pool = (ddb_pool *)user;
    uint64_t seen = 0;
    ddb_port_lock(&pool->lock);
    while (!pool->stop) {
        if (!pool->open || pool->job == seen) {
            ddb_port_wait(&pool->work, &pool->lock);
            continue;
        }
        ddb_pool_fn fn = pool->fn;
        void *task_user = pool->user;
        uint64_t count = pool->count;
        seen = pool->job;
        pool->busy++;
        ddb_port_unlock(&pool->lock);
        ddb_pool_take(pool, fn, task_user, count);
        ddb_port_lock(&pool->lock);
        pool->busy--;
        if (pool->busy == 0) {
            ddb_port_wake_all(&pool->idle);
        }
    }
    ddb_port_unlock(&pool->lock);
    return NULL;
}

/* Threads that cannot start are done without: the caller's thread is always there. */
DDB_FN void ddb_pool_start(ddb_pool *pool)
{
    if (pool->tried) {
        return;
    }
    pool->tried = true;
    while (pool->started + 1 < pool->width && ddb_port_thread_start(pool->threads + pool->started, ddb_pool_worker, pool)) {
        pool->started++;
    }
}

/* threads 0 = one a processor, at most 8.  fn not NULL: the host's job system instead of threads of our own. */
DDB_FN dreamdb_status ddb_pool_open(ddb_ctx *ctx, uint32_t threads, ddb_pool_host host, void *host_user, ddb_pool **out)
{
    uint32_t width = threads > 0 ? threads : ddb_port_processors();
    ddb_pool *pool = ddb_mem_new(ctx, ddb_pool, 1);
    *out = NULL;
    if (!pool) {
        return DREAMDB_ERR_MEMORY;
    }
    width = threads == 0 && width > (uint32_t)DDB_POOL_AUTO_MAX ? (uint32_t)DDB_POOL_AUTO_MAX : width;
    pool->width = width < (uint32_t)DDB_POOL_MAX ? width : (uint32_t)DDB_POOL_MAX;
    pool->host = threads == 1 ? NULL : host;
#if defined(DREAMDB_NO_THREADS)
    pool->width = pool->host ? pool->width : 1;
#endif
    pool->host_user = host_user;
    pool->threads = ddb_mem_new(ctx, ddb_port_thread, pool->width);
    if (!pool->threads) {
        ddb_mem_drop(ctx, pool, ddb_pool, 1);
        return DREAMDB_ERR_MEMORY;
    }
    bool lock = ddb_port_mutex_init(&pool->lock);
    bool work = lock && ddb_port_cond_init(&pool->work);
    bool idle = work && ddb_port_cond_init(&pool->idle);
    if (!idle) {
        if (work) {
            ddb_port_cond_free(&pool->work);
        }
        if (lock) {
            ddb_port_mutex_free(&pool->lock);
        }
        ddb_mem_drop(ctx, pool->threads, ddb_port_thread, pool->width);
        ddb_mem_drop(ctx, pool, ddb_pool, 1);
        return ddb_mem_fail(ctx, DREAMDB_ERR_MEMORY, "the system gives no mutex or condition variable");
    }
    *out = pool;
    return DREAMDB_OK;
}

DDB_FN void ddb_pool_close(ddb_ctx *ctx, ddb_pool *pool)
{
    if (!pool) {
        return;
    }
    ddb_port_lock(&pool->lock);
    pool->stop = true;
    ddb_port_wake_all(&pool->work);
    ddb_port_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->started; i++) {
        ddb_port_thread_join(pool->threads[i]);
    }
    ddb_port_cond_free(&pool->idle);
    ddb_port_cond_free(&pool->work);
    ddb_port_mutex_free(&pool->lock);
    ddb_mem_drop(ctx, pool->threads, ddb_port_thread, pool->width);
    ddb_mem_drop(ctx, pool, ddb_pool, 1);
}

/* How many threads may work in a run: 1 = only the caller's. */
DDB_FN uint32_t ddb_pool_width(const ddb_pool *pool)
{
    return pool ? pool->width : 1;
}

DDB_FN void ddb_pool_run_here(ddb_pool_fn fn, void *user, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        fn(user, i);
    }
}

DDB_FN void ddb_pool_run_threads(ddb_pool *pool, ddb_pool_fn fn, void *user, uint32_t count)
{
    ddb_port_lock(&pool->lock);
    ddb_pool_start(pool);
    pool->fn = fn;
    pool->user = user;
    pool->count = count;
    ddb_port_atomic_store(&pool->next, 0);
    pool->job++;
    pool->open = pool->started > 0;
    if (pool->open) {
        ddb_port_wake_all(&pool->work);
    }
    ddb_port_unlock(&pool->lock);
    ddb_pool_take(pool, fn, user, count);
    ddb_port_lock(&pool->lock);
    pool->open = false;                        /* every index is taken: who comes now would find none */
    while (pool->busy > 0) {
        ddb_port_wait(&pool->idle, &pool->lock);
    }
    ddb_port_unlock(&pool->lock);
}

/* pool NULL = on the caller's thread. */
DDB_FN void ddb_pool_run(ddb_pool *pool, ddb_pool_fn fn, void *user, uint32_t count)
{
    if (!pool || count < 2 || (pool->width < 2 && !pool->host)) {
        ddb_pool_run_here(fn, user, count);
        return;
    }
    if (ddb_port_atomic_add(&pool->owners, 1) != 1) {
        (void)ddb_port_atomic_add(&pool->owners, UINT64_MAX);
        ddb_pool_run_here(fn, user, count);
        return;
    }
    if (pool->host) {
        pool->host(pool->host_user, fn, user, count);
    } else {
        ddb_pool_run_threads(pool, fn, user, count);
    }
    (void)ddb_port_atomic_add(&pool->owners, UINT64_MAX);
}

/* ==== ROOM 13 store | prefix ddb_store_ | uses port mem bytes coll cpu hash addr pool ==== */
/* The storage callbacks seen from inside (batches, statuses, reasons), and the stores that come with the library: directory, memory, cache,
   fault.  The directory's file protocol, temporary names and lock files are core.md 1's, so that the reference may work beside us.
   Invariant: a path that is not valid never reaches a disk; a file under its name is whole or, after a power cut, cut short; a Ref moves only
   after what it names is durable (FULL).  Must never look into an object nor retry. */

enum { DDB_STORE_KEY_MAX = 1024,               /* bytes of a path: S3's limit for keys (s3.md, limits) */
       DDB_STORE_SMALL = DREAMDB_ADDRESS_SIZE }; /* files of a Ref's size: their tag is the content */

/* What a callback gave: a status of ours, nothing else. */
DDB_FN int ddb_store_status(int status)
{
    return status <= DREAMDB_OK && status >= DREAMDB_ERR_CANCELLED ? status : (int)DREAMDB_ERR_STORE;
}

/* Segments of 1 to 255 printable characters, none "." or "..", nothing of the directory store's own.  A prefix may end anywhere. */
DDB_FN bool ddb_store_path_valid(const char *path, bool prefix)
{
    size_t size = path ? strlen(path) : 0, start = 0;
    if (!path || size > (size_t)DDB_STORE_KEY_MAX || (size == 0 && !prefix) || strncmp(path, ".dreamdb-cas-locks", 18) == 0) {
        return false;
    }
    for (size_t i = 0; i <= size; i++) {
        uint8_t c = (uint8_t)path[i];
        if (i < size && c != '/') {
            if (c < ' ' || c > '~') {
                return false;
            }
            continue;
        }
        size_t run = i - start;
        bool dots = (run == 1 && path[start] == '.') || (run == 2 && path[start] == '.' && path[start + 1] == '.');
        if (run > 255 || ((run == 0 || dots) && !(prefix && i == size))) {
            return false;
        }
        start = i + 1;
    }
    return !strstr(path, ".tmp-");             /* the temporary names of core.md 1: list leaves them out */
}

/* Paths whose bytes change: refs, and what starts with "_" or "." (gc flags, job states, hot shards). */
DDB_FN bool ddb_store_path_mutable(const char *path)
{
    return strncmp(path, "refs/", 5) == 0 || path[0] == '_' || path[0] == '.';
}

/* Sets up a context for a public function: error cleared, allocator the caller's or libc's. */
DDB_FN dreamdb_status ddb_store_context(ddb_ctx *ctx, const dreamdb_allocator *allocator, dreamdb_error *error)
{
    memset(ctx, 0, sizeof *ctx);
    ctx->error = error;
    ctx->cpu = ddb_cpu_detect();
    if (error) {
        memset(error, 0, sizeof *error);
    }
    if (allocator && allocator->resize) {
        ctx->allocator = *allocator;
        return DREAMDB_OK;
    }
#ifndef DREAMDB_NO_LIBC_ALLOC
    ctx->allocator.resize = ddb_mem_libc;
    return DREAMDB_OK;
#else
    return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "DREAMDB_NO_LIBC_ALLOC: give an allocator");
#endif
}

/* ---- Bytes with a count of their users: what blobs lend, what shelves keep ---- */

typedef struct ddb_store_bytes {
    uint64_t          refs;                    /* atomic */
    dreamdb_allocator allocator;
    size_t            all;                     /* size of this block */
    const uint8_t    *data;
    size_t            size;
    dreamdb_blob      lent;                    /* bytes of another store, given back with the last user; data NULL if they are ours */
} ddb_store_bytes;

enum { DDB_STORE_HEAD = 192 };                 /* >= sizeof(ddb_store_bytes), a multiple of 64: data behind it is as aligned as the block */

/* A block of our own; its bytes are at data and may be written until it is shared. */
DDB_FN ddb_store_bytes *ddb_store_bytes_new(ddb_ctx *ctx, size_t size)
{
    size_t all = 0;
    DREAMDB_ASSERT(sizeof(ddb_store_bytes) <= DDB_STORE_HEAD);
    if (!ddb_mem_add(size, DDB_STORE_HEAD, &all)) {
        (void)ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "%zu bytes are too many", size);
        return NULL;
    }
    ddb_store_bytes *bytes = (ddb_store_bytes *)ddb_mem_alloc(ctx, all);
    if (bytes) {
        memset(bytes, 0, sizeof *bytes);
        bytes->refs = 1;
        bytes->allocator = ctx->allocator;
        bytes->all = all;
        bytes->data = (uint8_t *)bytes + DDB_STORE_HEAD;
        bytes->size = size;
    }
    return bytes;
}

DDB_FN ddb_store_bytes *ddb_store_bytes_hold(ddb_store_bytes *bytes)
{
    (void)ddb_port_atomic_add(&bytes->refs, 1);
    return bytes;
}

DDB_FN void ddb_store_release(dreamdb_blob *blob)
{
    if (blob->release) {
        blob->release(blob->release_user, blob->data, blob->size);
    }
    memset(blob, 0, sizeof *blob);
}

DDB_FN void ddb_store_bytes_drop(ddb_store_bytes *bytes)
{
    if (bytes && ddb_port_atomic_add(&bytes->refs, UINT64_MAX) == 0) {
        dreamdb_allocator allocator = bytes->allocator;
        ddb_store_release(&bytes->lent);
        (void)allocator.resize(allocator.user, bytes, bytes->all, 0);
    }
}

DDB_FN void ddb_store_bytes_release(void *user, const void *data, uint64_t size)
{
    (void)data;
    (void)size;
    ddb_store_bytes_drop((ddb_store_bytes *)user);
}

/* Lends [offset, offset + size) of bytes (size 0 = to the end); the blob takes over one use of the caller's. */
DDB_FN void ddb_store_bytes_lend(ddb_store_bytes *bytes, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    uint64_t from = offset < bytes->size ? offset : bytes->size;
    uint64_t left = bytes->size - from;
    out->data = bytes->data + (size_t)from;
    out->size = size > 0 && size < left ? size : left;
    out->release = ddb_store_bytes_release;
    out->release_user = bytes;
}

/* Takes a blob over; NULL without memory (the blob stays the caller's then). */
DDB_FN ddb_store_bytes *ddb_store_bytes_adopt(ddb_ctx *ctx, dreamdb_blob *blob)
{
    ddb_store_bytes *bytes = NULL;
    if (blob->release == ddb_store_bytes_release) {
        bytes = (ddb_store_bytes *)blob->release_user;
        if (bytes->data == (const uint8_t *)blob->data && bytes->size == blob->size) {
            memset(blob, 0, sizeof *blob);
            return bytes;
        }
    }
    bytes = ddb_store_bytes_new(ctx, 0);
    if (bytes) {
        bytes->lent = *blob;
        bytes->data = blob->data ? (const uint8_t *)blob->data : bytes->data;
        bytes->size = (size_t)blob->size;
        memset(blob, 0, sizeof *blob);
    }
    return bytes;
}

/* ---- Shelf: bytes under keys, oldest use first out.  The caller locks. ---- */

typedef struct ddb_store_item {
    struct ddb_store_item *chain, *newer, *older;
    ddb_store_bytes *bytes;
    uint64_t hash, version, modified_ns;
    size_t   key_size;                         /* the key follows, and a zero byte */
} ddb_store_item;

typedef struct ddb_store_shelf {
    ddb_ctx          ctx;                      /* its error is NULL: many threads use it */
    ddb_store_item **slots;
    size_t           slot_count, count;        /* slot_count: a power of two, or 0 */
    uint64_t         bytes;                    /* what everything costs */
    ddb_store_item  *newest, *oldest;
} ddb_store_shelf;

enum { DDB_STORE_SLOTS = 64 };                 /* of a new shelf; doubles */

DDB_FN const char *ddb_store_shelf_key(const ddb_store_item *item)
{
    return (const char *)(item + 1);
}

DDB_FN uint64_t ddb_store_shelf_hash(const void *key, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;       /* FNV-1a: keys are short */
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ ((const uint8_t *)key)[i]) * 0x100000001b3u;
    }
    return hash ^ hash >> 32;
}

DDB_FN ddb_store_item *ddb_store_shelf_find(const ddb_store_shelf *shelf, const void *key, size_t size)
{
    uint64_t hash = ddb_store_shelf_hash(key, size);
    ddb_store_item *item = shelf->slot_count > 0 ? shelf->slots[hash & (shelf->slot_count - 1)] : NULL;
    while (item && !(item->hash == hash && item->key_size == size && memcmp(item + 1, key, size) == 0)) {
        item = item->chain;
    }
    return item;
}

DDB_FN size_t ddb_store_shelf_item_size(size_t key_size)
{
    return sizeof(ddb_store_item) + key_size + 1;
}

/* What an item takes of a cap: its bytes, and what keeping them costs. */
DDB_FN uint64_t ddb_store_shelf_cost(size_t key_size, uint64_t size)
{
    return size + (uint64_t)ddb_store_shelf_item_size(key_size) + DDB_STORE_HEAD;
}

DDB_FN void ddb_store_shelf_unlink(ddb_store_shelf *shelf, ddb_store_item *item)
{
    *(item->newer ? &item->newer->older : &shelf->newest) = item->older;
    *(item->older ? &item->older->newer : &shelf->oldest) = item->newer;
}

DDB_FN void ddb_store_shelf_link(ddb_store_shelf *shelf, ddb_store_item *item)
{
    item->newer = NULL;
    item->older = shelf->newest;
    *(item->older ? &item->older->newer : &shelf->oldest) = item;
    shelf->newest = item;
}

DDB_FN void ddb_store_shelf_touch(ddb_store_shelf *shelf, ddb_store_item *item)
{
    if (shelf->newest != item) {
        ddb_store_shelf_unlink(shelf, item);
        ddb_store_shelf_link(shelf, item);
    }
}

DDB_FN void ddb_store_shelf_remove(ddb_store_shelf *shelf, ddb_store_item *item)
{
    ddb_store_item **at = shelf->slots + (item->hash & (shelf->slot_count - 1));
    while (*at != item) {
        at = &(*at)->chain;
    }
    *at = item->chain;
    ddb_store_shelf_unlink(shelf, item);
    shelf->count--;
    shelf->bytes -= ddb_store_shelf_cost(item->key_size, item->bytes->size);
    ddb_store_bytes_drop(item->bytes);
    ddb_mem_free(&shelf->ctx, item, ddb_store_shelf_item_size(item->key_size));
}

/* Doubles the slots; without memory the chains just get longer. */
DDB_FN bool ddb_store_shelf_grow(ddb_store_shelf *shelf)
{
    size_t count = shelf->slot_count > 0 ? shelf->slot_count * 2 : (size_t)DDB_STORE_SLOTS;
    ddb_store_item **slots = ddb_mem_new(&shelf->ctx, ddb_store_item *, count);
    if (!slots) {
        return shelf->slot_count > 0;
    }
    for (size_t i = 0; i < shelf->slot_count; i++) {
        ddb_store_item *item = shelf->slots[i];
        while (item) {
            ddb_store_item *next = item->chain;
            item->chain = slots[item->hash & (count - 1)];
            slots[item->hash & (count - 1)] = item;
            item = next;
        }
    }
    if (shelf->slots) {
        ddb_mem_drop(&shelf->ctx, shelf->slots, ddb_store_item *, shelf->slot_count);
    }
    shelf->slots = slots;
    shelf->slot_count = count;
    return true;
}

/* Puts bytes under a key, in place of what was there; takes over one use of bytes when it gives the item, NULL without memory. */
DDB_FN ddb_store_item *ddb_store_shelf_put(ddb_store_shelf *shelf, const void *key, size_t size, ddb_store_bytes *bytes)
{
    ddb_store_item *item = ddb_store_shelf_find(shelf, key, size);
    if (item) {
        shelf->bytes -= ddb_store_shelf_cost(size, item->bytes->size);
        ddb_store_bytes_drop(item->bytes);
        ddb_store_shelf_touch(shelf, item);
    } else {
        if (shelf->count >= shelf->slot_count && !ddb_store_shelf_grow(shelf)) {
            return NULL;
        }
        item = (ddb_store_item *)ddb_mem_alloc(&shelf->ctx, ddb_store_shelf_item_size(size));
        if (!item) {
            return NULL;
        }
        memset(item, 0, sizeof *item);
        memcpy(item + 1, key, size);
        ((uint8_t *)(item + 1))[size] = 0;
        item->key_size = size;
        item->hash = ddb_store_shelf_hash(key, size);
        item->chain = shelf->slots[item->hash & (shelf->slot_count - 1)];
        shelf->slots[item->hash & (shelf->slot_count - 1)] = item;
        ddb_store_shelf_link(shelf, item);
        shelf->count++;
    }
    item->bytes = bytes;
    shelf->bytes += ddb_store_shelf_cost(size, bytes->size);
    return item;
}

/* Drops what was not used for longest until everything costs at most cap. */
DDB_FN void ddb_store_shelf_trim(ddb_store_shelf *shelf, uint64_t cap)
{
    while (shelf->oldest && shelf->bytes > cap) {
        ddb_store_shelf_remove(shelf, shelf->oldest);
    }
}

DDB_FN void ddb_store_shelf_free(ddb_store_shelf *shelf)
{
    ddb_store_shelf_trim(shelf, 0);
    if (shelf->slots) {
        ddb_mem_drop(&shelf->ctx, shelf->slots, ddb_store_item *, shelf->slot_count);
    }
    shelf->slots = NULL;
    shelf->slot_count = 0;
}

/* ---- Calls ---- */

/* Fills in the error for an operation that failed: what was done, to what, and the store's own reason. */
DDB_FN dreamdb_status ddb_store_fail(ddb_ctx *ctx, const dreamdb_store *store, int given, const char *verb, const char *path)
{
    dreamdb_status status = given < 0 ? (dreamdb_status)ddb_store_status(given) : DREAMDB_ERR_STORE;
    const char *what = "the store failed";
    char reason[200];
    reason[0] = 0;
    switch ((int)status) {
    case DREAMDB_ERR_NOT_FOUND: what = "it is not in the store"; break;
    case DREAMDB_ERR_EXISTS: what = "there is one already"; break;
    case DREAMDB_ERR_CONFLICT: what = "somebody else changed it"; break;
    case DREAMDB_ERR_MEMORY: what = "no memory"; break;
    case DREAMDB_ERR_ARGUMENT: what = "the store takes no such path"; break;
    default: break;
    }
    if (store->reason && status != DREAMDB_ERR_NOT_FOUND && status != DREAMDB_ERR_EXISTS && status != DREAMDB_ERR_CONFLICT) {
        store->reason(store->user, reason, sizeof reason);
        reason[sizeof reason - 1] = 0;
    }
    return ddb_mem_fail_at(ctx, status, path, "%s %s: %s%s%s", verb, path, what, reason[0] ? ": " : "", reason);
}

/* Makes sense of what a store gave for one operation: a status of ours, a blob that is what was asked for. */
DDB_FN void ddb_store_settle(dreamdb_io *op)
{
    op->status = ddb_store_status(op->status);
    op->stat.tag[DREAMDB_TAG_SIZE - 1] = 0;
    op->blob.tag[DREAMDB_TAG_SIZE - 1] = 0;
    if (op->kind != DREAMDB_IO_GET) {
        return;
    }
    bool sane = (op->blob.data || op->blob.size == 0) && (op->size == 0 || op->blob.size <= op->size) && (uint64_t)(size_t)op->blob.size == op->blob.size;
    if (op->status == DREAMDB_OK && !sane) {
        op->status = DREAMDB_ERR_STORE;
    }
    if (op->status != DREAMDB_OK) {
        if (op->blob.data) {
            ddb_store_release(&op->blob);
        }
        memset(&op->blob, 0, sizeof op->blob);
    }
}

/* Runs one operation by the single callbacks; its status is the store's own. */
DDB_FN int ddb_store_call(const dreamdb_store *store, dreamdb_io *op)
{
    switch ((int)op->kind) {
    case DREAMDB_IO_GET: return store->get(store->user, op->path, op->offset, op->size, &op->blob);
    case DREAMDB_IO_PUT: return store->put(store->user, op->path, op->data, op->size, &op->condition);
    case DREAMDB_IO_STAT: return store->stat(store->user, op->path, &op->stat);
    case DREAMDB_IO_REMOVE: return store->remove(store->user, op->path);
    default: return DREAMDB_ERR_ARGUMENT;
    }
}

typedef struct ddb_store_run { const dreamdb_store *store; dreamdb_io *ops; } ddb_store_run;

DDB_FN void ddb_store_run_one(void *user, uint32_t index)
{
    ddb_store_run *run = (ddb_store_run *)user;
    run->ops[index].status = ddb_store_call(run->store, run->ops + index);
}

/* All ops at once: by the store's batch, on the pool if the store is thread-safe, else one by one.  Each op has its status; the caller
   releases the blobs of the GETs that are OK.  Fails (with ctx->error) only if nothing could be tried. */
DDB_FN dreamdb_status ddb_store_batch(ddb_ctx *ctx, ddb_pool *pool, const dreamdb_store *store, dreamdb_io *ops, size_t count)
{
    int status = DREAMDB_OK;
    for (size_t i = 0; i < count; i++) {
        memset(&ops[i].blob, 0, sizeof ops[i].blob);
        memset(&ops[i].stat, 0, sizeof ops[i].stat);
        ops[i].status = DREAMDB_ERR_STORE;
    }
    if (store->batch && count > 0) {
        status = ddb_store_status(store->batch(store->user, ops, count));
    } else {
        ddb_store_run run;
        run.store = store;
        for (size_t at = 0; at < count; at += UINT32_MAX) {
            uint32_t part = count - at < UINT32_MAX ? (uint32_t)(count - at) : UINT32_MAX;
            run.ops = ops + at;
            ddb_pool_run((store->flags & (uint32_t)DREAMDB_STORE_THREAD_SAFE) ? pool : NULL, ddb_store_run_one, &run, part);
        }
    }
    for (size_t i = 0; i < count; i++) {
        ddb_store_settle(ops + i);
        if (status < 0 && ops[i].status == DREAMDB_OK) {
            ddb_store_release(&ops[i].blob);
        }
    }
    return status < 0 ? ddb_store_fail(ctx, store, status, "batch of", count > 0 ? ops[0].path : "") : DREAMDB_OK;
}

/* ---- Memory store ---- */

typedef struct ddb_store_memory {
    ddb_ctx         ctx;
    ddb_port_mutex  lock;
    ddb_store_shelf shelf;
    uint64_t        version;
} ddb_store_memory;

DDB_FN void ddb_store_memory_describe(const ddb_store_item *item, dreamdb_stat *out)
{
    out->size = item->bytes->size;
    out->modified_ns = item->modified_ns;
    (void)snprintf(out->tag, sizeof out->tag, "v%llu", (unsigned long long)item->version);
}

DDB_FN int ddb_store_memory_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    ddb_store_memory *memory = (ddb_store_memory *)user;
    dreamdb_stat stat;
    memset(out, 0, sizeof *out);
    if (!ddb_store_path_valid(path, false)) {
        return DREAMDB_ERR_ARGUMENT;
    }
    ddb_port_lock(&memory->lock);
    ddb_store_item *item = ddb_store_shelf_find(&memory->shelf, path, strlen(path));
    if (item) {
        ddb_store_memory_describe(item, &stat);
        memcpy(out->tag, stat.tag, sizeof out->tag);
        ddb_store_bytes_lend(ddb_store_bytes_hold(item->bytes), offset, size, out);
    }
    ddb_port_unlock(&memory->lock);
    return item ? DREAMDB_OK : DREAMDB_ERR_NOT_FOUND;
}

/* Whether a condition holds for what is there (NULL = nothing). */
DDB_FN int ddb_store_memory_allows(const ddb_store_item *item, const dreamdb_condition *condition)
{
    dreamdb_stat stat;
    if (!condition || condition->kind == DREAMDB_PUT_ALWAYS) {
        return DREAMDB_OK;
    }
    if (condition->kind == DREAMDB_PUT_IF_ABSENT) {
        return item ? DREAMDB_ERR_EXISTS : DREAMDB_OK;
    }
    if (!item || !condition->tag) {
        return DREAMDB_ERR_CONFLICT;
    }
    ddb_store_memory_describe(item, &stat);
    return strcmp(stat.tag, condition->tag) == 0 ? DREAMDB_OK : DREAMDB_ERR_CONFLICT;
}

DDB_FN int ddb_store_memory_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    ddb_store_memory *memory = (ddb_store_memory *)user;
    if (!ddb_store_path_valid(path, false) || (uint64_t)(size_t)size != size) {
        return DREAMDB_ERR_ARGUMENT;
    }
    ddb_store_bytes *bytes = ddb_store_bytes_new(&memory->ctx, (size_t)size);
    if (!bytes) {
        return DREAMDB_ERR_MEMORY;
    }
    if (size > 0) {
        memcpy((uint8_t *)bytes + DDB_STORE_HEAD, data, (size_t)size);
    }
    uint64_t now = ddb_port_now_ns();
    ddb_port_lock(&memory->lock);
    int status = ddb_store_memory_allows(ddb_store_shelf_find(&memory->shelf, path, strlen(path)), condition);
    ddb_store_item *item = status == DREAMDB_OK ? ddb_store_shelf_put(&memory->shelf, path, strlen(path), bytes) : NULL;
    if (item) {
        item->version = ++memory->version;
        item->modified_ns = now;
    }
    ddb_port_unlock(&memory->lock);
    if (!item) {
        ddb_store_bytes_drop(bytes);
    }
    return status == DREAMDB_OK && !item ? (int)DREAMDB_ERR_MEMORY : status;
}

DDB_FN int ddb_store_memory_stat(void *user, const char *path, dreamdb_stat *out)
{
    ddb_store_memory *memory = (ddb_store_memory *)user;
    memset(out, 0, sizeof *out);
    if (!ddb_store_path_valid(path, false)) {
        return DREAMDB_ERR_ARGUMENT;
    }
    ddb_port_lock(&memory->lock);
    ddb_store_item *item = ddb_store_shelf_find(&memory->shelf, path, strlen(path));
    if (item) {
        ddb_store_memory_describe(item, out);
    }
    ddb_port_unlock(&memory->lock);
    return item ? DREAMDB_OK : DREAMDB_ERR_NOT_FOUND;
}

DDB_FN int ddb_store_memory_remove(void *user, const char *path)
{
    ddb_store_memory *memory = (ddb_store_memory *)user;
    if (!ddb_store_path_valid(path, false)) {
        return DREAMDB_ERR_ARGUMENT;
    }
    ddb_port_lock(&memory->lock);
    ddb_store_item *item = ddb_store_shelf_find(&memory->shelf, path, strlen(path));
    if (item) {
        ddb_store_shelf_remove(&memory->shelf, item);
    }
    ddb_port_unlock(&memory->lock);
    return DREAMDB_OK;
}

typedef struct ddb_store_listed { char *path; dreamdb_stat stat; } ddb_store_listed;

/* The names are copied first, so that each may use the store. */
DDB_FN int ddb_store_memory_list(void *user, const char *prefix, dreamdb_list_fn each, void *each_user)
{
    ddb_store_memory *memory = (ddb_store_memory *)user;
    ddb_arena arena;
    size_t count = 0, prefix_size = prefix ? strlen(prefix) : 0;
    int status = DREAMDB_OK;
    memset(&arena, 0, sizeof arena);
    if (!ddb_store_path_valid(prefix, true)) {
        return DREAMDB_ERR_ARGUMENT;
    }
    ddb_port_lock(&memory->lock);
    ddb_store_listed *found = ddb_mem_arena_new(&memory->ctx, &arena, ddb_store_listed, memory->shelf.count);
    status = found ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    for (ddb_store_item *item = memory->shelf.oldest; item && status == DREAMDB_OK; item = item->newer) {
        if (strncmp(ddb_store_shelf_key(item), prefix, prefix_size) == 0) {
            found[count].path = ddb_mem_arena_copy(&memory->ctx, &arena, ddb_store_shelf_key(item), item->key_size);
            status = found[count].path ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
            ddb_store_memory_describe(item, &found[count].stat);
            count++;
        }
    }
    ddb_port_unlock(&memory->lock);
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        status = each(each_user, found[i].path, &found[i].stat);
    }
    ddb_mem_arena_free(&memory->ctx, &arena);
    return status;
}

DDB_FN void ddb_store_memory_close(void *user)
{
    ddb_store_memory *memory = (ddb_store_memory *)user;
    ddb_ctx ctx = memory->ctx;
    ddb_store_shelf_free(&memory->shelf);
    ddb_port_mutex_free(&memory->lock);
    ddb_mem_drop(&ctx, memory, ddb_store_memory, 1);
}

/* Threads of the library itself are needed for THREAD_SAFE: without them the locks are empty. */
DDB_FN uint32_t ddb_store_thread_flag(void)
{
#if defined(DREAMDB_NO_THREADS)
    return 0;
#else
    return DREAMDB_STORE_THREAD_SAFE;
#endif
}

DREAMDB_API dreamdb_status dreamdb_store_memory(const dreamdb_allocator *allocator, dreamdb_store *out, dreamdb_error *error)
{
    ddb_ctx ctx;
    dreamdb_status status = ddb_store_context(&ctx, allocator, error);
    memset(out, 0, sizeof *out);
    ddb_store_memory *memory = status == DREAMDB_OK ? ddb_mem_new(&ctx, ddb_store_memory, 1) : NULL;
    if (!memory) {
        return status < 0 ? status : DREAMDB_ERR_MEMORY;
    }
    if (!ddb_port_mutex_init(&memory->lock)) {
        ddb_mem_drop(&ctx, memory, ddb_store_memory, 1);
        return ddb_mem_fail(&ctx, DREAMDB_ERR_MEMORY, "the system gives no mutex");
    }
    memory->ctx = ctx;
    memory->ctx.error = NULL;
    memory->shelf.ctx = memory->ctx;
    out->user = memory;
    out->get = ddb_store_memory_get;
    out->put = ddb_store_memory_put;
    out->stat = ddb_store_memory_stat;
    out->list = ddb_store_memory_list;
    out->remove = ddb_store_memory_remove;
    out->close = ddb_store_memory_close;
    out->flags = ddb_store_thread_flag() | (uint32_t)DREAMDB_STORE_HAS_TAGS;
    return DREAMDB_OK;
}

DREAMDB_API void dreamdb_store_close(dreamdb_store *store)
{
    if (store && store->close) {
        store->close(store->user);
    }
    if (store) {
        memset(store, 0, sizeof *store);
    }
}

/* ---- Cache: whole objects of immutable paths in front of another store ---- */

typedef struct ddb_store_cache {
    ddb_ctx         ctx;
    dreamdb_store   inner;
    uint64_t        cap;
    ddb_port_mutex  lock;                      /* all below */
    ddb_store_shelf shelf;
    uint64_t        changes;                   /* puts and removes: what was read before one is not kept */
    uint64_t        hits, misses;
} ddb_store_cache;

/* Serves op from the shelf.  *changes is to be given to ddb_store_cache_keep after a miss. */
DDB_FN bool ddb_store_cache_serve(ddb_store_cache *cache, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out, uint64_t *changes)
{
    memset(out, 0, sizeof *out);
    if (!path || ddb_store_path_mutable(path)) {
        return false;
    }
    ddb_port_lock(&cache->lock);
    ddb_store_item *item = ddb_store_shelf_find(&cache->shelf, path, strlen(path));
    if (item) {
        ddb_store_shelf_touch(&cache->shelf, item);
        ddb_store_bytes_lend(ddb_store_bytes_hold(item->bytes), offset, size, out);
    }
    cache->hits += item != NULL;
    cache->misses += item == NULL;
    *changes = cache->changes;
    ddb_port_unlock(&cache->lock);
    return item != NULL;
}

/* Bytes under a name that is their address must match it: a damaged answer is passed on, not kept. */
DDB_FN bool ddb_store_cache_sound(const ddb_store_cache *cache, const char *path, const dreamdb_blob *blob)
{
    const char *slash = strrchr(path, '/');
    ddb_addr named, is;
    if (strncmp(path, "bao-outboard/", 13) == 0 || !ddb_addr_parse(ddb_bytes_text(slash ? slash + 1 : path), &named)) {
        return true;
    }
    ddb_addr_of(cache->ctx.cpu, ddb_bytes_slice(blob->data, (size_t)blob->size), &is);
    return ddb_addr_equal(&named, &is);
}

/* Keeps what a whole GET gave; the blob stays good either way. */
DDB_FN void ddb_store_cache_keep(ddb_store_cache *cache, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *blob, uint64_t changes)
{
    bool whole = offset == 0 && (size == 0 || blob->size < size);
    size_t key = strlen(path);
    if (!whole || ddb_store_path_mutable(path) || (uint64_t)(size_t)blob->size != blob->size || blob->size > cache->cap
        || ddb_store_shelf_cost(key, blob->size) > cache->cap || (blob->size > 0 && !blob->data) || !ddb_store_cache_sound(cache, path, blob)) {
        return;
    }
    char tag[DREAMDB_TAG_SIZE];
    memcpy(tag, blob->tag, sizeof tag);
    ddb_store_bytes *bytes = ddb_store_bytes_adopt(&cache->ctx, blob);
    if (!bytes) {
        return;
    }
    ddb_port_lock(&cache->lock);
    if (cache->changes == changes && !ddb_store_shelf_find(&cache->shelf, path, key) && ddb_store_shelf_put(&cache->shelf, path, key, bytes)) {
        (void)ddb_store_bytes_hold(bytes);
        ddb_store_shelf_trim(&cache->shelf, cache->cap);
    }
    ddb_port_unlock(&cache->lock);
    ddb_store_bytes_lend(bytes, 0, 0, blob);
    memcpy(blob->tag, tag, sizeof tag);
}

DDB_FN void ddb_store_cache_forget(ddb_store_cache *cache, const char *path)
{
    if (!path || ddb_store_path_mutable(path)) {
        return;
    }
    ddb_port_lock(&cache->lock);
    cache->changes++;
    ddb_store_item *item = ddb_store_shelf_find(&cache->shelf, path, strlen(path));
    if (item) {
        ddb_store_shelf_remove(&cache->shelf, item);
    }
    ddb_port_unlock(&cache->lock);
}

DDB_FN int ddb_store_cache_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    ddb_store_cache *cache = (ddb_store_cache *)user;
    uint64_t changes = 0;
    if (ddb_store_cache_serve(cache, path, offset, size, out, &changes)) {
        return DREAMDB_OK;
    }
    int status = cache->inner.get(cache->inner.user, path, offset, size, out);
    if (status == DREAMDB_OK) {
        ddb_store_cache_keep(cache, path, offset, size, out, changes);
    }
    return status;
}

/* Only a put that may replace bytes matters; it is forgotten before and after, so that no reader keeps the old bytes. */
DDB_FN bool ddb_store_cache_replaces(const dreamdb_condition *condition)
{
    return !condition || condition->kind != DREAMDB_PUT_IF_ABSENT;
}

DDB_FN int ddb_store_cache_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    ddb_store_cache *cache = (ddb_store_cache *)user;
    int status = cache->inner.put(cache->inner.user, path, data, size, condition);
    if (ddb_store_cache_replaces(condition)) {
        ddb_store_cache_forget(cache, path);
    }
    return status;
}

DDB_FN int ddb_store_cache_stat(void *user, const char *path, dreamdb_stat *out)
{
    ddb_store_cache *cache = (ddb_store_cache *)user;
    return cache->inner.stat(cache->inner.user, path, out);
}

DDB_FN int ddb_store_cache_list(void *user, const char *prefix, dreamdb_list_fn each, void *each_user)
{
    ddb_store_cache *cache = (ddb_store_cache *)user;
    return cache->inner.list(cache->inner.user, prefix, each, each_user);
}

DDB_FN int ddb_store_cache_remove(void *user, const char *path)
{
    ddb_store_cache *cache = (ddb_store_cache *)user;
    int status = cache->inner.remove(cache->inner.user, path);
    ddb_store_cache_forget(cache, path);
    return status;
}

/* Hits are served here, all the rest goes on in one batch. */
DDB_FN int ddb_store_cache_batch(void *user, dreamdb_io *ops, size_t count)
{
    ddb_store_cache *cache = (ddb_store_cache *)user;
    dreamdb_io *rest = ddb_mem_new(&cache->ctx, dreamdb_io, count);
    uint64_t *changes = ddb_mem_new(&cache->ctx, uint64_t, count);
    size_t *which = ddb_mem_new(&cache->ctx, size_t, count);
    size_t left = 0;
    int status = rest && changes && which ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        if (ops[i].kind == DREAMDB_IO_GET && ddb_store_cache_serve(cache, ops[i].path, ops[i].offset, ops[i].size, &ops[i].blob, changes + left)) {
            ops[i].status = DREAMDB_OK;
            continue;
        }
        which[left] = i;
        rest[left++] = ops[i];
    }
    if (left > 0) {
        status = cache->inner.batch(cache->inner.user, rest, left);
    }
    for (size_t i = 0; i < left; i++) {
        dreamdb_io *op = ops + which[i];
        *op = rest[i];
        if (op->kind == DREAMDB_IO_GET && op->status == DREAMDB_OK) {
            ddb_store_cache_keep(cache, op->path, op->offset, op->size, &op->blob, changes[i]);
        } else if (op->kind == DREAMDB_IO_REMOVE || (op->kind == DREAMDB_IO_PUT && ddb_store_cache_replaces(&op->condition))) {
            ddb_store_cache_forget(cache, op->path);
        }
    }
    ddb_mem_drop(&cache->ctx, rest, dreamdb_io, count);
    ddb_mem_drop(&cache->ctx, changes, uint64_t, count);
    ddb_mem_drop(&cache->ctx, which, size_t, count);
    return status;
}

DDB_FN int ddb_store_cache_sync(void *user)
{
    ddb_store_cache *cache = (ddb_store_cache *)user;
    return cache->inner.sync(cache->inner.user);
}

DDB_FN void ddb_store_cache_reason(void *user, char *out, size_t size)
{
    ddb_store_cache *cache = (ddb_store_cache *)user;
    cache->inner.reason(cache->inner.user, out, size);
}

DDB_FN void ddb_store_cache_close(void *user)
{
    ddb_store_cache *cache = (ddb_store_cache *)user;
    ddb_ctx ctx = cache->ctx;
    ddb_store_shelf_free(&cache->shelf);
    ddb_port_mutex_free(&cache->lock);
    ddb_mem_drop(&ctx, cache, ddb_store_cache, 1);
}

/* A store must have its five functions. */
DDB_FN dreamdb_status ddb_store_check(ddb_ctx *ctx, const dreamdb_store *store)
{
    if (!store || !store->get || !store->put || !store->stat || !store->list || !store->remove) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "the store lacks one of get, put, stat, list, remove");
    }
    return DREAMDB_OK;
}

DREAMDB_API dreamdb_status dreamdb_store_cache(const dreamdb_store *inner, uint64_t size_bytes, const dreamdb_allocator *allocator,
                                               dreamdb_store *out, dreamdb_error *error)
{
    ddb_ctx ctx;
    dreamdb_store made;
    dreamdb_status status = ddb_store_context(&ctx, allocator, error);
    memset(&made, 0, sizeof made);
    status = status < 0 ? status : ddb_store_check(&ctx, inner);
    ddb_store_cache *cache = status == DREAMDB_OK ? ddb_mem_new(&ctx, ddb_store_cache, 1) : NULL;
    if (!cache) {
        memset(out, 0, sizeof *out);
        return status < 0 ? status : DREAMDB_ERR_MEMORY;
    }
    if (!ddb_port_mutex_init(&cache->lock)) {
        ddb_mem_drop(&ctx, cache, ddb_store_cache, 1);
        memset(out, 0, sizeof *out);
        return ddb_mem_fail(&ctx, DREAMDB_ERR_MEMORY, "the system gives no mutex");
    }
    cache->ctx = ctx;
    cache->ctx.error = NULL;
    cache->shelf.ctx = cache->ctx;
    cache->inner = *inner;
    cache->cap = size_bytes;
    made.user = cache;
    made.get = ddb_store_cache_get;
    made.put = ddb_store_cache_put;
    made.stat = ddb_store_cache_stat;
    made.list = ddb_store_cache_list;
    made.remove = ddb_store_cache_remove;
    made.batch = inner->batch ? ddb_store_cache_batch : NULL;
    made.sync = inner->sync ? ddb_store_cache_sync : NULL;
    made.reason = inner->reason ? ddb_store_cache_reason : NULL;
    made.close = ddb_store_cache_close;
    made.flags = inner->flags;
    *out = made;
    return DREAMDB_OK;
}

/* ---- Faults for tests ---- */

typedef struct ddb_store_fault {
    ddb_ctx        ctx;
    dreamdb_store  inner;
    dreamdb_fault *plan;
    uint64_t       failed;                     /* the operation that the plan failed last; 0: the last failure was the inner store's own */
} ddb_store_fault;

/* Counts an operation; true = it must fail now.  *after: do it, then report failure. */
DDB_FN bool ddb_store_fault_hits(ddb_store_fault *fault, bool *after)
{
    dreamdb_fault *plan = fault->plan;
    uint64_t n = ++plan->operations;
    bool at = plan->fail_at > 0 && n == plan->fail_at;
    bool dead = plan->fail_at > 0 && plan->fail_forever && n > plan->fail_at;
    *after = at && plan->fail_after;
    fault->failed = at || dead ? n : fault->failed;
    return at || dead;
}

DDB_FN int ddb_store_fault_status(const ddb_store_fault *fault)
{
    return fault->plan->fail_status != 0 ? fault->plan->fail_status : (int)DREAMDB_ERR_STORE;
}

/* Flips a bit or takes the last byte away, in a copy. */
DDB_FN int ddb_store_fault_spoil(ddb_store_fault *fault, dreamdb_blob *blob)
{
    dreamdb_fault *plan = fault->plan;
    bool flip = plan->flip_at == plan->gets && blob->size > 0, cut = plan->cut_at == plan->gets && blob->size > 0;
    if (!flip && !cut) {
        return DREAMDB_OK;
    }
    size_t size = (size_t)blob->size;
    ddb_store_bytes *bytes = ddb_store_bytes_new(&fault->ctx, size);
    if (!bytes) {
        ddb_store_release(blob);
        return DREAMDB_ERR_MEMORY;
    }
    uint8_t *data = (uint8_t *)bytes + DDB_STORE_HEAD;
    memcpy(data, blob->data, size);
    if (flip) {
        data[size / 2] ^= (uint8_t)(1u << plan->gets % 8);
    }
    bytes->size = size - (cut ? 1 : 0);
    char tag[DREAMDB_TAG_SIZE];
    memcpy(tag, blob->tag, sizeof tag);
    ddb_store_release(blob);
    ddb_store_bytes_lend(bytes, 0, 0, blob);
    memcpy(blob->tag, tag, sizeof tag);
    return DREAMDB_OK;
}

DDB_FN int ddb_store_fault_one(ddb_store_fault *fault, dreamdb_io *op)
{
    bool after = false;
    bool hit = ddb_store_fault_hits(fault, &after);
    memset(&op->blob, 0, sizeof op->blob);
    if (hit && !after) {
        return ddb_store_fault_status(fault);
    }
    int status = ddb_store_call(&fault->inner, op);
    if (status == DREAMDB_OK && op->kind == DREAMDB_IO_GET) {
        fault->plan->gets++;
        status = ddb_store_fault_spoil(fault, &op->blob);
        fault->plan->bytes_read += op->blob.size;
    }
    if (status == DREAMDB_OK && op->kind == DREAMDB_IO_PUT) {
        fault->plan->puts++;
        fault->plan->bytes_written += op->size;
    }
    if (hit && status == DREAMDB_OK) {
        ddb_store_release(&op->blob);
        return ddb_store_fault_status(fault);
    }
    fault->failed = status < 0 ? 0 : fault->failed;
    return status;
}

DDB_FN int ddb_store_fault_batch(void *user, dreamdb_io *ops, size_t count)
{
    ddb_store_fault *fault = (ddb_store_fault *)user;
    fault->plan->waves++;
    for (size_t i = 0; i < count; i++) {
        ops[i].status = ddb_store_fault_one(fault, ops + i);
    }
    return DREAMDB_OK;
}

DDB_FN int ddb_store_fault_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    dreamdb_io op;
    memset(&op, 0, sizeof op);
    op.kind = DREAMDB_IO_GET;
    op.path = path;
    op.offset = offset;
    op.size = size;
    (void)ddb_store_fault_batch(user, &op, 1);
    *out = op.blob;
    return op.status;
}

DDB_FN int ddb_store_fault_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
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
    (void)ddb_store_fault_batch(user, &op, 1);
    return op.status;
}

DDB_FN int ddb_store_fault_stat(void *user, const char *path, dreamdb_stat *out)
{
    dreamdb_io op;
    memset(&op, 0, sizeof op);
    op.kind = DREAMDB_IO_STAT;
    op.path = path;
    (void)ddb_store_fault_batch(user, &op, 1);
    *out = op.stat;
    return op.status;
}

DDB_FN int ddb_store_fault_remove(void *user, const char *path)
{
    dreamdb_io op;
    memset(&op, 0, sizeof op);
    op.kind = DREAMDB_IO_REMOVE;
    op.path = path;
    (void)ddb_store_fault_batch(user, &op, 1);
    return op.status;
}

DDB_FN int ddb_store_fault_list(void *user, const char *prefix, dreamdb_list_fn each, void *each_user)
{
    ddb_store_fault *fault = (ddb_store_fault *)user;
    bool after = false;
    bool hit = ddb_store_fault_hits(fault, &after);
    fault->plan->waves++;
    int status = hit && !after ? DREAMDB_OK : fault->inner.list(fault->inner.user, prefix, each, each_user);
    return hit ? ddb_store_fault_status(fault) : status;
}

DDB_FN int ddb_store_fault_sync(void *user)
{
    ddb_store_fault *fault = (ddb_store_fault *)user;
    bool after = false;
    bool hit = ddb_store_fault_hits(fault, &after);
    int status = (hit && !after) || !fault->inner.sync ? DREAMDB_OK : fault->inner.sync(fault->inner.user);
    return hit ? ddb_store_fault_status(fault) : status;
}

DDB_FN void ddb_store_fault_reason(void *user, char *out, size_t size)
{
    ddb_store_fault *fault = (ddb_store_fault *)user;
    out[0] = 0;
    if (fault->failed > 0) {
        (void)snprintf(out, size, "operation %llu fails as planned", (unsigned long long)fault->failed);
    } else if (fault->inner.reason) {
        fault->inner.reason(fault->inner.user, out, size);
    }
}

DDB_FN void ddb_store_fault_close(void *user)
{
    ddb_store_fault *fault = (ddb_store_fault *)user;
    ddb_ctx ctx = fault->ctx;
    ddb_mem_drop(&ctx, fault, ddb_store_fault, 1);
}

DREAMDB_API dreamdb_status dreamdb_store_fault(const dreamdb_store *inner, dreamdb_fault *plan, const dreamdb_allocator *allocator,
                                               dreamdb_store *out, dreamdb_error *error)
{
    ddb_ctx ctx;
    dreamdb_store made;
    dreamdb_status status = ddb_store_context(&ctx, allocator, error);
    memset(&made, 0, sizeof made);
    status = status < 0 ? status : ddb_store_check(&ctx, inner);
    if (status == DREAMDB_OK && !plan) {
        status = ddb_mem_fail(&ctx, DREAMDB_ERR_ARGUMENT, "the fault store needs a plan");
    }
    ddb_store_fault *fault = status == DREAMDB_OK ? ddb_mem_new(&ctx, ddb_store_fault, 1) : NULL;
    if (!fault) {
        memset(out, 0, sizeof *out);
        return status < 0 ? status : DREAMDB_ERR_MEMORY;
    }
    fault->ctx = ctx;
    fault->ctx.error = NULL;
    fault->inner = *inner;
    fault->plan = plan;
    made.user = fault;
    made.get = ddb_store_fault_get;
    made.put = ddb_store_fault_put;
    made.stat = ddb_store_fault_stat;
    made.list = ddb_store_fault_list;
    made.remove = ddb_store_fault_remove;
    made.batch = ddb_store_fault_batch;
    made.sync = ddb_store_fault_sync;
    made.reason = ddb_store_fault_reason;
    made.close = ddb_store_fault_close;
    made.flags = inner->flags & ~(uint32_t)DREAMDB_STORE_THREAD_SAFE;
    *out = made;
    return DREAMDB_OK;
}

/* ---- Directory store ---- */

#if !defined(DREAMDB_NO_STDIO)

enum { DDB_STORE_FILE_MAX = 4096,              /* bytes of a whole path with its zero: PATH_MAX of Linux */
       DDB_STORE_NAME_MAX = 255,               /* bytes of a file name: NAME_MAX everywhere */
       DDB_STORE_DEPTH = 64,                   /* folders in one another that list walks (limits.depth's default) */
       DDB_STORE_TRIES = 16 };                 /* for a temporary name nobody has, in a folder that stays */

typedef struct ddb_store_dir {
    ddb_ctx            ctx;
    dreamdb_durability durability;
    bool               read_only, create;
    uint64_t           no_link;                /* atomic; 1: this file system has no hard links */
    uint64_t           lists;                  /* 1: no syncfs here, so what was written is written down (tests set it too) */
    uint64_t           serial;                 /* atomic; of temporary names */
    uint64_t           written, synced;        /* atomic; puts so far, puts that the last good sync covered */
    uint64_t           broken;                 /* atomic; errno of a sync that failed: the disk may have lost what it reported written */
    ddb_port_mutex     lock;                   /* all below */
    ddb_buf            todo;                   /* lists: paths to sync, each with its zero */
    char               reason[200];
    size_t             base_size;
    char               base[DDB_STORE_FILE_MAX];   /* absolute, no slash at its end ("" = the root) */
} ddb_store_dir;

/* Keeps the reason and gives the status for an errno value.  reading: absence is an answer, not a failure. */
DDB_FN int ddb_store_dir_fail(ddb_store_dir *dir, const char *verb, const char *path, int error, bool reading)
{
    if (reading && ddb_port_is_absent(error)) {
        return DREAMDB_ERR_NOT_FOUND;
    }
    ddb_port_lock(&dir->lock);
    (void)snprintf(dir->reason, sizeof dir->reason, "%s (%s %.60s, errno %d)", ddb_port_file_reason(error), verb, path, error);
    ddb_port_unlock(&dir->lock);
    return ddb_port_is_memory(error) ? (int)DREAMDB_ERR_MEMORY : (int)DREAMDB_ERR_STORE;
}

DDB_FN int ddb_store_dir_refuse(ddb_store_dir *dir, int status, const char *why)
{
    ddb_port_lock(&dir->lock);
    (void)snprintf(dir->reason, sizeof dir->reason, "%s", why);
    ddb_port_unlock(&dir->lock);
    return status;
}

DDB_FN void ddb_store_dir_reason(void *user, char *out, size_t size)
{
    ddb_store_dir *dir = (ddb_store_dir *)user;
    ddb_port_lock(&dir->lock);
    (void)snprintf(out, size, "%s", dir->reason);
    ddb_port_unlock(&dir->lock);
}

/* BASE/path, or ARGUMENT: the only way from a path to the disk. */
DDB_FN int ddb_store_dir_path(ddb_store_dir *dir, const char *path, bool prefix, char full[DDB_STORE_FILE_MAX])
{
    if (!ddb_store_path_valid(path, prefix)) {
        return ddb_store_dir_refuse(dir, DREAMDB_ERR_ARGUMENT, "not a path inside a store: segments of 1 to 255 printable ASCII characters, no \"..\"");
    }
    if (snprintf(full, DDB_STORE_FILE_MAX, "%s/%s", dir->base, path) >= DDB_STORE_FILE_MAX - 1) {
        return ddb_store_dir_refuse(dir, DREAMDB_ERR_STORE, "the path is longer than the system takes: move the store nearer to the root");
    }
    return DREAMDB_OK;
}

/* The tag of bytes: hex up to a Ref's size, else their address. */
DDB_FN void ddb_store_dir_tag(const ddb_store_dir *dir, const uint8_t *data, size_t size, char tag[DREAMDB_TAG_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    ddb_addr addr;
    if (size > (size_t)DDB_STORE_SMALL) {
        ddb_addr_of(dir->ctx.cpu, ddb_bytes_slice(data, size), &addr);
        ddb_addr_text(&addr, tag);
        return;
    }
    for (size_t i = 0; i < size; i++) {
        tag[2 * i] = digits[data[i] >> 4];
        tag[2 * i + 1] = digits[data[i] & 15];
    }
    tag[2 * size] = 0;
}

/* Reads an open file.  Small and mutable ones are read whole: their tag is their content, since time and size may stay the same. */
DDB_FN int ddb_store_dir_read(ddb_store_dir *dir, const char *path, int file, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    ddb_port_info info;
    int error = ddb_port_file_info(file, &info);
    if (error != 0) {
        return ddb_store_dir_fail(dir, "stat", path, error, true);
    }
    if (!info.is_file) {
        return DREAMDB_ERR_NOT_FOUND;
    }
    bool whole = info.size <= (uint64_t)DDB_STORE_SMALL || ddb_store_path_mutable(path);
    uint64_t from = whole ? 0 : offset < info.size ? offset : info.size;
    uint64_t left = info.size - from;
    uint64_t want = !whole && size > 0 && size < left ? size : left;
    ddb_store_bytes *bytes = (uint64_t)(size_t)want == want ? ddb_store_bytes_new(&dir->ctx, (size_t)want) : NULL;
    if (!bytes) {
        return DREAMDB_ERR_MEMORY;
    }
    error = ddb_port_file_read(file, (uint8_t *)bytes + DDB_STORE_HEAD, (size_t)want, from, &bytes->size);
    if (error != 0) {
        ddb_store_bytes_drop(bytes);
        return ddb_store_dir_fail(dir, "read", path, error, true);
    }
    if (whole) {
        ddb_store_dir_tag(dir, bytes->data, bytes->size, out->tag);
    } else {
        (void)snprintf(out->tag, sizeof out->tag, "%llu-%llu", (unsigned long long)info.size, (unsigned long long)info.modified_ns);
    }
    ddb_store_bytes_lend(bytes, whole ? offset : 0, size, out);
    return DREAMDB_OK;
}

DDB_FN int ddb_store_dir_get(void *user, const char *path, uint64_t offset, uint64_t size, dreamdb_blob *out)
{
    ddb_store_dir *dir = (ddb_store_dir *)user;
    char full[DDB_STORE_FILE_MAX];
    int file = -1;
    memset(out, 0, sizeof *out);
    int status = ddb_store_dir_path(dir, path, false, full);
    if (status < 0) {
        return status;
    }
    int error = ddb_port_file_open_read(full, &file);
    if (error != 0) {
        return ddb_store_dir_fail(dir, "open", path, error, true);
    }
    status = ddb_store_dir_read(dir, path, file, offset, size, out);
    (void)ddb_port_file_close(file);
    return status;
}

DDB_FN int ddb_store_dir_stat(void *user, const char *path, dreamdb_stat *out)
{
    ddb_store_dir *dir = (ddb_store_dir *)user;
    char full[DDB_STORE_FILE_MAX];
    ddb_port_info info;
    memset(out, 0, sizeof *out);
    int status = ddb_store_dir_path(dir, path, false, full);
    if (status < 0) {
        return status;
    }
    int error = ddb_port_file_stat(full, &info);
    if (error != 0) {
        return ddb_store_dir_fail(dir, "stat", path, error, true);
    }
    if (!info.is_file) {
        return DREAMDB_ERR_NOT_FOUND;
    }
    out->size = info.size;
    out->modified_ns = info.modified_ns;
    (void)snprintf(out->tag, sizeof out->tag, "%llu-%llu", (unsigned long long)info.size, (unsigned long long)info.modified_ns);
    if (info.size <= (uint64_t)DDB_STORE_SMALL || ddb_store_path_mutable(path)) {
        dreamdb_blob blob;
        status = ddb_store_dir_get(user, path, 0, 0, &blob);
        if (status == DREAMDB_OK) {
            out->size = blob.size;
            memcpy(out->tag, blob.tag, sizeof out->tag);
            ddb_store_release(&blob);
        }
    }
    return status;
}

/* ---- Directory store: durability ---- */

/* Syncs the folder that holds full and, if all, every folder above it up to the one that holds the base. */
DDB_FN int ddb_store_dir_sync_folders(ddb_store_dir *dir, const char *full, bool all)
{
    char path[DDB_STORE_FILE_MAX];
    int error = 0;
    size_t at = strlen(full);
    memcpy(path, full, at + 1);
    do {
        while (at > 0 && path[at - 1] != '/') {
            at--;
        }
        if (at == 0) {
            break;
        }
        at--;
        path[at] = 0;
        error = ddb_port_file_sync_path(at > 0 ? path : "/");
    } while (error == 0 && all && at >= dir->base_size && at > 0);
    return error;
}

/* Without syncfs: writes down that full must be synced; syncs at once when there is no memory for that. */
DDB_FN int ddb_store_dir_note(ddb_store_dir *dir, const char *full)
{
    size_t size = strlen(full) + 1;
    ddb_port_lock(&dir->lock);
    size_t before = dir->todo.size;
    ddb_bytes_put(&dir->todo, full, size);
    bool kept = dir->todo.size == before + size;
    dir->todo.failed = false;
    ddb_port_unlock(&dir->lock);
    if (kept) {
        return 0;
    }
    int error = ddb_port_file_sync_path(full);
    return error != 0 ? error : ddb_store_dir_sync_folders(dir, full, true);
}

/* A put is done, or found its object there: the next sync has work.  What another process wrote may not be on the disk yet either. */
DDB_FN int ddb_store_dir_wrote(ddb_store_dir *dir, const char *full)
{
    int error = dir->durability == DREAMDB_DURABILITY_FULL && ddb_port_atomic_load(&dir->lists) ? ddb_store_dir_note(dir, full) : 0;
    (void)ddb_port_atomic_add(&dir->written, 1);
    return error;
}

/* Syncs the folder part of a path and those above it, each once for all files. */
DDB_FN int ddb_store_dir_sync_chain(ddb_store_dir *dir, ddb_map *seen, const char *full)
{
    char path[DDB_STORE_FILE_MAX];
    size_t at = strlen(full);
    int error = 0;
    memcpy(path, full, at + 1);
    while (error == 0 && at > 0 && at >= dir->base_size) {      /* the folder that holds the base is the last */
        uint8_t key[32];
        bool fresh = true;
        while (at > 0 && path[at - 1] != '/') {
            at--;
        }
        at -= at > 0;
        path[at] = 0;
        ddb_hash_one(dir->ctx.cpu, path, at, key);
        if (ddb_coll_map_put(&dir->ctx, seen, key, 1, NULL, &fresh) == DREAMDB_OK && !fresh) {
            break;                             /* those above it are done too */
        }
        error = ddb_port_file_sync_path(at > 0 ? path : "/");
        error = ddb_port_is_absent(error) ? 0 : error;
    }
    return error;
}

DDB_FN int ddb_store_dir_sync_list(ddb_store_dir *dir)
{
    ddb_map seen;
    int error = 0;
    memset(&seen, 0, sizeof seen);
    seen.key_size = 32;
    ddb_port_lock(&dir->lock);
    ddb_buf todo = dir->todo;
    ddb_bytes_init(&dir->todo, &dir->ctx);
    ddb_port_unlock(&dir->lock);
    for (size_t at = 0; at < todo.size && error == 0; at += strlen((const char *)todo.data + at) + 1) {
        error = ddb_port_file_sync_path((const char *)todo.data + at);
        error = ddb_port_is_absent(error) ? 0 : error;          /* removed since */
    }
    for (size_t at = 0; at < todo.size && error == 0; at += strlen((const char *)todo.data + at) + 1) {
        error = ddb_store_dir_sync_chain(dir, &seen, (const char *)todo.data + at);
    }
    ddb_coll_map_free(&dir->ctx, &seen);
    ddb_bytes_free(&todo);
    return error;
}

/* A failed sync is final for this store: the system forgets which pages it could not write, so a second try that is good proves nothing. */
DDB_FN int ddb_store_dir_sync(void *user)
{
    ddb_store_dir *dir = (ddb_store_dir *)user;
    uint64_t written = ddb_port_atomic_load(&dir->written);
    if (dir->durability != DREAMDB_DURABILITY_FULL || dir->read_only) {
        return DREAMDB_OK;
    }
    int error = (int)ddb_port_atomic_load(&dir->broken);
    if (error == 0 && written == ddb_port_atomic_load(&dir->synced)) {
        return DREAMDB_OK;
    }
    if (error == 0) {
        error = ddb_port_atomic_load(&dir->lists) ? ddb_store_dir_sync_list(dir) : ddb_port_file_sync_all(dir->base_size > 0 ? dir->base : "/");
    }
    if (error != 0) {
        ddb_port_atomic_store(&dir->broken, (uint64_t)error);
        return ddb_store_dir_fail(dir, "sync: open the store anew and write again,", dir->base, error, false);
    }
    ddb_port_atomic_store(&dir->synced, written);
    return DREAMDB_OK;
}

/* ---- Directory store: writing ---- */

typedef struct ddb_store_put {
    ddb_store_dir *dir;
    const char    *path;
    bool           ref;                        /* under refs/: what durability is for */
    bool           made;                       /* a folder was made on the way */
    char           full[DDB_STORE_FILE_MAX], temp[DDB_STORE_FILE_MAX];
} ddb_store_put;

/* Makes the folders above full that are missing: from the deepest up until one is there, then down again. */
DDB_FN int ddb_store_dir_parents(ddb_store_dir *dir, char *full, bool *made)
{
    size_t low = dir->create ? 1 : dir->base_size + 1, at = strlen(full), last = 0;
    int error = 0;
    do {
        at--;
        while (at > low && full[at] != '/') {
            at--;
        }
        if (at <= low && full[at] != '/') {
            return last > 0 ? error : 0;
        }
        last = last > 0 ? last : at;
        if (at < low) {
            return error;
        }
        full[at] = 0;
        error = ddb_port_file_mkdir(full);
        full[at] = '/';
        *made = *made || error == 0;
    } while (ddb_port_is_absent(error) && at > low);
    error = ddb_port_is_there(error) ? 0 : error;
    while (error == 0 && at < last) {
        at++;
        while (full[at] != '/') {
            at++;
        }
        full[at] = 0;
        error = ddb_port_file_mkdir(full);
        full[at] = '/';
        *made = *made || error == 0;
        error = ddb_port_is_there(error) ? 0 : error;
    }
    return error;
}

/* FINAL.tmp-<process>-<serial> (core.md 1); a long name is cut so that the whole fits. */
DDB_FN void ddb_store_dir_temp_name(ddb_store_put *put)
{
    char tail[64];
    int tail_size = snprintf(tail, sizeof tail, ".tmp-%llu-%llu", (unsigned long long)ddb_port_process(),
                             (unsigned long long)ddb_port_atomic_add(&put->dir->serial, 1));
    size_t size = strlen(put->full);
    const char *slash = strrchr(put->full, '/');
    size_t name = size - (size_t)(slash - put->full) - 1, room = DDB_STORE_NAME_MAX - (size_t)tail_size;
    size_t most = DDB_STORE_FILE_MAX - 1 - (size_t)tail_size;
    size -= name > room ? name - room : 0;
    size = size < most ? size : most;          /* a path that long fails with a reason when it is opened */
    memcpy(put->temp, put->full, size);
    memcpy(put->temp + size, tail, (size_t)tail_size + 1);
}

DDB_FN int ddb_store_dir_write_temp(ddb_store_put *put, const void *data, size_t size)
{
    int file = -1, error = 0;
    for (int i = 0; i < DDB_STORE_TRIES; i++) {
        ddb_store_dir_temp_name(put);
        error = ddb_port_file_create(put->temp, &file);
        if (ddb_port_is_absent(error)) {
            int parents = ddb_store_dir_parents(put->dir, put->full, &put->made);
            if (parents != 0) {
                return parents;
            }
        } else if (!ddb_port_is_there(error)) {
            break;
        }
    }
    if (error != 0) {
        return error;
    }
    error = ddb_port_file_write(file, data, size);
    if (error == 0 && put->ref && put->dir->durability != DREAMDB_DURABILITY_NONE) {
        error = ddb_port_file_sync(file);
    }
    int closed = ddb_port_file_close(file);    /* network file systems tell of a full disk here */
    error = error != 0 ? error : closed;
    if (error != 0) {
        (void)ddb_port_file_unlink(put->temp);
    }
    return error;
}

/* Takes the reference's lock of a path: <base>/.dreamdb-cas-locks/<text of addr(path)>.lock (core.md 1). */
DDB_FN int ddb_store_dir_lock(ddb_store_dir *dir, const char *path, int *lock)
{
    char full[DDB_STORE_FILE_MAX], text[DREAMDB_ADDRESS_TEXT];
    bool made = false;
    ddb_addr addr;
    ddb_addr_of(dir->ctx.cpu, ddb_bytes_text(path), &addr);
    ddb_addr_text(&addr, text);
    if (snprintf(full, sizeof full, "%s/.dreamdb-cas-locks/%s.lock", dir->base, text) >= (int)sizeof full) {
        return ddb_store_dir_refuse(dir, DREAMDB_ERR_STORE, "the path is longer than the system takes: move the store nearer to the root");
    }
    int error = ddb_port_file_lock(full, lock);
    if (ddb_port_is_absent(error)) {
        error = ddb_store_dir_parents(dir, full, &made);
        error = error != 0 ? error : ddb_port_file_lock(full, lock);
    }
    return error == 0 ? (int)DREAMDB_OK : ddb_store_dir_fail(dir, "lock", path, error, false);
}

/* Gives temp its name, only if nobody has that name.  Without hard links: a look and a rename, under the lock where names are contended;
   elsewhere two writers of one name write the same bytes. */
DDB_FN int ddb_store_dir_publish_new(ddb_store_put *put)
{
    ddb_store_dir *dir = put->dir;
    ddb_port_info info;
    int lock = -1, error = 0;
    if (!ddb_port_atomic_load(&dir->no_link)) {
        error = ddb_port_file_link(put->temp, put->full);
        if (!ddb_port_file_no_link(error)) {
            (void)ddb_port_file_unlink(put->temp);
            return error == 0 ? (int)DREAMDB_OK : ddb_port_is_there(error) ? (int)DREAMDB_ERR_EXISTS : ddb_store_dir_fail(dir, "link", put->path, error, false);
        }
        ddb_port_atomic_store(&dir->no_link, 1);
    }
    int status = ddb_store_path_mutable(put->path) ? ddb_store_dir_lock(dir, put->path, &lock) : (int)DREAMDB_OK;
    if (status == DREAMDB_OK && ddb_port_file_stat(put->full, &info) == 0) {
        status = DREAMDB_ERR_EXISTS;
    }
    if (status == DREAMDB_OK) {
        error = ddb_port_file_rename(put->temp, put->full);
        status = error == 0 ? (int)DREAMDB_OK : ddb_store_dir_fail(dir, "rename", put->path, error, false);
    }
    if (status < 0) {
        (void)ddb_port_file_unlink(put->temp);
    }
    if (lock >= 0) {
        (void)ddb_port_file_close(lock);
    }
    return status;
}

/* Writes, names, and makes a Ref durable. */
DDB_FN int ddb_store_dir_write(ddb_store_put *put, const void *data, size_t size, bool absent)
{
    ddb_store_dir *dir = put->dir;
    int error = ddb_store_dir_write_temp(put, data, size);
    if (error != 0) {
        return ddb_store_dir_fail(dir, "write", put->path, error, false);
    }
    int status = DREAMDB_OK;
    if (absent) {
        status = ddb_store_dir_publish_new(put);
    } else {
        error = ddb_port_file_rename(put->temp, put->full);
        if (error != 0) {
            (void)ddb_port_file_unlink(put->temp);
            return ddb_store_dir_fail(dir, "rename", put->path, error, false);
        }
    }
    if (status == DREAMDB_OK && put->ref && dir->durability != DREAMDB_DURABILITY_NONE) {
        error = ddb_store_dir_sync_folders(dir, put->full, put->made);
    } else if (!put->ref && (status == DREAMDB_OK || status == DREAMDB_ERR_EXISTS)) {
        error = ddb_store_dir_wrote(dir, put->full);
    }
    return error == 0 ? status : ddb_store_dir_fail(dir, "sync", put->path, error, false);
}

/* Under the lock of the path: compare with the tag, then write. */
DDB_FN int ddb_store_dir_swap(ddb_store_put *put, const void *data, size_t size, const dreamdb_condition *condition)
{
    dreamdb_stat now;
    int lock = -1;
    bool tagged = condition && condition->kind == DREAMDB_PUT_IF_TAG;
    int status = ddb_store_dir_lock(put->dir, put->path, &lock);
    if (status < 0) {
        return status;
    }
    if (tagged) {
        status = ddb_store_dir_stat(put->dir, put->path, &now);
        bool same = status == DREAMDB_OK && condition->tag && strcmp(now.tag, condition->tag) == 0;
        status = same ? (int)DREAMDB_OK : status == DREAMDB_OK || status == DREAMDB_ERR_NOT_FOUND ? (int)DREAMDB_ERR_CONFLICT : status;
    }
    if (status == DREAMDB_OK) {
        status = ddb_store_dir_write(put, data, size, false);
    }
    (void)ddb_port_file_close(lock);
    return status;
}

/* Is there something of that name already?  EXISTS for a file, a reason for anything else. */
DDB_FN int ddb_store_dir_present(ddb_store_put *put)
{
    ddb_port_info info;
    if (ddb_port_file_stat(put->full, &info) != 0) {
        return DREAMDB_OK;                     /* what else is wrong shows when it is written */
    }
    if (!info.is_file) {
        return ddb_store_dir_refuse(put->dir, DREAMDB_ERR_STORE, "a folder has that name: a ref cannot be named like the first part of another");
    }
    int error = put->ref ? 0 : ddb_store_dir_wrote(put->dir, put->full);
    return error == 0 ? (int)DREAMDB_ERR_EXISTS : ddb_store_dir_fail(put->dir, "sync", put->path, error, false);
}

DDB_FN int ddb_store_dir_put(void *user, const char *path, const void *data, uint64_t size, const dreamdb_condition *condition)
{
    ddb_store_put put;
    ddb_store_dir *dir = (ddb_store_dir *)user;
    dreamdb_condition_kind kind = condition ? condition->kind : DREAMDB_PUT_ALWAYS;
    memset(&put, 0, offsetof(ddb_store_put, full));
    int status = ddb_store_dir_path(dir, path, false, put.full);
    if (status < 0) {
        return status;
    }
    if (dir->read_only) {
        return ddb_store_dir_refuse(dir, DREAMDB_ERR_STORE, "the store was opened read-only");
    }
    if ((uint64_t)(size_t)size != size || (size > 0 && !data)) {
        return ddb_store_dir_refuse(dir, DREAMDB_ERR_ARGUMENT, "a put without its bytes");
    }
    put.dir = dir;
    put.path = path;
    put.ref = strncmp(path, "refs/", 5) == 0;
    status = kind == DREAMDB_PUT_IF_ABSENT ? ddb_store_dir_present(&put) : (int)DREAMDB_OK;
    if (status == DREAMDB_OK && put.ref) {
        status = ddb_store_dir_sync(dir);      /* whatever a Ref names is durable before the Ref is */
    }
    if (status < 0) {
        return status;
    }
    if (kind == DREAMDB_PUT_IF_TAG || (kind == DREAMDB_PUT_ALWAYS && ddb_store_path_mutable(path))) {
        return ddb_store_dir_swap(&put, data, (size_t)size, condition);
    }
    return ddb_store_dir_write(&put, data, (size_t)size, kind == DREAMDB_PUT_IF_ABSENT);
}

DDB_FN int ddb_store_dir_remove(void *user, const char *path)
{
    ddb_store_dir *dir = (ddb_store_dir *)user;
    char full[DDB_STORE_FILE_MAX];
    ddb_port_info info;
    int lock = -1;
    int status = ddb_store_dir_path(dir, path, false, full);
    if (status < 0) {
        return status;
    }
    if (dir->read_only) {
        return ddb_store_dir_refuse(dir, DREAMDB_ERR_STORE, "the store was opened read-only");
    }
    if (ddb_port_is_absent(ddb_port_file_stat(full, &info))) {
        return DREAMDB_OK;
    }
    bool ref = strncmp(path, "refs/", 5) == 0;
    status = ref ? ddb_store_dir_lock(dir, path, &lock) : (int)DREAMDB_OK;
    if (status < 0) {
        return status;
    }
    int error = ddb_port_file_unlink(full);
    error = ddb_port_is_absent(error) ? 0 : error;
    if (error == 0 && ref && dir->durability != DREAMDB_DURABILITY_NONE) {
        error = ddb_store_dir_sync_folders(dir, full, false);
    }
    if (lock >= 0) {
        (void)ddb_port_file_close(lock);
    }
    return error == 0 ? (int)DREAMDB_OK : ddb_store_dir_fail(dir, "remove", path, error, false);
}

/* ---- Directory store: listing ---- */

typedef struct ddb_store_walk {
    ddb_store_dir   *dir;
    const char      *prefix;
    dreamdb_list_fn  each;
    void            *user;
    size_t           depth;
    ddb_port_folder  folders[DDB_STORE_DEPTH];
    size_t           sizes[DDB_STORE_DEPTH];   /* bytes of path that name the folder, its slash included */
    char             path[DDB_STORE_FILE_MAX]; /* relative to the base */
} ddb_store_walk;

/* Opens the folder that walk->path names ("" or with a slash at its end). */
DDB_FN int ddb_store_walk_enter(ddb_store_walk *walk)
{
    char full[DDB_STORE_FILE_MAX];
    if (walk->depth == (size_t)DDB_STORE_DEPTH) {
        return ddb_store_dir_refuse(walk->dir, DREAMDB_ERR_LIMIT, "folders are nested deeper than 64");
    }
    if (snprintf(full, sizeof full, "%s/%s", walk->dir->base, walk->path) >= (int)sizeof full) {
        return ddb_store_dir_refuse(walk->dir, DREAMDB_ERR_STORE, "the path is longer than the system takes");
    }
    int error = ddb_port_folder_open(full, walk->folders + walk->depth);
    if (error != 0) {
        return ddb_port_is_absent(error) ? (int)DREAMDB_OK : ddb_store_dir_fail(walk->dir, "list", walk->path, error, false);
    }
    walk->sizes[walk->depth++] = strlen(walk->path);
    return DREAMDB_OK;
}

/* One name of the deepest folder: a file is told of, a folder entered, the rest passed over. */
DDB_FN int ddb_store_walk_take(ddb_store_walk *walk, const char *name)
{
    ddb_port_info info;
    dreamdb_stat stat;
    size_t at = walk->sizes[walk->depth - 1], size = strlen(name), prefix = strlen(walk->prefix);
    if (at + size + 2 > sizeof walk->path) {
        return DREAMDB_OK;
    }
    memcpy(walk->path + at, name, size + 1);
    size_t both = at + size < prefix ? at + size : prefix;
    if (memcmp(walk->path, walk->prefix, both) != 0 || !ddb_store_path_valid(walk->path, false)
        || ddb_port_folder_stat(walk->folders + walk->depth - 1, name, &info) != 0) {
        return DREAMDB_OK;                     /* left out: not asked for, not ours, or gone meanwhile */
    }
    if (info.is_folder && (at + size >= prefix || walk->prefix[at + size] == '/')) {
        walk->path[at + size] = '/';
        walk->path[at + size + 1] = 0;
        return ddb_store_walk_enter(walk);
    }
    if (!info.is_file || at + size < prefix) {
        return DREAMDB_OK;
    }
    memset(&stat, 0, sizeof stat);             /* the tag of a small file is its content, which list does not read: "" */
    stat.size = info.size;
    stat.modified_ns = info.modified_ns;
    return walk->each(walk->user, walk->path, &stat);
}

DDB_FN int ddb_store_dir_list(void *user, const char *prefix, dreamdb_list_fn each, void *each_user)
{
    ddb_store_dir *dir = (ddb_store_dir *)user;
    ddb_store_walk walk;
    memset(&walk, 0, offsetof(ddb_store_walk, folders));
    walk.dir = dir;
    walk.prefix = prefix;
    walk.each = each;
    walk.user = each_user;
    int status = ddb_store_dir_path(dir, prefix, true, walk.path);
    if (status < 0) {
        return status;
    }
    const char *slash = strrchr(prefix, '/');
    size_t size = slash ? (size_t)(slash - prefix) + 1 : 0;
    memcpy(walk.path, prefix, size);
    walk.path[size] = 0;
    status = ddb_store_walk_enter(&walk);
    while (status == DREAMDB_OK && walk.depth > 0) {
        const char *name = NULL;
        int error = ddb_port_folder_next(walk.folders + walk.depth - 1, &name);
        if (error != 0) {
            status = ddb_store_dir_fail(dir, "list", prefix, error, false);
        } else if (name) {
            status = ddb_store_walk_take(&walk, name);
        } else {
            ddb_port_folder_close(walk.folders + --walk.depth);
        }
    }
    while (walk.depth > 0) {
        ddb_port_folder_close(walk.folders + --walk.depth);
    }
    return status;
}

/* ---- Directory store: opening ---- */

DDB_FN void ddb_store_dir_close(void *user)
{
    ddb_store_dir *dir = (ddb_store_dir *)user;
    ddb_ctx ctx = dir->ctx;
    ddb_bytes_free(&dir->todo);
    ddb_port_mutex_free(&dir->lock);
    ddb_mem_drop(&ctx, dir, ddb_store_dir, 1);
}

/* An absolute base without a slash at its end: the store stays where it is when the process changes its folder. */
DDB_FN bool ddb_store_dir_base(ddb_store_dir *dir, const char *path)
{
    size_t at = 0, size = strlen(path);
    if (path[0] != '/' && ddb_port_current_folder(dir->base, sizeof dir->base)) {
        at = strlen(dir->base);
        dir->base[at++] = '/';
    }
    if (at + size >= sizeof dir->base) {
        return false;
    }
    memcpy(dir->base + at, path, size + 1);
    at += size;
    while (at > 0 && dir->base[at - 1] == '/') {
        dir->base[--at] = 0;
    }
    dir->base_size = at;
    return true;
}

DDB_FN dreamdb_status ddb_store_dir_open(ddb_ctx *ctx, const dreamdb_directory *desc, ddb_store_dir *dir)
{
    ddb_port_info info;
    if (!ddb_store_dir_base(dir, desc->path)) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_ARGUMENT, desc->path, "the path of the store is too long");
    }
    int error = ddb_port_file_stat(dir->base_size > 0 ? dir->base : "/", &info);
    if (error != 0 && !(ddb_port_is_absent(error) && desc->create && !desc->read_only)) {
        dreamdb_status status = ddb_port_is_absent(error) ? DREAMDB_ERR_NOT_FOUND : DREAMDB_ERR_STORE;
        return ddb_mem_fail_at(ctx, status, desc->path, "store %s: %s", desc->path, ddb_port_file_reason(error));
    }
    if (error == 0 && !info.is_folder) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_STORE, desc->path, "store %s: it is a file, not a folder", desc->path);
    }
    dir->durability = desc->durability;
    dir->read_only = desc->read_only != 0;
    dir->create = desc->create != 0;
    dir->serial = ddb_port_now_ns() / 1000;    /* so that stores of one process do not meet; O_EXCL sees to the rest */
    dir->lists = ddb_port_is_missing_call(ddb_port_file_sync_all("")) ? 1 : 0;     /* with the call, "" is only absent */
    dir->ctx = *ctx;
    dir->ctx.error = NULL;
    ddb_bytes_init(&dir->todo, &dir->ctx);
    return DREAMDB_OK;
}

DREAMDB_API dreamdb_status dreamdb_store_directory(const dreamdb_directory *desc, dreamdb_store *out, dreamdb_error *error)
{
    ddb_ctx ctx;
    dreamdb_status status = ddb_store_context(&ctx, desc ? &desc->allocator : NULL, error);
    memset(out, 0, sizeof *out);
    if (status == DREAMDB_OK && (!desc || !desc->path || !desc->path[0])) {
        status = ddb_mem_fail(&ctx, DREAMDB_ERR_ARGUMENT, "a directory store needs a path");
    }
    ddb_store_dir *dir = status == DREAMDB_OK ? ddb_mem_new(&ctx, ddb_store_dir, 1) : NULL;
    if (!dir) {
        return status < 0 ? status : DREAMDB_ERR_MEMORY;
    }
    status = ddb_store_dir_open(&ctx, desc, dir);
    if (status == DREAMDB_OK && !ddb_port_mutex_init(&dir->lock)) {
        status = ddb_mem_fail(&ctx, DREAMDB_ERR_MEMORY, "the system gives no mutex");
    }
    if (status < 0) {
        ddb_mem_drop(&ctx, dir, ddb_store_dir, 1);
        return status;
    }
    out->user = dir;
    out->get = ddb_store_dir_get;
    out->put = ddb_store_dir_put;
    out->stat = ddb_store_dir_stat;
    out->list = ddb_store_dir_list;
    out->remove = ddb_store_dir_remove;
    out->sync = ddb_store_dir_sync;
    out->close = ddb_store_dir_close;
    out->reason = ddb_store_dir_reason;
    out->flags = ddb_store_thread_flag() | (uint32_t)DREAMDB_STORE_HAS_TAGS | (dir->read_only ? (uint32_t)DREAMDB_STORE_READ_ONLY : 0u);
    return DREAMDB_OK;
}

#else

DREAMDB_API dreamdb_status dreamdb_store_directory(const dreamdb_directory *desc, dreamdb_store *out, dreamdb_error *error)
{
    ddb_ctx ctx;
    (void)ddb_store_context(&ctx, desc ? &desc->allocator : NULL, error);
    memset(out, 0, sizeof *out);
    return ddb_mem_fail(&ctx, DREAMDB_ERR_UNSUPPORTED, "built with DREAMDB_NO_STDIO: there is no directory store");
}

#endif

/* ==== ROOM 14 object | prefix ddb_object_ | uses port mem bytes coll cpu hash addr pool store ==== */
/* The only way to an object: gets that check the hash, verified ranges, a cache under a cap, puts in batches; and ddb_env, what all verbs of a
   handle share.  Invariant: bytes that leave this room hashed to their address (or, with config.verify_off, are payload nobody vouches for).
   Outboards: core.md 2.  Must never retry (stores do) nor know what an object means. */

typedef struct ddb_object_cache {
    ddb_port_mutex  lock;                      /* all below */
    ddb_store_shelf shelf;                     /* key: address and one byte, DDB_OBJECT_KEY_... */
    uint64_t        cap;
    uint64_t        charged;                   /* bytes that other rooms keep under the same cap */
    uint64_t        hits, misses;
} ddb_object_cache;

typedef struct ddb_env {
    dreamdb_store     store;
    ddb_pool         *pool;
    uint32_t          cpu;
    bool              verify, outboards_all, identical;
    dreamdb_limits    limits;
    uint64_t          cache_bytes;
    ddb_object_cache *cache;
    uint64_t          gets, get_bytes, puts, put_bytes, waves;    /* atomic; puts: objects that were new */
    uint64_t        (*now_ns)(void *user);
    int             (*random)(void *user, void *out, size_t size);
    void             *hook_user;
    int             (*progress)(void *user, const dreamdb_progress *progress);
    void             *progress_user;
    char             *writer;                  /* NULL = "dreamdb.h/VERSION;operation=VERB" */
} ddb_env;

typedef struct ddb_object { const uint8_t *data; size_t size; void *hold; } ddb_object;

enum { DDB_OBJECT_METADATA = 1,                /* verified whatever the config says */
       DDB_OBJECT_NO_CACHE = 2 };              /* neither taken from the cache nor put there */
enum { DDB_PUT_OUTBOARD = 1 };

enum { DDB_OBJECT_KEY = DREAMDB_ADDRESS_SIZE + 1, DDB_OBJECT_KEY_GOOD = 'v', DDB_OBJECT_KEY_UNCHECKED = 'u', DDB_OBJECT_KEY_OUTBOARD = 'o',
       DDB_OBJECT_LANES = 64,                  /* inputs handed to ddb_hash_many at once: 4 rounds of 16 lanes */
       DDB_OBJECT_LANE_MAX = 8192,             /* side by side pays up to here (kernels.md 4) */
       DDB_OBJECT_INLINE = 65536,              /* hashing less than this is over before a thread wakes (10 us at 6 GB/s) */
       DDB_OBJECT_WHOLE = 16384,               /* objects so small are read whole rather than by range and outboard */
       DDB_OBJECT_CHUNK = 1024,                /* BLAKE3's chunk (core.md 2) */
       DDB_OBJECT_FLUSH = 8 << 20,             /* waiting bytes that start a batch of puts */
       DDB_OBJECT_SEEN = 65536,                /* paths that a ddb_puts remembers, about 6 MB */
       DDB_OBJECT_BLOCK = 256,                 /* objects hashed together by put_many */
       DDB_OBJECT_STREAM = 64 << 20,           /* objects from here on are hashed piece by piece when their outboard is missing */
       DDB_OBJECT_PIECE = 4 << 20,
       DDB_OBJECT_REMOTE_OUTBOARD = 256 << 10 };   /* least payload whose outboard is worth a remote put (flaws.md, last table) */

/* ---- The environment of a handle ---- */

DDB_FN void ddb_object_env_close(ddb_ctx *ctx, ddb_env *env)
{
    if (!env) {
        return;
    }
    if (env->cache) {
        ddb_store_shelf_free(&env->cache->shelf);
        ddb_port_mutex_free(&env->cache->lock);
        ddb_mem_drop(ctx, env->cache, ddb_object_cache, 1);
    }
    ddb_pool_close(ctx, env->pool);
    if (env->writer) {
        ddb_mem_free(ctx, env->writer, strlen(env->writer) + 1);
    }
    ddb_mem_drop(ctx, env, ddb_env, 1);
}

DDB_FN dreamdb_status ddb_object_cache_open(ddb_ctx *ctx, uint64_t cap, ddb_object_cache **out)
{
    ddb_object_cache *cache = ddb_mem_new(ctx, ddb_object_cache, 1);
    *out = NULL;
    if (!cache) {
        return DREAMDB_ERR_MEMORY;
    }
    if (!ddb_port_mutex_init(&cache->lock)) {
        ddb_mem_drop(ctx, cache, ddb_object_cache, 1);
        return ddb_mem_fail(ctx, DREAMDB_ERR_MEMORY, "the system gives no mutex");
    }
    cache->shelf.ctx = *ctx;
    cache->shelf.ctx.error = NULL;
    cache->cap = cap;
    *out = cache;
    return DREAMDB_OK;
}

/* ctx->allocator is set by the caller; ctx->cpu becomes what this processor has less config->simd_off. */
DDB_FN dreamdb_status ddb_object_env_open(ddb_ctx *ctx, const dreamdb_config *config, ddb_env **out)
{
    *out = NULL;
    if (!config) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "there is no config");
    }
    dreamdb_status status = ddb_store_check(ctx, config->store);
    ddb_env *env = status == DREAMDB_OK ? ddb_mem_new(ctx, ddb_env, 1) : NULL;
    if (!env) {
        return status < 0 ? status : DREAMDB_ERR_MEMORY;
    }
    env->store = *config->store;
    env->cpu = (config->simd_off & 1u) ? 0u : ddb_cpu_detect() & ~config->simd_off;
    ctx->cpu = env->cpu;
    env->verify = !config->verify_off;
    env->outboards_all = config->outboards_all != 0;
    env->identical = config->identical != 0;
    env->limits.object_bytes = config->limits.object_bytes > 0 ? config->limits.object_bytes : UINT64_C(2) << 30;
    env->limits.depth = config->limits.depth > 0 ? config->limits.depth : 64;
    env->limits.history = config->limits.history > 0 ? config->limits.history : 1000000;
    env->cache_bytes = config->cache_bytes > 0 ? config->cache_bytes : UINT64_C(256) << 20;
    env->now_ns = config->now_ns;
    env->random = config->random;
    env->hook_user = config->hook_user;
    env->progress = config->progress;
    env->progress_user = config->progress_user;
    if (config->writer) {
        size_t size = strlen(config->writer) + 1;
        env->writer = (char *)ddb_mem_alloc(ctx, size);
        status = env->writer ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
        if (env->writer) {
            memcpy(env->writer, config->writer, size);
        }
    }
    status = status < 0 ? status : ddb_pool_open(ctx, config->threads, config->parallel_for, config->parallel_user, &env->pool);
    status = status < 0 ? status : ddb_object_cache_open(ctx, env->cache_bytes, &env->cache);
    if (status < 0) {
        ddb_object_env_close(ctx, env);
        return status;
    }
    *out = env;
    return DREAMDB_OK;
}

DDB_FN uint64_t ddb_object_now(const ddb_env *env)
{
    return env->now_ns ? env->now_ns(env->hook_user) : ddb_port_now_ns();
}

DDB_FN dreamdb_status ddb_object_random(ddb_ctx *ctx, const ddb_env *env, void *out, size_t size)
{
    bool good = env->random ? env->random(env->hook_user, out, size) == 0 : ddb_port_random(out, size);
    return good ? DREAMDB_OK : ddb_mem_fail(ctx, DREAMDB_ERR_STORE, "no random bytes: set config.random");
}

/* Tells the progress callback; CANCELLED if it wants the verb to stop. */
DDB_FN dreamdb_status ddb_object_progress(ddb_ctx *ctx, const ddb_env *env, const char *verb, uint64_t done, uint64_t total, const char *unit)
{
    dreamdb_progress progress;
    if (!env->progress) {
        return DREAMDB_OK;
    }
    memset(&progress, 0, sizeof progress);
    progress.verb = verb;
    progress.done = done;
    progress.total = total;
    progress.unit = unit;
    return env->progress(env->progress_user, &progress) == 0 ? DREAMDB_OK : ddb_mem_fail(ctx, DREAMDB_ERR_CANCELLED, "%s was cancelled", verb);
}

/* One wave of storage operations, counted. */
DDB_FN dreamdb_status ddb_object_batch(ddb_ctx *ctx, ddb_env *env, dreamdb_io *ops, size_t count)
{
    uint64_t gets = 0, bytes = 0;
    if (count == 0) {
        return DREAMDB_OK;
    }
    (void)ddb_port_atomic_add(&env->waves, 1);
    dreamdb_status status = ddb_store_batch(ctx, env->pool, &env->store, ops, count);
    for (size_t i = 0; i < count; i++) {
        gets += ops[i].kind == DREAMDB_IO_GET;
        bytes += ops[i].kind == DREAMDB_IO_GET ? ops[i].blob.size : 0;
    }
    (void)ddb_port_atomic_add(&env->gets, gets);
    (void)ddb_port_atomic_add(&env->get_bytes, bytes);
    return status;
}

DDB_FN dreamdb_status ddb_object_sync(ddb_ctx *ctx, ddb_env *env)
{
    int status = env->store.sync ? env->store.sync(env->store.user) : (int)DREAMDB_OK;
    return status < 0 ? ddb_store_fail(ctx, &env->store, status, "sync of", "the store") : DREAMDB_OK;
}

/* ---- Cache ---- */

DDB_FN void ddb_object_key(const ddb_addr *addr, int kind, uint8_t key[DDB_OBJECT_KEY])
{
    memcpy(key, addr->bytes, sizeof addr->bytes);
    key[DREAMDB_ADDRESS_SIZE] = (uint8_t)kind;
}

/* A use of the cached bytes, or NULL. */
DDB_FN ddb_store_bytes *ddb_object_cache_find(ddb_env *env, const ddb_addr *addr, int kind)
{
    uint8_t key[DDB_OBJECT_KEY];
    ddb_object_cache *cache = env->cache;
    ddb_store_bytes *found = NULL;
    ddb_object_key(addr, kind, key);
    ddb_port_lock(&cache->lock);
    ddb_store_item *item = ddb_store_shelf_find(&cache->shelf, key, sizeof key);
    if (item) {
        ddb_store_shelf_touch(&cache->shelf, item);
        found = ddb_store_bytes_hold(item->bytes);
    }
    cache->hits += item != NULL;
    cache->misses += item == NULL;
    ddb_port_unlock(&cache->lock);
    return found;
}

DDB_FN uint64_t ddb_object_cache_room(const ddb_object_cache *cache)
{
    return cache->cap > cache->charged ? cache->cap - cache->charged : 0;
}

/* Keeps bytes if they are at most a quarter of the cap: one giant must not empty it. */
DDB_FN void ddb_object_cache_keep(ddb_env *env, const ddb_addr *addr, int kind, ddb_store_bytes *bytes)
{
    uint8_t key[DDB_OBJECT_KEY];
    ddb_object_cache *cache = env->cache;
    ddb_object_key(addr, kind, key);
    ddb_port_lock(&cache->lock);
    uint64_t room = ddb_object_cache_room(cache);
    if (ddb_store_shelf_cost(sizeof key, bytes->size) <= room / 4 && !ddb_store_shelf_find(&cache->shelf, key, sizeof key)
        && ddb_store_shelf_put(&cache->shelf, key, sizeof key, bytes)) {
        (void)ddb_store_bytes_hold(bytes);
        ddb_store_shelf_trim(&cache->shelf, room);
    }
    ddb_port_unlock(&cache->lock);
}

/* Books bytes that another room keeps in memory (search layouts) under the cap of the cache: false if they do not fit.  Objects make room. */
DDB_FN bool ddb_object_charge(ddb_env *env, uint64_t bytes)
{
    ddb_object_cache *cache = env->cache;
    ddb_port_lock(&cache->lock);
    bool fits = bytes <= ddb_object_cache_room(cache);
    if (fits) {
        cache->charged += bytes;
        ddb_store_shelf_trim(&cache->shelf, ddb_object_cache_room(cache));
    }
    ddb_port_unlock(&cache->lock);
    return fits;
}

DDB_FN void ddb_object_discharge(ddb_env *env, uint64_t bytes)
{
    ddb_port_lock(&env->cache->lock);
    env->cache->charged -= bytes < env->cache->charged ? bytes : env->cache->charged;
    ddb_port_unlock(&env->cache->lock);
}

DDB_FN void ddb_object_release(ddb_env *env, ddb_object *object)
{
    (void)env;
    ddb_store_bytes_drop((ddb_store_bytes *)object->hold);
    memset(object, 0, sizeof *object);
}

/* ---- Hashing many inputs: small ones side by side, big ones one a task ---- */

typedef struct ddb_object_job {
    ddb_slice in;
    uint8_t  *outboard;                        /* not NULL: the tree is written there too */
    uint8_t   hash[32];
    bool      skip;
} ddb_object_job;

typedef struct ddb_object_jobs { uint32_t cpu; ddb_object_job *jobs; size_t count; } ddb_object_jobs;

DDB_FN bool ddb_object_job_small(const ddb_object_job *job)
{
    return !job->outboard && job->in.size <= (size_t)DDB_OBJECT_LANE_MAX;
}

DDB_FN void ddb_object_hash_small(void *user, uint32_t index)
{
    ddb_object_jobs *all = (ddb_object_jobs *)user;
    size_t first = (size_t)index * DDB_OBJECT_LANES, end = all->count - first < DDB_OBJECT_LANES ? all->count : first + DDB_OBJECT_LANES, n = 0;
    ddb_slice in[DDB_OBJECT_LANES];
    uint8_t out[DDB_OBJECT_LANES][32];
    size_t which[DDB_OBJECT_LANES];
    for (size_t i = first; i < end; i++) {
        if (!all->jobs[i].skip && ddb_object_job_small(all->jobs + i)) {
            which[n] = i;
            in[n++] = all->jobs[i].in;
        }
    }
    if (n > 0) {
        ddb_hash_many(all->cpu, in, n, out);
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(all->jobs[which[i]].hash, out[i], 32);
    }
}

DDB_FN void ddb_object_hash_big(void *user, uint32_t index)
{
    ddb_object_jobs *all = (ddb_object_jobs *)user;
    ddb_object_job *job = all->jobs + index;
    if (job->skip || ddb_object_job_small(job)) {
        return;
    }
    if (job->outboard) {
        ddb_hash_outboard(all->cpu, job->in.data, job->in.size, job->outboard, job->hash);
    } else {
        ddb_hash_one(all->cpu, job->in.data, job->in.size, job->hash);
    }
}

/* count < 2^32 (a batch of objects is in memory). */
DDB_FN void ddb_object_hash(ddb_env *env, ddb_object_job *jobs, size_t count)
{
    ddb_object_jobs all;
    uint64_t small = 0, big = 0;
    size_t bigs = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_small = ddb_object_job_small(jobs + i);
        bigs += !jobs[i].skip && !is_small;
        small += !jobs[i].skip && is_small ? jobs[i].in.size + 64 : 0;
        big += !jobs[i].skip && !is_small ? jobs[i].in.size : 0;
    }
    all.cpu = env->cpu;
    all.jobs = jobs;
    all.count = count;
    if (small > 0) {
        uint32_t tasks = (uint32_t)((count + DDB_OBJECT_LANES - 1) / DDB_OBJECT_LANES);
        ddb_pool_run(small > DDB_OBJECT_INLINE ? env->pool : NULL, ddb_object_hash_small, &all, tasks);
    }
    if (bigs > 0) {
        ddb_pool_run(bigs > 1 && big > DDB_OBJECT_INLINE ? env->pool : NULL, ddb_object_hash_big, &all, (uint32_t)count);
    }
}

/* ---- Get ---- */

typedef struct ddb_object_want {
    const char    *path;
    ddb_addr       addr;
    uint64_t       size;                       /* expected; 0 = unknown */
    uint32_t       flags;
    ddb_object     object;                     /* out */
    dreamdb_status status;                     /* out */
    const char    *why;                        /* out: what is wrong with a CORRUPT one; NULL = its hash */
} ddb_object_want;

/* A fetch on its way: ops [0, misses) are the objects that the cache lacks, each once; then the caller's own. */
typedef struct ddb_object_fetch {
    ddb_env          *env;
    ddb_object_want  *wants;
    size_t            count, misses, op_count;
    dreamdb_io       *ops;
    size_t           *op_of, *want_of;         /* want -> op (SIZE_MAX: none), op -> the want it was made for */
    ddb_store_bytes **bytes;                   /* of op */
    ddb_object_job   *jobs;                    /* of op */
} ddb_object_fetch;

DDB_FN bool ddb_object_checked(const ddb_env *env, const ddb_object_want *want)
{
    return env->verify || (want->flags & (uint32_t)DDB_OBJECT_METADATA);
}

/* Hands bytes out to a want (a use of its own), or says what is wrong with their size. */
DDB_FN void ddb_object_hand(ddb_object_want *want, ddb_store_bytes *bytes)
{
    if (want->size > 0 && bytes->size != want->size) {
        want->status = DREAMDB_ERR_CORRUPT;
        want->why = bytes->size < want->size ? "it is shorter than what names it says" : "it is longer than what names it says";
        return;
    }
    want->object.data = bytes->data;
    want->object.size = bytes->size;
    want->object.hold = ddb_store_bytes_hold(bytes);
    want->status = DREAMDB_OK;
}

/* true: the want is settled from the cache. */
DDB_FN bool ddb_object_lookup(ddb_env *env, ddb_object_want *want)
{
    if (want->flags & (uint32_t)DDB_OBJECT_NO_CACHE) {
        return false;
    }
    ddb_store_bytes *bytes = ddb_object_cache_find(env, &want->addr, DDB_OBJECT_KEY_GOOD);
    if (!bytes && !ddb_object_checked(env, want)) {
        bytes = ddb_object_cache_find(env, &want->addr, DDB_OBJECT_KEY_UNCHECKED);
    }
    if (bytes) {
        ddb_object_hand(want, bytes);
        ddb_store_bytes_drop(bytes);
    }
    return bytes != NULL;
}

/* How many bytes to ask a store for, one more than may come: local files are not read without end; a remote one tells the length first. */
DDB_FN uint64_t ddb_object_ask(const ddb_env *env, uint64_t expected)
{
    uint64_t most = expected > 0 && expected < env->limits.object_bytes ? expected : env->limits.object_bytes;
    return (env->store.flags & (uint32_t)DREAMDB_STORE_REMOTE) || most == UINT64_MAX ? 0 : most + 1;
}

/* Gives each miss an op; wants of one address share it. */
DDB_FN dreamdb_status ddb_object_plan(ddb_ctx *ctx, ddb_object_fetch *fetch, size_t misses)
{
    ddb_map map;
    dreamdb_status status = DREAMDB_OK;
    memset(&map, 0, sizeof map);
    map.key_size = DREAMDB_ADDRESS_SIZE;
    for (size_t i = 0; i < fetch->count && status == DREAMDB_OK; i++) {
        ddb_object_want *want = fetch->wants + i;
        uint64_t *slot = NULL, first = fetch->misses;
        bool fresh = true;
        if (fetch->op_of[i] == SIZE_MAX) {
            continue;
        }
        if (misses > 1) {
            status = ddb_coll_map_put(ctx, &map, want->addr.bytes, first, &slot, &fresh);
        }
        if (status == DREAMDB_OK && !fresh) {
            fetch->op_of[i] = (size_t)*slot;
            ddb_object_want *other = fetch->wants + fetch->want_of[*slot];
            fetch->ops[*slot].size = other->size == want->size ? fetch->ops[*slot].size : ddb_object_ask(fetch->env, 0);
        } else if (status == DREAMDB_OK) {
            dreamdb_io *op = fetch->ops + fetch->misses;
            op->kind = DREAMDB_IO_GET;
            op->path = want->path;
            op->size = ddb_object_ask(fetch->env, want->size);
            fetch->want_of[fetch->misses] = i;
            fetch->op_of[i] = fetch->misses++;
        }
    }
    ddb_coll_map_free(ctx, &map);
    return status;
}

/* What came for one op: a block with a count, its size looked at, ready to be hashed.  Several wants may look at one op. */
DDB_FN void ddb_object_receive(ddb_ctx *ctx, ddb_object_fetch *fetch, size_t at)
{
    dreamdb_io *op = fetch->ops + at;
    ddb_object_job *job = fetch->jobs + at;
    const ddb_object_want *want = fetch->wants + fetch->want_of[at];
    job->skip = true;
    if (op->status != DREAMDB_OK) {
        return;
    }
    if (op->blob.size > fetch->env->limits.object_bytes) {
        op->status = want->size > 0 && want->size <= fetch->env->limits.object_bytes ? DREAMDB_ERR_CORRUPT : DREAMDB_ERR_LIMIT;
        ddb_store_release(&op->blob);
        return;
    }
    fetch->bytes[at] = ddb_store_bytes_adopt(ctx, &op->blob);
    if (!fetch->bytes[at]) {
        op->status = DREAMDB_ERR_MEMORY;
        ddb_store_release(&op->blob);
        return;
    }
    job->in = ddb_bytes_slice(fetch->bytes[at]->data, fetch->bytes[at]->size);
}

/* Hashes what at least one of its wants asks to be checked. */
DDB_FN void ddb_object_choose(ddb_object_fetch *fetch)
{
    for (size_t i = 0; i < fetch->count; i++) {
        size_t at = fetch->op_of[i];
        if (at != SIZE_MAX && fetch->bytes[at] && ddb_object_checked(fetch->env, fetch->wants + i)) {
            fetch->jobs[at].skip = false;
        }
    }
}

/* After hashing: settles every want, keeps what is good. */
DDB_FN void ddb_object_deliver(ddb_object_fetch *fetch)
{
    for (size_t i = 0; i < fetch->misses; i++) {
        const ddb_object_want *want = fetch->wants + fetch->want_of[i];
        bool checked = !fetch->jobs[i].skip;
        if (!fetch->bytes[i]) {
            continue;
        }
        if (checked && memcmp(fetch->jobs[i].hash, want->addr.bytes + 1, 32) != 0) {
            fetch->ops[i].status = DREAMDB_ERR_CORRUPT;
        } else if (!(want->flags & (uint32_t)DDB_OBJECT_NO_CACHE) && (checked || want->size == 0 || want->size == fetch->bytes[i]->size)) {
            ddb_object_cache_keep(fetch->env, &want->addr, checked ? DDB_OBJECT_KEY_GOOD : DDB_OBJECT_KEY_UNCHECKED, fetch->bytes[i]);
        }
    }
    for (size_t i = 0; i < fetch->count; i++) {
        size_t at = fetch->op_of[i];
        if (at == SIZE_MAX) {
            continue;
        }
        fetch->wants[i].status = (dreamdb_status)fetch->ops[at].status;
        if (fetch->wants[i].status == DREAMDB_OK) {
            ddb_object_hand(fetch->wants + i, fetch->bytes[at]);
        }
    }
    for (size_t i = 0; i < fetch->misses; i++) {
        ddb_store_bytes_drop(fetch->bytes[i]);
    }
}

DDB_FN dreamdb_status ddb_object_fetch_memory(ddb_ctx *ctx, ddb_arena *arena, ddb_object_fetch *fetch, size_t misses, size_t extra_count)
{
    fetch->ops = ddb_mem_arena_new(ctx, arena, dreamdb_io, misses + extra_count);
    fetch->want_of = ddb_mem_arena_new(ctx, arena, size_t, misses);
    fetch->bytes = ddb_mem_arena_new(ctx, arena, ddb_store_bytes *, misses);
    fetch->jobs = ddb_mem_arena_new(ctx, arena, ddb_object_job, misses);
    return fetch->ops && fetch->want_of && fetch->bytes && fetch->jobs ? ddb_object_plan(ctx, fetch, misses) : DREAMDB_ERR_MEMORY;
}

/* The batch of what the cache lacks and of the caller's ops, and what follows from it. */
DDB_FN dreamdb_status ddb_object_fetch_wave(ddb_ctx *ctx, ddb_object_fetch *fetch, size_t misses, dreamdb_io *extra, size_t extra_count)
{
    ddb_arena arena;
    memset(&arena, 0, sizeof arena);
    dreamdb_status status = ddb_object_fetch_memory(ctx, &arena, fetch, misses, extra_count);
    if (status == DREAMDB_OK && extra_count > 0) {
        memcpy(fetch->ops + fetch->misses, extra, extra_count * sizeof *extra);
    }
    status = status < 0 ? status : ddb_object_batch(ctx, fetch->env, fetch->ops, fetch->misses + extra_count);
    if (status == DREAMDB_OK) {
        for (size_t i = 0; i < fetch->misses; i++) {
            ddb_object_receive(ctx, fetch, i);
        }
        ddb_object_choose(fetch);
        ddb_object_hash(fetch->env, fetch->jobs, fetch->misses);
        ddb_object_deliver(fetch);
        if (extra_count > 0) {
            memcpy(extra, fetch->ops + fetch->misses, extra_count * sizeof *extra);
        }
    }
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

/* The engine of all reads: cache, then ONE batch of what is missing and of the caller's extra ops, then hashes.  Each want has its status;
   fails as a whole only without memory or when nothing could be tried, and then holds nothing. */
DDB_FN dreamdb_status ddb_object_fetch_run(ddb_ctx *ctx, ddb_env *env, ddb_object_want *wants, size_t count, dreamdb_io *extra, size_t extra_count)
{
    ddb_object_fetch fetch;
    size_t misses = 0, one = 0;
    dreamdb_status status = DREAMDB_OK;
    memset(&fetch, 0, sizeof fetch);
    fetch.env = env;
    fetch.wants = wants;
    fetch.count = count;
    fetch.op_of = count > 1 ? ddb_mem_new(ctx, size_t, count) : &one;
    for (size_t i = 0; i < count; i++) {
        bool over = wants[i].size > env->limits.object_bytes;
        memset(&wants[i].object, 0, sizeof wants[i].object);
        wants[i].status = over ? DREAMDB_ERR_LIMIT : DREAMDB_OK;
        wants[i].why = NULL;
        if (fetch.op_of) {
            bool hit = over || ddb_object_lookup(env, wants + i);
            fetch.op_of[i] = hit ? SIZE_MAX : 0;
            misses += !hit;
        }
    }
    if (!fetch.op_of) {
        status = DREAMDB_ERR_MEMORY;
    } else if (misses + extra_count > 0) {
        status = ddb_object_fetch_wave(ctx, &fetch, misses, extra, extra_count);
    }
    for (size_t i = 0; i < count && status < 0; i++) {
        ddb_object_release(env, &wants[i].object);
        wants[i].status = status;
    }
    if (fetch.op_of && fetch.op_of != &one) {
        ddb_mem_drop(ctx, fetch.op_of, size_t, count);
    }
    return status;
}

/* Tells what is wrong with a want that failed. */
DDB_FN dreamdb_status ddb_object_explain(ddb_ctx *ctx, const ddb_env *env, const ddb_object_want *want)
{
    if (want->status == DREAMDB_ERR_CORRUPT) {
        return ddb_mem_fail_at(ctx, want->status, want->path, "object %s: %s: it was damaged or cut short; restore it from a copy", want->path,
                               want->why ? want->why : "hash differs");
    }
    if (want->status == DREAMDB_ERR_LIMIT) {
        return ddb_mem_fail_at(ctx, want->status, want->path, "object %s: larger than limits.object_bytes (%llu)", want->path,
                               (unsigned long long)env->limits.object_bytes);
    }
    return ddb_store_fail(ctx, &env->store, want->status, "object", want->path);
}

/* Each want has its own status; never fails as a whole but without memory or when nothing could be tried. */
DDB_FN dreamdb_status ddb_object_get_each(ddb_ctx *ctx, ddb_env *env, ddb_object_want *wants, size_t count)
{
    return ddb_object_fetch_run(ctx, env, wants, count, NULL, 0);
}

/* All or nothing: the first failure (in the order of wants) is returned with its path, the others are released. */
DDB_FN dreamdb_status ddb_object_get_many(ddb_ctx *ctx, ddb_env *env, ddb_object_want *wants, size_t count)
{
    dreamdb_status status = ddb_object_fetch_run(ctx, env, wants, count, NULL, 0);
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        if (wants[i].status < 0) {
            status = ddb_object_explain(ctx, env, wants + i);
        }
    }
    for (size_t i = 0; i < count && status < 0; i++) {
        ddb_object_release(env, &wants[i].object);
    }
    return status;
}

DDB_FN dreamdb_status ddb_object_get(ddb_ctx *ctx, ddb_env *env, const char *path, const ddb_addr *addr, uint32_t flags, ddb_object *out)
{
    ddb_object_want want;
    memset(&want, 0, sizeof want);
    want.path = path;
    want.addr = *addr;
    want.flags = flags;
    dreamdb_status status = ddb_object_get_many(ctx, env, &want, 1);
    *out = want.object;
    return status;
}

/* ---- Ranges, verified by outboards ---- */

typedef struct ddb_object_piece {
    const char    *path;
    ddb_addr       addr;
    uint64_t       total;                      /* size of the object; 0 = unknown */
    uint64_t       offset;
    size_t         size;
    void          *out;                        /* [size] */
    dreamdb_status status;                     /* out */
} ddb_object_piece;

enum { DDB_OBJECT_DONE = 0, DDB_OBJECT_BY_WHOLE, DDB_OBJECT_BY_RANGE, DDB_OBJECT_PLAIN, DDB_OBJECT_STREAMED };

typedef struct ddb_object_plan_row {
    int              how;
    bool             good;                     /* the range was verified and copied */
    size_t           at;                       /* want or op of the piece */
    size_t           outboard_op;              /* SIZE_MAX: it is in outboard already, or not needed */
    ddb_store_bytes *outboard;                 /* a use of its own */
    char             outboard_path[16 + DREAMDB_ADDRESS_TEXT];
} ddb_object_plan_row;

typedef struct ddb_object_ranges {
    ddb_env             *env;
    ddb_object_piece    *pieces;
    ddb_object_plan_row *rows;
    ddb_object_want     *wants;
    dreamdb_io          *ops;
    size_t               count, want_count, op_count;
    ddb_map              shared;               /* address -> op of its outboard */
    dreamdb_status       failed;               /* the first failure: its error stays */
} ddb_object_ranges;

/* The range of whole chunks around a piece; its end is open where the total is not known. */
DDB_FN void ddb_object_cover(const ddb_object_piece *piece, uint64_t *from, uint64_t *to)
{
    *from = piece->offset / DDB_OBJECT_CHUNK * DDB_OBJECT_CHUNK;
    *to = (piece->offset + piece->size + DDB_OBJECT_CHUNK - 1) / DDB_OBJECT_CHUNK * DDB_OBJECT_CHUNK;
    *to = piece->total > 0 && piece->total < *to ? piece->total : *to;
}

/* Reading it whole costs less, or nearly so, than a range and its outboard; or we would not have written an outboard. */
DDB_FN bool ddb_object_whole_pays(const ddb_env *env, const ddb_object_piece *piece)
{
    bool remote = (env->store.flags & (uint32_t)DREAMDB_STORE_REMOTE) && !env->outboards_all;
    uint64_t small = remote ? (uint64_t)DDB_OBJECT_REMOTE_OUTBOARD - 1 : (uint64_t)DDB_OBJECT_WHOLE;
    return piece->total > 0 && piece->total <= env->limits.object_bytes
        && (piece->total <= small || (piece->size >= piece->total / 2 && piece->total < (uint64_t)DDB_OBJECT_STREAM));
}

DDB_FN bool ddb_object_from_cache(ddb_env *env, ddb_object_piece *piece)
{
    ddb_store_bytes *bytes = ddb_object_cache_find(env, &piece->addr, DDB_OBJECT_KEY_GOOD);
    if (!bytes && !env->verify) {
        bytes = ddb_object_cache_find(env, &piece->addr, DDB_OBJECT_KEY_UNCHECKED);
    }
    bool fits = bytes && piece->offset <= bytes->size && piece->size <= bytes->size - piece->offset;
    if (fits) {
        memcpy(piece->out, bytes->data + (size_t)piece->offset, piece->size);
    }
    piece->status = bytes && !fits ? DREAMDB_ERR_CORRUPT : DREAMDB_OK;
    ddb_store_bytes_drop(bytes);
    return bytes != NULL;
}

DDB_FN dreamdb_status ddb_object_plan_outboard(ddb_ctx *ctx, ddb_object_ranges *all, const ddb_object_piece *piece, ddb_object_plan_row *row)
{
    char text[DREAMDB_ADDRESS_TEXT];
    uint64_t *slot = NULL;
    bool fresh = true;
    row->outboard = ddb_object_cache_find(all->env, &piece->addr, DDB_OBJECT_KEY_OUTBOARD);
    if (row->outboard) {
        return DREAMDB_OK;
    }
    dreamdb_status status = ddb_coll_map_put(ctx, &all->shared, piece->addr.bytes, all->op_count, &slot, &fresh);
    if (status < 0) {
        return status;
    }
    row->outboard_op = (size_t)*slot;
    if (fresh) {
        dreamdb_io *op = all->ops + all->op_count++;
        ddb_addr_text(&piece->addr, text);
        (void)snprintf(row->outboard_path, sizeof row->outboard_path, "bao-outboard/%s", text);
        op->kind = DREAMDB_IO_GET;
        op->path = row->outboard_path;
        op->size = ddb_object_ask(all->env, piece->total > 0 && piece->total < SIZE_MAX / 2 ? ddb_hash_outboard_size((size_t)piece->total) : 0);
    }
    return DREAMDB_OK;
}

/* Decides how one piece is read. */
DDB_FN dreamdb_status ddb_object_plan_piece(ddb_ctx *ctx, ddb_object_ranges *all, size_t index)
{
    ddb_object_piece *piece = all->pieces + index;
    ddb_object_plan_row *row = all->rows + index;
    uint64_t end = 0, from = 0, to = 0;
    row->outboard_op = SIZE_MAX;
    piece->status = DREAMDB_OK;
    if (!ddb_mem_add_u64(piece->offset, piece->size, &end) || end > UINT64_MAX - DDB_OBJECT_CHUNK || (piece->total > 0 && end > piece->total)) {
        piece->status = DREAMDB_ERR_CORRUPT;
        return DREAMDB_OK;
    }
    if (piece->size == 0 || ddb_object_from_cache(all->env, piece)) {
        return DREAMDB_OK;
    }
    if (all->env->verify && ddb_object_whole_pays(all->env, piece)) {
        ddb_object_want *want = all->wants + all->want_count;
        want->path = piece->path;
        want->addr = piece->addr;
        want->size = piece->total;
        row->how = DDB_OBJECT_BY_WHOLE;
        row->at = all->want_count++;
        return DREAMDB_OK;
    }
    dreamdb_io *op = all->ops + all->op_count;
    ddb_object_cover(piece, &from, &to);
    row->how = all->env->verify ? DDB_OBJECT_BY_RANGE : DDB_OBJECT_PLAIN;
    row->at = all->op_count++;
    op->kind = DREAMDB_IO_GET;
    op->path = piece->path;
    op->offset = all->env->verify ? from : piece->offset;
    op->size = all->env->verify ? to - from : piece->size;
    return all->env->verify ? ddb_object_plan_outboard(ctx, all, piece, row) : DREAMDB_OK;
}

/* Checks a range against the outboard and copies it. */
DDB_FN void ddb_object_check_piece(void *user, uint32_t index)
{
    ddb_object_ranges *all = (ddb_object_ranges *)user;
    ddb_object_piece *piece = all->pieces + index;
    ddb_object_plan_row *row = all->rows + index;
    if (row->how != DDB_OBJECT_BY_RANGE || all->ops[row->at].status != DREAMDB_OK || !row->outboard || row->outboard->size < 8) {
        return;
    }
    const dreamdb_blob *blob = &all->ops[row->at].blob;
    uint64_t total = ddb_bytes_le64(row->outboard->data), from = 0, to = 0;
    ddb_object_cover(piece, &from, &to);
    to = total < to ? total : to;
    if ((piece->total > 0 && piece->total != total) || total > SIZE_MAX / 2 || piece->offset + piece->size > to || blob->size != to - from
        || ddb_hash_outboard_size((size_t)total) != row->outboard->size) {
        return;
    }
    row->good = ddb_hash_verify_range(all->env->cpu, row->outboard->data, row->outboard->size, piece->addr.bytes + 1, total,
                                      from / DDB_OBJECT_CHUNK, blob->data, (size_t)blob->size);
    if (row->good) {
        memcpy(piece->out, (const uint8_t *)blob->data + (size_t)(piece->offset - from), piece->size);
    }
}

/* Gives every range its outboard, checks all, and keeps the outboards that proved right. */
DDB_FN void ddb_object_check_ranges(ddb_ctx *ctx, ddb_object_ranges *all)
{
    uint64_t bytes = 0;
    size_t of = 0;
    for (size_t i = 0; i < all->count; i++) {
        ddb_object_plan_row *row = all->rows + i;
        bytes += row->how == DDB_OBJECT_BY_RANGE ? all->ops[row->at].blob.size : 0;
        if (row->how != DDB_OBJECT_BY_RANGE || row->outboard_op == SIZE_MAX || all->ops[row->outboard_op].status != DREAMDB_OK) {
            continue;
        }
        of = row->outboard_op;
        row->outboard = ddb_store_bytes_adopt(ctx, &all->ops[of].blob);
        if (row->outboard) {                   /* those that share it find it in the op, lent again */
            ddb_store_bytes_lend(ddb_store_bytes_hold(row->outboard), 0, 0, &all->ops[of].blob);
        }
    }
    ddb_pool_run(bytes > DDB_OBJECT_INLINE ? all->env->pool : NULL, ddb_object_check_piece, all, (uint32_t)all->count);
    for (size_t i = 0; i < all->count; i++) {
        ddb_object_plan_row *row = all->rows + i;
        if (row->good && row->outboard_op != SIZE_MAX) {
            ddb_object_cache_keep(all->env, &all->pieces[i].addr, DDB_OBJECT_KEY_OUTBOARD, row->outboard);
        }
    }
}

/* Hands the part [at, at + got) of a streamed object to every piece of the same object that waits for it. */
DDB_FN void ddb_object_stream_part(ddb_object_ranges *all, size_t index, uint64_t at, const uint8_t *data, uint64_t got)
{
    for (size_t i = index; i < all->count; i++) {
        const ddb_object_piece *piece = all->pieces + i;
        uint64_t end = piece->offset + piece->size, low = piece->offset > at ? piece->offset : at, high = end < at + got ? end : at + got;
        if (all->rows[i].how == DDB_OBJECT_STREAMED && low < high && ddb_addr_equal(&piece->addr, &all->pieces[index].addr)) {
            memcpy((uint8_t *)piece->out + (size_t)(low - piece->offset), data + (size_t)(low - at), (size_t)(high - low));
        }
    }
}

/* Reads an object in pieces of 4 MiB and hashes all of it: bounded memory, whatever its size.  *size: what it has. */
DDB_FN dreamdb_status ddb_object_stream(ddb_ctx *ctx, ddb_object_ranges *all, size_t index, uint64_t *size)
{
    const ddb_object_piece *piece = all->pieces + index;
    ddb_hash_state state;
    uint8_t hash[32];
    uint64_t at = 0, got = 0;
    dreamdb_io op;
    ddb_hash_init(&state, all->env->cpu);
    do {
        memset(&op, 0, sizeof op);
        op.kind = DREAMDB_IO_GET;
        op.path = piece->path;
        op.offset = at;
        op.size = DDB_OBJECT_PIECE;
        dreamdb_status status = ddb_object_batch(ctx, all->env, &op, 1);
        if (status == DREAMDB_OK && op.status < 0) {
            status = ddb_store_fail(ctx, &all->env->store, op.status, "object", piece->path);
        }
        if (status < 0) {
            return status;
        }
        got = op.blob.size;
        ddb_hash_update(&state, op.blob.data, (size_t)got);
        ddb_object_stream_part(all, index, at, (const uint8_t *)op.blob.data, got);
        at += got;
        ddb_store_release(&op.blob);
    } while (got == (uint64_t)DDB_OBJECT_PIECE && (piece->total == 0 || at <= piece->total));
    ddb_hash_final(&state, hash);
    *size = at;
    if (memcmp(hash, piece->addr.bytes + 1, 32) != 0) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, piece->path, "object %s: hash differs: it was damaged or cut short; restore it from a copy",
                               piece->path);
    }
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_object_outside(ddb_ctx *ctx, const ddb_object_piece *piece)
{
    return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, piece->path, "object %s: %zu bytes from %llu on are asked for, it has not so many", piece->path,
                           piece->size, (unsigned long long)piece->offset);
}

/* Copies a piece out of the whole object. */
DDB_FN dreamdb_status ddb_object_cut_piece(ddb_ctx *ctx, const ddb_object_piece *piece, const ddb_object *object)
{
    if (piece->offset > object->size || piece->size > object->size - piece->offset) {
        return ddb_object_outside(ctx, piece);
    }
    memcpy(piece->out, object->data + (size_t)piece->offset, piece->size);
    return DREAMDB_OK;
}

/* The outcome of a piece that came as a whole object or without verification. */
DDB_FN dreamdb_status ddb_object_outcome(ddb_ctx *ctx, const ddb_object_ranges *all, size_t index)
{
    const ddb_object_piece *piece = all->pieces + index;
    const ddb_object_plan_row *row = all->rows + index;
    if (row->how == DDB_OBJECT_BY_WHOLE) {
        const ddb_object_want *want = all->wants + row->at;
        return want->status < 0 ? ddb_object_explain(ctx, all->env, want) : ddb_object_cut_piece(ctx, piece, &want->object);
    }
    const dreamdb_io *op = all->ops + row->at;
    if (op->status < 0) {
        return ddb_store_fail(ctx, &all->env->store, op->status, "object", piece->path);
    }
    if (op->blob.size != piece->size) {
        return ddb_object_outside(ctx, piece);
    }
    memcpy(piece->out, op->blob.data, piece->size);
    return DREAMDB_OK;
}

/* Settles a piece; only the first failure writes the error. */
DDB_FN void ddb_object_settle(ddb_ctx *ctx, ddb_object_ranges *all, size_t index)
{
    ddb_object_piece *piece = all->pieces + index;
    ddb_object_plan_row *row = all->rows + index;
    ddb_ctx quiet = *ctx;
    quiet.error = all->failed < 0 ? NULL : ctx->error;
    if (piece->status < 0) {
        piece->status = ddb_object_outside(&quiet, piece);
    } else if (row->how != DDB_OBJECT_DONE) {
        piece->status = ddb_object_outcome(&quiet, all, index);
    }
    row->how = DDB_OBJECT_DONE;
    all->failed = all->failed < 0 ? all->failed : piece->status;
}

/* Ranges that could not be proved (no outboard, a wrong one, damaged bytes): the whole objects and their hashes decide.  In batches of
   as many bytes as the cache may hold. */
DDB_FN dreamdb_status ddb_object_fall_back(ddb_ctx *ctx, ddb_object_ranges *all)
{
    ddb_env *env = all->env;
    dreamdb_status status = DREAMDB_OK;
    for (size_t i = 0; i < all->count && status == DREAMDB_OK;) {
        size_t first = all->want_count, from = i;
        uint64_t sum = 0;
        for (; i < all->count && sum < env->cache_bytes; i++) {
            const ddb_object_piece *piece = all->pieces + i;
            ddb_object_want *want = all->wants + all->want_count;
            if (all->rows[i].how == DDB_OBJECT_BY_RANGE) {
                want->path = piece->path;
                want->addr = piece->addr;
                want->size = piece->total;
                all->rows[i].how = DDB_OBJECT_BY_WHOLE;
                all->rows[i].at = all->want_count++;
                sum += piece->total > 0 ? piece->total : (uint64_t)1 << 20;
            }
        }
        status = ddb_object_fetch_run(ctx, env, all->wants + first, all->want_count - first, NULL, 0);
        for (size_t j = from; j < i && status == DREAMDB_OK; j++) {
            bool whole = all->rows[j].how == DDB_OBJECT_BY_WHOLE;
            if (whole && all->pieces[j].total == 0 && all->wants[all->rows[j].at].status == DREAMDB_ERR_LIMIT) {
                all->rows[j].how = DDB_OBJECT_STREAMED;
            } else if (whole) {
                ddb_object_settle(ctx, all, j);
                ddb_object_release(env, &all->wants[all->rows[j].at].object);
            }
        }
    }
    return status;
}

/* What is too big to be held: each object once for all its pieces.  Nothing unverified is left behind. */
DDB_FN void ddb_object_stream_all(ddb_ctx *ctx, ddb_object_ranges *all)
{
    for (size_t i = 0; i < all->count; i++) {
        uint64_t size = 0;
        if (all->rows[i].how != DDB_OBJECT_STREAMED) {
            continue;
        }
        ddb_ctx quiet = *ctx;
        quiet.error = all->failed < 0 ? NULL : ctx->error;
        dreamdb_status status = ddb_object_stream(&quiet, all, i, &size);
        for (size_t j = all->count; j-- > i;) {
            ddb_object_piece *piece = all->pieces + j;
            if (all->rows[j].how != DDB_OBJECT_STREAMED || !ddb_addr_equal(&piece->addr, &all->pieces[i].addr)) {
                continue;
            }
            bool fits = piece->offset + piece->size <= size && (piece->total == 0 || piece->total == size);
            piece->status = status < 0 ? status : fits ? DREAMDB_OK : ddb_object_outside(&quiet, piece);
            all->rows[j].how = DDB_OBJECT_DONE;
            if (piece->status < 0) {
                memset(piece->out, 0, piece->size);
                all->failed = all->failed < 0 ? all->failed : piece->status;
            }
        }
    }
}

/* After the wave: what is proved is done, the rest is sorted by what can still be done for it. */
DDB_FN dreamdb_status ddb_object_finish(ddb_ctx *ctx, ddb_object_ranges *all)
{
    bool again = false;
    for (size_t i = 0; i < all->count; i++) {
        ddb_object_plan_row *row = all->rows + i;
        uint64_t total = all->pieces[i].total;
        if (row->good) {
            row->how = DDB_OBJECT_DONE;
        } else if (row->how != DDB_OBJECT_BY_RANGE || all->ops[row->at].status < 0) {
            ddb_object_settle(ctx, all, i);
            if (row->how == DDB_OBJECT_BY_WHOLE) {
                ddb_object_release(all->env, &all->wants[row->at].object);
            }
        } else if (total >= (uint64_t)DDB_OBJECT_STREAM || total > all->env->limits.object_bytes) {
            row->how = DDB_OBJECT_STREAMED;
        } else {
            again = true;
        }
    }
    dreamdb_status status = again ? ddb_object_fall_back(ctx, all) : DREAMDB_OK;
    if (status == DREAMDB_OK) {
        ddb_object_stream_all(ctx, all);
    }
    return status;
}

DDB_FN void ddb_object_ranges_free(ddb_ctx *ctx, ddb_object_ranges *all)
{
    for (size_t i = 0; i < all->count; i++) {
        ddb_store_bytes_drop(all->rows[i].outboard);
        ddb_object_release(all->env, &all->wants[i].object);
        ddb_store_release(&all->ops[2 * i].blob);
        ddb_store_release(&all->ops[2 * i + 1].blob);
    }
    ddb_coll_map_free(ctx, &all->shared);
}

/* Reads many ranges in ONE batch (objects that are small are read whole), each verified by its outboard, which comes in the same batch.
   A second wave only for ranges that could not be proved.  Each piece has its status; the first failure is returned with its error. */
DDB_FN dreamdb_status ddb_object_range_many(ddb_ctx *ctx, ddb_env *env, ddb_object_piece *pieces, size_t count)
{
    ddb_object_ranges all;
    ddb_arena arena;
    dreamdb_status status = DREAMDB_OK;
    memset(&arena, 0, sizeof arena);
    memset(&all, 0, sizeof all);
    all.env = env;
    all.pieces = pieces;
    all.shared.key_size = DREAMDB_ADDRESS_SIZE;
    all.rows = ddb_mem_arena_new(ctx, &arena, ddb_object_plan_row, count);
    all.wants = ddb_mem_arena_new(ctx, &arena, ddb_object_want, count);
    all.ops = count <= SIZE_MAX / 2 ? ddb_mem_arena_new(ctx, &arena, dreamdb_io, count * 2) : NULL;
    status = all.rows && all.wants && all.ops ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    all.count = status == DREAMDB_OK ? count : 0;
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        status = ddb_object_plan_piece(ctx, &all, i);
    }
    status = status < 0 ? status : ddb_object_fetch_run(ctx, env, all.wants, all.want_count, all.ops, all.op_count);
    if (status == DREAMDB_OK) {
        ddb_object_check_ranges(ctx, &all);
        status = ddb_object_finish(ctx, &all);
    }
    for (size_t i = 0; i < count && status < 0; i++) {
        pieces[i].status = status;
    }
    ddb_object_ranges_free(ctx, &all);
    ddb_mem_arena_free(ctx, &arena);
    return status < 0 ? status : all.failed;
}

DDB_FN dreamdb_status ddb_object_range(ddb_ctx *ctx, ddb_env *env, const char *path, const ddb_addr *addr, uint64_t total, uint64_t offset, size_t size,
                                       void *out)
{
    ddb_object_piece piece;
    memset(&piece, 0, sizeof piece);
    piece.path = path;
    piece.addr = *addr;
    piece.total = total;
    piece.offset = offset;
    piece.size = size;
    piece.out = out;
    return ddb_object_range_many(ctx, env, &piece, 1);
}

/* ---- Put ---- */

/* Objects on their way: hashed when they are given, written in batches.  Used by one thread.  After a failure it stays failed. */
typedef struct ddb_puts {
    ddb_env       *env;
    ddb_arena      arena;                      /* paths and bytes that wait */
    dreamdb_io    *ops;
    size_t         count, cap;
    ddb_map        seen;                       /* hash of a path: put once a ddb_puts */
    uint64_t       waiting, flush_bytes;
    uint64_t       objects, bytes;             /* new in the store */
    uint64_t       existing;                   /* found there already */
    dreamdb_status failed;
} ddb_puts;

DDB_FN dreamdb_status ddb_object_puts_open(ddb_ctx *ctx, ddb_env *env, ddb_puts **out)
{
    ddb_puts *puts = ddb_mem_new(ctx, ddb_puts, 1);
    *out = puts;
    if (!puts) {
        return DREAMDB_ERR_MEMORY;
    }
    puts->env = env;
    puts->seen.key_size = 32;
    puts->flush_bytes = DDB_OBJECT_FLUSH;
    return DREAMDB_OK;
}

/* What still waits is dropped. */
DDB_FN void ddb_object_puts_close(ddb_ctx *ctx, ddb_puts *puts)
{
    if (!puts) {
        return;
    }
    ddb_mem_arena_free(ctx, &puts->arena);
    ddb_coll_map_free(ctx, &puts->seen);
    if (puts->ops) {
        ddb_mem_drop(ctx, puts->ops, dreamdb_io, puts->cap);
    }
    ddb_mem_drop(ctx, puts, ddb_puts, 1);
}

DDB_FN dreamdb_status ddb_object_puts_batch(ddb_ctx *ctx, ddb_puts *puts, dreamdb_io *ops, size_t count)
{
    dreamdb_status status = ddb_object_batch(ctx, puts->env, ops, count);
    size_t tried = status < 0 ? 0 : count;
    for (size_t i = 0; i < tried; i++) {
        bool fine = ops[i].status == DREAMDB_OK || (ops[i].kind == DREAMDB_IO_PUT && ops[i].status == DREAMDB_ERR_EXISTS)
                 || (ops[i].kind == DREAMDB_IO_STAT && ops[i].status == DREAMDB_ERR_NOT_FOUND);
        status = fine || status < 0 ? status : ddb_store_fail(ctx, &puts->env->store, ops[i].status, "put of", ops[i].path);
        if (ops[i].kind == DREAMDB_IO_PUT && ops[i].status == DREAMDB_OK) {
            puts->objects++;
            puts->bytes += ops[i].size;
            (void)ddb_port_atomic_add(&puts->env->puts, 1);
            (void)ddb_port_atomic_add(&puts->env->put_bytes, ops[i].size);
        }
    }
    return status;
}

/* Objects that were there already: a crash may have cut one short, so their sizes are looked at; what is wrong or gone is put again. */
DDB_FN dreamdb_status ddb_object_puts_mend(ddb_ctx *ctx, ddb_puts *puts)
{
    dreamdb_status status = DREAMDB_OK;
    size_t count = 0, again = 0;
    for (size_t i = 0; i < puts->count; i++) {
        count += puts->ops[i].status == DREAMDB_ERR_EXISTS;
    }
    if (count == 0) {
        return DREAMDB_OK;
    }
    puts->existing += count;
    dreamdb_io *ops = ddb_mem_new(ctx, dreamdb_io, count);
    dreamdb_io *puts_again = ddb_mem_new(ctx, dreamdb_io, count);
    status = ops && puts_again ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    for (size_t i = 0, n = 0; i < puts->count && status == DREAMDB_OK; i++) {
        if (puts->ops[i].status == DREAMDB_ERR_EXISTS) {
            ops[n].kind = DREAMDB_IO_STAT;
            ops[n].path = puts->ops[i].path;
            ops[n].data = puts->ops[i].data;
            ops[n++].size = puts->ops[i].size;
        }
    }
    status = status < 0 ? status : ddb_object_puts_batch(ctx, puts, ops, count);
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        if (ops[i].status == DREAMDB_ERR_NOT_FOUND || ops[i].stat.size != ops[i].size) {
            puts_again[again].kind = DREAMDB_IO_PUT;
            puts_again[again].path = ops[i].path;
            puts_again[again].data = ops[i].data;
            puts_again[again].size = ops[i].size;
            puts_again[again++].condition.kind = DREAMDB_PUT_ALWAYS;
        }
    }
    if (status == DREAMDB_OK && again > 0) {
        status = ddb_object_puts_batch(ctx, puts, puts_again, again);
    }
    ddb_mem_drop(ctx, ops, dreamdb_io, count);
    ddb_mem_drop(ctx, puts_again, dreamdb_io, count);
    return status;
}

/* All waiting puts in one batch. */
DDB_FN dreamdb_status ddb_object_flush(ddb_ctx *ctx, ddb_puts *puts)
{
    if (puts->failed < 0) {
        return ctx->error && ctx->error->status < 0 ? puts->failed : ddb_mem_fail(ctx, puts->failed, "an earlier put of this batch failed");
    }
    dreamdb_status status = puts->count > 0 ? ddb_object_puts_batch(ctx, puts, puts->ops, puts->count) : DREAMDB_OK;
    if (status == DREAMDB_OK && puts->count > 0) {
        status = ddb_object_puts_mend(ctx, puts);
    }
    puts->failed = status;
    puts->count = 0;
    puts->waiting = 0;
    ddb_mem_arena_free(ctx, &puts->arena);
    if (puts->seen.count > (size_t)DDB_OBJECT_SEEN) {
        ddb_coll_map_free(ctx, &puts->seen);   /* a repeat is now found in the store instead */
    }
    return status;
}

/* Appends one op; data stays where it is (in the arena, or the caller's until the flush in the same call). */
DDB_FN dreamdb_status ddb_object_put_add(ddb_ctx *ctx, ddb_puts *puts, const char *folder, const ddb_addr *addr, ddb_slice bytes, bool copy)
{
    uint8_t key[32];
    bool fresh = true;
    char *path = ddb_addr_path(ctx, &puts->arena, folder, addr);
    if (!path) {
        return DREAMDB_ERR_MEMORY;
    }
    ddb_hash_one(puts->env->cpu, path, strlen(path), key);
    dreamdb_status status = ddb_coll_map_put(ctx, &puts->seen, key, 1, NULL, &fresh);
    if (status < 0 || !fresh) {
        return status;
    }
    if (puts->count == puts->cap) {
        size_t cap = puts->cap > 0 ? puts->cap * 2 : 64;
        dreamdb_io *ops = (dreamdb_io *)ddb_mem_resize(ctx, puts->ops, puts->cap * sizeof *ops, cap * sizeof *ops);
        if (!ops) {
            return DREAMDB_ERR_MEMORY;
        }
        puts->ops = ops;
        puts->cap = cap;
    }
    dreamdb_io *op = puts->ops + puts->count;
    memset(op, 0, sizeof *op);
    op->kind = DREAMDB_IO_PUT;
    op->path = path;
    op->size = bytes.size;
    op->data = copy ? (const uint8_t *)ddb_mem_arena_copy(ctx, &puts->arena, bytes.data, bytes.size) : bytes.data;
    op->condition.kind = DREAMDB_PUT_IF_ABSENT;
    if (!op->data && bytes.size > 0) {
        return DREAMDB_ERR_MEMORY;
    }
    puts->count++;
    puts->waiting += bytes.size;
    return DREAMDB_OK;
}

DDB_FN bool ddb_object_wants_outboard(const ddb_env *env, uint32_t flags, size_t size)
{
    bool remote = (env->store.flags & (uint32_t)DREAMDB_STORE_REMOTE) != 0;
    return (flags & (uint32_t)DDB_PUT_OUTBOARD) && (!remote || env->outboards_all || size >= (size_t)DDB_OBJECT_REMOTE_OUTBOARD);
}

/* At most DDB_OBJECT_BLOCK objects: hashed together, then queued.  now: the batch goes out at the end, so nothing is copied. */
DDB_FN dreamdb_status ddb_object_put_block(ddb_ctx *ctx, ddb_puts *puts, const char *const *folders, const ddb_slice *bytes, size_t count, uint32_t flags,
                                           bool now, ddb_addr *out)
{
    ddb_object_job *jobs = ddb_mem_arena_new(ctx, &puts->arena, ddb_object_job, count);
    for (size_t i = 0; i < count && jobs; i++) {
        jobs[i].in = bytes[i];
        if (ddb_object_wants_outboard(puts->env, flags, bytes[i].size) && bytes[i].size > (size_t)DDB_OBJECT_CHUNK) {
            jobs[i].outboard = (uint8_t *)ddb_mem_arena_alloc(ctx, &puts->arena, ddb_hash_outboard_size(bytes[i].size));
            jobs = jobs[i].outboard ? jobs : NULL;
        }
    }
    if (!jobs) {
        return DREAMDB_ERR_MEMORY;
    }
    ddb_object_hash(puts->env, jobs, count);
    dreamdb_status status = DREAMDB_OK;
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        out[i].bytes[0] = DDB_ADDR_TAG;
        memcpy(out[i].bytes + 1, jobs[i].hash, 32);
        status = ddb_object_put_add(ctx, puts, folders[i], out + i, bytes[i], !now);
        if (status == DREAMDB_OK && ddb_object_wants_outboard(puts->env, flags, bytes[i].size)) {
            uint8_t length[8];
            ddb_bytes_set_le64(length, bytes[i].size);
            ddb_slice outboard = jobs[i].outboard ? ddb_bytes_slice(jobs[i].outboard, ddb_hash_outboard_size(bytes[i].size)) : ddb_bytes_slice(length, 8);
            status = ddb_object_put_add(ctx, puts, "bao-outboard", out + i, outboard, !jobs[i].outboard);
        }
    }
    return status;
}

/* Puts count objects, each under its folder: "folders[i]/<text of its address>".  Hashed side by side. */
DDB_FN dreamdb_status ddb_object_put_many(ddb_ctx *ctx, ddb_puts *puts, const char *const *folders, const ddb_slice *bytes, size_t count, uint32_t flags,
                                          ddb_addr *out)
{
    dreamdb_status status = puts->failed < 0 ? ddb_object_flush(ctx, puts) : DREAMDB_OK;
    for (size_t at = 0; at < count && status == DREAMDB_OK;) {
        size_t n = 0;
        uint64_t more = 0;
        while (at + n < count && n < (size_t)DDB_OBJECT_BLOCK && more < puts->flush_bytes) {
            more += bytes[at + n++].size;
        }
        bool now = puts->waiting + more >= puts->flush_bytes;
        status = ddb_object_put_block(ctx, puts, folders + at, bytes + at, n, flags, now, out + at);
        puts->failed = status;
        if (status == DREAMDB_OK && now) {
            status = ddb_object_flush(ctx, puts);
        }
        at += n;
    }
    return status;
}

DDB_FN dreamdb_status ddb_object_put(ddb_ctx *ctx, ddb_puts *puts, const char *folder, ddb_slice bytes, uint32_t flags, ddb_addr *out)
{
    return ddb_object_put_many(ctx, puts, &folder, &bytes, 1, flags, out);
}
DDB_FN dreamdb_status ddb_object_put_give(ddb_ctx *ctx, ddb_puts *puts, const char *folder, ddb_buf *bytes, uint32_t flags, ddb_addr *out)
{ dreamdb_status status = ddb_object_put(ctx, puts, folder, ddb_bytes_of(bytes), flags, out); ddb_bytes_free(bytes); return status; }

/* ==== ROOM 15 schema | prefix ddb_schema_ | uses port mem bytes coll cbor addr ==== */
/* Fields, their maps in the Manifest (core.md 4), their modalities and the names they may have (evolution.md 1; tried on 0.0.16).
   Invariant: a field that was read is written back byte for byte (raw); in memory fields stand sorted by name, however they were read.
   modality: what the field's map says; of an embedding the family without version until a Manifest's binding tells it (room manifest).
   Must never refuse a kind it does not know: such a field is DREAMDB_KIND_OTHER and is carried. */

typedef struct ddb_field {
    dreamdb_kind kind;
    ddb_slice kind_text, name, modality, mime, value_type, algorithm;
    bool required, rerank, has_index, has_compressor, has_pack, has_chunk, has_bits, has_bucket_max;
    uint64_t dim, lsh_bits, chunk_size, pack_items, bucket_max_bytes;
    ddb_addr index, compressor;
    ddb_slice raw;                             /* the map as it was read; size 0: written from the members */
} ddb_field;
/* specs: the embedding_specs of a version 2 schema, carried.  raw: the whole as it was read; size 0: written from the fields. */
typedef struct ddb_schema { uint64_t version; ddb_field *fields; size_t count; ddb_slice specs, raw; } ddb_schema;

enum {
    DDB_SCHEMA_BUCKET_LOW = 1048576, DDB_SCHEMA_BUCKET_HIGH = 524288000,   /* bucket_max_bytes (core.md 1, Names) */
    DDB_SCHEMA_BITS_MAX = 255,                 /* a cell key is a file name (evolution.md 2) */
    DDB_SCHEMA_L2_BITS = 64                    /* lsh-l2 keys are always 64 digits (spatial.md 3) */
};
#define DDB_SCHEMA_DIM_MAX UINT64_C(1073741820)   /* record size 8 + 4 * dim is a u32 in the bucket (core.md 7) */
#define DDB_SCHEMA_LSH "dreamdb.lsh-cosine"
#define DDB_SCHEMA_LSH_L2 "dreamdb.lsh-l2"
#define DDB_SCHEMA_IVF "dreamdb.ivf-cosine"

/* One known key of a field map.  In canonical order: the writer follows the table. */
typedef enum ddb_schema_type { DDB_SCHEMA_TEXT = 1, DDB_SCHEMA_BOOL, DDB_SCHEMA_UINT, DDB_SCHEMA_ADDR } ddb_schema_type;
typedef struct ddb_schema_key { const char *key; ddb_schema_type type; size_t at, has; } ddb_schema_key;   /* has 0: no flag */
static const ddb_schema_key ddb_schema_keys[] = {
    { "dim", DDB_SCHEMA_UINT, offsetof(ddb_field, dim), 0 },
    { "kind", DDB_SCHEMA_TEXT, offsetof(ddb_field, kind_text), 0 },
    { "mime", DDB_SCHEMA_TEXT, offsetof(ddb_field, mime), 0 },
    { "name", DDB_SCHEMA_TEXT, offsetof(ddb_field, name), 0 },
    { "rerank", DDB_SCHEMA_BOOL, offsetof(ddb_field, rerank), 0 },
    { "lsh_bits", DDB_SCHEMA_UINT, offsetof(ddb_field, lsh_bits), offsetof(ddb_field, has_bits) },
    { "modality", DDB_SCHEMA_TEXT, offsetof(ddb_field, modality), 0 },
    { "required", DDB_SCHEMA_BOOL, offsetof(ddb_field, required), 0 },
    { "algorithm", DDB_SCHEMA_TEXT, offsetof(ddb_field, algorithm), 0 },
    { "chunk_size", DDB_SCHEMA_UINT, offsetof(ddb_field, chunk_size), offsetof(ddb_field, has_chunk) },
    { "compressor", DDB_SCHEMA_ADDR, offsetof(ddb_field, compressor), offsetof(ddb_field, has_compressor) },
    { "pack_items", DDB_SCHEMA_UINT, offsetof(ddb_field, pack_items), offsetof(ddb_field, has_pack) },
    { "value_type", DDB_SCHEMA_TEXT, offsetof(ddb_field, value_type), 0 },
    { "spatial_index", DDB_SCHEMA_ADDR, offsetof(ddb_field, index), offsetof(ddb_field, has_index) },
    { "bucket_max_bytes", DDB_SCHEMA_UINT, offsetof(ddb_field, bucket_max_bytes), offsetof(ddb_field, has_bucket_max) }
};
enum { DDB_SCHEMA_KEYS = sizeof ddb_schema_keys / sizeof ddb_schema_keys[0] };

/* What a kind is called: in the field map, in the modality, in the scalar index object. */
typedef struct ddb_schema_kind_row {
    dreamdb_kind kind;
    const char *kind_text, *value_type, *prefix, *algorithm, *mime;
} ddb_schema_kind_row;
static const ddb_schema_kind_row ddb_schema_kinds[] = {
    { DREAMDB_EMBEDDING, "embedding", NULL, NULL, NULL, NULL },
    { DREAMDB_IMAGE, "image", NULL, "image.", NULL, "jpeg" },
    { DREAMDB_AUDIO, "audio", NULL, "audio.", NULL, "wav" },
    { DREAMDB_VIDEO, "video", NULL, "video.", NULL, "mp4" },
    { DREAMDB_CATEGORICAL, "scalar", "categorical", "scalar.cat.field=", "dreamdb.bitmap-categorical", NULL },
    { DREAMDB_STRING, "scalar", "string", "scalar.str.field=", "dreamdb.btree-string", NULL },
    { DREAMDB_INT, "scalar", "int", "scalar.i64.field=", "dreamdb.btree-int64", NULL },
    { DREAMDB_FLOAT, "scalar", "float", "scalar.f64.field=", "dreamdb.btree-float64", NULL },
    { DREAMDB_BOOL, "scalar", "bool", "scalar.bool.field=", "dreamdb.bitmap-categorical", NULL },
    { DREAMDB_TIMESTAMP, "scalar", "timestamp", "scalar.ts.field=", "dreamdb.btree-int64", NULL },
    { DREAMDB_CONSTANT, "constant", NULL, NULL, NULL, NULL }
};

DDB_FN const ddb_schema_kind_row *ddb_schema_kind_of(dreamdb_kind kind)
{
    for (size_t i = 0; i < sizeof ddb_schema_kinds / sizeof ddb_schema_kinds[0]; i++) {
        if (ddb_schema_kinds[i].kind == kind) {
            return ddb_schema_kinds + i;
        }
    }
    return NULL;
}

DDB_FN bool ddb_schema_is_scalar(dreamdb_kind kind)
{
    const ddb_schema_kind_row *row = ddb_schema_kind_of(kind);
    return row && row->value_type;
}

DDB_FN bool ddb_schema_is_media(dreamdb_kind kind)
{
    return kind == DREAMDB_IMAGE || kind == DREAMDB_AUDIO || kind == DREAMDB_VIDEO;
}

DDB_FN bool ddb_schema_is_l2(const ddb_field *field)
{
    return ddb_bytes_is(field->algorithm, DDB_SCHEMA_LSH_L2);
}

/* "dreamdb.btree-int64" and so on; NULL for a kind that is no scalar. */
DDB_FN const char *ddb_schema_scalar_algorithm(dreamdb_kind kind)
{
    const ddb_schema_kind_row *row = ddb_schema_kind_of(kind);
    return row ? row->algorithm : NULL;
}

/* The kind of a binding (core.md 3) by its modality: "continuous", "event", "constant"; NULL where the registry has to say. */
DDB_FN const char *ddb_schema_class(ddb_slice modality)
{
    static const char *const rows[][2] = {
        { "image.", "continuous" }, { "audio.", "continuous" }, { "video.", "continuous" }, { "embedding.", "continuous" },
        { "scalar.", "event" }, { "title.", "constant" }, { "author.", "constant" }, { "license.", "constant" },
        { "source.", "constant" }, { "description.", "constant" }
    };
    static const char *const kinds[] = { "continuous", "event", "constant" };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (ddb_bytes_starts(modality, rows[i][0])) {
            return rows[i][1];
        }
    }
    for (size_t i = 0; i < 3 && ddb_bytes_starts(modality, "array."); i++) {
        char part[32];                         /* array.DTYPE.kind=KIND.... */
        size_t size = (size_t)snprintf(part, sizeof part, ".kind=%s.", kinds[i]);
        for (size_t at = 5; at + size <= modality.size; at++) {
            if (memcmp(modality.data + at, part, size) == 0) {
                return kinds[i];
            }
        }
    }
    return NULL;
}

/* The kind of the field's binding; NULL for kinds that this room does not know. */
DDB_FN const char *ddb_schema_binding_kind(const ddb_field *field)
{
    return ddb_schema_is_scalar(field->kind) ? "event" : field->kind == DREAMDB_CONSTANT ? "constant"
           : field->kind == DREAMDB_KIND_OTHER ? ddb_schema_class(field->modality) : "continuous";
}

/* The field of that name, or NULL. */
DDB_FN ddb_field *ddb_schema_find(const ddb_schema *schema, ddb_slice name)
{
    size_t low = 0, high = schema->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = ddb_bytes_compare(schema->fields[middle].name, name);
        if (order == 0) {
            return schema->fields + middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

/* ---- Modalities ---- */

/* "embedding.f32.dim=8.bucketed", with ".metric=l2" and ".bucket_max_bytes=N" where they apply; "image.jpeg"; "scalar.i64.field=n". */
DDB_FN dreamdb_status ddb_schema_family(ddb_ctx *ctx, ddb_arena *arena, ddb_field *field)
{
    char text[128];
    const ddb_schema_kind_row *row = ddb_schema_kind_of(field->kind);
    if (field->kind == DREAMDB_EMBEDDING) {
        int size = snprintf(text, sizeof text, "embedding.f32.dim=%llu%s.bucketed", (unsigned long long)field->dim,
                            ddb_schema_is_l2(field) ? ".metric=l2" : "");
        if (field->has_bucket_max) {
            (void)snprintf(text + size, sizeof text - (size_t)size, ".bucket_max_bytes=%llu", (unsigned long long)field->bucket_max_bytes);
        }
        field->modality = ddb_bytes_slice(ddb_mem_arena_copy(ctx, arena, text, strlen(text)), strlen(text));
    } else if (row && row->prefix) {
        ddb_slice tail = row->value_type ? field->name : field->mime;
        size_t size = strlen(row->prefix), all = 0;
        if (!ddb_mem_add(size, tail.size, &all)) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "a field name is too long");
        }
        char *out = (char *)ddb_mem_arena_alloc(ctx, arena, all);
        if (out) {
            memcpy(out, row->prefix, size);
            if (tail.size > 0) {
                memcpy(out + size, tail.data, tail.size);
            }
        }
        field->modality = ddb_bytes_slice(out, all);
    } else {
        return DREAMDB_OK;                     /* constants say it; other kinds have it from their binding */
    }
    return field->modality.data ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
}

/* N of "FAMILY.version=N", 1 for FAMILY itself, -1 for another family. */
DDB_FN int64_t ddb_schema_version_in(ddb_slice modality, ddb_slice family)
{
    static const char mark[] = ".version=";
    size_t at = family.size + sizeof mark - 1;
    int64_t version = 0;
    if (ddb_bytes_equal(modality, family)) {
        return 1;
    }
    if (modality.size <= at || memcmp(modality.data, family.data, family.size) != 0
        || memcmp(modality.data + family.size, mark, sizeof mark - 1) != 0) {
        return -1;
    }
    for (; at < modality.size; at++) {
        uint8_t c = modality.data[at];
        if (c < '0' || c > '9' || version > UINT32_MAX) {
            return -1;
        }
        version = version * 10 + (c - '0');
    }
    return version <= UINT32_MAX ? version : -1;
}

/* Gives an embedding field its modality beside those of a schema: the plain family, or one past its highest version (evolution.md 1.3). */
DDB_FN dreamdb_status ddb_schema_embedding_modality(ddb_ctx *ctx, ddb_arena *arena, const ddb_schema *existing, ddb_field *field)
{
    int64_t highest = 0;
    bool taken = false;
    char tail[32];
    dreamdb_status status = ddb_schema_family(ctx, arena, field);
    if (status < 0) {
        return status;
    }
    for (size_t i = 0; i < existing->count; i++) {
        int64_t version = ddb_schema_version_in(existing->fields[i].modality, field->modality);
        highest = version > highest ? version : highest;
        taken = taken || ddb_bytes_equal(existing->fields[i].modality, field->modality);
    }
    if (!taken) {
        return DREAMDB_OK;
    }
    if (highest >= UINT32_MAX) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "version 4294967295 is the maximum, so this embedding has no free version left");
    }
    size_t size = (size_t)snprintf(tail, sizeof tail, ".version=%lld", (long long)(highest + 1));
    char *out = (char *)ddb_mem_arena_alloc(ctx, arena, field->modality.size + size);
    if (!out) {
        return DREAMDB_ERR_MEMORY;
    }
    memcpy(out, field->modality.data, field->modality.size);
    memcpy(out + field->modality.size, tail, size);
    field->modality = ddb_bytes_slice(out, field->modality.size + size);
    return DREAMDB_OK;
}

/* ---- Reading ---- */

DDB_FN bool ddb_schema_read_member(ddb_cbor *r, ddb_field *field, const ddb_schema_key *key)
{
    uint8_t *at = (uint8_t *)field + key->at;
    if (key->has) {
        bool yes = true;
        memcpy((uint8_t *)field + key->has, &yes, sizeof yes);
    }
    switch (key->type) {
    case DDB_SCHEMA_TEXT: return ddb_cbor_read_text(r, (ddb_slice *)(void *)at);
    case DDB_SCHEMA_BOOL: return ddb_cbor_read_bool(r, (bool *)(void *)at);
    case DDB_SCHEMA_UINT: return ddb_cbor_read_uint(r, (uint64_t *)(void *)at);
    case DDB_SCHEMA_ADDR: break;
    }
    return ddb_addr_read(r, (ddb_addr *)(void *)at);
}

/* Reads one field map; unknown keys stay in raw. */
DDB_FN bool ddb_schema_read_field(ddb_cbor *r, ddb_field *field)
{
    size_t start = r->at, count = 0;
    ddb_slice key, previous = { NULL, 0 };
    memset(field, 0, sizeof *field);
    field->required = true;                    /* absent means true (tried) */
    if (!ddb_cbor_read_map(r, &count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const ddb_schema_key *known = NULL;
        if (!ddb_cbor_next_key(r, &key, &previous)) {
            return false;
        }
        for (size_t k = 0; k < DDB_SCHEMA_KEYS && !known; k++) {
            known = ddb_bytes_is(key, ddb_schema_keys[k].key) ? ddb_schema_keys + k : NULL;
        }
        if (known ? !ddb_schema_read_member(r, field, known) : !ddb_cbor_skip(r, NULL)) {
            return false;
        }
    }
    field->raw = ddb_bytes_slice(r->data + start, r->at - start);
    return (field->kind_text.data && field->name.data) || ddb_cbor_bad(r, start, "a field has no kind or no name");
}

/* Finds the kind, checks what it must have, makes the modality. */
DDB_FN dreamdb_status ddb_schema_finish_field(ddb_ctx *ctx, ddb_arena *arena, ddb_field *field, const char *path)
{
    const char *miss = NULL;
    ddb_addr_shown shown;
    field->kind = DREAMDB_KIND_OTHER;
    for (size_t i = 0; i < sizeof ddb_schema_kinds / sizeof ddb_schema_kinds[0]; i++) {
        const ddb_schema_kind_row *row = ddb_schema_kinds + i;
        if (ddb_bytes_is(field->kind_text, row->kind_text) && (!row->value_type || ddb_bytes_is(field->value_type, row->value_type))) {
            field->kind = row->kind;
        }
    }
    if (field->kind == DREAMDB_KIND_OTHER) {
        field->modality = ddb_bytes_slice(NULL, 0);
        return DREAMDB_OK;
    }
    if (field->kind == DREAMDB_EMBEDDING) {
        miss = field->dim == 0 || field->dim > DDB_SCHEMA_DIM_MAX ? "dim" : !field->algorithm.data ? "algorithm" : NULL;
    } else if (ddb_schema_is_media(field->kind)) {
        miss = field->mime.data ? NULL : "mime";
    } else if (field->kind == DREAMDB_CONSTANT) {
        miss = field->modality.data ? NULL : "modality";
    }
    if (miss) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "schema: field '%s' has no good `%s`", ddb_addr_show(field->name, &shown),
                               miss);
    }
    return ddb_schema_family(ctx, arena, field);
}

DDB_FN int ddb_schema_by_name(const void *a, const void *b, void *user)
{
    (void)user;
    return ddb_bytes_compare(((const ddb_field *)a)->name, ((const ddb_field *)b)->name);
}

/* The fields array, and the map's own keys: v, fields, embedding_specs. */
DDB_FN bool ddb_schema_read(ddb_ctx *ctx, ddb_arena *arena, ddb_cbor *r, ddb_schema *out, bool *strange, bool *no_memory)
{
    size_t count = 0;
    ddb_slice key, previous = { NULL, 0 };
    if (!ddb_cbor_read_map(r, &count)) {
        return false;
    }
    for (size_t i = 0; i < count && ddb_cbor_next_key(r, &key, &previous); i++) {
        if (ddb_bytes_is(key, "v")) {
            (void)ddb_cbor_read_uint(r, &out->version);
        } else if (ddb_bytes_is(key, "fields")) {
            /* {kind:"",name:""} is 13 bytes, real ones more */
            if (!ddb_cbor_count(r, DDB_CBOR_ARRAY, 16, &out->count, "the fields must be an array")) {
                return false;
            }
            out->fields = ddb_mem_arena_new(ctx, arena, ddb_field, out->count);
            *no_memory = !out->fields;
            for (size_t f = 0; f < out->count && !*no_memory && ddb_schema_read_field(r, out->fields + f); f++) {
            }
        } else if (ddb_bytes_is(key, "embedding_specs")) {
            (void)ddb_cbor_skip(r, &out->specs);
        } else {
            *strange = true;
            (void)ddb_cbor_skip(r, NULL);
        }
        if (r->failed || *no_memory) {
            return false;
        }
    }
    return ddb_cbor_end(r) && (out->fields || ddb_cbor_bad(r, 0, "a schema has no `fields`"));
}

/* raw: the value of dreamdb.schema; slices of the result point into it.  FORMAT for versions and forms not known. */
DDB_FN dreamdb_status ddb_schema_decode_at(ddb_ctx *ctx, ddb_arena *arena, ddb_slice raw, const char *path, ddb_schema *out)
{
    ddb_cbor r;
    bool strange = false, no_memory = false;
    ddb_addr_shown shown;
    memset(out, 0, sizeof *out);
    out->raw = raw;
    ddb_cbor_open(&r, raw);
    bool good = ddb_schema_read(ctx, arena, &r, out, &strange, &no_memory);
    if (no_memory) {
        return DREAMDB_ERR_MEMORY;
    }
    if (!good) {
        return ddb_cbor_corrupt(ctx, &r, "schema", path);
    }
    bool has_specs = out->specs.data != NULL, two = out->version == 2;
    if (strange || (out->version != 1 && !two) || has_specs != two) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_FORMAT, path, "schema: version %llu with %s keys is not known to this library",
                               (unsigned long long)out->version, strange ? "other" : has_specs ? "embedding_specs" : "these");
    }
    for (size_t i = 0; i < out->count; i++) {
        dreamdb_status status = ddb_schema_finish_field(ctx, arena, out->fields + i, path);
        if (status < 0) {
            return status;
        }
    }
    dreamdb_status status = ddb_coll_sort(ctx, out->fields, out->count, sizeof *out->fields, ddb_schema_by_name, NULL);
    for (size_t i = 1; i < out->count && status == DREAMDB_OK; i++) {
        if (ddb_bytes_equal(out->fields[i - 1].name, out->fields[i].name)) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "schema: two fields are called '%s'",
                                   ddb_addr_show(out->fields[i].name, &shown));
        }
    }
    return status;
}

DDB_FN dreamdb_status ddb_schema_decode(ddb_ctx *ctx, ddb_arena *arena, ddb_slice raw, ddb_schema *out)
{
    return ddb_schema_decode_at(ctx, arena, raw, NULL, out);
}

/* ---- Writing ---- */

DDB_FN bool ddb_schema_has_member(const ddb_field *field, const ddb_schema_key *key)
{
    const uint8_t *at = (const uint8_t *)field + key->at;
    bool flag = false;
    if (key->has) {
        memcpy(&flag, (const uint8_t *)field + key->has, sizeof flag);
        return flag;
    }
    if (key->type == DDB_SCHEMA_TEXT) {
        return ((const ddb_slice *)(const void *)at)->data && (key->at != offsetof(ddb_field, modality) || field->kind == DREAMDB_CONSTANT);
    }
    return key->type == DDB_SCHEMA_UINT ? field->kind == DREAMDB_EMBEDDING : key->at == offsetof(ddb_field, required) || field->rerank;
}

DDB_FN void ddb_schema_write_field(ddb_buf *buf, const ddb_field *field)
{
    size_t count = 0;
    if (field->raw.size > 0) {
        ddb_cbor_raw(buf, field->raw);
        return;
    }
    for (size_t k = 0; k < DDB_SCHEMA_KEYS; k++) {
        count += ddb_schema_has_member(field, ddb_schema_keys + k);
    }
    ddb_cbor_map(buf, count);
    for (size_t k = 0; k < DDB_SCHEMA_KEYS; k++) {
        const ddb_schema_key *key = ddb_schema_keys + k;
        const uint8_t *at = (const uint8_t *)field + key->at;
        if (!ddb_schema_has_member(field, key)) {
            continue;
        }
        ddb_cbor_str(buf, key->key);
        switch (key->type) {
        case DDB_SCHEMA_TEXT: {
            const ddb_slice *text = (const ddb_slice *)(const void *)at;
            ddb_cbor_text(buf, text->data, text->size);
            break;
        }
        case DDB_SCHEMA_BOOL: ddb_cbor_bool(buf, *(const bool *)(const void *)at); break;
        case DDB_SCHEMA_UINT: ddb_cbor_uint(buf, *(const uint64_t *)(const void *)at); break;
        case DDB_SCHEMA_ADDR: ddb_addr_write(buf, (const ddb_addr *)(const void *)at); break;
        }
    }
}

/* The value of dreamdb.schema.  Fields are written in the order they stand: sorted by name. */
DDB_FN dreamdb_status ddb_schema_encode(ddb_buf *buf, const ddb_schema *schema)
{
    bool two = schema->specs.size > 0;
    if (schema->raw.size > 0) {
        ddb_cbor_raw(buf, schema->raw);
        return ddb_bytes_status(buf);
    }
    ddb_cbor_map(buf, two ? 3 : 2);
    ddb_cbor_str(buf, "v");
    ddb_cbor_uint(buf, two ? 2 : 1);
    ddb_cbor_str(buf, "fields");
    ddb_cbor_array(buf, schema->count);
    for (size_t i = 0; i < schema->count; i++) {
        DREAMDB_ASSERT(i == 0 || ddb_bytes_compare(schema->fields[i - 1].name, schema->fields[i].name) < 0);
        ddb_schema_write_field(buf, schema->fields + i);
    }
    if (two) {
        ddb_cbor_str(buf, "embedding_specs");
        ddb_cbor_raw(buf, schema->specs);
    }
    return ddb_bytes_status(buf);
}

/* The object that a scalar field's registry entry points to (scalar.md 1). */
DDB_FN void ddb_schema_scalar_index(ddb_buf *buf, const ddb_field *field)
{
    const char *algorithm = ddb_schema_scalar_algorithm(field->kind);
    bool bitmap = field->kind == DREAMDB_CATEGORICAL || field->kind == DREAMDB_BOOL;
    DREAMDB_ASSERT(algorithm);
    ddb_cbor_map(buf, 4);
    ddb_cbor_str(buf, "metric");
    ddb_cbor_str(buf, bitmap ? "categorical" : "ordinal");
    ddb_cbor_str(buf, "params");
    ddb_cbor_map(buf, bitmap ? 2 : 3);
    ddb_cbor_str(buf, "version");
    ddb_cbor_uint(buf, 1);
    ddb_cbor_str(buf, bitmap ? "cardinality_limit" : "leaf_fanout");
    ddb_cbor_uint(buf, bitmap ? 65536 : 4096);
    if (!bitmap) {
        ddb_cbor_str(buf, "internal_fanout");
        ddb_cbor_uint(buf, 256);
    }
    ddb_cbor_str(buf, "algorithm");
    ddb_cbor_str(buf, algorithm);
    ddb_cbor_str(buf, "field_name");
    ddb_cbor_text(buf, field->name.data, field->name.size);
}

/* Points an embedding field to another index; keys not known stay. */
DDB_FN dreamdb_status ddb_schema_set_index(ddb_ctx *ctx, ddb_arena *arena, ddb_field *field, const ddb_addr *index)
{
    ddb_buf value, map;
    dreamdb_status status = DREAMDB_OK;
    field->has_index = true;
    field->index = *index;
    if (field->raw.size == 0) {
        return DREAMDB_OK;
    }
    ddb_bytes_init(&value, ctx);
    ddb_bytes_init(&map, ctx);
    ddb_addr_write(&value, index);
    if (value.failed || !ddb_cbor_map_edit(&map, field->raw, "spatial_index", ddb_bytes_of(&value)) || map.failed) {
        status = DREAMDB_ERR_MEMORY;
    } else {
        char *copy = ddb_mem_arena_copy(ctx, arena, map.data, map.size);
        status = copy ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
        field->raw = copy ? ddb_bytes_slice(copy, map.size) : field->raw;
    }
    ddb_bytes_free(&value);
    ddb_bytes_free(&map);
    return status;
}

/* ---- Changing ---- */

/* A copy of old with one field more, in its place; an embedding gets its modality.  EXISTS: the name, or the modality of a constant. */
DDB_FN dreamdb_status ddb_schema_add(ddb_ctx *ctx, ddb_arena *arena, const ddb_schema *old, const ddb_field *more, ddb_schema *out)
{
    ddb_addr_shown shown, other;
    size_t at = 0;
    ddb_field field = *more;
    for (size_t i = 0; i < old->count; i++) {
        const ddb_field *have = old->fields + i;
        if (ddb_bytes_equal(have->name, more->name)) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_EXISTS, "field '%s' already exists", ddb_addr_show(more->name, &shown));
        }
        if (have->kind == DREAMDB_CONSTANT && more->kind == DREAMDB_CONSTANT && ddb_bytes_equal(have->modality, more->modality)) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_EXISTS, "modality '%s' is already the constant of field '%s'; use another modality",
                                ddb_addr_show(more->modality, &shown), ddb_addr_show(have->name, &other));
        }
        at += ddb_bytes_compare(have->name, more->name) < 0;
    }
    if (field.kind == DREAMDB_EMBEDDING) {
        dreamdb_status status = ddb_schema_embedding_modality(ctx, arena, old, &field);
        if (status < 0) {
            return status;
        }
    }
    ddb_schema next = *old;
    next.raw = ddb_bytes_slice(NULL, 0);
    next.version = old->specs.size > 0 ? 2 : 1;
    next.count = old->count + 1;
    next.fields = ddb_mem_arena_new(ctx, arena, ddb_field, next.count);
    if (!next.fields) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < old->count; i++) {
        next.fields[i + (i >= at)] = old->fields[i];
    }
    next.fields[at] = field;
    *out = next;
    return DREAMDB_OK;
}

/* ---- Fields of the caller ---- */

/* One name part of a modality that a user gives: [a-z0-9_], and dots between such parts where dots is true. */
DDB_FN bool ddb_schema_word(ddb_slice text, bool dots)
{
    size_t run = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
        if (c == '.' && dots ? run == 0 : !word) {
            return false;
        }
        run = c == '.' ? 0 : run + 1;
    }
    return run > 0;
}

DDB_FN dreamdb_status ddb_schema_embedding(ddb_ctx *ctx, const dreamdb_field *in, ddb_field *out)
{
    const char *name = in->name;
    bool l2 = in->index == DREAMDB_INDEX_LSH_L2;
    bool ivf = in->index == DREAMDB_INDEX_IVF || (in->index == DREAMDB_INDEX_DEFAULT && (in->index_address || in->train_count > 0));
    if (in->dim == 0 || in->dim > DDB_SCHEMA_DIM_MAX) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field '%.60s': dim is %u; set it to the number of floats of a vector", name,
                            in->dim);
    }
    if ((uint32_t)in->index > (uint32_t)DREAMDB_INDEX_IMI) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field '%.60s': index %d is no kind of index", name, (int)in->index);
    }
    if (in->index == DREAMDB_INDEX_IMI) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_UNSUPPORTED,
                            "field '%.60s': index algorithm dreamdb.imi-cosine is not in this version; use IVF", name);
    }
    if (in->bucket_max_bytes != 0 && (in->bucket_max_bytes < DDB_SCHEMA_BUCKET_LOW || in->bucket_max_bytes > DDB_SCHEMA_BUCKET_HIGH)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field '%.60s': bucket_max_bytes must be 1048576 to 524288000, or 0", name);
    }
    if (l2 && (in->rerank || (in->bits != 0 && in->bits != DDB_SCHEMA_L2_BITS))) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field '%.60s': the L2 index takes rerank 0 and bits 0 or 64", name);
    }
    if (in->bits > DDB_SCHEMA_BITS_MAX) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field '%.60s': bits is %u; a cell key is a file name, so 255 is the most", name,
                            in->bits);
    }
    if (ivf && !in->index_address && in->train_count == 0) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field '%.60s': an IVF index needs a training sample (train) or an index_address",
                            name);
    }
    out->algorithm = ddb_bytes_text(l2 ? DDB_SCHEMA_LSH_L2 : ivf ? DDB_SCHEMA_IVF : DDB_SCHEMA_LSH);
    out->dim = in->dim;
    out->rerank = in->rerank != 0;
    out->has_bits = !ivf && in->bits != 0;
    out->lsh_bits = out->has_bits ? in->bits : 0;
    out->has_bucket_max = in->bucket_max_bytes != 0;
    out->bucket_max_bytes = in->bucket_max_bytes;
    out->has_index = in->index_address != NULL || ivf;
    if (in->index_address && !ddb_addr_take(ddb_bytes_slice(in->index_address, DREAMDB_ADDRESS_SIZE), &out->index)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field '%.60s': index_address is no address (its first byte must be 0x1e)", name);
    }
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_schema_constant(ddb_ctx *ctx, const dreamdb_field *in, ddb_field *out)
{
    out->modality = ddb_bytes_text(in->modality ? in->modality : "");
    const char *kind = ddb_schema_class(out->modality);
    if (!ddb_addr_modality_valid(out->modality) || !kind || strcmp(kind, "constant") != 0 || ddb_bytes_starts(out->modality, "array.")) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field '%.60s': modality '%.60s' is no constant's; it starts with title., author., "
                            "license., source. or description., as in title.text", in->name, in->modality ? in->modality : "");
    }
    if (in->required) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field '%.60s': a constant is no column, so it cannot be required", in->name);
    }
    if (!in->value && in->value_size > 0) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field '%.60s': value is NULL but value_size is not 0", in->name);
    }
    return DREAMDB_OK;
}

/* The slice in the arena, so that the caller's texts are not needed after the call. */
DDB_FN bool ddb_schema_own(ddb_ctx *ctx, ddb_arena *arena, ddb_slice *text)
{
    if (text->data) {
        text->data = (const uint8_t *)ddb_mem_arena_copy(ctx, arena, text->data, text->size);
        return text->data != NULL;
    }
    return true;
}

DDB_FN dreamdb_status ddb_schema_check_name(ddb_ctx *ctx, const dreamdb_field *in, ddb_slice name)
{
    ddb_addr_shown shown;
    if (name.size == 0 || !ddb_bytes_utf8(name)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "a field needs a name of valid UTF-8");
    }
    if (!ddb_schema_kind_of(in->kind)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field '%s': kind %d is not a kind that can be made", ddb_addr_show(name, &shown),
                            (int)in->kind);
    }
    if (ddb_schema_is_scalar(in->kind) && !ddb_schema_word(name, false)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field '%s': the name of a scalar field is part of a path; use a-z, 0-9 and _ only",
                            ddb_addr_show(name, &shown));
    }
    return DREAMDB_OK;
}

/* Checks a field of the caller and makes the format's.  video_mime: what a video without mime gets ("mp4" at create, "h264" when a field is
   added: evolution.md 1.1).  The index address of a trained embedding is filled in by the writer. */
DDB_FN dreamdb_status ddb_schema_from_public_as(ddb_ctx *ctx, ddb_arena *arena, const dreamdb_field *in, const char *video_mime,
                                                ddb_field *out)
{
    dreamdb_status status = DREAMDB_OK;
    memset(out, 0, sizeof *out);
    out->name = ddb_bytes_text(in->name ? in->name : "");
    status = ddb_schema_check_name(ctx, in, out->name);
    if (status < 0) {
        return status;
    }
    const ddb_schema_kind_row *row = ddb_schema_kind_of(in->kind);
    out->kind = in->kind;
    out->kind_text = ddb_bytes_text(row->kind_text);
    out->required = in->required != 0;
    if (row->value_type) {
        out->value_type = ddb_bytes_text(row->value_type);
    }
    if (ddb_schema_is_media(in->kind)) {
        out->mime = ddb_bytes_text(in->mime ? in->mime : in->kind == DREAMDB_VIDEO ? video_mime : row->mime);
        out->has_chunk = in->chunk_size != 0;
        out->chunk_size = in->chunk_size;
        out->has_pack = in->pack_items != 0;
        out->pack_items = in->pack_items;
        if (!ddb_schema_word(out->mime, true)) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field '%.60s': mime '%.60s' must be lowercase a-z, 0-9, _, as in jpeg",
                                in->name, in->mime ? in->mime : "");
        }
    } else if (in->kind == DREAMDB_EMBEDDING) {
        status = ddb_schema_embedding(ctx, in, out);
    } else if (in->kind == DREAMDB_CONSTANT) {
        status = ddb_schema_constant(ctx, in, out);
    }
    if (status == DREAMDB_OK && (!ddb_schema_own(ctx, arena, &out->name) || !ddb_schema_own(ctx, arena, &out->mime)
                                 || !ddb_schema_own(ctx, arena, &out->modality))) {
        status = DREAMDB_ERR_MEMORY;
    }
    status = status < 0 ? status : ddb_schema_family(ctx, arena, out);
    if (status == DREAMDB_OK && out->modality.size > DDB_ADDR_FILE) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT,
                            "field '%.60s': its modality would be longer than 255 characters; use a shorter name or mime", in->name);
    }
    return status;
}

DDB_FN dreamdb_status ddb_schema_from_public(ddb_ctx *ctx, ddb_arena *arena, const dreamdb_field *in, ddb_field *out)
{
    return ddb_schema_from_public_as(ctx, arena, in, "mp4", out);
}

/* ==== ROOM 16 roaring | prefix ddb_roaring_ | uses port mem bytes ==== */
/* Sets of anchors as postings (scalar.md 3): 0x01, then the portable 64-bit roaring form.  Written with arrays (to 4096 anchors) and bitsets,
   never runs; runs are read.  Invariant: a blob that count or decode took holds exactly the anchors told, strictly ascending, and no other byte.
   Must never believe a number of a blob before the bytes that back it were seen. */

enum {
    DDB_ROARING_VERSION = 1,
    DDB_ROARING_COOKIE = 12346, DDB_ROARING_COOKIE_RUNS = 12347,      /* of the portable 32-bit form */
    DDB_ROARING_ARRAY_MAX = 4096, DDB_ROARING_BITSET = 8192,          /* anchors in an array; bytes of a bitset */
    DDB_ROARING_NO_OFFSETS = 4,               /* with runs, fewer containers than this have no table of offsets */
    DDB_ROARING_HEAD = 9,                     /* version, number of groups */
    DDB_ROARING_RUNS_MAX = 1 << 24            /* anchors beyond 8 a byte that runs may stand for: 128 MiB of memory a blob */
};

DDB_FN size_t ddb_roaring_payload(size_t count)
{
    return count <= DDB_ROARING_ARRAY_MAX ? 2 * count : (size_t)DDB_ROARING_BITSET;
}

/* End of the run of anchors from `from` that share all bits above `shift`. */
DDB_FN size_t ddb_roaring_same(const uint64_t *anchors, size_t from, size_t count, unsigned shift)
{
    uint64_t high = anchors[from] >> shift;
    size_t step = 1, low = from, top = 0;
    while (count - low > step && anchors[low + step] >> shift == high) {      /* gallop, then bisect */
        low += step;
        step *= 2;
    }
    top = count - low > step ? low + step : count;
    while (top - low > 1) {
        size_t middle = low + (top - low) / 2;
        if (anchors[middle] >> shift == high) {
            low = middle;
        } else {
            top = middle;
        }
    }
    return top;
}

DDB_FN void ddb_roaring_container(uint8_t *out, const uint64_t *anchors, size_t count)
{
    if (count <= DDB_ROARING_ARRAY_MAX) {
        for (size_t i = 0; i < count; i++) {
            ddb_bytes_set_le16(out + 2 * i, (uint16_t)(anchors[i] & 0xffff));
        }
        return;
    }
    memset(out, 0, DDB_ROARING_BITSET);
    for (size_t i = 0; i < count; i++) {
        uint32_t bit = (uint32_t)(anchors[i] & 0xffff);
        out[bit >> 3] = (uint8_t)(out[bit >> 3] | 1u << (bit & 7));
    }
}

/* One group: its anchors share the high 32 bits. */
DDB_FN void ddb_roaring_group(ddb_buf *buf, const uint64_t *anchors, size_t count)
{
    size_t containers = 0, payload = 0;
    for (size_t i = 0; i < count; containers++) {
        size_t end = ddb_roaring_same(anchors, i, count, 16);
        payload += ddb_roaring_payload(end - i);
        i = end;
    }
    size_t offset = 8 + 8 * containers, size = 4 + offset + payload;
    uint8_t *at = ddb_bytes_reserve(buf, size);
    if (!at) {
        return;
    }
    ddb_bytes_set_le32(at, (uint32_t)(anchors[0] >> 32));
    ddb_bytes_set_le32(at + 4, DDB_ROARING_COOKIE);
    ddb_bytes_set_le32(at + 8, (uint32_t)containers);
    uint8_t *key = at + 12, *table = key + 4 * containers;
    at += 4;                                   /* offsets count from the cookie */
    for (size_t i = 0; i < count; key += 4, table += 4) {
        size_t end = ddb_roaring_same(anchors, i, count, 16);
        ddb_bytes_set_le16(key, (uint16_t)(anchors[i] >> 16 & 0xffff));
        ddb_bytes_set_le16(key + 2, (uint16_t)(end - i - 1));
        ddb_bytes_set_le32(table, (uint32_t)offset);
        ddb_roaring_container(at + offset, anchors + i, end - i);
        offset += ddb_roaring_payload(end - i);
        i = end;
    }
    buf->size += size;
}

/* Appends the posting of count strictly ascending anchors. */
DDB_FN void ddb_roaring_encode(ddb_buf *buf, const uint64_t *anchors, size_t count)
{
    size_t groups = 0;
    for (size_t i = 0; i < count; groups++) {
        i = ddb_roaring_same(anchors, i, count, 32);
    }
    uint8_t *at = ddb_bytes_reserve(buf, DDB_ROARING_HEAD);
    if (!at) {
        return;
    }
    at[0] = DDB_ROARING_VERSION;
    ddb_bytes_set_le64(at + 1, groups);
    buf->size += DDB_ROARING_HEAD;
    for (size_t i = 0; i < count;) {
        size_t end = ddb_roaring_same(anchors, i, count, 32);
        ddb_roaring_group(buf, anchors + i, end - i);
        i = end;
    }
}

/* ---- Reading: container by container ---- */

typedef enum ddb_roaring_kind { DDB_ROARING_ARRAY = 1, DDB_ROARING_BITS, DDB_ROARING_RUNS } ddb_roaring_kind;
typedef struct ddb_roaring_piece {             /* one container */
    ddb_roaring_kind kind;
    uint64_t         base;                     /* the high 48 bits of its anchors */
    size_t           count;                    /* anchors that it claims */
    const uint8_t   *data;                     /* u16 values, bits, or {start, length - 1} */
    size_t           runs;
} ddb_roaring_piece;

typedef struct ddb_roaring_reader {
    ddb_slice      blob;
    uint64_t       groups, group;              /* in all; begun */
    uint64_t       high;                       /* of the group */
    size_t         start, at;                  /* of the group's cookie; of the next container */
    size_t         pieces, piece;              /* containers of the group; begun */
    const uint8_t *flags, *keys, *offsets;     /* flags, offsets: NULL if the form has none */
    uint32_t       key;                        /* of the last container + 1 */
    const char    *why;                        /* set once the blob is known to be bad */
} ddb_roaring_reader;

DDB_FN bool ddb_roaring_bad(ddb_roaring_reader *r, const char *why)
{
    r->why = why;
    return false;
}

/* Opens a blob; false with r->why when the head is wrong (why NULL: an unknown version). */
DDB_FN bool ddb_roaring_open(ddb_roaring_reader *r, ddb_slice blob)
{
    memset(r, 0, sizeof *r);
    r->blob = blob;
    if (blob.size < DDB_ROARING_HEAD) {
        return ddb_roaring_bad(r, "it is cut short");
    }
    if (blob.data[0] != DDB_ROARING_VERSION) {
        return false;
    }
    r->groups = ddb_bytes_le64(blob.data + 1);
    r->at = DDB_ROARING_HEAD;
    return true;
}

/* Reads the head of the next group. */
DDB_FN bool ddb_roaring_enter(ddb_roaring_reader *r)
{
    size_t left = r->blob.size - r->at;
    if (left < 12) {
        return ddb_roaring_bad(r, "it is cut short");
    }
    const uint8_t *p = r->blob.data + r->at;
    uint64_t high = ddb_bytes_le32(p);
    uint32_t cookie = ddb_bytes_le32(p + 4);
    if (r->group > 0 && high <= r->high) {
        return ddb_roaring_bad(r, "its groups are not in order");
    }
    bool runs = (cookie & 0xffff) == DDB_ROARING_COOKIE_RUNS;
    if (!runs && cookie != DDB_ROARING_COOKIE) {
        return ddb_roaring_bad(r, "a bitmap does not start with its cookie");
    }
    size_t count = runs ? (size_t)(cookie >> 16) + 1 : (size_t)ddb_bytes_le32(p + 8);
    size_t flags = runs ? (count + 7) / 8 : 0;
    size_t head = (runs ? 8u : 12u) + flags;
    bool offsets = !runs || count >= DDB_ROARING_NO_OFFSETS;
    if (count == 0 || count > 65536 || left < head || (left - head) / (offsets ? 8 : 4) < count) {
        return ddb_roaring_bad(r, "its number of containers is wrong");
    }
    r->flags = runs ? p + 8 : NULL;
    r->keys = p + head;
    r->offsets = offsets ? r->keys + 4 * count : NULL;
    r->high = high;
    r->start = r->at + 4;
    r->at += head + count * (offsets ? 8 : 4);
    r->pieces = count;
    r->piece = 0;
    r->key = 0;
    r->group++;
    return true;
}

/* The next container: false at the end (why NULL) or when the blob is bad.  Its payload lies inside the blob but was not looked at. */
DDB_FN bool ddb_roaring_next(ddb_roaring_reader *r, ddb_roaring_piece *out)
{
    while (r->piece == r->pieces) {
        if (r->group == r->groups) {
            return r->at == r->blob.size ? false : ddb_roaring_bad(r, "there are bytes behind its end");
        }
        if (!ddb_roaring_enter(r)) {
            return false;
        }
    }
    size_t i = r->piece++, left = r->blob.size - r->at, size = 0;
    uint32_t key = ddb_bytes_le16(r->keys + 4 * i);
    if (key < r->key) {
        return ddb_roaring_bad(r, "its keys are not in order");
    }
    if (r->offsets && ddb_bytes_le32(r->offsets + 4 * i) != r->at - r->start) {
        return ddb_roaring_bad(r, "an offset is wrong");
    }
    r->key = key + 1;
    out->base = r->high << 32 | (uint64_t)key << 16;
    out->count = (size_t)ddb_bytes_le16(r->keys + 4 * i + 2) + 1;
    out->data = r->blob.data + r->at;
    out->runs = 0;
    out->kind = out->count <= DDB_ROARING_ARRAY_MAX ? DDB_ROARING_ARRAY : DDB_ROARING_BITS;
    size = ddb_roaring_payload(out->count);
    if (r->flags && (r->flags[i / 8] >> i % 8 & 1)) {
        if (left < 2) {
            return ddb_roaring_bad(r, "it is cut short");
        }
        out->kind = DDB_ROARING_RUNS;
        out->runs = ddb_bytes_le16(out->data);
        out->data += 2;
        size = 2 + 4 * out->runs;
    }
    if (left < size) {
        return ddb_roaring_bad(r, "it is cut short");
    }
    r->at += size;
    return true;
}

DDB_INLINE uint32_t ddb_roaring_ones(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    return (uint32_t)((((x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u) >> 56);
}

/* Does the payload hold exactly piece->count anchors in order? */
DDB_FN bool ddb_roaring_sound(const ddb_roaring_piece *piece)
{
    size_t found = 0;
    uint32_t next = 0;                         /* the least value that may follow */
    bool good = true;
    if (piece->kind == DDB_ROARING_BITS) {
        for (size_t i = 0; i < DDB_ROARING_BITSET; i += 8) {
            found += ddb_roaring_ones(ddb_bytes_le64(piece->data + i));
        }
        return found == piece->count;
    }
    if (piece->kind == DDB_ROARING_ARRAY) {
        for (size_t i = 0; i < piece->count; i++) {
            uint32_t value = ddb_bytes_le16(piece->data + 2 * i);
            good = good && value >= next;
            next = value + 1;
        }
        return good;
    }
    for (size_t i = 0; i < piece->runs && good; i++) {
        uint32_t start = ddb_bytes_le16(piece->data + 4 * i), length = (uint32_t)ddb_bytes_le16(piece->data + 4 * i + 2) + 1;
        good = start >= next && start + length <= 65536;
        next = start + length;
        found += length;
    }
    return good && found == piece->count;
}

/* Checks a whole blob and counts its anchors.  CORRUPT, FORMAT (unknown version), LIMIT. */
DDB_FN dreamdb_status ddb_roaring_count(ddb_ctx *ctx, ddb_slice blob, const char *path, size_t *count)
{
    ddb_roaring_reader r;
    ddb_roaring_piece piece;
    size_t total = 0, by_runs = 0;
    *count = 0;
    if (!ddb_roaring_open(&r, blob)) {
        return r.why ? ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "posting: %s", r.why)
                     : ddb_mem_fail_at(ctx, DREAMDB_ERR_FORMAT, path, "posting: version %u is unknown here, update the library", (unsigned)blob.data[0]);
    }
    while (ddb_roaring_next(&r, &piece)) {
        if (!ddb_roaring_sound(&piece)) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "posting: a container does not hold the anchors it claims");
        }
        total += piece.count;
        by_runs += piece.kind == DDB_ROARING_RUNS ? piece.count : 0;
        if (by_runs > DDB_ROARING_RUNS_MAX && by_runs / 8 > blob.size) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_LIMIT, path, "posting: %zu bytes claim more than %zu anchors by runs", blob.size, by_runs);
        }
    }
    if (r.why) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "posting: %s", r.why);
    }
    *count = total;
    return DREAMDB_OK;
}

DDB_INLINE uint32_t ddb_roaring_first_bit(uint64_t x)
{
#if defined(__GNUC__) || defined(__clang__)
    return (uint32_t)__builtin_ctzll(x);
#else
    return ddb_roaring_ones((x & (0 - x)) - 1);
#endif
}

DDB_FN size_t ddb_roaring_unpack(const ddb_roaring_piece *piece, uint64_t *out)
{
    size_t n = 0;
    if (piece->kind == DDB_ROARING_ARRAY) {
        for (; n < piece->count; n++) {
            out[n] = piece->base | ddb_bytes_le16(piece->data + 2 * n);
        }
    } else if (piece->kind == DDB_ROARING_BITS) {
        for (size_t i = 0; i < DDB_ROARING_BITSET; i += 8) {
            for (uint64_t word = ddb_bytes_le64(piece->data + i); word != 0; word &= word - 1) {
                out[n++] = piece->base | (i * 8 + ddb_roaring_first_bit(word));
            }
        }
    } else {
        for (size_t i = 0; i < piece->runs; i++) {
            uint64_t start = piece->base | ddb_bytes_le16(piece->data + 4 * i);
            size_t length = (size_t)ddb_bytes_le16(piece->data + 4 * i + 2) + 1;
            for (size_t j = 0; j < length; j++) {
                out[n++] = start + j;
            }
        }
    }
    return n;
}

/* The anchors of a blob that ddb_roaring_count took, ascending; out has room for its count. */
DDB_FN void ddb_roaring_fill(ddb_slice blob, uint64_t *out)
{
    ddb_roaring_reader r;
    ddb_roaring_piece piece;
    if (ddb_roaring_open(&r, blob)) {
        while (ddb_roaring_next(&r, &piece)) {
            out += ddb_roaring_unpack(&piece, out);
        }
    }
}

/* Checks and reads a blob.  *anchors is the caller's: ddb_mem_drop(ctx, anchors, uint64_t, count). */
DDB_FN dreamdb_status ddb_roaring_decode(ddb_ctx *ctx, ddb_slice blob, const char *path, uint64_t **anchors, size_t *count)
{
    *anchors = NULL;
    dreamdb_status status = ddb_roaring_count(ctx, blob, path, count);
    if (status < 0) {
        return status;
    }
    *anchors = (uint64_t *)ddb_mem_alloc(ctx, *count * sizeof **anchors);
    if (!*anchors) {
        *count = 0;
        return DREAMDB_ERR_MEMORY;
    }
    ddb_roaring_fill(blob, *anchors);
    return DREAMDB_OK;
}

DDB_FN bool ddb_roaring_piece_has(const ddb_roaring_piece *piece, uint32_t value)
{
    size_t low = 0, high = piece->kind == DDB_ROARING_RUNS ? piece->runs : piece->count;
    size_t step = piece->kind == DDB_ROARING_RUNS ? 4 : 2;
    if (piece->kind == DDB_ROARING_BITS) {
        return (piece->data[value >> 3] >> (value & 7) & 1) != 0;
    }
    while (low < high) {                       /* the last start <= value stands before high */
        size_t middle = low + (high - low) / 2;
        if (ddb_bytes_le16(piece->data + step * middle) <= value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return false;
    }
    const uint8_t *at = piece->data + step * (low - 1);
    uint32_t more = piece->kind == DDB_ROARING_RUNS ? (uint32_t)ddb_bytes_le16(at + 2) : 0;
    return value - ddb_bytes_le16(at) <= more;
}

/* Is the anchor in a blob that ddb_roaring_count took?  Steps over the containers before it. */
DDB_FN bool ddb_roaring_contains(ddb_slice blob, uint64_t anchor)
{
    ddb_roaring_reader r;
    ddb_roaring_piece piece;
    if (ddb_roaring_open(&r, blob)) {
        while (ddb_roaring_next(&r, &piece) && piece.base <= anchor) {
            if (piece.base == (anchor & ~(uint64_t)0xffff)) {
                return ddb_roaring_piece_has(&piece, (uint32_t)(anchor & 0xffff));
            }
        }
    }
    return false;
}

/* ==== ROOM 17 page | prefix ddb_page_ | uses port mem bytes coll cbor addr object ==== */
/* The one copy-on-write B-tree: paged Tracks keyed by time or by cell, scalar B-trees, tombstone trees.  They differ in a few traits: the form
   of a page, what fits a page, how an overfull list is cut, how a row finds its leaf (core.md 6, evolution.md 2, scalar.md 4.2, versioning.md 1).
   Invariant: an edit reads the pages on the touched paths, a batch a level, and puts only pages of the final tree; every page that is read
   is checked against what its parent says of it, so depth, counts and order hold whatever the store returns.
   Must never know Tracks, fields or Manifests, nor keep more than a window of leaves in memory. */

/* One row of a Track or of a leaf.  Which members count depends on the kind; slices point into the object the row was read from. */
typedef struct ddb_row {
    ddb_slice key;                           /* spatial: cell key text; scalar: CBOR of the value; items, tombstones: empty */
    uint64_t  t_start, t_end;                /* [t_start, t_end); tombstone: the anchor is t_start */
    uint64_t  size, offset, table;           /* size: item payload | bucket object | posting; table: of 7-element spatial rows */
    ddb_addr  addr, sidecar;
    uint32_t  flags;                         /* DDB_ROW_ */
} ddb_row;

enum { DDB_ROW_CHUNKED = 1, DDB_ROW_PACKED = 2, DDB_ROW_SIDECAR = 4,
       DDB_ROW_WHOLE = 8 };                  /* scalar row of 4 elements: the whole object is the posting (evolution.md 1.4) */

/* BITMAP has rows but no tree: categorical and bool Tracks never page. */
typedef enum ddb_page_kind { DDB_PAGE_TIME = 0, DDB_PAGE_SPATIAL, DDB_PAGE_SCALAR, DDB_PAGE_TOMB, DDB_PAGE_BITMAP } ddb_page_kind;
typedef enum ddb_page_value { DDB_PAGE_NONE = 0, DDB_PAGE_INT64, DDB_PAGE_FLOAT64, DDB_PAGE_STRING } ddb_page_value;

typedef struct ddb_page_trait {
    size_t bytes;                            /* largest encoded page */
    size_t leaf_max, inner_max;              /* entries */
    bool   relative;                         /* row times are relative to the page's t_min */
    bool   greedy;                           /* lists are cut greedily; else evenly (rule C of evolution.md 2) */
} ddb_page_trait;

enum { DDB_PAGE_DEPTH = 64,                  /* levels: dreamdb_limits.depth's default; a real tree has 2 to 5 */
       DDB_PAGE_AHEAD = 64,                  /* pages that a cursor holds a level */
       DDB_PAGE_WAVE = 256,                  /* pages of one batch of a gather or an edit */
       DDB_PAGE_ROW_ROOM = 192 };            /* bytes of the largest encoded row or entry beside its texts */

DDB_FN const ddb_page_trait *ddb_page_trait_of(ddb_page_kind kind)
{
    static const ddb_page_trait traits[] = {
        { 16384, SIZE_MAX, 256, true, false },      /* core.md 6, evolution.md 2 */
        { 16384, SIZE_MAX, 256, true, false },
        { 65536, 4096, 256, false, true },          /* scalar.md 4.2 */
        { 65536, 128, 128, false, false },          /* versioning.md 1.1 */
        { SIZE_MAX, SIZE_MAX, 256, false, true }
    };
    return &traits[kind];
}

/* What a row is routed and sorted by: a number (t_start, order bytes of a number, anchor) or a text (cell key, string). */
typedef struct ddb_page_key { uint64_t number; ddb_slice text; } ddb_page_key;

/* What a parent says of a page. */
typedef struct ddb_page_child {
    ddb_page_key low, high;                  /* first and last key below (TIME: t_min, unused) */
    uint64_t     t_min, t_max;               /* TIME, SPATIAL */
    uint64_t     rows;                       /* rows below; 0 = not told */
    ddb_addr     addr;
    uint32_t     level;                      /* 0 = leaf */
    bool         root;                       /* nothing but level and rows is known */
} ddb_page_child;

typedef struct ddb_page {
    uint32_t        level;
    ddb_row        *rows;                    /* [count] of a leaf */
    ddb_page_child *children;                /* [count] of an inner page */
    size_t          count;
    uint64_t        t_min, t_max, total;     /* total: rows below; 0 = not told */
} ddb_page;

/* What the pages of one tree have in common. */
typedef struct ddb_page_tree {
    ddb_page_kind  kind;
    ddb_page_value value;                    /* SCALAR */
    ddb_slice      modality, algorithm;
    const char    *folder;                   /* of the pages */
    const char    *path;                     /* of the object that names the root, for messages */
    uint64_t       pages;                    /* reading more pages than this is CORRUPT */
} ddb_page_tree;

/* ---- Keys ---- */

DDB_INLINE int ddb_page_key_compare(const ddb_page_key *a, const ddb_page_key *b)
{
    return a->number < b->number ? -1 : a->number > b->number ? 1 : a->text.size == 0 && b->text.size == 0 ? 0 : ddb_bytes_compare(a->text, b->text);
}

DDB_INLINE ddb_page_key ddb_page_key_of(uint64_t number)
{
    ddb_page_key key;
    key.number = number;
    key.text = ddb_bytes_slice(NULL, 0);
    return key;
}

DDB_INLINE ddb_page_key ddb_page_key_text(ddb_slice text)
{
    ddb_page_key key;
    key.number = 0;
    key.text = text;
    return key;
}

DDB_FN ddb_page_value ddb_page_value_of(ddb_slice algorithm)
{
    return ddb_bytes_is(algorithm, "dreamdb.btree-int64") ? DDB_PAGE_INT64 : ddb_bytes_is(algorithm, "dreamdb.btree-float64") ? DDB_PAGE_FLOAT64 :
           ddb_bytes_is(algorithm, "dreamdb.btree-string") ? DDB_PAGE_STRING : DDB_PAGE_NONE;
}

/* The bits of a half (10 mantissa bits) or single (23) as a double's, in integers: no rounding mode or flush-to-zero can touch them. */
DDB_FN uint64_t ddb_page_widen(uint64_t bits, unsigned mantissa, unsigned exponent)
{
    uint64_t sign = bits >> (mantissa + exponent) & 1, top = ((uint64_t)1 << exponent) - 1, e = bits >> mantissa & top;
    uint64_t m = (bits & (((uint64_t)1 << mantissa) - 1)) << (52 - mantissa);
    uint64_t bias = top >> 1;
    if (e == top) {
        return sign << 63 | (uint64_t)0x7ff << 52 | m;
    }
    if (e > 0) {
        return sign << 63 | (e + 1023 - bias) << 52 | m;
    }
    if (m == 0) {
        return sign << 63;
    }
    e = 1024 - bias;
    while (!(m >> 52 & 1)) {
        m <<= 1;
        e--;
    }
    return sign << 63 | e << 52 | (m & (((uint64_t)1 << 52) - 1));
}

/* Order key of one CBOR value (scalar.md 4.2): numbers as the number of their order bytes.  False: no such value. */
DDB_FN bool ddb_page_value_key(ddb_page_value value, ddb_slice cbor, ddb_page_key *out)
{
    ddb_cbor r;
    int64_t integer = 0;
    ddb_cbor_open(&r, cbor);
    *out = ddb_page_key_of(0);
    if (value == DDB_PAGE_INT64) {
        bool good = ddb_cbor_read_int(&r, &integer) && ddb_cbor_end(&r);
        out->number = (uint64_t)integer ^ (uint64_t)1 << 63;
        return good;
    }
    if (value == DDB_PAGE_STRING) {
        return ddb_cbor_read_text(&r, &out->text) && ddb_cbor_end(&r);
    }
    if (value != DDB_PAGE_FLOAT64 || cbor.size == 0) {
        return false;
    }
    uint8_t head = cbor.data[0];
    uint64_t bits = 0;
    if (cbor.size != (head == 0xf9 ? 3u : head == 0xfa ? 5u : head == 0xfb ? 9u : 0u)) {
        return false;
    }
    for (size_t i = 1; i < cbor.size; i++) {
        bits = bits << 8 | cbor.data[i];
    }
    bits = head == 0xf9 ? ddb_page_widen(bits, 10, 5) : head == 0xfa ? ddb_page_widen(bits, 23, 8) : bits;
    bits = bits == (uint64_t)1 << 63 ? 0 : bits;                     /* -0.0 orders as 0.0 */
    out->number = bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
    return (bits >> 52 & 0x7ff) != 0x7ff;                            /* infinities and NaN are never stored */
}

/* Order bytes of a value: number (8 bytes of the caller's) or the text inside cbor.  For value ranges of a select. */
DDB_FN bool ddb_page_order_bytes(ddb_slice algorithm, ddb_slice cbor, uint8_t number[8], ddb_slice *out)
{
    ddb_page_key key;
    ddb_page_value value = ddb_page_value_of(algorithm);
    if (!ddb_page_value_key(value, cbor, &key)) {
        return false;
    }
    for (size_t i = 0; i < 8; i++) {
        number[i] = (uint8_t)(key.number >> (56 - 8 * i));
    }
    *out = value == DDB_PAGE_STRING ? key.text : ddb_bytes_slice(number, 8);
    return true;
}

/* The key behind order bytes.  False: not 8 bytes for a number. */
DDB_FN bool ddb_page_key_from_order(ddb_page_value value, ddb_slice bytes, ddb_page_key *out)
{
    *out = ddb_page_key_text(bytes);
    if (value == DDB_PAGE_STRING) {
        return true;
    }
    *out = ddb_page_key_of(bytes.size == 8 ? ddb_bytes_be64(bytes.data) : 0);
    return bytes.size == 8;
}

/* What a row is routed by. */
DDB_FN ddb_page_key ddb_page_row_key(const ddb_page_tree *tree, const ddb_row *row)
{
    ddb_page_key key;
    if (tree->kind == DDB_PAGE_TIME || tree->kind == DDB_PAGE_TOMB) {
        return ddb_page_key_of(row->t_start);
    }
    if (tree->kind != DDB_PAGE_SCALAR) {
        return ddb_page_key_text(row->key);
    }
    (void)ddb_page_value_key(tree->value, row->key, &key);
    return key;
}

/* Order of rows in a list or leaf.  TIME by t_start alone; SPATIAL, BITMAP by (key, t_start); SCALAR by everything. */
DDB_FN int ddb_page_row_compare(const ddb_page_tree *tree, const ddb_row *a, const ddb_row *b)
{
    int order = 0;
    if (tree->kind == DDB_PAGE_SCALAR) {
        ddb_page_key ka = ddb_page_row_key(tree, a), kb = ddb_page_row_key(tree, b);
        order = ddb_page_key_compare(&ka, &kb);
    }
    if (order == 0 && tree->kind != DDB_PAGE_TIME) {
        order = ddb_bytes_compare(a->key, b->key);
    }
    if (order != 0 || a->t_start != b->t_start) {
        return order != 0 ? order : a->t_start < b->t_start ? -1 : 1;
    }
    if (tree->kind != DDB_PAGE_SCALAR) {
        return 0;
    }
    order = a->t_end != b->t_end ? (a->t_end < b->t_end ? -1 : 1) : ddb_addr_compare(&a->addr, &b->addr);
    return order != 0 ? order : a->offset != b->offset ? (a->offset < b->offset ? -1 : 1) : a->size < b->size ? -1 : a->size > b->size;
}

DDB_FN int ddb_page_row_compare_at(const void *a, const void *b, void *user)
{
    return ddb_page_row_compare((const ddb_page_tree *)user, *(const ddb_row *const *)a, *(const ddb_row *const *)b);
}

/* Pointers to count rows, in order; equal ones keep their order. */
DDB_FN dreamdb_status ddb_page_sort(ddb_ctx *ctx, ddb_arena *arena, const ddb_page_tree *tree, const ddb_row *rows, size_t count, const ddb_row ***out)
{
    const ddb_row **list = ddb_mem_arena_new(ctx, arena, const ddb_row *, count);
    ddb_page_tree copy = *tree;
    if (!list) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        list[i] = rows + i;
    }
    *out = list;
    return ddb_coll_sort(ctx, list, count, sizeof *list, ddb_page_row_compare_at, &copy);
}

/* ---- Rows as bytes ---- */

DDB_INLINE size_t ddb_page_head_size(uint64_t v) { return v < 24 ? 1 : v <= 0xff ? 2 : v <= 0xffff ? 3 : v <= 0xffffffffu ? 5 : 9; }

DDB_INLINE uint8_t *ddb_page_head(uint8_t *at, uint8_t major, uint64_t value)
{
    if (value < 24) {
        *at = (uint8_t)(major | value);
        return at + 1;
    }
    if (value <= 0xff) {
        at[0] = (uint8_t)(major | 24);
        at[1] = (uint8_t)value;
        return at + 2;
    }
    if (value <= 0xffff) {
        at[0] = (uint8_t)(major | 25);
        at[1] = (uint8_t)(value >> 8);
        at[2] = (uint8_t)value;
        return at + 3;
    }
    if (value <= 0xffffffffu) {
        at[0] = (uint8_t)(major | 26);
        ddb_bytes_set_be32(at + 1, (uint32_t)value);
        return at + 5;
    }
    at[0] = (uint8_t)(major | 27);
    ddb_bytes_set_be64(at + 1, value);
    return at + 9;
}

DDB_INLINE uint8_t *ddb_page_string(uint8_t *at, uint8_t major, const void *data, size_t size)
{
    at = ddb_page_head(at, major, size);
    if (size > 0) {
        memcpy(at, data, size);
    }
    return at + size;
}

DDB_INLINE uint8_t *ddb_page_addr(uint8_t *at, const ddb_addr *addr)
{
    at[0] = 0x58;                            /* byte string of 33 */
    at[1] = 33;
    memcpy(at + 2, addr->bytes, 33);
    return at + 35;
}

/* Bytes of an encoded row without its two times. */
DDB_FN size_t ddb_page_row_fixed(ddb_page_kind kind, const ddb_row *row)
{
    size_t key = ddb_page_head_size(row->key.size) + row->key.size;
    if (kind == DDB_PAGE_TIME) {
        return 1 + ddb_page_head_size(row->size) + 35 + (row->flags & DDB_ROW_CHUNKED ? 1 : row->flags & DDB_ROW_PACKED ? 1 + ddb_page_head_size(row->offset) : 0);
    }
    if (kind == DDB_PAGE_SPATIAL) {
        return 1 + key + ddb_page_head_size(row->size) + 35 + (row->flags & DDB_ROW_SIDECAR ? ddb_page_head_size(row->table) + 35 : 0);
    }
    return 1 + key + 35 + (row->flags & DDB_ROW_WHOLE ? 0 : ddb_page_head_size(row->offset) + ddb_page_head_size(row->size));
}

/* Bytes of a row in an inline list (absolute times). */
DDB_FN size_t ddb_page_row_size(ddb_page_kind kind, const ddb_row *row)
{
    return ddb_page_row_fixed(kind, row) + ddb_page_head_size(row->t_start) + ddb_page_head_size(row->t_end);
}

/* Writes one row; first and second are the times as they stand in the bytes.  Room: key size + DDB_PAGE_ROW_ROOM. */
DDB_FN uint8_t *ddb_page_row_write(uint8_t *at, ddb_page_kind kind, const ddb_row *row, uint64_t first, uint64_t second)
{
    if (kind == DDB_PAGE_TIME) {
        *at++ = (uint8_t)(0x80 | (row->flags & DDB_ROW_CHUNKED ? 5 : row->flags & DDB_ROW_PACKED ? 6 : 4));
        at = ddb_page_head(ddb_page_head(at, 0, first), 0, second);
        at = ddb_page_addr(ddb_page_head(at, 0, row->size), &row->addr);
        if (row->flags & DDB_ROW_CHUNKED) {
            *at++ = 0xf5;
        } else if (row->flags & DDB_ROW_PACKED) {
            *at++ = 0xf4;
            at = ddb_page_head(at, 0, row->offset);
        }
        return at;
    }
    if (kind == DDB_PAGE_SPATIAL) {
        *at++ = (uint8_t)(0x80 | (row->flags & DDB_ROW_SIDECAR ? 7 : 5));
        at = ddb_page_string(at, 0x60, row->key.data, row->key.size);
        at = ddb_page_head(ddb_page_head(at, 0, first), 0, second);
        at = ddb_page_addr(ddb_page_head(at, 0, row->size), &row->addr);
        return row->flags & DDB_ROW_SIDECAR ? ddb_page_addr(ddb_page_head(at, 0, row->table), &row->sidecar) : at;
    }
    *at++ = (uint8_t)(0x80 | (row->flags & DDB_ROW_WHOLE ? 4 : 6));
    at = ddb_page_string(at, 0x40, row->key.data, row->key.size);
    at = ddb_page_addr(ddb_page_head(ddb_page_head(at, 0, first), 0, second), &row->addr);
    return row->flags & DDB_ROW_WHOLE ? at : ddb_page_head(ddb_page_head(at, 0, row->offset), 0, row->size);
}

/* A cell key becomes a folder: binary digits only, no longer than a file name (spatial.md 2, evolution.md 2). */
DDB_FN bool ddb_page_cell_valid(ddb_slice key)
{
    uint8_t bad = 0;
    for (size_t i = 0; i < key.size; i++) {
        bad |= (uint8_t)((key.data[i] ^ '0') & 0xfe);
    }
    return bad == 0 && key.size > 0 && key.size <= DDB_ADDR_FILE;
}

/* The two times of a row; base is added to relative ones. */
DDB_INLINE bool ddb_page_times_read(ddb_cbor *r, const uint64_t *base, ddb_row *out)
{
    size_t start = r->at;
    uint64_t a = 0, b = 0;
    if (!ddb_cbor_read_uint(r, &a) || !ddb_cbor_read_uint(r, &b)) {
        return false;
    }
    if (base) {
        if (!ddb_mem_add_u64(*base, a, &a) || !ddb_mem_add_u64(a, b, &b)) {
            return ddb_cbor_bad(r, start, "a row's times pass 2^64");
        }
    }
    out->t_start = a;
    out->t_end = b;
    return a < b || ddb_cbor_bad(r, start, "a row's t_start is not before its t_end");
}

DDB_INLINE bool ddb_page_size_read(ddb_cbor *r, uint64_t *out)
{
    size_t start = r->at;
    return ddb_cbor_read_uint(r, out) && (*out <= INT64_MAX || ddb_cbor_bad(r, start, "a size is not plausible"));
}

DDB_FN bool ddb_page_row_read_item(ddb_cbor *r, size_t members, const uint64_t *base, ddb_row *out)
{
    size_t start = r->at;
    bool chunked = false;
    if (members < 4 || members > 6) {
        return ddb_cbor_bad(r, start, "an item row has 4 to 6 members");
    }
    if (!ddb_page_times_read(r, base, out) || !ddb_page_size_read(r, &out->size) || !ddb_addr_read(r, &out->addr)) {
        return false;
    }
    if (members == 4) {
        return true;
    }
    if (!ddb_cbor_read_bool(r, &chunked) || chunked != (members == 5)) {
        return ddb_cbor_bad(r, start, "an item row has a wrong flag");
    }
    out->flags |= chunked ? (uint32_t)DDB_ROW_CHUNKED : (uint32_t)DDB_ROW_PACKED;
    return chunked || ddb_page_size_read(r, &out->offset);
}

/* Entries of a list: the least takes 20 bytes (a tombstone), so a count can be trusted for an allocation. */
DDB_FN bool ddb_page_count_read(ddb_cbor *r, size_t *count)
{
    size_t start = r->at;
    return ddb_cbor_read_array(r, count) && (*count <= (r->size - r->at) / 20 || ddb_cbor_bad(r, start, "a count is larger than the bytes that are left"));
}

/* Reads one row of the kind; base NULL = absolute times.  *out is zeroed by the caller. */
DDB_FN bool ddb_page_row_read(ddb_cbor *r, ddb_page_kind kind, const uint64_t *base, ddb_row *out)
{
    size_t members = 0, start = r->at;
    if (!ddb_cbor_read_array(r, &members)) {
        return false;
    }
    if (kind == DDB_PAGE_TIME) {
        return ddb_page_row_read_item(r, members, base, out);
    }
    if (kind == DDB_PAGE_SPATIAL) {
        if (members != 5 && members != 7) {
            return ddb_cbor_bad(r, start, "a bucket row has 5 or 7 members");
        }
        if (!ddb_cbor_read_text(r, &out->key) || !ddb_page_times_read(r, base, out) || !ddb_page_size_read(r, &out->size) || !ddb_addr_read(r, &out->addr)) {
            return false;
        }
        if (!ddb_page_cell_valid(out->key)) {
            return ddb_cbor_bad(r, start, "a cell key is not 1 to 255 binary digits");
        }
        out->flags = members == 7 ? (uint32_t)DDB_ROW_SIDECAR : 0;
        return members == 5 || (ddb_cbor_read_uint(r, &out->table) && ddb_addr_read(r, &out->sidecar));
    }
    if (members != 4 && members != 6) {
        return ddb_cbor_bad(r, start, "a scalar row has 4 or 6 members");
    }
    out->flags = members == 4 ? (uint32_t)DDB_ROW_WHOLE : 0;
    return ddb_cbor_read_bytes(r, &out->key) && ddb_page_times_read(r, base, out) && ddb_addr_read(r, &out->addr) &&
           (members == 4 || (ddb_page_size_read(r, &out->offset) && ddb_page_size_read(r, &out->size)));
}

/* Reads the rows of an inline list or leaf and checks their order.  rows [count] is zeroed. */
DDB_FN bool ddb_page_rows_read(ddb_cbor *r, const ddb_page_tree *tree, const uint64_t *base, ddb_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ddb_page_key key;
        size_t start = r->at;
        if (!ddb_page_row_read(r, tree->kind, base, rows + i)) {
            return false;
        }
        if (tree->kind == DDB_PAGE_SCALAR && !ddb_page_value_key(tree->value, rows[i].key, &key)) {
            return ddb_cbor_bad(r, start, "a row's value is not of the field's type");
        }
        if (i > 0 && ddb_page_row_compare(tree, rows + i - 1, rows + i) > 0) {
            return ddb_cbor_bad(r, start, "rows are not in order");
        }
    }
    return true;
}

/* ---- Pages as bytes ---- */

DDB_FN bool ddb_page_name(ddb_cbor *r, const char *name)
{
    ddb_slice text;
    size_t start = r->at;
    return ddb_cbor_read_text(r, &text) && (ddb_bytes_is(text, name) || ddb_cbor_bad(r, start, "an unexpected key or text"));
}

DDB_FN bool ddb_page_children_read_one(ddb_cbor *r, const ddb_page_tree *tree, ddb_page_child *out)
{
    size_t members = 0, start = r->at;
    ddb_slice low, high;
    if (!ddb_cbor_read_array(r, &members)) {
        return false;
    }
    if (tree->kind == DDB_PAGE_SCALAR) {
        if (members != 3 || !ddb_cbor_read_bytes(r, &low) || !ddb_cbor_read_bytes(r, &high) || !ddb_addr_read(r, &out->addr) ||
            !ddb_page_key_from_order(tree->value, low, &out->low) || !ddb_page_key_from_order(tree->value, high, &out->high)) {
            return ddb_cbor_bad(r, start, "an inner entry is not [min, max, address]");
        }
        return ddb_page_key_compare(&out->low, &out->high) <= 0 || ddb_cbor_bad(r, start, "an inner entry's min is above its max");
    }
    if (members != (tree->kind == DDB_PAGE_SPATIAL ? 6u : 4u)) {
        return ddb_cbor_bad(r, start, "an inner entry has a wrong number of members");
    }
    if (!ddb_cbor_read_uint(r, &out->t_min) || !ddb_cbor_read_uint(r, &out->t_max) || !ddb_addr_read(r, &out->addr) || !ddb_cbor_read_uint(r, &out->rows)) {
        return false;
    }
    out->low = out->high = ddb_page_key_of(out->t_min);
    if (tree->kind == DDB_PAGE_SPATIAL) {
        if (!ddb_cbor_read_text(r, &low) || !ddb_cbor_read_text(r, &high)) {
            return false;
        }
        out->low = ddb_page_key_text(low);
        out->high = ddb_page_key_text(high);
    }
    return (out->t_min < out->t_max && out->rows > 0 && ddb_page_key_compare(&out->low, &out->high) <= 0) ||
           ddb_cbor_bad(r, start, "an inner entry is empty or its ends are in the wrong order");
}

/* Child summary of a tombstone page or index: {max, min, hash, count, level}. */
DDB_FN bool ddb_page_summary_read(ddb_cbor *r, ddb_page_child *out)
{
    size_t members = 0, start = r->at;
    uint64_t low = 0, high = 0, level = 0;
    if (!ddb_cbor_read_map(r, &members) || (members != 5 && !ddb_cbor_bad(r, start, "a child summary has five members")) ||
        !ddb_page_name(r, "max") || !ddb_cbor_read_uint(r, &high) || !ddb_page_name(r, "min") || !ddb_cbor_read_uint(r, &low) ||
        !ddb_page_name(r, "hash") || !ddb_addr_read(r, &out->addr) || !ddb_page_name(r, "count") || !ddb_cbor_read_uint(r, &out->rows) ||
        !ddb_page_name(r, "level") || !ddb_cbor_read_uint(r, &level)) {
        return false;
    }
    out->low = ddb_page_key_of(low);
    out->high = ddb_page_key_of(high);
    out->level = (uint32_t)(level < DDB_PAGE_DEPTH ? level : 0);
    return (low <= high && out->rows > 0 && level < DDB_PAGE_DEPTH) || ddb_cbor_bad(r, start, "a child summary is not plausible");
}

DDB_FN bool ddb_page_children_read(ddb_cbor *r, const ddb_page_tree *tree, ddb_page *out)
{
    for (size_t i = 0; i < out->count; i++) {
        ddb_page_child *child = out->children + i;
        size_t start = r->at;
        bool tomb = tree->kind == DDB_PAGE_TOMB;
        if (!(tomb ? ddb_page_summary_read(r, child) : ddb_page_children_read_one(r, tree, child))) {
            return false;
        }
        if (tomb && child->level != out->level - 1) {
            return ddb_cbor_bad(r, start, "a child is not one level below its page");
        }
        child->level = out->level - 1;
        if (i > 0 && (tomb ? child[-1].high.number >= child->low.number : ddb_page_key_compare(&child[-1].low, &child->low) > 0)) {
            return ddb_cbor_bad(r, start, "inner entries are not in order");
        }
        if (!ddb_mem_add_u64(out->total, child->rows, &out->total)) {
            return ddb_cbor_bad(r, start, "the rows below a page pass 2^64");
        }
    }
    return true;
}

/* Tombstone leaf entries {anchor, reason?, deleted_at}. */
DDB_FN bool ddb_page_tombs_read(ddb_cbor *r, ddb_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t members = 0, start = r->at;
        if (!ddb_cbor_read_map(r, &members) || !ddb_page_name(r, "anchor") || !ddb_cbor_read_uint(r, &rows[i].t_start)) {
            return false;
        }
        if (members < 2 || members > 3) {
            return ddb_cbor_bad(r, start, "a tombstone has two or three members");
        }
        if (members == 3 && (!ddb_page_name(r, "reason") || !ddb_cbor_read_text(r, &rows[i].key))) {
            return false;
        }
        if (!ddb_page_name(r, "deleted_at") || !ddb_cbor_read_uint(r, &rows[i].size)) {
            return false;
        }
        if (i > 0 && rows[i - 1].t_start >= rows[i].t_start) {
            return ddb_cbor_bad(r, start, "tombstones are not in order");
        }
    }
    return true;
}

/* The head of a page: everything up to the entries' array.  *out gets level, times and count. */
DDB_FN bool ddb_page_open(ddb_cbor *r, const ddb_page_tree *tree, uint32_t level, ddb_page *out)
{
    size_t members = 0;
    uint64_t stored = 0;
    const char *type = level > 0 ? "internal" : "leaf";
    out->level = level;
    if (!ddb_cbor_read_map(r, &members)) {
        return false;
    }
    if (tree->kind == DDB_PAGE_TOMB) {
        return (members == 3 || ddb_cbor_bad(r, 0, "a page has an unknown or missing key")) && ddb_page_name(r, "kind") &&
               ddb_page_name(r, "dreamdb.tombstone-page.v1") && ddb_page_name(r, "level") && ddb_cbor_read_uint(r, &stored) &&
               (stored == level || ddb_cbor_bad(r, r->at, "the page's level is not what its parent says")) &&
               ddb_page_name(r, level > 0 ? "children" : "entries") && ddb_page_count_read(r, &out->count);
    }
    if (members != (tree->kind == DDB_PAGE_SCALAR ? 4u : 5u)) {
        return ddb_cbor_bad(r, 0, "a page has an unknown or missing key");
    }
    if (!ddb_page_name(r, "type") || !ddb_page_name(r, type)) {
        return false;
    }
    if (tree->kind == DDB_PAGE_SCALAR) {
        return ddb_page_name(r, "level") && ddb_cbor_read_uint(r, &stored) &&
               (stored == level || ddb_cbor_bad(r, r->at, "the page's level is not what its parent says")) &&
               ddb_page_name(r, "entries") && ddb_page_count_read(r, &out->count);
    }
    return ddb_page_name(r, "t_max") && ddb_cbor_read_uint(r, &out->t_max) && ddb_page_name(r, "t_min") && ddb_cbor_read_uint(r, &out->t_min) &&
           ddb_page_name(r, "entries") && ddb_page_count_read(r, &out->count);
}

/* Behind the entries. */
DDB_FN bool ddb_page_close(ddb_cbor *r, const ddb_page_tree *tree)
{
    ddb_slice text;
    size_t start = r->at;
    bool scalar = tree->kind == DDB_PAGE_SCALAR;
    if (tree->kind == DDB_PAGE_TOMB) {
        return ddb_cbor_end(r);
    }
    if (!ddb_page_name(r, scalar ? "algorithm" : "modality") || !ddb_cbor_read_text(r, &text)) {
        return false;
    }
    if (!ddb_bytes_equal(text, scalar ? tree->algorithm : tree->modality)) {
        return ddb_cbor_bad(r, start, scalar ? "the page has another algorithm than its field" : "the page is of another modality");
    }
    return ddb_cbor_end(r);
}

/* First and last key of a page that has entries. */
DDB_FN void ddb_page_ends(const ddb_page_tree *tree, const ddb_page *page, ddb_page_key *low, ddb_page_key *high)
{
    if (page->level > 0) {
        *low = page->children[0].low;
        *high = page->children[page->count - 1].high;
    } else {
        *low = ddb_page_row_key(tree, page->rows);
        *high = ddb_page_row_key(tree, page->rows + page->count - 1);
    }
    if (tree->kind == DDB_PAGE_TIME) {
        *low = *high = ddb_page_key_of(page->t_min);
    }
}

/* Times and ends against the entries and the parent. */
DDB_FN const char *ddb_page_wrong(const ddb_page_tree *tree, const ddb_page *page, const ddb_page_child *expect)
{
    uint64_t t_min = UINT64_MAX, t_max = 0;
    ddb_page_key low, high;
    for (size_t i = 0; i < page->count; i++) {
        uint64_t a = page->level > 0 ? page->children[i].t_min : page->rows[i].t_start, b = page->level > 0 ? page->children[i].t_max : page->rows[i].t_end;
        t_min = a < t_min ? a : t_min;
        t_max = b > t_max ? b : t_max;
    }
    if (page->count == 0) {
        return "the page is empty";
    }
    if (tree->kind <= DDB_PAGE_SPATIAL && (t_min != page->t_min || t_max != page->t_max)) {
        return "the page's times are not those of its entries";
    }
    if (expect->rows > 0 && page->total > 0 && expect->rows != page->total) {
        return "the page has another number of rows than its parent says";
    }
    if (expect->root) {
        return NULL;
    }
    ddb_page_ends(tree, page, &low, &high);
    if (ddb_page_key_compare(&low, &expect->low) != 0 || ddb_page_key_compare(&high, &expect->high) != 0) {
        return "the page's first or last key is not what its parent says";
    }
    return tree->kind <= DDB_PAGE_SPATIAL && (expect->t_min != page->t_min || expect->t_max != page->t_max) ? "the page's times are not what its parent says" : NULL;
}

/* Decodes and checks one page; slices point into bytes, arrays are in the arena. */
DDB_FN dreamdb_status ddb_page_decode(ddb_ctx *ctx, ddb_arena *arena, const ddb_page_tree *tree, ddb_slice bytes, const char *path,
                                      const ddb_page_child *expect, ddb_page *out)
{
    ddb_cbor r;
    const char *wrong = NULL;
    memset(out, 0, sizeof *out);
    ddb_cbor_open(&r, bytes);
    bool good = ddb_page_open(&r, tree, expect->level, out);
    if (good && out->level > 0) {
        out->children = ddb_mem_arena_new(ctx, arena, ddb_page_child, out->count);
        if (!out->children) {
            return DREAMDB_ERR_MEMORY;
        }
        good = ddb_page_children_read(&r, tree, out);
    } else if (good) {
        out->rows = ddb_mem_arena_new(ctx, arena, ddb_row, out->count);
        if (!out->rows) {
            return DREAMDB_ERR_MEMORY;
        }
        out->total = out->count;
        good = tree->kind == DDB_PAGE_TOMB ? ddb_page_tombs_read(&r, out->rows, out->count) :
               ddb_page_rows_read(&r, tree, ddb_page_trait_of(tree->kind)->relative ? &out->t_min : NULL, out->rows, out->count);
    }
    if (!good || !ddb_page_close(&r, tree)) {
        return ddb_cbor_corrupt(ctx, &r, "index page", path);
    }
    wrong = ddb_page_wrong(tree, out, expect);
    return wrong ? ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "index page: %s", wrong) : DREAMDB_OK;
}

/* ---- Reading pages ---- */

DDB_FN void ddb_page_release(ddb_env *env, ddb_object *objects, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (objects[i].hold) {
            ddb_object_release(env, objects + i);
        }
        memset(objects + i, 0, sizeof objects[i]);
    }
}

/* Fetches the pages of count children (list[i] each) in one batch; objects and paths [count] are out. */
DDB_FN dreamdb_status ddb_page_fetch(ddb_ctx *ctx, ddb_env *env, ddb_arena *arena, const ddb_page_tree *tree, const ddb_page_child *const *list, size_t count,
                                     ddb_object *objects, const char **paths)
{
    ddb_object_want *wants = ddb_mem_new(ctx, ddb_object_want, count);
    if (!wants) {
        return DREAMDB_ERR_MEMORY;
    }
    dreamdb_status status = DREAMDB_OK;
    for (size_t i = 0; i < count && status >= 0; i++) {
        wants[i].path = paths[i] = ddb_addr_path(ctx, arena, tree->folder, &list[i]->addr);
        wants[i].addr = list[i]->addr;
        wants[i].flags = DDB_OBJECT_METADATA;
        status = paths[i] ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    }
    if (status >= 0) {
        status = ddb_object_get_many(ctx, env, wants, count);
    }
    for (size_t i = 0; i < count && status >= 0; i++) {
        objects[i] = wants[i].object;
    }
    ddb_mem_drop(ctx, wants, ddb_object_want, count);
    return status;
}

/* A growing list of children. */
typedef struct ddb_page_list { ddb_page_child *items; size_t count, cap; } ddb_page_list;

DDB_FN dreamdb_status ddb_page_list_add(ddb_ctx *ctx, ddb_page_list *list, const ddb_page_child *child)
{
    if (list->count == list->cap) {
        size_t cap = list->cap > 0 ? list->cap * 2 : 16, bytes = 0;
        if (!ddb_mem_mul(cap, sizeof *child, &bytes)) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "too many pages");
        }
        ddb_page_child *items = (ddb_page_child *)ddb_mem_resize(ctx, list->items, list->cap * sizeof *child, bytes);
        if (!items) {
            return DREAMDB_ERR_MEMORY;
        }
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = *child;
    return DREAMDB_OK;
}

DDB_FN void ddb_page_list_free(ddb_ctx *ctx, ddb_page_list *list)
{
    if (list->items) {
        ddb_mem_free(ctx, list->items, list->cap * sizeof *list->items);
    }
    memset(list, 0, sizeof *list);
}

/* Takes the texts of a child's keys out of the page they stand in. */
DDB_FN dreamdb_status ddb_page_keep_keys(ddb_ctx *ctx, ddb_arena *arena, ddb_page_child *child)
{
    for (int side = 0; side < 2; side++) {
        ddb_slice *text = side == 0 ? &child->low.text : &child->high.text;
        if (text->size > 0) {
            const char *copy = ddb_mem_arena_copy(ctx, arena, text->data, text->size);
            if (!copy) {
                return DREAMDB_ERR_MEMORY;
            }
            *text = ddb_bytes_slice(copy, text->size);
        }
    }
    return DREAMDB_OK;
}

/* ---- Gathering: every wanted page, a batch a level ---- */

typedef struct ddb_page_visit {
    void *user;
    bool (*want)(void *user, const ddb_page_child *child);                               /* NULL = all */
    dreamdb_status (*leaf)(ddb_ctx *ctx, void *user, const ddb_page *page);              /* leaves in tree order; page is gone after it */
    dreamdb_status (*each)(ddb_ctx *ctx, void *user, const ddb_page_child *child, const char *path, size_t size);   /* every page; NULL = none */
    uint64_t pages, rows;                                                                /* out: what was visited */
} ddb_page_visit;

typedef struct ddb_page_gather_state { ddb_page_list next; ddb_arena *next_keys; } ddb_page_gather_state;

/* One page of a gather: leaf to the visitor, wanted children to the next level. */
DDB_FN dreamdb_status ddb_page_gather_one(ddb_ctx *ctx, ddb_arena *arena, const ddb_page_tree *tree, const ddb_page_child *child, ddb_slice bytes, const char *path,
                                          ddb_page_visit *visit, ddb_page_gather_state *state)
{
    ddb_page page;
    dreamdb_status status = visit->each ? visit->each(ctx, visit->user, child, path, bytes.size) : DREAMDB_OK;
    if (status >= 0) {
        status = ddb_page_decode(ctx, arena, tree, bytes, path, child, &page);
    }
    if (status < 0 || page.level == 0) {
        visit->rows += status < 0 ? 0 : page.count;
        return status < 0 || !visit->leaf ? status : visit->leaf(ctx, visit->user, &page);
    }
    for (size_t i = 0; i < page.count && status >= 0; i++) {
        if (!visit->want || visit->want(visit->user, page.children + i)) {
            ddb_page_child kept = page.children[i];
            status = ddb_page_keep_keys(ctx, state->next_keys, &kept);
            status = status < 0 ? status : ddb_page_list_add(ctx, &state->next, &kept);
        }
    }
    return status;
}

/* One level, DDB_PAGE_WAVE pages a batch. */
DDB_FN dreamdb_status ddb_page_gather_level(ddb_ctx *ctx, ddb_env *env, const ddb_page_tree *tree, const ddb_page_list *level, ddb_page_visit *visit,
                                            ddb_page_gather_state *state)
{
    dreamdb_status status = DREAMDB_OK;
    for (size_t from = 0; from < level->count && status >= 0; from += DDB_PAGE_WAVE) {
        ddb_object objects[DDB_PAGE_WAVE];
        const char *paths[DDB_PAGE_WAVE];
        const ddb_page_child *list[DDB_PAGE_WAVE];
        ddb_arena arena;
        size_t count = level->count - from < DDB_PAGE_WAVE ? level->count - from : (size_t)DDB_PAGE_WAVE;
        memset(objects, 0, sizeof objects);
        memset(&arena, 0, sizeof arena);
        for (size_t i = 0; i < count; i++) {
            list[i] = level->items + from + i;
        }
        visit->pages += count;
        if (visit->pages > tree->pages) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, tree->path, "the tree has more pages than its page_count says");
        }
        status = ddb_page_fetch(ctx, env, &arena, tree, list, count, objects, paths);
        for (size_t i = 0; i < count && status >= 0; i++) {
            status = ddb_page_gather_one(ctx, &arena, tree, list[i], ddb_bytes_slice(objects[i].data, objects[i].size), paths[i], visit, state);
        }
        ddb_page_release(env, objects, count);
        ddb_mem_arena_free(ctx, &arena);
    }
    return status;
}

DDB_FN dreamdb_status ddb_page_gather(ddb_ctx *ctx, ddb_env *env, const ddb_page_tree *tree, const ddb_page_child *root, ddb_page_visit *visit)
{
    ddb_page_list level;
    ddb_arena keys[2];
    unsigned turn = 0;
    memset(&level, 0, sizeof level);
    memset(keys, 0, sizeof keys);
    dreamdb_status status = ddb_page_list_add(ctx, &level, root);
    while (level.count > 0 && status >= 0) {                 /* each turn is one level lower: ends after root->level + 1 */
        ddb_page_gather_state state;
        memset(&state, 0, sizeof state);
        state.next_keys = &keys[turn ^= 1];
        status = ddb_page_gather_level(ctx, env, tree, &level, visit, &state);
        ddb_mem_arena_free(ctx, &keys[turn ^ 1]);
        ddb_page_list_free(ctx, &level);
        level = state.next;
    }
    ddb_page_list_free(ctx, &level);
    ddb_mem_arena_free(ctx, &keys[0]);
    ddb_mem_arena_free(ctx, &keys[1]);
    return status;
}

/* ---- Cursor: leaves in tree order in bounded memory ---- */

typedef struct ddb_page_frame {
    ddb_object object;
    ddb_arena  arena;
    ddb_page   page;
    size_t     at;                                           /* next child to look at */
    ddb_object ahead[DDB_PAGE_AHEAD];                        /* fetched children ... */
    size_t     ahead_child[DDB_PAGE_AHEAD], ahead_at, ahead_count;
} ddb_page_frame;

typedef struct ddb_page_cursor {
    ddb_env       *env;
    ddb_page_tree  tree;
    ddb_page_child root;
    void          *user;
    bool         (*want)(void *user, const ddb_page_child *child);
    ddb_page_frame *frames;
    size_t         depth, height;                            /* open frames; frames allocated */
    bool           started;
    uint64_t       pages;
} ddb_page_cursor;

DDB_FN dreamdb_status ddb_page_cursor_open(ddb_ctx *ctx, ddb_env *env, const ddb_page_tree *tree, const ddb_page_child *root, ddb_page_cursor *out)
{
    memset(out, 0, sizeof *out);
    out->env = env;
    out->tree = *tree;
    out->root = *root;
    out->height = (size_t)root->level + 1;
    out->frames = ddb_mem_new(ctx, ddb_page_frame, out->height);
    return out->frames ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
}

DDB_FN void ddb_page_cursor_pop(ddb_ctx *ctx, ddb_page_cursor *cursor)
{
    ddb_page_frame *frame = cursor->frames + --cursor->depth;
    ddb_page_release(cursor->env, &frame->object, 1);
    ddb_page_release(cursor->env, frame->ahead, DDB_PAGE_AHEAD);
    ddb_mem_arena_free(ctx, &frame->arena);
    frame->at = frame->ahead_at = frame->ahead_count = 0;
}

DDB_FN void ddb_page_cursor_close(ddb_ctx *ctx, ddb_page_cursor *cursor)
{
    while (cursor->depth > 0) {
        ddb_page_cursor_pop(ctx, cursor);
    }
    if (cursor->frames) {
        ddb_mem_drop(ctx, cursor->frames, ddb_page_frame, cursor->height);
        cursor->frames = NULL;
    }
}

/* Opens a fetched page as the next frame; takes the object over, also when it fails. */
DDB_FN dreamdb_status ddb_page_cursor_push(ddb_ctx *ctx, ddb_page_cursor *cursor, const ddb_page_child *child, ddb_object *object)
{
    ddb_page_frame *frame = cursor->frames + cursor->depth++;
    frame->object = *object;
    memset(object, 0, sizeof *object);
    const char *path = ddb_addr_path(ctx, &frame->arena, cursor->tree.folder, &child->addr);
    if (!path) {
        return DREAMDB_ERR_MEMORY;
    }
    return ddb_page_decode(ctx, &frame->arena, &cursor->tree, ddb_bytes_slice(frame->object.data, frame->object.size), path, child, &frame->page);
}

/* Fetches the next wanted children of the top frame. */
DDB_FN dreamdb_status ddb_page_cursor_refill(ddb_ctx *ctx, ddb_page_cursor *cursor, ddb_page_frame *frame)
{
    const ddb_page_child *list[DDB_PAGE_AHEAD];
    const char *paths[DDB_PAGE_AHEAD];
    ddb_arena arena;
    memset(&arena, 0, sizeof arena);
    frame->ahead_at = frame->ahead_count = 0;
    for (; frame->at < frame->page.count && frame->ahead_count < DDB_PAGE_AHEAD; frame->at++) {
        const ddb_page_child *child = frame->page.children + frame->at;
        if (!cursor->want || cursor->want(cursor->user, child)) {
            list[frame->ahead_count] = child;
            frame->ahead_child[frame->ahead_count++] = frame->at;
        }
    }
    cursor->pages += frame->ahead_count;
    if (frame->ahead_count == 0 || cursor->pages > cursor->tree.pages) {
        return frame->ahead_count == 0 ? DREAMDB_OK : ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, cursor->tree.path, "the tree has more pages than its page_count says");
    }
    dreamdb_status status = ddb_page_fetch(ctx, cursor->env, &arena, &cursor->tree, list, frame->ahead_count, frame->ahead, paths);
    frame->ahead_count = status < 0 ? 0 : frame->ahead_count;
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

DDB_FN dreamdb_status ddb_page_cursor_root(ddb_ctx *ctx, ddb_page_cursor *cursor)
{
    ddb_object object;
    const ddb_page_child *root = &cursor->root;
    const char *path = NULL;
    ddb_arena arena;
    memset(&object, 0, sizeof object);
    memset(&arena, 0, sizeof arena);
    cursor->started = true;
    cursor->pages = 1;
    dreamdb_status status = ddb_page_fetch(ctx, cursor->env, &arena, &cursor->tree, &root, 1, &object, &path);
    ddb_mem_arena_free(ctx, &arena);
    return status < 0 ? status : ddb_page_cursor_push(ctx, cursor, root, &object);
}

/* The next leaf; it is valid until the next call.  OK, DONE or an error. */
DDB_FN dreamdb_status ddb_page_cursor_next(ddb_ctx *ctx, ddb_page_cursor *cursor, const ddb_page **leaf)
{
    dreamdb_status status = DREAMDB_OK;
    if (!cursor->started) {
        status = ddb_page_cursor_root(ctx, cursor);
    } else if (cursor->depth > 0) {
        ddb_page_cursor_pop(ctx, cursor);                    /* the leaf of the last call */
    }
    while (status >= 0 && cursor->depth > 0) {
        ddb_page_frame *frame = cursor->frames + cursor->depth - 1;
        if (frame->page.level == 0) {
            *leaf = &frame->page;
            return DREAMDB_OK;
        }
        if (frame->ahead_at == frame->ahead_count) {
            status = ddb_page_cursor_refill(ctx, cursor, frame);
        }
        if (status < 0) {
            break;
        }
        if (frame->ahead_at == frame->ahead_count) {
            ddb_page_cursor_pop(ctx, cursor);
            continue;
        }
        size_t i = frame->ahead_at++;
        status = ddb_page_cursor_push(ctx, cursor, frame->page.children + frame->ahead_child[i], frame->ahead + i);
    }
    return status < 0 ? status : DREAMDB_DONE;
}

/* ---- Fit, cut, encode ---- */

/* Bytes of a page without its entries, their count and its times. */
DDB_FN size_t ddb_page_base(const ddb_page_tree *tree, uint32_t level)
{
    size_t type = 1 + 5 + (level > 0 ? 9 : 5), entries = 8;          /* map head, "type" and its text; "entries" */
    ddb_slice name = tree->kind == DDB_PAGE_SCALAR ? tree->algorithm : tree->modality;
    size_t text = ddb_page_head_size(name.size) + name.size;
    return tree->kind == DDB_PAGE_SCALAR ? type + 6 + ddb_page_head_size(level) + entries + 10 + text : type + 6 + 6 + entries + 9 + text;
}

/* How many leading rows fit one leaf; at least 1.  Relative starts of all rows change with each new smallest t_start. */
DDB_FN size_t ddb_page_fit_rows(const ddb_page_tree *tree, const ddb_row *const *rows, size_t count)
{
    const ddb_page_trait *trait = ddb_page_trait_of(tree->kind);
    size_t base = ddb_page_base(tree, 0), fixed = 0, starts = 0, i = 0;
    uint64_t low = UINT64_MAX, high = 0;
    for (; i < count && i < trait->leaf_max; i++) {
        const ddb_row *row = rows[i];
        size_t next = fixed + ddb_page_row_fixed(tree->kind, row), next_starts = starts, size = 0;
        if (trait->relative) {
            next += ddb_page_head_size(row->t_end - row->t_start);
            if (row->t_start < low) {
                low = row->t_start;
                next_starts = 0;
                for (size_t j = 0; j < i; j++) {
                    next_starts += ddb_page_head_size(rows[j]->t_start - low);
                }
            }
            next_starts += ddb_page_head_size(row->t_start - low);
            high = row->t_end > high ? row->t_end : high;
            size = base + next + next_starts + ddb_page_head_size(low) + ddb_page_head_size(high);
        } else {
            next += ddb_page_head_size(row->t_start) + ddb_page_head_size(row->t_end);
            size = base + next;
        }
        if (i > 0 && size + ddb_page_head_size(i + 1) > trait->bytes) {
            break;
        }
        fixed = next;
        starts = next_starts;
    }
    return i;
}

DDB_FN size_t ddb_page_text_size(const ddb_page_tree *tree, const ddb_page_key *key)
{
    size_t size = tree->kind == DDB_PAGE_SCALAR && tree->value != DDB_PAGE_STRING ? 8 : key->text.size;
    return ddb_page_head_size(size) + size;
}

/* Bytes of an inner entry. */
DDB_FN size_t ddb_page_child_size(const ddb_page_tree *tree, const ddb_page_child *child)
{
    if (tree->kind == DDB_PAGE_SCALAR) {
        return 1 + ddb_page_text_size(tree, &child->low) + ddb_page_text_size(tree, &child->high) + 35;
    }
    size_t keys = tree->kind == DDB_PAGE_SPATIAL ? ddb_page_text_size(tree, &child->low) + ddb_page_text_size(tree, &child->high) : 0;
    return 1 + ddb_page_head_size(child->t_min) + ddb_page_head_size(child->t_max) + 35 + ddb_page_head_size(child->rows) + keys;
}

/* How many leading children fit one inner page; at least 1. */
DDB_FN size_t ddb_page_fit_children(const ddb_page_tree *tree, uint32_t level, const ddb_page_child *children, size_t count)
{
    const ddb_page_trait *trait = ddb_page_trait_of(tree->kind);
    size_t size = ddb_page_base(tree, level), i = 0;
    uint64_t low = UINT64_MAX, high = 0;
    for (; i < count && i < trait->inner_max; i++) {
        size_t times = 0;
        low = children[i].t_min < low ? children[i].t_min : low;
        high = children[i].t_max > high ? children[i].t_max : high;
        size += ddb_page_child_size(tree, children + i);
        times = tree->kind == DDB_PAGE_SCALAR ? 0 : ddb_page_head_size(low) + ddb_page_head_size(high);
        if (i > 0 && size + times + ddb_page_head_size(i + 1) > trait->bytes) {
            break;
        }
    }
    return i;
}

/* How many of `left` entries the next page takes when `fit` would fit. */
DDB_FN size_t ddb_page_take(size_t fit, size_t left, bool greedy)
{
    size_t pages = (left + fit - 1) / fit;
    return greedy ? fit : (left + pages - 1) / pages;
}

DDB_INLINE uint8_t *ddb_page_word(uint8_t *at, const char *text)
{
    return ddb_page_string(at, 0x60, text, strlen(text));
}

/* The page up to its entries; the head of the entries' array included. */
DDB_FN uint8_t *ddb_page_write_open(uint8_t *at, const ddb_page_tree *tree, uint32_t level, size_t count, uint64_t t_min, uint64_t t_max)
{
    bool scalar = tree->kind == DDB_PAGE_SCALAR;
    *at++ = (uint8_t)(0xa0 | (scalar ? 4 : 5));
    at = ddb_page_word(ddb_page_word(at, "type"), level > 0 ? "internal" : "leaf");
    if (scalar) {
        at = ddb_page_head(ddb_page_word(at, "level"), 0, level);
    } else {
        at = ddb_page_head(ddb_page_word(at, "t_max"), 0, t_max);
        at = ddb_page_head(ddb_page_word(at, "t_min"), 0, t_min);
    }
    return ddb_page_head(ddb_page_word(at, "entries"), 0x80, count);
}

DDB_FN uint8_t *ddb_page_write_close(uint8_t *at, const ddb_page_tree *tree)
{
    bool scalar = tree->kind == DDB_PAGE_SCALAR;
    ddb_slice name = scalar ? tree->algorithm : tree->modality;
    return ddb_page_string(ddb_page_word(at, scalar ? "algorithm" : "modality"), 0x60, name.data, name.size);
}

/* Appends a leaf of count (> 0) rows to buf; *out says all but the address. */
DDB_FN void ddb_page_write_leaf(ddb_buf *buf, const ddb_page_tree *tree, const ddb_row *const *rows, size_t count, ddb_page_child *out)
{
    bool relative = ddb_page_trait_of(tree->kind)->relative;
    size_t room = ddb_page_base(tree, 0) + DDB_PAGE_ROW_ROOM;
    memset(out, 0, sizeof *out);
    out->t_min = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        out->t_min = rows[i]->t_start < out->t_min ? rows[i]->t_start : out->t_min;
        out->t_max = rows[i]->t_end > out->t_max ? rows[i]->t_end : out->t_max;
        room += ddb_page_row_fixed(tree->kind, rows[i]) + 18;
    }
    uint8_t *start = ddb_bytes_reserve(buf, room), *at = start;
    if (!start) {
        return;
    }
    at = ddb_page_write_open(at, tree, 0, count, out->t_min, out->t_max);
    for (size_t i = 0; i < count; i++) {
        const ddb_row *row = rows[i];
        at = ddb_page_row_write(at, tree->kind, row, relative ? row->t_start - out->t_min : row->t_start, relative ? row->t_end - row->t_start : row->t_end);
    }
    buf->size += (size_t)(ddb_page_write_close(at, tree) - start);
    out->rows = count;
    out->low = tree->kind == DDB_PAGE_TIME ? ddb_page_key_of(out->t_min) : ddb_page_row_key(tree, rows[0]);
    out->high = tree->kind == DDB_PAGE_TIME ? out->low : ddb_page_row_key(tree, rows[count - 1]);
}

DDB_FN uint8_t *ddb_page_key_write(uint8_t *at, const ddb_page_tree *tree, const ddb_page_key *key)
{
    uint8_t number[8];
    if (tree->kind == DDB_PAGE_SPATIAL) {
        return ddb_page_string(at, 0x60, key->text.data, key->text.size);
    }
    if (tree->value == DDB_PAGE_STRING) {
        return ddb_page_string(at, 0x40, key->text.data, key->text.size);
    }
    ddb_bytes_set_be64(number, key->number);
    return ddb_page_string(at, 0x40, number, 8);
}

DDB_FN uint8_t *ddb_page_child_write(uint8_t *at, const ddb_page_tree *tree, const ddb_page_child *child)
{
    if (tree->kind == DDB_PAGE_SCALAR) {
        *at++ = 0x83;
        return ddb_page_addr(ddb_page_key_write(ddb_page_key_write(at, tree, &child->low), tree, &child->high), &child->addr);
    }
    *at++ = (uint8_t)(0x80 | (tree->kind == DDB_PAGE_SPATIAL ? 6 : 4));
    at = ddb_page_head(ddb_page_head(at, 0, child->t_min), 0, child->t_max);
    at = ddb_page_head(ddb_page_addr(at, &child->addr), 0, child->rows);
    return tree->kind == DDB_PAGE_SPATIAL ? ddb_page_key_write(ddb_page_key_write(at, tree, &child->low), tree, &child->high) : at;
}

/* Appends an inner page of count (> 0) children. */
DDB_FN void ddb_page_write_inner(ddb_buf *buf, const ddb_page_tree *tree, uint32_t level, const ddb_page_child *children, size_t count, ddb_page_child *out)
{
    size_t room = ddb_page_base(tree, level) + DDB_PAGE_ROW_ROOM;
    memset(out, 0, sizeof *out);
    out->t_min = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        out->t_min = children[i].t_min < out->t_min ? children[i].t_min : out->t_min;
        out->t_max = children[i].t_max > out->t_max ? children[i].t_max : out->t_max;
        out->rows += children[i].rows;
        room += ddb_page_child_size(tree, children + i);
    }
    uint8_t *start = ddb_bytes_reserve(buf, room), *at = start;
    if (!start) {
        return;
    }
    at = ddb_page_write_open(at, tree, level, count, out->t_min, out->t_max);
    for (size_t i = 0; i < count; i++) {
        at = ddb_page_child_write(at, tree, children + i);
    }
    buf->size += (size_t)(ddb_page_write_close(at, tree) - start);
    out->level = level;
    out->low = children[0].low;
    out->high = tree->kind == DDB_PAGE_TIME ? out->low : children[count - 1].high;
}

/* ---- Editing trees of paged Tracks, building any tree ---- */

/* A tree by its root. */
typedef struct ddb_page_root { ddb_page_child child; uint64_t fanout, pages; bool empty; } ddb_page_root;

/* A page on a touched path. */
typedef struct ddb_page_touch {
    const ddb_page_child *child;
    ddb_page   page;
    ddb_object object;
    size_t     parent, slot;                                 /* touch of the level above, and which of its children this is */
    size_t     add_from, add_to, cell_from, cell_to;         /* new rows and replaced cells that come here */
    size_t     out_from, out_count;                          /* what stands in its place, in the level's outs */
    bool       same;
} ddb_page_touch;

typedef struct ddb_page_level { ddb_page_touch *items; size_t count; ddb_page_list outs; } ddb_page_level;

typedef struct ddb_page_edit {
    ddb_env             *env;
    ddb_puts            *puts;
    const ddb_page_tree *tree;
    ddb_arena            arena;                              /* inner pages, keys; until the edit ends */
    const ddb_row      **adds;   size_t add_count;           /* in order */
    const ddb_slice     *cells;  size_t cell_count;          /* sorted */
    ddb_page_child       root;
    ddb_buf              buf;                                /* the page that is put next */
    uint64_t             fanout, made, gone, dropped;        /* running maximum; pages put and superseded; rows dropped */
    ddb_page_level       levels[DDB_PAGE_DEPTH];
} ddb_page_edit;

DDB_FN void ddb_page_edit_close(ddb_ctx *ctx, ddb_page_edit *edit)
{
    for (size_t level = 0; level < DDB_PAGE_DEPTH; level++) {
        for (size_t i = 0; i < edit->levels[level].count; i++) {
            ddb_page_release(edit->env, &edit->levels[level].items[i].object, 1);
        }
        ddb_page_list_free(ctx, &edit->levels[level].outs);
    }
    ddb_mem_arena_free(ctx, &edit->arena);
    ddb_bytes_free(&edit->buf);
}

/* Puts the page in edit->buf and adds it to the list; keep: its keys are copied, the rows go before the list. */
DDB_FN dreamdb_status ddb_page_put(ddb_ctx *ctx, ddb_page_edit *edit, ddb_page_child *child, bool keep, ddb_page_list *list)
{
    dreamdb_status status = ddb_bytes_status(&edit->buf);
    if (status >= 0) {
        status = ddb_object_put(ctx, edit->puts, edit->tree->folder, ddb_bytes_of(&edit->buf), 0, &child->addr);
    }
    if (status >= 0 && keep) {
        status = ddb_page_keep_keys(ctx, &edit->arena, child);
    }
    edit->made++;
    return status < 0 ? status : ddb_page_list_add(ctx, list, child);
}

/* Cuts rows into leaves and puts them. */
DDB_FN dreamdb_status ddb_page_cut_rows(ddb_ctx *ctx, ddb_page_edit *edit, const ddb_row *const *rows, size_t count, bool greedy, ddb_page_list *out)
{
    dreamdb_status status = DREAMDB_OK;
    while (count > 0 && status >= 0) {
        size_t take = ddb_page_take(ddb_page_fit_rows(edit->tree, rows, count), count, greedy);
        ddb_page_child child;
        ddb_bytes_clear(&edit->buf);
        ddb_page_write_leaf(&edit->buf, edit->tree, rows, take, &child);
        status = ddb_page_put(ctx, edit, &child, true, out);
        rows += take;
        count -= take;
    }
    return status;
}

/* Cuts children into inner pages of the level and puts them. */
DDB_FN dreamdb_status ddb_page_cut_children(ddb_ctx *ctx, ddb_page_edit *edit, uint32_t level, const ddb_page_child *children, size_t count, ddb_page_list *out)
{
    dreamdb_status status = DREAMDB_OK;
    bool greedy = ddb_page_trait_of(edit->tree->kind)->greedy;
    while (count > 0 && status >= 0) {
        size_t take = ddb_page_take(ddb_page_fit_children(edit->tree, level, children, count), count, greedy);
        ddb_page_child child;
        ddb_bytes_clear(&edit->buf);
        edit->fanout = take > edit->fanout ? take : edit->fanout;
        ddb_page_write_inner(&edit->buf, edit->tree, level, children, take, &child);
        status = ddb_page_put(ctx, edit, &child, false, out);
        children += take;
        count -= take;
    }
    return status;
}

/* Levels above the nodes until one is left. */
DDB_FN dreamdb_status ddb_page_lift(ddb_ctx *ctx, ddb_page_edit *edit, ddb_page_list *nodes)
{
    dreamdb_status status = DREAMDB_OK;
    while (nodes->count > 1 && status >= 0) {
        uint32_t level = nodes->items[0].level + 1;
        ddb_page_list above;
        memset(&above, 0, sizeof above);
        if (level >= DDB_PAGE_DEPTH) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_LIMIT, edit->tree->path, "a tree would have more than %d levels", (int)DDB_PAGE_DEPTH);
        }
        status = ddb_page_cut_children(ctx, edit, level, nodes->items, nodes->count, &above);
        if (status >= 0 && above.count >= nodes->count) {            /* entries too large to pair: no level would ever be smaller */
            status = ddb_mem_fail_at(ctx, DREAMDB_ERR_LIMIT, edit->tree->path, "keys are too long for inner pages");
        }
        ddb_page_list_free(ctx, nodes);
        *nodes = above;
    }
    return status;
}

DDB_FN void ddb_page_edit_result(const ddb_page_edit *edit, const ddb_page_list *nodes, uint64_t pages, ddb_page_root *out)
{
    memset(out, 0, sizeof *out);
    out->empty = nodes->count == 0;
    out->fanout = edit->fanout;
    out->pages = pages;
    if (nodes->count > 0) {
        out->child = nodes->items[0];
        out->child.low.text = out->child.high.text = ddb_bytes_slice(NULL, 0);       /* they lived in the edit's arena */
        out->child.root = true;
    }
}

/* A new tree of count (> 0) rows in order. */
DDB_FN dreamdb_status ddb_page_build(ddb_ctx *ctx, ddb_env *env, ddb_puts *puts, const ddb_page_tree *tree, const ddb_row *const *rows, size_t count, ddb_page_root *out)
{
    ddb_page_edit *edit = ddb_mem_new(ctx, ddb_page_edit, 1);
    ddb_page_list nodes;
    memset(&nodes, 0, sizeof nodes);
    if (!edit) {
        return DREAMDB_ERR_MEMORY;
    }
    ddb_bytes_init(&edit->buf, ctx);
    edit->env = env;
    edit->puts = puts;
    edit->tree = tree;
    dreamdb_status status = ddb_page_cut_rows(ctx, edit, rows, count, true, &nodes);
    status = status < 0 ? status : ddb_page_lift(ctx, edit, &nodes);
    if (status >= 0) {
        ddb_page_edit_result(edit, &nodes, edit->made, out);
    }
    ddb_page_list_free(ctx, &nodes);
    ddb_page_edit_close(ctx, edit);
    ddb_mem_drop(ctx, edit, ddb_page_edit, 1);
    return status;
}

/* First of the new rows [from, to) whose key is >= key. */
DDB_FN size_t ddb_page_adds_from(const ddb_page_edit *edit, size_t from, size_t to, const ddb_page_key *key)
{
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        ddb_page_key row = ddb_page_row_key(edit->tree, edit->adds[middle]);
        if (ddb_page_key_compare(&row, key) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

/* First cell >= text, or > text. */
DDB_FN size_t ddb_page_cells_from(const ddb_slice *cells, size_t count, ddb_slice text, bool above)
{
    size_t from = 0, to = count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = ddb_bytes_compare(cells[middle], text);
        if (order < 0 || (above && order == 0)) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

/* The children of a touched page that are touched themselves: each new row goes to the last child whose first key is <= its key, else to
   the first; a replaced cell to every child that may hold it.  into may be NULL: only counts. */
DDB_FN size_t ddb_page_route(const ddb_page_edit *edit, const ddb_page_touch *touch, size_t parent, ddb_page_touch *into)
{
    const ddb_page *page = &touch->page;
    size_t from = touch->add_from, count = 0;
    for (size_t i = 0; i < page->count; i++) {
        const ddb_page_child *child = page->children + i;
        size_t to = i + 1 < page->count && from < touch->add_to ? ddb_page_adds_from(edit, from, touch->add_to, &child[1].low) : touch->add_to;
        size_t cell_from = edit->cell_count > 0 ? ddb_page_cells_from(edit->cells, edit->cell_count, child->low.text, false) : 0;
        size_t cell_to = edit->cell_count > 0 ? ddb_page_cells_from(edit->cells, edit->cell_count, child->high.text, true) : 0;
        if (from < to || cell_from < cell_to) {
            if (into) {
                ddb_page_touch *next = into + count;
                next->child = child;
                next->parent = parent;
                next->slot = i;
                next->add_from = from;
                next->add_to = to;
                next->cell_from = cell_from;
                next->cell_to = cell_to;
            }
            count++;
        }
        from = to;
    }
    return count;
}

/* Fetches and decodes touches [from, to) of a level into the arena. */
DDB_FN dreamdb_status ddb_page_load(ddb_ctx *ctx, ddb_page_edit *edit, ddb_arena *arena, ddb_page_touch *touches, size_t count)
{
    dreamdb_status status = DREAMDB_OK;
    for (size_t from = 0; from < count && status >= 0; from += DDB_PAGE_WAVE) {
        ddb_object objects[DDB_PAGE_WAVE];
        const char *paths[DDB_PAGE_WAVE];
        const ddb_page_child *list[DDB_PAGE_WAVE];
        size_t some = count - from < DDB_PAGE_WAVE ? count - from : (size_t)DDB_PAGE_WAVE;
        memset(objects, 0, sizeof objects);
        for (size_t i = 0; i < some; i++) {
            list[i] = touches[from + i].child;
        }
        status = ddb_page_fetch(ctx, edit->env, arena, edit->tree, list, some, objects, paths);
        for (size_t i = 0; i < some && status >= 0; i++) {
            ddb_page_touch *touch = touches + from + i;
            status = ddb_page_decode(ctx, arena, edit->tree, ddb_bytes_slice(objects[i].data, objects[i].size), paths[i], list[i], &touch->page);
            touch->object = objects[i];
            memset(objects + i, 0, sizeof objects[i]);
        }
        ddb_page_release(edit->env, objects, some);
    }
    return status;
}

/* Loads the touched inner pages level by level; leaves only if leaves is true, else they are just listed. */
DDB_FN dreamdb_status ddb_page_descend(ddb_ctx *ctx, ddb_page_edit *edit, bool leaves)
{
    uint32_t top = edit->root.level;
    ddb_page_touch *touch = ddb_mem_arena_new(ctx, &edit->arena, ddb_page_touch, 1);
    if (!touch) {
        return DREAMDB_ERR_MEMORY;
    }
    touch->child = &edit->root;
    touch->add_to = edit->add_count;
    touch->cell_to = edit->cell_count;
    edit->levels[top].items = touch;
    edit->levels[top].count = 1;
    for (uint32_t level = top; level > 0 || leaves; level--) {
        ddb_page_level *here = edit->levels + level;
        size_t count = 0;
        dreamdb_status status = ddb_page_load(ctx, edit, &edit->arena, here->items, here->count);
        if (status < 0 || level == 0) {
            return status;
        }
        for (size_t i = 0; i < here->count; i++) {
            count += ddb_page_route(edit, here->items + i, i, NULL);
        }
        ddb_page_touch *next = ddb_mem_arena_new(ctx, &edit->arena, ddb_page_touch, count);
        if (!next) {
            return DREAMDB_ERR_MEMORY;
        }
        edit->levels[level - 1].items = next;
        edit->levels[level - 1].count = count;
        for (size_t i = 0; i < here->count; i++) {
            next += ddb_page_route(edit, here->items + i, i, next);
        }
    }
    return DREAMDB_OK;
}

/* Old rows without the replaced cells, and the new rows, in order; old before equal new.  *dropped counts the old rows left out. */
DDB_FN size_t ddb_page_merge(const ddb_page_edit *edit, const ddb_page_touch *touch, const ddb_row **out, uint64_t *dropped)
{
    size_t count = 0, add = touch->add_from;
    const ddb_slice *cells = edit->cells + touch->cell_from;
    size_t cell_count = touch->cell_to - touch->cell_from;
    for (size_t i = 0; i < touch->page.count; i++) {
        const ddb_row *row = touch->page.rows + i;
        if (cell_count > 0) {
            size_t at = ddb_page_cells_from(cells, cell_count, row->key, false);
            if (at < cell_count && ddb_bytes_equal(cells[at], row->key)) {
                ++*dropped;
                continue;
            }
        }
        while (add < touch->add_to && ddb_page_row_compare(edit->tree, edit->adds[add], row) < 0) {
            out[count++] = edit->adds[add++];
        }
        out[count++] = row;
    }
    while (add < touch->add_to) {
        out[count++] = edit->adds[add++];
    }
    return count;
}

/* A page that did not change stays as it is. */
DDB_FN dreamdb_status ddb_page_stay(ddb_ctx *ctx, ddb_page_edit *edit, ddb_page_touch *touch, ddb_page_list *outs)
{
    ddb_page_child child = *touch->child;
    touch->same = true;
    if (child.root) {
        child.t_min = touch->page.t_min;
        child.t_max = touch->page.t_max;
    }
    edit->gone--;
    return ddb_page_list_add(ctx, outs, &child);
}

DDB_FN dreamdb_status ddb_page_edit_leaf(ddb_ctx *ctx, ddb_page_edit *edit, ddb_arena *arena, ddb_page_touch *touch, ddb_page_list *outs)
{
    uint64_t dropped = 0;
    const ddb_row **rows = ddb_mem_arena_new(ctx, arena, const ddb_row *, touch->page.count + (touch->add_to - touch->add_from));
    if (!rows) {
        return DREAMDB_ERR_MEMORY;
    }
    size_t count = ddb_page_merge(edit, touch, rows, &dropped);
    edit->gone++;
    edit->dropped += dropped;
    touch->out_from = outs->count;
    dreamdb_status status = dropped == 0 && touch->add_from == touch->add_to ? ddb_page_stay(ctx, edit, touch, outs) :
                            ddb_page_cut_rows(ctx, edit, rows, count, false, outs);
    touch->out_count = outs->count - touch->out_from;
    return status;
}

/* The touched leaves, a wave at a time: neither their bytes nor their rows outlive the wave. */
DDB_FN dreamdb_status ddb_page_edit_leaves(ddb_ctx *ctx, ddb_page_edit *edit)
{
    ddb_page_level *level = edit->levels;
    dreamdb_status status = DREAMDB_OK;
    for (size_t from = 0; from < level->count && status >= 0; from += DDB_PAGE_WAVE) {
        ddb_arena arena;
        size_t to = level->count - from < DDB_PAGE_WAVE ? level->count : from + DDB_PAGE_WAVE;
        memset(&arena, 0, sizeof arena);
        status = ddb_page_load(ctx, edit, &arena, level->items + from, to - from);
        for (size_t i = from; i < to && status >= 0; i++) {
            status = ddb_page_edit_leaf(ctx, edit, &arena, level->items + i, &level->outs);
        }
        for (size_t i = from; i < to; i++) {
            ddb_page_release(edit->env, &level->items[i].object, 1);
        }
        ddb_mem_arena_free(ctx, &arena);
    }
    return status;
}

/* The touched inner pages of a level: children that were touched are replaced by their outs, then the list is cut. */
DDB_FN dreamdb_status ddb_page_edit_inner(ddb_ctx *ctx, ddb_page_edit *edit, uint32_t level)
{
    ddb_page_level *here = edit->levels + level, *below = here - 1;
    ddb_page_list list;
    dreamdb_status status = DREAMDB_OK;
    size_t at = 0;
    memset(&list, 0, sizeof list);
    for (size_t i = 0; i < here->count && status >= 0; i++) {
        ddb_page_touch *touch = here->items + i;
        bool same = true;
        list.count = 0;
        for (size_t slot = 0; slot < touch->page.count && status >= 0; slot++) {
            if (at == below->count || below->items[at].parent != i || below->items[at].slot != slot) {
                status = ddb_page_list_add(ctx, &list, touch->page.children + slot);
                continue;
            }
            const ddb_page_touch *lower = below->items + at++;
            same = same && lower->same;
            for (size_t j = 0; j < lower->out_count && status >= 0; j++) {
                status = ddb_page_list_add(ctx, &list, below->outs.items + lower->out_from + j);
            }
        }
        edit->gone++;
        touch->out_from = here->outs.count;
        status = status < 0 ? status : same ? ddb_page_stay(ctx, edit, touch, &here->outs) :
                 ddb_page_cut_children(ctx, edit, level, list.items, list.count, &here->outs);
        touch->out_count = here->outs.count - touch->out_from;
    }
    ddb_page_list_free(ctx, &list);
    return status;
}

DDB_FN dreamdb_status ddb_page_edit_run(ddb_ctx *ctx, ddb_page_edit *edit, uint64_t pages, ddb_page_root *out)
{
    dreamdb_status status = ddb_page_descend(ctx, edit, false);
    status = status < 0 ? status : ddb_page_edit_leaves(ctx, edit);
    for (uint32_t level = 1; level <= edit->root.level && status >= 0; level++) {
        status = ddb_page_edit_inner(ctx, edit, level);
    }
    ddb_page_list *nodes = &edit->levels[edit->root.level].outs;
    status = status < 0 ? status : ddb_page_lift(ctx, edit, nodes);
    if (status >= 0 && edit->gone > pages) {
        status = ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, edit->tree->path, "the tree has more pages than its page_count says");
    }
    if (status >= 0) {
        ddb_page_edit_result(edit, nodes, nodes->count == 0 ? 0 : pages - edit->gone + edit->made, out);
    }
    return status;
}

/* Time- and cell-keyed trees: puts rows (sorted) into the tree and drops every row of the cells (evolution.md 2, Insert and Replace). */
DDB_FN dreamdb_status ddb_page_update(ddb_ctx *ctx, ddb_env *env, ddb_puts *puts, const ddb_page_tree *tree, const ddb_page_root *root,
                                      const ddb_row **adds, size_t add_count, const ddb_slice *cells, size_t cell_count, ddb_page_root *out)
{
    ddb_page_edit *edit = ddb_mem_new(ctx, ddb_page_edit, 1);
    if (!edit) {
        return DREAMDB_ERR_MEMORY;
    }
    ddb_bytes_init(&edit->buf, ctx);
    edit->env = env;
    edit->puts = puts;
    edit->tree = tree;
    edit->adds = adds;
    edit->add_count = add_count;
    edit->cells = cells;
    edit->cell_count = cell_count;
    edit->root = root->child;
    edit->fanout = root->fanout;
    dreamdb_status status = ddb_page_edit_run(ctx, edit, root->pages, out);
    ddb_page_edit_close(ctx, edit);
    ddb_mem_drop(ctx, edit, ddb_page_edit, 1);
    return status;
}

/* ---- Scalar trees: rows inserted one after the other (scalar.md 4.2) ---- */
/* The bytes depend on every step: an overfull page is cut [full, rest], and each inner page on the path is sorted by (min, max, address), so
   where keys tie the addresses of pages count that are never stored.  The steps are done in memory; an intermediate page is hashed only
   when a tie asks for its address. */

struct ddb_page_node;
typedef struct ddb_page_entry { ddb_page_child child; struct ddb_page_node *node; bool hashed; } ddb_page_entry;   /* node NULL: as stored */
typedef struct ddb_page_node {
    uint32_t        level;
    bool            sorted, dirty;
    size_t          count, cap, size;                        /* size: encoded entries */
    const ddb_row **rows;
    ddb_page_entry *entries;
} ddb_page_node;

typedef struct ddb_page_seq {
    ddb_page_edit  edit;
    ddb_object    *held;  size_t held_count, held_cap;       /* pages read late */
    uint64_t       nodes;                                    /* pages made by cuts and new levels */
    ddb_page_child *scratch;                                 /* [inner_max + 1] */
} ddb_page_seq;

DDB_FN size_t ddb_page_node_room(const ddb_page_node *node) { return node->level > 0 ? sizeof *node->entries : sizeof *node->rows; }

/* Room for one more entry; the old array stays in the arena. */
DDB_FN dreamdb_status ddb_page_node_grow(ddb_ctx *ctx, ddb_page_seq *seq, ddb_page_node *node, size_t cap)
{
    void *grown = ddb_mem_arena_array(ctx, &seq->edit.arena, cap, ddb_page_node_room(node));
    if (!grown) {
        return DREAMDB_ERR_MEMORY;
    }
    if (node->level > 0) {
        if (node->count > 0) {
            memcpy(grown, node->entries, node->count * sizeof *node->entries);
        }
        node->entries = (ddb_page_entry *)grown;
    } else {
        if (node->count > 0) {
            memcpy(grown, node->rows, node->count * sizeof *node->rows);
        }
        node->rows = (const ddb_row **)grown;
    }
    node->cap = cap;
    return DREAMDB_OK;
}

DDB_FN ddb_page_node *ddb_page_node_new(ddb_ctx *ctx, ddb_page_seq *seq, uint32_t level, size_t cap)
{
    ddb_page_node *node = ddb_mem_arena_new(ctx, &seq->edit.arena, ddb_page_node, 1);
    if (node) {
        node->level = level;
        node = ddb_page_node_grow(ctx, seq, node, cap) < 0 ? NULL : node;
    }
    return node;
}

/* A node from a decoded page. */
DDB_FN ddb_page_node *ddb_page_node_from(ddb_ctx *ctx, ddb_page_seq *seq, const ddb_page *page)
{
    ddb_page_node *node = ddb_page_node_new(ctx, seq, page->level, page->count + 16);
    const ddb_page_tree *tree = seq->edit.tree;
    for (size_t i = 0; node && i < page->count; i++) {
        if (page->level > 0) {
            node->entries[i].child = page->children[i];
            node->entries[i].hashed = true;
            node->size += ddb_page_child_size(tree, page->children + i);
        } else {
            node->rows[i] = page->rows + i;
            node->size += ddb_page_row_size(tree->kind, page->rows + i);
        }
    }
    if (node) {
        node->count = page->count;
    }
    return node;
}

DDB_FN void ddb_page_node_ends(const ddb_page_tree *tree, const ddb_page_node *node, ddb_page_child *out)
{
    out->low = node->level > 0 ? node->entries[0].child.low : ddb_page_row_key(tree, node->rows[0]);
    out->high = node->level > 0 ? node->entries[node->count - 1].child.high : ddb_page_row_key(tree, node->rows[node->count - 1]);
    out->level = node->level;
}

/* Encodes a node whose children have addresses. */
DDB_FN void ddb_page_node_write(ddb_page_seq *seq, const ddb_page_node *node, ddb_buf *buf)
{
    ddb_page_child unused;
    if (node->level == 0) {
        ddb_page_write_leaf(buf, seq->edit.tree, node->rows, node->count, &unused);
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        seq->scratch[i] = node->entries[i].child;
    }
    ddb_page_write_inner(buf, seq->edit.tree, node->level, seq->scratch, node->count, &unused);
}

/* Gives the entry its address; put: stores the changed pages below, each once.  Recursion is bounded by the tree's level. */
DDB_FN dreamdb_status ddb_page_settle(ddb_ctx *ctx, ddb_page_seq *seq, ddb_page_entry *entry, bool put)
{
    ddb_page_node *node = entry->node;
    dreamdb_status status = DREAMDB_OK;
    if (put ? !node || !node->dirty : entry->hashed) {
        return DREAMDB_OK;
    }
    for (size_t i = 0; node->level > 0 && i < node->count && status >= 0; i++) {
        status = ddb_page_settle(ctx, seq, node->entries + i, put);
    }
    if (status < 0) {
        return status;
    }
    ddb_buf *buf = &seq->edit.buf;
    ddb_bytes_clear(buf);
    ddb_page_node_write(seq, node, buf);
    status = ddb_bytes_status(buf);
    if (status >= 0 && put) {
        status = ddb_object_put(ctx, seq->edit.puts, seq->edit.tree->folder, ddb_bytes_of(buf), 0, &entry->child.addr);
    } else if (status >= 0) {
        ddb_addr_of(ctx->cpu, ddb_bytes_of(buf), &entry->child.addr);
    }
    entry->hashed = true;
    return status;
}

/* Order of two entries: (min, max, address). */
DDB_FN dreamdb_status ddb_page_entry_compare(ddb_ctx *ctx, ddb_page_seq *seq, ddb_page_entry *a, ddb_page_entry *b, int *order)
{
    *order = ddb_page_key_compare(&a->child.low, &b->child.low);
    *order = *order != 0 ? *order : ddb_page_key_compare(&a->child.high, &b->child.high);
    if (*order != 0) {
        return DREAMDB_OK;
    }
    dreamdb_status status = ddb_page_settle(ctx, seq, a, false);
    status = status < 0 ? status : ddb_page_settle(ctx, seq, b, false);
    *order = ddb_addr_compare(&a->child.addr, &b->child.addr);
    return status;
}

/* Moves the entry at i to its place among [0, end) that are otherwise in order. */
DDB_FN dreamdb_status ddb_page_bubble(ddb_ctx *ctx, ddb_page_seq *seq, ddb_page_node *node, size_t i, size_t end)
{
    ddb_page_entry *e = node->entries, moved = e[i];
    dreamdb_status status = DREAMDB_OK;
    size_t from = i;
    int order = -1;
    while (from > 0 && order < 0 && status >= 0) {
        status = ddb_page_entry_compare(ctx, seq, &moved, e + from - 1, &order);
        from -= order < 0;
    }
    order = 1;
    while (from == i && i + 1 < end && order > 0 && status >= 0) {
        status = ddb_page_entry_compare(ctx, seq, &moved, e + i + 1, &order);
        if (order > 0) {
            e[i] = e[i + 1];
            i++;
            from++;
        }
    }
    if (from < i) {
        memmove(e + from + 1, e + from, (i - from) * sizeof *e);
    }
    e[from] = moved;
    return status;
}

/* Sorts all entries when the page is first touched: a bulk build does not sort ties. */
DDB_FN dreamdb_status ddb_page_node_sort(ddb_ctx *ctx, ddb_page_seq *seq, ddb_page_node *node)
{
    dreamdb_status status = DREAMDB_OK;
    for (size_t i = 1; i < node->count && !node->sorted && status >= 0; i++) {
        status = ddb_page_bubble(ctx, seq, node, i, i + 1);
    }
    node->sorted = true;
    return status;
}

/* How many leading entries of the node fit one page. */
DDB_FN size_t ddb_page_node_fit(ddb_page_seq *seq, const ddb_page_node *node)
{
    const ddb_page_tree *tree = seq->edit.tree;
    const ddb_page_trait *trait = ddb_page_trait_of(tree->kind);
    size_t size = ddb_page_base(tree, node->level), i = 0, cap = node->level > 0 ? trait->inner_max : trait->leaf_max;
    if (node->count <= cap && size + ddb_page_head_size(node->count) + node->size <= trait->bytes) {
        return node->count;
    }
    for (; i < node->count && i < cap; i++) {
        size += node->level > 0 ? ddb_page_child_size(tree, &node->entries[i].child) : ddb_page_row_size(tree->kind, node->rows[i]);
        if (i > 0 && size + ddb_page_head_size(i + 1) > trait->bytes) {
            break;
        }
    }
    return i;
}

/* Moves entries [keep, count) to a new node. */
DDB_FN ddb_page_node *ddb_page_node_split(ddb_ctx *ctx, ddb_page_seq *seq, ddb_page_node *node, size_t keep)
{
    const ddb_page_tree *tree = seq->edit.tree;
    size_t count = node->count - keep;
    ddb_page_node *rest = ddb_page_node_new(ctx, seq, node->level, count + 16);
    if (!rest) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (node->level > 0) {
            rest->entries[i] = node->entries[keep + i];
            rest->size += ddb_page_child_size(tree, &rest->entries[i].child);
        } else {
            rest->rows[i] = node->rows[keep + i];
            rest->size += ddb_page_row_size(tree->kind, rest->rows[i]);
        }
    }
    node->size -= rest->size;
    node->count = keep;
    rest->count = count;
    rest->sorted = node->sorted;
    rest->dirty = true;
    seq->nodes++;
    return rest;
}

DDB_FN void ddb_page_entry_set(const ddb_page_tree *tree, ddb_page_entry *entry, ddb_page_node *node)
{
    memset(entry, 0, sizeof *entry);
    entry->node = node;
    ddb_page_node_ends(tree, node, &entry->child);
}

/* Inserts an entry at position at. */
DDB_FN dreamdb_status ddb_page_node_add(ddb_ctx *ctx, ddb_page_seq *seq, ddb_page_node *node, size_t at, const ddb_page_entry *entry)
{
    if (node->count == node->cap && ddb_page_node_grow(ctx, seq, node, node->cap * 2) < 0) {
        return DREAMDB_ERR_MEMORY;
    }
    memmove(node->entries + at + 1, node->entries + at, (node->count - at) * sizeof *entry);
    node->entries[at] = *entry;
    node->count++;
    node->size += ddb_page_child_size(seq->edit.tree, &entry->child);
    return DREAMDB_OK;
}

/* The child at `at` of parent changed: its entry is made anew, and what does not fit its page becomes entries behind it. */
DDB_FN dreamdb_status ddb_page_recut(ddb_ctx *ctx, ddb_page_seq *seq, ddb_page_node *parent, size_t at, size_t *pieces)
{
    const ddb_page_tree *tree = seq->edit.tree;
    ddb_page_node *node = parent->entries[at].node;
    dreamdb_status status = DREAMDB_OK;
    *pieces = 0;
    parent->size -= ddb_page_child_size(tree, &parent->entries[at].child);
    while (node && status >= 0) {
        size_t keep = ddb_page_node_fit(seq, node);
        ddb_page_node *rest = NULL;
        ddb_page_entry entry;
        if (keep < node->count && !(rest = ddb_page_node_split(ctx, seq, node, keep))) {
            return DREAMDB_ERR_MEMORY;
        }
        ddb_page_entry_set(tree, &entry, node);
        if (*pieces == 0) {
            parent->entries[at] = entry;
            parent->size += ddb_page_child_size(tree, &entry.child);
        } else {
            status = ddb_page_node_add(ctx, seq, parent, at + *pieces, &entry);
        }
        ++*pieces;
        node = rest;
    }
    return status;
}

/* Reads the page of an entry that no row was routed to before the first step. */
DDB_FN dreamdb_status ddb_page_late(ddb_ctx *ctx, ddb_page_seq *seq, ddb_page_entry *entry)
{
    ddb_page_touch touch;
    memset(&touch, 0, sizeof touch);
    touch.child = &entry->child;
    if (seq->held_count == seq->held_cap) {
        size_t cap = seq->held_cap > 0 ? seq->held_cap * 2 : 16;
        ddb_object *held = (ddb_object *)ddb_mem_resize(ctx, seq->held, seq->held_cap * sizeof *held, cap * sizeof *held);
        if (!held) {
            return DREAMDB_ERR_MEMORY;
        }
        seq->held = held;
        seq->held_cap = cap;
    }
    dreamdb_status status = ddb_page_load(ctx, &seq->edit, &seq->edit.arena, &touch, 1);
    if (touch.object.hold) {
        seq->held[seq->held_count++] = touch.object;
    }
    if (status >= 0) {
        entry->node = ddb_page_node_from(ctx, seq, &touch.page);
        status = entry->node ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    }
    return status;
}

/* Last entry whose min is <= key, else the first. */
DDB_FN size_t ddb_page_node_route(const ddb_page_node *node, const ddb_page_key *key)
{
    size_t from = 0, to = node->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (ddb_page_key_compare(&node->entries[middle].child.low, key) <= 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from > 0 ? from - 1 : 0;
}

/* Puts a row into a leaf behind all rows that are not above it. */
DDB_FN dreamdb_status ddb_page_node_insert(ddb_ctx *ctx, ddb_page_seq *seq, ddb_page_node *node, const ddb_row *row)
{
    size_t from = 0, to = node->count;
    if (node->count == node->cap && ddb_page_node_grow(ctx, seq, node, node->cap * 2) < 0) {
        return DREAMDB_ERR_MEMORY;
    }
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (ddb_page_row_compare(seq->edit.tree, node->rows[middle], row) <= 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    memmove(node->rows + from + 1, node->rows + from, (node->count - from) * sizeof *node->rows);
    node->rows[from] = row;
    node->count++;
    node->size += ddb_page_row_size(seq->edit.tree->kind, row);
    return DREAMDB_OK;
}

/* A node with one entry above node: the place where the root's pieces appear.  It is no page until it has two entries. */
DDB_FN dreamdb_status ddb_page_crown(ddb_ctx *ctx, ddb_page_seq *seq, ddb_page_node *node, ddb_page_node **out)
{
    ddb_page_entry entry;
    if (node->level + 1 >= DDB_PAGE_DEPTH) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_LIMIT, seq->edit.tree->path, "a tree would have more than %d levels", (int)DDB_PAGE_DEPTH);
    }
    *out = ddb_page_node_new(ctx, seq, node->level + 1, 8);
    if (!*out) {
        return DREAMDB_ERR_MEMORY;
    }
    (*out)->dirty = true;
    ddb_page_entry_set(seq->edit.tree, &entry, node);
    return ddb_page_node_add(ctx, seq, *out, 0, &entry);
}

/* One step: the row into its leaf, then cut and sort up the path, then new levels. */
DDB_FN dreamdb_status ddb_page_step(ddb_ctx *ctx, ddb_page_seq *seq, ddb_page_node **crown, const ddb_row *row)
{
    ddb_page_node *path[DDB_PAGE_DEPTH + 1], *node = *crown;
    size_t at[DDB_PAGE_DEPTH + 1], depth = 0, pieces = 0;
    ddb_page_key key = ddb_page_row_key(seq->edit.tree, row);
    dreamdb_status status = DREAMDB_OK;
    while (node->level > 0) {
        size_t i = depth == 0 ? 0 : ddb_page_node_route(node, &key);
        status = node->entries[i].node ? DREAMDB_OK : ddb_page_late(ctx, seq, node->entries + i);
        if (status < 0) {
            return status;
        }
        path[depth] = node;
        at[depth++] = i;
        node = node->entries[i].node;
        node->dirty = true;
    }
    status = ddb_page_node_insert(ctx, seq, node, row);
    while (depth > 0 && status >= 0) {
        depth--;
        status = ddb_page_recut(ctx, seq, path[depth], at[depth], &pieces);
        if (depth == 0 || status < 0) {
            break;                                           /* the root's pieces are packed as they come */
        }
        if (path[depth]->sorted && pieces == 1) {
            status = ddb_page_bubble(ctx, seq, path[depth], at[depth], path[depth]->count);
        } else {
            path[depth]->sorted = false;
            status = ddb_page_node_sort(ctx, seq, path[depth]);
        }
    }
    while (status >= 0 && (*crown)->count > 1) {
        node = *crown;
        seq->nodes++;
        status = ddb_page_crown(ctx, seq, node, crown);
        status = status < 0 ? status : ddb_page_recut(ctx, seq, *crown, 0, &pieces);
    }
    return status;
}

/* Nodes of all pages that the rows reach at first; *out is the root's. */
DDB_FN dreamdb_status ddb_page_seq_load(ddb_ctx *ctx, ddb_page_seq *seq, ddb_page_node **out)
{
    ddb_page_edit *edit = &seq->edit;
    dreamdb_status status = ddb_page_descend(ctx, edit, true);
    ddb_page_node **above = NULL;
    for (uint32_t level = edit->root.level; status >= 0; level--) {
        ddb_page_level *here = edit->levels + level;
        ddb_page_node **nodes = ddb_mem_arena_new(ctx, &edit->arena, ddb_page_node *, here->count);
        for (size_t i = 0; i < here->count && status >= 0; i++) {
            ddb_page_touch *touch = here->items + i;
            ddb_page_node *node = nodes ? ddb_page_node_from(ctx, seq, &touch->page) : NULL;
            status = node ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
            if (node && above) {
                above[touch->parent]->entries[touch->slot].node = node;
            }
            if (node) {
                nodes[i] = node;
            }
        }
        above = nodes;
        if (level == edit->root.level && status >= 0) {
            *out = nodes[0];
        }
        if (level == 0) {
            break;
        }
    }
    return status;
}

DDB_FN dreamdb_status ddb_page_seq_run(ddb_ctx *ctx, ddb_page_seq *seq, uint64_t pages, ddb_page_root *out)
{
    ddb_page_node *root = NULL, *crown = NULL;
    ddb_page_entry *top = NULL;
    seq->scratch = ddb_mem_arena_new(ctx, &seq->edit.arena, ddb_page_child, ddb_page_trait_of(seq->edit.tree->kind)->inner_max + 1);
    dreamdb_status status = seq->scratch ? ddb_page_seq_load(ctx, seq, &root) : DREAMDB_ERR_MEMORY;
    status = status < 0 ? status : ddb_page_crown(ctx, seq, root, &crown);
    for (size_t i = 0; i < seq->edit.add_count && status >= 0; i++) {
        status = ddb_page_step(ctx, seq, &crown, seq->edit.adds[i]);
    }
    if (status < 0) {
        return status;
    }
    top = crown->entries;
    status = ddb_page_settle(ctx, seq, top, true);
    memset(out, 0, sizeof *out);
    out->child.addr = top->child.addr;
    out->child.level = top->child.level;
    out->child.root = true;
    out->pages = pages + seq->nodes;
    return status;
}

/* Scalar-keyed trees: inserts rows (sorted). */
DDB_FN dreamdb_status ddb_page_insert_each(ddb_ctx *ctx, ddb_env *env, ddb_puts *puts, const ddb_page_tree *tree, const ddb_page_root *root,
                                           const ddb_row **adds, size_t add_count, ddb_page_root *out)
{
    ddb_page_seq *seq = ddb_mem_new(ctx, ddb_page_seq, 1);
    if (!seq) {
        return DREAMDB_ERR_MEMORY;
    }
    ddb_bytes_init(&seq->edit.buf, ctx);
    seq->edit.env = env;
    seq->edit.puts = puts;
    seq->edit.tree = tree;
    seq->edit.adds = adds;
    seq->edit.add_count = add_count;
    seq->edit.root = root->child;
    dreamdb_status status = ddb_page_seq_run(ctx, seq, root->pages, out);
    ddb_page_release(env, seq->held, seq->held_count);
    if (seq->held) {
        ddb_mem_drop(ctx, seq->held, ddb_object, seq->held_cap);
    }
    ddb_page_edit_close(ctx, &seq->edit);
    ddb_mem_drop(ctx, seq, ddb_page_seq, 1);
    return status;
}

/* ==== ROOM 18 track | prefix ddb_track_ | uses port mem bytes coll cbor addr object page ==== */
/* Track objects (core.md 5): coverage, modality, timeline, and rows that stand inline, in a paged tree or in a scalar B-tree, behind one cursor.
   Appends, replacements and builds give the bytes of the reference: rows stay sorted and stable, an item or bucket Track pages when its inline
   list passes the page limit and never goes back, categorical and bool Tracks never page.
   Invariant: rows that a cursor hands out are checked (order, times, plausible sizes); memory is bounded by a window of pages.
   Must never know what a row's object holds, nor change an index form it does not know. */

typedef enum ddb_track_class {
    DDB_TRACK_ITEM = 1, DDB_TRACK_SPATIAL,
    DDB_TRACK_BITMAP,                        /* categorical, bool: inline always */
    DDB_TRACK_BTREE,                         /* the other scalars */
    DDB_TRACK_CONSTANT, DDB_TRACK_OTHER
} ddb_track_class;

/* UNKNOWN: kept byte for byte, refused by name when it is read or changed. */
typedef enum ddb_track_form { DDB_TRACK_INLINE = 1, DDB_TRACK_PAGED, DDB_TRACK_SCALAR_TREE, DDB_TRACK_UNKNOWN } ddb_track_form;

#define DDB_TRACK_PAGE_LIMIT 1048576         /* bytes of an inline list that still stays inline (core.md 6) */
#define DDB_TRACK_PAGE_EARLY 16384           /* the same for page_early: one leaf */

/* A decoded Track.  Slices point into the object, or into what a track was made from: rows, an older track. */
typedef struct ddb_track {
    ddb_track_class cls;
    ddb_track_form  form;
    ddb_slice   modality;
    ddb_addr    timeline;
    uint64_t    t_min, t_max;                /* coverage; [0, 1] without rows */
    ddb_row    *rows; size_t row_count;      /* INLINE */
    ddb_addr    root;                        /* PAGED, SCALAR_TREE */
    uint64_t    fanout, page_count, total, height;
    ddb_slice   algorithm;                   /* BTREE: from the modality; UNKNOWN: the name of the form */
    ddb_addr    constant;                    /* CONSTANT */
    ddb_slice   raw_index;                   /* UNKNOWN: the encoded index */
    const char *path;                        /* of the object, for messages; may be NULL */
} ddb_track;

DDB_FN ddb_track_class ddb_track_class_of(dreamdb_kind kind)
{
    switch (kind) {
    case DREAMDB_EMBEDDING:   return DDB_TRACK_SPATIAL;
    case DREAMDB_IMAGE:
    case DREAMDB_AUDIO:
    case DREAMDB_VIDEO:       return DDB_TRACK_ITEM;
    case DREAMDB_CATEGORICAL:
    case DREAMDB_BOOL:        return DDB_TRACK_BITMAP;
    case DREAMDB_STRING:
    case DREAMDB_INT:
    case DREAMDB_FLOAT:
    case DREAMDB_TIMESTAMP:   return DDB_TRACK_BTREE;
    case DREAMDB_CONSTANT:    return DDB_TRACK_CONSTANT;
    default:                  return DDB_TRACK_OTHER;
    }
}

/* B-tree algorithm of a scalar modality "scalar.i64.field=n"; empty if it has none. */
DDB_FN ddb_slice ddb_track_algorithm(ddb_slice modality)
{
    static const char *const rows[][2] = {
        { "scalar.i64.", "dreamdb.btree-int64" }, { "scalar.ts.", "dreamdb.btree-int64" },
        { "scalar.f64.", "dreamdb.btree-float64" }, { "scalar.str.", "dreamdb.btree-string" }
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (ddb_bytes_starts(modality, rows[i][0])) {
            return ddb_bytes_text(rows[i][1]);
        }
    }
    return ddb_bytes_slice(NULL, 0);
}

DDB_FN ddb_page_kind ddb_track_kind(ddb_track_class cls)
{
    return cls == DDB_TRACK_ITEM ? DDB_PAGE_TIME : cls == DDB_TRACK_SPATIAL ? DDB_PAGE_SPATIAL : cls == DDB_TRACK_BTREE ? DDB_PAGE_SCALAR : DDB_PAGE_BITMAP;
}

/* What the pages of the track have in common.  arena NULL: no folder, for rows that stand inline. */
DDB_FN dreamdb_status ddb_track_tree(ddb_ctx *ctx, ddb_arena *arena, const ddb_track *track, ddb_page_tree *out)
{
    memset(out, 0, sizeof *out);
    out->kind = ddb_track_kind(track->cls);
    out->modality = track->modality;
    out->algorithm = out->kind == DDB_PAGE_SCALAR ? ddb_track_algorithm(track->modality) : ddb_bytes_slice(NULL, 0);
    out->value = ddb_page_value_of(out->algorithm);
    out->path = track->path;
    out->pages = track->page_count;
    if (out->kind == DDB_PAGE_SCALAR && out->value == DDB_PAGE_NONE) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, track->path, "Track: modality `%.*s` has no B-tree", (int)track->modality.size, (const char *)track->modality.data);
    }
    out->folder = arena ? ddb_addr_folder(ctx, arena, &track->timeline, track->modality, "index") : NULL;
    return arena && !out->folder ? DREAMDB_ERR_MEMORY : DREAMDB_OK;
}

/* ---- Decode ---- */

DDB_FN bool ddb_track_read_rows(ddb_ctx *ctx, ddb_arena *arena, ddb_cbor *r, const ddb_page_tree *tree, ddb_track *out, bool *no_memory)
{
    if (!ddb_page_count_read(r, &out->row_count)) {
        return false;
    }
    out->form = DDB_TRACK_INLINE;
    out->rows = ddb_mem_arena_new(ctx, arena, ddb_row, out->row_count);
    *no_memory = !out->rows;
    return out->rows && ddb_page_rows_read(r, tree, NULL, out->rows, out->row_count);
}

/* {form: paged, root, fanout, page_count, total_items, tree_height} or {form: scalar-btree-v1, root, page_count, tree_height, total_entries},
   behind the form. */
DDB_FN bool ddb_track_read_tree(ddb_cbor *r, ddb_track *out)
{
    bool paged = out->form == DDB_TRACK_PAGED;
    size_t start = r->at;
    bool good = ddb_page_name(r, "root") && ddb_addr_read(r, &out->root);
    if (good && paged) {
        good = ddb_page_name(r, "fanout") && ddb_cbor_read_uint(r, &out->fanout) && ddb_page_name(r, "page_count") && ddb_cbor_read_uint(r, &out->page_count) &&
               ddb_page_name(r, "total_items") && ddb_cbor_read_uint(r, &out->total) && ddb_page_name(r, "tree_height") && ddb_cbor_read_uint(r, &out->height);
    } else if (good) {
        good = ddb_page_name(r, "page_count") && ddb_cbor_read_uint(r, &out->page_count) && ddb_page_name(r, "tree_height") && ddb_cbor_read_uint(r, &out->height) &&
               ddb_page_name(r, "total_entries") && ddb_cbor_read_uint(r, &out->total);
    }
    if (good && (out->height < 1 || out->height > DDB_PAGE_DEPTH)) {
        return ddb_cbor_bad(r, start, "the tree's height is not 1 to 64");
    }
    if (good && (out->page_count < out->height || out->total < 1 || out->page_count > INT64_MAX || out->total > INT64_MAX)) {
        return ddb_cbor_bad(r, start, "the tree's counts are not plausible");
    }
    return good;
}

/* An index map: the two forms known here, else it is kept as it is. */
DDB_FN bool ddb_track_read_map(ddb_cbor *r, ddb_track *out)
{
    ddb_cbor inside = *r;
    ddb_slice form, key, previous = { NULL, 0 };
    size_t members = 0, start = r->at;
    if (!ddb_cbor_skip(r, &out->raw_index)) {
        return false;
    }
    ddb_slice algorithm = out->algorithm;
    out->form = DDB_TRACK_UNKNOWN;
    out->algorithm = ddb_bytes_slice(NULL, 0);
    if (!ddb_cbor_read_map(&inside, &members) || members == 0 || !ddb_cbor_next_key(&inside, &key, &previous) || !ddb_bytes_is(key, "form") ||
        !ddb_cbor_read_text(&inside, &form)) {
        return true;
    }
    bool paged = ddb_bytes_is(form, "paged"), tree = ddb_bytes_is(form, "scalar-btree-v1");
    if (out->cls == DDB_TRACK_OTHER || (!paged && !tree)) {
        out->algorithm = form;
        return true;
    }
    if (paged ? out->cls != DDB_TRACK_ITEM && out->cls != DDB_TRACK_SPATIAL : out->cls != DDB_TRACK_BTREE) {
        return ddb_cbor_bad(r, start, "this kind of Track cannot have this index form");
    }
    out->form = paged ? DDB_TRACK_PAGED : DDB_TRACK_SCALAR_TREE;
    out->raw_index = ddb_bytes_slice(NULL, 0);
    out->algorithm = algorithm;
    if (members != (paged ? 6u : 5u) || !ddb_track_read_tree(&inside, out)) {
        return ddb_cbor_bad(r, inside.failed ? inside.at : start, inside.failed ? inside.why : "the index has an unknown or missing key");
    }
    return true;
}

/* object_index of a decoded head. */
DDB_FN bool ddb_track_read_index(ddb_ctx *ctx, ddb_arena *arena, ddb_cbor *r, const ddb_page_tree *tree, ddb_track *out, bool *no_memory)
{
    size_t members = 0, start = r->at;
    int type = ddb_cbor_peek(r);
    if (type == DDB_CBOR_MAP && out->cls != DDB_TRACK_CONSTANT) {
        return ddb_track_read_map(r, out);
    }
    if (out->cls == DDB_TRACK_CONSTANT) {
        out->form = DDB_TRACK_INLINE;
        return ddb_cbor_read_array(r, &members) && (members == 1 || ddb_cbor_bad(r, start, "a constant has one address")) && ddb_addr_read(r, &out->constant);
    }
    if (out->cls == DDB_TRACK_OTHER || type != DDB_CBOR_ARRAY) {
        out->form = DDB_TRACK_UNKNOWN;
        return ddb_cbor_skip(r, &out->raw_index);
    }
    return ddb_track_read_rows(ctx, arena, r, tree, out, no_memory);
}

DDB_FN bool ddb_track_read_head(ddb_cbor *r, ddb_track *out)
{
    size_t members = 0;
    if (!ddb_cbor_read_map(r, &members) || (members != 4 && !ddb_cbor_bad(r, 0, "a Track has an unknown or missing key"))) {
        return false;
    }
    bool good = ddb_page_name(r, "coverage") && ddb_cbor_read_array(r, &members) && (members == 2 || ddb_cbor_bad(r, r->at, "coverage is not two numbers")) &&
                ddb_cbor_read_uint(r, &out->t_min) && ddb_cbor_read_uint(r, &out->t_max) &&
                (out->t_min < out->t_max || ddb_cbor_bad(r, r->at, "coverage ends before it starts"));
    return good && ddb_page_name(r, "modality") && ddb_cbor_read_text(r, &out->modality) &&
           (ddb_addr_modality_valid(out->modality) || ddb_cbor_bad(r, r->at, "the modality cannot be a folder")) &&
           ddb_page_name(r, "timeline") && ddb_addr_read(r, &out->timeline) && ddb_page_name(r, "object_index");
}

/* Decodes a Track of the class; its slices point into bytes, its rows are in the arena.  path is kept as it is. */
DDB_FN dreamdb_status ddb_track_decode(ddb_ctx *ctx, ddb_arena *arena, ddb_track_class cls, ddb_slice bytes, const char *path, ddb_track *out)
{
    ddb_cbor r;
    ddb_page_tree tree;
    bool no_memory = false;
    memset(out, 0, sizeof *out);
    out->cls = cls;
    out->path = path;
    ddb_cbor_open(&r, bytes);
    if (!ddb_track_read_head(&r, out)) {
        return ddb_cbor_corrupt(ctx, &r, "Track", path);
    }
    dreamdb_status status = ddb_track_tree(ctx, NULL, out, &tree);
    if (status < 0) {
        return status;
    }
    out->algorithm = tree.algorithm;
    bool good = ddb_track_read_index(ctx, arena, &r, &tree, out, &no_memory);
    if (no_memory) {
        return DREAMDB_ERR_MEMORY;
    }
    return good && ddb_cbor_end(&r) ? DREAMDB_OK : ddb_cbor_corrupt(ctx, &r, "Track", path);
}

/* ---- Encode ---- */

/* Bytes of count rows as an inline list. */
DDB_FN uint64_t ddb_track_inline_size(ddb_page_kind kind, const ddb_row *const *rows, size_t count)
{
    uint64_t size = ddb_page_head_size(count);
    for (size_t i = 0; i < count; i++) {
        size += ddb_page_row_size(kind, rows[i]);
    }
    return size;
}

DDB_FN void ddb_track_encode_rows(ddb_buf *buf, const ddb_track *track)
{
    ddb_page_kind kind = ddb_track_kind(track->cls);
    size_t size = 9;
    for (size_t i = 0; i < track->row_count; i++) {
        size += ddb_page_row_size(kind, track->rows + i);
    }
    uint8_t *start = ddb_bytes_reserve(buf, size), *at = start;
    if (!start) {
        return;
    }
    at = ddb_page_head(at, 0x80, track->row_count);
    for (size_t i = 0; i < track->row_count; i++) {
        at = ddb_page_row_write(at, kind, track->rows + i, track->rows[i].t_start, track->rows[i].t_end);
    }
    buf->size += (size_t)(at - start);
}

DDB_FN void ddb_track_encode_number(ddb_buf *buf, const char *key, uint64_t value)
{
    ddb_cbor_str(buf, key);
    ddb_cbor_uint(buf, value);
}

DDB_FN void ddb_track_encode_tree(ddb_buf *buf, const ddb_track *track)
{
    bool paged = track->form == DDB_TRACK_PAGED;
    ddb_cbor_map(buf, paged ? 6 : 5);
    ddb_cbor_str(buf, "form");
    ddb_cbor_str(buf, paged ? "paged" : "scalar-btree-v1");
    ddb_cbor_str(buf, "root");
    ddb_addr_write(buf, &track->root);
    if (paged) {
        ddb_track_encode_number(buf, "fanout", track->fanout);
    }
    ddb_track_encode_number(buf, "page_count", track->page_count);
    if (paged) {
        ddb_track_encode_number(buf, "total_items", track->total);
    }
    ddb_track_encode_number(buf, "tree_height", track->height);
    if (!paged) {
        ddb_track_encode_number(buf, "total_entries", track->total);
    }
}

DDB_FN dreamdb_status ddb_track_encode(ddb_buf *buf, const ddb_track *track)
{
    ddb_cbor_map(buf, 4);
    ddb_cbor_str(buf, "coverage");
    ddb_cbor_array(buf, 2);
    ddb_cbor_uint(buf, track->t_min);
    ddb_cbor_uint(buf, track->t_max);
    ddb_cbor_str(buf, "modality");
    ddb_cbor_text(buf, track->modality.data, track->modality.size);
    ddb_cbor_str(buf, "timeline");
    ddb_addr_write(buf, &track->timeline);
    ddb_cbor_str(buf, "object_index");
    if (track->form == DDB_TRACK_UNKNOWN) {
        ddb_cbor_raw(buf, track->raw_index);
    } else if (track->cls == DDB_TRACK_CONSTANT) {
        ddb_cbor_array(buf, 1);
        ddb_addr_write(buf, &track->constant);
    } else if (track->form == DDB_TRACK_INLINE) {
        ddb_track_encode_rows(buf, track);
    } else {
        ddb_track_encode_tree(buf, track);
    }
    return ddb_bytes_status(buf);
}

/* Encodes the Track and puts it under TL/MOD/track. */
DDB_FN dreamdb_status ddb_track_put(ddb_ctx *ctx, ddb_puts *puts, ddb_arena *arena, const ddb_track *track, ddb_addr *out)
{
    ddb_buf buf;
    const char *folder = ddb_addr_folder(ctx, arena, &track->timeline, track->modality, "track");
    if (!folder) {
        return DREAMDB_ERR_MEMORY;
    }
    ddb_bytes_init(&buf, ctx);
    dreamdb_status status = ddb_track_encode(&buf, track);
    status = status < 0 ? status : ddb_object_put(ctx, puts, folder, ddb_bytes_of(&buf), 0, out);
    ddb_bytes_free(&buf);
    return status;
}

/* ---- Writing ---- */

/* Tracks whose rows cannot be read here. */
DDB_FN dreamdb_status ddb_track_refuse(ddb_ctx *ctx, const ddb_track *track)
{
    if (track->form == DDB_TRACK_UNKNOWN && track->algorithm.size > 0) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_UNSUPPORTED, track->path, "Track index form `%.*s` is not in this version",
                               (int)(track->algorithm.size < 64 ? track->algorithm.size : 64), (const char *)track->algorithm.data);
    }
    if (track->form == DDB_TRACK_UNKNOWN || track->cls == DDB_TRACK_CONSTANT || track->cls == DDB_TRACK_OTHER) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_UNSUPPORTED, track->path, "rows of a Track of modality `%.*s` are not in this version",
                               (int)(track->modality.size < 64 ? track->modality.size : 64), (const char *)track->modality.data);
    }
    return DREAMDB_OK;
}

DDB_FN ddb_page_root ddb_track_root(const ddb_track *track)
{
    ddb_page_root root;
    memset(&root, 0, sizeof root);
    root.child.addr = track->root;
    root.child.level = (uint32_t)(track->height - 1);
    root.child.rows = track->form == DDB_TRACK_PAGED || track->height == 1 ? track->total : 0;
    root.child.root = true;
    root.fanout = track->fanout;
    root.pages = track->page_count;
    return root;
}

DDB_FN void ddb_track_empty(ddb_track *track)
{
    track->form = DDB_TRACK_INLINE;
    track->rows = NULL;
    track->row_count = 0;
    track->t_min = 0;
    track->t_max = 1;
}

DDB_FN void ddb_track_set_root(ddb_track *track, const ddb_page_root *root, uint64_t total)
{
    if (root->empty) {
        ddb_track_empty(track);
        return;
    }
    track->form = track->cls == DDB_TRACK_BTREE ? DDB_TRACK_SCALAR_TREE : DDB_TRACK_PAGED;
    track->rows = NULL;
    track->row_count = 0;
    track->root = root->child.addr;
    track->fanout = root->fanout;
    track->page_count = root->pages;
    track->height = (uint64_t)root->child.level + 1;
    track->total = total;
}

/* Makes coverage hold the rows; fresh: it held nothing before. */
DDB_FN void ddb_track_cover(ddb_track *track, const ddb_row *const *rows, size_t count, bool fresh)
{
    uint64_t low = fresh ? UINT64_MAX : track->t_min, high = fresh ? 0 : track->t_max;
    for (size_t i = 0; i < count; i++) {
        low = rows[i]->t_start < low ? rows[i]->t_start : low;
        high = rows[i]->t_end > high ? rows[i]->t_end : high;
    }
    track->t_min = count > 0 || !fresh ? low : 0;
    track->t_max = count > 0 || !fresh ? high : 1;
}

/* Gives the track its rows (in order): inline up to the page limit, else a tree. */
DDB_FN dreamdb_status ddb_track_settle(ddb_ctx *ctx, ddb_env *env, ddb_arena *arena, const ddb_page_tree *tree, const ddb_row *const *rows, size_t count,
                                       uint64_t page_limit, ddb_puts *puts, ddb_track *track)
{
    ddb_page_root root;
    bool tree_always = track->cls == DDB_TRACK_BTREE && count > 0;
    if (tree_always || (track->cls != DDB_TRACK_BITMAP && ddb_track_inline_size(tree->kind, rows, count) > page_limit)) {
        dreamdb_status status = ddb_page_build(ctx, env, puts, tree, rows, count, &root);
        if (status >= 0) {
            ddb_track_set_root(track, &root, count);
        }
        return status;
    }
    ddb_row *list = ddb_mem_arena_new(ctx, arena, ddb_row, count);
    if (!list) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        list[i] = *rows[i];
    }
    track->form = DDB_TRACK_INLINE;
    track->rows = list;
    track->row_count = count;
    return DREAMDB_OK;
}

/* Rows of an inline track without those of the cells, and the new rows, in order; old before equal new. */
DDB_FN dreamdb_status ddb_track_merge(ddb_ctx *ctx, ddb_arena *arena, const ddb_page_tree *tree, const ddb_track *old, const ddb_slice *cells, size_t cell_count,
                                      const ddb_row **adds, size_t add_count, const ddb_row ***out, size_t *count)
{
    ddb_page_edit edit;
    ddb_page_touch touch;
    uint64_t dropped = 0;
    *out = ddb_mem_arena_new(ctx, arena, const ddb_row *, old->row_count + add_count);
    if (!*out) {
        return DREAMDB_ERR_MEMORY;
    }
    memset(&edit, 0, sizeof edit);
    memset(&touch, 0, sizeof touch);
    edit.tree = tree;
    edit.adds = adds;
    edit.cells = cells;
    touch.page.rows = old->rows;
    touch.page.count = old->row_count;
    touch.add_to = add_count;
    touch.cell_to = cell_count;
    *count = ddb_page_merge(&edit, &touch, *out, &dropped);
    return DREAMDB_OK;
}

/* The caller's rows have what the format asks for. */
DDB_FN dreamdb_status ddb_track_check_rows(ddb_ctx *ctx, const ddb_page_tree *tree, const ddb_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ddb_page_key key;
        bool good = rows[i].t_start < rows[i].t_end && (tree->kind != DDB_PAGE_SPATIAL || ddb_page_cell_valid(rows[i].key)) &&
                    (tree->kind != DDB_PAGE_SCALAR || ddb_page_value_key(tree->value, rows[i].key, &key));
        if (!good) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "row %zu of `%.*s` has a wrong key or interval", i, (int)tree->modality.size, (const char *)tree->modality.data);
        }
    }
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_track_insert_in(ddb_ctx *ctx, ddb_env *env, ddb_arena *arena, ddb_arena *scratch, const ddb_track *old, const ddb_row *rows, size_t count,
                                          uint64_t page_limit, ddb_puts *puts, ddb_track *out)
{
    ddb_page_tree tree;
    ddb_page_root root, old_root = ddb_track_root(old);
    const ddb_row **adds = NULL, **all = NULL;
    size_t all_count = 0;
    uint64_t total = 0;
    dreamdb_status status = ddb_track_tree(ctx, scratch, old, &tree);
    status = status < 0 ? status : ddb_track_check_rows(ctx, &tree, rows, count);
    status = status < 0 ? status : ddb_page_sort(ctx, scratch, &tree, rows, count, &adds);
    if (status < 0) {
        return status;
    }
    ddb_track_cover(out, adds, count, old->form == DDB_TRACK_INLINE && old->row_count == 0);
    if (old->form == DDB_TRACK_INLINE) {
        status = ddb_track_merge(ctx, scratch, &tree, old, NULL, 0, adds, count, &all, &all_count);
        return status < 0 ? status : ddb_track_settle(ctx, env, arena, &tree, all, all_count, page_limit, puts, out);
    }
    if (!ddb_mem_add_u64(old->total, count, &total)) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, old->path, "Track: its row count is not plausible");
    }
    status = old->form == DDB_TRACK_PAGED ? ddb_page_update(ctx, env, puts, &tree, &old_root, adds, count, NULL, 0, &root) :
             ddb_page_insert_each(ctx, env, puts, &tree, &old_root, adds, count, &root);
    if (status >= 0) {
        ddb_track_set_root(out, &root, total);
    }
    return status;
}

/* Appends rows (any order; equal ones stay in theirs).  page_limit: DDB_TRACK_PAGE_LIMIT, _EARLY, or UINT64_MAX = stay inline.
   *out borrows from old and rows; its row list is in the arena. */
DDB_FN dreamdb_status ddb_track_insert(ddb_ctx *ctx, ddb_env *env, ddb_arena *arena, const ddb_track *old, const ddb_row *rows, size_t count, uint64_t page_limit,
                                       ddb_puts *puts, ddb_track *out)
{
    ddb_arena scratch;
    memset(&scratch, 0, sizeof scratch);
    dreamdb_status status = ddb_track_refuse(ctx, old);
    *out = *old;
    if (status < 0 || count == 0) {
        return status;
    }
    status = ddb_track_insert_in(ctx, env, arena, &scratch, old, rows, count, page_limit, puts, out);
    ddb_mem_arena_free(ctx, &scratch);
    return status;
}

DDB_FN int ddb_track_compare_cells(const void *a, const void *b, void *user)
{
    (void)user;
    return ddb_bytes_compare(*(const ddb_slice *)a, *(const ddb_slice *)b);
}

DDB_FN dreamdb_status ddb_track_replace_in(ddb_ctx *ctx, ddb_env *env, ddb_arena *arena, ddb_arena *scratch, const ddb_track *old, ddb_slice *cells, size_t cell_count,
                                           const ddb_row *rows, size_t count, ddb_puts *puts, ddb_track *out)
{
    ddb_page_tree tree;
    ddb_page_root root, old_root = ddb_track_root(old);
    const ddb_row **adds = NULL, **all = NULL;
    size_t all_count = 0;
    dreamdb_status status = ddb_track_tree(ctx, scratch, old, &tree);
    status = status < 0 ? status : ddb_track_check_rows(ctx, &tree, rows, count);
    status = status < 0 ? status : ddb_page_sort(ctx, scratch, &tree, rows, count, &adds);
    status = status < 0 ? status : ddb_coll_sort(ctx, cells, cell_count, sizeof *cells, ddb_track_compare_cells, NULL);
    if (status < 0) {
        return status;
    }
    if (old->form == DDB_TRACK_INLINE) {
        status = ddb_track_merge(ctx, scratch, &tree, old, cells, cell_count, adds, count, &all, &all_count);
        status = status < 0 ? status : ddb_track_settle(ctx, env, arena, &tree, all, all_count, UINT64_MAX, puts, out);
        if (status >= 0) {
            ddb_track_cover(out, all, all_count, true);
        }
        return status;
    }
    status = ddb_page_update(ctx, env, puts, &tree, &old_root, adds, count, cells, cell_count, &root);
    if (status >= 0) {
        out->t_min = root.child.t_min;
        out->t_max = root.child.t_max;
        ddb_track_set_root(out, &root, root.child.rows);
    }
    return status;
}

/* Spatial Tracks: drops every row of the cells and puts in rows (evolution.md 2, Replace).  A Track that loses its last row becomes an
   empty inline one; else the form stays. */
DDB_FN dreamdb_status ddb_track_replace(ddb_ctx *ctx, ddb_env *env, ddb_arena *arena, const ddb_track *old, const ddb_slice *cells, size_t cell_count,
                                        const ddb_row *rows, size_t count, ddb_puts *puts, ddb_track *out)
{
    ddb_arena scratch;
    memset(&scratch, 0, sizeof scratch);
    dreamdb_status status = ddb_track_refuse(ctx, old);
    *out = *old;
    if (status >= 0 && old->cls != DDB_TRACK_SPATIAL) {
        status = ddb_mem_fail_at(ctx, DREAMDB_ERR_ARGUMENT, old->path, "cells can be replaced in embedding Tracks only");
    }
    ddb_slice *sorted = status < 0 ? NULL : ddb_mem_arena_new(ctx, &scratch, ddb_slice, cell_count);
    if (!sorted) {
        return status < 0 ? status : DREAMDB_ERR_MEMORY;
    }
    if (cell_count > 0) {
        memcpy(sorted, cells, cell_count * sizeof *sorted);
    }
    status = ddb_track_replace_in(ctx, env, arena, &scratch, old, sorted, cell_count, rows, count, puts, out);
    ddb_mem_arena_free(ctx, &scratch);
    return status;
}

/* A Track from nothing but its rows; cls, modality and timeline are set. */
DDB_FN dreamdb_status ddb_track_build(ddb_ctx *ctx, ddb_env *env, ddb_arena *arena, ddb_track *track, const ddb_row *rows, size_t count, uint64_t page_limit,
                                      ddb_puts *puts)
{
    ddb_track empty = *track;
    ddb_track_empty(&empty);
    return ddb_track_insert(ctx, env, arena, &empty, rows, count, page_limit, puts, track);
}

/* ---- Reading ---- */

/* Which rows.  All members hold together; zero = all rows. */
typedef struct ddb_track_select {
    bool     by_time;
    uint64_t start, end;                     /* rows that meet [start, end) */
    const ddb_slice *keys; size_t key_count; /* sorted row keys (cell keys; CBOR values of a BITMAP); NULL = all */
    bool     by_value;                       /* BTREE: order bytes (ddb_page_order_bytes); BITMAP: CBOR of the value */
    ddb_slice low, high;
    bool     low_open, high_open, has_low, has_high;     /* open: the end itself is left out */
} ddb_track_select;

typedef struct ddb_track_filter { ddb_page_tree tree; ddb_track_select select; ddb_page_key low, high; } ddb_track_filter;

DDB_FN dreamdb_status ddb_track_filter_init(ddb_ctx *ctx, ddb_arena *arena, const ddb_track *track, const ddb_track_select *select, ddb_track_filter *out)
{
    bool good = true;
    memset(out, 0, sizeof *out);
    dreamdb_status status = ddb_track_refuse(ctx, track);
    status = status < 0 ? status : ddb_track_tree(ctx, arena, track, &out->tree);
    if (status < 0 || !select) {
        return status;
    }
    out->select = *select;
    if (select->by_value && out->tree.kind == DDB_PAGE_SCALAR) {
        good = (!select->has_low || ddb_page_key_from_order(out->tree.value, select->low, &out->low)) &&
               (!select->has_high || ddb_page_key_from_order(out->tree.value, select->high, &out->high));
    } else {
        out->low = ddb_page_key_text(select->low);
        out->high = ddb_page_key_text(select->high);
    }
    return good ? DREAMDB_OK : ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "a value range of numbers needs 8 order bytes");
}

/* May [low, high] hold a selected value? */
DDB_FN bool ddb_track_value_meets(const ddb_track_filter *filter, const ddb_page_key *low, const ddb_page_key *high)
{
    const ddb_track_select *s = &filter->select;
    int over = s->has_low ? ddb_page_key_compare(high, &filter->low) : 1;
    int under = s->has_high ? ddb_page_key_compare(low, &filter->high) : -1;
    return (over > 0 || (over == 0 && !s->low_open)) && (under < 0 || (under == 0 && !s->high_open));
}

/* First key >= text is in [text, high]? */
DDB_FN bool ddb_track_keys_meet(const ddb_track_select *select, ddb_slice low, ddb_slice high)
{
    size_t at = ddb_page_cells_from(select->keys, select->key_count, low, false);
    return at < select->key_count && ddb_bytes_compare(select->keys[at], high) <= 0;
}

DDB_FN bool ddb_track_wants(void *user, const ddb_page_child *child)
{
    const ddb_track_filter *filter = (const ddb_track_filter *)user;
    const ddb_track_select *s = &filter->select;
    ddb_page_kind kind = filter->tree.kind;
    if (kind == DDB_PAGE_SCALAR) {
        return !s->by_value || ddb_track_value_meets(filter, &child->low, &child->high);
    }
    return (!s->by_time || (child->t_min < s->end && child->t_max > s->start)) &&
           (!s->keys || kind != DDB_PAGE_SPATIAL || ddb_track_keys_meet(s, child->low.text, child->high.text));
}

DDB_FN bool ddb_track_takes(const ddb_track_filter *filter, const ddb_row *row)
{
    const ddb_track_select *s = &filter->select;
    ddb_page_key key;
    if (s->by_time && !(row->t_start < s->end && row->t_end > s->start)) {
        return false;
    }
    if (s->keys && !ddb_track_keys_meet(s, row->key, row->key)) {
        return false;
    }
    if (!s->by_value || filter->tree.kind < DDB_PAGE_SCALAR) {
        return true;
    }
    key = ddb_page_row_key(&filter->tree, row);
    return ddb_track_value_meets(filter, &key, &key);
}

typedef struct ddb_track_cursor {
    ddb_track_filter filter;
    ddb_track        track;
    ddb_arena        arena;
    ddb_page_cursor  pages;
    const ddb_row   *rows;                   /* of the track or the current leaf */
    size_t           count, at;
    bool             tree, all;              /* all: nothing was left out, so counts can be checked */
    uint64_t         seen;
} ddb_track_cursor;

DDB_FN void ddb_track_close(ddb_ctx *ctx, ddb_track_cursor *cursor)
{
    if (cursor) {
        ddb_page_cursor_close(ctx, &cursor->pages);
        ddb_mem_arena_free(ctx, &cursor->arena);
        ddb_mem_drop(ctx, cursor, ddb_track_cursor, 1);
    }
}

/* Opens a cursor; reads nothing yet.  track and select's slices must outlive it. */
DDB_FN dreamdb_status ddb_track_open(ddb_ctx *ctx, ddb_env *env, const ddb_track *track, const ddb_track_select *select, ddb_track_cursor **out)
{
    ddb_track_cursor *cursor = ddb_mem_new(ctx, ddb_track_cursor, 1);
    ddb_page_root root;
    *out = NULL;
    if (!cursor) {
        return DREAMDB_ERR_MEMORY;
    }
    cursor->track = *track;
    cursor->tree = track->form != DDB_TRACK_INLINE;
    cursor->all = !select || (!select->by_time && !select->keys && !select->by_value);
    dreamdb_status status = ddb_track_filter_init(ctx, &cursor->arena, track, select, &cursor->filter);
    if (status >= 0 && cursor->tree) {
        root = ddb_track_root(track);
        status = ddb_page_cursor_open(ctx, env, &cursor->filter.tree, &root.child, &cursor->pages);
        cursor->pages.want = ddb_track_wants;
        cursor->pages.user = &cursor->filter;
    } else if (status >= 0) {
        cursor->rows = track->rows;
        cursor->count = track->row_count;
    }
    if (status < 0) {
        ddb_track_close(ctx, cursor);
        return status;
    }
    *out = cursor;
    return DREAMDB_OK;
}

/* The next selected row in Track order, valid until the next call; OK, DONE or an error. */
DDB_FN dreamdb_status ddb_track_next(ddb_ctx *ctx, ddb_track_cursor *cursor, const ddb_row **row)
{
    for (;;) {
        const ddb_page *leaf = NULL;
        while (cursor->at < cursor->count) {
            const ddb_row *here = cursor->rows + cursor->at++;
            if (cursor->all || ddb_track_takes(&cursor->filter, here)) {
                cursor->seen++;
                *row = here;
                return DREAMDB_OK;
            }
        }
        cursor->count = 0;
        dreamdb_status status = cursor->tree ? ddb_page_cursor_next(ctx, &cursor->pages, &leaf) : DREAMDB_DONE;
        if (status == DREAMDB_DONE && cursor->tree && cursor->all && (cursor->seen != cursor->track.total || cursor->pages.pages != cursor->track.page_count)) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, cursor->track.path, "Track: its tree has %llu rows in %llu pages, not %llu in %llu",
                                   (unsigned long long)cursor->seen, (unsigned long long)cursor->pages.pages, (unsigned long long)cursor->track.total,
                                   (unsigned long long)cursor->track.page_count);
        }
        if (status != DREAMDB_OK) {
            return status;
        }
        cursor->rows = leaf->rows;
        cursor->count = leaf->count;
        cursor->at = 0;
    }
}

typedef struct ddb_track_found { ddb_track_filter filter; ddb_arena *arena; ddb_row *rows; size_t count, cap; } ddb_track_found;

/* Keeps the selected of count rows; keys are copied, neighbours of one key share it. */
DDB_FN dreamdb_status ddb_track_found_add(ddb_ctx *ctx, ddb_track_found *found, const ddb_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!ddb_track_takes(&found->filter, rows + i)) {
            continue;
        }
        if (found->count == found->cap) {
            size_t cap = found->cap > 0 ? found->cap * 2 : 64, bytes = 0;
            ddb_row *more = !ddb_mem_mul(cap, sizeof *more, &bytes) ? NULL : (ddb_row *)ddb_mem_resize(ctx, found->rows, found->cap * sizeof *more, bytes);
            if (!more) {
                return DREAMDB_ERR_MEMORY;
            }
            found->rows = more;
            found->cap = cap;
        }
        ddb_row *row = found->rows + found->count, *last = row - (found->count > 0);
        *row = rows[i];
        if (row != last && ddb_bytes_equal(last->key, row->key)) {
            row->key = last->key;
        } else if (row->key.size > 0) {
            const char *copy = ddb_mem_arena_copy(ctx, found->arena, row->key.data, row->key.size);
            if (!copy) {
                return DREAMDB_ERR_MEMORY;
            }
            row->key = ddb_bytes_slice(copy, row->key.size);
        }
        found->count++;
    }
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_track_found_leaf(ddb_ctx *ctx, void *user, const ddb_page *page)
{
    return ddb_track_found_add(ctx, (ddb_track_found *)user, page->rows, page->count);
}

/* All selected rows in Track order, copied into the arena; one batch a tree level (of at most DDB_PAGE_WAVE pages). */
DDB_FN dreamdb_status ddb_track_collect(ddb_ctx *ctx, ddb_env *env, ddb_arena *arena, const ddb_track *track, const ddb_track_select *select, ddb_row **rows, size_t *count)
{
    ddb_track_found found;
    ddb_page_visit visit;
    memset(&found, 0, sizeof found);
    memset(&visit, 0, sizeof visit);
    *rows = NULL;
    *count = 0;
    found.arena = arena;
    dreamdb_status status = ddb_track_filter_init(ctx, arena, track, select, &found.filter);
    if (status >= 0 && track->form == DDB_TRACK_INLINE) {
        status = ddb_track_found_add(ctx, &found, track->rows, track->row_count);
    } else if (status >= 0) {
        ddb_page_root root = ddb_track_root(track);
        visit.user = &found;
        visit.leaf = ddb_track_found_leaf;
        visit.want = ddb_track_wants;
        status = ddb_page_gather(ctx, env, &found.filter.tree, &root.child, &visit);
    }
    if (status >= 0) {
        *rows = ddb_mem_arena_new(ctx, arena, ddb_row, found.count);
        status = *rows ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    }
    if (status >= 0 && found.count > 0) {
        memcpy(*rows, found.rows, found.count * sizeof **rows);
        *count = found.count;
    }
    if (found.rows) {
        ddb_mem_drop(ctx, found.rows, ddb_row, found.cap);
    }
    return status;
}

typedef dreamdb_status (*ddb_track_page_fn)(ddb_ctx *ctx, void *user, const ddb_addr *addr, const char *path, uint32_t level, size_t size);
typedef struct ddb_track_walk { ddb_track_filter filter; ddb_track_page_fn each; void *user; } ddb_track_walk;

DDB_FN dreamdb_status ddb_track_walk_page(ddb_ctx *ctx, void *user, const ddb_page_child *child, const char *path, size_t size)
{
    ddb_track_walk *walk = (ddb_track_walk *)user;
    return walk->each ? walk->each(ctx, walk->user, &child->addr, path, child->level, size) : DREAMDB_OK;
}

/* Visits and checks every page, upper levels first; then the counts.  An inline Track has none. */
DDB_FN dreamdb_status ddb_track_walk_pages(ddb_ctx *ctx, ddb_env *env, const ddb_track *track, ddb_track_page_fn each, void *user)
{
    ddb_track_walk walk;
    ddb_page_visit visit;
    ddb_arena arena;
    memset(&walk, 0, sizeof walk);
    memset(&visit, 0, sizeof visit);
    memset(&arena, 0, sizeof arena);
    if (track->form != DDB_TRACK_PAGED && track->form != DDB_TRACK_SCALAR_TREE) {
        return DREAMDB_OK;
    }
    walk.each = each;
    walk.user = user;
    visit.user = &walk;
    visit.each = ddb_track_walk_page;
    dreamdb_status status = ddb_track_filter_init(ctx, &arena, track, NULL, &walk.filter);
    if (status >= 0) {
        ddb_page_root root = ddb_track_root(track);
        status = ddb_page_gather(ctx, env, &walk.filter.tree, &root.child, &visit);
    }
    if (status >= 0 && (visit.pages != track->page_count || visit.rows != track->total)) {
        status = ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, track->path, "Track: its tree has %llu rows in %llu pages, not %llu in %llu",
                                 (unsigned long long)visit.rows, (unsigned long long)visit.pages, (unsigned long long)track->total,
                                 (unsigned long long)track->page_count);
    }
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

/* ==== ROOM 19 manifest | prefix ddb_manifest_ | uses port mem bytes coll cbor addr schema ==== */
/* The Manifest: one immutable state (core.md 3).  Decoding checks everything that needs no other object; unknown top-level keys and
   registry entries are carried as bytes, so decode and encode give the same bytes.
   Invariant: active and lineage strictly ascend by (timeline, field, modality, address), edges by (child, parent), registry and extra by
   canonical key order; each lineage binding is reached from an active one over edges, and each layer reaches the Track its role names.
   Must never re-sort what a store gave: one state has one encoding.  Slices of a Manifest point into its bytes or into the arena. */

typedef struct ddb_binding { ddb_slice kind, role, field, modality; ddb_addr address, timeline; uint64_t t_min, t_max; } ddb_binding;
typedef struct ddb_end { ddb_slice field, modality; ddb_addr address, timeline; } ddb_end;
typedef struct ddb_edge { ddb_end child, parent; } ddb_edge;
typedef struct ddb_entry { ddb_slice key, value; } ddb_entry;      /* value: raw, encoded */
typedef struct ddb_manifest {
    uint64_t ts;
    ddb_slice writer, form;
    ddb_addr *parents;       size_t parent_count;
    ddb_addr *timelines;     size_t timeline_count;
    ddb_entry *registry;     size_t registry_count;
    ddb_binding *active;     size_t active_count;
    ddb_binding *lineage;    size_t lineage_count;
    ddb_edge *edges;         size_t edge_count;
    ddb_entry *extra;        size_t extra_count;
} ddb_manifest;

enum { DDB_MANIFEST_TRACKS_MAX = 1048576 };    /* bytes of the encoded tracks container: the reference refuses more, also on reading */
#define DDB_MANIFEST_FORM "lineage-v1"
#define DDB_MANIFEST_LAYER "layer-of:"
#define DDB_MANIFEST_SCHEMA "dreamdb.schema"
#define DDB_MANIFEST_TOMBSTONES "dreamdb.tombstones"
#define DDB_MANIFEST_ENTITY_KEYS "dreamdb.entity_keys"

/* ---- Order ---- */

DDB_FN ddb_end ddb_manifest_end(const ddb_binding *binding)
{
    ddb_end out;
    out.field = binding->field;
    out.modality = binding->modality;
    out.address = binding->address;
    out.timeline = binding->timeline;
    return out;
}

/* BindingOrderKey: timeline, field, modality, address. */
DDB_FN int ddb_manifest_compare_end(const ddb_end *a, const ddb_end *b)
{
    int order = ddb_addr_compare(&a->timeline, &b->timeline);
    order = order != 0 ? order : ddb_bytes_compare(a->field, b->field);
    order = order != 0 ? order : ddb_bytes_compare(a->modality, b->modality);
    return order != 0 ? order : ddb_addr_compare(&a->address, &b->address);
}

DDB_FN int ddb_manifest_compare(const ddb_binding *a, const ddb_binding *b)
{
    ddb_end x = ddb_manifest_end(a), y = ddb_manifest_end(b);
    return ddb_manifest_compare_end(&x, &y);
}

DDB_FN int ddb_manifest_compare_edge(const ddb_edge *a, const ddb_edge *b)
{
    int order = ddb_manifest_compare_end(&a->child, &b->child);
    return order != 0 ? order : ddb_manifest_compare_end(&a->parent, &b->parent);
}

DDB_FN int ddb_manifest_sort_binding(const void *a, const void *b, void *user)
{
    (void)user;
    return ddb_manifest_compare((const ddb_binding *)a, (const ddb_binding *)b);
}

DDB_FN int ddb_manifest_sort_edge(const void *a, const void *b, void *user)
{
    (void)user;
    return ddb_manifest_compare_edge((const ddb_edge *)a, (const ddb_edge *)b);
}

/* Place of an end in a sorted list of bindings, or count when it is not there. */
DDB_FN size_t ddb_manifest_find(const ddb_binding *list, size_t count, const ddb_end *end)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        ddb_end at = ddb_manifest_end(list + middle);
        int order = ddb_manifest_compare_end(&at, end);
        if (order == 0) {
            return middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return count;
}

/* The address that a role "layer-of:TEXT" names; false for "base". */
DDB_FN bool ddb_manifest_layer_of(const ddb_binding *binding, ddb_addr *out)
{
    size_t size = sizeof DDB_MANIFEST_LAYER - 1;
    return ddb_bytes_starts(binding->role, DDB_MANIFEST_LAYER)
           && ddb_addr_parse(ddb_bytes_slice(binding->role.data + size, binding->role.size - size), out);
}

/* ---- Reading ---- */

/* A decode under way.  status: set when something other than the form of the bytes is wrong (no memory, unknown form). */
typedef struct ddb_manifest_load {
    ddb_ctx *ctx; ddb_arena *arena; ddb_cbor r; const char *path; ddb_manifest *out; dreamdb_status status;
} ddb_manifest_load;

DDB_FN bool ddb_manifest_stop(ddb_manifest_load *load, dreamdb_status status)
{
    load->status = status;
    return false;
}

/* One key of a closed map: which of the wanted ones, in canonical order.  Since keys are canonical and all are needed, key i is want[i]. */
DDB_FN bool ddb_manifest_key(ddb_cbor *r, const char *want)
{
    ddb_slice key;
    size_t start = r->at;
    return ddb_cbor_read_text(r, &key) && (ddb_bytes_is(key, want) || ddb_cbor_bad(r, start, "a key is missing, unknown or out of order"));
}

/* The head of a closed map of so many keys. */
DDB_FN bool ddb_manifest_map(ddb_cbor *r, size_t want)
{
    size_t count = 0, start = r->at;
    return ddb_cbor_read_map(r, &count) && (count == want || ddb_cbor_bad(r, start, "a closed map has another number of keys"));
}

DDB_FN bool ddb_manifest_read_modality(ddb_cbor *r, ddb_slice *out)
{
    size_t start = r->at;
    return ddb_cbor_read_text(r, out) && (ddb_addr_modality_valid(*out) || ddb_cbor_bad(r, start, "a modality is malformed"));
}

DDB_FN bool ddb_manifest_read_end(ddb_cbor *r, ddb_end *out)
{
    return ddb_manifest_map(r, 4)
           && ddb_manifest_key(r, "field") && ddb_cbor_read_text(r, &out->field)
           && ddb_manifest_key(r, "address") && ddb_addr_read(r, &out->address)
           && ddb_manifest_key(r, "modality") && ddb_manifest_read_modality(r, &out->modality)
           && ddb_manifest_key(r, "timeline") && ddb_addr_read(r, &out->timeline);
}

DDB_FN bool ddb_manifest_read_coverage(ddb_cbor *r, uint64_t *t_min, uint64_t *t_max)
{
    size_t count = 0, start = r->at;
    return ddb_cbor_read_array(r, &count) && (count == 2 || ddb_cbor_bad(r, start, "a coverage is not [t_min, t_max]"))
           && ddb_cbor_read_uint(r, t_min) && ddb_cbor_read_uint(r, t_max)
           && (*t_min < *t_max || ddb_cbor_bad(r, start, "a coverage is not half-open with t_min < t_max"));
}

DDB_FN bool ddb_manifest_read_kind(ddb_cbor *r, ddb_slice *out)
{
    size_t start = r->at;
    return ddb_cbor_read_text(r, out)
           && (ddb_bytes_is(*out, "continuous") || ddb_bytes_is(*out, "event") || ddb_bytes_is(*out, "constant")
               || ddb_cbor_bad(r, start, "a binding's kind is not continuous, event or constant"));
}

DDB_FN bool ddb_manifest_read_binding(ddb_cbor *r, ddb_binding *out)
{
    ddb_addr parent;
    size_t start = 0;
    bool good = ddb_manifest_map(r, 7) && ddb_manifest_key(r, "kind") && ddb_manifest_read_kind(r, &out->kind)
        && ddb_manifest_key(r, "role");
    start = r->at;
    good = good && ddb_cbor_read_text(r, &out->role)
           && (ddb_bytes_is(out->role, "base") || ddb_manifest_layer_of(out, &parent)
               || ddb_cbor_bad(r, start, "a role is not base or layer-of:ADDRESS"));
    good = good && ddb_manifest_key(r, "field") && ddb_cbor_read_text(r, &out->field)
           && ddb_manifest_key(r, "address") && ddb_addr_read(r, &out->address)
           && ddb_manifest_key(r, "coverage") && ddb_manifest_read_coverage(r, &out->t_min, &out->t_max);
    start = r->at;
    good = good && ddb_manifest_key(r, "modality") && ddb_manifest_read_modality(r, &out->modality)
           && ddb_manifest_key(r, "timeline") && ddb_addr_read(r, &out->timeline);
    const char *kind = good ? ddb_schema_class(out->modality) : NULL;
    return good && (!kind || ddb_bytes_is(out->kind, kind)
                    || ddb_cbor_bad(r, start, "a binding's kind is not the one of its modality's class"));
}

DDB_FN bool ddb_manifest_read_bindings(ddb_manifest_load *load, ddb_binding **list, size_t *count)
{
    ddb_cbor *r = &load->r;
    size_t n = 0;
    if (!ddb_cbor_count(r, DDB_CBOR_ARRAY, 100, &n, "active and lineage are arrays")) {      /* a binding is 120 bytes at least */
        return false;
    }
    *list = ddb_mem_arena_new(load->ctx, load->arena, ddb_binding, n);
    if (!*list) {
        return ddb_manifest_stop(load, DREAMDB_ERR_MEMORY);
    }
    for (size_t i = 0; i < n; i++) {
        size_t start = r->at;
        if (!ddb_manifest_read_binding(r, *list + i)) {
            return false;
        }
        if (i > 0 && ddb_manifest_compare(*list + i - 1, *list + i) >= 0) {
            return ddb_cbor_bad(r, start, "bindings do not strictly ascend");
        }
    }
    *count = n;
    return true;
}

DDB_FN bool ddb_manifest_read_edges(ddb_manifest_load *load)
{
    ddb_cbor *r = &load->r;
    size_t n = 0;
    if (!ddb_cbor_count(r, DDB_CBOR_ARRAY, 200, &n, "edges is an array")) {                   /* an edge is 220 bytes at least */
        return false;
    }
    ddb_edge *list = ddb_mem_arena_new(load->ctx, load->arena, ddb_edge, n);
    if (!list) {
        return ddb_manifest_stop(load, DREAMDB_ERR_MEMORY);
    }
    for (size_t i = 0; i < n; i++) {
        size_t start = r->at;
        if (!ddb_manifest_map(r, 2) || !ddb_manifest_key(r, "child") || !ddb_manifest_read_end(r, &list[i].child)
            || !ddb_manifest_key(r, "exact_parent") || !ddb_manifest_read_end(r, &list[i].parent)) {
            return false;
        }
        if (ddb_manifest_compare_end(&list[i].child, &list[i].parent) == 0) {
            return ddb_cbor_bad(r, start, "an edge is a self-edge");
        }
        if (i > 0 && ddb_manifest_compare_end(&list[i - 1].child, &list[i].child) >= 0) {
            return ddb_cbor_bad(r, start, "edges do not strictly ascend, or two share a child");
        }
    }
    load->out->edges = list;
    load->out->edge_count = n;
    return true;
}

/* The form decides how the rest is read; only lineage-v1 is. */
DDB_FN bool ddb_manifest_read_form(ddb_manifest_load *load)
{
    ddb_slice *form = &load->out->form;
    ddb_addr_shown shown;
    if (!ddb_manifest_key(&load->r, "form") || !ddb_cbor_read_text(&load->r, form)) {
        return false;
    }
    if (ddb_bytes_is(*form, DDB_MANIFEST_FORM)) {
        return true;
    }
    bool known = ddb_bytes_is(*form, "lineage-v2") || ddb_bytes_is(*form, "lineage-v4") || ddb_bytes_is(*form, "lineage-v5");
    return ddb_manifest_stop(load, ddb_mem_fail_at(load->ctx, known ? DREAMDB_ERR_UNSUPPORTED : DREAMDB_ERR_FORMAT, load->path,
                             known ? "Manifest form %s (%s) is not in this version" : "Manifest form '%s' is not known%s",
                             ddb_addr_show(*form, &shown), !known ? "" : ddb_bytes_is(*form, "lineage-v2") ? "backfill claims"
                             : ddb_bytes_is(*form, "lineage-v4") ? "entity keys" : "origins"));
}

DDB_FN bool ddb_manifest_read_tracks(ddb_manifest_load *load)
{
    ddb_manifest *out = load->out;
    size_t start = load->r.at, count = 0;
    if (!ddb_cbor_read_map(&load->r, &count) || !ddb_manifest_read_form(load)) {
        return false;
    }
    if (count != 4) {
        return ddb_cbor_bad(&load->r, start, "the tracks container has another number of keys than four");
    }
    bool good = ddb_manifest_key(&load->r, "edges") && ddb_manifest_read_edges(load)
                && ddb_manifest_key(&load->r, "active") && ddb_manifest_read_bindings(load, &out->active, &out->active_count)
                && ddb_manifest_key(&load->r, "lineage") && ddb_manifest_read_bindings(load, &out->lineage, &out->lineage_count);
    if (good && load->r.at - start > DDB_MANIFEST_TRACKS_MAX) {
        return ddb_manifest_stop(load, ddb_mem_fail_at(load->ctx, DREAMDB_ERR_LIMIT, load->path,
                                                       "the lineage container is %zu bytes, over the %d limit",
                                                       load->r.at - start, (int)DDB_MANIFEST_TRACKS_MAX));
    }
    return good;
}

DDB_FN bool ddb_manifest_read_addrs(ddb_manifest_load *load, ddb_addr **list, size_t *count)
{
    size_t n = 0;
    if (!ddb_cbor_count(&load->r, DDB_CBOR_ARRAY, 2 + DREAMDB_ADDRESS_SIZE, &n, "a list of addresses is expected here")) {
        return false;
    }
    *list = ddb_mem_arena_new(load->ctx, load->arena, ddb_addr, n);
    *count = n;
    if (!*list) {
        return ddb_manifest_stop(load, DREAMDB_ERR_MEMORY);
    }
    for (size_t i = 0; i < n; i++) {
        if (!ddb_addr_read(&load->r, *list + i)) {
            return false;
        }
    }
    return true;
}

DDB_FN bool ddb_manifest_read_registry(ddb_manifest_load *load)
{
    ddb_slice previous = { NULL, 0 };
    size_t n = 0;
    if (!ddb_cbor_read_map(&load->r, &n)) {
        return false;
    }
    load->out->registry = ddb_mem_arena_new(load->ctx, load->arena, ddb_entry, n);
    load->out->registry_count = n;
    if (!load->out->registry) {
        return ddb_manifest_stop(load, DREAMDB_ERR_MEMORY);
    }
    for (size_t i = 0; i < n; i++) {
        ddb_entry *entry = load->out->registry + i;
        if (!ddb_cbor_next_key(&load->r, &entry->key, &previous) || !ddb_cbor_skip(&load->r, &entry->value)) {
            return false;
        }
    }
    return true;
}

static const char *const ddb_manifest_keys[] = { "ts", "tracks", "writer", "parents", "registry", "timelines" };
enum { DDB_MANIFEST_KEYS = 6 };

DDB_FN bool ddb_manifest_read_member(ddb_manifest_load *load, size_t which)
{
    ddb_manifest *out = load->out;
    switch (which) {
    case 0: return ddb_cbor_read_uint(&load->r, &out->ts);
    case 1: return ddb_manifest_read_tracks(load);
    case 2: return ddb_cbor_read_text(&load->r, &out->writer);
    case 3: return ddb_manifest_read_addrs(load, &out->parents, &out->parent_count);
    case 4: return ddb_manifest_read_registry(load);
    default: return ddb_manifest_read_addrs(load, &out->timelines, &out->timeline_count);
    }
}

DDB_FN bool ddb_manifest_read(ddb_manifest_load *load)
{
    ddb_slice key, previous = { NULL, 0 };
    ddb_manifest *out = load->out;
    size_t n = 0, have = 0;
    if (!ddb_cbor_read_map(&load->r, &n)) {
        return false;
    }
    out->extra = ddb_mem_arena_new(load->ctx, load->arena, ddb_entry, n);
    if (!out->extra) {
        return ddb_manifest_stop(load, DREAMDB_ERR_MEMORY);
    }
    for (size_t i = 0; i < n; i++) {
        size_t which = 0;
        if (!ddb_cbor_next_key(&load->r, &key, &previous)) {
            return false;
        }
        while (which < DDB_MANIFEST_KEYS && !ddb_bytes_is(key, ddb_manifest_keys[which])) {
            which++;
        }
        if (which < DDB_MANIFEST_KEYS) {
            have |= (size_t)1 << which;
            if (!ddb_manifest_read_member(load, which)) {
                return false;
            }
            continue;
        }
        if (ddb_bytes_is(key, "space_config") && ddb_cbor_peek(&load->r) != DDB_CBOR_MAP) {
            return ddb_cbor_bad(&load->r, load->r.at, "space_config must be a map");
        }
        ddb_entry *entry = out->extra + out->extra_count++;
        entry->key = key;
        if (!ddb_cbor_skip(&load->r, &entry->value)) {
            return false;
        }
    }
    for (size_t k = 0; k < DDB_MANIFEST_KEYS; k++) {
        if (!(have >> k & 1)) {
            return ddb_manifest_stop(load, ddb_mem_fail_at(load->ctx, DREAMDB_ERR_CORRUPT, load->path, "manifest is missing `%s`",
                                                           ddb_manifest_keys[k]));
        }
    }
    return ddb_cbor_end(&load->r);
}

/* ---- The graph of bindings ---- */

#define DDB_MANIFEST_NONE SIZE_MAX

/* Node i: active[i], or lineage[i - active_count].  up[i]: the node of its exact parent, or NONE. */
typedef struct ddb_manifest_graph { size_t count, *up, *mark; } ddb_manifest_graph;

DDB_FN const ddb_binding *ddb_manifest_node(const ddb_manifest *m, size_t i)
{
    return i < m->active_count ? m->active + i : m->lineage + (i - m->active_count);
}

DDB_FN size_t ddb_manifest_node_of(const ddb_manifest *m, const ddb_end *end)
{
    size_t at = ddb_manifest_find(m->active, m->active_count, end);
    if (at < m->active_count) {
        return at;
    }
    at = ddb_manifest_find(m->lineage, m->lineage_count, end);
    return at < m->lineage_count ? m->active_count + at : DDB_MANIFEST_NONE;
}

DDB_FN void ddb_manifest_graph_free(ddb_ctx *ctx, ddb_manifest_graph *graph)
{
    ddb_mem_drop(ctx, graph->up, size_t, graph->count);
    ddb_mem_drop(ctx, graph->mark, size_t, graph->count);
    graph->up = graph->mark = NULL;
}

/* Makes up[]; why gets what is wrong with an edge.  graph is freed by the caller in each case. */
DDB_FN dreamdb_status ddb_manifest_graph_make(ddb_ctx *ctx, const ddb_manifest *m, ddb_manifest_graph *graph, const char **why)
{
    graph->count = m->active_count + m->lineage_count;
    graph->up = ddb_mem_new(ctx, size_t, graph->count);
    graph->mark = ddb_mem_new(ctx, size_t, graph->count);
    if (!graph->up || !graph->mark) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < graph->count; i++) {
        graph->up[i] = DDB_MANIFEST_NONE;
    }
    for (size_t e = 0; e < m->edge_count; e++) {
        size_t child = ddb_manifest_node_of(m, &m->edges[e].child), parent = ddb_manifest_node_of(m, &m->edges[e].parent);
        if (child == DDB_MANIFEST_NONE || parent == DDB_MANIFEST_NONE) {
            *why = "an edge's end is neither in active nor in lineage";
            return DREAMDB_ERR_CORRUPT;
        }
        graph->up[child] = parent;
    }
    return DREAMDB_OK;
}

/* Two bindings of one field and timeline, or one binding in both lists. */
DDB_FN const char *ddb_manifest_collision(const ddb_manifest *m)
{
    for (size_t i = 0; i < m->active_count; i++) {
        ddb_end end = ddb_manifest_end(m->active + i);
        if (i > 0 && ddb_bytes_equal(m->active[i - 1].field, end.field) && ddb_addr_equal(&m->active[i - 1].timeline, &end.timeline)) {
            return "two active bindings are of one field";
        }
        if (ddb_manifest_find(m->lineage, m->lineage_count, &end) < m->lineage_count) {
            return "a binding is in active and in lineage";
        }
    }
    return NULL;
}

/* Marks what active bindings reach with 1. */
DDB_FN void ddb_manifest_reach(const ddb_manifest *m, ddb_manifest_graph *graph)
{
    memset(graph->mark, 0, graph->count * sizeof *graph->mark);
    for (size_t i = 0; i < m->active_count; i++) {
        for (size_t at = i; at != DDB_MANIFEST_NONE && graph->mark[at] == 0; at = graph->up[at]) {
            graph->mark[at] = 1;
        }
    }
}

/* Is the Track that the role of node names a proper ancestor of it?  (A role is proved by ancestry: tried.) */
DDB_FN bool ddb_manifest_role_good(const ddb_manifest *m, const ddb_manifest_graph *graph, size_t node)
{
    ddb_addr want;
    if (!ddb_manifest_layer_of(ddb_manifest_node(m, node), &want)) {
        return true;
    }
    for (size_t at = graph->up[node]; at != DDB_MANIFEST_NONE; at = graph->up[at]) {
        const ddb_binding *binding = ddb_manifest_node(m, at);
        if (ddb_addr_equal(&binding->address, &want)) {
            return true;
        }
    }
    return false;
}

/* Cycles, closure, roles; NULL if all is well.  The size limit of the container bounds the walks of roles. */
DDB_FN const char *ddb_manifest_graph_bad(const ddb_manifest *m, ddb_manifest_graph *graph)
{
    for (size_t i = 0; i < graph->count; i++) {
        size_t at = i;
        for (; at != DDB_MANIFEST_NONE && graph->mark[at] == 0; at = graph->up[at]) {
            graph->mark[at] = i + 1;           /* the walk that came here first */
        }
        if (at != DDB_MANIFEST_NONE && graph->mark[at] == i + 1) {
            return "the edges contain a cycle";
        }
    }
    ddb_manifest_reach(m, graph);
    for (size_t i = 0; i < graph->count; i++) {
        if (graph->mark[i] == 0) {
            return "a lineage binding is not reachable from any active one";
        }
        if (!ddb_manifest_role_good(m, graph, i)) {
            return "a layer's role names a Track that is no ancestor of it";
        }
    }
    return NULL;
}

DDB_FN dreamdb_status ddb_manifest_check(ddb_ctx *ctx, const ddb_manifest *m, const char *path)
{
    ddb_manifest_graph graph;
    memset(&graph, 0, sizeof graph);
    const char *why = ddb_manifest_collision(m);
    dreamdb_status status = DREAMDB_OK;
    if (!why) {
        status = ddb_manifest_graph_make(ctx, m, &graph, &why);
        if (status == DREAMDB_OK) {
            why = ddb_manifest_graph_bad(m, &graph);
        }
        ddb_manifest_graph_free(ctx, &graph);
    }
    return why ? ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "manifest: %s", why) : status;
}

/* bytes must outlive m. */
DDB_FN dreamdb_status ddb_manifest_decode(ddb_ctx *ctx, ddb_arena *arena, ddb_slice bytes, const char *path, ddb_manifest *m)
{
    ddb_manifest_load load;
    memset(&load, 0, sizeof load);
    memset(m, 0, sizeof *m);
    load.ctx = ctx;
    load.arena = arena;
    load.path = path;
    load.out = m;
    ddb_cbor_open(&load.r, bytes);
    if (!ddb_manifest_read(&load)) {
        return load.status < 0 ? load.status : ddb_cbor_corrupt(ctx, &load.r, "manifest", path);
    }
    return ddb_manifest_check(ctx, m, path);
}

/* ---- Writing ---- */

DDB_FN void ddb_manifest_put_end(ddb_buf *buf, const ddb_end *end)
{
    ddb_cbor_map(buf, 4);
    ddb_cbor_str(buf, "field");
    ddb_cbor_text(buf, end->field.data, end->field.size);
    ddb_cbor_str(buf, "address");
    ddb_addr_write(buf, &end->address);
    ddb_cbor_str(buf, "modality");
    ddb_cbor_text(buf, end->modality.data, end->modality.size);
    ddb_cbor_str(buf, "timeline");
    ddb_addr_write(buf, &end->timeline);
}

DDB_FN void ddb_manifest_put_bindings(ddb_buf *buf, const char *key, const ddb_binding *list, size_t count)
{
    ddb_cbor_str(buf, key);
    ddb_cbor_array(buf, count);
    for (size_t i = 0; i < count; i++) {
        const ddb_binding *b = list + i;
        DREAMDB_ASSERT(i == 0 || ddb_manifest_compare(b - 1, b) < 0);
        ddb_cbor_map(buf, 7);
        ddb_cbor_str(buf, "kind");
        ddb_cbor_text(buf, b->kind.data, b->kind.size);
        ddb_cbor_str(buf, "role");
        ddb_cbor_text(buf, b->role.data, b->role.size);
        ddb_cbor_str(buf, "field");
        ddb_cbor_text(buf, b->field.data, b->field.size);
        ddb_cbor_str(buf, "address");
        ddb_addr_write(buf, &b->address);
        ddb_cbor_str(buf, "coverage");
        ddb_cbor_array(buf, 2);
        ddb_cbor_uint(buf, b->t_min);
        ddb_cbor_uint(buf, b->t_max);
        ddb_cbor_str(buf, "modality");
        ddb_cbor_text(buf, b->modality.data, b->modality.size);
        ddb_cbor_str(buf, "timeline");
        ddb_addr_write(buf, &b->timeline);
    }
}

DDB_FN void ddb_manifest_put_tracks(ddb_buf *buf, const ddb_manifest *m)
{
    ddb_cbor_map(buf, 4);
    ddb_cbor_str(buf, "form");
    ddb_cbor_str(buf, DDB_MANIFEST_FORM);
    ddb_cbor_str(buf, "edges");
    ddb_cbor_array(buf, m->edge_count);
    for (size_t i = 0; i < m->edge_count; i++) {
        DREAMDB_ASSERT(i == 0 || ddb_manifest_compare_edge(m->edges + i - 1, m->edges + i) < 0);
        ddb_cbor_map(buf, 2);
        ddb_cbor_str(buf, "child");
        ddb_manifest_put_end(buf, &m->edges[i].child);
        ddb_cbor_str(buf, "exact_parent");
        ddb_manifest_put_end(buf, &m->edges[i].parent);
    }
    ddb_manifest_put_bindings(buf, "active", m->active, m->active_count);
    ddb_manifest_put_bindings(buf, "lineage", m->lineage, m->lineage_count);
}

DDB_FN void ddb_manifest_put_addrs(ddb_buf *buf, const ddb_addr *list, size_t count)
{
    ddb_cbor_array(buf, count);
    for (size_t i = 0; i < count; i++) {
        ddb_addr_write(buf, list + i);
    }
}

DDB_FN void ddb_manifest_put_entries(ddb_buf *buf, const ddb_entry *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        DREAMDB_ASSERT(i == 0 || ddb_cbor_key_compare(list[i - 1].key, list[i].key) < 0);
        ddb_cbor_text(buf, list[i].key.data, list[i].key.size);
        ddb_cbor_raw(buf, list[i].value);
    }
}

DDB_FN void ddb_manifest_put_member(ddb_buf *buf, const ddb_manifest *m, size_t which)
{
    ddb_cbor_str(buf, ddb_manifest_keys[which]);
    switch (which) {
    case 0: ddb_cbor_uint(buf, m->ts); break;
    case 1: ddb_manifest_put_tracks(buf, m); break;
    case 2: ddb_cbor_text(buf, m->writer.data, m->writer.size); break;
    case 3: ddb_manifest_put_addrs(buf, m->parents, m->parent_count); break;
    case 4:
        ddb_cbor_map(buf, m->registry_count);
        ddb_manifest_put_entries(buf, m->registry, m->registry_count);
        break;
    default: ddb_manifest_put_addrs(buf, m->timelines, m->timeline_count); break;
    }
}

/* Appends the object to buf.  LIMIT when the tracks container passes 1 MiB: publish without lineage then (ddb_manifest_relax). */
DDB_FN dreamdb_status ddb_manifest_encode(ddb_buf *buf, const ddb_manifest *m)
{
    size_t extra = 0;
    ddb_cbor_map(buf, DDB_MANIFEST_KEYS + m->extra_count);
    for (size_t which = 0; which < DDB_MANIFEST_KEYS; which++) {
        ddb_slice key = ddb_bytes_text(ddb_manifest_keys[which]);
        for (; extra < m->extra_count && ddb_cbor_key_compare(m->extra[extra].key, key) < 0; extra++) {
            ddb_manifest_put_entries(buf, m->extra + extra, 1);
        }
        size_t start = buf->size;
        ddb_manifest_put_member(buf, m, which);
        if (which == 1 && buf->size - start > DDB_MANIFEST_TRACKS_MAX + sizeof "tracks") {
            return ddb_mem_fail(buf->ctx, DREAMDB_ERR_LIMIT, "the lineage container is %zu bytes, over the %d limit; publish without "
                                "config.identical, or with fewer fields",
                                buf->size - start - sizeof "tracks", (int)DDB_MANIFEST_TRACKS_MAX);
        }
    }
    ddb_manifest_put_entries(buf, m->extra + extra, m->extra_count - extra);
    return ddb_bytes_status(buf);
}

/* ---- Registry ---- */

DDB_FN const ddb_entry *ddb_manifest_entry(const ddb_manifest *m, ddb_slice key)
{
    for (size_t i = 0; i < m->registry_count; i++) {
        if (ddb_bytes_equal(m->registry[i].key, key)) {
            return m->registry + i;
        }
    }
    return NULL;
}

/* Inserts, replaces or (raw.size 0) removes an entry in a fresh list; key and raw are copied into the arena. */
DDB_FN dreamdb_status ddb_manifest_set_entry(ddb_ctx *ctx, ddb_arena *arena, ddb_manifest *m, ddb_slice key, ddb_slice raw)
{
    size_t at = 0, count = 0;
    bool same = false;
    ddb_entry entry;
    while (at < m->registry_count && ddb_cbor_key_compare(m->registry[at].key, key) < 0) {
        at++;
    }
    same = at < m->registry_count && ddb_bytes_equal(m->registry[at].key, key);
    DREAMDB_ASSERT(raw.size == 0 || ddb_cbor_valid(raw));
    ddb_entry *list = ddb_mem_arena_new(ctx, arena, ddb_entry, m->registry_count + 1);
    entry.key = ddb_bytes_slice(ddb_mem_arena_copy(ctx, arena, key.data, key.size), key.size);
    entry.value = ddb_bytes_slice(ddb_mem_arena_copy(ctx, arena, raw.data, raw.size), raw.size);
    if (!list || !entry.key.data || !entry.value.data) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < at; i++) {
        list[count++] = m->registry[i];
    }
    if (raw.size > 0) {
        list[count++] = entry;
    }
    for (size_t i = at + same; i < m->registry_count; i++) {
        list[count++] = m->registry[i];
    }
    m->registry = list;
    m->registry_count = count;
    return DREAMDB_OK;
}

/* May a user set this registry key as meta?  ARGUMENT with the rule when not. */
DDB_FN dreamdb_status ddb_manifest_meta_key(ddb_ctx *ctx, ddb_slice key)
{
    ddb_addr_shown shown;
    if (!ddb_bytes_starts(key, "dreamdb.") || !ddb_bytes_utf8(key)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "meta key '%s' must start with 'dreamdb.'", ddb_addr_show(key, &shown));
    }
    if (ddb_bytes_is(key, DDB_MANIFEST_SCHEMA) || ddb_bytes_is(key, DDB_MANIFEST_TOMBSTONES)
        || ddb_bytes_is(key, DDB_MANIFEST_ENTITY_KEYS)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "meta key '%s' is a structural key of the format; it cannot be set",
                            ddb_addr_show(key, &shown));
    }
    return DREAMDB_OK;
}

/* Sets a meta key to a text (rules of ddb_manifest_meta_key). */
DDB_FN dreamdb_status ddb_manifest_set_meta(ddb_ctx *ctx, ddb_arena *arena, ddb_manifest *m, ddb_slice key, ddb_slice value)
{
    ddb_buf raw;
    ddb_addr_shown shown;
    dreamdb_status status = ddb_manifest_meta_key(ctx, key);
    if (status < 0) {
        return status;
    }
    if (!ddb_bytes_utf8(value)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "the value of meta key '%s' is not UTF-8", ddb_addr_show(key, &shown));
    }
    ddb_bytes_init(&raw, ctx);
    ddb_cbor_text(&raw, value.data, value.size);
    status = ddb_bytes_status(&raw);
    status = status < 0 ? status : ddb_manifest_set_entry(ctx, arena, m, key, ddb_bytes_of(&raw));
    ddb_bytes_free(&raw);
    return status;
}

/* The head of the tombstones: *has false without any. */
DDB_FN dreamdb_status ddb_manifest_tombstones(ddb_ctx *ctx, const ddb_manifest *m, const char *path, bool *has, ddb_addr *head)
{
    const ddb_entry *entry = ddb_manifest_entry(m, ddb_bytes_text(DDB_MANIFEST_TOMBSTONES));
    ddb_slice value;
    ddb_cbor r;
    *has = entry != NULL;
    if (!entry) {
        return DREAMDB_OK;
    }
    if (!ddb_cbor_map_find(entry->value, "head", &value)) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "manifest: registry key dreamdb.tombstones is no map with a `head`");
    }
    ddb_cbor_open(&r, value);
    return ddb_addr_read(&r, head) ? DREAMDB_OK : ddb_cbor_corrupt(ctx, &r, "manifest: head of dreamdb.tombstones", path);
}

/* A registry entry with one key of its map set to an address; other keys stay. */
DDB_FN dreamdb_status ddb_manifest_set_member(ddb_ctx *ctx, ddb_arena *arena, ddb_manifest *m, ddb_slice key, const char *member,
                                              ddb_slice value)
{
    const ddb_entry *old = ddb_manifest_entry(m, key);
    ddb_addr_shown shown;
    ddb_buf map;
    dreamdb_status status = DREAMDB_ERR_MEMORY;
    ddb_bytes_init(&map, ctx);
    if (!ddb_cbor_map_edit(&map, old ? old->value : ddb_bytes_slice(NULL, 0), member, value)) {
        status = ddb_mem_fail(ctx, DREAMDB_ERR_CORRUPT, "manifest: registry key '%s' is no map", ddb_addr_show(key, &shown));
    } else if (!map.failed) {
        status = ddb_manifest_set_entry(ctx, arena, m, key, ddb_bytes_of(&map));
    }
    ddb_bytes_free(&map);
    return status;
}

DDB_FN dreamdb_status ddb_manifest_set_member_addr(ddb_ctx *ctx, ddb_arena *arena, ddb_manifest *m, ddb_slice key, const char *member,
                                                   const ddb_addr *addr)
{
    uint8_t raw[2 + DREAMDB_ADDRESS_SIZE] = { 0x58, DREAMDB_ADDRESS_SIZE };      /* head of a byte string of 33 */
    memcpy(raw + 2, addr->bytes, DREAMDB_ADDRESS_SIZE);
    return ddb_manifest_set_member(ctx, arena, m, key, member, ddb_bytes_slice(raw, sizeof raw));
}

DDB_FN dreamdb_status ddb_manifest_set_tombstones(ddb_ctx *ctx, ddb_arena *arena, ddb_manifest *m, const ddb_addr *head)
{
    return ddb_manifest_set_member_addr(ctx, arena, m, ddb_bytes_text(DDB_MANIFEST_TOMBSTONES), "head", head);
}

DDB_FN dreamdb_status ddb_manifest_set_scalar(ddb_ctx *ctx, ddb_arena *arena, ddb_manifest *m, ddb_slice modality, const ddb_addr *index)
{
    return ddb_manifest_set_member_addr(ctx, arena, m, modality, "scalar_index_hash", index);
}

/* The registry entry of an embedding's modality: {algorithm, spatial_index: [address...], vector_compressor, hot_shard ...}. */
typedef struct ddb_registry_embedding {
    ddb_slice algorithm;
    ddb_addr index;                            /* the first of index_count */
    size_t index_count;                        /* more than one: several tables, not in this version */
    bool has_compressor, has_hot, has_graph;   /* hot_shard: rows outside the Track; graph_index: a graph instead of cells */
    ddb_addr compressor;
} ddb_registry_embedding;

/* Fills in what the entry's map says; what only has a wrong form fails the reader. */
DDB_FN bool ddb_manifest_read_embedding(ddb_cbor *r, ddb_registry_embedding *out)
{
    ddb_slice key, previous = { NULL, 0 };
    size_t count = 0;
    if (!ddb_cbor_read_map(r, &count)) {
        return false;
    }
    for (size_t i = 0; i < count && ddb_cbor_next_key(r, &key, &previous); i++) {
        if (ddb_bytes_is(key, "algorithm")) {
            (void)ddb_cbor_read_text(r, &out->algorithm);
        } else if (ddb_bytes_is(key, "vector_compressor")) {
            out->has_compressor = ddb_addr_read(r, &out->compressor);
        } else if (ddb_bytes_is(key, "spatial_index")) {
            ddb_addr addr;
            (void)ddb_cbor_read_array(r, &out->index_count);
            for (size_t k = 0; k < out->index_count && ddb_addr_read(r, &addr); k++) {
                out->index = k == 0 ? addr : out->index;
            }
        } else {
            out->has_hot = out->has_hot || ddb_bytes_is(key, "hot_shard");
            out->has_graph = out->has_graph || ddb_bytes_is(key, "graph_index");
            (void)ddb_cbor_skip(r, NULL);
        }
    }
    return ddb_cbor_end(r);
}

/* Decodes the value of an embedding's registry entry; arena is not used (the texts point into raw). */
DDB_FN dreamdb_status ddb_manifest_registry_embedding(ddb_ctx *ctx, ddb_arena *arena, ddb_slice raw, const char *path,
                                                      ddb_registry_embedding *out)
{
    ddb_cbor r;
    (void)arena;
    memset(out, 0, sizeof *out);
    ddb_cbor_open(&r, raw);
    if (!ddb_manifest_read_embedding(&r, out)) {
        return ddb_cbor_corrupt(ctx, &r, "manifest: registry entry of an embedding", path);
    }
    if (!out->algorithm.data || (out->index_count == 0 && !out->has_graph)) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path,
                               "manifest: the registry entry of an embedding lacks `algorithm` or `spatial_index`");
    }
    return DREAMDB_OK;
}

/* The entry of a modality; CORRUPT when it is missing or wrong. */
DDB_FN dreamdb_status ddb_manifest_embedding(ddb_ctx *ctx, const ddb_manifest *m, ddb_slice modality, const char *path,
                                             ddb_registry_embedding *out)
{
    const ddb_entry *entry = ddb_manifest_entry(m, modality);
    ddb_addr_shown shown;
    if (!entry) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "manifest: the registry has no entry for %s",
                               ddb_addr_show(modality, &shown));
    }
    return ddb_manifest_registry_embedding(ctx, NULL, entry->value, path, out);
}

/* Sets algorithm, spatial_index and vector_compressor of an embedding's entry; other keys (hot_shard, ...) stay. */
DDB_FN dreamdb_status ddb_manifest_set_embedding(ddb_ctx *ctx, ddb_arena *arena, ddb_manifest *m, ddb_slice modality,
                                                 const ddb_registry_embedding *in)
{
    ddb_buf raw;
    dreamdb_status status = DREAMDB_OK;
    ddb_bytes_init(&raw, ctx);
    ddb_cbor_text(&raw, in->algorithm.data, in->algorithm.size);
    status = raw.failed ? DREAMDB_ERR_MEMORY : ddb_manifest_set_member(ctx, arena, m, modality, "algorithm", ddb_bytes_of(&raw));
    ddb_bytes_clear(&raw);
    ddb_cbor_array(&raw, 1);
    ddb_addr_write(&raw, &in->index);
    if (status == DREAMDB_OK) {
        status = raw.failed ? DREAMDB_ERR_MEMORY : ddb_manifest_set_member(ctx, arena, m, modality, "spatial_index", ddb_bytes_of(&raw));
    }
    if (status == DREAMDB_OK && in->has_compressor) {
        status = ddb_manifest_set_member_addr(ctx, arena, m, modality, "vector_compressor", &in->compressor);
    }
    ddb_bytes_free(&raw);
    return status;
}

/* The scalar index of a scalar field's modality. */
DDB_FN dreamdb_status ddb_manifest_scalar(ddb_ctx *ctx, const ddb_manifest *m, ddb_slice modality, const char *path, ddb_addr *index)
{
    const ddb_entry *entry = ddb_manifest_entry(m, modality);
    ddb_addr_shown shown;
    ddb_slice value;
    ddb_cbor r;
    if (!entry || !ddb_cbor_map_find(entry->value, "scalar_index_hash", &value)) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "manifest: registry entry of %s is missing or has no `scalar_index_hash`",
                               ddb_addr_show(modality, &shown));
    }
    ddb_cbor_open(&r, value);
    return ddb_addr_read(&r, index) ? DREAMDB_OK : ddb_cbor_corrupt(ctx, &r, "manifest: scalar_index_hash", path);
}

/* ---- Schema and bindings together ---- */

/* The active binding of a field, or NULL. */
DDB_FN const ddb_binding *ddb_manifest_active(const ddb_manifest *m, ddb_slice field)
{
    for (size_t i = 0; i < m->active_count; i++) {
        if (ddb_bytes_equal(m->active[i].field, field)) {
            return m->active + i;
        }
    }
    return NULL;
}

/* One field against its binding and its registry entry; the binding's modality becomes the field's. */
DDB_FN dreamdb_status ddb_manifest_bind_field(ddb_ctx *ctx, const ddb_manifest *m, const char *path, ddb_field *field)
{
    ddb_addr_shown shown;
    ddb_addr index;
    const ddb_binding *binding = ddb_manifest_active(m, field->name);
    if (!binding) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "manifest has no active binding for field '%s'",
                               ddb_addr_show(field->name, &shown));
    }
    const char *kind = ddb_schema_binding_kind(field);
    field->modality = binding->modality;
    if (field->kind != DREAMDB_KIND_OTHER && kind && !ddb_bytes_is(binding->kind, kind)) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "manifest: field '%s' is bound as %.*s, its schema kind is %s",
                               ddb_addr_show(field->name, &shown),
                               (int)binding->kind.size, (const char *)binding->kind.data, kind);
    }
    if (field->kind == DREAMDB_EMBEDDING) {
        ddb_registry_embedding entry;
        dreamdb_status status = ddb_manifest_embedding(ctx, m, field->modality, path, &entry);
        if (status == DREAMDB_OK && !ddb_bytes_equal(entry.algorithm, field->algorithm)) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "manifest: registry and schema name different algorithms for field '%s'",
                                   ddb_addr_show(field->name, &shown));
        }
        field->kind = status == DREAMDB_OK && entry.has_graph && entry.index_count == 0 ? DREAMDB_KIND_OTHER : field->kind;
        return status;
    }
    return ddb_schema_is_scalar(field->kind) ? ddb_manifest_scalar(ctx, m, field->modality, path, &index) : DREAMDB_OK;
}

/* The schema of a Manifest, with the modalities of its active bindings, checked against bindings and registry (core.md 3).  Graph
   embeddings come out as DREAMDB_KIND_OTHER. */
DDB_FN dreamdb_status ddb_manifest_schema(ddb_ctx *ctx, ddb_arena *arena, const ddb_manifest *m, const char *path, ddb_schema *out)
{
    const ddb_entry *entry = ddb_manifest_entry(m, ddb_bytes_text(DDB_MANIFEST_SCHEMA));
    memset(out, 0, sizeof *out);
    if (!entry) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_FORMAT, path, "the manifest keeps no schema (registry key dreamdb.schema)");
    }
    dreamdb_status status = ddb_schema_decode_at(ctx, arena, entry->value, path, out);
    for (size_t i = 0; i < out->count && status == DREAMDB_OK; i++) {
        status = ddb_manifest_bind_field(ctx, m, path, out->fields + i);
    }
    return status;
}

DDB_FN dreamdb_status ddb_manifest_set_schema(ddb_ctx *ctx, ddb_arena *arena, ddb_manifest *m, const ddb_schema *schema)
{
    ddb_buf raw;
    ddb_bytes_init(&raw, ctx);
    dreamdb_status status = ddb_schema_encode(&raw, schema);
    status = status < 0 ? status : ddb_manifest_set_entry(ctx, arena, m, ddb_bytes_text(DDB_MANIFEST_SCHEMA), ddb_bytes_of(&raw));
    ddb_bytes_free(&raw);
    return status;
}

/* ---- Lineage ---- */

/* Lists with room for one more; the old ones stay as they are. */
DDB_FN ddb_binding *ddb_manifest_more_bindings(ddb_ctx *ctx, ddb_arena *arena, const ddb_binding *list, size_t count)
{
    ddb_binding *out = ddb_mem_arena_new(ctx, arena, ddb_binding, count + 1);
    if (out && count > 0) {
        memcpy(out, list, count * sizeof *list);
    }
    return out;
}

DDB_FN ddb_edge *ddb_manifest_more_edges(ddb_ctx *ctx, ddb_arena *arena, const ddb_edge *list, size_t count)
{
    ddb_edge *out = ddb_mem_arena_new(ctx, arena, ddb_edge, count + 1);
    if (out && count > 0) {
        memcpy(out, list, count * sizeof *list);
    }
    return out;
}

/* Puts the last of a list that is sorted but for it in its place. */
DDB_FN void ddb_manifest_settle_binding(ddb_binding *list, size_t count)
{
    ddb_binding last = list[count - 1];
    size_t at = count - 1;
    for (; at > 0 && ddb_manifest_compare(&last, list + at - 1) < 0; at--) {
        list[at] = list[at - 1];
    }
    list[at] = last;
}

DDB_FN void ddb_manifest_settle_edge(ddb_edge *list, size_t count)
{
    ddb_edge last = list[count - 1];
    size_t at = count - 1;
    for (; at > 0 && ddb_manifest_compare_edge(&last, list + at - 1) < 0; at--) {
        list[at] = list[at - 1];
    }
    list[at] = last;
}

/* The general rule of evolution.md 1: keeps the lineage and edges that active bindings reach, drops the rest.  The old lists stay as they
   are. */
DDB_FN dreamdb_status ddb_manifest_prune(ddb_ctx *ctx, ddb_arena *arena, ddb_manifest *m)
{
    ddb_manifest_graph graph;
    const char *why = NULL;
    size_t kept = 0, edges = 0;
    memset(&graph, 0, sizeof graph);
    ddb_binding *lineage = ddb_manifest_more_bindings(ctx, arena, m->lineage, m->lineage_count);
    ddb_edge *list = ddb_manifest_more_edges(ctx, arena, m->edges, m->edge_count);
    if (!lineage || !list) {
        return DREAMDB_ERR_MEMORY;
    }
    m->lineage = lineage;
    m->edges = list;
    for (size_t e = 0; e < m->edge_count; e++) {            /* an edge whose ends are gone is nobody's */
        bool good = ddb_manifest_node_of(m, &m->edges[e].child) != DDB_MANIFEST_NONE
            && ddb_manifest_node_of(m, &m->edges[e].parent) != DDB_MANIFEST_NONE;
        m->edges[edges] = m->edges[e];
        edges += good;
    }
    m->edge_count = edges;
    edges = 0;
    dreamdb_status status = ddb_manifest_graph_make(ctx, m, &graph, &why);
    if (status == DREAMDB_OK) {
        ddb_manifest_reach(m, &graph);
        for (size_t e = 0; e < m->edge_count; e++) {
            size_t child = ddb_manifest_node_of(m, &m->edges[e].child);
            m->edges[edges] = m->edges[e];
            edges += graph.mark[child] == 1;
        }
        for (size_t i = 0; i < m->lineage_count; i++) {
            m->lineage[kept] = m->lineage[i];
            kept += graph.mark[m->active_count + i] == 1;
        }
        m->edge_count = edges;
        m->lineage_count = kept;
    }
    ddb_manifest_graph_free(ctx, &graph);
    return status;
}

/* The first ancestor of another field: what a layer's edge points to once its own history is left out. */
DDB_FN size_t ddb_manifest_base_of(const ddb_manifest *m, const ddb_manifest_graph *graph, size_t node)
{
    ddb_slice field = ddb_manifest_node(m, node)->field;
    size_t at = graph->up[node];
    while (at != DDB_MANIFEST_NONE && ddb_bytes_equal(ddb_manifest_node(m, at)->field, field)) {
        at = graph->up[at];
    }
    return at;
}

/* Marks with 1: all active, and for each marked layer the first ancestor of another field and the one its role names. */
DDB_FN void ddb_manifest_needed(const ddb_manifest *m, ddb_manifest_graph *graph)
{
    bool more = true;
    memset(graph->mark, 0, graph->count * sizeof *graph->mark);
    for (size_t i = 0; i < m->active_count; i++) {
        graph->mark[i] = 1;
    }
    while (more) {
        more = false;
        for (size_t i = 0; i < graph->count; i++) {
            ddb_addr want;
            if (graph->mark[i] != 1) {
                continue;
            }
            graph->mark[i] = 2;                /* 2: looked at */
            more = true;
            if (!ddb_manifest_layer_of(ddb_manifest_node(m, i), &want)) {
                continue;
            }
            size_t at = ddb_manifest_base_of(m, graph, i);
            if (at != DDB_MANIFEST_NONE) {
                graph->mark[at] = graph->mark[at] > 0 ? graph->mark[at] : 1;
            }
            at = graph->up[i];
            while (at != DDB_MANIFEST_NONE && !ddb_addr_equal(&ddb_manifest_node(m, at)->address, &want)) {
                at = graph->up[at];
            }
            if (at != DDB_MANIFEST_NONE) {
                graph->mark[at] = graph->mark[at] > 0 ? graph->mark[at] : 1;
            }
        }
    }
}

/* Edges between needed nodes, from each layer up to the Track its role names, past what is left out. */
DDB_FN size_t ddb_manifest_bridge(const ddb_manifest *m, const ddb_manifest_graph *graph, ddb_edge *edges)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->count; i++) {
        ddb_addr want;
        if (graph->mark[i] == 0 || !ddb_manifest_layer_of(ddb_manifest_node(m, i), &want)) {
            continue;
        }
        size_t from = i;
        for (size_t at = graph->up[i]; at != DDB_MANIFEST_NONE; at = graph->up[at]) {
            if (graph->mark[at] == 0) {
                continue;
            }
            edges[from].child = ddb_manifest_end(ddb_manifest_node(m, from));
            edges[from].parent = ddb_manifest_end(ddb_manifest_node(m, at));
            from = at;
            if (ddb_addr_equal(&ddb_manifest_node(m, at)->address, &want)) {
                break;
            }
        }
    }
    for (size_t i = 0; i < graph->count; i++) {             /* edges[i] was node i's; close the gaps */
        if (edges[i].child.field.data) {
            edges[count++] = edges[i];
        }
    }
    return count;
}

/* Drops lineage and edges that only history needs: what stays is, for layers, the way to the Track that their role names. */
DDB_FN dreamdb_status ddb_manifest_relax(ddb_ctx *ctx, ddb_arena *arena, ddb_manifest *m)
{
    ddb_manifest_graph graph;
    const char *why = NULL;
    size_t kept = 0;
    if (m->edge_count == 0 && m->lineage_count == 0) {
        return DREAMDB_OK;
    }
    memset(&graph, 0, sizeof graph);
    dreamdb_status status = ddb_manifest_graph_make(ctx, m, &graph, &why);
    ddb_edge *edges = ddb_mem_arena_new(ctx, arena, ddb_edge, graph.count);
    ddb_binding *lineage = ddb_mem_arena_new(ctx, arena, ddb_binding, m->lineage_count);
    status = status < 0 ? status : !edges || !lineage ? DREAMDB_ERR_MEMORY : DREAMDB_OK;
    if (status == DREAMDB_OK) {
        ddb_manifest_needed(m, &graph);
        size_t count = ddb_manifest_bridge(m, &graph, edges);
        for (size_t i = 0; i < m->lineage_count; i++) {
            lineage[kept] = m->lineage[i];
            kept += graph.mark[m->active_count + i] != 0;
        }
        m->lineage = lineage;
        m->lineage_count = kept;
        m->edges = edges;
        m->edge_count = count;
        status = ddb_coll_sort(ctx, edges, count, sizeof *edges, ddb_manifest_sort_edge, NULL);
    }
    ddb_manifest_graph_free(ctx, &graph);
    return status == DREAMDB_ERR_CORRUPT ? ddb_mem_fail(ctx, status, "manifest: %s", why ? why : "bad edges") : status;
}

/* Moves an active binding to the next state of its Track: the old one goes to lineage with an edge new -> old.  Lists are copied first. */
DDB_FN dreamdb_status ddb_manifest_step(ddb_ctx *ctx, ddb_arena *arena, ddb_manifest *m, size_t at, const ddb_binding *next)
{
    ddb_binding old = m->active[at];
    ddb_end new_end = ddb_manifest_end(next), old_end = ddb_manifest_end(&old);
    /* back to a Track of old: its history holds */
    bool again = ddb_manifest_find(m->lineage, m->lineage_count, &new_end) < m->lineage_count;
    ddb_binding *active = ddb_manifest_more_bindings(ctx, arena, m->active, m->active_count);
    ddb_binding *lineage = ddb_manifest_more_bindings(ctx, arena, m->lineage, m->lineage_count);
    ddb_edge *edges = ddb_manifest_more_edges(ctx, arena, m->edges, m->edge_count);
    if (!active || !lineage || !edges) {
        return DREAMDB_ERR_MEMORY;
    }
    active[at] = *next;
    m->active = active;
    m->lineage = lineage;
    m->edges = edges;
    if (again) {
        size_t in = ddb_manifest_find(lineage, m->lineage_count, &new_end);
        memmove(lineage + in, lineage + in + 1, (m->lineage_count - in - 1) * sizeof *lineage);
        m->lineage_count--;
    } else {
        edges[m->edge_count].child = new_end;
        edges[m->edge_count].parent = old_end;
        ddb_manifest_settle_edge(edges, ++m->edge_count);
    }
    lineage[m->lineage_count] = old;
    ddb_manifest_settle_binding(lineage, ++m->lineage_count);
    return ddb_coll_sort(ctx, active, m->active_count, sizeof *active, ddb_manifest_sort_binding, NULL);
}

/* A field's Track has moved.  identical: lineage and edges as the reference writes them; else nothing but what layers need. */
DDB_FN dreamdb_status ddb_manifest_advance(ddb_ctx *ctx, ddb_arena *arena, ddb_manifest *m, ddb_slice field, const ddb_addr *new_track,
                                           uint64_t t_min, uint64_t t_max, bool identical)
{
    const ddb_binding *old = ddb_manifest_active(m, field);
    ddb_addr_shown shown;
    if (!old) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_NOT_FOUND, "there is no field '%s'", ddb_addr_show(field, &shown));
    }
    if (ddb_addr_equal(&old->address, new_track)) {
        return DREAMDB_OK;
    }
    ddb_binding next = *old;
    next.address = *new_track;
    next.t_min = t_min;
    next.t_max = t_max;
    dreamdb_status status = ddb_manifest_step(ctx, arena, m, (size_t)(old - m->active), &next);
    if (status < 0) {
        return status;
    }
    return identical ? ddb_manifest_prune(ctx, arena, m) : ddb_manifest_relax(ctx, arena, m);
}

/* Adds an active binding; its texts must live as long as m.  parent: the active binding it is a layer of (role is made from it), or NULL
   for role base.  EXISTS when the field is bound already. */
DDB_FN dreamdb_status ddb_manifest_bind(ddb_ctx *ctx, ddb_arena *arena, ddb_manifest *m, const ddb_binding *binding,
                                        const ddb_binding *parent)
{
    ddb_addr_shown shown;
    ddb_binding next = *binding;
    if (ddb_manifest_active(m, binding->field)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_EXISTS, "field '%s' already exists", ddb_addr_show(binding->field, &shown));
    }
    next.role = ddb_bytes_text("base");
    ddb_edge *edges = m->edges;
    if (parent) {
        ddb_edge edge;
        char role[sizeof DDB_MANIFEST_LAYER + DREAMDB_ADDRESS_TEXT] = DDB_MANIFEST_LAYER;
        ddb_addr_text(&parent->address, role + sizeof DDB_MANIFEST_LAYER - 1);
        next.role = ddb_bytes_slice(ddb_mem_arena_copy(ctx, arena, role, strlen(role)), strlen(role));
        edges = ddb_manifest_more_edges(ctx, arena, m->edges, m->edge_count);
        if (!next.role.data || !edges) {
            return DREAMDB_ERR_MEMORY;
        }
        edge.child = ddb_manifest_end(&next);
        edge.parent = ddb_manifest_end(parent);
        edges[m->edge_count] = edge;
    }
    ddb_binding *active = ddb_manifest_more_bindings(ctx, arena, m->active, m->active_count);
    if (!active) {
        return DREAMDB_ERR_MEMORY;
    }
    active[m->active_count] = next;
    m->active = active;
    ddb_manifest_settle_binding(active, ++m->active_count);
    m->edges = edges;
    if (parent) {
        ddb_manifest_settle_edge(edges, ++m->edge_count);
    }
    return DREAMDB_OK;
}

/* ==== ROOM 20 ref | prefix ddb_ref_ | uses port mem bytes coll cbor addr store object ==== */
/* Refs: the only names that move (core.md 1, versioning.md 2.1, 9).  A ref is 33 raw bytes under refs/NAME, made create-only and moved by
   compare-and-swap on the store's tag; a snapshot tag under refs/tags/ is a small CBOR map, made once and never moved.
   Invariant: nothing but this room reads or writes below refs/.  Must never put a ref without a condition. */

enum { DDB_REF_BODY_MAX = 4096 };              /* bytes read of a body: 33, or a snapshot tag of 74 */
#define DDB_REF_TAG_KIND "dreamdb.snapshot-tag.v1"

/* name: NUL-terminated; is_tag: NAME@LABEL or tags/... */
typedef struct ddb_ref_entry { ddb_slice name; ddb_addr address; bool is_tag; } ddb_ref_entry;

/* "refs/NAME" in the arena. */
DDB_FN char *ddb_ref_path(ddb_ctx *ctx, ddb_arena *arena, ddb_slice name)
{
    char *out = (char *)ddb_mem_arena_alloc(ctx, arena, name.size + sizeof "refs/");
    if (out) {
        memcpy(out, "refs/", 5);
        memcpy(out + 5, name.data, name.size);
        out[5 + name.size] = 0;
    }
    return out;
}

/* 33 bytes, or {kind: "dreamdb.snapshot-tag.v1", manifest: address}. */
DDB_FN dreamdb_status ddb_ref_body(ddb_ctx *ctx, ddb_slice body, const char *path, ddb_addr *out)
{
    ddb_cbor r;
    ddb_slice kind, value;
    if (ddb_addr_take(body, out)) {
        return DREAMDB_OK;
    }
    ddb_cbor_open(&r, body);
    if (ddb_cbor_valid(body) && ddb_cbor_map_find(body, "kind", &kind) && ddb_cbor_map_find(body, "manifest", &value)) {
        ddb_slice text;
        ddb_cbor_open(&r, kind);
        if (ddb_cbor_read_text(&r, &text) && ddb_bytes_is(text, DDB_REF_TAG_KIND)) {
            ddb_cbor_open(&r, value);
            if (ddb_addr_read(&r, out)) {
                return DREAMDB_OK;
            }
        }
    }
    return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path,
                           "%s has a malformed body of %zu bytes: neither an address of 33 bytes nor a snapshot tag", path, body.size);
}

DDB_FN dreamdb_status ddb_ref_bad_name(ddb_ctx *ctx, ddb_slice name, const char *why)
{
    ddb_addr_shown shown;
    return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "'%s' is no ref name: %s", ddb_addr_show(name, &shown), why);
}

/* The path of a ref that may be read, or (fresh) made, moved and removed. */
DDB_FN dreamdb_status ddb_ref_check(ddb_ctx *ctx, ddb_arena *arena, const char *name, bool fresh, char **path)
{
    ddb_slice text = ddb_bytes_text(name ? name : "");
    if (!ddb_addr_ref_valid(text)) {
        return ddb_ref_bad_name(ctx, text, "use segments of 1 to 64 a-z, 0-9, _ and -, with / between, and @label at the end");
    }
    if (fresh && ddb_addr_ref_reserved(text)) {
        return ddb_ref_bad_name(ctx, text, "tags/ belongs to snapshot tags, which never move");
    }
    *path = ddb_ref_path(ctx, arena, text);
    return *path ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
}

/* One operation on a ref; a failure is reported. */
DDB_FN dreamdb_status ddb_ref_one(ddb_ctx *ctx, ddb_env *env, dreamdb_io *op, const char *verb)
{
    dreamdb_status status = ddb_object_batch(ctx, env, op, 1);
    if (status < 0 || op->status == DREAMDB_OK) {
        return status;
    }
    if (op->status == DREAMDB_ERR_NOT_FOUND) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_NOT_FOUND, op->path, "there is no ref '%s' in the store", op->path + 5);
    }
    if (op->status == DREAMDB_ERR_EXISTS) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_EXISTS, op->path, "there is a ref '%s' already", op->path + 5);
    }
    if (op->status == DREAMDB_ERR_CONFLICT) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CONFLICT, op->path,
                               "somebody else moved ref '%s'; nothing of this change is visible: try again on the new tip",
                               op->path + 5);
    }
    return ddb_store_fail(ctx, &env->store, op->status, verb, op->path);
}

/* Where a ref points, and (tag may be NULL) the store's tag of this state for ddb_ref_swap: one read. */
DDB_FN dreamdb_status ddb_ref_read(ddb_ctx *ctx, ddb_env *env, const char *name, ddb_addr *out, char tag[DREAMDB_TAG_SIZE])
{
    ddb_arena arena;
    dreamdb_io op;
    char *path = NULL;
    memset(&arena, 0, sizeof arena);
    memset(&op, 0, sizeof op);
    dreamdb_status status = ddb_ref_check(ctx, &arena, name, false, &path);
    if (status == DREAMDB_OK) {
        op.kind = DREAMDB_IO_GET;
        op.path = path;
        op.size = DDB_REF_BODY_MAX;
        status = ddb_ref_one(ctx, env, &op, "read of");
    }
    if (status == DREAMDB_OK) {
        status = ddb_ref_body(ctx, ddb_bytes_slice(op.blob.data, (size_t)op.blob.size), path, out);
        if (tag) {
            memcpy(tag, op.blob.tag, DREAMDB_TAG_SIZE);
            tag[DREAMDB_TAG_SIZE - 1] = 0;
        }
        ddb_store_release(&op.blob);
    }
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

DDB_FN dreamdb_status ddb_ref_put(ddb_ctx *ctx, ddb_env *env, const char *name, const dreamdb_condition *condition, const ddb_addr *addr)
{
    ddb_arena arena;
    dreamdb_io op;
    char *path = NULL;
    memset(&arena, 0, sizeof arena);
    memset(&op, 0, sizeof op);
    dreamdb_status status = ddb_ref_check(ctx, &arena, name, true, &path);
    if (status == DREAMDB_OK) {
        op.kind = DREAMDB_IO_PUT;
        op.path = path;
        op.data = addr->bytes;
        op.size = sizeof addr->bytes;
        op.condition = *condition;
        status = ddb_ref_one(ctx, env, &op, "write of");
    }
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

/* Makes a ref: one put; EXISTS if there is one of that name. */
DDB_FN dreamdb_status ddb_ref_create(ddb_ctx *ctx, ddb_env *env, const char *name, const ddb_addr *addr)
{
    dreamdb_condition condition;
    ddb_slice text = ddb_bytes_text(name ? name : "");
    if (ddb_addr_ref_valid(text) && !ddb_addr_ref_reserved(text) && !ddb_addr_ref_new(text)) {
        return ddb_ref_bad_name(ctx, text, "a segment with its @ is longer than 64 characters, so the reference could not open it");
    }
    condition.kind = DREAMDB_PUT_IF_ABSENT;
    condition.tag = NULL;
    return ddb_ref_put(ctx, env, name, &condition, addr);
}

/* Moves a ref from the state that tag names: one put; CONFLICT if it is in another state. */
DDB_FN dreamdb_status ddb_ref_swap(ddb_ctx *ctx, ddb_env *env, const char *name, const char *tag, const ddb_addr *addr)
{
    dreamdb_condition condition;
    if (!(env->store.flags & (uint32_t)DREAMDB_STORE_HAS_TAGS) || !tag || !tag[0]) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_UNSUPPORTED, "this store gave no tag for ref '%.60s', so it cannot be moved by "
                            "compare-and-swap: the store needs DREAMDB_STORE_HAS_TAGS and atomic IF_TAG puts", name ? name : "");
    }
    condition.kind = DREAMDB_PUT_IF_TAG;
    condition.tag = tag;
    return ddb_ref_put(ctx, env, name, &condition, addr);
}

/* Removes a ref; NOT_FOUND if there is none.  Snapshot tags are not removed. */
DDB_FN dreamdb_status ddb_ref_delete(ddb_ctx *ctx, ddb_env *env, const char *name)
{
    ddb_arena arena;
    dreamdb_io op;
    char *path = NULL;
    memset(&arena, 0, sizeof arena);
    memset(&op, 0, sizeof op);
    dreamdb_status status = ddb_ref_check(ctx, &arena, name, true, &path);
    if (status == DREAMDB_OK) {
        op.kind = DREAMDB_IO_STAT;
        op.path = path;
        status = ddb_ref_one(ctx, env, &op, "stat of");
    }
    if (status == DREAMDB_OK) {
        op.kind = DREAMDB_IO_REMOVE;
        status = ddb_ref_one(ctx, env, &op, "removal of");
    }
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

/* ---- Listing ---- */

typedef struct ddb_ref_found { char *path; size_t size; } ddb_ref_found;      /* size: of the path */
typedef struct ddb_ref_lister { ddb_ctx *ctx; ddb_arena *arena; ddb_buf found; dreamdb_status status; } ddb_ref_lister;

/* Notes one path under refs/.  What is no ref name (a temporary file of a writer, a file of the system) is passed over. */
DDB_FN int ddb_ref_note(void *user, const char *path, const dreamdb_stat *stat)
{
    ddb_ref_lister *lister = (ddb_ref_lister *)user;
    ddb_ref_found found;
    (void)stat;
    found.size = strlen(path);
    if (found.size <= 5 || memcmp(path, "refs/", 5) != 0 || !ddb_addr_ref_valid(ddb_bytes_slice(path + 5, found.size - 5))) {
        return 0;
    }
    found.path = ddb_mem_arena_copy(lister->ctx, lister->arena, path, found.size);
    ddb_bytes_put(&lister->found, &found, sizeof found);
    lister->status = !found.path || lister->found.failed ? DREAMDB_ERR_MEMORY : lister->status;
    return lister->status < 0 ? DREAMDB_ERR_MEMORY : 0;
}

DDB_FN int ddb_ref_by_path(const void *a, const void *b, void *user)
{
    (void)user;
    return strcmp(((const ddb_ref_found *)a)->path, ((const ddb_ref_found *)b)->path);
}

/* Reads the bodies of so many refs in one batch; one that vanished meanwhile is left out. */
DDB_FN dreamdb_status ddb_ref_bodies(ddb_ctx *ctx, ddb_env *env, const ddb_ref_found *found, size_t count, ddb_ref_entry *out, size_t *got)
{
    dreamdb_io *ops = ddb_mem_new(ctx, dreamdb_io, count);
    if (!ops) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        ops[i].kind = DREAMDB_IO_GET;
        ops[i].path = found[i].path;
        ops[i].size = DDB_REF_BODY_MAX;
    }
    dreamdb_status status = ddb_object_batch(ctx, env, ops, count);
    bool tried = status == DREAMDB_OK;
    for (size_t i = 0; i < count && tried; i++) {
        if (ops[i].status == DREAMDB_OK) {
            ddb_ref_entry *entry = out + *got;
            entry->name = ddb_bytes_slice(found[i].path + 5, found[i].size - 5);
            entry->is_tag = memchr(entry->name.data, '@', entry->name.size) || ddb_addr_ref_reserved(entry->name);
            if (status == DREAMDB_OK) {
                status = ddb_ref_body(ctx, ddb_bytes_slice(ops[i].blob.data, (size_t)ops[i].blob.size), found[i].path, &entry->address);
                *got += status == DREAMDB_OK;
            }
            ddb_store_release(&ops[i].blob);
        } else if (status == DREAMDB_OK && ops[i].status != DREAMDB_ERR_NOT_FOUND) {
            status = ddb_store_fail(ctx, &env->store, ops[i].status, "read of", found[i].path);
        }
    }
    ddb_mem_drop(ctx, ops, dreamdb_io, count);
    return status;
}

/* Every ref of the store, sorted by name (bytes); names live in the arena.  CORRUPT names a body that is none. */
DDB_FN dreamdb_status ddb_ref_list(ddb_ctx *ctx, ddb_env *env, ddb_arena *arena, ddb_ref_entry **out, size_t *count)
{
    ddb_ref_lister lister;
    memset(&lister, 0, sizeof lister);
    lister.ctx = ctx;
    lister.arena = arena;
    ddb_bytes_init(&lister.found, ctx);
    *count = 0;
    int given = env->store.list(env->store.user, "refs/", ddb_ref_note, &lister);
    dreamdb_status status = lister.status;
    if (status == DREAMDB_OK && given != 0) {
        status = ddb_store_fail(ctx, &env->store, given, "listing of", "refs/");
    }
    ddb_ref_found *found = (ddb_ref_found *)(void *)lister.found.data;
    size_t total = lister.found.size / sizeof *found;
    status = status == DREAMDB_OK && total > 0 ? ddb_coll_sort(ctx, found, total, sizeof *found, ddb_ref_by_path, NULL) : status;
    *out = status == DREAMDB_OK ? ddb_mem_arena_new(ctx, arena, ddb_ref_entry, total) : NULL;
    status = status == DREAMDB_OK && !*out ? DREAMDB_ERR_MEMORY : status;
    for (size_t at = 0; at < total && status == DREAMDB_OK; at += 64) {        /* 64 at a time: bodies are tiny, refs may be many */
        status = ddb_ref_bodies(ctx, env, found + at, total - at < 64 ? total - at : 64, *out, count);
    }
    ddb_bytes_free(&lister.found);
    return status;
}

/* ==== ROOM 21 tomb | prefix ddb_tomb_ | uses port mem bytes coll cbor addr object page ==== */
/* Reading tombstones (versioning.md 1): the set of deleted anchors is the union over a DAG of heads, each a tree of pages or a legacy list.
   A test of sorted anchors fetches only the pages whose range holds one of them, a batch a level; the set itself is never in memory.
   Invariant: a ddb_tomb does not change after it is opened, so many threads may test at once.  Must never treat a head that it cannot read
   as an empty one: a deleted row would come back. */

enum { DDB_TOMB_WAVE = 64 };                 /* heads fetched together */

/* A legacy list; the anchors are the ddb_tomb's. */
typedef struct ddb_tomb_list { const uint64_t *anchors; size_t count; } ddb_tomb_list;

typedef struct ddb_tomb {
    ddb_env       *env;
    ddb_arena      arena;
    ddb_addr       timeline;
    ddb_page_tree  tree;
    ddb_page_child *roots;  size_t root_count, root_cap;
    ddb_tomb_list  *lists;  size_t list_count, list_cap;
    ddb_addr       *heads;  size_t head_count, head_cap;      /* every head, in the order they were met; the walk's queue */
    ddb_map         seen;
} ddb_tomb;

DDB_FN void ddb_tomb_close(ddb_ctx *ctx, ddb_tomb *tomb)
{
    if (!tomb) {
        return;
    }
    ddb_coll_map_free(ctx, &tomb->seen);
    ddb_mem_drop(ctx, tomb->roots, ddb_page_child, tomb->root_cap);
    ddb_mem_drop(ctx, tomb->lists, ddb_tomb_list, tomb->list_cap);
    ddb_mem_drop(ctx, tomb->heads, ddb_addr, tomb->head_cap);
    ddb_mem_arena_free(ctx, &tomb->arena);
    ddb_mem_drop(ctx, tomb, ddb_tomb, 1);
}

/* Room for one more item of size bytes; NULL without memory. */
DDB_FN void *ddb_tomb_grow(ddb_ctx *ctx, void *items, size_t count, size_t *cap, size_t size)
{
    size_t more = *cap > 0 ? *cap * 2 : 4, bytes = 0;
    if (count < *cap) {
        return items;
    }
    void *out = ddb_mem_mul(more, size, &bytes) ? ddb_mem_resize(ctx, items, *cap * size, bytes) : NULL;
    *cap = out ? more : *cap;
    return out;
}

DDB_FN dreamdb_status ddb_tomb_add_head(ddb_ctx *ctx, ddb_tomb *tomb, const ddb_addr *addr)
{
    bool is_new = false;
    dreamdb_status status = ddb_coll_map_put(ctx, &tomb->seen, addr->bytes, 1, NULL, &is_new);
    if (status < 0 || !is_new) {
        return status;
    }
    if (tomb->head_count >= tomb->env->limits.history) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "more than %u tombstone heads (limits.history)", (unsigned)tomb->env->limits.history);
    }
    ddb_addr *heads = (ddb_addr *)ddb_tomb_grow(ctx, tomb->heads, tomb->head_count, &tomb->head_cap, sizeof *heads);
    if (!heads) {
        return DREAMDB_ERR_MEMORY;
    }
    tomb->heads = heads;
    heads[tomb->head_count++] = *addr;
    return DREAMDB_OK;
}

/* parents: an array of addresses; sorted and unique in an index. */
DDB_FN dreamdb_status ddb_tomb_parents(ddb_ctx *ctx, ddb_tomb *tomb, ddb_cbor *r, bool sorted)
{
    ddb_addr previous;
    size_t count = 0;
    dreamdb_status status = DREAMDB_OK;
    memset(&previous, 0, sizeof previous);
    bool good = ddb_cbor_read_array(r, &count);
    for (size_t i = 0; i < count && good && status >= 0; i++) {
        ddb_addr addr;
        size_t start = r->at;
        good = ddb_addr_read(r, &addr);
        if (good && sorted && i > 0 && ddb_addr_compare(&previous, &addr) >= 0) {
            good = ddb_cbor_bad(r, start, "parents are not in order");
        }
        previous = addr;
        status = good ? ddb_tomb_add_head(ctx, tomb, &addr) : DREAMDB_OK;
    }
    return status;
}

/* {kind, root, parents, timeline, issued_at}, behind the kind. */
DDB_FN dreamdb_status ddb_tomb_index(ddb_ctx *ctx, ddb_tomb *tomb, ddb_cbor *r, size_t members)
{
    ddb_page_child root;
    ddb_addr timeline;
    uint64_t issued = 0;
    dreamdb_status status = DREAMDB_OK;
    memset(&root, 0, sizeof root);
    bool good = (members == 5 || ddb_cbor_bad(r, 0, "a tombstone index has an unknown or missing key")) && ddb_page_name(r, "root");
    bool none = good && ddb_cbor_peek_null(r);
    good = good && (none ? ddb_cbor_read_null(r) : ddb_page_summary_read(r, &root)) && ddb_page_name(r, "parents");
    if (good) {
        status = ddb_tomb_parents(ctx, tomb, r, true);
    }
    good = good && ddb_page_name(r, "timeline") && ddb_addr_read(r, &timeline) && ddb_page_name(r, "issued_at") && ddb_cbor_read_uint(r, &issued);
    if (!good || status < 0 || none || !ddb_addr_equal(&timeline, &tomb->timeline)) {
        return status;
    }
    ddb_page_child *roots = (ddb_page_child *)ddb_tomb_grow(ctx, tomb->roots, tomb->root_count, &tomb->root_cap, sizeof *roots);
    if (!roots) {
        return DREAMDB_ERR_MEMORY;
    }
    tomb->roots = roots;
    roots[tomb->root_count++] = root;
    return DREAMDB_OK;
}

/* One {anchor, reason?, deleted_at?, ...} of a legacy list; unknown keys are let be. */
DDB_FN bool ddb_tomb_legacy_one(ddb_cbor *r, uint64_t *anchor)
{
    ddb_slice key, previous = { NULL, 0 };
    size_t members = 0, start = r->at;
    bool found = false;
    if (!ddb_cbor_read_map(r, &members)) {
        return false;
    }
    for (size_t i = 0; i < members; i++) {
        if (!ddb_cbor_next_key(r, &key, &previous)) {
            return false;
        }
        bool is_anchor = ddb_bytes_is(key, "anchor");
        found = found || is_anchor;
        if (is_anchor ? !ddb_cbor_read_uint(r, anchor) : !ddb_cbor_skip(r, NULL)) {
            return false;
        }
    }
    return found || ddb_cbor_bad(r, start, "a tombstone has no anchor");
}

DDB_FN dreamdb_status ddb_tomb_legacy_anchors(ddb_ctx *ctx, ddb_tomb *tomb, ddb_cbor *r, ddb_tomb_list *out)
{
    size_t count = 0;
    if (!ddb_cbor_read_array(r, &count) || (count > (r->size - r->at) / 9 && !ddb_cbor_bad(r, r->at, "a count is larger than the bytes that are left"))) {
        return DREAMDB_OK;
    }
    uint64_t *anchors = ddb_mem_arena_new(ctx, &tomb->arena, uint64_t, count);
    if (!anchors) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        size_t start = r->at;
        if (!ddb_tomb_legacy_one(r, anchors + i)) {
            return DREAMDB_OK;
        }
        if (i > 0 && anchors[i - 1] >= anchors[i]) {
            (void)ddb_cbor_bad(r, start, "tombstones are not in order");
            return DREAMDB_OK;
        }
    }
    out->anchors = anchors;
    out->count = count;
    return DREAMDB_OK;
}

/* A legacy list: keys in canonical order, unknown ones let be.  v2 holds only on its own Timeline. */
DDB_FN dreamdb_status ddb_tomb_legacy(ddb_ctx *ctx, ddb_tomb *tomb, ddb_cbor *r, size_t members, bool v2)
{
    ddb_slice key, previous = ddb_bytes_text("kind");
    ddb_tomb_list list = { NULL, 0 };
    ddb_addr timeline;
    bool has_timeline = false, has_anchors = false;
    dreamdb_status status = DREAMDB_OK;
    for (size_t i = 1; i < members && status >= 0 && !r->failed; i++) {
        if (!ddb_cbor_next_key(r, &key, &previous)) {
            break;
        }
        if (ddb_bytes_is(key, "anchors")) {
            has_anchors = true;
            status = ddb_tomb_legacy_anchors(ctx, tomb, r, &list);
        } else if (ddb_bytes_is(key, "parents")) {
            status = ddb_tomb_parents(ctx, tomb, r, false);
        } else if (ddb_bytes_is(key, "timeline")) {
            has_timeline = ddb_addr_read(r, &timeline);
        } else {
            (void)ddb_cbor_skip(r, NULL);
        }
    }
    if (status < 0 || r->failed) {
        return status;
    }
    if (!has_anchors || (v2 && !has_timeline)) {
        (void)ddb_cbor_bad(r, 0, has_anchors ? "a v2 list has no timeline" : "a list has no anchors");
        return DREAMDB_OK;
    }
    if (list.count == 0 || (v2 && !ddb_addr_equal(&timeline, &tomb->timeline))) {
        return DREAMDB_OK;
    }
    ddb_tomb_list *lists = (ddb_tomb_list *)ddb_tomb_grow(ctx, tomb->lists, tomb->list_count, &tomb->list_cap, sizeof *lists);
    if (!lists) {
        return DREAMDB_ERR_MEMORY;
    }
    tomb->lists = lists;
    lists[tomb->list_count++] = list;
    return DREAMDB_OK;
}

/* One head object. */
DDB_FN dreamdb_status ddb_tomb_head(ddb_ctx *ctx, ddb_tomb *tomb, ddb_slice bytes, const char *path)
{
    ddb_cbor r;
    ddb_slice key, kind, previous = { NULL, 0 };
    size_t members = 0;
    bool known = true;
    dreamdb_status status = DREAMDB_OK;
    ddb_cbor_open(&r, bytes);
    /* "kind" is the first key: the others it may have (root, parents ...) are longer or above it; a shorter unknown one is refused. */
    bool good = ddb_cbor_read_map(&r, &members) && (members > 0 || ddb_cbor_bad(&r, 0, "it is an empty map")) && ddb_cbor_next_key(&r, &key, &previous) &&
                (ddb_bytes_is(key, "kind") || ddb_cbor_bad(&r, 0, "it has no kind")) && ddb_cbor_read_text(&r, &kind);
    if (good && ddb_bytes_is(kind, "dreamdb.tombstone-index.v1")) {
        status = ddb_tomb_index(ctx, tomb, &r, members);
    } else if (good && (ddb_bytes_is(kind, "dreamdb.tombstone-list.v1") || ddb_bytes_is(kind, "dreamdb.tombstone-list.v2"))) {
        status = ddb_tomb_legacy(ctx, tomb, &r, members, ddb_bytes_is(kind, "dreamdb.tombstone-list.v2"));
    } else {
        known = !good;
    }
    if (!known) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_FORMAT, path, "tombstones: kind `%.*s` is not known here", (int)(kind.size < 64 ? kind.size : 64), (const char *)kind.data);
    }
    return status < 0 ? status : ddb_cbor_end(&r) ? DREAMDB_OK : ddb_cbor_corrupt(ctx, &r, "tombstones", path);
}

/* Heads [from, to) of the queue in one batch. */
DDB_FN dreamdb_status ddb_tomb_wave(ddb_ctx *ctx, ddb_tomb *tomb, size_t from, size_t count)
{
    ddb_object_want wants[DDB_TOMB_WAVE];
    dreamdb_status status = DREAMDB_OK;
    memset(wants, 0, sizeof wants);
    for (size_t i = 0; i < count; i++) {
        wants[i].path = ddb_addr_path(ctx, &tomb->arena, "tombstones", tomb->heads + from + i);
        wants[i].addr = tomb->heads[from + i];
        wants[i].flags = DDB_OBJECT_METADATA;
        if (!wants[i].path) {
            return DREAMDB_ERR_MEMORY;
        }
    }
    status = ddb_object_get_many(ctx, tomb->env, wants, count);
    if (status < 0) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        if (status >= 0) {
            status = ddb_tomb_head(ctx, tomb, ddb_bytes_slice(wants[i].object.data, wants[i].object.size), wants[i].path);
        }
        ddb_object_release(tomb->env, &wants[i].object);
    }
    return status;
}

/* Opens the set under a head; head NULL: nothing is deleted.  Reads the heads, no pages. */
DDB_FN dreamdb_status ddb_tomb_open(ddb_ctx *ctx, ddb_env *env, const ddb_addr *head, const ddb_addr *timeline, ddb_tomb **out)
{
    dreamdb_status status = DREAMDB_OK;
    ddb_tomb *tomb = ddb_mem_new(ctx, ddb_tomb, 1);
    *out = NULL;
    if (!tomb) {
        return DREAMDB_ERR_MEMORY;
    }
    tomb->env = env;
    tomb->timeline = *timeline;
    tomb->seen.key_size = sizeof(ddb_addr);
    tomb->tree.kind = DDB_PAGE_TOMB;
    tomb->tree.folder = "tombstones";
    tomb->tree.path = "tombstones";
    tomb->tree.pages = UINT64_MAX;
    if (head) {
        status = ddb_tomb_add_head(ctx, tomb, head);
    }
    for (size_t at = 0; at < tomb->head_count && status >= 0;) {
        size_t count = tomb->head_count - at < DDB_TOMB_WAVE ? tomb->head_count - at : (size_t)DDB_TOMB_WAVE;
        status = ddb_tomb_wave(ctx, tomb, at, count);
        at += count;
    }
    if (status < 0) {
        ddb_tomb_close(ctx, tomb);
        return status;
    }
    *out = tomb;
    return DREAMDB_OK;
}

/* No anchor is deleted. */
DDB_FN bool ddb_tomb_empty(const ddb_tomb *tomb)
{
    return !tomb || (tomb->root_count == 0 && tomb->list_count == 0);
}

typedef struct ddb_tomb_asked { const uint64_t *sorted; size_t count; uint8_t *deleted; } ddb_tomb_asked;

DDB_FN bool ddb_tomb_wants(void *user, const ddb_page_child *child)
{
    const ddb_tomb_asked *asked = (const ddb_tomb_asked *)user;
    size_t at = ddb_coll_lower_u64(asked->sorted, asked->count, child->low.number);
    return at < asked->count && asked->sorted[at] <= child->high.number;
}

/* Marks every asked anchor that stands in the sorted list; equal asked anchors are marked each. */
DDB_FN void ddb_tomb_mark(const ddb_tomb_asked *asked, uint64_t anchor)
{
    for (size_t at = ddb_coll_lower_u64(asked->sorted, asked->count, anchor); at < asked->count && asked->sorted[at] == anchor; at++) {
        asked->deleted[at] = 1;
    }
}

DDB_FN dreamdb_status ddb_tomb_leaf(ddb_ctx *ctx, void *user, const ddb_page *page)
{
    (void)ctx;
    for (size_t i = 0; i < page->count; i++) {
        ddb_tomb_mark((const ddb_tomb_asked *)user, page->rows[i].t_start);
    }
    return DREAMDB_OK;
}

/* Which of the sorted anchors are deleted: deleted[i] = 1, else 0. */
DDB_FN dreamdb_status ddb_tomb_test(ddb_ctx *ctx, ddb_tomb *tomb, const uint64_t *sorted, size_t count, uint8_t *deleted)
{
    ddb_tomb_asked asked;
    dreamdb_status status = DREAMDB_OK;
    memset(deleted, 0, count);
    asked.sorted = sorted;
    asked.count = count;
    asked.deleted = deleted;
    for (size_t i = 0; !ddb_tomb_empty(tomb) && i < tomb->list_count; i++) {
        for (size_t j = 0; j < count; j++) {
            size_t at = ddb_coll_lower_u64(tomb->lists[i].anchors, tomb->lists[i].count, sorted[j]);
            deleted[j] |= (uint8_t)(at < tomb->lists[i].count && tomb->lists[i].anchors[at] == sorted[j]);
        }
    }
    for (size_t i = 0; !ddb_tomb_empty(tomb) && i < tomb->root_count && status >= 0; i++) {
        ddb_page_visit visit;
        memset(&visit, 0, sizeof visit);
        visit.user = &asked;
        visit.want = ddb_tomb_wants;
        visit.leaf = ddb_tomb_leaf;
        if (ddb_tomb_wants(&asked, tomb->roots + i)) {
            status = ddb_page_gather(ctx, tomb->env, &tomb->tree, tomb->roots + i, &visit);
        }
    }
    return status;
}

typedef struct ddb_tomb_all { uint64_t *anchors; size_t count, cap; } ddb_tomb_all;

DDB_FN dreamdb_status ddb_tomb_keep(ddb_ctx *ctx, ddb_tomb_all *all, uint64_t anchor)
{
    uint64_t *anchors = (uint64_t *)ddb_tomb_grow(ctx, all->anchors, all->count, &all->cap, sizeof *anchors);
    if (!anchors) {
        return DREAMDB_ERR_MEMORY;
    }
    all->anchors = anchors;
    anchors[all->count++] = anchor;
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_tomb_keep_leaf(ddb_ctx *ctx, void *user, const ddb_page *page)
{
    dreamdb_status status = DREAMDB_OK;
    for (size_t i = 0; i < page->count && status >= 0; i++) {
        status = ddb_tomb_keep(ctx, (ddb_tomb_all *)user, page->rows[i].t_start);
    }
    return status;
}

/* Every deleted anchor, sorted, each once; *anchors is the caller's: ddb_mem_drop(ctx, anchors, uint64_t, cap).  Walks every page. */
DDB_FN dreamdb_status ddb_tomb_anchors(ddb_ctx *ctx, ddb_tomb *tomb, uint64_t **anchors, size_t *count, size_t *cap)
{
    ddb_tomb_all all;
    dreamdb_status status = DREAMDB_OK;
    memset(&all, 0, sizeof all);
    for (size_t i = 0; !ddb_tomb_empty(tomb) && i < tomb->list_count; i++) {
        for (size_t j = 0; j < tomb->lists[i].count && status >= 0; j++) {
            status = ddb_tomb_keep(ctx, &all, tomb->lists[i].anchors[j]);
        }
    }
    for (size_t i = 0; !ddb_tomb_empty(tomb) && i < tomb->root_count && status >= 0; i++) {
        ddb_page_visit visit;
        memset(&visit, 0, sizeof visit);
        visit.user = &all;
        visit.leaf = ddb_tomb_keep_leaf;
        status = ddb_page_gather(ctx, tomb->env, &tomb->tree, tomb->roots + i, &visit);
    }
    status = status < 0 ? status : ddb_coll_sort_u64(ctx, all.anchors, all.count);
    if (status < 0) {
        ddb_mem_drop(ctx, all.anchors, uint64_t, all.cap);
        return status;
    }
    *anchors = all.anchors;
    *count = all.count > 0 ? ddb_coll_unique_u64(all.anchors, all.count) : 0;
    *cap = all.cap;
    return DREAMDB_OK;
}

/* How many anchors are deleted: at once for one tree, else by a walk. */
DDB_FN dreamdb_status ddb_tomb_count(ddb_ctx *ctx, ddb_tomb *tomb, uint64_t *out)
{
    uint64_t *anchors = NULL;
    size_t count = 0, cap = 0;
    *out = 0;
    if (ddb_tomb_empty(tomb)) {
        return DREAMDB_OK;
    }
    if (tomb->root_count + tomb->list_count == 1) {
        *out = tomb->root_count == 1 ? tomb->roots[0].rows : tomb->lists[0].count;
        return DREAMDB_OK;
    }
    dreamdb_status status = ddb_tomb_anchors(ctx, tomb, &anchors, &count, &cap);
    *out = count;
    if (status >= 0) {
        ddb_mem_drop(ctx, anchors, uint64_t, cap);
    }
    return status;
}

/* Every object: the heads, then the pages of each tree; all are checked.  addr and path last for the call. */
typedef dreamdb_status (*ddb_tomb_fn)(ddb_ctx *ctx, void *user, const ddb_addr *addr, const char *path, bool is_page);
typedef struct ddb_tomb_walk_state { ddb_tomb_fn each; void *user; } ddb_tomb_walk_state;

DDB_FN dreamdb_status ddb_tomb_walk_page(ddb_ctx *ctx, void *user, const ddb_page_child *child, const char *path, size_t size)
{
    ddb_tomb_walk_state *state = (ddb_tomb_walk_state *)user;
    (void)size;
    return state->each ? state->each(ctx, state->user, &child->addr, path, true) : DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_tomb_walk(ddb_ctx *ctx, ddb_tomb *tomb, ddb_tomb_fn each, void *user)
{
    ddb_tomb_walk_state state;
    dreamdb_status status = DREAMDB_OK;
    state.each = each;
    state.user = user;
    for (size_t i = 0; tomb && i < tomb->head_count && status >= 0; i++) {
        ddb_arena arena;
        memset(&arena, 0, sizeof arena);
        const char *path = ddb_addr_path(ctx, &arena, "tombstones", tomb->heads + i);
        status = !path ? DREAMDB_ERR_MEMORY : each ? each(ctx, user, tomb->heads + i, path, false) : DREAMDB_OK;
        ddb_mem_arena_free(ctx, &arena);
    }
    for (size_t i = 0; tomb && i < tomb->root_count && status >= 0; i++) {
        ddb_page_visit visit;
        memset(&visit, 0, sizeof visit);
        visit.user = &state;
        visit.each = ddb_tomb_walk_page;
        status = ddb_page_gather(ctx, tomb->env, &tomb->tree, tomb->roots + i, &visit);
    }
    return status;
}

/* ==== ROOM 22 kmeans | prefix ddb_kmeans_ | uses port mem cpu exact kern pool ==== */
/* k-means with a k-means++ start, bit for bit as the reference trains IVF (spatial.md 4): exact left folds decide every pick, every
   assignment (ties to the lowest id) and every mean.  Speed comes from estimates whose error is bounded; only samples with more than one
   centroid inside the bound are folded (kernels.md 6).
   Invariant: the centroids do not depend on the number of threads, on the cpu mask or on the caller's floating-point environment.

   The bound.  u = 2^-24, D = |x - c|^2.  The fold's value is D*(1 + e), |e| <= (d+3)*1.01*u, as all its terms are positive.  The estimate
   g = |c|^2 - 2*dot(x, c) is off from D - |x|^2 by at most (d+9)*1.01*u*(|c|^2 + 2|x||c|) <= (d+9)*1.01*u*(|x|+|c|)^2.  If the fold of c is
   not above the fold of the centroid b with the least g, then D_c <= D_b*(1 + (2d+7)*1.02*u), and D_b <= (|x|+|b|)^2; so g_c <= g_b +
   (4d+40)*1.05*u*(|x|+C)^2, C the largest |c|; products that underflow add at most (d+8)*1e-44. */

typedef int (*ddb_kmeans_progress)(void *user, uint64_t done, uint64_t total);       /* not 0 cancels */

enum {
    DDB_KMEANS_ROWS = 256,                       /* samples that a worker takes at once */
    DDB_KMEANS_GROUP = 12,                       /* samples in one pass over some centroids */
    DDB_KMEANS_WAIT = 24,                        /* centroids inside the bound that a sample keeps; more: all are folded */
    DDB_KMEANS_BYTES = 524288                    /* centroids gone through at once: they stay in a core's own cache */
};

typedef struct ddb_kmeans {
    const ddb_ctx *ctx;
    const float *sample;
    size_t       count, blocks;                  /* blocks of 16 samples */
    uint32_t     dim, k;
    float       *pack, *least;                   /* samples transposed; least squared distance of each to a pick */
    float       *centroids, *centroid_pack, *squares;        /* [k][dim]; the same transposed; |c|^2, padded */
    float       *totals;                         /* [k][dim] */
    uint32_t    *ids, *sizes;
    float        longest;                        /* the largest |c| */
    bool         tame;                           /* no magnitude is so extreme that the bound would overflow */
    uint64_t     failed;
} ddb_kmeans;

/* One sample on its way through the centroids. */
typedef struct ddb_kmeans_seek { float least, slack; uint32_t used; bool over; uint32_t ids[DDB_KMEANS_WAIT]; float gaps[DDB_KMEANS_WAIT]; } ddb_kmeans_seek;

/* One pick of k-means++, all in floats: from state / 2^64 times the sum of the squared distances, each distance is taken off in turn; the
   sample that brings it to 0 or below is picked, sample 0 when none does (rounding, or squares that overflow).  spatial.md 4 says f64 sums:
   the live reference 0.0.16 disagrees where the two differ (tests/golden/make_numeric.py has such sets). */
DDB_FN size_t ddb_kmeans_pick(const ddb_kmeans *m, uint64_t state)
{
    float sum = 0, left = (float)state;
    DDB_EXACT_HOLD(left);
    for (size_t i = 0; i < m->count; i++) {
        sum = ddb_exact_add(sum, m->least[i]);
    }
    left = ddb_exact_mul(ddb_exact_mul(left, 5.42101086242752217003726400434970855712890625e-20f), sum);     /* 2^-64: exact */
    for (size_t i = 0; i < m->count; i++) {
        left = ddb_exact_sub(left, m->least[i]);
        if (ddb_exact_zero(left) || (ddb_exact_bits(left) >> 31 != 0 && ddb_exact_bits(left) <= 0xff800000u)) {
            return i;                            /* by bits: a NaN is not below 0 */
        }
    }
    return 0;
}

DDB_INLINE uint64_t ddb_kmeans_step(uint64_t state)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

DDB_FN void ddb_kmeans_take(ddb_kmeans *m, uint32_t to, size_t sample)
{
    memcpy(m->centroids + (size_t)to * m->dim, m->sample + sample * m->dim, m->dim * sizeof(float));
}

/* The start: sample 0, then picks with probability by squared distance; the state before each step is used. */
DDB_FN dreamdb_status ddb_kmeans_start(ddb_kmeans *m, uint64_t state, ddb_kmeans_progress progress, void *user, uint64_t total)
{
    for (size_t i = 0; i < m->blocks * DDB_KERN_LANES; i++) {
        m->least[i] = ddb_exact_from_bits(0x7f800000u);
    }
    ddb_kmeans_take(m, 0, 0);
    for (uint32_t j = 1; j < m->k; j++) {
        ddb_kern_dist(m->ctx->cpu, m->pack, m->blocks, m->dim, m->centroids + (size_t)(j - 1) * m->dim, m->least);
        ddb_kmeans_take(m, j, ddb_kmeans_pick(m, state));
        state = ddb_kmeans_step(state);
        if (progress && j % 64 == 0 && progress(user, j, total) != 0) {
            return DREAMDB_ERR_CANCELLED;
        }
    }
    return DREAMDB_OK;
}

/* Among some centroids (ids ascending; NULL = all) the one whose fold is least, the lowest on a tie. */
DDB_FN uint32_t ddb_kmeans_nearest(const ddb_kmeans *m, const float *x, const uint32_t *ids, uint32_t count)
{
    uint32_t best = 0, best_bits = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = ids ? ids[i] : i;
        uint32_t bits = ddb_exact_bits(ddb_exact_dist2(x, m->centroids + (size_t)id * m->dim, m->dim));
        if (bits < best_bits) {
            best_bits = bits;
            best = id;
        }
    }
    return best;
}

/* Takes in the estimates of n <= 64 centroids from `first` on. */
DDB_FN void ddb_kmeans_seek_take(ddb_kmeans_seek *s, const float *gaps, uint32_t first, uint64_t mask)
{
    for (uint32_t l = 0; l < 64 && mask >> l != 0; l++) {
        if ((mask >> l & 1) == 0 || s->over) {
            continue;
        }
        if (s->used == DDB_KMEANS_WAIT) {
            uint32_t kept = 0;
            for (uint32_t i = 0; i < s->used; i++) {
                if (s->gaps[i] <= s->least + s->slack) {
                    s->ids[kept] = s->ids[i];
                    s->gaps[kept++] = s->gaps[i];
                }
            }
            s->used = kept;
            s->over = kept == DDB_KMEANS_WAIT;
        }
        if (!s->over) {
            s->ids[s->used] = first + l;
            s->gaps[s->used++] = gaps[l];
        }
    }
}

/* The estimates of `count` samples to the centroids of some blocks. */
DDB_FN void ddb_kmeans_scan(const ddb_kmeans *m, const float *x, size_t count, size_t block, size_t blocks, float *scratch, ddb_kmeans_seek *seeks)
{
    size_t lanes = blocks * DDB_KERN_LANES, first = block * DDB_KERN_LANES;
    ddb_kern_near(m->ctx->cpu, m->centroid_pack + first * m->dim, blocks, m->dim, x, m->dim, count, scratch);
    for (size_t q = 0; q < count; q++) {
        ddb_kmeans_seek *s = seeks + q;
        float *gaps = scratch + q * lanes;
        float least = ddb_kern_gap(m->ctx->cpu, gaps, m->squares + first, lanes);
        s->least = least < s->least ? least : s->least;
        for (size_t at = 0; at < lanes; at += 64) {
            size_t some = lanes - at < 64 ? lanes - at : 64;
            uint64_t mask = ddb_kern_below(m->ctx->cpu, gaps + at, s->least + s->slack, some);
            if (mask != 0) {
                ddb_kmeans_seek_take(s, gaps + at, (uint32_t)(first + at), mask);
            }
        }
    }
}

DDB_FN uint32_t ddb_kmeans_seek_end(const ddb_kmeans *m, const float *x, ddb_kmeans_seek *s)
{
    uint32_t kept = 0;
    if (s->over) {
        return ddb_kmeans_nearest(m, x, NULL, m->k);
    }
    for (uint32_t i = 0; i < s->used; i++) {
        if (s->gaps[i] <= s->least + s->slack) {
            s->ids[kept++] = s->ids[i];
        }
    }
    return kept == 1 ? s->ids[0] : ddb_kmeans_nearest(m, x, s->ids, kept);
}

/* Assigns samples first..first+count-1 (at most DDB_KMEANS_ROWS); false without memory. */
DDB_FN bool ddb_kmeans_assign(const ddb_kmeans *m, size_t first, size_t count)
{
    ddb_ctx ctx = *m->ctx;
    size_t all = ddb_kern_blocks(m->k), step = DDB_KMEANS_BYTES / ((size_t)m->dim * 64) + 4;
    step = (step < all ? step : all);
    size_t scratch_floats = DDB_KMEANS_GROUP * step * DDB_KERN_LANES;
    double u = 5.9604644775390625e-8, width = (4.0 * m->dim + 40) * 1.05 * u;
    ctx.error = NULL;
    ddb_kmeans_seek *seeks = ddb_mem_new(&ctx, ddb_kmeans_seek, count);
    float *scratch = ddb_mem_new(&ctx, float, scratch_floats);
    const float *x = m->sample + first * m->dim;
    for (size_t i = 0; seeks && scratch && i < count; i++) {
        double reach = (double)ddb_exact_sqrt(ddb_kern_dot(ctx.cpu, x + i * m->dim, x + i * m->dim, m->dim)) + (double)m->longest;
        seeks[i].least = 3.0e38f;
        seeks[i].slack = (float)(width * reach * reach * 1.02 + ((double)m->dim + 8) * 1e-44);   /* 1.02: |x| and the sum are rounded too */
    }
    for (size_t block = 0; seeks && scratch && block < all; block += step) {
        size_t blocks = all - block < step ? all - block : step;
        for (size_t i = 0; i < count; i += DDB_KMEANS_GROUP) {
            size_t some = ddb_kern_least_of(count - i, DDB_KMEANS_GROUP);
            ddb_kmeans_scan(m, x + i * m->dim, some, block, blocks, scratch, seeks + i);
        }
    }
    for (size_t i = 0; seeks && scratch && i < count; i++) {
        m->ids[first + i] = ddb_kmeans_seek_end(m, x + i * m->dim, seeks + i);
    }
    bool good = seeks && scratch;
    ddb_mem_drop(&ctx, seeks, ddb_kmeans_seek, count);
    ddb_mem_drop(&ctx, scratch, float, scratch_floats);
    return good;
}

/* One task of the pool. */
DDB_FN void ddb_kmeans_task(void *user, uint32_t index)
{
    ddb_kmeans *m = (ddb_kmeans *)user;
    size_t first = (size_t)index * DDB_KMEANS_ROWS, count = ddb_kern_least_of(m->count - first, DDB_KMEANS_ROWS);
    ddb_exact_env env;
    ddb_exact_enter(&env);
    if (m->tame) {
        if (!ddb_kmeans_assign(m, first, count)) {
            (void)ddb_port_atomic_add(&m->failed, 1);
        }
    } else {
        for (size_t i = first; i < first + count; i++) {
            m->ids[i] = ddb_kmeans_nearest(m, m->sample + i * m->dim, NULL, m->k);
        }
    }
    ddb_exact_leave(&env);
}

/* The estimates' view of the centroids. */
DDB_FN void ddb_kmeans_prepare(ddb_kmeans *m)
{
    uint32_t most = 0;
    float longest = 0;
    for (size_t i = 0; i < (size_t)m->k * m->dim; i++) {
        uint32_t bits = ddb_exact_bits(m->centroids[i]) & 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    m->tame = m->tame && most < 0x53800000u;     /* 2^40; NaN and infinity are above */
    for (size_t j = 0; m->tame && j < ddb_kern_blocks(m->k) * DDB_KERN_LANES; j++) {
        const float *c = m->centroids + j * m->dim;
        m->squares[j] = j < m->k ? ddb_kern_dot(m->ctx->cpu, c, c, m->dim) : 1.0e38f;      /* padding never wins */
        longest = j < m->k && m->squares[j] > longest ? m->squares[j] : longest;
    }
    m->longest = ddb_exact_sqrt(longest);
    if (m->tame) {
        ddb_kern_pack(m->centroids, m->dim, m->k, m->dim, m->centroid_pack);
    }
}

/* New centroids: unit(mean) of each cluster, sums in sample order; an empty cluster takes sample j mod n as it is. */
DDB_FN void ddb_kmeans_update(ddb_kmeans *m)
{
    memset(m->totals, 0, (size_t)m->k * m->dim * sizeof(float));
    memset(m->sizes, 0, m->k * sizeof *m->sizes);
    for (size_t i = 0; i < m->count; i++) {
        ddb_kern_sum(m->totals + (size_t)m->ids[i] * m->dim, m->sample + i * m->dim, m->dim);
        m->sizes[m->ids[i]]++;
    }
    for (uint32_t j = 0; j < m->k; j++) {
        float *mean = m->centroids + (size_t)j * m->dim;
        if (m->sizes[j] == 0) {
            ddb_kmeans_take(m, j, j % m->count);
            continue;
        }
        float size = (float)m->sizes[j];
        DDB_EXACT_HOLD(size);
        memcpy(mean, m->totals + (size_t)j * m->dim, m->dim * sizeof(float));
        ddb_exact_div_all(mean, m->dim, size);
        float norm = ddb_exact_sqrt(ddb_exact_fold(mean, mean, m->dim));
        if (!ddb_exact_zero(norm)) {             /* a mean without length stays as it is; an infinite norm gives zeros */
            ddb_exact_div_all(mean, m->dim, norm);
        }
    }
}

DDB_FN dreamdb_status ddb_kmeans_run(ddb_ctx *ctx, ddb_kmeans *m, ddb_pool *pool, uint32_t iterations, uint64_t seed, ddb_kmeans_progress progress, void *user)
{
    uint64_t total = (uint64_t)m->k + iterations;
    ddb_kern_pack(m->sample, m->dim, m->count, m->dim, m->pack);
    dreamdb_status status = ddb_kmeans_start(m, seed, progress, user, total);
    for (uint32_t it = 0; status == DREAMDB_OK && it < iterations; it++) {
        ddb_kmeans_prepare(m);
        ddb_pool_run(pool, ddb_kmeans_task, m, (uint32_t)((m->count + DDB_KMEANS_ROWS - 1) / DDB_KMEANS_ROWS));
        if (ddb_port_atomic_load(&m->failed) != 0) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_MEMORY, "no memory to assign samples to centroids");
        }
        ddb_kmeans_update(m);
        if (progress && progress(user, (uint64_t)m->k + it + 1, total) != 0) {
            status = DREAMDB_ERR_CANCELLED;
        }
    }
    return status == DREAMDB_ERR_CANCELLED ? ddb_mem_fail(ctx, status, "training was cancelled") : status;
}

/* All the memory of a training; freed by ddb_kmeans_close, also when some of it is missing. */
DDB_FN bool ddb_kmeans_open(ddb_ctx *ctx, ddb_kmeans *m)
{
    size_t lanes = ddb_kern_blocks(m->k) * DDB_KERN_LANES;
    m->blocks = ddb_kern_blocks(m->count);
    m->pack = ddb_mem_new(ctx, float, m->blocks * DDB_KERN_LANES * m->dim);
    m->least = ddb_mem_new(ctx, float, m->blocks * DDB_KERN_LANES);
    m->centroid_pack = ddb_mem_new(ctx, float, lanes * m->dim);
    m->squares = ddb_mem_new(ctx, float, lanes);
    m->totals = ddb_mem_new(ctx, float, (size_t)m->k * m->dim);
    m->ids = ddb_mem_new(ctx, uint32_t, m->count);
    m->sizes = ddb_mem_new(ctx, uint32_t, m->k);
    return m->pack && m->least && m->centroid_pack && m->squares && m->totals && m->ids && m->sizes;
}

DDB_FN void ddb_kmeans_close(ddb_ctx *ctx, ddb_kmeans *m)
{
    size_t lanes = ddb_kern_blocks(m->k) * DDB_KERN_LANES;
    ddb_mem_drop(ctx, m->pack, float, m->blocks * DDB_KERN_LANES * m->dim);
    ddb_mem_drop(ctx, m->least, float, m->blocks * DDB_KERN_LANES);
    ddb_mem_drop(ctx, m->centroid_pack, float, lanes * m->dim);
    ddb_mem_drop(ctx, m->squares, float, lanes);
    ddb_mem_drop(ctx, m->totals, float, (size_t)m->k * m->dim);
    ddb_mem_drop(ctx, m->ids, uint32_t, m->count);
    ddb_mem_drop(ctx, m->sizes, uint32_t, m->k);
}

/* Trains k centroids of dim floats on count samples (not normalised).  seed: the first 8 bytes, little endian, of the reference's seed.
   progress may be NULL.  ARGUMENT: k is 0 or above count, a sample is not finite. */
DDB_FN dreamdb_status ddb_kmeans_train(ddb_ctx *ctx, ddb_pool *pool, const float *sample, size_t count, uint32_t dim, uint32_t k, uint32_t iterations,
                                       uint64_t seed, ddb_kmeans_progress progress, void *user, float *centroids)
{
    ddb_kmeans m;
    ddb_exact_env env;
    if (k == 0 || dim == 0 || k > count) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "train_ivf_cosine: sample size %zu must be >= k = %lu, k and dim must be >= 1", count, (unsigned long)k);
    }
    if (count > UINT32_MAX || count > SIZE_MAX / 16 / ((size_t)dim + 16)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "%zu samples of %lu floats are too many to train on", count, (unsigned long)dim);
    }
    for (size_t i = 0; i < count; i++) {
        if (!ddb_exact_all_finite(sample + i * dim, dim)) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "sample row %zu: input vector contains NaN or infinity", i);
        }
    }
    memset(&m, 0, sizeof m);
    m.ctx = ctx;
    m.sample = sample;
    m.count = count;
    m.dim = dim;
    m.k = k;
    m.centroids = centroids;
    m.tame = true;
    for (size_t i = 0; m.tame && i < count * (size_t)dim; i++) {
        m.tame = (ddb_exact_bits(sample[i]) & 0x7fffffffu) < 0x53800000u;
    }
    dreamdb_status status = DREAMDB_ERR_MEMORY;
    ddb_exact_enter(&env);
    if (ddb_kmeans_open(ctx, &m)) {
        status = ddb_kmeans_run(ctx, &m, pool, iterations, seed, progress, user);
    }
    ddb_exact_leave(&env);
    ddb_kmeans_close(ctx, &m);
    return status;
}

/* ==== ROOM 23 lsh | prefix ddb_lsh_ | uses mem coll exact kern ==== */
/* The two hashing indexes that need no training: signs of projections on random planes (cosine, spatial.md 2) and bins along one random axis
   (l2, spatial.md 3).  Keys are packed bit strings, first digit in the top bit of byte 0.
   Invariant: planes, margins and bins are the format's, bit for bit.  The caller stands between ddb_exact_enter and ddb_exact_leave. */

enum {
    DDB_LSH_DRAWS = 64,                          /* draws of a plane that is all zero before we give up: one in 2^(32 * dim) is */
    DDB_LSH_L2_BITS = 64,
    DDB_LSH_L2_PROBES = 1 << 20                  /* the bins have no end; more than this is no search */
};

typedef struct ddb_lsh {
    uint32_t bits, dim;
    size_t   blocks;                             /* blocks of 16 planes */
    float   *pack;                               /* unit planes, room kern's pack */
} ddb_lsh;

typedef struct ddb_lsh_l2 {
    uint32_t dim;
    double   offset, width;                      /* b in [0, 1) and W */
    double  *axis;                               /* [dim], of length 1 */
} ddb_lsh_l2;

/* The next dim words that are not all zero; false after too many tries. */
DDB_FN bool ddb_lsh_draw(ddb_chacha *words, uint32_t *out, size_t dim)
{
    for (int tries = 0; tries < DDB_LSH_DRAWS; tries++) {
        uint32_t any = 0;
        for (size_t i = 0; i < dim; i++) {
            out[i] = ddb_exact_chacha_word(words);
            any |= out[i];
        }
        if (any != 0) {
            return true;
        }
    }
    return false;
}

DDB_FN void ddb_lsh_close(ddb_ctx *ctx, ddb_lsh *lsh)
{
    if (lsh) {
        ddb_mem_drop(ctx, lsh->pack, float, lsh->blocks * DDB_KERN_LANES * lsh->dim);
        ddb_mem_drop(ctx, lsh, ddb_lsh, 1);
    }
}

DDB_FN dreamdb_status ddb_lsh_planes(ddb_ctx *ctx, ddb_lsh *lsh, const uint8_t seed[32], float *plane, uint32_t *words)
{
    ddb_chacha stream;
    ddb_exact_chacha_init(&stream, seed);
    for (uint32_t j = 0; j < lsh->bits; j++) {
        if (!ddb_lsh_draw(&stream, words, lsh->dim)) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_CORRUPT, "ChaCha20 hyperplane draw exceeded retry budget at plane %lu", (unsigned long)j);
        }
        for (size_t i = 0; i < lsh->dim; i++) {
            plane[i] = ddb_exact_uniform(words[i]);
        }
        (void)ddb_exact_unit(plane, lsh->dim, plane);        /* finite and not zero: its squares are at least 2^-62 */
        float *at = lsh->pack + (size_t)(j / DDB_KERN_LANES) * lsh->dim * DDB_KERN_LANES + j % DDB_KERN_LANES;
        for (size_t i = 0; i < lsh->dim; i++) {
            at[i * DDB_KERN_LANES] = plane[i];
        }
    }
    return DREAMDB_OK;
}

/* Draws the planes of a seed.  bits * dim is checked by the caller. */
DDB_FN dreamdb_status ddb_lsh_open(ddb_ctx *ctx, uint32_t bits, uint32_t dim, const uint8_t seed[32], ddb_lsh **out)
{
    dreamdb_status status = DREAMDB_ERR_MEMORY;
    ddb_lsh *lsh = ddb_mem_new(ctx, ddb_lsh, 1);
    *out = NULL;
    if (!lsh) {
        return status;
    }
    lsh->bits = bits;
    lsh->dim = dim;
    lsh->blocks = ddb_kern_blocks(bits);
    lsh->pack = ddb_mem_new(ctx, float, lsh->blocks * DDB_KERN_LANES * dim);
    float *plane = ddb_mem_new(ctx, float, dim);
    uint32_t *words = ddb_mem_new(ctx, uint32_t, dim);
    if (lsh->pack && plane && words) {
        status = ddb_lsh_planes(ctx, lsh, seed, plane, words);
    }
    ddb_mem_drop(ctx, plane, float, dim);
    ddb_mem_drop(ctx, words, uint32_t, dim);
    if (status < 0) {
        ddb_lsh_close(ctx, lsh);
        return status;
    }
    *out = lsh;
    return DREAMDB_OK;
}

/* Keys of count <= 16 unit vectors in a pack; keys are cleared by the caller. */
DDB_FN void ddb_lsh_keys(uint32_t cpu, const ddb_lsh *lsh, const float *pack, size_t count, uint8_t *keys, size_t key_size)
{
    float margins[DDB_KERN_LANES * DDB_KERN_LANES];
    for (size_t block = 0; block < lsh->blocks; block++) {
        size_t first = block * DDB_KERN_LANES, planes = ddb_kern_least_of(lsh->bits - first, DDB_KERN_LANES);
        ddb_kern_fold_block(cpu, lsh->pack + first * lsh->dim, pack, lsh->dim, count, margins);
        for (size_t r = 0; r < count; r++) {
            for (size_t l = 0; l < planes; l++) {
                if (margins[r * DDB_KERN_LANES + l] >= 0) {
                    keys[r * key_size + (first + l) / 8] |= (uint8_t)(0x80u >> (first + l) % 8);
                }
            }
        }
    }
}

/* One set of flipped digits: first and second, or bits where there is none. */
typedef struct ddb_lsh_flip { double cost; uint32_t first, second; } ddb_lsh_flip;

DDB_FN int ddb_lsh_flip_compare(const void *a, const void *b, void *user)
{
    double x = ((const ddb_lsh_flip *)a)->cost, y = ((const ddb_lsh_flip *)b)->cost;
    (void)user;
    return x < y ? -1 : x > y ? 1 : 0;
}

/* Every set of at most two digits to flip, cheapest first; ties in the order none, one, two. */
DDB_FN dreamdb_status ddb_lsh_flips(ddb_ctx *ctx, const float *margins, uint32_t bits, ddb_lsh_flip *flips, size_t count)
{
    size_t at = 0;
    for (uint32_t size = 0; size < 3; size++) {
        for (uint32_t a = 0; a < (size > 0 ? bits : 1); a++) {
            for (uint32_t b = size > 1 ? a + 1 : 0; b < (size > 1 ? bits : 1); b++) {
                ddb_lsh_flip *f = flips + at++;
                f->first = size > 0 ? a : bits;
                f->second = size > 1 ? b : bits;
                double cost = size > 0 ? (double)(margins[a] < 0 ? -margins[a] : margins[a]) : 0.0;
                f->cost = size > 1 ? ddb_exact_add64(cost, (double)(margins[b] < 0 ? -margins[b] : margins[b])) : cost;
            }
        }
    }
    DREAMDB_ASSERT(at == count);
    return ddb_coll_sort(ctx, flips, count, sizeof *flips, ddb_lsh_flip_compare, NULL);
}

DDB_FN size_t ddb_lsh_probe_most(const ddb_lsh *lsh)
{
    size_t bits = lsh->bits;
    return 1 + bits + bits * (bits - 1) / 2;
}

/* The keys of the nprobe cells to look at, in order, for a unit query. */
DDB_FN dreamdb_status ddb_lsh_probe(ddb_ctx *ctx, const ddb_lsh *lsh, const float *unit, uint64_t nprobe, ddb_arena *arena, uint8_t **keys, size_t *count)
{
    size_t most = ddb_lsh_probe_most(lsh), size = (lsh->bits + 7) / 8, lanes = lsh->blocks * DDB_KERN_LANES;
    *count = nprobe < most ? (size_t)nprobe : most;
    *keys = (uint8_t *)ddb_mem_arena_array(ctx, arena, *count, size);
    float *margins = ddb_mem_new(ctx, float, lanes);
    ddb_lsh_flip *flips = ddb_mem_new(ctx, ddb_lsh_flip, most);
    dreamdb_status status = DREAMDB_ERR_MEMORY;
    if (*keys && margins && flips) {
        ddb_kern_fold_one(ctx->cpu, lsh->pack, lsh->blocks, lsh->dim, unit, margins);
        status = ddb_lsh_flips(ctx, margins, lsh->bits, flips, most);
    }
    for (size_t p = 0; status == DREAMDB_OK && p < *count; p++) {
        for (uint32_t j = 0; j < lsh->bits; j++) {
            bool one = margins[j] >= 0;
            if (one != (j == flips[p].first || j == flips[p].second)) {
                (*keys)[p * size + j / 8] |= (uint8_t)(0x80u >> j % 8);
            }
        }
    }
    ddb_mem_drop(ctx, margins, float, lanes);
    ddb_mem_drop(ctx, flips, ddb_lsh_flip, most);
    return status;
}

/* ---- l2 ---- */

DDB_FN void ddb_lsh_l2_close(ddb_ctx *ctx, ddb_lsh_l2 *lsh)
{
    if (lsh) {
        ddb_mem_drop(ctx, lsh->axis, double, lsh->dim);
        ddb_mem_drop(ctx, lsh, ddb_lsh_l2, 1);
    }
}

DDB_FN dreamdb_status ddb_lsh_l2_axis(ddb_ctx *ctx, ddb_lsh_l2 *lsh, const uint8_t seed[32], uint32_t *words)
{
    ddb_chacha stream;
    double squares = 0;
    ddb_exact_chacha_init(&stream, seed);
    if (!ddb_lsh_draw(&stream, words, lsh->dim)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_CORRUPT, "ChaCha20 hyperplane draw exceeded retry budget at plane 0");
    }
    for (size_t i = 0; i < lsh->dim; i++) {
        lsh->axis[i] = (double)(int32_t)words[i] / 2147483648.0;               /* exact: a power of two */
        squares = ddb_exact_add64(squares, ddb_exact_mul64(lsh->axis[i], lsh->axis[i]));
    }
    double norm = ddb_exact_sqrt64(squares);
    for (size_t i = 0; i < lsh->dim; i++) {
        lsh->axis[i] = ddb_exact_div64(lsh->axis[i], norm);
    }
    lsh->offset = (double)ddb_exact_chacha_word(&stream) / 4294967296.0;
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_lsh_l2_open(ddb_ctx *ctx, uint32_t dim, double width, const uint8_t seed[32], ddb_lsh_l2 **out)
{
    dreamdb_status status = DREAMDB_ERR_MEMORY;
    ddb_lsh_l2 *lsh = ddb_mem_new(ctx, ddb_lsh_l2, 1);
    *out = NULL;
    if (!lsh) {
        return status;
    }
    lsh->dim = dim;
    lsh->width = width;
    lsh->axis = ddb_mem_new(ctx, double, dim);
    uint32_t *words = ddb_mem_new(ctx, uint32_t, dim);
    if (lsh->axis && words) {
        status = ddb_lsh_l2_axis(ctx, lsh, seed, words);
    }
    ddb_mem_drop(ctx, words, uint32_t, dim);
    if (status < 0) {
        ddb_lsh_l2_close(ctx, lsh);
        return status;
    }
    *out = lsh;
    return DREAMDB_OK;
}

/* The bin of x and the part of it that lies below x, in [0, 1); false when the bin is outside 64 bits.  x is finite. */
DDB_FN bool ddb_lsh_l2_bin(const ddb_lsh_l2 *lsh, const float *x, int64_t *bin, double *part)
{
    double at = ddb_exact_fold64(lsh->axis, x, lsh->dim);
    at = ddb_exact_div64(ddb_exact_add64(at, ddb_exact_mul64(lsh->offset, lsh->width)), lsh->width);
    if (!ddb_exact_finite64(at) || at < -9223372036854775808.0 || at >= 9223372036854775808.0) {
        return false;
    }
    *bin = (int64_t)at;                          /* cuts towards zero; floor is one less for negative fractions */
    if ((double)*bin > at) {
        (*bin)--;
    }
    *part = ddb_exact_sub64(at, (double)*bin);
    return true;
}

/* 64 digits of bin + 2^63. */
DDB_FN void ddb_lsh_l2_key(int64_t bin, uint8_t key[8])
{
    uint64_t id = (uint64_t)bin ^ (uint64_t)1 << 63;
    for (size_t i = 0; i < 8; i++) {
        key[i] = (uint8_t)(id >> (56 - 8 * i));
    }
}

/* Own bin, then outwards, the nearer side first; bins past the ends of 64 bits are left out. */
DDB_FN dreamdb_status ddb_lsh_l2_probe(ddb_ctx *ctx, int64_t bin, double part, uint64_t nprobe, ddb_arena *arena, uint8_t **keys, size_t *count)
{
    size_t most = nprobe < DDB_LSH_L2_PROBES ? (size_t)nprobe : (size_t)DDB_LSH_L2_PROBES;
    uint64_t below = (uint64_t)bin ^ (uint64_t)1 << 63, above = UINT64_MAX - below;     /* bins there are on each side */
    *count = 0;
    *keys = (uint8_t *)ddb_mem_arena_alloc(ctx, arena, most * 8);
    if (!*keys) {
        return DREAMDB_ERR_MEMORY;
    }
    for (uint64_t step = 0; *count < most && (step <= below || step <= above); step++) {
        bool up_first = part >= 0.5;
        for (int side = 0; side < (step > 0 ? 2 : 1) && *count < most; side++) {
            bool up = (side == 0) == up_first;
            if (step <= (up ? above : below)) {
                uint64_t to = up ? (uint64_t)bin + step : (uint64_t)bin - step;
                ddb_lsh_l2_key((int64_t)to, *keys + (*count)++ * 8);
            }
        }
    }
    return DREAMDB_OK;
}

/* ==== ROOM 24 ivf | prefix ddb_ivf_ | uses mem bytes exact bound ==== */
/* Cells around trained centroids (spatial.md 4): a vector belongs to the centroid with the largest left fold of unit vectors, the lowest on a
   tie; a query looks at the cells in the order of the same score.  Stored centroids need not be unit vectors. */

typedef struct ddb_ivf { uint32_t k, dim; ddb_bound_set *set; } ddb_ivf;

DDB_FN void ddb_ivf_close(ddb_ctx *ctx, ddb_ivf *ivf)
{
    if (ivf) {
        ddb_bound_free(ctx, ivf->set);
        ddb_mem_drop(ctx, ivf, ddb_ivf, 1);
    }
}

/* Makes unit vectors of centroids, in place. */
DDB_FN dreamdb_status ddb_ivf_units(ddb_ctx *ctx, const char *path, float *centroids, uint32_t k, uint32_t dim)
{
    for (uint32_t j = 0; j < k; j++) {
        float *c = centroids + (size_t)j * dim;
        ddb_exact_fault fault = ddb_exact_unit(c, dim, c);
        if (fault == DDB_EXACT_ZERO) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "ivf: centroid %lu has zero norm", (unsigned long)j);
        }
        if (fault != DDB_EXACT_GOOD) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "ivf: centroid %lu: %s", (unsigned long)j, ddb_exact_fault_text(fault, false));
        }
    }
    return DREAMDB_OK;
}

/* bytes: k * dim little-endian floats.  path names the object in errors (CORRUPT). */
DDB_FN dreamdb_status ddb_ivf_open(ddb_ctx *ctx, const char *path, const uint8_t *bytes, uint32_t k, uint32_t dim, ddb_ivf **out)
{
    size_t floats = (size_t)k * dim;
    dreamdb_status status = DREAMDB_ERR_MEMORY;
    *out = NULL;
    ddb_ivf *ivf = ddb_mem_new(ctx, ddb_ivf, 1);
    float *centroids = ddb_mem_new(ctx, float, floats);
    if (ivf && centroids) {
        ivf->k = k;
        ivf->dim = dim;
        ddb_bytes_get_f32(centroids, bytes, floats);
        status = ddb_ivf_units(ctx, path, centroids, k, dim);
    }
    if (status == DREAMDB_OK) {
        status = ddb_bound_build(ctx, centroids, dim, k, dim, 0, &ivf->set);
    }
    ddb_mem_drop(ctx, centroids, float, floats);
    if (status < 0) {
        ddb_ivf_close(ctx, ivf);
        return status;
    }
    *out = ivf;
    return DREAMDB_OK;
}

/* id as a packed key of `bits` digits; key is cleared by the caller. */
DDB_FN void ddb_ivf_key(uint32_t id, uint32_t bits, uint8_t *key)
{
    for (uint32_t b = 0; b < 32 && b < bits; b++) {
        if ((id >> b & 1) != 0) {
            uint32_t at = bits - 1 - b;
            key[at / 8] |= (uint8_t)(0x80u >> at % 8);
        }
    }
}

/* The keys of the nprobe best cells, in order, for a unit query. */
DDB_FN dreamdb_status ddb_ivf_probe(ddb_ctx *ctx, const ddb_ivf *ivf, uint32_t bits, const float *unit, uint64_t nprobe, ddb_arena *arena, uint8_t **keys, size_t *count)
{
    size_t most = nprobe < ivf->k ? (size_t)nprobe : ivf->k, size = (bits + 7) / 8;
    uint32_t *ids = ddb_mem_new(ctx, uint32_t, most);
    float *scores = ddb_mem_new(ctx, float, most);
    dreamdb_status status = DREAMDB_ERR_MEMORY;
    *count = 0;
    *keys = (uint8_t *)ddb_mem_arena_array(ctx, arena, most, size);
    if (ids && scores && *keys) {
        status = ddb_bound_top(ctx, ivf->set, unit, most, ids, scores, count);
    }
    for (size_t i = 0; status == DREAMDB_OK && i < *count; i++) {
        ddb_ivf_key(ids[i], bits, *keys + i * size);
    }
    ddb_mem_drop(ctx, ids, uint32_t, most);
    ddb_mem_drop(ctx, scores, float, most);
    return status;
}

/* ==== ROOM 25 index | prefix ddb_index_ | uses port mem bytes cbor addr exact kern pool lsh ivf bound ==== */
/* SpatialIndex objects (spatial.md 1): the one room that knows all index kinds, by the table at its end.
   Invariant: an open index is immutable and serves any number of threads.  A packed key is the key's digits from the top bit of byte 0 on, padded with
   zeros, so that memcmp orders keys as their texts.  Objects are hostile until decoded: sizes are checked before anything is allocated. */

enum {
    DDB_INDEX_BITS_MOST = 255,                   /* the key is one segment of a path */
    DDB_INDEX_DIM_MOST = 65536,                  /* keeps what a small object can make us allocate (planes) small; room bound's limit too */
    DDB_INDEX_TASK_LEAST = 64, DDB_INDEX_TASK_MOST = 512     /* rows that one worker takes */
};

typedef struct ddb_index {
    dreamdb_index_kind kind;
    const char *algorithm;                       /* a constant */
    bool        l2;
    uint32_t    bits, dim, k;                    /* k: cells of ivf, else 0 */
    ddb_addr   *parents;
    size_t      parent_count;
    bool        has_spec;
    ddb_addr    spec;                            /* embedding_spec_id of version 2 */
    ddb_lsh    *lsh;
    ddb_lsh_l2 *lsh_l2;
    ddb_ivf    *ivf;
} ddb_index;

/* The members of an object, as found; absent ones have no data. */
typedef struct ddb_index_parts { ddb_slice algorithm, metric, params, parents, spec; uint64_t bits, dim; bool has_bits, has_dim; } ddb_index_parts;
typedef struct ddb_index_params { ddb_slice seed, width, centroids; uint64_t version, k; bool has_version, has_k; } ddb_index_params;

/* ---- Reading ---- */

DDB_FN dreamdb_status ddb_index_unknown(ddb_ctx *ctx, const char *path, const char *where, ddb_slice key)
{
    return ddb_mem_fail_at(ctx, DREAMDB_ERR_FORMAT, path, "SpatialIndex Object has unknown field: %s`%.*s`", where, (int)(key.size < 64 ? key.size : 64),
                           (const char *)key.data);
}

DDB_FN dreamdb_status ddb_index_read_parts(ddb_ctx *ctx, ddb_slice bytes, const char *path, ddb_index_parts *parts)
{
    ddb_cbor r;
    ddb_slice key, previous = ddb_bytes_slice(NULL, 0);
    size_t count = 0;
    memset(parts, 0, sizeof *parts);
    ddb_cbor_open(&r, bytes);
    (void)ddb_cbor_read_map(&r, &count);
    for (size_t i = 0; i < count && ddb_cbor_next_key(&r, &key, &previous); i++) {
        if (ddb_bytes_is(key, "bits")) {
            parts->has_bits = ddb_cbor_read_uint(&r, &parts->bits);
        } else if (ddb_bytes_is(key, "dim")) {
            parts->has_dim = ddb_cbor_read_uint(&r, &parts->dim);
        } else if (ddb_bytes_is(key, "algorithm")) {
            (void)ddb_cbor_read_text(&r, &parts->algorithm);
        } else if (ddb_bytes_is(key, "metric")) {
            (void)ddb_cbor_read_text(&r, &parts->metric);
        } else if (ddb_bytes_is(key, "embedding_spec_id")) {
            (void)ddb_cbor_read_bytes(&r, &parts->spec);
        } else if (ddb_bytes_is(key, "params") || ddb_bytes_is(key, "parents")) {
            (void)ddb_cbor_skip(&r, key.size == 6 ? &parts->params : &parts->parents);
        } else {
            return ddb_index_unknown(ctx, path, "", key);
        }
    }
    if (!ddb_cbor_end(&r)) {
        return ddb_cbor_corrupt(ctx, &r, "SpatialIndex", path);
    }
    if (!parts->algorithm.data || !parts->metric.data || !parts->params.data || !parts->has_bits || !parts->has_dim) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "SpatialIndex: algorithm, bits, dim, metric or params is missing");
    }
    return DREAMDB_OK;
}

/* The params of any kind; what does not belong to the kind is unknown. */
DDB_FN dreamdb_status ddb_index_read_params(ddb_ctx *ctx, const ddb_index *ix, ddb_slice raw, const char *path, ddb_index_params *p)
{
    ddb_cbor r;
    ddb_slice key, previous = ddb_bytes_slice(NULL, 0);
    size_t count = 0;
    char where[64];
    bool ivf = ix->kind == DREAMDB_INDEX_IVF;
    memset(p, 0, sizeof *p);
    ddb_cbor_open(&r, raw);
    (void)ddb_cbor_read_map(&r, &count);
    for (size_t i = 0; i < count && ddb_cbor_next_key(&r, &key, &previous); i++) {
        if (ddb_bytes_is(key, "version")) {
            p->has_version = ddb_cbor_read_uint(&r, &p->version);
        } else if (!ivf && ddb_bytes_is(key, "seed")) {
            (void)ddb_cbor_read_bytes(&r, &p->seed);
        } else if (ix->l2 && ddb_bytes_is(key, "bucket_width_f64le")) {
            (void)ddb_cbor_read_bytes(&r, &p->width);
        } else if (ivf && ddb_bytes_is(key, "k")) {
            p->has_k = ddb_cbor_read_uint(&r, &p->k);
        } else if (ivf && ddb_bytes_is(key, "centroids")) {
            (void)ddb_cbor_read_bytes(&r, &p->centroids);
        } else {
            (void)snprintf(where, sizeof where, "%s params: ", ix->algorithm + 8);         /* without "dreamdb." */
            return ddb_index_unknown(ctx, path, where, key);
        }
    }
    if (!ddb_cbor_end(&r)) {
        return ddb_cbor_corrupt(ctx, &r, "SpatialIndex params", path);
    }
    if (!p->has_version) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "SpatialIndex: params.version is missing");
    }
    if (p->version < 1 || p->version > 2) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_FORMAT, path, "SpatialIndex: params.version is %llu, known are 1 and 2", (unsigned long long)p->version);
    }
    if ((p->version == 2) != ix->has_spec) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "SpatialIndex params v1 must omit embedding_spec_id and v2 must carry it");
    }
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_index_open_lsh(ddb_ctx *ctx, ddb_index *ix, const ddb_index_params *p, const char *path)
{
    if (p->seed.size != 32) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "SpatialIndex: seed has %zu bytes, not 32", p->seed.size);
    }
    return ddb_lsh_open(ctx, ix->bits, ix->dim, p->seed.data, &ix->lsh);
}

DDB_FN dreamdb_status ddb_index_open_lsh_l2(ddb_ctx *ctx, ddb_index *ix, const ddb_index_params *p, const char *path)
{
    double width = 0;
    if (p->seed.size != 32 || p->width.size != 8) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "SpatialIndex: seed must have 32 bytes and bucket_width_f64le 8");
    }
    if (ix->bits != DDB_LSH_L2_BITS) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "L2 requires raw vectors, rerank=false and 64-bit bins");
    }
    uint64_t bits = ddb_bytes_le64(p->width.data);
    memcpy(&width, &bits, 8);
    if (!ddb_exact_finite64(width) || bits == 0 || bits >> 63 != 0) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "SpatialIndex: bucket_width_f64le must be finite and above 0");
    }
    return ddb_lsh_l2_open(ctx, ix->dim, width, p->seed.data, &ix->lsh_l2);
}

DDB_FN dreamdb_status ddb_index_open_ivf(ddb_ctx *ctx, ddb_index *ix, const ddb_index_params *p, const char *path)
{
    uint64_t floats = 0;
    if (!p->has_k || p->k < 1 || p->k > UINT32_MAX || !ddb_mem_mul_u64(p->k, ix->dim, &floats) || floats > UINT64_MAX / 4 || floats * 4 != p->centroids.size) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "ivf: centroids have %zu bytes, not k = %llu times dim = %lu floats", p->centroids.size,
                               (unsigned long long)p->k, (unsigned long)ix->dim);
    }
    if (ix->bits < 32 && (p->k - 1) >> ix->bits != 0) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "ivf: bits=%lu too narrow to encode k=%llu centroid ids", (unsigned long)ix->bits,
                               (unsigned long long)p->k);
    }
    ix->k = (uint32_t)p->k;
    return ddb_ivf_open(ctx, path, p->centroids.data, ix->k, ix->dim, &ix->ivf);
}

/* ---- Keys and probes of each kind ---- */

/* Rows of a batch of keys; part of them is one task. */
typedef struct ddb_index_batch {
    const ddb_ctx   *ctx;
    const ddb_index *ix;
    const float     *vectors;
    size_t           stride, count, each;
    uint8_t         *keys;
    struct ddb_index_part *parts;
} ddb_index_batch;
typedef struct ddb_index_part { dreamdb_status status; size_t row; const char *text; } ddb_index_part;

/* Unit vectors of rows first.. into out [count][dim]; false and the part's error at the first bad one. */
DDB_FN bool ddb_index_units(const ddb_index_batch *b, size_t first, size_t count, float *out, ddb_index_part *part)
{
    for (size_t i = 0; i < count; i++) {
        ddb_exact_fault fault = ddb_exact_unit(b->vectors + (first + i) * b->stride, b->ix->dim, out + i * b->ix->dim);
        if (fault != DDB_EXACT_GOOD) {
            part->status = DREAMDB_ERR_ARGUMENT;
            part->row = first + i;
            part->text = ddb_exact_fault_text(fault, b->ix->kind == DREAMDB_INDEX_LSH);
            return false;
        }
    }
    return true;
}

DDB_FN dreamdb_status ddb_index_keys_lsh(ddb_ctx *ctx, const ddb_index *ix, const float *units, size_t count, uint8_t *keys, size_t key_size)
{
    size_t floats = (size_t)ix->dim * DDB_KERN_LANES;
    float *pack = ddb_mem_new(ctx, float, floats);
    if (!pack) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < count; i += DDB_KERN_LANES) {
        size_t some = ddb_kern_least_of(count - i, DDB_KERN_LANES);
        ddb_kern_pack(units + i * ix->dim, ix->dim, some, ix->dim, pack);
        ddb_lsh_keys(ctx->cpu, ix->lsh, pack, some, keys + i * key_size, key_size);
    }
    ddb_mem_drop(ctx, pack, float, floats);
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_index_keys_ivf(ddb_ctx *ctx, const ddb_index *ix, const float *units, size_t count, uint8_t *keys, size_t key_size)
{
    uint32_t *ids = ddb_mem_new(ctx, uint32_t, count);
    if (!ids) {
        return DREAMDB_ERR_MEMORY;
    }
    dreamdb_status status = ddb_bound_argmax(ctx, ix->ivf->set, units, ix->dim, count, ids);
    for (size_t i = 0; status == DREAMDB_OK && i < count; i++) {
        ddb_ivf_key(ids[i], ix->bits, keys + i * key_size);
    }
    ddb_mem_drop(ctx, ids, uint32_t, count);
    return status;
}

/* l2 takes the vectors as they are. */
DDB_FN void ddb_index_keys_lsh_l2(const ddb_index_batch *b, size_t first, size_t count, ddb_index_part *part)
{
    for (size_t i = first; i < first + count; i++) {
        const float *x = b->vectors + i * b->stride;
        int64_t bin = 0;
        double rest = 0;
        bool finite = ddb_exact_all_finite(x, b->ix->dim);
        if (!finite || !ddb_lsh_l2_bin(b->ix->lsh_l2, x, &bin, &rest)) {
            part->status = DREAMDB_ERR_ARGUMENT;
            part->row = i;
            part->text = finite ? "L2 index: projected bin outside signed 64-bit range" : "L2 index: vector dimension or nonfinite component";
            return;
        }
        ddb_lsh_l2_key(bin, b->keys + i * 8);
    }
}

DDB_FN size_t ddb_index_key_size(const ddb_index *ix) { return (ix->bits + 7) / 8; }

DDB_FN void ddb_index_task(void *user, uint32_t index)
{
    const ddb_index_batch *b = (const ddb_index_batch *)user;
    size_t first = (size_t)index * b->each, count = b->count - first < b->each ? b->count - first : b->each, size = ddb_index_key_size(b->ix);
    ddb_index_part *part = b->parts + index;
    dreamdb_error error;
    ddb_ctx ctx = ddb_mem_fork(b->ctx, &error);
    ddb_exact_env env;
    ddb_exact_enter(&env);
    memset(b->keys + first * size, 0, count * size);
    if (b->ix->l2) {
        ddb_index_keys_lsh_l2(b, first, count, part);
    } else {
        float *units = (float *)ddb_mem_alloc(&ctx, count * b->ix->dim * sizeof(float));
        if (!units) {
            part->status = DREAMDB_ERR_MEMORY;
        } else if (ddb_index_units(b, first, count, units, part)) {
            part->status = b->ix->kind == DREAMDB_INDEX_LSH ? ddb_index_keys_lsh(&ctx, b->ix, units, count, b->keys + first * size, size)
                                                            : ddb_index_keys_ivf(&ctx, b->ix, units, count, b->keys + first * size, size);
        }
        ddb_mem_free(&ctx, units, count * b->ix->dim * sizeof(float));
    }
    ddb_exact_leave(&env);
}

/* Packed keys of count vectors, stride_floats apart, on the pool's threads.  ARGUMENT names the first bad row. */
DDB_FN dreamdb_status ddb_index_keys(ddb_ctx *ctx, ddb_pool *pool, const ddb_index *ix, const float *vectors, size_t stride_floats, size_t count, uint8_t *keys)
{
    ddb_index_batch b;
    dreamdb_status status = DREAMDB_OK;
    if (count == 0) {
        return DREAMDB_OK;
    }
    memset(&b, 0, sizeof b);
    b.ctx = ctx;
    b.ix = ix;
    b.vectors = vectors;
    b.stride = stride_floats;
    b.count = count;
    b.keys = keys;
    b.each = (count + ddb_pool_width(pool) - 1) / ddb_pool_width(pool);
    b.each = (b.each + DDB_INDEX_TASK_LEAST - 1) / DDB_INDEX_TASK_LEAST * DDB_INDEX_TASK_LEAST;
    b.each = b.each < DDB_INDEX_TASK_MOST ? b.each : DDB_INDEX_TASK_MOST;
    size_t tasks = (count + b.each - 1) / b.each;
    b.parts = ddb_mem_new(ctx, ddb_index_part, tasks);
    if (!b.parts) {
        return DREAMDB_ERR_MEMORY;
    }
    ddb_pool_run(pool, ddb_index_task, &b, (uint32_t)tasks);
    for (size_t i = 0; status == DREAMDB_OK && i < tasks; i++) {
        status = b.parts[i].status;
        if (status == DREAMDB_ERR_ARGUMENT) {
            (void)ddb_mem_fail(ctx, status, "row %zu: %s", b.parts[i].row, b.parts[i].text);
        } else if (status < 0) {
            (void)ddb_mem_fail(ctx, status, "no memory for the cell keys of %zu vectors", count);
        }
    }
    ddb_mem_drop(ctx, b.parts, ddb_index_part, tasks);
    return status;
}

/* ---- The table of kinds ---- */

typedef struct ddb_index_row {
    dreamdb_index_kind kind;
    const char *algorithm, *metric;
    dreamdb_status (*open)(ddb_ctx *ctx, ddb_index *ix, const ddb_index_params *params, const char *path);   /* NULL: not in this version */
} ddb_index_row;

static const ddb_index_row ddb_index_rows[] = {
    { DREAMDB_INDEX_LSH,    "dreamdb.lsh-cosine", "cosine", ddb_index_open_lsh },
    { DREAMDB_INDEX_LSH_L2, "dreamdb.lsh-l2",     "l2",     ddb_index_open_lsh_l2 },
    { DREAMDB_INDEX_IVF,    "dreamdb.ivf-cosine", "cosine", ddb_index_open_ivf },
    { DREAMDB_INDEX_IMI,    "dreamdb.imi-cosine", "cosine", NULL }
};

/* The kind of an algorithm's name as a schema may spell it, or DEFAULT. */
DDB_FN dreamdb_index_kind ddb_index_kind_of(ddb_slice algorithm)
{
    if (ddb_bytes_is(algorithm, "lsh-cosine") || ddb_bytes_is(algorithm, "vortex.lsh-cosine")) {
        return DREAMDB_INDEX_LSH;                /* the schema's older spellings (spatial.md 1) */
    }
    for (size_t i = 0; i < sizeof ddb_index_rows / sizeof *ddb_index_rows; i++) {
        if (ddb_bytes_is(algorithm, ddb_index_rows[i].algorithm)) {
            return ddb_index_rows[i].kind;
        }
    }
    return DREAMDB_INDEX_DEFAULT;
}

/* The name of a kind in objects, or NULL. */
DDB_FN const char *ddb_index_algorithm_of(dreamdb_index_kind kind)
{
    for (size_t i = 0; i < sizeof ddb_index_rows / sizeof *ddb_index_rows; i++) {
        if (ddb_index_rows[i].kind == kind) {
            return ddb_index_rows[i].algorithm;
        }
    }
    return NULL;
}

DDB_FN void ddb_index_free(ddb_ctx *ctx, ddb_index *ix)
{
    if (ix) {
        ddb_lsh_close(ctx, ix->lsh);
        ddb_lsh_l2_close(ctx, ix->lsh_l2);
        ddb_ivf_close(ctx, ix->ivf);
        ddb_mem_drop(ctx, ix->parents, ddb_addr, ix->parent_count);
        ddb_mem_drop(ctx, ix, ddb_index, 1);
    }
}

DDB_FN dreamdb_status ddb_index_read_parents(ddb_ctx *ctx, ddb_index *ix, ddb_slice raw, const char *path)
{
    ddb_cbor r;
    ddb_slice bytes;
    size_t count = 0;
    ddb_cbor_open(&r, raw);
    (void)ddb_cbor_read_array(&r, &count);
    ix->parents = ddb_mem_new(ctx, ddb_addr, count);
    if (!ix->parents) {
        return DREAMDB_ERR_MEMORY;
    }
    ix->parent_count = count;
    for (size_t i = 0; i < count; i++) {
        if (!ddb_cbor_read_bytes(&r, &bytes) || !ddb_addr_take(bytes, ix->parents + i)) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "SpatialIndex: parents must be addresses");
        }
    }
    return ddb_cbor_end(&r) ? DREAMDB_OK : ddb_cbor_corrupt(ctx, &r, "SpatialIndex parents", path);
}

/* Kind, bits, dim, metric. */
DDB_FN dreamdb_status ddb_index_read_head(ddb_ctx *ctx, ddb_index *ix, const ddb_index_parts *parts, const char *path, const ddb_index_row **row)
{
    *row = NULL;
    for (size_t i = 0; i < sizeof ddb_index_rows / sizeof *ddb_index_rows; i++) {
        *row = ddb_bytes_is(parts->algorithm, ddb_index_rows[i].algorithm) ? ddb_index_rows + i : *row;
    }
    if (!*row) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_FORMAT, path, "index algorithm %.*s is not known", (int)(parts->algorithm.size < 64 ? parts->algorithm.size : 64),
                               (const char *)parts->algorithm.data);
    }
    if (!(*row)->open) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_UNSUPPORTED, path, "index algorithm %s is not in this version", (*row)->algorithm);
    }
    if (parts->bits < 1 || parts->dim < 1) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "SpatialIndex Object `%s` must be >= 1", parts->bits < 1 ? "bits" : "dim");
    }
    if (parts->bits > DDB_INDEX_BITS_MOST || parts->dim > DDB_INDEX_DIM_MOST) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_LIMIT, path, "SpatialIndex: bits %llu, dim %llu: at most %d and %d are read", (unsigned long long)parts->bits,
                               (unsigned long long)parts->dim, (int)DDB_INDEX_BITS_MOST, (int)DDB_INDEX_DIM_MOST);
    }
    if (!ddb_bytes_is(parts->metric, (*row)->metric)) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "SpatialIndex: metric of %s must be %s", (*row)->algorithm, (*row)->metric);
    }
    ix->kind = (*row)->kind;
    ix->algorithm = (*row)->algorithm;
    ix->l2 = ix->kind == DREAMDB_INDEX_LSH_L2;
    ix->bits = (uint32_t)parts->bits;
    ix->dim = (uint32_t)parts->dim;
    ix->has_spec = parts->spec.data != NULL;
    if (ix->has_spec && !ddb_addr_take(parts->spec, &ix->spec)) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "SpatialIndex: embedding_spec_id must be an address");
    }
    return DREAMDB_OK;
}

/* Opens a SpatialIndex object.  CORRUPT, FORMAT (unknown algorithm, version or field), UNSUPPORTED (imi), LIMIT, MEMORY. */
DDB_FN dreamdb_status ddb_index_decode(ddb_ctx *ctx, ddb_slice bytes, const char *path, ddb_index **out)
{
    ddb_index_parts parts;
    ddb_index_params params;
    const ddb_index_row *row = NULL;
    ddb_exact_env env;
    *out = NULL;
    ddb_index *ix = ddb_mem_new(ctx, ddb_index, 1);
    if (!ix) {
        return DREAMDB_ERR_MEMORY;
    }
    dreamdb_status status = ddb_index_read_parts(ctx, bytes, path, &parts);
    if (status == DREAMDB_OK) {
        status = ddb_index_read_head(ctx, ix, &parts, path, &row);
    }
    if (status == DREAMDB_OK) {
        status = ddb_index_read_params(ctx, ix, parts.params, path, &params);
    }
    if (status == DREAMDB_OK && parts.parents.data) {
        status = ddb_index_read_parents(ctx, ix, parts.parents, path);
    }
    if (status == DREAMDB_OK) {
        ddb_exact_enter(&env);
        status = row->open(ctx, ix, &params, path);
        ddb_exact_leave(&env);
    }
    if (status < 0) {
        ddb_index_free(ctx, ix);
        return status;
    }
    *out = ix;
    return DREAMDB_OK;
}

DDB_FN dreamdb_index_kind ddb_index_kind(const ddb_index *ix) { return ix->kind; }
DDB_FN ddb_slice ddb_index_algorithm(const ddb_index *ix) { return ddb_bytes_text(ix->algorithm); }
DDB_FN uint32_t ddb_index_bits(const ddb_index *ix) { return ix->bits; }
DDB_FN uint32_t ddb_index_dim(const ddb_index *ix) { return ix->dim; }
DDB_FN uint32_t ddb_index_k(const ddb_index *ix) { return ix->k; }
DDB_FN bool ddb_index_metric_l2(const ddb_index *ix) { return ix->l2; }
DDB_FN const ddb_addr *ddb_index_parents(const ddb_index *ix, size_t *count) { *count = ix->parent_count; return ix->parents; }
DDB_FN const ddb_addr *ddb_index_spec(const ddb_index *ix) { return ix->has_spec ? &ix->spec : NULL; }

/* ---- Writing: deterministic CBOR, keys by length, then bytes ---- */

DDB_FN void ddb_index_encode_head(ddb_buf *buf, uint32_t bits, uint32_t dim, const char *metric, size_t members)
{
    ddb_cbor_map(buf, members);
    ddb_cbor_str(buf, "dim");
    ddb_cbor_uint(buf, dim);
    ddb_cbor_str(buf, "bits");
    ddb_cbor_uint(buf, bits);
    ddb_cbor_str(buf, "metric");
    ddb_cbor_str(buf, metric);
    ddb_cbor_str(buf, "params");
}

DDB_FN void ddb_index_encode_lsh(ddb_buf *buf, uint32_t bits, uint32_t dim, const uint8_t seed[32])
{
    ddb_index_encode_head(buf, bits, dim, "cosine", 5);
    ddb_cbor_map(buf, 2);
    ddb_cbor_str(buf, "seed");
    ddb_cbor_bytes(buf, seed, 32);
    ddb_cbor_str(buf, "version");
    ddb_cbor_uint(buf, 1);
    ddb_cbor_str(buf, "algorithm");
    ddb_cbor_str(buf, "dreamdb.lsh-cosine");
}

DDB_FN void ddb_index_encode_lsh_l2(ddb_buf *buf, uint32_t dim, double width, const uint8_t seed[32])
{
    uint8_t bytes[8];
    ddb_bytes_set_le64(bytes, ddb_exact_bits64(width));
    ddb_index_encode_head(buf, DDB_LSH_L2_BITS, dim, "l2", 5);
    ddb_cbor_map(buf, 3);
    ddb_cbor_str(buf, "seed");
    ddb_cbor_bytes(buf, seed, 32);
    ddb_cbor_str(buf, "version");
    ddb_cbor_uint(buf, 1);
    ddb_cbor_str(buf, "bucket_width_f64le");
    ddb_cbor_bytes(buf, bytes, sizeof bytes);
    ddb_cbor_str(buf, "algorithm");
    ddb_cbor_str(buf, "dreamdb.lsh-l2");
}

/* ceil(log2 k), at least 1: the narrowest keys of k cells. */
DDB_FN uint32_t ddb_index_bits_of(uint64_t k)
{
    uint32_t bits = 1;
    while (bits < 63 && (k - 1) >> bits != 0) {
        bits++;
    }
    return bits;
}

DDB_FN void ddb_index_encode_ivf(ddb_buf *buf, uint32_t bits, uint32_t dim, uint32_t k, const float *centroids, const ddb_addr *parents, size_t parent_count)
{
    size_t floats = (size_t)k * dim;
    ddb_index_encode_head(buf, bits, dim, "cosine", parent_count > 0 ? 6 : 5);
    ddb_cbor_map(buf, 3);
    ddb_cbor_str(buf, "k");
    ddb_cbor_uint(buf, k);
    ddb_cbor_str(buf, "version");
    ddb_cbor_uint(buf, 1);
    ddb_cbor_str(buf, "centroids");
    ddb_cbor_head(buf, DDB_CBOR_BYTES, floats * 4);
    uint8_t *at = ddb_bytes_reserve(buf, floats * 4);
    if (at) {
        ddb_bytes_set_f32(at, centroids, floats);
        buf->size += floats * 4;
    }
    if (parent_count > 0) {
        ddb_cbor_str(buf, "parents");
        ddb_cbor_array(buf, parent_count);
        for (size_t i = 0; i < parent_count; i++) {
            ddb_cbor_bytes(buf, parents[i].bytes, sizeof parents[i].bytes);
        }
    }
    ddb_cbor_str(buf, "algorithm");
    ddb_cbor_str(buf, "dreamdb.ivf-cosine");
}

/* ---- Key texts ---- */

/* bits digits and a terminator. */
DDB_FN void ddb_index_key_text(const ddb_index *ix, const uint8_t *key, char *out)
{
    for (uint32_t i = 0; i < ix->bits; i++) {
        out[i] = (key[i / 8] >> (7 - i % 8) & 1) != 0 ? '1' : '0';
    }
    out[ix->bits] = 0;
}

DDB_FN bool ddb_index_key_parse(const ddb_index *ix, ddb_slice text, uint8_t *key)
{
    if (text.size != ix->bits) {
        return false;
    }
    memset(key, 0, ddb_index_key_size(ix));
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '0' && text.data[i] != '1') {
            return false;
        }
        key[i / 8] |= (uint8_t)((uint32_t)(text.data[i] - '0') << (7 - i % 8));
    }
    return true;
}

/* ---- Queries ---- */

/* The query as scores want it: unit(q) for cosine, as it is for l2. */
DDB_FN dreamdb_status ddb_index_prepare_query(ddb_ctx *ctx, const ddb_index *ix, const float *q, float *out)
{
    ddb_exact_fault fault = DDB_EXACT_GOOD;
    ddb_exact_env env;
    ddb_exact_enter(&env);
    if (ix->l2) {
        fault = ddb_exact_all_finite(q, ix->dim) ? DDB_EXACT_GOOD : DDB_EXACT_NOT_FINITE;
        memmove(out, q, ix->dim * sizeof(float));
    } else {
        fault = ddb_exact_unit(q, ix->dim, out);
    }
    ddb_exact_leave(&env);
    if (fault != DDB_EXACT_GOOD) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "%s", ix->l2 ? "L2 index: vector dimension or nonfinite component"
                                                                    : ddb_exact_fault_text(fault, ix->kind == DREAMDB_INDEX_LSH));
    }
    return DREAMDB_OK;
}

/* The keys of the nprobe cells to look at for a query (as the user gave it), best first; fewer when there are not so many cells. */
DDB_FN dreamdb_status ddb_index_probe(ddb_ctx *ctx, const ddb_index *ix, const float *query, uint64_t nprobe, ddb_arena *arena, uint8_t **keys, size_t *count)
{
    int64_t bin = 0;
    double part = 0;
    ddb_exact_env env;
    *keys = NULL;
    *count = 0;
    if (nprobe == 0) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "probe_count must be >= 1");
    }
    float *unit = ddb_mem_new(ctx, float, ix->dim);
    if (!unit) {
        return DREAMDB_ERR_MEMORY;
    }
    dreamdb_status status = ddb_index_prepare_query(ctx, ix, query, unit);
    ddb_exact_enter(&env);
    if (status == DREAMDB_OK && ix->kind == DREAMDB_INDEX_LSH) {
        status = ddb_lsh_probe(ctx, ix->lsh, unit, nprobe, arena, keys, count);
    } else if (status == DREAMDB_OK && ix->kind == DREAMDB_INDEX_IVF) {
        status = ddb_ivf_probe(ctx, ix->ivf, ix->bits, unit, nprobe, arena, keys, count);
    } else if (status == DREAMDB_OK && !ddb_lsh_l2_bin(ix->lsh_l2, unit, &bin, &part)) {
        status = ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "L2 index: projected bin outside signed 64-bit range");
    } else if (status == DREAMDB_OK) {
        status = ddb_lsh_l2_probe(ctx, bin, part, nprobe, arena, keys, count);
    }
    ddb_exact_leave(&env);
    ddb_mem_drop(ctx, unit, float, ix->dim);
    return status;
}

/* ==== ROOM 26 bucket | prefix ddb_bucket_ | uses port mem bytes addr schema page ==== */
/* Spatial buckets and their sidecars of exact vectors (core.md 7, spatial.md 7): packed headers with big-endian numbers, then records
   {u64 anchor, payload}; payload = little-endian floats (raw) or a code.  Invariant: after a good open, records holds exactly count records and
   nothing lies behind them.  Must never change a float nor order records: input order is what is stored. */

enum {
    DDB_BUCKET_VERSION = 1,
    DDB_BUCKET_RAW = 160, DDB_BUCKET_CODED = 200,          /* header sizes */
    DDB_BUCKET_SIDECAR = 128,
    DDB_BUCKET_MODALITY = 32,                              /* the modality's first bytes */
    DDB_BUCKET_AT_INDEX = 20, DDB_BUCKET_AT_MODALITY = 53, DDB_BUCKET_AT_MODE = 85, DDB_BUCKET_AT_COMPRESSOR = 86
};

typedef struct ddb_bucket {
    const uint8_t *records;
    size_t         count, record_size;                     /* record_size: anchor included */
    ddb_addr       index, compressor;                      /* compressor only when coded */
    bool           coded;
} ddb_bucket;

/* Bytes of a whole bucket object. */
DDB_FN uint64_t ddb_bucket_size(uint64_t count, uint64_t record_size, bool coded)
{
    return (coded ? DDB_BUCKET_CODED : DDB_BUCKET_RAW) + count * record_size;
}

/* Records of a bucket object of so many bytes; of a coded field the most there may be (one byte a code). */
DDB_FN uint64_t ddb_bucket_records(uint64_t size, const ddb_field *field)
{
    uint64_t head = field->has_compressor ? DDB_BUCKET_CODED : DDB_BUCKET_RAW;
    uint64_t record = field->has_compressor || field->dim > UINT32_MAX ? 9 : 8 + 4 * field->dim;
    return size > head ? (size - head) / record : 0;
}

DDB_FN void ddb_bucket_put_modality(uint8_t *out, ddb_slice modality)
{
    for (size_t i = 0; i < modality.size && i < DDB_BUCKET_MODALITY; i++) {
        out[i] = modality.data[i];
    }
}

/* Appends the header of a bucket of count records; compressor NULL = raw. */
DDB_FN void ddb_bucket_header(ddb_buf *buf, size_t record_size, size_t count, const ddb_addr *index, ddb_slice modality, const ddb_addr *compressor)
{
    size_t size = compressor ? DDB_BUCKET_CODED : DDB_BUCKET_RAW;
    uint8_t *out = ddb_bytes_reserve(buf, size);
    DREAMDB_ASSERT(record_size <= UINT32_MAX && count <= UINT32_MAX);
    if (!out) {
        return;
    }
    memset(out, 0, size);
    memcpy(out, "VBUU", 4);
    ddb_bytes_set_be32(out + 4, DDB_BUCKET_VERSION);
    ddb_bytes_set_be32(out + 8, (uint32_t)record_size);
    ddb_bytes_set_be32(out + 12, (uint32_t)count);
    ddb_bytes_set_be32(out + 16, (uint32_t)size);
    memcpy(out + DDB_BUCKET_AT_INDEX, index->bytes, sizeof index->bytes);
    ddb_bucket_put_modality(out + DDB_BUCKET_AT_MODALITY, modality);
    if (compressor) {
        memcpy(out + DDB_BUCKET_AT_COMPRESSOR, compressor->bytes, sizeof compressor->bytes);
    }
    buf->size += size;
}

/* Appends the header of a sidecar of count vectors of vector_size bytes. */
DDB_FN void ddb_bucket_sidecar_header(ddb_buf *buf, size_t vector_size, size_t count, ddb_slice modality)
{
    uint8_t *out = ddb_bytes_reserve(buf, DDB_BUCKET_SIDECAR);
    DREAMDB_ASSERT(vector_size <= UINT32_MAX && count <= UINT32_MAX);
    if (!out) {
        return;
    }
    memset(out, 0, DDB_BUCKET_SIDECAR);
    memcpy(out, "VSTU", 4);
    ddb_bytes_set_be32(out + 4, DDB_BUCKET_VERSION);
    ddb_bytes_set_be32(out + 8, (uint32_t)vector_size);
    ddb_bytes_set_be32(out + 12, (uint32_t)count);
    ddb_bucket_put_modality(out + 16, modality);
    buf->size += DDB_BUCKET_SIDECAR;
}

/* Header numbers against the object's size: header + count * record = size, no slack. */
DDB_FN dreamdb_status ddb_bucket_measure(ddb_ctx *ctx, ddb_slice bytes, const char *path, const char *what, size_t header)
{
    uint64_t record = ddb_bytes_be32(bytes.data + 8), count = ddb_bytes_be32(bytes.data + 12);
    if (record == 0 || (uint64_t)bytes.size - header != record * count) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "%s: %llu records of %llu bytes are not the %zu bytes behind its header", what,
                               (unsigned long long)count, (unsigned long long)record, bytes.size - header);
    }
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_bucket_magic(ddb_ctx *ctx, ddb_slice bytes, const char *path, const char *what, const char *magic, size_t header)
{
    if (bytes.size < header || memcmp(bytes.data, magic, 4) != 0) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "%s: it does not start with a whole %s header", what, magic);
    }
    uint32_t version = ddb_bytes_be32(bytes.data + 4);
    if (version != DDB_BUCKET_VERSION) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_FORMAT, path, "%s: version %lu is unknown here, update the library", what, (unsigned long)version);
    }
    return DREAMDB_OK;
}

/* The addresses and the mode of a bucket whose header size is right. */
DDB_FN dreamdb_status ddb_bucket_names(ddb_ctx *ctx, ddb_slice bytes, const char *path, ddb_bucket *out)
{
    uint8_t mode = bytes.data[DDB_BUCKET_AT_MODE];
    if (mode == 1) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_UNSUPPORTED, path, "bucket: mode 1 (records by reference) is not in this version");
    }
    if (mode != 0) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_FORMAT, path, "bucket: mode %u is unknown here, update the library", (unsigned)mode);
    }
    bool good = ddb_addr_take(ddb_bytes_slice(bytes.data + DDB_BUCKET_AT_INDEX, DREAMDB_ADDRESS_SIZE), &out->index);
    if (good && out->coded) {
        good = ddb_addr_take(ddb_bytes_slice(bytes.data + DDB_BUCKET_AT_COMPRESSOR, DREAMDB_ADDRESS_SIZE), &out->compressor);
    }
    return good ? DREAMDB_OK : ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "bucket: its header holds no index or compressor address");
}

/* Opens a bucket; out points into bytes.  dim > 0: raw vectors of so many floats are wanted, anything else is refused (so the
   vector calls below are safe); dim 0 takes raw and coded buckets of any record size.  The modality is not compared: readers ignore it
   (core.md 7). */
DDB_FN dreamdb_status ddb_bucket_open(ddb_ctx *ctx, ddb_slice bytes, const char *path, uint64_t dim, ddb_slice modality, ddb_bucket *out)
{
    (void)modality;
    memset(out, 0, sizeof *out);
    dreamdb_status status = ddb_bucket_magic(ctx, bytes, path, "bucket", "VBUU", DDB_BUCKET_RAW);
    if (status < 0) {
        return status;
    }
    uint32_t header = ddb_bytes_be32(bytes.data + 16);
    out->coded = header == DDB_BUCKET_CODED;
    if ((header != DDB_BUCKET_RAW && !out->coded) || bytes.size < header) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "bucket: its header size is %lu, not 160 or 200", (unsigned long)header);
    }
    status = ddb_bucket_measure(ctx, bytes, path, "bucket", header);
    if (status == DREAMDB_OK) {
        status = ddb_bucket_names(ctx, bytes, path, out);
    }
    if (status < 0) {
        return status;
    }
    out->records = bytes.data + header;
    out->record_size = ddb_bytes_be32(bytes.data + 8);
    out->count = ddb_bytes_be32(bytes.data + 12);
    if (dim > 0 && out->coded) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_UNSUPPORTED, path, "bucket: it holds compressed vectors, this version reads raw ones");
    }
    if (out->record_size <= 8 || (dim > 0 && (dim > UINT32_MAX || out->record_size != 8 + 4 * dim))) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "bucket: records of %zu bytes do not fit %llu dimensions", out->record_size,
                               (unsigned long long)dim);
    }
    return DREAMDB_OK;
}

DDB_INLINE uint64_t ddb_bucket_anchor(const ddb_bucket *bucket, size_t i)
{
    return ddb_bytes_be64(bucket->records + i * bucket->record_size);
}

/* The floats of record i of a raw bucket opened with this dim. */
DDB_INLINE void ddb_bucket_vector(const ddb_bucket *bucket, size_t i, uint64_t dim, float *out)
{
    ddb_bytes_get_f32(out, bucket->records + i * bucket->record_size + 8, (size_t)dim);
}

/* The floats of records [first, first + count), one after the other. */
DDB_FN void ddb_bucket_vectors(const ddb_bucket *bucket, size_t first, size_t count, uint64_t dim, float *out)
{
    for (size_t i = 0; i < count; i++) {
        ddb_bucket_vector(bucket, first + i, dim, out + i * (size_t)dim);
    }
}

/* Opens the sidecar of a bucket of count records; *vectors points into bytes: count * dim little-endian floats. */
DDB_FN dreamdb_status ddb_bucket_sidecar_open(ddb_ctx *ctx, ddb_slice bytes, const char *path, uint64_t dim, size_t count, const uint8_t **vectors)
{
    *vectors = NULL;
    dreamdb_status status = ddb_bucket_magic(ctx, bytes, path, "sidecar", "VSTU", DDB_BUCKET_SIDECAR);
    if (status == DREAMDB_OK) {
        status = ddb_bucket_measure(ctx, bytes, path, "sidecar", DDB_BUCKET_SIDECAR);
    }
    if (status < 0) {
        return status;
    }
    if (dim > UINT32_MAX / 4 || ddb_bytes_be32(bytes.data + 8) != 4 * dim || ddb_bytes_be32(bytes.data + 12) != count) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "sidecar: it does not hold the %zu vectors of %llu floats of its bucket", count,
                               (unsigned long long)dim);
    }
    *vectors = bytes.data + DDB_BUCKET_SIDECAR;
    return DREAMDB_OK;
}

/* "folder/KEY/ADDRESS" for a spatial row, folder = "TL/MOD".  NULL with an error; the key is a Track's, so it is checked here. */
DDB_FN char *ddb_bucket_path(ddb_ctx *ctx, ddb_arena *arena, const char *folder, const ddb_row *row)
{
    size_t head = strlen(folder);
    if (!ddb_page_cell_valid(row->key)) {
        (void)ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, folder, "track: a cell key is not 1 to 255 binary digits");
        return NULL;
    }
    char *out = (char *)ddb_mem_arena_alloc(ctx, arena, head + row->key.size + 2 + DREAMDB_ADDRESS_TEXT);
    if (out) {
        memcpy(out, folder, head);
        out[head] = '/';
        memcpy(out + head + 1, row->key.data, row->key.size);
        out[head + 1 + row->key.size] = '/';
        ddb_addr_text(&row->addr, out + head + 2 + row->key.size);
    }
    return out;
}

/* "folder/vectors/ADDRESS" for the sidecar of a spatial row. */
DDB_FN char *ddb_bucket_sidecar_path(ddb_ctx *ctx, ddb_arena *arena, const char *folder, const ddb_row *row)
{
    size_t head = strlen(folder);
    char *out = (char *)ddb_mem_arena_alloc(ctx, arena, head + 9 + DREAMDB_ADDRESS_TEXT);
    if (out) {
        memcpy(out, folder, head);
        memcpy(out + head, "/vectors/", 9);
        ddb_addr_text(&row->sidecar, out + head + 9);
    }
    return out;
}

/* ==== ROOM 27 item | prefix ddb_item_ | uses port mem bytes coll cbor addr object page ==== */
/* Payloads: blobs, blobs cut into chunks under an ItemManifest, packs of many (core.md 5, Items); and reading parts of packs, which postings
   need too.  Invariant: whatever is handed out was verified (whole object, or range by its outboard), and lies inside the payload its row claims.
   A column that is read through a callback and cut into chunks is never in memory as a whole.  Must never look into a payload. */

#define DDB_ITEM_BLOBS "0000000000000000"     /* folder of blobs, chunks and packs, whatever their anchors (core.md 1) */

enum {
    DDB_ITEM_BLOCK = 256,                     /* objects put or read together */
    DDB_ITEM_WINDOW = 16 << 20,               /* bytes of chunks in memory while a payload is read */
    DDB_ITEM_READ = 1 << 20,                  /* bytes asked of a read callback at once, and the least window of a cut */
    DDB_ITEM_ENTRY_MIN = 47,                  /* bytes of the smallest chunk entry of an ItemManifest */
    DDB_ITEM_GAP = 16384                      /* parts of one pack that lie closer are read as one */
};

/* A media column of a batch.  Item i is values[rows ? rows[i] : i] at anchors[i]. */
typedef struct ddb_item_batch {
    const ddb_addr      *timeline;
    ddb_slice            modality;
    bool                 has_chunk;           /* the schema has a chunk_size; 0 counts as 1, as in the reference */
    uint64_t             chunk_size, pack_items;
    const dreamdb_slice *values;
    int                (*read)(void *user, size_t row, uint64_t offset, void *out, size_t size);   /* NULL: values[].data */
    void                *read_user;
    const size_t        *rows;
    const uint64_t      *anchors;
    size_t               count;
} ddb_item_batch;

typedef struct ddb_item_writer {
    const ddb_item_batch *batch;
    ddb_puts             *puts;
    const char           *blobs, *items;      /* folders */
    const char          **folders;            /* [DDB_ITEM_BLOCK] blobs */
    ddb_slice            *slices;             /* [DDB_ITEM_BLOCK] */
    ddb_addr             *addrs;              /* [DDB_ITEM_BLOCK] */
    ddb_buf               bytes, entries;
    ddb_row              *rows;               /* out */
} ddb_item_writer;

DDB_FN size_t ddb_item_index(const ddb_item_batch *batch, size_t i)
{
    return batch->rows ? batch->rows[i] : i;
}

DDB_FN size_t ddb_item_size(const ddb_item_batch *batch, size_t i)
{
    return batch->values[ddb_item_index(batch, i)].size;
}

/* Copies bytes [offset, offset + size) of item i to out. */
DDB_FN dreamdb_status ddb_item_fetch(ddb_ctx *ctx, const ddb_item_batch *batch, size_t i, uint64_t offset, uint8_t *out, size_t size)
{
    size_t row = ddb_item_index(batch, i);
    for (size_t at = 0; at < size && batch->read;) {
        size_t step = size - at < DDB_ITEM_READ ? size - at : (size_t)DDB_ITEM_READ;
        if (batch->read(batch->read_user, row, offset + at, out + at, step) != 0) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_STORE, "row %zu: the read callback failed at byte %llu", row, (unsigned long long)(offset + at));
        }
        at += step;
    }
    if (!batch->read && size > 0) {
        memcpy(out, (const uint8_t *)batch->values[row].data + offset, size);
    }
    return DREAMDB_OK;
}

/* Appends the whole of item i to the buffer. */
DDB_FN dreamdb_status ddb_item_take(ddb_ctx *ctx, ddb_item_writer *w, size_t i)
{
    size_t size = ddb_item_size(w->batch, i);
    uint8_t *at = ddb_bytes_reserve(&w->bytes, size);
    dreamdb_status status = at ? ddb_item_fetch(ctx, w->batch, i, 0, at, size) : DREAMDB_ERR_MEMORY;
    w->bytes.size += status == DREAMDB_OK ? size : 0;
    return status;
}

/* One object an item. */
DDB_FN dreamdb_status ddb_item_write_blobs(ddb_ctx *ctx, ddb_item_writer *w)
{
    const ddb_item_batch *batch = w->batch;
    dreamdb_status status = DREAMDB_OK;
    for (size_t at = 0; at < batch->count && status == DREAMDB_OK;) {
        size_t n = 0, most = batch->read ? 1 : (size_t)DDB_ITEM_BLOCK;
        w->bytes.size = 0;
        for (; n < most && at + n < batch->count && status == DREAMDB_OK; n++) {
            const dreamdb_slice *value = batch->values + ddb_item_index(batch, at + n);
            status = batch->read ? ddb_item_take(ctx, w, at + n) : DREAMDB_OK;
            w->slices[n] = batch->read ? ddb_bytes_of(&w->bytes) : ddb_bytes_slice(value->data, value->size);
        }
        if (status == DREAMDB_OK) {
            status = ddb_object_put_many(ctx, w->puts, w->folders, w->slices, n, DDB_PUT_OUTBOARD, w->addrs);
        }
        for (size_t i = 0; i < n && status == DREAMDB_OK; i++) {
            w->rows[at + i].addr = w->addrs[i];
        }
        at += n;
    }
    return status;
}

/* Groups of pack_items payloads, one object each. */
DDB_FN dreamdb_status ddb_item_write_packs(ddb_ctx *ctx, ddb_item_writer *w)
{
    const ddb_item_batch *batch = w->batch;
    dreamdb_status status = DREAMDB_OK;
    for (size_t at = 0; at < batch->count && status == DREAMDB_OK;) {
        ddb_addr addr;
        size_t n = batch->count - at < batch->pack_items ? batch->count - at : (size_t)batch->pack_items;
        w->bytes.size = 0;
        for (size_t i = at; i < at + n && status == DREAMDB_OK; i++) {
            w->rows[i].offset = w->bytes.size;
            w->rows[i].flags = DDB_ROW_PACKED;
            status = ddb_item_take(ctx, w, i);
        }
        if (status == DREAMDB_OK) {
            status = ddb_object_put(ctx, w->puts, w->blobs, ddb_bytes_of(&w->bytes), DDB_PUT_OUTBOARD, &addr);
        }
        for (size_t i = at; i < at + n && status == DREAMDB_OK; i++) {
            w->rows[i].addr = addr;
        }
        at += n;
    }
    return status;
}

/* Puts the next chunks of item i, from byte `from`; *done gets where they end. */
DDB_FN dreamdb_status ddb_item_write_window(ddb_ctx *ctx, ddb_item_writer *w, size_t i, size_t chunk, size_t from, size_t *done)
{
    const ddb_item_batch *batch = w->batch;
    size_t size = ddb_item_size(batch, i), n = 0, room = chunk > DDB_ITEM_READ ? chunk : (size_t)DDB_ITEM_READ;
    size_t at = from, window = size - from < room ? size - from : room / chunk * chunk;
    dreamdb_status status = DREAMDB_OK;
    const uint8_t *base = (const uint8_t *)batch->values[ddb_item_index(batch, i)].data;
    window = window / chunk < DDB_ITEM_BLOCK ? window : chunk * DDB_ITEM_BLOCK;
    if (batch->read) {
        w->bytes.size = 0;
        uint8_t *copy = ddb_bytes_reserve(&w->bytes, window);
        status = copy ? ddb_item_fetch(ctx, batch, i, from, copy, window) : DREAMDB_ERR_MEMORY;
        base = copy;
    } else {
        base = from > 0 ? base + from : base;
    }
    do {
        size_t take = from + window - at < chunk ? from + window - at : chunk;
        w->slices[n++] = ddb_bytes_slice(take > 0 && base ? base + (at - from) : base, take);
        at += take;
    } while (at < from + window);
    if (status == DREAMDB_OK) {
        status = ddb_object_put_many(ctx, w->puts, w->folders, w->slices, n, 0, w->addrs);
    }
    for (size_t j = 0; j < n && status == DREAMDB_OK; j++) {
        ddb_cbor_map(&w->entries, 2);
        ddb_cbor_str(&w->entries, "hash");
        ddb_addr_write(&w->entries, w->addrs + j);
        ddb_cbor_str(&w->entries, "size");
        ddb_cbor_uint(&w->entries, w->slices[j].size);
    }
    *done = at;
    return status;
}

/* Chunks of an item, then its ItemManifest.  An empty item has one empty chunk. */
DDB_FN dreamdb_status ddb_item_write_cut(ddb_ctx *ctx, ddb_item_writer *w, size_t i)
{
    size_t size = ddb_item_size(w->batch, i), at = 0;
    uint64_t wanted = w->batch->chunk_size > 0 ? w->batch->chunk_size : 1;
    size_t chunk = wanted < size ? (size_t)wanted : size > 0 ? size : 1;
    ddb_buf manifest;
    dreamdb_status status = DREAMDB_OK;
    w->entries.size = 0;
    do {
        status = ddb_item_write_window(ctx, w, i, chunk, at, &at);
    } while (at < size && status == DREAMDB_OK);
    if (status < 0) {
        return status;
    }
    ddb_bytes_init(&manifest, ctx);
    ddb_cbor_map(&manifest, 2);
    ddb_cbor_str(&manifest, "chunks");
    ddb_cbor_array(&manifest, size > 0 ? (size - 1) / chunk + 1 : 1);
    ddb_cbor_raw(&manifest, ddb_bytes_of(&w->entries));
    ddb_cbor_str(&manifest, "total_size");
    ddb_cbor_uint(&manifest, size);
    status = manifest.failed || w->entries.failed ? DREAMDB_ERR_MEMORY
           : ddb_object_put(ctx, w->puts, w->items, ddb_bytes_of(&manifest), 0, &w->rows[i].addr);
    w->rows[i].flags = DDB_ROW_CHUNKED;
    ddb_bytes_free(&manifest);
    return status;
}

/* Puts the payloads of a batch; rows [batch->count] get all that a Track wants. */
DDB_FN dreamdb_status ddb_item_write(ddb_ctx *ctx, ddb_env *env, ddb_puts *puts, const ddb_item_batch *batch, ddb_row *rows)
{
    ddb_arena arena = { NULL, 0 };
    ddb_item_writer w;
    (void)env;
    memset(&w, 0, sizeof w);
    ddb_bytes_init(&w.bytes, ctx);
    ddb_bytes_init(&w.entries, ctx);
    w.batch = batch;
    w.puts = puts;
    w.rows = rows;
    w.blobs = ddb_addr_folder(ctx, &arena, batch->timeline, batch->modality, DDB_ITEM_BLOBS);
    w.items = ddb_addr_folder(ctx, &arena, batch->timeline, batch->modality, "items");
    w.folders = ddb_mem_arena_new(ctx, &arena, const char *, DDB_ITEM_BLOCK);
    w.slices = ddb_mem_arena_new(ctx, &arena, ddb_slice, DDB_ITEM_BLOCK);
    w.addrs = ddb_mem_arena_new(ctx, &arena, ddb_addr, DDB_ITEM_BLOCK);
    dreamdb_status status = w.blobs && w.items && w.folders && w.slices && w.addrs ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    for (size_t i = 0; i < DDB_ITEM_BLOCK && status == DREAMDB_OK; i++) {
        w.folders[i] = w.blobs;
    }
    for (size_t i = 0; i < batch->count && status == DREAMDB_OK; i++) {
        const dreamdb_slice *value = batch->values + ddb_item_index(batch, i);
        if (!batch->read && !value->data && value->size > 0) {
            status = ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "row %zu: a payload of %zu bytes has no data", ddb_item_index(batch, i), value->size);
        }
        memset(rows + i, 0, sizeof *rows);
        rows[i].t_start = batch->anchors[i];
        rows[i].t_end = batch->anchors[i] + 1;
        rows[i].size = value->size;
    }
    if (status == DREAMDB_OK && batch->has_chunk) {
        for (size_t i = 0; i < batch->count && status == DREAMDB_OK; i++) {
            status = ddb_item_write_cut(ctx, &w, i);
        }
    } else if (status == DREAMDB_OK) {
        status = batch->pack_items > 1 ? ddb_item_write_packs(ctx, &w) : ddb_item_write_blobs(ctx, &w);
    }
    ddb_bytes_free(&w.bytes);
    ddb_bytes_free(&w.entries);
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

/* ---- ItemManifest ---- */

typedef struct ddb_item_chunk { ddb_addr addr; uint64_t offset, size; } ddb_item_chunk;

DDB_FN bool ddb_item_key(ddb_cbor *r, const char *want, ddb_slice *previous)
{
    ddb_slice key;
    size_t start = r->at;
    return ddb_cbor_next_key(r, &key, previous) && (ddb_bytes_is(key, want) || ddb_cbor_bad(r, start, "it has other keys than an ItemManifest"));
}

/* One {hash, size}; offset is where it starts. */
DDB_FN bool ddb_item_chunk_read(ddb_cbor *r, uint64_t offset, ddb_item_chunk *out)
{
    ddb_slice previous = { NULL, 0 };
    size_t keys = 0, start = r->at;
    uint64_t end = 0;
    if (!ddb_cbor_read_map(r, &keys) || (keys != 2 && !ddb_cbor_bad(r, start, "a chunk has other keys than hash and size"))) {
        return false;
    }
    out->offset = offset;
    return ddb_item_key(r, "hash", &previous) && ddb_addr_read(r, &out->addr) && ddb_item_key(r, "size", &previous) && ddb_cbor_read_uint(r, &out->size)
        && (ddb_mem_add_u64(offset, out->size, &end) || ddb_cbor_bad(r, start, "its chunks are too big"));
}

/* Decodes {chunks, total_size}; the chunks' sizes must add up to total_size, and that to total, the size in the Track row. */
DDB_FN dreamdb_status ddb_item_manifest_decode(ddb_ctx *ctx, ddb_arena *arena, ddb_slice bytes, const char *path, uint64_t total,
                                               ddb_item_chunk **chunks, size_t *count)
{
    ddb_cbor r;
    ddb_slice previous = { NULL, 0 };
    size_t keys = 0, n = 0;
    uint64_t sum = 0, claimed = 0;
    ddb_cbor_open(&r, bytes);
    bool good = ddb_cbor_read_map(&r, &keys) && (keys == 2 || ddb_cbor_bad(&r, 0, "it has other keys than an ItemManifest"))
             && ddb_item_key(&r, "chunks", &previous) && ddb_cbor_count(&r, DDB_CBOR_ARRAY, DDB_ITEM_ENTRY_MIN, &n, "the chunks are no array");
    *chunks = good ? ddb_mem_arena_new(ctx, arena, ddb_item_chunk, n) : NULL;
    *count = n;
    if (good && !*chunks) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < n && good; i++) {
        good = ddb_item_chunk_read(&r, sum, *chunks + i);
        sum += (*chunks)[i].size;
    }
    good = good && ddb_item_key(&r, "total_size", &previous) && ddb_cbor_read_uint(&r, &claimed) && ddb_cbor_end(&r);
    if (!good) {
        return ddb_cbor_corrupt(ctx, &r, "item manifest", path);
    }
    if (sum != claimed || sum != total) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "item manifest: its chunks have %llu bytes, it says %llu and its Track row %llu",
                               (unsigned long long)sum, (unsigned long long)claimed, (unsigned long long)total);
    }
    return DREAMDB_OK;
}

/* ---- Parts of packs ---- */

/* A part of an object: offset and size, or all of it.  data is set by ddb_item_parts_get and lives until ddb_item_parts_release and the
   arena go. */
typedef struct ddb_item_part { ddb_addr addr; uint64_t offset, size; bool whole; ddb_slice data; } ddb_item_part;
typedef struct ddb_item_pack { uint64_t high, need; bool whole; size_t want; } ddb_item_pack;
typedef struct ddb_item_order { const ddb_item_part *parts; } ddb_item_order;

typedef struct ddb_item_parts {
    ddb_item_part    *parts;
    size_t            count;
    const char       *folder;
    uint64_t          whole_max;              /* a pack is read whole if no part ends behind this, or if parts fill a quarter of it; 0: never */
    ddb_map           packs;                  /* address -> place in pack */
    ddb_item_pack    *pack;
    ddb_object_want  *wants;
    ddb_object_piece *pieces;
    size_t            want_count, piece_count;
    size_t           *order, *piece_of;       /* parts read by range, by (address, offset); their pieces */
    size_t            order_count;
} ddb_item_parts;

DDB_FN int ddb_item_part_compare(const void *a, const void *b, void *user)
{
    const ddb_item_part *parts = ((const ddb_item_order *)user)->parts;
    const ddb_item_part *x = parts + *(const size_t *)a, *y = parts + *(const size_t *)b;
    int order = ddb_addr_compare(&x->addr, &y->addr);
    return order != 0 ? order : x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Sums up what is wanted of each pack and decides which are read whole. */
DDB_FN dreamdb_status ddb_item_parts_plan(ddb_ctx *ctx, ddb_arena *arena, ddb_item_parts *all)
{
    all->packs.key_size = DREAMDB_ADDRESS_SIZE;
    for (size_t i = 0; i < all->count; i++) {
        const ddb_item_part *part = all->parts + i;
        uint64_t *slot = NULL, end = 0;
        bool fresh = false;
        dreamdb_status status = ddb_coll_map_put(ctx, &all->packs, part->addr.bytes, all->packs.count, &slot, &fresh);
        if (status < 0) {
            return status;
        }
        if (!ddb_mem_add_u64(part->offset, part->size, &end) || part->size > SIZE_MAX / 2) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, all->folder, "track: a row's offset and size pass the end of every object");
        }
        ddb_item_pack *pack = all->pack + (size_t)*slot;
        pack->high = end > pack->high ? end : pack->high;
        pack->need = pack->need + part->size < pack->need ? UINT64_MAX : pack->need + part->size;
        pack->whole = pack->whole || part->whole;
    }
    for (size_t i = 0; i < all->count; i++) {
        const ddb_item_part *part = all->parts + i;
        ddb_item_pack *pack = all->pack + (size_t)*ddb_coll_map_get(&all->packs, part->addr.bytes);
        pack->whole = pack->whole || (all->whole_max > 0 && (pack->high <= all->whole_max || pack->need >= pack->high / 4));
        if (!pack->whole) {
            all->order[all->order_count++] = i;
        } else if (pack->want == 0) {
            ddb_object_want *want = all->wants + all->want_count++;
            want->path = ddb_addr_path(ctx, arena, all->folder, &part->addr);
            want->addr = part->addr;
            pack->want = all->want_count;
            if (!want->path) {
                return DREAMDB_ERR_MEMORY;
            }
        }
    }
    return DREAMDB_OK;
}

/* Joins the parts that are read by range into pieces. */
DDB_FN dreamdb_status ddb_item_parts_join(ddb_ctx *ctx, ddb_arena *arena, ddb_item_parts *all)
{
    ddb_item_order user;
    user.parts = all->parts;
    dreamdb_status status = ddb_coll_sort(ctx, all->order, all->order_count, sizeof *all->order, ddb_item_part_compare, &user);
    for (size_t i = 0; i < all->order_count && status == DREAMDB_OK; i++) {
        const ddb_item_part *part = all->parts + all->order[i];
        ddb_object_piece *piece = all->piece_count > 0 ? all->pieces + all->piece_count - 1 : NULL;
        uint64_t end = part->offset + part->size;
        if (piece && ddb_addr_equal(&piece->addr, &part->addr) && part->offset <= piece->offset + piece->size + DDB_ITEM_GAP
            && end - piece->offset <= SIZE_MAX / 2) {
            piece->size = end > piece->offset + piece->size ? (size_t)(end - piece->offset) : piece->size;
        } else {
            piece = all->pieces + all->piece_count++;
            piece->addr = part->addr;
            piece->offset = part->offset;
            piece->size = (size_t)part->size;
            piece->path = ddb_addr_path(ctx, arena, all->folder, &part->addr);
            status = piece->path ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
        }
        all->piece_of[i] = all->piece_count - 1;
    }
    for (size_t i = 0; i < all->piece_count && status == DREAMDB_OK; i++) {
        all->pieces[i].out = ddb_mem_arena_alloc(ctx, arena, all->pieces[i].size);
        status = all->pieces[i].out ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    }
    return status;
}

/* Points every part at its bytes. */
DDB_FN dreamdb_status ddb_item_parts_settle(ddb_ctx *ctx, ddb_item_parts *all)
{
    for (size_t i = 0; i < all->order_count; i++) {
        const ddb_object_piece *piece = all->pieces + all->piece_of[i];
        ddb_item_part *part = all->parts + all->order[i];
        part->data = ddb_bytes_slice((const uint8_t *)piece->out + (size_t)(part->offset - piece->offset), (size_t)part->size);
    }
    for (size_t i = 0; i < all->count; i++) {
        ddb_item_part *part = all->parts + i;
        const ddb_item_pack *pack = all->pack + (size_t)*ddb_coll_map_get(&all->packs, part->addr.bytes);
        if (!pack->whole) {
            continue;
        }
        const ddb_object_want *want = all->wants + pack->want - 1;
        if (part->whole) {
            part->data = ddb_bytes_slice(want->object.data, want->object.size);
        } else if (part->offset > want->object.size || part->size > want->object.size - part->offset) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, want->path, "pack: %zu bytes, but a Track row names bytes %llu to %llu", want->object.size,
                                   (unsigned long long)part->offset, (unsigned long long)(part->offset + part->size));
        } else {
            part->data = ddb_bytes_slice(want->object.data + (size_t)part->offset, (size_t)part->size);
        }
    }
    return DREAMDB_OK;
}

DDB_FN void ddb_item_parts_release(ddb_env *env, ddb_item_parts *all)
{
    for (size_t i = 0; i < all->want_count; i++) {
        ddb_object_release(env, &all->wants[i].object);
    }
    all->want_count = 0;
}

/* Reads parts of objects of one folder: packs that are mostly wanted in one batch, ranges of the others in a second.  After a failure there
   is nothing to release. */
DDB_FN dreamdb_status ddb_item_parts_get(ddb_ctx *ctx, ddb_env *env, ddb_arena *arena, const char *folder, uint64_t whole_max, ddb_item_part *parts,
                                         size_t count, ddb_item_parts *all)
{
    memset(all, 0, sizeof *all);
    all->parts = parts;
    all->count = count;
    all->folder = folder;
    all->whole_max = whole_max;
    all->pack = ddb_mem_arena_new(ctx, arena, ddb_item_pack, count);
    all->wants = ddb_mem_arena_new(ctx, arena, ddb_object_want, count);
    all->pieces = ddb_mem_arena_new(ctx, arena, ddb_object_piece, count);
    all->order = ddb_mem_arena_new(ctx, arena, size_t, count);
    all->piece_of = ddb_mem_arena_new(ctx, arena, size_t, count);
    dreamdb_status status = all->pack && all->wants && all->pieces && all->order && all->piece_of ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    status = status == DREAMDB_OK ? ddb_item_parts_plan(ctx, arena, all) : status;
    status = status == DREAMDB_OK ? ddb_item_parts_join(ctx, arena, all) : status;
    if (status == DREAMDB_OK && all->piece_count > 0) {
        status = ddb_object_range_many(ctx, env, all->pieces, all->piece_count);
    }
    if (status == DREAMDB_OK && all->want_count > 0) {
        status = ddb_object_get_many(ctx, env, all->wants, all->want_count);
    }
    if (status == DREAMDB_OK) {
        status = ddb_item_parts_settle(ctx, all);
    }
    if (status < 0) {
        ddb_item_parts_release(env, all);
    }
    ddb_coll_map_free(ctx, &all->packs);
    return status;
}

/* ---- Reading payloads ---- */

/* Copies bytes [offset, offset + size) of a chunked payload; only the chunks that meet them are read. */
DDB_FN dreamdb_status ddb_item_read_chunks(ddb_ctx *ctx, ddb_env *env, const char *folder, const ddb_item_chunk *chunks, size_t count,
                                           uint64_t offset, uint8_t *out, size_t size)
{
    uint64_t end = offset + size;
    dreamdb_status status = DREAMDB_OK;
    for (size_t i = 0; i < count && status == DREAMDB_OK;) {
        ddb_object_want wants[32];
        ddb_arena arena = { NULL, 0 };
        uint64_t bytes = 0;
        size_t n = 0, which[32];
        memset(wants, 0, sizeof wants);
        for (; i < count && n < 32 && (n == 0 || bytes + chunks[i].size <= DDB_ITEM_WINDOW) && status == DREAMDB_OK; i++) {
            if (chunks[i].size > 0 && chunks[i].offset < end && chunks[i].offset + chunks[i].size > offset) {
                which[n] = i;
                wants[n].addr = chunks[i].addr;
                wants[n].size = chunks[i].size;
                wants[n].path = ddb_addr_path(ctx, &arena, folder, &chunks[i].addr);
                status = wants[n++].path ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
                bytes += chunks[i].size;
            }
        }
        if (status == DREAMDB_OK && n == 1 && wants[0].size >= DDB_OBJECT_STREAM) {      /* too big to hold: hashed piece by piece */
            const ddb_item_chunk *chunk = chunks + which[0];
            uint64_t low = chunk->offset > offset ? chunk->offset : offset, high = chunk->offset + chunk->size < end ? chunk->offset + chunk->size : end;
            status = ddb_object_range(ctx, env, wants[0].path, &chunk->addr, chunk->size, low - chunk->offset, (size_t)(high - low),
                                      out + (size_t)(low - offset));
            n = 0;
        }
        status = status == DREAMDB_OK && n > 0 ? ddb_object_get_many(ctx, env, wants, n) : status;
        for (size_t j = 0; j < n && status == DREAMDB_OK; j++) {
            const ddb_item_chunk *chunk = chunks + which[j];
            uint64_t low = chunk->offset > offset ? chunk->offset : offset, high = chunk->offset + chunk->size < end ? chunk->offset + chunk->size : end;
            memcpy(out + (size_t)(low - offset), wants[j].object.data + (size_t)(low - chunk->offset), (size_t)(high - low));
            ddb_object_release(env, &wants[j].object);
        }
        ddb_mem_arena_free(ctx, &arena);
    }
    return status;
}

/* Reads bytes [offset, offset + size) of one payload, verified; *got is less at the end of the payload. */
DDB_FN dreamdb_status ddb_item_read(ddb_ctx *ctx, ddb_env *env, const ddb_addr *timeline, ddb_slice modality, const ddb_row *row, uint64_t offset,
                                    void *out, size_t size, size_t *got)
{
    ddb_arena arena = { NULL, 0 };
    uint64_t left = offset < row->size ? row->size - offset : 0;
    bool chunked = (row->flags & (uint32_t)DDB_ROW_CHUNKED) != 0;
    size_t n = left < size ? (size_t)left : size;
    *got = 0;
    const char *blobs = ddb_addr_folder(ctx, &arena, timeline, modality, DDB_ITEM_BLOBS);
    const char *items = ddb_addr_folder(ctx, &arena, timeline, modality, "items");
    const char *path = blobs && items ? ddb_addr_path(ctx, &arena, chunked ? items : blobs, &row->addr) : NULL;
    dreamdb_status status = path ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    if (status == DREAMDB_OK && n > 0 && chunked) {
        ddb_object object;
        ddb_item_chunk *chunks = NULL;
        size_t count = 0;
        status = ddb_object_get(ctx, env, path, &row->addr, DDB_OBJECT_METADATA, &object);
        if (status == DREAMDB_OK) {
            status = ddb_item_manifest_decode(ctx, &arena, ddb_bytes_slice(object.data, object.size), path, row->size, &chunks, &count);
            ddb_object_release(env, &object);
        }
        status = status == DREAMDB_OK ? ddb_item_read_chunks(ctx, env, blobs, chunks, count, offset, (uint8_t *)out, n) : status;
    } else if (status == DREAMDB_OK && n > 0) {
        bool packed = (row->flags & (uint32_t)DDB_ROW_PACKED) != 0;
        uint64_t at = 0;
        status = !packed ? ddb_object_range(ctx, env, path, &row->addr, row->size, offset, n, out)
               : ddb_mem_add_u64(row->offset, offset, &at) ? ddb_object_range(ctx, env, path, &row->addr, 0, at, n, out)
               : ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "track: a row's offset passes the end of every object");
    }
    *got = status == DREAMDB_OK ? n : 0;
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

/* ---- Loading many payloads ---- */

typedef struct ddb_item_loader {
    ddb_env         *env;
    ddb_arena       *arena;                   /* of the payloads */
    ddb_arena        scratch;
    const ddb_row   *rows;
    size_t           count;
    ddb_slice       *payloads;                /* out */
    const char      *blobs, *items;
    ddb_object_want *wants;                   /* blobs and ItemManifests */
    ddb_item_part   *parts;
    size_t          *want_of, *part_of;       /* -> row */
    size_t           want_count, part_count;
} ddb_item_loader;

DDB_FN dreamdb_status ddb_item_load_copy(ddb_ctx *ctx, ddb_item_loader *load, size_t row, const uint8_t *data, size_t size)
{
    char *copy = ddb_mem_arena_copy(ctx, load->arena, data, size);
    load->payloads[row] = ddb_bytes_slice(copy, size);
    return copy ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
}

/* Packs: ranges, in one batch. */
DDB_FN dreamdb_status ddb_item_load_packs(ddb_ctx *ctx, ddb_item_loader *load)
{
    ddb_item_parts parts;
    dreamdb_status status = ddb_item_parts_get(ctx, load->env, &load->scratch, load->blobs, 0, load->parts, load->part_count, &parts);
    if (status < 0) {
        return status;
    }
    for (size_t i = 0; i < load->part_count && status == DREAMDB_OK; i++) {
        status = ddb_item_load_copy(ctx, load, load->part_of[i], load->parts[i].data.data, load->parts[i].data.size);
    }
    ddb_item_parts_release(load->env, &parts);
    return status;
}

/* One chunked payload whose ItemManifest is here. */
DDB_FN dreamdb_status ddb_item_load_chunks(ddb_ctx *ctx, ddb_item_loader *load, const ddb_object_want *want, size_t row)
{
    ddb_item_chunk *chunks = NULL;
    size_t count = 0, size = (size_t)load->rows[row].size;
    dreamdb_status status = ddb_item_manifest_decode(ctx, &load->scratch, ddb_bytes_slice(want->object.data, want->object.size), want->path,
                                                     load->rows[row].size, &chunks, &count);
    uint8_t *out = status == DREAMDB_OK ? (uint8_t *)ddb_mem_arena_alloc(ctx, load->arena, size + 1) : NULL;
    if (!out) {
        return status < 0 ? status : DREAMDB_ERR_MEMORY;
    }
    out[size] = 0;
    load->payloads[row] = ddb_bytes_slice(out, size);
    return ddb_item_read_chunks(ctx, load->env, load->blobs, chunks, count, 0, out, size);
}

/* Sorts rows into what is read whole and what is read by range. */
DDB_FN dreamdb_status ddb_item_load_plan(ddb_ctx *ctx, ddb_item_loader *load)
{
    for (size_t i = 0; i < load->count; i++) {
        const ddb_row *row = load->rows + i;
        bool chunked = (row->flags & (uint32_t)DDB_ROW_CHUNKED) != 0;
        if (row->size > load->env->limits.object_bytes || row->size > SIZE_MAX / 2) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_LIMIT, load->blobs, "a payload of %llu bytes is too big to load at once: read it in ranges",
                                   (unsigned long long)row->size);
        }
        if (row->flags & (uint32_t)DDB_ROW_PACKED) {
            ddb_item_part *part = load->parts + load->part_count;
            part->addr = row->addr;
            part->offset = row->offset;
            part->size = row->size;
            load->part_of[load->part_count++] = i;
            continue;
        }
        ddb_object_want *want = load->wants + load->want_count;
        want->addr = row->addr;
        want->size = chunked ? 0 : row->size;
        want->flags = chunked ? (uint32_t)DDB_OBJECT_METADATA : 0u;
        want->path = ddb_addr_path(ctx, &load->scratch, chunked ? load->items : load->blobs, &row->addr);
        if (!want->path) {
            return DREAMDB_ERR_MEMORY;
        }
        load->want_of[load->want_count++] = i;
    }
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_item_load_run(ddb_ctx *ctx, ddb_item_loader *load)
{
    dreamdb_status status = ddb_item_load_plan(ctx, load);
    if (status == DREAMDB_OK && load->part_count > 0) {
        status = ddb_item_load_packs(ctx, load);
    }
    if (status < 0 || load->want_count == 0) {
        return status;
    }
    status = ddb_object_get_many(ctx, load->env, load->wants, load->want_count);
    if (status < 0) {
        return status;
    }
    for (size_t i = 0; i < load->want_count; i++) {
        ddb_object_want *want = load->wants + i;
        size_t row = load->want_of[i];
        if (status == DREAMDB_OK && (load->rows[row].flags & (uint32_t)DDB_ROW_CHUNKED)) {
            status = ddb_item_load_chunks(ctx, load, want, row);
        } else if (status == DREAMDB_OK && want->object.size != load->rows[row].size) {
            status = ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, want->path, "item: %zu bytes, its Track row says %llu", want->object.size,
                                     (unsigned long long)load->rows[row].size);
        } else if (status == DREAMDB_OK) {
            status = ddb_item_load_copy(ctx, load, row, want->object.data, want->object.size);
        }
        ddb_object_release(load->env, &want->object);
    }
    return status;
}

/* Loads the whole payloads of count rows into the arena: blobs and ItemManifests in one batch, packs by range in another, then the chunks,
   a payload at a time.  A zero byte follows each payload. */
DDB_FN dreamdb_status ddb_item_load(ddb_ctx *ctx, ddb_env *env, ddb_arena *arena, const ddb_addr *timeline, ddb_slice modality, const ddb_row *rows,
                                    size_t count, ddb_slice *payloads)
{
    ddb_item_loader load;
    memset(&load, 0, sizeof load);
    load.env = env;
    load.arena = arena;
    load.rows = rows;
    load.count = count;
    load.payloads = payloads;
    load.blobs = ddb_addr_folder(ctx, &load.scratch, timeline, modality, DDB_ITEM_BLOBS);
    load.items = ddb_addr_folder(ctx, &load.scratch, timeline, modality, "items");
    load.wants = ddb_mem_arena_new(ctx, &load.scratch, ddb_object_want, count);
    load.parts = ddb_mem_arena_new(ctx, &load.scratch, ddb_item_part, count);
    load.want_of = ddb_mem_arena_new(ctx, &load.scratch, size_t, count);
    load.part_of = ddb_mem_arena_new(ctx, &load.scratch, size_t, count);
    dreamdb_status status = load.blobs && load.items && load.wants && load.parts && load.want_of && load.part_of ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    status = status == DREAMDB_OK ? ddb_item_load_run(ctx, &load) : status;
    ddb_mem_arena_free(ctx, &load.scratch);
    return status;
}

/* ==== ROOM 28 scalar | prefix ddb_scalar_ | uses port mem bytes coll cbor addr object roaring page track item ==== */
/* Scalar values as row keys (scalar.md 2), a column of a batch as a pack of postings (scalar.md 3, core.md 5), and predicates on one field
   (scalar.md 6).  Invariant: a value has exactly one encoding, and a posting that is handed out lies within the times of its row.
   Works on the bits of floats only: rounding mode, flush-to-zero and compiler flags cannot change a byte.  Must never know tombstones. */

enum {
    DDB_SCALAR_STRING_MAX = 8192,             /* UTF-8 bytes of an indexed string (scalar.md 2) */
    DDB_SCALAR_BATCH = 4096,                  /* rows whose postings are read together */
    DDB_SCALAR_PACK_WHOLE = 256 << 10,        /* packs up to here are read whole: a remote store keeps no outboard for them */
    DDB_SCALAR_RANGES = 8                     /* IN: so many values are looked up one by one, more by the range they span */
};

typedef struct ddb_scalar_value { dreamdb_kind kind; int64_t integer; double real; ddb_slice text; } ddb_scalar_value;

DDB_INLINE bool ddb_scalar_is_text(dreamdb_kind kind)
{
    return kind == DREAMDB_CATEGORICAL || kind == DREAMDB_STRING;
}

/* ---- Values ---- */

DDB_INLINE uint64_t ddb_scalar_bits(double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

DDB_INLINE bool ddb_scalar_finite(double value)
{
    return (ddb_scalar_bits(value) >> 52 & 0x7ff) != 0x7ff;
}

/* Does a double's value fit a float of so many mantissa and exponent bits exactly?  *out gets its bits. */
DDB_FN bool ddb_scalar_narrow(uint64_t bits, unsigned mantissa, unsigned exponent, uint64_t *out)
{
    uint64_t sign = bits >> 63 << (mantissa + exponent), m = bits & (((uint64_t)1 << 52) - 1);
    int bias = (1 << (exponent - 1)) - 1, e = (int)(bits >> 52 & 0x7ff) - 1023;
    int least = 1 - bias, drop = 52 - (int)mantissa;
    if ((bits & ~((uint64_t)1 << 63)) == 0) {
        *out = sign;
        return true;
    }
    drop += e < least ? least - e : 0;         /* subnormal there: fewer bits are left */
    if (e > bias || drop > 52) {               /* too big (or not finite), too small (a double's subnormals too) */
        return false;
    }
    m |= (uint64_t)1 << 52;
    if (m & (((uint64_t)1 << drop) - 1)) {
        return false;
    }
    m >>= drop;
    *out = sign | (e < least ? m : (uint64_t)(e + bias) << mantissa | (m & (((uint64_t)1 << mantissa) - 1)));
    return true;
}

/* Shortest exact of half, single, double. */
DDB_FN void ddb_scalar_encode_real(ddb_buf *buf, double value)
{
    uint8_t out[9];
    uint64_t bits = ddb_scalar_bits(value), narrow = 0;
    size_t size = 8;
    if (ddb_scalar_narrow(bits, 10, 5, &narrow)) {
        size = 2;
    } else if (ddb_scalar_narrow(bits, 23, 8, &narrow)) {
        size = 4;
    } else {
        narrow = bits;
    }
    out[0] = (uint8_t)(size == 2 ? 0xf9 : size == 4 ? 0xfa : 0xfb);
    for (size_t i = 0; i < size; i++) {
        out[1 + i] = (uint8_t)(narrow >> 8 * (size - 1 - i));
    }
    ddb_bytes_put(buf, out, 1 + size);
}

/* Appends the value as it stands in row keys. */
DDB_FN void ddb_scalar_encode(ddb_buf *buf, const ddb_scalar_value *value)
{
    if (ddb_scalar_is_text(value->kind)) {
        ddb_cbor_text(buf, value->text.data, value->text.size);
    } else if (value->kind == DREAMDB_FLOAT) {
        ddb_scalar_encode_real(buf, value->real);
    } else if (value->kind == DREAMDB_BOOL) {
        ddb_cbor_bool(buf, value->integer != 0);
    } else {
        ddb_cbor_int(buf, value->integer);
    }
}

/* A float of any width, in its shortest form and finite. */
DDB_FN bool ddb_scalar_decode_real(ddb_slice bytes, double *out)
{
    uint64_t bits = 0, narrow = 0;
    uint8_t head = bytes.size > 0 ? bytes.data[0] : 0;
    if (bytes.size != (head == 0xf9 ? 3u : head == 0xfa ? 5u : head == 0xfb ? 9u : SIZE_MAX)) {
        return false;
    }
    for (size_t i = 1; i < bytes.size; i++) {
        bits = bits << 8 | bytes.data[i];
    }
    bits = head == 0xf9 ? ddb_page_widen(bits, 10, 5) : head == 0xfa ? ddb_page_widen(bits, 23, 8) : bits;
    memcpy(out, &bits, sizeof *out);
    bool half = ddb_scalar_narrow(bits, 10, 5, &narrow), single = ddb_scalar_narrow(bits, 23, 8, &narrow);
    return (bits >> 52 & 0x7ff) != 0x7ff && (head == 0xf9 || (!half && (head == 0xfa || !single)));
}

DDB_FN bool ddb_scalar_read(ddb_slice bytes, dreamdb_kind kind, ddb_scalar_value *out)
{
    ddb_cbor r;
    bool yes = false, good = false;
    memset(out, 0, sizeof *out);
    out->kind = kind;
    if (kind == DREAMDB_FLOAT) {
        return ddb_scalar_decode_real(bytes, &out->real);
    }
    ddb_cbor_open(&r, bytes);
    if (ddb_scalar_is_text(kind)) {
        good = ddb_cbor_read_text(&r, &out->text);
    } else if (kind == DREAMDB_BOOL) {
        good = ddb_cbor_read_bool(&r, &yes);
        out->integer = yes;
    } else {
        good = ddb_cbor_read_int(&r, &out->integer);
    }
    return good && ddb_cbor_end(&r);
}

/* Reads a row key of a field of this kind; a text points into bytes. */
DDB_FN dreamdb_status ddb_scalar_decode(ddb_ctx *ctx, ddb_slice bytes, dreamdb_kind kind, const char *path, ddb_scalar_value *out)
{
    return ddb_scalar_read(bytes, kind, out) ? DREAMDB_OK
         : ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "track: a key of %zu bytes is no value of its field's kind in shortest form", bytes.size);
}

/* May the value be stored? */
DDB_FN dreamdb_status ddb_scalar_check(ddb_ctx *ctx, ddb_slice name, const ddb_scalar_value *value)
{
    ddb_addr_shown shown;
    if (value->kind == DREAMDB_FLOAT && !ddb_scalar_finite(value->real)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s`: a float must be finite", ddb_addr_show(name, &shown));
    }
    if (!ddb_scalar_is_text(value->kind)) {
        return DREAMDB_OK;
    }
    if (!value->text.data && value->text.size > 0) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s`: a text of %zu bytes has no data", ddb_addr_show(name, &shown), value->text.size);
    }
    if (value->kind == DREAMDB_STRING && value->text.size > DDB_SCALAR_STRING_MAX) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s`: a string has %zu bytes, 8192 are the limit", ddb_addr_show(name, &shown), value->text.size);
    }
    if (!ddb_bytes_utf8(value->text)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s`: a text is not UTF-8", ddb_addr_show(name, &shown));
    }
    return DREAMDB_OK;
}

/* A number that orders as the float does; -0.0 as 0.0. */
DDB_INLINE uint64_t ddb_scalar_real_order(double value)
{
    uint64_t bits = ddb_scalar_bits(value), top = (uint64_t)1 << 63;
    return bits == top ? top : bits & top ? ~bits : bits | top;
}

/* Semantic order of two values of one kind (scalar.md 6): numbers by value, texts by UTF-8 bytes, false before true. */
DDB_FN int ddb_scalar_compare(dreamdb_kind kind, const ddb_scalar_value *a, const ddb_scalar_value *b)
{
    if (ddb_scalar_is_text(kind)) {
        return ddb_bytes_compare(a->text, b->text);
    }
    if (kind == DREAMDB_FLOAT) {
        uint64_t x = ddb_scalar_real_order(a->real), y = ddb_scalar_real_order(b->real);
        return x < y ? -1 : x > y;
    }
    return a->integer < b->integer ? -1 : a->integer > b->integer;
}

/* ---- A column of a batch ---- */

typedef struct ddb_scalar_group { uint64_t hash; size_t key_at, key_size, start, count; } ddb_scalar_group;
typedef struct ddb_scalar_place { uint64_t prefix; size_t group; } ddb_scalar_place;
typedef struct ddb_scalar_pair { uint64_t anchor; size_t row; } ddb_scalar_pair;

/* Rows grouped by value. */
typedef struct ddb_scalar_table {
    ddb_buf           keys;                   /* encoded distinct values, one after the other */
    ddb_scalar_group *groups;
    size_t            count, cap;
    size_t           *slots, mask;            /* open addressing: group + 1, at most half full */
    size_t           *of_row;
} ddb_scalar_table;

DDB_FN uint64_t ddb_scalar_hash(const uint8_t *data, size_t size)
{
    uint64_t hash = 0x9e3779b97f4a7c15u ^ size;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, data + i, size - i < 8 ? size - i : 8);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    return hash ^ hash >> 29;
}

/* Doubles the table. */
DDB_FN dreamdb_status ddb_scalar_table_grow(ddb_ctx *ctx, ddb_arena *arena, ddb_scalar_table *table)
{
    size_t cap = table->cap > 0 ? table->cap * 2 : 64;
    ddb_scalar_group *groups = ddb_mem_arena_new(ctx, arena, ddb_scalar_group, cap);
    size_t *slots = ddb_mem_arena_new(ctx, arena, size_t, 2 * cap);
    if (!groups || !slots) {
        return DREAMDB_ERR_MEMORY;
    }
    if (table->count > 0) {
        memcpy(groups, table->groups, table->count * sizeof *groups);
    }
    table->groups = groups;
    table->slots = slots;
    table->cap = cap;
    table->mask = 2 * cap - 1;
    for (size_t i = 0; i < table->count; i++) {
        size_t at = (size_t)groups[i].hash & table->mask;
        while (slots[at] > 0) {
            at = (at + 1) & table->mask;
        }
        slots[at] = i + 1;
    }
    return DREAMDB_OK;
}

/* Finds the group of the value whose encoding was just appended to keys at key_at, or makes one of it. */
DDB_FN size_t ddb_scalar_table_take(ddb_scalar_table *table, size_t key_at)
{
    const uint8_t *key = table->keys.data + key_at;
    size_t size = table->keys.size - key_at;
    uint64_t hash = ddb_scalar_hash(key, size);
    size_t at = (size_t)hash & table->mask;
    for (; table->slots[at] > 0; at = (at + 1) & table->mask) {
        const ddb_scalar_group *group = table->groups + table->slots[at] - 1;
        if (group->hash == hash && group->key_size == size && memcmp(table->keys.data + group->key_at, key, size) == 0) {
            table->keys.size = key_at;
            return table->slots[at] - 1;
        }
    }
    ddb_scalar_group *group = table->groups + table->count++;
    memset(group, 0, sizeof *group);
    group->hash = hash;
    group->key_at = key_at;
    group->key_size = size;
    table->slots[at] = table->count;
    return table->count - 1;
}

DDB_FN dreamdb_status ddb_scalar_table_fill(ddb_ctx *ctx, ddb_arena *arena, ddb_scalar_table *table, dreamdb_kind kind, const ddb_scalar_value *values,
                                            size_t count)
{
    table->of_row = ddb_mem_arena_new(ctx, arena, size_t, count);
    if (!table->of_row) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        ddb_scalar_value value = values[i];
        size_t key_at = table->keys.size;
        if (table->count == table->cap) {
            dreamdb_status status = ddb_scalar_table_grow(ctx, arena, table);
            if (status < 0) {
                return status;
            }
        }
        value.kind = kind;
        ddb_scalar_encode(&table->keys, &value);
        if (table->keys.failed) {
            return DREAMDB_ERR_MEMORY;
        }
        table->of_row[i] = ddb_scalar_table_take(table, key_at);
        table->groups[table->of_row[i]].count++;
    }
    return DREAMDB_OK;
}

DDB_FN int ddb_scalar_pair_compare(const void *a, const void *b, void *user)
{
    uint64_t x = ((const ddb_scalar_pair *)a)->anchor, y = ((const ddb_scalar_pair *)b)->anchor;
    (void)user;
    return x < y ? -1 : x > y;
}

DDB_FN int ddb_scalar_place_compare(const void *a, const void *b, void *user)
{
    const ddb_scalar_place *x = (const ddb_scalar_place *)a, *y = (const ddb_scalar_place *)b;
    const ddb_scalar_table *table = (const ddb_scalar_table *)user;
    const ddb_scalar_group *g = table->groups + x->group, *h = table->groups + y->group;
    if (x->prefix != y->prefix) {
        return x->prefix < y->prefix ? -1 : 1;
    }
    return ddb_bytes_compare(ddb_bytes_slice(table->keys.data + g->key_at, g->key_size), ddb_bytes_slice(table->keys.data + h->key_at, h->key_size));
}

/* The anchors of each group, ascending: they go to out [count] group by group. */
DDB_FN dreamdb_status ddb_scalar_table_scatter(ddb_ctx *ctx, ddb_arena *arena, ddb_scalar_table *table, const uint64_t *anchors, size_t count, uint64_t *out)
{
    ddb_scalar_pair *pairs = ddb_mem_arena_new(ctx, arena, ddb_scalar_pair, count);
    size_t start = 0;
    if (!pairs) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        pairs[i].anchor = anchors[i];
        pairs[i].row = i;
        if (anchors[i] > DREAMDB_ANCHOR_MAX) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "anchor 2^64-1 cannot be stored");
        }
    }
    dreamdb_status status = ddb_coll_sort(ctx, pairs, count, sizeof *pairs, ddb_scalar_pair_compare, NULL);
    for (size_t g = 0; g < table->count; g++) {
        table->groups[g].start = start;
        start += table->groups[g].count;
        table->groups[g].count = 0;
    }
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        ddb_scalar_group *group = table->groups + table->of_row[pairs[i].row];
        out[group->start + group->count++] = pairs[i].anchor;
    }
    return status;
}

/* Groups in the order of their keys' bytes. */
DDB_FN dreamdb_status ddb_scalar_table_order(ddb_ctx *ctx, ddb_arena *arena, ddb_scalar_table *table, ddb_scalar_place **out)
{
    ddb_scalar_place *places = ddb_mem_arena_new(ctx, arena, ddb_scalar_place, table->count);
    *out = places;
    for (size_t g = 0; g < table->count && places; g++) {
        uint8_t head[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };
        const ddb_scalar_group *group = table->groups + g;
        memcpy(head, table->keys.data + group->key_at, group->key_size < 8 ? group->key_size : 8);
        places[g].prefix = ddb_bytes_be64(head);
        places[g].group = g;
    }
    return places ? ddb_coll_sort(ctx, places, table->count, sizeof *places, ddb_scalar_place_compare, table) : DREAMDB_ERR_MEMORY;
}

DDB_FN dreamdb_status ddb_scalar_pack_in(ddb_ctx *ctx, ddb_arena *arena, ddb_arena *scratch, ddb_scalar_table *table, dreamdb_kind kind,
                                         const ddb_scalar_value *values, const uint64_t *anchors, size_t count, ddb_buf *pack, ddb_row **rows)
{
    ddb_scalar_place *places = NULL;
    uint64_t *sorted = ddb_mem_arena_new(ctx, scratch, uint64_t, count);
    dreamdb_status status = sorted ? ddb_scalar_table_fill(ctx, scratch, table, kind, values, count) : DREAMDB_ERR_MEMORY;
    status = status == DREAMDB_OK ? ddb_scalar_table_scatter(ctx, scratch, table, anchors, count, sorted) : status;
    status = status == DREAMDB_OK ? ddb_scalar_table_order(ctx, scratch, table, &places) : status;
    if (status < 0) {
        return status;
    }
    const char *keys = ddb_mem_arena_copy(ctx, arena, table->keys.data, table->keys.size);
    *rows = ddb_mem_arena_new(ctx, arena, ddb_row, table->count);
    if (!keys || !*rows) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < table->count; i++) {
        const ddb_scalar_group *group = table->groups + places[i].group;
        ddb_row *row = *rows + i;
        size_t n = ddb_coll_unique_u64(sorted + group->start, group->count);
        row->key = ddb_bytes_slice(keys + group->key_at, group->key_size);
        row->t_start = sorted[group->start];
        row->t_end = sorted[group->start + n - 1] + 1;
        row->offset = pack->size;
        ddb_roaring_encode(pack, sorted + group->start, n);
        row->size = pack->size - row->offset;
    }
    return ddb_bytes_status(pack);
}

/* Groups a column by value: pack gets the postings in the order of the values' bytes, rows (without addr) one row a value.  Anchors in any
   order; repeats within a value collapse.  Values were checked. */
DDB_FN dreamdb_status ddb_scalar_pack(ddb_ctx *ctx, ddb_arena *arena, dreamdb_kind kind, const ddb_scalar_value *values, const uint64_t *anchors,
                                      size_t count, ddb_buf *pack, ddb_row **rows, size_t *row_count)
{
    ddb_arena scratch = { NULL, 0 };
    ddb_scalar_table table;
    memset(&table, 0, sizeof table);
    ddb_bytes_init(&table.keys, ctx);
    *rows = NULL;
    dreamdb_status status = ddb_scalar_pack_in(ctx, arena, &scratch, &table, kind, values, anchors, count, pack, rows);
    *row_count = status == DREAMDB_OK ? table.count : 0;
    ddb_bytes_free(&table.keys);
    ddb_mem_arena_free(ctx, &scratch);
    return status;
}

/* ---- Postings ---- */

typedef dreamdb_status (*ddb_scalar_posting_fn)(void *user, size_t row, const uint64_t *anchors, size_t count);

/* A list of anchors that grows. */
typedef struct ddb_scalar_list { uint64_t *anchors; size_t count, cap; } ddb_scalar_list;

DDB_FN dreamdb_status ddb_scalar_list_reserve(ddb_ctx *ctx, ddb_scalar_list *list, size_t more)
{
    size_t need = 0, bytes = 0;
    if (ddb_mem_add(list->count, more, &need) && need <= list->cap) {
        return DREAMDB_OK;
    }
    size_t cap = need > 0 && list->cap <= SIZE_MAX / 4 && list->cap * 2 > need ? list->cap * 2 : need;
    if (need < more || !ddb_mem_mul(cap, sizeof *list->anchors, &bytes)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "a list of anchors would pass the address space");
    }
    uint64_t *anchors = (uint64_t *)ddb_mem_resize(ctx, list->anchors, list->cap * sizeof *anchors, bytes);
    if (!anchors) {
        return DREAMDB_ERR_MEMORY;
    }
    list->anchors = anchors;
    list->cap = cap;
    return DREAMDB_OK;
}

DDB_FN void ddb_scalar_list_free(ddb_ctx *ctx, ddb_scalar_list *list)
{
    if (list->anchors) {
        ddb_mem_drop(ctx, list->anchors, uint64_t, list->cap);
    }
    memset(list, 0, sizeof *list);
}

/* Adds the anchors of one posting, which must lie within its row's times. */
DDB_FN dreamdb_status ddb_scalar_list_take(ddb_ctx *ctx, ddb_scalar_list *list, ddb_slice blob, const ddb_row *row, const char *path)
{
    size_t count = 0;
    dreamdb_status status = ddb_roaring_count(ctx, blob, path, &count);
    status = status == DREAMDB_OK ? ddb_scalar_list_reserve(ctx, list, count) : status;
    if (status < 0) {
        return status;
    }
    if (count == 0) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "posting: it is empty");
    }
    uint64_t *out = list->anchors + list->count;
    ddb_roaring_fill(blob, out);
    if (out[0] < row->t_start || out[count - 1] >= row->t_end) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "posting: it holds anchors outside its Track row");
    }
    list->count += count;
    return DREAMDB_OK;
}

/* Hands out the postings of rows, in their order.  folder: "TL/MOD/bucket".  Packs are read in one batch; of packs that are much bigger than
   what is wanted only ranges, in a second one.  What was read is in memory until the last posting is given. */
DDB_FN dreamdb_status ddb_scalar_postings(ddb_ctx *ctx, ddb_env *env, ddb_arena *arena, const char *folder, const ddb_row *rows, size_t count,
                                          ddb_scalar_posting_fn each, void *user)
{
    ddb_item_parts all;
    ddb_scalar_list list;
    ddb_item_part *parts = ddb_mem_arena_new(ctx, arena, ddb_item_part, count);
    char *path = parts ? (char *)ddb_mem_arena_alloc(ctx, arena, strlen(folder) + 2 + DREAMDB_ADDRESS_TEXT) : NULL;
    if (!path) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        parts[i].addr = rows[i].addr;
        parts[i].whole = (rows[i].flags & (uint32_t)DDB_ROW_WHOLE) != 0;
        parts[i].offset = parts[i].whole ? 0 : rows[i].offset;
        parts[i].size = parts[i].whole ? 0 : rows[i].size;
    }
    dreamdb_status status = ddb_item_parts_get(ctx, env, arena, folder, DDB_SCALAR_PACK_WHOLE, parts, count, &all);
    if (status < 0) {
        return status;
    }
    memset(&list, 0, sizeof list);
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        size_t size = strlen(folder);
        memcpy(path, folder, size);
        path[size] = '/';
        ddb_addr_text(&rows[i].addr, path + size + 1);
        list.count = 0;
        status = ddb_scalar_list_take(ctx, &list, parts[i].data, rows + i, path);
        status = status == DREAMDB_OK ? each(user, i, list.anchors, list.count) : status;
    }
    ddb_scalar_list_free(ctx, &list);
    ddb_item_parts_release(env, &all);
    return status;
}

/* ---- Predicates ---- */

/* One clause on one field. */
typedef struct ddb_scalar_clause {
    ddb_env          *env;
    const ddb_track  *track;
    dreamdb_kind      kind;
    dreamdb_op        op;
    ddb_scalar_value *values;                 /* ascending, distinct */
    size_t            count;
    ddb_arena         arena;                  /* of the clause */
    ddb_arena         batch;                  /* of one batch of rows */
    const char       *folder;
    ddb_row          *rows;                   /* [DDB_SCALAR_BATCH] matching rows whose postings were not read yet */
    size_t            row_count;
    ddb_ctx          *ctx;
    ddb_scalar_list   found;
} ddb_scalar_clause;

DDB_FN int ddb_scalar_value_compare(const void *a, const void *b, void *user)
{
    return ddb_scalar_compare(*(const dreamdb_kind *)user, (const ddb_scalar_value *)a, (const ddb_scalar_value *)b);
}

/* The operands as sorted distinct values. */
DDB_FN dreamdb_status ddb_scalar_clause_values(ddb_ctx *ctx, ddb_scalar_clause *clause, const dreamdb_where *where)
{
    size_t n = 0;
    if (where->op < DREAMDB_EQ || where->op > DREAMDB_IN) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s`: op %d is no comparison", where->field, (int)where->op);
    }
    if ((where->op != DREAMDB_IN && where->operand_count != 1) || (!where->operands && where->operand_count > 0)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s`: a comparison wants one operand, it has %zu", where->field, where->operand_count);
    }
    clause->op = where->op;
    clause->values = ddb_mem_arena_new(ctx, &clause->arena, ddb_scalar_value, where->operand_count);
    if (!clause->values) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < where->operand_count; i++) {
        const dreamdb_operand *operand = where->operands + i;
        ddb_scalar_value *value = clause->values + i;
        value->kind = clause->kind == DREAMDB_STRING ? DREAMDB_CATEGORICAL : clause->kind;      /* an operand may be longer than what is stored */
        value->integer = clause->kind == DREAMDB_BOOL ? operand->integer != 0 : operand->integer;
        value->real = operand->real;
        value->text = ddb_bytes_slice(operand->text.data, operand->text.size);
        dreamdb_status status = ddb_scalar_check(ctx, ddb_bytes_text(where->field), value);
        if (status < 0) {
            return status;
        }
        value->kind = clause->kind;
    }
    dreamdb_status status = ddb_coll_sort(ctx, clause->values, where->operand_count, sizeof *clause->values, ddb_scalar_value_compare, &clause->kind);
    for (size_t i = 0; i < where->operand_count && status == DREAMDB_OK; i++) {
        if (n == 0 || ddb_scalar_compare(clause->kind, clause->values + n - 1, clause->values + i) != 0) {
            clause->values[n++] = clause->values[i];
        }
    }
    clause->count = n;
    return status;
}

DDB_FN bool ddb_scalar_clause_has(const ddb_scalar_clause *clause, const ddb_scalar_value *value)
{
    size_t low = 0, high = clause->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = ddb_scalar_compare(clause->kind, clause->values + middle, value);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

DDB_FN bool ddb_scalar_clause_meets(const ddb_scalar_clause *clause, const ddb_scalar_value *value)
{
    if (clause->op == DREAMDB_IN) {
        return ddb_scalar_clause_has(clause, value);
    }
    int order = ddb_scalar_compare(clause->kind, value, clause->values);
    switch (clause->op) {
    case DREAMDB_EQ: return order == 0;
    case DREAMDB_NE: return order != 0;
    case DREAMDB_LT: return order < 0;
    case DREAMDB_LE: return order <= 0;
    case DREAMDB_GT: return order > 0;
    default:         return order >= 0;
    }
}

DDB_FN dreamdb_status ddb_scalar_clause_take(void *user, size_t row, const uint64_t *anchors, size_t count)
{
    ddb_scalar_clause *clause = (ddb_scalar_clause *)user;
    (void)row;
    dreamdb_status status = ddb_scalar_list_reserve(clause->ctx, &clause->found, count);
    if (status == DREAMDB_OK) {
        memcpy(clause->found.anchors + clause->found.count, anchors, count * sizeof *anchors);
        clause->found.count += count;
    }
    return status;
}

/* Reads the postings of the rows that wait. */
DDB_FN dreamdb_status ddb_scalar_clause_flush(ddb_ctx *ctx, ddb_scalar_clause *clause)
{
    dreamdb_status status = clause->row_count == 0 ? DREAMDB_OK
                          : ddb_scalar_postings(ctx, clause->env, &clause->batch, clause->folder, clause->rows, clause->row_count, ddb_scalar_clause_take, clause);
    clause->row_count = 0;
    ddb_mem_arena_free(ctx, &clause->batch);
    return status;
}

/* All rows of the Track that select takes (NULL: all) and the clause meets. */
DDB_FN dreamdb_status ddb_scalar_clause_walk(ddb_ctx *ctx, ddb_scalar_clause *clause, const ddb_track_select *select)
{
    ddb_track_cursor *cursor = NULL;
    const ddb_row *row = NULL;
    ddb_scalar_value value;
    dreamdb_status status = ddb_track_open(ctx, clause->env, clause->track, select, &cursor);
    while (status == DREAMDB_OK && (status = ddb_track_next(ctx, cursor, &row)) == DREAMDB_OK) {
        status = ddb_scalar_decode(ctx, row->key, clause->kind, clause->track->path, &value);
        if (status < 0 || !ddb_scalar_clause_meets(clause, &value)) {
            continue;
        }
        ddb_row *copy = clause->rows + clause->row_count++;
        *copy = *row;
        copy->key = ddb_bytes_slice(NULL, 0);  /* it goes with the page */
        if (clause->row_count == DDB_SCALAR_BATCH) {
            status = ddb_scalar_clause_flush(ctx, clause);
        }
    }
    ddb_track_close(ctx, cursor);
    return status == DREAMDB_DONE ? DREAMDB_OK : status;
}

/* One end of a value range as order bytes. */
DDB_FN dreamdb_status ddb_scalar_clause_end(ddb_ctx *ctx, ddb_scalar_clause *clause, const ddb_scalar_value *value, ddb_slice *out)
{
    ddb_buf buf;
    ddb_bytes_init(&buf, ctx);
    ddb_scalar_encode(&buf, value);
    uint8_t *copy = buf.failed ? NULL : (uint8_t *)ddb_mem_arena_copy(ctx, &clause->arena, buf.data, buf.size);
    uint8_t *number = copy ? (uint8_t *)ddb_mem_arena_alloc(ctx, &clause->arena, 8) : NULL;
    size_t size = buf.size;
    ddb_bytes_free(&buf);
    if (!number) {
        return DREAMDB_ERR_MEMORY;
    }
    if (!ddb_page_order_bytes(ddb_track_algorithm(clause->track->modality), ddb_bytes_slice(copy, size), number, out)) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, clause->track->path, "track: its modality does not fit its field's kind");
    }
    return DREAMDB_OK;
}

/* The part of a B-tree between two values (either may be NULL). */
DDB_FN dreamdb_status ddb_scalar_clause_range(ddb_ctx *ctx, ddb_scalar_clause *clause, const ddb_scalar_value *low, const ddb_scalar_value *high)
{
    ddb_track_select select;
    dreamdb_status status = DREAMDB_OK;
    memset(&select, 0, sizeof select);
    select.by_value = true;
    select.has_low = low != NULL;
    select.has_high = high != NULL;
    select.low_open = clause->op == DREAMDB_GT;
    select.high_open = clause->op == DREAMDB_LT;
    if (low) {
        status = ddb_scalar_clause_end(ctx, clause, low, &select.low);
    }
    if (high && status == DREAMDB_OK) {
        status = ddb_scalar_clause_end(ctx, clause, high, &select.high);
    }
    return status == DREAMDB_OK ? ddb_scalar_clause_walk(ctx, clause, &select) : status;
}

DDB_FN dreamdb_status ddb_scalar_clause_run(ddb_ctx *ctx, ddb_scalar_clause *clause)
{
    dreamdb_status status = DREAMDB_OK;
    if (clause->count == 0) {
        return DREAMDB_OK;                     /* IN () */
    }
    clause->folder = ddb_addr_folder(ctx, &clause->arena, &clause->track->timeline, clause->track->modality, "bucket");
    clause->rows = ddb_mem_arena_new(ctx, &clause->arena, ddb_row, DDB_SCALAR_BATCH);
    if (!clause->folder || !clause->rows) {
        return DREAMDB_ERR_MEMORY;
    }
    if (clause->track->cls != DDB_TRACK_BTREE || clause->op == DREAMDB_NE) {
        status = ddb_scalar_clause_walk(ctx, clause, NULL);
    } else if (clause->op == DREAMDB_IN && clause->count <= DDB_SCALAR_RANGES) {
        for (size_t i = 0; i < clause->count && status == DREAMDB_OK; i++) {
            status = ddb_scalar_clause_range(ctx, clause, clause->values + i, clause->values + i);
        }
    } else {
        bool from = clause->op != DREAMDB_LT && clause->op != DREAMDB_LE, to = clause->op != DREAMDB_GT && clause->op != DREAMDB_GE;
        status = ddb_scalar_clause_range(ctx, clause, from ? clause->values : NULL, to ? clause->values + clause->count - 1 : NULL);
    }
    return status == DREAMDB_OK ? ddb_scalar_clause_flush(ctx, clause) : status;
}

/* The anchors that have a value which meets the clause (EQ to IN), deleted ones included; ascending and distinct.  *anchors is the
   caller's: ddb_mem_drop(ctx, anchors, uint64_t, count).  The kind is the field's. */
DDB_FN dreamdb_status ddb_scalar_select(ddb_ctx *ctx, ddb_env *env, const ddb_track *track, dreamdb_kind kind, const dreamdb_where *where,
                                        uint64_t **anchors, size_t *count)
{
    ddb_scalar_clause clause;
    memset(&clause, 0, sizeof clause);
    clause.env = env;
    clause.track = track;
    clause.kind = kind;
    clause.ctx = ctx;
    *anchors = NULL;
    *count = 0;
    dreamdb_status status = ddb_scalar_clause_values(ctx, &clause, where);
    status = status == DREAMDB_OK ? ddb_scalar_clause_run(ctx, &clause) : status;
    status = status == DREAMDB_OK ? ddb_coll_sort_u64(ctx, clause.found.anchors, clause.found.count) : status;
    if (status == DREAMDB_OK && clause.found.count > 0) {
        size_t n = ddb_coll_unique_u64(clause.found.anchors, clause.found.count);
        uint64_t *exact = (uint64_t *)ddb_mem_resize(ctx, clause.found.anchors, clause.found.cap * sizeof *exact, n * sizeof *exact);
        if (exact) {
            *anchors = exact;
            *count = n;
            clause.found.anchors = NULL;
        } else {
            status = DREAMDB_ERR_MEMORY;
        }
    }
    ddb_scalar_list_free(ctx, &clause.found);
    ddb_mem_arena_free(ctx, &clause.batch);
    ddb_mem_arena_free(ctx, &clause.arena);
    return status;
}

/* ==== ROOM 29 view | prefix ddb_view_ | uses port mem bytes addr object schema track manifest ref tomb index ==== */
/* The handle, and one immutable state of a dataset: Manifest and schema decoded, Tracks, indexes and tombstones loaded when first needed.
   Invariant: a view never changes what it shows; what is loaded lazily is guarded by view->lock and stays until the view is freed.
   Views are counted: the handle keeps one of its tip, each dreamdb_snapshot_open another. */

enum { DDB_VIEW_TRACK = 1, DDB_VIEW_INDEX = 2 };
#define DDB_VIEW_INDEXES 16        /* decoded indexes kept by a handle beyond those in use: a year of trains must not pile up */

typedef struct ddb_view_field {
    const ddb_field   *schema;
    const ddb_binding *binding;
    ddb_track_class    cls;
    bool               has_registry;
    ddb_registry_embedding registry;
    bool               track_loaded;
    ddb_object         track_object;
    ddb_track          track;
    ddb_index         *index;             /* owned by the handle's table */
} ddb_view_field;

/* A decoded index of the handle, shared by its views. */
typedef struct ddb_view_index { ddb_addr address; ddb_index *index; uint64_t users; } ddb_view_index;

struct dreamdb_snapshot {
    struct dreamdb  *db;
    uint64_t         users;               /* under db->lock */
    ddb_port_mutex   lock;                /* guards arena and what is lazy below */
    ddb_arena        arena;
    char            *ref;
    char            *path;                /* of the Manifest */
    ddb_addr         address;
    ddb_object       object;
    ddb_manifest     manifest;
    ddb_schema       schema;
    ddb_view_field  *fields;              /* [schema.count], in schema order (by name) */
    ddb_tomb        *tomb;
    bool             tomb_loaded;
    dreamdb_info    *info;
    dreamdb_stats   *stats;
    void            *cells;               /* room query: search layouts of this view */
    void           (*cells_free)(ddb_ctx *ctx, void *cells);
};

struct dreamdb {
    ddb_env         *env;
    dreamdb_allocator allocator;
    uint32_t         cpu;
    char            *ref;
    uint64_t         cells_cap;           /* bytes of search layouts a view may keep */
    uint64_t         pass_bytes;          /* working memory of a scan, count or train pass */
    ddb_port_mutex   lock;                /* guards tip, users of views, indexes */
    ddb_port_mutex   write_lock;          /* one writer at a time */
    dreamdb_snapshot *tip;
    ddb_view_index  *indexes;
    size_t           index_count, index_cap;
};

/* A context for a call on this handle. */
DDB_FN ddb_ctx ddb_view_ctx(const struct dreamdb *db, dreamdb_error *error)
{
    ddb_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    ctx.allocator = db->allocator;
    ctx.cpu = db->cpu;
    ctx.error = error;
    if (error) {
        memset(error, 0, sizeof *error);
    }
    return ctx;
}

/* Takes a use of the index from the handle's table; NULL if it is not there. */
DDB_FN ddb_index *ddb_view_index_find(struct dreamdb *db, const ddb_addr *address)
{
    ddb_index *found = NULL;
    ddb_port_lock(&db->lock);
    for (size_t i = 0; i < db->index_count && !found; i++) {
        if (ddb_addr_equal(&db->indexes[i].address, address)) {
            db->indexes[i].users++;
            found = db->indexes[i].index;
        }
    }
    ddb_port_unlock(&db->lock);
    return found;
}

DDB_FN void ddb_view_index_drop(struct dreamdb *db, const ddb_index *index)
{
    ddb_port_lock(&db->lock);
    for (size_t i = 0; i < db->index_count; i++) {
        if (db->indexes[i].index == index) {
            db->indexes[i].users--;
        }
    }
    ddb_port_unlock(&db->lock);
}

/* Frees the oldest unused index when the table is full; with the lock held. */
DDB_FN void ddb_view_index_evict(ddb_ctx *ctx, struct dreamdb *db)
{
    for (size_t i = 0; i < db->index_count && db->index_count >= DDB_VIEW_INDEXES; i++) {
        if (db->indexes[i].users == 0) {
            ddb_index_free(ctx, db->indexes[i].index);
            memmove(db->indexes + i, db->indexes + i + 1, (db->index_count - i - 1) * sizeof *db->indexes);
            db->index_count--;
            i--;
        }
    }
}

/* Puts a decoded index in the table (which owns it from now on, also on failure) with one use. */
DDB_FN dreamdb_status ddb_view_index_keep(ddb_ctx *ctx, struct dreamdb *db, const ddb_addr *address, ddb_index **index)
{
    dreamdb_status status = DREAMDB_OK;
    ddb_port_lock(&db->lock);
    for (size_t i = 0; i < db->index_count; i++) {
        if (ddb_addr_equal(&db->indexes[i].address, address)) {     /* another thread was faster */
            ddb_index_free(ctx, *index);
            *index = db->indexes[i].index;
            db->indexes[i].users++;
            ddb_port_unlock(&db->lock);
            return DREAMDB_OK;
        }
    }
    ddb_view_index_evict(ctx, db);
    if (db->index_count == db->index_cap) {
        size_t cap = db->index_cap > 0 ? db->index_cap * 2 : DDB_VIEW_INDEXES;
        ddb_view_index *more = (ddb_view_index *)ddb_mem_resize(ctx, db->indexes, db->index_cap * sizeof *more, cap * sizeof *more);
        if (more) {
            db->indexes = more;
            db->index_cap = cap;
        } else {
            status = DREAMDB_ERR_MEMORY;
        }
    }
    if (status == DREAMDB_OK) {
        db->indexes[db->index_count].address = *address;
        db->indexes[db->index_count].index = *index;
        db->indexes[db->index_count++].users = 1;
    } else {
        ddb_index_free(ctx, *index);
        *index = NULL;
    }
    ddb_port_unlock(&db->lock);
    return status;
}

DDB_FN void ddb_view_free(ddb_ctx *ctx, dreamdb_snapshot *view)
{
    if (!view) {
        return;
    }
    if (view->cells) {
        view->cells_free(ctx, view->cells);
    }
    for (size_t i = 0; view->fields && i < view->schema.count; i++) {
        ddb_view_field *field = view->fields + i;
        if (field->track_loaded) {
            ddb_object_release(view->db->env, &field->track_object);
        }
        if (field->index) {
            ddb_view_index_drop(view->db, field->index);
        }
    }
    if (view->tomb) {
        ddb_tomb_close(ctx, view->tomb);
    }
    if (view->object.data) {
        ddb_object_release(view->db->env, &view->object);
    }
    ddb_mem_arena_free(ctx, &view->arena);
    ddb_port_mutex_free(&view->lock);
    ddb_mem_drop(ctx, view, dreamdb_snapshot, 1);
}

DDB_FN void ddb_view_release(ddb_ctx *ctx, dreamdb_snapshot *view)
{
    bool last = false;
    if (view) {
        ddb_port_lock(&view->db->lock);
        last = --view->users == 0;
        ddb_port_unlock(&view->db->lock);
    }
    if (last) {
        ddb_view_free(ctx, view);
    }
}

/* Manifest, schema, and for each field its binding, class and registry entry. */
DDB_FN dreamdb_status ddb_view_decode(ddb_ctx *ctx, dreamdb_snapshot *view)
{
    dreamdb_status status = ddb_manifest_decode(ctx, &view->arena, ddb_bytes_slice(view->object.data, view->object.size), view->path, &view->manifest);
    if (status < 0) {
        return status;
    }
    if (view->manifest.timeline_count < 1) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, view->path, "manifest names no timeline");
    }
    status = ddb_manifest_schema(ctx, &view->arena, &view->manifest, view->path, &view->schema);
    view->fields = status == DREAMDB_OK ? ddb_mem_arena_new(ctx, &view->arena, ddb_view_field, view->schema.count) : NULL;
    if (!view->fields) {
        return status < 0 ? status : DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < view->schema.count && status == DREAMDB_OK; i++) {
        ddb_view_field *field = view->fields + i;
        field->schema = view->schema.fields + i;
        field->binding = ddb_manifest_active(&view->manifest, field->schema->name);
        field->cls = ddb_track_class_of(field->schema->kind);
        field->has_registry = field->schema->kind == DREAMDB_EMBEDDING;
        if (field->has_registry) {
            status = ddb_manifest_embedding(ctx, &view->manifest, field->schema->modality, view->path, &field->registry);
        }
    }
    return status;
}

/* Reads and decodes the Manifest at an address: one read. */
DDB_FN dreamdb_status ddb_view_load(ddb_ctx *ctx, struct dreamdb *db, const char *ref, const ddb_addr *address, dreamdb_snapshot **out)
{
    dreamdb_snapshot *view = ddb_mem_new(ctx, dreamdb_snapshot, 1);
    *out = NULL;
    if (!view) {
        return DREAMDB_ERR_MEMORY;
    }
    if (!ddb_port_mutex_init(&view->lock)) {
        ddb_mem_drop(ctx, view, dreamdb_snapshot, 1);
        return ddb_mem_fail(ctx, DREAMDB_ERR_MEMORY, "the system gives no mutex");
    }
    view->db = db;
    view->users = 1;
    view->address = *address;
    view->ref = ddb_mem_arena_copy(ctx, &view->arena, ref, strlen(ref));
    view->path = ddb_addr_path(ctx, &view->arena, "manifests", address);
    dreamdb_status status = view->ref && view->path ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    if (status == DREAMDB_OK) {
        status = ddb_object_get(ctx, db->env, view->path, address, DDB_OBJECT_METADATA, &view->object);
    }
    if (status == DREAMDB_OK) {
        status = ddb_view_decode(ctx, view);
    }
    if (status < 0) {
        ddb_view_free(ctx, view);
        return status;
    }
    *out = view;
    return DREAMDB_OK;
}

/* The tip of the handle's Ref now, and the Ref's tag: one read of the Ref, and the Manifest only if it moved. */
DDB_FN dreamdb_status ddb_view_tip(ddb_ctx *ctx, struct dreamdb *db, dreamdb_snapshot **out, char tag[DREAMDB_TAG_SIZE])
{
    ddb_addr address;
    dreamdb_snapshot *view = NULL, *old = NULL;
    *out = NULL;
    dreamdb_status status = ddb_ref_read(ctx, db->env, db->ref, &address, tag);
    if (status < 0) {
        return status;
    }
    ddb_port_lock(&db->lock);
    if (db->tip && ddb_addr_equal(&db->tip->address, &address)) {
        view = db->tip;
        view->users++;
    }
    ddb_port_unlock(&db->lock);
    if (!view) {
        status = ddb_view_load(ctx, db, db->ref, &address, &view);
        if (status < 0) {
            return status;
        }
        ddb_port_lock(&db->lock);
        old = db->tip;
        db->tip = view;
        view->users++;
        ddb_port_unlock(&db->lock);
        ddb_view_release(ctx, old);
    }
    *out = view;
    return DREAMDB_OK;
}

DDB_FN ddb_view_field *ddb_view_find(dreamdb_snapshot *view, ddb_slice name)
{
    for (size_t i = 0; i < view->schema.count; i++) {
        if (ddb_bytes_equal(view->schema.fields[i].name, name)) {
            return view->fields + i;
        }
    }
    return NULL;
}

/* The field of that name, or NOT_FOUND that lists what there is. */
DDB_FN dreamdb_status ddb_view_field_named(ddb_ctx *ctx, dreamdb_snapshot *view, const char *name, ddb_view_field **out)
{
    *out = name ? ddb_view_find(view, ddb_bytes_text(name)) : NULL;
    if (*out) {
        return DREAMDB_OK;
    }
    char list[160];
    size_t at = 0;
    list[0] = 0;
    for (size_t i = 0; i < view->schema.count && at + 1 < sizeof list; i++) {
        ddb_slice text = view->schema.fields[i].name;
        int wrote = snprintf(list + at, sizeof list - at, "%s%.*s", i > 0 ? ", " : "", (int)(text.size < 40 ? text.size : 40), (const char *)text.data);
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    return ddb_mem_fail(ctx, DREAMDB_ERR_NOT_FOUND, "no field `%s` in `%s`; it has: %s", name ? name : "(null)", view->ref, list);
}

/* Checks a fetched Track against its binding and keeps it. */
DDB_FN dreamdb_status ddb_view_take_track(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_view_field *field, const ddb_object_want *want)
{
    dreamdb_status status = ddb_track_decode(ctx, &view->arena, field->cls, ddb_bytes_slice(want->object.data, want->object.size), want->path, &field->track);
    if (status < 0) {
        return status;
    }
    if (!ddb_bytes_equal(field->track.modality, field->binding->modality) || field->track.t_min != field->binding->t_min
        || field->track.t_max != field->binding->t_max || !ddb_addr_equal(&field->track.timeline, &field->binding->timeline)) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, want->path, "Track says another modality, timeline or coverage than the manifest's binding of `%.*s`",
                               (int)field->schema->name.size, (const char *)field->schema->name.data);
    }
    field->track_object = want->object;
    field->track_loaded = true;
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_view_take_index(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_view_field *field, const ddb_object_want *want)
{
    ddb_index *index = NULL;
    dreamdb_status status = ddb_index_decode(ctx, ddb_bytes_slice(want->object.data, want->object.size), want->path, &index);
    if (status < 0) {
        return status;
    }
    if (ddb_index_dim(index) != field->schema->dim) {
        status = ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, want->path, "index has dim %u, field `%.*s` has %u", (unsigned)ddb_index_dim(index),
                                 (int)field->schema->name.size, (const char *)field->schema->name.data, (unsigned)field->schema->dim);
        ddb_index_free(ctx, index);
        return status;
    }
    status = ddb_view_index_keep(ctx, view->db, &field->registry.index, &index);
    field->index = status < 0 ? NULL : index;
    return status;
}

/* Refuses by name what this version cannot search or write. */
DDB_FN dreamdb_status ddb_view_readable(ddb_ctx *ctx, const dreamdb_snapshot *view, const ddb_view_field *field)
{
    const char *name = (const char *)field->schema->name.data;
    int size = (int)field->schema->name.size;
    if (field->schema->kind == DREAMDB_KIND_OTHER) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_UNSUPPORTED, view->path, "field `%.*s` is of kind `%.*s`, which this version keeps but does not read",
                               size, name, (int)field->schema->kind_text.size, (const char *)field->schema->kind_text.data);
    }
    if (field->has_registry && field->registry.has_hot) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_UNSUPPORTED, view->path, "field `%.*s` has a hot shard, which this version does not read: flush it with the writer that made it", size, name);
    }
    if (field->has_registry && field->registry.index_count != 1) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_UNSUPPORTED, view->path, "field `%.*s` has %zu index tables; this version reads one", size, name, field->registry.index_count);
    }
    return DREAMDB_OK;
}

/* One object that a field waits for. */
typedef struct ddb_view_job { ddb_view_field *field; bool index; } ddb_view_job;

/* Adds the wish for a field's Track or index, unless it is there or wished for already. */
DDB_FN dreamdb_status ddb_view_wish(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_view_field *field, bool index,
                                    ddb_object_want *wants, ddb_view_job *jobs, size_t *count)
{
    if (index && !field->index) {
        field->index = ddb_view_index_find(view->db, &field->registry.index);
    }
    if (index ? field->index != NULL : field->track_loaded) {
        return DREAMDB_OK;
    }
    for (size_t i = 0; i < *count; i++) {
        if (jobs[i].field == field && jobs[i].index == index) {
            return DREAMDB_OK;
        }
    }
    ddb_object_want *want = wants + *count;
    want->addr = index ? field->registry.index : field->binding->address;
    char *folder = index ? NULL : ddb_addr_folder(ctx, &view->arena, &field->binding->timeline, field->binding->modality, "track");
    want->path = index ? ddb_addr_path(ctx, &view->arena, "spatial-index", &want->addr) : folder ? ddb_addr_path(ctx, &view->arena, folder, &want->addr) : NULL;
    want->flags = DDB_OBJECT_METADATA;
    jobs[*count].field = field;
    jobs[*count].index = index;
    *count += 1;
    return want->path ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
}

/* Loads for each listed field what `what` asks (DDB_VIEW_ flags) and is not there yet, all in one batch. */
DDB_FN dreamdb_status ddb_view_need_locked(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_view_field *const *fields, size_t count, unsigned what)
{
    size_t n = 0;
    bool missing = false;
    dreamdb_status status = DREAMDB_OK;
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        bool has_index = fields[i]->schema->kind == DREAMDB_EMBEDDING;
        status = ddb_view_readable(ctx, view, fields[i]);
        missing = missing || ((what & DDB_VIEW_TRACK) && !fields[i]->track_loaded) || ((what & DDB_VIEW_INDEX) && has_index && !fields[i]->index);
    }
    if (status < 0 || !missing) {
        return status;
    }
    ddb_object_want *wants = ddb_mem_arena_new(ctx, &view->arena, ddb_object_want, count * 2);
    ddb_view_job *jobs = ddb_mem_arena_new(ctx, &view->arena, ddb_view_job, count * 2);
    if (!wants || !jobs) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        if (what & DDB_VIEW_TRACK) {
            status = ddb_view_wish(ctx, view, fields[i], false, wants, jobs, &n);
        }
        if (status == DREAMDB_OK && (what & DDB_VIEW_INDEX) && fields[i]->schema->kind == DREAMDB_EMBEDDING) {
            status = ddb_view_wish(ctx, view, fields[i], true, wants, jobs, &n);
        }
    }
    if (status == DREAMDB_OK && n > 0) {
        status = ddb_object_get_many(ctx, view->db->env, wants, n);
        for (size_t i = 0; i < n && status == DREAMDB_OK; i++) {
            status = jobs[i].index ? ddb_view_take_index(ctx, view, jobs[i].field, wants + i) : ddb_view_take_track(ctx, view, jobs[i].field, wants + i);
            if (status == DREAMDB_OK && !jobs[i].index) {
                wants[i].object.data = NULL;              /* the field holds it now */
            }
        }
        for (size_t i = 0; i < n; i++) {
            if (wants[i].object.data) {
                ddb_object_release(view->db->env, &wants[i].object);
            }
        }
    }
    return status;
}

/* As above, locked.  fields may name the same field twice. */
DDB_FN dreamdb_status ddb_view_need(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_view_field *const *fields, size_t count, unsigned what)
{
    ddb_port_lock(&view->lock);
    dreamdb_status status = ddb_view_need_locked(ctx, view, fields, count, what);
    ddb_port_unlock(&view->lock);
    return status;
}

/* The tombstones of the view, loaded once; *out may be an empty set. */
DDB_FN dreamdb_status ddb_view_tomb(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_tomb **out)
{
    dreamdb_status status = DREAMDB_OK;
    ddb_port_lock(&view->lock);
    if (!view->tomb_loaded) {
        ddb_addr head;
        bool has = false;
        status = ddb_manifest_tombstones(ctx, &view->manifest, view->path, &has, &head);
        if (status == DREAMDB_OK) {
            status = ddb_tomb_open(ctx, view->db->env, has ? &head : NULL, &view->manifest.timelines[0], &view->tomb);
        }
        view->tomb_loaded = status == DREAMDB_OK;
    }
    *out = view->tomb;
    ddb_port_unlock(&view->lock);
    return status;
}

/* The folder "TL/MOD/sub" of a field, in an arena. */
DDB_FN char *ddb_view_folder(ddb_ctx *ctx, ddb_arena *arena, const ddb_view_field *field, const char *sub)
{
    return ddb_addr_folder(ctx, arena, &field->binding->timeline, field->binding->modality, sub);
}

/* The n-th first parent of a Manifest. */
DDB_FN dreamdb_status ddb_view_ancestor(ddb_ctx *ctx, struct dreamdb *db, ddb_addr address, uint64_t n, ddb_addr *out)
{
    for (uint64_t i = 0; i < n; i++) {
        ddb_arena arena = {NULL, 0};
        ddb_object object = {NULL, 0, NULL};
        ddb_manifest manifest;
        char *path = ddb_addr_path(ctx, &arena, "manifests", &address);
        dreamdb_status status = path ? ddb_object_get(ctx, db->env, path, &address, DDB_OBJECT_METADATA, &object) : DREAMDB_ERR_MEMORY;
        if (status == DREAMDB_OK) {
            status = ddb_manifest_decode(ctx, &arena, ddb_bytes_slice(object.data, object.size), path, &manifest);
            if (status == DREAMDB_OK && manifest.parent_count == 0) {
                status = ddb_mem_fail(ctx, DREAMDB_ERR_NOT_FOUND, "`%s` has only %llu states before this one", db->ref, (unsigned long long)i);
            } else if (status == DREAMDB_OK) {
                address = manifest.parents[0];
            }
            ddb_object_release(db->env, &object);
        }
        ddb_mem_arena_free(ctx, &arena);
        if (status < 0) {
            return status;
        }
    }
    *out = address;
    return DREAMDB_OK;
}

/* Decimal digits only. */
DDB_FN bool ddb_view_number(const char *text, uint64_t *out)
{
    uint64_t n = 0;
    if (!*text) {
        return false;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || n > (UINT64_MAX - 9) / 10) {
            return false;
        }
        n = n * 10 + (uint64_t)(*text - '0');
    }
    *out = n;
    return true;
}

/* Opens a state: NULL or "" the tip, "@label", "~n", or a Manifest address. */
DDB_FN dreamdb_status ddb_view_state(ddb_ctx *ctx, struct dreamdb *db, const char *state, dreamdb_snapshot **out)
{
    ddb_addr address;
    uint64_t back = 0;
    char name[600];
    char tag[DREAMDB_TAG_SIZE];
    *out = NULL;
    if (!state || !*state) {
        return ddb_view_tip(ctx, db, out, tag);
    }
    if (state[0] == '@' && strlen(state) + strlen(db->ref) < sizeof name) {
        size_t head = strlen(db->ref);
        memcpy(name, db->ref, head);
        memcpy(name + head, state, strlen(state) + 1);
        dreamdb_status status = ddb_ref_read(ctx, db->env, name, &address, tag);
        return status < 0 ? status : ddb_view_load(ctx, db, name, &address, out);
    }
    if (state[0] == '~' && ddb_view_number(state + 1, &back)) {
        dreamdb_status status = ddb_ref_read(ctx, db->env, db->ref, &address, tag);
        if (status == DREAMDB_OK) {
            status = back <= db->env->limits.history ? ddb_view_ancestor(ctx, db, address, back, &address)
                                                     : ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "~%llu is beyond limits.history", (unsigned long long)back);
        }
        return status < 0 ? status : ddb_view_load(ctx, db, db->ref, &address, out);
    }
    if (ddb_addr_parse(ddb_bytes_text(state), &address)) {
        return ddb_view_load(ctx, db, db->ref, &address, out);
    }
    return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "`%s` names no state: use @label, ~3 or a Manifest address of 53 characters", state);
}

/* ==== ROOM 30 write | prefix ddb_write_ | uses port mem bytes coll hash cbor addr object schema page track manifest ref tomb kmeans index bucket item scalar view ==== */
/* Every verb that makes a new Manifest: create, append, add-field, layers, constants, meta, train.
   Invariant: all objects are put and synced before the Ref moves, the Ref moves by compare-and-swap, and nothing else is changed; so a
   crash at any point leaves the old state or the new one.  Format: FORMAT.md "Append", "Create".  Reads no bucket but in train. */

#define DDB_WRITE_INLINE_MAX 1048576u     /* bytes of an inline object_index before a Track pages (core.md 6) */
#define DDB_WRITE_EARLY_MAX  16384u       /* the same with page_early */
#define DDB_WRITE_BUCKET_MAX 104857600u   /* default payload cap of a bucket (core.md 4) */
#define DDB_WRITE_CACHE 0
#define DDB_WRITE_GROUP      (4u << 20)   /* bytes of buckets hashed side by side before they are handed on */

/* One write in progress. */
typedef struct ddb_write {
    struct dreamdb   *db;
    ddb_env          *env;
    dreamdb_snapshot *view;               /* the state it builds on; NULL in create */
    char              tag[DREAMDB_TAG_SIZE];
    ddb_arena         arena;
    ddb_puts         *puts;
    ddb_manifest      manifest;           /* the new one; slices point into the view or the arena */
    uint64_t          page_limit;
    ddb_addr          address;            /* of the new Manifest once published */
} ddb_write;

DDB_FN void ddb_write_close(ddb_ctx *ctx, ddb_write *write)
{
    if (write->puts) {
        ddb_object_puts_close(ctx, write->puts);
    }
    ddb_mem_arena_free(ctx, &write->arena);
    if (write->view) {
        ddb_view_release(ctx, write->view);
    }
    ddb_port_unlock(&write->db->write_lock);
}

/* Opens a write on the tip as it is now; the caller closes it also on failure. */
DDB_FN dreamdb_status ddb_write_open(ddb_ctx *ctx, struct dreamdb *db, bool on_tip, ddb_write *write)
{
    memset(write, 0, sizeof *write);
    write->db = db;
    write->env = db->env;
    write->page_limit = DDB_WRITE_INLINE_MAX;
    ddb_port_lock(&db->write_lock);
    dreamdb_status status = on_tip ? ddb_view_tip(ctx, db, &write->view, write->tag) : DREAMDB_OK;
    if (status == DREAMDB_OK && on_tip) {
        write->manifest = write->view->manifest;
    }
    return status < 0 ? status : ddb_object_puts_open(ctx, db->env, &write->puts);
}

/* Encodes and puts the Manifest, makes everything durable, and moves (or makes) the Ref. */
DDB_FN dreamdb_status ddb_write_publish(ddb_ctx *ctx, ddb_write *write, const char *operation)
{
    ddb_buf bytes;
    char writer[160];
    ddb_manifest *m = &write->manifest;
    (void)snprintf(writer, sizeof writer, "dreamdb.h/%s;operation=%s", DREAMDB_VERSION, operation);
    m->ts = ddb_object_now(write->env);
    m->writer = ddb_bytes_text(write->env->writer ? write->env->writer : writer);
    m->form = ddb_bytes_text("lineage-v1");
    m->parents = write->view ? &write->view->address : NULL;
    m->parent_count = write->view ? 1 : 0;
    if (!write->env->identical) {
        dreamdb_status status = ddb_manifest_relax(ctx, &write->arena, m);
        if (status < 0) {
            return status;
        }
    }
    ddb_bytes_init(&bytes, ctx);
    dreamdb_status status = ddb_manifest_encode(&bytes, m);
    if (status == DREAMDB_OK) {
        status = ddb_object_put(ctx, write->puts, "manifests", ddb_bytes_of(&bytes), DDB_WRITE_CACHE, &write->address);
    }
    ddb_bytes_free(&bytes);
    if (status == DREAMDB_OK) {
        status = ddb_object_flush(ctx, write->puts);
    }
    if (status == DREAMDB_OK) {
        status = ddb_object_sync(ctx, write->env);
    }
    if (status == DREAMDB_OK) {
        status = write->view ? ddb_ref_swap(ctx, write->env, write->db->ref, write->tag, &write->address)
                             : ddb_ref_create(ctx, write->env, write->db->ref, &write->address);
    }
    return status;
}

/* ---- Embeddings ---- */

/* A record's place in the order of cells: the first 8 bytes of its key, and its row. */
typedef struct ddb_write_slot { uint64_t prefix; size_t row; } ddb_write_slot;
typedef struct ddb_write_keys { const uint8_t *keys; size_t key_size; } ddb_write_keys;

DDB_FN int ddb_write_slot_compare(const void *a, const void *b, void *user)
{
    const ddb_write_slot *x = (const ddb_write_slot *)a, *y = (const ddb_write_slot *)b;
    const ddb_write_keys *k = (const ddb_write_keys *)user;
    if (x->prefix != y->prefix) {
        return x->prefix < y->prefix ? -1 : 1;
    }
    return k->key_size <= 8 ? 0 : memcmp(k->keys + x->row * k->key_size, k->keys + y->row * k->key_size, k->key_size);
}

/* Rows sorted by key, input order within a cell. */
DDB_FN dreamdb_status ddb_write_order(ddb_ctx *ctx, const uint8_t *keys, size_t key_size, size_t count, ddb_write_slot *slots)
{
    ddb_write_keys user;
    user.keys = keys;
    user.key_size = key_size;
    for (size_t i = 0; i < count; i++) {
        uint8_t head[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        memcpy(head, keys + i * key_size, key_size < 8 ? key_size : 8);
        slots[i].prefix = ddb_bytes_be64(head);
        slots[i].row = i;
    }
    return ddb_coll_sort(ctx, slots, count, sizeof *slots, ddb_write_slot_compare, &user);
}

/* Vectors on their way into buckets. */
typedef struct ddb_write_vectors {
    const ddb_index *index;
    ddb_addr         index_addr;
    ddb_slice        modality;
    ddb_addr         timeline;
    uint64_t         dim, cap;            /* cap: payload bytes of a bucket */
    bool             rerank;
    const float     *vectors;
    size_t           stride, count;       /* stride in floats */
    const uint64_t  *anchors;
    uint8_t         *keys;
    size_t           key_size;
    ddb_write_slot  *slots;
    ddb_row         *rows;                /* out; rows_cap of them */
    size_t           row_count;
} ddb_write_vectors;

/* One bucket (and its sidecar): slots [from, to) of one cell.  Fills row, and the two buffers. */
DDB_FN dreamdb_status ddb_write_bucket_bytes(const ddb_write_vectors *v, size_t from, size_t to, ddb_row *row, ddb_buf *bucket, ddb_buf *sidecar)
{
    size_t n = to - from, record = 8 + (size_t)v->dim * 4;
    ddb_bucket_header(bucket, record, n, &v->index_addr, v->modality, NULL);
    if (v->rerank) {
        ddb_bucket_sidecar_header(sidecar, (size_t)v->dim * 4, n, v->modality);
    }
    uint8_t *at = ddb_bytes_reserve(bucket, n * record);
    uint8_t *exact = v->rerank ? ddb_bytes_reserve(sidecar, n * (size_t)v->dim * 4) : NULL;
    if (!at || (v->rerank && !exact)) {
        return DREAMDB_ERR_MEMORY;
    }
    row->t_start = UINT64_MAX;
    row->t_end = 0;
    for (size_t i = from; i < to; i++) {
        uint64_t anchor = v->anchors[v->slots[i].row];
        ddb_bytes_set_be64(at, anchor);
        ddb_bytes_set_f32(at + 8, v->vectors + v->slots[i].row * v->stride, (size_t)v->dim);
        if (exact) {
            memcpy(exact, at + 8, (size_t)v->dim * 4);
            exact += v->dim * 4;
        }
        row->t_start = anchor < row->t_start ? anchor : row->t_start;
        row->t_end = anchor + 1 > row->t_end ? anchor + 1 : row->t_end;
        at += record;
    }
    bucket->size += n * record;
    sidecar->size += v->rerank ? n * (size_t)v->dim * 4 : 0;
    row->size = bucket->size;
    return DREAMDB_OK;
}

/* Puts the buckets of rows [first, first + count) whose bytes lie one after the other in the two buffers; ends[] are their ends. */
DDB_FN dreamdb_status ddb_write_group_put(ddb_ctx *ctx, ddb_write *write, ddb_write_vectors *v, size_t first, size_t count,
                                          const ddb_buf *buckets, const size_t *ends, const ddb_buf *sidecars, const size_t *exact_ends)
{
    ddb_arena arena = {NULL, 0};
    const char **folders = ddb_mem_arena_new(ctx, &arena, const char *, count);
    ddb_slice *bytes = ddb_mem_arena_new(ctx, &arena, ddb_slice, count);
    ddb_addr *addrs = ddb_mem_arena_new(ctx, &arena, ddb_addr, count);
    dreamdb_status status = folders && bytes && addrs ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    for (int pass = 0; pass < (v->rerank ? 2 : 1) && status == DREAMDB_OK; pass++) {
        const uint8_t *base = pass ? sidecars->data : buckets->data;
        const size_t *end = pass ? exact_ends : ends;
        for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
            size_t from = i > 0 ? end[i - 1] : 0;
            const ddb_row *row = v->rows + first + i;
            folders[i] = ddb_addr_folder(ctx, &arena, &v->timeline, v->modality, pass ? "vectors" : (const char *)row->key.data);
            bytes[i] = ddb_bytes_slice(base + from, end[i] - from);
            status = folders[i] ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
        }
        if (status == DREAMDB_OK) {
            status = ddb_object_put_many(ctx, write->puts, folders, bytes, count, DDB_PUT_OUTBOARD, addrs);
        }
        for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
            ddb_row *row = v->rows + first + i;
            *(pass ? &row->sidecar : &row->addr) = addrs[i];
            row->flags |= pass ? (uint32_t)DDB_ROW_SIDECAR : 0u;
        }
    }
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

/* Cuts the ordered slots into cells and buckets; one row each. */
DDB_FN dreamdb_status ddb_write_rows_of(ddb_ctx *ctx, ddb_write *write, ddb_write_vectors *v, size_t *from, ddb_row *row, size_t *to)
{
    size_t per = (size_t)(v->cap / (8 + v->dim * 4));
    const uint8_t *key = v->keys + v->slots[*from].row * v->key_size;
    per = per > 0 ? per : 1;
    *to = *from + 1;
    while (*to < v->count && *to - *from < per && memcmp(v->keys + v->slots[*to].row * v->key_size, key, v->key_size) == 0) {
        *to += 1;
    }
    char *text = (char *)ddb_mem_arena_alloc(ctx, &write->arena, (size_t)ddb_index_bits(v->index) + 1);
    if (!text) {
        return DREAMDB_ERR_MEMORY;
    }
    ddb_index_key_text(v->index, key, text);
    memset(row, 0, sizeof *row);
    row->key = ddb_bytes_text(text);
    return DREAMDB_OK;
}

/* All buckets of the ordered vectors, in groups of bounded bytes. */
DDB_FN dreamdb_status ddb_write_buckets(ddb_ctx *ctx, ddb_write *write, ddb_write_vectors *v)
{
    ddb_buf buckets, sidecars;
    size_t *ends = ddb_mem_arena_new(ctx, &write->arena, size_t, v->count);
    size_t *exact_ends = ddb_mem_arena_new(ctx, &write->arena, size_t, v->rerank ? v->count : 1);
    dreamdb_status status = ends && exact_ends ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    size_t first = 0, from = 0;
    ddb_bytes_init(&buckets, ctx);
    ddb_bytes_init(&sidecars, ctx);
    while (from < v->count && status == DREAMDB_OK) {
        size_t to = from, before = buckets.size, n = v->row_count - first;
        ddb_row *row = v->rows + v->row_count;
        status = ddb_write_rows_of(ctx, write, v, &from, row, &to);
        if (status == DREAMDB_OK) {
            status = ddb_write_bucket_bytes(v, from, to, row, &buckets, &sidecars);
            row->size = buckets.size - before;
            ends[n] = buckets.size;
            if (v->rerank) {
                exact_ends[n] = sidecars.size;
            }
            v->row_count++;
            from = to;
        }
        if (status == DREAMDB_OK && (buckets.size >= DDB_WRITE_GROUP || from == v->count)) {
            status = ddb_write_group_put(ctx, write, v, first, v->row_count - first, &buckets, ends, &sidecars, exact_ends);
            ddb_bytes_clear(&buckets);
            ddb_bytes_clear(&sidecars);
            first = v->row_count;
        }
    }
    ddb_bytes_free(&buckets);
    ddb_bytes_free(&sidecars);
    return status;
}

/* Keys, order, buckets: v->rows are the new Track rows. */
DDB_FN dreamdb_status ddb_write_place(ddb_ctx *ctx, ddb_write *write, ddb_write_vectors *v)
{
    size_t key_bytes = 0;
    v->key_size = ddb_index_key_size(v->index);
    if (!ddb_mem_mul(v->count, v->key_size, &key_bytes)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "%zu rows are too many for one batch", v->count);
    }
    v->keys = (uint8_t *)ddb_mem_arena_alloc(ctx, &write->arena, key_bytes);
    v->slots = ddb_mem_arena_new(ctx, &write->arena, ddb_write_slot, v->count);
    if (!v->keys || !v->slots) {
        return DREAMDB_ERR_MEMORY;
    }
    dreamdb_status status = ddb_index_keys(ctx, write->env->pool, v->index, v->vectors, v->stride, v->count, v->keys);
    if (status == DREAMDB_OK) {
        status = ddb_write_order(ctx, v->keys, v->key_size, v->count, v->slots);
    }
    size_t rows = 0;                       /* a row a cell, and one more for each full bucket */
    for (size_t i = 0; i < v->count && status == DREAMDB_OK; i++) {
        rows += i == 0 || memcmp(v->keys + v->slots[i].row * v->key_size, v->keys + v->slots[i - 1].row * v->key_size, v->key_size) != 0;
    }
    size_t per = (size_t)(v->cap / (8 + v->dim * 4));
    rows += v->count / (per > 0 ? per : 1);
    v->rows = status == DREAMDB_OK ? ddb_mem_arena_new(ctx, &write->arena, ddb_row, rows) : NULL;
    if (status == DREAMDB_OK && !v->rows) {
        return DREAMDB_ERR_MEMORY;
    }
    return status < 0 ? status : ddb_write_buckets(ctx, write, v);
}

/* ---- Append ---- */

/* One field of a batch: rows that are present, and their anchors. */
typedef struct ddb_write_column {
    const dreamdb_column *column;
    ddb_view_field *field;
    const size_t   *rows;                  /* present rows of the batch; NULL = all */
    const uint64_t *anchors;               /* [count] */
    size_t          count;
} ddb_write_column;

DDB_FN size_t ddb_write_row(const ddb_write_column *c, size_t i)
{
    return c->rows ? c->rows[i] : i;
}

DDB_FN dreamdb_status ddb_write_embedding(ddb_ctx *ctx, ddb_write *write, const ddb_write_column *c, ddb_row **rows, size_t *count)
{
    ddb_write_vectors v;
    const ddb_field *schema = c->field->schema;
    size_t stride = c->column->stride > 0 ? c->column->stride : (size_t)schema->dim * sizeof(float);
    memset(&v, 0, sizeof v);
    if (stride % sizeof(float) != 0 || !c->column->data) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s`: %s", c->column->field, c->column->data ? "the stride is not a multiple of 4 bytes" : "data is NULL");
    }
    if (c->field->registry.has_compressor) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_UNSUPPORTED, "field `%s` has a vector compressor, which this version does not write", c->column->field);
    }
    v.index = c->field->index;
    v.index_addr = c->field->registry.index;
    v.modality = c->field->binding->modality;
    v.timeline = c->field->binding->timeline;
    v.dim = schema->dim;
    v.cap = schema->has_bucket_max ? schema->bucket_max_bytes : DDB_WRITE_BUCKET_MAX;
    v.rerank = schema->rerank;
    v.vectors = (const float *)c->column->data;
    v.stride = stride / sizeof(float);
    v.count = c->count;
    v.anchors = c->anchors;
    dreamdb_status status = ddb_write_place(ctx, write, &v);
    if (status == DREAMDB_ERR_ARGUMENT && ctx->error) {           /* "row 17: ..." wants the field's name */
        char text[sizeof ctx->error->message];
        memcpy(text, ctx->error->message, sizeof text);
        return ddb_mem_fail(ctx, status, "field `%.80s`: %.200s", c->column->field, text);
    }
    *rows = v.rows;
    *count = v.row_count;
    return status;
}

DDB_FN dreamdb_status ddb_write_media(ddb_ctx *ctx, ddb_write *write, const ddb_write_column *c, ddb_row **rows, size_t *count)
{
    ddb_item_batch batch;
    const ddb_field *schema = c->field->schema;
    memset(&batch, 0, sizeof batch);
    if (!c->column->values) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s`: values is NULL", c->column->field);
    }
    batch.timeline = &c->field->binding->timeline;
    batch.modality = c->field->binding->modality;
    batch.chunk_size = schema->has_chunk ? schema->chunk_size : 0;
    batch.has_chunk = schema->has_chunk;
    batch.pack_items = schema->has_pack ? schema->pack_items : 0;
    batch.values = c->column->values;
    batch.read = c->column->read;
    batch.read_user = c->column->read_user;
    batch.rows = c->rows;
    batch.anchors = c->anchors;
    batch.count = c->count;
    *count = c->count;
    *rows = ddb_mem_arena_new(ctx, &write->arena, ddb_row, c->count);
    return *rows ? ddb_item_write(ctx, write->env, write->puts, &batch, *rows) : DREAMDB_ERR_MEMORY;
}

/* One value of a scalar column. */
DDB_FN dreamdb_status ddb_write_value(ddb_ctx *ctx, const ddb_write_column *c, size_t row, ddb_scalar_value *out)
{
    dreamdb_kind kind = c->field->schema->kind;
    const dreamdb_column *column = c->column;
    bool text = kind == DREAMDB_STRING || kind == DREAMDB_CATEGORICAL;
    memset(out, 0, sizeof *out);
    out->kind = kind;
    if (text ? !column->values : !column->data) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s`: %s is NULL", column->field, text ? "values" : "data");
    }
    if (text) {
        out->text = ddb_bytes_slice(column->values[row].data, column->values[row].size);
    } else {
        size_t size = kind == DREAMDB_BOOL ? 1 : 8;
        const uint8_t *at = (const uint8_t *)column->data + row * (column->stride > 0 ? column->stride : size);
        if (kind == DREAMDB_BOOL) {
            out->integer = *at != 0;
        } else if (kind == DREAMDB_FLOAT) {
            memcpy(&out->real, at, sizeof out->real);
        } else {
            memcpy(&out->integer, at, sizeof out->integer);
        }
    }
    return ddb_scalar_check(ctx, c->field->schema->name, out);
}

DDB_FN dreamdb_status ddb_write_values(ddb_ctx *ctx, ddb_write *write, const ddb_write_column *c, ddb_scalar_value **out)
{
    ddb_scalar_value *values = ddb_mem_arena_new(ctx, &write->arena, ddb_scalar_value, c->count);
    if (!values) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < c->count; i++) {
        dreamdb_status status = ddb_write_value(ctx, c, ddb_write_row(c, i), values + i);
        if (status < 0) {
            return status;
        }
    }
    *out = values;
    return DREAMDB_OK;
}

/* A batch of scalars: one pack of postings, a row for each distinct value. */
DDB_FN dreamdb_status ddb_write_scalars(ddb_ctx *ctx, ddb_write *write, const ddb_write_column *c, ddb_row **rows, size_t *count)
{
    ddb_scalar_value *values = NULL;
    ddb_buf pack;
    ddb_addr address;
    dreamdb_status status = ddb_write_values(ctx, write, c, &values);
    if (status < 0) {
        return status;
    }
    ddb_bytes_init(&pack, ctx);
    status = ddb_scalar_pack(ctx, &write->arena, c->field->schema->kind, values, c->anchors, c->count, &pack, rows, count);
    char *folder = status == DREAMDB_OK ? ddb_view_folder(ctx, &write->arena, c->field, "bucket") : NULL;
    status = status == DREAMDB_OK && !folder ? DREAMDB_ERR_MEMORY : status;
    if (status == DREAMDB_OK) {
        status = ddb_object_put(ctx, write->puts, folder, ddb_bytes_of(&pack), DDB_PUT_OUTBOARD, &address);
    }
    for (size_t i = 0; i < *count && status == DREAMDB_OK; i++) {
        (*rows)[i].addr = address;
    }
    ddb_bytes_free(&pack);
    return status;
}

/* Makes the field's new Track from its rows and binds it in the new Manifest. */
DDB_FN dreamdb_status ddb_write_advance(ddb_ctx *ctx, ddb_write *write, const ddb_view_field *field, ddb_row *rows, size_t count)
{
    ddb_track track;
    ddb_addr address;
    dreamdb_status status = ddb_track_insert(ctx, write->env, &write->arena, &field->track, rows, count, write->page_limit, write->puts, &track);
    if (status == DREAMDB_OK) {
        status = ddb_track_put(ctx, write->puts, &write->arena, &track, &address);
    }
    if (status == DREAMDB_OK) {
        status = ddb_manifest_advance(ctx, &write->arena, &write->manifest, field->schema->name, &address, track.t_min, track.t_max, write->env->identical);
    }
    return status;
}

DDB_FN dreamdb_status ddb_write_column_rows(ddb_ctx *ctx, ddb_write *write, const ddb_write_column *c, ddb_row **rows, size_t *count)
{
    switch (c->field->cls) {
    case DDB_TRACK_SPATIAL: return ddb_write_embedding(ctx, write, c, rows, count);
    case DDB_TRACK_ITEM:    return ddb_write_media(ctx, write, c, rows, count);
    case DDB_TRACK_BITMAP:
    case DDB_TRACK_BTREE:   return ddb_write_scalars(ctx, write, c, rows, count);
    case DDB_TRACK_CONSTANT:
    case DDB_TRACK_OTHER:
    default:
        return ddb_mem_fail(ctx, DREAMDB_ERR_UNSUPPORTED, "field `%s` cannot be appended to by this version", c->column->field);
    }
}

/* Finds the present rows of a column and checks what the schema asks of them. */
DDB_FN dreamdb_status ddb_write_present(ddb_ctx *ctx, ddb_write *write, const uint64_t *anchors, size_t count, ddb_write_column *c)
{
    const uint8_t *present = c->column->present;
    const ddb_field *schema = c->field->schema;
    c->anchors = anchors;
    c->count = count;
    if (!present) {
        return DREAMDB_OK;
    }
    size_t *rows = ddb_mem_arena_new(ctx, &write->arena, size_t, count);
    uint64_t *kept = ddb_mem_arena_new(ctx, &write->arena, uint64_t, count);
    size_t n = 0;
    if (!rows || !kept) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        if (present[i]) {
            rows[n] = i;
            kept[n++] = anchors[i];
        } else if (schema->required || (schema->kind == DREAMDB_EMBEDDING && n > 0)) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, schema->required ? "row %zu is missing required field `%s`"
                                : "row %zu has no `%s` and others of the batch have: an embedding is for all rows of a batch or for none", i, c->column->field);
        }
    }
    if (schema->kind == DREAMDB_EMBEDDING && n > 0 && n < count) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "row 0 has no `%s` and others of the batch have: an embedding is for all rows of a batch or for none", c->column->field);
    }
    c->rows = rows;
    c->anchors = kept;
    c->count = n;
    return DREAMDB_OK;
}

/* Resolves the columns: known fields, each once, required ones there. */
DDB_FN dreamdb_status ddb_write_columns(ddb_ctx *ctx, ddb_write *write, const dreamdb_append_desc *desc, const uint64_t *anchors, ddb_write_column *out)
{
    dreamdb_snapshot *view = write->view;
    for (size_t i = 0; i < desc->column_count; i++) {
        out[i].column = desc->columns + i;
        dreamdb_status status = ddb_view_field_named(ctx, view, desc->columns[i].field, &out[i].field);
        status = status == DREAMDB_ERR_NOT_FOUND ? DREAMDB_ERR_ARGUMENT : status;
        if (status < 0) {
            if (ctx->error) {
                ctx->error->status = status;
            }
            return status;
        }
        for (size_t j = 0; j < i; j++) {
            if (out[j].field == out[i].field) {
                return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "two columns name field `%s`", desc->columns[i].field);
            }
        }
        status = ddb_write_present(ctx, write, anchors, desc->count, out + i);
        if (status < 0) {
            return status;
        }
    }
    for (size_t f = 0; f < view->schema.count; f++) {
        bool named = !view->schema.fields[f].required;
        for (size_t i = 0; i < desc->column_count && !named; i++) {
            named = out[i].field == view->fields + f;
        }
        if (!named) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "the batch is missing required field `%.*s`",
                                (int)view->schema.fields[f].name.size, (const char *)view->schema.fields[f].name.data);
        }
    }
    return DREAMDB_OK;
}

/* Anchors of the batch: the caller's, checked, or drawn: now + 1000 a row, above everything the dataset has. */
DDB_FN dreamdb_status ddb_write_anchors(ddb_ctx *ctx, ddb_write *write, const dreamdb_append_desc *desc, const uint64_t **out)
{
    if (desc->anchors) {
        for (size_t i = 0; i < desc->count; i++) {
            if (desc->anchors[i] > DREAMDB_ANCHOR_MAX) {
                return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "row %zu: anchor 2^64-1 cannot be stored (the largest is 2^64-2)", i);
            }
        }
        *out = desc->anchors;
        return DREAMDB_OK;
    }
    uint64_t *drawn = ddb_mem_arena_new(ctx, &write->arena, uint64_t, desc->count);
    uint64_t first = ddb_object_now(write->env), span = 0;
    if (!drawn) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < write->manifest.active_count && !write->env->identical; i++) {
        const ddb_binding *b = write->manifest.active + i;
        if (!ddb_bytes_is(b->kind, "constant") && b->t_max > first) {
            first = b->t_max;
        }
    }
    if (!ddb_mem_mul_u64(desc->count, 1000, &span) || first > DREAMDB_ANCHOR_MAX - span) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "no anchors are left above %llu: give anchors of your own", (unsigned long long)first);
    }
    for (size_t i = 0; i < desc->count; i++) {
        drawn[i] = first + 1000 * (uint64_t)i;
    }
    *out = drawn;
    return DREAMDB_OK;
}

/* Refuses an anchor that is deleted: the format would hide its row for ever. */
DDB_FN dreamdb_status ddb_write_not_deleted(ddb_ctx *ctx, ddb_write *write, const uint64_t *anchors, size_t count)
{
    ddb_tomb *tomb = NULL;
    dreamdb_status status = ddb_view_tomb(ctx, write->view, &tomb);
    if (status < 0 || ddb_tomb_empty(tomb) || count == 0) {
        return status;
    }
    uint64_t *sorted = ddb_mem_arena_new(ctx, &write->arena, uint64_t, count);
    uint8_t *deleted = ddb_mem_arena_new(ctx, &write->arena, uint8_t, count);
    if (!sorted || !deleted) {
        return DREAMDB_ERR_MEMORY;
    }
    memcpy(sorted, anchors, count * sizeof *sorted);
    status = ddb_coll_sort_u64(ctx, sorted, count);
    count = ddb_coll_unique_u64(sorted, count);
    if (status == DREAMDB_OK) {
        status = ddb_tomb_test(ctx, tomb, sorted, count, deleted);
    }
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        if (deleted[i]) {
            status = ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "anchor %llu is deleted: a row under it would stay hidden for ever (allow_tombstoned appends it all the same)",
                                  (unsigned long long)sorted[i]);
        }
    }
    return status;
}

/* Everything of an append but the publishing; *changed tells whether any field got rows. */
DDB_FN dreamdb_status ddb_write_batch(ddb_ctx *ctx, ddb_write *write, const dreamdb_append_desc *desc, uint64_t *first, bool *changed)
{
    const uint64_t *anchors = NULL;
    ddb_write_column *columns = ddb_mem_arena_new(ctx, &write->arena, ddb_write_column, desc->column_count);
    ddb_view_field **fields = ddb_mem_arena_new(ctx, &write->arena, ddb_view_field *, desc->column_count);
    size_t n = 0;
    if (!columns || !fields) {
        return DREAMDB_ERR_MEMORY;
    }
    dreamdb_status status = ddb_write_anchors(ctx, write, desc, &anchors);
    if (status == DREAMDB_OK) {
        *first = anchors[0];
        status = ddb_write_columns(ctx, write, desc, anchors, columns);
    }
    for (size_t i = 0; i < desc->column_count && status == DREAMDB_OK; i++) {
        if (columns[i].count > 0) {
            fields[n++] = columns[i].field;
        }
    }
    if (status == DREAMDB_OK) {
        status = ddb_view_need(ctx, write->view, fields, n, DDB_VIEW_TRACK | DDB_VIEW_INDEX);
    }
    if (status == DREAMDB_OK && !desc->allow_tombstoned) {
        status = ddb_write_not_deleted(ctx, write, anchors, desc->count);
    }
    for (size_t i = 0; i < desc->column_count && status == DREAMDB_OK; i++) {
        ddb_row *rows = NULL;
        size_t count = 0;
        if (columns[i].count == 0) {
            continue;
        }
        status = ddb_write_column_rows(ctx, write, columns + i, &rows, &count);
        if (status == DREAMDB_OK) {
            status = ddb_write_advance(ctx, write, columns[i].field, rows, count);
        }
        if (status == DREAMDB_OK) {
            *changed = true;
            status = ddb_object_progress(ctx, write->env, "append", i + 1, desc->column_count, "fields");
        }
    }
    return status;
}

DDB_FN dreamdb_status ddb_write_append(ddb_ctx *ctx, struct dreamdb *db, const dreamdb_append_desc *desc, dreamdb_append_report *report)
{
    ddb_write write;
    dreamdb_append_report local;
    bool changed = false;
    memset(&local, 0, sizeof local);
    dreamdb_status status = ddb_write_open(ctx, db, true, &write);
    write.page_limit = desc->page_early ? DDB_WRITE_EARLY_MAX : DDB_WRITE_INLINE_MAX;
    if (status == DREAMDB_OK && desc->count > 0) {
        status = ddb_write_batch(ctx, &write, desc, &local.anchor_first, &changed);
    }
    if (status == DREAMDB_OK && changed) {
        status = ddb_write_publish(ctx, &write, desc->into_layer ? "append_embedding_layer" : "commit");
    } else if (status == DREAMDB_OK) {
        write.address = write.view->address;
    }
    if (status == DREAMDB_OK) {
        local.rows = desc->count;
        memcpy(local.manifest, write.address.bytes, sizeof local.manifest);
        local.objects = write.puts->objects;
        local.bytes = write.puts->bytes;
        if (report) {
            *report = local;
        }
    }
    ddb_write_close(ctx, &write);
    return status;
}

/* ---- Training bytes ---- */

/* Trains IVF centroids on a sample and encodes the index object.  k 0 = sqrt of the sample; keys of 24 bits unless the reference's width is asked
   for (flaws.md: no path changes when k grows). */
DDB_FN dreamdb_status ddb_write_train_bytes(ddb_ctx *ctx, ddb_env *env, const dreamdb_field *in, bool identical, const ddb_addr *parents, size_t parent_count, ddb_buf *out)
{
    size_t floats = 0;
    uint32_t k = in->k, bits = 1;
    if (!in->train || in->train_count == 0) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s`: no vectors to train on: give a sample", in->name ? in->name : "");
    }
    while (in->k == 0 && (uint64_t)(k + 1) * (k + 1) <= in->train_count && k < UINT32_MAX - 1) {
        k++;
    }
    if (k > in->train_count) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s`: %zu training rows are fewer than k = %u cells", in->name ? in->name : "", in->train_count, (unsigned)k);
    }
    while (bits < 32 && ((uint64_t)1 << bits) < k) {
        bits++;
    }
    uint32_t width = in->key_bits == DREAMDB_KEY_BITS_AUTO || (in->key_bits == 0 && identical) ? bits : in->key_bits > 0 ? in->key_bits : bits > 24 ? bits : 24;
    if (width < bits || width > 255) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s`: keys of %u bits cannot name %u cells", in->name ? in->name : "", (unsigned)width, (unsigned)k);
    }
    if (!ddb_mem_mul(k, in->dim, &floats)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "%u centroids of dim %u are too many", (unsigned)k, (unsigned)in->dim);
    }
    float *centroids = ddb_mem_new(ctx, float, floats);
    if (!centroids) {
        return DREAMDB_ERR_MEMORY;
    }
    dreamdb_status status = ddb_kmeans_train(ctx, env->pool, in->train, in->train_count, in->dim, k, in->iterations > 0 ? in->iterations : 10, in->seed, NULL, NULL, centroids);
    if (status == DREAMDB_OK) {
        ddb_index_encode_ivf(out, width, in->dim, k, centroids, parents, parent_count);
        status = ddb_bytes_status(out);
    }
    ddb_mem_drop(ctx, centroids, float, floats);
    return status;
}

/* ---- Create ---- */

/* Index of an embedding that is being made: an object that is there, a trained one, or LSH planes from BLAKE3("REF/FIELD") (spatial.md 1). */
DDB_FN dreamdb_status ddb_write_index_bytes(ddb_ctx *ctx, ddb_write *write, const dreamdb_field *in, const ddb_field *field, ddb_buf *out)
{
    dreamdb_status status = DREAMDB_OK;
    if (ddb_bytes_is(field->algorithm, DDB_SCHEMA_IVF)) {
        return ddb_write_train_bytes(ctx, write->env, in, write->env->identical, NULL, 0, out);
    }
    ddb_buf text;
    uint8_t seed[32];
    ddb_bytes_init(&text, ctx);
    ddb_bytes_put(&text, write->db->ref, strlen(write->db->ref));
    ddb_bytes_put(&text, "/", 1);
    ddb_bytes_put(&text, field->name.data, field->name.size);
    status = ddb_bytes_status(&text);
    if (status == DREAMDB_OK) {
        ddb_hash_one(ctx->cpu, text.data, text.size, seed);
        if (ddb_schema_is_l2(field)) {
            ddb_index_encode_lsh_l2(out, (uint32_t)field->dim, in->width > 0 ? in->width : 1.0, seed);
        } else {
            ddb_index_encode_lsh(out, field->has_bits ? (uint32_t)field->lsh_bits : 20u, (uint32_t)field->dim, seed);
        }
        status = ddb_bytes_status(out);
    }
    ddb_bytes_free(&text);
    return status;
}

/* Reads an index that the caller names, to see that it fits the field. */
DDB_FN dreamdb_status ddb_write_index_check(ddb_ctx *ctx, ddb_write *write, const ddb_field *field)
{
    ddb_object object;
    ddb_index *index = NULL;
    char *path = ddb_addr_path(ctx, &write->arena, "spatial-index", &field->index);
    dreamdb_status status = path ? ddb_object_get(ctx, write->env, path, &field->index, DDB_OBJECT_METADATA, &object) : DREAMDB_ERR_MEMORY;
    if (status < 0) {
        return status;
    }
    status = ddb_index_decode(ctx, ddb_bytes_slice(object.data, object.size), path, &index);
    if (status == DREAMDB_OK && (ddb_index_dim(index) != field->dim || !ddb_bytes_equal(ddb_index_algorithm(index), field->algorithm))) {
        status = ddb_mem_fail_at(ctx, DREAMDB_ERR_ARGUMENT, path, "index has algorithm %.*s and dim %u; field `%.*s` wants %.*s and %u",
                                 (int)ddb_index_algorithm(index).size, (const char *)ddb_index_algorithm(index).data, (unsigned)ddb_index_dim(index),
                                 (int)field->name.size, (const char *)field->name.data, (int)field->algorithm.size, (const char *)field->algorithm.data, (unsigned)field->dim);
    }
    ddb_index_free(ctx, index);
    ddb_object_release(write->env, &object);
    return status;
}

/* The registry entry of an embedding: algorithm and index; what else stands there stays. */
DDB_FN dreamdb_status ddb_write_embedding_entry(ddb_ctx *ctx, ddb_write *write, const ddb_field *field, const ddb_addr *index)
{
    ddb_registry_embedding entry;
    memset(&entry, 0, sizeof entry);
    entry.algorithm = field->algorithm;
    entry.index = *index;
    entry.index_count = 1;
    return ddb_manifest_set_embedding(ctx, &write->arena, &write->manifest, field->modality, &entry);
}

/* What a new field needs besides its Track: index objects and its registry entry. */
DDB_FN dreamdb_status ddb_write_field_objects(ddb_ctx *ctx, ddb_write *write, const dreamdb_field *in, ddb_field *field)
{
    ddb_buf bytes;
    ddb_addr address;
    dreamdb_status status = DREAMDB_OK;
    if (field->kind != DREAMDB_EMBEDDING && !ddb_schema_is_scalar(field->kind)) {
        return DREAMDB_OK;
    }
    if (field->kind == DREAMDB_EMBEDDING && in->index_address) {
        status = ddb_write_index_check(ctx, write, field);
        return status < 0 ? status : ddb_write_embedding_entry(ctx, write, field, &field->index);
    }
    ddb_bytes_init(&bytes, ctx);
    if (field->kind == DREAMDB_EMBEDDING) {
        status = ddb_write_index_bytes(ctx, write, in, field, &bytes);
    } else {
        ddb_schema_scalar_index(&bytes, field);
        status = ddb_bytes_status(&bytes);
    }
    if (status == DREAMDB_OK) {
        status = ddb_object_put(ctx, write->puts, field->kind == DREAMDB_EMBEDDING ? "spatial-index" : "scalar-index", ddb_bytes_of(&bytes), DDB_WRITE_CACHE, &address);
    }
    ddb_bytes_free(&bytes);
    if (status < 0) {
        return status;
    }
    if (field->kind != DREAMDB_EMBEDDING) {
        return ddb_manifest_set_scalar(ctx, &write->arena, &write->manifest, field->modality, &address);
    }
    field->index = field->has_index ? address : field->index;
    return ddb_write_embedding_entry(ctx, write, field, &address);
}

/* Binds a field to a Track that is put here: empty (rows NULL), or a constant's. */
DDB_FN dreamdb_status ddb_write_bind(ddb_ctx *ctx, ddb_write *write, const ddb_field *field, ddb_track *track, const ddb_binding *parent)
{
    ddb_binding binding;
    memset(&binding, 0, sizeof binding);
    dreamdb_status status = ddb_track_put(ctx, write->puts, &write->arena, track, &binding.address);
    if (status < 0) {
        return status;
    }
    binding.kind = ddb_bytes_text(ddb_schema_binding_kind(field));
    binding.field = field->name;
    binding.modality = track->modality;
    binding.timeline = track->timeline;
    binding.t_min = track->t_min;
    binding.t_max = track->t_max;
    return ddb_manifest_bind(ctx, &write->arena, &write->manifest, &binding, parent);
}

DDB_FN void ddb_write_track_init(ddb_track *track, const ddb_field *field, const ddb_addr *timeline)
{
    memset(track, 0, sizeof *track);
    track->cls = ddb_track_class_of(field->kind);
    track->form = DDB_TRACK_INLINE;
    track->modality = field->modality;
    track->timeline = *timeline;
    track->t_min = 0;
    track->t_max = 1;                      /* the placeholder of a Track without rows (core.md 5) */
}

DDB_FN dreamdb_status ddb_write_genesis(ddb_ctx *ctx, ddb_write *write, const uint8_t *nonce, ddb_addr *timeline)
{
    ddb_buf bytes;
    uint8_t drawn[16];
    dreamdb_status status = nonce ? DREAMDB_OK : ddb_object_random(ctx, write->env, drawn, sizeof drawn);
    ddb_bytes_init(&bytes, ctx);
    ddb_cbor_map(&bytes, 1);
    ddb_cbor_str(&bytes, "nonce");
    ddb_cbor_bytes(&bytes, nonce ? nonce : drawn, sizeof drawn);
    status = status < 0 ? status : ddb_bytes_status(&bytes);
    if (status == DREAMDB_OK) {
        status = ddb_object_put(ctx, write->puts, "genesis", ddb_bytes_of(&bytes), 0, timeline);
    }
    ddb_bytes_free(&bytes);
    return status;
}

/* The schema of the fields that are no constants, and which caller's field each came from. */
DDB_FN dreamdb_status ddb_write_create_schema(ddb_ctx *ctx, ddb_write *write, const dreamdb_create_desc *desc, ddb_schema *schema)
{
    memset(schema, 0, sizeof *schema);
    schema->version = 1;
    for (int pass = 0; pass < 2; pass++) {          /* first all others, then embeddings: their versions follow the order of names */
        for (size_t i = 0; i < desc->field_count; i++) {
            ddb_field field;
            ddb_schema next;
            dreamdb_status status = ddb_schema_from_public(ctx, &write->arena, desc->fields + i, &field);
            if (status == DREAMDB_OK && field.kind != DREAMDB_CONSTANT && (field.kind == DREAMDB_EMBEDDING) == (pass == 1)) {
                status = ddb_schema_add(ctx, &write->arena, schema, &field, &next);
                *schema = status == DREAMDB_OK ? next : *schema;
            }
            if (status < 0) {
                return status;
            }
        }
    }
    ddb_schema family = *schema;
    family.count = 0;
    for (size_t i = 0; i < schema->count; i++) {    /* names in order: the plain modality goes to the first of a family */
        if (schema->fields[i].kind == DREAMDB_EMBEDDING) {
            dreamdb_status status = ddb_schema_family(ctx, &write->arena, schema->fields + i);
            status = status < 0 ? status : ddb_schema_embedding_modality(ctx, &write->arena, &family, schema->fields + i);
            if (status < 0) {
                return status;
            }
        }
        family.count = i + 1;
    }
    return DREAMDB_OK;
}

DDB_FN const dreamdb_field *ddb_write_source(const dreamdb_create_desc *desc, ddb_slice name)
{
    for (size_t i = 0; i < desc->field_count; i++) {
        if (ddb_bytes_is(name, desc->fields[i].name)) {
            return desc->fields + i;
        }
    }
    return NULL;
}

/* Everything of create but the constants. */
DDB_FN dreamdb_status ddb_write_create_base(ddb_ctx *ctx, ddb_write *write, const dreamdb_create_desc *desc)
{
    ddb_schema schema;
    ddb_addr *timeline = ddb_mem_arena_new(ctx, &write->arena, ddb_addr, 1);
    if (!timeline) {
        return DREAMDB_ERR_MEMORY;
    }
    dreamdb_status status = ddb_write_create_schema(ctx, write, desc, &schema);
    if (status == DREAMDB_OK) {
        status = ddb_write_genesis(ctx, write, desc->nonce, timeline);
    }
    write->manifest.timelines = timeline;
    write->manifest.timeline_count = 1;
    for (size_t i = 0; i < schema.count && status == DREAMDB_OK; i++) {
        ddb_track track;
        status = ddb_write_field_objects(ctx, write, ddb_write_source(desc, schema.fields[i].name), schema.fields + i);
        ddb_write_track_init(&track, schema.fields + i, timeline);
        if (status == DREAMDB_OK) {
            status = ddb_write_bind(ctx, write, schema.fields + i, &track, NULL);
        }
    }
    if (status == DREAMDB_OK) {
        status = ddb_manifest_set_schema(ctx, &write->arena, &write->manifest, &schema);
    }
    return status < 0 ? status : ddb_write_publish(ctx, write, "create");
}

/* ---- Fields added later ---- */

DDB_FN dreamdb_status ddb_write_constant(ddb_ctx *ctx, ddb_write *write, const dreamdb_field *in, const ddb_field *field, ddb_track *track)
{
    char *folder = ddb_addr_folder(ctx, &write->arena, &track->timeline, field->modality, NULL);
    track->t_max = UINT64_MAX;
    return folder ? ddb_object_put(ctx, write->puts, folder, ddb_bytes_slice(in->value, in->value_size), 0, &track->constant) : DREAMDB_ERR_MEMORY;
}

/* The first samples of a scalar layer: one posting object a value (evolution.md 1.4). */
DDB_FN dreamdb_status ddb_write_scalar_layer(ddb_ctx *ctx, ddb_write *write, const ddb_write_column *c, ddb_row **rows, size_t *count)
{
    ddb_scalar_value *values = NULL;
    ddb_buf pack;
    dreamdb_status status = ddb_write_values(ctx, write, c, &values);
    char *folder = status == DREAMDB_OK ? ddb_view_folder(ctx, &write->arena, c->field, "bucket") : NULL;
    if (!folder) {
        return status < 0 ? status : DREAMDB_ERR_MEMORY;
    }
    ddb_bytes_init(&pack, ctx);
    status = ddb_scalar_pack(ctx, &write->arena, c->field->schema->kind, values, c->anchors, c->count, &pack, rows, count);
    for (size_t i = 0; i < *count && status == DREAMDB_OK; i++) {
        ddb_row *row = *rows + i;
        status = ddb_object_put(ctx, write->puts, folder, ddb_bytes_slice(pack.data + row->offset, (size_t)row->size), DDB_PUT_OUTBOARD, &row->addr);
        row->flags |= DDB_ROW_WHOLE;
        row->offset = 0;
    }
    ddb_bytes_free(&pack);
    return status;
}

/* Builds the Track of a layer from its first samples. */
DDB_FN dreamdb_status ddb_write_layer_track(ddb_ctx *ctx, ddb_write *write, const dreamdb_layer *layer, const ddb_field *field, ddb_track *track)
{
    ddb_view_field made;
    ddb_binding binding;
    ddb_write_column column;
    ddb_row *rows = NULL;
    size_t count = 0;
    memset(&made, 0, sizeof made);
    memset(&binding, 0, sizeof binding);
    memset(&column, 0, sizeof column);
    binding.modality = field->modality;
    binding.timeline = track->timeline;
    made.schema = field;
    made.binding = &binding;
    made.cls = track->cls;
    column.column = layer->column;
    column.field = &made;
    if (!layer->anchors) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "a layer's samples need anchors: those of the rows they belong to");
    }
    dreamdb_status status = ddb_write_present(ctx, write, layer->anchors, layer->count, &column);
    for (size_t i = 0; i < layer->count && status == DREAMDB_OK; i++) {
        status = layer->anchors[i] <= DREAMDB_ANCHOR_MAX ? DREAMDB_OK : ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "row %zu: anchor 2^64-1 cannot be stored", i);
    }
    if (status < 0 || column.count == 0) {
        return status;
    }
    status = track->cls == DDB_TRACK_ITEM ? ddb_write_media(ctx, write, &column, &rows, &count) : ddb_write_scalar_layer(ctx, write, &column, &rows, &count);
    if (status == DREAMDB_OK) {                 /* image layers never page (evolution.md 1.5) */
        uint64_t limit = track->cls == DDB_TRACK_ITEM ? UINT64_MAX : write->page_limit;
        status = ddb_track_build(ctx, write->env, &write->arena, track, rows, count, limit, write->puts);
    }
    return status;
}

DDB_FN dreamdb_status ddb_write_parent(ddb_ctx *ctx, const ddb_write *write, const dreamdb_layer *layer, const ddb_binding **parent)
{
    *parent = NULL;
    if (layer) {
        *parent = layer->parent ? ddb_manifest_active(&write->manifest, ddb_bytes_text(layer->parent)) : NULL;
        if (!*parent) {
            return ddb_mem_fail(ctx, DREAMDB_ERR_NOT_FOUND, "parent field `%s` is not in the schema: a layer needs a field that exists", layer->parent ? layer->parent : "(null)");
        }
    }
    return DREAMDB_OK;
}

DDB_FN const char *ddb_write_add_operation(const ddb_field *field, const dreamdb_layer *layer)
{
    if (field->kind == DREAMDB_CONSTANT) {
        return "add_constant";
    }
    return !layer ? "add_field" : ddb_schema_is_media(field->kind) ? "add_image_layer" : "add_scalar_layer";
}

/* One field more: its own Manifest. */
DDB_FN dreamdb_status ddb_write_add_field_open(ddb_ctx *ctx, ddb_write *write, const dreamdb_field *in, const dreamdb_layer *layer)
{
    ddb_field field;
    ddb_schema schema;
    ddb_track track;
    const ddb_binding *parent = NULL;
    if (in->kind == DREAMDB_EMBEDDING) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_UNSUPPORTED, "embedding fields can be added to a dataset only as compressed layers, which are not in this version: name them at create");
    }
    dreamdb_status status = ddb_schema_from_public_as(ctx, &write->arena, in, "h264", &field);
    if (status == DREAMDB_OK && layer && (field.kind == DREAMDB_CONSTANT || (ddb_schema_is_media(field.kind) && field.kind != DREAMDB_IMAGE))) {
        status = ddb_mem_fail(ctx, DREAMDB_ERR_UNSUPPORTED, "field `%s`: layers are of images and scalars", in->name);
    }
    if (status == DREAMDB_OK) {
        status = ddb_schema_add(ctx, &write->arena, &write->view->schema, &field, &schema);
    }
    if (status == DREAMDB_OK) {
        status = ddb_write_parent(ctx, write, layer, &parent);
    }
    if (status < 0) {
        return status;
    }
    ddb_write_track_init(&track, &field, &write->manifest.timelines[0]);
    if (field.kind == DREAMDB_CONSTANT) {
        status = ddb_write_constant(ctx, write, in, &field, &track);
    } else if (layer && layer->column) {
        status = ddb_write_layer_track(ctx, write, layer, &field, &track);
    }
    if (status == DREAMDB_OK) {
        status = ddb_write_field_objects(ctx, write, in, &field);
    }
    if (status == DREAMDB_OK) {
        status = ddb_write_bind(ctx, write, &field, &track, parent);
    }
    if (status == DREAMDB_OK) {
        status = ddb_manifest_set_schema(ctx, &write->arena, &write->manifest, &schema);
    }
    return status < 0 ? status : ddb_write_publish(ctx, write, ddb_write_add_operation(&field, layer));
}

DDB_FN dreamdb_status ddb_write_add_field(ddb_ctx *ctx, struct dreamdb *db, const dreamdb_field *in, const dreamdb_layer *layer)
{
    ddb_write write;
    dreamdb_status status = ddb_write_open(ctx, db, true, &write);
    if (status == DREAMDB_OK) {
        status = ddb_write_add_field_open(ctx, &write, in, layer);
    }
    ddb_write_close(ctx, &write);
    return status;
}

/* Creates the dataset, then its constants, each a Manifest of its own as the reference makes them. */
DDB_FN dreamdb_status ddb_write_create(ddb_ctx *ctx, struct dreamdb *db, const dreamdb_create_desc *desc)
{
    ddb_write write;
    ddb_addr there;
    char tag[DREAMDB_TAG_SIZE];
    dreamdb_error quiet;
    ddb_ctx look = ddb_mem_fork(ctx, &quiet);
    dreamdb_status status = ddb_ref_read(&look, db->env, db->ref, &there, tag);     /* before any training */
    if (status != DREAMDB_ERR_NOT_FOUND) {
        return status < 0 ? ddb_mem_adopt(ctx, &quiet) : ddb_mem_fail_at(ctx, DREAMDB_ERR_EXISTS, db->ref, "ref `%s` exists already: open it, or choose another name", db->ref);
    }
    status = ddb_write_open(ctx, db, false, &write);
    if (status == DREAMDB_OK) {
        status = ddb_write_create_base(ctx, &write, desc);
    }
    ddb_write_close(ctx, &write);
    for (size_t i = 0; i < desc->field_count && status == DREAMDB_OK; i++) {
        if (desc->fields[i].kind == DREAMDB_CONSTANT) {
            status = ddb_write_add_field(ctx, db, desc->fields + i, NULL);
        }
    }
    return status;
}

DDB_FN dreamdb_status ddb_write_meta(ddb_ctx *ctx, struct dreamdb *db, const char *key, const char *value)
{
    ddb_write write;
    dreamdb_status status = ddb_write_open(ctx, db, true, &write);
    if (status == DREAMDB_OK) {
        status = ddb_manifest_set_meta(ctx, &write.arena, &write.manifest, ddb_bytes_text(key), ddb_bytes_text(value));
    }
    if (status == DREAMDB_OK) {
        status = ddb_write_publish(ctx, &write, "set_meta");
    }
    ddb_write_close(ctx, &write);
    return status;
}

/* ---- Train: the simple rebuild ---- */

/* All winning live records of a field, by anchor. */
typedef struct ddb_write_records { uint64_t *anchors; float *vectors; size_t count, cap; ddb_map places; uint32_t dim; } ddb_write_records;

DDB_FN void ddb_write_records_free(ddb_ctx *ctx, ddb_write_records *r)
{
    ddb_mem_drop(ctx, r->anchors, uint64_t, r->cap);
    ddb_mem_drop(ctx, r->vectors, float, r->cap * r->dim);
    ddb_coll_map_free(ctx, &r->places);
}

DDB_FN dreamdb_status ddb_write_records_grow(ddb_ctx *ctx, ddb_write_records *r)
{
    size_t cap = r->cap > 0 ? r->cap * 2 : 1024, floats = 0;
    if (!ddb_mem_mul(cap, (size_t)r->dim * sizeof(float), &floats)) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "%zu vectors are too many to train in memory", cap);
    }
    uint64_t *anchors = ddb_mem_new(ctx, uint64_t, cap);
    float *vectors = ddb_mem_new(ctx, float, cap * r->dim);
    if (!anchors || !vectors) {
        ddb_mem_drop(ctx, anchors, uint64_t, cap);
        ddb_mem_drop(ctx, vectors, float, cap * r->dim);
        return DREAMDB_ERR_MEMORY;
    }
    if (r->count > 0) {
        memcpy(anchors, r->anchors, r->count * sizeof *anchors);
        memcpy(vectors, r->vectors, r->count * r->dim * sizeof *vectors);
    }
    ddb_mem_drop(ctx, r->anchors, uint64_t, r->cap);
    ddb_mem_drop(ctx, r->vectors, float, r->cap * r->dim);
    r->anchors = anchors;
    r->vectors = vectors;
    r->cap = cap;
    return DREAMDB_OK;
}

/* Adds the records of one bucket; a later record of an anchor takes the place of the earlier. */
DDB_FN dreamdb_status ddb_write_records_take(ddb_ctx *ctx, ddb_write_records *r, const ddb_bucket *bucket)
{
    for (size_t i = 0; i < bucket->count; i++) {
        uint64_t anchor = ddb_bucket_anchor(bucket, i), *place = NULL;
        bool fresh = false;
        dreamdb_status status = r->count < r->cap ? DREAMDB_OK : ddb_write_records_grow(ctx, r);
        status = status < 0 ? status : ddb_coll_map_put(ctx, &r->places, &anchor, r->count, &place, &fresh);
        if (status < 0) {
            return status;
        }
        r->anchors[*place] = anchor;
        ddb_bucket_vector(bucket, i, r->dim, r->vectors + *place * r->dim);
        r->count += fresh;
    }
    return DREAMDB_OK;
}

/* Reads every bucket of the field, some at a time. */
DDB_FN dreamdb_status ddb_write_records_read(ddb_ctx *ctx, ddb_write *write, ddb_view_field *field, ddb_write_records *r)
{
    ddb_track_cursor *cursor = NULL;
    uint64_t seen = 0;
    bool ended = false;
    dreamdb_status status = ddb_track_open(ctx, write->env, &field->track, NULL, &cursor);
    while (status == DREAMDB_OK && !ended) {
        ddb_arena arena = {NULL, 0};
        enum { BATCH = 256 };
        ddb_object_want *wants = ddb_mem_arena_new(ctx, &arena, ddb_object_want, BATCH);
        char *folder = wants ? ddb_view_folder(ctx, &arena, field, NULL) : NULL;
        size_t n = 0, bytes = 0;
        status = folder ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
        while (status == DREAMDB_OK && n < BATCH && bytes < (16u << 20) && !ended) {
            const ddb_row *row = NULL;
            status = ddb_track_next(ctx, cursor, &row);
            ended = status == DREAMDB_DONE;
            if (status == DREAMDB_OK) {
                wants[n].path = ddb_bucket_path(ctx, &arena, folder, row);
                wants[n].addr = row->addr;
                wants[n].size = row->size;
                wants[n].flags = DDB_OBJECT_NO_CACHE;
                bytes += (size_t)row->size;
                status = wants[n++].path ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
            }
            status = ended ? DREAMDB_OK : status;
        }
        status = status == DREAMDB_OK && n > 0 ? ddb_object_get_many(ctx, write->env, wants, n) : status;
        for (size_t i = 0; i < n; i++) {
            ddb_bucket bucket;
            if (status == DREAMDB_OK) {
                status = ddb_bucket_open(ctx, ddb_bytes_slice(wants[i].object.data, wants[i].object.size), wants[i].path, r->dim, field->binding->modality, &bucket);
                status = status < 0 ? status : ddb_write_records_take(ctx, r, &bucket);
            }
            if (wants[i].object.data) {
                ddb_object_release(write->env, &wants[i].object);
            }
        }
        seen += n;
        status = status < 0 ? status : ddb_object_progress(ctx, write->env, "train: read", seen, field->track.total, "buckets");
        ddb_mem_arena_free(ctx, &arena);
    }
    if (cursor) {
        ddb_track_close(ctx, cursor);
    }
    return status;
}

typedef struct ddb_write_by_anchor { uint64_t anchor; size_t place; } ddb_write_by_anchor;

DDB_FN int ddb_write_by_anchor_compare(const void *a, const void *b, void *user)
{
    const ddb_write_by_anchor *x = (const ddb_write_by_anchor *)a, *y = (const ddb_write_by_anchor *)b;
    (void)user;
    return x->anchor < y->anchor ? -1 : x->anchor > y->anchor;
}

/* Orders the records by anchor and drops the deleted ones. */
DDB_FN dreamdb_status ddb_write_records_settle(ddb_ctx *ctx, ddb_write *write, ddb_write_records *r)
{
    ddb_tomb *tomb = NULL;
    ddb_write_by_anchor *order = ddb_mem_new(ctx, ddb_write_by_anchor, r->count);
    uint64_t *anchors = ddb_mem_new(ctx, uint64_t, r->cap);
    float *vectors = ddb_mem_new(ctx, float, r->cap * r->dim);
    uint8_t *deleted = ddb_mem_new(ctx, uint8_t, r->count);
    dreamdb_status status = order && anchors && vectors && deleted ? ddb_view_tomb(ctx, write->view, &tomb) : DREAMDB_ERR_MEMORY;
    for (size_t i = 0; i < r->count && status == DREAMDB_OK; i++) {
        order[i].anchor = r->anchors[i];
        order[i].place = i;
    }
    status = status < 0 ? status : ddb_coll_sort(ctx, order, r->count, sizeof *order, ddb_write_by_anchor_compare, NULL);
    for (size_t i = 0; i < r->count && status == DREAMDB_OK; i++) {
        anchors[i] = order[i].anchor;
    }
    if (status == DREAMDB_OK && !ddb_tomb_empty(tomb)) {
        status = ddb_tomb_test(ctx, tomb, anchors, r->count, deleted);
    }
    size_t out = 0;
    for (size_t i = 0; i < r->count && status == DREAMDB_OK; i++) {
        if (!deleted[i]) {
            anchors[out] = order[i].anchor;
            memcpy(vectors + out++ * r->dim, r->vectors + order[i].place * r->dim, r->dim * sizeof *vectors);
        }
    }
    ddb_mem_drop(ctx, order, ddb_write_by_anchor, r->count);
    ddb_mem_drop(ctx, deleted, uint8_t, r->count);
    if (status < 0) {
        ddb_mem_drop(ctx, anchors, uint64_t, r->cap);
        ddb_mem_drop(ctx, vectors, float, r->cap * r->dim);
        return status;
    }
    ddb_mem_drop(ctx, r->anchors, uint64_t, r->cap);
    ddb_mem_drop(ctx, r->vectors, float, r->cap * r->dim);
    r->anchors = anchors;
    r->vectors = vectors;
    r->count = out;
    return DREAMDB_OK;
}

/* Trains, and puts the new index, its address and its decoded form. */
DDB_FN dreamdb_status ddb_write_train_index(ddb_ctx *ctx, ddb_write *write, const dreamdb_train_desc *desc, const ddb_view_field *field,
                                            const ddb_write_records *r, ddb_addr *address, ddb_index **index)
{
    dreamdb_field in;
    ddb_buf bytes;
    size_t parent_count = 1, older_count = 0;
    ddb_addr parents[100];                 /* the format's most (flaws.md, lineage table) */
    memset(&in, 0, sizeof in);
    in.name = desc->field;
    in.dim = r->dim;
    in.train = desc->sample ? desc->sample : r->vectors;
    in.train_count = desc->sample ? desc->sample_count : r->count;
    in.k = desc->k;
    in.iterations = desc->iterations;
    in.seed = desc->seed;
    in.key_bits = desc->key_bits;
    const ddb_addr *older = ddb_index_parents(field->index, &older_count);
    parents[0] = field->registry.index;
    for (size_t i = 0; i < older_count && parent_count < 100; i++) {
        parents[parent_count++] = older[i];
    }
    ddb_bytes_init(&bytes, ctx);
    dreamdb_status status = ddb_write_train_bytes(ctx, write->env, &in, write->env->identical, parents, parent_count, &bytes);
    if (status == DREAMDB_OK) {
        status = ddb_object_put(ctx, write->puts, "spatial-index", ddb_bytes_of(&bytes), DDB_WRITE_CACHE, address);
    }
    if (status == DREAMDB_OK) {
        status = ddb_index_decode(ctx, ddb_bytes_of(&bytes), "the index just trained", index);
    }
    ddb_bytes_free(&bytes);
    return status;
}

/* Schema and registry of the field point to the new index. */
DDB_FN dreamdb_status ddb_write_train_point(ddb_ctx *ctx, ddb_write *write, const ddb_view_field *field, const ddb_addr *address)
{
    ddb_schema schema = write->view->schema;
    size_t at = (size_t)(field->schema - schema.fields);
    schema.fields = ddb_mem_arena_new(ctx, &write->arena, ddb_field, schema.count);
    if (!schema.fields) {
        return DREAMDB_ERR_MEMORY;
    }
    memcpy(schema.fields, write->view->schema.fields, schema.count * sizeof *schema.fields);
    schema.raw = ddb_bytes_slice(NULL, 0);
    ddb_field *changed = schema.fields + at;
    if (!ddb_bytes_is(changed->algorithm, DDB_SCHEMA_IVF)) {       /* it was LSH: the map is written anew from what is known */
        changed->raw = ddb_bytes_slice(NULL, 0);
        changed->algorithm = ddb_bytes_text(DDB_SCHEMA_IVF);
        changed->has_bits = false;
    }
    dreamdb_status status = ddb_schema_set_index(ctx, &write->arena, changed, address);
    if (status == DREAMDB_OK) {
        status = ddb_manifest_set_schema(ctx, &write->arena, &write->manifest, &schema);
    }
    return status < 0 ? status : ddb_write_embedding_entry(ctx, write, changed, address);
}

/* Places the records under the new index and binds the new Track. */
DDB_FN dreamdb_status ddb_write_train_place(ddb_ctx *ctx, ddb_write *write, const ddb_view_field *field, const ddb_write_records *r,
                                            const ddb_addr *address, const ddb_index *index)
{
    ddb_write_vectors v;
    ddb_track track;
    ddb_addr put;
    memset(&v, 0, sizeof v);
    v.index = index;
    v.index_addr = *address;
    v.modality = field->binding->modality;
    v.timeline = field->binding->timeline;
    v.dim = r->dim;
    v.cap = field->schema->has_bucket_max ? field->schema->bucket_max_bytes : DDB_WRITE_BUCKET_MAX;
    v.rerank = field->schema->rerank;
    v.vectors = r->vectors;
    v.stride = r->dim;
    v.count = r->count;
    v.anchors = r->anchors;
    ddb_write_track_init(&track, field->schema, &field->binding->timeline);
    dreamdb_status status = r->count > 0 ? ddb_write_place(ctx, write, &v) : DREAMDB_OK;
    if (status == DREAMDB_OK && r->count > 0) {
        status = ddb_track_build(ctx, write->env, &write->arena, &track, v.rows, v.row_count, write->page_limit, write->puts);
    }
    if (status == DREAMDB_OK) {
        status = ddb_track_put(ctx, write->puts, &write->arena, &track, &put);
    }
    if (status == DREAMDB_OK && !ddb_addr_equal(&put, &field->binding->address)) {
        status = ddb_manifest_advance(ctx, &write->arena, &write->manifest, field->schema->name, &put, track.t_min, track.t_max, write->env->identical);
    }
    return status;
}

DDB_FN dreamdb_status ddb_write_train_open(ddb_ctx *ctx, ddb_write *write, const dreamdb_train_desc *desc, ddb_write_records *r)
{
    ddb_view_field *field = NULL;
    ddb_addr address;
    ddb_index *index = NULL;
    dreamdb_status status = ddb_view_field_named(ctx, write->view, desc->field, &field);
    if (status == DREAMDB_OK && field->cls != DDB_TRACK_SPATIAL) {
        status = ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s` is no embedding: there is nothing to train", desc->field);
    }
    if (status == DREAMDB_OK && (field->registry.has_compressor || ddb_schema_is_l2(field->schema))) {
        status = ddb_mem_fail(ctx, DREAMDB_ERR_UNSUPPORTED, "field `%s` %s: this version trains raw cosine fields", desc->field,
                              field->registry.has_compressor ? "is compressed" : "has the L2 metric, and IVF is cosine");
    }
    if (status == DREAMDB_OK) {
        status = ddb_view_need(ctx, write->view, &field, 1, DDB_VIEW_TRACK | DDB_VIEW_INDEX);
    }
    if (status < 0) {
        return status;
    }
    r->dim = (uint32_t)field->schema->dim;
    status = ddb_write_records_read(ctx, write, field, r);
    if (status == DREAMDB_OK) {
        status = ddb_write_records_settle(ctx, write, r);
    }
    if (status == DREAMDB_OK) {
        status = ddb_write_train_index(ctx, write, desc, field, r, &address, &index);
    }
    if (status == DREAMDB_OK) {
        status = ddb_write_train_place(ctx, write, field, r, &address, index);
    }
    ddb_index_free(ctx, index);
    if (status == DREAMDB_OK) {
        status = ddb_write_train_point(ctx, write, field, &address);
    }
    return status < 0 ? status : ddb_write_publish(ctx, write, "train");
}

DDB_FN dreamdb_status ddb_write_train(ddb_ctx *ctx, struct dreamdb *db, const dreamdb_train_desc *desc)
{
    ddb_write write;
    ddb_write_records records;
    memset(&records, 0, sizeof records);
    records.places.key_size = sizeof(uint64_t);
    dreamdb_status status = ddb_write_open(ctx, db, true, &write);
    if (status == DREAMDB_OK) {
        status = ddb_write_train_open(ctx, &write, desc, &records);
    }
    ddb_write_records_free(ctx, &records);
    ddb_write_close(ctx, &write);
    return status;
}

/* Trains and puts an index object alone. */
DDB_FN dreamdb_status ddb_write_index_only(ddb_ctx *ctx, ddb_env *env, const dreamdb_field *in, bool identical, ddb_addr *out)
{
    ddb_puts *puts = NULL;
    ddb_buf bytes;
    ddb_bytes_init(&bytes, ctx);
    dreamdb_status status = ddb_write_train_bytes(ctx, env, in, identical, NULL, 0, &bytes);
    if (status == DREAMDB_OK) {
        status = ddb_object_puts_open(ctx, env, &puts);
    }
    if (status == DREAMDB_OK) {
        status = ddb_object_put(ctx, puts, "spatial-index", ddb_bytes_of(&bytes), 0, out);
    }
    if (status == DREAMDB_OK) {
        status = ddb_object_flush(ctx, puts);
    }
    if (status == DREAMDB_OK) {
        status = ddb_object_sync(ctx, env);
    }
    if (puts) {
        ddb_object_puts_close(ctx, puts);
    }
    ddb_bytes_free(&bytes);
    return status;
}

/* ==== ROOM 31 scan | prefix ddb_scan_ | uses port mem bytes coll addr object schema page track manifest tomb bucket item scalar view ==== */
/* Rows out of Tracks: a source that walks one field in Track order, columns for a list of anchors, predicates, counts, cursors.
   Invariant: an anchor with several rows gives the last in Track order; deleted anchors never appear.
   Memory: passes over anchors, or over classes of anchors, under db->pass_bytes; never the whole dataset. */

#define DDB_SCAN_BATCH_BYTES (8u << 20)      /* buckets fetched at once: enough for both cores, small beside the cache */
#define DDB_SCAN_BATCH_ROWS  4096u

/* Walks the Track rows of one field; a batch of rows is fetched at a time. */
typedef struct ddb_scan_source {
    dreamdb_snapshot *view;
    ddb_view_field   *field;
    ddb_track_cursor *cursor;
    ddb_arena         arena;                 /* of the current batch */
    ddb_row          *rows;
    ddb_object_want  *wants;                 /* SPATIAL */
    uint64_t        **anchors;               /* of each row; scalars */
    size_t           *counts;
    uint64_t         *scratch;               /* anchors of the current bucket */
    size_t            scratch_cap;
    size_t            count, at;
    bool              ended;
} ddb_scan_source;

/* What the source gives: one Track row with the anchors of its records. */
typedef struct ddb_scan_part {
    const ddb_row  *row;
    ddb_bucket      bucket;                  /* SPATIAL */
    const uint64_t *anchors;
    size_t          count;
} ddb_scan_part;

DDB_FN dreamdb_status ddb_scan_source_open(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_view_field *field, uint64_t start, uint64_t end, ddb_scan_source *out)
{
    ddb_track_select select;
    memset(out, 0, sizeof *out);
    memset(&select, 0, sizeof select);
    out->view = view;
    out->field = field;
    select.by_time = start > 0 || end < UINT64_MAX;
    select.start = start;
    select.end = end;
    dreamdb_status status = ddb_view_need(ctx, view, &field, 1, DDB_VIEW_TRACK);
    return status < 0 ? status : ddb_track_open(ctx, view->db->env, &field->track, &select, &out->cursor);
}

DDB_FN void ddb_scan_source_drop(ddb_ctx *ctx, ddb_scan_source *source)
{
    for (size_t i = 0; source->wants && i < source->count; i++) {
        if (source->wants[i].object.data) {
            ddb_object_release(source->view->db->env, &source->wants[i].object);
        }
    }
    ddb_mem_arena_free(ctx, &source->arena);
    source->rows = NULL;
    source->wants = NULL;
    source->count = source->at = 0;
}

DDB_FN void ddb_scan_source_close(ddb_ctx *ctx, ddb_scan_source *source)
{
    ddb_scan_source_drop(ctx, source);
    if (source->cursor) {
        ddb_track_close(ctx, source->cursor);
        source->cursor = NULL;
    }
    ddb_mem_drop(ctx, source->scratch, uint64_t, source->scratch_cap);
    source->scratch = NULL;
    source->scratch_cap = 0;
}

/* Fetches the buckets of the batch. */
DDB_FN dreamdb_status ddb_scan_fetch_buckets(ddb_ctx *ctx, ddb_scan_source *source)
{
    source->wants = ddb_mem_arena_new(ctx, &source->arena, ddb_object_want, source->count);
    char *folder = source->wants ? ddb_view_folder(ctx, &source->arena, source->field, NULL) : NULL;
    if (!folder) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < source->count; i++) {
        const ddb_row *row = source->rows + i;
        source->wants[i].path = ddb_bucket_path(ctx, &source->arena, folder, row);
        source->wants[i].addr = row->addr;
        source->wants[i].size = row->size;
        if (!source->wants[i].path) {
            return DREAMDB_ERR_MEMORY;
        }
    }
    return ddb_object_get_many(ctx, source->view->db->env, source->wants, source->count);
}

typedef struct ddb_scan_take { ddb_ctx *ctx; ddb_scan_source *source; } ddb_scan_take;

/* Keeps the anchors of one posting. */
DDB_FN dreamdb_status ddb_scan_take_posting(void *user, size_t at, const uint64_t *anchors, size_t count)
{
    ddb_scan_take *take = (ddb_scan_take *)user;
    uint64_t *copy = ddb_mem_arena_new(take->ctx, &take->source->arena, uint64_t, count);
    if (!copy) {
        return DREAMDB_ERR_MEMORY;
    }
    memcpy(copy, anchors, count * sizeof *copy);
    take->source->anchors[at] = copy;
    take->source->counts[at] = count;
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_scan_fetch_postings(ddb_ctx *ctx, ddb_scan_source *source)
{
    ddb_scan_take take;
    take.ctx = ctx;
    take.source = source;
    source->anchors = ddb_mem_arena_new(ctx, &source->arena, uint64_t *, source->count);
    source->counts = ddb_mem_arena_new(ctx, &source->arena, size_t, source->count);
    char *folder = source->anchors && source->counts ? ddb_view_folder(ctx, &source->arena, source->field, "bucket") : NULL;
    return folder ? ddb_scalar_postings(ctx, source->view->db->env, &source->arena, folder, source->rows, source->count, ddb_scan_take_posting, &take)
                  : DREAMDB_ERR_MEMORY;
}

/* Loads the next batch of rows and what they point to. */
DDB_FN dreamdb_status ddb_scan_source_fill(ddb_ctx *ctx, ddb_scan_source *source)
{
    bool spatial = source->field->cls == DDB_TRACK_SPATIAL;
    uint64_t bytes = 0;
    ddb_scan_source_drop(ctx, source);
    ddb_row *rows = ddb_mem_arena_new(ctx, &source->arena, ddb_row, DDB_SCAN_BATCH_ROWS);
    if (!rows) {
        return DREAMDB_ERR_MEMORY;
    }
    while (source->count < DDB_SCAN_BATCH_ROWS && bytes < DDB_SCAN_BATCH_BYTES && !source->ended) {
        const ddb_row *row = NULL;
        dreamdb_status status = ddb_track_next(ctx, source->cursor, &row);
        if (status < 0) {
            return status;
        }
        source->ended = status == DREAMDB_DONE;
        if (!source->ended) {
            rows[source->count] = *row;
            rows[source->count].key.data = (const uint8_t *)ddb_mem_arena_copy(ctx, &source->arena, row->key.data, row->key.size);
            if (!rows[source->count].key.data) {
                return DREAMDB_ERR_MEMORY;
            }
            bytes += spatial ? row->size : 1;
            source->count++;
        }
    }
    source->rows = rows;
    if (source->count == 0) {
        return DREAMDB_DONE;
    }
    return spatial ? ddb_scan_fetch_buckets(ctx, source) : source->field->cls == DDB_TRACK_ITEM ? DREAMDB_OK : ddb_scan_fetch_postings(ctx, source);
}

DDB_FN dreamdb_status ddb_scan_open_bucket(ddb_ctx *ctx, ddb_scan_source *source, ddb_scan_part *part)
{
    const ddb_object_want *want = source->wants + source->at;
    const ddb_field *schema = source->field->schema;
    dreamdb_status status = ddb_bucket_open(ctx, ddb_bytes_slice(want->object.data, want->object.size), want->path, schema->dim, schema->modality, &part->bucket);
    if (status < 0) {
        return status;
    }
    if (part->bucket.count > source->scratch_cap) {
        ddb_mem_drop(ctx, source->scratch, uint64_t, source->scratch_cap);
        source->scratch_cap = 0;
        source->scratch = ddb_mem_new(ctx, uint64_t, part->bucket.count);
        if (!source->scratch) {
            return DREAMDB_ERR_MEMORY;
        }
        source->scratch_cap = part->bucket.count;
    }
    for (size_t i = 0; i < part->bucket.count; i++) {
        source->scratch[i] = ddb_bucket_anchor(&part->bucket, i);
        if (source->scratch[i] < part->row->t_start || source->scratch[i] >= part->row->t_end) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, want->path, "bucket holds anchor %llu outside its Track row", (unsigned long long)source->scratch[i]);
        }
    }
    part->anchors = source->scratch;
    part->count = part->bucket.count;
    return DREAMDB_OK;
}

/* The next Track row with its records: OK, DONE or an error.  The part lives until the next call. */
DDB_FN dreamdb_status ddb_scan_source_next(ddb_ctx *ctx, ddb_scan_source *source, ddb_scan_part *part)
{
    if (source->at == source->count) {
        dreamdb_status status = source->ended && source->count == 0 ? DREAMDB_DONE : ddb_scan_source_fill(ctx, source);
        if (status != DREAMDB_OK) {
            return status;
        }
    }
    memset(part, 0, sizeof *part);
    part->row = source->rows + source->at;
    if (source->field->cls == DDB_TRACK_SPATIAL) {
        dreamdb_status status = ddb_scan_open_bucket(ctx, source, part);
        if (status < 0) {
            return status;
        }
    } else if (source->field->cls == DDB_TRACK_ITEM) {
        part->anchors = &part->row->t_start;
        part->count = 1;
    } else {
        part->anchors = source->anchors[source->at];
        part->count = source->counts[source->at];
    }
    source->at++;
    return DREAMDB_OK;
}

/* ---- Anchors ---- */

/* Keeps the smallest `keep` distinct anchors of what is pushed (keep 0 = all), of one class of `classes`. */
typedef struct ddb_scan_anchors {
    uint64_t *values, *scratch;
    size_t    count, cap, keep;
    uint64_t  start, end;                    /* [start, end) */
    uint64_t  bound;                         /* anchors above it are of no interest any more */
    bool      dropped;                       /* something was left out */
    uint64_t  classes, cls;                  /* classes 0 or 1 = all */
} ddb_scan_anchors;

DDB_FN void ddb_scan_anchors_free(ddb_ctx *ctx, ddb_scan_anchors *set)
{
    ddb_mem_drop(ctx, set->values, uint64_t, set->cap);
    ddb_mem_drop(ctx, set->scratch, uint64_t, set->cap);
    set->values = set->scratch = NULL;
    set->cap = set->count = 0;
}

DDB_FN void ddb_scan_anchors_settle(ddb_scan_anchors *set)
{
    ddb_coll_sort_u64_in(set->values, set->scratch, set->count);
    set->count = ddb_coll_unique_u64(set->values, set->count);
    if (set->keep > 0 && set->count > set->keep) {
        set->count = set->keep;
        set->bound = set->values[set->count - 1];
        set->dropped = true;
    }
}

DDB_FN dreamdb_status ddb_scan_anchors_grow(ddb_ctx *ctx, ddb_scan_anchors *set)
{
    if (set->count > 0) {
        ddb_scan_anchors_settle(set);
        if (set->count * 2 <= set->cap && set->keep > 0) {
            return DREAMDB_OK;
        }
    }
    size_t cap = set->cap > 0 ? set->cap * 2 : 1024;
    uint64_t *values = (uint64_t *)ddb_mem_resize(ctx, set->values, set->cap * sizeof *values, cap * sizeof *values);
    if (!values) {
        return DREAMDB_ERR_MEMORY;
    }
    set->values = values;
    uint64_t *scratch = (uint64_t *)ddb_mem_resize(ctx, set->scratch, set->cap * sizeof *scratch, cap * sizeof *scratch);
    if (!scratch) {                          /* values is bigger than cap says: give the rest back so that sizes stay true */
        set->values = (uint64_t *)ddb_mem_resize(ctx, values, cap * sizeof *values, (set->cap > 0 ? set->cap : 1) * sizeof *values);
        if (set->cap == 0) {
            ddb_mem_drop(ctx, set->values, uint64_t, 1);
            set->values = NULL;
        }
        return DREAMDB_ERR_MEMORY;
    }
    set->scratch = scratch;
    set->cap = cap;
    return DREAMDB_OK;
}

DDB_INLINE uint64_t ddb_scan_class(uint64_t anchor, uint64_t classes)
{
    return ((anchor * UINT64_C(0x9e3779b97f4a7c15)) >> 32) % classes;
}

DDB_FN dreamdb_status ddb_scan_anchors_push(ddb_ctx *ctx, ddb_scan_anchors *set, const uint64_t *anchors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t anchor = anchors[i];
        if (anchor < set->start || anchor >= set->end || (set->classes > 1 && ddb_scan_class(anchor, set->classes) != set->cls)) {
            continue;
        }
        if (anchor > set->bound) {
            set->dropped = true;
            continue;
        }
        if (set->count == set->cap) {
            dreamdb_status status = ddb_scan_anchors_grow(ctx, set);
            if (status < 0) {
                return status;
            }
        }
        set->values[set->count++] = anchor;
    }
    return DREAMDB_OK;
}

/* Pushes every anchor of a field. */
DDB_FN dreamdb_status ddb_scan_gather(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_view_field *field, ddb_scan_anchors *set)
{
    ddb_scan_source source;
    ddb_scan_part part;
    dreamdb_status status = ddb_scan_source_open(ctx, view, field, set->start, set->end, &source);
    while (status == DREAMDB_OK) {
        status = ddb_scan_source_next(ctx, &source, &part);
        if (status == DREAMDB_OK && part.row->t_start <= set->bound) {
            status = ddb_scan_anchors_push(ctx, set, part.anchors, part.count);
        } else if (status == DREAMDB_OK) {
            set->dropped = true;
        }
    }
    ddb_scan_source_close(ctx, &source);
    return status == DREAMDB_DONE ? DREAMDB_OK : status;
}

/* Removes deleted anchors from a sorted list; returns the new count. */
DDB_FN dreamdb_status ddb_scan_live(ddb_ctx *ctx, dreamdb_snapshot *view, uint64_t *anchors, size_t *count)
{
    ddb_tomb *tomb = NULL;
    dreamdb_status status = ddb_view_tomb(ctx, view, &tomb);
    if (status < 0 || ddb_tomb_empty(tomb) || *count == 0) {
        return status;
    }
    uint8_t *deleted = ddb_mem_new(ctx, uint8_t, *count);
    if (!deleted) {
        return DREAMDB_ERR_MEMORY;
    }
    status = ddb_tomb_test(ctx, tomb, anchors, *count, deleted);
    size_t out = 0;
    for (size_t i = 0; i < *count && status == DREAMDB_OK; i++) {
        anchors[out] = anchors[i];
        out += !deleted[i];
    }
    ddb_mem_drop(ctx, deleted, uint8_t, *count);
    if (status == DREAMDB_OK) {
        *count = out;
    }
    return status;
}

/* Keeps what both sorted lists have; into a. */
DDB_FN size_t ddb_scan_both(uint64_t *a, size_t a_count, const uint64_t *b, size_t b_count)
{
    size_t out = 0, j = 0;
    for (size_t i = 0; i < a_count; i++) {
        while (j < b_count && b[j] < a[i]) {
            j++;
        }
        if (j < b_count && b[j] == a[i]) {
            a[out++] = a[i];
        }
    }
    return out;
}

/* ---- Predicates ---- */

/* A sorted list of anchors that its holder frees. */
typedef struct ddb_scan_list { uint64_t *anchors; size_t count, cap; } ddb_scan_list;

DDB_FN void ddb_scan_list_free(ddb_ctx *ctx, ddb_scan_list *list)
{
    ddb_mem_drop(ctx, list->anchors, uint64_t, list->cap);
    list->anchors = NULL;
    list->count = list->cap = 0;
}

DDB_FN dreamdb_status ddb_scan_union(ddb_ctx *ctx, ddb_scan_list *a, const ddb_scan_list *b)
{
    size_t cap = a->count + b->count, i = 0, j = 0, out = 0;
    uint64_t *both = ddb_mem_new(ctx, uint64_t, cap);
    if (!both) {
        return DREAMDB_ERR_MEMORY;
    }
    while (i < a->count || j < b->count) {
        uint64_t x = i < a->count ? a->anchors[i] : UINT64_MAX, y = j < b->count ? b->anchors[j] : UINT64_MAX;
        both[out++] = x < y ? x : y;
        i += i < a->count && x <= y;
        j += j < b->count && y <= x;
    }
    ddb_scan_list_free(ctx, a);
    a->anchors = both;
    a->count = out;
    a->cap = cap;
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_scan_leaf(ddb_ctx *ctx, dreamdb_snapshot *view, const dreamdb_where *where, ddb_scan_list *out)
{
    ddb_view_field *field = NULL;
    dreamdb_status status = ddb_view_field_named(ctx, view, where->field, &field);
    if (status < 0) {
        return status;
    }
    if (field->cls != DDB_TRACK_BITMAP && field->cls != DDB_TRACK_BTREE) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s` is not a scalar field: a predicate cannot use it", where->field);
    }
    status = ddb_view_need(ctx, view, &field, 1, DDB_VIEW_TRACK);
    if (status == DREAMDB_OK) {
        status = ddb_scalar_select(ctx, view->db->env, &field->track, field->schema->kind, where, &out->anchors, &out->count);
        out->cap = out->count;
    }
    return status;
}

/* Evaluates a predicate tree, deleted anchors included. */
DDB_FN dreamdb_status ddb_scan_where(ddb_ctx *ctx, dreamdb_snapshot *view, const dreamdb_where *where, uint32_t depth, ddb_scan_list *out)
{
    memset(out, 0, sizeof *out);
    if (depth == 0) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "the predicate is nested too deeply");
    }
    if (where->op != DREAMDB_AND && where->op != DREAMDB_OR) {
        return ddb_scan_leaf(ctx, view, where, out);
    }
    if (where->child_count == 0) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "an AND or OR without clauses");
    }
    dreamdb_status status = ddb_scan_where(ctx, view, where->children, depth - 1, out);
    for (size_t i = 1; i < where->child_count && status == DREAMDB_OK; i++) {
        ddb_scan_list more;
        status = ddb_scan_where(ctx, view, where->children + i, depth - 1, &more);
        if (status == DREAMDB_OK && where->op == DREAMDB_AND) {
            out->count = ddb_scan_both(out->anchors, out->count, more.anchors, more.count);
        } else if (status == DREAMDB_OK) {
            status = ddb_scan_union(ctx, out, &more);
        }
        ddb_scan_list_free(ctx, &more);
    }
    return status;
}

/* ---- Counting and selecting ---- */

/* Records of a field by its Track rows alone (no payload): an upper bound of its anchors. */
DDB_FN dreamdb_status ddb_scan_records(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_view_field *field, uint64_t start, uint64_t end, uint64_t *out)
{
    ddb_track_select select;
    ddb_track_cursor *cursor = NULL;
    memset(&select, 0, sizeof select);
    select.by_time = start > 0 || end < UINT64_MAX;
    select.start = start;
    select.end = end;
    *out = 0;
    dreamdb_status status = ddb_view_need(ctx, view, &field, 1, DDB_VIEW_TRACK);
    if (status == DREAMDB_OK) {
        status = ddb_track_open(ctx, view->db->env, &field->track, &select, &cursor);
    }
    while (status == DREAMDB_OK) {
        const ddb_row *row = NULL;
        status = ddb_track_next(ctx, cursor, &row);
        if (status == DREAMDB_OK) {
            uint64_t span = row->t_end - row->t_start;
            uint64_t most = field->cls == DDB_TRACK_ITEM ? 1 : field->cls == DDB_TRACK_SPATIAL ? ddb_bucket_records(row->size, field->schema) : row->size * 8;
            *out += span < most && field->cls != DDB_TRACK_SPATIAL ? span : most;
        }
    }
    if (cursor) {
        ddb_track_close(ctx, cursor);
    }
    return status == DREAMDB_DONE ? DREAMDB_OK : status;
}

/* Classes of anchors needed so that one class fits pass_bytes. */
DDB_FN dreamdb_status ddb_scan_classes(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_view_field *const *fields, size_t field_count,
                                       uint64_t start, uint64_t end, uint64_t *classes)
{
    uint64_t total = 0;
    for (size_t i = 0; i < field_count; i++) {
        uint64_t records = 0;
        dreamdb_status status = ddb_scan_records(ctx, view, fields[i], start, end, &records);
        if (status < 0) {
            return status;
        }
        total += records;
    }
    *classes = 1 + total / (view->db->pass_bytes / 32 + 1);       /* two u64 and growth by doubling */
    return DREAMDB_OK;
}

/* Sorted live anchors of the fields, of one class. */
DDB_FN dreamdb_status ddb_scan_class_anchors(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_view_field *const *fields, size_t field_count, ddb_scan_anchors *set)
{
    dreamdb_status status = DREAMDB_OK;
    set->bound = UINT64_MAX;
    for (size_t i = 0; i < field_count && status == DREAMDB_OK; i++) {
        status = ddb_scan_gather(ctx, view, fields[i], set);
    }
    if (status == DREAMDB_OK && set->count > 0) {
        ddb_scan_anchors_settle(set);
        status = ddb_scan_live(ctx, view, set->values, &set->count);
    }
    return status;
}

/* Fields that hold rows of ours: all but constants and kinds we do not read. */
DDB_FN dreamdb_status ddb_scan_row_fields(ddb_ctx *ctx, ddb_arena *arena, dreamdb_snapshot *view, ddb_view_field ***out, size_t *count)
{
    *count = 0;
    *out = ddb_mem_arena_new(ctx, arena, ddb_view_field *, view->schema.count);
    if (!*out) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < view->schema.count; i++) {
        if (view->fields[i].cls != DDB_TRACK_CONSTANT && view->fields[i].cls != DDB_TRACK_OTHER) {
            (*out)[(*count)++] = view->fields + i;
        }
    }
    return DREAMDB_OK;
}

/* Distinct live anchors in a window that meet a predicate. */
DDB_FN dreamdb_status ddb_scan_count(ddb_ctx *ctx, dreamdb_snapshot *view, const char *name, const dreamdb_where *where, uint64_t start, uint64_t end, uint64_t *out)
{
    ddb_arena arena = {NULL, 0};
    ddb_view_field **fields = NULL, *one = NULL;
    size_t field_count = 1;
    uint64_t classes = 1;
    ddb_scan_list meet = {NULL, 0, 0};
    *out = 0;
    dreamdb_status status = name ? ddb_view_field_named(ctx, view, name, &one) : ddb_scan_row_fields(ctx, &arena, view, &fields, &field_count);
    if (status == DREAMDB_OK && name) {
        fields = &one;
        status = ddb_view_readable(ctx, view, one);
    }
    if (status == DREAMDB_OK && where) {
        status = ddb_scan_where(ctx, view, where, view->db->env->limits.depth, &meet);
    }
    if (status == DREAMDB_OK) {
        status = ddb_scan_classes(ctx, view, fields, field_count, start, end, &classes);
    }
    for (uint64_t cls = 0; cls < classes && status == DREAMDB_OK; cls++) {
        ddb_scan_anchors set;
        memset(&set, 0, sizeof set);
        set.start = start;
        set.end = end;
        set.classes = classes;
        set.cls = cls;
        status = ddb_scan_class_anchors(ctx, view, fields, field_count, &set);
        if (status == DREAMDB_OK) {
            *out += where ? ddb_scan_both(set.values, set.count, meet.anchors, meet.count) : set.count;
        }
        ddb_scan_anchors_free(ctx, &set);
    }
    ddb_scan_list_free(ctx, &meet);
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

/* Sorted live anchors that meet a predicate; NULL = every anchor. */
DDB_FN dreamdb_status ddb_scan_select(ddb_ctx *ctx, dreamdb_snapshot *view, const dreamdb_where *where, ddb_scan_list *out)
{
    memset(out, 0, sizeof *out);
    if (where) {
        dreamdb_status status = ddb_scan_where(ctx, view, where, view->db->env->limits.depth, out);
        return status < 0 ? status : ddb_scan_live(ctx, view, out->anchors, &out->count);
    }
    ddb_arena arena = {NULL, 0};
    ddb_view_field **fields = NULL;
    size_t field_count = 0;
    ddb_scan_anchors set;
    memset(&set, 0, sizeof set);
    set.end = UINT64_MAX;
    dreamdb_status status = ddb_scan_row_fields(ctx, &arena, view, &fields, &field_count);
    if (status == DREAMDB_OK) {
        status = ddb_scan_class_anchors(ctx, view, fields, field_count, &set);
    }
    if (status == DREAMDB_OK) {
        out->anchors = set.values;
        out->count = set.count;
        out->cap = set.cap;
        ddb_mem_drop(ctx, set.scratch, uint64_t, set.cap);
    } else {
        ddb_scan_anchors_free(ctx, &set);
    }
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

/* ---- Columns ---- */

/* A column being filled for sorted distinct anchors. */
typedef struct ddb_scan_column {
    dreamdb_snapshot *view;
    ddb_view_field *field;
    const uint64_t *anchors;
    size_t          count;
    dreamdb_value  *values;                  /* values[i * stride] belongs to anchors[i] */
    size_t          stride;
    ddb_arena      *arena;                   /* of what values point to */
    float          *vectors;                 /* SPATIAL: [count][dim] */
    ddb_row        *rows;                    /* ITEM: winning row of each anchor */
} ddb_scan_column;

DDB_FN dreamdb_status ddb_scan_column_scalar(ddb_ctx *ctx, ddb_scan_column *column, const ddb_row *row, dreamdb_value *value)
{
    ddb_scalar_value scalar;
    memset(&scalar, 0, sizeof scalar);
    dreamdb_status status = ddb_scalar_decode(ctx, row->key, column->field->schema->kind, column->view->path, &scalar);
    if (status < 0) {
        return status;
    }
    value->present = 1;
    value->integer = scalar.integer;
    value->real = scalar.real;
    if (scalar.kind == DREAMDB_STRING || scalar.kind == DREAMDB_CATEGORICAL) {
        value->data = ddb_mem_arena_copy(ctx, column->arena, scalar.text.data, scalar.text.size);
        value->size = scalar.text.size;
        return value->data ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    }
    return DREAMDB_OK;
}

/* Puts what one Track row holds for the wanted anchors; later rows overwrite earlier ones. */
DDB_FN dreamdb_status ddb_scan_column_part(ddb_ctx *ctx, ddb_scan_column *column, const ddb_scan_part *part)
{
    dreamdb_value shared;
    uint64_t dim = column->field->schema->dim;
    bool decoded = false;
    memset(&shared, 0, sizeof shared);
    shared.kind = column->field->schema->kind;
    for (size_t i = 0; i < part->count; i++) {
        size_t at = ddb_coll_lower_u64(column->anchors, column->count, part->anchors[i]);
        if (at == column->count || column->anchors[at] != part->anchors[i]) {
            continue;
        }
        dreamdb_value *value = column->values + at * column->stride;
        if (column->vectors) {
            ddb_bucket_vector(&part->bucket, i, dim, column->vectors + at * (size_t)dim);
            value->present = 1;
            value->data = column->vectors + at * (size_t)dim;
            value->size = dim * sizeof(float);
        } else if (column->rows) {
            column->rows[at] = *part->row;
            value->present = 1;
            value->size = part->row->size;
            memcpy(value->address, part->row->addr.bytes, sizeof value->address);
        } else {
            dreamdb_status status = decoded ? DREAMDB_OK : ddb_scan_column_scalar(ctx, column, part->row, &shared);
            if (status < 0) {
                return status;
            }
            decoded = true;
            *value = shared;
        }
    }
    return DREAMDB_OK;
}

/* Loads the payloads of the winning rows, one batch for whole objects. */
DDB_FN dreamdb_status ddb_scan_column_media(ddb_ctx *ctx, ddb_scan_column *column)
{
    ddb_row *rows = ddb_mem_arena_new(ctx, column->arena, ddb_row, column->count);
    ddb_slice *payloads = ddb_mem_arena_new(ctx, column->arena, ddb_slice, column->count);
    size_t n = 0;
    if (!rows || !payloads) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < column->count; i++) {
        if (column->values[i * column->stride].present) {
            rows[n++] = column->rows[i];
        }
    }
    const ddb_binding *binding = column->field->binding;
    dreamdb_status status = ddb_item_load(ctx, column->view->db->env, column->arena, &binding->timeline, binding->modality, rows, n, payloads);
    n = 0;
    for (size_t i = 0; i < column->count && status == DREAMDB_OK; i++) {
        if (column->values[i * column->stride].present) {
            column->values[i * column->stride].data = payloads[n++].data;
        }
    }
    return status;
}

/* Fills values[i * stride] for each of the sorted distinct anchors from one field. */
DDB_FN dreamdb_status ddb_scan_column_load(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_view_field *field, const uint64_t *anchors, size_t count,
                                           bool load_media, ddb_arena *arena, dreamdb_value *values, size_t stride)
{
    ddb_scan_column column;
    ddb_scan_source source;
    ddb_scan_part part;
    memset(&column, 0, sizeof column);
    column.view = view;
    column.field = field;
    column.anchors = anchors;
    column.count = count;
    column.values = values;
    column.stride = stride;
    column.arena = arena;
    for (size_t i = 0; i < count; i++) {
        memset(values + i * stride, 0, sizeof *values);
        values[i * stride].kind = field->schema->kind;
    }
    if (count == 0) {
        return DREAMDB_OK;
    }
    if (field->cls == DDB_TRACK_SPATIAL) {
        size_t floats = 0;
        column.vectors = ddb_mem_mul(count, (size_t)field->schema->dim, &floats) ? ddb_mem_arena_new(ctx, arena, float, floats) : NULL;
    } else if (field->cls == DDB_TRACK_ITEM) {
        column.rows = ddb_mem_arena_new(ctx, arena, ddb_row, count);
    }
    if ((field->cls == DDB_TRACK_SPATIAL && !column.vectors) || (field->cls == DDB_TRACK_ITEM && !column.rows)) {
        return DREAMDB_ERR_MEMORY;
    }
    if (field->has_registry && field->registry.has_compressor) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_UNSUPPORTED, view->path, "field `%.*s` is stored as codes of a compressor, which this version does not decode",
                               (int)field->schema->name.size, (const char *)field->schema->name.data);
    }
    dreamdb_status status = ddb_scan_source_open(ctx, view, field, anchors[0], anchors[count - 1] + 1, &source);
    while (status == DREAMDB_OK) {
        status = ddb_scan_source_next(ctx, &source, &part);
        if (status == DREAMDB_OK) {
            status = ddb_scan_column_part(ctx, &column, &part);
        }
    }
    ddb_scan_source_close(ctx, &source);
    status = status == DREAMDB_DONE ? DREAMDB_OK : status;
    return status == DREAMDB_OK && column.rows && load_media ? ddb_scan_column_media(ctx, &column) : status;
}

/* ---- Cursors ---- */

struct dreamdb_cursor {
    dreamdb_snapshot *view;                  /* held */
    ddb_arena         arena;                 /* of the cursor: fields, list of anchors asked for */
    ddb_view_field  **fields;
    size_t            field_count;
    uint64_t          start, end, limit, given;
    bool              has_where, load_media, storage, finished;
    ddb_scan_list     where;
    uint64_t         *wanted;                /* explicit anchors, sorted */
    size_t            wanted_count, wanted_at;
    bool              has_wanted;
    /* anchor order: one pass */
    ddb_arena         pass;
    size_t            pass_rows;             /* anchors a pass may hold */
    uint64_t         *anchors;
    size_t            anchor_count, anchor_at;
    dreamdb_value    *values;
    /* storage order */
    ddb_scan_source   source;
    ddb_map           last;                  /* anchors with several records: ordinal of the last */
    uint64_t          ordinal;
    ddb_scan_part     part;
    size_t            part_at;
    uint8_t          *part_keep;             /* of the current part: 1 = give it */
    size_t            part_cap;
    dreamdb_value    *row_values;            /* [row_cap][field_count] handed out in storage order */
    size_t            row_cap;
};

DDB_FN void ddb_scan_cursor_close(ddb_ctx *ctx, dreamdb_cursor *cursor)
{
    if (!cursor) {
        return;
    }
    ddb_scan_source_close(ctx, &cursor->source);
    ddb_coll_map_free(ctx, &cursor->last);
    ddb_mem_drop(ctx, cursor->part_keep, uint8_t, cursor->part_cap);
    ddb_mem_drop(ctx, cursor->row_values, dreamdb_value, cursor->row_cap);
    ddb_scan_list_free(ctx, &cursor->where);
    ddb_mem_arena_free(ctx, &cursor->pass);
    ddb_mem_arena_free(ctx, &cursor->arena);
    ddb_view_release(ctx, cursor->view);
    ddb_mem_drop(ctx, cursor, dreamdb_cursor, 1);
}

/* The fields asked for, or all that hold rows. */
DDB_FN dreamdb_status ddb_scan_cursor_fields(ddb_ctx *ctx, dreamdb_cursor *cursor, const dreamdb_scan *scan)
{
    if (scan->field_count == 0) {
        return ddb_scan_row_fields(ctx, &cursor->arena, cursor->view, &cursor->fields, &cursor->field_count);
    }
    cursor->fields = ddb_mem_arena_new(ctx, &cursor->arena, ddb_view_field *, scan->field_count);
    if (!cursor->fields) {
        return DREAMDB_ERR_MEMORY;
    }
    cursor->field_count = scan->field_count;
    for (size_t i = 0; i < scan->field_count; i++) {
        dreamdb_status status = ddb_view_field_named(ctx, cursor->view, scan->fields[i], &cursor->fields[i]);
        if (status == DREAMDB_OK) {
            status = ddb_view_readable(ctx, cursor->view, cursor->fields[i]);
        }
        if (status == DREAMDB_OK && cursor->fields[i]->cls == DDB_TRACK_CONSTANT) {
            status = ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s` is a constant: it has no rows (dreamdb_constant reads it)", scan->fields[i]);
        }
        if (status < 0) {
            return status;
        }
    }
    return DREAMDB_OK;
}

/* How many anchors a pass may hold under pass_bytes. */
DDB_FN size_t ddb_scan_pass_rows(const dreamdb_cursor *cursor)
{
    uint64_t each = 48;
    bool media = false;
    for (size_t i = 0; i < cursor->field_count; i++) {
        each += sizeof(dreamdb_value) + (cursor->fields[i]->cls == DDB_TRACK_SPATIAL ? cursor->fields[i]->schema->dim * 4 : 0)
              + (cursor->fields[i]->cls == DDB_TRACK_ITEM ? sizeof(ddb_row) : 0);
        media = media || (cursor->load_media && cursor->fields[i]->cls == DDB_TRACK_ITEM);
    }
    uint64_t rows = cursor->view->db->pass_bytes / each;
    uint64_t most = media ? 64 : 1u << 20;                  /* 64 payloads at once: their sizes are not known before */
    return (size_t)(rows < 16 ? 16 : rows > most ? most : rows);
}

/* Finds anchors that have several records, class by class, and the ordinal of the last of each. */
DDB_FN dreamdb_status ddb_scan_repeats_class(ddb_ctx *ctx, dreamdb_cursor *cursor, uint64_t classes, uint64_t cls)
{
    ddb_scan_source source;
    ddb_scan_part part;
    uint64_t *seen = NULL, *scratch = NULL;
    size_t count = 0, cap = 0;
    dreamdb_status status = ddb_scan_source_open(ctx, cursor->view, cursor->fields[0], cursor->start, cursor->end, &source);
    while (status == DREAMDB_OK && (status = ddb_scan_source_next(ctx, &source, &part)) == DREAMDB_OK) {
        if (count + part.count > cap) {
            size_t more = (count + part.count) * 2;
            uint64_t *grown = (uint64_t *)ddb_mem_resize(ctx, seen, cap * sizeof *seen, more * sizeof *seen);
            status = grown ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
            seen = grown ? grown : seen;
            cap = grown ? more : cap;
        }
        for (size_t i = 0; i < part.count && status == DREAMDB_OK; i++) {
            seen[count] = part.anchors[i];
            count += classes <= 1 || ddb_scan_class(part.anchors[i], classes) == cls;
        }
    }
    ddb_scan_source_close(ctx, &source);
    status = status == DREAMDB_DONE ? DREAMDB_OK : status;
    scratch = status == DREAMDB_OK ? ddb_mem_new(ctx, uint64_t, count) : NULL;
    status = status == DREAMDB_OK && !scratch ? DREAMDB_ERR_MEMORY : status;
    if (status == DREAMDB_OK) {
        ddb_coll_sort_u64_in(seen, scratch, count);
    }
    for (size_t i = 1; i < count && status == DREAMDB_OK; i++) {
        if (seen[i] == seen[i - 1]) {
            status = ddb_coll_map_put(ctx, &cursor->last, seen + i, 0, NULL, NULL);
        }
    }
    ddb_mem_drop(ctx, scratch, uint64_t, count);
    ddb_mem_drop(ctx, seen, uint64_t, cap);
    return status;
}

/* Storage order needs to know, before the first row is given, which anchors come again later. */
DDB_FN dreamdb_status ddb_scan_repeats(ddb_ctx *ctx, dreamdb_cursor *cursor)
{
    uint64_t classes = 1, ordinal = 0;
    ddb_scan_source source;
    ddb_scan_part part;
    cursor->last.key_size = sizeof(uint64_t);
    dreamdb_status status = ddb_scan_classes(ctx, cursor->view, cursor->fields, 1, cursor->start, cursor->end, &classes);
    for (uint64_t cls = 0; cls < classes && status == DREAMDB_OK; cls++) {
        status = ddb_scan_repeats_class(ctx, cursor, classes, cls);
    }
    if (status < 0 || cursor->last.count == 0) {
        return status;
    }
    status = ddb_scan_source_open(ctx, cursor->view, cursor->fields[0], cursor->start, cursor->end, &source);
    while (status == DREAMDB_OK && (status = ddb_scan_source_next(ctx, &source, &part)) == DREAMDB_OK) {
        for (size_t i = 0; i < part.count; i++, ordinal++) {
            uint64_t *slot = ddb_coll_map_get(&cursor->last, part.anchors + i);
            if (slot) {
                *slot = ordinal;
            }
        }
    }
    ddb_scan_source_close(ctx, &source);
    return status == DREAMDB_DONE ? DREAMDB_OK : status;
}

DDB_FN dreamdb_status ddb_scan_cursor_wanted(ddb_ctx *ctx, dreamdb_cursor *cursor, const dreamdb_scan *scan)
{
    cursor->has_wanted = scan->anchors != NULL;
    if (!cursor->has_wanted) {
        return DREAMDB_OK;
    }
    cursor->wanted = ddb_mem_arena_new(ctx, &cursor->arena, uint64_t, scan->anchor_count);
    if (!cursor->wanted) {
        return DREAMDB_ERR_MEMORY;
    }
    memcpy(cursor->wanted, scan->anchors, scan->anchor_count * sizeof *cursor->wanted);
    dreamdb_status status = ddb_coll_sort_u64(ctx, cursor->wanted, scan->anchor_count);
    cursor->wanted_count = ddb_coll_unique_u64(cursor->wanted, scan->anchor_count);
    return status;
}

/* Fills a fresh cursor.  The caller closes it on failure. */
DDB_FN dreamdb_status ddb_scan_cursor_start(ddb_ctx *ctx, dreamdb_cursor *cursor, const dreamdb_scan *scan)
{
    cursor->start = scan->start;
    cursor->end = scan->end > 0 ? scan->end : UINT64_MAX;
    cursor->limit = scan->limit > 0 ? scan->limit : UINT64_MAX;
    cursor->load_media = scan->load_media != 0;
    dreamdb_status status = ddb_scan_cursor_fields(ctx, cursor, scan);
    if (status == DREAMDB_OK) {
        status = ddb_scan_cursor_wanted(ctx, cursor, scan);
    }
    if (status == DREAMDB_OK && scan->where) {
        cursor->has_where = true;
        status = ddb_scan_where(ctx, cursor->view, scan->where, cursor->view->db->env->limits.depth, &cursor->where);
    }
    if (status == DREAMDB_OK) {
        status = ddb_view_need(ctx, cursor->view, cursor->fields, cursor->field_count, DDB_VIEW_TRACK);
    }
    if (status < 0) {
        return status;
    }
    bool one_embedding = cursor->field_count == 1 && cursor->fields[0]->cls == DDB_TRACK_SPATIAL && !cursor->has_wanted;
    if (scan->order == DREAMDB_ORDER_STORAGE && cursor->field_count != 1) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "storage order is for one field, not %zu", cursor->field_count);
    }
    cursor->storage = one_embedding && scan->order != DREAMDB_ORDER_ANCHOR;
    cursor->pass_rows = ddb_scan_pass_rows(cursor);
    if (cursor->storage && cursor->fields[0]->registry.has_compressor) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_UNSUPPORTED, cursor->view->path, "field `%.*s` is stored as codes of a compressor, which this version does not decode",
                               (int)cursor->fields[0]->schema->name.size, (const char *)cursor->fields[0]->schema->name.data);
    }
    if (cursor->storage) {
        status = ddb_scan_repeats(ctx, cursor);
    }
    return status == DREAMDB_OK && cursor->storage
         ? ddb_scan_source_open(ctx, cursor->view, cursor->fields[0], cursor->start, cursor->end, &cursor->source) : status;
}

DDB_FN dreamdb_status ddb_scan_cursor_open(ddb_ctx *ctx, dreamdb_snapshot *view, const dreamdb_scan *scan, dreamdb_cursor **out)
{
    dreamdb_cursor *cursor = ddb_mem_new(ctx, dreamdb_cursor, 1);
    *out = NULL;
    if (!cursor) {
        return DREAMDB_ERR_MEMORY;
    }
    ddb_port_lock(&view->db->lock);
    view->users++;
    ddb_port_unlock(&view->db->lock);
    cursor->view = view;
    dreamdb_status status = ddb_scan_cursor_start(ctx, cursor, scan);
    if (status < 0) {
        ddb_scan_cursor_close(ctx, cursor);
        return status;
    }
    *out = cursor;
    return DREAMDB_OK;
}

/* The anchors of the next pass: the smallest pass_rows at or above start, or the next of the list asked for. */
DDB_FN dreamdb_status ddb_scan_pass_anchors(ddb_ctx *ctx, dreamdb_cursor *cursor)
{
    ddb_scan_anchors set;
    dreamdb_status status = DREAMDB_OK;
    memset(&set, 0, sizeof set);
    if (cursor->has_wanted) {
        size_t left = cursor->wanted_count - cursor->wanted_at;
        cursor->anchors = cursor->wanted + cursor->wanted_at;
        cursor->anchor_count = left < cursor->pass_rows ? left : cursor->pass_rows;
        cursor->wanted_at += cursor->anchor_count;
        cursor->finished = cursor->wanted_at == cursor->wanted_count;
        size_t low = ddb_coll_lower_u64(cursor->anchors, cursor->anchor_count, cursor->start);
        cursor->anchor_count = ddb_coll_lower_u64(cursor->anchors, cursor->anchor_count, cursor->end);
        cursor->anchors += low;
        cursor->anchor_count -= low < cursor->anchor_count ? low : cursor->anchor_count;
        return DREAMDB_OK;
    }
    set.keep = cursor->pass_rows;
    set.start = cursor->start;
    set.end = cursor->end;
    set.bound = UINT64_MAX;
    for (size_t i = 0; i < cursor->field_count && status == DREAMDB_OK; i++) {
        status = ddb_scan_gather(ctx, cursor->view, cursor->fields[i], &set);
    }
    if (status == DREAMDB_OK && set.count > 0) {
        ddb_scan_anchors_settle(&set);
    }
    cursor->anchors = status == DREAMDB_OK ? ddb_mem_arena_new(ctx, &cursor->pass, uint64_t, set.count) : NULL;
    status = status == DREAMDB_OK && !cursor->anchors ? DREAMDB_ERR_MEMORY : status;
    if (status == DREAMDB_OK) {
        if (set.count > 0) {
            memcpy(cursor->anchors, set.values, set.count * sizeof *cursor->anchors);
            cursor->start = set.values[set.count - 1] + 1;
        }
        cursor->anchor_count = set.count;
        cursor->finished = !set.dropped || set.count == 0;
    }
    ddb_scan_anchors_free(ctx, &set);
    return status;
}

/* Loads the next pass: anchors, then every column. */
DDB_FN dreamdb_status ddb_scan_pass(ddb_ctx *ctx, dreamdb_cursor *cursor)
{
    ddb_mem_arena_free(ctx, &cursor->pass);
    cursor->anchor_at = cursor->anchor_count = 0;
    dreamdb_status status = ddb_scan_pass_anchors(ctx, cursor);
    if (status == DREAMDB_OK) {
        status = ddb_scan_live(ctx, cursor->view, cursor->anchors, &cursor->anchor_count);
    }
    if (status == DREAMDB_OK && cursor->has_where) {
        cursor->anchor_count = ddb_scan_both(cursor->anchors, cursor->anchor_count, cursor->where.anchors, cursor->where.count);
    }
    if (status == DREAMDB_OK && cursor->anchor_count > cursor->limit - cursor->given) {
        cursor->anchor_count = cursor->has_wanted ? cursor->anchor_count : (size_t)(cursor->limit - cursor->given);
    }
    size_t cells = 0;
    if (status == DREAMDB_OK && !ddb_mem_mul(cursor->anchor_count, cursor->field_count, &cells)) {
        status = ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "%zu rows of %zu fields are too many for one pass", cursor->anchor_count, cursor->field_count);
    }
    cursor->values = status == DREAMDB_OK ? ddb_mem_arena_new(ctx, &cursor->pass, dreamdb_value, cells) : NULL;
    status = status == DREAMDB_OK && !cursor->values ? DREAMDB_ERR_MEMORY : status;
    for (size_t f = 0; f < cursor->field_count && status == DREAMDB_OK; f++) {
        status = ddb_scan_column_load(ctx, cursor->view, cursor->fields[f], cursor->anchors, cursor->anchor_count, cursor->load_media, &cursor->pass,
                                      cursor->values + f, cursor->field_count);
    }
    return status;
}

/* Rows in anchor order. */
DDB_FN dreamdb_status ddb_scan_rows_anchor(ddb_ctx *ctx, dreamdb_cursor *cursor, dreamdb_row *rows, size_t max, size_t *got)
{
    while (cursor->anchor_at == cursor->anchor_count) {
        if (cursor->finished || cursor->given == cursor->limit) {
            return DREAMDB_DONE;
        }
        dreamdb_status status = ddb_scan_pass(ctx, cursor);
        if (status < 0) {
            return status;
        }
    }
    while (*got < max && cursor->anchor_at < cursor->anchor_count && cursor->given < cursor->limit) {
        const dreamdb_value *values = cursor->values + cursor->anchor_at * cursor->field_count;
        bool any = false;
        for (size_t f = 0; f < cursor->field_count && !any; f++) {
            any = values[f].present != 0;
        }
        if (any) {
            rows[*got].anchor = cursor->anchors[cursor->anchor_at];
            rows[(*got)++].values = values;
            cursor->given++;
        }
        cursor->anchor_at++;
    }
    return DREAMDB_OK;
}

/* Decides for each record of the current part whether it is given. */
DDB_FN dreamdb_status ddb_scan_part_filter(ddb_ctx *ctx, dreamdb_cursor *cursor)
{
    const ddb_scan_part *part = &cursor->part;
    ddb_tomb *tomb = NULL;
    if (part->count > cursor->part_cap) {
        ddb_mem_drop(ctx, cursor->part_keep, uint8_t, cursor->part_cap);
        cursor->part_cap = 0;
        cursor->part_keep = ddb_mem_new(ctx, uint8_t, part->count);
        if (!cursor->part_keep) {
            return DREAMDB_ERR_MEMORY;
        }
        cursor->part_cap = part->count;
    }
    for (size_t i = 0; i < part->count; i++, cursor->ordinal++) {
        const uint64_t *last = cursor->last.count > 0 ? ddb_coll_map_get(&cursor->last, part->anchors + i) : NULL;
        bool keep = part->anchors[i] >= cursor->start && part->anchors[i] < cursor->end && (!last || *last == cursor->ordinal);
        if (keep && cursor->has_where) {
            size_t at = ddb_coll_lower_u64(cursor->where.anchors, cursor->where.count, part->anchors[i]);
            keep = at < cursor->where.count && cursor->where.anchors[at] == part->anchors[i];
        }
        cursor->part_keep[i] = keep;
    }
    dreamdb_status status = ddb_view_tomb(ctx, cursor->view, &tomb);
    if (status < 0 || ddb_tomb_empty(tomb)) {
        return status;
    }
    size_t live = part->count;
    uint64_t *sorted = ddb_mem_new(ctx, uint64_t, part->count);
    if (!sorted) {
        return DREAMDB_ERR_MEMORY;
    }
    memcpy(sorted, part->anchors, part->count * sizeof *sorted);
    status = ddb_coll_sort_u64(ctx, sorted, live);
    live = ddb_coll_unique_u64(sorted, live);
    if (status == DREAMDB_OK) {
        status = ddb_scan_live(ctx, cursor->view, sorted, &live);
    }
    for (size_t i = 0; i < part->count && status == DREAMDB_OK; i++) {
        size_t at = ddb_coll_lower_u64(sorted, live, part->anchors[i]);
        cursor->part_keep[i] = cursor->part_keep[i] && at < live && sorted[at] == part->anchors[i];
    }
    ddb_mem_drop(ctx, sorted, uint64_t, part->count);
    return status;
}

/* The floats of a record: in the bucket's own memory where that is native and aligned, else a copy in the pass arena. */
DDB_FN const float *ddb_scan_record_floats(ddb_ctx *ctx, dreamdb_cursor *cursor, size_t i)
{
    const ddb_bucket *bucket = &cursor->part.bucket;
    const uint8_t *at = bucket->records + i * bucket->record_size + 8;
    uint64_t dim = cursor->fields[0]->schema->dim;
    if (!DDB_PORT_BIG_ENDIAN && (uintptr_t)at % sizeof(float) == 0) {
        return (const float *)(const void *)at;
    }
    float *copy = ddb_mem_arena_new(ctx, &cursor->pass, float, (size_t)dim);
    if (copy) {
        ddb_bucket_vector(bucket, i, dim, copy);
    }
    return copy;
}

/* Rows in storage order: from one part (Track row) at a time, so what was given stays valid until the next call. */
DDB_FN dreamdb_status ddb_scan_rows_storage(ddb_ctx *ctx, dreamdb_cursor *cursor, dreamdb_row *rows, size_t max, size_t *got)
{
    uint64_t dim = cursor->fields[0]->schema->dim;
    ddb_mem_arena_free(ctx, &cursor->pass);
    if (max > cursor->row_cap) {
        ddb_mem_drop(ctx, cursor->row_values, dreamdb_value, cursor->row_cap);
        cursor->row_cap = 0;
        cursor->row_values = ddb_mem_new(ctx, dreamdb_value, max);
        if (!cursor->row_values) {
            return DREAMDB_ERR_MEMORY;
        }
        cursor->row_cap = max;
    }
    while (*got < max && cursor->given < cursor->limit) {
        if (cursor->part_at == cursor->part.count) {
            if (*got > 0 && cursor->source.at == cursor->source.count) {
                return DREAMDB_OK;                           /* the next part frees the memory of what was just given */
            }
            dreamdb_status status = ddb_scan_source_next(ctx, &cursor->source, &cursor->part);
            cursor->part_at = 0;
            status = status == DREAMDB_OK ? ddb_scan_part_filter(ctx, cursor) : status;
            if (status != DREAMDB_OK) {
                cursor->part.count = 0;
                return status == DREAMDB_DONE && *got > 0 ? DREAMDB_OK : status;
            }
            continue;
        }
        size_t i = cursor->part_at++;
        if (cursor->part_keep[i]) {
            dreamdb_value *value = cursor->row_values + *got;
            value->kind = DREAMDB_EMBEDDING;
            value->present = 1;
            value->data = ddb_scan_record_floats(ctx, cursor, i);
            value->size = dim * sizeof(float);
            if (!value->data) {
                return DREAMDB_ERR_MEMORY;
            }
            rows[*got].anchor = cursor->part.anchors[i];
            rows[(*got)++].values = value;
            cursor->given++;
        }
    }
    return *got > 0 ? DREAMDB_OK : DREAMDB_DONE;
}

/* Next rows, at most max; DONE with *got 0 at the end. */
DDB_FN dreamdb_status ddb_scan_rows(ddb_ctx *ctx, dreamdb_cursor *cursor, dreamdb_row *rows, size_t max, size_t *got)
{
    dreamdb_status status = DREAMDB_OK;
    *got = 0;
    if (max == 0) {
        return DREAMDB_OK;
    }
    do {
        status = cursor->storage ? ddb_scan_rows_storage(ctx, cursor, rows, max, got) : ddb_scan_rows_anchor(ctx, cursor, rows, max, got);
    } while (status == DREAMDB_OK && *got == 0);
    return status;
}

/* ---- Single values ---- */

/* The bytes of a constant; they stay in the view. */
DDB_FN dreamdb_status ddb_scan_constant(ddb_ctx *ctx, dreamdb_snapshot *view, const char *name, const void **data, size_t *size)
{
    ddb_view_field *field = NULL;
    ddb_object object;
    dreamdb_status status = ddb_view_field_named(ctx, view, name, &field);
    if (status == DREAMDB_OK && field->cls != DDB_TRACK_CONSTANT) {
        status = ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s` is no constant", name);
    }
    if (status == DREAMDB_OK) {
        status = ddb_view_need(ctx, view, &field, 1, DDB_VIEW_TRACK);
    }
    if (status < 0) {
        return status;
    }
    ddb_port_lock(&view->lock);
    char *folder = ddb_view_folder(ctx, &view->arena, field, NULL);
    char *path = folder ? ddb_addr_path(ctx, &view->arena, folder, &field->track.constant) : NULL;
    status = path ? ddb_object_get(ctx, view->db->env, path, &field->track.constant, 0, &object) : DREAMDB_ERR_MEMORY;
    if (status == DREAMDB_OK) {
        *data = ddb_mem_arena_copy(ctx, &view->arena, object.data, object.size);
        *size = object.size;
        status = *data ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
        ddb_object_release(view->db->env, &object);
    }
    ddb_port_unlock(&view->lock);
    return status;
}

/* Part of the payload of the winning row of one anchor. */
DDB_FN dreamdb_status ddb_scan_media(ddb_ctx *ctx, dreamdb_snapshot *view, const char *name, uint64_t anchor, uint64_t offset, void *out, size_t size, size_t *got)
{
    ddb_view_field *field = NULL;
    ddb_arena arena = {NULL, 0};
    ddb_track_select select;
    ddb_row *rows = NULL;
    size_t count = 0, live = 1;
    uint64_t alone = anchor;
    memset(&select, 0, sizeof select);
    *got = 0;
    dreamdb_status status = ddb_view_field_named(ctx, view, name, &field);
    if (status == DREAMDB_OK && field->cls != DDB_TRACK_ITEM) {
        status = ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s` holds no media", name);
    }
    if (status == DREAMDB_OK) {
        status = ddb_view_need(ctx, view, &field, 1, DDB_VIEW_TRACK);
    }
    if (status == DREAMDB_OK) {
        status = ddb_scan_live(ctx, view, &alone, &live);
    }
    select.by_time = true;
    select.start = anchor;
    select.end = anchor + 1;
    if (status == DREAMDB_OK) {
        status = ddb_track_collect(ctx, view->db->env, &arena, &field->track, &select, &rows, &count);
    }
    if (status == DREAMDB_OK && (count == 0 || live == 0)) {
        status = ddb_mem_fail(ctx, DREAMDB_ERR_NOT_FOUND, "field `%s` has no row at anchor %llu", name, (unsigned long long)anchor);
    }
    if (status == DREAMDB_OK) {
        status = ddb_item_read(ctx, view->db->env, &field->binding->timeline, field->binding->modality, rows + count - 1, offset, out, size, got);
    }
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

/* ==== ROOM 32 query | prefix ddb_query_ | uses port mem bytes coll exact bound pool addr object page track tomb index bucket view scan ==== */
/* Vector search over the cells of one view.  Each probed cell is read once, verified, and kept in a layout made for the scan (unit rows,
   8-bit codes: room bound) under db->cells_cap; the answer is the exact left fold of the format, the same for every SIMD level, thread
   count and cache size, ties by place in the Track.  Deleted rows are left out when a cell is built (a view never changes). */

#define DDB_QUERY_CHUNK 64u              /* cells pinned at once by one query: bounds what a search holds beyond the cap */
#define DDB_QUERY_LOAD_BYTES (64u << 20) /* buckets fetched in one batch when cells are built */

/* One cell ready to scan. */
typedef struct ddb_query_cell {
    ddb_bound_set *set;                  /* cosine; NULL when the cell has no row */
    float         *rows;                 /* l2: [count][dim] */
    uint64_t      *anchors;              /* [count], Track order */
    size_t         count, bytes;
    uint64_t       used;                 /* clock of the last use */
    uint32_t       pins;
    bool           loaded;
} ddb_query_cell;

typedef struct ddb_query_field { ddb_map keys; ddb_query_cell *cells; size_t count, cap; uint32_t dim; } ddb_query_field;

struct ddb_query_cells { ddb_port_mutex lock; ddb_query_field *fields; size_t field_count; uint64_t bytes, clock; };
typedef struct ddb_query_cells ddb_query_cells;

DDB_FN void ddb_query_cell_drop(ddb_ctx *ctx, ddb_query_cells *all, const ddb_query_field *field, ddb_query_cell *cell)
{
    if (cell->set) {
        ddb_bound_free(ctx, cell->set);
    }
    ddb_mem_drop(ctx, cell->rows, float, cell->count * field->dim);
    ddb_mem_drop(ctx, cell->anchors, uint64_t, cell->count);
    all->bytes -= cell->bytes;
    cell->set = NULL;
    cell->rows = NULL;
    cell->anchors = NULL;
    cell->count = cell->bytes = 0;
    cell->loaded = false;
}

DDB_FN void ddb_query_cells_free(ddb_ctx *ctx, void *user)
{
    ddb_query_cells *all = (ddb_query_cells *)user;
    for (size_t f = 0; f < all->field_count; f++) {
        ddb_query_field *field = all->fields + f;
        for (size_t i = 0; i < field->count; i++) {
            ddb_query_cell_drop(ctx, all, field, field->cells + i);
        }
        ddb_mem_drop(ctx, field->cells, ddb_query_cell, field->cap);
        ddb_coll_map_free(ctx, &field->keys);
    }
    ddb_mem_drop(ctx, all->fields, ddb_query_field, all->field_count);
    ddb_port_mutex_free(&all->lock);
    ddb_mem_drop(ctx, all, ddb_query_cells, 1);
}

/* The table of the view's cells, made at the first search. */
DDB_FN dreamdb_status ddb_query_cells_of(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_query_cells **out)
{
    dreamdb_status status = DREAMDB_OK;
    ddb_port_lock(&view->lock);
    if (!view->cells) {
        ddb_query_cells *all = ddb_mem_new(ctx, ddb_query_cells, 1);
        ddb_query_field *fields = all ? ddb_mem_new(ctx, ddb_query_field, view->schema.count) : NULL;
        if (fields && ddb_port_mutex_init(&all->lock)) {
            all->fields = fields;
            all->field_count = view->schema.count;
            view->cells = all;
            view->cells_free = ddb_query_cells_free;
        } else {
            ddb_mem_drop(ctx, fields, ddb_query_field, view->schema.count);
            ddb_mem_drop(ctx, all, ddb_query_cells, 1);
            status = DREAMDB_ERR_MEMORY;
        }
    }
    *out = (ddb_query_cells *)view->cells;
    ddb_port_unlock(&view->lock);
    return status;
}

/* A search in progress on one field of one view. */
typedef struct ddb_query_run {
    dreamdb_snapshot *view;
    ddb_view_field   *field;
    ddb_query_cells  *cells;
    ddb_query_field  *table;
    const dreamdb_query *query;
    ddb_scan_list     where;
    uint32_t          dim, top_k;
    bool              l2, has_where;
    uint64_t          cells_probed, cells_read, candidates;    /* under cells->lock */
} ddb_query_run;

/* ---- Building cells ---- */

/* One cell being built: its rows of the Track and their buckets. */
typedef struct ddb_query_build {
    const ddb_query_run *run;
    ddb_tomb            *tomb;
    const ddb_row       *rows;
    const ddb_object_want *wants;
    size_t               row_count;
    ddb_query_cell       cell;           /* out */
    dreamdb_error        error;
    dreamdb_status       status;
    dreamdb_allocator    allocator;
    uint32_t             cpu;
} ddb_query_build;

/* Marks deleted records and repeats of one anchor with one vector (keep 0). */
DDB_FN dreamdb_status ddb_query_build_filter(ddb_ctx *ctx, const ddb_query_build *build, const uint64_t *anchors, const float *vectors, size_t count, uint8_t *keep)
{
    uint32_t dim = build->run->dim;
    bool ascending = true;
    memset(keep, 1, count);
    for (size_t i = 1; i < count && ascending; i++) {
        ascending = anchors[i - 1] < anchors[i];
    }
    if (ascending && ddb_tomb_empty(build->tomb)) {
        return DREAMDB_OK;
    }
    uint64_t *sorted = ddb_mem_new(ctx, uint64_t, count);
    uint8_t *deleted = ddb_mem_new(ctx, uint8_t, count);
    size_t distinct = count;
    dreamdb_status status = sorted && deleted ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    if (status == DREAMDB_OK) {
        memcpy(sorted, anchors, count * sizeof *sorted);
        status = ddb_coll_sort_u64(ctx, sorted, count);
        distinct = ddb_coll_unique_u64(sorted, count);
    }
    if (status == DREAMDB_OK && !ddb_tomb_empty(build->tomb)) {
        status = ddb_tomb_test(ctx, build->tomb, sorted, distinct, deleted);
    }
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        keep[i] = !deleted[ddb_coll_lower_u64(sorted, distinct, anchors[i])];
    }
    if (status == DREAMDB_OK && distinct < count) {
        ddb_map seen;                                        /* anchor and vector, to the record that keeps the place */
        memset(&seen, 0, sizeof seen);
        seen.key_size = 8 + (size_t)dim * sizeof(float);
        uint8_t *key = (uint8_t *)ddb_mem_alloc(ctx, seen.key_size);
        status = key ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
        for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
            bool fresh = true;
            memcpy(key, anchors + i, 8);
            memcpy(key + 8, vectors + i * dim, (size_t)dim * sizeof(float));
            status = ddb_coll_map_put(ctx, &seen, key, i, NULL, &fresh);
            keep[i] = keep[i] && fresh;
        }
        ddb_mem_free(ctx, key, seen.key_size);
        ddb_coll_map_free(ctx, &seen);
    }
    ddb_mem_drop(ctx, sorted, uint64_t, count);
    ddb_mem_drop(ctx, deleted, uint8_t, count);
    return status;
}

/* Unit rows for cosine; drops what the filter leaves out.  Returns the new count; a stored vector without a direction is left out. */
DDB_FN size_t ddb_query_build_settle(const ddb_query_build *build, uint64_t *anchors, float *vectors, size_t count, const uint8_t *keep)
{
    uint32_t dim = build->run->dim;
    size_t out = 0;
    ddb_exact_env env;
    ddb_exact_enter(&env);
    for (size_t i = 0; i < count; i++) {
        bool good = keep[i] != 0;
        if (good && build->run->l2) {
            memmove(vectors + out * dim, vectors + i * dim, dim * sizeof(float));
        } else if (good) {
            good = ddb_exact_unit(vectors + i * dim, dim, vectors + out * dim) == DDB_EXACT_GOOD;
        }
        if (good) {
            anchors[out++] = anchors[i];
        }
    }
    ddb_exact_leave(&env);
    return out;
}

/* Reads the records of all buckets of a cell, in Track order. */
DDB_FN dreamdb_status ddb_query_build_read(ddb_ctx *ctx, const ddb_query_build *build, uint64_t **anchors, float **vectors, size_t *count)
{
    const ddb_query_run *run = build->run;
    size_t total = 0, floats = 0;
    for (int pass = 0; pass < 2; pass++) {
        size_t at = 0;
        for (size_t r = 0; r < build->row_count; r++) {
            ddb_bucket bucket;
            const ddb_object_want *want = build->wants + r;
            dreamdb_status status = ddb_bucket_open(ctx, ddb_bytes_slice(want->object.data, want->object.size), want->path, run->dim, run->field->binding->modality, &bucket);
            if (status < 0) {
                return status;
            }
            if (!ddb_addr_equal(&bucket.index, &run->field->registry.index)) {
                return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, want->path, "bucket was placed under another spatial index than the field's");
            }
            for (size_t i = 0; pass && i < bucket.count; i++, at++) {
                (*anchors)[at] = ddb_bucket_anchor(&bucket, i);
                ddb_bucket_vector(&bucket, i, run->dim, *vectors + at * run->dim);
            }
            total += pass ? 0 : bucket.count;
        }
        if (pass == 0) {
            if (!ddb_mem_mul(total, run->dim, &floats)) {
                return ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "a cell of %zu records is too big", total);
            }
            *anchors = ddb_mem_new(ctx, uint64_t, total);
            *vectors = ddb_mem_new(ctx, float, floats);
            *count = total;
            if (!*anchors || !*vectors) {
                return DREAMDB_ERR_MEMORY;
            }
        }
    }
    return DREAMDB_OK;
}

/* Builds one cell; runs on a worker. */
DDB_FN dreamdb_status ddb_query_build_cell(ddb_ctx *ctx, ddb_query_build *build)
{
    uint64_t *anchors = NULL;
    float *vectors = NULL;
    uint8_t *keep = NULL;
    size_t count = 0, kept = 0;
    uint32_t dim = build->run->dim;
    ddb_query_cell *cell = &build->cell;
    dreamdb_status status = ddb_query_build_read(ctx, build, &anchors, &vectors, &count);
    keep = status == DREAMDB_OK ? ddb_mem_new(ctx, uint8_t, count) : NULL;
    status = status == DREAMDB_OK && !keep ? DREAMDB_ERR_MEMORY : status;
    if (status == DREAMDB_OK) {
        status = ddb_query_build_filter(ctx, build, anchors, vectors, count, keep);
    }
    if (status == DREAMDB_OK) {
        kept = ddb_query_build_settle(build, anchors, vectors, count, keep);
        cell->anchors = kept > 0 ? ddb_mem_new(ctx, uint64_t, kept) : NULL;
        cell->rows = kept > 0 && build->run->l2 ? ddb_mem_new(ctx, float, kept * dim) : NULL;
        status = kept > 0 && (!cell->anchors || (build->run->l2 && !cell->rows)) ? DREAMDB_ERR_MEMORY : DREAMDB_OK;
        cell->count = kept;
    }
    if (status == DREAMDB_OK && kept > 0) {
        memcpy(cell->anchors, anchors, kept * sizeof *anchors);
        if (cell->rows) {
            memcpy(cell->rows, vectors, kept * dim * sizeof(float));
        } else {
            status = ddb_bound_build(ctx, vectors, dim, kept, dim, 0, &cell->set);
        }
    }
    if (status == DREAMDB_OK) {
        cell->bytes = kept * sizeof(uint64_t) + (cell->rows ? kept * dim * sizeof(float) : 0) + (cell->set ? ddb_bound_bytes(cell->set) : 0) + sizeof *cell;
        cell->loaded = true;
    }
    ddb_mem_drop(ctx, keep, uint8_t, count);
    ddb_mem_drop(ctx, vectors, float, count * dim);
    ddb_mem_drop(ctx, anchors, uint64_t, count);
    return status;
}

DDB_FN void ddb_query_build_task(void *user, uint32_t index)
{
    ddb_query_build *build = (ddb_query_build *)user + index;
    ddb_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    memset(&build->error, 0, sizeof build->error);
    ctx.allocator = build->allocator;
    ctx.cpu = build->cpu;
    ctx.error = &build->error;
    build->status = ddb_query_build_cell(&ctx, build);
}

/* Frees the longest unused cells that nobody pins until the cap holds. */
DDB_FN void ddb_query_evict(ddb_ctx *ctx, ddb_query_cells *all, uint64_t cap)
{
    while (all->bytes > cap) {
        ddb_query_cell *oldest = NULL;
        ddb_query_field *owner = NULL;
        for (size_t f = 0; f < all->field_count; f++) {
            for (size_t i = 0; i < all->fields[f].count; i++) {
                ddb_query_cell *cell = all->fields[f].cells + i;
                if (cell->loaded && cell->pins == 0 && cell->bytes > 0 && (!oldest || cell->used < oldest->used)) {
                    oldest = cell;
                    owner = all->fields + f;
                }
            }
        }
        if (!oldest) {
            return;
        }
        ddb_query_cell_drop(ctx, all, owner, oldest);
    }
}

/* Fetches the buckets of rows[0..count) and builds the cells of the keys they belong to; slots[i] is the table slot of keys[i] (sorted). */
DDB_FN dreamdb_status ddb_query_build_group(ddb_ctx *ctx, ddb_query_run *run, ddb_arena *arena, const ddb_row *rows, size_t count,
                                            const ddb_slice *keys, const size_t *slots, size_t key_count)
{
    ddb_object_want *wants = ddb_mem_arena_new(ctx, arena, ddb_object_want, count);
    ddb_query_build *builds = ddb_mem_arena_new(ctx, arena, ddb_query_build, key_count);
    char *folder = ddb_view_folder(ctx, arena, run->field, NULL);
    ddb_tomb *tomb = NULL;
    dreamdb_status status = wants && builds && folder ? ddb_view_tomb(ctx, run->view, &tomb) : DREAMDB_ERR_MEMORY;
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        wants[i].path = ddb_bucket_path(ctx, arena, folder, rows + i);
        wants[i].addr = rows[i].addr;
        wants[i].size = rows[i].size;
        status = wants[i].path ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    }
    if (status == DREAMDB_OK && count > 0) {
        status = ddb_object_get_many(ctx, run->view->db->env, wants, count);
    }
    if (status < 0) {
        return status;
    }
    size_t at = 0;
    for (size_t k = 0; k < key_count; k++) {
        size_t from = at;
        while (at < count && ddb_bytes_equal(rows[at].key, keys[k])) {
            at++;
        }
        builds[k].run = run;
        builds[k].tomb = tomb;
        builds[k].rows = rows + from;
        builds[k].wants = wants + from;
        builds[k].row_count = at - from;
        builds[k].allocator = ctx->allocator;
        builds[k].cpu = ctx->cpu;
    }
    ddb_pool_run(run->view->db->env->pool, ddb_query_build_task, builds, (uint32_t)key_count);
    for (size_t k = 0; k < key_count; k++) {
        ddb_query_cell *cell = run->table->cells + slots[k];
        uint32_t pins = cell->pins;
        *cell = builds[k].cell;
        cell->pins = pins;
        cell->used = ++run->cells->clock;
        run->cells->bytes += cell->bytes;
        if (builds[k].status < 0) {
            run->cells->bytes += 0;
            ddb_query_cell_drop(ctx, run->cells, run->table, cell);
            status = status < 0 ? status : ddb_mem_adopt(ctx, &builds[k].error);
        }
    }
    for (size_t i = 0; i < count; i++) {
        ddb_object_release(run->view->db->env, &wants[i].object);
    }
    return status;
}

/* Builds the missing cells of a sorted list of keys: Track rows, then buckets in batches of bounded bytes. */
DDB_FN dreamdb_status ddb_query_load(ddb_ctx *ctx, ddb_query_run *run, const ddb_slice *keys, const size_t *slots, size_t count)
{
    ddb_arena arena = {NULL, 0};
    ddb_track_select select;
    ddb_row *rows = NULL;
    size_t row_count = 0, from = 0, key = 0;
    memset(&select, 0, sizeof select);
    select.keys = keys;
    select.key_count = count;
    dreamdb_status status = ddb_track_collect(ctx, run->view->db->env, &arena, &run->field->track, &select, &rows, &row_count);
    while (key < count && status == DREAMDB_OK) {
        size_t to = from, first = key;
        uint64_t bytes = 0;
        while (key < count && (bytes < DDB_QUERY_LOAD_BYTES || key == first)) {
            for (; to < row_count && ddb_bytes_equal(rows[to].key, keys[key]); to++) {
                bytes += rows[to].size;
            }
            key++;
        }
        status = ddb_query_build_group(ctx, run, &arena, rows + from, to - from, keys + first, slots + first, key - first);
        from = to;
    }
    if (status == DREAMDB_OK && from != row_count) {
        status = ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, run->view->path, "the Track gives rows of a cell that is not in its place");
    }
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

/* ---- Pinning ---- */

/* A probed cell: its packed key, its rank among the probed in key order, its slot. */
typedef struct ddb_query_probe { const uint8_t *key; uint64_t rank; size_t slot; } ddb_query_probe;

DDB_FN int ddb_query_probe_compare(const void *a, const void *b, void *user)
{
    const ddb_query_probe *const *x = (const ddb_query_probe *const *)a, *const *y = (const ddb_query_probe *const *)b;
    return memcmp((*x)->key, (*y)->key, *(const size_t *)user);
}

/* The slot of a key, made if new; with the lock held. */
DDB_FN dreamdb_status ddb_query_slot(ddb_ctx *ctx, ddb_query_field *table, const uint8_t *key, size_t *slot)
{
    uint64_t *at = NULL;
    bool fresh = false;
    dreamdb_status status = ddb_coll_map_put(ctx, &table->keys, key, table->count, &at, &fresh);
    if (status < 0) {
        return status;
    }
    *slot = (size_t)*at;
    if (fresh && table->count == table->cap) {
        size_t cap = table->cap > 0 ? table->cap * 2 : 64;
        ddb_query_cell *cells = (ddb_query_cell *)ddb_mem_resize(ctx, table->cells, table->cap * sizeof *cells, cap * sizeof *cells);
        if (!cells) {
            *at = UINT64_MAX;                                /* the next try finds it and grows again */
            return DREAMDB_ERR_MEMORY;
        }
        table->cells = cells;
        table->cap = cap;
    }
    if (fresh || *at == UINT64_MAX) {
        *at = table->count;
        *slot = table->count;
        memset(table->cells + table->count++, 0, sizeof *table->cells);
    }
    return DREAMDB_OK;
}

/* Finds what is missing among the probes (slots set), sorted by key. */
DDB_FN dreamdb_status ddb_query_missing(ddb_ctx *ctx, ddb_query_run *run, ddb_arena *arena, ddb_query_probe *probes, size_t count,
                                        ddb_slice **keys, size_t **slots, size_t *missing)
{
    size_t key_size = ddb_index_key_size(run->field->index);
    const ddb_query_probe **order = ddb_mem_arena_new(ctx, arena, const ddb_query_probe *, count);
    *keys = ddb_mem_arena_new(ctx, arena, ddb_slice, count);
    *slots = ddb_mem_arena_new(ctx, arena, size_t, count);
    *missing = 0;
    if (!order || !*keys || !*slots) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        if (!run->table->cells[probes[i].slot].loaded) {
            order[(*missing)++] = probes + i;
        }
    }
    dreamdb_status status = ddb_coll_sort(ctx, order, *missing, sizeof *order, ddb_query_probe_compare, &key_size);
    for (size_t i = 0; i < *missing && status == DREAMDB_OK; i++) {
        char *text = (char *)ddb_mem_arena_alloc(ctx, arena, (size_t)ddb_index_bits(run->field->index) + 1);
        if (!text) {
            return DREAMDB_ERR_MEMORY;
        }
        ddb_index_key_text(run->field->index, order[i]->key, text);
        (*keys)[i] = ddb_bytes_text(text);
        (*slots)[i] = order[i]->slot;
    }
    return status;
}

/* Pins the cells of at most DDB_QUERY_CHUNK probes, loading those that are missing. */
DDB_FN dreamdb_status ddb_query_pin(ddb_ctx *ctx, ddb_query_run *run, ddb_query_probe *probes, size_t count)
{
    dreamdb_status status = DREAMDB_OK;
    size_t missing = 0, pinned = 0;
    ddb_port_lock(&run->cells->lock);
    for (; pinned < count && status == DREAMDB_OK; pinned++) {
        status = ddb_query_slot(ctx, run->table, probes[pinned].key, &probes[pinned].slot);
        if (status < 0) {
            break;
        }
        ddb_query_cell *cell = run->table->cells + probes[pinned].slot;
        cell->pins++;
        cell->used = ++run->cells->clock;
        missing += !cell->loaded;
    }
    if (status == DREAMDB_OK && missing > 0) {
        ddb_arena arena = {NULL, 0};
        ddb_slice *keys = NULL;
        size_t *slots = NULL;
        status = ddb_query_missing(ctx, run, &arena, probes, count, &keys, &slots, &missing);
        if (status == DREAMDB_OK) {
            status = ddb_query_load(ctx, run, keys, slots, missing);
        }
        ddb_mem_arena_free(ctx, &arena);
    }
    if (status == DREAMDB_OK) {
        run->cells_probed += count;
        for (size_t i = 0; i < count; i++) {
            run->cells_read += run->table->cells[probes[i].slot].count > 0;
            run->candidates += run->table->cells[probes[i].slot].count;
        }
    } else {
        for (size_t i = 0; i < pinned; i++) {
            run->table->cells[probes[i].slot].pins--;
        }
    }
    ddb_port_unlock(&run->cells->lock);
    return status;
}

DDB_FN void ddb_query_unpin(ddb_ctx *ctx, ddb_query_run *run, const ddb_query_probe *probes, size_t count)
{
    ddb_port_lock(&run->cells->lock);
    for (size_t i = 0; i < count; i++) {
        run->table->cells[probes[i].slot].pins--;
    }
    if (run->cells->bytes > run->view->db->cells_cap) {
        ddb_query_evict(ctx, run->cells, run->view->db->cells_cap);
    }
    ddb_port_unlock(&run->cells->lock);
}

/* ---- One query ---- */

typedef struct ddb_query_found { uint64_t anchor; float score; } ddb_query_found;

/* Top k of squared distances, smallest first, for the l2 metric; ties by ordinal. */
typedef struct ddb_query_near { float *scores; uint64_t *ordinals; size_t count, cap; } ddb_query_near;

/* State of one query vector. */
typedef struct ddb_query_one {
    ddb_query_run  *run;
    const float    *vector;              /* unit for cosine */
    ddb_bound_query *bound;
    ddb_query_near  near;
    uint64_t        live;                /* rows scanned that the predicate keeps */
    uint8_t        *keep;
    size_t          keep_cap;
} ddb_query_one;

DDB_FN void ddb_query_near_add(ddb_query_near *near, float score, uint64_t ordinal)
{
    size_t at = near->count;
    if (at == near->cap && (score > near->scores[at - 1] || (score == near->scores[at - 1] && ordinal > near->ordinals[at - 1]))) {
        return;
    }
    at = at == near->cap ? at - 1 : at;
    while (at > 0 && (near->scores[at - 1] > score || (near->scores[at - 1] == score && near->ordinals[at - 1] > ordinal))) {
        near->scores[at] = near->scores[at - 1];
        near->ordinals[at] = near->ordinals[at - 1];
        at--;
    }
    near->scores[at] = score;
    near->ordinals[at] = ordinal;
    near->count += near->count < near->cap;
}

/* f32 of the f64 sum of squared differences, index order (spatial.md 3). */
DDB_FN void ddb_query_scan_l2(ddb_query_one *one, const ddb_query_cell *cell, uint64_t base, const uint8_t *keep)
{
    uint32_t dim = one->run->dim;
    ddb_exact_env env;
    ddb_exact_enter(&env);
    for (size_t i = 0; i < cell->count; i++) {
        if (!keep || keep[i]) {
            ddb_query_near_add(&one->near, ddb_exact_dist2_wide(cell->rows + i * dim, one->vector, dim), base + i);
        }
    }
    ddb_exact_leave(&env);
}

/* Which rows of a cell the predicate keeps; NULL when there is none. */
DDB_FN dreamdb_status ddb_query_keep(ddb_ctx *ctx, ddb_query_one *one, const ddb_query_cell *cell, const uint8_t **keep)
{
    const ddb_scan_list *where = &one->run->where;
    *keep = NULL;
    if (!one->run->has_where) {
        one->live += cell->count;
        return DREAMDB_OK;
    }
    if (cell->count > one->keep_cap) {
        ddb_mem_drop(ctx, one->keep, uint8_t, one->keep_cap);
        one->keep_cap = 0;
        one->keep = ddb_mem_new(ctx, uint8_t, cell->count);
        if (!one->keep) {
            return DREAMDB_ERR_MEMORY;
        }
        one->keep_cap = cell->count;
    }
    for (size_t i = 0; i < cell->count; i++) {
        size_t at = ddb_coll_lower_u64(where->anchors, where->count, cell->anchors[i]);
        one->keep[i] = at < where->count && where->anchors[at] == cell->anchors[i];
        one->live += one->keep[i];
    }
    *keep = one->keep;
    return DREAMDB_OK;
}

/* Scans probes[0..count) in the order given, a chunk of cells pinned at a time. */
DDB_FN dreamdb_status ddb_query_scan(ddb_ctx *ctx, ddb_query_one *one, ddb_query_probe *probes, size_t count)
{
    dreamdb_status status = DREAMDB_OK;
    for (size_t from = 0; from < count && status == DREAMDB_OK; from += DDB_QUERY_CHUNK) {
        size_t n = count - from < DDB_QUERY_CHUNK ? count - from : DDB_QUERY_CHUNK;
        status = ddb_query_pin(ctx, one->run, probes + from, n);
        if (status < 0) {
            return status;
        }
        for (size_t i = 0; i < n && status == DREAMDB_OK; i++) {
            ddb_port_lock(&one->run->cells->lock);           /* the table may be moving while another query adds a cell */
            ddb_query_cell cell = one->run->table->cells[probes[from + i].slot];
            ddb_port_unlock(&one->run->cells->lock);
            uint64_t base = probes[from + i].rank << 32;
            const uint8_t *keep = NULL;
            if (cell.count == 0) {
                continue;
            }
            status = ddb_query_keep(ctx, one, &cell, &keep);
            if (status == DREAMDB_OK && one->run->l2) {
                ddb_query_scan_l2(one, &cell, base, keep);
            } else if (status == DREAMDB_OK) {
                status = ddb_bound_query_scan(ctx, one->bound, cell.set, base, keep);
            }
        }
        ddb_query_unpin(ctx, one->run, probes + from, n);
    }
    return status;
}

/* Ranks in key order, so that ordinals follow the Track. */
DDB_FN dreamdb_status ddb_query_rank(ddb_ctx *ctx, const ddb_query_run *run, ddb_arena *arena, ddb_query_probe *probes, size_t count)
{
    size_t key_size = ddb_index_key_size(run->field->index);
    ddb_query_probe **order = ddb_mem_arena_new(ctx, arena, ddb_query_probe *, count);
    if (!order) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        order[i] = probes + i;
    }
    dreamdb_status status = ddb_coll_sort(ctx, order, count, sizeof *order, ddb_query_probe_compare, &key_size);
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        order[i]->rank = i;
    }
    return status;
}

/* Every cell of the Track, as packed keys in key order. */
DDB_FN dreamdb_status ddb_query_all_keys(ddb_ctx *ctx, const ddb_query_run *run, ddb_arena *arena, uint8_t **keys, size_t *count)
{
    size_t key_size = ddb_index_key_size(run->field->index);
    ddb_track_cursor *cursor = NULL;
    ddb_buf all;
    ddb_bytes_init(&all, ctx);
    dreamdb_status status = ddb_track_open(ctx, run->view->db->env, &run->field->track, NULL, &cursor);
    while (status == DREAMDB_OK) {
        const ddb_row *row = NULL;
        uint8_t key[64];
        status = ddb_track_next(ctx, cursor, &row);
        if (status == DREAMDB_OK && (key_size > sizeof key || !ddb_index_key_parse(run->field->index, row->key, key))) {
            status = ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, run->view->path, "the Track names a cell `%.*s` that its index cannot have",
                                     (int)(row->key.size < 80 ? row->key.size : 80), (const char *)row->key.data);
        }
        if (status == DREAMDB_OK && (all.size == 0 || memcmp(all.data + all.size - key_size, key, key_size) != 0)) {
            ddb_bytes_put(&all, key, key_size);
        }
    }
    if (cursor) {
        ddb_track_close(ctx, cursor);
    }
    status = status == DREAMDB_DONE ? ddb_bytes_status(&all) : status;
    *count = all.size / key_size;
    *keys = status == DREAMDB_OK ? (uint8_t *)ddb_mem_arena_copy(ctx, arena, all.data, all.size) : NULL;
    ddb_bytes_free(&all);
    return status == DREAMDB_OK && !*keys ? DREAMDB_ERR_MEMORY : status;
}

/* The probe list: packed keys in the order to scan. */
DDB_FN dreamdb_status ddb_query_list(ddb_ctx *ctx, const ddb_query_one *one, ddb_arena *arena, uint64_t nprobe, ddb_query_probe **probes, size_t *count)
{
    size_t key_size = ddb_index_key_size(one->run->field->index);
    uint8_t *keys = NULL;
    dreamdb_status status = nprobe == 0 ? ddb_query_all_keys(ctx, one->run, arena, &keys, count)
                                        : ddb_index_probe(ctx, one->run->field->index, one->vector, nprobe, arena, &keys, count);
    *probes = status == DREAMDB_OK ? ddb_mem_arena_new(ctx, arena, ddb_query_probe, *count) : NULL;
    if (status == DREAMDB_OK && !*probes) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < *count && status == DREAMDB_OK; i++) {
        (*probes)[i].key = keys + i * key_size;
    }
    return status < 0 ? status : ddb_query_rank(ctx, one->run, arena, *probes, *count);
}

/* Starts (again) the collector. */
DDB_FN dreamdb_status ddb_query_one_begin(ddb_ctx *ctx, ddb_query_one *one, ddb_arena *arena)
{
    one->live = 0;
    if (one->run->l2) {
        one->near.cap = one->run->top_k;
        one->near.count = 0;
        one->near.scores = ddb_mem_arena_new(ctx, arena, float, one->near.cap);
        one->near.ordinals = ddb_mem_arena_new(ctx, arena, uint64_t, one->near.cap);
        return one->near.scores && one->near.ordinals ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    }
    if (one->bound) {
        ddb_bound_query_free(ctx, one->bound);
        one->bound = NULL;
    }
    return ddb_bound_query_init(ctx, one->vector, one->run->dim, one->run->top_k, &one->bound);
}

/* Reads the anchors behind the ordinals of the best. */
DDB_FN dreamdb_status ddb_query_one_end(ddb_ctx *ctx, ddb_query_one *one, ddb_arena *arena, const ddb_query_probe *probes, size_t probe_count,
                                        ddb_query_found *out, size_t *count)
{
    uint64_t *ordinals = one->near.ordinals;
    float *scores = one->near.scores;
    const ddb_query_probe **by_rank = ddb_mem_arena_new(ctx, arena, const ddb_query_probe *, probe_count);
    *count = one->near.count;
    if (!one->run->l2) {
        ordinals = ddb_mem_arena_new(ctx, arena, uint64_t, one->run->top_k);
        scores = ddb_mem_arena_new(ctx, arena, float, one->run->top_k);
        *count = ordinals && scores ? ddb_bound_query_end(one->bound, ordinals, scores) : 0;
    }
    if (!by_rank || !ordinals || !scores) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < probe_count; i++) {
        by_rank[probes[i].rank] = probes + i;
    }
    for (size_t i = 0; i < *count; i++) {
        ddb_query_probe probe = *by_rank[ordinals[i] >> 32];
        uint64_t probed = one->run->cells_probed, read = one->run->cells_read, candidates = one->run->candidates;
        dreamdb_status status = ddb_query_pin(ctx, one->run, &probe, 1);
        if (status < 0) {
            return status;
        }
        ddb_port_lock(&one->run->cells->lock);
        out[i].anchor = one->run->table->cells[probe.slot].anchors[ordinals[i] & 0xffffffffu];
        one->run->cells_probed = probed;                     /* looking an anchor up again is no probe */
        one->run->cells_read = read;
        one->run->candidates = candidates;
        ddb_port_unlock(&one->run->cells->lock);
        out[i].score = scores[i];
        ddb_query_unpin(ctx, one->run, &probe, 1);
    }
    return DREAMDB_OK;
}

/* Cells to probe first under nprobe = auto: sqrt(k), which gave recall@10 of .96 and more on the sets of peers.md; LSH keeps the format's 32. */
DDB_FN uint64_t ddb_query_auto(const ddb_query_run *run)
{
    uint64_t k = ddb_index_k(run->field->index), n = 8;
    if (k == 0) {
        return 32;
    }
    while (n * n < k) {
        n++;
    }
    return n;
}

/* One query: probe, scan, and with nprobe auto go on until there are enough candidates. */
DDB_FN dreamdb_status ddb_query_one_run(ddb_ctx *ctx, ddb_query_one *one, ddb_query_found *out, size_t *count)
{
    const dreamdb_query *query = one->run->query;
    bool automatic = query->nprobe == DREAMDB_NPROBE_AUTO && !query->exact;
    uint64_t nprobe = query->exact ? 0 : automatic ? ddb_query_auto(one->run) : query->nprobe > 0 ? query->nprobe : 32;
    uint64_t enough = (uint64_t)one->run->top_k * 4;
    dreamdb_status status = DREAMDB_OK;
    for (;;) {
        ddb_arena arena = {NULL, 0};
        ddb_query_probe *probes = NULL;
        size_t probe_count = 0;
        status = ddb_query_one_begin(ctx, one, &arena);
        if (status == DREAMDB_OK) {
            status = ddb_query_list(ctx, one, &arena, nprobe, &probes, &probe_count);
        }
        if (status == DREAMDB_OK) {
            status = ddb_query_scan(ctx, one, probes, probe_count);
        }
        bool more = status == DREAMDB_OK && automatic && nprobe > 0 && one->live < enough;
        if (status == DREAMDB_OK && !more) {
            status = ddb_query_one_end(ctx, one, &arena, probes, probe_count, out, count);
        }
        ddb_mem_arena_free(ctx, &arena);
        if (!more) {
            return status;
        }
        nprobe = probe_count < nprobe || nprobe > UINT64_MAX / 4 ? 0 : nprobe * 4;   /* the list is at its end: every cell */
    }
}

/* ---- Many queries ---- */

typedef struct ddb_query_task {
    ddb_query_run  *run;
    ddb_query_found *found;              /* [count][top_k] */
    size_t         *counts;
    dreamdb_error  *errors;              /* one a query */
    dreamdb_allocator allocator;
    uint32_t        cpu;
} ddb_query_task;

DDB_FN dreamdb_status ddb_query_task_one(ddb_ctx *ctx, ddb_query_task *task, uint32_t index)
{
    ddb_query_one one;
    ddb_query_run *run = task->run;
    memset(&one, 0, sizeof one);
    one.run = run;
    float *vector = ddb_mem_new(ctx, float, run->dim);
    if (!vector) {
        return DREAMDB_ERR_MEMORY;
    }
    one.vector = vector;
    dreamdb_status status = ddb_index_prepare_query(ctx, run->field->index, run->query->vectors + (size_t)index * run->dim, vector);
    if (status == DREAMDB_OK) {
        status = ddb_query_one_run(ctx, &one, task->found + (size_t)index * run->top_k, task->counts + index);
    }
    if (one.bound) {
        ddb_bound_query_free(ctx, one.bound);
    }
    ddb_mem_drop(ctx, one.keep, uint8_t, one.keep_cap);
    ddb_mem_drop(ctx, vector, float, run->dim);
    return status;
}

DDB_FN void ddb_query_task_run(void *user, uint32_t index)
{
    ddb_query_task *task = (ddb_query_task *)user;
    ddb_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    ctx.allocator = task->allocator;
    ctx.cpu = task->cpu;
    ctx.error = task->errors + index;
    task->errors[index].status = ddb_query_task_one(&ctx, task, index);
}

/* Opens the run: field, Track, index, predicate, tables. */
DDB_FN dreamdb_status ddb_query_run_open(ddb_ctx *ctx, dreamdb_snapshot *view, const dreamdb_query *query, ddb_query_run *run)
{
    memset(run, 0, sizeof *run);
    run->view = view;
    run->query = query;
    dreamdb_status status = ddb_view_field_named(ctx, view, query->field, &run->field);
    if (status < 0) {
        return status;
    }
    if (run->field->cls != DDB_TRACK_SPATIAL) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "field `%s` is no embedding: it cannot be searched", query->field);
    }
    if (run->field->registry.has_compressor) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_UNSUPPORTED, view->path, "field `%s` is stored as codes of a compressor, which this version does not search", query->field);
    }
    status = ddb_view_need(ctx, view, &run->field, 1, DDB_VIEW_TRACK | DDB_VIEW_INDEX);
    if (status == DREAMDB_OK) {
        status = ddb_query_cells_of(ctx, view, &run->cells);
    }
    if (status == DREAMDB_OK && query->where) {
        run->has_where = true;
        status = ddb_scan_where(ctx, view, query->where, view->db->env->limits.depth, &run->where);
    }
    if (status < 0) {
        return status;
    }
    run->table = run->cells->fields + (run->field - view->fields);
    run->dim = (uint32_t)run->field->schema->dim;
    run->top_k = query->top_k > 0 ? query->top_k : 10;
    run->l2 = ddb_index_metric_l2(run->field->index);
    ddb_port_lock(&run->cells->lock);
    run->table->dim = run->dim;
    run->table->keys.key_size = ddb_index_key_size(run->field->index);
    ddb_port_unlock(&run->cells->lock);
    return DREAMDB_OK;
}

/* The result's own memory begins with the public struct. */
typedef struct ddb_query_result { dreamdb_result result; ddb_arena arena; struct dreamdb *db; } ddb_query_result;

/* Loads the columns asked for, once for each distinct anchor, and points the hits at them. */
DDB_FN dreamdb_status ddb_query_columns(ddb_ctx *ctx, ddb_query_run *run, ddb_query_result *out, dreamdb_hit *hits, size_t count)
{
    const dreamdb_query *query = run->query;
    uint64_t *anchors = ddb_mem_arena_new(ctx, &out->arena, uint64_t, count);
    size_t cells = 0;
    if (!anchors || !ddb_mem_mul(count, query->field_count, &cells)) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        anchors[i] = hits[i].anchor;
    }
    dreamdb_status status = ddb_coll_sort_u64(ctx, anchors, count);
    size_t distinct = ddb_coll_unique_u64(anchors, count);
    dreamdb_value *values = ddb_mem_arena_new(ctx, &out->arena, dreamdb_value, cells);
    const char **names = ddb_mem_arena_new(ctx, &out->arena, const char *, query->field_count);
    if (status < 0 || !values || !names) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t f = 0; f < query->field_count && status == DREAMDB_OK; f++) {
        ddb_view_field *field = NULL;
        status = ddb_view_field_named(ctx, run->view, query->fields[f], &field);
        if (status == DREAMDB_OK) {
            names[f] = ddb_mem_arena_copy(ctx, &out->arena, query->fields[f], strlen(query->fields[f]));
            status = names[f] ? ddb_scan_column_load(ctx, run->view, field, anchors, distinct, query->load_media != 0, &out->arena, values + f, query->field_count)
                              : DREAMDB_ERR_MEMORY;
        }
    }
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        hits[i].values = values + ddb_coll_lower_u64(anchors, distinct, hits[i].anchor) * query->field_count;
    }
    out->result.fields = names;
    out->result.field_count = query->field_count;
    return status;
}

/* Makes the public result of what the tasks found. */
DDB_FN dreamdb_status ddb_query_gather(ddb_ctx *ctx, ddb_query_run *run, const ddb_query_task *task, size_t queries, ddb_query_result *out)
{
    size_t total = 0, at = 0;
    for (size_t q = 0; q < queries; q++) {
        total += task->counts[q];
    }
    dreamdb_hit *hits = ddb_mem_arena_new(ctx, &out->arena, dreamdb_hit, total);
    size_t *ends = ddb_mem_arena_new(ctx, &out->arena, size_t, queries);
    if (!hits || !ends) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t q = 0; q < queries; q++) {
        for (size_t i = 0; i < task->counts[q]; i++, at++) {
            hits[at].anchor = task->found[q * run->top_k + i].anchor;
            hits[at].score = task->found[q * run->top_k + i].score;
        }
        ends[q] = at;
    }
    out->result.hits = hits;
    out->result.count = total;
    out->result.ends = ends;
    out->result.query_count = queries;
    out->result.cells_probed = run->cells_probed;
    out->result.cells_read = run->cells_read;
    out->result.candidates = run->candidates;
    return run->query->field_count > 0 && total > 0 ? ddb_query_columns(ctx, run, out, hits, total) : DREAMDB_OK;
}

/* Runs all queries and fills out->result. */
DDB_FN dreamdb_status ddb_query_run_all(ddb_ctx *ctx, ddb_query_run *run, ddb_query_result *out)
{
    size_t queries = run->query->count > 0 ? run->query->count : 1, all = 0;
    ddb_query_task task;
    memset(&task, 0, sizeof task);
    if (!ddb_mem_mul(queries, run->top_k, &all) || queries > UINT32_MAX) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_LIMIT, "%zu queries of %u hits are too many for one call", queries, (unsigned)run->top_k);
    }
    task.run = run;
    task.allocator = ctx->allocator;
    task.cpu = ctx->cpu;
    task.found = ddb_mem_new(ctx, ddb_query_found, all);
    task.counts = ddb_mem_new(ctx, size_t, queries);
    task.errors = ddb_mem_new(ctx, dreamdb_error, queries);
    dreamdb_status status = task.found && task.counts && task.errors ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    if (status == DREAMDB_OK) {
        ddb_pool_run(run->view->db->env->pool, ddb_query_task_run, &task, (uint32_t)queries);
        for (size_t q = 0; q < queries && status == DREAMDB_OK; q++) {
            status = task.errors[q].status < 0 ? ddb_mem_adopt(ctx, task.errors + q) : DREAMDB_OK;
        }
    }
    if (status == DREAMDB_OK) {
        status = ddb_query_gather(ctx, run, &task, queries, out);
    }
    ddb_mem_drop(ctx, task.found, ddb_query_found, all);
    ddb_mem_drop(ctx, task.counts, size_t, queries);
    ddb_mem_drop(ctx, task.errors, dreamdb_error, queries);
    return status;
}

DDB_FN void ddb_query_result_free(ddb_ctx *ctx, ddb_query_result *out)
{
    ddb_mem_arena_free(ctx, &out->arena);
    ddb_mem_drop(ctx, out, ddb_query_result, 1);
}

DDB_FN dreamdb_status ddb_query_search(ddb_ctx *ctx, dreamdb_snapshot *view, const dreamdb_query *query, dreamdb_result **out)
{
    ddb_query_run run;
    ddb_env *env = view->db->env;
    uint64_t gets = ddb_port_atomic_load(&env->gets), bytes = ddb_port_atomic_load(&env->get_bytes), waves = ddb_port_atomic_load(&env->waves);
    ddb_query_result *result = ddb_mem_new(ctx, ddb_query_result, 1);
    *out = NULL;
    if (!result) {
        return DREAMDB_ERR_MEMORY;
    }
    result->db = view->db;
    dreamdb_status status = ddb_query_run_open(ctx, view, query, &run);
    if (status == DREAMDB_OK) {
        status = ddb_query_run_all(ctx, &run, result);
    }
    ddb_scan_list_free(ctx, &run.where);
    if (status < 0) {
        ddb_query_result_free(ctx, result);
        return status;
    }
    result->result.objects_read = ddb_port_atomic_load(&env->gets) - gets;
    result->result.bytes_read = ddb_port_atomic_load(&env->get_bytes) - bytes;
    result->result.waves = ddb_port_atomic_load(&env->waves) - waves;
    *out = &result->result;
    return DREAMDB_OK;
}

/* ==== ROOM 33 check | prefix ddb_check_ | uses port mem bytes coll hash cbor addr store object schema roaring page track manifest tomb index bucket item view ==== */
/* What a view is made of, and whether it is whole: info, log, stats, and verify, which walks and hashes everything and names each fault.
   Must never trust what it checks, and never stop at the first fault. */

/* ---- Info ---- */

DDB_FN dreamdb_index_kind ddb_check_index_kind(ddb_slice algorithm)
{
    return ddb_bytes_is(algorithm, DDB_SCHEMA_IVF) ? DREAMDB_INDEX_IVF : ddb_bytes_is(algorithm, DDB_SCHEMA_LSH_L2) ? DREAMDB_INDEX_LSH_L2
         : ddb_bytes_is(algorithm, "dreamdb.imi-cosine") ? DREAMDB_INDEX_IMI : DREAMDB_INDEX_LSH;
}

DDB_FN const char *ddb_check_text(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_slice text)
{
    return ddb_mem_arena_copy(ctx, &view->arena, text.data, text.size);
}

DDB_FN dreamdb_status ddb_check_info_field(ddb_ctx *ctx, dreamdb_snapshot *view, const ddb_view_field *field, dreamdb_field_info *out)
{
    const ddb_field *schema = field->schema;
    out->name = ddb_check_text(ctx, view, schema->name);
    out->modality = ddb_check_text(ctx, view, field->binding->modality);
    out->kind = schema->kind;
    out->kind_text = ddb_check_text(ctx, view, schema->value_type.size > 0 ? schema->value_type : schema->kind_text);
    out->required = schema->required;
    out->dim = (uint32_t)schema->dim;
    out->rerank = schema->rerank;
    out->compressed = field->has_registry && field->registry.has_compressor;
    out->is_layer = ddb_bytes_starts(field->binding->role, "layer-of:");
    out->algorithm = ddb_check_text(ctx, view, schema->algorithm);
    out->mime = ddb_check_text(ctx, view, schema->mime);
    out->chunk_size = schema->chunk_size;
    out->pack_items = schema->pack_items;
    out->t_min = field->binding->t_min;
    out->t_max = field->binding->t_max;
    memcpy(out->track, field->binding->address.bytes, sizeof out->track);
    if (field->has_registry && field->registry.index_count > 0) {
        out->index = ddb_check_index_kind(field->registry.algorithm);
        memcpy(out->index_address, field->registry.index.bytes, sizeof out->index_address);
    }
    if (field->index) {
        out->k = ddb_index_k(field->index);
        out->bits = ddb_index_bits(field->index);
    }
    return out->name && out->modality && out->kind_text && out->algorithm && out->mime ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
}

DDB_FN dreamdb_status ddb_check_info_meta(ddb_ctx *ctx, dreamdb_snapshot *view, dreamdb_info *info)
{
    dreamdb_meta *meta = ddb_mem_arena_new(ctx, &view->arena, dreamdb_meta, view->manifest.registry_count);
    if (!meta) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < view->manifest.registry_count; i++) {
        const ddb_entry *entry = view->manifest.registry + i;
        ddb_cbor r;
        ddb_slice text;
        ddb_cbor_open(&r, entry->value);
        meta[i].key = ddb_check_text(ctx, view, entry->key);
        bool is_text = ddb_cbor_read_text(&r, &text) && ddb_cbor_end(&r);
        meta[i].text = is_text ? ddb_check_text(ctx, view, text) : NULL;
        if (!meta[i].key || (is_text && !meta[i].text)) {
            return DREAMDB_ERR_MEMORY;
        }
    }
    info->meta = meta;
    info->meta_count = view->manifest.registry_count;
    return DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_check_info_locked(ddb_ctx *ctx, dreamdb_snapshot *view)
{
    dreamdb_info *info = ddb_mem_arena_new(ctx, &view->arena, dreamdb_info, 1);
    dreamdb_field_info *fields = ddb_mem_arena_new(ctx, &view->arena, dreamdb_field_info, view->schema.count);
    uint8_t *parents = (uint8_t *)ddb_mem_arena_array(ctx, &view->arena, view->manifest.parent_count, DREAMDB_ADDRESS_SIZE);
    if (!info || !fields || !parents) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < view->schema.count; i++) {
        dreamdb_status status = ddb_check_info_field(ctx, view, view->fields + i, fields + i);
        if (status < 0) {
            return status;
        }
    }
    for (size_t i = 0; i < view->manifest.parent_count; i++) {
        memcpy(parents + i * DREAMDB_ADDRESS_SIZE, view->manifest.parents[i].bytes, DREAMDB_ADDRESS_SIZE);
    }
    info->ref = view->ref;
    memcpy(info->manifest, view->address.bytes, sizeof info->manifest);
    memcpy(info->timeline, view->manifest.timelines[0].bytes, sizeof info->timeline);
    info->ts_ns = view->manifest.ts;
    info->writer = ddb_check_text(ctx, view, view->manifest.writer);
    info->parents = parents;
    info->parent_count = view->manifest.parent_count;
    info->fields = fields;
    info->field_count = view->schema.count;
    dreamdb_status status = info->writer ? ddb_check_info_meta(ctx, view, info) : DREAMDB_ERR_MEMORY;
    if (status == DREAMDB_OK) {
        view->info = info;
    }
    return status;
}

DDB_FN dreamdb_status ddb_check_info(ddb_ctx *ctx, dreamdb_snapshot *view, const dreamdb_info **out)
{
    dreamdb_status status = DREAMDB_OK;
    for (size_t i = 0; i < view->schema.count && !view->info; i++) {     /* k and bits: of the indexes this version can read */
        ddb_view_field *field = view->fields + i;
        dreamdb_error quiet;
        ddb_ctx look = ddb_mem_fork(ctx, &quiet);
        if (field->schema->kind == DREAMDB_EMBEDDING && ddb_view_readable(&look, view, field) == DREAMDB_OK) {
            status = ddb_view_need(&look, view, &field, 1, DDB_VIEW_INDEX);
            if (status < 0 && status != DREAMDB_ERR_UNSUPPORTED && status != DREAMDB_ERR_FORMAT) {
                return ddb_mem_adopt(ctx, &quiet);
            }
        }
    }
    status = DREAMDB_OK;
    ddb_port_lock(&view->lock);
    if (!view->info) {
        status = ddb_check_info_locked(ctx, view);
    }
    *out = view->info;
    ddb_port_unlock(&view->lock);
    return status;
}

/* ---- Log ---- */

/* Tells one Manifest to the caller. */
DDB_FN dreamdb_status ddb_check_log_one(ddb_ctx *ctx, ddb_arena *arena, const ddb_addr *address, const ddb_manifest *m, uint64_t depth, dreamdb_log_fn each, void *user)
{
    dreamdb_log_entry entry;
    uint8_t *parents = (uint8_t *)ddb_mem_arena_array(ctx, arena, m->parent_count, DREAMDB_ADDRESS_SIZE);
    char *writer = ddb_mem_arena_copy(ctx, arena, m->writer.data, m->writer.size);
    memset(&entry, 0, sizeof entry);
    if (!parents || !writer) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < m->parent_count; i++) {
        memcpy(parents + i * DREAMDB_ADDRESS_SIZE, m->parents[i].bytes, DREAMDB_ADDRESS_SIZE);
    }
    memcpy(entry.manifest, address->bytes, sizeof entry.manifest);
    entry.ts_ns = m->ts;
    entry.writer = writer;
    entry.parents = parents;
    entry.parent_count = m->parent_count;
    entry.track_count = m->active_count;
    entry.depth = depth;
    return each(user, &entry) ? DREAMDB_DONE : DREAMDB_OK;
}

DDB_FN dreamdb_status ddb_check_log(ddb_ctx *ctx, dreamdb_snapshot *view, uint64_t limit, dreamdb_log_fn each, void *user)
{
    ddb_addr address = view->address;
    ddb_env *env = view->db->env;
    uint64_t most = limit > 0 && limit < env->limits.history ? limit : env->limits.history;
    for (uint64_t depth = 0; depth < most; depth++) {
        ddb_arena arena = {NULL, 0};
        ddb_object object;
        ddb_manifest m;
        char *path = ddb_addr_path(ctx, &arena, "manifests", &address);
        dreamdb_status status = path ? ddb_object_get(ctx, env, path, &address, DDB_OBJECT_METADATA, &object) : DREAMDB_ERR_MEMORY;
        if (status == DREAMDB_OK) {
            status = ddb_manifest_decode(ctx, &arena, ddb_bytes_slice(object.data, object.size), path, &m);
            status = status < 0 ? status : ddb_check_log_one(ctx, &arena, &address, &m, depth, each, user);
            if (status == DREAMDB_OK) {
                address = m.parent_count > 0 ? m.parents[0] : address;
                status = m.parent_count > 0 ? DREAMDB_OK : DREAMDB_DONE;
            }
            ddb_object_release(env, &object);
        } else if (status == DREAMDB_ERR_NOT_FOUND && depth > 0) {
            status = DREAMDB_DONE;                             /* gc took what is older */
        }
        ddb_mem_arena_free(ctx, &arena);
        if (status != DREAMDB_OK) {
            return status == DREAMDB_DONE ? DREAMDB_OK : status;
        }
    }
    return DREAMDB_OK;
}

/* ---- Verify ---- */

typedef enum ddb_check_class {
    DDB_CHECK_MANIFEST, DDB_CHECK_GENESIS, DDB_CHECK_INDEX, DDB_CHECK_TRACK, DDB_CHECK_PAGE, DDB_CHECK_BUCKET, DDB_CHECK_SIDECAR,
    DDB_CHECK_POSTING, DDB_CHECK_ITEM, DDB_CHECK_ITEM_MANIFEST, DDB_CHECK_CONSTANT, DDB_CHECK_TOMBSTONE, DDB_CHECK_CLASSES
} ddb_check_class;

static const char *const ddb_check_names[DDB_CHECK_CLASSES] = {
    "manifest", "genesis", "index", "track", "page", "bucket", "sidecar", "posting", "item", "item manifest", "constant", "tombstone"
};

#define DDB_CHECK_BATCH 256u                 /* objects waiting for one batch of reads */
#define DDB_CHECK_BYTES (16u << 20)

/* One object waiting to be read and checked. */
typedef struct ddb_check_job { ddb_check_class cls; ddb_row row; const ddb_view_field *field; } ddb_check_job;

typedef struct ddb_check_walk {
    dreamdb_snapshot *view;                  /* the state walked now: older ones are opened one by one */
    ddb_env          *env;
    ddb_map           seen;                  /* class and address of every object asked for */
    ddb_arena         arena;                 /* of the waiting batch */
    ddb_object_want  *wants;
    ddb_check_job    *jobs;
    size_t            count;
    uint64_t          bytes;
    dreamdb_fault_fn  each;
    void             *each_user;
    dreamdb_verify_report *report;
    bool              stop;
} ddb_check_walk;

DDB_FN void ddb_check_fault(ddb_check_walk *walk, dreamdb_status status, const char *path, const char *message)
{
    dreamdb_fault_report fault;
    fault.status = status;
    fault.path = path;
    fault.message = message;
    walk->report->faults++;
    if (walk->each && walk->each(walk->each_user, &fault)) {
        walk->stop = true;
    }
}

/* A call that failed on what it read is a fault; one that failed on memory or by the caller ends the walk. */
DDB_FN dreamdb_status ddb_check_absorb(ddb_ctx *ctx, ddb_check_walk *walk, dreamdb_status status, const dreamdb_error *error)
{
    if (status >= 0) {
        return DREAMDB_OK;
    }
    if (status == DREAMDB_ERR_MEMORY || status == DREAMDB_ERR_CANCELLED) {
        return ddb_mem_adopt(ctx, error);
    }
    ddb_check_fault(walk, status, error->path, error->message);
    return DREAMDB_OK;
}

/* true the first time an object is met. */
DDB_FN dreamdb_status ddb_check_fresh(ddb_ctx *ctx, ddb_check_walk *walk, ddb_check_class cls, const ddb_addr *addr, bool *fresh)
{
    uint8_t key[DREAMDB_ADDRESS_SIZE + 1];
    key[0] = (uint8_t)cls;
    memcpy(key + 1, addr->bytes, DREAMDB_ADDRESS_SIZE);
    return ddb_coll_map_put(ctx, &walk->seen, key, 0, NULL, fresh);
}

/* Form of a bucket: header, index, anchors inside the row. */
DDB_FN dreamdb_status ddb_check_bucket(ddb_ctx *ctx, const ddb_check_walk *walk, const ddb_check_job *job, const ddb_object_want *want)
{
    ddb_bucket bucket;
    const ddb_field *schema = job->field->schema;
    (void)walk;
    dreamdb_status status = ddb_bucket_open(ctx, ddb_bytes_slice(want->object.data, want->object.size), want->path, schema->dim, schema->modality, &bucket);
    if (status < 0) {
        return status;
    }
    if (job->field->has_registry && job->field->registry.index_count == 1 && !ddb_addr_equal(&bucket.index, &job->field->registry.index)) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, want->path, "bucket was placed under another spatial index than the field's");
    }
    for (size_t i = 0; i < bucket.count; i++) {
        uint64_t anchor = ddb_bucket_anchor(&bucket, i);
        if (anchor < job->row.t_start || anchor >= job->row.t_end) {
            return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, want->path, "bucket holds anchor %llu outside its Track row", (unsigned long long)anchor);
        }
    }
    return DREAMDB_OK;
}

/* Form of one posting inside its pack. */
DDB_FN dreamdb_status ddb_check_posting(ddb_ctx *ctx, const ddb_row *row, ddb_slice pack, const char *path)
{
    uint64_t *anchors = NULL;
    size_t count = 0;
    bool whole = (row->flags & DDB_ROW_WHOLE) != 0;
    if (!whole && (row->offset > pack.size || row->size > pack.size - row->offset)) {
        return ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "a Track row points past the end of its postings pack");
    }
    ddb_slice blob = whole ? pack : ddb_bytes_slice(pack.data + row->offset, (size_t)row->size);
    dreamdb_status status = ddb_roaring_decode(ctx, blob, path, &anchors, &count);
    if (status == DREAMDB_OK && (count == 0 || anchors[0] != row->t_start || anchors[count - 1] + 1 != row->t_end)) {
        status = ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, path, "a posting's anchors do not span its Track row");
    }
    ddb_mem_drop(ctx, anchors, uint64_t, count);
    return status;
}

DDB_FN dreamdb_status ddb_check_form(ddb_ctx *ctx, const ddb_check_walk *walk, const ddb_check_job *job, const ddb_object_want *want)
{
    ddb_slice bytes = ddb_bytes_slice(want->object.data, want->object.size);
    ddb_index *index = NULL;
    const uint8_t *vectors = NULL;
    dreamdb_status status = DREAMDB_OK;
    switch (job->cls) {
    case DDB_CHECK_BUCKET:
        return ddb_check_bucket(ctx, walk, job, want);
    case DDB_CHECK_SIDECAR:
        return ddb_bucket_sidecar_open(ctx, bytes, want->path, job->field->schema->dim, (size_t)ddb_bucket_records(job->row.size, job->field->schema), &vectors);
    case DDB_CHECK_POSTING:
        return ddb_check_posting(ctx, &job->row, bytes, want->path);
    case DDB_CHECK_INDEX:
        status = job->field ? ddb_index_decode(ctx, bytes, want->path, &index) : DREAMDB_OK;
        ddb_index_free(ctx, index);
        return status == DREAMDB_ERR_UNSUPPORTED ? DREAMDB_OK : status;
    case DDB_CHECK_ITEM:
        return (job->row.flags & DDB_ROW_PACKED) && (job->row.offset > bytes.size || job->row.size > bytes.size - job->row.offset)
             ? ddb_mem_fail_at(ctx, DREAMDB_ERR_CORRUPT, want->path, "a Track row points past the end of its pack") : DREAMDB_OK;
    case DDB_CHECK_MANIFEST: case DDB_CHECK_GENESIS: case DDB_CHECK_TRACK: case DDB_CHECK_PAGE: case DDB_CHECK_ITEM_MANIFEST:
    case DDB_CHECK_CONSTANT: case DDB_CHECK_TOMBSTONE: case DDB_CHECK_CLASSES:
    default:
        return DREAMDB_OK;
    }
}

/* Compares stored outboards, where there are any, with what the bytes give. */
DDB_FN dreamdb_status ddb_check_outboards(ddb_ctx *ctx, ddb_check_walk *walk)
{
    dreamdb_io *ops = ddb_mem_arena_new(ctx, &walk->arena, dreamdb_io, walk->count);
    dreamdb_status status = ops ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    for (size_t i = 0; i < walk->count && status == DREAMDB_OK; i++) {
        ops[i].kind = DREAMDB_IO_GET;
        ops[i].path = ddb_addr_path(ctx, &walk->arena, "bao-outboard", &walk->wants[i].addr);
        status = ops[i].path ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    }
    status = status < 0 ? status : ddb_object_batch(ctx, walk->env, ops, walk->count);
    for (size_t i = 0; i < walk->count && ops; i++) {
        const ddb_object_want *want = walk->wants + i;
        if (status == DREAMDB_OK && ops[i].status == DREAMDB_OK && want->status == DREAMDB_OK) {
            size_t size = ddb_hash_outboard_size(want->object.size);
            uint8_t *tree = (uint8_t *)ddb_mem_alloc(ctx, size), root[32];
            status = tree ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
            if (tree) {
                ddb_hash_outboard(ctx->cpu, want->object.data, want->object.size, tree, root);
                if (ops[i].blob.size != size || memcmp(ops[i].blob.data, tree, size) != 0) {
                    ddb_check_fault(walk, DREAMDB_ERR_CORRUPT, ops[i].path, "outboard does not belong to its object");
                }
                walk->report->objects++;
                walk->report->bytes += size;
            }
            ddb_mem_free(ctx, tree, size);
        }
        ddb_store_release(&ops[i].blob);
    }
    return status;
}

/* Reads and checks what waits. */
DDB_FN dreamdb_status ddb_check_flush(ddb_ctx *ctx, ddb_check_walk *walk)
{
    dreamdb_status status = DREAMDB_OK;
    if (walk->count > 0) {
        status = ddb_object_get_each(ctx, walk->env, walk->wants, walk->count);
    }
    for (size_t i = 0; i < walk->count && status == DREAMDB_OK && !walk->stop; i++) {
        dreamdb_error error;
        ddb_ctx own = ddb_mem_fork(ctx, &error);
        const ddb_object_want *want = walk->wants + i;
        walk->report->objects++;
        if (want->status == DREAMDB_OK) {
            walk->report->bytes += want->object.size;
            status = ddb_check_absorb(ctx, walk, ddb_check_form(&own, walk, walk->jobs + i, want), &error);
        } else {
            ddb_check_fault(walk, want->status, want->path, want->status == DREAMDB_ERR_NOT_FOUND ? "object is missing"
                            : want->status == DREAMDB_ERR_CORRUPT ? "bytes do not match their address" : "object cannot be read");
        }
    }
    status = status == DREAMDB_OK && walk->count > 0 && !walk->stop ? ddb_check_outboards(ctx, walk) : status;
    for (size_t i = 0; i < walk->count; i++) {
        if (walk->wants[i].object.data) {
            ddb_object_release(walk->env, &walk->wants[i].object);
        }
    }
    ddb_mem_arena_free(ctx, &walk->arena);
    walk->count = 0;
    walk->bytes = 0;
    if (status == DREAMDB_OK) {
        status = ddb_object_progress(ctx, walk->env, "verify", walk->report->objects, 0, "objects");
    }
    return status < 0 ? status : walk->stop ? ddb_mem_fail(ctx, DREAMDB_ERR_CANCELLED, "stopped by the caller") : DREAMDB_OK;
}

/* Adds one object to the waiting batch; a posting's pack is asked for once a row, since each row is checked in it. */
DDB_FN dreamdb_status ddb_check_add(ddb_ctx *ctx, ddb_check_walk *walk, ddb_check_class cls, const char *folder, const ddb_addr *addr,
                                    const ddb_row *row, uint64_t size, const ddb_view_field *field)
{
    bool fresh = false;
    dreamdb_status status = ddb_check_fresh(ctx, walk, cls, addr, &fresh);
    bool again = cls == DDB_CHECK_POSTING || (row && (row->flags & DDB_ROW_PACKED));
    if (status < 0 || (!fresh && !again)) {
        return status;
    }
    if (!walk->wants || walk->count == 0) {
        walk->wants = ddb_mem_arena_new(ctx, &walk->arena, ddb_object_want, DDB_CHECK_BATCH);
        walk->jobs = ddb_mem_arena_new(ctx, &walk->arena, ddb_check_job, DDB_CHECK_BATCH);
        if (!walk->wants || !walk->jobs) {
            return DREAMDB_ERR_MEMORY;
        }
    }
    ddb_object_want *want = walk->wants + walk->count;
    ddb_check_job *job = walk->jobs + walk->count;
    want->path = ddb_addr_path(ctx, &walk->arena, folder, addr);
    want->addr = *addr;
    want->size = size;
    want->flags = DDB_OBJECT_METADATA;
    job->cls = cls;
    job->field = field;
    if (row) {
        job->row = *row;
    }
    if (!want->path) {
        return DREAMDB_ERR_MEMORY;
    }
    walk->count++;
    walk->bytes += size > 0 ? size : 4096;
    return walk->count == DDB_CHECK_BATCH || walk->bytes >= DDB_CHECK_BYTES ? ddb_check_flush(ctx, walk) : DREAMDB_OK;
}

/* The chunks of an ItemManifest. */
DDB_FN dreamdb_status ddb_check_chunks(ddb_ctx *ctx, ddb_check_walk *walk, const ddb_view_field *field, const ddb_row *row)
{
    ddb_arena arena = {NULL, 0};
    ddb_item_chunk *chunks = NULL;
    ddb_object object;
    size_t count = 0;
    bool fresh = false;
    dreamdb_error error;
    ddb_ctx own = ddb_mem_fork(ctx, &error);
    dreamdb_status status = ddb_check_fresh(ctx, walk, DDB_CHECK_ITEM_MANIFEST, &row->addr, &fresh);
    if (status < 0 || !fresh) {
        return status;
    }
    char *folder = ddb_view_folder(ctx, &arena, field, "0000000000000000");
    char *items = folder ? ddb_view_folder(ctx, &arena, field, "items") : NULL;
    char *path = items ? ddb_addr_path(ctx, &arena, items, &row->addr) : NULL;
    walk->report->objects++;
    status = path ? ddb_object_get(&own, walk->env, path, &row->addr, DDB_OBJECT_METADATA, &object) : DREAMDB_ERR_MEMORY;
    if (status == DREAMDB_OK) {
        walk->report->bytes += object.size;
        status = ddb_item_manifest_decode(&own, &arena, ddb_bytes_slice(object.data, object.size), path, row->size, &chunks, &count);
        ddb_object_release(walk->env, &object);
    }
    if (status < 0) {
        status = path ? ddb_check_absorb(ctx, walk, status, &error) : status;
        count = 0;
    }
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        status = ddb_check_add(ctx, walk, DDB_CHECK_ITEM, folder, &chunks[i].addr, NULL, chunks[i].size, field);
    }
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

/* What one Track row points to. */
DDB_FN dreamdb_status ddb_check_row(ddb_ctx *ctx, ddb_check_walk *walk, const ddb_view_field *field, const ddb_row *row)
{
    ddb_arena arena = {NULL, 0};
    dreamdb_status status = DREAMDB_OK;
    char *folder = NULL;
    if (field->cls == DDB_TRACK_SPATIAL) {
        char key[256];
        (void)snprintf(key, sizeof key, "%.*s", (int)(row->key.size < 255 ? row->key.size : 255), (const char *)row->key.data);
        folder = ddb_view_folder(ctx, &arena, field, key);
        status = folder ? ddb_check_add(ctx, walk, DDB_CHECK_BUCKET, folder, &row->addr, row, row->size, field) : DREAMDB_ERR_MEMORY;
        if (status == DREAMDB_OK && (row->flags & DDB_ROW_SIDECAR)) {
            folder = ddb_view_folder(ctx, &arena, field, "vectors");
            status = folder ? ddb_check_add(ctx, walk, DDB_CHECK_SIDECAR, folder, &row->sidecar, row, 0, field) : DREAMDB_ERR_MEMORY;
        }
    } else if (field->cls == DDB_TRACK_ITEM && (row->flags & DDB_ROW_CHUNKED)) {
        status = ddb_check_chunks(ctx, walk, field, row);
    } else {
        bool item = field->cls == DDB_TRACK_ITEM;
        folder = ddb_view_folder(ctx, &arena, field, item ? "0000000000000000" : "bucket");
        uint64_t size = item && !(row->flags & DDB_ROW_PACKED) ? row->size : 0;
        status = folder ? ddb_check_add(ctx, walk, item ? DDB_CHECK_ITEM : DDB_CHECK_POSTING, folder, &row->addr, row, size, field) : DREAMDB_ERR_MEMORY;
    }
    ddb_mem_arena_free(ctx, &arena);
    return status;
}

/* All rows of a Track; the cursor checks pages and order on its way. */
DDB_FN dreamdb_status ddb_check_rows(ddb_ctx *ctx, ddb_check_walk *walk, ddb_view_field *field)
{
    ddb_track_cursor *cursor = NULL;
    dreamdb_error error;
    ddb_ctx own = ddb_mem_fork(ctx, &error);
    uint64_t low = UINT64_MAX, high = 0, rows = 0;
    dreamdb_status read = ddb_track_open(&own, walk->env, &field->track, NULL, &cursor), status = DREAMDB_OK;
    while (read == DREAMDB_OK && status == DREAMDB_OK) {
        const ddb_row *row = NULL;
        read = ddb_track_next(&own, cursor, &row);
        if (read == DREAMDB_OK) {
            low = row->t_start < low ? row->t_start : low;
            high = row->t_end > high ? row->t_end : high;
            rows++;
            status = ddb_check_row(ctx, walk, field, row);
        }
    }
    if (status == DREAMDB_OK && read < 0) {
        status = ddb_check_absorb(ctx, walk, read, &error);
    } else if (status == DREAMDB_OK && rows > 0 && (low < field->track.t_min || high > field->track.t_max)) {
        ddb_check_fault(walk, DREAMDB_ERR_CORRUPT, field->track.path ? field->track.path : walk->view->path, "rows lie outside the Track's coverage");
    }
    if (cursor) {
        ddb_track_close(ctx, cursor);
    }
    return status;
}

/* One field of the state: Track, index, rows. */
DDB_FN dreamdb_status ddb_check_field(ddb_ctx *ctx, ddb_check_walk *walk, ddb_view_field *field)
{
    dreamdb_error error;
    ddb_ctx own = ddb_mem_fork(ctx, &error);
    bool fresh = false;
    dreamdb_status status = ddb_check_fresh(ctx, walk, DDB_CHECK_TRACK, &field->binding->address, &fresh);
    if (status < 0 || !fresh || ddb_view_readable(&own, walk->view, field) < 0 || field->cls == DDB_TRACK_OTHER) {
        return status;
    }
    status = ddb_view_need(&own, walk->view, &field, 1, DDB_VIEW_TRACK);
    walk->report->objects++;
    if (status < 0) {
        return ddb_check_absorb(ctx, walk, status, &error);
    }
    walk->report->bytes += field->track_object.size;
    if (field->has_registry) {
        status = ddb_check_add(ctx, walk, DDB_CHECK_INDEX, "spatial-index", &field->registry.index, NULL, 0, field);
    }
    if (status == DREAMDB_OK && field->has_registry && field->registry.has_compressor) {
        status = ddb_check_add(ctx, walk, DDB_CHECK_INDEX, "vector-compressor", &field->registry.compressor, NULL, 0, NULL);
    }
    if (status == DREAMDB_OK && field->cls == DDB_TRACK_CONSTANT) {
        ddb_arena arena = {NULL, 0};
        char *folder = ddb_view_folder(ctx, &arena, field, NULL);
        status = folder ? ddb_check_add(ctx, walk, DDB_CHECK_CONSTANT, folder, &field->track.constant, NULL, 0, field) : DREAMDB_ERR_MEMORY;
        ddb_mem_arena_free(ctx, &arena);
        return status;
    }
    return status < 0 ? status : ddb_check_rows(ctx, walk, field);
}

/* One state: its Manifest was read and decoded when it was opened. */
DDB_FN dreamdb_status ddb_check_state(ddb_ctx *ctx, ddb_check_walk *walk, dreamdb_snapshot *view)
{
    ddb_tomb *tomb = NULL;
    dreamdb_error error;
    ddb_ctx own = ddb_mem_fork(ctx, &error);
    walk->view = view;
    walk->report->manifests++;
    walk->report->objects++;
    walk->report->bytes += view->object.size;
    dreamdb_status status = ddb_check_absorb(ctx, walk, ddb_view_tomb(&own, view, &tomb), &error);
    if (status == DREAMDB_OK && tomb) {
        uint64_t count = 0;
        status = ddb_check_absorb(ctx, walk, ddb_tomb_count(&own, tomb, &count), &error);
    }
    for (size_t i = 0; i < view->manifest.timeline_count && status == DREAMDB_OK; i++) {
        status = ddb_check_add(ctx, walk, DDB_CHECK_GENESIS, "genesis", view->manifest.timelines + i, NULL, 0, NULL);
    }
    for (size_t i = 0; i < view->schema.count && status == DREAMDB_OK; i++) {
        status = ddb_check_field(ctx, walk, view->fields + i);
    }
    return status < 0 ? status : ddb_check_flush(ctx, walk);
}

typedef struct ddb_check_next { ddb_addr addr; uint64_t depth; } ddb_check_next;

/* Walks states breadth first over all parents, each once. */
DDB_FN dreamdb_status ddb_check_history(ddb_ctx *ctx, ddb_check_walk *walk, dreamdb_snapshot *start, uint64_t depth)
{
    ddb_buf queue;                           /* addresses with their depth */
    size_t at = 0;
    dreamdb_status status = DREAMDB_OK;
    ddb_check_next next;
    ddb_bytes_init(&queue, ctx);
    memset(&next, 0, sizeof next);
    next.addr = start->address;
    ddb_bytes_put(&queue, &next, sizeof next);
    while (status == DREAMDB_OK && at < queue.size) {
        dreamdb_snapshot *view = NULL;
        dreamdb_error error;
        ddb_ctx own = ddb_mem_fork(ctx, &error);
        bool fresh = false;
        memcpy(&next, queue.data + at, sizeof next);
        at += sizeof next;
        status = ddb_check_fresh(ctx, walk, DDB_CHECK_MANIFEST, &next.addr, &fresh);
        if (status < 0 || !fresh) {
            continue;
        }
        status = ddb_view_load(&own, start->db, start->ref, &next.addr, &view);
        if (status == DREAMDB_ERR_NOT_FOUND && next.depth > 0) {
            status = DREAMDB_OK;             /* gc took it: a boundary, not a gap */
            continue;
        }
        status = status < 0 ? ddb_check_absorb(ctx, walk, status, &error) : ddb_check_state(ctx, walk, view);
        for (size_t i = 0; view && i < view->manifest.parent_count && next.depth < depth && status == DREAMDB_OK; i++) {
            ddb_check_next parent;
            memset(&parent, 0, sizeof parent);
            parent.addr = view->manifest.parents[i];
            parent.depth = next.depth + 1;
            ddb_bytes_put(&queue, &parent, sizeof parent);
            status = ddb_bytes_status(&queue);
        }
        ddb_view_release(ctx, view);
    }
    ddb_bytes_free(&queue);
    return status;
}

DDB_FN dreamdb_status ddb_check_verify(ddb_ctx *ctx, dreamdb_snapshot *view, uint64_t history_depth, dreamdb_fault_fn each, void *user, dreamdb_verify_report *report)
{
    ddb_check_walk walk;
    memset(&walk, 0, sizeof walk);
    memset(report, 0, sizeof *report);
    walk.view = view;
    walk.env = view->db->env;
    walk.seen.key_size = DREAMDB_ADDRESS_SIZE + 1;
    walk.each = each;
    walk.each_user = user;
    walk.report = report;
    dreamdb_status status = ddb_check_history(ctx, &walk, view, history_depth);
    for (size_t i = 0; i < walk.count; i++) {
        if (walk.wants[i].object.data) {
            ddb_object_release(walk.env, &walk.wants[i].object);
        }
    }
    ddb_mem_arena_free(ctx, &walk.arena);
    ddb_coll_map_free(ctx, &walk.seen);
    return status;
}

/* ---- Stats ---- */

typedef struct ddb_check_count { ddb_ctx *ctx; ddb_map seen; dreamdb_stats_class *classes; dreamdb_field_stats *field; } ddb_check_count;

DDB_FN dreamdb_status ddb_check_tally(ddb_check_count *count, ddb_check_class cls, const ddb_addr *addr, uint64_t bytes)
{
    uint8_t key[DREAMDB_ADDRESS_SIZE + 1];
    bool fresh = false;
    key[0] = (uint8_t)cls;
    memcpy(key + 1, addr->bytes, DREAMDB_ADDRESS_SIZE);
    dreamdb_status status = ddb_coll_map_put(count->ctx, &count->seen, key, 0, NULL, &fresh);
    if (status == DREAMDB_OK && fresh) {
        count->classes[cls].objects++;
        count->classes[cls].bytes += bytes;
        if (count->field) {
            count->field->objects++;
            count->field->bytes += bytes;
        }
    }
    return status;
}

/* Rows of one field: objects, records, cells, most fragments of a cell. */
DDB_FN dreamdb_status ddb_check_stats_rows(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_view_field *field, ddb_check_count *count)
{
    ddb_track_cursor *cursor = NULL;
    ddb_buf last;
    uint64_t run = 0;
    dreamdb_field_stats *out = count->field;
    ddb_bytes_init(&last, ctx);
    dreamdb_status status = ddb_track_open(ctx, view->db->env, &field->track, NULL, &cursor);
    while (status == DREAMDB_OK) {
        const ddb_row *row = NULL;
        status = ddb_track_next(ctx, cursor, &row);
        if (status != DREAMDB_OK) {
            break;
        }
        bool item = field->cls == DDB_TRACK_ITEM, spatial = field->cls == DDB_TRACK_SPATIAL;
        ddb_check_class cls = item ? (row->flags & DDB_ROW_CHUNKED ? DDB_CHECK_ITEM_MANIFEST : DDB_CHECK_ITEM) : spatial ? DDB_CHECK_BUCKET : DDB_CHECK_POSTING;
        out->rows++;
        out->records += spatial ? ddb_bucket_records(row->size, field->schema) : 1;
        status = ddb_check_tally(count, cls, &row->addr, row->size);
        if (status == DREAMDB_OK && (row->flags & DDB_ROW_SIDECAR)) {
            status = ddb_check_tally(count, DDB_CHECK_SIDECAR, &row->sidecar, 128 + ddb_bucket_records(row->size, field->schema) * field->schema->dim * 4);
        }
        if (!item) {
            bool same = out->rows > 1 && ddb_bytes_equal(ddb_bytes_of(&last), row->key);
            run = same ? run + 1 : 1;
            out->cells += !same;
            out->fragments_max = run > out->fragments_max ? run : out->fragments_max;
            ddb_bytes_clear(&last);
            ddb_bytes_put(&last, row->key.data, row->key.size);
            status = status < 0 ? status : ddb_bytes_status(&last);
        }
    }
    if (cursor) {
        ddb_track_close(ctx, cursor);
    }
    ddb_bytes_free(&last);
    return status == DREAMDB_DONE ? DREAMDB_OK : status;
}

DDB_FN dreamdb_status ddb_check_stats_field(ddb_ctx *ctx, dreamdb_snapshot *view, ddb_view_field *field, ddb_check_count *count)
{
    dreamdb_field_stats *out = count->field;
    ddb_port_lock(&view->lock);
    out->field = ddb_check_text(ctx, view, field->schema->name);
    ddb_port_unlock(&view->lock);
    if (!out->field) {
        return DREAMDB_ERR_MEMORY;
    }
    dreamdb_error quiet;
    ddb_ctx look = ddb_mem_fork(ctx, &quiet);
    if (field->cls == DDB_TRACK_OTHER || ddb_view_readable(&look, view, field) < 0) {
        return DREAMDB_OK;
    }
    dreamdb_status status = ddb_view_need(ctx, view, &field, 1, DDB_VIEW_TRACK);
    if (status == DREAMDB_OK) {
        status = ddb_check_tally(count, DDB_CHECK_TRACK, &field->binding->address, field->track_object.size);
    }
    if (status < 0 || field->cls == DDB_TRACK_CONSTANT) {
        return status;
    }
    out->paged = field->track.form != DDB_TRACK_INLINE;
    out->pages = out->paged ? field->track.page_count : 0;
    count->classes[DDB_CHECK_PAGE].objects += out->pages;
    return ddb_check_stats_rows(ctx, view, field, count);
}

DDB_FN dreamdb_status ddb_check_stats_fill(ddb_ctx *ctx, dreamdb_snapshot *view, dreamdb_stats *stats, dreamdb_field_stats *fields, ddb_check_count *count)
{
    ddb_tomb *tomb = NULL;
    dreamdb_status status = ddb_view_tomb(ctx, view, &tomb);
    if (status == DREAMDB_OK) {
        status = ddb_tomb_count(ctx, tomb, &stats->tombstones);
    }
    for (size_t i = 0; i < view->schema.count && status == DREAMDB_OK; i++) {
        count->field = fields + i;
        status = ddb_check_stats_field(ctx, view, view->fields + i, count);
    }
    count->field = NULL;
    if (status == DREAMDB_OK) {
        status = ddb_check_tally(count, DDB_CHECK_MANIFEST, &view->address, view->object.size);
    }
    stats->manifests = 1;
    stats->fields = fields;
    stats->field_count = view->schema.count;
    stats->classes = count->classes;
    stats->class_count = DDB_CHECK_CLASSES;
    return status;
}

DDB_FN dreamdb_status ddb_check_stats(ddb_ctx *ctx, dreamdb_snapshot *view, const dreamdb_stats **out)
{
    ddb_check_count count;
    memset(&count, 0, sizeof count);
    count.ctx = ctx;
    count.seen.key_size = DREAMDB_ADDRESS_SIZE + 1;
    ddb_port_lock(&view->lock);
    dreamdb_stats *stats = ddb_mem_arena_new(ctx, &view->arena, dreamdb_stats, 1);
    dreamdb_field_stats *fields = ddb_mem_arena_new(ctx, &view->arena, dreamdb_field_stats, view->schema.count);
    count.classes = ddb_mem_arena_new(ctx, &view->arena, dreamdb_stats_class, DDB_CHECK_CLASSES);
    ddb_port_unlock(&view->lock);
    if (!stats || !fields || !count.classes) {
        return DREAMDB_ERR_MEMORY;
    }
    for (size_t i = 0; i < DDB_CHECK_CLASSES; i++) {
        count.classes[i].name = ddb_check_names[i];
    }
    dreamdb_status status = ddb_check_stats_fill(ctx, view, stats, fields, &count);
    ddb_coll_map_free(ctx, &count.seen);
    *out = status == DREAMDB_OK ? stats : NULL;
    return status;
}

/* ==== ROOM 34 api | prefix ddb_api_ | uses port mem bytes cpu hash addr object ref index view write scan query check ==== */
/* The public functions: check the arguments, call one room.  Nothing else lives here. */

/* The allocator of a config, or libc. */
DDB_FN dreamdb_status ddb_api_ctx(ddb_ctx *ctx, const dreamdb_config *config, dreamdb_error *error)
{
    memset(ctx, 0, sizeof *ctx);
    ctx->error = error;
    if (error) {
        memset(error, 0, sizeof *error);
    }
    if (!config || !config->store || !config->store->get || !config->store->put || !config->store->stat || !config->store->list || !config->store->remove) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "config.store and its get, put, stat, list and remove are required");
    }
    ctx->allocator = config->allocator;
#ifndef DREAMDB_NO_LIBC_ALLOC
    if (!ctx->allocator.resize) {
        ctx->allocator.resize = ddb_mem_libc;
    }
#endif
    if (!ctx->allocator.resize) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "config.allocator is required: this build has no malloc");
    }
    ctx->cpu = ddb_cpu_detect() & ~config->simd_off;
    if (config->simd_off & 1u) {
        ctx->cpu = 0;
    }
    return DREAMDB_OK;
}

DDB_FN void ddb_api_free(ddb_ctx *ctx, dreamdb *db)
{
    ddb_view_release(ctx, db->tip);
    for (size_t i = 0; i < db->index_count; i++) {
        ddb_index_free(ctx, db->indexes[i].index);
    }
    ddb_mem_drop(ctx, db->indexes, ddb_view_index, db->index_cap);
    if (db->ref) {
        ddb_mem_free(ctx, db->ref, strlen(db->ref) + 1);
    }
    if (db->env) {
        ddb_object_env_close(ctx, db->env);
    }
    ddb_port_mutex_free(&db->write_lock);
    ddb_port_mutex_free(&db->lock);
    ddb_mem_drop(ctx, db, dreamdb, 1);
}

/* A handle without a tip. */
DDB_FN dreamdb_status ddb_api_handle(ddb_ctx *ctx, const dreamdb_config *config, const char *ref, dreamdb **out)
{
    dreamdb_config inner = *config;
    dreamdb *db = NULL;
    *out = NULL;
    if (!ref || !ddb_addr_ref_valid(ddb_bytes_text(ref))) {
        return ddb_mem_fail(ctx, DREAMDB_ERR_ARGUMENT, "`%.80s` is no ref name: segments of a-z, 0-9, _, @, - joined by /, each 1 to 64 characters", ref ? ref : "(null)");
    }
    db = ddb_mem_new(ctx, dreamdb, 1);
    if (!db) {
        return DREAMDB_ERR_MEMORY;
    }
    if (!ddb_port_mutex_init(&db->lock) || !ddb_port_mutex_init(&db->write_lock)) {
        ddb_mem_drop(ctx, db, dreamdb, 1);
        return ddb_mem_fail(ctx, DREAMDB_ERR_MEMORY, "the system gives no mutex");
    }
    uint64_t cache = config->cache_bytes > 0 ? config->cache_bytes : UINT64_C(256) << 20;
    inner.cache_bytes = cache / 4 > 0 ? cache / 4 : 1;     /* a quarter for objects, half for search layouts, a quarter for passes */
    db->allocator = ctx->allocator;
    db->cpu = ctx->cpu;
    db->cells_cap = cache / 2;
    db->pass_bytes = cache / 4;
    db->ref = (char *)ddb_mem_alloc(ctx, strlen(ref) + 1);
    dreamdb_status status = db->ref ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
    if (status == DREAMDB_OK) {
        memcpy(db->ref, ref, strlen(ref) + 1);
        status = ddb_object_env_open(ctx, &inner, &db->env);
    }
    if (status < 0) {
        ddb_api_free(ctx, db);
        return status;
    }
    *out = db;
    return DREAMDB_OK;
}

/* Loads the tip and hands the handle over, or frees it. */
DDB_FN dreamdb_status ddb_api_hand(ddb_ctx *ctx, dreamdb *db, dreamdb_status status, dreamdb **out)
{
    dreamdb_snapshot *tip = NULL;
    char tag[DREAMDB_TAG_SIZE];
    if (status == DREAMDB_OK) {
        status = ddb_view_tip(ctx, db, &tip, tag);
    }
    if (status < 0) {
        ddb_api_free(ctx, db);
        return status;
    }
    ddb_view_release(ctx, tip);
    *out = db;
    return DREAMDB_OK;
}

DREAMDB_API dreamdb_status dreamdb_open(const dreamdb_config *config, const char *ref, dreamdb **out, dreamdb_error *error)
{
    ddb_ctx ctx;
    dreamdb *db = NULL;
    dreamdb_status status = ddb_api_ctx(&ctx, config, error);
    if (out) {
        *out = NULL;
    }
    if (status == DREAMDB_OK && !out) {
        status = ddb_mem_fail(&ctx, DREAMDB_ERR_ARGUMENT, "dreamdb_open: out is NULL");
    }
    if (status == DREAMDB_OK) {
        status = ddb_api_handle(&ctx, config, ref, &db);
    }
    return status < 0 ? status : ddb_api_hand(&ctx, db, status, out);
}

DREAMDB_API dreamdb_status dreamdb_create(const dreamdb_config *config, const char *ref, const dreamdb_create_desc *desc, dreamdb **out, dreamdb_error *error)
{
    ddb_ctx ctx;
    dreamdb *db = NULL;
    dreamdb_status status = ddb_api_ctx(&ctx, config, error);
    if (out) {
        *out = NULL;
    }
    if (status == DREAMDB_OK && (!out || !desc || (desc->field_count > 0 && !desc->fields))) {
        status = ddb_mem_fail(&ctx, DREAMDB_ERR_ARGUMENT, "dreamdb_create: out, desc and desc->fields are required");
    }
    if (status == DREAMDB_OK) {
        status = ddb_api_handle(&ctx, config, ref, &db);
    }
    if (status == DREAMDB_OK && ddb_addr_ref_reserved(ddb_bytes_text(ref))) {
        status = ddb_mem_fail(&ctx, DREAMDB_ERR_ARGUMENT, "ref names `tags` and `tags/...` are reserved for snapshot tags");
    }
    if (status == DREAMDB_OK) {
        status = ddb_write_create(&ctx, db, desc);
    }
    return !db ? status : ddb_api_hand(&ctx, db, status, out);
}

DREAMDB_API void dreamdb_close(dreamdb *db)
{
    if (db) {
        ddb_ctx ctx = ddb_view_ctx(db, NULL);
        ddb_api_free(&ctx, db);
    }
}

#define DDB_API_BEGIN(db, good, what) \
    ddb_ctx ctx; \
    memset(&ctx, 0, sizeof ctx); \
    ctx.error = error; \
    if (error) { \
        memset(error, 0, sizeof *error); \
    } \
    if (!(db) || !(good)) { \
        return ddb_mem_fail(&ctx, DREAMDB_ERR_ARGUMENT, "%s: a required argument is NULL or empty", what); \
    } \
    ctx = ddb_view_ctx((db), error)

DREAMDB_API dreamdb_status dreamdb_add_field(dreamdb *db, const dreamdb_field *field, const dreamdb_layer *layer, dreamdb_error *error)
{
    DDB_API_BEGIN(db, field && field->name, "dreamdb_add_field");
    return ddb_write_add_field(&ctx, db, field, layer);
}

DREAMDB_API dreamdb_status dreamdb_append(dreamdb *db, const dreamdb_append_desc *desc, dreamdb_append_report *report, dreamdb_error *error)
{
    DDB_API_BEGIN(db, desc && (desc->columns || desc->column_count == 0), "dreamdb_append");
    return ddb_write_append(&ctx, db, desc, report);
}

DREAMDB_API dreamdb_status dreamdb_train(dreamdb *db, const dreamdb_train_desc *desc, dreamdb_error *error)
{
    DDB_API_BEGIN(db, desc && desc->field, "dreamdb_train");
    return ddb_write_train(&ctx, db, desc);
}

/* A store environment for the verbs that need no dataset. */
DDB_FN dreamdb_status ddb_api_env(ddb_ctx *ctx, const dreamdb_config *config, dreamdb_error *error, ddb_env **out)
{
    dreamdb_status status = ddb_api_ctx(ctx, config, error);
    return status < 0 ? status : ddb_object_env_open(ctx, config, out);
}

DREAMDB_API dreamdb_status dreamdb_index_train(const dreamdb_config *config, const dreamdb_field *field, uint8_t address[DREAMDB_ADDRESS_SIZE], dreamdb_error *error)
{
    ddb_ctx ctx;
    ddb_env *env = NULL;
    ddb_addr made;
    dreamdb_status status = ddb_api_env(&ctx, config, error, &env);
    if (status < 0) {
        return status;
    }
    if (!field || !address || field->dim == 0) {
        status = ddb_mem_fail(&ctx, DREAMDB_ERR_ARGUMENT, "dreamdb_index_train: field, its dim and sample, and address are required");
    } else {
        status = ddb_write_index_only(&ctx, env, field, config->identical != 0, &made);
    }
    if (status == DREAMDB_OK) {
        memcpy(address, made.bytes, sizeof made.bytes);
    }
    ddb_object_env_close(&ctx, env);
    return status;
}

DREAMDB_API dreamdb_status dreamdb_set_meta(dreamdb *db, const char *key, const char *value, dreamdb_error *error)
{
    DDB_API_BEGIN(db, key && value, "dreamdb_set_meta");
    return ddb_write_meta(&ctx, db, key, value);
}

/* Makes a ref at the handle's tip. */
DDB_FN dreamdb_status ddb_api_ref_at_tip(ddb_ctx *ctx, dreamdb *db, const char *name)
{
    dreamdb_snapshot *tip = NULL;
    char tag[DREAMDB_TAG_SIZE];
    dreamdb_status status = ddb_view_tip(ctx, db, &tip, tag);
    if (status == DREAMDB_OK) {
        status = ddb_ref_create(ctx, db->env, name, &tip->address);
    }
    ddb_view_release(ctx, tip);
    return status;
}

DREAMDB_API dreamdb_status dreamdb_branch(dreamdb *db, const char *name, dreamdb_error *error)
{
    DDB_API_BEGIN(db, name, "dreamdb_branch");
    if (!ddb_addr_ref_valid(ddb_bytes_text(name)) || ddb_addr_ref_reserved(ddb_bytes_text(name)) || strchr(name, '@')) {
        return ddb_mem_fail(&ctx, DREAMDB_ERR_ARGUMENT, "`%.80s` is no branch name: segments of a-z, 0-9, _, - joined by /, each 1 to 64 characters, not tags/...", name);
    }
    return ddb_api_ref_at_tip(&ctx, db, name);
}

DREAMDB_API dreamdb_status dreamdb_keep(dreamdb *db, const char *label, dreamdb_error *error)
{
    DDB_API_BEGIN(db, label, "dreamdb_keep");
    char name[600];
    if (!ddb_addr_label_valid(ddb_bytes_text(label)) || strlen(label) + strlen(db->ref) + 2 > sizeof name) {
        return ddb_mem_fail(&ctx, DREAMDB_ERR_ARGUMENT, "`%.80s` is no snapshot label: a-z, 0-9, _, - and /", label);
    }
    (void)snprintf(name, sizeof name, "%s@%s", db->ref, label);
    return ddb_api_ref_at_tip(&ctx, db, name);
}

DREAMDB_API dreamdb_status dreamdb_ref_delete(const dreamdb_config *config, const char *ref, dreamdb_error *error)
{
    ddb_ctx ctx;
    ddb_env *env = NULL;
    ddb_addr address;
    char tag[DREAMDB_TAG_SIZE];
    dreamdb_status status = ddb_api_env(&ctx, config, error, &env);
    if (status < 0) {
        return status;
    }
    if (!ref || !ddb_addr_ref_valid(ddb_bytes_text(ref))) {
        status = ddb_mem_fail(&ctx, DREAMDB_ERR_ARGUMENT, "`%.80s` is no ref name", ref ? ref : "(null)");
    }
    if (status == DREAMDB_OK) {
        status = ddb_ref_read(&ctx, env, ref, &address, tag);
    }
    if (status == DREAMDB_OK) {
        status = ddb_ref_delete(&ctx, env, ref);
    }
    ddb_object_env_close(&ctx, env);
    return status;
}

DREAMDB_API dreamdb_status dreamdb_refs(const dreamdb_config *config, dreamdb_ref_fn each, void *user, dreamdb_error *error)
{
    ddb_ctx ctx;
    ddb_env *env = NULL;
    ddb_arena arena = {NULL, 0};
    ddb_ref_entry *refs = NULL;
    size_t count = 0;
    dreamdb_status status = ddb_api_env(&ctx, config, error, &env);
    if (status < 0) {
        return status;
    }
    status = each ? ddb_ref_list(&ctx, env, &arena, &refs, &count) : ddb_mem_fail(&ctx, DREAMDB_ERR_ARGUMENT, "dreamdb_refs: each is NULL");
    for (size_t i = 0; i < count && status == DREAMDB_OK; i++) {
        if (each(user, (const char *)refs[i].name.data, refs[i].address.bytes, refs[i].is_tag)) {
            status = ddb_mem_fail(&ctx, DREAMDB_ERR_CANCELLED, "stopped by the caller");
        }
    }
    ddb_mem_arena_free(&ctx, &arena);
    ddb_object_env_close(&ctx, env);
    return status;
}

DREAMDB_API dreamdb_status dreamdb_snapshot_open(dreamdb *db, const char *state, dreamdb_snapshot **out, dreamdb_error *error)
{
    DDB_API_BEGIN(db, out, "dreamdb_snapshot_open");
    return ddb_view_state(&ctx, db, state, out);
}

DREAMDB_API void dreamdb_snapshot_close(dreamdb_snapshot *snapshot)
{
    if (snapshot) {
        ddb_ctx ctx = ddb_view_ctx(snapshot->db, NULL);
        ddb_view_release(&ctx, snapshot);
    }
}

DREAMDB_API dreamdb_status dreamdb_snapshot_info(dreamdb_snapshot *snapshot, const dreamdb_info **out, dreamdb_error *error)
{
    DDB_API_BEGIN(snapshot ? snapshot->db : NULL, out, "dreamdb_snapshot_info");
    return ddb_check_info(&ctx, snapshot, out);
}

DREAMDB_API dreamdb_status dreamdb_search(dreamdb_snapshot *snapshot, const dreamdb_query *query, dreamdb_result **out, dreamdb_error *error)
{
    DDB_API_BEGIN(snapshot ? snapshot->db : NULL, query && query->field && query->vectors && out, "dreamdb_search");
    return ddb_query_search(&ctx, snapshot, query, out);
}

DREAMDB_API void dreamdb_result_free(dreamdb_result *result)
{
    if (result) {
        ddb_query_result *own = (ddb_query_result *)(void *)result;
        ddb_ctx ctx = ddb_view_ctx(own->db, NULL);
        ddb_query_result_free(&ctx, own);
    }
}

DREAMDB_API dreamdb_status dreamdb_scan_open(dreamdb_snapshot *snapshot, const dreamdb_scan *scan, dreamdb_cursor **out, dreamdb_error *error)
{
    DDB_API_BEGIN(snapshot ? snapshot->db : NULL, scan && out, "dreamdb_scan_open");
    return ddb_scan_cursor_open(&ctx, snapshot, scan, out);
}

DREAMDB_API dreamdb_status dreamdb_cursor_next(dreamdb_cursor *cursor, dreamdb_row *row, dreamdb_error *error)
{
    size_t got = 0;
    DDB_API_BEGIN(cursor ? cursor->view->db : NULL, row, "dreamdb_cursor_next");
    return ddb_scan_rows(&ctx, cursor, row, 1, &got);
}

DREAMDB_API dreamdb_status dreamdb_cursor_rows(dreamdb_cursor *cursor, dreamdb_row *rows, size_t max, size_t *got, dreamdb_error *error)
{
    DDB_API_BEGIN(cursor ? cursor->view->db : NULL, rows && got, "dreamdb_cursor_rows");
    return ddb_scan_rows(&ctx, cursor, rows, max, got);
}

DREAMDB_API void dreamdb_cursor_close(dreamdb_cursor *cursor)
{
    if (cursor) {
        ddb_ctx ctx = ddb_view_ctx(cursor->view->db, NULL);
        ddb_scan_cursor_close(&ctx, cursor);
    }
}

DREAMDB_API dreamdb_status dreamdb_count(dreamdb_snapshot *snapshot, const char *field, const dreamdb_where *where, uint64_t start, uint64_t end,
                                         uint64_t *out, dreamdb_error *error)
{
    DDB_API_BEGIN(snapshot ? snapshot->db : NULL, out, "dreamdb_count");
    return ddb_scan_count(&ctx, snapshot, field, where, start, end > 0 ? end : UINT64_MAX, out);
}

DREAMDB_API dreamdb_status dreamdb_count_estimate(dreamdb_snapshot *snapshot, const char *field, uint64_t *out, dreamdb_error *error)
{
    DDB_API_BEGIN(snapshot ? snapshot->db : NULL, field && out, "dreamdb_count_estimate");
    ddb_view_field *found = NULL;
    dreamdb_status status = ddb_view_field_named(&ctx, snapshot, field, &found);
    return status < 0 ? status : ddb_scan_records(&ctx, snapshot, found, 0, UINT64_MAX, out);
}

DREAMDB_API dreamdb_status dreamdb_select(dreamdb_snapshot *snapshot, const dreamdb_where *where, uint64_t **anchors, size_t *count, dreamdb_error *error)
{
    DDB_API_BEGIN(snapshot ? snapshot->db : NULL, anchors && count, "dreamdb_select");
    ddb_scan_list list;
    *anchors = NULL;
    *count = 0;
    dreamdb_status status = ddb_scan_select(&ctx, snapshot, where, &list);
    if (status < 0) {
        ddb_scan_list_free(&ctx, &list);
        return status;
    }
    *anchors = ddb_mem_new(&ctx, uint64_t, list.count);     /* exact size, so that the caller's count frees it */
    if (*anchors && list.count > 0) {
        memcpy(*anchors, list.anchors, list.count * sizeof **anchors);
    }
    *count = *anchors ? list.count : 0;
    ddb_scan_list_free(&ctx, &list);
    return *anchors ? DREAMDB_OK : DREAMDB_ERR_MEMORY;
}

DREAMDB_API void dreamdb_anchors_free(dreamdb_snapshot *snapshot, uint64_t *anchors, size_t count)
{
    if (snapshot && anchors) {
        ddb_ctx ctx = ddb_view_ctx(snapshot->db, NULL);
        ddb_mem_drop(&ctx, anchors, uint64_t, count);
    }
}

DREAMDB_API dreamdb_status dreamdb_media_read(dreamdb_snapshot *snapshot, const char *field, uint64_t anchor, uint64_t offset, void *out, size_t size,
                                              size_t *got, dreamdb_error *error)
{
    DDB_API_BEGIN(snapshot ? snapshot->db : NULL, field && out && got, "dreamdb_media_read");
    return ddb_scan_media(&ctx, snapshot, field, anchor, offset, out, size, got);
}

DREAMDB_API dreamdb_status dreamdb_constant(dreamdb_snapshot *snapshot, const char *field, const void **data, size_t *size, dreamdb_error *error)
{
    DDB_API_BEGIN(snapshot ? snapshot->db : NULL, field && data && size, "dreamdb_constant");
    return ddb_scan_constant(&ctx, snapshot, field, data, size);
}

DREAMDB_API dreamdb_status dreamdb_log(dreamdb_snapshot *snapshot, uint64_t limit, dreamdb_log_fn each, void *user, dreamdb_error *error)
{
    DDB_API_BEGIN(snapshot ? snapshot->db : NULL, each, "dreamdb_log");
    return ddb_check_log(&ctx, snapshot, limit, each, user);
}

DREAMDB_API dreamdb_status dreamdb_verify(dreamdb_snapshot *snapshot, uint64_t history_depth, dreamdb_fault_fn each, void *user,
                                          dreamdb_verify_report *report, dreamdb_error *error)
{
    DDB_API_BEGIN(snapshot ? snapshot->db : NULL, report, "dreamdb_verify");
    return ddb_check_verify(&ctx, snapshot, history_depth, each, user, report);
}

DREAMDB_API dreamdb_status dreamdb_snapshot_stats(dreamdb_snapshot *snapshot, const dreamdb_stats **out, dreamdb_error *error)
{
    DDB_API_BEGIN(snapshot ? snapshot->db : NULL, out, "dreamdb_snapshot_stats");
    return ddb_check_stats(&ctx, snapshot, out);
}

DREAMDB_API const char *dreamdb_status_name(dreamdb_status status)
{
    switch (status) {
    case DREAMDB_OK:              return "ok";
    case DREAMDB_DONE:            return "done";
    case DREAMDB_ERR_ARGUMENT:    return "argument";
    case DREAMDB_ERR_MEMORY:      return "memory";
    case DREAMDB_ERR_STORE:       return "store";
    case DREAMDB_ERR_NOT_FOUND:   return "not found";
    case DREAMDB_ERR_EXISTS:      return "exists";
    case DREAMDB_ERR_CONFLICT:    return "conflict";
    case DREAMDB_ERR_CORRUPT:     return "corrupt";
    case DREAMDB_ERR_FORMAT:      return "format";
    case DREAMDB_ERR_UNSUPPORTED: return "unsupported";
    case DREAMDB_ERR_LIMIT:       return "limit";
    case DREAMDB_ERR_CANCELLED:   return "cancelled";
    default:                      return "unknown";
    }
}

DREAMDB_API void dreamdb_address_text(const uint8_t address[DREAMDB_ADDRESS_SIZE], char out[DREAMDB_ADDRESS_TEXT])
{
    ddb_addr copy;
    memcpy(copy.bytes, address, sizeof copy.bytes);
    ddb_addr_text(&copy, out);
}

DREAMDB_API int dreamdb_address_parse(const char *text, uint8_t address[DREAMDB_ADDRESS_SIZE])
{
    ddb_addr parsed;
    if (!text || !ddb_addr_parse(ddb_bytes_text(text), &parsed)) {
        return -1;
    }
    memcpy(address, parsed.bytes, sizeof parsed.bytes);
    return 0;
}

DREAMDB_API void dreamdb_hash(const void *data, size_t size, uint8_t out[32])
{
    ddb_hash_one(ddb_cpu_detect(), data, size, out);
}

DREAMDB_API const char *dreamdb_features(char *out, size_t size)
{
    uint32_t cpu = ddb_cpu_detect();
    if (size > 0) {
        (void)snprintf(out, size, "%s%s%s%s%s%s%s", cpu & DDB_CPU_AVX512 ? "avx512 " : "", cpu & DDB_CPU_VNNI ? "vnni " : "", cpu & DDB_CPU_AVX2 ? "avx2 " : "",
                       cpu & DDB_CPU_SSE41 ? "sse41 " : "", cpu & DDB_CPU_NEON ? "neon " : "",
#ifdef DREAMDB_NO_THREADS
                       "",
#else
                       "threads ",
#endif
#ifdef DREAMDB_NO_STDIO
                       "memory"
#else
                       "directory memory"
#endif
        );
    }
    return out;
}

#ifdef __cplusplus
}
#endif
#endif /* DREAMDB_IMPLEMENTATION */

/* MIT License

   Copyright (c) 2026 the dreamdb.h authors

   Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files
   (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge,
   publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so,
   subject to the following conditions:

   The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
   MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT.  IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE
   FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION
   WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE. */
