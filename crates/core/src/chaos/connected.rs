//! Which replicas can do their work in the network as it is now: what liveness may demand, and of which of them.
//!
//! Three questions, each about the sound replicas ([`Hosts::sound`](super::Hosts::sound)):
//!
//! - Is there a *connected quorum*, whose members can all hear each other? Without one, no progress can be demanded.
//! - Which replicas belong to such a quorum?
//! - Which replicas are *served*: connected with every replica that could lead, so that a request to them reaches the
//!   leader, whichever it is?
//!
//! The last two differ if faults last. Let five replicas hear each other, but nothing from 0 to 1. Then 1 to 4 are a
//! connected quorum, and 1 belongs to it. But 0 can be elected by 2, 3 and 4. As long as it leads, these refuse 1 their
//! pre-votes (thesis 9.6), and 1 hears of no leader. So a write at 1 fails for ever, and no rule of Raft is broken.

use crate::chaos::Director;
use crate::id::{ReplicaId, ReplicaSet};

/// Links that lose more than this, either way, do not count as a connection.
const CONNECTED_LOSS_MAX: f64 = 0.3;

/// How many steps the search for a connected quorum may take: less than a second. The problem is NP-complete.
const CLIQUE_STEPS_MAX: u32 = 100_000;

impl Director {
    /// Whether a quorum of replicas is up, with exact clocks and sound disks, and can all hear each other well: what a
    /// protocol needs to make progress. False also if the search takes too long, which no matrix was seen to cause.
    pub fn has_connected_quorum(&self) -> bool {
        is_quorum_among(self.hosts.sound(), self.quorum(), &self.strangers())
    }

    /// The replicas that belong to a connected quorum ([`Director::has_connected_quorum`]), perhaps to different ones.
    pub fn connected(&self) -> ReplicaSet {
        let (sound, strangers) = (self.hosts.sound(), self.strangers());
        let others = |one: ReplicaId| sound.minus(strangers[one.index()]).without(one);
        if !is_quorum_among(sound, self.quorum(), &strangers) {
            return ReplicaSet::EMPTY;
        }
        if sound.iter().all(|one| strangers[one.index()].is_empty()) {
            return sound;
        }
        sound.iter().filter(|&one| is_quorum_among(others(one), self.quorum() - 1, &strangers)).collect()
    }

    /// The sound replicas that are surely connected with every replica that could lead. A protocol that elects leaders by
    /// majorities must serve requests to them. None if there is no connected quorum, or if it cannot be known whether
    /// the leader can work.
    ///
    /// A replica could lead if it is up and may exchange messages with enough others that are up to be a quorum
    /// with it. It need not belong to a connected quorum, because its followers need not hear each other. Every such
    /// replica must be sound, and surely connected with enough sound ones. Otherwise it may be elected by messages over a
    /// link that loses most of them, lead badly, be deposed and be elected again.
    pub fn served(&self) -> ReplicaSet {
        if !self.has_connected_quorum() {
            return ReplicaSet::EMPTY;
        }
        let (sound, strangers) = (self.hosts.sound(), self.strangers());
        let friends = |one: ReplicaId| sound.minus(strangers[one.index()]);
        let mut served = sound;
        for leader in self.possible_leaders().iter() {
            let is_able = sound.contains(leader) && friends(leader).len() >= self.quorum();
            served = if is_able { served.and(friends(leader)) } else { ReplicaSet::EMPTY };
        }
        served
    }

    /// The replicas that are up and may reach a quorum, themselves included, there and back.
    fn possible_leaders(&self) -> ReplicaSet {
        let up = self.hosts.living.minus(self.hosts.paused);
        up.iter().filter(|&one| self.may_reach(one).len() >= self.quorum()).collect()
    }

    /// The replicas that are up and that this one may reach, there and back, itself included.
    pub fn may_reach(&self, one: ReplicaId) -> ReplicaSet {
        let up = self.hosts.living.minus(self.hosts.paused);
        let passes = |from, to| self.monkey.loss(from, to) < 1.0;
        up.iter().filter(|&other| one == other || (passes(one, other) && passes(other, one))).collect()
    }

