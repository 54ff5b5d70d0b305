//! Takes things away: requests, events, losses, replicas, time.

use std::iter;
use std::ops::Range;

use super::Shrinker;
use crate::chaos::ConnectivityMatrix;
use crate::id::{REPLICAS_MIN, ReplicaId};
use crate::lab::Case;
use crate::lab::fewer::Kept;
use crate::time::{Span, Time};

/// The shortest lifetime that a file can have.
const LIFETIME_MIN: Span = Span::from_millis(1);

/// Pairs are tried if there are no more things than this.
const PAIRS_MAX: usize = 40;

/// Something that a case has several of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Operation,
    Event,
    Loss,
}

impl Shrinker<'_> {
    /// Takes away all that can go.
    pub(super) fn reduce(&mut self) {
        loop {
            let before = self.best.size;
            self.cut_the_end();
            self.thin(Kind::Event);
            self.thin(Kind::Operation);
            self.drop_replicas();
            self.clear_matrix();
            self.thin(Kind::Loss);
            if self.best.size == before {
                self.drop_pairs();
            }
            if self.best.size == before || self.is_spent() {
                return;
            }
        }
    }

    fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Operation => self.operations().len(),
            Kind::Event => self.best.case.scenario.events.len(),
            Kind::Loss => self.best.case.scenario.losses.len(),
        }
    }

    fn without(&self, places: &[(Kind, Range<usize>)]) -> Case {
        self.changed(|scenario, operations| {
            for (kind, range) in places.iter().cloned() {
                match kind {
                    Kind::Operation => drop(operations.drain(range)),
                    Kind::Event => drop(scenario.events.drain(range)),
                    Kind::Loss => drop(scenario.losses.drain(range)),
                }
            }
        })
    }

    /// Takes away all that can go of one kind, in pieces that begin with all and end with one. The last come first:
    /// they have the least consequences.
    fn thin(&mut self, kind: Kind) {
        let mut piece = self.count(kind);
        while piece > 0 {
            let mut end = self.count(kind);
            let mut taken = false;
            while end > 0 && !self.is_spent() {
                let ends = iter::successors(Some(end), |&end| end.checked_sub(piece).filter(|&end| end > 0));
                let pieces = ends.map(|end| end.saturating_sub(piece)..end);
                let gone = self.take_any(pieces, |shrinker, range| shrinker.without(&[(kind, range.clone())]));
                taken |= gone.is_some();
                end = gone.map_or(0, |range| range.start);
            }
            if piece > 1 || !taken || self.is_spent() {
                piece /= 2;
            }
        }
    }

    /// Takes away two things at once, where neither can go alone.
    fn drop_pairs(&mut self) {
        let things: Vec<(Kind, usize)> = [Kind::Loss, Kind::Event, Kind::Operation]
            .into_iter()
            .flat_map(|kind| (0..self.count(kind)).rev().map(move |place| (kind, place)))
            .collect();
        if things.len() > PAIRS_MAX {
            return;
        }
        // Of one kind the later one is first, so the places stay right.
        let pairs =
            things.iter().enumerate().flat_map(|(i, &one)| things[i + 1..].iter().map(move |&other| [one, other]));
        self.take_any(pairs, |shrinker, pair| shrinker.without(&pair.map(|(kind, place)| (kind, place..place + 1))));
    }

    /// The run ends as early as may be.
    fn cut_the_end(&mut self) {
        let end = |shrinker: &Self| shrinker.best.case.scenario.end().nanos();
        let mut step = end(self) / 2;
        while step >= 10_000_000 {
            let sooner = Time(end(self).saturating_sub(step));
            if !self.take(self.ending(sooner)) {
                step /= 2;
            }
        }
        self.take(self.ending(Time(end(self))));
    }

    /// The case that ends then.
    pub(super) fn ending(&self, end: Time) -> Case {
        self.changed(|scenario, operations| {
            let start = scenario.start();
            scenario.events.retain(|event| event.time <= end);
            operations.retain(|scripted| start + scripted.time <= end);
            let events = scenario.events.iter().map(|event| event.time.since(start));
            let last = operations.iter().map(|scripted| scripted.time).chain(events).max();
            scenario.lifetime = last.unwrap_or(Span::ZERO).max(LIFETIME_MIN);
            scenario.end_wait = end.since(start + scenario.lifetime);
        })
    }

    fn drop_replicas(&mut self) {
        loop {
            let count = self.best.case.scenario.replicas;
            if count <= REPLICAS_MIN {
                return;
            }
            let ones = ReplicaId::all(count).rev();
            let pairs =
                ones.clone().flat_map(|one| ReplicaId::all(one.index()).rev().map(move |other| vec![one, other]));
            let pairs = pairs.filter(|_| count >= REPLICAS_MIN + 2);
            let sets: Vec<Vec<ReplicaId>> = pairs.chain(ones.map(|one| vec![one])).collect();
            let gone = self.take_any(sets.iter(), |shrinker, gone| shrinker.without_replicas(gone));
            if gone.is_none() || self.is_spent() {
                return;
            }
        }
    }

    fn without_replicas(&self, gone: &[ReplicaId]) -> Case {
        let kept = Kept::without(self.best.case.scenario.replicas, gone);
        self.changed(|scenario, operations| {
            kept.shrink(scenario);
            for scripted in operations {
                scripted.aim = scripted.aim.and_then(|aim| kept.target(aim));
            }
        })
    }

    /// Links lose nothing at first; all of them, or one after another.
    fn clear_matrix(&mut self) {
        let replicas = self.best.case.scenario.replicas;
        let calm = ConnectivityMatrix::uniform(replicas, 0.0).expect("0 is a probability");
        if self.best.case.scenario.matrix == calm || self.take(self.changed(|scenario, _| scenario.matrix = calm)) {
            return;
        }
        for (from, to) in (0..replicas).flat_map(|from| (0..replicas).map(move |to| (from, to))) {
            let clear = self.changed(|scenario, _| {
                scenario.matrix.set(from, to, 0.0).expect("a link of the cluster");
            });
            self.take(clear);
        }
    }
}
