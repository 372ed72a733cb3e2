//! Cutting rows into series and framing them into documents: what all encodings have in common.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use jiff::tz::TimeZone;

use super::{
    csv::Csv,
    json::Json,
    msgpack::MsgPack,
    table::{Batch, Event, Header},
};
use crate::call::{Format, Output};

/// A frame goes out when it has so many bytes.
const FRAME: usize = 64 << 10;
/// Rows that are encoded before anybody looks at the size of the frame.
const STRIDE: usize = 256;

/// How times are written.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    /// `epoch`: nanoseconds in a unit.
    pub(super) unit: Option<i64>,
    /// `tz('…')`
    pub(super) zone: Option<TimeZone>,
}

/// What a series is known by.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) tags: Vec<(Box<str>, String)>,
}

/// A note that comes with a result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    /// `warning`
    pub(crate) level: &'static str,
    pub(crate) text: String,
}

/// What is special about a statement's answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// `tz('…')`
    pub(crate) zone: Option<TimeZone>,
    /// Notes for the client.
    pub(crate) messages: Vec<Message>,
    /// Series of each measurement that are left out and, when not zero, the most that are shown: `SOFFSET` and `SLIMIT` for a service that
    /// doesn't know them.
    pub(crate) soffset: u64,
    /// See [`Self::soffset`].
    pub(crate) slimit: u64,
}

/// Writes the answer to a query: statements one after the other, each with its rows as they come.
#[derive(Debug)]
pub(crate) struct Writer {
    encoder: Encoder,
    chunk: Option<usize>,
    clock: Clock,
    out: BytesMut,
    ready: VecDeque<Bytes>,
    /// Bytes that a document may have that can't be written before it is complete.
    limit: usize,
    statement: usize,
    answer: Answer,
    header: Header,
    series: Series,
    key: Key,
    /// Series of this measurement so far, for `SLIMIT`.
    seen: u64,
    /// The open document (of one result) has a series already.
    document_has_series: bool,
    started: bool,
    rows_in_chunk: usize,
    failed: Option<String>,
}

#[derive(Debug)]
enum Encoder {
    Json(Json),
    Csv(Csv),
    MsgPack(Box<MsgPack>),
}

/// The series that the last row belonged to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Series {
    None,
    Open,
    /// Left out by `SLIMIT` or `SOFFSET`.
    Skipped,
}

impl Writer {
    /// For an answer in this form. `limit` bounds MessagePack that isn't chunked, which has to be complete before its first byte is known.
    pub(crate) fn new(output: Output, limit: usize) -> Self {
        Self {
            encoder: match output.format {
                Format::Json => Encoder::Json(Json::new(output.pretty)),
                Format::Csv => Encoder::Csv(Csv::default()),
                Format::MsgPack => Encoder::MsgPack(Box::default()),
            },
            chunk: output.chunk.map(std::num::NonZero::get),
            clock: Clock { unit: output.epoch.map(crate::types::Precision::nanos), zone: None },
            out: BytesMut::with_capacity(512),
            ready: VecDeque::new(),
            limit,
            statement: 0,
            answer: Answer::default(),
            header: Header::default(),
            series: Series::None,
            key: Key::default(),
            seen: 0,
            document_has_series: false,
            started: false,
            rows_in_chunk: 0,
            failed: None,
        }
    }

    /// Begins the result of a statement.
    pub(crate) fn begin(&mut self, statement: usize, answer: Answer) {
        self.statement = statement;
        self.clock.zone.clone_from(&answer.zone);
        self.answer = answer;
        self.header = Header::default();
        self.series = Series::None;
        self.key = Key::default();
        self.seen = 0;
        self.failed = None;
        if self.chunk.is_some() || !self.started {
            self.begin_document();
        }
        self.started = true;
        self.begin_result();
    }

    /// Takes what a decoder says, but for rows.
    pub(crate) fn describe(&mut self, event: Event) -> Option<Batch> {
        match event {
            Event::Header(header) => {
                if header != self.header {
                    self.close_series(false);
                }
                self.header = header;
                None
            }
            Event::EmptySeries(name) => {
                self.next_series(Key { name: name.into(), tags: Vec::new() });
                None
            }
            Event::Rows(batch) => Some(batch),
        }
    }

