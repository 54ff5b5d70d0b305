//! What plays a scenario: replicas of a protocol in the virtual world, or processes of a program in the live one.

use std::collections::BTreeMap;
use std::ops::Add;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use super::command::{self, CommandLine, Words};
use super::error::CliError;
use super::output;
use super::program::columns;
use super::progress::{Progress, Screen};
use super::selection::Selected;
use super::tested::{self, OnUnsupported};
use crate::check::Judgement;
use crate::lab::{Case, Judged, Protocol, Repro, SeedRange};
use crate::record::{Event, RunRecord, Said, Tally, View, Watcher};
use crate::report::RunSummary;
use crate::scenario::Scenario;
use crate::time::{Span, Time};
use crate::world::catch_quietly;
use crate::world::live::{self, Setup};
use crate::world::processes::{Interrupt, Spectator};

/// Replicas that are ready to play.
#[derive(Debug)]
pub(super) enum Cast {
    Virtual {
        protocol: Protocol,
        /// Whether what programs print is shown at once.
        shows_output: bool,
    },
    Live {
        name: String,
        setup: Setup,
        silence: bool,
        interrupt: Interrupt,
    },
    #[cfg(feature = "grpc")]
    Grpc {
        launch: crate::world::grpc::Launch,
        silence: bool,
        interrupt: Interrupt,
    },
}

/// What came of a run.
#[derive(Debug)]
pub(super) struct Played {
    pub run: RunSummary,
    /// What the replicas printed, if the run failed and it was not shown.
    pub output: Option<Vec<u8>>,
}

/// The worlds that `--world` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum WorldName {
    /// Simulated, unless -r names a program
    Virtual,
    /// Servers of a gRPC cluster on this machine, in real time (needs the feature `grpc`)
    Grpc,
}

/// One run before its start: a scenario, a seed, and the command that repeats it.
#[derive(Clone, Debug)]
pub(super) struct Booking<'a> {
    pub scenario: &'a Scenario,
    pub seed: u64,
    pub command: String,
    /// What it is called while it goes on: the scenario's name, with the seed if there are several.
    pub name: String,
}

/// How processes are run.
#[derive(Debug, clap::Args)]
pub(super) struct Staging {
    /// Do not show what replicas print
    ///
    /// If a run of `seedbed run` fails, it is in a file beside the repro files, which the report names.
    /// Protocols print nothing, and simulated programs are shown only with `--show-output`.
    #[arg(short, long)]
    silence: bool,

    /// Simulate the program of -r in virtual time, in place of real processes in real time
    ///
    /// Its processes run, but their clocks, their randomness, their network and the order of their threads come from the
    /// simulation. So the same seed gives the same run, to the bit, and no run waits for time to pass. docs/programs.md
    /// says what is simulated; `seedbed doctor` says whether this machine can do it.
    #[arg(long = "virtual", requires = "replica")]
    simulates: bool,

    /// Show what simulated replicas print, each line with its virtual time
    ///
    /// If a run fails, its output is in a file beside the repro files in any case, and traces hold it, too.
    #[arg(long, requires = "simulates", conflicts_with = "silence")]
    show_output: bool,

    /// What becomes of system calls of simulated replicas that cannot be simulated
    #[arg(long, value_name = "WHAT", requires = "simulates", default_value = "end", hide_default_value = true)]
    on_unsupported: OnUnsupported,

    /// Set an environment variable for replicas of -r; without a value, this process's own
    ///
    /// Reports show the command, so pass secrets by name alone. By default replicas have only PATH, HOME, USER, LOGNAME and TMPDIR of this process, and LANG=C.UTF-8.
    /// May be given several times.
    #[arg(long, value_name = "NAME[=VALUE]", requires = "replica")]
    env: Vec<String>,

    /// How many scenarios run at a time, with `all`
    ///
    /// With processes, more than one makes latencies worse, since they share the machine's cores.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
}

impl Staging {
    /// How many scenarios run at a time.
    pub fn jobs(&self) -> usize {
        usize::from(self.jobs)
    }

    /// With the options that change what replicas do.
    pub fn words(&self, words: Words) -> Words {
        let words = if self.simulates { words.with("--virtual") } else { words };
        let words = self.on_unsupported.words(words);
        self.env.iter().fold(words, |words, variable| words.option("--env", command::quoted(variable.as_ref())))
    }
}

