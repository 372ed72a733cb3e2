//! What databases and buckets an upstream has: asked rarely and remembered, and made where they are missing.
//!
//! | file | what |
//! |---|---|
//! | `names` | mappings and buckets → who is what; pure |
//! | `steps` | a statement and what is there → what has to be done; pure |
//! | `state` | what one credential was told, how old it may be, who asks |
//! | `callers` | whose credential a question is asked with, and the states of clients' own |
//! | `call` | one call of a management API, and what its refusal means |
//! | `v2`, `v3` | the two management APIs: `list` reads, `change` writes |

mod call;
mod callers;
mod names;
mod state;
mod steps;
mod v2;
mod v3;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use self::{
    call::Caller,
    callers::Callers,
    state::{Known, State},
};
use super::Upstream;
use crate::{
    access::Identity,
    dbrp::{Address, Catalog, Change, Mapping},
    error::{Error, Kind},
    native::{Api, AuthErrors},
    types::BoxFuture,
};

/// How soon a name that is not among those known is asked for again: it may just have been made.
const MISSED: Duration = Duration::from_secs(1);
/// How long what was made, changed or dropped a moment ago is looked for each time.
const MADE: Duration = Duration::from_secs(2);
/// How long making something may take: a write stands behind it, and `upstream.timeout` is made for long queries.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nobody tries again to make what could not be made.
const FAILED: Duration = Duration::from_secs(5);

/// The databases of a v3 server (`/api/v3/configure/database`) or the mappings and buckets of a v2 server (`/api/v2/dbrps`,
/// `/api/v2/buckets`).
///
/// Answers come from memory, which is refreshed behind them; one caller at a time asks the upstream, while the others go on with what is known.
/// An upstream that can't be asked (no token, a token without the right, Serverless' lack of the path) says [`Kind::NotImplemented`], upon
/// which names come from templates; one that is away says [`Kind::Unavailable`], unless it is known from before.
///
/// It is asked with the upstream's own token. Where there is none, and wherever something is listed or made for a client about which only the
/// upstream decides (`auth.mode = "passthrough"`), with the client's: nobody sees or does more through the shim than without it.
#[derive(Clone)]
pub struct UpstreamCatalog(Arc<Inner>);

struct Inner {
    upstream: Upstream,
    callers: Callers,
    refresh: Duration,
    auth_errors: AuthErrors,
}

impl UpstreamCatalog {
    /// Remembers nothing yet; the first question asks. An answer is taken as it is for as long as `refresh`.
    #[must_use]
    pub fn new(upstream: Upstream, refresh: Duration) -> Self {
        Self::build(upstream, refresh, State::default())
    }

    /// The same, and what it knows outlives this process in a file: writes that wait on disk for an upstream that is away need to know where
    /// to, even if the shim was started meanwhile. A file that can't be read is as good as none.
    #[must_use]
    pub fn remembering(upstream: Upstream, refresh: Duration, file: PathBuf) -> Self {
        Self::build(upstream, refresh, State::remembering(file))
    }

    fn build(upstream: Upstream, refresh: Duration, own: State) -> Self {
        let auth_errors = upstream.auth_errors();
        Self(Arc::new(Inner { upstream, callers: Callers::new(own), refresh, auth_errors }))
    }
}

impl Inner {
    /// What is known with this credential, asked anew when it is older than `age`.
    async fn known(self: &Arc<Self>, state: &Arc<State>, age: Duration) -> Result<Arc<Known>, Error> {
        if let Some(known) = state.at_once(age, self.refresh) {
            if known.behind
                && let Some(refreshing) = state.refresh()
            {
                let (inner, state) = (Arc::clone(self), Arc::clone(state));
                tokio::spawn(async move {
                    state.ask(&inner.upstream).await;
                    drop(refreshing);
                });
            }
            return known.names.answer();
        }
        state.wait(&self.upstream, age, self.refresh).await
    }

    fn caller<'a>(&'a self, state: &'a State) -> Caller<'a> {
        Caller { upstream: &self.upstream, authorization: state.authorization(), auth_errors: self.auth_errors }
    }

    /// Finds a bucket, in what is known or by asking again.
    async fn find(self: &Arc<Self>, state: &Arc<State>, db: &str, rp: Option<&str>) -> Result<Option<Box<str>>, Error> {
        if let Some(bucket) = self.known(state, self.refresh).await?.names.find(db, rp) {
            return Ok(Some(bucket.into()));
        }
        Ok(self.known(state, state.careful(MISSED)).await?.names.find(db, rp).map(Into::into))
    }

