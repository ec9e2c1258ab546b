/* replay.c - main for the fuzz targets without libFuzzer: runs every file of a target's corpus, and N mutations of each made by a fixed
   generator.     replay tests/fuzz/corpus 1000 [TARGET...] */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fuzz_target { const char *name; int (*run)(const uint8_t *data, size_t size); } fuzz_target;
extern const fuzz_target fuzz_targets[];

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

/* One file and its mutations. */
static long run_file(const fuzz_target *target, const char *path, long mutations)
{
    size_t size = 0, room;
    uint8_t *data = read_file(path, &size), *copy;
    long k;
    room = size + 64;
    copy = (uint8_t *)malloc(room);
    if (!data || !copy) { exit(1); }
    (void)target->run(data, size);
    for (k = 0; k < mutations; k++) {
        size_t n = mutate(copy, data, size, room);
        uint8_t *exact = (uint8_t *)malloc(n ? n : 1);             /* its own block, so that a sanitizer sees a read past the end */
        if (!exact) { exit(1); }
        memcpy(exact, copy, n);
        (void)target->run(exact, n);
        free(exact);
    }
    free(data); free(copy);
    return mutations + 1;
}

/* All files of a target's folder, by name, so that every run is the same.  Returns how many there were. */
static size_t run_target(const fuzz_target *target, const char *corpus, long mutations)
{
    char *names[1024], path[4096];
    size_t count = 0, i;
    long runs = 0;
    struct dirent *entry;
    DIR *dir;
    (void)snprintf(path, sizeof path, "%s/%s", corpus, target->name);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)) != NULL && count < 1024) {
        if (entry->d_name[0] != '.') {
            names[count] = (char *)malloc(strlen(entry->d_name) + 1);
            if (!names[count]) { exit(1); }
            memcpy(names[count], entry->d_name, strlen(entry->d_name) + 1);
            count++;
        }
    }
    if (dir) { (void)closedir(dir); }
    qsort(names, count, sizeof *names, by_name);
    for (i = 0; i < count; i++) {
        (void)snprintf(path, sizeof path, "%s/%s/%s", corpus, target->name, names[i]);
        runs += run_file(target, path, mutations);
        free(names[i]);
    }
    printf("%s: %lu files, %ld runs\n", target->name, (unsigned long)count, runs);
    (void)fflush(stdout);
    return count;
}

int main(int argc, char **argv)
{
    long mutations = argc > 2 ? atol(argv[2]) : 100, passed = 0, failed = 0;
    const fuzz_target *target;
    int i;
    if (argc < 2) { fprintf(stderr, "usage: %s CORPUS [MUTATIONS [TARGET...]]\n", argv[0]); return 2; }
    for (target = fuzz_targets; target->name; target++) {
        int wanted = argc < 4;
        for (i = 3; i < argc; i++) { wanted |= strcmp(argv[i], target->name) == 0; }
        if (wanted && run_target(target, argv[1], mutations) > 0) { passed++; }
        else if (wanted) { failed++; }
    }
    printf("fuzz: %ld passed, %ld failed\n", passed, failed);
    return failed != 0;
}
