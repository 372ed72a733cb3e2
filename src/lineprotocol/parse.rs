//! From bytes to lines.
//!
//! Follows 1.x in what it accepts and in which mistake it names first; where it differs, a comment says so. The differences: a carriage
//! return in front of the newline is dropped, text behind a string's closing quote is refused (1.x cuts a byte off the string instead),
//! unsigned integers are accepted, text must be UTF-8, a comment ends with its line.

use std::{borrow::Cow, ops::Range};

use memchr::{memchr, memchr2};
use smallvec::SmallVec;

use super::{
    Field, FieldValue, Line, LineError, Reason, Tag, Unit,
    names::{drop_time, unique_fields, unique_tags},
    split::{is_space, split_line, trim_start},
    value,
};

/// Earliest timestamp that a point may have, as in 1.x: two values are reserved below it.
pub const MIN_TIME: i64 = i64::MIN + 2;
/// Latest timestamp that a point may have, as in 1.x: one value is reserved above it.
pub const MAX_TIME: i64 = i64::MAX - 1;
/// Longest measurement with its tags, and with a field's name, in bytes, as in 1.x.
pub const MAX_KEY_LENGTH: usize = 65_535;

/// What 1.x puts between a series and a field in its keys; it counts against [`MAX_KEY_LENGTH`].
const KEY_SEPARATOR: usize = 4;

/// The lines of a body; comments and blank lines are skipped. Every line is either accepted or reported, and the others go on.
///
/// ```
/// use v1shim::{lineprotocol::{FieldValue, parse_lines}, types::Precision};
///
/// let mut lines = parse_lines(b"cpu,host=a usage=0.5 1\ncpu usage=", Precision::Second);
/// let line = lines.next().unwrap().unwrap();
/// assert_eq!(line.fields[0], ("usage".into(), FieldValue::Float(0.5)));
/// assert_eq!(line.timestamp, Some(1_000_000_000));
/// let error = lines.next().unwrap().unwrap_err();
/// assert_eq!(error.to_string(), "unable to parse 'cpu usage=': missing field value");
/// assert!(lines.next().is_none());
/// ```
pub fn parse_lines(body: &[u8], unit: impl Into<Unit>) -> Lines<'_> {
    Lines { rest: body, number: 0, unit: unit.into() }
}

/// Iterator of [`parse_lines`].
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
    unit: Unit,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, LineError<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (line, rest) = split_line(self.rest);
            self.rest = rest;
            self.number += 1;
            let number = self.number;
            // A string may hold newlines: they count for the numbers of the lines behind it.
            self.number += memchr::memchr_iter(b'\n', line).count();
            let text = trim_start(line.strip_suffix(b"\r").unwrap_or(line));
            if matches!(text.first(), None | Some(b'#')) {
                continue;
            }
            // Left in a string without its end, which takes all the rest of the body.
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            return Some(parse_line(text, number).and_then(|raw| raw.into_line(self.unit)).map_err(|reason| LineError {
                number,
                text,
                reason,
            }));
        }
        None
    }
}

/// A line whose parts have been found; its timestamp is still in the unit of the body.
#[derive(Debug)]
pub(super) struct RawLine<'a> {
    line: Line<'a>,
    /// Where the timestamp stands in the text; empty when there is none.
    pub(super) timestamp: Range<usize>,
    /// What 1.x finds only when it stores the point, or not at all.
    late: Option<Reason>,
}

impl<'a> RawLine<'a> {
    /// The timestamp as written.
    pub(super) fn timestamp(&self) -> Option<i64> {
        self.line.timestamp
    }

    fn into_line(mut self, unit: Unit) -> Result<Line<'a>, Reason> {
        if let Some(timestamp) = self.line.timestamp {
            let scaled = timestamp.checked_mul(unit.nanos(timestamp)).filter(|time| (MIN_TIME..=MAX_TIME).contains(time));
            self.line.timestamp = Some(scaled.ok_or(Reason::TimeRange)?);
        }
        if let Some(reason) = self.late {
            return Err(reason);
        }
        let measurement = &self.line.measurement;
        if self.line.tags.iter().any(|(key, _)| key == "time") {
            return Err(Reason::TimeTag(measurement.as_ref().into()));
        }
        drop_time(&mut self.line.fields);
        if self.line.fields.is_empty() {
            return Err(Reason::TimeField(measurement.as_ref().into()));
        }
        unique_fields(measurement, &mut self.line.fields)?;
        Ok(self.line)
    }
}

