//! The embedded store: a small native v3 (and v2) server of its own. It speaks [`native`](crate::native) HTTP and knows nothing of the layers.
//!
//! ```text
//!  line protocol ─▶ parse ─▶ schema check ─▶ log ─▶ one fsync for all waiting ─▶ memory ─▶ 204
//!                                                                                  │ beyond `embedded.memory`
//!  InfluxQL ─▶ plan ─▶ operators ◀── scan: memory ∪ files ◀────────────────────────┴─▶ Parquet ─▶ catalog ─▶ log segments go
//! ```
//!
//! [`Engine`] is the store, [`Embedded`] the [`Service`](tower_service::Service) in front of it.

mod engine;
mod front;
pub mod query;
mod tables;

pub use engine::{Engine, Outcome, Query, Rejected, RejectedLine, Reply, Unit, Write};
pub use front::Embedded;
pub use tables::{Scan, Schema, SeriesBatch, SeriesFilter, Tables};
