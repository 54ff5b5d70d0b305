//! What can keep a command from doing its work.

use std::io;
use std::path::{Path, PathBuf};

use crate::campaign::GridError;
use crate::lab::explore::CorpusError;
use crate::lab::{Unexplorable, UnknownMutant};
use crate::printable::printable;
use crate::record::Obstacle;
use crate::report::rows::{MergeError, UnknownMetric};
use crate::report::sweep::SweepError;
use crate::scenario::ScenarioError;
use crate::world::processes::PlayError;
use crate::world::program::ProgramError;

/// Up to this many runs begin without --yes.
pub(super) const RUNS_MAX: u64 = 1_000_000_000;

/// `seedbed run` keeps the result of each run until its end.
pub(super) const RUNS_SHOWN_MAX: u64 = 10_000;

/// What can keep a command from doing its work. Each message but clap's is one line.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The arguments make no sense; also a request for help.
    #[error("{0}")]
    Usage(clap::Error),
    #[error("{one} and {other} cannot be written to the same place")]
    SamePlace { one: &'static str, other: &'static str },
    #[error("{option} shows a single run; allowed is one scenario with one seed")]
    OfMany { option: &'static str },
    #[error("{}: no built-in file or folder has this name; {}", shown(name), similar(name))]
    NotBuiltIn { name: PathBuf },
    #[error("only one file can be printed; write several to a folder with --output DIR")]
    PrintsOne,
    #[error(transparent)]
    Library(#[from] crate::scenario::library::WriteError),
    #[error(
        "{runs} runs are too many for `seedbed run`; allowed are up to {RUNS_SHOWN_MAX}, and `seedbed sweep` takes more"
    )]
    TooManyRuns { runs: u64 },
    #[error("{}: is a file that this command reads; the result would replace it", shown(path))]
    Overwrites { path: PathBuf },
    #[error("{}: tells of no finding, so there is nothing to shrink", shown(path))]
    NothingToShrink { path: PathBuf },
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error("{}: cannot be written: {source}", shown(path))]
    File { path: PathBuf, source: io::Error },
    #[error("{}: cannot be written: {source}; --repros DIR chooses another folder", shown(path))]
    Repro { path: PathBuf, source: io::Error },
    #[error("standard output cannot be written: {0}")]
    Stdout(#[from] io::Error),
    #[error("cannot install signal handlers: {0}")]
    Signals(io::Error),
    #[error(transparent)]
    Mutant(#[from] UnknownMutant),
    #[error("--corpus: {0}")]
    Corpus(#[from] CorpusError),
    #[error(transparent)]
    Unexplorable(#[from] Unexplorable),
    #[error("{protocol} has no mutants, so there is nothing to detect; `Subject::mutants` lists them")]
    NoMutants { protocol: &'static str },
    #[error(
        "this build has no drawn mutants of {protocol}; `{}` makes one that has some (docs/checking.md)",
        crate::report::zoo::BUILD
    )]
    NoDrawnMutants { protocol: &'static str },
    #[error(transparent)]
    Grid(Box<GridError>),
    #[error("`{name}` has {count} values; allowed is one for a run, and `seedbed sweep` takes several")]
    ManyValues { name: String, count: usize },
    #[error("`{name}` is a parameter of simulated replicas; a program has its own")]
    ForeignReplicas { name: &'static str },
    #[error("--env `{}`: {problem}; allowed is NAME=VALUE, or the NAME of a variable that is set", printable(text))]
    Variable { text: String, problem: &'static str },
    #[error("--no-heartbeats: which messages of a program are heartbeats is not known; leave it out with -r")]
    Heartbeats,
    #[error(
        "--trace-calls: only simulated programs make system calls; it needs -r and --virtual, or a repro file of a program"
    )]
    Calls,
    #[error("the sweep has {runs} runs, more than {RUNS_MAX}; add --yes if that is meant")]
    ManyRuns { runs: u64 },
    #[error("--shard auto: {0}")]
    ShardAuto(String),
    #[error("{}: is a sweep file; allowed is one sweep file, without other names", shown(path))]
    SweepAmongFiles { path: PathBuf },
    #[error(transparent)]
    Sweep(SweepError),
    #[error("{}: cannot be read: {source}", shown(path))]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}: cannot be drawn: allowed is a file whose name ends in .svg or .png", shown(path))]
    Picture { path: PathBuf },
    #[error("--metrics: {0}")]
    Metric(#[from] UnknownMetric),
    #[error("{option} applies to CSV rows only; these are files of another kind")]
    NoRows { option: &'static str },
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error("{}: {problem}", if path == Path::new("-") { "standard input".to_owned() } else { shown(path) })]
    History { path: PathBuf, problem: String },
    #[error("--picture shows a single history; allowed is one file")]
    PictureOfMany,
    #[error("--spec: {0}")]
    Specification(#[from] crate::check::linear::UnknownSpecification),
    #[error(transparent)]
    Live(PlayError),
    #[error("-r {0}")]
    Program(ProgramError),
    #[error("the program cannot be simulated: {0}")]
    Obstacle(Obstacle),
    #[error("interrupted; this {}: {command}", if *.goes_on { "continues" } else { "begins again" })]
    Interrupted { signal: i32, command: String, goes_on: bool },
    #[error("threads cannot be started: {0}")]
    Threads(rayon::ThreadPoolBuildError),
    #[cfg(feature = "grpc")]
    #[error(transparent)]
    Serve(#[from] crate::node::grpc::ServeError),
    #[cfg(not(feature = "grpc"))]
    #[error("this program was built without gRPC; build it with: cargo build --release --features grpc")]
    WithoutGrpc,
    #[cfg(feature = "grpc")]
    #[error(transparent)]
    Client(#[from] crate::client::Error),
    #[cfg(feature = "grpc")]
    #[error(transparent)]
    Tls(crate::rpc::TlsError),
    #[cfg(feature = "grpc")]
    #[error("the keys cannot be put before measuring: {reason}; --no-fill skips this")]
    NotFilled { reason: String },
    #[cfg(feature = "grpc")]
    #[error(
        "{}: stops or starts servers ({kills}), which cannot be played on a cluster that runs already; --skip-kills leaves that out",
        shown(path)
    )]
    Kills { path: PathBuf, kills: String },
    #[cfg(feature = "grpc")]
    #[error("{}: {what}", shown(path))]
    Unplayable { path: PathBuf, what: crate::scenario::Unplayable },
    #[cfg(feature = "grpc")]
    #[error("{}: is for {wanted} replicas; the cluster has {found} servers", shown(path))]
    ClusterSize { path: PathBuf, wanted: usize, found: usize },
    #[cfg(feature = "grpc")]
    #[error("no server has taken the first matrix: {server}: {reason}")]
    NoMonkeys { server: crate::rpc::ServerAddress, reason: String },
    #[cfg(feature = "grpc")]
    #[error("no server answers at {}; --servers says where there are some", listed(servers))]
    NoServers { servers: Vec<crate::rpc::ServerAddress> },
    #[cfg(feature = "grpc")]
    #[error("{option} is needed, as an option, a variable or a key of --config")]
    Missing { option: &'static str },
    #[cfg(feature = "grpc")]
    #[error("{option}: is {}; allowed is {allowed}", printable(value))]
    Option { option: &'static str, value: String, allowed: String },
    #[cfg(feature = "grpc")]
    #[error("{option}: {error}")]
    Address { option: &'static str, error: crate::rpc::AddressError },
    #[cfg(feature = "grpc")]
    #[error("{}", toml_problem(path, error, text))]
    Toml { path: PathBuf, error: Box<toml::de::Error>, text: String },
    #[error("the operating system gives no random seed ({0}); choose one with --seed")]
    NoSeed(rand::rngs::SysError),
}

impl From<GridError> for CliError {
    fn from(error: GridError) -> CliError {
        CliError::Grid(Box::new(error))
    }
}

/// The stream of a sweep is standard output.
impl From<SweepError> for CliError {
    fn from(error: SweepError) -> CliError {
        match error {
            SweepError::Stream(source) => CliError::Stdout(source),
            other => CliError::Sweep(other),
        }
    }
}

impl CliError {
    /// The same; but an interrupt names the command that was interrupted.
    pub fn of(self, command: &str) -> CliError {
        match self {
            CliError::Live(PlayError::Interrupted { signal }) => {
                CliError::Interrupted { signal, command: command.to_owned(), goes_on: false }
            }
            other => other,
        }
    }
}

/// The built-in file that a name may stand for, or how to find it.
fn similar(name: &Path) -> String {
    let meant = crate::scenario::library::similar(name);
    meant.map_or("`seedbed scenarios` lists them".to_owned(), |meant| format!("did you mean `{meant}`?"))
}

/// The path in one line, whatever it holds.
fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Addresses in one line.
#[cfg(feature = "grpc")]
fn listed(servers: &[crate::rpc::ServerAddress]) -> String {
    servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What is wrong with a TOML file, and in which line, in one line.
#[cfg(feature = "grpc")]
fn toml_problem(path: &Path, error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| 1 + text.bytes().take(span.start).filter(|&byte| byte == b'\n').count());
    let place = line.map(|line| format!(", line {line}")).unwrap_or_default();
    let mut message = error.message().to_owned();
    // Types are of the program, and say nothing to those who wrote the file.
    for (name, most) in [("u8", u64::from(u8::MAX)), ("u16", u16::MAX.into()), ("u32", u32::MAX.into())] {
        if let Some(before) = message.strip_suffix(&format!("expected {name}")) {
            message = format!("{before}expected a number from 0 to {most}");
        }
    }
    if let Some(before) = message.strip_suffix("expected u64") {
        message = format!("{before}expected a number from 0 to {}", i64::MAX);
    }
    format!("{}{place}: {}", shown(path), printable(&message))
}
