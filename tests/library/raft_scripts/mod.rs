//! Golden scripts for Raft and the replica: one behaviour each, named as a sentence, in `tests/library/scripts`.
//!
//! A script drives a few replicas by hand: their clock, their network and their clients. What comes out is effects
//! (messages and answers) and, on demand, status; Raft's invariants are checked after each input.
//! `UPDATE_GOLDENFILES=1 cargo test --test library raft_scripts` writes the output anew. A person then checks it against the
//! paper, line by line.
//!
//! # Commands
//!
//! Times are in milliseconds. `[150 ms]` in the output says that time has moved on since the line before.
//!
//! - `cluster 3`: starts so many replicas. `replica 0 of=3`: starts one; the others are played by the script. Both take
//!   parameters, such as `heartbeat=40`.
//! - `timeout 1`: moves the clock to the timeout of replica 1, which alone takes it; the others are slow.
//! - `wait 100`: moves the clock by so much; every replica takes the timeouts that fall due. `run 100`: messages
//!   arrive,
//!   too, without delay.
//! - `deliver`, `drop`, `duplicate`, `hold`: does that to the messages under way, or only to those of
//!   `from=0 to=1 kind=AppendEntries`; `first` means the oldest of them. `release` brings back what was held.
//!   `settle` delivers until all is quiet.
//! - `partition 0 1`: loses what is sent between these and the others from now on, until `heal`. `kill 2`: stops it.
//! - `send 1 0 Vote term=2 granted`: hands replica 0 a message from 1, in the notation of the output. An AppendReply
//!   answers the newest append of 0 to 1, unless `sent` says otherwise; `terms="1 1 4"` stands for empty entries.
//! - `put 0 a=1 b=2`, `get 0 a b`: hands replica 0 these requests at once. `client` and `mid` may be given.
//! - `update 0 a=1 if=2 id=7/1`: the same for an update of a that expects 2 and is the first of client 7.
//! - `hand_over 0`: tells replica 0 to hand leadership over, and to whom it does.
//! - `elect 0`: elects replica 0 and lets all become quiet; replicas played by the script vote for it.
//! - `status`, `status 0 1`: what they are. `under_way`: the messages under way.

mod cluster;
mod network;
mod notation;
mod runner;

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

use runner::Runner;

/// One test for each folder of scripts, and one that no folder is forgotten.
macro_rules! folders {
    ($($folder:ident)*) => {
        $(#[test]
        fn $folder() {
            run_all(stringify!($folder));
        })*

        #[test]
        fn every_folder_has_a_test() {
            let folders = [$(Path::new(SCRIPTS).join(stringify!($folder))),*];
            assert_eq!(listed(Path::new(SCRIPTS)), folders);
        }
    };
}

folders! { clients commit election handover hostile reads replication snapshots thrifty updates }

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/library/scripts");

/// Runs all scripts of a folder, and names those that fail.
fn run_all(folder: &str) {
    let passes = |script: &PathBuf| {
        println!("{}", script.display());
        let run = || goldenscript::run(&mut Runner::default(), script).unwrap_or_else(|error| panic!("{error}"));
        panic::catch_unwind(run).is_ok()
    };
    let failed: Vec<PathBuf> =
        listed(&Path::new(SCRIPTS).join(folder)).into_iter().filter(|script| !passes(script)).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_script_begins_with_the_rule_that_it_shows() {
    for script in listed(Path::new(SCRIPTS)).iter().flat_map(|folder| listed(folder)) {
        let text = fs::read_to_string(&script).expect("a script can be read");
        assert!(text.starts_with("# "), "{} begins with no comment", script.display());
    }
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder exists");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    paths.sort();
    paths
}
