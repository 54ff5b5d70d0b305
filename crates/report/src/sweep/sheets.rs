//! The files that grow with a sweep: rows, JSON lines and details of runs.
//!
//! A file is written as `NAME.part` and gets its name when it is whole. After an interrupt or a loss of power, a later
//! attempt can continue it after its last whole run.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::{SweepError, unwritable};
use crate::rows::{Details, Key, PartMark, Schema, Shard, run_of};
use seedbed_core::files::{behind_links, is_special};

/// What a sheet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CSV with a row for each run.
    Rows,
    /// The same rows as lines of JSON.
    Json,
    /// CSV with any number of lines for each run.
    Details(Details),
}

/// One file, or the sweep's stream.
#[derive(Debug)]
pub(super) struct Sheet {
    pub kind: Kind,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Stream,
    File {
        path: PathBuf,
        part: PathBuf,
        out: BufWriter<File>,
    },
    /// A device or a pipe, which is written to and not replaced.
    Special {
        path: PathBuf,
        out: BufWriter<File>,
    },
}

/// What stands at the beginning and the end of all sheets of a sweep.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub schema: Schema,
    /// The lines of a part's own; none if the sweep is not divided.
    pub mark: Option<PartMark>,
    pub shard: Shard,
    /// How many runs the sheets get.
    pub runs: u64,
}

impl Frame {
    /// What stands before the first run.
    fn start(&self, kind: Kind) -> Vec<u8> {
        let mut start = self.mark.map(|mark| mark.to_string()).unwrap_or_default().into_bytes();
        match kind {
            Kind::Rows => start.extend(self.schema.csv_header()),
            Kind::Json => {}
            Kind::Details(details) => start.extend(details.csv_header(&self.schema)),
        }
        start
    }

    fn end(&self) -> String {
        self.mark.map(|mark| mark.end()).unwrap_or_default()
    }
}

/// The name of a sheet's file until it is whole. If a link leads to the file, it is beside the file and not the link:
/// the disk that the link leads to is the one with the room.
pub fn part_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(behind_links(path));
    name.push(".part");
    PathBuf::from(name)
}

/// No other process may write to the file while this one does. Where the system knows no locks, all may.
fn lock(file: &File, path: &Path) -> Result<(), SweepError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(SweepError::InUse { path: path.to_owned() }),
        _ => Ok(()),
    }
}

impl Sheet {
    /// A new file; `-` is the stream. With `force`, it replaces the unfinished file of an earlier attempt.
    pub fn create(
        kind: Kind,
        path: &Path,
        frame: &Frame,
        force: bool,
        stream: &mut dyn Write,
    ) -> Result<Sheet, SweepError> {
        let start = frame.start(kind);
        if path == Path::new("-") {
            stream.write_all(&start).map_err(SweepError::Stream)?;
            return Ok(Sheet { kind, place: Place::Stream });
        }
        let part = part_of(path);
        if path.is_dir() {
            return Err(unwritable(path)(io::ErrorKind::IsADirectory.into()));
        }
        if is_special(path) {
            let file = File::options().write(true).open(path).map_err(unwritable(path))?;
            let mut sheet = Sheet { kind, place: Place::Special { path: path.to_owned(), out: BufWriter::new(file) } };
            sheet.write(&start, stream)?;
            return Ok(sheet);
        }
        let file = match File::create_new(&part) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => reopen(&part, force)?,
            created => {
                let file = created.map_err(unwritable(path))?;
                lock(&file, &part)?;
                file
            }
        };
        let mut sheet = Sheet { kind, place: Place::File { path: path.to_owned(), part, out: BufWriter::new(file) } };
        sheet.write(&start, stream)?;
        Ok(sheet)
    }

    /// Writes the lines of the next run.
    pub fn write(&mut self, lines: &[u8], stream: &mut dyn Write) -> Result<(), SweepError> {
        match &mut self.place {
            Place::Stream => stream.write_all(lines).map_err(SweepError::Stream),
            Place::File { path, out, .. } | Place::Special { path, out } => {
                out.write_all(lines).map_err(unwritable(path))
            }
        }
    }

    /// Hands everything so far to the system, so that an interrupt loses nothing.
    pub fn flush(&mut self) -> Result<(), SweepError> {
        match &mut self.place {
            Place::Stream => Ok(()),
            Place::File { path, out, .. } | Place::Special { path, out } => out.flush().map_err(unwritable(path)),
        }
    }

    /// All runs are written: the file is whole.
    pub fn finish(mut self, frame: &Frame, stream: &mut dyn Write) -> Result<(), SweepError> {
        self.write(frame.end().as_bytes(), stream)?;
        self.flush()?;
        match self.place {
            Place::File { path, part, out } => {
                // First the content, then the name: after a loss of power there is no empty file of this name.
                let synced = out.get_ref().sync_all();
                synced.and_then(|()| fs::rename(&part, behind_links(&path))).map_err(unwritable(&path))
            }
            Place::Stream | Place::Special { .. } => Ok(()),
        }
    }

    /// Takes the file away again, before anything was written that is worth keeping.
    pub fn discard(self) {
        if let Place::File { part, .. } = self.place {
            // If it cannot be removed, it stays.
            let _ = fs::remove_file(part);
        }
    }
}

