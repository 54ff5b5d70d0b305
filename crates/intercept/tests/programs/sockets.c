/* UDP sockets. Port 7000 sends back what it gets after 1 ms; port 7001 sends as many datagrams as the first byte says;
   port 7050 sends back after 50 ms; port 7999 is silent. */
#include "tracee.h"
#include <sys/ioctl.h>

static int bound(int number)
{
    int fd = udp();
    struct sockaddr_in name = port(number);
    return bind(fd, (struct sockaddr *)&name, sizeof name) ? -1 : fd;
}

static int own_port(int fd)
{
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &length) || length != sizeof name || name.sin_family != AF_INET)
        return -1;
    return ntohs(name.sin_port);
}

static void names(void)
{
    int fd = bound(5000);
    CHECK("bind", fd >= 0 && own_port(fd) == 5000);
    CHECK("a taken port", bound(5000) == -1 && errno == EADDRINUSE);
    int any = bound(0), other = bound(0);
    CHECK("port 0", own_port(any) >= 32768 && own_port(other) > 0 && own_port(other) != own_port(any));
    struct sockaddr_in again = port(5001);
    CHECK("bound twice", bind(fd, (struct sockaddr *)&again, sizeof again) == -1 && errno == EINVAL);
    close(fd);
    fd = bound(5000);
    CHECK("a port is free again after close", fd >= 0);
    int copy = dup(fd);
    close(fd);
    CHECK("a copy keeps the port", bound(5000) == -1 && own_port(copy) == 5000);
    close(copy), close(any), close(other);

    int six = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 name6 = {.sin6_family = AF_INET6, .sin6_port = htons(5006)};
    socklen_t length = sizeof name6;
    CHECK("bind of IPv6", bind(six, (struct sockaddr *)&name6, sizeof name6) == 0);
    memset(&name6, 1, sizeof name6);
    CHECK("getsockname of IPv6", getsockname(six, (struct sockaddr *)&name6, &length) == 0 && length == 28 &&
                                     name6.sin6_port == htons(5006) && name6.sin6_family == AF_INET6 &&
                                     IN6_IS_ADDR_UNSPECIFIED(&name6.sin6_addr));
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &name6.sin6_addr);
    name6.sin6_port = htons(7000);
    char byte = 'x';
    CHECK("send over IPv6", sendto(six, &byte, 1, 0, (struct sockaddr *)&name6, sizeof name6) == 1);
    CHECK("receive over IPv6", recvfrom(six, &byte, 1, 0, (struct sockaddr *)&name6, &length) == 1 &&
                                   IN6_IS_ADDR_V4MAPPED(&name6.sin6_addr) && ntohs(name6.sin6_port) == 7000);
    struct sockaddr_in short_name;
    length = 4;
    int fd4 = bound(5004);
    memset(&short_name, 9, sizeof short_name);
    CHECK("a name with little room", getsockname(fd4, (struct sockaddr *)&short_name, &length) == 0 && length == 16 &&
                                         short_name.sin_port == htons(5004) && short_name.sin_zero[7] == 9);
    close(six), close(fd4);
    CHECK("not a socket", getsockname(0, (struct sockaddr *)&short_name, &length) == -1 && errno == ENOTSOCK);
}

static void echoes(void)
{
    int fd = udp();
    char got[16] = "";
    struct sockaddr_in from = {0};
    socklen_t length = sizeof from;
    long start = now();
    CHECK("sendto", send_to(fd, 7000, "hello", 5) == 5);
    CHECK("recvfrom", recvfrom(fd, got, sizeof got, 0, (struct sockaddr *)&from, &length) == 5 &&
                          !memcmp(got, "hello", 5) && ntohs(from.sin_port) == 7000 && length == 16 &&
                          from.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && took(start, MS));
    CHECK("a port is given by the first send", own_port(fd) >= 32768);
    CHECK("no address", send(fd, "x", 1, 0) == -1 && errno == EDESTADDRREQ);
    CHECK("no peer", getpeername(fd, (struct sockaddr *)&from, &length) == -1 && errno == ENOTCONN);
    struct sockaddr_in to = port(7000);
    CHECK("connect", connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    CHECK("getpeername", getpeername(fd, (struct sockaddr *)&from, &length) == 0 && ntohs(from.sin_port) == 7000);
    CHECK("write and read", write(fd, "abc", 3) == 3 && read(fd, got, sizeof got) == 3 && !memcmp(got, "abc", 3));
    struct iovec out[] = {{"ab", 2}, {"", 0}, {"cde", 3}};
    char one[2], two[8];
    struct iovec in[] = {{one, 2}, {two, 8}};
    CHECK("writev and readv", writev(fd, out, 3) == 5 && readv(fd, in, 2) == 5 && !memcmp(one, "ab", 2) &&
                                  !memcmp(two, "cde", 3));
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = in, .msg_iovlen = 2, .msg_flags = 99};
    struct msghdr sent = {.msg_iov = out, .msg_iovlen = 3};
    CHECK("sendmsg", sendmsg(fd, &sent, 0) == 5);
    memset(&from, 0, sizeof from);
    CHECK("recvmsg", recvmsg(fd, &message, 0) == 5 && message.msg_flags == 0 && message.msg_namelen == 16 &&
                         ntohs(from.sin_port) == 7000 && !memcmp(two, "cde", 3));
    static char large[65508];
    CHECK("the largest datagram", send(fd, large, 65507, 0) == 65507 && recv(fd, large, sizeof large, 0) == 65507);
    CHECK("a datagram that is too large", send(fd, large, 65508, 0) == -1 && errno == EMSGSIZE);
    CHECK("an empty datagram", send(fd, large, 0, 0) == 0 && recv(fd, large, 10, 0) == 0);
    CHECK("a bad address", send(fd, (void *)8, 10, 0) == -1 && errno == EFAULT);
    to.sin_family = AF_UNSPEC;
    CHECK("a connection ends", connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && send(fd, "x", 1, 0) == -1);
    close(fd);
    CHECK("a closed socket", send_to(fd, 7000, "x", 1) == -1 && errno == EBADF);
}

