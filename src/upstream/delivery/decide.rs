//! Whether a call that went wrong is made again, when, and where.

use std::time::Duration;

use crate::upstream::Failure;

/// How a call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::upstream) enum Outcome {
    /// With a status, and what `Retry-After` says.
    Answer(u16, Option<Duration>),
    /// Without an answer.
    Failed(Failure),
    /// By the client's own fault: its body broke off or is too long.
    Client,
}

/// What else is known.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct Situation {
    /// Attempts made, from 1.
    pub(in crate::upstream) attempt: u32,
    /// Doing it twice is the same as doing it once.
    pub(in crate::upstream) safe: bool,
    /// The body is still here.
    pub(in crate::upstream) replayable: bool,
    /// There is another endpoint that may be asked.
    pub(in crate::upstream) elsewhere: bool,
    /// The budget has something left.
    pub(in crate::upstream) budget: bool,
    /// Time that is left for all attempts.
    pub(in crate::upstream) left: Duration,
}

/// What to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::upstream) enum Next {
    /// It stays as it is.
    Done,
    /// Once more.
    Again {
        /// After this long.
        after: Duration,
        /// It costs the upstream something, and so is paid from the budget.
        paid: bool,
    },
}

/// The first repetition's delay; each further one's is twice the last one's.
const FIRST: Duration = Duration::from_millis(100);
/// No delay is longer, unless the upstream asks for it.
const LONGEST: Duration = Duration::from_secs(2);

/// Decides. `retries` is the most repetitions; `random` spreads those of many callers.
pub(in crate::upstream) fn next(outcome: Outcome, situation: Situation, retries: u32, random: u64) -> Next {
    let (unsent, asked) = match outcome {
        Outcome::Failed(failure) => (failure.not_sent(), None),
        Outcome::Answer(408 | 425 | 429 | 502 | 503 | 504, asked) => (false, asked),
        Outcome::Answer(..) | Outcome::Client => return Next::Done,
    };
    if !situation.replayable || !(situation.safe || unsent) || situation.attempt > retries {
        return Next::Done;
    }
    // A connection that never came about costs the upstream nothing.
    if !unsent && !situation.budget {
        return Next::Done;
    }
    // 429 is about who asks, not about who is asked: another endpoint says the same.
    let moves = situation.elsewhere && situation.attempt == 1 && !matches!(outcome, Outcome::Answer(429, _));
    let after = if moves { Duration::ZERO } else { backoff(situation.attempt, random).max(asked.unwrap_or_default()) };
    if after >= situation.left { Next::Done } else { Next::Again { after, paid: !unsent } }
}

/// Between half and all of 100 ms, 200 ms, 400 ms, …
fn backoff(attempt: u32, random: u64) -> Duration {
    let whole = FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST);
    let half = whole / 2;
    let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_micros(random % spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Situation =
        Situation { attempt: 1, safe: true, replayable: true, elsewhere: false, budget: true, left: Duration::from_secs(10) };
    /// The least jitter.
    const SOON: Next = Next::Again { after: Duration::from_millis(50), paid: true };
    const NOW: Next = Next::Again { after: Duration::ZERO, paid: true };

    #[test]
    fn decisions() {
        use Failure::{Connect, Garbage, Reset, Timeout};
        use Outcome::{Answer, Client, Failed};
        let free = |next| match next {
            Next::Again { after, .. } => Next::Again { after, paid: false },
            Next::Done => Next::Done,
        };
        let unsafe_ = Situation { safe: false, ..FINE };
        let gone = Situation { replayable: false, ..FINE };
        let poor = Situation { budget: false, ..FINE };
        let two = Situation { elsewhere: true, ..FINE };
        let table = [
            // What was said for good.
            (Answer(204, None), FINE, Next::Done),
            (Answer(400, None), FINE, Next::Done),
            (Answer(401, None), two, Next::Done),
            (Answer(404, None), two, Next::Done),
            (Answer(413, None), FINE, Next::Done),
            (Answer(500, None), two, Next::Done),
            (Client, two, Next::Done),
            // What may get better.
            (Answer(503, None), FINE, SOON),
            (Answer(502, None), FINE, SOON),
            (Answer(504, None), FINE, SOON),
            (Answer(429, None), FINE, SOON),
            (Answer(408, None), FINE, SOON),
            (Failed(Reset), FINE, SOON),
            (Failed(Timeout), FINE, SOON),
            (Failed(Garbage), FINE, SOON),
            (Failed(Connect), FINE, free(SOON)),
            // Somewhere else at once; but who asks too much does so there as well.
            (Answer(503, Some(Duration::from_secs(30))), two, NOW),
            (Failed(Reset), two, NOW),
            (Failed(Connect), two, free(NOW)),
            (Answer(429, None), two, SOON),
            (Answer(429, Some(Duration::from_secs(3))), two, Next::Again { after: Duration::from_secs(3), paid: true }),
            // Longer than there is time: the client hears when to come back.
            (Answer(503, Some(Duration::from_secs(30))), FINE, Next::Done),
            // What must not be done twice, but for what was not done at all.
            (Answer(503, None), unsafe_, Next::Done),
            (Failed(Timeout), unsafe_, Next::Done),
            (Failed(Reset), unsafe_, Next::Done),
            (Failed(Connect), unsafe_, free(SOON)),
            // Nothing to send any more.
            (Failed(Connect), gone, Next::Done),
            (Answer(503, None), gone, Next::Done),
            // No budget.
            (Answer(503, None), poor, Next::Done),
            (Failed(Connect), poor, free(SOON)),
            // Enough attempts.
            (Answer(503, None), Situation { attempt: 3, ..FINE }, Next::Done),
            (Answer(503, None), Situation { attempt: 2, ..two }, Next::Again { after: Duration::from_millis(100), paid: true }),
            (Failed(Connect), Situation { left: Duration::ZERO, ..two }, Next::Done),
        ];
        for (outcome, situation, expected) in table {
            assert_eq!(next(outcome, situation, 2, 0), expected, "{outcome:?} {situation:?}");
        }
        assert_eq!(next(Failed(Connect), two, 0, 0), Next::Done, "repeating is switched off");
    }

    #[test]
    fn delays_grow_up_to_a_limit_and_are_spread() {
        for (attempt, half) in [(1, 50), (2, 100), (3, 200), (6, 1000), (60, 1000)] {
            let half = Duration::from_millis(half);
            assert_eq!(backoff(attempt, 0), half);
            for random in [1, 12_345, u64::MAX] {
                let delay = backoff(attempt, random);
                assert!(delay >= half && delay < half * 2, "{delay:?}");
            }
        }
    }
}
