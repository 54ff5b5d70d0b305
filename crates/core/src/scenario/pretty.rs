//! JSON that is easy to read.

use std::io::{self, Write};

use serde::Serialize;

use super::json::Json;

/// An object that would be longer than this in one line takes one line for each of its keys.
const LINE_CHARS_MAX: usize = 100;

/// Writes a value as JSON: one line for each item of a list of objects or of lists, however long the item is. Each
/// short object and each list of plain values takes one line, too.
pub(crate) fn write_pretty(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    // Through a string, so that keys stay in their order.
    let json: Json = serde_json::from_str(&serde_json::to_string(value)?)?;
    match &json {
        Json::Object(entries) if !entries.is_empty() => write_object(entries, 0, out)?,
        other => write(other, 0, out)?,
    }
    out.write_all(b"\n")
}

/// Writes a value that begins somewhere in a line with this indentation.
fn write(json: &Json, indent: usize, out: &mut impl Write) -> io::Result<()> {
    match json {
        Json::List(items) if items.iter().any(is_compound) => {
            write_lines(('[', ']'), items, indent, out, |item, out| out.write_all(line(item).as_bytes()))
        }
        Json::Object(entries) if has_lines(json) || line(json).chars().count() > LINE_CHARS_MAX => {
            write_object(entries, indent, out)
        }
        short => out.write_all(line(short).as_bytes()),
    }
}

fn write_object(entries: &[(String, Json)], indent: usize, out: &mut impl Write) -> io::Result<()> {
    write_lines(('{', '}'), entries, indent, out, |(key, value), out| {
        write!(out, "{}: ", quoted(key))?;
        write(value, indent + 2, out)
    })
}

fn write_lines<T, W: Write>(
    (open, close): (char, char),
    items: &[T],
    indent: usize,
    out: &mut W,
    write: impl Fn(&T, &mut W) -> io::Result<()>,
) -> io::Result<()> {
    writeln!(out, "{open}")?;
    for (i, item) in items.iter().enumerate() {
        write!(out, "{:1$}", "", indent + 2)?;
        write(item, out)?;
        writeln!(out, "{}", if i + 1 < items.len() { "," } else { "" })?;
    }
    write!(out, "{:indent$}{close}", "")
}

fn is_compound(json: &Json) -> bool {
    matches!(json, Json::List(_) | Json::Object(_))
}

/// Whether there is a list somewhere in it that takes several lines.
fn has_lines(json: &Json) -> bool {
    match json {
        Json::List(items) => items.iter().any(is_compound),
        Json::Object(entries) => entries.iter().any(|(_, value)| has_lines(value)),
        _ => false,
    }
}

/// The whole value in one line.
fn line(json: &Json) -> String {
    match json {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.to_string(),
        Json::Text(text) => quoted(text),
        Json::List(items) => format!("[{}]", items.iter().map(line).collect::<Vec<_>>().join(", ")),
        Json::Object(entries) => {
            let entry = |(key, value): &(String, Json)| format!("{}: {}", quoted(key), line(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Sample {
        text: &'static str,
        empty: [u8; 0],
        numbers: Vec<u32>,
        short: Point,
        points: [Point; 2],
        holder: Holder,
    }

    #[derive(Clone, Copy, Serialize)]
    struct Point {
        y: f64,
        x: f64,
    }

    #[derive(Serialize)]
    struct Holder {
        rows: [[u8; 2]; 2],
    }

    #[test]
    fn items_take_one_line_each_and_keys_keep_their_order() {
        let point = Point { y: 0.5, x: 1e300 };
        let sample = Sample {
            text: "\"\n\u{7f}",
            empty: [],
            numbers: vec![7; 60],
            short: point,
            points: [point; 2],
            holder: Holder { rows: [[1, 2], [3, 4]] },
        };
        let mut out = Vec::new();
        write_pretty(&sample, &mut out).unwrap();
        let expected = format!(
            r#"{{
  "text": "\"\n\u{{7f}}",
  "empty": [],
  "numbers": [{}7],
  "short": {{"y": 0.5, "x": 1e+300}},
  "points": [
    {{"y": 0.5, "x": 1e+300}},
    {{"y": 0.5, "x": 1e+300}}
  ],
  "holder": {{
    "rows": [
      [1, 2],
      [3, 4]
    ]
  }}
}}
"#,
            "7, ".repeat(59)
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected.replace("\\u{7f}", "\u{7f}"));
    }

    #[test]
    fn empty_lists_and_objects_take_one_line() {
        let mut out = Vec::new();
        write_pretty(&serde_json::json!({}), &mut out).unwrap();
        write_pretty(&serde_json::json!([1, null, true]), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "{}\n[1, null, true]\n");
    }
}
