//! Parts of a sweep that was shared out, and how they become one file again.
//!
//! A part is a file of rows, JSON lines or details between two lines of its own: the first says which part of which
//! sweep it is, the last that it is complete. Merging takes these lines away, so the result is, byte for byte, the file
//! of the undivided sweep.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Schema;
use crate::digest::Digest;
use seedbed_core::files::write_whole;
use seedbed_core::printable::printable;

/// The most parts of a sweep.
const PARTS_MAX: u64 = 100_000;

/// How each line of a part's own begins.
const SIGN: &str = "#seedbed ";

/// One of several parts of the same size: every run whose number leaves the same rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// Which one, counted from 0.
    index: u64,
    count: u64,
}

/// What is no shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("allowed is K/N with K from 1 to N, and N up to {PARTS_MAX}")]
pub struct ShardError;

impl Shard {
    /// The whole.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };

    /// The part with this number, counted from 0.
    ///
    /// # Errors
    /// If there is no such part, or there are too many.
    pub fn new(index: u64, count: u64) -> Result<Shard, ShardError> {
        if index < count && count <= PARTS_MAX { Ok(Shard { index, count }) } else { Err(ShardError) }
    }

    /// How many of this many runs are in it.
    pub fn share(self, runs: u64) -> u64 {
        runs / self.count + u64::from(self.index < runs % self.count)
    }

    /// Which of its runs has this number, counted from 0; none if the run is in another part.
    pub fn nth(self, run: u64) -> Option<u64> {
        (run % self.count == self.index).then_some(run / self.count)
    }

    /// The number of its n-th run, counted from 0.
    pub fn run(self, nth: u64) -> u64 {
        nth * self.count + self.index
    }
}

/// `3/8`, counted from 1.
impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Shard, ShardError> {
        let (number, count) = text.split_once('/').ok_or(ShardError)?;
        let [number, count] = [number, count].map(|text| text.parse::<u64>().map_err(|_| ShardError));
        Shard::new(number?.checked_sub(1).ok_or(ShardError)?, count?)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.count)
    }
}

/// What the first line of a part says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartMark {
    /// Which part it is.
    pub shard: Shard,
    /// How many runs the whole sweep has.
    pub runs: u64,
    /// A hash of everything that says which runs they are.
    pub sweep: u64,
}

impl PartMark {
    /// The last line of the part.
    pub fn end(&self) -> String {
        format!("{SIGN}end of part {}\n", self.shard)
    }

    fn read(line: &str) -> Option<PartMark> {
        let (shard, rest) = line.strip_prefix(SIGN)?.strip_prefix("part ")?.split_once(" of ")?;
        let (runs, sweep) = rest.strip_suffix('\n')?.split_once(" runs of sweep ")?;
        let mark = PartMark {
            shard: shard.parse().ok()?,
            runs: runs.parse().ok()?,
            sweep: u64::from_str_radix(sweep, 16).ok()?,
        };
        (mark.to_string() == line).then_some(mark)
    }
}

/// The first line of the part, with its end.
impl fmt::Display for PartMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{SIGN}part {} of {} runs of sweep {:016x}", self.shard, self.runs, self.sweep)
    }
}

/// Why files do not make a whole.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A file cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The result cannot be written.
    #[error(transparent)]
    Write(#[from] io::Error),
    /// A file is not a part of a sweep.
    #[error("{file}: is not a part of a sweep, as `seedbed sweep --shard` writes it")]
    NoPart {
        /// The file.
        file: String,
    },
    /// Two files are of different sweeps.
    #[error("{file}: does not belong to {other}: {why}")]
    Stranger {
        /// The file.
        file: String,
        /// A file of another sweep.
        other: String,
        /// What differs.
        why: String,
    },
    /// Two files are the same part.
    #[error("{file}: is part {shard}, and so is {other}")]
    Twice {
        /// The file.
        file: String,
        /// The other one.
        other: String,
        /// Which part they are.
        shard: Shard,
    },
    /// Not all parts are there.
    #[error("{count} of {of} parts missing: {shards}")]
    Missing {
        /// How many.
        count: usize,
        /// How many there should be.
        of: u64,
        /// The first of them.
        shards: String,
    },
    /// A part ends early.
    #[error("{file}: is not complete; the same command with --resume continues it")]
    Torn {
        /// The file.
        file: String,
    },
    /// Something stands where a run should.
    #[error("{file}: line {line}: {found}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        found: String,
    },
}

