//! Walks over the tree. Recursion is as deep as the tree, which the parser bounds.

use super::ast::{Call, Dimension, Expr, Measurement, Select, Source, Statement, StatementKind, Target, VarRef};

/// Sees the nodes of a statement, outer ones first. Every method does nothing by itself; what lies below a node is visited anyway.
pub trait Visitor {
    /// A `SELECT`, subqueries too.
    fn select(&mut self, _select: &Select) {}
    /// A measurement, of `FROM` and of `WITH MEASUREMENT`.
    fn measurement(&mut self, _measurement: &Measurement) {}
    /// What `INTO` names.
    fn target(&mut self, _target: &Target) {}
    /// An expression and every part of it.
    fn expr(&mut self, _expr: &Expr) {}
    /// A call.
    fn call(&mut self, _call: &Call) {}
    /// A reference to a field, a tag or `time`.
    fn var_ref(&mut self, _var_ref: &VarRef) {}
}

/// Shows all nodes of `statement` to `visitor`.
pub fn walk(statement: &Statement, visitor: &mut impl Visitor) {
    match &statement.kind {
        StatementKind::Select(select) => walk_select(select, visitor),
        StatementKind::Explain(explain) => walk_select(&explain.select, visitor),
        StatementKind::CreateContinuousQuery(query) => walk_select(&query.select, visitor),
        StatementKind::Delete(selection) | StatementKind::DropSeries(selection) => {
            selection.from.iter().for_each(|measurement| visitor.measurement(measurement));
            if let Some(condition) = &selection.condition {
                walk_expr(condition, visitor);
            }
        }
        StatementKind::Show(show) => {
            if let Some(measurement) = &show.with_measurement {
                visitor.measurement(measurement);
            }
            walk_clauses(&show.from, show.condition.as_ref(), &show.group_by, visitor);
        }
        _ => {}
    }
}

/// Shows a `SELECT` and all nodes in it to `visitor`.
pub fn walk_select(select: &Select, visitor: &mut impl Visitor) {
    visitor.select(select);
    select.fields.iter().for_each(|field| walk_expr(&field.expr, visitor));
    if let Some(target) = &select.into {
        visitor.target(target);
    }
    walk_clauses(&select.from, select.condition.as_ref(), &select.group_by, visitor);
}

fn walk_clauses(from: &[Source], condition: Option<&Expr>, group_by: &[Dimension], visitor: &mut impl Visitor) {
    for source in from {
        match source {
            Source::Measurement(measurement) => visitor.measurement(measurement),
            Source::Subquery(select) => walk_select(select, visitor),
        }
    }
    if let Some(condition) = condition {
        walk_expr(condition, visitor);
    }
    for dimension in group_by {
        if let Dimension::Time { offset: Some(offset), .. } = dimension {
            walk_expr(offset, visitor);
        }
    }
}

/// Shows an expression and all parts of it to `visitor`.
pub fn walk_expr(expr: &Expr, visitor: &mut impl Visitor) {
    visitor.expr(expr);
    match expr {
        Expr::Binary(binary) => {
            walk_expr(&binary.left, visitor);
            walk_expr(&binary.right, visitor);
        }
        Expr::Call(call) => {
            visitor.call(call);
            call.args.iter().for_each(|arg| walk_expr(arg, visitor));
        }
        Expr::Paren(inner, _) => walk_expr(inner, visitor),
        Expr::VarRef(var_ref) => visitor.var_ref(var_ref),
        Expr::Distinct(_) | Expr::Literal(_) | Expr::Regex(_) | Expr::Wildcard(..) => {}
    }
}

/// May change the measurements that a statement reads and writes.
pub trait SourceMut {
    /// What is wrong with a measurement.
    type Error;

    /// A measurement of `FROM`, subqueries too, and of `WITH MEASUREMENT`.
    ///
    /// # Errors
    /// Ends the walk.
    fn measurement(&mut self, measurement: &mut Measurement) -> Result<(), Self::Error>;

    /// What `INTO` names.
    ///
    /// # Errors
    /// Ends the walk.
    fn target(&mut self, target: &mut Target) -> Result<(), Self::Error>;
}

/// Shows all measurements of `statement` to `visitor`, in the order of the text.
///
/// # Errors
/// The first that `visitor` gives.
pub fn walk_sources_mut<V: SourceMut>(statement: &mut Statement, visitor: &mut V) -> Result<(), V::Error> {
    match &mut statement.kind {
        StatementKind::Select(select) => select_sources_mut(select, visitor),
        StatementKind::Explain(explain) => select_sources_mut(&mut explain.select, visitor),
        StatementKind::CreateContinuousQuery(query) => select_sources_mut(&mut query.select, visitor),
        StatementKind::Delete(selection) | StatementKind::DropSeries(selection) => {
            selection.from.iter_mut().try_for_each(|measurement| visitor.measurement(measurement))
        }
        StatementKind::Show(show) => {
            if let Some(measurement) = &mut show.with_measurement {
                visitor.measurement(measurement)?;
            }
            sources_mut(&mut show.from, visitor)
        }
        _ => Ok(()),
    }
}

fn select_sources_mut<V: SourceMut>(select: &mut Select, visitor: &mut V) -> Result<(), V::Error> {
    if let Some(target) = &mut select.into {
        visitor.target(target)?;
    }
    sources_mut(&mut select.from, visitor)
}

fn sources_mut<V: SourceMut>(sources: &mut [Source], visitor: &mut V) -> Result<(), V::Error> {
    sources.iter_mut().try_for_each(|source| match source {
        Source::Measurement(measurement) => visitor.measurement(measurement),
        Source::Subquery(select) => select_sources_mut(select, visitor),
    })
}