/// An unfinished file that is there already, emptied. If another process still writes it, that is what is wrong, and not
/// that it is there.
fn reopen(part: &Path, force: bool) -> Result<File, SweepError> {
    let file = File::options().write(true).open(part).map_err(unwritable(part))?;
    lock(&file, part)?;
    if !force {
        return Err(SweepError::PartThere { path: part.to_owned() });
    }
    file.set_len(0).map_err(unwritable(part))?;
    Ok(file)
}

/// Refuses to replace the whole file of another sweep, which may have taken hours. `key` knows the runs of this sweep by
/// their place in it. The file of the same sweep may be replaced: it is the same again, or what this program makes of it.
pub(super) fn check_replaced(
    kind: Kind,
    path: &Path,
    frame: &Frame,
    key: impl Fn(u64) -> Key,
) -> Result<(), SweepError> {
    if !path.is_file() || !is_of_a_sweep(path) {
        return Ok(());
    }
    let other = || SweepError::OtherSweep { path: path.to_owned() };
    let mut last = None;
    let whole = scan(kind, path, frame, |nth, _, line| {
        let start = match kind {
            Kind::Rows | Kind::Details(_) => frame.schema.csv_start(&key(nth)),
            Kind::Json => frame.schema.json_start(&key(nth)),
        };
        last = Some(nth);
        if line.starts_with(&start) { Ok(()) } else { Err(other()) }
    });
    match whole {
        // Details have no lines for some runs.
        Ok(_) if matches!(kind, Kind::Details(_)) || last.map_or(0, |nth| nth + 1) == frame.runs => Ok(()),
        Err(error @ SweepError::Unreadable { .. }) => Err(error),
        Ok(_) | Err(_) => Err(other()),
    }
}

/// Whether a file begins as one of those that a sweep writes.
fn is_of_a_sweep(path: &Path) -> bool {
    let mut start = [0; 32];
    let length = File::open(path).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    [&b"#seedbed part "[..], b"run,scenario,", b"{\"run\":"].iter().any(|sign| start[..length].starts_with(sign))
}

/// A file of an earlier attempt at the same sweep.
#[derive(Debug)]
pub(super) struct Earlier {
    kind: Kind,
    path: PathBuf,
    /// Where it is: under its own name if it was whole.
    found: PathBuf,
    /// How many runs are in it as a whole.
    pub runs: u64,
}

impl Earlier {
    /// Looks for what an earlier attempt left of a file; none if there is nothing. Reads all of it, and checks that it
    /// belongs to this sweep.
    pub fn find(kind: Kind, path: &Path, frame: &Frame) -> Result<Option<Earlier>, SweepError> {
        if path == Path::new("-") || is_special(path) {
            let problem = "it keeps nothing of an earlier attempt; allowed is a file".to_owned();
            return Err(SweepError::Resume { path: path.to_owned(), problem });
        }
        let part = part_of(path);
        if let Ok(file) = File::open(&part) {
            // What another process writes is not there to be read.
            lock(&file, &part)?;
        }
        let found = match (part.exists(), path.exists()) {
            (true, _) => part,
            (false, true) => path.to_owned(),
            (false, false) => return Ok(None),
        };
        let mut runs = 0;
        scan(kind, &found, frame, |nth, _, _| {
            runs = match kind {
                // The lines of this run may not all be there.
                Kind::Details(_) => nth,
                Kind::Rows | Kind::Json => nth + 1,
            };
            Ok(())
        })?;
        if found == path {
            // It has its name, so it is whole.
            if !matches!(kind, Kind::Details(_)) && runs != frame.runs {
                let problem = format!("it has {runs} runs, this sweep {}", frame.runs);
                return Err(SweepError::Resume { path: found, problem });
            }
            runs = frame.runs;
        }
        Ok(Some(Earlier { kind, path: path.to_owned(), found, runs }))
    }

