//! What the layers find out about a request, for the log line that is written outside of them.

use std::sync::{Arc, OnceLock};

use super::statement::shorten;

/// A request extension: whoever wants to know puts an empty one in and looks when the answer has gone. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    token: OnceLock<Arc<str>>,
    query: OnceLock<String>,
}

impl Seen {
    /// Notes the name of the token, if somebody wants to know.
    pub fn token(extensions: &http::Extensions, name: &Arc<str>) {
        if let Some(seen) = extensions.get::<Self>() {
            // The first to know wins; there is no second.
            let _ = seen.0.token.set(Arc::clone(name));
        }
    }

    /// Notes the text of a query, shortened and without passwords, if somebody wants to know.
    pub fn query(extensions: &http::Extensions, q: &str) {
        if let Some(seen) = extensions.get::<Self>() {
            let _ = seen.0.query.set(shorten(q));
        }
    }

    /// Name of the token.
    #[must_use]
    pub fn token_name(&self) -> Option<&str> {
        self.0.token.get().map(|name| &**name)
    }

    /// Beginning of the query.
    #[must_use]
    pub fn query_text(&self) -> Option<&str> {
        self.0.query.get().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_is_told() {
        let mut extensions = http::Extensions::new();
        Seen::query(&extensions, "SELECT 1");
        let seen = Seen::default();
        extensions.insert(seen.clone());
        Seen::token(&extensions, &Arc::from("telegraf"));
        Seen::query(&extensions, "SET PASSWORD FOR \"a\" = 'b'");
        assert_eq!(seen.token_name(), Some("telegraf"));
        assert_eq!(seen.query_text(), Some("SET PASSWORD FOR […] = […]"));
    }
}
