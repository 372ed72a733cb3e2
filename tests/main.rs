//! All integration tests, in one binary: one link instead of many.

/// `proxy.toml` says the truth.
#[cfg(feature = "server")]
mod config;
/// The program as a whole: start, ends, reload, limits, TLS.
#[cfg(feature = "embedded")]
mod server;
/// Starts the program and asks it.
#[cfg(feature = "server")]
mod support;
/// A server behind the shim that misbehaves.
#[cfg(feature = "upstream")]
mod upstream;
