//! An edge proxy: clients have tokens of the edge, each for its own bucket, and only the edge knows the server's.
//!
//! ```sh
//! cargo run --example edge
//! ```
//!
//! starts a stand-in for the server and the shim in front of it, both on free ports, talks to the shim as three clients do, and prints
//!
//! ```text
//! plant    > POST /write?db=plant&rp=month
//! server   < POST /api/v3/write_lp?db=factory%2Fplant-30d&precision=ns&accept_partial=true, Bearer server-token: press,id=7 bar=3.5 1
//! plant    < 204
//! plant    > POST /write?db=office
//! plant    < 403 {"code":"forbidden","message":"\"plant\" user is not authorized to write to database \"office\"","error":"\"plant\" user is not authorized to write to database \"office\""}
//! plant    > POST /query?q=CREATE+DATABASE+%22plant%22
//! plant    < 200 {"results":[{"statement_id":0}]}
//! reader   > GET /query?db=plant&epoch=s&q=SELECT+usage+FROM+cpu
//! server   < POST /api/v3/query_influxql, Bearer server-token: {"db":"factory/plant-30d","q":"SELECT usage FROM cpu","format":"jsonl"}
//! reader   < 200 {"results":[{"statement_id":0,"series":[{"name":"cpu","columns":["time","usage"],"values":[[1700000040,1.5]]}]}]}
//! reader   > POST /write?db=plant
//! reader   < 403 {"code":"forbidden","message":"\"reader\" user is not authorized to write to database \"plant\"","error":"\"reader\" user is not authorized to write to database \"plant\""}
//! stranger > POST /write?db=plant
//! stranger < 401 {"code":"unauthorized","message":"authorization failed","error":"authorization failed"}
//! ```
//!
//! `PROXY_TOML` below is what `v1shim --config proxy.toml` would be given.

#[path = "support/stand_in.rs"]
mod stand_in;
#[path = "support/talk.rs"]
mod talk;

use std::sync::Arc;

use axum::Router;
use http::Uri;
use tower_layer::Layer;
use v1shim::{
    V1ShimLayer,
    config::{self, Backend},
    types::BoxError,
    upstream::{Upstream, UpstreamCatalog},
};

use talk::{Talk, serve};

const PROXY_TOML: &str = r#"
[auth]
mode = "local"
[[auth.token]]
name = "plant"
token = "plant-token"
access = [{ bucket = "factory/plant-30d", read = true, write = true }]
[[auth.token]]
name = "reader"
token = "reader-token"
access = [{ bucket = "factory/plant-30d", read = true, write = false }]

# Telegraf wants to make its database, and is content when told that it is there.
[guard]
create = "ack"

[[dbrp]]
database = "plant"
retention_policy = "month"
bucket = "factory/plant-30d"
default = true

[backend]
kind = "upstream"
[upstream]
api = "v3"
# The stand-in of this example speaks HTTP alone; a real server is asked over Arrow Flight.
query = "http"
url = "UPSTREAM"
token = "server-token"
"#;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    print!("{}", run().await?);
    Ok(())
}

/// The edge in front of the server at `url`.
pub(crate) fn app(url: &Uri) -> Result<Router, BoxError> {
    let text = PROXY_TOML.replace("UPSTREAM", &url.to_string());
    let config = config::parse(&text, config::Surroundings::real())?.config;
    let Backend::Upstream(settings) = &config.backend else { return Err("no upstream".into()) };
    let upstream = Upstream::new(settings)?;
    // What isn't mapped above is looked up among the server's databases.
    let catalog = UpstreamCatalog::new(upstream.clone(), std::time::Duration::from_secs(10));
    Ok(Router::new().fallback_service(V1ShimLayer::new(config).catalog(Arc::new(catalog)).layer(upstream)))
}

/// The whole story, as it is printed.
pub(crate) async fn run() -> Result<String, BoxError> {
    let talk = Talk::default();
    let server = serve(stand_in::server(&talk, "server-token")).await?;
    let edge = serve(app(&server.url)?).await?;

    let plant = talk.client("plant", &edge.url, "Token plant-token");
    plant.post("/write?db=plant&rp=month", "press,id=7 bar=3.5 1").await?;
    plant.post("/write?db=office", "desk,id=7 height=75 1").await?;
    plant.post("/query?q=CREATE+DATABASE+%22plant%22", "").await?;

    let reader = talk.client("reader", &edge.url, "Bearer reader-token");
    reader.get("/query?db=plant&epoch=s&q=SELECT+usage+FROM+cpu").await?;
    reader.post("/write?db=plant", "press,id=7 bar=9 1").await?;

    let stranger = talk.client("stranger", &edge.url, "Token guessed");
    stranger.post("/write?db=plant", "press,id=7 bar=9 1").await?;
    edge.stop().await?;
    server.stop().await?;
    Ok(talk.text())
}
