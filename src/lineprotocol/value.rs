//! Numbers, booleans and timestamps.

use std::num::IntErrorKind;

use super::{FieldValue, Reason};

/// A number, which starts with a digit, a point, a minus or an `n` (for `nan`).
pub(super) fn number(token: &str) -> Result<FieldValue<'static>, Reason> {
    let bytes = token.as_bytes();
    let unsigned_part = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let negative = unsigned_part.len() < bytes.len();
    let (mut decimal, mut scientific, mut suffix, mut digits) = (false, false, None, 0_usize);
    let mut previous = if negative { b'-' } else { 0 };
    for &byte in unsigned_part {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'.' if !decimal => decimal = true,
            b'i' | b'u' if previous != 0 && suffix.is_none() => suffix = Some(byte),
            b'e' | b'E' if previous != 0 => scientific = true,
            b'+' | b'-' if matches!(previous, b'e' | b'E') => {}
            _ => return Err(Reason::InvalidNumber),
        }
        previous = byte;
    }
    let last_is_suffix = suffix.is_none_or(|suffix| previous == suffix);
    // An exponent without digits in front is a float that can't be read, anything else without digits no number.
    if (digits == 0 && !scientific) || !last_is_suffix || (suffix.is_some() && (decimal || scientific)) {
        return Err(Reason::InvalidNumber);
    }
    let body = token.get(..token.len() - usize::from(suffix.is_some())).unwrap_or_default();
    match suffix {
        Some(b'i') => body.parse().map(FieldValue::Integer).map_err(|_| Reason::IntegerRange(body.into())),
        Some(_) if negative => Err(Reason::InvalidNumber),
        Some(_) => body.parse().map(FieldValue::Unsigned).map_err(|_| Reason::UnsignedRange(body.into())),
        None => match body.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(FieldValue::Float(value)),
            _ => Err(Reason::InvalidFloat),
        },
    }
}

/// A boolean in any of 1.x's spellings.
pub(super) fn boolean(token: &str) -> Result<bool, Reason> {
    match token {
        "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err(Reason::InvalidBoolean),
    }
}

/// A timestamp, in whatever unit.
pub(super) fn timestamp(token: &str) -> Result<i64, Reason> {
    let digits = token.strip_prefix('-').unwrap_or(token);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Reason::BadTimestamp);
    }
    token.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Reason::TimestampRange(token.into()),
        _ => Reason::TimestampSyntax(token.into()),
    })
}
