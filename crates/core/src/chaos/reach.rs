//! Which worlds can play what a scenario asks for.

use std::fmt;

/// In which worlds something can be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// In all worlds: it needs only a matrix of losses, and processes that can be stopped and started.
    Everywhere,
    /// Where replicas have a network of this program's between them.
    Processes,
    /// Where replicas are whole servers, which have disks and whose clients send them updates of every kind.
    Servers,
    /// Where time is simulated, and with it clocks, delays and second copies of messages.
    VirtualTime,
    /// Where disks are simulated, too, and messages are values.
    Simulated,
}

/// The worlds, in words.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reach::Everywhere => "every world",
            Reach::Processes => "the virtual and the live world",
            Reach::Servers => "the virtual and the gRPC world",
            // The course's LAN in virtual time is not a world that a user names: it is where such a protocol is played.
            Reach::VirtualTime | Reach::Simulated => "the virtual world",
        })
    }
}
