mod brute;
mod hard;

use super::*;
use crate::id::{ClientId, Mid, ReplicaId};
use crate::service::Operation;
use crate::time::Time;

/// A history from lines like `1 put k v 0 10`: client, kind, key, value, times of sending and answer in milliseconds.
/// The answer may be `-` for none, `fail 10` or `redirect 10`. The value may be `""` or, for an answer without one,
/// `none`.
fn history(text: &str) -> History {
    let mut history = History::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [client, kind, key, value, sent, answer @ ..] = &words[..] else { panic!("{line}") };
        let time = |text: &str| Time(text.parse::<u64>().expect("milliseconds") * 1_000_000);
        let text: Text = if *value == "\"\"" { "".into() } else { (*value).into() };
        let read = (*kind == "get" && *value != "none").then(|| text.clone());
        let answer = match answer {
            ["-"] => None,
            ["fail", at] => Some((time(at), Outcome::Fail)),
            ["redirect", at] => Some((time(at), Outcome::Redirect)),
            [at] => Some((time(at), Outcome::Ok(read))),
            _ => panic!("{line}"),
        };
        let key: Text = (*key).into();
        history.attempts.push(Attempt {
            client: ClientId(client.parse().expect("a client")),
            replica: ReplicaId(0),
            operation: if *kind == "get" { Operation::Get { key } } else { Operation::Put { key, value: text } },
            sent: time(sent),
            retry_of: None,
            answer,
        });
    }
    history
}

#[track_caller]
fn good(text: &str) {
    let verdict = check(&history(text));
    assert!(verdict.is_linearizable(), "{verdict:?}");
}

#[track_caller]
fn bad(text: &str) -> Violation {
    match check(&history(text)) {
        Verdict::Violation(violation) => *violation,
        verdict => panic!("{verdict:?}"),
    }
}

/// Asserts that a history is wrong and says why after "client ... read ... of key k at ..., but".
#[track_caller]
fn bad_because(text: &str, why: &str) {
    let violation = bad(text);
    assert!(violation.minimal);
    assert_eq!(violation.explanation.split_once(", but ").expect("a reason").1, why, "{violation}");
}

#[test]
fn nothing_at_all_is_linearizable() {
    assert!(matches!(check(&History::default()), Verdict::Linearizable { operations: 0, keys: 0 }));
}

#[test]
fn only_operations_that_tell_something_are_counted() {
    let history = history(
        "1 put a 1 0 1
         1 get a - 2 fail 3
         1 get a - 4 redirect 5
         1 get b - 6 -
         1 get a 1 7 8
         1 put c 1 9 -",
    );
    assert!(matches!(check(&history), Verdict::Linearizable { operations: 3, keys: 2 }));
}

// Herlihy & Wing 1990, figure 1, with registers in place of queues.

#[test]
fn concurrent_puts_may_take_effect_in_either_order() {
    good("1 put k x 0 10\n 2 put k y 5 15\n 1 get k x 20 25");
    good("1 put k x 0 10\n 2 put k y 5 15\n 1 get k y 20 25");
}

#[test]
fn sequential_consistency_is_not_enough() {
    // Sequentially consistent: the get may come before the second put. Not linearizable.
    bad_because("1 put k x 0 10\n 2 put k y 20 30\n 1 get k x 40 50", "y had been acknowledged at 0.030000 s");
}

#[test]
fn both_orders_of_two_puts_cannot_be_seen_one_after_the_other() {
    // Both puts are over, so the first get says which one came last.
    bad_because(
        "1 put k x 0 10\n 2 put k y 0 10\n 3 get k x 20 21\n 3 get k y 30 31",
        "x had been acknowledged at 0.010000 s, and came later: y had been acknowledged at 0.010000 s before a get of x \
         began at 0.020000 s",
    );
    bad_because(
        "1 put k x 0 90\n 2 put k y 0 90\n 3 get k x 20 21\n 3 get k y 30 31\n 3 get k x 40 41",
        "y had been read by client 0003 at 0.031000 s, and came later: x had been read by client 0003 at 0.021000 s before \
         a get of y began at 0.030000 s",
    );
}

#[test]
fn locality_holds_where_sequential_consistency_has_none() {
    // Herlihy & Wing, section 3.3, with registers: each key alone is sequentially consistent, both together are not.
    // Here each key is wrong by itself.
    bad("1 put p a 0 1\n 2 put q b 2 3\n 1 get q \"\" 4 5\n 2 get p \"\" 6 7");
}

