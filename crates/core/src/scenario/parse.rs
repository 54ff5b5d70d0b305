//! From a file's text to a valid [`Scenario`].

use std::path::Path;

use super::error::ScenarioError;
use super::reader::{Field, Json, Object, Source, Variant, read};
use super::{Benchmarks, Delay, LinkDelay, Network, Order, Scenario, Tests};
use super::{events, operations, process, workload};
use crate::chaos::{ConnectivityMatrix, Loss, Rulebook};
use crate::id::{COURSE_REPLICAS_MAX, REPLICAS_MAX, REPLICAS_MIN, ReplicaId};
use crate::printable::printable;
use crate::time::{Span, Time};
use crate::workload::{Kind, ScriptedOperation};

/// The shortest `lifetime`, in seconds. The handout's is 5, but a shrunk scenario may be shorter.
const LIFETIME_SECS_MIN: f64 = 0.001;

/// The longest duration of any kind, in seconds: eleven days, so that no sum of durations gets near a `Span`'s limit.
const DURATION_SECS_MAX: f64 = 1_000_000.0;

/// `end_wait` of a file that does not set it (the handout's).
pub(super) const END_WAIT_SECS_DEFAULT: f64 = 2.0;

/// The most requests, which bounds the length of a history.
const REQUESTS_MAX: u64 = 10_000_000;

/// `max_packets` of a file that does not set it, and its upper limit, both from the course's runner.
const PACKETS_DEFAULT: u64 = 20_000;
pub(super) const PACKETS_MAX: u64 = 900_000;

/// The course's two figures are too small for more requests than its own files have. If this many messages for each
/// request are more, that is the default and the limit.
const PACKETS_PER_REQUEST: u64 = 40;

/// The most requests at one time.
const BURST_MAX: u64 = 1_000;

/// The four limits of `tests` in a file that does not set them (the handout's).
pub(super) const GET_FAIL_DEFAULT: f64 = 0.5;
pub(super) const PUT_FAIL_DEFAULT: f64 = 0.5;
pub(super) const GET_GENERATION_FAIL_DEFAULT: f64 = 0.1;
pub(super) const APPENDS_BATCHED_DEFAULT: f64 = 0.5;

/// Delays, in milliseconds. The shortest is a microsecond: time passes whenever a message travels.
const DELAY_MS_MIN: f64 = 0.001;
const DELAY_MS_MAX: f64 = 60_000.0;

pub(crate) const TOP_KEYS: [&str; 22] = [
    "rules",
    "lifetime",
    "replicas",
    "requests",
    "burst",
    "mix",
    "wait",
    "start_wait",
    "end_wait",
    "seed",
    "drops",
    "matrix",
    "max_packets",
    "network",
    "disk",
    "process",
    "workload",
    "clients",
    "events",
    "losses",
    "operations",
    "tests",
];

const TESTS_KEYS: [&str; 5] = [
    "maximum_get_fail_fraction",
    "maximum_put_fail_fraction",
    "maximum_get_generation_fail_fraction",
    "maximum_appends_batched_fraction",
    "benchmarks",
];

/// What files without `tests`, such as the course's of before 2019, lack.
const TESTS_EXAMPLE: &str = "the thresholds of the four benchmarks, as in {\"benchmarks\": {\"total_msgs\": [2500, 4000, 5000], \
                             \"failures\": [0, 1, 5], \"duplicates\": [0, 2, 5], \"median_latency\": [0.001, 0.005, 0.05]}}";

const BENCHMARKS_EXAMPLE: &str = "four lists of thresholds, as in {\"total_msgs\": [2500, 4000, 5000], \"failures\": [0, 1, 5], \
                                  \"duplicates\": [0, 2, 5], \"median_latency\": [0.001, 0.005, 0.05]}";

/// Keys of `tests` that several of the course's own files carry at the top.
const DEEPER_KEYS: [&str; 5] = [
    "tests.maximum_get_fail_fraction",
    "tests.maximum_put_fail_fraction",
    "tests.maximum_get_generation_fail_fraction",
    "tests.maximum_appends_batched_fraction",
    "tests.benchmarks",
];

/// A scenario, and warnings about its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The scenario.
    pub scenario: Scenario,
    /// One line for each key that is ignored because it means nothing. It names the file, the key and, if there is a
    /// similar one, the key that may be meant.
    pub warnings: Vec<String>,
}

