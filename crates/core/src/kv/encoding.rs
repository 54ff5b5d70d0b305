//! Commands as they are written to disks: by their content, without what is computed from it.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Command;
use crate::service::{RequestId, Text};

/// The content of a command. The order of the fields is the format.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Command")]
struct Content<'c> {
    key: Cow<'c, str>,
    value: Cow<'c, str>,
    expected: Option<Cow<'c, str>>,
    /// The client and the number of its request.
    request: Option<(u64, u64)>,
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let content = Content {
            key: Cow::Borrowed(self.key()),
            value: Cow::Borrowed(self.value()),
            expected: self.expected().map(|expected| Cow::Borrowed(&**expected)),
            request: self.request().map(|RequestId { client, number }| (client, number)),
        };
        content.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Command, D::Error> {
        let Content { key, value, expected, request } = Content::deserialize(deserializer)?;
        let request = request.map(|(client, number)| RequestId { client, number });
        Ok(Command::on_terms(Text::from(key), Text::from(value), expected.map(Text::from), request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_back_as_it_was_written() {
        for expected in [None, Some(""), Some("old")] {
            for request in [None, Some(RequestId { client: u64::MAX, number: 0 })] {
                let command = Command::on_terms("k\u{e9}".into(), "v\n".into(), expected.map(Text::from), request);
                let text = serde_json::to_string(&command).expect("it can be written");
                let again: Command = serde_json::from_str(&text).expect("it can be read");
                assert_eq!(again, command);
                assert_eq!((again.digest(), again.bytes()), (command.digest(), command.bytes()));
            }
        }
        assert!(serde_json::from_str::<Command>("{}").is_err());
    }
}
