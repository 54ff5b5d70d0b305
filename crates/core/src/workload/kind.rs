//! The kinds of workloads.

use std::fmt;
use std::sync::Arc;

use super::cas::CasClient;
use super::counter::CounterClient;
use super::generator::Generator;
use super::list::ListClient;
use super::lock::LockClient;
use super::queue::QueueClient;
use super::{Keys, ScriptedOperation};
use crate::service::{Operation, Text, Update};
use crate::time::Span;

/// The kind of a workload: the objects that clients use, and their operations.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// `kv`: the course's clients, which read and write keys.
    Kv {
        /// Which keys they use.
        keys: Keys,
        /// Whether each write is a named update, which must be applied exactly once. If operations are listed, whether
        /// one of them is an update.
        updates: bool,
    },
    /// `cas`: clients read, write, compare-and-swap and delete shared keys.
    Cas {
        /// How many keys there are.
        count: u32,
        /// Whether each write is a named update, which must be applied exactly once.
        updates: bool,
    },
    /// `list`: clients read lists and append to them.
    List {
        /// How many lists there are.
        count: u32,
    },
    /// `counter`: clients read counters and add to them.
    Counter {
        /// How many counters there are.
        count: u32,
    },
    /// `queue`: clients add values to queues and take them out.
    Queue {
        /// How many queues there are.
        count: u32,
    },
    /// `lock`: clients take locks, hold them and give them up.
    Lock {
        /// How many locks there are.
        count: u32,
        /// The longest time for which a client wants to hold a lock.
        hold_max: Span,
    },
    /// `custom`: a type of your own.
    Custom(CustomKind),
}

/// A type of your own: its name, and the function that makes its clients.
///
/// Two of them are equal if they have the same name, and both or neither can make clients.
#[derive(Clone)]
pub struct CustomKind {
    name: Text,
    make: Option<Make>,
}

type Make = Arc<dyn Fn(usize) -> Box<dyn Generator> + Send + Sync>;

impl CustomKind {
    /// A type of this name. Clients cannot draw requests of it: its operations must be listed.
    pub fn named(name: &str) -> CustomKind {
        CustomKind { name: name.into(), make: None }
    }

    /// The name of the type, which is that of its specification.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its clients can draw requests.
    pub fn draws(&self) -> bool {
        self.make.is_some()
    }
}

impl fmt::Debug for CustomKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomKind").field("name", &self.name).field("draws", &self.draws()).finish()
    }
}

impl PartialEq for CustomKind {
    fn eq(&self, other: &CustomKind) -> bool {
        self.draws() == other.draws() && self.name == other.name
    }
}

/// As in `kv`, `cas with updates` and `custom "bank"`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Custom(custom) => write!(f, "{} {:?}", self.name(), custom.name()),
            _ if self.has_updates() => write!(f, "{} with updates", self.name()),
            _ => f.write_str(self.name()),
        }
    }
}

impl Kind {
    /// The course's: each client has keys of its own.
    pub const COURSE: Kind = Kind::Kv { keys: Keys::Private, updates: false };

    /// The names of all kinds in scenario files.
    pub const NAMES: [&'static str; 7] = ["kv", "cas", "list", "counter", "queue", "lock", "custom"];

    /// A kind of your own. `name` is the name of its specification, and `make` makes the generator of each client, from
    /// its number.
    ///
    /// A file has only its name. A protocol with a workload of this name provides the function that makes the clients
    /// ([`Protocol::fit`](crate::lab::Protocol::fit)).
    pub fn custom<G: Generator + 'static>(name: &str, make: impl Fn(usize) -> G + Send + Sync + 'static) -> Kind {
        let make: Make = Arc::new(move |client| Box::new(make(client)));
        Kind::Custom(CustomKind { name: name.into(), make: Some(make) })
    }

