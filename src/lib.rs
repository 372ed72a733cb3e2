//! InfluxDB v1 clients against v2, v3 or an embedded store.
//!
//! ```text
//!  v1 client ──HTTP──▶ rescue ─▶ auth ─▶ params ─▶ guard ─▶ rewrite ─▶ native v2/v3 HTTP ─▶ upstream │ embedded │ any axum app
//! ```
//!
//! Ranks: a file imports its own module and lower ranks only.
//!
//! | rank | modules |
//! |---|---|
//! | 0 | [`types`], [`error`], [`body`], [`access`], [`service`] |
//! | 1 | [`influxql`], [`lineprotocol`], [`dbrp`], [`native`]: pure text and tables, no tokio, no arrow, no sockets |
//! | 2 | [`call`], [`config`], [`telemetry`], [`respond`], `wal` |
//! | 3 | [`auth`], [`params`], [`guard`], [`rewrite`], [`rescue`]: the layers |
//! | 4 | `upstream`, `embedded`: services that speak native HTTP; they don't know each other, nor the layers |
//! | 5 | `stack` → `server` → `main` |

#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod access;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod auth;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod body;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod call;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod config;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod dbrp;
#[cfg(feature = "embedded")]
pub mod embedded;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod error;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod guard;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod influxql;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod lineprotocol;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod native;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod params;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod rescue;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod respond;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod rewrite;
#[cfg(feature = "server")]
pub mod server;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod service;
pub mod stack;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod telemetry;
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod types;
#[cfg(feature = "upstream")]
pub mod upstream;
#[cfg(feature = "wal")]
#[deny(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod wal;

pub use body::Body;
pub use error::Error;
pub use stack::{V1Shim, V1ShimLayer};

/// The README's Rust is compiled and run.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;
