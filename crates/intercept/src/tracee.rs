//! One thread under ptrace: its registers, its memory, and how it is set going.
//!
//! ptrace(2) lets one thread, the tracer, hold another one, the tracee. A tracee runs until something that the tracer
//! asked to be told of stops it. While it is stopped, the tracer reads and writes its registers and its memory. All
//! functions here are for stopped tracees. A tracee may be killed at any time by somebody else; then they fail, and the
//! tracer learns of its end from the next wait.

use std::io;
use std::mem::{self, MaybeUninit};

use libc::{c_long, c_void, iovec, user_regs_struct};

/// The registers of a thread.
pub type Registers = user_regs_struct;

/// A thread, by the number that the kernel knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tid(pub i32);

/// An address in the memory of a traced program.
pub type Address = u64;

/// So far below a thread's stack its memory can be used for a moment: beyond the red zone, which belongs to the function
/// that runs (System V ABI, AMD64 supplement, 3.2.2).
pub const BELOW_STACK: u64 = 4_096;

/// Memory that is not there, or a thread that is gone. A system call that meets it returns EFAULT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// The longest path that a system call takes, with its final zero (PATH_MAX).
const PATH_MAX: usize = 4096;

const PAGE: u64 = 4096;

impl Tid {
    fn ptrace(self, request: libc::c_uint, address: u64, data: u64) -> Result<c_long, Fault> {
        // SAFETY: `address` and `data` are what the request takes; where it takes pointers, the callers below pass
        // live ones.
        let result = unsafe { libc::ptrace(request, self.0, address as *mut c_void, data as *mut c_void) };
        if result < 0 { Err(Fault) } else { Ok(result) }
    }

    /// Its registers.
    pub fn registers(self) -> Result<Registers, Fault> {
        let mut registers = MaybeUninit::<Registers>::zeroed();
        self.ptrace(libc::PTRACE_GETREGS, 0, registers.as_mut_ptr() as u64)?;
        // SAFETY: all bytes are set, by the line above or by the kernel, and any bytes are valid numbers.
        Ok(unsafe { registers.assume_init() })
    }

    /// Changes its registers.
    pub fn set_registers(self, registers: &Registers) -> Result<(), Fault> {
        self.ptrace(libc::PTRACE_SETREGS, 0, std::ptr::from_ref(registers) as u64).map(drop)
    }

    /// Lets it run until the next stop, and delivers a signal first unless that is 0.
    pub fn resume(self, signal: i32) {
        let _ = self.ptrace(libc::PTRACE_CONT, 0, signal as u64);
    }

    /// Lets it run until the kernel begins or ends a system call.
    pub fn resume_to_edge(self, signal: i32) {
        let _ = self.ptrace(libc::PTRACE_SYSCALL, 0, signal as u64);
    }

    /// What the event that stopped it is about, such as the number of a new thread.
    pub fn event_message(self) -> u64 {
        let mut message = 0_u64;
        let _ = self.ptrace(libc::PTRACE_GETEVENTMSG, 0, std::ptr::from_mut(&mut message) as u64);
        message
    }

    /// The signal that is about to be delivered.
    pub fn signal_info(self) -> Result<libc::siginfo_t, Fault> {
        // SAFETY: a structure of numbers, for which zeros are valid.
        let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
        self.ptrace(libc::PTRACE_GETSIGINFO, 0, std::ptr::from_mut(&mut info) as u64)?;
        Ok(info)
    }

    /// Changes what its handler will learn of the signal.
    pub fn set_signal_info(self, info: &libc::siginfo_t) {
        let _ = self.ptrace(libc::PTRACE_SETSIGINFO, 0, std::ptr::from_ref(info) as u64);
    }

    /// Makes this process the tracer of a running one (PTRACE_SEIZE), with these options.
    pub fn seize(self, options: i32) -> io::Result<()> {
        self.ptrace(libc::PTRACE_SEIZE, 0, options as u64).map(drop).map_err(|Fault| io::Error::last_os_error())
    }

    /// Fills the buffer with its memory.
    pub fn read(self, address: Address, out: &mut [u8]) -> Result<(), Fault> {
        if self.read_some(address, out) == out.len() { Ok(()) } else { Err(Fault) }
    }

