/* All that looks random, and all that is different from one process to the next. Prints it. */
#include "tracee.h"
#include <cpuid.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/utsname.h>

static void show(const char *name, const void *bytes, size_t length)
{
    char line[200] = "";
    for (size_t i = 0; i < length && i < 32; i++)
        sprintf(line + 2 * i, "%02x", ((const unsigned char *)bytes)[i]);
    printf("random %s %s\n", name, line);
}

static uint64_t ticks(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static uint64_t ticks_and_processor(uint32_t *processor)
{
    uint32_t low, high;
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(*processor));
    return (uint64_t)high << 32 | low;
}

static void hardware(void)
{
    unsigned eax, ebx, ecx = 0, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_RDRND)) {
        printf("random rdrand none\n");
        return;
    }
    uint64_t wide;
    uint32_t narrow;
    unsigned char carry;
    __asm__ volatile("rdrand %0; setc %1" : "=r"(wide), "=qm"(carry));
    show("rdrand", &wide, carry ? sizeof wide : 0);
    register uint64_t high __asm__("r13");
    __asm__ volatile("rdrand %0; setc %1" : "=r"(high), "=qm"(carry));
    wide = high;
    show("rdrand-r13", &wide, carry ? sizeof wide : 0);
    __asm__ volatile("rdrand %0; setc %1" : "=r"(narrow), "=qm"(carry));
    show("rdrand-narrow", &narrow, carry ? sizeof narrow : 0);
}

int main(void)
{
    unsigned char bytes[64] = {0}, more[16];
    CHECK("getrandom", getrandom(bytes, sizeof bytes, 0) == sizeof bytes);
    show("getrandom", bytes, 32);
    CHECK("getrandom at a bad address", syscall(SYS_getrandom, 8, 16, 0) == -1 && errno == EFAULT);
    CHECK("getentropy", getentropy(bytes, 32) == 0);
    show("getentropy", bytes, 32);
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    CHECK("read of /dev/urandom", read(fd, bytes, 32) == 32);
    show("urandom", bytes, 32);
    struct iovec parts[] = {{bytes, 16}, {more, 16}};
    CHECK("readv of /dev/urandom", readv(fd, parts, 2) == 32);
    show("readv", more, 16);
    CHECK("pread of /dev/urandom", pread(fd, bytes, 32, 0) == 32 && preadv(fd, parts, 1, 0) == 16);
    show("pread", bytes, 32);
    int other = open("/dev/random", O_RDONLY);
    CHECK("read of /dev/random", read(other, bytes, 32) == 32);
    show("random", bytes, 32);
    show("AT_RANDOM", (void *)getauxval(AT_RANDOM), 16);
    hardware();

    uint32_t processor = 7;
    uint64_t first = ticks(), second = ticks_and_processor(&processor);
    CHECK("the processor's clock", second > first && second - first < 10000 && processor == 0);
    uint64_t since = ticks();
    pass_time(SEC);
    CHECK("it ticks twice a nanosecond", ticks() - since > 2 * SEC && ticks() - since < 2 * SEC + 400000);
    int local;
    printf("stack %p heap %p code %p\n", (void *)&local, malloc(10), (void *)main);
    printf("numbers %d %d %d %d %d\n", getpid(), (int)syscall(SYS_gettid), getppid(), getpgrp(), getsid(0));
    struct utsname name;
    uname(&name);
    printf("machine %s %ld processor\n", name.nodename, sysconf(_SC_NPROCESSORS_ONLN));
    cpu_set_t set;
    CHECK("one processor", sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1 && sched_getcpu() == 0);
    return 0;
}
