//! The contract of the seam, clause by clause, with machines that leave the given effects.

use super::*;
use crate::id::{ClientId, Mid};
use crate::machine::{Record, Stored};

/// An effect that a machine must leave in its outbox.
#[derive(Clone, Debug, Hash)]
enum Do {
    Persist(u64),
    Checkpoint(u64),
    Sync,
    Say(u64),
    Answer(u64),
    Exit,
}

#[derive(Clone, Debug, PartialEq)]
struct Line(u64, bool);

impl Record for Line {
    fn ends_checkpoint(&self) -> bool {
        self.1
    }
}

#[derive(Debug)]
struct Puppet {
    boot: Boot<Line>,
    heard: Vec<(Time, String)>,
    timeout: Time,
}

impl Machine for Puppet {
    type Message = Vec<Do>;
    type Request = Vec<Do>;
    type Response = u64;
    type Record = Line;

    fn handle(&mut self, now: Time, input: Input<Puppet>, out: &mut Outbox<Puppet>) {
        let (heard, orders) = match input {
            Input::Timeout => ("timeout".to_owned(), Vec::new()),
            Input::Peer { message, .. } => (format!("{message:?}"), message),
            Input::Client { request, .. } => (format!("{request:?}"), request),
            Input::Synced { up_to } => (format!("synced {up_to}"), Vec::new()),
            Input::DiskFull => ("full".to_owned(), vec![Do::Exit]),
            Input::StepDown => ("step down".to_owned(), Vec::new()),
        };
        self.heard.push((now, heard));
        if now >= self.timeout {
            self.timeout = Time::NEVER;
        }
        for order in orders {
            match order {
                Do::Persist(number) => out.persist(Line(number, false)),
                Do::Checkpoint(number) => out.persist(Line(number, true)),
                Do::Sync => out.sync(),
                Do::Say(number) => out.send(ReplicaId(1), vec![Do::Say(number)]),
                Do::Answer(number) => out.reply(ClientId(0), Mid(number), number),
                Do::Exit => out.exit(Exit("told to".into())),
            }
        }
    }

    fn poll_timeout(&self) -> Time {
        self.timeout
    }
}

/// Records all emissions with their times.
#[derive(Default)]
struct Ledger(Vec<(Time, String)>);

impl Carrier<Puppet, ()> for Ledger {
    fn carry(&mut self, now: Time, _: ReplicaId, emission: Emission<Puppet>, _: &mut Ahead<Puppet, ()>) {
        let text = match emission {
            Emission::Send { message, .. } => format!("{message:?}"),
            Emission::Reply { response, .. } => format!("answer {response}"),
        };
        self.0.push((now, text));
    }
}

const A: ReplicaId = ReplicaId(0);

struct Stand {
    engine: Engine<'static, Puppet, ()>,
    ledger: Ledger,
}

impl Stand {
    fn new(sync: u64) -> Stand {
        let build = |boot: Boot<Line>| {
            let damaged = boot.disk.as_ref().is_some_and(|disk| disk.records.contains(&Stored::Damaged));
            if damaged {
                return Err(Exit("a record is damaged".into()));
            }
            Ok(Puppet { boot, heard: Vec::new(), timeout: Time::NEVER })
        };
        Stand { engine: Engine::booting(2, 7, Some(Delay::Constant(Span(sync))), build), ledger: Ledger::default() }
    }

    fn tell(&mut self, orders: &[Do]) -> Option<Exit> {
        let input = Input::Peer { from: ReplicaId(1), message: orders.to_vec() };
        self.engine.handle(A, input, &mut self.ledger)
    }

    /// Runs everything up to this time.
    fn run(&mut self, end: u64) {
        loop {
            let (arrival, timeout) = (self.engine.next_arrival(), self.engine.next_timeout());
            if arrival.min(timeout) > Time(end) {
                return self.engine.advance(Time(end));
            }
            self.engine.advance(arrival.min(timeout));
            if timeout < arrival {
                let id = self.engine.next_to_time_out();
                self.engine.handle(id, Input::Timeout, &mut self.ledger);
                continue;
            }
            match self.engine.take_arrival() {
                Some(Due::Input { to, input }) => drop(self.engine.handle(to, input, &mut self.ledger)),
                Some(Due::Synced { to, .. }) => drop(self.engine.handle_synced(to, &mut self.ledger)),
                Some(Due::Event(())) | None => {}
            }
        }
    }

