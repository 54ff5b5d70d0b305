// A replicated key-value store with a fixed primary, the lowest ID. The primary answers a put once a majority has a copy. It
// is correct while no replica dies.
//
// The main thread looks at its socket with select, never for longer than a moment, and then at what is due, as many a student
// writes it. Another thread beats.
#include <arpa/inet.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

namespace {

const std::string everybody = "FFFF";
constexpr auto retry = milliseconds(50);
// A message to a replica that is not up yet is lost, so the first beat waits until all should be.
constexpr auto start_grace = milliseconds(1000);
constexpr int beat_min_ms = 80, beat_max_ms = 160;
constexpr int polls_before_pause = 20;
constexpr int pause_us = 500;

// A member of a flat JSON object, a string or a number, without its quotes. Empty if there is none.
std::string member(const std::string& text, const std::string& name) {
    const std::string quoted = '"' + name + '"';
    for (auto at = text.find(quoted); at != std::string::npos; at = text.find(quoted, at + 1)) {
        auto start = text.find_first_not_of(' ', at + quoted.size());
        if (start == std::string::npos || text[start] != ':') continue;
        start = text.find_first_not_of(' ', start + 1);
        if (start == std::string::npos) break;
        if (text[start] == '"') return text.substr(start + 1, text.find('"', start + 1) - start - 1);
        return text.substr(start, text.find_first_of(",} ", start) - start);
    }
    return "";
}

std::string field(const std::string& name, const std::string& value) { return ",\"" + name + "\":\"" + value + '"'; }

struct Put {
    std::string client, mid, key, value;
    std::set<std::string> holders;
    Clock::time_point sent_at;
};

class Replica {
public:
    Replica(int port, std::string own_id, const std::vector<std::string>& others)
        : id(std::move(own_id)), primary(id), majority((others.size() + 1) / 2 + 1), random(std::random_device{}()) {
        for (const auto& other : others) primary = std::min(primary, other);
        udp = socket(AF_INET, SOCK_DGRAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (udp < 0 || connect(udp, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
            perror("socket");
            std::exit(1);
        }
    }

    [[noreturn]] void run() {
        send(everybody, "hello", "");
        std::thread beating;
        if (id == primary) beating = std::thread([this] { beat(); });
        int idle_polls = 0;
        while (true) {
            // Pure polls while messages come, short waits when none do.
            bool received = poll(idle_polls < polls_before_pause ? 0 : pause_us);
            idle_polls = received ? 0 : idle_polls + 1;
            copy_again();
        }
    }

private:
    std::string id, primary;
    size_t majority;
    int udp;
    std::mt19937 random;
    std::mutex sending;
    std::unordered_map<std::string, std::string> store;
    std::map<int, Put> puts;
    int last_number = 0;

    void send(const std::string& destination, const std::string& type, const std::string& fields) {
        const std::string text = "{" + field("src", id).substr(1) + field("dst", destination) + field("leader", primary) +
                                 field("type", type) + fields + "}";
        const std::lock_guard<std::mutex> guard(sending);
        // A datagram that the network refuses is lost like any other.
        (void)!::send(udp, text.data(), text.size(), 0);
    }

    [[noreturn]] void beat() {
        std::uniform_int_distribution<int> wait(beat_min_ms, beat_max_ms);
        std::this_thread::sleep_for(start_grace);
        while (true) {
            send(everybody, "beat", "");
            std::this_thread::sleep_for(milliseconds(wait(random)));
        }
    }

    bool poll(int microseconds) {
        fd_set ready;
        FD_ZERO(&ready);
        FD_SET(udp, &ready);
        timeval wait{0, microseconds};
        if (select(udp + 1, &ready, nullptr, nullptr, &wait) <= 0) return false;
        static char buffer[65536];
        const ssize_t length = recv(udp, buffer, sizeof buffer, 0);
        if (length < 0) return false;
        handle(std::string(buffer, static_cast<size_t>(length)));
        return true;
    }

    void handle(const std::string& text) {
        const auto type = member(text, "type"), source = member(text, "src"), mid = member(text, "MID");
        if ((type == "get" || type == "put") && id != primary) {
            send(source, "redirect", field("MID", mid));
        } else if (type == "get") {
            const auto found = store.find(member(text, "key"));
            send(source, "ok", field("MID", mid) + field("value", found == store.end() ? "" : found->second));
        } else if (type == "put") {
            Put& put = puts[++last_number];
            put = {source, mid, member(text, "key"), member(text, "value"), {id}, {}};
            copy(last_number, put);
        } else if (type == "copy") {
            store[member(text, "key")] = member(text, "value");
            send(source, "copied", ",\"number\":" + member(text, "number"));
        } else if (type == "copied") {
            handle_copied(std::stoi(member(text, "number")), source);
        }
    }

    void copy(int number, Put& put) {
        put.sent_at = Clock::now();
        send(everybody, "copy", ",\"number\":" + std::to_string(number) + field("key", put.key) + field("value", put.value));
    }

    void copy_again() {
        for (auto& [number, put] : puts) {
            if (Clock::now() >= put.sent_at + retry) copy(number, put);
        }
    }

    void handle_copied(int number, const std::string& holder) {
        const auto found = puts.find(number);
        if (found == puts.end()) return;
        Put& put = found->second;
        put.holders.insert(holder);
        if (put.holders.size() < majority) return;
        store[put.key] = put.value;
        send(put.client, "ok", field("MID", put.mid));
        puts.erase(found);
    }
};

}  // namespace

int main(int count, char** arguments) {
    if (count < 4) {
        std::cerr << "usage: " << arguments[0] << " <UDP port> <own ID> <ID of another> ...\n";
        return 2;
    }
    Replica(std::stoi(arguments[1]), arguments[2], {arguments + 3, arguments + count}).run();
}
