//! What of a request changes on its way to the upstream: pure functions.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri,
    header::{self, HOST},
    uri::{Authority, PathAndQuery, Scheme},
};
use smallvec::SmallVec;

use crate::{
    error::{Error, Kind},
    native::{self, Api},
    types::Secret,
};

/// What a request is for, as far as it matters for how it is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// Line protocol: the same points written again are the same points.
    Write,
    /// Reading, which changes nothing.
    Read,
    /// Anything else: done twice it may not be the same as done once.
    Other,
}

impl Purpose {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        match path {
            native::V2_WRITE | native::V3_WRITE if *method == Method::POST => Self::Write,
            // v3 takes no statement here that changes anything; v2 does, even by `GET`.
            native::V3_QUERY_INFLUXQL | native::FLIGHT_DO_GET => Self::Read,
            native::V2_QUERY => Self::Other,
            _ if *method == Method::GET || *method == Method::HEAD => Self::Read,
            _ => Self::Other,
        }
    }

    /// Whether it may be sent again.
    pub(super) fn is_safe(self) -> bool {
        self != Self::Other
    }
}

/// `Retry-After` in seconds. A date is taken for nothing: clocks differ.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Where the upstream is: scheme, authority and base path.
#[derive(Clone, Debug)]
pub(super) struct Base {
    scheme: Scheme,
    authority: Authority,
    /// Without the slash at its end: empty for a server that has its host to itself.
    path: Box<str>,
}

impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}

impl Base {
    /// Reads `upstream.url`.
    pub(super) fn new(url: &Uri) -> Result<Self, Error> {
        let parts = url.clone().into_parts();
        let scheme = match parts.scheme {
            Some(scheme) if scheme == Scheme::HTTP || scheme == Scheme::HTTPS => scheme,
            _ => return Err(Error::invalid(format!("upstream.url must begin with http:// or https://, not \"{}\"", shown(url)))),
        };
        let authority = match parts.authority {
            Some(authority) if !authority.host().is_empty() && !authority.as_str().contains('@') => authority,
            Some(_) => return Err(Error::invalid("upstream.url must not carry a user name or password, use upstream.token")),
            None => return Err(Error::invalid(format!("upstream.url names no host: \"{}\"", shown(url)))),
        };
        if parts.path_and_query.as_ref().is_some_and(|path| path.query().is_some()) {
            return Err(Error::invalid(format!("upstream.url must not carry a query string: \"{}\"", shown(url))));
        }
        let path = parts.path_and_query.as_ref().map_or("", PathAndQuery::path).trim_end_matches('/').into();
        Ok(Self { scheme, authority, path })
    }

    /// Whether TLS is spoken there.
    pub(super) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The address of a request there: its path and query behind the base path, byte for byte.
    ///
    /// # Errors
    /// For `..` in front of a base path: it would lead out of the part of the server that was meant.
    pub(super) fn join(&self, uri: &Uri) -> Result<Uri, Error> {
        let path_and_query = self.path_and_query(uri)?;
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).map_err(|error| Error::invalid(format!("invalid path \"{}\": {error}", uri.path())))
    }

    /// Scheme and authority alone.
    pub(super) fn root(&self) -> Result<Uri, Error> {
        self.join(&Uri::from_static("/"))
    }

    /// The path and query of a request there.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub(super) fn path_and_query(&self, uri: &Uri) -> Result<PathAndQuery, Error> {
        let invalid = |_: http::uri::InvalidUri| Error::invalid(format!("invalid path \"{}\"", uri.path()));
        let wanted = match uri.path_and_query().map(PathAndQuery::as_str) {
            // `OPTIONS *` is about the server as a whole.
            None | Some("*") => "/",
            Some(wanted) => wanted,
        };
        if !self.path.is_empty() && uri.path().split('/').any(is_parent) {
            return Err(Error::new(Kind::NotFound, format!("path \"{}\" leads out of the upstream's", uri.path())));
        }
        match uri.path_and_query() {
            Some(same) if self.path.is_empty() && same.as_str().starts_with('/') => Ok(same.clone()),
            _ if wanted.starts_with('/') => PathAndQuery::try_from(format!("{}{wanted}", self.path)).map_err(invalid),
            _ => PathAndQuery::try_from(format!("{}/{wanted}", self.path)).map_err(invalid),
        }
    }
}

