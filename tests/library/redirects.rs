//! `redirect` means: this attempt has not taken effect and never will. So of each put, no more entries are ever committed than
//! it had attempts that were not redirected.

use std::collections::BTreeMap;

use seedbed::lab::Protocol;
use seedbed::lab::explore::draw;
use seedbed::record::{Attempt, View, Watcher};
use seedbed::service::{Operation, Text};
use seedbed::subjects;
use seedbed_core::kv::Command;
use seedbed_core::raft::Index;

/// Counts what is committed, once for each index.
#[derive(Default)]
struct Committed {
    seen: Index,
    /// By the command's digest.
    entries: BTreeMap<u64, usize>,
}

impl Watcher for Committed {
    fn handled(&mut self, view: &View<'_>, replica: seedbed::id::ReplicaId) {
        let watched = view.windows.window(replica).expect("Raft has a window");
        while self.seen < watched.commit_index() {
            // The first replica to commit an index still has its entry.
            let entry = watched.entry(self.seen + 1).expect("an entry that was not compacted");
            self.seen += 1;
            if let Some(command) = entry.command {
                *self.entries.entry(command).or_default() += 1;
            }
        }
    }
}

/// What was seen in one run.
#[derive(Debug, Default)]
struct Seen {
    redirected: usize,
    committed: usize,
    /// Puts of which more entries were committed than could be.
    broken: Vec<(Text, Text)>,
}

fn see(seed: u64, protocol: &Protocol) -> Seen {
    let case = draw(protocol, seed);
    let mut committed = Committed::default();
    let judged = case.run_watched(&mut committed);
    let mut puts: BTreeMap<(Text, Text), Vec<&Attempt>> = BTreeMap::new();
    for attempt in &judged.record.history.attempts {
        if let Operation::Put { key, value } = &attempt.operation {
            puts.entry((key.clone(), value.clone())).or_default().push(attempt);
        }
    }
    let mut seen = Seen::default();
    for ((key, value), attempts) in puts {
        let redirected = attempts.iter().filter(|attempt| attempt.is_redirected()).count();
        let entries = committed.entries.get(&Command::new(key.clone(), value.clone()).digest()).copied();
        seen.redirected += redirected;
        seen.committed += entries.unwrap_or_default();
        if entries.unwrap_or_default() > attempts.len() - redirected {
            seen.broken.push((key, value));
        }
    }
    seen
}

#[test]
fn a_redirected_put_is_never_committed() {
    let (mut redirected, mut committed) = (0, 0);
    for seed in 0..3_000 {
        let seen = see(seed, &subjects::raft());
        assert!(seen.broken.is_empty(), "seed {seed}: {:?}", seen.broken);
        redirected += seen.redirected;
        committed += seen.committed;
    }
    assert!(redirected > 10_000 && committed > 100_000, "{redirected} redirected, {committed} committed");
}

#[test]
fn a_raft_that_redirects_what_it_has_logged_is_seen_to_commit_it_later() {
    let mutant = subjects::raft().without("redirect-what-is-ruled-out").expect("a rule");
    let found = (0..3_000).find(|&seed| !see(seed, &mutant).broken.is_empty());
    assert!(found.is_some());
}
