/* Clocks, sleeping and yielding. */
#include "tracee.h"
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>

#define WALL_START 1700000000L

static long asked(clockid_t clock)
{
    struct timespec time;
    return syscall(SYS_clock_gettime, clock, &time) ? -1 : time.tv_sec * SEC + time.tv_nsec;
}

static int near(long a, long b)
{
    return labs(a - b) < 100000;
}

static void reads(void)
{
    clockid_t walls[] = {CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_TAI};
    clockid_t monotonics[] = {CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME};
    int right = 1;
    for (int i = 0; i < 3; i++)
        right &= near(at(walls[i]), WALL_START * SEC + now() - 1000 * SEC) && near(asked(walls[i]), at(walls[i]));
    CHECK("wall clocks", right);
    for (int i = 0; i < 4; i++)
        right &= near(at(monotonics[i]), now()) && near(asked(monotonics[i]), now());
    CHECK("monotonic clocks", right);
    CHECK("monotonic clocks start at 1000 s", now() / SEC == 1000);
    long before = now();
    for (int i = 0; i < 5000; i++) {
        long after = i % 50 ? now() : asked(CLOCK_MONOTONIC);
        right &= after >= before;
        before = after;
    }
    CHECK("time never goes back", right);
    struct timeval day, asked_day;
    CHECK("gettimeofday", gettimeofday(&day, NULL) == 0 && day.tv_sec == WALL_START);
    CHECK("gettimeofday without the page", syscall(SYS_gettimeofday, &asked_day, NULL) == 0 &&
                                               near(asked_day.tv_usec * 1000, day.tv_usec * 1000));
    time_t stored;
    CHECK("time", time(&stored) == WALL_START && stored == WALL_START && syscall(SYS_time, NULL) == WALL_START);
    CHECK("a clock that does not exist", clock_gettime(77, &(struct timespec){0}) == -1 && errno == EINVAL);
    CHECK("a bad address", syscall(SYS_clock_gettime, 1, 8) == -1 && errno == EFAULT);
}

static void processor(void)
{
    long before = at(CLOCK_PROCESS_CPUTIME_ID), thread = at(CLOCK_THREAD_CPUTIME_ID);
    pass_time(3 * SEC);
    long after = at(CLOCK_PROCESS_CPUTIME_ID);
    CHECK("sleeping uses no processor", after >= before && after - before < MS && thread < MS);
    struct rusage usage;
    CHECK("getrusage", getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_utime.tv_sec == 0 && usage.ru_maxrss == 0);
    struct tms used;
    clock_t ticks = times(&used);
    pass_time(SEC);
    CHECK("times", times(&used) - ticks == 100 && used.tms_utime == 0);
    struct sysinfo info;
    CHECK("sysinfo", sysinfo(&info) == 0 && info.uptime == now() / SEC && info.procs == 1 && info.loads[0] == 0);
}

static void sleeps(void)
{
    long start = now();
    struct timespec time = span(250 * MS), rest = {7, 7};
    CHECK("nanosleep", nanosleep(&time, &rest) == 0 && took(start, 250 * MS) && rest.tv_sec == 7);
    clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};
    int right = 1;
    for (int i = 0; i < 3; i++) {
        start = now();
        right &= clock_nanosleep(clocks[i], 0, &time, NULL) == 0 && took(start, 250 * MS);
    }
    CHECK("clock_nanosleep for a while", right);
    for (int i = 0; i < 3; i++) {
        start = now();
        struct timespec until = span(at(clocks[i]) + 2 * SEC);
        right &= clock_nanosleep(clocks[i], TIMER_ABSTIME, &until, NULL) == 0 && took(start, 2 * SEC);
    }
    CHECK("clock_nanosleep until a time", right);
    start = now();
    struct timespec past = span(now() - SEC);
    CHECK("a time that is past", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL) == 0 && took(start, 0));
    start = now();
    CHECK("usleep and sleep", usleep(1500) == 0 && took(start, 1500000) && sleep(3600) == 0 && now() - start > 3600 * SEC);
    struct timespec bad = {0, 1000000000};
    CHECK("too many nanoseconds", nanosleep(&bad, NULL) == -1 && errno == EINVAL);
    bad = (struct timespec){-1, 0};
    CHECK("less than nothing", nanosleep(&bad, NULL) == -1 && errno == EINVAL);
    CHECK("no time at all", syscall(SYS_nanosleep, NULL, NULL) == -1 && errno == EFAULT);
    CHECK("a clock one cannot sleep by", clock_nanosleep(CLOCK_MONOTONIC_RAW + 70, 0, &time, NULL) == EINVAL);
}

static void loops(void)
{
    time_t until = time(NULL) + 3;
    while (time(NULL) < until)
        ;
    CHECK("a loop that reads the time", time(NULL) == until);
    long end = now() + 2 * SEC;
    while (now() < end)
        ;
    CHECK("a loop that reads a clock", now() < end + 10 * MS);
    end = now() + 300 * MS;
    while (now() < end)
        sched_yield();
    CHECK("a loop that yields", now() < end + 30 * MS);
    end = now() + 300 * MS;
    int fd = udp(), looks = 0;
    struct pollfd poll_fd = {fd, POLLIN, 0};
    while (now() < end)
        looks += poll(&poll_fd, 1, 0) == 0;
    CHECK("a loop that polls", now() < end + 30 * MS && looks < 5000);
    end = now() + 300 * MS;
    char byte;
    while (now() < end)
        looks += recv(fd, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN;
    CHECK("a loop that receives", now() < end + 30 * MS && looks < 10000);
}

int main(void)
{
    reads();
    processor();
    sleeps();
    loops();
    return 0;
}
