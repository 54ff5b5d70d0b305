//! What changes files by their names, and who may use them: mkdir(2), rename(2), unlink(2), chmod(2), chown(2) and their
//! kin. The kernel does them. What is changed outside the program's folder is told, because later runs find it; and
//! what programs have in common with the machine, the device behind their output, stays as it is.

use std::os::fd::RawFd;
use std::path::{Component, Path, PathBuf};

use super::{Answer, Call, DONE, PROCEED, fail};

/// Where the kernel's own files are: nothing of a program's stays there. What is below `/dev/shm` does.
const NO_FILES: [&str; 3] = ["/dev", "/proc", "/memfd:"];

/// A path in place 0: mkdir, rmdir, unlink, truncate, mknod.
pub fn at_first(call: &mut Call<'_>) -> Answer {
    change(call, &[(None, 0)])
}

/// A descriptor of a folder in place 0, and a path: mkdirat, unlinkat, mknodat.
pub fn at_folder(call: &mut Call<'_>) -> Answer {
    change(call, &[(Some(0), 1)])
}

/// The new name is in place 1: symlink, link. So is that of rename, whose old one is in place 0.
pub fn at_both(call: &mut Call<'_>) -> Answer {
    change(call, &[(None, 0), (None, 1)])
}

/// symlink: only the second path is one that is made.
pub fn at_second(call: &mut Call<'_>) -> Answer {
    change(call, &[(None, 1)])
}

/// symlinkat.
pub fn at_second_folder(call: &mut Call<'_>) -> Answer {
    change(call, &[(Some(1), 2)])
}

/// Two folders, each with a path: renameat, renameat2, linkat.
pub fn at_both_folders(call: &mut Call<'_>) -> Answer {
    change(call, &[(Some(0), 1), (Some(2), 3)])
}

/// Lets the kernel make the call, and notes what it has changed: paths in these places, from these folders.
fn change(call: &mut Call<'_>, places: &[(Option<usize>, usize)]) -> Answer {
    let path = |call: &Call<'_>, &(folder, place): &(Option<usize>, usize)| {
        let text = call.tid().text(call.args[place]).ok()?;
        let folder = folder.map_or(libc::AT_FDCWD, |place| call.fd(place));
        Some((folder, text))
    };
    let changed: Vec<(RawFd, Vec<u8>)> = places.iter().filter_map(|place| path(call, place)).collect();
    if call.complete()? >= 0 {
        for (folder, text) in changed {
            note_name(call, folder, &text);
        }
    }
    PROCEED
}

/// A file of this name, from this folder, was changed.
fn note_name(call: &mut Call<'_>, folder: RawFd, name: &[u8]) {
    use std::os::unix::ffi::OsStrExt as _;
    let name = Path::new(std::ffi::OsStr::from_bytes(name));
    let pid = call.process().pid.0;
    let from = match folder {
        _ if name.is_absolute() => PathBuf::new(),
        libc::AT_FDCWD => std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default(),
        fd => std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap_or_default(),
    };
    note(call, plain(&from.join(name)));
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts
}

/// A file was written to.
pub fn note_if_outside(call: &mut Call<'_>, fd: RawFd) {
    let pid = call.process().pid.0;
    if let Ok(path) = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")) {
        note(call, path);
    }
}

fn note(call: &mut Call<'_>, path: PathBuf) {
    let is_own = path.starts_with(&call.host.folder)
        || NO_FILES.iter().any(|own| path.to_string_lossy().starts_with(own)) && !path.starts_with("/dev/shm");
    if !is_own && !call.host.written_outside.contains(&path) {
        call.host.written_outside.push(path);
    }
}

/// Who may use an open file. The device that standard output leads to belongs to the machine.
pub fn fchmod(call: &mut Call<'_>) -> Answer {
    if is_device(call) { fail(libc::EPERM) } else { PROCEED }
}

/// fchmodat2: it may be about an open file, too.
pub fn fchmodat2(call: &mut Call<'_>) -> Answer {
    if call.int(3) & libc::AT_EMPTY_PATH != 0 { fchmod(call) } else { PROCEED }
}

/// A file may be given to its own user only: chown, lchown.
pub fn chown(call: &mut Call<'_>) -> Answer {
    if is_own(call.int(1), call.int(2)) { PROCEED } else { fail(libc::EPERM) }
}

/// The same of an open file.
pub fn fchown(call: &mut Call<'_>) -> Answer {
    if is_own(call.int(1), call.int(2)) && !is_device(call) { PROCEED } else { fail(libc::EPERM) }
}

/// fchownat.
pub fn fchownat(call: &mut Call<'_>) -> Answer {
    let is_open = call.int(4) & libc::AT_EMPTY_PATH != 0;
    if is_own(call.int(2), call.int(3)) && !(is_open && is_device(call)) { PROCEED } else { fail(libc::EPERM) }
}

/// A process may become its own user only: setuid, setgid, setreuid and their kin.
pub fn become_user(call: &mut Call<'_>) -> Answer {
    let count = match call.number as i64 {
        libc::SYS_setuid | libc::SYS_setgid => 1,
        libc::SYS_setreuid | libc::SYS_setregid => 2,
        _ => 3,
    };
    let groups = [libc::SYS_setgid, libc::SYS_setregid, libc::SYS_setresgid].contains(&(call.number as i64));
    let is_same = |number| if groups { is_own(-1, number) } else { is_own(number, -1) };
    if (0..count).all(|place| is_same(call.int(place))) { DONE } else { fail(libc::EPERM) }
}

/// Whether a descriptor leads to anything but a file or a folder.
fn is_device(call: &mut Call<'_>) -> bool {
    let fd = call.fd(0);
    let Some(copy) = call.process().copy(fd) else { return false };
    // SAFETY: a structure of numbers, for which zeros are valid.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is live.
    let is_known = unsafe { libc::fstat(copy, &mut status) } == 0;
    !(is_known && matches!(status.st_mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFDIR))
}

/// Whether these are a process's own user and group, or -1, which changes nothing. Programs are run by the user who runs
/// the simulation.
fn is_own(user: i32, group: i32) -> bool {
    // SAFETY: both have no arguments.
    let own = unsafe { (libc::geteuid() as i32, libc::getegid() as i32) };
    [-1, own.0].contains(&user) && [-1, own.1].contains(&group)
}

/// The output that a path names: standard output and error have names in `/dev` and `/proc`.
pub fn output_of_name(call: &mut Call<'_>, path: &[u8]) -> Option<crate::print::Output> {
    let path = std::str::from_utf8(path).ok()?;
    let fd = match path {
        "/dev/stdout" => 1,
        "/dev/stderr" => 2,
        _ => {
            let folders = ["/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"];
            folders.iter().find_map(|folder| path.strip_prefix(folder))?.parse().ok()?
        }
    };
    call.process().descriptors.outputs.get(&fd).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_resolved_by_its_text() {
        for (path, expected) in [("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/../x", "/x"), ("/a/b/../../c/", "/c")] {
            assert_eq!(plain(Path::new(path)), Path::new(expected));
        }
    }
}
