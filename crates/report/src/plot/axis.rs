//! From values to places on an axis, and the values that are marked on it.

use super::Unit;
use super::number::{self, Style, exponent, power};

/// An axis whose largest value is more than this many times the smallest is logarithmic.
const LOG_FROM: f64 = 100.0;
/// The same for a scale of colours, which the eye reads less exactly than lengths.
const LOG_FROM_COLOR: f64 = 10.0;
/// Larger numbers are left out, because their differences would not be finite.
const VALUE_MAX: f64 = 1e300;

/// Whether a picture can show the number.
pub fn is_shown(value: f64) -> bool {
    value.abs() <= VALUE_MAX
}

/// The span of an axis, and its ticks.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// The part of the axis that stays free at each end.
    inset: f64,
    /// In rising order.
    pub ticks: Vec<Tick>,
}

/// A marked value.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Where.
    pub value: f64,
    /// How it is written.
    pub label: String,
}

/// The style of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// It begins at zero if that hides nothing, and ends at ticks. It is logarithmic if the values span more than two
    /// decades.
    Amount,
    /// It ends where the values end.
    Place,
    /// It is always logarithmic. Values that are not positive are at its lower end.
    Log,
    /// As an amount, but logarithmic if the largest value is ten times the smallest or more, zeros not counted. The
    /// lower end is then reserved for zero.
    Color,
}

impl Axis {
    /// An axis for these values with about this many ticks.
    pub fn new(unit: Unit, kind: Kind, values: impl IntoIterator<Item = f64>, ticks: usize) -> Axis {
        let shown = |value: &f64| is_shown(*value) && (kind != Kind::Log || *value > 0.0);
        let values: Vec<f64> = values.into_iter().filter(shown).collect();
        let ends = ends(&values);
        match (kind, ends) {
            // Without values there is nothing to mark.
            (_, None) => Axis { low: 0.0, high: 1.0, log: false, inset: 0.0, ticks: Vec::new() },
            (Kind::Log, Some(ends)) => Axis::logarithmic(unit, ends, true, ticks),
            (Kind::Color, Some(ends)) => Axis::of_colors(unit, ends, &values, ticks),
            (_, Some((low, high))) if low > 0.0 && high / low > LOG_FROM => {
                Axis::logarithmic(unit, (low, high), kind == Kind::Amount, ticks)
            }
            (_, Some(ends)) => Axis::linear(unit, ends, kind, ticks),
        }
    }

    /// An axis from 0 to 1 that marks every fifth in percent.
    pub fn fractions() -> Axis {
        Axis::linear(Unit::Fraction, (0.0, 1.0), Kind::Amount, 5)
    }

    /// An axis from 0 to this.
    pub fn time(end: f64, ticks: usize) -> Axis {
        let end = if is_shown(end) && end > 0.0 { end } else { 1.0 };
        Axis::linear(Unit::Seconds, (0.0, end), Kind::Place, ticks)
    }

    /// An axis with a place of the same width for each name. The n-th one is marked with the n-th name.
    pub fn slots(names: &[String]) -> Axis {
        let tick = |(i, name): (usize, &String)| Tick { value: i as f64, label: name.clone() };
        let ticks = names.iter().enumerate().map(tick).collect();
        Axis { low: -0.5, high: names.len().max(1) as f64 - 0.5, log: false, inset: 0.0, ticks }
    }

    fn of_colors(unit: Unit, (low, high): (f64, f64), values: &[f64], ticks: usize) -> Axis {
        let positive: Vec<f64> = values.iter().copied().filter(|value| *value > 0.0).collect();
        match ends(&positive) {
            Some((least, most)) if low >= 0.0 && most / least >= LOG_FROM_COLOR => {
                if low > 0.0 {
                    return Axis::logarithmic(unit, (least, most), false, ticks);
                }
                // Half a decade below the smallest value is for zero.
                let axis = Axis::logarithmic(unit, (least / 3.0, most), false, ticks);
                let zero = Tick { value: 0.0, label: "0".to_owned() };
                let others = axis.ticks.iter().filter(|tick| tick.value >= least).cloned();
                let ticks = std::iter::once(zero).chain(others).collect();
                axis.with_ticks(ticks)
            }
            _ => Axis::linear(unit, (low, high), Kind::Amount, ticks),
        }
    }

    /// Whether equal factors have equal lengths.
    pub fn is_log(&self) -> bool {
        self.log
    }

    /// The same axis with other ticks.
    pub fn with_ticks(self, ticks: Vec<Tick>) -> Axis {
        Axis { ticks, ..self }
    }

    /// The same axis with this share of it, from 0 to a half, left free at each end.
    pub fn with_inset(self, inset: f64) -> Axis {
        Axis { inset, ..self }
    }

    /// The place of a value, from 0 (the lower end) to 1.
    pub fn place(&self, value: f64) -> f64 {
        let place = if !self.log {
            (value - self.low) / (self.high - self.low)
        } else if value <= 0.0 {
            0.0
        } else {
            let [low, value, high] = [self.low, value, self.high].map(libm::log10);
            (value - low) / (high - low)
        };
        self.inset + (1.0 - 2.0 * self.inset) * place.clamp(0.0, 1.0)
    }

