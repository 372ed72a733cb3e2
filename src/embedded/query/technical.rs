//! Technical analysis, as of InfluxDB 1.8: moving averages and indicators over a series of points.
//!
//! Each holds back its first results: by default as many as it takes until the start no longer weighs too much.
//! <https://docs.influxdata.com/influxdb/v1/query_language/functions/#technical-analysis>

use std::collections::VecDeque;

/// A function with its parameters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Technical {
    algorithm: Algorithm,
    /// Points that weigh in.
    period: usize,
    /// How many results are held back.
    hold: usize,
    warmup: Warmup,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Algorithm {
    /// An exponential moving average, taken so many times over.
    Exponential(u8),
    /// The rate of change of the triple average, in percent.
    ExponentialDerivative,
    RelativeStrength,
    MomentumOscillator,
    EfficiencyRatio,
    AdaptiveAverage,
}

/// How averages begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Warmup {
    /// As averages of shorter periods, that grow.
    Exponential,
    /// As simple averages.
    Simple,
    /// Nothing is averaged: only the momentum oscillator, and its default.
    None,
}

impl Technical {
    /// The function of this name, in lower case. Without `hold` its default, without `warmup` the usual one.
    pub(super) fn new(name: &str, period: usize, hold: Option<usize>, warmup: Option<&str>) -> Option<Self> {
        let algorithm = match name {
            "exponential_moving_average" => Algorithm::Exponential(1),
            "double_exponential_moving_average" => Algorithm::Exponential(2),
            "triple_exponential_moving_average" => Algorithm::Exponential(3),
            "triple_exponential_derivative" => Algorithm::ExponentialDerivative,
            "relative_strength_index" => Algorithm::RelativeStrength,
            "chande_momentum_oscillator" => Algorithm::MomentumOscillator,
            "kaufmans_efficiency_ratio" => Algorithm::EfficiencyRatio,
            "kaufmans_adaptive_moving_average" => Algorithm::AdaptiveAverage,
            _ => return None,
        };
        let warmup = match warmup {
            Some("simple") => Warmup::Simple,
            Some("exponential") => Warmup::Exponential,
            None | Some(_) if algorithm == Algorithm::MomentumOscillator => Warmup::None,
            None | Some(_) => Warmup::Exponential,
        };
        let before = period.saturating_sub(1);
        let hold = hold.unwrap_or_else(|| match (algorithm, warmup) {
            (Algorithm::Exponential(times), Warmup::Simple) => before.saturating_mul(usize::from(times)),
            (Algorithm::Exponential(_), _) | (Algorithm::MomentumOscillator, Warmup::None) => before,
            (Algorithm::ExponentialDerivative, Warmup::Simple) => before.saturating_mul(3).saturating_add(1),
            _ => period,
        });
        Some(Self { algorithm, period, hold, warmup })
    }

    /// The results for these values, with the numbers of the values that they belong to.
    pub(super) fn apply<'a>(&'a self, values: impl Iterator<Item = f64> + 'a) -> impl Iterator<Item = (usize, f64)> + 'a {
        let mut state = self.state();
        // A rate over zero is infinite: it isn't a result.
        let finite = self.algorithm == Algorithm::ExponentialDerivative;
        values
            .enumerate()
            .map(move |(i, value)| (i, state.next(value)))
            .skip(self.hold)
            .filter(move |(_, result)| !(finite && result.is_infinite()))
    }

    fn state(&self) -> State {
        let average = || Average::new(self.period, self.warmup);
        let smoothed = || {
            let mut average = Average::new(self.period.saturating_add(1), self.warmup);
            average.alpha = 1.0 / self.period as f64;
            average
        };
        match (self.algorithm, self.warmup) {
            (Algorithm::Exponential(times), _) => State::Averages((0..times).map(|_| average()).collect()),
            (Algorithm::ExponentialDerivative, _) => State::Rate((0..3).map(|_| average()).collect(), 0.0),
            (Algorithm::MomentumOscillator, Warmup::None) => State::Momentum(Momentum::new(self.period)),
            (Algorithm::MomentumOscillator, _) => {
                State::UpsAndDowns { up: smoothed(), down: smoothed(), previous: 0.0, oscillator: true }
            }
            (Algorithm::RelativeStrength, _) => {
                State::UpsAndDowns { up: smoothed(), down: smoothed(), previous: 0.0, oscillator: false }
            }
            (Algorithm::EfficiencyRatio, _) => State::Efficiency(Efficiency::new(self.period)),
            (Algorithm::AdaptiveAverage, _) => State::Adaptive(Efficiency::new(self.period), 0.0),
        }
    }
}

