//! Whether runs are what they should be: pure functions of program, scenario and seed.
//!
//! Every run is played twice, the second time on another thread and in another order. If the two are not the same, the
//! first event that differs is named. Of the first two runs only a little is kept of each event, so two further ones
//! are played in lockstep and compared event by event, and both sides of the difference are shown. What is no function
//! of the seed need not differ there again, nor at all. So they are tried several times; and where the first two parted
//! is known in any case.
//!
//! All runs are in one process, so what differs only between processes is not seen.

mod closeup;
mod divergence;
mod tape;

use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

pub use divergence::{Divergence, Line, Side, Sighting};

use crate::lab::plays::{Booting, Plays, whole};
use crate::machine::{Boot, Exit, Identity, Machine};
use crate::mutation;
use crate::record::{Event, Observer, RunRecord, Scene};
use crate::scenario::Scenario;
use crate::service::Service;
use crate::world::catch_quietly;
use tape::{MARKS_MAX, Tape};

/// So many runs are played in order before they are played again in the opposite order. Bounds memory.
const BATCH: usize = 16;

/// So many events before the one that differs are shown.
const CONTEXT: usize = 5;

/// So many events after it.
const AFTER: usize = 3;

/// So often two runs are played in lockstep until they differ where the first two did.
const CLOSEUPS_MAX: u64 = 10;

/// With long runs less often, but once at least: so many events of pairs are played.
const CLOSEUP_EVENTS_MAX: u64 = 20_000_000;

/// What was found to be the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Runs, each of which was played twice.
    pub runs: u64,
    /// Events of all these runs, counted once.
    pub events: u64,
}

/// Plays a scenario twice with each seed, and compares events, records and ends. `build` makes each replica.
///
/// # Errors
/// If two runs differ, or both panic: the first seed with which they do.
pub fn verify<P: Service>(
    scenario: &Scenario,
    seeds: impl IntoIterator<Item = u64, IntoIter: Send>,
    build: impl Fn(Identity) -> P + Sync,
) -> Result<Agreement, Box<Divergence>> {
    verify_all(seeds.into_iter().map(|seed| (scenario, seed)), |_| {}, |boot| Ok(build(boot.identity)))
}

/// As [`verify`], for runs of several scenarios. `watch` is told of each run that was played, so twice of all.
///
/// # Errors
/// As [`verify`]: about the first run that differs.
pub fn verify_all<'s, P: Service>(
    runs: impl Iterator<Item = (&'s Scenario, u64)> + Send,
    watch: impl Fn(&Scenario) + Sync,
    build: impl Fn(Boot<P::Record>) -> Result<P, Exit> + Sync,
) -> Result<Agreement, Box<Divergence>> {
    verify_played(runs, watch, &Booting::new(build))
}

/// As [`verify_all`], for runs of any world in virtual time.
pub(super) fn verify_played<'s>(
    runs: impl Iterator<Item = (&'s Scenario, u64)> + Send,
    watch: impl Fn(&Scenario) + Sync,
    plays: &impl Plays,
) -> Result<Agreement, Box<Divergence>> {
    let (runs, stop, watch) = (&mut runs.fuse(), &AtomicBool::new(false), &watch);
    // A mutant is that of its thread.
    let mutant = mutation::active();
    // Nothing waits in it: one batch is played while the one before it is played again.
    let (batches, played) = mpsc::sync_channel::<Vec<First<'s>>>(0);
    thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                let going_on = runs.by_ref().take_while(|_| !stop.load(Ordering::Relaxed));
                let play = |(scenario, seed)| mutation::with(mutant, || First::play(scenario, seed, watch, plays));
                let batch: Vec<First<'s>> = going_on.take(BATCH).map(play).collect();
                if batch.is_empty() || batches.send(batch).is_err() {
                    break;
                }
            }
        });
        let again = scope.spawn(move || {
            let mut agreement = Agreement::default();
            for batch in played {
                agreement.runs += batch.len() as u64;
                agreement.events += batch.iter().map(|first| first.tape.events()).sum::<u64>();
                let mut found = None;
                for first in batch.iter().rev() {
                    // In the opposite order, so the first of the batch comes last.
                    found = mutation::with(mutant, || first.again(watch, plays))
                        .map(|divergence| (divergence, first.scenario))
                        .or(found);
                }
                if let Some((divergence, scenario)) = found {
                    stop.store(true, Ordering::Relaxed);
                    return Err(Box::new(mutation::with(mutant, || closer(divergence, scenario, plays))));
                }
            }
            Ok(agreement)
        });
        again.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

/// A run that was played, and is to be played again.
struct First<'s> {
    scenario: &'s Scenario,
    seed: u64,
    tape: Tape,
    end: Result<RunRecord, String>,
}

