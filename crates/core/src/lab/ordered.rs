//! Work on all cores whose results are handed on in order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// This many results for each thread may wait for an earlier one. This bounds the memory, and is enough that a run may
/// take a hundred times as long as its neighbours before a thread has to wait for it.
const AHEAD_PER_THREAD: u64 = 64;

/// What the threads share.
struct State<T> {
    /// The next place that is not taken yet.
    next: u64,
    /// The next place to be handed on.
    wanted: u64,
    /// Results that wait for earlier ones.
    ready: BTreeMap<u64, T>,
    /// Nothing new is begun.
    stopped: bool,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Something was taken or handed on.
    changed: Condvar,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic elsewhere ends everything anyway; until then the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the work if it is dropped in a panic, so that no thread waits for ever for a result that will not come.
struct Guard<'a, T>(&'a Shared<T>);

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

/// Does the work of each place, on as many threads as the present pool has, and hands the results on in order, on this
/// thread. What is handed on does not depend on the number of threads. At most 64 results for each thread wait for their
/// turn.
///
/// # Errors
/// The first of `hand_on`. Nothing new is begun then.
///
/// # Panics
/// If `work` or `hand_on` does.
pub fn in_order<T: Send, E>(
    places: Range<u64>,
    work: impl Fn(u64) -> T + Sync,
    mut hand_on: impl FnMut(u64, T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = rayon::current_num_threads();
    let ahead = AHEAD_PER_THREAD * threads as u64;
    let state = State { next: places.start, wanted: places.start, ready: BTreeMap::new(), stopped: false };
    let shared = Shared { state: Mutex::new(state), changed: Condvar::new() };
    // Threads of their own, as many as the pool has: one that waits for its turn must not hold a thread of the pool,
    // which may be the one that this was called on.
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let guard = Guard(&shared);
                while let Some(place) = take(&shared, places.end, ahead) {
                    let result = work(place);
                    shared.lock().ready.insert(place, result);
                    shared.changed.notify_all();
                }
                // The others go on with what is left.
                std::mem::forget(guard);
            });
        }
        let _guard = Guard(&shared);
        for place in places.clone() {
            let Some(result) = receive(&shared, place) else { break };
            hand_on(place, result)?;
        }
        Ok(())
    })
}

/// The next place that is not taken yet, as soon as it is not too far ahead.
fn take<T>(shared: &Shared<T>, end: u64, ahead: u64) -> Option<u64> {
    let mut state = shared.lock();
    loop {
        if state.stopped || state.next >= end {
            return None;
        }
        if state.next - state.wanted < ahead {
            state.next += 1;
            return Some(state.next - 1);
        }
        state = shared.wait(state);
    }
}

/// The result of this place; none if it will not come.
fn receive<T>(shared: &Shared<T>, place: u64) -> Option<T> {
    let mut state = shared.lock();
    loop {
        if let Some(result) = state.ready.remove(&place) {
            state.wanted = place + 1;
            shared.changed.notify_all();
            return Some(result);
        }
        if state.stopped {
            return None;
        }
        state = shared.wait(state);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{self, AssertUnwindSafe};
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool")
    }

    /// Work that takes its time now and then.
    fn slow(place: u64) -> u64 {
        let rounds = if place.is_multiple_of(37) { 200_000 } else { 100 };
        (0..rounds).fold(place, |same, _| std::hint::black_box(same))
    }

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 7] {
            let mut handed = Vec::new();
            let hand_on = |place, result| {
                assert_eq!(place, result);
                handed.push(place);
                Ok::<(), ()>(())
            };
            pool(threads).install(|| in_order(5..1_000, slow, hand_on)).unwrap();
            assert_eq!(handed, (5..1_000).collect::<Vec<_>>(), "{threads}");
        }
        assert_eq!(in_order(3..3, |_| unreachable!(), |_, ()| Err("nothing to hand on")), Ok(()));
    }

    #[test]
    fn an_error_ends_it_soon_and_is_handed_back() {
        let begun = AtomicU64::new(0);
        let work = |place| {
            begun.fetch_add(1, Ordering::Relaxed);
            place
        };
        let result =
            pool(2).install(|| in_order(0..u64::MAX, work, |place, _| if place == 10 { Err(place) } else { Ok(()) }));
        assert_eq!(result, Err(10));
        assert!(begun.into_inner() <= 11 + 2 * AHEAD_PER_THREAD, "no thread runs far ahead");
    }

    #[test]
    fn no_thread_runs_further_ahead_than_memory_allows() {
        let (begun, most) = (AtomicU64::new(0), AtomicU64::new(0));
        let work = |_| _ = begun.fetch_add(1, Ordering::SeqCst);
        let hand_on = |place, ()| {
            most.fetch_max(begun.load(Ordering::SeqCst) - place, Ordering::SeqCst);
            slow(37);
            Ok::<(), ()>(())
        };
        pool(3).install(|| in_order(0..2_000, work, hand_on)).unwrap();
        // The one that is handed on has made room for another.
        assert!((1..=3 * AHEAD_PER_THREAD + 1).contains(&most.into_inner()));
    }

    #[test]
    fn a_panic_goes_on_and_no_thread_waits_for_ever() {
        let work = |place| assert_ne!(place, 100, "on purpose");
        let run = || pool(2).install(|| in_order(0..10_000, work, |_, ()| Ok::<(), ()>(())));
        assert!(panic::catch_unwind(AssertUnwindSafe(run)).is_err());
        let hand_on = |place, ()| -> Result<(), ()> { panic!("on purpose, at {place}") };
        let run = || pool(2).install(|| in_order(0..10_000, |_| (), hand_on));
        assert!(panic::catch_unwind(AssertUnwindSafe(run)).is_err());
    }
}
