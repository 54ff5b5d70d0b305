//! Which clients a protocol serves, and the errors about all others.

use super::Protocol;
use crate::scenario::{Scenario, ScenarioError, Unplayable};
use crate::workload::{Keys, Kind};

impl Protocol {
    /// A scenario with clients that the protocol serves. One that names no workload gets the protocol's own clients if the
    /// protocol does not serve those of the course. A type of one's own gets what makes its clients.
    ///
    /// # Errors
    /// If the scenario names a workload, or has operations, that the protocol does not serve; or if its clients should
    /// draw operations, and nothing can make them. Also if the world of its runs lacks something: stations have no disks.
    pub fn fit(&self, scenario: Scenario) -> Result<Scenario, Unserved> {
        let scenario = self.fit_clients(scenario)?;
        scenario.unplayable(self.world()).map_or(Ok(scenario), |what| Err(self.unplayable(what)))
    }

    fn fit_clients(&self, scenario: Scenario) -> Result<Scenario, Unserved> {
        let (own, named) = (self.workload(), scenario.kind.as_ref());
        if scenario.operations.is_some() {
            return if self.serves(scenario.kind()) { Ok(scenario) } else { Err(self.unserved(&scenario)) };
        }
        match named {
            None if self.serves(&Kind::COURSE) => Ok(scenario),
            None if lacks_clients(&own) => Err(self.without_clients(&own)),
            None => Ok(Scenario { kind: Some(own), ..scenario }),
            Some(kind) if lacks_clients(kind) && kind.is_like(&own) && !lacks_clients(&own) => {
                Ok(Scenario { kind: Some(own), ..scenario })
            }
            Some(kind) if !self.serves(kind) => Err(self.unserved(&scenario)),
            Some(kind) if lacks_clients(kind) => Err(self.without_clients(kind)),
            Some(_) => Ok(scenario),
        }
    }

    /// Checks that random scenarios can be drawn for it: that something makes its clients.
    ///
    /// # Errors
    /// If its [`workload`](Protocol::workload) is a type of its own without a generator.
    pub fn check_explorable(&self) -> Result<(), Unexplorable> {
        let workload = self.workload();
        if lacks_clients(&workload) { Err(Unexplorable { protocol: self.name(), workload }) } else { Ok(()) }
    }

    /// Says which key of a scenario names what is not served.
    fn unserved(&self, scenario: &Scenario) -> Unserved {
        let kind = scenario.kind();
        let found = |key, value: String| (key, Some(value));
        let plain = without_updates(kind);
        let allowed = self.allowed();
        let (key, value) = match (kind, self.workload()) {
            _ if scenario.operations.is_some() => found("operations", format!("for clients of the kind {kind}")),
            _ if plain != *kind && self.serves(&plain) => {
                let allowed = format!("false, as {self} serves no named updates");
                return Unserved { key: "workload.updates", value: Some("true".to_owned()), allowed };
            }
            (Kind::Custom(custom), Kind::Custom(_)) => found("workload.name", format!("{:?}", custom.name())),
            _ => found("workload.kind", format!("{:?}", kind.name())),
        };
        Unserved { key, value, allowed: format!("{allowed}, which {self} serves") }
    }

    /// Says which key of a scenario has what its world cannot play.
    fn unplayable(&self, what: Unplayable) -> Unserved {
        let (key, value, allowed) = match what.what {
            key if key.contains('.') => (key, "more than 0".to_owned(), "0"),
            event => ("events", format!("a list with `{event}`"), "a list without faults of disks"),
        };
        Unserved { key, value: Some(value), allowed: format!("{allowed}, as {self} has no disks") }
    }

    fn without_clients(&self, kind: &Kind) -> Unserved {
        let allowed = format!("a list, as clients of the kind {kind} draw no operations for {self}");
        Unserved { key: "operations", value: None, allowed }
    }

    /// The kinds that it serves, in words.
    fn allowed(&self) -> String {
        let own = self.workload();
        let mut kinds: Vec<String> = examples().iter().filter(|kind| self.serves(kind)).map(Kind::to_string).collect();
        if matches!(own, Kind::Custom(_)) {
            kinds.push(own.to_string());
        }
        if kinds.is_empty() { own.to_string() } else { kinds.join(", ") }
    }
}

