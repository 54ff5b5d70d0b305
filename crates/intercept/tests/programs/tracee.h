/* What the programs of these tests share: each checks the answers of system calls itself and prints a line for each. */
#ifndef TRACEE_H
#define TRACEE_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000L
#define SEC (1000 * MS)

static inline void say(const char *verdict, const char *name, const char *more)
{
    char line[256];
    int length = snprintf(line, sizeof line, "%s %s%s\n", verdict, name, more);
    if (write(1, line, length) != length)
        _exit(99);
}

/* One line for each: `ok NAME`, or what went wrong. */
#define CHECK(name, condition)                                                                                         \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        int holds_ = (condition);                                                                                      \
        char more_[128] = "";                                                                                          \
        if (!holds_)                                                                                                   \
            snprintf(more_, sizeof more_, " (line %d, errno %d: %s)", __LINE__, errno, strerror(errno));               \
        say(holds_ ? "ok" : "FAILED", name, more_);                                                                    \
    } while (0)

static inline long at(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time))
        return -1;
    return time.tv_sec * SEC + time.tv_nsec;
}

static inline long now(void)
{
    return at(CLOCK_MONOTONIC);
}

/* Whether so much time has passed, give or take a wake-up and some calls. */
static inline int took(long since, long wanted)
{
    long passed = now() - since;
    return passed >= wanted && passed < wanted + 200000;
}

static inline struct timespec span(long nanoseconds)
{
    return (struct timespec){nanoseconds / SEC, nanoseconds % SEC};
}

static inline struct timeval micro(long nanoseconds)
{
    return (struct timeval){nanoseconds / SEC, nanoseconds % SEC / 1000};
}

static inline void pass_time(long nanoseconds)
{
    struct timespec time = span(nanoseconds);
    while (nanosleep(&time, &time) && errno == EINTR)
        ;
}

static inline struct sockaddr_in port(int number)
{
    return (struct sockaddr_in){AF_INET, htons(number), {htonl(INADDR_LOOPBACK)}, {0}};
}

static inline int udp(void)
{
    return socket(AF_INET, SOCK_DGRAM, 0);
}

static inline long send_to(int fd, int number, const void *bytes, size_t length)
{
    struct sockaddr_in to = port(number);
    return sendto(fd, bytes, length, 0, (struct sockaddr *)&to, sizeof to);
}

static inline int handle(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    return sigaction(signal, &action, NULL);
}

#endif
