//! Runs as JSON. Names of fields are stable; new ones may be added.
//!
//! One run is an object:
//!
//! | field | value |
//! |---|---|
//! | `scenario`, `description` | texts |
//! | `protocol` | what the replicas ran: a protocol's name or a program's path |
//! | `world` | `virtual` or `live` |
//! | `rules` | `handout` or `runner`: whose rules it was played by |
//! | `seed` | a whole number of up to 64 bits |
//! | `command` | the command that repeats the run |
//! | `statistics` | the counters, see [`Statistics`] |
//! | `correctness` | `{"passed": bool, "errors": [text]}`: the course's verdict |
//! | `checkers` | what all say: `passed`, `linearizability`, `invariants`, `liveness`, `findings`, see `docs/output.md` |
//! | `outcome` | `passed`, `failed` or `not judged`: the machine was too busy |
//! | `lag` | how late the machine was with what was due, at most, in seconds |
//! | `output` | the file with what the replicas printed; null if it was not kept |
//! | `performance` | `messages`, `failures`, `duplicates`, `median_latency`: each `{"value", "thresholds", "tier"}` |
//! | `latency` | `median`, `p90`, `p99`, `max` in seconds of the world's clock; null if nothing was answered |
//! | `seconds`, `events` | when the run ended, how many events it had |
//! | `trace` | the trace's hash, 16 hexadecimal digits; null in the live world |
//!
//! `performance` is null if the run is not correct to the course. A value in it is null if it is infinite, as the
//! median latency of a run without answers is.
//!
//! A comparison of worlds is `{"command", "total", "same_verdict", "close_messages", "same_tiers", "pairs"}`, where a
//! pair is `{"virtual_program": run, "live": run, "virtual": run}`: the program simulated, or null if it cannot be; the
//! program as processes; and the built-in protocol.
//!
//! A suite is `{"command", "passed", "total", "trace", "runs": [run]}`.

use std::io::{self, Write};

use serde::Serialize;

use super::compare::{Comparison, Pair};
use super::summary::{Latency, RunSummary, Statistics, SuiteSummary};
use super::verdicts::Checkers;
use seedbed_core::check::course::Measure;

/// Writes one run.
///
/// # Errors
/// If writing fails.
pub fn write_run(out: &mut impl Write, run: &RunSummary) -> io::Result<()> {
    write(out, &Run::from(run))
}

/// Writes many runs.
///
/// # Errors
/// If writing fails.
pub fn write_suite(out: &mut impl Write, suite: &SuiteSummary) -> io::Result<()> {
    let object = Suite {
        command: &suite.command,
        passed: suite.passed(),
        total: suite.runs.len(),
        trace: suite.trace().map(hex),
        runs: suite.runs.iter().map(Run::from).collect(),
    };
    write(out, &object)
}

/// Writes a comparison of worlds.
///
/// # Errors
/// If writing fails.
pub fn write_comparison(out: &mut impl Write, comparison: &Comparison) -> io::Result<()> {
    #[derive(Serialize)]
    struct Object<'a> {
        command: &'a str,
        total: usize,
        same_verdict: usize,
        close_messages: usize,
        same_tiers: usize,
        pairs: Vec<Worlds<'a>>,
    }
    #[derive(Serialize)]
    struct Worlds<'a> {
        virtual_program: Option<Run<'a>>,
        live: Run<'a>,
        r#virtual: Run<'a>,
    }
    let object = Object {
        command: &comparison.command,
        total: comparison.pairs.len(),
        same_verdict: comparison.count(Pair::has_same_verdict),
        close_messages: comparison.count(Pair::has_close_messages),
        same_tiers: comparison.count(Pair::has_same_tiers),
        pairs: comparison
            .pairs
            .iter()
            .map(|Pair { program, live, protocol }| Worlds {
                virtual_program: program.as_ref().map(Run::from),
                live: live.into(),
                r#virtual: protocol.into(),
            })
            .collect(),
    };
    write(out, &object)
}

fn write(out: &mut impl Write, object: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, object)?;
    writeln!(out)
}

fn hex(trace: u64) -> String {
    format!("{trace:016x}")
}

