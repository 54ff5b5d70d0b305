//! What is said of wrong histories.

use super::*;

/// Asserts that a history is wrong, and what is said of it.
#[track_caller]
fn says<S: Specification>(spec: &S, text: &str, explanation: &str) {
    let violation = bad(spec, text);
    assert!(violation.minimal);
    assert_eq!(violation.explanation, explanation, "{violation}");
}

#[test]
fn a_queue_that_is_wrong_is_explained() {
    let dequeued = "client 0003 dequeued a from queue k at 0.030000 s, but";
    says(&Queue, "1 enqueue b 0 10\n 3 dequeue 20 30 -> a", &format!("{dequeued} that was never enqueued"));
    says(&Queue, "3 dequeue 20 30 -> a\n 1 enqueue a 31 40", &format!("{dequeued} that was never enqueued"));
    says(
        &Queue,
        "1 enqueue a 0 10\n 2 dequeue 11 12 -> a\n 3 dequeue 20 30 -> a",
        &format!("{dequeued} client 0002 had dequeued it at 0.012000 s, and it was enqueued once by then"),
    );
    says(
        &Queue,
        "1 enqueue b 0 10\n 2 enqueue a 11 12\n 3 dequeue 20 30 -> a",
        &format!(
            "{dequeued} b had been enqueued before it by client 0001, was acknowledged at 0.010000 s and is still there"
        ),
    );
    says(
        &Queue,
        "1 enqueue a 0 10\n 1 enqueue b 11 12\n 2 dequeue 13 -\n 4 dequeue 14 15 -> b\n 3 dequeue 20 30 -> a",
        &format!(
            "{dequeued} b, whose enqueue began at 0.011000 s after it was acknowledged at 0.010000 s, had already been \
             dequeued by client 0004 at 0.015000 s"
        ),
    );
    says(
        &Queue,
        "1 enqueue a 0 10\n 3 dequeue 20 30",
        "client 0003 found queue k empty at 0.030000 s, but a had been enqueued and acknowledged at 0.010000 s and was \
         still there",
    );
    says(
        &Queue,
        "1 enqueue a 0 10\n 3 dequeue 20 40\n 1 enqueue b 22 23\n 2 dequeue 25 26 -> a",
        "client 0003 found queue k empty at 0.040000 s, but a had been enqueued and acknowledged at 0.010000 s and was \
         still there when the next of 2 values came, and so on until the end",
    );
    let violation = bad(&Queue, "1 enqueue a 0 10\n 2 enqueue b 11 -\n 3 dequeue 20 30");
    assert_eq!(
        violation.to_string().lines().skip(1).collect::<Vec<_>>(),
        [
            "  0.000000s to 0.010000s  client 0001 at 0000  enqueue a",
            "  0.011000s to     never  client 0002 at 0000  enqueue b, unanswered",
            "  0.020000s to 0.030000s  client 0003 at 0000  dequeue -> empty",
        ]
    );
}

#[test]
fn a_register_with_compare_and_swap_that_is_wrong_is_explained() {
    says(
        &Cas,
        "1 put a 0 10\n 2 cas a b 11 12\n 3 cas a c 20 30",
        "client 0003 changed key k from a to c at 0.030000 s, but b had been acknowledged at 0.012000 s",
    );
    says(
        &Cas,
        "1 put a 0 10\n 2 cas a b 11 30\n 3 cas a c 12 29",
        "client 0002 changed key k from a to b at 0.030000 s, but the update of client 0003 had replaced it by 0.029000 s, \
         and it was put once",
    );
    says(
        &Cas,
        "1 put a 0 10\n 2 cas c b 11 30",
        "client 0002 changed key k from c to b at 0.030000 s, but no client ever put that",
    );
    says(
        &Cas,
        "1 put a 0 10\n 2 cas c b 11 30 -> d\n 1 put d 40 50",
        "client 0002 found d of key k by an update b if c at 0.030000 s, but no client ever put that",
    );
    says(
        &Cas,
        "1 put a 0 10\n 2 cas a b 11 30 -> a",
        "client 0002 found a of key k by an update b if a at 0.030000 s, but no order of the 2 operations on this key \
         until then explains all answers",
    );
    says(
        &Cas,
        "1 put a 0 10\n 1 put \"\" 11 12\n 2 get 20 30 -> a",
        "client 0002 read a of key k at 0.030000 s, but \"\" had been acknowledged at 0.012000 s",
    );
}

