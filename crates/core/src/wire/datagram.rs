//! Single datagrams: read, and written.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checksum::{self, Checksum};
use super::python::{self, Oddity, Rewritten};
use super::{Address, kind};
use crate::service::{Operation, Response, Text};

/// Why bytes are not a valid datagram.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// They are not text.
    #[error("it is not UTF-8")]
    Utf8,
    /// They are not JSON or not an object, or a key is missing or has an invalid value.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// A received datagram. It borrows from the bytes, so reading one mostly allocates nothing.
#[derive(Clone, Debug)]
pub struct Datagram<'a> {
    /// The sender.
    pub src: Address,
    /// The receiver.
    pub dst: Address,
    /// The leader that the sender has observed; [`Address::BROADCAST`] means that there is none.
    pub leader: Address,
    /// The `type`.
    pub kind: Cow<'a, str>,
    /// The `MID`, if there is one.
    pub mid: Option<Cow<'a, str>>,
    text: &'a str,
}

impl<'a> Datagram<'a> {
    /// Reads the envelope of a datagram.
    ///
    /// # Errors
    /// If it is not UTF-8, not a JSON object, or one of `src`, `dst`, `leader` and `type` is missing, appears twice or
    /// makes no sense.
    pub fn parse(bytes: &'a [u8]) -> Result<Datagram<'a>, Malformed> {
        #[derive(Deserialize)]
        struct Parsed<'a> {
            src: Address,
            dst: Address,
            leader: Address,
            #[serde(rename = "type", borrow)]
            kind: Cow<'a, str>,
            #[serde(rename = "MID", borrow)]
            mid: Option<Borrowed<'a>>,
        }
        // Inside an `Option`, a bare `Cow` would never borrow.
        #[derive(Deserialize)]
        struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
        // Skipped parts are not checked for UTF-8, so that is done first.
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Utf8)?;
        if !text.trim_ascii_start().starts_with('{') {
            // A list of the right length would be accepted as a structure.
            serde_json::from_str::<serde::de::IgnoredAny>(text)?;
            return Err(Malformed::Json(serde::de::Error::custom("it is not an object")));
        }
        let Parsed { src, dst, leader, kind, mid } = serde_json::from_str(text)?;
        Ok(Datagram { src, dst, leader, kind, mid: mid.map(|mid| mid.0), text })
    }

    /// Reads the envelope of a datagram as the course's runner does. The runner is a Python program, and Python accepts
    /// more than JSON ([`Oddity`]). If it is not strict JSON, the datagram borrows from `rewritten`, which then holds
    /// it as strict JSON.
    ///
    /// # Errors
    /// As [`Datagram::parse`], if Python would fail, too.
    pub fn parse_as_python(
        bytes: &'a [u8],
        rewritten: &'a mut String,
    ) -> Result<(Datagram<'a>, Option<Oddity>), Malformed> {
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Utf8)?;
        let read = Datagram::parse(bytes);
        if read.is_ok() && !python::may_have_surrogates(text) {
            return read.map(|datagram| (datagram, None));
        }
        match (python::as_strict_json(text), read) {
            (None, read) | (Some(Rewritten { oddity: None, .. }), read @ Ok(_)) => {
                read.map(|datagram| (datagram, None))
            }
            (Some(Rewritten { text, oddity, has_odd_names }), _) => {
                *rewritten = text;
                let oddity = oddity.or((!has_odd_names).then_some(Oddity::RepeatedKey));
                Datagram::parse(rewritten.as_bytes()).map(|datagram| (datagram, oddity))
            }
        }
    }

    /// The whole datagram as strict JSON.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Whether `dst` is written in upper case, as the course's runner requires, because it compares strings.
    pub fn has_upper_case_dst(&self) -> bool {
        #[derive(Deserialize)]
        struct Destination<'a> {
            #[serde(borrow)]
            dst: Cow<'a, str>,
        }
        let expected = self.dst.to_string();
        let has_letters = expected.bytes().any(|digit| digit.is_ascii_alphabetic());
        !has_letters || self.body::<Destination<'_>>().is_ok_and(|found| found.dst == expected)
    }

    /// Whether it has a checksum, and the right one. Then its content is what a replica has written
    /// ([`Datagrams::push`]), however it was re-encoded on the way.
    pub fn is_intact(&self) -> bool {
        Checksum::of(self.text.as_bytes()).is_ok_and(|checksum| checksum.stated == Some(checksum.computed))
    }

    /// Reads further keys of the datagram: those of `T`, ignoring all others.
    ///
    /// # Errors
    /// If a key is missing, appears twice or makes no sense.
    pub fn body<T: Deserialize<'a>>(&self) -> Result<T, Malformed> {
        Ok(serde_json::from_str(self.text)?)
    }

    /// The client's operation, if it is a request.
    ///
    /// # Errors
    /// If it is a request without the keys that it needs.
    pub fn operation(&self) -> Result<Option<Operation>, Malformed> {
        #[derive(Deserialize)]
        struct Get<'a> {
            #[serde(borrow)]
            key: Cow<'a, str>,
        }
        #[derive(Deserialize)]
        struct Put<'a> {
            #[serde(borrow)]
            key: Cow<'a, str>,
            #[serde(borrow)]
            value: Cow<'a, str>,
        }
        Ok(match &*self.kind {
            kind::GET => Some(Operation::Get { key: Text::from(&*self.body::<Get<'_>>()?.key) }),
            kind::PUT => {
                let Put { key, value } = self.body()?;
                Some(Operation::Put { key: Text::from(&*key), value: Text::from(&*value) })
            }
            _ => None,
        })
    }

    /// The replica's response, if it is an answer. A value that is not a string counts as none. If there are two, the
    /// last one counts, as in Python.
    pub fn response(&self) -> Option<Response> {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            value: Cow<'a, str>,
        }
        match &*self.kind {
            kind::OK => {
                let value = match self.body::<Answer<'_>>() {
                    Ok(answer) => Some(Text::from(&*answer.value)),
                    Err(_) => self
                        .body::<serde_json::Map<String, Value>>()
                        .ok()
                        .and_then(|object| object.get("value").and_then(Value::as_str).map(Text::from)),
                };
                Some(Response::Ok { value })
            }
            kind::FAIL => Some(Response::Fail),
            kind::REDIRECT => Some(Response::Redirect),
            _ => None,
        }
    }
}

