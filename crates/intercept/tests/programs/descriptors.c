/* Pipes, event counters, copies of descriptors, and what becomes of them in a new program. */
#include "tracee.h"
#include <sys/sendfile.h>

static void *write_late(void *end)
{
    pass_time(20 * MS);
    return (void *)write(*(int *)end, "late", 4);
}

static void *read_late(void *end)
{
    static char bytes[1 << 20];
    size_t total = 0;
    pass_time(20 * MS);
    for (long got; total < sizeof bytes && (got = read(*(int *)end, bytes, sizeof bytes)) > 0;)
        total += got;
    return (void *)total;
}

static void pipes(void)
{
    int ends[2];
    char got[8];
    pthread_t thread;
    CHECK("pipe", pipe2(ends, O_CLOEXEC) == 0);
    pthread_create(&thread, NULL, write_late, &ends[1]);
    long start = now();
    CHECK("a pipe is waited for", read(ends[0], got, 8) == 4 && took(start, 20 * MS));
    pthread_join(thread, NULL);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    CHECK("an empty pipe that does not block", read(ends[0], got, 8) == -1 && errno == EAGAIN);
    fcntl(ends[0], F_SETFL, 0);

    static char large[1 << 20];
    void *total;
    pthread_create(&thread, NULL, read_late, &ends[0]);
    CHECK("a write larger than a pipe", write(ends[1], large, sizeof large) == sizeof large);
    pthread_join(thread, &total);
    CHECK("all of it is read", total == (void *)(1 << 20));
    struct iovec parts[] = {{large, 100000}, {large, 100000}};
    pthread_create(&thread, NULL, read_late, &ends[0]);
    CHECK("writev of more than a pipe", writev(ends[1], parts, 2) == 200000);
    close(ends[1]);
    pthread_join(thread, &total);
    CHECK("the end of a pipe", total == (void *)200000 && read(ends[0], got, 8) == 0);
    close(ends[0]);

    signal(SIGPIPE, SIG_IGN);
    if (pipe(ends))
        return;
    close(ends[0]);
    CHECK("a pipe without a reader", write(ends[1], "x", 1) == -1 && errno == EPIPE);
    CHECK("a large write without a reader", write(ends[1], large, sizeof large) == -1 && errno == EPIPE);
    close(ends[1]);

    int pair[2];
    CHECK("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    pthread_create(&thread, NULL, read_late, &pair[0]);
    CHECK("a write larger than a stream", write(pair[1], large, sizeof large) == sizeof large);
    pthread_join(thread, &total);
    CHECK("all of the stream is read", total == (void *)(1 << 20));
    pthread_create(&thread, NULL, read_late, &pair[0]);
    CHECK("a send larger than a stream", send(pair[1], large, sizeof large, 0) == sizeof large);
    pthread_join(thread, &total);
    /* The kernel rounds it to its ticks: a multiple of all. */
    struct timeval patience = micro(40 * MS);
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    start = now();
    CHECK("SO_RCVTIMEO of a stream", read(pair[0], got, 8) == -1 && errno == EAGAIN && took(start, 40 * MS));
    close(pair[0]), close(pair[1]);
}

static void *count_late(void *fd)
{
    pass_time(5 * MS);
    return (void *)(long)eventfd_write(*(int *)fd, 2);
}

static void counters(void)
{
    eventfd_t value;
    int fd = eventfd(5, 0), semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    CHECK("eventfd", eventfd_read(fd, &value) == 0 && value == 5);
    pthread_t thread;
    pthread_create(&thread, NULL, count_late, &fd);
    long start = now();
    CHECK("an event is waited for", eventfd_read(fd, &value) == 0 && value == 2 && took(start, 5 * MS));
    pthread_join(thread, NULL);
    CHECK("a semaphore", eventfd_read(semaphore, &value) == 0 && value == 1 && eventfd_read(semaphore, &value) == 0 &&
                             eventfd_read(semaphore, &value) == -1 && errno == EAGAIN);
    close(fd), close(semaphore);
}

static void copies(void)
{
    char got[8];
    int ends[2], fd = udp();
    if (pipe(ends))
        return;
    int copy = dup(fd);
    send_to(copy, 7000, "a", 1);
    CHECK("dup", recv(fd, got, 8, 0) == 1);
    CHECK("dup2", dup2(ends[0], copy) == copy && write(ends[1], "pipe", 4) == 4 && read(copy, got, 8) == 4);
    CHECK("dup3", dup3(fd, copy, O_CLOEXEC) == copy && fcntl(copy, F_GETFD) == FD_CLOEXEC &&
                      send_to(copy, 7000, "b", 1) == 1 && read(copy, got, 8) == 1);
    CHECK("dup2 onto itself", dup2(fd, fd) == fd && send_to(fd, 7000, "c", 1) == 1 && recv(copy, got, 8, 0) == 1);
    int high = fcntl(fd, F_DUPFD, 40);
    CHECK("F_DUPFD", high == 40 && send_to(high, 7000, "d", 1) == 1 && recv(fd, got, 8, 0) == 1);
    close(fd), close(copy);
    CHECK("the last copy lives", send_to(high, 7000, "e", 1) == 1 && recv(high, got, 8, 0) == 1);
    CHECK("close_range", close_range(40, 50, 0) == 0 && send_to(high, 7000, "f", 1) == -1 && errno == EBADF);
    int out = dup(1), error = dup(2);
    CHECK("a copy of the output", write(out, "ok printed\n", 11) == 11 && write(error, "ok complained\n", 14) == 14);
    CHECK("standard input is empty", read(0, got, 8) == 0);
    int file = open("file", O_RDWR | O_CREAT, 0600);
    CHECK("a file", write(file, "ok by sendfile\n", 15) == 15 && lseek(file, 0, SEEK_SET) == 0 && read(file, got, 2) == 2);
    off_t start = 0;
    CHECK("sendfile leads to read and write", sendfile(1, file, &start, 15) == -1 && errno == EINVAL);
    dup2(file, 0);
    CHECK("a number that was something else before", read(0, got, 1) == 1 && got[0] == ' ');
}

static void next_program(const char *own)
{
    int kept = udp(), lost = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec time = {.it_value = span(100 * MS)};
    timerfd_settime(timer, 0, &time, NULL);
    struct sockaddr_in name = port(5000), other = port(5001);
    bind(kept, (struct sockaddr *)&name, sizeof name);
    bind(lost, (struct sockaddr *)&other, sizeof other);
    char numbers[3][12];
    sprintf(numbers[0], "%d", kept), sprintf(numbers[1], "%d", lost), sprintf(numbers[2], "%d", timer);
    execl(own, own, "next", numbers[0], numbers[1], numbers[2], NULL);
}

static void after(char **numbers)
{
    int kept = atoi(numbers[0]), lost = atoi(numbers[1]), timer = atoi(numbers[2]);
    char got[8];
    uint64_t count;
    CHECK("a socket lives in the next program", send_to(kept, 7000, "x", 1) == 1 && recv(kept, got, 8, 0) == 1);
    CHECK("another does not", send_to(lost, 7000, "x", 1) == -1 && errno == EBADF);
    struct sockaddr_in name = port(5001);
    CHECK("and its port is free", bind(udp(), (struct sockaddr *)&name, sizeof name) == 0);
    CHECK("a timer lives, too", read(timer, &count, 8) == 8 && count == 1 && now() % SEC > 100 * MS);
    CHECK("the next program has clocks", time(NULL) == 1700000000 && getpid() == 100);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        after(argv + 2);
        return 0;
    }
    pipes();
    counters();
    copies();
    next_program("/proc/self/exe");
    return 1;
}
