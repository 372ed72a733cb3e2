//! A stand-in for an InfluxDB 3.

use axum::{
    Router,
    response::{IntoResponse, Response},
};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;

use super::talk::Talk;

/// A server with this token: it takes every write, and answers every query with one and the same row.
pub(crate) fn server(talk: &Talk, token: &'static str) -> Router {
    let talk = talk.clone();
    Router::new().fallback(async move |request: Request<axum::body::Body>| {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let credential = head.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("nobody");
        if head.method == Method::POST {
            let what = String::from_utf8_lossy(&body);
            talk.say(&format!("server   < POST {}, {credential}: {}", head.uri, what.trim_end()));
        }
        if credential != format!("Bearer {token}") {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        answer(head.uri.path(), &body)
    })
}

fn answer(path: &str, body: &[u8]) -> Response {
    match path {
        "/api/v3/write_lp" => StatusCode::NO_CONTENT.into_response(),
        "/api/v3/query_influxql" if body.windows(11).any(|part| part == b"SHOW FIELD ") => {
            "{\"iox::measurement\":\"cpu\",\"fieldKey\":\"usage\",\"fieldType\":\"float\"}\n".into_response()
        }
        "/api/v3/query_influxql" => {
            "{\"iox::measurement\":\"cpu\",\"time\":\"2023-11-14T22:14:00\",\"usage\":1.5}\n".into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
