//! The command that repeats what was done, written so that a shell reads it as it was meant.

use std::ffi::OsStr;
use std::fmt::{self, Display, Write};
use std::path::Path;

use super::program::{program, protocols};
use crate::lab::SeedRange;

/// The folder of scenarios that `all` means unless told otherwise.
pub(super) const DEFAULT_DIRECTORY: &str = crate::scenario::library::FOLDER;

/// What a command line says besides scenarios and seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommandLine<'a> {
    /// The subcommand.
    pub verb: &'a str,
    /// The protocol of the virtual world; the default one is not mentioned.
    pub protocol: &'a str,
    /// The program of the live world, if there is one.
    pub program: Option<&'a Path>,
    /// Further words, ready for a shell; empty, if there are none.
    pub changes: &'a str,
    /// It is played on a gRPC cluster.
    pub grpc: bool,
}

/// A command line that is put together word by word.
#[derive(Clone, Debug)]
pub(super) struct Words(String);

impl Words {
    /// The program and its subcommand.
    pub fn new(verb: &str) -> Words {
        Words(format!("{} {verb}", program().name))
    }

    /// No word yet.
    pub fn empty() -> Words {
        Words(String::new())
    }

    /// With words that a shell can read as they are.
    pub fn with(self, words: impl Display) -> Words {
        let join = if self.0.is_empty() { "" } else { " " };
        Words(format!("{self}{join}{words}"))
    }

    /// With an option, whose value a shell can read as it is.
    pub fn option(self, name: &str, value: impl Display) -> Words {
        self.with(name).with(value)
    }

    /// With an option, if it is not what it would be without.
    pub fn unless<T: Display + PartialEq>(self, default: T, name: &str, value: T) -> Words {
        if value == default { self } else { self.option(name, value) }
    }

    /// With an option, if it is given.
    pub fn given<T: Display>(self, name: &str, value: Option<T>) -> Words {
        match value {
            Some(value) => self.option(name, value),
            None => self,
        }
    }

    /// With an option that has a path, if it is given.
    pub fn path(self, name: &str, path: Option<&Path>) -> Words {
        self.given(name, path.map(quoted_path))
    }
}

impl Words {
    /// With an option whose file is an output, if it is given: `-` is standard output.
    pub fn output(self, name: &str, path: Option<&Path>) -> Words {
        if path == Some(Path::new("-")) { self.option(name, "-") } else { self.path(name, path) }
    }
}

impl Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The command that repeats what a repro file holds.
pub(super) fn replay(path: &Path) -> String {
    Words::new("replay").with(quoted_path(path)).to_string()
}

/// The command that makes what a repro file holds small.
pub(super) fn shrink(path: &Path) -> String {
    Words::new("shrink").with(quoted_path(path)).to_string()
}

/// The command that is about one scenario.
pub(super) fn one(command: &CommandLine<'_>, path: &Path, seeds: SeedRange) -> String {
    words(command, file(path), seeds)
}

/// The command that is about all scenarios of the folder that these words name.
pub(super) fn all(command: &CommandLine<'_>, folder: &str, seeds: SeedRange) -> String {
    words(command, folder.to_owned(), seeds)
}

fn words(command: &CommandLine<'_>, files: String, seeds: SeedRange) -> String {
    let option = if seeds.count() == 1 { "--seed" } else { "--seeds" };
    let words = Words::new(command.verb).with(files).option(option, seeds);
    let words = words.unless(protocols().default_one().name(), "--protocol", command.protocol);
    let words = if command.changes.is_empty() { words } else { words.with(command.changes) };
    let words = if command.grpc { words.option("--world", "grpc") } else { words };
    words.path("-r", command.program).to_string()
}

/// The words that name one scenario.
pub(super) fn file(path: &Path) -> String {
    // Bare `all` would mean something else.
    if path == Path::new("all") { "./all".to_owned() } else { quoted_path(path) }
}

/// The words that name all scenarios of a directory.
pub(super) fn directory(path: &Path) -> String {
    if path.as_os_str() == DEFAULT_DIRECTORY { "all".to_owned() } else { format!("all -c {}", quoted_path(path)) }
}

