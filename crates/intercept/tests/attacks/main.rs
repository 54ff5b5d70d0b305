//! Programs that crash, hang, flood, or try to leave the simulation. Each run has a clear end, in bounded time, and
//! leaves no process and no descriptor behind.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "../common/mod.rs"]
mod common;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Mutex;

use common::Linked::Statically;
use common::{Run, compile, descriptors, finish, launch, left_behind, lock, run_on, setting};
use seedbed_intercept::{Ending, Host, Kernel, Output, StartError, State, What};

/// Processes and descriptors of this process are counted, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Does something, and looks whether anything is left of it.
fn leaving_nothing<T>(act: impl FnOnce() -> T) -> T {
    let _alone = lock(&ALONE);
    let before = descriptors();
    let device = || std::fs::metadata("/dev/null").map(|file| (file.mode(), file.uid(), file.gid())).expect("a device");
    let permissions = device();
    let result = act();
    assert_eq!(device(), permissions, "what a program is given for its output belongs to the whole machine");
    assert_eq!(left_behind(), Vec::<String>::new());
    assert_eq!(descriptors(), before, "descriptors are left");
    result
}

/// The program, compiled while no descriptors are counted.
fn attacks() -> std::path::PathBuf {
    let _alone = lock(&ALONE);
    compile("attacks", Statically)
}

fn attack(what: &str) -> Run {
    let program = attacks();
    leaving_nothing(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let kernel = Rc::new(Kernel::new().expect("a kernel"));
        kernel.set_patience(1, 2);
        run_on(&kernel, &launch(&program, &[what], folder.path()), &setting(1))
    })
}

/// What ended a run that could not go on.
fn obstacle(what: &str) -> What {
    match attack(what).state {
        State::Stuck(obstacle) => obstacle.what,
        other => panic!("{what}: {other:?}"),
    }
}

fn code(number: i32) -> State {
    State::Ended(Ending::Code(number))
}

fn signal(number: i32) -> State {
    State::Ended(Ending::Signal(number))
}

#[test]
fn too_many_processes_or_threads_end_the_run() {
    assert_eq!(obstacle("fork bomb"), What::Crowd { most: 500 });
    assert_eq!(obstacle("many threads"), What::Crowd { most: 2_000 });
    assert_eq!(attack("threads in turn").text(), ["ok threads in turn"]);
}

#[test]
fn closing_everything_harms_only_the_program() {
    assert_eq!(attack("close all").state, code(7));
    let run = attack("closed");
    assert_eq!((run.state, run.lines), (code(0), Vec::new()));
}

#[test]
fn signals_reach_only_what_belongs_to_the_host() {
    let run = attack("kill others");
    assert_eq!(run.state, signal(9));
    assert!(run.lines.len() == 5 && run.text().iter().all(|line| line.starts_with("ok ")), "{:#?}", run.text());
}

#[test]
fn calls_that_would_undo_the_simulation_fail() {
    let run = attack("forbidden");
    assert_eq!(run.state, code(0));
    assert!(run.lines.len() == 12 && run.text().iter().all(|line| line.starts_with("ok ")), "{:#?}", run.text());
}

#[test]
fn files_and_output_are_bounded() {
    let run = attack("large file");
    assert_eq!((run.text(), &run.state), (vec!["ok a file of 1 GiB at most"], &signal(25)));
    let run = attack("large output");
    assert_eq!(run.state, code(0));
    assert!(run.lines.iter().all(|(_, _, line)| line.len() == 8_192), "lines are cut");
    assert_eq!(run.lines.len(), (16 << 20) / 8_192, "what is not taken is bounded");
}

#[test]
fn output_may_be_any_bytes_and_need_no_end_of_line() {
    let run = attack("binary");
    let lines: Vec<_> = run.lines.iter().map(|(_, output, text)| (*output, text.as_str())).collect();
    let expected = ["\0\u{FFFD}", "\u{FFFD}\r", "", "no end"].map(|text| (Output::Out, text));
    assert_eq!((lines, run.state), (expected.to_vec(), code(0)));
}

