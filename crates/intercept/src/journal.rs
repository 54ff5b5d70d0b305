//! The system calls of a host's programs in words, one line each, much as strace(1) shows them.
//!
//! A journal is kept only if the caller asks for it. It tells what a program does where two of its runs differ, or where
//! it waits. It changes nothing of the run: times, turns and answers are the same with it and without.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write;
use std::path::Path;

use crate::calls::Outcome;
use crate::calls::sockets::port_of;
use crate::host::Host;
use crate::launch::CallLine;
use crate::table;
use crate::thread::{ThreadKey, Woken};
use crate::tracee::{Address, Registers, Tid};

/// This many bytes of what is read, written and named are shown. Of the rest a line has a hash, so that it differs with it.
const SHOWN_MAX: usize = 64;

/// What a journal holds until it is taken; further lines are lost.
const WAITING_MAX: usize = 1 << 20;

/// The lines that were not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    lines: VecDeque<CallLine>,
    names: Names,
}

/// The folder of a run, and the name that it has in journals. Runs at the same time have different folders, and what is
/// told of them should be the same.
#[derive(Clone, Debug, Default)]
struct Names {
    real: Vec<u8>,
    shown: Vec<u8>,
}

impl Names {
    /// Bytes of a program, with the folder by its other name.
    fn replace<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let length = self.real.len();
        let find = |from: usize| bytes[from..].windows(length).position(|part| part == self.real).map(|at| from + at);
        if length == 0 || self.real == self.shown || find(0).is_none() {
            return bytes.into();
        }
        let (mut replaced, mut done) = (Vec::with_capacity(bytes.len()), 0);
        while let Some(at) = find(done) {
            replaced.extend_from_slice(&bytes[done..at]);
            replaced.extend_from_slice(&self.shown);
            done = at + length;
        }
        replaced.extend_from_slice(&bytes[done..]);
        replaced.into()
    }
}

impl Journal {
    pub fn take(&mut self) -> Option<CallLine> {
        self.lines.pop_front()
    }

    fn push(&mut self, line: CallLine) {
        if self.lines.len() < WAITING_MAX {
            self.lines.push_back(line);
        }
    }
}

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Argument {
    Number,
    Bits,
    Name,
    /// Bytes that are written; the next argument says how many.
    Written,
    /// Room for bytes that are read; the result says how many.
    Read,
    /// An address on the network.
    Port,
}

use Argument::{Bits, Name, Number, Port, Read, Written};

/// What the arguments of the calls are that say most about a program. All others are shown as numbers.
fn arguments(name: &str) -> Option<&'static [Argument]> {
    Some(match name {
        "read" | "getdents64" => &[Number, Read, Number],
        "pread64" => &[Number, Read, Number, Number],
        "getrandom" => &[Read, Number, Bits],
        "write" => &[Number, Written, Number],
        "sendto" => &[Number, Written, Number, Bits, Port],
        "recvfrom" => &[Number, Read, Number, Bits],
        "open" | "creat" => &[Name, Bits, Bits],
        "openat" => &[Number, Name, Bits, Bits],
        "stat" | "lstat" | "statfs" => &[Name, Bits],
        "newfstatat" => &[Number, Name, Bits, Bits],
        "statx" => &[Number, Name, Bits, Bits, Bits],
        "readlink" => &[Name, Read, Number],
        "readlinkat" => &[Number, Name, Read, Number],
        "bind" | "connect" => &[Number, Port],
        "socket" | "kill" | "tkill" | "dup2" => &[Number, Number],
        "dup3" | "fcntl" | "ioctl" => &[Number, Bits, Bits],
        "getpid" | "gettid" | "getppid" | "sched_yield" | "fork" | "vfork" => &[],
        "exit" | "exit_group" | "dup" | "close" => &[Number],
        "futex" => &[Bits, Bits, Number, Bits],
        "poll" | "ppoll" => &[Bits, Number],
        "epoll_wait" | "epoll_pwait" => &[Number, Bits, Number, Number],
        "select" | "pselect6" => &[Number, Bits, Bits, Bits],
        _ => return None,
    })
}

