//! Constants in selected columns, worked out before anything else is looked at: 1.x's messages show what came of them.

use crate::influxql::{
    Span,
    ast::{Binary, BinaryOp, Call, Expr, Literal, Value},
};

/// The expression with its constants worked out, and without the parentheses that are around all of it or around nothing but one operand.
pub(super) fn fold(expr: &Expr) -> Expr {
    match within(expr) {
        Expr::Paren(inner, _) => *inner,
        other => other,
    }
}

fn within(expr: &Expr) -> Expr {
    match expr {
        Expr::Paren(inner, span) => match within(inner) {
            binary @ Expr::Binary(_) => Expr::Paren(Box::new(binary), *span),
            other => other,
        },
        Expr::Binary(binary) => {
            let (left, right) = (within(&binary.left), within(&binary.right));
            match (&left, &right) {
                (Expr::Literal(a), Expr::Literal(b)) => constant(binary.op, &a.value, &b.value),
                _ => None,
            }
            .map_or_else(
                || Expr::Binary(Box::new(Binary { op: binary.op, left: left.clone(), right: right.clone() })),
                |value| Expr::Literal(Literal { value, span: Span::default() }),
            )
        }
        Expr::Call(call) => Expr::Call(Call { args: call.args.iter().map(within).collect(), ..call.clone() }),
        other => other.clone(),
    }
}

fn constant(op: BinaryOp, left: &Value, right: &Value) -> Option<Value> {
    match (left, right) {
        (Value::Integer(a), Value::Integer(b)) => integers(op, *a, *b),
        (Value::Integer(a), Value::Float(b)) => floats(op, *a as f64, *b),
        (Value::Float(a), Value::Integer(b)) => floats(op, *a, *b as f64),
        (Value::Float(a), Value::Float(b)) => floats(op, *a, *b),
        (Value::String(a), Value::String(b)) if op == BinaryOp::Add => Some(Value::String(format!("{a}{b}").into())),
        _ => None,
    }
}

fn integers(op: BinaryOp, a: i64, b: i64) -> Option<Value> {
    Some(Value::Integer(match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::Mul => a.wrapping_mul(b),
        BinaryOp::Div => return floats(op, a as f64, b as f64),
        BinaryOp::Mod => a.checked_rem(b).unwrap_or(0),
        BinaryOp::BitAnd => a & b,
        BinaryOp::BitOr => a | b,
        BinaryOp::BitXor => a ^ b,
        _ => return None,
    }))
}

fn floats(op: BinaryOp, a: f64, b: f64) -> Option<Value> {
    Some(Value::Float(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div if b == 0.0 => 0.0,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        embedded::query::describe,
        influxql::{Limits, Params, StatementKind, parse},
    };

    #[test]
    fn constants_are_worked_out() {
        for (text, expected) in [
            ("v * (1 + 2)", "v * 3"),
            ("(v * (1 + 2))", "v * 3"),
            ("v & (0.5 - -3)", "v & 3.500"),
            ("(1 % 2) / w + w", "1 / w + w"),
            ("v + 1 / 2", "v + 0.500"),
            ("v + 1 / 0", "v + 0.000"),
            ("v + 7 % 0", "v + 0"),
            ("v * (w + 1)", "v * (w + 1)"),
            ("(v) * ((w))", "v * w"),
            ("pow(v, 1 + 1)", "pow(v, 2)"),
            ("v + 'a' + 'b'", "v + 'a' + 'b'"),
            ("9223372036854775807 + 1 + v", "-9223372036854775808 + v"),
        ] {
            let statement = format!("SELECT {text} FROM m");
            match parse(&statement, &Params::default(), Limits::default()).unwrap().remove(0).kind {
                StatementKind::Select(select) => assert_eq!(describe::expr(&fold(&select.fields[0].expr)), expected, "{text}"),
                _ => unreachable!(),
            }
        }
    }
}
