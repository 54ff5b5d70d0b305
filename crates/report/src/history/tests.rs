//! Histories are read as they were written, and what makes no sense is refused with its line.

use super::*;
use seedbed_core::check::fixture;
use seedbed_core::check::load::{self, Load};
use seedbed_core::record::History;
use seedbed_core::service::{Custom, RequestId, Update};

fn read_text(mut text: &[u8]) -> Result<ReadHistory, ReadError> {
    read(&mut text, &mut |_| {})
}

fn message(text: &str) -> String {
    match read_text(text.as_bytes()) {
        Ok(read) => panic!("{text}: {read:?}"),
        Err(error) => error.to_string(),
    }
}

fn written(history: History) -> Vec<u8> {
    let record = RunRecord { history, ..fixture::record() };
    let scenario = fixture::scenario();
    let heading = Heading { scenario: &scenario, seed: 7, protocol: "raft", command: "seedbed run x" };
    let mut bytes = Vec::new();
    write(&mut bytes, &heading, &record).expect("memory takes all");
    bytes
}

/// A history with an operation of each kind, and each kind of answer.
fn everything() -> History {
    let mut history =
        load::history(Load { kind: "register", operations: 40, objects: 3, clients: 4, lost: 0.2, is_wrong: false }, 1);
    let key = || "k\n\"é".into();
    let value = || "v\u{1F600}".into();
    let update = |expected, request| Operation::Update(Update { key: key(), value: value(), expected, request }.into());
    let operations = [
        update(None, None),
        update(Some("".into()), Some(RequestId { client: u64::MAX, number: 3 })),
        Operation::Append { key: key(), value: value() },
        Operation::Add { key: key(), amount: i64::MIN },
        Operation::Enqueue { key: key(), value: value() },
        Operation::Dequeue { key: key() },
        Operation::Acquire { key: key() },
        Operation::Release { key: key() },
        Operation::Custom(Custom { name: "get".into(), key: key(), argument: None }.into()),
        Operation::Custom(Custom { name: "push".into(), key: key(), argument: Some("".into()) }.into()),
    ];
    let outcomes = [None, Some(Outcome::Ok(Some("".into()))), Some(Outcome::Fail), Some(Outcome::Redirect)];
    // Other clients made the attempts before these, so that one can be sent again.
    let first = Attempt { client: seedbed_core::id::ClientId(0x00FF), ..history.attempts[0].clone() };
    for (number, operation) in operations.into_iter().enumerate() {
        let answer = outcomes[number % 4].clone().map(|outcome| (Time(i64::MAX as u64), outcome));
        history.attempts.push(Attempt { operation, answer, sent: Time(i64::MAX as u64), ..first.clone() });
    }
    let last = history.attempts.len() as u64 - 1;
    let again = Attempt { retry_of: Some(seedbed_core::id::Mid(last)), ..history.attempts[last as usize].clone() };
    history.attempts.push(again);
    history
}

#[test]
fn what_is_written_is_read_again() {
    let history = everything();
    let read = read_text(&written(history.clone())).expect("a history");
    assert_eq!((read.format, read.history.attempts), (Format::Lines, history.attempts));
    assert!(read.skipped.is_nothing());
}

#[test]
fn a_line_that_makes_no_sense_is_refused_with_its_number() {
    let whole = String::from_utf8(written(everything())).expect("text");
    let with = |from: &str, to: &str| message(&whole.replacen(from, to, 1));
    assert!(message(&whole[..whole.len() / 2]).starts_with("line "), "cut within a line");
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(message(&lines[..10].join("\n")), "is cut off: after 9 operations there is no line with `type` `end`");
    assert_eq!(
        with("\"seedbed_history\":1", "\"seedbed_history\":2"),
        "line 1: `seedbed_history` is 2; this program reads version 1"
    );
    assert_eq!(
        with("\"mid\":\"000000000001\"", "\"mid\":\"000000000003\""),
        "line 3: `mid` must be `000000000001`: operations are numbered from 0"
    );
    assert_eq!(
        with("\"client\":\"0000\"", "\"client\":\"12345\""),
        "line 3: `client` is `12345`; allowed are 4 hexadecimal digits"
    );
    assert_eq!(
        with("\"type\":\"operation\"", "\"type\":\"x\""),
        "line 2: `type` is `x`; allowed are operation and end"
    );
    assert_eq!(
        with("\"answer\":\"ok\"", "\"answer\":\"no\""),
        "line 2: `answer` is `no`; allowed are ok, fail and redirect"
    );
    assert_eq!(
        with("\"operations\":51", "\"operations\":52"),
        "line 53: `operations` is 52, but there are 51 before it"
    );
    assert_eq!(with(",\"operations\":51", ""), "line 53: `operations` is missing");
    assert_eq!(with("\"key\":", "\"kez\":"), "line 2: `key` is missing");
    assert_eq!(
        with("9223372036854775807", "9223372036854775808"),
        "line 42: `invoked_ns` is 9223372036854775808; allowed are up to 9223372036854775807"
    );
    assert!(with("\"invoked_ns\":", "\"invoked_ns\":-").starts_with("line 2: invalid"), "JSON");
    assert_eq!(message(""), "is empty; allowed is a history as JSON lines, EDN or a Jepsen log");
    assert!(message("hello\nworld\n").starts_with("is not a history; allowed are"));
    assert!(message(&" ".repeat((1 << 20) + 5_000)).starts_with("begins with more than 1 MiB"));
}

