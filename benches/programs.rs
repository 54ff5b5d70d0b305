//! What simulating a program costs: real time for each system call, simulated and not, by the kind of call.
//!
//! ```sh
//! cargo bench --bench programs             # 7 rounds
//! cargo bench --bench programs -- 20       # 20 rounds
//! ```
//!
//! It needs Linux on x86-64, and `cc`.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() {
    linux::main();
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {
    println!("programs are simulated on Linux with an x86-64 processor only");
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[expect(clippy::disallowed_types, reason = "what is measured is real time")]
mod linux {
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    use seedbed_intercept::{Ending, Host, Interleaving, Kernel, Launch, Setting, State, TimeModel, Unsupported};

    /// The kinds of calls, how often each is made in a round, and what it is.
    const KINDS: [(&str, u32, &str); 6] = [
        ("free", 200_000, "lseek: a call that does not stop"),
        ("clock", 200_000, "clock_gettime: answered from the page of memory with the time"),
        ("getppid", 20_000, "getppid: stops, and is answered"),
        ("sendto", 20_000, "sendto: a datagram is read from the program's memory"),
        ("poll", 1_000, "poll with 1 ms: waits in virtual time"),
        ("exchange", 5_000, "two threads hand a byte over by pipes: four calls, of which two wait"),
    ];

    pub fn main() {
        let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
        let rounds = arguments.first().map_or(7, |rounds| rounds.parse().expect("a number of rounds"));
        let folder = tempfile::tempdir().expect("a folder");
        let program = compile(folder.path());
        println!("microseconds a call: median (least to most) of {rounds} rounds");
        println!("{:10} {:>24} {:>24}", "", "simulated", "outside");
        for (kind, count, what) in KINDS {
            let mut times = [Vec::new(), Vec::new()];
            for _ in 0..rounds {
                times[0].push(each(count, |count| simulated(&program, kind, count)));
                times[1].push(each(count, |count| outside(&program, kind, count)));
            }
            let [simulated, outside] = times.map(spread);
            println!("{kind:10} {simulated:>24} {outside:>24}   {what}");
        }
    }

    fn compile(folder: &Path) -> PathBuf {
        let program = folder.join("rates");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rates.c");
        let status = Command::new("cc").args(["-O1", "-pthread", "-o"]).args([&program, &source]).status();
        assert!(status.expect("cc starts").success(), "cc fails");
        program
    }

    /// What one call takes, without the start and the end of the program.
    fn each(count: u32, run: impl Fn(u32) -> Duration) -> f64 {
        let empty = run(0);
        run(count).saturating_sub(empty).as_secs_f64() * 1e6 / f64::from(count)
    }

    fn spread(mut times: Vec<f64>) -> String {
        times.sort_by(f64::total_cmp);
        let (least, most) = (times[0], times[times.len() - 1]);
        format!("{:.3} ({least:.3} to {most:.3})", times[times.len() / 2])
    }

    fn outside(program: &Path, kind: &str, count: u32) -> Duration {
        let begun = Instant::now();
        let status = Command::new(program).args([kind, &count.to_string()]).status().expect("it starts");
        assert!(status.success(), "{kind} fails");
        begun.elapsed()
    }

    fn simulated(program: &Path, kind: &str, count: u32) -> Duration {
        let begun = Instant::now();
        let kernel = Rc::new(Kernel::new().expect("a kernel"));
        let launch = Launch {
            program: program.to_owned(),
            arguments: ["rates", kind, &count.to_string()].map(Into::into).to_vec(),
            environment: Vec::new(),
            folder: PathBuf::from("/"),
            writable: PathBuf::from("/tmp"),
        };
        let setting = Setting {
            seed: 1,
            first_id: 100,
            model: TimeModel::default(),
            interleaving: Interleaving::Fifo,
            unsupported: Unsupported::Ends,
        };
        let mut host = Host::start(&kernel, &launch, &setting, 0).expect("it starts");
        while let Some(wake) = host.next_wake() {
            host.run(wake);
            while host.take_sent().is_some() {}
        }
        assert_eq!(*host.state(), State::Ended(Ending::Code(0)), "{kind} fails");
        begun.elapsed()
    }
}
