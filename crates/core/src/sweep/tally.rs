//! Counts the messages of a run by what they are for.

use std::sync::Arc;

use crate::broadcast::Broadcast;
use crate::consensus::{Consensus, Role};
use crate::id::ReplicaId;
use crate::kv::Command;
use crate::machine::Machine;
use crate::raft::{AppendEntries, Message, RequestVote, Rules};
use crate::record::{Event, MessageKind, Observer, Reign, Scene, Tally, Witness};
use crate::replica::Replica;

/// A message that says what it is for.
trait Kinded {
    fn message_kind(&self) -> MessageKind;
}

impl<C> Kinded for Message<C> {
    fn message_kind(&self) -> MessageKind {
        match self {
            Message::AppendEntries(AppendEntries { entries, .. }) if entries.is_empty() => MessageKind::Heartbeat,
            Message::AppendEntries(_) => MessageKind::Append,
            Message::AppendReply(_) => MessageKind::AppendReply,
            Message::RequestVote(RequestVote { pre: true, .. }) => MessageKind::PreVote,
            Message::RequestVote(_) => MessageKind::RequestVote,
            Message::Vote(_) => MessageKind::Vote,
            Message::Probe { .. } => MessageKind::Probe,
            // It stands for the election timeout of who then asks for votes. No run of the testbed has any.
            Message::TimeoutNow { .. } => MessageKind::RequestVote,
            // A part of a snapshot stands for the appends of many entries.
            Message::InstallSnapshot(_) => MessageKind::Append,
        }
    }
}

impl Kinded for Arc<Command> {
    fn message_kind(&self) -> MessageKind {
        MessageKind::Copy
    }
}

/// Counts the messages of a run while it goes on.
#[derive(Clone, Debug)]
pub(super) struct Counter(pub Tally);

impl Counter {
    fn count_drop<M: Kinded>(&mut self, event: &Event<'_, M>) {
        if let Event::Dropped { from, to, message } | Event::Damaged { from, to, message } = event {
            self.0.note_dropped(*from, *to, message.message_kind());
        }
    }
}

impl<R: Rules> Observer<Replica<R>> for Counter {
    #[inline]
    fn event(&mut self, _: &Scene<'_, Replica<R>>, event: &Event<'_, <Replica as Machine>::Message>) {
        self.count_drop(event);
    }

    #[inline]
    fn sent(&mut self, from: ReplicaId, to: ReplicaId, message: &<Replica as Machine>::Message) {
        self.0.note_sent(from, to, message.message_kind());
    }
}

impl Observer<Broadcast> for Counter {
    #[inline]
    fn event(&mut self, _: &Scene<'_, Broadcast>, event: &Event<'_, Arc<Command>>) {
        self.count_drop(event);
    }

    #[inline]
    fn sent(&mut self, from: ReplicaId, to: ReplicaId, message: &Arc<Command>) {
        self.0.note_sent(from, to, message.message_kind());
    }
}

/// Watches who leads, in which term, as far as the leaders themselves know.
#[derive(Clone, Debug, Default)]
pub struct Reigns {
    reigns: Vec<Reign>,
}

impl Reigns {
    /// All reigns, in the order in which they began.
    pub fn into_vec(self) -> Vec<Reign> {
        self.reigns
    }
}

/// Programs do not show who leads.
impl Witness for Reigns {}

impl<R: Rules> Observer<Replica<R>> for Reigns {
    fn event(&mut self, scene: &Scene<'_, Replica<R>>, event: &Event<'_, <Replica as Machine>::Message>) {
        if let Event::Crashed { replica, .. } | Event::Ended { replica, .. } = *event {
            let open = self.reigns.iter_mut().rev().find(|reign| reign.leader == replica && reign.until.is_none());
            if let Some(reign) = open {
                reign.until = Some(scene.now);
            }
        }
    }

    fn handled(&mut self, scene: &Scene<'_, Replica<R>>, replica: ReplicaId) {
        let watched = &scene.replicas[replica.index()];
        let term = (watched.role() == Role::Leader).then(|| watched.term());
        let open = self.reigns.iter_mut().rev().find(|reign| reign.leader == replica && reign.until.is_none());
        if open.as_ref().map(|reign| reign.term) == term {
            return;
        }
        if let Some(reign) = open {
            reign.until = Some(scene.now);
        }
        if let Some(term) = term {
            self.reigns.push(Reign { leader: replica, term, from: scene.now, until: None });
        }
    }
}

/// Replicas without terms have no reigns.
impl Observer<Broadcast> for Reigns {}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scenario::Scenario;
    use crate::sweep::{Case, Subject};

    #[test]
    fn a_leader_that_crashes_leads_no_longer() {
        let text = r#"{"lifetime": 10, "replicas": 3, "requests": 50, "wait": 2, "events": [
            {"type": "crash", "time": 3, "replica": "leader"}, {"type": "restart", "time": 5}],
            "tests": {"benchmarks": {"total_msgs": [0, 0, 0], "failures": [0, 0, 0], "duplicates": [0, 0, 0],
                "median_latency": [0, 0, 0]}}}"#;
        let scenario = Scenario::parse("crash", "crash.json", text).expect("a scenario").scenario;
        let case = Case { scenario, seed: 3, subject: Subject::default() };
        let mut reigns = Reigns::default();
        case.run_observed(&mut (&mut Counter(Tally::of_kinds()), &mut reigns));
        let [first, second] = &reigns.into_vec()[..] else { panic!("two leaders") };
        assert_eq!(first.until, Some(crate::time::Time(5_000_000_000)));
        assert!(second.from > first.until.expect("it crashed") && second.leader != first.leader);
    }

    #[test]
    fn messages_and_reigns_are_those_of_the_run() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/partition-4.json");
        let scenario = Scenario::load(&path).expect("a scenario").scenario;
        let case = Case { scenario, seed: 3, subject: Subject::default() };
        let (mut counter, mut reigns) = (Counter(Tally::of_kinds()), Reigns::default());
        let record = case.run_observed(&mut (&mut counter, &mut reigns)).record;

        let sent = MessageKind::ALL.map(|kind| counter.0.sent(kind));
        assert_eq!(sent.iter().sum::<u64>(), record.sent);
        assert!(sent[..6].iter().all(|count| *count > 0), "{sent:?}");
        assert_eq!(counter.0.sent(MessageKind::Copy), 0);

        // Who is cut off leads on, until it hears of the next term.
        let reigns = reigns.into_vec();
        let [first, .., last] = &reigns[..] else { panic!("several reigns: {reigns:?}") };
        assert!(first.until.is_some_and(|until| until > reigns[1].from) && last.until.is_none(), "{reigns:?}");
        assert!(reigns.windows(2).all(|pair| pair[0].term < pair[1].term && pair[0].from < pair[1].from));
    }
}
