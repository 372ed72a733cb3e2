//! The messages of an Arrow Flight answer, as the Arrow IPC stream that they were cut from.

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;

use super::{broken, nonsense};
use crate::{
    body::Body,
    error::{Error, Kind},
    native::{FlightData, FlightPiece, GrpcStatus},
};

pub(crate) struct Flight {
    body: Body,
    messages: FlightData,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// v1's name of it, for errors.
    database: Box<str>,
    /// What has been read to see whether there is an answer at all.
    first: Option<Bytes>,
}

impl Flight {
    /// Reads up to the first message: a call that fails at once still has a status of its own.
    pub(super) async fn open(body: Body, database: &str) -> Result<Self, Error> {
        let mut flight =
            Self { body, messages: FlightData::default(), trailers: None, ended: false, database: database.into(), first: None };
        flight.first = flight.read().await?;
        if flight.first.is_none() {
            // Not even a schema.
            return Err(nonsense("an answer without messages"));
        }
        Ok(flight)
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.messages.piece()? {
                Some(FlightPiece::Header(header)) => return Ok(Some(encapsulated(&header))),
                Some(FlightPiece::Body(body)) => return Ok(Some(body)),
                None if self.ended => return self.end(),
                None => {}
            }
            match self.body.frame().await {
                Some(frame) => match frame.map_err(broken)?.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => self.messages.push(data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                None => self.ended = true,
            }
        }
    }

    /// All is here when the server says so.
    fn end(&self) -> Result<Option<Bytes>, Error> {
        let said = self.trailers.as_ref().and_then(|trailers| Some((GrpcStatus::of(trailers)?, trailers)));
        match said {
            Some((status, trailers)) if !status.is_ok() => Err(status.error(trailers, &self.database)),
            Some(_) if self.messages.is_complete() => Ok(None),
            _ => Err(Error::new(Kind::BadGateway, "the answer broke off: it is not complete")),
        }
    }
}

/// The frame around a message's header that Flight leaves out; what is padded is counted.
///
/// <https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format>
fn encapsulated(header: &[u8]) -> Bytes {
    let padded = header.len().next_multiple_of(8);
    let mut out = BytesMut::with_capacity(8 + padded);
    out.put_u32_le(u32::MAX);
    // Shorter than any limit on messages.
    out.put_u32_le(u32::try_from(padded).unwrap_or(u32::MAX));
    out.extend_from_slice(header);
    out.put_bytes(0, padded - header.len());
    out.freeze()
}
