//! Answers that no client waits for.

use crate::id::{ClientId, Mid, ReplicaId};
use crate::record::{History, Outcome};
use crate::time::Time;

/// How many answers of each kind are kept, the first ones.
const KEPT_MAX: usize = 8;

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Astray {
    /// The attempt was answered before, with an answer that this one does not contradict.
    Again,
    /// The attempt was answered before, and both answers cannot be true.
    Contradiction,
    /// The client has not sent such a request, or there is no such client.
    Unasked,
}

/// An answer that no client waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrayAnswer {
    /// When it came.
    pub time: Time,
    /// The client to which it came.
    pub client: ClientId,
    /// The request that it names.
    pub mid: Mid,
    /// The replica that was asked, if the client sent such a request.
    pub replica: Option<ReplicaId>,
    /// What is wrong with it.
    pub astray: Astray,
    /// What it says.
    pub outcome: Outcome,
    /// What the first answer said, and when.
    pub before: Option<(Time, Outcome)>,
}

/// The first answers of a run that no client waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StrayAnswers(Vec<StrayAnswer>);

impl StrayAnswers {
    /// All that were kept, in order.
    pub fn iter(&self) -> impl Iterator<Item = &StrayAnswer> {
        self.0.iter()
    }

    /// Looks at an answer before its client handles it. It costs little, because nearly all are expected.
    #[inline]
    pub fn look(
        &mut self,
        now: Time,
        history: &History,
        client: ClientId,
        mid: Mid,
        outcome: impl FnOnce() -> Outcome,
    ) {
        match history.attempt(mid) {
            Some(attempt) if attempt.client == client && attempt.answer.is_none() => {}
            _ => self.note(now, history, client, mid, outcome()),
        }
    }

    #[cold]
    fn note(&mut self, time: Time, history: &History, client: ClientId, mid: Mid, outcome: Outcome) {
        let own = history.attempt(mid).filter(|attempt| attempt.client == client);
        let (replica, before) = (own.map(|attempt| attempt.replica), own.and_then(|attempt| attempt.answer.clone()));
        let astray = match &before {
            None => Astray::Unasked,
            Some((_, first)) if first.contradicts(&outcome) => Astray::Contradiction,
            Some(_) => Astray::Again,
        };
        if self.0.iter().filter(|known| known.astray == astray).count() < KEPT_MAX {
            self.0.push(StrayAnswer { time, client, mid, replica, astray, outcome, before });
        }
    }
}

impl Outcome {
    /// Whether two answers to one attempt cannot both be true. `fail` says nothing for certain, so it contradicts
    /// nothing. `redirect` says that the request never takes effect.
    pub fn contradicts(&self, other: &Outcome) -> bool {
        match (self, other) {
            (Outcome::Ok(one), Outcome::Ok(other)) => one != other,
            (Outcome::Ok(_), Outcome::Redirect) | (Outcome::Redirect, Outcome::Ok(_)) => true,
            _ => false,
        }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Outcome::Ok(_) => "ok",
            Outcome::Fail => "fail",
            Outcome::Redirect => "redirect",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_cannot_both_be_true_contradict_each_other() {
        let ok = |value: &str| Outcome::Ok(Some(value.into()));
        let all = [ok("a"), ok("b"), Outcome::Ok(None), Outcome::Fail, Outcome::Redirect];
        let contradictions = all.iter().flat_map(|one| all.iter().map(move |other| one.contradicts(other)));
        let found: Vec<u8> = contradictions.map(u8::from).collect();
        let expected = [
            [0, 1, 1, 0, 1], // "a"
            [1, 0, 1, 0, 1], // "b"
            [1, 1, 0, 0, 1],
            [0; 5],
            [1, 1, 1, 0, 0],
        ];
        assert_eq!(found, expected.concat());
    }
}
