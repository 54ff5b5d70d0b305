//! `seedbed chaos play`: what happens in a scenario, on a running cluster.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::chaos::{complain, healthy};
use crate::chaos::{Act, Director, Fault, FaultEvent};
use crate::cli::command::{Words, quoted_path};
use crate::cli::error::CliError;
use crate::cli::selection::draw_seed;
use crate::cli::{Outcome, output};
use crate::client::{Chaos, Servers, status};
use crate::clock::Clock;
use crate::id::ReplicaId;
use crate::record::World;
use crate::report::chaos::effect;
use crate::scenario::Scenario;
use crate::time::{Span, Time};

/// How often the command tries to reset the matrices before it reports that the last one is still in force.
const CLEAR_TRIES: u32 = 5;

/// How long it waits before another try.
const CLEAR_PAUSE: Duration = Duration::from_secs(1);

/// Play the partitions, isolations and matrices of a scenario in real time
///
/// The scenario's matrix is uploaded to begin with, and after each of its events the one that has all
/// partitions and isolations in it. Times count from now, without the scenario's `wait`. When its
/// `lifetime` is over, or at Ctrl-C, all servers get a matrix of zeros. Its clients do not play: use
/// `seedbed kv bench` meanwhile.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A scenario file or the name of a built-in scenario, for as many replicas as the cluster has servers
    timeline: PathBuf,

    /// Leave out what needs this program's own servers: kills, crashes, restarts and pauses
    #[arg(long)]
    skip_kills: bool,

    /// Seed of the choice of sides; random by default
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<u64>,
}

/// A scenario ready to be played.
pub(super) struct Plot {
    path: PathBuf,
    scenario: Scenario,
    /// Its events, without those that stop or start servers.
    events: Vec<FaultEvent>,
    seed: u64,
    command: String,
}

/// Why a play ends.
enum End {
    /// It was played to its end.
    Played,
    /// This signal came.
    Signal(i32),
}

impl Plot {
    /// Reads the scenario and passes its warnings on.
    pub fn load(args: &Args) -> Result<Plot, CliError> {
        let path = args.timeline.clone();
        let loaded = Scenario::find(&path)?;
        loaded.warnings.iter().for_each(|warning| output::warning(warning));
        let scenario = loaded.scenario;
        let (kills, events): (Vec<FaultEvent>, Vec<FaultEvent>) =
            scenario.events.iter().cloned().partition(|event| needs_own_servers(&event.fault));
        if !kills.is_empty() && !args.skip_kills {
            let named =
                |event: &FaultEvent| format!("{} at {} s", event.fault.name(), at(&scenario, event).as_secs_f64());
            let kills = kills.iter().map(named).collect::<Vec<_>>().join(", ");
            return Err(CliError::Kills { path, kills });
        }
        let played = Scenario { events: events.clone(), losses: Vec::new(), ..scenario.clone() };
        if let Some(what) = played.unplayable(World::Grpc) {
            return Err(CliError::Unplayable { path, what });
        }
        if !scenario.losses.is_empty() {
            output::warning(&format!("{}: losses by number are left out", path.display()));
        }
        let seed = args.seed.or(scenario.seed).map_or_else(draw_seed, Ok)?;
        let words = Words::new("chaos play").with(quoted_path(&path)).option("--seed", seed);
        let words = if args.skip_kills { words.with("--skip-kills") } else { words };
        Ok(Plot { path, events, seed, command: words.to_string(), scenario })
    }

    /// Plays it, and resets all matrices at the end, whatever happens.
    pub async fn play(self, chaos: &Chaos, servers: &Servers, timeout: Duration) -> Result<Outcome, CliError> {
        // If no server answers, there is no cluster to play on.
        let Some(found) = status::members(servers, timeout).await? else {
            return Err(CliError::NoServers { servers: servers.addresses().to_vec() });
        };
        let found = found.len();
        if found != self.scenario.replicas {
            return Err(CliError::ClusterSize { path: self.path, wanted: self.scenario.replicas, found });
        }
        let mut hang_up = signal(SignalKind::hangup()).map_err(CliError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Signals)?;
        println(&format!("{}\n", self.command))?;
        let mut director = Director::new(self.scenario.matrix.clone(), &[], self.scenario.rules, self.seed);
        let answers = chaos.upload(&director.monkey().effective_matrix()).await?;
        // If no server has accepted this matrix, none will accept the later ones.
        if let [(server, Err(reason)), ..] = &answers[..]
            && answers.iter().all(|(_, answer)| answer.is_err())
        {
            // A server that did not answer may still have accepted it.
            chaos.upload(&healthy(found)).await?;
            return Err(CliError::NoMonkeys { server: server.clone(), reason: reason.clone() });
        }
        let mut failed = complain(&answers);
        let end = tokio::select! {
            end = self.perform(&mut director, chaos, servers, timeout, &mut failed) => end.map(|()| End::Played),
            _ = hang_up.recv() => Ok(End::Signal(SignalKind::hangup().as_raw_value())),
            _ = interrupt.recv() => Ok(End::Signal(SignalKind::interrupt().as_raw_value())),
            _ = terminate.recv() => Ok(End::Signal(SignalKind::terminate().as_raw_value())),
        };
        let cleared = clear(chaos, found).await;
        match end? {
            End::Signal(signal) => {
                cleared?;
                Err(CliError::Interrupted { signal, command: self.command, goes_on: false })
            }
            End::Played => {
                let all = cleared?;
                let seconds = self.scenario.lifetime.as_secs_f64();
                println(&format!(
                    "{seconds:>7.1} s  over; {}",
                    if all { "nothing is lost any more" } else { "but see above" }
                ))?;
                Ok(Outcome::of(all && failed == 0))
            }
        }
    }

