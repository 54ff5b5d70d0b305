//! Small random histories, judged a second time by trying everything. It shares nothing with the checker but the
//! history: types are written down anew, in the plainest way.

use std::collections::VecDeque;

use super::*;
use crate::rng::Stream;
use crate::service::list_text;

/// An object of any of the types.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    text: String,
    values: VecDeque<String>,
    number: i64,
    holder: Option<u16>,
    /// Named updates that were done, with their answers.
    done: Vec<(u64, Option<String>)>,
}

impl Model {
    /// Does an operation and says what is answered.
    fn apply(&mut self, client: u16, operation: &Operation, is_list: bool, is_counter: bool) -> Option<String> {
        match operation {
            Operation::Get { .. } if is_counter => Some(self.number.to_string()),
            Operation::Get { .. } if is_list => {
                let values: Vec<Text> = self.values.iter().map(|value| value.as_str().into()).collect();
                Some(list_text(&values).to_string())
            }
            Operation::Get { .. } => Some(self.text.clone()),
            Operation::Put { value, .. } => {
                self.text = value.to_string();
                None
            }
            Operation::Update(update) => {
                let name = update.request.map(|request| request.number);
                if let Some((_, answer)) = self.done.iter().find(|(other, _)| Some(*other) == name) {
                    return answer.clone();
                }
                let answer = match &update.expected {
                    Some(expected) if **expected != *self.text => Some(self.text.clone()),
                    _ => {
                        self.text = update.value.to_string();
                        None
                    }
                };
                self.done.extend(name.map(|name| (name, answer.clone())));
                answer
            }
            Operation::Append { value, .. } | Operation::Enqueue { value, .. } => {
                self.values.push_back(value.to_string());
                None
            }
            Operation::Add { amount, .. } => {
                self.number += amount;
                None
            }
            Operation::Dequeue { .. } => self.values.pop_front(),
            Operation::Acquire { .. } => match self.holder {
                Some(_) => None,
                None => {
                    self.holder = Some(client);
                    Some("t".to_owned())
                }
            },
            Operation::Release { .. } => match self.holder == Some(client) {
                true => {
                    self.holder = None;
                    None
                }
                false => Some("no".to_owned()),
            },
            Operation::Custom(_) => unreachable!("not in these histories"),
        }
    }
}

/// What one of the types needs to be tried.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Register,
    Cas,
    List,
    Counter,
    Queue,
    Lock,
}

const KINDS: [Kind; 6] = [Kind::Register, Kind::Cas, Kind::List, Kind::Counter, Kind::Queue, Kind::Lock];

impl Kind {
    fn apply(self, model: &mut Model, attempt: &Attempt) -> Option<String> {
        model.apply(attempt.client.0, &attempt.operation, self == Kind::List, self == Kind::Counter)
    }

    fn check(self, history: &History) -> Verdict {
        let budget = Budget::default();
        let verdict = match self {
            Kind::Register => check_against(&Register, history, budget),
            Kind::Cas => check_against(&Cas, history, budget),
            Kind::List => check_against(&List, history, budget),
            Kind::Counter => check_against(&Counter, history, budget),
            Kind::Queue => check_against(&Queue, history, budget),
            Kind::Lock => check_against(&Lock, history, budget),
        };
        verdict.expect("operations of the type")
    }

    fn operation(self, random: &mut Stream, number: u64, values: u64, so_far: &[Attempt]) -> Operation {
        let key: Text = "k".into();
        let first = random.chance(0.5);
        let value: Text = random.below(values).to_string().into();
        // Values that are told apart are a case of their own: then studies know more.
        let value = if values == 5 { Text::from(number.to_string()) } else { value };
        match self {
            Kind::Register if first => Operation::Put { key, value },
            Kind::Cas if random.chance(0.25) => Operation::Put { key, value },
            Kind::Cas if first => {
                let again = random.pick(so_far).filter(|other| request(&other.operation).is_some());
                if let Some(again) = again {
                    return again.operation.clone();
                }
                let condition = random.chance(0.7);
                let expected = random.below(values + 1).checked_sub(1);
                let expected = expected.map_or("".into(), |value| Text::from(value.to_string()));
                let request = random.chance(0.4).then_some(RequestId { client: 1, number });
                Operation::Update(Update { key, value, expected: condition.then_some(expected), request }.into())
            }
            Kind::List if first => Operation::Append { key, value },
            Kind::Counter if first => Operation::Add { key, amount: random.below(values + 1) as i64 - 1 },
            Kind::Queue if first => Operation::Enqueue { key, value },
            Kind::Lock if first => Operation::Acquire { key },
            Kind::Lock => Operation::Release { key },
            Kind::Queue => Operation::Dequeue { key },
            _ => Operation::Get { key },
        }
    }
}

