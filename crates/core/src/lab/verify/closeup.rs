//! Two runs in lockstep, on two threads, up to the first event that differs.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use super::divergence::{Line, Side, Sighting};
use super::{AFTER, CONTEXT};
use crate::lab::plays::Plays;
use crate::machine::Machine;
use crate::mutation;
use crate::record::{Event, Observer, Scene, Trace};
use crate::scenario::Scenario;
use crate::world::{Run, catch_quietly};

/// The two runs compare notes after so many events. Less often would hardly be faster.
const CHUNK: usize = 256;

/// Runs a scenario twice at the same time; what differed first, if anything did.
pub(super) fn closeup(scenario: &Scenario, seed: u64, plays: &impl Plays) -> Option<Sighting> {
    let (to_right, from_left) = mpsc::channel();
    let (to_left, from_right) = mpsc::channel();
    let mutant = mutation::active();
    let (left, right) = thread::scope(|scope| {
        let left = scope.spawn(|| mutation::with(mutant, || play(scenario, seed, plays, to_right, from_right)));
        let right = scope.spawn(|| mutation::with(mutant, || play(scenario, seed, plays, to_left, from_left)));
        (left.join().expect("panics are caught"), right.join().expect("panics are caught"))
    });
    let differ = left.odd || left.side.panic != right.side.panic;
    let Found { number, context, side, .. } = left;
    differ.then_some(Sighting { number, exact: true, lockstep: true, context, sides: [side, right.side] })
}

/// What one of the two saw.
struct Found {
    /// There was an event that differed.
    odd: bool,
    /// Its number, or that of the one after the last.
    number: u64,
    context: Vec<Line>,
    side: Side,
}

/// Plays one of the two.
fn play(
    scenario: &Scenario,
    seed: u64,
    plays: &impl Plays,
    sender: Sender<Vec<u64>>,
    receiver: Receiver<Vec<u64>>,
) -> Found {
    let done = Cell::new(false);
    let mut partner = Partner {
        trace: Trace::new(),
        hashes: Vec::with_capacity(CHUNK),
        agreed: 0,
        lines: VecDeque::new(),
        odd: None,
        done: &done,
        sender,
        receiver,
    };
    let run = catch_quietly(|| {
        let mut run = plays.begin(scenario, seed, &mut partner);
        while !done.get() && run.step() {}
    });
    if partner.odd.is_none() {
        // The end of the run: the last chunk is not full.
        partner.exchange();
    }
    partner.found(run.err())
}

/// One of two runs that compare notes.
struct Partner<'d> {
    trace: Trace,
    /// The trace's hash after each event since notes were compared.
    hashes: Vec<u64>,
    /// So many events were the same when notes were compared.
    agreed: u64,
    /// The newest events as text, back to before `agreed`.
    lines: VecDeque<Line>,
    /// The number of the event that differs.
    odd: Option<u64>,
    /// Enough is known.
    done: &'d Cell<bool>,
    sender: Sender<Vec<u64>>,
    receiver: Receiver<Vec<u64>>,
}

impl<P: Machine> Observer<P> for Partner<'_> {
    fn event(&mut self, scene: &Scene<'_, P>, event: &Event<'_, P::Message>) {
        if self.done.get() {
            return;
        }
        self.trace.record(scene.now, event);
        self.lines.push_back(Line { time: scene.now, text: event.to_string() });
        match self.odd {
            None => {
                self.hashes.push(self.trace.hash());
                if self.hashes.len() == CHUNK {
                    self.exchange();
                }
            }
            Some(odd) => self.done.set(self.trace.events() >= odd + AFTER as u64),
        }
    }
}

impl Partner<'_> {
    /// Compares notes with the other run. Both sides find the same.
    fn exchange(&mut self) {
        let ours = std::mem::take(&mut self.hashes);
        // If the other run has ended, it has said so with its last notes, and differs.
        let _ = self.sender.send(ours.clone());
        let theirs = self.receiver.recv().unwrap_or_default();
        let same = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
        if same < ours.len().max(theirs.len()) {
            let odd = self.agreed + same as u64 + 1;
            self.odd = Some(odd);
            self.done.set(self.trace.events() >= odd + AFTER as u64);
        }
        self.agreed += same as u64;
        let keep = CONTEXT + (self.trace.events() - self.agreed) as usize;
        self.lines.drain(..self.lines.len().saturating_sub(keep));
    }

    /// What there is to tell.
    fn found(mut self, panic: Option<String>) -> Found {
        let events = self.trace.events();
        let number = self.odd.unwrap_or(events + 1);
        let forgotten = events - self.lines.len() as u64;
        let mut rest = self.lines.split_off((number - 1 - forgotten) as usize).into_iter();
        let side = Side { event: rest.next(), after: rest.take(AFTER).collect(), panic };
        let context = self.lines.split_off(self.lines.len().saturating_sub(CONTEXT));
        Found { odd: self.odd.is_some(), number, context: context.into(), side }
    }
}
