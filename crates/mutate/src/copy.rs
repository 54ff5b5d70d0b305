//! A copy of the workspace that has mutants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::Error;
use crate::judgements::{Judgement, Judgements};
use crate::population::Project;
use crate::sample::{Alike, Drawn, Population};
use crate::scripts::cargo;
use crate::splice::Spliced;

/// The list in the sources that the mutants of a copy are written into.
const LIST: &str = "pub const DRAWN: &[DrawnMutant] = &[];";

/// The file of the sources that has it.
const LIST_FILE: &str = "mutation.rs";

/// The file of a copy that says which mutants it has.
const SAMPLE_FILE: &str = "mutants.json";

/// Which mutants a copy is to have.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// Some that are drawn.
    Drawn {
        /// The seed of the draw.
        seed: u64,
        /// How many.
        count: usize,
    },
    /// Those of another copy, perhaps of other sources.
    Like(&'a [Drawn]),
}

/// A sample, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Which mutants.
    pub wanted: Wanted<'a>,
    /// The folder of the judgements.
    pub judgements: &'a Path,
}

/// What a copy has.
#[derive(Debug)]
pub struct Made {
    /// The mutants.
    pub sample: Vec<Drawn>,
    /// Judgements of mutants that were drawn once and are not in the sample.
    pub astray: Vec<String>,
    /// Mutants of the other copy that this one does not have, each with the reason.
    pub missing: Vec<String>,
}

/// Copies a workspace, with mutants. A file that is there already and is the same is left alone, so that cargo compiles
/// only what has changed. `progress` is told what happens.
///
/// # Errors
/// If files cannot be read or written, if too few mutants compile, or if the workspace itself does not.
pub fn make(
    root: &Path,
    project: &Project,
    choice: Choice<'_>,
    output: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<Made, Error> {
    let population = Population::read(root, project)?;
    let judgements = match choice.wanted {
        Wanted::Drawn { seed, .. } => Judgements::read(choice.judgements, seed)?,
        Wanted::Like(_) => Judgements::read_all(choice.judgements)?,
    };
    fs::create_dir_all(output).map_err(Error::file(output))?;
    let output = &fs::canonicalize(output).map_err(Error::file(output))?;
    claim(root, output)?;
    let sources = output.join(project.sources);
    let mut written: Vec<PathBuf> = Vec::new();
    let mut kept = BTreeSet::new();
    sync(root, output, output, &mut kept)?;
    remove_others(output, &kept)?;
    let mut put = |files: &BTreeMap<&str, Spliced>| -> Result<(), Error> {
        for path in written.drain(..) {
            let original =
                fs::read(root.join(path.strip_prefix(output).unwrap_or(&path))).map_err(Error::file(&path))?;
            write_new(&path, &original)?;
        }
        for (file, spliced) in files {
            let path = sources.join(file);
            write_new(&path, spliced.text.as_bytes())?;
            written.push(path);
        }
        Ok(())
    };
    let check = |files: &BTreeMap<&str, Spliced>| {
        put(files)?;
        let broken = check(output, project, files)?;
        progress(&match broken.len() {
            0 => "all others compile".to_owned(),
            some => format!("{some} do not compile"),
        });
        Ok(broken)
    };
    let Alike { chosen, missing } = match choice.wanted {
        Wanted::Drawn { seed, count } => Alike { chosen: population.choose(seed, count, check)?, missing: Vec::new() },
        Wanted::Like(others) => population.like(others, check)?,
    };
    put(&population.write(&chosen))?;
    let sample = population.describe(&chosen, &judgements);
    write_list(&sources.join(LIST_FILE), &sample)?;
    let path = output.join(SAMPLE_FILE);
    let text = serde_json::to_string_pretty(&sample).map_err(|source| Error::Json { path: path.clone(), source })?;
    write_new(&path, text.as_bytes())?;
    let astray = match choice.wanted {
        Wanted::Drawn { .. } => judgements.astray(&sample),
        // They are judgements of all samples.
        Wanted::Like(_) => Vec::new(),
    };
    Ok(Made { sample, astray, missing })
}

/// Makes sure that a folder is empty or a copy: what else is in it would be removed. It is marked as a copy from now on.
fn claim(root: &Path, output: &Path) -> Result<(), Error> {
    let root = fs::canonicalize(root).map_err(Error::file(root))?;
    let marker = output.join(SAMPLE_FILE);
    let is_empty = fs::read_dir(output).map_err(Error::file(output))?.next().is_none();
    // Other tools have files of this name, too.
    if root.starts_with(output) || !(is_empty || read_sample(&marker).is_ok()) {
        return Err(Error::Taken { path: output.to_owned() });
    }
    if is_empty { write_new(&marker, b"[]") } else { Ok(()) }
}

/// The mutants of a copy.
///
/// # Errors
/// If the folder is no copy.
pub fn sample(copy: &Path) -> Result<Vec<Drawn>, Error> {
    read_sample(&copy.join(SAMPLE_FILE))
}

/// The mutants that a file of a copy lists.
///
/// # Errors
/// If it does not, or two of them have the same number.
pub fn read_sample(path: &Path) -> Result<Vec<Drawn>, Error> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    let sample: Vec<Drawn> =
        serde_json::from_str(&text).map_err(|source| Error::Json { path: path.to_owned(), source })?;
    let mut numbers = BTreeSet::new();
    match sample.iter().find(|drawn| drawn.number == 0 || !numbers.insert(drawn.number)) {
        Some(&Drawn { number, .. }) => Err(Error::Number { path: path.to_owned(), number }),
        None => Ok(sample),
    }
}

