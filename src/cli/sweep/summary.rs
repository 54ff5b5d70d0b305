//! What is made of the statistics of a sweep: text, CSV of its cells, JUnit, annotations and pictures.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::super::command::Words;
use super::super::error::CliError;
use super::super::output::{self, Stdout};
use super::super::program::columns;
use crate::report::cells;
use crate::report::digest::Digest;
use crate::report::figures;
use crate::report::plot::{Chart, Format};
use crate::report::rows::Schema;

/// What is to be made of the statistics.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Statistics")]
pub(in crate::cli) struct SummaryArgs {
    /// Write a CSV file with a row for each cell
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    /// Draw the metrics over the swept values (.svg or .png)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    /// The metrics of table, --summary and --plot, in place of the usual ones: names of columns
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    metrics: Vec<String>,

    /// Write a JUnit file with a test case for each cell
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Write an annotation of GitHub's for each failed run, up to ten, to standard output
    #[arg(long)]
    github: bool,
}

impl SummaryArgs {
    /// The options that are there, with their files.
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        let options = [("--summary", &self.summary), ("--plot", &self.plot), ("--junit", &self.junit)];
        options.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?))).collect()
    }

    /// With the options that name no file.
    pub fn words(&self, words: Words) -> Words {
        let metrics = (!self.metrics.is_empty()).then(|| self.metrics.join(","));
        let words = words.given("--metrics", metrics);
        if self.github { words.with("--github") } else { words }
    }

    /// The options that are there, with where they write.
    pub fn places(&self) -> Vec<(&'static str, &Path)> {
        let github = self.github.then_some(("--github", Path::new("-")));
        self.files().into_iter().chain(github).collect()
    }

    /// Whether anything but the text is asked for.
    pub fn first_option(&self) -> Option<&'static str> {
        let metrics = (!self.metrics.is_empty()).then_some("--metrics");
        self.places().first().map(|(option, _)| *option).or(metrics)
    }

    /// Looks whether all files can be written and all metrics are there.
    pub fn check(&self) -> Result<(), CliError> {
        if let Some(path) = &self.plot {
            picture(path)?;
        }
        for (_, path) in self.files() {
            output::check_writable(path)?;
        }
        self.metrics.iter().try_for_each(|name| columns().metric(name).map(drop))?;
        Ok(())
    }

    /// A digest of the metrics that are asked for, each once, or of the usual ones.
    pub fn digest(&self, schema: &Schema) -> Result<Digest, CliError> {
        Ok(Digest::of(schema, &self.metrics)?)
    }

    /// Writes everything; the text only if it is wanted. `replay` knows the commands that replay failed runs to the
    /// bit.
    pub fn write(
        &self,
        digest: &Digest,
        with_text: bool,
        replay: impl Fn(u64) -> Option<String>,
        out: &mut Stdout,
    ) -> Result<(), CliError> {
        if with_text {
            cells::write_text(out, digest, output::terminal_width(), &replay)?;
        }
        if self.github {
            cells::write_annotations(out, digest, &replay)?;
        }
        out.flush()?;
        if let Some(path) = &self.summary {
            output::write_file(path, |out| cells::write_csv(out, digest))?;
        }
        if let Some(path) = &self.junit {
            output::write_file(path, |out| cells::write_junit(out, digest, "seedbed sweep", &replay))?;
        }
        let Some(path) = &self.plot else { return Ok(()) };
        figures::chart(digest).map_or(Ok(()), |chart| draw(path, &chart))
    }
}

/// The format of a picture with this name.
pub(in crate::cli) fn picture(path: &Path) -> Result<Format, CliError> {
    Format::of(path).ok_or_else(|| CliError::Picture { path: path.to_owned() })
}

/// Draws a picture into a file.
pub(in crate::cli) fn draw(path: &Path, chart: &Chart) -> Result<(), CliError> {
    let bytes = chart.render(picture(path)?);
    output::write_file(path, |out| out.write_all(&bytes))
}
