//! A range of seeds, as it is written on a command line and in files.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// One seed or more, in a row: `7`, `0..100` (without 100) or `0..=99`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedRange {
    first: u64,
    last: u64,
}

/// A string that is not a range of seeds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedsError {
    /// It is not written as a range is.
    #[error("allowed is N, A..B (without B) or A..=B, with whole numbers from 0 to {}", u64::MAX)]
    Format,
    /// `A..B` with B not above A.
    #[error("there is no seed in it: {first} is not below {end}")]
    Empty {
        /// A.
        first: u64,
        /// B.
        end: u64,
    },
    /// `A..=B` with B below A.
    #[error("there is no seed in it: {first} is above {last}")]
    EmptyInclusive {
        /// A.
        first: u64,
        /// B.
        last: u64,
    },
}

impl SeedRange {
    /// This seed alone.
    pub fn only(seed: u64) -> SeedRange {
        SeedRange { first: seed, last: seed }
    }

    /// The seeds from 0 on, so many; at least one.
    pub const fn first_of(count: u64) -> SeedRange {
        SeedRange { first: 0, last: count.saturating_sub(1) }
    }

    /// The seeds in ascending order.
    pub fn iter(self) -> RangeInclusive<u64> {
        self.first..=self.last
    }

    /// The lowest of them.
    pub fn first(self) -> u64 {
        self.first
    }

    /// How many they are; the largest number if they are more.
    pub fn count(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

impl FromStr for SeedRange {
    type Err = SeedsError;

    fn from_str(text: &str) -> Result<SeedRange, SeedsError> {
        let number = |text: &str| {
            // `parse` alone would take a sign.
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse::<u64>().ok()).flatten().ok_or(SeedsError::Format)
        };
        if let Some((first, last)) = text.split_once("..=") {
            let (first, last) = (number(first)?, number(last)?);
            return if first <= last {
                Ok(SeedRange { first, last })
            } else {
                Err(SeedsError::EmptyInclusive { first, last })
            };
        }
        if let Some((first, end)) = text.split_once("..") {
            let (first, end) = (number(first)?, number(end)?);
            return if first < end {
                Ok(SeedRange { first, last: end - 1 })
            } else {
                Err(SeedsError::Empty { first, end })
            };
        }
        number(text).map(SeedRange::only)
    }
}

/// The same range always in the same way, the shortest there is.
impl fmt::Display for SeedRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            SeedRange { first, last } if first == last => write!(f, "{first}"),
            SeedRange { first, last: u64::MAX } => write!(f, "{first}..={}", u64::MAX),
            SeedRange { first, last } => write!(f, "{first}..{}", last + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_in_each_of_its_forms_and_written_in_the_shortest() {
        for (text, first, last, shown) in [
            ("7", 7, 7, "7"),
            ("7..8", 7, 7, "7"),
            ("7..=7", 7, 7, "7"),
            ("0..100", 0, 99, "0..100"),
            ("0..=99", 0, 99, "0..100"),
            ("18446744073709551615", u64::MAX, u64::MAX, "18446744073709551615"),
            ("5..=18446744073709551615", 5, u64::MAX, "5..=18446744073709551615"),
        ] {
            let range: SeedRange = text.parse().unwrap();
            assert_eq!((range, range.to_string().as_str()), (SeedRange { first, last }, shown), "{text}");
            assert_eq!(shown.parse(), Ok(range));
            assert_eq!((range.iter(), range.count()), (first..=last, last - first + 1));
        }
        assert_eq!(SeedRange { first: 0, last: u64::MAX }.count(), u64::MAX);
    }

    #[test]
    fn what_is_no_range_is_refused_with_the_reason() {
        for text in ["", "x", "-1", "+1", "1.5", "1..", "..5", "..", "1...5", "1..5..9", "1..=", "a..b", "1 ..5", "1-5"]
        {
            assert_eq!(text.parse::<SeedRange>(), Err(SeedsError::Format), "{text}");
        }
        assert_eq!("0..18446744073709551616".parse::<SeedRange>(), Err(SeedsError::Format));
        assert_eq!("7..7".parse::<SeedRange>(), Err(SeedsError::Empty { first: 7, end: 7 }));
        assert_eq!("8..=7".parse::<SeedRange>(), Err(SeedsError::EmptyInclusive { first: 8, last: 7 }));
    }
}
