//! The status of the servers of a gRPC cluster: as a table, and as JSON.

use std::io::{self, Write};

use serde::Serialize;

use seedbed_core::client::{Each, status};
use seedbed_core::rpc::proto::admin::{Role, ServerStatus};

/// The state of all servers together.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// The number of the leader; if there are several, of the one with the newest term.
    leader: Option<u32>,
    servers: Vec<Line>,
}

/// The answer of one server.
#[derive(Debug, Serialize)]
struct Line {
    address: String,
    #[serde(flatten)]
    answer: Answer,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Status(Box<Status>),
    Unreachable { unreachable: String },
}

#[derive(Debug, Serialize)]
struct Status {
    id: u32,
    cluster: String,
    version: String,
    role: &'static str,
    term: u64,
    leader: Option<u32>,
    last_index: u64,
    commit_index: u64,
    applied: u64,
    /// How many entries it is behind the leader's commits; none if no server leads.
    lag: Option<u64>,
    keys: u64,
    uptime_ms: u64,
    connected: Vec<u32>,
    sent: u64,
    dropped: u64,
    ignored: u64,
    overflowed: u64,
    chaos: bool,
    /// None if everything is in memory.
    disk: Option<Disk>,
}

#[derive(Debug, Serialize)]
struct Disk {
    file_bytes: u64,
    syncs: u64,
    written_bytes: u64,
    snapshots: u64,
    is_writing_snapshot: bool,
}

impl Overview {
    /// Sums up the answers of all servers.
    pub fn of(answers: &Each<ServerStatus>) -> Overview {
        let statuses = || answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
        let leader = status::leader(statuses());
        let line = |(address, answer): &(_, Result<ServerStatus, String>)| Line {
            address: ToString::to_string(address),
            answer: match answer {
                Ok(status) => Answer::Status(Box::new(Status::of(status, leader))),
                Err(reason) => Answer::Unreachable { unreachable: reason.clone() },
            },
        };
        Overview { leader: leader.map(|leader| leader.id), servers: answers.iter().map(line).collect() }
    }

    /// Whether all servers answer and one leads.
    pub fn is_well(&self) -> bool {
        self.leader.is_some() && self.servers.iter().all(|line| matches!(line.answer, Answer::Status(_)))
    }

    /// Writes it as JSON, in one line or in several.
    ///
    /// # Errors
    /// If writing to `out` fails.
    pub fn write_json(&self, out: &mut impl Write, in_one_line: bool) -> io::Result<()> {
        let write = if in_one_line { serde_json::to_writer } else { serde_json::to_writer_pretty };
        write(&mut *out, self)?;
        writeln!(out)
    }

    /// Writes a table, with the servers that cannot be reached below it.
    ///
    /// # Errors
    /// If writing to `out` fails.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        const HEADS: [&str; 14] = [
            "id",
            "address",
            "role",
            "term",
            "last",
            "commit",
            "applied",
            "lag",
            "keys",
            "uptime",
            "connected",
            "sent",
            "dropped",
            "disk",
        ];
        let rows: Vec<[String; 14]> = self.servers.iter().filter_map(Line::row).collect();
        if !rows.is_empty() {
            let width = |column: usize| rows.iter().map(|row| row[column].len()).fold(HEADS[column].len(), usize::max);
            let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
            for row in std::iter::once(HEADS.map(str::to_owned)).chain(rows) {
                let cell = |(column, text): (usize, &String)| {
                    let width = widths[column];
                    // Words are aligned left, numbers right.
                    if (1..=2).contains(&column) { format!("{text:<width$}") } else { format!("{text:>width$}") }
                };
                let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
                writeln!(out, "{}", cells.join("  ").trim_end())?;
            }
        }
        for line in &self.servers {
            if let Answer::Unreachable { unreachable } = &line.answer {
                writeln!(out, "{}: {unreachable}", line.address)?;
            }
        }
        if self.leader.is_none() {
            writeln!(out, "No server leads.")?;
        }
        Ok(())
    }
}

impl Line {
    fn row(&self) -> Option<[String; 14]> {
        let Answer::Status(status) = &self.answer else { return None };
        let connected: Vec<String> = status.connected.iter().map(u32::to_string).collect();
        Some([
            status.id.to_string(),
            self.address.clone(),
            status.role.to_owned(),
            status.term.to_string(),
            status.last_index.to_string(),
            status.commit_index.to_string(),
            status.applied.to_string(),
            status.lag.map_or_else(|| "?".to_owned(), |lag| lag.to_string()),
            status.keys.to_string(),
            uptime(status.uptime_ms),
            if connected.is_empty() { "none".to_owned() } else { connected.join(",") },
            status.sent.to_string(),
            status.dropped.to_string(),
            status.disk.as_ref().map_or_else(|| "none".to_owned(), |disk| size(disk.file_bytes)),
        ])
    }
}

