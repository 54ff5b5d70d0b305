//! Messages that are lost whatever the dice say.

use crate::id::ReplicaId;

/// One message that is dropped whatever the dice say.
///
/// With such a list, a run can lose exactly the messages that another run lost by chance, and then one fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Loss {
    /// The sender.
    pub from: ReplicaId,
    /// The receiver, which is another replica.
    pub to: ReplicaId,
    /// Which of the messages that arrive on this link while the receiver lives, counted from 1.
    pub nth: u64,
}

/// Counts what arrives on each link, and knows which messages are to be lost.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    /// One for each link, row by row as the matrix.
    links: Vec<Link>,
}

#[derive(Clone, Debug, Default)]
struct Link {
    arrived: u64,
    /// Numbers of the messages that are still to be lost, the next one last.
    upcoming: Vec<u64>,
}

impl Losses {
    /// None of an empty list.
    pub fn new(replicas: usize, losses: &[Loss]) -> Option<Box<Losses>> {
        if losses.is_empty() {
            return None;
        }
        let mut links = vec![Link::default(); replicas * replicas];
        for &Loss { from, to, nth } in losses {
            links[from.index() * replicas + to.index()].upcoming.push(nth);
        }
        for link in &mut links {
            link.upcoming.sort_unstable_by(|one, other| other.cmp(one));
            link.upcoming.dedup();
        }
        Some(Box::new(Losses { links }))
    }

    /// Counts a message that has arrived on this link: true if it is to be lost.
    pub fn strike(&mut self, link: usize) -> bool {
        let link = &mut self.links[link];
        link.arrived += 1;
        link.upcoming.pop_if(|nth| *nth == link.arrived).is_some()
    }
}
