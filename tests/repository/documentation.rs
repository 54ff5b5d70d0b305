//! The documents do not rot: their commands work, their sample outputs are true, their links lead somewhere.
//!
//! `UPDATE_README=1 cargo test --test repository sample_outputs` writes the sample outputs anew, in the README and in docs/.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;
use std::thread;

use super::root;
use crate::common::processes;
use seedbed::lab::explore::SWITCHES;
use seedbed::report::rows::{Columns, Unit};
use seedbed_core::replica::Config;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How a command that this test runs begins in the documents.
const RUN: &str = "cargo run --release -- ";

/// How a command begins that needs the gRPC cluster. `tests/grpc` runs those of clients, and starts servers.
const RUN_GRPC: &str = "cargo run --release --features grpc -- ";

/// Commands that this test does not run, and what runs them instead.
const RUN_ELSEWHERE: [(&str, &str); 9] = [
    ("cargo test", "this test is a part of it"),
    ("cargo test --lib raft", "a part of cargo test"),
    ("cargo test --test library", "a part of cargo test"),
    ("cargo test --test program", "a part of cargo test"),
    ("make", "a step of .ci/run"),
    ("make test", "cargo test under the name that the course's graders know"),
    (".ci/run", "what runs all this"),
    (
        "UPDATE_README=1 cargo test --test repository sample_outputs",
        "this test, which then writes instead of comparing",
    ),
    ("cargo build --release --features grpc", "tests/grpc runs this program, as it is built for tests"),
];

/// How many commands play in real time at once.
const LIVE_AT_ONCE: usize = 3;

/// How commands of docs/deploy.md begin. tests/grpc/deploy.rs reads that and does the same on this machine.
const RUN_BY_DEPLOYMENT: [&str; 7] = [
    "docker compose -f deploy/compose.yaml ",
    "deploy/certificates.sh ",
    "export SEEDBED_SERVERS=",
    "install ",
    "seedbed ",
    "systemctl ",
    "useradd --system ",
];

#[test]
fn every_command_in_the_documents_works_as_it_says() {
    let folder = working_folder();
    let mut count = 0;
    for Shown { place, command, code } in shown_commands() {
        match command.strip_prefix(RUN) {
            Some(arguments) if is_live(arguments) || is_made(&command) => {}
            Some(arguments) => {
                // A failure may take all of its seeds to show.
                let arguments = if code == 0 { with_few_seeds(arguments) } else { arguments.to_owned() };
                let output = seedbed(&folder, &arguments);
                assert_eq!(output.status.code(), Some(code), "{place}\n{}", text(&output.stderr));
                count += 1;
            }
            None => {
                let deploys = place.starts_with("docs/deploy.md")
                    && RUN_BY_DEPLOYMENT.iter().any(|start| command.starts_with(start));
                assert!(deploys || is_run_elsewhere(&command), "{place}: what runs this?");
            }
        }
    }
    assert!(count >= 5, "only {count} commands found");
}

#[test]
fn every_command_in_the_documents_that_plays_in_real_time_works_with_short_scenarios() {
    let folder = live_folder();
    let shown: Vec<Shown> =
        shown_commands().into_iter().filter(|shown| shown.command.strip_prefix(RUN).is_some_and(is_live)).collect();
    assert!(shown.len() >= 2, "only {} commands found", shown.len());
    // They wait most of the time, so some play at once.
    let (folder, queue) = (&folder, &Mutex::new(shown.into_iter()));
    thread::scope(|scope| {
        for _ in 0..LIVE_AT_ONCE {
            scope.spawn(move || {
                let next = || queue.lock().expect("no thread panics with it").next();
                while let Some(Shown { place, command, code }) = next() {
                    let arguments = command.strip_prefix(RUN).expect("one of those above");
                    let output = seedbed(folder, &with_few_seeds(arguments));
                    assert_eq!(output.status.code(), Some(code), "{place}\n{}", text(&output.stderr));
                }
            });
        }
    });
}

