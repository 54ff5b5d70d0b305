//! Programs in virtual time where the system does not allow all that they need: in containers. The confinement is real: a
//! filter of system calls, and no capability to trace.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Output;
use std::ptr;
use std::time::Duration;

use libc::{c_int, c_long, sock_filter};
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::common::processes;

/// Instructions of filters, as linux/bpf_common.h builds them.
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
const IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Where `struct seccomp_data` has the number of a call, and the low half of its first argument.
const NUMBER: u32 = 0;
const ARGUMENT: u32 = 16;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

fn fails(errno: c_int) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

/// What Docker's default profile (moby's `profiles/seccomp/default.json`) refuses without capabilities, as far as a program
/// here could call it. The profile lists what is allowed, and everything else fails with EPERM. From kernel 4.8 on it allows
/// ptrace and process_vm_readv to all; kcmp and pidfd_getfd only with CAP_SYS_PTRACE.
const REFUSED_BY_DOCKER: [c_long; 18] = [
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_get_mempolicy,
    libc::SYS_kcmp,
    libc::SYS_keyctl,
    libc::SYS_mbind,
    libc::SYS_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_set_mempolicy,
    libc::SYS_setns,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// What the profile allows personality(2) to be asked for: Linux, Linux on 32 bits, both with old names, and nothing.
const PERSONALITIES: [u32; 5] = [0, 8, 0x20000, 0x20008, u32::MAX];

/// Flags of clone(2) that make namespaces.
const NAMESPACES: u32 = 0x7E02_0000;

/// Where seedbed runs.
#[derive(Clone, Debug, Default)]
struct Confinement {
    filter: Vec<sock_filter>,
    /// Without CAP_SYS_PTRACE.
    is_powerless: bool,
    /// `/tmp/seedbed` is another, empty file system, mounted with these flags.
    temporary: Option<libc::c_ulong>,
    /// As this user.
    user: Option<u32>,
}

/// What a container is given besides what Docker gives all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Given {
    /// `--cap-add SYS_PTRACE`.
    capability: bool,
    /// A profile that also allows personality(2) with ADDR_NO_RANDOMIZE.
    profile: bool,
}

impl Confinement {
    /// A container of Docker's.
    fn docker(given: Given) -> Confinement {
        let with_capability = [libc::SYS_kcmp, libc::SYS_pidfd_getfd, libc::SYS_process_madvise];
        let mut filter = vec![plain(LOAD, NUMBER)];
        for call in REFUSED_BY_DOCKER.into_iter().filter(|call| !given.capability || !with_capability.contains(call)) {
            filter.extend(refusal(call, libc::EPERM));
        }
        filter.extend(refusal(libc::SYS_clone3, libc::ENOSYS));
        // If it is another call, the number stays loaded.
        filter.extend([jump(IF_EQUAL, libc::SYS_clone as u32, 0, 4), plain(LOAD, ARGUMENT)]);
        filter.extend([jump(IF_ANY_BIT, NAMESPACES, 0, 1), plain(RETURN, fails(libc::EPERM)), plain(RETURN, ALLOW)]);
        filter.extend([jump(IF_EQUAL, libc::SYS_personality as u32, 1, 0), plain(RETURN, ALLOW)]);
        filter.push(plain(LOAD, ARGUMENT));
        let more = given.profile.then_some(libc::ADDR_NO_RANDOMIZE as u32);
        for personality in PERSONALITIES.into_iter().chain(more) {
            filter.extend([jump(IF_EQUAL, personality, 0, 1), plain(RETURN, ALLOW)]);
        }
        filter.push(plain(RETURN, fails(libc::EPERM)));
        Confinement { filter, is_powerless: !given.capability, ..Confinement::default() }
    }

    /// Only this call fails.
    fn without(call: c_long) -> Confinement {
        let mut filter = vec![plain(LOAD, NUMBER)];
        filter.extend(refusal(call, libc::EPERM));
        filter.push(plain(RETURN, ALLOW));
        Confinement { filter, ..Confinement::default() }
    }