impl Status {
    fn of(status: &ServerStatus, leader: Option<&ServerStatus>) -> Status {
        let role = match Role::try_from(status.role) {
            Ok(Role::Joining) => "joining",
            Ok(Role::Follower) => "follower",
            Ok(Role::PreCandidate) => "pre-candidate",
            Ok(Role::Candidate) => "candidate",
            Ok(Role::Leader) => "leader",
            Err(_) => "?",
        };
        Status {
            id: status.id,
            cluster: status.cluster.clone(),
            version: status.version.clone(),
            role,
            term: status.term,
            leader: status.leader,
            last_index: status.last_index,
            commit_index: status.commit_index,
            applied: status.applied,
            lag: leader.map(|leader| leader.commit_index.saturating_sub(status.applied)),
            keys: status.keys,
            uptime_ms: status.uptime_ms,
            connected: status.connected.clone(),
            sent: status.messages.iter().map(|count| count.sent).sum(),
            dropped: status.messages.iter().map(|count| count.dropped).sum(),
            ignored: status.ignored,
            overflowed: status.overflowed,
            chaos: status.chaos,
            disk: status.disk.map(|disk| Disk {
                file_bytes: disk.file_bytes,
                syncs: disk.syncs,
                written_bytes: disk.written_bytes,
                snapshots: disk.snapshots,
                is_writing_snapshot: disk.is_writing_snapshot,
            }),
        }
    }
}

/// In the unit that suits it: `72 KiB`, `1.5 MiB` or `3.2 GiB`.
fn size(bytes: u64) -> String {
    let kib = bytes as f64 / 1024.0;
    match kib {
        ..1_024.0 => format!("{kib:.0} KiB"),
        ..1_048_576.0 => format!("{:.1} MiB", kib / 1_024.0),
        _ => format!("{:.1} GiB", kib / 1_048_576.0),
    }
}

/// In the unit that suits it: `7.3 s`, `12 min`, `5.2 h` or `3.1 d`.
fn uptime(millis: u64) -> String {
    let seconds = millis as f64 / 1e3;
    match seconds {
        ..60.0 => format!("{seconds:.1} s"),
        ..3_600.0 => format!("{:.1} min", seconds / 60.0),
        ..86_400.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::rpc::ServerAddress;
    use seedbed_core::rpc::proto::admin::{self, MessageCount};

    fn status(id: u32, role: Role, term: u64, commit_index: u64, applied: u64) -> ServerStatus {
        let count = |sent, dropped| MessageCount { sent, dropped, ..MessageCount::default() };
        let messages = vec![count(5, 1), count(2, 3)];
        ServerStatus { id, role: role.into(), term, commit_index, applied, messages, ..ServerStatus::default() }
    }

    #[test]
    fn the_newest_leader_counts_and_lags_are_behind_its_commits() {
        let answers = vec![
            (ServerAddress::local(1), Ok(status(0, Role::Leader, 3, 50, 50))),
            (
                ServerAddress::local(2),
                Ok(ServerStatus {
                    disk: Some(admin::Disk { file_bytes: 3 << 19, syncs: 7, ..admin::Disk::default() }),
                    ..status(1, Role::Leader, 4, 60, 58)
                }),
            ),
            (ServerAddress::local(3), Err("no answer in time".to_owned())),
        ];
        let overview = Overview::of(&answers);
        assert_eq!((overview.leader, overview.is_well()), (Some(1), false));
        let mut out = Vec::new();
        overview.write_text(&mut out).expect("memory can be written");
        let text = String::from_utf8(out).expect("text");
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            lines[1],
            ["0", "127.0.0.1:1", "leader", "3", "0", "50", "50", "10", "0", "0.0", "s", "none", "7", "4", "none"]
        );
        assert_eq!((lines[2][7], &lines[2][14..]), ("2", &["1.5", "MiB"][..]));
        assert_eq!(text.lines().nth(3), Some("127.0.0.1:3: no answer in time"));
        let json = serde_json::to_value(&overview).expect("JSON");
        assert_eq!(
            (&json["servers"][1]["lag"], &json["servers"][2]["unreachable"]),
            (&2.into(), &"no answer in time".into())
        );
        assert_eq!((&json["servers"][0]["disk"], &json["servers"][1]["disk"]["syncs"]), (&().into(), &7.into()));
    }

    #[test]
    fn without_a_leader_it_is_not_well() {
        let answers = vec![(ServerAddress::local(1), Ok(status(0, Role::Follower, 3, 50, 50)))];
        let overview = Overview::of(&answers);
        assert!(!overview.is_well());
        let mut out = Vec::new();
        overview.write_text(&mut out).expect("memory can be written");
        assert!(String::from_utf8(out).expect("text").ends_with("\nNo server leads.\n"));
    }

    #[test]
    fn sizes_have_a_suitable_unit() {
        assert_eq!([0, 73_728, 3 << 19, 5 << 30].map(size), ["0 KiB", "72 KiB", "1.5 MiB", "5.0 GiB"]);
    }

    #[test]
    fn uptimes_have_a_suitable_unit() {
        assert_eq!([900, 90_000, 7_200_000, 172_800_000].map(uptime), ["0.9 s", "1.5 min", "2.0 h", "2.0 d"]);
    }
}
