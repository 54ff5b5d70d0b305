//! How much memory servers take.
//!
//! A server's log grows to 64 MiB, is cut to about half of that, and grows again; besides there is the store, which has
//! only so many keys here. So memory grows at first and then no more. The first third of the time is for the first; then
//! the median of the last third is held against that of the second.

use std::fs;

use seedbed_core::server;

use super::{SERVERS, Soak};

/// By so much may one median be above the other: half of what a log swings by, as the two thirds may begin at different
/// points of the swing, and a few of them fit in a third.
fn growth_kib_max() -> u64 {
    server::Config::default().log_bytes_max as u64 / 1_024 / 4
}

/// From so many seconds on, logs have been full before the first third is over.
const JUDGED_SECONDS_MIN: f64 = 120.0;

/// What each server took: pairs of seconds and KiB.
pub struct Memory {
    samples: [Vec<(f64, u64)>; SERVERS],
}

/// Looks at all servers each second.
pub async fn watch(soak: &Soak) -> Memory {
    let mut memory = Memory { samples: Default::default() };
    while !soak.is_over() {
        for server in soak.living() {
            let status = fs::read_to_string(format!("/proc/{}/status", soak.cluster.servers[server].id()));
            let kib = status.ok().and_then(|status| {
                let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.to_owned();
                line.split_whitespace().next()?.parse().ok()
            });
            memory.samples[server].extend(kib.map(|kib: u64| (soak.elapsed(), kib)));
        }
        soak.sleep(1_000).await;
    }
    memory
}

impl Memory {
    /// The medians of the second and of the last third, in KiB; none of a server that died before.
    fn medians(&self, soak: &Soak, server: usize) -> Option<(u64, u64)> {
        let third = |number: f64| {
            let (begin, end) = (soak.seconds * number / 3.0, soak.seconds * (number + 1.0) / 3.0);
            let within = self.samples[server].iter().filter(|(at, _)| (begin..end).contains(at));
            let mut kib: Vec<u64> = within.map(|&(_, kib)| kib).collect();
            kib.sort_unstable();
            kib.get(kib.len() / 2).copied()
        };
        soak.lives(server).then(|| third(1.0).zip(third(2.0))).flatten()
    }

    pub fn print(&self, soak: &Soak) {
        println!("  memory          server  first sample  median of 2nd third  of 3rd third  largest (MiB)");
        for (server, samples) in self.samples.iter().enumerate() {
            let mib = |kib: Option<u64>| kib.map_or("dead".to_owned(), |kib| format!("{:.1}", kib as f64 / 1_024.0));
            let medians = self.medians(soak, server);
            println!(
                "                  {server:6} {:>13} {:>20} {:>13} {:>8}",
                mib(samples.first().map(|&(_, kib)| kib)),
                mib(medians.map(|(second, _)| second)),
                mib(medians.map(|(_, last)| last)),
                mib(samples.iter().map(|&(_, kib)| kib).max())
            );
        }
    }

    pub fn assert_steady(&self, soak: &Soak) {
        if soak.seconds < JUDGED_SECONDS_MIN {
            return;
        }
        for server in soak.living() {
            let (second, last) = self.medians(soak, server).expect("samples in both thirds");
            let max = second + growth_kib_max();
            assert!(last <= max, "server {server} takes {last} KiB, and {second} KiB in the third before");
        }
    }
}
