//! EDN, the extensible data notation of Clojure (<https://github.com/edn-format/edn>), read value by value.
//!
//! It knows nothing of histories. Only the value that is being read is in memory, however long the text is.

use std::fmt;
use std::io::{self, BufRead};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    /// A number as it is written, without the `N` or `M` of exact ones.
    Number(String),
    String(String),
    Char(char),
    /// Without its colon.
    Keyword(String),
    Symbol(String),
    /// A vector in brackets or a list in parentheses.
    Sequence(Vec<Value>),
    Set(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

/// Values may be nested this deep.
const DEPTH_MAX: usize = 64;

/// A string, number or name may have this many bytes.
const TOKEN_BYTES_MAX: usize = 16 << 20;

/// What is wrong with an escape of half a character.
const HALF: &str = "`\\u` names half a character; allowed are both halves, or the character itself";

/// Why a text is not EDN.
#[derive(Debug)]
pub(super) enum EdnError {
    Read(io::Error),
    /// In this line, counted from 1.
    Syntax(u64, String),
}

/// Reads values one by one.
pub(super) struct Reader<R> {
    input: R,
    line: u64,
    /// How many bytes are read.
    pub position: u64,
    /// The lines in which the sequence that is walked through began.
    open: Option<(u64, u8)>,
}

impl<R: BufRead> Reader<R> {
    pub fn new(input: R) -> Reader<R> {
        Reader { input, line: 1, position: 0, open: None }
    }

    /// The next value at the top, and the line in which it begins; none at the end. A sequence at the top is walked through: its
    /// values come one by one.
    pub fn next(&mut self) -> Result<Option<(u64, Value)>, EdnError> {
        loop {
            self.skip_blank()?;
            match (self.peek()?, self.open) {
                (None, None) => return Ok(None),
                (None, Some((line, open))) => {
                    return Err(EdnError::Syntax(line, format!("`{}` is never closed", char::from(open))));
                }
                (Some(byte @ (b'[' | b'(')), None) => {
                    self.open = Some((self.line, byte));
                    self.take()?;
                }
                (Some(byte), Some((_, open))) if byte == closing(open) => {
                    self.open = None;
                    self.take()?;
                }
                (Some(_), _) => {
                    let line = self.line;
                    if let Some(value) = self.value_or_nothing(0)? {
                        return Ok(Some((line, value)));
                    }
                }
            }
        }
    }

    /// The next value at the top, a sequence as a whole; none at the end.
    pub fn value_or_end(&mut self) -> Result<Option<Value>, EdnError> {
        self.skip_blank()?;
        if self.peek()?.is_none() { Ok(None) } else { self.value(0).map(Some) }
    }

    fn error<T>(&self, what: impl fmt::Display) -> Result<T, EdnError> {
        Err(EdnError::Syntax(self.line, what.to_string()))
    }

    fn peek(&mut self) -> Result<Option<u8>, EdnError> {
        loop {
            match self.input.fill_buf() {
                Ok(bytes) => return Ok(bytes.first().copied()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(EdnError::Read(error)),
            }
        }
    }

    fn take(&mut self) -> Result<Option<u8>, EdnError> {
        let byte = self.peek()?;
        if let Some(byte) = byte {
            self.input.consume(1);
            self.position += 1;
            self.line += u64::from(byte == b'\n');
        }
        Ok(byte)
    }

    /// Skips white space, commas and comments.
    fn skip_blank(&mut self) -> Result<(), EdnError> {
        while let Some(byte) = self.peek()? {
            match byte {
                b';' => while self.take()?.is_some_and(|byte| byte != b'\n') {},
                _ if is_blank(byte) => {
                    self.take()?;
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// The value that begins here.
    fn value(&mut self, depth: usize) -> Result<Value, EdnError> {
        loop {
            self.skip_blank()?;
            if let Some(value) = self.value_or_nothing(depth)? {
                return Ok(value);
            }
        }
    }

    /// The same, or nothing if what is here is discarded by `#_`.
    fn value_or_nothing(&mut self, depth: usize) -> Result<Option<Value>, EdnError> {
        if depth > DEPTH_MAX {
            return self.error(format_args!("values are nested more than {DEPTH_MAX} deep"));
        }
        let Some(byte) = self.peek()? else { return self.error("the text ends where a value is expected") };
        Ok(Some(match byte {
            b'[' | b'(' => {
                self.take()?;
                Value::Sequence(self.values(closing(byte), depth)?)
            }
            b'{' => {
                self.take()?;
                Value::Map(self.pairs(depth)?)
            }
            b'"' => {
                self.take()?;
                Value::String(self.string()?)
            }
            b'\\' => {
                self.take()?;
                Value::Char(self.character()?)
            }
            b'#' => {
                self.take()?;
                return self.dispatch(depth);
            }
            b']' | b')' | b'}' => return self.error(format_args!("`{}` closes nothing", char::from(byte))),
            _ => self.atom()?,
        }))
    }

    /// Values up to this closing byte.
    fn values(&mut self, close: u8, depth: usize) -> Result<Vec<Value>, EdnError> {
        let (line, mut values) = (self.line, Vec::new());
        loop {
            self.skip_blank()?;
            match self.peek()? {
                None => return Err(EdnError::Syntax(line, format!("`{}` is missing", char::from(close)))),
                Some(byte) if byte == close => {
                    self.take()?;
                    return Ok(values);
                }
                Some(_) => values.extend(self.value_or_nothing(depth + 1)?),
            }
        }
    }

    fn pairs(&mut self, depth: usize) -> Result<Vec<(Value, Value)>, EdnError> {
        let line = self.line;
        let mut values = self.values(b'}', depth)?.into_iter();
        let mut pairs = Vec::with_capacity(values.len() / 2);
        while let Some(key) = values.next() {
            match values.next() {
                Some(value) => pairs.push((key, value)),
                None => return Err(EdnError::Syntax(line, "a map has a key without a value".to_owned())),
            }
        }
        Ok(pairs)
    }

    /// What follows `#`.
    fn dispatch(&mut self, depth: usize) -> Result<Option<Value>, EdnError> {
        match self.peek()? {
            Some(b'{') => {
                self.take()?;
                Ok(Some(Value::Set(self.values(b'}', depth)?)))
            }
            Some(b'_') => {
                self.take()?;
                self.value(depth + 1)?;
                Ok(None)
            }
            Some(b'#') => {
                // A symbolic number: infinite, or NaN.
                self.take()?;
                self.token().map(|token| Some(Value::Number(token)))
            }
            _ => {
                // A tag says how to read the value, which is read as it stands.
                let tag = self.token()?;
                if tag.is_empty() {
                    return self.error("`#` is followed by no tag");
                }
                self.value(depth + 1).map(Some)
            }
        }
    }

    fn string(&mut self) -> Result<String, EdnError> {
        let (line, mut bytes) = (self.line, Vec::new());
        loop {
            match self.take()? {
                None => return Err(EdnError::Syntax(line, "a string has no end".to_owned())),
                Some(b'"') => break,
                Some(b'\\') => {
                    let c = self.escape()?;
                    bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
                }
                Some(byte) => bytes.push(byte),
            }
            if bytes.len() > TOKEN_BYTES_MAX {
                return self.error("a string is longer than 16 MiB");
            }
        }
        String::from_utf8(bytes).map_err(|_| EdnError::Syntax(line, "a string is not UTF-8".to_owned()))
    }

    /// What follows a backslash in a string.
    fn escape(&mut self) -> Result<char, EdnError> {
        Ok(match self.take()? {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(byte @ (b'"' | b'\\' | b'\'')) => char::from(byte),
            Some(b'u') => {
                let first = self.code()?;
                // A character beyond 16 bits is written as two halves. Half a character would make different strings equal.
                if !(0xD800..0xDC00).contains(&first) {
                    return char::from_u32(first).map_or_else(|| self.error(HALF), Ok);
                }
                if (self.take()?, self.take()?) != (Some(b'\\'), Some(b'u')) {
                    return self.error(HALF);
                }
                let second = self.code()?;
                let Some(low) = second.checked_sub(0xDC00).filter(|low| *low < 0x400) else { return self.error(HALF) };
                let code = 0x1_0000 + ((first - 0xD800) << 10) + low;
                return char::from_u32(code).map_or_else(|| self.error(HALF), Ok);
            }
            _ => return self.error("a string has an unknown escape"),
        })
    }

    /// The four digits of an escape.
    fn code(&mut self) -> Result<u32, EdnError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.take()?.and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return self.error("`\\u` needs four hexadecimal digits") };
            code = code * 16 + digit;
        }
        Ok(code)
    }

    /// What follows a backslash outside of strings.
    fn character(&mut self) -> Result<char, EdnError> {
        // The first one may be any, a parenthesis, too.
        let Some(first) = self.take()? else { return self.error("the text ends where a character is expected") };
        let mut bytes = vec![first];
        bytes.extend(self.token_bytes()?);
        let name = String::from_utf8(bytes).or_else(|_| self.error("a character is not UTF-8"))?;
        let mut characters = name.chars();
        match (characters.next(), characters.next()) {
            (Some(only), None) => return Ok(only),
            (Some('u'), Some(_)) if name.len() == 5 => {
                if let Some(c) = u32::from_str_radix(&name[1..], 16).ok().and_then(char::from_u32) {
                    return Ok(c);
                }
            }
            _ => {}
        }
        match name.as_str() {
            "newline" => Ok('\n'),
            "return" => Ok('\r'),
            "space" => Ok(' '),
            "tab" => Ok('\t'),
            "formfeed" => Ok('\u{c}'),
            "backspace" => Ok('\u{8}'),
            _ => self.error("a character has an unknown name"),
        }
    }

    fn token(&mut self) -> Result<String, EdnError> {
        let bytes = self.token_bytes()?;
        String::from_utf8(bytes).or_else(|_| self.error("a name is not UTF-8"))
    }

    /// Bytes up to the next one that ends a name or number.
    fn token_bytes(&mut self) -> Result<Vec<u8>, EdnError> {
        let mut bytes = Vec::new();
        // By the buffer, and not byte by byte: most of a history are names and numbers.
        while self.peek()?.is_some_and(is_of_token) {
            let buffer = self.input.fill_buf().map_err(EdnError::Read)?;
            let count = buffer.iter().take_while(|&&byte| is_of_token(byte)).count();
            bytes.extend_from_slice(&buffer[..count]);
            self.input.consume(count);
            self.position += count as u64;
            if bytes.len() > TOKEN_BYTES_MAX {
                return self.error("a name is longer than 16 MiB");
            }
        }
        Ok(bytes)
    }

    /// A number, a name, `nil`, `true` or `false`.
    fn atom(&mut self) -> Result<Value, EdnError> {
        let token = self.token()?;
        let digits = token.strip_prefix(['-', '+']).unwrap_or(&token);
        Ok(match token.as_str() {
            "nil" => Value::Nil,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ if digits.starts_with(|c: char| c.is_ascii_digit()) => {
                let number = token.strip_suffix(['N', 'M']).unwrap_or(&token);
                let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-' | '/');
                // As in `#object[java.lang.Object 0x5f3b9c57 "..."]`, which Clojure prints for what cannot be read.
                let is_hex = digits.strip_prefix("0x").is_some_and(|hex| hex.chars().all(|c| c.is_ascii_hexdigit()));
                if !is_hex && !number.chars().all(is_number) {
                    return self.error("a number has letters");
                }
                Value::Number(number.strip_prefix('+').unwrap_or(number).to_owned())
            }
            _ => match token.strip_prefix(':') {
                Some("") => return self.error("`:` is followed by no name"),
                Some(name) => Value::Keyword(name.to_owned()),
                None => Value::Symbol(token),
            },
        })
    }
}

/// Whether a byte is part of a name or number. Line ends are not.
fn is_of_token(byte: u8) -> bool {
    !is_blank(byte) && !b"()[]{}\";\\".contains(&byte)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' | b',')
}

fn closing(open: u8) -> u8 {
    match open {
        b'[' => b']',
        b'(' => b')',
        _ => b'}',
    }
}

/// As EDN.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn all(f: &mut fmt::Formatter<'_>, open: &str, values: &[Value], close: &str) -> fmt::Result {
            f.write_str(open)?;
            for (place, value) in values.iter().enumerate() {
                write!(f, "{}{value}", if place == 0 { "" } else { " " })?;
            }
            f.write_str(close)
        }
        match self {
            Value::Nil => f.write_str("nil"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(text) | Value::Symbol(text) => f.write_str(text),
            Value::String(text) => write!(f, "{text:?}"),
            Value::Char(c) => write!(f, "\\{c}"),
            Value::Keyword(name) => write!(f, ":{name}"),
            Value::Sequence(values) => all(f, "[", values, "]"),
            Value::Set(values) => all(f, "#{", values, "}"),
            Value::Map(pairs) => {
                let values: Vec<Value> = pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect();
                all(f, "{", &values, "}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Result<Vec<Value>, EdnError> {
        let mut reader = Reader::new(text);
        let mut values = Vec::new();
        while let Some((_, value)) = reader.next()? {
            values.push(value);
        }
        Ok(values)
    }

    /// A text and how its values are written again.
    fn reads(text: &str, expected: &[&str]) {
        let values = all(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert_eq!(values.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn values_of_every_kind_are_read() {
        reads("nil true false", &["nil", "true", "false"]);
        reads("1 -2 +3 4N 1.5M 1e-3 1/2 ##Inf", &["1", "-2", "3", "4", "1.5", "1e-3", "1/2", "Inf"]);
        reads(r#""a\n\"\\\u00e9" \a \newline \( \u0041"#, &[r#""a\n\"\\é""#, "\\a", "\\\n", "\\(", "\\A"]);
        reads(r#""\ud83d\uDE00" "\uFFFD""#, &["\"\u{1F600}\"", "\"\u{FFFD}\""]);
        reads(":a :b/c d e.f/g - -a +", &[":a", ":b/c", "d", "e.f/g", "-", "-a", "+"]);
        reads("{:a [1, 2], :b #{3}, :c (4 {})}", &["{:a [1 2] :b #{3} :c [4 {}]}"]);
        reads("", &[]);
    }

    #[test]
    fn commas_comments_discarded_values_and_tags_are_no_values() {
        reads("1,,2 ; and 3\n4", &["1", "2", "4"]);
        reads("#_ 1 2 #_ [3 {4 5}] {:a #_ 6 7} #_ #_ 8 9 10", &["2", "{:a 7}", "10"]);
        reads("#inst \"2020\" #jepsen.history.Op{:index 0} #:a{:b 1}", &["\"2020\"", "{:index 0}", "{:b 1}"]);
    }

    #[test]
    fn a_sequence_at_the_top_is_walked_through() {
        reads("[{:a 1} {:b 2}]\n(3)", &["{:a 1}", "{:b 2}", "3"]);
        reads("[[1] []]", &["[1]", "[]"]);
        let mut reader = Reader::new(&b"[\n\n{:a 1}\n;\n {:b\n2} 3]"[..]);
        let mut lines = Vec::new();
        while let Some((line, _)) = reader.next().expect("EDN") {
            lines.push(line);
        }
        assert_eq!(lines, [3, 5, 6]);
    }

    #[test]
    fn objects_that_clojure_cannot_write_are_read() {
        let text = r#"{:error #object[java.net.SocketTimeoutException 0x5f3b9c57 "too late"]}"#;
        assert!(Reader::new(text.as_bytes()).next().expect("EDN").is_some());
        assert!(Reader::new(&b"0x5g"[..]).next().is_err());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, what) in [
            ("\n[1", 2, "`[` is never closed"),
            ("\n{1 [\n2", 2, "`]` is missing"),
            ("{:a}", 1, "a map has a key without a value"),
            ("1\n]", 2, "`]` closes nothing"),
            ("[1)", 1, "`)` closes nothing"),
            ("\"ab\n", 1, "a string has no end"),
            (r#""\q""#, 1, "a string has an unknown escape"),
            (r#""\u12""#, 1, "`\\u` needs four hexadecimal digits"),
            (r#""\ud83d""#, 1, HALF),
            (r#""\ude00""#, 1, HALF),
            (r#""\ud83d\ud83d""#, 1, HALF),
            ("12ab", 1, "a number has letters"),
            (":", 1, "`:` is followed by no name"),
            ("# 1", 1, "`#` is followed by no tag"),
            ("#tag", 1, "the text ends where a value is expected"),
            ("\\nope", 1, "a character has an unknown name"),
            ("{:a \\", 1, "the text ends where a character is expected"),
        ] {
            match all(text.as_bytes()) {
                Err(EdnError::Syntax(found, problem)) => assert_eq!((found, problem.as_str()), (line, what), "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!(all(b"\"\xff\""), Err(EdnError::Syntax(1, what)) if what == "a string is not UTF-8"));
    }

    #[test]
    fn values_are_nested_only_so_deep() {
        assert!(all(("[".repeat(60) + &"]".repeat(60)).as_bytes()).is_ok());
        for open in ["[", "{", "#{", "#a ", "#_ ", "#a[", "(("] {
            assert!(all(open.repeat(1_000_000).as_bytes()).is_err(), "{open}");
        }
    }

    #[test]
    fn no_cut_and_no_changed_byte_does_harm() {
        let text = "[{:process 0, :type :invoke, :f :cas, :value [\"a\\u00e9\\n\" \\newline]} #_{:x #{1 2}} ; c\n #t (1N -2.5)]";
        let bytes = text.as_bytes();
        assert!(all(bytes).is_ok());
        for place in 0..bytes.len() {
            let _ = all(&bytes[..place]);
            let mut changed = bytes.to_vec();
            for byte in 0..=255 {
                changed[place] = byte;
                let _ = all(&changed);
            }
        }
    }
}
