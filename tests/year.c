/* year.c - a dataset's year in a few minutes: three writers on branches and one on the trunk append every day, rows are deleted so that from
   day --steady on as many go as come, every night the branches are merged and the trunk compacted, every week gc runs, every month a
   snapshot is kept for ever.  A stupid model, one bit a row and state, stands beside it.

   Each month and at the end: every row of every branch and snapshot is read and compared, searches equal a plain loop over the rows,
   verify is clean, the store is at most --ratio percent of a fresh copy of what must be kept (year.h says how that is counted; 0: only
   printed), and a day costs no more than 1.3 times one of the third month.

     year [--days N] [--rows N] [--steady N] [--store DIR] [--keep N] [--keep-bytes N] [--keep-dead PERCENT] [--seed N] [--growth]
          [--no-step] [--lazy-step] [--verbs] [--kinds] [--ratio PERCENT] [--commits N] [--dump FILE] [--quiet]
   --lazy-step: the step as it is by default, which waits, and writes more at once; --growth: nothing is deleted, and requests and bytes are
   judged per live row; --commits N: N commits of one row each instead of days. */
#include "year.h"
#include <time.h>

/* What each verb asks of the store, with --verbs. */
enum { V_APPEND, V_DELETE, V_MERGE, V_LABELS, V_STEP, V_COMPACT, V_FORWARD, V_GC, V_VERBS };
static dreamdb_fault spent[V_VERBS], spent_from;
static void spend(int verb)
{
    dreamdb_fault *s = spent + verb;
    s->gets += count.gets - spent_from.gets; s->puts += count.puts - spent_from.puts;
    s->bytes_read += count.bytes_read - spent_from.bytes_read; s->bytes_written += count.bytes_written - spent_from.bytes_written;
    spent_from = count;
}
static void tell_verbs(void)
{
    static const char *const words[V_VERBS] = { "append", "delete", "merge", "labels", "step", "compact", "forward", "gc" };
    for (size_t v = 0; v < V_VERBS && option.verbs; v++) {
        printf("    %-8s a day: %6.1f gets %6.1f puts, %8.1f kB read %8.1f written\n", words[v], (double)spent[v].gets / MONTH, (double)spent[v].puts / MONTH,
               (double)spent[v].bytes_read / MONTH / 1e3, (double)spent[v].bytes_written / MONTH / 1e3);
    }
    if (option.verbs && steps_made > 0) {
        printf("    steps: %llu made, k %llu, %llu records, %llu generations; %llu splits, %llu merges, %llu renamed, %llu brought up to date, %llu marked; "
               "cells %llu read %llu written, buckets %llu read, records %llu read %llu moved %llu dropped\n",
               (unsigned long long)steps_made, (unsigned long long)steps.k_after, (unsigned long long)steps.records, (unsigned long long)steps.generations,
               (unsigned long long)steps.splits, (unsigned long long)steps.merges, (unsigned long long)steps.renamed, (unsigned long long)steps.relineaged,
               (unsigned long long)steps.marked, (unsigned long long)steps.cells_read, (unsigned long long)steps.cells_written,
               (unsigned long long)steps.buckets_read, (unsigned long long)steps.records_read, (unsigned long long)steps.records_moved,
               (unsigned long long)steps.records_dropped);
    }
    memset(&steps, 0, sizeof steps);
    steps_made = 0;
    memset(spent, 0, sizeof spent);
    spent_from = count;
}

/* ---- A day, a month ---- */
static void day(void)
{
    spent_from = count;
    branch *trunk = branches;
    for (size_t a = 0; a < APPENDS; a++) {
        for (size_t b = 0; b < BRANCHES; b++) { append(branches + b, option.rows); }
    }
    spend(V_APPEND);
    uint64_t live = live_rows(&trunk->rows), want = option.steady * BRANCHES * APPENDS * option.rows;
    if (!option.growth && live > want) {
        uint64_t excess = live - want + WRITERS * APPENDS * option.rows;          /* what the branches bring tonight goes too */
        delete_days(trunk, excess / 2);
        for (size_t b = 1; b < BRANCHES; b++) { delete_some(branches + b, excess / 12); }
        delete_some(trunk, excess / 4);
    }
    spend(V_DELETE);
    if (today % 5 == 2) { merge(branches + 2, branches + 1, DREAMDB_MERGE_UNION); }    /* writers read each other: bases that are not one */
    if (today % 10 == 4) { merge(branches + 1, branches + 2, DREAMDB_MERGE_UNION); }
    for (size_t b = 1; b < BRANCHES; b++) { merge(trunk, branches + b, DREAMDB_MERGE_UNION); }
    spend(V_MERGE);
    compact(trunk, "label");
    spend(V_LABELS);
    if (!option.no_step) { step(trunk); }
    spend(V_STEP);
    if (today % 7 == 3 || today % MONTH == MONTH - 1) { compact(trunk, NULL); }           /* and before what is kept for ever */
    spend(V_COMPACT);
    for (size_t b = 1; b < BRANCHES; b++) {
        if (b < WRITERS || today % 7 == 5) { merge(branches + b, trunk, DREAMDB_MERGE_FAST_FORWARD); }   /* the last one lags a week behind */
    }
    spend(V_FORWARD);
    if (today % 7 == 6) { collect(option.keep); }
    spend(V_GC);
    clock_ns += UINT64_C(86400000000000);
}

