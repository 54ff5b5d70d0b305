//! `seedbed check`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::processes;

fn folder() -> TempDir {
    TempDir::new().expect("a temporary directory")
}

fn seedbed(folder: &Path, arguments: &[&str]) -> Output {
    processes::seedbed().current_dir(folder).args(arguments).output().expect("seedbed starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// Clients of a queue: the second value leaves first.
const QUEUE: &str = "{:process 0, :type :invoke, :f :enqueue, :value 1}
{:process 0, :type :ok, :f :enqueue, :value 1}
{:process 0, :type :invoke, :f :enqueue, :value 2}
{:process 0, :type :ok, :f :enqueue, :value 2}
{:process 1, :type :invoke, :f :dequeue, :value nil}
{:process 1, :type :ok, :f :dequeue, :value 2}
";

#[test]
fn a_run_that_is_written_down_is_judged_again() {
    let folder = folder();
    let run = seedbed(folder.path(), &["run", "crash-3", "--history", "good.jsonl"]);
    assert_eq!(run.status.code(), Some(0));
    let run = seedbed(
        folder.path(),
        &["run", "unreliable-1", "--seed", "7", "--protocol", "broadcast", "--history", "bad.jsonl"],
    );
    assert_eq!(run.status.code(), Some(1));
    let check = seedbed(folder.path(), &["check", "good.jsonl", "bad.jsonl"]);
    assert_eq!(check.status.code(), Some(1));
    let lines: Vec<&str> = text(&check.stdout).lines().collect();
    assert!(lines[0].starts_with("good.jsonl: linearizable as register ("), "{}", lines[0]);
    assert!(
        lines[1].starts_with("bad.jsonl: not linearizable as register: no order explains the first "),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].starts_with("client ") && text(&run.stdout).contains(lines[2]),
        "the run's own verdict: {}",
        lines[2]
    );
    let one = "{:process 0, :type :invoke, :f :read} {:process 0, :type :ok, :f :read, :value 1}";
    fs::write(folder.path().join("one.edn"), one).expect("a file");
    let one = seedbed(folder.path(), &["check", "one.edn"]);
    assert!(
        text(&one.stdout).starts_with("one.edn: not linearizable as register: no order explains the first answer\n")
    );
    let alone = seedbed(folder.path(), &["check", "good.jsonl", "--spec", "cas"]);
    assert_eq!(alone.status.code(), Some(0));
    assert!(text(&alone.stdout).starts_with("good.jsonl: linearizable as cas ("));
}

#[test]
fn a_history_of_jepsen_is_judged_by_the_specification_that_fits() {
    let folder = folder();
    fs::write(folder.path().join("queue.edn"), QUEUE).expect("a file");
    let check = seedbed(folder.path(), &["check", "queue.edn", "--json", "verdict.json", "--picture", "wrong.svg"]);
    assert_eq!((check.status.code(), text(&check.stderr)), (Some(1), ""));
    assert_eq!(
        text(&check.stdout),
        "queue.edn: not linearizable as queue: no order explains the first 3 answers
client 0001 dequeued 2 from queue x at 0.006000 s, but 1 had been enqueued before it by client 0000, was acknowledged at \
         0.002000 s and is still there
  0.001000s to 0.002000s  client 0000 at 0000  enqueue 1
  0.003000s to 0.004000s  client 0000 at 0000  enqueue 2
  0.005000s to 0.006000s  client 0001 at 0000  dequeue -> 2
"
    );
    let json: Value =
        serde_json::from_slice(&fs::read(folder.path().join("verdict.json")).expect("JSON")).expect("JSON");
    let expected =
        [("file", "queue.edn"), ("specification", "queue"), ("verdict", "violation"), ("wrong", "000000000002")];
    for (field, value) in expected {
        assert_eq!(json[0][field], value);
    }
    let picture = fs::read_to_string(folder.path().join("wrong.svg")).expect("a picture");
    for words in ["enqueue 1", "enqueue 2", "dequeue -&gt; 2", "client 0001", "wrong answer", "is still there"] {
        assert!(picture.contains(words), "{words}");
    }
}

#[test]
fn standard_input_is_read_and_verdicts_go_to_standard_output_as_json() {
    let mut command = processes::seedbed();
    command.args(["check", "-", "--json", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("seedbed starts");
    let good = QUEUE.replace(":dequeue, :value 2", ":dequeue, :value 1");
    child.stdin.take().expect("a pipe").write_all(good.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected = serde_json::json!([{
        "file": "standard input", "specification": "queue", "verdict": "linearizable", "operations": 3, "objects": 1
    }]);
    assert_eq!(json, expected);
}

/// Checks what it reads from a pipe, which is written in these pieces.
fn piped(pieces: &[&[u8]]) -> Output {
    let mut command = processes::seedbed();
    command.args(["check", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("seedbed starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    for piece in pieces {
        pipe.write_all(piece).expect("it reads");
    }
    drop(pipe);
    child.wait_with_output().expect("it ends")
}

#[test]
fn a_pipe_may_bring_a_history_in_any_pieces() {
    let bytes: Vec<&[u8]> = QUEUE.as_bytes().chunks(1).collect();
    // More white space than any buffer has room for comes first, and a byte order mark before it.
    let blank = "\r\n".repeat(100_000);
    let further = [&[&b"\xEF"[..], b"\xBB", b"\xBF", blank.as_bytes()], &bytes[..]].concat();
    for pieces in [bytes, further] {
        let check = piped(&pieces);
        assert_eq!((check.status.code(), text(&check.stderr)), (Some(1), ""));
        assert!(text(&check.stdout).starts_with("standard input: not linearizable as queue: "));
    }
}

#[test]
fn events_of_the_nemesis_are_skipped_and_the_report_says_how_many() {
    let folder = folder();
    let nemesis = "{:process :nemesis, :type :info, :f :start, :value nil}\n";
    fs::write(folder.path().join("queue.edn"), [nemesis, QUEUE, nemesis].concat()).expect("a file");
    let check = seedbed(folder.path(), &["check", "queue.edn", "--json", "verdict.json"]);
    assert_eq!(check.status.code(), Some(1));
    let first = text(&check.stdout).lines().next();
    assert_eq!(first, Some("queue.edn: skipped 2 events of the nemesis"));
    let json: Value =
        serde_json::from_slice(&fs::read(folder.path().join("verdict.json")).expect("JSON")).expect("JSON");
    assert_eq!(json[0]["skipped"], serde_json::json!({"nemesis": 2, "info": 0, "lines": 0}));
}

#[test]
fn a_verdict_that_the_budget_does_not_suffice_for_is_unknown_and_fails() {
    let folder = folder();
    fs::write(folder.path().join("queue.edn"), QUEUE.replace(":dequeue, :value 2", ":dequeue, :value 1"))
        .expect("a file");
    let check = seedbed(folder.path(), &["check", "queue.edn", "--budget", "2", "--picture", "none.png"]);
    assert_eq!(check.status.code(), Some(1));
    assert_eq!(text(&check.stdout), "queue.edn: unknown as queue: the budget was spent on x (3 operations)\n");
    assert_eq!(text(&check.stderr), "note: nothing is known to be wrong, so none.png is not drawn\n");
    assert!(!folder.path().join("none.png").exists());
}

#[test]
fn bad_input_is_refused_with_file_and_line() {
    let folder = folder();
    fs::write(folder.path().join("queue.edn"), QUEUE).expect("a file");
    fs::write(folder.path().join("mixed.edn"), QUEUE.replace(":dequeue", ":read")).expect("a file");
    fs::write(folder.path().join("none.edn"), "[]").expect("a file");
    fs::write(folder.path().join("mute.edn"), "{:process 0, :type :invoke, :f :read}").expect("a file");
    fs::write(folder.path().join("writes.edn"), "{:process 0, :type :invoke, :f :write, :value 1}").expect("a file");
    fs::write(
        folder.path().join("other.edn"),
        QUEUE.replacen(":ok, :f :enqueue, :value 1", ":ok, :f :enqueue, :value 3", 1),
    )
    .expect("a file");
    fs::write(folder.path().join("cut.edn"), &QUEUE[..110]).expect("a file");
    for (arguments, message) in [
        (&["queue.edn", "--spec", "quue"][..], "--spec: no specification is called `quue`; did you mean `queue`?"),
        (
            &["queue.edn", "--spec", "lock"],
            "queue.edn: the specification `lock` has no operation `enqueue` (operation 000000000000); --spec takes another \
             one",
        ),
        (
            &["mixed.edn"],
            "mixed.edn: no specification has all of these operations: enqueue, get; `seedbed help check` lists what each has",
        ),
        (&["cut.edn"], "cut.edn: line 3: `}` is missing"),
        (&["none.edn"], "none.edn: has no operations"),
        (&["mute.edn"], "mute.edn: has nothing to judge: no operation has the answer `ok`"),
        (&["writes.edn"], "writes.edn: has nothing to judge: no operation has the answer `ok`"),
        (&["other.edn"], "other.edn: line 2: :value is 3, but process 0 has begun this operation with 1 in line 1"),
        (&["-", "queue.edn", "-"], "standard input: can be read only once; pass `-` once"),
        (&["."], ".: cannot be read: is a directory"),
        (&["queue.edn", "queue.edn", "--picture", "a.svg"], "--picture shows a single history; allowed is one file"),
        (
            &["queue.edn", "--picture", "a.gif"],
            "a.gif: cannot be drawn: allowed is a file whose name ends in .svg or .png",
        ),
        (
            &["queue.edn", "--json", "queue.edn"],
            "queue.edn: is a file that this command reads; the result would replace it",
        ),
    ] {
        let output = seedbed(folder.path(), &[&["check"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&output.stderr), format!("error: {message}\n"), "{arguments:?}");
    }
}
