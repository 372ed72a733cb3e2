//! Which series are deleted.

use std::sync::Arc;

use regex::Regex;

use crate::{
    embedded::{
        batch::{Input, put},
        query,
    },
    error::Error,
    influxql::ast::{BinaryOp, Cast, Expr, Value, VarRef},
};

/// A condition on tags; a missing tag is an empty text.
#[derive(Clone, Debug)]
pub(in crate::embedded) enum Predicate {
    All(Vec<Self>),
    Any(Vec<Self>),
    Constant(bool),
    /// The tag has this value, or hasn't.
    Is {
        key: Box<str>,
        value: Box<str>,
        negated: bool,
    },
    /// Two tags have the same value, or haven't.
    Same {
        key: Box<str>,
        other: Box<str>,
        negated: bool,
    },
    Matches {
        key: Box<str>,
        pattern: Box<str>,
        regex: Arc<Regex>,
        negated: bool,
    },
}

const ALL: u8 = 0;
const ANY: u8 = 1;
const CONSTANT: u8 = 2;
const IS: u8 = 4;
const SAME: u8 = 6;
const MATCHES: u8 = 8;

impl Predicate {
    /// Of a condition without a time. `is_field` tells fields, on which nothing can be deleted.
    pub(in crate::embedded) fn new(condition: &Expr, is_field: &dyn Fn(&str) -> bool) -> Result<Self, Error> {
        let unsupported = || Error::invalid("fields not supported in WHERE clause during deletion");
        let tag = |reference: &VarRef| -> Result<Box<str>, Error> {
            match reference.cast {
                Some(Cast::Tag) => Ok(reference.name.name.clone()),
                None if !is_field(&reference.name.name) => Ok(reference.name.name.clone()),
                _ => Err(unsupported()),
            }
        };
        Ok(match condition {
            Expr::Paren(inner, _) => Self::new(inner, is_field)?,
            Expr::Literal(literal) => match literal.value {
                Value::Boolean(value) => Self::Constant(value),
                _ => return Err(unsupported()),
            },
            Expr::Binary(binary) if matches!(binary.op, BinaryOp::And | BinaryOp::Or) => {
                let parts = chain(condition, binary.op).into_iter().map(|part| Self::new(part, is_field));
                let parts = parts.collect::<Result<_, _>>()?;
                if binary.op == BinaryOp::And { Self::All(parts) } else { Self::Any(parts) }
            }
            Expr::Binary(binary) => {
                let ((Expr::VarRef(reference), other) | (other, Expr::VarRef(reference))) = (&binary.left, &binary.right) else {
                    return Err(unsupported());
                };
                let key = tag(reference)?;
                match (binary.op, other) {
                    (BinaryOp::Eq | BinaryOp::NotEq, Expr::Literal(literal)) if matches!(literal.value, Value::String(_)) => {
                        let Value::String(value) = &literal.value else { return Err(unsupported()) };
                        Self::Is { key, value: value.clone(), negated: binary.op == BinaryOp::NotEq }
                    }
                    (BinaryOp::Eq | BinaryOp::NotEq, Expr::VarRef(other)) => {
                        Self::Same { key, other: tag(other)?, negated: binary.op == BinaryOp::NotEq }
                    }
                    (BinaryOp::EqRegex | BinaryOp::NotEqRegex, Expr::Regex(pattern)) => Self::Matches {
                        key,
                        regex: query::compile_pattern(&pattern.pattern)?,
                        pattern: pattern.pattern.clone(),
                        negated: binary.op == BinaryOp::NotEqRegex,
                    },
                    // As 1.x: tags aren't more or less than others.
                    (_, Expr::Literal(literal)) if matches!(literal.value, Value::String(_)) => Self::Constant(false),
                    _ => return Err(unsupported()),
                }
            }
            _ => return Err(unsupported()),
        })
    }

    /// Whether it holds for a series: its tags' values in the order of the keys, which are sorted.
    pub(super) fn holds(&self, keys: &[Box<str>], values: &[Box<str>]) -> bool {
        let value = |key: &str| {
            let place = keys.binary_search_by(|there| (**there).cmp(key)).ok();
            place.and_then(|place| values.get(place)).map_or("", |value| &**value)
        };
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(keys, values)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(keys, values)),
            Self::Constant(holds) => *holds,
            Self::Is { key, value: wanted, negated } => (value(key) == &**wanted) != *negated,
            Self::Same { key, other, negated } => (value(key) == value(other)) != *negated,
            Self::Matches { key, regex, negated, .. } => regex.is_match(value(key)) != *negated,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut texts = |tag: u8, negated: bool, a: &str, b: &str| {
            out.push(tag + u8::from(negated));
            for text in [a, b] {
                put(out, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
            }
        };
        match self {
            Self::Is { key, value, negated } => texts(IS, *negated, key, value),
            Self::Same { key, other, negated } => texts(SAME, *negated, key, other),
            Self::Matches { key, pattern, negated, .. } => texts(MATCHES, *negated, key, pattern),
            Self::Constant(holds) => out.push(CONSTANT + u8::from(*holds)),
            Self::All(parts) | Self::Any(parts) => {
                out.push(if matches!(self, Self::All(_)) { ALL } else { ANY });
                put(out, parts.len() as u64);
                parts.iter().for_each(|part| part.encode(out));
            }
        }
    }

    /// `None` when it isn't what [`encode`](Self::encode) wrote.
    pub(super) fn decode(input: &mut Input<'_>) -> Option<Self> {
        let tag = input.byte()?;
        let negated = tag & 1 == 1;
        Some(match tag {
            ALL | ANY => {
                let count = input.count()?;
                let parts = (0..count).map(|_| Self::decode(input)).collect::<Option<_>>()?;
                if tag == ALL { Self::All(parts) } else { Self::Any(parts) }
            }
            2 | 3 => Self::Constant(negated),
            4 | 5 => Self::Is { key: input.text()?.into(), value: input.text()?.into(), negated },
            6 | 7 => Self::Same { key: input.text()?.into(), other: input.text()?.into(), negated },
            8 | 9 => {
                let (key, pattern) = (input.text()?.into(), input.text()?);
                Self::Matches { key, regex: query::compile_pattern(pattern).ok()?, pattern: pattern.into(), negated }
            }
            _ => return None,
        })
    }
}

/// The operands of a chain `a AND b AND c`, which groups from the left and may be long.
fn chain(expr: &Expr, op: BinaryOp) -> Vec<&Expr> {
    let (mut parts, mut rest) = (Vec::new(), expr);
    while let Expr::Binary(binary) = rest
        && binary.op == op
    {
        parts.push(&binary.right);
        rest = &binary.left;
    }
    parts.push(rest);
    parts.reverse();
    parts
}
