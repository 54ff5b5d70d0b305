//! JSON as Python's `json.loads` reads it, where that accepts more than JSON.

use serde_json::{Map, Value};

/// An extension of JSON that Python accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    /// `NaN`, `Infinity` or `-Infinity` as a number.
    #[error("NaN or Infinity")]
    NotFinite,
    /// Half of a surrogate pair, as in `"\ud800"`.
    #[error("half of a surrogate pair")]
    LoneSurrogate,
    /// A key that occurs twice in an object. The last one counts.
    #[error("a key that occurs twice")]
    RepeatedKey,
}

/// An object as strict JSON, and the extension that it used, repeated keys apart; none if Python cannot read it either,
/// or if it is not an object. Numbers that are not finite become null, and halves of surrogate pairs the replacement
/// character. If a key occurs twice, the last one stays.
///
/// A `type` or `MID` that is not a string becomes one that no message has: programs in Python accept that.
pub(super) fn as_strict_json(text: &str) -> Option<Rewritten> {
    let (plain, oddity) = without_odd_tokens(text);
    let mut object: Map<String, Value> = serde_json::from_str(&plain).ok()?;
    let mut has_odd_names = false;
    for key in ["type", "MID"] {
        if let Some(value) = object.get_mut(key).filter(|value| !value.is_string()) {
            *value = Value::String(format!("{value}, which is not a string"));
            has_odd_names = true;
        }
    }
    Some(Rewritten { text: Value::Object(object).to_string(), oddity, has_odd_names })
}

/// An object as strict JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rewritten {
    pub text: String,
    /// The extension that it used, repeated keys apart.
    pub oddity: Option<Oddity>,
    /// `type` or `MID` were not strings.
    pub has_odd_names: bool,
}

/// Whether a text may have half of a surrogate pair. The JSON reader does not detect that in a string that it skips.
pub(super) fn may_have_surrogates(text: &str) -> bool {
    text.contains("\\ud") || text.contains("\\uD")
}

fn without_odd_tokens(text: &str) -> (String, Option<Oddity>) {
    let (mut plain, mut oddity) = (String::with_capacity(text.len()), None);
    let (mut rest, mut in_string) = (text, false);
    while let Some(char) = rest.chars().next() {
        let found = if in_string { odd_escape(rest) } else { odd_number(rest) };
        if let Some((length, replacement, what)) = found {
            plain.push_str(replacement);
            oddity = oddity.or(Some(what));
            rest = &rest[length..];
            continue;
        }
        let length = if in_string { escape_length(rest).unwrap_or(char.len_utf8()) } else { char.len_utf8() };
        in_string ^= char == '"';
        plain.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    (plain, oddity)
}

fn odd_number(rest: &str) -> Option<(usize, &'static str, Oddity)> {
    let found = ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| rest.starts_with(word))?;
    Some((found.len(), "null", Oddity::NotFinite))
}

fn odd_escape(rest: &str) -> Option<(usize, &'static str, Oddity)> {
    let first = unit(rest)?;
    let is_pair =
        (0xD800..0xDC00).contains(&first) && unit(&rest[6..]).is_some_and(|next| (0xDC00..0xE000).contains(&next));
    let is_lone = (0xD800..0xE000).contains(&first) && !is_pair;
    is_lone.then_some((6, "\\ufffd", Oddity::LoneSurrogate))
}

/// The length of the escape sequence at the beginning of this text, if there is one. A surrogate pair is one.
fn escape_length(rest: &str) -> Option<usize> {
    let second = rest.strip_prefix('\\')?.chars().next()?;
    match unit(rest) {
        Some(unit) if (0xD800..0xDC00).contains(&unit) => Some(12),
        Some(_) => Some(6),
        None => Some(1 + second.len_utf8()),
    }
}

/// The UTF-16 code unit of an escape sequence as in `\u00e9`.
fn unit(rest: &str) -> Option<u16> {
    let digits = rest.strip_prefix("\\u")?.get(..4)?;
    if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) { u16::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_python_becomes_strict_json_with_the_same_meaning() {
        for (text, strict, oddity) in [
            (r#"{"a": NaN, "b": [-Infinity, Infinity]}"#, r#"{"a":null,"b":[null,null]}"#, Some(Oddity::NotFinite)),
            (r#"{"a": "NaN \"Infinity"}"#, r#"{"a":"NaN \"Infinity"}"#, None),
            (r#"{"a": 1, "a": 2}"#, r#"{"a":2}"#, None),
            (r#"{"a": "\ud800x"}"#, "{\"a\":\"\u{fffd}x\"}", Some(Oddity::LoneSurrogate)),
            (r#"{"a": "\ude00"}"#, "{\"a\":\"\u{fffd}\"}", Some(Oddity::LoneSurrogate)),
            (r#"{"a": "\ud83d\ude00\\ud800"}"#, "{\"a\":\"\u{1F600}\\\\ud800\"}", None),
            (r#"{"a": "\ud83d\ud83d\ude00"}"#, "{\"a\":\"\u{fffd}\u{1F600}\"}", Some(Oddity::LoneSurrogate)),
        ] {
            let expected = Rewritten { text: strict.to_owned(), oddity, has_odd_names: false };
            assert_eq!(as_strict_json(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn json_that_python_refuses_is_refused() {
        for text in
            ["", "{", "NaN", "[NaN]", r#"{"a": nan}"#, r#"{'a': 1}"#, "\u{feff}{}", r#"{"a": "\u12"}"#, r#"{"a": "\"#]
        {
            assert_eq!(as_strict_json(text), None, "{text}");
        }
        for number in ["1NaN", "1.NaN", "-NaN", "--Infinity", "Infinity.5", "InfinityE5", "NaNNaN", "nullNaN"] {
            assert_eq!(as_strict_json(&format!("{{\"a\": {number}}}")), None, "{number}");
        }
    }
}
