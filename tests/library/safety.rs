//! Raft stays safe in random hostile scenarios and recovers from them: all checkers judge every run.

use seedbed::check::{Checker, OK};
use seedbed::lab::Judged;
use seedbed::lab::explore::draw;
use seedbed::subjects;

#[test]
fn raft_keeps_its_invariants_and_its_word_to_clients_and_recovers_in_random_hostile_scenarios() {
    let (mut elections, mut recoveries) = (0, 0);
    for seed in 0..1_500 {
        let Judged { record, judgement } = draw(&subjects::raft(), seed).run();
        let findings: Vec<String> = judgement.findings().iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "seed {seed}: {findings:#?}");
        let history = &record.history;
        assert_eq!((history.incorrect_gets, history.unknown, history.duplicates), (0, 0, 0), "seed {seed}");
        elections += judgement
            .opinion(&Checker::INVARIANTS)
            .and_then(|opinion| opinion.figure("terms_led")?.as_u64())
            .expect("Raft is watched");
        recoveries += usize::from(judgement.word(&Checker::LIVENESS) == OK);
    }
    println!("{elections} elections, {recoveries} recoveries");
    assert!(elections > 3_000, "only {elections} elections");
    assert!(recoveries > 1_400, "only {recoveries} runs in which progress could be demanded");
}