    /// As [`Tid::read`], but stops where its memory ends. Returns how much there was.
    fn read_some(self, address: Address, out: &mut [u8]) -> usize {
        if out.is_empty() {
            return 0;
        }
        let local = iovec { iov_base: out.as_mut_ptr().cast(), iov_len: out.len() };
        let remote = iovec { iov_base: address as *mut c_void, iov_len: out.len() };
        // SAFETY: the local range is `out`; the kernel checks the remote one.
        let count = unsafe { libc::process_vm_readv(self.0, &local, 1, &remote, 1, 0) };
        usize::try_from(count).unwrap_or(0)
    }

    /// Its memory, of this length.
    pub fn bytes(self, address: Address, length: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; length];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes into its memory.
    pub fn write(self, address: Address, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        let local = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let remote = iovec { iov_base: address as *mut c_void, iov_len: bytes.len() };
        // SAFETY: the local range is `bytes`, which is only read; the kernel checks the remote one.
        let count = unsafe { libc::process_vm_writev(self.0, &local, 1, &remote, 1, 0) };
        if usize::try_from(count) == Ok(bytes.len()) { Ok(()) } else { Err(Fault) }
    }

    /// Writes eight bytes even where the program itself may not write: into its code.
    pub fn poke(self, address: Address, word: u64) -> Result<(), Fault> {
        self.ptrace(libc::PTRACE_POKEDATA, address, word).map(drop)
    }

    /// A number of four bytes.
    pub fn read_u32(self, address: Address) -> Result<u32, Fault> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// A number of eight bytes.
    pub fn read_u64(self, address: Address) -> Result<u64, Fault> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Several numbers of eight bytes.
    pub fn read_words<const N: usize>(self, address: Address) -> Result<[u64; N], Fault> {
        let mut words = [0; N];
        let bytes = self.bytes(address, 8 * N)?;
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().map_err(|_| Fault)?);
        }
        Ok(words)
    }

    /// Writes numbers of eight bytes.
    pub fn write_words(self, address: Address, words: &[u64]) -> Result<(), Fault> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.write(address, &bytes)
    }

    /// A text that ends with a zero, without it; at most as long as a path may be.
    pub fn text(self, address: Address) -> Result<Vec<u8>, Fault> {
        let mut text = Vec::new();
        while text.len() < PATH_MAX {
            // Page by page, because the next one may not be there.
            let place = address.wrapping_add(text.len() as u64);
            let mut chunk = [0; 256];
            let length = (PAGE - place % PAGE).min(chunk.len() as u64) as usize;
            self.read(place, &mut chunk[..length])?;
            match chunk[..length].iter().position(|&byte| byte == 0) {
                Some(end) => {
                    text.extend_from_slice(&chunk[..end]);
                    return Ok(text);
                }
                None => text.extend_from_slice(&chunk[..length]),
            }
        }
        Err(Fault)
    }
}

/// Where buffers of a call are, as iovec(3type) describes them.
pub fn buffers(tid: Tid, address: Address, count: u64) -> Result<Vec<(Address, usize)>, Fault> {
    /// UIO_MAXIOV.
    const MOST: u64 = 1024;
    let bytes = tid.bytes(address, 16 * count.min(MOST) as usize)?;
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    Ok(bytes.chunks_exact(16).map(|pair| (word(&pair[..8]), word(&pair[8..]) as usize)).collect())
}

/// The content of buffers, one after another; at most this much.
pub fn gather(tid: Tid, buffers: &[(Address, usize)], most: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    for &(address, length) in buffers {
        let length = length.min(most - bytes.len());
        bytes.extend(tid.bytes(address, length)?);
    }
    Ok(bytes)
}

/// Fills buffers one after another. Returns how many bytes there was room for.
pub fn scatter(tid: Tid, buffers: &[(Address, usize)], bytes: &[u8]) -> Result<usize, Fault> {
    let mut done = 0;
    for &(address, length) in buffers {
        let length = length.min(bytes.len() - done);
        tid.write(address, &bytes[done..done + length])?;
        done += length;
    }
    Ok(done)
}
