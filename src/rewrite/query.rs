//! v1 `/query` → native calls, one a statement, one after the other; their replies → one v1 answer, as a stream.

use std::{collections::VecDeque, future::poll_fn, sync::Arc, time::Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::StreamBody;

use super::{
    flight::Flown,
    layer::Shared,
    modules,
    plan::{Ask, Measurements, Step, Work},
    provision, show, statement,
    whole::{Union, Whole},
    write::beginning,
};
use crate::{
    access::Identity,
    body::Body,
    call::{Format, Output},
    config::Config,
    dbrp::{Address, Change},
    error::{Error, Kind},
    influxql::{StatementKind, Verb, ast::ShowKind, verb},
    native::{self, Api, Operation, QueryInfluxql, ReplyFormat},
    respond::{self, Batch, Event, FieldsAndTags, Reply, Writer},
    service::NativeService,
    types::BoxError,
};

/// Rows of a document that v2 is asked for.
const V2_CHUNK: &str = "10000";

/// A query while it is answered.
pub(super) struct Running<S> {
    pub(super) shared: Arc<Shared>,
    pub(super) config: Arc<Config>,
    /// The service whose readiness was waited for before the call; clones of the other one have to be driven to it.
    pub(super) ready: Option<S>,
    pub(super) service: S,
    pub(super) headers: HeaderMap,
    pub(super) extensions: Extensions,
    pub(super) steps: VecDeque<Step>,
    pub(super) output: Output,
}

/// The answer while it is written.
struct Answering<S> {
    running: Running<S>,
    writer: Writer,
    next: usize,
    current: Option<Current>,
    failed: bool,
    /// Whether the statement is one whose failure doesn't keep the next ones from being executed.
    lookup: bool,
    done: bool,
}

struct Current {
    reply: Reply,
    batch: Option<(Batch, usize)>,
}

impl<S> Running<S>
where
    S: NativeService,
{
    /// The whole answer, or why there is none.
    pub(super) async fn answer(mut self) -> Result<Response<Body>, BoxError> {
        let config = Arc::clone(&self.config);
        let output = self.output;
        let body = match self.passed_through().await? {
            Some(body) => body,
            None => self.encoded().await?,
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, respond::media_type(output.format));
        respond::version_headers(headers, &config.compat);
        Ok(response)
    }

    /// v2's own answer, where it is what was asked for.
    async fn passed_through(&mut self) -> Result<Option<Body>, BoxError> {
        let Output { format: Format::Json, epoch, chunk: None, pretty: false } = self.output else { return Ok(None) };
        if self.steps.len() > 1 {
            return Ok(None);
        }
        let Some(step) = self.steps.front() else { return Ok(None) };
        let Step { answer, work: Work::Ask(ask) } = step else { return Ok(None) };
        if self.shared.target.reply != ReplyFormat::V1Json
            || answer.slimit > 0
            || answer.soffset > 0
            || !answer.messages.is_empty()
            || ask.bucket.is_empty()
        {
            return Ok(None);
        }
        let epoch = epoch.map(epoch_name);
        let further: &[(&str, &str)] = &[("epoch", epoch.unwrap_or_default())];
        let text = ask.statement.to_string();
        // What can't be asked is that statement's failure.
        let Ok(address) = self.v2_address(ask) else { return Ok(None) };
        let request = v2_request(&address, &text, further);
        let database = ask.database.clone();
        let response = self.call(request).await?;
        checked(response, &database).await.map(Some).map_err(|error| error.in_statement(0).into())
    }

    async fn encoded(self) -> Result<Body, BoxError> {
        let writer = Writer::new(self.output, self.config.limits.query_memory);
        let mut answering =
            Box::new(Answering { running: self, writer, next: 0, current: None, failed: false, lookup: false, done: false });
        // The first frame is waited for: what fails before it has a status of its own, and a small answer needs no stream.
        let Some(first) = answering.frame().await? else { return Ok(Body::empty()) };
        let Some(second) = (if answering.done { answering.writer.take(true) } else { None }) else {
            return Ok(if answering.done { Body::from(first) } else { streamed(vec![first], answering) });
        };
        Ok(streamed(vec![first, second], answering))
    }

    /// Asks the service below, in the words that it is given.
    pub(super) async fn ask_below(&mut self, ask: &Ask) -> Result<Reply, BoxError> {
        let has_time = ask.select().is_some();
        let text = ask.statement.to_string();
        let detour = match self.fly(ask, &text).await? {
            Flown::Reply(reply) => return Ok(reply),
            Flown::Http(detour) => detour,
        };
        let format = self.shared.target.reply.over_http();
        let columns = if format == ReplyFormat::Jsonl {
            let stored = match ask.select() {
                Some(select) if respond::needs_schema(select) => self.stored(ask, &statement::measurements(select)).await?,
                _ => Arc::default(),
            };
            respond::of_statement(&ask.statement, &stored)?
        } else {
            None
        };
        let body = self.reply(ask, &text).await;
        if let Some(catalog) = self.shared.catalog(&self.config)
            && matches!(verb(&ask.statement), Some(Verb::Alter | Verb::Create | Verb::Drop))
        {
            // Whether it failed or not: some of it may have been done.
            catalog.changed();
        }
        let body = body?;
        detour.worked(&self.shared.flight);
        let reply = Reply::new(format, body, columns, has_time, self.config.limits.query_memory)?;
        let of_modules = matches!(&ask.statement.kind, StatementKind::Show(show) if matches!(show.kind, ShowKind::Stats(_) | ShowKind::Diagnostics(_)));
        if of_modules && self.shared.target.full_influxql {
            return Ok(Reply::Local(modules::series(reply).await?));
        }
        Ok(reply)
    }

    /// Asks for the measurements of each place.
    async fn measurements(&mut self, all: &Measurements) -> Result<Reply, BoxError> {
        let mut rows = Vec::new();
        let (mut skip, mut left) = (all.offset, all.limit);
        for (database, retention_policy, ask) in &all.asks {
            if left == 0 {
                break;
            }
            let mut reply = self.ask(ask).await?;
            while let Some(event) = reply.next().await? {
                let Event::Rows(batch) = event else { continue };
                let skipped = skip.min(batch.len);
                skip -= skipped;
                for row in (skipped..batch.len).take(left) {
                    left -= 1;
                    let name = batch.columns.first().map_or("", |column| column.text(row));
                    rows.push([name, database, retention_policy].map(show::text).into());
                }
            }
        }
        let columns = ["name", "database", "retention policy"];
        Ok(Reply::Local(if rows.is_empty() { VecDeque::new() } else { show::table("measurements", &columns, rows) }))
    }

    /// Asks several times, until one fails. The replies are read to their ends: they may fail there.
    async fn each(&mut self, asks: &[Ask]) -> Result<(), BoxError> {
        if self.shared.target.api == Api::V2 {
            // All of it or nothing.
            asks.iter().try_for_each(|ask| self.v2_address(ask).map(drop))?;
        }
        for ask in asks {
            let mut reply = self.ask(ask).await?;
            while reply.next().await?.is_some() {}
        }
        Ok(())
    }

    /// Uses the management API.
    async fn change(&self, change: &Change) -> Result<(), Error> {
        match (self.shared.catalog(&self.config), self.extensions.get::<Identity>()) {
            (Some(catalog), Some(identity)) => catalog.change(identity, change).await,
            _ => Err(Error::new(Kind::NotImplemented, "databases and retention policies can't be made from here")),
        }
    }

    /// Asks each bucket of a database.
    async fn whole(&mut self, whole: &Whole) -> Result<Reply, BoxError> {
        let mut union = Union::new(self.config.limits.query_memory);
        let mut asks: Vec<&Ask> = whole.asks.iter().collect();
        if self.shared.target.api == Api::V2 {
            // v2 answers these from default policies alone. Where none of the buckets is one, it is to say so itself.
            let askable: Vec<&Ask> = asks.iter().copied().filter(|ask| self.v2_address(ask).is_ok()).collect();
            if !askable.is_empty() {
                asks = askable;
            }
        }
        for ask in asks {
            let mut reply = self.ask(ask).await?;
            while let Some(event) = reply.next().await? {
                union.add(event)?;
            }
        }
        Ok(Reply::Local(union.finish(whole)))
    }

    /// Fields and tags of the measurements that this `FROM` names.
    async fn stored(&mut self, ask: &Ask, from: &str) -> Result<Arc<FieldsAndTags>, BoxError> {
        if let Some(known) = self.shared.schemas.get(&ask.bucket, from, Instant::now()) {
            return Ok(known);
        }
        let mut stored = FieldsAndTags::default();
        for (what, of_fields) in [("FIELD", true), ("TAG", false)] {
            let text = format!("SHOW {what} KEYS{from}");
            let body = self.reply(ask, &text).await?;
            let names: &[&str] = if of_fields { &["fieldKey", "fieldType"] } else { &["tagKey"] };
            let columns =
                respond::Columns { columns: names.iter().map(|&name| name.into()).collect(), ..respond::Columns::default() };
            let mut reply = Reply::new(ReplyFormat::Jsonl, body, Some(columns), false, self.config.limits.query_memory)?;
            while let Some(event) = reply.next().await? {
                let Event::Rows(batch) = event else { continue };
                for row in 0..batch.len {
                    let text = |column: Option<&respond::Column>| column.map_or("", |column| column.text(row)).to_owned();
                    let (name, key) = (text(batch.name.as_ref()), text(batch.columns.first()));
                    if of_fields {
                        stored.field(&name, &key, &text(batch.columns.get(1)));
                    } else {
                        stored.tag(&name, &key);
                    }
                }
            }
        }
        let stored = Arc::new(stored);
        self.shared.schemas.put(&ask.bucket, from, Arc::clone(&stored), Instant::now());
        Ok(stored)
    }

    /// The body of the reply to one statement.
    async fn reply(&mut self, ask: &Ask, text: &str) -> Result<Body, BoxError> {
        let request = match self.shared.target.api {
            Api::V2 => {
                v2_request(&self.v2_address(ask)?, text, &[("epoch", "ns"), ("chunked", "true"), ("chunk_size", V2_CHUNK)])
            }
            Api::V3 => v3_request(ask, text, self.shared.target.reply.over_http())?,
        };
        let response = self.call(request).await?;
        Ok(checked(response, &ask.database).await?)
    }

    /// By which names v2 is asked for a bucket.
    fn v2_address(&self, ask: &Ask) -> Result<Address, Error> {
        let known = match (self.shared.catalog(&self.config), self.extensions.get::<Identity>()) {
            (Some(catalog), Some(identity)) if !ask.bucket.is_empty() => catalog.address(identity, &ask.bucket),
            _ => Some(Address::of(&ask.bucket)),
        };
        provision::askable(&ask.statement.kind, &ask.bucket, known)
    }

    pub(super) async fn call(&mut self, mut request: Request<Body>) -> Result<Response<Body>, BoxError> {
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        request.extensions_mut().extend(self.extensions.clone());
        let mut service = match self.ready.take() {
            Some(ready) => ready,
            None => {
                let mut clone = self.service.clone();
                poll_fn(|cx| clone.poll_ready(cx)).await.map_err(Into::into)?;
                clone
            }
        };
        Ok(service.call(request).await.map_err(Into::into)?.map(Body::new))
    }
}

impl<S> Answering<S>
where
    S: NativeService,
{
    /// The next frame; nothing at the end.
    async fn frame(&mut self) -> Result<Option<Bytes>, BoxError> {
        loop {
            if let Some(bytes) = self.writer.take(self.done) {
                return Ok(Some(bytes));
            }
            if self.done {
                return Ok(None);
            }
            match &mut self.current {
                Some(current) => match advance(current, &mut self.writer).await {
                    Ok(true) => {}
                    Ok(false) => self.end(None),
                    Err(error) => {
                        tracing::warn!(statement = self.next - 1, "a statement failed: {}", detail(&error));
                        self.fail(&error);
                    }
                },
                None => self.step().await?,
            }
        }
    }

    /// Starts the next statement, or ends the answer.
    async fn step(&mut self) -> Result<(), BoxError> {
        let Some(step) = self.running.steps.pop_front() else {
            self.writer.finish();
            self.done = true;
            return Ok(());
        };
        let id = self.next;
        self.next += 1;
        if self.failed && !matches!(step.work, Work::Refused(_)) {
            self.writer.begin(id, step.answer);
            self.end(Some("not executed"));
            return Ok(());
        }
        self.lookup = is_lookup(&step.work);
        let reply = match step.work {
            Work::Nothing => Ok(Reply::Local(VecDeque::new())),
            Work::Known(events) => Ok(Reply::Local(events)),
            Work::Fail(message) | Work::Refused(message) => Err(Error::invalid(message)),
            Work::Measurements(all) => match self.running.measurements(&all).await {
                Ok(reply) => Ok(reply),
                Err(error) => Err(in_result(error, id)?),
            },
            Work::Whole(whole) => match self.running.whole(&whole).await {
                Ok(reply) => Ok(reply),
                Err(error) => Err(in_result(error, id)?),
            },
            Work::Ask(ask) => match self.running.ask(&ask).await {
                Ok(reply) => Ok(reply),
                Err(error) => Err(in_result(error, id)?),
            },
            Work::Change(change) => match self.running.change(&change).await {
                Ok(()) => Ok(Reply::Local(VecDeque::new())),
                Err(error) => Err(in_result(error.into(), id)?),
            },
            Work::Each(asks) => match self.running.each(&asks).await {
                Ok(()) => Ok(Reply::Local(VecDeque::new())),
                Err(error) => Err(in_result(error, id)?),
            },
        };
        self.writer.begin(id, step.answer);
        match reply {
            Ok(reply) => self.current = Some(Current { reply, batch: None }),
            Err(error) => self.fail(&error),
        }
        Ok(())
    }

    fn fail(&mut self, error: &Error) {
        let failed = self.failed;
        self.end(Some(error.message()));
        if self.lookup && error.kind() == Kind::Invalid {
            self.failed = failed;
        }
    }

    fn end(&mut self, error: Option<&str>) {
        self.failed |= error.is_some();
        self.writer.end(error);
        self.current = None;
    }
}

/// Whether it asks for measurements or tags by a condition. v1 puts what is wrong with that into the result and goes on; a time in it is
/// refused before.
fn is_lookup(work: &Work) -> bool {
    let Work::Ask(ask) = work else { return false };
    let StatementKind::Show(show) = &ask.statement.kind else { return false };
    match show.kind {
        ShowKind::TagKeys | ShowKind::TagValues => true,
        ShowKind::Measurements => !show.condition.as_ref().is_some_and(statement::mentions_time),
        _ => false,
    }
}

/// Writes some of a reply; false at its end.
async fn advance(current: &mut Current, writer: &mut Writer) -> Result<bool, Error> {
    if let Some((batch, row)) = &mut current.batch {
        *row = writer.rows(batch, *row);
        if let Some(failure) = writer.failure() {
            return Err(Error::invalid(failure));
        }
        if *row >= batch.len {
            current.batch = None;
        }
        return Ok(true);
    }
    match current.reply.next().await? {
        Some(event) => current.batch = writer.describe(event).map(|batch| (batch, 0)),
        None => return Ok(false),
    }
    Ok(true)
}

/// A statement's failure: one that is its own goes into its result. But when nothing has been sent yet, whatever may succeed later, or
/// with another credential, is a matter of the status, on which clients decide whether they try again.
fn in_result(error: BoxError, id: usize) -> Result<Error, BoxError> {
    let error = match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) if id == 0 => return Err(error),
        Err(error) => Error::internal(error),
    };
    let own = matches!(
        error.kind(),
        Kind::Invalid | Kind::NotFound | Kind::MethodNotAllowed | Kind::NotImplemented | Kind::Unprocessable
    );
    if id == 0 && !own {
        return Err(error.in_statement(id).into());
    }
    tracing::debug!(statement = id, "a statement failed: {}", detail(&error));
    Ok(error)
}

