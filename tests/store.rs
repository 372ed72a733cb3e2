//! The embedded store: durability, types, merging of memory and files, and its native front.

mod delete;
mod fake;
mod flight;
mod front;
mod model;

use std::{path::Path, sync::Arc, time::Duration};

use arrow_array::{Array, cast::AsArray, types::*};
use v1shim::{
    config,
    embedded::{Engine, Outcome, Query, Scan, Tables, Write},
    error::{Error, Kind},
    lineprotocol::Unit,
    types::Precision,
};

use self::fake::FakeLog;

fn config(dir: &Path, memory: usize) -> config::Embedded {
    config::Embedded { data_dir: dir.to_owned(), memory }
}

async fn open(dir: &Path) -> Engine {
    Engine::open(&config(dir, 64 << 20), config::Limits::default()).await.unwrap()
}

async fn open_fake(dir: &Path, log: &FakeLog) -> Result<Engine, Error> {
    Engine::open_with_log(&config(dir, 64 << 20), config::Limits::default(), Arc::new(log.clone())).await
}

/// A store on a fake log, with a bucket `b`.
async fn fake() -> (tempfile::TempDir, FakeLog, Engine) {
    let (dir, log) = (tempfile::tempdir().unwrap(), FakeLog::default());
    let engine = open_fake(dir.path(), &log).await.unwrap();
    engine.catalog().create(&v1shim::access::Identity::unrestricted(None), "b", None).await.unwrap();
    (dir, log, engine)
}

/// A copy of the data directory, as if the disk had been pulled out.
fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    std::fs::copy(from.join("catalog.redb"), to.path().join("catalog.redb")).unwrap();
    to
}

async fn write_unit(engine: &Engine, bucket: &str, body: impl Into<Vec<u8>>, unit: Precision) -> Result<Outcome, Error> {
    engine.write(Write { bucket: bucket.into(), body: body.into().into(), unit: Unit::Of(unit), accept_partial: true }).await
}

async fn write(engine: &Engine, body: impl Into<Vec<u8>>) -> Result<Outcome, Error> {
    write_unit(engine, "b/autogen", body, Precision::Nanosecond).await
}

async fn written(engine: &Engine, body: &str) {
    assert_eq!(write(engine, body).await.unwrap(), Outcome::Written, "{body}");
}

/// Runs a statement that has no answer.
async fn ask(engine: &Engine, q: &str) -> Result<(), Error> {
    let query = Query {
        bucket: Some("b/autogen".into()),
        q: q.into(),
        params: v1shim::influxql::Params::default(),
        access: Arc::new(v1shim::access::Access::All),
        siblings: std::collections::BTreeMap::new(),
        timeout: Duration::from_secs(30),
        memory: 64 << 20,
    };
    let mut reply = engine.query(query).await?;
    while let Some(batch) = futures_util::StreamExt::next(&mut reply).await {
        assert_eq!(batch?.num_rows(), 0);
    }
    Ok(())
}

/// The error phrase of a write that was refused in part or as a whole.
async fn refused(engine: &Engine, body: &str) -> String {
    match write(engine, body).await.unwrap() {
        Outcome::Rejected(rejected) => rejected.error,
        Outcome::Written => panic!("{body} was taken"),
    }
}

/// All points of a measurement, a line each: tags, time, fields in the order of the schema.
async fn points(engine: &Engine, measurement: &str) -> Vec<String> {
    scan(engine, measurement, i64::MIN..=i64::MAX, None, false).await
}

async fn scan(
    engine: &Engine,
    measurement: &str,
    time: std::ops::RangeInclusive<i64>,
    series: Option<v1shim::embedded::SeriesFilter>,
    descending: bool,
) -> Vec<String> {
    let (engine, measurement) = (engine.clone(), Arc::<str>::from(measurement));
    tokio::task::spawn_blocking(move || {
        let tables = engine.snapshot("b/autogen").unwrap();
        rows(
            &*tables,
            &Scan {
                measurement: Arc::clone(&measurement),
                time,
                fields: fields(&*tables, &measurement),
                series,
                descending,
                most: None,
            },
        )
    })
    .await
    .unwrap()
}

fn fields(tables: &dyn Tables, measurement: &str) -> Vec<Box<str>> {
    tables.schema(measurement).map(|schema| schema.fields.iter().map(|(name, _)| name.clone()).collect()).unwrap_or_default()
}

