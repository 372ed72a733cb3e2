//! What native servers say when something went wrong, in v1's words; and what we say.

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde::{Deserialize, Serialize};

use super::rules::{AuthErrors, Facts, find};
use crate::error::{Blame, Error, Kind};

/// The body of every error that leaves the stack: v2's `code` and `message`, v1's `error`, and for a statement v1's `results`.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorBody<'a> {
    /// v2's vocabulary.
    pub code: &'a str,
    /// The text.
    pub message: &'a str,
    /// The text again, where v1 clients look.
    pub error: &'a str,
    /// The statement that it is about, where Telegraf looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<[StatementError<'a>; 1]>,
}

/// A statement's failure, as in v1's `results`.
#[derive(Clone, Debug, Serialize)]
pub struct StatementError<'a> {
    /// Its zero-based number.
    pub statement_id: usize,
    /// The text.
    pub error: &'a str,
}

impl<'a> ErrorBody<'a> {
    /// The body for this error.
    #[must_use]
    pub fn of(error: &'a Error) -> Self {
        let text = error.message();
        let results = error.statement().map(|statement_id| [StatementError { statement_id, error: text }]);
        Self { code: error.kind().code(), message: text, error: text, results }
    }
}

/// What was asked of the service that failed, for the words of the error.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'a> {
    /// A write for this v1 database.
    Write {
        /// v1's name of it: the bucket's is none of the client's business.
        database: &'a str,
        /// What a 401 or 403 means.
        auth: AuthErrors,
    },
    /// A query of this v1 database.
    Query {
        /// v1's name of it; empty when the statement needs none.
        database: &'a str,
    },
}

/// Beginnings (or, of a write, parts) of v1's own messages: clients match on them, so a text that has one stays as it is.
pub const PHRASES: [&str; 12] = [
    "database not found",
    "database name required",
    "partial write",
    "unable to parse",
    "field type conflict",
    "points beyond retention policy",
    "retention policy not found",
    "measurement not found",
    "error parsing query",
    "error authorizing query",
    "timeout",
    "max-",
];

/// 3 Core's words for a partial write, which it explains in `data`.
pub const PARTIAL_WRITE: &str = "partial write of line protocol occurred";

/// All the forms of native error bodies: v2's `{"code","message"}`, v3's `{"error"}` and `{"error","data":…}`, and the embedded store's
/// `{"error","message","data"}`, whose `message` has 1.x's words.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Data<'a> {
    #[serde(borrow)]
    Lines(Vec<BadLine<'a>>),
    #[serde(borrow)]
    Line(BadLine<'a>),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct BadLine<'a> {
    #[serde(borrow)]
    error_message: Cow<'a, str>,
    line_number: Option<u64>,
    #[serde(borrow)]
    original_line: Option<Cow<'a, str>>,
}

/// At most so many bad lines are told.
const LINES: usize = 100;

/// The error for a reply of the service below, in v1's words and with v1's promises about retrying: see [`RULES`](super::RULES).
#[must_use]
pub fn decode_error(status: StatusCode, headers: &HeaderMap, body: &[u8], operation: Operation<'_>) -> Error {
    let document = serde_json::from_slice::<Document<'_>>(body).ok();
    let (text, of_lines) = text(status, body, document.as_ref());
    let (database, write, auth) = match operation {
        Operation::Write { database, auth } => (database, true, auth),
        Operation::Query { database } => (database, false, AuthErrors::Reject),
    };
    let facts = Facts {
        status,
        write,
        partial: of_lines || text.starts_with("partial write"),
        no_bucket: !database.is_empty() && is_missing_bucket(&text),
        auth,
    };
    let Some(rule) = find(&facts) else {
        return Error::new(Kind::BadGateway, format!("unexpected status {status} from the service below"));
    };
    match rule.kind {
        Kind::Unavailable => Error::new(rule.kind, text).blaming(Blame::Upstream).retry_after(delay(headers)),
        Kind::NotFound if facts.no_bucket => Error::new(rule.kind, format!("database not found: {database:?}")),
        Kind::Internal => Error::new(rule.kind, text).blaming(Blame::Upstream),
        kind => Error::new(kind, text),
    }
}

/// The text of an error, and whether it is about single lines of a write.
fn text(status: StatusCode, body: &[u8], document: Option<&Document<'_>>) -> (String, bool) {
    let said = document.and_then(|document| match (&document.error, &document.message, &document.data) {
        (Some(_), Some(message), Some(_)) => Some(&**message),
        (error, message, _) => error.as_deref().or(message.as_deref()),
    });
    let lines: &[BadLine<'_>] = match document.and_then(|document| document.data.as_ref()) {
        Some(Data::Lines(lines)) => lines,
        Some(Data::Line(line)) => std::slice::from_ref(line),
        _ => &[],
    };
    if let Some(said) = said
        && PHRASES.iter().any(|phrase| said.starts_with(phrase))
        && !said.starts_with(PARTIAL_WRITE)
    {
        return (said.to_owned(), !lines.is_empty());
    }
    if !lines.is_empty() {
        // With `accept_partial=false` nothing was written, and the reply is about the first bad line alone.
        let whole = said.is_some_and(|said| !said.starts_with("partial write"));
        return (bad_lines(lines, whole), true);
    }
    let said = match said {
        Some(said) => said.to_owned(),
        None => plain(body),
    };
    let said = said.strip_prefix("failure writing points to database: ").map(str::to_owned).unwrap_or(said);
    if said.is_empty() {
        return (status.canonical_reason().unwrap_or("unknown error").to_lowercase(), false);
    }
    (said, false)
}

/// `partial write: line 3: … dropped=2`, as 1.x counts what it dropped; `unable to parse '…': …` where nothing was written.
fn bad_lines(lines: &[BadLine<'_>], whole: bool) -> String {
    let mut text = String::from(if whole { "" } else { "partial write: " });
    for (index, line) in lines.iter().take(LINES).enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let conflict = conflict(&line.error_message);
        match (&line.original_line, &conflict) {
            (_, Some(conflict)) => text.push_str(conflict),
            (Some(original), None) => {
                text.push_str("unable to parse '");
                text.push_str(original);
                text.push_str("': ");
                text.push_str(&line.error_message);
            }
            (None, None) => text.push_str(&line.error_message),
        }
        if let Some(number) = line.line_number {
            text.push_str(&format!(" (line {number})"));
        }
    }
    if lines.len() > LINES {
        text.push_str(&format!("\n… and {} more", lines.len() - LINES));
    }
    if !whole {
        text.push_str(&format!(" dropped={}", lines.len()));
    }
    text
}

/// 3 Core's words for a field of another type, in 1.x's.
fn conflict(message: &str) -> Option<String> {
    let rest = message.strip_prefix("invalid column type for column '")?;
    let (column, rest) = rest.split_once("', expected ")?;
    let (expected, got) = rest.split_once(", got ")?;
    let name = |kind: &str| kind.rsplit("::").next().unwrap_or(kind).to_owned();
    Some(format!("field type conflict: input field {column:?} is type {}, already exists as type {}", name(got), name(expected)))
}

fn is_missing_bucket(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.starts_with("no dbrp mapping")
        || text.contains("not found") && ["database", "bucket", "dbrp", "namespace"].iter().any(|word| text.contains(word))
        || text == "not found"
}

/// A plain text body, shortened: an error page of some proxy in between isn't worth more.
fn plain(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..body.len().min(2048)).unwrap_or_default());
    let text = text.trim();
    if text.starts_with('<') { String::new() } else { text.to_owned() }
}

/// `Retry-After` in seconds; a date, or nothing, means a few seconds.
fn delay(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|value| value.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