    /// Writes rows from this one on, until all are written or a frame is full; returns the next row. Nothing is written any more once
    /// [`failure`](Self::failure) is there.
    pub(crate) fn rows(&mut self, batch: &Batch, mut row: usize) -> usize {
        while row < batch.len && !self.is_full() && self.failed.is_none() {
            if self.series == Series::None || !self.matches(batch, row) {
                self.next_series(self.key_of(batch, row));
            } else if self.series == Series::Open && self.chunk.is_some_and(|chunk| self.rows_in_chunk >= chunk) {
                self.close_series(true);
                self.next_document();
                self.open_series();
            }
            let room = self.chunk.map_or(STRIDE, |chunk| STRIDE.min(chunk.saturating_sub(self.rows_in_chunk).max(1)));
            let end = batch.run_end(row, row + room);
            if self.series == Series::Open {
                self.encode(batch, row, end);
                self.rows_in_chunk += end - row;
            }
            row = end;
        }
        row
    }

    /// Why the statement can't be answered any further, though its rows keep coming: a value or a size that the format doesn't have.
    pub(crate) fn failure(&mut self) -> Option<String> {
        self.failed.take()
    }

    /// Ends the result of the statement, with what went wrong, if something did: the open series is closed first.
    pub(crate) fn end(&mut self, error: Option<&str>) {
        self.close_series(false);
        self.end_result(false, error);
        if self.chunk.is_some() {
            self.end_document();
        }
    }

    /// Ends the answer.
    pub(crate) fn finish(&mut self) {
        if self.chunk.is_none() {
            self.end_document();
        }
    }

    /// What can be sent: with `rest` all there is, else only a full frame, or a complete chunk.
    pub(crate) fn take(&mut self, rest: bool) -> Option<Bytes> {
        if let Some(bytes) = self.ready.pop_front() {
            return Some(bytes);
        }
        if self.out.is_empty() || !(rest || self.is_full()) || matches!(self.encoder, Encoder::MsgPack(_)) {
            return None;
        }
        let bytes = self.out.split().freeze();
        // Taken back from frames that have been sent, when they have been.
        self.out.reserve(if bytes.len() >= FRAME { FRAME + (FRAME >> 2) } else { 0 });
        Some(bytes)
    }

    fn is_full(&self) -> bool {
        !self.ready.is_empty() || (self.out.len() >= FRAME && !matches!(self.encoder, Encoder::MsgPack(_)))
    }

    fn matches(&self, batch: &Batch, row: usize) -> bool {
        batch.name.as_ref().is_none_or(|name| name.text(row) == self.key.name)
            && batch.tags.iter().zip(&self.key.tags).all(|(column, (_, value))| column.text(row) == value)
    }

    fn key_of(&self, batch: &Batch, row: usize) -> Key {
        Key {
            name: batch.name.as_ref().map_or(String::new(), |name| name.text(row).to_owned()),
            tags: self.header.tags.iter().cloned().zip(batch.tags.iter().map(|column| column.text(row).to_owned())).collect(),
        }
    }

    /// Opens the next series, or leaves it out.
    fn next_series(&mut self, key: Key) {
        self.close_series(false);
        if key.name != self.key.name {
            // 1.x counts the series of each measurement.
            self.seen = 0;
        }
        self.key = key;
        let number = self.seen;
        self.seen += 1;
        let Answer { slimit, soffset, .. } = self.answer;
        if number < soffset || slimit > 0 && number - soffset >= slimit {
            self.series = Series::Skipped;
            return;
        }
        if self.chunk.is_some() && self.document_has_series {
            self.next_document();
        }
        self.open_series();
    }

    /// In chunked answers: the next document, of the same statement.
    fn next_document(&mut self) {
        self.end_result(true, None);
        self.end_document();
        self.begin_document();
        self.begin_result();
    }

