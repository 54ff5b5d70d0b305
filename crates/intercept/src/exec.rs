//! What is changed in a process that has just become a program, before its first instruction.
//!
//! The kernel has left on its stack the auxiliary vector (getauxval(3)), with sixteen random bytes among it, and has
//! mapped the vDSO, whose clocks show real time.

use std::fs;

use crate::process::own_path;
use crate::random::Random;
use crate::stop::{Stop, Stops};
use crate::time_page::{self, ADDRESS, SIZE, TimePage};
use crate::tracee::{Address, BELOW_STACK, Fault, Registers, Tid};

/// MAP_FIXED_NOREPLACE, which not every libc knows.
const FIXED_NOREPLACE: i32 = 0x10_0000;

/// Takes the randomness of the kernel from a program that has just been loaded, and gives it the time page. Returns
/// whether it has the page. If not, it has no vDSO either, and each clock read is a system call that stops.
///
/// # Errors
/// If the program is gone.
pub fn prepare(tid: Tid, stops: &Stops, random: &mut Random, page: &TimePage) -> Result<bool, Fault> {
    let vector = AuxiliaryVector::read(tid)?;
    if let Some(address) = vector.random {
        tid.write_words(address, &[random.next(), random.next()])?;
    }
    let Some((entry, vdso)) = vector.vdso else { return Ok(false) };
    let has_page = install(tid, stops, vdso, page).is_ok_and(|installed| installed);
    if !has_page {
        // Programs that find AT_IGNORE where AT_SYSINFO_EHDR was use system calls.
        tid.poke(entry, libc::AT_IGNORE)?;
    }
    Ok(has_page)
}

/// What matters of the vector.
#[derive(Default)]
struct AuxiliaryVector {
    /// Where the random bytes are.
    random: Option<Address>,
    /// Where the entry about the vDSO is, and where the vDSO is.
    vdso: Option<(Address, Address)>,
}

impl AuxiliaryVector {
    fn read(tid: Tid) -> Result<AuxiliaryVector, Fault> {
        let mut place = tid.registers()?.rsp;
        let arguments = tid.read_u64(place)?;
        place += 8 * (arguments + 2);
        while tid.read_u64(place)? != 0 {
            place += 8;
        }
        place += 8;
        let mut vector = AuxiliaryVector::default();
        loop {
            let [kind, value] = tid.read_words(place)?;
            match kind {
                libc::AT_NULL => return Ok(vector),
                libc::AT_RANDOM => vector.random = Some(value),
                libc::AT_SYSINFO_EHDR => vector.vdso = Some((place, value)),
                _ => {}
            }
            place += 16;
        }
    }
}

/// Maps the page and overwrites the functions of the vDSO.
fn install(tid: Tid, stops: &Stops, vdso: Address, page: &TimePage) -> Result<bool, Fault> {
    let image = tid.bytes(vdso, SIZE)?;
    let Some(place) = image.windows(2).position(|code| code == [0x0F, 0x05]) else { return Ok(false) };
    let functions = functions_of_vdso();
    if !functions.iter().any(|(name, _)| name == "__vdso_clock_gettime") {
        return Ok(false);
    }
    // The end of execve.
    if !step(tid, stops) {
        return Ok(false);
    }
    let saved = tid.registers()?;
    let borrowed = Borrowed { tid, stops, saved, call: vdso + place as u64 };
    let mapped = borrowed.map(page);
    tid.set_registers(&saved)?;
    if !mapped? {
        return Ok(false);
    }
    for (name, offset) in functions {
        if let Some([first, second]) = time_page::jump(&name) {
            // Some kernels do not let the vDSO be written by the program itself. The tracer still may.
            tid.poke(vdso + offset, first)?;
            tid.poke(vdso + offset + 8, second)?;
        }
    }
    Ok(true)
}

/// A stopped thread that makes system calls for the tracer.
struct Borrowed<'s> {
    tid: Tid,
    stops: &'s Stops,
    saved: Registers,
    /// Where its memory has an instruction `syscall`.
    call: Address,
}