/// Headers that belong to one connection and not to the message (RFC 9110 §7.6.1), the ones that `Connection` names, and, of requests,
/// those that are settled here: `Host` and `Expect`.
pub(super) fn strip_connection(headers: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    // `Connection: authorization` would have us drop what the message needs: only headers without meaning of their own may be named.
    const KEPT: [HeaderName; 5] =
        [header::AUTHORIZATION, header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::RETRY_AFTER];

    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .filter(|name| !KEPT.contains(name))
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    const OURS: [HeaderName; 8] = [
        header::CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    // Mostly there are none, and looking at what is there costs less than asking for each.
    let there: SmallVec<[HeaderName; 4]> = headers.keys().filter(|name| OURS.contains(name)).cloned().collect();
    for name in there {
        headers.remove(name);
    }
}

/// The headers of a request as the upstream gets them.
pub(super) fn prepare_headers(headers: &mut HeaderMap) {
    strip_connection(headers);
    headers.remove(HOST);
    // The client below sends the body at once; whether ours may send its body has been settled by our own listener.
    headers.remove(header::EXPECT);
}

/// The `Authorization` of the upstream's own token, in its API's scheme.
pub(super) fn authorization(api: Api, token: &Secret) -> Result<HeaderValue, Error> {
    let scheme = match api {
        Api::V2 => "Token",
        Api::V3 => "Bearer",
    };
    let mut value = HeaderValue::try_from(format!("{scheme} {}", token.expose()))
        .map_err(|_| Error::invalid("upstream.token has characters that no header may carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_parent(segment: &str) -> bool {
    let mut rest = segment;
    let mut dots = 0;
    while !rest.is_empty() {
        rest = match rest.strip_prefix('.').or_else(|| rest.strip_prefix("%2e")).or_else(|| rest.strip_prefix("%2E")) {
            Some(rest) => rest,
            None => return false,
        };
        dots += 1;
    }
    dots == 2
}

/// An address fit for a message: without what stands before an `@`.
fn shown(url: &Uri) -> String {
    let text = url.to_string();
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(url: &str) -> Base {
        Base::new(&url.parse().unwrap()).unwrap()
    }

    #[test]
    fn paths_and_queries_are_joined_as_they_are() {
        let table = [
            ("http://h:8181", "/api/v3/write_lp?db=a%2Fb&precision=ns", "http://h:8181/api/v3/write_lp?db=a%2Fb&precision=ns"),
            ("http://h:8181/", "/", "http://h:8181/"),
            ("https://h/influx", "/query?q=SELECT%20%2A", "https://h/influx/query?q=SELECT%20%2A"),
            ("https://h/influx/", "/a//b/./c", "https://h/influx/a//b/./c"),
            ("https://h/influx/", "*", "https://h/influx/"),
            ("http://h", "*", "http://h/"),
            ("http://h", "/../x", "http://h/../x"),
            ("http://h", "http://elsewhere/p?x=1", "http://h/p?x=1"),
            ("http://h/b", "/...", "http://h/b/..."),
        ];
        for (url, request, joined) in table {
            assert_eq!(base(url).join(&request.parse().unwrap()).unwrap().to_string(), joined, "{url} {request}");
        }
    }

    #[test]
    fn what_may_be_sent_again() {
        for (method, path, purpose) in [
            (Method::POST, "/api/v2/write", Purpose::Write),
            (Method::POST, "/api/v3/write_lp", Purpose::Write),
            (Method::POST, "/api/v3/query_influxql", Purpose::Read),
            (Method::POST, "/arrow.flight.protocol.FlightService/DoGet", Purpose::Read),
            (Method::POST, "/arrow.flight.protocol.FlightService/DoPut", Purpose::Other),
            (Method::GET, "/health", Purpose::Read),
            (Method::GET, "/query", Purpose::Other),
            (Method::POST, "/query", Purpose::Other),
            (Method::POST, "/api/v3/configure/database", Purpose::Other),
            (Method::DELETE, "/api/v3/write_lp", Purpose::Other),
        ] {
            assert_eq!(Purpose::of(&method, path), purpose, "{method} {path}");
        }
    }

    #[test]
    fn nobody_climbs_out_of_the_base_path() {
        for path in ["/..", "/../admin", "/x/%2e%2E/../y", "/.%2e?x"] {
            let error = base("http://h/influx").join(&path.parse().unwrap()).unwrap_err();
            assert_eq!(error.kind(), Kind::NotFound, "{path}");
        }
    }

    #[test]
    fn addresses_that_can_not_work_are_refused() {
        let table = [
            ("ftp://h", "upstream.url must begin with http:// or https://, not \"ftp://h/\""),
            ("h:8181", "upstream.url must begin with http:// or https://, not \"h:8181\""),
            ("http://user:secret@h", "upstream.url must not carry a user name or password, use upstream.token"),
            ("http://h/?db=x", "upstream.url must not carry a query string: \"http://h/?db=x\""),
        ];
        for (url, message) in table {
            assert_eq!(Base::new(&url.parse().unwrap()).unwrap_err().message(), message);
        }
    }

    #[test]
    fn what_belongs_to_a_connection_stays_on_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "shim:8086"),
            ("connection", "close, X-Hop, authorization"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic eDp5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("authorization", "Bearer t"),
            ("content-encoding", "gzip"),
            ("user-agent", "Telegraf/1.30"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        prepare_headers(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "content-encoding", "user-agent"]);
    }

    #[test]
    fn the_token_travels_in_the_scheme_of_its_api_and_is_not_printed() {
        let token = Secret::new("s3cret");
        let v2 = authorization(Api::V2, &token).unwrap();
        let v3 = authorization(Api::V3, &token).unwrap();
        assert_eq!((v2.to_str().unwrap(), v3.to_str().unwrap()), ("Token s3cret", "Bearer s3cret"));
        assert_eq!(format!("{v3:?}"), "Sensitive");
        assert!(authorization(Api::V3, &Secret::new("a\nb")).is_err());
    }
}
