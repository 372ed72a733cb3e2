//! Arrow Flight's `DoGet`: what is asked, and the messages of the answer. Protobuf by hand: it is three messages of a few fields each.
//!
//! <https://arrow.apache.org/docs/format/Flight.html>

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::grpc::{GRPC_PREFIX, grpc_message, grpc_prefix, put_varint, varint};
use crate::error::{Error, Kind};

/// Where Flight's calls are.
pub const FLIGHT: &str = "/arrow.flight.protocol.FlightService/";
/// v3: a query. `POST` with a [`FlightTicket`], answered by [`FlightData`] messages.
pub const FLIGHT_DO_GET: &str = "/arrow.flight.protocol.FlightService/DoGet";

/// What a v3 server takes for a ticket: a JSON object. Unknown members are ignored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FlightTicket<'a> {
    /// The database (a bucket).
    #[serde(borrow, default, alias = "namespace_name", alias = "bucket", alias = "bucket-name")]
    pub database: Cow<'a, str>,
    /// One statement, whatever its language.
    #[serde(borrow)]
    pub sql_query: Cow<'a, str>,
    /// `influxql` or `sql`, which is also what is meant when nothing is said.
    #[serde(borrow, default = "sql")]
    pub query_type: Cow<'a, str>,
    /// Bind parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<serde_json::Map<String, serde_json::Value>>,
}

const fn sql() -> Cow<'static, str> {
    Cow::Borrowed("sql")
}

impl<'a> FlightTicket<'a> {
    /// A statement of InfluxQL.
    #[must_use]
    pub fn influxql(database: &'a str, q: &'a str) -> Self {
        Self { database: database.into(), sql_query: q.into(), query_type: "influxql".into(), params: None }
    }

    /// Whether it is InfluxQL.
    #[must_use]
    pub fn is_influxql(&self) -> bool {
        self.query_type.eq_ignore_ascii_case("influxql")
    }

    /// The body of a call.
    ///
    /// # Errors
    /// Never, but that is nothing to bet a request on.
    pub fn to_body(&self) -> Result<Bytes, Error> {
        let json = serde_json::to_vec(self).map_err(Error::internal)?;
        let mut head = vec![tag(1)];
        put_varint(&mut head, json.len() as u64);
        Ok(grpc_message(&[&head, &json]))
    }

    /// Reads the body of a call.
    ///
    /// # Errors
    /// When it is no call, is compressed, or has some other ticket.
    pub fn from_body(body: &'a [u8]) -> Result<Self, Error> {
        let message = match body.split_at_checked(GRPC_PREFIX) {
            Some(([1, ..], _)) => {
                return Err(Error::new(Kind::NotImplemented, "messages that are compressed are not supported"));
            }
            Some((prefix, message)) if *prefix == grpc_prefix(message.len()) => message,
            _ => return Err(Error::invalid("body is not one gRPC message")),
        };
        let ticket = bytes_field(message, 1).ok_or_else(|| Error::invalid("message is no Flight ticket"))?;
        serde_json::from_slice(ticket).map_err(|error| {
            Error::invalid(format!("ticket is not the JSON object {{\"database\",\"sql_query\",\"query_type\"}}: {error}"))
        })
    }
}

/// A key of protobuf: a field of bytes.
const fn tag(field: u8) -> u8 {
    field << 3 | 2
}

/// A field of bytes in a small message; the last one counts, as protobuf has it.
fn bytes_field(mut message: &[u8], wanted: u64) -> Option<&[u8]> {
    let mut found = None;
    while !message.is_empty() {
        let (key, len) = varint(message)?;
        message = message.get(len..)?;
        let (start, end) = extent(key, message)?;
        let value = message.get(start..end)?;
        if key == wanted << 3 | 2 {
            found = Some(value);
        }
        message = message.get(end..)?;
    }
    found
}

