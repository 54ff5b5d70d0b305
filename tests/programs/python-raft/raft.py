"""A replicated key-value store: one replica, which agrees with the others by Raft.

One thread waits in `select` for the next datagram or the next deadline. It then handles everything that has arrived, and
only after that looks at its deadlines and sends appends. So requests that arrive together share appends.

- A put is answered once it is committed, by the replica that took it. If another leader's entry was committed in its
  place, the put was lost and is handled again like a new request.
- A get is answered once a quorum has confirmed, after the get arrived, that this replica still leads (section 8 of the
  paper). It costs messages, but no entry of the log.
- A put that an earlier leader took may have been answered or not. It is answered, perhaps once more, before a get shows it.
- While no leader is known, or the known one is silent, requests are held.
"""

import json
import random
import select
import socket
import sys
import time

NOBODY = "FFFF"
EVERYBODY = "FFFF"

# All times in seconds.
ELECTION_TIMEOUT_MIN = 0.6
ELECTION_TIMEOUT_MAX = 1.2
HEARTBEAT = 0.15
# A leader that was silent for this long may be dead: clients would only be sent back and forth.
LEADER_SILENCE = 2 * HEARTBEAT
# How long a leader waits for a quorum before it asks again, and asks everybody. Each further wait is twice as long.
RETRY_MIN = 0.03
RETRY_MAX = HEARTBEAT
VOTE_RETRY = 0.1
# A message to a replica that is not up yet is lost, so the first election waits until all should be.
START_GRACE = 0.5

# At most this many entries in an append, so that it fits in a datagram.
BATCH_MAX = 100
# At most this many datagrams are handled before the deadlines are looked at again.
DRAIN_MAX = 100
DATAGRAM_MAX = 65535

FOLLOWER, CANDIDATE, LEADER = "follower", "candidate", "leader"


class Follower:
    """What a leader knows about one of its followers."""

    def __init__(self, next_index, now):
        self.next_index = next_index  # the first entry that it seems to lack
        self.match_index = 0  # its log agrees with ours up to here
        self.round = 0  # the newest round that it has confirmed
        self.sent_at = now
        self.heard_at = now


