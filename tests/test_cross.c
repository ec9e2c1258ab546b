/* test_cross.c - two histories that met crosswise: one base has the folded bucket of a cell, the other its fragments.  Ours then deletes the one
   fragment's rows and compacts, which makes the other's very bytes again; theirs keeps the fold.  No row may be taken for done away with. */
#ifndef TEST_WHITE                               /* else it is linked */
  #define DREAMDB_IMPLEMENTATION
#endif
#include "year.h"

static void union_of(branch *into, const char *other, const state *rows)
{
    dreamdb_merge_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.other = other;
    desc.conflict = conflict;
    must(dreamdb_merge(into->db, &desc, NULL, &error), "merge");
    state_merge(&into->rows, rows);
}

static void fold(branch *b, const char *field, uint32_t threshold)
{
    dreamdb_compact_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.field = field;
    desc.threshold = threshold;
    must(dreamdb_compact(b->db, &desc, NULL, &error), "compact");
}

static void crossed(const char *field)
{
    branch *m = branches, *w = branches + 1;
    uint64_t ids[11];
    next_id = 0;
    must(dreamdb_store_memory(NULL, &base, &error), "store");
    must(dreamdb_store_fault(&base, &count, NULL, &store, &error), "store");
    for (size_t b = 0; b < 2; b++) { (void)snprintf(branches[b].name, sizeof branches[b].name, b ? "w1" : "main"); branches[b].rows = state_new(); }
    state a = state_new(), apart = state_new();
    m->db = create(&store);
    append(m, 30);
    append(m, 10);
    dreamdb_config config = config_of(&store);
    must(dreamdb_branch(m->db, NULL, "w1", &error), "branch");
    must(dreamdb_open(&config, "w1", &w->db, &error), "open");
    state_copy(&w->rows, &m->rows);
    fold(m, field, 2);                                   /* one base: folded */
    must(dreamdb_branch(m->db, NULL, "ma", &error), "branch");
    state_copy(&a, &m->rows);
    append(w, 1);                                        /* the other: fragments */
    must(dreamdb_branch(w->db, NULL, "wb", &error), "branch");
    state_copy(&apart, &w->rows);
    union_of(m, "wb", &apart);
    union_of(w, "ma", &a);
    for (uint64_t i = 0; i < 11; i++) { ids[i] = 30 + i; set(m->rows.gone, 30 + i); }
    delete_ids(m->db, ids, 11);
    fold(m, field, 1);
    append(w, 1);
    union_of(m, "w1", &w->rows);
    check_state(m->db, NULL, &m->rows, 1);
    dreamdb_close(m->db);
    dreamdb_close(w->db);
    for (size_t b = 0; b < 2; b++) { free(branches[b].rows.added); free(branches[b].rows.gone); }
    free(a.added); free(a.gone); free(apart.added); free(apart.gone);
    dreamdb_store_close(&store);
    dreamdb_store_close(&base);
}

int main(void)
{
    most = 4000;
    random_state = 1;
    day_of = (uint16_t *)memory((size_t)most, sizeof *day_of);
    for (uint64_t i = 0; i < most; i++) { day_of[i] = (uint16_t)(i % 366); }
    for (size_t f = 0; f < FIELDS; f++) {
        if (f != PIC) { crossed(names[f]); }
    }
    free(day_of);
    unused();
    printf("cross: %ld passed, %ld failed\n", checks_passed, checks_failed);
    return checks_failed != 0;
}
