//! What `cargo test` says of the protocol.

use grow_only_counter::GrowOnlyCounter;

#[test]
fn all_replicas_have_what_was_added_in_the_end_whatever_is_lost_or_comes_twice() {
    seedbed::explore(GrowOnlyCounter::default()).seeds(0..2_000).check();
}

/// How many operations the smallest failure has without this rule.
fn operations_without(rule: &str) -> u64 {
    let folder = std::env::temp_dir().join(format!("seedbed-grow-only-counter-{rule}"));
    let explore = seedbed::explore(GrowOnlyCounter::default()).without(rule).seeds(0..2_000);
    let found = explore.repros(folder).find().unwrap_or_else(|| panic!("no seed fails without `{rule}`"));
    assert_eq!(found.case.protocol.broken(), Some(rule));
    found.case.scenario.requests
}

#[test]
fn copies_that_are_added_up_are_detected_and_a_few_operations_show_it() {
    assert!(operations_without("take-the-larger") <= 10);
}

#[test]
fn copies_that_replace_what_they_lack_are_detected_and_a_few_operations_show_it() {
    assert!(operations_without("keep-what-a-copy-lacks") <= 10);
}
