//! Datagrams that cannot be right.

use seedbed::rng::Stream;
use seedbed::wire::{Address, Datagrams, Envelope};
use serde_json::{Map, Value, json};

/// A source of them.
pub struct Hostile {
    dice: Stream,
}

impl Hostile {
    pub fn new(seed: u64) -> Hostile {
        Hostile { dice: Stream::new(seed, "hostile") }
    }

    /// A datagram that cannot be right for the replica at `to`. It may resemble an honest one that is for it.
    pub fn datagram(&mut self, to: Address, honest: &[u8]) -> Vec<u8> {
        match self.dice.below(8) {
            0 => self.noise(),
            1 => self.flipped(honest),
            2 => honest[..self.dice.below(honest.len() as u64) as usize].to_vec(),
            3 => self.misaddressed(to, honest),
            4 => self.deep(to, honest),
            5 => self.spoilt_envelope(honest),
            _ => self.spoilt_body(to, honest),
        }
    }

    fn noise(&mut self) -> Vec<u8> {
        let length = self.dice.below(300);
        // A digit in front, so that it is not an object by chance.
        std::iter::once(b'7').chain((0..length).map(|_| self.dice.next_u64() as u8)).collect()
    }

    /// With some bits flipped so that it is JSON no more.
    fn flipped(&mut self, honest: &[u8]) -> Vec<u8> {
        let mut bytes = honest.to_vec();
        while serde_json::from_slice::<Value>(&bytes).is_ok() {
            let place = self.dice.below(bytes.len() as u64) as usize;
            bytes[place] ^= 1 << self.dice.below(8);
        }
        bytes
    }

    /// From or to an address that makes no sense.
    fn misaddressed(&mut self, to: Address, honest: &[u8]) -> Vec<u8> {
        let mut datagram = read(honest);
        let own = to.to_string();
        let kind = datagram["type"].as_str().expect("a type").to_owned();
        match self.dice.below(4) {
            0 => datagram["src"] = json!(own),
            1 => datagram["src"] = json!("FFFF"),
            2 => datagram["dst"] = json!("00AA"),
            // A replica that nobody knows, or a client that is a replica.
            _ if ["get", "put"].contains(&&*kind) => {
                datagram["src"] = json!(if own == "0001" { "0000" } else { "0001" })
            }
            _ => datagram["src"] = json!("00AA"),
        }
        datagram.to_string().into_bytes()
    }

    /// Nested more deeply than any honest one, in place of a key that is needed.
    fn deep(&mut self, to: Address, honest: &[u8]) -> Vec<u8> {
        let mut datagram = read(honest);
        let key = self.needed_key(&datagram).unwrap_or("src");
        datagram[key] = json!("DEEP");
        datagram["dst"] = json!(to.to_string());
        let depth = self.dice.between(1, 30_000) as usize;
        let (open, close) = [("[", "]"), ("{\"a\":", "}")][self.dice.below(2) as usize];
        let nested = open.repeat(depth.min(30_000 / open.len())) + "1" + &close.repeat(depth.min(30_000 / open.len()));
        datagram.to_string().replace("\"DEEP\"", &nested).into_bytes()
    }

    fn spoilt_envelope(&mut self, honest: &[u8]) -> Vec<u8> {
        let mut datagram = read(honest);
        let key = *self.dice.pick(&["src", "dst", "leader", "type"]).expect("a key");
        let bad = [json!(null), json!(7), json!(-1), json!([]), json!({}), json!(0.5), json!(true)];
        let bad_address = [json!(""), json!("1"), json!("00001"), json!("-001"), json!("000G"), json!("é00")];
        match self.dice.below(3) {
            0 => drop(datagram.as_object_mut().expect("an object").remove(key)),
            1 if key != "type" => datagram[key] = self.dice.pick(&bad_address).expect("a value").clone(),
            _ => datagram[key] = self.dice.pick(&bad).expect("a value").clone(),
        }
        datagram.to_string().into_bytes()
    }

    /// With a key that its type needs spoilt or missing, or of no type that there is.
    fn spoilt_body(&mut self, to: Address, honest: &[u8]) -> Vec<u8> {
        let mut datagram = read(honest);
        datagram["dst"] = json!(to.to_string());
        let Some(key) = self.needed_key(&datagram) else {
            // A hello needs nothing, so it is given a type that needs a lot.
            datagram["type"] = self.dice.pick(&["Vote", "AppendEntries", "ok", "", "HELLO"]).copied().into();
            return datagram.to_string().into_bytes();
        };
        if self.dice.chance(0.3) {
            datagram.as_object_mut().expect("an object").remove(key);
        } else if key == "t" && self.dice.chance(0.4) {
            // Well-formed, but no cluster gets that far.
            datagram[key] = json!(u64::MAX - self.dice.below(1_000));
        } else {
            datagram[key] = json!("BAD");
        }
        let bad =
            ["-1", "0.5", "1e3", "1e999", "18446744073709551616", "null", "[]", "{}", "[null]", "[[\"1\"]]", "-0"];
        let bad = *self.dice.pick(&bad).expect("a value");
        // An empty list of entries would be a heartbeat.
        let bad = if key == "e" && bad == "[]" { "0" } else { bad };
        let text = datagram.to_string().replace("\"BAD\"", bad);
        // Half of what is between replicas has the right checksum: it was spoilt before it was sent.
        if datagram["sum"].is_null() || self.dice.chance(0.5) { text.into_bytes() } else { sealed(text) }
    }

    /// A key that a datagram of this type cannot do without.
    fn needed_key(&mut self, datagram: &Value) -> Option<&'static str> {
        let keys: &[&'static str] = match datagram["type"].as_str().expect("a type") {
            "get" => &["MID", "key"],
            "put" => &["MID", "key", "value"],
            "RequestVote" | "PreVote" => &["t", "li", "lt"],
            "Vote" => &["t", "g", "p"],
            "AppendEntries" => &["t", "pi", "pt", "c", "s", "e"],
            "AppendReply" => &["t", "s"],
            "Probe" => &["t"],
            _ => &[],
        };
        self.dice.pick(keys).copied()
    }
}

/// The same datagram with the right checksum.
fn sealed(text: String) -> Vec<u8> {
    let Ok(mut body) = serde_json::from_str::<Map<String, Value>>(&text) else { return text.into_bytes() };
    body.remove("sum");
    let mut take = |key| body.remove(key).and_then(|value| value.as_str().map(str::to_owned)).expect("an envelope");
    let [src, dst, leader, kind, mid] = ["src", "dst", "leader", "type", "MID"].map(&mut take);
    let [src, dst, leader] = [src, dst, leader].map(|address| address.parse().expect("an address"));
    let mut out = Datagrams::new();
    out.push(&Envelope { src, dst, leader, mid: &mid }, &kind, &body);
    out.iter().next().expect("a datagram").to_vec()
}

fn read(honest: &[u8]) -> Value {
    serde_json::from_slice(honest).expect("honest datagrams are JSON")
}
