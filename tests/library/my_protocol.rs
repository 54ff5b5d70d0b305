//! The example of a protocol of one's own, as documents show it.

#[path = "../../examples/my_protocol.rs"]
#[expect(dead_code, reason = "its `main` is for the command line")]
mod example;

use seedbed::check::Checker;

#[test]
fn the_example_survives_lost_messages_and_stops_when_its_primary_dies() {
    for name in ["simple-1", "unreliable-3"] {
        let findings = example::judge(name).expect("a run").findings();
        assert!(findings.is_empty(), "{name}: {findings:?}");
    }
    let findings = example::judge("crash-3").expect("a run").findings();
    assert!(findings.iter().any(|finding| finding.checker == Checker::LIVENESS), "{findings:?}");
    assert!(findings.iter().all(|finding| finding.checker != Checker::LINEARIZABILITY), "{findings:?}");
}
