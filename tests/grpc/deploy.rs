//! What docs/deploy.md and deploy/ say is done: on this machine, without containers, at addresses that are free.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;
use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlLoader};

use crate::cluster::{Cluster, pause, seedbed, told};
use crate::common::processes;

/// How often it is looked whether servers are up, a tenth of a second apart.
const TRIES: usize = 200;

/// The most seconds that a server takes to hand over, answer its requests and close its connections.
const LONGEST_FAREWELL: u64 = 3;

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
fn the_servers_of_the_compose_file_are_a_cluster_that_remembers() {
    let compose = Compose::read();
    let servers = compose.start();
    assert_eq!(servers.0.len(), 5);
    succeeds(|| compose.run("status"));
    succeeds(|| compose.run("kv put name Ada"));
    succeeds(|| compose.run("chaos set 0 1 0.1"));
    succeeds(|| compose.check_health(0));
    // A kill, as by a power failure, and another start as `restart` demands.
    drop(servers);
    assert!(!compose.check_health(0).status.success(), "a server that is down is not healthy");
    for service in compose.services().values().map(merged) {
        assert_eq!(service["restart"].as_str(), Some("unless-stopped"));
        assert!(service["stop_grace_period"].as_str().is_some_and(|time| seconds(time) > LONGEST_FAREWELL));
    }
    let _servers = compose.start();
    succeeds(|| compose.run("kv get name"));
}

/// The compose file, with free addresses of this machine and a folder in place of volumes.
struct Compose {
    file: Yaml,
    addresses: Vec<String>,
    /// Where the metrics are.
    pages: Vec<String>,
    folder: TempDir,
}

impl Compose {
    fn read() -> Compose {
        let file = yaml("deploy/compose.yaml");
        let count = file["services"].as_hash().expect("services").len();
        // All at once, so that no two are the same.
        let mut addresses = free_addresses(2 * count);
        let pages = addresses.split_off(count);
        Compose { file, addresses, pages, folder: tempfile::tempdir().expect("a folder") }
    }

    fn services(&self) -> &Hash {
        self.file["services"].as_hash().expect("services")
    }

    /// Starts what the containers run.
    fn start(&self) -> Servers {
        let commands = self.services().iter().enumerate().map(|(number, (name, service))| {
            assert_eq!(name.as_str(), Some(&*format!("kv-{number}")), "a server's name says its number");
            let mut command = self.command(number, &merged(service));
            command.arg("--with-parent").stderr(Stdio::null()).spawn().expect("seedbed starts")
        });
        Servers(commands.collect())
    }

    fn command(&self, number: usize, service: &BTreeMap<String, Yaml>) -> Command {
        let volume = volume(service, self.file["volumes"].as_hash().expect("volumes"));
        let folder = self.folder.path().join(number.to_string());
        let mut command = seedbed(root());
        for (name, value) in merged(&service["environment"]) {
            let mut value = value.as_str().expect("a text").to_owned();
            for (place, address) in self.addresses.iter().enumerate() {
                value = value.replace(&format!("kv-{place}:7001"), address);
            }
            value = value.replace("0.0.0.0:7001", &self.addresses[number]);
            value = value.replace("0.0.0.0:9100", &self.pages[number]);
            command.env(name, value.replace(&volume, folder.to_str().expect("a path in UTF-8")));
        }
        command.args(words(&service["command"]));
        command
    }

    /// Runs a command of a client.
    fn run(&self, arguments: &str) -> Output {
        let mut command = seedbed(root());
        command.args(arguments.split(' ')).env("SEEDBED_SERVERS", self.addresses.join(","));
        command.output().expect("seedbed starts")
    }

    /// Runs the health check of a server.
    fn check_health(&self, server: usize) -> Output {
        let service = merged(self.services().values().nth(server).expect("a service"));
        let check = words(&service["healthcheck"]["test"]);
        let [kind, shell, option, script] = &check[..] else { panic!("a shell runs a script: {check:?}") };
        assert_eq!(kind, "CMD");
        let script = script.replace("127.0.0.1/9100", &self.pages[server].replace(':', "/"));
        processes::program(shell).args([option, &script]).output().expect("the shell starts")
    }
}

