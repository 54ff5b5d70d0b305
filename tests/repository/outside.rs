//! A crate of a user's, outside of the repository: it needs neither the command line nor pictures, and `cargo test` finds
//! its bug.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::root;

/// Sixty lines or so, with a planted bug: two replicas grant one lock.
const TEST: &str = include_str!("outside/lock.rs");

fn manifest(repository: &Path) -> String {
    format!(
        r#"[package]
name = "outside"
version = "0.0.0"
edition = "2024"

[lib]
path = "lock.rs"

[dependencies]
seedbed = {{ path = {repository:?}, default-features = false }}

[profile.dev.package.seedbed-core]
opt-level = 1

[workspace]
"#
    )
}

#[test]
fn a_crate_outside_of_the_repository_finds_its_bug_with_cargo_test_and_builds_no_command_line() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("Cargo.toml", &manifest(&root()));
    write("lock.rs", TEST);
    // The same versions as here, which are there already.
    fs::copy(root().join("Cargo.lock"), folder.path().join("Cargo.lock")).expect("a file");
    let output = Command::new(env!("CARGO"))
        .args(["test", "--offline"])
        .current_dir(folder.path())
        .env("CARGO_TARGET_DIR", root().join("target/outside"))
        .output()
        .expect("cargo starts");
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(output.status.code(), Some(101), "the test must fail:\n{out}\n{err}");
    for expected in ["locks fails with seed", "linearizability: ", "The smallest case that fails the same way", "Repro file: "] {
        assert!(out.contains(expected), "`{expected}` is missing:\n{out}\n{err}");
    }
    assert_eq!(fs::read_dir(folder.path().join("repros")).expect("a folder of repro files").count(), 1);
    for absent in ["clap", "plotters", "indicatif", "tokio"] {
        let tree = fs::read_to_string(folder.path().join("Cargo.lock")).expect("a lock file");
        let _ = tree;
        assert!(!err.contains(&format!("Compiling {absent} ")), "{absent} must not be built:\n{err}");
    }
}
