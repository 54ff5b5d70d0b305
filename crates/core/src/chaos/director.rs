//! Carries faults out: chooses the replicas that they hit.

use std::fmt;

use crate::chaos::{Act, ChaosMonkey, ConnectivityMatrix, Damage, Fault, Flip, Hosts, Loss, Rulebook, Target};
use crate::id::{ReplicaId, ReplicaSet};
use crate::rng::Stream;

/// Knows which replicas live, the observed leader and what is cut, and turns a [`Fault`] into action.
///
/// The observed leader is the `leader` field of the newest message from a living replica. During a partition only the
/// replicas of the *chosen group* are listened to, which is the side with the quorum: in an easy partition the
/// leader's, in a hard one the other. An isolated replica is not listened to either, nor is one that the matrix cuts
/// off from all others in both directions. A message that names a dead leader is ignored.
///
/// These are the handout's rules. Under [`Rulebook::Runner`] partitions are drawn among all replicas. The group is
/// random in hard partitions and while the leader is unknown. At the start of a hard partition the leader becomes
/// unknown. A message that names a dead leader counts.
#[derive(Clone, Debug)]
pub struct Director {
    rules: Rulebook,
    pub(super) replicas: usize,
    pub(super) hosts: Hosts,
    pub(super) monkey: ChaosMonkey,
    /// None in a run without damage so far, as most runs are.
    pub(super) damage: Option<Box<Damage>>,
    /// Links with a delay of their own, which an event has given them.
    pub(super) slow_links: Vec<(ReplicaId, ReplicaId)>,
    believed: Option<ReplicaId>,
    /// The replicas whose messages name the leader, as far as partitions and isolations go.
    heard: ReplicaSet,
    /// The replicas that the matrix alone cuts off from all others.
    cut_off: ReplicaSet,
    choices: Stream,
    seed: u64,
}

/// What a world has to do about a fault, beyond what the [`Director`] has done by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Consequence {
    /// This replica crash-fails now, for ever.
    pub killed: Option<ReplicaId>,
    /// The fault acts on the hosts of these replicas.
    pub hit: ReplicaSet,
    /// The clients forget their leader (the leader was killed, or cut off from its quorum).
    pub leader_lost: bool,
}

/// Why a fault did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// No leader was known.
    NoLeader,
    /// No replica but the leader was alive.
    NoOther,
    /// This replica was dead already.
    Dead(ReplicaId),
    /// This replica was down already.
    Down(ReplicaId),
    /// This replica was up already.
    Up(ReplicaId),
    /// This replica was paused already.
    Paused(ReplicaId),
    /// This replica was not paused.
    NotPaused(ReplicaId),
    /// Nothing was wrong with this replica's disk.
    GoodDisk(ReplicaId),
    /// Syncs take no time, so no disk is slow.
    InstantSyncs,
    /// There was no host that the fault could hit.
    NoHost,
    /// No replica was up.
    NoneUp,
    /// Nothing was cut.
    NotCut,
    /// This replica was isolated already.
    Isolated(ReplicaId),
    /// The matrix had these values already.
    SameMatrix,
    /// The link had this value already.
    SameLink,
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Idle::NoLeader => f.write_str("no leader was known"),
            Idle::NoOther => f.write_str("no replica but the leader was alive"),
            Idle::Dead(replica) => write!(f, "replica {replica} was dead already"),
            Idle::Down(replica) => write!(f, "replica {replica} was down already"),
            Idle::Up(replica) => write!(f, "replica {replica} was up already"),
            Idle::Paused(replica) => write!(f, "replica {replica} was paused already"),
            Idle::NotPaused(replica) => write!(f, "replica {replica} was not paused"),
            Idle::GoodDisk(replica) => write!(f, "nothing was wrong with the disk of replica {replica}"),
            Idle::NoHost => f.write_str("no replica was in a state for it"),
            Idle::InstantSyncs => f.write_str("syncs take no time without `disk`"),
            Idle::NoneUp => f.write_str("no replica was up"),
            Idle::NotCut => f.write_str("nothing was cut"),
            Idle::Isolated(replica) => write!(f, "replica {replica} was isolated already"),
            Idle::SameMatrix => f.write_str("the matrix had these values already"),
            Idle::SameLink => f.write_str("the link had this value already"),
        }
    }
}

