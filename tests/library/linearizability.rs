//! Whole runs, judged by the check for linearizability.

use std::path::Path;

use seedbed::check::linear::{Budget, Checker, Verdict};
use seedbed::scenario::Scenario;
use seedbed::world::simulation::simulate;
use seedbed_core::broadcast::Broadcast;
use seedbed_core::replica::{Config, Replica};

fn scenarios(folder: &str) -> Vec<(String, Scenario)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).expect("a folder of scenarios").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    let load = |file: &Path| Scenario::load(file).expect("a scenario of the repository").scenario;
    files.iter().map(|file| (file.display().to_string(), load(file))).collect()
}

#[test]
fn raft_is_linearizable_in_all_scenarios() {
    let mut checker = Checker::new(Budget::default());
    for (name, scenario) in ["scenarios", "scenarios/chaos", "scenarios/harsh"].into_iter().flat_map(scenarios) {
        for seed in 0..5 {
            let record =
                simulate(&scenario, seed, |identity| Replica::new(identity, Config::default()).expect("valid"));
            match checker.check(&record.history) {
                Verdict::Linearizable { .. } => {}
                Verdict::Unknown { key, operations } => panic!("{name}, seed {seed}: key {key} of {operations}"),
                Verdict::Violation(violation) => panic!("{name}, seed {seed}: {violation}"),
            }
        }
    }
}

#[test]
fn broadcast_is_not_where_messages_are_lost() {
    let mut checker = Checker::new(Budget::default());
    for name in ["unreliable-1", "unreliable-2", "unreliable-3"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.json"));
        let scenario = Scenario::load(&path).expect("a scenario of the repository").scenario;
        let record = simulate(&scenario, 7, Broadcast::new);
        assert!(record.history.incorrect_gets > 0);
        let Verdict::Violation(violation) = checker.check(&record.history) else { panic!("{name} convicts it") };
        println!("{violation}");
        assert!(violation.minimal);
    }
}
