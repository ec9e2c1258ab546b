/* replay.c - main for a fuzz target without libFuzzer: runs every file of a folder, and N mutations of each made by a fixed generator.
     replay_cbor tests/fuzz/corpus/cbor 1000 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state = 0x9e3779b97f4a7c15u;
static uint64_t draw(void) { state ^= state << 13; state ^= state >> 7; state ^= state << 17; return state; }

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    long n;
    uint8_t *out;
    if (!f) { return NULL; }
    (void)fseek(f, 0, SEEK_END); n = ftell(f); rewind(f);
    out = (uint8_t *)malloc((size_t)n + 1);
    if (out) { *size = fread(out, 1, (size_t)n, f); }
    (void)fclose(f);
    return out;
}

/* Bytes that decoders find interesting. */
static uint8_t odd_byte(void)
{
    static const uint8_t odd[] = { 0x00, 0x01, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1e, 0x40, 0x58, 0x5f, 0x60, 0x7f, 0x80, 0x9b, 0x9f, 0xa0, 0xbf, 0xf4, 0xf6, 0xf7, 0xf9, 0xfb, 0xff };
    return draw() % 2 ? odd[draw() % sizeof odd] : (uint8_t)draw();
}

/* One to four edits: a bit, a byte, a run of one byte, a cut, bytes put in or taken out, a piece copied elsewhere. */
static size_t mutate(uint8_t *to, const uint8_t *from, size_t size, size_t room)
{
    size_t edits = 1 + draw() % 4, i;
    memcpy(to, from, size);
    for (i = 0; i < edits; i++) {
        size_t at = size ? draw() % size : 0, n = 1 + draw() % 8, other = size ? draw() % size : 0;
        switch (draw() % 7) {
        case 0: if (size) { to[at] = (uint8_t)(to[at] ^ (1u << (draw() % 8))); } break;
        case 1: if (size) { to[at] = odd_byte(); } break;
        case 2: for (; n > 0 && at < size; n--, at++) { to[at] = 0xff; } break;
        case 3: size = at; break;
        case 4: if (size + n <= room) { memmove(to + at + n, to + at, size - at); memset(to + at, odd_byte(), n); size += n; } break;
        case 5: if (at + n <= size) { memmove(to + at, to + at + n, size - at - n); size -= n; } break;
        default: if (at + n <= size && other + n <= size) { memmove(to + at, to + other, n); } break;
        }
    }
    return size;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(int argc, char **argv)
{
    long mutations = argc > 2 ? atol(argv[2]) : 100, runs = 0, k;
    DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
    struct dirent *entry;
    char *names[4096], path[4096];
    size_t count = 0, i;
    if (!dir) { fprintf(stderr, "usage: %s FOLDER [MUTATIONS]\n", argv[0]); return 2; }
    while ((entry = readdir(dir)) != NULL && count < 4096) {
        if (entry->d_name[0] != '.') {
            names[count] = (char *)malloc(strlen(entry->d_name) + 1);
            if (!names[count]) { return 1; }
            memcpy(names[count], entry->d_name, strlen(entry->d_name) + 1);
            count++;
        }
    }
    (void)closedir(dir);
    qsort(names, count, sizeof *names, by_name);
    for (i = 0; i < count; i++) {
        size_t size = 0, room;
        uint8_t *data, *copy;
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], names[i]);
        data = read_file(path, &size);
        room = size + 64;
        copy = (uint8_t *)malloc(room);
        if (!data || !copy) { return 1; }
        (void)LLVMFuzzerTestOneInput(data, size);
        for (k = 0; k < mutations; k++) {
            size_t n = mutate(copy, data, size, room);
            uint8_t *exact = (uint8_t *)malloc(n ? n : 1);         /* its own block, so that a sanitizer sees a read past the end */
            if (!exact) { return 1; }
            memcpy(exact, copy, n);
            (void)LLVMFuzzerTestOneInput(exact, n);
            free(exact);
            runs++;
        }
        free(data); free(copy); free(names[i]);
    }
    printf("%s: %ld runs\n", argv[1], runs + (long)count);
    printf("%lu passed, %d failed\n", (unsigned long)count, count == 0);
    return count == 0;
}
