//! Scenarios in a few words.

use seedbed_core::chaos::{Act, ConnectivityMatrix, Fault};
use seedbed_core::scenario::Scenario;

/// A scenario in a few words, as in `10% drops, 1 leader killed, 20% read`.
pub fn describe(scenario: &Scenario) -> String {
    let read = format!("{}% read", percent(scenario.mix));
    [drops(&scenario.matrix), faults(scenario), read].join(", ")
}

fn drops(matrix: &ConnectivityMatrix) -> String {
    let mut links = matrix.rows().enumerate().flat_map(|(from, row)| {
        // Replicas do not send to themselves, so the diagonal says nothing.
        row.iter().enumerate().filter(move |&(to, _)| to != from).map(|(_, &loss)| loss)
    });
    let first = links.next().unwrap_or(0.0);
    if links.any(|loss| loss != first) {
        "Drops by link".to_owned()
    } else if first == 0.0 {
        "No drops".to_owned()
    } else {
        format!("{}% drops", percent(first))
    }
}

/// The kinds of faults with their numbers. The ends of partitions are not mentioned.
fn faults(scenario: &Scenario) -> String {
    type Kind = (&'static str, &'static str, fn(&Fault) -> bool);
    const KINDS: [Kind; 15] = [
        ("easy partition", "easy partitions", |fault| matches!(fault, Fault::PartEasy)),
        ("hard partition", "hard partitions", |fault| matches!(fault, Fault::PartHard)),
        ("isolation", "isolations", |fault| matches!(fault, Fault::Isolate(_))),
        ("change of links", "changes of links", |fault| matches!(fault, Fault::SetMatrix(_) | Fault::SetLink { .. })),
        ("non-leader killed", "non-leaders killed", |fault| matches!(fault, Fault::KillNonLeader)),
        ("leader killed", "leaders killed", |fault| matches!(fault, Fault::KillLeader)),
        ("replica killed", "replicas killed", |fault| matches!(fault, Fault::Host { act: Act::Kill, .. })),
        ("partition", "partitions", |fault| matches!(fault, Fault::Partition(_))),
        ("slow link", "slow links", |fault| matches!(fault, Fault::DelayLink { delay: Some(_), .. })),
        ("duplication", "duplications", |fault| matches!(fault, Fault::Duplicate(_))),
        ("change of damage", "changes of damage", |fault| matches!(fault, Fault::Damage(_))),
        ("crash", "crashes", |fault| matches!(fault.act(), Some(Act::Crash))),
        ("pause", "pauses", |fault| matches!(fault.act(), Some(Act::Pause))),
        ("clock changed", "clocks changed", |fault| matches!(fault.act(), Some(Act::Clock { .. }))),
        (
            "disk fault",
            "disk faults",
            |fault| matches!(fault.act(), Some(act) if act.row().needs_disks && !act.is_of_power()),
        ),
    ];
    let mut words = Vec::new();
    for (one, many, is_kind) in KINDS {
        match scenario.events.iter().filter(|event| is_kind(&event.fault)).count() {
            0 => {}
            1 => words.push(format!("1 {one}")),
            count => words.push(format!("{count} {many}")),
        }
    }
    if words.is_empty() { "no failures".to_owned() } else { words.join(", ") }
}

/// A fraction in percent, with two decimals at most.
fn percent(fraction: f64) -> f64 {
    (fraction * 10_000.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::chaos::FaultEvent;
    use seedbed_core::check::fixture;
    use seedbed_core::id::ReplicaId;
    use seedbed_core::time::Time;

    fn with(loss: f64, mix: f64, faults: &[Fault]) -> Scenario {
        let events = faults.iter().map(|fault| FaultEvent { time: Time::ZERO, fault: fault.clone() }).collect();
        let matrix = ConnectivityMatrix::uniform(5, loss).unwrap();
        Scenario { mix, matrix, events, ..fixture::scenario() }
    }

    #[test]
    fn a_description_names_drops_kinds_of_faults_and_the_share_of_reads() {
        assert_eq!(describe(&with(0.0, 0.8, &[])), "No drops, no failures, 80% read");
        assert_eq!(describe(&with(0.15, 0.2, &[Fault::KillLeader])), "15% drops, 1 leader killed, 20% read");
        let faults = [
            Fault::PartHard,
            Fault::PartEnd,
            Fault::PartHard,
            Fault::Heal,
            Fault::KillNonLeader,
            Fault::isolate(ReplicaId(1)),
        ];
        assert_eq!(
            describe(&with(0.125, 0.0, &faults)),
            "12.5% drops, 2 hard partitions, 1 isolation, 1 non-leader killed, 0% read"
        );
    }

    #[test]
    fn replicas_that_are_killed_by_their_numbers_are_counted() {
        let kill = |replica| Fault::kill(ReplicaId(replica));
        assert_eq!(describe(&with(0.0, 0.2, &[kill(1)])), "No drops, 1 replica killed, 20% read");
        assert_eq!(
            describe(&with(0.0, 0.2, &[Fault::KillLeader, kill(1), kill(1)])),
            "No drops, 1 leader killed, 2 replicas killed, 20% read"
        );
    }

    #[test]
    fn uneven_links_are_said_to_be_so_and_the_diagonal_does_not_count() {
        let mut scenario = with(0.0, 0.2, &[]);
        scenario.matrix.set(3, 3, 1.0).unwrap();
        assert_eq!(describe(&scenario), "No drops, no failures, 20% read");
        scenario.matrix.set(3, 4, 1.0).unwrap();
        assert_eq!(describe(&scenario), "Drops by link, no failures, 20% read");
    }
}
