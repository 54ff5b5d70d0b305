//! One run over time.

use std::collections::BTreeMap;

use crate::checkers::first_findings;
use crate::plot::{
    Alarm, Answer, AnswerKind, Chart, CutSpan, FaultMark, Reign as ReignBar, Timeline, Unit, WrongAnswer, short,
};
use seedbed_core::chaos::{Act, ConnectivityMatrix, Fault, Idle, Target};
use seedbed_core::check::{Checker, Finding, Judgement, UNKNOWN};
use seedbed_core::id::{ReplicaId, ReplicaSet};
use seedbed_core::record::{Outcome, Reign, RunRecord, Struck};
use seedbed_core::scenario::Scenario;
use seedbed_core::time::Time;

/// The picture of one run over time, with what the checkers found. `reigns` are the tenures of leaders with their
/// terms; without them, the observed leaders are shown.
pub fn timeline(
    scenario: &Scenario,
    record: &RunRecord,
    judgement: &Judgement,
    reigns: &[Reign],
    (title, subtitle): (&str, &str),
) -> Chart {
    let attempts = &record.history.attempts;
    // By attempt, the place of its answer in the picture.
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    let mut answers = Vec::new();
    for (number, attempt) in attempts.iter().enumerate() {
        let Some((time, outcome)) = &attempt.answer else { continue };
        let kind = match outcome {
            Outcome::Ok(_) if attempt.operation.is_get() => AnswerKind::Get,
            Outcome::Ok(_) => AnswerKind::Put,
            Outcome::Redirect => AnswerKind::Redirect,
            Outcome::Fail => AnswerKind::Fail,
        };
        places.insert(number, answers.len());
        answers.push(Answer { time: time.as_secs_f64(), latency: time.since(attempt.sent).as_secs_f64(), kind });
    }
    let place = |number: u64| places.get(&usize::try_from(number).ok()?).copied();
    let wrong = judgement.wrong_reads(&record.history).into_iter().filter_map(|read| {
        Some(WrongAnswer { answer: place(read.get.0)?, missed: read.missed.and_then(|missed| place(missed.0)) })
    });
    let unanswered = attempts.iter().filter(|attempt| attempt.answer.is_none());
    let (faults, cuts) = marks(scenario, record);
    Chart::Timeline(Timeline {
        title: title.to_owned(),
        subtitle: subtitle.to_owned(),
        verdict: verdict(judgement),
        clock: record.world.time(),
        end: record.end.as_secs_f64(),
        answers,
        faults,
        cuts,
        reigns: bars(scenario, record, reigns),
        unanswered: unanswered.map(|attempt| attempt.sent.as_secs_f64()).collect(),
        wrong: wrong.collect(),
        alarms: alarms(judgement),
    })
}

/// The verdict on a failed run, as in `FAILED: not linearizable at 6.50 s; >0 incorrect responses to get()`; empty if
/// the run passed.
fn verdict(judgement: &Judgement) -> String {
    let words: Vec<String> = first_findings(judgement).iter().map(|finding| in_short(judgement, finding)).collect();
    if words.is_empty() { String::new() } else { format!("FAILED: {}", words.join("; ")) }
}

/// The first finding of a checker in a few words.
fn in_short(judgement: &Judgement, finding: &Finding) -> String {
    if finding.checker == Checker::COURSE {
        // The checks of the course have no times, and are short already.
        let others = judgement.course.errors.len() - 1;
        let more = if others > 0 { format!(" and {others} more of the course's checks") } else { String::new() };
        return format!("{}{more}", finding.text);
    }
    let what = match finding.kind.as_str() {
        UNKNOWN => "not known to be linearizable".to_owned(),
        kind if finding.checker == Checker::INVARIANTS => format!("{kind} violated"),
        kind => kind.to_owned(),
    };
    match finding.when {
        None => what,
        Some((from, to)) if from == to => format!("{what} at {}", seconds(from)),
        Some((from, to)) => format!("{what} from {} to {}", seconds(from), seconds(to)),
    }
}

