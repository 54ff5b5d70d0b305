//! Histories of simulated clients, for tests and benchmarks: of any length, correct or with errors towards the end.

use std::collections::VecDeque;

use crate::id::{ClientId, ReplicaId};
use crate::record::{Attempt, History, Outcome};
use crate::rng::Stream;
use crate::service::{Operation, Text, Update, list_text};
use crate::time::Time;

/// What clients do to objects of one type.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The name of the type, as in specifications.
    pub kind: &'static str,
    /// How many operations there are.
    pub operations: u64,
    /// How many objects they are about.
    pub objects: u64,
    /// How many clients there are. Each waits for an answer before it continues, unless the answer is lost.
    pub clients: u64,
    /// How likely an operation is not answered; then it takes effect late or never, and another client takes the place
    /// of this one.
    pub lost: f64,
    /// Whether the objects break after nine tenths of the operations: then one answer of five is wrong, where it can be.
    pub is_wrong: bool,
}

/// An object as an implementation stores it.
#[derive(Clone, Debug, Default)]
struct Object {
    text: Text,
    /// The value before.
    stale: Text,
    values: VecDeque<Text>,
    number: i64,
    holder: Option<u16>,
    tokens: u64,
}

impl Object {
    /// Does an operation and returns the answer. `slips`: the answer is visibly wrong.
    fn apply(&mut self, kind: &str, client: u16, operation: &Operation, slips: bool) -> Option<Text> {
        match operation {
            Operation::Get { .. } if kind == "counter" => {
                Some((self.number + i64::from(slips) * 1_000).to_string().into())
            }
            Operation::Get { .. } if kind == "list" => Some(list_text(self.values.iter().skip(usize::from(slips)))),
            Operation::Get { .. } => Some(if slips { self.stale.clone() } else { self.text.clone() }),
            Operation::Put { value, .. } => {
                self.set(value);
                None
            }
            Operation::Update(update) => match &update.expected {
                Some(expected) if *expected != self.text => Some(self.text.clone()),
                _ => {
                    self.set(&update.value);
                    None
                }
            },
            Operation::Append { value, .. } | Operation::Enqueue { value, .. } => {
                self.values.push_back(value.clone());
                None
            }
            Operation::Add { amount, .. } => {
                self.number += amount;
                None
            }
            Operation::Dequeue { .. } => {
                if slips {
                    self.values.pop_back()
                } else {
                    self.values.pop_front()
                }
            }
            Operation::Acquire { .. } => (self.holder.is_none() || slips).then(|| {
                self.holder = Some(client);
                self.tokens += 1;
                self.tokens.to_string().into()
            }),
            Operation::Release { .. } => {
                let is_mine = self.holder == Some(client);
                self.holder = self.holder.filter(|_| !is_mine);
                (!is_mine).then(|| "not yours".into())
            }
            Operation::Custom(_) => None,
        }
    }

    fn set(&mut self, value: &Text) {
        self.stale = std::mem::replace(&mut self.text, value.clone());
    }

    /// Whether a slip would show now, in this operation.
    fn may_slip(&self, kind: &str, client: u16, operation: &Operation) -> bool {
        match operation {
            Operation::Get { .. } if kind == "list" => !self.values.is_empty(),
            Operation::Get { .. } => kind == "counter" || self.stale != self.text,
            Operation::Dequeue { .. } => self.values.len() > 1,
            Operation::Acquire { .. } => self.holder.is_some_and(|holder| holder != client),
            _ => false,
        }
    }
}

struct Plan {
    client: u16,
    object: usize,
    operation: Operation,
    sent: u64,
    effect: Option<u64>,
    answered: Option<u64>,
}

/// The history that this load leaves. Operations take up to 2 us, and clients rest for up to 1 us in between.
pub fn history(load: Load, seed: u64) -> History {
    let mut random = Stream::new(seed, "load");
    let mut plans = plans(load, &mut random);
    let mut order: Vec<(u64, usize)> =
        (0..plans.len()).filter_map(|place| Some((plans[place].effect?, place))).collect();
    order.sort_unstable();
    let mut objects = vec![Object { text: "".into(), ..Object::default() }; load.objects as usize];
    let mut told: Vec<Option<Text>> = vec![None; plans.len()];
    let slips_from = if load.is_wrong { order.len() * 9 / 10 } else { usize::MAX };
    for (number, &(_, place)) in order.iter().enumerate() {
        let plan = &mut plans[place];
        let object = &mut objects[plan.object];
        if let Operation::Update(update) = &mut plan.operation {
            // A client has mostly seen what it expects.
            let stale = random.chance(0.3);
            let expected = Some(if stale { object.stale.clone() } else { object.text.clone() });
            *update = Update { expected, ..Update::clone(update) }.into();
        }
        let slips = number >= slips_from
            && plan.answered.is_some()
            && random.chance(0.2)
            && object.may_slip(load.kind, plan.client, &plan.operation);
        told[place] = object.apply(load.kind, plan.client, &plan.operation, slips);
    }
    let attempts = plans.into_iter().zip(told).map(|(plan, told)| Attempt {
        client: ClientId(plan.client),
        replica: ReplicaId(0),
        operation: plan.operation,
        sent: Time(plan.sent),
        retry_of: None,
        answer: plan.answered.map(|answered| (Time(answered), Outcome::Ok(told))),
    });
    History { attempts: attempts.collect(), ..History::default() }
}

/// What clients send and when, in order of sending.
fn plans(load: Load, random: &mut Stream) -> Vec<Plan> {
    let keys: Vec<Text> = (0..load.objects).map(|object| format!("object {object}").into()).collect();
    // When each client is free, and its number: a client that waits in vain is replaced by another.
    let mut free: Vec<(u64, u16)> = (0..load.clients).map(|client| (0, client as u16)).collect();
    let mut clients = load.clients as u16;
    let mut plans = Vec::new();
    for number in 0..load.operations {
        let place = (0..free.len()).min_by_key(|&place| free[place]).unwrap_or(0);
        let (time, client) = free[place];
        let object = random.below(load.objects) as usize;
        let operation = operation(load.kind, keys[object].clone(), number, random);
        let sent = time + 1 + random.below(1_000);
        let effect = sent + 1 + random.below(1_000);
        let answered = effect + 1 + random.below(1_000);
        free[place] = (answered, client);
        let mut plan = Plan { client, object, operation, sent, effect: Some(effect), answered: Some(answered) };
        if random.chance(load.lost) {
            plan.effect = random.chance(0.5).then(|| effect + random.below(20_000));
            plan.answered = None;
            free[place].1 = clients;
            clients += 1;
        }
        plans.push(plan);
    }
    plans.sort_by_key(|plan| plan.sent);
    plans
}

fn operation(kind: &str, key: Text, number: u64, random: &mut Stream) -> Operation {
    let value: Text = number.to_string().into();
    let first = random.chance(0.5);
    match kind {
        "register" | "cas" if first => Operation::Get { key },
        "cas" if random.chance(0.7) => Operation::Update(Update { key, value, expected: None, request: None }.into()),
        "register" | "cas" => Operation::Put { key, value },
        "list" if first => Operation::Append { key, value },
        "counter" if first => Operation::Add { key, amount: 1 + random.below(3) as i64 },
        // More elements come than go, so that the queue is never empty for long.
        "queue" if random.chance(0.51) => Operation::Enqueue { key, value },
        "queue" => Operation::Dequeue { key },
        "lock" if first => Operation::Acquire { key },
        "lock" => Operation::Release { key },
        _ => Operation::Get { key },
    }
}
