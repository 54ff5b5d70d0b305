//! Mutants of the replicas, drawn by chance, all in one program.
//!
//! What exploration and tests are worth shows in what they find. The zoo's rules were written by people who also wrote the
//! explorer. These mutants were not: the operators are those of cargo-mutants (<https://mutants.rs/mutants.html>), the
//! sample is drawn by a fixed seed, and this package knows nothing of explorer and checkers.
//!
//! 1. [`places`](places::places) finds every place of the [population](population) where an operator applies.
//! 2. [`draw`](draw::order) puts them in an order that a seed decides.
//! 3. A [copy](copy) of the workspace gets the first of them, each [behind a choice](splice) at run time. A build for each
//!    would take a minute each; this is one build. Those that do not compile are replaced by the next of the order.
//! 4. [Judgements](judgements) of people go into the copy: which mutants change nothing, which no client can notice.
//! 5. In the copy, `seedbed zoo` hunts for the mutants, and [`scripts`] runs the unit tests with each.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod copy;
pub mod draw;
pub mod judgements;
mod operators;
pub mod places;
pub mod population;
pub mod sample;
pub mod scripts;
pub mod splice;
mod values;

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no copy, or nothing that it could tell.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A source file is not Rust.
    #[error("{}:{}: {source}", path.display(), source.span().start().line)]
    Syntax {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: syn::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {source}", path.display())]
    Json {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A list of mutants has a number that cannot be one of them.
    #[error("{}: `number` is {number}; allowed is one from 1 up that no other mutant has", path.display())]
    Number {
        /// Which list.
        path: PathBuf,
        /// The number.
        number: u32,
    },
    /// The folder for the copy has other files in it.
    #[error("{}: is no copy that this program has made; allowed is one, or an empty or a new folder", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// Too few mutants compile.
    #[error("only {found} mutants compile; {wanted} are wanted")]
    TooFew {
        /// How many should be drawn.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// The copy does not build, and that is no mutant's fault.
    #[error("the copy does not build:\n{0}")]
    Build(String),
    /// The sources have no list of mutants to fill.
    #[error("{}: has no line `{line}`", path.display())]
    NoList {
        /// Where it should be.
        path: PathBuf,
        /// What it should be.
        line: &'static str,
    },
}

impl Error {
    /// Names the file of an error.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    }
}
