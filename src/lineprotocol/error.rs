//! Why a line was not accepted, in 1.x's words.

use std::fmt;

/// What is wrong with a line. `Display` is 1.x's phrase.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// `missing measurement`
    MissingMeasurement,
}

/// A line that was not accepted. `Display` is 1.x's message with the offending line, `unable to parse 'cpu': missing fields`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LineError<'a> {
    pub(super) number: usize,
    pub(super) text: &'a [u8],
    pub(super) reason: Reason,
}

impl<'a> LineError<'a> {
    /// One-based number of the line in the body.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// The line, without leading white space and its newline.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Whether 1.x parses such a line and only its store refuses the point (a tag named `time`): then it counts in `dropped=N`, and the
    /// message has no `unable to parse` in front.
    #[must_use]
    pub fn is_dropped_point(&self) -> bool {
        false
    }
}

impl fmt::Display for LineError<'_> {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl std::error::Error for LineError<'_> {}
