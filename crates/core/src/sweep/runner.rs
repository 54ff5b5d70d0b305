//! The shipped protocols by name, so that commands can run a scenario with any of them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::broadcast::Broadcast;
use crate::kv::Command;
use crate::machine::{Boot, Exit};
use crate::raft::{Mutant, Record, Sound};
use crate::record::{Observer, RunRecord};
use crate::replica::{Config, Replica};
use crate::scenario::Scenario;
use crate::sweep::verify::{Agreement, Divergence, verify_all};
use crate::world::simulation::{simulate, simulate_booting, simulate_observed};

/// A protocol that ships with the testbed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolName {
    /// The Raft key-value store, [`Replica`].
    #[default]
    Raft,
    /// Naive replication by broadcast, [`Broadcast`].
    Broadcast,
}

/// Watches runs of Raft, sound or not.
pub trait RaftWatcher: Observer<Replica> + Observer<Replica<Mutant>> {}

impl<O: Observer<Replica> + Observer<Replica<Mutant>>> RaftWatcher for O {}

/// Watches runs of any shipped protocol.
pub trait Watcher: RaftWatcher + Observer<Broadcast> {}

impl<O: RaftWatcher + Observer<Broadcast>> Watcher for O {}

/// A name that no shipped protocol has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol `{0}`; allowed is raft, broadcast")]
pub struct UnknownProtocol(String);

impl ProtocolName {
    /// All of them, the default first.
    pub const ALL: [ProtocolName; 2] = [ProtocolName::Raft, ProtocolName::Broadcast];

    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            ProtocolName::Raft => "raft",
            ProtocolName::Broadcast => "broadcast",
        }
    }

    /// What it is, in a few words.
    pub const fn summary(self) -> &'static str {
        match self {
            ProtocolName::Raft => "The Raft key-value store",
            ProtocolName::Broadcast => "Naive replication by broadcast: fast, and wrong when a message is lost",
        }
    }

    /// Runs a scenario in the virtual world with replicas of this protocol in their default configuration.
    ///
    /// # Panics
    /// If the protocol does.
    pub fn simulate(self, scenario: &Scenario, seed: u64) -> RunRecord {
        match self {
            ProtocolName::Raft => simulate_booting(scenario, seed, (), raft),
            ProtocolName::Broadcast => simulate(scenario, seed, Broadcast::new),
        }
    }

    /// As [`simulate`](ProtocolName::simulate), with a watcher that sees each event, whatever the protocol is.
    ///
    /// # Panics
    /// If the protocol does.
    pub fn simulate_observed(self, scenario: &Scenario, seed: u64, watcher: &mut dyn Watcher) -> RunRecord {
        match self {
            ProtocolName::Raft => simulate_booting(scenario, seed, watcher, raft),
            ProtocolName::Broadcast => simulate_observed(scenario, seed, watcher, Broadcast::new),
        }
    }

    /// Plays runs of this protocol twice and compares them: [`verify_all`].
    ///
    /// # Errors
    /// As [`verify_all`].
    pub fn verify<'s>(
        self,
        runs: &mut (dyn Iterator<Item = (&'s Scenario, u64)> + Send),
        watch: &(dyn Fn(&Scenario) + Sync),
    ) -> Result<Agreement, Box<Divergence>> {
        match self {
            ProtocolName::Raft => verify_all(runs, watch, raft),
            ProtocolName::Broadcast => verify_all(runs, watch, |boot| Ok(Broadcast::new(boot.identity))),
        }
    }
}

/// A Raft replica in its default configuration.
fn raft(boot: Boot<Record<Arc<Command>>>) -> Result<Replica, Exit> {
    Replica::boot(boot, Config::default(), Sound)
}

impl fmt::Display for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ProtocolName {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<ProtocolName, UnknownProtocol> {
        let found = ProtocolName::ALL.into_iter().find(|protocol| protocol.name() == name);
        found.ok_or_else(|| UnknownProtocol(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_is_found_by_its_name_and_no_other_is() {
        for protocol in ProtocolName::ALL {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
        let unknown = "paxos".parse::<ProtocolName>().unwrap_err().to_string();
        assert_eq!(unknown, "unknown protocol `paxos`; allowed is raft, broadcast");
    }
}
