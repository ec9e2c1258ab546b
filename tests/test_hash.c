/* Room hash: golden hashes (pip blake3) and outboards (fixtures core-bao), a stupid recursive model, every CPU mask. */
#include "test.h"

/* ---- The model: one block at a time, recursion, no kernel of the room ---------------------------------------------- */

static const uint32_t model_iv[8] = {
    0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au, 0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u
};
static uint32_t model_ror(uint32_t x, int n) { return x >> n | x << (32 - n); }
static void model_mix(uint32_t *s, int a, int b, int c, int d, uint32_t x, uint32_t y)
{
    s[a] += s[b] + x; s[d] = model_ror(s[d] ^ s[a], 16); s[c] += s[d]; s[b] = model_ror(s[b] ^ s[c], 12);
    s[a] += s[b] + y; s[d] = model_ror(s[d] ^ s[a], 8);  s[c] += s[d]; s[b] = model_ror(s[b] ^ s[c], 7);
}
static void model_block(uint32_t cv[8], const uint8_t *block, uint64_t counter, uint32_t size, uint32_t flags)
{
    static const uint8_t order[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
    uint32_t s[16], m[16], t[16];
    int i, r;
    memset(m, 0, sizeof m);
    for (i = 0; i < 64; i++) { m[i / 4] |= (uint32_t)block[i] << (8 * (i % 4)); }
    for (i = 0; i < 8; i++) { s[i] = cv[i]; s[8 + i] = model_iv[i]; }
    s[12] = (uint32_t)counter; s[13] = (uint32_t)(counter >> 32); s[14] = size; s[15] = flags;
    for (r = 0; r < 7; r++) {
        for (i = 0; i < 4; i++) { model_mix(s, i, 4 + i, 8 + i, 12 + i, m[2 * i], m[2 * i + 1]); }
        for (i = 0; i < 4; i++) { model_mix(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[8 + 2 * i], m[9 + 2 * i]); }
        for (i = 0; i < 16; i++) { t[i] = m[order[i]]; }
        memcpy(m, t, sizeof m);
    }
    for (i = 0; i < 8; i++) { cv[i] = s[i] ^ s[8 + i]; }
}
static void model_put(const uint32_t cv[8], uint8_t out[32])
{
    int i;
    for (i = 0; i < 32; i++) { out[i] = (uint8_t)(cv[i / 4] >> (8 * (i % 4))); }
}
/* pairs: where the pre-order pairs go, or NULL; advances it. */
static void model_tree(const uint8_t *data, size_t size, uint64_t chunk, uint32_t root, uint8_t **pairs, uint8_t out[32])
{
    uint32_t cv[8];
    memcpy(cv, model_iv, sizeof cv);
    if (size <= 1024) {
        size_t at = 0;
        do {
            uint8_t block[64];
            size_t n = size - at < 64 ? size - at : 64;
            memset(block, 0, sizeof block);
            memcpy(block, data + at, n);
            model_block(cv, block, chunk, (uint32_t)n, (at == 0 ? 1u : 0u) | (at + n == size ? 2u | root : 0u));
            at += n;
        } while (at < size);
    } else {
        uint8_t pair[64], *mine = *pairs;
        size_t left = 1024;
        while (left * 2 < size) { left *= 2; }
        if (mine) { *pairs += 64; }
        model_tree(data, left, chunk, 0, pairs, pair);
        model_tree(data + left, size - left, chunk + left / 1024, 0, pairs, pair + 32);
        if (mine) { memcpy(mine, pair, 64); }
        model_block(cv, pair, 0, 64, 4 | root);
    }
    model_put(cv, out);
}
static void model_hash(const uint8_t *data, size_t size, uint8_t out[32])
{
    uint8_t *none = NULL;
    model_tree(data, size, 0, 8, &none, out);
}

/* ---- Help ------------------------------------------------------------------------------------------------------------ */

enum { BIG = 1300000 };
static uint8_t test_ramp[BIG], test_noise[BIG];
/* Each kernel set this machine has: portable, then one more at a time, all.  0 after the last. */
static uint32_t masks[8];
static int mask_count;

static void prepare(void)
{
    uint32_t all = ddb_cpu_detect(), step[4] = {DDB_CPU_SSE41, DDB_CPU_AVX2, DDB_CPU_AVX512, DDB_CPU_NEON}, mask = 0;
    size_t i;
    int k;
    for (i = 0; i < BIG; i++) {
        test_ramp[i] = (uint8_t)(i % 251);
        test_noise[i] = (uint8_t)(test_rand() >> 33);
    }
    masks[mask_count++] = 0;
    for (k = 0; k < 4; k++) {
        if (all & step[k]) {
            mask |= step[k];
            masks[mask_count++] = mask;
        }
    }
    if (all & DDB_CPU_AVX2) { masks[mask_count++] = DDB_CPU_AVX2; }     /* AVX2 without SSE4.1 in the mask */
    masks[mask_count++] = all;
}
static uint32_t any_mask(void) { return masks[test_rand() % (uint64_t)mask_count]; }
static int hex_value(char c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; }
static void from_hex(const char *text, uint8_t out[32])
{
    int i;
    for (i = 0; i < 32; i++) { out[i] = (uint8_t)(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1])); }
}
static void one(uint32_t cpu, const uint8_t *data, size_t size, uint8_t out[32])       /* from memory of exactly that size, for ASan */
{
    uint8_t *copy = (uint8_t *)malloc(size > 0 ? size : 1);
    if (!copy) { test_ok = 0; return; }
    memcpy(copy, data, size);
    ddb_hash_one(cpu, copy, size, out);
    free(copy);
}