    /// Uploads a matrix after each event, and counts the uploads that failed.
    async fn perform(
        &self,
        director: &mut Director,
        chaos: &Chaos,
        servers: &Servers,
        timeout: Duration,
        failed: &mut usize,
    ) -> Result<(), CliError> {
        let clock = Clock::start();
        println(&format!("{:>7.1} s  begins, with {} servers", 0.0, self.scenario.replicas))?;
        for event in &self.events {
            let due = at(&self.scenario, event);
            if due > self.scenario.lifetime {
                break;
            }
            wait(&clock, due).await;
            // A partition is one around the leader.
            believe(director, self.scenario.replicas, servers, timeout).await?;
            director.apply(&event.fault);
            *failed += complain(&chaos.upload(&director.monkey().effective_matrix()).await?);
            let words = effect(&event.fault, director.monkey(), self.scenario.replicas);
            println(&format!("{:>7.1} s  {words}", due.as_secs_f64()))?;
        }
        wait(&clock, self.scenario.lifetime).await;
        Ok(())
    }
}

/// Whether it stops or starts servers. Only the program that has started them can do that.
fn needs_own_servers(fault: &Fault) -> bool {
    fault.act().is_some_and(|act| act.is_of_power() || matches!(act, Act::Pause | Act::Resume))
}

/// When an event happens, from the end of the scenario's `wait` on.
fn at(scenario: &Scenario, event: &FaultEvent) -> Span {
    event.time.since(scenario.start())
}

/// Waits until this much time has passed since the clock was started.
async fn wait(clock: &Clock, until: Span) {
    let left = (Time::ZERO + until).since(clock.now());
    tokio::time::sleep(Duration::from_nanos(left.nanos())).await;
}

/// Tells the director which leaders the servers have observed, the one of the newest term last. Servers that do not
/// answer are skipped.
async fn believe(
    director: &mut Director,
    replicas: usize,
    servers: &Servers,
    timeout: Duration,
) -> Result<(), CliError> {
    let answers = status::of_each(servers, timeout).await?;
    let mut statuses: Vec<_> = answers.into_iter().filter_map(|(_, answer)| answer.ok()).collect();
    statuses.sort_by_key(|status| status.term);
    let replica = |id: u32| u8::try_from(id).ok().filter(|&id| usize::from(id) < replicas).map(ReplicaId);
    for status in statuses {
        if let (Some(from), Some(leader)) = (replica(status.id), status.leader) {
            director.observe_leader(from, replica(leader));
        }
    }
    Ok(())
}

/// Gives all servers a matrix of zeros. Returns whether all of them have accepted it.
async fn clear(chaos: &Chaos, servers: usize) -> Result<bool, CliError> {
    let matrix = healthy(servers);
    for _ in 1..CLEAR_TRIES {
        if chaos.upload(&matrix).await?.iter().all(|(_, answer)| answer.is_ok()) {
            return Ok(true);
        }
        tokio::time::sleep(CLEAR_PAUSE).await;
    }
    Ok(complain(&chaos.upload(&matrix).await?) == 0)
}

/// Prints a line on standard output at once.
fn println(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(timeline: &str, skip_kills: bool) -> Args {
        Args { timeline: timeline.into(), skip_kills, seed: Some(7) }
    }

    #[test]
    fn what_stops_or_starts_servers_is_refused_by_name_and_time_unless_it_is_left_out() {
        let error = Plot::load(&args("advanced-1.json", false)).err().expect("it kills").to_string();
        let text = "advanced-1.json: stops or starts servers (kill_leader at 20 s), which cannot be played on a \
                    cluster that runs already; --skip-kills leaves that out";
        assert_eq!(error, text);
        let plot = Plot::load(&args("advanced-1.json", true)).expect("a plot");
        assert_eq!(plot.events.len(), 4);
        assert_eq!(plot.command, "seedbed chaos play advanced-1.json --seed 7 --skip-kills");
        assert_eq!(at(&plot.scenario, &plot.events[0]), Span::from_secs(5), "the wait before does not count");

        let error = Plot::load(&args("field/paused-leader-reads.json", false)).err().expect("it pauses").to_string();
        assert!(error.contains("stops or starts servers (pause at "), "{error}");
    }
}
