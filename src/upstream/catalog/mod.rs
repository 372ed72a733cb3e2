//! What databases and buckets an upstream has, asked rarely and remembered.

mod names;
mod v2;
mod v3;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::{sync::Mutex, time::Instant};

use self::names::Names;
use super::Upstream;
use crate::{
    dbrp::{Catalog, Mapping},
    error::{Error, Kind},
    native::Api,
    types::BoxFuture,
};

/// How long an answer is taken as it is. A database that somebody else makes or drops is seen after this long.
const FRESH: Duration = Duration::from_secs(10);
/// How soon a name that is not among those known is asked for again: it may just have been made.
const MISSED: Duration = Duration::from_secs(1);
/// How soon an upstream that could not be asked is asked again. Until then nobody waits for it.
const REFUSED: Duration = Duration::from_secs(5);
/// How long after a name was given out for a database to be made what is remembered is not taken for complete.
const MADE: Duration = Duration::from_secs(2);
/// How long an answer is waited for: a write may stand behind it, and `upstream.timeout` is made for long queries.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of one answer: some ten thousands of names.
const LIMIT: usize = 8 << 20;

/// The databases of a v3 server (`/api/v3/configure/database`) or the mappings and buckets of a v2 server (`/api/v2/dbrps`,
/// `/api/v2/buckets`), asked with the upstream's own token.
///
/// Answers come from memory; one caller at a time asks the upstream, while the others go on with what is known. An upstream that can't be
/// asked (no token, a token without the right, Serverless' lack of the path) says [`Kind::NotImplemented`], upon which names come from
/// templates; one that is away says [`Kind::Unavailable`], unless it is known from before.
///
/// It only reads: what is missing is made by the upstream itself, on the first write (v3), or not at all (v2).
#[derive(Clone)]
pub struct UpstreamCatalog {
    upstream: Upstream,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    known: ArcSwapOption<Known>,
    /// When a name was last given out for a database to be made.
    made: ArcSwapOption<Instant>,
    asking: Mutex<()>,
    /// Where what is known outlives this process.
    file: Option<PathBuf>,
}

struct Known {
    asked: Instant,
    names: Names,
    /// Why the last question got no answer; `names` is then what was known before.
    refused: Option<Refused>,
}

#[derive(Clone, Debug)]
struct Refused {
    kind: Kind,
    message: Box<str>,
}

impl UpstreamCatalog {
    /// Remembers nothing yet; the first question asks.
    #[must_use]
    pub fn new(upstream: Upstream) -> Self {
        Self { upstream, state: Arc::default() }
    }

    /// The same, and what it knows outlives this process in a file: writes that wait on disk for an upstream that is away need to know where
    /// to, even if the shim was started meanwhile. A file that can't be read is as good as none.
    #[must_use]
    pub fn remembering(upstream: Upstream, file: PathBuf) -> Self {
        let names = std::fs::read(&file).ok().and_then(|text| names::read(&text));
        let state = State { file: Some(file), ..State::default() };
        if let Some(names) = names {
            let refused = Refused { kind: Kind::Unavailable, message: "upstream was not asked yet".into() };
            let asked = Instant::now().checked_sub(REFUSED).unwrap_or_else(Instant::now);
            state.known.store(Some(Arc::new(Known { asked, names, refused: Some(refused) })));
        }
        Self { upstream, state: Arc::new(state) }
    }

    /// What is known, asked anew when it is older than `age` (or nothing is known, or the last attempt has failed a while ago).
    async fn known(&self, age: Duration) -> Result<Arc<Known>, Error> {
        let since = Instant::now();
        let current = self.state.known.load_full();
        if let Some(known) = current.as_ref().filter(|known| known.serves(age)) {
            return known.answer();
        }
        let guard = match (self.state.asking.try_lock(), &current) {
            (Ok(guard), _) => guard,
            // Somebody is asking already: what is known will do, if it does.
            (Err(_), Some(known)) if known.refused.is_none() && age >= FRESH => return known.answer(),
            (Err(_), _) => self.state.asking.lock().await,
        };
        // Whoever held the lock before may have asked.
        let current = self.state.known.load_full();
        if let Some(known) = current.as_ref().filter(|known| known.asked >= since || known.serves(age.min(MISSED))) {
            return known.answer();
        }
        let known = Arc::new(self.ask(current.as_deref()).await);
        self.state.known.store(Some(Arc::clone(&known)));
        drop(guard);
        known.answer()
    }

    /// `age`, or less when a database may have been made a moment ago.
    fn careful(&self, age: Duration) -> Duration {
        match self.state.made.load().as_ref().map(|made| made.elapsed()) {
            Some(ago) if ago < MADE => Duration::ZERO,
            Some(ago) if ago < FRESH => age.min(MISSED),
            _ => age,
        }
    }

