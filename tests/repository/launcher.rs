//! The launcher `3700kvstore` at the top of the repository.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder with nothing but the launcher.
fn folder() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("3700kvstore");
    fs::copy(launcher, folder.path().join("3700kvstore")).expect("a copy of the launcher");
    folder
}

fn write_program(folder: &Path) {
    let release = folder.join("target/release");
    fs::create_dir_all(&release).expect("a folder for the program");
    let program = release.join("3700kvstore");
    fs::write(&program, "#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 7\n").expect("a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("an executable program");
}

fn run(launcher: &Path) -> Output {
    Command::new(launcher).args(["0000", "a b", ""]).current_dir("/").output().expect("the launcher starts")
}

/// One test and not two: while one thread writes a program, another that starts a process would keep the file open in
/// it for a moment, and the system refuses to run a program that is open for writing.
#[test]
fn the_launcher_runs_the_program_beside_it_also_through_links_and_says_so_if_there_is_none() {
    let folder = folder();
    let launcher = folder.path().join("3700kvstore");
    let output = run(&launcher);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
    let message = "3700kvstore: the program is not built; run `make` first\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), message);

    write_program(folder.path());
    let elsewhere = TempDir::new().expect("a temporary folder");
    let (link, link_to_link) = (elsewhere.path().join("link"), elsewhere.path().join("link to link"));
    symlink(&launcher, &link).expect("a link");
    symlink("link", &link_to_link).expect("a link to the link");
    for launcher in [launcher, link, link_to_link] {
        let output = run(&launcher);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), &b"<0000><a b><>"[..]), "{launcher:?}");
    }
}

#[test]
fn make_leaves_the_program_where_the_launcher_looks_for_it() {
    let makefile = Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile");
    let makefile = fs::read_to_string(makefile).expect("the Makefile");
    assert!(makefile.contains("\tcargo build --release --target-dir target\n"), "{makefile}");
}