#[derive(Serialize)]
struct Suite<'a> {
    command: &'a str,
    passed: usize,
    total: usize,
    trace: Option<String>,
    runs: Vec<Run<'a>>,
}

#[derive(Serialize)]
struct Run<'a> {
    scenario: &'a str,
    description: &'a str,
    protocol: &'a str,
    world: &'static str,
    rules: &'static str,
    seed: u64,
    command: &'a str,
    statistics: &'a Statistics,
    outcome: &'static str,
    lag: f64,
    output: Option<&'a str>,
    correctness: Correctness,
    checkers: Checkers<'a>,
    performance: Option<Performance>,
    latency: Option<Latency>,
    seconds: f64,
    events: u64,
    trace: Option<String>,
}

#[derive(Serialize)]
struct Correctness {
    passed: bool,
    errors: Vec<String>,
}

#[derive(Serialize)]
struct Performance {
    messages: Scored,
    failures: Scored,
    duplicates: Scored,
    median_latency: Scored,
}

/// A measure; JSON has no infinity, so that is null.
#[derive(Serialize)]
struct Scored {
    value: f64,
    thresholds: [f64; 3],
    tier: u8,
}

impl<'a> From<&'a RunSummary> for Run<'a> {
    fn from(run: &'a RunSummary) -> Run<'a> {
        let (course, performance) = (&run.judgement.course, &run.judgement.course.performance);
        Run {
            scenario: &run.scenario,
            description: &run.description,
            protocol: &run.protocol,
            world: run.world.name(),
            rules: run.rules.name(),
            seed: run.seed,
            command: &run.command,
            statistics: &run.statistics,
            outcome: run.outcome(),
            lag: run.lag,
            output: run.output.as_deref(),
            correctness: Correctness {
                passed: course.passed(),
                errors: course.errors.iter().map(ToString::to_string).collect(),
            },
            checkers: Checkers::from(run),
            performance: course.passed().then(|| Performance {
                messages: Scored::from(&performance.messages),
                failures: Scored::from(&performance.failures),
                duplicates: Scored::from(&performance.duplicates),
                median_latency: Scored::from(&performance.median_latency),
            }),
            latency: run.latency,
            seconds: run.seconds,
            events: run.events,
            trace: run.trace.map(hex),
        }
    }
}

