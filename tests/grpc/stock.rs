//! A client of stock Python tools, which knows only what the seed document says.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use crate::cluster::{Cluster, text, told};

const SIZE: usize = 3;

#[test]
fn a_client_that_knows_only_the_seed_document_and_stock_tools_is_understood() {
    let tools = Command::new("python3").args(["-c", "import grpc, grpc_tools"]).output();
    let lack = match &tools {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(text(&output.stderr).lines().last().unwrap_or("python3 fails").to_owned()),
        Err(error) => Some(format!("python3: {error}")),
    };
    if let Some(lack) = lack {
        // Past the harness, which keeps to itself what a test prints that passes.
        writeln!(
            io::stderr(),
            "SKIPPED: the client of stock Python tools was not run (needs grpcio and grpcio-tools): {lack}"
        )
        .expect("standard error");
        return;
    }
    let cluster = Cluster::start(SIZE, &["--chaos", "true"]);
    let generated = tempfile::tempdir().expect("a folder");
    let mut client = Command::new("python3");
    client.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grpc/seed/client.py")).arg(generated.path());
    let output = client.args(cluster.addresses.iter().map(ToString::to_string)).output().expect("python3 starts");
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(text(&output.stdout).lines().collect::<Vec<_>>(), expected());
    // What it did to the matrix is there: 0.25 from 0 to 1, and of all that was wrong nothing.
    assert_eq!(cluster.expect("chaos show", 0), "0.0  0.25 0.0\n0.0  0.0  0.0\n0.0  0.0  0.0\n");
}

/// What the client prints when all is well.
fn expected() -> Vec<String> {
    let mut lines = Vec::new();
    for n in 0..SIZE {
        lines.push("put SUCCESS".to_owned());
        lines.extend((0..SIZE).map(|_| format!("get SUCCESS Ada {n}")));
    }
    lines.push("get missing True".to_owned());
    for _ in 0..SIZE {
        lines.extend(["upload OK", "upload ragged ERROR", "update OK"].map(str::to_owned));
        lines.extend(["update wrong ERROR"; 4].map(str::to_owned));
    }
    lines
}
