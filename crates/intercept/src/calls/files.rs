//! Files: open(2), stat(2), statx(2), access(2), getdents64(2), readlink(2), statfs(2), mincore(2). The kernel does them.
//! What could differ between runs is changed afterwards: the times and numbers of files that were made during the run,
//! the numbers of devices, the order of directories, the space that is left. Files of the kernel's own about the machine
//! and its processes are replaced ([`proc`](super::proc)).

use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use super::proc::{self, Shown};
use super::{Answer, Call, Errno, PROCEED, changes, fail};
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

/// creat: open for writing, by an older name.
pub fn creat(call: &mut Call<'_>) -> Answer {
    opened(call, 0, libc::O_WRONLY as u64)
}

fn opened(call: &mut Call<'_>, place: usize, flags: u64) -> Answer {
    let path = call.tid().text(call.args[place])?;
    if path.starts_with(b"/tmp/hsperfdata") {
        // A file by which Java virtual machines tell each other of themselves. They do without.
        return fail(libc::EACCES);
    }
    if let Some(output) = changes::output_of_name(call, &path) {
        let fd = call.complete()?;
        if fd >= 0 {
            call.process().descriptors.outputs.insert(fd as RawFd, output);
        }
        return PROCEED;
    }
    match proc::shown(call, &path) {
        Shown::AsItIs => {}
        Shown::Missing | Shown::Closed(_) => return fail(libc::ENOENT),
        Shown::Elsewhere(real) => {
            complete_at(call, place, &real)?;
            return PROCEED;
        }
        Shown::Text(text) => {
            let file = proc::file_of(&text).map_err(|_| Errno(libc::ENFILE))?;
            complete_at(call, place, &own_path(file.as_raw_fd()))?;
            return PROCEED;
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
            changes::note_if_outside(call, fd as RawFd);
        }
    }
    PROCEED
}

/// Has the kernel make a call on another file than the one that is named. The other name is in the program's memory only
/// meanwhile. Returns what the call has returned.
fn complete_at(call: &mut Call<'_>, place: usize, path: &str) -> Result<i64, Errno> {
    let tid = call.tid();
    let text = format!("{path}\0");
    let address = tid.registers()?.rsp.wrapping_sub(BELOW_STACK);
    let before = tid.bytes(address, text.len())?;
    tid.write(address, text.as_bytes())?;
    call.set_arg(place, address)?;
    let result = call.complete()?;
    tid.write(address, &before)?;
    Ok(result)
}

/// Has the kernel make a call that asks about a file, or says that there is none. Returns what the call has returned.
fn complete_about(call: &mut Call<'_>, place: usize) -> Result<i64, Errno> {
    // Without a path, or with a bad one, the kernel says what is wrong.
    let path = call.tid().text(call.args[place]).unwrap_or_default();
    match proc::shown(call, &path) {
        Shown::Missing => Err(Errno(libc::ENOENT)),
        Shown::Elsewhere(real) | Shown::Closed(real) => complete_at(call, place, &real),
        Shown::AsItIs | Shown::Text(_) => call.complete(),
    }
}

pub fn access(call: &mut Call<'_>) -> Answer {
    complete_about(call, 0)?;
    PROCEED
}

/// Also faccessat2.
pub fn faccessat(call: &mut Call<'_>) -> Answer {
    complete_about(call, 1)?;
    PROCEED
}

/// Also lstat.
pub fn stat(call: &mut Call<'_>) -> Answer {
    if complete_about(call, 0)? == 0 {
        fix(call, call.args[1], &STAT)?;
    }
    PROCEED
}

pub fn fstat(call: &mut Call<'_>) -> Answer {
    if call.complete()? == 0 {
        fix(call, call.args[1], &STAT)?;
    }
    PROCEED
}

pub fn newfstatat(call: &mut Call<'_>) -> Answer {
    if complete_about(call, 1)? == 0 {
        fix(call, call.args[2], &STAT)?;
    }
    PROCEED
}

