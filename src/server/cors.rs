//! CORS as InfluxDB 1.x does it: every origin may, since nothing here goes by cookies. A page has no credential that its user didn't
//! give it.

use http::{HeaderMap, HeaderValue, header};

const METHODS: HeaderValue = HeaderValue::from_static("DELETE, GET, OPTIONS, POST, PUT, PATCH");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Accept, Accept-Encoding, Authorization, Content-Length, Content-Type, User-Agent, X-CSRF-Token, X-HTTP-Method-Override",
);
const EXPOSED: HeaderValue = HeaderValue::from_static("Date, X-InfluxDB-Version, X-InfluxDB-Build");

/// Lets the page at `origin` read this answer.
pub(super) fn allow(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    // The answer depends on who asks: no cache may give it to another origin.
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}
