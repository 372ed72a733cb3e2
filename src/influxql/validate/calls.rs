//! Functions: which there are, and what their arguments must be.

use super::super::ast::{Call, Expr, Literal, Value};
use super::super::duration::format_duration;
use super::{Result, Shape, constant, literal, refuse};

/// Whether it is a function of a single point.
pub(super) fn is_math(name: &str) -> bool {
    const MATH: [&str; 18] = [
        "abs", "acos", "asin", "atan", "atan2", "ceil", "cos", "exp", "floor", "ln", "log", "log10", "log2", "pow", "round",
        "sin", "sqrt", "tan",
    ];
    MATH.contains(&name)
}

pub(super) fn count_of(name: &str, expected: usize, call: &Call) -> Result {
    let got = call.args.len();
    if got == expected {
        return Ok(());
    }
    refuse(format!("invalid number of arguments for {name}, expected {expected}, got {got}"), call.span)
}

fn count_between(name: &str, min: usize, max: usize, call: &Call) -> Result {
    let got = call.args.len();
    if (min..=max).contains(&got) {
        return Ok(());
    }
    let message = format!("invalid number of arguments for {name}, expected at least {min} but no more than {max}, got {got}");
    refuse(message, call.span)
}

/// What the type of an argument is called in 1.x's messages.
pub(super) fn go_type(expr: &Expr) -> &'static str {
    match expr {
        Expr::Binary(_) => "*influxql.BinaryExpr",
        Expr::Call(_) => "*influxql.Call",
        Expr::Distinct(_) => "*influxql.Distinct",
        Expr::Paren(..) => "*influxql.ParenExpr",
        Expr::Regex(_) => "*influxql.RegexLiteral",
        Expr::VarRef(_) => "*influxql.VarRef",
        Expr::Wildcard(..) => "*influxql.Wildcard",
        Expr::Literal(literal) => match literal.value {
            Value::Boolean(_) => "*influxql.BooleanLiteral",
            Value::Duration(_) => "*influxql.DurationLiteral",
            Value::Float(_) => "*influxql.NumberLiteral",
            Value::Integer(_) => "*influxql.IntegerLiteral",
            Value::String(_) => "*influxql.StringLiteral",
            Value::Unsigned(_) => "*influxql.UnsignedLiteral",
        },
    }
}

pub(super) fn math_args(name: &str) -> usize {
    if matches!(name, "atan2" | "pow" | "log") { 2 } else { 1 }
}

/// Whether it is a call of a function of a single point, with as many arguments as it takes.
pub(super) fn is_math_of(call: &Call) -> bool {
    let name = call.name.name.to_ascii_lowercase();
    is_math(&name) && math_args(&name) == call.args.len()
}

/// One selected column.
pub(super) fn field(expr: &Expr, shape: &mut Shape, wildcards: bool) -> Result {
    if constant(expr) {
        return refuse("field must contain at least one variable", expr.span());
    }
    match expr {
        Expr::VarRef(_) => shape.raw = true,
        Expr::Wildcard(_, span) => {
            if !wildcards {
                return refuse("unable to use wildcard in a binary expression", *span);
            }
            shape.raw = true;
        }
        Expr::Regex(regex) => {
            if !wildcards {
                return refuse("unable to use regex in a binary expression", regex.span);
            }
            shape.raw = true;
        }
        Expr::Call(call) => return function(call, shape, wildcards),
        Expr::Distinct(_) => {
            shape.calls += 1;
            (shape.distinct, shape.aggregates) = (true, true);
        }
        Expr::Binary(binary) => {
            for side in [&binary.left, &binary.right] {
                if !constant(side) {
                    field(side, shape, false)?;
                }
            }
        }
        Expr::Paren(inner, _) => return field(inner, shape, wildcards),
        Expr::Literal(_) => {}
    }
    Ok(())
}

