//! Whether a run of programs says what it would say outside.
//!
//! A program that does what cannot be simulated ends its run, unless the user wants it to go on. Then the call fails, and
//! from there on the program may do what it never does outside. Such a run is marked wherever its opinions are shown. It
//! may pass or fail as any other: the mark is no finding.

use serde_json::json;

use super::opinion::{Checker, Opinion};
use crate::record::RunRecord;

/// The word for a run that is marked.
pub const NOT_FAITHFUL: &str = "not faithful";

/// The opinion on a run in which something could not be simulated; none on all others.
pub fn opinion(record: &RunRecord) -> Option<Opinion> {
    let first = record.unfaithful.first()?;
    let (name, time) = (first.replica, first.time.as_secs_f64());
    let remark =
        format!("replica {name} at {time:.6} s did what cannot be simulated, and its call failed: {}", first.what);
    let mut opinion = Opinion::new(Checker::FAITHFULNESS, "Faithfulness", NOT_FAITHFUL, remark);
    let told = record.unfaithful[1..].iter();
    opinion.lines = told
        .map(|one| format!("  also replica {} at {:.6} s: {}", one.replica, one.time.as_secs_f64(), one.what))
        .collect();
    let calls = record.unfaithful.iter();
    let calls =
        calls.map(|one| json!({"replica": one.replica.to_string(), "time": one.time.as_secs_f64(), "what": one.what}));
    opinion.figures = vec![("calls", calls.collect())];
    Some(opinion)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Judgement, fixture};
    use crate::id::ReplicaId;
    use crate::record::Obstacle;
    use crate::time::Time;

    #[test]
    fn a_run_that_went_on_after_what_cannot_be_simulated_is_marked_but_not_failed() {
        let what = |text: &str| Obstacle { time: Time(1_500_000_000), replica: ReplicaId(1), what: text.to_owned() };
        let judge = |unfaithful| Judgement::of(&fixture::scenario(), &RunRecord { unfaithful, ..fixture::record() });
        let plain = judge(Vec::new());
        assert_eq!(plain.opinion(&Checker::FAITHFULNESS), None);
        let marked = judge(vec![what("listen(3)"), what("shmget(1)")]);
        assert_eq!((marked.passed(), plain.passed()), (true, true));
        let opinion = marked.opinion(&Checker::FAITHFULNESS).expect("it is marked");
        assert_eq!(opinion.word, NOT_FAITHFUL);
        assert!(opinion.remark.contains("replica 0001 at 1.500000 s") && opinion.remark.ends_with(": listen(3)"));
        assert_eq!(opinion.lines, ["  also replica 0001 at 1.500000 s: shmget(1)"]);
    }
}
