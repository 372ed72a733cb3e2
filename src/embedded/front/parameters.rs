//! Parameters in the URL.

use std::borrow::Cow;

use http::request::Parts;

/// Parameters, decoded; the first one of a name counts.
#[derive(Debug)]
pub(super) struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    pub(super) fn of(head: &'a Parts) -> Self {
        Self(form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).collect())
    }

    /// The value, if it is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| &**value).filter(|value| !value.is_empty())
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        match self.get(name) {
            Some(value) => matches!(value, "true" | "t" | "1" | "TRUE" | "True"),
            None => default,
        }
    }
}
