use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::BodyExt as _;
use sha2::{Digest, Sha256};
use tower::{Layer, Service, ServiceExt as _, service_fn};
use tower_test::mock;
use v1shim::{
    Body, Error,
    access::{Access, Grant, Identity},
    auth::AuthLayer,
    call::{Approved, Call},
    config::{AuthMode, Config, Live, Snapshot, Token},
    error::Kind,
    guard::GuardLayer,
    params::ParamsLayer,
    types::{BoxError, Profile},
};

/// `secret` may do everything, `reader` may read the bucket `tele/autogen`.
fn config() -> Config {
    let mut config = Config::default();
    config.auth.mode = AuthMode::Local;
    let token = |name: &str, access| Token {
        name: name.into(),
        sha256: Sha256::digest(name).into(),
        access: Arc::new(access),
        forward: None,
    };
    let grant = Grant { bucket: "tele/autogen".into(), read: true, write: false };
    config.auth.tokens = vec![token("secret", Access::All), token("reader", Access::Grants(vec![grant]))];
    config
}

/// The three layers, in the order of the stack, over a service that says what reached it.
fn front(config: Config) -> impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send> + Clone {
    let echo = service_fn(async |request: Request<Body>| {
        let (head, body) = request.into_parts();
        let name = head.extensions.get::<Identity>().and_then(|identity| identity.name.clone());
        let statements = head.extensions.get::<Approved>().map_or(0, |approved| approved.0.len());
        let call = match head.extensions.get::<Call>() {
            Some(Call::Write(write)) => format!("write {}", write.db),
            Some(Call::Query(query)) => format!("query {} {statements}", query.q),
            Some(Call::Ping { .. }) => "ping".to_owned(),
            Some(Call::Native(_)) => "native".to_owned(),
            other => format!("{other:?}"),
        };
        assert!(!head.headers.contains_key(AUTHORIZATION));
        let body = body.collect().await.map_err(Error::internal)?.to_bytes();
        let text = format!("{} {} {call} [{}]", name.unwrap_or_default(), head.uri, String::from_utf8_lossy(&body));
        Ok::<_, Error>(Response::new(Body::from(text)))
    });
    let live = Live::new(config);
    let stack = GuardLayer::new(live.clone()).layer(echo);
    let stack = ParamsLayer::new(live.clone()).layer(stack);
    AuthLayer::new(live).layer(stack)
}

async fn ask(config: Config, request: http::request::Builder, body: impl Into<Body>) -> Result<String, (Kind, String)> {
    match front(config).oneshot(request.body(body.into()).unwrap()).await {
        Ok(response) => {
            assert_eq!(response.status(), StatusCode::OK);
            Ok(String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap())
        }
        Err(error) => {
            let error = error.downcast::<Error>().expect("a typed error");
            Err((error.kind(), error.message().to_owned()))
        }
    }
}

/// A body that nobody may look at.
struct Untouchable;

impl http_body::Body for Untouchable {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        panic!("the body was read")
    }
}

#[tokio::test]
async fn from_the_wire_to_a_call() {
    let basic = "Basic dXNlcjpzZWNyZXQ=";
    for (request, body, reached) in [
        (Request::post("/write?db=tele&p=secret"), "m f=1", "secret /write?db=tele write tele [m f=1]"),
        (Request::post("/write/?db=tele").header("authorization", basic), "m f=1", "secret /write/?db=tele write tele [m f=1]"),
        (
            Request::get("/query?u=x&q=SHOW+DATABASES;SHOW+MEASUREMENTS&p=reader"),
            "",
            "reader /query?q=SHOW+DATABASES;SHOW+MEASUREMENTS query SHOW DATABASES;SHOW MEASUREMENTS 2 []",
        ),
        (
            Request::post("/query")
                .header("authorization", "bearer reader")
                .header("content-type", "application/x-www-form-urlencoded"),
            "q=SHOW+DATABASES&p=ignored",
            "reader /query query SHOW DATABASES 1 []",
        ),
        (Request::get("/ping"), "", " /ping ping []"),
        (Request::head("/ping?p=wrong"), "", " /ping ping []"),
        (Request::get("/health").header("authorization", "Token wrong"), "", " /health native []"),
        (
            Request::options("/query").header("origin", "http://x").header("access-control-request-method", "POST"),
            "",
            " /query native []",
        ),
        (
            Request::post("/api/v2/write?bucket=b").header("authorization", "Token secret"),
            "m f=1",
            "secret /api/v2/write?bucket=b native [m f=1]",
        ),
        (
            Request::post("/api/v3/query_influxql").header("authorization", "Bearer reader"),
            r#"{"db":"tele/autogen","q":"SELECT x FROM y"}"#,
            r#"reader /api/v3/query_influxql native [{"db":"tele/autogen","q":"SELECT x FROM y"}]"#,
        ),
    ] {
        assert_eq!(ask(config(), request, body).await.as_deref(), Ok(reached));
    }
}

