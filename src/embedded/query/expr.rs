//! Expressions over columns, evaluated a batch at a time with 1.x's rules: numbers widen to float, dividing by zero gives zero, what can't
//! be compared, nulls among them, is neither equal nor different.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, NullArray, PrimitiveArray, StringArray, UInt64Array,
    types::ArrowPrimitiveType,
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use regex::Regex;

use super::{
    math::Math,
    value::{Scalar, Type, cast_or_null, down},
};
use crate::influxql::ast::BinaryOp;

/// An expression over numbered columns.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Slot(usize),
    Literal(Scalar),
    Cast(Box<Self>, Type),
    /// A text, null where it is empty.
    NonEmpty(Box<Self>),
    /// A boolean, false where it is null.
    Falsy(Box<Self>),
    Binary(BinaryOp, Box<Self>, Box<Self>),
    Match {
        text: Box<Self>,
        regex: Arc<Regex>,
        negated: bool,
    },
    Math(Math, Vec<Self>),
}

/// What `integer / integer` gives: a float in `SELECT`, an integer in `WHERE`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Division {
    Float,
    Integer,
}

impl Expr {
    /// The column of its values.
    pub(super) fn eval(&self, slots: &[ArrayRef], len: usize, division: Division) -> ArrayRef {
        match self {
            Self::Slot(slot) => Arc::clone(&slots[*slot]),
            Self::Literal(value) => value.repeat(len),
            Self::Cast(expr, kind) => cast_or_null(&expr.eval(slots, len, division), *kind),
            Self::NonEmpty(text) => non_empty(&text.eval(slots, len, division)),
            Self::Falsy(value) => {
                let value = value.eval(slots, len, division);
                match value.as_any().downcast_ref::<BooleanArray>() {
                    Some(booleans) => Arc::new(truths(booleans)),
                    None => value,
                }
            }
            Self::Binary(op, left, right) => {
                binary(*op, &left.eval(slots, len, division), &right.eval(slots, len, division), division)
            }
            Self::Match { text, regex, negated } => {
                let text = text.eval(slots, len, division);
                if *text.data_type() != DataType::Utf8 {
                    return booleans(len, |_| false);
                }
                let text: &StringArray = down(&text);
                booleans(len, |row| text.is_valid(row) && regex.is_match(text.value(row)) != *negated)
            }
            Self::Math(math, args) => {
                let args: Vec<_> = args.iter().map(|arg| arg.eval(slots, len, division)).collect();
                math.eval(&args)
            }
        }
    }

    /// Which rows it holds for. A value that is no boolean holds for none.
    pub(super) fn holds(&self, slots: &[ArrayRef], len: usize) -> BooleanArray {
        let result = self.eval(slots, len, Division::Integer);
        match result.as_any().downcast_ref::<BooleanArray>() {
            Some(result) => truths(result),
            None => BooleanArray::new(BooleanBuffer::new_unset(len), None),
        }
    }

    /// The same expression over other slots.
    pub(super) fn renumbered(&self, number: &impl Fn(usize) -> usize) -> Self {
        match self {
            Self::Slot(slot) => Self::Slot(number(*slot)),
            Self::Literal(_) => self.clone(),
            Self::Cast(expr, kind) => Self::Cast(Box::new(expr.renumbered(number)), *kind),
            Self::NonEmpty(text) => Self::NonEmpty(Box::new(text.renumbered(number))),
            Self::Falsy(value) => Self::Falsy(Box::new(value.renumbered(number))),
            Self::Match { text, regex, negated } => {
                Self::Match { text: Box::new(text.renumbered(number)), regex: Arc::clone(regex), negated: *negated }
            }
            Self::Math(math, args) => Self::Math(*math, args.iter().map(|arg| arg.renumbered(number)).collect()),
            Self::Binary(op, left, right) => {
                Self::Binary(*op, Box::new(left.renumbered(number)), Box::new(right.renumbered(number)))
            }
        }
    }

