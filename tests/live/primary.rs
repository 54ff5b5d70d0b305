//! A primary with backups, in several variants: small programs that the course's runner and seedbed once judged
//! differently. The lowest address that was heard within the last second leads. Right without losses.

#![expect(clippy::disallowed_types, reason = "processes in real time")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use seedbed::service::{Operation, Text};
use seedbed::wire::{Address, DATAGRAM_BYTES_MAX, Datagram};
use serde_json::{Value, json};

use super::programs::Lan;

/// What is odd about a variant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Nothing. For a second after the primary's death the others still name it, as any follower of Raft does until its
    /// election timeout.
    Plain,
    /// It takes 2.5 s from the first request to find its primary. Until then all name `FFFF` as the leader.
    Slow,
    /// It pings before the others can have said hello.
    Early,
    /// A number that is not finite.
    NaN,
    /// A key twice.
    Twice,
    /// Half of a surrogate pair.
    Surrogate,
    /// Bytes that are not UTF-8.
    Latin,
    /// An empty datagram.
    Empty,
    /// A byte order mark before each message.
    Bom,
    /// Addresses in lower case.
    Lower,
    /// `FFFF` as the source of pings.
    WrongSrc,
    /// It sends each message but its hello from another socket.
    ManySockets,
    /// It prints a page with each message.
    Talk,
    /// A get returns the value before the newest one.
    Stale,
}

struct Primary {
    lan: Lan,
    variant: Variant,
    start: Instant,
    heard: BTreeMap<Address, Instant>,
    /// All values of each key, the newest last.
    values: BTreeMap<Text, Vec<Text>>,
    copies: BTreeMap<u64, Copying>,
}

/// A put that is being copied.
struct Copying {
    client: Address,
    mid: String,
    key: Text,
    value: Text,
    done: BTreeSet<Address>,
}

/// Plays a variant.
#[expect(clippy::disallowed_methods, reason = "a process in real time")]
pub fn play(lan: Lan, variant: Variant) -> ExitCode {
    if variant == Variant::Early && lan.own() != Address(0) {
        std::thread::sleep(Duration::from_millis(700));
    }
    let now = Instant::now();
    let heard = lan.others().iter().map(|&other| (other, now)).collect();
    let mut primary = Primary { lan, variant, start: now, heard, values: BTreeMap::new(), copies: BTreeMap::new() };
    primary.lan.hello();
    primary.run()
}

impl Primary {
    fn run(&mut self) -> ExitCode {
        let first = if self.variant == Variant::Early { 0 } else { 300 };
        let mut next_ping = self.start + Duration::from_millis(first);
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        self.lan.wait_at_most(Duration::from_millis(20));
        loop {
            if Instant::now() >= next_ping {
                next_ping += Duration::from_millis(200);
                self.ping();
            }
            if let Some(length) = self.lan.receive(&mut buffer) {
                let bytes = std::mem::take(&mut buffer);
                self.handle(&bytes[..length]);
                buffer = bytes;
            }
        }
    }

    fn leader(&self) -> Address {
        let now = Instant::now();
        if self.variant == Variant::Slow && now - self.start < Duration::from_millis(3_500) {
            return Address::BROADCAST;
        }
        let alive = |(_, heard): &(&Address, &Instant)| now - **heard < Duration::from_secs(1);
        let others = self.heard.iter().filter(alive).map(|(&other, _)| other);
        others.chain([self.lan.own()]).min().expect("itself")
    }

    fn ping(&mut self) {
        match self.variant {
            Variant::Empty => self.lan.raw(b""),
            Variant::Latin => return self.lan.raw(b"{\"note\": \"\xe9\"}"),
            _ => {}
        }
        self.send(Address::BROADCAST, "ping", json!({}));
    }

    fn send(&mut self, to: Address, kind: &str, more: Value) {
        let own = self.lan.own().to_string();
        let src = if self.variant == Variant::WrongSrc && kind == "ping" { "FFFF" } else { &own };
        let mut leader = self.leader().to_string();
        if self.variant == Variant::Lower {
            leader = leader.to_lowercase();
        }
        let mut message = json!({"src": src, "dst": to.to_string(), "leader": leader, "type": kind, "from": own});
        message.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let text = message.to_string();
        if self.variant == Variant::Talk {
            (0..300).for_each(|_| println!("{own} says {text}"));
        }
        let open = &text[..text.len() - 1];
        let text = match self.variant {
            Variant::NaN => format!("{open}, \"age\": -Infinity}}"),
            Variant::Twice => format!("{open}, \"type\": \"{kind}\"}}"),
            Variant::Surrogate => format!("{open}, \"note\": \"\\ud800\"}}"),
            Variant::Bom => format!("\u{feff}{text}"),
            _ => text,
        };
        match self.variant {
            Variant::ManySockets => self.lan.raw_from_elsewhere(text.as_bytes()),
            _ => self.lan.raw(text.as_bytes()),
        }
    }

    fn handle(&mut self, bytes: &[u8]) {
        let mut rewritten = String::new();
        let text = String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').to_owned();
        let Ok((datagram, _)) = Datagram::parse_as_python(text.as_bytes(), &mut rewritten) else { return };
        let body: Value = datagram.body().expect("JSON");
        let sender = body["from"].as_str().and_then(|from| from.parse().ok()).unwrap_or(datagram.src);
        if let Some(heard) = self.heard.get_mut(&sender) {
            *heard = Instant::now();
        }
        let number = body["n"].as_u64().unwrap_or_default();
        match (&*datagram.kind, datagram.operation()) {
            (_, Ok(Some(operation))) => {
                self.serve(datagram.src, datagram.mid.as_deref().expect("a MID"), &operation);
            }
            ("copy", _) => {
                let text = |key: &str| Text::from(body[key].as_str().expect("a text"));
                self.values.entry(text("key")).or_default().push(text("value"));
                self.send(sender, "done", json!({"n": number}));
            }
            ("done", _) => self.note_done(number, sender),
            _ => {}
        }
    }

    fn serve(&mut self, client: Address, mid: &str, operation: &Operation) {
        if self.leader() != self.lan.own() {
            return self.send(client, "redirect", json!({"MID": mid}));
        }
        match operation {
            Operation::Get { key } => {
                let values = self.values.get(key).map_or(&[][..], Vec::as_slice);
                let back = if self.variant == Variant::Stale && values.len() > 1 { 2 } else { 1 };
                let value = values.len().checked_sub(back).map_or("", |place| &values[place]).to_owned();
                self.send(client, "ok", json!({"MID": mid, "value": value}));
            }
            Operation::Put { key, value } => {
                let number = 1 + self.copies.keys().next_back().copied().unwrap_or_default();
                let (mid, done) = (mid.to_owned(), BTreeSet::new());
                let copying = Copying { client, mid, key: key.clone(), value: value.clone(), done };
                self.copies.insert(number, copying);
                self.send(Address::BROADCAST, "copy", json!({"n": number, "key": **key, "value": **value}));
            }
            _ => {}
        }
    }

    /// A majority, itself included, has a copy.
    fn note_done(&mut self, number: u64, by: Address) {
        let majority = self.heard.len().div_ceil(2);
        let Some(copying) = self.copies.get_mut(&number) else { return };
        if copying.done.insert(by) && copying.done.len() == majority {
            let (client, mid) = (copying.client, copying.mid.clone());
            self.values.entry(copying.key.clone()).or_default().push(copying.value.clone());
            self.send(client, "ok", json!({"MID": mid}));
        }
    }
}
