//! `WHERE` without its time range, bound to one table.

use super::{
    describe,
    expr::Expr,
    math::Math,
    pattern,
    value::{Scalar, Type},
};
use crate::{
    error::{Error, Kind},
    influxql::ast::{self, BinaryOp, Cast, Value},
};

/// Tags are numbered from here until the number of fields is known.
const TAGS: usize = 1 << 32;

/// A condition whose tags wait for their numbers.
pub(super) struct Bound(Expr);

impl Bound {
    /// Numbers the tags behind so many fields.
    pub(super) fn place_tags(self, fields: usize) -> Expr {
        place(self.0, fields)
    }
}

fn place(expr: Expr, fields: usize) -> Expr {
    match expr {
        Expr::Slot(slot) if slot >= TAGS => Expr::Slot(slot - TAGS + fields),
        Expr::Slot(_) | Expr::Literal(_) => expr,
        Expr::Cast(inner, kind) => Expr::Cast(Box::new(place(*inner, fields)), kind),
        Expr::Binary(op, left, right) => Expr::Binary(op, Box::new(place(*left, fields)), Box::new(place(*right, fields))),
        Expr::Match { text, regex, negated } => Expr::Match { text: Box::new(place(*text, fields)), regex, negated },
        Expr::Math(math, args) => Expr::Math(math, args.into_iter().map(|arg| place(arg, fields)).collect()),
    }
}

/// Binds a condition. A field goes before a tag of the same name; a name that is neither is a tag that no series has.
pub(super) fn bind(
    expr: &ast::Expr,
    field: &mut dyn FnMut(&str) -> Option<usize>,
    tag: &dyn Fn(&str) -> Option<usize>,
) -> Result<Bound, Error> {
    bind_expr(expr, field, tag).map(Bound)
}

fn bind_expr(
    expr: &ast::Expr,
    field: &mut dyn FnMut(&str) -> Option<usize>,
    tag: &dyn Fn(&str) -> Option<usize>,
) -> Result<Expr, Error> {
    Ok(match expr {
        ast::Expr::Binary(binary) => match (binary.op, &binary.right) {
            (BinaryOp::EqRegex | BinaryOp::NotEqRegex, ast::Expr::Regex(pattern)) => Expr::Match {
                text: Box::new(bind_expr(&binary.left, field, tag)?),
                regex: pattern::compile(&pattern.pattern)?,
                negated: binary.op == BinaryOp::NotEqRegex,
            },
            (op, right) => {
                let left = bind_expr(&binary.left, field, tag)?;
                let right = bind_expr(right, field, tag)?;
                Expr::Binary(op, Box::new(left), Box::new(right))
            }
        },
        ast::Expr::Paren(inner, _) => bind_expr(inner, field, tag)?,
        ast::Expr::Literal(literal) => Expr::Literal(match &literal.value {
            Value::Boolean(value) => Scalar::Boolean(*value),
            Value::Float(value) => Scalar::Float(*value),
            Value::Integer(value) | Value::Duration(value) => Scalar::Integer(*value),
            Value::String(value) => Scalar::String((**value).into()),
            Value::Unsigned(value) => Scalar::Unsigned(*value),
        }),
        ast::Expr::VarRef(reference) => {
            let name = &*reference.name.name;
            let missing = || Expr::Literal(Scalar::String("".into()));
            let tag = |name: &str| tag(name).map_or_else(missing, |slot| Expr::Slot(TAGS + slot));
            let typed = |slot: Option<usize>, kind| match slot {
                Some(slot) => Expr::Cast(Box::new(Expr::Slot(slot)), kind),
                None => Expr::Literal(Scalar::Null),
            };
            match reference.cast {
                Some(Cast::Tag) => tag(name),
                Some(Cast::Field) => field(name).map_or(Expr::Literal(Scalar::Null), Expr::Slot),
                Some(Cast::Float) => typed(field(name), Type::Float),
                Some(Cast::Integer) => typed(field(name), Type::Integer),
                Some(Cast::Unsigned) => typed(field(name), Type::Unsigned),
                Some(Cast::String) => typed(field(name), Type::String),
                Some(Cast::Boolean) => typed(field(name), Type::Boolean),
                None => field(name).map_or_else(|| tag(name), Expr::Slot),
            }
        }
        ast::Expr::Call(call) => match Math::named(&call.name.name) {
            Some(math) if call.args.len() == math.arity() => {
                Expr::Math(math, call.args.iter().map(|arg| bind_expr(arg, field, tag)).collect::<Result<_, _>>()?)
            }
            Some(math) => {
                return Err(Error::invalid(format!(
                    "invalid number of arguments for {}, expected {}, got {}",
                    call.name.name,
                    math.arity(),
                    call.args.len()
                )));
            }
            None => return Err(Error::invalid(format!("invalid function call in condition: {}", describe::expr(expr)))),
        },
        other => return Err(Error::new(Kind::Invalid, format!("invalid condition expression: {}", describe::expr(other)))),
    })
}
