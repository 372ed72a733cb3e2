//! The store against a map: whatever is written, moved to files and read again, both have the same points.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, prelude::*, test_runner::Config};
use v1shim::embedded::{Engine, Outcome, Scan, SeriesFilter};

use super::{ask, fields, open, rows, write};

#[derive(Clone, Debug)]
enum Step {
    /// Points: series, time, field, value.
    Write(Vec<(u8, i64, u8, i64)>),
    Flush,
    Restart,
    /// Deletes a range, of one series or of all.
    Delete(i64, i64, u8),
    /// Drops the series.
    DropSeries(u8),
    DropMeasurement,
    /// Reads a range: from, to, the series, backwards.
    Read(i64, i64, u8, bool),
}

const WEEK: i64 = 7 * 86_400 * 1_000_000_000;

fn time() -> impl Strategy<Value = i64> {
    // Few different ones, so that many are written again; three partitions.
    (-1..2_i64, 0..6_i64).prop_map(|(week, nanos)| week * WEEK + nanos)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => vec((0..5_u8, time(), 0..3_u8, any::<i64>()), 1..20).prop_map(Step::Write),
        2 => Just(Step::Flush),
        1 => Just(Step::Restart),
        2 => (time(), time(), 0..6_u8).prop_map(|(from, to, series)| Step::Delete(from, to, series)),
        1 => (0..5_u8).prop_map(Step::DropSeries),
        1 => Just(Step::DropMeasurement),
        3 => (time(), time(), 0..6_u8, any::<bool>()).prop_map(|(from, to, series, back)| Step::Read(from, to, series, back)),
    ]
}

/// Tags of a series: some have keys that others don't.
fn tags(series: u8) -> [(&'static str, &'static str); 2] {
    [("a", ["", "x", "x", "y", ""][usize::from(series)]), ("b", ["", "", "1", "1", "2"][usize::from(series)])]
}

