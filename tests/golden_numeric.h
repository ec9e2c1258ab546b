/* Reads the files that golden/make_numeric.py wrote: blocks of u32 size and bytes. */
#ifndef GOLDEN_NUMERIC_H
#define GOLDEN_NUMERIC_H
static int test_exists(const char *path) { FILE *f = fopen(path, "rb"); if (f) { (void)fclose(f); } return f != NULL; }
typedef struct golden { uint8_t *data; size_t size, at; } golden;
static golden golden_open(const char *name)
{
    golden g;
    char path[200];
    (void)snprintf(path, sizeof path, "%stests/golden/numeric/%s.bin", test_exists("tests/golden/numeric/exact.bin") ? "" : "../", name);
    g.data = test_file(path, &g.size);
    g.at = 0;
    return g;
}
static ddb_slice golden_next(golden *g)
{
    ddb_slice out = ddb_bytes_slice(NULL, 0);
    if (g->data && g->at + 4 <= g->size) {
        out = ddb_bytes_slice(g->data + g->at + 4, ddb_bytes_le32(g->data + g->at));
        g->at += 4 + out.size;
    }
    if (!out.data || g->at > g->size) { test_ok = 0; printf("golden file is too short\n"); exit(1); }
    return out;
}
/* A copy that is aligned; caller frees. */
static float *golden_floats(golden *g, size_t *count)
{
    ddb_slice s = golden_next(g);
    float *out = (float *)malloc(s.size + 4);
    if (!out) { exit(1); }
    ddb_bytes_get_f32(out, s.data, s.size / 4);
    if (count) { *count = s.size / 4; }
    return out;
}
static uint64_t golden_u64(ddb_slice s, size_t i) { return i * 8 + 8 <= s.size ? ddb_bytes_le64(s.data + i * 8) : 0; }
#endif
