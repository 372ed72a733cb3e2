//! Which failure of a native server is which failure for a v1 client: a table, and the one function that reads it.
//!
//! v1 writers drop a batch on any 4xx and send it again on any 5xx. So the status is a promise: what may succeed later has to be a 503 with
//! `Retry-After`, and what never will a 400, whatever the server below says.

use http::StatusCode;

use crate::error::Kind;

/// What a 401 or 403 of the service below means to a v1 writer.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum AuthErrors {
    /// What it says: the writer drops its batch.
    #[default]
    Reject,
    /// That somebody will mend the token: 503, the writer keeps its batch.
    Retry,
}

/// What the table looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) status: StatusCode,
    pub(super) write: bool,
    /// It is about single lines of a write.
    pub(super) partial: bool,
    /// It says that there is no such bucket.
    pub(super) no_bucket: bool,
    pub(super) auth: AuthErrors,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rule {
    /// The statuses below, from and to.
    from: u16,
    to: u16,
    when: When,
    /// What it becomes.
    pub kind: Kind,
    /// What the service below answers, for people.
    pub below: &'static str,
    /// What a v1 client gets, for people.
    pub client: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum When {
    Always,
    Partial,
    NoBucket,
    AuthHeals,
}

const fn rule(from: u16, to: u16, when: When, kind: Kind, below: &'static str, client: &'static str) -> Rule {
    Rule { from, to, when, kind, below, client }
}

/// The table; the first row that fits counts. The README shows it.
pub const RULES: [Rule; 17] = {
    use Kind::{BadGateway, Forbidden, Internal, Invalid, NotFound, NotImplemented, TooLarge, Unauthorized, Unavailable};
    use When::{Always, AuthHeals, NoBucket, Partial};
    [
        rule(401, 401, AuthHeals, Unavailable, "401 to a write, `upstream.auth_errors = \"retry\"`", "503, `Retry-After`"),
        rule(403, 403, AuthHeals, Unavailable, "403 to a write, `upstream.auth_errors = \"retry\"`", "503, `Retry-After`"),
        rule(401, 401, Always, Unauthorized, "401", "401"),
        rule(403, 403, Always, Forbidden, "403", "403"),
        rule(404, 404, NoBucket, NotFound, "404 for a bucket, a database or a mapping", "404 `database not found: \"x\"`"),
        rule(404, 404, Always, NotFound, "any other 404", "404"),
        rule(408, 408, Always, Unavailable, "408", "503, `Retry-After`"),
        rule(413, 413, Always, TooLarge, "413, even to a single line or to a longer body than `upstream.replay_bytes`", "413"),
        rule(425, 425, Always, Unavailable, "425", "503, `Retry-After`"),
        rule(429, 429, Always, Unavailable, "429", "503, its `Retry-After`"),
        rule(
            400,
            499,
            Partial,
            Invalid,
            "a partial write: 3 Core's 400 with `data`, v2's 422",
            "400 `partial write: … (line 2) dropped=1`, as 1.x words it",
        ),
        rule(400, 499, Always, Invalid, "any other 4xx", "400"),
        // 3 Core's `/api/v2/write` says 500 for lines that never will be taken, and a v1 writer would send them for ever.
        rule(500, 599, Partial, Invalid, "500 for a partial write", "400 `partial write: …`"),
        rule(503, 504, Always, Unavailable, "503, 504", "503, its `Retry-After`"),
        rule(501, 501, Always, NotImplemented, "501", "501"),
        rule(500, 500, Always, Internal, "any other 500", "500, which writers send again"),
        rule(500, 599, Always, BadGateway, "any other 5xx", "502, which writers send again"),
    ]
};

impl Rule {
    fn fits(&self, facts: &Facts) -> bool {
        let status = facts.status.as_u16();
        (self.from..=self.to).contains(&status)
            && match self.when {
                When::Always => true,
                When::Partial => facts.write && facts.partial,
                When::NoBucket => facts.no_bucket,
                When::AuthHeals => facts.write && facts.auth == AuthErrors::Retry,
            }
    }
}

/// What a failure becomes; nothing for a status that is none.
pub(super) fn find(facts: &Facts) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.fits(facts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_shows_the_table() {
        let readme = include_str!("../../README.md");
        for rule in RULES {
            let row = format!("| {} | {} |", rule.below, rule.client);
            assert!(readme.contains(&row), "the README lacks\n{row}");
        }
    }

    #[test]
    fn every_row_is_reached_and_every_failure_has_one() {
        let mut reached = std::collections::BTreeSet::new();
        for status in 300..=599 {
            for bits in 0..16 {
                let facts = Facts {
                    status: StatusCode::from_u16(status).unwrap(),
                    write: bits & 1 > 0,
                    partial: bits & 2 > 0,
                    no_bucket: bits & 4 > 0,
                    auth: if bits & 8 > 0 { AuthErrors::Retry } else { AuthErrors::Reject },
                };
                let found = RULES.iter().position(|rule| rule.fits(&facts));
                assert_eq!(found.is_some(), status >= 400, "{facts:?}");
                reached.extend(found);
            }
        }
        assert_eq!(reached.len(), RULES.len(), "{reached:?}");
    }

    #[test]
    fn nothing_that_may_succeed_later_is_a_4xx_and_nothing_that_never_will_a_5xx() {
        for status in [408, 425, 429, 500, 502, 503, 504] {
            let facts = Facts {
                status: StatusCode::from_u16(status).unwrap(),
                write: true,
                partial: false,
                no_bucket: false,
                auth: AuthErrors::Reject,
            };
            assert!(find(&facts).unwrap().kind.status().is_server_error(), "{status}");
            let partial = Facts { partial: true, ..facts };
            if status >= 500 {
                assert_eq!(find(&partial).unwrap().kind, Kind::Invalid, "{status}");
            }
        }
    }
}
