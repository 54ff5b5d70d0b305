//! A replicated key-value store with a fixed primary, the lowest ID, written with the standard library's threads.
//!
//! The primary answers a put once a majority has a copy. It is correct while no replica dies. One thread receives, and
//! looks at what is due whenever nothing came for a while; another one beats.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{json, Value};

const EVERYBODY: &str = "FFFF";
const RETRY: Duration = Duration::from_millis(50);
const READ_TIMEOUT: Duration = Duration::from_millis(10);
const BEAT_MIN_MS: u64 = 80;
const BEAT_MAX_MS: u64 = 160;
/// A message to a replica that is not up yet is lost, so the first beat waits until all should be.
const START_GRACE: Duration = Duration::from_millis(1000);

/// A put that waits for a majority.
struct Put {
    request: Value,
    holders: HashSet<String>,
    sent_at: Instant,
}

#[derive(Default)]
struct State {
    store: HashMap<String, String>,
    puts: HashMap<u64, Put>,
    last_number: u64,
}

struct Replica {
    id: String,
    primary: String,
    majority: usize,
    socket: UdpSocket,
    state: Mutex<State>,
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let port: u16 = arguments[1].parse().expect("the first argument is a port");
    let ids = &arguments[2..];
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(READ_TIMEOUT))?;
    let replica = Arc::new(Replica {
        id: ids[0].clone(),
        primary: ids.iter().min().expect("its own ID at least").clone(),
        majority: ids.len() / 2 + 1,
        socket,
        state: Mutex::default(),
    });
    replica.send(EVERYBODY, "hello", json!({}));
    if replica.id == replica.primary {
        let beating = Arc::clone(&replica);
        thread::spawn(move || beating.beat());
    }
    replica.receive()
}

impl Replica {
    fn send(&self, destination: &str, kind: &str, mut message: Value) {
        for (name, value) in [("src", &*self.id), ("dst", destination), ("leader", &*self.primary), ("type", kind)] {
            message[name] = value.into();
        }
        // A datagram that the network refuses is lost like any other.
        let _ = self.socket.send(message.to_string().as_bytes());
    }

    fn beat(&self) {
        thread::sleep(START_GRACE);
        // The keys of the hasher are random, so this is a random number for each count.
        let random = RandomState::new();
        for count in 0_u64.. {
            self.send(EVERYBODY, "beat", json!({}));
            let spread = random.hash_one(count) % (BEAT_MAX_MS - BEAT_MIN_MS);
            thread::sleep(Duration::from_millis(BEAT_MIN_MS + spread));
        }
    }

    fn receive(&self) -> ! {
        let mut buffer = vec![0; 65_536];
        loop {
            // An error is a timeout, or a datagram that did not arrive.
            if let Ok(length) = self.socket.recv(&mut buffer) {
                if let Ok(message) = serde_json::from_slice(&buffer[..length]) {
                    self.handle(&message, &mut self.state.lock().expect("no thread panics"));
                }
            }
            self.copy_again(&mut self.state.lock().expect("no thread panics"));
        }
    }

    fn handle(&self, message: &Value, state: &mut State) {
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let (kind, source) = (text("type"), text("src"));
        match kind.as_str() {
            "get" | "put" if self.id != self.primary => self.send(&source, "redirect", json!({"MID": message["MID"]})),
            "get" => {
                let value = state.store.get(&text("key")).cloned().unwrap_or_default();
                self.send(&source, "ok", json!({"MID": message["MID"], "value": value}));
            }
            "put" => {
                state.last_number += 1;
                self.copy(state.last_number, message);
                let holders = HashSet::from([self.id.clone()]);
                let put = Put { request: message.clone(), holders, sent_at: Instant::now() };
                state.puts.insert(state.last_number, put);
            }
            "copy" => {
                state.store.insert(text("key"), text("value"));
                self.send(&source, "copied", json!({"number": message["number"]}));
            }
            "copied" => self.handle_copied(message["number"].as_u64().unwrap_or_default(), source, state),
            _ => {}
        }
    }

    fn copy(&self, number: u64, request: &Value) {
        let copy = json!({"number": number, "key": request["key"], "value": request["value"]});
        self.send(EVERYBODY, "copy", copy);
    }

    /// Sends again what no majority has, in the order of the hash map.
    fn copy_again(&self, state: &mut State) {
        for (number, put) in &mut state.puts {
            if put.sent_at.elapsed() >= RETRY {
                put.sent_at = Instant::now();
                self.copy(*number, &put.request);
            }
        }
    }

    fn handle_copied(&self, number: u64, holder: String, state: &mut State) {
        let Some(put) = state.puts.get_mut(&number) else { return };
        put.holders.insert(holder);
        if put.holders.len() < self.majority {
            return;
        }
        let Some(Put { request, .. }) = state.puts.remove(&number) else { return };
        let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        state.store.insert(text("key"), text("value"));
        self.send(&text("src"), "ok", json!({"MID": request["MID"]}));
    }
}
