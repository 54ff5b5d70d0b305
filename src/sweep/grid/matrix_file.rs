//! Files that hold a connectivity matrix and nothing else: a list of rows, each a list of numbers from 0 to 1.

use std::path::Path;

use serde_json::{Value, json};

use crate::id::{REPLICAS_MAX, REPLICAS_MIN};
use crate::printable::printable;
use crate::scenario::ScenarioError;
use crate::scenario::reader::{self, Source};

/// Reads one. How many rows a scenario needs is for the scenario to say.
pub(super) fn read(path: &Path) -> Result<Value, ScenarioError> {
    let file = printable(&path.display().to_string());
    let source = Source::new(&file);
    let json = source.parse(&reader::read(path, &file)?)?;
    let field = source.whole(&json, "matrix");
    let rows = field.list_up_to(REPLICAS_MAX, "rows")?.len();
    if rows < REPLICAS_MIN {
        return Err(field.invalid(&format!("a list of {REPLICAS_MIN} to {REPLICAS_MAX} rows")));
    }
    let matrix = field.matrix(rows)?;
    let rows: Vec<&[f64]> = matrix.rows().collect();
    Ok(json!(rows))
}
