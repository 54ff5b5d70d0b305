/* Threads that take turns, and programs that wait. The first argument says which. */
#include "tracee.h"

static void *yield(void *name)
{
    for (int i = 0; i < 30; i++) {
        if (write(1, name, 2) != 2)
            _exit(1);
        sched_yield();
    }
    return NULL;
}

static volatile int found;

static void *receive(void *fd)
{
    char byte;
    recv(*(int *)fd, &byte, 1, 0);
    found = 1;
    return NULL;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    pthread_t threads[2];
    int fd = udp();
    struct sockaddr_in name = port(5000);
    bind(fd, (struct sockaddr *)&name, sizeof name);
    if (!strcmp(what, "yield")) {
        pthread_create(&threads[0], NULL, yield, "a\n");
        pthread_create(&threads[1], NULL, yield, "b\n");
        pthread_join(threads[0], NULL), pthread_join(threads[1], NULL);
    } else if (!strcmp(what, "echo")) {
        char byte;
        for (int i = 0; i < 3; i++) {
            recv(fd, &byte, 1, 0);
            printf("at %ld us\n", (now() - 1000 * SEC) / 1000);
            fflush(stdout);
            send_to(fd, 9000, &byte, 1);
        }
    } else if (!strcmp(what, "sleep")) {
        for (int i = 0; i < 3; i++) {
            pass_time(10 * MS);
            say("ok", "slept", "");
        }
    } else if (!strcmp(what, "poll")) {
        struct pollfd readable = {fd, POLLIN, 0};
        while (poll(&readable, 1, 0) == 0)
            ;
        say("ok", "found", "");
    } else if (!strcmp(what, "starve")) {
        /* The other thread must get its turn although this one never waits. */
        pthread_create(&threads[0], NULL, receive, &fd);
        send_to(fd, 7000, "x", 1);
        while (!found)
            now();
        say("ok", "found", "");
    }
    return 0;
}
