//! The shim says what stands behind it, and when that isn't what was configured.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use super::raw::{Raw, read_request, reply};
use crate::support::TestServer;

async fn log_of(api: &str, version: &'static str, build: &'static str, expected: &str) {
    let server = Raw::start(move |_, mut stream| async move {
        while let Some(request) = read_request(&mut stream).await {
            let headers = format!("x-influxdb-version: {version}\r\nx-influxdb-build: {build}\r\n");
            let status = if request.starts_with("GET /ping ") { "200 OK" } else { "404 Not Found" };
            stream.write_all(reply(status, &headers, "").as_bytes()).await.unwrap();
        }
    })
    .await;
    let config = format!("[backend]\nkind = \"upstream\"\n[upstream]\napi = \"{api}\"\nurl = \"{}\"", server.url());
    let shim = TestServer::builder().config(&config).start();
    let begun = Instant::now();
    while !shim.log().contains(expected) {
        assert!(begun.elapsed() < Duration::from_secs(20), "no {expected:?} in\n{}", shim.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn it_is_said_at_the_start() {
    log_of("v3", "3.2.0", "Core", "the upstream is InfluxDB 3 Core").await;
    log_of("v3", "v2.7.6", "OSS", "the upstream is InfluxDB 2.x: it has no v3 API").await;
}
