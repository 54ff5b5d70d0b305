//! Prints all in which a run of a Rust program could differ from another, as lines of a name and a value.

use std::collections::HashSet;
use std::fmt::Display;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::net::{ToSocketAddrs, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, mem, process, thread};

fn main() -> io::Result<()> {
    show_time();
    show_random()?;
    show_identity()?;
    show_addresses();
    show_files()?;
    show_machine()
}

fn show(name: impl Display, value: impl Display) {
    println!("{name} {}", value.to_string().replace('\n', "\\n"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| format!("unreadable: {error}"));
    text.lines().next().unwrap_or_default().to_owned()
}

fn show_time() {
    show("system_time_ns", SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_nanos()));
    // `Instant` shows its reading only so.
    show("instant", format!("{:?}", Instant::now()).replace('\n', " "));
    let before = Instant::now();
    thread::sleep(Duration::from_millis(10));
    show("sleep_10_ms_took_ns", before.elapsed().as_nanos());
    // SAFETY: both calls fill in a struct of plain numbers.
    let (used, usage) = unsafe {
        let mut used: libc::timespec = mem::zeroed();
        let mut usage: libc::rusage = mem::zeroed();
        libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut used);
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        (used, usage)
    };
    show("process_time_ns", used.tv_sec * 1_000_000_000 + used.tv_nsec);
    show("ru_utime_us", usage.ru_utime.tv_sec * 1_000_000 + usage.ru_utime.tv_usec);
    show("ru_maxrss", usage.ru_maxrss);
    show("ru_minflt", usage.ru_minflt);
    show("ru_nvcsw", usage.ru_nvcsw);
}

fn show_random() -> io::Result<()> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    show("getrandom", hex(&bytes));
    for device in ["/dev/urandom", "/dev/random"] {
        File::open(device)?.read_exact(&mut bytes)?;
        show(device, hex(&bytes));
    }
    show("hash", RandomState::new().hash_one("a"));
    show("set_order", HashSet::from(["a", "b", "c", "d", "e", "f", "g", "h"]).into_iter().collect::<String>());
    show("kernel_uuid", first_line("/proc/sys/kernel/random/uuid"));
    show("boot_id", first_line("/proc/sys/kernel/random/boot_id"));
    Ok(())
}

fn show_identity() -> io::Result<()> {
    show("pid", process::id());
    show("ppid", parent_id());
    // SAFETY: it has no arguments and cannot fail.
    show("tid", unsafe { libc::gettid() });
    let order = std::sync::Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..8 {
            let order = &order;
            scope.spawn(move || {
                thread::yield_now();
                if let Ok(mut order) = order.lock() {
                    order.push(number);
                }
            });
        }
    });
    show("thread_order", format!("{order:?}"));
    for resource in 0..16 {
        // SAFETY: the call fills in a struct of plain numbers.
        let limit = unsafe {
            let mut limit: libc::rlimit = mem::zeroed();
            libc::getrlimit(resource, &mut limit);
            limit
        };
        show(format!("limit_{resource}"), format!("{} {}", limit.rlim_cur, limit.rlim_max));
    }
    show("thread_id", format!("{:?}", thread::current().id()));
    show("hostname", first_line("/proc/sys/kernel/hostname"));
    show("user", env::var("USER").unwrap_or_default());
    show("cwd", env::current_dir()?.display());
    show("argv0", env::args().next().unwrap_or_default());
    let mut variables: Vec<_> = env::vars_os().collect();
    variables.sort();
    for (name, value) in variables {
        show(format!("env_{}", name.to_string_lossy()), value.to_string_lossy());
    }
    Ok(())
}

fn show_addresses() {
    let on_stack = 0_u8;
    let on_heap = Box::new(0_u8);
    show("heap_address", format!("{:p}", &raw const *on_heap));
    show("stack_address", format!("{:p}", &raw const on_stack));
    show("function_address", format!("{:p}", show_addresses as fn()));
}

fn show_stat(prefix: &str, path: &Path) -> io::Result<()> {
    let status = fs::metadata(path)?;
    show(format!("{prefix}_inode"), status.ino());
    show(format!("{prefix}_device"), status.dev());
    show(format!("{prefix}_size"), status.size());
    show(format!("{prefix}_mtime"), format!("{}.{:09}", status.mtime(), status.mtime_nsec()));
    show(format!("{prefix}_ctime"), format!("{}.{:09}", status.ctime(), status.ctime_nsec()));
    Ok(())
}

fn show_files() -> io::Result<()> {
    show_stat("own_file", &env::current_exe()?)?;
    let folder = tempfile::Builder::new().prefix("audit-").tempdir()?;
    show("temporary_folder", folder.path().display());
    for name in ["f", "d", "b", "h", "a", "e", "c", "g"] {
        fs::write(folder.path().join(name), name)?;
    }
    let listing: io::Result<Vec<_>> = fs::read_dir(folder.path())?.collect();
    let order: String = listing?.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    show("listing_order", order);
    show_stat("created_file", &folder.path().join("a"))?;
    // SAFETY: the path ends in a zero, and the call fills in a struct of plain numbers.
    let disk = unsafe {
        let mut disk: libc::statvfs = mem::zeroed();
        libc::statvfs(c"/".as_ptr(), &mut disk);
        disk
    };
    show("disk_free", disk.f_bfree);
    Ok(())
}

fn show_machine() -> io::Result<()> {
    show("cpu_count", thread::available_parallelism()?);
    // SAFETY: the call fills in a struct of plain numbers.
    let info = unsafe {
        let mut info: libc::sysinfo = mem::zeroed();
        libc::sysinfo(&mut info);
        info
    };
    show("sysinfo_uptime", info.uptime);
    show("sysinfo_free_memory", info.freeram);
    for path in ["/proc/uptime", "/proc/loadavg", "/proc/meminfo", "/proc/stat", "/proc/self/stat"] {
        show(path, first_line(path));
    }
    let mut addresses: Vec<String> = ("localhost", 80).to_socket_addrs()?.map(|address| address.to_string()).collect();
    addresses.sort();
    show("localhost", addresses.join(","));
    show("free_port", UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port());
    Ok(())
}
