//! A memory of requests, so that each is accepted, and so answered, at most once.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::hash::StableHasher;
use crate::id::{ClientId, Mid};

/// Remembers the newest requests, by client and MID.
#[derive(Clone, Debug)]
pub(super) struct SeenRequests {
    table: HashTable<(ClientId, Mid)>,
    /// In order of arrival, so that the oldest is forgotten first.
    order: VecDeque<(ClientId, Mid)>,
    max: usize,
}

impl SeenRequests {
    /// A memory of at most this many requests.
    pub fn new(max: usize) -> SeenRequests {
        SeenRequests { table: HashTable::new(), order: VecDeque::new(), max }
    }

    /// Whether this request is new, as far as the memory goes. Remembers it from now on.
    pub fn is_first(&mut self, from: ClientId, mid: Mid) -> bool {
        let request = (from, mid);
        let hash = StableHasher::of(&request);
        if self.table.find(hash, |known| *known == request).is_some() {
            return false;
        }
        if self.order.len() == self.max {
            self.forget_oldest();
        }
        self.order.push_back(request);
        self.table.insert_unique(hash, request, StableHasher::of);
        true
    }

    #[cold]
    fn forget_oldest(&mut self) {
        let oldest = self.order.pop_front().expect("a full memory has an oldest");
        if let Ok(entry) = self.table.find_entry(StableHasher::of(&oldest), |known| *known == oldest) {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_first_once_until_it_is_forgotten() {
        let mut seen = SeenRequests::new(3);
        let mut first = |client, mid| seen.is_first(ClientId(client), Mid(mid));
        assert!(first(1, 1) && first(2, 1) && first(1, 2));
        assert!(!first(1, 1) && !first(2, 1) && !first(1, 2));
        assert!(first(1, 3), "forgets the oldest");
        assert!(!first(2, 1) && first(1, 1));
    }
}
