//! Writes wait on disk while the upstream is away: acknowledged once they are durable, delivered in order when it is back, whatever happens
//! to this process in between.
//!
//! ```text
//!  write ─▶ nothing waits: to the upstream ─▶ its answer
//!             │ something does, or the upstream is away
//!             ▼
//!           log on disk ─▶ 204 … ─▶ one after the other to the upstream ─▶ delivered │ refused for good: dead letter
//! ```
//!
//! 1. As soon as one write waits, all later ones go behind it, so that of two values for one point the later one wins. A write may be
//!    delivered twice after a crash: it is the same points.
//! 2. What the upstream says about a write that it was asked for (a bad line, no such bucket) the client hears; what it says about one that
//!    was acknowledged is in the dead letters and the log.
//! 3. It never gives up on an upstream that is away, or on a token that isn't good at the moment, before `spool.max_age`.
//! 4. A full spool (`spool.max_bytes`) refuses with 503: v1 writers keep their batch.
//!
//! Only what was authorized here may be acknowledged, and no client's secret is stored: so it takes the upstream's own token, and
//! `auth.mode = "local"` in front of it.

mod deliver;
mod entry;
mod fate;
mod service;
mod store;

pub use service::Spooled;
