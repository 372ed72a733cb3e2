//! What the configuration says about a verb.

use crate::{
    config::{Config, Policy},
    influxql::{Statement, StatementKind, Verb, ast::ShowKind, verb, verbs},
    types::Profile,
};

/// What happens to a statement, and because of which verb; nothing for those that only read.
pub(super) fn policy(statement: &Statement, config: &Config) -> Option<(Verb, Policy)> {
    // The stricter of two verbs counts.
    verbs(statement).map(|verb| (verb, of_verb(verb, config))).min_by_key(|(_, policy)| match policy {
        Policy::Reject => 0,
        Policy::Ack => 1,
        Policy::Forward => 2,
        Policy::Provision => 3,
    })
}

fn of_verb(verb: Verb, config: &Config) -> Policy {
    let guard = &config.guard;
    let configured = match verb {
        Verb::SelectInto => guard.select_into,
        Verb::Create => guard.create,
        Verb::Delete => guard.delete,
        Verb::Drop => guard.drop,
        Verb::Grant => guard.grant,
        Verb::Explain => guard.explain,
        Verb::Revoke => guard.revoke,
        Verb::Alter => guard.alter,
        Verb::Set => guard.set,
        Verb::Kill => guard.kill,
    };
    configured.unwrap_or(match (verb, config.compat.profile) {
        (Verb::Explain, Profile::V1) => Policy::Forward,
        _ => Policy::Reject,
    })
}

/// The key in `[guard]`.
fn key(verb: Verb) -> &'static str {
    match verb {
        Verb::SelectInto => "select_into",
        Verb::Create => "create",
        Verb::Delete => "delete",
        Verb::Drop => "drop",
        Verb::Grant => "grant",
        Verb::Explain => "explain",
        Verb::Revoke => "revoke",
        Verb::Alter => "alter",
        Verb::Set => "set",
        Verb::Kill => "kill",
    }
}

/// What a client reads about a refused statement. Its text is not repeated: it may hold a password.
pub(super) fn refusal(index: usize, verb: Verb) -> String {
    let instead = match verb {
        Verb::SelectInto => "write the result with /write instead",
        Verb::Create | Verb::Drop | Verb::Alter => "manage buckets with the server's own API instead",
        Verb::Delete => "delete points with the server's own API instead",
        Verb::Grant | Verb::Revoke | Verb::Set => "manage tokens with the server's own API instead",
        Verb::Explain => "send the SELECT itself instead",
        Verb::Kill => "close the connection of a query to stop it instead",
    };
    format!("statement {}: {verb} is not supported here: {instead} (policy guard.{} is \"reject\")", index + 1, key(verb))
}

/// Why a statement that isn't refused needs all-access; nothing when it is about buckets that it reads.
pub(super) fn privileged(statement: &Statement) -> Option<&'static str> {
    match &statement.kind {
        StatementKind::Show(show) => match show.kind {
            ShowKind::ContinuousQueries => Some("SHOW CONTINUOUS QUERIES"),
            ShowKind::Diagnostics(_) => Some("SHOW DIAGNOSTICS"),
            ShowKind::Grants(_) => Some("SHOW GRANTS"),
            ShowKind::Queries => Some("SHOW QUERIES"),
            ShowKind::ShardGroups => Some("SHOW SHARD GROUPS"),
            ShowKind::Shards => Some("SHOW SHARDS"),
            ShowKind::Stats(_) => Some("SHOW STATS"),
            ShowKind::Subscriptions => Some("SHOW SUBSCRIPTIONS"),
            ShowKind::Users => Some("SHOW USERS"),
            _ => None,
        },
        // About what is in buckets: who may write to these may do it.
        StatementKind::Delete(_)
        | StatementKind::DropMeasurement(_)
        | StatementKind::DropSeries(_)
        | StatementKind::Explain(_)
        | StatementKind::Select(_) => None,
        _ => verb(statement).map(Verb::as_str),
    }
}
