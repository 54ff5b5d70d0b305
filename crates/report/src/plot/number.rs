//! Numbers in readable form: `0.4 ms`, `120k`, `95 %`.

use super::Unit;

/// Prefixes of large numbers, for factors of a thousand.
const LARGE: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
/// From here on a plain number gets a prefix.
const PREFIX_FROM: f64 = 10_000.0;
/// Below this a number without a prefix is written with an exponent.
const EXPONENT_BELOW: f64 = 0.001;
/// From here on there are no more prefixes.
const EXPONENT_FROM: f64 = 1e7;

/// A power of ten, correctly rounded.
pub fn power(exponent: i32) -> f64 {
    format!("1e{exponent}").parse().expect("a number")
}

/// The exponent of a finite number's decimal notation, as in 3 for 1483. For zero it is 0.
pub fn exponent(value: f64) -> i32 {
    let text = format!("{value:e}");
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).expect("a number has an exponent")
}

/// How the numbers of one axis are written, so that they can be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// The value of one in this style, as in 0.001 if milliseconds are shown.
    factor: f64,
    /// What follows the number.
    suffix: &'static str,
    /// Whether numbers in this style need an exponent.
    exponent: bool,
}

impl Style {
    /// The style for numbers of this magnitude.
    pub fn of(unit: Unit, magnitude: f64) -> Style {
        let magnitude = magnitude.abs();
        let (factor, suffix) = match unit {
            Unit::Fraction => (0.01, " %"),
            Unit::Seconds if magnitude == 0.0 || magnitude >= 0.1 => (1.0, " s"),
            Unit::Seconds if magnitude >= 1e-4 => (1e-3, " ms"),
            Unit::Seconds if magnitude >= 1e-7 => (1e-6, " µs"),
            Unit::Seconds => (1e-9, " ns"),
            Unit::Count(_) | Unit::Plain if magnitude < PREFIX_FROM => (1.0, ""),
            Unit::Count(_) | Unit::Plain => {
                let thousands = (exponent(magnitude) / 3) as usize;
                LARGE.get(thousands).map_or((1.0, ""), |prefix| (power(3 * thousands as i32), *prefix))
            }
        };
        let number = magnitude / factor;
        Style { factor, suffix, exponent: number != 0.0 && !(EXPONENT_BELOW..EXPONENT_FROM).contains(&number) }
    }

    /// A multiple of `step`, exact.
    pub fn tick(self, value: f64, step: f64) -> String {
        if value == 0.0 {
            return "0".to_owned();
        }
        let number = value / self.factor;
        if self.exponent {
            // As many digits as distinguish the number from its neighbours.
            let digits = (exponent(number) - exponent(step / self.factor) + 1).clamp(0, 6) as usize;
            return self.with_suffix(trimmed_exponent(number, digits));
        }
        let step = (step / self.factor).abs();
        let is_whole = |decimals: usize| {
            let scaled = step * power(decimals as i32);
            (scaled - scaled.round()).abs() < 1e-6 * scaled
        };
        let decimals = (0..9).find(|&decimals| is_whole(decimals)).unwrap_or(9);
        self.with_suffix(format!("{number:.decimals$}"))
    }

    /// Any number, to three digits or to the last one before the point.
    fn short(self, value: f64) -> String {
        let number = value / self.factor;
        if number == 0.0 {
            return "0".to_owned();
        }
        if self.exponent {
            return self.with_suffix(trimmed_exponent(number, 2));
        }
        let decimals = (2 - exponent(number)).clamp(0, 9) as usize;
        // Nearly all is not shown as all: one failure in a thousand counts.
        let is_short = |decimals: &usize| {
            !self.suffix.ends_with('%')
                || (number >= 100.0 || format!("{number:.decimals$}") != format!("{:.decimals$}", 100.0))
        };
        let decimals = (decimals..9).find(is_short).unwrap_or(9);
        self.with_suffix(trimmed(&format!("{number:.decimals$}")).to_owned())
    }

    fn with_suffix(self, number: String) -> String {
        number + self.suffix
    }
}

/// One number, to three digits or to the last one before the point, as in `0.4 ms`, `12.3k`, `1483`.
pub fn short(unit: Unit, value: f64) -> String {
    Style::of(unit, value).short(value)
}

/// The number with at most this many digits after the point, and an exponent.
fn trimmed_exponent(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$e}");
    let (digits, exponent) = text.split_once('e').expect("a number with an exponent");
    format!("{}e{exponent}", trimmed(digits))
}

/// Without trailing zeros.
fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_with_the_unit_that_suits_them() {
        for (unit, value, text) in [
            (Unit::Seconds, 0.0004, "0.4 ms"),
            (Unit::Seconds, 0.000_05, "50 µs"),
            (Unit::Seconds, 2e-9, "2 ns"),
            (Unit::Seconds, 0.662_301, "0.662 s"),
            (Unit::Seconds, 30.0, "30 s"),
            (Unit::Seconds, 0.0, "0"),
            (Unit::Count("messages"), 120_000.0, "120k"),
            (Unit::Count("messages"), 12_345.0, "12.3k"),
            (Unit::Count("messages"), 1483.0, "1483"),
            (Unit::Count("messages"), 2.5, "2.5"),
            (Unit::Plain, 1e18, "1E"),
            (Unit::Plain, 1e21, "1e21"),
            (Unit::Plain, 1e-9, "1e-9"),
            (Unit::Plain, -1234.0, "-1234"),
            (Unit::Fraction, 0.05, "5 %"),
            (Unit::Fraction, 0.9996, "99.96 %"),
            (Unit::Fraction, 0.999, "99.9 %"),
            (Unit::Fraction, 1.0, "100 %"),
            (Unit::Fraction, 1e-9, "1e-7 %"),
        ] {
            assert_eq!(short(unit, value), text, "{value}");
        }
    }

    #[test]
    fn the_ticks_of_an_axis_share_unit_and_decimals() {
        let tick = |unit, magnitude, step| {
            let style = Style::of(unit, magnitude);
            move |value| style.tick(value, step)
        };
        let milliseconds = tick(Unit::Seconds, 0.001, 0.0005);
        assert_eq!([0.0, 0.0005, 0.001].map(milliseconds), ["0", "0.5 ms", "1.0 ms"]);
        let thousands = tick(Unit::Count("messages"), 120_000.0, 20_000.0);
        assert_eq!([0.0, 20_000.0, 120_000.0].map(thousands), ["0", "20k", "120k"]);
        let plain = tick(Unit::Plain, 2000.0, 500.0);
        assert_eq!([500.0, 2000.0].map(plain), ["500", "2000"]);
        let quarters = tick(Unit::Fraction, 1.0, 0.25);
        assert_eq!([0.25, 1.0].map(quarters), ["25 %", "100 %"]);
        let huge = tick(Unit::Plain, 1e25, 2e24);
        assert_eq!([8e24, 1e25].map(huge), ["8e24", "1e25"]);
    }

    #[test]
    fn powers_and_exponents_are_exact() {
        assert_eq!(power(-3), 0.001);
        assert_eq!(
            (exponent(1000.0), exponent(999.9), exponent(0.001), exponent(0.0), exponent(-5e-7)),
            (3, 2, -3, 0, -7)
        );
    }
}
