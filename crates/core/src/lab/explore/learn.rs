//! Which case comes next: one that a seed draws, or a change of one that reached something new.

use std::path::PathBuf;

use super::change::changed;
use super::corpus::{CASES_MAX, Corpus, Entry, Lesson};
use super::draw::draw;
use super::edges::Met;
use crate::lab::{Case, Protocol, Trial};
use crate::rng::Stream;

/// What has been learned counts from the next round on. So a case depends on earlier rounds alone, and those of one round can be
/// run at the same time, on any number of cores.
pub(in crate::lab) const ROUND: usize = 64;

/// The share of cases that are drawn anew, at least and at most. At first a drawn case meets more that is new than a changed
/// one, later less.
const FRESH: (f64, f64) = (0.25, 0.9);

/// What a drawn case is worth besides its new edges, as a number of them. Where runs meet nothing new any more, bugs hide
/// in what edges do not tell apart, and drawn cases differ more than changed ones.
const WORTH_OF_DRAWN: f64 = 0.2;

/// With each round, what earlier ones brought counts this much less.
const FADING: f64 = 0.9;

/// The share of changed cases into which a second one may be joined.
const JOINED: f64 = 0.3;

/// A case, and where it comes from.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The case.
    pub case: Case,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where an explored case comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A seed has drawn it.
    Drawn {
        /// The seed.
        seed: u64,
    },
    /// It changes an earlier case that reached something new.
    Changed {
        /// The seed by which it was changed.
        seed: u64,
    },
    /// It was in the corpus from the start.
    Kept {
        /// Its file.
        path: PathBuf,
    },
}

/// Chooses cases, and learns from what comes of them. It is a pure function of its seeds.
#[derive(Clone, Debug)]
pub struct Learner {
    protocol: Protocol,
    /// None if it does not track what runs meet.
    corpus: Option<Corpus>,
    /// Whether it changes cases of its corpus. If not, it only draws.
    changes: bool,
    /// What each case of the corpus is worth in this round.
    worths: Vec<u64>,
    /// What this round has brought so far.
    round: Vec<Lesson>,
    /// What drawn cases have brought.
    drawn: Gain,
    /// What changed ones have brought.
    changed: Gain,
}

/// What cases of one origin have brought, the newest most.
#[derive(Clone, Copy, Debug, Default)]
struct Gain {
    runs: f64,
    new_edges: f64,
}

impl Gain {
    fn add(&mut self, new_edges: usize) {
        self.runs += 1.0;
        self.new_edges += new_edges as f64;
    }

    fn fade(&mut self) {
        (self.runs, self.new_edges) = (self.runs * FADING, self.new_edges * FADING);
    }

    /// New edges in a run. Without any run, it is one.
    fn rate(self) -> f64 {
        (self.new_edges + 1.0) / (self.runs + 1.0)
    }
}

impl Learner {
    /// One that has learned nothing yet.
    pub fn new(protocol: Protocol) -> Learner {
        Learner { changes: true, ..Learner::counting(protocol) }
    }

    /// One that draws each case from its seed, and does not track what runs meet. It is the fastest.
    pub fn drawing(protocol: Protocol) -> Learner {
        Learner {
            protocol,
            corpus: None,
            changes: false,
            worths: Vec::new(),
            round: Vec::new(),
            drawn: Gain::default(),
            changed: Gain::default(),
        }
    }

    /// One that draws each case from its seed, but counts the edges that runs meet, as a measure for one that learns.
    pub fn counting(protocol: Protocol) -> Learner {
        Learner { corpus: Some(Corpus::new()), ..Learner::drawing(protocol) }
    }

    /// The protocol whose cases it chooses.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// Whether it tracks the edges that runs meet.
    pub(super) fn tracks(&self) -> bool {
        self.corpus.is_some()
    }

    /// How many different edges it had met when the last round ended.
    pub fn edges(&self) -> usize {
        self.corpus.as_ref().map_or(0, Corpus::edges)
    }

    /// How many cases its corpus has.
    pub fn cases(&self) -> usize {
        self.corpus.as_ref().map_or(0, Corpus::len)
    }

    /// Whether its cases together meet fewer edges than it has met, since its memory is bounded.
    pub(super) fn has_retired(&self) -> bool {
        self.corpus.as_ref().is_some_and(Corpus::has_retired)
    }

    /// Few cases that meet all edges that any of its cases meets.
    pub(super) fn smallest_corpus(&self) -> Vec<&Entry> {
        self.corpus.as_ref().map_or_else(Vec::new, Corpus::cover)
    }

    /// How many more cases belong to this round. Where nothing is noted, one round is all.
    pub(super) fn round_left(&self) -> u64 {
        if self.tracks() { (ROUND - self.round.len()) as u64 } else { u64::MAX }
    }

    /// The case of a seed, by what earlier rounds have taught.
    pub fn choose(&self, seed: u64) -> Choice {
        let close = self.corpus.as_ref().filter(|_| self.changes).and_then(|corpus| {
            let mut dice = Stream::new(seed, "explore learn");
            if dice.chance(self.fresh()) {
                return None;
            }
            let parent = corpus.pick(&self.worths, &mut dice)?;
            let other = if dice.chance(JOINED) { corpus.pick(&self.worths, &mut dice) } else { None };
            Some(Choice { case: changed(parent, other, seed, &mut dice), origin: Origin::Changed { seed } })
        });
        close.unwrap_or_else(|| Choice { case: draw(&self.protocol, seed), origin: Origin::Drawn { seed } })
    }

