//! Which rules apply where the course's handout and its runner disagree.

use std::fmt;
use std::str::FromStr;

use crate::time::Span;

/// The rules that a run follows: those of the course's handout, or those of its released runner (version 2). They
/// differ in three points.
///
/// | | handout | runner |
/// |---|---|---|
/// | `wait` of a file without it | 2 s | 5 s |
/// | `part_hard` | the leader has no quorum | any majority against the rest, with the leader on either side |
/// | drawn for partitions | living replicas | all replicas, dead ones included |
///
/// The runner also keeps a dead leader as the observed one until a message names another, and forgets the leader at
/// `part_hard`. Its clock starts with the replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rulebook {
    /// The handout's.
    #[default]
    Handout,
    /// The released runner's.
    Runner,
}

/// A string that names no rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("allowed is handout or runner")]
pub struct UnknownRulebook;

impl Rulebook {
    /// Both of them.
    pub const ALL: [Rulebook; 2] = [Rulebook::Handout, Rulebook::Runner];

    /// Its name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Rulebook::Handout => "handout",
            Rulebook::Runner => "runner",
        }
    }

    /// `wait` of a scenario whose file does not set it.
    pub const fn default_wait(self) -> Span {
        match self {
            Rulebook::Handout => Span::from_secs(2),
            Rulebook::Runner => Span::from_secs(5),
        }
    }
}

impl fmt::Display for Rulebook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Rulebook {
    type Err = UnknownRulebook;

    fn from_str(text: &str) -> Result<Rulebook, UnknownRulebook> {
        Rulebook::ALL.into_iter().find(|rules| rules.name() == text).ok_or(UnknownRulebook)
    }
}