/// Where a service has its only volume, which is one of its own.
fn volume(service: &BTreeMap<String, Yaml>, volumes: &Hash) -> String {
    let [volume] = &words(&service["volumes"])[..] else { panic!("a server has one volume") };
    let (name, place) = volume.split_once(':').expect("a volume and a place");
    assert!(volumes.contains_key(&Yaml::String(name.to_owned())), "{name} is a named volume");
    let id = merged(&service["environment"])["SEEDBED_ID"].as_str().map(|id| format!("kv-{id}"));
    assert_eq!(id.as_deref(), Some(name), "a volume belongs to one server");
    assert_eq!(merged(&service["environment"])["SEEDBED_DATA"].as_str(), Some(place));
    place.to_owned()
}

#[test]
fn the_image_has_a_folder_for_the_data_that_its_user_can_write() {
    let text = fs::read_to_string(root().join("deploy/Dockerfile")).expect("deploy/Dockerfile");
    assert!(text.contains("cargo build --profile dist --locked --features grpc --bin seedbed"));
    let least = env!("CARGO_PKG_RUST_VERSION");
    assert!(text.contains(&format!("FROM rust:{least}-slim")), "the image builds with the oldest Rust allowed");
    let user = text.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    let (user, group) = user.split_once(':').expect("a user and a group");
    assert!(text.contains(&format!("RUN install -d -o {user} -g {group} -m 700 /var/lib/seedbed\n")), "{text}");
}

#[test]
fn the_unit_restarts_a_server_and_gives_it_a_folder() {
    let unit = Unit::read();
    assert_eq!(unit.value("Restart"), "always");
    assert!(seconds(unit.value("RestartSec")) >= 1, "a server that cannot start must not fill the log");
    assert_eq!(unit.value("StartLimitIntervalSec"), "0", "it is started again however often it ends");
    assert!(seconds(unit.value("TimeoutStopSec")) > LONGEST_FAREWELL);
    let options = fs::read_to_string(root().join("deploy/seedbed.toml")).expect("deploy/seedbed.toml");
    assert!(options.contains(&format!("data = \"/var/lib/{}\"\n", unit.value("StateDirectory"))), "{options}");
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("SKIPPED: there is no systemd-analyze, which checks units");
        return;
    }
    // It demands that the program exists.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("seedbed.service");
    fs::write(&path, unit.0.replace("/usr/local/bin/seedbed", env!("CARGO_BIN_EXE_seedbed"))).expect("a file");
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().expect("it starts");
    let said = told(&output);
    assert!(output.status.success() && !said.contains("seedbed.service"), "{said}");
}

#[test]
fn every_metric_of_the_document_and_of_the_alerts_is_exported() {
    let page = &free_addresses(1)[0];
    let cluster = Cluster::start_each(3, |id| match id {
        0 => vec!["--metrics".to_owned(), page.clone()],
        _ => Vec::new(),
    });
    cluster.expect(&format!("kv put k v --servers {}", cluster.addresses[0]), 0);
    let mut stream = TcpStream::connect(page).expect("a connection");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("it listens");
    let mut exported = String::new();
    stream.read_to_string(&mut exported).expect("an answer");
    let kinds: BTreeMap<&str, &str> =
        exported.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let is_exported = |name: &str| {
        kinds.get(name) == Some(&"gauge")
            || name.strip_suffix("_total").is_some_and(|name| kinds.get(name) == Some(&"counter"))
            || kinds.get(name.trim_end_matches("_bucket")) == Some(&"histogram")
    };
    let mut count = 0;
    for file in ["docs/deploy.md", "deploy/alerts.yaml"] {
        let text = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        for name in
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("seedbed_"))
        {
            assert!(is_exported(name), "{file}: {name} is not among {kinds:?}");
            count += 1;
        }
    }
    assert!(count > 20, "only {count} names found");
    let rules = yaml("deploy/alerts.yaml");
    for rule in rules["groups"][0]["rules"].as_vec().expect("a list of rules") {
        assert!(["alert", "expr"].iter().all(|key| rule[*key].as_str().is_some()), "{rule:?}");
        assert!(rule["annotations"]["summary"].as_str().is_some(), "{rule:?}");
    }
}

/// The unit of systemd.
struct Unit(String);

impl Unit {
    fn read() -> Unit {
        Unit(fs::read_to_string(root().join("deploy/seedbed.service")).expect("deploy/seedbed.service"))
    }

    /// The value of a key that it has once.
    fn value(&self, key: &str) -> &str {
        let mut values = self.0.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let value = values.next().unwrap_or_else(|| panic!("{key} is set"));
        assert_eq!(values.next(), None, "{key} is set once");
        value
    }
}