/// A call that is about to be judged, in words.
#[derive(Debug)]
pub(crate) struct Draft {
    number: u64,
    time: u64,
    /// None if the call has waited: only its end is told then.
    words: Option<Vec<Word>>,
}

#[derive(Debug)]
enum Word {
    Known(String),
    /// What is read, which is not there yet.
    Read(Address),
}

impl Host {
    /// Keeps a journal of system calls from now on. In it the folder `real` has the name `shown`.
    pub fn keep_journal(&mut self, real: &Path, shown: &Path) {
        let [real, shown] = [real, shown].map(|path| path.as_os_str().as_encoded_bytes().to_vec());
        self.journal = Some(Journal { names: Names { real, shown }, ..Journal::default() });
    }

    /// The oldest line of the journal that was not taken yet.
    pub fn take_call(&mut self) -> Option<CallLine> {
        self.journal.as_mut()?.take()
    }

    /// What is known of a thread's call before it is judged.
    pub(crate) fn draft(&mut self, key: ThreadKey, woken: Woken) -> Option<Draft> {
        let names = self.journal.as_ref()?.names.clone();
        let thread = self.thread(key);
        thread.result = None;
        let registers = thread.registers?;
        let tid = thread.tid;
        let words = (woken == Woken::Fresh).then(|| words_of(tid, &registers, &names));
        Some(Draft { number: registers.orig_rax, time: self.clock, words })
    }

    /// Writes the line of a call that was judged. A call that the kernel is to make is made now, if its result tells much.
    pub(crate) fn write_line(&mut self, key: ThreadKey, draft: &Draft, outcome: &Outcome) {
        let reads = |word: &Word| matches!(word, Word::Read(_));
        let tells = draft.words.as_ref().is_none_or(|words| words.iter().any(reads));
        let is_due = matches!(outcome, Outcome::Proceed) && self.thread(key).result.is_none() && tells;
        if is_due && (!self.run_to_edge(key) || self.thread(key).gone) {
            return;
        }
        let thread = &self.threads[key.0];
        let tid = thread.tid;
        let result = match outcome {
            Outcome::Return(value) => Some(*value),
            Outcome::Yield => Some(0),
            Outcome::Proceed if is_due => tid.registers().ok().map(|registers| registers.rax as i64),
            Outcome::Proceed => thread.result,
            Outcome::Wait { .. } | Outcome::Leave | Outcome::Refuse(_) => None,
        };
        if draft.words.is_none() && matches!(outcome, Outcome::Wait { .. }) {
            // It was woken for nothing.
            return;
        }
        let place = self.place(key);
        if let Some(journal) = &mut self.journal {
            let waits = matches!(outcome, Outcome::Wait { .. });
            let text = line_of(place, tid, draft, result, waits, &journal.names);
            journal.push(CallLine { time: draft.time, text });
        }
    }

    /// The numbers of a thread and its process, as programs see them.
    fn place(&self, key: ThreadKey) -> String {
        let thread = &self.threads[key.0];
        let process = self.processes[thread.process.0].shown;
        if process == thread.shown { process.to_string() } else { format!("{process}/{}", thread.shown) }
    }
}

/// A call in words, without its result.
pub(crate) fn describe(tid: Tid, registers: &Registers) -> String {
    let draft = Draft { number: registers.orig_rax, time: 0, words: Some(words_of(tid, registers, &Names::default())) };
    call_text(tid, &draft, None, &Names::default())
}

fn line_of(place: String, tid: Tid, draft: &Draft, result: Option<i64>, waits: bool, names: &Names) -> String {
    let mut line = place;
    line.push_str(": ");
    line.push_str(&call_text(tid, draft, result, names));
    match result {
        Some(error @ -4095..0) => {
            let why = std::io::Error::from_raw_os_error(-error as i32).to_string();
            let (words, _) = why.rsplit_once(" (os error").unwrap_or((&why, ""));
            let _ = write!(line, " = {error} ({words})");
        }
        Some(value @ 0..0x1_0000_0000) => {
            let _ = write!(line, " = {value}");
        }
        Some(address) => {
            let _ = write!(line, " = {address:#x}");
        }
        None if waits => line.push_str(" waits"),
        None => {}
    }
    line
}

