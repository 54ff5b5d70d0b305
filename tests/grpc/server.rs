//! Servers as processes: what they refuse, what they survive, and what they say.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use seedbed_core::clock::Clock;
use seedbed_core::rpc::proto::kvstore::{GetRequest, PutRequest, PutResponse, RequestId, ReturnCode};
use seedbed_core::rpc::{KEY_BYTES_MAX, VALUE_BYTES_MAX, channel};
use tonic::Code;

use crate::cluster::{Cluster, pause, runtime, seedbed, store, text, told};

fn serve(arguments: &str) -> Output {
    let mut command = seedbed(Path::new(env!("CARGO_MANIFEST_DIR")));
    command.arg("serve").args(arguments.split_whitespace()).output().expect("seedbed starts")
}

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grpc/certs").join(name)
}

#[test]
fn what_makes_no_sense_is_refused_with_what_is_allowed() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let unknown = file("unknown.toml", "id = 0\n\npeer = ['a:1']\n");
    let broken = file("broken.toml", "id = 0\nid = 1\n");
    let wrong = file("wrong.toml", "id = 'zero'\n");
    let no_key = file("no-key.pem", "hello");
    let peers = "--peers 127.0.0.1:1,127.0.0.1:2,127.0.0.1:3";
    for (arguments, message) in [
        ("--id 0".to_owned(), "error: --peers is needed, as an option, a variable or a key of --config".to_owned()),
        (peers.to_owned(), "error: --id is needed, as an option, a variable or a key of --config".to_owned()),
        (format!("--id 3 {peers}"), "error: --id: is 3; allowed is 0 to 2, its place in --peers".to_owned()),
        ("--id 0 --peers a:1".to_owned(), "error: --peers: has 1 of the cluster's servers; allowed is 2 to 101, this one included".to_owned()),
        ("--id 0 --peers a:1,b:2,a:1".to_owned(), "error: --peers: a:1 comes twice".to_owned()),
        (
            "--id 0 --peers a:1,b".to_owned(),
            "error: --peers: 'b' is no address; allowed is HOST:PORT, as in 127.0.0.1:7001 or [::1]:7001".to_owned(),
        ),
        (
            format!("--id 0 {peers} --listen {taken}"),
            format!("error: --listen {taken}: cannot listen: Address already in use (os error 98)"),
        ),
        (
            format!("--id 0 {peers} --listen 127.0.0.1:0 --metrics {taken}"),
            format!("error: --metrics {taken}: cannot listen: Address already in use (os error 98)"),
        ),
        (
            format!("--id 0 {peers} --listen no-such-host.invalid:1 --insecure"),
            "error: --listen no-such-host.invalid:1: cannot listen: failed to lookup address".to_owned(),
        ),
        (
            format!("--id 0 {peers} --listen 0.0.0.0:0"),
            "error: --listen 0.0.0.0:0: other machines could reach this, so it needs --tls-cert, --tls-key and --tls-ca; \
             or --insecure, if the network is trusted"
                .to_owned(),
        ),
        (
            format!("--id 0 {peers} --listen 127.0.0.1:0 --tls-cert {no_key} --tls-key {no_key} --tls-ca {no_key}"),
            format!("error: --tls-cert {no_key}: has no certificate in PEM format"),
        ),
        (
            format!("--id 0 {peers} --listen 127.0.0.1:0 --tls-cert {no_key} --tls-ca {no_key}"),
            "error: --tls-cert needs --tls-key, too".to_owned(),
        ),
        (format!("--config {unknown}"), format!("error: {unknown}, line 3: unknown field `peer`, expected one of")),
        (format!("--config {broken}"), format!("error: {broken}, line 2: duplicate key")),
        (format!("--config {wrong}"), format!("error: {wrong}, line 1: invalid type: string \"zero\", expected a number from 0 to 255")),
        ("--config nowhere.toml".to_owned(), "error: nowhere.toml: cannot be read: No such file or directory".to_owned()),
        (
            format!("--id 0 {peers} --log loud=very"),
            "error: --log (RUST_LOG): is 'loud=very'; allowed is off, error, warn, info, debug, trace, or a list of \
             TARGET=LEVEL"
                .to_owned(),
        ),
        (format!("--id 0 {peers} --threads 0"), "error: --threads: is 0; allowed is 1 to 1024".to_owned()),
        (
            format!("--id 0 {peers} --connections-max 0"),
            "error: --connections-max: is 0; allowed is 1 to 4294967295".to_owned(),
        ),
        (
            format!("--config {}", file("no-time.toml", "request-timeout-ms = 0")),
            "error: --request-timeout-ms: is 0; allowed is 1 to 4294967295".to_owned(),
        ),
    ] {
        let output = serve(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", told(&output));
        let error = text(&output.stderr);
        assert!(error.starts_with(&message), "{arguments}: {error}");
        assert_eq!(error.lines().count(), 1, "{arguments}: {error}");
    }
}

