//! From line protocol to a checked batch, and from what was refused to 1.x's phrases.

use std::time::Duration;

use super::{
    batch::{Batch, Builder},
    engine::{Rejected, RejectedLine},
    schema::Refused,
};
use crate::{
    error::{Error, Kind},
    lineprotocol::{LineError, Unit, parse_lines},
};

/// At most so many lines are told.
const TOLD: usize = 100;
/// A line that is told is cut after so many characters, as 3 Core does.
const TOLD_LINE: usize = 20;

/// A body, parsed.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) batch: Batch,
    /// Line number and place in the body of each point.
    lines: Vec<(usize, usize)>,
    bad: Vec<Bad>,
    bad_count: usize,
}

/// A line that is no point.
#[derive(Debug)]
struct Bad {
    number: usize,
    line: String,
    /// The whole message.
    message: String,
    /// 1.x's parser takes it, and its store drops the point.
    dropped: bool,
}

/// Parses a body. Points without a timestamp get `now` (nanoseconds), cut to the unit.
pub(super) fn parse(body: &[u8], unit: Unit, now: i64, bucket: u64) -> Result<Parsed, Error> {
    let nanos = match unit {
        Unit::Of(precision) => precision.nanos(),
        Unit::Auto => 1,
    };
    let now = now - now.rem_euclid(nanos);
    let mut builder = Builder::default();
    let (mut lines, mut bad, mut bad_count) = (Vec::new(), Vec::new(), 0);
    for line in parse_lines(body, unit) {
        match line {
            Ok(line) => {
                builder
                    .push(&line, line.timestamp.unwrap_or(now))
                    .ok_or_else(|| Error::new(Kind::TooLarge, "the write has more points than fit into one"))?;
                lines.push((line.number, line.text.as_ptr().addr() - body.as_ptr().addr()));
            }
            Err(error) => {
                bad_count += 1;
                if bad.len() < TOLD || error.is_dropped_point() {
                    bad.push(Bad::new(&error));
                }
            }
        }
    }
    Ok(Parsed { batch: builder.finish(bucket), lines, bad, bad_count })
}

/// The earliest time that a bucket still takes.
pub(super) fn earliest(retention: Option<Duration>, now: i64) -> Option<i64> {
    let retention = i64::try_from(retention?.as_nanos()).unwrap_or(i64::MAX);
    Some(now.saturating_sub(retention))
}

impl Parsed {
    /// Points that were no lines.
    pub(super) fn of(batch: Batch) -> Self {
        let lines = (1..=batch.points.len()).map(|number| (number, 0)).collect();
        Self { batch, lines, bad: Vec::new(), bad_count: 0 }
    }

    /// Whether every line became a point.
    pub(super) fn is_clean(&self) -> bool {
        self.bad_count == 0
    }

    /// What to say about the write, if anything was refused. As 1.x: what its store drops comes before what its parser drops, a conflict before
    /// points that are too old, and only the first reason is told.
    pub(super) fn report(&self, body: &[u8], refused: &[Refused], written: bool) -> Option<Rejected> {
        if self.is_clean() && refused.is_empty() {
            return None;
        }
        let mut lines: Vec<RejectedLine> = self
            .bad
            .iter()
            .map(|bad| RejectedLine { reason: bad.message.clone(), number: bad.number, line: bad.line.clone() })
            .chain(refused.iter().take(TOLD).map(|refused| {
                let (number, start) = self.lines[refused.index];
                let line = body[start..].split(|byte| *byte == b'\n').next().unwrap_or_default();
                RejectedLine { reason: refused.reason.to_string(), number, line: shorten(line) }
            }))
            .collect();
        lines.sort_by_key(|line| line.number);
        lines.truncate(TOLD);
        Some(Rejected { error: self.phrase(refused, written), lines, partial: written })
    }

    fn phrase(&self, refused: &[Refused], written: bool) -> String {
        let conflicts = refused.iter().filter(|refused| refused.reason.is_conflict()).map(|refused| {
            let (number, _) = self.lines[refused.index];
            (number, refused.reason.to_string())
        });
        let dropped = self.bad.iter().filter(|bad| bad.dropped).map(|bad| (bad.number, bad.message.clone()));
        let conflicts: Vec<(usize, String)> = conflicts.chain(dropped).collect();
        if let Some((_, reason)) = conflicts.iter().min_by_key(|(number, _)| *number) {
            return format!("partial write: {reason} dropped={}", conflicts.len());
        }
        if let Some(first) = refused.first() {
            return format!("partial write: {} dropped={}", first.reason, refused.len());
        }
        let mut text = self.bad.iter().map(|bad| bad.message.as_str()).collect::<Vec<_>>().join("\n");
        if self.bad_count > self.bad.len() {
            text.push_str(&format!("\n… and {} more lines", self.bad_count - self.bad.len()));
        }
        if written { format!("partial write: {text} dropped=0") } else { text }
    }
}

impl Bad {
    fn new(error: &LineError<'_>) -> Self {
        Self {
            number: error.number(),
            line: shorten(error.text()),
            message: error.to_string(),
            dropped: error.is_dropped_point(),
        }
    }
}

fn shorten(line: &[u8]) -> String {
    let line = &line[..line.len().min(4 * TOLD_LINE)];
    String::from_utf8_lossy(line).chars().take(TOLD_LINE).collect()
}
