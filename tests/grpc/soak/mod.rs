//! Random chaos under load, for as long as is wanted.
//!
//! A cluster of seven. Sixteen clients put and get at a bounded rate, while matrices come and go, servers are stopped
//! for a while, and some are killed. At the end four things must be so:
//!
//! - *What the clients saw is linearizable.* Each value is put once, so the checker decides every key at once, however
//!   long its history is. Keys are a ring of names: a few at a time, so that clients meet, and bounded, so that the
//!   store does not grow.
//! - *The chaos monkeys were fair.* See [`links`].
//! - *Nothing grows.* See [`memory`].
//! - *The cluster was of use, and is again* when nothing is lost any more. For that most of the time a majority can
//!   talk.
//!
//! Variables: SEEDBED_SOAK_SECONDS for how long (12 by default, 600 for a long one), SEEDBED_SOAK_SEED to repeat what a
//! run did to its network, as far as time lets it.

mod clients;
mod links;
mod memory;
mod monkeys;

use std::env;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use rustix::process::Signal;
use seedbed::check::linear::{self, Verdict};
use seedbed::record::History;
use seedbed::rng::Stream;
use seedbed_core::client::{Kv, Servers, Settings};
use seedbed_core::clock::Clock;

use crate::cluster::{Cluster, millis};
use clients::{CLIENTS, Tally};
use links::Links;
use memory::Memory;
use monkeys::Monkeys;

/// So many servers, and so many of them are a majority.
const SERVERS: usize = 7;
const MAJORITY: usize = 4;

/// The longest for which a server is stopped. Connections that are silent for 4 s count as broken.
const PAUSE_MILLIS_MAX: u64 = 3_000;

/// At least so large a share of the requests must be answered. The time in which nothing can be committed, an election
/// included, is far less than the rest.
const ANSWERED_SHARE_MIN: f64 = 0.5;

/// One soak under way.
struct Soak {
    cluster: Cluster,
    clock: Clock,
    seconds: f64,
    /// Which servers have not been killed.
    living: [AtomicBool; SERVERS],
    over: AtomicBool,
    pauses: AtomicUsize,
}

impl Soak {
    fn elapsed(&self) -> f64 {
        self.clock.now().as_secs_f64()
    }

    fn is_over(&self) -> bool {
        self.over.load(SeqCst) || self.elapsed() >= self.seconds
    }

    fn lives(&self, server: usize) -> bool {
        self.living[server].load(SeqCst)
    }

    fn living(&self) -> Vec<usize> {
        (0..SERVERS).filter(|&server| self.lives(server)).collect()
    }

    /// Sleeps, but not beyond the end.
    async fn sleep(&self, millis_wanted: u64) {
        let left = ((self.seconds - self.elapsed()).max(0.0) * 1e3) as u64;
        tokio::time::sleep(millis(millis_wanted.min(left))).await;
    }
}

#[test]
fn nothing_is_lost_stale_or_unfair_under_random_chaos_with_kills() {
    let (seconds, seed) = (variable("SEEDBED_SOAK_SECONDS"), variable("SEEDBED_SOAK_SEED"));
    let seed = seed.unwrap_or_else(|| SysRng.try_next_u64().expect("random numbers"));
    println!("SEEDBED_SOAK_SEED={seed}");
    let cluster = Cluster::start(SERVERS, &["--chaos", "true"]);
    let soak = Soak {
        cluster,
        clock: Clock::start(),
        seconds: seconds.unwrap_or(12) as f64,
        living: std::array::from_fn(|_| AtomicBool::new(true)),
        over: AtomicBool::new(false),
        pauses: AtomicUsize::new(0),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(soak, seed));
}

#[expect(clippy::disallowed_methods, reason = "how long to soak, and how to repeat it, is said from outside")]
fn variable(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is {value}, not a whole number")))
}

async fn run(mut soak: Soak, seed: u64) {
    let servers = Servers::new(&soak.cluster.addresses, None).expect("servers");
    let (chaos, tally, memory, ()) = tokio::join!(
        // It ends all the others, whatever way it ends.
        wreak(&soak, Stream::new(seed, "soak")),
        clients::load(&soak, &servers, seed),
        memory::watch(&soak),
        pause_servers(&soak, Stream::new(seed, "pauses")),
    );
    let recovery = recover(&soak).await;
    let verdict = linear::check(&tally.history);
    report(&soak, &tally, &verdict, &chaos, &memory, recovery);

    assert!(verdict.is_linearizable(), "{verdict:?}");
    assert!(recovery.is_some(), "no write within 10 s after all was well again");
    assert!(tally.share() >= ANSWERED_SHARE_MIN, "{} of all requests were answered", tally.share());
    chaos.links.assert_fair();
    memory.assert_steady(&soak);
    for server in 0..SERVERS {
        let (lives, child) = (soak.lives(server), &mut soak.cluster.servers[server]);
        let ended = child.try_wait().expect("it can be asked for");
        assert_eq!(ended.is_none(), lives, "server {server}: {ended:?}");
    }
}

/// What was done to the network and the servers.
#[derive(Default)]
struct Wreckage {
    links: Links,
    uploads: usize,
    values: usize,
    partitions: usize,
    cuts: usize,
    clears: usize,
    kills: Vec<(f64, usize)>,
}