    /// The same expression with the values of some slots known, and what can be computed then computed.
    pub(super) fn bind(&self, known: &impl Fn(usize) -> Option<Scalar>) -> Self {
        let bound = match self {
            Self::Slot(slot) => return known(*slot).map_or(Self::Slot(*slot), Self::Literal),
            Self::Literal(_) => return self.clone(),
            Self::Cast(expr, kind) => Self::Cast(Box::new(expr.bind(known)), *kind),
            Self::NonEmpty(text) => Self::NonEmpty(Box::new(text.bind(known))),
            Self::Falsy(value) => Self::Falsy(Box::new(value.bind(known))),
            Self::Match { text, regex, negated } => {
                Self::Match { text: Box::new(text.bind(known)), regex: Arc::clone(regex), negated: *negated }
            }
            Self::Math(math, args) => Self::Math(*math, args.iter().map(|arg| arg.bind(known)).collect()),
            Self::Binary(op, left, right) => {
                let (left, right) = (left.bind(known), right.bind(known));
                match (op, left.truth(), right.truth()) {
                    (BinaryOp::And, Some(false), _) | (BinaryOp::And, _, Some(false)) => return Self::constant(false),
                    (BinaryOp::And, Some(true), _) | (BinaryOp::Or, Some(false), _) => return right,
                    (BinaryOp::And, _, Some(true)) | (BinaryOp::Or, _, Some(false)) => return left,
                    (BinaryOp::Or, Some(true), _) | (BinaryOp::Or, _, Some(true)) => return Self::constant(true),
                    _ => Self::Binary(*op, Box::new(left), Box::new(right)),
                }
            }
        };
        if bound.children_are_literals() {
            return Self::Literal(Scalar::of(&bound.eval(&[], 1, Division::Integer), 0));
        }
        bound
    }

    /// Whether it is known to hold, or not to.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Literal(Scalar::Boolean(value)) => Some(*value),
            Self::Literal(_) => Some(false),
            _ => None,
        }
    }

    /// Whether it is known to hold, or not to, where these slots have these texts: [`truth`](Self::truth) of what [`bind`](Self::bind)
    /// gives. It is asked about every series of a table, so that the usual comparisons are made in place.
    pub(super) fn truth_with<'t>(&self, text: &impl Fn(usize) -> Option<&'t str>) -> Option<bool> {
        if let Self::Binary(op @ (BinaryOp::And | BinaryOp::Or), left, right) = self {
            // What decides, whatever the other side is.
            let decisive = Some(*op == BinaryOp::Or);
            let left = left.truth_with(text);
            if left == decisive {
                return left;
            }
            let right = right.truth_with(text);
            return if right == decisive || left.is_some() { right } else { None };
        }
        match self {
            Self::Binary(op @ (BinaryOp::Eq | BinaryOp::NotEq), left, right)
                if let (Self::Slot(slot), Self::Literal(Scalar::String(value))) = (&**left, &**right)
                    && let Some(text) = text(*slot) =>
            {
                Some((text == &**value) == (*op == BinaryOp::Eq))
            }
            Self::Match { text: left, regex, negated }
                if let Self::Slot(slot) = **left
                    && let Some(text) = text(slot) =>
            {
                Some(regex.is_match(text) != *negated)
            }
            _ => self.bind(&|slot| text(slot).map(|text| Scalar::String(text.into()))).truth(),
        }
    }

    /// Whether it reads a slot below `end`.
    pub(super) fn reads_below(&self, end: usize) -> bool {
        match self {
            Self::Slot(slot) => *slot < end,
            Self::Literal(_) => false,
            Self::Cast(expr, _) | Self::NonEmpty(expr) | Self::Falsy(expr) => expr.reads_below(end),
            Self::Match { text, .. } => text.reads_below(end),
            Self::Math(_, args) => args.iter().any(|arg| arg.reads_below(end)),
            Self::Binary(_, left, right) => left.reads_below(end) || right.reads_below(end),
        }
    }

    pub(super) const fn constant(value: bool) -> Self {
        Self::Literal(Scalar::Boolean(value))
    }

    fn children_are_literals(&self) -> bool {
        let literal = |expr: &Self| matches!(expr, Self::Literal(_));
        match self {
            Self::Slot(_) => false,
            Self::Literal(_) => true,
            Self::Cast(expr, _) | Self::NonEmpty(expr) | Self::Falsy(expr) => literal(expr),
            Self::Match { text, .. } => literal(text),
            Self::Math(_, args) => args.iter().all(literal),
            Self::Binary(_, left, right) => literal(left) && literal(right),
        }
    }
}

fn booleans(len: usize, holds: impl FnMut(usize) -> bool) -> ArrayRef {
    Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(len, holds), None))
}

/// Null is false.
fn truths(array: &BooleanArray) -> BooleanArray {
    match array.nulls() {
        Some(nulls) => BooleanArray::new(array.values() & nulls.inner(), None),
        None => array.clone(),
    }
}

