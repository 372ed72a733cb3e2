//! Aggregates, selectors and transformations: which arguments they take and what they give.

use super::{
    fields::{Builder, Facts},
    ir::{Arg, Call, Function},
    value::Type,
};
use crate::{
    error::{Error, Kind},
    influxql::{
        ast::{self, Expr, Value, VarRef},
        duration::format_go_duration,
    },
};

/// 1.x's message for a wrong number of arguments.
pub(super) fn wrong_number(call: &ast::Call, expected: impl std::fmt::Display) -> Error {
    Error::invalid(format!(
        "invalid number of arguments for {}, expected {expected}, got {}",
        call.name.name.to_ascii_lowercase(),
        call.args.len()
    ))
}

/// Functions of 1.x and 1.8 that aren't implemented.
const MISSING: [&str; 14] = [
    "top",
    "bottom",
    "sample",
    "histogram",
    "holt_winters",
    "holt_winters_with_fit",
    "chande_momentum_oscillator",
    "exponential_moving_average",
    "double_exponential_moving_average",
    "triple_exponential_moving_average",
    "triple_exponential_derivative",
    "kaufmans_efficiency_ratio",
    "kaufmans_adaptive_moving_average",
    "relative_strength_index",
];

/// Refuses a call that makes no sense, and notes what it is.
pub(super) fn validate(call: &ast::Call, wildcards: bool, facts: &mut Facts) -> Result<(), Error> {
    facts.calls += 1;
    let name = call.name.name.to_ascii_lowercase();
    let args = &call.args;
    match name.as_str() {
        "max" | "min" | "first" | "last" => {
            if args.len() != 1 {
                return Err(wrong_number(call, 1));
            }
            symbol(&name, &args[0], wildcards)
        }
        "count" | "sum" | "mean" | "median" | "mode" | "stddev" | "spread" => {
            facts.not_selector = true;
            if args.len() != 1 {
                return Err(wrong_number(call, 1));
            }
            match &args[0] {
                Expr::Distinct(_) if name == "count" => Ok(()),
                Expr::Call(inner) if name == "count" && inner.name.name.eq_ignore_ascii_case("distinct") => distinct_args(inner),
                arg => symbol(&name, arg, wildcards),
            }
        }
        "distinct" => {
            facts.distinct = true;
            facts.not_selector = true;
            distinct_args(call)
        }
        "percentile" => {
            if args.len() != 2 {
                return Err(wrong_number(call, 2));
            }
            symbol(&name, &args[0], wildcards)?;
            match number(&args[1]) {
                Some(_) => Ok(()),
                None => Err(Error::invalid("expected float argument in percentile()")),
            }
        }
        "integral" => {
            facts.not_selector = true;
            if !(1..=2).contains(&args.len()) {
                return Err(wrong_number(call, "at least 1 but no more than 2"));
            }
            symbol(&name, &args[0], wildcards)?;
            unit(call).map(|_| ())
        }
        "derivative" | "non_negative_derivative" | "elapsed" => {
            facts.not_selector = true;
            if !(1..=2).contains(&args.len()) {
                return Err(wrong_number(call, "at least 1 but no more than 2"));
            }
            unit(call)?;
            nested(&name, &args[0], wildcards, facts)
        }
        "difference" | "non_negative_difference" | "cumulative_sum" => {
            facts.not_selector = true;
            if args.len() != 1 {
                return Err(wrong_number(call, 1));
            }
            nested(&name, &args[0], wildcards, facts)
        }
        "moving_average" => {
            facts.not_selector = true;
            if args.len() != 2 {
                return Err(wrong_number(call, 2));
            }
            match &args[1] {
                Expr::Literal(ast::Literal { value: Value::Integer(window), .. }) if *window > 1 => {}
                Expr::Literal(ast::Literal { value: Value::Integer(window), .. }) => {
                    return Err(Error::invalid(format!("moving_average window must be greater than 1, got {window}")));
                }
                _ => return Err(Error::invalid("second argument for moving_average must be an integer")),
            }
            nested(&name, &args[0], wildcards, facts)
        }
        other if MISSING.contains(&other) => Err(Error::new(Kind::NotImplemented, format!("not implemented: {other}()"))),
        other => Err(Error::invalid(format!("undefined function {other}()"))),
    }
}

