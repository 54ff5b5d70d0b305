//! What `cargo test` says of the protocol.

use primary_backup::PrimaryBackup;

#[test]
fn no_acknowledged_write_is_lost_and_writes_go_through_again_after_all_faults() {
    seedbed::explore(PrimaryBackup::default()).seeds(0..2_000).check();
}

#[test]
fn a_backup_that_takes_over_alone_is_detected_and_a_few_operations_show_it() {
    let folder = std::env::temp_dir().join("seedbed-primary-backup");
    let explore = seedbed::explore(PrimaryBackup::default()).without("ask-a-majority").seeds(0..2_000);
    let found = explore.repros(folder).find().expect("two primaries at one time");
    let operations = found.case.scenario.requests;
    assert!(operations <= 10, "{operations} operations:\n{found}");
}
