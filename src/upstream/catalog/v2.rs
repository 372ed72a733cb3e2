//! The mappings and buckets of a v2 server: `GET /api/v2/dbrps` and `GET /api/v2/buckets`.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;

use super::{
    get,
    names::{Bucket, Names},
};
use crate::{dbrp::Mapping, error::Error, upstream::Upstream};

/// The most buckets that one answer may hold.
const PAGE: usize = 100;
/// Pages that are read before the rest is left: a bound, not a wish.
const PAGES: usize = 100;

#[derive(Deserialize)]
struct Dbrps {
    #[serde(default)]
    content: Vec<Dbrp>,
}

#[derive(Deserialize)]
struct Dbrp {
    database: Box<str>,
    retention_policy: Box<str>,
    #[serde(default)]
    default: bool,
    /// Follows from the bucket's name; ours follow from it too.
    #[serde(default, rename = "virtual")]
    is_virtual: bool,
    #[serde(rename = "bucketID")]
    bucket_id: Box<str>,
}

#[derive(Deserialize)]
struct Buckets {
    #[serde(default)]
    buckets: Vec<BucketRow>,
}

#[derive(Deserialize)]
struct BucketRow {
    id: Box<str>,
    name: Box<str>,
    #[serde(default, rename = "retentionRules")]
    retention_rules: Vec<RetentionRule>,
}

#[derive(Deserialize)]
struct RetentionRule {
    #[serde(default, rename = "everySeconds")]
    every_seconds: u64,
}

pub(super) async fn ask(upstream: &Upstream) -> Result<Names, Error> {
    let org: String = match upstream.org() {
        "" => String::new(),
        org => form_urlencoded::Serializer::new(String::new()).append_pair("org", org).finish(),
    };
    let mut buckets = Vec::new();
    for _ in 0..PAGES {
        let page: Buckets = get(upstream, &format!("/api/v2/buckets?limit={PAGE}&offset={}&{org}", buckets.len())).await?;
        let last = page.buckets.len() < PAGE;
        buckets.extend(page.buckets);
        if last {
            break;
        }
    }
    let dbrps: Dbrps = get(upstream, &format!("/api/v2/dbrps?{org}")).await?;
    Ok(names(dbrps, &buckets))
}

fn names(dbrps: Dbrps, buckets: &[BucketRow]) -> Names {
    let by_id: HashMap<&str, &BucketRow> = buckets.iter().map(|bucket| (&*bucket.id, bucket)).collect();
    let explicit = dbrps
        .content
        .into_iter()
        .filter(|dbrp| !dbrp.is_virtual)
        .filter_map(|dbrp| {
            let bucket = by_id.get(&*dbrp.bucket_id)?;
            Some(Mapping {
                database: dbrp.database,
                retention_policy: dbrp.retention_policy,
                bucket: bucket.name.clone(),
                default: dbrp.default,
                retention: bucket.retention(),
                ..Mapping::default()
            })
        })
        .collect();
    Names::new(explicit, buckets.iter().map(|bucket| Bucket { name: bucket.name.clone(), retention: bucket.retention() }))
}

impl BucketRow {
    fn retention(&self) -> Option<Duration> {
        self.retention_rules.iter().map(|rule| rule.every_seconds).find(|seconds| *seconds > 0).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_point_at_buckets_by_id() {
        let dbrps = r#"{"content":[
            {"id":"1","database":"tg","retention_policy":"week","default":true,"virtual":false,"orgID":"o","bucketID":"b1"},
            {"id":"2","database":"gone","retention_policy":"x","default":true,"orgID":"o","bucketID":"b9"},
            {"id":"3","database":"tg","retention_policy":"autogen","default":false,"virtual":true,"orgID":"o","bucketID":"b2"}]}"#;
        let buckets = r#"{"links":{},"buckets":[
            {"id":"b1","name":"metrics","retentionRules":[{"type":"expire","everySeconds":604800}]},
            {"id":"b2","name":"tg","retentionRules":[]}]}"#;
        let buckets: Buckets = serde_json::from_str(buckets).unwrap();
        let names = names(serde_json::from_str(dbrps).unwrap(), &buckets.buckets);
        let table = [
            ("tg", None, Some("metrics")),
            ("tg", Some("week"), Some("metrics")),
            ("tg", Some("autogen"), Some("tg")),
            ("gone", None, None),
            ("metrics", None, Some("metrics")),
        ];
        for (db, rp, bucket) in table {
            assert_eq!(names.find(db, rp), bucket, "{db} {rp:?}");
        }
        let week = names.mappings().iter().find(|mapping| &*mapping.retention_policy == "week").unwrap();
        assert_eq!(week.retention, Some(Duration::from_secs(604_800)));
    }
}
