//! From the text of a query to statements that may run.

use super::policy::{policy, privileged, refusal};
use crate::{
    access::{Access, Identity},
    call::{Action, Approved, ApprovedStatement},
    config::{Config, Policy},
    error::{Error, Kind},
    influxql::{Limits, Params, Parsed, Statement, parse_all},
    types::Profile,
};

/// 1.x's text for a statement of a query that ended before it.
const NOT_EXECUTED: &str = "not executed";

/// Parses `q` and decides about every statement.
///
/// # Errors
/// 400 for what can't be parsed, for no statement at all and, in profile `serverless`, for a refused one; 403 for one that needs all-access.
pub(super) fn approve(q: &str, params: &Params, identity: &Identity, config: &Config) -> Result<Approved, Error> {
    let Parsed { statements, mistakes } = parsed(q, params, config)?;
    let mut mistakes = mistakes.into_iter().peekable();
    let mut approved = Vec::with_capacity(statements.len());
    let mut refused = false;
    for (index, statement) in statements.into_iter().enumerate() {
        let mistake = mistakes.next_if(|(of, _)| *of == index).map(|(_, mistake)| mistake);
        let action = match policy(&statement, config) {
            Some((verb, Policy::Reject)) => {
                let message = refusal(index, verb);
                if config.compat.profile == Profile::Serverless {
                    return Err(Error::invalid(message).in_statement(index));
                }
                refused = true;
                Action::Refuse(message.into())
            }
            Some((_, Policy::Ack)) => Action::Ack,
            policy @ (Some((_, Policy::Forward | Policy::Provision)) | None) => {
                authorize(index, &statement, identity)?;
                match (mistake, policy) {
                    (Some(mistake), _) => Action::Fail(mistake.message().into()),
                    (None, Some((_, Policy::Provision))) => Action::Provision,
                    (None, _) => Action::Forward,
                }
            }
        };
        approved.push(ApprovedStatement { statement, action });
    }
    if refused {
        // Said here and not left to whoever runs them, so that nothing can.
        for other in approved.iter_mut().filter(|other| !matches!(other.action, Action::Refuse(_))) {
            other.action = Action::Refuse(NOT_EXECUTED.into());
        }
    }
    Ok(Approved(approved.into()))
}

/// The statements of a query, at least one.
///
/// # Errors
/// 400 in 1.x's words.
pub(super) fn statements(q: &str, params: &Params, config: &Config) -> Result<Vec<Statement>, Error> {
    let Parsed { statements, mistakes } = parsed(q, params, config)?;
    match mistakes.first() {
        Some((index, mistake)) => Err(Error::invalid(mistake.to_string()).in_statement(*index)),
        None => Ok(statements),
    }
}

/// The statements of a query, at least one, and those of their mistakes that 1.x finds only in running them.
fn parsed(q: &str, params: &Params, config: &Config) -> Result<Parsed, Error> {
    let limits = Limits { max_len: config.limits.query, max_depth: config.limits.query_depth };
    let parsed = parse_all(q, params, limits).map_err(|error| Error::invalid(error.to_string()))?;
    if parsed.statements.is_empty() {
        return Err(Error::invalid("missing required parameter \"q\""));
    }
    Ok(parsed)
}

/// Whether somebody may run a statement that isn't about reading buckets.
///
/// # Errors
/// 403 in 1.x's words.
pub(super) fn authorize(index: usize, statement: &Statement, identity: &Identity) -> Result<(), Error> {
    match (&*identity.access, privileged(statement)) {
        (Access::All, _) | (_, None) => Ok(()),
        (Access::Grants(_), Some(what)) => {
            let who = identity.name.as_deref().unwrap_or_default();
            let message =
                format!("error authorizing query: {who} not authorized to execute statement '{what}', requires admin privilege");
            Err(Error::new(Kind::Forbidden, message).in_statement(index))
        }
    }
}
