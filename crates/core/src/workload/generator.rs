//! Clients that are separate state machines, as in all kinds but the course's.

use crate::rng::Stream;
use crate::service::{Operation, Text};
use crate::specification::Answer;
use crate::time::Time;

/// One client: chooses its next operation and learns the outcomes of earlier ones.
///
/// Each client has its own generator, so no answer to one client changes what another does. Each request has its own
/// random stream, too ([`Turn::random`]), so that no answer moves the random numbers of later requests of the same
/// client.
///
/// A client of a bank, as a whole:
///
/// ```
/// use seedbed_core::service::{Custom, Operation};
/// use seedbed_core::workload::{Generator, Kind, Turn};
///
/// struct Teller;
///
/// impl Generator for Teller {
///     fn next(&mut self, turn: &mut Turn) -> Option<Operation> {
///         let (name, argument) = match turn.read {
///             true => ("balances", None),
///             false => {
///                 let [from, to] = [(); 2].map(|()| turn.random.below(5));
///                 ("transfer", Some(format!("{from} {to} {}", turn.random.between(1, 100)).into()))
///             }
///         };
///         Some(Operation::Custom(Custom { name: name.into(), key: "bank".into(), argument }.into()))
///     }
/// }
///
/// let kind = Kind::custom("bank", |_client| Teller);
/// assert_eq!(kind.specification_name(), "bank");
/// ```
pub trait Generator: Send {
    /// The operation of the client's next request. None if the client has nothing to ask now: the request is left out
    /// and counted ([`History::idle`](crate::record::History::idle)).
    ///
    /// The requests of one client may overlap. A client that needs the answer to one request before it sends the next
    /// returns none until it has learned the answer.
    fn next(&mut self, turn: &mut Turn) -> Option<Operation>;

    /// A request of this client is over. Called at most once for each request. It is never called for a request without
    /// an answer if clients never give up.
    fn learn(&mut self, lesson: &Lesson<'_>) {
        let _ = lesson;
    }
}

/// A client's turn to send a request.
#[derive(Debug)]
pub struct Turn {
    /// The client, counted from 0.
    pub client: usize,
    /// The number of its request, counted from 0. Requests that were left out count, too.
    pub number: u64,
    /// The time.
    pub now: Time,
    /// Whether the request should be a read: true with the probability `mix` of the scenario.
    pub read: bool,
    /// Random numbers for this request alone.
    pub random: Stream,
}

impl Turn {
    /// A value that is unique in the run: the numbers of client and request.
    pub fn unique(&self) -> Text {
        format!("{}-{}", self.client, self.number).into()
    }

    /// The name of a random one of `count` objects: `word`, a hyphen, and a number counted from 0.
    ///
    /// # Panics
    /// If `count` is 0.
    pub fn object(&mut self, word: &str, count: u32) -> Text {
        format!("{word}-{}", self.random.below(u64::from(count))).into()
    }
}

/// What a client learns about one of its requests.
#[derive(Clone, Copy, Debug)]
pub struct Lesson<'a> {
    /// The request's number, as in [`Turn::number`].
    pub number: u64,
    /// The operation.
    pub operation: &'a Operation,
    /// Its outcome: the answer, or [`Answer::Unknown`] if the client has abandoned it.
    pub answer: Answer<'a>,
    /// The time.
    pub now: Time,
}
