//! What 1.x finds wrong with a statement that parses: it answers 200, with the message as the statement's error.
//!
//! Only what the text alone shows is checked here; whether fields exist and have the right types, only a database knows.

mod calls;
mod condition;

use super::ast::{Dimension, Expr, Fill, MeasurementName, Select, Source, Statement, StatementKind, Value, VarRef};
use super::time::zone;
use super::{Error, Span};

type Result = std::result::Result<(), Error>;

/// Checks a statement as 1.x does before it runs it.
///
/// # Errors
/// The first mistake, in 1.x's words; it [is semantic](Error::is_semantic).
pub fn validate(statement: &Statement) -> Result {
    match &statement.kind {
        StatementKind::Select(select) => validate_select(select),
        StatementKind::Explain(explain) => validate_select(&explain.select),
        StatementKind::Show(show) => show.condition.as_ref().map_or(Ok(()), |expr| condition::check(expr, None)),
        StatementKind::Delete(selection) | StatementKind::DropSeries(selection) => {
            selection.condition.as_ref().map_or(Ok(()), |expr| condition::shape(expr, None))
        }
        _ => Ok(()),
    }
}

/// Checks a `SELECT` and its subqueries.
///
/// # Errors
/// As [`validate`].
pub fn validate_select(select: &Select) -> Result {
    measurements(select)?;
    checked(select, None)
}

/// Names of measurements, which 1.x looks at first.
fn measurements(select: &Select) -> Result {
    select.from.iter().try_for_each(|source| match source {
        Source::Subquery(inner) => measurements(inner),
        Source::Measurement(measurement) => match &measurement.name {
            MeasurementName::Name(name) if name.name.is_empty() => refuse("invalid measurement", measurement.span),
            _ => Ok(()),
        },
    })
}

/// What a `SELECT` is, as far as the rules about its functions go.
#[derive(Default)]
struct Shape {
    /// Calls of aggregates, selectors and transformations.
    calls: usize,
    /// Whether anything but selectors is among them.
    aggregates: bool,
    distinct: bool,
    /// `top` or `bottom`.
    top_bottom: Option<&'static str>,
    /// Whether fields or tags are selected as they are.
    raw: bool,
    interval: Option<i64>,
    /// Whether the interval is the surrounding query's.
    inherited: bool,
    limit: u64,
}

fn refuse(message: impl Into<Box<str>>, at: Span) -> Result {
    Err(Error::semantic(message, at))
}

fn checked(select: &Select, outer: Option<(&Select, Option<i64>)>) -> Result {
    if let Some(condition) = &select.condition {
        let zone = select.timezone.as_ref().and_then(|name| zone(&name.name));
        condition::check(condition, zone.as_ref())?;
    }
    for dimension in &select.group_by {
        if let Dimension::Time { offset: Some(offset @ Expr::Literal(literal)), .. } = dimension
            && matches!(literal.value, Value::String(_))
        {
            return refuse(format!("invalid time dimension offset: {offset}"), literal.span);
        }
    }
    let own = select.group_by.iter().find_map(|dimension| match dimension {
        Dimension::Time { interval, .. } if *interval > 0 => Some(*interval),
        _ => None,
    });
    let descends = |select: &Select| select.order_by.is_some_and(|order| order.descending);
    let mut shape = Shape { interval: own, limit: select.limits.limit.unwrap_or(0), ..Shape::default() };
    if let Some((outer, interval)) = outer {
        if let Some(order) = select.order_by
            && descends(select) != descends(outer)
        {
            return refuse("subqueries must be ordered in the same direction as the query itself", order.span);
        }
        if own.is_none() && interval.is_some() {
            (shape.interval, shape.inherited) = (interval, true);
        }
    }
    let mut fields = 0;
    for field in &select.fields {
        if matches!(&field.expr, Expr::VarRef(VarRef { name, .. }) if &*name.name == "time") {
            continue;
        }
        fields += 1;
        calls::field(&field.expr, &mut shape, true)?;
    }
    // In a subquery, empty windows are never filled with null.
    let inner_windows = outer.is_some() && own.is_some();
    let fill = match select.fill {
        Fill::Default | Fill::Null if inner_windows => Fill::None,
        fill => fill,
    };
    shape.check(select.span, fill, fields)?;
    let interval = shape.interval;
    select.from.iter().try_for_each(|source| match source {
        Source::Subquery(inner) => checked(inner, Some((select, interval))),
        Source::Measurement(_) => Ok(()),
    })
}

impl Shape {
    fn check(&self, at: Span, fill: Fill, fields: usize) -> Result {
        if fields == 0 {
            return refuse("at least 1 non-time field must be queried", at);
        }
        if let Some(name) = self.top_bottom.filter(|_| self.calls > 1) {
            return refuse(format!("selector function {name}() cannot be combined with other functions"), at);
        }
        if self.calls == 0 {
            match fill {
                Fill::None => return refuse("fill(none) must be used with a function", at),
                Fill::Linear => return refuse("fill(linear) must be used with a function", at),
                _ => {}
            }
            if self.interval.is_some() && !self.inherited {
                return refuse("GROUP BY requires at least one aggregate function", at);
            }
        }
        if self.distinct && (self.calls != 1 || self.raw) {
            return refuse("aggregate function distinct() cannot be combined with other functions or fields", at);
        }
        if self.raw && self.aggregates {
            return refuse("mixing aggregate and non-aggregate queries is not supported", at);
        }
        if self.raw && self.calls > 1 {
            return refuse("mixing multiple selector functions with tags or fields is not supported", at);
        }
        Ok(())
    }
}

/// Whether an expression has no variable in it; 1.x computes it first.
fn constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) => true,
        Expr::Paren(inner, _) => constant(inner),
        Expr::Binary(binary) => constant(&binary.left) && constant(&binary.right),
        Expr::Call(call) => calls::is_math_of(call) && call.args.iter().all(constant),
        _ => false,
    }
}

/// A literal, with whatever parentheses are around it.
fn literal(expr: &Expr) -> Option<&Value> {
    match expr {
        Expr::Literal(literal) => Some(&literal.value),
        Expr::Paren(inner, _) => literal(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
