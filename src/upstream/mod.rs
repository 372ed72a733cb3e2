//! The service below the stack when a v2 or v3 server stands there: a pooled HTTP client that sends the native call on and streams
//! the answer back.
//!
//! | what | how |
//! |---|---|
//! | where to | scheme, authority and base path of `upstream.url`; the path and query of the request are joined to the base as they are |
//! | protocol | HTTP/1.1, or h2 where the server offers it by ALPN; TLS by rustls with the system's roots (or any `ClientConfig`) |
//! | headers | hop-by-hop ones are removed both ways, `Host` is the upstream's; everything else is left alone |
//! | credentials | the request's own `Authorization`, which the layers have settled; `upstream.token` only for calls of the shim's own |
//! | bodies | streamed both ways, never held; trailers too |
//! | time | `connect_timeout` up to the end of the TLS handshake; `timeout` without a sign of life, before and within the answer |
//!
//! What an upstream answers, whatever its status, is an answer and goes back as it is: what it means to a v1 client is decided where
//! replies are read. What keeps an upstream from answering becomes an [`Error`](crate::Error) ([`Failure`] says which): nearly all of
//! them may be gone in a moment, so they are [`Kind::Unavailable`](crate::error::Kind::Unavailable), 503 with `Retry-After`, on which
//! v1 writers keep their batch. A body that breaks off ends with an error, never as if it were complete.
//!
//! [`Upstream`] is the innermost service. What comes between it and the stack (retries, a choice of several upstreams, load shedding) is a
//! Tower layer over it and finds the [`Failure`] as the error's source; [`UpstreamCatalog`] asks through the same client.

mod body;
mod catalog;
mod client;
mod failure;
mod request;
mod service;

pub use catalog::UpstreamCatalog;
pub use failure::Failure;
pub use service::Upstream;
