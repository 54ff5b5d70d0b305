//! Files: open(2), stat(2), statx(2), getdents64(2), readlink(2), statfs(2). The kernel does them. What could differ
//! between runs is changed afterwards: the times and numbers of files that were made during the run, the order of
//! directories, the space that is left. Files of the kernel's own about the machine and its processes are replaced
//! ([`proc`](super::proc)).

use std::os::fd::{AsRawFd, RawFd};

use super::proc::{self, Shown};
use super::{Answer, Call, Errno, PROCEED, fail};
use crate::host::Host;
use crate::instructions::is_searched_library;
use crate::model::WALL_START;
use crate::process::own_path;
use crate::tracee::{Address, BELOW_STACK};

const SECOND: u64 = 1_000_000_000;

/// The numbers of files that were made during the run, as programs see them, begin here.
const FIRST_INODE: u64 = 1_000;

pub fn open(call: &mut Call<'_>) -> Answer {
    let flags = call.args[1];
    opened(call, 0, flags)
}

pub fn openat(call: &mut Call<'_>) -> Answer {
    let flags = call.args[2];
    opened(call, 1, flags)
}

fn opened(call: &mut Call<'_>, place: usize, flags: u64) -> Answer {
    let path = call.tid().text(call.args[place])?;
    if path.starts_with(b"/tmp/hsperfdata") {
        // A file by which Java virtual machines tell each other of themselves. They do without.
        return fail(libc::EACCES);
    }
    match proc::shown(call, &path) {
        Shown::AsItIs => {}
        Shown::Missing => return fail(libc::ENOENT),
        Shown::Elsewhere(real) => return open_instead(call, place, &real),
        Shown::Text(text) => {
            let file = proc::file_of(&text).map_err(|_| Errno(libc::ENFILE))?;
            return open_instead(call, place, &own_path(file.as_raw_fd()));
        }
    }
    if is_searched_library(&path) {
        let fd = call.complete()?;
        if fd >= 0 {
            call.process().descriptors.libraries.insert(fd as RawFd);
        }
        return PROCEED;
    }
    const WRITES: u64 = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u64;
    if flags & WRITES != 0 {
        let fd = call.complete()?;
        if fd >= 0 {
            note_if_outside(call, fd as RawFd);
        }
    }
    PROCEED
}

/// Opens another file in place of the one that is asked for. Its name is in the program's memory only meanwhile.
fn open_instead(call: &mut Call<'_>, place: usize, path: &str) -> Answer {
    let tid = call.tid();
    let text = format!("{path}\0");
    let address = tid.registers()?.rsp.wrapping_sub(BELOW_STACK);
    let before = tid.bytes(address, text.len())?;
    tid.write(address, text.as_bytes())?;
    call.set_arg(place, address)?;
    call.complete()?;
    tid.write(address, &before)?;
    PROCEED
}

/// A program that writes outside its folder changes what later runs find.
fn note_if_outside(call: &mut Call<'_>, fd: RawFd) {
    let pid = call.process().pid.0;
    let Ok(path) = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")) else { return };
    let is_own = path.starts_with(&call.host.folder)
        || ["/dev", "/proc", "/memfd:"].iter().any(|own| path.to_string_lossy().starts_with(own));
    if !is_own && !call.host.written_outside.contains(&path) {
        call.host.written_outside.push(path);
    }
}

/// stat, lstat and fstat.
pub fn stat(call: &mut Call<'_>) -> Answer {
    fixed_stat(call, 1)
}

pub fn newfstatat(call: &mut Call<'_>) -> Answer {
    fixed_stat(call, 2)
}

/// Where a structure has what may differ.
struct Layout {
    device: u64,
    /// The device is two numbers of four bytes.
    is_split: bool,
    inode: u64,
    size: u64,
    blocks: u64,
    /// Where its times begin, 16 bytes each; how many there are; which of them is that of the last change.
    times: u64,
    count: u64,
    change: u64,
}

/// `struct stat`.
const STAT: Layout =
    Layout { device: 0, is_split: false, inode: 8, size: 48, blocks: 64, times: 72, count: 3, change: 2 };

/// `struct statx`.
const STATX: Layout =
    Layout { device: 136, is_split: true, inode: 32, size: 40, blocks: 48, times: 64, count: 4, change: 2 };

fn fixed_stat(call: &mut Call<'_>, place: usize) -> Answer {
    if call.complete()? == 0 {
        fix(call, call.args[place], &STAT)?;
    }
    PROCEED
}

pub fn statx(call: &mut Call<'_>) -> Answer {
    if call.complete()? == 0 {
        fix(call, call.args[4], &STATX)?;
    }
    PROCEED
}

/// Times during the run become the present of the host, and files that were changed during the run get numbers in the
/// order in which they are first asked about.
fn fix(call: &mut Call<'_>, address: Address, layout: &Layout) -> Result<(), Errno> {
    let tid = call.tid();
    let is_recent = |seconds: u64, rest: u64| {
        seconds.saturating_mul(SECOND).saturating_add(rest & 0xFFFF_FFFF) >= call.host.real_start
    };
    let now = WALL_START + call.now();
    let mut changed_now = false;
    for number in 0..layout.count {
        let place = address + layout.times + 16 * number;
        let [seconds, rest] = tid.read_words(place)?;
        if is_recent(seconds, rest) {
            changed_now |= number == layout.change;
            tid.write_words(place, &[now / SECOND, now % SECOND])?;
        }
    }
    if changed_now {
        let device = tid.read_u64(address + layout.device)?;
        let device = if layout.is_split { libc::makedev(device as u32, (device >> 32) as u32) } else { device };
        let inode = call.host.shown_inode(device, tid.read_u64(address + layout.inode)?);
        tid.write_words(address + layout.inode, &[inode])?;
        // When a file system gives blocks to a file is its own affair.
        let size = tid.read_u64(address + layout.size)?;
        tid.write_words(address + layout.blocks, &[size.div_ceil(512)])?;
    }
    Ok(())
}

