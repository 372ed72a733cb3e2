//! Rows as decoders hand them on: columns of one batch, each known by its type once, not once a cell.

#[cfg(feature = "arrow")]
use super::decode::ArrowColumn;

/// One value, as v1 knows them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    /// Nanoseconds since 1970.
    Time(i64),
    Float(f64),
    Integer(i64),
    Unsigned(u64),
    Boolean(bool),
    Text(&'a str),
}

/// One value that stands for itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Time(i64),
    Float(f64),
    Integer(i64),
    Unsigned(u64),
    Boolean(bool),
    Text(Box<str>),
}

/// The values of one column.
#[derive(Debug)]
pub(crate) enum Column {
    Values(Vec<Value>),
    /// The same in every row.
    Constant(Value),
    #[cfg(feature = "arrow")]
    Arrow(ArrowColumn),
}

/// What all rows of a statement (of a v1 reply: of a series) have in common.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Header {
    /// Keys of the tags that rows are grouped by, sorted, as 1.x shows them.
    pub(crate) tags: Vec<Box<str>>,
    /// Names of the columns.
    pub(crate) columns: Vec<Box<str>>,
}

/// Some rows.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) len: usize,
    /// The series' names; absent where v1's series have none.
    pub(crate) name: Option<Column>,
    /// Values of [`Header::tags`]; nothing is an empty value, as in 1.x.
    pub(crate) tags: Vec<Column>,
    /// Values of [`Header::columns`].
    pub(crate) columns: Vec<Column>,
}

/// What a decoder says, in order: a header, then rows or a series without any; a v1 reply has a header for each series.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time, and gone at once")]
pub(crate) enum Event {
    Header(Header),
    Rows(Batch),
    /// 1.x shows some lists with their columns even when they are empty.
    EmptySeries(Box<str>),
}

impl Value {
    pub(crate) fn cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Time(time) => Cell::Time(*time),
            Self::Float(float) => Cell::Float(*float),
            Self::Integer(integer) => Cell::Integer(*integer),
            Self::Unsigned(integer) => Cell::Unsigned(*integer),
            Self::Boolean(boolean) => Cell::Boolean(*boolean),
            Self::Text(text) => Cell::Text(text),
        }
    }
}

impl Column {
    /// The value in a row; nothing beyond the last.
    #[inline]
    pub(crate) fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Self::Values(values) => values.get(row).map_or(Cell::Null, Value::cell),
            Self::Constant(value) => value.cell(),
            #[cfg(feature = "arrow")]
            Self::Arrow(column) => column.cell(row),
        }
    }

    /// The text in a row; empty when there is none.
    pub(crate) fn text(&self, row: usize) -> &str {
        match self.cell(row) {
            Cell::Text(text) => text,
            _ => "",
        }
    }

    /// Whether a row has no value.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        matches!(self.cell(row), Cell::Null)
    }

    /// Whether two rows have the same text.
    fn same(&self, left: usize, right: usize) -> bool {
        #[cfg(feature = "arrow")]
        if let Self::Arrow(column) = self
            && let Some(same) = column.same_key(left, right)
        {
            return same;
        }
        self.text(left) == self.text(right)
    }
}

impl Batch {
    /// The end of the run of rows that belong to the series of row `from`, looking no further than `limit`.
    pub(crate) fn run_end(&self, from: usize, limit: usize) -> usize {
        let limit = limit.min(self.len);
        (from + 1..limit)
            .find(|&row| !self.name.iter().chain(&self.tags).all(|column| column.same(row - 1, row)))
            .unwrap_or(limit)
    }
}
