//! What the catalog's rows hold. JSON: small, seldom read, and later versions may add keys.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Bucket, policy::Settings};
use crate::lineprotocol::FieldType;

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct BucketRecord {
    name: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retention_nanos: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shard_nanos: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replicas: Option<u64>,
}

impl BucketRecord {
    pub(super) fn new(name: &str, retention: Option<Duration>) -> Self {
        Self { name: name.into(), retention_nanos: retention.and_then(nanos), shard_nanos: None, replicas: None }
    }

    /// With 1.x's settings of a retention policy.
    pub(super) fn of(name: &str, settings: &Settings) -> Self {
        Self { shard_nanos: nanos(settings.shard), replicas: Some(settings.replicas), ..Self::new(name, settings.retention) }
    }

    pub(super) fn into_bucket(self, id: u64) -> Bucket {
        Bucket {
            id,
            name: self.name.into(),
            retention: self.retention_nanos.map(Duration::from_nanos),
            shard: self.shard_nanos.map(Duration::from_nanos),
            replicas: self.replicas.unwrap_or(1),
        }
    }
}

fn nanos(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_nanos()).ok()
}

/// A mapping that somebody made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::embedded) struct MappingRecord {
    pub(in crate::embedded) database: Box<str>,
    pub(in crate::embedded) retention_policy: Box<str>,
    pub(in crate::embedded) bucket: u64,
    pub(in crate::embedded) default: bool,
}

/// A file of points: one table, one partition, sorted by series and time.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::embedded) struct FileRecord {
    /// Its number: what stands in a file with a larger one was written later.
    pub(in crate::embedded) seq: u64,
    pub(in crate::embedded) bucket: u64,
    pub(in crate::embedded) table: Box<str>,
    /// The partition: start included, end not.
    pub(in crate::embedded) start: i64,
    pub(in crate::embedded) end: i64,
    /// Where it is, below `data_dir`.
    pub(in crate::embedded) path: Box<str>,
    pub(in crate::embedded) bytes: u64,
    pub(in crate::embedded) rows: u64,
    pub(in crate::embedded) min_time: i64,
    pub(in crate::embedded) max_time: i64,
    /// Keys of all tags in it, sorted.
    pub(in crate::embedded) tags: Vec<Box<str>>,
    /// Fields in it.
    pub(in crate::embedded) fields: Vec<FieldRecord>,
}

/// A field of a file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::embedded) struct FieldRecord {
    pub(in crate::embedded) name: Box<str>,
    #[serde(rename = "type", with = "field_type")]
    pub(in crate::embedded) field_type: FieldType,
}

mod field_type {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::FieldType;

    const ALL: [FieldType; 5] =
        [FieldType::Float, FieldType::Integer, FieldType::Unsigned, FieldType::String, FieldType::Boolean];

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(field_type: &FieldType, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(field_type.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FieldType, D::Error> {
        let name = Box::<str>::deserialize(deserializer)?;
        ALL.into_iter()
            .find(|field_type| field_type.name() == &*name)
            .ok_or_else(|| D::Error::custom(format!("unknown field type \"{name}\"")))
    }
}
