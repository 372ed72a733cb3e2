//! `WHERE`.

use super::super::ast::{BinaryOp, Expr, Value};
use jiff::tz::TimeZone;

use super::super::time::{looks_like_time, parse_time};
use super::calls::{count_of, go_type, is_math, math_args};
use super::{Result, refuse};

/// A condition: comparisons and truth values, joined by `AND` and `OR`.
pub(super) fn check(expr: &Expr, zone: Option<&TimeZone>) -> Result {
    shape(expr, zone)?;
    functions(expr)
}

/// The same, whatever functions are in it.
pub(super) fn shape(expr: &Expr, zone: Option<&TimeZone>) -> Result {
    match expr {
        Expr::Paren(inner, _) => shape(inner, zone),
        Expr::Binary(binary) if matches!(binary.op, BinaryOp::And | BinaryOp::Or) => {
            shape(&binary.left, zone)?;
            shape(&binary.right, zone)
        }
        Expr::Binary(binary) => {
            if is_time(&binary.left) {
                time(binary.op, &binary.right, zone)
            } else if is_time(&binary.right) {
                time(binary.op, &binary.left, zone)
            } else {
                Ok(())
            }
        }
        Expr::Literal(literal) if matches!(literal.value, Value::Boolean(_)) => Ok(()),
        other => refuse(format!("invalid condition expression: {other}"), other.span()),
    }
}

fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::VarRef(name) if name.name.name.eq_ignore_ascii_case("time"))
}

/// What `time` is compared with, as far as it is not computed.
fn time(op: BinaryOp, with: &Expr, zone: Option<&TimeZone>) -> Result {
    let fits = match with {
        Expr::Literal(literal) => match &literal.value {
            Value::Duration(_) | Value::Float(_) | Value::Integer(_) => true,
            Value::String(text) if looks_like_time(text) => {
                return parse_time(text, zone).map(drop).or_else(|error| refuse(error.to_string(), with.span()));
            }
            Value::String(_) => false,
            Value::Boolean(_) | Value::Unsigned(_) => false,
        },
        Expr::Call(call) => call.name.name.eq_ignore_ascii_case("now") && call.args.is_empty(),
        Expr::Regex(_) | Expr::VarRef(_) | Expr::Distinct(_) | Expr::Wildcard(..) => false,
        Expr::Binary(_) | Expr::Paren(..) => true,
    };
    if !fits {
        return refuse(format!("invalid operation: time and {} are not compatible", go_type(with)), with.span());
    }
    match op {
        BinaryOp::Eq | BinaryOp::Lt | BinaryOp::LtEq | BinaryOp::Gt | BinaryOp::GtEq => Ok(()),
        _ => refuse(format!("invalid time comparison operator: {op}"), with.span()),
    }
}

/// Functions in a condition: those of a single point, and `now()`.
fn functions(expr: &Expr) -> Result {
    match expr {
        Expr::Binary(binary) => {
            functions(&binary.left)?;
            functions(&binary.right)
        }
        Expr::Paren(inner, _) => functions(inner),
        Expr::Call(call) => {
            let name = call.name.name.to_ascii_lowercase();
            if name == "now" && call.args.is_empty() {
                return Ok(());
            }
            if !is_math(&name) {
                return refuse(format!("invalid function call in condition: {call}"), call.span);
            }
            count_of(&name, math_args(&name), call)?;
            call.args.iter().try_for_each(functions)
        }
        _ => Ok(()),
    }
}
