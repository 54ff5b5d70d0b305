//! The event loop allocates nothing in the steady state.
//!
//! `cargo test --release --test allocations -- --nocapture` prints the figures.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::gossip::Gossip;
use common::{raft, scenario};
use seedbed::chaos::ConnectivityMatrix;
use seedbed::protocol::Protocol;
use seedbed::world::simulation::Simulation;

/// Counts the allocations of each thread, growth included.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps alloc's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps dealloc's contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps realloc's contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations while the next `events` events happen.
fn allocations<P: Protocol>(simulation: &mut Simulation<'_, P>, events: u64) -> u64 {
    let goal = simulation.events() + events;
    let before = ALLOCATIONS.get();
    while simulation.events() < goal {
        assert!(simulation.step(), "the run is long enough");
    }
    ALLOCATIONS.get() - before
}

#[test]
fn a_bare_protocol_runs_without_a_single_allocation() {
    let mut scenario = scenario("benches/raft-links.json");
    scenario.requests = 0;
    scenario.matrix = ConnectivityMatrix::uniform(scenario.replicas, 0.0).expect("a probability");
    let mut simulation = Simulation::new(&scenario, 1, Gossip::new);
    allocations(&mut simulation, 10_000);
    assert_eq!(allocations(&mut simulation, 200_000), 0);
}

#[test]
fn raft_allocates_for_each_new_put_and_for_little_else() {
    let scenario = scenario("benches/raft-links.json");
    let mut simulation = Simulation::new(&scenario, 1, raft);
    allocations(&mut simulation, 20_000);
    let events = 100_000;
    let puts_before = simulation.replicas()[0].raft().log().last_index();
    let allocations = allocations(&mut simulation, events);
    let puts = simulation.replicas()[0].raft().log().last_index() - puts_before;
    let share = allocations as f64 / puts as f64;
    println!("{allocations} allocations for {puts} puts in {events} events: {share:.2} a put");
    // The value, and the command that holds it; the rest is lists that grow and the few appends with many entries.
    assert!(share < 2.5, "{share}");
}
