/* Signals that end waits, and waits for signals. */
#include "tracee.h"

static volatile sig_atomic_t got;

static void count(int signal)
{
    (void)signal;
    got++;
}

static pthread_t main_thread;
static pid_t main_tid;

static void *interrupt(void *after)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pass_time((long)after);
    return (void *)syscall(SYS_tgkill, getpid(), main_tid, SIGUSR1);
}

/* SIGUSR1 comes for this thread after a while. */
static void later(long after)
{
    pthread_t thread;
    pthread_create(&thread, NULL, interrupt, (void *)after);
    pthread_detach(thread);
}

static void ends_of_waits(void)
{
    handle(SIGUSR1, count, 0);
    struct timespec time = span(SEC), rest = {0};
    later(20 * MS);
    long start = now();
    CHECK("nanosleep ends early", nanosleep(&time, &rest) == -1 && errno == EINTR && took(start, 20 * MS) && got == 1);
    long left = rest.tv_sec * SEC + rest.tv_nsec;
    CHECK("and says what is left", left < 980 * MS + 200000 && left > 979 * MS);
    later(20 * MS);
    rest.tv_sec = 55;
    CHECK("clock_nanosleep, too", clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &rest) == EINTR && rest.tv_sec == 0);
    rest.tv_sec = 55;
    later(5 * MS);
    struct pollfd nothing = {-1, 0, 0};
    start = now();
    CHECK("poll ends early", poll(&nothing, 1, 1000) == -1 && errno == EINTR && took(start, 5 * MS));
    CHECK("what was left of a sleep is not written again", rest.tv_sec == 55);
    later(5 * MS);
    struct timeval limit = micro(SEC);
    CHECK("select ends early", select(0, NULL, NULL, NULL, &limit) == -1 && errno == EINTR);
    int epoll = epoll_create1(0);
    struct epoll_event event;
    later(5 * MS);
    CHECK("epoll_wait ends early", epoll_wait(epoll, &event, 1, -1) == -1 && errno == EINTR);
    int fd = udp(), ends[2];
    char byte;
    later(5 * MS);
    CHECK("recv ends early", recv(fd, &byte, 1, 0) == -1 && errno == EINTR);
    if (pipe(ends))
        return;
    later(5 * MS);
    CHECK("read of a pipe ends early", read(ends[0], &byte, 1) == -1 && errno == EINTR);
    later(5 * MS);
    CHECK("pause", pause() == -1 && errno == EINTR && got == 8);
    CHECK("a signal at once", raise(SIGUSR1) == 0 && got == 9);

    handle(SIGUSR1, count, SA_RESTART);
    later(5 * MS);
    send_to(fd, 7050, "x", 1);
    start = now();
    CHECK("SA_RESTART of recv", recv(fd, &byte, 1, 0) == 1 && got == 10 && took(start, 50 * MS));
    later(5 * MS);
    pid_t pid = fork();
    if (pid == 0) {
        pass_time(30 * MS);
        _exit(write(ends[1], "y", 1) != 1);
    }
    CHECK("SA_RESTART of read", read(ends[0], &byte, 1) == 1 && got == 11 && byte == 'y');
    later(0);
    CHECK("SA_RESTART of waitpid", waitpid(pid, NULL, 0) == pid);
    later(5 * MS);
    CHECK("poll is never made again", poll(&nothing, 1, 1000) == -1 && errno == EINTR);
    handle(SIGUSR1, SIG_IGN, 0);
    later(5 * MS);
    start = now();
    CHECK("an ignored signal ends nothing", poll(&nothing, 1, 20) == 0 && took(start, 20 * MS));
}

static void *sleep_long(void *passed)
{
    long start = now();
    struct timespec time = span(100 * MS);
    nanosleep(&time, NULL);
    *(long *)passed = now() - start;
    return NULL;
}

static void of_one_thread(void)
{
    handle(SIGALRM, count, 0);
    pthread_t thread;
    long passed;
    pthread_create(&thread, NULL, sleep_long, &passed);
    struct itimerval timer = {.it_value = micro(30 * MS)};
    setitimer(ITIMER_REAL, &timer, NULL);
    struct timespec time = span(SEC);
    long start = now();
    CHECK("a signal of the process ends one wait", nanosleep(&time, NULL) == -1 && took(start, 30 * MS));
    pthread_join(thread, NULL);
    CHECK("and not another", passed >= 100 * MS && passed < 101 * MS);
}

