//! Clocks that are read without a system call.
//!
//! Programs read clocks through the vDSO (vdso(7)): code of the kernel's in their own memory. It would show real time.
//! So each program gets one page that it shares with the tracer. The page holds the virtual time and code that reads it,
//! and the functions of the vDSO are overwritten with jumps to that code. Each read costs some nanoseconds of virtual
//! time, counted in the page, so that a loop that waits for a time to come ends. After many reads the code makes the real
//! system call, which stops, so that the tracer sees a program that does nothing else.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{MONOTONIC_START, WALL_START};
use crate::process::owned;
use crate::tracee::Address;

/// Where programs see the page: among their own mappings, as sanitizers see it (they keep much of the rest for themselves),
/// and far below where Linux begins to put things.
pub const ADDRESS: Address = 0x7F00_0000_0000;

/// Its size.
pub const SIZE: usize = 4096;

/// After this many reads since the tracer last looked, the next one stops.
pub const READS_MAX: u64 = 2_000;

/// Words of the page.
const NOW: usize = 0;
const READS: usize = 1;
const WALL: usize = 2;
const MONOTONIC: usize = 3;
const COST: usize = 4;
const LIMIT: usize = 5;

/// Where the code begins, in bytes.
const CODE: usize = 256;

/// The page of one host.
#[derive(Debug)]
pub struct TimePage {
    memory: NonNull<AtomicU64>,
    file: OwnedFd,
}

/// The code of the page, and where each function of the vDSO is to jump.
struct Code {
    bytes: Vec<u8>,
    clock_gettime: usize,
    gettimeofday: usize,
    time: usize,
    getcpu: usize,
    getrandom: usize,
}

