//! `SHOW DATABASES` and `SHOW RETENTION POLICIES`, answered from the mapping: buckets have neither.

use std::collections::VecDeque;

use crate::{
    dbrp::Mapping,
    respond::{Batch, Column, Event, Header, Value},
};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// The databases among these mappings, which are sorted.
pub(super) fn databases(mappings: &[Mapping]) -> VecDeque<Event> {
    let mut names: Vec<&str> = mappings.iter().map(|mapping| &*mapping.database).collect();
    names.dedup();
    let rows = names.into_iter().map(|name| vec![text(name)]).collect();
    table("databases", &["name"], rows)
}

/// The retention policies of a database; none when there is no such database.
pub(super) fn retention_policies(mappings: &[Mapping], database: &str) -> Option<VecDeque<Event>> {
    let rows: Vec<Vec<Value>> = mappings.iter().filter(|mapping| &*mapping.database == database).map(policy).collect();
    (!rows.is_empty()).then(|| policies(rows))
}

/// What a database has where nobody can be asked: 1.x's `autogen`.
pub(super) fn autogen() -> VecDeque<Event> {
    policies(vec![policy(&Mapping { retention_policy: "autogen".into(), default: true, ..Mapping::default() })])
}

/// A series for each database, as 1.x has it even where there are no continuous queries: here there never are.
pub(super) fn continuous_queries(mappings: &[Mapping]) -> VecDeque<Event> {
    let mut names: Vec<&str> = mappings.iter().map(|mapping| &*mapping.database).collect();
    names.dedup();
    let header = Event::Header(Header { tags: Vec::new(), columns: ["name", "query"].map(Into::into).into() });
    let series = names.into_iter().map(|name| Event::EmptySeries(name.into()));
    std::iter::once(header).chain(series).collect()
}

/// How many measurements or series a database has.
pub(super) fn cardinality(count: usize) -> VecDeque<Event> {
    table("", &["cardinality estimation"], vec![vec![Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))]])
}

fn policies(rows: Vec<Vec<Value>>) -> VecDeque<Event> {
    table("", &["name", "duration", "shardGroupDuration", "replicaN", "default"], rows)
}

fn policy(mapping: &Mapping) -> Vec<Value> {
    let seconds = mapping.retention.map_or(0, |retention| retention.as_secs());
    let shard = mapping.shard.map_or_else(|| shard_group(seconds), |shard| shard.as_secs());
    let replicas = mapping.replicas.map_or(1, |replicas| i64::try_from(replicas).unwrap_or(i64::MAX));
    let name = text(&mapping.retention_policy);
    vec![name, text(&duration(seconds)), text(&duration(shard)), Value::Integer(replicas), Value::Boolean(mapping.default)]
}

/// 1.x's shard group duration of a retention policy that doesn't say it.
const fn shard_group(retention: u64) -> u64 {
    match retention {
        0 => 7 * DAY,
        seconds if seconds < 2 * DAY => HOUR,
        seconds if seconds < 180 * DAY => DAY,
        _ => 7 * DAY,
    }
}

/// Seconds as Go prints a duration: `168h0m0s`.
fn duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / HOUR, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.into())
}

pub(super) fn table(name: &str, columns: &[&str], rows: Vec<Vec<Value>>) -> VecDeque<Event> {
    let header = Header { tags: Vec::new(), columns: columns.iter().map(|&column| column.into()).collect() };
    let len = rows.len();
    if len == 0 {
        return [Event::Header(header), Event::EmptySeries(name.into())].into();
    }
    let mut values: Vec<Vec<Value>> = columns.iter().map(|_| Vec::with_capacity(len)).collect();
    for row in rows {
        for (column, value) in values.iter_mut().zip(row) {
            column.push(value);
        }
    }
    let batch = Batch {
        len,
        name: Some(Column::Constant(text(name))),
        tags: Vec::new(),
        columns: values.into_iter().map(Column::Values).collect(),
    };
    [Event::Header(header), Event::Rows(batch)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_prints_them() {
        for (seconds, want) in
            [(0, "0s"), (36 * HOUR, "36h0m0s"), (7 * DAY, "168h0m0s"), (61, "1m1s"), (59, "59s"), (3661, "1h1m1s")]
        {
            assert_eq!(duration(seconds), want);
        }
        assert_eq!(shard_group(36 * HOUR), HOUR);
        assert_eq!(shard_group(2 * DAY), DAY);
        assert_eq!((shard_group(179 * DAY), shard_group(180 * DAY)), (DAY, 7 * DAY));
    }

    #[test]
    fn databases_are_named_once() {
        let mapping = |database: &str, rp: &str| Mapping {
            database: database.into(),
            retention_policy: rp.into(),
            bucket: format!("{database}/{rp}").into(),
            default: rp == "autogen",
            ..Mapping::default()
        };
        let mappings = [mapping("a", "autogen"), mapping("a", "r"), mapping("b", "autogen")];
        let Some(Event::Rows(batch)) = databases(&mappings).pop_back() else { panic!() };
        assert_eq!((batch.len, batch.columns[0].text(0), batch.columns[0].text(1)), (2, "a", "b"));
        let Some(Event::Rows(batch)) = retention_policies(&mappings, "a").unwrap().pop_back() else { panic!() };
        assert_eq!((batch.len, batch.columns[2].text(0)), (2, "168h0m0s"));
        assert!(retention_policies(&mappings, "c").is_none());
        assert_eq!(databases(&[]).len(), 2);
    }
}
