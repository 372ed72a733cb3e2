//! Types and values of InfluxQL, and how they look as Arrow arrays.

use std::{cmp::Ordering, ops::Range, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, NullArray, PrimitiveArray, StringArray, UInt64Array,
    builder::StringBuilder,
    types::{ArrowPrimitiveType, Float64Type, Int64Type, UInt64Type},
};
use arrow_schema::DataType;

use crate::lineprotocol::FieldType;

/// The type of a column.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Type {
    Float,
    Integer,
    Unsigned,
    String,
    Boolean,
    Tag,
    /// A column that no measurement has: it is always null.
    Unknown,
}

impl Type {
    /// 1.x's name of it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Unsigned => "unsigned",
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Tag => "tag",
            Self::Unknown => "unknown",
        }
    }

    /// Which type wins when a field has several: the smallest.
    pub(super) const fn rank(self) -> u8 {
        match self {
            Self::Float => 0,
            Self::Integer => 1,
            Self::Unsigned => 2,
            Self::String => 3,
            Self::Boolean => 4,
            Self::Tag => 5,
            Self::Unknown => 6,
        }
    }

    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Float | Self::Integer | Self::Unsigned)
    }

    pub(super) const fn arrow(self) -> DataType {
        match self {
            Self::Float | Self::Unknown => DataType::Float64,
            Self::Integer => DataType::Int64,
            Self::Unsigned => DataType::UInt64,
            Self::String | Self::Tag => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
        }
    }
}

impl From<FieldType> for Type {
    fn from(field: FieldType) -> Self {
        match field {
            FieldType::Float => Self::Float,
            FieldType::Integer => Self::Integer,
            FieldType::Unsigned => Self::Unsigned,
            FieldType::String => Self::String,
            FieldType::Boolean => Self::Boolean,
        }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Float(f64),
    Integer(i64),
    Unsigned(u64),
    String(Arc<str>),
    Boolean(bool),
}

impl Scalar {
    /// The value of one row.
    pub(super) fn of(array: &dyn Array, row: usize) -> Self {
        if array.is_null(row) {
            return Self::Null;
        }
        match array.data_type() {
            DataType::Float64 => Self::Float(down::<Float64Array>(array).value(row)),
            DataType::Int64 => Self::Integer(down::<Int64Array>(array).value(row)),
            DataType::UInt64 => Self::Unsigned(down::<UInt64Array>(array).value(row)),
            DataType::Utf8 => Self::String(down::<StringArray>(array).value(row).into()),
            DataType::Boolean => Self::Boolean(down::<BooleanArray>(array).value(row)),
            _ => Self::Null,
        }
    }

    /// How two values of one type are ordered.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => floats(*a, *b),
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Unsigned(a), Self::Unsigned(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }

    /// The same value `len` times.
    pub(super) fn repeat(&self, len: usize) -> ArrayRef {
        match self {
            Self::Null => Arc::new(NullArray::new(len)),
            Self::Float(value) => Arc::new(Float64Array::from_value(*value, len)),
            Self::Integer(value) => Arc::new(Int64Array::from_value(*value, len)),
            Self::Unsigned(value) => Arc::new(UInt64Array::from_value(*value, len)),
            Self::String(value) => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, len))),
            Self::Boolean(value) => Arc::new(BooleanArray::from(vec![*value; len])),
        }
    }

    /// The value as a number of another type, as far as 1.x converts it.
    pub(super) fn cast(&self, to: Type) -> Self {
        match (self, to) {
            (Self::Integer(v), Type::Float) => Self::Float(*v as f64),
            (Self::Unsigned(v), Type::Float) => Self::Float(*v as f64),
            (Self::Float(v), Type::Integer) => Self::Integer(truncated(*v)),
            (Self::Unsigned(v), Type::Integer) => Self::Integer(*v as i64),
            (Self::Float(v), Type::Unsigned) => Self::Unsigned(*v as u64),
            (Self::Integer(v), Type::Unsigned) => Self::Unsigned(*v as u64),
            (Self::Float(_), Type::Float)
            | (Self::Integer(_), Type::Integer)
            | (Self::Unsigned(_), Type::Unsigned)
            | (Self::String(_), Type::String | Type::Tag)
            | (Self::Boolean(_), Type::Boolean) => self.clone(),
            _ => Self::Null,
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + if let Self::String(value) = self { value.len() } else { 0 }
    }
}

