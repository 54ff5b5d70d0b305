//! The clients' side of a run: every request, when it was sent and how it was answered.

use std::collections::BTreeSet;

use crate::id::{ClientId, Mid, ReplicaId};
use crate::service::{Operation, Response, Text};
use crate::time::{Span, Time};

/// One message of a client to a replica and its answer. A request that is redirected, failed or timed out is sent again as
/// a new attempt under a new MID. An attempt that timed out stays open: its answer may still come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The client.
    pub client: ClientId,
    /// The replica that it asked.
    pub replica: ReplicaId,
    /// What it asked.
    pub operation: Operation,
    /// When it sent this attempt: the invocation.
    pub sent: Time,
    /// The earlier attempt of the same request, if that was redirected, failed or timed out.
    pub retry_of: Option<Mid>,
    /// When the first answer came and what it said; none if the attempt is unanswered.
    pub answer: Option<(Time, Outcome)>,
}

impl Attempt {
    /// Whether the replica answered `ok`.
    pub fn is_done(&self) -> bool {
        matches!(self.answer, Some((_, Outcome::Ok(_))))
    }

    /// Whether the replica answered `redirect`: "not me". So the attempt has not taken effect and never will.
    pub fn is_redirected(&self) -> bool {
        matches!(self.answer, Some((_, Outcome::Redirect)))
    }
}

/// What an answer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; a get carries the value read.
    Ok(Option<Text>),
    /// Not done, as far as the replica knew. It may still take effect.
    Fail,
    /// Ask the leader. It has not taken effect and never will.
    Redirect,
}

impl From<&Response> for Outcome {
    fn from(response: &Response) -> Outcome {
        match response {
            Response::Ok { value } => Outcome::Ok(value.clone()),
            Response::Fail | Response::Outdated => Outcome::Fail,
            Response::Redirect => Outcome::Redirect,
        }
    }
}

/// All attempts of all clients in order of sending, and what was odd about their answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The attempts; a [`Mid`] is a place in this list.
    pub attempts: Vec<Attempt>,
    /// Gets that could not be generated, for want of an acknowledged key (a put was sent instead).
    pub gets_not_generated: u64,
    /// Requests that were left out because their client had nothing to ask, as one that still holds a lock.
    pub idle: u64,
    /// Answers to attempts that had been answered `ok` before.
    pub duplicates: u64,
    /// Answers that name no open attempt of the client: it never sent it, or it was redirected or failed before.
    pub unknown: u64,
    /// Gets answered without a value, or with one that the key cannot have.
    pub incorrect_gets: u64,
    /// Gets answered with a value that the client itself had put, but for which it has no acknowledgement. Such an answer
    /// is lawful. The course's runner knows only the newest acknowledged value and calls it incorrect.
    pub unacknowledged_reads: u64,
}

/// How many gets and how many puts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerKind {
    /// Gets.
    pub gets: u64,
    /// Puts.
    pub puts: u64,
}

impl PerKind {
    /// Gets and puts together.
    pub fn total(self) -> u64 {
        self.gets + self.puts
    }

    /// Counts one more.
    fn add(&mut self, attempt: &Attempt) {
        let counter = if attempt.operation.is_get() { &mut self.gets } else { &mut self.puts };
        *counter += 1;
    }
}

impl History {
    /// The attempt that this MID names.
    pub fn attempt(&self, mid: Mid) -> Option<&Attempt> {
        self.attempts.get(usize::try_from(mid.0).ok()?)
    }

    /// Requests that the clients generated; attempts that repeat one do not count.
    pub fn requests(&self) -> PerKind {
        self.count(|attempt| attempt.retry_of.is_none())
    }

    /// Requests by the kind that was drawn for them: a get that could not be generated, and became a put, counts as a
    /// get here. The course's limits are fractions of these numbers.
    pub fn drawn(&self) -> PerKind {
        let PerKind { gets, puts } = self.requests();
        PerKind { gets: gets + self.gets_not_generated, puts: puts.saturating_sub(self.gets_not_generated) }
    }

