/* Makes a call a number of times: `rates KIND COUNT`. The bench `programs` measures how long that takes. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int pipes[2][2];
static long count;

static void *answer(void *unused)
{
    (void)unused;
    char byte;
    for (long i = 0; i < count; i++)
        if (read(pipes[0][0], &byte, 1) != 1 || write(pipes[1][1], &byte, 1) != 1)
            exit(1);
    return NULL;
}

static void exchange(void)
{
    pthread_t other;
    char byte = 0;
    if (pipe(pipes[0]) || pipe(pipes[1]) || pthread_create(&other, NULL, answer, NULL))
        exit(1);
    for (long i = 0; i < count; i++)
        if (write(pipes[0][1], &byte, 1) != 1 || read(pipes[1][0], &byte, 1) != 1)
            exit(1);
    pthread_join(other, NULL);
}

static void datagrams(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (long i = 0; i < count; i++)
        if (sendto(fd, "some hundred bytes, as many as a message", 40, 0, (struct sockaddr *)&to, sizeof to) != 40)
            exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    const char *kind = argv[1];
    count = atol(argv[2]);
    struct timespec now;
    if (!strcmp(kind, "getppid"))
        for (long i = 0; i < count; i++)
            syscall(SYS_getppid);
    else if (!strcmp(kind, "clock"))
        for (long i = 0; i < count; i++) {
            clock_gettime(CLOCK_MONOTONIC, &now);
            if (i % 1000 == 999)
                syscall(SYS_getppid);
        }
    else if (!strcmp(kind, "free"))
        for (long i = 0; i < count; i++)
            lseek(0, 0, SEEK_CUR);
    else if (!strcmp(kind, "poll"))
        for (long i = 0; i < count; i++)
            poll(NULL, 0, 1);
    else if (!strcmp(kind, "sendto"))
        datagrams();
    else if (!strcmp(kind, "exchange"))
        exchange();
    else
        return 2;
    return 0;
}
