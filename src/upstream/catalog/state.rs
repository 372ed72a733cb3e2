//! What the upstream has told to one credential.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use super::{MADE, MISSED, PATIENCE, call::Caller, names, names::Names, v2, v3};
use crate::{
    error::{Blame, Error, Kind},
    native::{Api, AuthErrors},
    upstream::Upstream,
};

/// How soon an upstream that could not be asked is asked again. Until then nobody waits for it.
const REFUSED: Duration = Duration::from_secs(5);
/// How many refresh intervals old an answer may be to serve while it is refreshed.
const STALE: u32 = 6;
/// Names of which is remembered that they could not be made.
const FAILURES: usize = 256;

/// What one credential was told.
#[derive(Default)]
pub(super) struct State {
    /// The client's; none: the upstream's own.
    authorization: Option<HeaderValue>,
    known: ArcSwapOption<Known>,
    /// When something was last made, changed or dropped, or was missed where it should have been.
    changed: ArcSwapOption<Instant>,
    asking: AsyncMutex<()>,
    refreshing: AtomicBool,
    /// Held by who makes something.
    pub(super) making: AsyncMutex<()>,
    failures: Mutex<HashMap<Box<str>, (Instant, Error)>>,
    /// Where what is known outlives this process.
    file: Option<PathBuf>,
}

/// One answer.
pub(super) struct Known {
    asked: Instant,
    pub(super) names: Names,
    /// Why the last question got no answer; `names` is then what was known before.
    refused: Option<Refused>,
}

#[derive(Clone, Debug)]
struct Refused {
    kind: Kind,
    message: Box<str>,
}

/// What is known, and whether it should be asked for anew behind its back.
pub(super) struct AtOnce {
    pub(super) names: Arc<Known>,
    pub(super) behind: bool,
}

/// What to do with an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Serve,
    ServeAndRefresh,
    Ask,
}

/// An answer, for the verdict about it.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// How long ago it was asked for.
    old: Duration,
    /// Something was changed since.
    outdated: bool,
    refused: Option<Kind>,
    empty: bool,
}

/// `age`: how old it may be to serve.
fn verdict(facts: Facts, age: Duration, refresh: Duration) -> Verdict {
    let Facts { old, outdated, refused, empty } = facts;
    match refused {
        Some(_) if old < REFUSED => Verdict::Serve,
        // It serves from memory, or by templates, until it is heard.
        Some(kind) if !empty || is_for_good(kind) => Verdict::ServeAndRefresh,
        Some(_) => Verdict::Ask,
        None if outdated => Verdict::Ask,
        None if old < age => Verdict::Serve,
        None if age >= refresh && old < refresh * STALE => Verdict::ServeAndRefresh,
        None => Verdict::Ask,
    }
}

/// Whether an upstream that is away may be taken to mean it still.
const fn is_for_good(kind: Kind) -> bool {
    matches!(kind, Kind::NotImplemented | Kind::Unauthorized)
}

/// Ends a refresh.
pub(super) struct Refreshing(Arc<State>);

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.refreshing.store(false, Ordering::Release);
    }
}

impl State {
    pub(super) fn of_client(authorization: HeaderValue) -> Self {
        Self { authorization: Some(authorization), ..Self::default() }
    }

    pub(super) fn remembering(file: PathBuf) -> Self {
        let names = std::fs::read(&file).ok().and_then(|text| names::read(&text));
        let state = Self { file: Some(file), ..Self::default() };
        if let Some(names) = names {
            let refused = Refused { kind: Kind::Unavailable, message: "upstream was not asked yet".into() };
            let asked = Instant::now().checked_sub(REFUSED).unwrap_or_else(Instant::now);
            state.known.store(Some(Arc::new(Known { asked, names, refused: Some(refused) })));
        }
        state
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Whether this is the upstream's own token.
    pub(super) fn is_own(&self) -> bool {
        self.authorization.is_none()
    }

    /// What is known, however old.
    pub(super) fn remembered(&self) -> Option<Arc<Known>> {
        self.known.load_full().filter(|known| known.refused.is_none() || !known.names.is_empty())
    }

    /// What needs no waiting.
    pub(super) fn at_once(&self, age: Duration, refresh: Duration) -> Option<AtOnce> {
        let known = self.known.load_full()?;
        let verdict = verdict(self.facts(&known), age, refresh);
        // Somebody is asking already: what is known will do, if it does.
        let taken = || verdict == Verdict::Ask && age >= refresh && known.refused.is_none() && self.asking.try_lock().is_err();
        if verdict == Verdict::Ask && !taken() {
            return None;
        }
        Some(AtOnce { names: known, behind: verdict == Verdict::ServeAndRefresh })
    }

    /// The right to ask behind everybody's back.
    pub(super) fn refresh(self: &Arc<Self>) -> Option<Refreshing> {
        (!self.refreshing.swap(true, Ordering::AcqRel)).then(|| Refreshing(Arc::clone(self)))
    }

    /// Waits for an answer that is no older than `age`.
    pub(super) async fn wait(&self, upstream: &Upstream, age: Duration, refresh: Duration) -> Result<Arc<Known>, Error> {
        let since = Instant::now();
        let guard = self.asking.lock().await;
        // Whoever held the lock before may have asked.
        let served = self.known.load_full().filter(|known| {
            (known.asked >= since && known.refused.is_none())
                || verdict(self.facts(known), age.min(MISSED), refresh) == Verdict::Serve
        });
        let known = match served {
            Some(known) => known,
            None => self.put_question(upstream).await,
        };
        drop(guard);
        known.answer()
    }

    /// Asks, unless somebody does.
    pub(super) async fn ask(&self, upstream: &Upstream) {
        if let Ok(_guard) = self.asking.try_lock() {
            self.put_question(upstream).await;
        }
    }

    /// `age`, or less when something may have been made a moment ago.
    pub(super) fn careful(&self, age: Duration) -> Duration {
        match self.changed.load().as_ref().map(|made| made.elapsed()) {
            Some(ago) if ago < MADE => Duration::ZERO,
            _ => age,
        }
    }

    /// What is known may be wrong; an answer that is under way may be from before.
    pub(super) fn changed(&self) {
        self.changed.store(Some(Arc::new(Instant::now())));
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Why this could not be made a moment ago.
    pub(super) fn failed(&self, db: &str, rp: Option<&str>, since: Duration) -> Option<Error> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (when, error) = failures.get(&*key(db, rp))?;
        (when.elapsed() < since).then(|| error.copied())
    }

    pub(super) fn remember_failure(&self, db: &str, rp: Option<&str>, error: &Error) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= FAILURES {
            failures.clear();
        }
        failures.insert(key(db, rp), (Instant::now(), error.copied()));
    }

