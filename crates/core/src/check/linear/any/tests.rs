mod brute;
mod large;
mod reasons;

use super::*;
use crate::check::linear::Violation;
use crate::id::{ClientId, ReplicaId};
use crate::service::{Text, Update};
use crate::specification::{Cas, Counter, List, Lock, Queue, Register};

/// An attempt with times in milliseconds.
fn attempt(client: u16, operation: Operation, sent: u64, answer: Option<(u64, Outcome)>) -> Attempt {
    let time = |millis: u64| Time(millis * 1_000_000);
    let answer = answer.map(|(at, outcome)| (time(at), outcome));
    Attempt { client: ClientId(client), replica: ReplicaId(0), operation, sent: time(sent), retry_of: None, answer }
}

/// A history from lines like `1 enqueue a 0 10`: client, operation, what it needs, times of sending and answer in
/// milliseconds. The answer may be `-` for none, `fail 10` or `redirect 10`, or `10 -> value`. All is about key k.
fn history(text: &str) -> History {
    let mut history = History::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [client, kind, rest @ ..] = &words[..] else { panic!("{line}") };
        let arguments = match *kind {
            "get" | "dequeue" | "acquire" | "release" => 0,
            "cas" => 2,
            "once" => 3,
            _ => 1,
        };
        let (arguments, rest) = rest.split_at(arguments);
        let text = |text: &str| -> Text { if text == "\"\"" { "".into() } else { text.into() } };
        let argument = |place: usize| text(arguments[place]);
        let key: Text = "k".into();
        let update =
            |expected, value, request| Operation::Update(Update { key: "k".into(), value, expected, request }.into());
        let operation = match *kind {
            "get" => Operation::Get { key },
            "put" => Operation::Put { key, value: argument(0) },
            "cas" => update(Some(argument(0)), argument(1), None),
            // An update by its number, on the condition that something is there unless it is `any`.
            "once" => {
                let request = RequestId { client: 7, number: arguments[0].parse().expect("a number") };
                update(Some(argument(1)).filter(|expected| &**expected != "any"), argument(2), Some(request))
            }
            "append" => Operation::Append { key, value: argument(0) },
            "add" => Operation::Add { key, amount: arguments[0].parse().expect("an amount") },
            "enqueue" => Operation::Enqueue { key, value: argument(0) },
            "dequeue" => Operation::Dequeue { key },
            "acquire" => Operation::Acquire { key },
            "release" => Operation::Release { key },
            _ => panic!("{line}"),
        };
        let [sent, answer @ ..] = rest else { panic!("{line}") };
        let time = |text: &str| text.parse::<u64>().expect("milliseconds");
        let answer = match answer {
            ["-"] => None,
            ["fail", at] => Some((time(at), Outcome::Fail)),
            ["redirect", at] => Some((time(at), Outcome::Redirect)),
            [at] => Some((time(at), Outcome::Ok(None))),
            [at, "->", value] => Some((time(at), Outcome::Ok(Some(text(value))))),
            _ => panic!("{line}"),
        };
        history.attempts.push(attempt(client.parse().expect("a client"), operation, time(sent), answer));
    }
    history
}

#[track_caller]
fn verdict<S: Specification>(spec: &S, text: &str) -> Verdict {
    check_against(spec, &history(text), Budget::default()).expect("operations of this type")
}

#[track_caller]
fn good<S: Specification>(spec: &S, text: &str) {
    let verdict = verdict(spec, text);
    assert!(verdict.is_linearizable(), "{verdict:?}");
}

