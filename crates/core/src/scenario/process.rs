//! How long what a simulated program does takes: the file's `process`.

use serde::Serialize;

use super::error::ScenarioError;
use super::reader::{Field, Object};
use super::write::{Plain, unless};
use crate::time::Span;

/// The most microseconds of each.
const MICROS_MAX: f64 = 1_000_000.0;

/// How much virtual time programs spend on what they do. A replica has one processor, which its threads share. Computing
/// costs nothing, because real processor time cannot be repeated; so a run says nothing of how fast a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessModel {
    /// A replica that had nothing to do needs this long before it does something: the least and the most, drawn evenly.
    pub wake: (Span, Span),
    /// Sending a datagram.
    pub send: Span,
    /// Receiving one.
    pub receive: Span,
    /// Asking what is ready, as by `select`.
    pub poll: Span,
    /// Reading a clock.
    pub clock_read: Span,
    /// Any system call that the simulation sees, beside that.
    pub call: Span,
    /// Which of a replica's threads runs next, and for how long, is drawn from the seed. If not, they take turns.
    pub drawn_turns: bool,
}

impl Default for ProcessModel {
    fn default() -> ProcessModel {
        ProcessModel {
            wake: (Span::from_micros(10), Span::from_micros(40)),
            send: Span::from_micros(3),
            receive: Span::from_micros(2),
            poll: Span::from_micros(1),
            clock_read: Span(50),
            call: Span::ZERO,
            drawn_turns: false,
        }
    }
}

const KEYS: [&str; 8] =
    ["wake_min_us", "wake_max_us", "send_us", "receive_us", "poll_us", "clock_read_us", "call_us", "turns"];

pub(super) fn process(field: &Field<'_>) -> Result<ProcessModel, ScenarioError> {
    let mut object = field.object_like(r#"an object with durations, as in {"send_us": 3}"#)?;
    object.only(&KEYS)?;
    let default = ProcessModel::default();
    let wake_min = micros(&object, "wake_min_us", 0.0, default.wake.0)?;
    let least = in_micros(wake_min);
    let wake_max = micros(&object, "wake_max_us", least, default.wake.1.max(wake_min))?;
    let turns = object.get("turns").optional(|field| field.word(&["fifo", "drawn"]))?;
    Ok(ProcessModel {
        wake: (wake_min, wake_max),
        send: micros(&object, "send_us", 0.0, default.send)?,
        receive: micros(&object, "receive_us", 0.0, default.receive)?,
        poll: micros(&object, "poll_us", 0.0, default.poll)?,
        clock_read: micros(&object, "clock_read_us", 0.0, default.clock_read)?,
        call: micros(&object, "call_us", 0.0, default.call)?,
        drawn_turns: turns == Some("drawn"),
    })
}

fn micros(object: &Object<'_>, key: &'static str, least: f64, default: Span) -> Result<Span, ScenarioError> {
    let allowed = format!("a number of microseconds from {least} to {MICROS_MAX}");
    let given = object.get(key).optional(|field| field.number(least..=MICROS_MAX, &allowed))?;
    Ok(given.map_or(default, |micros| Span((micros * 1e3).round() as u64)))
}

fn in_micros(span: Span) -> f64 {
    span.nanos() as f64 / 1e3
}

/// What of it differs from the default.
#[derive(Serialize)]
pub(super) struct ProcessFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    wake_min_us: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wake_max_us: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_us: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receive_us: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    poll_us: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_read_us: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_us: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    turns: Option<&'static str>,
}

impl ProcessFile {
    /// None if nothing differs.
    pub fn unless_default(model: &ProcessModel) -> Option<ProcessFile> {
        let default = ProcessModel::default();
        let differs = |own: Span, default: Span| unless(default, own).map(|own| Plain(in_micros(own)));
        (*model != default).then(|| ProcessFile {
            wake_min_us: differs(model.wake.0, default.wake.0),
            wake_max_us: differs(model.wake.1, default.wake.1),
            send_us: differs(model.send, default.send),
            receive_us: differs(model.receive, default.receive),
            poll_us: differs(model.poll, default.poll),
            clock_read_us: differs(model.clock_read, default.clock_read),
            call_us: differs(model.call, default.call),
            turns: model.drawn_turns.then_some("drawn"),
        })
    }
}
