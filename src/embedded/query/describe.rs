//! Expressions as 1.x prints them in its messages.

use crate::influxql::{
    ast::{BinaryOp, Cast, Expr, Value, WildcardKind},
    quote_ident,
};

/// The expression's text.
pub(super) fn expr(expr: &Expr) -> String {
    typed(expr, &|_| None)
}

/// The expression's text, references followed by their types.
pub(super) fn typed(node: &Expr, kind: &dyn Fn(&crate::influxql::ast::VarRef) -> Option<&'static str>) -> String {
    match node {
        Expr::Binary(binary) => format!("{} {} {}", typed(&binary.left, kind), operator(binary.op), typed(&binary.right, kind)),
        Expr::Call(call) => {
            let args: Vec<_> = call.args.iter().map(|arg| typed(arg, kind)).collect();
            format!("{}({})", call.name.name, args.join(", "))
        }
        Expr::Distinct(ident) => format!("DISTINCT {}", name(&ident.name)),
        Expr::Literal(literal) => match &literal.value {
            Value::Boolean(value) => value.to_string(),
            Value::Duration(value) => crate::influxql::duration::format_duration(*value),
            Value::Float(value) => format!("{value:.3}"),
            Value::Integer(value) => value.to_string(),
            Value::String(value) => format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
            Value::Unsigned(value) => value.to_string(),
        },
        Expr::Paren(inner, _) => format!("({})", typed(inner, kind)),
        Expr::Regex(regex) => format!("/{}/", regex.pattern.replace('/', r"\/")),
        Expr::VarRef(reference) => match kind(reference) {
            Some(kind) => format!("{}::{kind}", name(&reference.name.name)),
            None => name(&reference.name.name),
        },
        Expr::Wildcard(WildcardKind::All, _) => "*".into(),
        Expr::Wildcard(WildcardKind::Fields, _) => "*::field".into(),
        Expr::Wildcard(WildcardKind::Tags, _) => "*::tag".into(),
    }
}

fn name(name: &str) -> String {
    quote_ident(name)
}

/// A node as Go prints it for programmers, which 1.x does in some messages.
pub(super) fn go(node: &Expr) -> String {
    match node {
        Expr::Literal(literal) => match &literal.value {
            Value::Boolean(value) => format!("&influxql.BooleanLiteral{{Val:{value}}}"),
            Value::Duration(value) => format!("&influxql.DurationLiteral{{Val:{value}}}"),
            Value::Float(value) => format!("&influxql.NumberLiteral{{Val:{value}}}"),
            Value::Integer(value) => format!("&influxql.IntegerLiteral{{Val:{value}}}"),
            Value::String(value) => format!("&influxql.StringLiteral{{Val:{value:?}}}"),
            Value::Unsigned(value) => format!("&influxql.UnsignedLiteral{{Val:{value:#x}}}"),
        },
        Expr::VarRef(reference) => {
            // Numbers of 1.x's types.
            let kind = match reference.cast {
                None => 0,
                Some(Cast::Float) => 1,
                Some(Cast::Integer) => 2,
                Some(Cast::String) => 3,
                Some(Cast::Boolean) => 4,
                Some(Cast::Tag) => 7,
                Some(Cast::Field) => 8,
                Some(Cast::Unsigned) => 9,
            };
            format!("&influxql.VarRef{{Val:{:?}, Type:{kind}}}", reference.name.name)
        }
        other => expr(other),
    }
}

/// The operator's sign.
pub(super) const fn operator(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Or => "OR",
        BinaryOp::And => "AND",
        BinaryOp::Eq => "=",
        BinaryOp::NotEq => "!=",
        BinaryOp::EqRegex => "=~",
        BinaryOp::NotEqRegex => "!~",
        BinaryOp::Lt => "<",
        BinaryOp::LtEq => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::GtEq => ">=",
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::BitOr => "|",
        BinaryOp::BitXor => "^",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Mod => "%",
        BinaryOp::BitAnd => "&",
    }
}
