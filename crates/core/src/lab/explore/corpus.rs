//! The corpus: cases that reached something new, and what each is worth.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::edges::{EDGES, Met, Moment};
use super::learn::{Choice, Origin};
use crate::check::Finding;
use crate::lab::{Case, Trial};
use crate::rng::Stream;

/// A case is kept with this many of its moments, those of its rarest edges.
const MOMENTS_MAX: usize = 64;

/// What a case is worth for an edge that no other run has met.
const WORTH: u64 = 1 << 20;

/// This many of its rarest edges say what a case is worth. Many edges that are all common make no case a good one.
const RAREST: usize = 8;

/// There are no more cases than this. If there are, those that are worth least are dropped, an eighth of all.
pub(super) const CASES_MAX: usize = 16_384;

/// The champion of an edge whose champion was dropped. It is never beaten, so that its likes do not fill the corpus again.
const RETIRED: (u32, u64) = (u32::MAX, 0);

/// Runs of this many events cost as little as any.
const CHEAP: u64 = 2_000;

/// A case and what came of it, as far as an exploration learns from it.
#[derive(Clone, Debug)]
pub(super) struct Lesson {
    pub case: Case,
    /// Where the case comes from.
    pub origin: Origin,
    /// The trace's hash, and what was found.
    pub trace: Option<u64>,
    pub findings: Vec<Finding>,
    /// Where each edge was met first, in order of time.
    pub moments: Vec<Moment>,
    /// How many events the run had.
    pub events: u64,
}

impl Lesson {
    pub fn new(choice: Choice, trial: &Trial, met: Met) -> Lesson {
        let (Choice { case, origin }, trace, findings) = (choice, trial.trace(), trial.findings.clone());
        Lesson { case, origin, trace, findings, moments: met.edges.into_moments(), events: trial.events() }
    }
}

/// A case that reached something new.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub case: Case,
    /// The trace's hash, and what was found.
    pub trace: Option<u64>,
    pub findings: Vec<Finding>,
    /// The moments of its rarest edges, in order of time.
    pub moments: Vec<Moment>,
    /// How many events its run had.
    cost: u64,
    /// Its number among all that were ever kept.
    serial: u32,
    /// The edges that it met, and those for which it is the champion.
    edges: Vec<u32>,
    champion_of: Vec<u32>,
}

/// The cases that an exploration goes on from.
///
/// Each edge has a *champion*: the first case that met it, or one that met it later in a run of less than half as many events.
/// A case that is the champion of no edge is dropped, so the corpus is always minimised. In long explorations some of the
/// others are dropped, too, so that memory is bounded.
#[derive(Clone, Debug)]
pub(super) struct Corpus {
    /// In order of their numbers.
    entries: Vec<Entry>,
    next_serial: u32,
    edges: Vec<Known>,
    met: usize,
    /// Whether cases were dropped that were champions.
    has_retired: bool,
}

/// What is known of an edge.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// How many runs met it.
    runs: u32,
    /// The number of its champion, and how many events that one's run had.
    champion: Option<(u32, u64)>,
}

impl Corpus {
    pub fn new() -> Corpus {
        Corpus { entries: Vec::new(), next_serial: 0, edges: vec![Known::default(); EDGES], met: 0, has_retired: false }
    }

    /// How many different edges were met.
    pub fn edges(&self) -> usize {
        self.met
    }

    /// How many cases there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether its cases together meet fewer edges than were met, since some had to be dropped.
    pub fn has_retired(&self) -> bool {
        self.has_retired
    }

    /// Few cases that together meet all edges that any of them meets: at each step the one that meets the most new ones, and
    /// of several the oldest.
    /// (To find the fewest is NP-hard. This takes a logarithmic factor more at worst.)
    pub fn cover(&self) -> Vec<&Entry> {
        let mut is_met = vec![false; EDGES];
        let gain = |entry: &Entry, is_met: &[bool]| entry.edges.iter().filter(|&&edge| !is_met[edge as usize]).count();
        // A gain only ever becomes smaller, so the first that is still as large as it was is the largest.
        let entries = self.entries.iter().enumerate();
        let mut queue: BinaryHeap<(usize, Reverse<usize>)> =
            entries.map(|(place, entry)| (entry.edges.len(), Reverse(place))).collect();
        let mut cover = Vec::new();
        while let Some((before, Reverse(place))) = queue.pop() {
            let entry = &self.entries[place];
            match gain(entry, &is_met) {
                0 => {}
                now if now < before => queue.push((now, Reverse(place))),
                _ => {
                    entry.edges.iter().for_each(|&edge| is_met[edge as usize] = true);
                    cover.push(entry);
                }
            }
        }
        cover
    }

