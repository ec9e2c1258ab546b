/* all.c - every fuzz target in one program with the replay of replay.c: one compile of the implementation for all of them. */
#define FUZZ_ALL
#include "fuzz.h"
#include "fuzz_bucket.c"
#include "fuzz_cbor.c"
#include "fuzz_codec.c"
#include "fuzz_index.c"
#include "fuzz_item.c"
#include "fuzz_manifest.c"
#include "fuzz_npy.c"
#include "fuzz_outboard.c"
#include "fuzz_page.c"
#include "fuzz_roaring.c"
#include "fuzz_s3.c"
#include "fuzz_track.c"

const fuzz_target fuzz_targets[] = {
    { "bucket", fuzz_bucket },
    { "cbor", fuzz_cbor },
    { "codec", fuzz_codec },
    { "index", fuzz_index },
    { "item", fuzz_item },
    { "manifest", fuzz_manifest },
    { "npy", fuzz_npy },
    { "outboard", fuzz_outboard },
    { "page", fuzz_page },
    { "roaring", fuzz_roaring },
    { "s3", fuzz_s3 },
    { "track", fuzz_track },
    { NULL, NULL }
};
