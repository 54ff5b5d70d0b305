//! Long histories of simulated clients.

use super::*;
use crate::check::load::{Load, history};

fn load(spec: &dyn AnySpecification, operations: u64) -> Load {
    let kinds = ["register", "cas", "list", "counter", "queue", "lock"];
    let kind = kinds.into_iter().find(|kind| *kind == spec.name()).expect("one of these");
    // The answers of a list grow with it.
    let objects = if kind == "list" { 1 + operations / 100 } else { 1 };
    Load { kind, operations, objects, clients: 5, lost: 0.0, is_wrong: false }
}

#[test]
fn histories_of_any_length_get_the_right_verdict() {
    for spec in READY {
        for operations in [10, 100, 1_000, 20_000] {
            for lost in [0.0, 0.02] {
                let load = Load { lost, ..load(spec, operations) };
                let right = spec.check(&history(load, 1), Budget::default()).expect("operations of this type");
                assert!(right.is_linearizable(), "{load:?}: {right:?}");
                let wrong = history(Load { is_wrong: true, ..load }, 1);
                match spec.check(&wrong, Budget::default()).expect("operations of this type") {
                    Verdict::Violation(violation) => assert!(violation.minimal, "{load:?}: {violation}"),

                    // In a short one an answer that is wrong by design may be right by luck.
                    verdict => assert!(operations <= 100, "{load:?}: {verdict:?}"),
                }
            }
        }
    }
}
