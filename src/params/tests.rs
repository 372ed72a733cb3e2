use std::{io::Write as _, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, Method, Request, header::CONTENT_ENCODING, request::Parts};
use proptest::prelude::*;

use super::{
    body::{collect, from_form},
    decode::Raw,
    native::from_body,
    plan::{Form, Plan, plan},
    write::is_gzip,
};
use crate::{
    body::Body,
    call::{Call, Format, Native, Query, Write},
    config::Config,
    error::{Error, Kind},
    types::{Precision, Profile},
};

fn config(profile: Profile) -> Config {
    let mut config = Config::default();
    config.compat.profile = profile;
    config
}

fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn ready(method: &str, uri: &str, headers: &[(&str, &str)], profile: Profile) -> Result<Call, Error> {
    match plan(&head(method, uri, headers), false, &config(profile))? {
        Plan::Ready(call) => Ok(call),
        other => panic!("{uri}: {other:?}"),
    }
}

fn write(uri: &str, profile: Profile) -> Result<Write, String> {
    match ready("POST", uri, &[], profile) {
        Ok(Call::Write(write)) => Ok(write),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.message().to_owned()),
    }
}

fn query(uri: &str, headers: &[(&str, &str)], profile: Profile) -> Result<Arc<Query>, String> {
    match ready("GET", uri, headers, profile) {
        Ok(Call::Query(query)) => Ok(query),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.message().to_owned()),
    }
}

const SERVERLESS: Profile = Profile::Serverless;
const V1: Profile = Profile::V1;

#[test]
fn precision_of_writes() {
    use Precision::{Hour, Microsecond, Millisecond, Minute, Nanosecond, Second};
    let seed = |value: &str| {
        Err(format!(
            "failed to deserialize db/rp/precision in request: unknown variant `{value}`, expected one of `s`, `ms`, `us`, `ns`"
        ))
    };
    let one = |value: &str| Err(format!("invalid precision {value:?} (use n, u, ms, s, m or h)"));
    for (value, serverless, v1) in [
        ("", Ok(Nanosecond), Ok(Nanosecond)),
        ("n", Ok(Nanosecond), Ok(Nanosecond)),
        ("ns", Ok(Nanosecond), Ok(Nanosecond)),
        ("us", Ok(Microsecond), Ok(Microsecond)),
        ("u", seed("u"), Ok(Microsecond)),
        ("%C2%B5", seed("µ"), Ok(Microsecond)),
        ("%CE%BC", seed("μ"), Ok(Microsecond)),
        ("ms", Ok(Millisecond), Ok(Millisecond)),
        ("s", Ok(Second), Ok(Second)),
        ("m", Ok(Minute), Ok(Minute)),
        ("h", Ok(Hour), Ok(Hour)),
        ("d", seed("d"), one("d")),
        ("S", seed("S"), one("S")),
        ("second", seed("second"), one("second")),
    ] {
        let uri = format!("/write?db=d&precision={value}");
        assert_eq!(write(&uri, SERVERLESS).map(|write| write.precision), serverless, "{value}");
        assert_eq!(write(&uri, V1).map(|write| write.precision), v1, "{value}");
    }
    let long = write(&format!("/write?db=d&precision={}", "x".repeat(10_000)), V1).unwrap_err();
    assert!(long.len() < 150, "{long}");
}

#[test]
fn names_of_databases() {
    let seed = "namespace name length must be between 1 and 64 characters";
    let (longest, too_long) = ("x".repeat(64), "x".repeat(65));
    for (name, serverless, v1) in [
        (None, Some(seed), Some("database is required")),
        (Some(""), Some(seed), Some("database is required")),
        (Some(&*longest), None, None),
        (Some(&*too_long), Some(seed), None),
        (Some("my%20db%2Fx"), None, None),
        (Some("a%00"), Some("invalid database name \"a\\0\": a character can't be printed"), Some("")),
    ] {
        let uri = name.map_or_else(|| "/write".to_owned(), |name| format!("/write?db={name}"));
        assert_eq!(write(&uri, SERVERLESS).err().as_deref(), serverless, "{uri}");
        assert_eq!(write(&uri, V1).is_err(), v1.is_some(), "{uri}");
        if let Some(text @ "database is required") = v1 {
            assert_eq!(write(&uri, V1).unwrap_err(), text);
        }
    }
    // A query needs none.
    assert_eq!(query("/query?q=x&db=", &[], SERVERLESS).unwrap().db, None);
    assert_eq!(query(&format!("/query?q=x&db={too_long}"), &[], SERVERLESS).unwrap_err(), seed);
    assert!(query(&format!("/query?q=x&db={too_long}"), &[], V1).is_ok());
}

