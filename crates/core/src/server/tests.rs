use super::admission::{Fact, Memory};
use super::{Config, Message, Record, Server};
use crate::id::{ClientId, Mid, ReplicaId};
use crate::machine::{Boot, Effect, Emission, Identity, Input, Machine, Outbox, Recovered, Stored};
use crate::raft::{self, AppendEntries, Entries, Sound};
use crate::service::Operation;
use crate::time::Time;

/// A server of three that starts, and what it leaves for its host when its first timeout comes.
fn started(disk: Option<Recovered<Record>>, incarnation: u32) -> (Server, Vec<Effect<Server>>) {
    let identity = Identity { id: ReplicaId(0), replicas: 3, seed: 7 };
    let boot = Boot { identity, incarnation, now: Time::ZERO, disk };
    let mut server = Server::boot(boot, Config::default(), Sound).expect("a sound disk");
    let effects = effects(&mut server, Input::Timeout);
    (server, effects)
}

fn effects(server: &mut Server, input: Input<Server>) -> Vec<Effect<Server>> {
    let mut out = Outbox::new();
    server.handle(Time(1), input, &mut out);
    out.drain().collect()
}

fn from(place: u8, message: Message) -> Input<Server> {
    Input::Peer { from: ReplicaId(place), message }
}

#[test]
fn a_server_writes_its_memory_down_before_it_names_it_and_whom_it_welcomes_before_it_says_so() {
    let (mut server, first) = started(Some(Recovered::empty()), 0);
    assert!(
        matches!(
            &first[..],
            [
                Effect::Persist(_),
                Effect::Sync,
                Effect::Emit(Emission::Send { message: Message::Hello { .. }, .. }),
                Effect::Emit(_)
            ]
        ),
        "{first:?}"
    );
    let hello = || from(1, Message::Hello { memory: Memory(5) });
    let welcome = effects(&mut server, hello());
    assert!(
        matches!(
            &welcome[..],
            [
                Effect::Persist(_),
                Effect::Sync,
                Effect::Emit(Emission::Send { to: ReplicaId(1), message: Message::Welcome { memory: Memory(5) } })
            ]
        ),
        "{welcome:?}"
    );
    let again = effects(&mut server, hello());
    assert!(
        matches!(&again[..], [Effect::Sync, Effect::Emit(Emission::Send { message: Message::Welcome { .. }, .. })]),
        "it is written down, but perhaps not on the disk: {again:?}"
    );
    let mut out = Outbox::new();
    server.handle(Time(200_000_000), Input::Timeout, &mut out);
    let greeting: Vec<_> = out.drain().collect();
    assert!(matches!(&greeting[..], [Effect::Sync, Effect::Emit(_), Effect::Emit(_)]), "{greeting:?}");
    let other = effects(&mut server, from(1, Message::Hello { memory: Memory(6) }));
    assert!(
        matches!(
            &other[..],
            [Effect::Sync, Effect::Emit(Emission::Send { message: Message::Forgotten { memory: Memory(6) }, .. })]
        ),
        "{other:?}"
    );
}

#[test]
fn a_server_with_its_disk_takes_part_again_at_once_and_one_that_lost_it_ends() {
    let (mut server, first) = started(Some(Recovered::empty()), 0);
    let mut records: Vec<_> = first.into_iter().filter_map(persisted).collect();
    let memory = server.admission().own();
    for other in [1, 2] {
        records
            .extend(effects(&mut server, from(other, Message::Welcome { memory })).into_iter().filter_map(persisted));
    }
    assert!(server.admission().is_admitted());
    let disk = Recovered { records: records.into_iter().map(Stored::Intact).collect(), torn: false };
    let (again, greets) = started(Some(disk), 1);
    assert!(again.admission().is_admitted() && again.admission().own() == memory && greets.is_empty(), "{greets:?}");

    let (mut wiped, _) = started(Some(Recovered::empty()), 1);
    assert_ne!(wiped.admission().own(), memory);
    assert!(effects(&mut wiped, from(1, Message::Forgotten { memory })).is_empty(), "that is not its memory");
    let own = wiped.admission().own();
    let ended = effects(&mut wiped, from(1, Message::Forgotten { memory: own }));
    assert!(matches!(&ended[..], [Effect::Exit(_)]), "{ended:?}");
}

fn persisted(effect: Effect<Server>) -> Option<Record> {
    match effect {
        Effect::Persist(record) => Some(record),
        _ => None,
    }
}

#[test]
fn names_and_tokens_differ_from_start_to_start() {
    let forwarded = |incarnation| {
        let (mut server, _) = started(None, incarnation);
        let memory = server.admission().own();
        for other in [1, 2] {
            effects(&mut server, from(other, Message::Welcome { memory }));
        }
        let heartbeat = AppendEntries {
            term: 1,
            prev_index: 0,
            prev_term: 0,
            commit_index: 0,
            sent: Time(1),
            entries: Entries::default(),
        };
        effects(&mut server, from(1, Message::Raft(raft::Message::AppendEntries(heartbeat))));
        let put = Operation::Put { key: "k".into(), value: "v".into() };
        let asked = effects(&mut server, Input::Client { from: ClientId(0), mid: Mid(1), request: put });
        asked.into_iter().find_map(|effect| match effect {
            Effect::Emit(Emission::Send { message: Message::Forward { token, operation, .. }, .. }) => {
                Some((token, format!("{operation:?}")))
            }
            _ => None,
        })
    };
    let (one, other) = (forwarded(0).expect("it is passed on"), forwarded(1).expect("it is passed on"));
    assert!(one.0 != other.0 && one.1 != other.1, "{one:?} {other:?}");
}

#[test]
fn a_checkpoint_replaces_the_facts_before_it_by_its_own() {
    let facts = [Fact::Own(Memory(5)), Fact::Met(ReplicaId(1), Memory(6)), Fact::Admitted];
    let remembered = Some(raft::Remembered { term: 3, vote: None, base: (0, 0), entries: Vec::new() });
    let part = raft::Part { last_index: 0, offset: 0, commands: Vec::new(), remembered };
    let checkpoint = raft::Checkpoint { last_term: 0, digest: 0, part };
    let raft = raft::Record::Checkpoint(Box::new(checkpoint));
    let records = [
        Record::Fact(Fact::Own(Memory(1))),
        Record::Checkpoint { raft, facts: facts.into() },
        Record::Fact(Fact::Met(ReplicaId(2), Memory(7))),
    ];
    let disk = Recovered { records: records.map(Stored::Intact).into(), torn: true };
    let (server, _) = started(Some(disk), 1);
    let known = server.admission().facts();
    assert_eq!(server.raft().term(), 3);
    assert_eq!(
        &known[..],
        [Fact::Own(Memory(5)), Fact::Met(ReplicaId(1), Memory(6)), Fact::Met(ReplicaId(2), Memory(7)), Fact::Admitted]
    );
}
