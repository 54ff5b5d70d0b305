// Prints all in which a run of a C program could differ from another, as lines of a name and a value.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

extern char **environ;

static void show(const char *name, int64_t value) { printf("%s %" PRId64 "\n", name, value); }

static void show_bytes(const char *name, const unsigned char *bytes, size_t length) {
    printf("%s ", name);
    for (size_t at = 0; at < length; at++) printf("%02x", bytes[at]);
    printf("\n");
}

static void show_first_line(const char *path) {
    char line[1024] = "unreadable";
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        if (fgets(line, sizeof line, file) == NULL) strcpy(line, "empty");
        fclose(file);
    }
    line[strcspn(line, "\n")] = '\0';
    printf("%s %s\n", path, line);
}

static void show_clock(const char *name, clockid_t clock) {
    struct timespec now = {0};
    clock_gettime(clock, &now);
    show(name, now.tv_sec * INT64_C(1000000000) + now.tv_nsec);
}

static void show_time(void) {
    show_clock("clock_realtime", CLOCK_REALTIME);
    show_clock("clock_realtime_coarse", CLOCK_REALTIME_COARSE);
    show_clock("clock_monotonic", CLOCK_MONOTONIC);
    show_clock("clock_monotonic_raw", CLOCK_MONOTONIC_RAW);
    show_clock("clock_boottime", CLOCK_BOOTTIME);
    show_clock("clock_tai", CLOCK_TAI);
    show_clock("clock_process_cputime_id", CLOCK_PROCESS_CPUTIME_ID);
    show_clock("clock_thread_cputime_id", CLOCK_THREAD_CPUTIME_ID);
    show("time", time(NULL));
    show("clock", clock());
    struct timeval now;
    gettimeofday(&now, NULL);
    show("gettimeofday_us", now.tv_sec * INT64_C(1000000) + now.tv_usec);
    struct tms used;
    show("times", times(&used));
    show("times_user", used.tms_utime);
    show("times_system", used.tms_stime);
    usleep(10000);
    show_clock("clock_monotonic_after_10_ms", CLOCK_MONOTONIC);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    show("ru_utime_us", usage.ru_utime.tv_sec * INT64_C(1000000) + usage.ru_utime.tv_usec);
    show("ru_stime_us", usage.ru_stime.tv_sec * INT64_C(1000000) + usage.ru_stime.tv_usec);
    show("ru_maxrss", usage.ru_maxrss);
    show("ru_minflt", usage.ru_minflt);
    show("ru_nvcsw", usage.ru_nvcsw);
    show("ru_nivcsw", usage.ru_nivcsw);
#if defined(__x86_64__)
    show("rdtsc", (int64_t)__rdtsc());
#endif
}