/// The first line of a history.
const HEADER: &str = "{\"seedbed_history\":1,\"type\":\"begin\"}\n";

/// A line with an operation, from its number and its further fields.
fn line(mid: u64, fields: &str) -> String {
    format!(
        "{{\"type\":\"operation\",\"mid\":\"{mid:012X}\",\"client\":\"0001\",\"replica\":\"0000\",\"key\":\"k\",\"invoked_ns\":{mid},\
         {fields}}}\n"
    )
}

/// The last line.
fn footer(operations: u64) -> String {
    format!("{{\"type\":\"end\",\"operations\":{operations}}}\n")
}

#[test]
fn the_first_line_must_be_the_header_and_there_is_only_one() {
    let get = line(0, "\"operation\":\"get\"");
    let expected = "the first line must have `type` `begin` and `seedbed_history` 1";
    assert_eq!(message(&format!("{get}{}", footer(1))), format!("line 1: `type` is `operation`; {expected}"));
    assert_eq!(message(&format!("\n{}", footer(0))), format!("line 2: `type` is `end`; {expected}"));
    assert_eq!(message(&format!("{HEADER}{get}{HEADER}{}", footer(1))), "line 3: is a second line with `type` `begin`");
}

#[test]
fn a_history_without_operations_is_refused() {
    assert_eq!(message(&format!("{HEADER}{}", footer(0))), "has no operations");
    assert_eq!(message("[]"), "has no operations");
    assert_eq!(message("; only a comment"), "has no operations");
    let nemesis = "{:process :nemesis, :type :info, :f :start}";
    assert_eq!(message(&nemesis.repeat(2)), "has no operations (skipped: 2 events of the nemesis)");
    assert_eq!(message("jepsen.util - :nemesis :info :start"), "has no operations (skipped: 1 event of the nemesis)");
}

#[test]
fn attempts_of_one_request_must_ask_the_same() {
    let update = |mid, value: &str, further: &str| {
        line(mid, &format!("\"operation\":\"update\",\"value\":\"{value}\"{further}"))
    };
    let two = |first: String, second: String| format!("{HEADER}{first}{second}{}", footer(2));
    let named = ",\"request\":[7,1]";
    assert!(read_text(two(update(0, "a", named), update(1, "a", named)).as_bytes()).is_ok());
    assert!(read_text(two(update(0, "a", named), update(1, "b", ",\"request\":[7,2]")).as_bytes()).is_ok());
    let other = "line 3: `request` is [7,1], which names an update of another key or value in `000000000000`";
    assert_eq!(message(&two(update(0, "a", named), update(1, "b", named))), other);
    assert_eq!(message(&two(update(0, "a", named), update(1, "a", named).replace("\"k\"", "\"l\""))), other);
    assert_eq!(message(&two(update(0, "a", named), update(1, "a", &format!("{named},\"expected\":\"\"")))), other);
    let again = ",\"retry_of\":\"000000000000\"";
    assert!(read_text(two(update(0, "a", ""), update(1, "a", again)).as_bytes()).is_ok());
    let other = "line 3: `retry_of` is `000000000000`, which has another client, operation, key or value";
    assert_eq!(message(&two(update(0, "a", ""), update(1, "b", again))), other);
    assert_eq!(message(&two(update(0, "a", ""), update(1, "a", again).replace("\"0001\"", "\"0002\""))), other);
}

