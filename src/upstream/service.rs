//! The service itself: plumbing around what [`delivery`](super::delivery) decides.

use std::{
    fmt,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header::AUTHORIZATION, request::Parts};
use http_body_util::{BodyExt, Limited};
use rustls::ClientConfig;
use smallvec::SmallVec;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    body::{Download, Keep, Source},
    client::{Clients, clients},
    delivery::{
        breaker::Breaker,
        budget::Budget,
        choose::{Candidate, choose},
        decide::{Next, Outcome, Situation, next},
        random,
    },
    failure::{Failure, before_answer},
    pool::{Pool, Reply},
    request::{Base, Purpose, authorization, prepare_headers, retry_after, strip_connection},
};
use crate::{
    body::Body,
    config,
    error::{Error, Kind},
    native::{Api, AuthErrors, GrpcStatus, Tentative, is_grpc},
    telemetry::delivery::{Event, count},
    types::{BoxFuture, Secret},
};

/// What all bodies together may hold to be sent again.
const REPLAY_ROOM: usize = 256 << 20;

/// A v2 or v3 server, or several with the same data, behind a pool of connections. Clones share it.
#[derive(Clone)]
pub struct Upstream(pub(super) Arc<Inner>);

pub(super) struct Inner {
    endpoints: Box<[Endpoint]>,
    api: Api,
    org: Box<str>,
    auth_errors: AuthErrors,
    /// For calls of our own. Those of clients bring theirs: one without any must not borrow it.
    authorization: ArcSwapOption<HeaderValue>,
    times: Times,
    retries: u32,
    budget: Budget,
    keep: Keep,
    /// Requests that are not answered to their end.
    open: AtomicUsize,
    max_open: usize,
    /// Bytes that a body may have once it is unpacked.
    pub(super) unpacked: u64,
    clients: ArcSwap<Clients>,
    https: bool,
}

/// One address.
struct Endpoint {
    base: Base,
    /// Where no TLS is spoken.
    pool: Option<Pool>,
    open: AtomicUsize,
    healthy: AtomicBool,
    breaker: Breaker,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    /// Without a sign of life.
    idle: Duration,
    /// For a write as a whole, once its body is here.
    write: Duration,
    /// For a query as a whole.
    query: Duration,
    /// Between two looks at the health of each address.
    health: Duration,
    connect: Duration,
}

impl Upstream {
    /// An upstream as configured, with the default limits; nothing is sent yet. TLS trusts the system's roots.
    ///
    /// # Errors
    /// When an address or the token can't work, or the system's roots can't be read.
    pub fn new(config: &config::Upstream) -> Result<Self, Error> {
        Self::build(config, config::Limits::default(), None)
    }

