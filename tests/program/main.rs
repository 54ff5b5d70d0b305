//! The programs `seedbed` and `3700kvstore` as processes: what they print, what they write, and how they end.

#[path = "../common/mod.rs"]
mod common;

mod check;
mod cli;
mod confinement;
mod entropy;
mod explore;
mod programs;
mod replica;
mod repro;
mod sweep;
mod trace;
