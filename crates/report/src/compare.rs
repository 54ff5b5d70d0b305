//! The same scenarios side by side: a program simulated, the same program as real processes, and a built-in protocol.

use std::io::{self, Write};

use anstyle::Style;

use super::summary::RunSummary;
use super::text::{BAD, FAIR};
use seedbed_core::check::course::Tier;

/// Messages count as close to those of the live world if they differ by no more than this share of them.
const CLOSE: f64 = 0.1;

/// One scenario in all worlds. The pair that is judged is the prediction and the live run.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The run of the program in virtual time; none if it cannot be simulated.
    pub program: Option<RunSummary>,
    /// The run of the program in the live world.
    pub live: RunSummary,
    /// The run of the built-in protocol in the virtual world.
    pub protocol: RunSummary,
}

/// Any number of scenarios in all worlds.
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
    /// All runs there are: the program simulated, the program live, the protocol.
    pub fn runs(&self) -> impl Iterator<Item = &RunSummary> {
        self.program.iter().chain([&self.live, &self.protocol])
    }

    /// What the live run is judged by: the simulated program, or the protocol if the program cannot be simulated.
    pub fn prediction(&self) -> &RunSummary {
        self.program.as_ref().unwrap_or(&self.protocol)
    }

    /// Whether the prediction and the live run passed, or both failed, all checkers that exist in both worlds
    /// ([`Judgement::passed_outside`](seedbed_core::check::Judgement::passed_outside)). False if the live run is not
    /// judged.
    pub fn has_same_verdict(&self) -> bool {
        same_verdict(self.prediction(), &self.live)
    }

    /// Whether the prediction and the live run are correct, and so have tiers, and all four are the same.
    pub fn has_same_tiers(&self) -> bool {
        same_tiers(self.prediction(), &self.live)
    }

    /// Whether replicas sent about the same number of messages in the prediction and in the live world: in the
    /// prediction at most a tenth more or fewer.
    pub fn has_close_messages(&self) -> bool {
        close_messages(self.prediction(), &self.live)
    }

    /// How the line of a simulated run looks: red if its verdict decides and is another one than that of the live run,
    /// yellow if anything differs much.
    fn style(&self, simulated: &RunSummary) -> Style {
        let agree = same_verdict(simulated, &self.live);
        match () {
            () if !agree && std::ptr::eq(simulated, self.prediction()) => BAD,
            () if !agree || !same_tiers(simulated, &self.live) || !close_messages(simulated, &self.live) => FAIR,
            () => Style::new(),
        }
    }
}

fn same_verdict(simulated: &RunSummary, live: &RunSummary) -> bool {
    live.judgement.is_judged() && simulated.judgement.passed_outside() == live.judgement.passed_outside()
}

fn same_tiers(simulated: &RunSummary, live: &RunSummary) -> bool {
    tiers(simulated).is_some() && tiers(simulated) == tiers(live)
}

fn close_messages(simulated: &RunSummary, live: &RunSummary) -> bool {
    match excess(simulated, live) {
        Some(excess) => excess.abs() <= CLOSE,
        None => simulated.statistics.messages_sent == 0,
    }
}

/// How many more messages replicas sent each other in the simulation, as a share of those in the live world; none if
/// there were none in the live world.
fn excess(simulated: &RunSummary, live: &RunSummary) -> Option<f64> {
    let [simulated, live] = [simulated, live].map(|run| run.statistics.messages_sent as f64);
    (live > 0.0).then(|| (simulated - live) / live)
}

/// Writes what the lines are, and the heading above them.
///
/// # Errors
/// If writing fails.
pub fn write_heading(out: &mut impl Write, protocol: &str) -> io::Result<()> {
    let bold = Style::new().bold();
    writeln!(out, "{SIMULATED}: the program in virtual time; {LIVE}: its processes in real time;")?;
    writeln!(out, "{protocol}: this protocol in virtual time. %: more messages than live. Median latency in ms.\n")?;
    let columns =
        ["scenario", "verdict", "messages", "failures", "duplicates", "redirects", "median", "elections", "tiers"];
    writeln!(out, "{bold}{}{bold:#}", line(columns.map(str::to_owned)))
}

