//! Liveness: once all faults are over and a quorum lives and is connected, requests are served.
//!
//! Safety says that nothing wrong happens, and a cluster that does nothing is perfectly safe. So progress is demanded
//! where it must be possible: after the last fault of the scenario (a message lost by number is a fault), if a quorum
//! is connected ([`RunRecord::calm`]). That is a quorum of replicas that are up and unpaused, have exact clocks and
//! sound disks, and can all hear each other. What faults have left behind may last: links that stay cut, replicas that
//! stay down. So progress is demanded only of the replicas that are *served* ([`RunRecord::served`]): surely connected
//! with every replica that could lead. From then on,
//!
//! - within [`BOUND`] after every write to one of them, some write must be acknowledged,
//! - within [`BOUND`] after every read at one of them, some read must be, and
//! - every request to one of them must get some answer within [`BOUND`].
//!
//! If faults continue until the end, or a run is too short, nothing is demanded and nothing is judged. A run that was
//! cut short, because replicas or clients sent too much or a program did what cannot be simulated, is a failure: how it
//! would have ended is unknown.
//!
//! No progress is demanded for a request that was done before, or that its client abandoned after a refusal: the client
//! no longer waits for an answer. Nor is it from when the client has gone on to a replica that is not served, by a
//! redirect or by itself. But clients that give up do not excuse replicas that refuse everything: once the faults have
//! been over for the bound, a write must be acknowledged if clients have asked every served replica for one and these
//! are a quorum; and likewise a read.
//!
//! A request to a replica that was down, or that went down before it answered, need not be answered. Such requests are
//! counted ([`lost_with_replicas`]), so the report shows if half of the requests went to dead replicas.

use std::fmt;

use serde_json::{Value, json};

use super::opinion::{CUT_SHORT, Checker, Finding, NOT_JUDGED, OBSTACLE, OK, Opinion};
use super::panel::{Check, Evidence};
use super::shape::Shape;
use crate::consensus::{Consensus, Role, Term};
use crate::id::{ReplicaId, ReplicaSet};
use crate::machine::Machine;
use crate::record::{Attempt, Observer, Obstacle, Outcome, RunRecord};
use crate::time::{Span, Time};

/// How long progress may take: about eight times the longest election timeout of this package's Raft.
pub const BOUND: Span = Span::from_secs(10);

/// Whether there was progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There was progress.
    Live {
        /// The time until a write was first acknowledged, counted from the end of the faults, or from the first write
        /// after that.
        after: Span,
    },
    /// Nothing could be demanded.
    NotJudged(Excuse),
    /// There was no progress.
    Stuck(Stuck),
    /// The run did not reach its end.
    CutShort(Cut),
}

/// Why a run was cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// A program did what cannot be simulated.
    Obstacle(Obstacle),
    /// Replicas sent each other more messages than the scenario's `max_packets`: this many.
    Packets(u64),
    /// Clients had to ask again too often: they sent this many messages.
    Requests(u64),
}

impl Cut {
    /// Why this run was cut short; none if it reached its end.
    pub fn of(record: &RunRecord) -> Option<Cut> {
        if let Some(obstacle) = &record.obstacle {
            return Some(Cut::Obstacle(obstacle.clone()));
        }
        let requests = || record.request_storm.then_some(Cut::Requests(record.history.attempts.len() as u64));
        if record.packet_storm { Some(Cut::Packets(record.sent)) } else { requests() }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cut::Obstacle(obstacle) => {
                write!(f, "the run was cut short, because a program did what cannot be simulated: {obstacle}")
            }
            Cut::Packets(sent) => {
                write!(f, "the run was cut short, because replicas had sent each other {sent} messages (`max_packets`)")
            }
            Cut::Requests(sent) => write!(
                f,
                "the run was cut short, because clients had sent {sent} messages, which were redirected or failed"
            ),
        }
    }
}

/// How many requests went to a replica that was dead, or that died before it answered them.
pub fn lost_with_replicas(record: &RunRecord) -> u64 {
    record.history.attempts.iter().filter(|attempt| is_lost(record, attempt)).count() as u64
}

/// Whether a request has no answer and its replica was down after it was sent.
fn is_lost(record: &RunRecord, attempt: &Attempt) -> bool {
    let was_down = |replica: ReplicaId| {
        record.outages.iter().any(|outage| outage.replica == replica && outage.until > attempt.sent)
    };
    attempt.answer.is_none() && (!record.living.contains(attempt.replica) || was_down(attempt.replica))
}