static void waits(void)
{
    int fd = udp();
    char got[8];
    struct timeval patience = micro(300 * MS);
    CHECK("SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    socklen_t length = sizeof patience;
    memset(&patience, 0, sizeof patience);
    CHECK("it can be read", getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, &length) == 0 && patience.tv_usec == 300000);
    long start = now();
    CHECK("a receive that times out", recv(fd, got, 8, 0) == -1 && errno == EAGAIN && took(start, 300 * MS));
    start = now();
    send_to(fd, 7050, "x", 1);
    CHECK("a receive in time", recv(fd, got, 8, 0) == 1 && took(start, 50 * MS));
    CHECK("MSG_DONTWAIT", recv(fd, got, 8, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    CHECK("O_NONBLOCK", recv(fd, got, 8, 0) == -1 && errno == EAGAIN);
    fcntl(fd, F_SETFL, 0);
    int nonblocking = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
    CHECK("SOCK_NONBLOCK", read(nonblocking, got, 8) == -1 && errno == EAGAIN && fcntl(nonblocking, F_GETFD) == FD_CLOEXEC);
    int type, domain, protocol;
    length = sizeof type;
    CHECK("SO_TYPE, SO_DOMAIN, SO_PROTOCOL",
          getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_DGRAM &&
              getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_INET &&
              getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 && protocol == IPPROTO_UDP);
    int one = 1;
    CHECK("SO_REUSEADDR", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
    close(fd), close(nonblocking);
}

static void looks(void)
{
    int fd = udp();
    char got[8] = "";
    int waiting = -1;
    CHECK("FIONREAD of nothing", ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 0);
    send_to(fd, 7000, "abcdef", 6);
    CHECK("MSG_PEEK", recv(fd, got, 3, MSG_PEEK) == 3 && !memcmp(got, "abc", 3));
    CHECK("FIONREAD", ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 6);
    CHECK("MSG_PEEK with MSG_TRUNC", recv(fd, got, 3, MSG_PEEK | MSG_TRUNC) == 6);
    struct iovec part = {got, 2};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    CHECK("recvmsg says what was cut", recvmsg(fd, &message, 0) == 2 && message.msg_flags == MSG_TRUNC);
    CHECK("the rest of a datagram is gone", recv(fd, got, 8, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    send_to(fd, 7000, "abcdef", 6);
    CHECK("MSG_TRUNC", recv(fd, got, 2, MSG_TRUNC) == 6);
    close(fd);
}

static void many(void)
{
    int fd = udp();
    struct sockaddr_in to = port(7001);
    connect(fd, (struct sockaddr *)&to, sizeof to);
    unsigned char count = 50, got;
    send(fd, &count, 1, 0);
    int right = 1;
    for (int i = 0; i < 50; i++) {
        right &= recv(fd, &got, 1, 0) == 1 && got == i;
        struct pollfd readable = {fd, POLLIN, 0};
        right &= poll(&readable, 1, 0) == (i < 49);
    }
    CHECK("fifty datagrams wait in order", right);

    struct mmsghdr messages[4] = {0};
    char bytes[4][4];
    struct iovec parts[4];
    for (int i = 0; i < 4; i++) {
        parts[i] = (struct iovec){bytes[i], 1};
        bytes[i][0] = i < 3 ? 0 : 5;
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    CHECK("sendmmsg", sendmmsg(fd, messages, 4, 0) == 4 && messages[3].msg_len == 1);
    pass_time(2 * MS);
    for (int i = 0; i < 4; i++)
        parts[i].iov_len = 4;
    CHECK("recvmmsg", recvmmsg(fd, messages, 4, 0, NULL) == 4 && messages[0].msg_len == 1 && bytes[3][0] == 3);
    CHECK("recvmmsg takes what there is", recvmmsg(fd, messages, 4, MSG_WAITFORONE, NULL) == 1 && bytes[0][0] == 4);
    CHECK("recvmmsg of nothing", recvmmsg(fd, messages, 4, MSG_DONTWAIT, NULL) == -1 && errno == EAGAIN);
    close(fd);

    int one = bound(5100), two = bound(5200);
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    CHECK("to a socket of its own", send_to(one, 5200, "own", 3) == 3 &&
                                        recvfrom(two, bytes[0], 4, 0, (struct sockaddr *)&from, &length) == 3 &&
                                        ntohs(from.sin_port) == 5100);
    to = port(5100);
    connect(two, (struct sockaddr *)&to, sizeof to);
    send_to(bound(5300), 5200, "other", 5);
    CHECK("a connected socket hears its peer alone", recv(two, bytes[0], 4, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    CHECK("TCP leads nowhere", socket(AF_INET, SOCK_STREAM, 0) >= 0 && socket(AF_PACKET, SOCK_RAW, 0) == -1);
}

int main(void)
{
    names();
    echoes();
    waits();
    looks();
    many();
    return 0;
}
