//! Arrow Flight: `DoGet` with a ticket of InfluxQL. The same query as over HTTP, answered as a gRPC stream.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use arrow_array::{Array, ArrayRef, DictionaryArray, RecordBatch, StringArray, types::Int32Type};
use arrow_ipc::writer::{DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::take::take;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderValue, Method, Response, header::CONTENT_TYPE, request::Parts};
use http_body::Frame;
use http_body_util::StreamBody;

use super::{access, body, limits, method_not_allowed};
use crate::{
    Body,
    embedded::{Engine, Query, Reply},
    error::{Error, Kind},
    influxql::Params,
    native::{self, FlightTicket, GRPC, flight_data, grpc_trailers},
    types::BoxError,
};

/// Bytes of a message: Go's clients take no more than 4 MiB unless they are told to.
const MESSAGE: usize = 2 << 20;

/// Answers a call.
pub(super) async fn call(engine: &Engine, head: &Parts, body: Body) -> Result<Response<Body>, Error> {
    match (&head.method, head.uri.path()) {
        (&Method::POST, native::FLIGHT_DO_GET) => do_get(engine, head, body).await,
        (&Method::POST, path) => {
            Err(Error::new(Kind::NotImplemented, format!("{path:?} is not implemented: of Arrow Flight there is DoGet")))
        }
        _ => Err(method_not_allowed(head)),
    }
}

async fn do_get(engine: &Engine, head: &Parts, body: Body) -> Result<Response<Body>, Error> {
    let limits = limits(engine, head);
    // As over HTTP: escapes and parameters take their room.
    let text = body::collect(body, (limits.query as u64).saturating_mul(6).saturating_add(1 << 20)).await?;
    let ticket = FlightTicket::from_body(&text)?;
    if !ticket.is_influxql() {
        let message = format!("query_type {:?} is not implemented: this store speaks \"influxql\"", ticket.query_type);
        return Err(Error::new(Kind::NotImplemented, message));
    }
    let params = match &ticket.params {
        Some(params) => Params::from_json(params).map_err(|error| Error::invalid(error.to_string()))?,
        None => Params::default(),
    };
    let query = Query {
        bucket: (!ticket.database.is_empty()).then(|| ticket.database.into()),
        siblings: BTreeMap::new(),
        q: ticket.sql_query.into(),
        params,
        access: access(head),
        timeout: limits.query_timeout,
        memory: limits.query_memory,
    };
    let mut batches = engine.query(query).await?;
    let (mut encoder, schema) = Encoder::new(&batches.schema())?;
    let mut frames = VecDeque::from([schema]);
    // What fails at once needs no stream to say so.
    if let Some(batch) = batches.next().await.transpose()? {
        encoder.batch(&batch, &mut frames)?;
    }
    let state = Sending { batches, encoder, frames, ended: false };
    let mut response = Response::new(Body::new(StreamBody::new(futures_util::stream::unfold(state, Sending::next))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    Ok(response)
}

/// An answer on its way.
struct Sending {
    batches: Reply,
    encoder: Encoder,
    frames: VecDeque<Bytes>,
    ended: bool,
}

impl Sending {
    async fn next(mut self) -> Option<(Result<Frame<Bytes>, BoxError>, Self)> {
        if self.ended {
            return None;
        }
        loop {
            if let Some(bytes) = self.frames.pop_front() {
                return Some((Ok(Frame::data(bytes)), self));
            }
            let error = match self.batches.next().await {
                Some(Ok(batch)) => match self.encoder.batch(&batch, &mut self.frames) {
                    Ok(()) => continue,
                    Err(error) => Some(error),
                },
                Some(Err(error)) => Some(error),
                None => None,
            };
            self.ended = true;
            return Some((Ok(Frame::trailers(grpc_trailers(error.as_ref()))), self));
        }
    }
}

/// Batches as `FlightData`. Texts go as such, as InfluxDB 3 sends them: there are clients that know no dictionaries.
struct Encoder {
    schema: SchemaRef,
    generator: IpcDataGenerator,
    dictionaries: DictionaryTracker,
    options: IpcWriteOptions,
    context: IpcWriteContext,
}

impl Encoder {
    /// With the message about the columns.
    fn new(schema: &Schema) -> Result<(Self, Bytes), Error> {
        let mut encoder = Self {
            schema: Arc::new(plain_schema(schema)),
            generator: IpcDataGenerator::default(),
            dictionaries: DictionaryTracker::new(false),
            options: IpcWriteOptions::default(),
            context: IpcWriteContext::default(),
        };
        let Self { schema, generator, dictionaries, options, .. } = &mut encoder;
        let message = generator.schema_to_bytes_with_dictionary_tracker(schema, dictionaries, options);
        let message = flight_data(&message.ipc_message, 0)?;
        Ok((encoder, message))
    }

    /// A batch, in several messages when it is large.
    fn batch(&mut self, batch: &RecordBatch, frames: &mut VecDeque<Bytes>) -> Result<(), Error> {
        let pieces = batch.columns().iter().map(plain_size).sum::<usize>().div_ceil(MESSAGE).clamp(1, batch.num_rows().max(1));
        let rows = batch.num_rows().div_ceil(pieces);
        let mut from = 0;
        loop {
            let piece = batch.slice(from, rows.min(batch.num_rows() - from));
            from += piece.num_rows();
            let columns = piece.columns().iter().map(plain).collect::<Result<_, _>>().map_err(Error::internal)?;
            let piece = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(Error::internal)?;
            let (dictionaries, message) = self
                .generator
                .encode(&piece, &mut self.dictionaries, &self.options, &mut self.context)
                .map_err(Error::internal)?;
            for message in dictionaries.into_iter().chain([message]) {
                let EncodedData { ipc_message, arrow_data } = message;
                frames.push_back(flight_data(&ipc_message, arrow_data.len())?);
                if !arrow_data.is_empty() {
                    frames.push_back(arrow_data.into());
                }
            }
            if from >= batch.num_rows() {
                return Ok(());
            }
        }
    }
}

/// The columns without dictionaries.
fn plain_schema(schema: &Schema) -> Schema {
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Dictionary(_, values) => Arc::new(Field::clone(field).with_data_type(DataType::clone(values))),
        _ => Arc::clone(field),
    };
    Schema::new_with_metadata(schema.fields().iter().map(plain).collect::<Vec<_>>(), schema.metadata().clone())
}

fn plain(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.as_any().downcast_ref::<DictionaryArray<Int32Type>>() {
        Some(dictionary) => take(dictionary.values(), dictionary.keys(), None),
        None => Ok(Arc::clone(column)),
    }
}

/// Bytes of a column without its dictionary.
fn plain_size(column: &ArrayRef) -> usize {
    let Some(dictionary) = column.as_any().downcast_ref::<DictionaryArray<Int32Type>>() else {
        return column.get_array_memory_size();
    };
    let Some(values) = dictionary.values().as_any().downcast_ref::<StringArray>() else {
        return column.get_array_memory_size();
    };
    let keys = dictionary.keys().iter().flatten();
    let text: usize = keys.filter_map(|key| Some(values.value(usize::try_from(key).ok()?).len())).sum();
    text + dictionary.len() * size_of::<i32>()
}