    /// Makes a bucket for a write, once for all who wait for it.
    async fn provide(self: &Arc<Self>, state: &Arc<State>, db: &str, rp: Option<&str>) -> Result<Box<str>, Error> {
        let made = state.making.lock().await;
        // Whoever held the lock before may have made it, or have failed at it.
        let names = self.known(state, self.refresh).await?;
        if let Some(bucket) = names.names.find(db, rp) {
            return Ok(bucket.into());
        }
        if let Some(error) = state.failed(db, rp, FAILED) {
            return Err(error);
        }
        let result = match steps::provide(self.upstream.api(), db, rp, names.names.mappings()) {
            Ok((bucket, steps)) => self.carry_out(state, &names, &steps, db).await.map(|()| bucket),
            Err(error) => Err(error),
        };
        match result {
            Ok(bucket) => {
                tracing::info!(database = db, %bucket, "made for a write");
                drop(made);
                Ok(bucket)
            }
            Err(error) => {
                tracing::warn!(database = db, %error, "can't be made for a write");
                state.remember_failure(db, rp, &error);
                Err(error)
            }
        }
    }

    async fn change(self: &Arc<Self>, state: &Arc<State>, change: &Change) -> Result<(), Error> {
        let _making = state.making.lock().await;
        // A statement is about what is there, not about what was there ten seconds ago.
        let names = state.wait(&self.upstream, Duration::ZERO, self.refresh).await?;
        let steps = steps::change(self.upstream.api(), change, names.names.mappings())?;
        let (Change::CreateDatabase { database, .. }
        | Change::CreatePolicy { database, .. }
        | Change::AlterPolicy { database, .. }
        | Change::DropDatabase { database }
        | Change::DropPolicy { database, .. }) = change;
        self.carry_out(state, &names, &steps, database).await
    }

    async fn carry_out(&self, state: &State, known: &Known, steps: &[steps::Step], db: &str) -> Result<(), Error> {
        let caller = self.caller(state);
        let work = async {
            match self.upstream.api() {
                Api::V2 => v2::carry_out(&caller, self.upstream.org(), known.names.org(), steps, db).await,
                Api::V3 => v3::carry_out(&caller, steps, db).await,
            }
        };
        let result = tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| {
            let message = format!("database {db:?} could not be made or changed in time");
            Err(Error::new(Kind::Unavailable, message).retry_after(FAILED))
        });
        // Whether it failed or not: some of it may have been done.
        if !steps.is_empty() {
            state.changed();
        }
        result
    }
}

impl Catalog for UpstreamCatalog {
    fn resolve<'a>(
        &'a self,
        caller: &'a Identity,
        db: &'a str,
        rp: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<Box<str>>, Error>> {
        let state = self.0.callers.for_names(&self.0.upstream, caller);
        Box::pin(async move {
            match self.0.find(&state, db, rp).await {
                // What it asked for is to refuse it.
                Err(error) if error.kind() == Kind::Unauthorized => {
                    Err(Error::new(Kind::NotImplemented, String::from(error.message())))
                }
                found => found,
            }
        })
    }

    fn is_complete(&self, caller: &Identity) -> bool {
        self.0.callers.for_names(&self.0.upstream, caller).is_own()
    }

    fn create<'a>(&'a self, caller: &'a Identity, db: &'a str, rp: Option<&'a str>) -> BoxFuture<'a, Result<Box<str>, Error>> {
        let state = self.0.callers.for_deeds(&self.0.upstream, caller);
        Box::pin(async move {
            let made = self.0.provide(&state, db, rp).await;
            // What the one may not see may have been made for the other.
            let names = self.0.callers.for_names(&self.0.upstream, caller);
            if made.is_ok() && !Arc::ptr_eq(&names, &state) {
                names.changed();
            }
            match made {
                // It is the client's credential, and the write's to be refused for.
                Err(error) if !state.is_own() && matches!(error.kind(), Kind::Unauthorized | Kind::Forbidden) => {
                    Err(Error::new(Kind::NotImplemented, String::from(error.message())))
                }
                made => made,
            }
        })
    }

    fn change<'a>(&'a self, caller: &'a Identity, change: &'a Change) -> BoxFuture<'a, Result<(), Error>> {
        let state = self.0.callers.for_deeds(&self.0.upstream, caller);
        Box::pin(async move {
            let changed = self.0.change(&state, change).await;
            self.0.callers.each(State::changed);
            changed
        })
    }

    fn address(&self, caller: &Identity, bucket: &str) -> Option<Address> {
        if self.0.upstream.api() != Api::V2 {
            return Some(Address::of(bucket));
        }
        match self.0.callers.for_names(&self.0.upstream, caller).remembered() {
            Some(known) => known.names.address(bucket),
            None => Some(Address::of(bucket)),
        }
    }

    fn changed(&self) {
        self.0.callers.each(State::changed);
    }

    fn list<'a>(&'a self, caller: &'a Identity) -> BoxFuture<'a, Result<Vec<Mapping>, Error>> {
        let state = self.0.callers.for_deeds(&self.0.upstream, caller);
        Box::pin(async move {
            let known = self.0.known(&state, state.careful(self.0.refresh)).await?;
            Ok(known.names.mappings().to_vec())
        })
    }
}

impl fmt::Debug for UpstreamCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamCatalog").field("upstream", &self.0.upstream).finish_non_exhaustive()
    }
}
