//! Deletes: in memory and in files, beside readers and writers, through crashes.

use std::{path::Path, sync::Arc};

use v1shim::embedded::{Engine, Outcome, Scan};

use super::{FakeLog, ask, fake, fields, open, open_fake, points, refused, write, written};

/// A copy of everything, as if the disk had been pulled out.
fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy_all(&path, &to.join(name));
        } else if name != "lock" {
            // A file that goes away meanwhile was on its way out.
            let _ = std::fs::copy(&path, to.join(name));
        }
    }
}

async fn after_power_loss(dir: &Path, log: &FakeLog) -> (tempfile::TempDir, Engine) {
    let copy = tempfile::tempdir().unwrap();
    // The log first: what it tells of later is in neither.
    let log = log.after_power_loss();
    copy_all(dir, copy.path());
    let engine = open_fake(copy.path(), &log).await.unwrap();
    (copy, engine)
}

fn parquet_files(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { parquet_files(&path) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_before_goes_and_what_is_written_after_stays() {
    let (dir, log, engine) = fake().await;
    written(&engine, "m,h=a v=1 1\nm,h=a v=2 2\nm,h=b v=3 1\nn,h=a v=4 1").await;
    engine.flush().await.unwrap();
    written(&engine, "m,h=a v=5 3\nm,h=b v=6 2").await;
    ask(&engine, "DELETE FROM m WHERE h = 'a' AND time >= 2").await.unwrap();
    let left = ["h=a 1 v=1.0", "h=b 1 v=3.0", "h=b 2 v=6.0"];
    assert_eq!(points(&engine, "m").await, left);
    written(&engine, "m,h=a v=7 2").await;
    let left = ["h=a 1 v=1.0", "h=a 2 v=7.0", "h=b 1 v=3.0", "h=b 2 v=6.0"];
    assert_eq!(points(&engine, "m").await, left, "the same point again");
    assert_eq!(points(&engine, "n").await, ["h=a 1 v=4.0"]);
    let (copy, again) = after_power_loss(dir.path(), &log).await;
    assert_eq!(points(&again, "m").await, left, "after a crash");
    again.flush().await.unwrap();
    assert_eq!(points(&again, "m").await, left, "in files");
    ask(&again, "DELETE FROM /^m$/ WHERE time < 10").await.unwrap();
    assert!(points(&again, "m").await.is_empty());
    drop(again);
    assert_eq!(parquet_files(&copy.path().join("files")), 1, "files without points are gone");
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn types_stay_after_delete_and_go_with_a_measurement() {
    // As 1.6.7 does it.
    let (dir, log, engine) = fake().await;
    written(&engine, "m,h=a v=1 1").await;
    engine.flush().await.unwrap();
    for statement in ["DELETE FROM m", "DROP SERIES FROM m", "DELETE WHERE h = 'a'"] {
        ask(&engine, statement).await.unwrap();
        assert!(refused(&engine, "m,h=a v=1i 1").await.contains("already exists as type float"), "{statement}");
    }
    ask(&engine, "DROP MEASUREMENT m").await.unwrap();
    written(&engine, "m,h=a v=1i 1").await;
    assert_eq!(points(&engine, "m").await, ["h=a 1 v=1i"]);
    let (_copy, again) = after_power_loss(dir.path(), &log).await;
    assert_eq!(points(&again, "m").await, ["h=a 1 v=1i"]);
    again.flush().await.unwrap();
    ask(&again, "DROP MEASUREMENT m").await.unwrap();
    written(&again, "m,h=a v=\"text\" 1").await;
    assert_eq!(points(&again, "m").await, ["h=a 1 v=\"text\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_conditions_delete_nothing() {
    let (_dir, _log, engine) = fake().await;
    written(&engine, "m,h=a v=1 1").await;
    for (statement, expected) in [
        ("DELETE FROM m WHERE v = 1", "fields not supported in WHERE clause during deletion"),
        ("DELETE WHERE h = 'a' OR v > 0", "fields not supported in WHERE clause during deletion"),
        ("DROP SERIES FROM m WHERE time > 0", "DROP SERIES doesn't support time in WHERE clause"),
        ("DELETE FROM m WHERE time = 'abc'", "invalid operation: time and *influxql.StringLiteral are not compatible"),
        ("DELETE FROM m WHERE h", "invalid condition expression: h"),
    ] {
        assert_eq!(ask(&engine, statement).await.unwrap_err().message(), expected, "{statement}");
    }
    for statement in ["DELETE FROM nosuch", "DROP MEASUREMENT nosuch", "DELETE FROM m WHERE time > 5 AND time < 3"] {
        ask(&engine, statement).await.unwrap();
    }
    assert_eq!(points(&engine, "m").await, ["h=a 1 v=1.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_finish_with_what_they_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    engine.catalog().create(&v1shim::access::Identity::unrestricted(None), "b", None).await.unwrap();
    // Larger than what is read of a file in one go.
    let line =
        |number: i64| format!("m,h=h{:03} v={number}i,s=\"{:x}{:x}\" {number}\n", number % 100, number * 7919, !number * 104_729);
    written(&engine, &(0..60_000).map(line).collect::<String>()).await;
    engine.flush().await.unwrap();
    let tables = engine.snapshot("b/autogen").unwrap();
    let scan = Scan {
        measurement: "m".into(),
        time: i64::MIN..=i64::MAX,
        fields: fields(&*tables, "m"),
        series: None,
        most: None,
        descending: false,
    };
    let (batches, mut rows) = tokio::task::block_in_place(|| {
        let mut batches = tables.scan(scan).unwrap();
        let rows = batches.next().unwrap().unwrap().time.values().len();
        (batches, rows)
    });
    ask(&engine, "DROP MEASUREMENT m").await.unwrap();
    assert!(points(&engine, "m").await.is_empty());
    assert_eq!(parquet_files(&dir.path().join("files")), 1, "it is being read");
    let rest = tokio::task::spawn_blocking(move || batches.map(|batch| batch.unwrap().time.values().len()).sum::<usize>());
    rows += rest.await.unwrap();
    assert_eq!(rows, 60_000);
    drop(tables);
    engine.flush().await.unwrap();
    assert_eq!(parquet_files(&dir.path().join("files")), 0, "nobody reads it any more");
}

/// Writers and deletes at the same time, power losses in between: what was acknowledged holds.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_deletes_survive_power_losses_at_any_moment() {
    let (dir, log, engine) = fake().await;
    // Written, deleted; each writer has its own series, so that the order is its own.
    let state = Arc::new(std::sync::Mutex::new(vec![(0_i64, 0_i64); 4]));
    let writers: Vec<_> = (0..4_usize)
        .map(|writer| {
            let (engine, state) = (engine.clone(), Arc::clone(&state));
            tokio::spawn(async move {
                for number in 1..=60_i64 {
                    assert_eq!(write(&engine, format!("m,w={writer} v={number}i {number}")).await.unwrap(), Outcome::Written);
                    state.lock().unwrap()[writer].0 = number;
                    if number % 7 == 0 {
                        // All but the last three.
                        ask(&engine, &format!("DELETE FROM m WHERE w = '{writer}' AND time <= {}", number - 3)).await.unwrap();
                        state.lock().unwrap()[writer].1 = number - 3;
                    }
                    if number % 20 == 0 {
                        engine.flush().await.unwrap();
                    }
                }
            })
        })
        .collect();
    let mut losses = 0;
    while losses < 6 || writers.iter().any(|writer| !writer.is_finished()) {
        tokio::time::sleep(std::time::Duration::from_millis(15)).await;
        let promised = state.lock().unwrap().clone();
        let at_most = |later: &[(i64, i64)], writer: usize| later[writer].0 + 1;
        let copy = tempfile::tempdir().unwrap();
        // The catalog's file is copied while it is written to, which no disk does: only between two flushes is the copy a whole one.
        let lost = log.after_power_loss();
        copy_all(dir.path(), copy.path());
        let later = state.lock().unwrap().clone();
        let Ok(again) = open_fake(copy.path(), &lost).await else { continue };
        losses += 1;
        let there = points(&again, "m").await;
        for (writer, (written, deleted)) in promised.iter().enumerate() {
            let prefix = format!("w={writer} ");
            let mut times: Vec<i64> =
                there.iter().filter_map(|line| line.strip_prefix(&prefix)?.split(' ').next()?.parse().ok()).collect();
            times.sort_unstable();
            assert!(times.first().is_none_or(|first| first > deleted), "{writer}: {deleted} are deleted, and there is {times:?}");
            // One more delete may have been under way, and more writes.
            let gone = later[writer].1.max(*deleted) + 7;
            for time in (*deleted + 1..=*written).filter(|time| *time > gone) {
                assert!(times.contains(&time), "{writer}: {time} of {written} is lost: {times:?}");
            }
            assert!(times.last().is_none_or(|last| *last <= at_most(&later, writer)), "{times:?}");
        }
        again.close().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let left: Vec<String> = (0..4).flat_map(|writer| (54..=60).map(move |time| format!("w={writer} {time} v={time}i"))).collect();
    assert_eq!(points(&engine, "m").await, left);
}