class Replica:
    def __init__(self, port, my_id, others):
        self.id = my_id
        self.others = others
        self.quorum = (len(others) + 1) // 2 + 1
        self.address = ("127.0.0.1", port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)

        self.role = FOLLOWER
        self.leader = NOBODY
        self.leader_heard_at = 0.0
        self.term = 0
        self.voted_for = None
        self.votes = set()
        self.asked_at = 0.0  # when this replica last asked for votes or, as a leader, a quorum
        self.retry = RETRY_MIN

        # Entries are [term, request]. The first is a sentinel, so that every entry has one before it.
        self.log = [[0, None]]
        self.commit_index = 0
        self.applied_index = 0
        self.store = {}

        self.followers = {}
        self.round = 0  # counts how often this leader has asked a quorum
        self.first_index = 0  # of the first entry of the leader's own term
        self.unsent = False  # whether something has come in since the last appends

        self.seen = set()  # the MIDs of all requests, so that none is answered twice
        self.held = []  # requests that came while no leader was known
        self.puts = {}  # index -> [(term, request)]: waiting for what is committed there
        self.inherited = {}  # key -> the put of an earlier leader that set it
        self.gets = []  # (round, index, request): waiting for a confirmation, and for the store to be that far

        self.election_at = 0.0
        self.await_leader(START_GRACE)

    # The loop.

    def run(self):
        self.send(EVERYBODY, "hello")
        while True:
            timeout = max(0.0, self.deadline() - time.monotonic())
            if select.select([self.socket], [], [], timeout)[0]:
                self.drain()
            self.tick()

    def drain(self):
        for _ in range(DRAIN_MAX):
            try:
                data = self.socket.recv(DATAGRAM_MAX)
            except BlockingIOError:
                return
            self.receive(json.loads(data))

    def deadline(self):
        if self.role == LEADER:
            heartbeat = min(follower.sent_at for follower in self.followers.values()) + HEARTBEAT
            return min(heartbeat, self.asked_at + self.retry) if self.is_waiting() else heartbeat
        if self.role == CANDIDATE:
            return min(self.election_at, self.asked_at + VOTE_RETRY)
        return self.election_at

    def tick(self):
        now = time.monotonic()
        if self.role == LEADER:
            self.replicate(now)
        elif now >= self.election_at:
            self.start_election()
        elif self.role == CANDIDATE and now >= self.asked_at + VOTE_RETRY:
            self.ask_for_votes()

    def receive(self, message):
        kind = message["type"]
        if kind in ("get", "put"):
            if message["MID"] not in self.seen:
                self.seen.add(message["MID"])
                self.handle_request(message)
        elif kind in ("vote", "voted", "append", "appended"):
            if message["term"] > self.term:
                self.follow(message["term"], NOBODY)
            getattr(self, "handle_" + kind)(message)

    def send(self, destination, kind, **fields):
        message = {"src": self.id, "dst": destination, "leader": self.leader, "type": kind, **fields}
        self.socket.sendto(json.dumps(message).encode(), self.address)

    # Clients.

    def handle_request(self, request):
        if self.role == LEADER:
            if request["type"] == "put":
                self.handle_put(request)
            else:
                self.handle_get(request)
        elif self.leader == NOBODY or time.monotonic() > self.leader_heard_at + LEADER_SILENCE:
            self.held.append(request)
        else:
            self.answer(request, "redirect")

    def handle_put(self, request):
        index = self.propose(request)
        self.puts.setdefault(index, []).append((self.term, request))

    def handle_get(self, request):
        # Only a round that starts from now on shows that no other replica led when the get arrived. What was committed in
        # earlier terms is known once an entry of the own term is committed.
        self.gets.append((self.round + 1, max(self.commit_index, self.first_index), request))
        self.unsent = True

    def answer(self, request, kind, **fields):
        self.send(request["src"], kind, MID=request["MID"], **fields)

    def retry_held(self):
        held, self.held = self.held, []
        for request in held:
            self.handle_request(request)

    # Elections.

    def await_leader(self, grace=0.0):
        self.election_at = time.monotonic() + grace + random.uniform(ELECTION_TIMEOUT_MIN, ELECTION_TIMEOUT_MAX)

    def follow(self, term, leader):
        if term > self.term:
            self.term = term
            self.voted_for = None
        if self.role == LEADER:
            # The puts still wait: the next leader may commit them.
            self.held += [request for _, _, request in self.gets]
            self.gets = []
            self.await_leader()
        self.role = FOLLOWER
        self.leader = leader
        if leader != NOBODY:
            self.retry_held()

    def start_election(self):
        self.role = CANDIDATE
        self.leader = NOBODY
        self.term += 1
        self.voted_for = self.id
        self.votes = {self.id}
        self.await_leader()
        self.ask_for_votes()
        self.count_votes()

    def ask_for_votes(self):
        self.asked_at = time.monotonic()
        for other in self.others:
            if other not in self.votes:
                self.send(other, "vote", term=self.term, index=self.last_index(), last_term=self.log[-1][0])

    def handle_vote(self, message):
        granted = (
            message["term"] == self.term
            and self.may_vote_for(message["src"])
            and (message["last_term"], message["index"]) >= (self.log[-1][0], self.last_index())
        )
        if granted:
            self.voted_for = message["src"]
            self.await_leader()
        self.send(message["src"], "voted", term=self.term, granted=granted)

    def may_vote_for(self, candidate):
        return self.voted_for in (None, candidate)

    def handle_voted(self, message):
        if self.role == CANDIDATE and message["term"] == self.term and message["granted"]:
            self.votes.add(message["src"])
            self.count_votes()

    def count_votes(self):
        if len(self.votes) < self.quorum:
            return
        self.role = LEADER
        self.leader = self.id
        # All should hear soon who leads, so heartbeats are due at once.
        due = time.monotonic() - HEARTBEAT
        self.followers = {other: Follower(self.last_index() + 1, due) for other in self.others}
        self.round = 0
        # An entry of the own term, so that those of earlier terms can be committed (5.4.2).
        self.first_index = self.propose(None)
        self.retry_held()

    # The log.

    def last_index(self):
        return len(self.log) - 1

    def propose(self, request):
        self.log.append([self.term, request])
        self.unsent = True
        return self.last_index()

    def is_waiting(self):
        return self.commit_index < self.last_index() or bool(self.gets)

    def replicate(self, now):
        """Sends what has come in to as many followers as a quorum needs, and to the others what is due."""
        if self.unsent:
            self.unsent = False
            self.round += 1
            self.asked_at = now
            self.retry = RETRY_MIN
            liveliest = sorted(self.others, key=lambda other: self.followers[other].heard_at, reverse=True)
            for other in liveliest[: self.quorum - 1]:
                self.send_append(other, now)
        elif self.is_waiting() and now >= self.asked_at + self.retry:
            self.asked_at = now
            self.retry = min(2 * self.retry, RETRY_MAX)
            for other, follower in self.followers.items():
                if follower.match_index < self.last_index() or follower.round < self.round:
                    self.send_append(other, now)
        for other, follower in self.followers.items():
            if now >= follower.sent_at + HEARTBEAT:
                self.send_append(other, now)

    def send_append(self, other, now):
        follower = self.followers[other]
        follower.sent_at = now
        before = follower.next_index - 1
        self.send(
            other, "append", term=self.term, round=self.round, commit=self.commit_index,
            before=before, before_term=self.log[before][0], entries=self.log[before + 1 : before + 1 + BATCH_MAX],
        )

    def handle_append(self, message):
        if message["term"] < self.term:
            self.send(message["src"], "appended", term=self.term, success=False, index=0, round=0)
            return
        self.leader_heard_at = time.monotonic()
        self.follow(message["term"], message["src"])
        self.await_leader()
        before, entries = message["before"], message["entries"]
        success = before <= self.last_index() and self.log[before][0] == message["before_term"]
        # Where the leader goes on: after the entries, or where our log may agree with its log.
        index = before + len(entries) if success else min(before - 1, self.last_index())
        if success:
            self.merge(before + 1, entries)
            # Entries after those of this message may not be the leader's.
            self.commit_index = max(self.commit_index, min(message["commit"], index))
            self.apply()
        self.send(message["src"], "appended", term=self.term, success=success, index=index, round=message["round"])

    def merge(self, start, entries):
        for index, entry in enumerate(entries, start):
            if index <= self.last_index() and self.log[index][0] != entry[0]:
                del self.log[index:]
            if index > self.last_index():
                self.log.append(entry)

    def handle_appended(self, message):
        if self.role != LEADER or message["term"] != self.term:
            return
        follower = self.followers[message["src"]]
        follower.heard_at = time.monotonic()
        follower.round = max(follower.round, message["round"])
        if message["success"]:
            follower.match_index = max(follower.match_index, message["index"])
            follower.next_index = max(follower.next_index, follower.match_index + 1)
        else:
            follower.next_index = max(follower.match_index, message["index"]) + 1
        # A follower that lacks much, or whose log does not fit yet, need not wait for the heartbeat.
        if not message["success"] or self.last_index() - follower.next_index >= BATCH_MAX:
            self.send_append(message["src"], follower.heard_at)
        self.advance()

    def agreed(self, own, of_follower):
        """The highest number that a quorum has reached."""
        reached = sorted([own] + [of_follower(f) for f in self.followers.values()], reverse=True)
        return reached[self.quorum - 1]

    def advance(self):
        index = self.agreed(self.last_index(), lambda follower: follower.match_index)
        if index > self.commit_index and self.log[index][0] == self.term:
            self.commit_index = index
            self.apply()
        if self.gets:
            self.answer_gets(self.agreed(self.round, lambda follower: follower.round))

    def apply(self):
        while self.applied_index < self.commit_index:
            self.applied_index += 1
            term, put = self.log[self.applied_index]
            if put is not None:
                self.store[put["key"]] = put["value"]
                self.inherited.pop(put["key"], None)
                if self.role == LEADER and self.applied_index < self.first_index:
                    self.inherited[put["key"]] = put
            for proposed_in, request in self.puts.pop(self.applied_index, []):
                if proposed_in == term:
                    self.answer(request, "ok")
                else:
                    self.handle_request(request)

    def answer_gets(self, confirmed_round):
        waiting, self.gets = self.gets, []
        for round_, index, request in waiting:
            if round_ <= confirmed_round and index <= self.applied_index:
                if request["key"] in self.inherited:
                    self.answer(self.inherited.pop(request["key"]), "ok")
                self.answer(request, "ok", value=self.store.get(request["key"], ""))
            else:
                self.gets.append((round_, index, request))


def main(replica_class=Replica):
    if len(sys.argv) < 4:
        sys.exit(f"usage: {sys.argv[0]} <UDP port> <own ID> <ID of another> ...")
    replica_class(int(sys.argv[1]), sys.argv[2], sys.argv[3:]).run()
