//! Time literals: strings that are compared with `time`.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The time zone that `tz('name')` means: an IANA name, in any capitalisation as the database has it; empty and `UTC` are UTC.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    match name {
        "" | "UTC" | "Local" => Some(TimeZone::UTC),
        _ => TimeZone::get(name).ok(),
    }
}

/// Whether 1.x takes a string for a time: it begins with a date, `2006-01-02`. (It may still not be a valid one.)
#[must_use]
pub fn looks_like_time(text: &str) -> bool {
    let date = text.as_bytes().first_chunk::<10>();
    date.is_some_and(|date| {
        date.iter().enumerate().all(|(i, byte)| if matches!(i, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() })
    })
}

/// Nanoseconds since 1970-01-01T00:00:00Z of a time literal: `2006-01-02`, `2006-01-02 15:04:05` with up to nine decimals, and RFC 3339
/// (`2006-01-02T15:04:05.999Z`, `…+02:00`). Without an offset it is local time in `zone`, UTC by default.
///
/// Nothing when it is no time, or outside of what 64 bits of nanoseconds hold.
#[must_use]
pub fn parse_time(text: &str, zone: Option<&TimeZone>) -> Option<i64> {
    if !looks_like_time(text) {
        return None;
    }
    let (date, rest) = text.split_at_checked(10)?;
    let date: jiff::civil::Date = date.parse().ok()?;
    let utc = TimeZone::UTC;
    let local = zone.unwrap_or(&utc);
    let instant = |at: DateTime| nanos(local.to_ambiguous_timestamp(at).compatible().ok()?);
    let mut rest = rest.chars();
    match rest.next() {
        None => instant(date.to_datetime(jiff::civil::Time::midnight())),
        Some(' ') => instant(date.to_datetime(clock(rest.as_str())?)),
        Some('T') => match offset(rest.as_str()) {
            (time, None) => instant(date.to_datetime(clock(time)?)),
            (time, Some(offset)) => {
                let at = date.to_datetime(clock(time)?);
                nanos(offset?.to_timestamp(at).ok()?)
            }
        },
        Some(_) => None,
    }
}

fn nanos(at: jiff::Timestamp) -> Option<i64> {
    i64::try_from(at.as_nanosecond()).ok()
}

/// `15:04:05[.999999999]`
fn clock(text: &str) -> Option<jiff::civil::Time> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let two = |text: &str| if text.len() == 2 { number(text) } else { None };
    let mut parts = whole.split(':');
    let (hour, minute, second) = (two(parts.next()?)?, two(parts.next()?)?, two(parts.next()?)?);
    if parts.next().is_some() {
        return None;
    }
    let nanos = match fraction {
        None => 0,
        Some(digits) if digits.is_empty() || digits.len() > 9 => return None,
        Some(digits) => number(digits)? * 10_i32.pow(9 - u32::try_from(digits.len()).ok()?),
    };
    let small = |value: i32| i8::try_from(value).ok();
    jiff::civil::Time::new(small(hour)?, small(minute)?, small(second)?, nanos).ok()
}

fn number(digits: &str) -> Option<i32> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Time of day, and the offset behind it: `Z`, `+01:00`; the inner nothing is a malformed one.
fn offset(text: &str) -> (&str, Option<Option<jiff::tz::Offset>>) {
    if let Some(time) = text.strip_suffix('Z') {
        return (time, Some(Some(jiff::tz::Offset::UTC)));
    }
    let Some(at) = text.rfind(['+', '-']) else { return (text, None) };
    let (time, offset) = text.split_at(at);
    let parse = || {
        let (hours, minutes) = offset.get(1..)?.split_once(':')?;
        if hours.len() != 2 || minutes.len() != 2 {
            return None;
        }
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        if hours > 23 || minutes > 59 {
            return None;
        }
        let seconds = hours * 3600 + minutes * 60;
        jiff::tz::Offset::from_seconds(if offset.starts_with('-') { -seconds } else { seconds }).ok()
    };
    (time, Some(parse()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_literals_parse_in_utc_and_in_a_zone() {
        let cases: [(&str, Option<i64>); 18] = [
            ("1970-01-01", Some(0)),
            ("1970-01-01 00:00:01", Some(1_000_000_000)),
            ("1970-01-01 00:00:01.5", Some(1_500_000_000)),
            ("1970-01-01 00:00:01.000000001", Some(1_000_000_001)),
            ("1970-01-01T00:00:01Z", Some(1_000_000_000)),
            ("1970-01-01T01:00:01.25+01:00", Some(1_250_000_000)),
            ("1969-12-31T23:00:00-01:00", Some(0)),
            ("1969-12-31", Some(-86_400_000_000_000)),
            ("2262-04-11T23:47:16.854775807Z", Some(i64::MAX)),
            ("2262-04-12", None),
            ("1970-13-01", None),
            ("1970-02-30", None),
            ("1970-01-01 25:00:00", None),
            ("1970-01-01T00:00", None),
            ("1970-1-1", None),
            ("now", None),
            ("1970-01-01x", None),
            ("1970-01-01T00:00:00+0100", None),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse_time(text, None), nanos, "{text}");
        }
        let new_york = zone("America/New_York").unwrap();
        assert_eq!(parse_time("1970-01-01", Some(&new_york)), Some(5 * 3600 * 1_000_000_000));
        assert_eq!(parse_time("1970-01-01T00:00:00Z", Some(&new_york)), Some(0));
        assert!(zone("Nowhere/Else").is_none());
    }
}
