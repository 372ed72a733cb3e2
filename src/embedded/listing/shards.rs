//! `SHOW SHARDS` and `SHOW SHARD GROUPS`: a bucket's partitions, each a shard that is alone in its group. They are numbered as they are shown.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use jiff::Timestamp;

use super::{Engine, integers, named, texts};
use crate::{embedded::memory_of, error::Error};

/// A partition in time of a bucket, all its measurements taken together.
pub(super) struct Shard {
    pub(super) id: i64,
    pub(super) database: Box<str>,
    pub(super) retention_policy: Box<str>,
    start: i64,
    end: i64,
    /// When the last of its points has expired.
    expiry: i64,
    pub(super) files: usize,
    pub(super) bytes: u64,
    /// Rows that are in memory only.
    pub(super) cached: usize,
}

/// All of them, by database, retention policy and time.
pub(super) fn all(engine: &Engine) -> Vec<Shard> {
    let mut mappings: Vec<_> = engine.0.catalog.mappings().into_iter().map(|(_, _, mapping)| mapping).collect();
    mappings.sort_by(|a, b| (&a.database, &a.retention_policy).cmp(&(&b.database, &b.retention_policy)));
    let mut shards = Vec::new();
    for mapping in mappings {
        let Some(bucket) = engine.0.catalog.bucket(&mapping.bucket) else { continue };
        let keeps = bucket.retention.map_or(0, |retention| i64::try_from(retention.as_nanos()).unwrap_or(i64::MAX));
        let view = memory_of(&engine.0.memory).view(bucket.id);
        // Measurements may have partitions of different lengths, when the retention has been changed.
        let mut partitions: BTreeMap<(i64, i64), (usize, u64, usize)> = BTreeMap::new();
        for partition in view.tables.values().flat_map(|table| &table.partitions) {
            let (files, bytes, cached) = partitions.entry((partition.start, partition.end)).or_default();
            *files += partition.files.len();
            *bytes += partition.files.iter().map(|stored| stored.file.record.bytes).sum::<u64>();
            *cached += partition.pieces.iter().map(|piece| piece.rows()).sum::<usize>();
        }
        for ((start, end), (files, bytes, cached)) in partitions {
            shards.push(Shard {
                id: shards.len() as i64 + 1,
                database: mapping.database.clone(),
                retention_policy: mapping.retention_policy.clone(),
                start,
                end,
                expiry: end.saturating_add(keeps),
                files,
                bytes,
                cached,
            });
        }
    }
    shards
}

pub(super) fn shards(engine: &Engine) -> Result<RecordBatch, Error> {
    let all = all(engine);
    let times = |time: fn(&Shard) -> i64| rfc3339(&all, time);
    named(
        texts(all.iter().map(|shard| &*shard.database)),
        vec![
            ("id", integers(all.iter().map(|shard| shard.id))),
            ("database", texts(all.iter().map(|shard| &*shard.database))),
            ("retention_policy", texts(all.iter().map(|shard| &*shard.retention_policy))),
            ("shard_group", integers(all.iter().map(|shard| shard.id))),
            ("start_time", times(|shard| shard.start)),
            ("end_time", times(|shard| shard.end)),
            ("expiry_time", times(|shard| shard.expiry)),
            ("owners", texts(all.iter().map(|_| ""))),
        ],
    )
}

pub(super) fn shard_groups(engine: &Engine) -> Result<RecordBatch, Error> {
    let all = all(engine);
    let times = |time: fn(&Shard) -> i64| rfc3339(&all, time);
    named(
        texts(all.iter().map(|_| "shard groups")),
        vec![
            ("id", integers(all.iter().map(|shard| shard.id))),
            ("database", texts(all.iter().map(|shard| &*shard.database))),
            ("retention_policy", texts(all.iter().map(|shard| &*shard.retention_policy))),
            ("start_time", times(|shard| shard.start)),
            ("end_time", times(|shard| shard.end)),
            ("expiry_time", times(|shard| shard.expiry)),
        ],
    )
}

fn rfc3339(shards: &[Shard], time: fn(&Shard) -> i64) -> arrow_array::ArrayRef {
    let text = |shard: &Shard| {
        let seconds = time(shard).div_euclid(1_000_000_000);
        Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds}s"), |time| time.to_string())
    };
    texts(shards.iter().map(text).collect::<Vec<_>>().iter().map(String::as_str))
}
