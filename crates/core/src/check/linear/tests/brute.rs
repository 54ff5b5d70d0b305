//! Small random histories, judged a second time by trying everything.

use super::*;
use crate::check::linear::search::Search;
use crate::rng::Stream;

/// Whether there is a linearization of the operations of one key, by trying all orders. It shares nothing with the
/// checker but the history.
fn try_all(history: &[Attempt]) -> bool {
    let mut left = Vec::new();
    for attempt in history {
        let sent = attempt.sent;
        match (&attempt.operation, &attempt.answer) {
            (Operation::Get { .. }, Some((answered, Outcome::Ok(value)))) => {
                let Some(value) = value else { return false };
                left.push((sent, Some(*answered), false, &**value));
            }
            (Operation::Get { .. }, _) | (_, Some((_, Outcome::Redirect))) => {}
            (Operation::Put { value, .. }, Some((answered, Outcome::Ok(_)))) => {
                left.push((sent, Some(*answered), true, &**value));
            }
            (Operation::Put { value, .. }, _) => left.push((sent, None, true, &**value)),
            _ => unreachable!("these histories have puts and gets only"),
        }
    }
    try_from("", &mut left)
}

fn try_from<'a>(present: &'a str, left: &mut Vec<(Time, Option<Time>, bool, &'a str)>) -> bool {
    if left.iter().all(|(_, answered, ..)| answered.is_none()) {
        return true;
    }
    for place in 0..left.len() {
        let (sent, _, is_put, value) = left[place];
        let is_too_early = left.iter().any(|(_, answered, ..)| answered.is_some_and(|answered| answered < sent));
        if is_too_early || !is_put && value != present {
            continue;
        }
        let taken = left.remove(place);
        let found = try_from(value, left);
        left.insert(place, taken);
        if found {
            return true;
        }
    }
    false
}

/// The place of the answer with which a history became wrong: all prefixes tried one by one.
fn first_wrong(history: &[Attempt]) -> Option<usize> {
    let mut answers: Vec<(Time, usize)> = (0..history.len())
        .filter_map(|place| match &history[place].answer {
            Some((time, Outcome::Ok(_))) => Some((*time, place)),
            _ => None,
        })
        .collect();
    answers.sort();
    answers
        .iter()
        .find(|&&last| {
            let mut prefix: Vec<Attempt> = history.iter().filter(|attempt| attempt.sent <= last.0).cloned().collect();
            let places = (0..history.len()).filter(|&place| history[place].sent <= last.0);
            for (attempt, place) in prefix.iter_mut().zip(places) {
                // What is redirected at any time never takes effect.
                if !attempt.is_redirected() && attempt.answer.as_ref().is_some_and(|(time, _)| (*time, place) > last) {
                    attempt.answer = None;
                }
            }
            !try_all(&prefix)
        })
        .map(|&(_, place)| place)
}

/// What random histories are like.
#[derive(Clone, Copy)]
struct Shape {
    operations: u64,
    /// Times are below this.
    times: u64,
    /// Operations take up to this.
    length: u64,
    values: u64,
    puts: f64,
    lost: f64,
    /// Whether every put has a value of its own.
    unique: bool,
}

fn random_history(dice: &mut Stream, shape: Shape) -> History {
    let mut history = History::default();
    let count = dice.between(1, shape.operations);
    for number in 0..count {
        let sent = Time(dice.below(shape.times));
        let answered = Time(sent.0 + dice.below(shape.length + 1));
        let is_put = dice.chance(shape.puts);
        let is_lost = dice.chance(shape.lost);
        let text = |value: u64| -> Text { if value == 0 { "".into() } else { value.to_string().into() } };
        let value = if is_put && shape.unique { number + 1 } else { dice.below(shape.values) };
        let key: Text = "k".into();
        let operation = if is_put { Operation::Put { key, value: text(value) } } else { Operation::Get { key } };
        let answer = match is_lost {
            false => Some((answered, Outcome::Ok((!is_put).then(|| text(value))))),
            true => dice
                .pick(&[None, Some((answered, Outcome::Fail)), Some((answered, Outcome::Redirect))])
                .cloned()
                .flatten(),
        };
        history.attempts.push(Attempt {
            client: ClientId(number as u16),
            replica: ReplicaId(0),
            operation,
            sent,
            retry_of: None,
            answer,
        });
    }
    history
}

fn shape(dice: &mut Stream) -> Shape {
    let unique = dice.chance(0.4);
    let operations = 7;
    Shape {
        operations,
        times: dice.between(1, 30),
        length: dice.between(0, 25),
        values: if unique { operations + 1 } else { dice.between(2, 4) },
        puts: 0.3 + 0.4 * dice.unit(),
        lost: 0.5 * dice.unit(),
        unique,
    }
}

/// The register of a history that has one key, judged by the search alone.
fn by_search(history: &History) -> bool {
    let mut checker = Checker::new(Budget::default());
    checker.gather(&history.attempts);
    checker.suspects.push(0);
    let registers = checker.registers(&history.attempts);
    let mut search = Search::new(Budget::default());
    registers.iter().all(|register| search.run(&register.ops, register.values).expect("small enough"))
}

