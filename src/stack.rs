//! The whole stack as one [`Layer`]: the only file that knows the order of the layers.
//!
//! ```
//! use axum::{Router, routing::post};
//! use http::{Request, StatusCode};
//! use tower::{Layer, ServiceExt};
//! use v1shim::{
//!     Body, V1ShimLayer,
//!     config::{AuthMode, Config},
//!     native::{Api, ReplyFormat, Target},
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! // An app with native endpoints of its own…
//! let app = Router::new()
//!     .route("/api/v3/write_lp", post(async || StatusCode::NO_CONTENT))
//!     .route("/api/v3/query_influxql", post(async || "{\"iox::measurement\":\"cpu\",\"time\":\"1970-01-01T00:00:01\",\"usage\":1.5}\n"));
//!
//! // …and InfluxDB v1 in front of it: around the router, since its own `layer` would come after routing.
//! let mut config = Config::default();
//! config.auth.mode = AuthMode::Passthrough;
//! let target = Target { api: Api::V3, reply: ReplyFormat::Jsonl, multi_bucket: false, full_influxql: false };
//! let app = V1ShimLayer::new(config).target(target).layer(app);
//!
//! let write = Request::post("/write?db=telegraf&p=token").body(Body::from("cpu usage=1.5")).unwrap();
//! assert_eq!(app.clone().oneshot(write).await.unwrap().status(), StatusCode::NO_CONTENT);
//!
//! let query = Request::get("/query?db=telegraf&p=token&epoch=s&q=SELECT+usage+FROM+cpu").body(Body::empty()).unwrap();
//! let body = app.clone().oneshot(query).await.unwrap().into_body();
//! let text = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
//! assert_eq!(
//!     text,
//!     "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"cpu\",\"columns\":[\"time\",\"usage\"],\"values\":[[1,1.5]]}]}]}\n"
//! );
//!
//! let drop = Request::post("/query?db=telegraf&p=token&q=DROP+MEASUREMENT+cpu").body(Body::empty()).unwrap();
//! assert_eq!(app.oneshot(drop).await.unwrap().status(), StatusCode::BAD_REQUEST);
//! # });
//! ```

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    auth::{Auth, AuthLayer},
    body::Body,
    config::{Live, Snapshot},
    dbrp::Catalog,
    guard::{Guard, GuardLayer},
    native::Target,
    params::{Params, ParamsLayer},
    rescue::{Rescue, RescueLayer},
    rewrite::{Rewrite, RewriteLayer},
    types::BoxError,
};

/// InfluxDB v1 in front of any service that speaks the native HTTP API of v2 or v3.
///
/// Cloning is cheap; all clones follow the same configuration.
#[derive(Clone, Debug)]
pub struct V1ShimLayer {
    live: Live,
    target: Target,
    catalog: Option<Arc<dyn Catalog>>,
}

/// The layers, outside in.
type Stack<S> = Rescue<Auth<Params<Guard<Rewrite<S>>>>>;

impl V1ShimLayer {
    /// Follows this configuration. What the service below speaks is taken from its `[backend]` unless [`target`](Self::target) says it.
    #[must_use]
    pub fn new(config: impl Into<Live>) -> Self {
        let live = config.into();
        let target = live.load().backend.target();
        Self { live, target, catalog: None }
    }

    /// What the service below speaks and how it replies.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// Where the service below keeps its buckets and mappings. Without it, names of buckets come from configured mappings and templates.
    #[must_use]
    pub fn catalog(mut self, catalog: Arc<dyn Catalog>) -> Self {
        self.catalog = Some(catalog);
        self
    }
}

impl<S> Layer<S> for V1ShimLayer {
    type Service = V1Shim<S>;

    fn layer(&self, service: S) -> V1Shim<S> {
        // Innermost: knows the native API, and cuts and encodes the replies. What goes in has been parsed and approved.
        let stack = RewriteLayer::new(self.live.clone(), self.target, self.catalog.clone()).layer(service);
        // Parses `q` once; refuses statements before a bucket is looked up, so that nothing of a refused query has any effect.
        let stack = GuardLayer::new(self.live.clone()).layer(stack);
        // Reads parameters, from form bodies too: so it comes after whoever can refuse by looking at the headers alone.
        let stack = ParamsLayer::new(self.live.clone()).layer(stack);
        // Nobody without a credential makes us read a body.
        let stack = AuthLayer::new(self.live.clone()).layer(stack);
        // Outside of everything that can refuse, so that every refusal has v1's shape.
        let stack = RescueLayer::new(self.live.clone()).layer(stack);
        V1Shim { stack, live: self.live.clone() }
    }
}

/// Service of [`V1ShimLayer`].
#[derive(Clone, Debug)]
pub struct V1Shim<S> {
    stack: Stack<S>,
    live: Live,
}

impl<S, B, RB> Service<Request<B>> for V1Shim<S>
where
    S: Service<Request<Body>, Response = Response<RB>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    RB: http_body::Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <Stack<S> as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.stack, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut request = request.map(Body::new);
        // Put here once, so that all layers see one and the same configuration even while it is being reloaded.
        request.extensions_mut().insert(Snapshot(self.live.load()));
        self.stack.call(request)
    }
}
