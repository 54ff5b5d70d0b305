//! The checksum of datagrams between replicas.
//!
//! UDP's own checksum has 16 bits, is optional, and is recomputed by every router. So a damaged datagram can arrive,
//! and one flipped bit turns the digit of a term or an index into another digit. No Raft survives that. Each datagram
//! from replica to replica therefore has a key `sum`: a 64-bit number over all its other keys and their values, sender,
//! receiver and type included.
//!
//! It is computed from the content of the JSON, not from its bytes. The router between replicas may decode JSON and
//! encode it again, with other whitespace, other escapes or its keys in another order; none of these changes the sum.
//! The router must preserve integers of 64 bits. A router whose numbers are all doubles does not; it would change
//! digests, too.
//!
//! - A string, number, truth value or `null` is hashed with its kind. Strings are hashed without their escapes.
//! - A list is hashed element by element, then its length.
//! - An object is the sum of the hashes of its keys with their values, which has no order, then the number of its keys.
//!
//! The hash is [`StableHasher`]. It maps different states to different states, so a datagram in which one number or one
//! character has changed never has the same sum. It is not keyed: it detects accidents, not forgeries.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::hash::StableHasher;

/// The key that holds the checksum.
pub(super) const KEY: &str = "sum";

/// The checksum of a datagram, as computed and as stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checksum {
    /// The sum over its other keys.
    pub computed: u64,
    /// The number under its own key `sum`, if it has one.
    pub stated: Option<u64>,
}

impl Checksum {
    /// The checksum of a datagram.
    ///
    /// # Errors
    /// If it is not a JSON object, or its checksum is not an integer or appears twice.
    pub fn of(datagram: &[u8]) -> Result<Checksum, serde_json::Error> {
        serde_json::from_slice(datagram)
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Checksum, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Checksum;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a datagram")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Checksum, A::Error> {
                let (mut object, mut stated) = (Object::default(), None);
                while let Some(Key { hash, is_checksum }) = map.next_key()? {
                    if !is_checksum {
                        object.add(hash, map.next_value()?);
                    } else if stated.replace(map.next_value()?).is_some() {
                        return Err(Error::duplicate_field(KEY));
                    }
                }
                Ok(Checksum { computed: object.content().0, stated })
            }
        }
        deserializer.deserialize_map(Whole)
    }
}

/// A key of an object.
struct Key {
    hash: u64,
    is_checksum: bool,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                Ok(Key { hash: hash_of_text(key), is_checksum: key == KEY })
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The hash of a JSON value.
#[derive(Clone, Copy)]
struct Content(u64);

/// The kinds of values. Values of different kinds never have the same hash because they look alike.
#[derive(Clone, Copy)]
enum Kind {
    Null,
    Truth,
    Whole,
    Negative,
    Decimal,
    Text,
    List,
    Object,
}

impl Content {
    fn new(kind: Kind, words: &[u64]) -> Content {
        let mut hasher = StableHasher::new();
        hasher.word(kind as u64);
        words.iter().for_each(|&word| hasher.word(word));
        Content(hasher.value())
    }
}

fn hash_of_text(text: &str) -> u64 {
    use std::hash::Hasher;
    let mut hasher = StableHasher::new();
    hasher.word(text.len() as u64);
    hasher.write(text.as_bytes());
    hasher.value()
}

/// The hash of an object, whatever the order of its keys.
#[derive(Default)]
struct Object {
    sum: u64,
    keys: u64,
}

impl Object {
    fn add(&mut self, key: u64, value: Content) {
        let mut pair = StableHasher::new();
        pair.word(key);
        pair.word(value.0);
        self.sum = self.sum.wrapping_add(pair.value());
        self.keys += 1;
    }

