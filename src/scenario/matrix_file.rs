//! Files that hold a connectivity matrix: a list of rows, each a list of numbers from 0 to 1, or an object that has such
//! a list under `matrix`.

use std::path::Path;

use super::ScenarioError;
use super::reader::{self, Source};
use crate::chaos::ConnectivityMatrix;
use crate::id::{REPLICAS_MAX, REPLICAS_MIN};
use crate::printable::printable;

/// The key of the matrix, if the file holds an object.
const KEY: &str = "matrix";

/// Reads a file that holds a matrix. How many rows are needed is for others to say, and so is what further keys mean.
///
/// # Errors
/// If the file cannot be read, or holds anything but a square of probabilities.
pub fn load_matrix(path: &Path) -> Result<ConnectivityMatrix, ScenarioError> {
    let file = printable(&path.display().to_string());
    parse(&file, &reader::read(path, &file)?)
}

fn parse(file: &str, text: &str) -> Result<ConnectivityMatrix, ScenarioError> {
    let source = Source::new(file);
    let json = source.parse(text)?;
    let whole = source.whole(&json, KEY);
    let field = if whole.is_object() {
        let mut object = source.top(&json)?;
        object.expect(&[KEY], &[]);
        object.get(KEY)
    } else {
        whole
    };
    let rows = field.list_up_to(REPLICAS_MAX, "rows")?.len();
    if rows < REPLICAS_MIN {
        return Err(field.invalid(&format!("a list of {REPLICAS_MIN} to {REPLICAS_MAX} rows")));
    }
    field.matrix(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_stands_alone_or_under_its_key() {
        let rows = "[[0, 0.5, 1], [0, 0, 0], [0.25, 0, 0]]";
        let alone = parse("m.json", rows).expect("a matrix");
        assert_eq!(alone.rows().nth(2), Some(&[0.25, 0.0, 0.0][..]));
        assert_eq!(parse("m.json", &format!(r#"{{"matrix": {rows}, "lifetime": 30}}"#)).expect("a matrix"), alone);
    }

    #[test]
    fn what_is_no_matrix_is_refused_with_what_is_allowed() {
        for (text, complaint) in [
            ("7", "m.json: `matrix` is 7; allowed is a list of at most 101 rows"),
            ("[[0, 1], [1, 0]]", "m.json: `matrix` is [[0,1],[1,0]]; allowed is a list of 3 to 101 rows"),
            (
                r#"{"matrx": []}"#,
                "m.json: `matrix` is missing; allowed is a list of at most 101 rows; is `matrx` meant to be it?",
            ),
            ("[[0, 0, 0], [0, 2, 0], [0, 0, 0]]", "m.json: `matrix[1][1]` is 2; allowed is a number from 0 to 1"),
        ] {
            assert_eq!(parse("m.json", text).expect_err(text).to_string(), complaint);
        }
    }
}
