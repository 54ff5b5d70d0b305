//! A small crate gets mutants, is built, and each mutant does what it should.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use seedbed_mutate::copy::{self, Choice, Made, Wanted};
use seedbed_mutate::population::{Project, Tests};
use seedbed_mutate::sample::Drawn;
use seedbed_mutate::scripts::{Kill, Suite};

/// A library with one function that is mutated, a program and a test.
const FIXTURE: Project = Project {
    sources: "src",
    files: &["sum.rs"],
    without: &[],
    check: &["--lib"],
    tests: &[Tests { build: &["--lib"], which: &["sum::"] }],
};

const SUM: &str = "/// The sum of all numbers below this.
pub fn below(end: Bound) -> u32 {
    let mut sum = 0;
    let mut next = 0;
    while next < end.0 {
        sum += next;
        next += 1;
    }
    sum
}

/// It has no default, so a function that returns it cannot return that.
pub struct Bound(pub u32);

pub fn bound(text: &str) -> Bound {
    Bound(text.parse().unwrap_or(5))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_sum_is_right() {
        assert_eq!(super::below(super::Bound(5)), 10);
    }
}
";

fn write_fixture(root: &Path) {
    // That of the package itself, which depends on nothing.
    let mutation = include_str!("../../core/src/mutation.rs");
    let manifest = "[package]\nname = \"fixture\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n";
    let program = "fn main() {\n    println!(\"{}\", fixture::sum::below(fixture::sum::bound(\"5\")));\n}\n";
    fs::create_dir_all(root.join("src")).expect("a folder");
    for (name, text) in [
        ("Cargo.toml", manifest),
        ("src/lib.rs", "pub mod mutation;\npub mod sum;\n"),
        ("src/sum.rs", SUM),
        ("src/mutation.rs", mutation),
        ("src/main.rs", program),
    ] {
        fs::write(root.join(name), text).expect("a file");
    }
}

fn make(root: &Path, output: &Path, count: usize) -> Vec<Drawn> {
    make_wanted(root, output, Wanted::Drawn { seed: 1, count }).sample
}

fn make_wanted(root: &Path, output: &Path, wanted: Wanted<'_>) -> Made {
    let choice = Choice { wanted, judgements: &root.join("samples") };
    copy::make(root, &FIXTURE, choice, output, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"))
}

/// What the program of a copy prints with a mutant.
fn printed(copy: &Path, mutant: u32) -> String {
    let program = copy.join("target/debug/fixture");
    let output = Command::new("timeout").arg("2").arg(program).env("SEEDBED_MUTANT", mutant.to_string()).output();
    let output = output.expect("it starts");
    match output.status.code() {
        Some(0) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Some(124) => "hangs".to_owned(),
        _ => "fails".to_owned(),
    }
}

#[test]
fn a_copy_builds_and_each_of_its_mutants_behaves_as_it_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let (root, copy) = (folder.path().join("fixture"), folder.path().join("fixture/target/mutated"));
    write_fixture(&root);
    fs::create_dir(root.join("samples")).expect("a folder");
    let judgement = r#"[{"file": "sum.rs", "function": "below", "change": "replace the body with 0",
        "judgement": {"invisible": "for a test"}}]"#;
    fs::write(root.join("samples/1.json"), judgement).expect("a file");
    // The body of `bound` cannot be a default: it is one of ten places, and the others are all drawn.
    let sample = make(&root, &copy, 9);
    let changes: BTreeSet<&str> = sample.iter().map(|drawn| drawn.change.as_str()).collect();
    assert!(!changes.contains("replace the body with Default::default()"), "{changes:?}");
    assert_eq!((sample.len(), sample.iter().filter(|drawn| drawn.judgement.is_some()).count()), (9, 1));
    let list = fs::read_to_string(copy.join("src/mutation.rs")).expect("a file");
    assert!(list.contains("judgement: Judgement::Invisible(\"for a test\")"), "{list}");
    let status = Command::new(env!("CARGO")).current_dir(&copy).args(["build", "--offline", "--quiet"]).status();
    assert!(status.expect("cargo").success());
    assert_eq!(printed(&copy, 0), "10");
    for drawn in &sample {
        let expected = match drawn.change.as_str() {
            "replace the body with 0" | "replace < with ==" | "replace < with >" => "0",
            "replace the body with 1" => "1",
            "replace < with <=" => "15",
            "replace += with -=" if drawn.line == 6 => "fails",
            "replace += with *=" if drawn.line == 6 => "0",
            "replace += with -=" => "fails",
            "replace += with *=" => "hangs",
            other => panic!("{other}"),
        };
        assert_eq!(printed(&copy, drawn.number), expected, "{}: {}", drawn.name(), drawn.change);
    }
    let suite = Suite::build(&copy, &FIXTURE, 2).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(suite.run(None).expect("it runs"), None);
    for drawn in &sample {
        let kill = suite.run(Some(drawn)).expect("it runs");
        let expected = match printed(&copy, drawn.number).as_str() {
            "hangs" => Kill::Hangs,
            _ => Kill::Test("sum::tests::the_sum_is_right".to_owned()),
        };
        assert_eq!(kill, Some(expected), "{}", drawn.change);
    }
}