fn function(call: &Call, shape: &mut Shape, wildcards: bool) -> Result {
    let name = call.name.name.to_ascii_lowercase();
    let name = name.as_str();
    if is_math(name) {
        count_of(name, math_args(name), call)?;
        // A pattern there isn't a variable.
        if call.args.iter().all(|arg| constant(arg) || matches!(arg, Expr::Regex(_))) {
            return refuse("field must contain at least one variable", call.span);
        }
        return call.args.iter().filter(|arg| !constant(arg)).try_for_each(|arg| field(arg, shape, wildcards));
    }
    shape.calls += 1;
    match name {
        "max" | "min" | "first" | "last" => {
            count_of(name, 1, call)?;
            symbol(name, call, shape, wildcards)
        }
        "count" | "sum" | "mean" | "median" | "mode" | "stddev" | "spread" => {
            shape.aggregates = true;
            count_of(name, 1, call)?;
            match call.args.as_slice() {
                [Expr::Call(inner)] if name == "count" && inner.name.name.eq_ignore_ascii_case("distinct") => distinct(inner),
                [Expr::Distinct(_)] if name == "count" => Ok(()),
                _ => symbol(name, call, shape, wildcards),
            }
        }
        "percentile" => {
            count_of(name, 2, call)?;
            match call.args.get(1).and_then(literal) {
                Some(Value::Integer(_) | Value::Float(_)) => symbol(name, call, shape, wildcards),
                _ => refuse("expected float argument in percentile()", call.span),
            }
        }
        "sample" => {
            count_of(name, 2, call)?;
            match call.args.get(1).and_then(literal) {
                Some(Value::Integer(n)) if *n <= 0 => refuse(format!("sample window must be greater than 1, got {n}"), call.span),
                Some(Value::Integer(_)) => symbol(name, call, shape, wildcards),
                _ => refuse("expected integer argument in sample()", call.span),
            }
        }
        "distinct" => {
            (shape.distinct, shape.aggregates) = (true, true);
            distinct(call)
        }
        "top" | "bottom" => top_bottom(if name == "top" { "top" } else { "bottom" }, call, shape),
        "derivative" | "non_negative_derivative" | "elapsed" => {
            count_between(name, 1, 2, call)?;
            unit(call, || {
                let got = call.args.get(1).map_or("", go_type);
                format!("second argument to {name} must be a duration, got {got}")
            })?;
            transformation(name, call, shape, wildcards, nested)
        }
        "difference" | "non_negative_difference" | "cumulative_sum" => {
            count_of(name, 1, call)?;
            transformation(name, call, shape, wildcards, nested)
        }
        "moving_average" => {
            count_of(name, 2, call)?;
            match call.args.get(1) {
                Some(arg) => match literal(arg) {
                    Some(Value::Integer(n)) if *n <= 1 => {
                        return refuse(format!("moving_average window must be greater than 1, got {n}"), call.span);
                    }
                    Some(Value::Integer(_)) => {}
                    _ => {
                        let got = go_type(arg);
                        let message = format!("second argument for moving_average must be an integer, got {got}");
                        return refuse(message, call.span);
                    }
                },
                None => return Ok(()),
            }
            transformation(name, call, shape, wildcards, nested)
        }
        "integral" => {
            count_between(name, 1, 2, call)?;
            unit(call, || "second argument must be a duration".to_owned())?;
            shape.aggregates = true;
            symbol(name, call, shape, wildcards)
        }
        "exponential_moving_average"
        | "double_exponential_moving_average"
        | "triple_exponential_moving_average"
        | "relative_strength_index"
        | "triple_exponential_derivative"
        | "chande_momentum_oscillator" => {
            count_between(name, 2, 4, call)?;
            periods(name, call)?;
            warmup(name, call)?;
            transformation(name, call, shape, wildcards, function)
        }
        "kaufmans_efficiency_ratio" | "kaufmans_adaptive_moving_average" => {
            count_between(name, 2, 3, call)?;
            periods(name, call)?;
            transformation(name, call, shape, wildcards, function)
        }
        "holt_winters" | "holt_winters_with_fit" => holt_winters(name, call, shape, wildcards),
        _ => refuse(format!("undefined function {name}()"), call.span),
    }
}

/// The first argument, where it must be a field or a choice of fields.
fn symbol(name: &str, call: &Call, shape: &mut Shape, wildcards: bool) -> Result {
    let kind = match call.args.first() {
        Some(Expr::VarRef(_)) => return Ok(()),
        Some(Expr::Wildcard(..)) => "wildcard",
        Some(Expr::Regex(_)) => "regex field",
        _ => return refuse(format!("expected field argument in {name}()"), call.span),
    };
    if !wildcards {
        return refuse(format!("unsupported expression with {kind}: {name}()"), call.span);
    }
    // It may become several functions.
    shape.aggregates = true;
    Ok(())
}

fn distinct(call: &Call) -> Result {
    match call.args.as_slice() {
        [] => refuse("distinct function requires at least one argument", call.span),
        [Expr::VarRef(_)] => Ok(()),
        [_] => refuse("expected field argument in distinct()", call.span),
        _ => refuse("distinct function can only have one argument", call.span),
    }
}

fn top_bottom(name: &'static str, call: &Call, shape: &mut Shape) -> Result {
    if let Some(earlier) = shape.top_bottom {
        return refuse(format!("selector function {earlier}() cannot be combined with other functions"), call.span);
    }
    let [first, between @ .., last] = call.args.as_slice() else {
        let got = call.args.len();
        return refuse(format!("invalid number of arguments for {name}, expected at least 2, got {got}"), call.span);
    };
    let limit = match literal(last) {
        Some(Value::Integer(limit)) => *limit,
        _ => return refuse(format!("expected integer as last argument in {name}(), found {}", text(last)), last.span()),
    };
    if limit <= 0 {
        return refuse(format!("limit ({limit}) in {name} function must be at least 1"), last.span());
    }
    if shape.limit > 0 && limit.unsigned_abs() > shape.limit {
        let message = format!(
            "limit ({limit}) in {name} function can not be larger than the LIMIT ({}) in the select statement",
            shape.limit
        );
        return refuse(message, last.span());
    }
    if !matches!(first, Expr::VarRef(_)) {
        return refuse(format!("expected first argument to be a field in {name}(), found {}", text(first)), first.span());
    }
    if let Some(other) = between.iter().find(|arg| !matches!(arg, Expr::VarRef(_))) {
        return refuse(format!("only fields or tags are allowed in {name}(), found {}", text(other)), other.span());
    }
    // Tags and fields between are selected with the points.
    shape.raw |= !between.is_empty();
    shape.top_bottom = Some(name);
    Ok(())
}

