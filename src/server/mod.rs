//! The program: a listener, what stands below the stack, and the life of a process.
//!
//! | topic | file |
//! |---|---|
//! | connections: limits, HTTP/1.1, h2, idleness, draining | `listen` |
//! | the threads that serve them in front of an upstream | `workers` |
//! | what happens on a connection; a client that stops reading | `activity`, `io` |
//! | what is no request | `unreadable` |
//! | TLS | `tls` |
//! | what all answers have in common; preflight, `/health` | `front`, `cors`, `request_id`, `gzip`, `body` |
//! | `/metrics` | `metrics` |
//! | the first token | `token` |
//! | the store or the client to an upstream | `backend` |
//! | configuration that changes | `reload` |
//!
//! The order of a start: configuration, logs, store (its log is replayed before anybody is let in), token, listener. The order of an
//! end (SIGTERM, SIGINT): `/health` fails, the listener closes, open requests finish within `shutdown_grace`, the store closes. A
//! second signal ends it at once; the store is as safe as after a crash, which is safe.

mod activity;
mod backend;
mod body;
mod cors;
mod front;
mod gzip;
mod io;
mod listen;
mod metrics;
mod reload;
mod request_id;
mod socket;
mod tls;
mod token;
mod unreadable;
mod workers;

use std::{
    fmt,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::join_all;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, watch},
};
use tower_layer::Layer;

use self::{backend::Backend, front::Front, reload::Reload, socket::Listener, workers::Workers};
use crate::{
    config::{self, Live, Loaded, Problem, Problems, Watch},
    stack::V1ShimLayer,
    telemetry::{self, Exporter, Metrics},
    types::BoxError,
    upstream::Upstream,
};

/// Why the program can't start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration has mistakes.
    Config(Problems),
    /// Something else, and what it was about.
    Other(String, BoxError),
}

impl StartError {
    fn about(what: impl Into<String>) -> impl FnOnce(BoxError) -> Self {
        let what = what.into();
        move |error| Self::Other(what, error)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => problems.fmt(f),
            Self::Other(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(problems) => Some(problems),
            Self::Other(_, error) => Some(error.as_ref()),
        }
    }
}

impl From<Problems> for StartError {
    fn from(problems: Problems) -> Self {
        Self::Config(problems)
    }
}

/// Reads a configuration and everything that it names, and starts nothing.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(path: Option<&Path>) -> Result<Loaded, Problems> {
    let loaded = config::load(path)?;
    if let Some(tls) = &loaded.config.server.tls {
        tls::load(tls)?;
    }
    if let config::Backend::Upstream(upstream) = &loaded.config.backend {
        Upstream::with_limits(upstream, loaded.config.limits).map_err(|error| {
            let message = detailed(&error);
            Problems(vec![Problem { line: None, key: "upstream".to_owned(), message }])
        })?;
    }
    Ok(loaded)
}

/// Serves until a signal says to stop.
///
/// # Errors
/// When it can't start. Once it listens, it ends well.
pub async fn run(path: Option<PathBuf>) -> Result<(), StartError> {
    let mut loaded = check(path.as_deref())?;
    let log = telemetry::init(&loaded.config.server.log, loaded.config.server.log_format);
    let server = loaded.config.server.clone();

    // Everything that can fail comes before the store is opened, which may take its time.
    let mut listeners = Vec::new();
    for listen in &server.listen {
        let bound = Listener::bind(listen).await;
        listeners.push(bound.map_err(|error| StartError::about(format!("can't listen on {listen}"))(error.into()))?);
    }
    let metrics_listener = match server.metrics_listen {
        Some(address) => {
            Some((bind(address).await?, Exporter::install().map_err(|error| StartError::about("metrics")(error.into()))?))
        }
        None => None,
    };
    let metrics = Metrics::new();
    let (certificates, tls) = match &server.tls {
        Some(tls) => {
            let certificates = Arc::new(tls::Certificates::new(tls::load(tls)?));
            let config = tls::config(Arc::clone(&certificates)).map_err(|error| StartError::about("TLS")(error.into()))?;
            (Some(certificates), Some(Arc::new(config)))
        }
        None => (None, None),
    };
    let backend =
        Backend::open(&loaded.config).await.map_err(|error| StartError::about("can't start")(detailed(&error).into()))?;
    let made = reload::provide_token(&mut loaded)?;

    let watch = Watch::new(path, &loaded);
    let live = Live::new(loaded.config);
    let stack = V1ShimLayer::new(live.clone()).catalog(backend.catalog(&live.load())).layer(backend.clone());
    let front = Front::new(stack, live.clone(), metrics.clone());
    let (stop, stopped) = watch::channel(false);

    announce(&listeners, server.tls.is_some(), &live, made.as_deref());
    let reload = tokio::spawn(Reload { backend: backend.clone(), live, certificates, log, metrics }.run(watch, stopped.clone()));
    let scraped = metrics_listener.map(|(listener, exporter)| tokio::spawn(metrics::serve(listener, exporter, stopped.clone())));
    // They share the connections that there may be.
    let room = Arc::new(Semaphore::new(server.max_connections));
    let workers = if backend.is_embedded() {
        None
    } else {
        Some(Arc::new(Workers::start().map_err(|error| StartError::about("can't start threads")(error.into()))?))
    };
    let served: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let (room, workers) = (Arc::clone(&room), workers.clone());
            tokio::spawn(listen::serve(listener, room, tls.clone(), front.clone(), workers, stopped.clone()))
        })
        .collect();
    drop(stopped);

    wait_for_the_end().await;
    tracing::info!("shutting down");
    front.drain();
    let _ = stop.send(true);
    let drained = tokio::select! {
        drained = join_all(served) => drained.into_iter().all(|drained| drained.unwrap_or(false)),
        () = wait_for_the_end() => false,
    };
    if !drained {
        tracing::warn!("requests were still open and have been cut off");
    }
    backend.close().await;
    // They have heard it too.
    let _ = reload.await;
    if let Some(scraped) = scraped {
        let _ = scraped.await;
    }
    tracing::info!("done");
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::about(format!("can't listen on {address}"))(error.into()))
}

/// The message with its causes, for whoever starts the program.
fn detailed(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// SIGTERM or SIGINT.
async fn wait_for_the_end() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        // Without signals there is no other end than the process's.
        _ => std::future::pending().await,
    }
}

/// Waits until the server is told to stop.
async fn stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that nobody is left to tell: that is an end too.
    let _ = stopped.wait_for(|&over| over).await;
}

/// Says on standard output where it listens, and how to get in if that is new. A closed output is nobody's business.
fn announce(listeners: &[Listener], tls: bool, live: &Live, made: Option<&Path>) {
    let config = live.load();
    let urls: Vec<String> = listeners
        .iter()
        .map(|listener| match listener {
            Listener::Tcp(_) => format!("{}://{listener}", if tls { "https" } else { "http" }),
            Listener::Unix(..) => listener.to_string(),
        })
        .collect();
    let mut out = std::io::stdout().lock();
    if let Some(path) = made {
        let path = path.display();
        let _ = writeln!(out, "made an all-access token: {path}");
        if let Some(url) = urls.iter().find(|url| url.starts_with("http")) {
            let _ = writeln!(out, "try it: curl -u \":$(cat {path})\" '{url}/query?q=SHOW+DATABASES'");
        }
    }
    for url in &urls {
        let _ = writeln!(out, "listening on {url}");
        tracing::info!(%url, profile = ?config.compat.profile, auth = ?config.auth.mode, "listening");
    }
    let _ = out.flush();
}