impl Director {
    /// A director over a cluster in which all replicas live. The network loses these messages besides those that the
    /// matrix drops. Its choices come from the run's seed.
    ///
    /// # Panics
    /// If a loss names a replica outside the matrix.
    pub fn new(matrix: ConnectivityMatrix, losses: &[Loss], rules: Rulebook, seed: u64) -> Director {
        let replicas = matrix.replicas();
        Director {
            rules,
            replicas,
            cut_off: cut_off(&matrix),
            hosts: Hosts::new(replicas),
            monkey: ChaosMonkey::new(matrix, losses, seed),
            damage: None,
            slow_links: Vec::new(),
            seed,
            believed: None,
            heard: ReplicaSet::all(replicas),
            choices: Stream::new(seed, "faults"),
        }
    }

    /// Draws the fate of a message that has just arrived: true if it gets through.
    #[inline]
    pub fn admits(&mut self, from: ReplicaId, to: ReplicaId) -> bool {
        self.monkey.admits(from, to)
    }

    /// Whether damage has been switched on in this run. If not, [`Director::damages`] need not be asked.
    #[inline]
    pub fn has_damage(&self) -> bool {
        self.damage.is_some()
    }

    /// Which bit of a message that has just arrived was flipped on the way; none if it is intact. Asked once for each
    /// message, whatever [`Director::admits`] says.
    #[inline]
    pub fn damages(&mut self, from: ReplicaId, to: ReplicaId) -> Option<Flip> {
        self.damage.as_mut()?.draw(from, to)
    }

    /// From now on, one bit is flipped in this share of the messages between replicas.
    pub fn set_damage(&mut self, share: f64) {
        if share > 0.0 || self.has_damage() {
            let (replicas, seed) = (self.replicas, self.seed);
            self.damage.get_or_insert_with(|| Box::new(Damage::new(replicas, seed))).set_share(share);
        }
    }

    /// Syncs of disks take no time in this run.
    pub fn set_instant_syncs(&mut self) {
        self.hosts.syncs_are_instant = true;
    }

    /// Records the leader that a replica's message is stamped with.
    #[inline]
    pub fn observe_leader(&mut self, from: ReplicaId, leader: Option<ReplicaId>) {
        let counts = |leader| self.rules == Rulebook::Runner || self.living().contains(leader);
        let is_news = leader != self.believed && leader.is_none_or(counts);
        if is_news && self.heard.contains(from) && !self.cut_off.contains(from) {
            self.believed = leader;
        }
    }

    /// The replicas that live.
    pub fn living(&self) -> ReplicaSet {
        self.hosts.living
    }

    /// The state of all hosts.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// The observed leader.
    pub fn believed_leader(&self) -> Option<ReplicaId> {
        self.believed
    }

    /// The network as it is now.
    pub fn monkey(&self) -> &ChaosMonkey {
        &self.monkey
    }

    /// A replica no longer lives. By the runner's rules, the observed leader stays what it was.
    pub fn mark_dead(&mut self, replica: ReplicaId) {
        self.hosts.note_end(replica);
        if self.believed == Some(replica) && self.rules == Rulebook::Handout {
            self.believed = None;
        }
    }

    /// Why a fault would do nothing now; none if it would do something.
    pub fn idle(&self, fault: &Fault) -> Option<Idle> {
        let is_whole = self.monkey.is_whole();
        let living = self.living();
        let others = || self.believed.map_or(living, |leader| living.without(leader));
        let (is_idle, why) = match fault {
            Fault::KillLeader => match self.believed {
                Some(leader) if self.hosts.dead.contains(leader) => (true, Idle::Dead(leader)),
                Some(leader) => (!living.contains(leader), Idle::Down(leader)),
                None => (true, Idle::NoLeader),
            },
            Fault::KillNonLeader if living.is_empty() => (true, Idle::NoneUp),
            Fault::KillNonLeader => (others().is_empty(), Idle::NoOther),
            Fault::PartEasy | Fault::PartHard => (living.is_empty(), Idle::NoneUp),
            Fault::PartEnd => (is_whole, Idle::NotCut),
            Fault::Heal => (is_whole && self.monkey.is_original(), Idle::NotCut),
            Fault::Isolate(target) => return self.idle_isolation(*target),
            Fault::SetMatrix(matrix) => (self.monkey.matrix() == matrix, Idle::SameMatrix),
            Fault::SetLink { from, to, value } => (self.monkey.matrix().loss(*from, *to) == *value, Idle::SameLink),
            Fault::Partition(_) | Fault::Duplicate(_) | Fault::Damage(_) | Fault::DelayLink { .. } => return None,
            Fault::Host { at, act } => return self.idle_act(*at, act),
        };
        is_idle.then_some(why)
    }

