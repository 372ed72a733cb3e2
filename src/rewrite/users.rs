//! `SHOW USERS` and `SHOW GRANTS`: configured users, then tokens, as users. Nothing of them but name and access is shown.

use std::collections::VecDeque;

use super::show::{table, text};
use crate::{
    access::{Access, Permission},
    config::{Auth, AuthMode},
    dbrp::Mapping,
    respond::{Event, Value},
};

/// Names; those with all access are 1.x's administrators.
pub(super) fn users(auth: &Auth) -> VecDeque<Event> {
    let rows = all(auth).map(|(name, access)| vec![text(name), Value::Boolean(*access == Access::All)]);
    table("", &["user", "admin"], rows.collect())
}

/// What a user may do with each database, in 1.x's words, taken over its retention policies; `None` when there is no such user.
pub(super) fn grants(auth: &Auth, user: &str, mappings: &[Mapping]) -> Option<VecDeque<Event>> {
    let (_, access) = all(auth).find(|(name, _)| *name == user)?;
    let mut rows = Vec::new();
    // Who may do everything needs no grant: 1.x shows none.
    if *access != Access::All {
        for policies in mappings.chunk_by(|a, b| a.database == b.database) {
            let may = |permission| policies.iter().any(|mapping| access.allows(&mapping.bucket, permission));
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

fn all(auth: &Auth) -> impl Iterator<Item = (&str, &Access)> {
    let users = auth.users.iter().map(|user| (&*user.name, &*user.access));
    let tokens = auth.tokens.iter().map(|token| (&*token.name, &*token.access));
    // Elsewhere they say nothing of who may come.
    users.chain(tokens).filter(|_| auth.mode == AuthMode::Local)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        access::Grant,
        config::{Token, User},
    };

    #[test]
    fn tokens_are_users() {
        let token = |name: &str, access| Token { name: name.into(), sha256: [0; 32], access: Arc::new(access), forward: None };
        let grant = |bucket: &str, read, write| Grant { bucket: bucket.into(), read, write };
        let some =
            Access::Grants(vec![grant("a/autogen", true, false), grant("a/r", false, true), grant("c/autogen", true, false)]);
        let mut auth = Auth { tokens: vec![token("root", Access::All), token("tele", some)], ..Auth::default() };
        let user = User { name: "ann".into(), bcrypt: None, access: Arc::new(Access::Grants(Vec::new())), forward: None };
        auth.users.push(Arc::new(user));
        let mapping = |database: &str, rp: &str| Mapping {
            database: database.into(),
            retention_policy: rp.into(),
            bucket: format!("{database}/{rp}").into(),
            default: rp == "autogen",
            retention: None,
            ..Mapping::default()
        };
        let mappings = [mapping("a", "autogen"), mapping("a", "r"), mapping("b", "autogen"), mapping("c", "autogen")];
        let Some(Event::Rows(batch)) = users(&auth).pop_back() else { panic!() };
        let names = |row| batch.columns[0].text(row);
        assert_eq!((batch.len, names(0), names(1), names(2)), (3, "ann", "root", "tele"));
        let Some(Event::Rows(batch)) = grants(&auth, "tele", &mappings).unwrap().pop_back() else { panic!() };
        let row = |row| format!("{}: {}", batch.columns[0].text(row), batch.columns[1].text(row));
        assert_eq!((batch.len, row(0), row(1)), (2, "a: ALL PRIVILEGES".into(), "c: READ".into()));
        assert!(matches!(grants(&auth, "root", &mappings).unwrap().pop_back(), Some(Event::EmptySeries(_))));
        assert!(grants(&auth, "nobody", &mappings).is_none());
        auth.mode = AuthMode::None;
        assert!(matches!(users(&auth).pop_back(), Some(Event::EmptySeries(_))));
    }
}
