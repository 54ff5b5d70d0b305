//! Audits: programs that print all that a program can ask and that could differ between two runs (`tests/programs/entropy`).
//! In virtual time only the seed may make a difference: not the moment, not the machine's load, not who starts seedbed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::geteuid;
use serde_json::json;
use tempfile::TempDir;

use crate::common::processes;
use crate::programs::{has, programs};

/// What an audit prints under these names is random: no two seeds, replicas or native runs have the same.
const RANDOM: [&str; 23] = [
    "/dev/random",
    "/dev/urandom",
    "/proc/sys/kernel/random/uuid",
    "at_random",
    "crypto_rand",
    "crypto_random",
    "getentropy",
    "getrandom",
    "hash",
    "kernel_uuid",
    "math_random",
    "random",
    "rdrand",
    "rdseed",
    "secrets",
    "secure_random",
    "system_random",
    "temporary_file",
    "thread_local_random",
    "urandom",
    "uuid",
    "uuid4",
    "web_crypto",
];

/// What the seed may change, and need not: orders of few things, which are the same now and then, and what hangs on them.
const CHANCE: [&str; 17] = [
    "free_memory",
    "goroutine_order",
    "heap_address",
    "heap_bytes",
    "identity_order",
    "map_order",
    "memory",
    "object_set_order",
    "parallel_order",
    "rand",
    "rand_seeded_by_time",
    "select_order",
    "set_order",
    "stack_address",
    "temporary_folder",
    "thread_order",
    "uuid1",
];

/// How the names of times begin. The seed decides how long a wake-up takes.
const TIMES: [&str; 26] = [
    "clock",
    "cpu_usage",
    "created_file_",
    "current_time",
    "date_now",
    "gettimeofday",
    "hrtime",
    "instant",
    "jvm_",
    "local_time",
    "monotonic",
    "nano_time",
    "now",
    "os_times",
    "own_file_",
    "perf_counter",
    "performance_now",
    "process_time",
    "rdtsc",
    "resource_usage",
    "ru_",
    "sleep_",
    "system_time",
    "thread_cpu",
    "time",
    "uptime",
];

/// The audits that can run here. Those that cannot are said to be skipped.
fn audits() -> Vec<PathBuf> {
    let built = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/programs").join(name).join("audit");
    let own = |name: &str| programs().join("entropy").join(name).join("audit");
    let all = [
        ("true", built("audit-c")),
        ("true", built("audit-c-static")),
        ("true", built("audit-go")),
        ("true", built("audit-rust")),
        ("java", built("audit-java")),
        ("python3", own("python")),
        ("node", own("node")),
    ];
    let can_run = |(tool, program): &(&str, PathBuf)| {
        if !program.exists() {
            eprintln!("SKIPPED: {} is not built", program.display());
        }
        program.exists() && has(tool)
    };
    let runnable: Vec<PathBuf> = all.into_iter().filter(can_run).map(|(_, program)| program).collect();
    eprintln!("{} audits are run", runnable.len());
    runnable
}

/// A folder with a scenario of two seconds in which nothing is asked for.
fn folder() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let benchmarks =
        json!({"total_msgs": [1, 2, 3], "failures": [1, 2, 3], "duplicates": [1, 2, 3], "median_latency": [1, 2, 3]});
    let scenario = json!({
        "lifetime": 2, "replicas": 3, "requests": 0, "wait": 2, "end_wait": 0,
        "tests": {
            "maximum_get_generation_fail_fraction": 1, "maximum_appends_batched_fraction": 1,
            "maximum_get_fail_fraction": 1, "maximum_put_fail_fraction": 1, "benchmarks": benchmarks
        }
    });
    fs::write(folder.path().join("audit.json"), scenario.to_string()).expect("a file");
    folder
}

/// The arguments that run an audit.
fn arguments(folder: &TempDir, audit: &Path, seed: u64) -> [String; 8] {
    let scenario = folder.path().join("audit.json").display().to_string();
    let audit = audit.display().to_string();
    let words = ["run", &scenario, "--seed", &seed.to_string(), "-r", &audit, "--virtual", "--show-output"];
    words.map(str::to_owned)
}

