//! Line protocol: borrowed lines, timestamps in other units, v1's phrases for what is wrong.

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