    /// For each replica, the sound replicas with which it cannot exchange messages, or only slowly.
    fn strangers(&self) -> Vec<ReplicaSet> {
        // A damaged message is as good as lost.
        let worsened = |loss| self.damage.as_ref().map_or(loss, |damage| damage.worsen(loss));
        let hears = |from, to| {
            worsened(self.monkey.loss(from, to)) <= CONNECTED_LOSS_MAX && !self.slow_links.contains(&(from, to))
        };
        let connected = |one, other| one == other || (hears(one, other) && hears(other, one));
        let sound = self.hosts.sound();
        ReplicaId::all(self.replicas)
            .map(|one| sound.iter().filter(|&other| !connected(one, other)).collect())
            .collect()
    }
}

/// Whether `size` of the candidates are all neighbours of each other; none if the search needs more steps than are
/// left.
///
/// A candidate with at most one stranger among the others can always be taken. So can any candidate where all have two
/// strangers (they form rings). Otherwise the search branches: the candidate with the most strangers is taken, or not.
fn has_clique(candidates: ReplicaSet, size: usize, strangers: &[ReplicaSet], steps: &mut u32) -> Option<bool> {
    let (mut candidates, mut size) = (candidates, size);
    while size > 0 {
        *steps = steps.checked_sub(1)?;
        if !may_have_clique(candidates, size, strangers) {
            return Some(false);
        }
        let count = |one: &ReplicaId| candidates.and(strangers[one.index()]).len();
        let (Some(fewest), Some(most)) = (candidates.iter().min_by_key(count), candidates.iter().max_by_key(count))
        else {
            return Some(false);
        };
        let branches = count(&fewest) > 1 && count(&most) > 2;
        let taken = if branches { most } else { fewest };
        let rest = candidates.without(taken);
        if branches && has_clique(rest.minus(strangers[taken.index()]), size - 1, strangers, steps)? {
            return Some(true);
        }
        (candidates, size) = if branches { (rest, size) } else { (rest.minus(strangers[taken.index()]), size - 1) };
    }
    Some(true)
}

/// Whether `size` of the candidates can all hear each other; false if the search takes too long.
fn is_quorum_among(candidates: ReplicaSet, size: usize, strangers: &[ReplicaSet]) -> bool {
    has_clique(candidates, size, strangers, &mut { CLIQUE_STEPS_MAX }).unwrap_or(false)
}

