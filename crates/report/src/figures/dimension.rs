//! The dimensions in which the cells of a sweep differ, and how a picture shows them.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::plot::{DASHES_MAX, Look};

/// The name of the dimension that tells scenarios apart.
pub(super) const SCENARIO: &str = "scenario";
/// The name of the dimension that tells protocols apart.
const PROTOCOL: &str = "protocol";

/// One thing in which cells differ.
pub(super) struct Dimension {
    /// Its name.
    pub name: String,
    /// Its values, in the order of their first appearance.
    pub labels: Vec<String>,
    /// The same as numbers, if all of them are.
    pub numbers: Option<Vec<f64>>,
    /// For each cell, the place of its value.
    pub places: Vec<usize>,
}

impl Dimension {
    pub fn of(name: &str, values: Vec<&String>) -> Dimension {
        let (labels, places) = distinct(values.into_iter().cloned());
        let numbers = labels.iter().map(|label| label.parse().ok()).collect();
        Dimension { name: name.to_owned(), labels, numbers, places }
    }

    /// The value of a cell, with the name of the dimension. Scenarios and protocols appear by their own names only.
    fn label(&self, cell: usize) -> String {
        let value = &self.labels[self.places[cell]];
        if [SCENARIO, PROTOCOL].contains(&self.name.as_str()) {
            value.clone()
        } else {
            format!("{} {value}", self.name)
        }
    }

    pub fn is_numeric(&self) -> bool {
        self.numbers.is_some()
    }

    /// How a cell looks by its value alone: numbers have colours in their order, names differ as much as they can.
    fn look(&self, cell: usize) -> Look {
        let place = self.places[cell];
        match &self.numbers {
            Some(numbers) if numbers.len() > 2 => {
                let rank = numbers.iter().filter(|number| **number < numbers[place]).count();
                Look::ordered(rank, numbers.len())
            }
            _ => Look::nth(place),
        }
    }
}

/// The distinct strings in the order of their first appearance, and for each string its place among them.
pub(super) fn distinct(texts: impl Iterator<Item = String>) -> (Vec<String>, Vec<usize>) {
    let (mut found, mut known, mut places) = (Vec::new(), BTreeMap::new(), Vec::new());
    for text in texts {
        let place = *known.entry(text).or_insert_with_key(|text| {
            found.push(text.clone());
            found.len() - 1
        });
        places.push(place);
    }
    (found, places)
}

/// A name that distinguishes a cell from others that differ in these dimensions.
pub(super) fn name_of(cell: usize, dimensions: &[&Dimension]) -> String {
    dimensions.iter().map(|dimension| dimension.label(cell)).collect::<Vec<_>>().join(", ")
}

/// The looks of cells that differ in these dimensions. The first dimension decides the colour. All others together
/// decide the dashes of a line, or the shape of its mark if there are only `dots`.
pub(super) fn looks(cells: usize, dimensions: &[&Dimension], dots: bool) -> Vec<Look> {
    let [first, others @ ..] = dimensions else { return vec![Look::nth(0); cells] };
    if others.is_empty() {
        return (0..cells).map(|cell| first.look(cell)).collect();
    }
    let (_, styles) = distinct((0..cells).map(|cell| name_of(cell, others)));
    let look = |(cell, style): (usize, &usize)| {
        let look = first.look(cell);
        if dots { look.shaped(*style) } else { look.dashed(*style).shaped(look.shape + style / DASHES_MAX) }
    };
    styles.iter().enumerate().map(look).collect()
}

/// The title of a picture of these cells, as in `crash-3, varying drops and replicas`.
pub(super) fn title(digest: &Digest, dimensions: &[Dimension]) -> String {
    let scenarios: BTreeSet<&String> = digest.cells.iter().map(|cell| &cell.scenario).collect();
    let subject = match &scenarios.iter().collect::<Vec<_>>()[..] {
        [one] => (**one).clone(),
        several => format!("{} scenarios", several.len()),
    };
    // If scenarios are counted, the title need not say that they vary.
    let names: Vec<&str> =
        dimensions.iter().map(|dimension| dimension.name.as_str()).filter(|name| *name != SCENARIO).collect();
    match &names[..] {
        [] => subject,
        [one] => format!("{subject}, varying {one}"),
        [most @ .., last] => format!("{subject}, varying {} and {last}", most.join(", ")),
    }
}

/// The dimensions in which the cells of a digest differ: swept values first, then scenario and protocol. If values are
/// varied together, the first stands for all.
pub(super) fn dimensions(digest: &Digest) -> Vec<Dimension> {
    let swept = digest.names.iter().enumerate();
    let swept = swept.map(|(i, name)| Dimension::of(name, digest.cells.iter().map(|cell| &cell.values[i]).collect()));
    let scenario = Dimension::of(SCENARIO, digest.cells.iter().map(|cell| &cell.scenario).collect());
    let protocol = Dimension::of(PROTOCOL, digest.cells.iter().map(|cell| &cell.protocol).collect());
    let mut found: Vec<Dimension> = Vec::new();
    for dimension in swept.chain([scenario, protocol]).filter(|dimension| dimension.labels.len() > 1) {
        let follows = |other: &Dimension| {
            let pairs: BTreeSet<_> = other.places.iter().zip(&dimension.places).collect();
            pairs.len() == other.labels.len()
        };
        if !found.iter().any(follows) {
            found.push(dimension);
        }
    }
    found
}
