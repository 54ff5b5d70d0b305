//! What happens next: messages under way, by time, and one pending wake-up for each replica.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::id::ReplicaId;
use crate::time::Time;

/// Messages under way, in order of arrival; those that arrive at the same time in order of sending.
#[derive(Clone, Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<Key>>,
    /// The messages themselves stay in place, because a heap moves its elements a lot.
    slots: Vec<Option<E>>,
    free: Vec<u32>,
    sequence: u64,
    /// The sequence of the next message that comes before all others of its time.
    early: u64,
}

/// Time, then sequence, then slot, in one number: one comparison orders two keys. No two have the same sequence, so the
/// slot never decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u128);

impl Key {
    /// Room for 2.7 * 10^8 messages under way, more than fit in memory.
    const SLOT_BITS: u32 = 28;
    /// Room for 6.8 * 10^10 messages in a run.
    const SEQUENCE_BITS: u32 = 36;
    /// A message with a lower sequence than this comes before all others of its time. Room for 1.6 * 10^7 of them.
    const EARLY: u64 = 1 << 24;

    fn new(time: Time, sequence: u64, slot: usize) -> Key {
        assert!(sequence >> Key::SEQUENCE_BITS == 0 && slot >> Key::SLOT_BITS == 0, "too many messages for one run");
        Key(u128::from(time.nanos()) << 64 | u128::from(sequence << Key::SLOT_BITS | slot as u64))
    }

    fn time(self) -> Time {
        Time((self.0 >> 64) as u64)
    }

    fn slot(self) -> usize {
        self.0 as usize & ((1 << Key::SLOT_BITS) - 1)
    }
}

impl<E> Queue<E> {
    /// An empty queue.
    pub const fn new() -> Queue<E> {
        Queue { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), sequence: Key::EARLY, early: 0 }
    }

    /// Adds a message that arrives at `time`.
    ///
    /// # Panics
    /// After 2^36 messages.
    #[inline]
    pub fn push(&mut self, time: Time, message: E) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(message);
                slot as usize
            }
            None => {
                self.slots.push(Some(message));
                self.slots.len() - 1
            }
        };
        self.heap.push(Reverse(Key::new(time, self.sequence, slot)));
        self.sequence += 1;
    }

    /// Adds a message that arrives at `time`, before all messages of that time that [`Queue::push`] added. Several
    /// early messages arrive in the order in which they were added.
    ///
    /// # Panics
    /// After 2^36 messages.
    #[cold]
    pub fn push_early(&mut self, time: Time, message: E) {
        if self.early == Key::EARLY {
            return self.push(time, message);
        }
        std::mem::swap(&mut self.sequence, &mut self.early);
        self.push(time, message);
        std::mem::swap(&mut self.sequence, &mut self.early);
    }

    /// When the first message arrives; never, if none is under way.
    #[inline]
    pub fn next_time(&self) -> Time {
        self.heap.peek().map_or(Time::NEVER, |Reverse(key)| key.time())
    }

    /// Takes out the first message.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<E> {
        let Reverse(key) = self.heap.pop()?;
        self.free.push(key.slot() as u32);
        self.slots[key.slot()].take()
    }

    /// How many messages are under way.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no message is under way.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Queue<E> {
        Queue::new()
    }
}

/// The one pending wake-up of each replica. Moving it replaces it, so that a stale one can neither fire nor pile up.
#[derive(Clone, Debug)]
pub struct Wakeups {
    times: Vec<Time>,
    first: usize,
}

impl Wakeups {
    /// One place for each of this many replicas, none with a wake-up.
    pub fn new(replicas: usize) -> Wakeups {
        Wakeups { times: vec![Time::NEVER; replicas], first: 0 }
    }

    /// Sets a replica's wake-up.
    #[inline]
    pub fn set(&mut self, replica: ReplicaId, time: Time) {
        let index = replica.index();
        if self.times[index] == time {
            return;
        }
        let later = time > self.times[index];
        self.times[index] = time;
        if index == self.first && later {
            self.first = (0..self.times.len()).min_by_key(|&place| (self.times[place], place)).unwrap_or(0);
        } else if (time, index) < (self.times[self.first], self.first) {
            self.first = index;
        }
    }

    /// The time of the first wake-up.
    #[inline]
    pub fn next_time(&self) -> Time {
        self.times[self.first]
    }

    /// The replica whose wake-up is first; of several at one time, the one with the lowest number.
    #[inline]
    pub fn next_replica(&self) -> ReplicaId {
        ReplicaId(self.first as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn messages_come_out_by_time_and_then_in_the_order_of_insertion() {
        for seed in 0..50 {
            let mut stream = Stream::new(seed, "queue");
            let mut queue = Queue::new();
            let mut expected = Vec::new();
            let mut popped = Vec::new();
            let mut now = 0;
            for number in 0..2_000u32 {
                let time = now + stream.below(20);
                queue.push(Time(time), (time, number));
                expected.push((time, number));
                if stream.chance(0.4) {
                    let next = queue.next_time();
                    let message = queue.pop().unwrap();
                    assert_eq!(next, Time(message.0));
                    now = message.0;
                    popped.push(message);
                }
            }
            popped.extend(std::iter::from_fn(|| queue.pop()));
            expected.sort_unstable();
            assert_eq!(popped, expected, "seed {seed}");
            assert!(queue.is_empty() && queue.next_time() == Time::NEVER);
        }
    }

    #[test]
    fn early_messages_come_before_others_of_their_time_and_in_order_among_themselves() {
        let mut queue = Queue::new();
        queue.push(Time(5), "third");
        queue.push_early(Time(5), "first");
        queue.push_early(Time(5), "second");
        queue.push(Time(4), "before");
        queue.push(Time(5), "fourth");
        assert_eq!(
            std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(),
            ["before", "first", "second", "third", "fourth"]
        );
    }

    #[test]
    fn slots_are_used_again() {
        let mut queue = Queue::new();
        for round in 0..1_000 {
            queue.push(Time(round), round);
            queue.push(Time(round), round);
            assert_eq!((queue.pop(), queue.pop()), (Some(round), Some(round)));
        }
        assert_eq!(queue.slots.len(), 2);
    }

    #[test]
    fn the_first_wake_up_is_the_earliest_of_the_newest_settings() {
        for seed in 0..50 {
            let mut stream = Stream::new(seed, "wakeups");
            let mut wakeups = Wakeups::new(7);
            let mut model = [Time::NEVER; 7];
            for _ in 0..1_000 {
                let replica = stream.below(7) as usize;
                let time = if stream.chance(0.1) { Time::NEVER } else { Time(stream.below(50)) };
                wakeups.set(ReplicaId(replica as u8), time);
                model[replica] = time;
                let first = *model.iter().min().unwrap();
                assert_eq!(wakeups.next_time(), first);
                assert_eq!(model.iter().position(|&time| time == first), Some(wakeups.next_replica().index()));
            }
        }
    }
}