/// Clients of each ready kind.
fn examples() -> [Kind; 6] {
    let count = 1;
    [
        Kind::Kv { keys: Keys::Shared { count }, updates: false },
        Kind::Cas { count, updates: false },
        Kind::List { count },
        Kind::Counter { count },
        Kind::Queue { count },
        Kind::Lock { count, hold_max: Kind::HOLD_DEFAULT },
    ]
}

fn without_updates(kind: &Kind) -> Kind {
    match *kind {
        Kind::Kv { keys, .. } => Kind::Kv { keys, updates: false },
        Kind::Cas { count, .. } => Kind::Cas { count, updates: false },
        ref other => other.clone(),
    }
}

/// Whether nothing makes such clients, so that their operations must be written down.
fn lacks_clients(kind: &Kind) -> bool {
    matches!(kind, Kind::Custom(custom) if !custom.draws())
}

/// A scenario has clients that a protocol does not serve, or that nothing can make.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is {}; allowed is {allowed}", value.as_deref().unwrap_or("missing"))]
pub struct Unserved {
    /// The key of the scenario.
    key: &'static str,
    /// Its value; none if it is missing.
    value: Option<String>,
    allowed: String,
}

/// A protocol cannot be explored, since its workload makes no clients.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{protocol} cannot be explored: its workload, {workload}, has no generator; `Kind::custom` takes one")]
pub struct Unexplorable {
    protocol: &'static str,
    workload: Kind,
}