    fn facts(&self, known: &Known) -> Facts {
        Facts {
            old: known.asked.elapsed(),
            outdated: self.changed.load().as_ref().is_some_and(|changed| **changed >= known.asked),
            refused: known.refused.as_ref().map(|refused| refused.kind),
            empty: known.names.is_empty(),
        }
    }

    async fn put_question(&self, upstream: &Upstream) -> Arc<Known> {
        let before = self.known.load_full();
        let asked = Instant::now();
        let caller = Caller { upstream, authorization: self.authorization(), auth_errors: AuthErrors::Reject };
        let answer = async {
            match upstream.api() {
                Api::V2 => v2::list(&caller, upstream.org()).await,
                Api::V3 => v3::list(&caller).await,
            }
        };
        let answer = tokio::time::timeout(PATIENCE, answer)
            .await
            .unwrap_or_else(|_| Err(Error::new(Kind::Unavailable, "upstream did not tell its databases in time")));
        let known = Arc::new(match answer {
            Ok(names) => {
                self.write_down(&names, before.as_deref()).await;
                Known { asked, names, refused: None }
            }
            Err(error) => self.refusal(&error, before.as_deref()),
        });
        self.known.store(Some(Arc::clone(&known)));
        known
    }

    fn refusal(&self, error: &Error, before: Option<&Known>) -> Known {
        let old = before.and_then(|known| known.refused.as_ref());
        // Said once, not every few seconds; and what clients' tokens may not see is nobody's worry here.
        if self.is_own() && old.is_none_or(|refused| refused.kind != error.kind()) {
            let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%error, source, "the upstream's databases can't be listed");
        }
        // Who can't tell doesn't learn it by being away: writes that wait for it go on by the same templates.
        let untold = old.filter(|refused| is_for_good(refused.kind) && error.kind() == Kind::Unavailable);
        let refused = match untold {
            Some(untold) => untold.clone(),
            None => Refused { kind: error.kind(), message: error.message().into() },
        };
        let names = before.map(|known| known.names.clone()).unwrap_or_default();
        Known { asked: Instant::now(), names, refused: Some(refused) }
    }

    async fn write_down(&self, names: &Names, before: Option<&Known>) {
        let Some(file) = self.file.clone().filter(|_| before.is_none_or(|before| before.names != *names)) else { return };
        let text = names::write(names);
        let written = tokio::task::spawn_blocking(move || {
            let draft = file.with_extension("new");
            std::fs::write(&draft, text)?;
            std::fs::rename(draft, file)
        });
        if let Err(error) = written.await.map_err(std::io::Error::other).flatten() {
            tracing::warn!(%error, "the names of the upstream's buckets can't be kept on disk");
        }
    }
}

impl Known {
    /// An upstream that was heard once and is away now is answered for from memory: names outlive an outage.
    pub(super) fn answer(self: &Arc<Self>) -> Result<Arc<Self>, Error> {
        match &self.refused {
            Some(refused) if self.names.is_empty() => {
                Err(Error::new(refused.kind, String::from(&*refused.message)).blaming(Blame::Upstream))
            }
            _ => Ok(Arc::clone(self)),
        }
    }
}

fn key(db: &str, rp: Option<&str>) -> Box<str> {
    // No name has a control character.
    format!("{db}\n{}", rp.unwrap_or_default()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_serve_are_refreshed_and_are_asked_for() {
        use Verdict::{Ask, Serve, ServeAndRefresh};
        let refresh = Duration::from_secs(10);
        for (old, outdated, refused, empty, age, expected) in [
            (9, false, None, false, 10, Serve),
            (11, false, None, false, 10, ServeAndRefresh),
            (59, false, None, true, 10, ServeAndRefresh),
            (61, false, None, false, 10, Ask),
            // For a name that is missing it has to be a new one.
            (2, false, None, false, 1, Ask),
            (0, false, None, false, 1, Serve),
            (0, true, None, false, 10, Ask),
            (4, false, Some(Kind::Unavailable), true, 1, Serve),
            (6, false, Some(Kind::Unavailable), true, 10, Ask),
            // The old copy serves for as long as no new one is to be had.
            (4, true, Some(Kind::Unavailable), false, 1, Serve),
            (9999, false, Some(Kind::Unavailable), false, 1, ServeAndRefresh),
            (9999, false, Some(Kind::NotImplemented), true, 10, ServeAndRefresh),
        ] {
            let facts = Facts { old: Duration::from_secs(old), outdated, refused, empty };
            assert_eq!(verdict(facts, Duration::from_secs(age), refresh), expected, "{facts:?} {age}");
        }
    }
}
