//! What is kept of a run's events, so that two runs can be compared afterwards.

use crate::machine::Machine;
use crate::record::{Event, Observer, Outline, Scene, Trace};
use crate::time::Time;

/// So many events of a run are kept at most. With more, every second one is forgotten, again and again; then a
/// difference is only known to lie between two that were kept.
pub(super) const MARKS_MAX: usize = 1 << 17;

/// What is kept of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub time: Time,
    /// The trace's hash up to and including it.
    pub hash: u64,
    pub outline: Outline,
}

/// The events of one run: all of them, or every second, fourth, and so on.
#[derive(Debug)]
pub(super) struct Tape {
    trace: Trace,
    marks: Vec<Mark>,
    marks_max: usize,
    /// A mark for so many events. The n-th mark is of the event number n times this, counted from 1.
    every: u64,
}

/// Where two tapes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parting {
    /// So many events are the same for certain.
    pub common: u64,
    /// Whether the next one differs, or is only in one run. If not, that is somewhere later.
    pub exact: bool,
}

impl Tape {
    /// An empty tape that keeps so many events at most.
    pub fn new(marks_max: usize) -> Tape {
        assert!(marks_max >= 2 && marks_max.is_multiple_of(2), "every second mark can be forgotten");
        Tape { trace: Trace::new(), marks: Vec::new(), marks_max, every: 1 }
    }

    /// Takes down an event.
    pub fn record<M: std::hash::Hash>(&mut self, now: Time, event: &Event<'_, M>) {
        self.trace.record(now, event);
        if !self.events().is_multiple_of(self.every) {
            return;
        }
        self.marks.push(Mark { time: now, hash: self.trace.hash(), outline: event.outline() });
        if self.marks.len() == self.marks_max {
            let mut place = 0;
            self.marks.retain(|_| {
                place += 1;
                place % 2 == 0
            });
            self.every *= 2;
        }
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.trace.events()
    }

    /// Whether all events are kept.
    pub fn is_complete(&self) -> bool {
        self.every == 1
    }

    /// What is kept of the event with this number, counted from 1.
    pub fn mark(&self, number: u64) -> Option<&Mark> {
        if number == 0 || !number.is_multiple_of(self.every) {
            return None;
        }
        self.marks.get(usize::try_from(number / self.every - 1).ok()?)
    }

    /// Where this tape and another part; nowhere, if they are the same to the end.
    pub fn parting(&self, other: &Tape) -> Option<Parting> {
        let (ours, theirs) = (self.events(), other.events());
        if ours == theirs && self.trace.hash() == other.trace.hash() {
            return None;
        }
        let every = self.every.max(other.every);
        let same = |&number: &u64| {
            let hashes = [self, other].map(|tape| tape.mark(number).map(|mark| mark.hash));
            hashes[0].is_some() && hashes[0] == hashes[1]
        };
        let marks = (1..).map(|number: u64| number * every).take_while(same).count() as u64;
        Some(Parting { common: marks * every, exact: every == 1 })
    }
}

impl<P: Machine> Observer<P> for Tape {
    #[inline]
    fn event(&mut self, scene: &Scene<'_, P>, event: &Event<'_, P::Message>) {
        self.record(scene.now, event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ReplicaId;

    /// A tape of so many timeouts, of which one is another replica's.
    fn tape(events: u64, odd: Option<u64>, marks_max: usize) -> Tape {
        let mut tape = Tape::new(marks_max);
        for number in 1..=events {
            let replica = ReplicaId(u8::from(odd == Some(number)));
            tape.record::<u64>(Time(number), &Event::Timeout { replica });
        }
        tape
    }

    #[test]
    fn tapes_part_at_the_first_event_that_differs_or_is_missing() {
        let plain = tape(100, None, 1_000);
        assert_eq!(plain.parting(&tape(100, None, 1_000)), None);
        for odd in [1, 2, 57, 100] {
            let parting = plain.parting(&tape(100, Some(odd), 1_000));
            assert_eq!(parting, Some(Parting { common: odd - 1, exact: true }));
        }
        for (shorter, longer) in [(100, 101), (0, 100), (50, 100)] {
            let (shorter, longer) = (tape(shorter, None, 1_000), tape(longer, None, 1_000));
            let expected = Some(Parting { common: shorter.events(), exact: true });
            assert_eq!((shorter.parting(&longer), longer.parting(&shorter)), (expected, expected));
        }
    }

    #[test]
    fn a_long_tape_forgets_every_second_event_and_still_knows_about_where() {
        let plain = tape(1_000, None, 16);
        assert!(plain.marks.len() < 16);
        assert_eq!(plain.every, 64);
        assert_eq!(plain.mark(256).map(|mark| mark.time), Some(Time(256)));
        assert_eq!(plain.mark(255), None);
        for (odd, common) in [(1, 0), (64, 0), (65, 64), (500, 448), (1_000, 960)] {
            let parting = plain.parting(&tape(1_000, Some(odd), 16));
            assert_eq!(parting, Some(Parting { common, exact: false }), "{odd}");
        }
        // Tapes of other lengths keep other events; what both keep is compared.
        let parting = plain.parting(&tape(300, None, 16));
        assert_eq!(parting, Some(Parting { common: 256, exact: false }));
    }
}
