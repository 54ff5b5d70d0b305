//! A run's events as JSON lines, written while the run is in progress.
//!
//! The first line is a header. The last one has the number of events and their hash, so that a truncated file is
//! recognised. Between them there is an object for each event. `docs/output.md` lists all fields; names of fields are
//! stable, and new ones may be added. The content of a message is written as on the course's LAN, without the envelope
//! ([`Datagrams::bare`]), for all protocols. Messages between programs are written whole.
//!
//! Only the data for recognising answers to heartbeats is kept, so memory is bounded.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};

use serde::Serialize;
use serde_json::value::RawValue;

use seedbed_core::chaos::FaultEvent;
use seedbed_core::id::{ClientId, ReplicaId};
use seedbed_core::record::{Event, RunRecord, Said, View, Watcher};
use seedbed_core::scenario::Scenario;
use seedbed_core::time::Time;
use seedbed_core::wire::{Address, Datagrams, Envelope, Pulse};

/// The version of the format. It changes when a field is removed or changes its meaning.
pub const VERSION: u32 = 1;

/// At most this many heartbeats without an answer are remembered on each link.
const UNANSWERED_BEATS_MAX: usize = 16;

/// The first line.
#[derive(Clone, Debug, Serialize)]
struct Header<'a> {
    /// [`VERSION`].
    seedbed_trace: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    program: &'static str,
    command: &'a str,
    scenario: &'a str,
    seed: u64,
    protocol: &'a str,
    replicas: usize,
    heartbeats: bool,
}

/// The last line.
#[derive(Serialize)]
struct Footer {
    #[serde(rename = "type")]
    kind: &'static str,
    events: u64,
    written: u64,
    ns: u64,
    time: f64,
    trace: Option<String>,
}

/// The fields of every event.
#[derive(Serialize)]
struct Line<B> {
    n: u64,
    ns: u64,
    time: f64,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    body: B,
}

#[derive(Serialize)]
struct Passage<'a> {
    from: Address,
    to: Address,
    message: Message<'a>,
}

#[derive(Serialize)]
struct Start {
    to: Address,
    #[serde(skip_serializing_if = "Option::is_none")]
    wiped: Option<bool>,
}

#[derive(Serialize)]
struct Place {
    to: Address,
}

#[derive(Serialize)]
struct Asked<'a> {
    from: Address,
    to: Address,
    mid: String,
    message: Message<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    from: Address,
    to: Address,
    mid: String,
    leader: Address,
    message: Message<'a>,
}

#[derive(Serialize)]
struct Strike<'a> {
    fault: usize,
    name: &'a str,
    killed: Option<Address>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hit: Vec<Address>,
    leader_lost: bool,
}

#[derive(Serialize)]
struct Sending<'a> {
    from: Address,
    message: Message<'a>,
}

#[derive(Serialize)]
struct Printing<'a> {
    from: Address,
    line: &'a str,
}

#[derive(Serialize)]
struct Calling<'a> {
    from: Address,
    call: &'a str,
}

#[derive(Serialize)]
struct Complaint<'a> {
    from: Address,
    what: &'a str,
}

#[derive(Serialize)]
struct Crash {
    to: Address,
    /// How many records were lost, and whether the first of them is torn.
    lost: u64,
    torn: bool,
}

#[derive(Serialize)]
struct End<'a> {
    to: Address,
    why: &'a str,
}

/// The content of one datagram, or of several.
#[derive(Serialize)]
#[serde(untagged)]
enum Message<'a> {
    One(&'a RawValue),
    Several(Vec<&'a RawValue>),
}

/// Writes the trace of one run, of a simulation or of programs.
pub struct TraceWriter<'s> {
    out: &'s mut dyn Write,
    faults: &'s [FaultEvent],
    /// Whether heartbeats are written, too.
    heartbeats: bool,
    /// The heartbeats without an answer so far on each link, in order of sending, if heartbeats are not written.
    beats: BTreeMap<(ReplicaId, ReplicaId), VecDeque<u64>>,
    events: u64,
    written: u64,
    message: Datagrams,
    /// The first error. Nothing is written after it.
    failure: Option<io::Error>,
}

