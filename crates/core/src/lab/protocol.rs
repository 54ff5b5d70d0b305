//! Protocols by name: subjects of any type behind one handle.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::drawn::{Drawn, drawn_in};
use super::names;
use super::parameter::ParameterError;
use super::station::{OnLan, StationSubject};
use super::subject::{Subject, Timing, Tolerance};
use super::tested::{Runs, Tested};
use super::verify::{Agreement, Divergence};
use crate::hint::{did_you_mean, nearest};
use crate::lab::explore::Flavour;
use crate::mutation::DrawnMutant;
use crate::record::{RunRecord, Watcher, World};
use crate::rng::Stream;
use crate::scenario::Scenario;
use crate::time::Span;
use crate::workload;
use crate::world::program::Program;

/// A protocol under test, with its parameters, and perhaps without one of its rules. It is a handle: cloning it is cheap.
///
/// Behind it is a [`Subject`] of any type. What a run does is compiled for that type; only its beginning and its end go
/// through the handle.
#[derive(Clone)]
pub struct Protocol {
    pub(super) subject: Arc<dyn Tested>,
    mutant: Option<Mutated>,
    /// The sound one with its default parameters.
    plain: Arc<dyn Tested>,
    /// The program that its replicas run, if it is a user's.
    program: Option<Arc<Program>>,
}

/// The rule that a protocol breaks.
#[derive(Clone)]
struct Mutated {
    name: &'static str,
    /// The same protocol with all its rules.
    sound: Arc<dyn Tested>,
}

/// A known-bad variant of a protocol: it lacks one rule.
#[derive(Clone)]
pub struct Mutant {
    /// Its name: that of the rule.
    pub name: &'static str,
    /// What it does wrong, as in `answers before a majority has the write`.
    pub breaks: &'static str,
    /// Where the rule is from, such as a section of a paper; empty if there is nothing to say.
    pub source: &'static str,
    /// If it was drawn by chance ([`crate::mutation`]), all that is known of it. It lacks no rule then.
    pub drawn: Option<&'static DrawnMutant>,
    subject: Arc<dyn Tested>,
}

/// A handle for a subject. The parameters that it has now are the default ones.
///
/// # Panics
/// If a name cannot be used. Names of protocols, of mutants and of a workload of one's own are `[a-z0-9][a-z0-9-]*`; those
/// of parameters may have `.` and `_` as well, and must not begin with a key of scenarios. No two mutants, and no two parameters,
/// have the same name.
#[track_caller]
pub fn subject(subject: impl Subject) -> Protocol {
    Protocol::of(Arc::new(subject))
}

/// A handle for a subject whose replicas stand on the course's LAN. Its runs are in virtual time, as those of others are.
///
/// # Panics
/// As [`subject`].
#[track_caller]
pub fn station(subject: impl StationSubject) -> Protocol {
    Protocol::of(Arc::new(OnLan(subject)))
}

impl Protocol {
    #[track_caller]
    fn of(subject: Arc<dyn Tested>) -> Protocol {
        names::check(&*subject);
        Protocol { plain: Arc::clone(&subject), subject, mutant: None, program: None }
    }

    /// A handle for a program, whose name is a path.
    pub(super) fn unnamed(subject: Arc<dyn Tested>, program: Arc<Program>) -> Protocol {
        Protocol { plain: Arc::clone(&subject), subject, mutant: None, program: Some(program) }
    }

    /// The program that its replicas run, if it is a user's.
    pub fn program(&self) -> Option<&Program> {
        self.program.as_deref()
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.subject.name()
    }

