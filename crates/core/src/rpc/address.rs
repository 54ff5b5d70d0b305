//! The address of a server.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The address of a server: a host and a port, as in `127.0.0.1:7001`, `[::1]:7001` or `kv-0.example:7001`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerAddress {
    /// A name or an address, without brackets.
    host: String,
    port: u16,
}

/// A string that is not an address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is no address; allowed is HOST:PORT, as in 127.0.0.1:7001 or [::1]:7001", .0.escape_debug())]
pub struct AddressError(String);

impl ServerAddress {
    /// The server at this port of this machine.
    pub fn local(port: u16) -> ServerAddress {
        ServerAddress { host: "127.0.0.1".to_owned(), port }
    }

    /// The host: a name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether only this machine can reach it. Of names, only `localhost` counts.
    pub fn is_loopback(&self) -> bool {
        self.host.parse::<IpAddr>().map_or(self.host == "localhost", |address| address.is_loopback())
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<ServerAddress, AddressError> {
        let parse = || {
            let (host, port) = text.rsplit_once(':')?;
            // Digits only: `+80` parses as a number, but is not a port.
            let port = port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?;
            let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
                Some(inner) => inner.parse::<std::net::Ipv6Addr>().ok().map(|_| inner)?,
                None => Some(host).filter(|host| is_name(host))?,
            };
            Some(ServerAddress { host: host.to_owned(), port })
        };
        parse().ok_or_else(|| AddressError(text.chars().take(100).collect()))
    }
}

/// Whether this can be the name of a host, or an IPv4 address.
fn is_name(host: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=253).contains(&host.len()) && host.chars().all(allowed)
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_in_the_form_in_which_they_are_read() {
        for text in ["127.0.0.1:7001", "[::1]:80", "kv-0.example:7001", "localhost:0"] {
            assert_eq!(text.parse::<ServerAddress>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_malformed_address_is_refused_with_what_is_allowed() {
        for text in
            ["", "host", "host:", ":7001", "host:70000", "host:+80", "::1:80", "[x]:80", "a b:80", "http://a:80"]
        {
            let error = text.parse::<ServerAddress>().expect_err(text).to_string();
            assert!(error.starts_with(&format!("'{text}' is no address; allowed is HOST:PORT")), "{error}");
        }
    }

    #[test]
    fn a_loopback_address_is_one_that_no_other_machine_can_reach() {
        let is_loopback = |text: &str| text.parse::<ServerAddress>().expect(text).is_loopback();
        assert!(["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"].into_iter().all(is_loopback));
        assert!(!["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1"].into_iter().any(is_loopback));
    }
}
