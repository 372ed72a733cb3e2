//! `POST`, `PATCH` and `DELETE` of buckets and mappings.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    BUCKETS, DBRPS,
    list::{Buckets, Dbrp, Dbrps},
};
use crate::{
    dbrp::Settings,
    error::{Error, Kind},
    upstream::catalog::{
        call::{Caller, Purpose, pairs, read},
        steps::Step,
    },
};

/// What a token needs for it.
const WRITE_BUCKETS: &str = "write:buckets";
const READ_BUCKETS: &str = "read:buckets";
const WRITE_DBRPS: &str = "write:dbrps";
const READ_DBRPS: &str = "read:dbrps";

struct Work<'a> {
    caller: &'a Caller<'a>,
    /// The organization's id.
    org: Box<str>,
    /// v1's database, for messages.
    db: &'a str,
}

/// Carries out steps. `org` is the configured name, `id` what is known of its id.
pub(in crate::upstream::catalog) async fn carry_out(
    caller: &Caller<'_>,
    org: &str,
    id: Option<&str>,
    steps: &[Step],
    db: &str,
) -> Result<(), Error> {
    let org = match id {
        Some(id) => id.into(),
        None => organization(caller, org, db).await?,
    };
    let work = Work { caller, org, db };
    for step in steps {
        match step {
            Step::Bucket { name, settings } => work.make_bucket(name, settings).await?,
            Step::Mapping { database, policy, bucket, default, needed } => {
                let made = work.make_mapping(database, policy, bucket, *default).await;
                if *needed {
                    made?;
                } else if let Err(error) = made {
                    tracing::warn!(%error, "a bucket has no mapping of its own: other clients of the upstream may not find it by InfluxQL");
                }
            }
            Step::Settings { bucket, settings } => work.change_bucket(bucket, settings).await?,
            Step::Default { database, policy, bucket } => work.make_default(database, policy, bucket).await?,
            Step::DropBucket { name } => work.drop_bucket(name).await?,
            Step::DropMapping { database, policy } => work.drop_mapping(database, policy).await?,
        }
    }
    Ok(())
}

/// The id of an organization.
async fn organization(caller: &Caller<'_>, org: &str, db: &str) -> Result<Box<str>, Error> {
    #[derive(serde::Deserialize)]
    struct Org {
        id: Box<str>,
    }
    #[derive(serde::Deserialize)]
    struct Orgs {
        #[serde(default)]
        orgs: Vec<Org>,
    }
    let path = if org.is_empty() { "/api/v2/orgs".to_owned() } else { format!("/api/v2/orgs?{}", pairs(&[("org", org)])) };
    let what = format!("look up organization {org:?}");
    let orgs: Orgs = match caller.send(Method::GET, &path, None).await? {
        Ok(body) => read(&body)?,
        Err(refusal) => return Err(refusal.into_error(caller, Purpose { what: &what, database: db, permission: "read:orgs" })),
    };
    match <[Org; 1]>::try_from(orgs.orgs) {
        Ok([org]) => Ok(org.id),
        Err(orgs) => {
            let message =
                format!("can't {what} for database {db:?}: the upstream knows {} of that name (upstream.org)", orgs.len());
            Err(Error::new(Kind::NotImplemented, message))
        }
    }
}

