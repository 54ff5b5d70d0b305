//! The seccomp filter of traced programs: which system calls stop their thread.
//!
//! A filter is a small program for the kernel's packet filter (seccomp(2)). It looks at the number of each call and
//! answers whether the kernel does it at once or asks the tracer. It is made from the [table](crate::table) of calls.

use libc::sock_filter;

use crate::table::{Rule, SystemCall, TABLE};

/// AUDIT_ARCH_X86_64 of linux/audit.h.
const ARCH_X86_64: u32 = 0xC000_003E;

/// Where `struct seccomp_data` has the number of the call, and the architecture that it is made for.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
/// Where it has the low half of an argument.
const fn argument(place: u32) -> u32 {
    16 + 8 * place
}

/// Instructions, as linux/bpf_common.h builds them.
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;
pub const RETURN: u16 = 0x06;

/// Calls of which only some commands, in this argument, are of interest. All others pass.
const BY_COMMAND: [(i64, u32, &[u32]); 2] = [
    (
        libc::SYS_fcntl,
        1,
        &[
            libc::F_DUPFD as u32,
            libc::F_DUPFD_CLOEXEC as u32,
            libc::F_GETLK as u32,
            libc::F_SETLKW as u32,
            libc::F_OFD_SETLKW as u32,
            F_SETOWN as u32,
            F_SETOWN_EX as u32,
        ],
    ),
    (libc::SYS_ioctl, 1, IOCTLS),
];

/// What ioctl(2) is asked about sockets and interfaces.
pub const IOCTLS: &[u32] = &[
    libc::FIONREAD as u32,
    // SIOCGIFNAME, SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFHWADDR, SIOCGIFINDEX.
    0x8910,
    0x8912,
    0x8913,
    0x8915,
    0x8927,
    0x8933,
    OWNERS[0],
    OWNERS[1],
];

/// FIOSETOWN and SIOCSPGRP: they say which process gets a signal when something can be read.
pub const OWNERS: [u32; 2] = [0x8901, 0x8902];

/// The same as commands of fcntl(2).
pub const F_SETOWN: i32 = 8;
/// As [`F_SETOWN`].
pub const F_SETOWN_EX: i32 = 15;

/// The filter.
pub fn program() -> Vec<sock_filter> {
    let plain = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    let jump = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    let (pass, ask) = (plain(RETURN, libc::SECCOMP_RET_ALLOW), plain(RETURN, libc::SECCOMP_RET_TRACE));
    // A call of another architecture has numbers of another table. A 64-bit program can make one, too (`int 0x80`), and
    // its registers do not show that. So it ends in a signal, which the tracer knows by what comes with it.
    let foreign = plain(RETURN, libc::SECCOMP_RET_TRAP);
    let mut filter = vec![plain(LOAD, ARCH), jump(IF_EQUAL, ARCH_X86_64, 1, 0), foreign, plain(LOAD, NUMBER)];
    for (call, place, commands) in BY_COMMAND {
        filter.push(jump(IF_EQUAL, call as u32, 0, commands.len() as u8 + 3));
        filter.push(plain(LOAD, argument(place)));
        let ways = commands.len() as u8;
        for (left, command) in (1..=ways).rev().zip(commands) {
            filter.push(jump(IF_EQUAL, *command, left, 0));
        }
        filter.extend([pass, ask]);
    }
    for (first, last) in free_ranges(TABLE) {
        filter.push(jump(IF_AT_LEAST, first, 0, 2));
        filter.push(jump(IF_GREATER, last, 1, 0));
        filter.push(pass);
    }
    filter.push(ask);
    filter
}

/// The calls that pass, as ranges of their numbers.
fn free_ranges(table: &[SystemCall]) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for call in table.iter().filter(|call| matches!(call.rule, Rule::Free)) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == call.number => *last = call.number,
            _ => ranges.push((call.number, call.number)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter on a call, as the kernel does.
    fn verdict(filter: &[sock_filter], arch: u32, number: u32, arguments: [u32; 6]) -> u32 {
        let (mut place, mut accumulator) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = filter[place];
            place += 1;
            let mut branch = |taken: bool| place += usize::from(if taken { jt } else { jf });
            match code {
                LOAD if k == NUMBER => accumulator = number,
                LOAD if k == ARCH => accumulator = arch,
                LOAD => accumulator = arguments[(k as usize - 16) / 8],
                IF_EQUAL => branch(accumulator == k),
                IF_GREATER => branch(accumulator > k),
                IF_AT_LEAST => branch(accumulator >= k),
                RETURN => return k,
                other => panic!("an instruction that the filter never uses: {other:#x}"),
            }
        }
    }

    #[test]
    fn exactly_the_free_calls_pass() {
        let filter = program();
        for number in 0..1_024 {
            let is_free = TABLE.iter().any(|call| call.number == number && matches!(call.rule, Rule::Free));
            let by_command = BY_COMMAND.iter().any(|(call, ..)| *call == i64::from(number));
            let expected = if is_free || by_command { libc::SECCOMP_RET_ALLOW } else { libc::SECCOMP_RET_TRACE };
            // No command has this number.
            assert_eq!(verdict(&filter, ARCH_X86_64, number, [77; 6]), expected, "call {number}");
        }
    }

    #[test]
    fn calls_for_other_architectures_stop() {
        let filter = program();
        let getpid = libc::SYS_getpid as u32;
        assert_eq!(verdict(&filter, 0x4000_0003, 20, [0; 6]), libc::SECCOMP_RET_TRAP);
        assert_eq!(verdict(&filter, ARCH_X86_64, 0x4000_0000 | getpid, [0; 6]), libc::SECCOMP_RET_TRACE);
    }

    #[test]
    fn of_fcntl_and_ioctl_only_what_matters_stops() {
        let filter = program();
        for (call, _, commands) in BY_COMMAND {
            for &command in commands {
                let arguments = [3, command, 0, 0, 0, 0];
                assert_eq!(verdict(&filter, ARCH_X86_64, call as u32, arguments), libc::SECCOMP_RET_TRACE, "{command}");
            }
        }
        let getfl = [3, libc::F_GETFL as u32, 0, 0, 0, 0];
        assert_eq!(verdict(&filter, ARCH_X86_64, libc::SYS_fcntl as u32, getfl), libc::SECCOMP_RET_ALLOW);
    }
}
