//! A program that writes is killed, again and again.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use super::*;

const WRITER: &str = "storage::tests::killed::the_program_that_is_killed";
const ROUNDS: u64 = 10;

/// Every 500th record is a checkpoint of its own, and every 500th but one ends one that began 100 records before.
fn line(number: u64) -> Line {
    let mark = match number % 1_000 {
        500 => ']',
        800 => '[',
        900 => ']',
        _ => '.',
    };
    Line(number, mark, vec![number as u8; (number % 300) as usize])
}

/// The other program: this one, with one test. It reads the folder's path from standard input, and says how many
/// records are synced.
#[test]
#[ignore = "the other half of the test below"]
fn the_program_that_is_killed() {
    let mut path = String::new();
    io::stdin().read_line(&mut path).expect("a line");
    let (storage, _) = open(Path::new(path.trim_end())).expect("a folder");
    let start = storage.next;
    let (told, progress) = std::sync::mpsc::channel();
    let writer = Writer::spawn(storage, move |progress| {
        let Progress::Synced { up_to } = progress else { panic!("{progress:?}") };
        println!("synced {}", start + up_to);
        told.send(up_to).expect("it is read");
    });
    let writer = writer.expect("a thread");
    let mut synced = 0;
    for number in 0_u64.. {
        writer.persist(line(start + number));
        writer.sync();
        while synced + 200 < number {
            synced = progress.recv().expect("progress");
        }
    }
}

fn spawn(folder: &Path) -> Child {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args([WRITER, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("this program runs");
    writeln!(child.stdin.take().expect("a pipe"), "{}", folder.display()).expect("it reads");
    child
}

/// The last number that it says in this text. A line that was cut off says nothing.
fn last_synced(text: &str) -> Option<u64> {
    let whole = &text[..text.rfind('\n')? + 1];
    whole.lines().rev().find_map(|line| line.rsplit_once("synced ")?.1.parse().ok())
}

#[test]
fn a_program_that_is_killed_at_any_time_has_lost_nothing_that_it_called_synced() {
    let folder = folder();
    let mut stream = Stream::new(1, "kills");
    let mut synced = 0;
    for round in 0..ROUNDS {
        let mut child = spawn(folder.path());
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut said = String::new();
        for _ in 0..10 + stream.below(60) {
            output.read_line(&mut said).expect("text");
        }
        child.kill().expect("it runs");
        output.read_to_string(&mut said).expect("text");
        child.wait().expect("it has ended");
        let now = last_synced(&said).expect("it has synced something");
        assert!(now > synced, "round {round}: {now} after {synced}");
        synced = now;
        let read = read_back(folder.path()).expect("a kill does no harm");
        let (first, next) = (read[0].0, read[read.len() - 1].0 + 1);
        assert!(next >= synced, "round {round}: {next} of {synced} records");
        assert_eq!(read, (first..next).map(line).collect::<Vec<_>>());
        assert!(next - first <= 1_200 && line(first).1 != '.' || first == 0, "round {round}: from {first} to {next}");
    }
    assert!(synced > 1_000, "checkpoints were written: {synced}");
}