/// An error with its sources, for the log.
fn detail(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn streamed<S>(first: Vec<Bytes>, answering: Box<Answering<S>>) -> Body
where
    S: NativeService,
{
    let first = VecDeque::from(first);
    Body::new(StreamBody::new(stream::try_unfold((first, answering), async |(mut first, mut answering)| {
        let frame = match first.pop_front() {
            Some(frame) => Some(frame),
            None => answering.frame().await?,
        };
        Ok::<_, BoxError>(frame.map(|bytes| (Frame::data(bytes), (first, answering))))
    })))
}

/// The body of a reply that says it is fine.
async fn checked(response: Response<Body>, database: &str) -> Result<Body, Error> {
    let (parts, body) = response.into_parts();
    if parts.status.is_success() {
        return Ok(body);
    }
    let text = beginning(body).await;
    Err(native::decode_error(parts.status, &parts.headers, &text, Operation::Query { database }))
}

fn v2_request(address: &Address, text: &str, further: &[(&str, &str)]) -> Request<Body> {
    let (uri, form) = native::v2_query(&address.database, &address.retention_policy, text, further);
    let mut request = Request::new(Body::from(form));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    request
}

fn v3_request(ask: &Ask, text: &str, format: ReplyFormat) -> Result<Request<Body>, Error> {
    let db = (!ask.bucket.is_empty()).then(|| (&*ask.bucket).into());
    let siblings = ask.siblings.clone();
    let query = QueryInfluxql { db, q: text.into(), format: Some(format.name().into()), siblings, params: None };
    let body = serde_json::to_vec(&query).map_err(Error::internal)?;
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = native::v3_query_uri();
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(request)
}

/// v2's name of a unit: it knows `u`, and takes `us` for nanoseconds.
const fn epoch_name(unit: crate::types::Precision) -> &'static str {
    use crate::types::Precision;
    match unit {
        Precision::Nanosecond => "ns",
        Precision::Microsecond => "u",
        Precision::Millisecond => "ms",
        Precision::Second => "s",
        Precision::Minute => "m",
        Precision::Hour => "h",
    }
}
