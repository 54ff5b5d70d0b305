/* Processes: how they are made, what numbers they have, and how their ends are waited for. */
#include "tracee.h"
#include <spawn.h>
#include <sys/resource.h>

extern char **environ;

static pid_t child(long lives, int code)
{
    pid_t pid = fork();
    if (pid == 0) {
        pass_time(lives);
        _exit(code);
    }
    return pid;
}

static void numbers(void)
{
    int status, own = getpid();
    pid_t pid = fork();
    if (pid == 0)
        _exit(getppid() == own && getpid() == 101 && syscall(SYS_gettid) == 101 ? 0 : 1);
    CHECK("fork returns the number that the child sees", pid == 101);
    CHECK("the child's numbers", waitpid(pid, &status, 0) == pid && status == 0);
    pid_t told = 0, cleared = 0;
    pid = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, &told, &cleared, 0);
    if (pid == 0)
        _exit(cleared == getpid() ? 0 : 1);
    CHECK("clone tells the numbers", told == pid && waitpid(pid, &status, 0) == pid && status == 0 && cleared == 0);
    CHECK("a number that is none", kill(55555, 0) == -1 && errno == ESRCH && getpgid(55555) == -1);
    pid = child(SEC, 0);
    CHECK("groups", setpgid(pid, pid) == 0 && getpgid(pid) == pid && getpgrp() == own && getsid(0) == own);
    CHECK("a group is waited for", waitpid(-pid, &status, 0) == pid && waitpid(-pid, &status, 0) == -1 && errno == ECHILD);
}

static void waits(void)
{
    int status;
    long start = now();
    pid_t slow = child(50 * MS, 3), fast = child(10 * MS, 4);
    CHECK("WNOHANG", waitpid(-1, &status, WNOHANG) == 0 && waitpid(slow, &status, WNOHANG) == 0);
    CHECK("a child is waited for although another has ended",
          waitpid(slow, &status, 0) == slow && WEXITSTATUS(status) == 3 && took(start, 50 * MS));
    CHECK("the other is still there", waitpid(-1, &status, 0) == fast && WEXITSTATUS(status) == 4);
    CHECK("no children", waitpid(-1, &status, 0) == -1 && errno == ECHILD);
    siginfo_t info;
    slow = child(20 * MS, 5), fast = child(5 * MS, 6);
    start = now();
    memset(&info, 9, sizeof info);
    CHECK("waitid without waiting", waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0);
    CHECK("waitid leaves a child", waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0 && info.si_pid == fast &&
                                       info.si_status == 6 && info.si_code == CLD_EXITED && took(start, 5 * MS));
    CHECK("waitid", waitid(P_PID, slow, &info, WEXITED) == 0 && info.si_pid == slow && info.si_status == 5 && took(start, 20 * MS));
    struct rusage usage;
    memset(&usage, 1, sizeof usage);
    CHECK("wait4", wait4(fast, &status, 0, &usage) == fast && usage.ru_utime.tv_usec == 0 && usage.ru_maxrss == 0);
    pid_t killed = child(SEC, 0);
    start = now();
    CHECK("a killed child", kill(killed, SIGKILL) == 0 && waitpid(killed, &status, 0) == killed &&
                                WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && took(start, 0));
    int right = 1;
    for (int i = 0; i < 300; i++) {
        pid_t pid = child(0, 0);
        right &= waitpid(pid, &status, 0) == pid;
    }
    CHECK("many children one after another", right);
}

static volatile sig_atomic_t ended, ended_child;

static void on_child(int signal, siginfo_t *info, void *unused)
{
    (void)signal, (void)unused;
    ended++;
    ended_child = info->si_pid;
    if (info->si_utime || info->si_stime)
        _exit(9);
}

static void signals_of_children(void)
{
    struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO};
    sigaction(SIGCHLD, &action, NULL);
    pid_t pid = child(10 * MS, 0);
    long start = now();
    struct timespec time = span(SEC);
    CHECK("SIGCHLD ends a sleep", nanosleep(&time, NULL) == -1 && ended == 1 && ended_child == pid && took(start, 10 * MS));
    CHECK("and the child can be waited for", waitpid(pid, NULL, 0) == pid);
    signal(SIGCHLD, SIG_IGN);
    start = now();
    child(10 * MS, 0), child(30 * MS, 0);
    CHECK("ignored children leave nothing", waitpid(-1, NULL, 0) == -1 && errno == ECHILD && took(start, 30 * MS));
    signal(SIGCHLD, SIG_DFL);
}

static void programs(const char *own)
{
    int status, ends[2];
    pid_t pid = vfork();
    if (pid == 0) {
        execl(own, own, "child", NULL);
        _exit(1);
    }
    CHECK("vfork and exec", pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 42);
    pid = vfork();
    if (pid == 0)
        _exit(7);
    CHECK("vfork and exit", waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
    char *arguments[] = {(char *)own, "child", NULL};
    CHECK("posix_spawn", posix_spawn(&pid, own, NULL, NULL, arguments, environ) == 0 &&
                             waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 42);
    CHECK("posix_spawn of nothing", posix_spawn(&pid, "/nonexistent", NULL, NULL, arguments, environ) == ENOENT);
    CHECK("system", WEXITSTATUS(system("exit 5")) == 5);
    FILE *stream = popen("echo from a shell", "r");
    char line[64] = "";
    CHECK("popen", fgets(line, sizeof line, stream) && !strcmp(line, "from a shell\n") && pclose(stream) == 0);
    if (pipe(ends))
        return;
    pid = fork();
    if (pid == 0) {
        pass_time(5 * MS);
        _exit(write(ends[1], "hello", 5) != 5);
    }
    close(ends[1]);
    CHECK("a child writes to a pipe", read(ends[0], line, 64) == 5 && read(ends[0], line, 64) == 0);
    CHECK("and ends", waitpid(pid, &status, 0) == pid && status == 0);
    close(ends[0]);
}

static void grandchildren(void)
{
    int ends[2], answer[2] = {0};
    if (pipe(ends))
        return;
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() == 0) {
            pass_time(10 * MS);
            int numbers[2] = {getppid(), setsid()};
            _exit(write(ends[1], numbers, sizeof numbers) != sizeof numbers);
        }
        _exit(0);
    }
    int own = waitpid(pid, NULL, 0);
    CHECK("a child that leaves a child", own == pid && read(ends[0], answer, sizeof answer) == sizeof answer &&
                                             answer[0] == 1 && answer[1] == pid + 1);
    CHECK("is nobody's", waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

static void *run_child(void *result)
{
    pid_t pid = child(10 * MS, 8);
    int status;
    *(int *)result = waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 8;
    return NULL;
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return 42;
    numbers();
    waits();
    signals_of_children();
    programs("/proc/self/exe");
    grandchildren();
    int right[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, run_child, &right[i]);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK("threads wait for their own children", right[0] && right[1] && right[2]);
    return 0;
}
