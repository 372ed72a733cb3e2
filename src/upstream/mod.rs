//! The service below the stack when a v2 or v3 server stands there: a pooled HTTP client that sends the native call on and streams
//! the answer back.
//!
//! | what | how |
//! |---|---|
//! | where to | scheme, authority and base path of `upstream.url`; the path and query of the request are joined to the base as they are |
//! | protocol | HTTP/1.1, or h2 where the server offers it by ALPN; TLS by rustls with the system's roots, a CA and a client certificate from files, or any `ClientConfig` |
//! | gRPC | over HTTP/2, without TLS by prior knowledge; streams both ways, trailers |
//! | headers | hop-by-hop ones are removed both ways, `Host` is the upstream's; everything else is left alone |
//! | credentials | the request's own `Authorization`, which the layers have settled; `upstream.token` only for calls of the shim's own |
//! | bodies | streamed both ways; of what may be sent again the chunks are kept, shared, up to `replay_bytes` |
//! | time | `connect_timeout` up to the end of the TLS handshake; `timeout` without a sign of life, before and within the answer; as a whole the limits for writes and queries |
//! | failures | see `delivery`: repeated where that is safe, elsewhere where there are several addresses; a batch that is too large goes in pieces |
//! | overload | no more than `max_requests` at once; an address that fails again and again is left alone for a while |
//!
//! What an upstream answers, whatever its status, is an answer and goes back as it is: what it means to a v1 client is decided where
//! replies are read. What keeps an upstream from answering becomes an [`Error`](crate::Error) ([`Failure`] says which): nearly all of
//! them may be gone in a moment, so they are [`Kind::Unavailable`](crate::error::Kind::Unavailable), 503 with `Retry-After`, on which
//! v1 writers keep their batch. A body that breaks off ends with an error, never as if it were complete.
//!
//! [`Upstream`] is the innermost service. [`UpstreamCatalog`] asks through the same client, and [`Upstream::watch_health`] looks
//! after several addresses. [`Spooled`] is an upstream before which writes wait on disk while it is away.

mod body;
mod catalog;
mod client;
mod delivery;
mod failure;
mod flavour;
mod pieces;
mod pool;
mod request;
mod service;
mod spool;
mod tls;

pub use catalog::UpstreamCatalog;
pub use failure::Failure;
#[cfg(feature = "server")]
pub(crate) use pool::keep_to_this_thread;
pub use service::Upstream;
pub use spool::Spooled;
