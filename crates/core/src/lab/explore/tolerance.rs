//! Takes the faults out of a drawn scenario that a protocol need not survive.

use crate::chaos::{Act, ConnectivityMatrix, Fault, Reach};
use crate::engine::Delay;
use crate::lab::{Protocol, Tolerance};
use crate::record::World;
use crate::scenario::{Network, Scenario};
use crate::time::Span;

/// Runs with clients that compare and swap, name their updates or give up have few requests, on two keys at least. The checker
/// has to put what is open at one time in every order: with 80 requests it gave up in 12 of 20,000 runs, with 30 in 1 of
/// 300,000.
pub(super) const REQUESTS_OF_VARIED_MAX: u64 = 30;

/// Takes all faults out of a scenario that the protocol need not survive, or that its world cannot play. The others stay as
/// they were drawn.
pub(super) fn fit(scenario: &mut Scenario, protocol: &Protocol) {
    if protocol.world() == World::Lan {
        // Stations have no disks. One that stands crashes does without.
        scenario.disk = None;
        scenario.events.retain(|event| event.fault.reach() != Reach::Simulated);
    }
    if protocol.timing().wants_few_clients && scenario.operations.is_none() {
        scenario.requests = scenario.requests.min(REQUESTS_OF_VARIED_MAX);
    }
    spare(scenario, protocol.tolerates());
    be_survivable(scenario, protocol.tolerates().wipes);
    keep_time(scenario, protocol.timing().clock_drift_max);
    stay_within_files(scenario);
}

/// A corpus may have cases of people, with faults that are never drawn, since no protocol of replicas that trust their own
/// disks survives them in every order: disks that lie, clocks that jump, and mostly wiped disks.
fn be_survivable(scenario: &mut Scenario, may_wipe: bool) {
    scenario.events.retain(|event| match event.fault.act() {
        Some(Act::Clock { jump, .. }) => jump == Span::ZERO,
        Some(Act::LyingDisk) => false,
        _ => true,
    });
    for event in &mut scenario.events {
        if let Fault::Host { act: Act::Restart { wipe }, .. } = &mut event.fault {
            *wipe &= may_wipe;
        }
    }
}

/// A changed case may have the clocks of another one, whose protocol allows for more.
fn keep_time(scenario: &mut Scenario, drift_max: f64) {
    scenario.events.retain(|event| match event.fault.act() {
        // A rate is rounded.
        Some(Act::Clock { rate, .. }) => (rate.get() - 1.0).abs() <= drift_max + 1e-8,
        _ => true,
    });
}

/// What a file can say of delays, and of the time for which clients wait.
const DELAYS: (Span, Span) = (Span::from_micros(1), Span::from_secs(60));
const PATIENCE: (Span, Span) = (Span::from_millis(1), Span::from_secs(60));

/// A protocol may have timeouts of any length, and faults are measured by them. A repro file has limits.
fn stay_within_files(scenario: &mut Scenario) {
    let within = |span: &mut Span| *span = (*span).clamp(DELAYS.0, DELAYS.1);
    let clamp = |delay: &mut Delay| match delay {
        Delay::Constant(span) => within(span),
        Delay::Uniform { min, max } => [min, max].into_iter().for_each(within),
        Delay::Exponential { floor, mean: rest } | Delay::HeavyTail { floor, median: rest } => {
            [floor, rest].into_iter().for_each(within);
        }
    };
    if let Network::Links { delay, .. } = &mut scenario.network {
        clamp(delay);
    }
    scenario.disk.iter_mut().for_each(clamp);
    scenario.links.iter_mut().for_each(|link| clamp(&mut link.delay));
    for event in &mut scenario.events {
        if let Fault::DelayLink { delay: Some(delay), .. } = &mut event.fault {
            clamp(delay);
        }
    }
    if let Some(patience) = &mut scenario.patience {
        patience.timeout = patience.timeout.clamp(PATIENCE.0, PATIENCE.1);
    }
}

fn spare(scenario: &mut Scenario, tolerance: Tolerance) {
    if tolerance == Tolerance::ALL {
        return;
    }
    if !tolerance.losses {
        scenario.matrix = ConnectivityMatrix::uniform(scenario.replicas, 0.0).expect("no loss is a probability");
    }
    if !tolerance.duplicates {
        scenario.duplicate = 0.0;
    }
    if !tolerance.damage {
        scenario.damage = 0.0;
    }
    if !tolerance.crashes {
        scenario.disk = None;
    }
    scenario.events.retain(|event| stands(&event.fault, tolerance));
}

