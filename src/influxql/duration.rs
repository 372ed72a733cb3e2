//! Durations: InfluxQL's own notation (`1w2d`, `90s`) and Go's (`168h0m0s`), in which 1.x answers.

const MICRO: i64 = 1_000;
const MILLI: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// Why a text is no duration; `Display` is 1.x's message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DurationError {
    /// It doesn't read as one.
    #[error("invalid duration")]
    Invalid,
    /// It is longer than 2⁶³ − 1 nanoseconds.
    #[error("overflowed duration {0}: choose a smaller duration or INF")]
    Overflow(Box<str>),
}

/// Nanoseconds of a duration such as `1h30m`: integers with units `ns`, `u`, `µ`, `ms`, `s`, `m`, `h`, `d`, `w` in any order.
///
/// # Errors
/// When it isn't one, or doesn't fit.
pub fn parse_duration(text: &str) -> Result<i64, DurationError> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return Err(DurationError::Invalid);
    }
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let count: i64 = number.parse().map_err(|_| DurationError::Invalid)?;
        let (unit, nanos) = unit(tail).ok_or(DurationError::Invalid)?;
        let overflow = || DurationError::Overflow(format!("{count}{unit}").into());
        sum = count.checked_mul(nanos).and_then(|part| sum.checked_add(part)).ok_or_else(overflow)?;
        rest = tail.strip_prefix(unit).unwrap_or_default();
    }
    Ok(if negative { -sum } else { sum })
}

/// The unit at the start of `text`, and its nanoseconds.
fn unit(text: &str) -> Option<(&'static str, i64)> {
    const UNITS: [(&str, i64); 10] = [
        ("ns", 1),
        ("ms", MILLI),
        ("u", MICRO),
        ("µ", MICRO),
        ("s", SECOND),
        ("m", MINUTE),
        ("h", HOUR),
        ("d", DAY),
        ("w", WEEK),
        ("", 0),
    ];
    UNITS.into_iter().find(|(unit, _)| text.starts_with(unit)).filter(|(unit, _)| !unit.is_empty())
}

/// A duration as InfluxQL writes it, in the largest unit that divides it: `90m`, `1w`, `0s`.
#[must_use]
pub fn format_duration(nanos: i64) -> String {
    const UNITS: [(i64, &str); 8] =
        [(WEEK, "w"), (DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (MILLI, "ms"), (MICRO, "u"), (1, "ns")];
    if nanos == 0 {
        return "0s".to_owned();
    }
    let (size, unit) = UNITS.into_iter().find(|(size, _)| nanos % size == 0).unwrap_or((1, "ns"));
    format!("{}{unit}", nanos / size)
}

/// A duration as Go prints it, and with it 1.x in `SHOW RETENTION POLICIES`: `168h0m0s`, `1m30.5s`, `1.5ms`, `0s`.
#[must_use]
pub fn format_go_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let fraction = |unit: u64, name: &str| {
        let (whole, rest) = (nanos / unit, nanos % unit);
        if rest == 0 {
            return format!("{sign}{whole}{name}");
        }
        let width = unit.ilog10() as usize;
        let digits = format!("{rest:0width$}");
        format!("{sign}{whole}.{}{name}", digits.trim_end_matches('0'))
    };
    let second = SECOND.unsigned_abs();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{nanos}ns"),
        1_000..1_000_000 => fraction(1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(1_000_000, "ms"),
        _ => {
            let minutes = nanos / (60 * second);
            let rest = nanos % (60 * second);
            let mut seconds = format!("{}", rest / second);
            if !rest.is_multiple_of(second) {
                let digits = format!("{:09}", rest % second);
                seconds = format!("{seconds}.{}", digits.trim_end_matches('0'));
            }
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_and_print() {
        let cases: [(&str, i64, &str, &str); 12] = [
            ("7d", WEEK, "1w", "168h0m0s"),
            ("1h30m", 90 * MINUTE, "90m", "1h30m0s"),
            ("90s", 90 * SECOND, "90s", "1m30s"),
            ("1500ms", 1500 * MILLI, "1500ms", "1.5s"),
            ("1500u", 1500 * MICRO, "1500u", "1.5ms"),
            ("1500ns", 1500, "1500ns", "1.5µs"),
            ("10µ", 10 * MICRO, "10u", "10µs"),
            ("0s", 0, "0s", "0s"),
            ("-5m", -5 * MINUTE, "-5m", "-5m0s"),
            ("1ns", 1, "1ns", "1ns"),
            (
                "1w2d3h4m5s6ms7u8ns",
                9 * DAY + 3 * HOUR + 4 * MINUTE + 5 * SECOND + 6 * MILLI + 7_008,
                "788645006007008ns",
                "219h4m5.006007008s",
            ),
            ("61s", 61 * SECOND, "61s", "1m1s"),
        ];
        for (text, nanos, influx, go) in cases {
            assert_eq!(parse_duration(text), Ok(nanos), "{text}");
            assert_eq!(format_duration(nanos), influx, "{text}");
            assert_eq!(format_go_duration(nanos), go, "{text}");
            assert_eq!(parse_duration(influx), Ok(nanos), "{influx}");
        }
        for text in ["", "-", "5", "m", "5y", "1h5", "5mm5", "1.5h", "h1", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), Err(DurationError::Invalid), "{text}");
        }
        let error = parse_duration("1000000w").unwrap_err();
        assert_eq!(error.to_string(), "overflowed duration 1000000w: choose a smaller duration or INF");
        assert_eq!(format_go_duration(i64::MIN), "-2562047h47m16.854775808s");
        assert_eq!(format_duration(i64::MIN), "-9223372036854775808ns");
    }
}
