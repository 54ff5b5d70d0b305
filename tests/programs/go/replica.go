package main

import (
	"math/rand"
	"os"
	"sync"
	"time"
)

const (
	electionTimeoutMin = 600 * time.Millisecond
	electionTimeoutMax = 1200 * time.Millisecond
	voteRetry          = 100 * time.Millisecond
	// A message to a replica that is not up yet is lost, so the first election waits until all should be.
	startGrace = 500 * time.Millisecond
	// A leader that was silent for this long may be dead: clients would only be sent back and forth.
	leaderSilence = 2 * heartbeat
)

type role int

const (
	follower role = iota
	candidate
	leader
)

type waitingPut struct {
	term    int
	request Message
}

type waitingGet struct {
	round   int
	index   int
	request Message
}

// Replica is the state of one replica. All methods but Receive, watchLeader and replicate want the mutex to be held.
type Replica struct {
	mutex  sync.Mutex
	id     string
	others []string
	outbox chan<- Message
	random *rand.Rand

	role          role
	leader        string
	leaderHeardAt time.Time
	term          int
	votedFor      string
	votes         map[string]bool
	electionAt    time.Time

	// The first entry is a sentinel, so that every other has one before it.
	log     []Entry
	commit  int
	applied int
	store   map[string]string

	// Of a leader.
	peers      map[string]*peer
	stop       chan struct{}
	round      int
	firstIndex int

	// The MIDs of all requests, so that none is answered twice.
	seen map[string]bool
	// Requests that came while no leader was known.
	held []Message
	// Requests that wait for what is committed at an index.
	puts map[int][]waitingPut
	// The puts of earlier leaders, by the key that they set. They may have been answered or not.
	inherited map[string]Message
	// Requests that wait until a quorum has confirmed a round, and the store has reached an index.
	gets []waitingGet
}

// NewReplica makes a follower that knows no leader.
func NewReplica(id string, others []string, outbox chan<- Message) *Replica {
	r := &Replica{
		id:     id,
		others: others,
		outbox: outbox,
		random: rand.New(rand.NewSource(time.Now().UnixNano() ^ int64(os.Getpid()))),
		leader: nobody,
		log:    make([]Entry, 1),
		store:  make(map[string]string),
		seen:   make(map[string]bool),
		puts:   make(map[int][]waitingPut),

		inherited: make(map[string]Message),
	}
	r.awaitLeader()
	r.electionAt = r.electionAt.Add(startGrace)
	return r
}

// Receive handles one message.
func (r *Replica) Receive(m Message) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	switch m.Type {
	case "get", "put":
		if !r.seen[m.MID] {
			r.seen[m.MID] = true
			r.handleRequest(m)
		}
		return
	case "vote", "voted", "append", "appended":
		if m.Term > r.term {
			r.follow(m.Term, nobody)
		}
	}
	switch m.Type {
	case "vote":
		r.handleVote(m)
	case "voted":
		r.handleVoted(m)
	case "append":
		r.handleAppend(m)
	case "appended":
		r.handleAppended(m)
	}
}

func (r *Replica) send(m Message) {
	m.Src, m.Leader = r.id, r.leader
	r.outbox <- m
}

func (r *Replica) quorum() int {
	return (len(r.others)+1)/2 + 1
}

// Clients.

func (r *Replica) handleRequest(m Message) {
	switch {
	case r.role == leader && m.Type == "put":
		index := r.propose(Entry{Term: r.term, Put: &m})
		r.puts[index] = append(r.puts[index], waitingPut{r.term, m})
		r.askQuorum()
	case r.role == leader:
		// Only a round that starts from now on shows that no other replica led when the get arrived. What was committed in
		// earlier terms is known once an entry of the own term is committed.
		index := r.commit
		if index < r.firstIndex {
			index = r.firstIndex
		}
		r.gets = append(r.gets, waitingGet{r.round + 1, index, m})
		r.askQuorum()
	case r.leader == nobody || time.Since(r.leaderHeardAt) > leaderSilence:
		r.held = append(r.held, m)
	default:
		r.send(Message{Dst: m.Src, Type: "redirect", MID: m.MID})
	}
}

func (r *Replica) retryHeld() {
	held := r.held
	r.held = nil
	for _, request := range held {
		r.handleRequest(request)
	}
}

// Elections.

// watchLeader starts an election whenever no leader was heard for too long. It never returns.
func (r *Replica) watchLeader() {
	timer := time.NewTimer(0)
	for range timer.C {
		timer.Reset(r.checkLeader())
	}
}

// checkLeader returns after what time to look again.
func (r *Replica) checkLeader() time.Duration {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	switch {
	case r.role == leader:
		return electionTimeoutMin
	case !time.Now().Before(r.electionAt):
		r.startElection()
	case r.role == candidate:
		r.askForVotes()
	}
	wait := time.Until(r.electionAt)
	if r.role == candidate && wait > voteRetry {
		wait = voteRetry
	}
	return wait
}

func (r *Replica) awaitLeader() {
	spread := r.random.Int63n(int64(electionTimeoutMax - electionTimeoutMin))
	r.electionAt = time.Now().Add(electionTimeoutMin + time.Duration(spread))
}

func (r *Replica) follow(term int, newLeader string) {
	if term > r.term {
		r.term = term
		r.votedFor = ""
	}
	if r.role == leader {
		close(r.stop)
		r.peers = nil
		// The puts still wait: the next leader may commit them.
		for _, get := range r.gets {
			r.held = append(r.held, get.request)
		}
		r.gets = nil
		r.awaitLeader()
	}
	r.role = follower
	r.leader = newLeader
	if newLeader != nobody {
		r.retryHeld()
	}
}

func (r *Replica) startElection() {
	r.role = candidate
	r.leader = nobody
	r.term++
	r.votedFor = r.id
	r.votes = map[string]bool{r.id: true}
	r.awaitLeader()
	r.askForVotes()
}

func (r *Replica) askForVotes() {
	for _, other := range r.others {
		if !r.votes[other] {
			r.send(Message{Dst: other, Type: "vote", Term: r.term, Index: r.lastIndex(), IndexTerm: r.lastTerm()})
		}
	}
}

func (r *Replica) handleVote(m Message) {
	upToDate := m.IndexTerm > r.lastTerm() || m.IndexTerm == r.lastTerm() && m.Index >= r.lastIndex()
	granted := m.Term == r.term && (r.votedFor == "" || r.votedFor == m.Src) && upToDate
	if granted {
		r.votedFor = m.Src
		r.awaitLeader()
	}
	r.send(Message{Dst: m.Src, Type: "voted", Term: r.term, Success: granted})
}

func (r *Replica) handleVoted(m Message) {
	if r.role != candidate || m.Term != r.term || !m.Success {
		return
	}
	r.votes[m.Src] = true
	if len(r.votes) < r.quorum() {
		return
	}
	r.role = leader
	r.leader = r.id
	r.round = 0
	r.stop = make(chan struct{})
	r.peers = make(map[string]*peer)
	for _, other := range r.others {
		r.peers[other] = &peer{id: other, next: r.lastIndex() + 1, wake: make(chan struct{}, 1)}
	}
	// An entry of the own term, so that those of earlier terms can be committed (5.4.2).
	r.firstIndex = r.propose(Entry{Term: r.term})
	r.retryHeld()
	for _, p := range r.peers {
		go r.replicate(p, r.stop)
	}
}
