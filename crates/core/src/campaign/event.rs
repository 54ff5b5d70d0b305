//! Fault events as they are written on a command line: `kill_leader@5`, `isolate:3@8`, several joined by `+`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::GridError;
use super::values::{VALUES_MAX, ValuesError, parse_values};
use crate::hint::{did_you_mean, nearest};
use crate::scenario::library::{self, Kind};
use crate::scenario::{event_type, event_types, load_matrix};

/// The name of the dimension whose values are events that are added to those of the scenario.
pub const EVENT: &str = "event";

/// One event: its type, what it is about, and when it happens.
struct Event<'t> {
    name: &'t str,
    arguments: Vec<&'t str>,
    time: &'t str,
}

impl<'t> Event<'t> {
    /// `TYPE@TIME` or `TYPE:ARGUMENT:...@TIME`.
    fn parse(word: &'t str) -> Result<Event<'t>, GridError> {
        let problem = |problem: String| GridError::Event { word: word.chars().take(200).collect(), problem };
        let form =
            || problem("allowed is TYPE@SECONDS, as in kill_leader@5, kill:2@5 or part_hard@5+part_end@8".to_owned());
        let (what, time) = word.rsplit_once('@').ok_or_else(form)?;
        let mut parts = what.split(':').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let arguments: Vec<&str> = parts.collect();
        let Some(kind) = event_type(name) else {
            let types = || format!("allowed is one of the types {}", event_types().collect::<Vec<_>>().join(", "));
            return Err(problem(nearest(name, event_types()).map_or_else(types, did_you_mean)));
        };
        if !(kind.required..=kind.keys.len()).contains(&arguments.len()) {
            let (needed, further) = kind.keys.split_at(kind.required);
            let needed: String = needed.iter().map(|key| format!(":{}", key.to_uppercase())).collect();
            let further: String = further.iter().map(|key| format!("[:{}]", key.to_uppercase())).collect();
            return Err(problem(format!("allowed is {name}{needed}{further}@SECONDS")));
        }
        Ok(Event { name, arguments, time: time.trim() })
    }

    /// Its words with another time.
    fn at(&self, time: &str) -> String {
        let arguments: String = self.arguments.iter().map(|argument| format!(":{argument}")).collect();
        format!("{}{arguments}@{time}", self.name)
    }

    fn keys(&self) -> &'static [&'static str] {
        event_type(self.name).map_or(&[], |kind| kind.keys)
    }

    /// As a scenario file has it.
    fn json(&self) -> Result<Value, GridError> {
        let number = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        let mut event = Map::new();
        event.insert("type".to_owned(), self.name.into());
        event.insert("time".to_owned(), number(self.time));
        for (key, argument) in self.keys().iter().zip(&self.arguments) {
            let value = match *key {
                "matrix" => json!(load_matrix(Path::new(argument))?.rows().collect::<Vec<_>>()),
                "delay" => json!({"kind": "constant", "ms": number(argument)}),
                "groups" => groups(argument),
                _ => number(argument),
            };
            event.insert((*key).to_owned(), value);
        }
        Ok(Value::Object(event))
    }

    /// The file on disk that it names, if it names one.
    fn file(&self) -> Option<PathBuf> {
        let keys = self.keys().iter().zip(&self.arguments);
        let mut matrices = keys.filter(|(key, _)| **key == "matrix");
        library::file(Kind::Matrix, Path::new(matrices.next()?.1))
    }
}

/// The groups of a partition: `0-1/2-3-4`.
fn groups(text: &str) -> Value {
    let member = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let group = |text: &str| Value::from(text.split('-').map(member).collect::<Vec<_>>());
    text.split('/').map(group).collect::<Vec<_>>().into()
}

/// The values of a list, separated by commas: each is one event or several. A single one can have a range of times, as
/// in `kill_leader@5:25:5`, and then stands for one value for each time.
pub(super) fn parse_events(text: &str) -> Result<Vec<String>, GridError> {
    let values =
        |text: &str| parse_values(text).map_err(|problem| GridError::Values { name: EVENT.to_owned(), problem });
    let mut words = Vec::new();
    for item in text.split(',').map(str::trim) {
        let events = item.split('+').map(|word| Event::parse(word.trim())).collect::<Result<Vec<_>, _>>()?;
        match &events[..] {
            [event] => words.extend(values(event.time)?.iter().map(|time| event.at(time))),
            events => {
                let with_time = |event: &Event<'_>| match &values(event.time)?[..] {
                    [time] => Ok(event.at(time)),
                    _ => Err(GridError::Event {
                        word: event.at(event.time),
                        problem: "one of several joined by + has a single time".to_owned(),
                    }),
                };
                words.push(events.iter().map(with_time).collect::<Result<Vec<_>, _>>()?.join("+"));
            }
        }
    }
    Ok(words)
}