/// The argument of a transformation: a column, or an aggregate with `GROUP BY time`.
fn nested(name: &str, arg: &Expr, wildcards: bool, facts: &mut Facts) -> Result<(), Error> {
    match arg {
        Expr::Call(inner) => {
            if !facts.windows {
                return Err(Error::invalid(format!("{name} aggregate requires a GROUP BY interval")));
            }
            // Only the outer call counts as one.
            facts.calls -= 1;
            let (distinct, plain) = (facts.distinct, facts.plain_columns);
            validate(inner, wildcards, facts)?;
            (facts.distinct, facts.plain_columns) = (distinct, plain);
            Ok(())
        }
        Expr::Distinct(_) => Err(Error::new(Kind::NotImplemented, format!("not implemented: distinct in {name}()"))),
        arg => {
            if facts.windows {
                return Err(Error::invalid(format!("aggregate function required inside the call to {name}")));
            }
            symbol(name, arg, wildcards)
        }
    }
}

fn symbol(name: &str, arg: &Expr, wildcards: bool) -> Result<(), Error> {
    match arg {
        Expr::VarRef(_) => Ok(()),
        Expr::Wildcard(..) if !wildcards => Err(Error::invalid(format!("unsupported expression with wildcard: {name}()"))),
        Expr::Regex(_) if !wildcards => Err(Error::invalid(format!("unsupported expression with regex field: {name}()"))),
        Expr::Wildcard(..) | Expr::Regex(_) => Ok(()),
        _ => Err(Error::invalid(format!("expected field argument in {name}()"))),
    }
}

fn distinct_args(call: &ast::Call) -> Result<(), Error> {
    match &call.args[..] {
        [] => Err(Error::invalid("distinct function requires at least one argument")),
        [Expr::VarRef(_)] => Ok(()),
        [_] => Err(Error::invalid("expected field argument in distinct()")),
        _ => Err(Error::invalid("distinct function can only have one argument")),
    }
}

fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(ast::Literal { value: Value::Integer(value), .. }) => Some(*value as f64),
        Expr::Literal(ast::Literal { value: Value::Float(value), .. }) => Some(*value),
        _ => None,
    }
}

/// The unit that a second argument names.
fn unit(call: &ast::Call) -> Result<Option<i64>, Error> {
    let name = call.name.name.to_ascii_lowercase();
    match call.args.get(1) {
        None => Ok(None),
        Some(Expr::Literal(ast::Literal { value: Value::Duration(unit), .. })) if *unit > 0 => Ok(Some(*unit)),
        Some(Expr::Literal(ast::Literal { value: Value::Duration(unit), .. })) => {
            Err(Error::invalid(format!("duration argument must be positive, got {}", format_go_duration(*unit))))
        }
        Some(other) if name == "integral" => {
            let _ = other;
            Err(Error::invalid("second argument must be a duration"))
        }
        Some(other) => Err(Error::invalid(format!("second argument to {name} must be a duration, got {}", go_type(other)))),
    }
}

fn go_type(expr: &Expr) -> &'static str {
    match expr {
        Expr::Literal(literal) => match literal.value {
            Value::Boolean(_) => "*influxql.BooleanLiteral",
            Value::Duration(_) => "*influxql.DurationLiteral",
            Value::Float(_) => "*influxql.NumberLiteral",
            Value::Integer(_) => "*influxql.IntegerLiteral",
            Value::String(_) => "*influxql.StringLiteral",
            Value::Unsigned(_) => "*influxql.UnsignedLiteral",
        },
        Expr::VarRef(_) => "*influxql.VarRef",
        Expr::Call(_) => "*influxql.Call",
        _ => "*influxql.BinaryExpr",
    }
}

/// Which fields `f(*)` stands for.
pub(super) fn takes_in_wildcard(function: &str, kind: Type) -> bool {
    let function = function.to_ascii_lowercase();
    match kind {
        Type::Float | Type::Integer | Type::Unsigned => true,
        Type::String => matches!(function.as_str(), "count" | "first" | "last" | "distinct" | "elapsed" | "mode" | "sample"),
        Type::Boolean => {
            matches!(function.as_str(), "count" | "first" | "last" | "distinct" | "elapsed" | "mode" | "sample" | "min" | "max")
        }
        Type::Tag | Type::Unknown => false,
    }
}

