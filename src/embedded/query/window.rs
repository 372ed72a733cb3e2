//! `GROUP BY time`: which window a time falls into.

use std::ops::Range;

use jiff::{Timestamp, tz::TimeZone};

/// The earliest and the latest time that 1.x knows; both ends of an unbounded range.
pub(super) const MIN_TIME: i64 = i64::MIN + 2;
pub(super) const MAX_TIME: i64 = i64::MAX - 1;

/// Windows of equal width, as clocks in a time zone show them.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    pub(super) width: i64,
    pub(super) offset: i64,
    pub(super) zone: Option<TimeZone>,
}

/// Rows of a batch that fall into one window.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Run {
    pub(super) start: i64,
    pub(super) rows: Range<usize>,
}

/// Nanoseconds that local clocks are ahead at `time`.
pub(super) fn zone_offset(zone: &TimeZone, time: i64) -> i64 {
    Timestamp::from_nanosecond(i128::from(time)).map_or(0, |time| i64::from(zone.to_offset(time).seconds()) * 1_000_000_000)
}

impl Windows {
    fn zone_offset(&self, time: i64) -> i64 {
        self.zone.as_ref().map_or(0, |zone| zone_offset(zone, time))
    }

    /// Start and end (not included) of the window of `time`. Around a change of the clocks a window is longer or shorter, as in 1.x.
    pub(super) fn of(&self, time: i64) -> (i64, i64) {
        let time = time.saturating_sub(self.offset);
        let zone = self.zone_offset(time);
        let into = time.wrapping_add(zone).rem_euclid(self.width);

        let mut start = if MIN_TIME + into >= time { MIN_TIME } else { time - into };
        let changed = zone - if self.zone.is_some() { self.zone_offset(start) } else { zone };
        if changed != 0 && changed.abs() < self.width {
            start += changed;
        }
        // Only now, as in 1.x: a shifted window follows the clocks at the start of the one that isn't.
        start = start.saturating_add(self.offset);

        let left = self.width - into;
        let mut end = if MAX_TIME - left <= time { MAX_TIME } else { time + left };
        if self.zone.is_some() {
            let at_end = self.zone_offset(end);
            let changed = zone - at_end;
            // Clocks that go back lengthen the window before; those that go forward shorten it, if they do so inside of it.
            if changed != 0 && changed.abs() < self.width && (changed > 0 || self.zone_offset(end + changed) == at_end) {
                end += changed;
            }
        }
        end = end.saturating_add(self.offset);
        (start, end)
    }

    /// The start of the window after the one that starts at `start` (before it when `backwards`), given the zone's offset there.
    pub(super) fn step(&self, start: i64, backwards: bool, offset: &mut i64) -> i64 {
        let mut next = if backwards { start.saturating_sub(self.width) } else { start.saturating_add(self.width) };
        if self.zone.is_some() {
            let at = self.zone_offset(next.saturating_sub(1));
            if at != *offset {
                let changed = *offset - at;
                if changed.abs() < self.width {
                    next += changed;
                }
                *offset = at;
            }
        }
        next
    }

    /// The zone's offset at a window's start.
    pub(super) fn offset_at(&self, start: i64) -> i64 {
        self.zone_offset(start)
    }

    /// Cuts times in any order into runs of the same window.
    pub(super) fn runs_unsorted(&self, times: &[i64]) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut row = 0;
        while let Some(time) = times.get(row) {
            let (start, end) = self.of(*time);
            let len = times[row..].iter().take_while(|time| (start..end).contains(*time)).count().max(1);
            runs.push(Run { start, rows: row..row + len });
            row += len;
        }
        runs
    }

    /// Cuts ascending times into runs of the same window.
    pub(super) fn runs(&self, times: &[i64]) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut row = 0;
        while let Some(time) = times.get(row) {
            let (start, end) = self.of(*time);
            let len = times[row..].partition_point(|time| *time < end).max(1);
            runs.push(Run { start, rows: row..row + len });
            row += len;
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000_000;

    #[test]
    fn windows_without_zone() {
        let windows = Windows { width: 10, offset: 0, zone: None };
        for (time, expected) in [(0, (0, 10)), (9, (0, 10)), (10, (10, 20)), (-1, (-10, 0)), (-10, (-10, 0))] {
            assert_eq!(windows.of(time), expected, "{time}");
        }
        let windows = Windows { width: 10, offset: 3, zone: None };
        for (time, expected) in [(0, (-7, 3)), (3, (3, 13)), (12, (3, 13)), (13, (13, 23))] {
            assert_eq!(windows.of(time), expected, "{time}");
        }
        assert_eq!(windows.of(MIN_TIME).0, MIN_TIME + 3);
    }

    #[test]
    fn days_follow_the_clocks() {
        let windows = Windows { width: 24 * HOUR, offset: 0, zone: Some(TimeZone::get("Europe/Berlin").unwrap()) };
        // 2020-03-29, when clocks went forward, has 23 hours: it starts at 2020-03-28T23:00Z and ends at 22:00Z.
        let start = 1_585_436_400_000_000_000;
        assert_eq!(windows.of(start + 12 * HOUR), (start, start + 23 * HOUR));
        // 2020-10-25 has 25.
        let start = 1_603_576_800_000_000_000;
        assert_eq!(windows.of(start + 12 * HOUR), (start, start + 25 * HOUR));
    }

    #[test]
    fn runs_cover_all_rows() {
        let windows = Windows { width: 10, offset: 0, zone: None };
        let runs = windows.runs(&[-3, 0, 5, 9, 10, 30]);
        let expected = [(-10, 0..1), (0, 1..4), (10, 4..5), (30, 5..6)];
        assert_eq!(runs, expected.map(|(start, rows)| Run { start, rows }));
        assert_eq!(windows.runs_unsorted(&[-3, 0, 5, 9, 10, 30]), runs);
        let runs = windows.runs_unsorted(&[11, 10, 5, 6, 12]);
        let expected = [(10, 0..2), (0, 2..4), (10, 4..5)];
        assert_eq!(runs, expected.map(|(start, rows)| Run { start, rows }));
    }
}
