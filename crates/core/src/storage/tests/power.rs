//! The power fails at any step of any commit.

use std::fs;

use super::*;

/// Drawn commits, with checkpoints in one and in several records; the power fails at a drawn step.
#[test]
fn after_a_power_failure_all_synced_records_are_there_and_of_the_others_whole_commits() {
    let mut outcomes = [0; 2];
    for seed in 0..300 {
        let mut stream = Stream::new(seed, "power");
        let original = folder();
        let mut memory = Memory::default();
        let opened = Storage::<Line>::open_on(original.path(), &owner(), Sync::Always, |file| {
            let mut bytes = vec![0; file.metadata().expect("a file").len() as usize];
            Medium::read(&file, 0, &mut bytes).expect("a file");
            memory = Memory::of(bytes);
            Box::new(memory.clone())
        });
        let (mut storage, _) = opened.expect("a folder");
        memory.with(|pages| pages.fails_at = Some(pages.steps + stream.below(120)));
        let mut written: Vec<Line> = Vec::new();
        let mut acknowledged = 0;
        let mut ends = vec![0];
        // `synced` as it was before the commit in which the power fails.
        let synced = original.path().join("synced");
        let mut claim = fs::read(&synced).expect("a file");
        while !memory.has_failed() {
            let marks: String =
                (0..1 + stream.below(4)).map(|_| ['.', '.', '.', '[', ']'][stream.below(5) as usize]).collect();
            let mut new = lines(written.len() as u64, &marks);
            new[0].2 = vec![7; stream.below(20_000) as usize];
            storage.write(&new).expect("the machine does not notice");
            written.extend(new);
            ends.push(written.len());
            if !memory.has_failed() {
                acknowledged = written.len();
                claim = fs::read(&synced).expect("a file");
            }
        }
        let left = folder();
        let kept = [0.0, 0.5, 0.95, 1.0][stream.below(4) as usize];
        fs::write(left.path().join("seedbed.redb"), memory.after_failure(kept, &mut stream)).expect("room");
        // A power failure may take the claim away, too.
        if seed % 3 > 0 {
            fs::write(left.path().join("synced"), &claim[..if seed % 3 == 1 { claim.len() } else { 5 }]).expect("room");
        }
        let read = read_back(left.path()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let kept = ends.iter().rev().find(|&&end| read == written[first_of(&written[..end]) as usize..end]);
        let kept = *kept.unwrap_or_else(|| panic!("seed {seed}: {:?} of {written:?}", numbers(&read)));
        assert!(kept >= acknowledged, "seed {seed}: {kept} of {acknowledged}");
        outcomes[usize::from(kept > acknowledged)] += 1;
    }
    assert!(outcomes.iter().all(|&count| count > 5), "both happen: {outcomes:?}");
}