/// An argument as 1.x's messages show it: numbers with three decimals.
fn text(expr: &Expr) -> String {
    match expr {
        Expr::Literal(Literal { value: Value::Float(value), .. }) => format!("{value:.3}"),
        other => other.to_string(),
    }
}

/// A second argument that says in which unit of time to count.
fn unit(call: &Call, wrong: impl Fn() -> String) -> Result {
    match call.args.get(1).map(literal) {
        None => Ok(()),
        Some(Some(Value::Duration(unit))) if *unit > 0 => Ok(()),
        Some(Some(Value::Duration(unit))) => {
            refuse(format!("duration argument must be positive, got {}", format_duration(*unit)), call.span)
        }
        Some(_) => refuse(wrong(), call.span),
    }
}

/// Checks a function in a function.
type Nested = fn(&Call, &mut Shape, bool) -> Result;

/// A function over the points of a field, or over the windows of an aggregate.
fn transformation(name: &str, call: &Call, shape: &mut Shape, wildcards: bool, nested: Nested) -> Result {
    shape.aggregates = true;
    match call.args.first() {
        Some(Expr::Call(inner)) => {
            if shape.interval.is_none() {
                return refuse(format!("{name} aggregate requires a GROUP BY interval"), call.span);
            }
            nested(inner, shape, wildcards)
        }
        _ if shape.interval.is_some() && !shape.inherited => {
            refuse(format!("aggregate function required inside the call to {name}"), call.span)
        }
        _ => symbol(name, call, shape, wildcards),
    }
}

/// A function in a function.
fn nested(call: &Call, shape: &mut Shape, wildcards: bool) -> Result {
    if call.name.name.eq_ignore_ascii_case("distinct") {
        shape.aggregates = true;
        return distinct(call);
    }
    function(call, shape, wildcards)
}

/// Period and hold period of the technical analysis functions.
fn periods(name: &str, call: &Call) -> Result {
    match call.args.get(1).and_then(literal) {
        Some(Value::Integer(period)) if *period >= 1 => {}
        Some(Value::Integer(_)) => return refuse(format!("{name} period must be greater than or equal to 1"), call.span),
        _ => return refuse(format!("{name} period must be an integer"), call.span),
    }
    let least = i64::from(name == "triple_exponential_derivative");
    match call.args.get(2).map(literal) {
        None => Ok(()),
        Some(Some(Value::Integer(hold))) if *hold >= least || *hold == -1 => Ok(()),
        Some(Some(Value::Integer(_))) => {
            refuse(format!("{name} hold period must be greater than or equal to {least}"), call.span)
        }
        Some(_) => refuse(format!("{name} hold period must be an integer"), call.span),
    }
}

fn warmup(name: &str, call: &Call) -> Result {
    let none = name == "chande_momentum_oscillator";
    match call.args.get(3).map(literal) {
        None => Ok(()),
        Some(Some(Value::String(kind))) if matches!(&**kind, "exponential" | "simple") || (none && &**kind == "none") => Ok(()),
        Some(Some(Value::String(_))) => {
            let first = if none { "'none' " } else { "" };
            refuse(format!("{name} warmup type must be one of: {first}'exponential' 'simple'"), call.span)
        }
        Some(_) => refuse(format!("{name} warmup type must be a string"), call.span),
    }
}

fn holt_winters(name: &str, call: &Call, shape: &mut Shape, wildcards: bool) -> Result {
    count_of(name, 3, call)?;
    match call.args.get(1).and_then(literal) {
        Some(Value::Integer(n)) if *n > 0 => {}
        Some(Value::Integer(n)) => return refuse(format!("second arg to {name} must be greater than 0, got {n}"), call.span),
        _ => return refuse(format!("expected integer argument as second arg in {name}"), call.span),
    }
    match call.args.get(2).and_then(literal) {
        Some(Value::Integer(n)) if *n >= 0 => {}
        Some(Value::Integer(n)) => return refuse(format!("third arg to {name} cannot be negative, got {n}"), call.span),
        _ => return refuse(format!("expected integer argument as third arg in {name}"), call.span),
    }
    shape.aggregates = true;
    match call.args.first() {
        Some(Expr::Call(_)) if shape.interval.is_none() => {
            refuse(format!("{name} aggregate requires a GROUP BY interval"), call.span)
        }
        Some(Expr::Call(inner)) => nested(inner, shape, wildcards),
        _ => refuse(format!("must use aggregate function with {name}"), call.span),
    }
}
