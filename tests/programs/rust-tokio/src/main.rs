//! A replicated key-value store with a fixed primary, the lowest ID, written with tokio.
//!
//! The primary answers a put once a majority has a copy. It is correct while no replica dies. Each put is a task of its
//! own on the runtime's threads.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{json, Value};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const EVERYBODY: &str = "FFFF";
const RETRY: Duration = Duration::from_millis(50);
const BEAT_MIN_MS: u64 = 80;
const BEAT_MAX_MS: u64 = 160;
/// A message to a replica that is not up yet is lost, so the first beat waits until all should be.
const START_GRACE: Duration = Duration::from_millis(1000);
const HOLDERS_WAITING_MAX: usize = 64;

#[derive(Default)]
struct State {
    store: HashMap<String, String>,
    /// For each put that waits for a majority, where its task hears who holds it.
    puts: HashMap<u64, mpsc::Sender<String>>,
    last_number: u64,
}

struct Replica {
    id: String,
    primary: String,
    majority: usize,
    socket: UdpSocket,
    state: Mutex<State>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let port: u16 = arguments[1].parse().expect("the first argument is a port");
    let ids = &arguments[2..];
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect((Ipv4Addr::LOCALHOST, port)).await?;
    let replica = Arc::new(Replica {
        id: ids[0].clone(),
        primary: ids.iter().min().expect("its own ID at least").clone(),
        majority: ids.len() / 2 + 1,
        socket,
        state: Mutex::default(),
    });
    replica.send(EVERYBODY, "hello", json!({})).await;
    if replica.id == replica.primary {
        tokio::spawn(Arc::clone(&replica).beat());
    }
    let mut buffer = vec![0; 65_536];
    loop {
        // An error is a datagram that did not arrive.
        let Ok(length) = replica.socket.recv(&mut buffer).await else { continue };
        if let Ok(message) = serde_json::from_slice(&buffer[..length]) {
            replica.handle(message).await;
        }
    }
}

impl Replica {
    async fn send(&self, destination: &str, kind: &str, mut message: Value) {
        for (name, value) in [("src", &*self.id), ("dst", destination), ("leader", &*self.primary), ("type", kind)] {
            message[name] = value.into();
        }
        // A datagram that the network refuses is lost like any other.
        let _ = self.socket.send(message.to_string().as_bytes()).await;
    }

    async fn beat(self: Arc<Self>) {
        sleep(START_GRACE).await;
        // The keys of the hasher are random, so this is a random number for each count.
        let random = RandomState::new();
        for count in 0_u64.. {
            self.send(EVERYBODY, "beat", json!({})).await;
            let spread = random.hash_one(count) % (BEAT_MAX_MS - BEAT_MIN_MS);
            sleep(Duration::from_millis(BEAT_MIN_MS + spread)).await;
        }
    }

    async fn handle(self: &Arc<Self>, message: Value) {
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let (kind, source) = (text("type"), text("src"));
        match kind.as_str() {
            "get" | "put" if self.id != self.primary => {
                self.send(&source, "redirect", json!({"MID": message["MID"]})).await;
            }
            "get" => {
                let value = self.state().store.get(&text("key")).cloned().unwrap_or_default();
                self.send(&source, "ok", json!({"MID": message["MID"], "value": value})).await;
            }
            "put" => drop(tokio::spawn(Arc::clone(self).replicate(message))),
            "copy" => {
                self.state().store.insert(text("key"), text("value"));
                self.send(&source, "copied", json!({"number": message["number"]})).await;
            }
            "copied" => {
                let put = self.state().puts.get(&message["number"].as_u64().unwrap_or_default()).cloned();
                if let Some(put) = put {
                    // If the task is full or gone, this answer is not needed.
                    let _ = put.try_send(source);
                }
            }
            _ => {}
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no task panics")
    }

    async fn replicate(self: Arc<Self>, put: Value) {
        let (sender, mut receiver) = mpsc::channel(HOLDERS_WAITING_MAX);
        let number = {
            let mut state = self.state();
            state.last_number += 1;
            let number = state.last_number;
            state.puts.insert(number, sender);
            number
        };
        let mut holders = HashSet::from([self.id.clone()]);
        while holders.len() < self.majority {
            let copy = json!({"number": number, "key": put["key"], "value": put["value"]});
            self.send(EVERYBODY, "copy", copy).await;
            while holders.len() < self.majority {
                match timeout(RETRY, receiver.recv()).await {
                    Ok(Some(holder)) => holders.insert(holder),
                    Ok(None) | Err(_) => break,
                };
            }
        }
        let text = |name: &str| put[name].as_str().unwrap_or_default().to_owned();
        {
            let mut state = self.state();
            state.puts.remove(&number);
            state.store.insert(text("key"), text("value"));
        }
        self.send(&text("src"), "ok", json!({"MID": put["MID"]})).await;
    }
}
