//! Names for updates that come without one.

use std::sync::Arc;

use crate::rng::Stream;
use crate::service::{Operation, RequestId, Update};

/// Names for updates that come without one. Each client of the store has one update at a time. So there are as many
/// names as there were updates at a time, and names are reused.
#[derive(Clone, Debug)]
pub(super) struct Names {
    random: Stream,
    /// The next name of each client that has no update now.
    idle: Vec<RequestId>,
    /// How many names there may be at one time, and how many updates have one.
    most: usize,
    in_use: usize,
}

impl Names {
    /// At most this many names at one time, from this stream, which must differ from start to start: names of an earlier start
    /// may be under way still.
    pub fn new(random: Stream, most: usize) -> Names {
        Names { random, idle: Vec::new(), most, in_use: 0 }
    }

    /// Gives an update a name, if it has none yet. None if all names are in use.
    pub fn assign(&mut self, operation: Operation) -> Option<(Operation, Option<RequestId>)> {
        let update = match operation {
            Operation::Put { key, value } => Update { key, value, expected: None, request: None },
            Operation::Update(update) if update.request.is_none() => {
                Arc::try_unwrap(update).unwrap_or_else(|shared| (*shared).clone())
            }
            named => return Some((named, None)),
        };
        if self.in_use == self.most {
            return None;
        }
        self.in_use += 1;
        let name = self.idle.pop().unwrap_or_else(|| RequestId { client: self.random.next_u64(), number: 1 });
        Some((Operation::Update(Arc::new(Update { request: Some(name), ..update })), Some(name)))
    }

    /// The update of this name has been answered. Even if it may still be under way, the next one can be sent: once that
    /// is applied, this one never is.
    pub fn release(&mut self, name: RequestId) {
        self.in_use -= 1;
        self.idle.push(RequestId { number: name.number + 1, ..name });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(names: &mut Names) -> RequestId {
        let put = Operation::Put { key: "k".into(), value: "v".into() };
        let (operation, name) = names.assign(put).expect("a free name");
        assert!(matches!(operation, Operation::Update(update) if update.request == name));
        name.expect("a put has none of its own")
    }

    #[test]
    fn updates_at_one_time_have_different_clients_and_later_ones_higher_numbers() {
        let mut names = Names::new(Stream::new(1, "test"), 2);
        let (one, other) = (name(&mut names), name(&mut names));
        assert_ne!(one.client, other.client);
        names.release(one);
        assert_eq!(name(&mut names), RequestId { number: 2, ..one });
    }

    #[test]
    fn there_are_no_more_names_than_stores_remember() {
        let mut names = Names::new(Stream::new(1, "test"), 2);
        let (one, _) = (name(&mut names), name(&mut names));
        assert_eq!(names.assign(Operation::Put { key: "k".into(), value: "v".into() }), None);
        assert!(names.assign(Operation::Get { key: "k".into() }).is_some());
        names.release(one);
        assert_eq!(name(&mut names).client, one.client);
    }

    #[test]
    fn what_has_a_name_or_needs_none_stays_as_it_is() {
        let mut names = Names::new(Stream::new(1, "test"), 2);
        let request = Some(RequestId { client: 7, number: 3 });
        let update = Update { key: "k".into(), value: "v".into(), expected: Some("u".into()), request };
        for operation in [Operation::Get { key: "k".into() }, Operation::Update(Arc::new(update))] {
            assert_eq!(names.assign(operation.clone()), Some((operation, None)));
        }
    }
}