impl Scenario {
    /// Reads a scenario file. The scenario is named after it.
    ///
    /// # Errors
    /// If the file cannot be read, is not JSON in UTF-8, or does not hold a valid scenario.
    pub fn load(path: &Path) -> Result<Loaded, ScenarioError> {
        let file = printable(&path.display().to_string());
        let text = read(path, &file)?;
        let name = path.file_stem().map(|stem| printable(&stem.to_string_lossy())).unwrap_or_default();
        Scenario::parse(&name, &file, &text)
    }

    /// Reads a scenario from a string. In messages `file` names its origin.
    ///
    /// # Errors
    /// If the text is not JSON or does not hold a valid scenario.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Loaded, ScenarioError> {
        let source = Source::new(file);
        let json = source.parse(text)?;
        if matches!(&json, Json::List(rows) if matches!(rows.first(), Some(Json::List(_)))) {
            let what = "a list of lists, perhaps a connectivity matrix, which `--matrix` takes; allowed is a scenario";
            return Err(ScenarioError::OtherKind { file: source.file(), what });
        }
        let mut top = source.top(&json)?;
        let what = match (top.holds("seedbed_repro"), top.holds("seedbed_sweep")) {
            (true, _) => Some("a repro file, which `seedbed replay` takes"),
            (_, true) => Some("a sweep, which `seedbed sweep` takes, alone"),
            _ => None,
        };
        let scenario = Scenario::from_object(name, &mut top).map_err(|error| match (error, what) {
            // A list of a scenario's missing keys would not help then.
            (ScenarioError::Missing { file, .. }, Some(what)) => ScenarioError::OtherKind { file, what },
            (other, _) => other,
        })?;
        Ok(Loaded { scenario, warnings: source.into_warnings() })
    }

    /// Reads a scenario from an object, which may be a whole file or any part of one.
    pub(crate) fn from_object(name: &str, top: &mut Object<'_>) -> Result<Scenario, ScenarioError> {
        top.expect(&TOP_KEYS, &DEEPER_KEYS);
        let mut frame = Frame::read(top)?;
        let operations = top.get("operations").optional(|field| operations::operations(field, &frame))?;
        let requests = requests(top, operations.as_ref().map(|operations| operations.len() as u64))?;
        let kind = kind(top, operations.as_deref())?;
        let Wires { network, links, duplicate, damage } =
            top.get("network").optional(|field| wires(field, frame.replicas))?.unwrap_or_default();
        frame.has_links = matches!(network, Network::Links { .. });
        let scenario = Scenario {
            name: name.to_owned(),
            rules: frame.rules,
            replicas: frame.replicas,
            wait: frame.wait,
            lifetime: Span::from_secs_f64(frame.lifetime_secs),
            end_wait: Span::from_secs_f64(end_wait(top)?),
            requests,
            burst: burst(top)?,
            mix: fraction(top, "mix", workload::mix_default(kind.as_ref().unwrap_or(&Kind::COURSE)))?,
            seed: top.get("seed").optional(|field| field.integer(0..=u64::MAX, &whole_number(0, u64::MAX)))?,
            matrix: connectivity(top, frame.replicas)?,
            network,
            links,
            duplicate,
            damage,
            disk: top.get("disk").optional(disk)?,
            process: top.get("process").optional(process::process)?.unwrap_or_default(),
            kind,
            patience: top.get("clients").optional(workload::patience)?,
            operations: None,
            max_packets: max_packets(top, requests, frame.replicas)?,
            events: events::events(&top.get("events"), &frame)?,
            losses: losses(top, frame.replicas)?,
            tests: tests(&top.get("tests"))?,
        };
        Ok(match operations {
            Some(operations) => scenario.with_operations(operations),
            None => scenario,
        })
    }
}

/// Values on which many other keys depend.
pub(super) struct Frame {
    pub replicas: usize,
    rules: Rulebook,
    wait: Option<Span>,
    /// When clients may send their first request.
    pub start: Time,
    /// Whether each link has a delay of its own.
    pub has_links: bool,
    /// `lifetime` as in the file, for messages.
    lifetime_secs: f64,
    lifetime_path: String,
}

