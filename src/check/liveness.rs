//! Liveness: once all faults are over and a quorum lives and is connected, writes go through.
//!
//! Safety says that nothing wrong happens, and a cluster that does nothing is perfectly safe. So progress is demanded
//! where it must be possible: after the last fault of the scenario (a message lost by number is one), if so many living replicas that they are a quorum can
//! all hear each other ([`RunRecord::calm`]). From then on,
//!
//! - a write must be acknowledged within [`BOUND`], and
//! - every request to a living replica must get some answer within [`BOUND`].
//!
//! Where faults go on until the end, or a run is too short, nothing is demanded and nothing is judged.

use std::fmt;

use crate::consensus::{Consensus, Role, Term};
use crate::id::{ReplicaId, ReplicaSet};
use crate::record::{Attempt, Outcome, RunRecord};
use crate::time::{Span, Time};

/// How long progress may take: some eight of the longest election timeouts of the Raft in this package.
pub const BOUND: Span = Span::from_secs(10);

/// Whether there was progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There was.
    Live {
        /// The time until a write was first acknowledged, counted from the end of the faults, or from the first write after
        /// that.
        after: Span,
    },
    /// Nothing could be demanded.
    NotJudged(Excuse),
    /// There was none.
    Stuck(Stuck),
}

/// Why nothing could be demanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excuse {
    /// Faults went on, or left no quorum connected.
    NeverCalm,
    /// No client wrote anything to a living replica after the faults.
    NoWrites,
    /// The run ended before [`BOUND`] had passed.
    TooShort,
}

impl fmt::Display for Excuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Excuse::NeverCalm => "at the end no quorum lived and was connected",
            Excuse::NoWrites => "nothing was written after the last fault",
            Excuse::TooShort => "the run ended too soon after the last fault",
        })
    }
}

/// No progress where there must be some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// What was missing.
    pub lack: Lack,
    /// From when to when it was waited for.
    pub waited: (Time, Time),
    /// Which replica owes an answer, if one does.
    pub replica: Option<ReplicaId>,
    /// What the replicas were like at the end, if somebody could look.
    pub diagnosis: Option<String>,
}

/// What was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// An acknowledged write.
    Write,
    /// An answer to a request.
    Answer,
}

impl Lack {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Lack::Write => "no write acknowledged",
            Lack::Answer => "no answer",
        }
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = self.waited;
        match (self.lack, self.replica) {
            (Lack::Answer, Some(replica)) => {
                write!(f, "replica {replica} lives and left a request of {from} without an answer until {to}")?;
            }
            _ => write!(f, "no write was acknowledged from {from} to {to}")?,
        }
        write!(f, ", although all faults were over and a quorum was connected")?;
        self.diagnosis.as_ref().map_or(Ok(()), |diagnosis| write!(f, "; {diagnosis}"))
    }
}

/// Judges a run. `diagnosis` is what [`diagnose`] said of its replicas, if it could be asked.
pub fn judge(record: &RunRecord, diagnosis: Option<String>) -> Verdict {
    let Some(calm) = record.calm else { return Verdict::NotJudged(Excuse::NeverCalm) };
    let asked = || record.history.attempts.iter().filter(|attempt| record.living.contains(attempt.replica));
    let stuck = |lack, replica, from: Time| {
        let waited = (from, from + BOUND);
        Verdict::Stuck(Stuck { lack, waited, replica, diagnosis: diagnosis.clone() })
    };
    let over = |from: Time| from + BOUND <= record.end;
    let owed = asked().find(|attempt| {
        let answered = attempt.answer.as_ref().map_or(Time::NEVER, |answer| answer.0);
        attempt.sent >= calm && answered > attempt.sent + BOUND && over(attempt.sent)
    });
    let written = asked().filter_map(acknowledged).filter(|&time| time >= calm).min();
    let writes = asked().filter(|attempt| !attempt.operation.is_get());
    let open = writes.filter(|attempt| attempt.answer.as_ref().is_none_or(|answer| answer.0 >= calm));
    let Some(from) = open.map(|attempt| attempt.sent.max(calm)).min() else {
        return Verdict::NotJudged(Excuse::NoWrites);
    };
    match (written, owed) {
        (None, _) if over(from) => stuck(Lack::Write, None, from),
        (Some(time), _) if time > from + BOUND => stuck(Lack::Write, None, from),
        (_, Some(owed)) => stuck(Lack::Answer, Some(owed.replica), owed.sent),
        (Some(time), None) => Verdict::Live { after: time.since(from) },
        (None, None) => Verdict::NotJudged(Excuse::TooShort),
    }
}

/// When a write was acknowledged.
fn acknowledged(attempt: &Attempt) -> Option<Time> {
    match attempt.answer {
        Some((time, Outcome::Ok(_))) if !attempt.operation.is_get() => Some(time),
        _ => None,
    }
}