/// A path as one word of a shell command that is no option.
pub(super) fn quoted_path(path: &Path) -> String {
    let text = path.as_os_str();
    if text.as_encoded_bytes().starts_with(b"-") {
        return quoted(Path::new(".").join(path).as_os_str());
    }
    quoted(text)
}

/// A text as one word of a shell command, in one line: bare if it can be, else in single quotes, and as `$'...'` (which
/// most shells know) if it holds what cannot be printed.
pub(super) fn quoted(text: &OsStr) -> String {
    let bytes = text.as_encoded_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:,@%+=".contains(byte);
    match text.to_str() {
        Some(text) if !text.is_empty() && bytes.iter().all(is_plain) => text.to_owned(),
        Some(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let mut word = "$'".to_owned();
            for &byte in bytes {
                let _ = match byte {
                    b'\'' | b'\\' => write!(word, "\\{}", char::from(byte)),
                    b' '..=b'~' => write!(word, "{}", char::from(byte)),
                    // Three octal digits: a hex escape would swallow a following digit in some shells.
                    _ => write!(word, "\\{byte:03o}"),
                };
            }
            word + "'"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAFT: CommandLine<'static> =
        CommandLine { verb: "run", protocol: "raft", program: None, changes: "", grpc: false };

    fn all(command: &CommandLine<'_>, folder: &Path, seeds: SeedRange) -> String {
        super::all(command, &directory(folder), seeds)
    }

    const BROADCAST: CommandLine<'static> = CommandLine { protocol: "broadcast", ..RAFT };

    #[test]
    fn options_are_named_only_if_they_change_the_run() {
        let file = Path::new("scenarios/crash-3.json");
        let [seven, zero] = [7, 0].map(SeedRange::only);
        assert_eq!(one(&RAFT, file, seven), "seedbed run scenarios/crash-3.json --seed 7");
        let several = "0..3".parse().unwrap();
        assert_eq!(one(&RAFT, file, several), "seedbed run scenarios/crash-3.json --seeds 0..3");
        let command = "seedbed run scenarios/crash-3.json --seed 7 --protocol broadcast";
        assert_eq!(one(&BROADCAST, file, seven), command);
        assert_eq!(all(&RAFT, Path::new("scenarios"), zero), "seedbed run all --seed 0");
        let command = "seedbed run all -c 'my files' --seed 0 --protocol broadcast";
        assert_eq!(all(&BROADCAST, Path::new("my files"), zero), command);
    }

    #[test]
    fn a_program_is_named_as_one_word() {
        let command = CommandLine { verb: "compare", program: Some(Path::new("./my replica")), ..RAFT };
        let command = all(&command, Path::new("scenarios"), SeedRange::only(7));
        assert_eq!(command, "seedbed compare all --seed 7 -r './my replica'");
    }

    #[test]
    fn paths_are_never_taken_for_options_or_for_all_scenarios() {
        let seed = SeedRange::only(1);
        assert_eq!(one(&RAFT, Path::new("-s.json"), seed), "seedbed run ./-s.json --seed 1");
        assert_eq!(all(&RAFT, Path::new("-s"), seed), "seedbed run all -c ./-s --seed 1");
        assert_eq!(one(&RAFT, Path::new("./all"), seed), "seedbed run ./all --seed 1");
    }

    #[test]
    fn a_command_line_has_only_the_options_that_are_given_or_change_something() {
        let words = Words::new("shrink").with("a.json").unless(7, "--budget", 7).path("-o", None);
        assert_eq!(words.to_string(), "seedbed shrink a.json");
        let words = words.unless(7, "--budget", 8).path("-o", Some(Path::new("my file")));
        assert_eq!(words.to_string(), "seedbed shrink a.json --budget 8 -o 'my file'");
    }

    #[test]
    fn what_a_shell_would_change_is_quoted() {
        for (text, word) in [
            ("a/b-c_d.json", "a/b-c_d.json"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("~x", "'~x'"),
            ("é", "'é'"),
            ("a\nb'\\1", r"$'a\012b\'\\1'"),
        ] {
            assert_eq!(quoted(OsStr::new(text)), word);
        }
    }
}
