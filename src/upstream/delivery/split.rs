//! A batch that the upstream finds too large goes in pieces: how it is cut, and what the answers to the pieces come to.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, response::Parts};
use serde_json::Value;

use crate::{
    error::Kind,
    lineprotocol::halve,
    native::{AuthErrors, Operation, decode_error},
};

/// Smaller pieces are not cut any further: a server that takes less is not one for line protocol.
const SMALLEST: usize = 1 << 10;

/// Consecutive lines of a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::upstream) struct Piece {
    pub(in crate::upstream) lines: Bytes,
    /// Lines of the batch before it.
    pub(in crate::upstream) before: u64,
}

impl Piece {
    /// The two halves; none when it can't be cut.
    pub(in crate::upstream) fn halves(&self) -> Option<[Self; 2]> {
        if self.lines.len() < SMALLEST {
            return None;
        }
        let (at, lines) = halve(&self.lines)?;
        Some([
            Self { lines: self.lines.slice(..at), before: self.before },
            Self { lines: self.lines.slice(at..), before: self.before + lines },
        ])
    }
}

/// What the answer to a piece means for the others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::upstream) enum Verdict {
    /// It is in.
    Written,
    /// It is too large still.
    Cut,
    /// It never will be, or not wholly: that doesn't concern the others.
    Refused,
    /// The others will fare no better, now or at all.
    Stop,
}

/// Judges an answer by status and beginning of its body.
pub(in crate::upstream) fn judge(status: StatusCode, body: &[u8]) -> Verdict {
    if status.is_success() {
        return Verdict::Written;
    }
    let operation = Operation::Write { database: "", auth: AuthErrors::Reject };
    match decode_error(status, &HeaderMap::new(), body, operation).kind() {
        Kind::TooLarge => Verdict::Cut,
        Kind::Invalid => Verdict::Refused,
        _ => Verdict::Stop,
    }
}

/// The answers that refused something, as one: the first one's words, with the bad lines of all, numbered as in the batch.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Refusals(Option<(Parts, Bytes)>);

impl Refusals {
    /// Adds the answer to the piece behind `before` lines.
    pub(in crate::upstream) fn add(&mut self, parts: Parts, body: Bytes, before: u64) {
        let body = shift(&body, before).unwrap_or(body);
        self.0 = Some(match self.0.take() {
            None => (parts, body),
            Some((first, said)) => {
                let said = join(&said, &body).unwrap_or(said);
                (first, said)
            }
        });
    }

    /// What the client gets, if anything was refused.
    pub(in crate::upstream) fn answer(self) -> Option<(Parts, Bytes)> {
        self.0.map(|(mut parts, body)| {
            parts.headers.remove(http::header::CONTENT_LENGTH);
            parts.headers.remove(http::header::TRANSFER_ENCODING);
            (parts, body)
        })
    }
}

/// Adds `by` to the line numbers in a v3 server's `data`; none when there are none.
fn shift(body: &[u8], by: u64) -> Option<Bytes> {
    let mut document: Value = serde_json::from_slice(body).ok()?;
    let number = |line: &mut Value| {
        if let Some(number) = line.get_mut("line_number")
            && let Some(old) = number.as_u64()
        {
            *number = old.saturating_add(by).into();
        }
    };
    match document.get_mut("data")? {
        Value::Array(lines) => lines.iter_mut().for_each(number),
        line => number(line),
    }
    serde_json::to_vec(&document).ok().map(Into::into)
}

/// The lines of both in the words of the first; none when one of them tells no lines.
fn join(one: &[u8], other: &[u8]) -> Option<Bytes> {
    let mut document: Value = serde_json::from_slice(one).ok()?;
    let mut other: Value = serde_json::from_slice(other).ok()?;
    let lines = document.get_mut("data")?.as_array_mut()?;
    match other.get_mut("data")?.take() {
        Value::Array(more) => lines.extend(more),
        line => lines.push(line),
    }
    serde_json::to_vec(&document).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn piece(text: &str) -> Piece {
        Piece { lines: Bytes::copy_from_slice(text.as_bytes()), before: 10 }
    }

    #[test]
    fn pieces_have_all_lines_in_order() {
        let batch: String = (0..1000).map(|n| format!("m,host=h{n} v={n} {n}\n")).collect();
        let mut stack = vec![Piece { lines: Bytes::from(batch.clone()), before: 0 }];
        let (mut seen, mut lines) = (Vec::new(), 0);
        while let Some(piece) = stack.pop() {
            match piece.halves() {
                Some([one, two]) => stack.extend([two, one]),
                None => {
                    assert_eq!(piece.before, lines);
                    lines += piece.lines.iter().filter(|byte| **byte == b'\n').count() as u64;
                    seen.extend_from_slice(&piece.lines);
                }
            }
        }
        assert_eq!(String::from_utf8(seen).unwrap(), batch);
        assert_eq!(piece("m v=1\nm v=2\n").halves(), None, "too small to be worth it");
        assert_eq!(piece(&format!("m v=\"{}\"", "x".repeat(5000))).halves(), None, "one line");
    }

    #[test]
    fn verdicts() {
        for (status, body, verdict) in [
            (204, "", Verdict::Written),
            (413, "too large", Verdict::Cut),
            (400, "{}", Verdict::Refused),
            (422, "{}", Verdict::Refused),
            (500, r#"{"message":"partial write: points beyond retention policy dropped=1"}"#, Verdict::Refused),
            (500, "disk", Verdict::Stop),
            (401, "", Verdict::Stop),
            (404, "", Verdict::Stop),
            (429, "", Verdict::Stop),
            (503, "", Verdict::Stop),
        ] {
            assert_eq!(judge(StatusCode::from_u16(status).unwrap(), body.as_bytes()), verdict, "{status}");
        }
    }

    #[test]
    fn bad_lines_are_numbered_as_in_the_batch() {
        let parts = || Response::builder().status(400).body(()).unwrap().into_parts().0;
        let bad = |number: u64| {
            format!(
                r#"{{"error":"partial write","data":[{{"error_message":"bad","line_number":{number},"original_line":"x"}}]}}"#
            )
        };
        let mut refusals = Refusals::default();
        refusals.add(parts(), bad(2).into(), 0);
        refusals.add(parts(), bad(3).into(), 10);
        refusals.add(parts(), Bytes::from_static(b"plain words"), 20);
        let (_, body) = refusals.answer().unwrap();
        let document: Value = serde_json::from_slice(&body).unwrap();
        let numbers: Vec<_> = document["data"].as_array().unwrap().iter().map(|line| line["line_number"].as_u64()).collect();
        assert_eq!(numbers, [Some(2), Some(13)]);
        assert!(Refusals::default().answer().is_none());
    }
}