impl Work<'_> {
    async fn make_bucket(&self, name: &str, settings: &Settings) -> Result<(), Error> {
        let body = json!({ "orgID": self.org, "name": name, "retentionRules": rules(settings) });
        match self.caller.send(Method::POST, BUCKETS, Some(&body)).await? {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.is_there_already() => Ok(()),
            Err(refusal) => Err(refusal.into_error(self.caller, self.purpose(&format!("make bucket {name:?}"), WRITE_BUCKETS))),
        }
    }

    async fn change_bucket(&self, name: &str, settings: &Settings) -> Result<(), Error> {
        let id = self.bucket(name).await?;
        let body = json!({ "retentionRules": rules(settings) });
        self.done(Method::PATCH, &format!("{BUCKETS}/{id}"), Some(&body), &format!("change bucket {name:?}"), WRITE_BUCKETS).await
    }

    async fn drop_bucket(&self, name: &str) -> Result<(), Error> {
        let Some(id) = self.find_bucket(name).await? else { return Ok(()) };
        // Its mappings go with it.
        self.done(Method::DELETE, &format!("{BUCKETS}/{id}"), None, &format!("drop bucket {name:?}"), WRITE_BUCKETS).await
    }

    async fn make_mapping(&self, database: &str, policy: &str, bucket: &str, default: bool) -> Result<(), Error> {
        let id = self.bucket(bucket).await?;
        let body = json!({
            "orgID": self.org, "bucketID": id, "database": database, "retention_policy": policy, "default": default,
        });
        match self.caller.send(Method::POST, DBRPS, Some(&body)).await? {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.is_there_already() => Ok(()),
            Err(refusal) => {
                let what = format!("map retention policy {policy:?} to bucket {bucket:?}");
                Err(refusal.into_error(self.caller, self.purpose(&what, WRITE_DBRPS)))
            }
        }
    }

    async fn make_default(&self, database: &str, policy: &str, bucket: &str) -> Result<(), Error> {
        let Some(mapping) = self.mapping(database, policy).await? else {
            // It followed from the bucket's name, and those can't be changed.
            return self.make_mapping(database, policy, bucket, true).await;
        };
        let path = format!("{DBRPS}/{}?{}", mapping.id, pairs(&[("orgID", &self.org)]));
        let what = format!("make retention policy {policy:?} the default");
        self.done(Method::PATCH, &path, Some(&json!({ "default": true })), &what, WRITE_DBRPS).await
    }

    async fn drop_mapping(&self, database: &str, policy: &str) -> Result<(), Error> {
        let Some(mapping) = self.mapping(database, policy).await? else { return Ok(()) };
        let path = format!("{DBRPS}/{}?{}", mapping.id, pairs(&[("orgID", &self.org)]));
        self.done(Method::DELETE, &path, None, &format!("drop the mapping of retention policy {policy:?}"), WRITE_DBRPS).await
    }

    /// The explicit mapping of a policy.
    async fn mapping(&self, database: &str, policy: &str) -> Result<Option<Dbrp>, Error> {
        let path = format!("{DBRPS}?{}", pairs(&[("orgID", &self.org), ("db", database), ("rp", policy)]));
        let what = format!("look up retention policy {policy:?}");
        let dbrps: Dbrps = self.get(&path, &what, READ_DBRPS).await?;
        let is_it = |row: &Dbrp| !row.is_virtual && &*row.database == database && &*row.retention_policy == policy;
        Ok(dbrps.content.into_iter().find(is_it))
    }

    /// A bucket's id.
    async fn bucket(&self, name: &str) -> Result<Box<str>, Error> {
        self.find_bucket(name).await?.ok_or_else(|| {
            let message = format!("bucket {name:?} for database {:?} was there a moment ago and is gone", self.db);
            Error::new(Kind::Unavailable, message)
        })
    }

    async fn find_bucket(&self, name: &str) -> Result<Option<Box<str>>, Error> {
        let path = format!("{BUCKETS}?{}", pairs(&[("orgID", &self.org), ("name", name)]));
        let buckets: Buckets = self.get(&path, &format!("look up bucket {name:?}"), READ_BUCKETS).await?;
        Ok(buckets.buckets.into_iter().find(|bucket| &*bucket.name == name).map(|bucket| bucket.id))
    }

    /// JSON, or the empty document where there is none.
    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str, what: &str, permission: &str) -> Result<T, Error> {
        match self.caller.send(Method::GET, path, None).await? {
            Ok(body) => read(&body),
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => read(b"{}"),
            Err(refusal) => Err(refusal.into_error(self.caller, self.purpose(what, permission))),
        }
    }

    async fn done(&self, method: Method, path: &str, body: Option<&Value>, what: &str, permission: &str) -> Result<(), Error> {
        let gone = method == Method::DELETE;
        match self.caller.send(method, path, body).await? {
            Ok(_) => Ok(()),
            Err(refusal) if gone && refusal.status == StatusCode::NOT_FOUND => Ok(()),
            Err(refusal) => Err(refusal.into_error(self.caller, self.purpose(what, permission))),
        }
    }

    fn purpose<'p>(&'p self, what: &'p str, permission: &'p str) -> Purpose<'p> {
        Purpose { what, database: self.db, permission }
    }
}

/// A bucket's `retentionRules`: what isn't said isn't there, so that a change of one setting leaves the other.
fn rules(settings: &Settings) -> Value {
    let mut rule = serde_json::Map::from_iter([("type".to_owned(), Value::from("expire"))]);
    if let Some(retention) = settings.retention {
        rule.insert("everySeconds".into(), retention.as_secs().into());
    }
    if let Some(shard) = settings.shard.filter(|shard| !shard.is_zero()) {
        rule.insert("shardGroupDurationSeconds".into(), shard.as_secs().into());
    }
    if rule.len() == 1 { json!([]) } else { json!([rule]) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn settings_are_rules() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (retention, shard, expected) in [
            (None, None, "[]"),
            (seconds(0), None, r#"[{"type":"expire","everySeconds":0}]"#),
            (seconds(7200), seconds(3600), r#"[{"type":"expire","everySeconds":7200,"shardGroupDurationSeconds":3600}]"#),
            (None, seconds(3600), r#"[{"type":"expire","shardGroupDurationSeconds":3600}]"#),
            (None, seconds(0), "[]"),
        ] {
            assert_eq!(rules(&Settings { retention, shard }).to_string(), expected);
        }
    }
}
