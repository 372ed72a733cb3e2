//! `EXPLAIN` and `EXPLAIN ANALYZE`: our plan, in 1.x's shape. Lines that mean what 1.x's mean are called as there.

use std::{
    fmt::Write as _,
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use jiff::Timestamp;

use super::{
    context::{Budget, Context},
    describe,
    ir::{Fill, Reader, Select, Source, Table},
    output::{self, Output, Sink},
    resolve, select,
    value::Scalar,
    window::{MAX_TIME, MIN_TIME},
};
use crate::{
    embedded::{self, Partition, Scan, SeriesBatch, Tables},
    error::Error,
    influxql::{ast, duration::format_go_duration},
    native::MEASUREMENT_COLUMN,
};

/// A `SELECT` that is to be explained.
pub(super) struct Explain {
    select: Select,
    /// As it was understood.
    text: String,
    /// What is computed, as it was written.
    expressions: Vec<String>,
    condition: Option<String>,
    /// With `ANALYZE`: it is run.
    analyze: Option<Analyze>,
}

struct Analyze {
    planning: Duration,
    read: Arc<Read>,
}

/// What was read while it ran.
#[derive(Debug, Default)]
struct Read {
    rows: AtomicU64,
    batches: AtomicU64,
    time: Mutex<Duration>,
}

/// Resolves it.
pub(super) fn plan(explain: &ast::Explain, context: &Context<'_>) -> Result<Explain, Error> {
    let began = Instant::now();
    let mut select = resolve::select(&explain.select, context)?;
    let planning = began.elapsed();
    let analyze = explain.analyze.then(|| {
        let read = Arc::new(Read::default());
        count(&mut select, &read);
        Analyze { planning, read }
    });
    Ok(Explain {
        select,
        text: explain.select.to_string(),
        expressions: explain.select.fields.iter().map(|field| describe::expr(&field.expr)).collect(),
        condition: explain.select.condition.as_ref().map(describe::expr),
        analyze,
    })
}

/// Has everything counted that is read.
fn count(select: &mut Select, read: &Arc<Read>) {
    for table in select.sources.iter_mut().flat_map(|source| &mut source.tables) {
        match &mut table.reader {
            Reader::Tables(tables) => {
                let inner = Arc::clone(tables);
                *tables = Arc::new(Counted { inner, read: Arc::clone(read) });
            }
            Reader::Subquery(inner) => count(inner, read),
        }
    }
}

impl Explain {
    pub(super) fn schema(&self) -> SchemaRef {
        let column = if self.analyze.is_some() { "EXPLAIN ANALYZE" } else { "QUERY PLAN" };
        Arc::new(Schema::new(vec![
            Field::new(MEASUREMENT_COLUMN, DataType::Utf8, false),
            Field::new(column, DataType::Utf8, false),
        ]))
    }

    pub(super) fn run(&self, schema: &SchemaRef, budget: &Budget<'_>, sink: Sink<'_>) -> Result<(), Error> {
        let lines = match &self.analyze {
            Some(analyze) => self.analyzed(analyze, budget)?,
            None => self.planned()?,
        };
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(lines.iter().map(|_| "")));
        let lines: ArrayRef = Arc::new(StringArray::from_iter_values(lines));
        sink(RecordBatch::try_new(SchemaRef::clone(schema), vec![names, lines]).map_err(Error::internal)?)
    }

    fn planned(&self) -> Result<Vec<String>, Error> {
        let mut lines = Vec::new();
        if self.select.sources.iter().flat_map(|source| &source.tables).all(|table| table.fields.is_empty()) {
            // Nothing is read, and 1.x says as much.
            return Ok(vec![String::new()]);
        }
        lines.push(format!("STATEMENT: {}", self.text));
        lines.push(format!("EXPRESSION: {}", self.expressions.join(", ")));
        if let Some(condition) = &self.condition {
            lines.push(format!("CONDITION: {condition}"));
        }
        describe_select(&self.select, 0, &mut lines)?;
        Ok(lines)
    }

    fn analyzed(&self, analyze: &Analyze, budget: &Budget<'_>) -> Result<Vec<String>, Error> {
        let began = Instant::now();
        let (mut rows, mut batches) = (0, 0);
        let mut sink = |batch: RecordBatch| {
            rows += batch.num_rows();
            batches += 1;
            Ok(())
        };
        let mut output = Output::new(&self.select, output::schema(&self.select), &mut sink);
        select::run(&self.select, budget, &mut output)?;
        output.flush()?;
        let execution = began.elapsed();
        let reading = *analyze.read.time.lock().unwrap_or_else(PoisonError::into_inner);
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);

        let mut cursor = Node::new("build_cursor", vec![labels(vec![format!("statement: {}", self.text)])]);
        cursor.children.extend(self.select.sources.iter().map(source_node).collect::<Result<Vec<_>, _>>()?);
        let select = Node::new(
            "select",
            vec![
                leaf(format!("execution_time: {}", go(execution))),
                leaf(format!("planning_time: {}", go(analyze.planning))),
                leaf(format!("total_time: {}", go(analyze.planning + execution))),
                Node::new(
                    "read",
                    vec![
                        leaf(format!("read_time: {}", go(reading))),
                        leaf(format!("rows_scanned: {}", load(&analyze.read.rows))),
                        leaf(format!("batches: {}", load(&analyze.read.batches))),
                    ],
                ),
                Node::new(
                    "compute",
                    vec![
                        leaf(format!("compute_time: {}", go(execution.saturating_sub(reading)))),
                        leaf(format!("rows_returned: {rows}")),
                        leaf(format!("batches: {batches}")),
                    ],
                ),
                cursor,
            ],
        );
        let mut lines = vec![".".to_owned()];
        select.draw("", true, &mut lines);
        lines.push(String::new());
        Ok(lines)
    }
}

