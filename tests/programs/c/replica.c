// A replicated key-value store with a fixed primary, the lowest ID. The primary answers a put once a majority has a copy. It
// is correct while no replica dies.
//
// The main thread waits in epoll for datagrams, and for an eventfd by which the worker wakes it. The worker waits at a
// condition variable, with a deadline, and decides what is to be sent again; only the main thread sends.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    DATAGRAM_MAX = 65536,
    TEXT_MAX = 256,
    ENTRIES_MAX = 1 << 16,
    RETRY_MS = 50,
    BEAT_MIN_MS = 80,
    BEAT_MAX_MS = 160,
    // A message to a replica that is not up yet is lost, so the first beat waits until all should be.
    START_GRACE_MS = 1000,
};

static const char EVERYBODY[] = "FFFF";

struct put {
    char client[TEXT_MAX], mid[TEXT_MAX], key[TEXT_MAX], value[TEXT_MAX];
    uint64_t holders;  // a bit for each replica
    bool answered;
    bool due;  // a copy is to be sent
    int64_t sent_ms;
};

static const char *id, *primary;
static char **others;
static int count_of_others;
static int udp, wake;

// Guarded by `mutex`. Puts are numbered from 0 and never forgotten: the last answered one of a key is its value.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static struct put *entries[ENTRIES_MAX];
static int entry_count, first_open;
static bool beat_due;

// The keys, in an open hash table: the primary's alone, and the main thread's alone.
static struct put *table[2 * ENTRIES_MAX];

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void send_text(const char *destination, const char *type, const char *fields) {
    static char text[DATAGRAM_MAX];
    int length = snprintf(text, sizeof text, "{\"src\":\"%s\",\"dst\":\"%s\",\"leader\":\"%s\",\"type\":\"%s\"%s}", id,
                          destination, primary, type, fields);
    // A datagram that the network refuses is lost like any other.
    (void)!send(udp, text, (size_t)length, 0);
}

// Copies a member of a flat JSON object, a string or a number, without its quotes. Empty if there is none.
static void member(const char *text, const char *name, char *value) {
    char quoted[TEXT_MAX];
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    value[0] = '\0';
    for (const char *at = strstr(text, quoted); at != NULL; at = strstr(at + 1, quoted)) {
        const char *start = at + strlen(quoted);
        start += strspn(start, " ");
        if (*start != ':') continue;
        start += 1 + strspn(start + 1, " ");
        bool is_text = *start == '"';
        start += is_text;
        size_t length = strcspn(start, is_text ? "\"" : ",} ");
        if (length >= TEXT_MAX) length = TEXT_MAX - 1;
        memcpy(value, start, length);
        value[length] = '\0';
        return;
    }
}

static struct put **slot(const char *key) {
    uint32_t hash = 2166136261u;
    for (const char *c = key; *c; c++) hash = (hash ^ (uint8_t)*c) * 16777619u;
    struct put **found = &table[hash % (2 * ENTRIES_MAX)];
    while (*found != NULL && strcmp((*found)->key, key) != 0) {
        if (++found == table + 2 * ENTRIES_MAX) found = table;
    }
    return found;
}

static void *work(void *unused) {
    (void)unused;
    unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid();
    int64_t beat_ms = strcmp(id, primary) == 0 ? now_ms() + START_GRACE_MS : INT64_MAX;
    pthread_mutex_lock(&mutex);
    while (true) {
        int64_t now = now_ms(), next_ms = beat_ms;
        bool anything = false;
        if (now >= beat_ms) {
            beat_due = anything = true;
            beat_ms = now + BEAT_MIN_MS + rand_r(&seed) % (BEAT_MAX_MS - BEAT_MIN_MS);
            next_ms = beat_ms;
        }
        while (first_open < entry_count && entries[first_open]->answered) first_open++;
        for (int number = first_open; number < entry_count; number++) {
            struct put *put = entries[number];
            if (put->answered) continue;
            if (now >= put->sent_ms + RETRY_MS) {
                put->due = anything = true;
                put->sent_ms = now;
            }
            if (put->sent_ms + RETRY_MS < next_ms) next_ms = put->sent_ms + RETRY_MS;
        }
        if (anything) {
            uint64_t one = 1;
            (void)!write(wake, &one, sizeof one);
        }
        if (next_ms == INT64_MAX) {
            pthread_cond_wait(&changed, &mutex);
        } else {
            struct timespec deadline = {.tv_sec = next_ms / 1000, .tv_nsec = next_ms % 1000 * 1000000};
            pthread_cond_timedwait(&changed, &mutex, &deadline);
        }
    }
    return NULL;
}

