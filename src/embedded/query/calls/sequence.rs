//! Points of several groups, mixed as 1.x mixes them.

use super::super::aggregate::Point;
use crate::error::Error;

/// Windows of some groups (told by their ranks): when each starts, and its points.
pub(super) type Windows = Vec<(usize, Vec<(i64, Vec<Point>)>)>;

/// Points in the order of the result.
#[derive(Debug, Default)]
pub(in crate::embedded::query) struct Sequence {
    pub(in crate::embedded::query) points: Vec<Point>,
    /// The rank of each point's group among the sorted groups; empty when all are of one.
    pub(in crate::embedded::query) ranks: Vec<u32>,
}

impl Sequence {
    /// What folds gave, window by window, in each the groups as they are sorted. `parts` follow each other. With `start`, points are where
    /// it puts the start of their windows.
    pub(super) fn of_windows(parts: Vec<Windows>, ascending: bool, start: Option<&dyn Fn(i64) -> i64>) -> Self {
        let mixed = parts.iter().any(|part| part.len() > 1);
        let mut all = Self::default();
        for part in parts {
            let mut windows: Vec<(i64, u32, Vec<Point>)> = part
                .into_iter()
                .flat_map(|(rank, windows)| windows.into_iter().map(move |(start, points)| (start, rank as u32, points)))
                .collect();
            // Those of one group ascend.
            match (mixed, ascending) {
                (true, true) => windows.sort_by_key(|(start, rank, _)| (*start, *rank)),
                (true, false) => windows.sort_by_key(|(start, rank, _)| (std::cmp::Reverse(*start), *rank)),
                (false, true) => {}
                (false, false) => windows.reverse(),
            }
            for (window, rank, points) in windows {
                if mixed {
                    all.ranks.extend(std::iter::repeat_n(rank, points.len()));
                }
                match start {
                    Some(start) => {
                        all.points.extend(points.into_iter().map(|point| Point { time: start(window), ..point }));
                    }
                    None => all.points.extend(points),
                }
            }
        }
        all
    }

    fn rank(&self, place: usize) -> u32 {
        self.ranks.get(place).copied().unwrap_or_default()
    }

    /// Fills what stands side by side of one group, on its own.
    pub(super) fn filled(self, mut fill: impl FnMut(Vec<Point>) -> Result<Vec<Point>, Error>) -> Result<Self, Error> {
        if self.ranks.is_empty() {
            return Ok(Self { points: fill(self.points)?, ranks: Vec::new() });
        }
        let mut all = Self::default();
        let mut points = self.points.into_iter();
        for run in self.ranks.chunk_by(|a, b| a == b) {
            let filled = fill(points.by_ref().take(run.len()).collect())?;
            all.ranks.extend(std::iter::repeat_n(run[0], filled.len()));
            all.points.extend(filled);
        }
        Ok(all)
    }

    /// The points of each group, and where they stand.
    fn parted(self) -> Vec<(u32, Vec<Point>, Vec<usize>)> {
        let mut groups: Vec<(u32, Vec<Point>, Vec<usize>)> = Vec::new();
        let ranks = self.ranks.iter().copied().chain(std::iter::repeat(0));
        for (place, (point, rank)) in self.points.into_iter().zip(ranks).enumerate() {
            let number = rank as usize;
            if groups.len() <= number {
                groups.extend((groups.len()..=number).map(|rank| (rank as u32, Vec::new(), Vec::new())));
            }
            groups[number].1.push(point);
            groups[number].2.push(place);
        }
        groups
    }

    /// Makes points of each group's points; groups come one after the other.
    pub(super) fn by_group(self, mut make: impl FnMut(&[Point]) -> Result<Vec<Point>, Error>) -> Result<Self, Error> {
        if self.ranks.is_empty() {
            return Ok(Self { points: make(&self.points)?, ranks: Vec::new() });
        }
        let mut all = Self::default();
        for (rank, points, _) in self.parted() {
            let made = make(&points)?;
            all.ranks.extend(std::iter::repeat_n(rank, made.len()));
            all.points.extend(made);
        }
        Ok(all)
    }

    /// The same where what is made of a point stands in its place.
    pub(super) fn in_place(self, mut make: impl FnMut(&[Point]) -> Result<Vec<Point>, Error>) -> Result<Self, Error> {
        if self.ranks.is_empty() {
            return Ok(Self { points: make(&self.points)?, ranks: Vec::new() });
        }
        let mut placed: Vec<(usize, u32, Point)> = Vec::new();
        for (rank, points, places) in self.parted() {
            let mut from = 0;
            for point in make(&points)? {
                // Not every point makes one.
                let of = points[from..].iter().position(|other| other.time == point.time).map_or(from, |more| from + more);
                from = (of + 1).min(points.len());
                placed.push((places[of.min(places.len() - 1)], rank, point));
            }
        }
        placed.sort_by_key(|(place, _, _)| *place);
        let (ranks, points) = placed.into_iter().map(|(_, rank, point)| (rank, point)).unzip();
        Ok(Self { points, ranks })
    }

    /// How many points there are of each group at one time.
    pub(super) fn counted(self) -> Self {
        let mut all = Self::default();
        let mixed = !self.ranks.is_empty();
        let mut from = 0;
        while let Some(first) = self.points.get(from) {
            let len = self.points[from..].iter().take_while(|point| point.time == first.time).count();
            let mut counts: std::collections::BTreeMap<u32, i64> = std::collections::BTreeMap::new();
            for place in from..from + len {
                *counts.entry(self.rank(place)).or_default() += 1;
            }
            for (rank, count) in counts {
                all.points.push(Point { time: first.time, value: super::Scalar::Integer(count), aux: None });
                if mixed {
                    all.ranks.push(rank);
                }
            }
            from += len;
        }
        all
    }

    /// Without so many points of each group, and no more than so many then.
    pub(super) fn limited(mut self, offset: usize, limit: usize, groups: usize) -> Self {
        if self.ranks.is_empty() {
            self.points.drain(..self.points.len().min(offset));
            self.points.truncate(limit);
            return self;
        }
        if offset == 0 && limit == usize::MAX {
            return self;
        }
        let mut seen = vec![0_usize; groups];
        let mut all = Self::default();
        for (point, rank) in self.points.into_iter().zip(self.ranks) {
            let number = &mut seen[rank as usize];
            *number += 1;
            if *number > offset && *number - offset <= limit {
                all.points.push(point);
                all.ranks.push(rank);
            }
        }
        all
    }
}