/// Where the value behind a key begins and ends.
fn extent(key: u64, rest: &[u8]) -> Option<(usize, usize)> {
    match key & 7 {
        0 => varint(rest).map(|(_, len)| (0, len)),
        1 => Some((0, 8)),
        2 => {
            let (value, len) = varint(rest)?;
            Some((len, len.checked_add(usize::try_from(value).ok()?)?))
        }
        5 => Some((0, 4)),
        _ => None,
    }
}

/// The head of a `FlightData` message: all but its body, which has to follow.
///
/// # Errors
/// When it is longer than a gRPC message may be.
pub fn flight_data(header: &[u8], body: usize) -> Result<Bytes, Error> {
    let mut head = vec![tag(2)];
    put_varint(&mut head, header.len() as u64);
    let mut tail = Vec::new();
    if body > 0 {
        put_varint(&mut tail, BODY_KEY);
        put_varint(&mut tail, body as u64);
    }
    let len = head.len() + header.len() + tail.len() + body;
    if u32::try_from(len).is_err() {
        return Err(Error::internal(format!("a message of {len} bytes is longer than gRPC's may be")));
    }
    let mut out = BytesMut::with_capacity(GRPC_PREFIX + len - body);
    out.extend_from_slice(&grpc_prefix(len));
    out.extend_from_slice(&head);
    out.extend_from_slice(header);
    out.extend_from_slice(&tail);
    Ok(out.freeze())
}

/// Keys of `FlightData`: fields 2 and 1000, of bytes.
const HEADER_KEY: u64 = 2 << 3 | 2;
const BODY_KEY: u64 = 1000 << 3 | 2;

/// The longest header: a schema of many thousand columns.
const LONGEST_HEADER: usize = 16 << 20;
/// A key and a length.
const LONGEST_KEY: usize = 20;

/// Cuts a stream of bytes into what stands in its `FlightData` messages. Bodies come in the pieces that they came in.
#[derive(Debug, Default)]
pub struct FlightData {
    /// Not looked at yet.
    bytes: Bytes,
    /// Bytes of this message that are to come, those in `bytes` included.
    left: usize,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Prefix,
    Field,
    Body(usize),
    Skip(usize),
}

/// What stands in a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FlightPiece {
    /// The flatbuffer of an Arrow IPC message.
    Header(Bytes),
    /// Some of the body that belongs to it.
    Body(Bytes),
}

impl FlightData {
    /// Takes in what has come. All pieces have to be taken out before.
    pub fn push(&mut self, bytes: Bytes) {
        if self.bytes.is_empty() {
            self.bytes = bytes;
            return;
        }
        // A few bytes of a key, or a header.
        let mut all = std::mem::take(&mut self.bytes).try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
        all.extend_from_slice(&bytes);
        self.bytes = all.freeze();
    }