/// Copies what differs, without the results of builds, hidden files and the copy itself.
fn sync(from: &Path, to: &Path, output: &Path, kept: &mut BTreeSet<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(from).map_err(Error::file(from))? {
        let path = entry.map_err(Error::file(from))?.path();
        let name = path.file_name().unwrap_or_default();
        let target = to.join(name);
        let is_built = path.join("CACHEDIR.TAG").exists() || name == "target";
        if name.to_string_lossy().starts_with('.')
            || is_built
            || fs::canonicalize(&path).is_ok_and(|path| path == output)
        {
            continue;
        }
        kept.insert(target.clone());
        if path.is_dir() {
            fs::create_dir_all(&target).map_err(Error::file(&target))?;
            sync(&path, &target, output, kept)?;
        } else {
            let new = fs::read(&path).map_err(Error::file(&path))?;
            if fs::read(&target).ok().as_ref() != Some(&new) {
                // With its permissions: some are programs.
                fs::copy(&path, &target).map_err(Error::file(&target))?;
            }
        }
    }
    Ok(())
}

/// Removes files that the workspace no longer has.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = entry.map_err(Error::file(folder))?.path();
        let name = path.file_name().unwrap_or_default();
        if name == "target" || name == SAMPLE_FILE || name.to_string_lossy().starts_with('.') {
            continue;
        }
        match (kept.contains(&path), path.is_dir()) {
            (true, true) => remove_others(&path, kept)?,
            (true, false) => {}
            (false, true) => fs::remove_dir_all(&path).map_err(Error::file(&path))?,
            (false, false) => fs::remove_file(&path).map_err(Error::file(&path))?,
        }
    }
    Ok(())
}

/// Writes a file if it is different.
fn write_new(path: &Path, text: &[u8]) -> Result<(), Error> {
    match fs::read(path) {
        Ok(old) if old == text => Ok(()),
        _ => fs::write(path, text).map_err(Error::file(path)),
    }
}