impl Host {
    /// The number that programs see of a file that was made during the run.
    fn shown_inode(&mut self, device: u64, inode: u64) -> u64 {
        let next = FIRST_INODE + self.inodes.len() as u64;
        *self.inodes.entry((device, inode)).or_insert(next)
    }
}

/// getdents64: entries in the order of their names. (The order of a directory is that of a table of hashes, whose seed
/// each file system draws.)
pub fn getdents64(call: &mut Call<'_>) -> Answer {
    let length = call.complete()?;
    if length > 0 {
        let mut entries = call.tid().bytes(call.args[1], length as usize)?;
        let device = device_of_new_directory(call);
        sort_entries(&mut entries, |inode| device.map_or(inode, |device| call.host.shown_inode(device, inode)));
        call.tid().write(call.args[1], &entries)?;
    }
    PROCEED
}

/// The device of a directory that was changed during the run.
fn device_of_new_directory(call: &mut Call<'_>) -> Option<u64> {
    let fd = call.fd(0);
    let copy = call.process().copy(fd)?;
    // SAFETY: a structure of numbers, for which zeros are valid.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is live.
    if unsafe { libc::fstat(copy, &mut status) } != 0 {
        return None;
    }
    let changed = status.st_ctime as u64 * SECOND + status.st_ctime_nsec as u64;
    (changed >= call.host.real_start).then_some(status.st_dev)
}

/// Sorts entries of `struct linux_dirent64`: number (8 bytes), place (8), length (2), type (1), name.
fn sort_entries(bytes: &mut [u8], mut shown: impl FnMut(u64) -> u64) {
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut places: Vec<[u8; 8]> = Vec::new();
    let mut rest = &*bytes;
    while rest.len() > 19 {
        let length = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
        if length < 19 || length > rest.len() {
            return;
        }
        entries.push(rest[..length].to_vec());
        places.push(rest[8..16].try_into().expect("eight bytes"));
        rest = &rest[length..];
    }
    let name = |entry: &Vec<u8>| entry[19..].split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
    entries.sort_by_key(name);
    let mut start = 0;
    for (mut entry, place) in entries.into_iter().zip(places) {
        let inode = shown(u64::from_le_bytes(entry[..8].try_into().expect("eight bytes")));
        entry[..8].copy_from_slice(&inode.to_le_bytes());
        // By which place the program goes on after an entry stays what it was.
        entry[8..16].copy_from_slice(&place);
        bytes[start..start + entry.len()].copy_from_slice(&entry);
        start += entry.len();
    }
}

/// Where a link leads: `/proc/self` to a process's real number.
pub fn readlink(call: &mut Call<'_>) -> Answer {
    linked(call, 0)
}

pub fn readlinkat(call: &mut Call<'_>) -> Answer {
    linked(call, 1)
}

fn linked(call: &mut Call<'_>, place: usize) -> Answer {
    let path = call.tid().text(call.args[place])?;
    let shown = match &path[..] {
        b"/proc/self" => call.process().shown.to_string(),
        b"/proc/thread-self" => {
            let (process, thread) = (call.process().shown, call.host.thread(call.key).shown);
            format!("{process}/task/{thread}")
        }
        _ => return PROCEED,
    };
    let room = call.args[place + 2] as usize;
    let text = &shown.as_bytes()[..shown.len().min(room)];
    call.tid().write(call.args[place + 1], text)?;
    super::returns(text.len() as i64)
}

/// statfs and fstatfs: half of the space is free.
pub fn statfs(call: &mut Call<'_>) -> Answer {
    if call.complete()? == 0 {
        let address = call.args[1];
        let [blocks, _, _, files, _] = call.tid().read_words(address + 16)?;
        call.tid().write_words(address + 24, &[blocks / 2, blocks / 2, files, files / 2])?;
    }
    PROCEED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(inode: u64, place: u64, name: &str) -> Vec<u8> {
        let length = (19 + name.len() + 1).next_multiple_of(8);
        let mut entry = Vec::new();
        entry.extend(inode.to_le_bytes());
        entry.extend(place.to_le_bytes());
        entry.extend((length as u16).to_le_bytes());
        entry.push(8);
        entry.extend(name.as_bytes());
        entry.resize(length, 0);
        entry
    }

    #[test]
    fn a_directory_is_sorted_by_name_and_its_places_stay_where_they_were() {
        let mut bytes = [entry(7, 100, "long-name-of-a-file"), entry(8, 200, "b"), entry(9, 300, "a")].concat();
        sort_entries(&mut bytes, |inode| inode + 1);
        let expected = [entry(10, 100, "a"), entry(9, 200, "b"), entry(8, 300, "long-name-of-a-file")].concat();
        assert_eq!(bytes, expected);
        // What the kernel never writes is left alone.
        let mut odd = vec![1; 40];
        sort_entries(&mut odd, |inode| inode);
        assert_eq!(odd, [1; 40]);
    }
}
