//! Machines that stand on the course's LAN.

use std::convert::Infallible;
use std::fmt;

use crate::machine::Machine;
use crate::node::Node;
use crate::service::Service;
use crate::wire::PeerMessage;

/// A machine whose messages are the datagrams of the course's LAN, so that it can be played there in virtual time
/// ([`virtual_time`](super::virtual_time)): the shipped node, or a whole program whose system calls are answered.
///
/// All datagrams go to the LAN's router and come from it; addresses and clients are inside them. The router is not a
/// replica, so the station's own place stands for it. It is the sender of every message that the station gets, and whom
/// the station sends to does not matter. A station has no disk: after a restart it is built anew.
///
/// The functions beside those of [`Machine`] are for stations that are more than a plain struct. They have defaults.
pub trait Station:
    Machine<Message = Box<[u8]>, Request = Infallible, Response = Infallible, Record = Infallible>
{
    /// Takes out the lines that the program has printed since the last call, in order, without their ends. Called after
    /// each input that it has handled.
    fn printed(&mut self, line: &mut dyn FnMut(&str)) {
        let _ = line;
    }

    /// Takes out the system calls that the program has made since the last call, a line for each, if they are told. They
    /// are no part of the run. Called after each input that it has handled.
    fn called(&mut self, line: &mut dyn FnMut(&str)) {
        let _ = line;
    }

    /// Takes out what the program did since the last call that cannot be simulated although the run goes on, in words
    /// as in [`obstacle`](Station::obstacle). Called after each input that it has handled. The run is not faithful from
    /// then on.
    fn unfaithful(&mut self, tell: &mut dyn FnMut(&str)) {
        let _ = tell;
    }

    /// Why the run cannot continue: the program did what cannot be simulated, in words that begin with a verb, as in
    /// `opens a TCP socket`. Asked after each input that it has handled; the first answer ends the run.
    fn obstacle(&self) -> Option<String> {
        None
    }

    /// Its power has failed, or it has ended: nothing that belongs to it may run any longer. It gets no more input, and
    /// is dropped when it is restarted or when the run ends. May be called more than once.
    fn power_off(&mut self) {}
}

/// A node is a plain struct.
impl<P: Service<Message: PeerMessage> + fmt::Display> Station for Node<P> {}
