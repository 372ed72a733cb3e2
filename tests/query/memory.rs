//! Points in memory, in partitions of a week as 1.x's default shard groups.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array};
use v1shim::{
    Error,
    embedded::{Partition, Scan, Schema, SeriesBatch, Tables},
    lineprotocol::FieldType,
};

#[derive(Clone, Debug)]
enum Field {
    Float(f64),
    Integer(i64),
    Unsigned(u64),
    String(String),
    Boolean(bool),
}

type Fields = BTreeMap<String, Field>;
/// By tags, then by time.
type Week = BTreeMap<Vec<(String, String)>, BTreeMap<i64, Fields>>;

/// Measurements by name, each with its partitions by number.
#[derive(Default)]
pub(super) struct Memory(BTreeMap<String, BTreeMap<i64, Week>>);

impl Memory {
    /// From line protocol; lines that start with `#` are passed over.
    pub(super) fn parse(text: &str) -> Self {
        let mut memory = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            memory.line(line);
        }
        memory
    }

    fn line(&mut self, line: &str) {
        let (key, rest) = cut(line, ' ');
        let (fields, time) = cut(rest, ' ');
        let time: i64 = time.parse().unwrap_or_else(|_| panic!("time of {line}"));
        let mut parts = split(key, ',').into_iter();
        let name = unescape(parts.next().unwrap());
        let mut tags: Vec<_> = parts
            .map(|part| {
                let (key, value) = cut(part, '=');
                (unescape(key), unescape(value))
            })
            .collect();
        tags.sort();
        let row =
            self.0.entry(name).or_default().entry(number(time)).or_default().entry(tags).or_default().entry(time).or_default();
        for field in split(fields, ',') {
            let (key, value) = cut(field, '=');
            let value = match value {
                "t" | "true" => Field::Boolean(true),
                "f" | "false" => Field::Boolean(false),
                text if text.starts_with('"') => Field::String(text[1..text.len() - 1].replace("\\\"", "\"")),
                number => match (number.strip_suffix('i'), number.strip_suffix('u')) {
                    (Some(number), _) => Field::Integer(number.parse().unwrap()),
                    (_, Some(number)) => Field::Unsigned(number.parse().unwrap()),
                    _ => Field::Float(number.parse().unwrap()),
                },
            };
            row.insert(unescape(key), value);
        }
    }

    fn tags_of(&self, measurement: &str) -> Vec<Box<str>> {
        let series = self.0[measurement].values().flat_map(|partition| partition.keys());
        let keys: BTreeSet<&String> = series.flatten().map(|tag| &tag.0).collect();
        keys.into_iter().map(|key| key.as_str().into()).collect()
    }
}

fn tag_values(keys: &[Box<str>], tags: &[(String, String)]) -> Arc<[Box<str>]> {
    let value = |key: &str| tags.iter().find(|tag| tag.0 == key).map_or_else(Box::default, |tag| tag.1.as_str().into());
    keys.iter().map(|key| value(key)).collect()
}

impl Tables for Memory {
    fn measurements(&self) -> Vec<Arc<str>> {
        self.0.keys().map(|name| name.as_str().into()).collect()
    }

    fn schema(&self, measurement: &str) -> Option<Arc<Schema>> {
        self.schema_within(measurement, i64::MIN..=i64::MAX)
    }

    fn schema_within(&self, measurement: &str, time: RangeInclusive<i64>) -> Option<Arc<Schema>> {
        let partitions = self.0.get(measurement)?.range(number(*time.start())..=number(*time.end())).map(|partition| partition.1);
        let rows = partitions.flat_map(|partition| partition.values()).flat_map(|series| series.values());
        let mut fields: BTreeMap<&str, BTreeSet<FieldType>> = BTreeMap::new();
        for (name, value) in rows.flatten() {
            fields.entry(name).or_default().insert(match value {
                Field::Float(_) => FieldType::Float,
                Field::Integer(_) => FieldType::Integer,
                Field::Unsigned(_) => FieldType::Unsigned,
                Field::String(_) => FieldType::String,
                Field::Boolean(_) => FieldType::Boolean,
            });
        }
        let fields = fields.into_iter().map(|(name, types)| (name.into(), types.into_iter().collect())).collect();
        Some(Arc::new(Schema { tags: self.tags_of(measurement), fields }))
    }

