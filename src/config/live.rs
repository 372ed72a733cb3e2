//! The configuration that is in force, and what a reload may change of it.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Backend, Config};

/// The configuration as it is now, shared by everybody; a reload swaps it. A request looks once and keeps what it saw.
#[derive(Clone, Debug)]
pub struct Live(Arc<ArcSwap<Config>>);

/// The configuration that a request sees: an extension that the stack puts there, so that all layers see the same one.
#[derive(Clone, Debug)]
pub struct Snapshot(pub Arc<Config>);

impl Live {
    /// Starts with this configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// The configuration now.
    #[must_use]
    pub fn load(&self) -> Arc<Config> {
        self.0.load_full()
    }

    /// The configuration that a request sees: the [`Snapshot`] among its extensions, or else the one now.
    #[must_use]
    pub fn of(&self, extensions: &http::Extensions) -> Arc<Config> {
        extensions.get::<Snapshot>().map_or_else(|| self.load(), |snapshot| Arc::clone(&snapshot.0))
    }

    /// Replaces it; requests under way keep what they saw.
    pub fn store(&self, config: Config) {
        self.0.store(Arc::new(config));
    }
}

impl From<Config> for Live {
    fn from(config: Config) -> Self {
        Self::new(config)
    }
}

impl Config {
    /// Keeps `running`'s values where a change needs a restart (sockets, files that are open, the service below), and says which keys
    /// those are. What is left in `self` may go live.
    #[must_use]
    pub fn keep_what_needs_a_restart(&mut self, running: &Self) -> Vec<&'static str> {
        fn keep<T: Clone + PartialEq>(keys: &mut Vec<&'static str>, key: &'static str, new: &mut T, running: &T) {
            if new != running {
                keys.push(key);
                new.clone_from(running);
            }
        }
        let mut keys = Vec::new();
        let (new, old) = (&mut self.server, &running.server);
        keep(&mut keys, "server.listen", &mut new.listen, &old.listen);
        keep(&mut keys, "server.metrics_listen", &mut new.metrics_listen, &old.metrics_listen);
        keep(&mut keys, "server.max_connections", &mut new.max_connections, &old.max_connections);
        keep(&mut keys, "server.log_format", &mut new.log_format, &old.log_format);
        // The paths of the certificate may change; a listener doesn't change between TLS and plain text.
        if new.tls.is_some() != old.tls.is_some() {
            keys.push("server.tls");
            new.tls.clone_from(&old.tls);
        }
        keep(&mut keys, "spool", &mut self.spool, &running.spool);
        match (&mut self.backend, &running.backend) {
            (Backend::Embedded(new), Backend::Embedded(old)) => {
                keep(&mut keys, "embedded.data_dir", &mut new.data_dir, &old.data_dir);
                keep(&mut keys, "embedded.memory", &mut new.memory, &old.memory);
                // The store divides its memory and threads by them when it is opened, and holds on to the rest with those.
                let (new, old) = (&mut self.limits, &running.limits);
                keep(&mut keys, "limits.body", &mut new.body, &old.body);
                keep(&mut keys, "limits.decompressed", &mut new.decompressed, &old.decompressed);
                keep(&mut keys, "limits.query", &mut new.query, &old.query);
                keep(&mut keys, "limits.query_depth", &mut new.query_depth, &old.query_depth);
                keep(&mut keys, "limits.query_timeout", &mut new.query_timeout, &old.query_timeout);
                keep(&mut keys, "limits.write_timeout", &mut new.write_timeout, &old.write_timeout);
                keep(&mut keys, "limits.query_memory", &mut new.query_memory, &old.query_memory);
                keep(&mut keys, "limits.concurrent_queries", &mut new.concurrent_queries, &old.concurrent_queries);
            }
            (Backend::Upstream(new), Backend::Upstream(old)) => {
                keep(&mut keys, "upstream.api", &mut new.api, &old.api);
                keep(&mut keys, "upstream.query", &mut new.query, &old.query);
                keep(&mut keys, "upstream.url", &mut new.url, &old.url);
                keep(&mut keys, "upstream.org", &mut new.org, &old.org);
                // The paths may change; who spoke with the system's roots goes on to.
                if new.tls.is_some() != old.tls.is_some() {
                    keys.push("upstream.tls");
                    new.tls.clone_from(&old.tls);
                }
                keep(&mut keys, "upstream.connect_timeout", &mut new.connect_timeout, &old.connect_timeout);
                keep(&mut keys, "upstream.timeout", &mut new.timeout, &old.timeout);
                keep(&mut keys, "upstream.urls", &mut new.urls, &old.urls);
                keep(&mut keys, "upstream.retries", &mut new.retries, &old.retries);
                keep(&mut keys, "upstream.retry_percent", &mut new.retry_percent, &old.retry_percent);
                keep(&mut keys, "upstream.replay_bytes", &mut new.replay_bytes, &old.replay_bytes);
                keep(&mut keys, "upstream.max_requests", &mut new.max_requests, &old.max_requests);
                keep(&mut keys, "upstream.breaker_failures", &mut new.breaker_failures, &old.breaker_failures);
                keep(&mut keys, "upstream.health_interval", &mut new.health_interval, &old.health_interval);
                let (new, old) = (&mut self.limits, &running.limits);
                keep(&mut keys, "limits.decompressed", &mut new.decompressed, &old.decompressed);
                keep(&mut keys, "limits.query_timeout", &mut new.query_timeout, &old.query_timeout);
                keep(&mut keys, "limits.write_timeout", &mut new.write_timeout, &old.write_timeout);
            }
            (new, old) => {
                keys.push("backend.kind");
                new.clone_from(old);
            }
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Tls, Upstream};

