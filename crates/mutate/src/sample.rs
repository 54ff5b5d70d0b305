//! A sample of mutants: found in the sources, drawn, built, numbered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::judgements::{Judgement, Judgements};
use crate::places::{Place, places};
use crate::population::Project;
use crate::splice::{Spliced, splice};
use crate::{Error, draw};

/// Every place of a project where a mutant could be.
#[derive(Debug)]
pub struct Population {
    /// The sources, by their paths.
    sources: BTreeMap<String, String>,
    /// The places, each with its file, in order.
    places: Vec<(String, Place)>,
}

/// A mutant of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// Its number, from 1.
    pub number: u32,
    /// Its file, from the folder of the sources.
    pub file: String,
    /// The line there, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The function around it.
    pub function: String,
    /// What is different.
    pub change: String,
    /// How many places above it in this function have the same change.
    pub occurrence: usize,
    /// What a person found out about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
}

impl Drawn {
    /// Its name on the command line of a copy.
    pub fn name(&self) -> String {
        format!("drawn-{:03}", self.number)
    }

    /// Where it is, as in `raft/log.rs:107:9`.
    pub fn place(&self) -> String {
        format!("{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Population {
    /// Reads the sources of a project and finds all places.
    ///
    /// # Errors
    /// If a file cannot be read, or is not Rust.
    pub fn read(root: &Path, project: &Project) -> Result<Population, Error> {
        let (mut sources, mut all) = (BTreeMap::new(), Vec::new());
        for file in project.list(root)? {
            let path = root.join(project.sources).join(&file);
            let source = fs::read_to_string(&path).map_err(Error::file(&path))?;
            let found = places(&source).map_err(|source| Error::Syntax { path, source })?;
            all.extend(found.into_iter().map(|place| (file.clone(), place)));
            sources.insert(file, source);
        }
        Ok(Population { sources, places: all })
    }

    /// How many places each file has.
    pub fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts: BTreeMap<&str, usize> = self.sources.keys().map(|file| (file.as_str(), 0)).collect();
        for (file, _) in &self.places {
            *counts.entry(file).or_default() += 1;
        }
        counts
    }

    /// The places in the order in which they are drawn.
    pub fn order(&self, seed: u64) -> Vec<usize> {
        let files: Vec<&str> = self.places.iter().map(|(file, _)| file.as_str()).collect();
        draw::order(&files, seed)
    }

    /// The sources that have mutants at these places. The number of each mutant is one more than its position.
    pub fn write(&self, chosen: &[usize]) -> BTreeMap<&str, Spliced> {
        let mut by_file: BTreeMap<&str, Vec<(u32, usize)>> = BTreeMap::new();
        for (number, &place) in (1..).zip(chosen) {
            by_file.entry(&self.places[place].0).or_default().push((number, place));
        }
        let spliced = |(file, numbered): (&'_ str, Vec<(u32, usize)>)| {
            let mutants: Vec<_> =
                numbered.iter().map(|&(number, place)| (number, &self.places[place].1.edit)).collect();
            splice(&self.sources[file], &mutants)
        };
        by_file.into_iter().map(|(file, numbered)| (file, spliced((file, numbered)))).collect()
    }

    /// The first `count` places of the order that compile. `check` is given sources with mutants and returns the numbers
    /// of those that do not compile; it is asked until all do.
    ///
    /// # Errors
    /// That of `check`, or that fewer places than `count` compile.
    pub fn choose(
        &self,
        seed: u64,
        count: usize,
        mut check: impl FnMut(&BTreeMap<&str, Spliced>) -> Result<BTreeSet<u32>, Error>,
    ) -> Result<Vec<usize>, Error> {
        let (order, mut broken) = (self.order(seed), BTreeSet::new());
        loop {
            // Some more than needed, because many do not compile, and a compiler shows errors of one kind at a time.
            let sound = order.iter().copied().filter(|place| !broken.contains(place));
            let mut chosen: Vec<usize> = sound.take(count + count / 3).collect();
            if chosen.len() < count {
                return Err(Error::TooFew { wanted: count, found: chosen.len() });
            }
            let found = check(&self.write(&chosen))?;
            if found.is_empty() {
                chosen.truncate(count);
                chosen.sort_unstable();
                return Ok(chosen);
            }
            broken.extend(found.into_iter().map(|number| chosen[number as usize - 1]));
        }
    }

    /// The mutants at these places, numbered as [`write`](Population::write) does.
    pub fn describe(&self, chosen: &[usize], judgements: &Judgements) -> Vec<Drawn> {
        let drawn = |(number, &place): (u32, &usize)| {
            let (file, Place { line, column, function, change, occurrence, .. }) = self.places[place].clone();
            let drawn = Drawn { number, file, line, column, function, change, occurrence, judgement: None };
            Drawn { judgement: judgements.of(&drawn), ..drawn }
        };
        (1..).zip(chosen).map(drawn).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn population(source: &str) -> Population {
        let places = places(source).expect("Rust").into_iter().map(|place| ("a.rs".to_owned(), place)).collect();
        Population { sources: [("a.rs".to_owned(), source.to_owned())].into(), places }
    }

    #[test]
    fn what_does_not_compile_is_replaced_by_the_next_of_the_order() {
        let population = population("fn f(a: u8) -> bool {\n    !(a < 3)\n}\n");
        assert_eq!(population.places.len(), 6);
        let none = |_: &BTreeMap<&str, Spliced>| Ok(BTreeSet::new());
        let chosen = population.choose(1, 3, none).expect("three");
        assert_eq!(Some(&chosen), population.choose(1, 3, none).ok().as_ref());
        assert!(chosen.is_sorted());
        let first = population.order(1);
        // The first of the order never compiles: the fourth takes its place.
        let others = population.choose(1, 3, |files| {
            let broken = files["a.rs"].text.contains(&edit_of(&population, first[0]));
            Ok(if broken { [1].into() } else { BTreeSet::new() })
        });
        let mut expected = first[1..4].to_vec();
        expected.sort_unstable();
        assert_eq!(others.expect("three"), expected);
        let error = population.choose(1, 7, none).expect_err("there are six");
        assert_eq!(error.to_string(), "only 6 mutants compile; 7 are wanted");
    }

    /// What is written for a place that is the first mutant.
    fn edit_of(population: &Population, place: usize) -> String {
        let spliced = population.write(&[place]).remove("a.rs").expect("one file");
        let region = &spliced.regions[0];
        spliced.text[region.range.clone()].to_owned()
    }
}
