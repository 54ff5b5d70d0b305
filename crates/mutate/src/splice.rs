//! Mutants of one file, all written into it: each is a choice at run time.
//!
//! `a < b` becomes `(if crate::mutation::is_active(17) { a <= b } else { a < b })`. One mutant is active at a time, so the
//! changed side is the original text with one change, and only the other side has the mutants inside the expression. So
//! each mutant adds one copy of its expression, however deep it is.

use std::ops::Range;

use crate::places::Edit;

/// A file with its mutants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spliced {
    /// Its text.
    pub text: String,
    /// Where the mutants are in it, the inner ones later.
    pub regions: Vec<Region>,
}

/// Where a mutant is in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// The number of the mutant.
    pub number: u32,
    /// What is written for it.
    pub range: Range<usize>,
    /// Whether the range is that of all that it is chosen in place of, with other mutants in it.
    pub is_whole: bool,
}

/// Writes mutants, each with its number, into the source that they were found in.
pub fn splice(source: &str, mutants: &[(u32, &Edit)]) -> Spliced {
    let mut nodes: Vec<Node<'_>> = Vec::new();
    for &(number, edit) in mutants {
        let (range, class) = place(edit);
        match nodes.iter_mut().find(|node| node.range == range && node.class == class) {
            Some(node) => node.mutants.push((number, edit)),
            None => nodes.push(Node { range, class, mutants: vec![(number, edit)] }),
        }
    }
    // What stands outside comes first, and what is inserted before what begins there.
    nodes.sort_by_key(|node| (node.range.start, !node.range.is_empty(), std::cmp::Reverse(node.range.end), node.class));
    let mut writer = Writer { source, spliced: Spliced { text: String::new(), regions: Vec::new() } };
    writer.write(0..source.len(), &nodes);
    writer.spliced
}

/// What surrounds what, if both have the same range: a function's body or a guard is around its expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Arm,
    Body,
    Guard,
    Expression,
}

/// The mutants of one place.
struct Node<'a> {
    range: Range<usize>,
    class: Class,
    mutants: Vec<(u32, &'a Edit)>,
}

fn place(edit: &Edit) -> (Range<usize>, Class) {
    match edit {
        Edit::Expression { whole, .. } => (whole.clone(), Class::Expression),
        Edit::Guard { guard, .. } => (guard.clone(), Class::Guard),
        Edit::Body { body, .. } => (body.clone(), Class::Body),
        Edit::Arm { at } => (*at..*at, Class::Arm),
    }
}

struct Writer<'a> {
    source: &'a str,
    spliced: Spliced,
}

impl Writer<'_> {
    /// Writes this part of the source, with the mutants in it.
    fn write(&mut self, range: Range<usize>, nodes: &[Node<'_>]) {
        let (mut written, mut rest) = (range.start, nodes);
        while let Some((node, after)) = rest.split_first() {
            self.push(&self.source[written..node.range.start]);
            let inside = after.iter().take_while(|other| other.range.start < node.range.end).count();
            let (inner, others) = after.split_at(inside);
            match node.class {
                Class::Arm => self.write_arm(node),
                Class::Body => self.write_body(node, inner),
                Class::Guard => self.write_guard(node, inner),
                Class::Expression => self.write_expression(node, inner),
            }
            (written, rest) = (node.range.end, others);
        }
        self.push(&self.source[written..range.end]);
    }

    fn write_arm(&mut self, node: &Node<'_>) {
        for (number, _) in &node.mutants {
            let start = self.spliced.text.len();
            self.push(&format!(" if !{}", is_active(*number)));
            self.note(*number, start, false);
        }
    }

    fn write_body(&mut self, node: &Node<'_>, inner: &[Node<'_>]) {
        let start = self.spliced.text.len();
        for (number, edit) in &node.mutants {
            let Edit::Body { with, .. } = edit else { continue };
            let start = self.spliced.text.len();
            self.push(&format!("if {} {{ return {with}; }}\n", is_active(*number)));
            self.note(*number, start, false);
        }
        self.write(node.range.clone(), inner);
        self.note_whole(node, start);
    }

    fn write_guard(&mut self, node: &Node<'_>, inner: &[Node<'_>]) {
        let start = self.spliced.text.len();
        for (number, edit) in &node.mutants {
            let start = self.spliced.text.len();
            let is_true = matches!(edit, Edit::Guard { value: true, .. });
            let active = is_active(*number);
            self.push(&if is_true { format!("({active} || ") } else { format!("(!{active} && ") });
            self.note(*number, start, false);
        }
        self.push("(");
        self.write(node.range.clone(), inner);
        self.push(&")".repeat(node.mutants.len() + 1));
        self.note_whole(node, start);
    }

    fn write_expression(&mut self, node: &Node<'_>, inner: &[Node<'_>]) {
        let start = self.spliced.text.len();
        self.push("(");
        for (number, edit) in &node.mutants {
            let Edit::Expression { whole, at, with } = edit else { continue };
            let start = self.spliced.text.len();
            let (before, after) = (&self.source[whole.start..at.start], &self.source[at.end..whole.end]);
            self.push(&format!("if {} {{ {before}{with}{after} }} else ", is_active(*number)));
            self.note(*number, start, false);
        }
        self.push("{ ");
        self.write(node.range.clone(), inner);
        self.push(" })");
        self.note_whole(node, start);
    }

    fn push(&mut self, text: &str) {
        self.spliced.text += text;
    }

    fn note(&mut self, number: u32, start: usize, is_whole: bool) {
        self.spliced.regions.push(Region { number, range: start..self.spliced.text.len(), is_whole });
    }

    fn note_whole(&mut self, node: &Node<'_>, start: usize) {
        node.mutants.iter().for_each(|(number, _)| self.note(*number, start, true));
    }
}

impl Spliced {
    /// The mutants that a range of the text is about: those in whose text it is, or else those of the innermost choice
    /// around it.
    pub fn about(&self, range: &Range<usize>) -> Vec<u32> {
        let around = |region: &&Region| region.range.start <= range.start && range.end <= region.range.end;
        let own = self.regions.iter().filter(around).find(|region| !region.is_whole);
        if let Some(region) = own {
            return vec![region.number];
        }
        let innermost = self.regions.iter().filter(around).min_by_key(|region| region.range.len());
        let Some(innermost) = innermost else { return Vec::new() };
        let alike = self.regions.iter().filter(|region| region.range == innermost.range);
        alike.map(|region| region.number).collect()
    }
}

/// The condition that a mutant is chosen by.
fn is_active(number: u32) -> String {
    format!("crate::mutation::is_active({number})")
}