pub fn statx(call: &mut Call<'_>) -> Answer {
    if complete_about(call, 1)? == 0 {
        fix(call, call.args[4], &STATX)?;
    }
    PROCEED
}

/// Where a structure has what may differ.
struct Layout {
    length: usize,
    /// The device is one number of eight bytes, or two of four bytes.
    device: usize,
    is_split: bool,
    inode: usize,
    /// The number of links, of eight bytes or of four.
    links: usize,
    mode: usize,
    size: usize,
    blocks: usize,
    /// Its times, 16 bytes each: of the last access, of the last change of the content, of the file, and of its birth.
    times: &'static [usize],
    /// Which mount it is on.
    mount: Option<usize>,
}

/// `struct stat`.
const STAT: Layout = Layout {
    length: 144,
    device: 0,
    is_split: false,
    inode: 8,
    links: 16,
    mode: 24,
    size: 48,
    blocks: 64,
    times: &[72, 88, 104],
    mount: None,
};

/// `struct statx`.
const STATX: Layout = Layout {
    length: 152,
    device: 136,
    is_split: true,
    inode: 32,
    links: 16,
    mode: 28,
    size: 40,
    blocks: 48,
    times: &[64, 112, 96, 80],
    mount: Some(144),
};

/// What a system call has said of a file.
struct Status<'l> {
    bytes: Vec<u8>,
    layout: &'l Layout,
}