    fn emitted(&mut self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.ledger.0).into_iter().map(|(time, text)| (time.nanos(), text)).collect()
    }

    fn heard(&self) -> Vec<(u64, &str)> {
        self.engine.machines()[0].heard.iter().map(|(time, text)| (time.nanos(), text.as_str())).collect()
    }

    fn on_disk(&self) -> Vec<u64> {
        let disk = self.engine.machines()[0].boot.disk.as_ref().expect("a disk");
        let number = |stored: &Stored<Line>| match stored {
            Stored::Intact(Line(number, _)) => *number,
            Stored::Damaged => panic!("a machine starts with damaged records"),
        };
        disk.records.iter().map(number).collect()
    }
}

fn say(numbers: impl IntoIterator<Item = (u64, u64)>) -> Vec<(u64, String)> {
    numbers.into_iter().map(|(time, number)| (time, format!("[Say({number})]"))).collect()
}

#[test]
fn effects_before_a_sync_do_not_wait_and_effects_behind_it_do() {
    let mut stand = Stand::new(100);
    stand.tell(&[Do::Persist(1), Do::Say(1), Do::Sync, Do::Say(2), Do::Say(3)]);
    assert_eq!(stand.emitted(), say([(0, 1)]));
    stand.run(99);
    assert_eq!(stand.emitted(), []);
    stand.run(100);
    assert_eq!(stand.emitted(), say([(100, 2), (100, 3)]));
    assert_eq!(stand.heard().last(), Some(&(100, "synced 1")));
}

#[test]
fn effects_that_need_not_wait_overtake_waiting_ones_which_keep_their_order() {
    let mut stand = Stand::new(100);
    stand.tell(&[Do::Persist(1), Do::Sync, Do::Say(1)]);
    stand.run(40);
    stand.tell(&[Do::Persist(2), Do::Sync, Do::Say(2)]);
    stand.tell(&[Do::Say(3)]);
    // No new record, but the earlier one is not on the disk yet.
    stand.tell(&[Do::Sync, Do::Say(4)]);
    assert_eq!(stand.emitted(), say([(40, 3)]));
    stand.run(300);
    // The second sync begins when the first is done, and serves both emissions that wait for it.
    assert_eq!(stand.emitted(), say([(100, 1), (200, 2), (200, 4)]));
    let synced: Vec<_> = stand.heard().into_iter().filter(|(_, heard)| heard.starts_with("synced")).collect();
    assert_eq!(synced, [(100, "synced 1"), (200, "synced 2")]);
}

#[test]
fn a_sync_costs_nothing_when_all_is_on_the_disk() {
    let mut stand = Stand::new(100);
    stand.tell(&[Do::Sync, Do::Say(1)]);
    stand.tell(&[Do::Persist(1), Do::Sync]);
    stand.run(100);
    stand.tell(&[Do::Sync, Do::Say(2)]);
    assert_eq!(stand.emitted(), say([(0, 1), (100, 2)]));
    // A disk that takes no time is done before the next input.
    let mut instant = Stand::new(0);
    instant.tell(&[Do::Persist(1), Do::Sync, Do::Say(1), Do::Persist(2), Do::Sync, Do::Answer(2)]);
    assert_eq!(instant.emitted(), [(0, "[Say(1)]".to_owned()), (0, "answer 2".to_owned())]);
    assert_eq!(instant.heard().last(), Some(&(0, "synced 2")));
    assert_eq!(instant.engine.next_arrival(), Time::NEVER);
}

#[test]
fn effects_behind_a_sync_that_never_came_have_not_happened() {
    let mut lengths = Vec::new();
    for kept in 1..=3 {
        let mut stand = Stand::new(100);
        stand.tell(&[Do::Persist(1), Do::Sync, Do::Say(1)]);
        stand.run(100);
        stand.tell(&[Do::Persist(2), Do::Persist(3), Do::Sync, Do::Say(2)]);
        stand.run(150);
        stand.engine.fail_power_after(A, kept, true);
        stand.run(1_000);
        assert_eq!(stand.engine.restart(A), Ok(()));
        assert_eq!(stand.emitted(), say([(100, 1)]));
        let boot = &stand.engine.machines()[0].boot;
        assert_eq!((boot.incarnation, boot.now), (1, Time(1_000)));
        assert_eq!(boot.disk.as_ref().map(|disk| disk.torn), Some(kept < 3));
        assert_eq!(stand.on_disk(), (1..=kept).collect::<Vec<_>>());
        // It counts its own records only.
        stand.tell(&[Do::Persist(9), Do::Sync]);
        stand.run(2_000);
        assert_eq!(stand.heard().last(), Some(&(1_100, "synced 1")));
        lengths.push(stand.engine.disk(A).expect("a disk").persisted());
    }
    assert_eq!(lengths, [2, 3, 4]);
}

