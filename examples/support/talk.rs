//! What the examples have in common: a client that speaks v1, and a record of what is said.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use v1shim::types::BoxError;

/// The record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Talk(Arc<Mutex<String>>);

/// An app on a free port.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) url: Uri,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

/// A client with a credential.
#[derive(Debug)]
pub(crate) struct Client {
    name: &'static str,
    url: Uri,
    authorization: &'static str,
    http: Http<HttpConnector, Full<Bytes>>,
    talk: Talk,
}

/// Serves an app.
pub(crate) async fn serve(app: Router) -> Result<Serving, BoxError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?).parse()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        axum::serve(listener, app)
            .with_graceful_shutdown(async {
                let _ = stopped.await;
            })
            .await
    });
    Ok(Serving { url, stop, task })
}

impl Talk {
    /// Notes a line.
    pub(crate) fn say(&self, line: &str) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(line);
        text.push('\n');
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A client that shows this credential.
    pub(crate) fn client(&self, name: &'static str, url: &Uri, authorization: &'static str) -> Client {
        let http = Http::builder(TokioExecutor::new()).build_http();
        Client { name, url: url.clone(), authorization, http, talk: self.clone() }
    }
}

impl Client {
    /// Writes.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Result<(), BoxError> {
        self.send(Method::POST, path, body).await
    }

    /// Asks.
    pub(crate) async fn get(&self, path: &str) -> Result<(), BoxError> {
        self.send(Method::GET, path, "").await
    }

    async fn send(&self, method: Method, path: &str, body: &str) -> Result<(), BoxError> {
        self.talk.say(&format!("{:<8} > {method} {path}", self.name));
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{}", self.url.to_string().trim_end_matches('/'), path))
            .header("authorization", self.authorization)
            .body(Full::from(body.to_owned()))?;
        let (head, body) = self.http.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let body = String::from_utf8_lossy(&body);
        let later = match head.headers.get("retry-after").and_then(|value| value.to_str().ok()) {
            Some(seconds) => format!(", again in {seconds} s:"),
            None => String::new(),
        };
        self.talk.say(format!("{:<8} < {}{later} {}", self.name, head.status.as_u16(), body.trim_end()).trim_end());
        Ok(())
    }
}

impl Serving {
    /// Ends it; returns when it is gone, connections included.
    pub(crate) async fn stop(self) -> Result<(), BoxError> {
        drop(self.stop);
        Ok(self.task.await??)
    }
}