    /// Whether the last message is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Prefix | State::Field) && self.left == 0 && self.bytes.is_empty()
    }

    /// The next piece; nothing when more has to come first.
    ///
    /// # Errors
    /// When it is no `FlightData`, or compressed.
    pub fn piece(&mut self) -> Result<Option<FlightPiece>, Error> {
        loop {
            match self.state {
                State::Prefix => {
                    let Some(&[compressed, a, b, c, d]) = self.bytes.first_chunk() else { return Ok(None) };
                    if compressed != 0 {
                        return Err(nonsense("a message is compressed, which nobody has asked for"));
                    }
                    self.bytes.advance(GRPC_PREFIX);
                    self.left = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
                    self.state = State::Field;
                }
                State::Field if self.left == 0 => self.state = State::Prefix,
                State::Field => match self.field()? {
                    Some(Some(header)) => return Ok(Some(FlightPiece::Header(header))),
                    Some(None) => {}
                    None => return Ok(None),
                },
                State::Body(0) | State::Skip(0) => self.state = State::Field,
                State::Body(left) => {
                    let Some(piece) = self.take(left) else { return Ok(None) };
                    self.state = State::Body(left - piece.len());
                    return Ok(Some(FlightPiece::Body(piece)));
                }
                State::Skip(left) => {
                    let Some(piece) = self.take(left) else { return Ok(None) };
                    self.state = State::Skip(left - piece.len());
                }
            }
        }
    }

    /// At most so many bytes, of those that are here.
    fn take(&mut self, most: usize) -> Option<Bytes> {
        if self.bytes.is_empty() {
            return None;
        }
        let piece = self.bytes.split_to(most.min(self.bytes.len()));
        self.left -= piece.len();
        Some(piece)
    }

    /// Reads a field's key and length, and a header as a whole; nothing when more has to come first.
    fn field(&mut self) -> Result<Option<Option<Bytes>>, Error> {
        let here = self.bytes.get(..self.left.min(self.bytes.len())).unwrap_or_default();
        let known = varint(here).and_then(|(key, len)| Some((key, len, extent(key, here.get(len..)?)?)));
        let Some((key, len, (start, end))) = known else {
            return if here.len() < self.left.min(LONGEST_KEY) { Ok(None) } else { Err(nonsense("a field makes no sense")) };
        };
        if end > self.left - len {
            return Err(nonsense("a field is longer than its message"));
        }
        let (value, size) = (len + start, end - start);
        if key == HEADER_KEY {
            if size > LONGEST_HEADER {
                return Err(nonsense(format!("a header of {size} bytes")));
            }
            if self.bytes.len() < value + size {
                return Ok(None);
            }
        }
        self.bytes.advance(value);
        self.left -= value;
        self.state = match key {
            HEADER_KEY => return Ok(Some(if size > 0 { self.take(size) } else { None })),
            BODY_KEY => State::Body(size),
            _ => State::Skip(size),
        };
        Ok(Some(None))
    }
}

