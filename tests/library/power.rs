//! The worst of disks, exhaustively: in a short run the power fails at every point between two events, and the disk keeps
//! every prefix of what was not synced, the next record torn or not. All replicas come back, or all but one. No acknowledged write is ever lost, and no replica
//! votes twice in a term.

use std::collections::BTreeMap;

use seedbed::engine::{Ahead, Carrier, Delay, Due, Engine};
use seedbed::id::{ClientId, Mid, ReplicaId};
use seedbed::machine::{Boot, Emission, Input};
use seedbed::service::{Operation, Response};
use seedbed::time::{Span, Time};
use seedbed_core::raft::{self, Message, Mutant, Record, Rule, Rules, Sound, Term, Vote};
use seedbed_core::replica::{Config, Replica};

const REPLICAS: usize = 3;
const PUTS: u64 = 3;

/// What a client does.
#[derive(Clone, Copy)]
enum Event {
    /// It sends its put of this number, or sends it again.
    Put(u64),
    /// The replicas that are down start again.
    Restart,
}

/// A network without losses, which takes down what is promised.
#[derive(Default)]
struct Network {
    /// By voter and term: the candidate.
    votes: BTreeMap<(ReplicaId, Term), ReplicaId>,
    /// The numbers of the puts that were acknowledged.
    acknowledged: Vec<u64>,
    /// What went wrong.
    broken: Option<String>,
}

impl<R: Rules> Carrier<Replica<R>, Event> for Network {
    fn carry(
        &mut self,
        now: Time,
        from: ReplicaId,
        emission: Emission<Replica<R>>,
        ahead: &mut Ahead<Replica<R>, Event>,
    ) {
        match emission {
            Emission::Send { to, message } => {
                if let Message::Vote(Vote { term, granted: true, pre: false }) = message {
                    let candidate = *self.votes.entry((from, term)).or_insert(to);
                    if candidate != to {
                        self.broken = Some(format!("replica {from} votes twice in term {term}"));
                    }
                }
                ahead.input(now + Span::from_millis(1), to, Input::Peer { from, message });
            }
            Emission::Reply { mid, response: Response::Ok { .. }, .. } => self.acknowledged.push(mid.0 % PUTS),
            Emission::Reply { .. } => {}
        }
    }
}

/// When, where and how the power fails.
#[derive(Clone, Copy, Debug)]
struct Failure {
    /// After this many events.
    after: usize,
    /// At one replica, or at all of them.
    at: Option<ReplicaId>,
    /// This one does not come back.
    gone: Option<ReplicaId>,
    /// This many of the records that are not synced survive.
    kept: u64,
    torn: bool,
}

struct Run<R: Rules> {
    engine: Engine<'static, Replica<R>, Event>,
    network: Network,
    mids: u64,
    gone: Option<ReplicaId>,
}

impl<R: Rules> Run<R> {
    fn new(rules: R, log_bytes_max: usize) -> Run<R> {
        let config = Config {
            raft: raft::Config {
                election_timeout_min: Span::from_millis(20),
                election_timeout_max: Span::from_millis(40),
                heartbeat: Span::from_millis(10),
                round_trip_guess: Span::from_millis(5),
                retry_min: Span::from_millis(2),
                ..raft::Config::default()
            },
            log_bytes_max,
            ..Config::default()
        };
        let build = move |boot: Boot<Record<_>>| Replica::boot(boot, config.clone(), rules);
        let sync = Delay::Constant(Span::from_millis(3));
        let mut engine = Engine::booting(REPLICAS, 1, Some(sync), build);
        for number in 0..PUTS {
            engine.ahead().event(Time::ZERO + Span::from_millis(40 + 7 * number), Event::Put(number));
        }
        Run { engine, network: Network::default(), mids: 0, gone: None }
    }

    /// Lets the next event happen. False after the end.
    fn step(&mut self, end: Time) -> bool {
        let (arrival, timeout) = (self.engine.next_arrival(), self.engine.next_timeout());
        if arrival.min(timeout) > end {
            return false;
        }
        self.engine.advance(arrival.min(timeout));
        if timeout < arrival {
            let id = self.engine.next_to_time_out();
            self.hand(id, Input::Timeout);
            return true;
        }
        match self.engine.take_arrival() {
            Some(Due::Input { to, input }) if self.is_up(to) => self.hand(to, input),
            Some(Due::Synced { to, .. }) => drop(self.engine.handle_synced(to, &mut self.network)),
            Some(Due::Event(Event::Put(number))) => self.put(number),
            Some(Due::Event(Event::Restart)) => {
                for id in ReplicaId::all(REPLICAS).filter(|&id| self.gone != Some(id)) {
                    self.engine.restart(id).expect("no record is damaged");
                }
            }
            Some(Due::Input { .. }) | None => {}
        }
        true
    }

    fn is_up(&self, id: ReplicaId) -> bool {
        self.engine.conditions()[id.index()].state == seedbed::engine::State::Up
    }

