use std::path::Path;

use super::*;
use crate::subjects;

fn base(file: &str) -> Base {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(file);
    let scenario = Scenario::load(&path).expect("a scenario").scenario;
    Base::new(PathBuf::from(file), scenario)
}

fn axes(texts: &[&str]) -> Result<Vec<Axis>, GridError> {
    texts.iter().map(|text| AxisSpec::parse(text)?.resolve(&[subjects::raft()])).collect()
}

fn grid(file: &str, texts: &[&str]) -> Result<Grid, GridError> {
    Grid::new(vec![base(file)], axes(texts)?, vec![subjects::raft()], "7..10".parse().unwrap())
}

fn refusal(file: &str, texts: &[&str]) -> String {
    grid(file, texts).expect_err("it makes no sense").to_string()
}

/// The only case of a grid without seeds to choose from.
fn case(file: &str, texts: &[&str]) -> Case {
    let grid = grid(file, texts).expect("a grid");
    grid.case(&grid.cell(0), 7).expect("a case")
}

#[test]
fn runs_are_numbered_with_the_scenario_slowest_and_the_seed_fastest() {
    let bases = vec![base("simple-1.json"), base("simple-2.json")];
    let axes = axes(&["drops=0,0.1", "mix=0.2,0.5,0.8"]).unwrap();
    let protocols = vec![subjects::raft(), subjects::broadcast()];
    let grid = Grid::new(bases, axes, protocols, "10..15".parse().unwrap()).unwrap();
    assert_eq!((grid.cells(), grid.runs()), (24, 120));
    let shown = |run| {
        let (cell, seed) = grid.place(run);
        let cell = grid.cell(cell);
        format!("{cell} {} {seed}", cell.protocol)
    };
    assert_eq!(shown(0), "simple-1.json with drops=0, mix=0.2 raft 10");
    assert_eq!(shown(4), "simple-1.json with drops=0, mix=0.2 raft 14");
    assert_eq!(shown(5), "simple-1.json with drops=0, mix=0.2 broadcast 10");
    assert_eq!(shown(10), "simple-1.json with drops=0, mix=0.5 raft 10");
    assert_eq!(shown(30), "simple-1.json with drops=0.1, mix=0.2 raft 10");
    assert_eq!(shown(119), "simple-2.json with drops=0.1, mix=0.8 broadcast 14");
}

#[test]
fn every_cell_is_the_scenario_with_its_values_and_nothing_else_changed() {
    let texts = [
        "drops=0.3",
        "raft.heartbeat_ms=50",
        "events[1].time=20",
        "network.model=links+network.delay.kind=constant+network.delay.ms=3",
    ];
    let (plain, changed) = (base("crash-4.json").scenario, case("crash-4.json", &texts));
    let mut expected = plain.clone();
    expected.matrix = crate::chaos::ConnectivityMatrix::uniform(5, 0.3).unwrap();
    expected.events[1].time = expected.start() + crate::time::Span::from_secs(20);
    expected.network = crate::scenario::Network::Links {
        delay: crate::scenario::Delay::Constant(crate::time::Span::from_millis(3)),
        order: crate::scenario::Order::Any,
    };
    assert_eq!(changed.scenario, expected);
    assert_eq!(changed.protocol.changed_parameters(), [("raft.heartbeat_ms", 50.0)]);
    assert_eq!(case("crash-4.json", &[]).scenario, plain);
}

#[test]
fn names_that_are_varied_together_take_their_values_in_step() {
    let texts =
        ["raft.election_timeout_min_ms=150,300+raft.election_timeout_max_ms=300,600+raft.heartbeat_ms=1e2,1e+2"];
    let grid = grid("simple-1.json", &texts).unwrap();
    assert_eq!(grid.cells(), 2);
    assert_eq!(grid.names().len(), 3);
    let cell = grid.cell(1);
    assert_eq!(cell.values[1], ("raft.election_timeout_max_ms", "600", "600"));
    assert_eq!(cell.values[2].1, "100");
    let uneven = refusal("simple-1.json", &["raft.election_timeout_min_ms=1,2+raft.heartbeat_ms=3"]);
    assert!(uneven.contains("has 2 values") && uneven.contains("has 1;"), "{uneven}");
}

