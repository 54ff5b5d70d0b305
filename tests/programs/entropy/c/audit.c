// Prints all in which a run of a C program could differ from another, as lines of a name and a value.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

extern char **environ;

static void show(const char *name, int64_t value) { printf("%s %" PRId64 "\n", name, value); }

static void show_bytes(const char *name, const unsigned char *bytes, size_t length) {
    printf("%s ", name);
    for (size_t at = 0; at < length; at++) printf("%02x", bytes[at]);
    printf("\n");
}

// All of a file, with its name before each line.
static void show_file(const char *path) {
    char line[4096];
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        printf("%s unreadable: %s\n", path, strerror(errno));
        return;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        printf("%s %s\n", path, line);
    }
    fclose(file);
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
    clockid_t own;
    if (clock_getcpuclockid(0, &own) == 0) show_clock("clock_of_own_process", own);
    if (pthread_getcpuclockid(pthread_self(), &own) == 0) show_clock("clock_of_own_thread", own);
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
    unsigned processor = 0;
    show("rdtscp", (int64_t)__rdtscp(&processor));
    show("rdtscp_processor", processor);
#endif
}

#if defined(__x86_64__)
// Instructions, so that no compiler flag is needed for them.
static void show_hardware_random(void) {
    unsigned a, b, c, d;
    uint64_t number;
    if (__get_cpuid(1, &a, &b, &c, &d) && c & bit_RDRND) {
        __asm__ volatile("1: rdrand %0; jnc 1b" : "=r"(number) : : "cc");
        printf("rdrand %016" PRIx64 "\n", number);
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && b & bit_RDSEED) {
        __asm__ volatile("1: rdseed %0; jnc 1b" : "=r"(number) : : "cc");
        printf("rdseed %016" PRIx64 "\n", number);
    }
}
#endif

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
#if defined(__x86_64__)
    show_hardware_random();
#endif
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
    printf("environment_order");
    for (size_t at = 0; at < count; at++) printf(" %.*s", (int)strcspn(environ[at], "="), environ[at]);
    printf("\n");
}

// What a process gets from the one that started it.
static void show_inherited(void) {
    for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
        struct rlimit limit = {0};
        getrlimit(resource, &limit);
        printf("limit_%d %ju %ju\n", resource, (uintmax_t)limit.rlim_cur, (uintmax_t)limit.rlim_max);
    }
    mode_t mask = umask(0);
    umask(mask);
    show("umask", mask);
    show("nice", getpriority(PRIO_PROCESS, 0));
    struct sched_param priority = {0};
    show("scheduler", sched_getscheduler(0));
    sched_getparam(0, &priority);
    show("priority", priority.sched_priority);
    show("timer_slack", prctl(PR_GET_TIMERSLACK));
    show("parent_death_signal", prctl(PR_GET_PDEATHSIG, &(int){0}));
    show("alarm", alarm(0));
    sigset_t blocked;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    for (int number = 1; number < 65; number++) {
        struct sigaction action;
        bool is_ignored = sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
        if (is_ignored || sigismember(&blocked, number) == 1) printf("signal_ignored_or_blocked %d\n", number);
    }
    for (int number = 0; number < 256; number++) {
        struct stat status;
        if (fstat(number, &status) == 0) printf("open_file_%d %o %d\n", number, status.st_mode, fcntl(number, F_GETFL));
    }
    printf("terminal %s\n", open("/dev/tty", O_RDWR | O_CLOEXEC) < 0 ? strerror(errno) : "open");
    char byte;
    show("standard_input", read(0, &byte, 1));
}

static void *show_thread(void *start) {
    int on_stack = 0;
    printf("thread_stack_address %p\nthread_self %#lx\nthread_tid %d\n", (void *)&on_stack,
           (unsigned long)pthread_self(), gettid());
    show_file("/proc/thread-self/status");
    return start;
}