/// The lines of a query and of those in it.
fn describe_select(select: &Select, depth: usize, lines: &mut Vec<String>) -> Result<(), Error> {
    lines.push(format!("TIME RANGE: {}", range(select.time)));
    if let Some(windows) = &select.windows {
        let mut text = format!("WINDOWS: {}", format_go_duration(windows.width));
        if windows.offset != 0 {
            let _ = write!(text, ", offset {}", format_go_duration(windows.offset));
        }
        lines.push(format!("{text}, fill({})", fill(&select.fill)));
    }
    if !select.dimensions.is_empty() {
        lines.push(format!("GROUP BY: {}", select.dimensions.join(", ")));
    }
    lines.push(format!("OPERATORS: {}", operators(select)));
    for source in &select.sources {
        for table in &source.tables {
            lines.push(String::new());
            match &table.reader {
                Reader::Tables(tables) => {
                    lines.push(format!("MEASUREMENT: {}", source.name));
                    describe_table(&**tables, &source.name, select, table, lines)?;
                }
                Reader::Subquery(inner) => {
                    lines.push(format!("SUBQUERY {}: {}", depth + 1, source.name));
                    describe_select(inner, depth + 1, lines)?;
                }
            }
        }
    }
    Ok(())
}

fn describe_table(tables: &dyn Tables, name: &str, select: &Select, table: &Table, lines: &mut Vec<String>) -> Result<(), Error> {
    let Touched { partitions, series, files, bytes, cached } = touched(tables, name, select, table)?;
    let tags: Vec<&str> = table.dimensions.iter().flatten().map(|place| &*table.schema.tags[*place]).collect();
    lines.push(format!("FIELDS: {}", table.fields.join(", ")));
    lines.push(format!("TAGS: {}", tags.join(", ")));
    lines.push(format!("NUMBER OF SHARDS: {partitions}"));
    lines.push(format!("NUMBER OF SERIES: {series}"));
    lines.push(format!("CACHED VALUES: {cached}"));
    lines.push(format!("NUMBER OF FILES: {files}"));
    lines.push(format!("SIZE OF FILES: {bytes}"));
    Ok(())
}

/// What a table's scan looks at.
struct Touched {
    partitions: usize,
    /// Those that the condition's tags don't rule out.
    series: usize,
    files: usize,
    bytes: u64,
    cached: usize,
}

fn touched(tables: &dyn Tables, name: &str, select: &Select, table: &Table) -> Result<Touched, Error> {
    let (lower, upper) = select.time;
    let mut partitions = tables.partitions(name);
    partitions.retain(|partition| partition.start <= upper && partition.end > lower);
    let fields = table.fields.len();
    let may_hold = |tags: &[Box<str>]| {
        let tag = |slot: usize| slot.checked_sub(fields).map(|place| Scalar::String((*tags[place]).into()));
        table.condition.as_ref().is_none_or(|condition| condition.bind(&tag).truth() != Some(false))
    };
    let series = if lower <= upper { tables.series(name, lower..=upper)? } else { Vec::new() };
    Ok(Touched {
        partitions: partitions.len(),
        series: series.iter().filter(|tags| may_hold(tags)).count(),
        files: partitions.iter().map(|partition| partition.files).sum(),
        bytes: partitions.iter().map(|partition| partition.bytes).sum(),
        cached: partitions.iter().map(|partition| partition.cached).sum(),
    })
}

/// What is done, in order.
fn operators(select: &Select) -> String {
    let mut steps = vec!["scan"];
    if select.sources.iter().flat_map(|source| &source.tables).any(|table| table.condition.is_some()) {
        steps.push("filter");
    }
    if select.calls.is_empty() {
        steps.push("merge series by time");
    } else {
        steps.push(if select.windows.is_some() { "fold windows" } else { "fold" });
        if select.windows.is_some() && select.fill != Fill::None {
            steps.push("fill");
        }
        if select.calls.len() > 1 {
            steps.push("join by time");
        }
    }
    if select.limits.limit.is_some() || select.limits.offset.is_some() {
        steps.push("limit");
    }
    steps.push("project");
    steps.join(" -> ")
}

