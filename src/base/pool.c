#include "base/pool.h"

#include "base/mem.h"

#include <pthread.h>
#include <string.h>

struct queued {
    void (*run)(void *job);
    void (*drop)(void *job);
    void *job;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t *threads;
    uint32_t n_threads;
    struct queued queue[POOL_QUEUE_MAX]; /* ring */
    uint32_t first, n_queued;
    bool stopping;
};

static bool take(struct pool *pool, struct queued *out)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->n_queued && !pool->stopping)
        pthread_cond_wait(&pool->wake, &pool->lock);
    bool have = !pool->stopping;
    if (have) {
        *out = pool->queue[pool->first];
        pool->first = (pool->first + 1) % POOL_QUEUE_MAX;
        pool->n_queued--;
    }
    pthread_mutex_unlock(&pool->lock);
    return have;
}

static void *work(void *arg)
{
    struct pool *pool = arg;
    struct queued next;
    while (take(pool, &next))
        next.run(next.job);
    return NULL;
}

struct pool *pool_new(uint32_t n_threads, const char *name)
{
    struct pool *pool = mem_new(sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->threads = mem_array(n_threads, sizeof *pool->threads);
    pool->n_threads = n_threads;
    for (uint32_t i = 0; i < n_threads; i++) {
        int failed = pthread_create(&pool->threads[i], NULL, work, pool);
        ASSERT(!failed);
        pthread_setname_np(pool->threads[i], name);
    }
    return pool;
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->n_threads; i++)
        pthread_join(pool->threads[i], NULL);
    for (; pool->n_queued; pool->n_queued--, pool->first = (pool->first + 1) % POOL_QUEUE_MAX)
        if (pool->queue[pool->first].drop)
            pool->queue[pool->first].drop(pool->queue[pool->first].job);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool->threads);
    mem_free(pool);
}

enum status pool_submit(struct pool *pool, void (*run)(void *job), void (*drop)(void *job), void *job)
{
    enum status status = STATUS_OK;
    pthread_mutex_lock(&pool->lock);
    if (pool->n_queued == POOL_QUEUE_MAX) {
        status = STATUS_LIMIT;
    } else {
        pool->queue[(pool->first + pool->n_queued++) % POOL_QUEUE_MAX] =
            (struct queued){.run = run, .drop = drop, .job = job};
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return status;
}
