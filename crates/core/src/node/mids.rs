//! The strings of MIDs, between a request and its answer.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::hash::StableHasher;
use crate::id::{ClientId, Mid};

/// Remembers how the MIDs of the newest unanswered requests were written.
///
/// Invariants:
/// - Never more than `max` requests are remembered.
/// - Every remembered request is in `order` once, with its serial number. All other entries there have been answered,
///   and are cleared away before there are more than `max` of them.
#[derive(Clone, Debug)]
pub(super) struct MidTexts {
    table: HashTable<Remembered>,
    /// In order of arrival, so that the oldest is forgotten first.
    order: VecDeque<(u64, ClientId, Mid)>,
    arrivals: u64,
    max: usize,
}

#[derive(Clone, Debug)]
struct Remembered {
    serial: u64,
    from: ClientId,
    mid: Mid,
    text: Box<str>,
}

impl MidTexts {
    /// A memory of at most this many requests.
    pub fn new(max: usize) -> MidTexts {
        MidTexts { table: HashTable::new(), order: VecDeque::new(), arrivals: 0, max }
    }

    /// Remembers the MID of a request, and forgets that of the oldest one if there are too many. A request that is
    /// remembered already keeps its age.
    pub fn insert(&mut self, from: ClientId, mid: Mid, text: &str) {
        if self.table.find(hash(from, mid), |known| (known.from, known.mid) == (from, mid)).is_some() {
            return;
        }
        self.make_room();
        let serial = self.arrivals;
        self.arrivals += 1;
        self.order.push_back((serial, from, mid));
        let remembered = Remembered { serial, from, mid, text: text.into() };
        self.table.insert_unique(hash(from, mid), remembered, |known| hash(known.from, known.mid));
    }

    /// How the MID of a request was written, if it is remembered. The MID is then forgotten.
    pub fn take(&mut self, from: ClientId, mid: Mid) -> Option<Box<str>> {
        let entry = self.table.find_entry(hash(from, mid), |known| (known.from, known.mid) == (from, mid)).ok()?;
        let (remembered, _) = entry.remove();
        // Mostly the answered request is the oldest.
        self.forget_answered_front();
        Some(remembered.text)
    }

    fn make_room(&mut self) {
        if self.table.len() == self.max
            && let Some((_, from, mid)) = self.order.pop_front()
        {
            self.take(from, mid);
        }
        if self.order.len() >= 2 * self.max {
            let mut order = std::mem::take(&mut self.order);
            order.retain(|&place| self.is_open(place));
            self.order = order;
        }
    }

    /// Keeps the oldest unanswered request in front.
    fn forget_answered_front(&mut self) {
        while self.order.front().is_some_and(|&place| !self.is_open(place)) {
            self.order.pop_front();
        }
    }

    fn is_open(&self, (serial, from, mid): (u64, ClientId, Mid)) -> bool {
        self.table.find(hash(from, mid), |known| known.serial == serial).is_some()
    }
}

fn hash(from: ClientId, mid: Mid) -> u64 {
    StableHasher::of(&(from, mid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_taken_once() {
        let mut texts = MidTexts::new(3);
        texts.insert(ClientId(1), Mid(7), "seven");
        texts.insert(ClientId(2), Mid(7), "sept");
        assert_eq!(texts.take(ClientId(1), Mid(7)).as_deref(), Some("seven"));
        assert_eq!(texts.take(ClientId(1), Mid(7)), None);
        assert_eq!(texts.take(ClientId(2), Mid(7)).as_deref(), Some("sept"));
    }

    #[test]
    fn the_oldest_unanswered_one_is_forgotten_first() {
        let mut texts = MidTexts::new(3);
        for mid in 1..=3 {
            texts.insert(ClientId(1), Mid(mid), &mid.to_string());
        }
        texts.insert(ClientId(1), Mid(1), "1");
        assert!(texts.take(ClientId(1), Mid(2)).is_some());
        for mid in 4..=5 {
            texts.insert(ClientId(1), Mid(mid), &mid.to_string());
        }
        let known: Vec<bool> = (1..=5).map(|mid| texts.take(ClientId(1), Mid(mid)).is_some()).collect();
        assert_eq!(known, [false, false, true, true, true]);
    }

    #[test]
    fn the_memory_is_bounded_whatever_is_answered() {
        let mut texts = MidTexts::new(100);
        texts.insert(ClientId(9), Mid(0), "never answered");
        for mid in 0..10_000 {
            texts.insert(ClientId(1), Mid(mid % 500), "x");
            if mid % 3 > 0 {
                texts.take(ClientId(1), Mid(mid % 500));
            }
            assert!(texts.table.len() <= 100 && texts.order.len() <= 200);
        }
    }
}