static void month_end(const dreamdb_fault *before, month *m, double seconds)
{
    uint64_t size[2], rows, all;
    m->live = live_rows(&branches[0].rows);
    m->gets = (double)(count.gets - before->gets) / MONTH; m->puts = (double)(count.puts - before->puts) / MONTH;
    m->read = (double)(count.bytes_read - before->bytes_read) / MONTH; m->written = (double)(count.bytes_written - before->bytes_written) / MONTH;
    keep_month();
    collect(1);
    for (size_t b = 0; b < BRANCHES; b++) { check_state(branches[b].db, NULL, &branches[b].rows, 1); }
    for (size_t k = 0; k < kept_count; k++) {
        char at[40];
        (void)snprintf(at, sizeof at, "@%.24s", snapshots[k].label);
        check_state(branches[0].db, at, &snapshots[k].rows, k + 1 == kept_count || k == 0);
    }
    measure(&base, size);
    shares fresh = fresh_copy(), held = kinds_of(&base);
    rows = sum(&fresh, 0, K_TRACKS);
    all = sum(&fresh, 0, KINDS);
    if (!option.quiet) {
        printf("day %4llu: %7llu live rows; store %7.2f MB in %6llu objects, fresh copy %7.2f MB (%.2f; its rows alone %.2f); a day: %5.0f gets %5.0f puts, %6.2f MB read %6.2f written, %.2f s\n",
               (unsigned long long)today + 1, (unsigned long long)m->live, (double)size[0] / 1e6, (unsigned long long)size[1], (double)all / 1e6,
               (double)size[0] / (double)all, (double)size[0] / (double)rows, m->gets, m->puts, m->read / 1e6, m->written / 1e6, seconds / MONTH);
        fflush(stdout);
    }
    tell_verbs();
    for (int i = 0; i < KINDS && option.kinds; i++) {
        printf("    %-10s %9.1f kB, fresh copy %9.1f\n", kind_names[i], (double)held.bytes[i] / 1e3, (double)fresh.bytes[i] / 1e3);
    }
    check(option.ratio == 0 || (double)size[0] * 100 <= (double)all * (double)option.ratio, "the store is %.2f of a fresh copy",
          (double)size[0] / (double)all);
}

static void judge(const month *m, size_t months)
{
    if (months < 4) { return; }
    const month *a = m + 2, *z = m + months - 1;
    double scale = option.growth ? (double)z->live / (double)a->live : 1;
    check(z->gets <= 1.3 * scale * a->gets, "gets a day: %.0f in month 3, %.0f in the last", a->gets, z->gets);
    check(z->puts <= 1.3 * scale * a->puts, "puts a day: %.0f in month 3, %.0f in the last", a->puts, z->puts);
    check(z->read <= 1.3 * scale * a->read, "bytes read a day: %.0f in month 3, %.0f in the last", a->read, z->read);
    check(z->written <= 1.3 * scale * a->written, "bytes written a day: %.0f in month 3, %.0f in the last", a->written, z->written);
}

static void run_days(void)
{
    month *months = (month *)memory((size_t)option.days / MONTH + 1, sizeof *months);
    size_t done = 0;
    for (size_t b = 1; b < BRANCHES; b++) {
        dreamdb_config config = config_of(&store);
        must(dreamdb_branch(branches[0].db, NULL, branches[b].name, &error), "branch");
        must(dreamdb_open(&config, branches[b].name, &branches[b].db, &error), "open");
        state_copy(&branches[b].rows, &branches[0].rows);
    }
    dreamdb_fault before = count;
    clock_t start = clock();
    for (today = 0; today < option.days; today++) {
        day();
        if (today % MONTH == MONTH - 1) {
            month_end(&before, months + done++, (double)(clock() - start) / CLOCKS_PER_SEC);
            before = count;
            start = clock();
        }
    }
    today--;
    judge(months, done);
    free(months);
}

/* One row a commit; now and then what an operator would schedule. */
static void run_commits(void)
{
    uint64_t every = option.commits / 20 ? option.commits / 20 : 1;
    double third = 0, last = 0;
    dreamdb_fault before = count;
    clock_t start = clock();
    for (uint64_t i = 1; i <= option.commits; i++) {
        today = i / 1000;
        append(branches, 1);
        if (i % 500 == 0) { compact(branches, NULL); }
        if (i % 5000 == 0) { collect(option.keep); }
        if (i % every == 0) {
            last = (double)(count.bytes_written - before.bytes_written) / (double)every;
            if (i / every == 3) { third = last; }
            if (!option.quiet) {
                printf("commit %7llu: %.2f ms, %.1f gets, %.1f puts, %.1f kB read, %.1f kB written a commit\n", (unsigned long long)i,
                       1e3 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)every, (double)(count.gets - before.gets) / (double)every,
                       (double)(count.puts - before.puts) / (double)every, (double)(count.bytes_read - before.bytes_read) / (double)every / 1e3, last / 1e3);
                fflush(stdout);
            }
            before = count;
            start = clock();
        }
    }
    check(third == 0 || last <= 2 * third, "bytes written a commit: %.0f in the third part, %.0f in the last", third, last);
    check_state(branches[0].db, NULL, &branches[0].rows, 1);
}

