//! gRPC's frame around a message and its status, as far as two calls of Arrow Flight need them. What carries it is ordinary HTTP/2.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};

use super::{Operation, decode_error};
use crate::{
    body::Body,
    error::{Error, Kind},
};

/// Media type of a gRPC call.
pub const GRPC: &str = "application/grpc";
/// Bytes before each message: whether it is compressed, and its length.
pub const GRPC_PREFIX: usize = 5;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// As much of a message as goes into a header.
const LONGEST: usize = 4 << 10;

/// How a call ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GrpcStatus {
    /// 0 is fine.
    pub code: u32,
    /// What is wrong, for people.
    pub message: String,
}

/// Codes by name, with the HTTP status that says the same about retrying.
///
/// <https://grpc.io/docs/guides/status-codes/>
const CODES: [(&str, u16); 17] = [
    ("OK", 200),
    // The caller did it, or somebody in between who is going away.
    ("CANCELLED", 503),
    ("UNKNOWN", 500),
    ("INVALID_ARGUMENT", 400),
    ("DEADLINE_EXCEEDED", 504),
    ("NOT_FOUND", 404),
    ("ALREADY_EXISTS", 409),
    ("PERMISSION_DENIED", 403),
    ("RESOURCE_EXHAUSTED", 429),
    ("FAILED_PRECONDITION", 400),
    // A concurrency conflict: gRPC says to try again at a higher level.
    ("ABORTED", 503),
    ("OUT_OF_RANGE", 400),
    ("UNIMPLEMENTED", 501),
    ("INTERNAL", 500),
    ("UNAVAILABLE", 503),
    ("DATA_LOSS", 500),
    ("UNAUTHENTICATED", 401),
];

const INVALID_ARGUMENT: u32 = 3;
const UNKNOWN: u32 = 2;
const UNIMPLEMENTED: u32 = 12;
const INTERNAL: u32 = 13;

/// Whether headers are those of a gRPC call, or of its answer.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.strip_prefix(GRPC.as_bytes()).is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// A message with its prefix.
#[must_use]
pub fn grpc_message(parts: &[&[u8]]) -> Bytes {
    let len = parts.iter().map(|part| part.len()).sum();
    let mut out = BytesMut::with_capacity(GRPC_PREFIX + len);
    out.extend_from_slice(&grpc_prefix(len));
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.freeze()
}

/// The prefix of a message of this length, not compressed.
#[must_use]
pub fn grpc_prefix(len: usize) -> [u8; GRPC_PREFIX] {
    let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    [0, a, b, c, d]
}

impl GrpcStatus {
    /// The status among headers, which an answer without messages has, or among trailers.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let code = headers.get(STATUS)?.to_str().ok().and_then(|code| code.trim().parse().ok()).unwrap_or(UNKNOWN);
        let message = headers.get(MESSAGE).map(|message| decode(message.as_bytes())).unwrap_or_default();
        Some(Self { code, message })
    }

    /// Whether the call went well.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.code == 0
    }

    /// Whether the other side knows no such call.
    #[must_use]
    pub const fn is_unimplemented(&self) -> bool {
        self.code == UNIMPLEMENTED
    }

    /// The HTTP status that says the same.
    #[must_use]
    pub fn http(&self) -> StatusCode {
        let known = usize::try_from(self.code).ok().and_then(|code| CODES.get(code));
        // v3 servers take a database that isn't there for a fault of theirs.
        let missing = matches!(self.code, UNKNOWN | INTERNAL | INVALID_ARGUMENT) && is_no_database(&self.message);
        let status = if missing { 404 } else { known.map_or(500, |(_, status)| *status) };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The error for a query that ended so, by the same table as over HTTP. `headers` are those that it came with.
    #[must_use]
    pub fn error(&self, headers: &HeaderMap, database: &str) -> Error {
        let text = PREAMBLES.iter().fold(&*self.message, |text, preamble| text.strip_prefix(preamble).unwrap_or(text));
        let status = if self.is_ok() { StatusCode::BAD_GATEWAY } else { self.http() };
        decode_error(status, headers, text.as_bytes(), Operation::Query { database })
    }
}

/// What v3 servers say before the reason, over Flight and not over HTTP.
const PREAMBLES: [&str; 2] = ["Error while logically planning query: ", "Error while planning query: "];

fn is_no_database(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["database not found", "namespace not found", "bucket not found"].iter().any(|phrase| message.contains(phrase))
        || message.contains("not found") && ["database \"", "namespace \"", "bucket \""].iter().any(|name| message.contains(name))
}

/// An answer without messages, as a call that has failed gets it: HTTP's status is 200, and gRPC's stands among the headers.
#[must_use]
pub fn grpc_refusal(error: &Error) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response.headers_mut().extend(grpc_trailers(Some(error)));
    response
}

/// What stands at the end of a call.
#[must_use]
pub fn grpc_trailers(error: Option<&Error>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from(error.map_or(0, |error| code(error.kind()))));
    let Some(error) = error else { return trailers };
    if let Ok(message) = HeaderValue::try_from(encode(error.message())) {
        trailers.insert(MESSAGE, message);
    }
    if let Some(delay) = error.retry_delay() {
        trailers.insert(RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
    }
    trailers
}

