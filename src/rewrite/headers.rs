//! Headers on the way in and out.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE, USER_AGENT,
    },
};
use smallvec::SmallVec;

use crate::{
    access::Identity,
    error::{Error, Kind},
    native::Api,
};

/// Of one connection, not of the message: RFC 9110, 7.6.1.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Headers of a v1 query that its native calls have too: they say who asks and for what, not how the answer should look.
const CARRIED: [HeaderName; 5] = [
    USER_AGENT,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// Refuses what would turn the connection into something else. `h2c` is an offer that may be ignored, and curl makes it.
pub(super) fn check_upgrade<B>(request: &Request<B>) -> Result<(), Error> {
    if request.method() == Method::CONNECT {
        return Err(Error::new(Kind::NotImplemented, "CONNECT is not supported"));
    }
    match request.headers().get(UPGRADE) {
        Some(protocol) if protocol.as_bytes() != b"h2c" => {
            Err(Error::new(Kind::NotImplemented, format!("upgrade to {protocol:?} is not supported")))
        }
        _ => Ok(()),
    }
}

/// Removes what belongs to one connection.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in &named {
            headers.remove(name);
        }
    }
    remove_all(headers, |name| HOP_BY_HOP.contains(name));
}

/// Removes headers. Most have none of those that are not wanted, and looking at what is there costs less than asking for each.
pub(super) fn remove_all(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let there: SmallVec<[HeaderName; 4]> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in there {
        headers.remove(name);
    }
}

/// Makes a client's headers those of a native call with the same body.
pub(super) fn make_native(headers: &mut HeaderMap, api: Api, identity: &Identity) {
    remove_hop_by_hop(headers);
    // The host is the service's own, and the body knows its length itself.
    remove_all(headers, |name| [HOST, EXPECT, CONTENT_LENGTH].contains(name));
    authorize(headers, api, identity);
}

/// The native header, with the token that is sent on; without one, whoever calls the service has its own.
pub(super) fn authorize(headers: &mut HeaderMap, api: Api, identity: &Identity) {
    headers.remove(AUTHORIZATION);
    let Some(token) = &identity.forward else { return };
    let scheme = match api {
        Api::V2 => "Token ",
        Api::V3 => "Bearer ",
    };
    // A token that no header can hold is none that the service below could know.
    if let Ok(mut value) = HeaderValue::try_from([scheme, token.expose()].concat()) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
}

/// The headers of a query's native calls.
pub(super) fn of_query(from: &HeaderMap, api: Api, identity: &Identity) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in &CARRIED {
        if let Some(value) = from.get(name) {
            headers.insert(name, value.clone());
        }
    }
    authorize(&mut headers, api, identity);
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Secret;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_belongs_to_the_connection_goes() {
        let mut map = headers(&[
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("te", "trailers"),
            ("content-length", "3"),
            ("host", "h"),
            ("content-encoding", "gzip"),
            ("authorization", "Basic secret"),
        ]);
        make_native(&mut map, Api::V2, &Identity::unrestricted(Some(Secret::new("t"))));
        assert_eq!(map, headers(&[("content-encoding", "gzip"), ("authorization", "Token t")]));
        make_native(&mut map, Api::V3, &Identity::unrestricted(Some(Secret::new("t"))));
        assert_eq!(map["authorization"], "Bearer t");
        make_native(&mut map, Api::V3, &Identity::unrestricted(None));
        assert!(!map.contains_key("authorization"));
    }

    #[test]
    fn upgrades_are_refused() {
        let request =
            |method: &str, upgrade: &str| Request::builder().method(method).header("upgrade", upgrade).body(()).unwrap();
        assert_eq!(check_upgrade(&request("GET", "websocket")).unwrap_err().kind(), Kind::NotImplemented);
        assert_eq!(check_upgrade(&request("CONNECT", "h2c")).unwrap_err().kind(), Kind::NotImplemented);
        assert!(check_upgrade(&request("GET", "h2c")).is_ok());
    }
}
