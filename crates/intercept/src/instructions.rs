//! Instructions of the processor that tell the time or give randomness without any system call.
//!
//! - `rdtsc` and `rdtscp` read the processor's clock. PR_SET_TSC makes them fail with SIGSEGV, and the answer is given
//!   here.
//! - `rdrand` and `rdseed` give random numbers, and nothing makes them fail. So they are looked for in a program's code,
//!   before it begins, and in that of the C++ library, when it is loaded. They are replaced by an invalid instruction
//!   (`ud2`), which fails with SIGILL.

use std::collections::BTreeMap;
use std::fs;

use crate::host::Host;
use crate::model::MONOTONIC_START;
use crate::thread::ThreadKey;
use crate::tracee::{Address, Registers, Tid};

/// Code of more than this is not searched: runtimes of this size are told by other means not to use such instructions.
const CODE_MAX: u64 = 8 << 20;

/// Runtimes whose own code is not searched, by the beginning of the file's name.
const RUNTIMES: [&str; 5] = ["python", "node", "java", "bash", "dash"];

/// How long a read of the processor's clock takes, in nanoseconds.
const CLOCK_READ: u64 = 50;

/// How fast that clock ticks, in ticks a nanosecond.
const TICKS: u64 = 2;

/// Where random instructions may begin that were replaced, and what each does.
pub type Replaced = BTreeMap<Address, Random>;

/// A random instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    /// The number of the register that it fills.
    register: u8,
    /// Whether it fills all 64 bits of it.
    wide: bool,
    /// Its length in bytes.
    length: u64,
}

impl Host {
    /// Replaces random instructions in the code of a thread's process.
    pub(crate) fn patch_instructions(&mut self, key: ThreadKey) {
        let (tid, process) = (self.thread(key).tid, self.thread(key).process);
        for (start, end) in searched(tid) {
            let Ok(code) = tid.bytes(start, (end - start) as usize) else { continue };
            for (place, beginnings) in random_instructions(&code) {
                let address = start + place as u64;
                // ud2
                let replaced = tid.read_u64(address).and_then(|word| tid.poke(address, word & !0xFFFF | 0x0B0F));
                if replaced.is_ok() {
                    let beginnings = beginnings.into_iter().map(|(begin, random)| (start + begin as u64, random));
                    self.processes[process.0].replaced.extend(beginnings);
                }
            }
        }
    }

    /// Answers an instruction that has failed. False if it is not one of those that are answered here.
    pub(crate) fn answer_instruction(&mut self, key: ThreadKey, signal: i32) -> bool {
        let tid = self.thread(key).tid;
        let Ok(mut registers) = tid.registers() else { return false };
        let answered = match signal {
            libc::SIGSEGV => self.answer_clock(tid, &mut registers),
            libc::SIGILL => self.answer_random(key, &mut registers),
            _ => false,
        };
        answered && tid.set_registers(&registers).is_ok()
    }

    fn answer_clock(&mut self, tid: Tid, registers: &mut Registers) -> bool {
        let mut code = [0; 3];
        // The third byte may be on a page that is not there.
        if tid.read(registers.rip, &mut code).is_err() && tid.read(registers.rip, &mut code[..2]).is_err() {
            return false;
        }
        let length = match code {
            [0x0F, 0x31, _] => 2,
            [0x0F, 0x01, 0xF9] => {
                // The number of the processor.
                registers.rcx = 0;
                3
            }
            _ => return false,
        };
        self.spend(CLOCK_READ);
        let ticks = (self.clock + MONOTONIC_START) * TICKS;
        registers.rax = ticks & 0xFFFF_FFFF;
        registers.rdx = ticks >> 32;
        registers.rip += length;
        true
    }

    fn answer_random(&mut self, key: ThreadKey, registers: &mut Registers) -> bool {
        let found = self.process_of(key).replaced.get(&registers.rip).copied();
        let Some(Random { register, wide, length }) = found else { return false };
        let number = self.entropy.next();
        // Filling half of a register clears the other half.
        let number = if wide { number } else { number & 0xFFFF_FFFF };
        let registers_by_number: [&mut u64; 16] = [
            &mut registers.rax,
            &mut registers.rcx,
            &mut registers.rdx,
            &mut registers.rbx,
            &mut registers.rsp,
            &mut registers.rbp,
            &mut registers.rsi,
            &mut registers.rdi,
            &mut registers.r8,
            &mut registers.r9,
            &mut registers.r10,
            &mut registers.r11,
            &mut registers.r12,
            &mut registers.r13,
            &mut registers.r14,
            &mut registers.r15,
        ];
        *registers_by_number.into_iter().nth(usize::from(register)).expect("sixteen registers") = number;
        /// The carry flag says that there was a random number; the others are cleared.
        const CARRY: u64 = 1;
        const CLEARED: u64 = 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 11;
        registers.eflags = registers.eflags & !CLEARED | CARRY;
        registers.rip += length;
        true
    }
}

/// Whether a file is a library that is searched.
pub fn is_searched_library(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    name.starts_with(b"libstdc++")
}