    /// Confines this process. Nothing here allocates, as it is the child of a fork.
    fn enter(&self) -> io::Result<()> {
        if let Some(flags) = self.temporary {
            replace_temporary(flags)?;
        }
        if self.is_powerless {
            drop_capability();
        }
        if !self.filter.is_empty() {
            let program = libc::sock_fprog { len: self.filter.len() as u16, filter: self.filter.as_ptr().cast_mut() };
            // SAFETY: the filter is live.
            unsafe {
                succeeds(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
                succeeds(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program))?;
            }
        }
        Ok(())
    }

    /// Runs seedbed inside. Ends the test if it does not end soon.
    fn seedbed(&self, folder: &TempDir, arguments: &str) -> Output {
        // `timeout` is outside of what is tested, and a confinement passes to its children.
        let mut command = processes::program("timeout");
        command.arg(PATIENCE.as_secs().to_string()).arg(env!("CARGO_BIN_EXE_seedbed"));
        command.args(arguments.split_whitespace()).current_dir(folder.path());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        let inner = self.clone();
        // SAFETY: `enter` makes system calls only.
        unsafe { command.pre_exec(move || inner.enter()) };
        command.output().expect("seedbed starts")
    }
}

/// A run that cannot be is refused at once.
const PATIENCE: Duration = Duration::from_secs(60);

fn plain(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// A call fails.
fn refusal(call: c_long, errno: c_int) -> [sock_filter; 2] {
    [jump(IF_EQUAL, call as u32, 0, 1), plain(RETURN, fails(errno))]
}

fn succeeds(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Of root's powers that to trace others. Other users have none, so nothing need succeed.
fn drop_capability() {
    const VERSION_3: u32 = 0x2008_0522;
    const SYS_PTRACE: u32 = 19;
    let header = [VERSION_3, 0];
    // Effective, permitted, inheritable: of the first 32 capabilities, then of the others.
    let mut sets = [0_u32; 6];
    // SAFETY: the arrays are as long as the call expects.
    unsafe {
        libc::prctl(libc::PR_CAPBSET_DROP, SYS_PTRACE, 0, 0, 0);
        libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr());
        sets[..3].iter_mut().for_each(|set| *set &= !(1 << SYS_PTRACE));
        libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr());
    }
}

const BASE: &CStr = c"/tmp/seedbed";

/// Mounts an empty file system where copies are made, for this process alone.
fn replace_temporary(flags: libc::c_ulong) -> io::Result<()> {
    let none = ptr::null();
    // SAFETY: all texts end with a zero.
    unsafe {
        succeeds(libc::unshare(libc::CLONE_NEWNS))?;
        let private = libc::MS_REC | libc::MS_PRIVATE;
        succeeds(libc::mount(none, c"/".as_ptr(), none, private, ptr::null()))?;
        succeeds(libc::mount(c"none".as_ptr(), BASE.as_ptr(), c"tmpfs".as_ptr(), flags, ptr::null()))
    }
}

/// A folder with a program that would run for ever.
fn folder() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    // Other users run it, too.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a folder");
    let program = folder.path().join("program");
    fs::write(&program, "#!/bin/sh\nwhile true; do sleep 1; done\n").expect("a file");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a file");
    folder
}

const LAST: &str = "to simulate a small program";

/// The doctor says that exactly this is missing, besides what follows from it, and that these words help; a run ends with a
/// hint to the doctor.
#[track_caller]
fn lacks(confinement: &Confinement, missing: &[&str], remedies: &[&str]) {
    let folder = folder();
    let output = confinement.seedbed(&folder, "doctor");
    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{report}{}", String::from_utf8_lossy(&output.stderr));
    let found: Vec<&str> = report.lines().filter_map(|line| line.strip_prefix("missing  ")).collect();
    let expected = || missing.iter().copied();
    assert_eq!(found.len(), expected().count(), "{report}");
    assert!(found.iter().zip(expected()).all(|(found, expected)| found.starts_with(expected)), "{report}");
    assert!(remedies.iter().all(|remedy| report.contains(remedy)), "{report}");
    assert!(report.contains("\nPrograms cannot be simulated here."), "{report}");

    let output = confinement.seedbed(&folder, "run simple-1 --seed 1 -r ./program --virtual");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("; `seedbed doctor` says more"), "{error}");
}