#[test]
fn keys_and_values_that_are_too_large_are_invalid_and_messages_that_are_far_too_large_are_not_read() {
    let cluster = Cluster::start(3, &[]);
    runtime().block_on(async {
        let mut store = store(&cluster.addresses[0]);
        let put = |key: usize, value: usize| PutRequest { key: "k".repeat(key), value: "v".repeat(value), id: None };
        for (key, value, code) in [
            (KEY_BYTES_MAX, VALUE_BYTES_MAX, ReturnCode::Success),
            (KEY_BYTES_MAX + 1, 1, ReturnCode::Invalid),
            (0, 1, ReturnCode::Invalid),
            (1, VALUE_BYTES_MAX + 1, ReturnCode::Invalid),
            (1, 3 << 20, ReturnCode::Invalid),
        ] {
            let answer = store.put(put(key, value)).await.expect("an answer").into_inner();
            assert_eq!(answer.ret(), code, "{key}, {value}: {}", answer.message);
        }
        let status = store.put(put(1, 40 << 20)).await.expect_err("it is not read");
        assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
        let answer = store.get(GetRequest { key: "k".repeat(KEY_BYTES_MAX), stale: false }).await.expect("an answer");
        assert_eq!(answer.into_inner().value.len(), VALUE_BYTES_MAX);
    });
}

#[test]
fn garbage_on_the_port_and_connections_that_say_nothing_hurt_nobody() {
    let cluster = Cluster::start(3, &[]);
    let address = cluster.addresses[0].to_string();
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(&address).expect("a connection")).collect();
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 10_000], &[0xFF; 10_000], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xFF\xFF"]
    {
        let mut stream = TcpStream::connect(&address).expect("a connection");
        // The server may hang up in the middle.
        let _ = stream.write_all(garbage);
        let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
        let _ = stream.read(&mut [0; 1_000]);
    }
    for server in &cluster.addresses {
        cluster.expect(&format!("kv put k v --servers {server}"), 0);
    }
    drop(silent);
}

#[test]
fn a_call_that_never_says_what_it_wants_is_ended() {
    let cluster = Cluster::start(3, &["--request-timeout-ms", "300"]);
    let code = runtime().block_on(async {
        let mut client = tonic::client::Grpc::new(channel(&cluster.addresses[0], None).expect("an address"));
        client.ready().await.expect("the server is there");
        let nothing = tonic::Request::new(tokio_stream::pending::<PutRequest>());
        let path = "/kvstore.KeyValueStore/Put".parse().expect("a path");
        let codec = tonic_prost::ProstCodec::<PutRequest, PutResponse>::default();
        let call = client.client_streaming(nothing, path, codec);
        let ended = tokio::time::timeout(Duration::from_secs(10), call).await.expect("it ends");
        ended.expect_err("nothing was asked").code()
    });
    assert!(matches!(code, Code::Cancelled | Code::DeadlineExceeded), "{code:?}");
}

#[test]
fn connections_beyond_the_limit_are_closed_and_those_within_it_go_on() {
    let cluster = Cluster::start(3, &["--connections-max", "12"]);
    let address = cluster.addresses[0].to_string();
    cluster.expect(&format!("kv put k v --servers {address}"), 0);
    let streams: Vec<TcpStream> = (0..30).map(|_| TcpStream::connect(&address).expect("a connection")).collect();
    pause(300);
    let closed = streams.into_iter().filter(|stream| {
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        // One that is kept is greeted by the server's settings, once the client has said that it speaks HTTP/2.
        matches!((&*stream).read(&mut [0; 100]), Ok(0) | Err(_)) && (&*stream).write_all(b"x").is_err()
            || matches!((&*stream).read(&mut [0; 100]), Ok(0))
    });
    assert!(closed.count() >= 18);
    // Room again.
    pause(300);
    cluster.expect(&format!("kv get k --servers {address}"), 0);
}

#[test]
fn a_server_that_was_started_again_is_refused_and_the_others_go_on() {
    // The first opens the streams to all others, and to the last all others open theirs.
    for place in [0, 2] {
        let mut cluster = Cluster::start(3, &[]);
        cluster.servers[place].kill().expect("it lives");
        cluster.servers[place].wait().expect("it dies");
        let output = serve(&format!("--with-parent --id {place} --peers {}", cluster.list()));
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        let error = text(&output.stderr);
        let refusal =
            format!("refused by the cluster: server {place} was a member of this cluster before it was started again");
        assert!(error.contains(&refusal), "{error}");
        cluster.expect("kv put k v", 0);
        assert_eq!(cluster.expect("kv get k", 0), "v\n");
    }
}

