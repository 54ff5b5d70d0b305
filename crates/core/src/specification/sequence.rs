//! A sequence of values whose copies share what they have in common.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::hash::StableHasher;
use crate::service::Text;

/// Values in order, with both ends: what lists and queues are made of.
///
/// A copy costs nothing, and a longer sequence shares the values of the one that it was made from. So a search can keep
/// a sequence for each of 100,000 steps. Equal sequences are mostly recognised by what they share.
#[derive(Clone, Default)]
pub struct Sequence {
    /// The last value, and through it all before it, also some that do not belong to this sequence any more.
    last: Option<Arc<Node>>,
    len: u64,
    /// The values as the digits of a number to the base [`BASE`], modulo 2^64.
    hash: u64,
}

struct Node {
    value: Text,
    digit: u64,
    /// How many values there are up to this one.
    depth: u64,
    before: Option<Arc<Node>>,
    /// One far before it, so that any other is found in a number of steps that is the logarithm of their distance
    /// (Myers 1983, "An applicative random-access stack").
    jump: Option<Arc<Node>>,
}

/// Odd, so that no digit is lost by shifting.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;

impl Sequence {
    /// Without values.
    pub fn new() -> Sequence {
        Sequence::default()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// With one more value at the end.
    pub fn with(&self, value: &Text) -> Sequence {
        let digit = StableHasher::of(&**value);
        let jump = self.last.as_ref().map(|before| {
            let far = before.jump.as_ref();
            let depth = |node: Option<&Arc<Node>>| node.map_or(0, |node| node.depth);
            let farther = far.and_then(|far| far.jump.as_ref());
            // Two jumps of the same length make one of twice the length.
            match (far, farther) {
                (Some(far), Some(farther)) if before.depth - far.depth == far.depth - depth(Some(farther)) => {
                    farther.clone()
                }
                _ => before.clone(),
            }
        });
        let depth = self.last.as_ref().map_or(0, |last| last.depth) + 1;
        let node = Node { value: value.clone(), digit, depth, before: self.last.clone(), jump };
        Sequence {
            last: Some(Arc::new(node)),
            len: self.len + 1,
            hash: self.hash.wrapping_mul(BASE).wrapping_add(digit),
        }
    }

    /// The first value.
    pub fn first(&self) -> Option<&Text> {
        self.first_node().map(|node| &node.value)
    }

    /// Without its first value; none if there is no value.
    pub fn without_first(&self) -> Option<Sequence> {
        let digit = self.first_node()?.digit;
        let len = self.len - 1;
        let shifted = digit.wrapping_mul(power(len));
        // A sequence without values holds none back.
        let last = if len == 0 { None } else { self.last.clone() };
        Some(Sequence { last, len, hash: self.hash.wrapping_sub(shifted) })
    }

    /// The values, the last one first.
    pub fn backwards(&self) -> impl Iterator<Item = &Text> {
        self.nodes().map(|node| &node.value)
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        let nodes = std::iter::successors(self.last.as_deref(), |node| node.before.as_deref());
        nodes.take(self.len())
    }

    fn first_node(&self) -> Option<&Node> {
        let mut node = self.last.as_deref().filter(|_| self.len > 0)?;
        let wanted = node.depth + 1 - self.len;
        while node.depth > wanted {
            node = match node.jump.as_deref() {
                Some(far) if far.depth >= wanted => far,
                _ => node.before.as_deref()?,
            };
        }
        Some(node)
    }
}

/// The base to this power.
fn power(mut exponent: u64) -> u64 {
    let (mut result, mut square) = (1_u64, BASE);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        exponent >>= 1;
    }
    result
}

impl PartialEq for Sequence {
    fn eq(&self, other: &Sequence) -> bool {
        if self.len != other.len || self.hash != other.hash {
            return false;
        }
        for (one, other) in self.nodes().zip(other.nodes()) {
            if std::ptr::eq(one, other) {
                // All before them is the same, and there are as many.
                return true;
            }
            if one.digit != other.digit || one.value != other.value {
                return false;
            }
        }
        true
    }
}

impl Eq for Sequence {}

impl Hash for Sequence {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.len);
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values: Vec<&Text> = self.backwards().collect();
        values.reverse();
        f.debug_list().entries(values).finish()
    }
}

/// One by one: by itself, each node would drop the one before it within its own drop, and a long sequence would
/// overflow the stack.
impl Drop for Sequence {
    fn drop(&mut self) {
        let Some(last) = self.last.take().and_then(Arc::into_inner) else { return };
        let mut left = vec![last];
        while let Some(mut node) = left.pop() {
            left.extend(node.jump.take().and_then(Arc::into_inner));
            left.extend(node.before.take().and_then(Arc::into_inner));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::rng::Stream;

    #[test]
    fn a_sequence_behaves_like_a_queue_of_its_own() {
        let mut random = Stream::new(1, "sequence");
        let (mut sequence, mut expected) = (Sequence::new(), VecDeque::new());
        let mut earlier = Vec::new();
        for step in 0..20_000_u64 {
            if random.chance(if step / 1_000 % 2 == 0 { 0.7 } else { 0.3 }) {
                let value: Text = random.below(5).to_string().into();
                sequence = sequence.with(&value);
                expected.push_back(value);
            } else {
                match sequence.without_first() {
                    Some(rest) => sequence = rest,
                    None => assert!(expected.is_empty()),
                }
                expected.pop_front();
            }
            assert_eq!((sequence.len(), sequence.first()), (expected.len(), expected.front()));
            if step % 97 == 0 {
                earlier.push((sequence.clone(), expected.clone()));
            }
        }
        for (sequence, expected) in earlier {
            assert!(sequence.backwards().eq(expected.iter().rev()), "a copy stays as it was");
            let anew = expected.iter().fold(Sequence::new(), |sequence, value| sequence.with(value));
            assert_eq!(sequence, anew, "however it was made");
            assert_eq!(StableHasher::of(&sequence), StableHasher::of(&anew));
            assert_ne!(sequence, anew.with(&"x".into()));
        }
    }

    #[test]
    fn sequences_with_the_same_values_in_another_order_differ() {
        let of = |texts: &[&str]| texts.iter().fold(Sequence::new(), |all, &text| all.with(&text.into()));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
        assert_ne!(of(&["a"]), of(&["a", "a"]));
        assert_eq!(of(&["a", "b"]).without_first(), Some(of(&["b"])));
        assert_eq!(format!("{:?}", of(&["a", "b"])), r#"["a", "b"]"#);
    }

    #[test]
    fn a_sequence_of_a_million_values_can_be_dropped() {
        let value: Text = "v".into();
        let sequence = (0..1_000_000).fold(Sequence::new(), |sequence, _| sequence.with(&value));
        let half = (0..500_000).try_fold(sequence, |sequence, _| sequence.without_first());
        assert_eq!(half.map(|half| half.len()), Some(500_000));
    }
}
