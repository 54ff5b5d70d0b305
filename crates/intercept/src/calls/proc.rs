//! Files of the kernel's own, in `/proc` and `/sys`: what they tell of the machine and of its processes differs from run to
//! run, so programs see fixed texts in their place, or nothing (proc(5), sysfs(5)). The same is done with a few files of
//! `/etc` that say what the machine is called and which others it knows.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use super::Call;
use crate::host::Host;
use crate::model::{MONOTONIC_START, WALL_START};
use crate::process::owned;
use crate::thread::ThreadKey;

const SECOND: u64 = 1_000_000_000;

/// What a program sees where it looks for a file.
pub enum Shown {
    /// The file.
    AsItIs,
    /// Nothing.
    Missing,
    /// This text.
    Text(String),
    /// The file at another path.
    Elsewhere(String),
    /// A directory at this path that can be asked about, but not be opened: what is in it differs from run to run.
    Closed(String),
}

/// Files of `/proc` that are the same in each run on a machine.
const STEADY: [&str; 9] = ["cmdline", "consoles", "crypto", "devices", "filesystems", "misc", "self", "sys", "version"];

/// What is shown of a process besides the texts that are made here.
const STEADY_OF_PROCESS: [&str; 10] = ["attr", "auxv", "cmdline", "comm", "cwd", "environ", "exe", "fd", "mem", "root"];

/// Counters of the kernel in `/proc/sys`, by parts of their paths.
const UNSTEADY_IN_SYSCTL: [&str; 8] = [
    "fs/aio-nr",
    "fs/dentry-state",
    "fs/file-nr",
    "fs/inode-",
    "kernel/ns_last_pid",
    "kernel/perf_event_max_sample_rate",
    "kernel/pty/nr",
    "net/",
];

/// Files that say which processors there are: one, the first.
const PROCESSORS: [&str; 3] =
    ["/sys/devices/system/cpu/online", "/sys/devices/system/cpu/possible", "/sys/devices/system/cpu/present"];

/// Folders of `/sys` that runtimes look into: processors and their caches, nodes of memory, the size of huge pages. All
/// else there is about devices, and full of counters.
const STEADY_IN_SYS: [&str; 4] =
    ["devices/system/cpu", "devices/system/node", "kernel/mm/hugepages", "kernel/mm/transparent_hugepage"];

/// Parts of paths below these that change: counters, amounts and speeds.
const UNSTEADY_IN_SYS: [&str; 9] =
    ["cpufreq", "cpuidle", "free_", "khugepaged/", "meminfo", "power/", "stat", "surplus_", "thermal"];

/// The machine's names and those of other machines. Without them, what a program learns of its own name would depend on
/// the network that the machine is in.
const NAMES: [(&str, &str); 5] = [
    ("/etc/hostname", "seedbed\n"),
    ("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\tseedbed\n"),
    ("/etc/machine-id", "5eedbed05eedbed05eedbed05eedbed0\n"),
    ("/etc/mtab", MOUNTS),
    ("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"),
];

/// What a program sees that opens this path.
pub fn shown(call: &mut Call<'_>, path: &[u8]) -> Shown {
    let Ok(path) = std::str::from_utf8(path) else { return Shown::AsItIs };
    if !["/proc", "/sys", "/etc"].iter().any(|folder| path.starts_with(folder)) && !path.starts_with("//") {
        return Shown::AsItIs;
    }
    let path = &*plain(path);
    if let Some((_, text)) = NAMES.iter().find(|(name, _)| *name == path) {
        return Shown::Text((*text).to_owned());
    }
    if PROCESSORS.contains(&path) {
        return Shown::Text("0\n".to_owned());
    }
    if let Some(rest) = path.strip_prefix("/sys/") {
        let is_steady = STEADY_IN_SYS.iter().any(|steady| rest.starts_with(steady));
        let is_unsteady = UNSTEADY_IN_SYS.iter().any(|part| rest.contains(part));
        return if is_steady && !is_unsteady { Shown::AsItIs } else { Shown::Missing };
    }
    match path.strip_prefix("/proc") {
        Some("") => Shown::Closed("/proc".to_owned()),
        Some(rest) if rest.starts_with('/') => in_proc(call, &rest[1..]),
        _ => Shown::AsItIs,
    }
}

/// A path without `//`, `/./` and a slash at its end.
fn plain(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.flat_map(|part| ["/", part]).collect()
}

