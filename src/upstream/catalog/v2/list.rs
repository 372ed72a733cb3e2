//! The mappings and buckets of a v2 server: `GET /api/v2/dbrps` and `GET /api/v2/buckets`.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;

use super::{BUCKETS, DBRPS};
use crate::{
    dbrp::Mapping,
    error::{Error, Kind},
    upstream::catalog::{
        call::{Caller, pairs},
        names::{Bucket, Names},
    },
};

/// The most buckets that one answer may hold.
const PAGE: usize = 100;
/// Pages that are read before the rest is left: a bound, not a wish.
const PAGES: usize = 100;

#[derive(Deserialize)]
pub(super) struct Dbrps {
    #[serde(default)]
    pub(super) content: Vec<Dbrp>,
}

#[derive(Deserialize)]
pub(super) struct Dbrp {
    pub(super) id: Box<str>,
    pub(super) database: Box<str>,
    pub(super) retention_policy: Box<str>,
    #[serde(default)]
    default: bool,
    /// Follows from the bucket's name; ours follow from it too.
    #[serde(default, rename = "virtual")]
    pub(super) is_virtual: bool,
    #[serde(rename = "bucketID")]
    bucket_id: Box<str>,
}

#[derive(Deserialize)]
pub(super) struct Buckets {
    #[serde(default)]
    pub(super) buckets: Vec<BucketRow>,
}

#[derive(Deserialize)]
pub(super) struct BucketRow {
    pub(super) id: Box<str>,
    pub(super) name: Box<str>,
    #[serde(default, rename = "orgID")]
    org: Option<Box<str>>,
    #[serde(default, rename = "retentionRules")]
    retention_rules: Vec<RetentionRule>,
}

#[derive(Deserialize)]
struct RetentionRule {
    #[serde(default, rename = "everySeconds")]
    every_seconds: u64,
}

/// `org` is a name, an id, or nothing where the token has one organization only.
pub(in crate::upstream::catalog) async fn list(caller: &Caller<'_>, org: &str) -> Result<Names, Error> {
    let by_name = [("org", org)];
    let buckets = match buckets(caller, if org.is_empty() { &[] } else { &by_name }).await {
        // Writes take an id in place of the name, but this doesn't.
        Err(error) if error.kind() == Kind::NotImplemented && is_id(org) => buckets(caller, &[("orgID", org)]).await?,
        buckets => buckets?,
    };
    if buckets.is_empty() {
        // Every organization has buckets of the server's own: this token is shown none of them, and may write to others all the same.
        return Err(Error::new(
            Kind::NotImplemented,
            "upstream shows its buckets to tokens that may read buckets, and to this one none",
        ));
    }
    let id = buckets.first().and_then(|bucket| bucket.org.clone());
    let id = id.filter(|id| buckets.iter().all(|bucket| bucket.org.as_ref() == Some(id)));
    let of_org = match (&id, org) {
        (Some(id), _) => pairs(&[("orgID", id)]),
        (None, "") => {
            let message = "upstream's buckets are of several organizations: set upstream.org";
            return Err(Error::new(Kind::NotImplemented, message));
        }
        (None, org) => pairs(&[("org", org)]),
    };
    let dbrps: Dbrps = caller.list(&format!("{DBRPS}?{of_org}")).await?;
    Ok(names(dbrps, &buckets).of_org(id))
}

async fn buckets(caller: &Caller<'_>, of_org: &[(&str, &str)]) -> Result<Vec<BucketRow>, Error> {
    let mut buckets = Vec::new();
    for _ in 0..PAGES {
        let mut parameters = vec![("limit", PAGE.to_string()), ("offset", buckets.len().to_string())];
        parameters.extend(of_org.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let page: Buckets = caller.list(&format!("{BUCKETS}?{}", pairs(&parameters))).await?;
        let last = page.buckets.len() < PAGE;
        buckets.extend(page.buckets);
        if last {
            break;
        }
    }
    Ok(buckets)
}

/// As v2 writes them: 16 hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
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