/// Changes the matrix and kills servers until the time is over.
async fn wreak(soak: &Soak, mut dice: Stream) -> Wreckage {
    let mut done = Wreckage::default();
    let mut monkeys = Monkeys::new(soak);
    // A kill for each quarter of a minute, up to three, evenly over the time.
    let kills = ((soak.seconds / 15.0).ceil() as usize).clamp(1, SERVERS - MAJORITY);
    let mut since_clear = 0;
    while !soak.is_over() {
        let quorum = change(&mut monkeys, &mut dice, &mut since_clear, &mut done).await;
        let before = monkeys.counters().await;
        let next_kill = soak.seconds * (done.kills.len() + 1) as f64 / (kills + 1) as f64;
        if done.kills.len() < kills && soak.elapsed() >= next_kill {
            let victim = monkeys.victim(&mut dice).await;
            soak.living[victim].store(false, SeqCst);
            soak.cluster.signal(victim, Signal::KILL);
            done.kills.push((soak.elapsed(), victim));
        }
        soak.sleep(dice.between(300, if quorum { 2_500 } else { 1_000 })).await;
        let after = monkeys.counters().await;
        done.links.note(monkeys.matrix(), &before, &after);
    }
    soak.over.store(true, SeqCst);
    done
}

/// Changes the matrix of all servers in some way, and says whether a majority can still talk.
async fn change(monkeys: &mut Monkeys<'_>, dice: &mut Stream, since_clear: &mut u64, done: &mut Wreckage) -> bool {
    let living = monkeys.soak.living();
    let spare = living.len() - MAJORITY;
    let mut quorum = true;
    // The longer ago nothing was lost, the more likely it is that nothing will be.
    if dice.chance(*since_clear as f64 / 4.0) {
        *since_clear = 0;
        done.clears += 1;
        monkeys.upload(|_, _| 0.0).await;
        return quorum;
    }
    *since_clear += 1;
    match dice.below(4) {
        0 => {
            // Some links are good, the others lose up to a half.
            done.uploads += 1;
            monkeys.upload(|_, _| if dice.chance(0.3) { 0.0 } else { loss(dice, 0.5) }).await;
        }
        1 => {
            // One server is not heard any more, or hears nobody, and a little is lost everywhere.
            done.cuts += 1;
            let (deaf, cut) = (dice.chance(0.5), *dice.pick(&living).expect("a server"));
            let base = loss(dice, 0.1);
            monkeys.upload(|from, to| if cut == if deaf { to } else { from } { 1.0 } else { base }).await;
            quorum = spare > 0;
        }
        2 => {
            done.partitions += 1;
            let mut order = living.clone();
            dice.shuffle(&mut order);
            let minority = order[..1 + dice.below(spare.max(1) as u64) as usize].to_vec();
            let base = if dice.chance(0.5) { 0.0 } else { loss(dice, 0.2) };
            monkeys
                .upload(|from, to| if minority.contains(&from) != minority.contains(&to) { 1.0 } else { base })
                .await;
            quorum = minority.len() <= spare;
        }
        _ => {
            for _ in 0..dice.between(1, 4) {
                done.values += 1;
                let (from, to) = (dice.below(SERVERS as u64) as usize, dice.below(SERVERS as u64) as usize);
                monkeys.set(from, to, if dice.chance(0.2) { 1.0 } else { loss(dice, 0.5) }).await;
            }
        }
    }
    quorum
}

/// A probability with a few digits, as people would write one, and not so small that hardly anything is ever lost.
fn loss(dice: &mut Stream, max: f64) -> f32 {
    dice.between(20, (max * 1e3) as u64) as f32 / 1e3
}

/// Stops servers for a while, one at a time.
async fn pause_servers(soak: &Soak, mut dice: Stream) {
    while !soak.is_over() {
        soak.sleep(dice.between(500, 6_000)).await;
        let server = *dice.pick(&soak.living()).expect("a server");
        if soak.is_over() {
            return;
        }
        soak.cluster.signal(server, Signal::STOP);
        soak.pauses.fetch_add(1, SeqCst);
        soak.sleep(dice.between(100, PAUSE_MILLIS_MAX)).await;
        // Whoever was killed meanwhile stays dead.
        soak.cluster.signal(server, Signal::CONT);
    }
}

/// Takes all chaos back. How many seconds it takes until a write is done, if it is done within ten.
async fn recover(soak: &Soak) -> Option<f64> {
    Monkeys::new(soak).upload(|_, _| 0.0).await;
    let servers = Servers::new(&soak.cluster.addresses, None).expect("servers");
    let settings = Settings { timeout: Duration::from_secs(10), try_timeout: millis(500), ..Settings::default() };
    let began = soak.elapsed();
    let put = Kv::new(servers, settings).expect("a client").put("the-end", "of it").await;
    put.is_ok().then(|| soak.elapsed() - began)
}

fn report(soak: &Soak, tally: &Tally, verdict: &Verdict, done: &Wreckage, memory: &Memory, recovery: Option<f64>) {
    let History { attempts, .. } = &tally.history;
    println!("Soak: {} s, {SERVERS} servers, {CLIENTS} clients", soak.seconds);
    println!("  requests        {} ({:.1}% answered)", attempts.len(), 100.0 * tally.share());
    println!("  not answered    {:?}", tally.errors);
    println!(
        "  matrices        {} random, {} cuts one way, {} partitions, {} single values, {} clears",
        done.uploads, done.cuts, done.partitions, done.values, done.clears
    );
    let kills: Vec<String> = done.kills.iter().map(|(at, server)| format!("{server} at {at:.0} s")).collect();
    println!("  killed          {}", kills.join(", "));
    println!("  stopped         {} times for up to {} s", soak.pauses.load(SeqCst), PAUSE_MILLIS_MAX / 1_000);
    println!(
        "  linearizable    {}",
        match verdict {
            Verdict::Linearizable { operations, keys } => format!("yes: {operations} operations on {keys} keys"),
            Verdict::Unknown { .. } => "not known".to_owned(),
            Verdict::Violation(_) => "no".to_owned(),
        }
    );
    println!("  first write     {}", recovery.map_or("none".to_owned(), |took| format!("{took:.3} s after the end")));
    memory.print(soak);
    done.links.print();
}