#[track_caller]
fn bad<S: Specification>(spec: &S, text: &str) -> Violation {
    match verdict(spec, text) {
        Verdict::Violation(violation) => *violation,
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn an_operation_that_a_type_does_not_have_is_named() {
    let history = history("1 put a 0 1\n 1 enqueue a 2 3");
    let error = check_against(&Register, &history, Budget::default()).expect_err("a register is no queue");
    assert_eq!(error.to_string(), "the specification `register` has no operation `enqueue`");
    assert_eq!(error.mid, Mid(1));
    for spec in READY {
        assert_eq!(spec.check(&history, Budget::default()).expect_err("no type has both").specification, spec.name());
    }
}

#[test]
fn specifications_have_names_and_a_misspelled_one_is_guessed() {
    for spec in READY {
        assert_eq!(by_name(spec.name()).map(AnySpecification::name), Ok(spec.name()));
    }
    let message = |name| by_name(name).map(AnySpecification::name).expect_err("no such name").to_string();
    assert_eq!(
        message("que"),
        "no specification is called `que`; allowed are register, cas, list, counter, queue, lock"
    );
    assert_eq!(message("Queue"), "no specification is called `Queue`; did you mean `queue`?");
}

#[test]
fn the_fitting_specification_is_the_one_that_knows_all_operations() {
    let name = |text| fitting(&history(text)).map(|spec| spec.name());
    assert_eq!(name("1 get 0 1 -> a\n 1 put a 2 3"), Some("register"));
    assert_eq!(name("1 cas a b 0 1\n 1 put a 2 3"), Some("cas"));
    assert_eq!(name("1 get 0 1 -> a\n 1 add 3 2 3"), Some("counter"));
    assert_eq!(name("1 get 0 1 -> a"), Some("register"), "a get alone says nothing");
    assert_eq!(name("1 add 1 0 1\n 1 put a 2 3"), None);
}

#[test]
fn a_type_of_ones_own_gets_no_ready_specification_even_if_it_has_the_name_of_one() {
    use crate::workload::{CustomKind, Kind};
    let name = |kind| of_kind(&kind).map(AnySpecification::name);
    assert_eq!(name(Kind::COURSE), Some("register"));
    assert_eq!(name(Kind::Queue { count: 1 }), Some("queue"));
    for spec in READY {
        assert_eq!(name(Kind::Custom(CustomKind::named(spec.name()))), None, "{}", spec.name());
    }
    let enqueue = crate::service::Custom { name: "enqueue".into(), key: "k".into(), argument: None };
    let attempts = vec![attempt(1, Operation::Custom(enqueue.into()), 0, None)];
    assert!(fitting(&History { attempts, ..History::default() }).is_none(), "nor do operations of one's own");
}

#[test]
fn an_update_that_is_sent_twice_takes_effect_once() {
    // Sent twice, answered twice: b came in between, so the second sending changed nothing.
    let text = "1 once 1 any a 0 10
         2 put b 20 30
         1 once 1 any a 40 50
         3 get 60 70 -> ";
    good(&Cas, &format!("{text}b"));
    bad(&Cas, &format!("{text}a"));
    // The first sending got no answer: it is done at any time from then until the second one is answered, but once.
    good(&Cas, "1 once 1 any a 0 -\n 2 put b 20 30\n 1 once 1 any a 40 50\n 3 get 60 70 -> a");
    good(&Cas, "1 once 1 any a 0 -\n 3 get 5 6 -> a\n 2 put b 20 30\n 1 once 1 any a 40 50\n 3 get 60 70 -> b");
    bad(&Cas, "1 once 1 any a 0 -\n 3 get 5 6 -> a\n 2 put b 20 30\n 1 once 1 any a 40 50\n 3 get 60 70 -> a");
    // Two updates with two names are two.
    good(&Cas, "1 once 1 any a 0 -\n 3 get 5 6 -> a\n 2 put b 20 30\n 1 once 2 any a 40 50\n 3 get 60 70 -> a");
}

#[test]
fn the_answers_to_an_update_that_is_sent_twice_are_the_same() {
    good(&Cas, "1 once 1 a b 0 10 -> \"\"\n 2 put a 20 30\n 1 once 1 a b 40 50 -> \"\"\n 3 get 60 70 -> a");
    let violation = bad(&Cas, "1 once 1 a b 0 10 -> \"\"\n 2 put a 20 30\n 1 once 1 a b 40 50\n 3 get 60 70 -> b");
    assert_eq!((violation.at, violation.answers), (Time(50_000_000), 3));
    assert_eq!(
        violation.explanation,
        "client 0001 changed key k from a to b at 0.050000 s, but another sending of the same update was answered \
         otherwise before"
    );
}

/// A stack, as a user would write it: the argument of `push` and the answer of `pop`.
struct Stack;

impl Specification for Stack {
    type State = Vec<Text>;

    fn name(&self) -> &str {
        "stack"
    }

    fn initial(&self) -> Vec<Text> {
        Vec::new()
    }

    fn knows(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::Custom(_))
    }

    fn step(&self, state: &Vec<Text>, call: &Call<'_>) -> Option<Vec<Text>> {
        let Operation::Custom(custom) = call.operation else { return None };
        let mut state = state.clone();
        match &custom.argument {
            Some(value) => state.push(value.clone()),
            None => {
                let top = state.pop();
                if let Answer::Done(told) = call.answer {
                    (top.as_ref() == told).then_some(())?;
                }
            }
        }
        Some(state)
    }
}

#[test]
fn a_type_of_ones_own_is_judged_like_the_others() {
    use crate::service::Custom;
    let call = |client, argument: Option<&str>, sent, answered, told: Option<&str>| {
        let name = if argument.is_some() { "push" } else { "pop" };
        let custom = Custom { name: name.into(), key: "s".into(), argument: argument.map(Text::from) };
        let outcome = Outcome::Ok(told.map(Text::from));
        attempt(client, Operation::Custom(custom.into()), sent, Some((answered, outcome)))
    };
    let mut history = History::default();
    history.attempts.push(call(1, Some("a"), 0, 10, None));
    history.attempts.push(call(2, Some("b"), 5, 15, None));
    history.attempts.push(call(1, None, 20, 30, Some("a")));
    let check = |history: &History| Stack.check(history, Budget::default()).expect("a stack");
    assert!(check(&history).is_linearizable());
    history.attempts.push(call(1, None, 40, 50, Some("a")));
    let Verdict::Violation(violation) = check(&history) else { panic!("a twice") };
    assert_eq!(
        violation.to_string(),
        "client 0001 was answered pop -> a on key s at 0.050000 s, but no order of the 4 operations on this key until \
         then explains all answers
  0.000000s to 0.010000s  client 0001 at 0000  push a
  0.005000s to 0.015000s  client 0002 at 0000  push b
  0.020000s to 0.030000s  client 0001 at 0000  pop -> a
  0.040000s to 0.050000s  client 0001 at 0000  pop -> a"
    );
}

#[test]
fn a_spent_budget_means_unknown() {
    let spec = by_name("queue").expect("it is there");
    let history = history("1 enqueue a 0 10\n 2 enqueue b 0 10\n 3 dequeue 20 30 -> b");
    let verdict = |steps| spec.check(&history, Budget { steps, memo_words: 100 }).expect("a queue");
    assert!(matches!(verdict(2), Verdict::Unknown { operations: 3, .. }), "{:?}", verdict(2));
    assert!(verdict(1_000).is_linearizable());
}
