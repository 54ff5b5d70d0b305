//! What people found out about mutants of a sample: a file beside the sources for each seed.
//!
//! A mutant is named by file, function, change and occurrence, so a judgement survives changes elsewhere in its file.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::sample::Drawn;

/// What a person found out about a mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// It changes no behaviour, for this reason.
    Equivalent(String),
    /// No client could notice it, for this reason.
    Invisible(String),
    /// This test detects it.
    Script(String),
}

/// A mutant and its judgement, as they are in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: String,
    function: String,
    change: String,
    #[serde(default)]
    occurrence: usize,
    judgement: Judgement,
}

/// The judgements of a sample.
#[derive(Clone, Debug, Default)]
pub struct Judgements(Vec<Entry>);

impl Judgements {
    /// Reads those of a seed; there are none if there is no file.
    ///
    /// # Errors
    /// If the file cannot be read, or holds anything else.
    pub fn read(folder: &Path, seed: u64) -> Result<Judgements, Error> {
        let path = folder.join(format!("{seed}.json"));
        if !path.exists() {
            return Ok(Judgements::default());
        }
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        serde_json::from_str(&text).map(Judgements).map_err(|source| Error::Json { path, source })
    }

    /// Reads those of all seeds.
    ///
    /// # Errors
    /// If a file cannot be read, or holds anything else.
    pub fn read_all(folder: &Path) -> Result<Judgements, Error> {
        if !folder.exists() {
            return Ok(Judgements::default());
        }
        let mut seeds = Vec::new();
        for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
            let name = entry.map_err(Error::file(folder))?.file_name();
            seeds.extend(name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<u64>().ok()));
        }
        seeds.sort_unstable();
        let all: Result<Vec<_>, _> = seeds.into_iter().map(|seed| Judgements::read(folder, seed)).collect();
        Ok(Judgements(all?.into_iter().flat_map(|judgements| judgements.0).collect()))
    }

    /// The judgement of a mutant.
    pub fn of(&self, drawn: &Drawn) -> Option<Judgement> {
        self.0.iter().find(|entry| entry.is_of(drawn)).map(|entry| entry.judgement.clone())
    }

    /// The mutants that are judged and are not in a sample: the sources have changed.
    pub fn astray(&self, sample: &[Drawn]) -> Vec<String> {
        let astray = self.0.iter().filter(|entry| !sample.iter().any(|drawn| entry.is_of(drawn)));
        astray.map(|entry| format!("{}: {}: {}", entry.file, entry.function, entry.change)).collect()
    }
}

impl Entry {
    fn is_of(&self, drawn: &Drawn) -> bool {
        self.file == drawn.file
            && self.function == drawn.function
            && self.change == drawn.change
            && self.occurrence == drawn.occurrence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judgement_belongs_to_the_mutant_that_it_names_and_others_are_astray() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = r#"[
            {"file": "a.rs", "function": "f", "change": "delete !", "judgement": {"equivalent": "why"}},
            {"file": "a.rs", "function": "g", "change": "delete !", "occurrence": 1, "judgement": {"script": "t"}}
        ]"#;
        fs::write(folder.path().join("7.json"), text).expect("a file");
        let judgements = Judgements::read(folder.path(), 7).expect("judgements");
        let drawn = |function: &str, occurrence| Drawn {
            number: 1,
            file: "a.rs".into(),
            line: 3,
            column: 5,
            function: function.into(),
            change: "delete !".into(),
            occurrence,
            judgement: None,
        };
        assert_eq!(judgements.of(&drawn("f", 0)), Some(Judgement::Equivalent("why".into())));
        assert_eq!(judgements.of(&drawn("g", 0)), None);
        assert_eq!(judgements.astray(&[drawn("f", 0), drawn("g", 0)]), ["a.rs: g: delete !"]);
        assert!(Judgements::read(folder.path(), 8).expect("no file").0.is_empty());
        let other = r#"[{"file": "a.rs", "function": "h", "change": "delete !", "judgement": {"script": "t"}}]"#;
        fs::write(folder.path().join("10.json"), other).expect("a file");
        let all = Judgements::read_all(folder.path()).expect("judgements");
        assert_eq!((all.0.len(), all.of(&drawn("h", 0))), (3, Some(Judgement::Script("t".into()))));
        assert!(Judgements::read_all(&folder.path().join("none")).expect("no folder").0.is_empty());
        fs::write(folder.path().join("9.json"), "[{}]").expect("a file");
        assert!(Judgements::read(folder.path(), 9).is_err());
    }
}