/// How floats are sorted: what is no number comes first.
fn floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// A float as an integer, as 1.x's processors do it: what doesn't fit becomes the smallest.
fn truncated(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}

/// Bytes that a row of values takes.
pub(super) fn row_bytes(row: &[Scalar]) -> usize {
    row.iter().map(Scalar::bytes).sum()
}

/// Builds a column of `kind` from single values; what doesn't fit is null.
pub(super) fn column<'a>(kind: Type, values: impl Iterator<Item = &'a Scalar>) -> ArrayRef {
    match kind {
        Type::Float | Type::Unknown => Arc::new(Float64Array::from_iter(values.map(|value| match value.cast(Type::Float) {
            Scalar::Float(value) => Some(value),
            _ => None,
        }))),
        Type::Integer => Arc::new(Int64Array::from_iter(values.map(|value| match value.cast(Type::Integer) {
            Scalar::Integer(value) => Some(value),
            _ => None,
        }))),
        Type::Unsigned => Arc::new(UInt64Array::from_iter(values.map(|value| match value.cast(Type::Unsigned) {
            Scalar::Unsigned(value) => Some(value),
            _ => None,
        }))),
        Type::String | Type::Tag => Arc::new(StringArray::from_iter(values.map(|value| match value {
            Scalar::String(value) => Some(&**value),
            _ => None,
        }))),
        Type::Boolean => Arc::new(BooleanArray::from_iter(values.map(|value| match value {
            Scalar::Boolean(value) => Some(*value),
            _ => None,
        }))),
    }
}

/// A column of nulls.
pub(super) fn nulls(kind: Type, len: usize) -> ArrayRef {
    arrow_array::new_null_array(&kind.arrow(), len)
}

/// The array as what it is known to be.
pub(super) fn down<T: 'static>(array: &dyn Array) -> &T {
    array.as_any().downcast_ref::<T>().expect("callers match on the data type first")
}

/// A stored field as the type that the query gives it: numbers are converted; anything else that differs isn't there, as in 1.x.
pub(super) fn cast(array: &ArrayRef, to: Type) -> Option<ArrayRef> {
    let from = array.data_type();
    if *from == to.arrow() && to != Type::Unknown {
        return Some(Arc::clone(array));
    }
    Some(match (from, to) {
        (DataType::Int64, Type::Float) => Arc::new(down::<Int64Array>(array).unary::<_, Float64Type>(|v| v as f64)),
        (DataType::UInt64, Type::Float) => Arc::new(down::<UInt64Array>(array).unary::<_, Float64Type>(|v| v as f64)),
        (DataType::Float64, Type::Integer) => Arc::new(down::<Float64Array>(array).unary::<_, Int64Type>(truncated)),
        (DataType::UInt64, Type::Integer) => Arc::new(down::<UInt64Array>(array).unary::<_, Int64Type>(|v| v as i64)),
        (DataType::Float64, Type::Unsigned) => Arc::new(down::<Float64Array>(array).unary::<_, UInt64Type>(|v| v as u64)),
        (DataType::Int64, Type::Unsigned) => Arc::new(down::<Int64Array>(array).unary::<_, UInt64Type>(|v| v as u64)),
        _ => return None,
    })
}

/// The same, with nulls where nothing is there.
pub(super) fn cast_or_null(array: &ArrayRef, to: Type) -> ArrayRef {
    cast(array, to).unwrap_or_else(|| nulls(to, array.len()))
}

/// A kind of values, so that kernels are compiled once for each.
pub(super) trait Kind: Send + 'static {
    /// The column.
    type Array: Array + 'static;
    /// A value in its column.
    type Ref<'a>: Copy;
    /// A value of its own.
    type Owned: Clone + PartialEq + Send + std::fmt::Debug;
    /// Its type.
    const TYPE: Type;

    /// Calls `each` with every row of `rows` that isn't null.
    fn each(array: &Self::Array, rows: Range<usize>, each: impl for<'a> FnMut(usize, Self::Ref<'a>));
    /// Copies a value out of its column.
    fn own(value: Self::Ref<'_>) -> Self::Owned;
    /// How 1.x orders them.
    fn order(a: &Self::Owned, b: &Self::Owned) -> Ordering;
    /// Whether it is no number, which is neither smaller nor larger than any other.
    fn unordered(_value: &Self::Owned) -> bool {
        false
    }
    /// A column of them.
    fn build(values: Vec<Option<Self::Owned>>) -> ArrayRef;
    /// Bytes on the heap.
    fn heap(_value: &Self::Owned) -> usize {
        0
    }
}

