//! Draws the parameters of Raft's replicas for one explored run.

use crate::lab::explore::Flavour;
use crate::replica::Config;
use crate::rng::Stream;
use crate::time::Span;

/// The default timing in two of five draws, and another one in the rest; small batches now and then.
pub(in crate::subjects) fn config(random: &mut Stream, flavour: Flavour) -> Config {
    let mut config = Config::default();
    let raft = &mut config.raft;
    if random.chance(0.6) {
        let min = random.between(100, 800);
        raft.election_timeout_min = Span::from_millis(min);
        // Round trips rarely take more than a quarter of the shortest timeout, and the election timeouts must differ by
        // more than that. Otherwise votes are split again and again (section 5.2 of the paper).
        raft.election_timeout_max = Span::from_millis(min + min * random.between(40, 100) / 100);
        raft.heartbeat = Span::from_millis(min * random.between(20, 90) / 100);
        raft.round_trip_guess = Span::from_millis(random.between(1, min / 4));
        raft.retry_min = Span::from_millis(random.between(1, min / 10));
    }
    if flavour == Flavour::Slow || random.chance(0.4) {
        raft.batch_bytes_max = *random.pick(&[1, 64, 300]).expect("sizes");
        raft.inflight_max = *random.pick(&[1, 2, 8]).expect("numbers");
        raft.suspect_after = *random.pick(&[1, 2, 4]).expect("numbers");
        if raft.batch_bytes_max <= 64 {
            // Entries that are sent one at a time must at least not wait for each other.
            raft.inflight_max = raft.inflight_max.max(2);
        }
    }
    match flavour {
        Flavour::Duel => (raft.batch_bytes_max, raft.inflight_max) = (1, 8),
        Flavour::Readers => {
            raft.heartbeat = Span(raft.election_timeout_min.nanos() * random.between(50, 90) / 100);
        }
        Flavour::Any | Flavour::Slow => {}
    }
    if random.chance(0.3) {
        config.probe_after = Span::from_millis(random.between(0, 100));
    }
    if random.chance(AT_BOUNDS) {
        at_bounds(random, &mut config);
    }
    debug_assert_eq!(config.validate(), Ok(()));
    config
}

/// The share of runs in which some parameters are as small as they can be.
const AT_BOUNDS: f64 = 0.15;

/// Sets some parameters to the least that they can be, or close to it.
fn at_bounds(random: &mut Stream, config: &mut Config) {
    let raft = &mut config.raft;
    for place in 0..7 {
        if random.chance(0.6) {
            continue;
        }
        match place {
            0 => raft.suspect_after = 1,
            1 if raft.batch_bytes_max > 64 => raft.inflight_max = 1,
            1 => {}
            2 => raft.clock_drift_max = 0.0,
            3 => raft.retry_min = Span::from_micros(1),
            4 => config.probe_after = Span::ZERO,
            // A burst has up to 12 requests. Where only one or two are held, all reads may be refused.
            5 => config.held_requests_max = random.between(8, 12) as usize,
            // A request must be held for some elections, or it fails before it can be carried out.
            _ => config.held_time_max = Span(raft.election_timeout_max.nanos() * random.between(3, 6)),
        }
    }
    if random.chance(0.5) {
        config.remembered_requests = config.held_requests_max;
    }
}

/// The share of runs in which logs are short.
const SHORT: f64 = 0.4;

/// In some runs logs are short, so that they are compacted all the time, and a replica that falls behind needs a
/// snapshot. This has its own random stream, so the other draws of a seed do not depend on it.
pub(in crate::subjects) fn log_bytes_max(seed: u64) -> usize {
    let mut random = Stream::new(seed, "explore logs");
    if random.chance(SHORT) { *random.pick(&[1, 100, 400, 1_600]).expect("sizes") } else { usize::MAX }
}
