//! What the answer to a write from disk means for it: a pure function and its table.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::{
    error::{Error, Kind},
    native::{AuthErrors, Operation, decode_error},
    upstream::Failure,
};

/// A 500 says nothing about later. A batch that brings it forth must not hold up the others for ever, and a server that is ill for an hour
/// must not have all batches thrown away.
const PATIENCE_WITH_500: Duration = Duration::from_secs(600);

/// What becomes of a write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// It is in.
    Delivered,
    /// It never will be, for this reason.
    Dead(String),
    /// It is tried again, not before this long.
    Later(Option<Duration>),
}

/// By the answer, its beginning, and for how long this write has been tried.
pub(super) fn fate(status: StatusCode, headers: &HeaderMap, body: &[u8], tried: Duration) -> Fate {
    if status.is_success() {
        return Fate::Delivered;
    }
    let error = decode_error(status, headers, body, Operation::Write { database: "", auth: AuthErrors::Reject });
    let dead = || Fate::Dead(format!("{}: {}", status.as_u16(), error.message()));
    match error.kind() {
        Kind::Invalid | Kind::TooLarge | Kind::NotFound | Kind::NotImplemented => dead(),
        Kind::Internal if tried > PATIENCE_WITH_500 => dead(),
        _ => Fate::Later(error.retry_delay()),
    }
}

/// Whether a write that has just been tried goes to disk: the upstream is away, or its token isn't good for the moment. What the upstream
/// says about the write itself is the client's to hear.
pub(super) fn is_away(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 403 | 408 | 425 | 429 | 502..=504)
}

/// The same for a call without an answer.
pub(super) fn is_failure(error: &Error) -> bool {
    Failure::of(error).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", 7.into());
        let (new, old) = (Duration::ZERO, Duration::from_secs(601));
        let dead = |reason: &str| Fate::Dead(reason.to_owned());
        let later = || Fate::Later(Some(Duration::from_secs(7)));
        for (status, body, tried, expected) in [
            (204, "", new, Fate::Delivered),
            (
                400,
                r#"{"error":"partial write: points beyond retention policy dropped=1"}"#,
                new,
                dead("400: partial write: points beyond retention policy dropped=1"),
            ),
            (404, "bucket not found", new, dead("404: bucket not found")),
            (413, "too large", new, dead("413: too large")),
            (422, "no", new, dead("422: no")),
            (
                500,
                r#"{"message":"partial write of line protocol occurred"}"#,
                new,
                dead("500: partial write of line protocol occurred"),
            ),
            (500, "disk", new, Fate::Later(None)),
            (500, "disk", old, dead("500: disk")),
            // An expired token costs no data.
            (401, "expired", old, Fate::Later(None)),
            (403, "no", old, Fate::Later(None)),
            (429, "slow", old, later()),
            (503, "", old, later()),
            (502, "", old, Fate::Later(None)),
        ] {
            assert_eq!(
                fate(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), tried),
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn what_is_away() {
        let away: Vec<u16> = (200..600).filter(|&status| is_away(StatusCode::from_u16(status).unwrap())).collect();
        assert_eq!(away, [401, 403, 408, 425, 429, 502, 503, 504]);
    }
}
