//! The embedded store: a small native v3 (and v2) server of its own. It speaks [`native`](crate::native) HTTP and knows nothing of the layers.

mod tables;

pub use tables::{Scan, Schema, SeriesBatch, SeriesFilter, Tables};