/// The keys of every sent datagram besides its type.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The sender.
    pub src: Address,
    /// The receiver.
    pub dst: Address,
    /// The leader that the sender has observed; [`Address::BROADCAST`] means that there is none.
    pub leader: Address,
    /// The datagram's name.
    pub mid: &'a str,
}

/// Datagrams to send, in order. If it is reused, it allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Datagrams {
    bytes: Vec<u8>,
    /// Where each datagram ends.
    ends: Vec<usize>,
    /// Only the type and the keys of the body are written.
    bare: bool,
}

impl Datagrams {
    /// No datagrams.
    pub const fn new() -> Datagrams {
        Datagrams { bytes: Vec::new(), ends: Vec::new(), bare: false }
    }

    /// No datagrams; those added later omit their envelope, except `type`. No network accepts them, but they show the
    /// content of a message.
    pub const fn bare() -> Datagrams {
        Datagrams { bytes: Vec::new(), ends: Vec::new(), bare: true }
    }

    /// Adds a datagram of this type from one replica to another. The keys of `body`, which must be a structure, follow
    /// those of the envelope, and the checksum comes last. Returns its length in bytes.
    ///
    /// # Panics
    /// If `body` cannot be read back: it has a key `sum`, or lists that are more than a hundred deep.
    pub fn push(&mut self, envelope: &Envelope<'_>, kind: &str, body: &impl Serialize) -> usize {
        let length = self.write(envelope, kind, body);
        if self.bare { length } else { self.seal(length) }
    }

