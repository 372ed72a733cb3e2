//! What is told about requests: [`Seen`], which the layers fill in for whoever logs; the shortening and redaction of statements; and
//! for the program (feature `server`) logs and metrics.

pub mod delivery;
#[cfg(feature = "server")]
mod log;
#[cfg(feature = "server")]
mod metrics;
mod seen;
mod statement;

#[cfg(feature = "server")]
pub use log::{LogFilter, init};
#[cfg(feature = "server")]
pub use metrics::{CallKind, Exporter, Metrics};
pub use seen::Seen;
pub use statement::shorten;
