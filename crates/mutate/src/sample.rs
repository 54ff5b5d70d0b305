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

/// The number of a mutant, and its place in the population.
pub type Numbered = (u32, usize);

/// The mutants of another sample, as far as these sources have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// Those that they have, in order of their numbers.
    pub chosen: Vec<Numbered>,
    /// The others, each with the reason.
    pub missing: Vec<String>,
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

    /// Whether this mutant, perhaps of other sources, is the one at this place.
    fn is_at(&self, file: &str, place: &Place) -> bool {
        self.file == file
            && self.function == place.function
            && self.change == place.change
            && self.occurrence == place.occurrence
    }

    fn missing(&self, why: &str) -> String {
        let Drawn { file, function, change, occurrence, .. } = self;
        let which = if *occurrence == 0 { String::new() } else { format!(" (occurrence {occurrence})") };
        format!("{}: {file}: {function}: {change}{which}: {why}", self.name())
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

    /// The sources that have these mutants.
    pub fn write(&self, chosen: &[Numbered]) -> BTreeMap<&str, Spliced> {
        let mut by_file: BTreeMap<&str, Vec<Numbered>> = BTreeMap::new();
        for &(number, place) in chosen {
            by_file.entry(&self.places[place].0).or_default().push((number, place));
        }
        let spliced = |(file, numbered): (&'_ str, Vec<Numbered>)| {
            let mutants: Vec<_> =
                numbered.iter().map(|&(number, place)| (number, &self.places[place].1.edit)).collect();
            splice(&self.sources[file], &mutants)
        };
        by_file.into_iter().map(|(file, numbered)| (file, spliced((file, numbered)))).collect()
    }

    /// Mutants at the first `count` places of the order that compile, numbered from 1 in order of their places. `check` is given sources with mutants and returns the numbers
    /// of those that do not compile; it is asked until all do.
    ///
    /// # Errors
    /// That of `check`, or that fewer places than `count` compile.
    pub fn choose(
        &self,
        seed: u64,
        count: usize,
        mut check: impl FnMut(&BTreeMap<&str, Spliced>) -> Result<BTreeSet<u32>, Error>,
    ) -> Result<Vec<Numbered>, Error> {
        let (order, mut broken) = (self.order(seed), BTreeSet::new());
        loop {
            // Some more than needed, because many do not compile, and a compiler shows errors of one kind at a time.
            let sound = order.iter().copied().filter(|place| !broken.contains(place));
            let mut chosen: Vec<usize> = sound.take(count + count / 3).collect();
            if chosen.len() < count {
                return Err(Error::TooFew { wanted: count, found: chosen.len() });
            }
            let found = check(&self.write(&numbered(&chosen)))?;
            if found.is_empty() {
                chosen.truncate(count);
                chosen.sort_unstable();
                return Ok(numbered(&chosen));
            }
            broken.extend(found.into_iter().map(|number| chosen[number as usize - 1]));
        }
    }

    /// The mutants of another sample that are in these sources and compile. They keep their numbers, so that the two
    /// samples can be compared. `check` is as for [`choose`](Population::choose).
    ///
    /// # Errors
    /// That of `check`.
    pub fn like(
        &self,
        wanted: &[Drawn],
        mut check: impl FnMut(&BTreeMap<&str, Spliced>) -> Result<BTreeSet<u32>, Error>,
    ) -> Result<Alike, Error> {
        let (mut chosen, mut missing) = (Vec::new(), Vec::new());
        for drawn in wanted {
            match self.places.iter().position(|(file, place)| drawn.is_at(file, place)) {
                Some(place) => chosen.push((drawn.number, place)),
                None => missing.push(drawn.missing("the sources do not have it")),
            }
        }
        chosen.sort_unstable();
        loop {
            let broken = check(&self.write(&chosen))?;
            if broken.is_empty() {
                return Ok(Alike { chosen, missing });
            }
            chosen.retain(|(number, _)| !broken.contains(number));
            let broken = wanted.iter().filter(|drawn| broken.contains(&drawn.number));
            missing.extend(broken.map(|drawn| drawn.missing("it does not compile")));
        }
    }

    /// These mutants, with what is known of each.
    pub fn describe(&self, chosen: &[Numbered], judgements: &Judgements) -> Vec<Drawn> {
        let drawn = |&(number, place): &Numbered| {
            let (file, Place { line, column, function, change, occurrence, .. }) = self.places[place].clone();
            let drawn = Drawn { number, file, line, column, function, change, occurrence, judgement: None };
            Drawn { judgement: judgements.of(&drawn), ..drawn }
        };
        chosen.iter().map(drawn).collect()
    }
}