fn in_proc(call: &mut Call<'_>, path: &str) -> Shown {
    let now = call.now();
    let up = (MONOTONIC_START + now) / SECOND;
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match first {
        "uptime" => Shown::Text(format!("{up}.00 {up}.00\n")),
        "loadavg" => Shown::Text("0.00 0.00 0.00 1/1 1\n".to_owned()),
        "stat" => Shown::Text(processors()),
        "meminfo" => Shown::Text(MEMORY.to_owned()),
        "vmstat" => Shown::Text("nr_free_pages 1048576\n".to_owned()),
        "cpuinfo" => fs::read_to_string("/proc/cpuinfo").map_or(Shown::Missing, |text| Shown::Text(processor(&text))),
        "mounts" => Shown::Text(MOUNTS.to_owned()),
        "swaps" => Shown::Text("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_owned()),
        "sys" if rest.starts_with("kernel/random/") => random(call, rest),
        "sys" if rest == "kernel/hostname" => Shown::Text("seedbed\n".to_owned()),
        "sys" if rest == "kernel/domainname" => Shown::Text("(none)\n".to_owned()),
        "sys" if UNSTEADY_IN_SYSCTL.iter().any(|unsteady| rest.starts_with(unsteady)) => Shown::Missing,
        "self" => {
            let first = call.host.first_thread(call.key);
            of_thread(call, first, rest)
        }
        "thread-self" => of_thread(call, call.key, rest),
        _ => match first.parse::<i32>() {
            Ok(number) => match call.host.process_of_number(number) {
                Some(process) => {
                    let pid = call.host.processes[process.0].pid;
                    match call.host.by_tid.get(&pid) {
                        Some(&first) => of_thread(call, first, rest),
                        None => Shown::Missing,
                    }
                }
                None => Shown::Missing,
            },
            Err(_) if STEADY.contains(&first) => Shown::AsItIs,
            Err(_) => Shown::Missing,
        },
    }
}

/// What is shown of a thread, or of the process whose first one it is: `/proc/self/...` or that of another one of the
/// host.
fn of_thread(call: &mut Call<'_>, key: ThreadKey, rest: &str) -> Shown {
    let (name, more) = rest.split_once('/').unwrap_or((rest, ""));
    let real = call.host.threads[key.0].tid.0;
    match name {
        "" => return Shown::Closed(format!("/proc/{real}")),
        "task" if more.is_empty() => return Shown::Closed(format!("/proc/{real}/task")),
        "task" => {
            let (number, rest) = more.split_once('/').unwrap_or((more, ""));
            let wanted = number.parse::<i32>().ok();
            let threads = &call.host.threads;
            let found = threads.iter().position(|thread| Some(thread.shown) == wanted && !thread.gone);
            return found.map_or(Shown::Missing, |found| of_thread(call, ThreadKey(found), rest));
        }
        _ if STEADY_OF_PROCESS.contains(&name) => return Shown::Elsewhere(format!("/proc/{real}/{rest}")),
        _ => {}
    }
    let of_kernel = || fs::read_to_string(format!("/proc/{real}/{rest}")).ok();
    let text = match name {
        "cgroup" => Some("0::/\n".to_owned()),
        "coredump_filter" => Some("00000033\n".to_owned()),
        "fdinfo" => of_kernel().map(|text| fixed_descriptor(&text)),
        "limits" => Some(call.host.process_of(key).limits.to_string()),
        "loginuid" => Some("4294967295".to_owned()),
        "maps" => of_kernel().map(|text| text.lines().map(|line| call.host.fixed_mapping(line)).collect()),
        "mountinfo" => Some(MOUNT_DETAILS.to_owned()),
        "mounts" => Some(MOUNTS.to_owned()),
        "oom_score_adj" => Some("0\n".to_owned()),
        "stat" => of_kernel().map(|text| call.host.stat_of(key, &text)),
        "statm" => Some("262144 16384 4096 1024 0 65536 0\n".to_owned()),
        "status" => of_kernel().map(|text| fixed_status(&text, &call.host.numbers(key))),
        _ => None,
    };
    text.map_or(Shown::Missing, Shown::Text)
}

/// Numbers that programs see of a thread.
struct Numbers {
    thread: i32,
    process: i32,
    parent: i32,
    group: i32,
    /// How many threads the process has.
    threads: usize,
}

impl Host {
    /// The first thread of a thread's process.
    fn first_thread(&self, key: ThreadKey) -> ThreadKey {
        let process = self.threads[key.0].process;
        self.by_tid.get(&self.processes[process.0].pid).copied().unwrap_or(key)
    }

    fn numbers(&self, key: ThreadKey) -> Numbers {
        let thread = &self.threads[key.0];
        let process = &self.processes[thread.process.0];
        Numbers {
            thread: thread.shown,
            process: process.shown,
            parent: process.parent.map_or(1, |parent| self.processes[parent.0].shown),
            group: process.group,
            threads: self.threads_of(thread.process).len(),
        }
    }

    /// A line of numbers of which only the name, the relations of processes and the time that was used are told.
    fn stat_of(&self, key: ThreadKey, text: &str) -> String {
        let name = text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(name, _)| name);
        let Numbers { thread, parent, group, threads, .. } = self.numbers(key);
        let ticks = self.used / (SECOND / 100);
        let start = MONOTONIC_START / (SECOND / 100);
        let zeros = "0 ".repeat(28);
        format!(
            "{thread} ({name}) R {parent} {group} {group} 0 -1 4194304 0 0 0 0 {ticks} 0 0 0 20 0 {threads} 0 {start} \
             1073741824 16384 18446744073709551615 {}\n",
            zeros.trim_end()
        )
    }

    /// A line of the list of mappings, with the numbers of devices and files that stat(2) shows.
    fn fixed_mapping(&mut self, line: &str) -> String {
        let unchanged = || format!("{line}\n");
        let mut words = line.splitn(5, ' ');
        let (Some(range), Some(rights), Some(offset), Some(device), Some(rest)) =
            (words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            return unchanged();
        };
        let (inode, path) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = |text| u32::from_str_radix(text, 16).ok();
        let parts = device.split_once(':').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
        let (Some((major, minor)), Ok(inode)) = (parts, inode.parse()) else { return unchanged() };
        if inode == 0_u64 {
            return unchanged();
        }
        let (device, path) = (libc::makedev(major, minor), path.trim_start());
        let is_old = fs::metadata(path).is_ok_and(|status| {
            (status.dev(), status.ino()) == (device, inode)
                && (status.ctime() as u64 * SECOND).saturating_add(status.ctime_nsec() as u64) < self.real_start
        });
        let inode = if is_old { inode } else { self.shown_inode(device, inode) };
        let device = self.shown_device(device);
        let (major, minor) = (libc::major(device), libc::minor(device));
        // The kernel begins the path in this column.
        format!("{:<73}{path}\n", format!("{range} {rights} {offset} {major:02x}:{minor:02x} {inode} "))
    }
}

