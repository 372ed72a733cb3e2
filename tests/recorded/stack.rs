//! The whole stack over some service, asked as a v1 client asks.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt};
use v1shim::{
    Body, V1Shim, V1ShimLayer, config,
    config::{AuthMode, Backend, Config, QueryBy},
    native::{Api, ReplyFormat, Target},
    types::{BoxError, Profile},
    upstream::{Upstream, UpstreamCatalog},
};

use super::server::RecordedServer;

/// In front of the recorded server, over HTTP.
pub(crate) fn over(server: &RecordedServer, profile: Profile) -> V1Shim<Upstream> {
    over_by(server, profile, QueryBy::Http)
}

/// The same, asked in this way.
pub(crate) fn over_by(server: &RecordedServer, profile: Profile, query: QueryBy) -> V1Shim<Upstream> {
    let upstream = config::Upstream {
        api: Api::V3,
        query,
        url: format!("http://{}", server.addr).parse().unwrap(),
        timeout: Duration::from_secs(30),
        ..config::Upstream::default()
    };
    let service = Upstream::new(&upstream).unwrap();
    let mut config = open(profile);
    config.backend = Backend::Upstream(upstream);
    V1ShimLayer::new(config)
        .catalog(Arc::new(UpstreamCatalog::new(service.clone(), std::time::Duration::from_secs(10))))
        .layer(service)
}

/// In front of a service that answers queries with Arrow streams.
pub(crate) fn over_arrow<S>(service: S) -> V1Shim<S> {
    let target = Target { api: Api::V3, reply: ReplyFormat::Arrow, multi_bucket: false, full_influxql: false };
    V1ShimLayer::new(open(Profile::V1)).target(target).layer(service)
}

fn open(profile: Profile) -> Config {
    let mut config = Config::default();
    config.compat.profile = profile;
    config.auth.mode = AuthMode::None;
    config
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The message of an error.
    pub(crate) fn error(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        assert_eq!(self.headers["content-type"], "application/json");
        assert_eq!(body["error"], body["message"]);
        body["error"].as_str().unwrap_or_else(|| panic!("no error in {self:?}")).to_owned()
    }
}

pub(crate) async fn ask<S>(shim: &V1Shim<S>, request: Request<Body>) -> Answer
where
    V1Shim<S>: Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible> + Clone,
{
    let Ok(response) = shim.clone().oneshot(request).await;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error: BoxError| error.to_string()).unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

/// `GET /query?db=fx&q=…&epoch=ns`
pub(crate) fn query(q: &str) -> Request<Body> {
    let pairs = [("db", "fx"), ("q", q), ("epoch", "ns")];
    let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    Request::get(format!("/query?{query}")).body(Body::empty()).unwrap()
}
