//! From bytes to lines.

use super::{Line, LineError, Unit};

/// Earliest timestamp that a point may have, as in 1.x: two values are reserved below it.
pub const MIN_TIME: i64 = i64::MIN + 2;
/// Latest timestamp that a point may have, as in 1.x: one value is reserved above it.
pub const MAX_TIME: i64 = i64::MAX - 1;

/// The lines of a body; comments and blank lines are skipped. Every line is either accepted or reported, and the others go on.
pub fn parse_lines(body: &[u8], unit: impl Into<Unit>) -> Lines<'_> {
    Lines { rest: body, number: 0, unit: unit.into() }
}

/// Iterator of [`parse_lines`].
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
    unit: Unit,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, LineError<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = (self.rest, self.number, self.unit);
        todo!()
    }
}
