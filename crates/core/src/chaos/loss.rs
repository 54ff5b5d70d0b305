//! Messages that are lost whatever the random streams say.

use crate::id::ReplicaId;

/// One message that is dropped whatever its link's random stream says.
///
/// With such a list, a run can lose exactly the messages that another run lost by chance, and then one fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Loss {
    /// The sender.
    pub from: ReplicaId,
    /// The receiver, which is another replica.
    pub to: ReplicaId,
    /// The message's number among those that arrive on this link while the receiver lives, counted from 1.
    pub nth: u64,
}

/// Counts the messages that arrive on each link, and knows which of them must be lost.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    /// One for each link, row by row as the matrix.
    links: Vec<Link>,
}

#[derive(Clone, Debug, Default)]
struct Link {
    arrived: u64,
    /// Numbers of the messages that will still be lost, the next one last.
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

    /// Counts a message that has arrived on this link: true if it must be lost.
    pub fn takes(&mut self, link: usize) -> bool {
        let link = &mut self.links[link];
        link.arrived += 1;
        link.upcoming.pop_if(|nth| *nth == link.arrived).is_some()
    }
}
