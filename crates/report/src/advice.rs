//! What a finding means, and where to look first: the one table of plain words for all reports.
//!
//! It only explains. Whether a run passes is decided by the checkers, before anything here is asked.

use std::io::{self, Write};

use super::summary::RunSummary;
use super::text::heading;
use seedbed_core::check::{CUT_SHORT, Checker, Finding, OBSTACLE};
use seedbed_core::lab::PANIC;

/// What findings of one kind mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    /// The kind of the findings.
    pub kind: String,
    /// What it means and what to do, in plain words.
    pub text: String,
    /// Causes have lower numbers than what mostly follows from them.
    rank: usize,
}

/// The advice on all findings of a run, without repetition: likely causes first.
pub(super) fn of(run: &RunSummary) -> Vec<Advice> {
    let findings = run.judgement.findings();
    let mut advice: Vec<Advice> = findings.iter().map(|finding| on(finding, &findings, run)).collect();
    advice.sort_by_key(|advice| advice.rank);
    advice.dedup();
    advice
}

/// The advice on one of these findings of a run.
pub(super) fn on(finding: &Finding, findings: &[Finding], run: &RunSummary) -> Advice {
    let is_row = |row: &&Row| row.checker == finding.checker && row.kind.is_none_or(|kind| kind == finding.kind);
    let found = ROWS.iter().enumerate().find(|(_, row)| is_row(row));
    // A protocol may have checkers of its own.
    let (rank, text) = found.map_or((ROWS.len(), OF_ITS_OWN), |(rank, row)| (rank, row.text));
    let is_ungenerated = finding.checker == Checker::COURSE && finding.kind == UNGENERATED;
    let text = if is_ungenerated { ungenerated(findings, run) } else { text.to_owned() };
    Advice { kind: finding.kind.clone(), text, rank }
}

/// What to say below a row of a table: only that a finding is not about the program, since a table is short.
pub(super) fn in_table(run: &RunSummary) -> Option<String> {
    let is_chance = is_chance(&run.judgement.findings(), run);
    is_chance.then(|| format!("this is about the clients' random choices and not about the program: {REMEDY}"))
}

/// Writes the section of a report, with a blank line above it; nothing for a run that passed.
///
/// # Errors
/// If writing fails.
pub(super) fn write(out: &mut impl Write, run: &RunSummary) -> io::Result<()> {
    let advice = of(run);
    if advice.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    heading(out, "## What to Look at First")?;
    for (place, Advice { kind, text, .. }) in advice.iter().enumerate() {
        writeln!(out, "{}. {kind}: {text}", place + 1)?;
    }
    Ok(())
}

struct Row {
    checker: Checker,
    /// None fits all other kinds of this checker.
    kind: Option<&'static str>,
    text: &'static str,
}

const fn row(checker: Checker, kind: &'static str, text: &'static str) -> Row {
    Row { checker, kind: Some(kind), text }
}

const fn rest(checker: Checker, text: &'static str) -> Row {
    Row { checker, kind: None, text }
}

/// The kind of a run in which too many gets could not be generated.
const UNGENERATED: &str = "gets not generated";

/// What a finding of a checker means that only the protocol knows.
const OF_ITS_OWN: &str = "A checker of the protocol's own has found this. The line above has what happened; \
                          `--trace FILE` writes every event up to then.";

