//! Why a query could not be parsed.

use super::Span;

/// A mistake in a query. `Display` is 1.x's message, `error parsing query: …`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    /// 1.x's message, without the prefix.
    pub(super) message: Box<str>,
    /// Where it is.
    pub(super) span: Span,
}

impl Error {
    /// Where the mistake is.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error parsing query: {}", self.message)
    }
}

impl std::error::Error for Error {}