/// How a file holds its runs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Layout {
    /// CSV with one line for each run.
    Rows(Schema),
    /// CSV with any number of lines for each run.
    Details,
    /// JSON with one line for each run.
    JsonLines,
}

/// The run that a line is of.
pub fn run_of(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(b"{\"run\":").unwrap_or(line);
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let ends = matches!(rest.get(digits), Some(b','));
    std::str::from_utf8(&rest[..digits]).ok().filter(|_| ends)?.parse().ok()
}

/// One file that is being read.
#[derive(Debug)]
pub struct Part<R> {
    file: String,
    reader: R,
    /// The newest line that was not used yet; empty at the end.
    line: Vec<u8>,
    /// Its number, from 1.
    number: u64,
}

impl<R: BufRead> Part<R> {
    /// A file and its name for messages.
    pub fn new(file: String, reader: R) -> Part<R> {
        Part { file, reader, line: Vec::new(), number: 0 }
    }

    fn advance(&mut self) -> Result<(), MergeError> {
        self.line.clear();
        self.number += 1;
        let read = self.reader.read_until(b'\n', &mut self.line);
        read.map_err(|source| MergeError::Read { file: self.file.clone(), source })?;
        Ok(())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.line).unwrap_or("")
    }

    fn wrong(&self, found: &str) -> MergeError {
        MergeError::Line { file: self.file.clone(), line: self.number, found: found.to_owned() }
    }
}

/// Parts that make a whole.
#[derive(Debug)]
pub struct Merge<R> {
    /// In the order of their shards.
    parts: Vec<Part<R>>,
    /// None, if it is a single file that was never divided.
    mark: Option<PartMark>,
    layout: Layout,
    header: Vec<u8>,
}

impl Merge<BufReader<File>> {
    /// As [`Merge::open`], with the files at these paths.
    ///
    /// # Errors
    /// If a file cannot be read, or they do not make a whole.
    pub fn open_files(paths: &[PathBuf]) -> Result<Merge<BufReader<File>>, MergeError> {
        let open = |path: &PathBuf| {
            let file = printable(&path.to_string_lossy());
            match File::open(path) {
                Ok(opened) => Ok(Part::new(file, BufReader::new(opened))),
                Err(source) => Err(MergeError::Read { file, source }),
            }
        };
        Merge::open(paths.iter().map(open).collect::<Result<_, _>>()?)
    }
}

impl<R: BufRead> Merge<R> {
    /// Looks at the beginning of each file: whether together they are all parts of one sweep. A file that is a whole
    /// sweep may stand alone.
    ///
    /// # Errors
    /// If they are not.
    pub fn open(mut parts: Vec<Part<R>>) -> Result<Merge<R>, MergeError> {
        let alone = parts.len() == 1;
        let mut marks: Vec<(PartMark, usize)> = Vec::new();
        for (place, part) in parts.iter_mut().enumerate() {
            part.advance()?;
            match PartMark::read(part.text()) {
                Some(mark) => {
                    marks.push((mark, place));
                    part.advance()?;
                }
                None if alone => {}
                None => return Err(MergeError::NoPart { file: part.file.clone() }),
            }
        }
        check_marks(&parts, &marks)?;
        let mark = marks.first().map(|(mark, _)| *mark);
        let mut layouts = Vec::new();
        for part in &mut parts {
            layouts.push(layout(part)?);
        }
        if let Some(place) = layouts.iter().position(|layout| *layout != layouts[0]) {
            let (file, other) = (parts[place].file.clone(), parts[0].file.clone());
            return Err(MergeError::Stranger { file, other, why: "it has other columns".to_owned() });
        }
        let (layout, header) = layouts.swap_remove(0);
        marks.sort_by_key(|(mark, _)| mark.shard);
        let mut parts: Vec<Option<Part<R>>> = parts.into_iter().map(Some).collect();
        let parts = match mark {
            Some(_) => marks.iter().filter_map(|(_, place)| parts[*place].take()).collect(),
            None => parts.into_iter().flatten().collect(),
        };
        Ok(Merge { parts, mark, layout, header })
    }

    /// What the rows have in common; none if the files hold no rows as CSV.
    pub fn schema(&self) -> Option<&Schema> {
        match &self.layout {
            Layout::Rows(schema) => Some(schema),
            Layout::Details | Layout::JsonLines => None,
        }
    }