/// Whether there is a linearization, by trying all orders.
fn try_all(kind: Kind, history: &[Attempt]) -> bool {
    let is_read = |attempt: &&Attempt| {
        !(attempt.operation.is_get() && !matches!(attempt.answer, Some((_, Outcome::Ok(_)))) || attempt.is_redirected())
    };
    try_from(kind, &Model::default(), &mut history.iter().filter(is_read).collect())
}

fn ended(attempt: &Attempt) -> Option<Time> {
    match attempt.answer {
        Some((time, Outcome::Ok(_))) => Some(time),
        _ => None,
    }
}

fn try_from(kind: Kind, model: &Model, left: &mut Vec<&Attempt>) -> bool {
    if left.iter().all(|attempt| ended(attempt).is_none()) {
        return true;
    }
    for place in 0..left.len() {
        let attempt = left[place];
        if left.iter().any(|other| ended(other).is_some_and(|ended| ended < attempt.sent)) {
            continue;
        }
        let mut after = model.clone();
        let answer = kind.apply(&mut after, attempt);
        if let Some((_, Outcome::Ok(told))) = &attempt.answer
            && told.as_deref() != answer.as_deref()
        {
            continue;
        }
        let taken = left.remove(place);
        let found = try_from(kind, &after, left);
        left.insert(place, taken);
        if found {
            return true;
        }
    }
    false
}

/// The place of the answer with which a history became wrong: all prefixes tried one by one.
fn first_wrong(kind: Kind, history: &[Attempt]) -> Option<usize> {
    let mut answers: Vec<(Time, usize)> =
        (0..history.len()).filter_map(|place| Some((ended(&history[place])?, place))).collect();
    answers.sort();
    let is_wrong = |last: (Time, usize)| {
        let known = (0..history.len()).filter(|&place| history[place].sent <= last.0).map(|place| {
            let mut attempt = history[place].clone();
            // What is redirected at any time never takes effect.
            if !attempt.is_redirected() && attempt.answer.as_ref().is_some_and(|(time, _)| (*time, place) > last) {
                attempt.answer = None;
            }
            attempt
        });
        !try_all(kind, &known.collect::<Vec<_>>())
    };
    answers.into_iter().find(|&last| is_wrong(last)).map(|(_, place)| place)
}

/// One line for each attempt.
fn lines(history: &History) -> String {
    let line = |attempt: &Attempt| {
        let Attempt { client, operation, sent, answer, .. } = attempt;
        format!("\n{client} {operation:?} {} {answer:?}", sent.0)
    };
    history.attempts.iter().map(line).collect()
}

/// The history of an object that is right, or answers in a wrong order, or gives one wrong answer.
fn random_history(kind: Kind, random: &mut Stream) -> History {
    let count = random.between(3, 7);
    let (times, length) = (random.between(10, 60), random.between(0, 20));
    let values = random.between(1, 5);
    let lost = 0.4 * random.unit();
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut effects: Vec<(u64, usize)> = Vec::new();
    for number in 0..count {
        let sent = random.below(times);
        let operation = kind.operation(random, number, values, &attempts);
        let effect = sent + random.below(length + 1);
        let answered = Time(effect + random.below(length + 1));
        let client = ClientId(random.below(3) as u16);
        let answer = match random.chance(lost) {
            false => Some((answered, Outcome::Ok(None))),
            true => {
                let late = [None, Some((answered, Outcome::Fail)), Some((answered, Outcome::Redirect))];
                random.pick(&late).cloned().flatten()
            }
        };
        let never = matches!(answer, Some((_, Outcome::Redirect)))
            || !matches!(answer, Some((_, Outcome::Ok(_)))) && random.chance(0.5);
        if !never {
            effects.push((effect + if answer.is_none() { random.below(20) } else { 0 }, attempts.len()));
        }
        let replica = ReplicaId(0);
        attempts.push(Attempt { client, replica, operation, sent: Time(sent), retry_of: None, answer });
    }
    effects.sort_unstable();
    if random.chance(0.6) {
        // An object that takes operations when it likes.
        random.shuffle(&mut effects);
    }
    let mut model = Model::default();
    let mut told: Vec<Option<String>> = Vec::new();
    for &(_, place) in &effects {
        let answer = kind.apply(&mut model, &attempts[place]);
        told.push(answer.clone());
        if let Some((_, Outcome::Ok(value))) = &mut attempts[place].answer {
            *value = answer.map(Text::from);
        }
    }
    if random.chance(0.9) {
        // An answer of another one, or a change of order.
        let places: Vec<usize> = (0..attempts.len()).filter(|&place| ended(&attempts[place]).is_some()).collect();
        if let (Some(&place), Some(other)) = (random.pick(&places), random.pick(&told).cloned()) {
            let may_have = match attempts[place].operation {
                Operation::Get { .. } | Operation::Dequeue { .. } => true,
                Operation::Acquire { .. } => true,
                Operation::Release { .. } => true,
                Operation::Update(ref update) => update.expected.is_some(),
                _ => false,
            };
            let value = match attempts[place].operation {
                Operation::Acquire { .. } => random.chance(0.5).then(|| "t".into()),
                Operation::Release { .. } => random.chance(0.5).then(|| "no".into()),
                _ => other.map(Text::from),
            };
            let sent = attempts[place].sent;
            if may_have && let Some((time, Outcome::Ok(told))) = &mut attempts[place].answer {
                *told = value;
                if random.chance(0.3) {
                    *time = (*time).min(Time(sent.0 + 1));
                }
            }
        }
    }
    History { attempts, ..History::default() }
}

