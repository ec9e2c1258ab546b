/* Outboards: the bytes are an outboard of a subject of 5,000 bytes that the target makes; a range verifies only if it is the subject's.
   The first byte says which chunks are looked at, the second whether the subject itself is bent. */
#include "fuzz.h"

FUZZ(outboard)(const uint8_t *data, size_t size)
{
    enum { SUBJECT = 5000 };
    ddb_ctx ctx = fuzz_ctx();
    uint8_t subject[SUBJECT], bent[SUBJECT], root[32], *tree;
    size_t i, room = ddb_hash_outboard_size(SUBJECT), first, end;
    if (size < 2) { return 0; }
    for (i = 0; i < SUBJECT; i++) { subject[i] = (uint8_t)(i % 251); }
    tree = (uint8_t *)malloc(room);
    if (!tree) { return 0; }
    ddb_hash_outboard(ctx.cpu, subject, SUBJECT, tree, root);
    memcpy(bent, subject, SUBJECT);
    first = data[0] % 5u;
    end = first + 1 + data[0] / 5u % (5 - first);
    end = end * 1024 < SUBJECT ? end * 1024 : SUBJECT;
    if (data[1]) { bent[first * 1024 + data[1] % (end - first * 1024)] ^= data[1]; }
    if (ddb_hash_verify_range(ctx.cpu, data + 2, size - 2, root, SUBJECT, first, bent + first * 1024, end - first * 1024)) {
        FUZZ_WANT(data[1] == 0);                           /* no outboard, however made, may let bent bytes pass */
    }
    FUZZ_WANT(ddb_hash_verify_range(ctx.cpu, tree, room, root, SUBJECT, first, subject + first * 1024, end - first * 1024));
    if (size - 2 == room && memcmp(data + 2, tree, room) == 0 && data[1] == 0) {
        FUZZ_WANT(ddb_hash_verify_range(ctx.cpu, data + 2, room, root, SUBJECT, first, bent + first * 1024, end - first * 1024));
    }
    free(tree);
    return 0;
}
