/* Threads, and what they wait for: mutexes, conditions, barriers, semaphores, each other. */
#include "tracee.h"
#include <semaphore.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int shared, turn, awake;

static void *add(void *unused)
{
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&mutex);
        int before = shared;
        if (i % 100 == 0)
            sched_yield();
        shared = before + 1;
        pthread_mutex_unlock(&mutex);
    }
    return unused;
}

static void mutexes(void)
{
    pthread_t threads[4];
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, add, (void *)i);
    int right = 1;
    for (long i = 0; i < 4; i++) {
        void *result;
        right &= pthread_join(threads[i], &result) == 0 && result == (void *)i;
    }
    CHECK("join", right);
    CHECK("a mutex", shared == 4000);
    pthread_mutex_lock(&mutex);
    struct timespec until = span(at(CLOCK_REALTIME) + 50 * MS);
    long start = now();
    CHECK("pthread_mutex_timedlock", pthread_mutex_timedlock(&mutex, &until) == ETIMEDOUT && took(start, 50 * MS));
    until = span(now() + 50 * MS);
    start = now();
    CHECK("pthread_mutex_clocklock", pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &until) == ETIMEDOUT && took(start, 50 * MS));
    pthread_mutex_unlock(&mutex);
}

static void *wait_for_it(void *unused)
{
    pthread_mutex_lock(&mutex);
    while (!turn)
        pthread_cond_wait(&condition, &mutex);
    awake++;
    pthread_mutex_unlock(&mutex);
    return unused;
}

static void conditions(void)
{
    clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC};
    for (int i = 0; i < 2; i++) {
        pthread_cond_t timed;
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, clocks[i]);
        pthread_cond_init(&timed, &attributes);
        pthread_mutex_lock(&mutex);
        struct timespec until = span(at(clocks[i]) + 300 * MS);
        long start = now();
        CHECK(i ? "a condition by the monotonic clock" : "a condition by the wall clock",
              pthread_cond_timedwait(&timed, &mutex, &until) == ETIMEDOUT && took(start, 300 * MS));
        pthread_mutex_unlock(&mutex);
    }
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, wait_for_it, NULL);
    pass_time(MS);
    pthread_mutex_lock(&mutex);
    turn = 1;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    CHECK("a broadcast wakes all", awake == 8);
}

static pthread_barrier_t barrier;
static int serial;

static void *meet(void *rounds)
{
    for (long i = 0; i < (long)rounds; i++)
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
            __atomic_add_fetch(&serial, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static sem_t semaphore;

static void *post(void *unused)
{
    pass_time(10 * MS);
    sem_post(&semaphore);
    return unused;
}

static void meetings(void)
{
    pthread_t threads[3], detached;
    pthread_barrier_init(&barrier, NULL, 4);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, meet, (void *)20);
    meet((void *)20);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK("a barrier", serial == 20);
    sem_init(&semaphore, 0, 0);
    pthread_create(&detached, NULL, post, NULL);
    pthread_detach(detached);
    long start = now();
    CHECK("a semaphore and a detached thread", sem_wait(&semaphore) == 0 && took(start, 10 * MS));
    struct timespec until = span(at(CLOCK_REALTIME) + 20 * MS);
    start = now();
    CHECK("sem_timedwait", sem_timedwait(&semaphore, &until) == -1 && errno == ETIMEDOUT && took(start, 20 * MS));
    CHECK("sem_trywait", sem_trywait(&semaphore) == -1 && errno == EAGAIN);
}

static uint32_t word, other_word;

static long futex(uint32_t *address, int operation, uint32_t value, void *time, uint32_t *second, uint32_t third)
{
    return syscall(SYS_futex, address, operation, value, time, second, third);
}

static long woken;

static void *wait_at_word(void *bits)
{
    if (futex(&word, 128 | 9, 0, NULL, NULL, (long)bits) == 0)
        __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void futexes(void)
{
    struct timespec time = span(25 * MS);
    long start = now();
    CHECK("FUTEX_WAIT times out", futex(&word, 128, 0, &time, NULL, 0) == -1 && errno == ETIMEDOUT && took(start, 25 * MS));
    CHECK("another value", futex(&word, 128, 1, NULL, NULL, 0) == -1 && errno == EAGAIN);
    CHECK("nobody waits", futex(&word, 129, 1, NULL, NULL, 0) == 0);
    CHECK("a crooked address", futex((void *)((char *)&word + 1), 128, 0, NULL, NULL, 0) == -1 && errno == EINVAL);
    CHECK("a bad address", futex((void *)8, 128, 0, NULL, NULL, 0) == -1 && errno == EFAULT);
    CHECK("no bits", futex(&word, 128 | 9, 0, NULL, NULL, 0) == -1 && errno == EINVAL);
    pthread_t threads[6];
    for (long i = 0; i < 6; i++)
        pthread_create(&threads[i], NULL, wait_at_word, (void *)(i < 2 ? 1L : 2L));
    pass_time(MS);
    CHECK("FUTEX_WAKE_BITSET", futex(&word, 128 | 10, 9, NULL, NULL, 1) == 2);
    CHECK("FUTEX_CMP_REQUEUE of another value", futex(&word, 128 | 4, 1, (void *)9, &other_word, 5) == -1 && errno == EAGAIN);
    CHECK("FUTEX_CMP_REQUEUE", futex(&word, 128 | 4, 1, (void *)2, &other_word, 0) == 3);
    CHECK("the others wait elsewhere", futex(&other_word, 129, 9, NULL, NULL, 0) == 2);
    /* other_word += 1, and wake there if it was 0. */
    CHECK("FUTEX_WAKE_OP", futex(&word, 128 | 5, 9, (void *)9, &other_word, 1 << 28 | 1 << 12) == 1 && other_word == 1);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    CHECK("all were woken", woken == 6);
}

static void *ticket(void *result)
{
    *(int *)result = syscall(SYS_gettid);
    return NULL;
}

static void *last(void *first)
{
    pthread_join(*(pthread_t *)first, NULL);
    CHECK("the first thread can end first", 1);
    exit(0);
}

int main(void)
{
    mutexes();
    conditions();
    meetings();
    futexes();
    int number;
    pthread_t thread;
    pthread_create(&thread, NULL, ticket, &number);
    pthread_join(thread, NULL);
    CHECK("a thread has its own number", number > getpid() && number < 200);
    pthread_t first = pthread_self();
    pthread_create(&thread, NULL, last, &first);
    pthread_exit(NULL);
}
