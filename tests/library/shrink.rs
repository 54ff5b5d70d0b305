//! Failures of Rafts without one of their rules, shrunk: small, the same failure, and good as files.

use std::ops::ControlFlow;

use seedbed::chaos::{ConnectivityMatrix, Fault, FaultEvent};
use seedbed::check::{Checker, Finding};
use seedbed::lab::explore::draw;
use seedbed::lab::shrink::{Shrunk, Size, shrink};
use seedbed::lab::{Case, PANIC, Protocol, Repro, Trial};
use seedbed::scenario::Scenario;
use seedbed::service::Operation;
use seedbed::subjects;
use seedbed::time::Span;
use seedbed::workload::{Kind, Patience, ScriptedOperation};
use seedbed_core::raft::Rule;

/// Rules that fail soon and shrink fast, one or more for each checker that can convict a Raft.
const RULES: [Rule; 6] = [
    Rule::VoteOnce,
    Rule::TruncateConflicts,
    Rule::CommitWhatMatches,
    Rule::AnswerAfterCommit,
    Rule::ReadOnlyConfirmed,
    Rule::BackUpOnConflict,
];

fn without(rule: Rule) -> Protocol {
    subjects::raft().without(rule.name()).expect("a rule of Raft")
}

/// The first drawn case that fails without this rule.
fn failing(rule: Rule) -> (Case, Trial) {
    let trials = (0..4_000).map(|seed| {
        let case = draw(&without(rule), seed);
        let trial = case.attempt();
        (case, trial)
    });
    trials.into_iter().find(|(_, trial)| !trial.passed()).unwrap_or_else(|| panic!("{rule} never fails"))
}

fn shrunk(case: &Case, finding: &Finding, budget: u64) -> Shrunk {
    shrink(case, finding, budget, |_| ControlFlow::Continue(())).expect("it fails")
}

#[test]
fn failures_become_small_and_stay_the_same_and_their_files_replay_to_the_bit() {
    for rule in RULES {
        let (case, trial) = failing(rule);
        let finding = &trial.findings[0];
        let small = shrunk(&case, finding, 20_000);
        let scenario = &small.case.scenario;
        let faults = scenario.events.len() + scenario.losses.len();
        assert!(scenario.requests <= 12 && faults <= 8, "{rule}: {} requests, {faults} faults", scenario.requests);
        assert!(losses_are_sure(scenario), "{rule}: no message is lost by chance");
        assert!(small.trial.findings.iter().any(|other| other.is_like(finding)), "{rule}: {:?}", small.trial.findings);

        let repro = Repro::of(&small.case, &small.trial);
        let mut file = Vec::new();
        repro.write(&mut file).expect("a vector takes everything");
        let text = String::from_utf8(file).expect("JSON is text");
        assert!(text.lines().count() < 60, "{rule}: good to read\n{text}");
        let loaded =
            Repro::parse("r.json", &text, &subjects::builtin()).unwrap_or_else(|error| panic!("{rule}: {error}"));
        assert_eq!(loaded.repro, repro, "{rule}");
        assert_eq!(loaded.warnings, [""; 0], "{rule}");
        let again = loaded.repro.case.attempt();
        assert_eq!((again.trace(), &again.findings), (small.trial.trace(), &small.trial.findings), "{rule}");
    }
}

/// Whether every link loses all or nothing at any time.
fn losses_are_sure(scenario: &Scenario) -> bool {
    let sure = |value: f64| value == 0.0 || value == 1.0;
    let all_sure = |matrix: &ConnectivityMatrix| matrix.rows().all(|row| row.iter().copied().all(sure));
    let events = scenario.events.iter().all(|event| match &event.fault {
        Fault::SetMatrix(matrix) => all_sure(matrix),
        Fault::SetLink { value, .. } => sure(*value),
        _ => true,
    });
    events && all_sure(&scenario.matrix)
}

#[test]
fn what_is_shrunk_passes_when_the_rule_is_kept() {
    // Few votes and many losses stop any Raft, so a shrinker that looked at nothing but the failure would end there.
    // `examples/slips.rs` does the same with 200 failures of all rules.
    let rules = [Rule::BackUpOnConflict, Rule::RaiseTerm, Rule::TruncateConflicts];
    let cases = (0..2_000).flat_map(|seed| rules.map(|rule| draw(&without(rule), seed)));
    let failures = cases.filter_map(|case| {
        let finding = case.attempt().findings.into_iter().next()?;
        (finding.checker == Checker::LIVENESS).then_some((case, finding))
    });
    let mut tried = 0;
    for (case, finding) in failures.take(10) {
        let mut small = shrunk(&case, &finding, 3_000).case;
        small.protocol = small.protocol.sound();
        assert_eq!(small.attempt().findings, [], "seed {}", case.seed);
        tried += 1;
    }
    assert_eq!(tried, 10);
}

#[test]
fn the_same_case_and_budget_give_the_same_result_and_no_more_runs_than_allowed() {
    let (case, trial) = failing(Rule::ReadOnlyConfirmed);
    let mut shown = Vec::new();
    let mut once = |budget| {
        shown.clear();
        let result = shrink(&case, &trial.findings[0], budget, |step| {
            shown.push(step.runs);
            ControlFlow::Continue(())
        })
        .expect("it fails");
        assert!(shown.is_sorted(), "progress goes forward");
        (result.case, result.runs)
    };
    assert_eq!(once(10_000), once(10_000));
    let (_, little) = once(50);
    // The last run may be long, which counts as several.
    assert!(little <= 50 + 10, "{little}");
}

