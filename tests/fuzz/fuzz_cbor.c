/* Any bytes: the strict reader takes them or not, and what it takes the map helpers can walk. */
#include "fuzz.h"

FUZZ(cbor)(const uint8_t *data, size_t size)
{
    ddb_ctx ctx = fuzz_ctx();
    ddb_slice all = ddb_bytes_slice(data, size), key = ddb_bytes_slice(NULL, 0), previous = ddb_bytes_slice(NULL, 0), raw, value;
    ddb_cbor r;
    size_t count = 0, i;
    bool good = ddb_cbor_valid(all);
    ddb_cbor_open(&r, all);
    if (ddb_cbor_skip(&r, &raw)) { FUZZ_WANT(raw.size <= size); }
    FUZZ_WANT(good == ddb_cbor_end(&r));
    ddb_cbor_open(&r, all);
    if (ddb_cbor_read_map(&r, &count)) {
        FUZZ_WANT(count <= size);
        for (i = 0; i < count && ddb_cbor_next_key(&r, &key, &previous) && ddb_cbor_skip(&r, &raw); i++) {
            char name[64];
            if (good && key.size < sizeof name && !memchr(key.data, 0, key.size)) {
                memcpy(name, key.data, key.size);
                name[key.size] = 0;
                FUZZ_WANT(ddb_cbor_map_find(all, name, &value) && value.size == raw.size);
            }
        }
        FUZZ_WANT(!good || (i == count && ddb_cbor_end(&r)));
    }
    (void)ctx;
    return 0;
}