/// The order is that of causes: what is further up often brings about what is further down.
static ROWS: [Row; 21] = [
    row(
        Checker::LIVENESS,
        OBSTACLE,
        "This does not say that the program is wrong: it did what virtual time cannot answer, and the line above has what \
         it was. Play the scenario with real processes in real time, or do without that call.",
    ),
    row(
        Checker::COURSE,
        OBSTACLE,
        "The course's checks judge whole runs, and this one was cut short: look at the other finding.",
    ),
    row(
        Checker::COURSE,
        CUT_SHORT,
        "While replicas know no leader, or name each other, clients ask again at once, up to a bound. Look at why no \
         leader was found, and answer only when one is known.",
    ),
    row(
        Checker::COURSE,
        "replicas died",
        "A replica counts as died although the scenario did not kill it: it ended by itself, or it was sent something \
         before its hello, or it sent an empty datagram or bytes that are not UTF-8. The warnings on standard error say \
         which; read what it printed last, too (leave out -s). Most other findings can follow from this one.",
    ),
    row(
        Checker::COURSE,
        "nothing stored",
        "No put was ever answered `ok`. Check in this order: each replica says `hello`, one of them becomes leader, \
         and it answers every put with the MID of the request.",
    ),
    row(
        Checker::INVARIANTS,
        PANIC,
        "The code of the protocol, of its clients or of a checker panicked. The line above has the place in the source; \
         `--trace FILE` writes every event up to then.",
    ),
    rest(
        Checker::INVARIANTS,
        "A replica broke one of the protocol's rules, perhaps long before a client could notice. The line above has the rule, \
         the time and the replica; `--trace FILE` writes every event up to then.",
    ),
    row(
        Checker::LINEARIZABILITY,
        "unknown",
        "The checker ran out of budget: too many operations on one key overlap. This says nothing about the program. \
         Use fewer requests, or more keys.",
    ),
    rest(
        Checker::LINEARIZABILITY,
        "Clients saw answers that no single copy of the store could have given: an acknowledged write was lost, or an \
         old value was read. The operations are listed above; the last of them is the wrong one.",
    ),
    row(
        Checker::COURSE,
        "incorrect responses",
        "A client got a wrong value, or an answer to a request that it did not send or that was redirected before. For \
         the course, a value that the client put without an acknowledgement is wrong, too. With real processes, \
         malformed datagrams count, and the warnings on standard error quote them.",
    ),
    row(
        Checker::LIVENESS,
        CUT_SHORT,
        "The run did not reach its end, so it says nothing about the rest. Replicas or clients sent far more messages \
         than there were requests: look for messages that answer each other without end.",
    ),
    row(
        Checker::LIVENESS,
        "no write acknowledged",
        "A majority lived and was connected, and still no put was acknowledged. Check that a leader is elected after \
         the last fault, and that it commits: it needs answers from a majority.",
    ),
    rest(
        Checker::ANSWERS,
        "A client got an answer too many. Answer each request once, with its own MID: look for requests that are still \
         kept after they were answered, for instance when the leader changes.",
    ),
    rest(
        Checker::PROMPTNESS,
        "Nothing was in the way of the replicas, and still an answer took many times as long as messages and syncs take. \
         Look for work that waits for the next timeout although it could be done at once.",
    ),
    row(
        Checker::LIVENESS,
        "no read acknowledged",
        "A majority lived and was connected, and still no get was acknowledged. Check that a leader that cannot be sure \
         that it still leads asks a majority, and answers when that has confirmed it.",
    ),
    rest(
        Checker::LIVENESS,
        "A living replica never answered a request. Check which requests are forgotten, for instance when the leader \
         changes. Clients without a timeout never send a request again by themselves.",
    ),
    row(
        Checker::COURSE,
        "puts unanswered",
        "More puts stayed without an answer than `tests.maximum_put_fail_fraction` allows. Clients without a \
         timeout never send a request again, so answer each one, if need be with `redirect` or `fail`.",
    ),
    row(
        Checker::COURSE,
        "gets unanswered",
        "More gets stayed without an answer than `tests.maximum_get_fail_fraction` allows. Clients without a \
         timeout never send a request again, so answer each one, if need be with `redirect` or `fail`.",
    ),
    row(
        Checker::COURSE,
        "too few messages",
        "Replicas sent each other fewer messages than it takes to copy each put, so puts are probably acknowledged \
         before a majority has them. `tests.maximum_appends_batched_fraction` says how much batching is allowed.",
    ),
    row(Checker::COURSE, UNGENERATED, ""),
    rest(Checker::COURSE, "The course's runner would fail this run, too."),
];

/// What to do about that.
const REMEDY: &str = "try another seed, or raise the limit with --set tests.maximum_get_generation_fail_fraction=1";

/// Whether the clients' random choices alone have failed a run: no put was refused, and hardly any answer came later than
/// its client's next request.
fn is_chance(findings: &[Finding], run: &RunSummary) -> bool {
    let is_alone = matches!(findings, [only] if only.checker == Checker::COURSE && only.kind == UNGENERATED);
    is_alone && bad_puts(run) == 0 && !is_slow(run)
}

/// Puts without an acknowledgement.
fn bad_puts(run: &RunSummary) -> u64 {
    run.statistics.unanswered_puts + run.statistics.failed_puts
}

/// Whether answers regularly come so late that the client's next request finds nothing to read.
fn is_slow(run: &RunSummary) -> bool {
    run.latency.is_some_and(|latency| latency.p90 > run.client_interval)
}

