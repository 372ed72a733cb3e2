//! Bodies as recorded from InfluxDB 3 Core 3.10 and as InfluxDB 2.7 writes them.

use super::*;

const W: Operation<'static> = Operation::Write { database: "tele", auth: AuthErrors::Reject };
const Q: Operation<'static> = Operation::Query { database: "tele" };

fn decode(status: u16, body: &str, operation: Operation<'_>) -> Error {
    decode_error(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes(), operation)
}

#[test]
fn kinds_and_words() {
    let cases = [
        // 3 Core, recorded
        (
            400,
            r#"{"error":"partial write of line protocol occurred","data":[{"error_message":"invalid column type for column 'usage', expected iox::column_type::field::float, got iox::column_type::field::string","line_number":1,"original_line":"cpu,host=a usage=tex"}]}"#,
            W,
            Kind::Invalid,
            "partial write: field type conflict: input field \"usage\" is type string, already exists as type float (line 1) dropped=1",
        ),
        (
            400,
            r#"{"error":"partial write of line protocol occurred","data":[{"error_message":"Expected at least one space character, got end of input","line_number":1,"original_line":"garbage"},{"error_message":"No fields were provided","line_number":3,"original_line":"cpu,host=a usage= 17"}]}"#,
            W,
            Kind::Invalid,
            "partial write: unable to parse 'garbage': Expected at least one space character, got end of input (line 1)\nunable to parse 'cpu,host=a usage= 17': No fields were provided (line 3) dropped=2",
        ),
        (
            400,
            r#"{"error":"line protocol parsing error","data":{"error_message":"Expected at least one space character, got end of input","line_number":1,"original_line":"garbage"}}"#,
            W,
            Kind::Invalid,
            "unable to parse 'garbage': Expected at least one space character, got end of input (line 1)",
        ),
        (400, "incoming write was empty", W, Kind::Invalid, "incoming write was empty"),
        (404, r#"{"error":"query error: database not found: nosuch"}"#, Q, Kind::NotFound, "database not found: \"tele\""),
        (405, "This feature is not implemented: DELETE", Q, Kind::Invalid, "This feature is not implemented: DELETE"),
        // the embedded store speaks v1's words already
        (
            400,
            r#"{"error":"partial write of line protocol occurred","message":"partial write: field type conflict: input field \"v\" on measurement \"m\" is type float, already exists as type string dropped=1","data":[{"error_message":"x","line_number":1,"original_line":"m v=1"}]}"#,
            W,
            Kind::Invalid,
            "partial write: field type conflict: input field \"v\" on measurement \"m\" is type float, already exists as type string dropped=1",
        ),
        // 2.7
        (
            404,
            r#"{"code":"not found","message":"bucket \"tele/autogen\" not found"}"#,
            W,
            Kind::NotFound,
            "database not found: \"tele\"",
        ),
        (404, r#"{"code":"not found","message":"no dbrp mapping found"}"#, Q, Kind::NotFound, "database not found: \"tele\""),
        (
            422,
            r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: points beyond retention policy dropped=1"}"#,
            W,
            Kind::Invalid,
            "partial write: points beyond retention policy dropped=1",
        ),
        (401, r#"{"code":"unauthorized","message":"unauthorized access"}"#, W, Kind::Unauthorized, "unauthorized access"),
        (403, "", W, Kind::Forbidden, "forbidden"),
        (413, "payload too large", W, Kind::TooLarge, "payload too large"),
        // what may succeed later
        (429, "slow down", W, Kind::Unavailable, "slow down"),
        (408, "", Q, Kind::Unavailable, "request timeout"),
        (503, "<html>", W, Kind::Unavailable, "service unavailable"),
        // what never will
        (
            500,
            r#"{"code":"internal error","message":"partial write of line protocol occurred"}"#,
            W,
            Kind::Invalid,
            "partial write of line protocol occurred",
        ),
        (500, r#"{"error":"disk"}"#, W, Kind::Internal, "disk"),
        (502, "", W, Kind::BadGateway, "bad gateway"),
        (301, "", W, Kind::BadGateway, "unexpected status 301 Moved Permanently from the service below"),
    ];
    for (status, body, operation, kind, message) in cases {
        let error = decode(status, body, operation);
        assert_eq!((error.kind(), error.message()), (kind, message), "{status} {body}");
    }
}

#[test]
fn the_delay_is_passed_on() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "17".parse().unwrap());
    let error = decode_error(StatusCode::TOO_MANY_REQUESTS, &headers, b"", W);
    assert_eq!(error.retry_delay(), Some(Duration::from_secs(17)));
    headers.insert("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT".parse().unwrap());
    assert_eq!(decode_error(StatusCode::SERVICE_UNAVAILABLE, &headers, b"", W).retry_delay(), Some(Duration::from_secs(5)));
}

#[test]
fn hostile_bodies_stay_short() {
    let error = decode(400, &"x".repeat(1 << 20), W);
    assert!(error.message().len() <= 2048);
    let many = format!(
        r#"{{"error":"partial write of line protocol occurred","data":[{}]}}"#,
        vec![r#"{"error_message":"bad","line_number":1,"original_line":"x"}"#; 5000].join(",")
    );
    let error = decode(400, &many, W);
    assert!(error.message().ends_with("… and 4900 more dropped=5000"), "{}", error.message());
}
