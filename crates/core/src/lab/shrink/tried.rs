//! Cases that have been tried: shrinking makes the same candidate again and again, and a run of it says nothing new.

use std::fmt::{self, Write};
use std::hash::Hasher;

use std::collections::BTreeSet;

use crate::hash::StableHasher;
use crate::lab::Case;

/// A digest of all that decides a run. Two cases have the same one with a chance of 2^-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Digest(u64);

impl Digest {
    pub fn of(case: &Case) -> Digest {
        let mut hash = Hash(StableHasher::new());
        let Case { scenario, seed, protocol } = case;
        // What is shown for debugging has every field, and takes a fraction of the time of a run.
        write!(hash, "{seed} {scenario:?} {protocol:?}").expect("a hash takes everything");
        Digest(hash.0.value())
    }
}

/// Hashes what is written.
struct Hash(StableHasher);

impl Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// The cases that do not count, and those that have been worked on without success.
#[derive(Clone, Debug, Default)]
pub(super) struct Tried {
    /// Cases that do not fail as they shall.
    pub vain: BTreeSet<Digest>,
    /// Cases from which a branch has begun.
    pub begun: BTreeSet<Digest>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::explore::draw;
    use crate::subjects;

    #[test]
    fn cases_that_differ_in_anything_have_different_digests() {
        let case = draw(&subjects::raft(), 1);
        let mut others = [Case { seed: 2, ..case.clone() }, case.clone(), case.clone(), case.clone()];
        others[1].scenario.events.pop();
        others[2].protocol.set("raft.retry_min_ms", 3.25).expect("a parameter");
        others[3].protocol = subjects::raft().without("vote-once").expect("a rule");
        assert_eq!(Digest::of(&case), Digest::of(&case.clone()));
        let digests: BTreeSet<Digest> = others.iter().chain([&case]).map(Digest::of).collect();
        assert_eq!(digests.len(), 5);
    }
}