fn call_text(tid: Tid, draft: &Draft, result: Option<i64>, names: &Names) -> String {
    let name = table::name(draft.number);
    let Some(words) = &draft.words else { return format!("{name} resumed") };
    let text = |word: &Word| match *word {
        Word::Known(ref text) => text.clone(),
        Word::Read(address) => match usize::try_from(result.unwrap_or(-1)) {
            Ok(length) => data(tid, address, length, names),
            Err(_) => format!("{address:#x}"),
        },
    };
    let words: Vec<String> = words.iter().map(text).collect();
    format!("{name}({})", words.join(", "))
}

fn words_of(tid: Tid, registers: &Registers, names: &Names) -> Vec<Word> {
    let values = [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
    let Some(arguments) = arguments(&table::name(registers.orig_rax)) else {
        let mut words: Vec<Word> = values[..3].iter().map(|value| Word::Known(format!("{value:#x}"))).collect();
        words.push(Word::Known("...".to_owned()));
        return words;
    };
    let word = |(place, argument): (usize, &Argument)| {
        let value = values[place];
        Word::Known(match argument {
            Number => (value as i32).to_string(),
            Bits => format!("{value:#x}"),
            Name => tid.text(value).map_or_else(|_| format!("{value:#x}"), |text| quoted(&names.replace(&text))),
            Written => data(tid, value, values[place + 1] as usize, names),
            Read => return Word::Read(value),
            Port => match port_of(tid, value, values[place + 1]) {
                Ok(Some(port)) => format!("port {port}"),
                _ => format!("{value:#x}"),
            },
        })
    };
    arguments.iter().enumerate().map(word).collect()
}

/// The most of one call's data that goes into a line's hash.
const HASHED_MAX: usize = 1 << 20;

/// Bytes of a program: their beginning, and a hash if that is not all.
fn data(tid: Tid, address: Address, length: usize, names: &Names) -> String {
    let Ok(bytes) = tid.bytes(address, length.min(HASHED_MAX)) else { return format!("{address:#x}") };
    quoted(&names.replace(&bytes))
}

fn quoted(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN_MAX)];
    let text = format!("\"{}\"", shown.escape_ascii());
    if shown.len() == bytes.len() { text } else { format!("{text}... #{:08x}", hash(bytes)) }
}

/// FNV-1a (Fowler, Noll, Vo), folded to 32 bits.
fn hash(bytes: &[u8]) -> u32 {
    let hash = bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_data_is_cut_and_what_is_not_shown_counts() {
        assert_eq!(quoted(b"a\n\"\xFF"), r#""a\n\"\xff""#);
        let long = |last: u8| [vec![b'x'; 100], vec![last]].concat();
        let (one, other) = (quoted(&long(b'1')), quoted(&long(b'2')));
        assert!(one.starts_with(&format!("\"{}\"... #", "x".repeat(SHOWN_MAX))), "{one}");
        assert_ne!(one, other);
    }

    #[test]
    fn the_folder_of_a_run_has_another_name() {
        let names = Names { real: b"/tmp/7".to_vec(), shown: b"/tmp/own".to_vec() };
        assert_eq!(&*names.replace(b"/tmp/7/a:/tmp/7:/tmp"), b"/tmp/own/a:/tmp/own:/tmp");
        assert_eq!(&*names.replace(b"nothing"), b"nothing");
        assert_eq!(&*Names::default().replace(b"/tmp/7"), b"/tmp/7");
    }

    #[test]
    fn a_journal_that_is_not_taken_is_bounded() {
        let mut journal = Journal::default();
        for time in 0..=WAITING_MAX as u64 {
            journal.push(CallLine { time, text: String::new() });
        }
        assert_eq!(journal.lines.len(), WAITING_MAX);
        assert_eq!(journal.take().map(|line| line.time), Some(0));
    }
}
