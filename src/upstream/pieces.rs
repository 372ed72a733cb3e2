//! A batch that the upstream finds too large, sent in pieces: plumbing around [`split`](super::delivery::split).

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode, header::CONTENT_ENCODING, request::Parts};
use http_body_util::{BodyExt, Limited};

use super::{
    body::Source,
    delivery::split::{Piece, Refusals, Verdict, judge},
    request::Purpose,
    service::{Inner, Ticket},
};
use crate::{
    body::Body,
    error::Error,
    lineprotocol::gunzip,
    telemetry::delivery::{Event, count},
};

/// As much of an answer as is read.
const ENOUGH: usize = 1 << 20;

impl Inner {
    /// Sends the lines of `source`, for which `too_large` was the answer, in pieces, and answers for all of them. An answer that concerns
    /// all pieces alike ends it: what is in then comes again with the client's next try, and is the same points.
    pub(super) async fn in_pieces(
        self: &Arc<Self>,
        mut parts: Parts,
        source: &Source,
        too_large: Response<Body>,
    ) -> Result<Response<Body>, Error> {
        let Some(lines) = self.lines(&parts, source).await else { return Ok(too_large) };
        let Some(halves) = (Piece { lines, before: 0 }).halves() else { return Ok(too_large) };
        drop(too_large);
        count(Event::Split);
        parts.headers.remove(CONTENT_ENCODING);
        parts.headers.remove(http::header::CONTENT_LENGTH);
        let mut refusals = Refusals::default();
        let [first, second] = halves;
        let mut stack = vec![second, first];
        while let Some(piece) = stack.pop() {
            let body = Source::Full(piece.lines.clone());
            let answer = self.deliver(&parts, &body, Purpose::Write, Ticket::another(self)).await?;
            let (head, body) = answer.into_parts();
            // An answer that breaks off, or doesn't end, has said enough with its status.
            let text =
                Limited::new(body, ENOUGH).collect().await.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
            match (judge(head.status, &text), piece.halves()) {
                (Verdict::Written, _) => refusals.written(),
                (Verdict::Cut, Some([first, second])) => stack.extend([second, first]),
                (Verdict::Cut | Verdict::Refused, _) => refusals.add(head, text, &piece),
                (Verdict::Stop, _) => return Ok(Response::from_parts(head, Body::from(text))),
            }
        }
        Ok(match refusals.answer() {
            Some((head, text)) => Response::from_parts(head, Body::from(text)),
            None => {
                let mut answer = Response::new(Body::empty());
                *answer.status_mut() = StatusCode::NO_CONTENT;
                answer
            }
        })
    }

    /// The batch, unpacked, if it is still here.
    async fn lines(&self, parts: &Parts, source: &Source) -> Option<Bytes> {
        let body = source.collect().await.ok()??;
        match parts.headers.get(CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
            None | Some(b"identity" | b"") => Some(body),
            Some(b"gzip") => {
                let limit = self.unpacked;
                // A second's work for the largest ones.
                tokio::task::spawn_blocking(move || gunzip(&body, limit)).await.ok()?.ok().map(Bytes::from)
            }
            Some(_) => None,
        }
    }
}
