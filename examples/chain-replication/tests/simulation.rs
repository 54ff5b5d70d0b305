//! What `cargo test` says of the protocol.

use chain_replication::Chain;

#[test]
fn what_the_tail_has_is_what_clients_see_whatever_is_lost_or_repeated() {
    seedbed::explore(Chain::default()).seeds(0..2_000).check();
}

#[test]
fn each_mutant_is_detected_and_a_few_operations_show_it() {
    for rule in ["read-at-the-tail", "answer-from-the-tail"] {
        let folder = std::env::temp_dir().join("seedbed-chain-replication");
        let explore = seedbed::explore(Chain::default()).without(rule).seeds(0..2_000);
        let found = explore.repros(folder).find().expect("a read that misses a write");
        let operations = found.case.scenario.requests;
        assert!(operations <= 10, "{rule}: {operations} operations:\n{found}");
    }
}