#[test]
fn the_commands_that_the_readme_offers_in_its_table_work() {
    let (folder, live) = (working_folder(), live_folder());
    let readme = documents().into_iter().find(|document| document.name == "README.md").expect("the README");
    let cells = readme.text.lines().filter(|line| line.starts_with("| ")).flat_map(|line| line.split(" | "));
    let commands = cells.filter_map(|cell| cell.strip_prefix("`seedbed ")?.strip_suffix('`'));
    let mut count = 0;
    for arguments in commands {
        let output = seedbed(if is_live(arguments) { &live } else { &folder }, &with_few_seeds(arguments));
        // The naive protocol is wrong, and a shortened scenario may have too few gets. So is the queue.
        let code = i32::from(arguments.contains("broadcast") || arguments.starts_with("check "));
        assert_eq!(output.status.code(), Some(code), "{arguments}\n{}", text(&output.stderr));
        count += 1;
    }
    assert!(count >= 3, "only {count} commands found");
}

#[test]
fn the_sample_outputs_are_what_the_program_prints() {
    let folder = working_folder();
    let mut count = 0;
    for document in documents() {
        let mut lines: Vec<String> = document.text.lines().map(str::to_owned).collect();
        // From the last to the first, so that line numbers stay right.
        for block in document.blocks("console").into_iter().rev() {
            let (_, command) = command_lines(&lines[block.clone()], "$ ").into_iter().next().expect("a command");
            let (command, code) = expected_code(&command);
            let arguments = command.strip_prefix(RUN).unwrap_or_else(|| panic!("{command}: must begin with {RUN}"));
            let output = seedbed(&folder, arguments);
            assert_eq!(output.status.code(), Some(code), "{command}\n{}", text(&output.stderr));
            lines.splice(block.start + 1..block.end, text(&output.stdout).lines().map(str::to_owned));
            count += 1;
        }
        let current = lines.join("\n") + "\n";
        #[expect(clippy::disallowed_methods, reason = "no run depends on it, only whether this test writes")]
        let update = std::env::var_os("UPDATE_README").is_some();
        if update && current != document.text {
            fs::write(root().join(&document.name), &current).expect("a document that can be written");
        } else {
            let how = "UPDATE_README=1 cargo test --test repository sample_outputs writes it anew";
            assert!(current == document.text, "{} is out of date: {how}. It should be\n\n{current}", document.name);
        }
    }
    assert!(count >= 2, "only {count} sample outputs found");
}

#[test]
fn the_tours_example_of_a_scenario_is_the_file_that_comes_with_seedbed() {
    let file = fs::read_to_string(root().join("scenarios/examples/my-first.json")).expect("the file");
    assert_eq!(example("docs/tour.md", "json"), file);
}

