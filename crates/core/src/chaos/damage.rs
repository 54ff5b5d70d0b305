//! Damage: a bit of a message that is flipped on the way.

use crate::id::ReplicaId;
use crate::rng::Stream;

/// Decides which messages between replicas are damaged, and which of their bits is flipped.
///
/// Each link has a random stream of its own. From the first damage on, two numbers are drawn for each message that
/// arrives at a replica that is up, whether or not it is damaged. So a message that is damaged at a low share is also
/// damaged at a higher one, in the same bit. A run without damage has no `Damage` and draws nothing.
#[derive(Clone, Debug)]
pub struct Damage {
    share: f64,
    replicas: usize,
    /// Row by row, as the matrix.
    links: Vec<Stream>,
}

/// Which bit of a message is flipped, whatever its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flip(u64);

impl Damage {
    /// No damage yet.
    pub fn new(replicas: usize, seed: u64) -> Damage {
        let count = replicas as u64;
        let links = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let links = links.map(|(from, to)| Stream::link(seed, "damage", from, to)).collect();
        Damage { share: 0.0, replicas, links }
    }

    /// From now on this share of the messages is damaged.
    pub fn set_share(&mut self, share: f64) {
        self.share = share;
    }

    /// Which bit of a message that has just arrived is flipped; none if it is intact.
    pub fn draw(&mut self, from: ReplicaId, to: ReplicaId) -> Option<Flip> {
        let stream = &mut self.links[from.index() * self.replicas + to.index()];
        let (is_damaged, place) = (stream.chance(self.share), stream.next_u64());
        is_damaged.then_some(Flip(place))
    }

    /// The share of messages that are lost or damaged on a link with this loss.
    pub fn worsen(&self, loss: f64) -> f64 {
        // In this form it is exact if either share is zero.
        loss + self.share - loss * self.share
    }
}

impl Flip {
    /// Flips the bit. Does nothing if there are no bytes.
    pub fn apply(self, bytes: &mut [u8]) {
        let bits = bytes.len() as u128 * 8;
        let place = ((u128::from(self.0) * bits) >> 64) as usize;
        if let Some(byte) = bytes.get_mut(place / 8) {
            *byte ^= 1 << (place % 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: (ReplicaId, ReplicaId) = (ReplicaId(0), ReplicaId(2));

    fn damage(share: f64) -> Damage {
        let mut damage = Damage::new(3, 7);
        damage.set_share(share);
        damage
    }

    fn draws(damage: &mut Damage) -> Vec<Option<Flip>> {
        (0..1_000).map(|_| damage.draw(LINK.0, LINK.1)).collect()
    }

    #[test]
    fn a_message_damaged_at_a_low_share_is_damaged_in_the_same_bit_at_a_higher_one() {
        let (low, high) = (draws(&mut damage(0.1)), draws(&mut damage(0.3)));
        assert!(low.iter().zip(&high).all(|(low, high)| low.is_none() || low == high));
        let count = |draws: &[Option<Flip>]| draws.iter().flatten().count();
        // Five standard deviations: 47 and 72.
        assert!(count(&low).abs_diff(100) < 47 && count(&high).abs_diff(300) < 72);
        assert_eq!(count(&draws(&mut damage(0.0))), 0);
        assert_eq!(count(&draws(&mut damage(1.0))), 1_000);
    }

    #[test]
    fn traffic_on_one_link_does_not_move_the_damage_of_another() {
        let (mut quiet, mut busy) = (damage(0.3), damage(0.3));
        for _ in 0..100 {
            busy.draw(LINK.1, LINK.0);
        }
        assert_eq!(draws(&mut quiet), draws(&mut busy));
    }

    #[test]
    fn each_bit_is_flipped_about_as_often_as_any_other_and_one_at_a_time() {
        let mut damage = damage(1.0);
        let mut counts = [0u32; 24];
        for _ in 0..24_000 {
            let mut bytes = [0xA5, 0, 0xFF];
            damage.draw(LINK.0, LINK.1).unwrap().apply(&mut bytes);
            let changed = [bytes[0] ^ 0xA5, bytes[1], bytes[2] ^ 0xFF];
            let bit = (0..24).find(|bit| changed[bit / 8] == 1 << (bit % 8)).expect("one bit");
            assert_eq!(changed.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
            counts[bit] += 1;
        }
        // Five standard deviations of a binomial number with mean 1,000.
        assert!(counts.iter().all(|count| count.abs_diff(1_000) < 155), "{counts:?}");
        damage.draw(LINK.0, LINK.1).unwrap().apply(&mut []);
    }

    #[test]
    fn damage_adds_to_the_loss_of_a_link() {
        for share in [0.1, 0.3, 1.0] {
            assert_eq!((damage(0.0).worsen(share), damage(share).worsen(0.0)), (share, share));
        }
        assert_eq!(damage(0.5).worsen(0.5), 0.75);
    }
}
