//! The hostile part of a world: which replicas can hear each other, which die, and which are cut off.
//!
//! - [`ConnectivityMatrix`]: the chance that each link loses a message (the first seed document's chaos monkey).
//! - [`ChaosMonkey`]: the matrix, the partitions that lie over it and the random streams: *would this message arrive?*
//! - [`Loss`]: one message that is lost whatever the random streams say.
//! - [`Damage`]: whether a message's bytes are damaged on the way, and which bit.
//! - [`Fault`]: what a scenario can do to a cluster, and when.
//! - [`Director`]: carries faults out. It knows which replicas live and the observed leader, so it can choose the
//!   replica that "kill the leader" means. Every world has a director and only obeys it.
//! - [`Reach`]: in which worlds a fault can be played.
//! - [`Rulebook`]: which rules a run follows where the course's handout and its runner disagree.

mod connected;
mod damage;
mod director;
mod fault;
mod host;
mod loss;
mod matrix;
mod monkey;
mod reach;
mod rulebook;

pub use damage::{Damage, Flip};
pub use director::{Consequence, Director, Idle};
pub use fault::{Fault, FaultEvent};
pub use host::{Act, HOST_FAULTS, HostFault, Hosts, Target, extreme_rate, rate_within};
pub use loss::Loss;
pub use matrix::{ConnectivityMatrix, MatrixError};
pub use monkey::ChaosMonkey;
pub use reach::Reach;
pub use rulebook::{Rulebook, UnknownRulebook};
