//! Cuts the time range out of `WHERE`, and knows all ways to write a time.

use jiff::{Timestamp, civil, tz::TimeZone};

use super::window::{MAX_TIME, MIN_TIME, zone_offset};
use crate::{
    error::Error,
    influxql::ast::{Binary, BinaryOp, Expr, Literal, Value},
};

/// Bounds of the time, both included; `None` where nothing was said.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct TimeRange {
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
}

impl TimeRange {
    /// What both ranges have in common.
    pub(super) fn intersect(self, other: Self) -> Self {
        let both = |a: Option<i64>, b: Option<i64>, pick: fn(i64, i64) -> i64| match (a, b) {
            (Some(a), Some(b)) => Some(pick(a, b)),
            (a, b) => a.or(b),
        };
        Self { min: both(self.min, other.min, i64::max), max: both(self.max, other.max, i64::min) }
    }

    pub(super) fn lower(self) -> i64 {
        self.min.unwrap_or(MIN_TIME)
    }

    pub(super) fn upper(self) -> i64 {
        self.max.unwrap_or(MAX_TIME)
    }
}

/// What times are relative to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock<'a> {
    pub(super) now: i64,
    pub(super) zone: Option<&'a TimeZone>,
}

/// Splits a condition into its time range and what is left of it. Ranges on both sides of `OR` are intersected too, as in 1.x.
pub(super) fn split(condition: &Expr, clock: Clock<'_>) -> Result<(Option<Expr>, TimeRange), Error> {
    match condition {
        Expr::Binary(binary) if matches!(binary.op, BinaryOp::And | BinaryOp::Or) => {
            let (left, left_range) = split(&binary.left, clock)?;
            let (right, right_range) = split(&binary.right, clock)?;
            let rest = match (left, right) {
                (Some(left), Some(right)) => Some(Expr::Binary(Box::new(Binary { op: binary.op, left, right }))),
                (left, right) => left.or(right),
            };
            Ok((rest, left_range.intersect(right_range)))
        }
        Expr::Binary(binary) if is_time(&binary.left) => Ok((None, range(binary.op, &binary.right, clock)?)),
        Expr::Binary(binary) if is_time(&binary.right) => {
            let op = match binary.op {
                BinaryOp::Lt => BinaryOp::Gt,
                BinaryOp::LtEq => BinaryOp::GtEq,
                BinaryOp::Gt => BinaryOp::Lt,
                BinaryOp::GtEq => BinaryOp::LtEq,
                op => op,
            };
            Ok((None, range(op, &binary.left, clock)?))
        }
        Expr::Binary(_) | Expr::Literal(Literal { value: Value::Boolean(_), .. }) => {
            Ok((Some(condition.clone()), TimeRange::default()))
        }
        Expr::Paren(inner, span) => {
            let (rest, range) = split(inner, clock)?;
            Ok((rest.map(|rest| Expr::Paren(Box::new(rest), *span)), range))
        }
        other => Err(Error::invalid(format!("invalid condition expression: {}", super::describe::expr(other)))),
    }
}

/// Whether a condition says anything of the time.
pub(super) fn has_time(condition: &Expr) -> bool {
    match condition {
        Expr::Binary(binary) => has_time(&binary.left) || has_time(&binary.right),
        Expr::Paren(inner, _) => has_time(inner),
        other => is_time(other),
    }
}

fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::VarRef(reference) if reference.name.name.eq_ignore_ascii_case("time"))
}

fn range(op: BinaryOp, value: &Expr, clock: Clock<'_>) -> Result<TimeRange, Error> {
    let nanos = match reduce(value, clock)? {
        Some(Constant::Text(text)) => match parse_time(&text, clock.zone)? {
            Some(time) => time,
            None => return Err(incompatible("StringLiteral")),
        },
        Some(Constant::Time(time) | Constant::Duration(time) | Constant::Integer(time)) => time,
        Some(Constant::Float(time)) => time as i128,
        None => {
            return Err(incompatible(match value {
                Expr::VarRef(_) => "VarRef",
                Expr::Regex(_) => "RegexLiteral",
                Expr::Literal(Literal { value: Value::Boolean(_), .. }) => "BooleanLiteral",
                Expr::Call(_) => "Call",
                _ => "BinaryExpr",
            }));
        }
    };
    let time = if nanos > i128::from(MAX_TIME) {
        return Err(Error::invalid(format!("time {} overflows time literal", far(nanos))));
    } else if nanos <= i128::from(MIN_TIME) {
        return Err(Error::invalid(format!("time {} underflows time literal", far(nanos))));
    } else {
        nanos as i64
    };
    Ok(match op {
        BinaryOp::Gt => TimeRange { min: Some(time.saturating_add(1)), max: None },
        BinaryOp::GtEq => TimeRange { min: Some(time), max: None },
        BinaryOp::Lt => TimeRange { min: None, max: Some(time.saturating_sub(1)) },
        BinaryOp::LtEq => TimeRange { min: None, max: Some(time) },
        BinaryOp::Eq => TimeRange { min: Some(time), max: Some(time) },
        other => return Err(Error::invalid(format!("invalid time comparison operator: {}", super::describe::operator(other)))),
    })
}

