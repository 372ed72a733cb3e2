//! `SHOW SERIES` and the cardinalities, for a v3 server that knows neither: put together from what it does know.
//!
//! | statement | is made of |
//! |---|---|
//! | `SHOW SERIES`, its cardinality | `SELECT count(*) … GROUP BY *` of each measurement: a row a series |
//! | cardinality of measurements | `SHOW MEASUREMENTS`; with `FROM` or `WHERE`, of their series |
//! | of tag keys, tag values, field keys | the statement that lists them |
//!
//! Such a server is told by what it says (3 Core: `invalid SHOW statement, expected …`): another shim, say, knows more than 3 Core, and then
//! its own answer is the better one.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    plan::Ask,
    query::Running,
    show,
    statement::{mentions_time, without_look_back},
};
use crate::{
    error::{Error, Kind},
    influxql::{
        Limits, Params, Statement, StatementKind,
        ast::{Limits4, Show, ShowKind},
        parse,
    },
    native::Api,
    respond::{Batch, Column, Event, Header, Reply},
    service::NativeService,
    types::BoxError,
};

/// Whether the service below has turned out not to know these statements.
#[derive(Debug, Default)]
pub(super) struct Lacking(AtomicBool);

/// How a statement is answered without the service below knowing it.
#[derive(Debug)]
struct StandIn {
    asked: Asked,
    what: What,
    limit: usize,
    offset: usize,
}

