//! Why a line was not accepted, in 1.x's words.

use std::fmt;

use super::{FieldType, MAX_KEY_LENGTH, MAX_TIME, MIN_TIME};

/// Bytes of an offending line that an error repeats; the rest of a longer one becomes `…`.
const SHOWN: usize = 1024;

/// What is wrong with a line. `Display` is 1.x's phrase, clients look for some of them.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// `,a=b f=1`
    MissingMeasurement,
    /// `m`, `m,a=b`
    MissingFields,
    /// `m,=b f=1`, `m,a=b, f=1`
    MissingTagKey,
    /// `m,a f=1`, `m,a= f=1`
    MissingTagValue,
    /// An `=` in a tag's value, `m,a=b=c f=1`.
    InvalidTagFormat,
    /// The same tag twice.
    DuplicateTags,
    /// `m =1`
    MissingFieldKey,
    /// `m f=`
    MissingFieldValue,
    /// Something between fields that is none: `m f`, `m f=1,`.
    InvalidFieldFormat,
    /// A string without its end.
    UnbalancedQuotes,
    /// `m f=1x`, `m f=NaN`
    InvalidNumber,
    /// A float beyond its range or without digits in its exponent, `m f=1e400`.
    InvalidFloat,
    /// Neither a number nor a string nor a boolean, `m f=yes`.
    InvalidBoolean,
    /// An integer beyond its range: its digits.
    IntegerRange(Box<str>),
    /// An unsigned integer beyond its range: its digits.
    UnsignedRange(Box<str>),
    /// `m f=1 x`
    BadTimestamp,
    /// A timestamp of a sign alone.
    TimestampSyntax(Box<str>),
    /// A timestamp beyond 64 bits: its digits.
    TimestampRange(Box<str>),
    /// A timestamp that is no instant between [`MIN_TIME`] and [`MAX_TIME`].
    TimeRange,
    /// Something behind the timestamp.
    TrailingText,
    /// Measurement and tags, or those and a field's name, are longer than [`MAX_KEY_LENGTH`]: how long.
    KeyTooLong(usize),
    /// Not UTF-8. 1.x stores such lines, or fails on them with a 500.
    InvalidUtf8,
    /// A tag named `time`: the measurement's name. 1.x parses the line and drops the point.
    TimeTag(Box<str>),
    /// No field but `time`: the measurement's name. 1.x parses the line and drops the point.
    TimeField(Box<str>),
    /// The same field twice with different types. 1.x parses the line and drops the point.
    FieldTypeConflict {
        /// The measurement's name.
        measurement: Box<str>,
        /// The field's name.
        field: Box<str>,
        /// The type of its second value.
        given: FieldType,
        /// The type of its first value.
        first: FieldType,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phrase = match self {
            Self::MissingMeasurement => "missing measurement",
            Self::MissingFields => "missing fields",
            Self::MissingTagKey => "missing tag key",
            Self::MissingTagValue => "missing tag value",
            Self::InvalidTagFormat => "invalid tag format",
            Self::DuplicateTags => "duplicate tags",
            Self::MissingFieldKey => "missing field key",
            Self::MissingFieldValue => "missing field value",
            Self::InvalidFieldFormat => "invalid field format",
            Self::UnbalancedQuotes => "unbalanced quotes",
            Self::InvalidNumber => "invalid number",
            Self::InvalidFloat => "invalid float",
            Self::InvalidBoolean => "invalid boolean",
            Self::BadTimestamp => "bad timestamp",
            Self::TrailingText => "point is invalid",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::IntegerRange(digits) => {
                return write!(f, "unable to parse integer {digits}: strconv.ParseInt: parsing \"{digits}\": value out of range");
            }
            Self::UnsignedRange(digits) => {
                return write!(
                    f,
                    "unable to parse unsigned {digits}: strconv.ParseUint: parsing \"{digits}\": value out of range"
                );
            }
            Self::TimestampSyntax(digits) => return write!(f, "strconv.ParseInt: parsing \"{digits}\": invalid syntax"),
            Self::TimestampRange(digits) => return write!(f, "strconv.ParseInt: parsing \"{digits}\": value out of range"),
            Self::TimeRange => return write!(f, "time outside range {MIN_TIME} - {MAX_TIME}"),
            Self::KeyTooLong(length) => return write!(f, "max key length exceeded: {length} > {MAX_KEY_LENGTH}"),
            Self::FieldTypeConflict { measurement, field, given, first } => {
                return write!(
                    f,
                    "field type conflict: input field \"{field}\" on measurement \"{measurement}\" is type {}, already exists as type {}",
                    given.name(),
                    first.name()
                );
            }
            Self::TimeTag(measurement) => {
                return write!(f, "invalid tag key: input tag \"time\" on measurement \"{measurement}\" is invalid");
            }
            Self::TimeField(measurement) => {
                return write!(f, "invalid field name: input field \"time\" on measurement \"{measurement}\" is invalid");
            }
        };
        f.write_str(phrase)
    }
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

    /// Whether 1.x parses such a line and only its store drops the point (a tag named `time`): then it counts in `dropped=N`, and the
    /// message has no `unable to parse` in front.
    #[must_use]
    pub fn is_dropped_point(&self) -> bool {
        matches!(self.reason, Reason::TimeTag(_) | Reason::TimeField(_) | Reason::FieldTypeConflict { .. })
    }
}

impl fmt::Display for LineError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_dropped_point() {
            return self.reason.fmt(f);
        }
        let shown = self.text.get(..SHOWN).unwrap_or(self.text);
        let cut = if shown.len() < self.text.len() { "…" } else { "" };
        write!(f, "unable to parse '{}{cut}': {}", String::from_utf8_lossy(shown), self.reason)
    }
}

impl std::error::Error for LineError<'_> {}