    fn idle_isolation(&self, target: Target) -> Option<Idle> {
        match target {
            Target::Replica(replica) => self.monkey.isolated().contains(replica).then_some(Idle::Isolated(replica)),
            Target::Leader => match self.believed {
                Some(leader) => self.monkey.isolated().contains(leader).then_some(Idle::Isolated(leader)),
                None => Some(Idle::NoLeader),
            },
            Target::Follower => self.followers(self.living()).is_empty().then_some(Idle::NoOther),
        }
    }

    fn idle_act(&self, at: Option<Target>, act: &Act) -> Option<Idle> {
        if matches!(act, Act::SlowDisk { .. }) && self.hosts.syncs_are_instant {
            return Some(Idle::InstantSyncs);
        }
        let eligible = self.hosts.eligible(act);
        let replica = match at {
            None => return eligible.is_empty().then_some(Idle::NoHost),
            Some(Target::Follower) => return self.followers(eligible).is_empty().then_some(Idle::NoOther),
            Some(Target::Leader) => match self.believed {
                Some(leader) => leader,
                None => return Some(Idle::NoLeader),
            },
            Some(Target::Replica(replica)) => replica,
        };
        (!eligible.contains(replica)).then(|| self.hosts.why_not(act, replica))
    }

    fn followers(&self, of: ReplicaSet) -> ReplicaSet {
        self.believed.map_or(of, |leader| of.without(leader))
    }

    /// The replicas that a fault at this target hits, out of the `eligible` ones.
    fn aim(&mut self, at: Option<Target>, eligible: ReplicaSet) -> ReplicaSet {
        match at {
            None => eligible,
            Some(Target::Replica(replica)) => eligible.and(ReplicaSet::EMPTY.with(replica)),
            Some(Target::Leader) => {
                self.believed.map_or(ReplicaSet::EMPTY, |one| eligible.and(ReplicaSet::EMPTY.with(one)))
            }
            Some(Target::Follower) => self.choose(self.followers(eligible), 1),
        }
    }

    /// Carries a fault out and says what is left for the world to do.
    pub fn apply(&mut self, fault: &Fault) -> Consequence {
        match fault {
            Fault::KillLeader => {
                let killed = self.believed.take().filter(|&leader| self.living().contains(leader));
                self.kill(killed, killed.is_some())
            }
            Fault::KillNonLeader => {
                let killed = self.choose(self.followers(self.living()), 1).first();
                self.kill(killed, false)
            }
            Fault::PartEasy | Fault::PartHard if self.rules == Rulebook::Runner => {
                self.part_as_runner(*fault == Fault::PartEasy)
            }
            Fault::PartEasy => self.part(|director, leader| {
                let followers = director.reachable().without(leader);
                director.choose(followers, director.quorum() - 1).with(leader)
            }),
            Fault::PartHard => self.part(|director, leader| {
                let followers = director.reachable().without(leader);
                director.choose(followers, director.quorum())
            }),
            Fault::Partition(groups) => self.part_into(groups),
            Fault::PartEnd => {
                self.monkey.end_partition();
                self.listen_to_all()
            }
            Fault::SetMatrix(matrix) => {
                self.monkey.set_matrix(matrix.clone());
                self.note_matrix()
            }
            Fault::SetLink { from, to, value } => {
                self.monkey.set_link(from.index(), to.index(), *value).expect("a scenario's links are validated");
                self.note_matrix()
            }
            Fault::Isolate(target) => {
                let eligible = ReplicaSet::all(self.replicas).minus(self.monkey.isolated());
                let hit = self.aim(Some(*target), eligible);
                let leader_lost = self.believed.is_some_and(|leader| hit.contains(leader));
                for replica in hit.iter() {
                    self.monkey.isolate(replica);
                    self.heard.remove(replica);
                }
                Consequence { hit, leader_lost, ..Consequence::default() }
            }
            Fault::Heal => {
                self.monkey.heal();
                self.note_matrix();
                self.listen_to_all()
            }
            Fault::Damage(share) => {
                self.set_damage(*share);
                Consequence::default()
            }
            Fault::DelayLink { from, to, delay } => {
                self.slow_links.retain(|link| *link != (*from, *to));
                self.slow_links.extend(delay.map(|_| (*from, *to)));
                Consequence::default()
            }
            Fault::Duplicate(_) => Consequence::default(),
            Fault::Host { at, act } => self.act(*at, act),
        }
    }