/// What is known of an open file: where it is read next, and how it was opened. How the kernel names it is left out.
fn fixed_descriptor(text: &str) -> String {
    let is_own = |line: &&str| ["pos:", "flags:", "eventfd-count:"].iter().any(|name| line.starts_with(name));
    text.lines().filter(is_own).flat_map(|line| [line, "\n"]).collect()
}

/// A process's status without what is the kernel's own business.
fn fixed_status(text: &str, numbers: &Numbers) -> String {
    let Numbers { thread, process, parent, group, threads } = numbers;
    let line = |line: &str| {
        let name = line.split(':').next().unwrap_or_default();
        let value = match name {
            "State" => "R (running)".to_owned(),
            "Tgid" | "NStgid" => process.to_string(),
            "Pid" | "NSpid" => thread.to_string(),
            "NSpgid" | "NSsid" => group.to_string(),
            "PPid" => parent.to_string(),
            "Threads" => threads.to_string(),
            "SigQ" => "0/32768".to_owned(),
            "Cpus_allowed" => "1".to_owned(),
            "TracerPid"
            | "Seccomp"
            | "Seccomp_filters"
            | "NoNewPrivs"
            | "Cpus_allowed_list"
            | "Ngid"
            | "FDSize"
            | "voluntary_ctxt_switches"
            | "nonvoluntary_ctxt_switches" => "0".to_owned(),
            _ if name.starts_with("Vm") || name.starts_with("Rss") => "   65536 kB".to_owned(),
            _ => return format!("{line}\n"),
        };
        format!("{name}:\t{value}\n")
    };
    text.lines().map(line).collect()
}

fn random(call: &mut Call<'_>, path: &str) -> Shown {
    match path.rsplit('/').next() {
        Some("uuid") => {
            let number = u128::from(call.host.entropy.next()) << 64 | u128::from(call.host.entropy.next());
            Shown::Text(uuid(number))
        }
        Some("boot_id") => Shown::Text(uuid(0x5eed_bed0_5eed_bed0_5eed_bed0_5eed_bed0)),
        Some("entropy_avail" | "poolsize") => Shown::Text("256\n".to_owned()),
        _ => Shown::AsItIs,
    }
}

