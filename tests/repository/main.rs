//! The repository keeps its own rules: layers, documents, the files in deploy/, and what the course's graders find.

#[path = "../common/mod.rs"]
mod common;

mod deploy;
mod documentation;
mod launcher;
mod layers;
mod outside;
mod profiles;

use std::path::PathBuf;

/// The folder of the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
