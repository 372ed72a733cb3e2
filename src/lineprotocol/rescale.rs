//! Minutes and hours, which neither v2 nor v3 knows, become seconds; gzip bodies are unpacked under a limit.

use std::io::{Read, Write as _};

use super::{
    MAX_TIME, MIN_TIME, Reason,
    parse::parse_line,
    split::{split_line, trim_start},
};
use crate::{
    error::{Error, Kind},
    types::Precision,
};

/// Writes the timestamps of a body that is in `from` in seconds instead. Lines that are none stay as they are, for whoever stores them
/// to report.
///
/// # Errors
/// 400 when `from` is no multiple of a second, or a timestamp is outside of what a point may have (in 1.x's words, with the line).
///
/// ```
/// use v1shim::{lineprotocol::rescale, types::Precision};
///
/// assert_eq!(rescale(b"m f=1 2\n# note\nm f=1", Precision::Hour).unwrap(), b"m f=1 7200\n# note\nm f=1");
/// assert!(rescale(b"m f=1 9999999999", Precision::Hour).is_err());
/// ```
pub fn rescale(body: &[u8], from: Precision) -> Result<Vec<u8>, Error> {
    let second = Precision::Second.nanos();
    if from.nanos() % second != 0 {
        return Err(Error::internal("timestamps finer than seconds can't be written in seconds"));
    }
    let factor = from.nanos() / second;
    // Timestamps grow by four digits at most.
    let mut out = Vec::with_capacity(body.len() + body.len() / 16 + 16);
    let (mut rest, mut number) = (body, 0);
    while !rest.is_empty() {
        let (line, tail) = split_line(rest);
        let newline = rest.get(line.len()..rest.len() - tail.len()).unwrap_or_default();
        number += 1;
        rescale_line(line, number, factor, &mut out)?;
        out.extend_from_slice(newline);
        rest = tail;
    }
    Ok(out)
}

fn rescale_line(line: &[u8], number: usize, factor: i64, out: &mut Vec<u8>) -> Result<(), Error> {
    let (plain, end) = match line.strip_suffix(b"\r") {
        Some(plain) => (plain, &b"\r"[..]),
        None => (line, &b""[..]),
    };
    let text = trim_start(plain);
    let parsed = if matches!(text.first(), None | Some(b'#')) { None } else { parse_line(text, number).ok() };
    let Some((raw, timestamp)) = parsed.and_then(|raw| raw.timestamp().map(|timestamp| (raw, timestamp))) else {
        out.extend_from_slice(line);
        return Ok(());
    };
    let scaled = timestamp.checked_mul(factor).filter(|seconds| {
        seconds.checked_mul(Precision::Second.nanos()).is_some_and(|time| (MIN_TIME..=MAX_TIME).contains(&time))
    });
    let Some(seconds) = scaled else {
        let error = super::LineError { number, text, reason: Reason::TimeRange };
        return Err(Error::invalid(error.to_string()));
    };
    out.extend_from_slice(text.get(..raw.timestamp.start).unwrap_or_default());
    // Writing to a vector can't fail.
    let _ = write!(out, "{seconds}");
    out.extend_from_slice(text.get(raw.timestamp.end..).unwrap_or_default());
    out.extend_from_slice(end);
    Ok(())
}

/// Unpacks a gzip body of one or more members (RFC 1952).
///
/// # Errors
/// 400 when it is no gzip or breaks off, 413 when it unpacks to more than `limit` bytes.
pub fn gunzip(body: &[u8], limit: u64) -> Result<Vec<u8>, Error> {
    // Line protocol packs about tenfold; the reader grows the buffer where that is too little.
    let mut out = Vec::with_capacity(usize::try_from(limit).unwrap_or(usize::MAX).min(body.len().saturating_mul(4)));
    let read = flate2::bufread::MultiGzDecoder::new(body).take(limit.saturating_add(1)).read_to_end(&mut out);
    if out.len() as u64 > limit {
        return Err(Error::new(Kind::TooLarge, format!("request body is larger than {limit} bytes when decompressed")));
    }
    match read {
        Ok(_) => Ok(out),
        Err(error) => Err(Error::invalid(format!("request body is not valid gzip: {error}")).with_source(error)),
    }
}
