//! Bursts, operations, losses and kills.

use super::*;
use crate::service::Operation;

/// The message for a list, under `key`, of this one item.
fn item_error(key: &str, item: &str) -> String {
    let without = [("requests", ""), (key, &format!("[{item}]"))];
    error(&file(if key == "operations" { &without } else { &without[1..] }))
}

#[test]
fn bursts_operations_and_losses_are_read() {
    let scenario = loaded(&[
        ("burst", "1000"),
        ("losses", r#"[{"from": 4, "to": 0, "nth": 1000000000}, {"from": 0, "to": 4, "nth": 1}]"#),
    ])
    .scenario;
    assert_eq!((scenario.burst, scenario.plan().burst), (1_000, 1_000));
    let loss = |from, to, nth| Loss { from: ReplicaId(from), to: ReplicaId(to), nth };
    assert_eq!(scenario.losses, [loss(4, 0, 1_000_000_000), loss(0, 4, 1)]);

    let operations = r#"[
        {"time": 30, "client": 7, "get": "k"},
        {"time": 0.5, "client": 0, "put": "k", "value": "second"},
        {"time": 0.5, "client": 0, "put": "ü\n", "value": "third"},
        {"time": 0, "client": 1, "get": "k"}
    ]"#;
    let without_requests = [("requests", ""), ("operations", operations)];
    let Loaded { scenario, warnings } = loaded(&without_requests);
    assert_eq!(warnings, [""; 0]);
    let put = |key: &str, value: &str| Operation::Put { key: key.into(), value: value.into() };
    let get = || Operation::Get { key: "k".into() };
    let expected = [(0, 1, get()), (500, 0, put("k", "second")), (500, 0, put("ü\n", "third")), (30_000, 7, get())];
    let expected = expected.map(|(ms, client, operation)| {
        let time = Span::from_millis(ms);
        ScriptedOperation { time, client, aim: None, operation }
    });
    assert_eq!(scenario.operations.as_deref(), Some(&expected[..]));
    assert_eq!((scenario.requests, scenario.burst, scenario.mix), (4, 1, 0.5));
    assert_eq!((scenario.kind(), scenario.max_packets), (&shared(2), 20_000));
    assert_eq!(loaded(&[("requests", "4.0"), ("operations", operations)]).scenario, scenario);

    let none = loaded(&[("requests", ""), ("operations", "[]")]).scenario;
    assert_eq!((none.requests, none.mix, none.plan().operations.as_deref()), (0, 0.0, Some(&[][..])));
}

#[test]
fn operations_keep_max_packets_within_its_limits() {
    let many = Scenario { max_packets: 400_000_000, ..loaded(&[("requests", "10000000")]).scenario };
    assert_eq!(many.with_operations(Vec::new()).max_packets, PACKETS_MAX);
    let few = Scenario { max_packets: 0, ..loaded(&[("requests", "0")]).scenario };
    let operation = Operation::Get { key: "k".into() };
    let operation = ScriptedOperation { time: Span::ZERO, client: 0, aim: None, operation };
    assert_eq!(few.with_operations(vec![operation]).max_packets, 1);
}

