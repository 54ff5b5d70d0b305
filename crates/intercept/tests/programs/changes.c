/* Files and their owners, and output by its names. The last argument is a folder outside. */
#include "tracee.h"

static void modes(void)
{
    int fd = open("file", O_CREAT | O_RDWR, 0600);
    struct stat status;
    CHECK("fchmod", fchmod(fd, 0755) == 0 && fstat(fd, &status) == 0 && (status.st_mode & 0777) == 0755);
    CHECK("fchown to oneself", fchown(fd, getuid(), -1) == 0 && chown("file", -1, getgid()) == 0);
    CHECK("a file is not given to another user", fchown(fd, getuid() + 1, -1) == -1 && errno == EPERM);
    CHECK("the device of the output is the machine's", fchmod(1, 0600) == -1 && errno == EPERM);
    CHECK("to become oneself", setuid(getuid()) == 0 && setresgid(-1, getgid(), -1) == 0);
    CHECK("to become another user", setuid(getuid() + 1) == -1 && errno == EPERM);
    close(fd);
}

static void write_to(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY);
    CHECK(name, fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

int main(int argc, char **argv)
{
    modes();
    write_to("/dev/stdout", "out\n");
    write_to("/dev/stderr", "error\n");
    write_to("/dev/fd/1", "out again\n");
    write_to("/proc/self/fd/2", "error again\n");
    mkdir("own", 0755), rename("own", "still-own"), rmdir("still-own");
    if (argc > 1) {
        chdir(argv[1]);
        mkdir("folder", 0755), symlink("folder", "link"), rename("folder", "renamed"), rmdir("renamed"), unlink("link");
        close(open("new", O_CREAT | O_WRONLY, 0600));
        unlink("new");
        close(creat("../new-too", 0600));
        unlink("../new-too");
    }
    return 0;
}
