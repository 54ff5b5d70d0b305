//! Every system call of x86-64 Linux, and what becomes of it.
//!
//! Numbers and names are those of syscalls(2). A call is free if it can neither tell the time, nor give randomness, nor
//! block, nor reach beyond the simulation: the filter lets it pass, and nothing here ever sees it. All others stop their
//! thread before they begin.

use crate::calls::{self, Handler};

/// What becomes of a system call.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// The kernel does it, and the thread does not stop.
    Free,
    /// It stops, and this decides.
    Asked(Handler),
    /// It fails with this error, as on a system that does not have it; callers know what to do then.
    Fails(i32),
    /// It cannot be simulated, and the run ends. The text says what to use in its place.
    Refused(&'static str),
}

/// A system call.
#[derive(Clone, Copy, Debug)]
pub struct SystemCall {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// What becomes of it.
    pub rule: Rule,
}

/// How a call is refused that is in no list, because the kernel is newer than this program.
const UNKNOWN: Rule = Rule::Refused("this system call is newer than this program");

/// What becomes of a call with this number.
pub fn rule(number: u64) -> Rule {
    find(number).map_or(UNKNOWN, |call| call.rule)
}

/// The name of a call with this number.
pub fn name(number: u64) -> String {
    find(number).map_or_else(|| format!("system call {number}"), |call| call.name.to_owned())
}

fn find(number: u64) -> Option<&'static SystemCall> {
    let place = TABLE.binary_search_by_key(&number, |call| u64::from(call.number)).ok()?;
    TABLE.get(place)
}

macro_rules! table {
    ($($number:literal $name:literal $rule:expr;)*) => {
        &[$(SystemCall { number: $number, name: $name, rule: $rule }),*]
    };
}

use Rule::{Asked, Fails, Free, Refused};

const SYSTEM_V: &str = "System V IPC is shared with the whole machine; use files, pipes or threads";
const QUEUES: &str = "POSIX message queues are shared with the whole machine; use pipes or threads";
const PRIVILEGED: i32 = libc::EPERM;
const ABSENT: i32 = libc::ENOSYS;
const SIGNALS: &str = "descriptors of signals are not simulated; use handlers, or sigwait";

