//! Asking over Arrow Flight, and finding out whether there is any.
//!
//! gRPC needs HTTP/2, which a proxy in between may not have, and a server may have switched it off. Where [`ReplyFormat::FlightOrJsonl`]
//! says that this is to be found out, queries try until one has worked; a failure that isn't gRPC's own word about the statement leads to
//! HTTP, and when that works, it is remembered for a while. Nobody waits for somebody else to find out: their query may take its time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header::CONTENT_TYPE};

use super::{plan::Ask, query::Running, write::beginning};
use crate::{
    body::Body,
    error::{Error, Kind},
    native::{self, FLIGHT_DO_GET, FlightTicket, GRPC, GrpcStatus, Operation, ReplyFormat, Tentative},
    respond::Reply,
    service::NativeService,
    types::BoxError,
};

/// How long HTTP is taken before Flight is tried again: the server may be another one by then.
const AGAIN: Duration = Duration::from_secs(600);

/// What is known of the service below.
#[derive(Debug, Default)]
pub(super) struct Found(Mutex<State>);

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    #[default]
    Unknown,
    Present,
    Absent(Instant),
}

impl Found {
    fn get(&self, now: Instant) -> State {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Absent(since) if now.saturating_duration_since(since) >= AGAIN => State::Unknown,
            state => state,
        }
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// What came of it.
pub(super) enum Flown {
    /// An answer.
    Reply(Reply),
    /// None: HTTP is to be asked.
    Http(Detour),
}

/// A query that takes the way over HTTP: why, when that is news.
pub(super) struct Detour(Option<Strange>);

struct Strange {
    error: Error,
    /// Flight has never worked, as far as was known.
    unknown: bool,
}

impl Detour {
    /// It was the right way.
    pub(super) fn worked(self, found: &Found) {
        let Some(Strange { error, unknown }) = self.0 else { return };
        let now = Instant::now();
        // What has worked for others meanwhile is there.
        if !(unknown && found.get(now) == State::Present) {
            tracing::info!(why = %error, "no Arrow Flight below: queries go over HTTP for the next {} minutes", AGAIN.as_secs() / 60);
            found.set(State::Absent(now));
        }
    }
}

/// An attempt's failure.
enum Failure {
    /// The statement's own, or one that another way doesn't mend.
    Final(BoxError),
    /// Perhaps there is no Flight.
    Strange(Error),
}

impl<S> Running<S>
where
    S: NativeService,
{
    /// Asks over Flight, if that is how the service below is asked.
    pub(super) async fn fly(&mut self, ask: &Ask, text: &str) -> Result<Flown, BoxError> {
        match self.shared.target.reply {
            ReplyFormat::Flight => match self.try_flight(ask, text, false).await {
                Ok(reply) => return Ok(Flown::Reply(reply)),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Strange(error)) => return Err(error.into()),
            },
            ReplyFormat::FlightOrJsonl => {}
            _ => return Ok(Flown::Http(Detour(None))),
        }
        let shared = Arc::clone(&self.shared);
        let found = &shared.flight;
        let unknown = match found.get(Instant::now()) {
            State::Absent(_) => return Ok(Flown::Http(Detour(None))),
            State::Present => false,
            State::Unknown => true,
        };
        match self.try_flight(ask, text, unknown).await {
            Ok(reply) => {
                found.set(State::Present);
                Ok(Flown::Reply(reply))
            }
            Err(Failure::Final(error)) => Err(error),
            Err(Failure::Strange(error)) => Ok(Flown::Http(Detour(Some(Strange { error, unknown })))),
        }
    }

    async fn try_flight(&mut self, ask: &Ask, text: &str, unknown: bool) -> Result<Reply, Failure> {
        let mut request = call(&ask.bucket, text).map_err(|error| Failure::Final(error.into()))?;
        if unknown {
            request.extensions_mut().insert(Tentative);
        }
        let response = match self.call(request).await {
            Ok(response) => response,
            Err(error) => return Err(unsent(error, unknown)),
        };
        let (parts, body) = response.into_parts();
        let response = Response::from_parts(parts, ());
        if let Some(verdict) = verdict(&response, unknown) {
            let status = GrpcStatus::of(response.headers());
            let error = match &status {
                Some(status) => status.error(response.headers(), &ask.database),
                None if response.status().is_success() => {
                    Error::new(Kind::BadGateway, "the service below answers Arrow Flight with something else")
                }
                None => {
                    let text = beginning(body).await;
                    native::decode_error(
                        response.status(),
                        response.headers(),
                        &text,
                        Operation::Query { database: &ask.database },
                    )
                }
            };
            return Err(match verdict {
                Verdict::Strange => Failure::Strange(error),
                Verdict::Final => Failure::Final(error.into()),
            });
        }
        match Reply::flight(body, &ask.database, self.config.limits.query_memory).await {
            Ok(reply) => Ok(reply),
            Err(error) if error.kind() == Kind::NotImplemented => Err(Failure::Strange(error)),
            Err(error) => Err(Failure::Final(error.into())),
        }
    }
}

