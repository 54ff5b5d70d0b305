//! Two worlds side by side: the prediction of the simulation, and the behaviour of processes.

use std::io::{self, Write};

use anstyle::Style;

use super::summary::RunSummary;
use super::text::{BAD, FAIR};
use seedbed_core::check::course::Tier;

/// Messages of the two worlds count as close if they differ by no more than this share of the live world's.
const CLOSE: f64 = 0.1;

/// The same scenario in the virtual and in the live world.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The run in the virtual world.
    pub simulated: RunSummary,
    /// The run in the live world.
    pub live: RunSummary,
}

/// Any number of scenarios in both worlds.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The command that repeats it.
    pub command: String,
    /// The scenarios in order.
    pub pairs: Vec<Pair>,
}

impl Comparison {
    /// How many of the scenarios this holds for.
    pub fn count(&self, holds: fn(&Pair) -> bool) -> usize {
        self.pairs.iter().filter(|pair| holds(pair)).count()
    }
}

impl Pair {
    /// Both runs, the simulated one first.
    pub fn runs(&self) -> [&RunSummary; 2] {
        [&self.simulated, &self.live]
    }

    /// Whether both runs passed, or both failed, all checkers that exist in both worlds
    /// ([`Judgement::passed_outside`](seedbed_core::check::Judgement::passed_outside)). False if the live run is not
    /// judged.
    pub fn has_same_verdict(&self) -> bool {
        let [simulated, live] = self.runs().map(|run| run.judgement.passed_outside());
        self.live.judgement.is_judged() && simulated == live
    }

    /// Whether both runs are correct, and so have tiers, and all four are the same.
    pub fn has_same_tiers(&self) -> bool {
        tiers(&self.simulated).is_some() && tiers(&self.simulated) == tiers(&self.live)
    }

    /// How many more messages replicas sent each other in the simulation, as a share of those in the live world; none
    /// if there were none in the live world.
    pub fn excess(&self) -> Option<f64> {
        let [simulated, live] = self.runs().map(|run| run.statistics.messages_sent as f64);
        (live > 0.0).then(|| (simulated - live) / live)
    }

    /// Whether replicas sent about the same number of messages in both worlds: in the simulation at most a tenth more
    /// or fewer.
    pub fn has_close_messages(&self) -> bool {
        match self.excess() {
            Some(excess) => excess.abs() <= CLOSE,
            None => self.simulated.statistics.messages_sent == 0,
        }
    }
}

/// Writes the heading above the rows. In every column the virtual world is on the left.
///
/// # Errors
/// If writing fails.
pub fn write_heading(out: &mut impl Write) -> io::Result<()> {
    let bold = Style::new().bold();
    let columns = [
        "scenario",
        "verdict",
        "messages",
        "failures",
        "duplicates",
        "redirects",
        "median latency, ms",
        "elections",
        "tiers",
    ];
    writeln!(out, "virtual | live\n")?;
    let columns = columns.map(str::to_owned);
    writeln!(out, "{bold}{}{bold:#}", line(&columns))
}

fn verdict(run: &RunSummary) -> &'static str {
    match run.judgement.passed_outside() {
        true => "pass",
        false if run.judgement.is_judged() => "fail",
        false => "not judged",
    }
}

/// Writes the row of one scenario.
///
/// # Errors
/// If writing fails.
pub fn write_row(out: &mut impl Write, pair: &Pair) -> io::Result<()> {
    let both = |value: &dyn Fn(&RunSummary) -> String| pair.runs().map(value).join(" | ");
    let measure = |value: f64| format!("{value}");
    let excess = pair.excess().map_or(String::new(), |excess| format!(" ({:+.1} %)", excess * 100.0));
    let cells = [
        pair.live.scenario.clone(),
        both(&|run| verdict(run).to_owned()),
        both(&|run| run.statistics.messages_sent.to_string()) + &excess,
        both(&|run| measure(run.judgement.course.performance.failures.value)),
        both(&|run| run.statistics.duplicates.to_string()),
        both(&|run| run.statistics.redirects.to_string()),
        both(&|run| run.latency.map_or("-".to_owned(), |latency| format!("{:.3}", latency.median * 1e3))),
        both(&|run| elections(run).to_string()),
        both(&|run| tiers(run).map_or("-".to_owned(), |tiers| tiers.map(|tier| tier.to_string()).join(" "))),
    ];
    let style = match () {
        () if !pair.has_same_verdict() => BAD,
        () if !pair.has_same_tiers() || !pair.has_close_messages() => FAIR,
        () => Style::new(),
    };
    writeln!(out, "{style}{}{style:#}", line(&cells))
}

