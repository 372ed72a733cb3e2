//! Where 1.x stops early. It takes a window that has points but no result for the end of all: what it has by then is put out, and then it asks
//! once more. So a first window without a result ends everything, the other groups' windows too, and so do two in a row.

use std::collections::BTreeMap;

use arrow_array::Array;

use super::sequence::Windows;

/// How far a call has come.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::embedded::query) struct End {
    /// No more rows are looked at.
    read: bool,
    /// No more results are given.
    given: bool,
    /// The outer group that the call has a point of.
    begun: Option<usize>,
    /// Whether there was a result since the last time that there was none.
    result: bool,
    /// Whether there was any.
    any: bool,
}

impl End {
    /// For the next measurement.
    pub(super) const fn next(self) -> Self {
        let over = self.read || self.given;
        Self { read: over, given: over, begun: None, ..self }
    }

    pub(super) const fn is_given(self) -> bool {
        self.given
    }

    /// Hears whether a window, or a group, has a result; whether to go on.
    pub(super) const fn goes_on(&mut self, result: bool) -> bool {
        self.given |= !result && !self.result;
        self.result = result;
        self.any |= result;
        !self.given
    }

    /// Takes away what comes behind the end. Where windows are filled, those without a result are, but for the first of all.
    pub(super) fn cut(&mut self, parts: &mut Vec<Windows>, ascending: bool, filled: bool) {
        for (number, part) in parts.iter_mut().enumerate() {
            let mut results: BTreeMap<i64, bool> = BTreeMap::new();
            for (start, points) in part.iter().flat_map(|(_, windows)| windows) {
                *results.entry(*start).or_default() |= !points.is_empty();
            }
            let mut results: Vec<(i64, bool)> = results.into_iter().collect();
            if !ascending {
                results.reverse();
            }
            let end = results.into_iter().find(|(_, result)| !(filled && self.any || self.goes_on(*result)));
            let Some((end, _)) = end else { continue };
            for (_, windows) in part.iter_mut() {
                windows.retain(|(start, _)| if ascending { *start < end } else { *start > end });
            }
            parts.truncate(number + 1);
            return;
        }
    }

    /// How many of a subquery's rows a function without windows takes: up to the first that lies outside of the query's time, as the windows
    /// of a subquery may. If that is the first of all, the function has no result.
    pub(super) fn taken(&mut self, outer: usize, times: &[i64], values: &dyn Array, within: (i64, i64)) -> usize {
        if self.read {
            return 0;
        }
        if self.begun != Some(outer) {
            self.begun = None;
        }
        for (row, time) in times.iter().enumerate() {
            let valid = values.is_valid(row);
            if (within.0..=within.1).contains(time) {
                if valid {
                    self.begun = Some(outer);
                }
            } else if valid || self.begun.is_some() {
                self.read = true;
                return row;
            }
        }
        times.len()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Float64Array;

    use super::*;
    use crate::embedded::query::{aggregate::Point, value::Scalar};

    #[test]
    fn rows_outside_end_a_call() {
        let values = Float64Array::from(vec![Some(1.0), Some(2.0), None]);
        // Group, times; how many are taken then.
        for (calls, expected) in [
            (vec![(0, [10, 15, 20])], 3),
            (vec![(0, [9, 15, 20])], 0),
            (vec![(0, [10, 21, 20])], 1),
            // Missing values count as soon as there was a point.
            (vec![(0, [10, 15, 21])], 2),
            (vec![(0, [10, 15, 20]), (0, [9, 15, 20])], 0),
            (vec![(0, [10, 15, 21]), (1, [10, 15, 20])], 0),
            (vec![(0, [10, 15, 20]), (1, [10, 15, 20])], 3),
        ] {
            let mut end = End::default();
            let taken = calls.iter().map(|(outer, times)| end.taken(*outer, times, &values, (10, 20))).last();
            assert_eq!(taken, Some(expected), "{calls:?}");
        }
        let missing = Float64Array::from(vec![None, Some(2.0), None]);
        assert_eq!(End::default().taken(0, &[9, 10, 11], &missing, (10, 20)), 3);
    }

    #[test]
    fn windows_without_a_result_may_be_the_end() {
        // Windows of two groups, by their starts, and which have results.
        let part = |results: [&[(i64, bool)]; 2]| -> Windows {
            let points = |result| if result { vec![Point { time: 0, value: Scalar::Null, aux: None }] } else { Vec::new() };
            let group = |group: &[(i64, bool)]| group.iter().map(|(start, result)| (*start, points(*result))).collect();
            results.into_iter().map(group).enumerate().collect()
        };
        let left = |parts: &[Windows]| -> Vec<i64> {
            parts.iter().flatten().flat_map(|(_, group)| group).map(|window| window.0).collect()
        };
        for (results, ascending, filled, expected) in [
            ([&[(10, true), (20, false), (30, true)][..], &[][..]], true, false, vec![10, 20, 30]),
            ([&[(10, true), (20, false), (30, false), (40, true)], &[]], true, false, vec![10, 20]),
            ([&[(10, true), (20, false), (30, false), (40, true)], &[]], true, true, vec![10, 20, 30, 40]),
            ([&[(10, false), (20, true)], &[]], true, true, vec![]),
            ([&[(10, false), (20, true)], &[(10, true)]], true, true, vec![10, 20, 10]),
            ([&[(10, true), (20, true), (30, false)], &[]], false, false, vec![]),
        ] {
            let mut parts = vec![part(results)];
            let mut end = End::default();
            end.cut(&mut parts, ascending, filled);
            assert_eq!(left(&parts), expected, "{results:?}");
            assert_eq!(end.is_given(), expected.len() < left(&[part(results)]).len());
        }
    }
}
