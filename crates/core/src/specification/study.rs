//! What can be known of all calls on an object before they are put in order.

use super::Call;
use crate::service::Text;
use crate::time::Time;

/// A call and when it was under way.
#[derive(Clone, Copy, Debug)]
pub struct Timed<'h> {
    /// The call.
    pub call: Call<'h>,
    /// When it was sent. It takes effect no earlier.
    pub invoked: Time,
    /// When it was answered. It took effect no later. [`Time::NEVER`] if its answer is unknown: then it may take effect
    /// at any later time, or never.
    pub answered: Time,
}

impl Timed<'_> {
    /// Whether it must take effect.
    pub fn is_required(&self) -> bool {
        self.answered != Time::NEVER
    }

    /// Whether this call was over before the other one began. If both are at the same time, it was not.
    pub fn is_before(&self, other: &Timed<'_>) -> bool {
        self.answered < other.invoked
    }
}

/// Whether a call leads nowhere if it takes effect next, in this state: some later answer contradicts it.
///
/// The call is told by its place. The last argument has the places of all answered calls that may come next instead. A
/// call of unknown outcome is only asked about where it comes as late as it can: it leads nowhere, too, if all of these
/// calls fit as well without it, alone or together with others of unknown outcome.
pub type Dooms<'h, S> = Box<dyn Fn(&S, usize, &[usize]) -> bool + 'h>;

/// What [`Specification::study`](super::Specification::study) found. Calls are named by their places.
pub struct Study<'h, S> {
    /// Why no order explains all answers, if a few calls show that.
    pub contradiction: Option<Reason>,
    /// For each call, how soon it should be tried; low ones first. Only the speed of a search depends on it.
    pub ranks: Vec<u64>,
    /// For each call of unknown outcome, the time after which no answer can show its effect. If all that began by then
    /// and was answered is explained, it may as well never happen. [`Time::ZERO`] if there is no such answer at all.
    pub shows_until: Vec<Time>,
    /// Times by which calls must have taken effect, because later calls show it. A call of unknown outcome that is
    /// named here takes effect for certain.
    pub shown_by: Vec<(usize, Time)>,
    /// Which calls lead nowhere.
    pub dooms: Option<Dooms<'h, S>>,
}

impl<S> Study<'_, S> {
    /// Nothing is known of this many calls.
    pub fn nothing(calls: usize) -> Self {
        let shows_until = vec![Time::NEVER; calls];
        Study { contradiction: None, ranks: Vec::new(), shows_until, shown_by: Vec::new(), dooms: None }
    }

    /// Calls contradict each other.
    pub fn contradiction(reason: Reason) -> Self {
        Study { contradiction: Some(reason), ..Study::nothing(0) }
    }
}

/// Why an answer is wrong. It continues a sentence that names the client, what it was told and when, and "but".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The call with the wrong answer: of all calls that show it, the one that was answered last.
    pub wrong: usize,
    /// The words.
    pub parts: Vec<Part>,
}

/// Some words of a [`Reason`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As they are.
    Words(String),
    /// A value of the history. It may be shown shortened.
    Value(Text),
    /// The client of a call.
    Client(usize),
    /// When a call was sent.
    Invoked(usize),
    /// When it was answered.
    Answered(usize),
}

impl Reason {
    /// Nothing is said yet about this call.
    pub fn of(wrong: usize) -> Reason {
        Reason { wrong, parts: Vec::new() }
    }

    /// With these words.
    pub fn words(self, words: impl Into<String>) -> Reason {
        self.with(Part::Words(words.into()))
    }

    /// With a value; "no value" if there is none.
    pub fn value(self, value: Option<&Text>) -> Reason {
        match value {
            Some(value) => self.with(Part::Value(value.clone())),
            None => self.words("no value"),
        }
    }

    /// With the client of a call, as in `client 0012`.
    pub fn client(self, call: usize) -> Reason {
        self.with(Part::Client(call))
    }

    /// With the time at which a call was sent, as in `9.412000 s`.
    pub fn invoked(self, call: usize) -> Reason {
        self.with(Part::Invoked(call))
    }

    /// With the time at which a call was answered.
    pub fn answered(self, call: usize) -> Reason {
        self.with(Part::Answered(call))
    }

    fn with(mut self, part: Part) -> Reason {
        self.parts.push(part);
        self
    }

    /// The calls that it speaks of, besides the wrong one.
    pub fn calls(&self) -> impl Iterator<Item = usize> + '_ {
        let named = self.parts.iter().filter_map(|part| match part {
            Part::Words(_) | Part::Value(_) => None,
            Part::Client(call) | Part::Invoked(call) | Part::Answered(call) => Some(*call),
        });
        named.filter(|&call| call != self.wrong)
    }
}

/// Of two calls the one that was answered last; of two at the same time the later in the list.
pub(super) fn last_answered(calls: &[Timed<'_>], one: usize, other: usize) -> usize {
    if (calls[one].answered, one) > (calls[other].answered, other) { one } else { other }
}
