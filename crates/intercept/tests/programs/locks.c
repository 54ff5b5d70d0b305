/* What two processes share: locks of files, and memory with mutexes in it. */
#include "tracee.h"
#include <sys/file.h>

struct shared {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    uint32_t word;
    int count;
};

/* Has a child hold a lock for a while. Returns when it has it. */
static pid_t hold(int by_flock, long time)
{
    int ends[2];
    char byte;
    if (pipe(ends))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open("lock", O_RDWR | O_CREAT, 0600);
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int failed = by_flock ? flock(fd, LOCK_EX) : fcntl(fd, F_SETLK, &lock);
        failed |= write(ends[1], "x", 1) != 1;
        pass_time(time);
        _exit(failed);
    }
    if (read(ends[0], &byte, 1) != 1)
        return -1;
    close(ends[0]), close(ends[1]);
    return pid;
}

static volatile sig_atomic_t rung;

static void ring(int signal)
{
    (void)signal;
    rung++;
}

static int near(long since, long wanted)
{
    return now() - since >= wanted - 2 * MS && now() - since < wanted + 2 * MS;
}

static void files(void)
{
    int fd = open("lock", O_RDWR | O_CREAT, 0600), status;
    pid_t pid = hold(1, 50 * MS);
    long start = now();
    CHECK("flock does not wait", flock(fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
    CHECK("flock waits", flock(fd, LOCK_EX) == 0 && near(start, 50 * MS));
    CHECK("flock lets go", flock(fd, LOCK_UN) == 0 && waitpid(pid, &status, 0) == pid && status == 0);
    pid = hold(0, 50 * MS);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET}, seen = lock;
    start = now();
    CHECK("F_SETLK does not wait", fcntl(fd, F_SETLK, &lock) == -1 && errno == EAGAIN);
    CHECK("F_GETLK", fcntl(fd, F_GETLK, &seen) == 0 && seen.l_type == F_WRLCK && seen.l_pid == pid);
    CHECK("F_SETLKW", fcntl(fd, F_SETLKW, &lock) == 0 && near(start, 50 * MS));
    lock.l_type = F_UNLCK;
    CHECK("unlocked", fcntl(fd, F_SETLK, &lock) == 0 && waitpid(pid, &status, 0) == pid && status == 0);
    pid = hold(0, 500 * MS);
    handle(SIGALRM, ring, 0);
    struct itimerval timer = {.it_value = micro(20 * MS)};
    setitimer(ITIMER_REAL, &timer, NULL);
    lock.l_type = F_WRLCK;
    start = now();
    CHECK("a signal ends waiting for a lock", fcntl(fd, F_SETLKW, &lock) == -1 && errno == EINTR && near(start, 20 * MS));
    kill(pid, SIGKILL);
    CHECK("a lock ends with its process", fcntl(fd, F_SETLKW, &lock) == 0 && waitpid(pid, &status, 0) == pid);
}

static void memory(void)
{
    struct shared *both = mmap(NULL, sizeof *both, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t mutexes;
    pthread_condattr_t conditions;
    pthread_mutexattr_init(&mutexes), pthread_condattr_init(&conditions);
    pthread_mutexattr_setpshared(&mutexes, PTHREAD_PROCESS_SHARED);
    pthread_condattr_setpshared(&conditions, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&both->mutex, &mutexes), pthread_cond_init(&both->condition, &conditions);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(&both->mutex);
        pass_time(20 * MS);
        both->count = 1;
        pthread_cond_signal(&both->condition);
        pthread_mutex_unlock(&both->mutex);
        pass_time(20 * MS);
        both->word = 1;
        _exit(syscall(SYS_futex, &both->word, 1, 1, NULL) != 1);
    }
    long start = now();
    pass_time(MS);
    pthread_mutex_lock(&both->mutex);
    CHECK("a mutex of two processes", took(start, 20 * MS) && both->count == 1);
    pthread_mutex_unlock(&both->mutex);
    CHECK("a futex of two processes", syscall(SYS_futex, &both->word, 0, 0, NULL) == 0 && both->word == 1);
    int status;
    CHECK("the other has woken one", waitpid(pid, &status, 0) == pid && status == 0);
    pid = fork();
    if (pid == 0) {
        pass_time(10 * MS);
        pthread_mutex_lock(&both->mutex);
        both->count = 2;
        pthread_cond_broadcast(&both->condition);
        pthread_mutex_unlock(&both->mutex);
        _exit(0);
    }
    start = now();
    pthread_mutex_lock(&both->mutex);
    while (both->count < 2)
        pthread_cond_wait(&both->condition, &both->mutex);
    pthread_mutex_unlock(&both->mutex);
    CHECK("a condition of two processes", took(start, 10 * MS) && waitpid(pid, &status, 0) == pid);
}

int main(void)
{
    files();
    memory();
    return 0;
}
