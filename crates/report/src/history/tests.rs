//! Histories are read as they were written, and what makes no sense is refused with its line.

use super::*;
use seedbed_core::check::fixture;
use seedbed_core::check::load::{self, Load};
use seedbed_core::record::History;
use seedbed_core::service::{Custom, RequestId, Update};

fn read_text(text: &[u8]) -> Result<(Format, History), ReadError> {
    read(text, &mut |_| {})
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
        Operation::Custom(Custom { name: "push".into(), key: key(), argument: None }.into()),
        Operation::Custom(Custom { name: "push".into(), key: key(), argument: Some("".into()) }.into()),
    ];
    let outcomes = [None, Some(Outcome::Ok(Some("".into()))), Some(Outcome::Fail), Some(Outcome::Redirect)];
    let first = history.attempts[0].clone();
    for (number, operation) in operations.into_iter().enumerate() {
        let answer = outcomes[number % 4].clone().map(|outcome| (Time(u64::MAX), outcome));
        let retry_of = (number % 2 == 0).then_some(seedbed_core::id::Mid(number as u64));
        history.attempts.push(Attempt { operation, answer, retry_of, sent: Time(u64::MAX), ..first.clone() });
    }
    history
}

#[test]
fn what_is_written_is_read_again() {
    let history = everything();
    let (format, read) = read_text(&written(history.clone())).expect("a history");
    assert_eq!((format, read.attempts), (Format::Lines, history.attempts));
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
        "line 2: `type` is `x`; allowed are begin, operation and end"
    );
    assert_eq!(
        with("\"answer\":\"ok\"", "\"answer\":\"no\""),
        "line 2: `answer` is `no`; allowed are ok, fail and redirect"
    );
    assert_eq!(
        with("\"operations\":50", "\"operations\":51"),
        "line 52: `operations` is 51, but there are 50 before it"
    );
    assert_eq!(with("\"key\":", "\"kez\":"), "line 2: `key` is missing");
    assert!(with("\"invoked_ns\":", "\"invoked_ns\":-").starts_with("line 2: invalid"), "JSON");
    assert_eq!(message(""), "is empty; allowed is a history as JSON lines, EDN or a Jepsen log");
    assert!(message("hello\nworld\n").starts_with("is no history; allowed are"));
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
    let (_, history) = read_text(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
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
    let text = "INFO  jepsen.core - Worker 0 starting\nINFO  jepsen.util - 0\t:invoke\t:cas\t[3 0]\n\
        INFO  jepsen.util - :nemesis :info :start nil\nINFO  jepsen.util - 1 :invoke :read nil\n\
        INFO  jepsen.util - 0\t:info\t:cas\t:timed-out\nINFO  jepsen.util - 1\t:ok\t:read\t3\n\
        2015-01-01 INFO [x] jepsen.util - 7\t:invoke\t:write\t4\nINFO  jepsen.util - 7 :fail :write 4 :timeout\n";
    let (format, _) = read_text(text.as_bytes()).expect("a log");
    assert_eq!(format, Format::Log);
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
        ("{:process -1, :type :ok, :f :read}", "line 1: :process is not a whole number from 0"),
        (
            "{:process 0, :type :invoke, :f :add, :value x}",
            "line 1: :value of an :add is not a whole number of 64 bits",
        ),
        (
            "{:process 0, :type :invoke, :f :cas, :value 1}",
            "line 1: :value of a :cas is not a vector of the old and the new value",
        ),
        (
            "{:process 0, :type :invoke, :f :read, :time -1}",
            "line 1: :time is -1; allowed are whole nanoseconds from 0",
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
            "line 2: :value of a :read is no vector, although there is an :append, which is to a list",
        ),
    ] {
        assert_eq!(message(&format!("{invoke}{second}")), expected, "{second}");
    }
    assert!(message("INFO  jepsen.util - 0 :invoke").starts_with("line 1: is not an event"));
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