/// Why nothing could be demanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excuse {
    /// Faults continued to the end, or left no quorum connected.
    NeverCalm,
    /// The faults that last leave no replica surely connected with every replica that could lead.
    NoneServed,
    /// No client wrote anything to a served replica after the faults.
    NoWrites,
    /// Clients abandoned all their writes after the faults, before they had asked every replica that can do a write.
    GivenUp,
    /// The run ended before [`BOUND`] had passed.
    TooShort,
}

impl fmt::Display for Excuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Excuse::NeverCalm => "at the end no quorum of sound replicas was connected",
            Excuse::NoneServed => "at the end no replica was surely connected with every replica that could lead",
            Excuse::NoWrites => "nothing was written after the last fault",
            Excuse::GivenUp => "clients soon gave up all their writes after the last fault",
            Excuse::TooShort => "the run ended too soon after the last fault",
        })
    }
}

/// No progress where there must be some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// What was missing.
    pub lack: Lack,
    /// From when to when the checker waited for it.
    pub waited: (Time, Time),
    /// Which replica owes an answer, if one does.
    pub replica: Option<ReplicaId>,
    /// What the replicas were like at the end, if they have a window.
    pub diagnosis: Option<String>,
    /// The circumstances, without names and times.
    pub shape: Shape,
}

/// What was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// An acknowledged write.
    Write,
    /// An acknowledged read.
    Read,
    /// An answer to a request.
    Answer,
}

impl Lack {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Lack::Write => "no write acknowledged",
            Lack::Read => "no read acknowledged",
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
            (Lack::Read, _) => write!(f, "no read was acknowledged from {from} to {to}")?,
            _ => write!(f, "no write was acknowledged from {from} to {to}")?,
        }
        write!(f, ", although the last fault was over and a quorum was connected")?;
        self.diagnosis.as_ref().map_or(Ok(()), |diagnosis| write!(f, "; {diagnosis}"))
    }
}

/// Progress as one of the checkers of a run.
#[derive(Clone, Copy, Debug)]
pub struct Liveness;

impl<M: Machine> Observer<M> for Liveness {}

impl<M: Machine> Check<M> for Liveness {
    fn judge(&mut self, evidence: &Evidence<'_>) -> Opinion {
        opinion(&judge(evidence), lost_with_replicas(evidence.record))
    }
}

/// The opinion on a run with this verdict, in which this many requests were lost with their replicas.
pub fn opinion(verdict: &Verdict, lost: u64) -> Opinion {
    let new = |word, remark: String| Opinion::new(Checker::LIVENESS, "Liveness", word, remark);
    let (mut opinion, after, lack) = match verdict {
        Verdict::Live { after } => {
            let seconds = after.as_secs_f64();
            let remark = format!("all faults over, a write was acknowledged after {seconds:.6} s");
            (new(OK, remark), json!(seconds), Value::Null)
        }
        Verdict::NotJudged(excuse) => (new(NOT_JUDGED, excuse.to_string()), Value::Null, Value::Null),
        Verdict::Stuck(stuck) => {
            let (from, to) = stuck.waited;
            let mut opinion = new("stuck", stuck.to_string());
            let finding = Finding::new(Checker::LIVENESS, stuck.lack.name(), stuck.to_string());
            opinion.findings.push(finding.during(from, to).shaped(stuck.shape.clone()));
            (opinion, Value::Null, json!(stuck.lack.name()))
        }
        Verdict::CutShort(cut) => {
            let mut opinion = new(CUT_SHORT, cut.to_string());
            let finding = match cut {
                Cut::Obstacle(Obstacle { time, .. }) => {
                    Finding::new(Checker::LIVENESS, OBSTACLE, cut.to_string()).during(*time, *time)
                }
                Cut::Packets(_) | Cut::Requests(_) => Finding::new(Checker::LIVENESS, CUT_SHORT, cut.to_string()),
            };
            opinion.findings.push(finding);
            (opinion, Value::Null, Value::Null)
        }
    };
    let explanation = if opinion.word == OK { Value::Null } else { json!(opinion.remark) };
    opinion.figures =
        vec![("after", after), ("lack", lack), ("explanation", explanation), ("lost_with_replicas", json!(lost))];
    if lost > 0 {
        let requests = if lost == 1 { "1 request was".to_owned() } else { format!("{lost} requests were") };
        opinion.lines.push(format!(
            "Liveness does not judge this: {requests} lost, because the replica was dead or died before it answered \
             (the course's clients do not send such a request again)"
        ));
    }
    opinion
}

