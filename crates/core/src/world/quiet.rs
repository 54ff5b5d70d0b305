//! Runs that may panic without output: in a search for failures, a panic is a result like any other.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::scenario::Scenario;
use crate::time::Time;

thread_local! {
    /// The message of the newest panic, while panics of this thread are kept quiet.
    static QUIET: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Whether panics of this thread are kept quiet now.
fn is_quiet() -> bool {
    QUIET.with_borrow(Option::is_some)
}

/// Says which run panics, if one does and not quietly. Called when a run in progress is dropped.
pub(super) fn note_panic(scenario: &Scenario, seed: u64, now: Time) {
    if std::thread::panicking() && !is_quiet() {
        eprintln!("note: scenario {} with seed {seed} panicked at {now}", scenario.name);
    }
}

/// Runs something that may panic. A panic then prints nothing, and is the error: its message and its place, in one
/// line.
///
/// The first call installs a panic hook, which passes all other panics on to the previous hook.
///
/// # Errors
/// If `run` panics. State that it may have left half changed should not be used again.
pub fn catch_quietly<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !is_quiet() {
                return before(info);
            }
            let payload = info.payload();
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            let said = text.unwrap_or("a panic without words");
            let place = info.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
            let line = said.split_whitespace().collect::<Vec<_>>().join(" ") + &place;
            QUIET.with_borrow_mut(|text| *text = Some(line));
        }));
    });
    let outer = QUIET.replace(Some(String::new()));
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    let text = QUIET.replace(outer);
    result.map_err(|_| text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_reported_in_one_line_with_its_place() {
        assert_eq!(catch_quietly(|| 7), Ok(7));
        let line = catch_quietly(|| panic!("on\n purpose")).unwrap_err();
        assert!(line.starts_with(&format!("on purpose ({}:", file!())), "{line}");
        assert!(!is_quiet());
    }

    #[test]
    fn an_inner_panic_is_caught_first() {
        let outer = catch_quietly(|| {
            assert!(catch_quietly(|| panic!("inner")).is_err());
            assert!(is_quiet());
            panic!("outer")
        });
        assert!(outer.unwrap_err().starts_with("outer"));
    }
}
