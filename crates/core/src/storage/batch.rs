//! Records as bytes: those of one commit share a few values, because redb's work grows with the number of values.
//!
//! A value is a list of records, each with its length (four bytes, little-endian) before it. Its key is the number of
//! its first record.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::machine::Record;

/// A value with more bytes than this gets no further record. redb gives a large value pages of its own, whose number is
/// rounded up to a power of two; with its header, a value of this size fits in 16 of them.
const VALUE_BYTES_MAX: usize = 60 << 10;

/// The largest record. redb takes values of up to 3 GiB.
const RECORD_BYTES_MAX: usize = 1 << 30;

/// Consecutive records, ready to be written.
#[derive(Debug)]
pub(super) struct Batch {
    /// The first record's number and the bytes of each value.
    pub(super) values: Vec<(u64, Vec<u8>)>,
    /// How many records there are.
    pub(super) records: u64,
    /// How many bytes the values have.
    pub(super) bytes: usize,
    /// Where the newest checkpoint begins that ends here.
    pub(super) first: Option<u64>,
    /// Where a checkpoint was begun that has not ended.
    pub(super) begun: Option<u64>,
}

/// A record without a form in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unencodable {
    pub(super) number: u64,
    pub(super) what: String,
}

impl Batch {
    /// Encodes records from the first on, until the batch has this many bytes. There is at least one, unless there are
    /// none at all.
    pub(super) fn encode<R: Record + Serialize>(
        records: &[R],
        number: u64,
        begun: Option<u64>,
        bytes_max: usize,
    ) -> Result<Batch, Unencodable> {
        let mut batch = Batch { values: Vec::new(), records: 0, bytes: 0, first: None, begun };
        for record in records {
            if batch.bytes >= bytes_max {
                break;
            }
            batch.push(number + batch.records, record)?;
        }
        Ok(batch)
    }

    fn push<R: Record + Serialize>(&mut self, number: u64, record: &R) -> Result<(), Unencodable> {
        let (begins, ends) = (record.begins_checkpoint(), record.ends_checkpoint());
        // The first record that counts is always the first of a value.
        let is_open = self.values.last().is_some_and(|(_, value)| value.len() < VALUE_BYTES_MAX);
        if begins || (ends && self.begun.is_none()) || !is_open {
            self.values.push((number, Vec::new()));
        }
        if begins {
            self.begun = Some(number);
        }
        if ends {
            self.first = Some(self.begun.take().unwrap_or(number));
        }
        let value = &mut self.values.last_mut().expect("one was pushed").1;
        let before = value.len();
        append(value, record).map_err(|what| Unencodable { number, what })?;
        self.bytes += value.len() - before;
        self.records += 1;
        Ok(())
    }
}

fn append<R: Serialize>(value: &mut Vec<u8>, record: &R) -> Result<(), String> {
    let start = value.len();
    value.extend([0; 4]);
    let mut bytes = postcard::to_extend(record, std::mem::take(value)).map_err(|error| error.to_string())?;
    let length = bytes.len() - start - 4;
    if length > RECORD_BYTES_MAX {
        return Err(format!("it has {length} bytes; allowed are {RECORD_BYTES_MAX}"));
    }
    bytes[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
    *value = bytes;
    Ok(())
}

/// Reads the records of a value, and appends them to `records`. Returns how many there were.
pub(super) fn decode<R: DeserializeOwned>(mut value: &[u8], mut each: impl FnMut(R)) -> Result<u64, String> {
    let mut count = 0;
    while !value.is_empty() {
        let (length, rest) = value.split_first_chunk::<4>().ok_or("a length is cut off")?;
        let length = u32::from_le_bytes(*length) as usize;
        let (bytes, rest) = rest.split_at_checked(length).ok_or("a record is cut off")?;
        each(postcard::from_bytes(bytes).map_err(|error| error.to_string())?);
        count += 1;
        value = rest;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Line(char, String);

    impl Record for Line {
        fn begins_checkpoint(&self) -> bool {
            self.0 == '['
        }

        fn ends_checkpoint(&self) -> bool {
            self.0 == ']'
        }
    }

    fn lines(marks: &str) -> Vec<Line> {
        marks.chars().map(|mark| Line(mark, "text".to_owned())).collect()
    }

    #[test]
    fn a_checkpoint_begins_a_value() {
        for (marks, begun, starts, first) in [
            ("....", None, vec![7], None),
            (".[..]..", None, vec![7, 8], Some(8)),
            ("..]..", None, vec![7, 9], Some(9)),
            ("..]..", Some(3), vec![7], Some(3)),
            ("[.[.]", None, vec![7, 9], Some(9)),
            ("]]", None, vec![7, 8], Some(8)),
        ] {
            let records = lines(marks);
            let batch = Batch::encode(&records, 7, begun, usize::MAX).expect("lines have a form");
            assert_eq!(batch.values.iter().map(|(number, _)| *number).collect::<Vec<_>>(), starts, "{marks}");
            assert_eq!((batch.first, batch.records), (first, records.len() as u64), "{marks}");
            let mut read = Vec::new();
            for (number, value) in &batch.values {
                assert_eq!(7 + read.len() as u64, *number);
                decode(value, |line: Line| read.push(line)).expect("what was encoded");
            }
            assert_eq!(read, records);
        }
    }

    #[test]
    fn values_and_batches_are_bounded_and_take_one_record_of_any_size() {
        let records: Vec<Line> = (0..5).map(|_| Line('.', "x".repeat(VALUE_BYTES_MAX / 2))).collect();
        let batch = Batch::encode(&records, 0, None, usize::MAX).expect("lines have a form");
        assert_eq!(batch.values.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 2, 4]);
        let batch = Batch::encode(&records, 0, None, 1).expect("lines have a form");
        assert_eq!(batch.records, 1);
    }

    #[test]
    fn a_value_that_is_cut_anywhere_is_refused_or_has_fewer_records() {
        let batch = Batch::encode(&lines("..."), 0, None, usize::MAX).expect("lines have a form");
        let value = &batch.values[0].1;
        for length in 0..value.len() {
            let read = decode(&value[..length], |_: Line| ());
            assert!(read.as_ref().map_or(true, |count| *count < 3), "{length}: {read:?}");
        }
    }
}
