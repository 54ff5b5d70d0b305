//! Watchers of a run of any machines: writers of traces, and the leaders of a picture.

use crate::consensus::{Consensus, Role, Term};
use crate::id::ReplicaId;
use crate::record::{Event, Reign};
use crate::time::Time;
use crate::wire::{Datagrams, Envelope, Pulse};

/// Watches a run without taking part in it. In a simulation it sees every event. In a run of programs it sees the
/// events on their LAN. `()` sees nothing, and a pair is two watchers.
pub trait Watcher {
    /// An event, and the content of its message, if it has one. A delivered message has not been handled yet; a fault
    /// has been injected already.
    fn event(&mut self, view: &View<'_>, event: &Event<'_, ()>, said: Option<&dyn Said>) {
        let _ = (view, event, said);
    }

    /// A replica has handled an input. Programs do not show that.
    fn handled(&mut self, view: &View<'_>, replica: ReplicaId) {
        let _ = (view, replica);
    }
}

/// What a watcher can see at one moment.
#[derive(Clone, Copy)]
pub struct View<'v> {
    /// The time.
    pub now: Time,
    /// The replicas.
    pub windows: &'v dyn Windows,
}

/// Replicas whose state may be visible.
pub trait Windows {
    /// The window into a replica that agrees with others on a log; none into any other.
    fn window(&self, replica: ReplicaId) -> Option<&dyn Consensus>;
}

/// There is no window.
impl Windows for () {
    fn window(&self, _: ReplicaId) -> Option<&dyn Consensus> {
        None
    }
}

/// A message with a readable form.
pub trait Said {
    /// Writes it as JSON.
    fn write(&self, envelope: &Envelope<'_>, out: &mut Datagrams);

    /// Whether it is only a sign of life, or the answer to a message that may be one.
    fn pulse(&self) -> Option<Pulse>;
}

/// A datagram of a program: strict JSON, which is written as it is, in one line.
impl Said for &str {
    fn write(&self, _: &Envelope<'_>, out: &mut Datagrams) {
        out.push_text(self);
    }

    fn pulse(&self) -> Option<Pulse> {
        None
    }
}

impl Watcher for () {}

impl<W: Watcher + ?Sized> Watcher for &mut W {
    fn event(&mut self, view: &View<'_>, event: &Event<'_, ()>, said: Option<&dyn Said>) {
        (**self).event(view, event, said);
    }

    fn handled(&mut self, view: &View<'_>, replica: ReplicaId) {
        (**self).handled(view, replica);
    }
}

impl<A: Watcher, B: Watcher> Watcher for (A, B) {
    fn event(&mut self, view: &View<'_>, event: &Event<'_, ()>, said: Option<&dyn Said>) {
        self.0.event(view, event, said);
        self.1.event(view, event, said);
    }

    fn handled(&mut self, view: &View<'_>, replica: ReplicaId) {
        self.0.handled(view, replica);
        self.1.handled(view, replica);
    }
}

/// A watcher that may be missing.
impl<W: Watcher> Watcher for Option<W> {
    fn event(&mut self, view: &View<'_>, event: &Event<'_, ()>, said: Option<&dyn Said>) {
        if let Some(watcher) = self {
            watcher.event(view, event, said);
        }
    }

    fn handled(&mut self, view: &View<'_>, replica: ReplicaId) {
        if let Some(watcher) = self {
            watcher.handled(view, replica);
        }
    }
}

/// Watches which replica leads, in which term, as far as the leaders themselves know. Where replicas have no window there
/// is nothing to see.
#[derive(Clone, Debug, Default)]
pub struct Reigns {
    reigns: Vec<Reign>,
}

impl Reigns {
    /// All tenures, in the order in which they began.
    pub fn into_vec(self) -> Vec<Reign> {
        self.reigns
    }

    fn open(&mut self, replica: ReplicaId) -> Option<&mut Reign> {
        self.reigns.iter_mut().rev().find(|reign| reign.leader == replica && reign.until.is_none())
    }
}

impl Watcher for Reigns {
    fn event(&mut self, view: &View<'_>, event: &Event<'_, ()>, _: Option<&dyn Said>) {
        if let Event::Crashed { replica, .. } | Event::Ended { replica, .. } = *event
            && let Some(reign) = self.open(replica)
        {
            reign.until = Some(view.now);
        }
    }

    fn handled(&mut self, view: &View<'_>, replica: ReplicaId) {
        let Some(window) = view.windows.window(replica) else { return };
        let term: Option<Term> = (window.role() == Role::Leader).then(|| window.term());
        let open = self.open(replica);
        if open.as_ref().map(|reign| reign.term) == term {
            return;
        }
        if let Some(reign) = open {
            reign.until = Some(view.now);
        }
        if let Some(term) = term {
            self.reigns.push(Reign { leader: replica, term, from: view.now, until: None });
        }
    }
}
