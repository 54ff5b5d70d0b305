//! Which mutants of a copy its tests detect.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::Error;
use crate::population::{Project, Tests};
use crate::sample::Drawn;

/// Names the mutant of a process.
const VARIABLE: &str = "SEEDBED_MUTANT";

/// A mutant that takes more memory than this allocates for ever.
const MEMORY_KIB_MAX: &str = "8000000";

/// The status with which timeout(1) says that the time is over.
const TIMED_OUT: i32 = 124;

/// Compiled tests.
#[derive(Debug)]
pub struct Suite {
    programs: Vec<Program>,
    /// How many seconds the tests of one program may take.
    seconds_max: u32,
}

/// A program that runs tests.
#[derive(Debug)]
struct Program {
    path: PathBuf,
    folder: PathBuf,
    which: &'static [&'static str],
}

/// Why tests detect a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kill {
    /// This test fails, perhaps among others.
    Test(String),
    /// The tests do not end in time, and none has failed by then.
    Hangs,
    /// The tests end without a word on a failure: their process was aborted.
    Aborted,
}

impl Suite {
    /// Compiles the tests of a copy.
    ///
    /// # Errors
    /// If they do not compile.
    pub fn build(copy: &Path, project: &Project, seconds_max: u32) -> Result<Suite, Error> {
        let programs: Result<_, Error> = project.tests.iter().map(|tests| Program::build(copy, tests)).collect();
        Ok(Suite { programs: programs?, seconds_max })
    }

    /// Runs the tests with a mutant, or with none; returns why they detect it, if they do.
    ///
    /// # Errors
    /// If they cannot be run.
    pub fn run(&self, mutant: Option<&Drawn>) -> Result<Option<Kill>, Error> {
        for program in &self.programs {
            let kill = program.run(mutant, self.seconds_max)?;
            if kill.is_some() {
                return Ok(kill);
            }
        }
        Ok(None)
    }
}

impl Program {
    fn build(copy: &Path, tests: &Tests) -> Result<Program, Error> {
        let mut command = Command::new(cargo());
        command.current_dir(copy).args(["test", "--no-run", "--message-format=json", "--quiet"]).args(tests.build);
        let output = command.env_remove("CARGO_TARGET_DIR").output().map_err(Error::file(copy))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let artifacts = text.lines().filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
        let program = artifacts.filter(|artifact| artifact.profile.test).find_map(|artifact| {
            let folder = artifact.manifest_path.parent()?.to_owned();
            Some(Program { path: artifact.executable?, folder, which: tests.which })
        });
        program.ok_or_else(|| Error::Build(String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    fn run(&self, mutant: Option<&Drawn>, seconds_max: u32) -> Result<Option<Kill>, Error> {
        let mut command = Command::new("sh");
        command.arg("-c").arg("ulimit -v \"$0\"; exec timeout -k 1 \"$@\"").arg(MEMORY_KIB_MAX);
        command.arg(seconds_max.to_string()).arg(&self.path).args(self.which).current_dir(&self.folder);
        match mutant {
            Some(drawn) => command.env(VARIABLE, drawn.number.to_string()),
            None => command.env_remove(VARIABLE),
        };
        let output = command.output().map_err(Error::file(&self.path))?;
        if output.status.success() {
            return Ok(None);
        }
        let other = if output.status.code() == Some(TIMED_OUT) { Kill::Hangs } else { Kill::Aborted };
        Ok(Some(first_failure(&String::from_utf8_lossy(&output.stdout)).map_or(other, Kill::Test)))
    }
}

/// The first test, by name, that a program says has failed.
fn first_failure(output: &str) -> Option<String> {
    let failed = output.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    // `name - should panic` of one that should.
    failed.filter_map(|test| test.split(' ').next()).min().map(str::to_owned)
}

/// A line of cargo's output: something that was compiled.
#[derive(Deserialize)]
struct Artifact {
    profile: Profile,
    executable: Option<PathBuf>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// The program that compiles: the one that runs this, if one does.
#[expect(clippy::disallowed_methods, reason = "cargo says where it is")]
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failing_test_is_found_in_what_a_program_writes() {
        let output =
            "running 3 tests\ntest b::two ... FAILED\ntest c::three ... ok\ntest a::one - should panic ... FAILED\n";
        assert_eq!(first_failure(output).as_deref(), Some("a::one"));
        assert_eq!(first_failure("running 3 tests\n"), None);
    }
}
