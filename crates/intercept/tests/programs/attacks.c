/* Programs that try to break out, to hang, or to use everything up. The first argument says which. */
#include "tracee.h"
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

static void *wait_for_ever(void *unused)
{
    pause();
    return unused;
}

static void *nothing(void *unused)
{
    return unused;
}

static void fork_bomb(void)
{
    for (;;)
        fork();
}

static void many_threads(void)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_t thread;
    for (int i = 0; i < 10000; i++)
        pthread_create(&thread, &small, wait_for_ever, NULL);
}

static void threads_in_turn(void)
{
    pthread_t thread;
    int right = 1;
    for (int i = 0; i < 5000; i++)
        right &= pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
    CHECK("threads in turn", right);
}

static void close_all(void)
{
    close_range(0, ~0U, 0);
    if (write(1, "x", 1) != -1 || errno != EBADF)
        _exit(1);
    int fd = open("file", O_WRONLY | O_CREAT, 0600), other = udp();
    _exit(fd == 0 && other == 1 && write(1, "x", 1) == -1 && errno == EDESTADDRREQ && close(1) == 0 ? 7 : 1);
}

static void kill_others(void)
{
    CHECK("the parent is out of reach", kill(getppid(), 9) == -1 && errno == ESRCH);
    CHECK("so are numbers of the machine", kill(2, 9) == -1 && errno == ESRCH && syscall(SYS_tkill, 3, 9) == -1);
    CHECK("nobody else is there", kill(-1, 9) == -1 && errno == ESRCH);
    CHECK("nor a group", kill(-77777, 9) == -1 && errno == ESRCH && kill(-2147483647 - 1, 9) == -1);
    pid_t pid = fork();
    if (pid == 0)
        wait_for_ever(NULL);
    int status;
    CHECK("its own child is", kill(-1, 9) == 0 && waitpid(pid, &status, 0) == pid && WTERMSIG(status) == 9);
    fork();
    kill(0, 9);
}

static void forbidden(void)
{
    CHECK("prctl", prctl(PR_SET_SECCOMP, 1) == -1 && errno == EPERM);
    CHECK("PR_SET_TSC", prctl(PR_SET_TSC, PR_TSC_ENABLE) == -1 && errno == EPERM);
    CHECK("seccomp", syscall(SYS_seccomp, 0, 0, NULL) == -1 && errno == ENOSYS);
    CHECK("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0) == -1 && errno == EPERM);
    CHECK("personality", syscall(SYS_personality, 0) == -1 && errno == EPERM && syscall(SYS_personality, 0xffffffff) >= 0);
    CHECK("io_uring", syscall(SYS_io_uring_setup, 1, NULL) == -1 && errno == ENOSYS);
    CHECK("unshare", unshare(CLONE_NEWPID) == -1 && errno == EPERM);
    CHECK("clone out of it", syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0) == -1 && errno == EPERM);
    CHECK("other memory", syscall(SYS_process_vm_readv, getppid(), 0, 0, 0, 0, 0) == -1 && errno == EPERM);
    CHECK("the clock is not set", clock_settime(CLOCK_REALTIME, &(struct timespec){0}) == -1 && errno == EPERM);
    struct rlimit limit = {10, 10};
    CHECK("limits of its own", setrlimit(RLIMIT_NOFILE, &limit) == 0 && dup(0) < 10);
    struct sigaction action = {.sa_handler = SIG_IGN};
    CHECK("SIGKILL is not ignored", sigaction(SIGKILL, &action, NULL) == -1);
}

static void large_file(void)
{
    int fd = open("large", O_WRONLY | O_CREAT, 0600);
    static char megabyte[1 << 20];
    lseek(fd, (1L << 30) - (1 << 19), SEEK_SET);
    CHECK("a file of 1 GiB at most", write(fd, megabyte, sizeof megabyte) == 1 << 19);
    if (write(fd, megabyte, sizeof megabyte) == -1)
        _exit(1);
}

static void large_output(void)
{
    static char megabyte[1 << 20];
    memset(megabyte, 'x', sizeof megabyte);
    for (int i = 0; i < 100; i++)
        if (write(1, megabyte, sizeof megabyte) != sizeof megabyte)
            _exit(1);
}

static void spin(void)
{
    volatile int flag = 0;
    while (!flag)
        ;
}

