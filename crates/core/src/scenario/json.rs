//! JSON as scenario files need it: no key is lost and no number is changed.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::printable::printable;

/// The most characters of a value that a message shows.
const SHOWN_CHARS_MAX: usize = 60;

/// A JSON value. Unlike `serde_json::Value` it keeps repeated keys, so that they can be refused by name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Json>),
    /// Keys and values in the file's order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value in one line, shortened, for messages.
    pub(super) fn shown(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        shortened(&text)
    }

    /// Writes compact JSON and stops soon after the text is longer than messages show.
    fn write(&self, out: &mut String) {
        match self {
            _ if out.len() > 4 * SHOWN_CHARS_MAX => {}
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(number) => out.push_str(&number.to_string()),
            Json::Text(text) => write_text(text, out),
            Json::List(items) => {
                write_items(('[', ']'), items, out, |item, out| item.write(out));
            }
            Json::Object(entries) => write_items(('{', '}'), entries, out, |(key, value), out| {
                write_text(key, out);
                out.push(':');
                value.write(out);
            }),
        }
    }
}

fn write_items<T>(brackets: (char, char), items: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push(brackets.0);
    // Each item takes at least two characters, so the rest would not be shown anyway.
    for (i, item) in items.iter().take(SHOWN_CHARS_MAX).enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(brackets.1);
}

fn write_text(text: &str, out: &mut String) {
    let start: String = text.chars().take(SHOWN_CHARS_MAX + 1).collect();
    out.push_str(&serde_json::Value::from(start).to_string());
}

/// The text in one line and not too long, for messages.
pub(super) fn shortened(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if start.len() < text.len() {
        start.push_str("...");
    }
    printable(&start)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        // JSON has no infinity and no NaN, and the parser refuses numbers that are too large.
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Json::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        serde_json::from_str::<Json>(text).unwrap().shown()
    }

    #[test]
    fn values_are_shown_as_compact_json() {
        assert_eq!(
            shown(r#" [1, -2.50, {"a" : null, "b" : [true, "x\"y"]}] "#),
            r#"[1,-2.5,{"a":null,"b":[true,"x\"y"]}]"#
        );
    }

    #[test]
    fn long_values_are_shortened_and_control_characters_never_break_the_line() {
        assert_eq!(shown(&format!("\"{}\"", "é".repeat(1_000))), format!("\"{}...", "é".repeat(59)));
        assert_eq!(shown(&format!("[{}0]", "0,".repeat(1_000))), format!("[{}0...", "0,".repeat(29)));
        assert_eq!(shown(r#""\n\u007f\u0085\u2028""#), r#""\n\u{7f}\u{85}\u{2028}""#);
    }
}