#[test]
fn other_parameters_of_writes() {
    let plain = Write { db: "d".into(), rp: None, precision: Precision::Nanosecond, gzip: false };
    // What clients send: empty parameters, trailing slashes, parameters that mean nothing here.
    for uri in
        ["/write?db=d", "/write/?db=d&rp=&precision=&consistency=", "/write//?db=d&foo=bar&db=e", "/write?db=d&consistency=ONE"]
    {
        for profile in [SERVERLESS, V1] {
            assert_eq!(write(uri, profile).as_ref(), Ok(&plain), "{uri}");
        }
    }
    assert_eq!(write("/write?db=d&rp=one+week", V1).unwrap().rp.as_deref(), Some("one week"));
    assert!(write("/write?db=d&consistency=most", SERVERLESS).is_ok());
    assert_eq!(write("/write?db=d&consistency=most", V1).unwrap_err(), "invalid consistency level");
}

#[test]
fn encodings() {
    for (values, gzip) in [
        (&[][..], Some(false)),
        (&["gzip"], Some(true)),
        (&["GZIP"], Some(true)),
        (&["x-gzip"], Some(true)),
        (&["identity"], Some(false)),
        (&[""], Some(false)),
        (&["deflate"], None),
        (&["gzip, gzip"], None),
        (&["gzip", "gzip"], None),
        (&["zstd"], None),
    ] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, value.parse().unwrap());
        }
        match is_gzip(&headers) {
            Ok(found) => assert_eq!(Some(found), gzip, "{values:?}"),
            Err(error) => {
                assert_eq!(gzip, None, "{values:?}");
                assert_eq!(error.kind(), Kind::UnsupportedMediaType);
            }
        }
    }
    let error = ready("POST", "/write?db=d", &[("content-encoding", "br")], SERVERLESS).unwrap_err();
    assert_eq!(error.message(), "unsupported content encoding \"br\": use gzip or identity");
    // influxdb-python says gzip on a GET that has no body.
    assert!(query("/query?q=x", &[("content-encoding", "gzip")], SERVERLESS).is_ok());
}

#[test]
fn epochs() {
    use Precision::{Hour, Microsecond, Millisecond, Minute, Nanosecond, Second};
    for (value, epoch) in [
        ("", Some(None)),
        ("n", Some(Some(Nanosecond))),
        ("ns", Some(Some(Nanosecond))),
        ("u", Some(Some(Microsecond))),
        ("us", Some(Some(Microsecond))),
        ("%C2%B5", Some(Some(Microsecond))),
        ("ms", Some(Some(Millisecond))),
        ("s", Some(Some(Second))),
        ("m", Some(Some(Minute))),
        ("h", Some(Some(Hour))),
        ("d", None),
        ("x", None),
    ] {
        let uri = format!("/query?q=x&epoch={value}");
        let serverless = query(&uri, &[], SERVERLESS).map(|query| query.output.epoch);
        assert_eq!(serverless.clone().ok(), epoch, "{value}");
        if let Err(message) = serverless {
            assert_eq!(message, format!("invalid epoch {value:?} (use ns, us, ms, s, m or h)"));
        }
        // 1.x never refuses one.
        assert_eq!(query(&uri, &[], V1).unwrap().output.epoch, epoch.unwrap_or(Some(Nanosecond)), "{value}");
    }
}

