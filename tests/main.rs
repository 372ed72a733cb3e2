//! All integration tests, in one binary: one link instead of many.

/// Statements that change something, through the program.
#[cfg(all(feature = "server", feature = "embedded"))]
mod change;
/// `proxy.toml` says the truth.
#[cfg(feature = "server")]
mod config;
/// `kill -9`.
#[cfg(all(feature = "server", feature = "embedded"))]
mod crash;
/// The examples do what their first lines promise.
#[cfg(feature = "upstream")]
mod examples;
/// InfluxQL as 1.x reads it.
mod influxql;
/// Who may ask, what is asked, what may run: the layers in front of the native API.
mod layers;
/// What a query may take.
#[cfg(all(feature = "server", feature = "embedded"))]
mod limits;
/// InfluxQL against what InfluxDB 1.6.7 answers.
#[cfg(feature = "embedded")]
mod query;
/// The README's session.
#[cfg(feature = "embedded")]
mod readme;
/// A server on a socket that gives the answers recorded from InfluxDB 3 Core.
#[cfg(feature = "upstream")]
mod recorded;
/// Requests of dashboards and clients to the whole stack over the embedded store, against what InfluxDB 1.6.7 answers.
#[cfg(feature = "embedded")]
mod replay;
/// The program as a whole: start, ends, reload, limits, TLS.
#[cfg(feature = "embedded")]
mod server;
/// The whole stack over services that only listen.
mod stack;
/// The embedded store, its log on a disk that misbehaves, and its native front.
#[cfg(feature = "embedded")]
mod store;
/// Starts the program and asks it.
#[cfg(feature = "server")]
mod support;
/// A server behind the shim that misbehaves.
#[cfg(feature = "upstream")]
mod upstream;