/// The start of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Heading<'a> {
    /// The scenario that is run.
    pub scenario: &'a Scenario,
    /// The run's seed.
    pub seed: u64,
    /// The protocol's name.
    pub protocol: &'a str,
    /// The command that repeats the run.
    pub command: &'a str,
}

impl<'s> TraceWriter<'s> {
    /// Begins a trace. `heartbeats` says whether heartbeats and answers to them are written.
    /// [`finish`](TraceWriter::finish) returns the first error.
    pub fn new(out: &'s mut dyn Write, heading: &Heading<'s>, heartbeats: bool) -> TraceWriter<'s> {
        let &Heading { scenario, seed, protocol, command } = heading;
        let mut writer = TraceWriter {
            out,
            faults: &scenario.events,
            heartbeats,
            beats: BTreeMap::new(),
            events: 0,
            written: 0,
            message: Datagrams::bare(),
            failure: None,
        };
        let header = Header {
            seedbed_trace: VERSION,
            kind: "begin",
            program: env!("CARGO_PKG_VERSION"),
            command,
            scenario: &scenario.name,
            seed,
            protocol,
            replicas: scenario.replicas,
            heartbeats,
        };
        writer.failure = write_line(writer.out, &header).err();
        writer
    }

    /// Writes the last line.
    ///
    /// # Errors
    /// If anything could not be written, at any time.
    pub fn finish(self, record: &RunRecord) -> io::Result<()> {
        self.failure.map_or(Ok(()), Err)?;
        let footer = Footer {
            kind: "end",
            events: self.events,
            written: self.written,
            ns: record.end.nanos(),
            time: record.end.as_secs_f64(),
            trace: record.trace.map(|trace| format!("{trace:016x}")),
        };
        write_line(self.out, &footer)?;
        self.out.flush()
    }

    /// Whether an event concerns a heartbeat or an answer to one.
    fn is_pulse(&mut self, event: &Event<'_, ()>, said: &dyn Said) -> bool {
        let &(Event::Delivered { from, to, .. } | Event::Dropped { from, to, .. } | Event::Damaged { from, to, .. }) =
            event
        else {
            return false;
        };
        match said.pulse() {
            None => false,
            Some(Pulse::Beat(number)) => {
                if matches!(event, Event::Delivered { .. }) {
                    let beats = self.beats.entry((from, to)).or_default();
                    if beats.len() == UNANSWERED_BEATS_MAX {
                        beats.pop_front();
                    }
                    beats.push_back(number);
                }
                true
            }
            Some(Pulse::Answer(number)) => {
                let Some(beats) = self.beats.get_mut(&(to, from)) else { return false };
                let place = beats.iter().position(|&beat| beat == number);
                place.and_then(|place| beats.remove(place)).is_some()
            }
        }
    }

    /// Writes the line of an event. The content of its message is in `self.message`, so no protocol's type is needed.
    fn write(&mut self, now: Time, event: &Event<'_, ()>) -> io::Result<()> {
        let said = &mut self.message;
        let out = Out { out: self.out, n: self.events, now };
        match *event {
            Event::Delivered { from, to, .. } | Event::Dropped { from, to, .. } | Event::Damaged { from, to, .. } => {
                let kind = match event {
                    Event::Delivered { .. } => "deliver",
                    Event::Damaged { .. } => "damage",
                    _ => "drop",
                };
                out.line(kind, Passage { from: replica(from), to: replica(to), message: Message::of(said)? })
            }
            Event::Lost { to } => out.line("lost", Place { to: replica(to) }),
            Event::Timeout { replica: at } => out.line("timeout", Place { to: replica(at) }),
            Event::Requested { from, to, mid, request } => {
                said.push_operation(&NO_ENVELOPE, request);
                let (mid, message) = (mid.to_string(), Message::of(said)?);
                out.line("request", Asked { from: client(from), to: replica(to), mid, message })
            }
            Event::Answered { from, to, mid, leader, response } => {
                said.push_response(&NO_ENVELOPE, response);
                let leader = leader.map_or(Address::BROADCAST, replica);
                let (mid, message) = (mid.to_string(), Message::of(said)?);
                out.line("answer", Told { from: replica(from), to: client(to), mid, leader, message })
            }
            Event::Struck { event: fault, consequence } => {
                let name = self.faults.get(fault).map_or("", |event| event.fault.name());
                let (killed, leader_lost) = (consequence.killed.map(replica), consequence.leader_lost);
                // A kill has its own key, which is older.
                let hit = consequence.hit.iter().filter(|_| killed.is_none()).map(replica).collect();
                out.line("fault", Strike { fault, name, killed, hit, leader_lost })
            }
            Event::Crashed { replica: at, failure } => {
                out.line("crash", Crash { to: replica(at), lost: failure.lost, torn: failure.torn })
            }
            Event::Started { replica: at, wiped } => {
                out.line("start", Start { to: replica(at), wiped: wiped.then_some(true) })
            }
            Event::Ended { replica: at, why } => out.line("exit", End { to: replica(at), why: &why.0 }),
            Event::Synced { replica: at } => out.line("synced", Place { to: replica(at) }),
            Event::Sent { from, .. } => out.line("send", Sending { from: replica(from), message: Message::of(said)? }),
            Event::Printed { replica: at, line } => out.line("print", Printing { from: replica(at), line }),
            Event::Called { replica: at, call } => out.line("call", Calling { from: replica(at), call }),
            Event::Complained { replica: at, what } => out.line("complaint", Complaint { from: replica(at), what }),
        }
    }
}

