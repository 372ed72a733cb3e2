//! What to do when a call fails, and before that, where to send it: deciders that know neither sockets nor bodies, each with its table of
//! tests. [`service`](super::service) asks them.
//!
//! | question | file |
//! |---|---|
//! | again, when, and elsewhere? | `decide` |
//! | how many repetitions can the upstream bear? | `budget` |
//! | is it worth asking at all? | `breaker` |
//! | which of several? | `choose` |
//! | what of a batch that is too large? | `split` |
//!
//! Why not `tower::retry`, `tower::balance` and `tower::load_shed`: a retry layer's policy has to clone the request before it knows whether
//! that is needed, and `balance` takes an endpoint that fails fast for the quickest and needs a `Buffer` (a task and two channel hops for each
//! request) to be cloned. What they are made of (a token bucket, two choices, a counter) is less code than their plumbing.

pub(super) mod breaker;
pub(super) mod budget;
pub(super) mod choose;
pub(super) mod decide;
pub(super) mod split;

use std::sync::atomic::{AtomicU64, Ordering};

/// Random enough for jitter and for choices: splitmix64 over a counter, which costs one atomic addition.
pub(super) fn random() -> u64 {
    static SEED: AtomicU64 = AtomicU64::new(0);
    if SEED.load(Ordering::Relaxed) == 0 {
        // Several shims that were started together must not move in step.
        let hash = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0_u8);
        let _ = SEED.compare_exchange(0, hash | 1, Ordering::Relaxed, Ordering::Relaxed);
    }
    let mut z = SEED.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
