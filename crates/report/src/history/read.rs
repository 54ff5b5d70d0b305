//! Reading histories of three kinds, which are told apart by how they begin.

use std::collections::BTreeSet;
use std::io::{self, BufRead};

use super::{jepsen, lines};
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

/// Attempts are numbered with 31 bits when they are checked.
pub(super) const ATTEMPTS_MAX: usize = 1 << 31;

/// Reads a history. `watch` is told from time to time how many bytes are read.
///
/// # Errors
/// If the file cannot be read, or its content makes no sense.
pub fn read(mut input: impl BufRead, watch: &mut dyn FnMut(u64)) -> Result<(Format, History), ReadError> {
    let format = format(&mut input)?;
    let history = match format {
        Format::Lines => lines::read(input, watch)?,
        Format::Edn => jepsen::read_edn(input, watch)?,
        Format::Log => jepsen::read_log(input, watch)?,
    };
    Ok((format, history))
}

/// How the file begins: an object of JSON has a string first, a map of EDN a keyword; a log has words.
fn format(input: &mut impl BufRead) -> Result<Format, ReadError> {
    let start = loop {
        match input.fill_buf() {
            Ok(start) => break start,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    };
    let mut bytes = start.iter().copied().filter(|byte| !byte.is_ascii_whitespace());
    match (bytes.next(), bytes.next()) {
        (None, _) => {
            Err(ReadError::Whole("is empty; allowed is a history as JSON lines, EDN or a Jepsen log".to_owned()))
        }
        (Some(b'{'), Some(b'"')) => Ok(Format::Lines),
        (Some(b'{' | b'[' | b'(' | b'#' | b';' | b','), _) => Ok(Format::Edn),
        _ => Ok(Format::Log),
    }
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

/// Reads the next line without its end; none at the end of the file. Longer ones than `MAX` are refused.
pub(super) fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>, number: u64) -> Result<bool, ReadError> {
    /// The most bytes of a line.
    const MAX: u64 = 64 << 20;
    line.clear();
    let read = io::Read::take(&mut *input, MAX).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if read as u64 == MAX {
        return Err(ReadError::line(number, "is longer than 64 MiB"));
    }
    Ok(read > 0)
}