#[test]
fn chunks_and_prettiness_are_v1s() {
    for (uri, chunk, pretty) in [
        ("/query?q=x", None, false),
        ("/query?q=x&chunked=true&pretty=true", Some(10_000), true),
        ("/query?q=x&chunked=true&chunk_size=7", Some(7), false),
        ("/query?q=x&chunked=true&chunked_size=8", Some(8), false),
        ("/query?q=x&chunked=true&chunk_size=0", Some(10_000), false),
        ("/query?q=x&chunked=true&chunk_size=-1", Some(10_000), false),
        ("/query?q=x&chunked=true&chunk_size=x", Some(10_000), false),
        ("/query?q=x&chunk_size=7", None, false),
        ("/query?q=x&chunked=1&pretty=1", None, false),
        ("/query?q=x&chunked=&pretty=", None, false),
    ] {
        let output = query(uri, &[], V1).unwrap().output;
        assert_eq!((output.chunk.map(usize::from), output.pretty), (chunk, pretty), "{uri}");
        let output = query(uri, &[], SERVERLESS).unwrap().output;
        assert_eq!((output.chunk, output.pretty), (None, false), "{uri}");
    }
    let csv = query("/query?q=x", &[("accept", "text/html, application/csv;q=0.5")], SERVERLESS).unwrap();
    assert_eq!(csv.output.format, Format::Csv);
    for accept in ["image/png", "text/*", "text/plain, text/csv;q=0", "text/csv; q=0.0, application/x-msgpack;q=0"] {
        assert_eq!(query("/query?q=x", &[("accept", accept)], SERVERLESS).unwrap().output.format, Format::Json, "{accept}");
    }
}

#[test]
fn bind_parameters() {
    for (params, message) in [
        ("", None),
        ("null", None),
        ("%7B%7D", None),
        ("%7B%22a%22:1,%22b%22:%22x%22%7D", None),
        // An error only where it is used, as in 1.x.
        ("%7B%22a%22:null%7D", None),
        ("x", Some("error parsing query parameters: invalid character 'x' looking for beginning of value")),
        ("[1]", Some("error parsing query parameters: json: cannot unmarshal array into ")),
        ("%7B%22a%22:1", Some("error parsing query parameters: unexpected EOF")),
        ("%7B%22a%22:1%5D", Some("error parsing query parameters: invalid character ']' at line 1, char 7")),
        ("%7B%22b%22:1%7D+more", None),
    ] {
        let uri = format!("/query?q=x&params={}", params.replace('[', "%5B").replace(']', "%5D"));
        match (query(&uri, &[], SERVERLESS), message) {
            (Ok(query), None) => assert_eq!(query.params.get("b").is_some(), params.contains("b%22")),
            (Err(text), Some(message)) => assert!(text.starts_with(message), "{text}"),
            other => panic!("{params}: {other:?}"),
        }
    }
}

