//! Single runs as CSV: the rows of a sweep ([`rows`](super::rows)) that sweeps nothing. What a run does not have is empty.

use std::io::{self, Write};

use super::rows::{Columns, Row, Schema};
use super::summary::RunSummary;

/// Writes the header and one row for each run, numbered from 0. The columns are those of the first run, or these if there
/// is none.
///
/// # Errors
/// If writing fails.
pub fn write<'a>(
    out: &mut impl Write,
    columns: &Columns,
    runs: impl IntoIterator<Item = &'a RunSummary>,
) -> io::Result<()> {
    let schema = Schema { names: Vec::new(), columns: columns.clone() };
    out.write_all(&schema.csv_header())?;
    for (number, run) in (0..).zip(runs) {
        let mut row: Row = run.row.clone();
        row.key.run = number;
        out.write_all(&schema.csv(&row))?;
    }
    out.flush()
}

/// The error of the stream below, with its kind: a writer to a closed pipe has to know it.
pub(super) fn into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::check::fixture;

    #[test]
    fn each_run_is_a_row_of_a_sweep_and_what_it_does_not_have_is_empty() {
        let runs = [fixture::record(), fixture::failed_record()]
            .map(|record| RunSummary::sample(&fixture::scenario(), &record));
        let mut out = Vec::new();
        write(&mut out, &runs[0].row.columns, &runs).unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&out[..]);
        let mut records = reader.records().map(|record| record.unwrap());
        let schema = Schema::read_header(&records.next().unwrap()).unwrap();
        assert!(schema.names.is_empty());
        let rows: Vec<Row> =
            (1..).zip(records).map(|(number, record)| schema.read_csv(&record, number).unwrap()).collect();
        let [good, bad] = &rows[..] else { panic!("two rows") };
        for (number, (row, run)) in [good, bad].into_iter().zip(&runs).enumerate() {
            assert_eq!((row.key.run, &row.measures, &row.command), (number as u64, &run.row.measures, &run.command));
        }
        let words = |row: &Row| ["outcome", "world", "tier_messages"].map(|name| format!("{:?}", row.measure(name)));
        assert_eq!(words(good), ["Text(\"passed\")", "Text(\"virtual\")", "Count(3)"]);
        assert_eq!(words(bad), ["Text(\"failed\")", "Text(\"virtual\")", "Missing"]);
    }
}
