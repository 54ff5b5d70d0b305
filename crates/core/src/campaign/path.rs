//! Where a value stands in a scenario file: `events[0].time`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// The most characters and steps of a path.
const CHARS_MAX: usize = 200;
const STEPS_MAX: usize = 8;

/// A place in a scenario file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    first: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

/// A string that is not a path, or a path that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The string is not written like a path.
    #[error("`{0}` is not a path; allowed is a key as in drops, or a path as in events[0].time")]
    Format(String),
    /// The list is shorter, or there is none.
    #[error("`{path}`: {found}")]
    Nowhere {
        /// The path.
        path: String,
        /// What is there instead.
        found: String,
    },
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Path, PathError> {
        let wrong = || PathError::Format(text.chars().take(CHARS_MAX).collect());
        let is_key =
            |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if text.len() > CHARS_MAX {
            return Err(wrong());
        }
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (key, items) = part.find('[').map_or((part, ""), |place| part.split_at(place));
            if !is_key(key) {
                return Err(wrong());
            }
            steps.push(Step::Key(key.to_owned()));
            let mut rest = items;
            while !rest.is_empty() {
                let (item, after) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(wrong)?;
                let is_number = !item.is_empty() && item.bytes().all(|byte| byte.is_ascii_digit());
                steps.push(Step::Item(is_number.then(|| item.parse().ok()).flatten().ok_or_else(wrong)?));
                rest = after;
            }
        }
        match steps.remove(0) {
            Step::Key(first) if steps.len() < STEPS_MAX => Ok(Path { first, steps }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first)?;
        self.steps.iter().try_for_each(|step| match step {
            Step::Key(key) => write!(f, ".{key}"),
            Step::Item(item) => write!(f, "[{item}]"),
        })
    }
}

impl Path {
    /// The key at the top of the file.
    pub fn first(&self) -> &str {
        &self.first
    }

    /// Whether it is only that key.
    pub fn is_key(&self) -> bool {
        self.steps.is_empty()
    }

    /// Puts a value in its place. Missing keys and objects are created; missing items of lists are not.
    ///
    /// # Errors
    /// If there is no such item, or no object where a key should stand.
    pub fn set(&self, top: &mut Value, value: Value) -> Result<(), PathError> {
        let nowhere = |found: String| PathError::Nowhere { path: self.to_string(), found };
        let Value::Object(entries) = top else { return Err(nowhere("there is no object".to_owned())) };
        let mut place = entries.entry(&self.first).or_insert(Value::Null);
        let mut so_far = self.first.clone();
        for step in &self.steps {
            place = match (step, place) {
                (Step::Key(key), Value::Object(entries)) => entries.entry(key).or_insert(Value::Null),
                (Step::Key(key), place @ Value::Null) => {
                    *place = Value::Object(serde_json::Map::new());
                    place.as_object_mut().expect("it was just made").entry(key).or_insert(Value::Null)
                }
                (Step::Item(item), Value::Array(items)) => {
                    let count = items.len();
                    let missing = || {
                        nowhere(format!(
                            "the list `{so_far}` has {count} {}, counted from 0",
                            if count == 1 { "item" } else { "items" }
                        ))
                    };
                    items.get_mut(*item).ok_or_else(missing)?
                }
                (Step::Item(_), Value::Null) if so_far == "events" => {
                    return Err(nowhere("the scenario has no `events`; --event adds some".to_owned()));
                }
                (Step::Item(_), Value::Null) => return Err(nowhere(format!("there is no list `{so_far}`"))),
                (Step::Item(_), _) => return Err(nowhere(format!("`{so_far}` is not a list"))),
                (Step::Key(_), _) => return Err(nowhere(format!("`{so_far}` is not an object"))),
            };
            so_far = match step {
                Step::Key(key) => format!("{so_far}.{key}"),
                Step::Item(item) => format!("{so_far}[{item}]"),
            };
        }
        *place = value;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_shown_as_it_was_written() {
        for text in ["drops", "events[0].time", "network.delay.mean_ms", "matrix[1][2]", "a_1"] {
            assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
        }
        for text in
            ["", ".", "a.", ".a", "a[", "a[]", "a[x]", "a[-1]", "a[0]b", "[0]", "a b", "a=b", "é", "a[0", "a..b"]
        {
            assert_eq!(text.parse::<Path>(), Err(PathError::Format(text.to_owned())), "{text}");
        }
        assert!(format!("a{}", "[0]".repeat(9)).parse::<Path>().is_err());
    }

    #[test]
    fn a_value_is_put_where_the_path_leads_and_missing_objects_are_created() {
        let mut top = json!({"events": [{"time": 1}, {"time": 2}], "matrix": [[0, 1], [2, 3]]});
        let mut set = |path: &str, value| path.parse::<Path>().unwrap().set(&mut top, value).map_err(|e| e.to_string());
        for (path, value) in [
            ("events[1].time", json!(7)),
            ("matrix[1][0]", json!(0.5)),
            ("drops", json!(0.25)),
            ("network.delay.ms", json!(3)),
            ("network.order", json!("fifo")),
        ] {
            assert_eq!(set(path, value), Ok(()));
        }
        for (path, found) in [
            ("events[2].time", "`events[2].time`: the list `events` has 2 items, counted from 0"),
            ("losses[0].nth", "`losses[0].nth`: there is no list `losses`"),
            ("events.time", "`events.time`: `events` is not an object"),
            ("drops[0]", "`drops[0]`: `drops` is not a list"),
        ] {
            assert_eq!(set(path, json!(1)), Err(found.to_owned()));
        }
        assert_eq!(top["events"], json!([{"time": 1}, {"time": 7}]));
        assert_eq!(top["network"], json!({"delay": {"ms": 3}, "order": "fifo"}));
        assert_eq!((&top["matrix"], &top["drops"]), (&json!([[0, 1], [0.5, 3]]), &json!(0.25)));
    }
}
