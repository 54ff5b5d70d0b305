//! Why an object of any type became wrong with an answer.

use std::collections::BTreeSet;

use super::{Check, Judged, Object, Ops, Until, counts};
use crate::check::linear::explain::{AROUND_MAX, Violation};
use crate::check::linear::words::{Names, seconds};
use crate::check::linear::{Budget, WrongRead};
use crate::id::Mid;
use crate::record::{Attempt, Outcome};
use crate::specification::{Part, Reason, Specification};
use crate::time::Time;

impl<'h, S: Specification> Check<'h, S> {
    /// Tells of an object that is wrong with this answer.
    pub(super) fn violation(&self, object: &Object<'_>, at: Until, minimal: bool) -> Violation {
        let attempts = self.attempts;
        let culprit = &attempts[at.1 as usize];
        let ops = self.ops(object, at);
        let is_other = ops.other_answer.is_some_and(|other| other == at);
        let reason = if is_other { None } else { self.reason(&ops, at) };
        let named: Vec<u32> = reason.iter().flat_map(Reason::calls).map(|call| ops.attempts[call]).collect();
        let shown = self.around(&ops, at, &named);
        let around: Vec<Attempt> = shown.iter().map(|&number| attempts[number as usize].clone()).collect();
        let names = Names::of(&around);
        let because = match reason {
            Some(reason) => self.words(&ops, &reason, names),
            None if is_other => "another sending of the same update was answered otherwise before".to_owned(),
            None => {
                let count = ops.calls.len();
                format!("no order of the {count} operations on this key until then explains all answers")
            }
        };
        let told = match &culprit.answer {
            Some((_, Outcome::Ok(value))) => value.as_ref(),
            _ => None,
        };
        let time = culprit.answer.as_ref().map_or(Time::NEVER, |answer| answer.0);
        let claim = names.claim(&culprit.operation, told);
        let mut explanation = format!("client {} {claim} at {}, but {because}", culprit.client, seconds(time));
        if !minimal {
            explanation += " (some earlier answer may be wrong already: the budget was spent)";
        }
        let mid = |number: u32| Mid(number.into());
        Violation {
            key: object.name.into(),
            at: time,
            answers: self.answers(time, at.1),
            minimal,
            explanation,
            around,
            around_mids: shown.into_iter().map(mid).collect(),
            read: WrongRead { get: mid(at.1), missed: named.first().copied().map(mid) },
            named: named.iter().copied().map(mid).collect(),
        }
    }

    /// What the specification says, if it speaks of the answer with which the object became wrong.
    fn reason(&self, ops: &Ops<'h>, at: Until) -> Option<Reason> {
        // Only the study can give a reason, and it takes no steps.
        let mut none = super::Search::new(Budget { steps: 0, memo_words: 0 });
        match self.judge(ops, &mut none) {
            Judged::Wrong(reason) => reason.filter(|reason| ops.attempts[reason.wrong] == at.1),
            Judged::Right | Judged::Unknown => None,
        }
    }

    fn words(&self, ops: &Ops<'h>, reason: &Reason, names: Names) -> String {
        let attempt = |call: usize| &self.attempts[ops.attempts[call] as usize];
        let answered = |call| attempt(call).answer.as_ref().map_or(Time::NEVER, |answer| answer.0);
        let words = reason.parts.iter().map(|part| match part {
            Part::Words(words) => words.clone(),
            Part::Value(value) => names.text(Some(value)),
            Part::Client(call) => format!("client {}", attempt(*call).client),
            Part::Invoked(call) => seconds(attempt(*call).sent),
            Part::Answered(call) => seconds(answered(*call)),
        });
        words.collect()
    }

    /// How many `ok` there had been by then on all objects.
    fn answers(&self, at: Time, last: u32) -> usize {
        let is_by_then = |(number, attempt): &(usize, &Attempt)| match &attempt.answer {
            Some((time, Outcome::Ok(_))) => counts(self.spec, attempt) && (*time, *number) <= (at, last as usize),
            _ => false,
        };
        self.attempts.iter().enumerate().filter(is_by_then).count()
    }

    /// The operations to show: the wrong one, those that the reason names, those with the same value, and the newest.
    fn around(&self, ops: &Ops<'h>, at: Until, named: &[u32]) -> BTreeSet<u32> {
        let attempts = self.attempts;
        let mut shown = BTreeSet::from([at.1]);
        shown.extend(named.iter().copied().take(AROUND_MAX - 1));
        let wanted = match &attempts[at.1 as usize].answer {
            Some((_, Outcome::Ok(value))) => value.as_ref(),
            _ => None,
        };
        let same = ops
            .attempts
            .iter()
            .copied()
            .filter(|&number| wanted.is_some() && attempts[number as usize].operation.value() == wanted);
        let mut newest = ops.attempts.clone();
        newest.sort_by_key(|&number| std::cmp::Reverse((attempts[number as usize].sent, number)));
        for number in same.take(AROUND_MAX / 3).chain(newest) {
            if shown.len() == AROUND_MAX {
                break;
            }
            shown.insert(number);
        }
        shown
    }
}