/// Judges a run.
pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    let record = evidence.record;
    if let Some(cut) = Cut::of(record) {
        return Verdict::CutShort(cut);
    }
    let Some(calm) = record.calm else { return Verdict::NotJudged(Excuse::NeverCalm) };
    if record.served.is_empty() {
        return Verdict::NotJudged(Excuse::NoneServed);
    }
    let acknowledged = |reads: bool| {
        let times = record.history.attempts.iter().filter_map(|attempt| {
            let time = acknowledged_at(attempt).filter(|&time| time >= calm)?;
            (evidence.reads(&attempt.operation) == reads).then_some(time)
        });
        let mut times: Vec<Time> = times.collect();
        times.sort_unstable();
        times
    };
    let [writes, reads] = [false, true].map(acknowledged);
    Demand { evidence, calm, writes, reads, waits: waits_until(record) }.judge()
}

/// The demands on a run with a stable period.
struct Demand<'e> {
    evidence: &'e Evidence<'e>,
    /// When all faults were over.
    calm: Time,
    /// When writes were acknowledged since then, in order.
    writes: Vec<Time>,
    /// When reads were.
    reads: Vec<Time>,
    /// Until when the client of each attempt waits for it ([`waits_until`]).
    waits: Vec<Wait>,
}

impl Demand<'_> {
    fn judge(&self) -> Verdict {
        let first = match self.first(Lack::Write) {
            Ok(first) => first,
            Err(stuck) => return Verdict::Stuck(stuck),
        };
        let failure = self.in_vain(Lack::Write).or_else(|| self.owed_answer());
        let failure = failure.or_else(|| self.first(Lack::Read).err()).or_else(|| self.in_vain(Lack::Read));
        match (failure, first, self.writes.first()) {
            (Some(stuck), ..) => Verdict::Stuck(stuck),
            (None, Some((_, Time::NEVER)), _) => Verdict::NotJudged(Excuse::TooShort),
            (None, Some((from, next)), _) => Verdict::Live { after: next.since(from) },
            (None, None, Some(time)) => Verdict::Live { after: time.since(self.calm) },
            (None, None, None) => match self.asked_for(Lack::Write, self.calm).next() {
                Some(_) => Verdict::NotJudged(Excuse::GivenUp),
                None => Verdict::NotJudged(Excuse::NoWrites),
            },
        }
    }

    /// When operations of this kind were acknowledged in the stable period, in order.
    fn acknowledged(&self, lack: Lack) -> &[Time] {
        if lack == Lack::Read { &self.reads } else { &self.writes }
    }

    /// From when the first write, or read, could be acknowledged, and when one was. It can be acknowledged from the start
    /// of the stable period, or from when it was sent. None if no client waits for one.
    fn first(&self, lack: Lack) -> Result<Option<(Time, Time)>, Stuck> {
        let bound = self.evidence.bound;
        let waiting = self.record().history.attempts.iter().zip(&self.waits).filter_map(|(attempt, wait)| {
            let from = attempt.sent.max(self.calm);
            let is_answered_before = attempt.answer.as_ref().is_some_and(|answer| answer.0 < self.calm);
            (!is_answered_before && wait.done >= from && self.may_demand(lack, attempt))
                .then_some((attempt, from, wait.left))
        });
        let mut first: Option<(Time, Time)> = None;
        for (attempt, from, left) in waiting {
            let acknowledged = self.acknowledged(lack);
            let next = acknowledged.partition_point(|&time| time < from);
            let next = acknowledged.get(next).copied().unwrap_or(Time::NEVER);
            if self.is_over(from) && next.min(left) > from + bound {
                return Err(self.stuck(lack, attempt, from));
            }
            if first.is_none_or(|(earliest, _)| from < earliest) {
                first = Some((from, next));
            }
        }
        Ok(first)
    }

    /// Whether every served replica has failed a write, or a read, within the time of one bound, when each had had as
    /// long since the stable period began, or since the last acknowledged one. Whether the clients still wait does not
    /// matter then. A redirect says nothing: the client may not have followed it. Nor does it say anything if less than a
    /// quorum is served: the leader may be another replica.
    fn in_vain(&self, lack: Lack) -> Option<Stuck> {
        let bound = self.evidence.bound;
        let since = self.acknowledged(lack).last().copied().unwrap_or(self.calm) + bound;
        let able: Vec<ReplicaId> = self.record().served.iter().collect();
        if able.len() <= self.evidence.scenario.replicas / 2 {
            return None;
        }
        let mut newest: Vec<Option<Time>> = vec![None; able.len()];
        let asked = self.asked_for(lack, since).filter(|attempt| self.is_over(attempt.sent));
        for attempt in asked.filter(|attempt| matches!(attempt.answer, Some((_, Outcome::Fail)))) {
            let place = able.iter().position(|&replica| replica == attempt.replica)?;
            newest[place] = Some(attempt.sent);
            // None comes before all times.
            match newest.iter().min() {
                Some(&Some(first)) if first + bound >= attempt.sent => {
                    return Some(self.stuck(lack, attempt, first));
                }
                _ => {}
            }
        }
        None
    }

    /// A request in the stable period that no replica answered in time.
    fn owed_answer(&self) -> Option<Stuck> {
        let owed = self.record().history.attempts.iter().find(|attempt| {
            let answered = attempt.answer.as_ref().map_or(Time::NEVER, |answer| answer.0);
            let is_late = answered > attempt.sent + self.evidence.bound && self.is_over(attempt.sent);
            is_late && attempt.sent >= self.calm && self.may_owe(attempt)
        })?;
        Some(self.stuck(Lack::Answer, owed, owed.sent))
    }

    /// The writes, or reads, that were sent from this time on to replicas that must serve them.
    fn asked_for(&self, lack: Lack, since: Time) -> impl Iterator<Item = &Attempt> {
        let attempts = self.record().history.attempts.iter();
        attempts.filter(move |attempt| attempt.sent >= since && self.may_demand(lack, attempt))
    }

    /// Whether it is a write, or a read, that its replica must serve.
    fn may_demand(&self, lack: Lack, attempt: &Attempt) -> bool {
        self.may_owe(attempt) && self.evidence.reads(&attempt.operation) == (lack == Lack::Read)
    }

    /// Whether its replica must answer: one that is not served can only wait or refuse, and need not do so in time.
    fn may_owe(&self, attempt: &Attempt) -> bool {
        self.record().served.contains(attempt.replica) && !is_lost(self.record(), attempt)
    }

    /// Whether the run lasted for the bound after this.
    fn is_over(&self, from: Time) -> bool {
        from + self.evidence.bound <= self.record().end
    }

    /// What was missing for this attempt, or for all after this time.
    fn stuck(&self, lack: Lack, attempt: &Attempt, from: Time) -> Stuck {
        let waited = (from, from + self.evidence.bound);
        let diagnosis = self.evidence.diagnosis;
        let replica = (lack == Lack::Answer).then_some(attempt.replica);
        let leader = self.record().leaders.last().and_then(|belief| belief.leader);
        let shape = Shape::PLAIN.with(attempt.operation.name().to_owned());
        let shape = match replica {
            Some(replica) if leader == Some(replica) => shape.with("owed by the leader"),
            Some(_) => shape.with("owed by another replica than the leader"),
            None => shape,
        };
        let end = match leader {
            Some(_) => "a leader is observed",
            None => "no leader is observed",
        };
        let shape = shape.with(diagnosis.map_or(end, |diagnosis| diagnosis.end));
        Stuck { lack, waited, replica, diagnosis: diagnosis.map(|diagnosis| diagnosis.text.clone()), shape }
    }

    fn record(&self) -> &RunRecord {
        self.evidence.record
    }
}