/// Numbers places from 1, in this order.
fn numbered(places: &[usize]) -> Vec<Numbered> {
    (1..).zip(places.iter().copied()).collect()
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
        assert!(chosen.is_sorted_by_key(|(_, place)| *place) && chosen.iter().map(|(number, _)| *number).eq(1..=3));
        let first = population.order(1);
        // The first of the order never compiles: the fourth takes its place.
        let others = population.choose(1, 3, |files| {
            let broken = files["a.rs"].text.contains(&edit_of(&population, first[0]));
            Ok(if broken { [1].into() } else { BTreeSet::new() })
        });
        let mut expected = first[1..4].to_vec();
        expected.sort_unstable();
        assert_eq!(others.expect("three"), numbered(&expected));
        let error = population.choose(1, 7, none).expect_err("there are six");
        assert_eq!(error.to_string(), "only 6 mutants compile; 7 are wanted");
    }

    #[test]
    fn the_mutants_of_another_sample_keep_their_numbers_and_each_missing_one_is_named() {
        let old = population("fn f(a: u8) -> bool {\n    !(a < 3)\n}\nfn g() -> u8 {\n    7\n}\n");
        let none = |_: &BTreeMap<&str, Spliced>| Ok(BTreeSet::new());
        let sample = old.describe(&old.choose(1, 8, none).expect("all"), &Judgements::default());
        let changes = |sample: &[Drawn]| -> Vec<(u32, String)> {
            sample.iter().map(|drawn| (drawn.number, format!("{}: {}", drawn.function, drawn.change))).collect()
        };
        // A function is gone, and the other one has moved down.
        let new = population("// New.\n\nfn f(a: u8) -> bool {\n    !(a < 3)\n}\n");
        let Alike { chosen, missing } = new.like(&sample, none).expect("it compiles");
        let found = new.describe(&chosen, &Judgements::default());
        let (of_f, of_g): (Vec<_>, Vec<_>) = sample.into_iter().partition(|drawn| drawn.function == "f");
        assert_eq!((changes(&found), of_f.len(), of_g.len()), (changes(&of_f), 6, 2));
        assert!(found.iter().all(|drawn| drawn.line > 2));
        let told = |drawn: &Drawn| format!("{}: a.rs: g: {}: the sources do not have it", drawn.name(), drawn.change);
        assert_eq!(missing, of_g.iter().map(told).collect::<Vec<_>>());
    }

    #[test]
    fn a_mutant_of_another_sample_that_does_not_compile_is_missing_and_nothing_takes_its_place() {
        let population = population("fn f(a: u8) -> bool {\n    !(a < 3)\n}\n");
        let none = |_: &BTreeMap<&str, Spliced>| Ok(BTreeSet::new());
        let sample = population.describe(&population.choose(1, 3, none).expect("three"), &Judgements::default());
        let second = |files: &BTreeMap<&str, Spliced>| {
            let mut numbers = files["a.rs"].regions.iter().map(|region| region.number);
            Ok(numbers.any(|number| number == 2).then_some(2).into_iter().collect())
        };
        let Alike { chosen, missing } = population.like(&sample, second).expect("two compile");
        assert_eq!(chosen.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(missing, [format!("drawn-002: a.rs: f: {}: it does not compile", sample[1].change)]);
    }

    /// What is written for a place that is the first mutant.
    fn edit_of(population: &Population, place: usize) -> String {
        let spliced = population.write(&[(1, place)]).remove("a.rs").expect("one file");
        let region = &spliced.regions[0];
        spliced.text[region.range.clone()].to_owned()
    }
}