/// As the kernel writes one: version 4, variant 1.
fn uuid(number: u128) -> String {
    let number = number & !(0xF << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{number:032x}");
    format!("{}-{}-{}-{}-{}\n", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// One processor that has never been busy.
fn processors() -> String {
    let boot = (WALL_START - MONOTONIC_START) / SECOND;
    format!(
        "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\nintr 0\nctxt 0\nbtime {boot}\nprocesses 1\nprocs_running 1\n\
         procs_blocked 0\n"
    )
}

/// Of all processors the first, at a fixed speed.
fn processor(text: &str) -> String {
    let first = text.split("\n\n").next().unwrap_or_default();
    let line = |line: &str| match line.split(':').next().unwrap_or_default().trim() {
        "cpu MHz" => "cpu MHz\t\t: 2000.000\n".to_owned(),
        "bogomips" => "bogomips\t: 4000.00\n".to_owned(),
        "siblings" => "siblings\t: 1\n".to_owned(),
        "cpu cores" => "cpu cores\t: 1\n".to_owned(),
        _ => format!("{line}\n"),
    };
    first.lines().map(line).chain(["\n".to_owned()]).collect()
}

/// What is mounted, as the program sees it.
const MOUNTS: &str = "\
/dev/root / ext4 rw,relatime 0 0
proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0
sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0
devtmpfs /dev devtmpfs rw,nosuid 0 0
";

/// The same with more details.
const MOUNT_DETAILS: &str = "\
1 0 8:1 / / rw,relatime - ext4 /dev/root rw
2 1 0:2 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
3 1 0:3 / /sys rw,nosuid,nodev,noexec,relatime - sysfs sysfs rw
4 1 0:4 / /dev rw,nosuid - devtmpfs devtmpfs rw
";

const MEMORY: &str = "\
MemTotal:        8388608 kB
MemFree:         4194304 kB
MemAvailable:    6291456 kB
Buffers:               0 kB
Cached:                0 kB
SwapCached:            0 kB
SwapTotal:             0 kB
SwapFree:              0 kB
";

/// A file with this text, for reading.
///
/// # Errors
/// If the system has no descriptor left.
pub fn file_of(text: &str) -> io::Result<OwnedFd> {
    // SAFETY: the name is a text with a zero.
    let file = owned(unsafe { libc::memfd_create(c"proc".as_ptr(), libc::MFD_CLOEXEC) }.into())?;
    let mut file = fs::File::from(file);
    file.write_all(text.as_bytes())?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_names_no_number_of_the_kernels_and_no_tracer() {
        let text = "Name:\tx\nState:\tt (tracing stop)\nTgid:\t4711\nPid:\t4712\nPPid:\t4710\nTracerPid:\t4700\n\
                    VmRSS:\t  1234 kB\nThreads:\t9\nSigQ:\t1/7\nSigCgt:\t07\n";
        let expected = "Name:\tx\nState:\tR (running)\nTgid:\t100\nPid:\t101\nPPid:\t1\nTracerPid:\t0\n\
                        VmRSS:\t   65536 kB\nThreads:\t2\nSigQ:\t0/32768\nSigCgt:\t07\n";
        let numbers = Numbers { thread: 101, process: 100, parent: 1, group: 100, threads: 2 };
        assert_eq!(fixed_status(text, &numbers), expected);
    }

    #[test]
    fn an_open_file_has_a_position_and_flags_and_no_number_of_the_kernels() {
        let text = "pos:\t7\nflags:\t02\nmnt_id:\t15\nino:\t4711\n";
        assert_eq!(fixed_descriptor(text), "pos:\t7\nflags:\t02\n");
    }

    #[test]
    fn a_path_is_made_plain() {
        for (path, expected) in [("//proc/./uptime", "/proc/uptime"), ("/proc/", "/proc"), ("/", "")] {
            assert_eq!(plain(path), expected);
        }
    }

    #[test]
    fn a_uuid_has_its_version_and_its_variant() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000\n");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff\n");
    }

    #[test]
    fn one_processor_is_shown() {
        let text = "processor\t: 0\ncpu MHz\t\t: 3417.6\n\nprocessor\t: 1\ncpu MHz\t\t: 1200.1\n\n";
        assert_eq!(processor(text), "processor\t: 0\ncpu MHz\t\t: 2000.000\n\n");
    }
}
