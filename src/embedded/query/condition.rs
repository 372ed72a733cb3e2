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
pub(super) struct Bound {
    points: Expr,
    series: Expr,
}

impl Bound {
    /// Numbers the tags behind so many fields.
    pub(super) fn place_tags(self, fields: usize) -> Placed {
        Placed { points: place(self.points, fields), series: place(self.series, fields) }
    }
}

/// A condition over numbered columns.
pub(super) struct Placed {
    /// Which points it leaves.
    pub(super) points: Expr,
    /// Which series 1.x's index leaves, whether points of them are left or not: it decides by comparisons of tags alone.
    pub(super) series: Expr,
}

fn place(expr: Expr, fields: usize) -> Expr {
    match expr {
        Expr::Slot(slot) if slot >= TAGS => Expr::Slot(slot - TAGS + fields),
        Expr::Slot(_) | Expr::Literal(_) => expr,
        Expr::Cast(inner, kind) => Expr::Cast(Box::new(place(*inner, fields)), kind),
        Expr::NonEmpty(inner) => Expr::NonEmpty(Box::new(place(*inner, fields))),
        Expr::Falsy(inner) => Expr::Falsy(Box::new(place(*inner, fields))),
        Expr::Binary(op, left, right) => Expr::Binary(op, Box::new(place(*left, fields)), Box::new(place(*right, fields))),
        Expr::Match { text, regex, negated } => Expr::Match { text: Box::new(place(*text, fields)), regex, negated },
        Expr::Math(math, args) => Expr::Math(math, args.into_iter().map(|arg| place(arg, fields)).collect()),
    }
}

/// What the names of a condition stand for.
pub(super) struct Names<'a> {
    /// The number of a field.
    pub(super) field: &'a mut dyn FnMut(&str) -> Option<usize>,
    /// The type of a field that has several: where it has another one, it isn't there or is converted.
    pub(super) mixed: &'a dyn Fn(&str) -> Option<Type>,
    /// Whether another source has a field of this name: then it is no tag here, but a field without values.
    pub(super) elsewhere: &'a dyn Fn(&str) -> bool,
    /// The position of a tag.
    pub(super) tag: &'a dyn Fn(&str) -> Option<usize>,
    /// The measurement, where its series are looked up by their tags; `None` over a subquery, whose tags are values like others.
    pub(super) measurement: Option<&'a str>,
}

/// Binds a condition. A field goes before a tag of the same name; a name that is neither is a tag that no series has.
pub(super) fn bind(expr: &ast::Expr, names: &mut Names<'_>) -> Result<Bound, Error> {
    let (points, series) = series(expr, names)?;
    Ok(Bound { points, series })
}

/// What stands outermost, alone or joined by `AND` and `OR`: here comparisons of tags choose series, with rules of their own. What it says
/// of points, and what of series.
fn series(expr: &ast::Expr, names: &mut Names<'_>) -> Result<(Expr, Expr), Error> {
    match expr {
        ast::Expr::Paren(inner, _) => series(inner, names),
        ast::Expr::Binary(binary) if matches!(binary.op, BinaryOp::And | BinaryOp::Or) => {
            let (left, right) = (series(&binary.left, names)?, series(&binary.right, names)?);
            let both = |left, right| Expr::Binary(binary.op, Box::new(left), Box::new(right));
            Ok((both(left.0, right.0), both(left.1, right.1)))
        }
        ast::Expr::Binary(binary) => {
            let by_tags = names.measurement.map(|measurement| by_tags(binary, names, measurement)).transpose()?;
            match by_tags.flatten() {
                Some(expr) => Ok((expr.clone(), expr)),
                None => Ok((bind_expr(expr, names)?, Expr::constant(true))),
            }
        }
        _ => {
            let expr = bind_expr(expr, names)?;
            let series = Expr::constant(expr.truth() == Some(true));
            Ok((expr, series))
        }
    }
}

/// A comparison of tags with each other, with a text or a pattern; `None` when it isn't one. Where series lack a tag it is the empty text,
/// but as the other side of a tag, which it never equals. No other comparison holds for any series.
fn by_tags(binary: &ast::Binary, names: &mut Names<'_>, measurement: &str) -> Result<Option<Expr>, Error> {
    let name =
        if matches!(binary.left, ast::Expr::VarRef(_)) { (&binary.left, &binary.right) } else { (&binary.right, &binary.left) };
    let (ast::Expr::VarRef(reference), other) = name else { return Ok(None) };
    let Some(tag) = tag_of(reference, names) else { return Ok(None) };
    let equal = matches!(binary.op, BinaryOp::Eq | BinaryOp::EqRegex);
    if !matches!(binary.op, BinaryOp::Eq | BinaryOp::NotEq | BinaryOp::EqRegex | BinaryOp::NotEqRegex) {
        let text = matches!(other, ast::Expr::Literal(ast::Literal { value: Value::String(_), .. }));
        let tag = matches!(other, ast::Expr::VarRef(other) if tag_of(other, names).is_some());
        return Ok((text || tag).then(|| Expr::constant(false)));
    }
    let own_name = *reference.name.name == *"_name";
    let text = if own_name { Expr::Literal(Scalar::String(measurement.into())) } else { tag };
    Ok(match other {
        ast::Expr::Literal(ast::Literal { value: Value::String(value), .. }) => {
            let value = Expr::Literal(Scalar::String((**value).into()));
            Some(Expr::Binary(binary.op, Box::new(text), Box::new(value)))
        }
        ast::Expr::Regex(pattern) => {
            Some(Expr::Match { text: Box::new(text), regex: pattern::compile(&pattern.pattern)?, negated: !equal })
        }
        ast::Expr::VarRef(other) => match (tag_of(reference, names), tag_of(other, names)) {
            (Some(tag), Some(other)) => {
                let (tag, other) = (Expr::NonEmpty(Box::new(tag)), Expr::NonEmpty(Box::new(other)));
                let same = Expr::Binary(BinaryOp::Eq, Box::new(tag), Box::new(other));
                Some(Expr::Binary(BinaryOp::Eq, Box::new(same), Box::new(Expr::constant(equal))))
            }
            _ => None,
        },
        _ => None,
    })
}

