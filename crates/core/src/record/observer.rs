//! Observers of simulated replicas of one type: checkers, coverage. A [`Watcher`](super::Watcher) takes any.

use crate::chaos::Director;
use crate::engine::Condition;
use crate::id::ReplicaId;
use crate::machine::Machine;
use crate::record::Event;
use crate::time::Time;

/// What an observer can see at one moment.
#[derive(Debug)]
pub struct Scene<'s, P> {
    /// The time.
    pub now: Time,
    /// All replicas; a replica that is down is in the state in which it ended.
    pub replicas: &'s [P],
    /// Whether each of them runs, and what its clock shows.
    pub conditions: &'s [Condition],
    /// The living replicas, the observed leader, and which replicas can hear each other.
    pub director: &'s Director,
}

impl<P> Scene<'_, P> {
    /// The time on a replica's clock.
    #[inline]
    pub fn local(&self, replica: ReplicaId) -> Time {
        self.conditions[replica.index()].clock.local(self.now)
    }
}

/// Watches a simulation without taking part in it: an observer sees everything and can change nothing, so the run and
/// its trace are the same with it and without. `()` sees nothing and costs nothing; a pair is two observers.
pub trait Observer<P: Machine> {
    /// An event of the trace. A delivered message has not been handled yet; a fault has been injected already.
    #[inline]
    fn event(&mut self, scene: &Scene<'_, P>, event: &Event<'_, P::Message>) {
        let _ = (scene, event);
    }

    /// A replica has sent another one a message, which is on its way now.
    #[inline]
    fn sent(&mut self, from: ReplicaId, to: ReplicaId, message: &P::Message) {
        let _ = (from, to, message);
    }

    /// A replica has handled an input and all timeouts that were due then, and its effects are on their way.
    #[inline]
    fn handled(&mut self, scene: &Scene<'_, P>, replica: ReplicaId) {
        let _ = (scene, replica);
    }
}

impl<P: Machine> Observer<P> for () {}

impl<P: Machine, O: Observer<P> + ?Sized> Observer<P> for &mut O {
    #[inline]
    fn event(&mut self, scene: &Scene<'_, P>, event: &Event<'_, P::Message>) {
        (**self).event(scene, event);
    }

    #[inline]
    fn sent(&mut self, from: ReplicaId, to: ReplicaId, message: &P::Message) {
        (**self).sent(from, to, message);
    }

    #[inline]
    fn handled(&mut self, scene: &Scene<'_, P>, replica: ReplicaId) {
        (**self).handled(scene, replica);
    }
}

impl<P: Machine, A: Observer<P>, B: Observer<P>> Observer<P> for (A, B) {
    #[inline]
    fn event(&mut self, scene: &Scene<'_, P>, event: &Event<'_, P::Message>) {
        self.0.event(scene, event);
        self.1.event(scene, event);
    }

    #[inline]
    fn sent(&mut self, from: ReplicaId, to: ReplicaId, message: &P::Message) {
        self.0.sent(from, to, message);
        self.1.sent(from, to, message);
    }

    #[inline]
    fn handled(&mut self, scene: &Scene<'_, P>, replica: ReplicaId) {
        self.0.handled(scene, replica);
        self.1.handled(scene, replica);
    }
}

/// An observer that may be missing.
impl<P: Machine, O: Observer<P>> Observer<P> for Option<O> {
    #[inline]
    fn event(&mut self, scene: &Scene<'_, P>, event: &Event<'_, P::Message>) {
        if let Some(observer) = self {
            observer.event(scene, event);
        }
    }

    #[inline]
    fn sent(&mut self, from: ReplicaId, to: ReplicaId, message: &P::Message) {
        if let Some(observer) = self {
            observer.sent(from, to, message);
        }
    }

    #[inline]
    fn handled(&mut self, scene: &Scene<'_, P>, replica: ReplicaId) {
        if let Some(observer) = self {
            observer.handled(scene, replica);
        }
    }
}