    /// Requests that were never answered: neither the newest attempt nor, where clients give up, an earlier one.
    pub fn unanswered(&self) -> PerKind {
        let numbered = self.attempts.iter().enumerate();
        let mut open: BTreeSet<usize> =
            numbered.filter(|(_, attempt)| attempt.answer.is_none()).map(|(number, _)| number).collect();
        if open.is_empty() {
            return PerKind::default();
        }
        for earlier in self.attempts.iter().filter_map(|attempt| attempt.retry_of) {
            open.remove(&(earlier.0 as usize));
        }
        let mut count = PerKind::default();
        let newest = open.into_iter().map(|number| &self.attempts[number]);
        for attempt in newest.filter(|attempt| !self.earlier(attempt).any(Attempt::is_done)) {
            count.add(attempt);
        }
        count
    }

    /// The earlier attempts of the same request, the newest first.
    pub fn earlier<'h>(&'h self, attempt: &'h Attempt) -> impl Iterator<Item = &'h Attempt> {
        let before = |attempt: &&'h Attempt| attempt.retry_of.and_then(|mid| self.attempt(mid));
        std::iter::successors(before(&attempt), before)
    }

    /// Attempts answered with `fail`.
    pub fn failures(&self) -> PerKind {
        self.count(|attempt| matches!(attempt.answer, Some((_, Outcome::Fail))))
    }

    /// Attempts answered with `redirect`.
    pub fn redirects(&self) -> PerKind {
        self.count(|attempt| matches!(attempt.answer, Some((_, Outcome::Redirect))))
    }

    /// Attempts answered with `ok`.
    pub fn completed(&self) -> PerKind {
        self.count(|attempt| matches!(attempt.answer, Some((_, Outcome::Ok(_)))))
    }

    /// Time from sending to answer of every attempt that was answered, in ascending order.
    pub fn latencies(&self) -> Vec<Span> {
        let answered = self.attempts.iter().filter_map(|attempt| Some((attempt.answer.as_ref()?.0, attempt.sent)));
        let mut latencies: Vec<Span> = answered.map(|(answered, sent)| answered.since(sent)).collect();
        latencies.sort_unstable();
        latencies
    }

    fn count(&self, matches: impl Fn(&Attempt) -> bool) -> PerKind {
        let mut count = PerKind::default();
        for attempt in self.attempts.iter().filter(|attempt| matches(attempt)) {
            count.add(attempt);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts of one request, each of which repeats the one before it, answered or not.
    fn unanswered(answers: &[Option<Outcome>]) -> u64 {
        let attempt = |(number, answer): (usize, &Option<Outcome>)| Attempt {
            client: ClientId(21),
            replica: ReplicaId(0),
            operation: Operation::Get { key: "k".into() },
            sent: Time(number as u64),
            retry_of: number.checked_sub(1).map(|earlier| Mid(earlier as u64)),
            answer: answer.clone().map(|outcome| (Time(99), outcome)),
        };
        let attempts = answers.iter().enumerate().map(attempt).collect();
        History { attempts, ..History::default() }.unanswered().gets
    }

    #[test]
    fn a_request_is_unanswered_if_its_newest_attempt_and_all_earlier_ones_are() {
        let (done, failed) = (Some(Outcome::Ok(None)), Some(Outcome::Fail));
        assert_eq!(unanswered(&[None]), 1);
        assert_eq!(unanswered(&[failed.clone(), None]), 1);
        assert_eq!(unanswered(&[None, None, None]), 1);
        assert_eq!(unanswered(&[None, done.clone()]), 0, "the answer to the second attempt is one to the request");
        assert_eq!(unanswered(&[done, None]), 0, "as is a late one to the first");
        assert_eq!(unanswered(&[None, failed]), 0, "a failure is an answer");
    }
}