fn binary(op: BinaryOp, left: &ArrayRef, right: &ArrayRef, division: Division) -> ArrayRef {
    use DataType as D;
    let len = left.len();
    match (left.data_type(), right.data_type()) {
        (D::Float64, D::Float64) => floats(op, down(left), down(right)),
        (D::Float64, D::Int64 | D::UInt64) => floats(op, down(left), down(&cast_or_null(right, Type::Float))),
        (D::Int64 | D::UInt64, D::Float64) => floats(op, down(&cast_or_null(left, Type::Float)), down(right)),
        (D::Int64, D::Int64) => integers(op, down(left), down(right), division),
        (D::UInt64, D::UInt64) => unsigneds(op, down(left), down(right)),
        (D::Int64, D::UInt64) if is_comparison(op) => {
            let (left, right): (&Int64Array, &UInt64Array) = (down(left), down(right));
            compare(op, left, right, |a, b| i128::from(a).partial_cmp(&i128::from(b)))
        }
        (D::UInt64, D::Int64) if is_comparison(op) => {
            let (left, right): (&UInt64Array, &Int64Array) = (down(left), down(right));
            compare(op, left, right, |a, b| i128::from(a).partial_cmp(&i128::from(b)))
        }
        (D::Int64, D::UInt64) => unsigneds(op, down(&cast_or_null(left, Type::Unsigned)), down(right)),
        (D::UInt64, D::Int64) => unsigneds(op, down(left), down(&cast_or_null(right, Type::Unsigned))),
        (D::Utf8, D::Utf8) => strings(op, down(left), down(right)),
        (D::Boolean, D::Boolean) => logic(op, down(left), down(right)),
        // What isn't a boolean is taken for false in every combination with one.
        (D::Boolean, _) if is_bitwise(op) => booleans(len, |_| false),
        _ if is_comparison(op) => booleans(len, |_| false),
        _ => Arc::new(NullArray::new(len)),
    }
}

fn non_empty(array: &ArrayRef) -> ArrayRef {
    match array.as_any().downcast_ref::<StringArray>() {
        Some(texts) => Arc::new(texts.iter().map(|text| text.filter(|text| !text.is_empty())).collect::<StringArray>()),
        None => Arc::clone(array),
    }
}

const fn is_bitwise(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor)
}

fn is_comparison(op: BinaryOp) -> bool {
    use BinaryOp::{Eq, EqRegex, Gt, GtEq, Lt, LtEq, NotEq, NotEqRegex};
    matches!(op, Eq | NotEq | EqRegex | NotEqRegex | Lt | LtEq | Gt | GtEq)
}

fn zip<A: ArrowPrimitiveType, B: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    left: &PrimitiveArray<A>,
    right: &PrimitiveArray<B>,
    f: impl Fn(A::Native, B::Native) -> O::Native,
) -> ArrayRef {
    let values: Vec<_> = left.values().iter().zip(right.values()).map(|(a, b)| f(*a, *b)).collect();
    Arc::new(PrimitiveArray::<O>::new(values.into(), NullBuffer::union(left.nulls(), right.nulls())))
}

fn compare<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    op: BinaryOp,
    left: &PrimitiveArray<A>,
    right: &PrimitiveArray<B>,
    order: impl Fn(A::Native, B::Native) -> Option<std::cmp::Ordering>,
) -> ArrayRef {
    use std::cmp::Ordering as O;
    let len = left.len();
    let (a, b) = (left.values(), right.values());
    // One loop an operator: the operator isn't looked at for every row.
    let bits = match op {
        BinaryOp::Eq => BooleanBuffer::collect_bool(len, |i| order(a[i], b[i]) == Some(O::Equal)),
        BinaryOp::NotEq => BooleanBuffer::collect_bool(len, |i| order(a[i], b[i]) != Some(O::Equal)),
        BinaryOp::Lt => BooleanBuffer::collect_bool(len, |i| order(a[i], b[i]) == Some(O::Less)),
        BinaryOp::LtEq => BooleanBuffer::collect_bool(len, |i| matches!(order(a[i], b[i]), Some(O::Less | O::Equal))),
        BinaryOp::Gt => BooleanBuffer::collect_bool(len, |i| order(a[i], b[i]) == Some(O::Greater)),
        BinaryOp::GtEq => BooleanBuffer::collect_bool(len, |i| matches!(order(a[i], b[i]), Some(O::Greater | O::Equal))),
        _ => BooleanBuffer::new_unset(len),
    };
    // A null equals nothing, and differs from nothing.
    let bits = match NullBuffer::union(left.nulls(), right.nulls()) {
        Some(nulls) => &bits & nulls.inner(),
        None => bits,
    };
    Arc::new(BooleanArray::new(bits, None))
}

fn floats(op: BinaryOp, left: &Float64Array, right: &Float64Array) -> ArrayRef {
    use arrow_array::types::Float64Type as F;
    match op {
        BinaryOp::Add => zip::<F, F, F>(left, right, |a, b| a + b),
        BinaryOp::Sub => zip::<F, F, F>(left, right, |a, b| a - b),
        BinaryOp::Mul => zip::<F, F, F>(left, right, |a, b| a * b),
        BinaryOp::Div => zip::<F, F, F>(left, right, |a, b| if b == 0.0 { 0.0 } else { a / b }),
        BinaryOp::Mod => zip::<F, F, F>(left, right, |a, b| a % b),
        _ if is_comparison(op) => compare(op, left, right, |a, b| a.partial_cmp(&b)),
        _ => Arc::new(NullArray::new(left.len())),
    }
}

