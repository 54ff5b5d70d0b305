//! The cells of a sweep: as a table for people, as CSV, as JUnit and as annotations of GitHub.

#[cfg(feature = "junit")]
mod junit;

use std::io::{self, Write};

#[cfg(feature = "junit")]
pub use junit::write_junit;

use super::digest::{CellDigest, Digest, FAILURES_MAX, Failure, Spread};
use super::rows::{FEW, Unit};
use super::text::{BAD, GOOD};

/// The most rows of the table, failures that are listed below it, and annotations. Files have all.
const ROWS_MAX: usize = 50;
const LISTED_MAX: usize = 10;

/// What is between two columns of the table.
const GAP: &str = "  ";

/// Writes the table, the worst run of each cell, the runs that failed and the total. `replay` knows the command that
/// replays a failed run to the bit, if there is one. The table leaves out metrics that would make its lines longer than
/// `width`.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_text(
    out: &mut impl Write,
    digest: &Digest,
    width: Option<usize>,
    replay: impl Fn(u64) -> Option<String>,
) -> io::Result<()> {
    let all = shown_metrics(digest);
    let tables = (0..=all.len()).rev().map(|count| table(digest, &all[..count]));
    let fits = |table: &Vec<Vec<String>>| width.is_none_or(|width| line_width(table) <= width);
    let found = tables.into_iter().find(fits).unwrap_or_else(|| table(digest, &[]));
    let left_out = &all[found[0].len() - table(digest, &[])[0].len()..];
    write_table(out, &found, &digest.cells)?;
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().map(|place| &*digest.column(*place).name).collect();
        writeln!(out, "Too wide for this terminal: {}; --csv and --summary write them", names.join(", "))?;
    }
    if digest.cells.len() > ROWS_MAX {
        writeln!(out, "... and {} more cells", digest.cells.len() - ROWS_MAX)?;
    }
    writeln!(
        out,
        "\nNumbers are the median of the runs (and where 90 % of them are); `passed` has its 95 % interval."
    )?;
    if digest.cells.len() > LISTED_MAX {
        writeln!(out, "\n`worst` is the seed of the worst run; --summary has the commands. Those of the first cells:")?;
    } else {
        writeln!(out, "\nThe worst run of each cell:")?;
    }
    for cell in digest.cells.iter().take(LISTED_MAX) {
        writeln!(out, "  {}", cell.worst.command)?;
    }
    write_failures(out, digest, replay)?;
    let (runs, failed, cells) = (digest.runs(), digest.failed(), digest.cells.len());
    let style = if failed == 0 { GOOD } else { BAD };
    writeln!(out, "\n{style}{} of {runs} runs passed{style:#}, in {cells} {}", runs - failed, plural(cells))?;
    writeln!(out, "Trace: {:016x}", digest.trace())
}

/// The table with these metrics, the first row being titles.
fn table(digest: &Digest, metrics: &[usize]) -> Vec<Vec<String>> {
    let names = Names::of(digest);
    let mut table: Vec<Vec<String>> = vec![names.titles(digest)];
    table[0].extend(["runs", "passed"].map(str::to_owned));
    table[0].extend(metrics.iter().map(|place| digest.column(*place).name.to_string()));
    table[0].push("worst".to_owned());
    for cell in digest.cells.iter().take(ROWS_MAX) {
        let mut row = names.labels(cell);
        row.extend([cell.runs.to_string(), passed(cell)]);
        row.extend(metrics.iter().map(|place| {
            cell.spreads[*place]
                .map_or_else(|| "-".to_owned(), |spread| spread_text(&spread, digest.column(*place).unit))
        }));
        row.push(cell.worst.seed.to_string());
        table.push(row);
    }
    table
}

fn plural(cells: usize) -> &'static str {
    if cells == 1 { "cell" } else { "cells" }
}

/// What tells the cells of a digest apart.
struct Names {
    scenario: bool,
    protocol: bool,
}