    /// Carries an act out on hosts.
    fn act(&mut self, at: Option<Target>, act: &Act) -> Consequence {
        let eligible = self.hosts.eligible(act);
        let hit = self.aim(at, eligible);
        let loses_leader = matches!(act, Act::Kill | Act::Crash) && self.believed.is_some_and(|one| hit.contains(one));
        if *act == Act::Kill {
            return self.kill(hit.first(), loses_leader);
        }
        self.hosts.note(act, hit);
        if loses_leader {
            self.believed = None;
        }
        Consequence { hit, leader_lost: loses_leader, killed: None }
    }

    pub(super) fn quorum(&self) -> usize {
        self.replicas / 2 + 1
    }

    /// The living replicas that are not cut off already. Only these can be members of a side.
    fn reachable(&self) -> ReplicaSet {
        self.living().minus(self.monkey.isolated())
    }

    fn kill(&mut self, killed: Option<ReplicaId>, leader_lost: bool) -> Consequence {
        let hit = killed.map_or(ReplicaSet::EMPTY, |replica| ReplicaSet::EMPTY.with(replica));
        self.hosts.note(&Act::Kill, hit);
        self.believed = self.believed.filter(|&leader| !hit.contains(leader));
        Consequence { killed, hit, leader_lost }
    }

    /// Partitions the cluster into the group that `choose` makes around the leader, and the rest. While no leader is
    /// known, a random living replica stands in for it.
    fn part(&mut self, choose: impl FnOnce(&mut Director, ReplicaId) -> ReplicaSet) -> Consequence {
        let Some(leader) = self.believed.or_else(|| self.choose(self.living(), 1).first()) else {
            return Consequence::default();
        };
        let group = choose(self, leader);
        self.monkey.partition(group);
        self.heard = group.minus(self.monkey.isolated());
        let keeps_quorum = self.heard.contains(leader) && self.heard.len() >= self.quorum();
        Consequence { leader_lost: !keeps_quorum, ..Consequence::default() }
    }

    /// Partitions the cluster into these groups, and the rest. The group that has a quorum of all replicas is listened to.
    fn part_into(&mut self, groups: &[ReplicaSet]) -> Consequence {
        let rest = groups.iter().fold(ReplicaSet::all(self.replicas), |rest, &group| rest.minus(group));
        let groups: Vec<ReplicaSet> = groups.iter().copied().chain([rest]).filter(|group| !group.is_empty()).collect();
        let major = groups.iter().copied().find(|group| group.and(self.living()).len() >= self.quorum());
        self.heard = major.unwrap_or(ReplicaSet::all(self.replicas)).minus(self.monkey.isolated());
        self.monkey.partition_into(groups);
        let leader_lost = self.believed.is_some_and(|leader| !major.is_some_and(|group| group.contains(leader)));
        Consequence { leader_lost, ..Consequence::default() }
    }

    /// Partitions the cluster as the course's runner does: a group of a majority, drawn among all replicas. It is the
    /// leader's in an easy partition. Else it is any, and no leader is known.
    fn part_as_runner(&mut self, is_easy: bool) -> Consequence {
        let all = ReplicaSet::all(self.replicas);
        self.believed = self.believed.filter(|_| is_easy);
        let group = match self.believed {
            Some(leader) => self.choose(all.without(leader), self.quorum() - 1).with(leader),
            None => self.choose(all, self.quorum()),
        };
        self.monkey.partition(group);
        self.heard = group.minus(self.monkey.isolated());
        Consequence { leader_lost: self.believed.is_none(), ..Consequence::default() }
    }

    /// The matrix has changed. Clients forget a leader that it cuts off, as they do when one is isolated.
    fn note_matrix(&mut self) -> Consequence {
        let before = std::mem::replace(&mut self.cut_off, cut_off(self.monkey.matrix()));
        let is_lost = |leader: ReplicaId| self.cut_off.contains(leader) && !before.contains(leader);
        Consequence { leader_lost: self.believed.is_some_and(is_lost), ..Consequence::default() }
    }

    fn listen_to_all(&mut self) -> Consequence {
        self.heard = ReplicaSet::all(self.replicas);
        Consequence::default()
    }