enum State {
    Averages(Vec<Average>),
    /// The averages, and the last of the third.
    Rate(Vec<Average>, f64),
    UpsAndDowns {
        up: Average,
        down: Average,
        previous: f64,
        oscillator: bool,
    },
    Momentum(Momentum),
    Efficiency(Efficiency),
    Adaptive(Efficiency, f64),
}

impl State {
    fn next(&mut self, value: f64) -> f64 {
        match self {
            Self::Averages(averages) => match cascade(averages, value)[..] {
                [first, second] => 2.0 * first - second,
                [first, second, third] => 3.0 * first - 3.0 * second + third,
                [first, ..] => first,
                [] => value,
            },
            Self::Rate(averages, last) => {
                let third = cascade(averages, value).last().copied().unwrap_or(value);
                let rate = (third / *last - 1.0) * 100.0;
                *last = third;
                rate
            }
            Self::UpsAndDowns { up, down, previous, oscillator } => {
                let up = up.next((value - *previous).max(0.0));
                let down = down.next((*previous - value).max(0.0));
                *previous = value;
                if *oscillator { 100.0 * ((up - down) / (up + down)) } else { 100.0 - 100.0 / (1.0 + up / down) }
            }
            Self::Momentum(momentum) => momentum.next(value),
            Self::Efficiency(efficiency) => efficiency.next(value),
            Self::Adaptive(efficiency, average) => {
                // Factors of averages over 2 points and over 30.
                const FAST: f64 = 2.0 / 3.0;
                const SLOW: f64 = 2.0 / 31.0;
                if !efficiency.is_warm() {
                    *average = efficiency.window.back().map_or(0.0, |(value, _)| *value);
                }
                let factor = (efficiency.next(value) * (FAST - SLOW) + SLOW).powi(2);
                *average += factor * (value - *average);
                *average
            }
        }
    }
}

/// Averages of averages: while one begins simply, the next waits for it.
fn cascade(averages: &mut [Average], value: f64) -> Vec<f64> {
    let mut value = value;
    let mut ready = true;
    averages
        .iter_mut()
        .map(|average| {
            if ready {
                value = average.next(value);
            }
            ready = ready && (average.is_warm() || average.warmup != Warmup::Simple);
            value
        })
        .collect()
}

/// An exponential moving average.
struct Average {
    period: usize,
    alpha: f64,
    warmup: Warmup,
    /// Values so far, not more than the period.
    count: usize,
    last: f64,
}

impl Average {
    fn new(period: usize, warmup: Warmup) -> Self {
        Self { period, alpha: 2.0 / (period as f64 + 1.0), warmup, count: 0, last: 0.0 }
    }

    fn is_warm(&self) -> bool {
        self.count == self.period
    }

    fn next(&mut self, value: f64) -> f64 {
        let count = self.count as f64;
        self.last = if self.count == 0 {
            value
        } else if self.is_warm() {
            (value - self.last) * self.alpha + self.last
        } else if self.warmup == Warmup::Simple {
            (self.last * count + value) / (count + 1.0)
        } else {
            (value - self.last) * (2.0 / (count + 2.0)) + self.last
        };
        self.count = self.period.min(self.count + 1);
        self.last
    }
}

/// Chande's momentum oscillator: what went up against what went down.
struct Momentum {
    previous: Option<f64>,
    changes: VecDeque<f64>,
    /// Changes that are kept.
    len: usize,
    up: f64,
    down: f64,
}

impl Momentum {
    fn new(period: usize) -> Self {
        Self { previous: None, changes: VecDeque::new(), len: period.saturating_sub(1), up: 0.0, down: 0.0 }
    }