/// What replicas that agree on a log are like, as far as it may explain why nothing moves on.
pub fn diagnose<P: Consensus>(replicas: &[P], living: ReplicaSet) -> String {
    let leaders: Vec<ReplicaId> = living.iter().filter(|id| replicas[id.index()].role() == Role::Leader).collect();
    let terms: Vec<Term> = living.iter().map(|id| replicas[id.index()].term()).collect();
    let (lowest, highest) = (terms.iter().min().copied().unwrap_or(0), terms.iter().max().copied().unwrap_or(0));
    match leaders[..] {
        [] if lowest == highest => format!("no replica leads in term {highest}"),
        [] => format!("no replica leads; terms are from {lowest} to {highest}"),
        [leader] => {
            let log = &replicas[leader.index()];
            let (term, last, commit) = (log.term(), log.last_index(), log.commit_index());
            if commit < last {
                format!("replica {leader} leads in term {term}, but committed only {commit} of its {last} entries")
            } else {
                format!("replica {leader} leads in term {term} and has committed all of its {last} entries")
            }
        }
        _ => format!("{} replicas lead", leaders.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture;
    use crate::id::ClientId;
    use crate::protocol::Operation;
    use crate::record::History;

    const LIVING: ReplicaId = ReplicaId(0);
    const DEAD: ReplicaId = ReplicaId(4);

    fn at(seconds: u64) -> Time {
        Time::ZERO + Span::from_secs(seconds)
    }

    fn put(replica: ReplicaId, sent: u64, answer: Option<(u64, Outcome)>) -> Attempt {
        Attempt {
            client: ClientId(21),
            replica,
            operation: Operation::Put { key: "k".into(), value: "v".into() },
            sent: at(sent),
            retry_of: None,
            answer: answer.map(|(time, outcome)| (at(time), outcome)),
        }
    }

    fn ok(time: u64) -> Option<(u64, Outcome)> {
        Some((time, Outcome::Ok(None)))
    }

    /// A run of 100 seconds whose faults end after 50.
    fn verdict(attempts: Vec<Attempt>) -> Verdict {
        let history = History { attempts, ..History::default() };
        let living = [LIVING, ReplicaId(1), ReplicaId(2)].into_iter().collect();
        judge(&RunRecord { history, living, end: at(100), calm: Some(at(50)), ..fixture::record() }, None)
    }

    fn lack(verdict: Verdict) -> Option<(Lack, u64)> {
        match verdict {
            Verdict::Stuck(stuck) => Some((stuck.lack, stuck.waited.0.nanos() / 1_000_000_000)),
            _ => None,
        }
    }

    #[test]
    fn a_write_that_is_acknowledged_in_time_is_progress() {
        assert_eq!(verdict(vec![put(LIVING, 60, ok(63))]), Verdict::Live { after: Span::from_secs(3) });
        let early = put(LIVING, 20, ok(55));
        assert_eq!(
            verdict(vec![early]),
            Verdict::Live { after: Span::from_secs(5) },
            "counted from the end of the faults"
        );
    }

    #[test]
    fn no_acknowledged_write_within_the_bound_is_none() {
        assert_eq!(lack(verdict(vec![put(LIVING, 60, None)])), Some((Lack::Write, 60)));
        assert_eq!(lack(verdict(vec![put(LIVING, 60, ok(71))])), Some((Lack::Write, 60)));
        assert_eq!(lack(verdict(vec![put(LIVING, 20, None)])), Some((Lack::Write, 50)));
        let refused = put(LIVING, 60, Some((61, Outcome::Fail)));
        assert_eq!(lack(verdict(vec![refused])), Some((Lack::Write, 60)));
    }

    #[test]
    fn a_request_to_a_living_replica_must_be_answered_even_where_others_make_progress() {
        let progress = put(ReplicaId(1), 51, ok(52));
        assert_eq!(lack(verdict(vec![progress.clone(), put(LIVING, 70, None)])), Some((Lack::Answer, 70)));
        let refused = put(LIVING, 70, Some((79, Outcome::Redirect)));
        assert_eq!(lack(verdict(vec![progress.clone(), refused])), None);
        assert_eq!(lack(verdict(vec![progress, put(LIVING, 20, None)])), None, "what faults have swallowed is gone");
    }

    #[test]
    fn nothing_is_demanded_of_the_dead_or_where_it_cannot_be() {
        assert_eq!(verdict(vec![put(DEAD, 60, None)]), Verdict::NotJudged(Excuse::NoWrites));
        assert_eq!(verdict(vec![put(LIVING, 95, None)]), Verdict::NotJudged(Excuse::TooShort));
        assert_eq!(judge(&fixture::record(), None), Verdict::NotJudged(Excuse::NeverCalm));
    }
}