fn agrees(kind: Kind) {
    let mut random = Stream::new(kind as u64, "brute force of any type");
    let (mut good, mut bad) = (0, 0);
    for _ in 0..100_000 {
        let history = random_history(kind, &mut random);
        let expected = try_all(kind, &history.attempts);
        match kind.check(&history) {
            Verdict::Linearizable { .. } => assert!(expected, "{kind:?} {}", lines(&history)),
            Verdict::Violation(_) => assert!(!expected, "{kind:?} {}", lines(&history)),
            verdict @ Verdict::Unknown { .. } => panic!("{kind:?} {verdict:?}"),
        }
        if expected { good += 1 } else { bad += 1 }
    }
    println!("{kind:?}: {good} good, {bad} bad");
    assert!(good > 25_000 && bad > 20_000, "{kind:?}: {good} good, {bad} bad");
}

#[test]
fn brute_force_agrees_on_100_000_small_registers() {
    agrees(Kind::Register);
}

#[test]
fn brute_force_agrees_on_100_000_small_registers_with_compare_and_swap() {
    agrees(Kind::Cas);
}

#[test]
fn brute_force_agrees_on_100_000_small_lists() {
    agrees(Kind::List);
}

#[test]
fn brute_force_agrees_on_100_000_small_counters() {
    agrees(Kind::Counter);
}

#[test]
fn brute_force_agrees_on_100_000_small_queues() {
    agrees(Kind::Queue);
}

#[test]
fn brute_force_agrees_on_100_000_small_locks() {
    agrees(Kind::Lock);
}

#[test]
fn brute_force_finds_the_same_shortest_wrong_prefix_of_every_type() {
    let mut random = Stream::new(9, "shortest wrong prefix of any type");
    for kind in KINDS {
        let (mut wrong, mut with_reason) = (0, 0);
        for _ in 0..10_000 {
            let history = random_history(kind, &mut random);
            let expected = first_wrong(kind, &history.attempts);
            let Verdict::Violation(violation) = kind.check(&history) else {
                assert_eq!(expected, None, "{kind:?} {}", lines(&history));
                continue;
            };
            wrong += 1;
            let place = expected.unwrap_or_else(|| panic!("a wrong prefix: {violation} {}", lines(&history)));
            let answered = ended(&history.attempts[place]).expect("an answer");
            let is_by_then = |number: usize| {
                ended(&history.attempts[number]).is_some_and(|time| (time, number) <= (answered, place))
            };
            let answers = (0..history.attempts.len()).filter(|&number| is_by_then(number)).count();
            let found = (violation.at, violation.answers, violation.minimal, violation.read.get);
            assert_eq!(found, (answered, answers, true, Mid(place as u64)), "{kind:?} {}", lines(&history));
            assert!(violation.around.contains(&history.attempts[place]));
            with_reason += u64::from(!violation.explanation.contains("no order"));
        }
        println!("{kind:?}: {wrong} wrong, {with_reason} with a reason");
        assert!(wrong > 2_000 && 2 * with_reason > wrong, "{kind:?}: {wrong} wrong, {with_reason} with a reason");
    }
}
