//! What `cargo test` says of the protocol.

use grow_only_counter::GrowOnlyCounter;

#[test]
fn all_replicas_have_what_was_added_in_the_end_whatever_is_lost_or_comes_twice() {
    seedbed::explore(GrowOnlyCounter::default()).seeds(0..2_000).check();
}

#[test]
fn copies_that_are_added_up_are_detected_and_a_few_operations_show_it() {
    let folder = std::env::temp_dir().join("seedbed-grow-only-counter");
    let explore = seedbed::explore(GrowOnlyCounter::default()).without("take-the-larger").seeds(0..2_000);
    let found = explore.repros(folder).find().expect("a counter that grows by itself");
    let operations = found.case.scenario.requests;
    assert!(operations <= 10, "{operations} operations:\n{found}");
}
