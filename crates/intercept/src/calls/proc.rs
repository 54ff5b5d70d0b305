//! Files of the kernel's own, in `/proc` and `/sys`: what they tell of the machine and of its processes differs from run to
//! run, so programs see fixed texts in their place, or nothing (proc(5), sysfs(5)).

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use super::Call;
use crate::model::{MONOTONIC_START, WALL_START};
use crate::process::owned;
use crate::tracee::Tid;

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
}

/// Files of `/proc` that are the same in each run on a machine.
const STEADY: [&str; 12] = [
    "cgroups",
    "cmdline",
    "consoles",
    "crypto",
    "devices",
    "filesystems",
    "misc",
    "mounts",
    "swaps",
    "version",
    "sys",
    "self",
];

/// What is shown of a process besides the texts that are made here.
const STEADY_OF_PROCESS: [&str; 19] = [
    "attr",
    "auxv",
    "cgroup",
    "cmdline",
    "comm",
    "coredump_filter",
    "cwd",
    "environ",
    "exe",
    "fd",
    "fdinfo",
    "limits",
    "loginuid",
    "maps",
    "mem",
    "mountinfo",
    "mounts",
    "oom_score_adj",
    "root",
];

/// Files that say which processors there are: one, the first.
const PROCESSORS: [&str; 3] =
    ["/sys/devices/system/cpu/online", "/sys/devices/system/cpu/possible", "/sys/devices/system/cpu/present"];

/// Parts of the names of files of `/sys` that change: counters and amounts.
const UNSTEADY_IN_SYS: [&str; 8] =
    ["current", "usage", "stat", "pressure", "events", "statistics", "scaling_cur_freq", "temp"];

/// What a program sees that opens this path.
pub fn shown(call: &mut Call<'_>, path: &[u8]) -> Shown {
    let Ok(path) = std::str::from_utf8(path) else { return Shown::AsItIs };
    if PROCESSORS.contains(&path) {
        return Shown::Text("0\n".to_owned());
    }
    if let Some(rest) = path.strip_prefix("/sys/") {
        let name = rest.rsplit('/').next().unwrap_or_default();
        let is_unsteady = UNSTEADY_IN_SYS.iter().any(|part| name.contains(part)) || rest.contains("/statistics/");
        return if is_unsteady { Shown::Missing } else { Shown::AsItIs };
    }
    match path.strip_prefix("/proc").map(|rest| rest.trim_start_matches('/')) {
        Some("") => Shown::Missing,
        Some(rest) if path.starts_with("/proc/") => in_proc(call, rest),
        _ => Shown::AsItIs,
    }
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
        "sys" if rest.starts_with("kernel/random/") => random(call, rest),
        "sys" if rest.starts_with("fs/") && rest.contains("-nr") || rest.starts_with("kernel/ns_last_pid") => {
            Shown::Missing
        }
        "self" => {
            let (own, thread) = (call.process().shown, call.tid());
            of_process(call, own, thread, rest)
        }
        "thread-self" => {
            let (own, thread) = (call.process().shown, call.tid());
            of_process(call, own, thread, rest)
        }
        _ => match first.parse::<i32>() {
            Ok(number) => match call.host.process_of_number(number) {
                Some(process) => {
                    let pid = call.host.processes[process.0].pid;
                    of_process(call, number, pid, rest)
                }
                None => Shown::Missing,
            },
            Err(_) if STEADY.contains(&first) => Shown::AsItIs,
            Err(_) => Shown::Missing,
        },
    }
}

/// What is shown of a process: `/proc/self/...` or that of another one of the host.
fn of_process(call: &mut Call<'_>, shown: i32, real: Tid, rest: &str) -> Shown {
    // What a thread shows of itself is the same.
    let (name, more) = rest.split_once('/').unwrap_or((rest, ""));
    if name == "task" && !more.is_empty() {
        let (number, rest) = more.split_once('/').unwrap_or((more, ""));
        let found = number.parse().ok().and_then(|number: i32| {
            call.host.threads.iter().find(|thread| thread.shown == number && !thread.gone).map(|thread| thread.tid)
        });
        return found.map_or(Shown::Missing, |tid| of_process(call, shown, tid, rest));
    }
    let status = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", real.0)).ok();
    let parent = call.host.process_of_number(shown).and_then(|key| call.host.processes[key.0].parent);
    let parent = parent.map_or(1, |parent| call.host.processes[parent.0].shown);
    match name {
        "stat" => status("stat").map_or(Shown::Missing, |text| {
            let name = text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(name, _)| name);
            let ticks = call.host.used / (SECOND / 100);
            let zeros = "0 ".repeat(28);
            let start = MONOTONIC_START / (SECOND / 100);
            Shown::Text(format!(
                "{shown} ({name}) R {parent} {shown} {shown} 0 -1 4194304 0 0 0 0 {ticks} 0 0 0 20 0 1 0 {start} 1073741824 \
                 16384 18446744073709551615 {}\n",
                zeros.trim_end()
            ))
        }),
        "statm" => Shown::Text("262144 16384 4096 1024 0 65536 0\n".to_owned()),
        "status" => status("status").map_or(Shown::Missing, |text| Shown::Text(fixed_status(&text, shown, parent))),
        _ if STEADY_OF_PROCESS.contains(&name) => Shown::Elsewhere(format!("/proc/{}/{rest}", real.0)),
        _ => Shown::Missing,
    }
}

/// A process's status without what is the kernel's own business.
fn fixed_status(text: &str, shown: i32, parent: i32) -> String {
    let line = |line: &str| {
        let name = line.split(':').next().unwrap_or_default();
        match name {
            "Tgid" | "Pid" | "NStgid" | "NSpid" | "NSpgid" | "NSsid" => Some(format!("{name}:\t{shown}\n")),
            "PPid" => Some(format!("{name}:\t{parent}\n")),
            "TracerPid" | "Seccomp" | "Seccomp_filters" | "NoNewPrivs" => Some(format!("{name}:\t0\n")),
            "Cpus_allowed" => Some("Cpus_allowed:\t1\n".to_owned()),
            "Cpus_allowed_list" => Some("Cpus_allowed_list:\t0\n".to_owned()),
            "Ngid" | "FDSize" | "voluntary_ctxt_switches" | "nonvoluntary_ctxt_switches" => {
                Some(format!("{name}:\t0\n"))
            }
            _ if name.starts_with("Vm") || name.starts_with("Rss") => Some(format!("{name}:\t   65536 kB\n")),
            _ => Some(format!("{line}\n")),
        }
    };
    text.lines().filter_map(line).collect()
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
        let text = "Name:\tx\nTgid:\t4711\nPid:\t4712\nPPid:\t4710\nTracerPid:\t4700\nVmRSS:\t  1234 kB\nSigCgt:\t07\n";
        let expected = "Name:\tx\nTgid:\t100\nPid:\t100\nPPid:\t1\nTracerPid:\t0\nVmRSS:\t   65536 kB\nSigCgt:\t07\n";
        assert_eq!(fixed_status(text, 100, 1), expected);
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
