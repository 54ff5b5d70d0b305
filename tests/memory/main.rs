//! How much memory is used, and how often it is allocated: this test program has an allocator that counts.

#[path = "../common/mod.rs"]
mod common;
mod counting;

mod allocations;
mod fuzz;
