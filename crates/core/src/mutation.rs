//! Small faults in the code of the replicas, drawn by chance: the measure of what exploration finds.
//!
//! In these sources there are none. `seedbed-mutate` writes a copy of them that has the drawn mutants, all in one program,
//! each behind a call of [`is_active`]; it also fills [`DRAWN`]. So what ships has no branch for them.

use std::cell::Cell;
use std::sync::OnceLock;

/// A small fault at one place of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawnMutant {
    /// Its number, from 1.
    pub number: u32,
    /// Its name on the command line, as in `drawn-017`.
    pub name: &'static str,
    /// File, line and column in the sources, as in `raft/log.rs:107:9`.
    pub place: &'static str,
    /// The function around it, as in `Log::truncate`.
    pub function: &'static str,
    /// What is different, as in `replace < with <=`.
    pub change: &'static str,
    /// What a person found out about it.
    pub judgement: Judgement,
}

/// What a person found out about a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing: it should be detected.
    None,
    /// It changes no behaviour, for this reason.
    Equivalent(&'static str),
    /// No client could notice it, for this reason.
    Invisible(&'static str),
    /// This test detects it.
    Script(&'static str),
}

/// The mutants of this build.
pub const DRAWN: &[DrawnMutant] = &[];

/// Names the mutant of a whole process by its number. [`with`] overrides it.
pub const VARIABLE: &str = "SEEDBED_MUTANT";

/// A mutant that loops for ever reaches this many choices in one run. Sound runs of an exploration stay below a hundredth of
/// it.
const CHOICES_MAX: u64 = 100_000_000;

/// The number of no mutant.
const NONE: u32 = 0;

/// Nothing has been asked on this thread yet.
const UNKNOWN: u32 = u32::MAX;

thread_local! {
    static ACTIVE: Cell<u32> = const { Cell::new(UNKNOWN) };
    static CHOICES_LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Runs something with this mutant, or none if it is 0, on this thread.
///
/// # Panics
/// If `run` does, or the mutant seems to loop for ever.
pub fn with<T>(number: u32, run: impl FnOnce() -> T) -> T {
    struct Before(u32, u64);
    impl Drop for Before {
        fn drop(&mut self) {
            ACTIVE.set(self.0);
            CHOICES_LEFT.set(self.1);
        }
    }
    let _before = Before(ACTIVE.replace(number), CHOICES_LEFT.replace(CHOICES_MAX));
    run()
}

/// The number of the mutant that is active on this thread; 0 if none is.
pub fn active() -> u32 {
    if ACTIVE.get() == UNKNOWN {
        ACTIVE.set(of_process());
    }
    ACTIVE.get()
}

/// Whether this mutant is active on this thread.
///
/// # Panics
/// If the active mutant seems to loop for ever.
#[inline]
pub fn is_active(number: u32) -> bool {
    ACTIVE.get() != NONE && choose(number)
}

fn choose(number: u32) -> bool {
    let left = CHOICES_LEFT.get() - 1;
    CHOICES_LEFT.set(left);
    if left == 0 {
        // What is dropped while the panic unwinds may ask again.
        CHOICES_LEFT.set(u64::MAX);
        panic!("mutant {} hangs: it reached {CHOICES_MAX} choices in one run", ACTIVE.get());
    }
    active() == number
}

/// The mutant that the environment names.
fn of_process() -> u32 {
    static NUMBER: OnceLock<u32> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "a build with mutants is told which one to be")]
    let read = || match std::env::var(VARIABLE) {
        Err(_) => NONE,
        Ok(text) => {
            text.parse().unwrap_or_else(|_| panic!("{VARIABLE} is {text:?}; allowed is the number of a mutant"))
        }
    };
    *NUMBER.get_or_init(read)
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_mutant_is_active_only_while_its_run_goes_on_even_if_that_panics() {
        assert!(!is_active(7));
        assert!(with(7, || is_active(7) && !is_active(8)));
        let inner = with(7, || (with(8, || (is_active(7), is_active(8))), is_active(7)));
        assert_eq!(inner, ((false, true), true));
        with(7, || {
            assert!(catch_unwind(|| with(8, || panic!("on purpose"))).is_err());
            assert_eq!(active(), 7);
        });
        assert_eq!(active(), NONE);
    }

    #[test]
    fn a_mutant_that_loops_for_ever_is_ended_by_a_panic() {
        let panic = catch_unwind(|| with(7, || while is_active(7) {})).expect_err("it hangs");
        let text = panic.downcast_ref::<String>().expect("a text");
        assert_eq!(text, "mutant 7 hangs: it reached 100000000 choices in one run");
        assert!(!with(0, || is_active(7)) && with(7, || is_active(7)), "the next run has all its choices");
    }

    #[test]
    fn these_sources_have_no_mutants() {
        assert_eq!(DRAWN, []);
    }
}