fn incompatible(kind: &str) -> Error {
    Error::invalid(format!("invalid operation: time and *influxql.{kind} are not compatible"))
}

/// A time that nanoseconds since 1970 can't hold.
fn far(nanos: i128) -> String {
    Timestamp::from_nanosecond(nanos).map_or_else(|_| format!("{nanos}ns"), |time| time.to_string())
}

/// A constant of time arithmetic, wide enough not to overflow before it is looked at.
enum Constant {
    Time(i128),
    Duration(i128),
    Integer(i128),
    Float(f64),
    Text(Box<str>),
}

fn reduce(expr: &Expr, clock: Clock<'_>) -> Result<Option<Constant>, Error> {
    use Constant::{Duration, Float, Integer, Text, Time};
    Ok(match expr {
        Expr::Literal(literal) => match &literal.value {
            Value::Duration(value) => Some(Duration(i128::from(*value))),
            Value::Integer(value) => Some(Integer(i128::from(*value))),
            Value::Unsigned(value) => Some(Integer(i128::from(*value))),
            Value::Float(value) => Some(Float(*value)),
            Value::String(text) => Some(Text(text.clone())),
            Value::Boolean(_) => None,
        },
        Expr::Call(call) if call.name.name.eq_ignore_ascii_case("now") && call.args.is_empty() => {
            Some(Time(i128::from(clock.now)))
        }
        Expr::Paren(inner, _) => reduce(inner, clock)?,
        Expr::Binary(binary) => {
            let (Some(left), Some(right)) = (reduce(&binary.left, clock)?, reduce(&binary.right, clock)?) else {
                return Ok(None);
            };
            // Texts that stand in arithmetic are times.
            let time = |value: Constant| -> Result<Option<Constant>, Error> {
                Ok(match value {
                    Text(text) => parse_time(&text, clock.zone)?.map(Time),
                    other => Some(other),
                })
            };
            let (Some(left), Some(right)) = (time(left)?, time(right)?) else { return Ok(None) };
            let overflow = || Error::invalid("time arithmetic overflows");
            match (binary.op, left, right) {
                (BinaryOp::Add, Time(a), Duration(b) | Integer(b)) | (BinaryOp::Add, Duration(a) | Integer(a), Time(b)) => {
                    Some(Time(a + b))
                }
                (BinaryOp::Sub, Time(a), Duration(b) | Integer(b)) => Some(Time(a - b)),
                (BinaryOp::Sub, Time(a), Time(b)) => Some(Duration(a - b)),
                (BinaryOp::Add, Integer(a), Integer(b)) => Some(Integer(a + b)),
                (BinaryOp::Sub, Integer(a), Integer(b)) => Some(Integer(a - b)),
                (BinaryOp::Add, Duration(a) | Integer(a), Duration(b) | Integer(b)) => Some(Duration(a + b)),
                (BinaryOp::Sub, Duration(a) | Integer(a), Duration(b) | Integer(b)) => Some(Duration(a - b)),
                (BinaryOp::Mul, Integer(a), Integer(b)) => Some(Integer(a.checked_mul(b).ok_or_else(overflow)?)),
                (BinaryOp::Mul, Duration(a), Integer(b)) | (BinaryOp::Mul, Integer(a), Duration(b)) => {
                    Some(Duration(a.checked_mul(b).ok_or_else(overflow)?))
                }
                (BinaryOp::Mul, Duration(a), Float(b)) | (BinaryOp::Mul, Float(b), Duration(a)) => {
                    Some(Duration((a as f64 * b) as i128))
                }
                (BinaryOp::Div, Duration(a), Integer(b)) => Some(Duration(a.checked_div(b).unwrap_or(0))),
                (BinaryOp::Div, Duration(a), Float(b)) => Some(Duration(if b == 0.0 { 0 } else { (a as f64 / b) as i128 })),
                (BinaryOp::Div, Integer(a), Integer(b)) => Some(Float(if b == 0 { 0.0 } else { a as f64 / b as f64 })),
                (op, a @ (Integer(_) | Float(_)), b @ (Integer(_) | Float(_))) => {
                    let number = |value| match value {
                        Integer(value) => value as f64,
                        Float(value) => value,
                        _ => 0.0,
                    };
                    let (a, b) = (number(a), number(b));
                    match op {
                        BinaryOp::Add => Some(Float(a + b)),
                        BinaryOp::Sub => Some(Float(a - b)),
                        BinaryOp::Mul => Some(Float(a * b)),
                        BinaryOp::Div => Some(Float(if b == 0.0 { 0.0 } else { a / b })),
                        _ => None,
                    }
                }
                _ => None,
            }
        }
        _ => None,
    })
}

