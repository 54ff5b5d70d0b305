//! The built-in Raft as a subject: its parameters, its messages, its mutants, and its exploration.

mod around;
mod bounds;
mod coverage;
mod draw;
mod kinds;
pub(super) mod parameters;
mod relation;

pub(super) use around::AroundRaft;
pub(super) use bounds::{contact, holds, log_is_bounded, messages};
pub(super) use coverage::{NAMES, PROBED, Watch};
pub(super) use draw::{config, log_bytes_max};
pub(super) use kinds::{KINDS, Kind};
pub(super) use relation::relation;

use std::sync::Arc;

use crate::check::promptness::Promptness;
use crate::check::raft::Invariants;
use crate::check::{Both, Check, liveness};
use crate::consensus::Consensus;
use crate::kv::Command;
use crate::lab::explore::{Flavour, Survey};
use crate::lab::{Mutant, Parameter, ParameterError, Subject, Timing, Tolerance};
use crate::machine::{Boot, Exit};
use crate::raft::{self, Message, Record, Rule, Rules, Sound};
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

/// The bound on progress of replicas that hold a request for as long as this.
pub(super) fn progress_bound(config: &raft::Config, held_time_max: Span) -> Span {
    let elections = Span(config.election_timeout_max.nanos().saturating_mul(8));
    let held = held_time_max + Span::from_secs(1);
    let few_at_a_time = 4_u64.div_ceil(config.inflight_max.max(1).into());
    let catch_up = if has_small_batches(config) { CATCH_UP * few_at_a_time } else { Span::ZERO };
    liveness::BOUND.max(elections).max(held) + catch_up
}

/// The times of replicas that hold this many requests.
pub(super) fn timing(config: &raft::Config, held_requests_max: usize) -> Timing {
    Timing {
        timeout_min: config.election_timeout_min,
        timeout_max: config.election_timeout_max,
        clock_drift_max: config.clock_drift_max,
        wants_few_clients: held_requests_max < HOLDS_FEW,
        small_batches: has_small_batches(config),
    }
}

fn has_small_batches(config: &raft::Config) -> bool {
    config.batch_bytes_max < raft::Config::default().batch_bytes_max
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
        vec![Box::new(Both(Invariants::new(), Both(bounds::contact(&config.raft), bounds::growth::<R>(config))))]
    }

    fn window<'m>(&self, machine: &'m Replica<R>) -> Option<&'m dyn Consensus> {
        Some(machine)
    }

    /// The common bound, or more if its timeouts are long: eight elections, or the time for which it may hold a
    /// request. Where batches are small, a log of some hundred entries takes long to be sent.
    fn progress_bound(&self) -> Span {
        progress_bound(&self.config.raft, self.config.held_time_max)
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
        &["raft/", "replicated/", "replica/mod.rs", "replica/config.rs", "replica/seen.rs", "replica/window.rs", "kv/"]
    }

    fn tolerates(&self) -> Tolerance {
        Tolerance { wipes: false, ..Tolerance::ALL }
    }

    fn timing(&self) -> Timing {
        timing(&self.config.raft, self.config.held_requests_max)
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
        NAMES
    }

    fn relation(&self, machine: &Replica<R>, message: &Message<Arc<Command>>) -> u64 {
        relation(machine.raft(), message)
    }

    fn survey(&self) -> Option<Box<dyn Survey<Replica<R>>>> {
        Some(Box::new(Watch::default()))
    }
}
