//! What programs print, line by line, with the time of each line.

use std::collections::{BTreeMap, VecDeque};

/// A longer line is cut here. The rest is a line of its own.
const LINE_MAX: usize = 8_192;

/// What waits to be taken is bounded: what is printed beyond it is counted only.
const WAITING_MAX: usize = 16 << 20;

/// Where a program prints to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// A line that a program has printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The time on its host's clock when the line was complete.
    pub time: u64,
    /// Where to.
    pub output: Output,
    /// What it says, without the end of the line; any bytes.
    pub bytes: Vec<u8>,
}

/// Collects what the programs of a host print.
#[derive(Debug, Default)]
pub struct Printer {
    lines: VecDeque<Line>,
    waiting: usize,
    lost: u64,
    unfinished: BTreeMap<Output, Vec<u8>>,
}

impl Printer {
    /// The oldest line that was not taken yet.
    pub fn take(&mut self) -> Option<Line> {
        let line = self.lines.pop_front()?;
        self.waiting -= line.bytes.len();
        Some(line)
    }

    /// How many lines were printed while too many waited, and are lost.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// A program prints something.
    pub(crate) fn print(&mut self, time: u64, output: Output, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (mut text, ends) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            let mut line = self.unfinished.remove(&output).unwrap_or_default();
            while line.len() + text.len() > LINE_MAX {
                let (head, rest) = text.split_at(LINE_MAX - line.len());
                line.extend_from_slice(head);
                self.push(Line { time, output, bytes: std::mem::take(&mut line) });
                text = rest;
            }
            line.extend_from_slice(text);
            if ends {
                self.push(Line { time, output, bytes: line });
            } else {
                self.unfinished.insert(output, line);
            }
        }
    }

    /// The host has ended: what is printed so far has no end of line.
    pub(crate) fn finish(&mut self, time: u64) {
        for (output, bytes) in std::mem::take(&mut self.unfinished) {
            if !bytes.is_empty() {
                self.push(Line { time, output, bytes });
            }
        }
    }

    fn push(&mut self, line: Line) {
        if self.waiting + line.bytes.len() > WAITING_MAX {
            self.lost += 1;
            return;
        }
        self.waiting += line.bytes.len();
        self.lines.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(printer: &mut Printer) -> Vec<(u64, String)> {
        std::iter::from_fn(|| printer.take()).map(|line| (line.time, String::from_utf8(line.bytes).unwrap())).collect()
    }

    #[test]
    fn a_line_has_the_time_at_which_it_was_complete_and_outputs_are_kept_apart() {
        let mut printer = Printer::default();
        printer.print(1, Output::Out, b"one\ntw");
        printer.print(2, Output::Error, b"oops\n");
        printer.print(3, Output::Out, b"o\n\n");
        printer.print(4, Output::Out, b"rest");
        assert_eq!(lines(&mut printer), [(1, "one".into()), (2, "oops".into()), (3, "two".into()), (3, String::new())]);
        printer.finish(9);
        assert_eq!(lines(&mut printer), [(9, "rest".into())]);
    }

    #[test]
    fn a_line_without_end_is_cut_and_what_is_not_taken_is_bounded() {
        let mut printer = Printer::default();
        printer.print(1, Output::Out, &[vec![b'x'; 3 * LINE_MAX], vec![b'\n']].concat());
        let lengths: Vec<usize> = lines(&mut printer).into_iter().map(|(_, line)| line.len()).collect();
        assert_eq!(lengths, [LINE_MAX; 3]);
        let line = [vec![b'y'; LINE_MAX - 1], vec![b'\n']].concat();
        for _ in 0..=WAITING_MAX / (LINE_MAX - 1) {
            printer.print(1, Output::Out, &line);
        }
        assert_eq!(printer.lost(), 1);
    }
}