impl TimePage {
    /// A page. Each read of a clock costs this many nanoseconds.
    ///
    /// # Errors
    /// If the system has no memory or no descriptor left.
    pub fn new(cost: u64) -> io::Result<TimePage> {
        // SAFETY: the name is a text with a zero.
        let file = owned(unsafe { libc::memfd_create(c"time".as_ptr(), libc::MFD_CLOEXEC) }.into())?;
        // SAFETY: the call takes numbers only.
        if unsafe { libc::ftruncate(file.as_raw_fd(), SIZE as i64) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let memory =
            unsafe { libc::mmap(std::ptr::null_mut(), SIZE, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast::<AtomicU64>()).ok_or_else(io::Error::last_os_error)?;
        let page = TimePage { memory, file };
        for (word, value) in [(WALL, WALL_START), (MONOTONIC, MONOTONIC_START), (COST, cost), (LIMIT, READS_MAX)] {
            page.word(word).store(value, Ordering::Relaxed);
        }
        let code = code().bytes;
        assert!(CODE + code.len() <= SIZE, "the code fits in the page");
        // SAFETY: the mapping has room for it, and no program has the page yet.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), memory.as_ptr().cast::<u8>().add(CODE), code.len()) };
        Ok(page)
    }

    fn word(&self, place: usize) -> &AtomicU64 {
        assert!(place < SIZE / 8, "the page has {} words", SIZE / 8);
        // SAFETY: the mapping lives as long as this value, is aligned, and has this many words. Programs change them only
        // while the tracer waits.
        unsafe { self.memory.add(place).as_ref() }
    }

    /// The time that clocks show from now on.
    pub fn set(&self, now: u64) {
        self.word(NOW).store(now, Ordering::Release);
    }

    /// What each read costs.
    pub fn set_cost(&self, cost: u64) {
        self.word(COST).store(cost, Ordering::Release);
    }

    /// How often clocks were read since this was last asked, and how long that took. The read that stops is not among
    /// them.
    pub fn take_reads(&self) -> (u64, u64) {
        let reads = self.word(READS).swap(0, Ordering::AcqRel).min(READS_MAX);
        (reads, reads * self.word(COST).load(Ordering::Acquire))
    }

    /// The descriptor of the page, by which a program gets it.
    pub fn descriptor(&self) -> i32 {
        self.file.as_raw_fd()
    }
}

impl Drop for TimePage {
    fn drop(&mut self) {
        // SAFETY: it is this value's own mapping, and nothing refers to it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), SIZE) };
    }
}

/// What stands at the beginning of each function of the vDSO: `mov rax, address; jmp rax`, as two words for
/// PTRACE_POKEDATA. None for a function that stays as it is.
pub fn jump(function: &str) -> Option<[u64; 2]> {
    let code = code();
    let place = match function {
        "__vdso_clock_gettime" => code.clock_gettime,
        "__vdso_gettimeofday" => code.gettimeofday,
        "__vdso_time" => code.time,
        "__vdso_getcpu" => code.getcpu,
        "__vdso_getrandom" => code.getrandom,
        _ => return None,
    };
    let mut bytes = [0x90; 16];
    bytes[..2].copy_from_slice(&[0x48, 0xB8]);
    bytes[2..10].copy_from_slice(&(ADDRESS + (CODE + place) as u64).to_le_bytes());
    bytes[10..12].copy_from_slice(&[0xFF, 0xE0]);
    let word = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("eight bytes"));
    Some([word(&bytes[..8]), word(&bytes[8..])])
}

/// Machine code that is put together with jumps whose ends are not known yet.
#[derive(Default)]
struct Assembler {
    bytes: Vec<u8>,
    /// Where the distances of jumps stand that lead to the next [`Assembler::land`].
    open: Vec<usize>,
}

impl Assembler {
    fn emit(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    fn emit_u32(&mut self, number: u32) {
        self.emit(&number.to_le_bytes());
    }

    /// A conditional jump to the slow way: the real system call.
    fn jump_if(&mut self, condition: u8) {
        self.emit(&[0x0F, condition]);
        self.open.push(self.bytes.len());
        self.emit_u32(0);
    }

    /// The slow way of the function before it.
    fn land(&mut self, number: i64) {
        for place in std::mem::take(&mut self.open) {
            let distance = (self.bytes.len() - place - 4) as u32;
            self.bytes[place..place + 4].copy_from_slice(&distance.to_le_bytes());
        }
        // mov eax, number; syscall; ret
        self.emit(&[0xB8]);
        self.emit_u32(number as u32);
        self.emit(&[0x0F, 0x05, 0xC3]);
    }

    /// Leaves the virtual time in rax and the page's address in r8, or takes the slow way if it was read too often.
    fn read_time(&mut self) {
        // mov r8, ADDRESS
        self.emit(&[0x49, 0xB8]);
        self.emit(&ADDRESS.to_le_bytes());
        // mov eax, 1; lock xadd [r8 + 8 * READS], rax
        self.emit(&[0xB8, 1, 0, 0, 0, 0xF0, 0x49, 0x0F, 0xC1, 0x40, 8 * READS as u8]);
        // cmp rax, [r8 + 8 * LIMIT]; jae slow
        self.emit(&[0x49, 0x3B, 0x40, 8 * LIMIT as u8]);
        self.jump_if(JAE);
        // imul rax, [r8 + 8 * COST]; add rax, [r8 + 8 * NOW]
        self.emit(&[0x49, 0x0F, 0xAF, 0x40, 8 * COST as u8, 0x49, 0x03, 0x40, 8 * NOW as u8]);
    }

    /// rax: seconds; rdx: nanoseconds; of the nanoseconds in rax.
    fn split_seconds(&mut self) {
        // xor edx, edx; mov ecx, 1000000000; div rcx
        self.emit(&[0x31, 0xD2, 0xB9]);
        self.emit_u32(1_000_000_000);
        self.emit(&[0x48, 0xF7, 0xF1]);
    }
}

/// Conditions of jumps.
const JAE: u8 = 0x83;
const JE: u8 = 0x84;
const JA: u8 = 0x87;

/// Clocks that show monotonic time: MONOTONIC, MONOTONIC_RAW, MONOTONIC_COARSE and BOOTTIME; and those that show the
/// wall's: REALTIME, REALTIME_COARSE and TAI. Sets of their numbers.
pub const MONOTONIC_CLOCKS: u32 = 1 << 1 | 1 << 4 | 1 << 6 | 1 << 7;
/// As [`MONOTONIC_CLOCKS`].
pub const WALL_CLOCKS: u32 = 1 << 0 | 1 << 5 | 1 << 11;

fn code() -> Code {
    let mut code = Assembler::default();
    let clock_gettime = code.bytes.len();
    // Other clocks go the slow way before the read is counted: the tracer charges for the call.
    // cmp edi, 11; ja slow
    code.emit(&[0x83, 0xFF, 11]);
    code.jump_if(JA);
    // mov edx, MONOTONIC_CLOCKS | WALL_CLOCKS; bt edx, edi; jnc slow
    code.emit(&[0xBA]);
    code.emit_u32(MONOTONIC_CLOCKS | WALL_CLOCKS);
    code.emit(&[0x0F, 0xA3, 0xFA]);
    code.jump_if(JAE);
    code.read_time();
    // mov edx, MONOTONIC_CLOCKS; bt edx, edi; jc monotonic
    code.emit(&[0xBA]);
    code.emit_u32(MONOTONIC_CLOCKS);
    code.emit(&[0x0F, 0xA3, 0xFA, 0x72, 6]);
    // add rax, [r8 + 8 * WALL]; jmp split
    code.emit(&[0x49, 0x03, 0x40, 8 * WALL as u8, 0xEB, 4]);
    // monotonic: add rax, [r8 + 8 * MONOTONIC]
    code.emit(&[0x49, 0x03, 0x40, 8 * MONOTONIC as u8]);
    // split:
    code.split_seconds();
    // mov [rsi], rax; mov [rsi + 8], rdx; xor eax, eax; ret
    code.emit(&[0x48, 0x89, 0x06, 0x48, 0x89, 0x56, 0x08, 0x31, 0xC0, 0xC3]);
    code.land(libc::SYS_clock_gettime);

    let gettimeofday = code.bytes.len();
    // test rdi, rdi; je slow; test rsi, rsi; jne slow (a time zone is wanted, too)
    code.emit(&[0x48, 0x85, 0xFF]);
    code.jump_if(JE);
    code.emit(&[0x48, 0x85, 0xF6]);
    code.jump_if(JNE);
    code.read_time();
    code.emit(&[0x49, 0x03, 0x40, 8 * WALL as u8]);
    code.split_seconds();
    // mov [rdi], rax; mov eax, edx; xor edx, edx; mov ecx, 1000; div ecx; mov [rdi + 8], rax; xor eax, eax; ret
    code.emit(&[0x48, 0x89, 0x07, 0x89, 0xD0, 0x31, 0xD2, 0xB9]);
    code.emit_u32(1_000);
    code.emit(&[0xF7, 0xF1, 0x48, 0x89, 0x47, 0x08, 0x31, 0xC0, 0xC3]);
    code.land(libc::SYS_gettimeofday);

    let time = code.bytes.len();
    code.land(libc::SYS_time);

    let getcpu = code.bytes.len();
    // There is one processor. xor eax, eax; test rdi, rdi; je +2; mov [rdi], eax; and the same for rsi; ret
    code.emit(&[0x31, 0xC0, 0x48, 0x85, 0xFF, 0x74, 0x02, 0x89, 0x07, 0x48, 0x85, 0xF6, 0x74, 0x02, 0x89, 0x06, 0xC3]);

    let getrandom = code.bytes.len();
    // As on a kernel without it: mov eax, -ENOSYS; cdqe; ret
    code.emit(&[0xB8]);
    code.emit_u32((-libc::ENOSYS) as u32);
    code.emit(&[0x48, 0x98, 0xC3]);
    Code { bytes: code.bytes, clock_gettime, gettimeofday, time, getcpu, getrandom }
}

const JNE: u8 = 0x85;

#[cfg(test)]
mod tests {
    use super::*;