/// Writes one scenario: a line for each world below its name. A program that cannot be simulated has a line of dashes.
///
/// # Errors
/// If writing fails.
pub fn write_rows(out: &mut impl Write, pair: &Pair) -> io::Result<()> {
    let Pair { program, live, protocol } = pair;
    writeln!(out, "{}", live.scenario)?;
    match program {
        Some(program) => write_row(out, SIMULATED, program, pair)?,
        None => writeln!(out, "{}", line(["  simulated", "-", "-", "-", "-", "-", "-", "-", "-"].map(str::to_owned)))?,
    }
    write_row(out, LIVE, live, pair)?;
    write_row(out, &protocol.protocol, protocol, pair)
}

fn write_row(out: &mut impl Write, name: &str, run: &RunSummary, pair: &Pair) -> io::Result<()> {
    let is_live = std::ptr::eq(run, &pair.live);
    let excess = excess(run, &pair.live).filter(|_| !is_live);
    let excess = excess.map_or(String::new(), |excess| format!(" {:+.1} %", excess * 100.0));
    let cells = [
        format!("  {name}"),
        verdict(run).to_owned(),
        run.statistics.messages_sent.to_string() + &excess,
        run.judgement.course.performance.failures.value.to_string(),
        run.statistics.duplicates.to_string(),
        run.statistics.redirects.to_string(),
        run.latency.map_or("-".to_owned(), |latency| format!("{:.3}", latency.median * 1e3)),
        elections(run).to_string(),
        tiers(run).map_or("-".to_owned(), |tiers| tiers.map(|tier| tier.to_string()).join(" ")),
    ];
    let style = if is_live { Style::new() } else { pair.style(run) };
    writeln!(out, "{style}{}{style:#}", line(cells))
}

fn verdict(run: &RunSummary) -> &'static str {
    match run.judgement.passed_outside() {
        true => "pass",
        false if run.judgement.is_judged() => "fail",
        false => "not judged",
    }
}

