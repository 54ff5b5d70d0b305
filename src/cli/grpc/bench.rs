//! `seedbed kv bench`: how many requests a cluster answers, and how fast.

use std::io::Write;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use tokio::runtime::Builder;

use super::connection::{self, ConnectionArgs, seconds};
use crate::cli::Outcome;
use crate::cli::error::CliError;
use crate::cli::output::{self, OutputFile};
use crate::cli::progress::Progress;
use crate::cli::selection::draw_seed;
use crate::client::bench::{self, Measured, Plan, Seen, Stale, Target};
use crate::client::{Kv, Routing, Settings};
use crate::report::bench as report;
use crate::rpc::VALUE_BYTES_MAX;
use crate::time::Span;

/// The longest bench, if only a number of requests is given.
const DURATION_MAX: Duration = Duration::from_secs(3_600);

/// Measure how many requests a cluster answers, and how fast
///
/// Each client has one request at a time. Without --rate, it sends the next one when it has the answer
/// to the last (closed loop), which finds out how much the cluster can do. With --rate, requests are
/// due at an even rate whatever has become of earlier ones (open loop), and latency counts from when a
/// request was due, so that a stall of the cluster is not hidden by clients that wait it out.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed kv bench                                   64 clients for ten seconds, as fast as they can
  seedbed kv bench --rate 1000 --gets 0.9            a steady load, mostly of gets
  seedbed kv bench --requests 10000 --csv - | column -ts,

Exit codes: 0 all requests were answered, 1 some failed or there were none, 2 bad usage or not begun.")]
pub(super) struct Args {
    /// How many clients there are
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,

    /// Requests that are due each second, of all clients together
    #[arg(long, value_name = "N", value_parser = rate, allow_negative_numbers = true)]
    rate: Option<f64>,

    /// The share of gets, 0 to 1; the others are puts
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = share, allow_negative_numbers = true)]
    gets: f64,

    /// How many keys there are; each request draws one
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    keys: u32,

    /// How many bytes a value has
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=VALUE_BYTES_MAX as i64))]
    value_bytes: u32,

    /// How long to measure (by default 10 seconds, or until all --requests are sent)
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    duration: Option<Duration>,

    /// How many requests to send at most, those of the warm-up not counted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=u64::MAX))]
    requests: Option<u64>,

    /// How long to send requests that do not count yet
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = warm_up, allow_negative_numbers = true)]
    warm_up: Duration,

    /// Do not put each key once to begin with
    #[arg(long)]
    no_fill: bool,

    /// Which server to ask
    #[arg(long, value_name = "WHOM", default_value = "any")]
    route: Route,

    /// Allow stale values
    #[arg(long)]
    stale_reads: bool,

    /// Connections to each server, which clients share
    #[arg(long, value_name = "N", default_value_t = NonZeroU16::MIN)]
    connections: NonZeroU16,

    /// Threads of the clients (by default, as many as there are cores)
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroU16>,

    /// Seed of keys, kinds and choices of servers; random by default
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<u64>,

    /// Write the result as CSV, a row for each kind; `-` is standard output, in place of the text
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// Which server clients ask.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Route {
    /// Any server, at random, which passes requests on
    Any,
    /// The leader, as the last answer named it
    Leader,
}

/// Carries out the command.
pub(super) fn execute(connection: &ConnectionArgs, args: &Args) -> Result<Outcome, CliError> {
    let csv = args.csv.as_deref().map(OutputFile::open).transpose()?;
    let with_text = csv.as_ref().is_none_or(|csv| !csv.is_stdout());
    let plan = args.plan()?;
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = args.threads {
        builder.worker_threads(usize::from(threads.get()));
    }
    let measured = connection::runtime(builder)?.block_on(measure(connection, args, &plan))?;
    let mut out = output::stdout();
    if with_text {
        report::write_text(&mut out, args.clients, &plan, &measured)?;
    }
    if let Some(csv) = csv {
        let mut writing = csv.begin(&mut out)?;
        let written = bench::write_csv(&mut writing, &measured);
        writing.finish(written)?;
    }
    out.flush()?;
    let all = measured.all();
    Ok(Outcome::of(all.answered() > 0 && all.failed() == 0))
}

impl Args {
    fn plan(&self) -> Result<Plan, CliError> {
        let default = if self.requests.is_some() { DURATION_MAX } else { Duration::from_secs(10) };
        Ok(Plan {
            rate: self.rate,
            gets: self.gets,
            keys: self.keys,
            value_bytes: self.value_bytes as usize,
            warm_up: self.warm_up,
            duration: self.duration.unwrap_or(default),
            requests: self.requests,
            seed: self.seed.map_or_else(draw_seed, Ok)?,
        })
    }
}

/// Connects all clients and loads the cluster.
async fn measure(connection: &ConnectionArgs, args: &Args, plan: &Plan) -> Result<Measured, CliError> {
    let servers = connection.servers().await?.with_connections(usize::from(args.connections.get()));
    let routing = match args.route {
        Route::Any => Routing::Any,
        Route::Leader => Routing::Leader,
    };
    let settings = |client: u32| Settings {
        timeout: connection.timeout(),
        try_timeout: connection.try_timeout(),
        routing,
        seed: Some(plan.seed.wrapping_add(client.into())),
    };
    let clients: Result<Vec<Kv>, _> =
        (0..args.clients).map(|client| Kv::new(servers.clone(), settings(client))).collect();
    let clients = clients?;
    if args.stale_reads {
        load(clients.into_iter().map(Stale).collect(), args, plan).await
    } else {
        load(clients, args, plan).await
    }
}

async fn load<T: Target>(mut targets: Vec<T>, args: &Args, plan: &Plan) -> Result<Measured, CliError> {
    if plan.gets > 0.0 && !args.no_fill {
        targets = bench::fill(targets, plan).await.map_err(|reason| CliError::NotFilled { reason: reason.into() })?;
    }
    let span = plan.warm_up + plan.duration;
    // The time for a number of requests is not known in advance.
    let progress = match plan.requests {
        Some(requests) => Progress::in_requests(requests),
        None => Progress::in_time(Span::from_secs_f64(span.as_secs_f64()), false),
    };
    let measured = bench::run(targets, plan, |Seen { elapsed, answered, errors }| {
        let place = if plan.requests.is_some() { answered + errors } else { elapsed.as_secs() };
        progress.reach(place, || format!("{answered} answered, {errors} failed"));
    });
    let measured = measured.await;
    progress.clear();
    Ok(measured)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1e6).contains(rate));
    rate.ok_or_else(|| "allowed is a number from 0.001 to 1000000".to_owned())
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "allowed is a number from 0 to 1".to_owned())
}

fn warm_up(text: &str) -> Result<Duration, String> {
    if text.parse() == Ok(0.0) { Ok(Duration::ZERO) } else { seconds(text) }
}
