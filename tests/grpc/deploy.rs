//! What docs/deploy.md and deploy/ say is done: on this machine, without containers, at addresses that are free.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

use crate::cluster::{pause, seedbed, told};

/// How often it is looked whether servers are up, a tenth of a second apart.
const TRIES: usize = 200;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Servers that end with this.
struct Servers(Vec<Child>);

impl Drop for Servers {
    fn drop(&mut self) {
        for server in &mut self.0 {
            // It may be dead already.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn free_addresses(count: usize) -> Vec<String> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("an address").to_string()).collect()
}

/// Tries a command until it succeeds.
fn succeeds(mut command: impl FnMut() -> Output) {
    for _ in 0..TRIES {
        if command().status.success() {
            return;
        }
        pause(100);
    }
    panic!("{}", told(&command()));
}

#[test]
fn the_servers_of_the_compose_file_are_a_cluster() {
    let text = fs::read_to_string(root().join("deploy/compose.yaml")).expect("deploy/compose.yaml");
    let file = &YamlLoader::load_from_str(&text).expect("YAML")[0];
    let services = file["services"].as_hash().expect("services");
    let addresses = free_addresses(services.len());
    let mut servers = Servers(Vec::new());
    for (number, (name, service)) in services.iter().enumerate() {
        let variables = merged(&merged(service)["environment"]);
        let mut command = seedbed(root());
        for (name, value) in &variables {
            let mut value = value.as_str().expect("a text").to_owned();
            for (place, address) in addresses.iter().enumerate() {
                value = value.replace(&format!("kv-{place}:7001"), address);
            }
            let value = value.replace("0.0.0.0:7001", &addresses[number]).replace("0.0.0.0:9100", "127.0.0.1:0");
            command.env(name, value);
        }
        assert_eq!(name.as_str(), Some(&*format!("kv-{number}")), "a server's name says its number");
        assert_eq!(merged(service)["restart"].as_str(), Some("no"), "one without its memory is refused");
        let arguments = merged(service)["command"].as_vec().expect("a list").clone();
        command.args(arguments.iter().map(|argument| argument.as_str().expect("a text")));
        servers.0.push(command.arg("--with-parent").stderr(Stdio::null()).spawn().expect("seedbed starts"));
    }
    assert_eq!(servers.0.len(), 5);
    let run = |arguments: &str| {
        let mut command = seedbed(root());
        command.args(arguments.split(' ')).env("SEEDBED_SERVERS", addresses.join(","));
        command.output().expect("seedbed starts")
    };
    succeeds(|| run("status"));
    succeeds(|| run("kv put name Ada"));
    succeeds(|| run("chaos set 0 1 0.1"));
    let dockerfile = fs::read_to_string(root().join("deploy/Dockerfile")).expect("deploy/Dockerfile");
    assert!(dockerfile.contains("cargo build --profile dist --locked --features grpc --bin seedbed"));
    let least = env!("CARGO_PKG_RUST_VERSION");
    assert!(dockerfile.contains(&format!("FROM rust:{least}-slim")), "the image builds with the oldest Rust allowed");
}

/// A mapping with what it merges in, as YAML's `<<` says.
fn merged(mapping: &Yaml) -> BTreeMap<String, Yaml> {
    let mut result = BTreeMap::new();
    let entries = mapping.as_hash().expect("a mapping");
    if let Some(below) = entries.get(&Yaml::String("<<".to_owned())) {
        result.extend(merged(below));
    }
    let own = entries.iter().filter_map(|(key, value)| Some((key.as_str()?.to_owned(), value.clone())));
    result.extend(own.filter(|(key, _)| key != "<<"));
    result
}

#[test]
fn the_walk_through_five_machines_works_on_one() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("SKIPPED: there is no openssl, which deploy/certificates.sh needs");
        return;
    }
    let site = Site::new();
    let document = fs::read_to_string(root().join("docs/deploy.md")).expect("docs/deploy.md");
    let walk = document.split("## On five machines").nth(1).expect("the walk-through");
    let walk = walk.split("\n## ").next().expect("its end").replace("\\\n", " ");
    let commands: Vec<&str> = walk.lines().map(str::trim).collect();
    let of = |start: &str| commands.iter().filter(|line| line.starts_with(start)).copied().collect::<Vec<_>>();

    let [certificates] = of("deploy/certificates.sh ")[..] else { panic!("one command makes certificates") };
    let output = Command::new(root().join("deploy/certificates.sh"))
        .args(site.here(certificates).split_whitespace().skip(1))
        .current_dir(site.folder.path())
        .output()
        .expect("a shell");
    assert!(output.status.success(), "{}", told(&output));

    let [serve] = of("seedbed serve ")[..] else { panic!("one command starts a server") };
    let mut servers = Servers(Vec::new());
    for number in 0..5 {
        let own = serve.replace("--id 0 --listen 10.0.0.10", &format!("--id {number} --listen 10.0.0.1{number}"));
        let own = site.here(&own).replace("127.0.0.1:9100", "127.0.0.1:0") + " --with-parent";
        servers.0.push(site.command(&own).stderr(Stdio::null()).spawn().expect("seedbed starts"));
    }
    let [list] = of("export SEEDBED_SERVERS=")[..] else { panic!("one line says where servers are") };
    let list = site.here(list.trim_start_matches("export SEEDBED_SERVERS="));
    let clients: Vec<&str> = of("seedbed ").into_iter().filter(|line| !line.starts_with("seedbed serve ")).collect();
    assert!(clients.len() >= 3, "{clients:?}");
    for client in clients {
        succeeds(|| site.command(&site.here(client)).env("SEEDBED_SERVERS", &list).output().expect("seedbed starts"));
    }
}

/// This machine, in place of five.
struct Site {
    folder: TempDir,
    addresses: Vec<String>,
}

impl Site {
    fn new() -> Site {
        Site { folder: tempfile::tempdir().expect("a folder"), addresses: free_addresses(5) }
    }

    /// A command with addresses and files of this site.
    fn here(&self, command: &str) -> String {
        let mut here = command.to_owned();
        for (number, address) in self.addresses.iter().enumerate() {
            let machine = format!("10.0.0.1{number}");
            here = here.replace(&format!("{machine}:7001"), address);
            for file in ["pem", "key"] {
                here = here.replace(&format!("{machine}.{file}"), &format!("certs/127.0.0.1.{file}"));
            }
            here = here.replace(&machine, "127.0.0.1");
        }
        here.replace(" ca.pem", " certs/ca.pem")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = seedbed(self.folder.path());
        command.args(line.split_whitespace().skip(1));
        command
    }
}
