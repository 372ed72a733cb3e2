//! How many repetitions an upstream in trouble gets on top of its load.

use std::sync::atomic::{AtomicI64, Ordering};

/// Repetitions are paid with tokens, and every request brings a part of one. So they are no more than a share of the requests, however
/// long the trouble lasts, and a few when there is little traffic.
#[derive(Debug)]
pub(in crate::upstream) struct Budget {
    /// In hundredths of a repetition.
    tokens: AtomicI64,
    percent: i64,
}

const PRICE: i64 = 100;
/// What may be saved up: so many repetitions in a burst.
const MOST: i64 = 50 * PRICE;

impl Budget {
    /// `percent` of the requests may be repeated.
    pub(in crate::upstream) fn new(percent: u32) -> Self {
        Self { tokens: AtomicI64::new(if percent == 0 { 0 } else { MOST }), percent: percent.into() }
    }

    /// A request begins.
    pub(in crate::upstream) fn deposit(&self) {
        // Nearly always full, and then nothing is written that other cores would have to read again.
        if self.tokens.load(Ordering::Relaxed) < MOST && self.percent > 0 {
            self.tokens.fetch_add(self.percent, Ordering::Relaxed);
        }
    }

    /// Whether there is enough for a repetition.
    pub(in crate::upstream) fn has_some(&self) -> bool {
        self.tokens.load(Ordering::Relaxed) >= PRICE
    }

    /// Pays for one.
    pub(in crate::upstream) fn withdraw(&self) {
        self.tokens.fetch_sub(PRICE, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_a_share_of_the_requests() {
        let budget = Budget::new(20);
        let mut repeated = 0;
        for _ in 0..10_000 {
            budget.deposit();
            if budget.has_some() {
                budget.withdraw();
                repeated += 1;
            }
        }
        // The fifth part, and what was saved up.
        assert!((2000..=2051).contains(&repeated), "{repeated}");
        for _ in 0..100_000 {
            budget.deposit();
        }
        let saved = (0..).take_while(|_| budget.has_some().then(|| budget.withdraw()).is_some()).count();
        assert_eq!(saved, 50, "no more is saved up");
    }

    #[test]
    fn none_is_none() {
        let budget = Budget::new(0);
        budget.deposit();
        assert!(!budget.has_some());
    }
}