    fn linear(unit: Unit, ends: (f64, f64), kind: Kind, ticks: usize) -> Axis {
        let (low, high) = spread(ends, kind, unit);
        let mut step = nice_step((high - low) / ticks.max(1) as f64);
        if matches!(unit, Unit::Count(_)) && high >= 1.0 {
            step = step.max(1.0);
        }
        let (first, last) = match kind {
            Kind::Amount => ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil()),
            _ => ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor()),
        };
        let (first, last) = (first as i64, last as i64);
        let (low, high) = match kind {
            Kind::Amount => (first as f64 * step, last as f64 * step),
            _ => (low, high),
        };
        let style = Style::of(unit, low.abs().max(high.abs()));
        let tick = |i| Tick { value: i as f64 * step, label: style.tick(i as f64 * step, step) };
        Axis { low, high, log: false, inset: 0.0, ticks: (first..=last).map(tick).collect() }
    }

    /// If it is `rounded`, it ends at one, two or five times a power of ten.
    fn logarithmic(unit: Unit, (low, high): (f64, f64), rounded: bool, ticks: usize) -> Axis {
        let (mut low, mut high) = (low.max(1e-300), high.max(1e-300));
        if high < low * 1.000_001 {
            (low, high) = (low / 2.0, high * 2.0);
        }
        let decades = exponent(low) - 1..=exponent(high) + 1;
        let steps: Vec<f64> = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * power(decade))).collect();
        if rounded {
            low = steps.iter().copied().filter(|&step| step <= low * (1.0 + 1e-9)).fold(steps[0], f64::max);
            high = steps.iter().copied().filter(|&step| step >= high * (1.0 - 1e-9)).fold(f64::INFINITY, f64::min);
        }
        let inside = |step: &f64| (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(step);
        let all: Vec<f64> = steps.into_iter().filter(inside).collect();
        let decades: Vec<f64> = all.iter().copied().filter(|&step| power(exponent(step)) == step).collect();
        let marked = if all.len() <= ticks + 1 || decades.len() < 2 { all } else { decades };
        let every = marked.len().div_ceil(ticks.max(1) + 1);
        let tick = |value| Tick { value, label: number::short(unit, value) };
        Axis { low, high, log: true, inset: 0.0, ticks: marked.into_iter().step_by(every).map(tick).collect() }
    }
}

/// The smallest and the largest of these values.
fn ends(values: &[f64]) -> Option<(f64, f64)> {
    let first = *values.first()?;
    Some(values.iter().fold((first, first), |(low, high), value| (low.min(*value), high.max(*value))))
}

/// The ends of a linear axis before they are rounded. They differ by enough for sums to tell them apart.
fn spread((low, high): (f64, f64), kind: Kind, unit: Unit) -> (f64, f64) {
    let large = low.abs().max(high.abs());
    if large < 1e-300 {
        return (0.0, 1.0);
    }
    let is_one_value = high - low <= 1e-9 * large;
    match kind {
        Kind::Amount if unit == Unit::Fraction && low >= 0.0 && (0.5..=1.0).contains(&high) => (0.0, 1.0),
        Kind::Amount if low >= 0.0 && (is_one_value || low <= 0.75 * high) => (0.0, high),
        Kind::Amount if high <= 0.0 && (is_one_value || high >= 0.75 * low) => (low, 0.0),
        _ if is_one_value => (low - 0.5 * large, high + 0.5 * large),
        _ => (low, high),
    }
}

