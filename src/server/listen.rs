//! Connections: accepted within a limit, served with both HTTP versions, given up when nothing happens, drained at the end.

use std::{convert::Infallible, future::pending, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    select,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use super::{
    activity::{Activity, Busy},
    front::Front,
    io::Patient,
    socket::{Listener, Stream},
    stop,
    unreadable::Unreadable,
    workers::Workers,
};
use crate::{body::Body, config::Server, types::BoxFuture};

/// Streams that one HTTP/2 connection may have open.
const STREAMS: u32 = 128;

/// Accepts until `shutdown` says so, then lets open requests finish for as long as the configuration grants. True when all did.
pub(super) async fn serve<S>(
    listener: Listener,
    room: Arc<Semaphore>,
    tls: Option<Arc<ServerConfig>>,
    front: Front<S>,
    workers: Option<Arc<Workers>>,
    mut shutdown: watch::Receiver<bool>,
) -> bool
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let stopped = shutdown.clone();
    let tls = tls.filter(|_| listener.takes_tls()).map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    loop {
        select! {
            biased;
            () = stop(&mut shutdown) => break,
            // Finished ones are collected as they finish, else the set would only grow.
            Some(_) = connections.join_next() => {}
            (stream, peer, permit) = accept(&listener, &room) => {
                let (front, tls, shutdown) = (front.clone(), tls.clone(), stopped.clone());
                let serve = async move |stream: Stream| {
                    front.metrics().connection(1.0);
                    match stream {
                        Stream::Tcp(stream) => greet(stream, peer, tls, &front, shutdown).await,
                        Stream::Unix(stream) => greet(stream, peer, tls, &front, shutdown).await,
                    }
                    front.metrics().connection(-1.0);
                    drop(permit);
                };
                match workers.as_ref().and_then(|workers| workers.choose()) {
                    None => connections.spawn(serve(stream)),
                    Some((handle, place)) => {
                        // It belongs to the runtime that has accepted it.
                        let Ok(stream) = stream.into_std() else { continue };
                        let serve = async move {
                            // An error is the system's: there is nothing left that anybody could be told through.
                            if let Ok(stream) = stream.into_tokio() {
                                serve(stream).await;
                            }
                            drop(place);
                        };
                        connections.spawn_on(serve, handle)
                    }
                };
            }
        }
    }
    drop(listener);
    let grace = front.live().load().server.shutdown_grace;
    let drained = timeout(grace, async { while connections.join_next().await.is_some() {} }).await.is_ok();
    connections.shutdown().await;
    drained
}

/// The next connection, when there is room for it. Errors are the system's (too many files, a client gone already): they pass.
async fn accept(listener: &Listener, room: &Arc<Semaphore>) -> (Stream, SocketAddr, OwnedSemaphorePermit) {
    let Ok(permit) = Arc::clone(room).acquire_owned().await else {
        // The semaphore is never closed.
        return pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) if is_about_the_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "can't accept connections");
                sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

fn is_about_the_client(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

async fn greet<S, I>(stream: I, peer: SocketAddr, tls: Option<TlsAcceptor>, front: &Front<S>, shutdown: watch::Receiver<bool>)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = front.live().load();
    let stream = Patient::new(stream, config.server.idle_timeout);
    let Some(tls) = tls else { return connection(stream, peer, front, &config.server, shutdown).await };
    match timeout(config.server.header_timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, peer, front, &config.server, shutdown).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
    }
}

async fn connection<S, I>(io: I, peer: SocketAddr, front: &Front<S>, config: &Server, mut shutdown: watch::Receiver<bool>)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new(config));
    let service = hyper::service::service_fn({
        let activity = Arc::clone(&activity);
        let front = Arc::new(front.clone());
        move |request: Request<Incoming>| {
            let (front, busy) = (Arc::clone(&front), Busy::new(&activity));
            async move { Ok::<_, Infallible>(front.answer(peer, request, busy).await) }
        }
    });
    let io = Unreadable::new(io, Arc::clone(&activity), {
        let front = front.clone();
        move |status| front.unreadable(peer, status)
    });
    let builder = builder(config);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut closing = false;
    let look = async |deadline: Instant| {
        sleep_until(deadline).await;
        Event::Look
    };
    // Woken with every byte that moves, this looks at what hardly ever happens only when it has happened.
    let mut events = FuturesUnordered::<BoxFuture<'_, Event>>::new();
    events.push(Box::pin(async move {
        stop(&mut shutdown).await;
        Event::Stop
    }));
    events.push(Box::pin(look(activity.deadline())));
    loop {
        select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%peer, error, "connection ended");
                }
                return;
            }
            Some(event) = events.next() => match event {
                Event::Stop if closing => {}
                Event::Stop => {
                    connection.as_mut().graceful_shutdown();
                    closing = true;
                }
                Event::Look => {
                    let mut deadline = activity.deadline();
                    if deadline <= Instant::now() {
                        if closing {
                            return;
                        }
                        tracing::debug!(%peer, "nothing happens on this connection");
                        connection.as_mut().graceful_shutdown();
                        closing = true;
                        // For the good-bye to be said.
                        deadline = Instant::now() + Duration::from_secs(1);
                    }
                    events.push(Box::pin(look(deadline)));
                }
            }
        }
    }
}

/// What happens on a connection besides requests.
enum Event {
    /// The server ends.
    Stop,
    /// It may have been idle for too long.
    Look,
}

fn builder(config: &Server) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Whose header doesn't come has sent no request, and so is idle: no need for another timer with every request.
        .header_read_timeout(None)
        .max_buf_size(config.max_header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        // What is beyond this is refused by the library, without our headers; what is beyond the limit itself, by `Front`.
        .max_header_list_size(u32::try_from(config.max_header_bytes.saturating_mul(2)).unwrap_or(u32::MAX))
        // A peer that is gone without a word holds its streams until it is missed.
        .keep_alive_interval(config.idle_timeout)
        .keep_alive_timeout(config.header_timeout);
    builder
}