#[test]
fn a_checkpoint_replaces_earlier_records_in_one_step() {
    let mut stand = Stand::new(100);
    stand.tell(&[Do::Persist(1), Do::Sync]);
    stand.run(100);
    stand.tell(&[Do::Checkpoint(2), Do::Persist(3), Do::Sync]);
    stand.engine.fail_power_after(A, 1, false);
    stand.engine.restart(A).expect("it starts");
    assert_eq!(stand.on_disk(), [1]);
    stand.tell(&[Do::Checkpoint(4), Do::Persist(5), Do::Sync]);
    stand.run(300);
    stand.engine.fail_power(A);
    stand.engine.restart(A).expect("it starts");
    assert_eq!(stand.on_disk(), [4, 5]);
}

#[test]
fn a_machine_that_ends_or_whose_disk_is_full_is_down_and_nothing_reaches_it() {
    let mut stand = Stand::new(100);
    assert_eq!(stand.tell(&[Do::Say(1), Do::Exit, Do::Say(2)]), Some(Exit("told to".into())));
    assert_eq!((stand.emitted(), stand.engine.conditions()[0].state), (say([(0, 1)]), State::Down));
    stand.engine.restart(A).expect("it starts");
    stand.tell(&[Do::Persist(1), Do::Sync]);
    stand.run(100);
    stand.engine.disk_mut(A).expect("a disk").set_full(true);
    assert!(stand.tell(&[Do::Persist(2), Do::Sync, Do::Say(3)]).is_some());
    stand.run(1_000);
    assert_eq!(stand.emitted(), [], "what was refused is never acknowledged");
    stand.engine.disk_mut(A).expect("a disk").set_full(false);
    stand.engine.restart(A).expect("it starts");
    assert_eq!(stand.on_disk(), [1]);
}

#[test]
fn records_after_a_refused_one_are_refused_too() {
    /// Continues although its disk is full.
    struct Stubborn;
    impl Machine for Stubborn {
        type Message = u64;
        type Request = ();
        type Response = ();
        type Record = Line;
        fn handle(&mut self, _: Time, input: Input<Stubborn>, out: &mut Outbox<Stubborn>) {
            if let Input::Peer { message, .. } = input {
                out.persist(Line(message, false));
                out.sync();
            }
        }
        fn poll_timeout(&self) -> Time {
            Time::NEVER
        }
    }
    struct Nowhere;
    impl Carrier<Stubborn, ()> for Nowhere {
        fn carry(&mut self, _: Time, _: ReplicaId, _: Emission<Stubborn>, _: &mut Ahead<Stubborn, ()>) {}
    }
    let mut engine = Engine::booting(1, 1, Some(Delay::Constant(Span::ZERO)), |_| Ok(Stubborn));
    let mut persist = |number, full| {
        engine.disk_mut(A).expect("a disk").set_full(full);
        engine.handle(A, Input::Peer { from: A, message: number }, &mut Nowhere);
        engine.disk(A).expect("a disk").read(false).records
    };
    assert_eq!(persist(1, false), [Stored::Intact(Line(1, false))]);
    assert_eq!(persist(2, true).len(), 1);
    assert_eq!(persist(3, false).len(), 1, "there would be a hole where the second one was");
}

#[test]
fn a_machine_with_a_damaged_record_refuses_to_start_and_stays_down() {
    let mut stand = Stand::new(100);
    stand.tell(&[Do::Persist(1), Do::Sync]);
    stand.run(100);
    assert!(stand.engine.disk_mut(A).expect("a disk").corrupt());
    stand.engine.fail_power(A);
    assert_eq!(stand.engine.restart(A), Err(Exit("a record is damaged".into())));
    assert_eq!(stand.engine.conditions()[0].state, State::Down);
    stand.engine.disk_mut(A).expect("a disk").wipe();
    assert_eq!(stand.engine.restart(A), Ok(()));
    assert!(stand.on_disk().is_empty());
}

