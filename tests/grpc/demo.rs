//! What the first seed document wants to be shown, with real processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use rustix::process::Signal;
use seedbed::rng::Stream;
use seedbed_core::client::{Kv, Servers, Settings};
use seedbed_core::clock::Clock;
use seedbed_core::rpc::proto::admin::ServerStatus;
use seedbed_core::rpc::proto::kvstore::{GetRequest, PutRequest, ReturnCode};

use crate::cluster::{Cluster, millis, pause, received, runtime, statuses, store, until};

const SIZE: usize = 5;

/// So many clients, each of which puts to a key of its own.
const CLIENTS: usize = 6;

/// How long a client's request may take in all.
const TIMEOUT: Duration = Duration::from_secs(4);

/// How much later than that a client may hear that it has failed, on a machine that has other things to do.
const LATE: Duration = Duration::from_secs(2);

#[test]
fn what_is_put_on_one_server_is_there_on_every_other() {
    let cluster = Cluster::start(SIZE, &[]);
    runtime().block_on(async {
        for (number, address) in cluster.addresses.iter().enumerate() {
            let value = format!("by {number}");
            let put = PutRequest { key: "name".to_owned(), value: value.clone(), id: None };
            assert_eq!(store(address).put(put).await.expect("an answer").into_inner().ret(), ReturnCode::Success);
            for other in &cluster.addresses {
                let get = GetRequest { key: "name".to_owned(), stale: false };
                let answer = store(other).get(get).await.expect("an answer").into_inner();
                assert_eq!((answer.ret(), &answer.value), (ReturnCode::Success, &value), "{address}, then {other}");
            }
        }
    });
}

/// The values of one key are numbers that go up. So a get is stale if it returns less than what was acknowledged before it
/// was sent.
#[derive(Debug, Default)]
struct Key {
    sent: AtomicU64,
    acknowledged: AtomicU64,
}

/// What clients saw.
#[derive(Debug, Default)]
struct Sights {
    keys: [Key; CLIENTS],
    answered: AtomicU64,
    failed: AtomicU64,
    over: AtomicBool,
}

async fn put_and_get(number: usize, mut kv: Kv, sights: Arc<Sights>) {
    let (mut dice, clock) = (Stream::link(1, "demo", number as u64, 0), Clock::start());
    while !sights.over.load(SeqCst) {
        let began = clock.now();
        let answered = if dice.chance(0.5) {
            let key = &sights.keys[number];
            let value = key.sent.fetch_add(1, SeqCst) + 1;
            let put = kv.put(&format!("key-{number}"), &value.to_string()).await;
            put.is_ok().then(|| key.acknowledged.store(value, SeqCst)).is_some()
        } else {
            let of = dice.below(CLIENTS as u64) as usize;
            let floor = sights.keys[of].acknowledged.load(SeqCst);
            match kv.get(&format!("key-{of}"), false).await {
                Ok(value) => {
                    let value: u64 = value.map_or(0, |value| value.parse().expect("a number"));
                    let ceiling = sights.keys[of].sent.load(SeqCst);
                    assert!((floor..=ceiling).contains(&value), "key {of}: {value}, not {floor} to {ceiling}");
                    true
                }
                Err(_) => false,
            }
        };
        let took = Duration::from_nanos(clock.now().since(began).nanos());
        assert!(took < TIMEOUT + LATE, "a request takes {} s", took.as_secs_f64());
        if answered { &sights.answered } else { &sights.failed }.fetch_add(1, SeqCst);
        tokio::time::sleep(millis(5)).await;
    }
}

#[test]
fn clients_of_random_servers_see_nothing_stale_while_matrices_come_and_go() {
    let mut cluster = Cluster::start(SIZE, &["--chaos", "true"]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let sights = Arc::new(Sights::default());
    let servers = Servers::new(&cluster.addresses, None).expect("servers");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let settings = Settings {
                timeout: TIMEOUT,
                try_timeout: millis(500),
                seed: Some(number as u64),
                ..Settings::default()
            };
            let kv = Kv::new(servers.clone(), settings).expect("a client");
            runtime.spawn(put_and_get(number, kv, Arc::clone(&sights)))
        })
        .collect();
    let mut answered = 0;
    for chaos in [
        "upload matrices/ten-percent.json",
        "upload matrices/one-way.json",
        "set 0 1 0",
        "set 2 4 0.5",
        "clear",
        "upload matrices/ten-percent.json",
        "set 1 2 1",
        "clear",
    ] {
        cluster.expect(&format!("chaos {chaos}"), 0);
        pause(900);
        answered = sights.answered.load(SeqCst);
    }
    pause(500);
    assert!(sights.answered.load(SeqCst) > answered, "nothing goes on after all is well again: {sights:?}");
    sights.over.store(true, SeqCst);
    for client in clients {
        runtime.block_on(client).expect("no client panics");
    }
    let (answered, failed) = (sights.answered.load(SeqCst), sights.failed.load(SeqCst));
    println!("{answered} requests answered, {failed} not");
    assert!(answered > 200 && answered > 4 * failed, "{answered} requests answered, {failed} not");
    assert_all_run(&mut cluster, None);
}