/// Until when the client of an attempt waits for its request to be served.
#[derive(Clone, Copy, Debug)]
struct Wait {
    /// The time at which an attempt of the request was done. It is the beginning if the last attempt was refused, or lost
    /// with its replica, and not repeated, as by clients that give up. It is never if the request is open.
    done: Time,
    /// When the client next sent the request to a replica that is not served; never, if it did not.
    left: Time,
}

/// For each attempt, until when its client waits.
fn waits_until(record: &RunRecord) -> Vec<Wait> {
    let attempts = &record.history.attempts;
    let mut requests: Vec<usize> = Vec::with_capacity(attempts.len());
    let mut done = vec![Time::NEVER; attempts.len()];
    let mut last: Vec<usize> = (0..attempts.len()).collect();
    for (number, attempt) in attempts.iter().enumerate() {
        let request = attempt.retry_of.map_or(number, |earlier| requests[earlier.0 as usize]);
        requests.push(request);
        last[request] = number;
        if let Some((time, Outcome::Ok(_))) = attempt.answer {
            done[request] = done[request].min(time);
        }
    }
    let is_vain = |attempt: &Attempt| match attempt.answer {
        Some((_, ref outcome)) => !matches!(outcome, Outcome::Ok(_)),
        None => is_lost(record, attempt),
    };
    let since = |request: usize| if is_vain(&attempts[last[request]]) { Time::ZERO } else { done[request] };
    let mut waits: Vec<Wait> =
        requests.iter().map(|&request| Wait { done: since(request), left: Time::NEVER }).collect();
    // From the last attempt to the first: the client has left when it next asks a replica that is not served.
    let mut left = vec![Time::NEVER; attempts.len()];
    for (number, attempt) in attempts.iter().enumerate().rev() {
        waits[number].left = left[requests[number]];
        if !record.served.contains(attempt.replica) {
            left[requests[number]] = attempt.sent;
        }
    }
    waits
}