/// Fills the list of mutants.
fn write_list(path: &Path, sample: &[Drawn]) -> Result<(), Error> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    if !text.contains(LIST) {
        return Err(Error::NoList { path: path.to_owned(), line: LIST });
    }
    let mut list = String::from("pub const DRAWN: &[DrawnMutant] = &[\n");
    for drawn in sample {
        let judgement = match &drawn.judgement {
            None => "Judgement::None".to_owned(),
            Some(Judgement::Equivalent(reason)) => format!("Judgement::Equivalent({reason:?})"),
            Some(Judgement::Invisible(reason)) => format!("Judgement::Invisible({reason:?})"),
            Some(Judgement::Script(test)) => format!("Judgement::Script({test:?})"),
        };
        let (number, name, place) = (drawn.number, drawn.name(), drawn.place());
        let (function, change) = (&drawn.function, &drawn.change);
        let _ = writeln!(
            list,
            "    DrawnMutant {{ number: {number}, name: {name:?}, place: {place:?}, function: {function:?}, change: {change:?}, judgement: {judgement} }},"
        );
    }
    write_new(path, text.replace(LIST, &(list + "];")).as_bytes())
}

/// Compiles the copy and returns the numbers of the mutants that do not.
fn check(copy: &Path, project: &Project, files: &BTreeMap<&str, Spliced>) -> Result<BTreeSet<u32>, Error> {
    let mut command = Command::new(cargo());
    command.current_dir(copy).args(["check", "--message-format=json", "--quiet"]).args(project.check);
    // The copy has its own results, whatever those of the workspace are kept in.
    command.env_remove("CARGO_TARGET_DIR");
    let output = command.output().map_err(Error::file(copy))?;
    let (mut broken, mut others) = (BTreeSet::new(), String::new());
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(Line { message: Some(message) }) = serde_json::from_str::<Line>(line) else { continue };
        if message.level != "error" || message.spans.is_empty() {
            continue;
        }
        let about = message.about(project, files);
        if about.is_empty() {
            others += &message.rendered.unwrap_or_default();
        }
        broken.extend(about);
    }
    if broken.is_empty() && !output.status.success() {
        return Err(Error::Build(others + &String::from_utf8_lossy(&output.stderr)));
    }
    Ok(broken)
}

/// A line of cargo's output.
#[derive(Deserialize)]
struct Line {
    message: Option<Message>,
}

/// A message of the compiler.
#[derive(Deserialize)]
struct Message {
    level: String,
    spans: Vec<Place>,
    rendered: Option<String>,
}

/// A place in a source file that a message is about.
#[derive(Deserialize)]
struct Place {
    file_name: String,
    byte_start: usize,
    byte_end: usize,
    is_primary: bool,
}

impl Message {
    /// The mutants that it is about: those at its primary places, or else at any other.
    fn about(&self, project: &Project, files: &BTreeMap<&str, Spliced>) -> BTreeSet<u32> {
        let at = |is_primary: bool| -> BTreeSet<u32> {
            let places = self.spans.iter().filter(|place| place.is_primary == is_primary);
            places.flat_map(|place| place.about(project, files)).collect()
        };
        let primary = at(true);
        if primary.is_empty() { at(false) } else { primary }
    }
}

impl Place {
    fn about(&self, project: &Project, files: &BTreeMap<&str, Spliced>) -> Vec<u32> {
        let range: Range<usize> = self.byte_start..self.byte_end;
        let is_here = |(file, _): &(&&str, &Spliced)| {
            self.file_name == format!("{}/{file}", project.sources) || self.file_name == format!("src/{file}")
        };
        files.iter().find(is_here).map_or_else(Vec::new, |(_, spliced)| spliced.about(&range))
    }
}

/// The error of a folder that should be a workspace.
///
/// # Errors
/// If it is none.
pub fn workspace(root: &Path) -> Result<PathBuf, Error> {
    let path = root.join("Cargo.toml");
    match path.is_file() {
        true => fs::canonicalize(root).map_err(Error::file(root)),
        false => Err(Error::File { path, source: io::Error::from(io::ErrorKind::NotFound) }),
    }
}
