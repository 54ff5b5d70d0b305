/* Which descriptors are ready: poll, select, epoll, of sockets, pipes and event counters together. */
#include "tracee.h"

static int fd, ends[2], counter;

/* Has port 7000 answer after 1 ms. */
static void ask(void)
{
    send_to(fd, 7000, "x", 1);
}

static void answer(void)
{
    char byte;
    recv(fd, &byte, 1, 0);
}

static void polls(void)
{
    struct pollfd all[] = {{fd, POLLIN, 0}, {ends[0], POLLIN, 0}, {counter, POLLIN, 0}, {-1, POLLIN, 7}};
    long start = now();
    CHECK("poll for no time", poll(all, 4, 0) == 0 && took(start, 0) && all[3].revents == 0);
    CHECK("poll for 20 ms", poll(all, 4, 20) == 0 && took(start, 20 * MS));
    ask();
    start = now();
    CHECK("poll for ever", poll(all, 4, -1) == 1 && all[0].revents == POLLIN && took(start, MS));
    answer();
    if (write(ends[1], "a", 1) != 1 || eventfd_write(counter, 3))
        _exit(1);
    CHECK("poll of several", poll(all, 3, -1) == 2 && all[0].revents == 0 && all[1].revents == POLLIN);
    char byte;
    eventfd_t value;
    CHECK("read after poll", read(ends[0], &byte, 1) == 1 && eventfd_read(counter, &value) == 0 && value == 3);
    all[0].events = POLLOUT;
    CHECK("sockets can be written", poll(all, 1, -1) == 1 && all[0].revents == POLLOUT);
    struct pollfd closed = {77, POLLIN, 0};
    CHECK("poll of what is not open", poll(&closed, 1, -1) == 1 && closed.revents == POLLNVAL);
    CHECK("poll at a bad address", syscall(SYS_poll, 8, 1, -1) == -1 && errno == EFAULT);
    struct timespec time = span(5 * MS);
    all[0].events = POLLIN;
    start = now();
    CHECK("ppoll", ppoll(all, 1, &time, NULL) == 0 && took(start, 5 * MS) && time.tv_nsec == 5 * MS);
    CHECK("poll of nothing sleeps", poll(NULL, 0, 30) == 0 && took(start, 35 * MS));
}

static void selects(void)
{
    fd_set set, write_set;
    FD_ZERO(&set);
    FD_ZERO(&write_set);
    FD_SET(fd, &set), FD_SET(ends[0], &set);
    struct timeval time = micro(40 * MS);
    long start = now();
    CHECK("select times out", select(20, &set, NULL, NULL, &time) == 0 && took(start, 40 * MS) &&
                                  !FD_ISSET(fd, &set) && time.tv_sec == 0 && time.tv_usec == 0);
    FD_SET(fd, &set), FD_SET(ends[0], &set);
    time = micro(10 * SEC);
    ask();
    start = now();
    CHECK("select", select(20, &set, NULL, NULL, &time) == 1 && FD_ISSET(fd, &set) &&
                        !FD_ISSET(ends[0], &set) && took(start, MS));
    long left = time.tv_sec * SEC + time.tv_usec * 1000;
    CHECK("select says what is left of the time", left < 10 * SEC - MS && left > 10 * SEC - 2 * MS);
    answer();
    FD_SET(fd, &write_set), FD_SET(ends[1], &write_set);
    time = micro(0);
    CHECK("select for writing", select(20, NULL, &write_set, NULL, &time) == 2);
    FD_ZERO(&set);
    FD_SET(60, &set);
    CHECK("select of what is not open", select(61, &set, NULL, NULL, NULL) == -1 && errno == EBADF);
    struct timespec wait = span(7 * MS);
    start = now();
    CHECK("pselect sleeps", pselect(0, NULL, NULL, NULL, &wait, NULL) == 0 && took(start, 7 * MS));
}

static int epoll_has(int epoll, int wanted, int timeout)
{
    struct epoll_event events[4];
    int count = epoll_wait(epoll, events, 4, timeout);
    return wanted == 0 ? count == 0 : count == 1 && events[0].data.fd == wanted;
}

static void epolls(void)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {EPOLLIN, {.fd = fd}};
    long start = now();
    CHECK("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    CHECK("epoll_wait for no time", epoll_has(epoll, 0, 0) && took(start, 0));
    CHECK("epoll_wait for 20 ms", epoll_has(epoll, 0, 20) && took(start, 20 * MS));
    ask();
    CHECK("epoll by level", epoll_has(epoll, fd, -1) && epoll_has(epoll, fd, -1));
    answer();
    CHECK("nothing is left", epoll_has(epoll, 0, 5));
    event.events = EPOLLIN | EPOLLET;
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
    ask();
    CHECK("epoll by edge", epoll_has(epoll, fd, -1) && epoll_has(epoll, 0, 5));
    ask();
    CHECK("another edge", epoll_has(epoll, fd, -1) && epoll_has(epoll, 0, 0));
    answer(), answer();
    event.events = EPOLLIN | EPOLLONESHOT;
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
    ask();
    CHECK("epoll once", epoll_has(epoll, fd, -1) && epoll_has(epoll, 0, 5));
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
    CHECK("armed again", epoll_has(epoll, fd, -1));
    answer();
    event.data.fd = ends[0], event.events = EPOLLIN;
    epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event);
    event.data.fd = counter;
    epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event);
    eventfd_write(counter, 1);
    CHECK("epoll of a counter", epoll_has(epoll, counter, -1));
    eventfd_t value;
    eventfd_read(counter, &value);
    struct timespec time = span(1500000);
    struct epoll_event events[2];
    start = now();
    CHECK("epoll_pwait2", syscall(SYS_epoll_pwait2, epoll, events, 2, &time, NULL, 0) == 0 && took(start, 1500000));
    struct pollfd nested = {epoll, POLLIN, 0};
    ask();
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &(struct epoll_event){EPOLLIN, {.fd = fd}});
    CHECK("poll of an epoll", poll(&nested, 1, -1) == 1 && epoll_has(epoll, fd, 0));
    answer();
    CHECK("epoll of what is none", epoll_wait(fd, events, 2, 0) == -1 && errno == EINVAL);
}

int main(void)
{
    fd = udp();
    counter = eventfd(0, 0);
    if (pipe(ends))
        return 1;
    polls();
    selects();
    epolls();
    return 0;
}