/* What the reference should find at the tip: a line a row. */
static void dump(const char *path)
{
    FILE *f = fopen(path, "w");
    row r;
    if (!f) { printf("year: cannot write %s\n", path); exit(1); }
    for (uint64_t i = 0; i < next_id; i++) {
        if (!is_live(&branches[0].rows, i)) { continue; }
        row_make(i, &r);
        fprintf(f, "%llu\t%lld\t%s\t%s\t%.17g\t%d\t%lu\t%.9g\n", (unsigned long long)r.anchor, (long long)r.day, r.label, r.name, r.score, r.ok, (unsigned long)r.pic_size, (double)r.v[0]);
    }
    (void)fclose(f);
}

static uint64_t number(int argc, char **argv, int *i)
{
    char *end = NULL;
    uint64_t value = *i + 1 < argc ? strtoull(argv[*i + 1], &end, 10) : 0;
    if (!end || *end || end == argv[*i + 1]) { printf("year: %s needs a number\n", argv[*i]); exit(2); }
    ++*i;
    return value;
}
static void options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (!strcmp(a, "--days")) { option.days = number(argc, argv, &i); }
        else if (!strcmp(a, "--rows")) { option.rows = number(argc, argv, &i); }
        else if (!strcmp(a, "--steady")) { option.steady = number(argc, argv, &i); }
        else if (!strcmp(a, "--keep")) { option.keep = number(argc, argv, &i); }
        else if (!strcmp(a, "--seed")) { option.seed = number(argc, argv, &i); }
        else if (!strcmp(a, "--commits")) { option.commits = number(argc, argv, &i); }
        else if (!strcmp(a, "--keep-bytes")) { option.big = number(argc, argv, &i); }
        else if (!strcmp(a, "--keep-dead")) { option.dead = number(argc, argv, &i); }
        else if (!strcmp(a, "--growth")) { option.growth = 1; }
        else if (!strcmp(a, "--ratio")) { option.ratio = number(argc, argv, &i); }
        else if (!strcmp(a, "--verbs")) { option.verbs = 1; }
        else if (!strcmp(a, "--kinds")) { option.kinds = 1; }
        else if (!strcmp(a, "--no-step")) { option.no_step = 1; }
        else if (!strcmp(a, "--lazy-step")) { option.lazy = 1; }
        else if (!strcmp(a, "--quiet")) { option.quiet = 1; }
        else if (!strcmp(a, "--store") && i + 1 < argc) { option.store = argv[++i]; }
        else if (!strcmp(a, "--dump") && i + 1 < argc) { option.dump = argv[++i]; }
        else { printf("year: what is %s?\n", a); exit(2); }
    }
}

int main(int argc, char **argv)
{
    options(argc, argv);
    if (option.days < 1 || option.days > MOST_KEPT * MONTH || option.rows < 1) {
        printf("year: 1 to %d days, and a row a day at least\n", MOST_KEPT * MONTH);
        return 2;
    }
    random_state = option.seed;
    most = option.commits ? option.commits : option.days * BRANCHES * APPENDS * option.rows;
    day_of = (uint16_t *)memory((size_t)most, sizeof *day_of);
    for (uint64_t i = 0; i < most; i++) { day_of[i] = (uint16_t)(i % (option.days + 1)); }    /* for the sample; each gets its own when it is made */
    if (option.store) {
        dreamdb_directory desc;
        memset(&desc, 0, sizeof desc);
        desc.path = option.store; desc.create = 1; desc.durability = DREAMDB_DURABILITY_NONE;
        must(dreamdb_store_directory(&desc, &base, &error), "store");
    } else { must(dreamdb_store_memory(NULL, &base, &error), "store"); }
    must(dreamdb_store_fault(&base, &count, NULL, &store, &error), "store");
    for (size_t b = 0; b < BRANCHES; b++) {
        (void)snprintf(branches[b].name, sizeof branches[b].name, b ? "w%u" : "main", (unsigned)b);
        branches[b].rows = state_new();
    }
    branches[0].db = create(&store);
    if (option.commits) { run_commits(); } else { run_days(); }
    if (option.dump) { dump(option.dump); }
    for (size_t b = 0; b < BRANCHES; b++) { dreamdb_close(branches[b].db); free(branches[b].rows.added); free(branches[b].rows.gone); }
    for (size_t k = 0; k < kept_count; k++) { free(snapshots[k].rows.added); free(snapshots[k].rows.gone); }
    free(day_of);
    unused();
    dreamdb_store_close(&store);
    dreamdb_store_close(&base);
    printf("%ld passed, %ld failed\n", checks_passed, checks_failed);
    return checks_failed != 0;
}