/// `distinct(x)`
pub(super) fn distinct(builder: &mut Builder<'_>, reference: &VarRef) -> Call {
    let (slot, kind) = builder.reference(reference, false);
    Call { function: Function::Distinct, arg: Arg::Ref(slot), input: kind, output: kind }
}

/// Types a call that [`validate`] let through.
pub(super) fn resolve(builder: &mut Builder<'_>, call: &ast::Call) -> Result<Call, Error> {
    let name = call.name.name.to_ascii_lowercase();
    let (arg, input, windowed) = match call.args.first() {
        Some(Expr::VarRef(reference)) => {
            let (slot, kind) = builder.reference(reference, false);
            (Arg::Ref(slot), kind, false)
        }
        Some(Expr::Distinct(ident)) => {
            let inner = distinct(builder, &VarRef { name: ident.clone(), cast: None });
            let kind = inner.output;
            (Arg::Call(Box::new(inner)), kind, true)
        }
        Some(Expr::Call(inner)) => {
            let inner = resolve(builder, inner)?;
            let kind = inner.output;
            (Arg::Call(Box::new(inner)), kind, true)
        }
        _ => return Err(Error::invalid(format!("expected field argument in {name}()"))),
    };
    let width = builder.windows.map(|windows| windows.width);
    let rate_unit = |call| Ok::<_, Error>(unit(call)?.or_else(|| width.filter(|_| windowed)).unwrap_or(1_000_000_000));
    let function = match name.as_str() {
        "count" => Function::Count,
        "distinct" => Function::Distinct,
        "first" => Function::First,
        "last" => Function::Last,
        "max" => Function::Max,
        "min" => Function::Min,
        "mean" => Function::Mean,
        "median" => Function::Median,
        "mode" => Function::Mode,
        "spread" => Function::Spread,
        "stddev" => Function::Stddev,
        "sum" => Function::Sum,
        "percentile" => Function::Percentile(call.args.get(1).and_then(number).unwrap_or_default()),
        "integral" => Function::Integral { unit: unit(call)?.unwrap_or(1_000_000_000) },
        "derivative" => Function::Derivative { unit: rate_unit(call)?, non_negative: false },
        "non_negative_derivative" => Function::Derivative { unit: rate_unit(call)?, non_negative: true },
        "difference" => Function::Difference { non_negative: false },
        "non_negative_difference" => Function::Difference { non_negative: true },
        "cumulative_sum" => Function::CumulativeSum,
        "elapsed" => Function::Elapsed { unit: unit(call)?.unwrap_or(1) },
        "moving_average" => Function::MovingAverage(call.args.get(1).and_then(number).unwrap_or(2.0) as usize),
        other => return Err(Error::new(Kind::NotImplemented, format!("not implemented: {other}()"))),
    };
    let takes = match function {
        Function::Count | Function::Distinct | Function::First | Function::Last | Function::Mode | Function::Elapsed { .. } => {
            true
        }
        Function::Max | Function::Min => input != Type::String,
        _ => !matches!(input, Type::String | Type::Boolean),
    };
    if !takes {
        return Err(Error::invalid(format!("unsupported {name} iterator type: *query.{}InterruptIterator", input.name())));
    }
    let output = match function {
        Function::Count | Function::Elapsed { .. } => Type::Integer,
        Function::Mean | Function::Median | Function::Stddev | Function::Integral { .. } => Type::Float,
        Function::Derivative { .. } | Function::MovingAverage(_) => Type::Float,
        _ => input,
    };
    // Transformations of a column work on its points; those of a call on that call's.
    let arg = match arg {
        Arg::Ref(_) if function.is_transformation() => {
            Arg::Call(Box::new(Call { function: Function::Points, arg, input, output: input }))
        }
        arg => arg,
    };
    Ok(Call { function, arg, input, output })
}

/// The type of a call's result by its name and its first argument's type, as far as expressions around it go.
pub(super) fn result_type(name: &str, arg: Type) -> Type {
    match name.to_ascii_lowercase().as_str() {
        "count" | "elapsed" => Type::Integer,
        "mean"
        | "median"
        | "integral"
        | "stddev"
        | "derivative"
        | "non_negative_derivative"
        | "moving_average"
        | "holt_winters"
        | "holt_winters_with_fit" => Type::Float,
        _ => arg,
    }
}
