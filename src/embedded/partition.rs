//! Partitions in time: 1.x's shard groups.

use std::{collections::BTreeMap, time::Duration};

/// 1.x counts from the beginning of the year 1, so many nanoseconds before 1970. It was a Monday.
const YEAR_1: i128 = 62_135_596_800_000_000_000;

/// How long partitions of a bucket are, in nanoseconds, by its retention: 7 days for ever and from 180 days on, a day from two days on, an
/// hour below (what `SHOW RETENTION POLICIES` of 1.x calls `shardGroupDuration`).
#[must_use]
pub fn shard_duration(retention: Option<Duration>) -> Duration {
    const HOURS: u64 = 3600;
    Duration::from_secs(match retention.map(|retention| retention.as_secs()) {
        None => 7 * 24 * HOURS,
        Some(seconds) if seconds >= 180 * 24 * HOURS => 7 * 24 * HOURS,
        Some(seconds) if seconds >= 2 * 24 * HOURS => 24 * HOURS,
        Some(_) => HOURS,
    })
}

/// The partition of this length that `time` falls into: start included, end not, cut at what 64 bits can say.
pub(super) fn bounds(time: i64, shard: i64) -> (i64, i64) {
    let (time, shard) = (i128::from(time), i128::from(shard.max(1)));
    let offset = YEAR_1.rem_euclid(shard);
    let start = (time + offset).div_euclid(shard) * shard - offset;
    let clamp = |time: i128| i64::try_from(time).unwrap_or(if time < 0 { i64::MIN } else { i64::MAX });
    (clamp(start), clamp(start + shard))
}

/// The partition that `time` belongs to among those that are there (`start → end`), or the bounds of a new one, cut so that it overlaps none:
/// partitions stay disjoint even if the retention, and with it their length, has changed.
pub(super) fn find<T>(there: &BTreeMap<i64, T>, end: impl Fn(&T) -> i64, time: i64, shard: i64) -> Found {
    let before = there.range(..=time).next_back();
    if let Some((start, partition)) = before
        && time < end(partition)
    {
        return Found::There(*start);
    }
    let (mut from, mut to) = bounds(time, shard);
    if let Some((_, partition)) = before {
        from = from.max(end(partition));
    }
    if let Some((next, _)) = there.range(time..).next() {
        to = to.min(*next);
    }
    Found::New { start: from, end: to }
}

/// See [`find`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    There(i64),
    New { start: i64, end: i64 },
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000_000;
    const DAY: i64 = 24 * HOUR;
    const WEEK: i64 = 7 * DAY;

    #[test]
    fn lengths_are_those_of_1x() {
        let hours = |hours: u64| shard_duration(Some(Duration::from_secs(hours * 3600))).as_secs() / 3600;
        assert_eq!(shard_duration(None).as_secs(), 7 * 86400);
        let table = [(1, 1), (47, 1), (48, 24), (49, 24), (720, 24), (4319, 24), (4320, 168), (4321, 168), (8760, 168)];
        for (retention, expected) in table {
            assert_eq!(hours(retention), expected, "{retention} h");
        }
    }

    #[test]
    fn bounds_are_those_of_1x() {
        // As `SHOW SHARDS` of 1.6.7 tells them.
        let monday = -3 * DAY;
        assert_eq!(bounds(1, WEEK), (monday, monday + WEEK));
        assert_eq!(bounds(-604_800_000_000_001, WEEK), (monday - WEEK, monday));
        assert_eq!(bounds(604_800_000_000_000, WEEK), (monday + WEEK, monday + 2 * WEEK));
        assert_eq!(bounds(-1, HOUR), (-HOUR, 0));
        assert_eq!(bounds(i64::MAX - 1, WEEK).1, i64::MAX);
        assert!(bounds(i64::MIN + 2, WEEK).0 <= i64::MIN + 2);
    }

    #[test]
    fn new_partitions_overlap_none() {
        let there = BTreeMap::from([(0, HOUR), (DAY, DAY + HOUR)]);
        let find = |time| super::find(&there, |end| *end, time, DAY);
        assert_eq!(find(5), Found::There(0));
        assert_eq!(find(HOUR), Found::New { start: HOUR, end: DAY });
        assert_eq!(find(DAY + HOUR + 1), Found::New { start: DAY + HOUR, end: 2 * DAY });
        assert_eq!(find(-1), Found::New { start: -DAY, end: 0 });
    }
}