#[test]
fn paths_and_methods() {
    let missing = "missing required parameter \"q\"";
    for (method, uri, expected) in [
        ("GET", "/query", Err((Kind::Invalid, missing))),
        ("POST", "/query?q=", Err((Kind::Invalid, missing))),
        ("GET", "/query?q=+%0A", Err((Kind::Invalid, missing))),
        ("GET", "/query/?q=x", Ok("query")),
        ("POST", "/query?q=x", Ok("query")),
        ("PUT", "/query?q=x", Err((Kind::MethodNotAllowed, "method \"PUT\" is not allowed here: use GET, POST"))),
        ("HEAD", "/query?q=x", Err((Kind::MethodNotAllowed, "method \"HEAD\" is not allowed here: use GET, POST"))),
        ("OPTIONS", "/query", Err((Kind::MethodNotAllowed, "method \"OPTIONS\" is not allowed here: use GET, POST"))),
        ("GET", "/write?db=d", Err((Kind::MethodNotAllowed, "method \"GET\" is not allowed here: use POST"))),
        ("POST", "/write?db=d", Ok("write")),
        ("GET", "/ping", Ok("ping")),
        ("HEAD", "/ping/", Ok("ping")),
        ("GET", "/ping?verbose=true", Ok("verbose")),
        ("GET", "/ping?verbose=1", Ok("verbose")),
        ("GET", "/ping?verbose=false", Ok("ping")),
        ("GET", "/ping?verbose=0", Ok("ping")),
        ("POST", "/ping", Err((Kind::MethodNotAllowed, "method \"POST\" is not allowed here: use GET, HEAD"))),
        ("GET", "/health", Ok("open")),
        ("HEAD", "/health/", Ok("open")),
        ("POST", "/health", Ok("other")),
        ("POST", "/api/v2/write?bucket=b%2Fr&org=o", Ok("write b/r")),
        ("POST", "/api/v2/write", Ok("write -")),
        ("POST", "/api/v3/write_lp?db=d", Ok("write d")),
        ("POST", "/api/v3/write_lp?db=d&db=e", Err((Kind::Invalid, "parameter \"db\" is given more than once"))),
        // Other spellings need all-access, whatever the service below makes of them.
        ("POST", "/api/v3/write_lp/?db=d", Ok("other")),
        ("POST", "/api/v3/%77rite_lp?db=d", Ok("other")),
        ("PUT", "/api/v3/write_lp?db=d", Ok("other")),
        ("POST", "//query?q=x", Ok("other")),
        ("GET", "/api/v3/query_influxql?db=d&q=x", Ok("query d x")),
        ("GET", "/api/v3/query_influxql?q=x", Ok("query - x")),
        ("GET", "/api/v3/query_influxql?q=x&q=y", Err((Kind::Invalid, "parameter \"q\" is given more than once"))),
        ("POST", "/api/v2/query", Ok("other")),
        ("DELETE", "/api/v3/configure/database?db=d", Ok("other")),
        ("GET", "/", Ok("other")),
    ] {
        let found = ready(method, uri, &[], SERVERLESS).map(|call| match call {
            Call::Write(_) => "write".to_owned(),
            Call::Query(query) => {
                assert_eq!(query.read_only, method == "GET");
                "query".to_owned()
            }
            Call::Ping { verbose } => if verbose { "verbose" } else { "ping" }.to_owned(),
            Call::Native(Native::Open) => "open".to_owned(),
            Call::Native(Native::Other) => "other".to_owned(),
            Call::Native(Native::Write { bucket }) => format!("write {}", bucket.as_deref().unwrap_or("-")),
            Call::Native(Native::Query { bucket, q, .. }) => {
                format!("query {} {}", bucket.as_deref().unwrap_or("-"), q.as_deref().unwrap_or("-"))
            }
        });
        let found = found.as_deref().map_err(|error| (error.kind(), error.message()));
        assert_eq!(found, expected, "{method} {uri}");
    }
    assert_eq!(ready("GET", "/write", &[], V1).unwrap_err().allowed_methods(), Some("POST, OPTIONS"));
    let preflight = [("origin", "http://x"), ("access-control-request-method", "POST")];
    assert!(matches!(ready("OPTIONS", "/query", &preflight, V1), Ok(Call::Native(Native::Open))));
}

