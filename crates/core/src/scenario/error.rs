//! Why a file is not a scenario.

use std::io;

use crate::hint::did_you_mean;

/// Why a file is not a scenario.
///
/// Each message is one line, whatever the file holds. It names the file, the key's path, what was found there and what
/// is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be opened or read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The file.
        file: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The folder cannot be read.
    #[error("{file}: cannot be read as a directory of scenarios: {source}")]
    Folder {
        /// The folder.
        file: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// There is no scenario in the folder.
    #[error("{file}: holds no scenarios (*.json)")]
    EmptyFolder {
        /// The folder.
        file: String,
    },
    /// There is no file of this name, neither on disk nor among the built-in ones.
    #[error(
        "{file}: no such file, and no built-in {noun} has this name (`seedbed scenarios` lists them){}",
        appended(.meant.as_deref().map(did_you_mean).as_deref())
    )]
    NotFound {
        /// The name.
        file: String,
        /// The kind of file that was looked for.
        noun: &'static str,
        /// The built-in file that may be meant.
        meant: Option<String>,
    },
    /// The file has another format that seedbed knows.
    #[error("{file}: is {what}")]
    OtherKind {
        /// The file.
        file: String,
        /// Its kind, and the command that takes it.
        what: &'static str,
    },
    /// The file is too large to be a scenario.
    #[error("{file}: is too large; allowed is a file of at most {allowed_bytes} bytes")]
    Size {
        /// The file.
        file: String,
        /// The most that is read.
        allowed_bytes: u64,
    },
    /// The file is not text.
    #[error("{file}: is not text: the byte at offset {offset} is not UTF-8")]
    Encoding {
        /// The file.
        file: String,
        /// Offset of the first wrong byte.
        offset: usize,
    },
    /// The text is not JSON.
    #[error("{file}: line {line}, column {column}: cannot be read as JSON: {message}")]
    Json {
        /// The file.
        file: String,
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, in bytes.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// The JSON text is not an object.
    #[error("{file}: the file holds {value}; allowed is an object")]
    Top {
        /// The file.
        file: String,
        /// What it holds, shortened.
        value: String,
    },
    /// A required key is missing.
    #[error("{file}: `{key}` is missing; allowed is {allowed}{}", appended(.hint.as_deref()))]
    Missing {
        /// The file.
        file: String,
        /// The path of the key.
        key: String,
        /// The allowed values.
        allowed: String,
        /// A hint: a key that looks like a misspelling of the missing one.
        hint: Option<String>,
    },
    /// A value is of the wrong type or out of its range.
    #[error("{file}: `{key}` is {value}; allowed is {allowed}{}", appended(.hint.as_deref()))]
    Invalid {
        /// The file.
        file: String,
        /// The path of the key.
        key: String,
        /// What was found, shortened.
        value: String,
        /// The allowed values.
        allowed: String,
        /// A hint, such as the nearest allowed word.
        hint: Option<String>,
    },
    /// One object has the same key twice. JSON readers disagree on which of the two counts.
    #[error("{file}: `{key}` is given more than once; allowed is once")]
    Duplicate {
        /// The file.
        file: String,
        /// The path of the key.
        key: String,
    },
    /// A key that nothing reads, in an object that only seedbed knows.
    #[error("{file}: unknown key `{key}`; allowed is {allowed}{}", appended(.hint.as_deref()))]
    Unknown {
        /// The file.
        file: String,
        /// The path of the key.
        key: String,
        /// The allowed keys.
        allowed: String,
        /// The key that may be meant.
        hint: Option<String>,
    },
    /// Two keys that contradict each other.
    #[error("{file}: both `{first}` and `{second}` are given; allowed is {allowed}")]
    Conflict {
        /// The file.
        file: String,
        /// The path of the one key.
        first: String,
        /// The path of the other key.
        second: String,
        /// What is allowed instead.
        allowed: &'static str,
    },
}

fn appended(hint: Option<&str>) -> String {
    hint.map(|hint| format!("; {hint}")).unwrap_or_default()
}