/// The value of a reference that is no field: a tag's, or the empty text.
fn tag_of(reference: &ast::VarRef, names: &mut Names<'_>) -> Option<Expr> {
    let name = &*reference.name.name;
    match reference.cast {
        Some(Cast::Tag) => {}
        None | Some(Cast::Field) if (names.field)(name).is_some() || (names.elsewhere)(name) => return None,
        Some(Cast::Field) if (names.tag)(name).is_some() => return None,
        None | Some(Cast::Field) => {}
        Some(_) => return None,
    }
    Some((names.tag)(name).map_or_else(|| Expr::Literal(Scalar::String("".into())), |slot| Expr::Slot(TAGS + slot)))
}

fn bind_expr(expr: &ast::Expr, names: &mut Names<'_>) -> Result<Expr, Error> {
    Ok(match expr {
        ast::Expr::Binary(binary) => match (binary.op, &binary.right) {
            (BinaryOp::EqRegex | BinaryOp::NotEqRegex, ast::Expr::Regex(pattern)) => Expr::Match {
                text: Box::new(bind_expr(&binary.left, names)?),
                regex: pattern::compile(&pattern.pattern)?,
                negated: binary.op == BinaryOp::NotEqRegex,
            },
            (op, right) => {
                let left = bind_expr(&binary.left, names)?;
                let right = bind_expr(right, names)?;
                let falsy = |value: Expr, other: &Expr| {
                    // In a subquery's row a missing value is as good as false.
                    let whether = names.measurement.is_none() && matches!(other, Expr::Literal(Scalar::Boolean(_)));
                    if whether { Expr::Falsy(Box::new(value)) } else { value }
                };
                let (left, right) = (falsy(left.clone(), &right), falsy(right, &left));
                Expr::Binary(op, Box::new(left), Box::new(right))
            }
        },
        ast::Expr::Paren(inner, _) => bind_expr(inner, names)?,
        ast::Expr::Literal(literal) => Expr::Literal(match &literal.value {
            Value::Boolean(value) => Scalar::Boolean(*value),
            Value::Float(value) => Scalar::Float(*value),
            Value::Integer(value) => Scalar::Integer(*value),
            // Only the time is compared with durations.
            Value::Duration(_) => Scalar::Null,
            Value::String(value) => Scalar::String((**value).into()),
            Value::Unsigned(value) => Scalar::Unsigned(*value),
        }),
        ast::Expr::VarRef(reference) => {
            let name = &*reference.name.name;
            // Among values, a tag that a series lacks is null; a subquery's is the empty text.
            let over_series = names.measurement.is_some();
            let missing = || Expr::Literal(if over_series { Scalar::Null } else { Scalar::String("".into()) });
            let value = |slot| {
                let slot = Expr::Slot(TAGS + slot);
                if over_series { Expr::NonEmpty(Box::new(slot)) } else { slot }
            };
            let tag = |name: &str| (names.tag)(name).map_or_else(missing, value);
            let field = &mut names.field;
            let typed = |slot: Option<usize>, kind| match slot {
                Some(slot) => Expr::Cast(Box::new(Expr::Slot(slot)), kind),
                None => Expr::Literal(Scalar::Null),
            };
            let own = |slot| match (names.mixed)(name) {
                Some(kind) => Expr::Cast(Box::new(Expr::Slot(slot)), kind),
                None => Expr::Slot(slot),
            };
            match reference.cast {
                // A subquery's column is found by its name, whatever it is said to be.
                Some(Cast::Tag) if !over_series => field(name).map_or_else(|| tag(name), own),
                Some(Cast::Tag) => tag(name),
                Some(Cast::Field) => field(name).map_or(Expr::Literal(Scalar::Null), own),
                Some(Cast::Float) => typed(field(name), Type::Float),
                Some(Cast::Integer) => typed(field(name), Type::Integer),
                Some(Cast::Unsigned) => typed(field(name), Type::Unsigned),
                Some(Cast::String) => typed(field(name), Type::String),
                Some(Cast::Boolean) => typed(field(name), Type::Boolean),
                None => match field(name) {
                    Some(slot) => own(slot),
                    None if (names.elsewhere)(name) => Expr::Literal(Scalar::Null),
                    None => tag(name),
                },
            }
        }
        ast::Expr::Call(call) => match Math::named(&call.name.name) {
            // 1.x doesn't compute these over a subquery.
            Some(math) if call.args.len() == math.arity() && names.measurement.is_none() => Expr::Literal(Scalar::Null),
            Some(math) if call.args.len() == math.arity() => {
                Expr::Math(math, call.args.iter().map(|arg| bind_expr(arg, names)).collect::<Result<_, _>>()?)
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
