//! Files that hold a connectivity matrix: a list of rows, each a list of numbers from 0 to 1, or an object that has such
//! a list under `matrix`.

use std::path::Path;

use super::ScenarioError;
use super::library::{self, Kind, Place};
use super::reader::Source;
use crate::chaos::ConnectivityMatrix;
use crate::id::{REPLICAS_MAX, REPLICAS_MIN};

/// The key of the matrix, if the file holds an object.
const KEY: &str = "matrix";

/// Reads the matrix that a name leads to: a file on disk, or a built-in one ([`library`]). The caller checks the number
/// of rows. Further keys of the file are ignored.
///
/// # Errors
/// If there is no matrix of this name, or its file cannot be read or does not hold a square of probabilities.
pub fn load_matrix(name: &Path) -> Result<ConnectivityMatrix, ScenarioError> {
    let found = library::load(Kind::Matrix, name)?;
    parse(&found.file, &found.text)
}

/// A built-in matrix, by its name as in `isolate-3`, whatever is on disk.
pub fn builtin_matrix(name: &str) -> Option<ConnectivityMatrix> {
    let Some(Place::BuiltIn(built_in)) = library::built_in(Kind::Matrix, name) else { return None };
    parse(built_in.path, built_in.text).ok()
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
    fn a_malformed_matrix_is_refused_with_what_is_allowed() {
        for (text, complaint) in [
            ("7", "m.json: `matrix` is 7; allowed is a list of at most 101 rows"),
            ("[[0]]", "m.json: `matrix` is [[0]]; allowed is a list of 2 to 101 rows"),
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
