//! A host's disk: records in order, of which a prefix is synced.
//!
//! Records that are not synced are in the cache of an operating system. When the power fails, the disk keeps a part of
//! it from the beginning, and the record after that may be torn: the file ends within it. Synced records survive,
//! unless the disk damages one ([`Disk::corrupt`]) or has lied about a sync ([`Disk::set_lying`]).

use crate::engine::Delay;
use crate::machine::{Record, Recovered, Stored};
use crate::rng::Stream;
use crate::time::Span;

/// The disk of one host. Records are numbered from 0 in the order in which they were persisted.
///
/// Invariants:
/// - `synced <= persisted`, and a sync under way ends between the two.
/// - Only records before `synced` have been dropped, because a synced checkpoint replaces them.
#[derive(Clone, Debug)]
pub struct Disk<R> {
    records: Vec<Stored<R>>,
    /// How many records came before the first of `records` and were dropped.
    dropped: u64,
    /// This many records are synced.
    synced: u64,
    /// This many records would survive a power failure: fewer than are synced if the disk has lied.
    durable: u64,
    /// A sync is under way, and covers this many records.
    syncing: Option<u64>,
    /// How many syncs were begun.
    syncs: u64,
    /// How many records the machine wants to be synced.
    wanted: u64,
    /// The checkpoints that have not replaced anything yet, in order.
    checkpoints: Vec<Checkpoint>,
    /// The record that began a checkpoint that has not ended, by number.
    begun: Option<u64>,
    latency: Delay,
    /// The factor by which a sync takes longer than drawn.
    slowness: u64,
    full: bool,
    lying: bool,
    stream: Stream,
}

/// The first and the last record of a checkpoint, by number.
#[derive(Clone, Copy, Debug)]
struct Checkpoint {
    first: u64,
    last: u64,
}

/// What a power failure has done to a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PowerFailure {
    /// How many records were lost.
    pub lost: u64,
    /// Whether the first of them is torn.
    pub torn: bool,
}

impl<R: Record> Disk<R> {
    /// An empty disk whose syncs take this long. The stream draws the durations, and what a crash loses.
    pub const fn new(latency: Delay, stream: Stream) -> Disk<R> {
        Disk {
            records: Vec::new(),
            dropped: 0,
            synced: 0,
            durable: 0,
            syncing: None,
            syncs: 0,
            wanted: 0,
            checkpoints: Vec::new(),
            begun: None,
            latency,
            slowness: 1,
            full: false,
            lying: false,
            stream,
        }
    }

    /// How many records were ever persisted.
    pub fn persisted(&self) -> u64 {
        self.dropped + self.records.len() as u64
    }

    /// How many records are synced.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// Whether there is no room for more.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Appends a record to the queue of writes. Returns false and changes nothing if there is no room.
    pub fn persist(&mut self, record: R) -> bool {
        if self.full {
            return false;
        }
        let number = self.persisted();
        if record.begins_checkpoint() {
            self.begun = Some(number);
        }
        if record.ends_checkpoint() {
            self.checkpoints.push(Checkpoint { first: self.begun.take().unwrap_or(number), last: number });
        }
        self.records.push(Stored::Intact(record));
        true
    }

    /// Asks for a sync of all persisted records; false if they are synced already.
    pub fn want_sync(&mut self) -> bool {
        self.wanted = self.persisted();
        self.wanted > self.synced
    }

    /// Begins a sync if one is wanted and none is under way. Returns its number, and how long it takes. It covers all
    /// records persisted by now, so one sync serves all that wait.
    pub fn begin_sync(&mut self) -> Option<(u64, Span)> {
        if self.syncing.is_some() || self.wanted <= self.synced {
            return None;
        }
        self.syncing = Some(self.persisted());
        self.syncs += 1;
        Some((self.syncs, self.latency.draw(&mut self.stream) * self.slowness))
    }

    /// Whether this sync is the one under way.
    pub fn is_syncing(&self, number: u64) -> bool {
        self.syncing.is_some() && number == self.syncs
    }

    /// Restarts the sync under way, because the disk's speed has changed.
    pub fn restart_sync(&mut self) -> Option<(u64, Span)> {
        self.syncing = None;
        self.begin_sync()
    }

    /// The sync under way is done: returns how many records are synced now.
    pub fn finish_sync(&mut self) -> u64 {
        if let Some(up_to) = self.syncing.take() {
            self.synced = up_to;
            if !self.lying {
                self.durable = up_to;
                self.drop_replaced();
            }
        }
        self.synced
    }