impl Frame {
    fn read(top: &Object<'_>) -> Result<Frame, ScenarioError> {
        let (rules, wait) = (rules(top)?, wait(top)?);
        Ok(Frame {
            rules,
            wait,
            start: Time::ZERO + wait.unwrap_or(rules.default_wait()),
            lifetime_secs: seconds(&top.get("lifetime"), LIFETIME_SECS_MIN)?,
            lifetime_path: top.path_of("lifetime"),
            replicas: replicas(top)?,
            has_links: false,
        })
    }

    /// The time of an event while clients send requests, counted from the end of `wait`.
    pub(super) fn time(&self, object: &Object<'_>) -> Result<Span, ScenarioError> {
        let Frame { lifetime_secs, lifetime_path, .. } = self;
        let allowed = format!("a number of seconds from 0 to {lifetime_secs} (`{lifetime_path}`)");
        Ok(Span::from_secs_f64(object.get("time").number(0.0..=*lifetime_secs, &allowed)?))
    }
}

/// How many requests there are, given the number of listed operations, if there is a list.
fn requests(top: &Object<'_>, operations: Option<u64>) -> Result<u64, ScenarioError> {
    let read = |field: &Field<'_>| field.integer(0..=REQUESTS_MAX, &whole_number(0, REQUESTS_MAX));
    let Some(operations) = operations else {
        return read(&top.get("requests"));
    };
    if top.get("requests").optional(read)?.is_some_and(|requests| requests != operations) {
        return Err(top.conflict("operations", "requests", "one of them, or the number of operations as requests"));
    }
    match ["burst", "mix"].into_iter().find(|key| top.has(key)) {
        Some(key) => Err(top.conflict("operations", key, "one of them")),
        None => Ok(operations),
    }
}

/// What the clients use, if the file says.
fn kind(top: &Object<'_>, operations: Option<&[ScriptedOperation]>) -> Result<Option<Kind>, ScenarioError> {
    match operations {
        Some(operations) => workload::scripted(top, operations).map(Some),
        None => top.get("workload").optional(workload::drawn),
    }
}

fn burst(top: &Object<'_>) -> Result<u64, ScenarioError> {
    Ok(top.get("burst").optional(|field| field.integer(1..=BURST_MAX, &whole_number(1, BURST_MAX)))?.unwrap_or(1))
}

fn replicas(top: &Object<'_>) -> Result<usize, ScenarioError> {
    let (min, max) = (REPLICAS_MIN as u64, REPLICAS_MAX as u64);
    Ok(top.get("replicas").integer(min..=max, &whole_number(min, max))? as usize)
}

fn rules(top: &Object<'_>) -> Result<Rulebook, ScenarioError> {
    let read = |field: &Field<'_>| {
        let word = field.word(&Rulebook::ALL.map(Rulebook::name))?;
        Ok(word.parse().expect("only names of rules are read"))
    };
    Ok(top.get("rules").optional(read)?.unwrap_or_default())
}

/// `wait` has two names: the handout's and, in the course's runner, `start_wait`.
fn wait(top: &Object<'_>) -> Result<Option<Span>, ScenarioError> {
    let read = |key| top.get(key).optional(|field| seconds(field, 0.0));
    let (wait, start_wait) = (read("wait")?, read("start_wait")?);
    if wait.zip(start_wait).is_some_and(|(wait, start_wait)| wait != start_wait) {
        return Err(top.conflict("wait", "start_wait", "one of them, or the same value in both"));
    }
    Ok(wait.or(start_wait).map(Span::from_secs_f64))
}

fn end_wait(top: &Object<'_>) -> Result<f64, ScenarioError> {
    Ok(top.get("end_wait").optional(|field| seconds(field, 0.0))?.unwrap_or(END_WAIT_SECS_DEFAULT))
}

fn max_packets(top: &Object<'_>, requests: u64, replicas: usize) -> Result<u64, ScenarioError> {
    let most = packets_max(requests, replicas);
    let allowed = format!("a whole number from {requests} (`{}`) to {most}", top.path_of("requests"));
    let given = top.get("max_packets").optional(|field| field.integer(requests..=most, &allowed))?;
    Ok(given.unwrap_or(packets_default(requests, replicas)))
}

/// `max_packets` of a file that does not set it.
pub(crate) fn packets_default(requests: u64, replicas: usize) -> u64 {
    for_cluster(PACKETS_DEFAULT.max(requests * PACKETS_PER_REQUEST), replicas)
}

