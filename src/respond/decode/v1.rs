//! v1's own JSON, as v2 answers: a document a line, each with some series. Asked for in chunks, so that documents stay small.

use std::{borrow::Cow, collections::VecDeque};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Frames, jsonl::value, lines::Lines, nonsense};
use crate::{
    error::Error,
    respond::{
        table::{Batch, Column, Event, Header, Value},
        time,
    },
};

pub(crate) struct V1Json {
    lines: Lines,
    /// The first column is a time.
    has_time: bool,
    events: VecDeque<Event>,
    failure: Option<Error>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    results: Vec<Answer<'a>>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    series: Vec<Series<'a>>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Series<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(default)]
    tags: std::collections::BTreeMap<Box<str>, Box<str>>,
    columns: Vec<Box<str>>,
    #[serde(borrow, default)]
    values: Vec<Vec<&'a RawValue>>,
}

impl V1Json {
    pub(super) fn new(frames: Frames, has_time: bool) -> Self {
        Self { lines: Lines::new(frames), has_time, events: VecDeque::new(), failure: None }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            let Some(line) = self.lines.next().await? else { return Ok(None) };
            let document: Document<'_> = serde_json::from_slice(&line).map_err(nonsense)?;
            self.failure = document.error.map(|error| Error::invalid(error.into_owned()));
            for answer in document.results {
                for series in answer.series {
                    self.series(series)?;
                }
                if let Some(error) = answer.error {
                    self.failure = Some(Error::invalid(error.into_owned()));
                }
            }
        }
    }

    fn series(&mut self, series: Series<'_>) -> Result<(), Error> {
        let len = series.values.len();
        let (tags, tag_values): (Vec<_>, Vec<_>) = series.tags.into_iter().unzip();
        let mut columns: Vec<Vec<Value>> = series.columns.iter().map(|_| Vec::with_capacity(len)).collect();
        for row in series.values {
            if row.len() != columns.len() {
                return Err(nonsense("a row has not as many values as there are columns"));
            }
            for (index, (column, raw)) in columns.iter_mut().zip(row).enumerate() {
                let value = value(raw).map_err(nonsense)?;
                column.push(if index == 0 && self.has_time { as_time(value)? } else { value });
            }
        }
        self.events.push_back(Event::Header(Header { tags, columns: series.columns }));
        if len == 0 {
            self.events.push_back(Event::EmptySeries(series.name.into()));
            return Ok(());
        }
        self.events.push_back(Event::Rows(Batch {
            len,
            name: Some(Column::Constant(Value::Text(series.name.into()))),
            tags: tag_values.into_iter().map(|value| Column::Constant(Value::Text(value))).collect(),
            columns: columns.into_iter().map(Column::Values).collect(),
        }));
        Ok(())
    }
}

/// Nanoseconds, since that is what we ask for.
fn as_time(value: Value) -> Result<Value, Error> {
    match value {
        Value::Integer(nanos) => Ok(Value::Time(nanos)),
        Value::Text(text) => time::parse(&text).map(Value::Time).ok_or_else(|| nonsense(format!("{text:?} is not a timestamp"))),
        other => Ok(other),
    }
}
