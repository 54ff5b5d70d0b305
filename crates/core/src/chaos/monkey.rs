//! The chaos monkey: would this message arrive?

use crate::chaos::loss::Losses;
use crate::chaos::{ConnectivityMatrix, Loss};
use crate::id::{ReplicaId, ReplicaSet};
use crate::rng::Stream;

/// The connectivity of a cluster at one moment, with the random streams that decide the fate of each message.
///
/// The check stands where the first seed document puts it: in the receiver's handler, when the message arrives. A
/// number u is drawn in `[0, 1)` and the message is dropped, in silence, if u is strictly less than the entry of the
/// matrix. Partitions and isolations lie over the matrix as entries of 1, so the entries below count again when they
/// end.
///
/// Each link has its own random stream, with one draw for each message that arrives on it, whatever the matrix says. So
/// the n-th message of a link meets the n-th draw in every run with the same seed. Two runs that differ in their matrix
/// can be compared message by message. Clients are exempt.
///
/// Messages can also be lost by number ([`Loss`]). A number is drawn for them all the same.
#[derive(Clone, Debug)]
pub struct ChaosMonkey {
    /// The matrix that [`ChaosMonkey::heal`] restores.
    original: ConnectivityMatrix,
    matrix: ConnectivityMatrix,
    /// The groups of the partition; empty while the cluster is whole.
    partition: Vec<ReplicaSet>,
    isolated: ReplicaSet,
    /// Row by row, as the matrix.
    streams: Vec<Stream>,
    /// Most runs have none, and then nothing is counted.
    losses: Option<Box<Losses>>,
    /// The number of messages lost by number that would otherwise have had a chance to get through.
    lost_by_number: u64,
}

impl ChaosMonkey {
    /// A monkey that starts with this matrix and drops these messages besides; its random streams come from the run's
    /// seed.
    ///
    /// # Panics
    /// If a loss names a replica outside the matrix.
    pub fn new(matrix: ConnectivityMatrix, losses: &[Loss], seed: u64) -> ChaosMonkey {
        let links =
            (0..matrix.replicas() as u64).flat_map(|from| (0..matrix.replicas() as u64).map(move |to| (from, to)));
        let streams = links.map(|(from, to)| Stream::link(seed, "loss", from, to)).collect();
        ChaosMonkey {
            losses: Losses::new(matrix.replicas(), losses),
            original: matrix.clone(),
            matrix,
            partition: Vec::new(),
            isolated: ReplicaSet::EMPTY,
            streams,
            lost_by_number: 0,
        }
    }

    /// Draws the fate of one message that has just arrived at `to`: true if it gets through.
    #[inline]
    pub fn admits(&mut self, from: ReplicaId, to: ReplicaId) -> bool {
        let loss = self.loss(from, to);
        let link = from.index() * self.matrix.replicas() + to.index();
        let admitted = !self.streams[link].chance(loss);
        match &mut self.losses {
            None => admitted,
            Some(losses) => {
                let lost = losses.takes(link);
                self.lost_by_number += u64::from(lost && loss < 1.0);
                !lost && admitted
            }
        }
    }

    /// How many messages have been lost by number so far, without those that the network drops in any case.
    #[inline]
    pub fn lost_by_number(&self) -> u64 {
        self.lost_by_number
    }

    /// The probability that a message from `from` is dropped by `to` now.
    #[inline]
    pub fn loss(&self, from: ReplicaId, to: ReplicaId) -> f64 {
        // Mostly nothing is cut.
        if !self.is_whole() && self.separated(from, to) { 1.0 } else { self.matrix.loss(from, to) }
    }

    fn separated(&self, from: ReplicaId, to: ReplicaId) -> bool {
        let cut = self.partition.iter().any(|group| group.contains(from) != group.contains(to));
        cut || (from != to && (self.isolated.contains(from) || self.isolated.contains(to)))
    }

    /// The matrix without partitions and isolations.
    pub fn matrix(&self) -> &ConnectivityMatrix {
        &self.matrix
    }

    /// Whether the matrix is what it was at the start.
    pub fn is_original(&self) -> bool {
        self.matrix == self.original
    }

    /// The matrix with the partition and all isolations written into it, for a program that knows only matrices. It
    /// does not contain messages that are lost by number.
    pub fn effective_matrix(&self) -> ConnectivityMatrix {
        let mut effective = self.matrix.clone();
        for from in ReplicaId::all(self.matrix.replicas()) {
            for to in ReplicaId::all(self.matrix.replicas()).filter(|&to| self.separated(from, to)) {
                effective.set(from.index(), to.index(), 1.0).expect("a link of the matrix, and a probability");
            }
        }
        effective
    }

