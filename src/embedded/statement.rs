//! One statement, from its text to batches.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures_core::Stream;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task,
    time::{Instant, Sleep},
};

use super::{
    Engine, Tables,
    change::Ticket,
    engine::{now, unavailable},
    query::{self, Context},
};
use crate::{
    access::{Access, Permission},
    error::{Blame, Error, Kind},
    influxql::{self, Params, Statement},
};

/// Batches on their way to a reader that is slower than the query.
const WAITING: usize = 2;

/// One statement.
#[derive(Clone, Debug)]
pub struct Query {
    /// The bucket's name, where the statement names none.
    pub bucket: Option<Box<str>>,
    /// Buckets of the same databases, by bucket: what statements about a whole database are about.
    pub siblings: query::Siblings,
    /// The statement.
    pub q: Box<str>,
    /// Bind parameters.
    pub params: Params,
    /// What the caller may read.
    pub access: Arc<Access>,
    /// How long it may take, until the last batch.
    pub timeout: Duration,
    /// Bytes that it may hold.
    pub memory: usize,
}

/// The answer to a statement: a stream of its batches. Dropping it cancels the statement.
pub struct Reply {
    schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch, Error>>,
    deadline: Pin<Box<Sleep>>,
    cancel: CancelOnDrop,
    /// Set before the last batch's sender goes away.
    finished: Arc<AtomicBool>,
    ended: bool,
    /// Listed by `SHOW QUERIES` as long as somebody reads.
    _ticket: Option<Ticket>,
}

impl Reply {
    /// An answer that is known.
    fn of(batch: RecordBatch) -> Self {
        let (schema, rows) = (batch.schema(), batch.num_rows());
        let (sender, batches) = mpsc::channel(1);
        if rows > 0 {
            let _ = sender.try_send(Ok(batch));
        }
        let deadline = Box::pin(tokio::time::sleep(Duration::MAX));
        let (cancel, finished) = (CancelOnDrop(Arc::default()), Arc::new(AtomicBool::new(true)));
        Self { schema, batches, deadline, cancel, finished, ended: false, _ticket: None }
    }

    /// Columns, laid out as a v3 server does over Flight.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }
}

