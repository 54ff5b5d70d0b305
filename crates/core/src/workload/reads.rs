//! What a get may return.
//!
//! The rule is that of a regular register (Lamport 1986, "On interprocess communication"): weaker than linearizable,
//! judged one get at a time, and enough to detect a stale read.

use crate::record::{Attempt, Outcome};
use crate::time::Time;

/// Whether a get under way from `sent` to `answered` may return `value`, given all puts of its key in order of sending.
///
/// It may if some put wrote the value and was not surely overwritten before the get began. A put was surely overwritten
/// if another put began after its acknowledgement and was itself acknowledged before the get began. A put without
/// acknowledgement may take effect at any time after its sending, but one that was redirected never does. Before the
/// first put the key has the value "".
pub fn may_return<'a>(
    sent: Time,
    answered: Time,
    value: &str,
    puts: impl DoubleEndedIterator<Item = &'a Attempt> + Clone,
) -> bool {
    let newest = newest_done(sent, puts.clone()).map(|put| put.sent);
    if value.is_empty() {
        return newest.is_none();
    }
    let wrote =
        |put: &Attempt| !put.is_redirected() && put.operation.value().is_some_and(|written| **written == *value);
    let mut candidates = puts.rev().filter(|put| put.sent <= answered && wrote(put));
    candidates.any(|put| newest.is_none_or(|newest| acknowledged(put) >= newest))
}

/// Of the puts that were acknowledged before a get was sent, the one that was sent last. It overwrites all puts that
/// were acknowledged before its sending, so the get must see it or a newer one.
pub fn newest_done<'a>(sent: Time, puts: impl DoubleEndedIterator<Item = &'a Attempt>) -> Option<&'a Attempt> {
    // Puts come in order of sending, and the wanted one is mostly among the newest.
    puts.rev().find(|put| acknowledged(put) < sent)
}

fn acknowledged(put: &Attempt) -> Time {
    match put.answer {
        Some((time, Outcome::Ok(_))) => time,
        _ => Time::NEVER,
    }
}