#[test]
fn ready_made_partitions_take_the_place_of_a_scenarios_own() {
    let names = |file, partition: &str| -> Vec<&str> {
        case(file, &[&format!("partition={partition}")])
            .scenario
            .events
            .iter()
            .map(|event| event.fault.name())
            .collect()
    };
    assert_eq!(names("advanced-1.json", "none"), ["kill_leader"]);
    assert_eq!(names("partition-4.json", "easy"), ["part_easy", "part_end"]);
    assert_eq!(names("simple-1.json", "hard"), ["part_hard", "part_end"]);
    assert_eq!(names("simple-1.json", "flapping").len(), 16);
    let hard = case("simple-1.json", &["partition=hard"]).scenario;
    let times: Vec<f64> = hard.events.iter().map(|event| event.time.as_secs_f64()).collect();
    assert_eq!(times, [11.0, 20.0], "after a wait of 2 s, 0.3 and 0.6 of 30 s");
    for order in [["partition=hard", "lifetime=100"], ["lifetime=100", "partition=hard"]] {
        let times = case("simple-1.json", &order).scenario.events.into_iter().map(|event| event.time.as_secs_f64());
        assert_eq!(times.collect::<Vec<_>>(), [32.0, 62.0], "whatever is named first");
    }
    for order in [["partition=hard", "events[0].time=5"], ["events[0].time=5", "partition=hard"]] {
        let times = case("partition-4.json", &order).scenario.events.into_iter().map(|event| event.time.as_secs_f64());
        assert_eq!(times.collect::<Vec<_>>()[0], 7.0, "paths lead into the new partitions");
    }
}

#[test]
fn a_matrix_from_a_file_and_losses_on_every_link_take_each_others_place() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("third.json");
    let row = [0.0, 0.0, 0.25, 0.0, 0.0];
    std::fs::write(&path, serde_json::json!([row, row, row, row, row]).to_string()).expect("a file");
    let axis = format!("matrix={}", path.display());
    let lossy = case("unreliable-1.json", &[&axis]).scenario;
    assert_eq!(lossy.matrix.rows().next(), Some(&row[..]));
    assert_eq!(grid("unreliable-1.json", &[&axis]).unwrap().cell(0).values[0].1, "third");
    let even = case("chaos/slope.json", &["drops=0.1"]).scenario;
    assert_eq!(even.matrix, crate::chaos::ConnectivityMatrix::uniform(5, 0.1).unwrap());

    for order in [[axis.as_str(), "drops=0.1", "matrix[1][0]=1"], ["drops=0.1", "matrix[1][0]=1", &axis]] {
        let rows = case("unreliable-1.json", &order).scenario.matrix;
        let rows: Vec<&[f64]> = rows.rows().collect();
        assert_eq!((rows[0], rows[1][0]), (&row[..], 1.0), "whatever is named first");
    }

    std::fs::write(&path, "[[2]]").expect("a file");
    assert!(refusal("simple-1.json", &[&axis]).contains("third.json: `matrix` is [[2]]; allowed is a list of 2"));
    std::fs::write(&path, "[[0, 0, 0], [0, 2, 0], [0, 0, 0]]").expect("a file");
    assert!(
        refusal("simple-1.json", &[&axis]).contains("third.json: `matrix[1][1]` is 2; allowed is a number from 0 to 1")
    );
    std::fs::write(&path, "[[0, 0, 0], [0, 0, 0], [0, 0, 0]]").expect("a file");
    let other_size = refusal("simple-1.json", &[&axis]);
    assert!(
        other_size.starts_with("simple-1.json with matrix=third: `matrix` is a list of 3; allowed is"),
        "{other_size}"
    );
}

#[test]
fn a_grid_that_makes_no_sense_is_refused_and_the_error_says_what_is_allowed() {
    for (texts, expected) in [
        (&["drips=0.1"][..], "unknown path `drips`; did you mean `drops`?"),
        (&["tests.bench=3"], "unknown path `tests.bench`; allowed is"),
        (&["drops=2"], "crash-4.json with drops=2: `drops` is 2; allowed is a number from 0 to 1"),
        (&["drops=high"], "crash-4.json with drops=high: `drops` is \"high\"; allowed is a number from 0 to 1"),
        (&["events[0].time=99"], "crash-4.json with events[0].time=99: `events[0].time` is 99; allowed is"),
        (&["events[7].time=1"], "crash-4.json: `events[7].time`: the list `events` has 2 items"),
        (&["events[0.time=1"], "`events[0.time` is not a path"),
        (&["raft.heartbeat=1"], "unknown path `raft.heartbeat`; did you mean `raft.heartbeat_ms`?"),
        (
            &["raft.x=1"],
            "unknown path `raft.x`; allowed is a key of scenario files (docs/scenarios.md) or a parameter of raft: \
             raft.election_timeout_min_ms, ",
        ),
        (
            &["raft.heartbeat_ms=9000"],
            "crash-4.json with raft.heartbeat_ms=9000: `raft.heartbeat_ms` is 9000 ms; allowed is",
        ),
        (&["raft.heartbeat_ms=soon"], "`raft.heartbeat_ms` is soon; allowed is a number"),
        (&["partition=medium"], "`partition` is medium; allowed is none, easy, hard, flapping"),
        (&["seed=1,2"], "`seed` cannot be swept"),
        (&["drops"], "`drops` sets nothing; allowed is PATH=VALUES"),
        (&["drops=0.1", "drops=0.2"], "`drops` is swept twice"),
        (&["drops=1:0:1"], "values of `drops`: the range `1:0:1` holds no value"),
        (&["drops=0.1,0.10"], "values of `drops`: 0.1 is given twice"),
        (&["matrix=nowhere.json"], "nowhere.json: no such file, and no built-in matrix"),
        (&["mix=0:1:0.001", "drops=0:1:0.001"], "the grid has 1002001 cells; allowed is up to 100000"),
    ] {
        let found = refusal("crash-4.json", texts);
        assert!(found.starts_with(expected), "{texts:?}: {found}");
        assert!(!found.contains('\n'));
    }
    let none = Grid::new(Vec::new(), Vec::new(), vec![subjects::raft()], SweepSpec::DEFAULT_SEEDS);
    assert_eq!(none.unwrap_err().to_string(), "the grid is empty: it has no scenario");
}