/// The failure of a call that got no answer. Where nobody knows yet what stands there, it may be somebody who doesn't understand HTTP/2.
fn unsent(error: BoxError, unknown: bool) -> Failure {
    match error.downcast::<Error>() {
        Ok(error) if error.kind() == Kind::BadGateway || unknown && error.kind() == Kind::Unavailable => Failure::Strange(*error),
        Ok(error) => Failure::Final(error),
        Err(error) => Failure::Final(error),
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Strange,
    Final,
}

/// What is wrong with an answer's head; nothing when its body may be an answer.
fn verdict(head: &Response<()>, unknown: bool) -> Option<Verdict> {
    if native::is_grpc(head.headers()) {
        return match GrpcStatus::of(head.headers()) {
            Some(status) if status.is_unimplemented() => Some(Verdict::Strange),
            Some(status) if !status.is_ok() => Some(Verdict::Final),
            _ => None,
        };
    }
    Some(match head.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => Verdict::Final,
        // A gateway's word about the server behind it, and it may not know how to hand gRPC on.
        status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED && !unknown => Verdict::Final,
        _ => Verdict::Strange,
    })
}

fn call(bucket: &str, text: &str) -> Result<Request<Body>, Error> {
    let mut request = Request::new(Body::from(FlightTicket::influxql(bucket, text).to_body()?));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(FLIGHT_DO_GET);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_says_about_flight() {
        const STRANGE: Option<Verdict> = Some(Verdict::Strange);
        const FINAL: Option<Verdict> = Some(Verdict::Final);
        // Status, gRPC's status, what it means while nobody knows, and once Flight has worked.
        for (status, grpc, unknown, known) in [
            (200, Some("0"), None, None),
            (200, Some("12"), STRANGE, STRANGE),
            (200, Some("3"), FINAL, FINAL),
            (200, Some("16"), FINAL, FINAL),
            (200, Some("14"), FINAL, FINAL),
            (200, None, STRANGE, STRANGE),
            (400, None, STRANGE, STRANGE),
            (401, None, FINAL, FINAL),
            (403, None, FINAL, FINAL),
            (404, None, STRANGE, STRANGE),
            (405, None, STRANGE, STRANGE),
            (415, None, STRANGE, STRANGE),
            (429, None, FINAL, FINAL),
            (501, None, STRANGE, STRANGE),
            (502, None, STRANGE, FINAL),
            (505, None, STRANGE, FINAL),
        ] {
            let mut head = Response::builder().status(status);
            if let Some(code) = grpc {
                head = head.header("content-type", "application/grpc").header("grpc-status", code);
            }
            let head = head.body(()).unwrap();
            assert_eq!((verdict(&head, true), verdict(&head, false)), (unknown, known), "{status} {grpc:?}");
        }
        let streaming = Response::builder().header("content-type", "application/grpc+proto").body(()).unwrap();
        assert_eq!(verdict(&streaming, true), None);
    }

    #[test]
    fn who_can_not_be_reached_is_strange_only_while_nobody_knows() {
        let error = |kind| -> BoxError { Error::new(kind, "x").into() };
        let strange = |kind, unknown| matches!(unsent(error(kind), unknown), Failure::Strange(_));
        assert!(strange(Kind::Unavailable, true) && !strange(Kind::Unavailable, false));
        assert!(strange(Kind::BadGateway, true) && strange(Kind::BadGateway, false));
        assert!(!strange(Kind::TooLarge, true));
        assert!(matches!(unsent("x".into(), true), Failure::Final(_)));
    }

    #[test]
    fn it_is_tried_again_after_a_while() {
        let found = Found::default();
        let now = Instant::now();
        assert_eq!(found.get(now), State::Unknown);
        found.set(State::Absent(now));
        assert_eq!(found.get(now + Duration::from_secs(599)), State::Absent(now));
        assert_eq!(found.get(now + AGAIN), State::Unknown);
        found.set(State::Present);
        assert_eq!(found.get(now + 2 * AGAIN), State::Present);
    }
}