/// As in `6.50 s`.
fn seconds(time: Time) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// The times at which replicas broke an invariant, and the spans without progress. Wrong answers are shown separately.
fn alarms(judgement: &Judgement) -> Vec<Alarm> {
    let findings = judgement.opinions.iter().flat_map(|opinion| &opinion.findings);
    let shown = findings.filter(|finding| finding.checker != Checker::LINEARIZABILITY);
    let alarm = |finding: &Finding| {
        let (from, to) = finding.when?;
        let is_invariant = finding.checker == Checker::INVARIANTS;
        let label = if is_invariant { format!("{} violated", finding.kind) } else { finding.kind.clone() };
        Some(Alarm { from: from.as_secs_f64(), to: to.as_secs_f64(), label })
    };
    shown.filter_map(alarm).collect()
}

/// The faults as marks, and the partitions as spans.
fn marks(scenario: &Scenario, record: &RunRecord) -> (Vec<FaultMark>, Vec<CutSpan>) {
    let (mut faults, mut cuts) = (Vec::new(), Vec::<CutSpan>::new());
    let mut open: Option<(f64, &str)> = None;
    let mut isolated = false;
    for struck in &record.struck {
        let (time, fault) = (struck.time.as_secs_f64(), &scenario.events[struck.event].fault);
        let begins = matches!(fault, Fault::PartEasy | Fault::PartHard | Fault::Partition(_));
        let ends = begins || matches!(fault, Fault::PartEnd | Fault::Heal);
        let was_open = ends.then(|| open.take()).flatten();
        if let Some((from, label)) = was_open {
            cuts.push(CutSpan { from, to: time, label: label.to_owned() });
        }
        match fault {
            fault if begins && struck.idle.is_some() => {
                faults.push(FaultMark {
                    time,
                    label: format!("{}: {}", fault.name().replace('_', " "), why(struck.idle)),
                });
            }
            Fault::PartEasy => open = Some((time, "easy partition")),
            Fault::PartHard => open = Some((time, "hard partition")),
            Fault::Partition(_) => open = Some((time, "partition")),
            // The end of a partition is visible anyway, that of an isolation is not.
            Fault::PartEnd if !isolated => {}
            Fault::PartEnd => faults.push(FaultMark { time, label: "isolation ends".to_owned() }),
            fault => faults.push(FaultMark { time, label: label(fault, struck.consequence.hit, struck.idle) }),
        }
        isolated = match fault {
            Fault::Isolate(_) => true,
            Fault::PartEnd | Fault::Heal => false,
            _ => isolated,
        };
    }
    let end = record.end.as_secs_f64();
    cuts.extend(open.map(|(from, label)| CutSpan { from, to: end, label: label.to_owned() }));
    (faults, cuts)
}

/// The effect of a fault, in a few words.
fn label(fault: &Fault, hit: ReplicaSet, idle: Option<Idle>) -> String {
    let whom = hit.iter().map(|replica| replica.to_string()).collect::<Vec<_>>().join(", ");
    match fault {
        Fault::KillLeader if hit.is_empty() => "kill leader: none known".to_owned(),
        Fault::KillLeader => format!("kill leader {whom}"),
        Fault::KillNonLeader if hit.is_empty() => "kill non-leader: none left".to_owned(),
        Fault::KillNonLeader => format!("kill {whom}"),
        Fault::Host { at, act } if hit.is_empty() => format!("{}: {}", act.label(&aimed(*at)), why(idle)),
        Fault::Host { act, .. } => act.label(&whom),
        Fault::Isolate(target) if idle.is_some() => format!("isolate {}: {}", aimed(Some(*target)), why(idle)),
        Fault::Isolate(target) if hit.is_empty() => format!("isolate {}", aimed(Some(*target))),
        Fault::Isolate(_) => format!("isolate {whom}"),
        Fault::SetLink { from, to, value } => {
            format!("link {}→{} loses {}", place(*from), place(*to), percent(*value))
        }
        Fault::DelayLink { from, to, delay: Some(_) } => format!("link {}→{} slow", place(*from), place(*to)),
        Fault::DelayLink { from, to, delay: None } => format!("link {}→{} as others", place(*from), place(*to)),
        Fault::Duplicate(share) => format!("{} arrive twice", percent(*share)),
        Fault::Damage(share) => format!("{} damaged", percent(*share)),
        Fault::SetMatrix(matrix) => of_matrix(matrix),
        Fault::Heal => "heal all links".to_owned(),
        Fault::PartEasy | Fault::PartHard | Fault::PartEnd | Fault::Partition(_) => fault.name().replace('_', " "),
    }
}

