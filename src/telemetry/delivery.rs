//! What happens on the way to an upstream, counted. Nothing is, in an application that uses the client without the `server` feature.

/// Something on the way to an upstream.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Event {
    /// A request was repeated.
    Retry,
    /// A request was refused because too many were open.
    Shed,
    /// An address was left alone for a while.
    Trip,
    /// A batch was sent in pieces.
    Split,
    /// A write was put on disk.
    Spool,
    /// A write from disk was delivered.
    Deliver,
    /// A write from disk never will be.
    DeadLetter,
}

impl Event {
    #[cfg(feature = "server")]
    const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Shed => "shed",
            Self::Trip => "trip",
            Self::Split => "split",
            Self::Spool => "spool",
            Self::Deliver => "deliver",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// Counts one.
pub fn count(event: Event) {
    #[cfg(feature = "server")]
    metrics::counter!("v1shim_upstream_events_total", "event" => event.name()).increment(1);
    #[cfg(not(feature = "server"))]
    let _ = event;
}

/// How much waits on disk.
pub fn spooled(writes: u64, bytes: u64) {
    #[cfg(feature = "server")]
    {
        // Exact up to 2^53, which is far more than a disk has.
        #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
        let (writes, bytes) = (writes as f64, bytes as f64);
        metrics::gauge!("v1shim_spool_writes").set(writes);
        metrics::gauge!("v1shim_spool_bytes").set(bytes);
    }
    #[cfg(not(feature = "server"))]
    let _ = (writes, bytes);
}