#[test]
fn passing_through_can_be_switched_off() {
    let mut config = config(V1);
    config.compat.passthrough = false;
    let kind = |method, uri| plan(&head(method, uri, &[]), false, &config).err().map(|error| error.kind());
    for (method, uri) in [("POST", "/api/v2/write?bucket=b"), ("GET", "/"), ("POST", "/api/v3/query_influxql")] {
        assert_eq!(kind(method, uri), Some(Kind::NotFound), "{uri}");
    }
    for (method, uri) in [("POST", "/write?db=d"), ("GET", "/health"), ("GET", "/ping")] {
        assert_eq!(kind(method, uri), None, "{uri}");
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn which_bodies_are_read() {
    for (method, uri, content_type, body, form) in [
        ("POST", "/query", FORM, true, Some(Form::UrlEncoded)),
        ("POST", "/query?q=x", FORM, true, Some(Form::UrlEncoded)),
        ("POST", "/query?q=x", FORM, false, None),
        ("GET", "/query?q=x", FORM, true, None),
        ("POST", "/query", "Application/X-WWW-Form-Urlencoded ; charset=utf-8", true, Some(Form::UrlEncoded)),
        ("POST", "/query", "multipart/form-data; boundary=X", true, Some(Form::Multipart("X".into()))),
        ("POST", "/query", "application/vnd.influxql", true, Some(Form::InfluxQl)),
        ("POST", "/query", "", true, Some(Form::Unknown)),
        ("POST", "/query?q=x", "", true, None),
        ("POST", "/query?q=x", "application/json", true, None),
        ("POST", "/query?db=x", "text/plain", true, Some(Form::Unknown)),
        ("POST", "/write?db=d", FORM, true, None),
    ] {
        let found = match plan(&head(method, uri, &[("content-type", content_type)]), body, &config(V1)).unwrap() {
            Plan::Form(form) => Some(form),
            Plan::Ready(_) => None,
            Plan::Native => panic!("{uri}"),
        };
        assert_eq!(found, form, "{method} {uri} {content_type}");
    }
    let error = plan(&head("POST", "/query", &[("content-type", "multipart/form-data")]), true, &config(V1)).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
}

fn posted(uri: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Result<Arc<Query>, Error> {
    let (head, config) = (head("POST", uri, headers), config(SERVERLESS));
    let Plan::Form(form) = plan(&head, true, &config)? else { panic!("no form") };
    match from_form(&head, form, body.into(), &config).now_or_never().expect("nothing to wait for")? {
        Call::Query(query) => Ok(query),
        other => panic!("{other:?}"),
    }
}

#[test]
fn parameters_in_bodies() {
    let multipart = "multipart/form-data; boundary=X";
    let field =
        |name: &str, value: &str| format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--X--\r\n");
    let file = "--X\r\nContent-Disposition: form-data; name=\"db\"\r\n\r\nd\r\n--X\r\nContent-Disposition: form-data; name=\"q\"; \
                filename=\"q.txt\"\r\nContent-Type: text/plain\r\n\r\nSHOW\nUSERS;\r\n--X--\r\n";
    for (uri, content_type, body, q, db) in [
        ("/query", FORM, "q=SHOW+USERS&db=d".to_owned(), "SHOW USERS", Some("d")),
        // 1.6.7: the body wins over the URL …
        ("/query?q=a&db=x&epoch=s", FORM, "q=b".to_owned(), "b", Some("x")),
        ("/query?q=a&db=x", FORM, "q=&db=y".to_owned(), "a", Some("y")),
        // … and the URL over a multipart form.
        ("/query?db=d", multipart, field("q", "SHOW USERS"), "SHOW USERS", Some("d")),
        ("/query?q=a&db=d", multipart, field("q", "b"), "a", Some("d")),
        ("/query", multipart, file.to_owned(), "SHOW\nUSERS;", Some("d")),
        ("/query?db=d", "application/vnd.influxql", "SHOW USERS".to_owned(), "SHOW USERS", Some("d")),
        ("/query?q=a", "application/vnd.influxql", "b".to_owned(), "a", None),
        ("/query?db=d", "", "q=SHOW+USERS".to_owned(), "SHOW USERS", Some("d")),
        ("/query?db=d", "text/plain", "db=y&q=x".to_owned(), "x", Some("y")),
        (
            "/query?db=d",
            "application/octet-stream",
            "SELECT a+b FROM c WHERE d='1&q=1'".to_owned(),
            "SELECT a+b FROM c WHERE d='1&q=1'",
            Some("d"),
        ),
    ] {
        let query = posted(uri, &[("content-type", content_type)], body).unwrap();
        assert_eq!((&*query.q, query.db.as_deref()), (q, db), "{uri} {content_type}");
        assert!(!query.read_only);
    }
    for (content_type, body, message) in [
        (FORM, &b"db=x"[..], "missing required parameter \"q\""),
        (FORM, b"q=\xff", "request body is not valid UTF-8"),
        (FORM, b"q=%ff", "parameter \"q\" is not valid UTF-8"),
        ("", b" ", "missing required parameter \"q\""),
        (multipart, b"--X\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nx", "invalid multipart form: "),
        (multipart, b"nothing", "invalid multipart form: "),
    ] {
        let error = posted("/query", &[("content-type", content_type)], body).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.message().starts_with(message), "{error}");
    }
}

#[test]
fn packed_forms() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"q=SHOW+USERS").unwrap();
    let packed = encoder.finish().unwrap();
    let headers = [("content-type", FORM), ("content-encoding", "gzip")];
    assert_eq!(&*posted("/query", &headers, packed).unwrap().q, "SHOW USERS");
    // The header alone, with nothing to unpack.
    assert_eq!(&*posted("/query?q=x", &headers, "").unwrap().q, "x");
    assert_eq!(posted("/query", &headers, "q=x").unwrap_err().kind(), Kind::Invalid);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&vec![b' '; 2 << 20]).unwrap();
    assert_eq!(posted("/query", &headers, encoder.finish().unwrap()).unwrap_err().kind(), Kind::TooLarge);
}