const fn code(kind: Kind) -> u32 {
    match kind {
        Kind::Invalid | Kind::Unprocessable | Kind::UnsupportedMediaType => INVALID_ARGUMENT,
        Kind::Unauthorized => 16,
        Kind::Forbidden => 7,
        Kind::NotFound => 5,
        Kind::MethodNotAllowed | Kind::NotImplemented => UNIMPLEMENTED,
        Kind::TooLarge | Kind::TooManyRequests => 8,
        Kind::Internal => INTERNAL,
        Kind::BadGateway | Kind::Unavailable => 14,
        Kind::Timeout => 4,
    }
}

/// `%` and what isn't printable ASCII is written `%41`.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if out.len() >= LONGEST {
            break;
        }
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            // Writing to a string doesn't fail.
            _ => _ = write!(out, "%{byte:02X}"),
        }
    }
    out
}

fn decode(text: &[u8]) -> String {
    percent_encoding::percent_decode(text).decode_utf8_lossy().into_owned()
}

/// Appends a number as protobuf writes it.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// The number at the beginning, and how many bytes it has; nothing when it isn't complete or too long.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_about_retrying_what_http_says() {
        use Kind::{Forbidden, Internal, Invalid, NotFound, NotImplemented, Unauthorized, Unavailable};
        let table = [
            Internal, // OK, but without an answer
            Unavailable,
            Internal,
            Invalid,
            Unavailable,
            NotFound,
            Invalid,
            Forbidden,
            Unavailable,
            Invalid,
            Unavailable,
            Invalid,
            NotImplemented,
            Internal,
            Unavailable,
            Internal,
            Unauthorized,
            // One that nobody knows.
            Internal,
        ];
        for (code, kind) in (0..).zip(table).skip(1) {
            let status = GrpcStatus { code, message: "x".into() };
            assert_eq!(status.error(&HeaderMap::new(), "d").kind(), kind, "{code} {:?}", CODES.get(code as usize));
        }
        let status = GrpcStatus { code: 0, message: String::new() };
        assert_eq!(status.error(&HeaderMap::new(), "d").kind(), Kind::BadGateway);
    }

    #[test]
    fn a_database_that_is_not_there_is_one_however_it_is_said() {
        for (code, message) in [
            (13, "Cannot retrieve database: External error: database not found: nosuch"),
            (5, "Database \"nosuch\" not found"),
            (3, "namespace \"nosuch\" not found"),
            (2, "bucket not found"),
        ] {
            let status = GrpcStatus { code, message: message.into() };
            let error = status.error(&HeaderMap::new(), "nosuch");
            assert_eq!((error.kind(), error.message()), (Kind::NotFound, "database not found: \"nosuch\""), "{message}");
        }
        let status = GrpcStatus { code: 13, message: "column \"x\" not found".into() };
        assert_eq!(status.error(&HeaderMap::new(), "d").kind(), Kind::Internal);
    }

    #[test]
    fn reasons_read_as_they_do_over_http() {
        let message = "Error while logically planning query: rewriting statement: no".to_owned();
        let error = GrpcStatus { code: 3, message }.error(&HeaderMap::new(), "d");
        assert_eq!((error.kind(), error.message()), (Kind::Invalid, "rewriting statement: no"));
    }

    #[test]
    fn every_error_goes_and_comes_back() {
        for (kind, comes) in [
            (Kind::Invalid, Kind::Invalid),
            (Kind::Unauthorized, Kind::Unauthorized),
            (Kind::Forbidden, Kind::Forbidden),
            (Kind::NotFound, Kind::NotFound),
            (Kind::NotImplemented, Kind::NotImplemented),
            (Kind::Internal, Kind::Internal),
            (Kind::Unavailable, Kind::Unavailable),
            (Kind::Timeout, Kind::Unavailable),
        ] {
            let text = "50 % of \u{fc}ber\nall";
            let response = grpc_refusal(&Error::new(kind, text));
            assert!(is_grpc(response.headers()));
            let status = GrpcStatus::of(response.headers()).unwrap();
            assert_eq!(status.message, text);
            let error = status.error(response.headers(), "d");
            assert_eq!((error.kind(), error.message()), (comes, text));
        }
        let long = Error::invalid("\u{fc}".repeat(1 << 20));
        assert!(grpc_trailers(Some(&long))["grpc-message"].len() < LONGEST + 3);
        assert!(GrpcStatus::of(&grpc_trailers(None)).unwrap().is_ok());
        assert_eq!(GrpcStatus::of(&HeaderMap::new()), None);
        let odd = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("x"))]);
        assert_eq!(GrpcStatus::of(&odd).unwrap().code, UNKNOWN);
    }

    #[test]
    fn what_is_to_be_waited_for_goes_along() {
        let error = Error::new(Kind::Unavailable, "later").retry_after(std::time::Duration::from_secs(7));
        let response = grpc_refusal(&error);
        let error = GrpcStatus::of(response.headers()).unwrap().error(response.headers(), "d");
        assert_eq!(error.retry_delay(), Some(std::time::Duration::from_secs(7)));
    }

    #[test]
    fn grpc_is_told_by_its_media_type() {
        for (kind, grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; x=y", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(is_grpc(&headers), grpc, "{kind}");
        }
    }

    proptest::proptest! {
        #[test]
        fn numbers_read_back(value: u64, rest: Vec<u8>) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let len = out.len();
            out.extend(rest);
            proptest::prop_assert_eq!(varint(&out), Some((value, len)));
            proptest::prop_assert_eq!(varint(&out[..len - 1]), None);
        }
    }
}
