//! Names that a protocol gives: they become words of command lines, columns of files and parts of the names of files.

use super::tested::Tested;
use crate::scenario::TOP_KEYS;
use crate::workload::Kind;

/// Names that `--set` has a meaning for, beside the keys of scenarios.
const AXES: [&str; 2] = ["partition", "event"];

/// Checks all names of a subject.
///
/// # Panics
/// If one is not a name, stands for two things, or is taken.
#[track_caller]
pub(super) fn check(subject: &dyn Tested) {
    let protocol = subject.name();
    assert!(is_word(protocol, ""), "a protocol is named {protocol:?}; {}", allowed(""));
    let parameters: Vec<&'static str> = subject.parameters().into_iter().map(|(name, _)| name).collect();
    for (place, &name) in parameters.iter().enumerate() {
        assert!(is_word(name, "._"), "a parameter of {protocol} is named {name:?}; {}", allowed("._"));
        assert!(!parameters[..place].contains(&name), "{protocol} has two parameters named {name}");
        // `network.model` would be taken for the key of a scenario, too.
        let key = name.split('.').next().unwrap_or(name);
        let is_taken = TOP_KEYS.contains(&key) || AXES.contains(&key);
        assert!(!is_taken, "a parameter of {protocol} is named {name}, but {key} is a key of scenarios");
    }
    let mutants: Vec<&'static str> = subject.mutants().iter().map(|mutant| mutant.name).collect();
    for (place, &name) in mutants.iter().enumerate() {
        assert!(is_word(name, ""), "a mutant of {protocol} is named {name:?}; {}", allowed(""));
        assert!(!mutants[..place].contains(&name), "{protocol} has two mutants named {name}");
    }
    if let Kind::Custom(kind) = subject.workload() {
        let name = kind.name();
        assert!(is_word(name, ""), "the kind of clients of {protocol} is named {name:?}; {}", allowed(""));
    }
}

/// Whether a name has small letters, digits, hyphens and `others` only, and begins with a letter or a digit.
fn is_word(name: &str, others: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.starts_with(is_plain) && name.chars().all(|c| is_plain(c) || c == '-' || others.contains(c))
}

fn allowed(others: &str) -> String {
    format!("allowed is [a-z0-9][a-z0-9{others}-]*")
}

#[cfg(test)]
mod tests {
    use std::panic::{self, AssertUnwindSafe};

    use super::super::{Mutant, Parameter, RecordOf, Subject, subject};
    use super::*;
    use crate::machine::{Boot, Exit};
    use crate::subjects::Broadcast;
    use crate::workload::CustomKind;

    /// A protocol with names of any kind.
    #[derive(Clone)]
    struct Named {
        name: &'static str,
        parameters: Vec<(&'static str, f64)>,
        mutants: &'static [&'static str],
        kind: &'static str,
    }

    impl Subject for Named {
        type Machine = <Broadcast as Subject>::Machine;

        fn name(&self) -> &'static str {
            self.name
        }

        fn boot(&self, boot: Boot<RecordOf<Self>>) -> Result<Self::Machine, Exit> {
            Broadcast.boot(boot)
        }

        fn parameters(&mut self) -> Vec<Parameter<'_>> {
            self.parameters.iter_mut().map(|(name, value)| Parameter::fraction(name, value)).collect()
        }

        fn mutants(&self) -> Vec<Mutant> {
            self.mutants.iter().map(|name| Mutant::new(name, "is wrong", Broadcast)).collect()
        }

        fn workload(&self) -> Kind {
            Kind::Custom(CustomKind::named(self.kind))
        }
    }

    fn fine() -> Named {
        Named { name: "a-2", parameters: vec![("x.y_ms", 1.0)], mutants: &["no-1"], kind: "b-4" }
    }

    /// What the panic says.
    fn refused(named: Named) -> String {
        let panic = panic::catch_unwind(AssertUnwindSafe(|| subject(named))).expect_err("a name that cannot be used");
        panic.downcast_ref::<String>().expect("a text").clone()
    }

    #[test]
    fn a_name_that_cannot_be_used_is_refused_when_the_protocol_is_registered() {
        assert_eq!(subject(fine()).name(), "a-2");
        for name in ["", "My Lock", "a_b", "-a", "a/b", "é"] {
            assert_eq!(
                refused(Named { name, ..fine() }),
                format!("a protocol is named {name:?}; allowed is [a-z0-9][a-z0-9-]*")
            );
        }
        let parameters = |names: &[&'static str]| names.iter().map(|name| (*name, 1.0)).collect::<Vec<_>>();
        for (named, expected) in [
            (Named { mutants: &["A"], ..fine() }, "a mutant of a-2 is named \"A\"; allowed is [a-z0-9][a-z0-9-]*"),
            (Named { mutants: &["b", "a", "b"], ..fine() }, "a-2 has two mutants named b"),
            (
                Named { kind: "a bank", ..fine() },
                "the kind of clients of a-2 is named \"a bank\"; allowed is [a-z0-9][a-z0-9-]*",
            ),
            (
                Named { parameters: parameters(&["a=b"]), ..fine() },
                "a parameter of a-2 is named \"a=b\"; allowed is [a-z0-9][a-z0-9._-]*",
            ),
            (Named { parameters: parameters(&["a", "a"]), ..fine() }, "a-2 has two parameters named a"),
            (
                Named { parameters: parameters(&["replicas"]), ..fine() },
                "a parameter of a-2 is named replicas, but replicas is a key of scenarios",
            ),
            (
                Named { parameters: parameters(&["network.model"]), ..fine() },
                "a parameter of a-2 is named network.model, but network is a key of scenarios",
            ),
        ] {
            assert_eq!(refused(named), expected);
        }
    }

    #[test]
    #[should_panic(expected = "two protocols are named a-2")]
    fn two_protocols_of_one_name_are_refused() {
        let _ = super::super::Protocols::new([subject(fine()), subject(fine())]);
    }
}