#[test]
fn a_budget_of_one_run_gives_the_case_back_or_a_smaller_one() {
    let (case, trial) = failing(Rule::AnswerAfterCommit);
    let small = shrunk(&case, &trial.findings[0], 1);
    assert!(small.trial.findings.iter().any(|other| other.is_like(&trial.findings[0])));
    assert!(Size::of(&small.case) <= Size::of(&case));
}

#[test]
fn wherever_shrinking_stops_its_result_can_be_written_and_read_back() {
    let mut tried = 0;
    for seed in 0..2_000 {
        let case = draw(&without(Rule::AnswerAfterCommit), seed);
        let is_slow = |event: &FaultEvent| matches!(event.fault, Fault::DelayLink { .. });
        if !case.scenario.events.iter().any(is_slow) {
            continue;
        }
        let trial = case.attempt();
        let Some(finding) = trial.findings.first() else { continue };
        for budget in [5, 20, 40, 60, 80, 120, 160, 240, 320] {
            let small = shrunk(&case, finding, budget);
            let mut file = Vec::new();
            Repro::of(&small.case, &small.trial).write(&mut file).expect("a vector takes everything");
            let loaded = Repro::parse("r.json", &String::from_utf8(file).expect("JSON is text"), &subjects::builtin());
            let loaded = loaded.unwrap_or_else(|error| panic!("seed {seed}, {budget} runs: {error}"));
            assert_eq!(loaded.repro.case, small.case, "seed {seed}, {budget} runs");
        }
        tried += 1;
        if tried == 10 {
            return;
        }
    }
    panic!("only {tried} cases failed");
}

#[test]
fn a_case_with_named_updates_and_impatient_clients_shrinks_to_plain_ones_and_short_names() {
    let patience = Patience { timeout: Span::from_millis(80), retries: 3 };
    let failing = (0..1_000).find_map(|seed| {
        let mut case = draw(&without(Rule::CommitWhatMatches), seed);
        case.scenario.kind = Some(Kind::Cas { count: 3, updates: true });
        case.scenario.patience = Some(patience);
        let trial = case.attempt();
        // How much a replica may hold depends on its clients.
        let of_raft = |finding: &&Finding| finding.checker == Checker::INVARIANTS && finding.kind != "holds too much";
        let finding = trial.findings.iter().find(of_raft)?.clone();
        Some((case, finding))
    });
    let (case, finding) = failing.expect("one of them fails");
    let small = shrunk(&case, &finding, 20_000);
    let scenario = &small.case.scenario;
    assert!(scenario.requests <= 12 && scenario.patience.is_none(), "{finding:?} {scenario:?}");
    let operations = scenario.operations.as_deref().expect("requests are written down");
    for ScriptedOperation { operation, .. } in operations {
        if let Operation::Update(update) = operation {
            let name = update.request.expect("it had a name");
            assert!(update.key.len() == 1 && update.value.len() <= 1 && name.client <= 8, "{operation:?}");
        }
    }
    let mut file = Vec::new();
    Repro::of(&small.case, &small.trial).write(&mut file).expect("a vector takes everything");
    let text = String::from_utf8(file).expect("JSON is text");
    let loaded = Repro::parse("r.json", &text, &subjects::builtin()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(loaded.repro.case, small.case);
}

#[test]
fn what_does_not_fail_that_way_is_not_shrunk() {
    let (mut case, trial) = failing(Rule::VoteOnce);
    case.protocol = case.protocol.sound();
    assert!(shrink(&case, &trial.findings[0], 100, |_| ControlFlow::Continue(())).is_none());
}

#[test]
fn naive_replication_is_shrunk_to_a_lost_message() {
    let mut case = draw(&subjects::raft(), 0);
    case.protocol = subjects::broadcast();
    case.scenario.requests = 60;
    let trial = case.attempt();
    let finding =
        trial.findings.iter().find(|finding| finding.checker == Checker::LINEARIZABILITY).expect("it is wrong");
    let small = shrunk(&case, finding, 20_000).case.scenario;
    assert!(small.requests <= 3, "{}", small.requests);
    assert!(small.events.len() + small.losses.len() <= 2, "{:?} {:?}", small.events, small.losses);
}

#[test]
fn a_panic_is_a_finding_in_one_line() {
    let trial = Trial::of(|| panic!("two\nlines"));
    assert_eq!((trial.findings.len(), trial.trace()), (1, None));
    let Finding { checker, kind, text, .. } = &trial.findings[0];
    assert_eq!((checker, kind.as_str()), (&Checker::INVARIANTS, PANIC));
    assert!(text.starts_with("the run panicked: two lines (tests/library/shrink.rs:"), "{text}");
    let repro = Repro::of(&draw(&subjects::raft(), 0), &trial);
    let mut file = Vec::new();
    repro.write(&mut file).expect("a vector takes everything");
    let text = String::from_utf8(file).expect("JSON is text");
    assert!(text.contains("\"trace\": null"), "{text}");
    assert_eq!(Repro::parse("r.json", &text, &subjects::builtin()).expect("a repro").repro, repro);
}