static void show_random(void) {
    unsigned char bytes[16] = {0};
    srand((unsigned)time(NULL));
    show("rand_seeded_by_time", rand());
    if (getrandom(bytes, sizeof bytes, 0) > 0) show_bytes("getrandom", bytes, sizeof bytes);
    if (getentropy(bytes, sizeof bytes) == 0) show_bytes("getentropy", bytes, sizeof bytes);
    const char *devices[] = {"/dev/urandom", "/dev/random"};
    for (size_t at = 0; at < 2; at++) {
        int device = open(devices[at], O_RDONLY | O_CLOEXEC);
        if (read(device, bytes, sizeof bytes) > 0) show_bytes(devices[at], bytes, sizeof bytes);
        close(device);
    }
    show_bytes("at_random", (const unsigned char *)getauxval(AT_RANDOM), 16);
    show_first_line("/proc/sys/kernel/random/uuid");
    show_first_line("/proc/sys/kernel/random/boot_id");
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void show_identity(const char *own_name) {
    show("pid", getpid());
    show("ppid", getppid());
    show("pgid", getpgrp());
    show("sid", getsid(0));
    show("tid", gettid());
    show("uid", getuid());
    const char *user = getenv("USER");
    printf("user %s\n", user == NULL ? "unset" : user);
    struct utsname machine;
    uname(&machine);
    printf("hostname %s\nuname %s %s %s\n", machine.nodename, machine.sysname, machine.release, machine.version);
    char folder[PATH_MAX];
    printf("cwd %s\nargv0 %s\n", getcwd(folder, sizeof folder), own_name);
    size_t count = 0;
    while (environ[count] != NULL) count++;
    char **sorted = calloc(count + 1, sizeof *sorted);
    if (sorted == NULL) exit(1);
    memcpy(sorted, environ, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_text);
    for (size_t at = 0; at < count; at++) {
        size_t length = strcspn(sorted[at], "=");
        printf("env_%.*s %s\n", (int)length, sorted[at], sorted[at] + length + (sorted[at][length] == '='));
    }
    free(sorted);
}

static void show_addresses(void) {
    int on_stack = 0;
    void *on_heap = malloc(16), *large = malloc(1 << 20);
    printf("heap_address %p\nmapping_address %p\nstack_address %p\n", on_heap, large, (void *)&on_stack);
    printf("function_address %p\nlibrary_address %p\n", (void *)(uintptr_t)show_addresses, (void *)(uintptr_t)printf);
    printf("vdso_address %#lx\n", getauxval(AT_SYSINFO_EHDR));
    free(on_heap);
    free(large);
}

static void show_stat(const char *prefix, const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) return;
    printf("%s_inode %ju\n%s_device %ju\n", prefix, (uintmax_t)status.st_ino, prefix, (uintmax_t)status.st_dev);
    printf("%s_size %jd\n", prefix, (intmax_t)status.st_size);
    printf("%s_mtime %jd.%09ld\n", prefix, (intmax_t)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    printf("%s_ctime %jd.%09ld\n", prefix, (intmax_t)status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
}

static void show_files(const char *own_name) {
    show_stat("own_file", own_name);
    char folder[] = "/tmp/audit-XXXXXX";
    if (mkdtemp(folder) == NULL) return;
    printf("temporary_folder %s\n", folder);
    char path[PATH_MAX];
    for (const char *name = "fdbhaecg"; *name; name++) {
        snprintf(path, sizeof path, "%s/%c", folder, *name);
        FILE *file = fopen(path, "w");
        if (file == NULL) return;
        fputc(*name, file);
        fclose(file);
    }
    printf("listing_order ");
    DIR *listing = opendir(folder);
    for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;) {
        if (entry->d_name[0] != '.') printf("%s", entry->d_name);
    }
    printf("\n");
    if (listing != NULL) closedir(listing);
    snprintf(path, sizeof path, "%s/a", folder);
    show_stat("created_file", path);
    for (const char *name = "fdbhaecg"; *name; name++) {
        snprintf(path, sizeof path, "%s/%c", folder, *name);
        unlink(path);
    }
    rmdir(folder);
    struct statvfs disk;
    if (statvfs("/", &disk) == 0) show("disk_free", (int64_t)(disk.f_bfree * disk.f_frsize));
}

static void show_machine(void) {
    show("cpu_count", sysconf(_SC_NPROCESSORS_ONLN));
    show("cpu", sched_getcpu());
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    show("affinity", CPU_COUNT(&allowed));
    struct sysinfo info;
    sysinfo(&info);
    show("sysinfo_uptime", info.uptime);
    show("sysinfo_load", (int64_t)info.loads[0]);
    show("sysinfo_free_memory", (int64_t)info.freeram);
    show("sysinfo_processes", info.procs);
    const char *paths[] = {"/proc/uptime", "/proc/loadavg", "/proc/meminfo", "/proc/stat", "/proc/self/stat"};
    for (size_t at = 0; at < sizeof paths / sizeof *paths; at++) show_first_line(paths[at]);
    int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(probe, (struct sockaddr *)&address, length) == 0 &&
        getsockname(probe, (struct sockaddr *)&address, &length) == 0) {
        show("free_port", ntohs(address.sin_port));
    }
}

int main(int count, char **arguments) {
    (void)count;
    show_time();
    show_random();
    show_identity(arguments[0]);
    show_addresses();
    show_files(arguments[0]);
    show_machine();
    return 0;
}
