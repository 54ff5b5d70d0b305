//! What replicas of Raft promise besides Raft's invariants: to step down without contact, and to keep within bounds.

use super::AroundRaft;
use crate::check::growth::{Growth, MessageBound};
use crate::check::promptness::Promptness;
use crate::check::raft::LeaderContact;
use crate::raft::{self, Rules};
use crate::replica::{Config, Replica};
use crate::time::{Span, Time};

/// A leader steps down when it has heard from no quorum for `election_timeout_max`. It is reported when it has led on for
/// this many times as long.
const SILENT_TIMEOUTS: u64 = 4;

/// How late a replica may be with a refusal. Timeouts are punctual in virtual time.
const REFUSAL_DELAY_MAX: Span = Span::from_secs(1);

/// How many messages may go over each link in a heartbeat interval, and for each request and replica besides. The most
/// that any of 20,000 explored runs sent was 2.04 times both.
const MESSAGES: f64 = 16.0;

/// The applied part of a log may be this many times its limit and the size of the state, and this many bytes more. It is
/// not cut before time has moved on since the last entry was applied. In explored runs it was 3,808 bytes at most, with a
/// limit of 400.
const LOG_TIMES: usize = 4;
const LOG_BYTES: usize = 16_384;

/// In calm periods an answer may take this many times as long as a write that is passed on at once. The most that one took,
/// of 840,000 in 40,000 explored runs, was 1.75 times that: a request may have to wait for a round trip, or a sync, that is
/// under way.
const ANSWER_TIMES: u64 = 6;

/// Batches of fewer bytes, or fewer of them at a time, make requests wait for each other. These are not the defaults'
/// own values, because a bound should not move with what it bounds.
const BATCH_BYTES: usize = 16_384;
const INFLIGHT: u32 = 8;

/// The watch for leaders without contact.
pub(in crate::subjects) fn contact(config: &raft::Config) -> LeaderContact {
    LeaderContact::new(Span(config.election_timeout_max.nanos() * SILENT_TIMEOUTS))
}

/// The watch for what grows without bound.
pub(in crate::subjects) fn growth<R: Rules>(config: &Config) -> Growth<Replica<R>> {
    let (messages, config) = (messages(&config.raft), config.clone());
    Growth::new(Some(messages), move |now, replica| holds(&config, now, replica))
}

/// How soon replicas answer while nothing disturbs them. A replica that has not heard from the leader lately probes it before
/// it redirects to it. If that probe was lost before, it hears from the leader with the next heartbeat.
pub(super) fn promptness(config: &Config) -> Promptness {
    let raft = &config.raft;
    Promptness {
        times: ANSWER_TIMES,
        redirect: config.probe_after + Span(2 * raft.heartbeat.nanos()),
        settle: Span(raft.election_timeout_max.nanos() / 2),
        one_by_one: raft.batch_bytes_max < BATCH_BYTES || raft.inflight_max < INFLIGHT,
    }
}

/// How many messages replicas may send.
pub(in crate::subjects) fn messages(config: &raft::Config) -> MessageBound {
    let per_link_second = MESSAGES / config.heartbeat.as_secs_f64();
    MessageBound { per_link_second, per_replica_request: MESSAGES }
}

/// Whether a replica holds no more requests than it may, none for too long, and no longer a log than it needs.
pub(in crate::subjects) fn holds<R: Rules>(config: &Config, now: Time, replica: &Replica<R>) -> Result<(), String> {
    let (waiting, most) = (replica.waiting_requests(), config.held_requests_max);
    if waiting > most {
        return Err(format!("holds {waiting} requests, of at most {most}"));
    }
    if let Some(oldest) =
        replica.oldest_request().filter(|&oldest| now > oldest + config.held_time_max + REFUSAL_DELAY_MAX)
    {
        let (held, most) = (now.since(oldest).as_secs_f64(), config.held_time_max.as_secs_f64());
        return Err(format!("has held a request for {held:.3} s, of at most {most:.3} s"));
    }
    log_is_bounded(config.log_bytes_max, replica)
}

/// Whether a replica keeps no longer a log than it needs.
pub(in crate::subjects) fn log_is_bounded<M: AroundRaft>(limit: usize, replica: &M) -> Result<(), String> {
    let log = replica.replicated().applied_log_bytes();
    if log > LOG_BYTES && log / LOG_TIMES > limit {
        let state = replica.replicated().store().bytes();
        if (log - LOG_BYTES) / LOG_TIMES > limit + state {
            return Err(format!(
                "keeps {log} bytes of applied entries, of at most {limit} or the {state} of its state"
            ));
        }
    }
    Ok(())
}
