//! What a statement does, for those who decide whether it may.

use super::ast::{Select, Source, Statement, StatementKind};

/// A kind of statement that changes something, or that a policy speaks about.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Verb {
    /// `SELECT … INTO`, also in a subquery or behind `EXPLAIN`.
    SelectInto,
    /// `CREATE …`
    Create,
    /// `DELETE`
    Delete,
    /// `DROP …`
    Drop,
    /// `GRANT`
    Grant,
    /// `EXPLAIN [ANALYZE]`
    Explain,
    /// `REVOKE`
    Revoke,
    /// `ALTER …`
    Alter,
    /// `SET PASSWORD`
    Set,
    /// `KILL QUERY`
    Kill,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::SelectInto,
        Self::Create,
        Self::Delete,
        Self::Drop,
        Self::Grant,
        Self::Explain,
        Self::Revoke,
        Self::Alter,
        Self::Set,
        Self::Kill,
    ];

    /// As it is written in InfluxQL, and in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SelectInto => "SELECT INTO",
            Self::Create => "CREATE",
            Self::Delete => "DELETE",
            Self::Drop => "DROP",
            Self::Grant => "GRANT",
            Self::Explain => "EXPLAIN",
            Self::Revoke => "REVOKE",
            Self::Alter => "ALTER",
            Self::Set => "SET",
            Self::Kill => "KILL",
        }
    }
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The verb of a statement, none for `SHOW` and a `SELECT` that only reads. Of an `EXPLAIN` it is [`Verb::Explain`], whatever is
/// explained: see [`verbs`].
#[must_use]
pub fn verb(statement: &Statement) -> Option<Verb> {
    verbs(statement).next()
}

/// All verbs of a statement: a policy that refuses any of them refuses the statement. Only `EXPLAIN SELECT … INTO` has two.
pub fn verbs(statement: &Statement) -> impl Iterator<Item = Verb> + use<> {
    let select_into = |select: &Select| writes(select).then_some(Verb::SelectInto);
    let (first, second) = match &statement.kind {
        StatementKind::Select(select) => (select_into(select), None),
        StatementKind::Explain(explain) => (Some(Verb::Explain), select_into(&explain.select)),
        StatementKind::Show(_) => (None, None),
        StatementKind::AlterRetentionPolicy(_) => (Some(Verb::Alter), None),
        StatementKind::CreateContinuousQuery(_)
        | StatementKind::CreateDatabase(_)
        | StatementKind::CreateRetentionPolicy(_)
        | StatementKind::CreateSubscription(_)
        | StatementKind::CreateUser(_) => (Some(Verb::Create), None),
        StatementKind::Delete(_) => (Some(Verb::Delete), None),
        StatementKind::DropContinuousQuery(_)
        | StatementKind::DropDatabase(_)
        | StatementKind::DropMeasurement(_)
        | StatementKind::DropRetentionPolicy(_)
        | StatementKind::DropSeries(_)
        | StatementKind::DropShard(_)
        | StatementKind::DropSubscription(_)
        | StatementKind::DropUser(_) => (Some(Verb::Drop), None),
        StatementKind::Grant(_) => (Some(Verb::Grant), None),
        StatementKind::KillQuery(_) => (Some(Verb::Kill), None),
        StatementKind::Revoke(_) => (Some(Verb::Revoke), None),
        StatementKind::SetPassword(_) => (Some(Verb::Set), None),
    };
    first.into_iter().chain(second)
}

/// Whether a statement changes nothing, so that 1.x takes it by `GET` too. `EXPLAIN ANALYZE` runs its query, and counts as what that
/// query is.
#[must_use]
pub fn is_read_only(statement: &Statement) -> bool {
    match &statement.kind {
        StatementKind::Select(select) => !writes(select),
        StatementKind::Explain(explain) => !writes(&explain.select),
        StatementKind::Show(_) => true,
        _ => false,
    }
}

/// Whether a `SELECT` or a subquery of it has an `INTO`. The parser bounds how deep they nest.
fn writes(select: &Select) -> bool {
    select.into.is_some()
        || select.from.iter().any(|source| match source {
            Source::Subquery(inner) => writes(inner),
            Source::Measurement(_) => false,
        })
}