static void masks(void)
{
    handle(SIGUSR1, count, 0);
    sigset_t blocked, none;
    sigemptyset(&none), sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    got = 0;
    struct pollfd nothing = {-1, 0, 0};
    later(5 * MS);
    CHECK("a blocked signal ends nothing", poll(&nothing, 1, 20) == 0 && got == 0);
    long start = now();
    CHECK("sigsuspend of one that is there", sigsuspend(&none) == -1 && errno == EINTR && got == 1 && took(start, 0));
    later(5 * MS);
    start = now();
    CHECK("sigsuspend", sigsuspend(&none) == -1 && errno == EINTR && got == 2 && took(start, 5 * MS));
    struct timespec limit = span(SEC);
    later(5 * MS);
    start = now();
    CHECK("ppoll with a mask", ppoll(&nothing, 1, &limit, &none) == -1 && errno == EINTR && got == 3 && took(start, 5 * MS));
    later(5 * MS);
    CHECK("pselect with a mask", pselect(0, NULL, NULL, NULL, &limit, &none) == -1 && errno == EINTR && got == 4);
    int epoll = epoll_create1(0);
    struct epoll_event event;
    later(5 * MS);
    CHECK("epoll_pwait with a mask", epoll_pwait(epoll, &event, 1, 1000, &none) == -1 && errno == EINTR && got == 5);
    int signal;
    later(5 * MS);
    start = now();
    CHECK("sigwait", sigwait(&blocked, &signal) == 0 && signal == SIGUSR1 && got == 5 && took(start, 5 * MS));
    siginfo_t info;
    limit = span(30 * MS);
    start = now();
    CHECK("sigtimedwait", sigtimedwait(&blocked, &info, &limit) == -1 && errno == EAGAIN && took(start, 30 * MS));
    later(5 * MS);
    CHECK("sigwaitinfo", sigwaitinfo(&blocked, &info) == SIGUSR1 && info.si_pid == getpid() && info.si_code == SI_USER);
    union sigval value = {.sival_int = 77};
    CHECK("sigqueue", sigqueue(getpid(), SIGUSR1, value) == 0 && sigwaitinfo(&blocked, &info) == SIGUSR1 &&
                          info.si_value.sival_int == 77 && info.si_code == SI_QUEUE);
    sigset_t pending;
    pthread_kill(pthread_self(), SIGUSR1);
    CHECK("sigpending", sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
    CHECK("an unblocked signal comes", got == 6);
}

static pid_t sender;

static void remember(int signal, siginfo_t *info, void *unused)
{
    (void)signal, (void)unused;
    sender = info->si_pid;
}

static void between(void)
{
    struct sigaction action = {.sa_sigaction = remember, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR2, &action, NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        pass_time(5 * MS);
        _exit(kill(parent, SIGUSR2) != 0);
    }
    struct timespec time = span(SEC);
    CHECK("a signal of a child", nanosleep(&time, NULL) == -1 && sender == pid && waitpid(pid, NULL, 0) == pid);
    int status;
    pid = fork();
    if (pid == 0) {
        pause();
        _exit(1);
    }
    pass_time(MS);
    CHECK("SIGTERM ends a child", kill(pid, SIGTERM) == 0 && waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGTERM);
    CHECK("a child can be asked for", kill(getpid(), 0) == 0 && kill(pid, 0) == -1 && errno == ESRCH);
}

/* Calls that do not wait are not interrupted: a poller that is slowed down must not notice. */
static void pollers(void)
{
    handle(SIGUSR1, count, 0);
    got = 0;
    later(50 * MS);
    int right = 1, fd = udp();
    char byte;
    while (!got)
        right &= sched_yield() == 0;
    CHECK("sched_yield is not interrupted", right);
    got = 0;
    later(50 * MS);
    while (!got)
        right &= recv(fd, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN;
    CHECK("nor is a receive that does not wait", right);
}

int main(void)
{
    main_thread = pthread_self();
    main_tid = syscall(SYS_gettid);
    ends_of_waits();
    of_one_thread();
    masks();
    between();
    pollers();
    return 0;
}