#[test]
fn bursts_operations_and_losses_are_checked() {
    assert_messages(&[
        ("burst", "0", "`burst` is 0; allowed is a whole number from 1 to 1000"),
        ("burst", "1001", "`burst` is 1001; allowed is a whole number from 1 to 1000"),
        ("burst", "\"7\"", "`burst` is \"7\"; allowed is a whole number from 1 to 1000; write it without quotes"),
        ("operations", "7", "`operations` is 7; allowed is a list of at most 100000 operations"),
        ("losses", "{}", "`losses` is {}; allowed is a list of at most 100000 losses"),
        ("losses", "[7]", "`losses[0]` is 7; allowed is an object"),
        (
            "losses",
            r#"[{"from": 1, "to": 2, "nth": 3}, {"nth": 3.0, "to": 2, "from": 1}]"#,
            "`losses[1]` is {\"nth\":3.0,\"to\":2,\"from\":1}; allowed is each loss once",
        ),
        (
            "events",
            r#"[{"type": "kill", "time": 1, "replica": 5}]"#,
            "`events[0].replica` is 5; allowed is a replica's number, from 0 to 4, or \"leader\" or \"follower\"",
        ),
        (
            "events",
            r#"[{"type": "kill", "time": 1}]"#,
            "`events[0].replica` is missing; allowed is a replica's number, from 0 to 4, or \"leader\" or \"follower\"",
        ),
    ]);
    for (item, expected) in [
        (r#"{"from": 5, "to": 2, "nth": 3}"#, "from` is 5; allowed is a replica's number, from 0 to 4"),
        (r#"{"from": 1, "to": -1, "nth": 3}"#, "to` is -1; allowed is a replica's number, from 0 to 4"),
        (r#"{"from": 1, "to": 1, "nth": 3}"#, "to` is 1; allowed is another replica than `from`"),
        (r#"{"from": 1, "to": 2, "nth": 0}"#, "nth` is 0; allowed is a whole number from 1 to 1000000000"),
        (r#"{"from": 1, "to": 2}"#, "nth` is missing; allowed is a whole number from 1 to 1000000000"),
    ] {
        assert_eq!(item_error("losses", item), format!("s.json: `losses[0].{expected}"));
    }
    assert_eq!(
        item_error("losses", r#"{"from": 1, "to": 2, "n_th": 1}"#),
        "s.json: unknown key `losses[0].n_th`; allowed is from, to, nth; did you mean `nth`?"
    );
    let long = "é".repeat(1_001);
    for (item, expected) in [
        (r#"{"client": 0, "get": "k"}"#, "time` is missing; allowed is a number of seconds from 0 to 30 (`lifetime`)"),
        (
            r#"{"time": 30.1, "client": 0, "get": "k"}"#,
            "time` is 30.1; allowed is a number of seconds from 0 to 30 (`lifetime`)",
        ),
        (r#"{"time": 0, "get": "k"}"#, "client` is missing; allowed is a client's number, from 0 to 7"),
        (r#"{"time": 0, "client": 8, "get": "k"}"#, "client` is 8; allowed is a client's number, from 0 to 7"),
        (
            r#"{"time": 0, "client": 0}"#,
            "get` is missing; allowed is a text of 1 to 1000 characters, or else one of put, update, append, add, \
             enqueue, dequeue, acquire, release, custom",
        ),
        (r#"{"time": 0, "client": 0, "get": ""}"#, "get` is \"\"; allowed is a text of 1 to 1000 characters"),
        (r#"{"time": 0, "client": 0, "put": 5, "value": "v"}"#, "put` is 5; allowed is a text of 1 to 1000 characters"),
        (r#"{"time": 0, "client": 0, "put": "k"}"#, "value` is missing; allowed is a text of 1 to 1000 characters"),
        (
            r#"{"time": 0, "client": 0, "put": "k", "value": ""}"#,
            "value` is \"\"; allowed is a text of 1 to 1000 characters",
        ),
        (
            &format!(r#"{{"time": 0, "client": 0, "put": "k", "value": "{long}"}}"#),
            &format!("value` is \"{}...; allowed is a text of 1 to 1000 characters", "é".repeat(59)),
        ),
    ] {
        assert_eq!(item_error("operations", item), format!("s.json: `operations[0].{expected}"));
    }
    let full = "é".repeat(1_000);
    loaded(&[("requests", "1"), ("operations", &format!(r#"[{{"time": 0, "client": 0, "get": "{full}"}}]"#))]);
}

#[test]
fn lists_have_at_most_a_hundred_thousand_items() {
    let many = |item: &str, count| format!("[{}]", vec![item; count].join(","));
    let operation = r#"{"time":0,"client":0,"get":"k"}"#;
    assert_eq!(loaded(&[("requests", ""), ("operations", &many(operation, 100_000))]).scenario.requests, 100_000);
    for (key, item) in [("operations", operation), ("losses", "0")] {
        assert_eq!(
            error(&file(&[(key, &many(item, 100_001))])),
            format!("s.json: `{key}` is a list of 100001; allowed is a list of at most 100000 {key}")
        );
    }
}

#[test]
fn operations_contradict_all_keys_for_drawn_requests() {
    let operations = ("operations", r#"[{"time": 0, "client": 0, "get": "k"}]"#);
    for (key, value) in [("burst", "1"), ("mix", "0.8")] {
        assert_eq!(
            error(&file(&[("requests", ""), operations, (key, value)])),
            format!("s.json: both `operations` and `{key}` are given; allowed is one of them")
        );
    }
    assert_eq!(
        error(&file(&[operations])),
        "s.json: both `operations` and `requests` are given; allowed is one of them, or the number of operations as \
         requests"
    );
    let both = r#"{"time": 0, "client": 0, "get": "k", "put": "k", "value": "v"}"#;
    assert_eq!(
        item_error("operations", both),
        "s.json: both `operations[0].get` and `operations[0].put` are given; allowed is one of them"
    );
}

#[test]
fn unknown_keys_of_operations_and_losses_are_errors() {
    for (key, item, expected) in [
        (
            "operations",
            r#"{"time": 0, "client": 0, "get": "k", "value": "v"}"#,
            "value`; allowed is time, client, replica, get",
        ),
        (
            "operations",
            r#"{"time": 0, "client": 0, "put": "k", "value": "v", "clients": 0}"#,
            "clients`; allowed is time, client, replica, put, value; did you mean `client`?",
        ),
        ("losses", r#"{"from": 0, "to": 1, "nth": 1, "time": 0}"#, "time`; allowed is from, to, nth"),
    ] {
        assert_eq!(item_error(key, item), format!("s.json: unknown key `{key}[0].{expected}"));
    }
}

#[test]
fn kinds_and_clients_are_read_with_their_defaults() {
    for (workload, expected) in [
        (r#"{"kind": "kv", "keys": "private"}"#, Kind::COURSE),
        (r#"{"kind": "cas"}"#, Kind::Cas { count: 3, updates: false }),
        (r#"{"kind": "cas", "count": 1, "updates": true}"#, Kind::Cas { count: 1, updates: true }),
        (r#"{"kind": "list", "count": 1000000}"#, Kind::List { count: 1_000_000 }),
        (r#"{"kind": "counter"}"#, Kind::Counter { count: 3 }),
        (r#"{"kind": "queue"}"#, Kind::Queue { count: 3 }),
        (r#"{"kind": "lock"}"#, Kind::Lock { count: 3, hold_max: Span::from_secs(1) }),
        (r#"{"kind": "lock", "hold_ms": 60000}"#, Kind::Lock { count: 3, hold_max: Span::from_secs(60) }),
    ] {
        let scenario = loaded(&[("workload", workload)]).scenario;
        let mix = if expected == Kind::COURSE { 0.8 } else { 0.5 };
        assert_eq!((scenario.kind(), scenario.mix), (&expected, mix), "{workload}");
        assert_eq!(scenario.plan().kind, expected);
        assert_eq!(scenario.is_of_course(), expected == Kind::COURSE);
    }
    let patience = |clients: &str| loaded(&[("clients", clients)]).scenario.plan().patience.unwrap();
    let (timeout, retries) = (Span::from_millis(500), 0);
    assert_eq!(patience(r#"{"timeout_ms": 500}"#), Patience { timeout, retries });
    assert_eq!(patience(r#"{"timeout_ms": 500, "retries": 3}"#), Patience { timeout, retries: 3 });
    assert!(!loaded(&[("clients", r#"{"timeout_ms": 500}"#)]).scenario.is_of_course());
}

#[test]
fn kinds_and_clients_are_checked() {
    let kinds = "kv, cas, list, counter, queue, lock, custom";
    assert_messages(&[
        (
            "workload",
            r#"{"kind": "lists"}"#,
            &format!("`workload.kind` is \"lists\"; allowed is {kinds}; did you mean `list`?"),
        ),
        (
            "workload",
            r#"{"kind": "custom"}"#,
            "`workload.name` is missing; allowed is the name of a type, a text of 1 to 100 characters",
        ),
        ("workload", r#"{"kind": "kv"}"#, "`workload.keys` is missing; allowed is private, shared"),
        ("workload", r#"{"kind": "list", "updates": true}"#, "unknown key `workload.updates`; allowed is kind, count"),
        (
            "workload",
            r#"{"kind": "queue", "count": 0}"#,
            "`workload.count` is 0; allowed is a whole number from 1 to 1000000",
        ),
        ("workload", r#"{"kind": "cas", "updates": 1}"#, "`workload.updates` is 1; allowed is true or false"),
        (
            "workload",
            r#"{"kind": "lock", "hold_ms": 60001}"#,
            "`workload.hold_ms` is 60001; allowed is a number of milliseconds from 0 to 60000",
        ),
        (
            "clients",
            "5",
            "`clients` is 5; allowed is an object with `timeout_ms`, as in {\"timeout_ms\": 500, \"retries\": 3}",
        ),
        (
            "clients",
            r#"{"retries": 3}"#,
            "`clients.timeout_ms` is missing; allowed is a number of milliseconds from 1 to 60000",
        ),
        (
            "clients",
            r#"{"timeout_ms": 0.5}"#,
            "`clients.timeout_ms` is 0.5; allowed is a number of milliseconds from 1 to 60000",
        ),
        (
            "clients",
            r#"{"timeout_ms": 1, "retries": 1001}"#,
            "`clients.retries` is 1001; allowed is a whole number from 0 to 1000",
        ),
        ("clients", r#"{"timeout": 1}"#, "unknown key `clients.timeout`; allowed is timeout_ms, retries"),
    ]);
}

#[test]
fn operations_of_other_kinds_are_checked() {
    for (item, expected) in [
        (r#""update": "k", "value": 1"#, "value` is 1; allowed is a text of 0 to 1000 characters"),
        (
            r#""update": "k", "value": "", "name": [1]"#,
            "name` is a list of 1; allowed is a list of two whole numbers, that of the client and that of the update",
        ),
        (
            r#""update": "k", "value": "", "name": [1, -1]"#,
            "name[1]` is -1; allowed is a whole number from 0 to 18446744073709551615",
        ),
        (r#""add": "n""#, "amount` is missing; allowed is a whole number"),
        (r#""add": "n", "amount": 1.5"#, "amount` is 1.5; allowed is a whole number"),
        (r#""append": "l", "value": """#, "value` is \"\"; allowed is a text of 1 to 1000 characters"),
        (r#""custom": "c""#, "key` is missing; allowed is a text of 1 to 1000 characters"),
        (
            r#""get": "k", "replica": 5"#,
            "replica` is 5; allowed is a replica's number, from 0 to 4, or \"leader\" or \"follower\"",
        ),
        (
            r#""get": "k", "replica": "leder""#,
            "replica` is \"leder\"; allowed is a replica's number, from 0 to 4, or \"leader\" or \"follower\"",
        ),
    ] {
        let item = format!(r#"{{"time": 0, "client": 0, {item}}}"#);
        assert_eq!(item_error("operations", &item), format!("s.json: `operations[0].{expected}"));
    }
    let item = r#"{"time": 0, "client": 0, "dequeue": "q", "value": "v"}"#;
    let expected = "s.json: unknown key `operations[0].value`; allowed is time, client, replica, dequeue";
    assert_eq!(item_error("operations", item), expected);
    let item = r#"{"time": 0, "client": 0, "deqeue": "q"}"#;
    assert!(item_error("operations", item).ends_with("did you mean `dequeue`?"), "{}", item_error("operations", item));
}

#[test]
fn the_kind_of_operations_follows_from_them_or_has_them_all() {
    let with = |operations: &str, workload: &str| {
        error(&file(&[("requests", ""), ("operations", operations), ("workload", workload)]))
    };
    let append = r#"{"time": 0, "client": 0, "append": "l", "value": "v"}"#;
    let put = r#"{"time": 0, "client": 0, "put": "k", "value": "v"}"#;
    let custom = r#"{"time": 0, "client": 0, "custom": "c", "key": "k"}"#;
    let mixed = with(&format!("[{append}, {put}]"), "");
    assert!(mixed.starts_with("s.json: `operations` is ["), "{mixed}");
    let kinds = "allowed is operations of one kind: gets and puts, or lists, or counters, or queues, or locks";
    assert!(mixed.ends_with(kinds), "{mixed}");
    assert_eq!(
        with(&format!("[{custom}]"), ""),
        "s.json: `workload` is missing; allowed is {\"kind\": \"custom\", \"name\": NAME}, as operations of a type of \
         your own have no other name"
    );
    let wrong = with(&format!("[{put}, {append}]"), r#"{"kind": "cas"}"#);
    assert!(wrong.starts_with("s.json: `operations[1]` is {"), "{wrong}");
    assert!(wrong.ends_with("allowed is an operation of the kind `cas` (`workload.kind`)"), "{wrong}");
    let drawn = with(&format!("[{put}]"), r#"{"kind": "cas", "count": 3}"#);
    let expected = "s.json: both `operations` and `workload` are given; allowed is one of them, or nothing but a kind as \
                    `workload`";
    assert_eq!(drawn, expected);
    assert_eq!(with(&format!("[{put}]"), r#"{"keys": "shared", "count": 1}"#), expected);
    let nameless = with(&format!("[{custom}]"), r#"{"kind": "custom"}"#);
    assert_eq!(
        nameless,
        "s.json: `workload.name` is missing; allowed is the name of a type, a text of 1 to 100 characters"
    );
    let named = with(&format!("[{put}]"), r#"{"kind": "kv", "name": "n"}"#);
    assert_eq!(named, "s.json: unknown key `workload.name`; allowed is kind");
}