    /// Replaces the matrix; partitions stay.
    ///
    /// # Panics
    /// If the matrix is for another number of replicas.
    pub fn set_matrix(&mut self, matrix: ConnectivityMatrix) {
        assert_eq!(matrix.replicas(), self.matrix.replicas(), "a matrix fits its cluster");
        self.matrix = matrix;
    }

    /// Changes one entry of the matrix.
    ///
    /// # Errors
    /// If the replicas do not exist or the value is not a probability; nothing is changed then.
    pub fn set_link(&mut self, from: usize, to: usize, value: f64) -> Result<(), crate::chaos::MatrixError> {
        self.matrix.set(from, to, value)
    }

    /// Cuts the cluster in two: this group and the rest. Replaces an earlier partition.
    pub fn partition(&mut self, group: ReplicaSet) {
        self.partition_into(vec![group]);
    }

    /// Cuts the cluster into these groups, which have no member in common. Replicas that are in no group can hear each
    /// other. Replaces an earlier partition.
    pub fn partition_into(&mut self, groups: Vec<ReplicaSet>) {
        self.partition = groups;
    }

    /// One side of the partition, if there is one.
    pub fn group(&self) -> Option<ReplicaSet> {
        self.partition.first().copied()
    }

    /// Whether there is neither a partition nor an isolation.
    #[inline]
    pub fn is_whole(&self) -> bool {
        self.partition.is_empty() && self.isolated.is_empty()
    }

    /// Cuts one replica off from all others, on top of whatever else is cut.
    pub fn isolate(&mut self, replica: ReplicaId) {
        self.isolated.insert(replica);
    }

    /// The replicas that are cut off from all others.
    pub fn isolated(&self) -> ReplicaSet {
        self.isolated
    }

    /// Removes the partition and all isolations. What was set in the matrix stays.
    pub fn end_partition(&mut self) {
        self.partition.clear();
        self.isolated = ReplicaSet::EMPTY;
    }