/// The largest `max_packets`.
pub(crate) fn packets_max(requests: u64, replicas: usize) -> u64 {
    for_cluster(PACKETS_MAX.max(requests * PACKETS_PER_REQUEST), replicas)
}

/// Scales a number of messages that suffices for the course's largest cluster to larger ones: if all replicas campaign,
/// each asks all others.
fn for_cluster(messages: u64, replicas: usize) -> u64 {
    let squared = |replicas: usize| (replicas * replicas) as u64;
    messages * squared(replicas.max(COURSE_REPLICAS_MAX)) / squared(COURSE_REPLICAS_MAX)
}

fn losses(top: &Object<'_>, replicas: usize) -> Result<Vec<Loss>, ScenarioError> {
    Ok(top.get("losses").optional(|field| operations::losses(field, replicas))?.unwrap_or_default())
}

fn connectivity(top: &Object<'_>, replicas: usize) -> Result<ConnectivityMatrix, ScenarioError> {
    if top.has("matrix") && top.has("drops") {
        return Err(top.conflict("matrix", "drops", "one of them"));
    }
    if let Some(given) = top.get("matrix").optional(|field| field.matrix(replicas))? {
        return Ok(given);
    }
    let drops = fraction(top, "drops", 0.0)?;
    ConnectivityMatrix::uniform(replicas, drops).map_err(|error| top.get("drops").invalid(&error.to_string()))
}

/// The network's keys of a file.
#[derive(Default)]
struct Wires {
    network: Network,
    links: Vec<LinkDelay>,
    duplicate: f64,
    damage: f64,
}

fn wires(field: &Field<'_>, replicas: usize) -> Result<Wires, ScenarioError> {
    const MODELS: [Variant; 2] = [
        Variant { name: "course", keys: &["service", "duplicate", "damage"] },
        Variant { name: "links", keys: &["delay", "order", "links", "duplicate", "damage"] },
    ];
    let mut object = field.object()?;
    let model = object.variant("model", &[], &MODELS)?;
    let (duplicate, damage) = (fraction(&object, "duplicate", 0.0)?, fraction(&object, "damage", 0.0)?);
    if model == "course" {
        let service = object.get("service").optional(delay)?;
        let network = service.map_or_else(Network::default, |service| Network::Course { service });
        return Ok(Wires { network, links: Vec::new(), duplicate, damage });
    }
    let order = match object.get("order").optional(|order| order.word(&["any", "fifo"]))? {
        Some("fifo") => Order::Fifo,
        _ => Order::Any,
    };
    let links = object.get("links").optional(|field| links(field, replicas))?.unwrap_or_default();
    Ok(Wires { network: Network::Links { delay: delay(&object.get("delay"))?, order }, links, duplicate, damage })
}

/// Links with delays of their own, each at most once.
fn links(field: &Field<'_>, replicas: usize) -> Result<Vec<LinkDelay>, ScenarioError> {
    let mut links = Vec::<LinkDelay>::new();
    for item in field.list(None, "a list of links")? {
        let mut object = item.object()?;
        object.only(&["from", "to", "delay"])?;
        let (from, to) = link_between(&object, replicas)?;
        if links.iter().any(|link| (link.from, link.to) == (from, to)) {
            return Err(item.invalid("a link that does not stand in the list already"));
        }
        links.push(LinkDelay { from, to, delay: delay(&object.get("delay"))? });
    }
    Ok(links)
}

/// The two ends of a link, `from` and `to`.
pub(super) fn link_between(object: &Object<'_>, replicas: usize) -> Result<(ReplicaId, ReplicaId), ScenarioError> {
    let (from, to) = (object.get("from").replica(replicas)?, object.get("to"));
    match to.replica(replicas)? {
        same if same == from => Err(to.invalid("another replica than `from`")),
        other => Ok((from, other)),
    }
}

