//! `SHOW` statements that are about a database as a whole, whatever retention policy is asked for, over a service that knows single
//! buckets only: each bucket is asked, and what they say is put together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{plan::Ask, show, statement::mentions_time};
use crate::{
    error::{Error, Kind},
    influxql::{
        StatementKind,
        ast::{Limits4, Show, ShowKind},
    },
    respond::{Batch, Column, Event, Header, Value},
};

/// A statement that is asked of several buckets.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) asks: Vec<Ask>,
    /// For each measurement, where there are several; `SHOW MEASUREMENTS` and `SHOW SERIES` have one list.
    pub(super) limit: usize,
    pub(super) offset: usize,
    /// Only how many rows there are is wanted.
    pub(super) count: bool,
}

impl Whole {
    /// The statement for its own bucket, and for the others of the database.
    pub(super) fn new(ask: Ask, others: Vec<Box<str>>) -> Self {
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let mut statement = ask.statement;
        let (mut limits, mut count) = (Limits4::default(), false);
        if let StatementKind::Show(show) = &mut statement.kind {
            limits = std::mem::take(&mut show.limits);
            if let Some(listing) = estimated(show) {
                count = true;
                show.kind = listing;
            }
        }
        let of = |bucket| {
            let statement = statement.clone();
            Ask { bucket, database: ask.database.clone(), statement, siblings: BTreeMap::new() }
        };
        Self {
            asks: std::iter::once(ask.bucket).chain(others).map(of).collect(),
            count,
            limit: limits.limit.filter(|limit| *limit > 0).map_or(usize::MAX, size),
            offset: limits.offset.map_or(0, size),
        }
    }
}

/// Whether 1.x answers it from all retention policies.
pub(super) fn is_about_database(show: &Show) -> bool {
    match show.kind {
        ShowKind::Measurements | ShowKind::TagKeys | ShowKind::TagValues => true,
        ShowKind::Series => !show.condition.as_ref().is_some_and(mentions_time),
        _ => estimated(show).is_some(),
    }
}

/// What an estimated cardinality is the number of; nothing for other statements, cardinalities with further clauses among them, which are
/// exact and about one policy.
pub(super) fn estimated(show: &Show) -> Option<ShowKind> {
    let plain = show.from.is_empty() && show.condition.is_none() && show.group_by.is_empty();
    match show.kind {
        ShowKind::MeasurementCardinality { exact: false } if plain => Some(ShowKind::Measurements),
        ShowKind::SeriesCardinality { exact: false } if plain => Some(ShowKind::Series),
        _ => None,
    }
}

/// A text or, behind all texts, none: whether it is missing, and what it is.
type MaybeText = (bool, Box<str>);

/// What buckets said, by measurement, each row once.
pub(super) struct Union {
    columns: Vec<Box<str>>,
    rows: BTreeMap<Box<str>, BTreeSet<Vec<MaybeText>>>,
    /// Bytes that it may still take.
    room: usize,
}

impl Union {
    pub(super) const fn new(room: usize) -> Self {
        Self { columns: Vec::new(), rows: BTreeMap::new(), room }
    }

    /// Takes in a part of a reply.
    ///
    /// # Errors
    /// When it gets too large.
    pub(super) fn add(&mut self, event: Event) -> Result<(), Error> {
        let batch = match event {
            Event::Header(header) => {
                self.columns = header.columns;
                return Ok(());
            }
            Event::Rows(batch) => batch,
            _ => return Ok(()),
        };
        for row in 0..batch.len {
            let value = |column: &Column| (column.is_null(row), column.text(row).into());
            let values: Vec<MaybeText> = batch.columns.iter().map(value).collect();
            let bytes = values.iter().map(|(_, text)| text.len() + size_of::<MaybeText>()).sum::<usize>() + size_of_val(&values);
            self.room = self.room.checked_sub(bytes).ok_or_else(|| {
                Error::new(Kind::Unprocessable, "query needs more than its memory budget (limits.query_memory)")
            })?;
            let name = batch.name.as_ref().map_or("", |name| name.text(row));
            match self.rows.get_mut(name) {
                Some(rows) => {
                    rows.insert(values);
                }
                None => {
                    self.rows.insert(name.into(), BTreeSet::from([values]));
                }
            }
        }
        Ok(())
    }

    /// What the whole database says.
    pub(super) fn finish(self, whole: &Whole) -> VecDeque<Event> {
        if whole.count {
            return show::cardinality(self.rows.values().map(BTreeSet::len).sum());
        }
        let mut names = Vec::new();
        let mut columns: Vec<Vec<_>> = self.columns.iter().map(|_| Vec::new()).collect();
        for (name, rows) in &self.rows {
            for row in rows.iter().skip(whole.offset).take(whole.limit) {
                names.push(show::text(name));
                for (column, (missing, text)) in columns.iter_mut().zip(row) {
                    column.push(if *missing { Value::Null } else { show::text(text) });
                }
            }
        }
        if names.is_empty() {
            return VecDeque::new();
        }
        let header = Header { tags: Vec::new(), columns: self.columns };
        let len = names.len();
        let columns = columns.into_iter().map(Column::Values).collect();
        let batch = Batch { len, name: Some(Column::Values(names)), tags: Vec::new(), columns };
        [Event::Header(header), Event::Rows(batch)].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(rows: &[(&str, &str)]) -> Event {
        let column = |texts: Vec<&str>| Column::Values(texts.into_iter().map(show::text).collect());
        Event::Rows(Batch {
            len: rows.len(),
            name: Some(column(rows.iter().map(|row| row.0).collect())),
            tags: Vec::new(),
            columns: vec![column(rows.iter().map(|row| row.1).collect())],
        })
    }

    fn union() -> Union {
        let mut union = Union::new(1 << 10);
        union.add(Event::Header(Header { tags: Vec::new(), columns: vec!["tagKey".into()] })).unwrap();
        union.add(part(&[("cpu", "host"), ("cpu", "region")])).unwrap();
        union.add(part(&[("cpu", "az"), ("cpu", "host"), ("mem", "host")])).unwrap();
        union
    }

    fn rows(offset: usize, limit: usize) -> Vec<(String, String)> {
        let mut events = union().finish(&Whole { asks: Vec::new(), limit, offset, count: false });
        let Some(Event::Rows(batch)) = events.pop_back() else { return Vec::new() };
        let text = |column: &Column, row| column.text(row).to_owned();
        (0..batch.len).map(|row| (text(batch.name.as_ref().unwrap(), row), text(&batch.columns[0], row))).collect()
    }

    #[test]
    fn rows_of_all_buckets_once_and_sorted() {
        let row = |(name, key): (&str, &str)| (name.to_owned(), key.to_owned());
        assert_eq!(rows(0, usize::MAX), [("cpu", "az"), ("cpu", "host"), ("cpu", "region"), ("mem", "host")].map(row));
        assert_eq!(rows(1, 1), [("cpu", "host")].map(row));
        assert_eq!(rows(9, 1), []);
        let counted = union().finish(&Whole { asks: Vec::new(), limit: usize::MAX, offset: 0, count: true });
        assert_eq!(format!("{counted:?}"), format!("{:?}", show::cardinality(4)));
    }

    #[test]
    fn too_much_is_an_error() {
        let long = "x".repeat(1 << 10);
        let error = Union::new(1 << 10).add(part(&[("cpu", &long)])).unwrap_err();
        assert!(error.to_string().contains("limits.query_memory"), "{error}");
    }
}
