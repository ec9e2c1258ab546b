/* soak.c - kill -9 in the middle.  A child process runs one verb on a directory (append, delete, merge, fast-forward, compact, gc, snapshot,
   a step of the index, the same as a job, a rebuild), on any branch; the parent kills it after a random time.  Then the branch must hold the state before or the state
   after, verify must be clean, and the next verbs must work on what is there; every 50 verbs each branch and snapshot must hold its own.

     soak [--runs N] [--seed N] [--store DIR] */
#define _XOPEN_SOURCE 700
#include "year.h"
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { VERBS = 13, ROWS = 12, LIVE = 1200, MOST_LABELS = 6 };
static const char *const verbs[VERBS] = { "append", "append branch", "delete", "delete where", "merge", "fast-forward", "compact", "gc", "snapshot",
    "compact branch", "ada-ivf-step", "rebuild-ivf", "step as a job" };
static double longest[VERBS];                    /* seconds that the verb took when nobody killed it, of late */
static int behind[BRANCHES] = { 0, 1, 1, 1 };      /* the trunk's history has the branch's tip: a fast-forward will go */
static long done_old[VERBS], done_new[VERBS], killed[VERBS];

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static dreamdb *open_branch(const char *name)
{
    dreamdb_config config = config_of(&base);
    dreamdb *db = NULL;
    must(dreamdb_open(&config, name, &db, &error), "open");
    return db;
}

/* A new index in so little memory that rows pass through runs. */
static void rebuild(branch *b)
{
    dreamdb_rebuild_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.memory_bytes = 256 << 10;
    if (b->db && live_rows(&b->rows) >= CELLS) { must(dreamdb_rebuild(b->db, &desc, NULL, &error), "rebuild-ivf"); }
}

/* A step in all its stages, by two shares.  A killed one expires at once: else gc would keep all that was written since. */
static void job(branch *b, uint64_t propose)
{
    dreamdb_ada_step_desc how;
    dreamdb_shard_desc desc;
    char name[32];
    memset(&how, 0, sizeof how);
    memset(&desc, 0, sizeof desc);
    (void)snprintf(name, sizeof name, "soak-%llu", (unsigned long long)today);
    how.force = 1;
    desc.job = name; desc.step = &how; desc.of = 2; desc.propose = propose != 0; desc.expires_ns = 1;
    if (!b->db) { return; }
    for (int round = propose ? 0 : 1; round < 2; round++) {
        must(dreamdb_shard_plan(b->db, &desc, NULL, &error), "plan of a job");
        for (desc.shard = 0; desc.shard < desc.of; desc.shard++) { must(dreamdb_shard_work(b->db, &desc, NULL, &error), "share of a job"); }
    }
    must(dreamdb_shard_finish(b->db, &desc, NULL, &error), "end of a job");
}

/* One verb on branch b, merging with c.  The same in the child (with a dataset) and in the parent (model alone), from one random state. */
static void perform(size_t verb, branch *b, branch *c)
{
    switch (verb) {
    case 0: case 1: append(b, ROWS + draw(3 * ROWS)); break;
    case 2: delete_some(b, 1 + draw(2 * ROWS)); break;
    case 3: delete_days(b, 3 * ROWS); break;
    case 4: merge(b, c, DREAMDB_MERGE_UNION); break;
    case 5: merge(b, branches, DREAMDB_MERGE_FAST_FORWARD); break;
    case 6: compact(b, draw(2) ? NULL : names[draw(FIELDS)]); break;
    case 7: if (b->db) { collect(option.keep); } break;
    case 8: keep_month(); break;
    case 9: compact(b, draw(2) ? NULL : names[draw(FIELDS)]); break;
    case 10: step(b); break;
    case 11: rebuild(b); break;
    default: job(b, draw(2)); break;
    }
}

/* Waits for the child, and kills it when its time is over.  1 = it came to its end. */
static int wait_or_kill(pid_t child, double limit)
{
    double start = seconds();
    for (;;) {
        int status;
        if (waitpid(child, &status, WNOHANG) == child) {
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) { check(0, "a child failed"); }
            return 1;
        }
        if (seconds() - start >= limit) { break; }
        struct timespec nap = { 0, 20000 };
        (void)nanosleep(&nap, NULL);
    }
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    return 0;
}

/* Does the state have the model's rows?  Reads them all. */
static int holds(const char *ref, const state *model)
{
    dreamdb *db = open_branch(ref);
    dreamdb_snapshot *view = NULL;
    dreamdb_status status;
    uint64_t rows, wrong;
    must(dreamdb_snapshot_open(db, NULL, &view, &error), "open a state");
    wrong = compare_rows(view, model, &rows, &status);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    return wrong == 0 && status == DREAMDB_DONE && rows == live_rows(model);
}

/* The Manifest that the branch names. */
static void tip_of(const char *ref, uint8_t out[DREAMDB_ADDRESS_SIZE])
{
    dreamdb *db = open_branch(ref);
    dreamdb_snapshot *view = NULL;
    const dreamdb_info *info = NULL;
    must(dreamdb_snapshot_open(db, NULL, &view, &error), "open a state");
    must(dreamdb_snapshot_info(view, &info, &error), "info");
    memcpy(out, info->manifest, DREAMDB_ADDRESS_SIZE);
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
}

static void look(const char *name, const char *at, const state *model)
{
    dreamdb *db = open_branch(name);
    check_state(db, at, model, 1);
    dreamdb_close(db);
}

/* Which branch a verb is for. */
static size_t place_of(size_t verb)
{
    if (verb == 0 || (verb >= 6 && verb <= 8)) { return 0; }
    return verb == 1 || verb == 5 || verb == 9 ? 1 + draw(WRITERS) : draw(BRANCHES);
}