    /// A checkpoint that is on the disk replaces all earlier records, in one step.
    fn drop_replaced(&mut self) {
        let done = self.checkpoints.partition_point(|checkpoint| checkpoint.last < self.durable);
        if let Some(Checkpoint { first, .. }) = self.checkpoints.drain(..done).next_back() {
            self.records.drain(..(first - self.dropped) as usize);
            self.dropped = first;
        }
    }

    /// The power fails: of the records that are not synced, a drawn number survives, from the first on.
    pub fn fail_power(&mut self) -> PowerFailure {
        let kept = self.stream.between(self.durable, self.persisted());
        let torn = self.stream.chance(0.5);
        self.fail_power_after(kept, torn)
    }

    /// The power fails after this many records have reached the disk, and perhaps within the next one.
    ///
    /// # Panics
    /// If that is less than was synced, or more than was persisted.
    pub fn fail_power_after(&mut self, kept: u64, torn: bool) -> PowerFailure {
        assert!(
            (self.durable..=self.persisted()).contains(&kept),
            "a disk keeps what is synced, and no more than it has"
        );
        let failure = PowerFailure { lost: self.persisted() - kept, torn: torn && kept < self.persisted() };
        self.records.truncate((kept - self.dropped) as usize);
        (self.synced, self.durable, self.wanted, self.syncing) = (kept, kept, kept, None);
        self.checkpoints.retain(|checkpoint| checkpoint.last < kept);
        // The machine has forgotten it.
        self.begun = None;
        self.drop_replaced();
        failure
    }

    /// The records that a machine reads when it starts.
    pub fn read(&self, torn: bool) -> Recovered<R> {
        Recovered { records: self.records.clone(), torn }
    }

    /// Damages one synced record, chosen at random. False if there is none.
    pub fn corrupt(&mut self) -> bool {
        let synced = (self.durable - self.dropped) as usize;
        if synced == 0 {
            return false;
        }
        let place = self.stream.below(synced as u64) as usize;
        self.records[place] = Stored::Damaged;
        true
    }

    /// Forgets everything, like a new disk.
    pub fn wipe(&mut self) {
        let all = self.persisted();
        self.records.clear();
        (self.dropped, self.synced, self.durable, self.wanted) = (all, all, all, all);
        (self.syncing, self.begun) = (None, None);
        self.checkpoints.clear();
        (self.slowness, self.full, self.lying) = (1, false, false);
    }

    /// Makes each sync take this many times as long from now on.
    pub fn set_slowness(&mut self, times: u64) {
        self.slowness = times;
    }

