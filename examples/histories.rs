//! Writes histories of simulated clients as files for `seedbed check`, to measure how much memory it takes.
//!
//! `cargo run --release --example histories -- DIR` writes a right one and a wrong one of each type and length.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::PathBuf;

use seedbed::check::linear::READY;
use seedbed::check::load::{Load, history};
use seedbed::record::RunRecord;
use seedbed::report::history::write;
use seedbed::report::trace::Heading;
use seedbed::scenario::Scenario;

fn main() -> io::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "histories".into()));
    fs::create_dir_all(&folder)?;
    // A history file says which run it is of, so it needs a run.
    let scenario = Scenario::builtin("simple-1").expect("it comes with seedbed");
    let record = seedbed::subjects::broadcast().simulate(&scenario, 1);
    for kind in READY.map(|spec| spec.name()) {
        for operations in [10, 100, 1_000, 100_000] {
            for is_wrong in [false, true] {
                let objects = if kind == "list" { 1 + operations / 100 } else { 1 };
                let load = Load { kind, operations, objects, clients: 5, lost: 0.01, is_wrong };
                let record = RunRecord { history: history(load, 1), ..record.clone() };
                let name = format!("{kind}-{operations}{}.jsonl", if is_wrong { "-wrong" } else { "" });
                let heading = Heading { scenario: &scenario, seed: 1, protocol: "simulated clients", command: "" };
                write(&mut BufWriter::new(File::create(folder.join(name))?), &heading, &record)?;
            }
        }
    }
    Ok(())
}
