//! All integration tests, in one binary: one link instead of many.

/// `proxy.toml` says the truth.
#[cfg(feature = "server")]
mod config;
/// InfluxQL as 1.x reads it.
mod influxql;
/// The embedded store, its log on a disk that misbehaves, and its native front.
#[cfg(feature = "embedded")]
mod store;
/// Starts the program and asks it.
#[cfg(feature = "server")]
mod support;
/// A server behind the shim that misbehaves.
#[cfg(feature = "upstream")]
mod upstream;
