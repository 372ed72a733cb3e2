//! Times as 1.x prints them: Go's `RFC3339Nano`, or an integer in the unit of `epoch`; and v3's, to be read.

use bytes::BytesMut;
use jiff::{Timestamp, tz::TimeZone};

use super::number;
use crate::error::Error;

const NANOS: i64 = 1_000_000_000;

/// The zone of a statement's `tz('…')`.
///
/// # Errors
/// When there is no such zone, in 1.x's words.
pub(crate) fn zone(name: &str) -> Result<TimeZone, Error> {
    TimeZone::get(name)
        .map_err(|error| Error::invalid(format!("error parsing query: unable to find time zone {name}")).with_source(error))
}

/// RFC 3339 with as many digits of the second's fraction as are needed.
pub(crate) fn rfc3339(out: &mut BytesMut, nanos: i64, zone: Option<&TimeZone>) {
    let offset =
        zone.map_or(0, |zone| zone.to_offset(Timestamp::from_second(nanos.div_euclid(NANOS)).unwrap_or_default()).seconds());
    let seconds = nanos.div_euclid(NANOS) + i64::from(offset);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00";
    digits(&mut text, 0, 4, year);
    digits(&mut text, 5, 2, month);
    digits(&mut text, 8, 2, day);
    digits(&mut text, 11, 2, second / 3600);
    digits(&mut text, 14, 2, second / 60 % 60);
    digits(&mut text, 17, 2, second % 60);
    out.extend_from_slice(&text);
    let fraction = nanos.rem_euclid(NANOS);
    if fraction != 0 {
        let mut text = *b".000000000";
        digits(&mut text, 1, 9, fraction);
        let end = text.iter().rposition(|&byte| byte != b'0').map_or(0, |last| last + 1);
        out.extend_from_slice(text.get(..end).unwrap_or_default());
    }
    if offset == 0 {
        out.extend_from_slice(b"Z");
        return;
    }
    let minutes = i64::from(offset.abs() / 60);
    let mut text = if offset < 0 { *b"-00:00" } else { *b"+00:00" };
    digits(&mut text, 1, 2, minutes / 60);
    digits(&mut text, 4, 2, minutes % 60);
    out.extend_from_slice(&text);
}

/// An integer in a unit of `unit` nanoseconds, cut towards zero as Go's division does.
pub(crate) fn epoch(out: &mut BytesMut, nanos: i64, unit: i64) {
    number::integer(out, nanos / unit.max(1));
}

/// Writes `count` digits of `value` from `at` on.
fn digits(text: &mut [u8], at: usize, count: usize, mut value: i64) {
    for slot in text.iter_mut().skip(at).take(count).rev() {
        *slot = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01, by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse: days from 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Reads v3's naive timestamps (`2023-11-14T22:13:20.5`), and RFC 3339 with a zone, as nanoseconds since 1970.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let bytes = date_time.as_bytes();
    let number = |at: usize, count: usize| -> Option<i64> {
        bytes
            .get(at..at + count)?
            .iter()
            .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| bytes.get(at) != Some(&byte)) || !matches!(bytes.get(10), Some(b'T' | b' ')) {
        return None;
    }
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (fraction, zone) = rest.split_at_checked(end)?;
            if fraction.is_empty() || fraction.len() > 9 {
                return None;
            }
            let scale = 10_i64.pow(9 - u32::try_from(fraction.len()).ok()?);
            (fraction.parse::<i64>().ok()? * scale, zone)
        }
        None => (0, rest),
    };
    let offset = match zone.as_bytes() {
        [] | b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()) => {
            let digit = |byte: &u8| i64::from(byte - b'0');
            let seconds = (digit(h1) * 10 + digit(h2)) * 3600 + (digit(m1) * 10 + digit(m2)) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    i64::try_from(i128::from(seconds) * i128::from(NANOS) + i128::from(fraction)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(nanos: i64, zone: Option<&TimeZone>) -> String {
        let mut out = BytesMut::new();
        rfc3339(&mut out, nanos, zone);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn times_as_go_prints_them() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (1_700_000_060_123_456_789, "2023-11-14T22:14:20.123456789Z"),
            (1_700_000_061_100_000_000, "2023-11-14T22:14:21.1Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
            (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
            (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
        ] {
            assert_eq!(show(nanos, None), text);
            assert_eq!(parse(text), Some(nanos));
        }
        let new_york = zone("America/New_York").unwrap();
        assert_eq!(show(1_700_000_000_000_000_000, Some(&new_york)), "2023-11-14T17:13:20-05:00");
        assert_eq!(show(1_690_000_000_500_000_000, Some(&new_york)), "2023-07-22T00:26:40.5-04:00");
        assert_eq!(show(0, Some(&zone("Asia/Kolkata").unwrap())), "1970-01-01T05:30:00+05:30");
        assert_eq!(show(1_700_000_000_000_000_000, Some(&zone("Europe/London").unwrap())), "2023-11-14T22:13:20Z");
        assert_eq!(zone("Nope/X").unwrap_err().message(), "error parsing query: unable to find time zone Nope/X");
    }

    #[test]
    fn times_that_v3_writes() {
        assert_eq!(parse("2023-11-14T22:13:20"), Some(1_700_000_000_000_000_000));
        assert_eq!(parse("2023-11-14T22:13:20.000000002"), Some(1_700_000_000_000_000_002));
        assert_eq!(parse("2023-11-14T17:13:20-05:00"), Some(1_700_000_000_000_000_000));
        for bad in [
            "",
            "2023",
            "2023-11-14T22:13:2x",
            "2023-13-14T22:13:20",
            "2023-11-14T22:13:20.",
            "2023-11-14T22:13:20+5",
            "9999-01-01T00:00:00",
            "2023-11-14é22:13:20",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_reads_back(nanos: i64) {
            proptest::prop_assert_eq!(parse(&show(nanos, None)), Some(nanos));
        }

        #[test]
        fn nothing_panics(text: String) {
            parse(&text);
        }
    }
}
