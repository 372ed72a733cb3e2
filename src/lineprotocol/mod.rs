//! Line protocol: borrowed lines, timestamps in other units, v1's phrases for what is wrong.
//!
//! [`parse_lines`] borrows from the body and allocates only for escapes and for lines with many tags or fields. Every phrase was asked
//! of InfluxDB 1.6.7, because clients look for them; where we refuse what it accepts, [`Reason`] and the tests say so.
//! See <https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/>.

mod error;
mod halve;
mod line;
mod names;
mod parse;
mod rescale;
mod split;
#[cfg(test)]
mod tests;
mod value;

pub use error::{LineError, Reason};
pub use halve::halve;
pub use line::{Field, FieldValue, Line, Tag, Unit};
pub use parse::{Lines, MAX_KEY_LENGTH, MAX_TIME, MIN_TIME, parse_lines};
pub use rescale::{gunzip, rescale};

/// The type of a field.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum FieldType {
    /// `1.5`
    Float,
    /// `2i`
    Integer,
    /// `2u`
    Unsigned,
    /// `"text"`
    String,
    /// `true`
    Boolean,
}

impl FieldType {
    /// 1.x's name of it: `float`, `integer`, `unsigned`, `string`, `boolean`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Unsigned => "unsigned",
            Self::String => "string",
            Self::Boolean => "boolean",
        }
    }
}
