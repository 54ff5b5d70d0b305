//! What several tests share.
#![allow(dead_code, reason = "each test uses a part")]

pub mod gossip;
pub mod processes;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seedbed::machine::{Boot, Exit, Identity};
use seedbed::scenario::Scenario;
use seedbed_core::kv::Command;
use seedbed_core::raft::{Record, Sound};
use seedbed_core::replica::{Config, Replica};

/// The course's scenarios, in its order.
pub const SUITE: [&str; 17] = [
    "simple-1",
    "simple-2",
    "unreliable-1",
    "unreliable-2",
    "unreliable-3",
    "crash-1",
    "crash-2",
    "crash-3",
    "crash-4",
    "partition-1",
    "partition-2",
    "partition-3",
    "partition-4",
    "advanced-1",
    "advanced-2",
    "advanced-3",
    "advanced-4",
];

/// A scenario of this repository, by its path in it.
pub fn scenario(path: impl AsRef<Path>) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    Scenario::load(&path).unwrap_or_else(|error| panic!("{error}")).scenario
}

/// A scenario of the course's suite.
pub fn suite(name: &str) -> Scenario {
    scenario(format!("scenarios/{name}.json"))
}

/// Every scenario file in `scenarios/` and below, in order.
pub fn all_scenario_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["scenarios", "scenarios/chaos", "scenarios/examples", "scenarios/field", "scenarios/harsh"] {
        let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|ending| ending == "json")));
    }
    files.sort();
    files
}

/// A Raft replica with the default configuration, from what its disk has.
pub fn boot(boot: Boot<Record<Arc<Command>>>) -> Result<Replica, Exit> {
    Replica::boot(boot, Config::default(), Sound)
}

/// The same without a disk.
pub fn raft(identity: Identity) -> Replica {
    Replica::new(identity, Config::default()).expect("the default configuration is valid")
}