/// Shows what simulated programs print.
struct Prints<'s>(&'s Screen);

impl Watcher for Prints<'_> {
    fn event(&mut self, view: &View<'_>, event: &Event<'_, ()>, _: Option<&dyn Said>) {
        if let &Event::Printed { replica, line } = event {
            self.0.printed(view.now, replica, line);
        }
    }
}

impl<'a> Booking<'a> {
    /// A booking for each scenario that is selected, with each seed: all seeds of the first scenario come first.
    pub fn all(selected: &'a Selected, command: &CommandLine<'_>) -> Vec<Booking<'a>> {
        let seeds = selected.seeds;
        let mut bookings = Vec::new();
        for (path, scenario) in &selected.scenarios {
            bookings.extend(seeds.iter().map(|seed| Booking {
                scenario,
                seed,
                command: command::one(command, path, SeedRange::only(seed)),
                name: if seeds.count() == 1 { scenario.name.clone() } else { format!("{} seed {seed}", scenario.name) },
            }));
        }
        bookings
    }
}

impl Cast {
    /// Simulated replicas of a protocol.
    pub fn simulated(protocol: Protocol) -> Cast {
        Cast::Virtual { protocol, shows_output: false }
    }

    /// The program of -r: simulated, or as processes.
    pub fn of_program(program: &Path, staging: &Staging) -> Result<Cast, CliError> {
        if staging.simulates {
            let protocol = tested::simulated(program, &staging.env, staging.on_unsupported)?;
            Ok(Cast::Virtual { protocol, shows_output: staging.show_output })
        } else {
            Cast::live(program, staging)
        }
    }

    /// The same, and it tells of system calls.
    pub fn telling_calls(self) -> Result<Cast, CliError> {
        match self {
            Cast::Virtual { protocol, shows_output } if protocol.program().is_some() => {
                Ok(Cast::Virtual { protocol: protocol.telling_calls(), shows_output })
            }
            _ => Err(CliError::Calls),
        }
    }

    /// Processes of this program.
    pub fn live(program: &Path, staging: &Staging) -> Result<Cast, CliError> {
        let name = program.display().to_string();
        let setup = Setup::new(program).map_err(CliError::Live)?;
        let setup = tested::variables(&staging.env)?
            .into_iter()
            .fold(setup, |setup, (name, value)| setup.with_env(name, value));
        let interrupt = Interrupt::install().map_err(CliError::Signals)?;
        Ok(Cast::Live { name, setup, silence: staging.silence, interrupt })
    }

    /// Servers of a gRPC cluster.
    #[cfg(feature = "grpc")]
    pub fn grpc(staging: &Staging) -> Result<Cast, CliError> {
        let launch = crate::world::grpc::Launch::own_program().map_err(CliError::Live)?;
        // What is no trouble is of no interest here.
        let arguments = ["--log", "error"].map(str::to_owned).to_vec();
        let launch = crate::world::grpc::Launch { arguments, ..launch };
        let interrupt = Interrupt::install().map_err(CliError::Signals)?;
        Ok(Cast::Grpc { launch, silence: staging.silence, interrupt })
    }

    /// The same, in a program that has none.
    #[cfg(not(feature = "grpc"))]
    pub fn grpc(_: &Staging) -> Result<Cast, CliError> {
        Err(CliError::WithoutGrpc)
    }

    /// What the replicas run: a protocol's name, or a program's path.
    pub fn name(&self) -> &str {
        match self {
            Cast::Virtual { protocol, .. } => protocol.name(),
            Cast::Live { name, .. } => name,
            #[cfg(feature = "grpc")]
            Cast::Grpc { .. } => "seedbed serve",
        }
    }

    /// What ends its runs before their time, if they have processes.
    fn interrupt(&self) -> Option<&Interrupt> {
        match self {
            Cast::Virtual { .. } => None,
            Cast::Live { interrupt, .. } => Some(interrupt),
            #[cfg(feature = "grpc")]
            Cast::Grpc { interrupt, .. } => Some(interrupt),
        }
    }