static void show_addresses(void) {
    int on_stack = 0;
    void *on_heap = malloc(16), *large = malloc(1 << 20);
    printf("heap_address %p\nmapping_address %p\nstack_address %p\n", on_heap, large, (void *)&on_stack);
    printf("function_address %p\nlibrary_address %p\n", (void *)(uintptr_t)show_addresses, (void *)(uintptr_t)printf);
    for (unsigned long kind = 1; kind < 64; kind++) {
        if (getauxval(kind) != 0) printf("auxiliary_%lu %#lx\n", kind, getauxval(kind));
    }
    printf("environment_address %p\nprogram_break %p\n", (void *)environ[0], sbrk(0));
    void *mapping = mmap(NULL, 1 << 22, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("mmap_address %p\n", mapping);
    pthread_t thread;
    if (pthread_create(&thread, NULL, show_thread, NULL) == 0) pthread_join(thread, NULL);
    free(on_heap);
    free(large);
}

static void show_status(const char *prefix, struct stat status) {
    printf("%s_inode %ju\n%s_device %ju\n", prefix, (uintmax_t)status.st_ino, prefix, (uintmax_t)status.st_dev);
    printf("%s_size %jd\n", prefix, (intmax_t)status.st_size);
    printf("%s_mtime %jd.%09ld\n", prefix, (intmax_t)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    printf("%s_ctime %jd.%09ld\n", prefix, (intmax_t)status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
    printf("%s_atime %jd.%09ld\n", prefix, (intmax_t)status.st_atim.tv_sec, status.st_atim.tv_nsec);
    printf("%s_links %ju\n%s_blocks %jd\n", prefix, (uintmax_t)status.st_nlink, prefix, (intmax_t)status.st_blocks);
}

static void show_stat(const char *prefix, const char *path) {
    struct stat status;
    if (stat(path, &status) == 0) show_status(prefix, status);
    struct statx more;
    if (statx(AT_FDCWD, path, 0, STATX_ALL | STATX_MNT_ID, &more) != 0) return;
    printf("%s_statx %ju %u:%u %ju %jd.%09u %jd.%09u\n", prefix, (uintmax_t)more.stx_ino, more.stx_dev_major,
           more.stx_dev_minor, (uintmax_t)more.stx_mnt_id, (intmax_t)more.stx_btime.tv_sec, more.stx_btime.tv_nsec,
           (intmax_t)more.stx_mtime.tv_sec, more.stx_mtime.tv_nsec);
}

// What has a number of the kernel's but no name.
static void show_nameless(const char *name, int descriptor) {
    char path[64], link[256] = "";
    struct stat status;
    if (fstat(descriptor, &status) == 0) show_status(name, status);
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (readlink(path, link, sizeof link - 1) > 0) printf("%s_link %s\n", name, link);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", descriptor);
    show_file(path);
}

static void show_listing(const char *name, const char *path) {
    DIR *listing = opendir(path);
    for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;) {
        printf("%s %s %ju %jd\n", name, entry->d_name, (uintmax_t)entry->d_ino, (intmax_t)entry->d_off);
    }
    if (listing != NULL) closedir(listing);
}

static void show_files(const char *own_name) {
    show_stat("own_file", own_name);
    const char *paths[] = {"/", "/tmp", "/dev", "/dev/null", "/proc", "/proc/self", "/proc/uptime", "/sys", "/etc/passwd"};
    for (size_t at = 0; at < sizeof paths / sizeof *paths; at++) show_stat(paths[at], paths[at]);
    int ends[2] = {-1, -1};
    if (pipe(ends) == 0) show_nameless("pipe", ends[0]);
    show_nameless("socket", socket(AF_INET, SOCK_DGRAM, 0));
    show_nameless("local_socket", socket(AF_UNIX, SOCK_DGRAM, 0));
    show_nameless("eventfd", eventfd(3, 0));
    show_nameless("epoll", epoll_create1(0));
    show_nameless("null", 0);
    show_listing("listing_of_descriptors", "/proc/self/fd");
    show_listing("listing_of_own_folder", ".");
    int own = open(own_name, O_RDONLY | O_CLOEXEC);
    void *mapping = mmap(NULL, 1 << 14, PROT_READ, MAP_PRIVATE, own, 0);
    unsigned char resident[4] = {0};
    if (mapping != MAP_FAILED && mincore(mapping, 1 << 14, resident) == 0) show_bytes("resident", resident, 4);
    // In virtual time the name is the same in each run, so runs at the same time need folders of their own.
    const char *temporary = getenv("TMPDIR");
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s/audit-XXXXXX", temporary == NULL ? "/tmp" : temporary);
    if (mkdtemp(folder) == NULL) return;
    printf("temporary_folder %s\n", folder);
    char path[PATH_MAX + 2];
    for (const char *name = "fdbhaecg"; *name; name++) {
        snprintf(path, sizeof path, "%s/%c", folder, *name);
        FILE *file = fopen(path, "w");
        if (file == NULL) return;
        fputc(*name, file);
        fclose(file);
    }
    show_listing("listing_order", folder);
    snprintf(path, sizeof path, "%s/a", folder);
    show_stat("created_file", path);
    for (const char *name = "fdbhaecg"; *name; name++) {
        snprintf(path, sizeof path, "%s/%c", folder, *name);
        unlink(path);
    }
    rmdir(folder);
    struct statfs disk;
    if (statfs("/", &disk) == 0) {
        show_bytes("disk_id", (const unsigned char *)&disk.f_fsid, sizeof disk.f_fsid);
        printf("disk %ju %ju %ju %ju %ju\n", (uintmax_t)disk.f_blocks, (uintmax_t)disk.f_bfree, (uintmax_t)disk.f_bavail,
               (uintmax_t)disk.f_files, (uintmax_t)disk.f_ffree);
    }
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
    int others = 0;
    for (int number = 2; number < 40000; number += 7) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d", number);
        others += number != getpid() && access(path, F_OK) == 0;
    }
    show("other_processes", others);
    const char *paths[] = {
        "/proc/uptime", "/proc/loadavg", "/proc/meminfo", "/proc/stat", "/proc/cpuinfo", "/proc/vmstat", "/proc/mounts",
        "/proc/swaps", "/proc/interrupts", "/proc/diskstats", "/proc/net/dev", "/proc/self/maps", "/proc/self/stat",
        "/proc/self/status", "/proc/self/statm", "/proc/self/environ", "/proc/self/limits", "/proc/self/mountinfo",
        "/proc/self/mounts", "/proc/self/cgroup", "/proc/self/io", "/proc/self/sched", "/proc/self/schedstat",
        "/proc/self/wchan", "/proc/self/smaps", "/proc/self/oom_score", "/proc/self/oom_score_adj",
        "/proc/self/coredump_filter", "/proc/self/loginuid", "/proc/self/sessionid", "/proc/self/timerslack_ns",
        "/proc/self/personality", "/proc/self/syscall", "/proc/self/numa_maps", "/proc/sys/kernel/random/entropy_avail",
        "/proc/sys/kernel/hostname", "/proc/sys/kernel/ns_last_pid", "/proc/sys/fs/file-nr", "/proc/sys/fs/inode-state",
        "/proc/sys/fs/dentry-state", "/sys/devices/system/cpu/online", "/sys/devices/system/cpu/present",
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "/sys/devices/system/node/node0/meminfo",
        "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/memory.max",
        "/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/machine-id", "/etc/resolv.conf",
    };
    for (size_t at = 0; at < sizeof paths / sizeof *paths; at++) show_file(paths[at]);
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
    show_inherited();
    show_addresses();
    show_files(arguments[0]);
    show_machine();
    return 0;
}
