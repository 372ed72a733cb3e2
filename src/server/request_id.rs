//! Request ids: `X-Request-Id`, else `Request-Id`, else a new one. Both names carry it back, as in 1.x.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
pub(super) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ones are no ids but somebody's idea of filling logs.
const LONGEST: usize = 128;

/// Makes UUIDs of version 1, as 1.x does: they sort by time, and everyone is new.
#[derive(Debug)]
pub(super) struct RequestIds {
    /// The last timestamp given out, in 100 ns since 1582.
    last: AtomicU64,
    /// Clock sequence and node as they are written: random, so that two processes differ.
    tail: [u8; 17],
}

impl RequestIds {
    /// With a random node; should the system have no randomness, ids are still new within this process.
    pub(super) fn new() -> Self {
        let mut tail = [0; 8];
        let _ = getrandom::fill(&mut tail);
        Self::with(tail)
    }

    fn with(mut tail: [u8; 8]) -> Self {
        // RFC 9562: variant 10, and the multicast bit says that the node is no network card's address.
        tail[0] = tail[0] & 0x3f | 0x80;
        tail[2] |= 0x01;
        let mut text = [b'-'; 17];
        hex(&mut text[..4], u16::from_be_bytes([tail[0], tail[1]]).into());
        hex(&mut text[5..], tail[2..].iter().fold(0, |node, byte| node << 8 | u64::from(*byte)));
        Self { last: AtomicU64::new(0), tail: text }
    }

    /// The request's own id when it has a sane one, else a new one.
    pub(super) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let sane = |name: &HeaderName| {
            let value = headers.get(name)?;
            let bytes = value.as_bytes();
            (!bytes.is_empty() && bytes.len() <= LONGEST && bytes.iter().all(u8::is_ascii_graphic)).then(|| value.clone())
        };
        sane(&X_REQUEST_ID).or_else(|| sane(&REQUEST_ID)).unwrap_or_else(|| self.make(SystemTime::now()))
    }

    fn make(&self, now: SystemTime) -> HeaderValue {
        /// 100 ns between 1582-10-15 and 1970-01-01.
        const GREGORIAN: u64 = 0x01b2_1dd2_1381_4000;
        let since = now.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos() / 100).unwrap_or_default());
        let now = since.wrapping_add(GREGORIAN);
        // Clocks are coarse and may go back: the next one is always later than the last.
        let last =
            self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1))).unwrap_or_default();
        let time = now.max(last + 1);
        // By hand: every request needs one, and formatting it would cost as much as reading the request.
        let mut text = [b'-'; 36];
        hex(&mut text[..8], time);
        hex(&mut text[9..13], time >> 32);
        hex(&mut text[14..18], time >> 48 & 0x0fff | 0x1000);
        text[19..].copy_from_slice(&self.tail);
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

/// The last digits of a number, as many as there is room for.
fn hex(out: &mut [u8], mut number: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use super::*;

    #[test]
    fn version_one_and_always_new() {
        let ids = RequestIds::with([0xff; 8]);
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(ids.make(now), "04afc000-833b-11ee-bfff-ffffffffffff");
        let more: HashSet<_> = (0..1000).map(|n| ids.make(now - Duration::from_secs(n))).collect();
        assert_eq!(more.len(), 1000, "also when the clock goes back");
    }

    #[test]
    fn a_clients_own_id_is_kept_if_it_is_one() {
        let ids = RequestIds::new();
        let with = |pairs: &[(&HeaderName, &str)]| {
            let headers = pairs.iter().map(|(name, value)| ((*name).clone(), HeaderValue::from_str(value).unwrap())).collect();
            ids.of(&headers)
        };
        assert_eq!(with(&[(&X_REQUEST_ID, "abc-1"), (&REQUEST_ID, "other")]), "abc-1");
        assert_eq!(with(&[(&REQUEST_ID, "other")]), "other");
        assert_eq!(with(&[(&X_REQUEST_ID, ""), (&REQUEST_ID, "other")]), "other");
        for strange in ["", "a b", &"x".repeat(129)] {
            assert_eq!(with(&[(&X_REQUEST_ID, strange)]).len(), 36, "{strange}");
        }
    }
}
