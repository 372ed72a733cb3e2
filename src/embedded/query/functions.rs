//! Aggregates, selectors and transformations: which arguments they take and what they give.

use super::{
    fields::Builder,
    ir::{Arg, Call, Function},
    technical::Technical,
    value::Type,
};
use crate::{
    error::Error,
    influxql::ast::{self, Expr, Value, VarRef},
};

fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(ast::Literal { value: Value::Integer(value), .. }) => Some(*value as f64),
        Expr::Literal(ast::Literal { value: Value::Float(value), .. }) => Some(*value),
        _ => None,
    }
}

fn integer(expr: Option<&Expr>) -> Option<i64> {
    match expr? {
        Expr::Literal(ast::Literal { value: Value::Integer(value), .. }) => Some(*value),
        Expr::Paren(inner, _) => integer(Some(inner)),
        _ => None,
    }
}

fn size(expr: Option<&Expr>) -> usize {
    usize::try_from(integer(expr).unwrap_or_default()).unwrap_or_default()
}

/// The unit that a second argument names.
fn unit(call: &ast::Call) -> Option<i64> {
    match call.args.get(1)? {
        Expr::Literal(ast::Literal { value: Value::Duration(unit), .. }) => Some(*unit),
        _ => None,
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
    let kind = if kind == Type::Tag && builder.catalog.subqueries { Type::String } else { kind };
    Call { function: Function::Distinct, arg: Arg::Ref(slot), input: kind, output: kind }
}

/// Types a call that [`validate`](fn@crate::influxql::validate) let through.
pub(super) fn resolve(builder: &mut Builder<'_>, call: &ast::Call) -> Result<Call, Error> {
    let name = call.name.name.to_ascii_lowercase();
    let (arg, input) = match call.args.first() {
        Some(Expr::VarRef(reference)) => {
            let (slot, kind) = builder.reference(reference, false);
            let kind = if kind == Type::Tag && builder.catalog.subqueries { Type::String } else { kind };
            (Arg::Ref(slot), kind)
        }
        Some(Expr::Distinct(ident)) => {
            let inner = distinct(builder, &VarRef { name: ident.clone(), cast: None });
            let kind = inner.output;
            (Arg::Call(Box::new(inner)), kind)
        }
        Some(Expr::Call(inner)) => {
            let inner = resolve(builder, inner)?;
            let kind = inner.output;
            (Arg::Call(Box::new(inner)), kind)
        }
        _ => return Err(Error::invalid(format!("expected field argument in {name}()"))),
    };
    let function = function(builder, call, &name)?;
    if let Err(error) = takes(&function, &name, &arg, input) {
        // 1.x finds out when it has a series to read.
        builder.refused.get_or_insert_with(|| (slot_of(&arg), error.to_string().into()));
    }
    let output = match function {
        Function::Count | Function::Elapsed { .. } => Type::Integer,
        Function::Mean | Function::Median | Function::Stddev | Function::Integral { .. } => Type::Float,
        Function::Derivative { .. } | Function::MovingAverage(_) => Type::Float,
        Function::HoltWinters { .. } | Function::Technical(_) => Type::Float,
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

/// The column that is read in the end.
fn slot_of(arg: &Arg) -> usize {
    match arg {
        Arg::Ref(slot) => *slot,
        Arg::Call(call) => call.slot(),
    }
}

/// How many windows more than those of the result a transformation may look at.
pub(super) fn more_windows(call: &ast::Call) -> i64 {
    match &*call.name.name.to_ascii_lowercase() {
        "derivative" | "non_negative_derivative" | "difference" | "non_negative_difference" | "elapsed" | "cumulative_sum" => 1,
        "moving_average" => integer(call.args.get(1)).unwrap_or(0),
        name if Technical::new(name, 1, None, None).is_some() => integer(call.args.get(1)).unwrap_or(0),
        _ => 0,
    }
}

/// The function of this name, with its parameters.
fn function(builder: &mut Builder<'_>, call: &ast::Call, name: &str) -> Result<Function, Error> {
    const SECOND: i64 = 1_000_000_000;
    let args = &call.args;
    let width = builder.windows.map(|windows| windows.width);
    let rate_unit = unit(call).or(width).unwrap_or(SECOND);
    Ok(match name {
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
        "percentile" => Function::Percentile(args.get(1).and_then(number).unwrap_or_default()),
        "sample" => Function::Sample(size(args.get(1))),
        "top" | "bottom" => {
            let between = args.get(1..args.len().saturating_sub(1)).unwrap_or_default();
            let mut by: Vec<&str> = Vec::new();
            for arg in between {
                let Expr::VarRef(reference) = arg else { continue };
                builder.reference(reference, true);
                // What is a field here can be a tag of the points: they are told apart by the tag, not by the field.
                by.push(&reference.name.name);
            }
            by.sort_unstable();
            by.dedup();
            let names = by.iter().map(|name| (*name).into()).collect();
            let by = (!between.is_empty()).then(|| by.into_iter().map(|name| builder.point_tag(name)).collect());
            Function::Extremes { largest: name == "top", count: size(args.last()), by, names }
        }
        "integral" => Function::Integral { unit: unit(call).unwrap_or(SECOND) },
        "derivative" => Function::Derivative { unit: rate_unit, non_negative: false },
        "non_negative_derivative" => Function::Derivative { unit: rate_unit, non_negative: true },
        "difference" => Function::Difference { non_negative: false },
        "non_negative_difference" => Function::Difference { non_negative: true },
        "cumulative_sum" => Function::CumulativeSum,
        "elapsed" => Function::Elapsed { unit: unit(call).unwrap_or(1) },
        "moving_average" => Function::MovingAverage(size(args.get(1))),
        "holt_winters" | "holt_winters_with_fit" => Function::HoltWinters {
            horizon: size(args.get(1)),
            season: size(args.get(2)),
            fit: name == "holt_winters_with_fit",
            interval: width.unwrap_or(SECOND),
        },
        other => {
            let warmup = match args.get(3) {
                Some(Expr::Literal(ast::Literal { value: Value::String(warmup), .. })) => Some(&**warmup),
                _ => None,
            };
            let hold = integer(args.get(2)).and_then(|hold| usize::try_from(hold).ok());
            match Technical::new(other, size(args.get(1)), hold, warmup) {
                Some(technical) => Function::Technical(technical),
                None => return Err(Error::invalid(format!("undefined function {other}()"))),
            }
        }
    })
}

/// Refuses an argument of a type that the function doesn't take, naming what 1.x's error names.
fn takes(function: &Function, name: &str, arg: &Arg, input: Type) -> Result<(), Error> {
    let takes = match function {
        Function::Count
        | Function::Distinct
        | Function::First
        | Function::Last
        | Function::Mode
        | Function::Sample(_)
        | Function::Elapsed { .. } => true,
        Function::Max | Function::Min => input != Type::String,
        _ => !matches!(input, Type::String | Type::Boolean),
    };
    if takes {
        return Ok(());
    }
    let reduce = if input == Type::Boolean { "ReduceBooleanIterator" } else { "ReduceStringIterator" };
    let from = match arg {
        Arg::Call(inner) if inner.function == Function::Distinct => "IntervalIterator",
        Arg::Call(inner) if matches!(inner.function, Function::Sample(_)) => reduce,
        _ => "InterruptIterator",
    };
    let (name, iterator) = match function {
        // It groups by the tags first.
        Function::Extremes { by: Some(_), largest, .. } if input == Type::String => {
            (if *largest { "max" } else { "min" }, "InterruptIterator")
        }
        Function::Extremes { by: Some(_), .. } => (name, "ReduceBooleanIterator"),
        Function::CumulativeSum | Function::Technical(_) => (&*name.replace('_', " "), from),
        Function::Difference { .. } => ("difference", from),
        Function::Derivative { .. } => ("derivative", from),
        Function::MovingAverage(_) => ("moving average", from),
        Function::HoltWinters { .. } => ("elapsed", from),
        _ => (name, from),
    };
    Err(Error::invalid(format!("unsupported {name} iterator type: *query.{}{iterator}", input.name())))
}

/// The type of a call's result by its name and its first argument's type, as far as expressions around it go.
pub(super) fn result_type(name: &str, arg: Type) -> Type {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
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
        _ if Technical::new(&name, 1, None, None).is_some() => Type::Float,
        _ => arg,
    }
}