/* ---- Tests ------------------------------------------------------------------------------------------------------------ */

static void golden(void)
{
    size_t file_size = 0;
    char *text = (char *)test_file("tests/golden/hash/blake3.txt", &file_size), *line;
    int lines = 0, outboards = 0, k;
    for (line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        unsigned long size = 0;
        char hash[65], board[65];
        uint8_t want[32], got[32], root[32], *out;
        if (*line == '#') { continue; }
        CHECK(sscanf(line, "%lu %64s %64s", &size, hash, board) == 3 && size <= BIG);
        from_hex(hash, want);
        model_hash(test_ramp, size, got);
        CHECK_BYTES(got, want, 32);
        out = (uint8_t *)malloc(ddb_hash_outboard_size(size));
        for (k = 0; out && k < mask_count; k++) {
            one(masks[k], test_ramp, size, got);
            CHECK_BYTES(got, want, 32);
            ddb_hash_outboard(masks[k], test_ramp, size, out, root);
            CHECK_BYTES(root, want, 32);
            if (board[0] != '-') {
                uint8_t want_board[32];
                from_hex(board, want_board);
                ddb_hash_one(masks[k], out, ddb_hash_outboard_size(size), got);
                CHECK_BYTES(got, want_board, 32);
                outboards++;
            }
        }
        free(out);
        lines++;
    }
    CHECK(lines >= 80 && outboards >= 15 * mask_count);
    free(text);
}

static void every_size_every_mask(void)
{
    size_t size;
    for (size = 0; size <= 20000; size += size < 5200 ? 1 : 1 + (size_t)(test_rand() % 97)) {
        uint8_t want[32], got[32];
        const uint8_t *data = test_noise + size % 61;
        int k;
        model_hash(data, size, want);
        for (k = 0; k < mask_count; k++) {
            if (size < 1100 || k == 0 || k + 1 == mask_count || size % 3 == 0) {
                one(masks[k], data, size, got);
                CHECK_BYTES(got, want, 32);
            }
        }
    }
}