    /// Reads the lines of this many runs, from the first.
    pub fn read(
        &self,
        frame: &Frame,
        runs: u64,
        mut line: impl FnMut(u64, &[u8]) -> Result<(), SweepError>,
    ) -> Result<(), SweepError> {
        let read =
            scan(self.kind, &self.found, frame, |nth, _, text| if nth < runs { line(nth, text) } else { Ok(()) });
        read.map(drop)
    }

    /// Continues the file after this many runs; what comes after them is cut off.
    pub fn resume(self, frame: &Frame, runs: u64) -> Result<Sheet, SweepError> {
        let mut end = None;
        let whole = scan(self.kind, &self.found, frame, |nth, place, _| {
            if nth >= runs && end.is_none() {
                end = Some(place);
            }
            Ok(())
        })?;
        let Earlier { kind, path, found, .. } = self;
        let part = part_of(&path);
        let mut file = File::options().write(true).open(&found).map_err(unwritable(&path))?;
        lock(&file, &found)?;
        let mut cut = || {
            // First the name, then the content: nothing that is cut off has the name of a whole file.
            if found != part {
                fs::rename(behind_links(&found), &part)?;
            }
            match end.unwrap_or(whole) {
                // Not even the beginning was whole.
                0 => {
                    file.set_len(0)?;
                    file.write_all(&frame.start(kind))?;
                }
                end => {
                    file.set_len(end)?;
                    file.seek(SeekFrom::Start(end))?;
                }
            }
            Ok(())
        };
        cut().map_err(unwritable(&path))?;
        Ok(Sheet { kind, place: Place::File { path, part, out: BufWriter::new(file) } })
    }

    /// Whether the file is whole and has its name.
    pub fn is_done(&self) -> bool {
        self.found == self.path
    }
}