/// A bound: false if surely no `size` of the candidates are all neighbours. The candidates are sorted into sets of
/// strangers, and a clique has at most one member in each set.
fn may_have_clique(mut candidates: ReplicaSet, size: usize, strangers: &[ReplicaSet]) -> bool {
    let mut sets = 0;
    while let Some(first) = candidates.first() {
        sets += 1;
        candidates.remove(first);
        let mut set = candidates.and(strangers[first.index()]);
        while let Some(one) = set.first() {
            candidates.remove(one);
            set = set.without(one).and(strangers[one.index()]);
        }
    }
    sets >= size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::{Act, ConnectivityMatrix, Consequence, Fault, Idle, Rulebook, Target};
    use crate::engine::{Delay, Rate};
    use crate::id::REPLICAS_MAX;
    use crate::rng::Stream;
    use crate::time::Span;

    fn director(replicas: usize, seed: u64) -> Director {
        Director::new(ConnectivityMatrix::uniform(replicas, 0.0).unwrap(), &[], Rulebook::Handout, seed)
    }

    fn set(replicas: &[u8]) -> ReplicaSet {
        replicas.iter().copied().map(ReplicaId).collect()
    }

    fn link(from: u8, to: u8, value: f64) -> Fault {
        Fault::SetLink { from: ReplicaId(from), to: ReplicaId(to), value }
    }

    /// The served replicas of this many after these faults, and the members of connected quorums.
    fn after(replicas: usize, faults: &[Fault]) -> (ReplicaSet, ReplicaSet) {
        let mut director = director(replicas, 1);
        for fault in faults {
            director.apply(fault);
        }
        (director.served(), director.connected())
    }

    #[test]
    fn a_replica_that_one_possible_leader_cannot_reach_is_not_served_though_it_is_connected() {
        assert_eq!(after(5, &[]), (set(&[0, 1, 2, 3, 4]), set(&[0, 1, 2, 3, 4])));
        let (served, connected) = after(5, &[link(0, 1, 1.0)]);
        assert_eq!((served, connected), (set(&[2, 3, 4]), set(&[0, 1, 2, 3, 4])));
        let slow =
            Fault::DelayLink { from: ReplicaId(0), to: ReplicaId(1), delay: Some(Delay::Constant(Span::from_secs(9))) };
        assert_eq!(after(5, &[slow]).0, set(&[2, 3, 4]), "a slow link is no sure one");
    }

    #[test]
    fn replicas_that_cannot_lead_take_nothing_from_others() {
        let deaf: Vec<Fault> = (1..5).map(|from| link(from, 0, 1.0)).collect();
        let mute: Vec<Fault> = (1..5).map(|to| link(0, to, 1.0)).collect();
        for faults in [deaf, mute] {
            assert_eq!(after(5, &faults).0, set(&[1, 2, 3, 4]));
        }
        let minority = Fault::Partition(vec![set(&[0, 3])]);
        assert_eq!(after(5, &[minority]).0, set(&[1, 2, 4]));
        let pause = Fault::Host { at: Some(Target::Replica(ReplicaId(0))), act: Act::Pause };
        assert_eq!(after(5, &[pause, Fault::kill(ReplicaId(4))]).0, set(&[1, 2, 3]));
    }

    #[test]
    fn in_a_chain_only_the_one_in_the_middle_is_served() {
        let (served, connected) = after(3, &[link(0, 2, 1.0), link(2, 0, 1.0)]);
        assert_eq!((served, connected), (set(&[1]), set(&[0, 1, 2])), "0 and 2 may lead by its votes");
    }

    #[test]
    fn nothing_is_served_if_a_possible_leader_is_not_sound_or_not_surely_connected() {
        let rate = Rate::new(1.02).expect("a rate");
        let clock = Act::Clock { rate, jump: Span::ZERO };
        let odd = Fault::Host { at: Some(Target::Replica(ReplicaId(0))), act: clock };
        assert_eq!(after(5, std::slice::from_ref(&odd)).0, ReplicaSet::EMPTY);
        let cut_off = Fault::isolate(ReplicaId(0));
        assert_eq!(after(5, &[odd, cut_off]).0, set(&[1, 2, 3, 4]), "it cannot lead");
        // 0 has one sure link and one that loses most: it needs both.
        let lossy = [link(0, 3, 1.0), link(0, 4, 1.0), link(0, 1, 0.9)];
        assert_eq!(after(5, &lossy), (ReplicaSet::EMPTY, set(&[1, 2, 3, 4])));
    }

    #[test]
    fn without_a_connected_quorum_nothing_is_served() {
        let ring = [link(0, 1, 1.0), link(1, 2, 1.0), link(2, 3, 1.0), link(3, 4, 1.0), link(4, 0, 1.0)];
        assert_eq!(after(5, &ring).0, ReplicaSet::EMPTY);
        let dead = [0, 1, 2].map(|replica| Fault::kill(ReplicaId(replica)));
        assert_eq!(after(5, &dead).0, ReplicaSet::EMPTY);
    }

    #[test]
    fn served_replicas_are_surely_connected_with_each_replica_that_could_lead() {
        let mut random = Stream::new(3, "served");
        let mut served = 0;
        for seed in 0..4_000 {
            let replicas = random.between(2, 7) as usize;
            let mut director = director(replicas, seed);
            for _ in 0..random.below(2 * replicas as u64) {
                let [from, to] = [(); 2].map(|()| random.below(replicas as u64) as u8);
                let value = *random.pick(&[1.0, 1.0, 0.5, 0.2]).expect("values");
                director.apply(&link(from, to, value));
            }
            let (now, connected) = (director.served(), director.connected());
            assert!(connected.is_empty() <= now.is_empty());
            let good = |from, to| director.monkey().loss(from, to) <= CONNECTED_LOSS_MAX;
            for (leader, one) in
                director.possible_leaders().iter().flat_map(|leader| now.iter().map(move |one| (leader, one)))
            {
                assert!(leader == one || (good(leader, one) && good(one, leader)), "{leader} and {one}");
            }
            served += u32::from(!now.is_empty());
        }
        assert!((1_000..3_500).contains(&served), "{served}");
    }

    #[test]
    fn the_served_of_a_hundred_and_one_replicas_are_found() {
        let mut director = director(REPLICAS_MAX, 1);
        let mut random = Stream::new(4, "served");
        for _ in 0..30 {
            let [from, to] = [(); 2].map(|()| random.below(REPLICAS_MAX as u64) as u8);
            director.apply(&link(from, to, 1.0));
        }
        let (served, connected) = (director.served(), director.connected());
        assert!(served.len() < connected.len() && served.len() > 30, "{} of {}", served.len(), connected.len());
    }

    #[test]
    fn a_quorum_is_connected_if_its_members_all_hear_each_other_both_ways() {
        let (r, link) =
            (ReplicaId, |from, to, value| Fault::SetLink { from: ReplicaId(from), to: ReplicaId(to), value });
        let after = |faults: &[Fault]| {
            let mut director = director(5, 1);
            director.observe_leader(r(0), Some(r(0)));
            for fault in faults {
                director.apply(fault);
            }
            director.has_connected_quorum()
        };
        assert!(after(&[]) && after(&[Fault::PartHard]) && after(&[Fault::kill(r(0)), Fault::kill(r(1))]));
        assert!(!after(&[Fault::kill(r(0)), Fault::kill(r(1)), Fault::kill(r(2))]));
        assert!(!after(&[Fault::isolate(r(0)), Fault::isolate(r(1)), Fault::isolate(r(2))]));
        let two_dead = [Fault::kill(r(3)), Fault::kill(r(4))];
        let with_dead = |faults: &[Fault]| after(&[&two_dead, faults].concat());
        assert!(with_dead(&[link(0, 1, 0.3)]), "a link may lose three of ten");
        assert!(!with_dead(&[link(0, 1, 0.31)]) && !with_dead(&[link(1, 0, 0.31)]), "in neither direction more");
        assert!(after(&[link(0, 1, 1.0), link(1, 2, 1.0)]), "there is another quorum");
        assert!(
            !after(&[link(0, 1, 1.0), link(1, 2, 1.0), link(2, 3, 1.0), link(3, 4, 1.0), link(4, 0, 1.0)]),
            "a ring"
        );
    }

    /// As the definition says.
    fn has_clique_by_brute_force(candidates: &[ReplicaId], size: usize, strangers: &[ReplicaSet]) -> bool {
        let rest = |place: usize, one: &ReplicaId| {
            let others = candidates[place + 1..].iter().copied();
            others.filter(|&other| !strangers[one.index()].contains(other)).collect::<Vec<_>>()
        };
        let has = |(place, one)| has_clique_by_brute_force(&rest(place, one), size - 1, strangers);
        size == 0 || candidates.iter().enumerate().any(has)
    }

    /// Pairs of this share are strangers.
    fn random_strangers(replicas: usize, share: f64, random: &mut Stream) -> Vec<ReplicaSet> {
        let mut strangers = vec![ReplicaSet::EMPTY; replicas];
        for one in ReplicaId::all(replicas) {
            for other in ReplicaId::all(one.index()).filter(|_| random.chance(share)) {
                strangers[one.index()].insert(other);
                strangers[other.index()].insert(one);
            }
        }
        strangers
    }

    #[test]
    fn a_clique_is_found_exactly_if_there_is_one() {
        let mut random = Stream::new(1, "cliques");
        let mut found = 0;
        for _ in 0..4_000 {
            let replicas = random.between(1, 14) as usize;
            let share = random.unit();
            let strangers = random_strangers(replicas, share, &mut random);
            let candidates: ReplicaSet = ReplicaId::all(replicas).filter(|_| random.chance(0.8)).collect();
            let size = random.between(0, replicas as u64) as usize;
            let list: Vec<ReplicaId> = candidates.iter().collect();
            let expected = has_clique_by_brute_force(&list, size, &strangers);
            assert_eq!(has_clique(candidates, size, &strangers, &mut 1_000), Some(expected), "{size} of {strangers:?}");
            found += u32::from(expected);
        }
        assert!((1_000..3_000).contains(&found), "{found}");
    }

    #[test]
    fn a_slowed_link_connects_no_replicas_until_it_is_as_fast_as_others_again() {
        let mut director = director(3, 1);
        let delay = Some(Delay::Constant(Span::from_secs(60)));
        let (from, to) = (ReplicaId(0), ReplicaId(1));
        director.apply(&Fault::DelayLink { from, to, delay });
        assert_eq!(director.connected(), ReplicaSet::all(3), "both hear the third");
        director.apply(&Fault::DelayLink { from: ReplicaId(2), to: from, delay });
        assert_eq!(director.connected(), [to, ReplicaId(2)].into_iter().collect());
        director.apply(&Fault::DelayLink { from: to, to: ReplicaId(2), delay });
        assert!(director.connected().is_empty() && !director.has_connected_quorum());
        director.apply(&Fault::DelayLink { from, to, delay: None });
        assert_eq!(director.connected(), [from, to].into_iter().collect());
    }

    #[test]
    fn replicas_outside_all_quorums_are_not_connected() {
        let mut director = director(5, 1);
        assert_eq!(director.connected(), ReplicaSet::all(5));
        let minority: ReplicaSet = [ReplicaId(0), ReplicaId(3)].into_iter().collect();
        director.apply(&Fault::Partition(vec![minority]));
        assert_eq!(director.connected(), ReplicaSet::all(5).minus(minority));
        director.apply(&Fault::Host { at: Some(Target::Replica(ReplicaId(1))), act: Act::Pause });
        assert!(director.connected().is_empty() && !director.has_connected_quorum());
    }

    #[test]
    fn no_disk_is_slow_where_syncs_take_no_time() {
        let slow = Fault::Host { at: Some(Target::Replica(ReplicaId(1))), act: Act::SlowDisk { times: 9 } };
        let mut director = director(3, 1);
        assert_eq!(director.idle(&slow), None);
        director.set_instant_syncs();
        assert_eq!(director.idle(&slow), Some(Idle::InstantSyncs));
        director.apply(&slow);
        assert_eq!(director.connected(), ReplicaSet::all(3));
    }

    #[test]
    fn links_that_damage_too_much_connect_no_quorum() {
        for (share, connects) in [(0.0, true), (0.3, true), (0.31, false), (1.0, false)] {
            let mut director = director(3, 1);
            assert_eq!(director.apply(&Fault::Damage(share)), Consequence::default());
            assert_eq!(director.has_connected_quorum(), connects, "{share}");
            director.apply(&Fault::Damage(0.0));
            assert!(director.has_connected_quorum());
        }
        let mut lossy = Director::new(ConnectivityMatrix::uniform(3, 0.2).unwrap(), &[], Rulebook::Handout, 1);
        lossy.set_damage(0.2);
        assert!(!lossy.has_connected_quorum());
    }

    #[test]
    fn a_connected_quorum_of_a_hundred_and_one_replicas_is_found_in_few_steps() {
        let mut random = Stream::new(2, "cliques");
        let (mut found, mut most) = (0, 0);
        for round in 0..2_000 {
            let share = f64::from(round % 100) / 500.0;
            let strangers = random_strangers(REPLICAS_MAX, share, &mut random);
            let mut steps = CLIQUE_STEPS_MAX;
            let has = has_clique(ReplicaSet::all(REPLICAS_MAX), 51, &strangers, &mut steps);
            found += u32::from(has.expect("enough steps"));
            most = most.max(CLIQUE_STEPS_MAX - steps);
        }
        assert!((100..1_900).contains(&found), "{found}");
        assert!(most < CLIQUE_STEPS_MAX / 10, "{most}");
    }

    #[test]
    fn strangers_in_rings_take_no_search() {
        // Twenty rings of five: two of each ring can be neighbours, three cannot.
        let ring = |one: ReplicaId| [1, 4].map(|step| ReplicaId(one.0 / 5 * 5 + (one.0 + step) % 5));
        let strangers: Vec<ReplicaSet> = ReplicaId::all(100).map(|one| ring(one).into_iter().collect()).collect();
        let has = |size| has_clique(ReplicaSet::all(100), size, &strangers, &mut 101);
        assert_eq!((has(40), has(41)), (Some(true), Some(false)));
    }

    #[test]
    fn a_search_that_would_take_too_long_says_nothing() {
        let strangers = random_strangers(REPLICAS_MAX, 0.03, &mut Stream::new(2, "cliques"));
        assert_eq!(has_clique(ReplicaSet::all(REPLICAS_MAX), 51, &strangers, &mut 3), None);
    }
}
