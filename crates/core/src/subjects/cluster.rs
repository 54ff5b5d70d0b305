//! A server of the cluster as a subject: the core of `seedbed serve`, as it ships.

use super::raft::{
    AroundRaft, KINDS as RAFT_KINDS, Kind, NAMES, PROBED, Watch, config, contact, log_bytes_max, log_is_bounded,
    messages, parameters, progress_bound, relation, timing,
};
use crate::chaos::Director;
use crate::check::growth::Growth;
use crate::check::raft::Invariants;
use crate::check::{Both, Check};
use crate::consensus::Consensus;
use crate::id::{ReplicaId, ReplicaSet};
use crate::lab::explore::{Flavour, Seen, Survey};
use crate::lab::{Mutant, Parameter, ParameterError, Subject, Timing, Tolerance};
use crate::machine::{Boot, Exit};
use crate::raft::{self, Rule, Rules, Sound};
use crate::record::{Event, Observer, Scene};
use crate::rng::Stream;
use crate::server::{Config, Message, Record, Server};
use crate::time::{Span, Time};
use crate::wire::{PeerMessage, Pulse};
use crate::workload;

/// The servers of a cluster with some parameters. With [`Sound`] they keep all of Raft's rules.
#[derive(Clone, Debug, Default)]
pub struct Cluster<R = Sound> {
    /// The parameters of the servers, which are valid together.
    pub config: Config,
    /// Raft's rules.
    pub rules: R,
}

/// The kinds of messages besides Raft's.
const OTHER_KINDS: [&str; 3] = ["forward", "forwarded", "admission"];

/// The name of each kind, Raft's first.
const KINDS: [&str; RAFT_KINDS.len() + OTHER_KINDS.len()] = joined(RAFT_KINDS, usize::MAX, &OTHER_KINDS);

/// Situations besides Raft's.
const OTHER_SITUATIONS: [&str; 3] =
    ["request passed on", "request passed on through another server", "server without its memory refused"];

/// The name of each situation, Raft's first, without the one that no server can be in.
const SITUATIONS: [&str; NAMES.len() - 1 + OTHER_SITUATIONS.len()] = joined(NAMES, PROBED, &OTHER_SITUATIONS);

/// The first names but the one at `skip`, if there is one, and then the others.
const fn joined<const N: usize>(first: &[&'static str], skip: usize, others: &[&'static str]) -> [&'static str; N] {
    let (mut names, mut from, mut to) = ([""; N], 0, 0);
    while to < N {
        if from != skip {
            names[to] = if from < first.len() { first[from] } else { others[from - first.len()] };
            to += 1;
        }
        from += 1;
    }
    names
}

/// Watches one run for situations.
#[derive(Default)]
struct ClusterWatch {
    raft: Watch,
    others: [bool; OTHER_SITUATIONS.len()],
}

impl<R: Rules> Observer<Server<R>> for ClusterWatch {
    fn event(&mut self, scene: &Scene<'_, Server<R>>, event: &Event<'_, Message>) {
        self.raft.event(scene, event);
        match event {
            Event::Delivered { message: Message::Forward { relay, .. }, .. } => self.others[usize::from(*relay)] = true,
            Event::Delivered { message: Message::Forgotten { .. }, .. } => self.others[2] = true,
            _ => {}
        }
    }

    fn handled(&mut self, scene: &Scene<'_, Server<R>>, id: ReplicaId) {
        self.raft.handled(scene, id);
    }
}

impl<R: Rules> Survey<Server<R>> for ClusterWatch {
    fn seen(&self) -> Seen {
        let raft = Survey::<Server<R>>::seen(&self.raft);
        let others = self.others.iter().copied();
        let occurred =
            (0..NAMES.len()).filter(|&place| place != PROBED).map(|place| raft.contains(place)).chain(others);
        let mut seen = Seen::default();
        occurred.enumerate().for_each(|(place, occurred)| seen.insert(place, occurred));
        seen
    }
}

/// How late a server may be with its answer to a request that is overdue.
const REFUSAL_DELAY_MAX: Span = Span::from_secs(1);

impl<R: Rules> Subject for Cluster<R> {
    type Machine = Server<R>;

