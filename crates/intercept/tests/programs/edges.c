/* Answers at the edges of calls, where a simulation is easily wrong. All of these checks hold outside a simulation, too. */
#include "tracee.h"
#include <sys/prctl.h>

static void hung_up(void)
{
    int ends[2];
    CHECK("pipe", pipe(ends) == 0 && close(ends[1]) == 0);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    struct timeval wait = micro(20 * MS);
    CHECK("a pipe without a writer is no exception", select(ends[0] + 1, NULL, NULL, &set, &wait) == 0);
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    wait = micro(20 * MS);
    CHECK("nor can it be written", select(ends[0] + 1, NULL, &set, NULL, &wait) == 0);
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    CHECK("but it can be read to its end", select(ends[0] + 1, &set, NULL, NULL, NULL) == 1);
    struct pollfd one = {ends[0], 0, 0};
    CHECK("poll tells of it unasked", poll(&one, 1, -1) == 1 && one.revents == POLLHUP);
    close(ends[0]);
}

static void timers(void)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec often = {.it_value = span(MS), .it_interval = span(MS)}, never = {0};
    sigset_t set, waiting;
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    CHECK("timer_create", timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &often, NULL) == 0);
    pass_time(20 * MS + MS / 2);
    CHECK("one signal waits for all", sigpending(&waiting) == 0 && sigismember(&waiting, SIGUSR1));
    siginfo_t info;
    CHECK("and is taken", sigwaitinfo(&set, &info) == SIGUSR1);
    CHECK("the others are counted", timer_getoverrun(timer) >= 10 && timer_settime(timer, 0, &never, NULL) == 0);
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    uint64_t count = 1;
    CHECK("a timer cannot be written", write(fd, &count, sizeof count) == -1 && errno == EINVAL);
    CHECK("flags of no timer", timerfd_create(CLOCK_MONOTONIC, 1) == -1 && errno == EINVAL);
    often.it_interval = span(1);
    CHECK("a timer of a nanosecond", timerfd_settime(fd, 0, &often, NULL) == 0);
    pass_time(20 * MS);
    CHECK("has expired often", read(fd, &count, sizeof count) == sizeof count && count > 1000000);
    close(fd);
}

static void *send_later(void *fd)
{
    for (int i = 0; i < 3; i++) {
        pass_time(2 * MS);
        send(*(int *)fd, "x", 1, 0);
    }
    return NULL;
}

static void *shut_later(void *fd)
{
    pass_time(5 * MS);
    shutdown(*(int *)fd, SHUT_RDWR);
    return NULL;
}

static void sockets(void)
{
    int one = udp(), two = udp(), yes = 1, is = 0;
    socklen_t length = sizeof is;
    struct sockaddr_in name = port(0), far = port(9);
    length = sizeof name;
    bind(one, (struct sockaddr *)&name, sizeof name), getsockname(one, (struct sockaddr *)&name, &length);
    connect(two, (struct sockaddr *)&name, sizeof name);
    pthread_t thread;
    pthread_create(&thread, NULL, send_later, &two);
    char bytes[3];
    struct iovec rooms[3] = {{&bytes[0], 1}, {&bytes[1], 1}, {&bytes[2], 1}};
    struct mmsghdr messages[3] = {0};
    for (int i = 0; i < 3; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &rooms[i], .msg_iovlen = 1};
    CHECK("recvmmsg waits for all", recvmmsg(one, messages, 3, 0, NULL) == 3);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, shut_later, &one);
    CHECK("shutdown ends a wait", recv(one, bytes, 3, 0) == 0);
    pthread_join(thread, NULL);
    length = sizeof is;
    CHECK("an option is what it was set to", setsockopt(two, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
                                                 getsockopt(two, SOL_SOCKET, SO_REUSEADDR, &is, &length) == 0 && is == 1);
    int three = udp(), four = udp();
    setsockopt(three, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), setsockopt(four, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    name = port(0), length = sizeof name;
    bind(three, (struct sockaddr *)&name, sizeof name), getsockname(three, (struct sockaddr *)&name, &length);
    CHECK("two that agree share a port", bind(four, (struct sockaddr *)&name, sizeof name) == 0);
    far.sin_port = 0;
    CHECK("port 0 is no address", sendto(three, "x", 1, 0, (struct sockaddr *)&far, sizeof far) == -1 && errno == EINVAL);
    name = port(0), name.sin_addr.s_addr = htonl(0x0A010203);
    CHECK("an address of another machine", bind(udp(), (struct sockaddr *)&name, sizeof name) == -1 && errno == EADDRNOTAVAIL);
}

static void processes(void)
{
    int ends[2];
    char byte;
    CHECK("a pipe", pipe(ends) == 0);
    if (fork() == 0) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            pass_time(5 * MS);
            pause();
            _exit(0);
        }
        pass_time(20 * MS);
        _exit(0);
    }
    close(ends[1]);
    CHECK("a child ends with its parent if it asked for that", read(ends[0], &byte, 1) == 0);
    wait(NULL), close(ends[0]);
    signal(SIGTSTP, SIG_IGN);
    CHECK("a stop that is ignored", raise(SIGTSTP) == 0);
    int set = epoll_create1(0);
    struct epoll_event event;
    CHECK("no room for events", epoll_wait(set, &event, 0, -1) == -1 && errno == EINVAL);
}

static void streams(void)
{
    int ends[2];
    static char much[1 << 20];
    CHECK("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    if (fork() == 0) {
        ssize_t length;
        size_t all = 0;
        while (all < sizeof much && (length = recv(ends[1], much, sizeof much, 0)) > 0)
            all += length;
        _exit(all != sizeof much);
    }
    struct iovec buffer = {much, sizeof much};
    struct msghdr message = {.msg_iov = &buffer, .msg_iovlen = 1};
    CHECK("a long message", sendmsg(ends[0], &message, 0) == sizeof much);
    int status;
    CHECK("arrives", wait(&status) > 0 && status == 0);
}

static void *be_left(void *unused)
{
    (void)unused;
    pass_time(5 * MS);
    int ends[2], fd = udp();
    struct timeval wait = micro(5 * MS);
    char byte = 1;
    CHECK("a socket after the first thread", fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0);
    CHECK("it can be read", recv(fd, &byte, 1, 0) == -1 && errno == EAGAIN);
    CHECK("a pipe after the first thread", pipe(ends) == 0 && write(ends[1], &byte, 1) == 1 && read(ends[0], &byte, 1) == 1);
    exit(0);
}

static void *become(void *name)
{
    execl(name, name, "second", NULL);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    if (argc > 1) {
        CHECK("another program in a thread's place", getpid() == syscall(SYS_gettid));
        pthread_create(&thread, NULL, be_left, NULL);
        pthread_exit(NULL);
    }
    hung_up();
    timers();
    sockets();
    processes();
    streams();
    (void)argv;
    pthread_create(&thread, NULL, become, "/proc/self/exe");
    pthread_join(thread, NULL);
    return 1;
}
