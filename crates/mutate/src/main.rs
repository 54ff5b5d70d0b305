//! `seedbed-mutate`: a copy of the sources with mutants, and what its tests detect.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use seedbed_mutate::Error;
use seedbed_mutate::copy::{self, Choice, Wanted};
use seedbed_mutate::judgements::Judgement;
use seedbed_mutate::population::SEEDBED;
use seedbed_mutate::sample::{Drawn, Population};
use seedbed_mutate::scripts::{Kill, Suite};

/// Small faults in the replicas, drawn by chance, all in one program
///
/// Run it in the root of the workspace. docs/checking.md says what the mutation score is.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Count the places where a mutant could be, by file
    List,
    /// Write a copy of the workspace that has mutants
    Copy(Drawing),
    /// Run the unit tests and the golden scripts of a copy with each of its mutants
    Scripts(Scripts),
}

#[derive(Args)]
struct Drawing {
    /// The seed of the draw
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// How many mutants to draw
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    count: u16,

    /// Take the mutants of another copy instead, as far as the sources have them: its `mutants.json`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "count"])]
    like: Option<PathBuf>,

    /// The folder of the copy
    #[arg(long, value_name = "DIR", default_value = "target/mutated")]
    output: PathBuf,
}

#[derive(Args)]
struct Scripts {
    /// The folder of the copy
    #[arg(long, value_name = "DIR", default_value = "target/mutated")]
    output: PathBuf,

    /// Only these mutants, by number (repeatable)
    #[arg(long, value_name = "N")]
    mutant: Vec<u32>,

    /// How long the tests of a mutant may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u32,
}

/// The folder of the judgements, from the root of the workspace.
const JUDGEMENTS: &str = "crates/mutate/samples";

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::List => list(),
        Command::Copy(drawing) => make_copy(&drawing),
        Command::Scripts(scripts) => run_scripts(&scripts),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn list() -> Result<ExitCode, Error> {
    let root = copy::workspace(Path::new("."))?;
    let population = Population::read(&root, &SEEDBED)?;
    let counts = population.counts();
    for (file, count) in &counts {
        println!("{file:24} {count:>5}");
    }
    println!("{:24} {:>5}", "all", counts.values().sum::<usize>());
    Ok(ExitCode::SUCCESS)
}

fn make_copy(drawing: &Drawing) -> Result<ExitCode, Error> {
    let root = copy::workspace(Path::new("."))?;
    let like = drawing.like.as_deref().map(copy::read_sample).transpose()?;
    let wanted = match &like {
        Some(sample) => Wanted::Like(sample),
        None => Wanted::Drawn { seed: drawing.seed, count: drawing.count.into() },
    };
    let choice = Choice { wanted, judgements: &root.join(JUDGEMENTS) };
    let made = copy::make(&root, &SEEDBED, choice, &drawing.output, &mut |text| eprintln!("note: {text}"))?;
    for astray in &made.astray {
        eprintln!("warning: {JUDGEMENTS}/{}.json: judges a mutant that is not in the sample: {astray}", drawing.seed);
    }
    for missing in &made.missing {
        eprintln!("warning: {missing}");
    }
    for drawn in &made.sample {
        println!("{}{}", row(drawn), judgement(drawn.judgement.as_ref()));
    }
    let manifest = drawing.output.join("Cargo.toml");
    println!("\n{} mutants in {}. To hunt for them:", made.sample.len(), drawing.output.display());
    println!("  cargo run --release --manifest-path {} -- zoo --drawn", manifest.display());
    Ok(ExitCode::SUCCESS)
}

fn run_scripts(scripts: &Scripts) -> Result<ExitCode, Error> {
    let sample = copy::sample(&scripts.output)?;
    let suite = Suite::build(&scripts.output, &SEEDBED, scripts.timeout)?;
    if let Some(kill) = suite.run(None)? {
        return Err(Error::Build(format!("its tests fail without any mutant: {}", why(&kill))));
    }
    let wanted = |drawn: &&Drawn| scripts.mutant.is_empty() || scripts.mutant.contains(&drawn.number);
    let (mut count, mut killed) = (0, 0);
    for drawn in sample.iter().filter(wanted) {
        let kill = suite.run(Some(drawn))?;
        count += 1;
        killed += usize::from(kill.is_some());
        println!("{} {}", row(drawn), kill.as_ref().map_or_else(|| "-".to_owned(), why));
    }
    println!("\n{killed} of {count} mutants detected by tests");
    Ok(ExitCode::SUCCESS)
}

fn row(drawn: &Drawn) -> String {
    let place = drawn.place();
    format!("{} {place:28} {:32} {:48}", drawn.name(), drawn.function, drawn.change)
}

fn why(kill: &Kill) -> String {
    match kill {
        Kill::Test(name) => name.clone(),
        Kill::Hangs => "hangs".to_owned(),
        Kill::Aborted => "aborts".to_owned(),
    }
}

fn judgement(judgement: Option<&Judgement>) -> String {
    match judgement {
        None => String::new(),
        Some(Judgement::Equivalent(reason)) => format!(" equivalent: {reason}"),
        Some(Judgement::Invisible(reason)) => format!(" invisible: {reason}"),
        Some(Judgement::Script(test)) => format!(" script: {test}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn a_sample_is_drawn_or_like_another_one() {
        let parse = |words: &str| Cli::try_parse_from(words.split(' ')).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(parse("seedbed-mutate copy --seed 2 --count 5"), Ok(()));
        assert_eq!(parse("seedbed-mutate copy --like mutants.json --output here"), Ok(()));
        for other in ["--seed 2", "--count 5"] {
            let both = format!("seedbed-mutate copy --like mutants.json {other}");
            assert_eq!(parse(&both), Err(ErrorKind::ArgumentConflict), "{both}");
        }
    }
}
