//! The chaos monkeys of all servers that live, which are given the same matrix.

use std::time::Duration;

use seedbed::chaos::ConnectivityMatrix;
use seedbed::rng::Stream;
use seedbed_core::client::{Chaos, Each, Error, Servers, status};
use seedbed_core::rpc::ServerAddress;
use seedbed_core::rpc::proto::admin::ServerStatus;

use super::links::{self, Counters};
use super::{SERVERS, Soak};
use crate::cluster::{millis, statuses};

/// How long a server may take to take in a matrix or to say how it is doing: longer than any is stopped.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is asked. A connection may break while the server at its other end is stopped.
const TRIES: usize = 5;

pub struct Monkeys<'a> {
    pub soak: &'a Soak,
    /// Connections of their own: clients shall not be in the way.
    servers: Servers,
    matrix: [[f32; SERVERS]; SERVERS],
}

impl Monkeys<'_> {
    pub fn new(soak: &Soak) -> Monkeys<'_> {
        let servers = Servers::new(&soak.cluster.addresses, None).expect("servers");
        Monkeys { soak, servers, matrix: [[0.0; SERVERS]; SERVERS] }
    }

    /// What all of them have.
    pub fn matrix(&self) -> &[[f32; SERVERS]; SERVERS] {
        &self.matrix
    }

    /// Gives all of them another matrix.
    pub async fn upload(&mut self, mut value: impl FnMut(usize, usize) -> f32) {
        for (from, row) in self.matrix.iter_mut().enumerate() {
            row.iter_mut().enumerate().for_each(|(to, place)| *place = value(from, to));
        }
        let rows: Vec<Vec<f64>> = self.matrix.iter().map(|row| row.iter().copied().map(f64::from).collect()).collect();
        let matrix = ConnectivityMatrix::from_rows(SERVERS, &rows).expect("a matrix");
        self.insist(async |chaos| chaos.upload(&matrix).await).await;
    }

    /// Changes one value of all of them.
    pub async fn set(&mut self, from: usize, to: usize, value: f32) {
        self.matrix[from][to] = value;
        self.insist(async |chaos| chaos.set(from, to, f64::from(value)).await).await;
    }

    /// Has all servers that live do something, which does no harm if it is done twice.
    async fn insist(&self, ask: impl AsyncFn(Chaos) -> Result<Each<()>, Error>) {
        let living = self.soak.living().into_iter();
        let mut left: Vec<ServerAddress> = living.map(|server| self.soak.cluster.addresses[server].clone()).collect();
        let mut complaints = Vec::new();
        for _ in 0..TRIES {
            let servers = self.servers.clone().with_addresses(&left).expect("servers");
            let answers = ask(Chaos::new(servers, PATIENCE, None).expect("a client")).await.expect("addresses");
            complaints = answers.into_iter().filter(|(_, answer)| answer.is_err()).collect();
            left = complaints.iter().map(|(address, _)| address.clone()).collect();
            if left.is_empty() {
                return;
            }
            tokio::time::sleep(millis(200)).await;
        }
        panic!("these take no matrix: {complaints:?}");
    }

    /// How each server that lives is doing.
    async fn statuses(&self) -> Vec<Option<ServerStatus>> {
        let mut known = vec![None; SERVERS];
        for _ in 0..TRIES {
            for (known, new) in known.iter_mut().zip(statuses(&self.servers, PATIENCE).await) {
                *known = known.take().or(new);
            }
            if self.soak.living().into_iter().all(|server| known[server].is_some()) {
                return known;
            }
            tokio::time::sleep(millis(200)).await;
        }
        panic!("some of {:?} do not say how they are doing: {known:?}", self.soak.living());
    }

    /// What has come to each server that lives.
    pub async fn counters(&self) -> Counters {
        links::counters(&self.statuses().await)
    }

    /// Whom to kill: as often as not the leader.
    pub async fn victim(&self, dice: &mut Stream) -> usize {
        let statuses = self.statuses().await;
        let leader = status::leader(statuses.iter().flatten()).map(|leader| leader.id as usize);
        let any = *dice.pick(&self.soak.living()).expect("a server");
        leader.filter(|_| dice.chance(0.5)).unwrap_or(any)
    }
}
