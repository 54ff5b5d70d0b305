//! Operations in plain words.

use std::collections::BTreeSet;

use crate::printable::printable;
use crate::record::{Attempt, Outcome};
use crate::service::{Operation, Text};
use crate::time::Time;

/// Keys are shown up to this length.
pub(super) const KEY_CHARACTERS_MAX: usize = 40;

/// Values up to this length are shown whole, and longer ones with `VALUE_CHARACTERS` of their characters.
const VALUE_CHARACTERS_MAX: usize = 16;
const VALUE_CHARACTERS: usize = 12;

/// How the values of some operations are shown: as short as may be without making two look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Begin,
    End,
    /// In full, but for those that are very long.
    Full,
}

/// The most characters of a value that are ever shown.
const FULL_CHARACTERS_MAX: usize = 100;

impl Names {
    /// For all values of these attempts.
    pub fn of(attempts: &[Attempt]) -> Names {
        let texts: BTreeSet<&Text> = attempts.iter().flat_map(texts).collect();
        let tells_apart = |names: &Names| {
            texts.iter().map(|text| names.text(Some(text))).collect::<BTreeSet<_>>().len() == texts.len()
        };
        [Names::Begin, Names::End].into_iter().find(tells_apart).unwrap_or(Names::Full)
    }

    /// A value.
    pub fn text(self, text: Option<&Text>) -> String {
        let Some(text) = text else { return "no value".to_owned() };
        let line = printable(text);
        let count = line.chars().count();
        match self {
            _ if line.is_empty() => "\"\"".to_owned(),
            _ if count <= VALUE_CHARACTERS_MAX => line,
            Names::Begin => shorten(&line, VALUE_CHARACTERS),
            Names::End => "...".chars().chain(line.chars().skip(count - VALUE_CHARACTERS)).collect(),
            Names::Full => shorten(&line, FULL_CHARACTERS_MAX),
        }
    }

    /// As in `put v4`, `get -> v3`, `put v5, redirected`, `dequeue -> empty`.
    pub fn operation(self, attempt: &Attempt) -> String {
        let what = self.asked(&attempt.operation);
        match &attempt.answer {
            None => what + ", unanswered",
            Some((_, Outcome::Fail)) => what + ", failed",
            Some((_, Outcome::Redirect)) => what + ", redirected",
            Some((_, Outcome::Ok(value))) => match self.told(&attempt.operation, value.as_ref()) {
                Some(answer) => format!("{what} -> {answer}"),
                None => what,
            },
        }
    }

    /// As in `put v4`, `get`, `update v5 if v4`.
    fn asked(self, operation: &Operation) -> String {
        let text = |value: &Text| self.text(Some(value));
        match operation {
            Operation::Update(update) => match &update.expected {
                Some(expected) => format!("update {} if {}", text(&update.value), text(expected)),
                None => format!("update {}", text(&update.value)),
            },
            Operation::Add { amount, .. } => format!("add {amount}"),
            Operation::Custom(custom) => {
                let name = shorten(&printable(&custom.name), KEY_CHARACTERS_MAX);
                custom.argument.as_ref().map_or(name.clone(), |argument| format!("{name} {}", text(argument)))
            }
            _ => match operation.value() {
                Some(value) => format!("{} {}", operation.name(), text(value)),
                None => operation.name().to_owned(),
            },
        }
    }

    /// What an answer says besides that it is done, as in `v3`, `empty`, `granted (token 7)`.
    fn told(self, operation: &Operation, value: Option<&Text>) -> Option<String> {
        match (operation, value) {
            (Operation::Get { .. }, value) => Some(self.text(value)),
            (Operation::Dequeue { .. }, None) => Some("empty".to_owned()),
            (Operation::Acquire { .. }, None) => Some("refused".to_owned()),
            (Operation::Acquire { .. }, Some(token)) if token.is_empty() => Some("granted".to_owned()),
            (Operation::Acquire { .. }, Some(token)) => Some(format!("granted (token {})", self.text(Some(token)))),
            (Operation::Release { .. }, Some(_)) => Some("refused".to_owned()),
            (Operation::Update(_), Some(found)) => Some(format!("not done, found {}", self.text(Some(found)))),
            (_, Some(value)) => Some(self.text(Some(value))),
            (_, None) => None,
        }
    }

    /// What a client was told, as the beginning of a sentence: `read v3 of key k`, `found queue q empty`.
    pub fn claim(self, operation: &Operation, value: Option<&Text>) -> String {
        let key = shorten(&printable(operation.key()), KEY_CHARACTERS_MAX);
        match (operation, value) {
            (Operation::Get { .. }, value) => format!("read {} of key {key}", self.text(value)),
            (Operation::Update(update), None) if update.expected.is_some() => {
                format!(
                    "changed key {key} from {} to {}",
                    self.text(update.expected.as_ref()),
                    self.text(Some(&update.value))
                )
            }
            (Operation::Update(_), Some(found)) => {
                format!("found {} of key {key} by an {}", self.text(Some(found)), self.asked(operation))
            }
            (Operation::Dequeue { .. }, Some(value)) => format!("dequeued {} from queue {key}", self.text(Some(value))),
            (Operation::Dequeue { .. }, None) => format!("found queue {key} empty"),
            (Operation::Acquire { .. }, Some(_)) => format!("was granted lock {key}"),
            (Operation::Acquire { .. }, None) => format!("was refused lock {key}"),
            (Operation::Release { .. }, None) => format!("released lock {key}"),
            (Operation::Release { .. }, Some(_)) => format!("was told that it does not have lock {key}"),
            (operation, value) => {
                let told = self.told(operation, value).map_or(String::new(), |told| format!(" -> {told}"));
                format!("was answered {}{told} on key {key}", self.asked(operation))
            }
        }
    }
}

/// The texts that an attempt shows.
fn texts(attempt: &Attempt) -> impl Iterator<Item = &Text> {
    let expected = match &attempt.operation {
        Operation::Update(update) => update.expected.as_ref(),
        _ => None,
    };
    let told = match &attempt.answer {
        Some((_, Outcome::Ok(value))) => value.as_ref(),
        _ => None,
    };
    [attempt.operation.value(), expected, told].into_iter().flatten()
}

/// The text, or this number of its characters and three dots.
pub(super) fn shorten(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// As in `9.412345 s`.
pub(super) fn seconds(time: Time) -> String {
    let text = time.to_string();
    text.strip_suffix('s').map_or(text.clone(), |number| format!("{number} s"))
}