#[test]
fn bodies_have_a_limit() {
    let now = |body: Body, limit| collect(body, limit).now_or_never().expect("nothing to wait for");
    assert_eq!(now(Body::from("12345"), 5).unwrap(), "12345");
    assert_eq!(now(Body::from("123456"), 5).unwrap_err().kind(), Kind::TooLarge);
    // A stream doesn't say how long it is.
    let frames = |n: usize| {
        let frames = (0..n).map(|_| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(b"xxx"))));
        Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>())))
    };
    assert_eq!(now(frames(2), 6).unwrap(), "xxxxxx");
    assert_eq!(now(frames(3), 6).unwrap_err().message(), "request body is larger than 6 bytes");
    let broken = futures_util::stream::iter([Err::<http_body::Frame<Bytes>, _>(std::io::Error::other("gone"))]);
    let error = now(Body::new(http_body_util::StreamBody::new(broken)), 6).unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::Invalid, "request body could not be read"));
}

#[test]
fn native_queries_in_bodies() {
    let head = head("POST", "/api/v3/query_influxql", &[]);
    assert!(matches!(plan(&head, true, &config(V1)), Ok(Plan::Native)));
    let native = from_body("", br#"{"db":"d","q":"SELECT $x","format":"jsonl","params":{"x":1}}"#).unwrap();
    let Native::Query { bucket, q, params } = native else { panic!("a query") };
    assert_eq!((bucket.as_deref(), q.as_deref(), params.get("x").is_some()), (Some("d"), Some("SELECT $x"), true));
    // Two texts, of which the service below might take the other one.
    for body in
        [r#"{"q":"SHOW DATABASES","q":"DROP DATABASE x"}"#, "", "{}", "[]", r#"{"q":1}"#, r#"{"db":"a","db":"b","q":"x"}"#]
    {
        assert_eq!(from_body("", body.as_bytes()).unwrap_err().kind(), Kind::Invalid, "{body}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_makes_it_panic(
        encoded in "[a-z=&%+0-9A-F;µ\"{}]{0,80}",
        content_type in "[ -~]{0,40}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
        kind in 0..5_usize,
        v1 in any::<bool>(),
    ) {
        let mut raw = Raw::default();
        let _ = raw.add(&encoded);
        let _ = from_body("", &body);
        let mut config = config(if v1 { V1 } else { SERVERLESS });
        config.limits.query = 1000;
        let form = [Form::UrlEncoded, Form::Multipart("X".into()), Form::InfluxQl, Form::Unknown];
        let mut head = head("POST", "/query", &[]);
        if let Ok(content_type) = content_type.parse() {
            head.headers.insert("content-type", content_type);
        }
        let _ = plan(&head, true, &config);
        head.method = Method::POST;
        if let Some(form) = form.into_iter().nth(kind) {
            let _ = from_form(&head, form, body.into(), &config).now_or_never();
        }
    }

    #[test]
    fn values_come_through(q in "[ -~é\n]{1,40}", db in "[a-zé ]{1,20}") {
        let encoded = form_urlencoded::Serializer::new(String::new()).append_pair("db", &db).append_pair("q", &q).finish();
        let url = ready("GET", &format!("/query?{encoded}"), &[], V1);
        let form = posted("/query", &[("content-type", FORM)], encoded);
        if q.trim().is_empty() {
            prop_assert!(url.is_err() && form.is_err());
        } else {
            let Ok(Call::Query(url)) = url else { panic!("a query") };
            for query in [url, form.unwrap()] {
                prop_assert_eq!((&*query.q, query.db.as_deref()), (&*q, Some(&*db)));
            }
        }
    }
}