    #[test]
    fn what_needs_a_restart_is_kept_and_named() {
        let running = Config::default();
        let mut new = Config::default();
        new.server.listen = vec![crate::config::Listen::Unix("other".into())];
        new.server.max_header_bytes = 9000;
        new.server.tls = Some(Tls { cert: "a".into(), key: "b".into() });
        new.backend = Backend::Upstream(Upstream::default());
        assert_eq!(new.keep_what_needs_a_restart(&running), ["server.listen", "server.tls", "backend.kind"]);
        assert_eq!(new.server.listen, running.server.listen);
        assert_eq!(new.server.max_header_bytes, 9000, "what may change changes");
        assert!(matches!(new.backend, Backend::Embedded(_)));
    }

    #[test]
    fn the_store_keeps_the_limits_that_it_was_opened_with() {
        let (running, mut new) = (Config::default(), Config::default());
        new.limits.query_memory *= 2;
        assert_eq!(new.keep_what_needs_a_restart(&running), ["limits.query_memory"]);
        assert_eq!(new.limits.query_memory, running.limits.query_memory);

        let upstream = || Config { backend: Backend::Upstream(Upstream::default()), ..Config::default() };
        let (running, mut new) = (upstream(), upstream());
        new.limits.query_memory *= 2;
        assert!(new.keep_what_needs_a_restart(&running).is_empty(), "the layers alone follow");
    }

    #[test]
    fn a_certificate_may_move() {
        let tls = |name: &str| Some(Tls { cert: name.into(), key: name.into() });
        let (mut running, mut new) = (Config::default(), Config::default());
        (running.server.tls, new.server.tls) = (tls("old"), tls("new"));
        assert!(new.keep_what_needs_a_restart(&running).is_empty());
        assert_eq!(new.server.tls, tls("new"));
    }

    #[test]
    fn a_request_keeps_what_it_saw() {
        let live = Live::new(Config::default());
        let seen = live.load();
        let mut other = Config::default();
        other.compat.passthrough = false;
        live.store(other);
        assert!(seen.compat.passthrough && !live.load().compat.passthrough);
    }
}
