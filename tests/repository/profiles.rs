//! The profiles of Cargo.toml: which packages are optimised.

use std::collections::BTreeMap;
use std::fs;

use super::root;

/// The packages of the gRPC cluster, which only `release` optimises: no test measures them.
const GRPC: [&str; 16] = [
    "bytes",
    "h2",
    "http",
    "httparse",
    "hyper",
    "hyper-util",
    "prost",
    "ring",
    "rustls",
    "slab",
    "tokio",
    "tokio-rustls",
    "tokio-util",
    "tonic",
    "tonic-prost",
    "tower",
];

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The packages of a profile, without their versions, and their levels of optimisation.
fn levels(manifest: &str, profile: &str) -> BTreeMap<String, String> {
    let heading = format!("[profile.{profile}.package]");
    let section =
        manifest.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with('['));
    let entries = section.filter_map(|line| line.split_once(" = { "));
    let name = |name: &str| name.trim_matches('"').split('@').next().unwrap_or_default().to_owned();
    entries.map(|(package, level)| (name(package), level.trim_end_matches(" }").to_owned())).collect()
}

#[test]
fn what_works_during_a_run_is_optimised_in_tests_and_in_the_program_alike() {
    let manifest = read("Cargo.toml");
    let (dev, mut release) = (levels(&manifest, "dev"), levels(&manifest, "release"));
    let grpc: Vec<bool> = GRPC.iter().map(|package| release.remove(*package).is_some()).collect();
    assert_eq!(grpc, [true; GRPC.len()]);
    assert!(dev.len() > 10, "{dev:?}");
    assert_eq!(dev.keys().collect::<Vec<_>>(), release.keys().collect::<Vec<_>>());
    let lock = read("Cargo.lock");
    for package in dev.keys().map(String::as_str).chain(GRPC) {
        assert!(lock.contains(&format!("name = \"{package}\"\n")), "{package} is no dependency");
    }
}

#[test]
fn the_page_on_ones_own_protocol_optimises_the_package_that_works_during_a_run() {
    let package = "[profile.dev.package.seedbed-core]";
    assert!(read("docs/protocols.md").contains(package));
    assert!(levels(&read("Cargo.toml"), "release").contains_key("seedbed-core"));
    assert!(read("crates/core/Cargo.toml").contains("name = \"seedbed-core\""));
}
