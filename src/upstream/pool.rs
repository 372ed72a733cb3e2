//! Connections to one address that speaks HTTP/1.1 without TLS, kept between requests.
//!
//! A pooled client like hyper-util's gives every connection a task of its own: request, answer and each of their chunks pass through
//! channels and wake another task, on another core if need be. In front of a server that answers at once, that is a good part of all work.
//! Here a connection has no task: whoever waits for an answer, or reads it, drives it, and an idle one rests.

use std::{
    cell::Cell,
    collections::VecDeque,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

#[cfg(feature = "server")]
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header::HOST};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{Connection, SendRequest, handshake},
    },
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{net::TcpStream, time::Instant};
use tower_service::Service;

use super::{
    client::{IDLE_CONNECTIONS, IDLE_TIMEOUT, tcp},
    failure::{Failure, before_answer, words},
};
use crate::{body::Body, error::Error};

/// How often idle connections are looked at: those that the server has closed shouldn't wait for a request to be noticed.
const LOOK: Duration = Duration::from_secs(5);

/// The connections to one address.
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    /// Scheme and authority.
    address: Uri,
    host: HeaderValue,
    connector: HttpConnector,
    connect_timeout: Duration,
    /// Of the threads that keep to themselves, behind those of all others.
    idle: Box<[Mutex<Idle>]>,
}

thread_local! {
    static SHELF: Cell<usize> = const { Cell::new(0) };
}

/// What is connected to upstreams on this thread is used on this thread only. For threads with a runtime of their own: a connection is woken
/// by the runtime that it was made on.
#[cfg(feature = "server")]
pub(crate) fn keep_to_this_thread() {
    static THREADS: AtomicUsize = AtomicUsize::new(1);
    SHELF.set(THREADS.fetch_add(1, Ordering::Relaxed));
}

#[derive(Default)]
struct Idle {
    /// The one that was used last is the next one to be used, so that those that are too many grow old.
    links: VecDeque<(Instant, Box<Link>)>,
    /// A task looks at them.
    watched: bool,
}

/// A connection.
struct Link {
    sender: SendRequest<Body>,
    /// `None` once it has ended: a request that is still waiting for it comes back when it is dropped, and not before.
    connection: Option<Connection<TokioIo<TcpStream>, Body>>,
    /// Where it is kept.
    shelf: usize,
}

impl Link {
    fn drive(&mut self, cx: &mut Context<'_>) {
        // What has gone wrong is told to whoever waits for the answer.
        if self.connection.as_mut().is_some_and(|connection| Pin::new(connection).poll(cx).is_ready()) {
            self.connection = None;
        }
    }

    /// Whether it can take another request, now that an answer has ended.
    fn is_free(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.sender.is_ready() {
            self.drive(cx);
        }
        self.connection.is_some() && self.sender.is_ready()
    }

    async fn exchange(&mut self, request: Request<Body>) -> Result<(Response<Incoming>, bool), TrySendError<Request<Body>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            self.drive(cx);
            let polled = answer.as_mut().poll(cx);
            polled.map_ok(|answer| {
                let free = answer.body().is_end_stream() && self.is_free(cx);
                (answer, free)
            })
        })
        .await
    }
}

impl Pool {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// When no header could carry the host's name.
    pub(super) fn new(address: Uri, connect_timeout: Duration) -> Result<Self, Error> {
        let host = match (address.host().unwrap_or_default(), address.port_u16()) {
            (host, None | Some(80)) => HeaderValue::try_from(host),
            (host, Some(port)) => HeaderValue::try_from(format!("{host}:{port}")),
        };
        let host =
            host.map_err(|_| Error::invalid(format!("upstream.url has a host that no header may carry: \"{address}\"")))?;
        let connector = tcp(connect_timeout);
        let shelves = std::thread::available_parallelism().map_or(1, usize::from) + 1;
        let idle = (0..shelves).map(|_| Mutex::default()).collect();
        Ok(Self(Arc::new(Shared { address, host, connector, connect_timeout, idle })))
    }

    /// Sends a request whose URI is a path, on an idle connection if there is one.
    pub(super) async fn send(&self, mut request: Request<Body>) -> Result<Response<Reply>, Error> {
        request.headers_mut().insert(HOST, self.0.host.clone());
        loop {
            let (mut link, used) = match self.0.take() {
                Some(link) => (link, true),
                None => (self.0.connect().await?, false),
            };
            match link.exchange(request).await {
                Ok((answer, free)) => {
                    let ended = answer.body().is_end_stream();
                    let link = match (free, ended) {
                        (true, _) => {
                            self.0.put(link);
                            None
                        }
                        // The answer has come before the end of the request, or the server is done with this connection.
                        (false, true) => None,
                        (false, false) => Some((link, Arc::clone(&self.0))),
                    };
                    return Ok(answer.map(|body| Reply { body, link }));
                }
                Err(mut error) => match error.take_message() {
                    // It was closed while it was idle: nothing of the request was sent.
                    Some(back) if used => request = back,
                    _ => return Err(before_answer(&error.into_error())),
                },
            }
        }
    }
}

impl Shared {
    fn shelf(&self) -> usize {
        match SHELF.get() {
            0 => 0,
            thread => 1 + (thread - 1) % (self.idle.len() - 1),
        }
    }

    fn lock(&self, shelf: usize) -> MutexGuard<'_, Idle> {
        self.idle[shelf].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Box<Link>> {
        let mut idle = self.lock(self.shelf());
        while let Some((since, link)) = idle.links.pop_back() {
            if !link.sender.is_closed() && since.elapsed() < IDLE_TIMEOUT {
                return Some(link);
            }
        }
        None
    }