    /// Gives the newest datagram, which has this length, its checksum. Returns its new length.
    fn seal(&mut self, length: usize) -> usize {
        use std::io::Write;
        let start = self.bytes.len() - length;
        let Checksum { computed, stated } =
            Checksum::of(&self.bytes[start..]).expect("what was just written can be read");
        assert_eq!(stated, None, "the key `{}` is for the checksum", checksum::KEY);
        // The brace that ends it.
        self.bytes.pop();
        write!(self.bytes, r#","{}":{computed}}}"#, checksum::KEY).expect("memory takes any text");
        self.ends.pop();
        self.ends.push(self.bytes.len());
        self.bytes.len() - start
    }

    /// Adds a datagram without a checksum.
    fn write(&mut self, envelope: &Envelope<'_>, kind: &str, body: &impl Serialize) -> usize {
        #[derive(Serialize)]
        struct Whole<'a, B> {
            src: Address,
            dst: Address,
            leader: Address,
            #[serde(rename = "type")]
            kind: &'a str,
            #[serde(rename = "MID")]
            mid: &'a str,
            #[serde(flatten)]
            body: &'a B,
        }
        #[derive(Serialize)]
        struct Bare<'a, B> {
            #[serde(rename = "type")]
            kind: &'a str,
            #[serde(flatten)]
            body: &'a B,
        }
        let Envelope { src, dst, leader, mid } = *envelope;
        let start = self.bytes.len();
        let written = if self.bare {
            serde_json::to_writer(&mut self.bytes, &Bare { kind, body })
        } else {
            serde_json::to_writer(&mut self.bytes, &Whole { src, dst, leader, kind, mid, body })
        };
        written.expect("texts and numbers can be written as JSON into memory");
        self.ends.push(self.bytes.len());
        self.bytes.len() - start
    }

    /// Adds a datagram that is JSON already, in one line.
    pub fn push_text(&mut self, json: &str) {
        // Outside of strings, in which they cannot stand, line breaks count as spaces.
        self.bytes.extend(json.bytes().map(|byte| if byte == b'\n' || byte == b'\r' { b' ' } else { byte }));
        self.ends.push(self.bytes.len());
    }

    /// Takes the newest datagram back.
    pub fn pop(&mut self) {
        self.ends.pop();
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Adds a replica's first datagram.
    pub fn push_hello(&mut self, envelope: &Envelope<'_>) -> usize {
        self.write(envelope, kind::HELLO, &Empty {})
    }

    /// Adds a client's request.
    ///
    /// The course has gets and puts only. All other operations are written as datagrams of separate types, so that a
    /// trace can show them. A reader finds no [`Datagram::operation`] in them and ignores them, like any unknown type.
    pub fn push_operation(&mut self, envelope: &Envelope<'_>, operation: &Operation) -> usize {
        #[derive(Serialize)]
        struct Get<'a> {
            key: &'a str,
        }
        #[derive(Serialize)]
        struct Put<'a> {
            key: &'a str,
            value: &'a str,
        }
        #[derive(Serialize)]
        struct Update<'a> {
            key: &'a str,
            value: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            expected: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            client: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            number: Option<u64>,
        }
        #[derive(Serialize)]
        struct Add<'a> {
            key: &'a str,
            amount: i64,
        }
        #[derive(Serialize)]
        struct Other<'a> {
            key: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            value: Option<&'a str>,
        }
        match operation {
            Operation::Get { key } => self.write(envelope, kind::GET, &Get { key }),
            Operation::Put { key, value } => self.write(envelope, kind::PUT, &Put { key, value }),
            Operation::Update(update) => {
                let crate::service::Update { key, value, expected, request } = &**update;
                let (client, number) = request.map(|request| (request.client, request.number)).unzip();
                self.write(envelope, "update", &Update { key, value, expected: expected.as_deref(), client, number })
            }
            &Operation::Add { ref key, amount } => self.write(envelope, "add", &Add { key, amount }),
            other => {
                let value = other.value().map(|value| &**value);
                self.write(envelope, other.name(), &Other { key: other.key(), value })
            }
        }
    }

    /// Adds a replica's answer.
    pub fn push_response(&mut self, envelope: &Envelope<'_>, response: &Response) -> usize {
        #[derive(Serialize)]
        struct Answer<'a> {
            value: &'a str,
        }
        match response {
            Response::Ok { value: Some(value) } => self.write(envelope, kind::OK, &Answer { value }),
            Response::Ok { value: None } => self.write(envelope, kind::OK, &Empty {}),
            Response::Fail | Response::Outdated => self.write(envelope, kind::FAIL, &Empty {}),
            Response::Redirect => self.write(envelope, kind::REDIRECT, &Empty {}),
        }
    }

    /// The datagrams in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// No further keys.