    /// The same within other limits.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_limits(config: &config::Upstream, limits: config::Limits) -> Result<Self, Error> {
        Self::build(config, limits, None)
    }

    /// The same with TLS of one's own: another root, a client certificate. ALPN is set here.
    ///
    /// # Errors
    /// When an address or the token can't work.
    pub fn with_tls(config: &config::Upstream, tls: ClientConfig) -> Result<Self, Error> {
        Self::build(config, config::Limits::default(), Some(tls))
    }

    fn build(config: &config::Upstream, limits: config::Limits, tls: Option<ClientConfig>) -> Result<Self, Error> {
        let endpoints = std::iter::once(&config.url)
            .chain(&config.urls)
            .map(|url| {
                let base = Base::new(url)?;
                let pool = if base.is_https() { None } else { Some(Pool::new(base.root()?, config.connect_timeout)?) };
                Ok(Endpoint {
                    base,
                    pool,
                    open: AtomicUsize::new(0),
                    healthy: AtomicBool::new(true),
                    breaker: Breaker::new(config.breaker_failures),
                })
            })
            .collect::<Result<Box<[_]>, Error>>()?;
        let authorization = config.token.as_ref().map(|token| authorization(config.api, token)).transpose()?;
        let authorization = ArcSwapOption::from_pointee(authorization);
        let https = endpoints.iter().any(|endpoint| endpoint.base.is_https());
        let tls = match (tls, &config.tls) {
            (Some(tls), _) => Some(tls),
            (None, Some(tls)) => Some(super::tls::load(tls)?),
            (None, None) if https => Some(super::tls::load(&config::UpstreamTls::default())?),
            (None, None) => None,
        };
        let clients = clients(tls, config.connect_timeout)?;
        Ok(Self(Arc::new(Inner {
            endpoints,
            api: config.api,
            org: config.org.clone(),
            auth_errors: config.auth_errors,
            authorization,
            times: Times {
                idle: config.timeout,
                write: limits.write_timeout,
                query: limits.query_timeout,
                health: config.health_interval,
                connect: config.connect_timeout,
            },
            retries: config.retries,
            budget: Budget::new(config.retry_percent),
            keep: Keep { bytes: config.replay_bytes, room: Arc::new(AtomicUsize::new(REPLAY_ROOM)) },
            open: AtomicUsize::new(0),
            max_open: config.max_requests,
            unpacked: limits.decompressed,
            clients: ArcSwap::from_pointee(clients),
            https,
        })))
    }

    /// Changes the upstream's own token; calls that are under way keep theirs.
    ///
    /// # Errors
    /// When no header could carry it.
    pub fn set_token(&self, token: Option<&Secret>) -> Result<(), Error> {
        let value = token.map(|token| authorization(self.0.api, token)).transpose()?;
        self.0.authorization.store(value.map(Arc::new));
        Ok(())
    }

    /// Reads the certificates again, when TLS is spoken and files are configured for it. Connections that are in use keep theirs.
    ///
    /// # Errors
    /// When they can't be used: the old ones stay.
    pub fn reload_tls(&self, config: &config::Upstream) -> Result<(), Error> {
        if let Some(tls) = config.tls.as_ref().filter(|_| self.0.https) {
            self.0.clients.store(Arc::new(clients(Some(super::tls::load(tls)?), config.connect_timeout)?));
        }
        Ok(())
    }

    /// Which API it speaks.
    pub(super) fn api(&self) -> Api {
        self.0.api
    }

    /// v2's organization.
    pub(super) fn org(&self) -> &str {
        &self.0.org
    }

    /// What a 401 or 403 of its to a write means.
    pub(super) fn auth_errors(&self) -> AuthErrors {
        self.0.auth_errors
    }

    /// Whether it has a token of its own.
    pub(super) fn has_token(&self) -> bool {
        self.0.authorization.load().is_some()
    }

    /// Whether this is its own token, found out in a time that says nothing about it.
    pub(super) fn is_own(&self, value: &HeaderValue) -> bool {
        self.0.authorization.load().as_ref().is_some_and(|own| own.as_bytes().ct_eq(value.as_bytes()).into())
    }

    /// A `GET` of the shim's own, with the upstream's token: the answer's head and at most `limit` bytes of body.
    pub(super) async fn ask(&self, path_and_query: &str, limit: usize) -> Result<(http::response::Parts, Bytes), Error> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path_and_query.parse().map_err(Error::internal)?;
        self.authorize(&mut request);
        self.exchange(request, limit).await
    }

    /// A request of the shim's own and its whole answer, of at most `limit` bytes.
    pub(super) async fn exchange(&self, request: Request<Body>, limit: usize) -> Result<(http::response::Parts, Bytes), Error> {
        let (head, body) = Arc::clone(&self.0).send(request).await?.into_parts();
        let body = Limited::new(body, limit).collect().await.map_err(|error| match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(_) => Error::new(Kind::BadGateway, format!("answer of upstream is longer than {limit} bytes")),
        })?;
        Ok((head, body.to_bytes()))
    }

    /// Sends a write whose body somebody else may want to have afterwards.
    pub(super) async fn send_write(&self, parts: &mut Parts, source: &Source) -> Result<Response<Body>, Error> {
        let ticket = Ticket::take(&self.0)?;
        prepare_headers(&mut parts.headers);
        self.0.write(parts, source, ticket).await
    }

    /// Gives a request of the shim's own the upstream's token.
    pub(super) fn authorize(&self, request: &mut Request<Body>) {
        if let Some(value) = &*self.0.authorization.load() {
            request.headers_mut().insert(AUTHORIZATION, HeaderValue::clone(value));
        }
    }

    /// Looks after the health of several addresses, for as long as it is polled. One address needs none: who else should be asked?
    pub async fn watch_health(self) {
        if self.0.endpoints.len() < 2 {
            return;
        }
        let mut ticks = tokio::time::interval(self.0.times.health);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            futures_util::future::join_all(self.0.endpoints.iter().map(|endpoint| self.0.look_at(endpoint))).await;
        }
    }
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Body>, Error>>;

    /// Always ready: the pool opens a connection whenever none is idle, and what is too much is refused at once.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.send(request).await })
    }
}