    fn hand(&mut self, id: ReplicaId, input: Input<Replica<R>>) {
        let exit = self.engine.handle(id, input, &mut self.network);
        assert_eq!(exit, None);
    }

    /// Sends a put to the leader, again and again until it is acknowledged.
    fn put(&mut self, number: u64) {
        if self.network.acknowledged.contains(&number) {
            return;
        }
        let again = self.engine.now() + Span::from_millis(30);
        self.engine.ahead().event(again, Event::Put(number));
        let leads = |id: &ReplicaId| self.is_up(*id) && self.engine.machines()[id.index()].raft().is_leader();
        let Some(leader) = ReplicaId::all(REPLICAS).find(leads) else { return };
        let mid = Mid(self.mids * PUTS + number);
        self.mids += 1;
        let request = Operation::Put { key: format!("k{number}").into(), value: format!("v{number}").into() };
        self.hand(leader, Input::Client { from: ClientId(9), mid, request });
    }

    fn fail(&mut self, failure: Failure) {
        self.gone = failure.gone;
        for id in ReplicaId::all(REPLICAS).filter(|&id| failure.at.is_none_or(|at| at == id)) {
            let disk = self.engine.disk(id).expect("a disk");
            let kept = (disk.synced() + failure.kept).min(disk.persisted());
            self.engine.fail_power_after(id, kept, failure.torn);
        }
        let restart = self.engine.now() + Span::from_millis(5);
        self.engine.ahead().event(restart, Event::Restart);
    }

    /// What is wrong in the end: a put that makes no progress, or that was acknowledged and is lost.
    fn problem(&self) -> Option<String> {
        if self.network.broken.is_some() {
            return self.network.broken.clone();
        }
        let acknowledged = &self.network.acknowledged;
        if (acknowledged.len() as u64) < PUTS {
            return Some(format!("only {} puts were acknowledged", acknowledged.len()));
        }
        let up = ReplicaId::all(REPLICAS).filter(|&id| self.is_up(id)).map(|id| &self.engine.machines()[id.index()]);
        let newest = up.max_by_key(|replica| replica.applied())?;
        let lost = |number: &&u64| newest.store().get(&format!("k{number}")).is_none();
        acknowledged.iter().find(lost).map(|number| format!("put {number} was acknowledged and is lost"))
    }
}

/// How many records are not synced after this many events, at most.
fn unsynced<R: Rules>(run: &Run<R>) -> u64 {
    let of = |id| run.engine.disk(id).map_or(0, |disk| disk.persisted() - disk.synced());
    ReplicaId::all(REPLICAS).map(of).max().unwrap_or(0)
}

/// Lets the power fail in every way, and says what goes wrong first.
fn fail_everywhere<R: Rules>(rules: R, log_bytes_max: usize) -> Option<String> {
    let end = Time::ZERO + Span::from_millis(130);
    let mut quiet = Run::new(rules, log_bytes_max);
    let mut depths = vec![0];
    while quiet.step(end) {
        depths.push(unsynced(&quiet));
    }
    let (mut runs, deepest) = (0, depths.iter().copied().max().unwrap_or(0));
    for (after, &depth) in depths.iter().enumerate() {
        let one = ReplicaId::all(REPLICAS).flat_map(|id| [(Some(id), None), (Some(id), Some(id))]);
        let all = ReplicaId::all(REPLICAS).map(Some).chain([None]).map(|gone| (None, gone));
        for (at, gone) in one.chain(all) {
            for (kept, torn) in (0..=depth).flat_map(|kept| [(kept, false), (kept, true)]) {
                let failure = Failure { after, at, gone, kept, torn };
                let mut run = Run::new(rules, log_bytes_max);
                (0..failure.after).for_each(|_| assert!(run.step(end)));
                run.fail(failure);
                while run.step(end + Span::from_millis(500)) {}
                if let Some(problem) = run.problem() {
                    return Some(format!("{problem} after {failure:?}"));
                }
                runs += 1;
            }
        }
    }
    println!("{runs} power failures after each of {} events, up to {deepest} records not synced", depths.len());
    assert!(runs > 1_000 && deepest >= 2, "{runs} runs, {deepest} records");
    None
}

#[test]
fn whenever_the_power_fails_no_acknowledged_write_is_lost_and_no_vote_is_given_twice() {
    assert_eq!(fail_everywhere(Sound, usize::MAX), None);
}

#[test]
fn nor_while_snapshots_take_the_place_of_logs() {
    assert_eq!(fail_everywhere(Sound, 1), None);
}

#[test]
fn a_raft_that_acknowledges_too_early_or_drops_its_log_too_early_loses_writes() {
    let everything = usize::MAX;
    for (rule, log_bytes_max) in
        [(Rule::SyncBeforeAcknowledging, everything), (Rule::ReplaceInOneStep, 1), (Rule::PersistTerm, everything)]
    {
        let problem = fail_everywhere(Mutant(rule), log_bytes_max);
        assert!(problem.is_some(), "{rule} loses nothing");
    }
}
