//! The one error that travels through the layers, until [`rescue`](crate::rescue) turns it into a response.

use std::{borrow::Cow, fmt, time::Duration};

use http::StatusCode;

use crate::types::BoxError;

/// What went wrong, in v2's vocabulary.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// 400: it can never succeed as it stands.
    Invalid,
    /// 401: no credential, or one that nobody knows.
    Unauthorized,
    /// 403: the credential lacks a permission.
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 413
    TooLarge,
    /// 415: a `Content-Encoding` other than `gzip` and `identity`.
    UnsupportedMediaType,
    /// 422
    Unprocessable,
    /// 429: only as heard from an upstream; v1 writers drop on it, so they get 503.
    TooManyRequests,
    /// 500
    Internal,
    /// 501
    NotImplemented,
    /// 502: the upstream answered something that makes no sense.
    BadGateway,
    /// 503: it may succeed later.
    Unavailable,
    /// 504: the upstream took too long.
    Timeout,
}

/// Who has to act on it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Blame {
    /// Who sent the request.
    Client,
    /// The service below.
    Upstream,
    /// This program.
    Shim,
}

/// An error with all that a response needs. Its `Display` is the message that clients see: lowercase, no full stop, the offending
/// value quoted, never a secret. Details for operators go into `source`, which is only logged.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    blame: Blame,
    message: Cow<'static, str>,
    statement: Option<usize>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
    source: Option<BoxError>,
}

impl Error {
    /// An error of which the client is to blame, but for the kinds that speak of the service below or of ourselves.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        let blame = match kind {
            Kind::BadGateway | Kind::Timeout | Kind::TooManyRequests | Kind::Unavailable => Blame::Upstream,
            Kind::Internal => Blame::Shim,
            _ => Blame::Client,
        };
        Self { kind, blame, message: message.into(), statement: None, retry_after: None, allow: None, source: None }
    }

    /// 400 with this message.
    #[must_use]
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// 500 with an opaque message; `source` is for the log.
    #[must_use]
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::new(Kind::Internal, "internal error").with_source(source)
    }

    /// Names who is to blame.
    #[must_use]
    pub fn blaming(mut self, blame: Blame) -> Self {
        self.blame = blame;
        self
    }

    /// Says that it is about the statement with this zero-based number: the body then has `results` too, where Telegraf looks.
    #[must_use]
    pub fn in_statement(mut self, id: usize) -> Self {
        self.statement = Some(id);
        self
    }

    /// Asks the client to try again after this long (`Retry-After`).
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Names the methods that are allowed instead (`Allow`).
    #[must_use]
    pub fn allowing(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// Keeps the cause, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same without its source, for an error that is only borrowed.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self {
            kind: self.kind,
            blame: self.blame,
            message: self.message.clone(),
            statement: self.statement,
            retry_after: self.retry_after,
            allow: self.allow,
            source: None,
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Who has to act.
    #[must_use]
    pub fn blame(&self) -> Blame {
        self.blame
    }

    /// What the client reads.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The statement it is about.
    #[must_use]
    pub fn statement(&self) -> Option<usize> {
        self.statement
    }

    /// The methods that are allowed instead.
    #[must_use]
    pub fn allowed_methods(&self) -> Option<&'static str> {
        self.allow
    }

    /// How long a client should wait before it tries again.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Kind {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// v2's `code`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invalid | Self::UnsupportedMediaType => "invalid",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not found",
            Self::MethodNotAllowed => "method not allowed",
            Self::TooLarge => "request too large",
            Self::Unprocessable => "unprocessable entity",
            Self::TooManyRequests => "too many requests",
            Self::Internal => "internal error",
            Self::NotImplemented => "not implemented",
            Self::BadGateway | Self::Unavailable | Self::Timeout => "unavailable",
        }
    }
}
