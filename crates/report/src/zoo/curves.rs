//! How soon each hunt of the zoo found what, as a table for other programs: curves are drawn from it.

use std::io::{self, Write};

use super::checkers;
use crate::csv::into_io;
use seedbed_core::lab::zoo::{Animal, Hunt};
use seedbed_core::mutation::Judgement;

/// The columns.
const HEADER: [&str; 9] =
    ["protocol", "mutant", "place", "function", "change", "judgement", "start", "checker", "seeds"];

/// Writes a row for each mutant, start and checker: how many seeds it took until the first finding, and nothing if there was
/// none. `any` and `black-box` count as checkers, too.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_csv(out: impl Write, animals: &[Animal]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(HEADER).map_err(into_io)?;
    let checkers = checkers(animals);
    for animal in animals {
        let name = animal.protocol.broken().unwrap_or("");
        let (place, function, change, judgement) = match animal.protocol.drawn() {
            Some(drawn) => (drawn.place, drawn.function, drawn.change, word(drawn.judgement)),
            None => ("", "", "", ""),
        };
        for (start, hunt) in animal.hunts.iter().enumerate() {
            let each = checkers.iter().map(|checker| (checker.name(), hunt.by(checker)));
            let sums = [("any", Hunt::by_any(hunt)), ("black-box", Hunt::by_general(hunt))];
            for (checker, seeds) in each.chain(sums) {
                let seeds = seeds.map(|seeds| seeds.to_string()).unwrap_or_default();
                let start = start.to_string();
                let row = [animal.protocol.name(), name, place, function, change, judgement, &start, checker, &seeds];
                writer.write_record(row).map_err(into_io)?;
            }
        }
    }
    writer.flush()
}

fn word(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::None => "",
        Judgement::Equivalent(_) => "equivalent",
        Judgement::Invisible(_) => "invisible",
        Judgement::Script(_) => "script",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::animal;
    use super::*;

    #[test]
    fn a_csv_file_has_a_row_for_each_mutant_start_and_checker() {
        let animals = [animal(Some("vote-once"), &[Some(3), None]), animal(None, &[None])];
        let mut file = Vec::new();
        write_csv(&mut file, &animals).expect("memory");
        let text = String::from_utf8(file).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 3 * 6);
        assert_eq!(lines[0], "protocol,mutant,place,function,change,judgement,start,checker,seeds");
        assert!(lines.contains(&"raft,vote-once,,,,,0,linearizability,3"), "{text}");
        assert!(lines.contains(&"raft,vote-once,,,,,1,black-box,"), "{text}");
        assert!(lines.contains(&"raft,,,,,,0,any,"), "{text}");
    }
}
