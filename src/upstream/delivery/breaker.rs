//! An endpoint that fails again and again is left alone for a while: who waits for it would only wait in vain, and it has a better chance
//! to get up.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Failures in a row, and what follows from them: pure, the clock is the caller's.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    failures: u32,
    /// When it may be tried again, and the pause after that one fails too.
    pause: Option<(Instant, Duration)>,
    /// Somebody was let through after the pause.
    probing: bool,
}

impl State {
    /// Nothing, or how long it is left alone yet. Who is let through after a pause is the only one for another pause.
    fn admit(&mut self, now: Instant) -> Option<Duration> {
        let (until, length) = self.pause.as_mut()?;
        if *until > now {
            return Some(*until - now);
        }
        *until = now + *length;
        self.probing = true;
        None
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        self.pause.and_then(|(until, _)| until.checked_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    fn failed(&mut self, now: Instant, limit: u32) {
        self.failures = self.failures.saturating_add(1);
        if self.failures < limit {
            return;
        }
        // Requests that were under way when it broke fail too, and must not make the pause longer.
        match &mut self.pause {
            Some((until, length)) if std::mem::take(&mut self.probing) => {
                *until = now + *length;
                *length = (*length * 2).min(LONGEST);
            }
            Some(_) => {}
            None => self.pause = Some((now + FIRST, FIRST * 2)),
        }
    }
}

/// One endpoint's.
#[derive(Debug)]
pub(in crate::upstream) struct Breaker {
    limit: u32,
    /// Something has failed since the last success: as long as not, nobody takes the lock.
    troubled: AtomicBool,
    state: Mutex<State>,
}

impl Breaker {
    /// Breaks after so many failures in a row.
    pub(in crate::upstream) fn new(limit: u32) -> Self {
        Self { limit, troubled: AtomicBool::new(false), state: Mutex::default() }
    }

    /// How long it is left alone yet.
    pub(in crate::upstream) fn wait(&self, now: Instant) -> Option<Duration> {
        if !self.troubled.load(Ordering::Acquire) {
            return None;
        }
        self.with(|state| state.wait(now))
    }

    /// To be asked before each call; the answer is as of [`wait`](Self::wait).
    pub(in crate::upstream) fn admit(&self, now: Instant) -> Option<Duration> {
        if !self.troubled.load(Ordering::Acquire) {
            return None;
        }
        self.with(|state| state.admit(now))
    }

    /// It has answered.
    pub(in crate::upstream) fn succeeded(&self) {
        if self.troubled.load(Ordering::Acquire) {
            self.with(|state| *state = State::default());
            self.troubled.store(false, Ordering::Release);
        }
    }

    /// It hasn't. Whether that broke it just now.
    pub(in crate::upstream) fn failed(&self, now: Instant) -> bool {
        self.troubled.store(true, Ordering::Release);
        let limit = self.limit;
        self.with(|state| {
            let before = state.pause.is_some();
            state.failed(now, limit);
            !before && state.pause.is_some()
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_breaks_tries_and_mends() {
        let start = Instant::now();
        let breaker = Breaker::new(3);
        assert_eq!([breaker.failed(start), breaker.failed(start), breaker.failed(start)], [false, false, true]);
        assert_eq!(breaker.admit(start), Some(seconds(1)));
        assert_eq!(breaker.admit(start + seconds(1)), None, "one may try");
        assert_eq!(breaker.admit(start + seconds(1)), Some(seconds(2)), "and only one");
        breaker.succeeded();
        assert_eq!(breaker.admit(start + seconds(1)), None);
        assert_eq!([breaker.failed(start), breaker.failed(start)], [false, false], "counted from the start");
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let mut now = Instant::now();
        let breaker = Breaker::new(1);
        breaker.failed(now);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let wait = breaker.wait(now).unwrap();
            pauses.push(wait.as_secs());
            now += wait;
            assert_eq!(breaker.admit(now), None);
            breaker.failed(now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn one_success_in_between_is_enough() {
        let now = Instant::now();
        let breaker = Breaker::new(2);
        for _ in 0..10 {
            assert!(!breaker.failed(now));
            breaker.succeeded();
        }
        assert_eq!(breaker.wait(now), None);
    }
}