    /// Writes the whole, and adds each row up in `digest`, which is one of [`Merge::schema`].
    ///
    /// # Errors
    /// If a file is not what its beginning says, or the result cannot be written.
    pub fn write(self, out: &mut impl Write, digest: Option<&mut Digest>) -> Result<(), MergeError> {
        let Some((schema, digest)) = self.schema().cloned().zip(digest) else {
            return self.write_lines(out, |_| Ok(()));
        };
        let mut rows = 0;
        self.write_lines(out, |line| {
            rows += 1;
            let record = read_line(line).ok_or("is not a line of CSV")?;
            digest.add(&schema.read_csv(&record, rows).map_err(|error| error.to_string())?);
            Ok(())
        })?;
        digest.finish();
        Ok(())
    }

    /// As [`Merge::write`], to a file that is whole or not there.
    ///
    /// # Errors
    /// If a file is not what its beginning says, or the result cannot be written. What was there before stays.
    pub fn write_file(self, path: &Path, digest: Option<&mut Digest>) -> Result<(), MergeError> {
        let mut refused = None;
        let written = write_whole(path, |out| match self.write(out, digest) {
            Ok(()) => Ok(()),
            Err(MergeError::Write(source)) => Err(source),
            Err(error) => {
                refused = Some(error);
                Err(io::ErrorKind::InvalidData.into())
            }
        });
        match refused {
            Some(error) => Err(error),
            None => Ok(written?),
        }
    }

    /// Writes the whole, and shows each line of a run to `watch`.
    fn write_lines(
        mut self,
        out: &mut impl Write,
        mut watch: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), MergeError> {
        out.write_all(&self.header)?;
        let parts = self.parts.len() as u64;
        let mut run = 0;
        while self.mark.is_none_or(|mark| run < mark.runs) {
            let part = &mut self.parts[(run % parts) as usize];
            let mut lines = 0;
            while run_of(&part.line) == Some(run) && part.line.ends_with(b"\n") {
                watch(&part.line).map_err(|found| part.wrong(&found))?;
                out.write_all(&part.line)?;
                part.advance()?;
                lines += 1;
            }
            if self.mark.is_none() && part.line.is_empty() {
                return Ok(());
            }
            if self.layout != Layout::Details && lines != 1 {
                return Err(part.unexpected(run, lines));
            }
            let Some(next) = run.checked_add(1) else { break };
            run = next;
            if self.mark.is_none() && run_of(&part.line).is_none_or(|next| next < run) {
                return Err(part.unexpected(run, 0));
            }
            if lines == 0 {
                // A file may say that there are more runs than a number can count.
                let due = self.parts.iter().filter_map(|part| run_of(&part.line)).filter(|next| *next >= run).min();
                let Some(due) = due else { break };
                run = due;
            }
        }
        for part in &mut self.parts {
            part.finish()?;
        }
        Ok(())
    }
}

impl<R: BufRead> Part<R> {
    /// What stands where a run should.
    fn unexpected(&self, run: u64, lines: u64) -> MergeError {
        if lines > 1 {
            // The newest line is the one after them.
            let found = format!("run {run} is there {lines} times");
            return MergeError::Line { file: self.file.clone(), line: self.number - 1, found };
        }
        if self.line.is_empty() || !self.line.ends_with(b"\n") || self.text().starts_with(SIGN) {
            return MergeError::Torn { file: self.file.clone() };
        }
        match run_of(&self.line) {
            Some(found) => self.wrong(&format!("there is run {found} where run {run} should be")),
            None => self.wrong(&format!("there is no run where run {run} should be")),
        }
    }

    /// There must be the last line, and nothing after it.
    fn finish(&mut self) -> Result<(), MergeError> {
        let ends = self.text().strip_prefix(SIGN).is_some_and(|rest| rest.starts_with("end of part "));
        match (ends && self.line.ends_with(b"\n"), run_of(&self.line)) {
            (true, _) => {
                self.advance()?;
                if self.line.is_empty() { Ok(()) } else { Err(self.wrong("there is more after the end")) }
            }
            (false, Some(run)) if self.line.ends_with(b"\n") => {
                Err(self.wrong(&format!("there is run {run} after the last one")))
            }
            (false, _) => Err(MergeError::Torn { file: self.file.clone() }),
        }
    }
}