fn rows(tables: &dyn Tables, scan: &Scan) -> Vec<String> {
    let Some(schema) = tables.schema(&scan.measurement) else { return Vec::new() };
    let mut out = Vec::new();
    for batch in tables.scan(scan.clone()).unwrap() {
        let batch = batch.unwrap();
        assert!(batch.time.values().is_sorted_by(|a, b| a < b), "ascending, one row a timestamp");
        for row in 0..batch.time.len() {
            let mut line = String::new();
            for (key, value) in schema.tags.iter().zip(batch.tags.iter()).filter(|(_, value)| !value.is_empty()) {
                line.push_str(&format!("{key}={value} "));
            }
            line.push_str(&batch.time.value(row).to_string());
            for (name, values) in scan.fields.iter().zip(&batch.fields) {
                if let Some(values) = values.as_ref().filter(|values| values.is_valid(row)) {
                    line.push_str(&format!(" {name}={}", cell(values, row)));
                }
            }
            out.push(line);
        }
    }
    out
}

fn cell(values: &arrow_array::ArrayRef, row: usize) -> String {
    use arrow_schema::DataType;
    match values.data_type() {
        DataType::Float64 => format!("{:?}", values.as_primitive::<Float64Type>().value(row)),
        DataType::Int64 => format!("{}i", values.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => format!("{}u", values.as_primitive::<UInt64Type>().value(row)),
        DataType::Utf8 => format!("{:?}", values.as_string::<i32>().value(row)),
        DataType::Boolean => values.as_boolean().value(row).to_string(),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_writers_share_their_syncs() {
    let (_dir, log, engine) = fake().await;
    let before = log.syncs();
    log.hold_syncs(true);
    let writers: Vec<_> = (0..64)
        .map(|number| {
            let engine = engine.clone();
            tokio::spawn(async move { write(&engine, format!("m,w={number} v=1 1")).await.unwrap() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(writers.iter().all(|writer| !writer.is_finished()), "nothing is acknowledged before it is synced");
    assert_eq!(points(&engine, "m").await, Vec::<String>::new(), "and nothing is seen");
    log.hold_syncs(false);
    for writer in writers {
        assert_eq!(writer.await.unwrap(), Outcome::Written);
    }
    let syncs = log.syncs() - before;
    assert!(syncs < 16, "{syncs} syncs for 64 writers");
    assert_eq!(points(&engine, "m").await.len(), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_syncs_that_fail_nothing_is_acknowledged() {
    let (dir, log, engine) = fake().await;
    written(&engine, "m v=1 1").await;
    log.fail_syncs();
    log.hold_syncs(true);
    let writers: Vec<_> = (2..10)
        .map(|time| {
            let engine = engine.clone();
            tokio::spawn(async move { write(&engine, format!("m v=1 {time}")).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    log.hold_syncs(false);
    for writer in writers {
        let error = writer.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.retry_delay().is_some());
    }
    assert_eq!(write(&engine, "m v=1 10").await.unwrap_err().kind(), Kind::Unavailable, "until the next start");
    assert_eq!(points(&engine, "m").await, ["1 v=1.0"], "reads go on");
    let (log, copy) = (log.after_power_loss(), copy(dir.path()));
    drop(engine);
    let engine = open_fake(copy.path(), &log).await.unwrap();
    assert_eq!(points(&engine, "m").await, ["1 v=1.0"]);
    written(&engine, "m v=1 11").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_power_loss_takes_was_never_acknowledged() {
    let (dir, log, engine) = fake().await;
    let copy = copy(dir.path());
    let acknowledged = Arc::new(std::sync::Mutex::new(Vec::new()));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let (engine, acknowledged) = (engine.clone(), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                for number in 0..200 {
                    let point = format!("w={writer} {number}");
                    write(&engine, format!("m,w={writer} v={number}i {number}")).await.unwrap();
                    acknowledged.lock().unwrap().push(format!("{point} v={number}i"));
                }
            })
        })
        .collect();
    let mut losses = Vec::new();
    while losses.len() < 5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        // First what was promised, then what is left.
        let promised = acknowledged.lock().unwrap().clone();
        losses.push((promised, log.after_power_loss()));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    losses.push((acknowledged.lock().unwrap().clone(), log.after_power_loss()));
    for (promised, log) in losses {
        let engine = open_fake(copy.path(), &log).await.unwrap();
        let there = points(&engine, "m").await;
        for point in &promised {
            assert!(there.contains(point), "{point} was acknowledged");
        }
        engine.close().await;
    }
}

#[tokio::test]
async fn torn_tails_lose_what_was_not_acknowledged_and_nothing_else() {
    let (dir, log, engine) = fake().await;
    written(&engine, "m v=1 1").await;
    written(&engine, "m v=2 2").await;
    engine.close().await;
    let data = copy(dir.path());
    let torn = log.after_power_loss();
    torn.edit(|bytes| bytes.truncate(bytes.len() - 1));
    let engine = open_fake(data.path(), &torn).await.unwrap();
    assert_eq!(points(&engine, "m").await, ["1 v=1.0"]);
    engine.close().await;
    drop(engine);

    let corrupt = log.after_power_loss();
    corrupt.edit(|bytes| bytes[20] ^= 1);
    let error = open_fake(data.path(), &corrupt).await.unwrap_err().to_string();
    assert!(error.contains("fake/00000000000000000001.wal\" is corrupt at byte 0: the checksum differs"), "{error}");
}

#[tokio::test]
async fn one_process_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    let error = Engine::open(&config(dir.path(), 1 << 20), config::Limits::default()).await.unwrap_err().to_string();
    assert!(error.contains("is in use by another process"), "{error}");
    engine.close().await;
    drop(engine);
    open(dir.path()).await;
}

#[tokio::test]
async fn refusals_are_1xs() {
    let (_dir, _log, engine) = fake().await;
    written(&engine, "m f=1i 1000").await;
    let conflict = "partial write: field type conflict: input field \"f\" on measurement \"m\" is type float, already exists as type integer dropped=1";
    // Texts and counts as 1.6.7 gives them.
    let cases = [
        ("m f=1.5 2000", conflict),
        ("m f=1.5 2000\nm f=2i 3000", conflict),
        ("garbage\nm f=3i 3", "partial write: unable to parse 'garbage': missing fields dropped=0"),
        ("garbage\ngarbage2 x", "unable to parse 'garbage': missing fields\nunable to parse 'garbage2 x': invalid field format"),
        (
            "garbage\nm f=\"x\" 3\nm f=3i 4",
            "partial write: field type conflict: input field \"f\" on measurement \"m\" is type string, already exists as type integer dropped=1",
        ),
        (
            "m f=\"x\" 3\nm f=t 3\nm f=3i 4",
            "partial write: field type conflict: input field \"f\" on measurement \"m\" is type string, already exists as type integer dropped=2",
        ),
        ("n,time=tag g=2 1", "partial write: invalid tag key: input tag \"time\" on measurement \"n\" is invalid dropped=1"),
        (
            "m g=1 9223372036854775807",
            "unable to parse 'm g=1 9223372036854775807': time outside range -9223372036854775806 - 9223372036854775806",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(refused(&engine, body).await, expected, "{body}");
    }
    assert_eq!(points(&engine, "m").await, ["3 f=3i", "4 f=3i", "1000 f=1i", "3000 f=2i"].map(String::from));
    // Another week is another partition, and a tag may be called like a field.
    written(&engine, "m f=1.5 700000000000000000").await;
    written(&engine, "m,f=tag g=1 1").await;
    written(&engine, "").await;
    written(&engine, "#c\n\n").await;
    let error = write_unit(&engine, "b/autogen", "m g=1 9223372037", Precision::Second).await.unwrap();
    assert!(matches!(error, Outcome::Rejected(rejected) if rejected.error.contains("time outside range")));
    assert_eq!(
        write_unit(&engine, "nosuch", "m v=1", Precision::Second).await.unwrap_err().message(),
        "database not found: \"nosuch\""
    );
}

#[tokio::test]
async fn nothing_is_written_when_parts_are_not_wanted() {
    let (_dir, _log, engine) = fake().await;
    let body = "m f=1i 1\nm f=1.5 2\n";
    let all_or_nothing = |body: &str| Write {
        bucket: "b/autogen".into(),
        body: body.to_owned().into(),
        unit: Unit::Of(Precision::Nanosecond),
        accept_partial: false,
    };
    let Outcome::Rejected(rejected) = engine.write(all_or_nothing(body)).await.unwrap() else { panic!() };
    assert!(!rejected.partial);
    assert_eq!((rejected.lines.len(), rejected.lines[0].number), (1, 2));
    assert!(points(&engine, "m").await.is_empty());
    // Its types are not remembered either.
    assert_eq!(engine.write(all_or_nothing("m f=1.5 1")).await.unwrap(), Outcome::Written);
}

#[tokio::test]
async fn duplicates_replace_field_by_field() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    engine.catalog().create(&v1shim::access::Identity::unrestricted(None), "b", None).await.unwrap();
    let expected = ["h=a 1 i=7i s=\"new\" v=3.0", "h=a 2 v=1.0", "h=b 1 b=true v=2.0"];
    written(&engine, "m,h=a v=1,s=\"old\" 1\nm,h=a v=1 2\nm,h=b v=2,b=true 1").await;
    written(&engine, "m,h=a v=3,i=7i 1").await;
    written(&engine, "m,h=a s=\"new\" 1").await;
    assert_eq!(points(&engine, "m").await, expected);
    engine.flush().await.unwrap();
    assert_eq!(points(&engine, "m").await, expected, "in a file");
    written(&engine, "m,h=a v=4 1\nm,h=c,z=1 v=9 1\nm v=8 5").await;
    let expected = ["5 v=8.0", "h=a 1 i=7i s=\"new\" v=4.0", "h=a 2 v=1.0", "h=b 1 b=true v=2.0", "h=c z=1 1 v=9.0"];
    assert_eq!(points(&engine, "m").await, expected, "a file below memory");
    engine.flush().await.unwrap();
    assert_eq!(points(&engine, "m").await, expected, "two files");
    drop(engine);
    let engine = open(dir.path()).await;
    assert_eq!(points(&engine, "m").await, expected, "again");
    // The types that files have still count.
    assert!(refused(&engine, "m i=1.5 1").await.contains("already exists as type integer"));
}

#[tokio::test]
async fn all_types_and_names_survive_files_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    engine.catalog().create(&v1shim::access::Identity::unrestricted(None), "b", None).await.unwrap();
    written(&engine, "odd\\ name/é,tag\\ key=va\\,lue,f=tag f=1.5,i=-9223372036854775808i,u=18446744073709551615u,t=T,s=\"quo\\\"te\\nß\" -5\nodd\\ name/é f=2 -9223372036854775806").await;
    let expected = [
        "-9223372036854775806 f=2.0",
        "f=tag tag key=va,lue -5 f=1.5 i=-9223372036854775808i s=\"quo\\\"te\\\\nß\" t=true u=18446744073709551615u",
    ];
    assert_eq!(points(&engine, "odd name/é").await, expected, "from memory");
    drop(engine);
    let engine = open(dir.path()).await;
    assert_eq!(points(&engine, "odd name/é").await, expected, "from the log");
    engine.flush().await.unwrap();
    assert_eq!(points(&engine, "odd name/é").await, expected, "from a file");
    drop(engine);
    let engine = open(dir.path()).await;
    assert_eq!(points(&engine, "odd name/é").await, expected, "from a file, later");
    assert!(std::fs::read_dir(dir.path().join("wal")).unwrap().count() <= 2, "old segments are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(&config(dir.path(), 1 << 20), config::Limits::default()).await.unwrap();
    engine.catalog().create(&v1shim::access::Identity::unrestricted(None), "b", None).await.unwrap();
    let mut body = String::new();
    for batch in 0..60 {
        body.clear();
        for row in 0..1000 {
            body.push_str(&format!("m,h=h{} v={row}i,w={batch} {}\n", row % 10, (batch * 1000 + row) * 1_000_000_000_i64));
        }
        written(&engine, &body).await;
    }
    let files = walk(&dir.path().join("files"));
    assert!(files > 1, "{files} files");
    assert_eq!(points(&engine, "m").await.len(), 60_000);
    // One series, some seconds, backwards, from files and memory.
    let wanted: v1shim::embedded::SeriesFilter = Arc::new(|tags: &[Box<str>]| &*tags[0] == "h3");
    let some = scan(&engine, "m", 5_000_000_000..=25_000_000_000, Some(Arc::clone(&wanted)), true).await;
    assert_eq!(some, ["h=h3 13000000000 v=13i w=0.0", "h=h3 23000000000 v=23i w=0.0"]);
    engine.close().await;
    drop(engine);
    let engine = open(dir.path()).await;
    assert_eq!(points(&engine, "m").await.len(), 60_000);
    let all = scan(&engine, "m", i64::MIN..=i64::MAX, Some(wanted), false).await;
    assert_eq!(all.len(), 6_000);
}

fn walk(path: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn a_snapshot_stays_as_it_was() {
    let (_dir, _log, engine) = fake().await;
    written(&engine, "m v=1 1").await;
    let before = engine.snapshot("b/autogen").unwrap();
    written(&engine, "m v=2 1\nm,new=tag w=1 2\nother v=1").await;
    engine.flush().await.unwrap();
    let lines = tokio::task::spawn_blocking(move || {
        assert_eq!(before.measurements(), [Arc::from("m")]);
        assert_eq!(before.schema("m").unwrap().tags.len(), 0);
        rows(
            &*before,
            &Scan { measurement: "m".into(), time: 0..=9, fields: vec!["v".into()], series: None, descending: false, most: None },
        )
    });
    assert_eq!(lines.await.unwrap(), ["1 v=1.0"]);
}

#[tokio::test]
async fn points_without_a_time_get_one_a_request() {
    let (dir, log, engine) = fake().await;
    assert_eq!(write_unit(&engine, "b/autogen", "m,h=a v=1\nm,h=b v=1", Precision::Second).await.unwrap(), Outcome::Written);
    let there = points(&engine, "m").await;
    let times: Vec<i64> = there.iter().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(times[0], times[1]);
    assert_eq!(times[0] % 1_000_000_000, 0, "cut to the unit");
    engine.close().await;
    let data = copy(dir.path());
    let engine = open_fake(data.path(), &log.after_power_loss()).await.unwrap();
    assert_eq!(points(&engine, "m").await, there, "a replay gives the same times");
}