const CONTAINER: &[&str] = &["--cap-add SYS_PTRACE", "--security-opt seccomp=unconfined"];

/// This user, and one without privileges if this one is root and the other may run what is tested.
fn users() -> Vec<Option<u32>> {
    const UNPRIVILEGED: u32 = 65_534;
    let mut probe = processes::seedbed();
    let can_change = geteuid().is_root() && probe.arg("--version").uid(UNPRIVILEGED).gid(UNPRIVILEGED).output().is_ok();
    if !can_change {
        eprintln!("SKIPPED: user {UNPRIVILEGED} cannot run what is tested");
    }
    [None].into_iter().chain(can_change.then_some(Some(UNPRIVILEGED))).collect()
}

#[test]
fn in_a_container_with_dockers_default_rules_the_doctor_names_what_is_missing_and_the_flags_that_help() {
    let descriptors = "to share descriptors with a process (pidfd_getfd)";
    let addresses = "to fix addresses (personality";
    let capability = Given { capability: true, ..Given::default() };
    for user in users() {
        let docker = |given| Confinement { user, ..Confinement::docker(given) };
        lacks(&docker(Given::default()), &[descriptors, addresses, LAST], CONTAINER);
        lacks(&docker(capability), &[addresses, LAST], CONTAINER);
    }
}

/// All else that the rules refuse is not needed.
#[test]
fn in_a_container_with_the_capability_to_trace_and_fixed_addresses_allowed_programs_are_simulated() {
    for user in users() {
        let confinement = Confinement { user, ..Confinement::docker(Given { capability: true, profile: true }) };
        let output = confinement.seedbed(&folder(), "doctor");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// The kernel lets each process trace those that it has started, so without the filter the capability is not needed.
#[test]
fn without_the_filter_programs_are_simulated_also_without_the_capability_to_trace() {
    let powerless = Confinement { is_powerless: true, ..Confinement::default() };
    let output = powerless.seedbed(&folder(), "doctor");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn each_call_that_is_needed_is_named_if_it_alone_is_refused_and_no_run_begins() {
    for (call, missing) in [
        (libc::SYS_ptrace, "to trace a process (ptrace)"),
        (libc::SYS_pidfd_getfd, "to share descriptors with a process (pidfd_getfd)"),
        (libc::SYS_process_vm_readv, "to read and write the memory of a process"),
        (libc::SYS_process_vm_writev, "to read and write the memory of a process"),
        (libc::SYS_personality, "to fix addresses (personality"),
        (libc::SYS_seccomp, "to filter system calls (seccomp)"),
    ] {
        lacks(&Confinement::without(call), &[missing, LAST], CONTAINER);
    }
    let pidfd = ["to name a process (pidfd_open)", "to share descriptors with a process (pidfd_getfd)", LAST];
    lacks(&Confinement::without(libc::SYS_pidfd_open), &pidfd, CONTAINER);
}

#[test]
fn a_place_for_copies_that_cannot_be_written_or_run_from_is_named() {
    for flags in [libc::MS_RDONLY, libc::MS_NOEXEC] {
        // Both are for this process alone; it must be there to be covered.
        let _ = fs::create_dir("/tmp/seedbed")
            .and_then(|()| fs::set_permissions("/tmp/seedbed", fs::Permissions::from_mode(0o1777)));
        let confinement = Confinement { temporary: Some(flags), ..Confinement::default() };
        let mut probe = processes::program("true");
        let inner = confinement.clone();
        // SAFETY: `enter` makes system calls only.
        unsafe { probe.pre_exec(move || inner.enter()) };
        if let Err(error) = probe.status() {
            eprintln!("SKIPPED: this user cannot mount: {error}");
            return;
        }
        lacks(&confinement, &["to copy programs to /tmp/seedbed and run them there"], &["--tmpfs /tmp:exec"]);
    }
}
