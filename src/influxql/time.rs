//! Time literals: strings that are compared with `time`.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The time zone that `tz('name')` means: an IANA name, spelled as in the database; empty, `UTC` and `Local` are UTC.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    match name {
        "" | "UTC" | "Local" => Some(TimeZone::UTC),
        // The database takes any capitalisation, 1.x doesn't.
        _ => TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name)),
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

/// Least and greatest time of 1.x, in nanoseconds since 1970-01-01T00:00:00Z: the ends of 64 bits have other meanings.
pub const TIME_RANGE: std::ops::RangeInclusive<i64> = i64::MIN + 3..=i64::MAX - 1;

/// Why a string is no time; `Display` is 1.x's message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TimeError {
    /// It doesn't read as one.
    #[error("invalid timestamp string")]
    Invalid,
    /// It is later than [`TIME_RANGE`] goes.
    #[error("time {0} overflows time literal")]
    Overflow(Box<str>),
    /// It is earlier than [`TIME_RANGE`] goes.
    #[error("time {0} underflows time literal")]
    Underflow(Box<str>),
}

/// Nanoseconds since 1970-01-01T00:00:00Z of a time literal: `2006-01-02`, `2006-01-02 15:04:05` with up to nine decimals, both in
/// local time of `zone` (UTC by default), and RFC 3339 (`2006-01-02T15:04:05.999Z`, `…+02:00`).
///
/// # Errors
/// When it is no time, or outside of [`TIME_RANGE`].
pub fn parse_time(text: &str, zone: Option<&TimeZone>) -> Result<i64, TimeError> {
    let at = timestamp(text, zone).ok_or(TimeError::Invalid)?;
    let shown = || {
        format!(
            "{:.0}",
            at.round(jiff::TimestampRound::new().smallest(jiff::Unit::Second).mode(jiff::RoundMode::Floor)).unwrap_or(at)
        )
        .into()
    };
    match i64::try_from(at.as_nanosecond()) {
        Ok(nanos) if TIME_RANGE.contains(&nanos) => Ok(nanos),
        _ if at > jiff::Timestamp::UNIX_EPOCH => Err(TimeError::Overflow(shown())),
        _ => Err(TimeError::Underflow(shown())),
    }
}

fn timestamp(text: &str, zone: Option<&TimeZone>) -> Option<jiff::Timestamp> {
    if !looks_like_time(text) {
        return None;
    }
    let (date, rest) = text.split_at_checked(10)?;
    let date: jiff::civil::Date = date.parse().ok()?;
    let utc = TimeZone::UTC;
    let local = zone.unwrap_or(&utc);
    let instant = |at: DateTime| local.to_ambiguous_timestamp(at).compatible().ok();
    let mut rest = rest.chars();
    match rest.next() {
        None => instant(date.to_datetime(jiff::civil::Time::midnight())),
        Some(' ') => instant(date.to_datetime(clock(rest.as_str())?)),
        Some('T') => {
            let (time, offset) = offset(rest.as_str())?;
            offset.to_timestamp(date.to_datetime(clock(time)?)).ok()
        }
        Some(_) => None,
    }
}

/// `15:04:05[.999999999]`
fn clock(text: &str) -> Option<jiff::civil::Time> {
    // Go takes a comma too.
    let (whole, fraction) = match text.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let two = |text: &str| if text.len() == 2 { number(text) } else { None };
    let mut parts = whole.split(':');
    // One digit is enough for the hour.
    let hour = parts.next().filter(|hour| matches!(hour.len(), 1 | 2)).and_then(number)?;
    let (minute, second) = (two(parts.next()?)?, two(parts.next()?)?);
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

/// Time of day, and the offset behind it: `Z`, `+01:00`.
fn offset(text: &str) -> Option<(&str, jiff::tz::Offset)> {
    if let Some(time) = text.strip_suffix('Z') {
        return Some((time, jiff::tz::Offset::UTC));
    }
    let (time, offset) = text.split_at_checked(text.rfind(['+', '-'])?)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if hours > 24 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3600 + minutes * 60;
    let offset = jiff::tz::Offset::from_seconds(if offset.starts_with('-') { -seconds } else { seconds }).ok()?;
    Some((time, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_literals_parse_in_utc_and_in_a_zone() {
        let cases: [(&str, Result<i64, &str>); 29] = [
            ("1970-01-01", Ok(0)),
            ("1970-01-01 00:00:01", Ok(1_000_000_000)),
            ("1970-01-01 0:00:01", Ok(1_000_000_000)),
            ("1970-01-01 00:00:01.5", Ok(1_500_000_000)),
            ("1970-01-01 00:00:01,5", Ok(1_500_000_000)),
            ("1970-01-01 00:00:01.000000001", Ok(1_000_000_001)),
            ("1970-01-01T00:00:01Z", Ok(1_000_000_000)),
            ("1970-01-01T01:00:01.25+01:00", Ok(1_250_000_000)),
            ("1969-12-31T23:00:00-01:00", Ok(0)),
            ("1970-01-02T00:00:00+24:00", Ok(0)),
            ("1969-12-31", Ok(-86_400_000_000_000)),
            ("2262-04-11T23:47:16.854775806Z", Ok(i64::MAX - 1)),
            ("2262-04-11T23:47:16.854775807Z", Err("time 2262-04-11T23:47:16Z overflows time literal")),
            ("1677-09-21T00:12:43.145224195Z", Ok(i64::MIN + 3)),
            ("1677-09-21T00:12:43.145224194Z", Err("time 1677-09-21T00:12:43Z underflows time literal")),
            ("9999-01-01", Err("time 9999-01-01T00:00:00Z overflows time literal")),
            ("1000-01-01", Err("time 1000-01-01T00:00:00Z underflows time literal")),
            ("1970-13-01", Err("invalid timestamp string")),
            ("1970-02-30", Err("invalid timestamp string")),
            ("1970-01-01 24:00:00", Err("invalid timestamp string")),
            ("1970-01-01 00:00:60", Err("invalid timestamp string")),
            ("1970-01-01T00:00:00", Err("invalid timestamp string")),
            ("1970-01-01T00:00", Err("invalid timestamp string")),
            ("1970-01-01T00:00:00z", Err("invalid timestamp string")),
            ("1970-01-01 00:00:00.", Err("invalid timestamp string")),
            ("1970-01-01 00:00:00.1234567891", Err("invalid timestamp string")),
            ("1970-01-01x", Err("invalid timestamp string")),
            ("1970-01-01T00:00:00+0100", Err("invalid timestamp string")),
            ("now", Err("invalid timestamp string")),
        ];
        for (text, nanos) in cases {
            let actual = parse_time(text, None);
            assert_eq!(actual.map_err(|error| error.to_string()), nanos.map_err(str::to_owned), "{text}");
        }
        let new_york = zone("America/New_York").unwrap();
        assert_eq!(parse_time("1970-01-01", Some(&new_york)), Ok(5 * 3600 * 1_000_000_000));
        assert_eq!(parse_time("1970-01-01T00:00:00Z", Some(&new_york)), Ok(0));
        for name in ["Nowhere/Else", "america/new_york", "../UTC"] {
            assert!(zone(name).is_none(), "{name}");
        }
    }
}