static void open_fifo(void)
{
    mkfifo("fifo", 0600);
    open("fifo", O_RDONLY);
}

static void other_architecture(void)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(13), "b"(0) : "memory");
    printf("the real time is %ld\n", result);
}

static void daemon_away(void)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0)
            wait_for_ever(NULL);
        _exit(0);
    }
    wait(NULL);
}

__attribute__((noinline)) static long recurse(long depth)
{
    volatile char large[1024];
    large[depth % 1024] = 1;
    return depth < 0 ? large[0] : recurse(depth + 1) + large[depth % 1024];
}

static void use_memory(void)
{
    long size = 1L << 46, total = 0;
    for (; size >= 4096; size /= 2)
        while (total < 1L << 47 && mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED)
            total += size;
    CHECK("clocks go on", now() > 0 && syscall(SYS_getpid) == 100);
    mmap((void *)0x7f0000000000, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK("clocks without their page", syscall(SYS_clock_gettime, 1, &(struct timespec){0}) == 0);
    now();
}

/* Every call but a few, with arguments of no sense. */
static void nonsense(void)
{
    static char page[4096];
    long values[] = {0, 1, -1, 8, 1L << 62, (long)page, (long)page + 4092, 3, 99, 0x7fffffff};
    unsigned state = 1;
    for (int round = 0; round < 20000; round++) {
        long arguments[6];
        for (int i = 0; i < 6; i++)
            arguments[i] = values[(state = state * 1103515245 + 12345) / 65536 % 10];
        long number = (state = state * 1103515245 + 12345) / 65536 % 463;
        int skipped[] = {1, 9, 10, 11, 12, 13, 14, 15, 20, 25, 28, 34, 35, 37, 38, 56, 57, 58, 59, 60, 61, 62, 80, 81, 109, 127,
                         128, 129, 130, 131, 158, 160, 161, 200, 202, 218, 219, 222, 223, 228, 230, 231, 234, 247, 273, 297,
                         302, 322, 324, 329, 330, 335, 424, 435, 436, 3, 23, 7, 270, 271, 232, 281, 441, 0, 19, 45, 47, 299, 24, 33, 32,
                         292, 40, 216, 149, 151, 325, 285, 289, 282, 320, 425, 77, 76, 74, 75, 162, 306, 87, 83, 84, 133, 259, 258, 88, 266, 265, 86, 18, 296, 8};
        int skip = number >= 335 && number < 424;
        for (unsigned i = 0; i < sizeof skipped / sizeof *skipped; i++)
            skip |= number == skipped[i];
        /* Those that are refused would end it. */
        int refused[] = {29, 30, 31, 64, 65, 66, 67, 68, 69, 70, 71, 220, 240, 241, 242, 243, 244, 245, 275, 276, 278, 38, 42, 43, 50, 288};
        for (unsigned i = 0; i < sizeof refused / sizeof *refused; i++)
            skip |= number == refused[i];
        if (!skip)
            syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
    }
    _exit(5);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    struct {
        const char *name;
        void (*does)(void);
    } all[] = {
        {"fork bomb", fork_bomb}, {"many threads", many_threads}, {"threads in turn", threads_in_turn},
        {"close all", close_all}, {"kill others", kill_others}, {"forbidden", forbidden},
        {"large file", large_file}, {"large output", large_output}, {"spin", spin},
        {"open fifo", open_fifo}, {"int 0x80", other_architecture}, {"daemon", daemon_away},
        {"memory", use_memory}, {"nonsense", nonsense},
    };
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(what, all[i].name))
            all[i].does();
    if (!strcmp(what, "stop"))
        raise(SIGSTOP);
    if (!strcmp(what, "shmget"))
        syscall(SYS_shmget, 1, 4096, 0600);
    if (!strcmp(what, "abort"))
        abort();
    if (!strcmp(what, "recurse"))
        return recurse(0);
    if (!strcmp(what, "again"))
        execv("/proc/self/exe", argv);
    if (!strcmp(what, "binary"))
        return write(1, "\0\xff\n\x80\r\n\n", 7) != 7 || write(1, "no end", 6) != 6;
    if (!strcmp(what, "closed")) {
        close(1);
        close(2);
        return write(1, "x", 1) == -1 && errno == EBADF && printf("lost\n") > 0 ? 0 : 1;
    }
    return 0;
}