/// Finds the parts of a line; `text` starts with its first byte that isn't white space.
pub(super) fn parse_line(text: &[u8], number: usize) -> Result<RawLine<'_>, Reason> {
    let source = Source {
        bytes: text,
        text: std::str::from_utf8(text).map_err(|_| Reason::InvalidUtf8)?,
        escaped: memchr(b'\\', text).is_some(),
    };
    let Key { measurement, tags, end: key_end } = source.key()?;
    let fields = source.fields(source.skip_space(key_end))?;
    for (key, _) in &fields.fields {
        // Measured as it is unescaped, as in 1.x.
        let length = key_end + KEY_SEPARATOR + key.len();
        if length > MAX_KEY_LENGTH {
            return Err(Reason::KeyTooLong(length));
        }
    }
    let (timestamp, place) = source.timestamp(source.skip_space(fields.end))?;
    Ok(RawLine {
        line: Line { measurement, tags, fields: fields.fields, timestamp, number, text },
        timestamp: place,
        late: fields.garbage.then_some(Reason::InvalidFieldFormat),
    })
}

/// A line being taken apart. Everything that separates its parts is ASCII, so cuts never split a character.
struct Source<'a> {
    bytes: &'a [u8],
    text: &'a str,
    /// Whether there is any backslash.
    escaped: bool,
}

struct Key<'a> {
    measurement: Cow<'a, str>,
    tags: SmallVec<[Tag<'a>; 8]>,
    /// Where it ends.
    end: usize,
}

struct Fields<'a> {
    fields: SmallVec<[Field<'a>; 12]>,
    /// Where they end.
    end: usize,
    /// Text behind a string's closing quote.
    garbage: bool,
}

impl<'a> Source<'a> {
    fn at(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn cut(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The text between, with a backslash in front of any of `special` taken away. All other backslashes stay, as in 1.x.
    fn unescape(&self, start: usize, end: usize, special: &[u8]) -> Cow<'a, str> {
        let text = self.cut(start, end);
        if self.escaped { unescape(text, special) } else { Cow::Borrowed(text) }
    }

    /// The first byte at or behind `from` that stops a name and has no backslash directly in front. Names are short: a plain loop beats
    /// what searches vectors.
    #[inline]
    fn find(&self, from: usize, stops: impl Fn(u8) -> bool) -> Option<usize> {
        let tail = self.bytes.get(from..)?;
        if !self.escaped {
            return tail.iter().position(|&byte| stops(byte)).map(|offset| from + offset);
        }
        let mut before = from.checked_sub(1).and_then(|at| self.at(at));
        for (offset, &byte) in tail.iter().enumerate() {
            if stops(byte) && before != Some(b'\\') {
                return Some(from + offset);
            }
            before = Some(byte);
        }
        None
    }

    fn skip_space(&self, mut at: usize) -> usize {
        while self.at(at).is_some_and(is_space) {
            at += 1;
        }
        at
    }

    /// `measurement[,tag=value…]` and where it ends.
    fn key(&self) -> Result<Key<'a>, Reason> {
        if self.at(0) == Some(b',') {
            return Err(Reason::MissingMeasurement);
        }
        // The first byte is part of the name whatever it is.
        let mut end = self.find(1, |byte| matches!(byte, b',' | b' ')).ok_or(Reason::MissingFields)?;
        // 1.x unescapes more in a measurement than needs to be escaped there.
        let measurement = self.unescape(0, end, b",\"= ");
        let mut tags = SmallVec::new();
        while self.at(end) == Some(b',') {
            let start = end + 1;
            if matches!(self.at(start), None | Some(b' ' | b',' | b'=')) {
                return Err(Reason::MissingTagKey);
            }
            let equals =
                self.find(start + 1, stops_tag).filter(|&at| self.at(at) == Some(b'=')).ok_or(Reason::MissingTagValue)?;
            let value = equals + 1;
            if matches!(self.at(value), None | Some(b' ' | b',')) {
                return Err(Reason::MissingTagValue);
            }
            // The first byte of a value may be an `=`, as in 1.x.
            end = self.find(value + 1, stops_tag).ok_or(Reason::MissingFields)?;
            if self.at(end) == Some(b'=') {
                return Err(Reason::InvalidTagFormat);
            }
            tags.push((self.unescape(start, equals, b",= "), self.unescape(value, end, b",= ")));
        }
        unique_tags(&mut tags)?;
        if end > MAX_KEY_LENGTH {
            return Err(Reason::KeyTooLong(end));
        }
        Ok(Key { measurement, tags, end })
    }