/// The code of a process that is searched: its program's own, and that of the C++ library.
fn searched(tid: Tid) -> Vec<(Address, Address)> {
    let Ok(program) = fs::read_link(format!("/proc/{}/exe", tid.0)) else { return Vec::new() };
    let Ok(maps) = fs::read_to_string(format!("/proc/{}/maps", tid.0)) else { return Vec::new() };
    let program = program.to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or_default();
    let is_runtime = RUNTIMES.iter().any(|runtime| name.starts_with(runtime));
    let range = |line: &str| {
        let mut fields = line.split_whitespace();
        let (from, to) = fields.next()?.split_once('-')?;
        let is_code = fields.next()?.contains('x');
        let file = fields.nth(3)?;
        let is_searched = is_code && (is_searched_library(file.as_bytes()) || (file == program && !is_runtime));
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        (is_searched && to - from <= CODE_MAX).then_some((from, to))
    };
    maps.lines().filter_map(range).collect()
}

/// Where an instruction may begin, from the start of the code.
type Beginning = (usize, Random);

/// The random instructions of some code: `0F C7 /6` and `0F C7 /7` with a register. For each, where these bytes are, and
/// where the instruction begins: there, or one byte before if that is a REX prefix. That byte may also be the end of the
/// instruction before; where the processor fails says which.
///
/// Other instructions have such bytes among their numbers: in a megabyte of code that happens about once, and to change
/// them would break the program. So only what [`is_plausible`] is taken.
fn random_instructions(code: &[u8]) -> Vec<(usize, Vec<Beginning>)> {
    let mut found = Vec::new();
    for (place, bytes) in code.windows(3).enumerate() {
        if bytes[0] != 0x0F || bytes[1] != 0xC7 || bytes[2] < 0xF0 {
            continue;
        }
        if !is_plausible(code, place) {
            continue;
        }
        let register = bytes[2] & 7;
        let mut beginnings = vec![(place, Random { register, wide: false, length: 3 })];
        let before = place.checked_sub(1).map(|place| (place, code[place]));
        if let Some((begin, prefix @ 0x40..=0x4F)) = before {
            let (wide, high) = (prefix & 8 != 0, prefix & 1);
            beginnings.push((begin, Random { register: register + 8 * high, wide, length: 4 }));
        }
        found.push((place, beginnings));
    }
    found
}

/// Whether bytes that look like a random instruction are one.
///
/// Nearly all others are distances, of four bytes, of calls, jumps and data, and a distance that has 0xF0 or more as its
/// third byte has 0xFF as its fourth: it leads back by less than 16 MiB. No instruction that begins with 0xFF makes sense
/// here. And after a random instruction a program asks the carry flag whether there was a random number.
fn is_plausible(code: &[u8], place: usize) -> bool {
    /// How many bytes later that is at most.
    const SOON: usize = 16;
    let after = code.get(place + 3..).unwrap_or_default();
    let after = &after[..after.len().min(SOON)];
    let is_short = |byte: &u8| matches!(byte, 0x72 | 0x73);
    // setc, cmovc, jc and their opposites; adc and sbb.
    let is_long = |pair: &[u8]| {
        matches!(
            (pair[0], pair[1]),
            (0x0F, 0x42 | 0x43 | 0x82 | 0x83 | 0x92 | 0x93) | (0x83, 0xD0..=0xDF) | (0x11 | 0x13 | 0x19 | 0x1B, 0xC0..)
        )
    };
    after.first() != Some(&0xFF) && (after.iter().any(is_short) || after.windows(2).any(is_long))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_instructions_are_found_with_their_register_and_their_prefix() {
        // rdrand eax; rdseed rcx; rdrand r9; setc al; cmpxchg8b [rax] is another instruction of the same code.
        let code =
            [0x0F, 0xC7, 0xF0, 0x48, 0x0F, 0xC7, 0xF9, 0x49, 0x0F, 0xC7, 0xF1, 0x0F, 0x92, 0xC0, 0x0F, 0xC7, 0x08];
        let random = |register, wide, length| Random { register, wide, length };
        let expected = [
            (0, vec![(0, random(0, false, 3))]),
            (4, vec![(4, random(1, false, 3)), (3, random(1, true, 4))]),
            (8, vec![(8, random(1, false, 3)), (7, random(9, true, 4))]),
        ];
        assert_eq!(random_instructions(&code), expected);
    }
    #[test]
    fn a_distance_that_looks_like_a_random_instruction_is_left_alone() {
        // A call that leads back by 0x4_38F1 bytes; jc. As found in the C library's vfprintf.
        assert_eq!(random_instructions(&[0xE8, 0x0F, 0xC7, 0xFB, 0xFF, 0x72, 0x05]), []);
        // Nothing asks whether there was a random number.
        assert_eq!(random_instructions(&[0x0F, 0xC7, 0xF0, 0x90, 0x90, 0xC3]), []);
        assert_eq!(random_instructions(&[0x0F, 0xC7, 0xF0]), []);
    }
}