#[test]
fn servers_to_whom_nobody_listens_serve_all_the_same() {
    let mut cluster = Cluster::start_unheard(3);
    // The others have something to say of this.
    let leader = cluster.leader();
    cluster.servers[leader].kill().expect("it lives");
    cluster.servers[leader].wait().expect("it dies");
    cluster.expect("kv put k v --timeout 10", 0);
    assert_eq!(cluster.expect("kv get k", 0), "v\n");
}

#[test]
fn servers_of_another_cluster_are_refused_and_both_sides_say_why() {
    let listeners: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let addresses: Vec<String> =
        listeners.iter().map(|listener| listener.local_addr().expect("an address").to_string()).collect();
    drop(listeners);
    let peers = addresses.join(",");
    let start = |id: usize, cluster: &str| {
        let mut command = seedbed(Path::new(env!("CARGO_MANIFEST_DIR")));
        command.args(["serve", "--with-parent", "--id", &id.to_string(), "--peers", &peers, "--cluster", cluster]);
        command.stderr(Stdio::piped()).spawn().expect("seedbed starts")
    };
    let servers = [start(0, "one"), start(1, "one"), start(2, "two")];
    pause(2_500);
    let outputs = servers.map(|mut server| {
        server.kill().expect("it lives");
        text(&server.wait_with_output().expect("it ends").stderr)
    });
    assert!(outputs[0].contains("connected peer=1") && outputs[1].contains("connected peer=0"), "{outputs:?}");
    assert!(outputs[0].contains("server 2 is of another cluster than server 0"), "{}", outputs[0]);
    assert!(outputs[2].contains("is of another cluster than server 2"), "{}", outputs[2]);
    assert!(outputs.iter().all(|output| !output.contains("takes part")), "{outputs:?}");
}

#[test]
fn a_leader_that_is_asked_to_end_hands_over_and_answers_what_it_was_asked() {
    // An election by timeout takes at least 0.8 s. On a busy machine a handover may take as long, but not always.
    let fastest = (0..3).map(|_| hand_over()).find(|&took| took < 0.7);
    assert!(fastest.is_some(), "no handover was faster than an election");
}

/// Asks the leader of a cluster to end, and a follower to put. Returns how many seconds that takes.
fn hand_over() -> f64 {
    let mut cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    cluster.expect("kv put k v", 0);
    let clock = Clock::start();
    cluster.signal(leader, Signal::TERM);
    let answer = runtime().block_on(async {
        let put = PutRequest { key: "k".to_owned(), value: "w".to_owned(), id: None };
        store(&cluster.addresses[(leader + 1) % 3]).put(put).await
    });
    let took = clock.now().as_secs_f64();
    assert_eq!(answer.expect("an answer").into_inner().ret(), ReturnCode::Success);
    let status = cluster.servers[leader].wait().expect("it ends");
    assert!(status.success(), "{status}");
    let answer = runtime().block_on(async {
        store(&cluster.addresses[(leader + 2) % 3]).get(GetRequest { key: "k".to_owned(), stale: false }).await
    });
    assert_eq!(answer.expect("an answer").into_inner().value, "w");
    took
}

#[test]
fn an_update_under_one_id_is_done_once_whichever_servers_it_is_sent_to() {
    let cluster = Cluster::start(3, &[]);
    runtime().block_on(async {
        let id = |number| Some(RequestId { client: 0xFEED, number });
        let put = async |server: usize, value: &str, number| {
            let request = PutRequest { key: "k".to_owned(), value: value.to_owned(), id: id(number) };
            store(&cluster.addresses[server]).put(request).await.expect("an answer").into_inner().ret()
        };
        assert_eq!(put(0, "first", 1).await, ReturnCode::Success);
        assert_eq!(put(1, "second", 2).await, ReturnCode::Success);
        // The same again: it was done, so that is what is answered.
        assert_eq!(put(2, "third", 2).await, ReturnCode::Success);
        // An older one can have no effect any more.
        assert_ne!(put(2, "fourth", 1).await, ReturnCode::Success);
    });
    assert_eq!(cluster.expect("kv get k", 0), "second\n");
}

