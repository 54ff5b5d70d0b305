//! How long something takes, as a distribution.

use crate::rng::Stream;
use crate::time::Span;

/// A distribution of durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// Always the same.
    Constant(Span),
    /// Evenly between two bounds, both included.
    Uniform {
        /// The shortest.
        min: Span,
        /// The longest.
        max: Span,
    },
    /// A floor plus an exponentially distributed rest.
    Exponential {
        /// The shortest.
        floor: Span,
        /// The mean of the rest.
        mean: Span,
    },
    /// A floor plus a rest with a heavy tail (Lomax, of shape 1): half take up to the median, and one in a hundred takes
    /// about a hundred times as long. The longest is 10,000 medians.
    HeavyTail {
        /// The shortest.
        floor: Span,
        /// The median of the rest.
        median: Span,
    },
}

/// The longest rest with a heavy tail, in medians.
const TAIL_MAX: f64 = 10_000.0;

impl Delay {
    /// Draws one duration. The stream advances by the same number of draws whatever the parameters are.
    #[inline]
    pub fn draw(&self, stream: &mut Stream) -> Span {
        match *self {
            Delay::Constant(span) => {
                stream.next_u64();
                span
            }
            Delay::Uniform { min, max } => {
                // A plain multiplication: its bias, at most one part in 2^64 / width, is far below what can be seen.
                let width = u128::from(max.nanos() - min.nanos()) + 1;
                let offset = (u128::from(stream.next_u64()) * width) >> 64;
                Span(min.nanos() + offset as u64)
            }
            Delay::Exponential { floor, mean } => {
                // `libm` is plain Rust: the platform's logarithm may differ in the last bit between machines.
                let rest = -libm::log(1.0 - stream.unit()) * mean.nanos() as f64;
                floor + Span(rest as u64)
            }
            Delay::HeavyTail { floor, median } => {
                let unit = stream.unit();
                floor + Span(((unit / (1.0 - unit)).min(TAIL_MAX) * median.nanos() as f64) as u64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(delay: Delay) -> Vec<u64> {
        let mut stream = Stream::new(11, "delay");
        (0..100_000).map(|_| delay.draw(&mut stream).nanos()).collect()
    }

    fn mean(draws: &[u64]) -> f64 {
        draws.iter().sum::<u64>() as f64 / draws.len() as f64
    }

    #[test]
    fn uniform_delays_stay_within_their_bounds_and_fill_them() {
        let draws = draws(Delay::Uniform { min: Span(1_000), max: Span(1_009) });
        for wanted in 1_000..=1_009 {
            let count = draws.iter().filter(|&&draw| draw == wanted).count();
            assert!((9_500..10_500).contains(&count), "{wanted}: {count}");
        }
    }

    #[test]
    fn exponential_delays_start_at_their_floor_and_have_their_mean() {
        let draws = draws(Delay::Exponential { floor: Span(5_000), mean: Span(20_000) });
        assert!(draws.iter().all(|&draw| draw >= 5_000));
        assert!((mean(&draws) - 25_000.0).abs() < 300.0, "{}", mean(&draws));
        let beyond = draws.iter().filter(|&&draw| draw > 5_000 + 3 * 20_000).count() as f64 / draws.len() as f64;
        assert!((beyond - libm::exp(-3.0)).abs() < 0.004, "{beyond}");
    }

    #[test]
    fn heavy_tails_have_their_median_and_one_in_a_hundred_is_a_hundred_times_as_long() {
        let draws = draws(Delay::HeavyTail { floor: Span(5_000), median: Span(20_000) });
        assert!(draws.iter().all(|&draw| (5_000..=5_000 + 10_000 * 20_000).contains(&draw)));
        let beyond = |rest: u64| draws.iter().filter(|&&draw| draw > 5_000 + rest).count() as f64 / draws.len() as f64;
        // Five standard deviations of a binomial distribution.
        assert!((beyond(20_000) - 0.5).abs() < 0.008, "{}", beyond(20_000));
        assert!((beyond(99 * 20_000) - 0.01).abs() < 0.0016, "{}", beyond(99 * 20_000));
    }

    #[test]
    fn constant_delays_are_constant() {
        assert!(draws(Delay::Constant(Span(7))).iter().all(|&draw| draw == 7));
    }
}
