//! Raft stays safe in random hostile scenarios: its invariants are checked after every event.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::raft;
use seedbed::chaos::{ConnectivityMatrix, Fault, FaultEvent};
use seedbed::id::ReplicaId;
use seedbed::kv::Command;
use seedbed::raft::{Entry, Index, Term};
use seedbed::replica::Replica;
use seedbed::rng::Stream;
use seedbed::scenario::{Delay, Network, Order, Scenario};
use seedbed::time::{Span, Time};
use seedbed::workload::Keys;
use seedbed::world::simulation::Simulation;

/// Faults strike in the first part of a run; all is healed at its end, and requests go on for a while.
const HEAL_SECS: u64 = 20;

/// A random scenario: its size, network, losses, faults and clients are drawn from the seed.
fn scenario(seed: u64) -> Scenario {
    let mut dice = Stream::new(seed, "safety");
    let mut scenario = common::scenario("scenarios/harsh/shared-keys.json");
    let replicas = [3, 3, 4, 5, 5, 7, 9][dice.below(7) as usize];
    let millis = Span::from_millis;
    scenario.network = match dice.below(4) {
        0 => Network::default(),
        1 => Network::Links { delay: Delay::Constant(millis(1 + dice.below(30))), order: Order::Any },
        2 => {
            let min = 1 + dice.below(40);
            let delay = Delay::Uniform { min: millis(min), max: millis(min + dice.below(80)) };
            Network::Links { delay, order: if dice.chance(0.5) { Order::Any } else { Order::Fifo } }
        }
        _ => {
            let delay = Delay::Exponential { floor: millis(1), mean: millis(1 + dice.below(40)) };
            Network::Links { delay, order: Order::Any }
        }
    };
    scenario.replicas = replicas;
    scenario.matrix = ConnectivityMatrix::uniform(replicas, dice.unit() * 0.25).expect("a probability");
    scenario.lifetime = Span::from_secs(35);
    scenario.end_wait = Span::from_secs(10);
    scenario.requests = 200 + dice.below(800);
    scenario.mix = dice.unit() * 0.6;
    scenario.keys = if dice.chance(0.5) { Keys::Shared { count: 3 } } else { Keys::Private };
    scenario.max_packets = u64::MAX;
    scenario.events = faults(&mut dice, replicas);
    scenario
}

/// Up to fifteen faults, no more kills than leave a quorum alive, and an end of all but these.
fn faults(dice: &mut Stream, replicas: usize) -> Vec<FaultEvent> {
    let mut kills = 0;
    let replica = |dice: &mut Stream| ReplicaId(dice.below(replicas as u64) as u8);
    let mut events: Vec<FaultEvent> = (0..dice.below(16))
        .map(|_| {
            let fault = match dice.below(8) {
                0 | 1 if kills < (replicas - 1) / 2 => {
                    kills += 1;
                    if dice.chance(0.5) { Fault::KillLeader } else { Fault::KillNonLeader }
                }
                2 => Fault::PartEasy,
                3 => Fault::PartHard,
                4 => Fault::Isolate(replica(dice)),
                5 => Fault::SetLink { from: replica(dice), to: replica(dice), value: dice.unit() },
                6 => Fault::PartEnd,
                _ => Fault::Heal,
            };
            FaultEvent { time: Time(dice.below(HEAL_SECS * 1_000) * 1_000_000), fault }
        })
        .collect();
    events.sort_by_key(|event| event.time);
    events.push(FaultEvent { time: Time::ZERO + Span::from_secs(HEAL_SECS), fault: Fault::Heal });
    events
}

/// What the replicas have shown so far (figure 3 of the paper). The cost of a check follows what has changed.
#[derive(Default)]
struct Invariants {
    leaders: BTreeMap<Term, ReplicaId>,
    /// Every committed entry, and the term in which it was first seen to be.
    committed: Vec<(Term, Entry<Arc<Command>>)>,
    seen: BTreeMap<ReplicaId, (Term, Option<ReplicaId>, Index)>,
}

impl Invariants {
    fn check(&mut self, id: ReplicaId, replica: &Replica) {
        let raft = replica.raft();
        let (term, vote, commit) = self.seen.get(&id).copied().unwrap_or_default();
        assert!(raft.term() >= term && raft.commit_index() >= commit, "term or commit index of {id} falls");
        assert!(raft.term() > term || vote.is_none() || vote == raft.voted_for(), "{id} votes twice in term {term}");
        assert!(replica.applied() <= raft.commit_index(), "{id} applies what is not committed");
        for index in commit + 1..=raft.commit_index() {
            let entry = raft.log().get(index).expect("a committed entry is in the log");
            match self.committed.get(index as usize - 1) {
                Some((_, known)) => assert_eq!(known, entry, "state-machine safety at index {index}"),
                None => self.committed.push((raft.term(), entry.clone())),
            }
        }
        if raft.is_leader() && !self.leaders.contains_key(&raft.term()) {
            for (index, (term, entry)) in (1..).zip(&self.committed) {
                let has = *term >= raft.term() || raft.log().get(index) == Some(entry);
                assert!(has, "leader completeness: {id} leads without entry {index}");
            }
        }
        if raft.is_leader() {
            let leader = *self.leaders.entry(raft.term()).or_insert(id);
            assert_eq!(leader, id, "election safety: two leaders in term {}", raft.term());
        }
        self.seen.insert(id, (raft.term(), raft.voted_for(), raft.commit_index()));
    }
}

#[test]
fn raft_keeps_its_invariants_and_its_word_to_clients_and_recovers_in_random_hostile_scenarios() {
    let mut elections = 0;
    for seed in 0..1_500 {
        let scenario = scenario(seed);
        let mut simulation = Simulation::new(&scenario, seed, raft);
        let mut invariants = Invariants::default();
        let mut led = Time::ZERO;
        while simulation.step() {
            for (id, replica) in ReplicaId::all(scenario.replicas).zip(simulation.replicas()) {
                invariants.check(id, replica);
                if replica.raft().is_leader() && simulation.director().living().contains(id) {
                    led = simulation.now();
                }
            }
        }
        elections += invariants.leaders.len();
        let living = simulation.director().living();
        // Where all that live are needed for a quorum and a quarter of all messages is lost, leaders come and go.
        let leaderless = simulation.now().since(led);
        assert!(leaderless < Span::from_secs(5), "seed {seed}: a quorum is connected, and nobody leads");
        let history = simulation.finish().history;
        assert_eq!((history.incorrect_gets, history.unknown, history.duplicates), (0, 0, 0), "seed {seed}");
        let healed = Time::ZERO + Span::from_secs(HEAL_SECS + 10);
        // Clients that believe in a dead leader ask it for ever; the course's do so.
        let mut late =
            history.attempts.iter().filter(|attempt| attempt.sent >= healed && living.contains(attempt.replica));
        assert!(late.all(|attempt| attempt.answer.is_some()), "seed {seed}: a living replica owes an answer");
    }
    assert!(elections > 3_000, "only {elections} elections");
}
