//! Forecasts after Holt and Winters: a level, a damped trend and a season, each smoothed exponentially, with the weights that fit the
//! points so far best. Season and level multiply.
//!
//! 1.x's starting points, bounds and ends of the search are kept, since the result depends on them.

use super::nelder_mead;

/// Weights of level, trend, season, and the trend's damping, from which the search starts: all combinations.
const STARTS: [f64; 2] = [0.3, 0.3 + 0.4];
/// When the search is over.
const EPSILON: f64 = 1e-4;
/// Without a season, the share of the first value that the level starts from.
const SHARE: f64 = 0.5;
/// Where level and trend stand among the parameters, behind four weights; the season follows.
const LEVEL: usize = 4;
const TREND: usize = 5;
const SEASON: usize = 6;

/// Points at equal distances.
pub(super) struct Model {
    /// NaN where there is none.
    values: Vec<f64>,
    /// Points of a season; 0 without one.
    season: usize,
}

/// The number of the interval that a time is nearest to.
fn nearest(time: i64, interval: i64) -> i64 {
    let number = time / interval;
    if time % interval > interval / 2 { number + 1 } else { number }
}

/// How many values points from `first` to `last` come to; `None` where nothing can be told.
pub(super) fn len(first: i64, last: i64, interval: i64) -> Option<usize> {
    let steps = nearest(last, interval).checked_sub(nearest(first, interval))?;
    usize::try_from(steps).ok().filter(|steps| *steps > 0)?.checked_add(1)
}

impl Model {
    /// From points by ascending time; `None` when they are too few.
    pub(super) fn new(points: &[(i64, f64)], interval: i64, season: usize) -> Option<Self> {
        let season = if season < 2 { 0 } else { season };
        let (first, last) = (points.first()?.0, points.last()?.0);
        if points.len() < season.max(2) {
            return None;
        }
        let mut values = vec![f64::NAN; len(first, last, interval)?];
        let start = nearest(first, interval);
        let mut next = 0;
        for (time, value) in points {
            let place = usize::try_from(nearest(*time, interval) - start).ok()?;
            // Of several that are nearest to one time, the first counts.
            if place >= next {
                *values.get_mut(place)? = *value;
                next = place + 1;
            }
        }
        (values.len() >= season).then_some(Self { values, season })
    }

    /// What was to be expected from the first value on, and `horizon` values more. `go_on` is asked now and then.
    pub(super) fn forecast(&self, horizon: usize, go_on: &dyn Fn() -> bool) -> Vec<f64> {
        let mut start = self.start();
        let mut best: Option<(f64, Vec<f64>)> = None;
        for combination in 0..16 {
            // The last weight changes fastest.
            for (weight, bit) in start.iter_mut().zip([8, 4, 2, 1]) {
                *weight = STARTS[usize::from(combination & bit != 0)];
            }
            let mut error = |parameters: &mut [f64]| if go_on() { self.error(parameters) } else { f64::INFINITY };
            let (error, parameters) = nelder_mead::minimize(&mut error, &start, EPSILON);
            if best.as_ref().is_none_or(|(least, _)| error < *least) {
                best = Some((error, parameters));
            }
        }
        let mut parameters = best.map_or(start, |(_, parameters)| parameters);
        let mut forecast = Vec::with_capacity(self.values.len() + horizon);
        self.run(&mut parameters, self.values.len() + horizon, |value| {
            forecast.push(value);
            true
        });
        forecast
    }

    /// Guesses to start from.
    fn start(&self) -> Vec<f64> {
        let values = &self.values;
        let mut parameters = vec![0.0; SEASON];
        if self.season == 0 {
            parameters[LEVEL] = SHARE * values[0];
            if !values[1].is_nan() {
                parameters[TREND] = SHARE * (values[1] - values[0]);
            }
            return parameters;
        }
        let len = self.season as f64;
        let (first, second) = values.split_at(self.season);
        for value in first.iter().filter(|value| !value.is_nan()) {
            parameters[LEVEL] += 1.0 / len * value;
        }
        for (value, next) in first.iter().zip(second).filter(|(value, next)| !value.is_nan() && !next.is_nan()) {
            parameters[TREND] += 1.0 / (len * len) * (next - value);
        }
        let level = parameters[LEVEL];
        parameters.extend(first.iter().map(|value| if value.is_nan() { 0.0 } else { value / level }));
        parameters
    }

    /// The sum of squared errors of a run with these parameters.
    fn error(&self, parameters: &mut [f64]) -> f64 {
        let mut sum = 0.0;
        let mut values = self.values.iter();
        self.run(parameters, self.values.len(), |forecast| {
            let Some(value) = values.next() else { return false };
            if value.is_nan() {
                return true;
            }
            if forecast.is_nan() {
                sum = f64::INFINITY;
                // The season still changes to the end of the run, and with it where the search goes on from.
                values = [].iter();
                return true;
            }
            sum += (forecast - value) * (forecast - value);
            true
        });
        sum
    }

    /// Hands over so many values, each told from the one before. Weights are brought into their bounds, and the season is left as it is
    /// in the end.
    fn run(&self, parameters: &mut [f64], len: usize, mut each: impl FnMut(f64) -> bool) {
        for weight in &mut parameters[..LEVEL] {
            // Not `clamp`: NaN stays what it is, as in comparisons.
            *weight = if *weight > 1.0 { 1.0 } else { *weight };
            *weight = if *weight < 0.0 { 0.0 } else { *weight };
        }
        let (fixed, season) = parameters.split_at_mut(SEASON);
        let [alpha, beta, gamma, phi, mut level, mut trend] = *fixed else { return };
        let mut damping = phi;
        let mut value = self.values[0];
        let mut going = each(value);
        for t in 1..len {
            // Offsets into a season as into a ring: it moves on by two with each step.
            let (now, next) = match season.len() {
                0 => (1.0, 1.0),
                len => {
                    let at = 2 * (t - 1);
                    (season[at % len], season[(at + t % len) % len])
                }
            };
            let before = level;
            let expected = before + phi * trend;
            level = alpha * (value / now) + (1.0 - alpha) * expected;
            trend = beta * (level - before) + (1.0 - beta) * phi * trend;
            let place = gamma * (value / expected) + (1.0 - gamma) * now;
            value = (level + damping * trend) * next;
            damping += power(phi, t);
            if !season.is_empty() {
                let len = season.len();
                season[(2 * t + len - 2) % len] = place;
            }
            if going {
                going = each(value);
            }
        }
    }
}

/// By repeated squaring, as Go does it: the last bits matter to the search.
fn power(base: f64, mut exponent: usize) -> f64 {
    let (mut result, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}
