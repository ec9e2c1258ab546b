/* all.c - every fuzz target in one program with the replay of replay.c: one compile of the implementation for all of them. */
#include "fuzz.h"
#define LLVMFuzzerTestOneInput fuzz_bucket
int fuzz_bucket(const uint8_t *data, size_t size);
#include "fuzz_bucket.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_cbor
int fuzz_cbor(const uint8_t *data, size_t size);
#include "fuzz_cbor.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_codec
int fuzz_codec(const uint8_t *data, size_t size);
#include "fuzz_codec.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_index
int fuzz_index(const uint8_t *data, size_t size);
#include "fuzz_index.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_item
int fuzz_item(const uint8_t *data, size_t size);
#include "fuzz_item.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_manifest
int fuzz_manifest(const uint8_t *data, size_t size);
#include "fuzz_manifest.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_npy
int fuzz_npy(const uint8_t *data, size_t size);
#include "fuzz_npy.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_outboard
int fuzz_outboard(const uint8_t *data, size_t size);
#include "fuzz_outboard.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_page
int fuzz_page(const uint8_t *data, size_t size);
#include "fuzz_page.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_roaring
int fuzz_roaring(const uint8_t *data, size_t size);
#include "fuzz_roaring.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_track
int fuzz_track(const uint8_t *data, size_t size);
#include "fuzz_track.c"
#undef LLVMFuzzerTestOneInput

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
    { "track", fuzz_track },
    { NULL, NULL }
};