/// Whether they are all parts of one sweep, each once.
fn check_marks<R>(parts: &[Part<R>], marks: &[(PartMark, usize)]) -> Result<(), MergeError> {
    let Some(&(first, _)) = marks.first() else { return Ok(()) };
    let file = |place: usize| parts[place].file.clone();
    for (nth, &(mark, place)) in marks.iter().enumerate() {
        if (mark.sweep, mark.runs) != (first.sweep, first.runs) {
            let why = format!("it is of sweep {:016x}, the other one of sweep {:016x}", mark.sweep, first.sweep);
            return Err(MergeError::Stranger { file: file(place), other: file(marks[0].1), why });
        }
        if mark.shard.count != first.shard.count {
            let why = format!("it is part {}, the other one part {}", mark.shard, first.shard);
            return Err(MergeError::Stranger { file: file(place), other: file(marks[0].1), why });
        }
        if let Some(&(_, other)) = marks[..nth].iter().find(|(other, _)| other.shard == mark.shard) {
            return Err(MergeError::Twice { file: file(place), other: file(other), shard: mark.shard });
        }
    }
    let count = first.shard.count;
    let there: std::collections::BTreeSet<u64> = marks.iter().map(|(mark, _)| mark.shard.index).collect();
    let missing: Vec<String> =
        (0..count).filter(|index| !there.contains(index)).map(|index| Shard { index, count }.to_string()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let more = if missing.len() > 10 { ", ..." } else { "" };
    let shards = missing.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ") + more;
    Err(MergeError::Missing { count: missing.len(), of: count, shards })
}

/// How the file holds its runs, and its header if it has one. The newest line is the first run's then.
fn layout<R: BufRead>(part: &mut Part<R>) -> Result<(Layout, Vec<u8>), MergeError> {
    // A part without a run has its last line there.
    if part.line.starts_with(b"{\"run\":") || part.text().starts_with(SIGN) {
        return Ok((Layout::JsonLines, Vec::new()));
    }
    if !part.line.starts_with(b"run,scenario,") || !part.line.ends_with(b"\n") {
        return Err(MergeError::NoPart { file: part.file.clone() });
    }
    let header = part.line.clone();
    part.advance()?;
    let record = read_line(&header);
    let schema = record.and_then(|record| Schema::read_header(&record).ok());
    Ok((schema.map_or(Layout::Details, Layout::Rows), header))
}

/// A line of CSV.
pub fn read_line(line: &[u8]) -> Option<csv::StringRecord> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).buffer_capacity(1_024).from_reader(line);
    let mut record = csv::StringRecord::new();
    reader.read_record(&mut record).ok().filter(|found| *found).map(|_| record)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a sweep of seven runs writes, for this shard of it, with this many lines for each run.
    fn part(shard: Shard, lines: impl Fn(u64) -> u64) -> String {
        let mark = PartMark { shard, runs: 7, sweep: 0xabc };
        let mut text = format!("{mark}run,scenario,x\n");
        for nth in 0..shard.share(7) {
            let run = shard.run(nth);
            for line in 0..lines(run) {
                text += &format!("{run},s,{line}\n");
            }
        }
        text + &mark.end()
    }

    fn whole(lines: impl Fn(u64) -> u64) -> String {
        let runs = (0..7).flat_map(|run| (0..lines(run)).map(move |line| format!("{run},s,{line}\n")));
        "run,scenario,x\n".to_owned() + &runs.collect::<String>()
    }

    fn merged(texts: &[&str]) -> Result<String, String> {
        let parts =
            texts.iter().enumerate().map(|(i, text)| Part::new(format!("p{}", i + 1), text.as_bytes())).collect();
        let mut out = Vec::new();
        let merge = Merge::open(parts).map_err(|error| error.to_string())?;
        assert_eq!(merge.layout, Layout::Details);
        merge.write(&mut out, None).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn shard(text: &str) -> Shard {
        text.parse().unwrap()
    }

    #[test]
    fn shards_share_the_runs_and_none_is_left_over() {
        for (runs, count) in [(7, 3), (6, 3), (2, 5), (0, 2), (100, 1)] {
            let mut all: Vec<u64> = (0..count)
                .map(|index| Shard::new(index, count).unwrap())
                .flat_map(|shard| (0..shard.share(runs)).map(move |nth| shard.run(nth)))
                .collect();
            all.sort_unstable();
            assert_eq!(all, (0..runs).collect::<Vec<_>>(), "{runs} {count}");
        }
        assert_eq!(shard("3/8").to_string(), "3/8");
        for text in ["0/8", "9/8", "1/0", "3", "a/b", "-1/2", "1/100001", "1/2/3", ""] {
            assert_eq!(text.parse::<Shard>(), Err(ShardError), "{text}");
        }
    }

    #[test]
    fn all_parts_make_the_whole_in_whatever_order_they_are_named() {
        for lines in [|_| 1, |run| run % 3, |_| 0] {
            let parts = ["1/3", "2/3", "3/3"].map(|text| part(shard(text), lines));
            for order in [[0, 1, 2], [2, 0, 1]] {
                assert_eq!(merged(&order.map(|place| parts[place].as_str())), Ok(whole(lines)));
            }
        }
        let (one, many) = (part(Shard::WHOLE, |_| 2), (1..=9).map(|i| part(Shard::new(i - 1, 9).unwrap(), |_| 2)));
        assert_eq!(merged(&[&one]), Ok(whole(|_| 2)));
        let many: Vec<String> = many.collect();
        assert_eq!(merged(&many.iter().map(String::as_str).collect::<Vec<_>>()), Ok(whole(|_| 2)));
        assert_eq!(merged(&[&whole(|_| 1)]), Ok(whole(|_| 1)), "a file that was never divided");
    }

    #[test]
    fn parts_that_make_no_whole_are_refused_and_named() {
        let [one, two, three] = ["1/3", "2/3", "3/3"].map(|text| part(shard(text), |_| 1));
        let refused = |texts: &[&str]| merged(texts).unwrap_err();
        assert_eq!(refused(&[&one, &three]), "1 of 3 parts missing: 2/3");
        assert_eq!(refused(&[&one, &two, &one]), "p3: is part 1/3, and so is p1");
        assert_eq!(
            refused(&[&one, "run,scenario,x\n", &three]),
            "p2: is not a part of a sweep, as `seedbed sweep --shard` writes it"
        );
        let other = two.replace("abc", "abd");
        assert!(
            refused(&[&one, &other, &three]).starts_with("p2: does not belong to p1: it is of sweep 0000000000000abd")
        );
        let half = part(shard("2/2"), |_| 1);
        assert_eq!(refused(&[&one, &half]), "p2: does not belong to p1: it is part 2/2, the other one part 1/3");
        let columns = two.replace("scenario,x", "scenario,y");
        assert_eq!(refused(&[&one, &columns, &three]), "p2: does not belong to p1: it has other columns");
        for torn in [two.replace("#seedbed end of part 2/3\n", ""), two.trim_end().to_owned()] {
            assert_eq!(
                refused(&[&one, &torn, &three]),
                "p2: is not complete; the same command with --resume continues it"
            );
        }
        let more = two.clone() + "8,s,0\n";
        assert_eq!(refused(&[&one, &more, &three]), "p2: line 6: there is more after the end");
        let strange = two.replace("4,s,0", "5,s,0");
        let back = part(Shard::WHOLE, |_| 1).replace("6,s,0", "3,s,0");
        assert_eq!(refused(&[&back]), "p1: line 9: there is run 3 after the last one");
        assert_eq!(refused(&[&one, &strange, &three]), "p2: line 4: there is run 5 after the last one");
    }

    #[test]
    fn runs_without_lines_take_no_time() {
        let most = u64::MAX;
        let alone = format!("run,scenario,x\n5,s,0\n{most},s,0\n");
        assert_eq!(merged(&[&alone]), Ok(alone.clone()), "a file that was never divided");
        let texts = [1, 2].map(|place| {
            let mark = format!("#seedbed part {place}/2 of {most} runs of sweep 0000000000000abc\n");
            let line = if place == 1 { format!("{},s,0\n", most - 1) } else { String::new() };
            format!("{mark}run,scenario,x\n{line}#seedbed end of part {place}/2\n")
        });
        assert_eq!(merged(&texts.each_ref().map(String::as_str)), Ok(format!("run,scenario,x\n{},s,0\n", most - 1)));
    }

    #[test]
    fn the_run_of_a_line_is_its_first_number() {
        for (line, run) in [
            ("17,crash-3\n", Some(17)),
            ("{\"run\":4,\"scenario\"", Some(4)),
            ("run,scenario", None),
            ("#seedbed", None),
            ("", None),
            ("17", None),
            ("-1,", None),
        ] {
            assert_eq!(run_of(line.as_bytes()), run, "{line}");
        }
    }
}
