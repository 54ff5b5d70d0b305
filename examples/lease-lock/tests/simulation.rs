//! What `cargo test` says of the protocol.

use lease_lock::LeaseLock;

#[test]
fn with_fencing_no_line_is_lost_whatever_clocks_and_pauses_do() {
    seedbed::explore(LeaseLock::default()).seeds(0..2_000).check();
}

#[test]
fn without_fencing_a_line_is_lost_and_a_few_operations_show_it() {
    let folder = std::env::temp_dir().join("seedbed-lease-lock");
    let explore = seedbed::explore(LeaseLock::default()).without("fence").seeds(0..2_000);
    let found = explore.repros(folder).find().expect("two workers with one lock");
    let operations = found.case.scenario.requests;
    assert!(operations <= 10, "{operations} operations:\n{found}");
}
