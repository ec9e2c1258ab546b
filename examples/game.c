/* game.c - the library on a game's own job system: config.parallel_for hands its tasks to the workers that the engine has anyway, and
   no further thread is started.  A crowd of characters looks for the most similar motion clip each frame, all in one search. */
#include "../dreamdb.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* ---- The engine's job system: three workers and the main thread share an index ---- */
typedef struct jobs {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    void (*task)(void *user, uint32_t index);
    void *task_user;
    uint32_t next, count, running;
    int quit;
    unsigned long batches, tasks;
} jobs;

/* Takes indices until none is left.  The lock is held on entry and on return. */
static void work(jobs *j)
{
    while (j->next < j->count) {
        uint32_t index = j->next++;
        j->running++;
        j->tasks++;
        (void)pthread_mutex_unlock(&j->lock);
        j->task(j->task_user, index);
        (void)pthread_mutex_lock(&j->lock);
        if (--j->running == 0 && j->next >= j->count) { (void)pthread_cond_broadcast(&j->done); }
    }
}

static void *worker(void *user)
{
    jobs *j = (jobs *)user;
    (void)pthread_mutex_lock(&j->lock);
    while (!j->quit) {
        work(j);
        if (!j->quit && j->next >= j->count) { (void)pthread_cond_wait(&j->wake, &j->lock); }
    }
    (void)pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* What the library calls: runs task for 0 .. count-1, returns when all are done. */
static void run_jobs(void *user, void (*task)(void *task_user, uint32_t index), void *task_user, uint32_t count)
{
    jobs *j = (jobs *)user;
    (void)pthread_mutex_lock(&j->lock);
    j->task = task; j->task_user = task_user; j->next = 0; j->count = count;
    j->batches++;
    (void)pthread_cond_broadcast(&j->wake);
    work(j);
    while (j->running > 0) { (void)pthread_cond_wait(&j->done, &j->lock); }
    j->count = j->next = 0;
    (void)pthread_mutex_unlock(&j->lock);
}

/* ---- The game ---- */
enum { CLIPS = 4000, DIM = 24, CROWD = 64, WORKERS = 3 };

static float pose(uint32_t clip, uint32_t d)
{
    uint32_t x = clip * 2654435761u + d * 40503u;
    x ^= x >> 15; x *= 2246822519u; x ^= x >> 13;
    return (float)(x & 0xffff) / 32768.0f - 1.0f;
}

#define MUST(call) do { if ((call) != DREAMDB_OK) { printf("game: %s\n", error.message); return 1; } } while (0)

static int play(jobs *j)
{
    static float clips[CLIPS * DIM], crowd[CROWD * DIM];
    static uint64_t anchors[CLIPS];
    dreamdb_error error;
    dreamdb_store store;
    dreamdb *db;
    dreamdb_snapshot *view;
    dreamdb_result *found;
    unsigned right = 0;

    for (uint32_t i = 0; i < CLIPS; i++) {
        anchors[i] = i;
        for (uint32_t d = 0; d < DIM; d++) { clips[i * DIM + d] = pose(i, d); }
    }
    MUST(dreamdb_store_memory(NULL, &store, &error));
    dreamdb_config config = { .store = &store, .parallel_for = run_jobs, .parallel_user = j, .threads = WORKERS + 1 };
    dreamdb_field field = { .name = "motion", .kind = DREAMDB_EMBEDDING, .dim = DIM, .train = clips, .train_count = CLIPS, .k = 40 };
    dreamdb_create_desc desc = { .fields = &field, .field_count = 1 };
    MUST(dreamdb_create(&config, "motions", &desc, &db, &error));
    dreamdb_column column = { .field = "motion", .data = clips };
    dreamdb_append_desc append = { .columns = &column, .column_count = 1, .count = CLIPS, .anchors = anchors };
    MUST(dreamdb_append(db, &append, NULL, &error));

    MUST(dreamdb_snapshot_open(db, NULL, &view, &error));
    for (uint32_t frame = 0; frame < 5; frame++) {
        for (uint32_t c = 0; c < CROWD; c++) {                     /* each character is near one clip */
            for (uint32_t d = 0; d < DIM; d++) { crowd[c * DIM + d] = pose(c * 61 + frame, d) + 0.02f * pose(c + 7, d + frame); }
        }
        dreamdb_query query = { .field = "motion", .vectors = crowd, .count = CROWD, .top_k = 1, .nprobe = 40 };
        MUST(dreamdb_search(view, &query, &found, &error));
        for (uint32_t c = 0; c < CROWD; c++) {
            size_t first = c > 0 ? found->ends[c - 1] : 0;
            right += found->ends[c] > first && found->hits[first].anchor == c * 61 + frame;
        }
        dreamdb_result_free(found);
    }
    dreamdb_snapshot_close(view);
    dreamdb_close(db);
    dreamdb_store_close(&store);
    printf("%u of %u characters found their clip\n", right, 5u * CROWD);
    printf("%lu job batches, %lu tasks on the game's own workers\n", j->batches, j->tasks);
    return right == 5 * CROWD && j->tasks > 0 ? 0 : 1;
}

int main(void)
{
    static jobs j;
    pthread_t threads[WORKERS];
    (void)pthread_mutex_init(&j.lock, NULL);
    (void)pthread_cond_init(&j.wake, NULL);
    (void)pthread_cond_init(&j.done, NULL);
    for (int i = 0; i < WORKERS; i++) {
        if (pthread_create(&threads[i], NULL, worker, &j) != 0) { return 1; }
    }
    int result = play(&j);
    (void)pthread_mutex_lock(&j.lock);
    j.quit = 1;
    (void)pthread_cond_broadcast(&j.wake);
    (void)pthread_mutex_unlock(&j.lock);
    for (int i = 0; i < WORKERS; i++) { (void)pthread_join(threads[i], NULL); }
    return result;
}