    /// The page where programs see it. It is mapped once for all tests, with its code at the address for which it was
    /// made.
    fn mapped(page: &TimePage) {
        let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        // SAFETY: nothing else is at that address.
        let memory = unsafe { libc::mmap(ADDRESS as *mut _, SIZE, protection, flags, page.descriptor(), 0) };
        assert_eq!(memory as u64, ADDRESS);
    }

    /// All in one test, because there is one address.
    #[test]
    fn the_code_shows_each_clock_counts_its_reads_and_goes_the_slow_way_after_many() {
        let page = TimePage::new(50).expect("a page");
        mapped(&page);
        let code = code();
        let function = |place: usize| ADDRESS + (CODE + place) as u64;
        // SAFETY: the code was made to be called like this.
        let (clock_gettime, gettimeofday, getcpu) = unsafe {
            (
                std::mem::transmute::<u64, extern "C" fn(i32, *mut [u64; 2]) -> i64>(function(code.clock_gettime)),
                std::mem::transmute::<u64, extern "C" fn(*mut [u64; 2], *mut u8) -> i64>(function(code.gettimeofday)),
                std::mem::transmute::<u64, extern "C" fn(*mut u32, *mut u32) -> i64>(function(code.getcpu)),
            )
        };
        let now = 3_999_999_900;
        let read = |clock| {
            page.set(now);
            page.take_reads();
            let mut shown = [0; 2];
            assert_eq!(clock_gettime(clock, &mut shown), 0);
            shown
        };
        for clock in [1, 4, 6, 7] {
            assert_eq!(read(clock), [1_003, 999_999_900], "clock {clock}");
        }
        for clock in [0, 5, 11] {
            assert_eq!(read(clock), [1_700_000_003, 999_999_900], "clock {clock}");
        }
        // What it costs: the third read is in the next second.
        page.take_reads();
        let mut shown = [0; 2];
        for expected in [[1_003, 999_999_900], [1_003, 999_999_950], [1_004, 0]] {
            assert_eq!((clock_gettime(1, &mut shown), shown), (0, expected));
        }
        assert_eq!(page.take_reads(), (3, 150));
        assert_eq!(page.take_reads(), (0, 0));
        page.set_cost(7);
        assert_eq!((gettimeofday(&mut shown, std::ptr::null_mut()), shown), (0, [1_700_000_003, 999_999]));
        assert_eq!(page.take_reads(), (1, 7));

        // The slow way leads to the real clock, which shows another year. A processor's clock always goes that way.
        assert_eq!(clock_gettime(2, &mut shown), 0);
        assert!(shown[0] < 1_000, "{shown:?}");
        page.set_cost(0);
        for _ in 0..READS_MAX {
            assert_eq!((clock_gettime(0, &mut shown), shown[0]), (0, 1_700_000_003));
        }
        assert_eq!(clock_gettime(0, &mut shown), 0);
        assert!(shown[0] > 1_700_000_003, "{shown:?}");
        assert_eq!(page.take_reads().0, READS_MAX, "what went the slow way is not counted");

        let (mut cpu, mut node) = (7, 7);
        assert_eq!((getcpu(&mut cpu, &mut node), cpu, node), (0, 0, 0));
        assert_eq!(getcpu(std::ptr::null_mut(), std::ptr::null_mut()), 0);
    }

    #[test]
    fn the_functions_that_tell_anything_are_replaced() {
        for function in ["clock_gettime", "gettimeofday", "time", "getcpu", "getrandom"] {
            let [first, second] = jump(&format!("__vdso_{function}")).expect("it is replaced");
            assert_eq!((first & 0xFFFF, second >> 16 & 0xFFFF), (0xB848, 0xE0FF), "{function}");
        }
        assert_eq!(jump("__vdso_clock_getres"), None);
    }
}