    fn content(self) -> Content {
        Content::new(Kind::Object, &[self.sum, self.keys])
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Content, D::Error> {
        struct ContentVisitor;
        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Content, E> {
                Ok(Content::new(Kind::Null, &[]))
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Content, E> {
                Ok(Content::new(Kind::Truth, &[u64::from(truth)]))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Content, E> {
                Ok(Content::new(Kind::Whole, &[number]))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Content, E> {
                Ok(Content::new(Kind::Negative, &[number as u64]))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Content, E> {
                Ok(Content::new(Kind::Decimal, &[number.to_bits()]))
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::new(Kind::Text, &[hash_of_text(text)]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
                let (mut elements, mut count) = (StableHasher::new(), 0);
                while let Some(Content(element)) = list.next_element()? {
                    elements.word(element);
                    count += 1;
                }
                Ok(Content::new(Kind::List, &[elements.value(), count]))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
                let mut object = Object::default();
                while let Some(Key { hash, .. }) = map.next_key()? {
                    object.add(hash, map.next_value()?);
                }
                Ok(object.content())
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn computed(text: &str) -> u64 {
        Checksum::of(text.as_bytes()).unwrap().computed
    }

    #[test]
    fn a_checksum_is_the_same_number_everywhere() {
        // Written down once. After a change here, replicas of two versions ignore each other.
        let text = r#"{"src":"0000","type":"x","n":7,"list":[true,null,-1,0.5,{"a":"b"}]}"#;
        assert_eq!(computed(text), 9_480_458_013_679_711_028);
    }

    #[test]
    fn whitespace_order_of_keys_and_escapes_do_not_change_a_checksum() {
        let text = r#"{"src":"0000","k":"é\n/","e":[[1,"a"],{"x":1,"y":2}]}"#;
        for other in [
            r#" { "k" : "\u00e9\u000a\/" , "e" : [ [1, "\u0061"] , {"y":2, "x":1} ], "src":"0000" } "#,
            r#"{"sum":7,"e":[[1,"a"],{"x":1,"y":2}],"src":"0000","\u006b":"é\n/"}"#,
        ] {
            assert_eq!(computed(text), computed(other), "{other}");
        }
    }

    #[test]
    fn any_other_change_changes_the_checksum() {
        let texts = [
            r#"{"a":1,"b":2}"#,
            r#"{"a":2,"b":1}"#,
            r#"{"a":1,"b":3}"#,
            r#"{"a":1}"#,
            r#"{"a":1,"a":1,"b":2}"#,
            r#"{"a":"1","b":2}"#,
            r#"{"a":1.0,"b":2}"#,
            r#"{"a":-1,"b":2}"#,
            r#"{"a":true,"b":2}"#,
            r#"{"a":null,"b":2}"#,
            r#"{"a":[1],"b":2}"#,
            r#"{"a":[1,1],"b":2}"#,
            r#"{"a":[[1],1],"b":2}"#,
            r#"{"a":{"a":1},"b":2}"#,
            r#"{"a":1,"b":2,"c":{}}"#,
            r#"{"a":1,"b":2,"c":[]}"#,
            r#"{"a":1,"b":2,"c":""}"#,
            r#"{"a":1,"b":2,"c":"\u0000"}"#,
            r#"{"a":1,"b":2,"c":{"sum":1}}"#,
            r#"{"a":1,"b":2,"c":{"sum":2}}"#,
            "{}",
        ];
        for (place, text) in texts.iter().enumerate() {
            assert!(texts[..place].iter().all(|other| computed(other) != computed(text)), "{text}");
        }
    }

    #[test]
    fn a_checksum_is_one_integer() {
        assert_eq!(Checksum::of(br#"{"a":1}"#).unwrap().stated, None);
        assert_eq!(Checksum::of(br#"{"sum":18446744073709551615}"#).unwrap().stated, Some(u64::MAX));
        for text in [r#"{"sum":1,"sum":1}"#, r#"{"sum":"1"}"#, r#"{"sum":-1}"#, r#"{"sum":null}"#, r#"[1]"#, "7", ""] {
            assert!(Checksum::of(text.as_bytes()).is_err(), "{text}");
        }
    }
}