#[test]
fn a_copy_is_the_same_each_time_and_loses_what_the_workspace_has_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (root, copy) = (folder.path().join("fixture"), folder.path().join("copy"));
    write_fixture(&root);
    fs::write(root.join("old.txt"), "old").expect("a file");
    let first = make(&root, &copy, 3);
    let source = fs::read_to_string(copy.join("src/sum.rs")).expect("a file");
    assert!(copy.join("old.txt").exists());
    fs::remove_file(root.join("old.txt")).expect("a file");
    assert_eq!(make(&root, &copy, 3), first);
    assert_eq!(fs::read_to_string(copy.join("src/sum.rs")).expect("a file"), source);
    assert!(!copy.join("old.txt").exists());
    assert_eq!(copy::sample(&copy).expect("a sample"), first);
}

#[test]
fn a_copy_like_another_has_its_mutants_and_numbers_while_the_sources_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let (root, first, second) =
        (folder.path().join("fixture"), folder.path().join("first"), folder.path().join("second"));
    write_fixture(&root);
    let sample = make(&root, &first, 5);
    let listed = copy::read_sample(&first.join("mutants.json")).expect("a list");
    assert_eq!(listed, sample);
    let same = make_wanted(&root, &second, Wanted::Like(&listed));
    assert_eq!((same.sample, same.missing.len()), (sample.clone(), 0));
    let source = |copy: &Path| fs::read_to_string(copy.join("src/sum.rs")).expect("a file");
    assert_eq!(source(&first), source(&second));

    // One line more above, and no comparison any longer.
    let changed = format!("//! Sums.\n\n{SUM}").replace("while next < end.0 {", "for _ in 0..end.0 {");
    fs::write(root.join("src/sum.rs"), changed).expect("a file");
    let made = make_wanted(&root, &second, Wanted::Like(&listed));
    let (lost, kept): (Vec<&Drawn>, Vec<&Drawn>) =
        sample.iter().partition(|drawn| drawn.change.starts_with("replace < with"));
    assert!(!lost.is_empty() && !kept.is_empty(), "{sample:?}");
    let below = |drawn: &&Drawn| Drawn { line: drawn.line + 2, ..(*drawn).clone() };
    assert_eq!(made.sample, kept.iter().map(below).collect::<Vec<_>>());
    let told =
        |drawn: &&Drawn| format!("{}: sum.rs: below: {}: the sources do not have it", drawn.name(), drawn.change);
    assert_eq!(made.missing, lost.iter().map(told).collect::<Vec<_>>());
    let numbers = |numbers: [u32; 2]| {
        let list: Vec<Drawn> = numbers.map(|number| Drawn { number, ..sample[0].clone() }).into();
        fs::write(folder.path().join("list.json"), serde_json::to_string(&list).expect("JSON")).expect("a file");
        copy::read_sample(&folder.path().join("list.json")).map_err(|error| error.to_string())
    };
    for (wrong, number) in [([3, 3], 3), ([1, 0], 0)] {
        let error = numbers(wrong).expect_err("it is refused");
        assert!(
            error.ends_with(&format!("`number` is {number}; allowed is one from 1 up that no other mutant has")),
            "{error}"
        );
    }
}

#[test]
fn a_workspace_that_does_not_compile_is_no_mutants_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let (root, copy) = (folder.path().join("fixture"), folder.path().join("copy"));
    write_fixture(&root);
    fs::write(root.join("src/lib.rs"), "pub mod mutation;\npub mod sum;\nfn f() -> u8 { true }\n").expect("a file");
    let choice = Choice { wanted: Wanted::Drawn { seed: 1, count: 3 }, judgements: &root };
    let error = copy::make(&root, &FIXTURE, choice, &copy, &mut |_| {}).expect_err("it does not compile");
    assert!(error.to_string().contains("mismatched types"), "{error}");
}

#[test]
fn a_folder_with_results_of_another_tool_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (root, output) = (folder.path().join("fixture"), folder.path().join("mutants.out"));
    write_fixture(&root);
    fs::create_dir(&output).expect("a folder");
    // As cargo-mutants names and writes it.
    let list =
        r#"[{"file": "src/sum.rs", "function": null, "genre": "BinaryOperator", "name": "src/sum.rs:1:1: replace"}]"#;
    for (name, text) in [("mutants.json", list), ("outcomes.json", "{}")] {
        fs::write(output.join(name), text).expect("a file");
    }
    let choice = Choice { wanted: Wanted::Drawn { seed: 1, count: 3 }, judgements: &root };
    let error = copy::make(&root, &FIXTURE, choice, &output, &mut |_| {}).expect_err("it is no copy");
    assert!(error.to_string().contains("is no copy that this program has made"), "{error}");
    assert!(output.join("outcomes.json").exists());
}
