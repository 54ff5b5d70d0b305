//! What a run can have besides its outline: one table of switches, each with the share of runs in which it is on.
//!
//! Runs that differ in kind find more than runs that all mix everything ("swarm testing": Groce et al. 2012). So most
//! switches are off in most runs. Each has a random stream of its own: a new switch changes no run in which it is off.

use crate::rng::Stream;

/// Lists the switches once: the name of each in code, in random streams and in documents, its share of all runs, and what
/// it does.
macro_rules! switches {
    ($($switch:ident: $name:literal, $share:literal, $meaning:literal;)*) => {
        /// One thing that a drawn run can have.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::lab) enum Switch { $(#[doc = $meaning] $switch),* }

        /// All of them: the name of each, the share of runs in which it is on, and what it does.
        pub const SWITCHES: &[(&str, f64, &str)] = &[$(($name, $share, $meaning)),*];

        const PURPOSES: &[&str] = &[$(concat!("explore ", $name)),*];
    };
}

switches! {
    Hosts: "hosts", 0.5, "Replicas crash, restart, pause, have clocks at other rates, and slow, full or damaged disks. On in 0.9 of runs about leases.";
    Duplicates: "duplicates", 0.2, "Messages come twice.";
    Damage: "damage", 0.1, "Messages have a flipped bit.";
    HeavyTail: "heavy tail", 0.08, "A few messages take a hundred times as long as most. Never on in runs about leases.";
    Late: "late", 0.15, "What one replica sends another for a short time comes seconds later. Never on in runs about leases.";
    SlowLinks: "slow links", 0.12, "Some links are slower than others. Never on in runs about leases.";
    StepDown: "step down", 0.12, "Leaders are asked to hand over.";
    Lasting: "lasting", 0.3, "Cuts, slow links, and deaf, mute, paused or crashed replicas last until the end.";
    Updates: "updates", 0.15, "Clients compare and swap, delete, or name their updates. A quarter of that in runs about leases.";
    Patience: "patience", 0.12, "Clients give up waiting, and send a request again. A quarter of that in runs about leases.";
    Bursts: "bursts", 0.25, "Clients send several requests at once.";
    Many: "many", 0.02, "There are 10 to 31 replicas.";
}

/// The switches of one run.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab::explore) struct Switches {
    /// The seed of the run.
    pub seed: u64,
    /// Whether most requests are reads, so that leases matter.
    pub is_about_leases: bool,
}

impl Switches {
    /// The random stream of a switch, if it is on.
    pub fn stream(&self, switch: Switch) -> Option<Stream> {
        let mut stream = Stream::new(self.seed, PURPOSES[switch as usize]);
        stream.chance(self.share(switch)).then_some(stream)
    }

    /// How likely a switch is on in such a run.
    pub fn share(&self, switch: Switch) -> f64 {
        let share = SWITCHES[switch as usize].1;
        match switch {
            Switch::Hosts if self.is_about_leases => 0.9,
            // Deposed leaders answer soon, or not at all.
            Switch::HeavyTail | Switch::Late | Switch::SlowLinks if self.is_about_leases => 0.0,
            // Clients that ask little read little.
            Switch::Updates | Switch::Patience if self.is_about_leases => share / 4.0,
            _ => share,
        }
    }
}
