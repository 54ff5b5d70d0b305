//! The event loop allocates nothing in the steady state.
//!
//! `cargo test --release --test memory -- --nocapture` prints the figures.

use crate::common::gossip::Gossip;
use crate::common::{raft, scenario};
use crate::counting;
use seedbed::chaos::ConnectivityMatrix;
use seedbed::service::Service;
use seedbed::world::simulation::Simulation;

/// Allocations while the next `events` events happen.
fn allocations<P: Service>(simulation: &mut Simulation<'_, P>, events: u64) -> u64 {
    let goal = simulation.events() + events;
    let before = counting::allocations();
    while simulation.events() < goal {
        assert!(simulation.step(), "the run is long enough");
    }
    counting::allocations() - before
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
