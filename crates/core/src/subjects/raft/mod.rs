//! The built-in Raft as a subject: its parameters, its messages, its mutants, and its exploration.

mod bounds;
mod coverage;
mod draw;
pub(super) mod parameters;
mod relation;

pub(super) use bounds::{contact, holds};
pub(super) use draw::{config, log_bytes_max};

use std::sync::Arc;

use crate::check::promptness::Promptness;
use crate::check::raft::Invariants;
use crate::check::{Both, Check, liveness};
use crate::consensus::Consensus;
use crate::kv::Command;
use crate::lab::explore::{Flavour, Survey};
use crate::lab::{Mutant, Parameter, ParameterError, Subject, Timing, Tolerance};
use crate::machine::{Boot, Exit};
use crate::raft::{self, AppendEntries, Message, Record, RequestVote, Rule, Rules, Sound};
use crate::replica::{Config, Replica};
use crate::rng::Stream;
use crate::time::Span;
use crate::wire::{Datagrams, Envelope, PeerMessage, Pulse};
use crate::workload;

/// The built-in Raft ([`Replica`]) with some parameters. With [`Sound`] it keeps all its rules.
#[derive(Clone, Debug, Default)]
pub struct Raft<R = Sound> {
    /// The parameters of its replicas, which are valid together.
    pub config: Config,
    /// Its rules.
    pub rules: R,
}

/// How much longer progress may take if appends carry few entries. Where two or three are sent ahead of their answers, it is
/// twice that, and where one is, four times.
const CATCH_UP: Span = Span::from_secs(10);

/// A replica that holds fewer requests than this refuses some in runs with many clients.
const HOLDS_FEW: usize = 100;

/// The kinds of its messages, as places in [`KINDS`].
#[derive(Clone, Copy)]
enum Kind {
    Append,
    Heartbeat,
    AppendReply,
    PreVote,
    RequestVote,
    Vote,
    Probe,
}

const KINDS: &[&str] = &["append", "heartbeat", "append_reply", "pre_vote", "request_vote", "vote", "probe"];

impl Kind {
    fn of<C>(message: &Message<C>) -> Kind {
        match message {
            Message::AppendEntries(AppendEntries { entries, .. }) if entries.is_empty() => Kind::Heartbeat,
            Message::AppendEntries(_) => Kind::Append,
            Message::AppendReply(_) => Kind::AppendReply,
            Message::RequestVote(RequestVote { pre: true, .. }) => Kind::PreVote,
            Message::RequestVote(_) => Kind::RequestVote,
            Message::Vote(_) => Kind::Vote,
            Message::Probe { .. } => Kind::Probe,
            // This replaces the election timeout of the replica that then asks for votes. No run of the testbed has
            // such a message.
            Message::TimeoutNow { .. } => Kind::RequestVote,
            // A chunk of a snapshot replaces the appends of many entries.
            Message::InstallSnapshot(_) => Kind::Append,
        }
    }
}

impl<R: Rules> Subject for Raft<R> {
    type Machine = Replica<R>;

    fn name(&self) -> &'static str {
        "raft"
    }

    fn summary(&self) -> &'static str {
        "The Raft key-value store"
    }

    /// # Panics
    /// If the configuration makes no sense.
    fn boot(&self, boot: Boot<Record<Arc<Command>>>) -> Result<Replica<R>, Exit> {
        Replica::boot(boot, self.config.clone(), self.rules)
    }

    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        parameters::parameters(&mut self.config)
    }

    fn validate(&self) -> Result<(), ParameterError> {
        parameters::validate(&self.config)
    }

    /// Besides the course's clients it serves clients that compare and swap, and delete, with named updates or without.
    fn serves(&self, kind: &workload::Kind) -> bool {
        matches!(kind, workload::Kind::Kv { .. } | workload::Kind::Cas { .. })
    }

    fn checks(&self) -> Vec<Box<dyn Check<Replica<R>>>> {
        let config = &self.config;
        vec![Box::new(Both(Invariants::new(), Both(bounds::contact(config), bounds::growth::<R>(config))))]
    }

    fn window<'m>(&self, machine: &'m Replica<R>) -> Option<&'m dyn Consensus> {
        Some(machine)
    }

    /// The common bound, or more if its timeouts are long: eight elections, or the time for which it may hold a
    /// request. Where batches are small, a log of some hundred entries takes long to be sent.
    fn progress_bound(&self) -> Span {
        let elections = Span(self.config.raft.election_timeout_max.nanos().saturating_mul(8));
        let held = self.config.held_time_max + Span::from_secs(1);
        let few_at_a_time = 4_u64.div_ceil(self.config.raft.inflight_max.max(1).into());
        let catch_up = if self.timing().small_batches { CATCH_UP * few_at_a_time } else { Span::ZERO };
        liveness::BOUND.max(elections).max(held) + catch_up
    }

    fn promptness(&self) -> Option<Promptness> {
        Some(bounds::promptness(&self.config))
    }

    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }

    fn kind(&self, message: &Message<Arc<Command>>) -> usize {
        Kind::of(message) as usize
    }

    fn write_message(&self, message: &Message<Arc<Command>>, envelope: &Envelope<'_>, out: &mut Datagrams) {
        message.encode(envelope, out);
    }

    fn pulse(&self, message: &Message<Arc<Command>>) -> Option<Pulse> {
        message.pulse()
    }

    fn mutants(&self) -> Vec<Mutant> {
        let mutant = |rule: Rule| {
            let broken = Raft { config: self.config.clone(), rules: raft::Mutant(rule) };
            Mutant::new(rule.name(), rule.broken(), broken).from_source(rule.source())
        };
        Rule::ALL.into_iter().map(mutant).collect()
    }

    /// Without the datagrams of `replica/wire.rs`: messages are typed here, and only damaged ones are written and read.
    fn mutated(&self) -> &'static [&'static str] {
        &["raft/", "replica/mod.rs", "replica/config.rs", "replica/seen.rs", "replica/window.rs", "kv/"]
    }

    fn tolerates(&self) -> Tolerance {
        Tolerance::ALL
    }

    fn timing(&self) -> Timing {
        let raft = &self.config.raft;
        Timing {
            timeout_min: raft.election_timeout_min,
            timeout_max: raft.election_timeout_max,
            clock_drift_max: raft.clock_drift_max,
            holds_few: self.config.held_requests_max < HOLDS_FEW,
            small_batches: raft.batch_bytes_max < raft::Config::default().batch_bytes_max,
        }
    }

    fn vary(&mut self, seed: u64, random: &mut Stream, flavour: Flavour) {
        self.config = draw::config(random, flavour);
        // A broken Raft keeps its whole log, unless the rule concerns compaction. Checkers should detect it by its log,
        // not by the consequences of the snapshots that it sends.
        if self.rules.keep_all() || !self.rules.keep(Rule::ReplaceInOneStep) {
            self.config.log_bytes_max = draw::log_bytes_max(seed);
        }
    }

    fn situations(&self) -> &'static [&'static str] {
        coverage::NAMES
    }

    fn relation(&self, machine: &Replica<R>, message: &Message<Arc<Command>>) -> u64 {
        relation::relation(machine.raft(), message)
    }

    fn survey(&self) -> Option<Box<dyn Survey<Replica<R>>>> {
        Some(Box::new(coverage::Watch::default()))
    }
}