/// Time, then tags as they are compared, then fields: the order of a scan within a partition is by tags first.
type Model = BTreeMap<(i64, [&'static str; 2], i64), BTreeMap<u8, i64>>;

fn key(series: u8, time: i64) -> (i64, [&'static str; 2], i64) {
    // 1.x's weeks begin on Mondays: with these times each is a partition of its own.
    let week = (time + 3 * 86_400 * 1_000_000_000).div_euclid(WEEK);
    (week, tags(series).map(|(_, value)| value), time)
}

fn line(series: u8, time: i64, field: u8, value: i64) -> String {
    let mut line = "m".to_owned();
    for (key, value) in tags(series).into_iter().filter(|(_, value)| !value.is_empty()) {
        line.push_str(&format!(",{key}={value}"));
    }
    format!("{line} f{field}={value}i {time}\n")
}

/// What a scan should give. Keys that nobody has written yet aren't in the schema.
fn expected(model: &Model, from: i64, to: i64, only: Option<u8>, descending: bool) -> Vec<String> {
    let wanted = only.map(|series| tags(series).map(|(_, value)| value));
    let mut weeks: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for ((week, set, time), fields) in model {
        if !(from..=to).contains(time) || wanted.is_some_and(|wanted| wanted != *set) {
            continue;
        }
        let mut line = String::new();
        for (key, value) in ["a", "b"].iter().zip(set).filter(|(_, value)| !value.is_empty()) {
            line.push_str(&format!("{key}={value} "));
        }
        line.push_str(&time.to_string());
        for (field, value) in fields {
            line.push_str(&format!(" f{field}={value}i"));
        }
        weeks.entry(*week).or_default().push(line);
    }
    let weeks: Vec<Vec<String>> = weeks.into_values().collect();
    if descending { weeks.into_iter().rev().flatten().collect() } else { weeks.concat() }
}

async fn read(engine: &Engine, from: i64, to: i64, only: Option<u8>, descending: bool) -> Vec<String> {
    let engine = engine.clone();
    let read = tokio::task::spawn_blocking(move || {
        let tables = engine.snapshot("b/autogen").unwrap();
        let keys = tables.schema("m").map(|schema| schema.tags.clone()).unwrap_or_default();
        let series = only.map(|series| -> SeriesFilter {
            let set: Vec<Box<str>> =
                tags(series).iter().filter(|(key, _)| keys.iter().any(|k| &**k == *key)).map(|(_, v)| (*v).into()).collect();
            let possible = tags(series).iter().all(|(key, value)| value.is_empty() || keys.iter().any(|k| &**k == *key));
            Arc::new(move |tags: &[Box<str>]| possible && *tags == *set)
        });
        let scan =
            Scan { measurement: "m".into(), time: from..=to, fields: fields(&*tables, "m"), series, descending, most: None };
        rows(&*tables, &scan)
    });
    read.await.unwrap()
}

/// A condition that holds for this series alone.
fn condition(series: u8) -> String {
    tags(series).map(|(key, value)| format!("{key} = '{value}'")).join(" AND ")
}

async fn play(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path()).await;
    engine.catalog().create(&v1shim::access::Identity::unrestricted(None), "b", None).await.unwrap();
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Write(points) => {
                let mut body = String::new();
                for (series, time, field, value) in points {
                    body.push_str(&line(series, time, field, value));
                    model.entry(key(series, time)).or_default().insert(field, value);
                }
                assert_eq!(write(&engine, body).await.unwrap(), Outcome::Written);
            }
            Step::Flush => engine.flush().await.unwrap(),
            Step::Restart => {
                drop(engine);
                engine = open(dir.path()).await;
            }
            Step::Delete(from, to, series) => {
                let only = if series < 5 { format!(" AND {}", condition(series)) } else { String::new() };
                ask(&engine, &format!("DELETE FROM m WHERE time >= {from} AND time <= {to}{only}")).await.unwrap();
                let wanted = (series < 5).then(|| tags(series).map(|(_, value)| value));
                model.retain(|(_, set, time), _| !(from..=to).contains(time) || wanted.is_some_and(|wanted| wanted != *set));
            }
            Step::DropSeries(series) => {
                ask(&engine, &format!("DROP SERIES WHERE {}", condition(series))).await.unwrap();
                model.retain(|(_, set, _), _| *set != tags(series).map(|(_, value)| value));
            }
            Step::DropMeasurement => {
                ask(&engine, "DROP MEASUREMENT m").await.unwrap();
                model.clear();
            }
            Step::Read(from, to, series, descending) => {
                let only = (series < 5).then_some(series);
                assert_eq!(read(&engine, from, to, only, descending).await, expected(&model, from, to, only, descending));
            }
        }
    }
    assert_eq!(read(&engine, i64::MIN, i64::MAX, None, false).await, expected(&model, i64::MIN, i64::MAX, None, false));
    let listed = tokio::task::spawn_blocking(move || {
        let tables = engine.snapshot("b/autogen").unwrap();
        let tags = tables.schema("m").map(|schema| schema.tags.clone()).unwrap_or_default();
        (tables.series("m", i64::MIN..=i64::MAX).unwrap().len(), tags, tables.measurements().len())
    });
    let sets: std::collections::BTreeSet<_> = model.keys().map(|(_, set, _)| set).collect();
    let keys = ["a", "b"].into_iter().enumerate().filter(|(place, _)| sets.iter().any(|set| !set[*place].is_empty()));
    let keys: Vec<Box<str>> = keys.map(|(_, key)| key.into()).collect();
    assert_eq!(listed.await.unwrap(), (sets.len(), keys, usize::from(!sets.is_empty())));
}

proptest! {
    #![proptest_config(Config { cases: 32, max_shrink_iters: 200, ..Config::default() })]

    #[test]
    fn the_store_has_what_a_map_has(steps in vec(step(), 1..25)) {
        tokio::runtime::Runtime::new().unwrap().block_on(play(steps));
    }
}