/// Reads a file line by line: for each whole line of a run, the run's place in this sweep, where the line begins, and
/// the line. Returns where the last of them ends. A torn last line is not shown, and the line that ends a part is not
/// either.
fn scan(
    kind: Kind,
    path: &Path,
    frame: &Frame,
    mut line: impl FnMut(u64, u64, &[u8]) -> Result<(), SweepError>,
) -> Result<u64, SweepError> {
    let unreadable = |source| SweepError::Unreadable { path: path.to_owned(), source };
    let wrong = |problem: String| SweepError::Resume { path: path.to_owned(), problem };
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let start = frame.start(kind);
    let mut found = Vec::new();
    reader.by_ref().take(start.len() as u64).read_to_end(&mut found).map_err(unreadable)?;
    if !start.starts_with(&found) {
        return Err(wrong("it is of another sweep, or of another version of seedbed".to_owned()));
    }
    if found.len() < start.len() {
        return Ok(0);
    }
    let (mut place, mut next, mut text) = (start.len() as u64, 0, Vec::new());
    loop {
        text.clear();
        let length = reader.read_until(b'\n', &mut text).map_err(unreadable)? as u64;
        if !text.ends_with(b"\n") || (text == frame.end().as_bytes() && next <= frame.runs) {
            return Ok(place);
        }
        // The run whose line it is, counted in this part of the sweep.
        let nth = run_of(&text).and_then(|run| frame.shard.nth(run)).filter(|nth| *nth < frame.runs);
        let is_due = |nth: &u64| match kind {
            Kind::Rows | Kind::Json => *nth == next,
            Kind::Details(_) => *nth + 1 >= next,
        };
        let Some(nth) = nth.filter(is_due) else {
            return Err(wrong(format!("line {} of its runs is of none that is due there", next + 1)));
        };
        line(nth, place, &text)?;
        next = nth + 1;
        place += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Columns;

    const RUNS: u64 = 7;

    fn frame(shard: &str) -> Frame {
        let shard: Shard = shard.parse().unwrap();
        let mark = (shard != Shard::WHOLE).then_some(PartMark { shard, runs: RUNS, sweep: 1 });
        Frame {
            schema: Schema { names: vec!["drops".to_owned()], columns: Columns::of::<&str>([]) },
            mark,
            shard,
            runs: shard.share(RUNS),
        }
    }

    /// The lines of a run: run 2 has no details, and others some.
    fn lines(kind: Kind, run: u64) -> Vec<u8> {
        let count = if matches!(kind, Kind::Details(_)) { (run + 1) % 3 } else { 1 };
        let start = if kind == Kind::Json { "{\"run\":" } else { "" };
        (0..count).map(|line| format!("{start}{run},x{line}\n")).collect::<String>().into_bytes()
    }

    fn write(mut sheet: Sheet, frame: &Frame, from: u64) -> Result<(), SweepError> {
        let mut stream = io::sink();
        for nth in from..frame.runs {
            sheet.write(&lines(sheet.kind, frame.shard.run(nth)), &mut stream)?;
        }
        sheet.finish(frame, &mut stream)
    }

    #[test]
    fn whatever_is_left_of_a_file_is_gone_on_with_to_the_same_bytes() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("x.csv");
        let kinds = [Kind::Rows, Kind::Json, Kind::Details(Details::Messages), Kind::Details(Details::Latencies)];
        for (kind, frame) in kinds.into_iter().flat_map(|kind| ["1/1", "2/3"].map(|shard| (kind, frame(shard)))) {
            write(Sheet::create(kind, &path, &frame, false, &mut io::sink()).unwrap(), &frame, 0).unwrap();
            let whole = fs::read(&path).unwrap();
            assert!(Earlier::find(kind, &path, &frame).unwrap().is_some_and(|earlier| earlier.is_done()));
            fs::remove_file(&path).unwrap();
            for length in 0..=whole.len() {
                fs::write(part_of(&path), &whole[..length]).unwrap();
                let earlier = Earlier::find(kind, &path, &frame).unwrap().expect("a part");
                assert!(!earlier.is_done() && earlier.runs <= frame.runs);
                let runs = earlier.runs;
                let mut read = Vec::new();
                earlier
                    .read(&frame, runs, |_, line| {
                        read.extend_from_slice(line);
                        Ok(())
                    })
                    .unwrap();
                let expected: Vec<u8> = (0..runs).flat_map(|nth| lines(kind, frame.shard.run(nth))).collect();
                assert_eq!(read, expected, "{kind:?} {length}");
                // Another file may have less.
                let from = runs / 2;
                write(earlier.resume(&frame, from).unwrap(), &frame, from).unwrap();
                assert_eq!(fs::read(&path).unwrap(), whole, "{kind:?} {length}");
                assert!(!part_of(&path).exists());
                fs::remove_file(&path).unwrap();
            }
        }
    }

    #[test]
    fn what_is_of_another_sweep_is_left_alone() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let (path, frame) = (folder.path().join("x.csv"), frame("1/1"));
        let header = String::from_utf8(frame.schema.csv_header()).unwrap();
        for text in [
            "a,b,c\n".to_owned(),
            format!("{header}1,x\n"),
            format!("{header}0,x\n2,x\n"),
            format!("{header}0,x\nwhat\n"),
        ] {
            fs::write(part_of(&path), &text).unwrap();
            assert!(matches!(Earlier::find(Kind::Rows, &path, &frame), Err(SweepError::Resume { .. })), "{text}");
            assert_eq!(fs::read_to_string(part_of(&path)).unwrap(), text);
            assert!(matches!(
                Sheet::create(Kind::Rows, &path, &frame, false, &mut io::sink()),
                Err(SweepError::PartThere { .. })
            ));
        }
        fs::remove_file(part_of(&path)).unwrap();
        fs::write(&path, format!("{header}0,x\n")).unwrap();
        let error = Earlier::find(Kind::Rows, &path, &frame).unwrap_err().to_string();
        assert!(error.contains("cannot be resumed: it has 1 runs, this sweep 7"), "{error}");
        assert!(Earlier::find(Kind::Rows, &folder.path().join("y.csv"), &frame).unwrap().is_none());
        // Of a new attempt and an old file, the attempt is gone on with.
        fs::write(part_of(&path), format!("{header}0,x\n1,x\n")).unwrap();
        let earlier = Earlier::find(Kind::Rows, &path, &frame).unwrap().expect("a part");
        assert!(!earlier.is_done() && earlier.runs == 2);
    }

    #[test]
    fn a_file_that_is_being_written_is_nobody_elses() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let (path, frame) = (folder.path().join("x.csv"), frame("1/1"));
        let sheet = Sheet::create(Kind::Rows, &path, &frame, false, &mut io::sink()).unwrap();
        let resume =
            || Earlier::find(Kind::Rows, &path, &frame).and_then(|found| found.expect("a part").resume(&frame, 0));
        assert!(matches!(resume(), Err(SweepError::InUse { .. })));
        for force in [false, true] {
            let another = Sheet::create(Kind::Rows, &path, &frame, force, &mut io::sink());
            assert!(matches!(another, Err(SweepError::InUse { .. })), "it is in use, not left over");
        }
        drop(sheet);
        write(resume().unwrap(), &frame, 0).unwrap();
    }
}