/// The second argument of `time(…)`: how far windows are shifted, less than one of them.
pub(super) fn offset(expr: &Expr, width: i64, clock: Clock<'_>) -> Result<i64, Error> {
    // Go counts from the year 1 when it truncates a time.
    const YEAR_1: i128 = 62_135_596_800_000_000_000;
    let width = i128::from(width);
    let constant = match reduce(expr, clock)? {
        Some(Constant::Text(text)) => parse_time(&text, clock.zone)?.map(Constant::Time),
        other => other,
    };
    match constant {
        Some(Constant::Duration(shift)) => Ok((shift % width) as i64),
        Some(Constant::Time(time)) => Ok((time + YEAR_1).rem_euclid(width) as i64),
        _ => Err(Error::invalid("time dimension offset must be duration or now()")),
    }
}

/// A time in one of 1.x's forms, `None` when it doesn't look like one: `2006-01-02`, `2006-01-02 15:04:05.999`, `2006-01-02T15:04:05.999Z`,
/// the same with `±07:00`. Without a zone of its own it is in `zone`, by default UTC.
pub(super) fn parse_time(text: &str, zone: Option<&TimeZone>) -> Result<Option<i128>, Error> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let dash = |at: usize| bytes.get(at) == Some(&b'-');
    if !(digits(0..4) && dash(4) && digits(5..7) && dash(7) && digits(8..10)) {
        return Ok(None);
    }
    let bad = || Error::invalid("invalid timestamp string");
    let number = |range: std::ops::Range<usize>| -> Result<i16, Error> {
        if !digits(range.clone()) {
            return Err(bad());
        }
        text.get(range).and_then(|part| part.parse().ok()).ok_or_else(bad)
    };
    let small = |range| -> Result<i8, Error> { Ok(number(range)? as i8) };
    let date = civil::Date::new(number(0..4)?, small(5..7)?, small(8..10)?).map_err(|_| bad())?;
    let (mut time, mut fraction, mut own_offset) = (civil::Time::midnight(), 0, None);
    if bytes.len() > 10 {
        let separator = bytes[10];
        if !matches!(separator, b' ' | b'T') || bytes.get(13) != Some(&b':') || bytes.get(16) != Some(&b':') {
            return Err(bad());
        }
        time = civil::Time::new(small(11..13)?, small(14..16)?, small(17..19)?, 0).map_err(|_| bad())?;
        let mut rest = &text[19..];
        if let Some(after) = rest.strip_prefix('.') {
            let len = after.bytes().take_while(u8::is_ascii_digit).count();
            if len == 0 {
                return Err(bad());
            }
            fraction = after
                .bytes()
                .chain(std::iter::repeat(b'0'))
                .take(9)
                .enumerate()
                .fold(0, |value, (i, digit)| value * 10 + i128::from(if i < len { digit - b'0' } else { 0 }));
            rest = &after[len..];
        }
        own_offset = match (separator, rest.as_bytes()) {
            (b' ', []) => None,
            (b'T', [b'Z']) => Some(0),
            (b'T', [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2])
                if [h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit()) =>
            {
                let two = |a: &u8, b: &u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
                let seconds = two(h1, h2) * 3600 + two(m1, m2) * 60;
                Some(if *sign == b'-' { -seconds } else { seconds })
            }
            _ => return Err(bad()),
        };
    }
    let utc = TimeZone::UTC.to_timestamp(date.to_datetime(time)).map_err(|_| bad())?.as_nanosecond();
    let utc = match (own_offset, zone) {
        (Some(offset), _) => utc - i128::from(offset) * 1_000_000_000,
        (None, Some(zone)) => local_to_utc(utc, zone),
        (None, None) => utc,
    };
    Ok(Some(utc + fraction))
}

/// A time on local clocks; where clocks change, the offset of the moment that it would be, as Go does it.
fn local_to_utc(local: i128, zone: &TimeZone) -> i128 {
    let offset = |at: i128| i64::try_from(at).map_or(0, |at| i128::from(zone_offset(zone, at)));
    let first = offset(local);
    let second = offset(local - first);
    local - if first == second { first } else { second }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_times() {
        const S: i128 = 1_000_000_000;
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (text, zone, expected) in [
            ("1970-01-02", None, Some(86400 * S)),
            ("1970-01-01 00:00:01", None, Some(S)),
            ("1970-01-01 00:00:01.5", None, Some(S + S / 2)),
            ("1970-01-01T00:00:01Z", None, Some(S)),
            ("1970-01-01T00:00:01.000000001Z", None, Some(S + 1)),
            ("1970-01-01T01:00:01+01:00", None, Some(S)),
            ("1970-01-01T01:00:00Z", Some(&berlin), Some(3600 * S)),
            ("1970-01-01 01:00:00", Some(&berlin), Some(0)),
            ("2020-07-01", Some(&berlin), Some(1_593_554_400 * S)),
            ("abc", None, None),
            ("", None, None),
        ] {
            assert_eq!(parse_time(text, zone).unwrap(), expected, "{text}");
        }
        for text in [
            "1970-13-01",
            "1970-01-01T00:00:00",
            "1970-01-01x",
            "1970-01-01 00:00",
            "1970-01-01 00:00:00ü",
            "1970-01-01 00:00:00.",
        ] {
            assert!(parse_time(text, None).is_err(), "{text}");
        }
    }
}