#[test]
fn one_seed_draws_the_same_operations_and_nested_losses_in_all_cells() {
    let grid = grid("simple-2.json", &["drops=0,0.1,0.3", "raft.heartbeat_ms=50,100"]).unwrap();
    let runs: Vec<_> = (0..grid.cells())
        .map(|cell| {
            let case = grid.case(&grid.cell(cell), 7).unwrap();
            let (trial, tally) = case.attempt_counted(true);
            (trial.judged.expect("no replica panics").record, tally)
        })
        .collect();
    let asked = |record: &crate::record::RunRecord| -> Vec<_> {
        let first = record.history.attempts.iter().filter(|attempt| attempt.retry_of.is_none());
        first.map(|attempt| (attempt.client, attempt.sent, attempt.operation.key().clone())).collect()
    };
    let calm = asked(&runs[0].0);
    for (record, _) in &runs[1..] {
        let other = asked(record);
        assert_eq!(other.len(), calm.len());
        // The keys of gets and of repeated puts depend on the puts acknowledged by then; clients and times do not.
        assert!(other.iter().zip(&calm).all(|(one, other)| (one.0, one.1) == (other.0, other.1)));
        let same = other.iter().zip(&calm).filter(|(one, other)| one.2 == other.2).count();
        assert!(same > calm.len() / 2, "only {same} of {} keys are the same", calm.len());
    }
    // A message that is lost at 10 % is lost at 30 %, so each link loses more if it carries as many messages.
    let dropped = |cell: usize| runs[cell].1.links().map(|link| link.dropped).sum::<u64>();
    assert_eq!((dropped(0), dropped(1)), (0, 0));
    assert!(dropped(2) > 0 && dropped(4) > 2 * dropped(2));
}

#[test]
fn no_text_on_a_command_line_or_in_a_sweep_file_makes_a_panic() {
    const PIECES: [&str; 34] = [
        "drops",
        "raft.heartbeat_ms",
        "events[0].time",
        "partition",
        "matrix",
        "network.delay.ms",
        "seed",
        "=",
        "=",
        ",",
        ":",
        "+",
        "-",
        ".",
        "[",
        "]",
        "0",
        "1",
        "9",
        "0.5",
        "1e308",
        "-1e-308",
        "1e+3",
        "99999999999999999999999",
        "easy",
        "none",
        "é",
        "\u{0}",
        " ",
        "{",
        "}",
        "\"",
        "null",
        "0.000000000000000000000001",
    ];
    let mut random = crate::rng::Stream::new(1, "texts");
    let mut taken = 0;
    for _ in 0..20_000 {
        let text: String = (0..random.between(1, 9)).map(|_| *random.pick(&PIECES).expect("pieces")).collect();
        let axis = AxisSpec::parse(&text).and_then(|spec| spec.resolve(&[subjects::raft()]));
        taken += u32::from(axis.is_ok());
        if let Ok(axis) = axis.and_then(|axis| if axis.points.len() < 50 { Ok(axis) } else { Err(GridError::Seed) }) {
            let _ = Grid::new(vec![base("crash-4.json")], vec![axis], vec![subjects::raft()], SweepSpec::DEFAULT_SEEDS);
        }
        let file =
            format!(r#"{{"seedbed_sweep": 1, "scenarios": ["a"], "axes": [{{"drops": {text}}}], "seeds": "{text}"}}"#);
        let _ = SweepSpec::parse("s.json", &file, &subjects::builtin());
    }
    assert!(taken > 100, "most texts say nothing: {taken}");
}

#[test]
fn a_fingerprint_covers_everything_that_determines_the_runs() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("m.json");
    let of = |file: &str, text: &str, protocol: &Protocol, seeds: &str, loss: f64| {
        std::fs::write(&path, serde_json::json!(vec![vec![loss; 5]; 5]).to_string()).expect("a file");
        let axes = axes(&[text, &format!("matrix={}", path.display())]).unwrap();
        Grid::new(vec![base(file)], axes, vec![protocol.clone()], seeds.parse().unwrap()).unwrap().fingerprint()
    };
    let (raft, broadcast) = (&subjects::raft(), &subjects::broadcast());
    let mutant = &raft.without("vote-once").expect("a rule");
    let first = of("simple-1.json", "mix=0.5", raft, "0..9", 0.0);
    assert_eq!(of("simple-1.json", "mix=0.5", raft, "0..=8", 0.0), first);
    for other in [
        of("simple-2.json", "mix=0.5", raft, "0..9", 0.0),
        of("simple-1.json", "mix=0.6", raft, "0..9", 0.0),
        of("simple-1.json", "requests=50", raft, "0..9", 0.0),
        of("simple-1.json", "mix=0.5", broadcast, "0..9", 0.0),
        of("simple-1.json", "mix=0.5", mutant, "0..9", 0.0),
        of("simple-1.json", "mix=0.5", raft, "1..9", 0.0),
        of("simple-1.json", "mix=0.5", raft, "0..9", 0.1),
    ] {
        assert_ne!(other, first);
    }
}

