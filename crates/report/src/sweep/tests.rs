use std::fs;

use super::*;
use crate::rows::Details;
use seedbed_core::campaign::{AxisSpec, Base};
use seedbed_core::scenario::Scenario;
use seedbed_core::subjects;
use tempfile::TempDir;

/// Two cells of six runs each.
fn grid() -> Grid {
    let scenario = Scenario::builtin("simple-1").expect("it is built in");
    let base = Base::new(PathBuf::from("simple-1"), scenario);
    let protocols = vec![subjects::raft()];
    let replicas = AxisSpec::of("replicas", "3,5").expect("numbers").resolve(&protocols).expect("a key");
    Grid::new(vec![base], vec![replicas], protocols, "0..6".parse().expect("seeds")).expect("runs")
}

fn columns() -> Columns {
    Columns::of(subjects::raft().kinds().iter().copied())
}

/// A sweep with three sheets in a folder.
fn sweep<'a>(grid: &'a Grid, folder: &TempDir) -> Sweep<'a> {
    let path = |name| folder.path().join(name);
    let details = Kind::Details(Details::Messages);
    Sweep::new(grid, columns())
        .sheet(Kind::Rows, path("rows.csv"))
        .sheet(Kind::Json, path("rows.json"))
        .sheet(details, path("messages.csv"))
}

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

/// The files of a folder by name, with their content.
fn files(folder: &TempDir) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder.path()).expect("a folder");
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name().into_string().expect("UTF-8");
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let content = fs::read(folder.path().join(&name)).expect("a file");
            (name, content)
        })
        .collect()
}

/// Ends the attempt after some runs, and counts them.
struct StopsAfter {
    left: u64,
    recorded: u64,
}

impl Observer for StopsAfter {
    fn poll(&mut self) -> ControlFlow<()> {
        if self.left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn recorded(&mut self) {
        self.left -= 1;
        self.recorded += 1;
    }
}

fn complete(attempt: Attempt<'_>) -> Results {
    attempt.play(&mut io::sink(), &mut ()).expect("room").expect("it is not ended")
}

#[test]
fn a_sweep_that_is_stopped_anywhere_is_resumed_to_the_same_files_and_statistics() {
    let (grid, whole) = (grid(), folder());
    let expected = complete(sweep(&grid, &whole).begin(false, &mut io::sink()).expect("room"));
    assert_eq!((expected.digest.runs(), expected.digest.cells.len()), (12, 2));
    for stop in [0, 1, 5, 6, 11] {
        let parts = folder();
        let attempt = sweep(&grid, &parts).begin(false, &mut io::sink()).expect("room");
        let mut observer = StopsAfter { left: stop, recorded: 0 };
        assert!(attempt.play(&mut io::sink(), &mut observer).expect("room").is_none());
        assert_eq!(observer.recorded, stop);
        let again = sweep(&grid, &parts).resume(&mut io::sink()).expect("files of this sweep");
        // Details may miss lines of their last run, and the last run that all files hold is done again.
        assert_eq!(again.runs(), 12 - stop.saturating_sub(2));
        let results = complete(again);
        assert_eq!(results.digest.trace(), expected.digest.trace(), "{stop}");
        assert_eq!(files(&parts), files(&whole), "{stop}");
    }
    let done = sweep(&grid, &whole).resume(&mut io::sink()).expect("whole files");
    assert_eq!(done.runs(), 0);
    assert_eq!(complete(done).digest.trace(), expected.digest.trace());
}

#[test]
fn the_files_of_another_sweep_are_replaced_only_by_force() {
    let (grid, folder) = (grid(), folder());
    complete(sweep(&grid, &folder).begin(false, &mut io::sink()).expect("room"));
    let before = files(&folder);
    let other = Grid::clone(&grid);
    let shard = |text: &str| text.parse().expect("a part");
    let part = || sweep(&other, &folder).shard(shard("1/2"));
    assert!(matches!(part().begin(false, &mut io::sink()), Err(SweepError::OtherSweep { .. })));
    assert!(matches!(part().resume(&mut io::sink()), Err(SweepError::Resume { .. })));
    assert_eq!(files(&folder), before);
    assert_eq!(complete(part().begin(true, &mut io::sink()).expect("room")).digest.runs(), 6);
    assert_ne!(files(&folder), before);
}

#[test]
fn an_attempt_that_is_given_up_leaves_no_file() {
    let (grid, folder) = (grid(), folder());
    sweep(&grid, &folder).begin(false, &mut io::sink()).expect("room").discard();
    assert_eq!(files(&folder), []);
    let nowhere = folder.path().join("nowhere/x.csv");
    let refused = sweep(&grid, &folder).sheet(Kind::Rows, nowhere).begin(false, &mut io::sink());
    assert!(matches!(refused, Err(SweepError::Unwritable { .. })));
    assert_eq!(files(&folder), []);
}

#[test]
fn without_its_rows_an_attempt_cannot_be_continued() {
    let (grid, folder) = (grid(), folder());
    let json = || Sweep::new(&grid, columns()).sheet(Kind::Json, folder.path().join("rows.json"));
    let attempt = json().begin(false, &mut io::sink()).expect("room");
    assert!(attempt.play(&mut io::sink(), &mut StopsAfter { left: 3, recorded: 0 }).expect("room").is_none());
    assert!(matches!(json().resume(&mut io::sink()), Err(SweepError::ResumeWithoutRows)));
}

#[test]
fn rows_go_to_the_stream_and_name_the_command_that_repeats_their_run() {
    let grid = grid();
    let command_of = |cell: &Cell<'_>| CellCommand {
        before: "play --seed".to_owned(),
        after: cell.values.iter().map(|(name, _, word)| format!("{name}={word}")).collect(),
    };
    let sweep = Sweep::new(&grid, columns()).sheet(Kind::Rows, "-").commands(&command_of).waits(true);
    let mut stream = Vec::new();
    let attempt = sweep.begin(false, &mut stream).expect("memory");
    let results = attempt.play(&mut stream, &mut ()).expect("memory").expect("it is not ended");
    let text = String::from_utf8(stream).expect("text");
    let commands: Vec<&str> = text.lines().skip(1).filter_map(|line| line.rsplit(',').next()).collect();
    assert_eq!(commands.len(), 12);
    assert_eq!((commands[0], commands[11]), ("play --seed 0 replicas=3", "play --seed 5 replicas=5"));
    assert_eq!(results.waits.expect("they are kept").cells.len(), 2);
}
