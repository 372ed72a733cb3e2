//! What keeps an upstream from answering, told from the errors of the client below.

use std::{error::Error as StdError, fmt, io, time::Duration};

use http_body_util::LengthLimitError;

use crate::error::{Error, Kind};

/// What a client is asked to wait: long enough for a restart or a failover to get somewhere, short enough for a writer's buffer.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why there is no (complete) answer. It is the source of the [`Error`] that travels on, for whoever decides about repeating.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// No connection: nobody listens, no route, no such name, no agreement on TLS. The request was not sent.
    Connect,
    /// No sign of life for too long. The request may have been carried out.
    Timeout,
    /// The connection ended before the answer began. The request may have been carried out.
    Reset,
    /// What came back isn't HTTP. The request may have been carried out.
    Garbage,
    /// The answer began and broke off.
    BrokenOff,
    /// The answer began and stalled.
    Stalled,
    /// It has failed too often just now, and is left alone for a while. The request was not sent.
    Tripped,
    /// Too many requests wait for it already. The request was not sent.
    Overloaded,
}

impl Failure {
    /// Whether the request certainly had no effect.
    #[must_use]
    pub const fn not_sent(self) -> bool {
        matches!(self, Self::Connect | Self::Tripped | Self::Overloaded)
    }

    /// The error that clients get, with `cause` for the log.
    pub(super) fn error(self, cause: impl fmt::Display) -> Error {
        let source = Cause { failure: self, detail: cause.to_string().into() };
        match self {
            // A 502: something stands there, but not what was configured. Writers keep their batch on it too.
            Self::Garbage => Error::new(Kind::BadGateway, self.message()),
            _ => Error::new(Kind::Unavailable, self.message()).retry_after(RETRY_AFTER),
        }
        .with_source(source)
    }

    /// The failure behind an error that came out of [`Upstream`](super::Upstream), if there is one.
    #[must_use]
    pub fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        chain(error).find_map(|error| error.downcast_ref::<Cause>()).map(|cause| cause.failure)
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Connect => "upstream can't be reached",
            Self::Timeout => "upstream did not answer in time",
            Self::Reset => "connection to upstream broke before it answered",
            Self::Garbage => "upstream answered something that is not HTTP",
            Self::BrokenOff => "answer of upstream broke off",
            Self::Stalled => "answer of upstream stalled",
            Self::Tripped => "upstream is away",
            Self::Overloaded => "too many requests wait for the upstream",
        }
    }
}

/// A failure with the client's own words.
#[derive(Debug)]
struct Cause {
    failure: Failure,
    detail: Box<str>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl StdError for Cause {}

/// What an error before the answer's headers means.
///
/// An error of the request's own body (too long, gone, malformed) is no failure of the upstream: it is found under whatever the client
/// wrapped it in, and keeps its kind and words.
pub(super) fn before_answer(error: &(dyn StdError + 'static)) -> Error {
    for cause in chain(error) {
        if let Some(own) = cause.downcast_ref::<Error>() {
            return own.copied();
        }
        if cause.is::<LengthLimitError>() {
            return Error::new(Kind::TooLarge, "request body is too large");
        }
    }
    kind_of(error).error(Words(error))
}

/// What an error after the answer's headers means.
pub(super) fn within_answer(error: &(dyn StdError + 'static)) -> Error {
    Failure::BrokenOff.error(Words(error))
}

fn kind_of(error: &(dyn StdError + 'static)) -> Failure {
    for cause in chain(error) {
        if cause.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(hyper_util::client::legacy::Error::is_connect) {
            return Failure::Connect;
        }
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            if error.is_parse() {
                return Failure::Garbage;
            }
            if error.is_timeout() {
                return Failure::Timeout;
            }
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            match error.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    return Failure::Connect;
                }
                io::ErrorKind::TimedOut => return Failure::Timeout,
                _ => {}
            }
        }
    }
    Failure::Reset
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// An error with all its causes, for the log.
pub(super) fn words<'a>(error: &'a (dyn StdError + 'static)) -> impl fmt::Display + 'a {
    Words(error)
}

/// An error with all its causes: the client's outermost one says no more than `client error (Connect)`.
struct Words<'a>(&'a (dyn StdError + 'static));

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in chain(self.0).enumerate() {
            if i > 0 {
                f.write_str(": ")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapped(crate::types::BoxError);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("error from user's body stream")
        }
    }

    impl StdError for Wrapped {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(self.0.as_ref())
        }
    }

    #[test]
    fn the_kind_of_failure_decides_the_status_and_whether_to_come_back() {
        let table = [
            (io::ErrorKind::ConnectionRefused, Failure::Connect, 503),
            (io::ErrorKind::NetworkUnreachable, Failure::Connect, 503),
            (io::ErrorKind::TimedOut, Failure::Timeout, 503),
            (io::ErrorKind::ConnectionReset, Failure::Reset, 503),
            (io::ErrorKind::BrokenPipe, Failure::Reset, 503),
            (io::ErrorKind::UnexpectedEof, Failure::Reset, 503),
        ];
        for (kind, failure, status) in table {
            let error = before_answer(&Wrapped(Box::new(io::Error::from(kind))));
            assert_eq!(Failure::of(&error), Some(failure), "{kind}");
            assert_eq!(error.kind().status(), status, "{kind}");
            assert_eq!(error.retry_delay(), Some(RETRY_AFTER), "{kind}");
        }
    }

    #[test]
    fn the_requests_own_error_is_not_the_upstreams() {
        let own = Error::new(Kind::TooLarge, "body is longer than 25000000 bytes");
        let error = before_answer(&Wrapped(Box::new(Wrapped(Box::new(own)))));
        assert_eq!((error.kind(), error.message()), (Kind::TooLarge, "body is longer than 25000000 bytes"));
        assert_eq!(error.retry_delay(), None);
        assert_eq!(Failure::of(&error), None);
    }

    #[test]
    fn the_log_gets_the_whole_chain_and_the_client_a_plain_word() {
        let error = before_answer(&Wrapped(Box::new(io::Error::other("handshake: unknown issuer"))));
        assert_eq!(error.message(), "connection to upstream broke before it answered");
        let source = StdError::source(&error).unwrap().to_string();
        assert_eq!(source, "error from user's body stream: handshake: unknown issuer");
    }

    #[test]
    fn an_answer_that_breaks_off_is_told_from_one_that_never_came() {
        let error = within_answer(&io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(Failure::of(&error), Some(Failure::BrokenOff));
        assert!(!Failure::BrokenOff.not_sent() && Failure::Connect.not_sent());
    }
}
