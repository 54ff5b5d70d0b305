//! The measurements of a bench of a gRPC cluster, as a table.

use std::io::{self, Write};

use seedbed_core::client::bench::{Kind, Measured, Plan, Tally};
use seedbed_core::printable::plural;

/// Writes the measurements of this many clients: a row for each kind of request, then the failures.
///
/// # Errors
/// If writing to `out` fails.
pub fn write_text(out: &mut impl Write, clients: u32, plan: &Plan, measured: &Measured) -> io::Result<()> {
    let clients = plural(clients.into(), "client", "clients");
    let keys = plural(plan.keys.into(), "key", "keys");
    let bytes = plural(plan.value_bytes as u64, "byte", "bytes");
    let pace = plan.rate.map_or_else(|| "closed loop".to_owned(), |rate| format!("{rate} requests due each second"));
    let (gets, seconds, seed) = (plan.gets * 100.0, measured.elapsed.as_secs_f64(), plan.seed);
    writeln!(out, "{clients}, {keys}, values of {bytes}, {gets}% gets, {pace}, {seconds:.1} s, seed {seed}\n")?;
    let heads = ["p50", "p90", "p99", "p99.9", "max"].map(|head| format!("{head:>12}")).concat();
    writeln!(out, "{:4}{:>11}{:>9}{:>13}{heads}", "", "answered", "failed", "per second")?;
    let all = measured.all();
    for (name, tally) in Kind::ALL.map(Kind::name).into_iter().zip(&measured.tallies).chain([("all", &all)]) {
        write_row(out, name, tally, seconds)?;
    }
    for (name, tally) in Kind::ALL.map(Kind::name).into_iter().zip(&measured.tallies) {
        if tally.failed() > 0 {
            writeln!(out, "\nFailed {name}s: {}", tally.reasons())?;
        }
    }
    if measured.unsent > 0 {
        let unsent = plural(measured.unsent, "request was", "requests were");
        writeln!(out, "\n{unsent} due and not sent: there were too few clients, or the rate is too high")?;
    }
    Ok(())
}

fn write_row(out: &mut impl Write, name: &str, tally: &Tally, seconds: f64) -> io::Result<()> {
    let rate = if seconds > 0.0 { tally.answered() as f64 / seconds } else { 0.0 };
    write!(out, "{name:4}{:>11}{:>9}{rate:>13.1}", tally.answered(), tally.failed())?;
    let times = tally.latency().map(|l| [l.p50, l.p90, l.p99, l.p999, l.max]);
    for time in times.iter().flatten() {
        write!(out, "{:>9.3} ms", time.as_secs_f64() * 1e3)?;
    }
    writeln!(out)
}