static void big_sizes(void)
{
    size_t chunks;
    for (chunks = 20; chunks < 1200; chunks += 1 + chunks / 7) {       /* past several slabs of 256 chunks */
        size_t size = chunks * 1024 + (size_t)(test_rand() % 3) * 511;
        uint8_t want[32], got[32];
        int k;
        model_hash(test_noise, size, want);
        for (k = 0; k < mask_count; k++) {
            one(masks[k], test_noise, size, got);
            CHECK_BYTES(got, want, 32);
        }
    }
}

static void streaming(void)
{
    int round;
    for (round = 0; round < 400; round++) {
        size_t size = (size_t)(test_rand() % (round % 20 == 0 ? 900000 : 40000)), at = 0;
        uint32_t cpu = any_mask();
        ddb_hash_state state;
        uint8_t want[32], got[32];
        if (round % 3 == 0) { size -= size % 1024; }
        if (round < 20) { size = (size_t)round * 1024; }
        ddb_hash_one(cpu, test_noise, size, want);
        ddb_hash_init(&state, cpu);
        while (at < size) {
            static const size_t steps[8] = {1, 63, 64, 1000, 1024, 5000, 65536, 300000};
            size_t most = steps[test_rand() % 8], n = round % 2 ? most : 1 + (size_t)(test_rand() % most);
            n = n < size - at ? n : size - at;
            ddb_hash_update(&state, test_noise + at, n);
            at += n;
            if (test_rand() % 16 == 0) {       /* a value in between, and none of it changes the state */
                uint8_t middle[32];
                ddb_hash_final(&state, got);
                ddb_hash_one(cpu, test_noise, at, middle);
                CHECK_BYTES(got, middle, 32);
                ddb_hash_update(&state, NULL, 0);
            }
        }
        ddb_hash_final(&state, got);
        CHECK_BYTES(got, want, 32);
    }
}

static void many_is_one(void)
{
    enum { MOST = 700 };
    static ddb_slice in[MOST];
    static uint8_t out[MOST + 1][32];
    int round;
    for (round = 0; round < 120; round++) {
        size_t count = (size_t)(test_rand() % (round % 8 == 0 ? MOST : 40)), i;
        uint32_t cpu = any_mask();
        memset(out, 0x5a, sizeof out);
        for (i = 0; i < count; i++) {
            size_t limits[6] = {1, 1025, 4097, 16385, 40000, 130}, size = 0;
            size = (size_t)(test_rand() % limits[(size_t)round % 6]);
            if (round % 4 == 1) { size = 1024; }
            if (round % 4 == 2) { size = 2048; }
            in[i] = ddb_bytes_slice(size > 0 ? test_noise + i * 7 : NULL, size);
        }
        ddb_hash_many(cpu, in, count, out);
        for (i = 0; i < count; i++) {
            uint8_t want[32];
            ddb_hash_one(0, in[i].data, in[i].size, want);
            CHECK_BYTES(out[i], want, 32);
        }
        for (i = 0; i < 32; i++) { CHECK(out[count][i] == 0x5a); }
    }
}

/* The outboard from pieces, each in memory of its own. */
static void pieces(uint32_t cpu, size_t size, uint8_t *out, uint8_t root[32])
{
    ddb_hash_board board;
    size_t at = 0;
    bool more = true;
    memset(out, 0x11, ddb_hash_outboard_size(size));
    memset(root, 0x11, 32);
    ddb_hash_board_open(&board, cpu, size, out);
    while (more) {
        size_t n = size - at < DDB_HASH_PIECE ? size - at : (size_t)DDB_HASH_PIECE;
        uint8_t *piece = (uint8_t *)malloc(n + 1);
        memcpy(piece, test_noise + at, n);
        more = ddb_hash_board_take(&board, piece, root);
        free(piece);
        at += n;
    }
    CHECK_EQ_U64(at, size);
}

