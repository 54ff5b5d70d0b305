//! Reading histories of three formats, which are told apart by how they begin.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use serde::Serialize;

use super::{jepsen, lines};
use seedbed_core::printable::{Excerpt, plural};
use seedbed_core::record::History;
use seedbed_core::service::Text;

/// How a history is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As [`write`](super::write) does it.
    Lines,
    /// As Jepsen keeps it: one EDN map an event.
    Edn,
    /// As Jepsen's old programs printed it: lines with `jepsen.util - ` and an event.
    Log,
}

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A line is not as it must be.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it, and what is allowed.
        problem: String,
    },
    /// The file as a whole is not as it must be.
    #[error("{0}")]
    Whole(String),
}

impl ReadError {
    pub(super) fn line(line: u64, problem: impl Into<String>) -> ReadError {
        ReadError::Line { line, problem: problem.into() }
    }
}

/// A history, as a file had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadHistory {
    /// How it was written down.
    pub format: Format,
    /// Its operations, at least one.
    pub history: History,
    /// What the file had besides.
    pub skipped: Skipped,
}

/// How much of a file was skipped, because it says nothing about operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Events of the nemesis, which injects the faults in a test of Jepsen.
    pub nemesis: u64,
    /// `:info` events of processes that had no operation under way.
    pub info: u64,
    /// Lines of a log that are not events; blank ones are not counted.
    pub lines: u64,
}

impl Skipped {
    /// Whether nothing was skipped.
    pub fn is_nothing(&self) -> bool {
        *self == Skipped::default()
    }

    /// What was skipped, in words: `12 events of the nemesis`. None if nothing was.
    pub fn words(&self) -> Option<String> {
        let kinds = [
            (self.nemesis, "event of the nemesis", "events of the nemesis"),
            (self.info, "`:info` event without an operation", "`:info` events without an operation"),
            (self.lines, "line that is not an event", "lines that are not events"),
        ];
        let words = kinds.into_iter().filter(|kind| kind.0 > 0).map(|(count, one, many)| plural(count, one, many));
        let words: Vec<String> = words.collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// Attempts are numbered with 31 bits when they are checked.
pub(super) const ATTEMPTS_MAX: usize = (1 << 31) - 1;

/// The latest time, in nanoseconds: 292 years. Far above it, times run into [`Time::NEVER`](seedbed_core::time::Time::NEVER).
pub(super) const TIME_MAX: u64 = i64::MAX as u64;

/// The most white space at the beginning of a file, in bytes.
const BLANK_BYTES_MAX: usize = 1 << 20;

/// Editors of Windows write it at the beginning of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The bytes of a history. It is one type, so all readers are compiled in this package: the release profile optimises it,
/// and not the packages that call it.
pub(super) type Input<'i> = BufReader<Chain<Cursor<Vec<u8>>, &'i mut dyn Read>>;

/// Reads a history. `input` needs no buffer. From time to time `watch` receives the number of bytes that are read.
///
/// # Errors
/// If the file cannot be read, its content makes no sense, or it has no operations.
pub fn read(input: &mut dyn Read, watch: &mut dyn FnMut(u64)) -> Result<ReadHistory, ReadError> {
    let (format, input) = begin(input)?;
    let (history, skipped) = match format {
        Format::Lines => (lines::read(input, watch)?, Skipped::default()),
        Format::Edn => jepsen::read_edn(input, watch)?,
        Format::Log => jepsen::read_log(input, watch)?,
    };
    if history.attempts.is_empty() {
        let besides = skipped.words().map_or_else(String::new, |words| format!(" (skipped: {words})"));
        return Err(ReadError::Whole(format!("has no operations{besides}")));
    }
    Ok(ReadHistory { format, history, skipped })
}

/// Reads the beginning of a file until its format is known. What comes back is the whole file, but for a byte order mark.
///
/// A pipe may return a single byte at a time.
fn begin(input: &mut dyn Read) -> Result<(Format, Input<'_>), ReadError> {
    let (mut start, mut blank) = (Vec::new(), 0);
    let format = loop {
        let read = read_some(input, &mut start)?;
        if read > 0 && start.len() < BYTE_ORDER_MARK.len() {
            continue;
        }
        if blank == 0 && start.starts_with(BYTE_ORDER_MARK) {
            start.drain(..BYTE_ORDER_MARK.len());
        }
        blank += start[blank..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        match format(&start[blank..]) {
            Some(format) => break format,
            None if read == 0 && blank == start.len() => {
                let problem = "is empty; allowed is a history as JSON lines, EDN or a Jepsen log";
                return Err(ReadError::Whole(problem.to_owned()));
            }
            // A brace alone. The reader says what is missing.
            None if read == 0 => break Format::Edn,
            None if start.len() > BLANK_BYTES_MAX => {
                return Err(ReadError::Whole("begins with more than 1 MiB of white space".to_owned()));
            }
            None => {}
        }
    };
    Ok((format, BufReader::with_capacity(1 << 16, Cursor::new(start).chain(input))))
}

/// Reads some more bytes: none at the end.
fn read_some(input: &mut dyn Read, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 1 << 12];
    loop {
        match input.read(&mut chunk) {
            Ok(read) => {
                bytes.extend_from_slice(&chunk[..read]);
                return Ok(read);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// How a file begins: an object of JSON has a string first, a map of EDN a keyword; a log has words. None if more of it
/// must be read to tell.
fn format(start: &[u8]) -> Option<Format> {
    let mut bytes = start.iter().filter(|byte| !byte.is_ascii_whitespace());
    match (bytes.next()?, bytes.next()) {
        (b'{', None) => None,
        (b'{', Some(b'"')) => Some(Format::Lines),
        (b'{' | b'[' | b'(' | b'#' | b';' | b',', _) => Some(Format::Edn),
        _ => Some(Format::Log),
    }
}

/// Text of a file for a message: one line, and not too long.
pub(super) fn excerpt(text: &str) -> String {
    Excerpt(text.as_bytes()).to_string()
}

/// Texts that are kept once each, however often they occur.
#[derive(Debug, Default)]
pub(super) struct Texts(BTreeSet<Text>);

impl Texts {
    /// The text that is kept for this one.
    pub fn keep(&mut self, text: &str) -> Text {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let new = Text::from(text);
        self.0.insert(new.clone());
        new
    }
}

/// Reads the next line without its end; false at the end of the file. A line longer than `MAX` is refused.
pub(super) fn next_line(input: &mut Input<'_>, line: &mut Vec<u8>, number: u64) -> Result<bool, ReadError> {
    /// The most bytes of a line.
    const MAX: u64 = 64 << 20;
    line.clear();
    let read = Read::take(&mut *input, MAX).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if read as u64 == MAX {
        return Err(ReadError::line(number, "is longer than 64 MiB"));
    }
    Ok(read > 0)
}