impl Names {
    fn of(digest: &Digest) -> Names {
        let varies = |of: fn(&CellDigest) -> &String| digest.cells.windows(2).any(|pair| of(&pair[0]) != of(&pair[1]));
        let protocol = varies(|cell| &cell.protocol);
        let scenario = varies(|cell| &cell.scenario) || (digest.names.is_empty() && !protocol);
        Names { scenario, protocol }
    }

    fn titles(&self, digest: &Digest) -> Vec<String> {
        let scenario = self.scenario.then(|| "scenario".to_owned());
        let protocol = self.protocol.then(|| "protocol".to_owned());
        scenario.into_iter().chain(digest.names.iter().cloned()).chain(protocol).collect()
    }

    fn labels(&self, cell: &CellDigest) -> Vec<String> {
        let scenario = self.scenario.then(|| cell.scenario.clone());
        let protocol = self.protocol.then(|| cell.protocol.clone());
        scenario.into_iter().chain(cell.values.iter().cloned()).chain(protocol).collect()
    }
}

/// The metrics that table and picture show: all that were asked for. Else the usual few, or if there are none of them all
/// others, as far as any cell has them.
pub(super) fn shown_metrics(digest: &Digest) -> Vec<usize> {
    let all = 0..digest.metrics.len();
    if digest.asked {
        return all.collect();
    }
    let is_there = |place: &usize| digest.cells.iter().any(|cell| cell.spreads[*place].is_some());
    let few = |place: &usize| FEW.contains(&&*digest.column(*place).name);
    let known: Vec<usize> = all.filter(is_there).collect();
    let usual: Vec<usize> = known.iter().copied().filter(few).collect();
    if usual.is_empty() { known } else { usual }
}

fn passed(cell: &CellDigest) -> String {
    let (low, high) = cell.pass_interval();
    let digits = digits(cell.runs);
    let percent = |share: f64| format!("{:.digits$}", 100.0 * share);
    // All or none are said plainly, and never what only rounds to them.
    let rate = match cell.failed() {
        0 => "100".to_owned(),
        _ if cell.passed == 0 => "0".to_owned(),
        _ => percent(cell.pass_rate()),
    };
    format!("{rate}% ({}-{})", percent(low), percent(high))
}

/// How many digits after the point a percentage of this many runs has: one run more or less can be seen, and some
/// passing runs are neither none nor all.
fn digits(runs: u64) -> usize {
    let of_runs = runs.saturating_sub(1).checked_ilog10().map_or(0, |log| log as usize + 1);
    of_runs.saturating_sub(2).max(1)
}

/// How many characters each column takes.
fn widths(table: &[Vec<String>]) -> Vec<usize> {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    (0..table[0].len()).map(width).collect()
}

/// How many characters the longest line takes.
fn line_width(table: &[Vec<String>]) -> usize {
    let widths = widths(table);
    widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)
}

/// Writes columns below each other, the first row being titles. Cells with failures are red.
fn write_table(out: &mut impl Write, table: &[Vec<String>], cells: &[CellDigest]) -> io::Result<()> {
    let widths = widths(table);
    for (place, row) in table.iter().enumerate() {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let line = line.join(GAP);
        match place.checked_sub(1).map(|place| cells[place].failed()) {
            Some(failed) if failed > 0 => writeln!(out, "{BAD}{}{BAD:#}", line.trim_end())?,
            _ => writeln!(out, "{}", line.trim_end())?,
        }
    }
    Ok(())
}

fn write_failures(out: &mut impl Write, digest: &Digest, replay: impl Fn(u64) -> Option<String>) -> io::Result<()> {
    let failures: Vec<(&CellDigest, &Failure)> = failures(digest).take(LISTED_MAX).collect();
    if failures.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nRuns that failed:")?;
    for (_, failure) in &failures {
        writeln!(out, "  {}", failure.command)?;
        writeln!(out, "    {BAD}Error:{BAD:#} {}", failure.findings)?;
        replay(failure.run).iter().try_for_each(|replay| writeln!(out, "    Replay: {replay}"))?;
    }
    let more = digest.failed() - failures.len() as u64;
    if more > 0 { writeln!(out, "  ... and {more} more") } else { Ok(()) }
}

