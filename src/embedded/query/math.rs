//! Mathematical functions over columns.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array,
    types::{Float64Type, Int64Type},
};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

use super::value::{Type, cast_or_null, down, nulls};

/// A function of numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Math {
    Abs,
    Acos,
    Asin,
    Atan,
    Atan2,
    Ceil,
    Cos,
    Exp,
    Floor,
    Ln,
    Log,
    Log10,
    Log2,
    Pow,
    Round,
    Sin,
    Sqrt,
    Tan,
}

impl Math {
    /// The function of this name, in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "abs" => Self::Abs,
            "acos" => Self::Acos,
            "asin" => Self::Asin,
            "atan" => Self::Atan,
            "atan2" => Self::Atan2,
            "ceil" => Self::Ceil,
            "cos" => Self::Cos,
            "exp" => Self::Exp,
            "floor" => Self::Floor,
            "ln" => Self::Ln,
            "log" => Self::Log,
            "log10" => Self::Log10,
            "log2" => Self::Log2,
            "pow" => Self::Pow,
            "round" => Self::Round,
            "sin" => Self::Sin,
            "sqrt" => Self::Sqrt,
            "tan" => Self::Tan,
            _ => return None,
        })
    }

    /// How many arguments it takes.
    pub(super) const fn arity(self) -> usize {
        match self {
            Self::Atan2 | Self::Log | Self::Pow => 2,
            _ => 1,
        }
    }

    /// Whether an integer gives an integer.
    const fn keeps_type(self) -> bool {
        matches!(self, Self::Abs | Self::Ceil | Self::Floor | Self::Round)
    }

    /// The type of the result for arguments of these types.
    pub(super) fn result(self, args: &[Type]) -> Type {
        match args {
            [arg] if self.keeps_type() => *arg,
            _ => Type::Float,
        }
    }

    pub(super) fn eval(self, args: &[ArrayRef]) -> ArrayRef {
        if args.iter().any(|arg| !matches!(arg.data_type(), DataType::Float64 | DataType::Int64 | DataType::UInt64)) {
            return nulls(Type::Float, args.first().map_or(0, |arg| arg.len()));
        }
        match args {
            [arg] => self.unary(arg),
            [a, b] => self.binary(a, b),
            _ => nulls(Type::Float, 0),
        }
    }

    fn unary(self, arg: &ArrayRef) -> ArrayRef {
        if self.keeps_type() {
            match arg.data_type() {
                DataType::Int64 if self == Self::Abs => {
                    return Arc::new(down::<Int64Array>(arg).unary::<_, Int64Type>(i64::wrapping_abs));
                }
                DataType::Int64 | DataType::UInt64 => return Arc::clone(arg),
                _ => {}
            }
        }
        let arg = cast_or_null(arg, Type::Float);
        let arg: &Float64Array = down(&arg);
        let map = |f: fn(f64) -> f64| -> ArrayRef { Arc::new(arg.unary::<_, Float64Type>(f)) };
        match self {
            Self::Abs => map(f64::abs),
            Self::Acos => map(f64::acos),
            Self::Asin => map(f64::asin),
            Self::Atan => map(f64::atan),
            Self::Ceil => map(f64::ceil),
            Self::Cos => map(f64::cos),
            Self::Exp => map(f64::exp),
            Self::Floor => map(f64::floor),
            Self::Ln => map(f64::ln),
            Self::Log10 => map(f64::log10),
            Self::Log2 => map(f64::log2),
            // Halves away from zero, by 1.x's own rule.
            Self::Round => map(|x| if x.fract().abs() >= 0.5 { x.trunc() + 1f64.copysign(x) } else { x.trunc() }),
            Self::Sin => map(f64::sin),
            Self::Sqrt => map(f64::sqrt),
            Self::Tan => map(f64::tan),
            Self::Atan2 | Self::Log | Self::Pow => nulls(Type::Float, arg.len()),
        }
    }

    fn binary(self, a: &ArrayRef, b: &ArrayRef) -> ArrayRef {
        let (a, b) = (cast_or_null(a, Type::Float), cast_or_null(b, Type::Float));
        let (a, b): (&Float64Array, &Float64Array) = (down(&a), down(&b));
        let f: fn(f64, f64) -> f64 = match self {
            Self::Atan2 => f64::atan2,
            Self::Log => |x, base| x.ln() / base.ln(),
            Self::Pow => f64::powf,
            _ => |_, _| f64::NAN,
        };
        let values: Vec<_> = a.values().iter().zip(b.values()).map(|(a, b)| f(*a, *b)).collect();
        Arc::new(Float64Array::new(values.into(), NullBuffer::union(a.nulls(), b.nulls())))
    }
}
