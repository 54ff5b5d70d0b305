//! The properties of figure 3 of the paper that can be seen from outside, checked after every command.

use std::collections::BTreeMap;

use seedbed::id::ReplicaId;
use seedbed::raft::{Index, Term};
use seedbed::replica::Replica;

use crate::notation::Entry;

#[derive(Default)]
pub struct Invariants {
    leaders: BTreeMap<Term, ReplicaId>,
    /// What has been seen of each replica: its term, its vote in it and its commit index.
    seen: BTreeMap<ReplicaId, (Term, Option<ReplicaId>, Index)>,
    /// What any replica holds to be committed, and the term of the first that did.
    committed: Vec<(Term, Entry)>,
}

impl Invariants {
    pub fn check(&mut self, replicas: &BTreeMap<ReplicaId, Replica>) {
        for (&id, replica) in replicas {
            let raft = replica.raft();
            if raft.is_leader() {
                let leader = *self.leaders.entry(raft.term()).or_insert(id);
                assert_eq!(leader, id, "election safety: two leaders in term {}", raft.term());
                let complete = (1..)
                    .zip(&self.committed)
                    .all(|(index, (term, entry))| *term >= raft.term() || raft.log().get(index) == Some(entry));
                assert!(complete, "leader completeness: {id} leads without a committed entry");
            }
            let (term, vote, commit) = self.seen.get(&id).copied().unwrap_or_default();
            assert!(raft.term() >= term, "the term of {id} falls");
            let revoted = raft.term() == term && vote.is_some() && vote != raft.voted_for();
            assert!(!revoted, "{id} votes twice in term {term}");
            assert!(raft.commit_index() >= commit, "the commit index of {id} falls");
            assert!(replica.applied() <= raft.commit_index(), "{id} applies what is not committed");
            self.seen.insert(id, (raft.term(), raft.voted_for(), raft.commit_index()));
            for index in 1..=raft.commit_index() {
                let entry = raft.log().get(index).expect("a committed entry is in the log");
                match self.committed.get(index as usize - 1) {
                    Some((_, known)) => assert_eq!(known, entry, "state-machine safety at index {index}"),
                    None => self.committed.push((raft.term(), entry.clone())),
                }
            }
        }
    }
}
