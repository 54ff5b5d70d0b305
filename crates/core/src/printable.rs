//! Foreign text in messages: in one line, harmless to a terminal, and not too long.

use std::fmt;

/// The text with all characters escaped that would break a line or control a terminal.
pub fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Shows the beginning of what may be text, printable, and says how much more there is.
#[derive(Clone, Copy, Debug)]
pub struct Excerpt<'a>(pub &'a [u8]);

/// At most this many bytes of an excerpt are shown.
const SHOWN_BYTES_MAX: usize = 200;

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN_BYTES_MAX)];
        f.write_str(&printable(&String::from_utf8_lossy(shown)))?;
        match self.0.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, "... ({more} bytes more)"),
        }
    }
}

/// `count`, followed by the singular or plural noun.
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_would_break_a_line_or_control_a_terminal_are_escaped() {
        assert_eq!(printable("a\nb\u{1b}[31m\u{2028}é"), "a\\nb\\u{1b}[31m\\u{2028}é");
    }

    #[test]
    fn an_excerpt_is_one_short_printable_line() {
        assert_eq!(Excerpt(b"{\"a\":\x1b[31m\xff\n}").to_string(), "{\"a\":\\u{1b}[31m\u{FFFD}\\n}");
        assert_eq!(Excerpt(&[b'x'; 205]).to_string(), "x".repeat(200) + "... (5 bytes more)");
    }
}