    fn next(&mut self, value: f64) -> f64 {
        let change = self.previous.map_or(0.0, |previous| value - previous);
        self.previous = Some(value);
        if change > 0.0 {
            self.up += change;
        } else if change < 0.0 {
            self.down -= change;
        }
        let result =
            if self.up != 0.0 || self.down != 0.0 { 100.0 * ((self.up - self.down) / (self.up + self.down)) } else { 0.0 };
        self.changes.push_back(change);
        if self.changes.len() > self.len
            && let Some(oldest) = self.changes.pop_front()
        {
            if oldest > 0.0 {
                self.up -= oldest;
            } else if oldest < 0.0 {
                self.down += oldest;
            }
        }
        result
    }
}

/// Kaufman's efficiency ratio: how far a value came, against all the ways that it went.
struct Efficiency {
    /// Values with how far each is from the one before.
    window: VecDeque<(f64, f64)>,
    period: usize,
    /// Values so far, not more than it takes to be warm.
    count: usize,
    noise: f64,
}

impl Efficiency {
    fn new(period: usize) -> Self {
        Self { window: VecDeque::new(), period, count: 0, noise: 0.0 }
    }

    fn is_warm(&self) -> bool {
        self.count > self.period
    }

    fn next(&mut self, value: f64) -> f64 {
        // What came before the first value counts as zeros.
        let oldest = if self.window.len() == self.period { self.window.pop_front().unwrap_or_default() } else { (0.0, 0.0) };
        let newest = self.window.back().map_or(if self.period == 1 { oldest.0 } else { 0.0 }, |(value, _)| *value);
        let change = (value - newest).abs();
        self.noise -= oldest.1;
        self.noise += change;
        self.window.push_back((value, change));
        if !self.is_warm() {
            self.count += 1;
        }
        let signal = (value - oldest.0).abs();
        if signal == 0.0 || self.noise == 0.0 { 0.0 } else { signal / self.noise }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Up from 1 to 15 and down to 1 again.
    fn hill() -> impl Iterator<Item = f64> {
        (1..=15).chain((1..15).rev()).map(f64::from)
    }

    fn results(name: &str, period: usize, hold: Option<usize>, warmup: Option<&str>, values: &[f64]) -> Vec<f64> {
        let technical = Technical::new(name, period, hold, warmup).unwrap();
        technical.apply(values.iter().copied()).map(|(_, result)| result).collect()
    }

    fn assert_close(results: &[f64], expected: &[f64]) {
        assert_eq!(results.len(), expected.len(), "{results:?}");
        for (a, b) in results.iter().zip(expected) {
            assert!((a - b).abs() < 1e-7, "{results:?}");
        }
    }

    /// The results of TA-Lib 0.4 for the same values.
    #[test]
    fn indicators_are_those_of_ta_lib() {
        let hill: Vec<f64> = hill().collect();
        for (name, period, expected) in [
            (
                "relative_strength_index",
                10,
                &[
                    100.0,
                    100.0,
                    100.0,
                    100.0,
                    100.0,
                    90.0,
                    81.0,
                    72.9,
                    65.61,
                    59.049,
                    53.1441,
                    47.82969,
                    43.046721,
                    38.7420489,
                    34.86784401,
                    31.381059609,
                    28.2429536481,
                    25.41865828329,
                    22.876792454961,
                ],
            ),
            (
                "chande_momentum_oscillator",
                10,
                &[
                    100.0,
                    100.0,
                    100.0,
                    100.0,
                    100.0,
                    80.0,
                    62.0,
                    45.8,
                    31.22,
                    18.098,
                    6.2882,
                    -4.34062,
                    -13.906558,
                    -22.5159022,
                    -30.26431198,
                    -37.237880782,
                    -43.5140927038,
                    -49.16268343342,
                    -54.246415090078,
                ],
            ),
            (
                "triple_exponential_derivative",
                4,
                &[
                    18.181818181818187,
                    15.384615384615374,
                    13.33333333333333,
                    11.764705882352944,
                    10.526315789473696,
                    8.304761904761904,
                    5.641927541329594,
                    3.0392222148232007,
                    0.7160675740302658,
                    -1.2848911076603242,
                    -2.9999661985600667,
                    -4.493448741755901,
                    -5.836238000516913,
                    -7.099092024379772,
                    -8.352897627933453,
                    -9.673028502435233,
                    -11.147601363985949,
                    -12.891818138458877,
                    -15.074463280730022,
                ],
            ),
        ] {
            assert_close(&results(name, period, None, Some("simple"), &hill), expected);
        }
        let expected = [
            10.444444444444445,
            11.135802469135802,
            11.964334705075446,
            12.869074836153025,
            13.81615268675168,
            13.871008014588556,
            13.71308456353558,
            13.553331356741122,
            13.46599437575161,
            13.4515677602438,
            13.29930139347417,
            12.805116570729284,
            11.752584300922967,
            10.036160535131103,
            7.797866963961725,
            6.109926091089847,
            4.727736717272138,
            3.5154092873734104,
            2.3974496040963396,
        ];
        assert_close(&results("kaufmans_adaptive_moving_average", 10, None, None, &hill), &expected);
    }

    #[test]
    fn plain_indicators() {
        let hill: Vec<f64> = hill().collect();
        let mut expected = vec![100.0; 5];
        expected.extend([80.0, 60.0, 40.0, 20.0, 0.0, -20.0, -40.0, -60.0, -80.0, -100.0, -100.0, -100.0, -100.0, -100.0]);
        // One result more comes out by default: all went up so far.
        expected.insert(0, 100.0);
        assert_close(&results("chande_momentum_oscillator", 10, None, None, &hill), &expected);
        assert_close(&results("chande_momentum_oscillator", 10, Some(10), Some("none"), &hill), &expected[1..]);
        let values = [20.0, 21.0, 22.0, 23.0, 22.0, 21.0];
        assert_close(&results("kaufmans_efficiency_ratio", 3, None, None, &values), &[1.0, 1.0 / 3.0, 1.0 / 3.0]);
        assert_close(&results("kaufmans_efficiency_ratio", 1, None, None, &[1.0, 3.0, 3.0, 2.0]), &[1.0, 0.0, 1.0]);
        assert_close(&results("chande_momentum_oscillator", 1, None, None, &[1.0, 3.0, 3.0, 2.0]), &[0.0, 100.0, 0.0, -100.0]);
    }

    #[test]
    fn averages_begin_as_they_are_told() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        // Simple means of 1, of 2, of 3 values, then a factor of 1/2.
        let simple = [1.0, 1.5, 2.0, 3.0, 4.0];
        assert_close(&results("exponential_moving_average", 3, Some(0), Some("simple"), &values), &simple);
        assert_close(&results("exponential_moving_average", 3, None, Some("simple"), &values), &simple[2..]);
        // Factors of 2/3 and 2/4 before.
        let scaled = [1.0, 5.0 / 3.0, 7.0 / 3.0, 19.0 / 6.0, 49.0 / 12.0];
        assert_close(&results("exponential_moving_average", 3, Some(0), None, &values), &scaled);
        assert_close(&results("exponential_moving_average", 3, None, Some("exponential"), &values), &scaled[2..]);
        // On a straight line the double and the triple average have no lag once they are warm.
        let line: Vec<f64> = (0..40).map(f64::from).collect();
        for (name, held) in [("double_exponential_moving_average", 4), ("triple_exponential_moving_average", 6)] {
            assert_close(&results(name, 3, None, Some("simple"), &line), &line[held..]);
            assert_eq!(results(name, 3, None, None, &line).len(), line.len() - 2);
        }
        assert_eq!(results("relative_strength_index", 3, None, None, &values).len(), 2);
        assert_eq!(results("triple_exponential_derivative", 3, None, None, &values).len(), 2);
    }

    #[test]
    fn a_rate_over_zero_is_no_result() {
        assert_eq!(results("triple_exponential_derivative", 1, Some(1), None, &[0.0, 1.0, 2.0]), [100.0]);
    }
}