impl Status<'_> {
    fn number(&self, place: usize) -> u64 {
        u64::from_le_bytes(self.bytes[place..place + 8].try_into().expect("eight bytes"))
    }

    fn put(&mut self, place: usize, value: u64) {
        self.bytes[place..place + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn small(&self, place: usize) -> u32 {
        u32::from_le_bytes(self.bytes[place..place + 4].try_into().expect("four bytes"))
    }

    fn put_small(&mut self, place: usize, value: u32) {
        self.bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn mode(&self) -> u32 {
        u32::from(u16::from_le_bytes([self.bytes[self.layout.mode], self.bytes[self.layout.mode + 1]]))
    }

    fn device(&self) -> u64 {
        let place = self.layout.device;
        if self.layout.is_split { libc::makedev(self.small(place), self.small(place + 4)) } else { self.number(place) }
    }

    fn put_device(&mut self, device: u64) {
        let place = self.layout.device;
        if self.layout.is_split {
            self.put_small(place, libc::major(device));
            self.put_small(place + 4, libc::minor(device));
        } else {
            self.put(place, device);
        }
    }

    fn put_one_link(&mut self) {
        let place = self.layout.links;
        if self.layout.is_split { self.put_small(place, 1) } else { self.put(place, 1) }
    }

    /// A time, in nanoseconds since 1970.
    fn time(&self, which: usize) -> u64 {
        let place = self.layout.times[which];
        self.number(place).saturating_mul(SECOND).saturating_add(self.number(place + 8) & 0xFFFF_FFFF)
    }

    fn put_time(&mut self, which: usize, time: u64) {
        let place = self.layout.times[which];
        self.put(place, time / SECOND);
        self.put(place + 8, time % SECOND);
    }
}

/// Which of the times is that of the last access, of the last change of the content, and of the file.
const ACCESS: usize = 0;
const CONTENT: usize = 1;
const CHANGE: usize = 2;

/// The size of every directory.
const DIRECTORY_BYTES: u64 = 4_096;

/// What is told of a file that could differ between runs is made the same.
fn fix(call: &mut Call<'_>, address: Address, layout: &Layout) -> Result<(), Errno> {
    let tid = call.tid();
    let mut status = Status { bytes: tid.bytes(address, layout.length)?, layout };
    call.host.make_repeatable(&mut status);
    tid.write(address, &status.bytes)?;
    Ok(())
}

impl Host {
    /// - A file that was changed during the run: its times of the run become the present of the host, and it gets a number
    ///   in the order in which files are first asked about.
    /// - A directory that others may have changed, a device, a file of the kernel's own, and what has no name in any
    ///   directory: they have fixed times.
    /// - An older file: it was last read when it was last written. Reading it changes that, but not in every run
    ///   (`relatime`, mount(8)).
    fn make_repeatable(&mut self, status: &mut Status<'_>) {
        let (device, mode) = (status.device(), status.mode());
        let is_directory = mode & libc::S_IFMT == libc::S_IFDIR;
        let is_pseudo = is_pseudo(device, mode);
        let is_new = !is_pseudo && self.is_new(mode, status.time(CHANGE));
        if is_pseudo || is_new {
            let inode = self.shown_inode(device, status.number(status.layout.inode));
            status.put(status.layout.inode, inode);
        }
        for which in 0..status.layout.times.len() {
            if is_pseudo || is_directory && !is_new {
                status.put_time(which, WALL_START);
            } else if status.time(which) >= self.real_start {
                status.put_time(which, WALL_START + self.clock);
            }
        }
        if is_directory {
            status.put(status.layout.size, DIRECTORY_BYTES);
            status.put(status.layout.blocks, DIRECTORY_BYTES.div_ceil(512));
            if !is_new {
                // How many folders there are in it is not told: what others have made in `/tmp`, and each process in `/proc`.
                status.put_one_link();
            }
        } else if is_new {
            // When a file system gives blocks to a file is its own affair.
            status.put(status.layout.blocks, status.number(status.layout.size).div_ceil(512));
        } else {
            status.put_time(ACCESS, status.time(CONTENT));
        }
        let shown = self.shown_device(device);
        status.put_device(shown);
        if let Some(mount) = status.layout.mount {
            status.put(mount, 1);
        }
    }

    /// Whether a file was changed during the run. Folders that all users write to were, but not by the run alone.
    fn is_new(&self, mode: u32, change: u64) -> bool {
        let is_shared = mode & libc::S_IFMT == libc::S_IFDIR && mode & libc::S_ISVTX != 0;
        change >= self.real_start && !is_shared
    }

    /// The number that programs see of a file that was made during the run.
    pub(super) fn shown_inode(&mut self, device: u64, inode: u64) -> u64 {
        let next = FIRST_INODE + self.inodes.len() as u64;
        *self.inodes.entry((device, inode)).or_insert(next)
    }

    /// The number that programs see of a device that files are on. The kernel numbers most of them as they are mounted.
    pub(super) fn shown_device(&mut self, device: u64) -> u64 {
        let next = self.devices.len() as u32 + 1;
        let number = *self.devices.entry(device).or_insert(next);
        libc::makedev(DISK, number)
    }
}

/// The kind of device that file systems seem to be on: a disk (`Documentation/admin-guide/devices.txt` of the kernel).
const DISK: u32 = 8;

/// Whether the kernel makes a file up: it is in `/proc` or `/sys`, a device, a pipe, a socket, or it is in no directory at
/// all, as an event counter.
fn is_pseudo(device: u64, mode: u32) -> bool {
    static DEVICES: OnceLock<[Option<u64>; 2]> = OnceLock::new();
    let devices = DEVICES.get_or_init(|| ["/proc", "/sys"].map(|path| Some(std::fs::metadata(path).ok()?.dev())));
    let kind = mode & libc::S_IFMT;
    devices.contains(&Some(device))
        || matches!(kind, 0 | libc::S_IFCHR | libc::S_IFBLK | libc::S_IFIFO | libc::S_IFSOCK)
}

/// getdents64: entries in the order of their names. (The order of a directory is that of a table of hashes, whose seed
/// each file system draws.)
pub fn getdents64(call: &mut Call<'_>) -> Answer {
    let length = call.complete()?;
    if length > 0 {
        let mut entries = call.tid().bytes(call.args[1], length as usize)?;
        let device = device_of_own_directory(call);
        sort_entries(&mut entries, |inode| device.map_or(inode, |device| call.host.shown_inode(device, inode)));
        call.tid().write(call.args[1], &entries)?;
    }
    PROCEED
}

/// The device of a directory whose files have numbers of the run's own.
fn device_of_own_directory(call: &mut Call<'_>) -> Option<u64> {
    let fd = call.fd(0);
    let copy = call.process().copy(fd)?;
    // SAFETY: a structure of numbers, for which zeros are valid.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is live.
    if unsafe { libc::fstat(copy, &mut status) } != 0 {
        return None;
    }
    let changed = status.st_ctime as u64 * SECOND + status.st_ctime_nsec as u64;
    let is_own = is_pseudo(status.st_dev, status.st_mode) || call.host.is_new(status.st_mode, changed);
    is_own.then_some(status.st_dev)
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

/// Where a link leads: `/proc/self` to a process's real number, a descriptor to the kernel's number of a pipe.
pub fn readlink(call: &mut Call<'_>) -> Answer {
    linked(call, 0)
}

pub fn readlinkat(call: &mut Call<'_>) -> Answer {
    linked(call, 1)
}

fn linked(call: &mut Call<'_>, place: usize) -> Answer {
    let path = call.tid().text(call.args[place]).unwrap_or_default();
    let shown = match &path[..] {
        b"/proc/self" => call.process().shown.to_string(),
        b"/proc/thread-self" => {
            let (process, thread) = (call.process().shown, call.host.thread(call.key).shown);
            format!("{process}/task/{thread}")
        }
        _ => match proc::shown(call, &path) {
            Shown::AsItIs | Shown::Text(_) | Shown::Closed(_) => return PROCEED,
            Shown::Missing => return fail(libc::ENOENT),
            Shown::Elsewhere(real) => match call.host.name_of_nameless(&real) {
                Some(name) => name,
                None => {
                    complete_at(call, place, &real)?;
                    return PROCEED;
                }
            },
        },
    };
    let room = call.args[place + 2] as usize;
    let text = &shown.as_bytes()[..shown.len().min(room)];
    call.tid().write(call.args[place + 1], text)?;
    super::returns(text.len() as i64)
}

impl Host {
    /// What programs see of a descriptor of a pipe or a socket, by its link in `/proc`: the kind and a number.
    fn name_of_nameless(&mut self, link: &str) -> Option<String> {
        let target = std::fs::read_link(link).ok()?;
        let (kind, rest) = target.to_str()?.split_once(":[")?;
        // Others have words there, as `anon_inode:[eventfd]`.
        rest.strip_suffix(']')?.parse::<u64>().ok()?;
        let status = std::fs::metadata(link).ok()?;
        let inode = self.shown_inode(status.dev(), status.ino());
        Some(format!("{kind}:[{inode}]"))
    }
}

/// statfs and fstatfs: half of the space is free, and the file system has no number.
pub fn statfs(call: &mut Call<'_>) -> Answer {
    const FILES: u64 = 1 << 20;
    if call.complete()? == 0 {
        let address = call.args[1];
        let blocks = call.tid().read_u64(address + 16)?;
        call.tid().write_words(address + 24, &[blocks / 2, blocks / 2, FILES, FILES / 2, 0])?;
    }
    PROCEED
}

/// mincore: all pages are in memory. Which ones are is a matter of what else the machine does.
pub fn mincore(call: &mut Call<'_>) -> Answer {
    /// Bytes of a page, and pages that are written at once.
    const PAGE: u64 = 4_096;
    const CHUNK: u64 = 1 << 16;
    if call.complete()? == 0 {
        let pages = call.args[1].div_ceil(PAGE);
        let mut done = 0;
        while done < pages {
            let count = CHUNK.min(pages - done);
            call.tid().write(call.args[2] + done, &vec![1; count as usize])?;
            done += count;
        }
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