/// Whether a protocol must survive a fault.
fn stands(fault: &Fault, tolerance: Tolerance) -> bool {
    match fault {
        Fault::PartEasy
        | Fault::PartHard
        | Fault::PartEnd
        | Fault::Partition(_)
        | Fault::SetMatrix(_)
        | Fault::SetLink { .. }
        | Fault::Isolate(_)
        | Fault::Heal => tolerance.losses,
        Fault::Duplicate(_) => tolerance.duplicates,
        Fault::Damage(_) => tolerance.damage,
        Fault::DelayLink { .. } => true,
        Fault::KillLeader | Fault::KillNonLeader => tolerance.kills,
        Fault::Host { act, .. } => match act {
            Act::Kill => tolerance.kills,
            Act::Crash | Act::Restart { .. } => tolerance.crashes,
            Act::Pause | Act::Resume => tolerance.pauses,
            Act::StepDown => true,
            Act::Clock { .. } => tolerance.clocks,
            // A full or damaged disk shows when its host crashes.
            Act::SlowDisk { .. } | Act::FullDisk | Act::CorruptDisk | Act::LyingDisk | Act::MendDisk => {
                tolerance.crashes && tolerance.disks
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::FaultEvent;
    use crate::lab::explore::draw;
    use crate::subjects;

    #[test]
    fn a_protocol_that_stands_nothing_gets_no_fault_but_slow_links_and_planned_changes_of_leaders() {
        for seed in 0..200 {
            let mut scenario = draw(&subjects::raft(), seed).scenario;
            spare(&mut scenario, Tolerance::NONE);
            let is_harmless = |event: &FaultEvent| ["delay_link", "step_down"].contains(&event.fault.name());
            assert!(scenario.events.iter().all(is_harmless), "seed {seed}: {:?}", scenario.events);
            let (loss, rest) = (scenario.matrix.uniform_loss(), (scenario.duplicate, scenario.damage, scenario.disk));
            assert_eq!((loss, rest), (Some(0.0), (0.0, 0.0, None)), "seed {seed}");
        }
    }

    #[test]
    fn clocks_stay_within_the_drift_that_the_protocol_allows_for() {
        let clocks = |scenario: &Scenario| {
            scenario.events.iter().filter(|event| matches!(event.fault.act(), Some(Act::Clock { .. }))).count()
        };
        let mut strict = subjects::raft();
        strict.set("raft.clock_drift_max", 0.0).expect("a parameter");
        let (mut drawn, mut left) = (0, 0);
        for seed in 0..200 {
            let case = draw(&subjects::raft(), seed);
            let mut scenario = case.scenario.clone();
            fit(&mut scenario, &case.protocol);
            assert_eq!(scenario, case.scenario, "what is drawn fits");
            fit(&mut scenario, &strict);
            drawn += clocks(&case.scenario);
            let wrong = |event: &FaultEvent| matches!(event.fault.act(), Some(Act::Clock { rate, .. }) if rate != crate::engine::Rate::EXACT);
            left += scenario.events.iter().filter(|event| wrong(event)).count();
        }
        assert!(drawn > 20 && left == 0, "{drawn} and {left}");
    }

    #[test]
    fn each_tolerance_lets_its_own_faults_through() {
        type Allow = fn(&mut Tolerance);
        let kinds: [(Allow, &[&str]); 4] = [
            (|tolerance| tolerance.kills = true, &["kill_leader", "kill_non_leader"]),
            (|tolerance| tolerance.pauses = true, &["pause", "resume"]),
            (|tolerance| tolerance.clocks = true, &["clock"]),
            (|tolerance| tolerance.crashes = true, &["crash", "restart"]),
        ];
        for (allow, names) in kinds {
            let mut tolerance = Tolerance::NONE;
            allow(&mut tolerance);
            let mut seen = std::collections::BTreeSet::new();
            for seed in 0..400 {
                let mut scenario = draw(&subjects::raft(), seed).scenario;
                spare(&mut scenario, tolerance);
                seen.extend(scenario.events.iter().map(|event| event.fault.name()));
            }
            seen.remove("delay_link");
            seen.remove("step_down");
            assert_eq!(seen.into_iter().collect::<Vec<_>>(), names);
        }
    }
}
