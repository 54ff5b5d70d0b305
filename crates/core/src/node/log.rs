//! A node's log on standard error.

use std::fmt::{self, Display, Write as _};
use std::io::Write as _;

use super::{Ignored, Node};
use crate::printable::Excerpt;
use crate::service::Service;
use crate::time::{Span, Time};
use crate::wire::PeerMessage;

/// Counts of ignored datagrams are shown at most once in this time.
const IGNORED_EVERY: Span = Span::from_secs(5);

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    Off,
    /// The start, elections, and now and then how many datagrams were ignored.
    Info,
    /// Every datagram, too.
    Debug,
}

impl std::str::FromStr for Level {
    type Err = LevelError;

    /// Reads `off`, `info` or `debug`; an empty string is `off`.
    fn from_str(text: &str) -> Result<Level, LevelError> {
        match text {
            "" | "off" => Ok(Level::Off),
            "info" => Ok(Level::Info),
            "debug" => Ok(Level::Debug),
            _ => Err(LevelError),
        }
    }
}

/// A string that is not a [`Level`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("allowed is info, debug or off")]
pub struct LevelError;

/// Writes lines such as `[  1.234567 leader term 3 index 120 commit 118] text`.
#[derive(Debug)]
pub struct Log {
    level: Level,
    line: String,
    /// The state that an election changes, when it was last looked at.
    standing: String,
    ignored: Ignored,
    ignored_shown: Time,
}

impl Log {
    /// A log of this level.
    pub fn new(level: Level) -> Log {
        Log {
            level,
            line: String::new(),
            standing: String::new(),
            ignored: Ignored::default(),
            ignored_shown: Time::ZERO,
        }
    }

    /// Logs that the node runs.
    pub fn started<P>(&mut self, now: Time, node: &Node<P>, seed: u64)
    where
        P: Service<Message: PeerMessage> + Display,
    {
        if self.level >= Level::Info {
            let replicas = node.members().identity(seed).replicas;
            let text = format_args!("started as {} of {replicas} replicas, seed {seed}", node.members().own());
            self.write(now, node, text);
        }
    }

    /// Logs a datagram, with `-->` if it is sent and `<--` if it is received.
    #[inline]
    pub fn datagram<P>(&mut self, now: Time, node: &Node<P>, arrow: &str, bytes: &[u8])
    where
        P: Service<Message: PeerMessage> + Display,
    {
        if self.level >= Level::Debug {
            self.write(now, node, format_args!("{arrow} {}", Excerpt(bytes)));
        }
    }

    /// Logs an error of the socket.
    pub fn trouble<P>(&mut self, now: Time, node: &Node<P>, text: impl Display)
    where
        P: Service<Message: PeerMessage> + Display,
    {
        if self.level >= Level::Info {
            self.write(now, node, format_args!("{text}"));
        }
    }

    /// Logs the changes since it last looked.
    #[inline]
    pub fn look<P>(&mut self, now: Time, node: &Node<P>)
    where
        P: Service<Message: PeerMessage> + Display,
    {
        if self.level >= Level::Info {
            self.look_at_standing(now, node);
            self.look_at_ignored(now, node);
        }
    }

    fn look_at_standing<P>(&mut self, now: Time, node: &Node<P>)
    where
        P: Service<Message: PeerMessage> + Display,
    {
        let standing = format!("{:#}, leader {}", node.protocol(), node.leader());
        if standing != self.standing {
            self.write(now, node, format_args!("now {standing}"));
            self.standing = standing;
        }
    }

    fn look_at_ignored<P>(&mut self, now: Time, node: &Node<P>)
    where
        P: Service<Message: PeerMessage> + Display,
    {
        let ignored = node.ignored();
        if ignored != self.ignored && now >= self.ignored_shown + IGNORED_EVERY {
            (self.ignored, self.ignored_shown) = (ignored, now);
            self.write(now, node, format_args!("ignored so far: {ignored}"));
        }
    }

    fn write<P>(&mut self, now: Time, node: &Node<P>, text: fmt::Arguments<'_>)
    where
        P: Service<Message: PeerMessage> + Display,
    {
        self.line.clear();
        let (seconds, micros) = (now.nanos() / 1_000_000_000, now.nanos() / 1_000 % 1_000_000);
        let line = writeln!(self.line, "[{seconds:>3}.{micros:06} {}] {text}", node.protocol());
        line.expect("memory takes any text");
        // If standard error cannot be written, the error cannot be reported either.
        let _ = std::io::stderr().write_all(self.line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names() {
        for (text, level) in [("", Level::Off), ("off", Level::Off), ("info", Level::Info), ("debug", Level::Debug)] {
            assert_eq!(text.parse(), Ok(level));
        }
        assert_eq!("Info".parse::<Level>(), Err(LevelError));
    }
}