impl From<&Measure> for Scored {
    fn from(measure: &Measure) -> Scored {
        Scored { value: measure.value, thresholds: measure.thresholds, tier: measure.tier().number() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use seedbed_core::check::fixture;
    use seedbed_core::record::{History, RunRecord, World};

    fn summary(record: &RunRecord) -> RunSummary {
        RunSummary::sample(&fixture::scenario(), record)
    }

    fn parsed(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Value {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        assert_eq!(out.last(), Some(&b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_run_has_all_its_documented_fields() {
        let run = parsed(|out| write_run(out, &summary(&fixture::record())));
        let expected = json!({
            "scenario": "sample",
            "description": "No drops, no failures, 60% read",
            "protocol": "raft",
            "world": "virtual",
            "rules": "handout",
            "outcome": "passed",
            "lag": 0.0,
            "output": null,
            "seed": 7,
            "command": "seedbed run sample.json --seed 7",
            "statistics": {
                "leaders": ["FFFF", "0001", "FFFF", "0003"],
                "leader_changes": 3,
                "replicas_died": 0,
                "replicas_killed": 2,
                "messages_sent": 6370,
                "messages_dropped": 183,
                "gets": 60,
                "puts": 40,
                "gets_not_generated": 0,
                "duplicates": 3,
                "unanswered_gets": 0,
                "unanswered_puts": 3,
                "redirects": 19,
                "failed_gets": 15,
                "failed_puts": 31,
                "incorrect": 0,
                "malformed": 0,
                "unacknowledged_reads": 0,
                "idle_faults": [],
                "packet_storm": false,
                "request_storm": false,
                "complaints": [],
                "obstacle": null
            },
            "correctness": {"passed": true, "errors": []},
            "checkers": {
                "passed": true,
                "linearizability": {
                    "verdict": "ok", "operations": 131, "keys": 1, "key": null, "time": null, "explanation": null
                },
                "invariants": {
                    "verdict": "not watched", "changes": null, "invariant": null, "time": null, "explanation": null,
                    "terms_led": null
                },
                "liveness": {
                    "verdict": "not judged",
                    "after": null,
                    "lack": null,
                    "explanation": "at the end no quorum of sound replicas was connected",
                    "lost_with_replicas": 0
                },
                "findings": []
            },
            "performance": {
                "messages": {"value": 6370.0, "thresholds": [100.0, 500.0, 1000.0], "tier": 3},
                "failures": {"value": 49.0, "thresholds": [10.0, 60.0, 100.0], "tier": 1},
                "duplicates": {"value": 3.0, "thresholds": [0.0, 2.0, 4.0], "tier": 2},
                "median_latency": {"value": 0.0001, "thresholds": [0.0002, 0.005, 0.05], "tier": 0}
            },
            "latency": {"median": 0.0001, "p90": 0.0001, "p99": 0.0001, "max": 0.0001},
            "seconds": 34.0,
            "events": 12345,
            "trace": "0123456789abcdef"
        });
        assert_eq!(run, expected);
    }

    #[test]
    fn an_incorrect_run_has_errors_and_no_performance() {
        let run = parsed(|out| write_run(out, &summary(&fixture::failed_record())));
        assert_eq!(run["correctness"]["passed"], false);
        assert_eq!(run["correctness"]["errors"][1], "insufficient get() requests answered (33 > 60 * 0.50)");
        let first = &run["checkers"]["findings"][0];
        let told = (&first["checker"], &first["kind"], &first["text"]);
        assert_eq!(told, (&json!("course"), &json!("incorrect responses"), &json!(">0 incorrect responses to get()")));
        assert!(first["advice"].as_str().is_some_and(|advice| advice.starts_with("A client got a wrong value")));
        assert_eq!(run["checkers"]["passed"], false);
        assert_eq!(run["performance"], Value::Null);
        assert_eq!(run["statistics"]["incorrect"], 7);
    }

    #[test]
    fn a_run_without_answers_has_no_latency() {
        let scenario = seedbed_core::scenario::Scenario { requests: 0, ..fixture::scenario() };
        let record = RunRecord { history: History::default(), ..fixture::record() };
        let run = parsed(|out| write_run(out, &RunSummary::sample(&scenario, &record)));
        assert_eq!((&run["latency"], &run["performance"]["median_latency"]["value"]), (&Value::Null, &Value::Null));
        assert_eq!(run["performance"]["median_latency"]["tier"], 3);
    }

    #[test]
    fn a_pair_has_a_run_for_each_world_and_null_for_a_program_that_is_not_simulated() {
        let live = RunRecord { world: World::Live, trace: None, ..fixture::record() };
        let pair = |program: Option<&RunRecord>| Pair {
            program: program.map(summary),
            live: summary(&live),
            protocol: summary(&fixture::record()),
        };
        let failed = fixture::failed_record();
        let pairs = vec![pair(Some(&failed)), pair(None)];
        let comparison = Comparison { command: "seedbed compare x".to_owned(), pairs };
        let object = parsed(|out| write_comparison(out, &comparison));
        let pairs = &object["pairs"];
        assert_eq!(pairs[0]["virtual_program"]["outcome"], "failed");
        assert_eq!(pairs[1]["virtual_program"], Value::Null);
        let worlds = (&pairs[1]["virtual"]["world"], &pairs[1]["live"]["world"], &pairs[1]["live"]["trace"]);
        assert_eq!(worlds, (&json!("virtual"), &json!("live"), &Value::Null));
        let counts = ["total", "same_verdict", "close_messages", "same_tiers"].map(|count| &object[count]);
        assert_eq!(counts, [&json!(2), &json!(1), &json!(2), &json!(1)]);
    }

    #[test]
    fn a_suite_counts_its_runs_and_lists_them() {
        let runs = vec![summary(&fixture::record()), summary(&fixture::failed_record())];
        let suite = SuiteSummary { command: "seedbed run all --seed 7".to_owned(), runs };
        let object = parsed(|out| write_suite(out, &suite));
        assert_eq!((&object["passed"], &object["total"]), (&json!(1), &json!(2)));
        assert_eq!(object["trace"], hex(suite.trace().unwrap()));
        assert_eq!(object["runs"].as_array().unwrap().len(), 2);
    }
}