#[test]
fn a_list_that_is_wrong_is_explained() {
    let read = |values: &str| format!("client 0003 read {values} of key k at 0.030000 s, but");
    let appended = "1 append a 0 10\n 1 append b 11 12";
    for (get, why) in [
        (r#"["a"]"#, "b is missing: its append had been acknowledged at 0.012000 s"),
        ("\"\"", "a is missing: its append had been acknowledged at 0.010000 s"),
        (r#"["a","b","b"]"#, "b is in it twice and was appended once"),
        (r#"["a","b","c"]"#, "c was never appended"),
        (
            r#"["b","a"]"#,
            "b comes before a, whose append was acknowledged at 0.010000 s, before that of the other began at 0.011000 s",
        ),
        ("a,b", "that is not the text of a list"),
    ] {
        says(&List, &format!("{appended}\n 3 get 20 30 -> {get}"), &format!("{} {why}", read(get)));
    }
    says(
        &List,
        "1 append a 0 90\n 2 append b 0 90\n 4 get 1 2 -> [\"b\"]\n 3 get 20 30 -> [\"a\",\"b\"]",
        &format!("{} client 0004 had read at 0.002000 s that value 1 is b, not a", read(r#"["a","b"]"#)),
    );
    says(
        &List,
        "1 append a 0 90\n 4 get 1 2 -> [\"a\"]\n 3 get 20 30 -> \"\"",
        &format!("{} a is missing: client 0004 had read it at 0.002000 s", read("\"\"")),
    );
}

#[test]
fn a_counter_that_is_wrong_is_explained() {
    let read = |value: &str| format!("client 0003 read {value} of key k at 0.030000 s, but");
    says(&Counter, "1 add 2 0 10\n 3 get 20 30 -> 3", &format!("{} all that was added by then is 2", read("3")));
    says(
        &Counter,
        "1 add 2 0 10\n 2 add -1 11 -\n 2 add 5 25 -\n 3 get 20 30 -> 8",
        &format!("{} what was added by then is from 1 to 7: 2 for certain, the rest was under way", read("8")),
    );
    says(&Counter, "3 get 20 30 -> x", &format!("{} that is not a number", read("x")));
    good(&Counter, "3 get 0 1 -> \"\"\n 3 add 0 2 3\n 3 get 4 5 -> 0");
}

#[test]
fn a_lock_that_is_wrong_is_explained() {
    let granted = "client 0003 was granted lock k at 0.030000 s, but client 0001 had it from 0.010000 s";
    says(&Lock, "1 acquire 0 10 -> t\n 3 acquire 20 30 -> t", &format!("{granted} on and did not release it"));
    says(
        &Lock,
        "1 acquire 0 10 -> t\n 3 acquire 20 30 -> t\n 1 release 31 40",
        &format!("{granted} on and did not release it"),
    );
    says(
        &Lock,
        "3 acquire 20 30",
        "client 0003 was refused lock k at 0.030000 s, but no client can have had it by then",
    );
    says(&Lock, "3 release 20 30", "client 0003 released lock k at 0.030000 s, but it cannot have had it by then");
    // A lock does not count: whoever has it is refused like the others.
    good(&Lock, "1 acquire 0 10 -> t\n 1 acquire 20 30\n 1 release 40 50\n 1 release 60 70 -> no");
    bad(&Lock, "1 acquire 0 10 -> t\n 1 acquire 20 30 -> t");
    let text = bad(&Lock, "1 acquire 0 10 -> 7\n 2 acquire 15 18\n 3 acquire 20 30 -> 8").to_string();
    assert!(text.contains("  acquire -> granted (token 7)\n") && text.contains("  acquire -> refused\n"), "{text}");
}
