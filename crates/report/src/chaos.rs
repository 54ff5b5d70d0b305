//! The chaos monkeys of a running cluster: their matrices, and the effect of each event of a play.

use std::io::{self, Write};

use seedbed_core::chaos::{ChaosMonkey, ConnectivityMatrix, Fault, Target};
use seedbed_core::client::Each;
use seedbed_core::id::ReplicaSet;

/// Writes the matrices that servers answered with, each once: below the names of its servers if there are several.
/// Returns how many there are.
///
/// # Errors
/// If writing to `out` fails.
pub fn write_matrices(out: &mut impl Write, answers: &Each<ConnectivityMatrix>) -> io::Result<usize> {
    let mut kinds: Vec<(&ConnectivityMatrix, Vec<String>)> = Vec::new();
    for (server, answer) in answers {
        let Ok(matrix) = answer else { continue };
        match kinds.iter_mut().find(|(other, _)| *other == matrix) {
            Some((_, servers)) => servers.push(server.to_string()),
            None => kinds.push((matrix, vec![server.to_string()])),
        }
    }
    for (place, (matrix, servers)) in kinds.iter().enumerate() {
        if kinds.len() > 1 {
            writeln!(out, "{}{}:", if place == 0 { "" } else { "\n" }, servers.join(", "))?;
        }
        write_matrix(out, matrix)?;
    }
    Ok(kinds.len())
}

/// Writes a matrix in columns.
fn write_matrix(out: &mut impl Write, matrix: &ConnectivityMatrix) -> io::Result<()> {
    let words: Vec<Vec<String>> =
        matrix.rows().map(|row| row.iter().map(|value| format!("{value:?}")).collect()).collect();
    let width = words.iter().flatten().map(String::len).max().unwrap_or(0);
    words.iter().try_for_each(|row| {
        let row: Vec<String> = row.iter().map(|word| format!("{word:<width$}")).collect();
        writeln!(out, "{}", row.join(" ").trim_end())
    })
}

/// The effect of an event, in a few words. The monkey knows the sides of partitions.
pub fn effect(fault: &Fault, monkey: &ChaosMonkey, replicas: usize) -> String {
    let names = |set: ReplicaSet| set.iter().map(|one| one.index().to_string()).collect::<Vec<_>>().join(", ");
    let name = fault.name();
    match fault {
        Fault::PartEasy | Fault::PartHard => {
            let group = monkey.group().unwrap_or_default();
            format!("{name}: {} | {}", names(group), names(ReplicaSet::all(replicas).minus(group)))
        }
        Fault::Isolate(Target::Replica(replica)) => format!("{name}: {}", replica.index()),
        Fault::Isolate(_) => format!("{name}: {}", names(monkey.isolated())),
        Fault::SetLink { from, to, value } => format!("{name}: {} to {} loses {value:?}", from.index(), to.index()),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::id::ReplicaId;
    use seedbed_core::rpc::ServerAddress;

    fn written(answers: &Each<ConnectivityMatrix>) -> (usize, String) {
        let mut out = Vec::new();
        let kinds = write_matrices(&mut out, answers).expect("memory");
        (kinds, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn a_matrix_that_all_servers_have_is_written_once_and_in_columns() {
        let lossy = ConnectivityMatrix::from_rows(2, &[vec![0.0, 0.25], vec![1.0, 0.1]]).expect("a matrix");
        let healthy = ConnectivityMatrix::uniform(2, 0.0).expect("a matrix");
        let mut answers =
            vec![(ServerAddress::local(1), Ok(lossy.clone())), (ServerAddress::local(2), Err("no answer".to_owned()))];
        assert_eq!(written(&answers), (1, "0.0  0.25\n1.0  0.1\n".to_owned()));
        answers.extend([(ServerAddress::local(3), Ok(healthy)), (ServerAddress::local(4), Ok(lossy))]);
        let text = "127.0.0.1:1, 127.0.0.1:4:\n0.0  0.25\n1.0  0.1\n\n127.0.0.1:3:\n0.0 0.0\n0.0 0.0\n";
        assert_eq!(written(&answers), (2, text.to_owned()));
    }

    #[test]
    fn the_effect_of_an_event_names_the_replicas_that_it_hits() {
        let mut monkey = ChaosMonkey::new(ConnectivityMatrix::uniform(5, 0.0).expect("a matrix"), &[], 1);
        monkey.partition([1, 4].into_iter().map(ReplicaId).collect());
        assert_eq!(effect(&Fault::PartHard, &monkey, 5), "part_hard: 1, 4 | 0, 2, 3");
        assert_eq!(effect(&Fault::isolate(ReplicaId(3)), &monkey, 5), "isolate: 3");
        let link = Fault::SetLink { from: ReplicaId(0), to: ReplicaId(2), value: 0.5 };
        assert_eq!(effect(&link, &monkey, 5), "set_link: 0 to 2 loses 0.5");
    }
}
