//! A crate of a user's, outside of the repository, is made of what docs/protocols.md shows. It needs neither the command
//! line nor pictures, and `cargo test` finds its bug.

use std::fs;
use std::process::Command;

use super::root;

/// The code blocks of the page in this language, in order.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).filter_map(|rest| Some(rest.split_once("\n```")?.0.to_owned() + "\n")).collect()
}

#[test]
fn the_page_on_ones_own_protocol_leads_from_an_empty_folder_to_a_shrunk_failure() {
    let page = fs::read_to_string(root().join("docs/protocols.md")).expect("docs/protocols.md");
    let [manifest] = &blocks(&page, "toml")[..] else { panic!("one manifest") };
    let [protocol, test, main] = &blocks(&page, "rust")[..] else { panic!("a protocol, a test and a main") };
    // The example's program is compiled and run; this one differs only in names.
    let example = fs::read_to_string(root().join("examples/primary-backup/src/main.rs")).expect("the example's main");
    let example =
        example.replace("primary_backup::", "my_protocol::").replace("PrimaryBackup::default()", "PrimaryBackup");
    assert!(example.ends_with(main.as_str()), "the page has:\n{main}\nthe example has:\n{example}");
    let [said] = &blocks(&page, "text")[..] else { panic!("one sample of output") };
    let here = format!("seedbed = {{ path = {:?}, default-features = false }}", root());
    let manifest = manifest.replace(r#"seedbed = { path = "../seedbed" }"#, &here) + "\n[workspace]\n";
    assert!(manifest.contains(&here), "{manifest}");
    // What is quick to build will do: a failure comes soon.
    let manifest =
        manifest.replace("opt-level = 1", "opt-level = 0\ndebug = false").replace("opt-level = 2", "opt-level = 0");

    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    for folder in ["src", "tests"].map(|name| folder.path().join(name)) {
        fs::create_dir(folder).expect("a folder");
    }
    write("Cargo.toml", &manifest);
    write("src/lib.rs", protocol);
    write("tests/simulation.rs", test);
    // The same versions as here, which were fetched for this test.
    fs::copy(root().join("Cargo.lock"), folder.path().join("Cargo.lock")).expect("a file");
    let output = Command::new(env!("CARGO"))
        .args(["test", "--offline"])
        .current_dir(folder.path())
        .env("CARGO_TARGET_DIR", root().join("target/outside"))
        .output()
        .expect("cargo starts");

    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(output.status.code(), Some(101), "the test fails:\n{out}\n{err}");
    assert!(out.contains(said.as_str()), "the page has:\n{said}\nthe test prints:\n{out}\n{err}");
    // Even though the harness captures what tests print.
    assert!(err.contains("my-protocol fails with seed 1; shrinking it, in at most "), "{err}");
    let repros = fs::read_dir(folder.path().join("repros")).expect("a folder of repro files");
    assert_eq!(repros.count(), 1);
    let locked = fs::read_to_string(folder.path().join("Cargo.lock")).expect("a lock file");
    for absent in ["clap", "plotters", "indicatif", "tokio"] {
        assert!(!locked.contains(&format!("name = \"{absent}\"")), "{absent} is not needed for tests");
    }
}
