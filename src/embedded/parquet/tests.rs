//! What is read of a file is what was written, whatever is left out on the way.

use std::{ops::RangeInclusive, sync::Arc};

use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, cast::AsArray, types::Float64Type};

use super::{DataFile, Ends, FileChunks, Files, Wanted};
use crate::{
    embedded::{
        SeriesFilter,
        buffer::{Run, RunField},
    },
    lineprotocol::FieldType,
};

/// Rows of each series: within a page, ending with one, over pages, over row groups.
const SERIES: [usize; 8] = [1, 8191, 8192, 5, 140_000, 3, 8192 * 3, 40_000];

/// Every series has a point each ten nanoseconds, later series begin later. Field `a` is always there, `b` is not.
fn run() -> Run {
    let mut starts = vec![0];
    let (mut times, mut values) = (Vec::new(), Vec::new());
    for (number, rows) in SERIES.into_iter().enumerate() {
        for row in 0..rows {
            times.push((number * 1000 + row * 10) as i64);
            values.push((row % 3 > 0).then_some((number * 1_000_000 + row) as f64));
        }
        starts.push(times.len());
    }
    let other: ArrayRef = Arc::new(Float64Array::from_iter_values((0..times.len()).map(|row| row as f64)));
    Run {
        tags: Arc::from(["host".into(), "region".into()]),
        series: (0..SERIES.len()).map(|number| Arc::from([format!("h{number}").into(), Box::from("eu")])).collect(),
        starts,
        time: Int64Array::from(times),
        fields: vec![
            RunField { name: "a".into(), field_type: FieldType::Float, values: other },
            RunField { name: "b".into(), field_type: FieldType::Float, values: Arc::new(Float64Array::from(values)) },
        ],
    }
}

type Point = (String, i64, Option<f64>);

fn expected(run: &Run, field: usize, time: &RangeInclusive<i64>, hosts: &[usize]) -> Vec<Point> {
    let values = run.fields[field].values.as_primitive::<Float64Type>();
    hosts
        .iter()
        .flat_map(|host| (run.starts[*host]..run.starts[host + 1]).map(move |row| (host, row)))
        .filter(|(_, row)| time.contains(&run.time.value(*row)))
        .map(|(host, row)| (format!("h{host}"), run.time.value(row), values.is_valid(row).then(|| values.value(row))))
        .collect()
}

fn read(
    files: &Files,
    file: &DataFile,
    field: &str,
    time: &RangeInclusive<i64>,
    hosts: &[usize],
    ends: Option<Ends>,
) -> Vec<Point> {
    let names: Vec<Box<str>> = hosts.iter().map(|host| format!("h{host}").into()).collect();
    let series: Option<SeriesFilter> =
        (hosts.len() < SERIES.len()).then(|| -> SeriesFilter { Arc::new(move |set: &[Box<str>]| names.contains(&set[0])) });
    let fields = [field.into(), "missing".into()];
    let mut points = Vec::new();
    let Some(mut chunks) = FileChunks::open(files, file, &Wanted { time, fields: &fields, series, ends }).unwrap() else {
        return points;
    };
    while let Some(batch) = chunks.next().unwrap() {
        assert!(batch.fields[1].is_none() && *batch.tags[1] == *"eu");
        let values = batch.fields[0].as_ref().unwrap().as_primitive::<Float64Type>();
        points.extend(batch.time.values().iter().zip(values).map(|(time, value)| (batch.tags[0].to_string(), *time, value)));
    }
    points
}

#[test]
fn wanted_series_and_times_are_read_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let files = Files::local(dir.path(), runtime.handle().clone()).unwrap();
    let run = run();
    let written = files.write(1, (1, "cpu"), (0, i64::MAX), &run).unwrap();
    // One that was there before the start has to find its series itself.
    let found = DataFile::new(written.record.clone());
    let all: Vec<usize> = (0..SERIES.len()).collect();
    for hosts in [&all[..], &[0], &[1, 2], &[4], &[4, 6], &[0, 3, 5, 7], &[2, 7], &[]] {
        for time in [0..=i64::MAX, 0..=0, 5..=9, 4000..=4000, 81_000..=83_000, 500_000..=1_310_720, 1_400_000..=i64::MAX, -9..=-1]
        {
            let expected = expected(&run, 1, &time, hosts);
            for file in [&written, &found] {
                let read = read(&files, file, "b", &time, hosts, None);
                assert_eq!(read.len(), expected.len(), "{hosts:?} {time:?}");
                assert!(read == expected, "{hosts:?} {time:?}");
            }
        }
    }
}

#[test]
fn only_the_ends_are_read_where_they_suffice() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let files = Files::local(dir.path(), runtime.handle().clone()).unwrap();
    let run = run();
    let file = files.write(1, (1, "cpu"), (0, i64::MAX), &run).unwrap();
    let hosts = [0, 2, 4, 7];
    let all = 0..=i64::MAX;
    let last: Vec<Point> =
        hosts.iter().flat_map(|host| expected(&run, 0, &all, &[*host]).into_iter().rev().take(2).rev()).collect();
    assert!(read(&files, &file, "a", &all, &hosts, Some(Ends::Last(2))) == last);
    let first: Vec<Point> = hosts.iter().flat_map(|host| expected(&run, 0, &all, &[*host]).into_iter().take(2)).collect();
    assert!(read(&files, &file, "a", &all, &hosts, Some(Ends::First(2))) == first);
    // The last two rows may not count: they are not what is wanted, or have no value.
    let early = 0..=5000;
    assert!(read(&files, &file, "a", &early, &hosts, Some(Ends::Last(2))) == expected(&run, 0, &early, &hosts));
    assert!(read(&files, &file, "b", &all, &hosts, Some(Ends::Last(2))) == expected(&run, 1, &all, &hosts));
}