/// When an attempt was acknowledged.
fn acknowledged_at(attempt: &Attempt) -> Option<Time> {
    match attempt.answer {
        Some((time, Outcome::Ok(_))) => Some(time),
        _ => None,
    }
}

/// The state of living replicas that agree on a log, as far as it may explain why there is no progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The state, as in `no replica leads in term 7`.
    pub text: String,
    /// The same without names and numbers.
    pub end: &'static str,
}

/// Looks at the state of living replicas. None if one of them has no window.
pub fn diagnose<'w>(living: ReplicaSet, window: impl Fn(ReplicaId) -> Option<&'w dyn Consensus>) -> Option<Diagnosis> {
    let windows: Vec<(ReplicaId, &dyn Consensus)> =
        living.iter().map(|id| window(id).map(|window| (id, window))).collect::<Option<_>>()?;
    let leaders: Vec<_> = windows.iter().filter(|(_, window)| window.role() == Role::Leader).collect();
    let terms: Vec<Term> = windows.iter().map(|(_, window)| window.term()).collect();
    let (lowest, highest) = (terms.iter().min().copied().unwrap_or(0), terms.iter().max().copied().unwrap_or(0));
    let (text, end) = match leaders[..] {
        [] if lowest == highest => (format!("no replica leads in term {highest}"), "no replica leads"),
        [] => (format!("no replica leads; terms are from {lowest} to {highest}"), "no replica leads"),
        [(leader, log)] => {
            let (term, last, commit) = (log.term(), log.last_index(), log.commit_index());
            if commit < last {
                let text =
                    format!("replica {leader} leads in term {term}, but committed only {commit} of its {last} entries");
                (text, "a leader cannot commit")
            } else {
                let text = format!("replica {leader} leads in term {term} and has committed all of its {last} entries");
                (text, "a leader has committed all")
            }
        }
        _ => (format!("{} replicas lead", leaders.len()), "several replicas lead"),
    };
    Some(Diagnosis { text, end })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::check::fixture;
    use crate::id::{ClientId, Mid};
    use crate::record::History;
    use crate::service::{Custom, Operation};
    use crate::specification::{Call, Specification};

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

    fn judged(record: &RunRecord) -> Verdict {
        judge(&Evidence::of(&fixture::scenario(), record, None))
    }

    /// A run of 100 seconds whose faults end after 50.
    fn run(attempts: Vec<Attempt>) -> RunRecord {
        let history = History { attempts, ..History::default() };
        let living = [LIVING, ReplicaId(1), ReplicaId(2)].into_iter().collect();
        let (end, calm) = (at(100), Some(at(50)));
        RunRecord { history, living, able: living, connected: living, served: living, end, calm, ..fixture::record() }
    }

    fn verdict(attempts: Vec<Attempt>) -> Verdict {
        judged(&run(attempts))
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
    fn no_acknowledged_write_within_the_bound_is_no_progress() {
        assert_eq!(lack(verdict(vec![put(LIVING, 60, None)])), Some((Lack::Write, 60)));
        assert_eq!(lack(verdict(vec![put(LIVING, 60, ok(71))])), Some((Lack::Write, 60)));
        assert_eq!(lack(verdict(vec![put(LIVING, 20, None)])), Some((Lack::Write, 50)));
    }

    #[test]
    fn a_write_that_is_refused_and_sent_again_makes_no_progress_until_its_client_gives_up() {
        let refused = put(LIVING, 60, Some((61, Outcome::Fail)));
        let again = |answer| Attempt { retry_of: Some(Mid(0)), ..put(LIVING, 61, answer) };
        assert_eq!(lack(verdict(vec![refused.clone(), again(None)])), Some((Lack::Write, 60)));
        assert_eq!(lack(verdict(vec![refused.clone(), again(ok(72))])), Some((Lack::Write, 60)));
        assert_eq!(verdict(vec![refused.clone(), again(ok(63))]), Verdict::Live { after: Span::from_secs(3) });
        let given_up = Verdict::NotJudged(Excuse::GivenUp);
        assert_eq!(verdict(vec![refused.clone()]), given_up);
        assert_eq!(verdict(vec![refused.clone(), again(Some((62, Outcome::Redirect)))]), given_up);
        let lost = Attempt { replica: DEAD, ..again(None) };
        assert_eq!(verdict(vec![refused, lost]), given_up, "its client may have sent it no more");
    }

    #[test]
    fn clients_that_give_up_do_not_excuse_replicas_that_all_refuse_when_the_bound_has_passed() {
        let refused = |replica, sent| put(ReplicaId(replica), sent, Some((sent + 1, Outcome::Fail)));
        let every_second = |from| (from..100).step_by(2).map(|sent| refused((sent / 2 % 3) as u8, sent)).collect();
        let all: Vec<Attempt> = every_second(50);
        assert_eq!(lack(verdict(all.clone())), Some((Lack::Write, 60)));
        let redirected = all.iter().cloned().map(|attempt| {
            let answer = attempt.answer.as_ref().map(|&(time, _)| (time, Outcome::Redirect));
            Attempt { answer, ..attempt }
        });
        assert_eq!(verdict(redirected.collect()), Verdict::NotJudged(Excuse::GivenUp), "no client followed");
        let far_apart = [(0, 61), (1, 72), (2, 83)].map(|(replica, sent)| refused(replica, sent)).to_vec();
        assert_eq!(verdict(far_apart), Verdict::NotJudged(Excuse::GivenUp), "the leader may have changed");
        let spared = all.iter().filter(|attempt| attempt.replica != LIVING).cloned().collect();
        assert_eq!(
            verdict(spared),
            Verdict::NotJudged(Excuse::GivenUp),
            "the one that was not asked might have done it"
        );
        let soon = all.iter().filter(|attempt| attempt.sent < at(60)).cloned().collect();
        assert_eq!(verdict(soon), Verdict::NotJudged(Excuse::GivenUp), "there may have been no leader yet");
        let with_ok = |sent| verdict(all.iter().cloned().chain([put(LIVING, sent, ok(sent + 1))]).collect());
        assert_eq!(lack(with_ok(54)), Some((Lack::Write, 66)), "counted from the last one that was done");
        assert_eq!(with_ok(85), Verdict::Live { after: Span::from_secs(1) });
    }

    #[test]
    fn an_operation_that_the_specification_calls_a_read_is_not_a_write_though_it_is_not_a_get() {
        /// A type whose only operation is a read.
        struct Looking;
        impl Specification for Looking {
            type State = ();
            fn name(&self) -> &str {
                "looking"
            }
            fn initial(&self) {}
            fn knows(&self, _: &Operation) -> bool {
                true
            }
            fn step(&self, (): &(), _: &Call<'_>) -> Option<()> {
                Some(())
            }
            fn is_read(&self, _: &Call<'_>) -> bool {
                true
            }
        }
        let look = Custom { name: "look".into(), key: "k".into(), argument: None };
        let look = |answer| Attempt { operation: Operation::Custom(Arc::new(look.clone())), ..put(LIVING, 60, answer) };
        let by = |spec, answer| {
            let run = run(vec![look(answer)]);
            judge(&Evidence::of(&fixture::scenario(), &run, spec))
        };
        let refused = Some((61, Outcome::Fail));
        assert_eq!(by(None, refused.clone()), Verdict::NotJudged(Excuse::GivenUp), "it may be a write");
        assert_eq!(by(Some(&Looking), refused), Verdict::NotJudged(Excuse::NoWrites));
        assert_eq!(by(Some(&Looking), ok(61)), Verdict::NotJudged(Excuse::NoWrites));
        assert_eq!(lack(by(Some(&Looking), None)), Some((Lack::Answer, 60)), "an answer is owed all the same");
    }

    #[test]
    fn a_late_refusal_of_a_request_that_was_done_before_demands_nothing() {
        let slow = put(LIVING, 20, Some((60, Outcome::Fail)));
        let done = Attempt { retry_of: Some(Mid(0)), ..put(ReplicaId(1), 30, ok(31)) };
        assert_eq!(verdict(vec![slow, done]), Verdict::NotJudged(Excuse::NoWrites));
    }

    #[test]
    fn a_request_to_a_living_replica_must_be_answered_even_where_others_make_progress() {
        let with_progress = |attempt| {
            let progress = [51, 71].map(|sent| put(ReplicaId(1), sent, ok(sent + 1)));
            lack(verdict(progress.into_iter().chain([attempt]).collect()))
        };
        assert_eq!(with_progress(put(LIVING, 70, None)), Some((Lack::Answer, 70)));
        assert_eq!(with_progress(put(LIVING, 70, Some((79, Outcome::Redirect)))), None);
        assert_eq!(with_progress(put(LIVING, 20, None)), None, "what faults have swallowed is gone");
    }

    #[test]
    fn one_write_is_not_enough_if_none_follows() {
        let good = put(LIVING, 51, ok(52));
        let failing = |place| {
            let again = Attempt { retry_of: Some(Mid(place)), ..put(LIVING, 71, None) };
            [put(LIVING, 70, Some((71, Outcome::Fail))), again]
        };
        let [refused, again] = failing(1);
        assert_eq!(lack(verdict(vec![good.clone(), refused, again])), Some((Lack::Write, 70)));
        let other_client = put(LIVING, 65, ok(75));
        let [refused, again] = failing(2);
        let again = Attempt { answer: ok(81).map(|(time, outcome)| (at(time), outcome)), ..again };
        assert_eq!(lack(verdict(vec![good, other_client, refused, again])), None, "another one is progress, too");
    }

    #[test]
    fn a_request_to_a_replica_that_is_not_served_demands_nothing() {
        let judged = |attempts: Vec<Attempt>| {
            let run = run(attempts);
            judged(&RunRecord { served: run.able.without(LIVING), ..run })
        };
        let refused = Some((62, Outcome::Fail));
        let elsewhere = put(ReplicaId(1), 55, ok(56));
        let live = Verdict::Live { after: Span::from_secs(1) };
        assert_eq!(judged(vec![elsewhere.clone(), put(LIVING, 61, refused)]), live);
        assert_eq!(judged(vec![elsewhere, put(LIVING, 61, None)]), live);
        assert_eq!(lack(judged(vec![put(ReplicaId(1), 61, ok(75))])), Some((Lack::Write, 61)));
        let none = RunRecord { served: ReplicaSet::EMPTY, ..run(vec![put(LIVING, 61, None)]) };
        assert_eq!(
            super::judge(&Evidence::of(&fixture::scenario(), &none, None)),
            Verdict::NotJudged(Excuse::NoneServed)
        );
    }

    #[test]
    fn a_client_that_goes_on_to_a_replica_that_is_not_served_waits_no_longer() {
        let judged = |second: Attempt, third: Option<Attempt>| {
            let first = put(ReplicaId(1), 60, Some((61, Outcome::Redirect)));
            let second = Attempt { retry_of: Some(Mid(0)), ..second };
            let third = third.map(|third| Attempt { retry_of: Some(Mid(1)), ..third });
            let run = run([first, second].into_iter().chain(third).collect());
            lack(judged(&RunRecord { served: run.able.without(LIVING), ..run }))
        };
        assert_eq!(judged(put(LIVING, 61, None), None), None);
        assert_eq!(judged(put(ReplicaId(2), 61, None), None), Some((Lack::Write, 60)));
        let gone = put(LIVING, 72, None);
        let waited = put(ReplicaId(2), 61, Some((72, Outcome::Fail)));
        assert_eq!(judged(waited, Some(gone)), Some((Lack::Write, 60)), "it had waited for long enough before");
        let back = put(ReplicaId(2), 70, None);
        assert_eq!(judged(put(LIVING, 61, Some((70, Outcome::Fail))), Some(back)), Some((Lack::Write, 70)));
    }

    #[test]
    fn replicas_that_fail_everything_are_not_reported_if_less_than_a_quorum_is_served() {
        let refused = |replica, sent| put(ReplicaId(replica), sent, Some((sent + 1, Outcome::Fail)));
        let all: Vec<Attempt> = (50..100).map(|sent| refused((sent % 3) as u8, sent)).collect();
        let by = |served: &[u8]| {
            let served = served.iter().copied().map(ReplicaId).collect();
            judged(&RunRecord { served, ..run(all.clone()) })
        };
        assert_eq!(lack(by(&[0, 1, 2])), Some((Lack::Write, 60)));
        assert_eq!(by(&[1, 2]), Verdict::NotJudged(Excuse::GivenUp));
    }

    #[test]
    fn reads_that_fail_for_ever_are_no_progress_though_writes_are_done() {
        let get = |replica, sent, answer| Attempt {
            operation: Operation::Get { key: "k".into() },
            ..put(ReplicaId(replica), sent, answer)
        };
        let fail = |sent: u64| Some((sent + 1, Outcome::Fail));
        let writes = || (50..100).map(|sent| put(LIVING, sent, ok(sent + 1)));
        let with = |reads: Vec<Attempt>| lack(verdict(reads.into_iter().chain(writes()).collect()));
        let again = |sent, answer| Attempt { retry_of: Some(Mid(0)), ..get(1, sent, answer) };
        let often = || {
            let failing = (62..94).step_by(4).map(|sent| again(sent, fail(sent)));
            [get(0, 60, fail(60))].into_iter().chain(failing).chain([again(96, None)]).collect::<Vec<_>>()
        };
        assert_eq!(with(often()), Some((Lack::Read, 60)));
        assert_eq!(with(vec![get(0, 60, fail(60)), again(61, ok(62))]), None);
        assert_eq!(with(vec![get(0, 60, fail(60))]), None, "its client has given up");
        let in_turn = (50..100).map(|sent| get((sent % 3) as u8, sent, fail(sent))).collect();
        assert_eq!(with(in_turn), Some((Lack::Read, 60)), "but not if all of them are refused");
        let good = (62..99).step_by(8).map(|sent| get(2, sent, ok(sent + 1)));
        assert_eq!(with(often().into_iter().chain(good).collect()), None, "others are done");
    }

    #[test]
    fn a_write_acknowledged_before_the_stable_period_is_not_progress() {
        assert_eq!(lack(verdict(vec![put(LIVING, 40, ok(45)), put(LIVING, 60, None)])), Some((Lack::Write, 60)));
        assert_eq!(verdict(vec![put(LIVING, 40, ok(45))]), Verdict::NotJudged(Excuse::NoWrites));
    }

    #[test]
    fn a_get_is_owed_an_answer_even_if_nothing_is_written() {
        let get = Attempt { operation: Operation::Get { key: "k".into() }, ..put(LIVING, 60, None) };
        assert_eq!(lack(verdict(vec![get])), Some((Lack::Answer, 60)));
    }

    #[test]
    fn a_run_that_was_cut_short_is_not_live_whatever_was_acknowledged() {
        let progress = History { attempts: vec![put(LIVING, 60, ok(63))], ..History::default() };
        let cut = RunRecord { history: progress, sent: 7, packet_storm: true, ..fixture::record() };
        assert_eq!(judged(&cut), Verdict::CutShort(Cut::Packets(7)));
        let cut = RunRecord { packet_storm: false, request_storm: true, ..cut };
        assert_eq!(judged(&cut), Verdict::CutShort(Cut::Requests(1)));
    }

    #[test]
    fn a_run_in_which_a_program_did_what_cannot_be_simulated_fails_and_says_what_it_was() {
        let obstacle = Obstacle { time: at(3), replica: ReplicaId(1), what: "opens a TCP socket".to_owned() };
        let cut =
            RunRecord { obstacle: Some(obstacle.clone()), packet_storm: true, ..run(vec![put(LIVING, 60, ok(63))]) };
        let verdict = judged(&cut);
        assert_eq!(verdict, Verdict::CutShort(Cut::Obstacle(obstacle)));
        let opinion = opinion(&verdict, 0);
        assert_eq!((opinion.word, opinion.findings[0].kind.as_str()), (CUT_SHORT, OBSTACLE));
        let expected = "the run was cut short, because a program did what cannot be simulated: replica 0001 at 3.000000s: \
                        opens a TCP socket";
        assert_eq!((opinion.remark.as_str(), opinion.findings[0].when), (expected, Some((at(3), at(3)))));
    }

    #[test]
    fn requests_to_the_dead_are_counted_and_those_that_they_answered_before_are_not() {
        let attempts = vec![put(DEAD, 60, None), put(DEAD, 10, ok(11)), put(LIVING, 60, None)];
        let living = [LIVING].into_iter().collect();
        let history = History { attempts, ..History::default() };
        assert_eq!(lost_with_replicas(&RunRecord { history, living, ..fixture::record() }), 1);
    }

    #[test]
    fn nothing_is_demanded_of_dead_replicas_or_where_progress_is_impossible() {
        assert_eq!(verdict(vec![put(DEAD, 60, None)]), Verdict::NotJudged(Excuse::NoWrites));
        assert_eq!(verdict(vec![put(LIVING, 95, None)]), Verdict::NotJudged(Excuse::TooShort));
        assert_eq!(judged(&fixture::record()), Verdict::NotJudged(Excuse::NeverCalm));
    }
}
