//! Lists and ranges of values, as they are written on a command line: `50,100,200`, `0:0.5:0.05`, `easy,hard`.

/// The most values that a swept path can take.
pub const VALUES_MAX: usize = 100_000;

/// The most characters of one value.
const CHARS_MAX: usize = 200;

/// Why a string is not a list of values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValuesError {
    /// There is nothing between two commas, or nothing at all.
    #[error("a value is empty; allowed is a list as in 1,2,5 or a range START:STOP:STEP")]
    Empty,
    /// A range does not have three numbers.
    #[error("`{0}` is not a range; allowed is START:STOP:STEP with decimal numbers, as in 0:0.5:0.05")]
    Range(String),
    /// A range that never reaches its end.
    #[error("the range `{0}` holds no value: its step must lead from its start to its stop")]
    EmptyRange(String),
    /// Too many values.
    #[error("there are more than {VALUES_MAX} values")]
    TooMany,
    /// A value of a list holds a comma, which no command line could tell from two values.
    #[error("`{0}` holds a comma")]
    Comma(String),
    /// A value appears twice.
    #[error("{0} is given twice")]
    Twice(String),
    /// A value is too long, or cannot be printed.
    #[error("a value is no number and no word of up to {CHARS_MAX} characters")]
    Word,
}

/// A number as it is written: `mantissa` times ten to the power of minus `places`. Steps of 0.05 are exact in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decimal {
    mantissa: i128,
    places: u32,
}

impl Decimal {
    fn parse(text: &str) -> Option<Decimal> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = [whole, fraction].concat();
        let is_number = !all.is_empty() && all.len() <= 24 && all.bytes().all(|byte| byte.is_ascii_digit());
        let magnitude: i128 = is_number.then(|| all.parse().ok()).flatten()?;
        let mantissa = if digits.len() < text.len() { -magnitude } else { magnitude };
        Some(Decimal { mantissa, places: fraction.len() as u32 })
    }

    /// The same number with more places.
    fn with_places(self, places: u32) -> i128 {
        self.mantissa * 10_i128.pow(places - self.places)
    }

    /// The shortest way to write it.
    fn text(self) -> String {
        let Decimal { mut mantissa, mut places } = self;
        while places > 0 && mantissa % 10 == 0 {
            (mantissa, places) = (mantissa / 10, places - 1);
        }
        let digits = format!("{:0width$}", mantissa.unsigned_abs(), width = places as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places as usize);
        let sign = if mantissa < 0 { "-" } else { "" };
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

/// The values of a list, each written in the shortest way. A range includes its stop if a step leads there.
///
/// # Errors
/// If the text is not a list of numbers, ranges and words.
pub fn parse_values(text: &str) -> Result<Vec<String>, ValuesError> {
    let mut values = Vec::new();
    for item in text.split(',').map(str::trim) {
        match item {
            "" => return Err(ValuesError::Empty),
            range if range.contains(':') => expand(range, &mut values)?,
            value => values.push(plain(value)?),
        }
        if values.len() > VALUES_MAX {
            return Err(ValuesError::TooMany);
        }
    }
    Ok(values)
}

/// One value in the shortest way.
fn plain(text: &str) -> Result<String, ValuesError> {
    if let Some(decimal) = Decimal::parse(text) {
        return Ok(decimal.text());
    }
    if text.chars().count() > CHARS_MAX || text.chars().any(char::is_control) {
        return Err(ValuesError::Word);
    }
    // Exponents and the like.
    let number = serde_json::from_str::<f64>(text).ok().filter(|number| number.is_finite());
    Ok(number.map_or_else(|| text.to_owned(), |number| number.to_string()))
}

fn expand(range: &str, values: &mut Vec<String>) -> Result<(), ValuesError> {
    let no_range = || ValuesError::Range(range.chars().take(CHARS_MAX).collect());
    let parts: Vec<Decimal> =
        range.split(':').map(|part| Decimal::parse(part.trim())).collect::<Option<_>>().ok_or_else(no_range)?;
    let [start, stop, step] = parts[..] else { return Err(no_range()) };
    let places = start.places.max(stop.places).max(step.places);
    // With such numbers no product below is too large.
    if places > 15 || [start, stop, step].iter().any(|part| part.mantissa.unsigned_abs() > 10_u128.pow(15)) {
        return Err(no_range());
    }
    let [start, stop, step] = [start, stop, step].map(|part| part.with_places(places));
    if step == 0 || (stop - start).signum() * step.signum() < 0 {
        return Err(ValuesError::EmptyRange(range.to_owned()));
    }
    let count = (stop - start) / step + 1;
    if count > VALUES_MAX as i128 {
        return Err(ValuesError::TooMany);
    }
    values.extend((0..count).map(|i| Decimal { mantissa: start + i * step, places }.text()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> String {
        match parse_values(text) {
            Ok(values) => values.join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn lists_ranges_and_words_are_values_in_their_shortest_form() {
        for (text, expected) in [
            ("50,100,200", "50 100 200"),
            ("0:0.5:0.1", "0 0.1 0.2 0.3 0.4 0.5"),
            ("0.05:0.2:0.05", "0.05 0.1 0.15 0.2"),
            ("5:25:5", "5 10 15 20 25"),
            ("5:24:5", "5 10 15 20"),
            ("3:1:-1", "3 2 1"),
            ("-1:1:1", "-1 0 1"),
            ("7:7:1", "7"),
            ("0, 1:2:0.5 ,9", "0 1 1.5 2 9"),
            ("0.10,1e3,1.5e-3", "0.1 1000 0.0015"),
            ("none,part_easy", "none part_easy"),
            ("a/b c.json", "a/b c.json"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(values(text), expected, "{text}");
        }
    }

    #[test]
    fn a_range_of_hundredths_is_exact() {
        let values = parse_values("0:1:0.01").unwrap();
        assert_eq!(values.len(), 101);
        for (i, value) in values.iter().enumerate() {
            assert_eq!(value.parse::<f64>().unwrap(), i as f64 / 100.0, "{value}");
        }
    }

    #[test]
    fn a_malformed_list_of_values_is_refused_with_the_reason() {
        for (text, part) in [
            ("", "a value is empty"),
            ("1,,2", "a value is empty"),
            ("1:2", "is not a range"),
            ("1:2:3:4", "is not a range"),
            ("a:b:c", "is not a range"),
            ("1:2:", "is not a range"),
            ("1:9999999999999999:1", "is not a range"),
            ("1:999999999999999:0.00000000000000000001", "is not a range"),
            ("0:999999999999999:0.000000000000001", "more than 100000 values"),
            ("1:2:0", "holds no value"),
            ("2:1:1", "holds no value"),
            ("0:1:0.000001", "more than 100000 values"),
            ("a\nb", "no number and no word"),
        ] {
            assert!(values(text).contains(part), "{text}: {}", values(text));
        }
        assert!(values(&"x".repeat(201)).contains("no word"));
    }
}