    /// Leaves no room for further records, or some again.
    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// From now on reports syncs that have not happened, or is honest again from the next sync on. No Raft cluster
    /// survives a majority of such disks.
    pub fn set_lying(&mut self, lying: bool) {
        self.lying = lying;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its number, and whether it ends a checkpoint. From 100 on it begins one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Line(u64, bool);

    impl Record for Line {
        fn begins_checkpoint(&self) -> bool {
            self.0 >= 100
        }

        fn ends_checkpoint(&self) -> bool {
            self.1
        }
    }

    fn disk(seed: u64) -> Disk<Line> {
        Disk::new(Delay::Constant(Span(5)), Stream::new(seed, "disk"))
    }

    fn sync(disk: &mut Disk<Line>) {
        assert!(disk.want_sync());
        assert_eq!(disk.begin_sync().map(|(_, span)| span), Some(Span(5)));
        disk.finish_sync();
    }

    fn numbers(disk: &Disk<Line>) -> Vec<u64> {
        let records = disk.read(false).records.into_iter();
        records.map(|stored| if let Stored::Intact(Line(number, _)) = stored { number } else { 999 }).collect()
    }

    #[test]
    fn a_power_failure_keeps_what_is_synced_and_any_prefix_of_the_rest() {
        let mut kept = [0; 6];
        let mut torn = 0;
        for seed in 0..600 {
            let mut disk = disk(seed);
            (0..2).for_each(|number| assert!(disk.persist(Line(number, false))));
            sync(&mut disk);
            (2..5).for_each(|number| assert!(disk.persist(Line(number, false))));
            let failure = disk.fail_power();
            let left = numbers(&disk);
            assert_eq!(left, (0..left.len() as u64).collect::<Vec<_>>());
            assert_eq!(failure.lost, 5 - left.len() as u64);
            assert!(!failure.torn || failure.lost > 0, "only what is lost can be torn");
            kept[left.len()] += 1;
            torn += u64::from(failure.torn);
        }
        assert_eq!(kept[..2], [0, 0], "what was synced is never lost");
        assert!(kept[2..].iter().all(|&count| count > 100), "{kept:?}");
        assert!((150..300).contains(&torn), "{torn} torn");
    }

    #[test]
    fn one_sync_serves_all_records_that_waited_and_later_records_wait_for_the_next() {
        let mut disk = disk(1);
        disk.persist(Line(0, false));
        assert!(disk.want_sync());
        disk.persist(Line(1, false));
        assert_eq!(disk.begin_sync().map(|(_, span)| span), Some(Span(5)));
        disk.persist(Line(2, false));
        assert!(disk.want_sync());
        assert_eq!(disk.begin_sync(), None, "one at a time");
        assert_eq!(disk.finish_sync(), 2);
        assert_eq!(disk.begin_sync().map(|(_, span)| span), Some(Span(5)));
        assert_eq!(disk.finish_sync(), 3);
        assert!(!disk.want_sync(), "all is synced");
        assert_eq!(disk.begin_sync(), None);
    }

    #[test]
    fn a_checkpoint_replaces_earlier_records_when_it_is_synced_and_not_before() {
        for keep_checkpoint in [false, true] {
            let mut disk = disk(1);
            disk.persist(Line(0, false));
            sync(&mut disk);
            disk.persist(Line(1, false));
            disk.persist(Line(2, true));
            disk.persist(Line(3, false));
            assert_eq!(numbers(&disk), [0, 1, 2, 3]);
            disk.fail_power_after(if keep_checkpoint { 3 } else { 2 }, false);
            assert_eq!(numbers(&disk), if keep_checkpoint { vec![2] } else { vec![0, 1] });
        }
        let mut disk = disk(1);
        disk.persist(Line(0, true));
        disk.persist(Line(1, false));
        disk.persist(Line(2, true));
        sync(&mut disk);
        assert_eq!(numbers(&disk), [2]);
        disk.persist(Line(3, false));
        assert_eq!(disk.fail_power_after(3, true), PowerFailure { lost: 1, torn: true });
        assert_eq!(numbers(&disk), [2]);
    }

    #[test]
    fn a_checkpoint_of_several_records_replaces_what_came_before_its_first_when_its_last_is_synced() {
        let mut disk = disk(1);
        for line in [Line(0, false), Line(100, false), Line(1, false), Line(101, false), Line(2, false)] {
            disk.persist(line);
        }
        sync(&mut disk);
        assert_eq!(numbers(&disk), [0, 100, 1, 101, 2], "it has not ended");
        disk.persist(Line(3, true));
        disk.persist(Line(4, false));
        for kept in [5, 6] {
            let mut disk = disk.clone();
            disk.fail_power_after(kept, false);
            let left = if kept == 5 { vec![0, 100, 1, 101, 2] } else { vec![101, 2, 3] };
            assert_eq!(numbers(&disk), left, "the one that was begun last has ended");
        }
        sync(&mut disk);
        assert_eq!(numbers(&disk), [101, 2, 3, 4]);
        // One that was under way at a crash is never ended.
        disk.persist(Line(102, false));
        sync(&mut disk);
        disk.fail_power();
        disk.persist(Line(5, true));
        disk.fail_power_after(disk.persisted(), false);
        assert_eq!(numbers(&disk), [5]);
    }

    #[test]
    fn a_lying_disk_loses_records_that_it_reported_as_synced() {
        let mut disk = disk(1);
        disk.set_lying(true);
        disk.persist(Line(0, false));
        sync(&mut disk);
        assert_eq!(disk.synced(), 1);
        assert_eq!(disk.fail_power_after(0, false).lost, 1);
        disk.set_lying(false);
        disk.persist(Line(0, false));
        sync(&mut disk);
        assert_eq!(disk.fail_power().lost, 0);
    }

    #[test]
    fn a_full_disk_accepts_no_record_and_a_damaged_record_is_read_as_damaged() {
        let mut disk = disk(1);
        assert!(!disk.corrupt(), "there is nothing yet");
        disk.persist(Line(0, false));
        sync(&mut disk);
        disk.set_full(true);
        assert!(!disk.persist(Line(1, false)));
        assert!(disk.corrupt());
        assert_eq!(disk.read(false).records, [Stored::Damaged]);
        disk.wipe();
        assert_eq!(disk.read(false), Recovered::empty());
    }
}
