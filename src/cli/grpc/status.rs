//! `seedbed status`: how the servers of a gRPC cluster are doing.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde::Serialize;

use super::connection::{self, ConnectionArgs, seconds};
use crate::cli::error::CliError;
use crate::cli::{Outcome, output};
use crate::client::{Each, Servers, status};
use crate::rpc::proto::admin::{Role, ServerStatus};

/// Takes a terminal's text away and begins at the top.
const CLEAR_SCREEN: &str = "\x1b[2J\x1b[H";

/// Show how the servers of a gRPC cluster are doing
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
`lag` is how many entries a server has yet to apply of those that the leader has committed. `sent` and `dropped` count
messages between servers: those that it sent, and those that its chaos monkey dropped when they arrived.

Exit codes: 0 all servers answer and one leads, 1 one does not answer or none leads, 2 bad usage or input.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    connection: ConnectionArgs,

    /// Print JSON in place of the table
    #[arg(long)]
    json: bool,

    /// Ask again every so many seconds, until Ctrl-C
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    watch: Option<Duration>,
}

/// What all servers say together.
#[derive(Debug, Serialize)]
struct Overview {
    /// The number of the leader; of several, the one of the newest term.
    leader: Option<u32>,
    servers: Vec<Line>,
}

/// What one server says.
#[derive(Debug, Serialize)]
struct Line {
    address: String,
    #[serde(flatten)]
    answer: Answer,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Status(Box<Told>),
    Unreachable { unreachable: String },
}

#[derive(Debug, Serialize)]
struct Told {
    id: u32,
    cluster: String,
    version: String,
    role: &'static str,
    term: u64,
    leader: Option<u32>,
    last_index: u64,
    commit_index: u64,
    applied: u64,
    /// How many entries it is behind the leader's commits; none if nobody leads.
    lag: Option<u64>,
    keys: u64,
    uptime_ms: u64,
    connected: Vec<u32>,
    sent: u64,
    dropped: u64,
    ignored: u64,
    overflowed: u64,
    chaos: bool,
}

/// Carries out the command.
pub(in crate::cli) fn execute(args: &Args) -> Result<Outcome, CliError> {
    connection::block_on(async {
        let servers = args.connection.servers().await?;
        let Some(interval) = args.watch else { return look(args, &servers, "").await };
        let before = if io::stdout().is_terminal() && !args.json { CLEAR_SCREEN } else { "" };
        loop {
            look(args, &servers, before).await?;
            tokio::time::sleep(interval).await;
        }
    })
}

/// Asks all servers once and shows what they say.
async fn look(args: &Args, servers: &Servers, before: &str) -> Result<Outcome, CliError> {
    let overview = Overview::of(&status::of_each(servers, args.connection.try_timeout()).await?);
    let mut out = output::stdout();
    out.write_all(before.as_bytes())?;
    if args.json {
        // One line a time, so that programs can read on.
        let written = match args.watch {
            Some(_) => serde_json::to_writer(&mut out, &overview),
            None => serde_json::to_writer_pretty(&mut out, &overview),
        };
        written.map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        overview.write(&mut out)?;
    }
    out.flush()?;
    Ok(Outcome::of(overview.is_well()))
}

impl Overview {
    fn of(answers: &Each<ServerStatus>) -> Overview {
        let statuses = || answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
        let leader = status::leader(statuses());
        let line = |(address, answer): &(_, Result<ServerStatus, String>)| Line {
            address: ToString::to_string(address),
            answer: match answer {
                Ok(status) => Answer::Status(Box::new(Told::of(status, leader))),
                Err(reason) => Answer::Unreachable { unreachable: reason.clone() },
            },
        };
        Overview { leader: leader.map(|leader| leader.id), servers: answers.iter().map(line).collect() }
    }

    /// Whether all servers answer and one leads.
    fn is_well(&self) -> bool {
        self.leader.is_some() && self.servers.iter().all(|line| matches!(line.answer, Answer::Status(_)))
    }