#[test]
fn the_example_of_a_specification_is_a_part_of_an_example_that_is_compiled() {
    let file = fs::read_to_string(root().join("examples/my_type.rs")).expect("the file");
    assert!(file.contains(&example("docs/checking.md", "rust")), "examples/my_type.rs has changed");
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for document in documents() {
        let folder = Path::new(&document.name).parent().expect("a file has a folder");
        for link in links(&document.text).filter(|link| !link.starts_with("https://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { PathBuf::from(&document.name) } else { folder.join(path) };
            assert!(root().join(&target).exists(), "{}: {link} leads nowhere", document.name);
            if !anchor.is_empty() {
                let text = fs::read_to_string(root().join(&target)).expect("a document");
                assert!(anchors(&text).any(|other| other == anchor), "{}: {link} leads nowhere", document.name);
            }
            count += 1;
        }
    }
    assert!(count >= 10, "only {count} links found");
}

#[test]
fn the_architecture_tells_the_true_default_parameters() {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("docs/ARCHITECTURE.md");
    let rows = parameters(&format!("{:?}", Config::default()));
    assert!(rows.len() >= 13, "{rows:?}");
    for (name, value) in rows {
        let row = format!("| `{name}` | {value} |");
        assert!(text.contains(&row), "docs/ARCHITECTURE.md must have a row that begins with {row}");
    }
}

#[test]
fn every_parameter_that_can_be_swept_is_listed_with_its_default() {
    let text = fs::read_to_string(root().join("docs/sweeps.md")).expect("docs/sweeps.md");
    for (name, value) in seedbed::subjects::raft().parameters() {
        let row = format!("| `{name}` | {value} |");
        assert!(text.contains(&row), "docs/sweeps.md must have the row {row}");
    }
}

#[test]
fn the_table_of_what_exploration_draws_is_that_of_the_program() {
    let row = |(name, share, meaning): &(&str, f64, &str)| format!("| `{name}` | {share} | {meaning} |");
    let rows: Vec<String> = SWITCHES.iter().map(row).collect();
    let text = fs::read_to_string(root().join("docs/checking.md")).expect("a document");
    let head = text.find("| switch | share of runs |").expect("the table");
    let table: Vec<&str> = text[head..].lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert_eq!(table, rows);
}

#[test]
fn every_column_of_a_sweep_is_defined_with_its_unit() {
    let text = fs::read_to_string(root().join("docs/output.md")).expect("docs/output.md");
    let section = text.split("\n## Rows of a sweep\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let section = section.expect("a section on the rows of a sweep");
    let kinds = seedbed::subjects::builtin();
    let columns = Columns::of(kinds.iter().flat_map(|protocol| protocol.kinds().iter().copied()));
    for column in columns.iter() {
        let unit = match column.unit {
            Unit::Flag => "true or false".to_owned(),
            Unit::Count("tier") => "0 to 3".to_owned(),
            Unit::Count(things) => things.to_owned(),
            Unit::Seconds => "seconds".to_owned(),
            Unit::Ratio(things) => things.replace('/', " for each "),
            // Some texts have one, and most have none.
            Unit::Text => String::new(),
        };
        let start = format!("| `{}` | {unit}", column.name);
        let row = section.lines().find(|line| line.starts_with(&start));
        assert!(row.is_some(), "docs/output.md must have a row that begins with {start}");
    }
    let defined = section.lines().filter(|line| line.starts_with("| `")).count();
    assert!(defined >= columns.len(), "{defined}");
}

#[test]
fn commands_links_and_headings_are_found_in_a_document() {
    let text = "# A `title`, and more\n\n[a](b.md#c)\n\n```sh\n# words\none two   # exit code 1\nthree \\\n  four\n```\n\n\
                ```text\n[no](link)\n```\n```console\n$ five\noutput\n```\n";
    let document = Document { name: "x.md".to_owned(), text: text.to_owned() };
    let found = |language, prompt| document.commands(language, prompt);
    let expected = [(7, "one two   # exit code 1"), (8, "three four")];
    assert_eq!(found("sh", ""), expected.map(|(line, command)| (line, command.to_owned())));
    assert_eq!(found("console", "$ "), [(16, "five".to_owned())]);
    assert_eq!(with_few_seeds("sweep x --seeds 5..900 -j 1"), "sweep x --seeds 5..15 -j 1");
    assert_eq!(with_few_seeds("sweep x --seeds 5..9"), "sweep x --seeds 5..9");
    assert_eq!(expected_code("one two   # exit code 1"), ("one two", 1));
    assert_eq!(expected_code("one two   # more words"), ("one two", 0));
    assert_eq!(links(text).collect::<Vec<_>>(), ["b.md#c"]);
    assert_eq!(anchors(text).collect::<Vec<_>>(), ["a-title-and-more"]);
    let shown = "Config { raft: Config { heartbeat: Span(1500000), drift: 0.1 }, max: 8 }";
    let expected = [("heartbeat", "1.5 ms"), ("drift", "0.1"), ("max", "8")];
    assert_eq!(parameters(shown), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

struct Document {
    /// Its path from the root.
    name: String,
    text: String,
}

fn documents() -> Vec<Document> {
    let mut names = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "results/README.md"].map(str::to_owned).to_vec();
    for entry in fs::read_dir(root().join("docs")).expect("docs") {
        let name = entry.expect("an entry of docs").file_name().into_string().expect("a name in UTF-8");
        if name.ends_with(".md") {
            names.push(format!("docs/{name}"));
        }
    }
    names.sort();
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    names.into_iter().map(|name| Document { text: read(&name), name }).collect()
}

impl Document {
    /// The insides of all fenced blocks in this language, as ranges of lines counted from 0.
    fn blocks(&self, language: &str) -> Vec<Range<usize>> {
        let mut blocks = Vec::new();
        let mut open = None;
        for (number, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), open) {
                (Some(fence), None) => open = Some((fence, number + 1)),
                (Some(_), Some((fence, start))) => {
                    if fence == language {
                        blocks.push(start..number);
                    }
                    open = None;
                }
                (None, _) => {}
            }
        }
        assert_eq!(open, None, "{}: a block is not closed", self.name);
        blocks
    }

    /// All commands in blocks of this language, after this prompt, with their lines, counted from 1.
    fn commands(&self, language: &str, prompt: &str) -> Vec<(usize, String)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut commands = Vec::new();
        for block in self.blocks(language) {
            let found = command_lines(&lines[block.clone()], prompt);
            commands.extend(found.into_iter().map(|(line, command)| (block.start + line + 1, command)));
        }
        commands
    }
}