    /// Its name without folders: a program has that of its file.
    pub fn short_name(&self) -> Cow<'static, str> {
        let file = self.program.as_ref().and_then(|program| program.path().file_name());
        file.map_or(Cow::Borrowed(self.name()), |name| Cow::Owned(name.to_string_lossy().into_owned()))
    }

    /// What it is, in a few words.
    pub fn summary(&self) -> &'static str {
        self.subject.summary()
    }

    /// The world in which its runs are: [`World::Virtual`], or [`World::Lan`] if its replicas are stations.
    pub fn world(&self) -> World {
        self.subject.world()
    }

    /// What its messages are for.
    pub fn kinds(&self) -> &'static [&'static str] {
        self.subject.kinds()
    }

    /// Every parameter by its name, with its value, times in milliseconds.
    pub fn parameters(&self) -> Vec<(&'static str, f64)> {
        self.subject.parameters()
    }

    /// The parameters that are not what they are by default.
    pub fn changed_parameters(&self) -> Vec<(&'static str, f64)> {
        let pairs = self.parameters().into_iter().zip(self.plain.parameters());
        pairs.filter(|(own, default)| own != default).map(|(own, _)| own).collect()
    }

    /// The sound protocol with its default parameters.
    #[must_use]
    pub fn plain(&self) -> Protocol {
        Protocol { subject: Arc::clone(&self.plain), mutant: None, ..self.clone() }
    }

    /// Sets a parameter. Whether all together make sense is for [`validate`](Protocol::validate) to say.
    ///
    /// # Errors
    /// If there is no such parameter, or it cannot have this value. Nothing is changed then.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), ParameterError> {
        self.change(|subject| subject.with(name, value))
    }

    /// The same protocol with these values for some parameters: those of which `wanted` is true, given whether they are
    /// lengths of time.
    #[must_use]
    pub(super) fn with_parameters(&self, values: &[(&'static str, f64)], wanted: impl Fn(bool) -> bool) -> Protocol {
        let mut changed = self.clone();
        let is_time: BTreeMap<&str, bool> = self.parameters().iter().map(|own| own.0).zip(self.times()).collect();
        for &(name, value) in values {
            if is_time.get(name).is_some_and(|&is_time| wanted(is_time)) {
                // A protocol of this kind has this value, so it is one that the parameter can have.
                let _ = changed.set(name, value);
            }
        }
        changed
    }

    /// Which of its parameters are lengths of time, in their order.
    pub(super) fn times(&self) -> Vec<bool> {
        self.subject.times()
    }

    /// Checks that all parameters together make sense.
    ///
    /// # Errors
    /// Names one that does not.
    pub fn validate(&self) -> Result<(), ParameterError> {
        self.subject.validate()
    }

    /// Its known-bad variants: those that lack a rule, and then those that were drawn by chance, if this build has some.
    pub fn mutants(&self) -> Vec<Mutant> {
        let sound = self.sound().subject;
        let mut mutants = sound.mutants();
        mutants.extend(drawn_in(sound.mutated()).map(|drawn| Mutant::of_drawn(drawn, &sound)));
        mutants
    }

    /// Whether its code can have drawn mutants: in a build that has some, they are among its
    /// [`mutants`](Protocol::mutants).
    pub fn is_mutated(&self) -> bool {
        !self.subject.mutated().is_empty()
    }

    /// What is known of it if it is a drawn mutant.
    pub fn drawn(&self) -> Option<&'static DrawnMutant> {
        drawn_in(self.subject.mutated()).find(|drawn| Some(drawn.name) == self.broken())
    }

    /// The same protocol, with these parameters, without a rule.
    ///
    /// # Errors
    /// If it has no mutant of this name.
    pub fn without(&self, rule: &str) -> Result<Protocol, UnknownMutant> {
        let sound = self.sound();
        let mutants = sound.mutants();
        let found = mutants.iter().find(|mutant| mutant.name == rule).ok_or_else(|| UnknownMutant {
            protocol: self.name(),
            rule: rule.to_owned(),
            known: mutants.iter().map(|mutant| mutant.name).collect(),
        })?;
        let mutated = Mutated { name: found.name, sound: Arc::clone(&sound.subject) };
        Ok(Protocol { subject: Arc::clone(&found.subject), mutant: Some(mutated), ..sound })
    }

    /// The rule that it breaks, if it does.
    pub fn broken(&self) -> Option<&'static str> {
        self.mutant.as_ref().map(|mutated| mutated.name)
    }

    /// The same protocol, with these parameters and all its rules.
    #[must_use]
    pub fn sound(&self) -> Protocol {
        let subject = self.mutant.as_ref().map_or(&self.subject, |mutated| &mutated.sound);
        Protocol { subject: Arc::clone(subject), mutant: None, ..self.clone() }
    }

    /// Runs a scenario without checkers.
    ///
    /// # Panics
    /// If the protocol does.
    pub fn simulate(&self, scenario: &Scenario, seed: u64) -> RunRecord {
        self.subject.simulate(scenario, seed, None)
    }

    /// The same, watched.
    ///
    /// # Panics
    /// If the protocol does.
    pub fn simulate_watched(&self, scenario: &Scenario, seed: u64, watcher: &mut dyn Watcher) -> RunRecord {
        self.subject.simulate(scenario, seed, Some(watcher))
    }

    /// Plays runs twice and compares them ([`verify_all`](super::verify::verify_all)). `watch` is told of each run that
    /// was played, so twice of all.
    ///
    /// # Errors
    /// If two runs differ, or both panic.
    pub fn verify(&self, runs: Runs<'_, '_>, watch: &(dyn Fn(&Scenario) + Sync)) -> Result<Agreement, Box<Divergence>> {
        self.subject.verify(runs, watch)
    }

    /// How long a write or an answer may take once all faults are over.
    pub fn progress_bound(&self) -> Span {
        self.subject.progress_bound()
    }

    /// Which faults an exploration may inject.
    pub fn tolerates(&self) -> Tolerance {
        self.subject.tolerates()
    }

    /// The times that an exploration measures its faults by.
    pub fn timing(&self) -> Timing {
        self.subject.timing()
    }

    /// The situations that an exploration counts.
    pub fn situations(&self) -> &'static [&'static str] {
        self.subject.situations()
    }

    /// What clients ask in explored runs, and in scenarios that name no workload if it does not serve the course's clients.
    pub fn workload(&self) -> workload::Kind {
        self.subject.workload()
    }

    /// Whether its replicas know what clients of this kind ask.
    pub fn serves(&self, kind: &workload::Kind) -> bool {
        self.subject.serves(kind)
    }

    /// Whether anything says which answers are right in a scenario: a specification, or a checker of the protocol's own.
    pub fn judges_answers(&self, scenario: &Scenario) -> bool {
        self.subject.judges_answers(scenario)
    }

    /// The same protocol with parameters drawn for one explored run.
    pub(super) fn varied(&self, seed: u64, random: &mut Stream, flavour: Flavour) -> Protocol {
        let subject = self.subject.varied(seed, random, flavour);
        let mutant = self.mutant.clone().map(|mutated| {
            // It has the parameters of the mutant, so that the two can be compared.
            let sound = self.sound().with_parameters(&subject.parameters(), |_| true).subject;
            Mutated { name: mutated.name, sound }
        });
        Protocol { subject, mutant, ..self.clone() }
    }

    fn change<E>(&mut self, change: impl Fn(&dyn Tested) -> Result<Arc<dyn Tested>, E>) -> Result<(), E> {
        let subject = change(&*self.subject)?;
        if let Some(mutated) = &mut self.mutant {
            mutated.sound = change(&*mutated.sound)?;
        }
        self.subject = subject;
        Ok(())
    }
}