    /// Learns from a run, and returns how many edges no run had met before. Its case is kept if it becomes a champion.
    pub fn learn(&mut self, lesson: Lesson) -> usize {
        let mut won = Vec::new();
        let (events, before) = (lesson.events, self.met);
        for &Moment { edge, .. } in &lesson.moments {
            let known = &mut self.edges[edge as usize];
            self.met += usize::from(known.runs == 0);
            if known.champion.is_none_or(|(_, least)| events.saturating_mul(2) < least) {
                won.push(edge);
            }
            known.runs = known.runs.saturating_add(1);
        }
        if !won.is_empty() {
            self.keep(lesson, won);
        }
        self.met - before
    }

    fn keep(&mut self, lesson: Lesson, won: Vec<u32>) {
        let Lesson { case, trace, findings, mut moments, events: cost, .. } = lesson;
        let serial = self.next_serial;
        self.next_serial += 1;
        for &edge in &won {
            if let Some((loser, _)) = self.edges[edge as usize].champion.replace((serial, cost)) {
                self.dethrone(loser, edge);
            }
        }
        let edges = moments.iter().map(|moment| moment.edge).collect();
        moments.sort_by_key(|moment| (self.edges[moment.edge as usize].runs, moment.time, moment.edge));
        moments.truncate(MOMENTS_MAX);
        moments.sort_by_key(|moment| (moment.time, moment.edge));
        moments.shrink_to_fit();
        self.entries.push(Entry { case, trace, findings, moments, cost, serial, edges, champion_of: won });
    }

    /// A case is no longer the champion of an edge.
    fn dethrone(&mut self, loser: u32, edge: u32) {
        let place = self.entries.binary_search_by_key(&loser, |entry| entry.serial).expect("a champion is kept");
        self.entries[place].champion_of.retain(|&other| other != edge);
        if self.entries[place].champion_of.is_empty() {
            self.entries.remove(place);
        }
    }

    /// What a case is worth: the more, the fewer runs met the edges for which it is the champion, and the less, the longer its
    /// run is.
    fn worth(&self, entry: &Entry) -> u64 {
        let rarity = |&edge: &u32| WORTH / u64::from(self.edges[edge as usize].runs.max(1));
        let mut rarities: Vec<u64> = entry.champion_of.iter().map(rarity).collect();
        rarities.sort_unstable_by_key(|&rarity| Reverse(rarity));
        let sum: u64 = rarities.iter().take(RAREST).sum();
        (sum / (entry.cost / CHEAP + 1)).max(1)
    }

    /// What each case is worth, together with those before it: each is chosen as often as it is worth.
    pub fn worths(&self) -> Vec<u64> {
        let sums = self.entries.iter().scan(0, |sum, entry| {
            *sum += self.worth(entry);
            Some(*sum)
        });
        sums.collect()
    }

    /// Drops the cases that are worth least, and of several the oldest, if there are more than `most`.
    pub fn retire(&mut self, most: usize) {
        if self.entries.len() <= most {
            return;
        }
        let mut order: Vec<(u64, u32)> = self.entries.iter().map(|entry| (self.worth(entry), entry.serial)).collect();
        order.sort_unstable();
        self.has_retired = true;
        let gone: BTreeSet<u32> = order.iter().take(most / 8 + order.len() - most).map(|(_, serial)| *serial).collect();
        let edges = &mut self.edges;
        self.entries.retain(|entry| {
            let goes = gone.contains(&entry.serial);
            let left = entry.champion_of.iter().filter(|_| goes);
            left.for_each(|&edge| edges[edge as usize].champion = Some(RETIRED));
            !goes
        });
    }