#[test]
fn with_certificates_strangers_learn_nothing_and_clients_need_the_authority() {
    let file = |name: &str| certificate(name).display().to_string();
    let (cert, key, ca) = (file("server.pem"), file("server.key"), file("ca.pem"));
    let own = format!("--tls-cert {cert} --tls-key {key} --tls-ca {ca}");
    let mut arguments: Vec<&str> = own.split(' ').collect();
    arguments.extend(["--chaos", "true"]);
    let mut cluster = Cluster::start_secured(3, &arguments, &format!("--tls-ca {ca}"));
    cluster.expect(&format!("kv put k v --tls-ca {ca}"), 0);
    assert_eq!(cluster.expect(&format!("kv get k --tls-ca {ca}"), 0), "v\n");

    let output = cluster.run(&format!("chaos set 0 1 0.5 --tls-ca {ca}"));
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("a certificate is needed"), "{}", told(&output));
    cluster.expect(&format!("chaos set 0 1 0.5 {own}"), 0);
    cluster.expect(&format!("chaos clear {own}"), 0);

    let output = cluster.run("kv get k --timeout 1");
    assert_eq!(output.status.code(), Some(2), "without TLS: {}", told(&output));
    let output = cluster.run(&format!("kv get k --timeout 1 --tls-ca {}", file("other-ca.pem")));
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("invalid peer certificate"), "{}", told(&output));

    // A server with a certificate of another authority is not taken in, and says why.
    let place = (cluster.leader_with(&format!("--tls-ca {ca}")) + 1) % 3;
    cluster.servers[place].kill().expect("it lives");
    cluster.servers[place].wait().expect("it dies");
    let mut command = seedbed(Path::new(env!("CARGO_MANIFEST_DIR")));
    let other = format!(
        "serve --with-parent --id {place} --peers {} --tls-cert {} --tls-key {} --tls-ca {}",
        cluster.list(),
        file("other-server.pem"),
        file("other-server.key"),
        file("other-ca.pem")
    );
    let mut stranger = command.args(other.split(' ')).stderr(Stdio::piped()).spawn().expect("seedbed starts");
    pause(6_000);
    stranger.kill().expect("it lives");
    let said = text(&stranger.wait_with_output().expect("it ends").stderr);
    assert!(said.contains("still waits for others to welcome it welcomed=0 needed=2"), "{said}");
    cluster.expect(&format!("kv put k w --tls-ca {ca}"), 0);
}

#[test]
fn a_chaos_monkey_wants_its_token_and_there_is_none_unless_it_is_asked_for() {
    let cluster = Cluster::start(3, &["--chaos", "true", "--chaos-token", "sesame"]);
    for (arguments, code) in [("chaos clear", 1), ("chaos clear --token wrong", 1), ("chaos clear --token sesame", 0)] {
        cluster.expect(arguments, code);
    }
    let cluster = Cluster::start(3, &[]);
    let output = cluster.run("chaos set 0 1 0.5");
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("this server carries no chaos monkey; --chaos gives it one"), "{}", told(&output));
}

#[test]
fn a_server_tells_prometheus_load_balancers_and_grpcurl_how_it_is_doing() {
    let port = || TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let metrics = format!("127.0.0.1:{}", port());
    // Only the first can have the port; the others would find it taken.
    let cluster = Cluster::start_each(3, |id| match id {
        0 => vec!["--metrics".to_owned(), metrics.clone()],
        _ => Vec::new(),
    });
    for _ in 0..5 {
        cluster.expect(&format!("kv put k v --servers {}", cluster.addresses[0]), 0);
    }
    let mut stream = TcpStream::connect(&metrics).expect("a connection");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("it listens");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("an answer");
    assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
    for line in [
        "seedbed_requests_total{method=\"put\",result=\"SUCCESS\"} 5",
        "seedbed_request_latency_seconds_count{method=\"put\"} 5",
        "\nseedbed_term ",
        "seedbed_keys 1",
        "seedbed_peer_connected{peer=\"1\"} 1",
        "# EOF",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    let roles = page.lines().filter(|line| line.starts_with("seedbed_role{") && line.ends_with(" 1"));
    assert_eq!(roles.count(), 1, "{page}");

    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    runtime().block_on(async {
        let channel = channel(&cluster.addresses[1], None).expect("an address");
        let check = HealthCheckRequest { service: "kvstore.KeyValueStore".to_owned() };
        let mut client = HealthClient::new(channel.clone());
        // It is looked after ten times a second whether there is a leader.
        let mut told = String::new();
        for _ in 0..100 {
            let health = client.check(check.clone()).await.expect("an answer").into_inner();
            told = health.status().as_str_name().to_owned();
            if told == "SERVING" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(told, "SERVING");
        let list = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new(channel);
        let mut answers =
            client.server_reflection_info(tokio_stream::iter([list])).await.expect("an answer").into_inner();
        let answer = answers.message().await.expect("an answer").expect("an answer").message_response;
        let Some(MessageResponse::ListServicesResponse(services)) = answer else { panic!("{answer:?}") };
        let names: Vec<String> = services.service.into_iter().map(|service| service.name).collect();
        for name in ["kvstore.KeyValueStore", "chaosmonkey.ChaosMonkey", "seedbed.raft.Raft", "seedbed.admin.Admin"] {
            assert!(names.iter().any(|other| other == name), "{names:?}");
        }
    });
}
