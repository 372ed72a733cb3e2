//! Native replies, read as they come.

#[cfg(feature = "arrow")]
mod arrow;
#[cfg(feature = "arrow")]
mod flight;
mod jsonl;
mod lines;
mod v1;

#[cfg(feature = "arrow")]
pub(crate) use arrow::ArrowColumn;

use std::{collections::VecDeque, fmt};

use bytes::Bytes;
use http_body_util::BodyExt;

use super::{Columns, table::Event};
use crate::{
    body::Body,
    error::{Error, Kind},
    native::ReplyFormat,
    types::BoxError,
};

/// A reply, whatever its form.
pub(crate) enum Reply {
    /// Known without asking anybody.
    Local(VecDeque<Event>),
    Jsonl(Box<jsonl::Jsonl>),
    V1(Box<v1::V1Json>),
    #[cfg(feature = "arrow")]
    Arrow(Box<arrow::Arrow>),
}

impl Reply {
    /// Reads `body`. `columns` says what to expect, where the reply itself doesn't; `limit` is the most bytes that a batch may have.
    ///
    /// # Errors
    /// When this build doesn't know the format.
    pub(crate) fn new(
        format: ReplyFormat,
        body: Body,
        columns: Option<Columns>,
        has_time: bool,
        limit: usize,
    ) -> Result<Self, Error> {
        let frames = Frames { body };
        match format {
            ReplyFormat::Jsonl => Ok(Self::Jsonl(Box::new(jsonl::Jsonl::new(frames, columns)))),
            ReplyFormat::Flight | ReplyFormat::FlightOrJsonl => {
                Err(Error::internal("a reply over HTTP, in the form of Flight's"))
            }
            ReplyFormat::V1Json => Ok(Self::V1(Box::new(v1::V1Json::new(frames, has_time)))),
            #[cfg(feature = "arrow")]
            ReplyFormat::Arrow => Ok(Self::Arrow(Box::new(arrow::Arrow::new(arrow::Source::Ipc(frames), limit)))),
            #[cfg(not(feature = "arrow"))]
            ReplyFormat::Arrow => {
                _ = limit;
                Err(Error::internal("Arrow replies need the feature `arrow`"))
            }
        }
    }

    /// Reads the gRPC stream of an Arrow Flight answer, up to its first message.
    ///
    /// # Errors
    /// When there is none, and when this build doesn't know Arrow.
    #[cfg_attr(not(feature = "arrow"), expect(clippy::unused_async, reason = "there is nothing to wait for"))]
    pub(crate) async fn flight(body: Body, database: &str, limit: usize) -> Result<Self, Error> {
        #[cfg(feature = "arrow")]
        {
            let flight = flight::Flight::open(body, database).await?;
            Ok(Self::Arrow(Box::new(arrow::Arrow::new(arrow::Source::Flight(Box::new(flight)), limit))))
        }
        #[cfg(not(feature = "arrow"))]
        {
            drop((body, database.len(), limit));
            Err(Error::internal("Arrow Flight needs the feature `arrow`"))
        }
    }

    /// What comes next; nothing at the end.
    ///
    /// # Errors
    /// When the reply breaks off, makes no sense, or says that the statement failed.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Error> {
        match self {
            Self::Local(events) => Ok(events.pop_front()),
            Self::Jsonl(reply) => reply.next().await,
            Self::V1(reply) => reply.next().await,
            #[cfg(feature = "arrow")]
            Self::Arrow(reply) => reply.next().await,
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// The bytes of a reply.
pub(super) struct Frames {
    body: Body,
}

impl Frames {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.body.frame().await {
            match frame.map_err(broken)?.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(_trailers) => {}
            }
        }
        Ok(None)
    }
}

/// What a client is told when a reply ends in the middle: our own error, if it is one that a store below made, else no details.
fn broken(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::new(Kind::BadGateway, "the answer broke off: it is not complete").with_source(error),
    }
}

/// A reply that isn't what it should be.
fn nonsense(source: impl Into<BoxError>) -> Error {
    Error::new(Kind::BadGateway, "the reply of the service below makes no sense").with_source(source)
}
