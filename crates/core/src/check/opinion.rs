//! The opinion of one checker on a run.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::linear::WrongRead;
use super::shape::Shape;
use crate::time::Time;

/// A checker, by the name that it has in reports and files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checker(Cow<'static, str>);

impl Checker {
    /// Whether the answers fit together ([`linear`](super::linear)).
    pub const LINEARIZABILITY: Checker = Checker::named("linearizability");
    /// Whether the replicas keep their invariants: those of Raft ([`raft`](super::raft)), or a protocol's own.
    pub const INVARIANTS: Checker = Checker::named("invariants");
    /// Whether there is progress ([`liveness`](super::liveness)).
    pub const LIVENESS: Checker = Checker::named("liveness");
    /// The verdict of the course's runner ([`course`](super::course)).
    pub const COURSE: Checker = Checker::named("course");

    /// Whether each request is answered once ([`answers`](super::answers)). It has an opinion only on a run in which one
    /// is not.
    pub const ANSWERS: Checker = Checker::named("answers");
    /// Whether answers come soon while nothing disturbs the replicas ([`promptness`](super::promptness)). It has an opinion
    /// only on a run in which one does not.
    pub const PROMPTNESS: Checker = Checker::named("promptness");
    /// Whether a run of programs is as it would be outside ([`faithfulness`](super::faithfulness)). It has an opinion only
    /// on a run that is not.
    pub const FAITHFULNESS: Checker = Checker::named("faithfulness");

    /// The checkers that judge every run, in the order of preference when one failure has to stand for a run: failures
    /// that a user of the machines can see and prove come first.
    pub const STANDARD: [Checker; 4] =
        [Checker::LINEARIZABILITY, Checker::INVARIANTS, Checker::LIVENESS, Checker::COURSE];

    /// A checker of this name.
    pub const fn named(name: &'static str) -> Checker {
        Checker(Cow::Borrowed(name))
    }

    /// The checker that a file names.
    pub fn read(name: &str) -> Checker {
        let known = Checker::STANDARD.into_iter().find(|checker| checker.name() == name);
        known.unwrap_or_else(|| Checker(Cow::Owned(name.to_owned())))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One reason why a run did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The checker that found it.
    pub checker: Checker,
    /// What kind of failure it is. Two runs fail the same way if checker and kind are the same.
    pub kind: String,
    /// What happened, in one line.
    pub text: String,
    /// When it happened, or from when to when, if that is known.
    pub when: Option<(Time, Time)>,
    /// Its circumstances, as far as they are more than chance.
    pub shape: Shape,
}

impl Finding {
    /// A finding whose time is not known.
    pub fn new(checker: Checker, kind: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding { checker, kind: kind.into(), text: text.into(), when: None, shape: Shape::PLAIN }
    }

    /// The same with its time.
    #[must_use]
    pub fn during(self, from: Time, to: Time) -> Finding {
        Finding { when: Some((from, to)), ..self }
    }

    /// The same with its shape.
    #[must_use]
    pub fn shaped(self, shape: Shape) -> Finding {
        Finding { shape, ..self }
    }

    /// Whether it is the same failure as another one, in the same circumstances.
    pub fn has_shape_of(&self, other: &Finding) -> bool {
        self.is_like(other) && self.shape == other.shape
    }

    /// Whether it is the same failure as another one, apart from the circumstances.
    pub fn is_like(&self, other: &Finding) -> bool {
        self.checker == other.checker && self.kind == other.kind
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.text)
    }
}

/// The opinion of one checker on a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion {
    /// The checker.
    pub checker: Checker,
    /// Its name at the beginning of a line, as in `Linearizability`.
    pub title: &'static str,
    /// Its verdict in a word or two: [`OK`], or what is wrong, or why nothing is said.
    pub word: &'static str,
    /// What was checked, or what is wrong, in the rest of that line.
    pub remark: String,
    /// Further lines.
    pub lines: Vec<String>,
    /// Figures for other programs, each under the name of a field. A checker always has the same fields.
    pub figures: Vec<(&'static str, Value)>,
    /// Its findings, the most telling first; empty in a run that passes.
    pub findings: Vec<Finding>,
    /// The operation with a wrong answer that the opinion names.
    pub wrong: Option<WrongRead>,
}

/// The word for a run that passes.
pub const OK: &str = "ok";

/// The word of a checker, and the kind of its finding, when the budget of the search did not suffice: neither right nor
/// wrong.
pub const UNKNOWN: &str = "unknown";

/// The word of a checker that could not see the state that it judges.
pub const NOT_WATCHED: &str = "not watched";

/// The word of a checker that could demand nothing.
pub const NOT_JUDGED: &str = "not judged";

/// The word of a checker, and the kind of its finding, for a run that did not reach its end.
pub const CUT_SHORT: &str = "cut short";

/// The kind of the finding that a program did what cannot be simulated, so that the run was cut short.
pub const OBSTACLE: &str = "obstacle";

impl Opinion {
    /// An opinion without figures, findings and further lines.
    pub fn new(checker: Checker, title: &'static str, word: &'static str, remark: impl Into<String>) -> Opinion {
        Opinion {
            checker,
            title,
            word,
            remark: remark.into(),
            lines: Vec::new(),
            figures: Vec::new(),
            findings: Vec::new(),
            wrong: None,
        }
    }

    /// A figure by the name of its field.
    pub fn figure(&self, name: &str) -> Option<&Value> {
        self.figures.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}