static void outboards_as_the_model(void)
{
    size_t chunks;
    for (chunks = 1; chunks < 1250; chunks += chunks < 40 ? 1 : 1 + (size_t)(test_rand() % 60)) {
        size_t size = chunks * 1024 - (size_t)(test_rand() % 1024), n = ddb_hash_outboard_size(size);
        uint8_t *want = (uint8_t *)malloc(n), *got = (uint8_t *)malloc(n), root[32], root2[32], *at = want + 8;
        int k;
        CHECK_EQ_U64(n, 8 + 64 * (chunks - 1));
        ddb_bytes_set_le64(want, size);
        model_tree(test_noise, size, 0, 8, &at, root);
        CHECK(at == want + n);
        for (k = 0; k < mask_count; k++) {
            ddb_hash_outboard(masks[k], test_noise, size, got, root2);
            CHECK_BYTES(root2, root, 32);
            CHECK_BYTES(got, want, n);
            pieces(masks[k], size, got, root2);
            CHECK_BYTES(root2, root, 32);
            CHECK_BYTES(got, want, n);
        }
        free(want);
        free(got);
    }
    CHECK_EQ_U64(ddb_hash_outboard_size(0), 8);
}

/* A subject with its outboard, and one range of it. */
typedef struct subject { uint32_t cpu; size_t size, board_size; uint8_t *data, *board; uint8_t root[32]; } subject;
static void subject_open(subject *s, size_t size)
{
    s->cpu = any_mask();
    s->size = size;
    s->board_size = ddb_hash_outboard_size(size);
    s->data = (uint8_t *)malloc(size + 1);
    s->board = (uint8_t *)malloc(s->board_size + 64);
    memcpy(s->data, test_noise, size);
    ddb_hash_outboard(s->cpu, s->data, size, s->board, s->root);
}
static void subject_close(subject *s) { free(s->data); free(s->board); }
static bool good(const subject *s, size_t first, size_t size)
{
    return ddb_hash_verify_range(s->cpu, s->board, s->board_size, s->root, s->size, first, s->data + first * 1024, size);
}
static size_t range_of(const subject *s, size_t *first)
{
    size_t chunks = (s->size + 1023) / 1024, count;
    *first = (size_t)(test_rand() % chunks);
    count = 1 + (size_t)(test_rand() % (chunks - *first));
    return *first + count == chunks ? s->size - *first * 1024 : count * 1024;
}

static void verify_accepts(void)
{
    size_t size;
    for (size = 1; size < 700000; size += size < 9000 ? 300 : 1 + (size_t)(test_rand() % 60000)) {
        subject s;
        size_t chunks = (size + 1023) / 1024, first, n;
        int i;
        subject_open(&s, size);
        CHECK(good(&s, 0, size));
        for (i = 0; i < 12; i++) {
            n = range_of(&s, &first);
            CHECK(good(&s, first, n));
        }
        for (first = 0; first < chunks && first < 20; first++) {
            CHECK(good(&s, first, first + 1 == chunks ? size - first * 1024 : 1024));
        }
        subject_close(&s);
    }
}