    fn open_series(&mut self) {
        self.series = Series::Open;
        self.document_has_series = true;
        self.rows_in_chunk = 0;
        let (out, key, columns) = (&mut self.out, &self.key, &self.header.columns);
        match &mut self.encoder {
            Encoder::Json(json) => json.begin_series(out, key, columns),
            Encoder::Csv(csv) => csv.begin_series(out, key, columns),
            Encoder::MsgPack(pack) => pack.begin_series(out, key, columns),
        }
    }

    fn close_series(&mut self, partial: bool) {
        if self.series == Series::Open {
            match &mut self.encoder {
                Encoder::Json(json) => json.end_series(&mut self.out, partial),
                Encoder::Csv(_) => {}
                Encoder::MsgPack(pack) => pack.end_series(&mut self.out, partial),
            }
        }
        self.series = Series::None;
    }

    fn encode(&mut self, batch: &Batch, from: usize, to: usize) {
        match &mut self.encoder {
            Encoder::Json(json) => {
                for row in from..to {
                    if let Err(message) = json.row(&mut self.out, batch, row, &self.clock) {
                        self.failed = Some(message.into());
                        return;
                    }
                }
            }
            Encoder::Csv(csv) => {
                for row in from..to {
                    csv.row(&mut self.out, batch, row, &self.clock);
                }
            }
            Encoder::MsgPack(pack) => {
                for row in from..to {
                    pack.row(&mut self.out, batch, row, &self.clock);
                }
                if self.out.len() >= FRAME {
                    pack.flush(&mut self.out);
                }
                if pack.kept() > self.limit {
                    self.failed = Some(format!(
                        "answer is larger than {} bytes, the most that MessagePack can have here unless it is asked for with chunked=true",
                        self.limit
                    ));
                }
            }
        }
    }

    fn begin_document(&mut self) {
        match &mut self.encoder {
            Encoder::Json(json) => json.begin_document(&mut self.out),
            Encoder::Csv(_) => {}
            Encoder::MsgPack(pack) => pack.begin_document(&mut self.out),
        }
    }

    fn end_document(&mut self) {
        match &mut self.encoder {
            Encoder::Json(json) => json.end_document(&mut self.out),
            Encoder::Csv(_) => {}
            Encoder::MsgPack(pack) => {
                let pieces = pack.end_document(&mut self.out);
                self.ready.extend(joined(pieces));
                return;
            }
        }
        // A chunk is sent when it is complete: somebody waits for it.
        if self.chunk.is_some() && !self.out.is_empty() {
            self.ready.push_back(self.out.split().freeze());
        }
    }

    fn begin_result(&mut self) {
        self.document_has_series = false;
        match &mut self.encoder {
            Encoder::Json(json) => json.begin_result(&mut self.out, self.statement),
            Encoder::Csv(csv) => csv.begin_result(self.statement),
            Encoder::MsgPack(pack) => pack.begin_result(&mut self.out, self.statement, &self.answer.messages),
        }
    }

    fn end_result(&mut self, partial: bool, error: Option<&str>) {
        match &mut self.encoder {
            Encoder::Json(json) => json.end_result(&mut self.out, &self.answer.messages, partial, error),
            Encoder::Csv(csv) => csv.end_result(&mut self.out, error),
            Encoder::MsgPack(pack) => pack.end_result(&mut self.out, partial, error),
        }
        self.answer.messages.clear();
    }
}

/// Pieces put together where they are small: a frame of a few bytes costs more than copying them.
fn joined(pieces: Vec<Bytes>) -> impl Iterator<Item = Bytes> {
    let mut frames = Vec::new();
    let mut frame = BytesMut::new();
    for piece in pieces {
        if piece.len() >= FRAME / 2 {
            if !frame.is_empty() {
                frames.push(frame.split().freeze());
            }
            frames.push(piece);
            continue;
        }
        frame.extend_from_slice(&piece);
        if frame.len() >= FRAME {
            frames.push(frame.split().freeze());
        }
    }
    if !frame.is_empty() {
        frames.push(frame.freeze());
    }
    frames.into_iter()
}