    fn scan(&self, scan: Scan) -> Result<Box<dyn Iterator<Item = Result<SeriesBatch, Error>> + Send>, Error> {
        let keys = self.tags_of(&scan.measurement);
        let mut batches = Vec::new();
        let mut partitions: Vec<_> = self.0[&*scan.measurement].values().collect();
        if scan.descending {
            partitions.reverse();
        }
        for partition in partitions {
            let mut series: Vec<_> = partition.iter().map(|(tags, rows)| (tag_values(&keys, tags), rows)).collect();
            series.sort_by(|a, b| a.0.cmp(&b.0));
            for (tags, rows) in series {
                if scan.series.as_ref().is_some_and(|wanted| !wanted(&tags)) {
                    continue;
                }
                let rows: Vec<_> = rows
                    .range(scan.time.clone())
                    .filter(|(_, fields)| scan.fields.iter().any(|field| fields.contains_key(&**field)))
                    .collect();
                // Two batches a series, so that none is taken for a whole one.
                for rows in rows.chunks(rows.len().div_ceil(2).max(1)) {
                    let time = Int64Array::from_iter_values(rows.iter().map(|row| *row.0));
                    let columns =
                        scan.fields.iter().map(|field| column(&rows.iter().map(|row| row.1.get(&**field)).collect::<Vec<_>>()));
                    batches.push(Ok(SeriesBatch { tags: Arc::clone(&tags), time, fields: columns.collect() }));
                }
            }
        }
        Ok(Box::new(batches.into_iter()))
    }

    fn series(&self, measurement: &str, time: RangeInclusive<i64>) -> Result<Vec<Arc<[Box<str>]>>, Error> {
        let Some(partitions) = self.0.get(measurement) else { return Ok(Vec::new()) };
        let keys = self.tags_of(measurement);
        let partitions = partitions.range(number(*time.start())..=number(*time.end()));
        let series: BTreeSet<_> =
            partitions.flat_map(|(_, partition)| partition.keys()).map(|tags| tag_values(&keys, tags)).collect();
        Ok(series.into_iter().collect())
    }

    fn partitions(&self, measurement: &str) -> Vec<Partition> {
        const WEEK: i128 = 7 * 86_400_000_000_000;
        let start = |number: i64| (i128::from(number) * WEEK - 62_135_596_800_000_000_000) as i64;
        let fields = |partition: &Week| {
            let names: BTreeSet<&String> = partition.values().flat_map(|rows| rows.values()).flat_map(|row| row.keys()).collect();
            names.into_iter().map(|name| name.as_str().into()).collect()
        };
        let partitions = self.0.get(measurement).into_iter().flatten();
        partitions
            .map(|(number, partition)| Partition {
                start: start(*number),
                end: start(number + 1),
                fields: fields(partition),
                ..Partition::default()
            })
            .collect()
    }
}

/// The partition of a time.
fn number(time: i64) -> i64 {
    const WEEK: i128 = 7 * 86_400_000_000_000;
    (i128::from(time) + 62_135_596_800_000_000_000).div_euclid(WEEK) as i64
}

fn column(values: &[Option<&Field>]) -> Option<ArrayRef> {
    macro_rules! build {
        ($array:ty, $kind:ident) => {
            Arc::new(<$array>::from_iter(values.iter().map(|value| match value {
                Some(Field::$kind(value)) => Some(value.clone()),
                _ => None,
            })))
        };
    }
    Some(match values.iter().flatten().next()? {
        Field::Float(_) => build!(Float64Array, Float),
        Field::Integer(_) => build!(Int64Array, Integer),
        Field::Unsigned(_) => build!(UInt64Array, Unsigned),
        Field::String(_) => build!(StringArray, String),
        Field::Boolean(_) => build!(BooleanArray, Boolean),
    })
}

/// Cuts at the first `at` that is neither escaped nor quoted.
fn cut(text: &str, at: char) -> (&str, &str) {
    let (mut escaped, mut quoted) = (false, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            c if c == at && !quoted => return (&text[..i], &text[i + c.len_utf8()..]),
            _ => {}
        }
    }
    (text, "")
}

fn split(mut text: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let (part, rest) = cut(text, at);
        parts.push(part);
        text = rest;
    }
    parts
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' && matches!(chars.peek(), Some(',' | '=' | ' ')) {
            continue;
        }
        out.push(c);
    }
    out
}
