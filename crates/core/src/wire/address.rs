//! Addresses on the LAN.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An address on the LAN, written as four hexadecimal digits. Case does not matter when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u16);

/// A string that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address is four hexadecimal digits")]
pub struct AddressError;

impl Address {
    /// `FFFF`: all programs as a destination, no replica as a leader.
    pub const BROADCAST: Address = Address(0xFFFF);

    /// The four upper-case digits.
    fn digits(self) -> [u8; 4] {
        [12, 8, 4, 0].map(|shift| b"0123456789ABCDEF"[usize::from(self.0 >> shift & 15)])
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        // `from_str_radix` alone would accept a sign.
        let is_address = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let address = is_address.then(|| u16::from_str_radix(text, 16).ok()).flatten();
        address.map(Address).ok_or(AddressError)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.digits()).expect("digits are ASCII"))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
        Text::deserialize(deserializer)?.0.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_exactly_four_hexadecimal_digits() {
        for (text, address) in [("0000", 0), ("001A", 26), ("f29a", 0xF29A), ("FFFF", 0xFFFF)] {
            assert_eq!(text.parse(), Ok(Address(address)));
        }
        for text in ["", "1", "00001", "+001", "-001", "00 1", "0x01", "00G1", "é00", "0.01"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError), "{text}");
        }
    }

    #[test]
    fn an_address_is_written_as_it_is_shown() {
        for address in [Address(0), Address(0x0AA1), Address(0xF29A), Address::BROADCAST] {
            assert_eq!(serde_json::to_string(&address).unwrap(), format!("\"{address}\""));
            assert_eq!(serde_json::from_str::<Address>(&format!("\"{address}\"")).unwrap(), address);
        }
        assert_eq!(serde_json::from_str::<Address>(r#""\u0030001""#).unwrap(), Address(1));
    }
}