#[tokio::test]
async fn refusals() {
    for (request, body, kind, message) in [
        (Request::post("/write?db=tele"), "", Kind::Unauthorized, "unable to parse authentication credentials"),
        (Request::post("/write?db=tele&p=wrong"), "", Kind::Unauthorized, "authorization failed"),
        // A non-empty `p` wins over the header.
        (
            Request::post("/write?db=tele&p=wrong").header("authorization", "Token secret"),
            "",
            Kind::Unauthorized,
            "authorization failed",
        ),
        (
            Request::get("/").header("authorization", "Token reader"),
            "",
            Kind::Forbidden,
            "\"reader\" user is not authorized to use \"/\": all-access is needed",
        ),
        (Request::delete("/health"), "", Kind::Unauthorized, "unable to parse authentication credentials"),
        (Request::get("/"), "", Kind::Unauthorized, "unable to parse authentication credentials"),
        (Request::post("/write?p=secret"), "", Kind::Invalid, "namespace name length must be between 1 and 64 characters"),
        (Request::get("/query?p=secret&q=DROP+DATABASE+x"), "", Kind::Invalid, "statement 1: DROP is not supported here"),
        (Request::get("/query?p=secret&q=x"), "", Kind::Invalid, "error parsing query: found x, expected SELECT"),
        (Request::patch("/query?p=secret"), "", Kind::MethodNotAllowed, "method \"PATCH\" is not allowed here"),
        (
            Request::post("/write?db=d&p=secret").header("content-encoding", "br"),
            "",
            Kind::UnsupportedMediaType,
            "unsupported content encoding",
        ),
        (
            Request::post("/api/v3/query_influxql?p=secret"),
            r#"{"db":"d","q":"SELECT x; DELETE FROM y"}"#,
            Kind::Invalid,
            "error parsing query",
        ),
        (
            Request::post("/api/v3/query_influxql?p=secret"),
            r#"{"db":"d","q":"DELETE FROM y"}"#,
            Kind::Invalid,
            "statement 1: DELETE",
        ),
        (
            Request::post("/api/v3/query_influxql?p=reader"),
            r#"{"db":"d","q":"SELECT x FROM y"}"#,
            Kind::Forbidden,
            "error authorizing query",
        ),
        (
            Request::post("/api/v2/write?bucket=tele%2Fautogen&p=reader"),
            "",
            Kind::Forbidden,
            "\"reader\" user is not authorized to write",
        ),
    ] {
        let (found, text) = ask(config(), request, body).await.unwrap_err();
        assert_eq!(found, kind, "{text}");
        assert!(text.starts_with(message), "{text}");
        assert!(!text.contains("secret") && !text.contains("wrong"));
    }
}

