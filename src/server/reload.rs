//! Keeps the configuration up to date while the server runs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    select,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::{
    backend::Backend,
    stop,
    tls::{self, Certificates},
    token,
};
use crate::{
    config::{Change, Config, Live, Loaded, Problem, Problems, Watch},
    telemetry::{LogFilter, Metrics},
};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What a reload touches besides the configuration.
#[derive(Clone)]
pub(super) struct Reload {
    pub(super) backend: Backend,
    pub(super) live: Live,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) log: LogFilter,
    pub(super) metrics: Metrics,
}

impl Reload {
    /// Watches files and SIGHUP until `shutdown` says so.
    pub(super) async fn run(self, mut watch: Watch, mut shutdown: watch::Receiver<bool>) {
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => return tracing::error!(%error, "can't listen to signals: the configuration stays as it is"),
        };
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = select! {
                () = stop(&mut shutdown) => return,
                _ = hangups.recv() => true,
                _ = ticks.tick() => false,
            };
            // Files may be on a disk that hangs: that is no reason for requests to.
            let reload = self.clone();
            let looked = spawn_blocking(move || {
                if asked || watch.changed() {
                    reload.now(&mut watch);
                }
                watch
            });
            match looked.await {
                Ok(back) => watch = back,
                Err(error) => return tracing::error!(%error, "reloading has failed: the configuration stays as it is"),
            }
        }
    }

    fn now(&self, watch: &mut Watch) {
        let result = watch.reload(&self.live, |loaded| self.prepare(loaded));
        if result.is_ok() {
            self.backend.follow(&self.live.load());
        }
        self.metrics.reload(result.is_ok());
        match result {
            Ok(Change { restart }) if restart.is_empty() => tracing::info!("configuration reloaded"),
            Ok(Change { restart }) => {
                tracing::warn!("configuration reloaded, but these wait for a restart: {}", restart.join(", "));
            }
            Err(problems) => {
                for problem in problems.0 {
                    tracing::error!("{problem}");
                }
                tracing::error!("the configuration has mistakes: the old one stays in force");
            }
        }
    }

    fn prepare(&self, loaded: &mut Loaded) -> Result<(), Problems> {
        let _ = provide_token(loaded)?;
        if let (Some(certificates), Some(tls)) = (&self.certificates, &loaded.config.server.tls) {
            certificates.set(tls::load(tls)?);
        }
        self.log.set(&loaded.config.server.log);
        Ok(())
    }
}

/// The admin token, where the configuration lives on it: its file is one of the configuration's. The path if it was made just now.
pub(super) fn provide_token(loaded: &mut Loaded) -> Result<Option<PathBuf>, Problems> {
    let Some(path) = token::wanted(&loaded.config) else { return Ok(None) };
    let made = provide(&mut loaded.config, &path)?;
    loaded.files.push(path.clone());
    Ok(made.then_some(path))
}

fn provide(config: &mut Config, path: &std::path::Path) -> Result<bool, Problems> {
    token::provide(config, path).map_err(|error| {
        let message = format!("none is configured, and {path:?} can't be used: {error}");
        Problems(vec![Problem { line: None, key: "auth.token".to_owned(), message }])
    })
}
