//! Who sends a request: finds the credential in its URL and headers, takes it out of them, and decides by it.
//!
//! 1. A credential is a token, however it comes:
//!
//!    | where | token |
//!    |---|---|
//!    | `?p=T`, `?u=any&p=T` | `p`; wins over the header when it isn't empty |
//!    | `Authorization: Basic base64(any:T)` | what stands behind the first colon |
//!    | `Authorization: Token T`, `Token any:T` | what stands behind the first colon, if there is one |
//!    | `Authorization: Bearer T` | all of it |
//!
//!    Schemes are recognised in any case. User names are ignored, but where none of the tokens is shown and users are configured: then name
//!    and password count, or a `Bearer` JSON Web Token that names the user.
//! 2. `auth.mode` says who decides: `local` a table of tokens, of which only the SHA-256 is kept and all of which are compared, each in
//!    constant time; `passthrough` the service below; `none` nobody.
//! 3. `/ping`, `/health` and CORS preflight need no credential. Everything else without one is 401, before any of its body is read, and so
//!    is a credential that nobody knows.
//! 4. `u`, `p` and the `Authorization` header are removed. What goes on is an [`Identity`](crate::access::Identity) among the request's
//!    extensions; the native header is made of its `forward`. Nothing here prints a credential.
//! 5. On paths that aren't v1's, `p` is a credential only where there is no `Authorization` header: there it may be a parameter of the host's.
//!
//! What an identity may do is asked where the buckets are known; see [`access`](crate::access). Form bodies are not looked at: a `p` in there
//! counts for nothing.
//!
//! ```
//! use std::sync::Arc;
//! use http::{Request, Response};
//! use sha2::{Digest, Sha256};
//! use tower::{Layer, Service, ServiceExt, service_fn};
//! use v1shim::{Body, Error, access::{Access, Identity}, auth::AuthLayer, config::{Config, Live, Token}, error::Kind};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let mut config = Config::default();
//! config.auth.tokens.push(Token {
//!     name: "telegraf".into(),
//!     sha256: Sha256::digest("secret").into(),
//!     access: Arc::new(Access::All),
//!     forward: None,
//! });
//! let inner = service_fn(async |request: Request<Body>| {
//!     assert_eq!(request.uri(), "/write?db=tele");
//!     let identity = request.extensions().get::<Identity>().unwrap();
//!     assert_eq!(identity.name.as_deref(), Some("telegraf"));
//!     Ok::<_, std::io::Error>(Response::new(Body::empty()))
//! });
//! let service = AuthLayer::new(Live::new(config)).layer(inner);
//!
//! let known = Request::post("/write?u=any&p=secret&db=tele").body(Body::empty()).unwrap();
//! assert!(service.clone().oneshot(known).await.is_ok());
//!
//! let unknown = Request::post("/write?db=tele").header("authorization", "Token other").body(Body::empty()).unwrap();
//! let error = service.oneshot(unknown).await.unwrap_err();
//! assert_eq!(error.downcast::<Error>().unwrap().kind(), Kind::Unauthorized);
//! # });
//! ```
//!
//! See <https://docs.influxdata.com/influxdb/cloud-serverless/guides/api-compatibility/v1/#authenticate-api-requests>.

mod check;
mod extract;
mod jwt;
mod layer;
mod password;

pub use layer::{Auth, AuthLayer};