#[test]
fn a_key_is_empty_at_first() {
    good("1 get k \"\" 0 1\n 1 put k a 2 3\n 1 get k a 4 5");
    bad_because("1 put k a 0 1\n 1 get k \"\" 2 3", "a had been acknowledged at 0.001000 s");
    bad_because("1 put k a 0 9\n 2 get k a 1 2\n 3 get k \"\" 3 4", "a had been read by client 0002 at 0.002000 s");
}

#[test]
fn a_key_can_be_made_empty_again() {
    good("1 put k a 0 1\n 1 put k \"\" 2 3\n 1 get k \"\" 4 5");
    good("1 get k \"\" 0 1\n 1 put k a 2 3\n 1 get k a 4 5\n 1 put k \"\" 6 7\n 1 get k \"\" 8 9");
    bad("1 put k \"\" 0 1\n 1 put k a 2 3\n 1 get k \"\" 4 5");
}

#[test]
fn a_stale_read_is_wrong() {
    bad_because("1 put k a 0 1\n 1 put k b 2 3\n 2 get k a 4 5", "b had been acknowledged at 0.003000 s");
}

#[test]
fn new_and_then_old_is_wrong_even_while_the_put_is_under_way() {
    // A regular register (Lamport 1986) may do this.
    bad_because(
        "1 put k old 0 1\n 1 put k new 2 30\n 2 get k new 5 6\n 2 get k old 7 8",
        "new had been read by client 0002 at 0.006000 s, and came later: old had been acknowledged at 0.001000 s before a \
         get of new began at 0.005000 s",
    );
    good("1 put k old 0 1\n 1 put k new 2 30\n 2 get k old 5 6\n 2 get k new 7 8");
    good("1 put k old 0 1\n 1 put k new 2 30\n 2 get k new 5 8\n 2 get k old 7 8");
}

#[test]
fn a_lost_update_is_wrong() {
    bad("1 put k a 0 1\n 2 put k b 2 3\n 3 put k c 4 5\n 1 get k b 6 7");
    bad("1 put k a 0 1\n 1 get k \"\" 2 3");
}

#[test]
fn a_value_that_was_never_put_cannot_be_read() {
    bad_because("1 put k a 0 1\n 1 get k b 2 3", "no client ever put that");
    bad_because("1 put other b 0 1\n 1 get k b 2 3", "no client ever put that");
}

#[test]
fn a_put_that_was_redirected_never_takes_effect_and_excuses_no_stale_read() {
    bad_because(
        "1 put k a 0 1\n 1 put k b 2 redirect 3\n 2 get k b 4 5",
        "the put of client 0001 at 0.002000 s was redirected by 0000, so it must not take effect",
    );
    // The second attempt of b may take effect once, before c or after it, but not both.
    bad("1 put k b 0 redirect 1\n 1 put k b 2 30\n 2 get k b 3 4\n 2 put k c 5 6\n 2 get k b 7 8\n 2 get k c 9 10");
    good("1 put k b 0 redirect 1\n 1 put k b 2 30\n 2 get k b 3 4\n 2 put k c 5 6\n 2 get k c 7 8");
    // Case 19 of the course's: an old value came again although a newer put was acknowledged.
    bad("1 put k 1 0 redirect 1\n 1 put k 1 1 2\n 1 put k 2 3 redirect 4\n 1 put k 2 4 5\n 1 get k 1 6 7");
    // What failed may take effect at any time.
    good("1 put k a 0 1\n 1 put k b 2 fail 3\n 1 get k a 4 5\n 2 get k b 6 7");
}

#[test]
fn a_value_cannot_be_read_before_it_is_put() {
    bad_because("1 get k a 0 1\n 2 put k a 2 3", "that was first put by client 0002 at 0.002000 s");
    bad_because("1 get k a 0 1\n 2 put k a 2 -", "that was first put by client 0002 at 0.002000 s");
    good("1 get k a 0 3\n 2 put k a 2 5");
}

#[test]
fn an_unanswered_put_may_take_effect_late() {
    good("1 put k a 0 -\n 2 put k b 2 3\n 2 get k b 4 5\n 2 get k a 1000 1001\n 2 get k a 1002 1003");
}

#[test]
fn an_unanswered_put_may_take_effect_never() {
    good("1 put k a 0 1\n 1 put k b 2 -\n 2 get k a 1000 1001");
}

#[test]
fn an_unanswered_put_takes_effect_only_once() {
    bad("1 put k a 0 -\n 2 put k b 2 3\n 2 get k a 4 5\n 2 put k c 6 7\n 2 get k a 8 9");
    bad("1 put k a 0 -\n 2 get k a 1 2\n 2 put k b 3 4\n 2 get k a 5 6");
}