impl Stream for Reply {
    type Item = Result<RecordBatch, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // Its time is up for those too who read slowly what is there.
        if self.deadline.as_mut().poll(cx).is_ready() {
            self.cancel.0.store(true, Ordering::Relaxed);
            self.batches.close();
            self.ended = true;
            return Poll::Ready(Some(Err(timeout())));
        }
        match self.batches.poll_recv(cx) {
            Poll::Ready(Some(item)) => {
                self.ended |= item.is_err();
                Poll::Ready(Some(item))
            }
            Poll::Ready(None) if self.finished.load(Ordering::Acquire) => Poll::Ready(None),
            Poll::Ready(None) => {
                // It panicked: what was sent is not all.
                self.ended = true;
                Poll::Ready(Some(Err(Error::internal("the query ended before its end"))))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Ends a query whose reader has gone away.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Engine {
    /// Runs one statement.
    ///
    /// # Errors
    /// When it can't be parsed, planned or started; later ones come through the stream.
    pub async fn query(&self, query: Query) -> Result<Reply, Error> {
        let statement = self.parse(&query)?;
        if let Some(batch) = self.change(&statement, &query).await? {
            return Ok(Reply::of(batch));
        }
        self.start(statement, query).await
    }

    /// Runs a statement that only reads.
    pub(super) async fn start(&self, statement: Statement, query: Query) -> Result<Reply, Error> {
        let deadline = Instant::now() + query.timeout;
        let permit = tokio::time::timeout_at(deadline, Arc::clone(&self.0.queries).acquire_owned())
            .await
            .map_err(|_| unavailable("timeout: too many queries at once"))?
            .map_err(|_| unavailable("the store is closed"))?;
        let cancelled = Arc::new(AtomicBool::new(false));
        let cancel = CancelOnDrop(Arc::clone(&cancelled));
        let database = self.database_of(query.bucket.as_deref().unwrap_or_default());
        let ticket = self.0.running.begin(&query.q, &database, &cancelled);
        let (schema_sender, schema) = oneshot::channel();
        let (sender, batches) = mpsc::channel(WAITING);
        let finished = Arc::new(AtomicBool::new(false));
        let (engine, end) = (self.clone(), Arc::clone(&finished));
        self.0.counters.query_began();
        let began = Instant::now();
        task::spawn_blocking(move || {
            engine.run(&query, &statement, &cancelled, schema_sender, &sender, permit);
            engine.0.counters.query_ended(began.elapsed());
            engine.0.files.reap();
            end.store(true, Ordering::Release);
        });
        let schema = tokio::time::timeout_at(deadline, schema)
            .await
            .map_err(|_| timeout())?
            .map_err(|_| Error::internal("the query ended without an answer"))??;
        Ok(Reply {
            schema,
            batches,
            deadline: Box::pin(tokio::time::sleep_until(deadline)),
            cancel,
            finished,
            ended: false,
            _ticket: Some(ticket),
        })
    }

    fn parse(&self, query: &Query) -> Result<Statement, Error> {
        let limits = influxql::Limits { max_len: self.0.limits.query, max_depth: self.0.limits.query_depth };
        let mut statements =
            influxql::parse(&query.q, &query.params, limits).map_err(|error| Error::invalid(error.to_string()))?.into_iter();
        match (statements.next(), statements.next()) {
            (Some(statement), None) => Ok(statement),
            (None, _) => Err(Error::invalid("missing statement")),
            (Some(_), Some(_)) => Err(Error::invalid("only one statement can be run at a time")),
        }
    }

    /// On a thread that may block.
    fn run(
        &self,
        query: &Query,
        statement: &Statement,
        cancelled: &AtomicBool,
        schema: oneshot::Sender<Result<SchemaRef, Error>>,
        sender: &mpsc::Sender<Result<RecordBatch, Error>>,
        _permit: OwnedSemaphorePermit,
    ) {
        // Nobody listens any more when a send fails: the query ends.
        let send = |batch| sender.blocking_send(Ok(batch)).map_err(|_| Error::new(Kind::Timeout, "query interrupted"));
        if let Some(listing) = self.listing(statement, query) {
            match listing {
                Ok(listing) => {
                    if schema.send(Ok(listing.schema())).is_ok() && listing.num_rows() > 0 {
                        let _ = send(listing);
                    }
                }
                Err(error) => drop(schema.send(Err(error))),
            }
            return;
        }
        let tables = |bucket: &str| self.readable(bucket, &query.access);
        let context = Context {
            tables: &tables,
            bucket: query.bucket.as_deref().unwrap_or_default(),
            siblings: &query.siblings,
            now: now(),
            cancelled,
            limits: query::Limits { memory: query.memory, ..query::Limits::default() },
            pool: &self.0.pool,
        };
        let plan = match query::plan(statement, &context) {
            Ok(plan) => plan,
            Err(error) => return drop(schema.send(Err(error))),
        };
        // The reader is woken when there is something to read: an answer that fits into the channel is complete by then, and an error
        // before that is the whole answer.
        let mut announcement = Some(schema);
        let mut room = WAITING;
        let result = plan.run(&mut |batch| {
            room = room.saturating_sub(1);
            if room == 0 {
                announce(&mut announcement, Ok(plan.schema()));
            }
            send(batch)
        });
        match result {
            Ok(()) => announce(&mut announcement, Ok(plan.schema())),
            Err(error) if announcement.is_some() => announce(&mut announcement, Err(error)),
            Err(error) => drop(sender.blocking_send(Err(error))),
        }
    }

    fn readable(&self, bucket: &str, access: &Access) -> Result<Arc<dyn Tables>, Error> {
        if bucket.is_empty() {
            return Err(Error::invalid("database name required"));
        }
        if !access.allows(bucket, Permission::Read) {
            return Err(Error::new(Kind::Forbidden, format!("not allowed to read \"{bucket}\"")));
        }
        self.snapshot(bucket)
    }
}

/// Tells the reader the columns, once.
fn announce(announcement: &mut Option<oneshot::Sender<Result<SchemaRef, Error>>>, answer: Result<SchemaRef, Error>) {
    if let Some(sender) = announcement.take() {
        // Nobody listens any more: the next send tells.
        let _ = sender.send(answer);
    }
}

fn timeout() -> Error {
    Error::new(Kind::Unavailable, "timeout: the query took too long").blaming(Blame::Shim)
}
