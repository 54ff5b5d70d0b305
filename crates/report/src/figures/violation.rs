//! A history around the answer that made it wrong.

use super::super::plot::{Bar, BarPart, Bars, Chart};
use seedbed_core::check::linear::Violation;
use seedbed_core::printable::printable;
use seedbed_core::record::{Attempt, Outcome};

/// The operations around a violation, a bar each, with the error in words. `title` names the history.
pub fn violation(title: &str, violation: &Violation) -> Chart {
    let around = violation.around.iter().zip(&violation.around_mids).zip(violation.words_around());
    let bars = around.map(|((attempt, mid), label)| {
        let part = match mid {
            _ if *mid == violation.read.get => BarPart::Wrong,
            _ if violation.named.contains(mid) => BarPart::Named,
            _ => BarPart::Other,
        };
        Bar {
            client: format!("client {}", attempt.client),
            label,
            from: attempt.sent.nanos(),
            to: ended(attempt),
            part,
        }
    });
    Chart::Bars(Bars {
        title: title.to_owned(),
        subtitle: format!("operations on {} around the first wrong answer", printable(&violation.key)),
        verdict: violation.explanation.clone(),
        bars: bars.collect(),
    })
}

/// When an operation was over; none if it may take effect at any later time.
fn ended(attempt: &Attempt) -> Option<u64> {
    match &attempt.answer {
        Some((time, Outcome::Ok(_) | Outcome::Redirect)) => Some(time.nanos()),
        Some((_, Outcome::Fail)) | None => None,
    }
}