    /// A bar for these bookings.
    pub fn progress(&self, bookings: &[Booking<'_>]) -> Progress {
        let several = bookings.len() > 1;
        if self.interrupt().is_none() {
            return Progress::in_runs(bookings.len() as u64, several);
        }
        let spans = bookings.iter().map(|booking| booking.scenario.end().since(Time::ZERO));
        Progress::in_time(spans.fold(Span::ZERO, Span::add), several)
    }

    /// Plays all bookings, `jobs` at a time, and hands out what came of each in their order. At the first error
    /// nothing new is begun, and processes that play are ended.
    pub fn play_all(
        &self,
        bookings: &[Booking<'_>],
        jobs: usize,
        mut finished: impl FnMut(usize, Played, &Progress) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let progress = &self.progress(bookings);
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs.clamp(1, bookings.len().max(1)))
                .map(|_| {
                    let (sender, next) = (sender.clone(), &next);
                    scope.spawn(move || {
                        while let Some((place, booking)) = take(bookings, next) {
                            let run = panic::catch_unwind(AssertUnwindSafe(|| self.play(booking, progress)));
                            let failed = !matches!(run, Ok(Ok(_)));
                            // First the error is on its way, then the others are told to stop. The receiver may be
                            // gone.
                            let panic = run.map(|run| drop(sender.send((place, run)))).err();
                            if failed {
                                self.stop(next, bookings.len());
                            }
                            if let Some(panic) = panic {
                                panic::resume_unwind(panic);
                            }
                        }
                    })
                })
                .collect();
            drop(sender);
            let result = in_order(receiver, |place, run| finished(place, run, progress));
            if result.is_err() {
                self.stop(&next, bookings.len());
            }
            for worker in workers {
                worker.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
            }
            progress.clear();
            result
        })
    }

    /// Begins nothing new, and ends the processes that play.
    fn stop(&self, next: &AtomicUsize, end: usize) {
        next.store(end, Ordering::Relaxed);
        if let Some(interrupt) = self.interrupt() {
            interrupt.cancel();
        }
    }

    /// What repeats a failure of a booking to the bit; none with processes, where nothing does.
    pub fn repro(&self, booking: &Booking<'_>, run: &RunSummary) -> Option<Repro> {
        match self {
            Cast::Virtual { protocol, .. } => {
                Some(Repro::new(case(protocol, booking), run.trace, run.judgement.findings()))
            }
            _ => None,
        }
    }

    /// Plays one booking and has all checkers judge it. If something panics, says how to repeat that.
    pub fn play(&self, booking: &Booking<'_>, progress: &Progress) -> Result<Played, CliError> {
        let (played, _) = self.play_with(booking, progress, None)?;
        Ok(played)
    }

    /// As [`Cast::play`]; the watcher sees what is simulated, or what is on the LAN of processes.
    pub fn play_observed(
        &self,
        booking: &Booking<'_>,
        progress: &Progress,
        watcher: &mut dyn Watcher,
    ) -> Result<(Played, RunRecord), CliError> {
        self.play_with(booking, progress, Some(watcher))
    }

    fn play_with(
        &self,
        booking: &Booking<'_>,
        progress: &Progress,
        watcher: Option<&mut dyn Watcher>,
    ) -> Result<(Played, RunRecord), CliError> {
        let Booking { scenario, seed, command, name } = booking;
        progress.begin(name);
        let tell = || output::note(&format!("this repeats the run that panicked: {command}"));
        let play = || {
            let screen = |silence| Arc::new(Screen::new(progress, name, scenario.end(), silence));
            let (screen, record) = match self {
                Cast::Virtual { protocol, .. } if protocol.program().is_none() => {
                    let (judged, tally) = simulate(&case(protocol, booking), watcher);
                    return Ok::<_, CliError>((judged, tally, None));
                }
                Cast::Virtual { protocol, shows_output } => {
                    let screen = screen(!shows_output);
                    let mut watchers = (Prints(&screen), watcher);
                    let (judged, tally) = simulate(&case(protocol, booking), Some(&mut watchers));
                    screen.finish();
                    return match judged.record.obstacle {
                        Some(obstacle) => Err(CliError::Obstacle(obstacle)),
                        None => Ok((judged, tally, screen.take_kept())),
                    };
                }
                Cast::Live { setup, silence, interrupt, .. } => {
                    let screen = screen(*silence);
                    let blind: &mut dyn Watcher = &mut ();
                    let watcher = watcher.unwrap_or(blind);
                    let played = live::play(scenario, *seed, setup, Arc::<Screen>::clone(&screen), watcher, interrupt);
                    (screen, played.map_err(CliError::Live)?)
                }
                #[cfg(feature = "grpc")]
                Cast::Grpc { launch, silence, interrupt } => {
                    let screen = screen(*silence);
                    let played =
                        crate::world::grpc::play(scenario, *seed, launch, Arc::<Screen>::clone(&screen), interrupt);
                    (screen, played.map_err(CliError::Live)?)
                }
            };
            screen.finish();
            let judgement = Judgement::of(scenario, &record);
            Ok((Judged { record, judgement }, Tally::default(), screen.take_kept()))
        };
        let (Judged { record, judgement }, tally, output) = telling_of_panics(play, tell)?;
        progress.end();
        let run = RunSummary::new(scenario, &record, judgement, self.name(), command.clone(), (columns(), &tally));
        let output = output.filter(|_| !run.passed());
        Ok((Played { run, output }, record))
    }
}

