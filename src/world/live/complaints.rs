//! What is wrong with replicas, told without flooding whoever listens.

use super::Spectator;
use crate::id::ReplicaId;
use crate::time::Time;

/// How many complaints about one replica are told.
const TOLD_MAX: u32 = 10;

/// Passes complaints on, up to a number for each replica.
pub(super) struct Complaints<'a> {
    spectator: &'a dyn Spectator,
    told: Vec<u32>,
}

impl<'a> Complaints<'a> {
    pub fn new(replicas: usize, spectator: &'a dyn Spectator) -> Complaints<'a> {
        Complaints { spectator, told: vec![0; replicas] }
    }

    /// Tells what is wrong with a replica, unless too much was told of it already. `what` is asked only if it is told.
    pub fn tell(&mut self, now: Time, replica: ReplicaId, what: impl FnOnce() -> String) {
        let told = &mut self.told[replica.index()];
        *told = told.saturating_add(1);
        if *told <= TOLD_MAX {
            self.spectator.complaint(now, replica, &what());
        }
        if *told == TOLD_MAX {
            self.spectator.complaint(now, replica, "further complaints about this replica are only counted");
        }
    }
}

/// The beginning of a datagram, in one printable line.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    const LENGTH_MAX: usize = 120;
    let shown = &bytes[..bytes.len().min(LENGTH_MAX)];
    let mut text: String = String::from_utf8_lossy(shown).chars().flat_map(printable).collect();
    if shown.len() < bytes.len() {
        text.push_str("...");
    }
    text
}

fn printable(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = escaped.is_none().then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Listener(Mutex<Vec<String>>);

    impl Spectator for Listener {
        fn progress(&self, _: Time) {}
        fn printed(&self, _: Time, _: ReplicaId, _: &str) {}
        fn complaint(&self, _: Time, replica: ReplicaId, complaint: &str) {
            self.0.lock().unwrap().push(format!("{replica} {complaint}"));
        }
    }

    #[test]
    fn one_replicas_complaints_are_bounded_and_do_not_silence_those_of_another() {
        let listener = Listener::default();
        let mut complaints = Complaints::new(3, &listener);
        for i in 0..1_000 {
            complaints.tell(Time::ZERO, ReplicaId(1), || format!("number {i}"));
        }
        complaints.tell(Time::ZERO, ReplicaId(2), || "at last".to_owned());
        let told = listener.0.into_inner().unwrap();
        assert_eq!(told.len(), TOLD_MAX as usize + 2);
        assert_eq!(told[0], "0001 number 0");
        assert_eq!(told.last().unwrap(), "0002 at last");
    }

    #[test]
    fn an_excerpt_is_one_short_printable_line() {
        assert_eq!(excerpt(b"a\nb\x1b[31m\xff"), "a\\nb\\u{1b}[31m\u{fffd}");
        assert_eq!(excerpt(&[b'x'; 1_000]), "x".repeat(120) + "...");
    }
}