impl Unserved {
    /// The same as an error of a file. `path_of` is the path of a scenario's key in it.
    pub fn in_file(self, file: &str, path_of: impl FnOnce(&str) -> String) -> ScenarioError {
        let Unserved { key, value, allowed } = self;
        let (file, key) = (file.to_owned(), path_of(key));
        match value {
            Some(value) => ScenarioError::Invalid { file, key, value, allowed, hint: None },
            None => ScenarioError::Missing { file, key, allowed, hint: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Protocols, Repro, subject, tests::odd::Odd};
    use super::*;
    use crate::workload::{CustomKind, Generator, Turn};

    /// A protocol with this workload alone.
    fn serving(workload: Kind) -> Protocol {
        subject(Odd { workload, ..Odd::default() })
    }

    struct Teller;

    impl Generator for Teller {
        fn next(&mut self, _: &mut Turn) -> Option<crate::service::Operation> {
            None
        }
    }

    fn bank() -> Protocol {
        serving(Kind::custom("bank", |_| Teller))
    }

    /// A scenario with these keys beside those that must be there.
    fn scenario(more: &str) -> Scenario {
        let mut keys: serde_json::Value =
            serde_json::from_str(include_str!("../../scenarios/simple-1.json")).expect("JSON");
        let more: serde_json::Map<_, _> = serde_json::from_str(&format!("{{{more}}}")).expect("keys");
        for (key, value) in more {
            if key == "operations" {
                ["requests", "mix"].into_iter().for_each(|key| drop(keys.as_object_mut().expect("keys").remove(key)));
            }
            keys[key] = value;
        }
        Scenario::parse("s", "s.json", &keys.to_string()).unwrap_or_else(|error| panic!("{error}")).scenario
    }

    fn refused(protocol: &Protocol, scenario: Scenario) -> String {
        protocol.fit(scenario).expect_err("it is not served").in_file("s.json", str::to_owned).to_string()
    }

    #[test]
    fn only_a_scenario_that_names_no_workload_gets_the_protocols_own() {
        let own = Kind::Queue { count: 2 };
        let protocol = serving(own.clone());
        assert_eq!(protocol.fit(scenario("")).expect("its own clients").kind, Some(own));
        for workload in [r#"{"kind": "kv", "keys": "private"}"#, r#"{"keys": "private"}"#] {
            let named = scenario(&format!(r#""workload": {workload}"#));
            let again = Scenario::parse("s", "s.json", &named.to_json().to_string()).expect("a scenario").scenario;
            assert_eq!(again, named, "what is written says the same");
            let expected = r#"s.json: `workload.kind` is "kv"; allowed is queue, which odd serves"#;
            assert_eq!(refused(&protocol, named), expected);
        }
        // A protocol that serves the clients of the course keeps them.
        let course = serving(Kind::COURSE);
        assert_eq!(course.fit(scenario("")).expect("the course's clients").kind, None);
    }

    #[test]
    fn what_is_not_served_is_named_with_its_key_its_value_and_all_that_is_allowed() {
        let course = serving(Kind::COURSE);
        for (protocol, keys, expected) in [
            (
                &course,
                r#""workload": {"keys": "shared", "count": 3, "updates": true}"#,
                "`workload.updates` is true; allowed is false, as odd serves no named updates",
            ),
            (
                &course,
                r#""workload": {"kind": "custom", "name": "bank"}"#,
                r#"`workload.kind` is "custom"; allowed is kv, which odd serves"#,
            ),
            (
                &course,
                r#""operations": [{"time": 1, "client": 0, "enqueue": "q", "value": "v"}]"#,
                "`operations` is for clients of the kind queue; allowed is kv, which odd serves",
            ),
            (
                &bank(),
                r#""workload": {"kind": "custom", "name": "bnak"}"#,
                r#"`workload.name` is "bnak"; allowed is custom "bank", which odd serves"#,
            ),
        ] {
            assert_eq!(refused(protocol, scenario(keys)), format!("s.json: {expected}"));
        }
    }

    #[test]
    fn disks_are_refused_by_name_for_replicas_on_the_lan() {
        let node = crate::subjects::node();
        for (keys, expected) in [
            (
                r#""events": [{"type": "full_disk", "time": 3, "replica": 0}]"#,
                "`events` is a list with `full_disk`; allowed is a list without faults of disks, as node has no disks",
            ),
            (
                r#""events": [{"type": "restart", "time": 3, "wipe": true}]"#,
                "`events` is a list with `wipe`; allowed is a list without faults of disks, as node has no disks",
            ),
            (
                r#""disk": {"sync_ms": {"kind": "constant", "ms": 1}}"#,
                "`disk.sync_ms` is more than 0; allowed is 0, as node has no disks",
            ),
            (r#""workload": {"kind": "cas"}"#, r#"`workload.kind` is "cas"; allowed is kv, which node serves"#),
        ] {
            assert_eq!(refused(&node, scenario(keys)), format!("s.json: {expected}"));
        }
        let played =
            scenario(r#""events": [{"type": "crash", "time": 3, "replica": 0}, {"type": "restart", "time": 5}]"#);
        assert_eq!(node.fit(played.clone()), Ok(played));
    }

    #[test]
    fn a_type_of_its_own_gets_what_makes_its_clients_and_one_that_nothing_makes_is_refused() {
        let fitted = bank().fit(scenario(r#""workload": {"kind": "custom", "name": "bank"}"#)).expect("it is served");
        assert!(!lacks_clients(fitted.kind()));
        let nothing = serving(Kind::Custom(CustomKind::named("bank")));
        let expected = "s.json: `operations` is missing; allowed is a list, as clients of the kind custom \"bank\" draw \
                        no operations for odd";
        for keys in ["", r#""workload": {"kind": "custom", "name": "bank"}"#] {
            assert_eq!(refused(&nothing, scenario(keys)), expected);
        }
        let expected =
            "odd cannot be explored: its workload, custom \"bank\", has no generator; `Kind::custom` takes one";
        assert_eq!(nothing.check_explorable().unwrap_err().to_string(), expected);
        assert_eq!(bank().check_explorable(), Ok(()));
    }

    #[test]
    fn a_repro_file_of_clients_that_are_not_served_is_refused_with_the_path_of_the_key() {
        let case = crate::lab::Case { scenario: scenario(""), seed: 1, protocol: bank() };
        let mut file = Vec::new();
        let queue = Scenario { kind: Some(Kind::Queue { count: 1 }), ..case.scenario.clone() };
        let case = crate::lab::Case { scenario: queue, ..case };
        Repro::new(case, None, Vec::new()).write(&mut file).expect("memory can be written to");
        let text = String::from_utf8(file).expect("text");
        let error = Repro::parse("r.json", &text, &Protocols::new([bank()])).unwrap_err().to_string();
        let expected = r#"r.json: `scenario.workload.kind` is "queue"; allowed is custom "bank", which odd serves"#;
        assert_eq!(error, expected);
    }
}