/// The remembered failures: the first of each cell, then the second of each, and so on.
fn failures(digest: &Digest) -> impl Iterator<Item = (&CellDigest, &Failure)> {
    let failed = || digest.cells.iter().filter(|cell| !cell.failures.is_empty());
    (0..FAILURES_MAX).flat_map(move |nth| failed().filter_map(move |cell| Some((cell, cell.failures.get(nth)?))))
}

/// A median and the interval around it, in the unit that suits the largest, with three digits.
fn spread_text(spread: &Spread, unit: Unit) -> String {
    let (scale, name) = match unit {
        Unit::Seconds if spread.high < 1e-3 => (1e6, " µs"),
        Unit::Seconds if spread.high < 1.0 => (1e3, " ms"),
        Unit::Seconds => (1.0, " s"),
        _ => (1.0, ""),
    };
    let [low, median, high] = [spread.low, spread.median, spread.high].map(|number| three_digits(number * scale));
    format!("{median}{name} ({low}-{high})")
}

fn three_digits(number: f64) -> String {
    let places = match number {
        _ if number == 0.0 || number >= 99.95 => 0,
        _ if number >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{number:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Writes a row for each cell as CSV: what it is, how many runs passed, and three numbers for each metric.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_csv(out: &mut impl Write, digest: &Digest) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let mut header: Vec<String> = vec!["scenario".to_owned()];
    header.extend(digest.names.iter().cloned());
    header.extend(["protocol", "runs", "passed", "passed_low", "passed_high", "worst_seed"].map(str::to_owned));
    for metric in &digest.metrics {
        header.extend(["low", "median", "high"].map(|part| format!("{}_{part}", digest.columns.get(*metric).name)));
    }
    header.push("worst_command".to_owned());
    writer.write_record(&header).map_err(super::csv::into_io)?;
    for cell in &digest.cells {
        let (low, high) = cell.pass_interval();
        let mut row = vec![cell.scenario.clone()];
        row.extend(cell.values.iter().cloned());
        row.extend([cell.protocol.clone(), cell.runs.to_string(), cell.passed.to_string()]);
        // As many digits as runs can tell apart.
        let digits = (digits(cell.runs) + 2).max(4);
        row.extend([format!("{low:.digits$}"), format!("{high:.digits$}"), cell.worst.seed.to_string()]);
        for spread in &cell.spreads {
            let numbers =
                spread.map(|spread| [spread.low, spread.median, spread.high].map(|number| number.to_string()));
            row.extend(numbers.unwrap_or_default());
        }
        row.push(cell.worst.command.clone());
        writer.write_record(&row).map_err(super::csv::into_io)?;
    }
    writer.flush()
}

/// Everything but the scenario: `drops=0.1, raft`.
fn label(digest: &Digest, cell: &CellDigest) -> String {
    let mut parts: Vec<String> =
        digest.names.iter().zip(&cell.values).map(|(name, value)| format!("{name}={value}")).collect();
    parts.push(cell.protocol.clone());
    parts.join(", ")
}

/// Writes an annotation of GitHub's for each run that failed, up to ten, which is as many as are shown.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_annotations(
    out: &mut impl Write,
    digest: &Digest,
    replay: impl Fn(u64) -> Option<String>,
) -> io::Result<()> {
    for (cell, failure) in failures(digest).take(LISTED_MAX) {
        let title = format!("{} with {}, seed {} failed", cell.scenario, label(digest, cell), failure.seed);
        let mut text = format!("{}\n{}", failure.findings, failure.command);
        text.extend(replay(failure.run).map(|replay| format!("\n{replay}")));
        writeln!(out, "::error title={}::{}", escaped(&title, true), escaped(&text, false))?;
    }
    Ok(())
}

/// As GitHub's workflow commands want it.
fn escaped(text: &str, property: bool) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if property { text.replace(':', "%3A").replace(',', "%2C") } else { text }
}

#[cfg(test)]
mod tests;