/// The step rounded up to 1, 2, 2.5 or 5 times a power of ten.
fn nice_step(step: f64) -> f64 {
    let power = power(exponent(step));
    let nice = [1.0, 2.0, 2.5, 5.0, 10.0].map(|digit| digit * power);
    nice.into_iter().find(|&nice| nice >= step * (1.0 - 1e-9)).unwrap_or(nice[4])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    fn amounts(unit: Unit, values: &[f64]) -> Axis {
        Axis::new(unit, Kind::Amount, values.iter().copied(), 5)
    }

    const MESSAGES: Unit = Unit::Count("messages");

    #[test]
    fn amounts_begin_at_zero_and_end_at_a_tick() {
        let axis = amounts(MESSAGES, &[1483.0, 2711.0, 4100.0]);
        assert_eq!(labels(&axis), ["0", "1000", "2000", "3000", "4000", "5000"]);
        assert_eq!((axis.place(0.0), axis.place(2500.0), axis.place(5000.0)), (0.0, 0.5, 1.0));
        assert_eq!(labels(&amounts(Unit::Seconds, &[0.0002, 0.0004])), ["0", "0.1 ms", "0.2 ms", "0.3 ms", "0.4 ms"]);
    }

    #[test]
    fn values_that_are_close_together_are_shown_close_up() {
        assert_eq!(labels(&amounts(Unit::Plain, &[100.0, 104.0])), ["100", "101", "102", "103", "104"]);
        assert_eq!(labels(&amounts(Unit::Fraction, &[0.97, 0.99])), ["0", "20 %", "40 %", "60 %", "80 %", "100 %"]);
        assert_eq!(labels(&amounts(Unit::Fraction, &[0.01, 0.03])), ["0", "1 %", "2 %", "3 %"]);
    }

    #[test]
    fn counts_have_no_ticks_at_halves() {
        assert_eq!(labels(&amounts(MESSAGES, &[0.0, 2.0])), ["0", "1", "2"]);
    }

    #[test]
    fn more_than_two_decades_make_an_axis_logarithmic() {
        assert!(!amounts(Unit::Plain, &[1.0, 100.0]).log);
        let axis = amounts(Unit::Seconds, &[0.0003, 1.5]);
        assert_eq!(labels(&axis), ["1 ms", "10 ms", "0.1 s", "1 s"]);
        assert_eq!((axis.place(0.0002), axis.place(2.0), axis.place(0.0)), (0.0, 1.0, 0.0));
        assert!((axis.place(0.02) - 0.5).abs() < 1e-9);
        assert!(!amounts(Unit::Plain, &[0.0, 1000.0]).log);
        assert!(!amounts(Unit::Plain, &[-1.0, 1000.0]).log);
    }

    #[test]
    fn one_decade_makes_a_scale_of_colours_logarithmic_and_zero_has_its_end() {
        let colors = |values: &[f64]| Axis::new(Unit::Plain, Kind::Color, values.iter().copied(), 4);
        assert!(!colors(&[1.0, 9.0]).log && colors(&[1.0, 10.0]).log);
        let one_outlier = colors(&[0.0, 1.0, 2.0, 1000.0]);
        assert_eq!(labels(&one_outlier), ["0", "1", "10", "100", "1000"]);
        let places = [0.0, 1.0, 2.0, 1000.0].map(|value| one_outlier.place(value));
        assert!(places.windows(2).all(|pair| pair[1] > pair[0] + 0.05), "all can be told apart: {places:?}");
        assert!(!colors(&[-1.0, 5.0, 1000.0]).log, "a negative number has no logarithm");
    }

    #[test]
    fn an_axis_with_an_inset_keeps_its_ends_free() {
        let axis = Axis::time(10.0, 5).with_inset(0.1);
        assert_eq!([0.0, 5.0, 10.0].map(|time| axis.place(time)), [0.1, 0.5, 0.9]);
    }

    #[test]
    fn an_axis_of_places_ends_where_the_values_end() {
        let axis = Axis::new(Unit::Plain, Kind::Place, [0.0, 0.33], 5);
        assert_eq!((axis.low, axis.high), (0.0, 0.33));
        assert_eq!(labels(&axis), ["0", "0.1", "0.2", "0.3"]);
        assert_eq!(labels(&Axis::time(30.0, 6)), ["0", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s"]);
    }

    #[test]
    fn every_axis_has_ticks_and_places_that_are_numbers() {
        let cases: [&[f64]; 14] = [
            &[],
            &[0.0],
            &[0.0, 0.0],
            &[7.0, 7.0],
            &[-7.0],
            &[-3.0, -2.0],
            &[-3.0, 5.0],
            &[1e18],
            &[1e18, 1e18 + 256.0],
            &[1e-9, 2e-9],
            &[1e-300, 1e300],
            &[-1e300, 1e300],
            &[f64::NAN, f64::INFINITY, 3.0],
            &[5e-324, 1e-320],
        ];
        for (values, unit, kind) in cases.iter().flat_map(|values| {
            [Unit::Plain, MESSAGES, Unit::Seconds, Unit::Fraction].into_iter().flat_map(move |unit| {
                [Kind::Amount, Kind::Place, Kind::Log, Kind::Color].map(|kind| (values, unit, kind))
            })
        }) {
            let axis = Axis::new(unit, kind, values.iter().copied(), 5);
            let about = format!("{values:?} {unit:?} {kind:?}: {axis:?}");
            let is_empty = !values.iter().any(|value| is_shown(*value) && (kind != Kind::Log || *value > 0.0));
            assert!((usize::from(!is_empty)..=12).contains(&axis.ticks.len()), "{about}");
            assert!(axis.ticks.windows(2).all(|pair| pair[0].value < pair[1].value), "{about}");
            assert!(axis.ticks.windows(2).all(|pair| pair[0].label != pair[1].label), "{about}");
            for place in values.iter().filter(|value| is_shown(**value)).map(|value| axis.place(*value)) {
                assert!((0.0..=1.0).contains(&place), "{about}");
            }
        }
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([0.9, 1.0, 1.1, 2.2, 3.0, 7.0].map(nice_step), [1.0, 1.0, 2.0, 2.5, 5.0, 10.0]);
        assert_eq!(nice_step(0.00013), 0.0002);
    }
}
