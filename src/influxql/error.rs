//! Why a query could not be parsed.

use super::Span;

/// A mistake in a query. `Display` is 1.x's message, `error parsing query: …`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    /// 1.x's message, without the prefix.
    pub(super) message: Box<str>,
    /// Where it is.
    pub(super) span: Span,
    /// See [`Error::is_semantic`].
    pub(super) semantic: bool,
}

impl Error {
    pub(super) fn new(message: impl Into<Box<str>>, span: Span) -> Self {
        Self { message: message.into(), span, semantic: false }
    }

    pub(super) fn semantic(message: impl Into<Box<str>>, span: Span) -> Self {
        Self { message: message.into(), span, semantic: true }
    }

    /// Where the mistake is.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// 1.x's message without `error parsing query: `.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether 1.x finds this mistake only when it runs the statement. It then answers 200 with this [message](Self::message) as the
    /// statement's error; for all others it answers 400 and runs nothing.
    #[must_use]
    pub fn is_semantic(&self) -> bool {
        self.semantic
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.semantic {
            f.write_str("error parsing query: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
