//! The embedded store: a small native v3 (and v2) server of its own. It speaks [`native`](crate::native) HTTP and knows nothing of the layers.
//!
//! ```text
//!  line protocol ─▶ parse ─▶ schema check ─▶ log ─▶ one fsync for all waiting ─▶ memory ─▶ 204
//!                                                                                  │ beyond `embedded.memory`
//!  InfluxQL ─▶ plan ─▶ operators ◀── scan: memory ∪ files ◀────────────────────────┴─▶ Parquet ─▶ catalog ─▶ log segments go
//! ```
//!
//! [`Engine`] is the store, [`Embedded`] the [`Service`](tower_service::Service) in front of it.

mod batch;
mod buffer;
mod catalog;
mod change;
mod delete;
mod engine;
mod flush;
mod front;
mod ingest;
mod listing;
mod parquet;
mod partition;
pub mod query;
mod scan;
mod schema;
mod statement;
mod tables;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use engine::{Engine, Outcome, Rejected, RejectedLine, Write};
pub use front::Embedded;
pub use partition::shard_duration;
pub use statement::{Query, Reply};
pub use tables::{Partition, Scan, Schema, SeriesBatch, SeriesFilter, Tables};

/// Values of a measurement's tags, in the order of its tag keys; empty: missing.
type TagSet = Arc<[Box<str>]>;

/// The points in memory. They are in order even if somebody panicked with them.
fn memory_of(memory: &Mutex<buffer::Memory>) -> MutexGuard<'_, buffer::Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}