impl Inner {
    /// Sends a request, again where that helps, and in pieces where it is too large.
    async fn send(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, Error> {
        let ticket = Ticket::take(&self)?;
        let (mut parts, body) = request.into_parts();
        prepare_headers(&mut parts.headers);
        let purpose = Purpose::of(&parts.method, parts.uri.path());
        let mut keep = self.keep.clone();
        if !purpose.is_safe() {
            keep.bytes = 0;
        }
        let source = Source::new(body, keep);
        if purpose == Purpose::Write {
            return self.write(&parts, &source, ticket).await;
        }
        self.deliver(&parts, &source, purpose, ticket).await
    }

    async fn write(self: &Arc<Self>, parts: &Parts, source: &Source, ticket: Ticket) -> Result<Response<Body>, Error> {
        let answer = self.deliver(parts, source, Purpose::Write, ticket).await?;
        if answer.status() == StatusCode::PAYLOAD_TOO_LARGE {
            // Rare, and large.
            return Box::pin(self.in_pieces(parts.clone(), source, answer)).await;
        }
        Ok(answer)
    }

    /// Sends a request until it is answered for good.
    pub(super) async fn deliver(
        &self,
        parts: &Parts,
        source: &Source,
        purpose: Purpose,
        mut ticket: Ticket,
    ) -> Result<Response<Body>, Error> {
        let begun = Instant::now();
        let (whole, patience) = match purpose {
            Purpose::Write => (self.times.write, self.times.write.min(self.times.idle)),
            Purpose::Read => (self.times.query, self.times.query.min(self.times.idle)),
            Purpose::Other => (self.times.idle, self.times.idle),
        };
        let end = (purpose == Purpose::Read).then(|| begun + whole);
        let tentative = parts.extensions.get::<Tentative>().is_some();
        self.budget.deposit();
        let mut tried: SmallVec<[usize; 4]> = SmallVec::new();
        loop {
            let number = self.choose(&tried)?;
            let endpoint = &self.endpoints[number];
            ticket.at(number);
            let result = self.attempt(endpoint, parts, source, patience).await;
            if tentative {
                return result.map(|answer| received(answer, patience, end, ticket));
            }
            let outcome = endpoint.note(&result);
            tried.push(number);
            let situation = Situation {
                attempt: u32::try_from(tried.len()).unwrap_or(u32::MAX),
                safe: purpose.is_safe(),
                replayable: source.replayable(),
                elsewhere: self.is_there_another(&tried),
                budget: self.budget.has_some(),
                left: whole.saturating_sub(begun.elapsed()),
            };
            let Next::Again { after, paid } = next(outcome, situation, self.retries, random()) else {
                return result.map(|answer| received(answer, patience, end, ticket));
            };
            tracing::debug!(?outcome, ?after, attempt = situation.attempt, "asking the upstream again");
            count(Event::Retry);
            drop(result);
            if paid {
                self.budget.withdraw();
            }
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        parts: &Parts,
        source: &Source,
        patience: Duration,
    ) -> Result<Response<Reply>, Error> {
        // How the client spoke to us says nothing about the upstream's connection: the version is left to the pool.
        let mut request = Request::new(source.attempt());
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.headers_mut() = parts.headers.clone();
        patiently(pin!(self.exchange(endpoint, request)), source, patience).await
    }

    /// Sends a request there, once.
    async fn exchange(&self, endpoint: &Endpoint, mut request: Request<Body>) -> Result<Response<Reply>, Error> {
        let grpc = is_grpc(request.headers());
        if let Some(pool) = endpoint.pool.as_ref().filter(|_| !grpc) {
            *request.uri_mut() = endpoint.base.path_and_query(request.uri())?.into();
            return pool.send(request).await;
        }
        *request.uri_mut() = endpoint.base.join(request.uri())?;
        let reply = if grpc {
            // Of this connection, and so it did not come along; servers want to see it.
            request.headers_mut().insert(http::header::TE, HeaderValue::from_static("trailers"));
            self.clients.load().grpc.request(request)
        } else {
            self.clients.load().http.request(request)
        };
        reply.await.map(|answer| answer.map(Reply::from)).map_err(|error| before_answer(&error))
    }

    /// The endpoint to ask next.
    fn choose(&self, tried: &[usize]) -> Result<usize, Error> {
        let now = Instant::now();
        let number = match &*self.endpoints {
            [_] => Some(0),
            several => {
                let candidates: SmallVec<[Candidate; 8]> = several
                    .iter()
                    .enumerate()
                    .map(|(number, endpoint)| Candidate {
                        load: endpoint.open.load(Ordering::Relaxed),
                        admitted: endpoint.breaker.wait(now).is_none(),
                        healthy: endpoint.healthy.load(Ordering::Relaxed),
                        tried: tried.contains(&number),
                    })
                    .collect();
                choose(&candidates, random())
            }
        };
        let wait = match number {
            Some(number) => match self.endpoints[number].breaker.admit(now) {
                None => return Ok(number),
                Some(wait) => wait,
            },
            None => self.endpoints.iter().filter_map(|endpoint| endpoint.breaker.wait(now)).min().unwrap_or_default(),
        };
        Err(Failure::Tripped
            .error(format_args!("it will be tried again in {wait:?}"))
            .retry_after(wait.max(Duration::from_secs(1))))
    }

    fn is_there_another(&self, tried: &[usize]) -> bool {
        self.endpoints.len() > 1 && {
            let now = Instant::now();
            self.endpoints.iter().enumerate().any(|(number, endpoint)| {
                !tried.contains(&number) && endpoint.healthy.load(Ordering::Relaxed) && endpoint.breaker.wait(now).is_none()
            })
        }
    }

    /// One look at an endpoint's health. Any answer but a 5xx is a sign of it: a v3 server wants a credential here, a proxy may know no such
    /// path.
    async fn look_at(&self, endpoint: &Endpoint) {
        let healthy = async {
            let mut request = Request::new(Body::empty());
            *request.method_mut() = Method::GET;
            *request.uri_mut() = Uri::from_static("/health");
            if let Some(value) = &*self.authorization.load() {
                request.headers_mut().insert(AUTHORIZATION, HeaderValue::clone(value));
            }
            let answer = tokio::time::timeout(self.times.connect, self.exchange(endpoint, request)).await.ok()?.ok()?;
            (!answer.status().is_server_error()).then_some(())
        };
        let healthy = healthy.await.is_some();
        if endpoint.healthy.swap(healthy, Ordering::Relaxed) != healthy {
            if healthy {
                tracing::info!(upstream = %endpoint.base, "is well again");
            } else {
                tracing::warn!(upstream = %endpoint.base, "is not well: others are asked first");
            }
        }
        if healthy {
            endpoint.breaker.succeeded();
        }
    }
}

impl Endpoint {
    /// Tells the breaker how it went.
    fn note(&self, result: &Result<Response<Reply>, Error>) -> Outcome {
        let outcome = match result {
            Ok(answer) => Outcome::Answer(status(answer).as_u16(), retry_after(answer.headers())),
            Err(error) => Failure::of(error).map_or(Outcome::Client, Outcome::Failed),
        };
        match outcome {
            Outcome::Answer(502..=504, _) | Outcome::Failed(_) => {
                if self.breaker.failed(Instant::now()) {
                    tracing::warn!(upstream = %self.base, ?outcome, "too many failures in a row: leaving it alone for a while");
                    count(Event::Trip);
                }
            }
            Outcome::Answer(..) => self.breaker.succeeded(),
            Outcome::Client => {}
        }
        outcome
    }
}

/// The status of an answer; of gRPC's, HTTP's equivalent of what it says.
fn status(answer: &Response<Reply>) -> StatusCode {
    match GrpcStatus::of(answer.headers()) {
        Some(status) if is_grpc(answer.headers()) => status.http(),
        _ => answer.status(),
    }
}

/// Counted among the open requests until it is dropped: with the end of the answer's body.
pub(super) struct Ticket {
    inner: Arc<Inner>,
    endpoint: Option<usize>,
}

impl Ticket {
    /// One more, if there is room.
    fn take(inner: &Arc<Inner>) -> Result<Self, Error> {
        let ticket = Self::another(inner);
        if inner.open.load(Ordering::Relaxed) > inner.max_open {
            count(Event::Shed);
            let error = Failure::Overloaded.error(format_args!("upstream.max_requests = {}", inner.max_open));
            return Err(error.retry_after(Duration::from_secs(1)));
        }
        Ok(ticket)
    }

    /// One more, whether there is room or not: a part of a request that was let in.
    pub(super) fn another(inner: &Arc<Inner>) -> Self {
        inner.open.fetch_add(1, Ordering::Relaxed);
        Self { inner: Arc::clone(inner), endpoint: None }
    }

    fn at(&mut self, endpoint: usize) {
        self.leave();
        self.inner.endpoints[endpoint].open.fetch_add(1, Ordering::Relaxed);
        self.endpoint = Some(endpoint);
    }

    fn leave(&mut self) {
        if let Some(endpoint) = self.endpoint.take() {
            self.inner.endpoints[endpoint].open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.leave();
        self.inner.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn received(answer: Response<Reply>, patience: Duration, end: Option<Instant>, ticket: Ticket) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    strip_connection(&mut parts.headers);
    parts.version = http::Version::HTTP_11;
    if http_body::Body::is_end_stream(&body) {
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::new(Download::new(body, patience, end, ticket)))
}

/// Waits for the answer as long as something moves: see [`Source::last`].
async fn patiently<F, T>(mut reply: std::pin::Pin<&mut F>, source: &Source, patience: Duration) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let begun = Instant::now();
    loop {
        let last = source.last().unwrap_or(begun);
        match tokio::time::timeout_at(last + patience, reply.as_mut()).await {
            Ok(reply) => return reply,
            Err(_) if source.last().is_some_and(|now| now > last) => {}
            Err(_) => return Err(Failure::Timeout.error(format_args!("no answer within {patience:?}"))),
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.0.endpoints.iter().map(|endpoint| endpoint.base.to_string()).collect();
        f.debug_struct("Upstream").field("addresses", &addresses).field("api", &self.0.api).finish_non_exhaustive()
    }
}
