//! Answers in gzip, for clients that take it: compressed as they are made, never held back for more.

use std::{
    io::Write,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{body::Body, types::BoxError};

/// Below this the frame around it eats what is won, and a packet is a packet.
const SMALLEST: u64 = 1_000;
/// What is compressed is sent on when there is this much of it.
const ENOUGH: usize = 16 << 10;

/// Compresses the answer if the client takes it and it is worth it.
pub(super) fn compress(takes_gzip: bool, method: &Method, response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    if !is_compressible(&head.headers) || head.status == StatusCode::PARTIAL_CONTENT {
        return Response::from_parts(head, body);
    }
    // Said also when it isn't compressed: it is what a cache has to know.
    head.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let worth_it = body.size_hint().upper().is_none_or(|size| size >= SMALLEST);
    if !takes_gzip || !worth_it || method == Method::HEAD {
        return Response::from_parts(head, body);
    }
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Response::from_parts(head, Body::new(Gzip::new(body)))
}

/// Whether `Accept-Encoding` lists gzip (or everything) and doesn't rule it out by `q=0`.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for item in value.to_str().unwrap_or_default().split(',') {
            let mut parts = item.split(';').map(str::trim);
            let coding = parts.next().unwrap_or_default();
            let wanted = !parts.any(|part| {
                part.strip_prefix("q=")
                    .or_else(|| part.strip_prefix("Q="))
                    .is_some_and(|q| q.parse().is_ok_and(|q: f32| q <= 0.0))
            });
            if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
                return wanted;
            }
            any |= coding == "*" && wanted;
        }
    }
    any
}

/// Text that nobody has compressed yet.
fn is_compressible(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    !headers.contains_key(header::CONTENT_ENCODING)
        && (kind.starts_with("text/")
            || matches!(kind, "application/json" | "application/jsonl" | "application/csv" | "application/x-msgpack"))
}

/// A body, compressed on its way. What has been read is flushed whenever there is nothing more to read at the moment: a chunk of a
/// chunked query reaches its client when it is ready.
struct Gzip {
    body: Body,
    /// `None` after the last byte.
    encoder: Option<GzEncoder<Vec<u8>>>,
    /// Something was written since the last flush.
    dirty: bool,
}

impl Gzip {
    fn new(body: Body) -> Self {
        // Measured on a table of points as JSON: level 4 makes a tenth of it, level 1 a fifth, and level 6 takes six times as long for
        // nothing.
        Self { body, encoder: Some(GzEncoder::new(Vec::new(), Compression::new(4))), dirty: false }
    }
}

impl HttpBody for Gzip {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            let Some(encoder) = &mut this.encoder else { return Poll::Ready(None) };
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers have no place behind a compressed body that nobody told of them.
                    let Ok(data) = frame.into_data() else { continue };
                    encoder.write_all(&data)?;
                    this.dirty = true;
                    if encoder.get_ref().len() >= ENOUGH {
                        return Poll::Ready(Some(Ok(Frame::data(std::mem::take(encoder.get_mut()).into()))));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    this.encoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    let Some(encoder) = this.encoder.take() else { return Poll::Ready(None) };
                    let rest = encoder.finish()?;
                    return Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest.into()))));
                }
                Poll::Pending => {
                    if this.dirty {
                        encoder.flush()?;
                        this.dirty = false;
                    }
                    if !encoder.get_ref().is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(std::mem::take(encoder.get_mut()).into()))));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    fn gunzip(bytes: &[u8]) -> String {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn who_takes_gzip() {
        let takes = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            takes_gzip(&headers)
        };
        for yes in ["gzip", "GZIP", "deflate, gzip;q=0.5", "br, *", "x-gzip", "*;q=0.1"] {
            assert!(takes(yes), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "*;q=0", "gzip; q=0.0, *", "gzipped"] {
            assert!(!takes(no), "{no}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_is_compressed() {
        let answer = |kind: &str, body: Body| {
            let response = Response::builder().header(header::CONTENT_TYPE, kind).body(body).unwrap();
            compress(true, &Method::GET, response).headers().contains_key(header::CONTENT_ENCODING)
        };
        let big = || Body::from("x".repeat(2000));
        assert!(answer("application/json", big()) && answer("text/csv; charset=utf-8", big()));
        assert!(!answer("application/json", Body::from("small")));
        assert!(!answer("application/vnd.apache.arrow.stream", big()));
        let encoded = Response::builder()
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_ENCODING, "br")
            .body(big())
            .unwrap();
        assert_eq!(compress(true, &Method::GET, encoded).headers()[header::CONTENT_ENCODING], "br");
    }

    #[tokio::test]
    async fn a_chunk_arrives_before_the_next_one_is_made() {
        let (send, receive) = tokio::sync::mpsc::unbounded_channel::<&'static str>();
        let stream = futures_util::stream::unfold(receive, |mut receive| async move {
            let text = receive.recv().await?;
            Some((Ok::<_, BoxError>(Frame::data(Bytes::from_static(text.as_bytes()))), receive))
        });
        let mut body = Gzip::new(Body::new(StreamBody::new(Box::pin(stream))));
        let mut all = Vec::new();
        for chunk in ["one\n", "two\n"] {
            send.send(chunk).unwrap();
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            all.extend_from_slice(&frame);
            let mut text = vec![0; 100];
            let mut decoder = flate2::read::MultiGzDecoder::new(&all[..]);
            let mut seen = String::new();
            while let Ok(n @ 1..) = decoder.read(&mut text) {
                seen.push_str(std::str::from_utf8(&text[..n]).unwrap());
            }
            assert!(seen.ends_with(chunk), "{seen:?}");
        }
        drop(send);
        all.extend_from_slice(&body.collect().await.unwrap().to_bytes());
        assert_eq!(gunzip(&all), "one\ntwo\n");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_does_not_end_well() {
        let stream = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"half"))), Err(BoxError::from("lost"))]);
        let body = Gzip::new(Body::new(StreamBody::new(stream)));
        assert_eq!(body.collect().await.unwrap_err().to_string(), "lost");
    }
}