/// A kind of numbers.
pub(super) trait Number: Kind + for<'a> Kind<Ref<'a> = <Self as Kind>::Owned> {
    fn to_f64(value: Self::Owned) -> f64;
    fn zero() -> Self::Owned;
    fn add(a: Self::Owned, b: Self::Owned) -> Self::Owned;
    fn sub(a: Self::Owned, b: Self::Owned) -> Self::Owned;
}

pub(super) struct Float;
pub(super) struct Integer;
pub(super) struct Unsigned;
pub(super) struct Text;
pub(super) struct Boolean;

fn each_primitive<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, rows: Range<usize>, mut each: impl FnMut(usize, T::Native)) {
    let start = rows.start;
    let values = &array.values()[rows];
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => values.iter().enumerate().for_each(|(i, value)| each(start + i, *value)),
        Some(nulls) => {
            for (i, value) in values.iter().enumerate() {
                if nulls.is_valid(start + i) {
                    each(start + i, *value);
                }
            }
        }
    }
}

macro_rules! number {
    ($kind:ident, $native:ty, $array:ty, $add:expr, $sub:expr, $order:expr) => {
        impl Kind for $kind {
            type Array = $array;
            type Ref<'a> = $native;
            type Owned = $native;
            const TYPE: Type = Type::$kind;

            fn each(array: &$array, rows: Range<usize>, each: impl FnMut(usize, $native)) {
                each_primitive(array, rows, each);
            }
            fn own(value: $native) -> $native {
                value
            }
            fn order(a: &$native, b: &$native) -> Ordering {
                $order(a, b)
            }
            fn unordered(value: &$native) -> bool {
                value.partial_cmp(value).is_none()
            }
            fn build(values: Vec<Option<$native>>) -> ArrayRef {
                Arc::new(<$array>::from(values))
            }
        }

        impl Number for $kind {
            fn to_f64(value: $native) -> f64 {
                value as f64
            }
            fn zero() -> $native {
                <$native>::default()
            }
            fn add(a: $native, b: $native) -> $native {
                $add(a, b)
            }
            fn sub(a: $native, b: $native) -> $native {
                $sub(a, b)
            }
        }
    };
}

number!(Float, f64, Float64Array, |a: f64, b: f64| a + b, |a: f64, b: f64| a - b, |a: &f64, b: &f64| floats(*a, *b));
number!(Integer, i64, Int64Array, i64::wrapping_add, i64::wrapping_sub, i64::cmp);
number!(Unsigned, u64, UInt64Array, u64::wrapping_add, u64::wrapping_sub, u64::cmp);

impl Kind for Text {
    type Array = StringArray;
    type Ref<'a> = &'a str;
    type Owned = Arc<str>;
    const TYPE: Type = Type::String;

    fn each(array: &StringArray, rows: Range<usize>, mut each: impl for<'a> FnMut(usize, &'a str)) {
        for row in rows {
            if array.is_valid(row) {
                each(row, array.value(row));
            }
        }
    }
    fn own(value: &str) -> Arc<str> {
        value.into()
    }
    fn order(a: &Arc<str>, b: &Arc<str>) -> Ordering {
        a.cmp(b)
    }
    fn build(values: Vec<Option<Arc<str>>>) -> ArrayRef {
        let mut builder = StringBuilder::with_capacity(values.len(), 0);
        values.iter().for_each(|value| builder.append_option(value.as_deref()));
        Arc::new(builder.finish())
    }
    fn heap(value: &Arc<str>) -> usize {
        value.len() + 16
    }
}

impl Kind for Boolean {
    type Array = BooleanArray;
    type Ref<'a> = bool;
    type Owned = bool;
    const TYPE: Type = Type::Boolean;

    fn each(array: &BooleanArray, rows: Range<usize>, mut each: impl FnMut(usize, bool)) {
        for row in rows {
            if array.is_valid(row) {
                each(row, array.value(row));
            }
        }
    }
    fn own(value: bool) -> bool {
        value
    }
    fn order(a: &bool, b: &bool) -> Ordering {
        a.cmp(b)
    }
    fn build(values: Vec<Option<bool>>) -> ArrayRef {
        Arc::new(BooleanArray::from(values))
    }
}