/// The events of a value, as a scenario file has them.
pub(super) fn events(word: &str) -> Result<Vec<Value>, GridError> {
    word.split('+').map(|word| Event::parse(word)?.json()).collect()
}

/// The files on disk that a value names.
pub(super) fn files(word: &str) -> Vec<PathBuf> {
    word.split('+').filter_map(|word| Event::parse(word).ok()?.file()).collect()
}

/// All ways to take one value of each list, with the events of all.
///
/// # Errors
/// If a list is not a list of events.
pub fn together(lists: &[String]) -> Result<Vec<String>, GridError> {
    lists.iter().try_fold(Vec::new(), |so_far: Vec<String>, list| {
        let words = parse_events(list)?;
        if so_far.is_empty() {
            return Ok(words);
        }
        if so_far.len().saturating_mul(words.len()) > VALUES_MAX {
            return Err(GridError::Values { name: EVENT.to_owned(), problem: ValuesError::TooMany });
        }
        Ok(so_far.iter().flat_map(|first| words.iter().map(move |word| format!("{first}+{word}"))).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        parse_events(text).map_or_else(|error| error.to_string(), |words| words.join(" "))
    }

    #[test]
    fn events_have_a_type_what_it_needs_and_a_time() {
        for (text, words) in [
            ("kill_leader@5", "kill_leader@5"),
            ("kill_leader@5.0, heal@1e1", "kill_leader@5 heal@10"),
            ("kill_leader@5:15:5", "kill_leader@5 kill_leader@10 kill_leader@15"),
            ("part_hard@5+part_end@8.5", "part_hard@5+part_end@8.5"),
            ("set_link:0:2:0.5@3", "set_link:0:2:0.5@3"),
        ] {
            assert_eq!(parsed(text), words);
        }
        let link = events("set_link:0:2:0.5@3+kill:1@4").unwrap();
        assert_eq!(link[0], json!({"type": "set_link", "time": 3, "from": 0, "to": 2, "value": 0.5}));
        assert_eq!(link[1], json!({"type": "kill", "time": 4, "replica": 1}));
        let matrix = &events("set_matrix:isolate-3@2").unwrap()[0]["matrix"];
        assert_eq!((matrix.as_array().map(Vec::len), &matrix[0][3]), (Some(5), &json!(1.0)));
    }

    #[test]
    fn a_malformed_event_is_refused_with_what_is_allowed() {
        let form = "allowed is TYPE@SECONDS, as in kill_leader@5, kill:2@5 or part_hard@5+part_end@8";
        for (text, problem) in [
            ("kill_leader", format!("event `kill_leader`: {form}")),
            ("", format!("event ``: {form}")),
            ("kil_leader@5", "event `kil_leader@5`: did you mean `kill_leader`?".to_owned()),
            ("kill@5", "event `kill@5`: allowed is kill:REPLICA@SECONDS".to_owned()),
            ("heal:1@5", "event `heal:1@5`: allowed is heal@SECONDS".to_owned()),
            ("heal@", "values of `event`: a value is empty".to_owned()),
            ("heal@1:2:1+heal@5", "event `heal@1:2:1`: one of several joined by + has a single time".to_owned()),
        ] {
            assert!(parsed(text).starts_with(&problem), "{}", parsed(text));
        }
    }

    #[test]
    fn several_lists_are_taken_together() {
        let lists = ["part_hard@5,part_easy@5", "part_end@8", "kill_leader@10:20:10"].map(str::to_owned);
        let words = together(&lists).unwrap();
        assert_eq!(words.len(), 4);
        assert_eq!(words[1], "part_hard@5+part_end@8+kill_leader@20");
        assert!(together(&[]).unwrap().is_empty());
        let many = ["kill_leader@0:999:1", "heal@0:999:1"].map(str::to_owned);
        assert_eq!(together(&many).unwrap_err().to_string(), "values of `event`: there are more than 100000 values");
    }
}