#[test]
fn a_field_that_an_operation_does_not_have_is_refused() {
    for (fields, expected) in [
        ("\"operation\":\"get\",\"value\":\"a\"", "`value` is there, but `operation` is `get`"),
        ("\"operation\":\"get\",\"amount\":1", "`amount` is there, but `operation` is `get`"),
        ("\"operation\":\"put\",\"value\":\"a\",\"expected\":\"b\"", "`expected` is there, but `operation` is `put`"),
        ("\"operation\":\"get\",\"result\":\"a\"", "`result` is there, but `answer` is not `ok`"),
        ("\"operation\":\"get\",\"completed_ns\":5", "`completed_ns` is there, but `answer` is missing"),
    ] {
        let text = format!("{HEADER}{}{}", line(0, fields), footer(1));
        assert_eq!(message(&text), format!("line 2: {expected}"), "{fields}");
    }
}

/// Returns one byte at a time, and is interrupted before each, as a slow pipe.
struct Slow<'t>(&'t [u8], bool);

impl io::Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = usize::from(!self.0.is_empty() && !buffer.is_empty());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn a_slow_pipe_white_space_and_a_byte_order_mark_change_nothing() {
    let lines = String::from_utf8(written(everything())).expect("text");
    let edn = "{ :process 0, :type :invoke, :f :read}\n{:process 0, :type :ok, :f :read, :value 1}";
    let log = "INFO  jepsen.util - 0 :invoke :read nil\r\nINFO  jepsen.util - 0 :ok :read 1\r\n";
    for (text, format) in [(&*lines, Format::Lines), (edn, Format::Edn), (log, Format::Log)] {
        let plain = read_text(text.as_bytes()).expect("a history");
        assert_eq!(plain.format, format);
        for before in ["", "\u{FEFF}", "\n \n", "\u{FEFF} \r\n\n"] {
            let text = format!("{before}{text}");
            let slow = read(&mut Slow(text.as_bytes(), false), &mut |_| {}).expect("the same history");
            assert_eq!((slow.format, &slow.history.attempts), (format, &plain.history.attempts), "{before:?}");
            assert_eq!(read_text(text.as_bytes()).expect("the same history").history, slow.history);
        }
    }
    let wrong = "\u{FEFF}\n\n{:process x}";
    assert!(message(wrong).starts_with("line 3: "), "white space at the beginning has lines, too");
}

#[test]
fn no_cut_and_no_changed_byte_does_harm() {
    let mut short = everything();
    short.attempts.drain(..40);
    short.attempts.iter_mut().for_each(|attempt| attempt.retry_of = None);
    let whole = written(short);
    for place in 0..whole.len() {
        assert!(read_text(&whole[..place.max(1)]).is_err() || place + 1 >= whole.len(), "{place}");
        let mut changed = whole.clone();
        for byte in [b'"', b'}', b'9', 0xFF] {
            changed[place] = byte;
            let _ = read_text(&changed);
        }
    }
}