impl<'s> First<'s> {
    fn play(scenario: &'s Scenario, seed: u64, watch: impl Fn(&Scenario), plays: &impl Plays) -> First<'s> {
        let mut tape = Tape::new(MARKS_MAX);
        // Observers are used after a panic: they receive an event as a whole or not at all.
        let end = catch_quietly(|| whole(plays.begin(scenario, seed, &mut tape)));
        watch(scenario);
        First { scenario, seed, tape, end }
    }

    /// Plays it again; what differs, if anything does.
    fn again(&self, watch: impl Fn(&Scenario), plays: &impl Plays) -> Option<Divergence> {
        let mut second = Second { tape: Tape::new(MARKS_MAX), first: &self.tape, odd: None };
        let end = catch_quietly(|| whole(plays.begin(self.scenario, self.seed, &mut second)));
        watch(self.scenario);
        let parting = self.tape.parting(&second.tape);
        let (mut fields, mut sighting) = (Vec::new(), None);
        match (parting, &self.end, &end) {
            (None, Ok(one), Ok(other)) => fields = differing_fields(one, other),
            // Runs that panic alike are no good either.
            _ => {
                let common = parting.map_or(self.tape.events(), |parting| parting.common);
                let exact = parting.is_none_or(|parting| parting.exact);
                let sides = [side(&self.tape, common, &self.end, None), side(&second.tape, common, &end, second.odd)];
                let first = common.saturating_sub(CONTEXT as u64) + 1;
                let context = lines(&self.tape, first, common);
                sighting = Some(Sighting { number: common + 1, exact, lockstep: false, context, sides });
            }
        }
        (sighting.is_some() || !fields.is_empty()).then(|| Divergence {
            scenario: self.scenario.name.clone(),
            seed: self.seed,
            events: [self.tape.events(), second.tape.events()],
            sighting,
            again: None,
            panics: [&self.end, &end].map(|end| end.as_ref().err().cloned()),
            fields,
        })
    }
}

/// Watches a second run, for its first event that is not the first run's.
struct Second<'f> {
    tape: Tape,
    first: &'f Tape,
    odd: Option<Line>,
}

impl<P: Machine> Observer<P> for Second<'_> {
    fn event(&mut self, scene: &Scene<'_, P>, event: &Event<'_, P::Message>) {
        self.tape.record(scene.now, event);
        if self.odd.is_none() && self.first.is_complete() && self.tape.is_complete() {
            let number = self.tape.events();
            let hash = |tape: &Tape| tape.mark(number).map(|mark| mark.hash);
            if hash(&self.tape) != hash(self.first) {
                self.odd = Some(Line { time: scene.now, text: event.to_string() });
            }
        }
    }
}

/// How the run on a tape went on after so many events. `odd` is the next one, if more is known of it.
fn side(tape: &Tape, common: u64, end: &Result<RunRecord, String>, odd: Option<Line>) -> Side {
    let event = odd.or_else(|| lines(tape, common + 1, common + 1).pop());
    Side { event, after: lines(tape, common + 2, common + 1 + AFTER as u64), panic: end.as_ref().err().cloned() }
}

/// The events with these numbers, as far as they are kept.
fn lines(tape: &Tape, first: u64, last: u64) -> Vec<Line> {
    let marks = (first..=last).filter_map(|number| tape.mark(number));
    marks.map(|mark| Line { time: mark.time, text: mark.outline.to_string() }).collect()
}

/// The divergence, with what two runs in lockstep show of it.
fn closer(mut divergence: Divergence, scenario: &Scenario, plays: &impl Plays) -> Divergence {
    let Some(sighting) = divergence.sighting.as_mut().filter(|sighting| !sighting.is_the_same()) else {
        return divergence;
    };
    let tries = (CLOSEUP_EVENTS_MAX / divergence.events[0].max(1)).clamp(1, CLOSEUPS_MAX);
    for _ in 0..tries {
        let Some(found) = closeup::closeup(scenario, divergence.seed, plays) else { continue };
        if found.number == sighting.number || (!sighting.exact && found.number > sighting.number) {
            *sighting = found;
            divergence.again = None;
            break;
        }
        divergence.again.get_or_insert(found);
    }
    divergence
}

/// The names of the fields in which two records differ. Whether their events do is known better.
fn differing_fields(one: &RunRecord, other: &RunRecord) -> Vec<&'static str> {
    // All fields are named, so that a new one is not forgotten.
    let RunRecord {
        world,
        seed,
        leaders,
        struck,
        died,
        killed,
        sent,
        dropped,
        malformed,
        complaints,
        history,
        stray_answers,
        packet_storm,
        request_storm,
        obstacle,
        unfaithful,
        lag,
        end,
        living,
        able,
        connected,
        served,
        outages,
        calm,
        events,
        trace,
    } = one;
    let fields = [
        ("world", *world != other.world),
        ("seed", *seed != other.seed),
        ("leaders", *leaders != other.leaders),
        ("struck", *struck != other.struck),
        ("died", *died != other.died),
        ("killed", *killed != other.killed),
        ("sent", *sent != other.sent),
        ("dropped", *dropped != other.dropped),
        ("malformed", *malformed != other.malformed),
        ("complaints", *complaints != other.complaints),
        ("history", *history != other.history),
        ("stray_answers", *stray_answers != other.stray_answers),
        ("packet_storm", *packet_storm != other.packet_storm),
        ("request_storm", *request_storm != other.request_storm),
        ("obstacle", *obstacle != other.obstacle),
        ("unfaithful", *unfaithful != other.unfaithful),
        ("lag", *lag != other.lag),
        ("end", *end != other.end),
        ("living", *living != other.living),
        ("able", *able != other.able),
        ("connected", *connected != other.connected),
        ("served", *served != other.served),
        ("outages", *outages != other.outages),
        ("calm", *calm != other.calm),
        ("events", *events != other.events),
        ("trace", *trace != other.trace),
    ];
    fields.into_iter().filter(|&(_, differs)| differs).map(|(name, _)| name).collect()
}
