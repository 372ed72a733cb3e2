//! Minimizing a function of several variables without its derivatives: J. A. Nelder and R. Mead, “A simplex method for function
//! minimization”, The Computer Journal 7 (1965).

const ITERATIONS: usize = 1000;
const REFLECTION: f64 = 1.0;
const CONTRACTION: f64 = 0.5;
const EXPANSION: f64 = 2.0;

/// Corners of a simplex, with the function's values there.
struct Simplex {
    corners: Vec<Vec<f64>>,
    values: Vec<f64>,
}

/// Looks for a minimum near `start`, until the values at the corners deviate less than `epsilon`. `function` may move the point that it is
/// asked about, into its bounds for example: it stays moved.
pub(super) fn minimize(function: &mut impl FnMut(&mut [f64]) -> f64, start: &[f64], epsilon: f64) -> (f64, Vec<f64>) {
    let n = start.len();
    let mut simplex = Simplex::around(start, function);
    for _ in 0..ITERATIONS {
        let (worst, best) = simplex.extremes();
        let second = simplex.second_worst(worst, best);
        let center: Vec<f64> = (0..n)
            .map(|i| {
                let others = simplex.corners.iter().enumerate().filter(|(corner, _)| *corner != worst);
                others.fold(0.0, |sum, (_, corner)| sum + corner[i]) / n as f64
            })
            .collect();
        let from_center = |to: &[f64], factor: f64| -> Vec<f64> {
            center.iter().zip(to).map(|(center, to)| center + factor * (to - center)).collect()
        };

        // Away from the worst corner, to the other side of the center.
        let mut reflected: Vec<f64> =
            center.iter().zip(&simplex.corners[worst]).map(|(center, worst)| center + REFLECTION * (center - worst)).collect();
        let value = function(&mut reflected);
        if value < simplex.values[second] && value >= simplex.values[best] {
            simplex.replace(worst, reflected.clone(), value);
        }
        if value < simplex.values[best] {
            // Better than all: further that way, if that is better still.
            let mut expanded = from_center(&reflected, EXPANSION);
            let further = function(&mut expanded);
            if further < value {
                simplex.replace(worst, expanded, further);
            } else {
                simplex.replace(worst, reflected.clone(), value);
            }
        }
        if value >= simplex.values[second] {
            let outside = value < simplex.values[worst];
            let mut contracted = if outside {
                from_center(&reflected, CONTRACTION)
            } else {
                let worst = &simplex.corners[worst];
                center.iter().zip(worst).map(|(center, worst)| center - CONTRACTION * (center - worst)).collect()
            };
            let nearer = function(&mut contracted);
            if nearer < simplex.values[worst] {
                simplex.replace(worst, contracted, nearer);
            } else {
                // All corners move halfway to the best; the values of only two of them are asked for again.
                simplex.shrink(best);
                for corner in [worst, second] {
                    simplex.values[corner] = function(&mut simplex.corners[corner]);
                }
            }
        }
        if simplex.deviation() < epsilon {
            break;
        }
    }
    let (_, best) = simplex.extremes();
    let mut found = simplex.corners.swap_remove(best);
    let result = found.clone();
    (function(&mut found), result)
}

impl Simplex {
    /// A regular simplex with sides of length 1.
    fn around(start: &[f64], function: &mut impl FnMut(&mut [f64]) -> f64) -> Self {
        let n = start.len() as f64;
        let root = (n + 1.0).sqrt() - 1.0;
        let sides = n * std::f64::consts::SQRT_2;
        let (along, across) = ((root + n) / sides, root / sides);
        let mut corners = vec![start.to_vec()];
        for i in 0..start.len() {
            corners.push(start.iter().enumerate().map(|(j, x)| if i == j { along + x } else { across + x }).collect());
        }
        let values = corners.iter_mut().map(|corner| function(corner)).collect();
        Self { corners, values }
    }

    /// The corners with the largest and with the smallest value.
    fn extremes(&self) -> (usize, usize) {
        let (mut worst, mut best) = (0, 0);
        for (i, value) in self.values.iter().enumerate() {
            if *value > self.values[worst] {
                worst = i;
            }
            if *value < self.values[best] {
                best = i;
            }
        }
        (worst, best)
    }

    fn second_worst(&self, worst: usize, best: usize) -> usize {
        let mut second = best;
        for (i, value) in self.values.iter().enumerate() {
            if *value > self.values[second] && *value < self.values[worst] {
                second = i;
            }
        }
        second
    }

    fn replace(&mut self, corner: usize, with: Vec<f64>, value: f64) {
        self.corners[corner] = with;
        self.values[corner] = value;
    }

    fn shrink(&mut self, best: usize) {
        let to = self.corners[best].clone();
        for corner in self.corners.iter_mut().enumerate().filter(|(i, _)| *i != best).map(|(_, corner)| corner) {
            for (x, to) in corner.iter_mut().zip(&to) {
                *x = to + (*x - to) / 2.0;
            }
        }
    }

    fn deviation(&self) -> f64 {
        let n = (self.values.len() - 1) as f64;
        let mean = self.values.iter().sum::<f64>() / (n + 1.0);
        self.values.iter().map(|value| (value - mean) * (value - mean) / n).sum::<f64>().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minima_of_known_functions() {
        let mut rosenbrock = |x: &mut [f64]| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2);
        let (value, at) = minimize(&mut rosenbrock, &[-1.2, 1.0], 1e-9);
        assert!(value < 1e-6 && (at[0] - 1.0).abs() < 1e-3 && (at[1] - 1.0).abs() < 1e-3, "{value} at {at:?}");

        let mut bowl = |x: &mut [f64]| x.iter().enumerate().map(|(i, x)| (x - i as f64).powi(2)).sum();
        let (value, at) = minimize(&mut bowl, &[5.0, 5.0, 5.0], 1e-10);
        assert!(value < 1e-6, "{value} at {at:?}");
    }

    #[test]
    fn bounds_are_kept() {
        let mut bounded = |x: &mut [f64]| {
            x[0] = x[0].clamp(0.0, 1.0);
            (x[0] - 3.0).powi(2)
        };
        let (value, at) = minimize(&mut bounded, &[0.5], 1e-6);
        assert!((value - 4.0).abs() < 1e-3 && (at[0] - 1.0).abs() < 1e-3, "{value} at {at:?}");
    }

    #[test]
    fn it_ends_where_nothing_is_a_number() {
        let (value, at) = minimize(&mut |_: &mut [f64]| f64::NAN, &[1.0, 2.0], 1e-4);
        assert!(value.is_nan());
        assert_eq!(at, [1.0, 2.0]);
    }
}