/// What the replicas have printed, with virtual times.
#[track_caller]
fn shown(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    // The replicas end, so the scenario fails. A program that cannot be simulated ends with 2.
    assert_eq!(output.status.code(), Some(1), "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(" Replica ")).collect();
    assert!(lines.len() > 100, "{text}");
    without_place(&lines.join("\n"))
}

/// Other tests run programs at the same time, so the copy of the program may have another place each time.
fn without_place(text: &str) -> String {
    let mut parts = text.split("/tmp/seedbed/");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + "/tmp/seedbed/NNN" + part.get(3..).unwrap_or_default())
}

/// What an audit prints in virtual time.
#[track_caller]
fn run(folder: &TempDir, audit: &Path, seed: u64) -> String {
    let mut command = processes::seedbed();
    command.current_dir(folder.path()).args(arguments(folder, audit, seed));
    shown(&command.output().expect("seedbed starts"))
}

/// The values that were printed, by their names.
type Values = BTreeMap<String, Vec<String>>;

fn values<'l>(lines: impl Iterator<Item = &'l str>) -> Values {
    let mut values = Values::new();
    for (name, value) in lines.map(|line| line.split_once(' ').unwrap_or((line, ""))) {
        values.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    values
}

/// The values of one replica.
fn of_replica(text: &str, number: usize) -> Values {
    let mark = format!(" Replica {number:04}] ");
    values(text.lines().filter_map(|line| Some(line.split_once(&mark)?.1)))
}

/// All random values differ, and there are some.
#[track_caller]
fn all_random_differ(one: &Values, other: &Values, what: &str) {
    let printed: Vec<&str> = RANDOM.into_iter().filter(|name| one.contains_key(*name)).collect();
    assert!(printed.len() >= 4, "{what}: only {printed:?} are random");
    for name in printed {
        assert_ne!(one.get(name), other.get(name), "{what}: {name} is the same");
    }
}

/// Whether what is printed under a name is the same whatever the seed is.
fn is_fixed(name: &str) -> bool {
    let is_time = TIMES.iter().any(|time| name.starts_with(time));
    !is_time && !RANDOM.contains(&name) && !CHANCE.contains(&name)
}

#[test]
fn an_audit_prints_the_same_with_the_same_seed_and_other_random_values_with_another() {
    let folder = folder();
    for audit in audits() {
        let name = audit.display().to_string();
        let (first, again, other) = (run(&folder, &audit, 1), run(&folder, &audit, 1), run(&folder, &audit, 2));
        same(&first, &again, &name);
        let (first, sibling) = (of_replica(&first, 0), of_replica(&first, 1));
        let other = of_replica(&other, 0);
        all_random_differ(&first, &other, &format!("{name} with two seeds"));
        all_random_differ(&first, &sibling, &format!("{name} as two replicas"));
        let names: BTreeSet<&String> = first.keys().chain(other.keys()).filter(|name| is_fixed(name)).collect();
        assert!(names.len() > 20, "{name}: {names:?}");
        for fixed in names {
            assert_eq!(first.get(fixed), other.get(fixed), "{name}: {fixed} hangs on the seed");
        }
    }
}

/// Two outputs are the same to the byte. The first lines that differ are shown if not.
#[track_caller]
fn same(one: &str, other: &str, what: &str) {
    let differs = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    assert_eq!(differs, None, "{what}");
    assert_eq!(one.len(), other.len(), "{what}");
}

/// The test of the test: if an audit prints the same in two native runs, it does not look where differences are.
#[test]
fn two_native_runs_of_an_audit_differ() {
    for audit in audits() {
        let run = || {
            let output = processes::program(&audit).stdin(Stdio::null()).output().expect("it starts");
            assert!(output.status.success(), "{}: {}", audit.display(), String::from_utf8_lossy(&output.stderr));
            values(String::from_utf8_lossy(&output.stdout).lines())
        };
        let (one, other) = (run(), run());
        let name = audit.display().to_string();
        all_random_differ(&one, &other, &name);
        let fixed = one.keys().filter(|name| is_fixed(name));
        let differ: Vec<&String> = fixed.filter(|name| one.get(*name) != other.get(*name)).collect();
        assert!(differ.iter().any(|name| *name == "pid"), "{name}: {differ:?}");
        assert!(differ.len() >= 3, "{name}: natively the same is all but {differ:?}");
        eprintln!("{name}: natively {} values differ that are fixed in virtual time", differ.len());
    }
}

/// Ways to start seedbed, as lines of a shell script that ends in starting it. What processes inherit is different each
/// time: limits, mask, signals that are ignored, environment, folder, priority, open files, standard input.
const CALLERS: [(&str, &str); 2] = [
    (
        "everything",
        "ulimit -n 200; ulimit -s 4096; ulimit -f 4000000; ulimit -c unlimited; umask 077; trap '' HUP PIPE TERM USR1 CHLD
         export TZ=Asia/Tokyo LANG=de_DE.UTF-8 LC_ALL=C PYTHONHASHSEED=7 GOMAXPROCS=3 MALLOC_ARENA_MAX=1 X=y
         cd /; exec nice -n 1 nohup \"$@\" 3< /dev/null 7> /dev/null 9<> /dev/zero <&-",
    ),
    ("soft limits and a pipe", "ulimit -S -n 300; ulimit -S -s 2048; ulimit -S -l 16; umask 0; echo x | \"$@\""),
];

/// Output of seedbed, started by a shell after these commands.
fn started_by(before: &str, wrapper: &[&str], seedbed: &Path, folder: &TempDir, audit: &Path) -> Output {
    let mut words = wrapper.iter().copied().chain(["sh", "-c", before, "sh"]);
    let mut command = processes::program(words.next().expect("a program"));
    command.args(words).arg(seedbed).args(arguments(folder, audit, 1)).current_dir(folder.path());
    command.output().expect("a shell starts")
}

#[test]
fn what_an_audit_prints_does_not_depend_on_who_starts_seedbed() {
    let folder = folder();
    let seedbed = Path::new(env!("CARGO_BIN_EXE_seedbed"));
    for audit in audits() {
        let plain = run(&folder, &audit, 1);
        for (caller, before) in CALLERS {
            let output = started_by(before, &[], seedbed, &folder, &audit);
            same(&plain, &shown(&output), &format!("{} with other {caller}", audit.display()));
        }
    }
}

/// Without privileges some of what is inherited cannot be changed: a limit cannot be raised again.
#[test]
fn a_user_without_privileges_sees_the_same_whatever_is_inherited() {
    if !geteuid().is_root() || !has("setpriv") {
        eprintln!("SKIPPED: only root becomes another user, and only with setpriv");
        return;
    }
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("a folder");
    let seedbed = folder.path().join("seedbed");
    fs::copy(env!("CARGO_BIN_EXE_seedbed"), &seedbed).expect("a copy");
    let user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    for audit in audits() {
        // A copy, as the user may not see where it was built. Its files stay together.
        let place = TempDir::new_in(folder.path()).expect("a folder");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("a folder");
        for file in fs::read_dir(audit.parent().expect("a folder")).expect("a folder") {
            let file = file.expect("a file");
            fs::copy(file.path(), place.path().join(file.file_name())).expect("a copy");
        }
        let copy = place.path().join("audit");
        // Some interpreters are in a folder of root's own.
        let started = Command::new(user[0]).args(&user[1..]).arg(&copy).output().expect("setpriv starts");
        if !started.status.success() {
            eprintln!("SKIPPED: {} does not run as another user", audit.display());
            continue;
        }
        let plain = shown(&started_by("exec \"$@\"", &user, &seedbed, &folder, &copy));
        for (caller, before) in CALLERS {
            let output = started_by(before, &user, &seedbed, &folder, &copy);
            same(&plain, &shown(&output), &format!("{} with other {caller}", audit.display()));
        }
    }
}
