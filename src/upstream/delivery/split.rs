//! A batch that the upstream finds too large goes in pieces: how it is cut, and what the answers to the pieces come to.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, response::Parts};
use serde_json::Value;

use crate::{
    error::{Error, Kind},
    lineprotocol::{halve, parse_lines},
    native::{AuthErrors, Operation, decode_error},
    types::Precision,
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
    match decode(status, body).kind() {
        Kind::TooLarge => Verdict::Cut,
        Kind::Invalid => Verdict::Refused,
        _ => Verdict::Stop,
    }
}

fn decode(status: StatusCode, body: &[u8]) -> Error {
    decode_error(status, &HeaderMap::new(), body, Operation::Write { database: "", auth: AuthErrors::Reject })
}

/// The answers that refused something, as one: the first one's words, with the bad lines of all, numbered as in the batch, and the number
/// of points that all of them dropped.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Refusals {
    first: Option<(Parts, Bytes)>,
    /// Points that are not in.
    dropped: u64,
    /// Something of the batch is in.
    written: bool,
}

impl Refusals {
    /// Notes that a piece is in.
    pub(in crate::upstream) fn written(&mut self) {
        self.written = true;
    }

    /// Adds the answer to a piece.
    pub(in crate::upstream) fn add(&mut self, parts: Parts, body: Bytes, piece: &Piece) {
        match dropped(decode(parts.status, &body).message()) {
            Some((_, points)) => {
                self.written = true;
                self.dropped = self.dropped.saturating_add(points);
            }
            // It was refused as a whole.
            None => {
                let points = parse_lines(&piece.lines, Precision::Nanosecond).count();
                self.dropped = self.dropped.saturating_add(u64::try_from(points).unwrap_or(u64::MAX));
            }
        }
        let body = shift(&body, piece.before).unwrap_or(body);
        self.first = Some(match self.first.take() {
            None => (parts, body),
            Some((first, said)) => {
                let said = join(&said, &body).unwrap_or(said);
                (first, said)
            }
        });
    }

    /// What the client gets, if anything was refused.
    pub(in crate::upstream) fn answer(self) -> Option<(Parts, Bytes)> {
        let Self { first, dropped, written } = self;
        first.map(|(mut parts, body)| {
            parts.headers.remove(http::header::CONTENT_LENGTH);
            parts.headers.remove(http::header::TRANSFER_ENCODING);
            let partial = written && judge(parts.status, &body) == Verdict::Refused;
            let body = if partial { recount(&body, dropped).unwrap_or(body) } else { body };
            (parts, body)
        })
    }
}

/// Cuts `dropped=N` off the end of 1.x's words for a partial write.
fn dropped(said: &str) -> Option<(&str, u64)> {
    let (words, points) = said.trim_end().rsplit_once(" dropped=")?;
    Some((words, points.parse().ok()?))
}

/// Says in the words of one piece's answer how many points of all pieces were dropped. None where whoever reads it counts `data` instead.
fn recount(body: &[u8], points: u64) -> Option<Bytes> {
    let again = |said: &str| match dropped(said) {
        Some((words, _)) => format!("{words} dropped={points}"),
        // The others are in.
        None if said.contains("partial write") => said.to_owned(),
        None => format!("partial write: {} dropped={points}", said.trim_end()),
    };
    let Ok(mut document) = serde_json::from_slice::<Value>(body) else {
        return std::str::from_utf8(body).ok().map(|said| again(said).into());
    };
    let counted = document.get("data").is_some_and(Value::is_array);
    for key in ["error", "message"] {
        if let Some(Value::String(said)) = document.get_mut(key)
            && (!counted || dropped(said).is_some())
        {
            *said = again(said);
        }
    }
    serde_json::to_vec(&document).ok().map(Into::into)
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
        refusals.add(parts(), bad(2).into(), &Piece { before: 0, ..piece("m v=1\nx\n") });
        refusals.add(parts(), bad(3).into(), &piece("m v=1\nm v=2\nx\n"));
        refusals.add(parts(), Bytes::from_static(b"plain words"), &Piece { before: 20, ..piece("m v=1") });
        let (_, body) = refusals.answer().unwrap();
        let document: Value = serde_json::from_slice(&body).unwrap();
        let numbers: Vec<_> = document["data"].as_array().unwrap().iter().map(|line| line["line_number"].as_u64()).collect();
        assert_eq!(numbers, [Some(2), Some(13)]);
        assert!(Refusals::default().answer().is_none());
    }

    #[test]
    fn dropped_points_of_all_pieces_are_counted() {
        let v2 = |said: &str| format!(r#"{{"code":"x","message":"{said}"}}"#);
        let whole = "unable to parse 'bad': missing fields";
        let conflict = "failure writing points to database: partial write: field type conflict: dropped";
        let table = [
            // Each piece's own number.
            (
                vec![(422, v2(&format!("{conflict}=1"))), (422, v2(&format!("{conflict}=20")))],
                false,
                v2(&format!("{conflict}=21")),
            ),
            (vec![(422, v2(&format!("{conflict}=3")))], true, v2(&format!("{conflict}=3"))),
            (
                vec![(500, "partial write: old dropped=1".into()), (422, v2(&format!("{conflict}=2")))],
                true,
                "partial write: old dropped=3".into(),
            ),
            // A piece that was refused as a whole, by the two lines that it has.
            (vec![(422, v2(&format!("{conflict}=1"))), (400, v2(whole))], false, v2(&format!("{conflict}=3"))),
            (
                vec![(400, v2(whole)), (422, v2(&format!("{conflict}=1")))],
                false,
                v2(&format!("partial write: {whole} dropped=3")),
            ),
            (vec![(400, v2(whole))], true, v2(&format!("partial write: {whole} dropped=2"))),
            (vec![(400, whole.into()), (400, whole.into())], true, format!("partial write: {whole} dropped=4")),
            // Nothing is in.
            (vec![(400, v2(whole)), (400, v2(whole))], false, v2(whole)),
            // Our own store: words and `data`.
            (
                vec![(400, r#"{"data":[{"error_message":"a"}],"message":"partial write: a dropped=1"}"#.into()); 2],
                false,
                r#"{"data":[{"error_message":"a"},{"error_message":"a"}],"message":"partial write: a dropped=2"}"#.into(),
            ),
            // 3 Core: who reads it counts `data`.
            (
                vec![(400, r#"{"data":[{"error_message":"a"}],"error":"partial write of line protocol occurred"}"#.into()); 2],
                true,
                r#"{"data":[{"error_message":"a"},{"error_message":"a"}],"error":"partial write of line protocol occurred"}"#
                    .into(),
            ),
            // Too large, whatever became of the rest.
            (vec![(413, "too large".into()), (422, v2(&format!("{conflict}=1")))], true, "too large".into()),
        ];
        for (answers, written, expected) in table {
            let mut refusals = Refusals::default();
            if written {
                refusals.written();
            }
            for (status, body) in &answers {
                let parts = Response::builder().status(*status).body(()).unwrap().into_parts().0;
                refusals.add(parts, Bytes::from(body.clone()), &piece("m v=1 1\nbad\n"));
            }
            let (_, body) = refusals.answer().unwrap();
            assert_eq!(String::from_utf8_lossy(&body), expected, "{answers:?}");
        }
    }
}