#[test]
fn brute_force_agrees_on_100_000_small_histories() {
    let mut dice = Stream::new(1, "brute force");
    let mut checker = Checker::new(Budget::default());
    let (mut good, mut bad, mut searched) = (0, 0, 0);
    for _ in 0..100_000 {
        let shape = shape(&mut dice);
        let history = random_history(&mut dice, shape);
        let expected = try_all(&history.attempts);
        assert_eq!(by_search(&history), expected, "{history:#?}");
        match checker.check(&history) {
            Verdict::Linearizable { .. } => assert!(expected, "{history:#?}"),
            Verdict::Violation(_) => assert!(!expected, "{history:#?}"),
            verdict @ Verdict::Unknown { .. } => panic!("{verdict:?}"),
        }
        if expected {
            good += 1
        } else {
            bad += 1
        }
        let mut checker = checker.clone();
        if !checker.suspects.is_empty() {
            let registers = checker.registers(&history.attempts);
            searched += u64::from(registers.iter().any(|register| register.by_zones().is_none()));
        }
    }
    println!("{good} good, {bad} bad, {searched} not decided by zones");
    assert!(good > 25_000 && bad > 25_000 && searched > 500, "{good}, {bad}, {searched}");
}

#[test]
fn brute_force_finds_the_same_shortest_wrong_prefix() {
    let mut dice = Stream::new(2, "brute force");
    let mut checker = Checker::new(Budget::default());
    let mut wrong = 0;
    for _ in 0..20_000 {
        let shape = shape(&mut dice);
        let history = random_history(&mut dice, shape);
        let expected = first_wrong(&history.attempts);
        let Verdict::Violation(violation) = checker.check(&history) else {
            assert_eq!(expected, None, "{history:#?}");
            continue;
        };
        wrong += 1;
        let place = expected.expect("a wrong prefix");
        let answered = history.attempts[place].answer.as_ref().expect("an answer").0;
        let is_by_then = |(number, attempt): (usize, &Attempt)| match &attempt.answer {
            Some((time, Outcome::Ok(_))) => (*time, number) <= (answered, place),
            _ => false,
        };
        let answers = history.attempts.iter().enumerate().filter(|&(n, a)| is_by_then((n, a))).count();
        assert_eq!((violation.at, violation.answers, violation.minimal), (answered, answers, true), "{history:#?}");
        assert!(violation.around.contains(&history.attempts[place]));
        let has_reason = !violation.explanation.contains("no order");
        assert!(has_reason || !shape.unique, "two values are the reason: {violation}\n{history:#?}");
    }
    assert!(wrong > 5_000, "{wrong}");
}

#[test]
fn zones_and_search_agree_on_longer_histories_with_unique_values() {
    let mut dice = Stream::new(3, "zones and search");
    let (mut good, mut bad) = (0, 0);
    for _ in 0..5_000 {
        let lost = 0.5 * dice.unit();
        let history = super::hard::simulated(&mut dice, super::hard::Load { lost, ..super::hard::Load::small() });
        let mut checker = Checker::new(Budget::default());
        checker.gather(&history.attempts);
        checker.suspects.push(0);
        let registers = checker.registers(&history.attempts);
        let register = &registers[0];
        let zones = register.by_zones().expect("unique values");
        assert_eq!(Search::new(Budget::default()).run(&register.ops, register.values), Some(zones));
        if zones { good += 1 } else { bad += 1 }
    }
    assert!(good > 1_000 && bad > 1_000, "{good} {bad}");
}

/// Whether there is a linearization of up to 32 operations of one key, by trying each state of the register once.
fn try_each_state(history: &[Attempt]) -> bool {
    let counting: Vec<&Attempt> = history.iter().filter(|attempt| counts(attempt)).collect();
    let answered = |attempt: &Attempt| match attempt.answer {
        Some((time, Outcome::Ok(_))) => Some(time),
        _ => None,
    };
    let required = (0..counting.len()).filter(|&place| answered(counting[place]).is_some());
    let required: u32 = required.map(|place| 1 << place).sum();
    let mut open: Vec<(u32, &str)> = vec![(0, "")];
    let mut seen = std::collections::BTreeSet::new();
    while let Some((done, present)) = open.pop() {
        if done & required == required {
            return true;
        }
        let left = || (0..counting.len()).filter(|&place| done >> place & 1 == 0);
        let deadline = left().filter_map(|place| answered(counting[place])).min();
        for place in left().filter(|&place| deadline.is_none_or(|deadline| counting[place].sent <= deadline)) {
            let text = value(counting[place]).expect("a value");
            if counting[place].operation.is_get() && **text != *present {
                continue;
            }
            let state = (done | 1 << place, &**text);
            if seen.insert(state) {
                open.push(state);
            }
        }
    }
    false
}

#[test]
fn a_simple_search_agrees_on_histories_of_a_middle_size_with_few_values() {
    let mut dice = Stream::new(5, "middle size");
    let (mut good, mut bad, mut searched) = (0, 0, 0);
    for _ in 0..10_000 {
        let load = super::hard::Load {
            operations: dice.between(8, 13),
            times: dice.between(1, 60),
            length: dice.between(1, 40),
            puts: 0.3 + 0.4 * dice.unit(),
            values: Some(dice.between(2, 4)),
            lost: if dice.chance(0.5) { 0.0 } else { 0.4 * dice.unit() },
            wrong: 1.0,
        };
        let history = super::hard::simulated(&mut dice, load);
        let expected = try_each_state(&history.attempts);
        assert_eq!(by_search(&history), expected, "{history:#?}");
        let mut checker = Checker::new(Budget::default());
        assert_eq!(checker.check(&history).is_linearizable(), expected, "{history:#?}");
        let registers = if checker.suspects.is_empty() { Vec::new() } else { checker.registers(&history.attempts) };
        searched += u64::from(registers.iter().any(|register| register.by_zones().is_none()));
        if expected { good += 1 } else { bad += 1 }
    }
    println!("{good} good, {bad} bad, {searched} not decided by zones");
    assert!(good > 5_000 && bad > 1_000 && searched > 1_000, "{good}, {bad}, {searched}");
}
