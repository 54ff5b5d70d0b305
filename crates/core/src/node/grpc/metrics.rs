//! The counters of a server, and their export to Prometheus.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::{DiskReport, Report, Shared};
use crate::consensus::Role;
use crate::id::ReplicaId;
use crate::time::Span;

/// Messages between this server and others.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    /// Keyed by the other server and the message's kind.
    links: BTreeMap<(ReplicaId, &'static str), Passed>,
    /// Messages to others that found no stream or no room.
    pub unsent: u64,
    /// Malformed messages from others.
    pub malformed: u64,
}

/// Messages of one kind between this server and another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Sent to the other, those that found no stream or no room included.
    pub sent: u64,
    /// Received from the other, dropped ones included.
    pub received: u64,
    /// Received, but dropped by the chaos monkey.
    pub dropped: u64,
}

impl Traffic {
    pub fn note_sent(&mut self, to: ReplicaId, kind: &'static str) {
        self.links.entry((to, kind)).or_default().sent += 1;
    }

    pub fn note_received(&mut self, from: ReplicaId, kind: &'static str, dropped: bool) {
        let passed = self.links.entry((from, kind)).or_default();
        passed.received += 1;
        passed.dropped += u64::from(dropped);
    }

    /// All of them, by server and kind.
    pub fn links(&self) -> impl Iterator<Item = (ReplicaId, &'static str, Passed)> {
        self.links.iter().map(|(&(other, kind), &passed)| (other, kind, passed))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    peer: u32,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerLabels {
    peer: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabels {
    role: &'static str,
}

/// From 50 microseconds to 13 seconds, each twice the one before.
fn latency_histogram() -> Histogram {
    Histogram::new(exponential_buckets(50e-6, 2.0, 19))
}

/// All metrics for Prometheus. Requests are counted as they are answered; everything else is read from the server when
/// Prometheus asks.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    latencies: Family<MethodLabels, Histogram, fn() -> Histogram>,
    role: Family<RoleLabels, Gauge>,
    connected: Family<PeerLabels, Gauge>,
    sent: Family<MessageLabels, Counter>,
    received: Family<MessageLabels, Counter>,
    dropped: Family<MessageLabels, Counter>,
    unsent: Counter,
    ignored: Counter,
    term: Gauge<u64, AtomicU64>,
    leader: Gauge,
    last_index: Gauge<u64, AtomicU64>,
    commit_index: Gauge<u64, AtomicU64>,
    applied: Gauge<u64, AtomicU64>,
    keys: Gauge<u64, AtomicU64>,
    open: Gauge<u64, AtomicU64>,
    disk: DiskMetrics,
}

/// Those of the disk, all 0 without one.
#[derive(Default)]
struct DiskMetrics {
    file: Gauge<u64, AtomicU64>,
    written: Counter,
    syncs: Counter,
    snapshots: Counter,
}

impl DiskMetrics {
    fn register(&self, registry: &mut Registry) {
        let help = "How long the file of the data is; 0 without --data";
        registry.register_with_unit("disk_file", help, Unit::Bytes, self.file.clone());
        registry.register_with_unit("disk_written", "Written to that file", Unit::Bytes, self.written.clone());
        registry.register("disk_syncs", "How often that file was synced", self.syncs.clone());
        registry.register("snapshots", "Snapshots of the store that were written", self.snapshots.clone());
    }

    fn update(&self, disk: &DiskReport) {
        self.file.set(disk.usage.file_bytes);
        raise(&self.written, disk.usage.bytes_written);
        raise(&self.syncs, disk.usage.syncs);
        raise(&self.snapshots, disk.snapshots);
    }
}

impl Metrics {
    pub fn new() -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("seedbed"),
            requests: Family::default(),
            latencies: Family::new_with_constructor(latency_histogram as fn() -> Histogram),
            role: Family::default(),
            connected: Family::default(),
            sent: Family::default(),
            received: Family::default(),
            dropped: Family::default(),
            unsent: Counter::default(),
            ignored: Counter::default(),
            term: Gauge::default(),
            leader: Gauge::default(),
            last_index: Gauge::default(),
            commit_index: Gauge::default(),
            applied: Gauge::default(),
            keys: Gauge::default(),
            open: Gauge::default(),
            disk: DiskMetrics::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("requests", "Requests of clients, by method and result", metrics.requests.clone());
        let help = "Time from a request's arrival to its answer";
        registry.register_with_unit("request_latency", help, Unit::Seconds, metrics.latencies.clone());
        registry.register("role", "1 for the role that the server has, 0 for the others", metrics.role.clone());
        registry.register("peer_connected", "Whether there is a stream to a peer", metrics.connected.clone());
        registry.register("messages_sent", "Messages to peers", metrics.sent.clone());
        let help = "Messages that came from peers, those that were dropped included";
        registry.register("messages_received", help, metrics.received.clone());
        let help = "Messages from peers that the chaos monkey dropped";
        registry.register("messages_dropped", help, metrics.dropped.clone());
        let help = "Messages to peers that found no stream or no room";
        registry.register("messages_unsent", help, metrics.unsent.clone());
        registry.register("messages_ignored", "Messages that could not be right", metrics.ignored.clone());
        registry.register("term", "The term", metrics.term.clone());
        let help = "Who leads, as far as the server knows; -1 if it knows nobody";
        registry.register("leader", help, metrics.leader.clone());
        registry.register("last_index", "The index of the log's last entry", metrics.last_index.clone());
        registry.register("commit_index", "All entries up to here are committed", metrics.commit_index.clone());
        registry.register("applied_index", "All entries up to here are applied", metrics.applied.clone());
        registry.register("keys", "Keys that have a value", metrics.keys.clone());
        registry.register("requests_open", "Requests that have no answer yet", metrics.open.clone());
        metrics.disk.register(registry);
        metrics
    }

    /// Counts a request that has been answered.
    pub fn note_request(&self, method: &'static str, result: &'static str, latency: Span) {
        self.requests.get_or_create(&RequestLabels { method, result }).inc();
        self.latencies.get_or_create(&MethodLabels { method }).observe(latency.as_secs_f64());
    }

    /// Reads the state of the server.
    fn update(&self, shared: &Shared, report: &Report) {
        for role in ["joining", "follower", "pre-candidate", "candidate", "leader"] {
            let has = report.role.map_or("joining", Role::name) == role;
            self.role.get_or_create(&RoleLabels { role }).set(i64::from(has));
        }
        for (peer, link) in ReplicaId::all(shared.links.len()).zip(&shared.links) {
            if peer != shared.id {
                self.connected.get_or_create(&PeerLabels { peer: peer.0.into() }).set(i64::from(link.is_up()));
            }
        }
        let traffic = shared.traffic().clone();
        for (peer, kind, passed) in traffic.links() {
            let labels = MessageLabels { peer: peer.0.into(), kind };
            raise(&self.sent.get_or_create(&labels), passed.sent);
            raise(&self.received.get_or_create(&labels), passed.received);
            raise(&self.dropped.get_or_create(&labels), passed.dropped);
        }
        raise(&self.unsent, traffic.unsent);
        raise(&self.ignored, traffic.malformed + report.ignored);
        self.leader.set(shared.leader().map_or(-1, |leader| leader.0.into()));
        self.term.set(report.term);
        self.last_index.set(report.last_index);
        self.commit_index.set(report.commit_index);
        self.applied.set(report.applied);
        self.keys.set(report.keys);
        self.open.set(report.open);
        if let Some(disk) = &report.disk {
            self.disk.update(disk);
        }
    }

    /// All metrics in the format of Prometheus.
    fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("memory takes any text");
        text
    }
}

/// Brings a counter up to a number that is counted elsewhere.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

/// Answers Prometheus as long as the server lives.
pub(super) async fn serve(listener: TcpListener, metrics: Arc<Metrics>, shared: Arc<Shared>) {
    let listener = match listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener)) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("--metrics: {error}"),
    };
    let answer = move || {
        let (metrics, shared) = (Arc::clone(&metrics), Arc::clone(&shared));
        async move {
            if let Some(report) = shared.report().await {
                metrics.update(&shared, &report);
            }
            ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics.text())
                .into_response()
        }
    };
    if let Err(error) = axum::serve(listener, axum::Router::new().route("/metrics", get(answer))).await {
        tracing::error!("--metrics: {error}");
    }
}