/// A time in whole seconds, with or without the unit.
fn seconds(text: &str) -> u64 {
    text.trim_end_matches('s').parse().expect("whole seconds")
}

fn yaml(name: &str) -> Yaml {
    let text = fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")).swap_remove(0)
}

fn words(list: &Yaml) -> Vec<String> {
    list.as_vec().expect("a list").iter().map(|word| word.as_str().expect("a text").to_owned()).collect()
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

    let mut servers = Servers(Vec::new());
    for number in 0..5 {
        servers.0.push(site.set_up(number, &of("install ")));
    }
    let [list] = of("export SEEDBED_SERVERS=")[..] else { panic!("one line says where servers are") };
    let list = site.here(list.trim_start_matches("export SEEDBED_SERVERS="));
    let clients: Vec<&str> = of("seedbed ").into_iter().collect();
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
            here = here.replace(&format!("{machine}:7001"), address).replace(&machine, "127.0.0.1");
        }
        here.replace(" ca.pem", " certs/ca.pem")
    }

    /// Does on one machine what its administrator and systemd do: installs files, and starts what the unit starts.
    fn set_up(&self, number: usize, installs: &[&str]) -> Child {
        let machine = self.folder.path().join(format!("machine-{number}"));
        let moved = |text: &str| {
            let place = machine.to_str().expect("a path in UTF-8");
            ["/usr/local/bin/", "/etc/", "/var/lib/"]
                .iter()
                .fold(text.to_owned(), |text, folder| text.replace(folder, &format!("{place}{folder}")))
        };
        for folder in ["files", "usr/local/bin", "etc/systemd/system", "var/lib", "run"] {
            fs::create_dir_all(machine.join(folder)).expect("a folder");
        }
        self.bring_files(number, &machine.join("files"), &moved);
        for install in installs {
            let words = moved(install);
            let words: Vec<&str> = words.split_whitespace().collect();
            let output = Command::new(words[0]).args(&words[1..]).current_dir(machine.join("files")).output();
            let output = output.expect("install starts");
            assert!(output.status.success(), "{install}: {}", told(&output));
        }
        let unit = fs::read_to_string(machine.join("etc/systemd/system/seedbed.service")).expect("the unit");
        assert_eq!(unit, Unit::read().0);
        let credential = Unit(unit.clone()).value("LoadCredential").to_owned();
        let (name, source) = credential.split_once(':').expect("a name and a file");
        fs::copy(moved(source), machine.join("run").join(name)).expect("the key is where the unit expects it");
        let start = moved(Unit(unit).value("ExecStart"));
        let start = start.replace("${CREDENTIALS_DIRECTORY}", machine.join("run").to_str().expect("a path"));
        let mut words = start.split_whitespace();
        let mut command = processes::program(words.next().expect("a program"));
        command
            .args(words)
            .arg("--with-parent")
            .stderr(Stdio::null())
            .spawn()
            .expect("the program is where the unit expects it")
    }

    /// What is copied to a machine, and what its administrator changes in the options.
    fn bring_files(&self, number: usize, files: &Path, moved: &impl Fn(&str) -> String) {
        let certificates = self.folder.path().join("certs");
        fs::copy(certificates.join("ca.pem"), files.join("ca.pem")).expect("the authority");
        for ending in ["pem", "key"] {
            let own = files.join(format!("10.0.0.10.{ending}"));
            fs::copy(certificates.join(format!("127.0.0.1.{ending}")), own).expect("a certificate");
        }
        // A link would do, but `install` copies, and the program of a test is large. A script is as good.
        let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_seedbed"));
        fs::write(files.join("seedbed"), script).expect("a program");
        fs::copy(root().join("deploy/seedbed.service"), files.join("seedbed.service")).expect("the unit");
        let options = fs::read_to_string(root().join("deploy/seedbed.toml")).expect("deploy/seedbed.toml");
        let own =
            [("id = 0", format!("id = {number}")), ("listen = \"10.0.0.10", format!("listen = \"10.0.0.1{number}"))];
        let options = own.iter().fold(options, |options, (old, new)| {
            assert_eq!(options.matches(old).count(), 1, "{old}");
            options.replace(old, new)
        });
        let options = self.here(&moved(&options)).replace("127.0.0.1:9100", "127.0.0.1:0");
        fs::write(files.join("seedbed.toml"), options).expect("a file");
    }

    fn command(&self, line: &str) -> Command {
        let mut command = seedbed(self.folder.path());
        command.args(line.split_whitespace().skip(1));
        command
    }
}