#[test]
fn an_unknown_path_is_named_whatever_the_name_of_the_file() {
    let odd = Base { path: PathBuf::from("a`b is ignored.json"), ..base("simple-1.json") };
    let refused = Grid::new(vec![odd], axes(&["dropz=1"]).unwrap(), vec![subjects::raft()], SeedRange::only(0));
    let told = refused.expect_err("there is no such key").to_string();
    assert!(told.starts_with("unknown path `dropz`; did you mean `drops`?"), "{told}");
}

/// A scenario whose clients use something of this kind.
fn base_of_kind(name: &str, kind: &str) -> Base {
    let file = format!("{name}.json");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/simple-1.json");
    let mut keys: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON");
    keys["workload"] = serde_json::json!({"kind": kind});
    let text = keys.to_string();
    Base::new(PathBuf::from(&file), Scenario::parse(name, &file, &text).expect("a scenario").scenario)
}

fn broadcast_grid(bases: Vec<Base>, texts: &[&str]) -> Result<Grid, GridError> {
    let broadcast = subjects::builtin().find("broadcast").expect("it is built in");
    Grid::new(bases, axes(texts)?, vec![broadcast], "0..10".parse().unwrap())
}

#[test]
fn a_scenario_of_a_folder_that_is_not_served_is_left_out_and_one_that_was_asked_for_is_refused() {
    let bases = |unserved| {
        let (queue, list) = (base_of_kind("q", "queue"), base_of_kind("l", "list"));
        vec![queue.unserved(unserved), base("simple-1.json").unserved(unserved), list.unserved(unserved)]
    };
    let grid = broadcast_grid(bases(OnUnserved::LeaveOut), &["drops=0,0.1"]).expect("one is left");
    assert_eq!((grid.cells(), grid.runs()), (2, 20));
    assert_eq!(grid.cell(1).base.scenario.name, "simple-1");
    assert_eq!(
        grid.left_out(),
        [
            "q.json with drops=0: `workload.kind` is \"queue\"; allowed is kv, which broadcast serves",
            "l.json with drops=0: `workload.kind` is \"list\"; allowed is kv, which broadcast serves",
        ]
    );
    let refused = broadcast_grid(bases(OnUnserved::Refuse), &[]).unwrap_err().to_string();
    assert_eq!(refused, "q.json: `workload.kind` is \"queue\"; allowed is kv, which broadcast serves");
    let kept = broadcast_grid(bases(OnUnserved::Keep), &[]).expect("no protocol has a say");
    assert_eq!((kept.cells(), kept.left_out().len()), (3, 0));
}

#[test]
fn a_grid_of_which_every_scenario_is_left_out_is_refused() {
    let queue = base_of_kind("q", "queue").unserved(OnUnserved::LeaveOut);
    let error = broadcast_grid(vec![queue], &[]).unwrap_err().to_string();
    assert_eq!(
        error,
        "all scenarios are left out (1); the first one: \
         q.json: `workload.kind` is \"queue\"; allowed is kv, which broadcast serves"
    );
}