/// The operations of a history in EDN or a log, one in each line, by their debug output.
fn operations(text: &str) -> Vec<String> {
    let ReadHistory { history, .. } = read_text(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    let line = |attempt: &Attempt| {
        let answer = match &attempt.answer {
            None => "never".to_owned(),
            Some((time, outcome)) => format!("{} {outcome:?}", time.0),
        };
        format!("{} {:?} {} {answer}", attempt.client, attempt.operation, attempt.sent.0)
    };
    history.attempts.iter().map(line).collect()
}

#[test]
fn events_of_jepsen_become_operations() {
    let text = "{:process 3, :type :invoke, :f :read, :value nil, :time 5, :index 0}
        {:process :nemesis, :type :info, :f :start, :value \"cut off\"}
        {:process 4, :type :invoke, :f :cas, :value [1 2], :time 6}
        {:process 3, :type :ok, :f :read, :value 1, :time 7}
        {:process 4, :type :fail, :f :cas, :value [1 2], :time 8}
        {:process 3, :type :invoke, :f :write, :value nil, :time 9}
        {:process 3, :type :info, :f :write, :value nil, :time 10, :error :timeout}
        {:process 10, :type :invoke, :f :write, :value \"a b\", :time 11}";
    let expected = [
        r#"0003 Get { key: "x" } 5 7 Ok(Some("1"))"#,
        r#"0004 Update(Update { key: "x", value: "2", expected: Some("1"), request: None }) 6 8 Redirect"#,
        r#"0003 Put { key: "x", value: "" } 9 never"#,
        r#"000A Put { key: "x", value: "a b" } 11 never"#,
    ];
    assert_eq!(operations(text), expected);
    assert_eq!(operations(&format!("[{text}]")), expected, "as one vector");
}

#[test]
fn without_times_the_place_of_an_event_is_its_time() {
    let text = "; no times\n{:process 0 :type :invoke :f :dequeue} {:process 0 :type :ok :f :dequeue :value nil}
        {:process 0 :type :invoke :f :dequeue} {:process 0 :type :ok :f :dequeue :value 7}";
    assert_eq!(
        operations(text),
        [
            r#"0000 Dequeue { key: "x" } 1000000 2000000 Ok(None)"#,
            r#"0000 Dequeue { key: "x" } 3000000 4000000 Ok(Some("7"))"#
        ]
    );
}

#[test]
fn keys_stand_beside_values_or_with_them() {
    let read = r#"Get { key: "7" }"#;
    for (invoke, expected) in [
        (":f :read, :value [7 nil]", read),
        (":f :read, :key 7", read),
        (":f :read, :value #jepsen/tuple [7 nil]", read),
        (":f :write, :value [7 1]", r#"Put { key: "7", value: "1" }"#),
        (":f :cas, :value [7 [1 2]]", r#"Update(Update { key: "7", value: "2", expected: Some("1"), request: None })"#),
        (":f :add, :value [7 -5]", r#"Add { key: "7", amount: -5 }"#),
        (":f :append, :value [7 \"v\"]", r#"Append { key: "7", value: "v" }"#),
        (":f :acquire, :value [7 nil]", r#"Acquire { key: "7" }"#),
    ] {
        let found = operations(&format!("{{:process 0, :type :invoke, {invoke}}}"));
        assert_eq!(found, [format!("0000 {expected} 1000000 never")], "{invoke}");
    }
    let text =
        "{:process 0, :type :invoke, :f :read, :value [7 nil]} {:process 0, :type :ok, :f :read, :value [7 [1 2]]}";
    assert_eq!(operations(text), [r#"0000 Get { key: "7" } 1000000 2000000 Ok(Some("[\"1\",\"2\"]"))"#]);
    let text = "{:process 0, :type :invoke, :f :read} {:process 0, :type :ok, :f :read, :value [7 8]}";
    assert_eq!(operations(text), [r#"0000 Get { key: "x" } 1000000 2000000 Ok(Some("[\"7\",\"8\"]"))"#], "a list");
}

#[test]
fn logs_of_jepsen_are_read() {
    let text = "INFO  jepsen.core - Worker 0 starting\nINFO  jepsen.util - Everything set up\n\nINFO  jepsen.util - 0\t:invoke\t:cas\t[3 0]\n\
        INFO  jepsen.util - :nemesis :info :start nil\nINFO  jepsen.util - 1 :invoke :read nil\n\
        INFO  jepsen.util - 0\t:info\t:cas\t:timed-out\nINFO  jepsen.util - 1\t:ok\t:read\t3\n\
        2015-01-01 INFO [x] jepsen.util - 7\t:invoke\t:write\t4\nINFO  jepsen.util - 7 :fail :write 4 :timeout\n";
    let read = read_text(text.as_bytes()).expect("a log");
    assert_eq!((read.format, read.skipped), (Format::Log, Skipped { nemesis: 1, info: 0, lines: 2 }));
    assert_eq!(
        operations(text),
        [
            r#"0000 Update(Update { key: "x", value: "0", expected: Some("3"), request: None }) 1000000 never"#,
            r#"0001 Get { key: "x" } 3000000 5000000 Ok(Some("3"))"#,
            r#"0007 Put { key: "x", value: "4" } 6000000 7000000 Redirect"#,
        ]
    );
}

#[test]
fn an_event_that_makes_no_sense_is_refused_with_its_line() {
    let invoke = "{:process 0, :type :invoke, :f :read, :value nil}\n";
    for (text, expected) in [
        ("{:type :invoke}", "line 1: :process is missing"),
        ("\n{:process 0, :type :invoke}", "line 2: :f is missing"),
        ("{:process 0, :type :go, :f :read}", "line 1: :type is go; allowed are :invoke, :ok, :fail and :info"),
        ("{:process 0, :type :ok, :f :read}", "line 1: process 0 has no operation under way"),
        (
            "{:process -1, :type :ok, :f :read}",
            "line 1: :process is -1; allowed are whole numbers from 0, and :nemesis",
        ),
        ("{:process \"0\", :type :ok}", "line 1: :process is \"0\"; allowed are whole numbers from 0, and :nemesis"),
        ("{:process nil, :type :ok}", "line 1: :process is nil; allowed are whole numbers from 0, and :nemesis"),
        (
            "{:process :client, :type :ok}",
            "line 1: :process is :client; allowed are whole numbers from 0, and :nemesis",
        ),
        (
            "{:process 99999999999999999999, :type :ok}",
            "line 1: :process is 99999999999999999999; allowed are whole numbers from 0, and :nemesis",
        ),
        ("jepsen.util - x :ok :read 1", "line 1: :process is x; allowed are whole numbers from 0, and :nemesis"),
        ("{:process 0, :process 1}", "line 1: has :process twice"),
        ("{:process 0, :type :invoke, :f :write}", "line 1: :value is missing"),
        (
            "{:process 0, :type :invoke, :f :add, :value x}",
            "line 1: :value of an :add is not a whole number of 64 bits",
        ),
        (
            "{:process 0, :type :invoke, :f :cas, :value 1}",
            "line 1: :value of a :cas is not a vector of the old and the new value",
        ),
        (
            "{:process 0, :type :invoke, :f :read, :time 9223372036854775808}",
            "line 1: :time is 9223372036854775808; allowed are whole nanoseconds from 0 to 9223372036854775807",
        ),
        (
            "{:process 0, :type :invoke, :f :read, :time -1}",
            "line 1: :time is -1; allowed are whole nanoseconds from 0 to 9223372036854775807",
        ),
        ("[1]", "line 1: is not an event; allowed are maps with :process, :type, :f and :value"),
        ("{:process 0, :type :invoke", "line 1: `}` is missing"),
    ] {
        assert_eq!(message(text), expected, "{text}");
    }
    for (second, expected) in [
        ("{:process 0, :type :invoke, :f :read}", "line 2: process 0 has an operation under way since line 1"),
        (
            "{:process 1, :type :invoke, :f :read, :time 4}",
            "line 2: either all events of processes have a :time, or none",
        ),
        (
            "{:process 1, :type :invoke, :f :read, :value [1 nil]}",
            "line 2: either all values are vectors of a key and a value, or none",
        ),
        (
            "{:process 1, :type :invoke, :f :txn}",
            "line 2: :f is txn; allowed are :read, :write, :cas, :append, :add, :enqueue, :dequeue, :acquire and :release",
        ),
        (
            "{:process 0, :type :ok, :f :read, :value 1} {:process 0, :type :invoke, :f :append, :value 1}",
            "line 2: :value of a :read is not a vector, although there is an :append, which is to a list",
        ),
    ] {
        assert_eq!(message(&format!("{invoke}{second}")), expected, "{second}");
    }
    for (text, expected) in [
        ("0 :invoke", "is not an event; allowed is a process, its :type, :f and value"),
        ("0 :invoke :read {:a", "`}` is missing"),
        ("[0 :ok :read 1]", ":process is [0 :ok :read 1]; allowed are whole numbers from 0, and :nemesis"),
        ("0 :invoke :write ; 3", ":value is missing"),
    ] {
        assert_eq!(message(&format!("INFO  jepsen.util - {text}")), format!("line 1: {expected}"));
    }
}

#[test]
fn the_end_of_an_operation_must_be_about_what_was_begun() {
    let two = |first: &str, second: &str| format!("{{:process 3, :type :invoke, {first}}}\n{{:process 3, {second}}}");
    let begun = "process 3 has begun this operation with";
    for (first, second, problem) in [
        (":f :read", ":type :ok, :f :write, :value 1", format!(":f is write, but {begun} read")),
        (":f :read", ":type :info, :f :cas", format!(":f is cas, but {begun} read")),
        (":f :write, :value 1", ":type :ok, :f :write, :value 2", format!(":value is 2, but {begun} 1")),
        (":f :write, :value 1", ":type :ok, :f :write, :value nil", format!(":value is nil, but {begun} 1")),
        (":f :append, :value 1", ":type :ok, :f :append, :value [1]", format!(":value is [1], but {begun} 1")),
        (":f :enqueue, :value 1", ":type :ok, :f :enqueue, :value 2", format!(":value is 2, but {begun} 1")),
        (":f :add, :value 1", ":type :ok, :f :add, :value 2", format!(":value is 2, but {begun} 1")),
        (":f :cas, :value [1 2]", ":type :ok, :f :cas, :value [2 1]", format!(":value is [2 1], but {begun} [1 2]")),
        (":f :cas, :value [1 2]", ":type :ok, :f :cas, :value 2", format!(":value is 2, but {begun} [1 2]")),
        (":f :read, :value [7 nil]", ":type :ok, :f :read, :value [8 1]", format!("the key is 8, but {begun} 7")),
        (":f :write, :value [7 1]", ":type :fail, :f :write, :value [8 1]", format!("the key is 8, but {begun} 7")),
        (":f :read, :key 7", ":type :ok, :f :read, :key 8, :value 1", format!("the key is 8, but {begun} 7")),
        (":f :write, :value [7 1]", ":type :ok, :f :write, :value [7 2]", format!(":value is 2, but {begun} 1")),
    ] {
        assert_eq!(message(&two(first, second)), format!("line 2: {problem} in line 1"), "{first} {second}");
    }
    for (first, second, problem) in [
        (
            ":f :read, :value [7 nil]",
            ":type :ok, :f :read, :value 1",
            ":value is not a vector of a key and a value, as that of the invocation is",
        ),
        (":f :read", ":type :ok, :f :read", ":value is missing: what was returned; allowed is nil, too"),
        (":f :dequeue", ":type :ok, :f :dequeue", ":value is missing: what was returned; allowed is nil, too"),
    ] {
        assert_eq!(message(&two(first, second)), format!("line 2: {problem}"), "{first} {second}");
    }
    // Values that may differ: answers, and reasons of a failure. What is not said is not wrong.
    for (first, second) in [
        (":f :read, :value 5", ":type :ok, :f :read, :value 6"),
        (":f :write, :value 1", ":type :ok, :f :write"),
        (":f :write, :value 1", ":type :ok, :f :write, :value \"1\""),
        (":f :add, :value 5", ":type :ok, :f :add, :value +5"),
        (":f :write, :value 1", ":type :fail, :f :write, :value :full"),
        (":f :write, :value [7 1]", ":type :info, :f :write, :value :timeout"),
        (":f :read, :key 7", ":type :ok, :f :read, :value 1"),
        (":f :acquire, :value 4", ":type :ok, :f :acquire, :value {:uid 4}"),
        (":f :release, :value 4", ":type :ok, :f :release, :value {:uid 4}"),
    ] {
        assert_eq!(operations(&two(first, second)).len(), 1, "{first} {second}");
    }
    let log = "jepsen.util - 0 :invoke :write 1\njepsen.util - 0 :ok :write 2";
    assert_eq!(message(log), "line 2: :value is 2, but process 0 has begun this operation with 1 in line 1");
}

#[test]
fn skipped_events_are_counted() {
    let text = "{:process :nemesis, :type :info, :f :start} {:process 4, :type :info, :f :crash}
        {:process 0, :type :invoke, :f :read} {:process :nemesis, :type :sleep, :time \"now\"}";
    let read = read_text(text.as_bytes()).expect("a history");
    assert_eq!(read.skipped, Skipped { nemesis: 2, info: 1, lines: 0 });
    let words = read.skipped.words();
    assert_eq!(words.as_deref(), Some("2 events of the nemesis, 1 `:info` event without an operation"));
    assert_eq!(Skipped::default().words(), None);
}

#[test]
fn bytes_that_are_not_text_are_refused_and_long_values_are_shortened() {
    let mut log = b"\xFF is no event\njepsen.util - 0 :invoke :write \"a".to_vec();
    log.extend(b"\xFF\"");
    assert_eq!(read_text(&log).expect_err("not UTF-8").to_string(), "line 2: is not UTF-8");
    let long = message(&format!("{{:process 0, :type :invoke, :f :{}}}", "x".repeat(1_000_000)));
    assert!(long.len() < 500, "{}", long.len());
}

#[test]
fn processes_with_large_numbers_are_numbered_anew() {
    let invoke = |process: u64| format!("{{:process {process}, :type :invoke, :f :read}}\n");
    let clients = |processes: &[u64]| -> Vec<String> {
        let text: String = processes.iter().copied().map(invoke).collect();
        operations(&text).iter().map(|line| line[..4].to_owned()).collect()
    };
    assert_eq!(clients(&[65_535, 3]), ["FFFF", "0003"]);
    assert_eq!(clients(&[65_536, 3]), ["0001", "0000"]);
}