/// Runs a case, with all checkers, and counts its messages. A panic is a finding, too.
fn simulate(case: &Case, watcher: Option<&mut dyn Watcher>) -> (Judged, Tally) {
    let counted = catch_quietly(|| case.run_counted(watcher));
    counted.unwrap_or_else(|panic| (case.judge_panic(&panic), Tally::of_kinds(case.protocol.kinds())))
}

/// The case that a booking is, with these replicas.
fn case(protocol: &Protocol, booking: &Booking<'_>) -> Case {
    Case { scenario: booking.scenario.clone(), seed: booking.seed, protocol: protocol.clone() }
}

/// The next booking that is not taken yet.
fn take<'a, 'b>(bookings: &'a [Booking<'b>], next: &AtomicUsize) -> Option<(usize, &'a Booking<'b>)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    Some((place, bookings.get(place)?))
}

/// Hands on what comes in any order in the order of its numbers, which begin at 0. An error ends it at once, whatever
/// its number.
fn in_order<T, E>(
    incoming: impl IntoIterator<Item = (usize, Result<T, E>)>,
    mut hand_on: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for (place, item) in incoming {
        waiting.insert(place, item?);
        while let Some(item) = waiting.remove(&next) {
            hand_on(next, item)?;
            next += 1;
        }
    }
    Ok(())
}

/// Calls `tell` if `run` panics, and then lets the panic go on.
fn telling_of_panics<T>(run: impl FnOnce() -> T, tell: impl FnOnce()) -> T {
    // Nothing that the closure may have left half done is used again.
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        tell();
        panic::resume_unwind(panic)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_of_and_goes_on() {
        let mut told = 0;
        assert_eq!(telling_of_panics(|| 7, || told += 1), 7);
        assert_eq!(told, 0);

        let panics = AssertUnwindSafe(|| telling_of_panics(|| panic!("on purpose"), || told += 1));
        let caught = panic::catch_unwind(panics);
        assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "on purpose");
        assert_eq!(told, 1);
    }

    #[test]
    fn what_comes_in_any_order_is_handed_on_in_order_until_an_error() {
        let mut handed = Vec::new();
        let incoming = [(2, Ok('c')), (0, Ok('a')), (1, Ok('b')), (4, Ok('e')), (3, Ok('d'))];
        let result = in_order(incoming, |place, item| {
            handed.push((place, item));
            if item == 'd' { Err("enough") } else { Ok(()) }
        });
        assert_eq!(result, Err("enough"));
        assert_eq!(handed, [(0, 'a'), (1, 'b'), (2, 'c'), (3, 'd')]);

        let mut handed = Vec::new();
        let incoming = [(1, Ok('b')), (2, Err("broken")), (0, Ok('a'))];
        let result = in_order(incoming, |place, item| {
            handed.push((place, item));
            Ok(())
        });
        assert_eq!((result, handed), (Err("broken"), vec![]), "an error does not wait for its turn");
    }
}