#[test]
fn a_paused_machine_handles_nothing_until_it_is_resumed_and_then_all_in_order() {
    let mut stand = Stand::new(100);
    stand.engine.machines[0].timeout = Time(50);
    stand.tell(&[Do::Persist(1), Do::Sync, Do::Say(1)]);
    stand.engine.pause(A);
    for (at, number) in [(10, 7), (20, 8)] {
        let input = Input::Peer { from: ReplicaId(1), message: vec![Do::Say(number)] };
        stand.engine.ahead().input(Time(at), A, input);
    }
    stand.run(500);
    assert_eq!((stand.heard().len(), stand.emitted()), (1, Vec::new()));
    // An input that arrives at this very time was sent later than the waiting ones.
    let input = Input::Peer { from: ReplicaId(1), message: vec![Do::Say(9)] };
    stand.engine.ahead().input(Time(500), A, input);
    stand.engine.resume(A);
    stand.run(500);
    let heard: Vec<&str> = stand
        .heard()
        .into_iter()
        .map(|(time, heard)| {
            assert!([0, 500].contains(&time));
            heard
        })
        .collect();
    // Its timeout is due already, so it comes first: a process that wakes up may check its clock before its socket.
    assert_eq!(heard[1..], ["timeout", "[Say(7)]", "[Say(8)]", "synced 1", "[Say(9)]"]);
    assert_eq!(stand.emitted(), say([(500, 7), (500, 8), (500, 1), (500, 9)]));
}

#[test]
fn a_sync_of_an_earlier_incarnation_tells_a_later_one_nothing() {
    let mut stand = Stand::new(100);
    stand.tell(&[Do::Persist(1), Do::Sync, Do::Say(1)]);
    stand.run(50);
    stand.engine.fail_power_after(A, 0, false);
    stand.engine.restart(A).expect("it starts");
    stand.tell(&[Do::Persist(2), Do::Sync, Do::Say(2)]);
    stand.run(149);
    assert_eq!((stand.emitted(), stand.heard().len()), (Vec::new(), 1));
    stand.run(150);
    assert_eq!(stand.emitted(), say([(150, 2)]));
}

#[test]
fn a_fast_clock_wakes_its_machine_early_and_tells_it_its_own_time() {
    let mut stand = Stand::new(100);
    stand.engine.machines[0].timeout = Time(1_000);
    stand.engine.set_clock(A, Rate::new(2.0).expect("a rate"), Span::ZERO);
    stand.run(499);
    assert_eq!(stand.heard(), []);
    stand.run(500);
    assert_eq!(stand.heard(), [(1_000, "timeout")]);
    assert_eq!(stand.engine.next_timeout(), Time::NEVER);
    // A jump makes due all timeouts that it passes.
    stand.engine.machines[0].timeout = Time(5_000);
    stand.engine.set_clock(A, Rate::EXACT, Span(4_000));
    stand.run(500);
    assert_eq!(stand.heard().last(), Some(&(5_000, "timeout")));
}

/// It asks for timeouts, or syncs, without end.
struct Restless {
    syncs: bool,
}

impl Machine for Restless {
    type Message = u64;
    type Request = ();
    type Response = ();
    type Record = Line;

    fn handle(&mut self, _: Time, _: Input<Restless>, out: &mut Outbox<Restless>) {
        if self.syncs {
            out.persist(Line(0, false));
            out.sync();
        }
    }

    fn poll_timeout(&self) -> Time {
        if self.syncs { Time::NEVER } else { Time::ZERO }
    }
}

struct Nowhere;

impl Carrier<Restless, ()> for Nowhere {
    fn carry(&mut self, _: Time, _: ReplicaId, _: Emission<Restless>, _: &mut Ahead<Restless, ()>) {}
}

#[test]
#[should_panic(expected = "asks for timeouts at 0.000000s without end")]
fn a_machine_that_asks_for_timeouts_without_end_is_stopped() {
    let mut engine = Engine::new(1, 1, |_| Restless { syncs: false });
    engine.handle(A, Input::Timeout, &mut Nowhere);
}

#[test]
#[should_panic(expected = "asks for syncs at 0.000000s without end")]
fn a_machine_that_asks_for_syncs_without_end_is_stopped_where_they_take_no_time() {
    let disk = Some(Delay::Constant(Span::ZERO));
    let mut engine = Engine::booting(1, 1, disk, |_| Ok(Restless { syncs: true }));
    engine.handle(A, Input::Timeout, &mut Nowhere);
}
