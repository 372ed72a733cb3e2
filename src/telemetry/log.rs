//! Logs: to standard error, for people or for machines.

use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::config::LogFormat;

/// Changes what is logged while the program runs.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

/// Starts logging. `filter` has been checked by the configuration; one that is none logs at `info`.
#[must_use]
pub fn init(filter: &str, format: LogFormat) -> LogFilter {
    let (filter, handle) = reload::Layer::new(parse(filter));
    let registry = tracing_subscriber::registry().with(filter);
    let result = match format {
        LogFormat::Text => registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(is_terminal())).try_init(),
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init(),
    };
    // Somebody else in this process logs already: theirs it is.
    drop(result);
    LogFilter(handle)
}

impl LogFilter {
    /// From now on by this filter.
    pub fn set(&self, filter: &str) {
        // Fails only when the subscriber is gone, and then there is nobody to log to.
        let _ = self.0.reload(parse(filter));
    }
}

fn parse(filter: &str) -> EnvFilter {
    EnvFilter::builder().parse(filter).unwrap_or_else(|_| EnvFilter::new("info"))
}

fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}
