/* test_page.c - room page: order keys, fit, cut, strict decoding (what decodes encodes to the same bytes), hostile pages. */
#include "test.h"

static double ldexp2(double x, int e) { while (e > 0) { x *= 2; e--; } while (e < 0) { x /= 2; e++; } return x; }
static uint64_t bits_of(double x) { uint64_t b; memcpy(&b, &x, 8); return b; }
static void widens_every_half(void)
{
    for (uint32_t h = 0; h < 65536; h++) {
        uint32_t e = h >> 10 & 31, m = h & 1023;
        double x = e == 0 ? ldexp2(m, -24) : ldexp2(m + 1024, (int)e - 25);
        if (e == 31) { continue; }
        x = h >> 15 ? -x : x;
        if (ddb_page_widen(h, 10, 5) != bits_of(x)) { CHECK_EQ_U64(h, h + 1); return; }
    }
    for (int i = 0; i < 100000; i++) {
        uint32_t w = (uint32_t)(test_rand() >> 20);
        float f;
        if (i % 3 == 0) { w &= 0x807fffffu; }               /* subnormals */
        if ((w >> 23 & 255) == 255) { continue; }
        memcpy(&f, &w, 4);
        if (ddb_page_widen(w, 23, 8) != bits_of((double)f)) { CHECK_EQ_U64(w, w + 1); return; }
    }
}
static ddb_page_key key_f64(double x)
{
    uint8_t b[9];
    ddb_page_key key;
    b[0] = 0xfb;
    ddb_bytes_set_be64(b + 1, bits_of(x));
    CHECK(ddb_page_value_key(DDB_PAGE_FLOAT64, ddb_bytes_slice(b, 9), &key));
    return key;
}
static void orders_values(void)
{
    uint8_t number[8];
    ddb_slice out;
    ddb_page_key key;
    for (int i = 0; i < 20000; i++) {
        uint64_t a = test_rand(), b = i % 2 ? test_rand() : a ^ UINT64_C(1) << (test_rand() % 64);
        double x, y;
        memcpy(&x, &a, 8);
        memcpy(&y, &b, 8);
        if ((a >> 52 & 0x7ff) == 0x7ff || (b >> 52 & 0x7ff) == 0x7ff) { continue; }
        ddb_page_key ka = key_f64(x), kb = key_f64(y);
        CHECK((x < y) == (ddb_page_key_compare(&ka, &kb) < 0) && (x == y) == (ddb_page_key_compare(&ka, &kb) == 0));
    }
    ddb_page_key zero = key_f64(0.0), minus = key_f64(-0.0);
    CHECK(ddb_page_key_compare(&zero, &minus) == 0);
    CHECK(!ddb_page_value_key(DDB_PAGE_FLOAT64, ddb_bytes_slice("\xf9\x7c\x00", 3), &key));         /* infinity */
    CHECK(!ddb_page_value_key(DDB_PAGE_FLOAT64, ddb_bytes_slice("\xf9\x7c", 2), &key));
    CHECK(!ddb_page_value_key(DDB_PAGE_FLOAT64, ddb_bytes_slice("\x01", 1), &key));
    CHECK(!ddb_page_value_key(DDB_PAGE_FLOAT64, ddb_bytes_slice(NULL, 0), &key));
    CHECK(!ddb_page_value_key(DDB_PAGE_INT64, ddb_bytes_slice("\x1b\x80\x00\x00\x00\x00\x00\x00\x00", 9), &key));
    CHECK(!ddb_page_value_key(DDB_PAGE_STRING, ddb_bytes_slice("\x62\x61", 2), &key));
    CHECK(ddb_page_order_bytes(ddb_bytes_text("dreamdb.btree-int64"), ddb_bytes_slice("\x20", 1), number, &out) && out.size == 8);
    CHECK_BYTES(out.data, "\x7f\xff\xff\xff\xff\xff\xff\xff", 8);
    CHECK(ddb_page_order_bytes(ddb_bytes_text("dreamdb.btree-string"), ddb_bytes_slice("\x62hi", 3), number, &out) && ddb_bytes_is(out, "hi"));
    CHECK(!ddb_page_order_bytes(ddb_bytes_text("dreamdb.btree-none"), ddb_bytes_slice("\x62hi", 3), number, &out));
}