#[tokio::test]
async fn nobody_makes_us_read_a_body() {
    for (request, kind) in [
        (Request::post("/write?db=tele"), Kind::Unauthorized),
        (Request::post("/query").header("content-type", "application/x-www-form-urlencoded"), Kind::Unauthorized),
        (Request::post("/query?p=wrong").header("content-type", "multipart/form-data; boundary=X"), Kind::Unauthorized),
        (Request::post("/api/v3/query_influxql"), Kind::Unauthorized),
        // A credential, but no reason to look.
        (Request::post("/write?p=secret"), Kind::Invalid),
        (Request::put("/query?p=secret"), Kind::MethodNotAllowed),
        (Request::post("/query?p=secret&q=DROP+DATABASE+x"), Kind::Invalid),
    ] {
        assert_eq!(ask(config(), request, Body::new(Untouchable)).await.unwrap_err().0, kind);
    }
}

#[tokio::test]
async fn long_forms_are_refused() {
    let mut config = config();
    config.limits.query = 100;
    let form = || Request::post("/query?p=secret").header("content-type", "application/x-www-form-urlencoded");
    let (kind, text) = ask(config.clone(), form(), format!("q={}", "x".repeat(100))).await.unwrap_err();
    assert_eq!((kind, &*text), (Kind::TooLarge, "request body is larger than 100 bytes"));
    assert!(ask(config, form(), "q=SHOW+DATABASES").await.is_ok());
}

#[tokio::test]
async fn a_request_sees_one_configuration() {
    let live = Live::new(config());
    let inner = service_fn(async |request: Request<Body>| {
        let Some(Call::Write(write)) = request.extensions().get() else { panic!("a write") };
        Ok::<_, Error>(write.precision)
    });
    let service = AuthLayer::new(live.clone()).layer(ParamsLayer::new(live.clone()).layer(inner));
    let mut v1 = config();
    v1.compat.profile = Profile::V1;
    v1.auth.mode = AuthMode::None;
    let request = || Request::post("/write?db=d&precision=u");
    let snapshot = request().extension(Snapshot(Arc::new(v1.clone()))).body(Body::empty()).unwrap();
    assert!(service.clone().oneshot(snapshot).await.is_ok());
    assert!(service.clone().oneshot(request().body(Body::empty()).unwrap()).await.is_err());
    live.store(v1);
    assert!(service.clone().oneshot(request().body(Body::empty()).unwrap()).await.is_ok());
}

#[tokio::test]
async fn a_missing_layer_is_named() {
    let inner = service_fn(async |_: Request<Body>| Ok::<_, Error>(Response::new(Body::empty())));
    let live = Live::new(config());
    let guard = GuardLayer::new(live.clone()).layer(inner);
    let text = async |request: Request<Body>| {
        let error = guard.clone().oneshot(request).await.unwrap_err().downcast::<Error>().unwrap();
        assert_eq!(error.kind(), Kind::Internal);
        error.message().to_owned()
    };
    assert_eq!(text(Request::new(Body::empty())).await, "layer \"guard\" needs layer \"params\" in front of it");
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(Call::Ping { verbose: false });
    assert_eq!(text(request).await, "layer \"guard\" needs layer \"auth\" in front of it");
}

#[tokio::test]
async fn readiness_is_that_of_the_inner_service() {
    let live = Live::new(config());
    let (mut params, mut handle) = mock::spawn_layer(ParamsLayer::new(live.clone()));
    handle.allow(0);
    assert!(params.poll_ready::<Request<Body>>().is_pending());
    handle.allow(1);
    assert!(params.poll_ready::<Request<Body>>().is_ready());
    // The instance that was ready gets the request, after its body was collected too.
    let request = Request::post("/query").header("content-type", "application/x-www-form-urlencoded");
    let response = tokio::spawn(params.call(request.body(Body::from("q=SHOW+DATABASES")).unwrap()));
    let (request, send) = handle.next_request().await.expect("the request");
    assert!(matches!(request.extensions().get(), Some(Call::Query(_))));
    send.send_response(Response::new(Body::empty()));
    assert!(response.await.unwrap().is_ok());

    let (mut auth, mut handle) = mock::spawn_layer::<Request<&str>, Response<&str>, _>(AuthLayer::new(live));
    handle.allow(0);
    assert!(auth.poll_ready().is_pending());
    handle.send_error(Error::internal("gone"));
    assert!(auth.poll_ready().is_ready(), "an error is passed on");
}
