//! The parameters of `/write`.

use http::{HeaderMap, header::CONTENT_ENCODING};

use super::decode::Raw;
use crate::{
    call::Write,
    dbrp::check_name,
    error::{Error, Kind},
    types::{Precision, Profile},
};

/// Decides what is written where.
///
/// # Errors
/// 400 for a name, precision or consistency that the profile doesn't take, 415 for an encoding that is neither gzip nor identity.
pub(super) fn write(raw: Raw<'_>, headers: &HeaderMap, profile: Profile) -> Result<Write, Error> {
    let gzip = is_gzip(headers)?;
    let db = raw.db.unwrap_or_default();
    check_name(&db, profile)?;
    let precision = match raw.precision.as_deref() {
        None => Precision::Nanosecond,
        Some(name) => precision(name, profile)?,
    };
    if let (Profile::V1, Some(level)) = (profile, raw.consistency.as_deref())
        && !["any", "one", "quorum", "all"].iter().any(|known| level.eq_ignore_ascii_case(known))
    {
        return Err(Error::invalid("invalid consistency level"));
    }
    Ok(Write { db: db.into(), rp: raw.rp.map(Into::into), precision, gzip })
}

/// Whether the body is packed.
///
/// # Errors
/// 415 when it is packed in a way that nobody unpacks.
pub(super) fn is_gzip(headers: &HeaderMap) -> Result<bool, Error> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    let Some(encoding) = encodings.next() else { return Ok(false) };
    let name = encoding.to_str().unwrap_or("?").trim();
    match name.to_ascii_lowercase().as_str() {
        _ if encodings.next().is_some() => {}
        "gzip" | "x-gzip" => return Ok(true),
        "identity" | "" => return Ok(false),
        _ => {}
    }
    Err(Error::new(Kind::UnsupportedMediaType, format!("unsupported content encoding {:?}: use gzip or identity", shorten(name))))
}

/// The units of both profiles.
pub(super) fn unit(name: &str) -> Option<Precision> {
    Some(match name {
        "n" | "ns" => Precision::Nanosecond,
        // Both the micro sign and the Greek letter.
        "u" | "us" | "\u{b5}" | "\u{3bc}" => Precision::Microsecond,
        "ms" => Precision::Millisecond,
        "s" => Precision::Second,
        "m" => Precision::Minute,
        "h" => Precision::Hour,
        _ => return None,
    })
}

fn precision(name: &str, profile: Profile) -> Result<Precision, Error> {
    match (profile, unit(name)) {
        (Profile::V1, Some(unit)) => Ok(unit),
        (Profile::V1, None) => Err(Error::invalid(format!("invalid precision {:?} (use n, u, ms, s, m or h)", shorten(name)))),
        (Profile::Serverless, Some(unit)) if unit != Precision::Microsecond || name == "us" => Ok(unit),
        // The seed document's text, to the letter; it doesn't list all that it takes.
        (Profile::Serverless, _) => Err(Error::invalid(format!(
            "failed to deserialize db/rp/precision in request: unknown variant `{}`, expected one of `s`, `ms`, `us`, `ns`",
            shorten(name)
        ))),
    }
}

/// As much of an offending value as is worth repeating.
pub(super) fn shorten(value: &str) -> &str {
    value.char_indices().nth(64).map_or(value, |(end, _)| value.get(..end).unwrap_or_default())
}