#[derive(Serialize)]
struct Empty {}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: Envelope<'static> =
        Envelope { src: Address(0x1A), dst: Address(1), leader: Address::BROADCAST, mid: "4D61ACF83027" };

    fn written(push: impl FnOnce(&mut Datagrams) -> usize) -> String {
        let mut out = Datagrams::new();
        let length = push(&mut out);
        let datagrams: Vec<&[u8]> = out.iter().collect();
        assert_eq!(datagrams.len(), 1);
        assert_eq!(datagrams[0].len(), length);
        String::from_utf8(datagrams[0].to_vec()).unwrap()
    }

    #[test]
    fn requests_and_answers_are_written_as_in_the_handout() {
        let get = Operation::Get { key: "name".into() };
        let put = Operation::Put { key: "name".into(), value: "Christo \"W\"\n".into() };
        let ok = |value: Option<&str>| Response::Ok { value: value.map(Text::from) };
        for (text, end) in [
            (written(|out| out.push_hello(&ENVELOPE)), r#""type":"hello","MID":"4D61ACF83027"}"#),
            (written(|out| out.push_operation(&ENVELOPE, &get)), r#""type":"get","MID":"4D61ACF83027","key":"name"}"#),
            (
                written(|out| out.push_operation(&ENVELOPE, &put)),
                r#""type":"put","MID":"4D61ACF83027","key":"name","value":"Christo \"W\"\n"}"#,
            ),
            (written(|out| out.push_response(&ENVELOPE, &ok(None))), r#""type":"ok","MID":"4D61ACF83027"}"#),
            (
                written(|out| out.push_response(&ENVELOPE, &ok(Some("")))),
                r#""type":"ok","MID":"4D61ACF83027","value":""}"#,
            ),
            (
                written(|out| out.push_response(&ENVELOPE, &Response::Redirect)),
                r#""type":"redirect","MID":"4D61ACF83027"}"#,
            ),
        ] {
            assert_eq!(text, r#"{"src":"001A","dst":"0001","leader":"FFFF","#.to_owned() + end);
        }
    }

    #[test]
    fn a_written_datagram_is_read_back() {
        let mut out = Datagrams::new();
        let operations = [
            Operation::Get { key: "é\u{0}\"\\".into() },
            Operation::Put { key: String::new().into(), value: "\u{1F600}\u{7f}\u{2028}".into() },
        ];
        for operation in &operations {
            out.push_operation(&ENVELOPE, operation);
        }
        let responses = [Response::Ok { value: Some("v".into()) }, Response::Ok { value: None }, Response::Fail];
        for response in &responses {
            out.push_response(&ENVELOPE, response);
        }
        let read: Vec<Datagram<'_>> = out.iter().map(|bytes| Datagram::parse(bytes).unwrap()).collect();
        for (datagram, operation) in read.iter().zip(&operations) {
            assert_eq!((datagram.src, datagram.dst, datagram.leader), (Address(26), Address(1), Address::BROADCAST));
            assert_eq!(datagram.mid.as_deref(), Some("4D61ACF83027"));
            assert!(matches!((&datagram.kind, &datagram.mid), (Cow::Borrowed(_), Some(Cow::Borrowed(_)))));
            assert_eq!(datagram.operation().unwrap().as_ref(), Some(operation));
            assert_eq!(datagram.response(), None);
        }
        for (datagram, response) in read[2..].iter().zip(responses) {
            assert_eq!(datagram.response(), Some(response));
            assert_eq!(datagram.operation().unwrap(), None);
        }
    }

    #[test]
    fn a_bare_datagram_has_its_type_and_its_content() {
        let mut out = Datagrams::bare();
        out.push_operation(&ENVELOPE, &Operation::Put { key: "k".into(), value: "\"".into() });
        out.push_response(&ENVELOPE, &Response::Fail);
        let texts: Vec<&str> = out.iter().map(|bytes| std::str::from_utf8(bytes).unwrap()).collect();
        assert_eq!(texts, [r#"{"type":"put","key":"k","value":"\""}"#, r#"{"type":"fail"}"#]);
    }

    #[test]
    fn an_update_can_be_shown_but_not_requested() {
        let request = Some(crate::service::RequestId { client: 7, number: 1 });
        let update = |expected: Option<&str>, request| crate::service::Update {
            key: "k".into(),
            value: "v".into(),
            expected: expected.map(Text::from),
            request,
        };
        for (update, rest) in
            [(update(None, request), r#","client":7,"number":1}"#), (update(Some(""), None), r#","expected":""}"#)]
        {
            let update = Operation::Update(update.into());
            let (mut bare, mut whole) = (Datagrams::bare(), Datagrams::new());
            bare.push_operation(&ENVELOPE, &update);
            let shown = bare.iter().next().map(|bytes| std::str::from_utf8(bytes).unwrap());
            assert_eq!(shown, Some(&*format!(r#"{{"type":"update","key":"k","value":"v"{rest}"#)));
            whole.push_operation(&ENVELOPE, &update);
            let datagram = Datagram::parse(whole.iter().next().unwrap()).unwrap();
            assert_eq!(datagram.operation().unwrap(), None);
        }
    }

    #[test]
    fn a_message_between_replicas_has_a_checksum_however_it_is_rewritten() {
        #[derive(Serialize)]
        struct Body<'a> {
            text: &'a str,
        }
        let text = written(|out| out.push(&ENVELOPE, "x", &Body { text: "é" }));
        let whole = r#"{"src":"001A","dst":"0001","leader":"FFFF","type":"x","MID":"4D61ACF83027","text":"é","sum":"#;
        let sum = text.strip_prefix(whole).and_then(|rest| rest.strip_suffix('}')).expect("a checksum at the end");
        let is_intact = |text: &str| Datagram::parse(text.as_bytes()).unwrap().is_intact();
        let rewritten = format!(
            r#"{{"sum": {sum}, "MID": "4D61ACF83027", "type": "x", "text": "\u00e9", "leader": "FFFF", "dst": "0001", "src": "001A"}}"#
        );
        assert!(is_intact(&text) && is_intact(&rewritten));
        for (from, to) in [
            ("001A", "001B"),
            ("0001", "0003"),
            ("FFFF", "FFFE"),
            (r#""x""#, r#""X""#),
            ("4D61", "4D60"),
            ("é", "e"),
            ("text", "test"),
            ("sum", "rum"),
            (sum, "1"),
            (sum, "\"1\""),
        ] {
            assert!(!is_intact(&text.replacen(from, to, 1)), "{from} for {to}");
        }
        let mut out = Datagrams::bare();
        out.push(&ENVELOPE, "x", &Body { text: "a" });
        assert_eq!(out.iter().next(), Some(&br#"{"type":"x","text":"a"}"#[..]));
    }

    #[test]
    fn the_newest_datagram_can_be_taken_back() {
        let mut out = Datagrams::new();
        out.push_hello(&ENVELOPE);
        let first = out.iter().next().unwrap().to_vec();
        out.push_response(&ENVELOPE, &Response::Fail);
        out.pop();
        assert_eq!(out.iter().collect::<Vec<_>>(), [&first[..]]);
        out.pop();
        out.pop();
        assert!(out.is_empty() && out.iter().next().is_none());
    }

    #[test]
    fn errors_of_malformed_datagrams_say_what_is_missing() {
        for (bytes, message) in [
            (&b"\xff\xfe"[..], "it is not UTF-8"),
            (b"", "EOF while parsing a value at line 1 column 0"),
            (b"{", "EOF while parsing an object at line 1 column 1"),
            (b"hello", "expected value at line 1 column 1"),
            (b"7", "it is not an object"),
            (br#"["0000","0001","FFFF","get",null]"#, "it is not an object"),
            (br#"{"src":"0000","dst":"0001","leader":"FFFF"}"#, "missing field `type` at line 1 column 43"),
            (br#"{"dst":"0001"}"#, "missing field `src` at line 1 column 14"),
            (
                br#"{"src":"000","dst":"0001","leader":"FFFF","type":"x"}"#,
                "an address is four hexadecimal digits at line 1 column 12",
            ),
            (br#"{"src":"0000","src":"0001"}"#, "duplicate field `src` at line 1 column 19"),
            (
                br#"{"src":"0000","dst":7,"leader":"FFFF","type":"x"}"#,
                "invalid type: integer `7`, expected a string at line 1 column 21",
            ),
        ] {
            let told = Datagram::parse(bytes).unwrap_err().to_string();
            assert_eq!(told, message, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn depth_and_size_do_no_harm() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            format!(r#"{{"src":"0000","dst":"0001","leader":"FFFF","type":"x","deep":{open}{close}}}"#)
        };
        assert!(Datagram::parse(nested(10).as_bytes()).is_ok());
        let _ = Datagram::parse(nested(32_000).as_bytes());
        let bad_text =
            [&br#"{"src":"0000","dst":"0001","leader":"FFFF","type":"x","more":""#[..], b"\xc3\x28\"}"].concat();
        assert!(matches!(Datagram::parse(&bad_text), Err(Malformed::Utf8)));
    }
}