#[test]
fn a_failed_put_may_take_effect_after_its_retry_and_a_redirected_one_may_not() {
    let history = |answer: &str| {
        format!("1 put k a 0 {answer} 1\n 1 put k a 2 3\n 2 put k b 4 5\n 2 get k b 6 7\n 2 get k a 8 9")
    };
    bad(&history("redirect"));
    good(&history("fail"));
    good(
        "1 put k a 0 fail 1
         1 put k a 2 3
         2 put k b 4 5
         2 get k b 6 7
         2 get k a 8 9",
    );
    // But not twice.
    bad("1 put k a 0 redirect 1
         1 put k a 2 3
         2 put k b 4 5
         2 get k a 6 7
         2 put k c 8 9
         2 get k a 10 11");
}

#[test]
fn a_failed_put_may_be_seen() {
    good("1 put k a 0 1\n 1 put k b 2 fail 3\n 2 get k a 4 5\n 2 get k b 6 7");
    bad("1 put k a 0 1\n 1 put k b 2 fail 3\n 2 get k b 4 5\n 2 get k a 6 7");
}

#[test]
fn a_get_that_was_not_answered_with_ok_says_nothing() {
    good("1 put k a 0 1\n 2 get k nonsense 2 fail 3\n 2 get k nonsense 4 redirect 5\n 2 get k nonsense 6 -");
}

#[test]
fn an_ok_without_a_value_is_wrong_by_itself() {
    bad_because("1 put k a 0 1\n 2 get k none 2 3", "an answer to a get must carry a value");
    let violation = bad("1 put k a 0 1\n 1 get k b 2 3\n 2 get k none 4 5");
    assert_eq!(violation.at, Time(3_000_000), "what was wrong before comes first");
    let violation = bad("1 put k a 0 1\n 2 get k none 2 3\n 1 get k b 4 5");
    assert_eq!(violation.at, Time(3_000_000));
}

#[test]
fn operations_that_touch_are_concurrent() {
    good("1 put k a 0 1\n 1 put k b 1 2\n 2 get k a 2 3");
    good("1 put k a 0 5\n 2 get k \"\" 5 6");
    good("1 get k a 0 5\n 2 put k a 5 6");
    bad("1 put k a 0 5\n 2 get k \"\" 6 7");
    bad("1 get k a 0 4\n 2 put k a 5 6");
    // All at one time: any order will do that has one.
    good("1 put k a 5 5\n 1 put k b 5 5\n 1 get k a 5 5\n 1 get k b 5 5\n 1 get k \"\" 5 5");
}

#[test]
fn registers_of_jepsen_and_porcupine() {
    // Porcupine's examples of a register: first good, then bad.
    good("1 put k 100 0 100\n 2 get k 100 25 75\n 3 get k \"\" 30 60");
    bad("1 put k 200 0 100\n 2 get k 200 10 30\n 3 get k \"\" 40 90");
    // Knossos: a crashed put can come between any two gets, but it stays.
    good("1 put k 1 0 1\n 2 put k 2 2 -\n 3 get k 1 3 4\n 3 get k 2 5 6\n 3 get k 2 7 8");
    bad("1 put k 1 0 1\n 2 put k 2 2 -\n 3 get k 1 3 4\n 3 get k 2 5 6\n 3 get k 1 7 8");
    // Three clients that see two concurrent puts in different orders.
    bad("1 put k 1 0 100\n 2 put k 2 0 100\n 3 get k 1 1 2\n 3 get k 2 3 4\n 4 get k 2 1 2\n 4 get k 1 3 4");
}

#[test]
fn equal_values_of_different_puts_can_be_told_apart_by_time_only() {
    good("1 put k a 0 1\n 1 put k b 2 3\n 1 put k a 4 5\n 2 get k a 6 7");
    good("1 put k a 0 100\n 2 put k b 0 100\n 3 put k a 0 100\n 4 get k a 10 11\n 4 get k b 12 13\n 4 get k a 14 15");
    bad_because(
        "1 put k a 0 99\n 2 put k b 0 99\n 3 put k a 0 99\n 4 get k a 1 2\n 4 get k b 3 4\n 4 get k a 5 6\n 4 get k b 7 8",
        "no order of the 7 operations on this key until then explains all answers",
    );
}

#[test]
fn a_violation_shows_the_operations_around_it() {
    let text = "17 put k v3 9300 9310
         18 put k v4 9350 9377
         18 put other v9 9360 9361
         19 put k v5 9390 -
         20 put k v6 9391 fail 10001
         20 put k v7 9392 redirect 9393
         17 get k v3 9400 9412
         21 get k v4 9413 9414";
    let mut violation = bad(text);
    assert_eq!(
        violation.to_string(),
        "client 0011 read v3 of key k at 9.412000 s, but v4 had been acknowledged at 9.377000 s
  9.300000s to  9.310000s  client 0011 at 0000  put v3
  9.350000s to  9.377000s  client 0012 at 0000  put v4
  9.390000s to      never  client 0013 at 0000  put v5, unanswered
  9.391000s to 10.001000s  client 0014 at 0000  put v6, failed
  9.400000s to  9.412000s  client 0011 at 0000  get -> v3"
    );
    assert_eq!((violation.answers, violation.at, violation.minimal), (4, Time(9_412_000_000), true));
    violation.around.clear();
    assert_eq!(violation.to_string(), violation.explanation);
}

#[test]
fn the_earliest_wrong_answer_of_all_keys_is_told() {
    let violation =
        bad("1 put a 1 0 1\n 1 get a 2 8 9\n 1 put b 1 2 3\n 1 get b 2 4 5\n 1 put c 1 6 7\n 1 get c 2 8 9");
    assert_eq!((&*violation.key, violation.answers), ("b", 3));
}

#[test]
fn every_stale_read_names_the_put_that_it_missed() {
    let history = history(
        "1 put k old 0 1
         1 put k new 2 3
         2 get k old 4 5
         2 get k new 6 7
         3 get k old 8 9
         3 get k never 10 11
         3 get other x 12 13
         3 get k none 14 15
         4 put k next 16 -
         4 get k next 17 18
         4 get k new 19 20",
    );
    let wrong: Vec<(u64, Option<u64>)> =
        wrong_reads(&history).iter().map(|read| (read.get.0, read.missed.map(|put| put.0))).collect();
    assert_eq!(wrong, [(2, Some(1)), (4, Some(1)), (5, Some(1)), (6, None), (7, Some(1))]);
    let Verdict::Violation(violation) = check(&history) else { panic!("a violation") };
    assert_eq!(violation.read, WrongRead { get: Mid(2), missed: Some(Mid(1)) }, "the first of them");
}

#[test]
fn an_answer_that_only_another_get_contradicts_is_named_by_the_violation_alone() {
    // The put is under way, so either value may be read. But new and then old is wrong.
    let text = "1 put k old 0 1\n 1 put k new 2 100\n 2 get k new 3 4\n 3 get k old 5 6";
    assert_eq!(wrong_reads(&history(text)), []);
    assert_eq!(bad(text).read.get, Mid(3));
    assert!(bad(text).read.missed.is_some());
}

#[test]
fn long_values_are_shortened_so_that_they_differ() {
    let shown = |one: &str, other: &str| {
        let text = format!("1 put k {one} 0 1\n 1 put k {other} 2 3\n 2 get k {one} 4 5");
        let explanation = bad(&text).explanation;
        explanation.replace("client 0002 read ", "").replace(" had been acknowledged at 0.003000 s", "")
    };
    let (md5, other) = ("0cc175b9c0f1b6a831c399e269772661", "92eb5ffee6ae2fec3ad71c777531578f");
    assert_eq!(shown(md5, other), "0cc175b9c0f1... of key k at 0.005000 s, but 92eb5ffee6ae...");
    let (one, two) = ("00000000000000000000000000000001", "00000000000000000000000000000002");
    assert_eq!(shown(one, two), "...000000000001 of key k at 0.005000 s, but ...000000000002");
    assert_eq!(shown("000000000000000a", "000000000000000b").split(' ').next(), Some("000000000000000a"));
    let both = ["000000000000x0000000000000", "000000000000y0000000000000"];
    assert_eq!(shown(both[0], both[1]), format!("{} of key k at 0.005000 s, but {}", both[0], both[1]));
    assert!(shown("a\u{1b}[31m", "b").starts_with("a\\u{1b}[31m of"));
    assert!(shown(&"x".repeat(500), &("x".repeat(499) + "y")).len() < 300);
}

#[test]
fn a_checker_forgets_one_history_before_the_next() {
    let mut checker = Checker::new(Budget::default());
    for _ in 0..3 {
        assert!(matches!(checker.check(&history("1 put k a 0 1\n 1 get k b 2 3")), Verdict::Violation(_)));
        assert!(checker.check(&history("1 put k b 0 1\n 1 get k b 2 3")).is_linearizable());
    }
}

#[test]
fn times_at_the_end_of_all_time_do_no_harm() {
    let mut history = history("1 put k a 0 1\n 1 get k a 2 3");
    for attempt in &mut history.attempts {
        attempt.sent = Time::NEVER;
        attempt.answer.as_mut().expect("an answer").0 = Time::NEVER;
    }
    assert!(check(&history).is_linearizable());
}
