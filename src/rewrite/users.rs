//! `SHOW USERS` and `SHOW GRANTS`: the token table, as users. Nothing of a token but its name is shown.

use std::collections::VecDeque;

use super::show::{table, text};
use crate::{
    access::{Access, Permission},
    config::{Auth, AuthMode, Token},
    dbrp::Mapping,
    respond::{Event, Value},
};

/// Tokens' names; those with all access are 1.x's administrators.
pub(super) fn users(auth: &Auth) -> VecDeque<Event> {
    let rows = tokens(auth).map(|token| vec![text(&token.name), Value::Boolean(*token.access == Access::All)]);
    table("", &["user", "admin"], rows.collect())
}

/// What a token may do with each database, in 1.x's words, taken over its retention policies; `None` when there is no such token.
pub(super) fn grants(auth: &Auth, user: &str, mappings: &[Mapping]) -> Option<VecDeque<Event>> {
    let token = tokens(auth).find(|token| &*token.name == user)?;
    let mut rows = Vec::new();
    // Who may do everything needs no grant: 1.x shows none.
    if *token.access != Access::All {
        for policies in mappings.chunk_by(|a, b| a.database == b.database) {
            let may = |permission| policies.iter().any(|mapping| token.access.allows(&mapping.bucket, permission));
            let privilege = match (may(Permission::Read), may(Permission::Write)) {
                (true, true) => "ALL PRIVILEGES",
                (true, false) => "READ",
                (false, true) => "WRITE",
                (false, false) => continue,
            };
            if let Some(first) = policies.first() {
                rows.push(vec![text(&first.database), text(privilege)]);
            }
        }
    }
    Some(table("", &["database", "privilege"], rows))
}

fn tokens(auth: &Auth) -> impl Iterator<Item = &Token> {
    // Elsewhere the table says nothing of who may come.
    auth.tokens.iter().filter(|_| auth.mode == AuthMode::Local)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::access::Grant;

    #[test]
    fn tokens_are_users() {
        let token = |name: &str, access| Token { name: name.into(), sha256: [0; 32], access: Arc::new(access), forward: None };
        let grant = |bucket: &str, read, write| Grant { bucket: bucket.into(), read, write };
        let some =
            Access::Grants(vec![grant("a/autogen", true, false), grant("a/r", false, true), grant("c/autogen", true, false)]);
        let mut auth = Auth { tokens: vec![token("root", Access::All), token("tele", some)], ..Auth::default() };
        let mapping = |database: &str, rp: &str| Mapping {
            database: database.into(),
            retention_policy: rp.into(),
            bucket: format!("{database}/{rp}").into(),
            default: rp == "autogen",
            retention: None,
        };
        let mappings = [mapping("a", "autogen"), mapping("a", "r"), mapping("b", "autogen"), mapping("c", "autogen")];
        let Some(Event::Rows(batch)) = users(&auth).pop_back() else { panic!() };
        assert_eq!((batch.len, batch.columns[0].text(0), batch.columns[0].text(1)), (2, "root", "tele"));
        let Some(Event::Rows(batch)) = grants(&auth, "tele", &mappings).unwrap().pop_back() else { panic!() };
        let row = |row| format!("{}: {}", batch.columns[0].text(row), batch.columns[1].text(row));
        assert_eq!((batch.len, row(0), row(1)), (2, "a: ALL PRIVILEGES".into(), "c: READ".into()));
        assert!(matches!(grants(&auth, "root", &mappings).unwrap().pop_back(), Some(Event::EmptySeries(_))));
        assert!(grants(&auth, "nobody", &mappings).is_none());
        auth.mode = AuthMode::None;
        assert!(matches!(users(&auth).pop_back(), Some(Event::EmptySeries(_))));
    }
}