/* ---- random rows and trees ---- */
static char cells[200][64];
static uint8_t values[200][80];
static size_t value_sizes[200];
static ddb_page_tree tree_of(ddb_page_kind kind, ddb_page_value value)
{
    ddb_page_tree tree;
    memset(&tree, 0, sizeof tree);
    tree.kind = kind;
    tree.value = value;
    tree.modality = ddb_bytes_text("image.jpeg");
    tree.algorithm = ddb_bytes_text(value == DDB_PAGE_STRING ? "dreamdb.btree-string" : "dreamdb.btree-int64");
    tree.folder = "f";
    tree.path = "track";
    tree.pages = 1000000;
    for (unsigned i = 0; i < 200; i++) {
        unsigned n = 1 + i % 60;
        for (unsigned j = 0; j < n; j++) { cells[i][j] = (char)('0' + ((i * 2654435761u) >> (j % 31) & 1)); }
        cells[i][n] = 0;
        uint8_t *at = value == DDB_PAGE_STRING ? ddb_page_string(values[i], 0x60, cells[i], n) : ddb_page_head(values[i], i % 2 ? 0 : 0x20, (uint64_t)i * i * i * 977);
        value_sizes[i] = (size_t)(at - values[i]);
    }
    return tree;
}
static void random_row(const ddb_page_tree *tree, ddb_row *row)
{
    uint64_t pick = test_rand() % 200;
    memset(row, 0, sizeof *row);
    row->t_start = test_rand() >> (test_rand() % 60 + 2);
    row->t_end = row->t_start + 1 + (test_rand() % 3 == 0 ? test_rand() >> (test_rand() % 60 + 3) : 0);
    row->size = test_rand() >> (1 + test_rand() % 63);
    row->addr.bytes[0] = row->sidecar.bytes[0] = 0x1e;
    ddb_bytes_set_le64(row->addr.bytes + 5, test_rand());
    if (tree->kind == DDB_PAGE_TIME) {
        row->flags = (uint32_t)(test_rand() % 3);
        row->offset = row->flags == DDB_ROW_PACKED ? test_rand() >> (1 + test_rand() % 63) : 0;
    } else if (tree->kind == DDB_PAGE_SPATIAL) {
        row->key = ddb_bytes_text(cells[pick]);
        row->flags = test_rand() % 2 ? (uint32_t)DDB_ROW_SIDECAR : 0u;
    } else {
        row->key = ddb_bytes_slice(values[pick], value_sizes[pick]);
        row->flags = test_rand() % 4 == 0 ? (uint32_t)DDB_ROW_WHOLE : 0u;
        row->offset = row->flags ? 0 : test_rand() >> (1 + test_rand() % 63);
        row->size = row->flags ? 0 : row->size;
    }
}
static void random_child(const ddb_page_tree *tree, uint64_t i, ddb_page_child *child)
{
    memset(child, 0, sizeof *child);
    child->t_min = (i << 20) + (test_rand() & 0xfffff);
    child->t_max = child->t_min + 1 + (test_rand() >> (test_rand() % 30 + 20));
    child->rows = 1 + (test_rand() >> (test_rand() % 40 + 20));
    child->addr.bytes[0] = 0x1e;
    ddb_bytes_set_le64(child->addr.bytes + 9, test_rand());
    child->low = child->high = ddb_page_key_of(child->t_min);
    if (tree->kind == DDB_PAGE_SPATIAL) {
        child->low = ddb_page_key_text(ddb_bytes_slice("01011010111010101010100101010101", 1 + i / 16 % 32));
        child->high = child->low;
    } else if (tree->value == DDB_PAGE_STRING) {
        static char texts[600][16];
        (void)snprintf(texts[2 * i], 16, "k%05u", (unsigned)i);
        (void)snprintf(texts[2 * i + 1], 16, "k%05u%s", (unsigned)i, test_rand() % 2 ? "" : "zz");
        child->low = ddb_page_key_text(ddb_bytes_text(texts[2 * i]));
        child->high = ddb_page_key_text(ddb_bytes_text(texts[2 * i + 1]));
    } else if (tree->kind == DDB_PAGE_SCALAR) {
        child->low = ddb_page_key_of(i * 1000);
        child->high = ddb_page_key_of(i * 1000 + test_rand() % 1000);
    }
}
/* Fit says exactly how many entries an encoded page may have; sizes are those of the bytes; what is written reads back and writes again. */
static void fits_and_reads_back(void)
{
    for (int turn = 0; turn < 240; turn++) {
        ddb_page_kind kind = turn % 4 == 3 ? DDB_PAGE_SCALAR : (ddb_page_kind)(turn % 4);
        ddb_page_tree tree = tree_of(kind, turn % 4 == 3 ? DDB_PAGE_STRING : kind == DDB_PAGE_SCALAR ? DDB_PAGE_INT64 : DDB_PAGE_NONE);
        size_t count = turn % 7 == 0 ? 1 + (size_t)turn % 30 : 1500, limit = ddb_page_trait_of(kind)->bytes;
        ddb_row *rows = (ddb_row *)malloc(count * sizeof *rows);
        ddb_arena arena = { NULL, 0 };
        const ddb_row **list = NULL;
        ddb_page_child child, again, *children = (ddb_page_child *)malloc(300 * sizeof *children);
        ddb_page page;
        ddb_buf a, b;
        for (size_t i = 0; i < count; i++) { random_row(&tree, rows + i); }
        CHECK(ddb_page_sort(test_ctx(), &arena, &tree, rows, count, &list) == DREAMDB_OK);
        ddb_bytes_init(&a, test_ctx());
        ddb_bytes_init(&b, test_ctx());
        size_t fit = ddb_page_fit_rows(&tree, list, count);
        CHECK(fit >= 1 && fit <= count);
        ddb_page_write_leaf(&a, &tree, list, fit, &child);
        CHECK(a.size <= limit);
        if (fit < count) {
            ddb_page_write_leaf(&b, &tree, list, fit + 1, &again);
            CHECK(b.size > limit || fit == ddb_page_trait_of(kind)->leaf_max);
            ddb_bytes_clear(&b);
        }
        if (ddb_page_decode(test_ctx(), &arena, &tree, ddb_bytes_of(&a), "p", &child, &page) != DREAMDB_OK) { printf("%s\n", test_error.message); CHECK(false); }
        for (size_t i = 0; i < page.count && i < fit; i++) { list[i] = page.rows + i; }
        ddb_page_write_leaf(&b, &tree, list, fit, &again);
        CHECK(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
        ddb_bytes_clear(&a);
        ddb_bytes_clear(&b);
        for (uint64_t i = 0; i < 300; i++) { random_child(&tree, i, children + i); }
        fit = ddb_page_fit_children(&tree, 2, children, 300);
        ddb_page_write_inner(&a, &tree, 2, children, fit, &child);
        CHECK(a.size <= limit);
        if (fit < 256) { ddb_page_write_inner(&b, &tree, 2, children, fit + 1, &again); CHECK(b.size > limit); }
        else { CHECK_EQ_U64(fit, 256); }
        ddb_bytes_clear(&b);
        if (ddb_page_decode(test_ctx(), &arena, &tree, ddb_bytes_of(&a), "p", &child, &page) != DREAMDB_OK) { printf("%s\n", test_error.message); CHECK(false); }
        ddb_page_write_inner(&b, &tree, 2, page.children, page.count, &again);
        CHECK(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
        ddb_bytes_free(&a);
        ddb_bytes_free(&b);
        ddb_mem_arena_free(test_ctx(), &arena);
        free(rows);
        free(children);
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* Mutated pages: refused, or they encode to the same bytes. */
static void page_again(const ddb_page_tree *tree, const ddb_page *page, ddb_buf *out)
{
    ddb_page_child child;
    if (page->level > 0) {
        ddb_page_write_inner(out, tree, page->level, page->children, page->count, &child);
    } else {
        const ddb_row *list[64];
        for (size_t i = 0; i < page->count && i < 64; i++) { list[i] = page->rows + i; }
        ddb_page_write_leaf(out, tree, list, page->count, &child);
    }
}
static void refuses_mutations(void)
{
    unsigned good = 0;
    for (int turn = 0; turn < 4; turn++) {
        for (int inner = 0; inner < 2; inner++) {
            ddb_page_kind kind = turn == 3 ? DDB_PAGE_SCALAR : (ddb_page_kind)turn;
            ddb_page_tree tree = tree_of(kind, turn == 3 ? DDB_PAGE_STRING : kind == DDB_PAGE_SCALAR ? DDB_PAGE_INT64 : DDB_PAGE_NONE);
            ddb_row rows[12];
            ddb_page_child children[12], child;
            ddb_arena arena = { NULL, 0 };
            const ddb_row **list = NULL;
            ddb_buf a, b;
            ddb_bytes_init(&a, test_ctx());
            ddb_bytes_init(&b, test_ctx());
            for (size_t i = 0; i < 12; i++) { random_row(&tree, rows + i); random_child(&tree, i, children + i); }
            CHECK(ddb_page_sort(test_ctx(), &arena, &tree, rows, 12, &list) == DREAMDB_OK);
            if (inner) { ddb_page_write_inner(&a, &tree, 1, children, 12, &child); } else { ddb_page_write_leaf(&a, &tree, list, 12, &child); }
            child.root = true;
            for (int i = 0; i < 20000; i++) {
                uint8_t *bytes = (uint8_t *)malloc(a.size);
                size_t size = i < (int)a.size ? (size_t)i : a.size;
                ddb_page page;
                memcpy(bytes, a.data, a.size);
                if (size == a.size) {
                    for (uint64_t n = 1 + test_rand() % 3; n > 0; n--) {
                        size_t at = test_rand() % size;
                        uint64_t r = test_rand();
                        bytes[at] = (uint8_t)(r % 2 ? r >> 8 : bytes[at] ^ (uint64_t)1 << (r >> 8) % 8);
                    }
                }
                bytes = (uint8_t *)realloc(bytes, size + (size == 0));
                dreamdb_status status = ddb_page_decode(test_ctx(), &arena, &tree, ddb_bytes_slice(bytes, size), "p", &child, &page);
                CHECK(status == DREAMDB_OK || status == DREAMDB_ERR_CORRUPT);
                CHECK(size == a.size || status != DREAMDB_OK);
                if (status == DREAMDB_OK) {
                    good++;
                    ddb_bytes_clear(&b);
                    page_again(&tree, &page, &b);
                    if (b.size != size || memcmp(b.data, bytes, size) != 0) { CHECK(false); i = 1 << 30; }
                }
                free(bytes);
                ddb_mem_arena_free(test_ctx(), &arena);
            }
            ddb_bytes_free(&a);
            ddb_bytes_free(&b);
        }
    }
    CHECK(good > 1000);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* What a parent says must hold. */
static void checks_the_parent(void)
{
    ddb_page_tree tree = tree_of(DDB_PAGE_SPATIAL, DDB_PAGE_NONE);
    ddb_row rows[5];
    ddb_arena arena = { NULL, 0 };
    const ddb_row **list = NULL;
    ddb_page_child child, said;
    ddb_page page;
    ddb_buf a;
    ddb_bytes_init(&a, test_ctx());
    for (size_t i = 0; i < 5; i++) { random_row(&tree, rows + i); }
    CHECK(ddb_page_sort(test_ctx(), &arena, &tree, rows, 5, &list) == DREAMDB_OK);
    ddb_page_write_leaf(&a, &tree, list, 5, &child);
    for (int turn = 0; turn < 8; turn++) {
        said = child;
        if (turn == 1) { said.rows++; }
        if (turn == 2) { said.t_min--; }
        if (turn == 3) { said.t_max++; }
        if (turn == 4) { said.low = ddb_page_key_text(ddb_bytes_text("")); }
        if (turn == 5) { said.high = ddb_page_key_text(ddb_bytes_text("2")); }
        if (turn == 6) { said.level = 1; }
        if (turn == 7) { tree.modality = ddb_bytes_text("image.png"); }
        dreamdb_status status = ddb_page_decode(test_ctx(), &arena, &tree, ddb_bytes_of(&a), "p", &said, &page);
        CHECK((status == DREAMDB_OK) == (turn == 0) && (turn == 0 || (status == DREAMDB_ERR_CORRUPT && strcmp(test_error.path, "p") == 0)));
    }
    ddb_mem_arena_free(test_ctx(), &arena);
    ddb_bytes_free(&a);
}

/* A tree whose pages all point to one page below: it ends, in bounded work. */
static void bounded_by_page_count(void)
{
    ddb_page_tree tree = tree_of(DDB_PAGE_TIME, DDB_PAGE_NONE);
    dreamdb_store store;
    dreamdb_allocator allocator = test_allocator();
    dreamdb_config config;
    ddb_env *env = NULL;
    ddb_puts *puts = NULL;
    ddb_row row;
    const ddb_row *list[2];
    ddb_page_child child, many[256];
    ddb_page_visit visit;
    ddb_buf a;
    memset(&config, 0, sizeof config);
    memset(&visit, 0, sizeof visit);
    CHECK(dreamdb_store_memory(&allocator, &store, NULL) == DREAMDB_OK);
    config.store = &store;
    config.allocator = allocator;
    config.threads = 1;
    CHECK(ddb_object_env_open(test_ctx(), &config, &env) == DREAMDB_OK && ddb_object_puts_open(test_ctx(), env, &puts) == DREAMDB_OK);
    ddb_bytes_init(&a, test_ctx());
    random_row(&tree, &row);
    list[0] = &row;
    ddb_page_write_leaf(&a, &tree, list, 1, &child);
    for (uint32_t level = 1; level < 6; level++) {
        CHECK(ddb_object_put(test_ctx(), puts, "f", ddb_bytes_of(&a), 0, &child.addr) == DREAMDB_OK);
        for (size_t i = 0; i < 256; i++) { many[i] = child; }
        ddb_bytes_clear(&a);
        ddb_page_write_inner(&a, &tree, level, many, 200, &child);
    }
    CHECK(ddb_object_put(test_ctx(), puts, "f", ddb_bytes_of(&a), 0, &child.addr) == DREAMDB_OK && ddb_object_flush(test_ctx(), puts) == DREAMDB_OK);
    child.root = true;
    tree.pages = 500;
    CHECK(ddb_page_gather(test_ctx(), env, &tree, &child, &visit) == DREAMDB_ERR_CORRUPT && strstr(test_error.message, "page_count"));
    CHECK(visit.pages <= 500 + DDB_PAGE_WAVE);
    tree.pages = UINT64_MAX;
    visit.pages = 0;
    CHECK(ddb_page_gather(test_ctx(), env, &tree, &child, &visit) == DREAMDB_ERR_CORRUPT && strstr(test_error.message, "again"));
    CHECK(visit.pages <= 1100 + DDB_PAGE_WAVE);
    ddb_page_cursor cursor;
    const ddb_page *leaf = NULL;
    unsigned leaves = 0;
    dreamdb_status status = DREAMDB_OK;
    CHECK(ddb_page_cursor_open(test_ctx(), env, &tree, &child, &cursor) == DREAMDB_OK);
    while ((status = ddb_page_cursor_next(test_ctx(), &cursor, &leaf)) == DREAMDB_OK) { leaves++; }
    CHECK(status == DREAMDB_ERR_CORRUPT && leaves > 100 && leaves <= 1100);
    ddb_page_cursor_close(test_ctx(), &cursor);
    ddb_bytes_free(&a);
    ddb_object_puts_close(test_ctx(), puts);
    ddb_object_env_close(test_ctx(), env);
    dreamdb_store_close(&store);
    CHECK_EQ_U64(test_live_bytes(), 0);
}

static void cuts_evenly(void)
{
    CHECK_EQ_U64(ddb_page_take(377, 378, false), 189);       /* FORMAT.md 8: 378 rows -> 189 + 189 */
    CHECK_EQ_U64(ddb_page_take(377, 378, true), 377);
    CHECK_EQ_U64(ddb_page_take(256, 257, false), 129);
    CHECK_EQ_U64(ddb_page_take(256, 256, false), 256);
    CHECK_EQ_U64(ddb_page_take(1, 7, false), 1);
    CHECK(ddb_page_cell_valid(ddb_bytes_text("0110")) && !ddb_page_cell_valid(ddb_bytes_text("")) && !ddb_page_cell_valid(ddb_bytes_text("01/0")) &&
          !ddb_page_cell_valid(ddb_bytes_text("012")) && !ddb_page_cell_valid(ddb_bytes_text("..")));
}

int main(void)
{
    RUN(widens_every_half);
    RUN(orders_values);
    RUN(fits_and_reads_back);
    RUN(refuses_mutations);
    RUN(checks_the_parent);
    RUN(bounded_by_page_count);
    RUN(cuts_evenly);
    return test_end("page");
}
