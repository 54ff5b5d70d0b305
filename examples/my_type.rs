//! A type of objects of your own: a stack. `seedbed::check::linear::check_against` judges histories of it.
//!
//! `cargo run --example my_type`

use seedbed::check::linear::{Budget, check_against};
use seedbed::id::{ClientId, ReplicaId};
use seedbed::record::{Attempt, History, Outcome};
use seedbed::service::{Custom, Operation, Text};
use seedbed::specification::{Answer, Call, Specification};
use seedbed::time::Time;

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
        matches!(operation, Operation::Custom(custom) if matches!(&*custom.name, "push" | "pop"))
    }

    fn step(&self, state: &Vec<Text>, call: &Call<'_>) -> Option<Vec<Text>> {
        let Operation::Custom(custom) = call.operation else { return None };
        let mut state = state.clone();
        let top = match &custom.argument {
            Some(value) => {
                state.push(value.clone());
                None
            }
            None => state.pop(),
        };
        let fits = match call.answer {
            Answer::Done(told) => told == top.as_ref(),
            Answer::Unknown => true,
        };
        fits.then_some(state)
    }
}

fn main() {
    let mut history = History::default();
    let mut add = |client, value: Option<&str>, (sent, answered), told: Option<&str>| {
        let name = if value.is_some() { "push" } else { "pop" };
        let custom = Custom { name: name.into(), key: "s".into(), argument: value.map(Text::from) };
        history.attempts.push(Attempt {
            client: ClientId(client),
            replica: ReplicaId(0),
            operation: Operation::Custom(custom.into()),
            sent: Time(sent),
            retry_of: None,
            answer: Some((Time(answered), Outcome::Ok(told.map(Text::from)))),
        });
    };
    add(1, Some("a"), (0, 10), None);
    add(2, Some("b"), (20, 30), None);
    add(1, None, (40, 50), Some("a"));
    let verdict = check_against(&Stack, &history, Budget::default()).expect("a stack's operations");
    assert!(!verdict.is_linearizable(), "b was on top");
    println!("{verdict:?}");
}