/// The same protocol with the same parameters, and without the same rule if without one.
impl PartialEq for Protocol {
    fn eq(&self, other: &Protocol) -> bool {
        self.name() == other.name() && self.broken() == other.broken() && self.parameters() == other.parameters()
    }
}

/// As in `raft`.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Protocol");
        shown.field("name", &self.name()).field("broken", &self.broken()).field("parameters", &self.parameters());
        shown.finish()
    }
}

impl Mutant {
    /// A variant of a protocol. `breaks` says what it does wrong.
    pub fn new(name: &'static str, breaks: &'static str, subject: impl Subject) -> Mutant {
        Mutant { name, breaks, source: "", drawn: None, subject: Arc::new(subject) }
    }

    fn of_drawn(drawn: &'static DrawnMutant, sound: &Arc<dyn Tested>) -> Mutant {
        let subject = Arc::new(Drawn { number: drawn.number, inner: Arc::clone(sound) });
        Mutant { name: drawn.name, breaks: drawn.change, source: drawn.place, drawn: Some(drawn), subject }
    }

    /// The same with the source of its rule.
    #[must_use]
    pub fn from_source(self, source: &'static str) -> Mutant {
        Mutant { source, ..self }
    }
}

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutant").field("name", &self.name).field("breaks", &self.breaks).finish_non_exhaustive()
    }
}

/// A protocol has no mutant of some name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown mutant `{rule}` of {protocol}{}", self.allowed())]
pub struct UnknownMutant {
    protocol: &'static str,
    rule: String,
    known: Vec<&'static str>,
}

impl UnknownMutant {
    fn allowed(&self) -> String {
        match (nearest(&self.rule, self.known.iter().copied()), &self.known[..]) {
            (_, []) => ", which has no mutants".to_owned(),
            (Some(meant), _) => format!("; {}", did_you_mean(meant)),
            (None, known) => format!("; allowed is {}", known.join(", ")),
        }
    }
}

/// The protocols that are known by name, the default first.
#[derive(Clone, Debug)]
pub struct Protocols(Vec<Protocol>);

impl Protocols {
    /// These, the default first.
    ///
    /// # Panics
    /// If there is none, or two have the same name.
    #[track_caller]
    pub fn new(protocols: impl IntoIterator<Item = Protocol>) -> Protocols {
        let protocols: Vec<Protocol> = protocols.into_iter().collect();
        assert!(!protocols.is_empty(), "no protocol is given; allowed is one or more");
        for (place, protocol) in protocols.iter().enumerate() {
            let is_new = protocols[..place].iter().all(|other| other.name() != protocol.name());
            assert!(is_new, "two protocols are named {protocol}");
        }
        Protocols(protocols)
    }

    /// The one that is tested unless another one is named.
    pub fn default_one(&self) -> &Protocol {
        &self.0[0]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Protocol> {
        self.0.iter()
    }

    /// Their names.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(Protocol::name).collect()
    }

    /// The protocol of a name, as it is registered.
    ///
    /// # Errors
    /// If none has this name.
    pub fn find(&self, name: &str) -> Result<Protocol, UnknownProtocol> {
        let found = self.0.iter().find(|protocol| protocol.name() == name).cloned();
        found.ok_or_else(|| UnknownProtocol { name: name.to_owned(), allowed: self.names().join(", ") })
    }

    /// The protocol of a name that is one of [`names`](Protocols::names).
    pub(super) fn expect(&self, name: &str) -> Protocol {
        self.find(name).unwrap_or_else(|_| self.default_one().clone())
    }

    /// The mutants of all of them, each name once.
    pub fn mutants(&self) -> Vec<Mutant> {
        let mut all: Vec<Mutant> = Vec::new();
        for mutant in self.0.iter().flat_map(Protocol::mutants) {
            if all.iter().all(|known| known.name != mutant.name) {
                all.push(mutant);
            }
        }
        all
    }
}

/// A name that no protocol has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol `{name}`; allowed is {allowed}")]
pub struct UnknownProtocol {
    name: String,
    allowed: String,
}
