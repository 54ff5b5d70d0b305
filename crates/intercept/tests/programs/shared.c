/* Threads that share what they wait for, so that what one of them has found may be gone when its turn comes. */
#include "tracee.h"

static int ends[2], many;
static long got[4];

static void *take(void *place)
{
    char byte;
    while (read(ends[0], &byte, 1) == 1 && byte != 'q') {
        got[(long)place]++;
        for (int i = 0; i < 7; i++)
            syscall(SYS_getppid);
    }
    return NULL;
}

static void *end(void *unused)
{
    syscall(SYS_getppid);
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t threads[4];
    many = argc > 1 ? atoi(argv[1]) : 0;
    if (many) {
        /* The process ends while its threads do. */
        for (int i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, end, NULL);
        for (int i = 0; i < many; i++)
            syscall(SYS_getppid);
        syscall(SYS_exit_group, 0);
    }
    if (pipe(ends))
        return 1;
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, take, (void *)i);
    char bytes[203];
    memset(bytes, 'x', sizeof bytes);
    for (int i = 0; i < 50; i++) {
        if (write(ends[1], bytes, sizeof bytes) != sizeof bytes)
            return 1;
        pass_time(MS);
    }
    if (write(ends[1], "qqqq", 4) != 4)
        return 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK("all is read", got[0] + got[1] + got[2] + got[3] == 50 * 203);
    return 0;
}