    /// Its name in scenario files.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Kv { .. } => "kv",
            Kind::Cas { .. } => "cas",
            Kind::List { .. } => "list",
            Kind::Counter { .. } => "counter",
            Kind::Queue { .. } => "queue",
            Kind::Lock { .. } => "lock",
            Kind::Custom(_) => "custom",
        }
    }

    /// Whether it has the same type as another one: the same kind and, for `custom`, the same name.
    pub fn is_like(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::Custom(own), Kind::Custom(other)) => own.name() == other.name(),
            _ => self.name() == other.name(),
        }
    }

    /// The name of the specification for judging a history of it.
    pub fn specification_name(&self) -> &str {
        match self {
            // A register has no updates, named or not.
            Kind::Kv { updates: false, .. } => "register",
            Kind::Kv { updates: true, .. } => "cas",
            Kind::Custom(custom) => custom.name(),
            other => other.name(),
        }
    }

    /// Whether each write is a named update.
    pub fn has_updates(&self) -> bool {
        matches!(self, Kind::Kv { updates: true, .. } | Kind::Cas { updates: true, .. })
    }

    /// Whether it has such an operation. A `custom` kind has all operations.
    pub fn knows(&self, operation: &Operation) -> bool {
        match operation {
            Operation::Get { .. } => !matches!(self, Kind::Queue { .. } | Kind::Lock { .. }),
            Operation::Put { .. } => matches!(self, Kind::Kv { .. } | Kind::Cas { .. } | Kind::Custom(_)),
            Operation::Update(update) => match self {
                // A register has no deletes: "" means that it was never put.
                Kind::Kv { .. } => update.expected.is_none() && !update.value.is_empty(),
                other => matches!(other, Kind::Cas { .. } | Kind::Custom(_)),
            },
            Operation::Append { .. } => matches!(self, Kind::List { .. } | Kind::Custom(_)),
            Operation::Add { .. } => matches!(self, Kind::Counter { .. } | Kind::Custom(_)),
            Operation::Enqueue { .. } | Operation::Dequeue { .. } => {
                matches!(self, Kind::Queue { .. } | Kind::Custom(_))
            }
            Operation::Acquire { .. } | Operation::Release { .. } => {
                matches!(self, Kind::Lock { .. } | Kind::Custom(_))
            }
            Operation::Custom(_) => matches!(self, Kind::Custom(_)),
        }
    }

    /// The first kind that has all these operations; none if they belong to several kinds, or to a type of your own.
    /// `count` is the number of keys.
    pub fn of(operations: &[ScriptedOperation], count: u32) -> Option<Kind> {
        let all = |kind: &Kind| operations.iter().all(|scripted| kind.knows(&scripted.operation));
        let names = ["kv", "cas", "list", "counter", "queue", "lock"];
        let mut kinds = names.into_iter().filter_map(|name| Kind::scripted(name, operations, count));
        kinds.find(all)
    }

    /// The kind of this name, with these operations in place of drawn ones. None for `custom`, which needs a second
    /// name, and for a name that no kind has.
    pub(crate) fn scripted(name: &str, operations: &[ScriptedOperation], count: u32) -> Option<Kind> {
        let any = |is: fn(&Update) -> bool| {
            let mut all = operations.iter().map(|scripted| &scripted.operation);
            all.any(|operation| matches!(operation, Operation::Update(update) if is(update)))
        };
        match name {
            "kv" => Some(Kind::Kv { keys: Keys::Shared { count }, updates: any(|_| true) }),
            "cas" => Some(Kind::Cas { count, updates: any(|update| update.request.is_some()) }),
            "list" => Some(Kind::List { count }),
            "counter" => Some(Kind::Counter { count }),
            "queue" => Some(Kind::Queue { count }),
            "lock" => Some(Kind::Lock { count, hold_max: Kind::HOLD_DEFAULT }),
            _ => None,
        }
    }

    /// The longest time for which a client wants to hold a lock, unless the file sets it.
    pub(crate) const HOLD_DEFAULT: Span = Span::from_secs(1);

    /// The same kind with these operations in place of drawn ones; another kind if this one does not have them.
    pub(crate) fn with_operations(self, operations: &[ScriptedOperation], count: u32) -> Kind {
        let fits = operations.iter().all(|scripted| self.knows(&scripted.operation));
        match self {
            Kind::Custom(custom) if fits => Kind::Custom(CustomKind::named(custom.name())),
            own if fits => Kind::scripted(own.name(), operations, count).unwrap_or(own),
            own => Kind::of(operations, count).unwrap_or(own),
        }
    }

    /// The generators of all clients; none for the course's clients.
    ///
    /// # Panics
    /// If it is `custom` and cannot draw operations.
    pub(super) fn generators(&self, clients: usize) -> Option<Vec<Box<dyn Generator>>> {
        fn each<G: Generator + 'static>(clients: usize, make: impl Fn() -> G) -> Option<Vec<Box<dyn Generator>>> {
            Some((0..clients).map(|_| Box::new(make()) as Box<dyn Generator>).collect())
        }
        match *self {
            Kind::Kv { .. } => None,
            Kind::Cas { count, .. } => each(clients, || CasClient::new(count)),
            Kind::List { count } => each(clients, || ListClient::new(count)),
            Kind::Counter { count } => each(clients, || CounterClient::new(count)),
            Kind::Queue { count } => each(clients, || QueueClient::new(count)),
            Kind::Lock { count, hold_max } => each(clients, || LockClient::new(count, hold_max)),
            Kind::Custom(ref custom) => {
                let make = custom.make.as_ref().expect("clients draw operations of a type that has a generator");
                Some((0..clients).map(|client| make(client)).collect())
            }
        }
    }
}
