//! Whose credential a question is asked with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use subtle::ConstantTimeEq as _;

use super::state::State;
use crate::{
    access::Identity,
    upstream::{Upstream, request::authorization},
};

/// Clients' credentials that are remembered, the latest ones. Each costs what its answers cost, and anybody can come up with new ones.
const MOST: usize = 64;

/// The states of the upstream's own token and of clients' credentials.
pub(super) struct Callers {
    own: Arc<State>,
    /// The latest first.
    clients: Mutex<Vec<Arc<State>>>,
}

impl Callers {
    pub(super) fn new(own: State) -> Self {
        Self { own: Arc::new(own), clients: Mutex::default() }
    }

    /// For a name to be found: the upstream's own token, where there is one, knows all of them. Nothing is told but which bucket it is, and
    /// what is asked of that bucket goes with the client's credential anyway.
    pub(super) fn for_names(&self, upstream: &Upstream, caller: &Identity) -> Arc<State> {
        if upstream.has_token() { Arc::clone(&self.own) } else { self.of(upstream, caller) }
    }

    /// For lists, and for what changes something.
    pub(super) fn for_deeds(&self, upstream: &Upstream, caller: &Identity) -> Arc<State> {
        // Who has a name was found in the configuration: what it may do is known.
        if caller.name.is_some() && upstream.has_token() { Arc::clone(&self.own) } else { self.of(upstream, caller) }
    }

    /// For all of them.
    pub(super) fn each(&self, visit: impl Fn(&State)) {
        visit(&self.own);
        self.clients().iter().for_each(|state| visit(state));
    }

    fn of(&self, upstream: &Upstream, caller: &Identity) -> Arc<State> {
        let value = caller.forward.as_ref().and_then(|secret| authorization(upstream.api(), secret).ok());
        let Some(value) = value.filter(|value| !upstream.is_own(value)) else { return Arc::clone(&self.own) };
        let mut clients = self.clients();
        let same = |state: &Arc<State>| state.authorization().is_some_and(|known| same(known, &value));
        let state = match clients.iter().position(same) {
            Some(0) => return clients.first().map(Arc::clone).unwrap_or_default(),
            Some(index) => clients.remove(index),
            None => Arc::new(State::of_client(value)),
        };
        clients.truncate(MOST - 1);
        clients.insert(0, Arc::clone(&state));
        state
    }

    fn clients(&self) -> MutexGuard<'_, Vec<Arc<State>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In a time that says nothing about where they differ.
fn same(a: &HeaderValue, b: &HeaderValue) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