/// The output for the line of one event.
struct Out<'o> {
    out: &'o mut dyn Write,
    n: u64,
    now: Time,
}

impl Out<'_> {
    fn line(self, kind: &'static str, body: impl Serialize) -> io::Result<()> {
        let (ns, time) = (self.now.nanos(), self.now.as_secs_f64());
        write_line(self.out, &Line { n: self.n, ns, time, kind, body })
    }
}

impl Watcher for TraceWriter<'_> {
    fn event(&mut self, view: &View<'_>, event: &Event<'_, ()>, said: Option<&dyn Said>) {
        self.events += 1;
        let is_left_out = said.is_some_and(|said| !self.heartbeats && self.is_pulse(event, said));
        if self.failure.is_some() || is_left_out {
            return;
        }
        self.message.clear();
        if let Some(said) = said {
            said.write(&NO_ENVELOPE, &mut self.message);
        }
        match self.write(view.now, event) {
            Ok(()) => self.written += 1,
            Err(error) => self.failure = Some(error),
        }
    }
}

impl<'a> Message<'a> {
    /// The content of these bare datagrams.
    fn of(datagrams: &'a Datagrams) -> io::Result<Message<'a>> {
        let mut raw: Vec<&RawValue> = datagrams.iter().map(serde_json::from_slice).collect::<Result<_, _>>()?;
        Ok(match raw.pop() {
            Some(only) if raw.is_empty() => Message::One(only),
            last => Message::Several(raw.into_iter().chain(last).collect()),
        })
    }
}

/// Bare datagrams do not show it.
const NO_ENVELOPE: Envelope<'static> =
    Envelope { src: Address::BROADCAST, dst: Address::BROADCAST, leader: Address::BROADCAST, mid: "" };

fn replica(id: ReplicaId) -> Address {
    Address(u16::from(id.0))
}

fn client(id: ClientId) -> Address {
    Address(id.0)
}

/// Writes a line of JSON.
pub(super) fn write_line(out: &mut dyn Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}