    fn name(&self) -> &'static str {
        "cluster"
    }

    fn summary(&self) -> &'static str {
        "The servers of seedbed cluster as they ship"
    }

    /// # Panics
    /// If the configuration makes no sense.
    fn boot(&self, boot: Boot<Record>) -> Result<Server<R>, Exit> {
        Server::boot(boot, self.config.clone(), self.rules)
    }

    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        parameters::of_server(&mut self.config)
    }

    fn validate(&self) -> Result<(), ParameterError> {
        parameters::explained(self.config.validate(), &parameters::of_server(&mut Config::default()))
    }

    /// Besides the course's clients they serve clients that compare and swap, and delete, with named updates or without.
    fn serves(&self, kind: &workload::Kind) -> bool {
        matches!(kind, workload::Kind::Kv { .. } | workload::Kind::Cas { .. })
    }

    fn checks(&self) -> Vec<Box<dyn Check<Server<R>>>> {
        let config = self.config.clone();
        let growth = Growth::new(Some(messages(&config.raft)), move |now, server| holds(&config, now, server));
        vec![Box::new(Both(Invariants::new().refusing_wiped(), Both(contact(&self.config.raft), growth)))]
    }

    fn window<'m>(&self, machine: &'m Server<R>) -> Option<&'m dyn Consensus> {
        Some(machine)
    }

    /// Those that others have admitted, and those that enough others can still reach to admit them. If some are lost
    /// before a cluster's first start is complete, it is never complete.
    fn participants(&self, replicas: &[Server<R>], director: &Director) -> ReplicaSet {
        let takes_part = |id: &ReplicaId| {
            let admission = replicas[id.index()].admission();
            let others = director.may_reach(*id).without(*id);
            admission.is_admitted() || others.len() >= admission.welcomes().1
        };
        ReplicaId::all(replicas.len()).filter(takes_part).collect()
    }

    fn progress_bound(&self) -> Span {
        progress_bound(&self.config.raft, self.config.request_time_max)
    }

    fn kinds(&self) -> &'static [&'static str] {
        &KINDS
    }

    fn kind(&self, message: &Message) -> usize {
        let other = match message {
            Message::Raft(message) => return Kind::of(message) as usize,
            Message::Forward { .. } => 0,
            Message::Forwarded { .. } => 1,
            Message::Hello { .. } | Message::Welcome { .. } | Message::Forgotten { .. } => 2,
        };
        RAFT_KINDS.len() + other
    }

    fn pulse(&self, message: &Message) -> Option<Pulse> {
        Server::<R>::for_raft(message)?.pulse()
    }

    /// Without the rules of the course's desk and datagrams: messages between servers are not read if they are damaged, and
    /// a server hands an update in again whose fate it does not know, since names keep it from being carried out twice.
    fn mutants(&self) -> Vec<Mutant> {
        let mutant = |rule: Rule| {
            let broken = Cluster { config: self.config.clone(), rules: raft::Mutant(rule) };
            Mutant::new(rule.name(), rule.broken(), broken).from_source(rule.source())
        };
        let is_of_servers = |rule: &Rule| !matches!(rule, Rule::CheckChecksums | Rule::RedirectWhatIsRuledOut);
        Rule::ALL.into_iter().filter(is_of_servers).map(mutant).collect()
    }

    fn mutated(&self) -> &'static [&'static str] {
        &["raft/", "replicated/", "server/", "kv/"]
    }

    fn tolerates(&self) -> Tolerance {
        Tolerance::ALL
    }

    /// A client whose request was not done in time sends another one, and a leader that is cut off takes on all of them.
    /// Where batches are small, such a log takes long to be sent.
    fn timing(&self) -> Timing {
        let timing = timing(&self.config.raft, self.config.open_requests_max);
        Timing { wants_few_clients: timing.wants_few_clients || timing.small_batches, ..timing }
    }

    fn vary(&mut self, seed: u64, random: &mut Stream, flavour: Flavour) {
        self.config.raft = config(random, flavour).raft;
        if self.rules.keep_all() || !self.rules.keep(Rule::ReplaceInOneStep) {
            self.config.log_bytes_max = log_bytes_max(seed);
        }
    }

    fn situations(&self) -> &'static [&'static str] {
        &SITUATIONS
    }

    fn relation(&self, machine: &Server<R>, message: &Message) -> u64 {
        Server::<R>::for_raft(message).map_or(0, |message| relation(machine.raft(), message))
    }

    fn survey(&self) -> Option<Box<dyn Survey<Server<R>>>> {
        Some(Box::new(ClusterWatch::default()))
    }
}

/// Whether a server holds no more requests than it may, none for too long, and no longer a log than it needs.
fn holds<R: Rules>(config: &Config, now: Time, server: &Server<R>) -> Result<(), String> {
    let (open, most) = (server.open_requests().max(server.replicated().open_updates()), config.open_requests_max);
    if open > most {
        return Err(format!("holds {open} requests, of at most {most}"));
    }
    if let Some(deadline) = server.first_deadline().filter(|&deadline| now > deadline + REFUSAL_DELAY_MAX) {
        let late = now.since(deadline).as_secs_f64();
        return Err(format!("has held a request for {late:.3} s longer than its client waits"));
    }
    log_is_bounded(config.log_bytes_max, server)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Response;

    #[test]
    fn its_kinds_and_situations_are_those_of_raft_and_its_own() {
        assert_eq!(KINDS[..RAFT_KINDS.len()], *RAFT_KINDS);
        assert_eq!(KINDS[RAFT_KINDS.len()..], OTHER_KINDS);
        assert_eq!(
            KINDS[<Cluster>::default().kind(&Message::Forwarded { token: 1, response: Response::Fail })],
            "forwarded"
        );
        let of_raft = NAMES.iter().filter(|name| **name != NAMES[PROBED]);
        assert!(SITUATIONS.iter().eq(of_raft.chain(&OTHER_SITUATIONS)), "{SITUATIONS:?}");
    }
}