/// Writes the totals on how well the prediction and the live world agree, and beside them those of the protocol, where
/// programs were simulated.
///
/// # Errors
/// If writing fails.
pub fn write_total(out: &mut impl Write, comparison: &Comparison) -> io::Result<()> {
    type Agree = fn(&RunSummary, &RunSummary) -> bool;
    let agreements: [(&str, Agree); 3] =
        [("Same verdict", same_verdict), ("Messages within 10 %", close_messages), ("Same four tiers", same_tiers)];
    let pairs = &comparison.pairs;
    let protocol = pairs.iter().find(|pair| pair.program.is_some()).map(|pair| &pair.protocol.protocol);
    writeln!(out)?;
    for (what, agree) in agreements {
        let predicted = pairs.iter().filter(|pair| agree(pair.prediction(), &pair.live)).count();
        write!(out, "{what}: {predicted} of {}", pairs.len())?;
        if let Some(protocol) = protocol {
            let agreeing = pairs.iter().filter(|pair| agree(&pair.protocol, &pair.live)).count();
            write!(out, "; {protocol}: {agreeing}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The names of the program's lines.
const SIMULATED: &str = "simulated";
const LIVE: &str = "live";

/// Cells in columns, in up to 99 characters.
fn line(cells: [String; 9]) -> String {
    const WIDTHS: [usize; 9] = [11, 10, 13, 8, 10, 9, 6, 9, 7];
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

    fn summary(record: &RunRecord) -> RunSummary {
        RunSummary::sample(&fixture::scenario(), record)
    }

    fn pair(program: Option<&RunRecord>, live: &RunRecord) -> Pair {
        let [live, protocol] = [live, &fixture::record()].map(summary);
        Pair { program: program.map(summary), live, protocol }
    }

    fn live(sent: u64) -> RunRecord {
        RunRecord { sent, trace: None, ..fixture::record() }
    }

    fn failed(sent: u64) -> RunRecord {
        RunRecord { sent, trace: None, ..fixture::failed_record() }
    }

    #[test]
    fn messages_are_close_up_to_a_tenth_more_or_less_than_in_the_live_world() {
        for (sent, close) in [(6_370, true), (5_791, true), (5_790, false), (7_077, true), (7_078, false), (0, false)] {
            assert_eq!(pair(Some(&fixture::record()), &live(sent)).has_close_messages(), close, "{sent}");
        }
        assert!(pair(Some(&live(0)), &live(0)).has_close_messages());
    }

    #[test]
    fn the_simulated_program_decides_and_the_protocol_where_there_is_none() {
        let both_failed = pair(Some(&fixture::failed_record()), &failed(9_000));
        assert!(both_failed.has_same_verdict(), "the protocol passes, which does not count");
        assert!(!both_failed.has_same_tiers(), "those who fail have no tiers");
        assert!(!pair(Some(&fixture::failed_record()), &live(6_370)).has_same_verdict());
        assert!(pair(None, &live(6_370)).has_same_verdict());
        assert!(!pair(None, &failed(6_370)).has_same_verdict());
    }

    #[test]
    fn only_the_verdict_that_decides_is_red() {
        let apart = pair(Some(&failed(6_370)), &live(6_370));
        assert_eq!(apart.style(apart.prediction()), BAD);
        assert_eq!(apart.style(&apart.protocol), Style::new());
        let predicted = pair(Some(&failed(9_000)), &failed(9_000));
        assert_eq!(predicted.style(&predicted.protocol), FAIR);
    }

    fn shown(pairs: Vec<Pair>) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        write_heading(&mut out, "raft").unwrap();
        for pair in &pairs {
            write_rows(&mut out, pair).unwrap();
        }
        write_total(&mut out, &Comparison { command: String::new(), pairs }).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn the_table_shows_all_worlds_and_the_total_counts_where_they_agree() {
        let pairs = vec![pair(Some(&live(6_400)), &live(6_500)), pair(Some(&failed(8_000)), &failed(9_000))];
        let expected = "\
simulated: the program in virtual time; live: its processes in real time;
raft: this protocol in virtual time. %: more messages than live. Median latency in ms.

scenario     verdict     messages       failures  duplicates  redirects  median  elections  tiers
sample
  simulated  pass        6400 -1.5 %    49        3           19         0.100   2          3 1 2 0
  live       pass        6500           49        3           19         0.100   2          3 1 2 0
  raft       pass        6370 -2.0 %    49        3           19         0.100   2          3 1 2 0
sample
  simulated  fail        8000 -11.1 %   82        3           19         0.100   2          -
  live       fail        9000           82        3           19         0.100   2          -
  raft       pass        6370 -29.2 %   49        3           19         0.100   2          3 1 2 0

Same verdict: 2 of 2; raft: 1
Messages within 10 %: 1 of 2; raft: 1
Same four tiers: 1 of 2; raft: 1
";
        assert_eq!(shown(pairs), expected);
    }

    #[test]
    fn a_program_that_is_not_simulated_has_dashes_and_the_total_is_about_the_protocol() {
        let text = shown(vec![pair(None, &live(6_500))]);
        let end = "\
sample
  simulated  -           -              -         -           -          -       -          -
  live       pass        6500           49        3           19         0.100   2          3 1 2 0
  raft       pass        6370 -2.0 %    49        3           19         0.100   2          3 1 2 0

Same verdict: 1 of 1
Messages within 10 %: 1 of 1
Same four tiers: 1 of 1
";
        let (_, lines) = text.split_once("tiers\n").unwrap();
        assert_eq!(lines, end);
        assert!(text.lines().all(|line| line.chars().count() < 100), "{text}");
    }
}
