//! Connections: accepted within a limit, served with both HTTP versions, given up when nothing happens, drained at the end.

use std::{convert::Infallible, future::pending, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

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
};
use crate::{body::Body, config::Server};

/// Streams that one HTTP/2 connection may have open.
const STREAMS: u32 = 128;

/// Accepts until `shutdown` says so, then lets open requests finish for as long as the configuration grants. True when all did.
pub(super) async fn serve<S>(
    listener: Listener,
    room: Arc<Semaphore>,
    tls: Option<Arc<ServerConfig>>,
    front: Front<S>,
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
                connections.spawn(async move {
                    front.metrics().connection(1.0);
                    match stream {
                        Stream::Tcp(stream) => greet(stream, peer, tls, &front, shutdown).await,
                        Stream::Unix(stream) => greet(stream, peer, tls, &front, shutdown).await,
                    }
                    front.metrics().connection(-1.0);
                    drop(permit);
                });
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
        let front = front.clone();
        move |request: Request<Incoming>| {
            let (front, busy) = (front.clone(), Busy::new(&activity));
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
    let mut deadline = activity.deadline();
    loop {
        select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%peer, error, "connection ended");
                }
                return;
            }
            () = stop(&mut shutdown), if !closing => {
                connection.as_mut().graceful_shutdown();
                closing = true;
            }
            () = sleep_until(deadline) => {
                deadline = activity.deadline();
                if deadline > Instant::now() {
                    continue;
                }
                if closing {
                    return;
                }
                tracing::debug!(%peer, "nothing happens on this connection");
                connection.as_mut().graceful_shutdown();
                closing = true;
                // For the good-bye to be said.
                deadline = Instant::now() + Duration::from_secs(1);
            }
        }
    }
}

fn builder(config: &Server) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // It runs from the end of the last answer on, so it is the time between requests too.
        .header_read_timeout(config.header_timeout.max(config.idle_timeout))
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