    fn put(self: &Arc<Self>, link: Box<Link>) {
        let shelf = link.shelf;
        let mut idle = self.lock(shelf);
        if idle.links.len() >= IDLE_CONNECTIONS {
            return;
        }
        idle.links.push_back((Instant::now(), link));
        if !idle.watched {
            idle.watched = true;
            drop(tokio::spawn(watch(Arc::downgrade(self), shelf)));
        }
    }

    /// Drops idle connections that are closed or old; whether any are left.
    fn sweep(&self, shelf: usize) -> bool {
        let mut idle = self.lock(shelf);
        // Whoever takes one has itself woken anew.
        let mut cx = Context::from_waker(Waker::noop());
        idle.links.retain_mut(|(since, link)| since.elapsed() < IDLE_TIMEOUT && link.is_idle(&mut cx));
        idle.watched = !idle.links.is_empty();
        idle.watched
    }

    async fn connect(&self) -> Result<Box<Link>, Error> {
        let mut connector = self.connector.clone();
        let connecting = async {
            poll_fn(|cx| connector.poll_ready(cx)).await?;
            connector.call(self.address.clone()).await
        };
        let io = match tokio::time::timeout(self.connect_timeout, connecting).await {
            Ok(Ok(io)) => io,
            Ok(Err(error)) => return Err(Failure::Connect.error(words(&error))),
            Err(_) => return Err(Failure::Connect.error(format_args!("no connection within {:?}", self.connect_timeout))),
        };
        let (sender, connection) = handshake(io).await.map_err(|error| before_answer(&error))?;
        Ok(Box::new(Link { sender, connection: Some(connection), shelf: self.shelf() }))
    }
}

/// Looks at idle connections from time to time, for as long as there are any.
async fn watch(pool: Weak<Shared>, shelf: usize) {
    loop {
        tokio::time::sleep(LOOK).await;
        match pool.upgrade() {
            Some(pool) if pool.sweep(shelf) => {}
            _ => return,
        }
    }
}

impl Link {
    /// Whether an idle connection still stands.
    fn is_idle(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        self.connection.is_some() && self.sender.is_ready()
    }
}

/// The body of an answer: whoever reads it drives the connection.
pub(super) struct Reply {
    body: Incoming,
    /// The connection and where it belongs, as long as something is to come.
    link: Option<(Box<Link>, Arc<Shared>)>,
}

impl From<Incoming> for Reply {
    /// A body whose connection drives itself.
    fn from(body: Incoming) -> Self {
        Self { body, link: None }
    }
}

impl HttpBody for Reply {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let mut polled = Pin::new(&mut this.body).poll_frame(cx);
        if let (Poll::Pending, Some((link, _))) = (&polled, &mut this.link) {
            link.drive(cx);
            polled = Pin::new(&mut this.body).poll_frame(cx);
        }
        let ended = match &polled {
            Poll::Ready(Some(Ok(_))) => this.body.is_end_stream(),
            Poll::Ready(None) => true,
            Poll::Ready(Some(Err(_))) => {
                this.link = None;
                false
            }
            Poll::Pending => false,
        };
        if ended
            && let Some((mut link, pool)) = this.link.take()
            && link.is_free(cx)
        {
            pool.put(link);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream as Blocking},
        sync::mpsc,
        thread,
    };

    use super::*;

    /// A server that answers `answers` requests on each connection and then closes it; it tells of every connection.
    fn server(answers: usize) -> (Pool, mpsc::Receiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let (tell, told) = mpsc::channel();
        let serve = move |mut stream: Blocking| {
            for _ in 0..answers {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    match stream.read(&mut byte) {
                        Ok(1) => head.extend(byte),
                        _ => return,
                    }
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(()) = tell.send(()) else { return };
                thread::spawn(move || serve(stream.unwrap()));
            }
        });
        (Pool::new(address, Duration::from_secs(5)).unwrap(), told)
    }

    async fn ask(pool: &Pool) -> Bytes {
        let answer = pool.send(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn connections_are_kept_as_long_as_they_stand() {
        let (pool, connections) = server(3);
        for _ in 0..3 {
            assert_eq!(ask(&pool).await, "ok");
        }
        assert_eq!(connections.try_iter().count(), 1);
        // The server has closed it, or is about to.
        while pool.0.sweep(0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(ask(&pool).await, "ok");
        assert_eq!(connections.try_iter().count(), 1);
        assert!(pool.0.sweep(0), "this one stands");
    }

    #[tokio::test]
    async fn what_is_sent_on_a_connection_that_the_server_has_closed_goes_on_another() {
        let (pool, connections) = server(1);
        for _ in 0..3 {
            let asked = tokio::time::timeout(Duration::from_secs(2), ask(&pool));
            assert_eq!(asked.await.expect("nobody waits for a connection that is gone"), "ok");
            // Nobody looks at the idle connection in between.
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        assert_eq!(connections.try_iter().count(), 3);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_to_its_end_takes_its_connection_with_it() {
        let (pool, connections) = server(10);
        drop(pool.send(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());
        assert_eq!(ask(&pool).await, "ok");
        assert_eq!(connections.try_iter().count(), 2);
    }

    #[cfg(feature = "server")]
    #[test]
    fn threads_that_keep_to_themselves_share_no_connections() {
        let (pool, connections) = server(10);
        let work = |alone: bool| {
            if alone {
                keep_to_this_thread();
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            for _ in 0..2 {
                assert_eq!(runtime.block_on(ask(&pool)), "ok");
            }
            pool.0.shelf()
        };
        let shelves = thread::scope(|scope| [true, false].map(|alone| scope.spawn(move || work(alone)).join().unwrap()));
        assert!(shelves[0] > 0 && shelves[1] == 0, "{shelves:?}");
        assert_eq!(connections.try_iter().count(), 2);
    }
}
