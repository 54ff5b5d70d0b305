//! Parameters of a protocol by name, as numbers: what files and command lines know of them.

use crate::time::Span;

/// Up to here, every whole number is a float.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// One parameter of a [`Subject`](super::Subject), in place: its name, what it may be, and where its value is.
#[derive(Debug)]
pub struct Parameter<'a> {
    name: &'static str,
    slot: Slot<'a>,
    least: f64,
    most: f64,
}

/// Where the value is, with its type.
#[derive(Debug)]
enum Slot<'a> {
    Millis(&'a mut Span),
    Count(&'a mut usize),
    Limit(&'a mut usize),
    Few(&'a mut u32),
    Fraction(&'a mut f64),
    Flag(&'a mut bool),
}

/// Why a parameter cannot have a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// The protocol has no parameter of this name.
    #[error("unknown parameter `{name}`; allowed is {allowed}")]
    Unknown {
        /// The name.
        name: String,
        /// The names that it has.
        allowed: String,
    },
    /// The value is none that the parameter can have.
    #[error("{name} is {value}; allowed is {allowed}")]
    Value {
        /// The parameter.
        name: String,
        /// The value.
        value: String,
        /// What it can be.
        allowed: String,
    },
}

impl<'a> Parameter<'a> {
    fn new(name: &'static str, slot: Slot<'a>) -> Parameter<'a> {
        let (least, most) = match slot {
            Slot::Millis(_) => (0.0, WHOLE_MAX / 1e6),
            Slot::Count(_) | Slot::Limit(_) => (0.0, WHOLE_MAX),
            Slot::Few(_) => (0.0, f64::from(u32::MAX)),
            Slot::Fraction(_) => (f64::MIN, f64::MAX),
            Slot::Flag(_) => (0.0, 1.0),
        };
        Parameter { name, slot, least, most }
    }

    /// A length of time, given in milliseconds. Its name should end in `_ms`.
    pub fn millis(name: &'static str, span: &'a mut Span) -> Parameter<'a> {
        Parameter::new(name, Slot::Millis(span))
    }

    /// A whole number.
    pub fn count(name: &'static str, count: &'a mut usize) -> Parameter<'a> {
        Parameter::new(name, Slot::Count(count))
    }

    /// A whole number that limits something. The largest one means that there is no limit, and is given as 0.
    pub fn limit(name: &'static str, limit: &'a mut usize) -> Parameter<'a> {
        Parameter::new(name, Slot::Limit(limit))
    }

    /// A whole number below 2^32.
    pub fn few(name: &'static str, count: &'a mut u32) -> Parameter<'a> {
        Parameter::new(name, Slot::Few(count))
    }

    /// Any number.
    pub fn fraction(name: &'static str, fraction: &'a mut f64) -> Parameter<'a> {
        Parameter::new(name, Slot::Fraction(fraction))
    }

    /// Yes or no, given as 1 or 0.
    pub fn flag(name: &'static str, flag: &'a mut bool) -> Parameter<'a> {
        Parameter::new(name, Slot::Flag(flag))
    }

    /// The same with bounds, both included. They are in the unit in which it is given.
    #[must_use]
    pub fn within(self, least: f64, most: f64) -> Parameter<'a> {
        Parameter { least: least.max(self.least), most: most.min(self.most), ..self }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it is a length of time.
    pub fn is_time(&self) -> bool {
        matches!(self.slot, Slot::Millis(_))
    }

    /// Its value.
    pub fn get(&self) -> f64 {
        match &self.slot {
            Slot::Millis(span) => span.nanos() as f64 / 1e6,
            Slot::Count(count) => **count as f64,
            Slot::Limit(limit) if **limit == usize::MAX => 0.0,
            Slot::Limit(limit) => **limit as f64,
            Slot::Few(count) => f64::from(**count),
            Slot::Fraction(fraction) => **fraction,
            Slot::Flag(flag) => f64::from(u8::from(**flag)),
        }
    }

    /// Changes its value.
    ///
    /// # Errors
    /// If it cannot be this number. Nothing is changed then.
    pub fn set(&mut self, value: f64) -> Result<(), ParameterError> {
        let whole = !matches!(self.slot, Slot::Millis(_) | Slot::Fraction(_));
        if !(self.least..=self.most).contains(&value) || (whole && value.fract() != 0.0) {
            let (name, value) = (self.name.to_owned(), value.to_string());
            return Err(ParameterError::Value { name, value, allowed: self.allowed() });
        }
        match &mut self.slot {
            Slot::Millis(span) => **span = Span((value * 1e6).round() as u64),
            Slot::Count(count) => **count = value as usize,
            Slot::Limit(limit) => **limit = if value == 0.0 { usize::MAX } else { value as usize },
            Slot::Few(count) => **count = value as u32,
            Slot::Fraction(fraction) => **fraction = value,
            Slot::Flag(flag) => **flag = value == 1.0,
        }
        Ok(())
    }

    /// What it can be, in words.
    pub fn allowed(&self) -> String {
        let kind = match self.slot {
            Slot::Millis(_) => "a number of milliseconds",
            Slot::Count(_) | Slot::Few(_) => "a whole number",
            Slot::Limit(_) => return "a whole number from 1 up, or 0 for no limit".to_owned(),
            Slot::Fraction(_) => "a number",
            Slot::Flag(_) => return "0 or 1".to_owned(),
        };
        let Parameter { least, most, .. } = *self;
        let unbounded = Parameter::natural_most(&self.slot);
        match (least > f64::MIN, most < unbounded) {
            (true, true) => format!("{kind} from {least} to {most}"),
            (true, false) => format!("{kind} from {least} up"),
            (false, true) => format!("{kind} up to {most}"),
            (false, false) => kind.to_owned(),
        }
    }

    fn natural_most(slot: &Slot<'_>) -> f64 {
        match slot {
            Slot::Millis(_) => WHOLE_MAX / 1e6,
            Slot::Count(_) | Slot::Limit(_) => WHOLE_MAX,
            Slot::Few(_) => f64::from(u32::MAX),
            Slot::Fraction(_) => f64::MAX,
            Slot::Flag(_) => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_what_was_read_to_the_nanosecond() {
        let (mut span, mut limit, mut fraction) = (Span(123_456_789), usize::MAX, 0.1 + 0.2);
        let values = [
            Parameter::millis("span_ms", &mut span).get(),
            Parameter::limit("limit", &mut limit).get(),
            Parameter::fraction("fraction", &mut fraction).get(),
        ];
        let (mut other, mut others, mut another) = (Span::ZERO, 7, 0.0);
        Parameter::millis("span_ms", &mut other).set(values[0]).unwrap();
        Parameter::limit("limit", &mut others).set(values[1]).unwrap();
        Parameter::fraction("fraction", &mut another).set(values[2]).unwrap();
        assert_eq!((other, others, another), (span, limit, fraction));
    }

    #[test]
    fn what_cannot_be_set_changes_nothing_and_says_what_is_allowed() {
        let (mut span, mut count, mut few, mut fraction, mut flag) = (Span::from_millis(5), 3, 2, 0.5, true);
        let mut refused = Vec::new();
        for (mut parameter, value) in [
            (Parameter::millis("span_ms", &mut span), -1.0),
            (Parameter::count("count", &mut count).within(1.0, 9.0), 10.0),
            (Parameter::few("few", &mut few), 0.5),
            (Parameter::fraction("fraction", &mut fraction), f64::NAN),
            (Parameter::flag("flag", &mut flag), 2.0),
        ] {
            let before = parameter.get();
            refused.push(parameter.set(value).unwrap_err().to_string());
            assert_eq!(parameter.get(), before);
        }
        assert_eq!(
            refused,
            [
                "span_ms is -1; allowed is a number of milliseconds from 0 up",
                "count is 10; allowed is a whole number from 1 to 9",
                "few is 0.5; allowed is a whole number from 0 up",
                "fraction is NaN; allowed is a number",
                "flag is 2; allowed is 0 or 1",
            ]
        );
    }
}