/// All of them, by number.
pub const TABLE: &[SystemCall] = table! {
    0 "read" Asked(calls::transfer::read);
    1 "write" Asked(calls::transfer::write);
    2 "open" Asked(calls::files::open);
    3 "close" Asked(calls::descriptors::close);
    4 "stat" Asked(calls::files::stat);
    5 "fstat" Asked(calls::files::fstat);
    6 "lstat" Asked(calls::files::stat);
    7 "poll" Asked(calls::ready::poll);
    8 "lseek" Free;
    9 "mmap" Free;
    10 "mprotect" Free;
    11 "munmap" Free;
    12 "brk" Free;
    13 "rt_sigaction" Free;
    14 "rt_sigprocmask" Free;
    15 "rt_sigreturn" Free;
    16 "ioctl" Asked(calls::descriptors::ioctl);
    17 "pread64" Asked(calls::transfer::pread);
    18 "pwrite64" Free;
    19 "readv" Asked(calls::transfer::readv);
    20 "writev" Asked(calls::transfer::writev);
    21 "access" Asked(calls::files::access);
    22 "pipe" Free;
    23 "select" Asked(calls::ready::select);
    24 "sched_yield" Asked(calls::threads::sched_yield);
    25 "mremap" Free;
    26 "msync" Free;
    27 "mincore" Asked(calls::files::mincore);
    28 "madvise" Free;
    29 "shmget" Refused(SYSTEM_V);
    30 "shmat" Refused(SYSTEM_V);
    31 "shmctl" Refused(SYSTEM_V);
    32 "dup" Asked(calls::descriptors::dup);
    33 "dup2" Asked(calls::descriptors::dup);
    34 "pause" Asked(calls::signals::pause);
    35 "nanosleep" Asked(calls::time::nanosleep);
    36 "getitimer" Asked(calls::timers::getitimer);
    37 "alarm" Asked(calls::timers::alarm);
    38 "setitimer" Asked(calls::timers::setitimer);
    39 "getpid" Asked(calls::identity::getpid);
    40 "sendfile" Asked(calls::transfer::sendfile);
    41 "socket" Asked(calls::sockets::socket);
    42 "connect" Asked(calls::sockets::connect);
    43 "accept" Asked(calls::sockets::accept);
    44 "sendto" Asked(calls::transfer::sendto);
    45 "recvfrom" Asked(calls::transfer::recvfrom);
    46 "sendmsg" Asked(calls::transfer::sendmsg);
    47 "recvmsg" Asked(calls::transfer::recvmsg);
    48 "shutdown" Asked(calls::sockets::shutdown);
    49 "bind" Asked(calls::sockets::bind);
    50 "listen" Asked(calls::sockets::listen);
    51 "getsockname" Asked(calls::sockets::getsockname);
    52 "getpeername" Asked(calls::sockets::getpeername);
    53 "socketpair" Free;
    54 "setsockopt" Asked(calls::sockets::setsockopt);
    55 "getsockopt" Asked(calls::sockets::getsockopt);
    56 "clone" Asked(calls::threads::clone);
    57 "fork" Asked(calls::threads::fork);
    58 "vfork" Asked(calls::threads::fork);
    59 "execve" Free;
    60 "exit" Asked(calls::threads::exit);
    61 "wait4" Asked(calls::processes::wait4);
    62 "kill" Asked(calls::signals::kill);
    63 "uname" Asked(calls::identity::uname);
    64 "semget" Refused(SYSTEM_V);
    65 "semop" Refused(SYSTEM_V);
    66 "semctl" Refused(SYSTEM_V);
    67 "shmdt" Refused(SYSTEM_V);
    68 "msgget" Refused(SYSTEM_V);
    69 "msgsnd" Refused(SYSTEM_V);
    70 "msgrcv" Refused(SYSTEM_V);
    71 "msgctl" Refused(SYSTEM_V);
    72 "fcntl" Asked(calls::descriptors::fcntl);
    73 "flock" Asked(calls::descriptors::flock);
    74 "fsync" Free;
    75 "fdatasync" Free;
    76 "truncate" Asked(calls::changes::at_first);
    77 "ftruncate" Free;
    78 "getdents" Fails(ABSENT);
    79 "getcwd" Free;
    80 "chdir" Free;
    81 "fchdir" Free;
    82 "rename" Asked(calls::changes::at_both);
    83 "mkdir" Asked(calls::changes::at_first);
    84 "rmdir" Asked(calls::changes::at_first);
    85 "creat" Asked(calls::files::creat);
    86 "link" Asked(calls::changes::at_both);
    87 "unlink" Asked(calls::changes::at_first);
    88 "symlink" Asked(calls::changes::at_second);
    89 "readlink" Asked(calls::files::readlink);
    90 "chmod" Free;
    91 "fchmod" Asked(calls::changes::fchmod);
    92 "chown" Asked(calls::changes::chown);
    93 "fchown" Asked(calls::changes::fchown);
    94 "lchown" Asked(calls::changes::chown);
    95 "umask" Free;
    96 "gettimeofday" Asked(calls::time::gettimeofday);
    97 "getrlimit" Asked(calls::limits::getrlimit);
    98 "getrusage" Asked(calls::time::getrusage);
    99 "sysinfo" Asked(calls::time::sysinfo);
    100 "times" Asked(calls::time::times);
    101 "ptrace" Fails(PRIVILEGED);
    102 "getuid" Free;
    103 "syslog" Fails(PRIVILEGED);
    104 "getgid" Free;
    105 "setuid" Asked(calls::changes::become_user);
    106 "setgid" Asked(calls::changes::become_user);
    107 "geteuid" Free;
    108 "getegid" Free;
    109 "setpgid" Asked(calls::identity::setpgid);
    110 "getppid" Asked(calls::identity::getppid);
    111 "getpgrp" Asked(calls::identity::getpgrp);
    112 "setsid" Asked(calls::identity::setsid);
    113 "setreuid" Asked(calls::changes::become_user);
    114 "setregid" Asked(calls::changes::become_user);
    115 "getgroups" Free;
    116 "setgroups" Fails(PRIVILEGED);
    117 "setresuid" Asked(calls::changes::become_user);
    118 "getresuid" Free;
    119 "setresgid" Asked(calls::changes::become_user);
    120 "getresgid" Free;
    121 "getpgid" Asked(calls::identity::getpgid);
    122 "setfsuid" Fails(PRIVILEGED);
    123 "setfsgid" Fails(PRIVILEGED);
    124 "getsid" Asked(calls::identity::getpgid);
    125 "capget" Free;
    126 "capset" Fails(PRIVILEGED);
    127 "rt_sigpending" Free;
    128 "rt_sigtimedwait" Asked(calls::signals::sigtimedwait);
    129 "rt_sigqueueinfo" Asked(calls::signals::sigqueue);
    130 "rt_sigsuspend" Asked(calls::signals::sigsuspend);
    131 "sigaltstack" Free;
    132 "utime" Free;
    133 "mknod" Asked(calls::changes::at_first);
    134 "uselib" Fails(ABSENT);
    135 "personality" Asked(calls::identity::personality);
    136 "ustat" Fails(ABSENT);
    137 "statfs" Asked(calls::files::statfs);
    138 "fstatfs" Asked(calls::files::statfs);
    139 "sysfs" Fails(ABSENT);
    140 "getpriority" Asked(calls::identity::getpriority);
    141 "setpriority" Asked(calls::identity::setpriority);
    142 "sched_setparam" Fails(PRIVILEGED);
    143 "sched_getparam" Asked(calls::identity::sched_getparam);
    144 "sched_setscheduler" Fails(PRIVILEGED);
    145 "sched_getscheduler" Asked(calls::identity::sched_getscheduler);
    146 "sched_get_priority_max" Free;
    147 "sched_get_priority_min" Free;
    148 "sched_rr_get_interval" Fails(ABSENT);
    149 "mlock" Free;
    150 "munlock" Free;
    151 "mlockall" Free;
    152 "munlockall" Free;
    153 "vhangup" Fails(PRIVILEGED);
    154 "modify_ldt" Fails(ABSENT);
    155 "pivot_root" Fails(PRIVILEGED);
    156 "_sysctl" Fails(ABSENT);
    157 "prctl" Asked(calls::processes::prctl);
    158 "arch_prctl" Free;
    159 "adjtimex" Fails(PRIVILEGED);
    160 "setrlimit" Asked(calls::limits::setrlimit);
    161 "chroot" Fails(PRIVILEGED);
    162 "sync" Fails(ABSENT);
    163 "acct" Fails(PRIVILEGED);
    164 "settimeofday" Fails(PRIVILEGED);
    165 "mount" Fails(PRIVILEGED);
    166 "umount2" Fails(PRIVILEGED);
    167 "swapon" Fails(PRIVILEGED);
    168 "swapoff" Fails(PRIVILEGED);
    169 "reboot" Fails(PRIVILEGED);
    170 "sethostname" Fails(PRIVILEGED);
    171 "setdomainname" Fails(PRIVILEGED);
    172 "iopl" Fails(PRIVILEGED);
    173 "ioperm" Fails(PRIVILEGED);
    174 "create_module" Fails(ABSENT);
    175 "init_module" Fails(PRIVILEGED);
    176 "delete_module" Fails(PRIVILEGED);
    177 "get_kernel_syms" Fails(ABSENT);
    178 "query_module" Fails(ABSENT);
    179 "quotactl" Fails(PRIVILEGED);
    180 "nfsservctl" Fails(ABSENT);
    181 "getpmsg" Fails(ABSENT);
    182 "putpmsg" Fails(ABSENT);
    183 "afs_syscall" Fails(ABSENT);
    184 "tuxcall" Fails(ABSENT);
    185 "security" Fails(ABSENT);
    186 "gettid" Asked(calls::identity::gettid);
    187 "readahead" Free;
    188 "setxattr" Fails(libc::ENOTSUP);
    189 "lsetxattr" Fails(libc::ENOTSUP);
    190 "fsetxattr" Fails(libc::ENOTSUP);
    191 "getxattr" Fails(libc::ENOTSUP);
    192 "lgetxattr" Fails(libc::ENOTSUP);
    193 "fgetxattr" Fails(libc::ENOTSUP);
    194 "listxattr" Fails(libc::ENOTSUP);
    195 "llistxattr" Fails(libc::ENOTSUP);
    196 "flistxattr" Fails(libc::ENOTSUP);
    197 "removexattr" Fails(libc::ENOTSUP);
    198 "lremovexattr" Fails(libc::ENOTSUP);
    199 "fremovexattr" Fails(libc::ENOTSUP);
    200 "tkill" Asked(calls::signals::tkill);
    201 "time" Asked(calls::time::time);
    202 "futex" Asked(calls::futex::futex);
    203 "sched_setaffinity" Asked(calls::identity::sched_setaffinity);
    204 "sched_getaffinity" Asked(calls::identity::sched_getaffinity);
    205 "set_thread_area" Fails(ABSENT);
    206 "io_setup" Fails(ABSENT);
    207 "io_destroy" Fails(ABSENT);
    208 "io_getevents" Fails(ABSENT);
    209 "io_submit" Fails(ABSENT);
    210 "io_cancel" Fails(ABSENT);
    211 "get_thread_area" Fails(ABSENT);
    212 "lookup_dcookie" Fails(ABSENT);
    213 "epoll_create" Free;
    214 "epoll_ctl_old" Fails(ABSENT);
    215 "epoll_wait_old" Fails(ABSENT);
    216 "remap_file_pages" Fails(ABSENT);
    217 "getdents64" Asked(calls::files::getdents64);
    218 "set_tid_address" Asked(calls::threads::set_tid_address);
    219 "restart_syscall" Refused("a call that was interrupted goes on where the simulation cannot see it");
    220 "semtimedop" Refused(SYSTEM_V);
    221 "fadvise64" Free;
    222 "timer_create" Asked(calls::timers::timer_create);
    223 "timer_settime" Asked(calls::timers::timer_settime);
    224 "timer_gettime" Asked(calls::timers::timer_gettime);
    225 "timer_getoverrun" Asked(calls::timers::timer_getoverrun);
    226 "timer_delete" Asked(calls::timers::timer_delete);
    227 "clock_settime" Fails(PRIVILEGED);
    228 "clock_gettime" Asked(calls::time::clock_gettime);
    229 "clock_getres" Free;
    230 "clock_nanosleep" Asked(calls::time::clock_nanosleep);
    231 "exit_group" Asked(calls::threads::exit);
    232 "epoll_wait" Asked(calls::ready::epoll_wait);
    233 "epoll_ctl" Free;
    234 "tgkill" Asked(calls::signals::tgkill);
    235 "utimes" Free;
    236 "vserver" Fails(ABSENT);
    237 "mbind" Fails(ABSENT);
    238 "set_mempolicy" Fails(ABSENT);
    239 "get_mempolicy" Fails(ABSENT);
    240 "mq_open" Refused(QUEUES);
    241 "mq_unlink" Refused(QUEUES);
    242 "mq_timedsend" Refused(QUEUES);
    243 "mq_timedreceive" Refused(QUEUES);
    244 "mq_notify" Refused(QUEUES);
    245 "mq_getsetattr" Refused(QUEUES);
    246 "kexec_load" Fails(PRIVILEGED);
    247 "waitid" Asked(calls::processes::waitid);
    248 "add_key" Fails(ABSENT);
    249 "request_key" Fails(ABSENT);
    250 "keyctl" Fails(ABSENT);
    251 "ioprio_set" Fails(PRIVILEGED);
    252 "ioprio_get" Fails(ABSENT);
    253 "inotify_init" Fails(ABSENT);
    254 "inotify_add_watch" Fails(ABSENT);
    255 "inotify_rm_watch" Fails(ABSENT);
    256 "migrate_pages" Fails(ABSENT);
    257 "openat" Asked(calls::files::openat);
    258 "mkdirat" Asked(calls::changes::at_folder);
    259 "mknodat" Asked(calls::changes::at_folder);
    260 "fchownat" Asked(calls::changes::fchownat);
    261 "futimesat" Free;
    262 "newfstatat" Asked(calls::files::newfstatat);
    263 "unlinkat" Asked(calls::changes::at_folder);
    264 "renameat" Asked(calls::changes::at_both_folders);
    265 "linkat" Asked(calls::changes::at_both_folders);
    266 "symlinkat" Asked(calls::changes::at_second_folder);
    267 "readlinkat" Asked(calls::files::readlinkat);
    268 "fchmodat" Free;
    269 "faccessat" Asked(calls::files::faccessat);
    270 "pselect6" Asked(calls::ready::pselect6);
    271 "ppoll" Asked(calls::ready::ppoll);
    272 "unshare" Fails(PRIVILEGED);
    273 "set_robust_list" Free;
    274 "get_robust_list" Free;
    275 "splice" Fails(libc::EINVAL);
    276 "tee" Fails(libc::EINVAL);
    277 "sync_file_range" Free;
    278 "vmsplice" Fails(libc::EINVAL);
    279 "move_pages" Fails(ABSENT);
    280 "utimensat" Free;
    281 "epoll_pwait" Asked(calls::ready::epoll_wait);
    282 "signalfd" Refused(SIGNALS);
    283 "timerfd_create" Asked(calls::timers::timerfd_create);
    284 "eventfd" Free;
    285 "fallocate" Free;
    286 "timerfd_settime" Asked(calls::timers::timerfd_settime);
    287 "timerfd_gettime" Asked(calls::timers::timerfd_gettime);
    288 "accept4" Asked(calls::sockets::accept);
    289 "signalfd4" Refused(SIGNALS);
    290 "eventfd2" Free;
    291 "epoll_create1" Free;
    292 "dup3" Asked(calls::descriptors::dup);
    293 "pipe2" Free;
    294 "inotify_init1" Fails(ABSENT);
    295 "preadv" Asked(calls::transfer::preadv);
    296 "pwritev" Free;
    297 "rt_tgsigqueueinfo" Asked(calls::signals::tgsigqueue);
    298 "perf_event_open" Fails(PRIVILEGED);
    299 "recvmmsg" Asked(calls::transfer::recvmmsg);
    300 "fanotify_init" Fails(PRIVILEGED);
    301 "fanotify_mark" Fails(PRIVILEGED);
    302 "prlimit64" Asked(calls::limits::prlimit);
    303 "name_to_handle_at" Fails(libc::ENOTSUP);
    304 "open_by_handle_at" Fails(PRIVILEGED);
    305 "clock_adjtime" Fails(PRIVILEGED);
    306 "syncfs" Free;
    307 "sendmmsg" Asked(calls::transfer::sendmmsg);
    308 "setns" Fails(PRIVILEGED);
    309 "getcpu" Asked(calls::identity::getcpu);
    310 "process_vm_readv" Fails(PRIVILEGED);
    311 "process_vm_writev" Fails(PRIVILEGED);
    312 "kcmp" Fails(PRIVILEGED);
    313 "finit_module" Fails(PRIVILEGED);
    314 "sched_setattr" Fails(PRIVILEGED);
    315 "sched_getattr" Fails(ABSENT);
    316 "renameat2" Asked(calls::changes::at_both_folders);
    317 "seccomp" Fails(ABSENT);
    318 "getrandom" Asked(calls::random::getrandom);
    319 "memfd_create" Free;
    320 "kexec_file_load" Fails(PRIVILEGED);
    321 "bpf" Fails(PRIVILEGED);
    322 "execveat" Free;
    323 "userfaultfd" Fails(PRIVILEGED);
    324 "membarrier" Free;
    325 "mlock2" Free;
    326 "copy_file_range" Free;
    327 "preadv2" Fails(ABSENT);
    328 "pwritev2" Fails(ABSENT);
    329 "pkey_mprotect" Free;
    330 "pkey_alloc" Free;
    331 "pkey_free" Free;
    332 "statx" Asked(calls::files::statx);
    333 "io_pgetevents" Fails(ABSENT);
    334 "rseq" Fails(ABSENT);
    424 "pidfd_send_signal" Asked(calls::signals::pidfd_send_signal);
    425 "io_uring_setup" Fails(ABSENT);
    426 "io_uring_enter" Fails(ABSENT);
    427 "io_uring_register" Fails(ABSENT);
    428 "open_tree" Fails(PRIVILEGED);
    429 "move_mount" Fails(PRIVILEGED);
    430 "fsopen" Fails(PRIVILEGED);
    431 "fsconfig" Fails(PRIVILEGED);
    432 "fsmount" Fails(PRIVILEGED);
    433 "fspick" Fails(PRIVILEGED);
    434 "pidfd_open" Asked(calls::identity::pidfd_open);
    435 "clone3" Asked(calls::threads::clone3);
    436 "close_range" Asked(calls::descriptors::close_range);
    437 "openat2" Fails(ABSENT);
    438 "pidfd_getfd" Fails(PRIVILEGED);
    439 "faccessat2" Asked(calls::files::faccessat);
    440 "process_madvise" Fails(PRIVILEGED);
    441 "epoll_pwait2" Asked(calls::ready::epoll_pwait2);
    442 "mount_setattr" Fails(PRIVILEGED);
    443 "quotactl_fd" Fails(PRIVILEGED);
    444 "landlock_create_ruleset" Fails(ABSENT);
    445 "landlock_add_rule" Fails(ABSENT);
    446 "landlock_restrict_self" Fails(ABSENT);
    447 "memfd_secret" Fails(ABSENT);
    448 "process_mrelease" Fails(ABSENT);
    449 "futex_waitv" Fails(ABSENT);
    450 "set_mempolicy_home_node" Fails(ABSENT);
    451 "cachestat" Fails(ABSENT);
    452 "fchmodat2" Asked(calls::changes::fchmodat2);
    453 "map_shadow_stack" Fails(ABSENT);
    454 "futex_wake" Fails(ABSENT);
    455 "futex_wait" Fails(ABSENT);
    456 "futex_requeue" Fails(ABSENT);
    457 "statmount" Fails(ABSENT);
    458 "listmount" Fails(ABSENT);
    459 "lsm_get_self_attr" Fails(ABSENT);
    460 "lsm_set_self_attr" Fails(ABSENT);
    461 "lsm_list_modules" Fails(ABSENT);
    462 "mseal" Fails(ABSENT);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_listed_once_and_in_order() {
        assert!(TABLE.windows(2).all(|pair| pair[0].number < pair[1].number));
    }

    #[test]
    fn the_numbers_are_those_of_the_kernel() {
        let known = [
            (libc::SYS_read, "read"),
            (libc::SYS_epoll_pwait2, "epoll_pwait2"),
            (libc::SYS_futex, "futex"),
            (libc::SYS_newfstatat, "newfstatat"),
            (libc::SYS_clone3, "clone3"),
            (libc::SYS_timerfd_settime, "timerfd_settime"),
            (libc::SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo"),
            (libc::SYS_prlimit64, "prlimit64"),
            (libc::SYS_mseal, "mseal"),
        ];
        for (number, expected) in known {
            assert_eq!(name(number as u64), expected);
        }
        assert_eq!(name(999), "system call 999");
        assert!(matches!(rule(999), Rule::Refused(_)));
    }
}