    /// `field=value[,field=value…]` from `start` on. Here a backslash protects whatever follows it.
    fn fields(&self, start: usize) -> Result<Fields<'a>, Reason> {
        let mut found = Fields { fields: SmallVec::new(), end: start, garbage: false };
        let (mut at, mut key, mut equals, mut commas) = (start, start, 0_usize, 0_usize);
        let mut behind_value = false;
        while let Some(byte) = self.at(at) {
            match byte {
                b' ' => break,
                b',' => {
                    commas += 1;
                    at += 1;
                    key = at;
                    behind_value = false;
                }
                b'=' => {
                    equals += 1;
                    if at == key {
                        return Err(Reason::MissingFieldKey);
                    }
                    let (value, end) = self.value(at + 1)?;
                    if !behind_value {
                        found.fields.push((self.unescape(key, at, b",\"= "), value));
                    }
                    behind_value = true;
                    at = end;
                }
                b'"' if equals > commas => {
                    found.garbage = true;
                    at = self.closing_quote(at + 1)? + 1;
                }
                b'\\' => {
                    found.garbage |= behind_value;
                    at += 2;
                }
                _ => {
                    found.garbage |= behind_value;
                    at += 1;
                }
            }
        }
        if equals == 0 || commas != equals - 1 {
            return Err(Reason::InvalidFieldFormat);
        }
        found.end = at;
        Ok(found)
    }

    /// The value that starts here, and where it ends.
    fn value(&self, start: usize) -> Result<(FieldValue<'a>, usize), Reason> {
        match self.at(start) {
            None | Some(b',' | b' ') => Err(Reason::MissingFieldValue),
            Some(b'"') => {
                let end = self.closing_quote(start + 1)?;
                Ok((FieldValue::String(self.unescape(start + 1, end, b"\"\\")), end + 1))
            }
            Some(first) => {
                let tail = self.bytes.get(start..).unwrap_or_default();
                let end = start + memchr2(b',', b' ', tail).unwrap_or(tail.len());
                let token = self.cut(start, end);
                let value = match first {
                    b'0'..=b'9' | b'.' | b'-' | b'N' | b'n' => value::number(token)?,
                    _ => FieldValue::Boolean(value::boolean(token)?),
                };
                Ok((value, end))
            }
        }
    }

    /// The quote that ends the string which starts here.
    fn closing_quote(&self, start: usize) -> Result<usize, Reason> {
        let mut at = start;
        loop {
            let tail = self.bytes.get(at..).unwrap_or_default();
            let next = at + memchr2(b'"', b'\\', tail).ok_or(Reason::UnbalancedQuotes)?;
            if self.at(next) == Some(b'"') {
                return Ok(next);
            }
            at = next + 2;
        }
    }

    /// The timestamp as written and its place, and nothing behind it.
    fn timestamp(&self, start: usize) -> Result<(Option<i64>, Range<usize>), Reason> {
        let tail = self.bytes.get(start..).unwrap_or_default();
        let end = start + memchr2(b' ', b'\n', tail).unwrap_or(tail.len());
        let digits = self.cut(start, end);
        if digits.is_empty() {
            // A newline that a backslash protects can stand here.
            return if start < self.bytes.len() { Err(Reason::TrailingText) } else { Ok((None, start..start)) };
        }
        let timestamp = value::timestamp(digits)?;
        if self.bytes.get(end..).unwrap_or_default().iter().any(|&byte| byte != b' ') {
            return Err(Reason::TrailingText);
        }
        Ok((Some(timestamp), start..end))
    }
}

fn stops_tag(byte: u8) -> bool {
    matches!(byte, b'=' | b',' | b' ')
}

/// Takes away each backslash that stands in front of one of `special`.
fn unescape<'a>(text: &'a str, special: &[u8]) -> Cow<'a, str> {
    let bytes = text.as_bytes();
    let escape = |from: usize| {
        let mut from = from;
        loop {
            let at = from + memchr(b'\\', bytes.get(from..)?)?;
            if bytes.get(at + 1).is_some_and(|next| special.contains(next)) {
                return Some(at);
            }
            from = at + 1;
        }
    };
    let Some(first) = escape(0) else { return Cow::Borrowed(text) };
    let mut plain = String::with_capacity(text.len());
    let (mut start, mut next) = (0, Some(first));
    while let Some(at) = next {
        plain.push_str(text.get(start..at).unwrap_or_default());
        start = at + 1;
        // The byte behind the backslash is taken as it is, even when it is a backslash itself.
        next = escape(at + 2);
    }
    plain.push_str(text.get(start..).unwrap_or_default());
    Cow::Owned(plain)
}