/// The commands among the lines of a block: those with this prompt that are no comments. A backslash at the end goes on
/// in the next line.
fn command_lines(lines: &[impl AsRef<str>], prompt: &str) -> Vec<(usize, String)> {
    let mut commands = Vec::new();
    let mut lines = lines.iter().map(AsRef::as_ref).enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(line) = line.strip_prefix(prompt) else { continue };
        let mut command = line.trim().to_owned();
        if command.is_empty() || command.starts_with('#') {
            continue;
        }
        while let Some(start) = command.strip_suffix('\\') {
            let (_, next) = lines.next().expect("a line after a backslash");
            command = format!("{} {}", start.trim(), next.trim());
        }
        commands.push((number, command));
    }
    commands
}

/// A command that a document shows.
struct Shown {
    /// Where, and the whole line.
    place: String,
    /// Without its comment.
    command: String,
    /// The exit code that the comment announces, else 0.
    code: i32,
}

/// The commands in all documents whose output is not shown, each once.
fn shown_commands() -> Vec<Shown> {
    let documents = documents();
    let with_output = documents.iter().flat_map(|document| document.commands("console", "$ "));
    let mut seen: BTreeSet<String> = with_output.map(|(_, command)| command).collect();
    let mut shown = Vec::new();
    for document in &documents {
        for (line, command) in document.commands("sh", "") {
            if seen.insert(command.clone()) {
                let place = format!("{}, line {line}: {command}", document.name);
                let (command, code) = expected_code(&command);
                shown.push(Shown { place, command: command.to_owned(), code });
            }
        }
    }
    shown
}

/// Whether these arguments play a scenario with processes.
fn is_live(arguments: &str) -> bool {
    arguments.split_whitespace().any(|word| word == "-r")
}

/// A command without its comment, and the exit code that the comment announces, else 0.
fn expected_code(command: &str) -> (&str, i32) {
    let (command, comment) = command.split_once(" #").unwrap_or((command, ""));
    let code = comment.split("exit code ").nth(1).map_or(0, |code| {
        let digits = code.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().expect("an exit code is a number")
    });
    (command.trim(), code)
}

/// All parameters and their values, from what `Debug` shows of a configuration. Spans are in milliseconds.
fn parameters(shown: &str) -> Vec<(String, String)> {
    let pairs = shown.split([',', '{', '}']).filter_map(|pair| pair.trim().split_once(": "));
    let value = |text: &str| match text.strip_prefix("Span(").and_then(|rest| rest.strip_suffix(')')) {
        Some(nanos) => format!("{} ms", nanos.parse::<f64>().expect("a span is a number") / 1e6),
        None if text == usize::MAX.to_string() => "none".to_owned(),
        None => text.to_owned(),
    };
    pairs.filter(|&(_, text)| text != "Config").map(|(name, text)| (name.to_owned(), value(text))).collect()
}

/// Tests and benchmarks are run by `cargo test` and compiled by CI; here they only have to exist.
fn is_run_elsewhere(command: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().collect();
    let exists = |option: &str, folder: &str| {
        let names = words.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1]);
        names.into_iter().all(|name| {
            let file = root().join(folder).join(name);
            file.with_extension("rs").exists() || file.join("main.rs").exists()
        })
    };
    let plain = command.trim_start_matches("SEEDBED_SOAK_SECONDS=600 ");
    // tests/library has the example as a module.
    let is_test =
        ["cargo test ", "cargo bench ", "cargo run --release --example "].iter().any(|start| plain.starts_with(start))
            && exists("--test", "tests")
            && exists("--bench", "benches")
            && exists("--example", "examples");
    is_test || command.starts_with(RUN_GRPC) || RUN_ELSEWHERE.iter().any(|&(other, _)| other == command)
}