    /// A table, with what cannot be reached below it.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        const HEADS: [&str; 13] = [
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
        ];
        let rows: Vec<[String; 13]> = self.servers.iter().filter_map(Line::row).collect();
        if !rows.is_empty() {
            let width = |column: usize| rows.iter().map(|row| row[column].len()).fold(HEADS[column].len(), usize::max);
            let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
            for row in std::iter::once(HEADS.map(str::to_owned)).chain(rows) {
                let cell = |(column, text): (usize, &String)| {
                    let width = widths[column];
                    // Words to the left, numbers to the right.
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
    fn row(&self) -> Option<[String; 13]> {
        let Answer::Status(told) = &self.answer else { return None };
        let connected: Vec<String> = told.connected.iter().map(u32::to_string).collect();
        Some([
            told.id.to_string(),
            self.address.clone(),
            told.role.to_owned(),
            told.term.to_string(),
            told.last_index.to_string(),
            told.commit_index.to_string(),
            told.applied.to_string(),
            told.lag.map_or_else(|| "?".to_owned(), |lag| lag.to_string()),
            told.keys.to_string(),
            uptime(told.uptime_ms),
            if connected.is_empty() { "none".to_owned() } else { connected.join(",") },
            told.sent.to_string(),
            told.dropped.to_string(),
        ])
    }
}

impl Told {
    fn of(status: &ServerStatus, leader: Option<&ServerStatus>) -> Told {
        let role = match Role::try_from(status.role) {
            Ok(Role::Joining) => "joining",
            Ok(Role::Follower) => "follower",
            Ok(Role::PreCandidate) => "pre-candidate",
            Ok(Role::Candidate) => "candidate",
            Ok(Role::Leader) => "leader",
            Err(_) => "?",
        };
        Told {
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
        }
    }
}

/// As long as it has to be: `7.3 s`, `12 min`, `5.2 h` or `3.1 d`.
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
    use crate::rpc::ServerAddress;
    use crate::rpc::proto::admin::MessageCount;

    fn status(id: u32, role: Role, term: u64, commit_index: u64, applied: u64) -> ServerStatus {
        let count = |sent, dropped| MessageCount { sent, dropped, ..MessageCount::default() };
        let messages = vec![count(5, 1), count(2, 3)];
        ServerStatus { id, role: role.into(), term, commit_index, applied, messages, ..ServerStatus::default() }
    }

    #[test]
    fn the_newest_leader_counts_and_lags_are_behind_its_commits() {
        let answers = vec![
            (ServerAddress::local(1), Ok(status(0, Role::Leader, 3, 50, 50))),
            (ServerAddress::local(2), Ok(status(1, Role::Leader, 4, 60, 58))),
            (ServerAddress::local(3), Err("no answer in time".to_owned())),
        ];
        let overview = Overview::of(&answers);
        assert_eq!((overview.leader, overview.is_well()), (Some(1), false));
        let mut out = Vec::new();
        overview.write(&mut out).expect("memory can be written");
        let text = String::from_utf8(out).expect("text");
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            lines[1],
            ["0", "127.0.0.1:1", "leader", "3", "0", "50", "50", "10", "0", "0.0", "s", "none", "7", "4"]
        );
        assert_eq!(lines[2][7], "2");
        assert_eq!(text.lines().nth(3), Some("127.0.0.1:3: no answer in time"));
        let json = serde_json::to_value(&overview).expect("JSON");
        assert_eq!(
            (&json["servers"][1]["lag"], &json["servers"][2]["unreachable"]),
            (&2.into(), &"no answer in time".into())
        );
    }

    #[test]
    fn without_a_leader_it_is_not_well() {
        let answers = vec![(ServerAddress::local(1), Ok(status(0, Role::Follower, 3, 50, 50)))];
        let overview = Overview::of(&answers);
        assert!(!overview.is_well());
        let mut out = Vec::new();
        overview.write(&mut out).expect("memory can be written");
        assert!(String::from_utf8(out).expect("text").ends_with("\nNo server leads.\n"));
    }

    #[test]
    fn uptimes_are_as_long_as_they_have_to_be() {
        assert_eq!([900, 90_000, 7_200_000, 172_800_000].map(uptime), ["0.9 s", "1.5 min", "2.0 h", "2.0 d"]);
    }
}
