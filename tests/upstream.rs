//! A server behind the shim that misbehaves, on real sockets.

mod catalog;
mod chaos;
mod client;
#[cfg(feature = "server")]
mod credentials;
mod delivery;
#[cfg(feature = "server")]
mod flavour;
mod flight;
#[cfg(feature = "server")]
mod grpc;
#[cfg(feature = "server")]
mod influxdb2;
mod raw;
#[cfg(feature = "server")]
mod spool;
#[cfg(feature = "embedded")]
mod tandem;
#[cfg(feature = "server")]
mod tls;
mod translation;
