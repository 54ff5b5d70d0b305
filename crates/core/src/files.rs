//! Files that are written whole, or not at all.
//!
//! A file is written under another name beside its own, and renamed when it is whole. After a full disk or an error,
//! the old content is still there. A link stays a link, and the file that it leads to is replaced. Devices and pipes
//! are written in place, and so is a file in a folder where no file can be created.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

/// Writes a file under another name first, so that the file is whole or absent.
///
/// # Errors
/// If anything cannot be written. The old content stays.
pub fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut dyn Write>) -> io::Result<()>,
) -> io::Result<()> {
    if probe(path)? == Way::InPlace {
        let mut file = File::options().write(true).open(path)?;
        empty(&file)?;
        let mut out: BufWriter<&mut dyn Write> = BufWriter::new(&mut file);
        return write(&mut out).and_then(|()| out.flush());
    }
    let mut unfinished = Unfinished::create(path)?;
    let mut out: BufWriter<&mut dyn Write> = BufWriter::new(&mut unfinished);
    write(&mut out).and_then(|()| out.flush())?;
    drop(out);
    unfinished.finish()
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Under another name first; then the new file replaces the old one.
    Replace,
    /// Where it is.
    InPlace,
}

/// Whether and how [`write_whole`] can write this file, as far as that is known before.
///
/// # Errors
/// If it cannot.
pub fn probe(path: &Path) -> io::Result<Way> {
    if path == Path::new("-") || is_stdout(path) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this cannot be standard output; allowed is a file"));
    }
    if path.is_dir() || path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if is_special(path) {
        // Opening a pipe would wait for its reader.
        return Ok(Way::InPlace);
    }
    let is_there = path.exists();
    if is_there {
        File::options().write(true).open(path)?;
    }
    match Unfinished::create(path) {
        Ok(_) => Ok(Way::Replace),
        Err(error) if is_there && error.kind() == io::ErrorKind::PermissionDenied => Ok(Way::InPlace),
        Err(error) => Err(error),
    }
}

/// Whether it is there and neither a file nor a folder: a device or a pipe.
pub fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Whether standard output is redirected to this file.
pub fn is_stdout(path: &Path) -> bool {
    let Ok(stdout) = rustix::fs::fstat(io::stdout()) else { return false };
    fs::metadata(path).is_ok_and(|file| file.is_file() && (file.dev(), file.ino()) == (stdout.st_dev, stdout.st_ino))
}

/// The most links that are followed on a path, as in the system.
const LINKS_MAX: usize = 40;

/// Whether two paths lead to one place, however they are written: also if they are two names of one file. A file that
/// does not exist yet is compared by its folder and name.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        let path = behind_links(path);
        let named = |folder: PathBuf| path.file_name().map(|name| folder.join(name));
        path.canonicalize().ok().or_else(|| named(folder(&path).canonicalize().ok()?))
    };
    let file = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    one == other
        || (place(one).is_some() && place(one) == place(other))
        || (file(one).is_some() && file(one) == file(other))
}

/// The file that a path leads to if it is a link, whether that file is there or not.
pub fn behind_links(path: &Path) -> PathBuf {
    let mut place = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&place) {
            Ok(target) => place = folder(&place).join(target),
            Err(_) => break,
        }
    }
    place
}

/// The folder that a file is in.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that replaces another one once it is whole; otherwise it is removed.
#[derive(Debug)]
pub struct Unfinished {
    path: PathBuf,
    file: File,
    /// The path of the file that it replaces or will become.
    place: PathBuf,
    /// In a panic the unfinished file replaces the old one: a trace shows what led to the panic.
    is_kept_in_a_panic: bool,
    is_finished: bool,
}

impl Unfinished {
    /// Creates one in the folder of the file that it will become.
    ///
    /// # Errors
    /// If no file can be created in the folder.
    pub fn create(path: &Path) -> io::Result<Unfinished> {
        let place = behind_links(path);
        let mut number = 1_u64;
        loop {
            let path = folder(&place).join(unfinished_name(&place, number));
            match File::create_new(&path) {
                Ok(file) => {
                    return Ok(Unfinished { path, file, place, is_kept_in_a_panic: false, is_finished: false });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// From now on, if there is a panic, the unfinished file replaces the old one.
    pub fn keep_in_a_panic(&mut self) {
        self.is_kept_in_a_panic = true;
    }

    /// The file is whole: it replaces the other file and takes on its permissions.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn finish(mut self) -> io::Result<()> {
        if let Ok(old) = fs::metadata(&self.place) {
            // If that is refused, it keeps the permissions of a new file.
            let _ = self.file.set_permissions(old.permissions());
        }
        match fs::rename(&self.path, &self.place) {
            // A file that is mounted by itself, as into a container, cannot be replaced.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                fs::copy(&self.path, &self.place)?;
                fs::remove_file(&self.path)?;
            }
            renamed => renamed?,
        }
        self.is_finished = true;
        Ok(())
    }
}

/// As in `.trace.jsonl.unfinished`: the name of a file that a killed command left says what it belongs to.
fn unfinished_name(place: &Path, number: u64) -> OsString {
    let mut name = OsString::from(".");
    name.push(place.file_name().unwrap_or_default());
    name.push(".unfinished");
    if number > 1 {
        name.push(format!("-{number}"));
    }
    name
}

/// Truncates a file that is about to be written in place. Devices and pipes have no length.
///
/// # Errors
/// If the system refuses it.
pub fn empty(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // An error here cannot be handled: the file then stays under its temporary name.
        let _ = match (self.is_finished, self.is_kept_in_a_panic && thread::panicking()) {
            (true, _) => Ok(()),
            (false, true) => fs::rename(&self.path, &self.place),
            (false, false) => fs::remove_file(&self.path),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The names in a folder, in order.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_link_stays_a_link_whether_it_leads_to_a_file_or_not() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let within = |name: &str| folder.path().join(name);
        fs::create_dir(within("disk")).expect("a folder");
        symlink("disk/rows", within("middle")).expect("a link");
        symlink("middle", within("link")).expect("a link");
        for text in ["first", "second"] {
            write_whole(&within("link"), |out| out.write_all(text.as_bytes())).expect("room");
            assert_eq!(fs::read_to_string(within("disk/rows")).expect("a file"), text);
            assert!(within("link").is_symlink() && within("middle").is_symlink());
        }
        assert!(is_same(&within("link"), &within("disk/rows")));
        assert_eq!(probe(&within("none/")).map_err(|error| error.kind()), Err(io::ErrorKind::IsADirectory));
        symlink("circle", within("circle")).expect("a link");
        assert!(probe(&within("circle")).is_err() || behind_links(&within("circle")).is_symlink());
    }

    #[test]
    fn a_file_left_by_a_killed_command_names_the_file_that_it_should_become() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("trace.jsonl");
        let first = Unfinished::create(&path).expect("room");
        let _second = Unfinished::create(&path).expect("room");
        assert_eq!(names(folder.path()), [".trace.jsonl.unfinished", ".trace.jsonl.unfinished-2"]);
        drop(first);
        assert_eq!(names(folder.path()), [".trace.jsonl.unfinished-2"]);
    }

    #[test]
    fn a_replacement_has_the_permissions_of_the_replaced_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("x");
        fs::write(&path, "old").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it is ours");
        write_whole(&path, |out| out.write_all(b"new")).expect("room");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o640);
    }
}