#[test]
fn a_program_that_spins_blocks_or_floods_is_found() {
    assert_eq!(obstacle("spin"), What::Spin { seconds: 1 });
    assert!(matches!(obstacle("open fifo"), What::Blocked { .. }));
    assert!(matches!(obstacle("again"), What::Storm { .. }));
}

#[test]
fn a_program_that_blocks_is_found_while_programs_of_other_hosts_wait() {
    let program = attacks();
    leaving_nothing(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let kernel = Rc::new(Kernel::new().expect("a kernel"));
        kernel.set_patience(1, 2);
        let start = |what| {
            let launch = launch(&program, &[what], folder.path());
            Host::start(&kernel, &launch, &setting(1), 0).expect("it starts")
        };
        // It has not run yet, so it stands at its beginning.
        let mut waiting = start("close all");
        for what in ["open fifo", "spin"] {
            let mut blocking = start(what);
            let stuck = finish(&mut blocking).state;
            assert!(matches!(stuck, State::Stuck(_)), "{what}: {stuck:?}");
        }
        assert_eq!(finish(&mut waiting).state, code(7));
    });
}

#[test]
fn what_cannot_be_simulated_is_named() {
    assert_eq!(obstacle("stop"), What::Stopped { signal: libc::SIGSTOP });
    assert!(matches!(obstacle("shmget"), What::Call { call, .. } if call.starts_with("shmget(0x1, 0x1000,")));
    assert_eq!(obstacle("int 0x80"), What::Foreign);
}

#[test]
fn crashes_end_with_their_signal() {
    assert_eq!(attack("abort").state, signal(libc::SIGABRT));
    assert_eq!(attack("recurse").state, signal(libc::SIGSEGV));
    let run = attack("memory");
    assert_eq!(
        (run.text(), &run.state),
        (vec!["ok clocks go on", "ok clocks without their page"], &signal(libc::SIGSEGV))
    );
}

#[test]
fn a_daemon_ends_with_the_program_that_started_it() {
    assert_eq!(attack("daemon").state, code(0));
}

#[test]
fn calls_without_sense_are_answered() {
    assert_eq!(attack("nonsense").state, code(5));
}

/// Why a program is not started.
fn start_error(program: &Path, arguments: &[&str]) -> StartError {
    leaving_nothing(|| {
        let kernel = Rc::new(Kernel::new().expect("a kernel"));
        let folder = program.parent().expect("a folder");
        match Host::start(&kernel, &launch(program, arguments, folder), &setting(1), 0) {
            Ok(_) => panic!("{} was started", program.display()),
            Err(error) => error,
        }
    })
}

#[test]
fn what_cannot_be_started_is_said_in_one_sentence() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str, mode| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("its permissions");
        file
    };
    let refused = |program: &Path, errno| {
        let error = start_error(program, &[]);
        let of = |error: &StartError| matches!(error, StartError::Program { error, .. } if error.raw_os_error() == Some(errno));
        assert!(of(&error), "{error}");
    };
    refused(&folder.path().join("missing"), libc::ENOENT);
    refused(&write("data", "hello", 0o644), libc::EACCES);
    refused(&write("text", "echo hello\n", 0o755), libc::ENOEXEC);
    let script = write("script", "#!/no/such/interpreter -x\n", 0o755);
    let error = start_error(&script, &[]);
    assert!(
        matches!(&error, StartError::Interpreter { interpreter, .. } if interpreter == "/no/such/interpreter"),
        "{error}"
    );
    let huge = "x".repeat(200_000);
    let error = start_error(&attacks(), &[&huge]);
    assert!(
        matches!(&error, StartError::Program { error, .. } if error.raw_os_error() == Some(libc::E2BIG)),
        "{error}"
    );
}