/// How long a sync takes.
fn disk(field: &Field<'_>) -> Result<Delay, ScenarioError> {
    let mut object = field.object_like(r#"an object with the delay `sync_ms`"#)?;
    object.only(&["sync_ms"])?;
    delay(&object.get("sync_ms"))
}

pub(super) fn delay(field: &Field<'_>) -> Result<Delay, ScenarioError> {
    const KINDS: [Variant; 4] = [
        Variant { name: "constant", keys: &["ms"] },
        Variant { name: "uniform", keys: &["min_ms", "max_ms"] },
        Variant { name: "exponential", keys: &["floor_ms", "mean_ms"] },
        Variant { name: "heavy_tail", keys: &["floor_ms", "median_ms"] },
    ];
    let mut object = field.object_like(r#"a delay, as in {"kind": "constant", "ms": 5}"#)?;
    match object.variant("kind", &[], &KINDS)? {
        "constant" => Ok(Delay::Constant(millis(&object, "ms", DELAY_MS_MIN, "")?)),
        "uniform" => {
            let min = millis(&object, "min_ms", DELAY_MS_MIN, "")?;
            let max = millis(&object, "max_ms", min.nanos() as f64 / 1e6, " (`min_ms`)")?;
            Ok(Delay::Uniform { min, max })
        }
        kind => {
            let floor = millis(&object, "floor_ms", DELAY_MS_MIN, "")?;
            Ok(match kind {
                "exponential" => Delay::Exponential { floor, mean: millis(&object, "mean_ms", 0.0, "")? },
                _ => Delay::HeavyTail { floor, median: millis(&object, "median_ms", 0.0, "")? },
            })
        }
    }
}

/// A duration that the file gives in milliseconds.
pub(super) fn millis(object: &Object<'_>, key: &'static str, min: f64, note: &str) -> Result<Span, ScenarioError> {
    let allowed = format!("a number of milliseconds from {min}{note} to {DELAY_MS_MAX}");
    let ms = object.get(key).number(min..=DELAY_MS_MAX, &allowed)?;
    Ok(Span((ms * 1e6).round() as u64))
}

fn tests(field: &Field<'_>) -> Result<Tests, ScenarioError> {
    let mut object = field.object_like(TESTS_EXAMPLE)?;
    object.expect(&TESTS_KEYS, &[]);
    Ok(Tests {
        maximum_get_fail_fraction: fraction(&object, "maximum_get_fail_fraction", GET_FAIL_DEFAULT)?,
        maximum_put_fail_fraction: fraction(&object, "maximum_put_fail_fraction", PUT_FAIL_DEFAULT)?,
        maximum_get_generation_fail_fraction: fraction(
            &object,
            "maximum_get_generation_fail_fraction",
            GET_GENERATION_FAIL_DEFAULT,
        )?,
        maximum_appends_batched_fraction: fraction(
            &object,
            "maximum_appends_batched_fraction",
            APPENDS_BATCHED_DEFAULT,
        )?,
        benchmarks: benchmarks(&object.get("benchmarks"))?,
    })
}

fn benchmarks(field: &Field<'_>) -> Result<Benchmarks, ScenarioError> {
    let mut object = field.object_like(BENCHMARKS_EXAMPLE)?;
    object.expect(&["total_msgs", "failures", "duplicates", "median_latency"], &[]);
    Ok(Benchmarks {
        total_msgs: thresholds(&object.get("total_msgs"))?,
        failures: thresholds(&object.get("failures"))?,
        duplicates: thresholds(&object.get("duplicates"))?,
        median_latency: thresholds(&object.get("median_latency"))?,
    })
}

/// Three numbers for bonus, full and partial credit.
fn thresholds(field: &Field<'_>) -> Result<[f64; 3], ScenarioError> {
    const ALLOWED: &str = "a list of three numbers from 0 up, none less than the one before";
    let mut thresholds = [0.0; 3];
    for (threshold, item) in thresholds.iter_mut().zip(field.list(Some(3), ALLOWED)?) {
        *threshold = item.number(0.0..=f64::MAX, "a number from 0 up")?;
    }
    if thresholds.is_sorted() { Ok(thresholds) } else { Err(field.invalid(ALLOWED)) }
}

fn fraction(object: &Object<'_>, key: &'static str, default: f64) -> Result<f64, ScenarioError> {
    Ok(object.get(key).optional(Field::fraction)?.unwrap_or(default))
}

fn seconds(field: &Field<'_>, min: f64) -> Result<f64, ScenarioError> {
    field.number(min..=DURATION_SECS_MAX, &format!("a number of seconds from {min} to {DURATION_SECS_MAX}"))
}

pub(super) fn whole_number(min: u64, max: u64) -> String {
    format!("a whole number from {min} to {max}")
}
