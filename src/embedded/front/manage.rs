//! `/api/v2/buckets` and `/api/v2/dbrps`.

use std::{sync::Arc, time::Duration};

use http::{Method, Response, StatusCode, request::Parts};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Parameters, access, body, empty, manager, method_not_allowed};
use crate::{
    Body,
    access::Permission,
    dbrp::Mapping,
    embedded::{
        Engine,
        catalog::{Bucket, MappingChange},
        engine::blocking,
    },
    error::{Error, Kind},
};

/// There are no organisations; clients want to see one.
const ORG: &str = "0000000000000001";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BucketDocument {
    name: Option<Box<str>>,
    retention_rules: Option<Vec<RetentionRule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetentionRule {
    #[serde(default)]
    every_seconds: u64,
}

#[derive(Default, Deserialize)]
struct DbrpDocument {
    database: Option<Box<str>>,
    retention_policy: Option<Box<str>>,
    #[serde(rename = "bucketID")]
    bucket: Option<Box<str>>,
    default: Option<bool>,
}

pub(super) async fn buckets(
    engine: &Engine,
    head: &Parts,
    parameters: &Parameters<'_>,
    body: Body,
) -> Result<Response<Body>, Error> {
    let id = item(head, "/api/v2/buckets");
    let readable = access(head);
    let engine = engine.clone();
    match (&head.method, id) {
        (&Method::GET, None) => {
            let number = |name, default| parameters.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
            let listed: Vec<Value> = engine
                .0
                .catalog
                .buckets()
                .iter()
                .filter(|bucket| readable.allows(&bucket.name, Permission::Read))
                .filter(|bucket| parameters.get("name").is_none_or(|name| *name == *bucket.name))
                .filter(|bucket| parameters.get("id").is_none_or(|id| *id == *hex(bucket.id)))
                .skip(number("offset", 0))
                .take(number("limit", 20).min(1000))
                .map(describe)
                .collect();
            Ok(super::json(StatusCode::OK, &json!({ "links": { "self": "/api/v2/buckets" }, "buckets": listed })))
        }
        (&Method::GET, Some(id)) => {
            let bucket = engine.0.catalog.bucket_by_id(parse_id(id)?);
            let bucket =
                bucket.filter(|bucket| readable.allows(&bucket.name, Permission::Read)).ok_or_else(|| missing("bucket"))?;
            Ok(super::json(StatusCode::OK, &describe(&bucket)))
        }
        (&Method::POST, None) => {
            manager(head)?;
            let document: BucketDocument = body::document(body).await?;
            let retention = document.retention().flatten();
            let name = document.name.ok_or_else(|| Error::invalid("bucket has no \"name\""))?;
            let bucket = blocking(move || engine.0.catalog.create_bucket(&name, retention)).await??;
            Ok(super::json(StatusCode::CREATED, &describe(&bucket)))
        }
        (&Method::PATCH, Some(id)) => {
            manager(head)?;
            let id = parse_id(id)?;
            let document: BucketDocument = body::document(body).await?;
            let retention = document.retention();
            let changed = blocking(move || engine.0.catalog.update_bucket(id, document.name.as_deref(), retention)).await??;
            Ok(super::json(StatusCode::OK, &describe(&changed)))
        }
        (&Method::DELETE, Some(id)) => {
            manager(head)?;
            let id = parse_id(id)?;
            blocking(move || engine.remove_bucket(id)).await??;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        _ => Err(method_not_allowed(head)),
    }
}

impl BucketDocument {
    /// What the rules say, if there are any; zero is for ever.
    fn retention(&self) -> Option<Option<Duration>> {
        let rules = self.retention_rules.as_ref()?;
        Some(rules.first().map(|rule| rule.every_seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs))
    }
}

fn describe(bucket: &Arc<Bucket>) -> Value {
    let rules = json!([{
        "type": "expire",
        "everySeconds": bucket.retention.unwrap_or_default().as_secs(),
        "shardGroupDurationSeconds": bucket.shard().as_secs(),
    }]);
    json!({ "id": hex(bucket.id), "orgID": ORG, "type": "user", "name": &*bucket.name, "retentionRules": rules })
}

pub(super) async fn dbrps(
    engine: &Engine,
    head: &Parts,
    parameters: &Parameters<'_>,
    body: Body,
) -> Result<Response<Body>, Error> {
    let id = item(head, "/api/v2/dbrps");
    let engine = engine.clone();
    match (&head.method, id) {
        (&Method::GET, None) => {
            let is = |name, value: &str| parameters.get(name).is_none_or(|wanted| wanted == value);
            let listed: Vec<Value> = rows(&engine, head)
                .into_iter()
                .filter(|row| is("id", &row.id) && is("bucketID", &hex(row.bucket)) && is("db", &row.mapping.database))
                .filter(|row| {
                    is("rp", &row.mapping.retention_policy) && is("default", if row.mapping.default { "true" } else { "false" })
                })
                .map(|row| row.describe())
                .collect();
            Ok(super::json(StatusCode::OK, &json!({ "content": listed })))
        }
        (&Method::GET, Some(id)) => {
            let row = rows(&engine, head).into_iter().find(|row| *row.id == *id).ok_or_else(|| missing("dbrp"))?;
            Ok(super::json(StatusCode::OK, &json!({ "content": row.describe() })))
        }
        (&Method::POST, None) => {
            manager(head)?;
            let document: DbrpDocument = body::document(body).await?;
            let wanted = |name| Error::invalid(format!("dbrp has no \"{name}\""));
            let database = document.database.ok_or_else(|| wanted("database"))?;
            let retention_policy = document.retention_policy.ok_or_else(|| wanted("retention_policy"))?;
            let bucket = parse_id(&document.bucket.ok_or_else(|| wanted("bucketID"))?)?;
            let maker = engine.clone();
            let made = blocking(move || maker.0.catalog.create_mapping(&database, &retention_policy, bucket, document.default))
                .await??;
            one(&engine, head, made, StatusCode::CREATED, |row| row)
        }
        (&Method::PATCH, Some(id)) => {
            manager(head)?;
            let id = parse_id(id)?;
            let document: DbrpDocument = body::document(body).await?;
            let change = MappingChange { default: document.default, retention_policy: document.retention_policy };
            let changer = engine.clone();
            blocking(move || changer.0.catalog.update_mapping(id, &change)).await??;
            one(&engine, head, id, StatusCode::OK, |row| json!({ "content": row }))
        }
        (&Method::DELETE, Some(id)) => {
            manager(head)?;
            let id = parse_id(id)?;
            blocking(move || engine.0.catalog.delete_mapping(id)).await??;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        _ => Err(method_not_allowed(head)),
    }
}

struct Row {
    id: String,
    bucket: u64,
    is_virtual: bool,
    mapping: Mapping,
}

impl Row {
    fn describe(&self) -> Value {
        json!({
            "id": self.id,
            "database": self.mapping.database,
            "retention_policy": self.mapping.retention_policy,
            "default": self.mapping.default,
            "virtual": self.is_virtual,
            "orgID": ORG,
            "bucketID": hex(self.bucket),
        })
    }
}

/// Mappings to buckets that the caller may read.
fn rows(engine: &Engine, head: &Parts) -> Vec<Row> {
    let readable = access(head);
    let all = engine.0.catalog.mappings().into_iter();
    all.filter(|(_, _, mapping)| readable.allows(&mapping.bucket, Permission::Read))
        // As in v2, a virtual mapping has its bucket's number.
        .map(|(id, bucket, mapping)| Row { id: hex(id.unwrap_or(bucket)), bucket, is_virtual: id.is_none(), mapping })
        .collect()
}

fn one(
    engine: &Engine,
    head: &Parts,
    id: u64,
    status: StatusCode,
    wrap: impl FnOnce(Value) -> Value,
) -> Result<Response<Body>, Error> {
    let row = rows(engine, head).into_iter().find(|row| !row.is_virtual && row.id == hex(id)).ok_or_else(|| missing("dbrp"))?;
    Ok(super::json(status, &wrap(row.describe())))
}

/// What follows the collection's path.
fn item<'a>(head: &'a Parts, collection: &str) -> Option<&'a str> {
    head.uri.path().strip_prefix(collection).map(|rest| rest.trim_matches('/')).filter(|rest| !rest.is_empty())
}

fn hex(id: u64) -> String {
    format!("{id:016x}")
}

fn parse_id(text: &str) -> Result<u64, Error> {
    u64::from_str_radix(text, 16)
        .ok()
        .filter(|_| text.len() == 16)
        .ok_or_else(|| Error::invalid(format!("id {text:?} is not 16 hexadecimal digits")))
}

fn missing(what: &str) -> Error {
    Error::new(Kind::NotFound, format!("{what} not found"))
}