    async fn remember(&self, names: &Names, before: Option<&Known>) {
        let Some(file) = self.state.file.clone().filter(|_| before.is_none_or(|before| before.names != *names)) else { return };
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

    async fn ask(&self, before: Option<&Known>) -> Known {
        let asked = Instant::now();
        let answer = async {
            match self.upstream.api() {
                Api::V2 => v2::ask(&self.upstream).await,
                Api::V3 => v3::ask(&self.upstream).await,
            }
        };
        let answer = tokio::time::timeout(PATIENCE, answer)
            .await
            .unwrap_or_else(|_| Err(Error::new(Kind::Unavailable, "upstream did not tell its databases in time")));
        match answer {
            Ok(names) => {
                self.remember(&names, before).await;
                Known { asked, names, refused: None }
            }
            Err(error) => {
                // Said once, not every few seconds.
                if before.and_then(|known| known.refused.as_ref()).is_none_or(|refused| refused.kind != error.kind()) {
                    tracing::warn!(error = %error, source = error_source(&error), "the upstream's databases can't be listed");
                }
                // Who can't tell doesn't learn it by being away: writes that wait for it go on by the same templates.
                let untold =
                    before.and_then(|known| known.refused.clone()).filter(|refused| refused.kind == Kind::NotImplemented);
                let refused = match untold {
                    Some(untold) if error.kind() == Kind::Unavailable => Some(untold),
                    _ => Some(Refused { kind: error.kind(), message: error.message().into() }),
                };
                Known { asked: Instant::now(), names: before.map(|known| known.names.clone()).unwrap_or_default(), refused }
            }
        }
    }
}

impl Known {
    fn serves(&self, age: Duration) -> bool {
        self.asked.elapsed() < if self.refused.is_some() { REFUSED } else { age }
    }

    /// An upstream that was heard once and is away now is answered for from memory: names outlive an outage.
    fn answer(self: &Arc<Self>) -> Result<Arc<Self>, Error> {
        match &self.refused {
            Some(refused) if self.names.is_empty() => Err(Error::new(refused.kind, String::from(&*refused.message))),
            _ => Ok(Arc::clone(self)),
        }
    }
}

impl Catalog for UpstreamCatalog {
    fn resolve<'a>(&'a self, db: &'a str, rp: Option<&'a str>) -> BoxFuture<'a, Result<Option<Box<str>>, Error>> {
        Box::pin(async move {
            if let Some(bucket) = self.known(FRESH).await?.names.find(db, rp) {
                return Ok(Some(bucket.into()));
            }
            Ok(self.known(self.careful(MISSED)).await?.names.find(db, rp).map(Into::into))
        })
    }

    /// A v3 server that lists its databases also makes one when it is first written to, so the name is all that it needs. The buckets of a
    /// v2 server are made by whoever runs it.
    fn create<'a>(&'a self, db: &'a str, rp: Option<&'a str>) -> BoxFuture<'a, Result<Box<str>, Error>> {
        let made = match self.upstream.api() {
            Api::V3 => {
                self.state.made.store(Some(Arc::new(Instant::now())));
                Ok(names::made(db, rp))
            }
            Api::V2 => {
                let message = format!("database not found: \"{db}\", and buckets of an upstream are not made from here");
                Err(Error::new(Kind::NotFound, message))
            }
        };
        Box::pin(std::future::ready(made))
    }

    fn changed(&self) {
        // An answer that is under way may be from before.
        self.state.made.store(Some(Arc::new(Instant::now())));
        self.state.known.store(None);
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Mapping>, Error>> {
        Box::pin(async move { Ok(self.known(self.careful(FRESH)).await?.names.mappings().to_vec()) })
    }
}

impl fmt::Debug for UpstreamCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamCatalog").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

/// `GET`s JSON of the upstream's management API.
async fn get<T: DeserializeOwned>(upstream: &Upstream, path: &str) -> Result<T, Error> {
    let (status, body) = upstream.get(path, LIMIT).await?;
    if status != StatusCode::OK {
        let kind = match status {
            // No token, a token without the right, Serverless' lack of the path (which VictoriaMetrics calls a 400): that stays so.
            StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED => Kind::NotImplemented,
            _ => Kind::Unavailable,
        };
        return Err(Error::new(kind, format!("upstream does not tell its databases: status {}", status.as_u16())));
    }
    serde_json::from_slice(&body).map_err(|error| {
        Error::new(Kind::BadGateway, "upstream tells its databases in a form that is not known").with_source(error)
    })
}

fn error_source(error: &Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