#[test]
fn a_server_that_is_stopped_and_one_that_is_killed_hold_nobody_up_and_bring_nobody_down() {
    let mut cluster = Cluster::start(SIZE, &["--chaos", "true"]);
    let leader = cluster.leader();
    let (stopped, killed) = ((leader + 1) % SIZE, (leader + 2) % SIZE);
    let others = |cluster: &Cluster, without: &[usize], value: &str| {
        let living = (0..SIZE).filter(|server| !without.contains(server)).map(|server| &cluster.addresses[server]);
        let servers = living.map(ToString::to_string).collect::<Vec<_>>().join(",");
        cluster.expect(&format!("kv put k {value} --servers {servers}"), 0);
        assert_eq!(cluster.expect(&format!("kv get k --servers {servers}"), 0), format!("{value}\n"));
    };
    cluster.signal(stopped, Signal::STOP);
    others(&cluster, &[stopped], "without-one");
    cluster.servers[killed].kill().expect("it lives");
    cluster.servers[killed].wait().expect("it dies");
    others(&cluster, &[stopped, killed], "without-two");
    cluster.signal(stopped, Signal::CONT);
    // It knows again what the others know, and answers for it.
    others(&cluster, &(0..SIZE).filter(|&server| server != stopped).collect::<Vec<_>>(), "from-who-was-stopped");
    others(&cluster, &[killed], "at-last");
    assert_all_run(&mut cluster, Some(killed));
}

/// The servers' counters, of the link from one to another.
fn link(statuses: &[ServerStatus], from: usize, to: usize) -> (u64, u64) {
    received(&statuses[to], from)
}

#[test]
fn the_matrix_of_the_seed_document_cuts_server_three_off_and_it_catches_up_after_a_clear() {
    const CUT_OFF: usize = 3;
    let mut cluster = Cluster::start(SIZE, &["--chaos", "true"]);
    let look = || -> Vec<ServerStatus> {
        // Each time with connections of its own, as they end with their runtime.
        let fresh = Servers::new(&cluster.addresses, None).expect("servers");
        let statuses = runtime().block_on(statuses(&fresh, TIMEOUT));
        statuses.into_iter().map(|status| status.expect("all servers answer")).collect()
    };
    let get = |stale: bool| {
        let mut call = tonic::Request::new(GetRequest { key: "k".to_owned(), stale });
        call.set_timeout(millis(1_500));
        runtime().block_on(async { store(&cluster.addresses[CUT_OFF]).get(call).await })
    };
    let others: Vec<usize> = (0..SIZE).filter(|&server| server != CUT_OFF).collect();
    let addresses: Vec<String> = others.iter().map(|&server| cluster.addresses[server].to_string()).collect();
    let put = |value: &str| {
        cluster.expect(&format!("kv put k {value} --timeout 15 --servers {}", addresses.join(",")), 0);
    };

    put("before");
    until("a put is known to all servers", || look().iter().all(|status| status.keys == 1));
    cluster.expect("chaos upload matrices/seed.json", 0);
    // If 3 has led, others have to find out first.
    put("during-0");
    let first = look();
    let commit = first[CUT_OFF].commit_index;
    for number in 1..=10 {
        put(&format!("during-{number}"));
    }
    match get(false) {
        Ok(answer) => {
            let code = answer.get_ref().ret();
            assert!(!matches!(code, ReturnCode::Success | ReturnCode::NotFound), "{answer:?}");
        }
        Err(status) => assert!(matches!(status.code(), tonic::Code::DeadlineExceeded | tonic::Code::Cancelled)),
    }
    let stale = get(true).expect("an answer").into_inner();
    assert_eq!((stale.ret(), stale.value.as_str()), (ReturnCode::Success, "before"));
    let mut last = look();
    until("both sides of the cut say something", || {
        last = look();
        let came = |from, to| link(&last, from, to).0 > link(&first, from, to).0;
        others.iter().any(|&other| came(CUT_OFF, other)) && others.iter().any(|&other| came(other, CUT_OFF))
    });
    let grown = |from, to| {
        let ((received, dropped), (before, dropped_before)) = (link(&last, from, to), link(&first, from, to));
        (received - before, dropped - dropped_before)
    };
    for &other in &others {
        for (from, to) in [(CUT_OFF, other), (other, CUT_OFF)] {
            let (received, dropped) = grown(from, to);
            println!("from {from} to {to}: {received} received, {dropped} dropped");
            assert_eq!(dropped, received, "from {from} to {to}");
        }
    }
    let (through, lost) = others
        .iter()
        .flat_map(|&from| others.iter().map(move |&to| (from, to)))
        .filter(|(from, to)| from != to)
        .map(|(from, to)| grown(from, to))
        .fold((0, 0), |(through, lost), (received, dropped)| (through + received - dropped, lost + dropped));
    assert!(through > 0 && lost > 0, "{through} messages got through among the others, {lost} did not");
    assert_eq!(last[CUT_OFF].commit_index, commit, "it cannot have heard of any commit");
    assert!(others.iter().any(|&other| last[other].commit_index >= first[other].commit_index + 10), "{last:?}");

    cluster.expect("chaos clear", 0);
    let target = last.iter().map(|status| status.commit_index).max().expect("servers");
    until("the server catches up", || look()[CUT_OFF].commit_index >= target);
    let address = &cluster.addresses[CUT_OFF];
    assert_eq!(cluster.expect(&format!("kv get k --servers {address}"), 0), "during-10\n");
    assert_all_run(&mut cluster, None);
}

/// No server has ended, but for the one that was killed.
fn assert_all_run(cluster: &mut Cluster, killed: Option<usize>) {
    for (number, server) in cluster.servers.iter_mut().enumerate() {
        let ended = server.try_wait().expect("it can be asked for");
        assert_eq!(ended.is_some(), killed == Some(number), "server {number}: {ended:?}");
    }
}