fn ungenerated(findings: &[Finding], run: &RunSummary) -> String {
    const MEANING: &str = "A client reads only keys of its own whose puts were acknowledged. While it has none, a get \
                           becomes a put, and the course limits how many may.";
    if is_chance(findings, run) {
        return format!(
            "{MEANING} Nothing else is wrong and no put failed, so this is about the clients' random choices and not \
             about the program: {REMEDY}."
        );
    }
    let because = match bad_puts(run) {
        0 if is_slow(run) => format!(
            "Here one of ten answers took longer than {:.3} s, and a client sends a request every {:.3} s, so clients had \
             little to read: make puts faster.",
            run.latency.map_or(0.0, |latency| latency.p90),
            run.client_interval
        ),
        0 => "Look at the other findings first.".to_owned(),
        puts => {
            format!("Here {puts} puts were unanswered or answered `fail`, which can be the reason: look at that first.")
        }
    };
    format!("{MEANING} {because} If nothing else is wrong, it is chance: {REMEDY}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::check::course::CourseError;
    use seedbed_core::check::fixture::{self, Answers};
    use seedbed_core::record::RunRecord;

    /// One of each kind.
    fn course_errors() -> [CourseError; 9] {
        [
            CourseError::Obstacle,
            CourseError::CutShort { attempts: 1_000_001 },
            CourseError::IncorrectResponses,
            CourseError::ReplicasDied { died: 1 },
            CourseError::NothingStored,
            CourseError::UnansweredGets { unanswered: 2, drawn: 2, allowed: 0.5 },
            CourseError::UnansweredPuts { unanswered: 2, drawn: 2, allowed: 0.5 },
            CourseError::UngeneratedGets { failed: 2, drawn: 2, allowed: 0.5 },
            CourseError::TooFewMessages { sent: 1, needed: 2.0 },
        ]
    }

    fn run(record: &RunRecord) -> RunSummary {
        RunSummary::sample(&fixture::scenario(), record)
    }

    fn shown(run: &RunSummary) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        write(&mut out, run).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    /// A run in which nothing is wrong but that many gets could not be generated.
    fn unlucky() -> RunRecord {
        let answered = |generated| Answers { generated, ..Answers::default() };
        let mut record = RunRecord { history: fixture::history(answered(60), answered(40)), ..fixture::record() };
        record.history.gets_not_generated = 7;
        record
    }

    #[test]
    fn each_of_the_courses_errors_has_a_row_of_its_own() {
        for error in course_errors() {
            let finding = Finding::new(Checker::COURSE, error.kind(), error.to_string());
            let Advice { rank, text, .. } = on(&finding, std::slice::from_ref(&finding), &run(&fixture::record()));
            assert!(rank < ROWS.len() - 1 && text.len() > 60, "{error}: {text}");
        }
    }

    #[test]
    fn causes_come_before_what_follows_from_them_and_a_run_that_passes_gets_no_advice() {
        let record = RunRecord { died: 1, sent: 3, ..fixture::failed_record() };
        let kinds: Vec<String> = of(&run(&record)).into_iter().map(|advice| advice.kind).collect();
        assert_eq!(kinds, ["replicas died", "incorrect responses", "gets unanswered", "too few messages"]);
        let text = shown(&run(&record));
        assert!(
            text.starts_with("\n## What to Look at First\n1. replicas died: A replica counts as died although"),
            "{text}"
        );
        assert_eq!(shown(&run(&fixture::record())), "");
    }

    #[test]
    fn gets_that_were_not_generated_are_chance_only_if_nothing_else_is_wrong() {
        let chance = "about the clients' random choices and not about the program: try another seed";
        let alone = run(&unlucky());
        assert!(!alone.passed(), "the verdict stays the course's");
        assert!(shown(&alone).contains(chance), "{}", shown(&alone));
        assert!(in_table(&alone).is_some_and(|text| text.contains("maximum_get_generation_fail_fraction=1")));

        let with_another = run(&RunRecord { sent: 3, ..unlucky() });
        let mut refused = unlucky();
        let (gets, puts) = (
            Answers { generated: 60, ..Answers::default() },
            Answers { generated: 40, failed: 9, ..Answers::default() },
        );
        refused.history = seedbed_core::record::History { gets_not_generated: 7, ..fixture::history(gets, puts) };
        for run in [with_another, run(&refused)] {
            assert!(!shown(&run).contains(chance) && in_table(&run).is_none(), "{}", shown(&run));
        }
        assert!(shown(&run(&refused)).contains("Here 9 puts were unanswered or answered `fail`"));
        assert_eq!(in_table(&run(&fixture::record())), None);
        assert_eq!(in_table(&run(&fixture::failed_record())), None);
    }

    #[test]
    fn clients_that_wait_longer_for_answers_than_between_requests_are_not_called_unlucky() {
        let alone = run(&unlucky());
        let (p90, client_interval) = (alone.latency.expect("answers").p90, alone.client_interval);
        assert!(p90 < client_interval);
        let slow = RunSummary { client_interval: p90 / 2.0, ..alone };
        assert!(shown(&slow).contains("make puts faster") && in_table(&slow).is_none(), "{}", shown(&slow));
    }
}