/// Why a fault hit no host.
fn why(idle: Option<Idle>) -> &'static str {
    match idle {
        Some(Idle::Dead(_)) => "dead already",
        Some(Idle::Down(_)) => "down already",
        Some(Idle::Up(_)) => "up already",
        Some(Idle::Paused(_)) => "paused already",
        Some(Idle::NotPaused(_)) => "not paused",
        Some(Idle::GoodDisk(_)) => "nothing wrong",
        Some(Idle::Isolated(_)) => "isolated already",
        Some(Idle::InstantSyncs) => "syncs take no time",
        Some(Idle::NoLeader) => "none known",
        Some(Idle::NotCut) => "nothing cut",
        Some(Idle::SameMatrix | Idle::SameLink) => "no change",
        Some(Idle::NoOther | Idle::NoHost | Idle::NoneUp) | None => "none left",
    }
}

/// The intended target of a fault.
fn aimed(at: Option<Target>) -> String {
    match at {
        Some(Target::Replica(replica)) => replica.to_string(),
        Some(Target::Leader) => "leader".to_owned(),
        Some(Target::Follower) => "follower".to_owned(),
        None => "all".to_owned(),
    }
}

/// A replica's address without leading zeros, for labels that name two of them.
fn place(replica: ReplicaId) -> String {
    format!("{:X}", replica.0)
}

fn percent(share: f64) -> String {
    if share == 0.0 { "0 %".to_owned() } else { short(Unit::Fraction, share) }
}

fn of_matrix(matrix: &ConnectivityMatrix) -> String {
    let off_diagonal = |(from, row): (usize, _)| -> Vec<f64> {
        let row: &[f64] = row;
        row.iter().enumerate().filter(|(to, _)| *to != from).map(|(_, loss)| *loss).collect()
    };
    let losses: Vec<f64> = matrix.rows().enumerate().flat_map(off_diagonal).collect();
    match losses.first() {
        Some(first) if losses.iter().all(|loss| loss == first) => format!("all links lose {}", percent(*first)),
        _ => "links lose by a new matrix".to_owned(),
    }
}

