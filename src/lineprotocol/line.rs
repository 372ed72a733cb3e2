//! What a line says.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::FieldType;
use crate::types::Precision;

/// A tag: key and value.
pub type Tag<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A field: key and value.
pub type Field<'a> = (Cow<'a, str>, FieldValue<'a>);

/// One point, as its line says it. Text is borrowed from the body unless it had escapes; a line with at most eight tags and twelve
/// fields without escapes costs no allocation.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<'a> {
    /// The measurement.
    pub measurement: Cow<'a, str>,
    /// Tags, sorted by key, no key twice, no value empty, none named `time`.
    pub tags: SmallVec<[Tag<'a>; 8]>,
    /// Fields in the order of the line, never empty, no key twice (the last one counts, as in 1.x), none named `time`.
    pub fields: SmallVec<[Field<'a>; 12]>,
    /// Nanoseconds since the epoch, between [`MIN_TIME`](super::MIN_TIME) and [`MAX_TIME`](super::MAX_TIME); absent: the time of
    /// arrival, cut to the precision of the write.
    pub timestamp: Option<i64>,
    /// One-based number of the line in the body.
    pub number: usize,
    /// The line itself, without leading white space and its newline.
    pub text: &'a [u8],
}

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// Finite.
    Float(f64),
    /// `2i`
    Integer(i64),
    /// `2u`
    Unsigned(u64),
    /// `"text"`, its escapes resolved.
    String(Cow<'a, str>),
    /// `t`, `true`, …
    Boolean(bool),
}

impl FieldValue<'_> {
    /// Its type.
    #[must_use]
    pub const fn field_type(&self) -> FieldType {
        match self {
            Self::Float(_) => FieldType::Float,
            Self::Integer(_) => FieldType::Integer,
            Self::Unsigned(_) => FieldType::Unsigned,
            Self::String(_) => FieldType::String,
            Self::Boolean(_) => FieldType::Boolean,
        }
    }
}

/// The unit of the timestamps of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// They are in this one.
    Of(Precision),
    /// v3's `auto`: by magnitude, below 5·10⁹ seconds, below 5·10¹² milliseconds, below 5·10¹⁵ microseconds, else nanoseconds.
    Auto,
}

impl Unit {
    /// Nanoseconds in one unit of `timestamp`.
    pub(super) const fn nanos(self, timestamp: i64) -> i64 {
        match self {
            Self::Of(precision) => precision.nanos(),
            Self::Auto => match timestamp.unsigned_abs() {
                0..5_000_000_000 => Precision::Second.nanos(),
                5_000_000_000..5_000_000_000_000 => Precision::Millisecond.nanos(),
                5_000_000_000_000..5_000_000_000_000_000 => Precision::Microsecond.nanos(),
                _ => 1,
            },
        }
    }
}

impl From<Precision> for Unit {
    fn from(precision: Precision) -> Self {
        Self::Of(precision)
    }
}
