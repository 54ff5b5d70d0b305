//! `seedbed sweep` and `seedbed merge` as processes: what they write, and what they leave alone.

mod cores;
mod errors;
mod failures;
mod grids;
mod parts;
mod resume;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::processes;
use tempfile::TempDir;

/// A scenario with these keys that asks nothing but correctness.
macro_rules! scenario {
    ($keys:literal) => {
        concat!(
            "{",
            $keys,
            r#", "tests": {"maximum_get_fail_fraction": 1, "maximum_put_fail_fraction": 1,
            "maximum_get_generation_fail_fraction": 1, "benchmarks": {"total_msgs": [100, 200, 300],
            "failures": [1, 5, 9], "duplicates": [0, 2, 5], "median_latency": [0.001, 0.01, 0.1]}}}"#
        )
    };
}

/// Three replicas that have nothing to cope with.
const CALM: &str = scenario!(r#""lifetime": 4, "replicas": 3, "requests": 30, "mix": 0.4"#);

/// Five replicas, whose leader is cut off and then another one killed.
const HARD: &str = scenario!(
    r#""lifetime": 9, "replicas": 5, "requests": 45, "mix": 0.4, "drops": 0.05, "events": [
    {"type": "part_hard", "time": 2}, {"type": "part_end", "time": 5}, {"type": "kill_leader", "time": 7}]"#
);

/// Long enough that a run takes some milliseconds.
const LONG: &str = scenario!(r#""lifetime": 500, "replicas": 5, "requests": 20, "mix": 0, "drops": 0.05"#);

/// The four kinds of files that grow with the runs.
const KINDS: [&str; 4] = ["csv", "json", "latencies", "messages"];

/// A temporary folder in which seedbed works.
struct Folder(TempDir);

impl Folder {
    /// With these files.
    fn with(files: &[(&str, &str)]) -> Folder {
        let folder = Folder(TempDir::new().expect("a temporary folder"));
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    /// With the scenarios.
    fn new() -> Folder {
        Folder::with(&[("calm.json", CALM), ("hard.json", HARD), ("long.json", LONG)])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("text")
    }

    fn is_there(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    fn rename(&self, name: &str, new: &str) {
        fs::rename(self.path(name), self.path(new)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// All files with what they hold; folders with nothing.
    fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut content, mut folders) = (BTreeMap::new(), vec![self.0.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                content.insert(path.clone(), fs::read(&path).unwrap_or_default());
            }
        }
        content
    }

    /// seedbed with these words as arguments.
    fn command(&self, words: &str) -> Command {
        let mut command = processes::seedbed();
        command.current_dir(self.0.path()).args(words.split_whitespace());
        command
    }

    fn run(&self, words: &str) -> Done {
        Done::of(self.command(words).output())
    }

    /// A command line as seedbed prints it, for a shell.
    fn shell(&self, line: &str) -> Done {
        assert!(line.starts_with("seedbed "), "{line}");
        let script = format!("seedbed() {{ \"$SEEDBED\" \"$@\"; }}\n{line}");
        let mut command = processes::program("sh");
        command.current_dir(self.0.path()).env("SEEDBED", env!("CARGO_BIN_EXE_seedbed")).arg("-c").arg(script);
        Done::of(command.output())
    }

    /// A sweep in which every run passes.
    fn sweep(&self, words: &str) -> Done {
        let done = self.run(&format!("sweep {words}"));
        assert_eq!(done.code, 0, "{words}\n{}{}", done.out, done.err);
        done
    }

    /// The rows of a CSV file, each as its values by column.
    fn rows(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        rows(&self.read(name))
    }

    /// The command ends with code 2 and one line that begins like this, and changes no file.
    fn assert_refused(&self, words: &str, error: &str) -> String {
        let before = self.content();
        let done = self.run(words);
        done.assert_error(words, error);
        assert!(self.content() == before, "{words}: {:?}", self.content().keys());
        done.err
    }
}

/// What came of a process.
struct Done {
    code: i32,
    out: String,
    err: String,
}

impl Done {
    fn of(output: std::io::Result<Output>) -> Done {
        let output = output.expect("it starts");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Done { code: output.status.code().expect("no signal"), out: text(output.stdout), err: text(output.stderr) }
    }

    fn assert_error(&self, words: &str, error: &str) {
        assert_eq!((self.code, self.out.as_str()), (2, ""), "{words}\n{}", self.err);
        assert!(self.err.starts_with(&format!("error: {error}")), "{words}\n{}", self.err);
        // clap shows what is possible below.
        let is_claps = self.err.ends_with("For more information, try '--help'.\n");
        assert!(is_claps || self.err.lines().count() == 1, "{words}\n{}", self.err);
    }

    /// Standard output without its first line, which is the command.
    fn table(&self) -> &str {
        self.out.split_once("\n\n").expect("an empty line below the command").1
    }

    /// The only line of standard error, without the time that it took.
    fn note(&self) -> &str {
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        self.err.split_once(" in ").expect("a time").0
    }
}

fn rows(bytes: &[u8]) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(bytes).deserialize().map(|row| row.expect("a row")).collect()
}

/// Options for all files that a sweep can write but those of `--cdf`, with names that begin like this.
fn all_files(start: &str) -> String {
    format!("{} --summary {start}summary.csv --junit {start}junit.xml --plot {start}plot.svg", row_files(start))
}

/// Options for the files that grow with the runs, with names that begin like this.
fn row_files(start: &str) -> String {
    KINDS.map(|kind| format!("--{kind} {start}{kind}")).join(" ")
}

/// The shipped scenarios, wherever seedbed works.
fn shipped(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name).to_str().expect("text").to_owned()
}
