/* Index pages of every kind of tree, as a root of some level and as a child. */
#include "fuzz.h"

FUZZ(page)(const uint8_t *data, size_t size)
{
    static const char *const modalities[] = { "image.jpeg", "embedding.f32.dim=6.bucketed", "scalar.i64.field=i", "", "scalar.cat.field=c" };
    static const char *const algorithms[] = { "dreamdb.btree-int64", "dreamdb.btree-float64", "dreamdb.btree-string" };
    ddb_ctx ctx = fuzz_ctx();
    size_t kind, value, level;
    for (kind = DDB_PAGE_TIME; kind <= DDB_PAGE_TOMB; kind++) {
        for (value = 0; value < (kind == DDB_PAGE_SCALAR ? 3u : 1u); value++) {
            for (level = 0; level < 3; level++) {
                ddb_page_tree tree;
                ddb_page_child expect;
                ddb_page page;
                ddb_arena arena;
                memset(&tree, 0, sizeof tree); memset(&expect, 0, sizeof expect); memset(&arena, 0, sizeof arena);
                tree.kind = (ddb_page_kind)kind;
                tree.modality = ddb_bytes_text(modalities[kind]);
                if (kind == DDB_PAGE_SCALAR) { tree.algorithm = ddb_bytes_text(algorithms[value]); tree.value = ddb_page_value_of(tree.algorithm); }
                tree.folder = tree.path = "fuzz";
                tree.pages = 1000;
                expect.level = (uint32_t)level;
                expect.root = true;
                fuzz_status(ddb_page_decode(&ctx, &arena, &tree, ddb_bytes_slice(data, size), "index/fuzz", &expect, &page));
                ddb_mem_arena_free(&ctx, &arena);
            }
        }
    }
    FUZZ_WANT(fuzz_live == 0);
    return 0;
}
