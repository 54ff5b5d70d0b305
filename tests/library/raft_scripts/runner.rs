//! The commands of a script.

use std::error::Error;

use goldenscript::{ArgumentConsumer, Command, Context};
use seedbed::id::{ClientId, Mid, ReplicaId, ReplicaSet};
use seedbed::machine::Input;
use seedbed::service::{Operation, RequestId, Text, Update};
use seedbed::time::Span;
use seedbed_core::replica::Config;

use super::cluster::{self, Cluster};
use super::network::Filter;
use super::notation::{Result, number, read_message, show_message};

pub struct Runner {
    cluster: Cluster,
    mids: u64,
}

impl Default for Runner {
    /// A script starts with a cluster of its own; until then there is the smallest.
    fn default() -> Runner {
        let cluster = Cluster::start(std::iter::empty(), 3, &cluster::config()).expect("a cluster");
        Runner { cluster, mids: 0 }
    }
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> std::result::Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let listing = self.execute(&command.name, &mut args)?;
        args.reject_next()?;
        Ok(self.cluster.take_output(context.silent) + &listing)
    }
}

impl Runner {
    /// Executes a command; returns what it lists, besides the effects.
    fn execute(&mut self, name: &str, args: &mut ArgumentConsumer<'_>) -> Result<String> {
        let cluster = &mut self.cluster;
        match name {
            "cluster" => {
                let count = number(args.next_pos().ok_or("how many replicas?")?)?;
                *cluster = Cluster::start(ReplicaId::all(count), count, &config(args)?)?;
            }
            "replica" => {
                let count = number(args.take_key("of").ok_or("of how many replicas?")?)?;
                *cluster = Cluster::start(std::iter::once(replica(args)?), count, &config(args)?)?;
            }
            "timeout" => cluster.timeout(replica(args)?)?,
            "wait" | "run" => {
                let span = Span::from_millis(number(args.next_pos().ok_or("how long?")?)?);
                cluster.wait(span, name == "run")?;
            }
            "deliver" => cluster.deliver(&filter(args)?)?,
            "drop" => drop(cluster.wires.network.take(&filter(args)?)?),
            "duplicate" => {
                let packets = cluster.wires.network.take(&filter(args)?)?;
                cluster
                    .wires
                    .network
                    .under_way
                    .extend(packets.iter().flat_map(|packet| [packet.clone(), packet.clone()]));
            }
            "hold" => {
                let packets = cluster.wires.network.take(&filter(args)?)?;
                cluster.wires.network.held.extend(packets);
            }
            "release" => cluster.wires.network.under_way.append(&mut cluster.wires.network.held),
            "settle" => cluster.settle()?,
            "partition" => cluster.wires.network.cut_off = replicas(args)?.into_iter().collect(),
            "heal" => cluster.wires.network.cut_off = ReplicaSet::EMPTY,
            "kill" => replicas(args)?.into_iter().for_each(|id| cluster.wires.network.dead.insert(id)),
            "send" => {
                let (from, to) = (replica(args)?, replica(args)?);
                let answered = cluster.newest_append(to, from).unwrap_or(cluster.now());
                let message = read_message(args, cluster.now(), answered)?;
                cluster.hand(to, [Input::Peer { from, message }])?;
            }
            "get" | "put" => self.request(name, args)?,
            "update" => self.update(args)?,
            "hand_over" => return cluster.hand_over(replica(args)?),
            "elect" => cluster.elect(replica(args)?)?,
            "status" => return cluster.status(&replicas(args)?),
            "under_way" => {
                let show = |packet: &super::network::Packet| {
                    format!("{}→{} {}\n", packet.from.0, packet.to.0, show_message(&packet.message))
                };
                return Ok(cluster.wires.network.under_way.iter().map(show).collect());
            }
            other => return Err(format!("no command is called {other}").into()),
        }
        Ok(String::new())
    }

    fn request(&mut self, name: &str, args: &mut ArgumentConsumer<'_>) -> Result<()> {
        let id = replica(args)?;
        let client = ClientId(args.take_key("client").map_or(Ok(100), number)?);
        let mid: Option<u64> = args.take_key("mid").map(number).transpose()?;
        let mut operations = Vec::new();
        if name == "get" {
            let keys = std::iter::from_fn(|| args.next_pos());
            operations.extend(keys.map(|key| Operation::Get { key: key.into() }));
        } else {
            let puts = std::iter::from_fn(|| args.next_key());
            operations.extend(puts.map(|(key, value)| Operation::Put { key: key.into(), value: value.into() }));
        }
        let first = mid.unwrap_or(self.mids + 1);
        self.mids = self.mids.max(first + operations.len() as u64 - 1);
        let operations = (first..).map(Mid).zip(operations).collect();
        self.cluster.request(id, client, operations)
    }

    fn update(&mut self, args: &mut ArgumentConsumer<'_>) -> Result<()> {
        let id = replica(args)?;
        let from = ClientId(args.take_key("client").map_or(Ok(100), number)?);
        let expected = args.take_key("if").map(Text::from);
        let request = match args.take_key("id").map(|id| id.split_once('/')) {
            None => None,
            Some(Some((client, place))) => Some(RequestId { client: number(client)?, number: number(place)? }),
            Some(None) => return Err("an id is client/number".into()),
        };
        let (key, value) = args.next_key().ok_or("update what?")?;
        let update = Update { key: key.into(), value: value.into(), expected, request };
        self.mids += 1;
        self.cluster.request(id, from, vec![(Mid(self.mids), Operation::Update(update.into()))])
    }
}

fn replica(args: &mut ArgumentConsumer<'_>) -> Result<ReplicaId> {
    number(args.next_pos().ok_or("which replica?")?).map(ReplicaId)
}

fn replicas(args: &mut ArgumentConsumer<'_>) -> Result<Vec<ReplicaId>> {
    std::iter::from_fn(|| args.next_pos()).map(|id| number(id).map(ReplicaId)).collect()
}

fn filter(args: &mut ArgumentConsumer<'_>) -> Result<Filter> {
    let mut party = |key: &str| args.take_key(key).map(|id| number(id).map(ReplicaId)).transpose();
    let (from, to) = (party("from")?, party("to")?);
    let kind = args.take_key("kind").map(str::to_string);
    let first = match args.next_pos() {
        None => false,
        Some("first") => true,
        Some(other) => return Err(format!("not understood: {other}").into()),
    };
    Ok(Filter { from, to, kind, first })
}

fn config(args: &mut ArgumentConsumer<'_>) -> Result<Config> {
    let mut config = cluster::config();
    while let Some((key, value)) = args.next_key() {
        let millis = || number(value).map(Span::from_millis);
        match key {
            "heartbeat" => config.raft.heartbeat = millis()?,
            "retry_min" => config.raft.retry_min = millis()?,
            "suspect_after" => config.raft.suspect_after = number(value)?,
            "batch_bytes_max" => config.raft.batch_bytes_max = number(value)?,
            "inflight_max" => config.raft.inflight_max = number(value)?,
            "held_requests_max" => config.held_requests_max = number(value)?,
            "held_time_max" => config.held_time_max = millis()?,
            "probe_after" => config.probe_after = millis()?,
            "log_bytes_max" => config.log_bytes_max = number(value)?,
            "remembered_requests" => config.remembered_requests = number(value)?,
            other => return Err(format!("no parameter is called {other}").into()),
        }
    }
    Ok(config)
}
