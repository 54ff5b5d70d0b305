package main

import (
	"sort"
	"time"
)

const (
	heartbeat = 150 * time.Millisecond
	// How long a leader waits for a quorum before it asks again, and asks everybody. Each further wait is twice as long.
	retryMin = 30 * time.Millisecond
	retryMax = heartbeat
	// At most this many entries in an append, so that it fits in a datagram.
	batchMax = 100
)

// peer is what a leader knows about one of its followers.
type peer struct {
	id string
	// next is the first entry that the follower seems to lack; up to match its log agrees with the leader's.
	next, match int
	// round is the newest that it has confirmed.
	round           int
	sentAt, heardAt time.Time
	// asked says that a quorum may need its answer, retry when to ask it again.
	asked bool
	retry time.Duration
	// wake holds one token at most: requests that come before the goroutine runs share an append.
	wake chan struct{}
}

func (p *peer) ask() {
	if !p.asked {
		p.asked = true
		p.retry = retryMin
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// replicate keeps one follower up to date until the leader steps down.
func (r *Replica) replicate(p *peer, stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timedOut := false
		select {
		case <-stop:
			return
		case <-p.wake:
		case <-timer.C:
			timedOut = true
		}
		wait, leads := r.update(p, timedOut)
		if !leads {
			return
		}
		if !timedOut && !timer.Stop() {
			select {
			case <-timer.C:
			default:
			}
		}
		timer.Reset(wait)
	}
}

// update sends an append if one is due. It returns after what time to look again, and whether this replica still leads.
func (r *Replica) update(p *peer, timedOut bool) (wait time.Duration, leads bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.peers[p.id] != p {
		return 0, false
	}
	missed := p.asked && r.isWaiting() && (p.match < r.lastIndex() || p.round < r.round)
	if timedOut && !missed {
		p.asked = false
		if left := heartbeat - time.Since(p.sentAt); left > 0 {
			return left, true
		}
	}
	if timedOut && missed {
		for _, other := range r.peers {
			if !other.asked {
				other.ask()
			}
		}
	}
	r.sendAppend(p)
	if !p.asked {
		return heartbeat, true
	}
	wait = p.retry
	p.retry *= 2
	if p.retry > retryMax {
		p.retry = retryMax
	}
	return wait, true
}

func (r *Replica) sendAppend(p *peer) {
	p.sentAt = time.Now()
	end := p.next + batchMax
	if end > len(r.log) {
		end = len(r.log)
	}
	// A copy, because the log may be cut and written again before the message is encoded.
	entries := append([]Entry(nil), r.log[p.next:end]...)
	before := p.next - 1
	r.send(Message{
		Dst: p.id, Type: "append", Term: r.term, Index: before, IndexTerm: r.log[before].Term,
		Entries: entries, Commit: r.commit, Round: r.round,
	})
}

// askQuorum wakes as many followers as a quorum needs, those that were heard last. The others learn with the heartbeat.
func (r *Replica) askQuorum() {
	r.round++
	liveliest := make([]*peer, 0, len(r.peers))
	for _, other := range r.others {
		liveliest = append(liveliest, r.peers[other])
	}
	sort.SliceStable(liveliest, func(a, b int) bool { return liveliest[a].heardAt.After(liveliest[b].heardAt) })
	for _, p := range liveliest[:r.quorum()-1] {
		p.ask()
	}
}

func (r *Replica) isWaiting() bool {
	return r.commit < r.lastIndex() || len(r.gets) > 0
}

func (r *Replica) lastIndex() int {
	return len(r.log) - 1
}

func (r *Replica) lastTerm() int {
	return r.log[len(r.log)-1].Term
}

func (r *Replica) propose(entry Entry) int {
	r.log = append(r.log, entry)
	return r.lastIndex()
}

func (r *Replica) handleAppend(m Message) {
	if m.Term < r.term {
		r.send(Message{Dst: m.Src, Type: "appended", Term: r.term})
		return
	}
	r.leaderHeardAt = time.Now()
	r.follow(m.Term, m.Src)
	r.awaitLeader()
	reply := Message{Dst: m.Src, Type: "appended", Term: r.term, Round: m.Round}
	if m.Index <= r.lastIndex() && r.log[m.Index].Term == m.IndexTerm {
		r.merge(m.Index+1, m.Entries)
		reply.Success = true
		reply.Index = m.Index + len(m.Entries)
		// Entries after those of this message may not be the leader's.
		r.commitUpTo(min(m.Commit, reply.Index))
	} else {
		// Where our log may agree with the leader's.
		reply.Index = min(m.Index-1, r.lastIndex())
	}
	r.send(reply)
}

func (r *Replica) merge(start int, entries []Entry) {
	for offset, entry := range entries {
		index := start + offset
		if index <= r.lastIndex() && r.log[index].Term != entry.Term {
			r.log = r.log[:index]
		}
		if index > r.lastIndex() {
			r.log = append(r.log, entry)
		}
	}
}

func (r *Replica) handleAppended(m Message) {
	if r.role != leader || m.Term != r.term {
		return
	}
	p := r.peers[m.Src]
	p.heardAt = time.Now()
	p.round = max(p.round, m.Round)
	if m.Success {
		p.match = max(p.match, m.Index)
		p.next = max(p.next, p.match+1)
	} else {
		p.next = max(p.match, m.Index) + 1
	}
	// A follower that lacks much, or whose log does not fit yet, need not wait for the heartbeat.
	if !m.Success || r.lastIndex()-p.next >= batchMax {
		p.ask()
	}
	matches, rounds := []int{r.lastIndex()}, []int{r.round}
	for _, p := range r.peers {
		matches = append(matches, p.match)
		rounds = append(rounds, p.round)
	}
	if index := r.agreed(matches); r.log[index].Term == r.term {
		r.commitUpTo(index)
	}
	r.answerGets(r.agreed(rounds))
}

// agreed is the highest number that a quorum has reached.
func (r *Replica) agreed(reached []int) int {
	sort.Sort(sort.Reverse(sort.IntSlice(reached)))
	return reached[r.quorum()-1]
}

func (r *Replica) commitUpTo(index int) {
	r.commit = max(r.commit, index)
	for r.applied < r.commit {
		r.applied++
		entry := r.log[r.applied]
		if put := entry.Put; put != nil {
			r.store[put.Key] = *put.Value
			delete(r.inherited, put.Key)
			if r.role == leader && r.applied < r.firstIndex {
				r.inherited[put.Key] = *put
			}
		}
		waiting := r.puts[r.applied]
		delete(r.puts, r.applied)
		for _, put := range waiting {
			if put.term == entry.Term {
				r.send(Message{Dst: put.request.Src, Type: "ok", MID: put.request.MID})
			} else {
				// Another leader's entry was committed in its place, so it was lost.
				r.handleRequest(put.request)
			}
		}
	}
}

func (r *Replica) answerGets(confirmed int) {
	var still []waitingGet
	for _, get := range r.gets {
		if get.round <= confirmed && get.index <= r.applied {
			if put, inherited := r.inherited[get.request.Key]; inherited {
				// Answered, perhaps once more, before the get shows its value.
				delete(r.inherited, get.request.Key)
				r.send(Message{Dst: put.Src, Type: "ok", MID: put.MID})
			}
			value := r.store[get.request.Key]
			r.send(Message{Dst: get.request.Src, Type: "ok", MID: get.request.MID, Value: &value})
		} else {
			still = append(still, get)
		}
	}
	r.gets = still
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}
