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
}

impl Names {
    /// Names from this stream, which must differ from start to start: names of an earlier start may be under way still.
    pub fn new(random: Stream) -> Names {
        Names { random, idle: Vec::new() }
    }

    /// Gives an update a name, if it has none yet.
    pub fn assign(&mut self, operation: Operation) -> (Operation, Option<RequestId>) {
        let update = match operation {
            Operation::Put { key, value } => Update { key, value, expected: None, request: None },
            Operation::Update(update) if update.request.is_none() => {
                Arc::try_unwrap(update).unwrap_or_else(|shared| (*shared).clone())
            }
            named => return (named, None),
        };
        let name = self.idle.pop().unwrap_or_else(|| RequestId { client: self.random.next_u64(), number: 1 });
        (Operation::Update(Arc::new(Update { request: Some(name), ..update })), Some(name))
    }

    /// The update of this name has been answered. Even if it may still be under way, the next one can be sent: once that
    /// is applied, this one never is.
    pub fn release(&mut self, name: RequestId) {
        self.idle.push(RequestId { number: name.number + 1, ..name });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(names: &mut Names) -> RequestId {
        let (operation, name) = names.assign(Operation::Put { key: "k".into(), value: "v".into() });
        assert!(matches!(operation, Operation::Update(update) if update.request == name));
        name.expect("a put has none of its own")
    }

    #[test]
    fn updates_at_one_time_have_different_clients_and_later_ones_higher_numbers() {
        let mut names = Names::new(Stream::new(1, "test"));
        let (one, other) = (name(&mut names), name(&mut names));
        assert_ne!(one.client, other.client);
        names.release(one);
        assert_eq!(name(&mut names), RequestId { number: 2, ..one });
    }

    #[test]
    fn what_has_a_name_or_needs_none_stays_as_it_is() {
        let mut names = Names::new(Stream::new(1, "test"));
        let request = Some(RequestId { client: 7, number: 3 });
        let update = Update { key: "k".into(), value: "v".into(), expected: Some("u".into()), request };
        for operation in [Operation::Get { key: "k".into() }, Operation::Update(Arc::new(update))] {
            assert_eq!(names.assign(operation.clone()), (operation, None));
        }
    }
}
