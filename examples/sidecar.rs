//! A sidecar: the shim beside an agent that speaks v1, in front of an InfluxDB 3 somewhere else.
//!
//! ```sh
//! cargo run --example sidecar
//! ```
//!
//! starts a stand-in for the server and the shim in front of it, both on free ports, talks to the shim as an agent does, and prints
//!
//! ```text
//! agent    > POST /write?db=telegraf&precision=m
//! server   < POST /api/v3/write_lp?db=telegraf&precision=s&accept_partial=true, Bearer agent-token: cpu,host=a usage=1.5 1700000040
//! agent    < 204
//! agent    > GET /query?db=telegraf&epoch=s&q=SELECT+usage+FROM+cpu
//! server   < POST /api/v3/query_influxql, Bearer agent-token: {"db":"telegraf","q":"SELECT usage FROM cpu","format":"jsonl"}
//! agent    < 200 {"results":[{"statement_id":0,"series":[{"name":"cpu","columns":["time","usage"],"values":[[1700000040,1.5]]}]}]}
//! agent    > GET /query?db=telegraf&q=DROP+MEASUREMENT+cpu
//! agent    < 400 {"code":"invalid","message":"statement 1: DROP is not supported here: manage buckets with the server's own API instead (policy guard.drop is \"reject\")","error":"statement 1: DROP is not supported here: manage buckets with the server's own API instead (policy guard.drop is \"reject\")","results":[{"statement_id":0,"error":"statement 1: DROP is not supported here: manage buckets with the server's own API instead (policy guard.drop is \"reject\")"}]}
//! (the server goes away)
//! agent    > POST /write?db=telegraf
//! agent    < 503, again in 5 s: {"code":"unavailable","message":"upstream can't be reached","error":"upstream can't be reached"}
//! ```
//!
//! The program `v1shim` does the same with `backend.kind = "upstream"` in its `proxy.toml`.

#[path = "support/stand_in.rs"]
mod stand_in;
#[path = "support/talk.rs"]
mod talk;

use axum::Router;
use http::Uri;
use tower_layer::Layer;
use v1shim::{
    V1ShimLayer,
    config::{self, Backend},
    types::BoxError,
    upstream::Upstream,
};

use talk::{Talk, serve};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    print!("{}", run().await?);
    Ok(())
}

/// The shim in front of the server at `url`. Clients' credentials go on to it as they are: it decides.
pub(crate) fn app(url: &Uri) -> Result<Router, BoxError> {
    // The stand-in speaks HTTP alone; a real server is asked over Arrow Flight, without `query`.
    let text = format!("[backend]\nkind = \"upstream\"\n[upstream]\napi = \"v3\"\nquery = \"http\"\nurl = \"{url}\"\n");
    let config = config::parse(&text, config::Surroundings::real())?.config;
    let Backend::Upstream(settings) = &config.backend else { return Err("no upstream".into()) };
    let upstream = Upstream::new(settings)?;
    Ok(Router::new().fallback_service(V1ShimLayer::new(config).layer(upstream)))
}

/// The whole story, as it is printed.
pub(crate) async fn run() -> Result<String, BoxError> {
    let talk = Talk::default();
    let server = serve(stand_in::server(&talk, "agent-token")).await?;
    let shim = serve(app(&server.url)?).await?;
    let agent = talk.client("agent", &shim.url, "Token agent-token");

    agent.post("/write?db=telegraf&precision=m", "cpu,host=a usage=1.5 28333334").await?;
    agent.get("/query?db=telegraf&epoch=s&q=SELECT+usage+FROM+cpu").await?;
    agent.get("/query?db=telegraf&q=DROP+MEASUREMENT+cpu").await?;
    talk.say("(the server goes away)");
    server.stop().await?;
    agent.post("/write?db=telegraf", "cpu,host=a usage=1.5").await?;
    shim.stop().await?;
    Ok(talk.text())
}
