/* Timers: alarm, setitimer, timer_create, timerfd. */
#include "tracee.h"

static volatile sig_atomic_t rung;

static void ring(int signal)
{
    (void)signal;
    rung++;
}

static void alarms(void)
{
    handle(SIGALRM, ring, 0);
    long start = now();
    alarm(2);
    CHECK("alarm says what was left", alarm(1) == 2);
    CHECK("alarm", pause() == -1 && errno == EINTR && rung == 1 && took(start, SEC));
    CHECK("an alarm is taken back", alarm(5) == 0 && alarm(0) == 5 && sleep(6) == 0 && rung == 1);
    struct itimerval timer = {.it_value = micro(10 * MS), .it_interval = micro(20 * MS)}, old;
    start = now();
    CHECK("setitimer", setitimer(ITIMER_REAL, &timer, NULL) == 0);
    for (int i = 0; i < 5; i++)
        pause();
    CHECK("an interval", rung == 6 && took(start, 90 * MS));
    CHECK("getitimer", getitimer(ITIMER_REAL, &old) == 0 && old.it_interval.tv_usec == 20000 && old.it_value.tv_usec > 19000);
    memset(&timer, 0, sizeof timer);
    CHECK("setitimer says how it was", setitimer(ITIMER_REAL, &timer, &old) == 0 && old.it_interval.tv_usec == 20000);
    start = now();
    CHECK("a stopped timer", sleep(1) == 0 && rung == 6);
    pid_t pid;
    alarm(1);
    if ((pid = fork()) == 0)
        _exit(alarm(0) != 0);
    int status;
    CHECK("a child has no alarm", waitpid(pid, &status, 0) == pid && status == 0 && alarm(0) == 1);
}

static volatile sig_atomic_t value, overrun;

static void ring_with(int signal, siginfo_t *info, void *unused)
{
    (void)signal, (void)unused;
    rung++;
    value = info->si_code == SI_TIMER ? info->si_value.sival_int : -1;
}

static volatile int called;

static void call(union sigval argument)
{
    called += argument.sival_int;
}

static void of_posix(void)
{
    struct sigaction action = {.sa_sigaction = ring_with, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 55};
    timer_t timer;
    CHECK("timer_create", timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    struct itimerspec time = {.it_value = span(30 * MS)}, old;
    rung = 0;
    long start = now();
    CHECK("timer_settime", timer_settime(timer, 0, &time, NULL) == 0);
    CHECK("timer_gettime", timer_gettime(timer, &old) == 0 && old.it_value.tv_nsec > 29 * MS && old.it_interval.tv_nsec == 0);
    CHECK("a timer's signal", pause() == -1 && rung == 1 && value == 55 && took(start, 30 * MS));
    time.it_value = span(at(CLOCK_MONOTONIC) + 50 * MS);
    start = now();
    CHECK("an absolute time", timer_settime(timer, TIMER_ABSTIME, &time, NULL) == 0 && pause() == -1 && took(start, 50 * MS));
    CHECK("timer_delete", timer_delete(timer) == 0 && timer_gettime(timer, &old) == -1 && errno == EINVAL);
    event = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = call, .sigev_value.sival_int = 10};
    CHECK("a timer with a thread", timer_create(CLOCK_REALTIME, &event, &timer) == 0);
    time = (struct itimerspec){.it_value = span(10 * MS), .it_interval = span(10 * MS)};
    timer_settime(timer, 0, &time, NULL);
    pass_time(35 * MS);
    CHECK("its function is called", called == 30);
    timer_delete(timer);
}

static int settime(int fd, long first, long interval)
{
    struct itimerspec time = {.it_value = span(first), .it_interval = span(interval)};
    return timerfd_settime(fd, 0, &time, NULL);
}

static void of_descriptors(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    uint64_t count;
    long start = now();
    CHECK("timerfd", settime(fd, 20 * MS, 0) == 0 && read(fd, &count, 8) == 8 && count == 1 && took(start, 20 * MS));
    CHECK("a period", settime(fd, 10 * MS, 30 * MS) == 0 && read(fd, &count, 8) == 8 && count == 1);
    pass_time(100 * MS);
    CHECK("missed periods are counted", read(fd, &count, 8) == 8 && count == 3);
    struct itimerspec time;
    CHECK("timerfd_gettime", timerfd_gettime(fd, &time) == 0 && time.it_interval.tv_nsec == 30 * MS && time.it_value.tv_nsec > 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    CHECK("a timer that does not block", read(fd, &count, 8) == -1 && errno == EAGAIN);
    pass_time(40 * MS);
    CHECK("setting it forgets the count", settime(fd, 0, 0) == 0 && read(fd, &count, 8) == -1 && errno == EAGAIN);
    struct pollfd readable = {fd, POLLIN, 0};
    time = (struct itimerspec){.it_value = span(at(CLOCK_REALTIME) + 20 * MS)};
    int wall = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK), epoll = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {0}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, wall, &event);
    start = now();
    CHECK("an absolute time of the wall clock", timerfd_settime(wall, TFD_TIMER_ABSTIME, &time, NULL) == 0 &&
                                                    epoll_wait(epoll, &event, 1, -1) == 1 && took(start, 20 * MS));
    settime(fd, 5 * MS, 0);
    CHECK("poll of a timer", poll(&readable, 1, -1) == 1 && readable.revents == POLLIN);
    CHECK("what is no timer", settime(0, 1, 0) == -1 && errno == EINVAL);
    int right = 1;
    for (int i = 0; i < 2000; i++) {
        int other = timerfd_create(CLOCK_MONOTONIC, 0);
        right &= settime(other, MS, MS) == 0;
        close(other);
    }
    CHECK("many timers one after another", right);
    start = now();
    CHECK("a closed timer is gone", poll(NULL, 0, 1000) == 0 && took(start, SEC));
}

int main(void)
{
    alarms();
    of_posix();
    of_descriptors();
    return 0;
}