impl Borrowed<'_> {
    /// The page, opened through the tracer's own descriptor, so that the program has none of it.
    fn map(&self, page: &TimePage) -> Result<bool, Fault> {
        let path = own_path(page.descriptor()) + "\0";
        let place = self.saved.rsp - BELOW_STACK;
        let before = self.tid.bytes(place, path.len())?;
        self.tid.write(place, path.as_bytes())?;
        let file = self.make(libc::SYS_open, [place, libc::O_RDWR as u64, 0, 0, 0, 0])?;
        self.tid.write(place, &before)?;
        if file < 0 {
            return Ok(false);
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let flags = libc::MAP_SHARED | FIXED_NOREPLACE;
        let arguments = [ADDRESS, SIZE as u64, protection as u64, flags as u64, file as u64, 0];
        let mapped = self.make(libc::SYS_mmap, arguments)?;
        self.make(libc::SYS_close, [file as u64, 0, 0, 0, 0, 0])?;
        Ok(mapped as u64 == ADDRESS)
    }

    /// Makes a call and returns what it returned.
    fn make(&self, number: i64, [rdi, rsi, rdx, r10, r8, r9]: [u64; 6]) -> Result<i64, Fault> {
        let registers = Registers { rip: self.call, rax: number as u64, rdi, rsi, rdx, r10, r8, r9, ..self.saved };
        self.tid.set_registers(&registers)?;
        // To its beginning, and to its end.
        if !step(self.tid, self.stops) || !step(self.tid, self.stops) {
            return Err(Fault);
        }
        Ok(self.tid.registers()?.rax as i64)
    }
}

/// Lets a thread run to the next edge of a system call. False if it is gone.
fn step(tid: Tid, stops: &Stops) -> bool {
    loop {
        tid.resume_to_edge(0);
        match stops.next_of(tid) {
            Some(Stop::Edge) => return true,
            // Between the two edges of a call that the filter stops.
            Some(Stop::Call) => {}
            Some(Stop::Ended(ending)) => {
                stops.keep(tid, Stop::Ended(ending));
                return false;
            }
            None => return false,
            Some(_) => {}
        }
    }
}

/// The functions of the vDSO and where in it they are. It is the same for all processes of a kernel, so this process's
/// own is looked at.
fn functions_of_vdso() -> Vec<(String, u64)> {
    // SAFETY: the call takes a number.
    let start = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    let image = image_at(start).unwrap_or_default();
    symbols(&image).unwrap_or_default()
}

/// What of this process is mapped from an address on.
fn image_at(start: Address) -> Option<Vec<u8>> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let range = maps.lines().find_map(|line| {
        line.split_once(' ')?.0.split_once('-').filter(|(from, _)| u64::from_str_radix(from, 16) == Ok(start))
    })?;
    let end = u64::from_str_radix(range.1, 16).ok()?;
    #[expect(clippy::disallowed_methods, reason = "its own memory is read")]
    let own = Tid(i32::try_from(std::process::id()).ok()?);
    own.bytes(start, usize::try_from(end - start).ok()?).ok()
}

/// The dynamic symbols of a shared object that is loaded whole (elf(5)).
fn symbols(image: &[u8]) -> Option<Vec<(String, u64)>> {
    // Offsets come from the image itself, which may say anything.
    let u16_at = |at: usize| Some(u16::from_le_bytes(image.get(at..)?.get(..2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(image.get(at..)?.get(..4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(image.get(at..)?.get(..8)?.try_into().ok()?) as usize);
    const LOAD: u32 = 1;
    const DYNAMIC: u32 = 2;
    let headers = u64_at(32)?;
    let (mut base, mut dynamic) = (0, None);
    for number in 0..usize::from(u16_at(56)?) {
        let header = headers.checked_add(56 * number)?;
        match u32_at(header)? {
            LOAD => base = u64_at(header + 16)?.wrapping_sub(u64_at(header + 8)?),
            DYNAMIC => dynamic = Some(u64_at(header + 8)?),
            _ => {}
        }
    }
    const STRINGS: usize = 5;
    const SYMBOLS: usize = 6;
    let (mut strings, mut table) = (None, None);
    for entry in (0..).map(|number| dynamic.and_then(|start| start.checked_add(16 * number))) {
        match u64_at(entry?)? {
            0 => break,
            STRINGS => strings = Some(u64_at(entry? + 8)?.wrapping_sub(base)),
            SYMBOLS => table = Some(u64_at(entry? + 8)?.wrapping_sub(base)),
            _ => {}
        }
    }
    let (strings, table) = (strings?, table?);
    // The names follow the symbols, in every vDSO there is.
    let count = strings.checked_sub(table)? / 24;
    let symbol = |number: usize| {
        let entry = table + 24 * number;
        let name = image.get(strings + u32_at(entry)? as usize..)?.split(|&byte| byte == 0).next()?;
        Some((String::from_utf8_lossy(name).into_owned(), u64_at(entry + 8)?.wrapping_sub(base) as u64))
    };
    Some((1..count).filter_map(symbol).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_of_this_systems_vdso_are_found() {
        let functions = functions_of_vdso();
        let find = |name: &str| functions.iter().find(|(found, _)| found == name).map(|(_, place)| *place);
        let clock = find("__vdso_clock_gettime").expect("a clock");
        assert!(clock > 0 && Some(clock) != find("__vdso_time"), "{functions:?}");
    }

    #[test]
    fn what_is_no_shared_object_has_no_symbols() {
        assert_eq!(symbols(&[]), None);
        assert_eq!(symbols(&[0xFF; 100]), None);
    }
}