/// Whether `make results` runs a command, as .ci/run demands of all that results/README.md shows.
fn is_made(command: &str) -> bool {
    let makefile = fs::read_to_string(root().join("Makefile")).expect("the Makefile").replace("\\\n\t\t", "");
    let variable = |name: &str| {
        let start = format!("{name} = ");
        makefile.lines().find_map(|line| line.strip_prefix(&start)).expect("a variable of the Makefile").to_owned()
    };
    let (program, timeouts) = (variable("SEEDBED"), variable("TIMEOUTS"));
    let recipes = makefile.replace("$(SEEDBED) ", RUN).replace("$(TIMEOUTS)", &timeouts);
    assert!(program.starts_with("target/"), "{program}");
    // Where the failures go is not shown.
    let recipes = recipes.replace("--failures target/repros ", "");
    recipes.lines().any(|line| line.trim().split("; test").next() == Some(command))
}

/// The most seeds of a command whose output is not shown.
const SEEDS_MAX: u64 = 10;

/// The same command with few seeds. What it says of its options is shown by these, too.
fn with_few_seeds(arguments: &str) -> String {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let shorter = |place: usize| {
        let (start, end) = words[place].split_once("..").filter(|_| place > 0 && words[place - 1] == "--seeds")?;
        let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
        Some(format!("{start}..{}", end.min(start + SEEDS_MAX)))
    };
    let words = (0..words.len()).map(|place| shorter(place).unwrap_or_else(|| words[place].to_owned()));
    words.collect::<Vec<_>>().join(" ")
}

/// A folder with all that commands read, in which they may write.
fn working_folder() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    symlink(root().join("scenarios"), folder.path().join("scenarios")).expect("a link to the scenarios");
    symlink(root().join("docs"), folder.path().join("docs")).expect("a link to the documents");
    symlink(env!("CARGO_BIN_EXE_3700kvstore"), folder.path().join("3700kvstore")).expect("a link to the program");
    fs::create_dir(folder.path().join("results")).expect("a folder for results");
    folder
}

/// The first example in this language in a document.
fn example(document: &str, language: &str) -> String {
    let document = documents().into_iter().find(|other| other.name == document).expect("the document");
    let lines: Vec<&str> = document.text.lines().collect();
    let block = document.blocks(language).into_iter().next().expect("an example in it");
    lines[block].join("\n") + "\n"
}

/// The same for commands that play in real time: its few scenarios are those of the suite, made short.
fn live_folder() -> TempDir {
    let folder = working_folder();
    let scenarios = folder.path().join("scenarios");
    fs::remove_file(&scenarios).expect("a link");
    fs::create_dir(&scenarios).expect("a folder");
    for name in ["simple-2.json", "crash-3.json"] {
        let text = fs::read_to_string(root().join("scenarios").join(name)).expect("a scenario");
        let mut scenario: Value = serde_json::from_str(&text).expect("JSON");
        for (key, value) in
            [("lifetime", json!(3)), ("requests", json!(60)), ("wait", json!(0.7)), ("end_wait", json!(0.3))]
        {
            scenario[key] = value;
        }
        for event in scenario.get_mut("events").and_then(Value::as_array_mut).into_iter().flatten() {
            event["time"] = json!(1);
        }
        // So few requests may leave the clients without a key to get.
        scenario["tests"]["maximum_get_generation_fail_fraction"] = json!(1);
        for file in [scenarios.join(name), folder.path().join(name)] {
            fs::write(file, scenario.to_string()).expect("a file in it");
        }
    }
    folder
}

/// Runs the program with these arguments. Without a seed, 7 is taken: with some seeds the clients generate too few gets
/// (docs/output.md).
fn seedbed(folder: &TempDir, arguments: &str) -> Output {
    assert!(!arguments.contains(['\'', '"', '|', '>', '<', '$', '*', ';', '&']), "{arguments}: needs a shell");
    let mut command = processes::seedbed();
    command.current_dir(folder.path()).args(arguments.split_whitespace());
    if arguments.starts_with("run ") && !arguments.contains("--seed") {
        command.args(["--seed", "7"]);
    }
    command.output().expect("seedbed starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// The lines outside of fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The targets of all links.
fn links(text: &str) -> impl Iterator<Item = &str> {
    prose(text).flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next())
}

/// The anchors of all headings, as GitHub makes them.
fn anchors(text: &str) -> impl Iterator<Item = String> + '_ {
    let headings = prose(text).filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings.map(|heading| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    })
}