static void send_due(void) {
    pthread_mutex_lock(&mutex);
    if (beat_due) send_text(EVERYBODY, "beat", "");
    beat_due = false;
    for (int number = first_open; number < entry_count; number++) {
        struct put *put = entries[number];
        if (!put->due) continue;
        put->due = false;
        char fields[3 * TEXT_MAX];
        snprintf(fields, sizeof fields, ",\"number\":%d,\"key\":\"%s\",\"value\":\"%s\"", number, put->key, put->value);
        send_text(EVERYBODY, "copy", fields);
    }
    pthread_mutex_unlock(&mutex);
}

static void handle_put(const char *text, const char *client, const char *mid) {
    struct put *put = calloc(1, sizeof *put);
    if (put == NULL || entry_count == ENTRIES_MAX) exit(1);
    strcpy(put->client, client);
    strcpy(put->mid, mid);
    member(text, "key", put->key);
    member(text, "value", put->value);
    put->due = true;
    put->sent_ms = now_ms();
    pthread_mutex_lock(&mutex);
    entries[entry_count++] = put;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&mutex);
    send_due();
}

static void handle_copied(int number, const char *holder) {
    if (number < 0 || number >= entry_count) return;
    struct put *put = entries[number];
    for (int other = 0; other < count_of_others; other++) {
        if (strcmp(others[other], holder) == 0) put->holders |= 1ull << other;
    }
    // The primary itself holds it, too.
    if (put->answered || 1 + __builtin_popcountll(put->holders) < (count_of_others + 1) / 2 + 1) return;
    pthread_mutex_lock(&mutex);
    put->answered = true;
    put->due = false;
    pthread_mutex_unlock(&mutex);
    *slot(put->key) = put;
    char fields[TEXT_MAX + 16];
    snprintf(fields, sizeof fields, ",\"MID\":\"%s\"", put->mid);
    send_text(put->client, "ok", fields);
}

static void handle(const char *text) {
    char type[TEXT_MAX], source[TEXT_MAX], mid[TEXT_MAX], key[TEXT_MAX], number[TEXT_MAX], fields[3 * TEXT_MAX];
    member(text, "type", type);
    member(text, "src", source);
    member(text, "MID", mid);
    bool is_get = strcmp(type, "get") == 0, is_put = strcmp(type, "put") == 0;
    if ((is_get || is_put) && strcmp(id, primary) != 0) {
        snprintf(fields, sizeof fields, ",\"MID\":\"%s\"", mid);
        send_text(source, "redirect", fields);
    } else if (is_get) {
        member(text, "key", key);
        struct put *put = *slot(key);
        snprintf(fields, sizeof fields, ",\"MID\":\"%s\",\"value\":\"%s\"", mid, put == NULL ? "" : put->value);
        send_text(source, "ok", fields);
    } else if (is_put) {
        handle_put(text, source, mid);
    } else if (strcmp(type, "copy") == 0) {
        // A backup never takes over, so it need not keep the copy.
        member(text, "number", number);
        snprintf(fields, sizeof fields, ",\"number\":%s", number);
        send_text(source, "copied", fields);
    } else if (strcmp(type, "copied") == 0) {
        member(text, "number", number);
        handle_copied(atoi(number), source);
    }
}

static void receive_all(void) {
    static char text[DATAGRAM_MAX];
    ssize_t length;
    while ((length = recv(udp, text, sizeof text - 1, 0)) >= 0) {
        text[length] = '\0';
        handle(text);
    }
}

static void watch(int epoll, int descriptor) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = descriptor};
    epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

int main(int argument_count, char **arguments) {
    if (argument_count < 4) {
        fprintf(stderr, "usage: %s <UDP port> <own ID> <ID of another> ...\n", arguments[0]);
        return 2;
    }
    primary = id = arguments[2];
    others = arguments + 3;
    count_of_others = argument_count - 3;
    for (int other = 0; other < count_of_others; other++) {
        if (strcmp(others[other], primary) < 0) primary = others[other];
    }
    udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(arguments[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (udp < 0 || wake < 0 || epoll < 0 || connect(udp, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("socket");
        return 1;
    }
    watch(epoll, udp);
    watch(epoll, wake);
    send_text(EVERYBODY, "hello", "");

    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attributes);
    pthread_t worker;
    pthread_create(&worker, NULL, work, NULL);

    while (true) {
        struct epoll_event events[4];
        int ready = epoll_wait(epoll, events, 4, -1);
        for (int event = 0; event < ready; event++) {
            if (events[event].data.fd == udp) {
                receive_all();
            } else {
                uint64_t wakes;
                (void)!read(wake, &wakes, sizeof wakes);
                send_due();
            }
        }
    }
}