static void trial(void)
{
    state before = state_new(), after = state_new();
    size_t verb = draw(VERBS), at = place_of(verb), other = (at + 1 + draw(WRITERS)) % BRANCHES;
    branch *b = branches + at;
    if (verb < 2 && (next_id + 4 * ROWS >= most || live_rows(&b->rows) > LIVE)) { verb = 2; }
    if ((verb == 5 && !behind[at]) || (verb == 8 && kept_count == MOST_LABELS)) { verb = 3; }
    uint8_t tips[2][DREAMDB_ADDRESS_SIZE];
    tip_of(b->name, tips[0]);
    state_copy(&before, &b->rows);
    today++;
    uint64_t random_before = random_state, kept_before = kept_count;
    double start = seconds(), limit = (double)draw(1000) / 800 * longest[verb] + (draw(8) == 0 ? 60 : 0);
    random_state = mix(random_before + 1);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child < 0) { perror("soak: fork"); exit(1); }
    if (child == 0) {
        checks_failed = 0;
        b->db = open_branch(b->name);
        perform(verb, b, branches + other);
        _exit(checks_failed != 0);
    }
    perform(verb, b, branches + other);                                   /* the model's part */
    int whole = wait_or_kill(child, longest[verb] > 0 ? limit : 60);
    if (whole) { longest[verb] = .8 * longest[verb] + .2 * (seconds() - start); if (longest[verb] < .001) { longest[verb] = .001; } }
    state_copy(&after, &b->rows);
    tip_of(b->name, tips[1]);              /* it decides, as states may differ in deleted rows alone, which later merges show */
    int moved = memcmp(tips[0], tips[1], sizeof tips[0]) != 0, is_new = (whole || moved) && holds(b->name, &after);
    int is_old = !is_new && !moved && holds(b->name, &before);
    check(is_new || (is_old && !whole), "%s of %s (%s): neither the old state nor the new one", verbs[verb], b->name, whole ? "not killed" : "killed");
    if (!is_new) { state_copy(&b->rows, &before); }
    if (verb == 8) {                                                      /* the label is there or not */
        char ref[40];
        dreamdb *db = NULL;
        dreamdb_config config = config_of(&base);
        (void)snprintf(ref, sizeof ref, "main@%.20s", snapshots[kept_before].label);
        if (dreamdb_open(&config, ref, &db, &error) != DREAMDB_OK) { kept_count = (size_t)kept_before; check(!whole, "no %s", ref); }
        dreamdb_close(db);
    }
    if (verb != 5 && verb != 7) { behind[at] = 0; }
    if (verb == 4 && at == 0 && whole) { behind[other] = 1; }
    killed[verb] += !whole; done_new[verb] += is_new; done_old[verb] += is_old;
    look(b->name, NULL, &b->rows);
    free(before.added); free(before.gone); free(after.added); free(after.gone);
}

int main(int argc, char **argv)
{
    uint64_t runs = 100;
    char folder[] = "/tmp/dreamdb-soak-XXXXXX";
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) { printf("soak: %s: what is it, or where is its value?\n", argv[i]); return 2; }
        if (!strcmp(argv[i], "--runs")) { runs = strtoull(argv[i + 1], NULL, 10); }
        else if (!strcmp(argv[i], "--seed")) { option.seed = strtoull(argv[i + 1], NULL, 10); }
        else if (!strcmp(argv[i], "--store")) { option.store = argv[i + 1]; }
        else { printf("soak: what is %s?\n", argv[i]); return 2; }
    }
    dreamdb_directory desc;
    memset(&desc, 0, sizeof desc);
    desc.path = option.store ? option.store : mkdtemp(folder);
    desc.create = 1; desc.durability = DREAMDB_DURABILITY_NONE;
    must(dreamdb_store_directory(&desc, &base, &error), "store");
    store = base;
    option.keep = 3;
    threads = 2;
    random_state = option.seed;
    most = runs * 2 * ROWS + 1000;
    day_of = (uint16_t *)memory((size_t)most, sizeof *day_of);
    for (size_t b = 0; b < BRANCHES; b++) {
        (void)snprintf(branches[b].name, sizeof branches[b].name, b ? "w%u" : "main", (unsigned)b);
        branches[b].rows = state_new();
    }
    dreamdb *db = create(&base);
    for (size_t b = 1; b < BRANCHES; b++) { must(dreamdb_branch(db, NULL, branches[b].name, &error), "branch"); }
    dreamdb_close(db);
    for (uint64_t i = 0; i < runs; i++) {
        trial();
        if (i % 50 == 49 || i + 1 == runs) {
            for (size_t b = 0; b < BRANCHES; b++) { look(branches[b].name, NULL, &branches[b].rows); }
            for (size_t k = 0; k < kept_count; k++) {
                char at[40];
                (void)snprintf(at, sizeof at, "@%.24s", snapshots[k].label);
                look("main", at, &snapshots[k].rows);
            }
        }
    }
    for (size_t v = 0; v < VERBS; v++) {
        printf("%-14s %5ld times: killed %ld, of these %ld before the state changed\n", verbs[v], done_old[v] + done_new[v], killed[v], done_old[v]);
    }
    unused();
    dreamdb_store_close(&base);
    if (!option.store && chdir("/") == 0) {
        char command[80];
        (void)snprintf(command, sizeof command, "rm -rf %s", folder);
        if (system(command) != 0) { printf("soak: %s is left\n", folder); }
    }
    printf("%ld passed, %ld failed\n", checks_passed, checks_failed);
    return checks_failed != 0;
}
