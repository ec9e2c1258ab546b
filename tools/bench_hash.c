/* bench_hash: BLAKE3 of dreamdb.h beside the official C library with its assembly (a peer, fetched by tools/bench_hash.sh, never in this
   repository).  Both run in turn in the same loop; the best round counts for each; GB/s, one thread.
     bench_hash [seconds a row, default .4] */
#define DREAMDB_IMPLEMENTATION
#include "../dreamdb.h"
#include "blake3.h"
#include <stdio.h>
#include <stdlib.h>

static uint64_t now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void peer(const uint8_t *data, size_t size, uint8_t out[32])
{
    blake3_hasher hasher;
    blake3_hasher_init(&hasher);
    blake3_hasher_update(&hasher, data, size);
    blake3_hasher_finalize(&hasher, out, 32);
}

enum { MOST = 512 };
static uint8_t *data;
static size_t count, size;                    /* count inputs of size bytes, one after another */
static ddb_slice inputs[MOST];
static uint8_t out_peer[MOST][32], out_one[MOST][32], out_many[MOST][32];
typedef enum { PEER, ONE, MANY, BOARD } what;
static uint8_t *board;

static void work(what kind, uint32_t cpu)
{
    if (kind == MANY) {
        ddb_hash_many(cpu, inputs, count, out_many);
    } else if (kind == BOARD) {
        ddb_hash_outboard(cpu, data, size, board, out_many[0]);
    } else {
        for (size_t i = 0; i < count; i++) {
            if (kind == PEER) {
                peer(inputs[i].data, size, out_peer[i]);
            } else {
                ddb_hash_one(cpu, inputs[i].data, size, out_one[i]);
            }
        }
    }
}

/* Best GB/s of each kind, in turn, for about `seconds`. */
static void race(const what *kinds, const uint32_t *cpus, int n, double seconds, double *best)
{
    double bytes = (double)size * (double)count;
    size_t times = bytes < 2e6 ? (size_t)(2e6 / (bytes + 64)) + 1 : 1;
    uint64_t end = now() + (uint64_t)(seconds * 1e9);
    for (int k = 0; k < n; k++) {
        best[k] = 0;
    }
    for (int round = 0; round < 5 || now() < end; round++) {
        for (int k = 0; k < n; k++) {
            uint64_t start = now();
            for (size_t t = 0; t < times; t++) {
                work(kinds[k], cpus[k]);
            }
            double rate = bytes * (double)times / (double)(now() - start);
            best[k] = rate > best[k] ? rate : best[k];
        }
    }
}

static void set(size_t inputs_count, size_t input_size)
{
    count = inputs_count;
    size = input_size;
    for (size_t i = 0; i < count; i++) {
        inputs[i] = ddb_bytes_slice(data + i * size, size);
    }
}

int main(int argc, char **argv)
{
    static const size_t sizes[12] = {64, 1024, 2048, 3072, 4096, 8192, 16384, 65536, 262144, 1048576, 16777216, 0};
    static const size_t small[6] = {100, 1024, 2048, 3000, 4096, 16384};
    double seconds = argc > 1 ? atof(argv[1]) : .4, best[5];
    uint32_t all = ddb_cpu_detect();
    data = (uint8_t *)malloc(17000000);
    board = (uint8_t *)malloc(2000000);
    if (!data || !board) {
        return 1;
    }
    for (size_t i = 0; i < 17000000; i++) {
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    printf("one input: GB/s   peer     dreamdb  ratio    SSE4.1   AVX2     portable\n");
    for (int i = 0; sizes[i] > 0; i++) {
        const what kinds[5] = {PEER, ONE, ONE, ONE, ONE};
        uint32_t cpus[5] = {0, 0, 0, 0, 0};
        cpus[1] = all;
        cpus[2] = all & (uint32_t)DDB_CPU_SSE41;
        cpus[3] = all & (uint32_t)(DDB_CPU_SSE41 | DDB_CPU_AVX2);
        set(1, sizes[i]);
        race(kinds, cpus, 5, seconds, best);
        printf("%10zu bytes  %7.2f  %7.2f  %6.2f   %7.2f  %7.2f  %7.2f%s\n", size, best[0], best[1], best[1] / best[0], best[2], best[3],
               best[4], memcmp(out_one[0], out_peer[0], 32) == 0 ? "" : "  DIFFERENT HASH");
    }
    printf("many inputs: GB/s peer     one      many     many/one\n");
    for (int i = 0; i < 6; i++) {
        const what kinds[3] = {PEER, ONE, MANY};
        uint32_t cpus[3] = {0, 0, 0};
        cpus[1] = cpus[2] = all;
        set(256, small[i]);
        race(kinds, cpus, 3, seconds, best);
        printf("%4zu x %5zu bytes %7.2f  %7.2f  %7.2f  %6.1f%s\n", count, size, best[0], best[1], best[2], best[2] / best[1],
               memcmp(out_one, out_peer, 32 * count) == 0 && memcmp(out_many, out_peer, 32 * count) == 0 ? "" : "  DIFFERENT HASH");
    }
    printf("outboard: GB/s    hash     with outboard\n");
    for (int i = 0; i < 3; i++) {
        static const size_t boards[3] = {65536, 1048576, 16777216};
        const what kinds[2] = {ONE, BOARD};
        uint32_t cpus[2] = {0, 0};
        cpus[0] = cpus[1] = all;
        set(1, boards[i]);
        race(kinds, cpus, 2, seconds, best);
        printf("%10zu bytes  %7.2f  %7.2f\n", size, best[0], best[1]);
    }
    return 0;
}