    /// The share of cases that are drawn anew: drawn and changed ones share as the new edges that they brought of late.
    fn fresh(&self) -> f64 {
        let (drawn, changed) = (self.drawn.rate() + WORTH_OF_DRAWN, self.changed.rate());
        (drawn / (drawn + changed)).clamp(FRESH.0, FRESH.1)
    }

    /// Runs a case. Edges are tracked only if they are noted.
    pub fn attempt(&self, case: &Case) -> (Trial, Met) {
        if self.tracks() {
            return case.attempt_tracked();
        }
        let (trial, seen) = case.attempt_surveyed();
        (trial, Met { seen, ..Met::default() })
    }

    /// Learns from what came of a case, and what its run met.
    pub fn learn(&mut self, choice: &Choice, trial: &Trial, met: Met) {
        if self.tracks() {
            self.take(Lesson::new(choice.clone(), trial, met));
        }
    }

    pub(super) fn take(&mut self, lesson: Lesson) {
        self.round.push(lesson);
        if self.round.len() == ROUND {
            self.end_round();
        }
    }

    /// Lets what was learned count from now on.
    pub(super) fn end_round(&mut self) {
        let Some(corpus) = &mut self.corpus else { return };
        self.drawn.fade();
        self.changed.fade();
        for lesson in self.round.drain(..) {
            let gain = match lesson.origin {
                Origin::Drawn { .. } => Some(&mut self.drawn),
                Origin::Changed { .. } => Some(&mut self.changed),
                Origin::Kept { .. } => None,
            };
            let new_edges = corpus.learn(lesson);
            if let Some(gain) = gain {
                gain.add(new_edges);
            }
        }
        corpus.retire(CASES_MAX);
        self.worths = corpus.worths();
    }
}

#[cfg(test)]
impl Learner {
    /// Drops all cases but this many.
    pub(super) fn retire(&mut self, most: usize) {
        self.corpus.as_mut().expect("it learns").retire(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::explore::Seen;
    use crate::subjects;

    /// What an exploration of some seeds comes to.
    fn explored(mut learner: Learner, seeds: u64) -> (Learner, Vec<Option<u64>>) {
        let mut traces = Vec::new();
        for seed in 0..seeds {
            let choice = learner.choose(seed);
            let (trial, met) = learner.attempt(&choice.case);
            traces.push(trial.trace());
            learner.learn(&choice, &trial, met);
        }
        (learner, traces)
    }

    #[test]
    fn the_same_seeds_lead_to_the_same_cases() {
        let (one, traces) = explored(Learner::new(subjects::raft()), 400);
        let (other, again) = explored(Learner::new(subjects::raft()), 400);
        assert_eq!((one.edges(), one.cases(), traces), (other.edges(), other.cases(), again));
    }

    #[test]
    fn what_is_learned_changes_cases_from_the_second_round_on() {
        let (_, drawn) = explored(Learner::drawing(subjects::raft()), 400);
        let (learner, learned) = explored(Learner::new(subjects::raft()), 400);
        let same = |places: std::ops::Range<usize>| places.filter(|&place| drawn[place] == learned[place]).count();
        assert_eq!(same(0..ROUND), ROUND);
        let later = same(ROUND..400);
        assert!((84..320).contains(&later), "{later}: of 336 at least a quarter, and not all");
        assert!(learner.cases() > 50 && learner.edges() > 1_000);
    }

    #[test]
    fn what_brings_more_new_edges_gets_more_of_the_cases() {
        let mut learner = Learner::new(subjects::raft());
        assert!((0.5..0.6).contains(&learner.fresh()), "nothing is known yet: {}", learner.fresh());
        (0..100).for_each(|_| learner.drawn.add(3));
        (0..100).for_each(|_| learner.changed.add(1));
        assert!((0.74..0.78).contains(&learner.fresh()), "{}", learner.fresh());
        for _ in 0..100 {
            learner.drawn.fade();
            learner.changed.fade();
            (0..64).for_each(|_| learner.changed.add(5));
        }
        assert_eq!(learner.fresh(), FRESH.0, "drawn cases have brought little since");
        for _ in 0..100 {
            learner.drawn.fade();
            learner.changed.fade();
            (0..32).for_each(|_| learner.drawn.add(0));
            (0..32).for_each(|_| learner.changed.add(0));
        }
        assert_eq!(learner.fresh(), FRESH.1, "nothing has brought anything since");
    }

    #[test]
    fn one_that_counts_edges_runs_the_cases_that_are_drawn() {
        let (drawing, drawn) = explored(Learner::drawing(subjects::raft()), 400);
        let (counting, counted) = explored(Learner::counting(subjects::raft()), 400);
        assert_eq!(drawn, counted);
        assert!(drawing.edges() == 0 && counting.edges() > 1_000);
    }

    #[test]
    fn one_that_only_draws_tracks_no_edges_but_all_note_situations() {
        let case = draw(&subjects::raft(), 1);
        let (_, drawn) = Learner::drawing(subjects::raft()).attempt(&case);
        let (_, counted) = Learner::counting(subjects::raft()).attempt(&case);
        assert!(drawn.edges.is_empty() && !counted.edges.is_empty());
        assert!(drawn.seen != Seen::default() && drawn.seen == counted.seen);
    }

    #[test]
    fn every_changed_case_can_be_written_and_read() {
        let (learner, _) = explored(Learner::new(subjects::raft()), 640);
        for seed in 10_000..13_000 {
            let scenario = learner.choose(seed).case.scenario;
            let mut file = Vec::new();
            scenario.write_json(&mut file).expect("memory");
            let text = String::from_utf8(file).expect("text");
            let read = crate::scenario::Scenario::parse(&scenario.name, "x.json", &text).expect("valid").scenario;
            assert_eq!(read, scenario, "{}", scenario.name);
        }
    }
}