fn fill(fill: &Fill) -> String {
    match fill {
        Fill::Null => "null".into(),
        Fill::None => "none".into(),
        Fill::Previous => "previous".into(),
        Fill::Linear => "linear".into(),
        Fill::Number(Scalar::Integer(number)) => number.to_string(),
        Fill::Number(Scalar::Float(number)) => number.to_string(),
        Fill::Number(_) => "number".into(),
    }
}

fn range((lower, upper): (i64, i64)) -> String {
    let text =
        |time: i64| Timestamp::from_nanosecond(i128::from(time)).map_or_else(|_| time.to_string(), |time| time.to_string());
    match (lower <= MIN_TIME, upper >= MAX_TIME) {
        (true, true) => "all".into(),
        (true, false) => format!("until {}", text(upper)),
        (false, true) => format!("from {}", text(lower)),
        (false, false) => format!("from {} until {}", text(lower), text(upper)),
    }
}

fn source_node(source: &Source) -> Result<Node, Error> {
    let mut node = Node::new("source", vec![labels(vec![format!("measurement: {}", source.name)])]);
    for table in &source.tables {
        match &table.reader {
            Reader::Tables(tables) => {
                let partitions = tables.partitions(&source.name);
                let mut children = vec![labels(vec![format!("fields: {}", table.fields.join(", "))])];
                children.push(leaf(format!("partitions: {}", partitions.len())));
                children.push(leaf(format!("files: {}", partitions.iter().map(|partition| partition.files).sum::<usize>())));
                children
                    .push(leaf(format!("cached_rows: {}", partitions.iter().map(|partition| partition.cached).sum::<usize>())));
                node.children.push(Node::new("scan", children));
            }
            Reader::Subquery(inner) => {
                let children = inner.sources.iter().map(source_node).collect::<Result<_, _>>()?;
                node.children.push(Node::new("subquery", children));
            }
        }
    }
    Ok(node)
}

fn go(duration: Duration) -> String {
    format_go_duration(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

/// A node of 1.x's tree.
struct Node {
    text: String,
    children: Vec<Self>,
}

fn leaf(text: String) -> Node {
    Node { text, children: Vec::new() }
}

fn labels(texts: Vec<String>) -> Node {
    Node::new("labels", texts.into_iter().map(leaf).collect())
}

impl Node {
    fn new(text: &str, children: Vec<Self>) -> Self {
        Self { text: text.into(), children }
    }

    fn draw(&self, prefix: &str, last: bool, lines: &mut Vec<String>) {
        let (branch, below) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
        lines.push(format!("{prefix}{branch}{}", self.text));
        let prefix = format!("{prefix}{below}");
        for (i, child) in self.children.iter().enumerate() {
            child.draw(&prefix, i + 1 == self.children.len(), lines);
        }
    }
}

/// Counts what is read of a bucket.
struct Counted {
    inner: Arc<dyn Tables>,
    read: Arc<Read>,
}

impl Tables for Counted {
    fn measurements(&self) -> Vec<Arc<str>> {
        self.inner.measurements()
    }

    fn schema(&self, measurement: &str) -> Option<Arc<embedded::Schema>> {
        self.inner.schema(measurement)
    }

    fn schema_within(&self, measurement: &str, time: RangeInclusive<i64>) -> Option<Arc<embedded::Schema>> {
        self.inner.schema_within(measurement, time)
    }

    fn scan(&self, scan: Scan) -> Result<Box<dyn Iterator<Item = Result<SeriesBatch, Error>> + Send>, Error> {
        let read = Arc::clone(&self.read);
        let mut batches = read.timed(|| self.inner.scan(scan))?;
        Ok(Box::new(std::iter::from_fn(move || {
            let batch = read.timed(|| batches.next())?;
            if let Ok(batch) = &batch {
                read.rows.fetch_add(batch.time.values().len() as u64, Ordering::Relaxed);
                read.batches.fetch_add(1, Ordering::Relaxed);
            }
            Some(batch)
        })))
    }

    fn series(&self, measurement: &str, time: RangeInclusive<i64>) -> Result<Vec<Arc<[Box<str>]>>, Error> {
        self.read.timed(|| self.inner.series(measurement, time))
    }

    fn partitions(&self, measurement: &str) -> Vec<Partition> {
        self.inner.partitions(measurement)
    }
}

impl Read {
    fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        *self.time.lock().unwrap_or_else(PoisonError::into_inner) += began.elapsed();
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_drawn_as_1_x_draws_it() {
        let tree = Node::new("select", vec![leaf("a: 1".into()), labels(vec!["b".into(), "c".into()])]);
        let mut lines = Vec::new();
        tree.draw("", true, &mut lines);
        assert_eq!(lines, ["└── select", "    ├── a: 1", "    └── labels", "        ├── b", "        └── c"]);
    }

    #[test]
    fn time_ranges() {
        assert_eq!(range((MIN_TIME, MAX_TIME)), "all");
        assert_eq!(range((0, 1_500_000_000)), "from 1970-01-01T00:00:00Z until 1970-01-01T00:00:01.5Z");
        assert_eq!(range((MIN_TIME, 0)), "until 1970-01-01T00:00:00Z");
    }
}