/// What is asked instead.
#[derive(Debug)]
enum Asked {
    /// This.
    One(Box<Statement>),
    /// Points of each measurement: `SELECT count(*) FROM m{this} GROUP BY *`.
    Each(String),
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum What {
    /// The keys of series.
    Keys {
        /// Sorted as texts, not by their parts.
        by_text: bool,
    },
    /// How many there are of all, in a column of this name.
    Total(&'static str, Of),
    /// How many there are of each measurement.
    Count(Of),
    /// How many measurements have series.
    Measurements,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Of {
    Series,
    /// Values of this column, each once for a measurement.
    Column(usize),
}

/// 1.x's columns.
const ESTIMATION: &str = "cardinality estimation";
const COUNT: &str = "count";

impl StandIn {
    /// For a statement that 3 Core doesn't know and v1 does.
    fn new(show: &Show) -> Result<Option<Self>, Error> {
        let plain = show.from.is_empty() && show.condition.is_none();
        let listing = |kind| {
            let mut show = Show { kind, limits: Limits4::default(), group_by: Vec::new(), ..show.clone() };
            show.order_by = None;
            let mut kind = StatementKind::Show(Box::new(show));
            without_look_back(&mut kind);
            Asked::One(Box::new(Statement { kind, span: crate::influxql::Span::default() }))
        };
        let points = || points(show);
        let timeless = |name: &str| match &show.condition {
            Some(condition) if mentions_time(condition) => {
                Err(Error::invalid(format!("{name} doesn't support time in WHERE clause")))
            }
            _ => Ok(()),
        };
        let (asked, what) = match show.kind {
            ShowKind::Series => {
                let by_text = show.condition.as_ref().is_some_and(mentions_time);
                (points()?, What::Keys { by_text })
            }
            ShowKind::SeriesCardinality { exact: false } if plain && show.group_by.is_empty() => {
                (points()?, What::Total(ESTIMATION, Of::Series))
            }
            ShowKind::SeriesCardinality { .. } => {
                timeless("SHOW SERIES EXACT CARDINALITY")?;
                (points()?, What::Count(Of::Series))
            }
            ShowKind::MeasurementCardinality { exact: false } if plain && show.group_by.is_empty() => {
                (listing(ShowKind::Measurements), What::Total(ESTIMATION, Of::Column(0)))
            }
            ShowKind::MeasurementCardinality { .. } if plain => {
                (listing(ShowKind::Measurements), What::Total(COUNT, Of::Column(0)))
            }
            ShowKind::MeasurementCardinality { .. } => {
                timeless("SHOW MEASUREMENT EXACT CARDINALITY")?;
                (points()?, What::Measurements)
            }
            ShowKind::TagKeyCardinality { .. } => {
                timeless("SHOW TAG KEY EXACT CARDINALITY")?;
                (listing(ShowKind::TagKeys), What::Count(Of::Column(0)))
            }
            ShowKind::TagValuesCardinality { .. } => (listing(ShowKind::TagValues), What::Count(Of::Column(1))),
            ShowKind::FieldKeyCardinality { .. } => {
                timeless("SHOW FIELD KEY CARDINALITY")?;
                if show.condition.is_some() {
                    return Err(lacks("WHERE"));
                }
                (listing(ShowKind::FieldKeys), What::Count(Of::Column(0)))
            }
            _ => return Ok(None),
        };
        if !show.group_by.is_empty() {
            return Err(lacks("GROUP BY"));
        }
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Ok(Some(Self {
            asked,
            what,
            limit: show.limits.limit.filter(|limit| *limit > 0).map_or(usize::MAX, size),
            offset: show.limits.offset.map_or(0, size),
        }))
    }
}

fn lacks(clause: &str) -> Error {
    Error::new(Kind::NotImplemented, format!("not implemented: {clause} in this statement, before a server that doesn't know it"))
}

/// The points of series, at all times.
fn points(show: &Show) -> Result<Asked, Error> {
    let mut text = String::new();
    if let Some(condition) = &show.condition {
        // Writing to a string doesn't fail.
        _ = write!(text, " WHERE {condition}");
    }
    if show.from.is_empty() {
        return Ok(Asked::Each(text));
    }
    let from: Vec<String> = show.from.iter().map(ToString::to_string).collect();
    Ok(Asked::One(Box::new(series(&from.join(", "), &text)?)))
}

/// A row for each series of measurements, as text of a `FROM`.
fn series(from: &str, condition: &str) -> Result<Statement, Error> {
    let text = format!("SELECT count(*) FROM {from}{condition} GROUP BY *");
    // It is made of what has been parsed.
    let statements = parse(&text, &Params::default(), Limits::default()).map_err(|error| Error::internal(error.to_string()))?;
    statements.into_iter().next().ok_or_else(|| Error::internal("no statement in its own text"))
}

/// Keys and values of tags.
type Pairs = Vec<(Box<str>, Box<str>)>;

/// What has been told: by measurement, the sorted pairs of each series, or a value.
#[derive(Debug)]
struct Told {
    tags: Vec<Box<str>>,
    measurements: BTreeMap<Box<str>, BTreeSet<Pairs>>,
    room: usize,
}

impl Told {
    fn add(&mut self, event: Event, what: What) -> Result<(), Error> {
        let batch = match event {
            Event::Header(header) => {
                self.tags = header.tags;
                return Ok(());
            }
            Event::Rows(batch) => batch,
            Event::EmptySeries(_) => return Ok(()),
        };
        for row in 0..batch.len {
            let name = batch.name.as_ref().map_or("", |name| name.text(row));
            let item = match what {
                What::Count(Of::Column(column)) | What::Total(_, Of::Column(column)) => {
                    let value = batch.columns.get(column).map_or("", |column| column.text(row));
                    vec![(Box::default(), Box::from(value))]
                }
                _ => pairs(&self.tags, &batch, row),
            };
            let bytes = 64 + item.iter().map(|(key, value)| key.len() + value.len() + 32).sum::<usize>();
            self.room = self.room.checked_sub(bytes).ok_or_else(|| {
                Error::new(Kind::Unprocessable, "query needs more than its memory budget (limits.query_memory)")
            })?;
            match self.measurements.get_mut(name) {
                Some(items) => {
                    items.insert(item);
                }
                None => {
                    self.measurements.insert(name.into(), BTreeSet::from([item]));
                }
            }
        }
        Ok(())
    }

    fn finish(self, plan: &StandIn) -> VecDeque<Event> {
        let all = || self.measurements.values().map(BTreeSet::len).sum::<usize>();
        match plan.what {
            What::Keys { by_text } => {
                let series = self.measurements.iter().flat_map(|(name, all)| all.iter().map(move |pairs| key(name, pairs)));
                let mut keys: Vec<String> = series.collect();
                if by_text {
                    keys.sort_unstable();
                }
                let rows: Vec<_> = keys.iter().skip(plan.offset).take(plan.limit).map(|key| vec![show::text(key)]).collect();
                if rows.is_empty() { VecDeque::new() } else { show::table("", &["key"], rows) }
            }
            What::Total(ESTIMATION, _) => show::cardinality(all()),
            // One row a series: an offset leaves none.
            _ if plan.offset > 0 => VecDeque::new(),
            What::Total(..) => counts(&[("", all())]),
            What::Measurements => counts(&[("", self.measurements.len())]),
            What::Count(_) => counts(&self.measurements.iter().map(|(name, items)| (&**name, items.len())).collect::<Vec<_>>()),
        }
    }
}

/// The tags of a series that it has, sorted by their keys.
fn pairs(tags: &[Box<str>], batch: &Batch, row: usize) -> Pairs {
    let values = tags.iter().zip(&batch.tags).map(|(key, column)| (key, column.text(row)));
    values.filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key.clone(), value.into())).collect()
}

/// A series' key as line protocol writes it.
fn key(name: &str, pairs: &[(Box<str>, Box<str>)]) -> String {
    let mut key = String::new();
    let mut escape = |text: &str, special: &[char]| {
        for c in text.chars() {
            if special.contains(&c) {
                key.push('\\');
            }
            key.push(c);
        }
    };
    escape(name, &[',', ' ']);
    for (tag, value) in pairs {
        // Neither is special here.
        escape(",", &[]);
        escape(tag, &[',', '=', ' ']);
        escape("=", &[]);
        escape(value, &[',', '=', ' ']);
    }
    key
}

/// A series with one number for each measurement.
fn counts(counts: &[(&str, usize)]) -> VecDeque<Event> {
    let counts: Vec<_> = counts.iter().filter(|(_, count)| *count > 0).collect();
    if counts.is_empty() {
        return VecDeque::new();
    }
    let number = |count: usize| crate::respond::Value::Integer(i64::try_from(count).unwrap_or(i64::MAX));
    let batch = Batch {
        len: counts.len(),
        name: Some(Column::Values(counts.iter().map(|(name, _)| show::text(name)).collect())),
        tags: Vec::new(),
        columns: vec![Column::Values(counts.iter().map(|(_, count)| number(*count)).collect())],
    };
    [Event::Header(Header { tags: Vec::new(), columns: vec![COUNT.into()] }), Event::Rows(batch)].into()
}

/// Whether it is 3 Core's word for a statement that it has never heard of.
fn is_unheard_of(error: &BoxError) -> bool {
    error.downcast_ref::<Error>().is_some_and(|error| error.kind() == Kind::Invalid && error.message().contains("invalid SHOW"))
}

impl<S> Running<S>
where
    S: NativeService,
{
    /// Asks the service below, or does what it can't.
    pub(super) async fn ask(&mut self, ask: &Ask) -> Result<Reply, BoxError> {
        let target = self.shared.target;
        let StatementKind::Show(show) = &ask.statement.kind else { return self.ask_below(ask).await };
        if target.api != Api::V3 || target.full_influxql {
            return self.ask_below(ask).await;
        }
        if !self.shared.lacking.0.load(Ordering::Relaxed) {
            match self.ask_below(ask).await {
                Err(error) if is_unheard_of(&error) => {}
                answer => return answer,
            }
        }
        match StandIn::new(show)? {
            None => self.ask_below(ask).await,
            Some(plan) => {
                let events = self.stand_in(ask, &plan).await?;
                self.shared.lacking.0.store(true, Ordering::Relaxed);
                Ok(Reply::Local(events))
            }
        }
    }

    async fn stand_in(&mut self, ask: &Ask, plan: &StandIn) -> Result<VecDeque<Event>, BoxError> {
        let mut told = Told { tags: Vec::new(), measurements: BTreeMap::new(), room: self.config.limits.query_memory };
        let instead =
            |statement| Ask { bucket: ask.bucket.clone(), database: ask.database.clone(), statement, siblings: BTreeMap::new() };
        match &plan.asked {
            Asked::One(statement) => self.tell(&instead(Statement::clone(statement)), plan.what, &mut told).await?,
            Asked::Each(condition) => {
                let list = parse("SHOW MEASUREMENTS", &Params::default(), Limits::default());
                let list = list.ok().and_then(|list| list.into_iter().next()).ok_or_else(|| Error::internal("no list"))?;
                let mut names = BTreeSet::new();
                let mut reply = self.ask_below(&instead(list)).await?;
                while let Some(event) = reply.next().await? {
                    let Event::Rows(batch) = event else { continue };
                    names.extend((0..batch.len).filter_map(|row| Some(Box::<str>::from(batch.columns.first()?.text(row)))));
                }
                for name in names {
                    let from = crate::influxql::ast::Ident { name, span: crate::influxql::Span::default() }.to_string();
                    self.tell(&instead(series(&from, condition)?), plan.what, &mut told).await?;
                }
            }
        }
        Ok(told.finish(plan))
    }

    async fn tell(&mut self, ask: &Ask, what: What, told: &mut Told) -> Result<(), BoxError> {
        let mut reply = self.ask_below(ask).await?;
        while let Some(event) = reply.next().await? {
            told.add(event, what)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<String, String> {
        let statement = parse(text, &Params::default(), Limits::default()).unwrap().remove(0);
        let StatementKind::Show(show) = &statement.kind else { panic!("{text}") };
        let plan = StandIn::new(show).map_err(|error| error.to_string())?;
        let Some(plan) = plan else { return Ok("nothing".into()) };
        let asked = match plan.asked {
            Asked::One(statement) => statement.to_string(),
            Asked::Each(condition) => format!("each{condition}"),
        };
        Ok(format!("{:?}: {asked}", plan.what))
    }

    #[test]
    fn what_is_asked_instead() {
        for (text, want) in [
            ("SHOW SERIES", "Keys { by_text: false }: each"),
            ("SHOW SERIES WHERE a = 'b'", "Keys { by_text: false }: each WHERE a = 'b'"),
            (
                "SHOW SERIES FROM \"a b\", /c/ WHERE time > 0",
                "Keys { by_text: true }: SELECT count(*) FROM \"a b\", /c/ WHERE time > 0 GROUP BY *",
            ),
            ("SHOW SERIES CARDINALITY", "Total(\"cardinality estimation\", Series): each"),
            ("SHOW SERIES EXACT CARDINALITY FROM m", "Count(Series): SELECT count(*) FROM m GROUP BY *"),
            ("SHOW MEASUREMENT CARDINALITY", "Total(\"cardinality estimation\", Column(0)): SHOW MEASUREMENTS"),
            ("SHOW MEASUREMENT EXACT CARDINALITY", "Total(\"count\", Column(0)): SHOW MEASUREMENTS"),
            ("SHOW MEASUREMENT CARDINALITY FROM /m/", "Measurements: SELECT count(*) FROM /m/ GROUP BY *"),
            ("SHOW TAG KEY CARDINALITY FROM m LIMIT 2", "Count(Column(0)): SHOW TAG KEYS FROM m"),
            (
                "SHOW TAG VALUES EXACT CARDINALITY FROM m WITH KEY IN (a, b)",
                "Count(Column(1)): SHOW TAG VALUES FROM m WITH KEY IN (a, b) WHERE time > 0",
            ),
            ("SHOW FIELD KEY CARDINALITY", "Count(Column(0)): SHOW FIELD KEYS"),
            ("SHOW TAG KEYS", "nothing"),
        ] {
            assert_eq!(plan(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_can_not_be_asked() {
        for (text, want) in [
            (
                "SHOW SERIES EXACT CARDINALITY WHERE time > 0",
                "SHOW SERIES EXACT CARDINALITY doesn't support time in WHERE clause",
            ),
            (
                "SHOW FIELD KEY CARDINALITY WHERE a = 'b'",
                "not implemented: WHERE in this statement, before a server that doesn't know it",
            ),
            (
                "SHOW SERIES EXACT CARDINALITY GROUP BY host",
                "not implemented: GROUP BY in this statement, before a server that doesn't know it",
            ),
        ] {
            assert_eq!(plan(text).unwrap_err(), want);
        }
    }

    #[test]
    fn keys_are_written_as_in_line_protocol() {
        let pairs = [("a b".into(), "c=d".into()), ("e".into(), "f,g".into())];
        assert_eq!(key("m, n=o", &pairs), "m\\,\\ n=o,a\\ b=c\\=d,e=f\\,g");
        assert_eq!(key("m", &[]), "m");
    }
}
