//! Whatever bytes come in, reading them does no harm, and what can be read is written and read again as the same. What is
//! written has the right checksum; what comes in is read here whatever its checksum is.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use seedbed_core::kv::Command;
use seedbed_core::raft::Message;
use seedbed::wire::{DATAGRAM_BYTES_MAX, Datagram, Datagrams, Envelope, PeerMessage};

fuzz_target!(|bytes: &[u8]| {
    let mut rewritten = String::new();
    let as_python = Datagram::parse_as_python(bytes, &mut rewritten).is_ok();
    let Ok(datagram) = Datagram::parse(bytes) else { return };
    let _ = datagram.is_intact();
    assert!(as_python, "Python reads all that is JSON");
    let mid = datagram.mid.as_deref().unwrap_or("1");
    let Datagram { src, dst, leader, .. } = datagram;
    let envelope = Envelope { src, dst, leader, mid };
    let mut out = Datagrams::new();
    if let Ok(Some(operation)) = datagram.operation() {
        out.push_operation(&envelope, &operation);
        assert_eq!(only(&out).operation().unwrap(), Some(operation));
    }
    if let Some(response) = datagram.response() {
        out.clear();
        out.push_response(&envelope, &response);
        assert_eq!(only(&out).response(), Some(response));
    }
    if let Some(copy) = <Arc<Command>>::decode(&datagram) {
        out.clear();
        copy.encode(&envelope, &mut out);
        assert!(only(&out).is_intact());
        assert_eq!(PeerMessage::decode(&only(&out)), Some(copy));
    }
    if let Some(message) = Message::<Arc<Command>>::decode(&datagram) {
        out.clear();
        message.encode(&envelope, &mut out);
        assert!(out.iter().all(|part| part.len() <= DATAGRAM_BYTES_MAX));
        assert!(out.iter().all(|part| Datagram::parse(part).unwrap().is_intact()));
        if out.len() == 1 {
            assert_eq!(PeerMessage::decode(&only(&out)), Some(message));
        }
    }
});

/// The only datagram that was written.
fn only(out: &Datagrams) -> Datagram<'_> {
    assert_eq!(out.len(), 1);
    Datagram::parse(out.iter().next().unwrap()).expect("what is written can be read")
}