static void verify_rejects(void)
{
    int round;
    for (round = 0; round < 300; round++) {
        subject s;
        size_t size = 1 + (size_t)(test_rand() % (round % 10 == 0 ? 600000 : 20000)), first, n = 0, at;
        uint8_t bit = (uint8_t)(1u << (test_rand() % 8));
        subject_open(&s, size);
        n = range_of(&s, &first);
        at = first * 1024 + (size_t)(test_rand() % n);
        s.data[at] ^= bit;
        CHECK(!good(&s, first, n));                                    /* a flipped bit in the bytes */
        s.data[at] ^= bit;
        at = (size_t)(test_rand() % s.board_size);
        s.board[at] ^= bit;
        CHECK(!good(&s, 0, size));                                     /* in the outboard, wherever it is */
        s.board[at] ^= bit;
        s.root[round % 32] ^= bit;
        CHECK(!good(&s, first, n));                                    /* in the hash */
        s.root[round % 32] ^= bit;
        CHECK(good(&s, first, n));
        CHECK(!good(&s, first, n - 1));                                /* short, long, empty, elsewhere */
        CHECK(!good(&s, first, 0));
        CHECK(first * 1024 + n == size || !good(&s, first, n + 1));
        CHECK(!ddb_hash_verify_range(s.cpu, s.board, s.board_size, s.root, size, first + 1, s.data + first * 1024, n));
        CHECK(!ddb_hash_verify_range(s.cpu, s.board, s.board_size, s.root, size, UINT64_MAX / 1024 + 1 + first, s.data + first * 1024, n));
        CHECK(!ddb_hash_verify_range(s.cpu, s.board, s.board_size, s.root, size, UINT64_MAX, s.data, n));
        CHECK(!ddb_hash_verify_range(s.cpu, s.board, s.board_size - 1, s.root, size, first, s.data + first * 1024, n));
        CHECK(!ddb_hash_verify_range(s.cpu, s.board, s.board_size + 64, s.root, size, first, s.data + first * 1024, n));
        CHECK(!ddb_hash_verify_range(s.cpu, s.board, 0, s.root, size, first, s.data + first * 1024, n));
        CHECK(!ddb_hash_verify_range(s.cpu, s.board, s.board_size, s.root, size + 1, first, s.data + first * 1024, n));
        CHECK(!ddb_hash_verify_range(s.cpu, s.board, s.board_size, s.root, UINT64_MAX, first, s.data + first * 1024, n));
        if (size > 2048) {
            uint8_t keep[1024];
            memcpy(keep, s.data, 1024);
            memcpy(s.data, s.data + 1024, 1024);                       /* two chunks swapped */
            memcpy(s.data + 1024, keep, 1024);
            CHECK(!good(&s, 0, 2048));
            CHECK(!good(&s, 1, 1024));
            CHECK(!good(&s, 0, size));
            memcpy(s.data + 1024, s.data, 1024);
            memcpy(s.data, keep, 1024);
            for (at = 0; at < 32; at++) {                              /* the two halves of the top pair swapped */
                uint8_t t = s.board[8 + at];
                s.board[8 + at] = s.board[40 + at];
                s.board[40 + at] = t;
            }
            CHECK(!good(&s, first, n));
        }
        subject_close(&s);
    }
}

static void verify_empty(void)
{
    subject s;
    subject_open(&s, 0);
    CHECK_EQ_U64(s.board_size, 8);
    CHECK(good(&s, 0, 0));
    CHECK(!good(&s, 1, 0));
    CHECK(!good(&s, 0, 1));
    s.root[3] ^= 1;
    CHECK(!good(&s, 0, 0));
    subject_close(&s);
}

/* A far chunk: the counter's upper word.  2^33 chunks cannot be in memory, but a subtree can pretend to be there. */
static void far_chunks(void)
{
    uint64_t far[3] = {UINT64_C(0xfffffff0), UINT64_C(0x100000000), UINT64_C(0x3ffffffffff00)};
    int i, k;
    for (i = 0; i < 3; i++) {
        uint8_t want[32], got[32], *none = NULL;
        size_t size = 16 * 1024 - (size_t)i * 700;
        model_tree(test_noise, size, far[i], 0, &none, want);
        for (k = 0; k < mask_count; k++) {
            ddb_hash_tree(masks[k], test_noise, size, far[i], 0, NULL, got);
            CHECK_BYTES(got, want, 32);
        }
    }
    CHECK_EQ_U64(ddb_hash_left(UINT64_C(1) << 54), UINT64_C(1) << 53);
    CHECK_EQ_U64(ddb_hash_left((UINT64_C(1) << 53) + 1), UINT64_C(1) << 53);
    CHECK_EQ_U64(ddb_hash_left(2), 1);
    CHECK_EQ_U64(ddb_hash_left(3), 2);
}

int main(void)
{
    prepare();
    RUN(golden);
    RUN(every_size_every_mask);
    RUN(big_sizes);
    RUN(streaming);
    RUN(many_is_one);
    RUN(outboards_as_the_model);
    RUN(verify_accepts);
    RUN(verify_rejects);
    RUN(verify_empty);
    RUN(far_chunks);
    return test_end("hash");
}