    /// Removes the partition and all isolations and restores the matrix that the run started with.
    pub fn heal(&mut self) {
        self.end_partition();
        self.matrix.clone_from(&self.original);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 5;

    fn monkey(loss: f64, seed: u64) -> ChaosMonkey {
        ChaosMonkey::new(ConnectivityMatrix::uniform(N, loss).unwrap(), &[], seed)
    }

    fn links() -> impl Iterator<Item = (ReplicaId, ReplicaId)> {
        ReplicaId::all(N).flat_map(|from| ReplicaId::all(N).map(move |to| (from, to)))
    }

    #[test]
    fn zero_never_drops_and_one_always_does_also_on_the_diagonal() {
        let (mut open, mut shut) = (monkey(0.0, 1), monkey(1.0, 1));
        for (from, to) in links() {
            for _ in 0..1_000 {
                assert!(open.admits(from, to));
                assert!(!shut.admits(from, to));
            }
        }
    }

    #[test]
    fn each_link_loses_the_share_that_its_entry_says() {
        let rows: Vec<Vec<f64>> = (0..N).map(|i| (0..N).map(|j| (i * N + j) as f64 / 24.0).collect()).collect();
        let mut monkey = ChaosMonkey::new(ConnectivityMatrix::from_rows(N, &rows).unwrap(), &[], 42);
        let throws = 20_000;
        for (from, to) in links() {
            let lost = (0..throws).filter(|_| !monkey.admits(from, to)).count();
            let expected = rows[from.index()][to.index()];
            // Five standard deviations of a binomial share, at most 0.018.
            let tolerance = 5.0 * (expected * (1.0 - expected) / f64::from(throws)).sqrt();
            let share = lost as f64 / f64::from(throws);
            assert!((share - expected).abs() <= tolerance, "{from} to {to}: {share} for {expected}");
        }
    }

    #[test]
    fn the_matrix_of_the_seed_document_cuts_replica_three_off_in_both_directions() {
        let rows = [
            vec![0.0, 0.1, 0.5, 1.0, 0.0],
            vec![1.0, 0.0, 0.4, 1.0, 0.0],
            vec![0.0, 0.0, 0.0, 1.0, 0.0],
            vec![1.0, 1.0, 1.0, 1.0, 1.0],
            vec![0.4, 0.0, 0.1, 1.0, 0.3],
        ];
        let mut monkey = ChaosMonkey::new(ConnectivityMatrix::from_rows(N, &rows).unwrap(), &[], 9);
        let three = ReplicaId(3);
        for other in ReplicaId::all(N) {
            for _ in 0..200 {
                assert!(!monkey.admits(three, other) && !monkey.admits(other, three));
            }
        }
        // Row i, column j is the share of i's messages that j drops: 1 from 1 to 0, but 0.1 from 0 to 1.
        assert!((0..200).all(|_| !monkey.admits(ReplicaId(1), ReplicaId(0))));
        assert!((0..200).filter(|_| monkey.admits(ReplicaId(0), ReplicaId(1))).count() > 150);
    }

    #[test]
    fn a_partition_lies_over_the_matrix_and_its_end_restores_the_matrix() {
        let mut monkey = monkey(0.25, 1);
        let group: ReplicaSet = [0, 1].into_iter().map(ReplicaId).collect();
        monkey.partition(group);
        monkey.set_link(0, 2, 0.5).unwrap();
        for (from, to) in links() {
            let across = group.contains(from) != group.contains(to);
            assert_eq!(monkey.loss(from, to), if across { 1.0 } else { 0.25 }, "{from} to {to}");
        }
        monkey.end_partition();
        assert_eq!(monkey.loss(ReplicaId(0), ReplicaId(2)), 0.5);
        assert_eq!(monkey.loss(ReplicaId(0), ReplicaId(3)), 0.25);
        monkey.heal();
        assert_eq!(monkey.loss(ReplicaId(0), ReplicaId(2)), 0.25);
    }

    #[test]
    fn isolations_add_up_and_leave_a_replica_only_itself() {
        let mut monkey = monkey(0.0, 1);
        monkey.isolate(ReplicaId(1));
        monkey.isolate(ReplicaId(3));
        for (from, to) in links() {
            let cut = from != to && [from, to].iter().any(|r| [1, 3].contains(&r.0));
            assert_eq!(monkey.loss(from, to) == 1.0, cut, "{from} to {to}");
        }
        monkey.end_partition();
        assert!(links().all(|(from, to)| monkey.loss(from, to) == 0.0));
    }

    #[test]
    fn the_effective_matrix_shows_the_loss_of_each_link() {
        let mut monkey = monkey(0.25, 1);
        monkey.partition([0, 1].into_iter().map(ReplicaId).collect());
        monkey.isolate(ReplicaId(3));
        monkey.set_link(0, 1, 0.5).unwrap();
        let effective = monkey.effective_matrix();
        assert!(links().all(|(from, to)| effective.loss(from, to) == monkey.loss(from, to)));
        assert_eq!(effective.loss(ReplicaId(3), ReplicaId(3)), 0.25, "it still hears itself");
        monkey.end_partition();
        assert_eq!(monkey.effective_matrix(), *monkey.matrix());
    }

    #[test]
    fn traffic_on_one_link_never_moves_the_random_stream_of_another() {
        let (mut one, mut two) = (monkey(0.5, 3), monkey(0.5, 3));
        for _ in 0..1_000 {
            two.admits(ReplicaId(0), ReplicaId(1));
        }
        two.set_link(0, 1, 1.0).unwrap();
        for _ in 0..1_000 {
            assert_eq!(one.admits(ReplicaId(1), ReplicaId(0)), two.admits(ReplicaId(1), ReplicaId(0)));
        }
    }

    #[test]
    fn a_message_lost_at_a_low_rate_is_also_lost_at_a_higher_one() {
        let (mut low, mut high) = (monkey(0.1, 3), monkey(0.3, 3));
        for _ in 0..10_000 {
            let (through_low, through_high) =
                (low.admits(ReplicaId(0), ReplicaId(1)), high.admits(ReplicaId(0), ReplicaId(1)));
            assert!(through_low || !through_high);
        }
    }

    #[test]
    fn a_loss_takes_the_nth_message_of_its_link_and_moves_no_random_stream() {
        let loss = |from, to, nth| Loss { from: ReplicaId(from), to: ReplicaId(to), nth };
        let losses = [loss(0, 1, 900), loss(2, 1, 7), loss(0, 1, 1), loss(0, 1, 17)];
        let matrix = ConnectivityMatrix::uniform(N, 0.25).unwrap();
        let mut plain = ChaosMonkey::new(matrix.clone(), &[], 3);
        let mut scripted = ChaosMonkey::new(matrix, &losses, 3);
        for nth in 1..=1_000 {
            for (from, to) in links() {
                let lost = losses.contains(&Loss { from, to, nth });
                let expected = plain.admits(from, to) && !lost;
                assert_eq!(scripted.admits(from, to), expected, "message {nth} from {from} to {to}");
            }
        }
    }
}