/// Writes the totals on how well the worlds agree.
///
/// # Errors
/// If writing fails.
pub fn write_total(out: &mut impl Write, comparison: &Comparison) -> io::Result<()> {
    let count = |holds| comparison.count(holds);
    let total = comparison.pairs.len();
    writeln!(out)?;
    writeln!(out, "Same verdict: {} of {total}", count(Pair::has_same_verdict))?;
    writeln!(out, "Messages within {} %: {} of {total}", CLOSE * 100.0, count(Pair::has_close_messages))?;
    writeln!(out, "Same four tiers: {} of {total}", count(Pair::has_same_tiers))
}

/// Cells in columns.
fn line(cells: &[String; 9]) -> String {
    const WIDTHS: [usize; 9] = [14, 11, 22, 8, 10, 9, 18, 9, 0];
    let padded: Vec<String> = cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:width$}")).collect();
    padded.join("  ").trim_end().to_owned()
}

/// The numbers of the four tiers of a correct run.
fn tiers(run: &RunSummary) -> Option<[u8; 4]> {
    let course = &run.judgement.course;
    course.passed().then(|| course.performance.tiers().map(Tier::number))
}

/// How often another leader was observed. The observed leader comes and goes, because a replica that has not heard of a
/// leader says so. Only another leader is sure to have been elected.
fn elections(run: &RunSummary) -> usize {
    let mut leaders: Vec<&String> = run.statistics.leaders.iter().filter(|leader| *leader != "FFFF").collect();
    leaders.dedup();
    leaders.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::check::fixture;
    use seedbed_core::record::RunRecord;

    fn pair(simulated: &RunRecord, live: &RunRecord) -> Pair {
        let summary = |record| RunSummary::sample(&fixture::scenario(), record);
        Pair { simulated: summary(simulated), live: summary(live) }
    }

    fn live(sent: u64) -> RunRecord {
        RunRecord { sent, trace: None, ..fixture::record() }
    }

    #[test]
    fn messages_are_close_up_to_a_tenth_more_or_less_than_in_the_live_world() {
        for (sent, close) in [(6_370, true), (5_791, true), (5_790, false), (7_077, true), (7_078, false), (0, false)] {
            assert_eq!(pair(&fixture::record(), &live(sent)).has_close_messages(), close, "{sent}");
        }
        let silent = RunRecord { sent: 0, ..fixture::record() };
        assert!(pair(&silent, &live(0)).has_close_messages());
    }

    #[test]
    fn the_table_shows_both_worlds_and_the_total_counts_where_they_agree() {
        let failed = RunRecord { sent: 9_000, trace: None, ..fixture::failed_record() };
        let both_failed = pair(&fixture::failed_record(), &failed);
        assert!(both_failed.has_same_verdict() && !both_failed.has_same_tiers(), "those who fail have no tiers");
        let pairs = vec![pair(&fixture::record(), &live(6_500)), pair(&fixture::record(), &failed)];
        let mut out = anstream::StripStream::new(Vec::new());
        write_heading(&mut out).unwrap();
        for pair in &pairs {
            write_row(&mut out, pair).unwrap();
        }
        write_total(&mut out, &Comparison { command: String::new(), pairs }).unwrap();
        let expected = "\
virtual | live

scenario        verdict      messages                failures  duplicates  redirects  median latency, ms  elections  tiers
sample          pass | pass  6370 | 6500 (-2.0 %)    49 | 49   3 | 3       19 | 19    0.100 | 0.100       2 | 2      \
3 1 2 0 | 3 1 2 0
sample          pass | fail  6370 | 9000 (-29.2 %)   49 | 82   3 | 3       19 | 19    0.100 | 0.100       2 | 2      \
3 1 2 0 | -

Same verdict: 1 of 2
Messages within 10 %: 1 of 2
Same four tiers: 1 of 2
";
        assert_eq!(String::from_utf8(out.into_inner()).unwrap(), expected);
    }
}