fn integers(op: BinaryOp, left: &Int64Array, right: &Int64Array, division: Division) -> ArrayRef {
    use arrow_array::types::{Float64Type as F, Int64Type as I};
    match op {
        BinaryOp::Add => zip::<I, I, I>(left, right, i64::wrapping_add),
        BinaryOp::Sub => zip::<I, I, I>(left, right, i64::wrapping_sub),
        BinaryOp::Mul => zip::<I, I, I>(left, right, i64::wrapping_mul),
        BinaryOp::Div if division == Division::Float => {
            zip::<I, I, F>(left, right, |a, b| if b == 0 { 0.0 } else { a as f64 / b as f64 })
        }
        BinaryOp::Div => zip::<I, I, I>(left, right, |a, b| if b == 0 { 0 } else { a.wrapping_div(b) }),
        BinaryOp::Mod => zip::<I, I, I>(left, right, |a, b| if b == 0 { 0 } else { a.wrapping_rem(b) }),
        BinaryOp::BitAnd => zip::<I, I, I>(left, right, |a, b| a & b),
        BinaryOp::BitOr => zip::<I, I, I>(left, right, |a, b| a | b),
        BinaryOp::BitXor => zip::<I, I, I>(left, right, |a, b| a ^ b),
        _ => compare(op, left, right, |a, b| Some(a.cmp(&b))),
    }
}

fn unsigneds(op: BinaryOp, left: &UInt64Array, right: &UInt64Array) -> ArrayRef {
    use arrow_array::types::UInt64Type as U;
    match op {
        BinaryOp::Add => zip::<U, U, U>(left, right, u64::wrapping_add),
        BinaryOp::Sub => zip::<U, U, U>(left, right, u64::wrapping_sub),
        BinaryOp::Mul => zip::<U, U, U>(left, right, u64::wrapping_mul),
        BinaryOp::Div => zip::<U, U, U>(left, right, |a, b| a.checked_div(b).unwrap_or(0)),
        BinaryOp::Mod => zip::<U, U, U>(left, right, |a, b| a.checked_rem(b).unwrap_or(0)),
        BinaryOp::BitAnd => zip::<U, U, U>(left, right, |a, b| a & b),
        BinaryOp::BitOr => zip::<U, U, U>(left, right, |a, b| a | b),
        BinaryOp::BitXor => zip::<U, U, U>(left, right, |a, b| a ^ b),
        _ => compare(op, left, right, |a, b| Some(a.cmp(&b))),
    }
}

fn strings(op: BinaryOp, left: &StringArray, right: &StringArray) -> ArrayRef {
    let both = |row: usize| left.is_valid(row) && right.is_valid(row);
    match op {
        BinaryOp::Eq => booleans(left.len(), |row| both(row) && left.value(row) == right.value(row)),
        BinaryOp::NotEq => booleans(left.len(), |row| both(row) && left.value(row) != right.value(row)),
        _ if is_comparison(op) => booleans(left.len(), |_| false),
        _ => Arc::new(NullArray::new(left.len())),
    }
}

fn logic(op: BinaryOp, left: &BooleanArray, right: &BooleanArray) -> ArrayRef {
    if is_bitwise(op) {
        // One null is taken for false.
        return Arc::new(BooleanArray::from_iter(left.iter().zip(right).map(|pair| match pair {
            (None, None) => None,
            (a, b) => {
                let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
                Some(match op {
                    BinaryOp::BitAnd => a && b,
                    BinaryOp::BitOr => a || b,
                    _ => a != b,
                })
            }
        })));
    }
    let (a, b) = (left.values(), right.values());
    let bits = match op {
        BinaryOp::And => a & b,
        BinaryOp::Or => a | b,
        BinaryOp::NotEq => a ^ b,
        BinaryOp::Eq => !&(a ^ b),
        _ if is_comparison(op) => BooleanBuffer::new_unset(left.len()),
        _ => return Arc::new(NullArray::new(left.len())),
    };
    let known = NullBuffer::union(left.nulls(), right.nulls());
    if is_comparison(op) || matches!(op, BinaryOp::And | BinaryOp::Or) {
        let bits = if let Some(known) = known { &bits & known.inner() } else { bits };
        return Arc::new(BooleanArray::new(bits, None));
    }
    Arc::new(BooleanArray::new(bits, known))
}
