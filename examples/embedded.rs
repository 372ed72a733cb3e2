//! The embedded store in one's own program: v1 clients write and read, nothing else is needed.
//!
//! ```sh
//! cargo run --example embedded
//! ```
//!
//! opens a store in a directory that is gone afterwards, serves it on a free port, talks to it as an agent does, and prints
//!
//! ```text
//! agent    > POST /write?db=home&precision=s
//! agent    < 204
//! agent    > GET /query?db=home&epoch=s&q=SELECT+mean(temp)+FROM+room+GROUP+BY+%22name%22
//! agent    < 200 {"results":[{"statement_id":0,"series":[{"name":"room","tags":{"name":"hall"},"columns":["time","mean"],"values":[[0,18]]},{"name":"room","tags":{"name":"kitchen"},"columns":["time","mean"],"values":[[0,22]]}]}]}
//! agent    > POST /write?db=home&precision=s
//! agent    < 400 {"code":"invalid","message":"partial write: field type conflict: input field \"temp\" on measurement \"room\" is type string, already exists as type float dropped=1","error":"partial write: field type conflict: input field \"temp\" on measurement \"room\" is type string, already exists as type float dropped=1"}
//! (closed and opened again)
//! agent    > GET /query?db=home&epoch=s&q=SELECT+temp+FROM+room+WHERE+%22name%22='hall'
//! agent    < 200 {"results":[{"statement_id":0,"series":[{"name":"room","columns":["time","temp"],"values":[[1700000000,18]]}]}]}
//! agent    > GET /query?db=home&epoch=s&q=SHOW+DATABASES
//! agent    < 200 {"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["home"]]}]}]}
//! ```

#[path = "support/talk.rs"]
mod talk;

use std::{path::Path, sync::Arc};

use axum::Router;
use sha2::{Digest, Sha256};
use tower_layer::Layer;
use v1shim::{
    V1ShimLayer,
    access::Access,
    config::{self, Backend, Config, Token},
    embedded::{Embedded, Engine},
    types::BoxError,
};

use talk::{Talk, serve};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    print!("{}", run().await?);
    Ok(())
}

/// The shim on a store in `directory`, and the store, to be closed at the end.
pub(crate) async fn app(directory: &Path) -> Result<(Router, Engine), BoxError> {
    let embedded = config::Embedded { data_dir: directory.to_owned(), ..config::Embedded::default() };
    let mut config = Config { backend: Backend::Embedded(embedded.clone()), ..Config::default() };
    config.auth.tokens.push(Token {
        name: "agent".into(),
        sha256: Sha256::digest("agent-token").into(),
        access: Arc::new(Access::All),
        forward: None,
    });
    let engine = Engine::open(&embedded, config.limits).await?;
    let shim = V1ShimLayer::new(config).catalog(engine.catalog()).layer(Embedded::new(engine.clone()));
    Ok((Router::new().fallback_service(shim), engine))
}

/// The whole story, as it is printed.
pub(crate) async fn run() -> Result<String, BoxError> {
    let talk = Talk::default();
    let directory = tempfile::tempdir()?;

    let (router, engine) = app(directory.path()).await?;
    let server = serve(router).await?;
    let agent = talk.client("agent", &server.url, "Token agent-token");
    let lines = "room,name=kitchen temp=21 1700000000\nroom,name=kitchen temp=23 1700000060\nroom,name=hall temp=18 1700000000";
    agent.post("/write?db=home&precision=s", lines).await?;
    agent.get("/query?db=home&epoch=s&q=SELECT+mean(temp)+FROM+room+GROUP+BY+%22name%22").await?;
    agent.post("/write?db=home&precision=s", "room,name=hall temp=\"cold\" 1700000060").await?;
    server.stop().await?;
    engine.close().await;
    drop(engine);

    talk.say("(closed and opened again)");
    let (router, engine) = app(directory.path()).await?;
    let server = serve(router).await?;
    let agent = talk.client("agent", &server.url, "Token agent-token");
    agent.get("/query?db=home&epoch=s&q=SELECT+temp+FROM+room+WHERE+%22name%22='hall'").await?;
    agent.get("/query?db=home&epoch=s&q=SHOW+DATABASES").await?;
    server.stop().await?;
    engine.close().await;
    Ok(talk.text())
}
