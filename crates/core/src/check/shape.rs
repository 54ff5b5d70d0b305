//! What stays the same of a failure, apart from its kind, when the case that shows it is made smaller.

use std::borrow::Cow;
use std::fmt;

/// The circumstances of a failure in a few words, as in `put; no replica leads`: which operation it is about, what the
/// replica is that it is about, what the cluster was like at the end, where the program panicked. They name no replica,
/// client, key or time, so they do not change with names.
///
/// A shrinker compares shapes where it cannot ask whether the sound protocol passes, because there is none. It then keeps
/// a case that never elects a leader from taking the place of one whose leader cannot commit. Files do not have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape(Vec<Cow<'static, str>>);

impl Shape {
    /// A failure of which only the kind is known.
    pub const PLAIN: Shape = Shape(Vec::new());

    /// The same and one more circumstance.
    #[must_use]
    pub fn with(mut self, words: impl Into<Cow<'static, str>>) -> Shape {
        self.0.push(words.into());
        self
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_shown_as_its_circumstances_in_order() {
        let shape = Shape::PLAIN.with("put").with(format!("{} replicas lead", 2));
        assert_eq!((shape.to_string().as_str(), Shape::default() == Shape::PLAIN), ("put; 2 replicas lead", true));
    }
}
