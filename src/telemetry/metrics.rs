//! Prometheus metrics, as typed handles: names and labels stand here and nowhere else.

use std::{
    array,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{Method, StatusCode};
use metrics::{Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::native;

/// What a request wants, as told by its path alone.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CallKind {
    /// `/write` and the native writes.
    Write,
    /// `/query` and the native queries.
    Query,
    /// `/ping` and `/health`
    Ping,
    /// `OPTIONS`
    Preflight,
    /// Everything else.
    Other,
}

/// How many kinds there are.
const CALLS: usize = 5;

impl CallKind {
    /// By method and path; trailing slashes don't count.
    #[must_use]
    pub fn of(method: &Method, path: &str) -> Self {
        if method == Method::OPTIONS {
            return Self::Preflight;
        }
        match path.trim_end_matches('/') {
            "/write" | native::V2_WRITE | native::V3_WRITE => Self::Write,
            "/query" | native::V3_QUERY_INFLUXQL => Self::Query,
            "/ping" | "/health" => Self::Ping,
            _ => Self::Other,
        }
    }

    /// Its label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Query => "query",
            Self::Ping => "ping",
            Self::Preflight => "preflight",
            Self::Other => "other",
        }
    }
}

/// What is counted. Without an [`Exporter`], counting does nothing and costs next to nothing.
#[derive(Clone, Debug)]
pub struct Metrics {
    connections: Gauge,
    requests_open: Gauge,
    received: Counter,
    reloads: [Counter; 2],
    calls: Arc<[Handles; CALLS]>,
}

/// Handles that are looked up when they are first needed, so that nothing is shown that never happened.
#[derive(Debug, Default)]
struct Handles {
    took: OnceLock<Histogram>,
    /// Of writes that went well: of everything else there is less.
    written: OnceLock<Counter>,
}

/// Shows what was counted.
#[derive(Clone, Debug)]
pub struct Exporter(PrometheusHandle);

impl Exporter {
    /// Counts from now on, for all of this process.
    ///
    /// # Errors
    /// When somebody else in this process does already.
    pub fn install() -> Result<Self, BuildError> {
        // A dashboard query takes milliseconds, a retention sweep minutes.
        const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0];
        let handle = PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?;
        describe_counter!("v1shim_requests_total", "Requests answered, by call and status.");
        describe_histogram!("v1shim_request_duration_seconds", "From a request's headers to the end of its answer, by call.");
        describe_counter!("v1shim_write_bytes_total", "Bytes of write bodies as they came over the wire.");
        describe_gauge!("v1shim_requests_open", "Requests being answered.");
        describe_gauge!("v1shim_connections_open", "Open connections.");
        describe_counter!("v1shim_reloads_total", "Reloads of the configuration, by result.");
        describe_counter!("v1shim_upstream_events_total", "What happened on the way to the upstream, by event.");
        describe_gauge!("v1shim_spool_writes", "Writes on disk that wait for the upstream.");
        describe_gauge!("v1shim_spool_bytes", "Bytes on disk that wait for the upstream.");
        Ok(Self(handle))
    }

    /// In Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds samples into buckets; to be called every few seconds.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

impl Metrics {
    /// Handles to the process's metrics; after [`Exporter::install`].
    #[must_use]
    pub fn new() -> Self {
        let reloads = |result: &'static str| counter!("v1shim_reloads_total", "result" => result);
        Self {
            connections: gauge!("v1shim_connections_open"),
            requests_open: gauge!("v1shim_requests_open"),
            received: counter!("v1shim_write_bytes_total"),
            reloads: [reloads("failed"), reloads("succeeded")],
            calls: Arc::new(array::from_fn(|_| Handles::default())),
        }
    }

    /// A connection was opened (`1.0`) or closed (`-1.0`).
    pub fn connection(&self, by: f64) {
        self.connections.increment(by);
    }

    /// A request has begun.
    pub fn request_begun(&self) {
        self.requests_open.increment(1.0);
    }

    /// A request has been answered, or its client has gone.
    pub fn request_done(&self, call: CallKind, status: StatusCode, took: Duration, received: u64) {
        self.requests_open.decrement(1.0);
        let count = || counter!("v1shim_requests_total", "call" => call.name(), "status" => status.as_str().to_owned());
        let histogram = || histogram!("v1shim_request_duration_seconds", "call" => call.name());
        match self.calls.get(call as usize) {
            Some(handles) => {
                match status {
                    StatusCode::NO_CONTENT => handles.written.get_or_init(count).increment(1),
                    _ => count().increment(1),
                }
                handles.took.get_or_init(histogram).record(took);
            }
            None => {
                count().increment(1);
                histogram().record(took);
            }
        }
        if call == CallKind::Write {
            self.received.increment(received);
        }
    }

    /// The configuration was read again.
    pub fn reload(&self, succeeded: bool) {
        if let Some(counter) = self.reloads.get(usize::from(succeeded)) {
            counter.increment(1);
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_their_path() {
        for (method, path, expected) in [
            (Method::POST, "/write", CallKind::Write),
            (Method::POST, "/api/v3/write_lp", CallKind::Write),
            (Method::GET, "/query/", CallKind::Query),
            (Method::HEAD, "/ping", CallKind::Ping),
            (Method::OPTIONS, "/write", CallKind::Preflight),
            (Method::GET, "/", CallKind::Other),
            (Method::GET, "/writer", CallKind::Other),
        ] {
            assert_eq!(CallKind::of(&method, path), expected, "{path}");
        }
    }
}