/// The tenures of leaders, as bars.
fn bars(scenario: &Scenario, record: &RunRecord, reigns: &[Reign]) -> Vec<ReignBar> {
    let seconds = Time::as_secs_f64;
    if !reigns.is_empty() {
        // A dead replica no longer leads, but no message says so.
        let death = |reign: &Reign| {
            let stops = |struck: &&Struck| {
                let is_down = matches!(scenario.events[struck.event].fault.act(), Some(Act::Kill | Act::Crash));
                is_down && struck.consequence.hit.contains(reign.leader) && struck.time >= reign.from
            };
            let killed = record.struck.iter().find(stops);
            killed.map_or(record.end, |struck| struck.time)
        };
        let bar = |reign: &Reign| ReignBar {
            from: seconds(reign.from),
            to: seconds(reign.until.unwrap_or_else(|| death(reign))),
            label: format!("{}, term {}", reign.leader, reign.term),
        };
        return reigns.iter().map(bar).collect();
    }
    let ends = record.leaders.iter().skip(1).map(|belief| belief.since).chain([record.end]);
    let believed = record.leaders.iter().zip(ends).filter_map(|(belief, end)| {
        Some(ReignBar { from: seconds(belief.since), to: seconds(end), label: belief.leader?.to_string() })
    });
    believed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::chaos::{Consequence, FaultEvent};
    use seedbed_core::check::fixture::{self, with};
    use seedbed_core::check::liveness::{Lack, Stuck};
    use seedbed_core::check::{Shape, liveness};
    use seedbed_core::id::ClientId;
    use seedbed_core::record::{Attempt, History, Struck, World};
    use seedbed_core::service::Operation;
    use seedbed_core::time::Span;

    fn of(scenario: &Scenario, record: &RunRecord, judgement: &Judgement, reigns: &[Reign]) -> Timeline {
        match timeline(scenario, record, judgement, reigns, ("t", "s")) {
            Chart::Timeline(line) => line,
            other => panic!("a time line: {other:?}"),
        }
    }

    fn at(secs: u64) -> Time {
        Time::ZERO + Span::from_secs(secs)
    }

    /// A run of five replicas in which these faults were injected, one each second from the fifth on. The first replica
    /// to be killed is 0001.
    fn struck(faults: Vec<Fault>) -> (Scenario, RunRecord) {
        let (mut scenario, mut record) = (fixture::scenario(), fixture::record());
        let mut alive = true;
        for (event, fault) in faults.into_iter().enumerate() {
            let time = at(5 + event as u64);
            let kills = fault.kills();
            let killed = (kills && std::mem::take(&mut alive)).then_some(ReplicaId(1));
            record.struck.push(Struck {
                time,
                event,
                consequence: Consequence { killed, hit: killed.into_iter().collect(), leader_lost: false },
                idle: (kills && killed.is_none()).then_some(Idle::Dead(ReplicaId(1))),
            });
            scenario.events.push(FaultEvent { time, fault });
        }
        (scenario, record)
    }

    fn labels(faults: Vec<Fault>) -> Vec<String> {
        let (scenario, record) = struck(faults);
        marks(&scenario, &record).0.into_iter().map(|mark| mark.label).collect()
    }

    #[test]
    fn a_time_line_has_every_answer_fault_partition_and_leader() {
        let (scenario, record) = struck(vec![
            Fault::PartHard,
            Fault::PartEnd,
            Fault::KillLeader,
            Fault::PartEasy,
            Fault::isolate(ReplicaId(2)),
        ]);
        let reign = |leader, term, from, until: Option<u64>| Reign {
            leader: ReplicaId(leader),
            term,
            from: at(from),
            until: until.map(at),
        };
        let reigns = [reign(3, 1, 1, Some(2)), reign(1, 2, 2, None)];
        let line = of(&scenario, &record, &Judgement::of(&scenario, &record), &reigns);
        let answered = record.history.attempts.iter().filter(|attempt| attempt.answer.is_some()).count();
        assert_eq!((line.answers.len(), line.unanswered.len()), (answered, 3));
        let faults: Vec<&str> = line.faults.iter().map(|fault| fault.label.as_str()).collect();
        assert_eq!(faults, ["kill leader 0001", "isolate 0002"]);
        let cuts: Vec<(f64, f64)> = line.cuts.iter().map(|cut| (cut.from, cut.to)).collect();
        assert_eq!(cuts, [(5.0, 6.0), (8.0, record.end.as_secs_f64())]);
        let reigns: Vec<(&str, f64)> = line.reigns.iter().map(|reign| (reign.label.as_str(), reign.to)).collect();
        assert_eq!(reigns, [("0003, term 1", 2.0), ("0001, term 2", 7.0)], "a tenure ends with the leader's death");
        let line = of(&scenario, &record, &Judgement::of(&scenario, &record), &[]);
        assert_eq!((line.reigns.len(), line.clock), (2, "virtual time"), "observed leaders");
        for world in [World::Live, World::Grpc] {
            let live = RunRecord { world, ..fixture::record() };
            let line = of(&scenario, &live, &Judgement::of(&scenario, &live), &[]);
            assert_eq!(line.clock, "real time");
        }
    }

    #[test]
    fn a_label_says_what_a_fault_did() {
        let link = |from, to, value| Fault::SetLink { from: ReplicaId(from), to: ReplicaId(to), value };
        let links = vec![link(0, 1, 1.0), link(10, 2, 0.5), link(0, 1, 0.0), Fault::Heal];
        assert_eq!(
            labels(links),
            ["link 0→1 loses 100 %", "link A→2 loses 50 %", "link 0→1 loses 0 %", "heal all links"]
        );
        let deaths = vec![Fault::kill(ReplicaId(1)), Fault::kill(ReplicaId(1)), Fault::KillLeader];
        assert_eq!(labels(deaths), ["kill 0001", "kill 0001: dead already", "kill leader: none known"]);
        let isolations = vec![Fault::isolate(ReplicaId(2)), Fault::PartEnd, Fault::PartEnd];
        assert_eq!(labels(isolations), ["isolate 0002", "isolation ends"], "the second one ends nothing");
        let uniform = ConnectivityMatrix::uniform(5, 0.1).unwrap();
        assert_eq!(labels(vec![Fault::SetMatrix(uniform)]), ["all links lose 10 %"]);
    }

    #[test]
    fn a_fault_that_did_nothing_says_why_and_opens_no_partition() {
        let marked = |fault: Fault, idle| {
            let time = Time::ZERO + Span::from_secs(1);
            let scenario = Scenario { events: vec![FaultEvent { time, fault }], ..fixture::scenario() };
            let struck = vec![Struck { event: 0, time, consequence: Consequence::default(), idle }];
            let (faults, cuts) = marks(&scenario, &RunRecord { struck, ..fixture::record() });
            (faults.into_iter().map(|fault| fault.label).collect::<Vec<_>>(), cuts.len())
        };
        assert_eq!(marked(Fault::PartHard, Some(Idle::NoneUp)), (vec!["part hard: none left".to_owned()], 0));
        assert_eq!(marked(Fault::PartHard, None), (Vec::new(), 1));
        let isolate = Fault::isolate(ReplicaId(2));
        let again = marked(isolate, Some(Idle::Isolated(ReplicaId(2))));
        assert_eq!(again, (vec!["isolate 0002: isolated already".to_owned()], 0));
    }

    #[test]
    fn a_wrong_answer_is_shown_with_the_put_that_it_missed_and_the_verdict_says_when() {
        let attempt = |operation, millis: (u64, u64), value: Option<&str>| Attempt {
            client: ClientId(21),
            replica: ReplicaId(0),
            operation,
            sent: Time::ZERO + Span::from_millis(millis.0),
            retry_of: None,
            answer: Some((Time::ZERO + Span::from_millis(millis.1), Outcome::Ok(value.map(Into::into)))),
        };
        let put = |value: &str| Operation::Put { key: "k".into(), value: value.into() };
        let mut attempts = vec![
            attempt(put("old"), (1_000, 1_001), None),
            attempt(put("lost"), (1_100, 1_101), None),
            attempt(put("new"), (1_500, 1_501), None),
            attempt(Operation::Get { key: "k".into() }, (6_499, 6_500), Some("old")),
        ];
        // A request without an answer is not a point of the picture, so the others move up.
        attempts[1].answer = None;
        let scenario = fixture::scenario();
        let history = History { attempts, incorrect_gets: 1, ..History::default() };
        let record = RunRecord { history, ..fixture::record() };
        let judgement = Judgement::of(&scenario, &record);
        let line = of(&scenario, &record, &judgement, &[]);
        assert_eq!(line.wrong, [WrongAnswer { answer: 2, missed: Some(1) }]);
        assert!(line.verdict.starts_with("FAILED: not linearizable at 6.50 s; >0 incorrect"), "{}", line.verdict);
        assert_eq!(line.alarms, []);
    }

    #[test]
    fn a_broken_invariant_is_a_moment_and_a_lack_of_progress_lasts() {
        let (scenario, record) = (fixture::scenario(), fixture::record());
        let violation = ("one vote per term", at(3), "it votes twice");
        let stuck =
            Stuck { lack: Lack::Write, waited: (at(4), at(14)), replica: None, diagnosis: None, shape: Shape::PLAIN };
        let judgement = with(Judgement::of(&scenario, &record), fixture::invariants(5, 1, Some(violation)));
        let judgement = with(judgement, liveness::opinion(&liveness::Verdict::Stuck(stuck), 0));
        let line = of(&scenario, &record, &judgement, &[]);
        let alarms: Vec<(f64, f64, &str)> =
            line.alarms.iter().map(|alarm| (alarm.from, alarm.to, alarm.label.as_str())).collect();
        assert_eq!(alarms, [(3.0, 3.0, "one vote per term violated"), (4.0, 14.0, "no write acknowledged")]);
        assert_eq!(
            line.verdict,
            "FAILED: one vote per term violated at 3.00 s; no write acknowledged from 4.00 s to 14.00 s"
        );
    }

    #[test]
    fn a_run_that_passes_has_no_verdict_in_red() {
        let (scenario, record) = (fixture::scenario(), fixture::record());
        let judgement = Judgement::of(&scenario, &record);
        assert!(judgement.passed(), "{:?}", judgement.findings());
        assert_eq!(of(&scenario, &record, &judgement, &[]).verdict, "");
    }
}