    /// One of the cases, by what [`Corpus::worths`] has said of them; none if there was none.
    pub fn pick(&self, worths: &[u64], dice: &mut Stream) -> Option<&Entry> {
        let place = dice.below(*worths.last()?);
        self.entries.get(worths.partition_point(|&sum| sum <= place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ReplicaId;
    use crate::lab::explore::draw;
    use crate::subjects;
    use crate::time::Time;

    fn learn(corpus: &mut Corpus, seed: u64, met: &[u32], events: u64) {
        let (replica, from) = (ReplicaId(0), ReplicaId(1));
        let moments = (0..).zip(met).map(|(time, &edge)| Moment { edge, time: Time(time), replica, from }).collect();
        let (case, origin) = (draw(&subjects::raft(), seed), Origin::Drawn { seed });
        corpus.learn(Lesson { case, origin, trace: None, findings: Vec::new(), moments, events });
    }

    fn seeds(corpus: &Corpus) -> Vec<u64> {
        corpus.entries.iter().map(|entry| entry.case.seed).collect()
    }

    #[test]
    fn a_cover_has_few_cases_and_all_edges() {
        let mut corpus = Corpus::new();
        learn(&mut corpus, 1, &[1, 2], 1_000);
        learn(&mut corpus, 2, &[2, 3, 4], 1_000);
        learn(&mut corpus, 3, &[1, 2, 3, 4, 5], 1_000);
        learn(&mut corpus, 4, &[6], 1_000);
        assert_eq!(corpus.len(), 4);
        assert_eq!(corpus.cover().iter().map(|entry| entry.case.seed).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn a_case_is_kept_as_long_as_it_is_the_champion_of_an_edge() {
        let mut corpus = Corpus::new();
        learn(&mut corpus, 1, &[10, 20], 1_000);
        learn(&mut corpus, 2, &[20], 900);
        assert_eq!((seeds(&corpus), corpus.edges()), (vec![1], 2), "it is hardly cheaper");
        learn(&mut corpus, 3, &[20, 30], 499);
        assert_eq!((seeds(&corpus), corpus.edges()), (vec![1, 3], 3));
        learn(&mut corpus, 4, &[10], 400);
        assert_eq!(seeds(&corpus), [3, 4], "the first one has lost both of its edges");
    }

    #[test]
    fn those_that_are_worth_least_are_dropped_and_what_they_met_counts_as_known() {
        let mut corpus = Corpus::new();
        // Edge 0 is met again and again; 1 to 16 once each, by cases of their own.
        learn(&mut corpus, 1, &[0], 1_000);
        (1..=16).for_each(|edge| learn(&mut corpus, 1 + edge, &[0, edge as u32], 1_000));
        corpus.retire(17);
        assert_eq!(corpus.len(), 17);
        corpus.retire(16);
        assert_eq!((corpus.len(), corpus.edges()), (14, 17), "one too many, and an eighth more");
        assert_eq!(seeds(&corpus), (4..=17).collect::<Vec<u64>>(), "the common edge's, and the oldest");
        learn(&mut corpus, 100, &[0, 1], 1);
        assert_eq!(corpus.len(), 14, "its edges are not new, and need no champion");
        learn(&mut corpus, 101, &[0, 1, 20], 1);
        assert_eq!(corpus.len(), 15);
    }

    #[test]
    fn cases_with_rare_edges_and_short_runs_are_chosen_more_often() {
        let mut corpus = Corpus::new();
        learn(&mut corpus, 1, &[1], 1_000);
        for _ in 0..9 {
            learn(&mut corpus, 2, &[1], 1_000);
        }
        learn(&mut corpus, 3, &[2], 1_000);
        learn(&mut corpus, 4, &[3], 19_000);
        let worths = corpus.worths();
        let mut dice = Stream::new(1, "test");
        let mut chosen = [0; 5];
        for _ in 0..11_000 {
            chosen[corpus.pick(&worths, &mut dice).expect("there are some").case.seed as usize] += 1;
        }
        // One has an edge of ten runs, the other nine times as many events: each is worth a tenth of the third.
        assert!(
            chosen[3] > 8_000 && (600..1_300).contains(&chosen[1]) && (600..1_300).contains(&chosen[4]),
            "{chosen:?}"
        );
    }

    #[test]
    fn nothing_is_chosen_from_an_empty_corpus() {
        let corpus = Corpus::new();
        assert!(corpus.pick(&corpus.worths(), &mut Stream::new(1, "test")).is_none());
    }
}
