/* embedded.c - a device without malloc, threads or files: all memory comes from one fixed arena, time and randomness from the board.
   The store is the library's own in memory; on a real board it would be five callbacks over flash (store_table.c). */
#define DREAMDB_NO_THREADS
#define DREAMDB_NO_STDIO
#define DREAMDB_NO_LIBC_ALLOC
#define DREAMDB_IMPLEMENTATION
#include "../dreamdb.h"
#include <stdio.h>
#include <string.h>

/* ---- The arena: first fit over one array, free neighbours are joined ---- */
enum { ARENA = 3 << 20 };
typedef struct block { size_t size; size_t used; } block;        /* size counts the header; 16 bytes, so payloads stay aligned */
static union { unsigned char bytes[ARENA]; uint64_t align[2]; } arena;
static size_t arena_used, arena_peak;

static block *at(size_t offset) { return (block *)(void *)(arena.bytes + offset); }

static void arena_open(void) { at(0)->size = ARENA; at(0)->used = 0; }

static void *arena_take(size_t size)
{
    size_t need = (size + sizeof(block) + 15) & ~(size_t)15;
    for (size_t i = 0; i < ARENA; i += at(i)->size) {
        while (!at(i)->used && i + at(i)->size < ARENA && !at(i + at(i)->size)->used) { at(i)->size += at(i + at(i)->size)->size; }
        if (at(i)->used || at(i)->size < need) { continue; }
        if (at(i)->size - need >= 64) {
            at(i + need)->size = at(i)->size - need;
            at(i + need)->used = 0;
            at(i)->size = need;
        }
        at(i)->used = 1;
        arena_used += at(i)->size;
        if (arena_used > arena_peak) { arena_peak = arena_used; }
        return arena.bytes + i + sizeof(block);
    }
    return NULL;                                                   /* full: the library reports DREAMDB_ERR_MEMORY and undoes its step */
}

static void arena_give(void *p)
{
    block *b = (block *)p - 1;
    arena_used -= b->size;
    b->used = 0;
}

static void *arena_resize(void *user, void *old, size_t old_size, size_t new_size)
{
    (void)user;
    void *out = new_size > 0 ? arena_take(new_size) : NULL;
    if (new_size > 0 && !out) { return NULL; }
    if (old) {
        if (out) { memcpy(out, old, old_size < new_size ? old_size : new_size); }
        arena_give(old);
    }
    return out;
}

/* ---- The board ---- */
static uint64_t ticks = 1700000000000000000u;
static uint64_t board_now(void *user) { (void)user; return ticks += 1000000; }
static int board_random(void *user, void *out, size_t size)
{
    static uint32_t noise = 2463534242u;                            /* a board would read its noise source */
    (void)user;
    for (size_t i = 0; i < size; i++) {
        noise ^= noise << 13; noise ^= noise >> 17; noise ^= noise << 5;
        ((unsigned char *)out)[i] = (unsigned char)noise;
    }
    return 0;
}

/* A motion pattern: one of four gestures with a little noise. */
enum { DIM = 12 };
static void sense(unsigned gesture, float out[DIM])
{
    for (int d = 0; d < DIM; d++) {
        unsigned char noise;
        (void)board_random(NULL, &noise, 1);
        out[d] = ((unsigned)d % 4 == gesture ? 1.0f : 0.1f) + (float)noise / 1024.0f;
    }
}

#define MUST(call) do { if ((call) != DREAMDB_OK) { printf("embedded: %s\n", error.message); return 1; } } while (0)

int main(void)
{
    static const char *const gestures[] = { "shake", "tilt", "tap", "turn" };
    static const char *const columns[] = { "gesture" };
    dreamdb_error error;
    dreamdb_store store;
    dreamdb *db;
    dreamdb_snapshot *view;
    dreamdb_result *found;
    dreamdb_allocator memory = { .resize = arena_resize };
    int right = 1;

    arena_open();
    MUST(dreamdb_store_memory(&memory, &store, &error));
    dreamdb_config config = { .store = &store, .allocator = memory, .threads = 1, .now_ns = board_now, .random = board_random, .cache_bytes = 256 << 10 };
    dreamdb_field fields[] = { { .name = "motion", .kind = DREAMDB_EMBEDDING, .dim = DIM, .index = DREAMDB_INDEX_LSH, .bits = 4 },
                               { .name = "gesture", .kind = DREAMDB_CATEGORICAL } };
    dreamdb_create_desc desc = { .fields = fields, .field_count = 2 };
    MUST(dreamdb_create(&config, "gestures", &desc, &db, &error));

    for (int round = 0; round < 10; round++) {                      /* ten small batches, as a logger writes them */
        float rows[8 * DIM];
        dreamdb_slice names[8];
        for (unsigned i = 0; i < 8; i++) {
            sense(i % 4, rows + i * DIM);
            names[i].data = gestures[i % 4];
            names[i].size = strlen(gestures[i % 4]);
        }
        dreamdb_column batch[] = { { .field = "motion", .data = rows }, { .field = "gesture", .values = names } };
        dreamdb_append_desc append = { .columns = batch, .column_count = 2, .count = 8, .page_early = 1 };
        MUST(dreamdb_append(db, &append, NULL, &error));
    }

    MUST(dreamdb_snapshot_open(db, NULL, &view, &error));
    for (unsigned g = 0; g < 4; g++) {
        float now[DIM];
        sense(g, now);
        dreamdb_query query = { .field = "motion", .vectors = now, .top_k = 1, .exact = 1, .fields = columns, .field_count = 1 };
        MUST(dreamdb_search(view, &query, &found, &error));
        const dreamdb_value *best = found->count ? &found->hits[0].values[0] : NULL;
        printf("%-6s looks like %.*s\n", gestures[g], best ? (int)best->size : 4, best ? (const char *)best->data : "none");
        right &= best && best->size == strlen(gestures[g]) && memcmp(best->data, gestures[g], best->size) == 0;
        dreamdb_result_free(found);
    }
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    dreamdb_store_close(&store);
    printf("arena: %lu KiB at most, %lu bytes left in use\n", (unsigned long)(arena_peak >> 10), (unsigned long)arena_used);
    return right && arena_used == 0 ? 0 : 1;
}
