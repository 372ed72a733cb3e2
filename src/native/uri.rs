//! Paths and parameters of native calls.

use form_urlencoded::{Serializer, byte_serialize};
use http::Uri;

use super::{V2_QUERY, V2_WRITE, V3_QUERY_INFLUXQL, V3_WRITE};
use crate::types::Precision;

/// What both native APIs call a unit. They have neither minutes nor hours: timestamps in these have to be rewritten to seconds, which is
/// what this says for them.
#[must_use]
pub const fn precision(precision: Precision) -> &'static str {
    match precision {
        Precision::Nanosecond => "ns",
        Precision::Microsecond => "us",
        Precision::Millisecond => "ms",
        Precision::Second | Precision::Minute | Precision::Hour => "s",
    }
}

/// `POST /api/v2/write?org=&bucket=&precision=`
#[must_use]
pub fn v2_write_uri(org: &str, bucket: &str, unit: Precision) -> Uri {
    uri(V2_WRITE, &[("org", org), ("bucket", bucket), ("precision", precision(unit))])
}

/// `POST /api/v3/write_lp?db=&precision=&accept_partial=true`: the precision is always there, since v3's default is `auto`.
#[must_use]
pub fn v3_write_uri(bucket: &str, unit: Precision) -> Uri {
    uri(V3_WRITE, &[("db", bucket), ("precision", precision(unit)), ("accept_partial", "true")])
}

/// `POST /query?db=&rp=&q=` of v2, with further parameters, and its body: a form with `q` when that is too long for a URI, else nothing.
#[must_use]
pub fn v2_query(db: &str, rp: &str, q: &str, further: &[(&str, &str)]) -> (Uri, String) {
    let in_uri = if q.len() <= LONG_QUERY { q } else { "" };
    let mut pairs = [("db", db), ("rp", rp), ("q", in_uri)].to_vec();
    pairs.extend_from_slice(further);
    let form = if in_uri.is_empty() { Serializer::new(String::new()).append_pair("q", q).finish() } else { String::new() };
    (uri(V2_QUERY, &pairs), form)
}

/// Longest query text in a URI: servers and proxies in between take 8 KiB of head, and escaping triples in the worst case.
const LONG_QUERY: usize = 2048;

/// `POST /api/v3/query_influxql`
#[must_use]
pub fn v3_query_uri() -> Uri {
    Uri::from_static(V3_QUERY_INFLUXQL)
}

fn uri(path: &str, pairs: &[(&str, &str)]) -> Uri {
    let mut text = String::with_capacity(128);
    text.push_str(path);
    let mut separator = '?';
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        text.push(separator);
        text.push_str(name);
        text.push('=');
        // Nearly all need no escaping, and this is done for every write.
        if value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'*')) {
            text.push_str(value);
        } else {
            text.extend(byte_serialize(value.as_bytes()));
        }
        separator = '&';
    }
    if separator == '?' {
        text.push('?');
    }
    // Serialised parameters are ASCII that a URI may have; names are limited long before its 64 KiB are full.
    Uri::try_from(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        assert_eq!(
            v3_write_uri("a/b c&d", Precision::Hour).to_string(),
            "/api/v3/write_lp?db=a%2Fb+c%26d&precision=s&accept_partial=true"
        );
        assert_eq!(v2_write_uri("o", "é", Precision::Microsecond).to_string(), "/api/v2/write?org=o&bucket=%C3%A9&precision=us");
        assert_eq!(v2_write_uri("", "x", Precision::Nanosecond).to_string(), "/api/v2/write?bucket=x&precision=ns");
        let (uri, form) = v2_query("t", "one/two", "SHOW x", &[("epoch", "ns")]);
        assert_eq!((uri.to_string().as_str(), form.as_str()), ("/query?db=t&rp=one%2Ftwo&q=SHOW+x&epoch=ns", ""));
        let (uri, form) = v2_query("", "", &"a b".repeat(1000), &[]);
        assert_eq!((uri.to_string().as_str(), form.len()), ("/query?", 3002));
    }
}