    /// A random `count` of these replicas, or all if there are fewer.
    fn choose(&mut self, from: ReplicaSet, count: usize) -> ReplicaSet {
        let mut order: Vec<ReplicaId> = from.iter().collect();
        self.choices.shuffle(&mut order);
        order.into_iter().take(count).collect()
    }
}

/// The replicas that a matrix cuts off from all others, in both directions.
fn cut_off(matrix: &ConnectivityMatrix) -> ReplicaSet {
    let all = || ReplicaId::all(matrix.replicas());
    let is_cut = |one: &ReplicaId| {
        let cuts = |other: ReplicaId| matrix.loss(*one, other) >= 1.0 && matrix.loss(other, *one) >= 1.0;
        all().filter(|other| other != one).all(cuts)
    };
    all().filter(is_cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn director(replicas: usize, seed: u64) -> Director {
        director_by(Rulebook::Handout, replicas, seed)
    }

    fn director_by(rules: Rulebook, replicas: usize, seed: u64) -> Director {
        Director::new(ConnectivityMatrix::uniform(replicas, 0.0).unwrap(), &[], rules, seed)
    }

    fn killed(replica: u8) -> Consequence {
        let (killed, hit) = (Some(ReplicaId(replica)), ReplicaSet::EMPTY.with(ReplicaId(replica)));
        Consequence { killed, hit, leader_lost: replica == 4 }
    }

    fn side_of(director: &Director, replica: ReplicaId) -> ReplicaSet {
        let living = director.living();
        living.iter().filter(|&other| director.monkey().loss(replica, other) < 1.0).collect()
    }

    #[test]
    fn kill_leader_kills_no_replica_while_no_leader_is_known() {
        let mut director = director(5, 1);
        assert_eq!(director.apply(&Fault::KillLeader), Consequence::default());
        assert_eq!(director.living().len(), 5);
    }

    #[test]
    fn kill_leader_kills_the_observed_leader_and_then_no_leader_is_known() {
        let mut director = director(5, 1);
        director.observe_leader(ReplicaId(2), Some(ReplicaId(4)));
        let consequence = director.apply(&Fault::KillLeader);
        assert_eq!(consequence, killed(4));
        director.observe_leader(ReplicaId(2), Some(ReplicaId(4)));
        assert_eq!(director.believed_leader(), None, "a message that names a dead leader is ignored");
        director.observe_leader(ReplicaId(2), Some(ReplicaId(1)));
        assert_eq!(director.believed_leader(), Some(ReplicaId(1)));
    }

    #[test]
    fn kill_non_leader_spares_the_leader_until_it_is_alone() {
        for seed in 0..50 {
            let mut director = director(5, seed);
            director.observe_leader(ReplicaId(2), Some(ReplicaId(2)));
            for _ in 0..4 {
                assert!(director.apply(&Fault::KillNonLeader).killed.is_some());
            }
            assert_eq!(director.living().iter().collect::<Vec<_>>(), [ReplicaId(2)]);
            assert_eq!(director.apply(&Fault::KillNonLeader), Consequence::default());
        }
    }

    #[test]
    fn kill_kills_the_replica_that_it_names_once_and_clients_forget_it_only_if_it_leads() {
        let mut director = director(5, 1);
        director.observe_leader(ReplicaId(2), Some(ReplicaId(4)));

        assert_eq!(director.apply(&Fault::kill(ReplicaId(1))), killed(1));
        assert_eq!(director.apply(&Fault::kill(ReplicaId(1))), Consequence::default());
        assert_eq!(director.believed_leader(), Some(ReplicaId(4)));
        assert_eq!(director.apply(&Fault::kill(ReplicaId(4))), killed(4));
        assert_eq!(director.believed_leader(), None);
        assert_eq!(director.living().iter().collect::<Vec<_>>(), [0, 2, 3].map(ReplicaId));
    }

    #[test]
    fn an_easy_partition_keeps_a_living_quorum_with_the_leader_as_long_as_one_lives() {
        for seed in 0..200 {
            let mut director = director(7, seed);
            director.observe_leader(ReplicaId(3), Some(ReplicaId(3)));
            for _ in 0..seed % 4 {
                director.apply(&Fault::KillNonLeader);
            }
            assert_eq!(director.apply(&Fault::PartEasy), Consequence::default());
            assert_eq!(side_of(&director, ReplicaId(3)).len(), 4);
        }
    }

    #[test]
    fn a_hard_partition_leaves_the_leader_without_a_quorum_and_the_others_with_one_if_enough_live() {
        for seed in 0..200 {
            let mut director = director(5, seed);
            director.observe_leader(ReplicaId(0), Some(ReplicaId(0)));
            for _ in 0..seed % 3 {
                director.apply(&Fault::KillNonLeader);
            }
            assert!(director.apply(&Fault::PartHard).leader_lost);
            assert!(side_of(&director, ReplicaId(0)).len() < 3);
            let other = director.living().iter().find(|&r| director.monkey().loss(ReplicaId(0), r) == 1.0).unwrap();
            assert_eq!(side_of(&director, other).len(), 3.min(director.living().len() - 1));
        }
    }

    #[test]
    fn a_replica_that_the_matrix_cuts_off_from_all_others_is_not_listened_to_until_it_is_back() {
        let cut = |to_four: f64| {
            let loss = |from: usize, to: usize| match (from, to) {
                (4, 4) => 0.0,
                (_, 4) => to_four,
                (4, _) => 1.0,
                _ => 0.0,
            };
            let rows: Vec<Vec<f64>> = (0..5).map(|from| (0..5).map(|to| loss(from, to)).collect()).collect();
            ConnectivityMatrix::from_rows(5, &rows).unwrap()
        };
        let mut director = director(5, 1);
        director.observe_leader(ReplicaId(4), Some(ReplicaId(4)));
        let lost = Consequence { leader_lost: true, ..Consequence::default() };
        assert_eq!(director.apply(&Fault::SetMatrix(cut(1.0))), lost, "clients forget it");
        director.observe_leader(ReplicaId(0), Some(ReplicaId(2)));
        director.observe_leader(ReplicaId(4), None);
        assert_eq!(director.believed_leader(), Some(ReplicaId(2)));
        // A replica that is cut off in one direction only still counts.
        assert_eq!(director.apply(&Fault::SetMatrix(cut(0.0))), Consequence::default());
        director.observe_leader(ReplicaId(4), None);
        assert_eq!(director.believed_leader(), None);
        director.apply(&Fault::SetMatrix(cut(1.0)));
        director.apply(&Fault::Heal);
        director.observe_leader(ReplicaId(4), Some(ReplicaId(1)));
        assert_eq!(director.believed_leader(), Some(ReplicaId(1)));
    }

    #[test]
    fn a_fault_that_would_do_nothing_says_why() {
        let mut director = director(3, 1);
        let idle = |director: &Director, fault: Fault| director.idle(&fault).map(|why| why.to_string());
        let same = ConnectivityMatrix::uniform(3, 0.0).unwrap();
        let link = |value| Fault::SetLink { from: ReplicaId(0), to: ReplicaId(1), value };
        for (fault, why) in [
            (Fault::KillLeader, Some("no leader was known")),
            (Fault::KillNonLeader, None),
            (Fault::PartEnd, Some("nothing was cut")),
            (Fault::Heal, Some("nothing was cut")),
            (Fault::SetMatrix(same), Some("the matrix had these values already")),
            (link(0.0), Some("the link had this value already")),
            (link(0.5), None),
            (Fault::PartEasy, None),
        ] {
            assert_eq!(idle(&director, fault.clone()).as_deref(), why, "{fault:?}");
        }
        director.apply(&link(0.5));
        assert_eq!(idle(&director, Fault::Heal), None, "the matrix would be what it was");
        director.apply(&Fault::isolate(ReplicaId(1)));
        assert_eq!(idle(&director, Fault::isolate(ReplicaId(1))).as_deref(), Some("replica 0001 was isolated already"));
        assert_eq!(idle(&director, Fault::PartEnd), None);
        director.observe_leader(ReplicaId(0), Some(ReplicaId(0)));
        director.apply(&Fault::kill(ReplicaId(1)));
        director.apply(&Fault::kill(ReplicaId(2)));
        assert_eq!(idle(&director, Fault::kill(ReplicaId(1))).as_deref(), Some("replica 0001 was dead already"));
        let why = idle(&director, Fault::KillNonLeader);
        assert_eq!(why.as_deref(), Some("no replica but the leader was alive"));
        director.apply(&Fault::KillLeader);
        assert_eq!(idle(&director, Fault::PartHard).as_deref(), Some("no replica was up"));
    }

    #[test]
    fn an_isolated_replica_counts_for_no_side_of_a_partition() {
        for seed in 0..50 {
            let mut director = director(5, seed);
            director.observe_leader(ReplicaId(0), Some(ReplicaId(0)));
            director.apply(&Fault::isolate(ReplicaId(1)));
            assert!(!director.apply(&Fault::PartEasy).leader_lost);
            assert_eq!(side_of(&director, ReplicaId(0)).len(), 3);
            director.observe_leader(ReplicaId(1), None);
            assert_eq!(director.believed_leader(), Some(ReplicaId(0)), "the isolated are not listened to");
            director.apply(&Fault::isolate(ReplicaId(2)));
            director.apply(&Fault::isolate(ReplicaId(3)));
            assert!(director.apply(&Fault::PartEasy).leader_lost, "two cannot be a quorum of five");
        }
    }

    #[test]
    fn the_runner_draws_an_easy_partition_around_the_leader_among_all_replicas_dead_ones_included() {
        let mut sizes = [0; 4];
        for seed in 0..200 {
            let mut director = director_by(Rulebook::Runner, 5, seed);
            director.observe_leader(ReplicaId(0), Some(ReplicaId(0)));
            director.apply(&Fault::KillNonLeader);
            director.apply(&Fault::KillNonLeader);
            assert_eq!(director.apply(&Fault::PartEasy), Consequence::default());
            sizes[side_of(&director, ReplicaId(0)).len()] += 1;
        }
        assert!(sizes[0] == 0 && sizes[1..].iter().all(|&count| count > 20), "{sizes:?}");
    }

    #[test]
    fn the_runners_hard_partition_is_any_majority_after_which_no_leader_is_known() {
        let mut sizes = [0; 6];
        for seed in 0..200 {
            let mut director = director_by(Rulebook::Runner, 5, seed);
            director.observe_leader(ReplicaId(0), Some(ReplicaId(0)));
            assert_eq!(director.apply(&Fault::PartHard), Consequence { leader_lost: true, ..Consequence::default() });
            assert_eq!(director.believed_leader(), None);
            sizes[side_of(&director, ReplicaId(0)).len()] += 1;
        }
        assert!(sizes[2] > 20 && sizes[3] > 20 && sizes[2] + sizes[3] == 200, "{sizes:?}");
    }

    #[test]
    fn the_runner_believes_in_a_leader_that_is_dead_and_cannot_kill_it_again() {
        let mut director = director_by(Rulebook::Runner, 5, 1);
        director.observe_leader(ReplicaId(0), Some(ReplicaId(4)));
        assert_eq!(director.apply(&Fault::KillLeader).killed, Some(ReplicaId(4)));
        assert_eq!(director.believed_leader(), None);
        director.observe_leader(ReplicaId(0), Some(ReplicaId(4)));
        assert_eq!(director.believed_leader(), Some(ReplicaId(4)));
        let why = director.idle(&Fault::KillLeader).map(|why| why.to_string());
        assert_eq!(why.as_deref(), Some("replica 0004 was dead already"));
        assert_eq!(director.apply(&Fault::KillLeader), Consequence::default());
        assert_eq!(director.believed_leader(), None);
        director.observe_leader(ReplicaId(0), Some(ReplicaId(1)));
        director.mark_dead(ReplicaId(1));
        assert_eq!(director.believed_leader(), Some(ReplicaId(1)), "it does not notice");
    }

    #[test]
    fn during_a_partition_only_the_chosen_group_is_heard() {
        let mut director = director(5, 1);
        director.observe_leader(ReplicaId(0), Some(ReplicaId(0)));
        director.apply(&Fault::PartHard);
        let inside = director.living().iter().find(|&r| director.monkey().loss(ReplicaId(0), r) == 1.0).unwrap();
        director.observe_leader(inside, Some(inside));
        director.observe_leader(ReplicaId(0), Some(ReplicaId(0)));
        assert_eq!(director.believed_leader(), Some(inside));
        director.apply(&Fault::PartEnd);
        director.observe_leader(ReplicaId(0), Some(ReplicaId(0)));
        assert_eq!(director.believed_leader(), Some(ReplicaId(0)));
    }

    #[test]
    fn choices_repeat_with_the_seed_and_differ_between_seeds() {
        let victims = |seed| {
            let mut director = director(21, seed);
            (0..10).map(|_| director.apply(&Fault::KillNonLeader).killed).collect::<Vec<_>>()
        };
        assert_eq!(victims(5), victims(5));
        assert_ne!(victims(5), victims(6));
    }
}