fn nonsense(what: impl Into<crate::types::BoxError>) -> Error {
    Error::new(Kind::BadGateway, "the reply of the service below makes no sense").with_source(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_go_and_come_back() {
        let ticket = FlightTicket::influxql("a/b", "SELECT \"x\" FROM é");
        let body = ticket.to_body().unwrap();
        assert_eq!(FlightTicket::from_body(&body).unwrap(), ticket);
        assert_eq!(
            body[GRPC_PREFIX + 2..],
            *br#"{"database":"a/b","sql_query":"SELECT \"x\" FROM "#.iter().copied().chain("é".bytes()).chain(*br#"","query_type":"influxql"}"#).collect::<Vec<u8>>()
        );
    }

    #[test]
    fn tickets_of_clients() {
        let call = |json: &str| {
            let mut message = vec![tag(1)];
            put_varint(&mut message, json.len() as u64);
            message.extend(json.bytes());
            grpc_message(&[&message])
        };
        let body =
            call(r#"{"database": "d", "sql_query": "SELECT 1", "query_type": "sql", "is_debug": false, "params": {"a": 1}}"#);
        let ticket = FlightTicket::from_body(&body).unwrap();
        assert_eq!((&*ticket.database, ticket.is_influxql(), ticket.params.unwrap()["a"].as_i64()), ("d", false, Some(1)));
        let body = call(r#"{"namespace_name":"n","sql_query":"x"}"#);
        let ticket = FlightTicket::from_body(&body).unwrap();
        assert_eq!((&*ticket.database, &*ticket.query_type), ("n", "sql"));
        for (body, error) in [
            (call("[]"), "ticket is not the JSON object"),
            (call(r#"{"database":"d"}"#), "missing field `sql_query`"),
            (Bytes::new(), "body is not one gRPC message"),
            (Bytes::from_static(b"\x01\0\0\0\0"), "compressed"),
            (Bytes::from_static(b"\0\0\0\0\x01"), "body is not one gRPC message"),
            (Bytes::from_static(b"\0\0\0\0\x01\x08"), "message is no Flight ticket"),
            (Bytes::from_static(b"\0\0\0\0\x03\x0a\xff\x01"), "message is no Flight ticket"),
            (Bytes::from_static(b"\0\0\0\0\0"), "message is no Flight ticket"),
        ] {
            let found = FlightTicket::from_body(&body).unwrap_err();
            assert!(found.message().contains(error), "{found} is not {error}");
        }
    }

    type Messages = Vec<(Bytes, Vec<u8>)>;

    /// All pieces, bodies put together, when a stream comes in frames of this size.
    fn read(stream: &[u8], size: usize) -> Result<(Messages, bool), Error> {
        let mut reader = FlightData::default();
        let mut messages: Messages = Vec::new();
        for frame in stream.chunks(size) {
            reader.push(Bytes::copy_from_slice(frame));
            while let Some(piece) = reader.piece()? {
                match piece {
                    FlightPiece::Header(header) => messages.push((header, Vec::new())),
                    FlightPiece::Body(body) => messages.last_mut().unwrap().1.extend_from_slice(&body),
                }
            }
        }
        Ok((messages, reader.is_complete()))
    }

    fn stream(messages: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (header, body) in messages {
            out.extend_from_slice(&flight_data(header, body.len()).unwrap());
            out.extend_from_slice(body);
        }
        out
    }

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let long = vec![7; 300];
        let messages: [(&[u8], &[u8]); 4] = [(b"schema", b""), (&long, &long), (b"h", b"b"), (b"", b"")];
        let stream = stream(&messages);
        let wanted: Messages = messages[..3].iter().map(|(h, b)| (Bytes::copy_from_slice(h), b.to_vec())).collect();
        for size in [1, 2, 3, 7, 100, 1000] {
            assert_eq!(read(&stream, size).unwrap(), (wanted.clone(), true), "{size}");
        }
        // Only the end of a message is an end.
        let mut ends = Vec::new();
        for count in 1..=messages.len() {
            ends.push(self::stream(&messages[..count]).len());
        }
        for end in 1..=stream.len() {
            let (found, complete) = read(&stream[..end], end).unwrap();
            assert!(found.len() <= 3);
            assert_eq!(complete, ends.contains(&end), "{end} of {ends:?}");
        }
    }

    #[test]
    fn fields_of_others_are_left_out() {
        // A descriptor (1), a number (9), metadata (3), a header, fixed ones (10, 11), a body.
        let message = b"\x0a\x02ab\x48\xff\x01\x1a\x01m\x12\x01h\x51\0\0\0\0\0\0\0\0\x5d\0\0\0\0\xc2\x3e\x02bb";
        let stream = grpc_message(&[message]);
        for size in [1, 5, 100] {
            assert_eq!(read(&stream, size).unwrap(), (vec![(Bytes::from_static(b"h"), b"bb".to_vec())], true));
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for message in [
            &b"\x12\x05ab"[..], // longer than its message
            b"\x13ab",          // a group
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", // an endless key
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", // a length beyond everything
            b"\x12",            // a key alone
        ] {
            let stream = grpc_message(&[message]);
            for size in [1, 100] {
                assert!(read(&stream, size).is_err(), "{message:?}");
            }
        }
        let mut huge = grpc_prefix(u32::MAX as usize).to_vec();
        huge.extend_from_slice(b"\x12\xff\xff\xff\xff\x0e");
        assert!(read(&huge, 100).is_err(), "a header of 4 GB");
        assert!(read(b"\x01\0\0\0\0", 5).is_err(), "compressed");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(stream: Vec<u8>, size in 1_usize..20) {
            let _ = read(&stream, size);
            let _ = FlightTicket::from_body(&stream);
            let _ = read(&grpc_message(&[&stream]), size);
            let _ = FlightTicket::from_body(&grpc_message(&[&stream])).map(drop);
        }
    }
}
